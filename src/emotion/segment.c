/* emotion/segment.c: the likeliest cut into known words, and the likeliest joining of what is left over.
 *
 * Words and the beginnings of words lie in one hash table by their bytes; a beginning that is no word has frequency 0, and the search for longer words stops where not even a beginning is known.
 * Characters that the best cut leaves alone, side by side, are words that the dictionary lacks: names, new words. A hidden Markov model over four states (begin, middle, end, single) joins them.
 *
 * The sums are made in jieba's order with the C library's log(), as Python's are, so that what is equally likely there is equally likely here. */
#include "emotion/segment.h"
#include "emotion/corpus.h"

#include <math.h>
#include <stdio.h>

enum { RUN = 1024, WORD_BYTES = 120, FIRST_HAN = 0x4E00, LAST_HAN = 0x9FD5, HANS = LAST_HAN - FIRST_HAN + 1 };
enum { B, E, M, S, STATES };                                 /* by their letters: jieba breaks ties by them, the later wins */
static const double NEVER = -3.14e100;                       /* jieba's "cannot be" */

struct entry { uint64_t hash; int64_t frequency; double log; uint32_t mark; };

struct model { double start[STATES], trans[STATES][STATES], emit[STATES][HANS]; };

struct segmenter {
    struct entry *entry;
    size_t cap, n;               /* cap is a power of two, at least twice n */
    int64_t total;
    double log_total;
    struct model *model;         /* NULL: none */
};

/* ---- the table of words ---- */

static uint64_t hash_step(uint64_t h, unsigned char c) { return (h ^ c) * 0x100000001b3ULL; }
static const uint64_t HASH_BEGIN = 0xcbf29ce484222325ULL;

static uint64_t hash_bytes(const char *p, size_t n)
{
    uint64_t h = HASH_BEGIN;
    for (size_t i = 0; i < n; i++)
        h = hash_step(h, (unsigned char)p[i]);
    return h;
}

static struct entry *find(const struct segmenter *l, uint64_t hash)
{
    hash += !hash;               /* 0 is an empty place */
    size_t at = (size_t)((hash * 0x9e3779b97f4a7c15ULL) >> 32) & (l->cap - 1);
    while (l->entry[at].hash && l->entry[at].hash != hash)
        at = (at + 1) & (l->cap - 1);
    return &l->entry[at];
}

