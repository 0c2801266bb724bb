/* engine/edge.c: between the server's exchanges and the table: routing, admission, execution by verb, and the release of answers. Everything here runs on a loop. */
#include "engine/engine_in.h"
#include "base/log.h"

#include <stdio.h>

static struct loop_state *state_of(const struct request *r) { return loop_user(r->loop); }

/* ---- rate limits: one atomic a bucket (GCRA), shared by the loops; a bucket is found by a seeded hash, so a collision is chance and cannot be aimed at ---- */

enum { RATE_CELLS = 1 << 14, RATE_BURST_S = 3 };

bool rate_take(struct engine *e, struct span who, int64_t per_second, int64_t now_ms)
{
    if (per_second <= 0 || !who.n) return true;
    _Atomic int64_t *cell = &e->rates[hash64(who, e->rate_seed) & (RATE_CELLS - 1)];
    int64_t now_us = now_ms * 1000, step = 1000000 / per_second, burst = RATE_BURST_S * 1000000;
    int64_t due = atomic_load_explicit(cell, memory_order_relaxed);
    for (;;) {
        int64_t next = (due > now_us ? due : now_us) + step;
        if (next - now_us > burst) {
            atomic_fetch_add(&e->rate_refused, 1);
            return false;
        }
        if (atomic_compare_exchange_weak(cell, &due, next)) return true;
    }
}

/* ---- answers ---- */

static void standard_headers(struct request *r, struct buf *h, const char *type)
{
    if (type) {
        buf_add_z(h, "Content-Type: ");
        buf_add_z(h, type);
        buf_add_z(h, "\r\n");
    }
    buf_add_z(h, "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nX-Request-Id: ");
    buf_add_span(h, r->request_id);
    buf_add_z(h, "\r\n");
    const struct http_head *head = exchange_head(r->exchange);
    if (r->engine->cors.n) {
        struct span origin = http_header_get(head, SPAN("Origin"));
        buf_add_z(h, "Vary: Origin\r\n");
        if (origin.n && origin_listed(r->engine->cors, origin)) {
            buf_add_z(h, "Access-Control-Allow-Origin: ");
            buf_add_span(h, origin);
            buf_add_z(h, "\r\nAccess-Control-Expose-Headers: X-Request-Id, Retry-After\r\n");
        }
    }
}

static void answer_error(struct request *r, int status, struct span message)
{
    struct loop_state *s = state_of(r);
    struct buf body;
    buf_init(&body, 4096);
    struct span json = error_body(r->engine, &body, r->path, status, message);
    s->scratch.n = 0;
    standard_headers(r, &s->scratch, "application/json; charset=utf-8");
    buf_add_z(&s->scratch, "Cache-Control: no-store\r\n");
    if (status == 503 || status == 507 || status == 504 || status == 429) buf_add_z(&s->scratch, "Retry-After: 1\r\n");
    exchange_reply(r->exchange, status, buf_span(&s->scratch), json);
    buf_done(&body);
}

static void send_page(struct request *r)
{
    struct exchange *x = r->exchange;
    if (r->outage || exchange_lost(x)) {
        exchange_abort(x);
        return;
    }
    size_t queued = exchange_send(x, buf_span(&r->reply->body));
    if (!r->reply->more) {
        exchange_end(x);
        return;
    }
    r->streaming = queued > 256 * 1024;             /* then on_drained goes on */
    r->work = WORK_PAGE;
    if (!r->streaming && !queue_push(&r->engine->work, r)) exchange_abort(x);
}

static void edge_drained(struct exchange *x, void *engine)
{
    (void)engine;
    struct request *r = exchange_user(x);
    if (!r || !r->streaming) return;
    r->streaming = false;
    if (!queue_push(&r->engine->work, r)) exchange_abort(x);
}

