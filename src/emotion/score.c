/* emotion/score.c: what a running server does with a text.
 *
 * Every feature names a row of eight signed bytes; the rows are added up in 32-bit integers, so the order of addition and
 * the width of the machine's vectors cannot matter. Only then come a few additions and divisions of doubles (exact.h).
 * Probabilities leave as integers that sum to 10000: what rounding leaves over goes to the largest remainders, lowest code
 * first, and the code is the first of the largest probabilities, so ties have one answer too. */
#include "emotion/emotion_in.h"
#include "emotion/exact.h"
#include <math.h>

const char *emotion_name(int code)
{
    static const char *const names[EMOTION_CODES] = { "静", "乐", "好", "怒", "哀", "惧", "恶", "惊" };
    return code >= 0 && code < EMOTION_CODES ? names[code] : "?";
}

/* Eight lanes; the compilers make of it what the machine has. A block of 256 rows of int8 cannot overflow int16. */
typedef int8_t row8 __attribute__((vector_size(8)));
typedef int16_t sum8 __attribute__((vector_size(16)));
_Static_assert(EMOTION_BLOCK * 127 <= INT16_MAX, "a block must fit its sums; rows are -127 to 127");

struct adding { const struct emotion_model *model; struct emotion_sums *sums; };

static void add_rows(void *arg, const uint32_t *features, size_t n)
{
    struct adding *a = arg;
    const int8_t *rows = a->model->rows;
    unsigned shift = a->model->shift;
    sum8 sum = { 0 };
    for (size_t i = 0; i < n; i++) {
        row8 row;
        memcpy(&row, rows + (size_t)(features[i] >> shift) * EMOTION_CODES, sizeof row);
        sum += __builtin_convertvector(row, sum8);
    }
    for (int k = 0; k < EMOTION_CODES; k++)
        a->sums->of[k] += sum[k];
    a->sums->features += (uint32_t)n;
}

void emotion_sums(const struct emotion_model *model, const struct emotion_tokens *tokens, struct emotion_sums *out)
{
    memset(out, 0, sizeof *out);
    struct adding a = { model, out };
    emotion_features(&model->words, tokens, add_rows, &a);
}

double emotion_weight(uint32_t features) { return 1.0 / sqrt((double)features + 1.0); }

void emotion_softmax(const double score[EMOTION_CODES], struct emotion *out)
{
    double best = score[0], e[EMOTION_CODES], rest[EMOTION_CODES], sum = 0;
    for (int k = 1; k < EMOTION_CODES; k++)
        if (score[k] > best)
            best = score[k];
    for (int k = 0; k < EMOTION_CODES; k++)
        sum += e[k] = exact_exp(score[k] - best);
    int left = EMOTION_WHOLE;
    for (int k = 0; k < EMOTION_CODES; k++) {
        double share = e[k] / sum * EMOTION_WHOLE;
        out->p[k] = (uint16_t)share;
        rest[k] = share - out->p[k];
        left -= out->p[k];
    }
    for (; left > 0; left--) {
        int most = 0;
        for (int k = 1; k < EMOTION_CODES; k++)
            if (rest[k] > rest[most])
                most = k;
        out->p[most]++;
        rest[most] -= 1;
    }
    for (; left < 0; left++) {       /* the shares can round up to 10001 in all; then the largest gives */
        int most = 0;
        for (int k = 1; k < EMOTION_CODES; k++)
            if (out->p[k] > out->p[most])
                most = k;
        out->p[most]--;
    }
    out->code = 0;
    for (int k = 1; k < EMOTION_CODES; k++)
        if (out->p[k] > out->p[out->code])
            out->code = k;
}

void emotion_score(const struct emotion_model *model, struct span title, struct span content, struct emotion *out)
{
    struct emotion_tokens tokens;
    struct emotion_sums sums;
    double score[EMOTION_CODES];
    emotion_tokens_of(&model->words, title, content, &tokens);
    if (tokens.n == 0) {             /* nothing said is nothing felt */
        *out = (struct emotion){ .code = EMOTION_NONE, .p = { EMOTION_WHOLE } };
        return;
    }
    emotion_sums(model, &tokens, &sums);
    double unit = model->scale * emotion_weight(sums.features);
    for (int k = 0; k < EMOTION_CODES; k++)
        score[k] = model->bias[k] + unit * (double)sums.of[k];
    emotion_softmax(score, out);
}
