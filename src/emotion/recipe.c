/* emotion/recipe.c: hold out, measure, calibrate, train again. */
#include "emotion/recipe.h"
#include "emotion/exact.h"

enum { TENTH = 0 };              /* the tenth that is set aside when only one is */
enum { TRIAL_SEEDS = 2 };        /* how sure a model is depends little on how many it is the mean of: to calibrate, two will do */

/* the scores of one held-out text at temperature 1 */
struct answer { double score[EMOTION_CODES]; unsigned codes; };

static void score_of(const struct emotion_model *m, const struct emotion_text *t, struct answer *out)
{
    struct emotion_tokens tokens;
    struct emotion_sums sums;
    emotion_tokens_of(&m->words, t->title, t->content, &tokens);
    emotion_sums(m, &tokens, &sums);
    double unit = m->scale * emotion_weight(sums.features);
    for (int k = 0; k < EMOTION_CODES; k++)
        out->score[k] = m->bias[k] + unit * (double)sums.of[k];
    out->codes = t->codes;
}

static double log_loss(const struct answer *a, size_t n, double temperature)
{
    double loss = 0;
    for (size_t i = 0; i < n; i++) {
        double best = a[i].score[0], all = 0, right = 0;
        for (int k = 1; k < EMOTION_CODES; k++)
            best = a[i].score[k] > best ? a[i].score[k] : best;
        for (int k = 0; k < EMOTION_CODES; k++) {
            double e = exact_exp((a[i].score[k] - best) / temperature);
            all += e;
            right += a[i].codes >> k & 1 ? e : 0;
        }
        loss -= exact_log(right / all);
    }
    return loss;
}

/* Golden section over the logarithm of the temperature; the loss has one valley there. */
static double best_temperature(const struct answer *a, size_t n)
{
    const double ratio = 0.61803398874989484820;
    double low = -3, high = 3, x = high - ratio * (high - low), y = low + ratio * (high - low);
    double at_x = log_loss(a, n, exact_exp(x)), at_y = log_loss(a, n, exact_exp(y));
    for (int step = 0; n > 0 && step < 30; step++) {
        if (at_x < at_y) {
            high = y;
            y = x;
            at_y = at_x;
            x = high - ratio * (high - low);
            at_x = log_loss(a, n, exact_exp(x));
        } else {
            low = x;
            x = y;
            at_x = at_y;
            y = low + ratio * (high - low);
            at_y = log_loss(a, n, exact_exp(y));
        }
    }
    return n > 0 ? exact_exp((low + high) / 2) : 1;
}

/* what is expected of the answers comes on top of them, as it does in a model */
static void measure(const struct answer *a, size_t n, double temperature, const struct emotion_train_options *o, struct emotion_measure *out)
{
    for (size_t i = 0; i < n; i++) {
        struct emotion told;
        double score[EMOTION_CODES];
        for (int k = 0; k < EMOTION_CODES; k++)
            score[k] = a[i].score[k] / temperature;
        if (o->target < 0)
            score[EMOTION_NONE] += o->calm;
        emotion_softmax(score, &told);
        emotion_measure_add(out, a[i].codes, &told);
    }
}

/* trains without `part` == `which` and appends the answers for just those texts; the model's bytes, or NULL */
static uint8_t *hold_out(const struct emotion_examples *ex, const struct emotion_corpus *c, const uint8_t *part, int which,
                         const struct emotion_train_options *o, struct answer *answers, size_t *n, struct buf *err)
{
    struct emotion_model m;
    struct emotion_train_options plain = *o;
    plain.calm = 0;
    uint8_t *bytes = emotion_train(ex, part, which, &plain, 1);
    if (!bytes) {
        buf_add_z(err, "out of memory while training");
        return NULL;
    }
    must(emotion_model_view(span_from(bytes, emotion_model_bytes(o->buckets_log2)), &m, err));
    for (size_t i = 0; i < c->n; i++)
        if (part[i] == which)
            score_of(&m, &c->text[i], &answers[(*n)++]);
    return bytes;
}

