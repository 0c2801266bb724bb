/* net/conn.c: one connection. conn_work() is its heart: send what can be sent, eat what can be eaten, then look at what has come of it (close, linger,
 * deadlines). It runs when epoll has news and when something put the connection on the ready list, and never inside itself.
 *
 * epoll is edge-triggered and told once: `readable` and `blocked` remember its news. A connection is *hungry* when it may be given bytes; an
 * exchange under way, a queue that the peer does not read or a paused body make it not hungry, and then nothing is read: that is all there is to
 * back-pressure. Bytes are read into the loop's buffer and eaten there; what remains (part of a head, pipelined requests that must wait) is
 * copied to c->in. An idle connection has no buffer.
 *
 * After a refusal, and whenever something unread is left, closing at once would make the kernel send RST and the peer lose our last words: so our side is
 * shut first and what still comes is thrown away for a while (CONN_LINGER).
 *
 * Called by loop.c; drives body.c, exchange.c and socket.c. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "net/net_in.h"

static void conn_expired(struct loop *l, struct loop_timer *t);

/* ---- life ---- */

struct conn *conn_new(struct loop *l, int fd, const struct address *peer, bool trusted)
{
    struct conn *c = pool_take(&l->conn_pool);
    if (!c) {
        close(fd);
        return NULL;
    }
    c->source.kind = SOURCE_CONN;
    c->state = CONN_HEAD;
    c->fd = fd;
    c->loop = l;
    c->trusted = trusted;
    c->peer = *peer;
    c->timer.fire = conn_expired;
    c->deadline_ms = INT64_MAX;
    struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = &c->source };
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
        close(fd);
        pool_give(&l->conn_pool, c);
        return NULL;
    }
    c->next = l->conns;
    c->link = &l->conns;
    if (c->next) c->next->link = &c->next;
    l->conns = c;
    conn_deadline(c, l->server->deadlines.idle_ms);
    return c;
}

static void state_leave(struct conn *c)
{
    if (c->state == CONN_DISCARD) {
        free(c->rest);
        c->rest = NULL;
    }
}

static void in_free(struct conn *c)
{
    free(c->in);
    c->in = NULL;
}

void conn_close(struct conn *c)
{
    struct loop *l = c->loop;
    if (c->state == CONN_CLOSED) return;
    if (c->exchange) exchange_drop(c->exchange);
    if (c->state == CONN_SOCKET) socket_over(c, 1006);
    state_leave(c);
    c->state = CONN_CLOSED;
    if (l->batch == c) {
        l->batch = NULL;
        l->write_buf.n = 0;
    }
    out_drop(c, false);
    in_free(c);
    loop_timer_clear(l, &c->timer);
    /* close() alone would do, but for the moment in which a child process holds a copy of the descriptor */
    epoll_ctl(l->epoll, EPOLL_CTL_DEL, c->fd, NULL);
    transport_close(c);
    *c->link = c->next;
    if (c->next) c->next->link = c->link;
    c->next = l->dead;
    l->dead = c;
    server_conn_closed(c);
}

void conn_ready(struct conn *c)
{
    struct loop *l = c->loop;
    if (c->ready || c->state == CONN_CLOSED) return;
    c->ready = true;
    c->ready_next = NULL;
    if (l->ready) l->ready_last->ready_next = c;
    else l->ready = c;
    l->ready_last = c;
}

void conn_break(struct conn *c, bool reset)
{
    c->broken = true;
    if (reset) c->reset = true;
    conn_ready(c);
}

void conn_finish(struct conn *c, bool linger)
{
    state_leave(c);
    c->state = CONN_FLUSH;
    c->linger = linger || c->in;
    in_free(c);
    conn_deadline(c, c->loop->server->deadlines.send_ms);
    conn_ready(c);
}

/* ---- deadlines ---- */

void conn_deadline(struct conn *c, int64_t delay_ms)
{
    c->deadline_ms = c->loop->now_ms + delay_ms;
    if (!c->timer.link || c->timer.due_mono_ms > c->deadline_ms) timer_at(c->loop, &c->timer, c->deadline_ms);
}

void conn_no_deadline(struct conn *c) { c->deadline_ms = INT64_MAX; }

/* An empty line in front of a request that never came is no request. */
static bool in_is_empty(const struct conn *c)
{
    for (size_t i = c->in ? c->in->at : 0; c->in && i < c->in->n; i++)
        if (c->in->p[i] != '\r' && c->in->p[i] != '\n') return false;
    return true;
}

static struct span in_span(const struct conn *c)
{
    return c->in ? span_from(c->in->p + c->in->at, c->in->n - c->in->at) : SPAN("");
}

