/* sandbox/sandbox_in.h: what the files of sandbox/ share (and tests/unit/sandbox, which calls below the sockets).
 *
 * The map: sandbox.c life, dispatch, waiting · world.c people, rooms, ids · names.c the generated friends · tokens.c access tokens and login codes · official.c the table of WeChat's
 * calls and their errors · mini.c login and content check · subscribe.c messages to subscribers · faults.c the knobs · journal.c what was sent and asked · control.c /_sandbox/ · page.html.
 *
 * One loop, one thread: nothing here is locked. A call (struct call) is a function from request to answer and knows no sockets; sandbox.c moves the bytes. */
#ifndef WEIR_SANDBOX_IN_H
#define WEIR_SANDBOX_IN_H
#include "base/hash.h"
#include "sandbox/sandbox.h"
#include "wire/form.h"
#include "wire/http1.h"
#include "wire/json.h"

enum {
    OPENID_CHARS = 28, CODE_CHARS = 32, TOKEN_CHARS = 136, KEY_CHARS = 24,
    NAME_BYTES = 64, TEXT_BYTES = 1024,             /* of a person */
    MAX_PEOPLE = 200 * 1000, MAX_ROOMS = 1000, MAX_MEMBERS = 500,
    CODE_MS = 5 * 60 * 1000, TOKEN_MS = 7200 * 1000, TOKEN_OVERLAP_MS = 5 * 60 * 1000,
    MINUTE_MS = 60 * 1000
};

/* ---- the world ---- */

struct consent { struct consent *next; int64_t left; char template_id[]; };
enum person_kind { PERSON_HUMAN, PERSON_PUBLIC };
struct person {
    char *name, *nickname, *province, *city, *signature, *remark, *unionid;   /* never NULL but unionid */
    enum person_kind kind;
    int sex;                                        /* 0 unknown, 1 male, 2 female, as WeChat counts */
    bool is_friend;
    char openid[OPENID_CHARS + 1];
    char session_key[KEY_CHARS + 1];                /* base64; "" = never logged in */
    int64_t login_ms;
    int64_t minute_ms, logins_in_minute;            /* since minute_ms */
    struct consent *consents;
};
struct room { char *name, *nickname; struct person *owner; size_t n; struct person **members; };
struct index { size_t cap, n; struct person **at; };                         /* open addressing; nobody is ever taken out */

struct world {
    size_t people_n, people_cap, rooms_n;
    struct person **people;                         /* in the order made */
    struct room **rooms;
    struct index by_name, by_openid;
    uint64_t hash_seed;
};
bool world_make(struct world *, uint64_t seed);     /* the standing world; false: no memory (world_free then cleans up) */
void world_free(struct world *);
struct person *world_person(const struct world *, struct span name);         /* by name */
struct person *world_someone(const struct world *, struct span who);         /* by name, else the first of that nickname */
struct person *world_by_openid(const struct world *, struct span openid);
struct person *world_add(struct world *, struct span name);                  /* the person of that name, made if need be; NULL: no memory, or the world is full */
struct room *world_room(const struct world *, struct span name);
struct room *world_add_room(struct world *, struct span name, struct person **members, size_t n, struct person *owner);   /* or changes it (copies); NULL as above */
bool person_name_ok(struct span);                   /* 1 to 64 bytes, UTF-8, no control bytes, no '/', no '@' at its start */
bool text_set(char **at, struct span);              /* a copy on the heap; false: no memory, *at as before */
int64_t person_consent(const struct person *, struct span template_id);
bool person_set_consent(struct person *, struct span template_id, int64_t count);   /* false: no memory, or too many templates */
/* 'o' and 27 characters: 15 bytes hash of (appid, person) and 5 bytes that prove that it is one of this appid, so that openids of people whom a restarted sandbox has not met yet are known as valid. */
void openid_of(struct span appid, struct span name, char out[OPENID_CHARS + 1]);
bool openid_valid(struct span appid, struct span openid);
bool names_fill(struct world *, uint64_t seed, int count);                   /* generated friends */

/* ---- access tokens and login codes ---- */

struct token { char text[TOKEN_CHARS + 1]; int64_t expires_ms; bool replaced; };
enum { TOKENS_KEPT = 64 };
struct tokens {
    struct token at[TOKENS_KEPT];                   /* a ring: older ones are unknown */
    uint64_t made;
    int64_t plain, stable;                          /* the current ones: number of making, or -1 */
    int64_t forced_ms;                              /* when last; INT64_MIN never */
    int64_t day, forced_today, plain_today;         /* Beijing's days */
};
struct code { struct code *next; char text[CODE_CHARS + 1]; struct person *person; int64_t expires_ms; bool used; };
struct codes { struct code *first, *last; size_t n; };

