/* store/sqlite.c: the store on SQLite. One connection is one sqlite3 handle without its mutex, used by one thread at a time;
 * statements are prepared once and found by the address of their query.
 *
 * What was measured and is relied on (tests/unit/store): `$N` are names in SQLite, so they are bound by name; an UPDATE that is
 * aborted inside a savepoint (interrupt, no space, I/O error) may roll back the whole transaction, so store_settle asks
 * sqlite3_get_autocommit; a statement left un-reset pins the WAL, so every call resets what it ran, on every way out. */
#include "store/store_in.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdint.h>
#include <unistd.h>

const char *store_fault_text(enum store_fault f)
{
    static const char *const text[] = { "ok", "busy", "no space left", "input/output error", "over its time budget", "out of memory",
                                        "constraint violated", "database damaged or newer" };
    return text[f];
}

/* ---- values ---- */

static const struct value *column_at(const struct row *r, size_t column)
{
    must(r && column < r->n);
    return &r->at[column];
}

int64_t row_int(const struct row *r, size_t column)
{
    const struct value *v = column_at(r, column);
    must(v->kind == VALUE_INT || v->kind == VALUE_NULL);
    return v->kind == VALUE_INT ? v->i : 0;
}

struct span row_text(const struct row *r, size_t column)
{
    const struct value *v = column_at(r, column);
    must(v->kind != VALUE_INT);
    return v->kind == VALUE_NULL ? (struct span){ "", 0 } : v->s;
}

bool row_null(const struct row *r, size_t column) { return column_at(r, column)->kind == VALUE_NULL; }

/* ---- faults ---- */

static enum store_fault fault_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK: case SQLITE_ROW: case SQLITE_DONE: return STORE_OK;
    case SQLITE_BUSY: case SQLITE_LOCKED: case SQLITE_SCHEMA: return STORE_RETRY;
    case SQLITE_FULL: return STORE_FULL;
    case SQLITE_INTERRUPT: return STORE_INTERRUPTED;
    case SQLITE_NOMEM: return STORE_MEMORY;
    case SQLITE_CONSTRAINT: return STORE_CONSTRAINT;
    case SQLITE_CORRUPT: case SQLITE_NOTADB: return STORE_BROKEN;
    case SQLITE_IOERR: return rc == SQLITE_IOERR_NOMEM ? STORE_MEMORY : STORE_OUTAGE;
    default: return STORE_OUTAGE;
    }
}

static enum store_fault note_fault(struct store_conn *c, int rc, const char *where)
{
    enum store_fault f = fault_of(rc);
    if (f != STORE_OK && c->fault == STORE_OK) {
        c->fault = f;
        /* SQLite's texts name tables and columns, never values; still, only its fixed text for the code is kept */
        snprintf(c->error, sizeof c->error, "%s: %s (code %d)", where, sqlite3_errstr(rc), rc);
    }
    return f;
}

enum store_fault store_fault_now(const struct store_conn *c) { return c->fault; }
const char *store_error_text(const struct store_conn *c) { return c->error; }

/* ---- opening ---- */

static int over_deadline(void *conn)
{
    const struct store_conn *c = conn;
    return c->deadline_mono_ms && clock_mono_ms() >= c->deadline_mono_ms;
}

