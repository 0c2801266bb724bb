/* sandbox/sandbox.c: the simulator's life and the way of a request: sockets in front, calls behind. One loop runs all of it, so the world needs no lock.
 *
 * A request becomes a struct call on the exchange's arena, is run, and its answer is written. Two things wait without blocking the loop: a long poll (until its journal grows or its time is
 * over) and a call that a fault knob holds back. Both are `pending` with a timer, in one list that a stop answers at once. */
#include "sandbox/sandbox.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "net/server.h"
#include "sandbox/sandbox_in.h"

enum { ARENA_BYTES = 16 * 1024 * 1024, ANSWER_BYTES = 64 * 1024 * 1024, MAX_PENDING = 1000, STOP_MS = 2000 };

struct pending {
    struct loop_timer timer;                        /* first: the timer's address is ours */
    struct pending *next, **link;
    struct sandbox *s;
    struct exchange *x;
    struct call *call;
    int route;
    struct fault_plan plan;                         /* of a held call */
    bool held;
};

/* ---- the world's odds and ends ---- */

int64_t sandbox_now_ms(const struct sandbox *s)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + s->clock_ahead_ms;
}

void sandbox_random_text(struct sandbox *s, char *out, size_t chars)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    for (size_t i = 0; i < chars;) {
        unsigned char raw[32];
        seeded_bytes(&s->random, raw, sizeof raw);
        for (size_t k = 0; k < sizeof raw && i < chars; k++) if (raw[k] < 248) out[i++] = letters[raw[k] % 62];
    }
    out[chars] = '\0';
}

bool sandbox_reset(struct sandbox *s)
{
    struct world fresh;
    if (!world_make(&fresh, s->config.seed)) {
        world_free(&fresh);
        return false;
    }
    world_free(&s->world);
    codes_free(&s->codes);
    s->world = fresh;
    tokens_init(&s->tokens);
    faults_init(&s->faults);
    journal_clear(&s->sent);
    journal_clear(&s->requests);
    s->clock_ahead_ms = 0;
    s->random = (struct seeded){ .counter = 0 };
    if (s->config.repeatable) {
        char text[64];
        int n = snprintf(text, sizeof text, "weir sandbox secrets %llu", (unsigned long long)s->config.seed);
        sha256(span_from(text, (size_t)n), s->random.seed);
    } else {
        random_bytes(s->random.seed, sizeof s->random.seed);
    }
    return true;
}

/* ---- a call below the sockets ---- */

void sandbox_call(struct call *c, int route)
{
    buf_init(&c->out, ANSWER_BYTES);
    c->status = 200;
    c->type = "application/json; charset=utf-8";
    if (span_is(c->path, SPAN("/"))) {
        c->type = "text/html; charset=utf-8";
        c->headers = "Content-Security-Policy: default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
                     "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n";
        buf_add_span(&c->out, page_html());
    } else if (span_is(c->path, SPAN("/_sandbox")) || span_begins(c->path, SPAN("/_sandbox/"))) {
        control_run(c);
    } else {
        official_run(c, route);
    }
}

static void log_request(struct call *c, int route, int status, const char *fault)
{
    if (route == OFFICIAL_UNKNOWN && (span_is(c->path, SPAN("/")) || span_begins(c->path, SPAN("/_sandbox")))) return;
    struct buf b;
    struct jout o;
    struct journal *j = &c->s->requests;
    struct span appid = pairs_get(&c->query, SPAN("appid"));
    journal_begin(j, &o, &b);
    jout_put_int(&o, "time", sandbox_now_ms(c->s));
    jout_put(&o, "method", c->head->method_text);
    jout_put(&o, "host", utf8_valid(c->head->host) && c->head->host.n <= 255 ? c->head->host : SPAN("?"));
    jout_put(&o, "path", route == OFFICIAL_UNKNOWN ? utf8_head(c->path, 100) : c->path);
    jout_put_int(&o, "status", status);
    jout_put_int(&o, "errcode", c->errcode);
    if (appid.n && appid.n <= 64) jout_put(&o, "appid", appid);
    if (c->person) jout_put_z(&o, "person", c->person->name);
    if (fault) jout_put_z(&o, "fault", fault);
    (void)journal_commit(j, &o);                    /* a log that has no room is no reason to fail the call */
}

