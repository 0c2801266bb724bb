/* engine/outbox.c: jobs that run later, at least once: rows written by txn_later in the transaction that wants them, and the idempotency records.
 *
 * A thread looks for due rows (woken after a commit that wrote one), makes a request of each and sends it the way of every command: prepare and errand on a worker, apply in the writer, which deletes
 * the row in the same transaction. A failure puts the row off (1 s, doubled up to an hour, with jitter); after MAX_ATTEMPTS it is dead: kept, counted in the metrics, told in the log. */
#include "engine/engine_in.h"
#include "base/log.h"

#include <errno.h>

enum { MAX_ATTEMPTS = 180 /* about a week */, TAKE = 16, IDEMPOTENT_MS = 24 * 3600 * 1000 };

const struct migration engine_migrations[] = {
    { "engine", 1,
      "CREATE TABLE engine_outbox (id INTEGER PRIMARY KEY, job TEXT NOT NULL, payload TEXT NOT NULL, due_ms BIGINT NOT NULL, attempts BIGINT NOT NULL DEFAULT 0, dead BIGINT NOT NULL DEFAULT 0);"
      "CREATE INDEX engine_outbox_due ON engine_outbox (dead, due_ms);"
      "CREATE TABLE engine_idempotency (principal TEXT NOT NULL, command TEXT NOT NULL, key TEXT NOT NULL, hash BLOB NOT NULL, status BIGINT NOT NULL, body BLOB NOT NULL, created_ms BIGINT NOT NULL,"
      " PRIMARY KEY (principal, command, key));"
      "CREATE INDEX engine_idempotency_age ON engine_idempotency (created_ms);" },
    { NULL, 0, NULL },
};

static const struct query q_add = { "engine.outbox_add", "INSERT INTO engine_outbox (job, payload, due_ms) VALUES ($1, $2, $3)", 0 };
static const struct query q_due = { "engine.outbox_due", "SELECT id, job, payload, attempts FROM engine_outbox WHERE dead = 0 AND due_ms <= $1 ORDER BY due_ms LIMIT 64", 0 };
static const struct query q_next = { "engine.outbox_next", "SELECT min(due_ms) FROM engine_outbox WHERE dead = 0", 0 };
static const struct query q_delete = { "engine.outbox_delete", "DELETE FROM engine_outbox WHERE id = $1", 0 };
static const struct query q_put_off = { "engine.outbox_put_off", "UPDATE engine_outbox SET attempts = $2, due_ms = $3, dead = $4 WHERE id = $1", 0 };
static const struct query q_find_key = { "engine.idempotency_find", "SELECT hash, status, body, created_ms FROM engine_idempotency WHERE principal = $1 AND command = $2 AND key = $3", 0 };
static const struct query q_keep_key = { "engine.idempotency_keep",
    "INSERT INTO engine_idempotency (principal, command, key, hash, status, body, created_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)"
    " ON CONFLICT (principal, command, key) DO UPDATE SET hash = excluded.hash, status = excluded.status, body = excluded.body, created_ms = excluded.created_ms", 0 };
static const struct query q_old_keys = { "engine.idempotency_sweep", "DELETE FROM engine_idempotency WHERE created_ms < $1", 0 };
static const struct query q_forget_keys = { "engine.idempotency_forget", "DELETE FROM engine_idempotency WHERE principal = $1", 0 };
const struct query *const engine_queries[] = { &q_add, &q_due, &q_next, &q_delete, &q_put_off, &q_find_key, &q_keep_key, &q_old_keys, &q_forget_keys, NULL };

/* ---- idempotency keys ---- */

bool idempotency_find(struct request *r, struct txn *t)
{
    const struct row *row = txn_one(t, &q_find_key, V_TEXT(r->principal.name), V_TEXT(span_of(request_command(r)->name)), V_TEXT(r->idempotency_key));
    if (!row || row_int(row, 3) < r->now_ms - IDEMPOTENT_MS) return false;
    if (!span_is(row_text(row, 0), span_from(r->parameters_hash, 32))) {
        r->reply = refuse(r, 422, "这个 Idempotency-Key 已用于另一个请求", "this Idempotency-Key was used for another request");
        return true;
    }
    atomic_fetch_add(&r->engine->idempotent_hits, 1);
    r->replayed = true;
    r->reply = reply_new(r, (int)row_int(row, 1));
    buf_add_span(&r->reply->body, row_text(row, 2));
    reply_header(r->reply, "Idempotent-Replayed", SPAN("true"));
    return true;
}

