/* net/exchange.c: answers. Each exchange is ended by exactly one of reply, reply_file, begin…end, upgrade (socket.c) and abort; ending it sets the
 * connection free for its next request, or for its end. If the connection is lost the answer goes nowhere, but the exchange still ends, with on_done.
 *
 * The server alone decides about Content-Length, Transfer-Encoding and Connection, so a handler cannot break the framing. A connection is kept
 * unless the client does not want it, the server is being drained, or the rest of the request's body is too long to be skipped.
 * Called by the engine and the sandbox on the loop's thread, from callbacks and from tasks. */
#include <errno.h>
#include <unistd.h>

#include "net/net_in.h"

enum { SMALL_FILE_BYTES = 16 * 1024, STREAM_QUEUE_BYTES = EXCHANGE_QUEUE_BYTES };

static struct span reason(int status)
{
    switch (status) {
    case 200: return SPAN("OK");
    case 201: return SPAN("Created");
    case 202: return SPAN("Accepted");
    case 204: return SPAN("No Content");
    case 206: return SPAN("Partial Content");
    case 301: return SPAN("Moved Permanently");
    case 302: return SPAN("Found");
    case 303: return SPAN("See Other");
    case 304: return SPAN("Not Modified");
    case 307: return SPAN("Temporary Redirect");
    case 308: return SPAN("Permanent Redirect");
    case 400: return SPAN("Bad Request");
    case 401: return SPAN("Unauthorized");
    case 403: return SPAN("Forbidden");
    case 404: return SPAN("Not Found");
    case 405: return SPAN("Method Not Allowed");
    case 406: return SPAN("Not Acceptable");
    case 408: return SPAN("Request Timeout");
    case 409: return SPAN("Conflict");
    case 410: return SPAN("Gone");
    case 411: return SPAN("Length Required");
    case 412: return SPAN("Precondition Failed");
    case 413: return SPAN("Content Too Large");
    case 414: return SPAN("URI Too Long");
    case 415: return SPAN("Unsupported Media Type");
    case 416: return SPAN("Range Not Satisfiable");
    case 417: return SPAN("Expectation Failed");
    case 421: return SPAN("Misdirected Request");
    case 422: return SPAN("Unprocessable Content");
    case 426: return SPAN("Upgrade Required");
    case 428: return SPAN("Precondition Required");
    case 429: return SPAN("Too Many Requests");
    case 431: return SPAN("Request Header Fields Too Large");
    case 500: return SPAN("Internal Server Error");
    case 501: return SPAN("Not Implemented");
    case 502: return SPAN("Bad Gateway");
    case 503: return SPAN("Service Unavailable");
    case 504: return SPAN("Gateway Timeout");
    case 505: return SPAN("HTTP Version Not Supported");
    default: return SPAN("Status");
    }
}

static char *put(char *to, struct span s)
{
    if (s.n) memcpy(to, s.p, s.n);
    return to + s.n;
}

static char *put_number(char *to, int64_t value)
{
    char digits[20];
    size_t n = 0;
    do digits[n++] = (char)('0' + value % 10);
    while (value /= 10);
    while (n) *to++ = digits[--n];
    return to;
}

/* length < 0: none is told. */
void answer_head(struct loop *l, struct buf *b, int status, struct span headers, int64_t length, bool chunked, bool keep, int minor)
{
    must(status >= 200 && status <= 599);
    if (headers.n > SIZE_MAX / 4) b->failed = true;
    if (!buf_reserve(b, 256 + headers.n)) return;
    char *p = b->p + b->n;
    if (status == 200) {
        p = put(p, SPAN("HTTP/1.1 200 OK\r\nServer: weir\r\n"));
    } else {
        p = put(p, SPAN("HTTP/1.1 "));
        p = put_number(p, status);
        *p++ = ' ';
        p = put(p, reason(status));
        p = put(p, SPAN("\r\nServer: weir\r\n"));
    }
    p = put(p, span_from(l->date, 37));
    if (length >= 0) {
        p = put(p, SPAN("Content-Length: "));
        p = put_number(p, length);
        p = put(p, SPAN("\r\n"));
    }
    if (chunked) p = put(p, SPAN("Transfer-Encoding: chunked\r\n"));
    if (status == 426) p = put(p, keep ? SPAN("Connection: Upgrade\r\n") : SPAN("Connection: close, Upgrade\r\n"));    /* goes with the Upgrade line that a 426 must have */
    else if (!keep) p = put(p, SPAN("Connection: close\r\n"));
    else if (minor == 0) p = put(p, SPAN("Connection: keep-alive\r\n"));
    p = put(p, headers);
    p = put(p, SPAN("\r\n"));
    b->n = (size_t)(p - b->p);
}

