/* net/loop.c: one loop is one thread with one epoll. Its turn, always in this order:
 *
 *   wait · events (each connection works at once) · mailbox · timers · ready list · on_loop_turn · what that made ready · bury the dead
 *
 * The mailbox is a locked list and an eventfd. The eventfd is edge-triggered and never read: each write is a new edge. A post to a mailbox that
 * already holds something writes nothing, because the wake-up is still under way.
 *
 * Signals are not ours: a loop's thread blocks them all (SIGPIPE too, which sendfile would raise; it stays pending for ever and harms nobody).
 * Called by server.c. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/net_in.h"

enum { EVENTS = 256, ROUNDS = 4, SPARE_EXCHANGES = 64 };

bool loop_init(struct loop *l, struct server *s, int index, struct buf *err)
{
    *l = (struct loop){ .server = s, .index = index, .epoll = -1, .wake = -1, .spare_fd = -1 };
    l->mailbox_source.kind = SOURCE_MAILBOX;
    must(pthread_mutex_init(&l->mailbox_lock, NULL) == 0);
    pool_init(&l->conn_pool, sizeof(struct conn));
    pool_init(&l->socket_pool, sizeof(struct socket));
    pool_init(&l->frame_out_pool, sizeof(struct out));
    buf_init(&l->write_buf, SIZE_MAX / 2);
    buf_init(&l->scratch, SIZE_MAX / 2);
    wheel_init(l);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    l->read_buf = base_alloc(READ_BYTES);
    struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.ptr = &l->mailbox_source };
    if (l->epoll < 0 || l->wake < 0 || l->spare_fd < 0 || !l->read_buf || !buf_reserve(&l->write_buf, COPY_BYTES) ||
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->wake, &ev) != 0) {
        buf_printf(err, "cannot set up loop %d: %s (raise the limit of open files?)", index, l->read_buf ? strerror(errno) : "out of memory");
        return false;
    }
    return true;
}

void loop_done(struct loop *l)
{
    must(!l->conns && !l->exchanges);
    while (l->spare) {
        struct exchange *next = l->spare->next;
        arena_free(&l->spare->arena);
        free(l->spare);
        l->spare = next;
    }
    pool_done(&l->conn_pool);
    pool_done(&l->socket_pool);
    pool_done(&l->frame_out_pool);
    buf_done(&l->write_buf);
    buf_done(&l->scratch);
    ws_inflater_free(&l->inflater);
    free(l->read_buf);
    free(l->slots);
    if (l->epoll >= 0) close(l->epoll);
    if (l->wake >= 0) close(l->wake);
    if (l->spare_fd >= 0) close(l->spare_fd);
    pthread_mutex_destroy(&l->mailbox_lock);
}

int loop_index(const struct loop *l) { return l->index; }
void loop_set_user(struct loop *l, void *user) { l->user = user; }
void *loop_user(const struct loop *l) { return l->user; }

/* ---- mailbox ---- */

void loop_wake(struct loop *l)
{
    uint64_t one = 1;
    ssize_t n = write(l->wake, &one, sizeof one);
    (void)n;                                     /* cannot fail before 2^64 - 1 wake-ups */
}

void loop_post(struct loop *l, struct loop_task *first)
{
    if (!first) return;
    struct loop_task *last = first;
    while (last->next) last = last->next;
    pthread_mutex_lock(&l->mailbox_lock);
    bool was_empty = l->mailbox == NULL;
    if (was_empty) l->mailbox = first;
    else l->mailbox_last->next = first;
    l->mailbox_last = last;
    pthread_mutex_unlock(&l->mailbox_lock);
    if (was_empty) loop_wake(l);
}

void loop_run_mailbox(struct loop *l)
{
    pthread_mutex_lock(&l->mailbox_lock);
    struct loop_task *list = l->mailbox;
    l->mailbox = l->mailbox_last = NULL;
    pthread_mutex_unlock(&l->mailbox_lock);
    while (list) {
        struct loop_task *task = list;
        list = task->next;
        task->next = NULL;
        task->run(l, task);
    }
}

/* ---- exchanges' pool: they keep their arena's first chunk ---- */

