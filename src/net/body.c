/* net/body.c: the request side of an exchange: from its head through its body to on_request, and what is done with bodies that nobody wants.
 *
 * The head and a body that came whole are copied into the arena; a body that comes in pieces grows on the heap with what has really arrived, whatever
 * its Content-Length promises. Streamed bodies are handed on and not kept; a handler that is full stops the reading, and the clock with it.
 *
 * "100 Continue" is sent when on_head has returned without an answer, for then the handler wants the body; not if the body is here already.
 * Deadlines: a body may take its grace plus its bytes over the minimum rate, so a trickle ends as 408 however steady it is.
 * Called by conn.c. */
#include "net/net_in.h"

static void rebase(struct span *s, struct span from, const char *to)
{
    uintptr_t p = (uintptr_t)s->p, begin = (uintptr_t)from.p;
    if (p >= begin && p <= begin + from.n) s->p = to + (p - begin);        /* else static text, as for the path of "OPTIONS http://host" */
}

bool exchange_adopt(struct exchange *ex, struct conn *c, struct span raw)
{
    struct loop *l = ex->loop;
    struct arena *arena = ex->arena;
    struct span copy = arena_copy(arena, raw);
    if (!copy.p) return false;
    struct http_head *h = &ex->head;
    rebase(&h->method_text, raw, copy.p);
    rebase(&h->target, raw, copy.p);
    rebase(&h->path, raw, copy.p);
    rebase(&h->query, raw, copy.p);
    rebase(&h->host, raw, copy.p);
    for (size_t i = 0; i < h->header_count; i++) {
        rebase(&h->headers[i].name, raw, copy.p);
        rebase(&h->headers[i].value, raw, copy.p);
    }
    memset(ex, 0, offsetof(struct exchange, head));
    ex->loop = l;
    ex->arena = arena;
    ex->conn = c;
    ex->peer = c->peer;
    ex->trusted = c->trusted;
    ex->local = c->local;
    ex->tls = c->tls != NULL;
    ex->next = l->exchanges;
    ex->link = &l->exchanges;
    if (ex->next) ex->next->link = &ex->next;
    l->exchanges = ex;
    c->exchange = ex;
    return true;
}

/* ---- the end of an exchange ---- */

static void exchange_release(struct exchange *ex)
{
    const struct server_config *config = &ex->loop->server->config;
    if (config->on_done) config->on_done(ex, config->user);
    *ex->link = ex->next;
    if (ex->next) ex->next->link = ex->link;
    if (ex->lost_link) {
        *ex->lost_link = ex->lost_next;
        if (ex->lost_next) ex->lost_next->lost_link = ex->lost_link;
    }
    buf_done(&ex->body_buf);
    arena_reset(ex->arena);
    exchange_give(ex);
}

void exchange_end_of(struct exchange *ex)
{
    ex->ended = true;
    if (!ex->in_callback) exchange_release(ex);
}

bool exchange_callback_over(struct exchange *ex)
{
    ex->in_callback = false;
    if (ex->ended) exchange_release(ex);
    else return true;
    return false;
}

/* Whoever waits for on_drained, or is going to call exchange_resume_body, still holds the exchange. */
void exchange_drop(struct exchange *ex)
{
    struct conn *c = ex->conn;
    struct loop *l = ex->loop;
    ex->conn = NULL;
    ex->lost = true;
    c->exchange = NULL;
    if (c->state == CONN_BODY && !ex->body_paused) {
        exchange_end_of(ex);
    } else if (ex->begun) {
        ex->lost_next = l->lost;
        ex->lost_link = &l->lost;
        if (ex->lost_next) ex->lost_next->lost_link = &ex->lost_next;
        l->lost = ex;
    }
}

void exchange_drained(struct exchange *ex)
{
    const struct server_config *config = &ex->loop->server->config;
    ex->want_drained = false;
    if (!config->on_drained) return;
    ex->in_callback = true;
    config->on_drained(ex, config->user);
    exchange_callback_over(ex);
}

/* ---- head, body, request ---- */

void exchange_request(struct exchange *ex)
{
    const struct server_config *config = &ex->loop->server->config;
    ex->conn->state = CONN_RUN;
    if (ex->body_buf.n) ex->body = buf_span(&ex->body_buf);
    ex->in_callback = true;
    config->on_request(ex, config->user);
    exchange_callback_over(ex);
}

