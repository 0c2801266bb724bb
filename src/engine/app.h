/* engine/app.h: all that an application includes.
 *
 * A command (an HTTP route, a WebSocket frame or a deferred job) is one row of its app's table. Routing, decoding, validation, identity, limits, metrics, `weir routes`, the OpenAPI document and the
 * tests read that row. A handler is a plain function from a request and a view of the store to a reply: it reads top to bottom, waits for nothing, asks no clock, owns no memory.
 * What it returns leaves the process only after the transaction behind it is durable.
 *
 * Four verbs, each a type: READS(fn), WRITES(fn), STAGED(prepare, apply), RELAYS(fn). A reader given a writer does not compile.
 *
 * Re-runnable: a write handler may be run more than once for one request (a lost batch, a retry, the rehearsal of test builds). It must give the same reply for the same store, so time and
 * randomness come from the request. Memory: everything is taken from the request's arena; when that is at its end the handler is left by longjmp, so it must hold nothing else. */
#ifndef WEIR_APP_H
#define WEIR_APP_H
#include "base/base.h"
#include "base/clock.h"
#include "base/hash.h"
#include "net/mail.h"
#include "store/store.h"
#include "wire/form.h"
#include "wire/http1.h"
#include "wire/json.h"
#include "wire/sealed.h"

struct request;          /* who, when, parameters, arena: constant once admitted */
struct snap;             /* a view of the store: reading only */
struct txn;              /* one job's savepoint; txn_view() is a snap */
struct errand;           /* slow work that is described and not done */
struct app;
struct command;
struct settings;

/* ---- replies ---- */

struct reply {
    int status;                          /* >= 400: a refusal; a writer's changes are rolled back */
    bool keep;                           /* a refusal that keeps its changes all the same (a failed try that must be counted) */
    const char *type;                    /* content type; NULL = application/json; charset=utf-8 */
    struct buf body;
    struct jout json;                    /* writes into body */
    struct buf headers;                  /* extra lines with CRLF */
    struct span message;                 /* of a refusal: its text */
    struct span file;                    /* a file below the data directory instead of a body */
    struct span asset;                   /* bytes that live as long as the program instead of a body */
    bool (*more)(const struct request *, struct snap *, struct reply *, void *state);   /* see reply_stream */
    void *state;
};

struct reply *reply_new(const struct request *, int status);                     /* an empty JSON reply: write into &reply->json */
struct reply *reply_text(const struct request *, int status, const char *type, struct span body);
struct reply *reply_file(const struct request *, const char *type, struct span path_below_data);   /* ETag, Range, If-None-Match by the engine; 404 if it is not there */
void reply_header(struct reply *, const char *name, struct span value);          /* value without CR and LF (must) */
struct reply *reply_asset(const struct request *, const char *type, struct span static_bytes);   /* the same for bytes built into the program; gzip for who takes it */
/* A long list: `more` is called again and again, each time with a fresh short view, on a worker, when the client has taken what was sent; it appends to reply->body (JSON state is kept) and returns
 * false when the list is complete. The first page is what the handler itself wrote. */
void reply_stream(struct reply *, bool (*more)(const struct request *, struct snap *, struct reply *, void *state), void *state);
/* A refusal in the app's own shape (paths under /api/: errcode, errmsg). The text in the caller's language; English NULL: the text is part of a contract and never translated. */
struct reply *refuse(const struct request *, int status, const char *zh, const char *en);
/* {"errcode":0,"errmsg":"ok","data": …}: begins the reply of a route under /api/ up to the value of data; end with reply_api_end */
struct reply *reply_api(const struct request *);
void reply_api_end(struct reply *);

/* ---- requests ---- */

int64_t request_now(const struct request *);                                     /* UTC ms */
void request_random(const struct request *, void *out, size_t n);                /* the same bytes at each run of the handler */
struct arena *request_arena(const struct request *);
bool request_chinese(const struct request *);                                    /* Accept-Language; Chinese by default */
struct span request_origin(const struct request *);                              /* "https://host" : public_url or what the request says */
const struct zone *request_zone(const struct request *);
const struct settings *request_settings(const struct request *);
const struct sealer *request_sealer(const struct request *);
void request_key(const struct request *, const char *label, unsigned char out[32]);      /* a key of the app's own, derived from the server's secret by that label; the same at each start */
const struct command *request_command(const struct request *);
bool request_tls(const struct request *);
struct span request_data(const struct request *);                                /* the data directory: absolute; its tmp/ and upload/ exist */
void *request_app(const struct request *);                                       /* what the app's start() returned */
struct span request_head(const struct request *, const char *name);              /* a header, empty if absent */
struct span request_body(const struct request *);                                /* raw (buffered bodies) */
const struct http_head *request_http(const struct request *);                    /* NULL for frames and jobs */

