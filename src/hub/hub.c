/* hub/hub.c: rooms in process. A chained hash table a loop, grown by doubling; a room exists while it has members. */
#include "hub/hub.h"
#include "base/hash.h"

#include <stdatomic.h>

struct hub_room { struct hub_room *next; uint64_t hash; struct hub_member *members; size_t count; size_t name_n; char name[]; };

struct hub_local { struct loop *loop; struct hub_room **slots; size_t slot_count, rooms; uint64_t seed; };

struct hub_local *hub_local_new(struct loop *loop)
{
    struct hub_local *h = base_alloc(sizeof *h);
    if (!h) return NULL;
    *h = (struct hub_local){ .loop = loop, .slot_count = 64 };
    random_bytes(&h->seed, sizeof h->seed);             /* room names come from outside */
    h->slots = base_alloc(h->slot_count * sizeof(void *));
    if (!h->slots) {
        free(h);
        return NULL;
    }
    memset(h->slots, 0, h->slot_count * sizeof(void *));
    return h;
}

void hub_local_free(struct hub_local **h)
{
    if (!*h) return;
    must((*h)->rooms == 0);                             /* sockets leave before their loop ends */
    free((*h)->slots);
    free(*h);
    *h = NULL;
}

static struct hub_room **find(const struct hub_local *h, struct span name, uint64_t hash)
{
    struct hub_room **at = &h->slots[hash & (h->slot_count - 1)];
    while (*at && !((*at)->hash == hash && span_is(span_from((*at)->name, (*at)->name_n), name))) at = &(*at)->next;
    return at;
}

static void grow(struct hub_local *h)
{
    size_t more = h->slot_count * 2;
    struct hub_room **slots = base_alloc(more * sizeof(void *));
    if (!slots) return;                                 /* longer chains, nothing worse */
    memset(slots, 0, more * sizeof(void *));
    for (size_t i = 0; i < h->slot_count; i++)
        for (struct hub_room *r = h->slots[i], *next; r; r = next) {
            next = r->next;
            r->next = slots[r->hash & (more - 1)];
            slots[r->hash & (more - 1)] = r;
        }
    free(h->slots);
    h->slots = slots;
    h->slot_count = more;
}

bool hub_join(struct hub_local *h, struct hub_member *m, struct span name, int64_t who, int64_t seen)
{
    hub_leave(h, m);
    uint64_t hash = hash64(name, h->seed);
    struct hub_room **at = find(h, name, hash), *room = *at;
    if (!room) {
        room = base_alloc(sizeof *room + name.n);
        if (!room) return false;
        *room = (struct hub_room){ .hash = hash, .name_n = name.n };
        memcpy(room->name, name.p, name.n);
        *at = room;
        if (++h->rooms > h->slot_count) grow(h);
    }
    m->who = who;
    m->seen = seen;
    m->room = room;
    m->next = room->members;
    m->link = &room->members;
    if (room->members) room->members->link = &m->next;
    room->members = m;
    room->count++;
    return true;
}

void hub_leave(struct hub_local *h, struct hub_member *m)
{
    struct hub_room *room = m->room;
    if (!room) return;
    *m->link = m->next;
    if (m->next) m->next->link = m->link;
    m->room = NULL;
    m->next = NULL;
    m->link = NULL;
    if (--room->count) return;
    struct hub_room **at = find(h, span_from(room->name, room->name_n), room->hash);
    must(*at == room);
    *at = room->next;
    h->rooms--;
    free(room);
}

size_t hub_count(const struct hub_local *h, struct span name)
{
    struct hub_room *room = *find(h, name, hash64(name, h->seed));
    return room ? room->count : 0;
}

/* ---- publishing ---- */

struct parcel { struct loop_task task; struct letter *letter; };
struct letter {
    atomic_int left;                                    /* loops that have not delivered yet */
    struct hub_local *(*local_of)(struct loop *);
    int64_t seq, who;
    bool send_away;
    size_t room_n, self_n, others_n;
    struct parcel parcels[16];
    char bytes[];
};

static void letter_done(struct letter *l)
{
    if (atomic_fetch_sub(&l->left, 1) == 1) free(l);
}

static void deliver(struct loop *loop, struct loop_task *task)
{
    struct letter *l = ((struct parcel *)task)->letter;
    struct hub_local *h = l->local_of(loop);
    struct span name = { l->bytes, l->room_n };
    struct hub_room *room = h ? *find(h, name, hash64(name, h->seed)) : NULL;
    struct frame *self = NULL, *others = NULL;
    /* A send may close a socket, whose state then leaves the room: so the next member is taken before. */
    for (struct hub_member *m = room ? room->members : NULL, *next; m; m = next) {
        next = m->next;
        if (l->send_away) {
            if (l->who == 0 || m->who == l->who) socket_close(m->socket, 1008, SPAN("no longer in this room"));
            continue;
        }
        if (l->seq > 0 && l->seq <= m->seen) continue;
        if (l->seq > 0) m->seen = l->seq;
        bool own = m->who == l->who && l->self_n;
        struct frame **f = own ? &self : &others;
        if (!*f) *f = own ? frame_new(loop, true, span_from(l->bytes + l->room_n, l->self_n))
                          : frame_new(loop, true, span_from(l->bytes + l->room_n + l->self_n, l->others_n));
        if (*f) socket_send(m->socket, *f);
    }
    if (self) frame_release(&self);
    if (others) frame_release(&others);
    letter_done(l);
}

bool hub_publish(struct server *server, struct hub_local *(*local_of)(struct loop *), const struct hub_news *news)
{
    int loops = server_loop_count(server);
    struct letter *l = base_alloc(sizeof *l + news->room.n + news->self.n + news->others.n);
    if (!l) return false;
    must(loops <= (int)LENGTH(l->parcels));
    atomic_init(&l->left, loops);
    l->local_of = local_of;
    l->seq = news->seq;
    l->who = news->who;
    l->send_away = news->send_away;
    l->room_n = news->room.n;
    l->self_n = news->self.n;
    l->others_n = news->others.n;
    memcpy(l->bytes, news->room.p, news->room.n);
    if (news->self.n) memcpy(l->bytes + l->room_n, news->self.p, news->self.n);
    if (news->others.n) memcpy(l->bytes + l->room_n + l->self_n, news->others.p, news->others.n);
    for (int i = 0; i < loops; i++) l->parcels[i] = (struct parcel){ { NULL, deliver }, l };
    for (int i = 0; i < loops; i++) loop_post(server_loop(server, i), &l->parcels[i].task);   /* after the last post l may be gone */
    return true;
}
