/* emotion/lexicon.c: strengths of a text's words, added up.
 *
 * The text is cut as jieba does it (segment.c), with all of the lexicon's words known to the dictionary, in the order of the rows, as the original did it at every request. */
#include "emotion/lexicon.h"
#include "emotion/corpus.h"
#include "emotion/segment.h"

enum { TITLE_CHARACTERS = 100, ROWS = 1 << 20 };

struct meaning { int16_t strength; uint8_t category; };

struct emotion_lexicon {
    struct segmenter *cut;
    struct meaning *meaning;     /* by the mark of a word, from 1 on */
    size_t n, cap;
};

/* ---- scoring ---- */

struct sum { const struct emotion_lexicon *l; struct emotion_strengths *out; };

static void add_piece(void *arg, struct span piece, uint32_t mark)
{
    (void)piece;
    const struct sum *s = arg;
    if (mark)
        s->out->strength[s->l->meaning[mark - 1].category] += s->l->meaning[mark - 1].strength;
}

void emotion_lexicon_score(const struct emotion_lexicon *l, struct span title, struct span content, struct emotion_strengths *out)
{
    *out = (struct emotion_strengths){ 0 };
    struct sum s = { l, out };
    content = utf8_head(content, EMOTION_CHARACTERS);
    title = title.n ? utf8_head(title, EMOTION_CHARACTERS) : utf8_head(content, TITLE_CHARACTERS);
    segmenter_cut(l->cut, title, add_piece, &s);             /* apart: the blank between them would end every word */
    segmenter_cut(l->cut, content, add_piece, &s);
    for (int k = 1; k < EMOTION_CODES; k++)
        if (out->strength[k] > out->strength[out->code])
            out->code = k;
}

struct words { const struct emotion_lexicon *l; struct emotion_piece *at; size_t n, max; };

static void keep_piece(void *arg, struct span piece, uint32_t mark)
{
    struct words *w = arg;
    if (!mark || !w->l->meaning[mark - 1].strength)
        return;
    struct emotion_piece p = { piece, w->l->meaning[mark - 1].category, w->l->meaning[mark - 1].strength };
    size_t i = 0;
    for (; i < w->n; i++)
        if (span_is(w->at[i].text, piece))
            return;
    while (i > 0 && w->at[i - 1].weight < p.weight)          /* of equal ones the earlier stays before */
        i--;
    if (i == w->max)
        return;
    size_t moved = (w->n < w->max ? w->n : w->max - 1) - i;
    memmove(&w->at[i + 1], &w->at[i], moved * sizeof *w->at);
    w->at[i] = p;
    w->n = i + 1 + moved;
}

void emotion_lexicon_explain(const struct emotion_lexicon *l, struct span title, struct span content, struct emotion_piece *out, size_t max, size_t *out_n)
{
    struct words w = { l, out, 0, max };
    segmenter_cut(l->cut, utf8_head(title, EMOTION_CHARACTERS), keep_piece, &w);
    segmenter_cut(l->cut, utf8_head(content, EMOTION_CHARACTERS), keep_piece, &w);
    *out_n = w.n;
}

void emotion_lexicon_cut(const struct emotion_lexicon *l, struct span text, void (*token)(void *, struct span, uint32_t), void *arg) { segmenter_cut(l->cut, text, token, arg); }

/* ---- files ---- */

/* DUTIR's kinds by their two letters; 0 for none */
static int category_of(struct span kind)
{
    static const struct { const char kind[3]; int category; } kinds[] = {
        { "PA", 1 }, { "PE", 1 }, { "PD", 2 }, { "PH", 2 }, { "PG", 2 }, { "PB", 2 }, { "PK", 2 }, { "NA", 3 }, { "NB", 4 }, { "NJ", 4 }, { "NH", 4 },
        { "PF", 4 }, { "NI", 5 }, { "NC", 5 }, { "NG", 5 }, { "NE", 6 }, { "ND", 6 }, { "NN", 6 }, { "NK", 6 }, { "NL", 6 }, { "PC", 7 },
    };
    for (size_t i = 0; i < LENGTH(kinds); i++)
        if (span_is_z(kind, kinds[i].kind))
            return kinds[i].category;
    return 0;
}

