/* engine/worker.c: a few threads for what takes long and holds no transaction: errands of STAGED commands (calls to WeChat, images), reads over their inline budget, pages of long
 * lists. Each has its own reading connection, opened when it is first needed. */
#include "engine/engine_in.h"
#include "base/log.h"

bool worker_snapshot(const struct worker *w, const char *to_path, struct buf *err)
{
    return store_snapshot(w->engine->store, to_path, w->deadline_mono_ms, err) == STORE_OK;
}

struct page { struct snap snap; bool more; };

static void run_errand(struct request *r, void *arg)
{
    struct worker w = { r->arena, r->deadline_mono_ms, r->engine };
    (void)arg;
    r->errand(r->carry, &w);
}

static void run_read(struct request *r, void *arg)
{
    struct snap *s = arg;
    r->reply = request_admit(r, s);
    if (!r->reply) r->reply = request_command(r)->read(r, s);
}

static void run_page(struct request *r, void *arg)
{
    struct page *p = arg;
    r->reply->body.n = 0;
    p->more = r->reply->more(r, &p->snap, r->reply, r->reply->state);
    if (!p->more) r->reply->more = NULL;
}

static void run_prepare(struct request *r, void *arg)
{
    struct errand errand = { r };
    r->prepared = request_command(r)->prepare(r, arg, &errand);
}

/* A job that could not be prepared or done: told to the writer as a refusal, so that its row is put off. */
static struct reply *refuse_outage(struct request *r)
{
    static struct reply outage = { .status = 503 };
    r->outage = 0;
    return &outage;
}

static bool in_view(struct request *r, struct store_conn *reader, void (*fn)(struct request *, void *), void *arg)
{
    bool good = store_view_begin(reader, WORKER_BUDGET_MS) == STORE_OK && request_guarded(r, fn, arg);
    enum store_fault f = store_fault_now(reader);
    store_view_end(reader);
    if (f != STORE_OK) {
        log_error("worker", "%s: %s", request_command(r)->name, store_error_text(reader));
        r->outage = f == STORE_INTERRUPTED ? 504 : 503;
        good = false;
    }
    return good;
}

/* ---- single flight: an errand whose key is under way waits at the end of the queue ---- */

static bool key_enter(struct engine *e, struct span key)
{
    if (!key.n) return true;
    bool free_now = true;
    pthread_mutex_lock(&e->flight.lock);
    for (int i = 0; i < e->flight.count; i++) free_now = free_now && !span_is(e->flight.keys[i], key);
    if (free_now) e->flight.keys[e->flight.count++] = key;     /* at most one a worker */
    pthread_mutex_unlock(&e->flight.lock);
    return free_now;
}

static void key_leave(struct engine *e, struct span key)
{
    if (!key.n) return;
    pthread_mutex_lock(&e->flight.lock);
    for (int i = 0; i < e->flight.count; i++)
        if (e->flight.keys[i].p == key.p) e->flight.keys[i] = e->flight.keys[--e->flight.count];
    pthread_mutex_unlock(&e->flight.lock);
}

static void back_to_loop(struct request *r)
{
    r->task.next = NULL;
    r->task.run = edge_release_task;
    loop_post(r->loop, &r->task);
}

static void finish_errand(struct engine *e, struct request *r, struct span key)
{
    key_leave(e, key);
    r->mark = arena_mark(r->arena);                   /* what the errand brought stays for every run */
    r->step = STEP_QUEUE;
    bool frame = r->frame, job = r->job;
    if (frame) {                                      /* frames go back to their loop, which keeps a socket's order */
        sockets_frame_queued(r);
        return;
    }
    if (r->outage && !job) { back_to_loop(r); return; }
    if (queue_push(&e->writer, r)) return;
    r->outage = 503;
    if (job) {                                        /* its row is still there and will be claimed again */
        outbox_job_finished(e);
        request_free(r);
        return;
    }
    back_to_loop(r);
}

static void *worker_main(void *arg)
{
    struct engine *e = arg;
    struct store_conn *reader = NULL;
    struct request *r;
    while ((r = queue_take(&e->work, 1, true))) {
        if (r->work == WORK_ERRAND) {
            struct span key = r->errand_key;
            if (!key_enter(e, key)) {
                struct timespec nap = { 0, 2000000 };
                nanosleep(&nap, NULL);
                if (queue_push(&e->work, r)) continue;
                key = (struct span){ 0 };
                r->outage = 503;
            }
            r->step = STEP_ERRAND;
            if (!r->outage) request_guarded(r, run_errand, NULL);
            if (r->outage && r->job) r->prepared = refuse_outage(r);
            finish_errand(e, r, key);
            continue;
        }
        struct buf err;
        buf_init(&err, 1000);
        if (!reader) reader = store_connect(e->store, true, &err);
        if (!reader) {
            log_error("worker", "%.*s", SPAN_ARGS(buf_span(&err)));
            r->outage = 503;
        } else if (r->work == WORK_JOB) {
            struct snap snap = { reader, r->arena, r, NULL };
            in_view(r, reader, run_prepare, &snap);
            if (!r->outage && !r->prepared && r->errand && r->errand_key.n) {       /* a lane: it takes its turn like any other errand */
                r->work = WORK_ERRAND;
                if (queue_push(&e->work, r)) {
                    buf_done(&err);
                    continue;
                }
                r->outage = 503;
            } else if (!r->outage && !r->prepared && r->errand) request_guarded(r, run_errand, NULL);
            if (r->outage) r->prepared = refuse_outage(r);
            buf_done(&err);
            finish_errand(e, r, (struct span){ 0 });
            continue;
        } else if (r->work == WORK_READ) {
            struct snap snap = { reader, r->arena, r, NULL };
            request_begin_run(r);
            in_view(r, reader, run_read, &snap);
        } else {
            struct page page = { .snap = { reader, r->arena, r } };
            struct arena_mark mark = arena_mark(r->arena);
            in_view(r, reader, run_page, &page);
            if (!r->outage) arena_rewind(r->arena, mark);
        }
        buf_done(&err);
        back_to_loop(r);
    }
    store_disconnect(&reader);
    return NULL;
}

bool workers_start(struct engine *e, struct buf *err)
{
    queue_init(&e->work, LIMIT_WORKER_QUEUE);
    pthread_mutex_init(&e->flight.lock, NULL);
    for (; e->workers_running < WORKERS; e->workers_running++)
        if (pthread_create(&e->worker_threads[e->workers_running], NULL, worker_main, e) != 0) {
            buf_add_z(err, "cannot start the worker threads");
            return false;
        }
    return true;
}

void workers_join(struct engine *e)
{
    if (!e->workers_running) return;
    queue_close(&e->work);
    while (e->workers_running) pthread_join(e->worker_threads[--e->workers_running], NULL);
}
