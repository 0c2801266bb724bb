/* The index against sorting everything.
 *
 * A model keeps a plain array of (id, vector as given). For a query it sorts the array by the rule as the header says it,
 * with its own arithmetic on the vectors as given (not reduced), and the index must give exactly that sequence to its end.
 * The worlds are random from a fixed seed and made so that exact ties abound: few values, few axes, multiples of one
 * direction, the extremes of the range. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/diary/match_index.h"
#include "base/base.h"

typedef unsigned __int128 wide;

/* ---- the model ---- */

struct entry { int64_t id; struct match_vector given, lowest; wide dot; wide square; };
struct model { struct entry *entry; size_t n, cap; int64_t floor; };

static uint32_t gcd_of(uint32_t a, uint32_t b) { return b == 0 ? a : gcd_of(b, a % b); }

static struct match_vector lowest_of(struct match_vector v)
{
    uint32_t g = 0;
    for (int a = 1; a < MATCH_AXES; a++) g = gcd_of(g, v.at[a]);
    if (g == 0) return (struct match_vector){ .at = { 1 } };
    for (int a = 1; a < MATCH_AXES; a++) v.at[a] /= g;
    v.at[0] = 0;
    return v;
}

static struct entry *model_find(struct model *m, int64_t id, struct match_vector v)
{
    struct match_vector lowest = lowest_of(v);
    for (size_t i = 0; i < m->n; i++)
        if (m->entry[i].id == id && memcmp(&m->entry[i].lowest, &lowest, sizeof lowest) == 0) return &m->entry[i];
    return NULL;
}

static void model_add(struct model *m, int64_t id, struct match_vector v)
{
    if (id < m->floor || model_find(m, id, v)) return;
    if (m->n == m->cap) {
        m->cap = m->cap ? 2 * m->cap : 64;
        m->entry = realloc(m->entry, m->cap * sizeof *m->entry);
        assert_non_null(m->entry);
    }
    m->entry[m->n++] = (struct entry){ .id = id, .given = v, .lowest = lowest_of(v) };
}

static bool model_drop(struct model *m, int64_t id, struct match_vector v)
{
    struct entry *e = model_find(m, id, v);
    if (!e) return false;
    *e = m->entry[--m->n];
    return true;
}

static void model_expire(struct model *m, int64_t below)
{
    if (below > m->floor) m->floor = below;
    size_t kept = 0;
    for (size_t i = 0; i < m->n; i++)
        if (m->entry[i].id >= m->floor) m->entry[kept++] = m->entry[i];
    m->n = kept;
}

static int by_rule(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;
    wide x = a->dot * a->dot * b->square, y = b->dot * b->dot * a->square;
    if (x != y) return x > y ? -1 : 1;
    if (a->id != b->id) return a->id < b->id ? -1 : 1;
    for (int i = 0; i < MATCH_AXES; i++)
        if (a->lowest.at[i] != b->lowest.at[i]) return a->lowest.at[i] < b->lowest.at[i] ? -1 : 1;
    return 0;
}

/* A vector without feelings is a direction of its own. */
static uint32_t axis_of(const struct match_vector *v, int axis)
{
    if (axis > 0) return v->at[axis];
    for (int a = 1; a < MATCH_AXES; a++)
        if (v->at[a] != 0) return 0;
    return 1;
}

/* Reads the whole order from the index and compares. */
static void check_order(struct model *m, struct match_index *index, struct match_vector query)
{
    for (size_t i = 0; i < m->n; i++) {
        struct entry *e = &m->entry[i];
        e->dot = e->square = 0;
        for (int a = 0; a < MATCH_AXES; a++) {
            e->dot += (wide)axis_of(&query, a) * axis_of(&e->given, a);
            e->square += (wide)axis_of(&e->given, a) * axis_of(&e->given, a);
        }
    }
    if (m->n > 0) qsort(m->entry, m->n, sizeof *m->entry, by_rule);
    struct match_search search;
    struct match_vector v;
    int64_t id;
    match_search_begin(&search, index, &query);
    for (size_t i = 0; i < m->n && m->entry[i].dot > 0; i++) {
        assert_int_equal(match_search_next(&search, &id, &v), MATCH_FOUND);
        assert_int_equal(id, m->entry[i].id);
        assert_memory_equal(&v, &m->entry[i].lowest, sizeof v);
    }
    assert_int_equal(match_search_next(&search, &id, &v), MATCH_END);
    assert_int_equal(match_search_next(&search, &id, &v), MATCH_END);
    match_search_end(&search);
    match_search_end(&search);
}

