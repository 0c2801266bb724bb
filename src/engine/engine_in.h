/* engine/engine_in.h: what the files of engine/ share. The life of a command and who touches what:
 *
 *   loop thread     edge.c: head → route → body → decode.c → admit limits → READS run here; WRITES go to the writer
 *   worker threads  worker.c: errands of STAGED commands, pages of long lists, reads over their budget
 *   writer thread   writer.c: batches of write jobs in one transaction each
 *   loop thread     reply.c/edge.c: release: answers and frames, after the commit
 *
 * A struct request is owned by exactly one of them at a time and handed on whole. */
#ifndef WEIR_ENGINE_IN_H
#define WEIR_ENGINE_IN_H
#include <pthread.h>
#include <stdatomic.h>

#include "engine/app.h"
#include "engine/engine.h"
#include "hub/hub.h"
#include "net/router.h"
#include "net/server.h"
#include "wire/multipart.h"

enum { MAX_LOOPS = 16, WORKERS = 6, INLINE_BUDGET_MS = 50, WORKER_BUDGET_MS = 8000, HISTOGRAM = 12 };

enum step { STEP_READ, STEP_DECODE, STEP_ADMIT, STEP_PREPARE, STEP_ERRAND, STEP_QUEUE, STEP_RUN, STEP_COMMIT, STEP_RELEASE };

struct entry {                                    /* one row of the table, or one of the engine's own routes */
    int index;
    const struct app *app;
    const struct command *command;
    const struct channel *channel;
    const struct command *frames;                 /* of a channel */
    enum { OWN_NONE, OWN_HEALTH, OWN_READY, OWN_METRICS } own;
    bool has_file;
};

struct parameter { bool has; struct span text; int64_t number; const json_t *json; const struct upload *upload; };

struct effect {
    struct effect *next;
    enum { EFFECT_PUBLISH, EFFECT_SEND_AWAY, EFFECT_CALL } kind;
    struct publication pub;
    void (*call)(void *, void *);
    void *arg;
};

struct upload_state;                              /* uploads.c: a multipart body under way */
struct socket_state;                              /* sockets.c: one WebSocket */

struct request {
    struct loop_task task;                        /* first: a request is posted as its own task */
    struct request *next;                         /* in the writer's, a worker's or a socket's queue */
    struct engine *engine;
    const struct entry *entry;
    struct exchange *exchange;                    /* NULL: a frame or a job */
    struct loop *loop;                            /* NULL: a job */
    struct arena *arena;
    bool own_arena, frame, job, chinese, api, streaming, head_sent;
    bool tls, loopback, local;                    /* of the connection, asked once on its loop: the writer must not look at it */
    struct socket_ref socket;
    int64_t job_id;
    int job_attempts;
    int64_t now_ms, deadline_mono_ms;
    uint64_t started_ns;
    struct seeded random;
    enum step step;
    struct span path;                             /* decoded */
    struct routed routed;
    struct parameter *parameters;                 /* one for each field of takes */
    struct pairs pairs;
    struct upload_state *upload;
    struct principal principal;
    const void *known;                            /* principal.data of prepare(): see request_known */
    uint64_t known_commits;                       /* and the last commit that its view had seen for sure */
    bool rate_checked, rate_refused, replayed;
    struct span request_id;
    struct span idempotency_key;
    unsigned char parameters_hash[32];
    /* a run of the handler */
    struct arena_mark mark;                       /* what was there before it */
    struct effect *effects, **effects_end;
    bool wrote_later;
    struct reply *reply;
    int outage;                                   /* status to answer instead of a reply; 0 = none */
    bool uncertain;
    /* STAGED */
    void (*errand)(void *, const struct worker *);
    void *carry;
    struct span errand_key;
    struct reply *prepared;                       /* a job whose prepare() found that nothing is left to do, or refused */
    /* worker */
    enum { WORK_ERRAND, WORK_READ, WORK_PAGE, WORK_JOB } work;
    char id_text[24];
};

struct snap { struct store_conn *conn; struct arena *arena; const struct request *request; struct loop_state *loop; /* NULL: not a view of a loop, see kept.c */ };
struct txn { struct snap view; struct request *request; };
struct errand { struct request *request; };

struct counts {                                   /* one entry on one loop: written by its loop only */
    _Atomic uint64_t status[6];                   /* 1xx.. 5xx, [0] = lost */
    _Atomic uint64_t microseconds, histogram[HISTOGRAM];
};

struct loop_state {
    struct engine *engine;
    struct loop *loop;
    struct store_conn *reader;
    bool viewing;                                 /* the reader's view is open, for the requests of this turn */
    uint64_t view_commits;                        /* e->commits when it began */
    struct kept *kept;                            /* kept.c; made when it is first needed */
    struct hub_local *hub;
    struct buf access;                            /* log lines not yet written */
    struct counts *counts;
    struct arena *spare_arena[64];
    int spare_arenas;
    struct buf scratch;
};

struct queue {                                    /* many producers, few consumers */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct request *first, **last;
    size_t count, max;
    bool closed;
};

