/* cli/listing.h: what `weir routes` and `weir openapi` share: switches without values, and a text on standard output. */
#ifndef WEIR_LISTING_H
#define WEIR_LISTING_H
#include "engine/describe.h"

struct listing_flag { const char *name; bool *on; };
/* -1: go on; otherwise the exit status (--help was answered, or an unknown argument complained about). */
int listing_flags(int argc, char **argv, const char *help, const struct listing_flag *flags, size_t n);
int listing_print(const struct describe *, void (*write)(const struct describe *, struct buf *));
#endif
