/* engine/writer.c: the one thread that writes to SQLite.
 *
 * Take all that is queued; begin; each job (behind a savepoint, if there was trouble); commit (fsync); only then answers and frames go out, in order, one wake-up a loop. No timer: while one batch is in its fsync the next
 * one queues by itself. run_batch() below is the whole policy; everything else serves it. What may go wrong, and what is done then:
 *
 *   a handler refuses            what it changed is taken back; its refusal waits for the commit too, since it may rest on a neighbour's uncommitted work
 *   a statement takes the whole  (interrupt, no space, I/O error inside an UPDATE): the culprit is known: it is answered 503, the others run again
 *   batch with it
 *   commit: try again            the jobs run again one by one
 *   commit: no space             all are answered 507; reading goes on; the next batch tries anew
 *   commit: I/O error            nobody knows what is on the disk: answered "uncertain", and the process ends with an error for its supervisor to restart it from the disk */
#include "engine/engine_in.h"
#include "base/log.h"

enum { WAL_FRAMES = 2000 };                            /* 8 MB of log: then it is moved into the database */

static _Thread_local bool is_writer;
void must_be_writer(void) { must(is_writer); }

/* ---- one job ---- */

struct run { struct txn txn; };

static void run_handler(struct request *r, void *arg)
{
    struct run *run = arg;
    struct txn *t = &run->txn;
    r->reply = r->prepared ? r->prepared : request_admit(r, &t->view);
    if (!r->reply && r->idempotency_key.n && idempotency_find(r, t)) return;
    const struct command *c = request_command(r);
    if (!r->reply) r->reply = c->verb == VERB_STAGED ? c->apply(r, r->carry, t) : c->write(r, t);
    if (r->reply->status < 400 && r->idempotency_key.n) idempotency_keep(r, t);
    if (r->reply->status < 400 && r->job) outbox_delivered(r, t);
}

static void run_put_off(struct request *r, void *arg) { outbox_put_off(r, &((struct run *)arg)->txn); }

/* A job that failed: its changes are gone, its row is put off to a later time, in a savepoint of its own. */
static bool put_off(struct engine *e, struct request *r)
{
    struct run run = { .txn = { .view = { e->writer_conn, r->arena, r }, .request = r } };
    int outage = r->outage;
    if (store_mark(e->writer_conn) != STORE_OK) return false;
    request_guarded(r, run_put_off, &run);
    r->outage = outage;
    return store_settle(e->writer_conn, true) != STORE_BATCH_LOST;
}

/* Once through the handler behind the present savepoint. */
static void run_once(struct engine *e, struct request *r)
{
    struct run run = { .txn = { .view = { e->writer_conn, r->arena, r }, .request = r } };
    request_begin_run(r);
    r->step = STEP_RUN;
    store_interrupt_at(e->writer_conn, r->job ? 0 : r->deadline_mono_ms);
    request_guarded(r, run_handler, &run);
    enum store_fault f = store_fault_now(e->writer_conn);
    if (f == STORE_OK) return;
    r->reply = NULL;
    r->outage = f == STORE_FULL ? 507 : f == STORE_INTERRUPTED ? 504 : 503;
    log_error("writer", "%s: %s", request_command(r)->name, store_error_text(e->writer_conn));
}

static bool keeps(const struct request *r) { return !r->outage && r->reply && (r->reply->status < 400 || r->reply->keep); }

/* Test builds run every write twice, the first time rolled back: a handler that is not re-runnable shows here and not in a retry at night. */
static bool rehearse(struct engine *e, struct request *r)
{
    if (!e->rehearse) return true;
    run_once(e, r);
    if (store_settle(e->writer_conn, false) == STORE_BATCH_LOST) return false;
    struct buf first;
    buf_init(&first, LIMIT_REPLY_BYTES);
    int status = r->reply ? r->reply->status : 0;
    if (r->reply) buf_add_span(&first, buf_span(&r->reply->body));
    if (store_mark(e->writer_conn) != STORE_OK) { buf_done(&first); return false; }
    run_once(e, r);
    bool same = first.failed || r->outage || !status || (r->reply && r->reply->status == status && span_is(buf_span(&first), buf_span(&r->reply->body)));
    buf_done(&first);
    if (!same) log_error("rehearsal", "%s is not re-runnable: another reply the second time", request_command(r)->name);
    must(same);
    return true;
}

