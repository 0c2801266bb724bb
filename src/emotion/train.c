/* emotion/train.c: softmax regression over hashed features.
 *
 * One table for all sources and one bias a source, so that files whose labels are spread differently teach the same words.
 * A label of two codes is satisfied by either (the gradient is that of the sum of their probabilities). Each step hides a
 * share of the text's features, which forces a small corpus to say everything several times. Rare classes weigh more, by
 * the root of how rare they are. Adagrad gives rare features long steps and common ones short steps, without a schedule.
 *
 * Several such models, differing by their seeds, are averaged into one table: it costs nothing at serving time and takes
 * out most of the noise of order and dropout. The averaged table is rounded to signed bytes. */
#include "emotion/train.h"
#include "emotion/exact.h"
#include <math.h>

struct piece { uint32_t bucket; float count; };

struct example { size_t first; uint32_t pieces, features; unsigned codes; int source; };

struct emotion_examples {
    const struct emotion_list *list;
    unsigned buckets_log2;
    int sources;
    size_t n;                    /* the corpus's texts, in its order; behind them the lists' words */
    size_t n_words;
    struct example *example;
    struct piece *piece;
    size_t pieces, cap;
    const struct emotion_corpus *corpus;
};

struct emotion_train_options emotion_train_defaults(void)
{
    return (struct emotion_train_options){ .epochs = 12, .seeds = 6, .seed = 1, .buckets_log2 = 18, .rate = 0.2f, .dropout = 0.6f, .prior = 3.0f,
        .word_share = 0.05f, .target = -1, .calm = 1.0 };
}

/* ---- random numbers: splitmix64 ---- */

static uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

static uint32_t random_below(uint64_t *state, uint32_t n) { return (uint32_t)((random_next(state) >> 32) * n >> 32); }

/* ---- texts to examples ---- */

struct collecting { uint32_t *feature; size_t n, cap; bool failed; };

