/* base/arena.c: a request's memory. Chunks of growing size, newest first; taking is a bump of a pointer; freeing is for all at once or back to a mark.
 *
 * The escape: code that runs for one request does not check every allocation. Instead the engine arms a jmp_buf before it calls
 * the handler, and an arena that is at its end jumps there. That is safe because a handler owns nothing outside
 * the arena: what belongs to a library is registered with arena_defer and is freed with it. */
#include "base/base.h"

#include <stdio.h>

struct chunk { struct chunk *older; size_t size; char bytes[] __attribute__((aligned(16))); };
struct deferred { struct deferred *older; void (*fn)(void *); void *arg; };

struct arena {
    struct chunk *chunk;             /* newest; NULL before the first take */
    size_t used;                     /* of the newest chunk */
    size_t total;                    /* bytes of all chunks */
    size_t max;
    struct deferred *deferred;
    jmp_buf *escape;
};

enum { FIRST_CHUNK = 4096, LARGEST_STEP = 1024 * 1024 };

struct arena *arena_new(size_t max_bytes)
{
    struct arena *a = base_alloc(sizeof *a);
    if (a) *a = (struct arena){ .max = max_bytes };
    return a;
}

static void run_deferred_until(struct arena *a, const struct deferred *stop)
{
    while (a->deferred != stop) {
        struct deferred *d = a->deferred;
        a->deferred = d->older;
        d->fn(d->arg);
    }
}

static void drop_chunks_until(struct arena *a, const struct chunk *stop)
{
    while (a->chunk && a->chunk != stop) {
        struct chunk *older = a->chunk->older;
        a->total -= a->chunk->size;
        free(a->chunk);
        a->chunk = older;
    }
}

void arena_free(struct arena **a)
{
    if (!*a) return;
    run_deferred_until(*a, NULL);
    drop_chunks_until(*a, NULL);
    free(*a);
    *a = NULL;
}

void arena_reset(struct arena *a)
{
    run_deferred_until(a, NULL);
    /* keep the oldest chunk: most requests fit into it, so a pooled arena works without malloc */
    while (a->chunk && a->chunk->older) {
        struct chunk *older = a->chunk->older;
        a->total -= a->chunk->size;
        free(a->chunk);
        a->chunk = older;
    }
    if (a->chunk && a->chunk->size > 4 * FIRST_CHUNK) drop_chunks_until(a, NULL);
    a->used = 0;
    a->escape = NULL;
}

jmp_buf *arena_arm(struct arena *a, jmp_buf *escape)
{
    jmp_buf *before = a->escape;
    a->escape = escape;
    return before;
}

static void *arena_fail(struct arena *a, int why)
{
    if (a->escape) longjmp(*a->escape, why);
    return NULL;
}

void *arena_take(struct arena *a, size_t n)
{
    if (n > SIZE_MAX - 15) return arena_fail(a, ARENA_ESCAPE_LIMIT);
    n = (n + 15) & ~(size_t)15;
    if (!a->chunk || n > a->chunk->size - a->used) {
        size_t size = a->chunk ? a->chunk->size * 2 : FIRST_CHUNK;
        if (size > LARGEST_STEP) size = LARGEST_STEP;
        if (size < n) size = n;
        if (size > a->max - a->total || a->total > a->max) {
            size = n;
            if (a->total > a->max || n > a->max - a->total) return arena_fail(a, ARENA_ESCAPE_LIMIT);
        }
        struct chunk *c = base_alloc(sizeof *c + size);
        if (!c) return arena_fail(a, ARENA_ESCAPE_MEMORY);
        c->older = a->chunk;
        c->size = size;
        a->chunk = c;
        a->used = 0;
        a->total += size;
    }
    void *p = a->chunk->bytes + a->used;
    a->used += n;
    return p;
}

void *arena_zero(struct arena *a, size_t n)
{
    void *p = arena_take(a, n);
    if (p) memset(p, 0, n);
    return p;
}

void arena_defer(struct arena *a, void (*fn)(void *), void *arg)
{
    jmp_buf *escape = a->escape;
    a->escape = NULL;                          /* what is to be freed must not leak when there is no room to say so */
    struct deferred *d = arena_take(a, sizeof *d);
    a->escape = escape;
    if (!d) {
        fn(arg);
        arena_fail(a, ARENA_ESCAPE_MEMORY);
        return;
    }
    *d = (struct deferred){ a->deferred, fn, arg };
    a->deferred = d;
}

size_t arena_used(const struct arena *a) { return a->total; }

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){ a->chunk, a->used, a->deferred, a->total };
}

void arena_rewind(struct arena *a, struct arena_mark m)
{
    run_deferred_until(a, m.deferred);
    drop_chunks_until(a, m.chunk);
    a->used = a->chunk ? m.used : 0;
}

struct span arena_copy(struct arena *a, struct span s)
{
    char *p = arena_take(a, s.n + 1);
    if (!p) return (struct span){ NULL, 0 };
    if (s.n) memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct span){ p, s.n };
}

struct span arena_join(struct arena *a, struct span x, struct span y)
{
    must(x.n < SIZE_MAX - y.n - 1);
    char *p = arena_take(a, x.n + y.n + 1);
    if (!p) return (struct span){ NULL, 0 };
    if (x.n) memcpy(p, x.p, x.n);
    if (y.n) memcpy(p + x.n, y.p, y.n);
    p[x.n + y.n] = '\0';
    return (struct span){ p, x.n + y.n };
}

const char *arena_z(struct arena *a, struct span s) { return arena_copy(a, s).p; }

struct span arena_int(struct arena *a, int64_t v)
{
    char *p = arena_take(a, 24);
    if (!p) return (struct span){ NULL, 0 };
    char *end = p + 23, *at = end;
    uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;
    *at = '\0';
    do *--at = (char)('0' + u % 10); while ((u /= 10) != 0);
    if (v < 0) *--at = '-';
    return (struct span){ at, (size_t)(end - at) };
}

struct span arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    must(n >= 0);
    char *p = arena_take(a, (size_t)n + 1);
    if (p) vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return (struct span){ p, p ? (size_t)n : 0 };
}