static void conn_expired(struct loop *l, struct loop_timer *t)
{
    struct conn *c = CONTAINER(t, struct conn, timer);
    int64_t wait_ms;
    if (c->deadline_ms == INT64_MAX) return;
    if (l->now_ms < c->deadline_ms) {
        timer_at(l, t, c->deadline_ms);
        return;
    }
    c->deadline_ms = INT64_MAX;
    if (c->blocked && c->state != CONN_SOCKET) {
        conn_break(c, true);
        return;
    }
    switch ((enum conn_state)c->state) {
    case CONN_HEAD:
        if (c->in_head && !in_is_empty(c)) conn_refuse(c, 408, in_span(c));
        else conn_finish(c, false);
        break;
    case CONN_BODY:
        if (body_late(c->exchange, &wait_ms)) conn_refuse(c, 408, SPAN(""));
        else conn_deadline(c, wait_ms);
        break;
    case CONN_SOCKET:
        socket_expired(c);
        break;
    case CONN_RUN:
    case CONN_CLOSED:
        break;
    case CONN_HANDSHAKE:
    case CONN_DISCARD:
    case CONN_FLUSH:
    case CONN_LINGER:
        conn_break(c, false);
        break;
    }
}

/* ---- refusing ---- */

/* The path of a head that could not be read, for the shape of the answer only: what stands between the first space of the first line and the next one or '?'. */
static struct span guess_path(struct span raw)
{
    size_t n = 0;
    while (raw.n && (raw.p[0] == '\r' || raw.p[0] == '\n')) raw = span_cut(raw, 1);
    while (n < raw.n && raw.p[n] != ' ' && raw.p[n] != '\r' && raw.p[n] != '\n') n++;
    struct span s = span_cut(raw, n + 1);
    if (n >= raw.n || raw.p[n] != ' ') return SPAN("");
    n = 0;
    while (n < s.n && n < 1024 && s.p[n] > ' ' && s.p[n] < 127 && s.p[n] != '?') n++;
    return n && s.p[0] == '/' ? span_from(s.p, n) : SPAN("");
}

/* Did a head that could not be read ask without wanting a body? */
static bool guess_bodyless(struct span raw)
{
    while (raw.n && (raw.p[0] == '\r' || raw.p[0] == '\n')) raw = span_cut(raw, 1);
    return span_begins(raw, SPAN("HEAD "));
}

void conn_refuse(struct conn *c, int status, struct span raw_head)
{
    struct loop *l = c->loop;
    const struct server_config *config = &l->server->config;
    struct exchange *ex = c->exchange;
    struct buf body;
    buf_init(&body, 64 * 1024);
    if (config->on_refused) config->on_refused(l, status, ex ? ex->head.path : guess_path(raw_head), &body, config->user);
    if (body.failed) body.n = 0;
    bool bodyless = ex ? ex->head.method == HTTP_HEAD : guess_bodyless(raw_head);
    struct buf *b = out_open(c);
    size_t before = b->n;
    answer_head(l, b, status, SPAN("Content-Type: application/json\r\n"), (int64_t)body.n, false, false, 1);
    if (!bodyless) buf_add_span(b, buf_span(&body));
    if (ex) {
        ex->status = status;
        ex->sent_bytes = b->n - before;
    }
    out_close(c, b);
    buf_done(&body);
    if (status != 503) count(&l->counters.refused_protocol, 1);
    conn_finish(c, true);
    if (ex) {
        ex->conn = NULL;
        c->exchange = NULL;
        exchange_end_of(ex);
    }
}

/* ---- eating ---- */

static bool conn_hungry(const struct conn *c)
{
    if (c->broken) return false;
    switch ((enum conn_state)c->state) {
    case CONN_HEAD: return !c->out_first;
    case CONN_BODY: return !c->exchange->body_paused && !c->exchange->body_complete;
    case CONN_SOCKET: return socket_hungry(c->socket) && c->out_bytes <= SOCKET_BUSY_BYTES;
    case CONN_DISCARD:
    case CONN_LINGER: return true;
    case CONN_HANDSHAKE:
    case CONN_RUN:
    case CONN_FLUSH:
    case CONN_CLOSED: return false;
    }
    return false;
}

