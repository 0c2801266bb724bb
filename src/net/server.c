/* net/server.c: the life of a server: new → listen → start → (drain → wait) → stop → free, and what may be asked of it from any thread.
 *
 * Draining is gentle and takes as long as it takes: no more connections, idle ones are closed, running exchanges end, WebSockets are told 1001.
 * Stopping is final: the loops cut what is left and end. Tasks that are posted after that are run by server_stop and server_free themselves, so a
 * writer that answers late does so into the void but without harm.
 * Called by the engine, the sandbox and the command line. */
#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "net/net_in.h"

enum { LOOPS_MAX = 16, KEPT_DESCRIPTORS = 64 };

/* ---- new ---- */

static int raise_descriptors(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0) return 1024;
    if (r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &r) != 0 && getrlimit(RLIMIT_NOFILE, &r) != 0) return 1024;
    }
    return r.rlim_cur > 1 << 30 ? 1 << 30 : (int)r.rlim_cur;
}

static int cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > LOOPS_MAX ? LOOPS_MAX : n;
}

static char *copy_text(const char *z)
{
    size_t n = z ? strlen(z) + 1 : 0;
    char *p = z ? base_alloc(n) : NULL;
    return p ? memcpy(p, z, n) : NULL;
}

static void deadlines_default(struct deadlines *d)
{
    *d = (struct deadlines){ .head_ms = LIMIT_HEAD_MS, .idle_ms = LIMIT_IDLE_MS, .body_grace_ms = LIMIT_BODY_GRACE_MS, .body_rate = LIMIT_BODY_RATE,
        .send_ms = LIMIT_SEND_MS, .linger_ms = 2000, .linger_total_ms = 15000, .ping_ms = LIMIT_WS_PING_MS, .pong_ms = LIMIT_WS_PONG_MS,
        .close_ms = 2000 };
}

static bool server_setup(struct server *s, struct buf *err)
{
    struct server_config *config = &s->config;
    int descriptors = raise_descriptors(), kept = KEPT_DESCRIPTORS + EXTRA_CONNECTIONS + 3 * s->loop_n;
    s->max_connections = config->max_connections > 0 ? config->max_connections : descriptors - kept;
    if (s->max_connections < 1) {
        buf_printf(err, "only %d open files are allowed; raise the limit (ulimit -n) to 1024 or more", descriptors);
        return false;
    }
    if (!config->tls_cert != !config->tls_key) {
        buf_add_z(err, "TLS needs both a certificate and a key file");
        return false;
    }
    if (!address_list_parse(config->trusted_proxies, &s->trusted, err)) return false;
    s->name = copy_text(config->name ? config->name : "server");
    s->tls_cert = copy_text(config->tls_cert);
    s->tls_key = copy_text(config->tls_key);
    s->loops = base_alloc((size_t)s->loop_n * sizeof *s->loops);
    if (!s->name || !s->loops || !s->tls_cert != !config->tls_cert || !s->tls_key != !config->tls_key) {
        buf_add_z(err, "out of memory");
        return false;
    }
    config->name = s->name;
    config->tls_cert = s->tls_cert;
    config->tls_key = s->tls_key;
    config->trusted_proxies = SPAN("");
    memset(s->loops, 0, (size_t)s->loop_n * sizeof *s->loops);
    if (config->tls_cert && !(s->tls = tls_context_new(config->tls_cert, config->tls_key, NULL, err))) return false;
    return true;
}

struct server *server_new(const struct server_config *config, struct buf *err)
{
    must(config->on_request && config->loops >= 0);
    struct server *s = base_alloc(sizeof *s);
    if (!s) {
        buf_add_z(err, "out of memory");
        return NULL;
    }
    memset(s, 0, sizeof *s);
    s->config = *config;
    if (s->config.arena_bytes == 0) s->config.arena_bytes = LIMIT_ARENA_BYTES;
    s->loop_n = config->loops ? config->loops : cores();
    deadlines_default(&s->deadlines);
    random_bytes(&s->address_seed, sizeof s->address_seed);
    pthread_condattr_t attr;
    must(pthread_mutex_init(&s->lock, NULL) == 0 && pthread_condattr_init(&attr) == 0 && pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    must(pthread_cond_init(&s->drained, &attr) == 0);
    pthread_condattr_destroy(&attr);
    if (!server_setup(s, err)) {
        free(s->loops);
        s->loops = NULL;
        server_free(&s);
    }
    return s;
}

struct deadlines *server_deadlines(struct server *s)
{
    must(!s->started);
    return &s->deadlines;
}

int server_listen(struct server *s, const char *address, struct buf *err)
{
    int port;
    must(!s->started);
    return listener_open(s, address, err, &port) ? port : -1;
}

/* ---- start, drain ---- */

bool server_start(struct server *s, struct buf *err)
{
    must(!s->started);
    s->started = true;
    atomic_store(&s->loops_listening, s->loop_n);
    int n = 0;
    bool ok = true;
    for (; ok && n < s->loop_n; n++) ok = loop_init(&s->loops[n], s, n, err);
    s->loop_n = n;                                           /* those that are to be taken down again */
    for (int i = 0; i < n && ok; i++) {
        struct loop *l = &s->loops[i];
        int bad = pthread_create(&l->thread, NULL, loop_main, l);
        if (bad) {
            buf_printf(err, "cannot start a thread: %s", strerror(bad));
            ok = false;
        } else {
            l->started = true;
        }
    }
    if (!ok) server_stop(s);
    return ok;
}

static void drain_loop(struct loop *l, struct loop_task *task)
{
    struct server *s = l->server;
    (void)task;
    l->draining = true;
    loop_listen_no_more(l);
    for (struct conn *c = l->conns; c; c = c->next) conn_drain(c);      /* marks them; they are closed on the ready list */
    pthread_mutex_lock(&s->lock);
    s->loops_drained++;
    pthread_cond_broadcast(&s->drained);
    pthread_mutex_unlock(&s->lock);
}

void server_drain(struct server *s)
{
    if (!s->started || atomic_exchange(&s->draining, true)) return;
    for (int i = 0; i < s->loop_n; i++) {
        s->loops[i].drain_task.run = drain_loop;
        loop_post(&s->loops[i], &s->loops[i].drain_task);
    }
}

bool server_wait_drained(struct server *s, int64_t deadline_mono_ms)
{
    struct timespec until = { .tv_sec = (time_t)(deadline_mono_ms / 1000), .tv_nsec = (long)(deadline_mono_ms % 1000) * 1000000 };
    int bad = 0;
    bool done = false;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        done = s->loops_drained == s->loop_n && atomic_load(&s->open) == 0;
        if (done || bad == ETIMEDOUT) break;
        bad = pthread_cond_timedwait(&s->drained, &s->lock, &until);
    }
    pthread_mutex_unlock(&s->lock);
    return done;
}

