/* bench/shares.h: made-up vectors of salient feelings as a classifier gives them, from a fixed seed. Used by match_bench.c (the index alone) and rows.c (whole databases). */
#ifndef WEIR_BENCH_SHARES_H
#define WEIR_BENCH_SHARES_H
#include "apps/diary/match_index.h"

static uint64_t chance_state = 1;

static inline uint32_t chance(uint32_t below)
{
    uint64_t z = chance_state += UINT64_C(0x9e3779b97f4a7c15);          /* splitmix64 */
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)(((z ^ z >> 31) >> 32) * below >> 32);
}

/* Shares of 10,000, those below 1500 set to 0; axis `lead` gets the most (0: none does). */
static inline struct match_vector vector_shares(uint32_t lead)
{
    struct match_vector v = { { 0 } };
    uint64_t weight[MATCH_AXES] = { 0 }, sum = 0;
    for (int a = 1; a < MATCH_AXES; a++) {
        weight[a] = chance(1000);
        weight[a] = weight[a] * weight[a] * weight[a] / 100000 + 1;
    }
    if (lead) weight[lead] += 8000 + chance(4000);
    for (int a = 1; a < MATCH_AXES; a++) sum += weight[a];
    for (int a = 1; a < MATCH_AXES; a++) {
        v.at[a] = (uint32_t)(weight[a] * 10000 / sum);
        if (v.at[a] < 1500) v.at[a] = 0;
    }
    return v;
}
#endif