/* Returns the bytes of the head, 0 if it is not whole yet; after a refusal all n. */
static size_t head_eat(struct conn *c, char *p, size_t n, size_t *scanned)
{
    struct loop *l = c->loop;
    struct exchange *ex = exchange_take(l);
    if (!ex) {
        conn_refuse(c, 503, span_from(p, n));
        return n;
    }
    int head = http_head_parse(span_from(p, n), scanned, &ex->head);
    if (head > 0 && exchange_adopt(ex, c, span_from(p, (size_t)head))) {
        *scanned = 0;
        c->in_head = false;
        count(&l->counters.requests, 1);
        exchange_start(ex, n > (size_t)head);
        return (size_t)head;
    }
    exchange_give(ex);
    if (head != 0) {
        conn_refuse(c, head > 0 ? 503 : -head, span_from(p, n));
        return n;
    }
    if (!c->in_head) {
        c->in_head = true;
        conn_deadline(c, l->server->deadlines.head_ms);
    }
    return 0;
}

static size_t linger_eat(struct conn *c, size_t n)
{
    int64_t left = c->linger_until_ms - c->loop->now_ms, wait = c->loop->server->deadlines.linger_ms;
    conn_deadline(c, left < wait ? left : wait);
    return n;
}

/* Feeds bytes until they are eaten, the connection is not hungry any more, or more are needed. Returns how many were eaten. */
static size_t conn_eat(struct conn *c, char *p, size_t n, size_t *scanned)
{
    size_t at = 0;
    while (at < n && conn_hungry(c)) {
        size_t used = n - at;
        switch ((enum conn_state)c->state) {
        case CONN_HEAD: used = head_eat(c, p + at, n - at, scanned); break;
        case CONN_BODY: used = body_eat(c, p + at, n - at); break;
        case CONN_DISCARD: used = conn_discard(c, p + at, n - at); break;
        case CONN_SOCKET: used = socket_eat(c, p + at, n - at); break;
        case CONN_LINGER: used = linger_eat(c, n - at); break;
        case CONN_HANDSHAKE:
        case CONN_RUN:
        case CONN_FLUSH:
        case CONN_CLOSED: break;
        }
        if (used == 0) break;
        at += used;
    }
    return at;
}

static ptrdiff_t conn_receive(struct conn *c, char *p, size_t n)
{
    ptrdiff_t got = transport_receive(c, p, n);
    if (got > 0) {
        count(&c->loop->counters.bytes_in, (uint64_t)got);
        c->readable = c->tls || c->hung_up || (size_t)got == n;      /* a short read empties a socket, but not TLS */
    } else if (got == 0) {
        c->eof = true;
        c->readable = false;
    } else if (got == -EAGAIN) {
        c->readable = false;
    } else {
        conn_break(c, false);
    }
    return got;
}

static struct inbuf *in_new(size_t cap)
{
    struct inbuf *in = base_alloc(sizeof *in + cap);
    if (in) *in = (struct inbuf){ .cap = cap };
    return in;
}

/* Reads into the loop's buffer and eats there; keeps what is left. False: nothing came. */
static bool read_fresh(struct conn *c)
{
    char *p = c->loop->read_buf;
    ptrdiff_t got = conn_receive(c, p, READ_BYTES);
    if (got <= 0) return false;
    size_t scanned = 0, n = (size_t)got, used = conn_eat(c, p, n, &scanned);
    if (used == n || c->broken || c->state == CONN_FLUSH) {
        if (used < n) c->linger = true;
        return true;
    }
    size_t left = n - used;
    struct inbuf *in = in_new(left < 512 ? 1024 : left + 1024);
    if (!in) {
        conn_break(c, true);
        return false;
    }
    memcpy(in->p, p + used, left);
    in->n = left;
    in->scanned = scanned;
    c->in = in;
    return true;
}

/* Behind a part of a head: reads more into c->in. */
static bool read_more(struct conn *c)
{
    struct inbuf *in = c->in;
    if (in->at) {
        memmove(in->p, in->p + in->at, in->n - in->at);
        in->n -= in->at;
        in->at = 0;
    }
    if (in->n == in->cap) {
        must(in->cap < 4 * READ_BYTES);                              /* the parser refuses heads before that */
        struct inbuf *larger = base_realloc(in, sizeof *in + 2 * in->cap);
        if (!larger) {
            conn_break(c, true);
            return false;
        }
        larger->cap *= 2;
        c->in = in = larger;
    }
    ptrdiff_t got = conn_receive(c, in->p + in->n, in->cap - in->n);
    if (got > 0) in->n += (size_t)got;
    return got > 0;
}

static void eat_stored(struct conn *c)
{
    struct inbuf *in = c->in;
    c->in = NULL;                                                    /* who eats may store nothing, but conn_finish looks at it */
    in->at += conn_eat(c, in->p + in->at, in->n - in->at, &in->scanned);
    if (in->at < in->n && !c->broken && c->state != CONN_FLUSH) {
        c->in = in;
        return;
    }
    if (in->at < in->n) c->linger = true;
    free(in);
}