/* Parameters by the names of the row's `takes` (a name that is not in it is a bug). Absent: false, 0, empty. */
bool request_takes(const struct request *, const char *name);                    /* is it a name of the row at all */
bool request_has(const struct request *, const char *name);
struct span request_text(const struct request *, const char *name);
int64_t request_int(const struct request *, const char *name);
const json_t *request_json(const struct request *, const char *name);            /* fields of kind ANY */
struct upload { struct span name, filename, type, path; int64_t bytes; unsigned char sha256[32]; };   /* path: a temporary file, removed with the request unless it was renamed */
const struct upload *request_upload(const struct request *, const char *name);
struct uploads { size_t n; const struct upload *at; };
struct uploads request_uploads(const struct request *);                          /* all files, in the order sent */
struct pairs request_pairs(const struct request *);                              /* all text fields of query and body, in order */

/* ---- who is calling ---- */

struct principal { int kind; int64_t id; struct span name; const void *data; };    /* kind 0: nobody; name: for rate limits and idempotency, unique for (kind, id); data: the app's own, in the arena */
enum { PRINCIPAL_OPERATOR = -1 };        /* kind of who calls a COMMAND_OPERATOR row: id 0, name "operator" */
const struct principal *request_principal(const struct request *);
/* In the second admission of a STAGED command: the `data` that the first one found, before prepare(). It may be stale by now, but it says which row to look at. NULL in a first admission. */
const void *request_known(const struct request *);
/* Is the row that a query with kept_by gave for that id before prepare() still what it was? False: perhaps not. */
bool request_unchanged(const struct request *, const struct query *, int64_t id);
void request_become(const struct request *, const struct principal *);           /* for join(), which finds out by itself who is calling */

/* ---- the store ---- */

#define STORE_ARGS(...) ((struct value[]){ V_NULL, ##__VA_ARGS__ }) + 1, sizeof((struct value[]){ V_NULL, ##__VA_ARGS__ }) / sizeof(struct value) - 1
struct snap *txn_view(struct txn *);
struct arena *snap_arena(struct snap *);
const struct row *snap_one_of(struct snap *, const struct query *, const struct value *, size_t);
struct rows snap_all_of(struct snap *, const struct query *, const struct value *, size_t);
int64_t txn_do_of(struct txn *, const struct query *, const struct value *, size_t);
int64_t txn_insert_of(struct txn *, const struct query *, const struct value *, size_t);
/* One row or NULL; all rows (the SQL bounds them; at most 100,000); a change without rows: the number of rows changed. RETURNING: snap_one(txn_view(t), …). */
/* txn_insert: for queries with QUERY_INSERTS: the new row's id. */
#define txn_insert(txn, query, ...) txn_insert_of((txn), (query), STORE_ARGS(__VA_ARGS__))
#define snap_one(snap, query, ...) snap_one_of((snap), (query), STORE_ARGS(__VA_ARGS__))
#define snap_all(snap, query, ...) snap_all_of((snap), (query), STORE_ARGS(__VA_ARGS__))
#define txn_one(txn, query, ...) snap_one_of(txn_view(txn), (query), STORE_ARGS(__VA_ARGS__))
#define txn_all(txn, query, ...) snap_all_of(txn_view(txn), (query), STORE_ARGS(__VA_ARGS__))
#define txn_do(txn, query, ...) txn_do_of((txn), (query), STORE_ARGS(__VA_ARGS__))

/* ---- effects: kept with the savepoint, happen after the commit ---- */

/* To everybody in the room. `seq` > 0 orders the room's messages (subscribers drop what they have seen). `self` goes to sockets of principal `who`, `others` to the rest. Spans are copied. */
struct publication { struct span room; int64_t seq, who; struct span self, others; };
void txn_publish(struct txn *, const struct publication *);
void txn_send_away(struct txn *, struct span room, int64_t who);                 /* closes the room's sockets (who = 0: everybody's) with 1008 */
/* Forgets the replies kept for idempotency keys of that principal (by its name): for accounts that are deleted. */
void txn_forget_replies(struct txn *, struct span principal_name);
/* Calls fn on the writer's thread after the commit, before anything is published: for what a process remembers beside the store. */
void txn_after(struct txn *, void (*fn)(void *app_state, void *arg), void *arg);
/* Runs the command named `job` later, at least once, in its own transaction; parameters: a JSON object for its `takes`. */
void txn_later(struct txn *, const char *job, struct span json, int64_t delay_ms);