/* ---- worlds ---- */

static uint64_t chance_state;

static uint32_t chance(uint32_t below)
{
    uint64_t z = chance_state += UINT64_C(0x9e3779b97f4a7c15);          /* splitmix64 */
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)(((z ^ z >> 31) >> 32) * below >> 32);
}

enum world {
    WORLD_BITS, WORLD_SMALL, WORLD_SHARES, WORLD_DENSE, WORLD_EXTREME, WORLD_ONE_AXIS, WORLD_ONE_WAY, WORLD_NEAR, WORLD_FEW,
    WORLD_TWO_AXES, WORLDS
};

/* What the classifier gives: shares of 10,000, those below 1500 set to 0. */
static struct match_vector vector_shares(void)
{
    struct match_vector v = { { 0 } };
    uint32_t weight[MATCH_AXES] = { 0 }, sum = 0;
    for (int a = 1; a < MATCH_AXES; a++) {
        weight[a] = chance(1000);
        weight[a] = weight[a] * weight[a] / 1000 * weight[a] / 10 + 1;
        sum += weight[a];
    }
    for (int a = 1; a < MATCH_AXES; a++) {
        v.at[a] = (uint32_t)((uint64_t)weight[a] * 10000 / sum);
        if (v.at[a] < 1500) v.at[a] = 0;
    }
    return v;
}

static struct match_vector vector_of(enum world world)
{
    static const uint32_t extreme[] = { 0, 1, 2, MATCH_STRENGTH_MAX / 2, MATCH_STRENGTH_MAX - 1, MATCH_STRENGTH_MAX };
    struct match_vector v = { { 0 } };
    uint32_t k;
    switch (world) {
    case WORLD_BITS: for (int a = 1; a < MATCH_AXES; a++) v.at[a] = chance(3) == 0 ? 1 + chance(2) : 0; break;
    case WORLD_SMALL: for (int i = 0; i < 3; i++) v.at[1 + chance(7)] += chance(10); break;
    case WORLD_SHARES: return vector_shares();
    case WORLD_DENSE: for (int a = 1; a < MATCH_AXES; a++) v.at[a] = chance(200); break;
    case WORLD_EXTREME: for (int a = 1; a < MATCH_AXES; a++) v.at[a] = extreme[chance(LENGTH(extreme))]; break;
    case WORLD_ONE_AXIS: v.at[1 + chance(2)] = chance(10001); break;
    case WORLD_ONE_WAY: k = 1 + chance(2000); v.at[2] = 3 * k; v.at[5] = 2 * k; break;
    case WORLD_NEAR:                                                        /* cosines 1e-11 apart */
        for (int a = 3; a < 6; a++) v.at[a] = MATCH_STRENGTH_MAX - chance(3);
        break;
    case WORLD_FEW: v.at[3] = 1 + chance(3); v.at[4] = chance(3); break;
    case WORLD_TWO_AXES: v.at[2] = 1 + chance(10000), v.at[5] = 10001 - v.at[2]; break;       /* the curve is a line */
    default: fail();
    }
    return v;
}

struct pair { struct model model; struct match_index *index; };

static void pair_open(struct pair *p)
{
    memset(p, 0, sizeof *p);
    assert_non_null(p->index = match_index_new());
}

static void pair_close(struct pair *p)
{
    match_index_free(&p->index);
    assert_null(p->index);
    match_index_free(&p->index);
    free(p->model.entry);
}

static void pair_add(struct pair *p, int64_t id, struct match_vector v)
{
    assert_true(match_index_add(p->index, id, &v));
    model_add(&p->model, id, v);
}

static void pair_drop(struct pair *p, int64_t id, struct match_vector v)
{
    assert_int_equal(match_index_drop(p->index, id, &v), model_drop(&p->model, id, v));
}

static void pair_drop_any(struct pair *p)
{
    if (p->model.n == 0) return;
    struct entry e = p->model.entry[chance((uint32_t)p->model.n)];
    pair_drop(p, e.id, chance(2) ? e.given : e.lowest);
}

/* ---- tests ---- */