/* ---- waiting ---- */

static void answer(struct exchange *x, struct call *c)
{
    char headers[1024];
    int n = snprintf(headers, sizeof headers, "Content-Type: %s\r\nCache-Control: no-store\r\n%s", c->type, c->headers ? c->headers : "");
    must(n > 0 && (size_t)n < sizeof headers);
    bool good = !c->out.failed;
    exchange_reply(x, good ? c->status : 503, span_from(headers, (size_t)n), good ? buf_span(&c->out) : SPAN("{\"errcode\":503,\"errmsg\":\"out of memory\"}"));
    buf_done(&c->out);
}

static void finish(struct exchange *x, struct call *c, int route, struct fault_plan plan);

static void pending_end(struct loop *loop, struct pending *p)
{
    loop_timer_clear(loop, &p->timer);
    *p->link = p->next;
    if (p->next) p->next->link = p->link;
    p->s->pending_n--;
    if (p->held) {
        finish(p->x, p->call, p->route, p->plan);
        return;
    }
    journal_read(p->call->wait_for, p->call->wait_since, &p->call->out);
    answer(p->x, p->call);
}

static void on_timer(struct loop *loop, struct loop_timer *t) { pending_end(loop, (struct pending *)(void *)t); }

/* false: there are too many that wait already */
static bool pend(struct sandbox *s, struct exchange *x, struct call *c, int route, const struct fault_plan *held, int64_t delay_ms)
{
    struct pending *p = s->stopping || s->pending_n >= MAX_PENDING ? NULL : arena_zero(c->a, sizeof *p);
    if (!p) return false;
    *p = (struct pending){ .timer.fire = on_timer, .s = s, .x = x, .call = c, .route = route, .held = held != NULL, .next = s->pending, .link = &s->pending };
    if (held) p->plan = *held;
    if (s->pending) s->pending->link = &p->next;
    s->pending = p;
    s->pending_n++;
    loop_timer_set(exchange_loop(x), &p->timer, delay_ms);
    return true;
}

static void wake_polls(struct sandbox *s, struct loop *loop)
{
    for (struct pending *p = s->pending, *next; p; p = next) {
        next = p->next;
        if (!p->held && p->call->wait_for->seq > p->call->wait_since) pending_end(loop, p);
    }
}

/* ---- one request ---- */

/* Runs the call, its arena armed, and settles what befalls it. */
static void run(struct call *c, int route, struct fault_plan plan)
{
    jmp_buf escape;
    if (setjmp(escape) != 0) {
        arena_arm(c->a, NULL);
        c->out.n = 0;
        c->status = 503;
        buf_add_z(&c->out, "{\"errcode\":503,\"errmsg\":\"out of memory\"}");
        return;
    }
    arena_arm(c->a, &escape);
    if (plan.way == FAULT_STATUS) {
        buf_init(&c->out, ANSWER_BYTES);
        c->status = (int)plan.value;
        c->type = "text/html; charset=utf-8";
        buf_printf(&c->out, "<html><head><title>%d</title></head><body><center><h1>%d</h1></center></body></html>\n", c->status, c->status);
    } else if (plan.way == FAULT_ERRCODE || plan.way == FAULT_RATE) {
        buf_init(&c->out, ANSWER_BYTES);
        c->status = 200;
        c->type = "application/json; charset=utf-8";
        official_fail(c, plan.way == FAULT_RATE ? 45011 : plan.value);
    } else {
        sandbox_call(c, route);
    }
    arena_arm(c->a, NULL);
}

