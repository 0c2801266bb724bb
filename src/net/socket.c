/* net/socket.c: WebSockets on connections. The upgrade frees all that is HTTP; what is left is a reader of 64 bytes, a slot in the loop's table, and a
 * queue when the peer is slow.
 *
 * Closing. Whoever closes first, a close frame goes each way, then the server ends the connection. After our close frame is queued nothing more is
 * sent or told; we read on only for the peer's, two seconds long. on_socket_close comes once, at the end, from the top of the loop: with the peer's code
 * if it closed, with ours if we did, with 1006 if the connection was lost.
 *
 * Pings go out every 30 s, the first one at a time that depends on the slot, so that ten thousand sockets do not ping in one tick. Any byte from the peer,
 * and room in a queue that was full, are as good as a pong.
 *
 * A queue beyond its limit ends in 1013: what was not begun is thrown away, so the close frame has a chance to arrive.
 * Called by conn.c and, through server.h, by the hub. */
#include "net/net_in.h"

enum { OP_TEXT = 1, OP_BINARY = 2, OP_PING = 9, OP_PONG = 10 };

struct ws_inflater *loop_inflater(struct loop *l)
{
    if (!l->inflater) l->inflater = ws_inflater_new();
    return l->inflater;
}

/* ---- slots ---- */

static bool slot_take(struct loop *l, struct socket *s)
{
    if (!l->slot_free) {
        uint32_t n = l->slot_n ? l->slot_n * 2 : 64;
        if (n > UINT32_MAX / 4) return false;
        struct socket_slot *larger = base_realloc(l->slots, n * sizeof *larger);
        if (!larger) return false;
        for (uint32_t i = n; i-- > l->slot_n;) {
            larger[i] = (struct socket_slot){ .next_free = l->slot_free };
            l->slot_free = i + 1;
        }
        l->slots = larger;
        l->slot_n = n;
    }
    s->slot = l->slot_free - 1;
    struct socket_slot *slot = &l->slots[s->slot];
    l->slot_free = (uint32_t)slot->next_free;
    s->generation = ++l->generation;
    slot->generation = s->generation;
    slot->socket = s;
    return true;
}

static void slot_give(struct loop *l, const struct socket *s)
{
    struct socket_slot *slot = &l->slots[s->slot];
    slot->generation = 0;
    slot->next_free = l->slot_free;
    l->slot_free = s->slot + 1;
}

struct socket_ref socket_ref(const struct socket *s)
{
    return (struct socket_ref){ (uint32_t)s->conn->loop->index, s->slot, s->generation };
}

struct socket *loop_socket(struct loop *l, struct socket_ref ref)
{
    bool known = ref.loop == (uint32_t)l->index && ref.slot < l->slot_n && ref.generation && l->slots[ref.slot].generation == ref.generation;
    return known && !l->slots[ref.slot].socket->closing ? l->slots[ref.slot].socket : NULL;
}

void socket_set_user(struct socket *s, void *user) { s->user = user; }
void *socket_user(const struct socket *s) { return s->user; }
struct loop *socket_loop(const struct socket *s) { return s->conn->loop; }

/* ---- the upgrade ---- */

static struct socket *upgrade_refuse(struct exchange *ex, int status)
{
    const struct server_config *config = &ex->loop->server->config;
    struct span headers = status == 426 ? SPAN("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nContent-Type: application/json\r\n")
                                        : SPAN("Content-Type: application/json\r\n");
    struct buf body;
    buf_init(&body, 64 * 1024);
    if (config->on_refused) config->on_refused(ex->loop, status, ex->head.path, &body, config->user);
    exchange_reply(ex, status, headers, body.failed ? SPAN("") : buf_span(&body));
    buf_done(&body);
    return NULL;
}

static struct socket *socket_new(struct conn *c)
{
    struct loop *l = c->loop;
    struct socket *s = pool_take(&l->socket_pool);
    if (!s) return NULL;
    s->conn = c;
    if (slot_take(l, s)) return s;
    pool_give(&l->socket_pool, s);
    return NULL;
}

static int64_t first_ping_ms(const struct socket *s)
{
    int64_t half = s->conn->loop->server->deadlines.ping_ms / 2;
    return half + (int64_t)((s->slot * UINT64_C(0x9e3779b97f4a7c15)) >> 32) % (half + 1);
}

