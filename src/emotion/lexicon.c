/* emotion/lexicon.c: segmentation by the likeliest path, and strengths added up.
 *
 * jieba in short: a run of Chinese characters, letters and digits is cut so that the product of the words' frequencies is
 * greatest; of equal cuts the one with the longer first word. All lexicon words are known to the dictionary before that, each with a
 * frequency that makes it win against its own parts (jieba's suggest_freq, in the order of the rows). What jieba does beyond
 * that, joining unknown single characters by a hidden Markov model, can only make words that the lexicon does not have.
 *
 * Words and the beginnings of words lie in one hash table by their bytes; a beginning that is no word has frequency 0, and the
 * search for longer words stops where not even a beginning is known. */
#include "emotion/lexicon.h"
#include "emotion/corpus.h"
#include "emotion/exact.h"

enum { RUN = 1024, TITLE_CHARACTERS = 100, WORD_BYTES = 120 };

struct entry { uint64_t hash; int64_t frequency; int16_t strength; uint8_t category; /* 0: not in the lexicon */ };

struct emotion_lexicon {
    struct entry *entry;
    size_t cap, n, words;        /* cap is a power of two, at least twice n */
    int64_t total;
};

static uint64_t hash_step(uint64_t h, unsigned char c) { return (h ^ c) * 0x100000001b3ULL; }
static const uint64_t HASH_BEGIN = 0xcbf29ce484222325ULL;

static struct entry *find(const struct emotion_lexicon *l, uint64_t hash)
{
    hash += !hash;               /* 0 is an empty place */
    size_t at = (size_t)((hash * 0x9e3779b97f4a7c15ULL) >> 32) & (l->cap - 1);
    while (l->entry[at].hash && l->entry[at].hash != hash)
        at = (at + 1) & (l->cap - 1);
    return &l->entry[at];
}

static bool grow(struct emotion_lexicon *l)
{
    struct emotion_lexicon bigger = { .cap = l->cap ? 2 * l->cap : 1 << 14 };
    bigger.entry = base_alloc(bigger.cap * sizeof *bigger.entry);
    if (!bigger.entry)
        return false;
    memset(bigger.entry, 0, bigger.cap * sizeof *bigger.entry);
    for (size_t i = 0; i < l->cap; i++)
        if (l->entry[i].hash)
            *find(&bigger, l->entry[i].hash) = l->entry[i];
    free(l->entry);
    l->entry = bigger.entry;
    l->cap = bigger.cap;
    return true;
}

/* The entry of a word, made with all its beginnings if it was new; NULL when out of memory. */
static struct entry *add(struct emotion_lexicon *l, struct span word)
{
    uint64_t h = HASH_BEGIN;
    struct entry *e = NULL;
    for (const char *p = word.p, *end = word.p + word.n, *from; p < end;) {
        if (2 * (l->n + 1) > l->cap && !grow(l))
            return NULL;
        for (from = p, utf8_next(&p, end); from < p; from++)
            h = hash_step(h, (unsigned char)*from);
        e = find(l, h);
        if (!e->hash) {
            e->hash = h + !h;
            l->n++;
        }
    }
    return e;
}

/* ---- the likeliest cut ---- */

/* One run: where its characters begin, and for each the best way on from there. */
struct run { size_t n; uint32_t at[RUN + 1]; double best[RUN + 1]; uint16_t next[RUN]; };

static void cut_run(const struct emotion_lexicon *l, const char *text, struct run *r)
{
    double log_total = exact_log(l->total > 0 ? (double)l->total : 1);
    r->best[r->n] = 0;
    for (size_t i = r->n; i-- > 0;) {
        uint64_t h = HASH_BEGIN;
        bool any = false;
        for (size_t j = i + 1; j <= r->n; j++) {
            for (uint32_t k = r->at[j - 1]; k < r->at[j]; k++)
                h = hash_step(h, (unsigned char)text[k]);
            const struct entry *e = find(l, h);
            if (!e->hash)
                break;
            if (e->frequency == 0)               /* only the beginning of words */
                continue;
            double sum = exact_log((double)e->frequency) - log_total + r->best[j];
            if (!any || sum >= r->best[i]) {     /* ties go to the later end, as with jieba's tuples */
                r->best[i] = sum;
                r->next[i] = (uint16_t)j;
                any = true;
            }
        }
        if (!any) {                              /* an unknown character stands for itself, as if seen once */
            r->best[i] = r->best[i + 1] - log_total;
            r->next[i] = (uint16_t)(i + 1);
        }
    }
}

/* jieba's class of what is cut: ideographs, ASCII letters and digits, and + # & . _ % - */
static bool is_run(uint32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fd5) || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c < 0x80 && c && strchr("+#&._%-", (int)c));
}

static void add_strengths(const struct emotion_lexicon *l, const char *text, const struct run *r, struct emotion_strengths *out)
{
    for (size_t i = 0; i < r->n; i = r->next[i]) {
        uint64_t h = HASH_BEGIN;
        for (uint32_t k = r->at[i]; k < r->at[r->next[i]]; k++)
            h = hash_step(h, (unsigned char)text[k]);
        const struct entry *e = find(l, h);
        if (e->hash && e->category)
            out->strength[e->category] += e->strength;
    }
}