struct sandbox;
void tokens_init(struct tokens *);
/* 0 and *out, or WeChat's code */
int tokens_plain(struct sandbox *, const struct token **out);
int tokens_stable(struct sandbox *, bool force, const struct token **out);
int tokens_check(const struct sandbox *, struct span text);
const char *codes_new(struct sandbox *, struct person *);                    /* NULL: no memory */
int codes_use(struct sandbox *, struct span text, struct person **out);     /* 0, 40029 or 40163, -1 no memory; demo-NAME makes the person */
void codes_free(struct codes *);

/* ---- what was sent, what was asked ---- */

struct entry { struct entry *next; uint64_t seq; size_t n; char json[]; };
struct journal { struct entry *first, *last; size_t n, bytes; uint64_t seq; };   /* seq of the newest ever; grows over resets, so that pollers miss nothing */
/* Opens {"seq":N, and returns with the object open; journal_commit closes it. `b` is scratch of the caller. */
void journal_begin(struct journal *, struct jout *, struct buf *b);
bool journal_commit(struct journal *, struct jout *);                        /* false: no memory; nothing was added */
void journal_read(const struct journal *, uint64_t since, struct buf *out);  /* {"items":[…],"last":N}; at most 4 MiB or 1,000 items a time */
void journal_clear(struct journal *);

/* ---- calls ---- */

struct call {
    struct sandbox *s;
    struct arena *a;                                /* armed: no NULLs */
    const struct http_head *head;
    struct span path;                               /* decoded */
    struct pairs query;
    struct span body;
    bool loopback;
    /* the answer */
    int status;
    const char *type;                               /* Content-Type */
    const char *headers;                            /* further lines, or NULL */
    struct buf out;
    int64_t errcode;                                /* for the log */
    const struct person *person;                    /* whom it was about, for the log; may be NULL */
    const char *fault;                              /* the knob that touched it, or NULL */
    /* or: wait until the journal has something, at most so long */
    struct journal *wait_for;
    uint64_t wait_since;
    int64_t wait_ms;
};
enum { OFFICIAL_UNKNOWN = -1 };
int official_route(struct span path);               /* number of the call, or OFFICIAL_UNKNOWN */
const char *official_path(int route);               /* NULL behind the last */
int official_named(struct span name);               /* by whole path or its last segments: "jscode2session", "subscribe/send" */
void official_run(struct call *, int route);
void official_fail(struct call *, int64_t errcode); /* {"errcode","errmsg"} with the text that WeChat gives this code */
void official_fail_arg(struct call *, int64_t errcode, struct span what);   /* "argument invalid! what" */
json_t *official_body(struct call *);               /* the JSON object sent, or NULL: the call has failed */
bool official_token(struct call *);                 /* checks access_token; false: the call has failed */
void call_jscode2session(struct call *);
void call_msg_sec_check(struct call *);
void call_subscribe_send(struct call *);
bool subscribe_value_ok(struct span key, struct span value);                 /* WeChat's rules by the key's prefix */
struct span text_field(const json_t *object, const char *key);               /* empty, p == NULL: missing or no string */
void control_run(struct call *);                    /* everything below /_sandbox */
struct span page_html(void);

/* ---- fault knobs ---- */

struct faults {
    uint32_t drop, drop_after, only;                /* bits of official calls; `only` 0: all */
    int64_t status, hold_ms, errcode, times, rate;  /* 0: off; times: calls left, -1 without end */
    struct { int64_t minute_ms, count; } window[32];
};
enum fault_way { FAULT_NONE, FAULT_DROP, FAULT_DROP_AFTER, FAULT_STATUS, FAULT_ERRCODE, FAULT_RATE };
struct fault_plan { enum fault_way way; int64_t value, hold_ms; const char *name; };
void faults_init(struct faults *);
struct fault_plan faults_plan(struct sandbox *, int route);                  /* what befalls this call; counts it */
void faults_read(struct call *, const json_t *body);                         /* POST faults */
void faults_write(const struct faults *, struct jout *);                     /* as they are set */
void faults_help(bool zh, struct buf *out);
void control_fail(struct call *, int status, const char *zh, const char *en, struct span detail);

struct server;
struct pending;
struct sandbox {
    struct sandbox_config config;
    struct server *server;
    bool started, stopping;
    int64_t clock_ahead_ms;
    struct seeded random;
    struct world world;
    struct tokens tokens;
    struct codes codes;
    struct faults faults;
    struct journal sent, requests;
    struct pending *pending;                        /* exchanges that wait: long polls and held calls */
    size_t pending_n;
};
bool sandbox_reset(struct sandbox *);               /* false: no memory; the world is then as before */
int64_t sandbox_now_ms(const struct sandbox *);     /* the real time and what POST clock has put on it; not Weir's debug clock, which Tencent would not obey either */
void sandbox_random_text(struct sandbox *, char *out, size_t chars);         /* letters and digits, NUL-terminated */
/* Runs the request below the sockets: official call or control API or page. c->out is the caller's to free. */
void sandbox_call(struct call *, int route);
#endif