void edge_release(struct request *r)
{
    r->step = STEP_RELEASE;
    if (r->frame) {
        sockets_release(r);
        return;
    }
    if (r->head_sent) {
        send_page(r);
        return;
    }
    if (r->outage || !r->reply) {
        answer_error(r, r->outage ? r->outage : 503, outage_message(r));
        return;
    }
    struct loop_state *s = state_of(r);
    struct reply *reply = r->reply;
    const struct command *c = r->entry->command;
    struct buf *h = &s->scratch;
    h->n = 0;
    standard_headers(r, h, reply->status == 204 ? NULL : reply->type ? reply->type : "application/json; charset=utf-8");
    if (reply->status >= 400 || (c && (c->flags & COMMAND_PRIVATE))) buf_add_z(h, "Cache-Control: no-store\r\n");
    if (reply->status == 429) buf_add_z(h, "Retry-After: 1\r\n");
    buf_add_span(h, buf_span(&reply->headers));
    if (reply->file.n || reply->asset.n) {
        files_reply(r, reply, buf_span(h));
    } else if (reply->more) {
        r->head_sent = true;
        exchange_begin(r->exchange, reply->status, buf_span(h));
        send_page(r);
    } else {
        exchange_reply(r->exchange, reply->status, buf_span(h), buf_span(&reply->body));
    }
}

void edge_release_task(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct request *r = (struct request *)task;
    edge_release(r);
}

/* ---- running ---- */

static void call_read(struct request *r, void *snap)
{
    r->reply = request_admit(r, snap);
    if (!r->reply) r->reply = request_command(r)->read(r, snap);
}

static void call_prepare(struct request *r, void *snap)
{
    struct errand errand = { r };
    r->reply = request_admit(r, snap);
    if (!r->reply) r->reply = request_command(r)->prepare(r, snap, &errand);
}

static void call_relay(struct request *r, void *unused)
{
    (void)unused;
    r->reply = request_command(r)->relay(r);
}

/* In a short view of this loop's own connection. false: it ran over its budget and belongs to a worker. */
static bool run_inline(struct request *r, void (*fn)(struct request *, void *))
{
    struct loop_state *s = state_of(r);
    struct snap snap = { s->reader, r->arena, r, s };
    request_begin_run(r);
    if (view_open(s, INLINE_BUDGET_MS)) request_guarded(r, fn, &snap);
    enum store_fault f = view_done(s);
    if (f == STORE_INTERRUPTED) return false;
    if (f != STORE_OK) {
        log_error("read", "%s: %s", request_command(r)->name, store_error_text(s->reader));
        r->reply = NULL;
        r->outage = 503;
    }
    return true;
}

static void to_queue(struct request *r, struct queue *q)
{
    r->step = STEP_QUEUE;
    if (queue_push(q, r)) return;
    atomic_fetch_add(&r->engine->queue_refused, 1);
    r->outage = 503;
    edge_release(r);
}

void edge_to_writer(struct request *r) { to_queue(r, &r->engine->writer); }

void edge_execute(struct request *r)
{
    struct engine *e = r->engine;
    r->mark = arena_mark(r->arena);
    r->step = STEP_RUN;
    switch (request_command(r)->verb) {
    case VERB_RELAYS:
        request_begin_run(r);
        request_guarded(r, call_relay, NULL);
        edge_release(r);
        return;
    case VERB_READS:
        if (run_inline(r, call_read)) {
            edge_release(r);
            return;
        }
        r->work = WORK_READ;
        to_queue(r, &e->work);
        return;
    case VERB_STAGED:
        r->step = STEP_PREPARE;
        if (!run_inline(r, call_prepare)) r->outage = 503;
        if (r->outage || r->reply) {
            edge_release(r);
            return;
        }
        r->mark = arena_mark(r->arena);               /* what prepare() carries over stays, and who was admitted */
        r->known = r->principal.data;
        r->known_commits = state_of(r)->view_commits;
        if (r->frame) sockets_frame_admitted(r);
        if (r->errand) {
            r->work = WORK_ERRAND;
            if (r->frame) sockets_errand_begins(r);
            to_queue(r, &e->work);
            return;
        }
        to_queue(r, &e->writer);
        return;
    case VERB_WRITES:
        to_queue(r, &e->writer);
        return;
    case VERB_NONE: break;
    }
    must(!"a row without a verb");
}

/* ---- an exchange, from its head on ---- */

static void make_request_id(struct request *r)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t n = atomic_fetch_add_explicit(&r->engine->request_counter, 1, memory_order_relaxed);
    uint64_t id = r->engine->boot_id ^ (n * 0x9e3779b97f4a7c15u);
    for (int i = 0; i < 16; i++) r->id_text[i] = digits[id >> (60 - 4 * i) & 15];
    r->request_id = (struct span){ r->id_text, 16 };
}