/* ---- stop ---- */

static bool mail_is_left(struct server *s)
{
    bool left = false;
    for (int i = 0; i < s->loop_n && !left; i++) {
        pthread_mutex_lock(&s->loops[i].mailbox_lock);
        left = s->loops[i].mailbox != NULL;
        pthread_mutex_unlock(&s->loops[i].mailbox_lock);
    }
    return left;
}

static void run_mail_that_is_left(struct server *s)
{
    while (mail_is_left(s))
        for (int i = 0; i < s->loop_n; i++) loop_run_mailbox(&s->loops[i]);
}

void server_stop(struct server *s)
{
    if (!s->started || s->stopped) return;
    atomic_store_explicit(&s->stopping, true, memory_order_release);
    for (int i = 0; i < s->loop_n; i++)
        if (s->loops[i].started) loop_wake(&s->loops[i]);
    for (int i = 0; i < s->loop_n; i++)
        if (s->loops[i].started) must(pthread_join(s->loops[i].thread, NULL) == 0);
    s->stopped = true;
    run_mail_that_is_left(s);
}

static void free_addresses(struct server *s)
{
    for (size_t i = 0; i < ADDRESS_SLOTS; i++) {
        while (s->addresses[i]) {
            struct address_count *next = s->addresses[i]->next;
            free(s->addresses[i]);
            s->addresses[i] = next;
        }
    }
}

void server_free(struct server **ps)
{
    struct server *s = *ps;
    *ps = NULL;
    if (!s) return;
    server_stop(s);
    if (s->started && s->loops) {
        run_mail_that_is_left(s);
        for (int i = 0; i < s->loop_n; i++) {
            struct loop *l = &s->loops[i];
            while (l->exchanges) {                           /* held by somebody who has gone */
                l->exchanges->lost = true;
                exchange_end_of(l->exchanges);
            }
            loop_done(l);
        }
    }
    bool closed = s->started && atomic_load(&s->loops_listening) == 0;
    while (s->listeners) {
        struct listener *next = s->listeners->next;
        if (!closed) close(s->listeners->fd);
        free(s->listeners);
        s->listeners = next;
    }
    free_addresses(s);
    tls_context_free(&s->tls);
    address_list_free(&s->trusted);
    pthread_cond_destroy(&s->drained);
    pthread_mutex_destroy(&s->lock);
    free(s->loops);
    free(s->name);
    free(s->tls_cert);
    free(s->tls_key);
    free(s);
}

/* ---- any thread ---- */

bool server_reload_tls(struct server *s, struct buf *err)
{
    if (!s->config.tls_cert) {
        buf_add_z(err, "the server has no certificate to reload: it speaks plaintext");
        return false;
    }
    pthread_mutex_lock(&s->lock);
    struct tls_context *fresh = tls_context_new(s->config.tls_cert, s->config.tls_key, s->tls, err);
    struct tls_context *old = s->tls;
    if (fresh) s->tls = fresh;
    pthread_mutex_unlock(&s->lock);
    if (fresh) tls_context_free(&old);                       /* connections hold what they need of it */
    return fresh != NULL;
}

int server_loop_count(const struct server *s) { return s->loop_n; }

struct loop *server_loop(struct server *s, int index)
{
    must(index >= 0 && index < s->loop_n);
    return &s->loops[index];
}

void server_stats(const struct server *s, struct server_stats *out)
{
    *out = (struct server_stats){ 0 };
    if (!s->started) return;
    for (int i = 0; i < s->loop_n; i++) {
        struct counters c;
        const struct counters *from = &s->loops[i].counters;
        const uint64_t *in = (const uint64_t *)from;
        uint64_t *to = (uint64_t *)&c;
        for (size_t k = 0; k < sizeof c / sizeof *to; k++) to[k] = __atomic_load_n(&in[k], __ATOMIC_RELAXED);
        out->accepted += c.accepted;
        out->open += c.accepted - c.closed;
        out->refused_full += c.refused_full;
        out->requests += c.requests;
        out->sockets += c.sockets;
        out->sockets_open += c.sockets - c.sockets_closed;
        out->bytes_in += c.bytes_in;
        out->bytes_out += c.bytes_out;
        out->refused_protocol += c.refused_protocol;
    }
}

size_t server_idle_bytes(const struct server *s, bool socket)
{
    (void)s;
    return sizeof(struct conn) + (socket ? sizeof(struct socket) + sizeof(struct socket_slot) : 0);
}
