/* emotion/segment.h: Chinese text into words, as jieba's accurate mode does it.
 *
 * The dictionary gives words their frequencies; a run of ideographs, ASCII letters and digits is cut so that the product of the frequencies is greatest. What is left over as single characters
 * goes through jieba's hidden Markov model, if its tables are there. Both come from files that somebody else installed (Debian's python3-jieba): nothing of them is shipped with Weir.
 *
 * Source: jieba 0.42.1 (MIT licence), read for what it does; spec: the words of `cut()` are the same, the code is not. Where floating-point sums tie, jieba's way of comparing tuples is kept.
 *
 * A segmenter is constant after loading and may be used by any number of threads at once. With Debian's dictionary it takes some 40 MB. */
#ifndef WEIR_SEGMENT_H
#define WEIR_SEGMENT_H
#include "base/base.h"

struct segmenter;

/* Where Debian's python3-jieba puts its dictionary; finalseg/ beside it holds the model. */
#define SEGMENT_DICTIONARY "/usr/lib/python3/dist-packages/jieba/dict.txt"

/* `dictionary`: lines of `word frequency …`; NULL: none, and the words that are added are all that is known. `with_model`: also reads finalseg/prob_{start,trans,emit}.py beside the dictionary,
 * if they are there. NULL, and a sentence with file and line in `err`, if a file cannot be read or is malformed. */
struct segmenter *segmenter_open(const char *dictionary, bool with_model, struct buf *err);
void segmenter_free(struct segmenter **);                    /* sets it to NULL */

/* Makes a word known with just the frequency that lets it win against the parts it is cut into now (jieba's suggest_freq with tune), and gives it a mark above 0, which its first addition
 * decides. False when out of memory. Words of more than 120 bytes are left out. */
bool segmenter_add(struct segmenter *, struct span word, uint32_t mark);

/* Calls `token` for each piece of the text in order, blanks and punctuation too, with the piece's mark or 0. Any bytes are accepted; what is not UTF-8 is a piece of its own. Runs of more than
 * 1,024 characters are cut there. No allocation; 30 KB of stack. */
void segmenter_cut(const struct segmenter *, struct span text, void (*token)(void *arg, struct span piece, uint32_t mark), void *arg);

#endif
