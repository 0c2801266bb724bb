/* emotion/lexicon.h: the original's way of telling a feeling, for those who want just that (`emotion.method = lexicon`).
 *
 * A lexicon gives words a category (1 to 7) and a strength. The text is segmented, the strengths of the words that are tokens
 * are added up, the largest sum is the code. No negation, no degree words: the rules of the diary document to the letter,
 * its oddities included (an untitled diary counts its first 100 characters twice). The well-known lexicon of this shape (DUTIR)
 * may not be handed on, so none is shipped; its owner's copy is read as it is.
 *
 * A lexicon is constant after loading and may be used by any number of threads at once. With a dictionary of 350,000 words it
 * takes some 40 MB. */
#ifndef WEIR_EMOTION_LEXICON_H
#define WEIR_EMOTION_LEXICON_H
#include "emotion/emotion.h"

struct emotion_lexicon;

/* `path`: lines of word, category 1-7, strength, with tabs (or commas) between them; or DUTIR's CSV of ten columns, whose 21 kinds
 * become the seven categories. The first row of a word counts. `dictionary`: see segmenter_open; NULL for none: then
 * only the lexicon's own words are known, and the cut with the fewest pieces wins. NULL, and a sentence with file and line in `err`,
 * if a file cannot be read or is malformed. */
struct emotion_lexicon *emotion_lexicon_open(const char *path, const char *dictionary, struct buf *err);
void emotion_lexicon_free(struct emotion_lexicon **);        /* sets it to NULL */
size_t emotion_lexicon_rows(const struct emotion_lexicon *);

/* strength[0] is always 0; code is the first of the largest strengths, 0 if all are 0. */
struct emotion_strengths { int code; int32_t strength[EMOTION_CODES]; };

/* Any bytes are accepted; the first 10,000 characters of each part count. No allocation; 30 KB of stack. */
void emotion_lexicon_score(const struct emotion_lexicon *, struct span title, struct span content, struct emotion_strengths *out);
/* The words that were counted, the strongest first, each once, at most `max`. */
void emotion_lexicon_explain(const struct emotion_lexicon *, struct span title, struct span content, struct emotion_piece *out, size_t max, size_t *out_n);

/* How a text is cut: see segmenter_cut; the mark is the row of the lexicon that decides, from 1 on. */
void emotion_lexicon_cut(const struct emotion_lexicon *, struct span text, void (*token)(void *arg, struct span piece, uint32_t mark), void *arg);

#endif
