/* emotion/words.h: the hand-made lists (words.txt), for those who train.
 *
 * The corpus is small; what a language knows about itself is not. words.txt groups some thousand words, [表情], emoji and
 * small phrases by what they do in a diary. The groups become features, so that a word the corpus never saw still counts
 * through its group, and a group may say which codes it speaks for, which is where its training starts. */
#ifndef WEIR_EMOTION_WORDS_H
#define WEIR_EMOTION_WORDS_H
#include "emotion/emotion_in.h"

enum { EMOTION_ENTRIES = 16000 };

struct emotion_group { struct span name; unsigned codes; /* bit mask of the codes it speaks for */ };

struct emotion_list {
    uint8_t bytes[EMOTION_WORDS_BYTES];
    struct emotion_group group[EMOTION_GROUPS + 1];
    int groups;                                      /* group[1] … group[groups] */
    struct { struct span word; int group; } entry[EMOTION_ENTRIES];
    size_t entries, slots;                           /* slots: those of the table that are taken; at most half of it */
};

/* Compiles `text`, which must outlive the list (names and words point into it). False and a sentence with file and line in
 * `err` if it is malformed. The list is large (some 700 KB): keep it on the heap. */
bool emotion_list_compile(struct span text, const char *file, struct emotion_list *out, struct buf *err);

/* The lists that were linked in. */
struct span emotion_list_builtin(void);

#endif
