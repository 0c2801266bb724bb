/* tests/unit/store/fixture.c: see fixture.h. */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <dirent.h>
#include <unistd.h>

const struct migration thing_migrations[] = {
    { "thing", 1,
      "CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT, data BLOB, n BIGINT);"
      "CREATE UNIQUE INDEX thing_name ON thing (name);"
      "CREATE TABLE part (id INTEGER PRIMARY KEY, thing BIGINT NOT NULL REFERENCES thing (id));" },
    { NULL, 0, NULL },
};

QUERY(q_put, "INSERT INTO thing (name, n) VALUES ($1, $2)");
QUERY(q_count, "SELECT count(*) FROM thing");

struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    /* in memory where that is possible: thousands of runs sync, and no disk is being tested here */
    snprintf(f->folder, sizeof f->folder, "%s/weir-store-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof f->path, "%s/weir.db", f->folder);
    return f;
}

void fixture_connect(struct fixture *f)
{
    const char *text;
    f->store = open_with(f->path, (const struct migration *const[]){ thing_migrations }, 1, false, &text);
    if (!f->store) fail_msg("%s", text);
    struct buf err;
    buf_init(&err, 1000);
    f->writer = store_connect(f->store, false, &err);
    f->reader = store_connect(f->store, true, &err);
    f->arena = arena_new(1 << 20);
    assert_true(f->writer && f->reader && f->arena);
    buf_done(&err);
}

void fixture_disconnect(struct fixture *f)
{
    store_disconnect(&f->reader);
    store_disconnect(&f->writer);
    store_close(&f->store);
    arena_free(&f->arena);
}

void fixture_free(struct fixture *f)
{
    fixture_disconnect(f);
    DIR *dir = opendir(f->folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", f->folder, entry->d_name);
        if (entry->d_name[0] != '.') unlink(path);
    }
    if (dir) closedir(dir);
    rmdir(f->folder);
    free(f);
}

int fixture_setup(void **state)
{
    struct fixture *f = fixture_new();
    fixture_connect(f);
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

struct store *open_with(const char *path, const struct migration *const *lists, size_t n, bool check_only, const char **out_text)
{
    static char text[2000];
    struct buf err;
    buf_init(&err, sizeof text - 1);
    struct store_options o = { .url = span_of(path), .migrations = lists, .migration_lists = n, .now_ms = 1700000000000, .check_only = check_only };
    struct store *s = store_open(&o, &err);
    memcpy(text, err.n ? err.p : "", err.n);
    text[err.n] = '\0';
    buf_done(&err);
    *out_text = text;
    return s;
}

static sqlite3 *raw_open(const char *path)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_wal_autocheckpoint(db, 0);
    return db;
}

int64_t raw_number(const char *path, const char *sql)
{
    sqlite3 *db = raw_open(path);
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK || sqlite3_step(stmt) != SQLITE_ROW) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    int64_t out = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return out;
}

void raw_counts(const char *path, const char *sql, int64_t *out_counts, size_t n)
{
    memset(out_counts, 0, n * sizeof *out_counts);
    sqlite3 *db = raw_open(path);
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    int rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        int64_t key = sqlite3_column_int64(stmt, 0);
        if (key >= 0 && (uint64_t)key < n) out_counts[key] = sqlite3_column_int64(stmt, 1);
    }
    assert_int_equal(rc, SQLITE_DONE);
    sqlite3_finalize(stmt);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

void raw_exec(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

void raw_assert_sound(const char *path)
{
    sqlite3 *db = raw_open(path);
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(stmt, 0), "ok");
    sqlite3_finalize(stmt);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

void file_copy(const char *from, const char *to)
{
    unlink(to);
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0) return;
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(out >= 0);
    static char bytes[1 << 16];
    for (ssize_t n; (n = read(in, bytes, sizeof bytes)) != 0;) {
        assert_true(n > 0);
        assert_int_equal(write(out, bytes, (size_t)n), n);
    }
    close(out);
    close(in);
}

void copy_as_after_crash(const char *path, const char *to)
{
    /* Closing any descriptor of a file gives up all POSIX locks of the process on it, SQLite's too; its WAL locks are on the -shm, which is not touched here, and what
     * follows in these tests is only the end of this process's use of the database. */
    static const char *const parts[] = { "", "-wal", "-shm", "-journal" };
    for (size_t i = 0; i < LENGTH(parts); i++) {
        char from_path[200], to_path[200];
        snprintf(from_path, sizeof from_path, "%s%s", path, parts[i]);
        snprintf(to_path, sizeof to_path, "%s%s", to, parts[i]);
        if (strcmp(parts[i], "-shm") == 0) unlink(to_path);
        else file_copy(from_path, to_path);
    }
}

int64_t count_things(struct fixture *f)
{
    assert_int_equal(store_view_begin(f->reader, 0), STORE_OK);
    struct rows rows = store_query(f->reader, f->arena, &q_count, NULL, 0, 1);
    assert_int_equal(rows.n, 1);
    int64_t n = row_int(&rows.at[0], 0);
    store_view_end(f->reader);
    return n;
}

enum store_settled put_thing(struct store_conn *c, const char *name, int64_t n)
{
    if (store_mark(c) == STORE_OK) store_change(c, &q_put, ARGS(V_TEXT(span_of(name)), V_INT(n)));
    return store_settle(c, true);
}

bool dies(void (*fn)(const char *path), const char *path)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = { 0, 0 };
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        fn(path);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