struct engine {
    const struct settings *settings;
    const struct app *const *apps;
    void **app_state;
    struct server *server;
    int port, data_fd, lock_fd;
    char *data;
    struct store *store;
    struct store_conn *writer_conn;
    struct sealer *sealer;
    unsigned char app_key[32];                    /* what request_key derives from */
    struct zone *zone;
    struct span public_url, cors, origins;
    struct entry *entries;
    int entry_count;
    struct router *router, *local_router;         /* over TCP; on the Unix socket, which also knows the operator's rows */
    struct loop_state *loops[MAX_LOOPS];
    int loop_count, access_fd;
    bool debug, rehearse, demo, local_only, local_bound;
    enum { METRICS_LOOPBACK, METRICS_ALL, METRICS_OFF } metrics;
    int64_t rate, principal_rate;
    struct queue writer, work;
    pthread_t writer_thread, worker_threads[WORKERS], outbox_thread;
    bool writer_running, outbox_running;
    int workers_running;
    struct { pthread_mutex_t lock; pthread_cond_t wake; bool poke, closed; int in_flight; } outbox;
    struct { pthread_mutex_t lock; struct span keys[WORKERS]; int count; } flight;
    _Atomic int64_t *rates;
    uint64_t rate_seed;
    _Atomic bool stopping, broken, store_sick;
    _Atomic uint64_t commits;                     /* of the writer; raised before anybody is told */
    _Atomic uint64_t *stamps;                     /* kept.c: the last commit that touched a row */
    bool keeps;
    int stop_pipe[2];
    uint64_t boot_id;
    _Atomic uint64_t request_counter, batches, batch_jobs, commits_failed, outbox_delivered, outbox_failed, queue_refused, rate_refused, idempotent_hits, reruns, publications;
    uint64_t started_ns;
};

/* table.c */
bool table_build(struct engine *, struct buf *err);
const struct entry *table_find_job(const struct engine *, struct span name);
const struct app *table_app_of_path(const struct engine *, struct span path);      /* of /api/NAME/ the app of that name */
bool span_is_api(struct span path);

/* decode.c */
bool decode_parameters(struct request *);         /* false: r->reply is the refusal */
bool decode_json_object(struct request *, const json_t *object);
bool decode_frame_parameters(struct request *, struct span query, const json_t *object);
struct reply *decode_check(struct request *);     /* required, ranges; NULL = good; also hashes the parameters */

/* request.c */
struct request *request_new(struct engine *, struct loop *, struct arena *, const struct entry *);
void request_begin_run(struct request *);         /* forgets all of the last run */
struct reply *request_admit(struct request *, struct snap *);
bool request_guarded(struct request *, void (*fn)(struct request *, void *), void *arg);     /* false: the arena escaped, r->outage is set */
void request_free(struct request *);

/* reply.c */
struct span error_body(const struct engine *, struct buf *out, struct span path, int status, struct span message);
struct span outage_message(const struct request *);

/* view.c: reading on a loop */
bool view_open(struct loop_state *, int64_t budget_ms);         /* false: store_fault_now tells */
enum store_fault view_done(struct loop_state *);                /* the fault of this request; the view stays for the next one of the turn */
void view_close(struct loop_state *);                           /* end of the turn; harmless without one */

/* kept.c */
bool kept_start(struct engine *);                 /* before the writer's thread; false: out of memory */
void kept_stop(struct engine *);
void kept_free(struct loop_state *);
const struct row *kept_one(struct snap *, const struct query *, const struct value *args, size_t n);      /* snap_one */

/* edge.c */
void edge_release(struct request *);              /* the answer goes out; on the request's loop */
void edge_release_task(struct loop *, struct loop_task *);
void edge_to_writer(struct request *);
void edge_config(struct engine *, struct server_config *);
void edge_execute(struct request *);              /* decoded and admitted: run it by its verb */
bool rate_take(struct engine *, struct span who, int64_t per_second, int64_t now_mono_ms);

/* queues */
void queue_init(struct queue *, size_t max);
bool queue_push(struct queue *, struct request *);            /* false: full or closed */
struct request *queue_take(struct queue *, size_t max, bool wait);      /* a list linked by next; NULL: closed and empty (or nothing, without wait) */
void queue_close(struct queue *);

/* writer.c, worker.c, outbox.c, uploads.c, sockets.c, metrics.c, files.c */
void must_be_writer(void);                        /* at the top of what only the writer may do */
bool writer_start(struct engine *, struct buf *err);
void writer_join(struct engine *);
bool workers_start(struct engine *, struct buf *err);
void workers_join(struct engine *);
bool outbox_start(struct engine *, struct buf *err);
void outbox_join(struct engine *);
void outbox_poke(struct engine *);
void outbox_job_finished(struct engine *);
void outbox_delivered(struct request *, struct txn *);        /* in the writer, inside the job's savepoint: its row goes */
void outbox_put_off(struct request *, struct txn *);          /* in the writer, after a failure: its row gets a later time, or is dead */
extern const struct migration engine_migrations[];
extern const struct query *const engine_queries[];
bool idempotency_find(struct request *, struct txn *);        /* true: r->reply is the stored reply (or a 422) */
void idempotency_keep(struct request *, struct txn *);

bool upload_begin(struct request *, struct span boundary);
bool upload_feed(struct request *, struct span bytes);        /* false: r->reply is the refusal */
bool upload_end(struct request *);
struct uploads upload_files(const struct request *);

void sockets_handshake(struct request *);
void sockets_message(struct socket *, bool text, struct span, void *engine);
void sockets_closed(struct socket *, int code, void *engine);
void sockets_frame_admitted(struct request *);                /* on the loop: it is known who speaks */
void sockets_errand_begins(struct request *);
void sockets_frame_queued(struct request *);                  /* worker: an errand is over; back to the loop */
void sockets_release(struct request *);
bool origin_allowed(const struct engine *, const struct http_head *);
bool origin_listed(struct span list, struct span origin);

void metrics_count(struct loop_state *, const struct entry *, int status, uint64_t ns);
void metrics_write(struct engine *, struct buf *out);
void files_reply(struct request *, struct reply *, struct span headers);
void edge_flush_access(struct loop_state *);
void access_line(struct loop_state *, const struct request *, const struct exchange *, int status);
#endif
