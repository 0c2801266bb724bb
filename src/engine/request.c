/* engine/request.c: the request as handlers see it, and the guard around their runs. */
#include "engine/engine_in.h"

#include <stdio.h>

struct request *request_new(struct engine *e, struct loop *loop, struct arena *arena, const struct entry *entry)
{
    struct request *r = arena_zero(arena, sizeof *r);
    if (!r) return NULL;
    r->engine = e;
    r->loop = loop;
    r->arena = arena;
    r->entry = entry;
    r->now_ms = clock_now_ms();
    r->started_ns = clock_mono_ns();
    r->deadline_mono_ms = clock_mono_ms() + LIMIT_COMMAND_MS;
    r->chinese = true;
    r->effects_end = &r->effects;
    return r;
}

void request_free(struct request *r)
{
    must(r->own_arena);
    struct arena *a = r->arena;
    if (r->loop && loop_user(r->loop)) {
        struct loop_state *s = loop_user(r->loop);
        if (s->spare_arenas < (int)LENGTH(s->spare_arena)) {
            arena_reset(a);
            s->spare_arena[s->spare_arenas++] = a;
            return;
        }
    }
    arena_free(&a);
}

static bool is_operators(const struct request *r) { return r->entry->command && (r->entry->command->flags & COMMAND_OPERATOR); }

void request_begin_run(struct request *r)
{
    r->reply = NULL;
    r->outage = 0;
    r->effects = NULL;
    r->effects_end = &r->effects;
    r->wrote_later = r->replayed = false;
    r->random.counter = 0;
    r->principal = is_operators(r) ? (struct principal){ .kind = PRINCIPAL_OPERATOR, .name = SPAN("operator") } : (struct principal){ 0 };
    arena_rewind(r->arena, r->mark);
}

/* Runs fn with the arena's escape armed: what needs more memory than there is leaves here. */
bool request_guarded(struct request *r, void (*fn)(struct request *, void *), void *arg)
{
    jmp_buf escape;
    int why = setjmp(escape);
    if (why == 0) {
        arena_arm(r->arena, &escape);
        fn(r, arg);
        arena_arm(r->arena, NULL);
        if (r->reply && (r->reply->body.failed || r->reply->headers.failed)) {
            r->reply = NULL;
            r->outage = 503;
        }
        return r->outage == 0;
    }
    arena_arm(r->arena, NULL);
    r->reply = NULL;
    r->outage = 503;
    return false;
}

struct reply *request_admit(struct request *r, struct snap *s)
{
    const struct app *app = r->entry->app;
    unsigned needs = r->entry->command ? r->entry->command->needs : r->entry->frames ? r->entry->frames->needs : 0;
    if (is_operators(r)) {
        must(r->local);                                    /* the router of TCP does not know the row */
        return NULL;
    }
    if (!app->admit || r->job) return NULL;
    struct reply *refusal = app->admit(r, s, needs, &r->principal);
    if (refusal) return refusal;
    if (!r->rate_checked) {                                /* once a request, however often its handler runs */
        r->rate_checked = true;
        bool free_of_it = r->principal.id == 0 || (r->engine->demo && r->loopback);
        r->rate_refused = !free_of_it && !rate_take(r->engine, r->principal.name, r->engine->principal_rate, clock_mono_ms());
    }
    return r->rate_refused ? refuse(r, 429, "请求过于频繁，请稍后再试", "too many requests, try again later") : NULL;
}

/* ---- what handlers ask ---- */

int64_t request_now(const struct request *r) { return r->now_ms; }
struct arena *request_arena(const struct request *r) { return r->arena; }
bool request_chinese(const struct request *r) { return r->chinese; }
const struct zone *request_zone(const struct request *r) { return r->engine->zone; }
const struct settings *request_settings(const struct request *r) { return r->engine->settings; }
const struct sealer *request_sealer(const struct request *r) { return r->engine->sealer; }
void request_key(const struct request *r, const char *label, unsigned char out[32]) { hmac_sha256(span_from(r->engine->app_key, 32), span_of(label), out); }
const struct command *request_command(const struct request *r) { return r->entry->command ? r->entry->command : r->entry->frames; }
const struct principal *request_principal(const struct request *r) { return &r->principal; }
struct pairs request_pairs(const struct request *r) { return r->pairs; }
struct uploads request_uploads(const struct request *r) { return upload_files(r); }
bool request_tls(const struct request *r) { return r->tls; }

void request_random(const struct request *r, void *out, size_t n)
{
    /* constant as the handler sees it; the stream's position is the engine's, reset at each run */
    struct seeded *stream = (struct seeded *)(uintptr_t)&r->random;
    if (stream->counter == 0) {
        bool fresh = true;
        for (size_t i = 0; i < sizeof stream->seed; i++) fresh = fresh && stream->seed[i] == 0;
        if (fresh) random_bytes(stream->seed, sizeof stream->seed);
    }
    seeded_bytes(stream, out, n);
}