static void conn_at_eof(struct conn *c)
{
    switch ((enum conn_state)c->state) {
    case CONN_HEAD:
        if (in_is_empty(c)) conn_finish(c, false);
        else conn_refuse(c, 400, in_span(c));
        break;
    case CONN_BODY: conn_refuse(c, 400, SPAN("")); break;
    case CONN_DISCARD: conn_finish(c, false); break;
    case CONN_SOCKET: socket_at_eof(c); break;
    case CONN_LINGER: conn_break(c, false); break;
    case CONN_HANDSHAKE:
    case CONN_RUN:
    case CONN_FLUSH:
    case CONN_CLOSED: break;
    }
}

static void conn_eat_all(struct conn *c)
{
    int reads = 0;
    while (conn_hungry(c)) {
        if (c->in) {
            eat_stored(c);
            if (!c->in || !conn_hungry(c)) continue;
        }
        if (!c->readable) break;
        if (reads++ == READS_A_TURN) {
            conn_ready(c);
            break;
        }
        if (!(c->in ? read_more(c) : read_fresh(c))) break;
    }
    if (c->eof && conn_hungry(c)) conn_at_eof(c);
}

/* ---- working ---- */

static void conn_handshake(struct conn *c)
{
    int r = tls_handshake(c->tls);
    if (r == -EAGAIN) return;
    if (r < 0) {
        conn_break(c, false);
        return;
    }
    c->state = CONN_HEAD;
    c->readable = true;
}

/* Callbacks that waited for the top of the loop. */
static void conn_tell(struct conn *c)
{
    struct exchange *ex = c->exchange;
    if (c->state == CONN_BODY && ex->body_complete && !ex->body_paused) exchange_request(ex);
    else if (c->state == CONN_RUN && ex->want_drained && out_pending(c) <= QUEUE_LOW_BYTES) exchange_drained(ex);
}

static void conn_sent_last(struct conn *c)
{
    if (c->eof || !(c->linger || c->readable)) {
        conn_close(c);
        return;
    }
    transport_shut(c);
    c->state = CONN_LINGER;
    c->linger_until_ms = c->loop->now_ms + c->loop->server->deadlines.linger_total_ms;
    conn_deadline(c, c->loop->server->deadlines.linger_ms);
    conn_ready(c);
}

static void conn_settle(struct conn *c)
{
    if (c->broken) {
        conn_close(c);
    } else if (c->state == CONN_FLUSH) {
        if (!c->out_first) conn_sent_last(c);
    } else if (c->state == CONN_HEAD && !c->in_head && !c->in && c->loop->draining) {
        conn_finish(c, false);                        /* its last answer was promised another request, but a body had to be skipped first */
    } else if (!c->blocked) {
        if (c->state == CONN_HEAD && !c->in_head) conn_deadline(c, c->loop->server->deadlines.idle_ms);
        if (c->state == CONN_RUN) conn_no_deadline(c);
        if (c->exchange && c->exchange->want_drained && c->out_bytes <= QUEUE_LOW_BYTES) conn_ready(c);
    }
}

void conn_work(struct conn *c)
{
    struct loop *l = c->loop;
    if (c->state == CONN_CLOSED) return;
    must(!l->working);
    if (l->batch && l->batch != c) out_flush_batch(l);
    l->working = c;
    if (c->out_first && !c->blocked && !c->broken) out_flush(c);
    if (c->state == CONN_HANDSHAKE && !c->broken) conn_handshake(c);
    if (c->exchange && !c->broken) conn_tell(c);
    conn_eat_all(c);
    if (l->batch == c) out_flush_batch(l);
    l->working = NULL;
    conn_settle(c);
}

void conn_event(struct conn *c, uint32_t events)
{
    if (c->state == CONN_CLOSED) return;
    if (events & (EPOLLIN | EPOLLRDHUP)) c->readable = true;
    if (events & EPOLLRDHUP) c->hung_up = true;
    if (events & EPOLLOUT) c->blocked = false;
    if (events & (EPOLLERR | EPOLLHUP)) c->broken = true;
    conn_work(c);
}

void conn_drain(struct conn *c)
{
    if (c->state == CONN_HEAD && !c->in_head && !c->in) conn_finish(c, false);
    else if (c->state == CONN_SOCKET) socket_drain(c);
    else if (c->state == CONN_HANDSHAKE) conn_break(c, false);
}