struct socket *exchange_upgrade(struct exchange *ex, struct span headers, bool allow_deflate, size_t max_message_bytes)
{
    struct conn *c = ex->conn;
    char accept[29], extensions[128];
    must(!ex->ended && !ex->begun);
    if (!c) {
        ex->status = 101;
        exchange_end_of(ex);
        return NULL;
    }
    int status = c->state == CONN_BODY ? 400 : websocket_handshake(&ex->head, accept);
    if (status != 101) return upgrade_refuse(ex, status);
    if (c->loop->draining) return upgrade_refuse(ex, 503);
    int bits = allow_deflate ? websocket_deflate_offer(&ex->head, extensions) : 0;
    if (bits && !loop_inflater(c->loop)) bits = 0;
    struct socket *s = socket_new(c);
    if (!s) return upgrade_refuse(ex, 503);
    s->deflate_bits = (uint8_t)bits;
    s->reader.deflate = bits != 0;
    s->reader.deflate_bits = (uint8_t)bits;
    s->reader.max_bytes = (uint32_t)(max_message_bytes > (size_t)1 << 30 ? (size_t)1 << 30 : max_message_bytes);
    struct buf *b = out_open(c);
    size_t before = b->n;
    buf_add_span(b, SPAN("HTTP/1.1 101 Switching Protocols\r\nServer: weir\r\n"));
    buf_add(b, c->loop->date, 37);
    buf_printf(b, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n", accept);
    if (bits) buf_printf(b, "Sec-WebSocket-Extensions: %s\r\n", extensions);
    buf_add_span(b, headers);
    buf_add(b, "\r\n", 2);
    ex->sent_bytes = b->n - before;
    out_close(c, b);
    ex->status = 101;
    ex->conn = NULL;
    c->exchange = NULL;
    c->socket = s;
    c->state = CONN_SOCKET;
    count(&c->loop->counters.sockets, 1);
    conn_deadline(c, first_ping_ms(s));
    if (c->loop->working != c) conn_ready(c);
    exchange_end_of(ex);
    return s;
}

/* ---- the end ---- */

void socket_over(struct conn *c, int code)
{
    struct loop *l = c->loop;
    struct socket *s = c->socket;
    const struct server_config *config = &l->server->config;
    if (s->close_code) code = s->close_code;
    s->closing = true;
    if (config->on_socket_close) config->on_socket_close(s, code, config->user);
    ws_reader_done(&s->reader);
    slot_give(l, s);
    c->socket = NULL;
    c->state = CONN_FLUSH;
    pool_give(&l->socket_pool, s);
    count(&l->counters.sockets_closed, 1);
}

static void say_close(struct socket *s, int code, struct span reason)
{
    struct conn *c = s->conn;
    struct buf *b = out_open(c);
    ws_write_close(b, code, reason);
    out_close(c, b);
    s->closing = true;
    if (!s->close_code) s->close_code = (uint16_t)code;
}

void socket_close(struct socket *s, int code, struct span reason)
{
    if (s->closing) return;
    say_close(s, code, reason);
    conn_deadline(s->conn, s->conn->loop->server->deadlines.close_ms);
    if (s->conn->loop->working != s->conn) conn_ready(s->conn);        /* a paused socket is read again, for the peer's close frame */
}

/* ---- reading ---- */

bool socket_hungry(const struct socket *s)
{
    return s->closing || !s->paused;
}

static void socket_drain_check(struct socket *s)
{
    if (s->drain && !s->held && !s->paused && !s->reader.message_opcode) socket_close(s, 1001, SPAN("the server is going down"));
}

static void socket_closed_by_peer(struct conn *c, int code)
{
    struct socket *s = c->socket;
    if (!s->closing) say_close(s, code, SPAN(""));
    socket_over(c, code);
    conn_finish(c, false);
}

static void socket_failed(struct conn *c, int code)
{
    struct socket *s = c->socket;
    if (!s->closing) say_close(s, code, SPAN(""));
    socket_over(c, code);
    conn_finish(c, true);
}

static bool room_for(struct socket *s, size_t n);

size_t socket_eat(struct conn *c, char *p, size_t n)
{
    struct socket *s = c->socket;
    const struct server_config *config = &c->loop->server->config;
    size_t left = n;
    s->alive = true;
    while (socket_hungry(s) && !c->broken && c->out_bytes <= SOCKET_BUSY_BYTES) {
        struct span payload;
        int code;
        enum ws_event event = ws_read(&s->reader, c->loop->inflater, &p, &left, &payload, &code);
        if (event == WS_MORE) break;
        if (event == WS_CLOSE) {
            socket_closed_by_peer(c, code);
            return n;
        }
        if (event == WS_ERROR) {
            socket_failed(c, code);
            return n;
        }
        if (s->closing || event == WS_PONG) continue;
        if (event == WS_PING) {
            if (!room_for(s, payload.n)) continue;
            struct buf *b = out_open(c);
            ws_write(b, OP_PONG, payload);
            out_close(c, b);
        } else {
            config->on_message(s, event == WS_TEXT, payload, config->user);
        }
    }
    socket_drain_check(s);
    return n - left;
}

void socket_at_eof(struct conn *c)
{
    socket_over(c, 1006);
    conn_finish(c, false);
}

void socket_pause(struct socket *s) { s->paused++; }

void socket_resume(struct socket *s)
{
    must(s->paused > 0);
    if (--s->paused > 0) return;
    if (s->conn->loop->working != s->conn) conn_ready(s->conn);
    socket_drain_check(s);
}

void socket_hold(struct socket *s) { s->held++; }

void socket_release(struct socket *s)
{
    must(s->held > 0);
    s->held--;
    socket_drain_check(s);
}

void socket_drain(struct conn *c)
{
    c->socket->drain = true;
    socket_drain_check(c->socket);
}

/* ---- time ---- */

void socket_expired(struct conn *c)
{
    struct socket *s = c->socket;
    const struct deadlines *d = &c->loop->server->deadlines;
    if (s->closing) {
        conn_break(c, true);                        /* the peer did not answer our close frame */
    } else if (!s->pinged) {
        s->pinged = true;
        s->alive = false;
        if (!c->out_first) {                        /* behind a queue a ping would tell nothing that the queue does not */
            struct buf *b = out_open(c);
            ws_write(b, OP_PING, SPAN(""));
            out_close(c, b);
        }
        conn_deadline(c, d->pong_ms);
    } else if (s->alive || s->paused) {
        s->pinged = false;
        conn_deadline(c, d->ping_ms > d->pong_ms ? d->ping_ms - d->pong_ms : d->ping_ms);
    } else {
        conn_break(c, true);
    }
}

/* ---- sending ---- */

/* False if the socket is closing, or closes now because its peer does not read. */
static bool room_for(struct socket *s, size_t n)
{
    struct conn *c = s->conn;
    if (s->closing || c->broken) return false;
    size_t pending = out_pending(c);
    if (pending + n <= LIMIT_WS_QUEUE_BYTES) return true;
    out_flush(c);
    pending = c->out_bytes;
    if (c->broken) return false;
    if (pending == 0 || pending + n <= LIMIT_WS_QUEUE_BYTES) return true;   /* one message larger than the queue is no slow consumer */
    out_drop(c, true);
    socket_close(s, 1013, SPAN("too slow"));
    return false;
}

void socket_send(struct socket *s, struct frame *f)
{
    bool deflated = !s->closing && frame_deflate(f, s->deflate_bits);
    if (room_for(s, frame_bytes(f, deflated).n)) out_add_frame(s->conn, f, deflated);
}

static void send_payload(struct socket *s, int opcode, struct span payload)
{
    struct conn *c = s->conn;
    struct ws_inflater *inflater = s->deflate_bits ? loop_inflater(c->loop) : NULL;
    if (!room_for(s, payload.n)) return;
    struct buf *b = out_open(c);
    if (inflater) ws_write_deflated_bits(b, inflater, s->deflate_bits, opcode, payload);
    else ws_write(b, opcode, payload);
    out_close(c, b);
}

void socket_send_text(struct socket *s, struct span text) { send_payload(s, OP_TEXT, text); }
void socket_send_binary(struct socket *s, struct span bytes) { send_payload(s, OP_BINARY, bytes); }