static void test_reduce(void **state)
{
    (void)state;
    struct match_vector v = { { 7, 0, 30, 0, 45, 0, 0, 15 } }, expected = { { 0, 0, 2, 0, 3, 0, 0, 1 } };
    v = match_vector_reduce(&v);
    assert_memory_equal(&v, &expected, sizeof v);
    v = (struct match_vector){ { 9 } };
    expected = (struct match_vector){ { 1 } };
    v = match_vector_reduce(&v);
    assert_memory_equal(&v, &expected, sizeof v);
    v = match_vector_reduce(&v);
    assert_true(match_vector_equal(&v, &expected));

    /* too large even in lowest terms: scaled, but no feeling vanishes */
    v = (struct match_vector){ { 0, UINT32_MAX, UINT32_MAX - 1, 1, 0, 0, 0, 0 } };
    v = match_vector_reduce(&v);
    assert_int_equal(v.at[1], MATCH_STRENGTH_MAX);
    assert_true(v.at[2] > 0 && v.at[2] <= MATCH_STRENGTH_MAX);
    assert_int_equal(v.at[3], 1);
    assert_int_equal(v.at[4], 0);
    struct match_vector again = match_vector_reduce(&v);
    assert_true(match_vector_equal(&v, &again));
    /* too large as given, exact after division */
    v = (struct match_vector){ { 0, 4000000000U, 2000000000U } };
    expected = (struct match_vector){ { 0, 2, 1 } };
    v = match_vector_reduce(&v);
    assert_true(match_vector_equal(&v, &expected));
    for (int i = 0; i < 10000; i++) {
        for (int a = 0; a < MATCH_AXES; a++) v.at[a] = chance(3) ? 0 : chance(UINT32_MAX) >> chance(32);
        struct match_vector once = match_vector_reduce(&v);
        again = match_vector_reduce(&once);
        assert_true(match_vector_equal(&once, &again));
        for (int a = 1; a < MATCH_AXES; a++) assert_true(once.at[a] <= MATCH_STRENGTH_MAX && (once.at[a] == 0) == (v.at[a] == 0));
    }
}

static void test_rule_by_hand(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    check_order(&p.model, p.index, (struct match_vector){ { 0, 1 } });
    pair_add(&p, 30, (struct match_vector){ { 0, 5000 } });
    pair_add(&p, 20, (struct match_vector){ { 0, 9000 } });                 /* the same direction, earlier */
    pair_add(&p, 10, (struct match_vector){ { 0, 5000, 5000 } });
    pair_add(&p, 5, (struct match_vector){ { 0, 0, 5000 } });               /* orthogonal */
    pair_add(&p, 4, (struct match_vector){ { 0 } });
    pair_add(&p, 3, (struct match_vector){ { 0 } });
    struct match_search search;
    struct match_vector v, query = { { 0, 7000 } };
    int64_t id, expected[] = { 20, 30, 10 };
    match_search_begin(&search, p.index, &query);
    for (size_t i = 0; i < LENGTH(expected); i++) {
        assert_int_equal(match_search_next(&search, &id, &v), MATCH_FOUND);
        assert_int_equal(id, expected[i]);
    }
    assert_int_equal(match_search_next(&search, &id, &v), MATCH_END);
    match_search_end(&search);

    query = (struct match_vector){ { 0 } };                                 /* neutral: the earliest neutral */
    match_search_begin(&search, p.index, &query);
    assert_int_equal(match_search_next(&search, &id, &v), MATCH_FOUND);
    assert_int_equal(id, 3);
    assert_int_equal(v.at[0], 1);
    assert_int_equal(match_search_next(&search, &id, &v), MATCH_FOUND);
    assert_int_equal(id, 4);
    assert_int_equal(match_search_next(&search, &id, &v), MATCH_END);
    assert_int_equal(match_index_count(p.index), 6);
    pair_close(&p);
}

/* Thousands of small worlds: every shape of world, additions, second vectors, repetitions, removals, expiry. */
static void test_small_worlds(void **state)
{
    (void)state;
    for (int round = 0; round < 4000; round++) {
        struct pair p;
        enum world world = (enum world)(round % WORLDS);
        chance_state = (uint64_t)round;
        pair_open(&p);
        uint32_t steps = chance(4) ? chance(60) : chance(500), ids = 1 + chance(steps + 20);
        for (uint32_t i = 0; i < steps; i++) {
            uint32_t what = chance(100);
            if (what < 75) pair_add(&p, 1 + chance(ids), vector_of(chance(20) ? world : (enum world)chance(WORLDS)));
            else if (what < 96) pair_drop_any(&p);
            else if (what < 98) pair_drop(&p, 1 + chance(ids), vector_of(world));
            else if (chance(10) == 0) {
                int64_t below = chance(ids / 2 + 1);
                match_index_expire(p.index, below);
                model_expire(&p.model, below);
            }
        }
        for (int i = 0; i < 4; i++) check_order(&p.model, p.index, vector_of(i ? world : (enum world)chance(WORLDS)));
        pair_close(&p);
    }
}

