/* tests/unit/net/served.c: see served.h. */
#include "served.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "peer.h"

#include <cmocka.h>

struct served served;

static bool path_is(const struct exchange *ex, const char *path) { return span_is_z(exchange_head(ex)->path, path); }

/* ---- handlers ---- */

static void on_head(struct exchange *ex, void *user)
{
    (void)user;
    atomic_fetch_add(&served.heads, 1);
    if (path_is(ex, "/early")) exchange_reply(ex, 404, SPAN(""), SPAN("early"));
    else if (path_is(ex, "/stream-in") || path_is(ex, "/stream-in-pausing")) {
        exchange_stream_body(ex);
        exchange_limit_body(ex, INT64_C(1) << 40);
    } else if (path_is(ex, "/begin-early")) {
        exchange_begin(ex, 200, SPAN(""));
        exchange_send(ex, SPAN("begun"));
        exchange_end(ex);
    }
}

struct resume { struct loop_task task; struct loop_timer timer; struct exchange *ex; };

static void resume_later(struct loop *l, struct loop_timer *t)
{
    struct resume *r = CONTAINER(t, struct resume, timer);
    (void)l;
    struct exchange *ex = r->ex;
    free(r);
    exchange_resume_body(ex);
}

static bool on_body(struct exchange *ex, struct span piece, void *user)
{
    (void)user;
    atomic_fetch_add(&served.streamed, (long)piece.n);
    if (!path_is(ex, "/stream-in-pausing")) return true;
    struct resume *r = calloc(1, sizeof *r);
    must(r);
    r->ex = ex;
    r->timer.fire = resume_later;
    loop_timer_set(exchange_loop(ex), &r->timer, 1);
    atomic_fetch_add(&served.paused, 1);
    return false;
}

static void hold(struct exchange *ex)
{
    pthread_mutex_lock(&served.lock);
    must(served.held_n < 64);
    served.held_at[served.held_n++] = ex;
    pthread_mutex_unlock(&served.lock);
    atomic_fetch_add(&served.held, 1);
}

/* /count/N streams the numbers up to N, one a line. */
struct counting { int64_t at, end; };

static void count_on(struct exchange *ex)
{
    struct counting *c = exchange_user(ex);
    char text[4096];
    while (!exchange_lost(ex) && c->at < c->end) {
        size_t n = 0;
        while (n < sizeof text - 32 && c->at < c->end) n += (size_t)snprintf(text + n, 32, "%lld\n", (long long)c->at++);
        if (exchange_send(ex, span_from(text, n)) > EXCHANGE_QUEUE_BYTES) {
            atomic_fetch_add(&served.stuck, 1);
            return;
        }
    }
    if (exchange_lost(ex)) atomic_fetch_add(&served.lost, 1);
    exchange_end(ex);
}

static void count_begin(struct exchange *ex)
{
    struct counting *c = arena_take(exchange_arena(ex), sizeof *c);
    must(c);
    *c = (struct counting){ 0 };
    must(span_to_i64(span_cut(exchange_head(ex)->path, 7), &c->end));
    exchange_set_user(ex, c);
    exchange_begin(ex, 200, SPAN("Content-Type: text/plain\r\n"));
    count_on(ex);
}

static void on_drained(struct exchange *ex, void *user)
{
    (void)user;
    atomic_fetch_add(&served.drained, 1);
    count_on(ex);
}

static void reply_big(struct exchange *ex)
{
    int64_t n;
    must(span_to_i64(span_cut(exchange_head(ex)->path, 5), &n));
    char *p = arena_take(exchange_arena(ex), (size_t)n);
    if (!p) {
        exchange_reply(ex, 503, SPAN(""), SPAN(""));
        return;
    }
    for (int64_t i = 0; i < n; i++) p[i] = (char)('a' + i % 23);
    exchange_reply(ex, 200, SPAN(""), span_from(p, (size_t)n));
}

static void reply_file(struct exchange *ex)
{
    int fd = open(served.file, O_RDONLY | O_CLOEXEC);
    must(fd >= 0);
    int64_t n = lseek(fd, 0, SEEK_END);
    if (path_is(ex, "/file-part")) exchange_reply_file(ex, 206, SPAN(""), fd, 1000, 2000);
    else if (path_is(ex, "/file-short")) exchange_reply_file(ex, 200, SPAN(""), fd, 0, n + 100);
    else exchange_reply_file(ex, 200, SPAN(""), fd, 0, n);
}

static void upgrade(struct exchange *ex)
{
    bool deflate = path_is(ex, "/ws-deflate");
    struct socket *s = exchange_upgrade(ex, SPAN("X-Extra: yes\r\n"), deflate, path_is(ex, "/ws-small") ? 100 : 1024 * 1024);
    if (!s) return;
    struct socket_ref ref = socket_ref(s);
    must(loop_socket(socket_loop(s), ref) == s);
    int at = atomic_fetch_add(&served.ref_n, 1);
    if (at < 512) served.refs[at] = ref;
    atomic_fetch_add(&served.opened, 1);
}