static bool wants_english(const struct http_head *head)
{
    struct span v = http_header_get(head, SPAN("Accept-Language"));
    if (v.n < 2) return false;
    /* the first language named wins: browsers send them in order of preference */
    return (v.p[0] | 32) == 'e' && (v.p[1] | 32) == 'n';
}

static void answer_options(struct request *r, unsigned allowed)
{
    struct loop_state *s = state_of(r);
    struct span allow = router_allow(r->arena, allowed);
    s->scratch.n = 0;
    standard_headers(r, &s->scratch, NULL);
    buf_printf(&s->scratch, "Allow: %.*s\r\n", SPAN_ARGS(allow));
    const struct http_head *head = exchange_head(r->exchange);
    struct span origin = http_header_get(head, SPAN("Origin"));
    if (origin.n && r->engine->cors.n && http_header_get(head, SPAN("Access-Control-Request-Method")).n)
        buf_printf(&s->scratch, "Access-Control-Allow-Methods: %.*s\r\nAccess-Control-Allow-Headers: Authorization, Content-Type, Idempotency-Key\r\nAccess-Control-Max-Age: 600\r\n", SPAN_ARGS(allow));
    exchange_reply(r->exchange, 204, buf_span(&s->scratch), SPAN(""));
}

static bool names_loopback(struct span host)
{
    if (host.n && host.p[0] == '[') return span_begins(host, SPAN("[::1]"));
    int colon = span_find(host, ':');
    if (colon >= 0) host.n = (size_t)colon;
    if (!span_begins(host, SPAN("127."))) return span_is_nocase(host, SPAN("localhost"));
    for (size_t i = 0; i < host.n; i++)
        if (host.p[i] != '.' && (host.p[i] < '0' || host.p[i] > '9')) return false;        /* 127.evil.example is a name like any other */
    return true;
}

/* The demo believes everybody on this machine. A page from elsewhere whose name was bent to 127.0.0.1 (DNS rebinding) is not on this machine: its Host tells.
 * With debug routes the server is under test, by suites that send any Host. */
static bool rebound(const struct request *r)
{
    struct span host = exchange_head(r->exchange)->host, url = r->engine->public_url;
    for (int slash = span_find(url, '/'); slash >= 0; slash = span_find(url, '/')) url = span_cut(url, (size_t)slash + 1);      /* its host (and port): public_url has no path */
    return r->engine->demo && !r->engine->debug && r->loopback && host.n && !names_loopback(host) && !span_is_nocase(url, host);
}

static bool may_read_metrics(const struct request *r)
{
    struct span client = exchange_client(r->exchange);
    return r->local || r->engine->metrics == METRICS_ALL || (r->engine->metrics == METRICS_LOOPBACK && (span_begins(client, SPAN("127.")) || span_is(client, SPAN("::1"))));
}