/* the first `characters` code points of a text */
static void score_part(const struct emotion_lexicon *l, struct span text, size_t characters, struct emotion_strengths *out)
{
    struct run r;
    const char *p = text.p, *end = text.n ? text.p + text.n : text.p;
    r.n = 0;
    for (size_t seen = 0; seen <= characters; seen++) {
        const char *from = p;
        bool goes_on = seen < characters && p < end && is_run(utf8_next(&p, end));
        if (goes_on) {
            r.at[r.n++] = (uint32_t)(from - text.p);
            r.at[r.n] = (uint32_t)(p - text.p);
        }
        if (r.n && (!goes_on || r.n == RUN)) {
            cut_run(l, text.p, &r);
            add_strengths(l, text.p, &r, out);
            r.n = 0;
        }
        if (from >= end)
            break;
    }
}

void emotion_lexicon_score(const struct emotion_lexicon *l, struct span title, struct span content, struct emotion_strengths *out)
{
    *out = (struct emotion_strengths){ 0 };
    content.n = content.n < 4 * EMOTION_CHARACTERS ? content.n : 4 * EMOTION_CHARACTERS;
    if (title.n)
        score_part(l, title, EMOTION_CHARACTERS, out);
    else
        score_part(l, content, TITLE_CHARACTERS, out);
    score_part(l, content, EMOTION_CHARACTERS, out);
    for (int k = 1; k < EMOTION_CODES; k++)
        if (out->strength[k] > out->strength[out->code])
            out->code = k;
}

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

/* jieba's suggest_freq: just enough for the word to win against the parts it is cut into now */
static bool tune(struct emotion_lexicon *l, struct span word)
{
    struct run r = { .n = 0 };
    for (const char *p = word.p, *end = word.p + word.n; p < end && r.n < RUN;) {
        r.at[r.n++] = (uint32_t)(p - word.p);
        utf8_next(&p, end);
        r.at[r.n] = (uint32_t)(p - word.p);
    }
    double share = 1;
    if (l->cap && l->total > 0) {
        cut_run(l, word.p, &r);
        for (size_t i = 0; i < r.n; i = r.next[i]) {
            uint64_t h = HASH_BEGIN;
            for (uint32_t k = r.at[i]; k < r.at[r.next[i]]; k++)
                h = hash_step(h, (unsigned char)word.p[k]);
            const struct entry *part = find(l, h);
            share *= (double)(part->hash ? part->frequency : 1) / (double)l->total;
        }
    }
    struct entry *e = add(l, word);
    if (!e)
        return false;
    int64_t least = (int64_t)(share * (double)l->total) + 1;
    if (e->frequency < least)
        e->frequency = least;
    l->total += e->frequency;
    return true;
}

static bool read_dictionary(struct emotion_lexicon *l, const char *path, struct span rest, struct buf *err)
{
    struct span line;
    for (int number = 0; next_line(&rest, &line, &number);) {
        int blank = span_find(line, ' ');
        struct span word = span_from(line.p, blank < 0 ? line.n : (size_t)blank), tail = span_trim(span_cut(line, word.n));
        int end = span_find(tail, ' ');
        int64_t frequency = 1;
        if (line.n == 0)
            continue;
        if (word.n == 0 || (tail.n && !span_to_i64(span_from(tail.p, end < 0 ? tail.n : (size_t)end), &frequency)) || frequency < 0 || frequency > INT32_MAX) {
            buf_printf(err, "%s:%d: a dictionary line is a word, a blank and its frequency", path, number);
            return false;
        }
        struct entry *e = word.n <= WORD_BYTES ? add(l, word) : NULL;
        if (!e && word.n <= WORD_BYTES) {
            buf_printf(err, "%s: out of memory", path);
            return false;
        }
        if (e) {
            e->frequency = frequency;
            l->total += frequency;
        }
    }
    return true;
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
        if (c[0].n > WORD_BYTES)
            continue;
        if (!tune(l, c[0])) {
            buf_printf(err, "%s: out of memory", path);
            return false;
        }
        uint64_t h = HASH_BEGIN;
        for (size_t i = 0; i < c[0].n; i++)
            h = hash_step(h, (unsigned char)c[0].p[i]);
        struct entry *e = find(l, h);
        if (!e->category) {                  /* the first row of a word decides */
            e->category = (uint8_t)category;
            e->strength = (int16_t)strength;
            l->words++;
        }
    }
    if (!l->words)
        buf_printf(err, "%s: no words in it", path);
    return l->words > 0;
}

struct emotion_lexicon *emotion_lexicon_open(const char *path, const char *dictionary, struct buf *err)
{
    size_t n = 0, dictionary_n = 0;
    struct emotion_lexicon *l = base_alloc(sizeof *l);
    char *words = emotion_file_read(path, &n, err), *known = words && dictionary ? emotion_file_read(dictionary, &dictionary_n, err) : NULL;
    if (l)
        *l = (struct emotion_lexicon){ 0 };
    else
        buf_add_z(err, "out of memory");
    bool good = l && words && (!dictionary || (known && read_dictionary(l, dictionary, span_from(known, dictionary_n), err))) &&
                read_words(l, path, span_from(words, n), err);
    free(words);
    free(known);
    if (!good)
        emotion_lexicon_free(&l);
    return l;
}

void emotion_lexicon_free(struct emotion_lexicon **l)
{
    if (!*l)
        return;
    free((*l)->entry);
    free(*l);
    *l = NULL;
}

size_t emotion_lexicon_words(const struct emotion_lexicon *l) { return l->words; }