static void on_request(struct exchange *ex, void *user)
{
    (void)user;
    const struct http_head *h = exchange_head(ex);
    if (path_is(ex, "/hello")) exchange_reply(ex, 200, SPAN("X-Extra: yes\r\n"), SPAN("hello"));
    else if (path_is(ex, "/echo")) exchange_reply(ex, 200, SPAN(""), exchange_body(ex));
    else if (path_is(ex, "/empty")) exchange_reply(ex, 204, SPAN(""), SPAN(""));
    else if (path_is(ex, "/same")) exchange_reply(ex, 304, SPAN("ETag: \"x\"\r\n"), SPAN("never sent"));
    else if (path_is(ex, "/hold")) hold(ex);
    else if (path_is(ex, "/abort")) exchange_abort(ex);
    else if (span_begins(h->path, SPAN("/count/"))) count_begin(ex);
    else if (span_begins(h->path, SPAN("/big/"))) reply_big(ex);
    else if (span_begins(h->path, SPAN("/file"))) reply_file(ex);
    else if (span_begins(h->path, SPAN("/ws"))) upgrade(ex);
    else if (path_is(ex, "/client")) {
        struct span text = arena_printf(exchange_arena(ex), "%.*s %s %s", SPAN_ARGS(exchange_client(ex)), exchange_is_tls(ex) ? "tls" : "plain",
            exchange_is_loopback(ex) ? "loopback" : "far");
        exchange_reply(ex, 200, SPAN(""), text);
    } else if (span_begins(h->path, SPAN("/stream-in"))) {
        exchange_reply(ex, 200, SPAN(""), SPAN("taken"));
    } else {
        struct span query = h->query;
        exchange_reply(ex, 200, SPAN(""), query);
    }
}

static void on_done(struct exchange *ex, void *user)
{
    (void)user;
    atomic_store(&served.last_status, exchange_status(ex));
    atomic_fetch_add(&served.dones, 1);
}

static void on_refused(struct loop *l, int status, struct span path, struct buf *out, void *user)
{
    (void)l;
    (void)user;
    buf_printf(out, "{\"refused\":%d,\"path\":\"%.*s\"}", status, SPAN_ARGS(path));
}

/* ---- sockets ---- */

static void on_message(struct socket *s, bool text, struct span m, void *user)
{
    (void)user;
    atomic_fetch_add(&served.messages, 1);
    if (span_is_z(m, "close me")) socket_close(s, 4001, SPAN("as you wish"));
    else if (span_is_z(m, "pause")) {
        socket_pause(s);
        atomic_fetch_add(&served.paused, 1);
    } else if (span_is_z(m, "hold")) {
        socket_hold(s);
    } else if (span_is_z(m, "close and talk")) {
        socket_send_text(s, SPAN("before"));
        socket_close(s, 1000, SPAN(""));
        socket_send_text(s, SPAN("after"));
        socket_close(s, 1001, SPAN(""));
    } else if (text) socket_send_text(s, m);
    else socket_send_binary(s, m);
}

static void on_socket_close(struct socket *s, int code, void *user)
{
    (void)user;
    must(loop_socket(socket_loop(s), socket_ref(s)) == NULL);
    atomic_store(&served.last_close, code);
    atomic_fetch_add(&served.closed, 1);
}

/* ---- the fixture ---- */

static void overlay(struct deadlines *to, const struct deadlines *from)
{
    int64_t *a = (int64_t *)to;
    const int64_t *b = (const int64_t *)from;
    for (size_t i = 0; i < sizeof *to / sizeof *a; i++)
        if (b[i]) a[i] = b[i];
}

void serve(const struct serve_options *o)
{
    struct buf err;
    buf_init(&err, 1000);
    memset(&served, 0, sizeof served);
    assert_int_equal(pthread_mutex_init(&served.lock, NULL), 0);
    struct server_config config = { .loops = o->loops ? o->loops : 2, .name = "test", .trusted_proxies = span_of(o->trusted), .tls_cert = o->cert, .tls_key = o->key,
        .max_connections = o->max_connections, .max_per_address = o->max_per_address, .on_head = on_head, .on_body = on_body, .on_request = on_request,
        .on_done = on_done, .on_refused = on_refused, .on_drained = on_drained, .on_message = on_message, .on_socket_close = on_socket_close };
    served.server = server_new(&config, &err);
    if (!served.server) fail_msg("%.*s", (int)err.n, err.p);
    overlay(server_deadlines(served.server), &o->deadlines);
    served.port = server_listen(served.server, "127.0.0.1:0", &err);
    if (served.port <= 0 || !server_start(served.server, &err)) fail_msg("%.*s", (int)err.n, err.p);
    buf_done(&err);
}

void unserve(void)
{
    server_stop(served.server);
    server_free(&served.server);
    assert_int_equal(atomic_load(&served.heads), atomic_load(&served.dones));
    assert_int_equal(atomic_load(&served.opened), atomic_load(&served.closed));
    pthread_mutex_destroy(&served.lock);
}

struct exchange *served_take_held(void)
{
    struct exchange *ex = NULL;
    UNTIL(atomic_load(&served.held) > 0);
    atomic_fetch_sub(&served.held, 1);
    pthread_mutex_lock(&served.lock);
    ex = served.held_at[0];
    memmove(served.held_at, served.held_at + 1, (size_t)--served.held_n * sizeof ex);
    pthread_mutex_unlock(&served.lock);
    return ex;
}

struct call { struct loop_task task; void (*fn)(struct loop *, void *); void *arg; atomic_bool over; };

static void call_run(struct loop *l, struct loop_task *t)
{
    struct call *c = CONTAINER(t, struct call, task);
    c->fn(l, c->arg);
    atomic_store(&c->over, true);
}

void on_loop(int loop, void (*fn)(struct loop *, void *), void *arg)
{
    struct call c = { .task = { .run = call_run }, .fn = fn, .arg = arg };
    loop_post(server_loop(served.server, loop), &c.task);
    UNTIL(atomic_load(&c.over));
}
