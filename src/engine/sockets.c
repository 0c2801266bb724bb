/* engine/sockets.c: WebSockets: a channel's handshake, its frames as commands, its rooms.
 *
 * A frame is a command like any other; its parameters come from the JSON object of the frame, then from the handshake's path and query. Frames of one socket run in order: writes queue in the order
 * they came, and while one waits for an errand (a content check) the later ones wait behind it. At most LIMIT_WS_INFLIGHT are under way; then the socket is not read. A success is answered by
 * the broadcast that the sender gets as well; a refusal is a frame too, and the socket stays open. */
#include "engine/engine_in.h"
#include "base/log.h"

struct socket_state {
    struct hub_member member;                      /* first: of the room that is heard */
    const struct entry *entry;
    struct request *waiting, **waiting_end;        /* frames behind an errand */
    uint16_t in_flight;
    bool errand, paused, chinese;
    uint16_t path_n, query_n;
    char text[];                                   /* decoded path, raw query */
};

/* Is it one of the setting's, which stand between spaces or commas? "*" is any. */
bool origin_listed(struct span list, struct span origin)
{
    if (span_is(list, SPAN("*"))) return true;
    while (list.n) {
        size_t n = 0;
        while (n < list.n && list.p[n] != ' ' && list.p[n] != ',' && list.p[n] != '\t') n++;
        if (n && span_is_nocase(span_from(list.p, n), origin)) return true;
        list = span_cut(list, n < list.n ? n + 1 : n);
    }
    return false;
}

bool origin_allowed(const struct engine *e, const struct http_head *head)
{
    struct span origin = http_header_get(head, SPAN("Origin"));
    if (!origin.n) return true;                    /* not a browser (the mini program's sockets send https://servicewechat.com or none) */
    struct span host = span_begins(origin, SPAN("https://")) ? span_cut(origin, 8) : span_begins(origin, SPAN("http://")) ? span_cut(origin, 7) : origin;
    if (span_is_nocase(host, head->host) || span_is_nocase(host, SPAN("servicewechat.com"))) return true;
    return origin_listed(e->origins, origin);
}

/* ---- joining ---- */

struct joining { struct snap snap; struct join join; };

static void call_join(struct request *r, void *arg)
{
    struct joining *j = arg;
    j->join = (struct join){ 0 };
    r->reply = r->entry->channel->join(r, &j->snap, &j->join);
}

/* true: accepted (perhaps into no room yet); false: r->reply or r->outage tells why not. */
static bool run_join(struct request *r, struct joining *j)
{
    struct loop_state *s = loop_user(r->loop);
    j->snap = (struct snap){ s->reader, r->arena, r, s };
    if (view_open(s, INLINE_BUDGET_MS * 20)) request_guarded(r, call_join, j);
    if (view_done(s) != STORE_OK) {
        log_error("channel", "%s: %s", r->entry->channel->name, store_error_text(s->reader));
        r->reply = NULL;
        r->outage = 503;
    }
    return !r->outage && !r->reply;
}

static void enter(struct request *r, struct socket *socket, struct socket_state *state, const struct join *join)
{
    struct loop_state *s = loop_user(r->loop);
    if (!join->room.n) return;
    /* This loop's thread is here, so nothing is delivered between the reading of the backlog and the subscription. */
    if (!hub_join(s->hub, &state->member, join->room, join->who, join->seen)) {
        socket_close(socket, 1011, SPAN("out of memory"));
        return;
    }
    state->member.socket = socket;
    for (size_t i = 0; i < join->backlog_count; i++) socket_send_text(socket, join->backlog[i]);
}