/* After the commit the outbox is looked at, though nothing was added: its rows were changed (apps/operator). */
void txn_wake_outbox(struct txn *);

/* From a reader: runs that job once, soon, if there is room; without a row, so it may be forgotten in a crash. For notes such as "was in use". */
void request_soon(const struct request *, const char *job, struct span json);

/* ---- errands ---- */

/* Described in prepare(), done by a worker that holds no transaction; `carry` lives in the request's arena and is what apply() gets. No call: apply() follows at once. */
struct worker { struct arena *arena; int64_t deadline_mono_ms; struct engine *engine; };
void errand_call(struct errand *, void (*fn)(void *carry, const struct worker *), void *carry);
void errand_carry(struct errand *, void *carry);
/* In an errand: a consistent copy of the database in a new file. False: why not is in err. */
bool worker_snapshot(const struct worker *, const char *to_path, struct buf *err);
/* Errands with the same key run one at a time, in order (single flight). */
void errand_key(struct errand *, struct span key);

/* ---- the table ---- */

enum field_kind { FIELD_TEXT, FIELD_INT, FIELD_FILE, FIELD_ANY };
enum { REQUIRED = 1, NOT_EMPTY = 2, SECRET = 4 /* redacted in logs */, STRING_ONLY = 8 /* no JSON numbers */,
       JUDGED = 32 /* a JSON value of another type is there, as an empty text: the handler looks at request_json and refuses it in its own words */,
       HOW = 16 /* who asks and how, not for what: with another value it is still a repeat of the same request (idempotency keys) */ };
struct field {
    const char *name;
    const char *aliases;                 /* further names, separated by spaces, or NULL */
    enum field_kind kind;
    unsigned flags;
    int64_t min, max;                    /* TEXT: code points (max 0 = 1000); INT: value (both 0 = any) */
    const char *about;
};
struct shape { const struct field *fields; size_t n; };
#define SHAPE(...) ((const struct shape){ (const struct field[]){ __VA_ARGS__ }, sizeof((const struct field[]){ __VA_ARGS__ }) / sizeof(struct field) })

typedef struct reply *read_fn(const struct request *, struct snap *);
typedef struct reply *write_fn(const struct request *, struct txn *);
typedef struct reply *prepare_fn(const struct request *, struct snap *, struct errand *);    /* NULL = go on */
typedef struct reply *apply_fn(const struct request *, void *carry, struct txn *);
typedef struct reply *relay_fn(const struct request *);

enum verb { VERB_NONE, VERB_READS, VERB_WRITES, VERB_STAGED, VERB_RELAYS };
#define READS(fn)  .verb = VERB_READS, .read = _Generic((fn), read_fn *: (fn))
#define WRITES(fn) .verb = VERB_WRITES, .write = _Generic((fn), write_fn *: (fn))
#define STAGED(prepare_, apply_) .verb = VERB_STAGED, .prepare = _Generic((prepare_), prepare_fn *: (prepare_)), .apply = _Generic((apply_), apply_fn *: (apply_))
#define RELAYS(fn) .verb = VERB_RELAYS, .relay = _Generic((fn), relay_fn *: (fn))

struct command {
    const char *name;                    /* "diary.write" */
    const char *about;
    const char *http;                    /* "POST /matching/emotion/?", "GET|POST /x/{id}", "ANY /y" ; further routes separated by ", " */
    const char *channel;                 /* frames of the channel of that name */
    bool job;                            /* for txn_later only */
    const struct shape *takes;
    const char *gives;                   /* the body of the success, in the notation of docs/why/shapes.md: "{status:s, data:{emotion:s, match?:{…}}}" */
    unsigned needs;                      /* the app's own bits, given to its admit() */
    unsigned flags;
    int64_t body_bytes;                  /* limit of the body; 0 = LIMIT_BODY_BYTES (or LIMIT_UPLOAD_BYTES with a FILE field) */
    enum verb verb;
    read_fn *read; write_fn *write; prepare_fn *prepare; apply_fn *apply; relay_fn *relay;
};
enum { COMMAND_NOT_IDEMPOTENT_KEYED = 1 /* no Idempotency-Key (logins) */, COMMAND_PRIVATE = 2 /* Cache-Control: no-store */, COMMAND_DEBUG = 4 /* only with debug.routes */,
       COMMAND_RAW = 8 /* the body is not decoded */, COMMAND_MULTIPART = 16 /* files under any name */,
       COMMAND_OPERATOR = 32 /* exists only on the Unix socket in the data directory; admit() is not asked; see docs/why/operator.md */ };