/* Without a savepoint: true if the job is kept, or refused without having changed anything, as most refusals are. */
static bool run_lightly(struct engine *e, struct request *r)
{
    store_next(e->writer_conn);
    run_once(e, r);
    if (keeps(r)) return store_fault_now(e->writer_conn) == STORE_OK;
    r->effects = NULL;
    return !r->job && store_untouched(e->writer_conn);
}

/* false: the whole transaction is gone. */
static bool run_job(struct engine *e, struct request *r)
{
    if (store_mark(e->writer_conn) != STORE_OK) return false;
    if (!rehearse(e, r)) return false;
    if (!e->rehearse) run_once(e, r);
    switch (store_settle(e->writer_conn, keeps(r))) {
    case STORE_KEPT: return true;
    case STORE_DROPPED:
        if (keeps(r)) {                                /* it wanted to stay and could not */
            r->outage = 503;
            r->reply = NULL;
        }
        r->effects = NULL;
        return !r->job || put_off(e, r);
    case STORE_BATCH_LOST: break;
    }
    return false;
}

/* ---- after the commit ---- */

static struct hub_local *hub_of_loop(struct loop *l) { return ((struct loop_state *)loop_user(l))->hub; }

struct posts { struct loop_task *first[MAX_LOOPS], **last[MAX_LOOPS]; };

static void release_later(struct engine *e, struct posts *posts, struct request *r)
{
    if (r->job) {
        outbox_job_finished(e);
        request_free(r);
        return;
    }
    int i = loop_index(r->loop);
    r->task.run = edge_release_task;
    r->task.next = NULL;
    if (!posts->last[i]) posts->last[i] = &posts->first[i];
    *posts->last[i] = &r->task;
    posts->last[i] = &r->task.next;
}

static void take_effect(struct engine *e, const struct request *r)
{
    for (const struct effect *f = r->effects; f; f = f->next) {
        if (f->kind == EFFECT_CALL) {
            f->call(request_app(r), f->arg);
            continue;
        }
        struct hub_news news = { f->pub.room, f->pub.seq, f->pub.who, f->pub.self, f->pub.others, f->kind == EFFECT_SEND_AWAY };
        atomic_fetch_add(&e->publications, 1);
        if (!hub_publish(e->server, hub_of_loop, &news)) log_warn("hub", "no memory to deliver a frame; it is in the history");
    }
}

/* Frames before answers, on each loop: across loops an answer may overtake a frame. */
static void release_all(struct engine *e, struct request *list, bool committed)
{
    struct posts posts = { 0 };
    bool poke = false;
    for (struct request *r = list, *next; r; r = next) {
        next = r->next;
        if (committed && r->effects) take_effect(e, r);
        poke = poke || (committed && r->wrote_later);
        release_later(e, &posts, r);
    }
    for (int i = 0; i < e->loop_count; i++)
        if (posts.first[i]) loop_post(server_loop(e->server, i), posts.first[i]);
    if (poke) outbox_poke(e);
}

static void fail_all(struct request *list, int outage, bool uncertain)
{
    for (struct request *r = list; r; r = r->next) {
        r->reply = NULL;
        r->effects = NULL;
        r->outage = outage;
        r->uncertain = uncertain;
    }
}

/* ---- one batch ---- */

static void sick(struct engine *e, bool now, const char *why)
{
    if (atomic_exchange(&e->store_sick, now) != now) {         /* logged once, and once when it is over */
        if (now) log_error("store", "writing is out of order: %s", why);
        else log_info("store", "writing works again");
    }
}

/* Takes the culprits out of the list and answers them; the rest runs again. */
static struct request *drop_one(struct request *list, const struct request *culprit, struct request **out)
{
    struct request **at = &list;
    while (*at != culprit) at = &(*at)->next;
    *out = *at;
    *at = (*at)->next;
    (*out)->next = NULL;
    return list;
}