void exchange_start(struct exchange *ex, bool more_is_here)
{
    struct loop *l = ex->loop;
    struct conn *c = ex->conn;
    const struct server_config *config = &l->server->config;
    const struct http_head *h = &ex->head;
    bool has_body = h->chunked || h->content_length > 0;
    c->state = has_body ? CONN_BODY : CONN_RUN;
    ex->body_limit = LIMIT_BODY_BYTES;
    ex->body_left = h->content_length > 0 ? h->content_length : 0;
    if (config->on_head) {
        ex->in_callback = true;
        config->on_head(ex, config->user);
        if (!exchange_callback_over(ex) || ex->begun) return;
    }
    if (!has_body) {
        exchange_request(ex);
        return;
    }
    if (ex->body_left > ex->body_limit) {
        conn_refuse(c, 413, SPAN(""));
        return;
    }
    ex->body_since_ms = l->now_ms;
    conn_deadline(c, l->server->deadlines.body_grace_ms);
    if (h->expect_continue && !more_is_here) out_add(c, SPAN("HTTP/1.1 100 Continue\r\n\r\n"));
}

/* Returns false if the exchange is gone or refused. */
static bool body_take(struct exchange *ex, struct span piece, bool last)
{
    struct conn *c = ex->conn;
    const struct server_config *config = &ex->loop->server->config;
    if (piece.n == 0) return true;
    ex->body_seen += (int64_t)piece.n;
    if (ex->body_seen > ex->body_limit) {
        conn_refuse(c, 413, SPAN(""));
        return false;
    }
    if (ex->stream_body) {
        ex->in_callback = true;
        ex->body_paused = !config->on_body(ex, piece, config->user);
        if (!exchange_callback_over(ex)) return false;
        if (ex->body_paused) ex->body_since_ms -= ex->loop->now_ms;          /* the clock stands: see exchange_resume_body */
        return !ex->begun;
    }
    if (last && ex->body_seen == (int64_t)piece.n && piece.n <= COPY_BYTES) {
        ex->body = arena_copy(ex->arena, piece);
        if (ex->body.p) return true;
    } else {
        ex->body_buf.max = SIZE_MAX / 2;
        buf_add_span(&ex->body_buf, piece);
        if (!ex->body_buf.failed) return true;
    }
    conn_refuse(c, 503, SPAN(""));
    return false;
}

size_t body_eat(struct conn *c, char *p, size_t n)
{
    struct exchange *ex = c->exchange;
    size_t piece = n, used = n;
    bool last;
    if (ex->head.chunked) {
        int r = http_chunked_decode(&ex->decoder, p, n, &piece, &used);
        if (r < 0) {
            conn_refuse(c, -r, SPAN(""));
            return n;
        }
        last = r == 1;
    } else {
        if ((int64_t)n > ex->body_left) piece = used = (size_t)ex->body_left;
        ex->body_left -= (int64_t)piece;
        last = ex->body_left == 0;
    }
    ex->body_complete = last;                                                /* before on_body: it may answer */
    if (body_take(ex, span_from(p, piece), last) && last && !ex->body_paused) exchange_request(ex);
    return used;
}

bool body_late(struct exchange *ex, int64_t *out_wait_ms)
{
    const struct deadlines *d = &ex->loop->server->deadlines;
    *out_wait_ms = d->body_grace_ms;
    if (ex->body_paused || ex->body_complete) return false;
    int64_t allowed = d->body_grace_ms + ex->body_seen * 1000 / d->body_rate;
    *out_wait_ms = ex->body_since_ms + allowed - ex->loop->now_ms;
    return *out_wait_ms <= 0;
}

void exchange_limit_body(struct exchange *ex, int64_t max_bytes) { ex->body_limit = max_bytes; }

void exchange_stream_body(struct exchange *ex)
{
    must(ex->loop->server->config.on_body && ex->body_seen == 0);
    ex->stream_body = true;
}

void exchange_resume_body(struct exchange *ex)
{
    must(ex->body_paused && !ex->ended);
    ex->body_paused = false;
    if (ex->conn) {
        ex->body_since_ms += ex->loop->now_ms;
        conn_ready(ex->conn);
    } else {
        exchange_end_of(ex);
    }
}

/* ---- bodies that nobody wants ---- */

size_t conn_discard(struct conn *c, char *p, size_t n)
{
    struct rest *rest = c->rest;
    size_t piece, used = n;
    bool last;
    if (rest->chunked) {
        int r = http_chunked_decode(&rest->decoder, p, n, &piece, &used);
        rest->seen += (int64_t)used;
        if (r < 0 || rest->seen > DISCARD_BYTES) {
            conn_finish(c, true);
            return n;
        }
        last = r == 1;
    } else {
        if ((int64_t)n > rest->left) used = (size_t)rest->left;
        rest->left -= (int64_t)used;
        last = rest->left == 0;
    }
    if (last) {
        free(rest);
        c->rest = NULL;
        c->state = CONN_HEAD;
    }
    return used;
}
