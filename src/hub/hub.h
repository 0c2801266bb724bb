/* hub/hub.h: rooms. Who listens where, and delivery after the commit. In process today; the Redis one will publish to other instances behind the same calls.
 *
 * Each loop has its own hub_local, touched by its thread only: a table from room to the loop's sockets in it. A publication is made once on the thread that committed, and posted to every loop, which
 * encodes its two frames (for the sender himself, for the others) once and shares them among its sockets. Order: one thread publishes (the writer), loops keep the order of posts, so a room's
 * frames arrive in the order of their seq; a subscriber has a `seen` and drops what is not above it, so joining is: subscribe, then read the backlog, then set seen. */
#ifndef WEIR_HUB_H
#define WEIR_HUB_H
#include "base/base.h"
#include "net/server.h"

struct hub_local;
struct hub_member { struct hub_member *next, **link; struct socket *socket; struct hub_room *room; int64_t who, seen; };   /* embedded in the socket's state; all zero when not in a room */

struct hub_local *hub_local_new(struct loop *);              /* NULL: no memory */
void hub_local_free(struct hub_local **);
bool hub_join(struct hub_local *, struct hub_member *, struct span room, int64_t who, int64_t seen);    /* false: no memory */
void hub_leave(struct hub_local *, struct hub_member *);      /* harmless without a room */
size_t hub_count(const struct hub_local *, struct span room); /* members on this loop */

/* Any thread: to all loops of the server, where `local_of` finds each loop's hub. Copies. False: no memory (subscribers will find the message in the history). */
struct hub_news { struct span room; int64_t seq, who; struct span self, others; bool send_away; };
bool hub_publish(struct server *, struct hub_local *(*local_of)(struct loop *), const struct hub_news *);
#endif