void sockets_handshake(struct request *r)
{
    const struct http_head *head = exchange_head(r->exchange);
    const struct channel *c = r->entry->channel;
    struct joining j = { 0 };
    r->mark = arena_mark(r->arena);
    if (!head->upgrade_websocket) {
        r->reply = refuse(r, 426, "这里只提供 WebSocket", "this address is for WebSockets");
        reply_header(r->reply, "Upgrade", SPAN("websocket"));
        edge_release(r);
        return;
    }
    if (!origin_allowed(r->engine, head)) {
        r->reply = refuse(r, 403, "不允许该来源的连接", "this origin may not connect");
        edge_release(r);
        return;
    }
    if (!c->echo && !run_join(r, &j)) {
        edge_release(r);
        return;
    }
    struct span query = head->query;
    struct socket_state *state = r->path.n + query.n < 16384 ? base_alloc(sizeof *state + r->path.n + query.n) : NULL;
    if (!state) {
        r->outage = 503;
        edge_release(r);
        return;
    }
    *state = (struct socket_state){ .entry = r->entry, .chinese = r->chinese, .path_n = (uint16_t)r->path.n, .query_n = (uint16_t)query.n };
    state->waiting_end = &state->waiting;
    memcpy(state->text, r->path.p, r->path.n);
    if (query.n) memcpy(state->text + r->path.n, query.p, query.n);
    struct request keep = *r;                          /* the exchange and its arena end with the upgrade: enter() needs only the loop, */
    struct join join = j.join;                         /* but the backlog lives in that arena: so it is sent before, into a list of its own */
    struct buf backlog;
    buf_init(&backlog, LIMIT_REPLY_BYTES);
    for (size_t i = 0; i < join.backlog_count; i++) {
        uint32_t n = (uint32_t)join.backlog[i].n;
        buf_add(&backlog, &n, sizeof n);
        buf_add_span(&backlog, join.backlog[i]);
    }
    struct buf room;
    buf_init(&room, 4096);
    buf_add_span(&room, join.room);
    join.room = buf_span(&room);
    join.backlog_count = 0;
    struct socket *socket = backlog.failed || room.failed ? NULL : exchange_upgrade(r->exchange, SPAN(""), true, c->max_message_bytes);
    if (socket) {
        socket_set_user(socket, state);
        enter(&keep, socket, state, &join);
        for (size_t at = 0; at < backlog.n;) {
            uint32_t n;
            memcpy(&n, backlog.p + at, sizeof n);
            socket_send_text(socket, span_from(backlog.p + at + sizeof n, n));
            at += sizeof n + n;
        }
    } else {
        free(state);
        if (backlog.failed || room.failed) {
            r->outage = 503;
            edge_release(r);
        }
    }
    buf_done(&backlog);
    buf_done(&room);
}

/* ---- frames ---- */

static struct arena *take_arena(struct loop_state *s)
{
    return s->spare_arenas ? s->spare_arena[--s->spare_arenas] : arena_new(LIMIT_ARENA_BYTES);
}

static void send_error(struct request *r, struct socket *socket)
{
    int status = r->outage || !r->reply ? (r->outage ? r->outage : 503) : r->reply->status;
    jmp_buf escape;
    if (setjmp(escape)) {
        arena_arm(r->arena, NULL);
        socket_close(socket, 1011, SPAN("out of memory"));
        return;
    }
    arena_arm(r->arena, &escape);
    struct span message = r->outage || !r->reply ? outage_message(r) : r->reply->message;
    struct span frame = r->entry->channel->frame_error(r, status, message);
    arena_arm(r->arena, NULL);
    socket_send_text(socket, frame);
}

/* The end of every frame: the socket may be gone by now. */
void sockets_release(struct request *r)
{
    struct loop_state *s = loop_user(r->loop);
    struct socket *socket = loop_socket(r->loop, r->socket);
    uint64_t ns = clock_mono_ns() - r->started_ns;
    metrics_count(s, r->entry, r->outage || !r->reply ? 503 : r->reply->status, ns);
    bool resume = false;
    if (socket) {
        struct socket_state *state = socket_user(socket);
        if (state->in_flight) state->in_flight--;
        if (state->paused && state->in_flight < LIMIT_WS_INFLIGHT / 2) {
            state->paused = false;
            resume = true;
        }
        /* sending may close a slow socket, and its state goes with it */
        if (r->outage || !r->reply || r->reply->status >= 400) send_error(r, socket);
        else if (r->replayed) socket_send_text(socket, buf_span(&r->reply->body));     /* the broadcast was long ago: tell the sender that it is stored */
        socket = loop_socket(r->loop, r->socket);
    }
    if (socket) socket_release(socket);
    struct loop *loop = r->loop;
    struct socket_ref ref = r->socket;
    request_free(r);
    if (resume && loop_socket(loop, ref)) socket_resume(loop_socket(loop, ref));
}

struct arrived { struct span bytes, path, query; bool text; };