static bool grow(struct segmenter *l)
{
    struct segmenter bigger = { .cap = l->cap ? 2 * l->cap : 1 << 14 };
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
static struct entry *add(struct segmenter *l, struct span word)
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

static void set_frequency(struct segmenter *l, struct entry *e, int64_t frequency)
{
    e->frequency = frequency;
    e->log = frequency > 0 ? log((double)frequency) : 0;
    l->total += frequency;
    l->log_total = l->total > 0 ? log((double)l->total) : 0;
}

/* ---- one run of characters ---- */

/* Where its characters begin, what they are, and for each the best way on from there. */
struct run {
    const char *text;
    size_t n;
    uint32_t at[RUN + 1], c[RUN];
    double best[RUN + 1];
    uint16_t next[RUN];
    void (*token)(void *arg, struct span piece, uint32_t mark);
    void *arg;
    const struct segmenter *l;
};

static struct span piece_of(const struct run *r, size_t from, size_t to) { return span_from(r->text + r->at[from], r->at[to] - r->at[from]); }

static void give(const struct run *r, size_t from, size_t to)
{
    struct span piece = piece_of(r, from, to);
    const struct entry *e = r->l->cap ? find(r->l, hash_bytes(piece.p, piece.n)) : NULL;
    r->token(r->arg, piece, e && e->hash ? e->mark : 0);
}

static bool is_word(const struct run *r, size_t from, size_t to)
{
    struct span piece = piece_of(r, from, to);
    const struct entry *e = r->l->cap ? find(r->l, hash_bytes(piece.p, piece.n)) : NULL;
    return e && e->hash && e->frequency;
}

static void best_cut(struct run *r)
{
    const struct segmenter *l = r->l;
    r->best[r->n] = 0;
    for (size_t i = r->n; i-- > 0;) {
        uint64_t h = HASH_BEGIN;
        bool any = false;
        for (size_t j = i + 1; j <= r->n && l->cap; j++) {
            for (uint32_t k = r->at[j - 1]; k < r->at[j]; k++)
                h = hash_step(h, (unsigned char)r->text[k]);
            const struct entry *e = find(l, h);
            if (!e->hash)
                break;
            if (e->frequency == 0)               /* only the beginning of words */
                continue;
            double sum = e->log - l->log_total + r->best[j];
            if (!any || sum >= r->best[i]) {     /* ties go to the later end, as with jieba's tuples */
                r->best[i] = sum;
                r->next[i] = (uint16_t)j;
                any = true;
            }
        }
        if (!any) {                              /* an unknown character stands for itself, as if seen once */
            r->best[i] = 0 - l->log_total + r->best[i + 1];
            r->next[i] = (uint16_t)(i + 1);
        }
    }
}

/* ---- what the dictionary lacks ---- */

static bool is_han(uint32_t c) { return c >= FIRST_HAN && c <= LAST_HAN; }
static bool is_digit(uint32_t c) { return c >= '0' && c <= '9'; }
static bool is_alnum(uint32_t c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* Viterbi over the ideographs from..to; jieba's sums in jieba's order, for -3.14e100 swallows what is added to it. */
static void join_han(const struct run *r, size_t from, size_t to)
{
    static const uint8_t before[STATES][2] = { [B] = { E, S }, [M] = { B, M }, [S] = { E, S }, [E] = { B, M } };   /* the later letter last */
    const struct model *m = r->l->model;
    uint8_t came[RUN][STATES], state[RUN];
    double v[STATES], w[STATES];
    size_t n = to - from;
    for (int y = 0; y < STATES; y++)
        v[y] = m->start[y] + m->emit[y][r->c[from] - FIRST_HAN];
    for (size_t t = 1; t < n; t++) {
        for (int y = 0; y < STATES; y++) {
            double emit = m->emit[y][r->c[from + t] - FIRST_HAN];
            uint8_t a = before[y][0], b = before[y][1];
            double pa = v[a] + m->trans[a][y] + emit, pb = v[b] + m->trans[b][y] + emit;
            came[t][y] = pb >= pa ? b : a;
            w[y] = pb >= pa ? pb : pa;
        }
        memcpy(v, w, sizeof v);
    }
    state[n - 1] = v[S] >= v[E] ? S : E;
    for (size_t t = n - 1; t > 0; t--)
        state[t - 1] = came[t][state[t]];
    size_t begin = 0, next = 0;
    for (size_t i = 0; i < n; i++) {
        if (state[i] == B) {
            begin = i;
        } else if (state[i] == E) {
            give(r, from + begin, from + i + 1);
            next = i + 1;
        } else if (state[i] == S) {
            give(r, from + i, from + i + 1);
            next = i + 1;
        }
    }
    if (next < n)
        give(r, from + next, to);
}

/* The end of jieba's [a-zA-Z0-9]+(\.\d+)?%? at `at`, which is a letter or a digit. */
static size_t number_end(const struct run *r, size_t at, size_t to)
{
    while (at < to && is_alnum(r->c[at]))
        at++;
    if (at + 1 < to && r->c[at] == '.' && is_digit(r->c[at + 1]))
        for (at++; at < to && is_digit(r->c[at]);)
            at++;
    return at < to && r->c[at] == '%' ? at + 1 : at;
}

/* Characters that the best cut left single, side by side. */
static void give_left_over(const struct run *r, size_t from, size_t to)
{
    if (to - from == 1 || !r->l->model || is_word(r, from, to)) {
        for (size_t i = from; i < to; i++)
            give(r, i, i + 1);
        return;
    }
    for (size_t i = from, end; i < to; i = end) {
        end = i;
        if (is_han(r->c[i])) {
            while (end < to && is_han(r->c[end]))
                end++;
            join_han(r, i, end);
        } else if (is_alnum(r->c[i])) {
            end = number_end(r, i, to);
            give(r, i, end);
        } else {
            while (end < to && !is_han(r->c[end]) && !is_alnum(r->c[end]))
                end++;
            give(r, i, end);
        }
    }
}

static void cut_run(struct run *r)
{
    best_cut(r);
    size_t left = 0;                                         /* what is left over begins here */
    for (size_t i = 0; i < r->n; i = r->next[i]) {
        if (r->next[i] == i + 1)
            continue;
        if (left < i)
            give_left_over(r, left, i);
        give(r, i, r->next[i]);
        left = r->next[i];
    }
    if (left < r->n)
        give_left_over(r, left, r->n);
}

/* jieba's cut without the model: single letters and digits side by side are one piece */
static void cut_run_plainly(struct run *r)
{
    best_cut(r);
    for (size_t i = 0, end; i < r->n; i = end) {
        for (end = i; end < r->n && r->next[end] == end + 1 && is_alnum(r->c[end]);)
            end++;
        if (end == i)
            end = r->next[i];
        give(r, i, end);
    }
}

/* ---- whole texts ---- */

/* jieba's class of what is cut: ideographs, ASCII letters and digits, and + # & . _ % - */
static bool is_run(uint32_t c) { return is_han(c) || is_alnum(c) || (c < 0x80 && c && strchr("+#&._%-", (int)c)); }

static void cut_with(const struct segmenter *l, struct span text, void (*cut)(struct run *), void (*token)(void *, struct span, uint32_t), void *arg)
{
    struct run r = { .text = text.p, .token = token, .arg = arg, .l = l };
    const char *p = text.p, *end = text.n ? text.p + text.n : text.p;
    r.n = 0;
    while (p < end) {
        const char *from = p;
        uint32_t c = utf8_next(&p, end);
        bool in_run = is_run(c);
        if (in_run) {
            r.at[r.n] = (uint32_t)(from - text.p);
            r.c[r.n++] = c;
            r.at[r.n] = (uint32_t)(p - text.p);
        }
        if (r.n && (!in_run || r.n == RUN)) {
            cut(&r);
            r.n = 0;
        }
        if (in_run)
            continue;
        if (c == '\r' && p < end && *p == '\n')
            p++;
        token(arg, span_from(from, (size_t)(p - from)), 0);
    }
    if (r.n)
        cut(&r);
}

void segmenter_cut(const struct segmenter *l, struct span text, void (*token)(void *, struct span, uint32_t), void *arg) { cut_with(l, text, cut_run, token, arg); }

/* ---- tuning ---- */

struct share { const struct segmenter *l; double share; };

static void multiply(void *arg, struct span piece, uint32_t mark)
{
    (void)mark;
    struct share *s = arg;
    const struct entry *e = s->l->cap ? find(s->l, hash_bytes(piece.p, piece.n)) : NULL;
    s->share *= (double)(e && e->hash ? e->frequency : 1) / (double)s->l->total;
}

bool segmenter_add(struct segmenter *l, struct span word, uint32_t mark)
{
    if (!word.n || word.n > WORD_BYTES)
        return true;
    struct share s = { l, 1 };
    if (l->total > 0)
        cut_with(l, word, cut_run_plainly, multiply, &s);
    struct entry *e = add(l, word);
    if (!e)
        return false;
    int64_t least = (int64_t)(s.share * (double)l->total) + 1;
    set_frequency(l, e, e->frequency > least ? e->frequency : least);
    if (!e->mark)
        e->mark = mark;
    return true;
}

/* ---- files ---- */

static bool read_dictionary(struct segmenter *l, const char *path, struct span rest, struct buf *err)
{
    for (int number = 1; rest.n; number++) {
        int nl = span_find(rest, '\n');
        struct span line = span_trim(span_from(rest.p, nl < 0 ? rest.n : (size_t)nl));
        rest = span_cut(rest, nl < 0 ? rest.n : (size_t)nl + 1);
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
        if (word.n > WORD_BYTES)
            continue;
        struct entry *e = add(l, word);
        if (!e) {
            buf_printf(err, "%s: out of memory", path);
            return false;
        }
        set_frequency(l, e, frequency);
    }
    return true;
}

/* What a table names in quotes: a state's letter, or an ideograph as \uXXXX; -1 for neither. */
static int32_t named(struct span key)
{
    if (key.n == 1)
        return key.p[0] == 'B' ? B : key.p[0] == 'E' ? E : key.p[0] == 'M' ? M : key.p[0] == 'S' ? S : -1;
    int32_t c = 0;
    if (key.n != 6 || key.p[0] != '\\' || key.p[1] != 'u')
        return -1;
    for (size_t i = 2; i < 6; i++) {
        int d = key.p[i] >= '0' && key.p[i] <= '9' ? key.p[i] - '0' : key.p[i] >= 'a' && key.p[i] <= 'f' ? key.p[i] - 'a' + 10 : -1;
        if (d < 0)
            return -1;
        c = c * 16 + d;
    }
    return c;
}

/* Reads jieba's tables: 'B': {'\u4e00': -3.65, …}, … or 'B': -0.26, …; `row` has a place for each state's `width` values, or one value a state. The bytes end in NUL. */
static bool read_table(char *text, double *row, size_t width, int32_t first)
{
    int32_t state = -1;
    size_t values = 0;
    for (char *p = text; (p = strchr(p, '\''));) {
        char *close = strchr(p + 1, '\'');
        if (!close)
            return false;
        int32_t key = named(span_from(p + 1, (size_t)(close - p - 1)));
        p = close + 1;
        if (*p != ':')
            return false;
        for (p++; *p == ' ';)
            p++;
        if (*p == '{') {
            if (key < 0 || key >= STATES || width == 1)
                return false;
            state = key;
            continue;
        }
        char *end;
        double value = strtod(p, &end);                      /* the program never leaves the C locale */
        if (end == p || !isfinite(value))
            return false;
        if (width == 1 && key >= 0 && key < STATES)
            row[key] = value;
        else if (width > 1 && state >= 0 && key >= first && (size_t)(key - first) < width)
            row[(size_t)state * width + (size_t)(key - first)] = value;
        values++;
        p = end;
    }
    return values > 0;
}

static bool read_model(struct segmenter *l, const char *dictionary, struct buf *err)
{
    const char *slash = strrchr(dictionary, '/');
    int folder = slash ? (int)(slash - dictionary + 1) : 0;
    struct model *m = base_alloc(sizeof *m);
    if (!m) {
        buf_add_z(err, "out of memory");
        return false;
    }
    for (size_t i = 0; i < sizeof *m / sizeof(double); i++)
        ((double *)(void *)m)[i] = NEVER;
    const struct { const char *name; double *row; size_t width; int32_t first; } tables[] = {
        { "start", m->start, 1, 0 }, { "trans", &m->trans[0][0], STATES, 0 }, { "emit", &m->emit[0][0], HANS, FIRST_HAN } };
    for (size_t i = 0; i < LENGTH(tables); i++) {
        char path[4096];
        size_t n = 0;
        if ((size_t)snprintf(path, sizeof path, "%.*sfinalseg/prob_%s.py", folder, dictionary, tables[i].name) >= sizeof path)
            path[0] = '\0';
        struct buf none;
        buf_init(&none, 4096);
        char *text = emotion_file_read(path, &n, i == 0 ? &none : err);
        buf_done(&none);
        bool good = text && strlen(text) == n && read_table(text, tables[i].row, tables[i].width, tables[i].first);
        if (text && !good)
            buf_printf(err, "%s: not one of jieba's tables", path);
        bool missing = !text && i == 0;                      /* no model beside this dictionary: fine */
        free(text);
        if (good)
            continue;
        free(m);
        return missing;
    }
    l->model = m;
    return true;
}

struct segmenter *segmenter_open(const char *dictionary, bool with_model, struct buf *err)
{
    size_t n = 0;
    struct segmenter *l = base_alloc(sizeof *l);
    if (!l) {
        buf_add_z(err, "out of memory");
        return NULL;
    }
    *l = (struct segmenter){ 0 };
    char *known = dictionary ? emotion_file_read(dictionary, &n, err) : NULL;
    bool good = !dictionary || (known && read_dictionary(l, dictionary, span_from(known, n), err) && (!with_model || read_model(l, dictionary, err)));
    free(known);
    if (!good)
        segmenter_free(&l);
    return l;
}

void segmenter_free(struct segmenter **l)
{
    if (!*l)
        return;
    free((*l)->entry);
    free((*l)->model);
    free(*l);
    *l = NULL;
}
