/* engine/nearest.h: "did you mean …": of a few known names the one that somebody probably meant. */
#ifndef WEIR_NEAREST_H
#define WEIR_NEAREST_H
#include "base/base.h"

/* Edits between two names: insert, delete, change, or swap two neighbours; ASCII case does not count. Names longer than 64 bytes: SIZE_MAX. */
size_t nearest_edits(struct span a, struct span b);

/* Offers names one by one and keeps the best; `found` stays NULL when none is near (more edits than a third of the longer name, at least 2 allowed). */
struct nearest { struct span wanted; const char *found; size_t edits; };
void nearest_init(struct nearest *, struct span wanted);
void nearest_offer(struct nearest *, const char *name);
#endif