/* Large enough for several levels; grows, shrinks to nothing, grows again. */
static void test_large_worlds(void **state)
{
    (void)state;
    for (int world = 0; world < WORLDS; world++) {
        struct pair p;
        chance_state = 1000 + (uint64_t)world;
        pair_open(&p);
        for (int wave = 0; wave < 2; wave++) {
            for (int64_t i = 1; i <= 6000; i++) pair_add(&p, i, vector_of((enum world)world));
            assert_int_equal(match_index_count(p.index), p.model.n);
            for (int i = 0; i < 3; i++) check_order(&p.model, p.index, vector_of((enum world)world));
            while (p.model.n > 3000) pair_drop_any(&p);
            check_order(&p.model, p.index, vector_of((enum world)world));
            while (p.model.n > 0) {
                pair_drop_any(&p);
                if (p.model.n == 100) check_order(&p.model, p.index, vector_of((enum world)world));
            }
            assert_int_equal(match_index_count(p.index), 0);
            check_order(&p.model, p.index, vector_of((enum world)world));
        }
        pair_close(&p);
    }
}

/* Adds without looking for the same entry in the model, which would take quadratic time: for ids that are new. */
static void pair_add_new(struct pair *p, int64_t id, struct match_vector v)
{
    struct model *m = &p->model;
    assert_true(match_index_add(p->index, id, &v));
    if (m->n == m->cap) {
        m->cap = m->cap ? 2 * m->cap : 64;
        m->entry = realloc(m->entry, m->cap * sizeof *m->entry);
        assert_non_null(m->entry);
    }
    m->entry[m->n++] = (struct entry){ .id = id, .given = v, .lowest = lowest_of(v) };
}

static void pair_drop_at(struct pair *p, size_t i)
{
    assert_true(match_index_drop(p->index, p->model.entry[i].id, &p->model.entry[i].given));
    p->model.entry[i] = p->model.entry[--p->model.n];
}

/* cosine^2 > tenths / 10 */
static bool vector_near(const struct match_vector *v, const struct match_vector *w, uint32_t tenths)
{
    wide dot = 0, square = 0, own = 0;
    for (int a = 1; a < MATCH_AXES; a++) {
        dot += (wide)v->at[a] * w->at[a];
        square += (wide)v->at[a] * v->at[a];
        own += (wide)w->at[a] * w->at[a];
    }
    return dot * dot * 10 > square * own * tenths;
}

/* Trees of several inner levels. Whole regions of directions go and come back and then most of the rest goes, so that inner
 * nodes lose their first children, get earlier ones again and merge; every entry must be found again to be dropped. */
static void deep_world(enum world world, uint64_t seed)
{
    struct pair p;
    int64_t id = 0;
    chance_state = seed;
    pair_open(&p);
    for (int wave = 0; wave < 4; wave++) {
        while (p.model.n < 24000) pair_add_new(&p, ++id, vector_of(world));
        check_order(&p.model, p.index, vector_of(world));
        for (int i = 0; i < 300; i++) pair_drop_at(&p, chance((uint32_t)p.model.n));      /* few: nothing merges */
        check_order(&p.model, p.index, vector_of(world));
        struct match_vector middle = vector_of(world);
        for (size_t i = p.model.n; i-- > 0;)
            if (vector_near(&p.model.entry[i].given, &middle, 8)) pair_drop_at(&p, i);
        for (int i = 0; i < 4000; i++) pair_add_new(&p, ++id, vector_of(world));
        check_order(&p.model, p.index, vector_of(world));
        while (p.model.n > 1500) pair_drop_at(&p, chance((uint32_t)p.model.n));
        assert_int_equal(match_index_count(p.index), p.model.n);
        for (int i = 0; i < 2; i++) check_order(&p.model, p.index, vector_of(world));
    }
    while (p.model.n > 0) pair_drop_at(&p, p.model.n - 1);
    assert_int_equal(match_index_count(p.index), 0);
    pair_close(&p);
}