static bool yes(sqlite3 *db, const char *sql, int *rc)
{
    sqlite3_stmt *stmt = NULL;
    *rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    bool out = false;
    if (*rc == SQLITE_OK && (*rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        out = sqlite3_column_int64(stmt, 0) != 0;
        *rc = SQLITE_OK;
    }
    sqlite3_finalize(stmt);
    return out;
}

sqlite3 *sqlite_open(const char *path, int how, struct buf *err)
{
    static bool configured;
    if (!configured) {                                  /* store_open runs before there are threads */
        configured = true;
        sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);     /* its counter is one mutex for all threads */
        sqlite3_config(SQLITE_CONFIG_MULTITHREAD);      /* a connection belongs to one thread at a time: no locks within it */
        store_faults_install();
    }
    sqlite3 *db = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | (how & OPEN_CREATES ? SQLITE_OPEN_CREATE : 0);
    int rc = sqlite3_open_v2(path, &db, flags, NULL);
    static const char common[] = "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY;";
    if (rc == SQLITE_OK) {
        sqlite3_busy_timeout(db, 5000);
        rc = sqlite3_exec(db, common, NULL, NULL, NULL);
    }
    /* asked before the mode is changed: nothing is written into a file that is not ours */
    if (rc == SQLITE_OK &&
        yes(db, "SELECT count(*) > 0 AND sum(name = 'weir_migration') = 0 FROM sqlite_master", &rc)) {
        buf_printf(err, "%s is a database, but not one of Weir's: choose another data directory", path);
        sqlite3_close(db);
        return NULL;
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA journal_size_limit=67108864;", NULL, NULL, NULL);
    /* the pragma does not fail where there can be no WAL (an empty path or ":memory:" is a database that vanishes): it keeps another mode */
    if (rc == SQLITE_OK && !yes(db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode", &rc) && rc == SQLITE_OK) {
        buf_printf(err, "cannot keep a write-ahead log for the database '%s': give the path of a file on a local disk", path);
        sqlite3_close(db);
        return NULL;
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, how & OPEN_READS ? "PRAGMA query_only=ON; PRAGMA cache_size=-8192;" : "PRAGMA cache_size=-32768;", NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_wal_autocheckpoint(db, 0);              /* the writer does it between batches */
        sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        return db;
    }
    buf_printf(err, "cannot open the database %s: %s; is the folder there, writable and on a local disk, and is this a Weir database?", path,
               db ? sqlite3_errmsg(db) : "out of memory");
    sqlite3_close(db);
    return NULL;
}

static char *path_of_url(struct span url)
{
    if (span_begins(url, SPAN("sqlite://"))) url = span_cut(url, 9);
    char *path = base_alloc(url.n + 1);
    if (path) {
        memcpy(path, url.p, url.n);
        path[url.n] = '\0';
    }
    return path;
}

struct store *store_open(const struct store_options *options, struct buf *err)
{
    if (span_begins(options->url, SPAN("postgres"))) {
        buf_add_z(err, "store.url: this build has no PostgreSQL driver yet; use a path or sqlite:///path/weir.db");
        return NULL;
    }
    struct store *s = base_alloc(sizeof *s);
    char *path = path_of_url(options->url);
    sqlite3 *db = NULL;
    if (!s || !path) {
        buf_add_z(err, "out of memory");
        goto fail;
    }
    s->path = path;
    db = sqlite_open(path, options->check_only ? 0 : OPEN_CREATES, err);
    if (!db || !store_migrate(s, db, options, err)) goto fail;
    sqlite3_close(db);
    return s;
fail:
    sqlite3_close(db);
    free(path);
    free(s);
    return NULL;
}

void store_close(struct store **s)
{
    if (!*s) return;
    free((*s)->path);
    free(*s);
    *s = NULL;
}

static int note_wal(void *conn, sqlite3 *db, const char *name, int frames)
{
    (void)db;
    (void)name;
    ((struct store_conn *)conn)->wal_frames = frames;
    return SQLITE_OK;
}

int store_wal_frames(const struct store_conn *c) { return c->wal_frames; }

/* ---- statements ---- */

static int prepare(struct store_conn *c, const struct query *q, struct prepared **out)
{
    size_t at = (size_t)(((uintptr_t)q >> 4) * 0x9e3779b97f4a7c15u >> 40) & (SLOTS - 1);
    while (c->slots[at].query && c->slots[at].query != q) at = (at + 1) & (SLOTS - 1);
    struct prepared *p = *out = &c->slots[at];
    if (p->query) return SQLITE_OK;
    must(c->prepared_count < SLOTS / 2);                /* queries are static: their number is known */
    sqlite3_stmt *stmt = NULL;
    size_t bytes = strlen(q->sql), tail = sizeof " RETURNING id" - 1;
    if (q->flags & QUERY_INSERTS) {
        /* SQLite makes a whole temporary B-tree for RETURNING (a third of the cost of a post); it knows the last row's id anyway */
        must(bytes > tail && strcmp(q->sql + bytes - tail, " RETURNING id") == 0);
        bytes -= tail;
    }
    int rc = sqlite3_prepare_v3(c->db, q->sql, (int)bytes, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
    if (rc != SQLITE_OK) {
        note_fault(c, rc, q->name);
        snprintf(c->error, sizeof c->error, "%s: %s", q->name, sqlite3_errmsg(c->db));
        return rc;
    }
    p->query = q;
    p->stmt = stmt;
    p->parameters = 0;
    int named = 0;
    for (int i = 1; i <= MAX_PARAMETERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "$%d", i);
        p->index[i] = sqlite3_bind_parameter_index(stmt, name);
        if (p->index[i]) p->parameters = i, named++;
    }
    must(named == sqlite3_bind_parameter_count(stmt));  /* a "?", ":name" or $21 would silently be NULL */
    c->prepared_count++;
    return SQLITE_OK;
}

static int bind_all(const struct prepared *p, const struct value *args, size_t n)
{
    must((size_t)p->parameters <= n && n <= MAX_PARAMETERS);
    for (size_t i = 0; i < n; i++) {
        int at = p->index[i + 1], rc = SQLITE_OK;
        if (at == 0) continue;
        const struct value *v = &args[i];
        if (v->s.n > INT32_MAX) return SQLITE_TOOBIG;
        switch (v->kind) {
        case VALUE_NULL: rc = sqlite3_bind_null(p->stmt, at); break;
        case VALUE_INT: rc = sqlite3_bind_int64(p->stmt, at, v->i); break;
        case VALUE_TEXT: rc = sqlite3_bind_text(p->stmt, at, v->s.n ? v->s.p : "", (int)v->s.n, SQLITE_STATIC); break;
        case VALUE_BLOB: rc = sqlite3_bind_blob(p->stmt, at, v->s.n ? v->s.p : "", (int)v->s.n, SQLITE_STATIC); break;
        }
        if (rc != SQLITE_OK) return rc;
    }
    return SQLITE_OK;
}

static struct prepared *start(struct store_conn *c, const struct query *q, const struct value *args, size_t n)
{
    must(c->in_view || c->in_transaction);
    if (c->fault != STORE_OK) return NULL;
    struct prepared *p;
    if (prepare(c, q, &p) != SQLITE_OK) return NULL;
    int rc = fault_here(FAULT_STEP) ? SQLITE_IOERR : bind_all(p, args, n);
    if (rc == SQLITE_OK) return p;
    note_fault(c, rc, q->name);
    return NULL;
}

static void finish(struct store_conn *c, struct prepared *p, int rc)
{
    int late = sqlite3_reset(p->stmt);                  /* also tells what went wrong while a column was read: then the row in hand is not the row in the database */
    if (rc == SQLITE_DONE || rc == SQLITE_ROW) rc = late;
    note_fault(c, rc, p->query->name);
}

static bool copy_row(struct arena *a, sqlite3_stmt *stmt, size_t columns, struct row *out)
{
    struct value *v = arena_take(a, columns * sizeof *v);
    if (!v) return false;
    for (size_t i = 0; i < columns; i++) {
        sqlite3_value *column = sqlite3_column_value(stmt, (int)i);      /* one look-up a column, not one a question */
        int type = sqlite3_value_type(column);
        v[i] = V_NULL;
        if (type == SQLITE_INTEGER) {
            v[i] = V_INT(sqlite3_value_int64(column));
        } else if (type == SQLITE_TEXT || type == SQLITE_BLOB) {
            /* asked as a blob: the bytes as they are stored (UTF-8), without a copy that ends in NUL; ours does */
            const void *p = sqlite3_value_blob(column);
            struct span copy = arena_copy(a, span_from(p, (size_t)sqlite3_value_bytes(column)));
            if (!copy.p) return false;
            v[i] = type == SQLITE_TEXT ? V_TEXT(copy) : V_BLOB(copy);
        } else {
            must(type == SQLITE_NULL);                  /* no floats in the schema: PostgreSQL and SQLite round them differently */
        }
    }
    *out = (struct row){ columns, v };
    return true;
}

struct rows store_query(struct store_conn *c, struct arena *a, const struct query *q, const struct value *args, size_t n, size_t max_rows)
{
    struct prepared *p = start(c, q, args, n);
    if (!p) return (struct rows){ 0 };
    /* The arena must not jump out of here: a statement in mid-step is reset first. */
    jmp_buf *escape = arena_arm(a, NULL);
    size_t columns = (size_t)sqlite3_column_count(p->stmt), count = 0, room = 0;
    struct row *rows = NULL;
    bool memory = true;
    int rc;
    while ((rc = sqlite3_step(p->stmt)) == SQLITE_ROW) {
        must(count < max_rows);
        if (count == room) {
            size_t more = room ? room * 2 : max_rows < 4 ? max_rows : 4;
            struct row *larger = arena_take(a, more * sizeof *larger);
            if (!larger) { memory = false; break; }
            if (count) memcpy(larger, rows, count * sizeof *larger);
            rows = larger;
            room = more;
        }
        if (!copy_row(a, p->stmt, columns, &rows[count])) { memory = false; break; }
        count++;
        if (count == max_rows && max_rows == 1 && sqlite3_stmt_readonly(p->stmt)) { rc = SQLITE_DONE; break; }
    }
    finish(c, p, memory ? rc : SQLITE_NOMEM);
    arena_arm(a, escape);
    return c->fault == STORE_OK ? (struct rows){ count, rows } : (struct rows){ 0 };
}

int64_t store_change(struct store_conn *c, const struct query *q, const struct value *args, size_t n)
{
    struct prepared *p = start(c, q, args, n);
    if (!p) return 0;
    int rc = sqlite3_step(p->stmt);
    must(rc != SQLITE_ROW);                             /* what returns rows goes through store_query */
    finish(c, p, rc);
    return c->fault == STORE_OK ? sqlite3_changes64(c->db) : 0;
}

int64_t store_insert(struct store_conn *c, const struct query *q, const struct value *args, size_t n)
{
    must(q->flags & QUERY_INSERTS);
    return store_change(c, q, args, n) ? sqlite3_last_insert_rowid(c->db) : 0;
}

static void tell_watcher(void *conn, int what, const char *database, const char *table, sqlite3_int64 id)
{
    (void)what;
    (void)database;
    const struct store_conn *c = conn;
    c->watcher(c->watcher_arg, table, id);
}

bool store_watch(struct store_conn *c, void (*fn)(void *, const char *, int64_t), void *arg)
{
    c->watcher = fn;
    c->watcher_arg = arg;
    sqlite3_update_hook(c->db, fn ? tell_watcher : NULL, c);
    return true;
}

void store_interrupt_at(struct store_conn *c, int64_t deadline_mono_ms) { c->deadline_mono_ms = deadline_mono_ms; }

/* ---- connections ---- */

static const struct query begin_view = { "store.begin_view", "BEGIN", 0 };
static const struct query end_view = { "store.end_view", "COMMIT", 0 };
static const struct query begin_write = { "store.begin", "BEGIN IMMEDIATE", 0 };
static const struct query commit_write = { "store.commit", "COMMIT", 0 };
static const struct query rollback_all = { "store.rollback", "ROLLBACK", 0 };
static const struct query savepoint = { "store.savepoint", "SAVEPOINT job", 0 };
static const struct query release = { "store.release", "RELEASE job", 0 };
static const struct query rollback_to = { "store.rollback_to", "ROLLBACK TO job", 0 };

struct store_conn *store_connect(struct store *s, bool read_only, struct buf *err)
{
    struct store_conn *c = base_alloc(sizeof *c);
    if (!c) {
        buf_add_z(err, "out of memory");
        return NULL;
    }
    memset(c, 0, sizeof *c);
    c->store = s;
    c->read_only = read_only;
    c->db = sqlite_open(s->path, read_only ? OPEN_READS : 0, err);
    /* what begins and ends transactions is ready from the start: a commit or a roll-back that could not be prepared for want of memory would be one more way to fail */
    static const struct query *const controls[] = { &begin_view, &end_view, &begin_write, &commit_write, &rollback_all, &savepoint, &release, &rollback_to };
    bool good = c->db != NULL;
    for (size_t i = 0; good && i < LENGTH(controls); i++) {
        struct prepared *p;
        if (prepare(c, controls[i], &p) == SQLITE_OK) continue;
        buf_printf(err, "cannot open the database %s: %s", s->path, c->error);
        good = false;
    }
    if (!good) {
        store_disconnect(&c);
        return NULL;
    }
    /* a view never waits for anybody; the writer waits only for other processes' sub-commands */
    sqlite3_progress_handler(c->db, 2000, over_deadline, c);
    if (!read_only) sqlite3_wal_hook(c->db, note_wal, c);
    return c;
}

void store_disconnect(struct store_conn **c)
{
    if (!*c) return;
    for (size_t i = 0; i < SLOTS; i++) sqlite3_finalize((*c)->slots[i].stmt);
    sqlite3_close((*c)->db);
    free(*c);
    *c = NULL;
}

/* ---- views and transactions ---- */

static int control(struct store_conn *c, const struct query *q)
{
    struct prepared *p;
    int rc = prepare(c, q, &p);
    if (rc != SQLITE_OK) return rc;
    rc = sqlite3_step(p->stmt);
    sqlite3_reset(p->stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

enum store_fault store_view_begin(struct store_conn *c, int64_t budget_ms)
{
    must(!c->in_view && !c->in_transaction);
    c->fault = STORE_OK;
    c->deadline_mono_ms = budget_ms ? clock_mono_ms() + budget_ms : 0;
    c->in_view = true;
    int rc = control(c, &begin_view);
    return rc == SQLITE_OK ? STORE_OK : note_fault(c, rc, "begin view");
}

void store_view_again(struct store_conn *c, int64_t budget_ms)
{
    must(c->in_view);
    c->fault = STORE_OK;
    c->deadline_mono_ms = budget_ms ? clock_mono_ms() + budget_ms : 0;
}

void store_view_end(struct store_conn *c)
{
    must(c->in_view);
    c->in_view = false;
    c->deadline_mono_ms = 0;
    if (!sqlite3_get_autocommit(c->db) && control(c, &end_view) != SQLITE_OK) control(c, &rollback_all);
}

enum store_fault store_begin(struct store_conn *c)
{
    must(!c->in_view && !c->in_transaction && !c->read_only);
    c->fault = STORE_OK;
    c->deadline_mono_ms = 0;
    int rc = control(c, &begin_write);
    if (rc != SQLITE_OK) return note_fault(c, rc, "begin");
    c->in_transaction = true;
    return STORE_OK;
}

enum store_fault store_mark(struct store_conn *c)
{
    must(c->in_transaction);
    c->fault = STORE_OK;
    c->deadline_mono_ms = 0;
    int rc = control(c, &savepoint);
    return rc == SQLITE_OK ? STORE_OK : note_fault(c, rc, "savepoint");
}

void store_next(struct store_conn *c)
{
    must(c->in_transaction);
    c->fault = STORE_OK;
    c->deadline_mono_ms = 0;
    c->changes_before = sqlite3_total_changes64(c->db);
}

bool store_untouched(const struct store_conn *c)
{
    return c->in_transaction && c->fault == STORE_OK && !sqlite3_get_autocommit(c->db) && sqlite3_total_changes64(c->db) == c->changes_before;
}

enum store_settled store_settle(struct store_conn *c, bool keep)
{
    must(c->in_transaction);
    c->deadline_mono_ms = 0;                            /* a late deadline must not hit the roll-back itself */
    if (sqlite3_get_autocommit(c->db)) {
        c->in_transaction = false;
        return STORE_BATCH_LOST;
    }
    bool good = keep && c->fault == STORE_OK;
    if (good && control(c, &release) == SQLITE_OK) return STORE_KEPT;
    if (sqlite3_get_autocommit(c->db) || control(c, &rollback_to) != SQLITE_OK || control(c, &release) != SQLITE_OK) {
        store_rollback(c);
        return STORE_BATCH_LOST;
    }
    return STORE_DROPPED;
}

void store_rollback(struct store_conn *c)
{
    c->in_transaction = false;
    c->deadline_mono_ms = 0;
    if (!sqlite3_get_autocommit(c->db)) control(c, &rollback_all);
}

bool store_in_transaction(const struct store_conn *c) { return c->in_transaction; }

enum store_commit store_commit(struct store_conn *c)
{
    must(c->in_transaction);
    c->deadline_mono_ms = 0;
    if (sqlite3_get_autocommit(c->db)) {
        c->in_transaction = false;
        return STORE_COMMIT_AGAIN;
    }
    int rc = control(c, &commit_write);
    if (rc == SQLITE_OK) {
        c->in_transaction = false;
        return STORE_COMMITTED;
    }
    c->fault = STORE_OK;
    enum store_fault f = note_fault(c, rc, "commit");
    store_rollback(c);
    switch (f) {
    case STORE_FULL: return STORE_COMMIT_FULL;
    /* After a failed fsync the pages in the kernel may be dropped and a second fsync would lie: nobody knows what is on the disk. */
    case STORE_OUTAGE: case STORE_BROKEN: return STORE_COMMIT_UNCERTAIN;
    /* The log's index grows behind the fsync: rolled back in this process, and found committed by the next one. */
    case STORE_MEMORY: return STORE_COMMIT_UNCERTAIN;
    default: return STORE_COMMIT_AGAIN;
    }
}

/* ---- care ---- */

enum store_fault store_checkpoint(struct store_conn *c, struct store_checkpointed *out)
{
    must(!c->in_view && !c->in_transaction);
    int log = 0, moved = 0;
    int rc = sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &log, &moved);
    *out = (struct store_checkpointed){ log, moved };
    c->fault = STORE_OK;
    return rc == SQLITE_OK ? STORE_OK : note_fault(c, rc, "checkpoint");
}

bool sqlite_copy_to(sqlite3 *db, const char *to_path, struct buf *err)
{
    if (access(to_path, F_OK) == 0) {
        buf_printf(err, "cannot write the snapshot %s: there is a file of that name", to_path);
        return false;
    }
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, "VACUUM INTO ?1", -1, &stmt, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_bind_text(stmt, 1, to_path, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK) rc = sqlite3_step(stmt);
    if (rc != SQLITE_DONE) buf_printf(err, "cannot write the snapshot %s: %s", to_path, sqlite3_errmsg(db));
    sqlite3_finalize(stmt);
    if (rc != SQLITE_DONE) unlink(to_path);             /* half a copy helps nobody, and on a full disk it is in the way */
    return rc == SQLITE_DONE;
}

static int past(void *deadline) { return clock_mono_ms() >= *(const int64_t *)deadline; }

enum store_fault store_snapshot(struct store *s, const char *to_path, int64_t deadline_mono_ms, struct buf *err)
{
    sqlite3 *db = sqlite_open(s->path, 0, err);
    if (!db) return STORE_OUTAGE;
    if (deadline_mono_ms) sqlite3_progress_handler(db, 1000, past, &deadline_mono_ms);
    bool good = sqlite_copy_to(db, to_path, err);
    sqlite3_close(db);
    return good ? STORE_OK : STORE_OUTAGE;
}

bool store_query_scans(struct store_conn *c, const struct query *q, struct buf *out)
{
    char *sql = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", q->sql);
    sqlite3_stmt *stmt = NULL;
    bool scans = false;
    if (!sql || sqlite3_prepare_v2(c->db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        buf_printf(out, "%s: %s\n", q->name, sqlite3_errmsg(c->db));
        scans = true;
    }
    while (stmt && sqlite3_step(stmt) == SQLITE_ROW) {
        const char *detail = (const char *)sqlite3_column_text(stmt, 3);
        /* "SEARCH … USING AUTOMATIC … INDEX" builds an index for this one run: a scan that looks like none */
        bool automatic = detail && strstr(detail, "USING AUTOMATIC");
        if (!detail || (!automatic && (strncmp(detail, "SCAN ", 5) != 0 || strstr(detail, "USING") || strstr(detail, "CONSTANT") || strstr(detail, "VALUES CLAUSE") || detail[5] == '('))) continue;
        buf_printf(out, "%s: %s\n", q->name, detail);
        scans = true;
    }
    sqlite3_finalize(stmt);
    sqlite3_free(sql);
    return scans;
}
