/* net/out.c: what is to be sent. Answers are written into the loop's one write buffer and go out with one send when the connection's work is over, so a
 * batch of pipelined requests costs one system call, and nothing is allocated. Only what the kernel does not take goes to the heap: the
 * connection's queue, a list of bytes, shared frames and files.
 *
 * The order of bytes rests on one invariant: the write buffer belongs to loop->batch, and that connection's queue is empty. Whoever queues
 * something for it flushes the buffer first.
 *
 * Nothing here calls back. A connection that cannot be written to is marked broken and closed by conn_work. Called by exchange.c, socket.c, conn.c. */
#include <errno.h>
#include <unistd.h>

#include "net/net_in.h"

enum { PIECES = 64 };

size_t out_pending(const struct conn *c)
{
    return c->out_bytes + (c->loop->batch == c ? c->loop->write_buf.n : 0);
}

/* ---- the queue ---- */

static void out_append(struct conn *c, struct out *o)
{
    o->next = NULL;
    if (c->out_last) c->out_last->next = o;
    else c->out_first = o;
    c->out_last = o;
    c->out_bytes += o->left;
}

static void out_free(struct loop *l, struct out *o)
{
    if (o->kind == OUT_BYTES) {
        free(o);
        return;
    }
    if (o->kind == OUT_FRAME) frame_release(&o->frame);
    else close(o->fd);
    pool_give(&l->frame_out_pool, o);
}

/* The bytes of `iov` behind the first `skip`, copied. */
static void queue_rest(struct conn *c, const struct iovec *iov, int n, size_t skip)
{
    size_t total = 0;
    for (int i = 0; i < n; i++) total += iov[i].iov_len;
    total -= skip;
    if (total == 0) return;
    struct out *o = base_alloc(sizeof *o + total);
    if (!o) {
        conn_break(c, true);
        return;
    }
    *o = (struct out){ .kind = OUT_BYTES, .left = total, .fd = -1 };
    char *to = o->p;
    for (int i = 0; i < n; i++) {
        size_t from = skip < iov[i].iov_len ? skip : iov[i].iov_len;
        skip -= from;
        if (iov[i].iov_len > from) memcpy(to, (char *)iov[i].iov_base + from, iov[i].iov_len - from);
        to += iov[i].iov_len - from;
    }
    out_append(c, o);
}

static void out_pop(struct conn *c, size_t sent)
{
    c->out_bytes -= sent;
    while (c->out_first) {
        struct out *o = c->out_first;
        size_t n = sent < o->left ? sent : o->left;
        o->left -= n;
        o->at += (int64_t)n;
        sent -= n;
        if (n) o->started = true;
        if (o->left) return;
        c->out_first = o->next;
        if (!c->out_first) c->out_last = NULL;
        out_free(c->loop, o);
    }
}

void out_drop(struct conn *c, bool keep_started)
{
    struct out *list = c->out_first;
    c->out_first = c->out_last = NULL;
    c->out_bytes = 0;
    while (list) {
        struct out *o = list;
        list = o->next;
        /* bytes may hold the end of a frame that is half sent, and nothing tells where it is: they stay whole */
        if (keep_started && (o->kind == OUT_BYTES || o->started)) out_append(c, o);
        else out_free(c->loop, o);
    }
}

/* ---- sending ---- */

/* After a send that took less than it could: epoll will tell when there is room. */
static void out_blocked(struct conn *c)
{
    c->blocked = true;
    if (c->state != CONN_SOCKET) conn_deadline(c, c->loop->server->deadlines.send_ms);   /* sockets: the ping finds out */
}

static bool out_took(struct conn *c, ptrdiff_t r)
{
    if (r > 0) count(&c->loop->counters.bytes_out, (uint64_t)r);
    if (r >= 0) return true;
    if (r == -EAGAIN) {
        if (!c->blocked) out_blocked(c);
    } else {
        conn_break(c, false);
    }
    return false;
}

/* Sends what was gathered, together with `body`; what is not taken is copied to the queue. */
static void batch_send(struct loop *l, struct span body, bool more)
{
    struct conn *c = l->batch;
    l->batch = NULL;
    if (l->write_buf.failed) conn_break(c, true);
    size_t total = l->write_buf.n + body.n;
    if (total && !c->broken && c->state != CONN_CLOSED) {
        struct iovec iov[2] = { { l->write_buf.p, l->write_buf.n }, { (void *)(uintptr_t)body.p, body.n } };
        int n = body.n ? 2 : 1;
        ptrdiff_t sent = c->blocked ? 0 : transport_send(c, iov, n, more);
        if (out_took(c, sent) && (size_t)sent < total) out_blocked(c);
        if (!c->broken && (sent < 0 || (size_t)sent < total)) queue_rest(c, iov, n, sent < 0 ? 0 : (size_t)sent);
    }
    l->write_buf.n = 0;
    if (l->write_buf.failed || l->write_buf.cap > 4 * BATCH_BYTES) buf_done(&l->write_buf);
}