static void decode_frame(struct request *r, void *arg)
{
    const struct arrived *in = arg;
    const struct shape *takes = r->entry->frames->takes;
    struct span why = { 0 };
    r->path = arena_copy(r->arena, in->path);          /* the socket may go before the frame does */
    if (!in->text) {
        r->reply = refuse(r, 400, "只接受文本消息", "only text frames are understood");
        return;
    }
    json_t *tree = json_read(r->arena, in->bytes, &why);
    if (!tree || !json_is_object(tree)) {
        r->reply = refuse(r, 400, "消息必须是 JSON 对象", "a frame must be a JSON object");
        return;
    }
    if (!decode_frame_parameters(r, arena_copy(r->arena, in->query), tree)) return;
    for (size_t i = 0; i < takes->n; i++)
        if (strcmp(takes->fields[i].name, "client_id") == 0 && r->parameters[i].has) r->idempotency_key = r->parameters[i].text;
    decode_check(r);
}

static void start_frame(struct request *r, struct socket *socket, struct socket_state *state)
{
    r->mark = arena_mark(r->arena);
    if (!state->member.room) {
        struct joining j = { 0 };
        if (!run_join(r, &j)) {
            edge_release(r);
            return;
        }
        enter(r, socket, state, &j.join);
    }
    edge_execute(r);
}

static void run_waiting(struct loop *loop, struct socket_ref ref)
{
    struct socket *socket;
    while ((socket = loop_socket(loop, ref))) {        /* a frame may close its socket */
        struct socket_state *state = socket_user(socket);
        struct request *r = state->waiting;
        if (state->errand || !r) return;
        state->waiting = r->next;
        if (!state->waiting) state->waiting_end = &state->waiting;
        r->next = NULL;
        start_frame(r, socket, state);
    }
}

/* A socket that joined as nobody is whoever first speaks through it: what he says comes back as his own. */
void sockets_frame_admitted(struct request *r)
{
    struct socket *socket = loop_socket(r->loop, r->socket);
    struct socket_state *state = socket ? socket_user(socket) : NULL;
    if (state && !state->member.who) state->member.who = r->principal.id;
}

/* On the loop: a frame goes to a worker first; what comes behind it waits. */
void sockets_errand_begins(struct request *r)
{
    struct socket *socket = loop_socket(r->loop, r->socket);
    if (socket) ((struct socket_state *)socket_user(socket))->errand = true;
}

static void errand_is_over(struct loop *loop, struct loop_task *task)
{
    struct request *r = (struct request *)task;
    struct socket_ref ref = r->socket;
    struct socket *socket = loop_socket(loop, ref);
    if (socket) ((struct socket_state *)socket_user(socket))->errand = false;
    if (r->outage) edge_release(r);
    else edge_to_writer(r);
    run_waiting(loop, ref);
}

/* On a worker. */
void sockets_frame_queued(struct request *r)
{
    r->task = (struct loop_task){ NULL, errand_is_over };
    loop_post(r->loop, &r->task);
}

void sockets_message(struct socket *socket, bool text, struct span bytes, void *engine)
{
    struct socket_state *state = socket_user(socket);
    if (state->entry->channel->echo) {
        if (text) socket_send_text(socket, bytes);
        else socket_send_binary(socket, bytes);
        return;
    }
    struct loop *loop = socket_loop(socket);
    struct arena *a = take_arena(loop_user(loop));
    struct request *r = a ? request_new(engine, loop, a, state->entry) : NULL;
    if (!r) {
        arena_free(&a);
        socket_close(socket, 1011, SPAN("out of memory"));
        return;
    }
    r->own_arena = r->frame = true;
    r->chinese = state->chinese;
    r->socket = socket_ref(socket);
    socket_hold(socket);                               /* a drain waits for what was accepted */
    if (++state->in_flight >= LIMIT_WS_INFLIGHT && !state->paused) {
        state->paused = true;
        socket_pause(socket);
    }
    struct arrived in = { bytes, span_from(state->text, state->path_n), span_from(state->text + state->path_n, state->query_n), text };
    if (!request_guarded(r, decode_frame, &in) || r->reply) {
        edge_release(r);
        return;
    }
    if (state->errand) {
        *state->waiting_end = r;
        state->waiting_end = &r->next;
        return;
    }
    start_frame(r, socket, state);
}

void sockets_closed(struct socket *socket, int code, void *engine)
{
    (void)code;
    (void)engine;
    struct socket_state *state = socket_user(socket);
    if (!state) return;
    struct loop_state *s = loop_user(socket_loop(socket));
    hub_leave(s->hub, &state->member);
    for (struct request *r = state->waiting, *next; r; r = next) {      /* never acknowledged */
        next = r->next;
        request_free(r);
    }
    free(state);
}