static void route(struct request *r, void *unused)
{
    (void)unused;
    struct engine *e = r->engine;
    struct exchange *x = r->exchange;
    const struct http_head *head = exchange_head(x);
    r->chinese = !wants_english(head);
    bool zh = r->chinese;
    if (span_is(head->path, SPAN("*"))) {                   /* of "OPTIONS *" and of "OPTIONS http://host" (RFC 9112 3.2.4) */
        answer_options(r, (1u << HTTP_METHODS) - 1);
        return;
    }
    if (!http_path_decode(r->arena, head->path, &r->path)) {
        r->path = head->path;
        answer_error(r, 400, zh ? SPAN("路径无效") : SPAN("the path is not valid"));
        return;
    }
    r->api = span_is_api(r->path);
    if (rebound(r)) {
        answer_error(r, 403, zh ? SPAN("演示只接受本机地址（127.0.0.1 或 localhost）") : SPAN("the demo answers to this machine's names only (127.0.0.1, localhost)"));
        return;
    }
    int status = router_match(r->local ? e->local_router : e->router, head->method, r->path, &r->routed);
    if (status == 405 && head->method == HTTP_OPTIONS) {
        answer_options(r, r->routed.allowed | 1u << HTTP_OPTIONS);
        return;
    }
    if (status == 405) {
        struct loop_state *s = state_of(r);
        struct buf body;
        buf_init(&body, 4096);
        s->scratch.n = 0;
        standard_headers(r, &s->scratch, "application/json; charset=utf-8");
        buf_printf(&s->scratch, "Allow: %.*s\r\n", SPAN_ARGS(router_allow(r->arena, r->routed.allowed | 1u << HTTP_OPTIONS)));
        exchange_reply(x, 405, buf_span(&s->scratch), error_body(e, &body, r->path, 405, zh ? SPAN("不支持该请求方法") : SPAN("the method is not allowed here")));
        buf_done(&body);
        return;
    }
    if (status != 200) {
        answer_error(r, 404, zh ? SPAN("没有这个地址") : SPAN("there is nothing at this address"));
        return;
    }
    r->entry = &e->entries[r->routed.route];
    if (r->entry->own == OWN_METRICS && !may_read_metrics(r)) {
        r->entry = NULL;
        answer_error(r, 404, zh ? SPAN("没有这个地址") : SPAN("there is nothing at this address"));
        return;
    }
    bool operators = r->entry->command && (r->entry->command->flags & COMMAND_OPERATOR);
    bool limited = e->rate > 0 && !r->entry->own && !operators && !(e->demo && r->loopback);      /* asked first: an address costs a system's printf */
    if (limited && !rate_take(e, exchange_client(x), e->rate, clock_mono_ms())) {
        answer_error(r, 429, zh ? SPAN("请求过于频繁，请稍后再试") : SPAN("too many requests, try again later"));
        return;
    }
    const struct command *c = r->entry->command;
    if (!c) return;
    if (operators && c->verb == VERB_STAGED) r->deadline_mono_ms += LIMIT_OPERATOR_MS - LIMIT_COMMAND_MS;
    int64_t limit = c->body_bytes ? c->body_bytes : r->entry->has_file ? LIMIT_UPLOAD_BYTES : LIMIT_BODY_BYTES;
    exchange_limit_body(x, limit);
    struct span type = http_header_get(head, SPAN("Content-Type")), boundary;
    if (r->entry->has_file && multipart_boundary(type, &boundary)) {
        if (upload_begin(r, boundary)) exchange_stream_body(x);
        else answer_error(r, 503, outage_message(r));
    }
}

static void edge_head(struct exchange *x, void *engine)
{
    struct engine *e = engine;
    struct request *r = request_new(e, exchange_loop(x), exchange_arena(x), NULL);
    if (!r) {
        exchange_reply(x, 503, SPAN(""), SPAN(""));
        return;
    }
    r->exchange = x;
    r->step = STEP_READ;
    r->tls = exchange_is_tls(x);
    r->loopback = exchange_is_loopback(x);
    r->local = exchange_is_local(x);
    make_request_id(r);
    exchange_set_user(x, r);
    if (!request_guarded(r, route, NULL) && exchange_status(x) == 0) answer_error(r, 503, outage_message(r));
}

static void feed(struct request *r, void *bytes) { upload_feed(r, *(struct span *)bytes); }

static bool edge_body(struct exchange *x, struct span bytes, void *engine)
{
    (void)engine;
    struct request *r = exchange_user(x);
    if (r->reply || r->outage) return true;             /* refused already: the rest is read and dropped */
    request_guarded(r, feed, &bytes);
    return true;
}

/* The header, or the parameter that frames have for it. */
static void take_idempotency_key(struct request *r)
{
    const struct command *c = r->entry->command;
    if ((c->verb != VERB_WRITES && c->verb != VERB_STAGED) || (c->flags & COMMAND_NOT_IDEMPOTENT_KEYED)) return;
    struct span key = request_head(r, "Idempotency-Key");
    if (key.n > 255 || !utf8_valid(key)) {
        r->reply = refuse(r, 400, "Idempotency-Key 最长 255 字节", "an Idempotency-Key has at most 255 bytes");
        return;
    }
    r->idempotency_key = key.n || !request_takes(r, "client_id") ? key : request_text(r, "client_id");
}

static void decode(struct request *r, void *unused)
{
    (void)unused;
    r->step = STEP_DECODE;
    if (r->reply || r->outage) return;
    if (!decode_parameters(r)) return;
    if (r->entry->command) take_idempotency_key(r);
    if (!r->reply) decode_check(r);
}