void idempotency_keep(struct request *r, struct txn *t)
{
    if (r->now_ms % 64 == 0) txn_do(t, &q_old_keys, V_INT(r->now_ms - IDEMPOTENT_MS));
    txn_do(t, &q_keep_key, V_TEXT(r->principal.name), V_TEXT(span_of(request_command(r)->name)), V_TEXT(r->idempotency_key),
           V_BLOB(span_from(r->parameters_hash, 32)), V_INT(r->reply->status), V_BLOB(buf_span(&r->reply->body)), V_INT(r->now_ms));
}

void txn_forget_replies(struct txn *t, struct span principal_name) { txn_do(t, &q_forget_keys, V_TEXT(principal_name)); }

/* ---- rows ---- */

void txn_later(struct txn *t, const char *job, struct span json, int64_t delay_ms)
{
    must(table_find_job(t->request->engine, span_of(job)));
    txn_do(t, &q_add, V_TEXT(span_of(job)), V_TEXT(json), V_INT(t->request->now_ms + delay_ms));
    t->request->wrote_later = true;
}

void txn_wake_outbox(struct txn *t) { t->request->wrote_later = true; }

void outbox_delivered(struct request *r, struct txn *t)
{
    txn_do(t, &q_delete, V_INT(r->job_id));
    atomic_fetch_add(&r->engine->outbox_delivered, 1);
}

void outbox_put_off(struct request *r, struct txn *t)
{
    if (!r->job_id) return;                                 /* request_soon: there is no row */
    int attempts = r->job_attempts + 1;
    int64_t delay = attempts < 12 ? 1000LL << (attempts - 1) : 3600 * 1000LL;
    uint32_t jitter;
    random_bytes(&jitter, sizeof jitter);
    delay += (int64_t)(jitter % 1000) * delay / 4000;
    bool dead = attempts >= MAX_ATTEMPTS;
    txn_do(t, &q_put_off, V_INT(r->job_id), V_INT(attempts), V_INT(clock_now_ms() + delay), V_INT(dead));
    atomic_fetch_add(&r->engine->outbox_failed, 1);
    if (dead) log_error("outbox", "%s (row %lld) failed %d times and is given up; weir outbox retry %lld tries it again", request_command(r)->name, (long long)r->job_id, attempts, (long long)r->job_id);
}

/* ---- the thread ---- */

static bool start_job(struct engine *e, struct span name, struct span payload, int64_t id, int attempts)
{
    const struct entry *entry = table_find_job(e, name);
    if (!entry) {
        log_error("outbox", "no job of that name: %.*s", SPAN_ARGS(name));
        return false;
    }
    struct arena *a = arena_new(LIMIT_ARENA_BYTES);
    struct request *r = a ? request_new(e, NULL, a, entry) : NULL;
    if (!r) {
        arena_free(&a);
        return false;
    }
    r->own_arena = r->job = true;
    r->job_id = id;
    r->job_attempts = attempts;
    struct span why;
    size_t n = entry->command->takes ? entry->command->takes->n : 0;
    r->parameters = arena_zero(a, (n + 1) * sizeof *r->parameters);
    json_t *tree = r->parameters ? json_read(a, payload, &why) : NULL;
    if (!tree || !json_is_object(tree) || !decode_json_object(r, tree)) r->prepared = refuse(r, 400, "任务参数无法读取", "the job's parameters cannot be read");
    r->mark = arena_mark(a);
    r->work = WORK_JOB;
    pthread_mutex_lock(&e->outbox.lock);
    e->outbox.in_flight++;
    pthread_mutex_unlock(&e->outbox.lock);
    bool staged = entry->command->verb == VERB_STAGED && !r->prepared;
    if (queue_push(staged ? &e->work : &e->writer, r)) return true;
    outbox_job_finished(e);
    request_free(r);
    return false;
}

void request_soon(const struct request *r, const char *job, struct span json) { start_job(r->engine, span_of(job), json, 0, MAX_ATTEMPTS); }

