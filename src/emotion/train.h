/* emotion/train.h: labelled texts in, a model out.
 *
 * The same corpus (files in the same order), lists and options give the same bytes on every machine: integers, IEEE additions, multiplications,
 * divisions and square roots, exact.h for the rest, a fixed generator of random numbers and one thread. */
#ifndef WEIR_EMOTION_TRAIN_H
#define WEIR_EMOTION_TRAIN_H
#include "emotion/corpus.h"
#include "emotion/words.h"

struct emotion_train_options {
    int epochs;              /* passes over the corpus */
    int seeds;               /* models averaged into one table */
    uint64_t seed;           /* of the first one */
    unsigned buckets_log2;   /* rows of the table */
    float rate;              /* Adagrad's step */
    float dropout;           /* share of a text's features that a step does not see */
    float prior;             /* first weight of a group's feature for the codes it speaks for */
    float word_share;        /* words of the lists as texts of their own: their step's share, 0 for none */
    int target;              /* the source whose bias the model gets; -1: the mean of all, and: */
    double calm;             /* how much commoner code 0 is where the model will read than in the corpus, as a logarithm */
    void (*progress)(void *arg, int seed, int epoch);    /* may be NULL */
    void *progress_arg;
};

struct emotion_train_options emotion_train_defaults(void);

/* Texts made features once; shared by the trainings of a cross-validation. */
struct emotion_examples;
struct emotion_examples *emotion_examples_new(const struct emotion_corpus *, const struct emotion_list *, unsigned buckets_log2);  /* NULL: memory */
void emotion_examples_free(struct emotion_examples **);

/* Trains on the texts whose `part` is not `leave_out` (part may be NULL: on all). Returns the bytes of a model, to be freed by
 * free(), scale not calibrated (temperature 1); NULL when out of memory. */
uint8_t *emotion_train(const struct emotion_examples *, const uint8_t *part, int leave_out, const struct emotion_train_options *, double temperature);

#endif