/* ---- the connection after the answer ---- */

/* Can what is left of the body be skipped? Not if the client waits for "100 Continue": it may or may not send it now. */
static bool rest_is_small(const struct exchange *ex)
{
    if (ex->body_complete) return true;
    if (ex->head.expect_continue && ex->body_seen == 0) return false;
    return ex->head.chunked || ex->body_left <= DISCARD_BYTES;
}

static bool keeps(const struct exchange *ex)
{
    const struct conn *c = ex->conn;
    return ex->head.keep_alive && !c->loop->draining && (c->state != CONN_BODY || rest_is_small(ex));
}

static void discard_start(struct conn *c, const struct exchange *ex)
{
    struct rest *rest = base_alloc(sizeof *rest);
    if (!rest) {
        conn_finish(c, true);
        return;
    }
    *rest = (struct rest){ .left = ex->body_left, .chunked = ex->head.chunked, .decoder = ex->decoder };
    c->rest = rest;
    c->state = CONN_DISCARD;
    conn_deadline(c, c->loop->server->deadlines.body_grace_ms);
}

static void exchange_answered(struct exchange *ex, bool keep)
{
    struct conn *c = ex->conn;
    bool unread = c->state == CONN_BODY && !ex->body_complete;
    ex->conn = NULL;
    c->exchange = NULL;
    if (!keep) conn_finish(c, unread || c->linger || ex->head.keep_alive);     /* who did not ask for the end may have sent another request already */
    else if (unread) discard_start(c, ex);
    else c->state = CONN_HEAD;
    if (c->loop->working != c) conn_ready(c);
    exchange_end_of(ex);
}

/* ---- whole answers ---- */

static bool has_no_body(const struct exchange *ex, int status)
{
    return ex->head.method == HTTP_HEAD || status == 204 || status == 304;
}

void exchange_reply(struct exchange *ex, int status, struct span headers, struct span body)
{
    struct conn *c = ex->conn;
    must(!ex->ended && !ex->begun);
    ex->status = status;
    if (!c) {
        exchange_end_of(ex);
        return;
    }
    bool keep = keeps(ex), bodyless = has_no_body(ex, status), large = body.n > COPY_BYTES;
    struct buf *b = out_open(c);
    size_t before = b->n;
    answer_head(c->loop, b, status, headers, status == 204 || status == 304 ? -1 : (int64_t)body.n, false, keep, ex->head.minor);
    if (!bodyless && !large) buf_add_span(b, body);
    ex->sent_bytes = b->n - before;
    out_close(c, b);
    if (!bodyless && large) {
        ex->sent_bytes += body.n;
        out_add_body(c, body);
    }
    exchange_answered(ex, keep);
}