/* A WebSocket path. join() decides who hears what: it is run at the handshake and again before the first frame of a socket that is not yet in its room. */
struct join {
    struct span room;                    /* set it: what the socket hears from now on; empty: nothing yet */
    int64_t who;                         /* the principal for `self` */
    int64_t seen;                        /* frames with a seq up to this were seen (or are in backlog) */
    size_t backlog_count;
    const struct span *backlog;          /* frames to send first */
};
struct channel {
    const char *name;
    const char *path;                    /* "/ws/chat/{room}/?" */
    const struct shape *takes;           /* of the handshake's query and path */
    struct reply *(*join)(const struct request *, struct snap *, struct join *);     /* NULL = accepted */
    struct span (*frame_error)(const struct request *, int status, struct span message);   /* the text frame that tells a refusal; the socket stays open */
    bool echo;                           /* debug: every message goes back as it came */
    unsigned flags;
    size_t max_message_bytes;
};

/* One setting of an app or of the engine. What a text must look like is checked when it is set, so a start with a wrong value ends at once with a sentence that says what is wrong. */
enum setting_kind {
    SETTING_TEXT,                        /* min: bytes at least, unless empty */
    SETTING_INT,                         /* min..max (both 0 = any) */
    SETTING_BOOL,                        /* true false yes no on off 1 0 */
    SETTING_DECIMAL,                     /* 0.15: at most four digits behind the point; min..max in ten-thousandths, as settings_int gives it */
    SETTING_PATH,                        /* no "~": nothing is expanded */
    SETTING_URL,                         /* http:// or https:// without a query; slashes at its end are dropped */
    SETTING_LISTEN,                      /* ADDRESS:PORT, [V6]:PORT */
    SETTING_ZONE,                        /* Asia/Shanghai */
    SETTING_ORIGINS,                     /* https://a.example, separated by spaces or commas; or * */
    SETTING_NETWORKS,                    /* 10.0.0.0/8 ::1, separated likewise */
};
struct setting {
    const char *section, *key, *fallback, *about;
    bool secret;                         /* never printed or logged */
    const char *choices;                 /* "open|handle|session": one of these; NULL = by its kind */
    enum setting_kind kind;
    int64_t min, max;
};

struct app {
    const char *name;
    const char *const *prefixes;         /* paths whose errors have this app's shape: "/matching/", "/ws/chat/", ended by NULL */
    const struct command *commands;      /* ended by a row without name */
    const struct channel *channels;      /* likewise, or NULL */
    const struct query *const *const *queries;      /* lists, each ended by NULL; the lists too */
    const struct query *files;           /* NULL, or which files below the data directory the database names, for backups: a key above $1 in its order, then paths; at most 500 rows; also one of queries */
    const struct migration *migrations;  /* ended by a row without app */
    const struct setting *settings;      /* ended by a row without section, or NULL */
    void *(*start)(const struct settings *, struct store_conn *writer, struct buf *err);      /* once, before the loops; NULL and a text: refuse to start */
    void (*stop)(void *state);
    /* Fills who is calling, by the row's needs, inside the view or transaction of the command itself. NULL = admitted. */
    struct reply *(*admit)(const struct request *, struct snap *, unsigned needs, struct principal *out);
    void (*error)(struct jout *, int status, struct span message);        /* the app's own error object */
    void (*api_error)(struct jout *, int status, struct span message);    /* the same under /api/NAME/; NULL: errcode, errmsg */
    const char *const *needs_names;      /* what the bits of `needs` are called, lowest first, ended by NULL; for listings */
};
extern const struct app *const weir_apps[];        /* ended by NULL; src/apps/apps.c: the one list */

/* ---- settings ---- */
struct span settings_get(const struct settings *, const char *section, const char *key);      /* always a value (the fallback) or empty; a name no app declares is a bug */
int64_t settings_int(const struct settings *, const char *section, const char *key);          /* INT; BOOL: 0 or 1; DECIMAL: ten-thousandths */
#endif
