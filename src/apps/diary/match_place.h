/* apps/diary/match_place.h: where a direction stands on the line that match_index.c keeps in its tree. For match_index.c alone.
 *
 * A reduced vector is packed into one number (its "way"); its place is a key (the set of its categories, then a Hilbert curve through their shares, so that neighbours on the line
 * are neighbours in direction), the way, and the id. */
#ifndef WEIR_DIARY_MATCH_PLACE_H
#define WEIR_DIARY_MATCH_PLACE_H
#include "apps/diary/match_index.h"

typedef unsigned __int128 wide;

enum {
    AXES = MATCH_AXES,
    AXIS_BITS = 18,                      /* MATCH_STRENGTH_MAX; seven of them and one bit of neutrality fit in 128 bits */
    CURVE_BITS = 48,                     /* of a place's key, below the 8 bits of the set of axes */
};

/* Compared by key, way, id; the key follows from the way. */
struct place { wide way; uint64_t key; int64_t id; };

wide vector_pack(const uint32_t at[AXES]);               /* reduced vectors only; the order of the numbers is the lexicographic one */
uint64_t vector_square(const uint32_t at[AXES]);
double root_of(uint64_t square);                         /* for bounds only: good to a few units of 2^-52; not 0 */
struct place place_of(int64_t id, wide way);
struct place place_from(int64_t id, const struct match_vector *);

static inline void vector_unpack(wide way, uint32_t at[AXES])
{
    for (int a = AXES - 1; a > 0; a--) {
        at[a] = (uint32_t)way & MATCH_STRENGTH_MAX;
        way >>= AXIS_BITS;
    }
    at[0] = (uint32_t)way;
}

static inline bool place_before(const struct place *a, const struct place *b)
{
    if (a->key != b->key) return a->key < b->key;
    if (a->way != b->way) return a->way < b->way;
    return a->id < b->id;
}
#endif