static void run_batch(struct engine *e, struct request *list)
{
    /* Savepoints are the larger part of a short job's cost. So a batch is first run without them; when a job has to be taken back after all, everything is, and the batch runs again with one a job. */
    bool lightly = !e->rehearse;
again:
    if (!list) return;
    enum store_fault f = store_begin(e->writer_conn);
    if (f != STORE_OK) {
        sick(e, true, store_error_text(e->writer_conn));
        fail_all(list, f == STORE_FULL ? 507 : 503, false);
        release_all(e, list, false);
        return;
    }
    for (struct request *r = list; r; r = r->next) {
        if (lightly ? run_lightly(e, r) : run_job(e, r)) continue;
        store_rollback(e->writer_conn);
        if (lightly) {
            lightly = false;
            atomic_fetch_add(&e->reruns, 1);
            goto again;
        }
        atomic_fetch_add(&e->reruns, 1);
        struct request *culprit;
        list = drop_one(list, r, &culprit);
        fail_all(culprit, culprit->outage ? culprit->outage : 503, false);
        release_all(e, culprit, false);
        goto again;
    }
    for (struct request *r = list; r; r = r->next) r->step = STEP_COMMIT;
    switch (store_commit(e->writer_conn)) {
    case STORE_COMMITTED:
        atomic_fetch_add(&e->commits, 1);
        sick(e, false, "");
        release_all(e, list, true);
        return;
    case STORE_COMMIT_AGAIN:
        atomic_fetch_add(&e->commits_failed, 1);
        if (!list->next) {                              /* alone and still not: its own fault */
            log_error("writer", "%s: %s", request_command(list)->name, store_error_text(e->writer_conn));
            fail_all(list, 503, false);
            release_all(e, list, false);
            return;
        }
        while (list) {
            struct request *one = list;
            list = list->next;
            one->next = NULL;
            run_batch(e, one);
        }
        return;
    case STORE_COMMIT_FULL:
        atomic_fetch_add(&e->commits_failed, 1);
        sick(e, true, store_error_text(e->writer_conn));
        fail_all(list, 507, false);
        release_all(e, list, false);
        return;
    case STORE_COMMIT_UNCERTAIN:
        log_error("store", "the outcome of a commit is unknown (%s): stopping, so that a restart reads what is really on the disk", store_error_text(e->writer_conn));
        atomic_store(&e->broken, true);
        fail_all(list, 503, true);
        release_all(e, list, false);
        engine_stop_soon(e);
        return;
    }
}

/* ---- the thread ---- */

static struct request *drop_expired(struct engine *e, struct request *list)
{
    int64_t now = clock_mono_ms();
    struct request **at = &list, *expired = NULL, **end = &expired;
    while (*at) {
        struct request *r = *at;
        if (r->job || now < r->deadline_mono_ms) { at = &r->next; continue; }
        *at = r->next;
        r->next = NULL;
        *end = r;
        end = &r->next;
    }
    if (expired) {
        fail_all(expired, 504, false);
        release_all(e, expired, false);
    }
    return list;
}

static void care(struct engine *e)
{
    struct store_checkpointed moved;
    enum store_fault f = store_checkpoint(e->writer_conn, &moved);
    if (f != STORE_OK && f != STORE_RETRY /* another process is at it: next time */) sick(e, true, store_error_text(e->writer_conn));
}

static void *writer_main(void *arg)
{
    struct engine *e = arg;
    is_writer = true;
    int checkpointed = 0;                              /* frames that were in the log then: a reader may hold the log long */
    struct request *list;
    while ((list = queue_take(&e->writer, LIMIT_WRITER_BATCH, true))) {
        if (atomic_load(&e->broken)) {
            fail_all(list, 503, true);
            release_all(e, list, false);
            continue;
        }
        list = drop_expired(e, list);
        unsigned jobs = 0;
        for (struct request *r = list; r; r = r->next) jobs++;
        atomic_fetch_add(&e->batches, 1);
        atomic_fetch_add(&e->batch_jobs, jobs);
        run_batch(e, list);
        /* between batches, so that a checkpoint never meets a transaction of ours */
        int frames = store_wal_frames(e->writer_conn);
        if (frames < checkpointed) checkpointed = 0;   /* the log began anew */
        if (frames - checkpointed > WAL_FRAMES) {
            care(e);
            checkpointed = frames;
        }
    }
    if (!atomic_load(&e->broken)) care(e);
    return NULL;
}

bool writer_start(struct engine *e, struct buf *err)
{
    queue_init(&e->writer, LIMIT_WRITER_QUEUE);
    if (!kept_start(e)) {
        buf_add_z(err, "out of memory");
        return false;
    }
    if (pthread_create(&e->writer_thread, NULL, writer_main, e) != 0) {
        buf_add_z(err, "cannot start the writer's thread");
        return false;
    }
    e->writer_running = true;
    return true;
}

void writer_join(struct engine *e)
{
    if (!e->writer_running) return;
    queue_close(&e->writer);
    pthread_join(e->writer_thread, NULL);
    e->writer_running = false;
}