struct span request_data(const struct request *r) { return span_of(r->engine->data); }
const void *request_known(const struct request *r) { return r->known; }
void request_become(const struct request *r, const struct principal *p) { ((struct request *)(uintptr_t)r)->principal = *p; }

void *request_app(const struct request *r)
{
    const struct engine *e = r->engine;
    for (size_t i = 0; e->apps[i]; i++)
        if (e->apps[i] == r->entry->app) return e->app_state[i];
    must(!"a request without its app");
    return NULL;
}

struct span request_origin(const struct request *r)
{
    if (r->engine->public_url.n) return r->engine->public_url;
    if (!r->exchange) return SPAN("");
    struct span host = exchange_head(r->exchange)->host;
    if (!host.n) return SPAN("");
    return arena_printf(r->arena, "%s://%.*s", r->tls ? "https" : "http", SPAN_ARGS(host));
}

struct span request_head(const struct request *r, const char *name)
{
    if (!r->exchange) return SPAN("");
    struct span v = http_header_get(exchange_head(r->exchange), span_of(name));
    return v.p ? v : SPAN("");
}

const struct http_head *request_http(const struct request *r) { return r->exchange ? exchange_head(r->exchange) : NULL; }

struct span request_body(const struct request *r) { return r->exchange ? exchange_body(r->exchange) : SPAN(""); }

static const struct parameter *find_parameter(const struct request *r, const char *name)
{
    static const struct parameter none;                    /* refused before it was decoded: nothing is there */
    const struct command *c = r->entry->command ? r->entry->command : r->entry->frames;
    const struct shape *takes = c && c->takes ? c->takes : r->entry->channel ? r->entry->channel->takes : NULL;
    for (size_t i = 0; takes && i < takes->n; i++)
        if (strcmp(takes->fields[i].name, name) == 0) return r->parameters ? &r->parameters[i] : &none;
    return NULL;
}

static const struct parameter *parameter(const struct request *r, const char *name)
{
    const struct parameter *p = find_parameter(r, name);
    must(p);                                               /* a name that is not in the row */
    return p;
}

bool request_takes(const struct request *r, const char *name) { return find_parameter(r, name) != NULL; }

bool request_has(const struct request *r, const char *name) { return parameter(r, name)->has; }
int64_t request_int(const struct request *r, const char *name) { return parameter(r, name)->number; }
const json_t *request_json(const struct request *r, const char *name) { return parameter(r, name)->json; }
const struct upload *request_upload(const struct request *r, const char *name) { return parameter(r, name)->upload; }

struct span request_text(const struct request *r, const char *name)
{
    const struct parameter *p = parameter(r, name);
    return p->has ? p->text : SPAN("");
}

/* ---- views and transactions ---- */

struct snap *txn_view(struct txn *t) { return &t->view; }
struct arena *snap_arena(struct snap *s) { return s->arena; }

const struct row *snap_one_of(struct snap *s, const struct query *q, const struct value *args, size_t n)
{
    return kept_one(s, q, args, n);
}

struct rows snap_all_of(struct snap *s, const struct query *q, const struct value *args, size_t n)
{
    return store_query(s->conn, s->arena, q, args, n, 100000);
}

int64_t txn_do_of(struct txn *t, const struct query *q, const struct value *args, size_t n)
{
    must_be_writer();
    return store_change(t->view.conn, q, args, n);
}

int64_t txn_insert_of(struct txn *t, const struct query *q, const struct value *args, size_t n)
{
    must_be_writer();
    return store_insert(t->view.conn, q, args, n);
}

/* ---- effects ---- */

static struct effect *effect_add(struct txn *t, struct effect model)
{
    must_be_writer();
    struct request *r = t->request;
    struct effect *f = arena_take(r->arena, sizeof *f);
    *f = model;
    *r->effects_end = f;
    r->effects_end = &f->next;
    return f;
}

void txn_publish(struct txn *t, const struct publication *p)
{
    struct arena *a = t->request->arena;
    effect_add(t, (struct effect){ .kind = EFFECT_PUBLISH, .pub = { arena_copy(a, p->room), p->seq, p->who, arena_copy(a, p->self), arena_copy(a, p->others) } });
}

void txn_send_away(struct txn *t, struct span room, int64_t who)
{
    effect_add(t, (struct effect){ .kind = EFFECT_SEND_AWAY, .pub = { .room = arena_copy(t->request->arena, room), .who = who } });
}

void txn_after(struct txn *t, void (*fn)(void *, void *), void *arg) { effect_add(t, (struct effect){ .kind = EFFECT_CALL, .call = fn, .arg = arg }); }

void errand_call(struct errand *d, void (*fn)(void *, const struct worker *), void *carry)
{
    d->request->errand = fn;
    d->request->carry = carry;
}

void errand_carry(struct errand *d, void *carry) { d->request->carry = carry; }
void errand_key(struct errand *d, struct span key) { d->request->errand_key = arena_copy(d->request->arena, key); }
