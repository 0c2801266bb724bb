/* store: no memory. SQLite's allocator and Weir's fail the Nth time they are asked, for every N until a run comes to its end, once alone and once with all that follow.
 * There may be refusals, of whatever size; never a crash, never a wrong row, never a transaction that is neither answered nor gone, and with memory everything works again.
 *
 * SQLite is configured before its first use, so these tests are a program of their own. Lookaside is off: it would hide most allocations. Builds with a sanitizer
 * sample the places of the long scripts, unless WEIR_TORTURE=whole is set; others try all. */
#include "script.h"

#include <stdio.h>
#include <unistd.h>

/* ---- an allocator that fails on request ---- */

static sqlite3_mem_methods real;
static long alloc_count, alloc_at;                      /* at 0: never */
static bool alloc_onwards;

static bool alloc_fails(void)
{
    if (alloc_at == 0) return false;
    alloc_count++;
    return alloc_count == alloc_at || (alloc_onwards && alloc_count > alloc_at);
}

static void *failing_malloc(int n) { return alloc_fails() ? NULL : real.xMalloc(n); }
static void *failing_realloc(void *p, int n) { return alloc_fails() ? NULL : real.xRealloc(p, n); }

static void alloc_arm(long at, bool onwards)
{
    alloc_count = 0;
    alloc_onwards = onwards;
    alloc_at = at;
}

