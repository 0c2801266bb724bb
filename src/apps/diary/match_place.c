/* apps/diary/match_place.c: vectors in lowest terms, packed, and put on a line. */
#include "apps/diary/match_place.h"
#include "base/base.h"

/* ---- vectors ---- */

static uint32_t divisor_of(const uint32_t at[AXES])
{
    uint32_t g = 0;
    for (int a = 1; a < AXES && g != 1; a++)
        for (uint32_t b = at[a]; b != 0;) {
            uint32_t rest = g % b;
            g = b;
            b = rest;
        }
    return g;
}

struct match_vector match_vector_reduce(const struct match_vector *v)
{
    struct match_vector out = { .at = { 1 } };
    uint32_t g = divisor_of(v->at), top = 0;
    if (g == 0) return out;
    out.at[0] = 0;
    for (int a = 1; a < AXES; a++) {
        out.at[a] = v->at[a] / g;
        if (out.at[a] > top) top = out.at[a];
    }
    if (top <= MATCH_STRENGTH_MAX) return out;
    for (int a = 1; a < AXES; a++) {
        uint32_t scaled = (uint32_t)((uint64_t)out.at[a] * MATCH_STRENGTH_MAX / top);
        out.at[a] = scaled == 0 && out.at[a] != 0 ? 1 : scaled;      /* a feeling must not vanish: 0 means no match */
    }
    return match_vector_reduce(&out);
}

bool match_vector_equal(const struct match_vector *a, const struct match_vector *b)
{
    return memcmp(a->at, b->at, sizeof a->at) == 0;
}

wide vector_pack(const uint32_t at[AXES])
{
    wide way = at[0];
    for (int a = 1; a < AXES; a++) way = way << AXIS_BITS | at[a];
    return way;
}

uint64_t vector_square(const uint32_t at[AXES])
{
    uint64_t sum = 0;
    for (int a = 0; a < AXES; a++) sum += (uint64_t)at[a] * at[a];
    return sum;
}

/* The square root, good to a few units of 2^-52, for bounds only. Newton from a power of two that is at most twice too
 * large: the error falls 1, 1/4, 1/40, 3e-4, 5e-8, 1e-15, so the sixth step is one too many. Spares the index libm. */
double root_of(uint64_t square)
{
    double x = (double)square, r = (double)(UINT64_C(1) << ((65 - __builtin_clzll(square)) / 2));
    for (int i = 0; i < 6; i++) r = (r + x / r) / 2;
    return r;
}

/* ---- places ---- */

/* The position along the Hilbert curve through an n-dimensional cube with 2^bits steps a side: J. Skilling, "Programming
 * the Hilbert curve", 2004. Turns x into the curve's index, transposed (bit k of the index's digit i stands in x[i]), then
 * reads it out. Any order would be correct here; this one makes small boxes. */
static uint64_t curve_index(uint32_t x[], int n, int bits)
{
    for (uint32_t q = UINT32_C(1) << (bits - 1); q > 1; q >>= 1)
        for (int i = 0; i < n; i++) {
            uint32_t swap = (x[0] ^ x[i]) & (q - 1);
            if (x[i] & q) x[0] ^= q - 1;
            else x[0] ^= swap, x[i] ^= swap;
        }
    for (int i = 1; i < n; i++) x[i] ^= x[i - 1];
    uint32_t flip = 0;
    for (uint32_t q = UINT32_C(1) << (bits - 1); q > 1; q >>= 1)
        if (x[n - 1] & q) flip ^= q - 1;
    uint64_t index = 0;
    for (int b = bits - 1; b >= 0; b--)
        for (int i = 0; i < n; i++) index = index << 1 | (((x[i] ^ flip) >> b) & 1);
    return index;
}

/* The set of non-zero axes, then the curve through the shares of the sum: k axes have k - 1 free shares. */
static uint64_t key_of(wide way)
{
    static const int bits[AXES] = { 0, 24, 24, 16, 12, 9, 8, 6 };    /* at most CURVE_BITS together */
    uint32_t at[AXES], share[AXES];
    uint64_t axes = 0, sum = 0;
    int n = 0;
    vector_unpack(way, at);
    for (int a = 0; a < AXES; a++) {
        if (at[a] == 0) continue;
        axes |= UINT64_C(1) << a;
        sum += at[a];
        share[n++] = at[a];
    }
    n--;
    for (int i = 0; i < n; i++) share[i] = (uint32_t)(((uint64_t)share[i] << bits[n]) / sum);
    return axes << CURVE_BITS | (n > 0 ? curve_index(share, n, bits[n]) : 0);
}

struct place place_of(int64_t id, wide way)
{
    return (struct place){ .way = way, .key = key_of(way), .id = id };
}

struct place place_from(int64_t id, const struct match_vector *v)
{
    must(id > 0);
    struct match_vector reduced = match_vector_reduce(v);
    return place_of(id, vector_pack(reduced.at));
}
