/* emotion/corpus.h: labelled texts in memory, and what can be measured on them.
 *
 * A file has one text a line, `code[|code]<TAB>text` or `code<TAB>title<TAB>content`; two codes mean that the label does not
 * tell them apart. Every file is one source: the trainer learns how its labels are spread apart from what words mean. */
#ifndef WEIR_EMOTION_CORPUS_H
#define WEIR_EMOTION_CORPUS_H
#include "emotion/emotion.h"

struct emotion_text {
    struct span title, content;
    unsigned codes;          /* bit mask */
    int source;
    uint32_t line;
};

enum { EMOTION_SOURCES = 64 };

struct emotion_corpus {
    struct emotion_text *text;
    size_t n, cap;
    struct { char *path; char *bytes; } source[EMOTION_SOURCES];
    int sources;
};

void emotion_corpus_init(struct emotion_corpus *);
void emotion_corpus_done(struct emotion_corpus *);
/* A whole file on the heap (free()), its length in *out_n and a NUL behind it; NULL and a sentence in err. */
char *emotion_file_read(const char *path, size_t *out_n, struct buf *err);
/* Reads one file; false and a sentence with file and line in `err` if it cannot be read or a line is malformed. */
bool emotion_corpus_add(struct emotion_corpus *, const char *path, struct buf *err);
/* Which of ten parts a text belongs to; depends on its content alone, so that it stays when lines are added around it. */
unsigned emotion_text_tenth(const struct emotion_text *);

/* ---- measuring ---- */

/* Codes that some label of the corpus does not tell apart are one class: its lowest code stands for it. What a model tells is
 * the class whose codes have the most probability together, the lowest of equals; if every class is one code, that is the code. */
struct emotion_measure {
    int class_of[EMOTION_CODES];
    uint32_t confusion[EMOTION_CODES][EMOTION_CODES];    /* [true class][told class] */
    uint32_t n, right;
    double nll;                                          /* summed: -ln of the probability of the true class */
    struct { uint32_t n, right; double sure; } bin[10];  /* by the probability of what was told: for calibration */
};

void emotion_measure_init(struct emotion_measure *, const struct emotion_corpus *);
void emotion_measure_add(struct emotion_measure *, unsigned codes, const struct emotion *told);
double emotion_measure_accuracy(const struct emotion_measure *);
double emotion_measure_f1(const struct emotion_measure *, int class);          /* -1 if the class does not occur */
double emotion_measure_macro_f1(const struct emotion_measure *);
double emotion_measure_ece(const struct emotion_measure *);                    /* expected calibration error, ten bins */
void emotion_measure_print(const struct emotion_measure *, struct buf *out);   /* the whole report */

#endif
