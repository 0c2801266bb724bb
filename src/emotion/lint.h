/* emotion/lint.h: what a corpus file may look like. A thousand texts made from ten sentences teach ten things; the check bounds
 * how much two lines may share. Used by `weir emotion check` and by the unit tests over corpus/. */
#ifndef WEIR_EMOTION_LINT_H
#define WEIR_EMOTION_LINT_H
#include "emotion/corpus.h"

enum { EMOTION_LINT_GRAM = 8, EMOTION_LINT_SHORTEST = 8, EMOTION_LINT_LONGEST = 300 };

/* Appends one line a finding (`file:line: what; remedy`) to `out`; returns how many. -1 when out of memory. */
int emotion_lint(const struct emotion_corpus *, struct buf *out);

#endif
