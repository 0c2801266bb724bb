/* apps/absence/namelist.h: the name list as a file: CSV with the header name,section,manager (or 姓名,声部,管理; in any order; manager may be missing), sections string|wind|percussion and their Chinese
 * names and letters, manager yes|no (empty: no). Pure; used by the import and by its fuzzer.
 *
 * The whole file is checked before anything is done with it: every wrong line is told (the first NAMELIST_FAULTS of them) with what to do about it. */
#ifndef WEIR_ABSENCE_NAMELIST_H
#define WEIR_ABSENCE_NAMELIST_H
#include "apps/absence/rules.h"

enum { NAMELIST_FAULTS = 20, NAMELIST_BYTES = 4 * 1024 * 1024 };
struct listed { struct span name; enum section section; bool manager; int line; };

/* In the arena. False: `faults` says why, a sentence a line. */
bool namelist_read(struct arena *, struct span text, bool chinese, struct listed **out, size_t *out_n, struct buf *faults);

/* A set of names: true if it was not in yet. */
struct names { size_t mask; struct span *at; };
void names_init(struct names *, struct arena *, size_t most);
bool names_add(struct names *, struct span name);
bool names_has(const struct names *, struct span name);
#endif