static void test_deep_worlds(void **state)
{
    (void)state;
    static const enum world worlds[] = { WORLD_SHARES, WORLD_DENSE, WORLD_SMALL, WORLD_FEW, WORLD_ONE_WAY };
    for (size_t i = 0; i < LENGTH(worlds); i++) deep_world(worlds[i], 2000);
}

static int by_line(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;
    return a->given.at[2] < b->given.at[2] ? -1 : a->given.at[2] > b->given.at[2];
}

/* Stretches of the line are emptied from one end to the other, so that leaves go while their neighbours are full and inner
 * nodes begin later than their range; then the stretch fills again, and at last most goes, so that inner nodes merge. */
static void test_stretches(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct pair p;
        struct model *m = &p.model;
        int64_t id = 0;
        chance_state = seed;
        pair_open(&p);
        while (m->n < 20000) pair_add_new(&p, ++id, vector_of(WORLD_TWO_AXES));
        for (int turn = 0; turn < 60; turn++) {
            qsort(m->entry, m->n, sizeof *m->entry, by_line);
            size_t length = 100 + chance(1500), from = chance((uint32_t)(m->n - length));
            uint32_t low = m->entry[from].given.at[2], high = m->entry[from + length - 1].given.at[2];
            for (size_t i = 0; i < length; i++) {
                struct entry *e = &m->entry[seed % 2 ? from + i : from + length - 1 - i];
                assert_true(match_index_drop(p.index, e->id, &e->given));
            }
            memmove(&m->entry[from], &m->entry[from + length], (m->n - from - length) * sizeof *m->entry);
            m->n -= length;
            for (; length > 0; length--) {
                struct match_vector v = { { 0 } };
                v.at[2] = low + chance(high - low + 1);
                v.at[5] = 10001 - v.at[2];
                pair_add_new(&p, ++id, v);
            }
        }
        check_order(m, p.index, vector_of(WORLD_TWO_AXES));
        while (m->n > 500) pair_drop_at(&p, chance((uint32_t)m->n));
        check_order(m, p.index, vector_of(WORLD_TWO_AXES));
        while (m->n > 0) pair_drop_at(&p, chance((uint32_t)m->n));
        pair_close(&p);
    }
}

/* Ids in every order, and the lowest and highest there are. */
static void test_ids(void **state)
{
    (void)state;
    struct pair p;
    chance_state = 7;
    pair_open(&p);
    for (int i = 0; i < 3000; i++) {
        int64_t id = chance(2) ? 1 + chance(1000) : INT64_MAX - chance(1000);
        pair_add(&p, id, vector_of(chance(2) ? WORLD_ONE_WAY : WORLD_BITS));
    }
    for (int i = 0; i < 5; i++) check_order(&p.model, p.index, vector_of(i % 2 ? WORLD_ONE_WAY : WORLD_BITS));
    match_index_expire(p.index, INT64_MAX - 500);
    model_expire(&p.model, INT64_MAX - 500);
    match_index_expire(p.index, 3);                                         /* does not go back */
    check_order(&p.model, p.index, vector_of(WORLD_ONE_WAY));
    pair_close(&p);
}

/* A window that moves with the ids: the count and the memory stay bounded, and what is inside is all there. */
static void test_expiry_gives_back(void **state)
{
    (void)state;
    struct pair p;
    chance_state = 8;
    pair_open(&p);
    size_t top = 0;
    for (int64_t id = 1; id <= 60000; id++) {
        struct match_vector v = vector_of(chance(2) ? WORLD_ONE_AXIS : WORLD_SHARES);
        assert_true(match_index_add(p.index, id, &v));
        if (id > 57000) model_add(&p.model, id, v);
        if (id % 50 == 0 && id > 3000) {
            match_index_expire(p.index, id - 2999);
            model_expire(&p.model, id - 2999);
        }
        if (match_index_bytes(p.index) > top) top = match_index_bytes(p.index);
    }
    for (int i = 0; i < 10; i++) check_order(&p.model, p.index, vector_of(i % 2 ? WORLD_ONE_AXIS : WORLD_SHARES));
    assert_true(match_index_count(p.index) < 6000);
    assert_true(top < 6000 * 100);
    match_index_expire(p.index, INT64_MAX);
    for (int i = 0; i < 1000; i++) match_index_expire(p.index, INT64_MAX);
    assert_int_equal(match_index_count(p.index), 0);
    model_expire(&p.model, INT64_MAX);
    check_order(&p.model, p.index, vector_of(WORLD_SHARES));
    assert_true(match_index_bytes(p.index) < 200 * 1024);
    pair_close(&p);
}

