/* What the index of waiting diaries costs: adding, the first candidate, memory, at 10,000, 100,000 and 1,000,000 entries.
 *
 * Random worlds as a classifier and as a lexicon fill them, and hostile ones: everything in one direction, everything led by
 * one category, the better half stale, seven dimensions without structure, everything far from the query, everything
 * *equally* far from it (so that every box has to be opened for the lowest id). The goal is that the first candidate at a
 * million costs at most four times what it costs at ten thousand. Fixed seed. Times are processor time of the thread,
 * so that a busy machine does not show as a pause, and contain one reading of that clock, which is printed first.
 * `match_bench 3000000` adds a size of your own; `match_bench --worlds N` takes the first N worlds only.
 *
 * Stale comes in three kinds. Dropped and expired entries should cost nothing. Entries that only the caller's check
 * refuses have to be given one by one, so there the price of one is printed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "shares.h"

enum { QUERIES = 501, AXES = MATCH_AXES };
enum world {
    SHARES, LEXICON, ONE_CATEGORY, ONE_DIRECTION, STALE_DROPPED, STALE_DROPPED_TIES, STALE_EXPIRED, DENSE, FAR, SHELL,
    WORLDS
};

static const char *const world_name[WORLDS] = {
    [SHARES] = "shares of a classifier",
    [LEXICON] = "sums of a lexicon",
    [ONE_CATEGORY] = "one category leads",
    [ONE_DIRECTION] = "one direction",
    [STALE_DROPPED] = "better half dropped",
    [STALE_DROPPED_TIES] = "earlier half of one direction dropped",
    [STALE_EXPIRED] = "earlier half expired",
    [DENSE] = "seven axes at random",
    [FAR] = "all far from the query",
    [SHELL] = "all equally far, in 5040 directions",
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static struct match_vector vector_of(enum world world)
{
    struct match_vector v = { { 0 } };
    switch (world) {
    case LEXICON:                                                       /* two categories are more frequent than the others */
        for (uint32_t words = 1 + chance(40); words > 0; words--) {
            uint32_t axis = chance(4) ? 1 + chance(2) * 4 : 1 + chance(7);
            v.at[axis] += 1 + 2 * chance(5);
        }
        return v;
    case ONE_DIRECTION: case STALE_DROPPED_TIES: v.at[2] = 1500 + chance(8500); return v;
    case DENSE: for (int a = 1; a < AXES; a++) v.at[a] = chance(200); return v;
    case FAR:
        for (int a = 1; a < AXES; a++) v.at[a] = 100 + chance(900);
        v.at[7] = 1;
        return v;
    case SHELL:
        for (uint32_t a = 1; a < AXES; a++) {                           /* a random order of 1..7 */
            uint32_t to = 1 + chance(a);
            v.at[a] = v.at[to];
            v.at[to] = a;
        }
        return v;
    default: return vector_shares(world == ONE_CATEGORY || world == STALE_DROPPED ? 2 : 0);
    }
}

/* Mostly a stranger from the same world. */
static struct match_vector query_of(enum world world)
{
    if (world == FAR) return (struct match_vector){ .at = { [1] = chance(2), [7] = 1 + chance(3) } };
    if (world == SHELL) return (struct match_vector){ .at = { 0, 1, 1, 1, 1, 1, 1, 1 } };
    return vector_of(world);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Removes what a query for category 2 would be given first, down to half. */
static void half_drop(struct match_index *index, size_t n)
{
    struct match_vector query = { .at = { [2] = 1 } }, *found = malloc(n * sizeof *found);
    int64_t *id = malloc(n * sizeof *id);
    struct match_search search;
    size_t got = 0;
    must(found && id);
    match_search_begin(&search, index, &query);
    while (got < n / 2 && match_search_next(&search, &id[got], &found[got]) == MATCH_FOUND) got++;
    match_search_end(&search);
    uint64_t start = now_ns();
    for (size_t i = 0; i < got; i++) must(match_index_drop(index, id[i], &found[i]));
    printf("    %zu drops, %.2f us each\n", got, (double)(now_ns() - start) / 1e3 / (double)(got ? got : 1));
    free(found);
    free(id);
}

static double first_median(struct match_index *index, enum world world, double *out_high)
{
    static uint64_t took[QUERIES];
    for (int i = 0; i < QUERIES; i++) {
        struct match_vector query = query_of(world), v;
        struct match_search search;
        int64_t id;
        uint64_t start = now_ns();
        match_search_begin(&search, index, &query);
        must(match_search_next(&search, &id, &v) != MATCH_MEMORY);
        match_search_end(&search);
        took[i] = now_ns() - start;
    }
    qsort(took, QUERIES, sizeof took[0], by_size);
    *out_high = (double)took[QUERIES * 99 / 100] / 1e3;
    return (double)took[QUERIES / 2] / 1e3;
}

/* The caller refuses the better half: the price of each candidate that it has to look at. */
static double skip_price(struct match_index *index, enum world world)
{
    struct match_vector query = query_of(world), v;
    struct match_search search;
    int64_t id;
    size_t half = match_index_count(index) / 2, given = 0;
    uint64_t start = now_ns();
    match_search_begin(&search, index, &query);
    while (given < half && match_search_next(&search, &id, &v) == MATCH_FOUND) given++;
    match_search_end(&search);
    return (double)(now_ns() - start) / 1e3 / (double)(given ? given : 1);
}

static void bench(enum world world, size_t n, double *first_10k)
{
    struct match_index *index = match_index_new();
    uint64_t *took = malloc(n * sizeof *took), sum = 0;
    must(index && took);
    chance_state = 1;
    for (size_t i = 0; i < n; i++) {
        struct match_vector v = vector_of(world);
        uint64_t start = now_ns();
        must(match_index_add(index, (int64_t)i + 1, &v));
        took[i] = now_ns() - start;
        sum += took[i];
    }
    qsort(took, n, sizeof *took, by_size);
    double bytes = (double)match_index_bytes(index) / (double)n, high;
    if (world == STALE_DROPPED || world == STALE_DROPPED_TIES) half_drop(index, n);
    if (world == STALE_EXPIRED) match_index_expire(index, (int64_t)n / 2);
    double first = first_median(index, world, &high);
    if (n == 10000) *first_10k = first;
    printf("  %8zu: add median %.2f us, mean %.2f, 99.99%% %.1f, worst %.1f; %.1f B an entry; ", n, (double)took[n / 2] / 1e3,
           (double)sum / (double)n / 1e3, (double)took[n - 1 - n / 10000] / 1e3, (double)took[n - 1] / 1e3, bytes);
    printf("first %.1f us (%.2fx of 10k), 99%% %.1f; next %.2f us\n", first, first / *first_10k, high, skip_price(index, world));
    free(took);
    match_index_free(&index);
}

int main(int argc, char **argv)
{
    size_t sizes[4] = { 10000, 100000, 1000000, 0 };
    uint64_t start = now_ns();
    for (int i = 0; i < 1000; i++) now_ns();
    printf("one reading of the clock: %.2f us\n", (double)(now_ns() - start) / 1e6);
    int worlds = WORLDS;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--worlds") == 0 && i + 1 < argc) worlds = (int)strtol(argv[++i], NULL, 10);
        else sizes[3] = (size_t)strtoull(argv[i], NULL, 10);
    }
    for (int world = 0; world < WORLDS && world < worlds; world++) {
        double first_10k = 1;
        printf("%s\n", world_name[world]);
        for (size_t i = 0; i < LENGTH(sizes) && sizes[i] > 0; i++) bench((enum world)world, sizes[i], &first_10k);
        fflush(stdout);
    }
    return 0;
}