/* Small files go the way of other answers. */
static bool file_read(struct buf *b, int fd, int64_t offset, size_t n)
{
    if (!buf_reserve(b, n)) return false;
    while (n) {
        ssize_t got = pread(fd, b->p + b->n, n, offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        b->n += (size_t)got;
        offset += got;
        n -= (size_t)got;
    }
    return true;
}

void exchange_reply_file(struct exchange *ex, int status, struct span headers, int fd, int64_t offset, int64_t bytes)
{
    struct conn *c = ex->conn;
    must(!ex->ended && !ex->begun && bytes >= 0 && offset >= 0);
    ex->status = status;
    if (!c) {
        close(fd);
        exchange_end_of(ex);
        return;
    }
    bool keep = keeps(ex), bodyless = has_no_body(ex, status), small = bytes <= SMALL_FILE_BYTES;
    struct buf *b = out_open(c);
    size_t before = b->n;
    answer_head(c->loop, b, status, headers, status == 204 || status == 304 ? -1 : bytes, false, keep, ex->head.minor);
    bool cut = !bodyless && small && !file_read(b, fd, offset, (size_t)bytes);
    if (cut) b->n = before;
    ex->sent_bytes = b->n - before;
    out_close(c, b);
    if (cut) {                                             /* the file is shorter than its length, which is told already */
        if (c->loop->batch == c) out_flush_batch(c->loop);
        conn_break(c, true);
    }
    if (bodyless || small) {
        close(fd);
    } else {
        ex->sent_bytes += (uint64_t)bytes;
        out_add_file(c, fd, offset, bytes);
    }
    exchange_answered(ex, keep);
}

/* ---- answers of unknown length ---- */

void exchange_begin(struct exchange *ex, int status, struct span headers)
{
    struct conn *c = ex->conn;
    must(!ex->ended && !ex->begun);
    ex->begun = true;
    ex->status = status;
    ex->bodyless = has_no_body(ex, status);
    if (!c) return;
    bool unread = c->state == CONN_BODY && !ex->body_complete;
    ex->chunked = ex->head.minor == 1 && status != 204 && status != 304;
    ex->keep = keeps(ex) && !unread && (ex->chunked || ex->bodyless);
    if (unread) c->linger = true;
    c->state = CONN_RUN;
    struct buf *b = out_open(c);
    size_t before = b->n;
    answer_head(c->loop, b, status, headers, -1, ex->chunked, ex->keep, ex->head.minor);
    ex->sent_bytes = b->n - before;
    out_close(c, b);
}

size_t exchange_send(struct exchange *ex, struct span s)
{
    struct conn *c = ex->conn;
    must(ex->begun && !ex->ended);
    if (!c || c->broken) return 0;
    if (s.n && !ex->bodyless) {
        struct buf *b = out_open(c);
        bool large = s.n > COPY_BYTES;
        if (ex->chunked) buf_printf(b, "%zx\r\n", s.n);
        if (!large) buf_add_span(b, s);
        if (ex->chunked && !large) buf_add(b, "\r\n", 2);
        out_close(c, b);
        if (large) {
            out_add_body(c, s);
            if (ex->chunked) out_add(c, SPAN("\r\n"));
        }
        ex->sent_bytes += s.n;
    }
    size_t pending = out_pending(c);
    if (pending > STREAM_QUEUE_BYTES) ex->want_drained = true;
    return pending;
}

void exchange_end(struct exchange *ex)
{
    struct conn *c = ex->conn;
    must(ex->begun && !ex->ended);
    if (!c) {
        exchange_end_of(ex);
        return;
    }
    if (ex->chunked && !ex->bodyless) out_add(c, SPAN("0\r\n\r\n"));
    exchange_answered(ex, ex->keep && !c->loop->draining);
}

void exchange_abort(struct exchange *ex)
{
    struct conn *c = ex->conn;
    must(!ex->ended);
    if (c) {
        if (c->loop->batch == c) out_flush_batch(c->loop);     /* answers to earlier requests are whole */
        ex->conn = NULL;
        c->exchange = NULL;
        c->state = CONN_FLUSH;
        conn_break(c, true);
    }
    ex->lost = true;
    exchange_end_of(ex);
}

/* ---- what a handler may ask ---- */

const struct http_head *exchange_head(const struct exchange *ex) { return &ex->head; }
struct arena *exchange_arena(struct exchange *ex) { return ex->arena; }
struct span exchange_body(const struct exchange *ex) { return ex->body; }
bool exchange_is_loopback(const struct exchange *ex) { return ex->local || address_is_loopback(&ex->peer); }
bool exchange_is_local(const struct exchange *ex) { return ex->local; }
struct loop *exchange_loop(const struct exchange *ex) { return ex->loop; }
void exchange_set_user(struct exchange *ex, void *user) { ex->user = user; }
void *exchange_user(const struct exchange *ex) { return ex->user; }
int exchange_status(const struct exchange *ex) { return ex->status; }
uint64_t exchange_sent_bytes(const struct exchange *ex) { return ex->sent_bytes; }
bool exchange_lost(const struct exchange *ex) { return ex->lost || (ex->conn && ex->conn->broken); }

struct span exchange_client(const struct exchange *const_ex)
{
    struct exchange *ex = (struct exchange *)(uintptr_t)const_ex;            /* printed once, when first asked for */
    if (ex->local) return SPAN("unix");
    if (!ex->client_n) {
        struct address a = ex->trusted ? address_behind(&ex->loop->server->trusted, &ex->peer, &ex->head) : ex->peer;
        ex->client_n = (uint8_t)address_print(&a, ex->client);
    }
    return span_from(ex->client, ex->client_n);
}

bool exchange_is_tls(const struct exchange *ex)
{
    if (ex->tls || !ex->trusted) return ex->tls;
    struct span value = http_header_get(&ex->head, SPAN("X-Forwarded-Proto"));
    const char *comma = value.n ? memrchr(value.p, ',', value.n) : NULL;
    if (comma) value = span_cut(value, (size_t)(comma + 1 - value.p));
    return span_is_nocase(span_trim(value), SPAN("https"));
}