static void finish(struct exchange *x, struct call *c, int route, struct fault_plan plan)
{
    struct sandbox *s = c->s;
    struct loop *loop = exchange_loop(x);
    bool cut = plan.way == FAULT_DROP || plan.way == FAULT_DROP_AFTER;
    if (plan.way != FAULT_DROP) run(c, route, plan);
    if (c->wait_for && pend(s, x, c, route, NULL, c->wait_ms)) return;
    if (c->wait_for) journal_read(c->wait_for, c->wait_since, &c->out);
    log_request(c, route, cut ? 0 : c->status, plan.name);
    if (cut) {
        buf_done(&c->out);
        exchange_abort(x);
    } else {
        answer(x, c);
    }
    wake_polls(s, loop);
}

static void on_request(struct exchange *x, void *user)
{
    struct sandbox *s = user;
    struct arena *a = exchange_arena(x);
    struct call *c = arena_zero(a, sizeof *c);
    const char *why = NULL;
    if (!c) {
        exchange_abort(x);
        return;
    }
    c->s = s;
    c->a = a;
    c->head = exchange_head(x);
    c->body = exchange_body(x);
    c->loopback = exchange_is_loopback(x);
    c->status = 400;
    c->type = "application/json; charset=utf-8";
    buf_init(&c->out, ANSWER_BYTES);
    if (!http_path_decode(a, c->head->path, &c->path) || !form_parse(a, c->head->query, &c->query, &why)) {
        buf_printf(&c->out, "{\"errcode\":400,\"errmsg\":\"bad request: %s\"}", why ? why : "malformed path");
        answer(x, c);
        return;
    }
    int route = official_route(c->path);
    struct fault_plan plan = faults_plan(s, route);
    if (plan.hold_ms > 0 && pend(s, x, c, route, &plan, plan.hold_ms)) return;
    finish(x, c, route, plan);
}

static void on_refused(struct loop *loop, int status, struct span path, struct buf *out, void *user)
{
    (void)loop;
    (void)path;
    (void)user;
    buf_printf(out, "{\"errcode\":%d,\"errmsg\":\"refused by the server\"}", status);
}

/* ---- life ---- */

struct sandbox *sandbox_new(const struct sandbox_config *config, struct buf *err)
{
    struct sandbox *s = base_alloc(sizeof *s);
    if (!s) {
        buf_add_z(err, "out of memory");
        return NULL;
    }
    *s = (struct sandbox){ .config = *config };
    struct server_config net = { .loops = 1, .name = "sandbox", .arena_bytes = ARENA_BYTES, .user = s, .on_request = on_request, .on_refused = on_refused };
    if (!sandbox_reset(s)) buf_add_z(err, "out of memory");
    else s->server = server_new(&net, err);
    if (!s->server) sandbox_free(&s);
    return s;
}

int sandbox_listen(struct sandbox *s, const char *address, struct buf *err) { return server_listen(s->server, address, err); }

bool sandbox_start(struct sandbox *s, struct buf *err)
{
    s->started = server_start(s->server, err);
    return s->started;
}

struct release { struct loop_task task; struct sandbox *s; };

static void release_all(struct loop *loop, struct loop_task *task)
{
    struct sandbox *s = ((struct release *)(void *)task)->s;
    s->stopping = true;
    while (s->pending) pending_end(loop, s->pending);
}

void sandbox_stop(struct sandbox *s)
{
    if (!s->started) return;
    struct release release = { .task.run = release_all, .s = s };
    loop_post(server_loop(s->server, 0), &release.task);
    server_drain(s->server);
    server_wait_drained(s->server, clock_mono_ms() + STOP_MS);
    server_stop(s->server);
    s->started = false;
}

void sandbox_free(struct sandbox **at)
{
    struct sandbox *s = *at;
    if (!s) return;
    sandbox_stop(s);
    if (s->server) server_free(&s->server);
    journal_clear(&s->sent);
    journal_clear(&s->requests);
    codes_free(&s->codes);
    world_free(&s->world);
    free(s);
    *at = NULL;
}