/* Gives each text its part; returns how many there are. */
static int divide(const struct emotion_corpus *c, enum emotion_folds folds, uint8_t *part)
{
    int parts = folds == EMOTION_FOLDS_TENTHS ? 10 : folds == EMOTION_FOLDS_QUARTERS && c->sources > 4 ? 4 : c->sources;
    for (size_t i = 0; i < c->n; i++)
        part[i] = (uint8_t)(folds == EMOTION_FOLDS_TENTHS ? emotion_text_tenth(&c->text[i]) : (unsigned)(c->text[i].source % parts));
    return parts;
}

bool emotion_cross(const struct emotion_corpus *c, const struct emotion_list *list, const struct emotion_train_options *o, enum emotion_folds folds,
                   double *temperature, struct emotion_measure *out, struct buf *err)
{
    struct emotion_examples *ex = emotion_examples_new(c, list, o->buckets_log2);
    struct answer *answers = base_alloc((c->n + 1) * sizeof *answers);
    uint8_t *part = base_alloc(c->n + 1);
    size_t n = 0;
    int parts = 0;
    bool good = ex && answers && part;
    if (!good)
        buf_add_z(err, "out of memory");
    else
        parts = divide(c, folds, part);
    for (int i = 0; good && i < parts; i++) {
        uint8_t *bytes = hold_out(ex, c, part, i, o, answers, &n, err);
        good = bytes != NULL;
        free(bytes);
    }
    if (good) {
        if (!(*temperature > 0))
            *temperature = best_temperature(answers, n);
        emotion_measure_init(out, c);
        measure(answers, n, *temperature, o, out);
    }
    emotion_examples_free(&ex);
    free(answers);
    free(part);
    return good;
}

/* the held-out tenth: with its model's bytes kept, for --dev-tenth */
static uint8_t *without_tenth(const struct emotion_examples *ex, const struct emotion_corpus *c, const struct emotion_train_options *o, bool keep,
                              double *temperature, struct emotion_measure *out, struct buf *err)
{
    struct answer *answers = base_alloc((c->n + 1) * sizeof *answers);
    uint8_t *part = base_alloc(c->n + 1), *bytes = NULL;
    size_t n = 0;
    if (!answers || !part) {
        buf_add_z(err, "out of memory");
        goto out;
    }
    divide(c, EMOTION_FOLDS_TENTHS, part);
    bytes = hold_out(ex, c, part, TENTH, o, answers, &n, err);
    if (!bytes)
        goto out;
    *temperature = best_temperature(answers, n);
    emotion_measure_init(out, c);
    measure(answers, n, *temperature, o, out);
    if (keep) {
        free(bytes);
        bytes = emotion_train(ex, part, TENTH, o, *temperature);
        if (!bytes)
            buf_add_z(err, "out of memory while training");
    }
out:
    free(answers);
    free(part);
    return bytes;
}

uint8_t *emotion_recipe(const struct emotion_corpus *c, const struct emotion_list *list, const struct emotion_train_options *o, bool dev_tenth,
                        size_t *out_n, struct emotion_measure *out_measure, struct buf *err)
{
    double temperature = 0;
    uint8_t *bytes = NULL;
    *out_n = emotion_model_bytes(o->buckets_log2);
    struct emotion_examples *ex = emotion_examples_new(c, list, o->buckets_log2);
    if (!ex) {
        buf_add_z(err, "out of memory");
        return NULL;
    }
    if (!dev_tenth && c->sources > 1) {
        struct emotion_train_options trial = *o;
        trial.seeds = o->seeds < TRIAL_SEEDS ? o->seeds : TRIAL_SEEDS;
        if (!emotion_cross(c, list, &trial, EMOTION_FOLDS_QUARTERS, &temperature, out_measure, err))
            goto out;
    } else {
        bytes = without_tenth(ex, c, o, dev_tenth, &temperature, out_measure, err);
        if (!bytes || dev_tenth)
            goto out;
        free(bytes);
    }
    bytes = emotion_train(ex, NULL, 0, o, temperature);
    if (!bytes)
        buf_add_z(err, "out of memory while training");
out:
    emotion_examples_free(&ex);
    return bytes;
}