/* Disarms; true if the place was reached. */
static bool alloc_met(void)
{
    bool met = alloc_count >= alloc_at;
    alloc_at = 0;
    return met;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static bool whole(void) { const char *e = getenv("WEIR_TORTURE"); return e && strcmp(e, "whole") == 0; }
#else
static bool whole(void) { return true; }
#endif
/* The next place to try: all of the first hundred, then one of ten or so, or all. */
static long next_place(long n) { return n < 100 || whole() ? n + 1 : n + 7 + n % 5; }

static char start_of_all[120];                          /* a database with the tables, made once */

static struct fixture *start_again(void)
{
    struct fixture *f = fixture_new();
    file_copy(start_of_all, f->path);
    return f;
}

/* ---- opening ---- */

static const struct migration wider[] = {
    { "thing", 1, "" }, { "thing", 2, "ALTER TABLE thing ADD COLUMN more BIGINT; UPDATE thing SET more = 1; INSERT INTO thing (name) VALUES ('new');" }, { NULL, 0, NULL },
};
static const struct migration narrower[] = { { "other", 1, "CREATE TABLE other (id INTEGER PRIMARY KEY)" }, { NULL, 0, NULL } };

enum opening { CREATES, MIGRATES, IS_NEWER, IS_FOREIGN };

/* Opens a database and a connection for each use; true if the allocator failed meanwhile. */
static bool open_once(enum opening how, long at, bool onwards)
{
    struct fixture *f = fixture_new();
    if (how == IS_FOREIGN) raw_exec(f->path, "CREATE TABLE photo (id INTEGER PRIMARY KEY)");
    else if (how != CREATES) file_copy(start_of_all, f->path);
    const struct migration *const lists[] = { how == CREATES ? thing_migrations : how == MIGRATES ? wider : narrower };
    const char *text;
    struct buf err;
    buf_init(&err, 2000);
    alloc_arm(at, onwards);
    struct store *s = open_with(f->path, lists, 1, false, &text);
    struct store_conn *writer = s ? store_connect(s, false, &err) : NULL, *reader = s ? store_connect(s, true, &err) : NULL;
    bool met = alloc_met();
    bool good = how == CREATES || how == MIGRATES;
    if (!good) assert_null(s);                          /* refusing does not depend on memory */
    if (!s) assert_string_not_equal(text, "");
    if (s && (!writer || !reader)) assert_true(err.n > 0);
    if (!met) assert_int_equal(writer && reader, good);
    store_disconnect(&writer);
    store_disconnect(&reader);
    store_close(&s);
    buf_done(&err);
    char copy[180];
    snprintf(copy, sizeof copy, "%s.before-thing-2", f->path);
    if (how == MIGRATES) {
        raw_assert_sound(f->path);
        bool migrated = raw_number(f->path, "SELECT max(number) FROM weir_migration") == 2;
        assert_int_equal(raw_number(f->path, "SELECT count(*) FROM thing WHERE name = 'new'"), migrated);
        if (migrated) assert_true(file_exists(copy));   /* never without its copy */
        if (file_exists(copy)) raw_assert_sound(copy);
    }
    if (how == IS_FOREIGN) assert_int_equal(raw_number(f->path, "SELECT count(*) FROM sqlite_master"), 1);
    if (good) {
        s = open_with(f->path, lists, 1, false, &text);
        if (!s) fail_msg("%s", text);
        store_close(&s);
    }
    fixture_free(f);
    return met;
}

static void open_all(enum opening how)
{
    for (int onwards = 0; onwards < 2; onwards++) {
        long n = 1;
        while (open_once(how, n, onwards)) n = next_place(n);
        assert_true(n > 50);
    }
}

static void creating_without_memory(void **state) { (void)state; open_all(CREATES); }
static void migrating_without_memory(void **state) { (void)state; open_all(MIGRATES); }
static void refusing_without_memory(void **state)
{
    (void)state;
    open_all(IS_NEWER);
    open_all(IS_FOREIGN);
}

/* ---- writing ---- */

static bool write_once(long at, bool onwards)
{
    struct fixture *f = start_again();
    fixture_connect(f);
    struct script s = { .rows_per_job = 2 };
    alloc_arm(at, onwards);
    script_run(&s, f->writer);
    bool met = alloc_met();
    if (s.first_fault != STORE_OK) assert_int_equal(s.first_fault, STORE_MEMORY);
    if (!met)
        for (int i = 0; i < SCRIPT_JOBS; i++) assert_int_equal(s.answer[i], ACKNOWLEDGED);
    if (s.stopped) {
        script_verify_ends(&s, f);
        fixture_free(f);
        return met;
    }
    char crash[160];
    snprintf(crash, sizeof crash, "%s/crash.db", f->folder);
    copy_as_after_crash(f->path, crash);
    script_verify(&s, crash);
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(put_thing(f->writer, "heals", -1), STORE_KEPT);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
    assert_int_equal(store_view_begin(f->reader, 0), STORE_OK);
    store_view_end(f->reader);
    struct store_checkpointed moved;
    assert_int_equal(store_checkpoint(f->writer, &moved), STORE_OK);
    assert_int_equal(moved.moved_frames, moved.log_frames);
    script_verify_ends(&s, f);
    assert_int_equal(raw_number(f->path, "SELECT count(*) FROM thing WHERE name = 'heals'"), 1);
    fixture_free(f);
    return met;
}

static void writing_without_memory(void **state)
{
    (void)state;
    for (int onwards = 0; onwards < 2; onwards++) {
        long n = 1;
        while (write_once(n, onwards)) n = next_place(n);
        assert_true(n > 50);
    }
}

/* A commit that begins a new page of the log's index (each 4,096 frames) allocates after its frames are synced: memory that fails there leaves a transaction that this process
 * has rolled back and a restart finds committed. */
QUERY(q_pages, "WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < $1) INSERT INTO thing (name, data, n) SELECT 'page ' || i, zeroblob(3000), 0 FROM c");

static void a_commit_across_an_index_page(void **state)
{
    (void)state;
    for (long n = 1, met = 1; met; n++) {
        struct fixture *f = start_again();
        fixture_connect(f);
        assert_int_equal(store_begin(f->writer), STORE_OK);
        assert_int_equal(store_mark(f->writer), STORE_OK);
        assert_int_equal(store_change(f->writer, &q_pages, ARGS(V_INT(4200))), 4200);
        assert_int_equal(store_settle(f->writer, true), STORE_KEPT);
        alloc_arm(n, false);
        enum store_commit commit = store_commit(f->writer);
        met = alloc_met();
        if (!met) assert_int_equal(commit, STORE_COMMITTED);
        char crash[160];
        snprintf(crash, sizeof crash, "%s/crash.db", f->folder);
        copy_as_after_crash(f->path, crash);
        int64_t rows = raw_number(crash, "SELECT count(*) FROM thing");
        if (commit == STORE_COMMITTED) assert_int_equal(rows, 4200);
        else if (commit == STORE_COMMIT_UNCERTAIN) assert_true(rows == 0 || rows == 4200);
        else if (rows != 0) fail_msg("place %ld: told as rolled back, and a restart finds it committed", n);
        fixture_free(f);
    }
}

/* ---- reading ---- */

QUERY(r_rows, "SELECT name, data, n FROM thing ORDER BY data DESC, n");
QUERY(r_bound, "SELECT $1");
QUERY(r_joined, "SELECT group_concat(name, '+') FROM (SELECT name FROM thing WHERE n >= $1 ORDER BY n)");
QUERY(r_one, "SELECT upper(name) || '!', data FROM thing WHERE name = $1");

enum { READ_ROWS = 6 };
static const char letters[READ_ROWS + 1] = "abcdef";
static char blobs[READ_ROWS][700];

static void fill_for_reading(struct fixture *f)
{
    QUERY(q_put, "INSERT INTO thing (name, data, n) VALUES ($1, $2, $3)");
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(store_mark(f->writer), STORE_OK);
    for (int i = 0; i < READ_ROWS; i++) {
        memset(blobs[i], 'z' - i, sizeof blobs[i]);
        assert_int_equal(store_change(f->writer, &q_put, ARGS(V_TEXT(span_from(letters + i, 1)), V_BLOB(span_from(blobs[i], sizeof blobs[i])), V_INT(i))), 1);
    }
    assert_int_equal(store_settle(f->writer, true), STORE_KEPT);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
}

/* Every row there is must be right; with a fault there is none. Returns whether there was one. */
static bool read_all(struct fixture *f, struct arena *a)
{
    if (store_view_begin(f->reader, 0) != STORE_OK) {
        store_view_end(f->reader);
        return true;
    }
    char bound[50];
    memset(bound, 'b', sizeof bound);
    struct rows rows = store_query(f->reader, a, &r_rows, NULL, 0, 10);
    bool fault = store_fault_now(f->reader) != STORE_OK;
    assert_int_equal(rows.n, fault ? 0 : READ_ROWS);
    for (size_t i = 0; i < rows.n; i++) {
        assert_true(span_is(row_text(&rows.at[i], 0), span_from(letters + i, 1)));
        assert_true(span_is(row_text(&rows.at[i], 1), span_from(blobs[i], sizeof blobs[i])));
        assert_int_equal(row_int(&rows.at[i], 2), i);
    }
    rows = store_query(f->reader, a, &r_bound, ARGS(V_TEXT(span_from(bound, 40))), 1);
    fault = store_fault_now(f->reader) != STORE_OK;
    assert_int_equal(rows.n, !fault);
    if (rows.n) assert_true(span_is(row_text(&rows.at[0], 0), span_from(bound, 40)));
    rows = store_query(f->reader, a, &r_joined, ARGS(V_INT(0)), 1);
    fault = store_fault_now(f->reader) != STORE_OK;
    assert_int_equal(rows.n, !fault);
    if (rows.n) assert_true(span_is_z(row_text(&rows.at[0], 0), "a+b+c+d+e+f"));
    rows = store_query(f->reader, a, &r_one, ARGS(V_TEXT(SPAN("c"))), 1);
    fault = store_fault_now(f->reader) != STORE_OK;
    assert_int_equal(rows.n, !fault);
    if (rows.n) {
        assert_true(span_is_z(row_text(&rows.at[0], 0), "C!"));
        assert_true(span_is(row_text(&rows.at[0], 1), span_from(blobs[2], sizeof blobs[2])));
    }
    if (fault) assert_int_equal(store_fault_now(f->reader), STORE_MEMORY);
    store_view_end(f->reader);
    return fault;
}

static void reading_without_memory(void **state)
{
    (void)state;
    struct fixture *f = start_again();
    fixture_connect(f);
    fill_for_reading(f);
    struct buf err;
    buf_init(&err, 1000);
    for (int warm = 0; warm < 2; warm++)                /* cold: a new connection, whose statements are not prepared and whose cache is empty */
        for (int onwards = 0; onwards < 2; onwards++) {
            bool met = true;
            for (long n = 1; met; n++) {
                assert_true(n < 5000);
                if (!warm) {
                    store_disconnect(&f->reader);
                    f->reader = store_connect(f->store, true, &err);
                    assert_non_null(f->reader);
                } else if (n == 1) {
                    assert_false(read_all(f, f->arena));
                }
                alloc_arm(n, onwards);
                bool fault = read_all(f, f->arena);
                met = alloc_met();
                if (!met) assert_false(fault);
                assert_false(read_all(f, f->arena));    /* with memory again: right, and whole */
                arena_reset(f->arena);
            }
        }
    struct store_checkpointed moved;                    /* after hundreds of failures no snapshot is left open */
    assert_int_equal(store_checkpoint(f->writer, &moved), STORE_OK);
    assert_true(moved.log_frames > 0 && moved.moved_frames == moved.log_frames);
    buf_done(&err);
    fixture_free(f);
}

/* ---- Weir's own allocations ---- */

#ifdef WEIR_FAULTS
static bool all_once(long at, bool onwards)
{
    struct fixture *f = start_again();
    char spec[40];
    snprintf(spec, sizeof spec, "alloc:%ld%s", at, onwards ? "+" : "");
    const char *text;
    struct buf err;
    buf_init(&err, 1000);
    struct script s = { .rows_per_job = 1 };
    fault_arm(spec);
    f->store = open_with(f->path, (const struct migration *const[]){ thing_migrations }, 1, false, &text);
    f->writer = f->store ? store_connect(f->store, false, &err) : NULL;
    f->reader = f->store ? store_connect(f->store, true, &err) : NULL;
    f->arena = arena_new(1 << 20);
    bool ready = f->writer && f->reader && f->arena;
    bool fault = false;
    if (ready) {
        script_run(&s, f->writer);
        for (int i = 0; i < SCRIPT_JOBS; i++) assert_int_equal(s.answer[i], ACKNOWLEDGED);       /* a change allocates nothing of ours */
        fill_for_reading(f);
        QUERY(q_own, "SELECT name FROM thing WHERE data = $1");
        assert_int_equal(store_view_begin(f->reader, 0), STORE_OK);
        struct rows rows = store_query(f->reader, f->arena, &q_own, ARGS(V_BLOB(span_from(blobs[3], sizeof blobs[3]))), 1);
        fault = store_fault_now(f->reader) == STORE_MEMORY;
        assert_int_equal(rows.n, !fault);
        if (rows.n) assert_true(span_is_z(row_text(&rows.at[0], 0), "d"));
        store_view_end(f->reader);
    }
    bool met = onwards ? !ready || fault : !fault_here(FAULT_ALLOC);
    fault_arm(NULL);
    if (!met) assert_true(ready && !fault);
    buf_done(&err);
    fixture_free(f);
    return met;
}

static void without_memory_of_our_own(void **state)
{
    (void)state;
    for (int onwards = 0; onwards < 2; onwards++) {
        long n = 1;
        while (all_once(n, onwards)) n++;
        assert_in_range(n, 5, 200);
    }
}
#endif

static int prepare_start(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    fixture_connect(f);
    fixture_disconnect(f);
    snprintf(start_of_all, sizeof start_of_all, "%s.start", f->folder);
    file_copy(f->path, start_of_all);
    fixture_free(f);
    return 0;
}

static int remove_start(void **state)
{
    (void)state;
    return unlink(start_of_all);
}

int main(void)
{
    must(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real) == SQLITE_OK);
    sqlite3_mem_methods failing = real;
    failing.xMalloc = failing_malloc;
    failing.xRealloc = failing_realloc;
    must(sqlite3_config(SQLITE_CONFIG_MALLOC, &failing) == SQLITE_OK);
    must(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) == SQLITE_OK);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(creating_without_memory), cmocka_unit_test(migrating_without_memory), cmocka_unit_test(refusing_without_memory), cmocka_unit_test(writing_without_memory),
        cmocka_unit_test(a_commit_across_an_index_page), cmocka_unit_test(reading_without_memory),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_of_our_own),
#endif
    };
    return cmocka_run_group_tests(tests, prepare_start, remove_start);
}
