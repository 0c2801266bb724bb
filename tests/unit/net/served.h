/* tests/unit/net/served.h: a server inside the test process, with small handlers chosen by path. What the handlers see is counted in atomics, because they run on
 * the loops' threads. Each test starts its own on a free port and takes it down; taking it down checks that every exchange that had on_head had its on_done. */
#ifndef WEIR_TEST_SERVED_H
#define WEIR_TEST_SERVED_H
#include <stdatomic.h>

#include "net/net_in.h"

struct served {
    struct server *server;
    int port;
    atomic_int heads, dones, held, lost, stuck, drained, messages, opened, closed, paused, last_status, last_close;
    atomic_long streamed;
    pthread_mutex_t lock;
    struct exchange *held_at[64];
    int held_n;
    struct socket_ref refs[512];
    atomic_int ref_n;
    char client[64];                     /* what the last GET /client saw */
    const char *file;
    struct frame *frame;
};

extern struct served served;

struct serve_options { int loops, max_connections, max_per_address; const char *trusted, *cert, *key; struct deadlines deadlines; };   /* deadlines: what is not 0 */
void serve(const struct serve_options *);
void unserve(void);
struct exchange *served_take_held(void);                         /* waits for one */
/* Runs fn on a loop's thread and waits for it. */
void on_loop(int loop, void (*fn)(struct loop *, void *), void *arg);
#endif
