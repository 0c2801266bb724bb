/* emotion/measure.c: how good a model is, in the figures that people compare: accuracy, F1 a class and their plain mean, the
 * table of confusions, and whether a probability of .8 is right eight times in ten (expected calibration error). */
#include "emotion/corpus.h"
#include "emotion/exact.h"

void emotion_measure_init(struct emotion_measure *m, const struct emotion_corpus *c)
{
    memset(m, 0, sizeof *m);
    for (int k = 0; k < EMOTION_CODES; k++)
        m->class_of[k] = k;
    for (size_t i = 0; i < c->n; i++) {
        unsigned codes = c->text[i].codes;
        int first = m->class_of[__builtin_ctz(codes)];
        for (int k = 0; k < EMOTION_CODES; k++) {
            int old = m->class_of[k];
            if ((codes >> k & 1) && old != first)
                for (int j = 0, low = old < first ? old : first, high = old < first ? first : old; j < EMOTION_CODES; j++)
                    if (m->class_of[j] == high)
                        m->class_of[j] = low;
            first = m->class_of[__builtin_ctz(codes)];
        }
    }
}

void emotion_measure_add(struct emotion_measure *m, unsigned codes, const struct emotion *told)
{
    int gold = m->class_of[__builtin_ctz(codes)], got = 0;
    unsigned share[EMOTION_CODES] = { 0 };
    for (int k = 0; k < EMOTION_CODES; k++)
        share[m->class_of[k]] += told->p[k];
    for (int k = 1; k < EMOTION_CODES; k++)
        got = share[k] > share[got] ? k : got;
    unsigned sure = share[got], true_share = share[gold], bin = sure * 10 / EMOTION_WHOLE;
    bin = bin > 9 ? 9 : bin;
    m->confusion[gold][got]++;
    m->n++;
    m->right += gold == got;
    m->bin[bin].n++;
    m->bin[bin].right += gold == got;
    m->bin[bin].sure += (double)sure / EMOTION_WHOLE;
    m->nll -= exact_log((true_share ? (double)true_share : 0.5) / EMOTION_WHOLE);
}

double emotion_measure_accuracy(const struct emotion_measure *m) { return m->n ? (double)m->right / m->n : 0; }

double emotion_measure_f1(const struct emotion_measure *m, int class)
{
    uint32_t gold = 0, got = 0;
    for (int k = 0; k < EMOTION_CODES; k++) {
        gold += m->confusion[class][k];
        got += m->confusion[k][class];
    }
    return gold ? 2.0 * m->confusion[class][class] / (gold + got) : -1;
}

double emotion_measure_macro_f1(const struct emotion_measure *m)
{
    double sum = 0;
    int classes = 0;
    for (int k = 0; k < EMOTION_CODES; k++) {
        double f1 = emotion_measure_f1(m, k);
        if (f1 >= 0) {
            sum += f1;
            classes++;
        }
    }
    return classes ? sum / classes : 0;
}

double emotion_measure_ece(const struct emotion_measure *m)
{
    double sum = 0;
    for (size_t i = 0; i < LENGTH(m->bin); i++) {
        double gap = m->bin[i].sure - (double)m->bin[i].right;
        sum += gap < 0 ? -gap : gap;
    }
    return m->n ? sum / m->n : 0;
}

/* "1|2 乐好" for a class */
static void print_class(const struct emotion_measure *m, int class, struct buf *out)
{
    const char *bar = "";
    for (int k = 0; k < EMOTION_CODES; k++)
        if (m->class_of[k] == class) {
            buf_printf(out, "%s%d", bar, k);
            bar = "|";
        }
    buf_add_z(out, " ");
    for (int k = 0; k < EMOTION_CODES; k++)
        if (m->class_of[k] == class)
            buf_add_z(out, emotion_name(k));
}

void emotion_measure_print(const struct emotion_measure *m, struct buf *out)
{
    buf_printf(out, "texts %u  accuracy %.4f  macro-F1 %.4f  log loss %.4f  calibration error %.4f\n", m->n, emotion_measure_accuracy(m),
        emotion_measure_macro_f1(m), m->n ? m->nll / m->n : 0, emotion_measure_ece(m));
    buf_add_z(out, "true \\ told");
    for (int k = 0; k < EMOTION_CODES; k++)
        if (m->class_of[k] == k)
            buf_printf(out, "%7d", k);
    buf_add_z(out, "      F1\n");
    for (int k = 0; k < EMOTION_CODES; k++) {
        if (m->class_of[k] != k)
            continue;
        buf_add_z(out, "  ");
        print_class(m, k, out);
        buf_add_z(out, "\t");
        for (int j = 0; j < EMOTION_CODES; j++)
            if (m->class_of[j] == j)
                buf_printf(out, "%7u", m->confusion[k][j]);
        double f1 = emotion_measure_f1(m, k);
        if (f1 >= 0)
            buf_printf(out, "  %6.4f\n", f1);
        else
            buf_add_z(out, "       -\n");
    }
}
