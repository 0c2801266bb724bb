/* emotion/explain.c: the words that weighed most.
 *
 * The model is a sum, so it can be taken apart without a remainder: each row's weight goes to the characters it was made of, a pair's to both halves, what the last sentence adds to the later
 * one. A piece is then a short run of characters within a clause, or a word of the lists, and its weight what its characters have. Of all runs the heaviest is taken, then the heaviest that does
 * not touch it, and so on. A run pays for each character (half the mean weight of one), or every run would swallow its neighbours. */
#include "emotion/emotion_in.h"
#include <stdlib.h>

enum { PIECE_TOKENS = 6 };

struct weights { const struct emotion_model *model; const struct emotion_tokens *tokens; double (*of)[EMOTION_CODES]; size_t n; double unit; };

/* One token's features: itself, its pair with the one before (which gets half), and what else is new with it. */
static void share_out(void *arg, const uint32_t *features, size_t n)
{
    struct weights *w = arg;
    size_t i = w->n++;
    for (size_t f = 0; f < n; f++) {
        const int8_t *row = w->model->rows + (size_t)(features[f] >> w->model->shift) * EMOTION_CODES;
        bool pair = f == 1 && i > 0;
        double mean = 0;
        for (int k = 0; k < EMOTION_CODES; k++)
            mean += row[k];
        mean /= EMOTION_CODES;
        for (int k = 0; k < EMOTION_CODES; k++) {
            double v = w->unit * (row[k] - mean);
            w->of[i][k] += pair ? v / 2 : v;
            if (pair)
                w->of[i - 1][k] += v / 2;
        }
    }
}

struct run { size_t from, to; int code; double weight; };

static int heavier_first(const void *a, const void *b)
{
    const struct run *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return x->from != y->from ? (x->from < y->from ? -1 : 1) : (x->to > y->to) - (x->to < y->to);
}

/* The code a run speaks for most, and how much. */
static struct run weigh(const struct weights *w, size_t from, size_t to)
{
    double sum[EMOTION_CODES] = { 0 };
    for (size_t i = from; i < to; i++)
        for (int k = 0; k < EMOTION_CODES; k++)
            sum[k] += w->of[i][k];
    int best = 0;
    for (int k = 1; k < EMOTION_CODES; k++)
        if (sum[k] > sum[best])
            best = k;
    return (struct run){ from, to, best, sum[best] };
}

static double mean_weight(const struct weights *w)
{
    double sum = 0;
    for (size_t i = 0; i < w->n; i++)
        sum += weigh(w, i, i + 1).weight;
    return w->n ? sum / (double)w->n : 0;
}

static bool ends_piece(const struct emotion_tokens *t, size_t i) { return emotion_is_clause_end(t->at[i]) || t->place[i].n == 0; }

/* All runs worth looking at: words of the lists, and what lies between clause ends, never cutting such a word. */
static size_t runs_of(const struct weights *w, struct run *out)
{
    const struct emotion_tokens *t = w->tokens;
    double price = mean_weight(w) / 2;
    size_t n = 0, word_end = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (ends_piece(t, i) || i < word_end)
            continue;
        for (size_t j = i; j < t->n && j - i < PIECE_TOKENS && !ends_piece(t, j);) {
            size_t word = emotion_word_length(&w->model->words, t, j);
            size_t to = j + (word ? word : 1);
            if (j == i)
                word_end = to;
            if (to - i > PIECE_TOKENS && j > i)
                break;
            struct run r = weigh(w, i, to);
            r.weight -= price * (double)(to - i);
            if (r.weight > 0)
                out[n++] = r;
            j = to;
        }
    }
    return n;
}

/* A piece that occurs again adds to the first one, and moves up with it. */
static void keep(struct emotion_piece piece, struct emotion_piece *out, size_t max, size_t *n)
{
    size_t i = 0;
    while (i < *n && !(out[i].code == piece.code && span_is(out[i].text, piece.text)))
        i++;
    if (i == max)
        return;
    if (i == *n)
        out[(*n)++] = piece;
    else
        out[i].weight += piece.weight;
    for (; i > 0 && out[i - 1].weight < out[i].weight; i--) {
        struct emotion_piece lighter = out[i - 1];
        out[i - 1] = out[i];
        out[i] = lighter;
    }
}

bool emotion_explain(const struct emotion_model *model, struct span title, struct span content, struct emotion_piece *out, size_t max, size_t *out_n, struct emotion *out_told)
{
    struct emotion_tokens t;
    struct emotion_sums sums;
    struct span *place = base_alloc(LENGTH(t.at) * sizeof *place);
    struct weights w = { .model = model, .tokens = &t };
    struct run *run = NULL;
    bool *taken = NULL;
    *out_n = 0;
    emotion_score(model, title, content, out_told);
    if (place) {
        emotion_tokens_placed(&model->words, title, content, place, &t);
        emotion_sums(model, &t, &sums);
        w.unit = model->scale * emotion_weight(sums.features);
        w.of = base_alloc((t.n + 1) * sizeof *w.of);
        run = base_alloc((t.n + 1) * PIECE_TOKENS * sizeof *run);
        taken = base_alloc(t.n + 1);
    }
    bool good = w.of && run && taken;
    if (good) {
        memset(w.of, 0, (t.n + 1) * sizeof *w.of);
        memset(taken, 0, t.n + 1);
        emotion_features_by_token(&model->words, &t, share_out, &w);
        size_t n = runs_of(&w, run);
        qsort(run, n, sizeof *run, heavier_first);
        for (size_t i = 0; i < n; i++) {
            bool free_to_take = true;
            for (size_t k = run[i].from; k < run[i].to; k++)
                free_to_take = free_to_take && !taken[k];
            if (!free_to_take)
                continue;
            memset(taken + run[i].from, 1, run[i].to - run[i].from);
            const char *from = place[run[i].from].p, *to = place[run[i].to - 1].p + place[run[i].to - 1].n;
            double weight = 100 * weigh(&w, run[i].from, run[i].to).weight;
            keep((struct emotion_piece){ span_from(from, (size_t)(to - from)), run[i].code, (int32_t)(weight + 0.5) }, out, max, out_n);
        }
    }
    free(taken);
    free(run);
    free(w.of);
    free(place);
    return good;
}