struct exchange *exchange_take(struct loop *l)
{
    struct exchange *ex = l->spare;
    if (ex) {
        l->spare = ex->next;
        l->spare_n--;
        ex->next = NULL;
        return ex;
    }
    ex = base_alloc(sizeof *ex);
    if (!ex) return NULL;
    memset(ex, 0, sizeof *ex);
    ex->arena = arena_new(l->server->config.arena_bytes);
    if (!ex->arena) {
        free(ex);
        return NULL;
    }
    ex->loop = l;
    return ex;
}

void exchange_give(struct exchange *ex)
{
    struct loop *l = ex->loop;
    if (l->spare_n >= SPARE_EXCHANGES) {
        arena_free(&ex->arena);
        free(ex);
        return;
    }
    ex->next = l->spare;
    l->spare = ex;
    l->spare_n++;
}

/* ---- the turn ---- */

static void date_renew(struct loop *l)
{
    int64_t wall = clock_now_ms();
    memcpy(l->date, "Date: ", 6);
    clock_http_date(wall, l->date + 6);
    memcpy(l->date + 35, "\r\n", 2);
    int64_t into = wall % 1000;
    l->date_until_ms = l->now_ms + 1000 - (into < 0 ? into + 1000 : into);
}

static void loop_now(struct loop *l)
{
    l->now_ms = clock_mono_ms();
    if (l->now_ms >= l->date_until_ms) date_renew(l);
}

static void loop_run_ready(struct loop *l)
{
    struct conn *list = l->ready;
    l->ready = l->ready_last = NULL;
    while (list) {
        struct conn *c = list;
        list = c->ready_next;
        c->ready_next = NULL;
        c->ready = false;
        conn_work(c);
    }
    while (l->lost) {
        struct exchange *ex = l->lost;
        *ex->lost_link = ex->lost_next;
        if (ex->lost_next) ex->lost_next->lost_link = ex->lost_link;
        ex->lost_link = NULL;
        exchange_drained(ex);
    }
    out_flush_batch(l);
}

/* Those that still wait on the ready list are buried a turn later. */
static void bury_dead(struct loop *l)
{
    for (struct conn **at = &l->dead; *at;) {
        struct conn *c = *at;
        if (c->ready) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        pool_give(&l->conn_pool, c);
    }
}

static void loop_events(struct loop *l, struct epoll_event *ev, int n)
{
    bool mail = false;
    for (int i = 0; i < n; i++) {
        struct source *source = ev[i].data.ptr;
        switch ((enum source_kind)source->kind) {
        case SOURCE_CONN: conn_event(CONTAINER(source, struct conn, source), ev[i].events); break;
        case SOURCE_LISTENER: listener_accept(l, CONTAINER(source, struct listener, source)); break;
        case SOURCE_MAILBOX: mail = true; break;
        }
    }
    if (mail) loop_run_mailbox(l);
}

static void loop_finish_turn(struct loop *l)
{
    const struct server_config *config = &l->server->config;
    int round = 0;
    do {
        loop_run_ready(l);
        if (config->on_loop_turn) config->on_loop_turn(l, config->user);
        out_flush_batch(l);
    } while (l->ready && ++round < ROUNDS);
    bury_dead(l);
}

static void loop_cut_all(struct loop *l)
{
    loop_listen_no_more(l);
    loop_timer_clear(l, &l->accept_timer);
    while (l->conns) conn_close(l->conns);
    loop_run_mailbox(l);
    loop_finish_turn(l);
    must(!l->ready && !l->dead);                 /* nothing can become ready without a connection */
}

void *loop_main(void *arg)
{
    struct loop *l = arg;
    const struct server_config *config = &l->server->config;
    struct epoll_event events[EVENTS];
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    char name[16];
    snprintf(name, sizeof name, "loop %d", l->index);
    pthread_setname_np(pthread_self(), name);
    loop_now(l);
    if (config->on_loop_start) config->on_loop_start(l, config->user);
    loop_listen(l);
    while (!atomic_load_explicit(&l->server->stopping, memory_order_acquire)) {
        int n = epoll_wait(l->epoll, events, EVENTS, l->ready ? 0 : wheel_wait_ms(l, clock_mono_ms()));
        must(n >= 0 || errno == EINTR);
        loop_now(l);
        loop_events(l, events, n);
        wheel_turn(l);
        loop_finish_turn(l);
    }
    loop_cut_all(l);
    if (config->on_loop_stop) config->on_loop_stop(l, config->user);
    return NULL;
}