static void collect(void *arg, const uint32_t *features, size_t n)
{
    struct collecting *c = arg;
    if (c->n + n > c->cap) {
        size_t cap = 2 * (c->n + n);
        uint32_t *more = base_realloc(c->feature, cap * sizeof *more);
        if (!more) {
            c->failed = true;
            return;
        }
        c->feature = more;
        c->cap = cap;
    }
    memcpy(c->feature + c->n, features, n * sizeof *features);
    c->n += n;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static bool add_example(struct emotion_examples *all, struct example *e, const struct emotion_words *words, struct span title, struct span content,
                        struct emotion_tokens *tokens, struct collecting *c)
{
    c->n = 0;
    emotion_tokens_of(words, title, content, tokens);
    emotion_features(words, tokens, collect, c);
    if (c->failed)
        return false;
    e->features = (uint32_t)c->n;
    e->first = all->pieces;
    for (size_t i = 0; i < c->n; i++)
        c->feature[i] >>= 32 - all->buckets_log2;
    qsort(c->feature, c->n, sizeof *c->feature, by_value);
    if (all->pieces + c->n > all->cap) {
        size_t cap = 2 * (all->pieces + c->n);
        struct piece *more = base_realloc(all->piece, cap * sizeof *more);
        if (!more)
            return false;
        all->piece = more;
        all->cap = cap;
    }
    for (size_t i = 0; i < c->n; i++) {
        if (i > 0 && c->feature[i] == c->feature[i - 1])
            all->piece[all->pieces - 1].count += 1;
        else
            all->piece[all->pieces++] = (struct piece){ c->feature[i], 1 };
    }
    e->pieces = (uint32_t)(all->pieces - e->first);
    return true;
}

struct emotion_examples *emotion_examples_new(const struct emotion_corpus *corpus, const struct emotion_list *list, unsigned buckets_log2)
{
    struct emotion_examples *all = base_alloc(sizeof *all);
    struct emotion_tokens *tokens = base_alloc(sizeof *tokens);
    struct collecting c = { 0 };
    bool good = all && tokens;
    if (all) {
        *all = (struct emotion_examples){ .list = list, .buckets_log2 = buckets_log2, .sources = corpus->sources, .n = corpus->n, .corpus = corpus };
        all->example = base_alloc((corpus->n + list->entries + 1) * sizeof *all->example);
        good = good && all->example;
    }
    struct emotion_words words = emotion_words_view(list->bytes);
    for (size_t i = 0; good && i < corpus->n; i++) {
        const struct emotion_text *t = &corpus->text[i];
        all->example[i] = (struct example){ .codes = t->codes, .source = t->source };
        good = add_example(all, &all->example[i], &words, t->title, t->content, tokens, &c);
    }
    for (size_t i = 0; good && i < list->entries; i++) {
        unsigned codes = list->group[list->entry[i].group].codes;
        if (!codes)
            continue;
        struct example *e = &all->example[all->n + all->n_words++];
        *e = (struct example){ .codes = codes, .source = corpus->sources };
        good = add_example(all, e, &words, span_from(NULL, 0), list->entry[i].word, tokens, &c);
    }
    free(c.feature);
    free(tokens);
    if (!good)
        emotion_examples_free(&all);
    return all;
}

void emotion_examples_free(struct emotion_examples **all)
{
    if (!*all)
        return;
    free((*all)->example);
    free((*all)->piece);
    free(*all);
    *all = NULL;
}

/* ---- one model ---- */

/* A row of the table and Adagrad's sums for it: what one feature touches is one line of the cache. */
struct row { float weight[EMOTION_CODES], square[EMOTION_CODES]; };

struct learner {
    struct row *row;                                                 /* [buckets], in `room` */
    void *room;
    float bias[EMOTION_SOURCES + 1][EMOTION_CODES], bias_square[EMOTION_SOURCES + 1][EMOTION_CODES];
    float class_weight[EMOTION_CODES];
    size_t *order;
    struct piece *kept;                                              /* the pieces of one step that dropout left */
};

static void softmax_of(const float score[EMOTION_CODES], float out[EMOTION_CODES])
{
    float best = score[0], sum = 0;
    for (int k = 1; k < EMOTION_CODES; k++)
        best = score[k] > best ? score[k] : best;
    for (int k = 0; k < EMOTION_CODES; k++)
        sum += out[k] = (float)exact_exp(score[k] - best);
    for (int k = 0; k < EMOTION_CODES; k++)
        out[k] /= sum;
}

static void learn(struct learner *l, const struct emotion_examples *all, const struct example *e, float share, const struct emotion_train_options *o, uint64_t *state)
{
    float scale = (float)emotion_weight(e->features), keep = 1 - o->dropout, score[EMOTION_CODES], p[EMOTION_CODES], slope[EMOTION_CODES];
    uint32_t limit = (uint32_t)((double)keep * 65536.0);
    size_t n = 0;
    uint64_t bits = 0;
    for (uint32_t i = 0; i < e->pieces; i++) {
        if (i % 4 == 0)
            bits = random_next(state);
        if ((bits >> (16 * (i % 4)) & 0xffff) < limit) {
            l->kept[n] = all->piece[e->first + i];
            l->kept[n++].count *= scale / keep;
        }
    }
    memcpy(score, l->bias[e->source], sizeof score);
    for (size_t i = 0; i < n; i++) {
        const struct row *row = &l->row[l->kept[i].bucket];
        float count = l->kept[i].count;
        for (int k = 0; k < EMOTION_CODES; k++)
            score[k] += row->weight[k] * count;
    }
    softmax_of(score, p);
    float inside = 0, weight = 0;
    for (int k = 0; k < EMOTION_CODES; k++)
        if (e->codes >> k & 1) {
            inside += p[k];
            weight += p[k] * l->class_weight[k];
        }
    if (inside < 1e-12f)
        inside = 1e-12f;
    weight = share * weight / inside;
    for (int k = 0; k < EMOTION_CODES; k++) {
        float want = e->codes >> k & 1 ? p[k] / inside : 0;
        slope[k] = weight * (p[k] - want);
    }
    for (int k = 0; k < EMOTION_CODES; k++) {
        float *b = &l->bias[e->source][k], *s = &l->bias_square[e->source][k];
        *s += slope[k] * slope[k];
        *b -= o->rate * slope[k] / (sqrtf(*s) + 1e-6f);
    }
    for (size_t i = 0; i < n; i++) {
        struct row *row = &l->row[l->kept[i].bucket];
        float count = l->kept[i].count, rate = o->rate;
        for (int k = 0; k < EMOTION_CODES; k++) {
            float g = slope[k] * count;
            row->square[k] += g * g;
            row->weight[k] -= rate * g / (sqrtf(row->square[k]) + 1e-6f);
        }
    }
}

static void begin(struct learner *l, const struct emotion_examples *all, const struct emotion_train_options *o)
{
    memset(l->row, 0, sizeof *l->row << all->buckets_log2);
    memset(l->bias, 0, sizeof l->bias);
    memset(l->bias_square, 0, sizeof l->bias_square);
    for (int g = 1; g <= all->list->groups; g++) {
        unsigned codes = all->list->group[g].codes;
        float *w = l->row[emotion_group_feature(g) >> (32 - all->buckets_log2)].weight;
        for (int k = 0; k < EMOTION_CODES; k++)
            if (codes)
                w[k] += codes >> k & 1 ? o->prior / (float)__builtin_popcount(codes) : -o->prior / EMOTION_CODES;
    }
}

/* ---- several models, one table ---- */

static void weigh_classes(struct learner *l, const struct emotion_examples *all, const size_t *use, size_t n)
{
    double count[EMOTION_CODES] = { 0 }, most = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned codes = all->example[use[i]].codes;
        if (use[i] < all->n)
            for (int k = 0; k < EMOTION_CODES; k++)
                count[k] += codes >> k & 1 ? 1.0 / __builtin_popcount(codes) : 0;
    }
    for (int k = 0; k < EMOTION_CODES; k++)
        most = count[k] > most ? count[k] : most;
    for (int k = 0; k < EMOTION_CODES; k++)
        l->class_weight[k] = count[k] > 0 ? (float)sqrt(most / count[k]) : 1;
}