/* The promise of the header, for the worlds that fill leaves worst. */
static void test_memory(void **state)
{
    (void)state;
    for (int world = 0; world < WORLDS; world++) {
        struct match_index *index = match_index_new();
        assert_non_null(index);
        chance_state = 9;
        for (int64_t id = 1; id <= 100000; id++) {
            struct match_vector v = vector_of((enum world)world);
            assert_true(match_index_add(index, id, &v));
        }
        bool runs = world == WORLD_ONE_WAY || world == WORLD_ONE_AXIS;   /* growing at their end: nearly full leaves */
        assert_in_range(match_index_bytes(index), 24 * 100000, (runs ? 36 : 52) * 100000);
        match_index_free(&index);
    }
}

/* A search that outlives a change of the index is a bug and stops the process. */
static void test_change_ends_search(void **state)
{
    (void)state;
    struct match_vector v = { { 0, 1 } };
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct match_index *index = match_index_new();
        struct match_search search;
        int64_t id;
        if (!index || !match_index_add(index, 1, &v) || !freopen("/dev/null", "w", stderr)) _exit(1);
        signal(SIGABRT, SIG_DFL);
        match_search_begin(&search, index, &v);
        if (!match_index_add(index, 2, &v)) _exit(1);
        match_search_next(&search, &id, &v);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

#ifdef WEIR_FAULTS
/* Every allocation fails once: the call says so, nothing is lost or half done, and the next try goes through. */
static void test_out_of_memory(void **state)
{
    (void)state;
    fault_arm("alloc:1");
    assert_null(match_index_new());
    fault_arm("alloc:2");
    assert_null(match_index_new());
    fault_arm("alloc:3");
    assert_null(match_index_new());
    fault_arm(NULL);
    int failed = 1;
    for (int nth = 1; failed > 0; nth++) {
        struct pair p;
        char spec[32];
        chance_state = 11;
        failed = 0;
        pair_open(&p);
        snprintf(spec, sizeof spec, "alloc:%d", nth);
        fault_arm(spec);
        for (int64_t id = 1; id <= 4000; id++) {
            struct match_vector v = vector_of(chance(2) ? WORLD_ONE_WAY : WORLD_SMALL);
            size_t count = match_index_count(p.index);
            if (!match_index_add(p.index, id, &v)) {
                failed++;
                assert_int_equal(match_index_count(p.index), count);
            }
            pair_add(&p, id, v);
        }
        assert_true(failed <= 1);
        fault_arm(NULL);
        check_order(&p.model, p.index, vector_of(WORLD_SMALL));
        pair_close(&p);
    }
}

static void test_out_of_memory_in_search(void **state)
{
    (void)state;
    struct pair p;
    struct match_search search;
    struct match_vector v, query = vector_of(WORLD_SHARES);
    chance_state = 12;
    pair_open(&p);
    for (int64_t id = 1; id <= 5000; id++) pair_add(&p, id, vector_of(WORLD_SHARES));
    int64_t id, expected[5000];
    size_t n = 0, i = 0, refused = 0;
    match_search_begin(&search, p.index, &query);
    while (match_search_next(&search, &id, &v) == MATCH_FOUND) expected[n++] = id;
    match_search_end(&search);
    match_search_begin(&search, p.index, &query);
    fault_arm("alloc:1+");
    for (enum match_answer answer; (answer = match_search_next(&search, &id, &v)) != MATCH_END;) {
        if (answer == MATCH_MEMORY) {
            assert_int_equal(match_search_next(&search, &id, &v), MATCH_MEMORY);
            refused++;
            fault_arm(NULL);
        } else {
            assert_int_equal(id, expected[i++]);
        }
    }
    assert_true(refused > 0 && i == n && n > 1000);
    fault_arm("alloc:1");
    match_search_end(&search);                                              /* cannot shrink: keeps */
    fault_arm(NULL);
    check_order(&p.model, p.index, query);
    pair_close(&p);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reduce),
        cmocka_unit_test(test_rule_by_hand),
        cmocka_unit_test(test_small_worlds),
        cmocka_unit_test(test_large_worlds),
        cmocka_unit_test(test_deep_worlds),
        cmocka_unit_test(test_stretches),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_expiry_gives_back),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_change_ends_search),
#ifdef WEIR_FAULTS
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_out_of_memory_in_search),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
