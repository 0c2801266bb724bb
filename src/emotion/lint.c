/* emotion/lint.c: the corpus check.
 *
 * Two texts are too alike when they share more than a third of the shorter one's pieces of eight characters. Pieces are
 * hashed and sorted, so that all pairs of a corpus are compared in the time of one sort; a piece that stands in more than
 * MANY lines is a template by itself and is told once instead of for each pair. */
#include "emotion/lint.h"
#include <stdio.h>

enum { MANY = 12, SHARE_PERCENT = 34 };

struct gram { uint64_t hash; uint32_t text; };
struct pair { uint32_t a, b; };
struct lint {
    const struct emotion_corpus *c;
    struct buf *out;
    int found;
    struct gram *gram;
    size_t grams;
    uint32_t *own;               /* different grams of a text */
    struct pair *pair;
    size_t pairs, pair_cap;
    bool failed;
};

static const char *path_of(const struct lint *l, size_t text) { return l->c->source[l->c->text[text].source].path; }

static void tell(struct lint *l, size_t text, const char *what)
{
    buf_printf(l->out, "%s:%u: %s\n", path_of(l, text), l->c->text[text].line, what);
    l->found++;
}

static void check_line(struct lint *l, size_t i)
{
    const struct emotion_text *t = &l->c->text[i];
    char what[160];
    if (__builtin_popcount(t->codes) != 1)
        tell(l, i, "several codes; choose the one that the writer would");
    if (!t->title.p)
        tell(l, i, "two columns; a corpus line is code<TAB>title<TAB>content, the title may be empty");
    if (!utf8_valid(t->content) || !utf8_valid(t->title)) {
        tell(l, i, "not UTF-8; save the file as UTF-8");
        return;
    }
    size_t n = utf8_count(t->content) + utf8_count(t->title);
    if (n < EMOTION_LINT_SHORTEST || utf8_count(t->content) > EMOTION_LINT_LONGEST) {
        snprintf(what, sizeof what, "%zu characters; a text has %d to %d", n, EMOTION_LINT_SHORTEST, EMOTION_LINT_LONGEST);
        tell(l, i, what);
    }
    struct span whole = span_trim(t->content);
    if (whole.n != t->content.n || span_trim(t->title).n != t->title.n)
        tell(l, i, "blanks at an end of a column; delete them");
    for (size_t j = 0; j < t->content.n; j++)
        if ((unsigned char)t->content.p[j] < ' ') {
            tell(l, i, "a control character in the text; delete it");
            break;
        }
}

static int by_hash(const void *a, const void *b)
{
    const struct gram *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->text < y->text ? -1 : x->text > y->text;
}

static int by_pair(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    if (x->a != y->a)
        return x->a < y->a ? -1 : 1;
    return x->b < y->b ? -1 : x->b > y->b;
}

static bool add_grams(struct lint *l)
{
    size_t cap = 0;
    for (size_t i = 0; i < l->c->n; i++)
        cap += l->c->text[i].content.n + 1;
    l->gram = base_alloc(cap * sizeof *l->gram);
    l->own = base_alloc((l->c->n + 1) * sizeof *l->own);
    if (!l->gram || !l->own)
        return false;
    for (size_t i = 0; i < l->c->n; i++) {
        uint32_t window[EMOTION_LINT_GRAM] = { 0 };
        struct span s = l->c->text[i].content;
        size_t seen = 0;
        for (const char *p = s.p, *end = s.p + s.n; p < end;) {
            window[seen++ % EMOTION_LINT_GRAM] = utf8_next(&p, end);
            if (seen < EMOTION_LINT_GRAM && p < end)
                continue;
            uint64_t h = 0xcbf29ce484222325ULL;
            for (size_t k = 0; k < EMOTION_LINT_GRAM; k++)
                h = (h ^ window[(seen + k) % EMOTION_LINT_GRAM]) * 0x100000001b3ULL, h ^= h >> 29;
            l->gram[l->grams++] = (struct gram){ h, (uint32_t)i };
        }
        l->own[i] = 0;
    }
    qsort(l->gram, l->grams, sizeof *l->gram, by_hash);
    size_t kept = 0;
    for (size_t i = 0; i < l->grams; i++)
        if (i == 0 || by_hash(&l->gram[i], &l->gram[kept - 1]) != 0) {
            l->gram[kept++] = l->gram[i];
            l->own[l->gram[i].text]++;
        }
    l->grams = kept;
    return true;
}

static bool add_pair(struct lint *l, uint32_t a, uint32_t b)
{
    if (l->pairs == l->pair_cap) {
        size_t cap = l->pair_cap ? 2 * l->pair_cap : 1024;
        struct pair *more = base_realloc(l->pair, cap * sizeof *more);
        if (!more)
            return false;
        l->pair = more;
        l->pair_cap = cap;
    }
    l->pair[l->pairs++] = (struct pair){ a, b };
    return true;
}

static bool compare_lines(struct lint *l)
{
    char what[600];
    for (size_t i = 0, end; i < l->grams; i = end) {
        for (end = i + 1; end < l->grams && l->gram[end].hash == l->gram[i].hash; end++)
            ;
        if (end - i > MANY) {
            snprintf(what, sizeof what, "shares eight characters in a row with %zu other lines; a template teaches nothing, write it differently", end - i - 1);
            tell(l, l->gram[i].text, what);
            continue;
        }
        for (size_t a = i; a < end; a++)
            for (size_t b = a + 1; b < end; b++)
                if (!add_pair(l, l->gram[a].text, l->gram[b].text))
                    return false;
    }
    if (l->pairs)
        qsort(l->pair, l->pairs, sizeof *l->pair, by_pair);
    for (size_t i = 0, end; i < l->pairs; i = end) {
        for (end = i + 1; end < l->pairs && by_pair(&l->pair[end], &l->pair[i]) == 0; end++)
            ;
        uint32_t a = l->pair[i].a, b = l->pair[i].b, less = l->own[a] < l->own[b] ? l->own[a] : l->own[b];
        if ((end - i) * 100 >= (size_t)less * SHARE_PERCENT) {
            snprintf(what, sizeof what, "too like %s:%u (%zu of %u pieces of eight characters are the same); rewrite one of them", path_of(l, a),
                l->c->text[a].line, end - i, less);
            tell(l, b, what);
        }
    }
    return true;
}

int emotion_lint(const struct emotion_corpus *c, struct buf *out)
{
    struct lint l = { .c = c, .out = out };
    for (size_t i = 0; i < c->n; i++)
        check_line(&l, i);
    bool good = add_grams(&l) && compare_lines(&l);
    free(l.gram);
    free(l.own);
    free(l.pair);
    return good ? l.found : -1;
}
