/* store/store.h: the seam between Weir and a database. SQLite today, PostgreSQL behind the same calls later.
 *
 * SQL is one dialect that both take: `$1` parameters (names in SQLite: bound by name), ON CONFLICT, RETURNING; times are UTC milliseconds (BIGINT), booleans are 0/1, ids are
 * BIGINT. A query is a static `struct query` beside the handler that uses it, and listed in its app's descriptor, so that a test prepares each of them.
 *
 * A connection is used by one thread at a time. Rows are copied into the caller's arena before a call returns: no cursor ever outlives a call, so no read snapshot can be
 * forgotten open (an idle one pins the WAL) and an arena's escape leaves nothing behind.
 *
 * Faults are values; what went wrong in the world is sticky in the connection until the transaction ends: later calls do nothing and return no rows, so a handler contains no infrastructure checks. */
#ifndef WEIR_STORE_H
#define WEIR_STORE_H
#include "base/base.h"

enum store_fault {
    STORE_OK,
    STORE_RETRY,           /* busy, serialization: running the transaction again may help */
    STORE_FULL,            /* no space: heals by itself when space returns */
    STORE_OUTAGE,          /* I/O error, connection lost */
    STORE_INTERRUPTED,     /* over its budget */
    STORE_MEMORY,
    STORE_CONSTRAINT,      /* a NOT NULL, CHECK or unique constraint that the SQL did not handle: a bug of the handler's, told as an outage */
    STORE_BROKEN,          /* corrupt, not a database, newer version */
};
const char *store_fault_text(enum store_fault);

/* ---- values and rows ---- */
enum value_kind { VALUE_NULL, VALUE_INT, VALUE_TEXT, VALUE_BLOB };
struct value { enum value_kind kind; int64_t i; struct span s; };
#define V_INT(x)  ((struct value){ VALUE_INT, (x), { 0, 0 } })
#define V_TEXT(x) ((struct value){ VALUE_TEXT, 0, (x) })            /* valid UTF-8 */
#define V_BLOB(x) ((struct value){ VALUE_BLOB, 0, (x) })
#define V_NULL    ((struct value){ VALUE_NULL, 0, { 0, 0 } })
struct row { size_t n; const struct value *at; };
struct rows { size_t n; const struct row *at; };
/* Typed reading; NULL columns give 0 and an empty span. A wrong column number or kind is a bug (must). */
int64_t row_int(const struct row *, size_t column);
struct span row_text(const struct row *, size_t column);             /* TEXT or BLOB; NUL-terminated */
bool row_null(const struct row *, size_t column);

/* ---- queries ---- */
enum { QUERY_SCANS = 1,         /* an unindexed scan on purpose: the test that looks for scans passes it over */
       QUERY_INSERTS = 2 };     /* an INSERT of one row whose text ends in " RETURNING id": for store_insert */
struct query {
    const char *name, *sql;     /* name: "diary.find_user", unique */
    unsigned flags;
    /* For what is asked again and again (engine/kept.c), else NULL: one parameter; the row's first column is an id, and the row depends on nothing but the rows of these tables (ended by NULL) whose
     * INTEGER PRIMARY KEY is that id, though one of them may be missing (a LEFT JOIN). */
    const char *const *kept_by;
};

/* ---- opening ---- */
struct store;                   /* one database; shared, immutable after opening */
struct store_conn;              /* one connection */
struct migration { const char *app; int number; const char *sql; };    /* number counts from 1 an app; sql: statements ended by ';' */

struct store_options {
    struct span url;            /* "sqlite:///abs/path/weir.db" or a plain path */
    const struct migration *const *migrations;      /* lists, each ended by a row with app == NULL */
    size_t migration_lists;
    int64_t now_ms;
    bool check_only;            /* do not migrate: a database that is not up to date is an error */
};
/* Opens or creates the database, applies what is missing (each app's migrations in one transaction, after a snapshot of an existing file into <path>.before-<app>-<number>), refuses one that a newer
 * Weir has written. NULL and a text with cause and remedy. */
struct store *store_open(const struct store_options *, struct buf *err);
void store_close(struct store **);
/* One for the writer (read-write), many for reading. SQLite: WAL, synchronous=FULL, no auto-checkpoint on the writer's connection (store_checkpoint does it). */
struct store_conn *store_connect(struct store *, bool read_only, struct buf *err);
void store_disconnect(struct store_conn **);