static void answer_own(struct request *r)
{
    struct engine *e = r->engine;
    struct loop_state *s = state_of(r);
    struct buf body;
    buf_init(&body, 4 * 1024 * 1024);
    s->scratch.n = 0;
    int status = 200;
    bool sick = atomic_load(&e->store_sick) || atomic_load(&e->broken), stopping = atomic_load(&e->stopping);
    switch (r->entry->own) {
    case OWN_METRICS:
        metrics_write(e, &body);
        standard_headers(r, &s->scratch, "text/plain; version=0.0.4; charset=utf-8");
        break;
    case OWN_READY:
        status = sick || stopping ? 503 : 200;
        standard_headers(r, &s->scratch, "application/json; charset=utf-8");
        buf_printf(&body, "{\"status\":\"%s\",\"store\":\"%s\"}", stopping ? "stopping" : sick ? "degraded" : "ready", sick ? "failing" : "ok");
        break;
    default:
        standard_headers(r, &s->scratch, "application/json; charset=utf-8");
        buf_add_z(&body, "{\"status\":\"ok\",\"version\":\"" WEIR_VERSION "\"}");
    }
    buf_add_z(&s->scratch, "Cache-Control: no-store\r\n");
    exchange_reply(r->exchange, status, buf_span(&s->scratch), buf_span(&body));
    buf_done(&body);
}

static void edge_request(struct exchange *x, void *engine)
{
    (void)engine;
    struct request *r = exchange_user(x);
    if (r->entry->own) {
        answer_own(r);
        return;
    }
    if (!request_guarded(r, decode, NULL) || r->reply) {
        edge_release(r);
        return;
    }
    if (r->entry->channel) {
        sockets_handshake(r);
        return;
    }
    edge_execute(r);
}

static void edge_done(struct exchange *x, void *engine)
{
    (void)engine;
    struct request *r = exchange_user(x);
    if (!r) return;
    struct loop_state *s = state_of(r);
    uint64_t ns = clock_mono_ns() - r->started_ns;
    metrics_count(s, r->entry, exchange_status(x), ns);
    access_line(s, r, x, exchange_status(x));
}

static void edge_refused(struct loop *loop, int status, struct span path, struct buf *out, void *engine)
{
    (void)loop;
    static const struct { int status; const char *text; } texts[] = {
        { 400, "请求格式错误 (malformed request)" }, { 408, "请求超时 (the request took too long)" }, { 413, "请求体过大 (the body is too large)" },
        { 414, "地址过长 (the address is too long)" }, { 417, "不支持该 Expect (unknown expectation)" }, { 426, "需要 WebSocket (upgrade required)" },
        { 431, "请求头过大 (the header is too large)" }, { 501, "不支持该请求方法 (unknown method or coding)" }, { 503, "服务器繁忙 (the server is busy)" },
        { 505, "不支持该 HTTP 版本 (unknown HTTP version)" } };
    const char *text = "请求无法处理 (the request cannot be served)";
    for (size_t i = 0; i < LENGTH(texts); i++)
        if (texts[i].status == status) text = texts[i].text;
    error_body(engine, out, path, status, span_of(text));
}

/* ---- loops ---- */

static void edge_loop_start(struct loop *loop, void *engine)
{
    struct engine *e = engine;
    struct loop_state *s = e->loops[loop_index(loop)];
    s->loop = loop;
    loop_set_user(loop, s);
    s->hub = hub_local_new(loop);
    must(s->hub);                                       /* at the start: there is nobody to answer yet */
}

static void edge_loop_stop(struct loop *loop, void *engine)
{
    (void)engine;
    struct loop_state *s = loop_user(loop);
    view_close(s);
    edge_flush_access(s);
    hub_local_free(&s->hub);
}

static void edge_loop_turn(struct loop *loop, void *engine)
{
    (void)engine;
    view_close(loop_user(loop));
    edge_flush_access(loop_user(loop));
}

void edge_config(struct engine *e, struct server_config *c)
{
    c->user = e;
    c->on_loop_start = edge_loop_start;
    c->on_loop_stop = edge_loop_stop;
    c->on_loop_turn = edge_loop_turn;
    c->on_head = edge_head;
    c->on_body = edge_body;
    c->on_request = edge_request;
    c->on_done = edge_done;
    c->on_refused = edge_refused;
    c->on_drained = edge_drained;
    c->on_message = sockets_message;
    c->on_socket_close = sockets_closed;
    e->rates = base_alloc(RATE_CELLS * sizeof *e->rates);
    must(e->rates);
    memset((void *)e->rates, 0, RATE_CELLS * sizeof *e->rates);
}
