/* net/pool.c: things of one size (connections, WebSockets, queued frames), carved out of slabs. What is given back is used again first;
 * slabs are freed with the pool only, so a loop keeps the memory of its busiest moment: a few hundred bytes a connection.
 *
 * One loop, one thread: no locks. Under AddressSanitizer each thing is a malloc of its own, so that a use after giving back is seen.
 * Called by loop.c, conn.c, socket.c, out.c. */
#include "net/net_in.h"

#if defined(__SANITIZE_ADDRESS__)
#define POOL_BY_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_BY_MALLOC 1
#endif
#endif

enum { SLAB_BYTES = 16 * 1024 };
struct slab { struct slab *next, **link; char bytes[] __attribute__((aligned(16))); };

void pool_init(struct pool *p, size_t size)
{
    *p = (struct pool){ .size = (size + 7) & ~(size_t)7 };
}

static struct slab *slab_new(struct pool *p, size_t bytes)
{
    struct slab *s = base_alloc(sizeof *s + bytes);
    if (!s) return NULL;
    s->next = p->slabs;
    s->link = &p->slabs;
    if (s->next) s->next->link = &s->next;
    p->slabs = s;
    return s;
}

#ifdef POOL_BY_MALLOC

void *pool_take(struct pool *p)
{
    struct slab *s = slab_new(p, p->size);
    return s ? memset(s->bytes, 0, p->size) : NULL;
}

void pool_give(struct pool *p, void *thing)
{
    (void)p;
    struct slab *s = CONTAINER(thing, struct slab, bytes);
    *s->link = s->next;
    if (s->next) s->next->link = s->link;
    free(s);
}

#else

static bool pool_grow(struct pool *p)
{
    struct slab *s = slab_new(p, SLAB_BYTES);
    if (!s) return false;
    for (size_t at = SLAB_BYTES / p->size; at-- > 0;) pool_give(p, s->bytes + at * p->size);
    return true;
}

void *pool_take(struct pool *p)
{
    if (!p->free && !pool_grow(p)) return NULL;
    void *thing = p->free;
    memcpy(&p->free, thing, sizeof p->free);
    return memset(thing, 0, p->size);
}

void pool_give(struct pool *p, void *thing)
{
    memcpy(thing, &p->free, sizeof p->free);
    p->free = thing;
}

#endif

void pool_done(struct pool *p)
{
    while (p->slabs) {
        struct slab *next = p->slabs->next;
        free(p->slabs);
        p->slabs = next;
    }
    p->free = NULL;
}