/* ---- reading ---- */
/* A view is one snapshot, taken by its first query. At most budget_ms of work (0 = none); must be ended by the same function that began it. */
enum store_fault store_view_begin(struct store_conn *, int64_t budget_ms);
void store_view_end(struct store_conn *);
/* A further request in a view that is still open: its own budget, and no memory of faults. */
void store_view_again(struct store_conn *, int64_t budget_ms);

/* ---- writing: a transaction holds jobs, each behind a savepoint ---- */
enum store_fault store_begin(struct store_conn *);                   /* begin immediate */
enum store_fault store_mark(struct store_conn *);                    /* savepoint of the next job */
/* The next job without a savepoint, which is cheaper (SQLite copies each page that a savepoint sees changed): what it changes cannot be taken back alone. Untouched: it changed nothing, met no fault, and
 * the transaction is still there, so there is nothing to take back. */
void store_next(struct store_conn *);
bool store_untouched(const struct store_conn *);
enum store_settled { STORE_KEPT, STORE_DROPPED, STORE_BATCH_LOST };
/* Ends the job: keep → release, else roll back to its mark. A job whose statements met a fault is dropped even if keep was asked (ask store_fault_now first). BATCH_LOST: the whole transaction is gone
 * (an aborting UPDATE inside a savepoint takes the batch with it: sqlite3_get_autocommit), the jobs before must run again. */
enum store_settled store_settle(struct store_conn *, bool keep);
enum store_commit { STORE_COMMITTED, STORE_COMMIT_AGAIN /* rolled back: run the jobs again one by one */, STORE_COMMIT_FULL /* rolled back: no space */,
                    STORE_COMMIT_UNCERTAIN /* I/O error, or no memory in the midst of it: the outcome is unknown, nothing may go on with this process */ };
enum store_commit store_commit(struct store_conn *);
void store_rollback(struct store_conn *);                            /* whole transaction; harmless without one */
bool store_in_transaction(const struct store_conn *);

/* ---- running queries, inside a view or a transaction ---- */
/* Rows are copied into the arena. More than max_rows rows is a bug unless the SQL has a LIMIT. Returns the number of rows (RETURNING counts). On a fault: 0 rows, sticky. */
struct rows store_query(struct store_conn *, struct arena *, const struct query *, const struct value *args, size_t n, size_t max_rows);
/* Changes made (rows). 0 on a fault. */
int64_t store_change(struct store_conn *, const struct query *, const struct value *args, size_t n);
int64_t store_insert(struct store_conn *, const struct query *, const struct value *args, size_t n);      /* the new row's id; 0 on a fault, or if nothing was inserted */
enum store_fault store_fault_now(const struct store_conn *);         /* the sticky fault of the present view or job */
const char *store_error_text(const struct store_conn *);            /* for the log; never holds values */
void store_interrupt_at(struct store_conn *, int64_t deadline_mono_ms);   /* 0 = never; statements beyond it are interrupted */

/* Calls fn for each row that this connection inserts, changes or deletes (its table and INTEGER PRIMARY KEY), before the commit and whether or not it comes to one. False: this store cannot tell. A DELETE
 * without WHERE goes unnoticed, and so do tables without such a key. */
bool store_watch(struct store_conn *, void (*fn)(void *arg, const char *table, int64_t id), void *arg);

/* ---- care ---- */
int store_wal_frames(const struct store_conn *);                    /* in the log after this connection's last commit: when to checkpoint */
struct store_checkpointed { int64_t log_frames, moved_frames; };
enum store_fault store_checkpoint(struct store_conn *, struct store_checkpointed *out);   /* between batches only; passive: waits for nobody; when all is moved the next commit begins the log anew */
enum store_fault store_snapshot(struct store *, const char *to_path, int64_t deadline_mono_ms, struct buf *err);    /* a consistent copy beside a running server; any thread; deadline 0: none */
/* A database at rest (a backup): for reading only, nothing is made beside it, and nobody may write to it meanwhile. Disconnect it as any other. */
struct store_conn *store_open_file(const char *path, struct buf *err);
/* Every page and every index of it, on a connection without a view. False: what is wrong with it is in err. */
bool store_integrity(struct store_conn *, struct buf *err);
/* EXPLAIN: true if the query scans a table without an index; *out tells which. Also fails for SQL that does not prepare. */
bool store_query_scans(struct store_conn *, const struct query *, struct buf *out);
#endif