static uint8_t *finish(const struct emotion_examples *all, const float *sum, double bias[EMOTION_CODES], int seeds, double temperature)
{
    size_t cells = (size_t)EMOTION_CODES << all->buckets_log2;
    uint8_t *bytes = base_alloc(emotion_model_bytes(all->buckets_log2));
    if (!bytes)
        return NULL;
    float most = 1e-6f;
    for (size_t i = 0; i < cells; i++)
        most = fabsf(sum[i]) > most ? fabsf(sum[i]) : most;
    memcpy(bytes + EMOTION_HEAD_BYTES, all->list->bytes, EMOTION_WORDS_BYTES);
    int8_t *rows = (int8_t *)bytes + EMOTION_HEAD_BYTES + EMOTION_WORDS_BYTES;
    for (size_t i = 0; i < cells; i++) {
        float v = sum[i] / most * 127;
        int q = (int)(v < 0 ? v - 0.5f : v + 0.5f);
        rows[i] = (int8_t)(q < -127 ? -127 : q > 127 ? 127 : q);
    }
    for (int k = 0; k < EMOTION_CODES; k++)
        bias[k] = bias[k] / seeds / temperature;
    emotion_model_seal(bytes, all->buckets_log2, (double)most / 127 / seeds / temperature, bias);
    return bytes;
}

uint8_t *emotion_train(const struct emotion_examples *all, const uint8_t *part, int leave_out, const struct emotion_train_options *o, double temperature)
{
    size_t cells = (size_t)EMOTION_CODES << all->buckets_log2, n = 0, longest = 1;
    struct learner l = { .room = base_alloc((sizeof *l.row << all->buckets_log2) + sizeof *l.row),
        .order = base_alloc((all->n + all->n_words + 1) * sizeof(size_t)) };
    float *sum = base_alloc(cells * sizeof *sum);
    uint8_t *bytes = NULL;
    for (size_t i = 0; i < all->n + all->n_words; i++)
        longest = all->example[i].pieces > longest ? all->example[i].pieces : longest;
    l.kept = base_alloc(longest * sizeof *l.kept);
    if (!l.room || !l.order || !l.kept || !sum)
        goto out;
    l.row = (struct row *)(((uintptr_t)l.room + sizeof *l.row - 1) / sizeof *l.row * sizeof *l.row);
    for (size_t i = 0; i < all->n + all->n_words; i++)
        if (i < all->n ? !part || part[i] != leave_out : o->word_share > 0)
            l.order[n++] = i;
    weigh_classes(&l, all, l.order, n);
    memset(sum, 0, cells * sizeof *sum);
    double bias[EMOTION_CODES] = { 0 };
    for (int s = 0; s < o->seeds; s++) {
        uint64_t state = o->seed + (uint64_t)s * UINT64_C(0x632be59bd9b4e019);
        begin(&l, all, o);
        for (int epoch = 0; epoch < o->epochs; epoch++) {
            if (o->progress)
                o->progress(o->progress_arg, s, epoch);
            for (size_t i = n; i > 1; i--) {
                size_t j = random_below(&state, (uint32_t)i), t = l.order[i - 1];
                l.order[i - 1] = l.order[j];
                l.order[j] = t;
            }
            for (size_t i = 0; i < n; i++)
                learn(&l, all, &all->example[l.order[i]], l.order[i] < all->n ? 1 : o->word_share, o, &state);
        }
        for (size_t i = 0; i < cells; i++)
            sum[i] += l.row[i / EMOTION_CODES].weight[i % EMOTION_CODES];
        for (int k = 0; k < EMOTION_CODES; k++)
            for (int f = 0; f < all->sources; f++)
                if (o->target < 0 || f == o->target)
                    bias[k] += (double)l.bias[f][k] / (o->target < 0 ? all->sources : 1);
    }
    if (o->target < 0)
        bias[EMOTION_NONE] += o->calm * o->seeds * temperature;      /* a prior has no share in how sure the rest may be */
    bytes = finish(all, sum, bias, o->seeds, temperature);
out:
    free(l.room);
    free(l.order);
    free(l.kept);
    free(sum);
    return bytes;
}