/* columns of a line, trimmed and without the quotes of a CSV; how many there are (up to `max` are kept) */
static size_t columns_of(struct span line, struct span *column, size_t max)
{
    size_t n = 0;
    char comma = span_find(line, '\t') >= 0 ? '\t' : ',';
    for (bool more = true; more; n++) {
        int at = span_find(line, comma);
        more = at >= 0;
        struct span s = span_trim(span_from(line.p, more ? (size_t)at : line.n));
        line = span_cut(line, more ? (size_t)at + 1 : line.n);
        if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
            s = span_from(s.p + 1, s.n - 2);
        if (n < max)
            column[n] = s;
    }
    return n;
}

static bool next_line(struct span *rest, struct span *out, int *number)
{
    if (rest->n == 0)
        return false;
    int nl = span_find(*rest, '\n');
    *out = span_from(rest->p, nl < 0 ? rest->n : (size_t)nl);
    *rest = span_cut(*rest, out->n + 1);
    if (out->n && out->p[out->n - 1] == '\r')
        out->n--;
    if (++*number == 1 && span_begins(*out, SPAN("\xef\xbb\xbf")))
        *out = span_cut(*out, 3);
    return true;
}

static bool remember(struct emotion_lexicon *l, struct span word, int64_t category, int64_t strength)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 1 << 12;
        struct meaning *more = cap <= ROWS ? base_realloc(l->meaning, cap * sizeof *more) : NULL;
        if (!more)
            return false;
        l->meaning = more;
        l->cap = cap;
    }
    l->meaning[l->n++] = (struct meaning){ (int16_t)strength, (uint8_t)category };
    return segmenter_add(l->cut, word, (uint32_t)l->n);      /* the first row of a word decides */
}

static bool read_words(struct emotion_lexicon *l, const char *path, struct span rest, struct buf *err)
{
    struct span line, c[10];
    for (int number = 0; next_line(&rest, &line, &number);) {
        int64_t category = 0, strength = 0;
        if (span_trim(line).n == 0)
            continue;
        size_t n = columns_of(line, c, LENGTH(c));
        struct span strength_text = n >= 10 ? c[5] : c[n == 3 ? 2 : 0];
        bool good = n == 3 ? span_to_i64(c[1], &category) : n >= 10 && (category = category_of(c[4])) != 0;
        good = good && c[0].n && category >= 1 && category < EMOTION_CODES && span_to_i64(strength_text, &strength) && strength >= 0 && strength <= 1000;
        if (!good && number == 1)            /* names of the columns */
            continue;
        if (!good) {
            buf_printf(err, "%s:%d: write word, category 1 to 7, strength; or DUTIR's ten columns", path, number);
            return false;
        }
        if (!remember(l, c[0], category, strength)) {
            buf_printf(err, "%s: too large for memory", path);
            return false;
        }
    }
    if (!l->n)
        buf_printf(err, "%s: no words in it", path);
    return l->n > 0;
}

struct emotion_lexicon *emotion_lexicon_open(const char *path, const char *dictionary, struct buf *err)
{
    size_t n = 0;
    struct emotion_lexicon *l = base_alloc(sizeof *l);
    if (!l) {
        buf_add_z(err, "out of memory");
        return NULL;
    }
    *l = (struct emotion_lexicon){ 0 };
    char *words = emotion_file_read(path, &n, err);
    bool good = words && (l->cut = segmenter_open(dictionary, true, err)) && read_words(l, path, span_from(words, n), err);
    free(words);
    if (!good)
        emotion_lexicon_free(&l);
    return l;
}

void emotion_lexicon_free(struct emotion_lexicon **l)
{
    if (!*l)
        return;
    segmenter_free(&(*l)->cut);
    free((*l)->meaning);
    free(*l);
    *l = NULL;
}

size_t emotion_lexicon_rows(const struct emotion_lexicon *l) { return l->n; }
