/* emotion/emotion.h: text in, eight probabilities out.
 *
 * A diary gets one of eight codes and, for matching, a probability for each of them. The method is one linear table over
 * hashed pieces of the text (docs/why/emotion.md tells why): some microseconds, no dictionary, no memory, no errors. The
 * table is trained by the build from corpus/ and linked into the program; another one can be loaded from a file.
 *
 * A model is constant after loading and may be used by any number of threads at once. */
#ifndef WEIR_EMOTION_H
#define WEIR_EMOTION_H
#include "base/base.h"

/* the codes of the diary document: calm, joy, liking, anger, sorrow, fear, disgust, surprise */
enum { EMOTION_NONE, EMOTION_JOY, EMOTION_LIKING, EMOTION_ANGER, EMOTION_SORROW, EMOTION_FEAR, EMOTION_DISGUST, EMOTION_SURPRISE,
       EMOTION_CODES };

enum { EMOTION_WHOLE = 10000, EMOTION_CHARACTERS = 10000 };

/* `p` in 1/10000, summing to 10000 exactly; `code` is the first of the largest. */
struct emotion { int code; uint16_t p[EMOTION_CODES]; };

/* "静", "乐", "好", …; "?" for what is no code */
const char *emotion_name(int code);

struct emotion_model;

/* The model that was linked in. Never fails, never to be freed. */
const struct emotion_model *emotion_model_builtin(void);
/* A view of `bytes`, which must outlive the model. NULL and a sentence in `err` (an initialised buf) if they are no model. */
struct emotion_model *emotion_model_load(struct span bytes, struct buf *err);
/* The same from a file, which is read whole (2 MiB). */
struct emotion_model *emotion_model_open(const char *path, struct buf *err);
void emotion_model_free(struct emotion_model **);        /* sets it to NULL; not for the builtin one */

/* Tells the feeling of a diary. Any bytes are accepted (what is not UTF-8 counts as U+FFFD); the first 10,000 characters of
 * title and content together count. An empty title stands for the beginning of the content, as in the original, but is not
 * counted twice; nor is a title that is just how the content begins. No allocation, 50 KB of stack, same result on every machine. */
void emotion_score(const struct emotion_model *, struct span title, struct span content, struct emotion *out);

/* A piece of the text (a view of the caller's bytes) and the code it speaks for most: by `weight` hundredths of the logarithm of the odds against the mean of all codes; with a lexicon, the strength. */
struct emotion_piece { struct span text; int code; int32_t weight; };
/* The pieces that weighed most, the heaviest first, at most `max`; each text once with all its weight, and they do not overlap. The told feeling is that of emotion_score. The whole of a text's weight is shared out over its characters, a pair's
 * between its two, and words of the lists stay whole. False when out of memory (half a megabyte of heap, given back). */
bool emotion_explain(const struct emotion_model *, struct span title, struct span content, struct emotion_piece *out, size_t max, size_t *out_n, struct emotion *out_told);

#endif