/* Starts what is due; returns the ms until the next row is. A round is over before the next begins, so no row is ever taken twice at once. */
static int64_t round_of_jobs(struct engine *e, struct store_conn *reader, struct arena *a)
{
    int64_t now = clock_now_ms(), next = 3600 * 1000;
    size_t started = 0;
    if (store_view_begin(reader, 2000) == STORE_OK) {
        struct rows due = store_query(reader, a, &q_due, (struct value[]){ V_INT(now) }, 1, 64);
        struct rows soon = store_query(reader, a, &q_next, NULL, 0, 1);
        store_view_end(reader);
        for (size_t i = 0; i < due.n && started < TAKE; i++)
            started += start_job(e, row_text(&due.at[i], 1), row_text(&due.at[i], 2), row_int(&due.at[i], 0), (int)row_int(&due.at[i], 3));
        if (due.n) next = started ? 0 : 5000;               /* none could be started (no memory, the queue is full, a job that no app knows): not at once again */
        else if (soon.n && !row_null(&soon.at[0], 0)) next = row_int(&soon.at[0], 0) - now;
    } else {
        store_view_end(reader);
        next = 5000;
    }
    return next < 0 ? 0 : next;
}

static void *outbox_main(void *arg)
{
    struct engine *e = arg;
    struct buf err;
    buf_init(&err, 1000);
    struct store_conn *reader = store_connect(e->store, true, &err);
    struct arena *a = arena_new(LIMIT_ARENA_BYTES);
    if (!reader || !a) log_error("outbox", "cannot start: %.*s", SPAN_ARGS(buf_span(&err)));
    pthread_mutex_lock(&e->outbox.lock);
    while (reader && a && !e->outbox.closed) {
        e->outbox.poke = false;
        pthread_mutex_unlock(&e->outbox.lock);
        int64_t wait_ms = round_of_jobs(e, reader, a);
        arena_reset(a);
        pthread_mutex_lock(&e->outbox.lock);
        while (e->outbox.in_flight && !e->outbox.closed) pthread_cond_wait(&e->outbox.wake, &e->outbox.lock);
        if (wait_ms > 60000) wait_ms = 60000;               /* the wall clock may be moved */
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += wait_ms / 1000;
        until.tv_nsec += wait_ms % 1000 * 1000000;
        if (until.tv_nsec >= 1000000000) { until.tv_sec++; until.tv_nsec -= 1000000000; }
        while (!e->outbox.poke && !e->outbox.closed && wait_ms > 0)
            if (pthread_cond_timedwait(&e->outbox.wake, &e->outbox.lock, &until) == ETIMEDOUT) break;
    }
    pthread_mutex_unlock(&e->outbox.lock);
    arena_free(&a);
    store_disconnect(&reader);
    buf_done(&err);
    return NULL;
}

void outbox_poke(struct engine *e)
{
    pthread_mutex_lock(&e->outbox.lock);
    e->outbox.poke = true;
    pthread_cond_broadcast(&e->outbox.wake);
    pthread_mutex_unlock(&e->outbox.lock);
}

void outbox_job_finished(struct engine *e)
{
    pthread_mutex_lock(&e->outbox.lock);
    if (--e->outbox.in_flight == 0) pthread_cond_broadcast(&e->outbox.wake);
    pthread_mutex_unlock(&e->outbox.lock);
}

bool outbox_start(struct engine *e, struct buf *err)
{
    pthread_mutex_init(&e->outbox.lock, NULL);
    pthread_cond_init(&e->outbox.wake, NULL);
    if (pthread_create(&e->outbox_thread, NULL, outbox_main, e) != 0) {
        buf_add_z(err, "cannot start the outbox's thread");
        return false;
    }
    e->outbox_running = true;
    return true;
}

void outbox_join(struct engine *e)
{
    if (!e->outbox_running) return;
    pthread_mutex_lock(&e->outbox.lock);
    e->outbox.closed = true;
    pthread_cond_broadcast(&e->outbox.wake);
    pthread_mutex_unlock(&e->outbox.lock);
    pthread_join(e->outbox_thread, NULL);
    e->outbox_running = false;
}