void out_flush_batch(struct loop *l)
{
    if (l->batch) batch_send(l, (struct span){ 0 }, false);
}

static int gather(const struct conn *c, struct iovec *iov, size_t *out_total, bool *out_more)
{
    int n = 0;
    *out_total = 0;
    *out_more = false;
    for (const struct out *o = c->out_first; o && n < PIECES; o = o->next) {
        if (o->kind == OUT_FILE) {
            *out_more = true;
            break;
        }
        const char *p = o->kind == OUT_BYTES ? o->p : frame_bytes(o->frame, o->deflated).p;
        iov[n++] = (struct iovec){ (void *)(uintptr_t)(p + o->at), o->left };
        *out_total += o->left;
    }
    return n;
}

void out_flush(struct conn *c)
{
    size_t by_file = 0;
    if (c->loop->batch == c) out_flush_batch(c->loop);
    while (c->out_first && !c->blocked && !c->broken) {
        struct out *o = c->out_first;
        size_t total;
        ptrdiff_t sent;
        if (o->kind == OUT_FILE) {
            if (by_file >= SENDFILE_A_TURN) {
                conn_ready(c);
                return;
            }
            total = o->left < SENDFILE_A_TURN ? o->left : SENDFILE_A_TURN;
            sent = transport_send_file(c, o->fd, o->at, total);
            if (sent > 0) by_file += (size_t)sent;
            if (sent == -EPIPE || sent == -EIO) c->reset = true;
            total = 0;                              /* sendfile is tried again until it says -EAGAIN */
        } else {
            struct iovec iov[PIECES];
            bool more;
            int n = gather(c, iov, &total, &more);
            sent = transport_send(c, iov, n, more);
        }
        if (!out_took(c, sent)) return;
        out_pop(c, (size_t)sent);
        if ((size_t)sent < total) out_blocked(c);
    }
}

/* ---- adding ---- */

struct buf *out_open(struct conn *c)
{
    struct loop *l = c->loop;
    if (l->batch != c && (c->out_first || c->blocked || c->broken || (l->batch && l->batch == l->working))) {
        l->scratch.n = 0;
        return &l->scratch;
    }
    if (l->batch != c) {
        out_flush_batch(l);
        l->batch = c;
    }
    return &l->write_buf;
}

void out_close(struct conn *c, struct buf *b)
{
    struct loop *l = c->loop;
    if (b == &l->write_buf) {
        if (b->failed) conn_break(c, true);
        else if (b->n >= BATCH_BYTES) out_flush_batch(l);
        return;
    }
    if (b->failed) {
        conn_break(c, true);
        buf_done(b);
    } else if (!c->broken) {
        queue_rest(c, &(struct iovec){ b->p, b->n }, 1, 0);
        conn_ready(c);
    }
    if (b->cap > 4 * BATCH_BYTES) buf_done(b);
}

void out_add(struct conn *c, struct span s)
{
    struct buf *b = out_open(c);
    buf_add_span(b, s);
    out_close(c, b);
}

void out_add_body(struct conn *c, struct span body)
{
    if (body.n <= COPY_BYTES) {
        out_add(c, body);
        return;
    }
    struct buf *b = out_open(c);
    if (b == &c->loop->write_buf) {
        batch_send(c->loop, body, false);
    } else if (!c->broken) {
        queue_rest(c, &(struct iovec){ (void *)(uintptr_t)body.p, body.n }, 1, 0);
        conn_ready(c);
    }
}

static struct out *out_new(struct conn *c, enum out_kind kind, size_t left)
{
    if (c->loop->batch == c) out_flush_batch(c->loop);
    struct out *o = pool_take(&c->loop->frame_out_pool);
    if (!o) {
        conn_break(c, true);
        return NULL;
    }
    o->kind = (uint8_t)kind;
    o->left = left;
    o->fd = -1;
    return o;
}

void out_add_frame(struct conn *c, struct frame *f, bool deflated)
{
    struct span bytes = frame_bytes(f, deflated);
    if (c->loop->batch == c && bytes.n <= COPY_BYTES) {
        out_add(c, bytes);
        return;
    }
    struct out *o = out_new(c, OUT_FRAME, bytes.n);
    if (!o) return;
    frame_retain(f);
    o->frame = f;
    o->deflated = deflated;
    out_append(c, o);
    conn_ready(c);
}

void out_add_file(struct conn *c, int fd, int64_t offset, int64_t bytes)
{
    if (c->loop->batch == c) batch_send(c->loop, (struct span){ 0 }, true);
    struct out *o = bytes ? out_new(c, OUT_FILE, (size_t)bytes) : NULL;
    if (!o) {
        close(fd);
        return;
    }
    o->fd = fd;
    o->at = offset;
    out_append(c, o);
    conn_ready(c);
}
