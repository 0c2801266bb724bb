/* store: rows and values, parameters by name, what a query may return, views and transactions when nothing goes wrong, and what is a bug. What goes wrong in the world is in traps_test.c. */
#include "fixture.h"
#include "base/clock.h"

#include <stdio.h>
#include <unistd.h>

QUERY(q_insert, "INSERT INTO thing (id, name, data, n) VALUES ($1, $2, $3, $4)");
QUERY(q_read, "SELECT id, name, data, n FROM thing WHERE id = $1");
QUERY(q_all, "SELECT id, name FROM thing ORDER BY id");
QUERY(q_page, "SELECT id FROM thing WHERE id > $1 ORDER BY id LIMIT $2");
QUERY(q_first, "SELECT name FROM thing ORDER BY id");
QUERY(q_count, "SELECT count(*) FROM thing");
QUERY(q_minus, "SELECT $2 - $1");
QUERY(q_twice, "SELECT $1 || $1, $2");
QUERY(q_gap, "SELECT $3, $1");
QUERY(q_delete_all, "DELETE FROM thing");
QUERY(q_rename, "UPDATE thing SET name = name || $1");
QUERY(q_upsert, "INSERT INTO thing (name, n) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET n = thing.n + excluded.n RETURNING id, n");
QUERY(q_once, "INSERT INTO thing (name, n) VALUES ($1, $2) ON CONFLICT DO NOTHING");
QUERY(q_raise, "UPDATE thing SET n = n + 1 RETURNING id, n");

/* ---- values ---- */

/* Writes one row with id 1, commits, and gives what a view reads. */
static const struct row *through(struct fixture *f, struct value name, struct value data, struct value n)
{
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(store_mark(f->writer), STORE_OK);
    store_change(f->writer, &q_delete_all, NULL, 0);
    assert_int_equal(store_change(f->writer, &q_insert, ARGS(V_INT(1), name, data, n)), 1);
    assert_int_equal(store_settle(f->writer, true), STORE_KEPT);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
    assert_int_equal(store_view_begin(f->reader, 0), STORE_OK);
    struct rows rows = store_query(f->reader, f->arena, &q_read, ARGS(V_INT(1)), 1);
    store_view_end(f->reader);
    assert_int_equal(rows.n, 1);
    assert_int_equal(rows.at[0].n, 4);
    assert_int_equal(row_int(&rows.at[0], 0), 1);
    return &rows.at[0];
}

static void values_come_back_as_they_went_in(void **state)
{
    struct fixture *f = *state;
    char bytes[256], large[70000];
    for (int i = 0; i < 256; i++) bytes[i] = (char)i;
    for (size_t i = 0; i < sizeof large; i++) large[i] = (char)(i * 7 + i / 256);
    static const struct { const char *p; size_t n; } texts[] = {
        { "", 0 }, { "it's \"quoted\"; DROP TABLE thing; -- $1", 39 }, { "\xe5\xbf\x83\xe6\x83\x85 \xf0\x9f\x98\x80", 11 }, { "12.50", 5 }, { "-7", 2 }, { "a\0b", 3 }, { "NULL", 4 },
    };
    static const int64_t numbers[] = { 0, 1, -1, INT64_MAX, INT64_MIN, INT32_MIN, (int64_t)1 << 53 };
    for (size_t i = 0; i < LENGTH(texts); i++) {
        struct span text = span_from(texts[i].p, texts[i].n);
        const struct row *row = through(f, V_TEXT(text), V_BLOB(text), V_NULL);
        assert_true(span_is(row_text(row, 1), text) && row->at[1].kind == VALUE_TEXT);
        assert_true(span_is(row_text(row, 2), text) && row->at[2].kind == VALUE_BLOB);
        assert_int_equal(row_text(row, 1).p[text.n], '\0');
        assert_int_equal(row_text(row, 2).p[text.n], '\0');
        assert_false(row_null(row, 1) || row_null(row, 2));
        assert_true(row_null(row, 3));
    }
    for (size_t i = 0; i < LENGTH(numbers); i++) assert_true(row_int(through(f, V_NULL, V_NULL, V_INT(numbers[i])), 3) == numbers[i]);
    assert_true(span_is(row_text(through(f, V_NULL, V_BLOB(span_from(bytes, 256)), V_NULL), 2), span_from(bytes, 256)));
    assert_true(span_is(row_text(through(f, V_NULL, V_BLOB(span_from(large, sizeof large)), V_NULL), 2), span_from(large, sizeof large)));
}

static void null_is_no_empty_text(void **state)
{
    struct fixture *f = *state;
    const struct row *row = through(f, V_NULL, V_NULL, V_NULL);
    assert_true(row_null(row, 1) && row_null(row, 2) && row_null(row, 3));
    assert_int_equal(row_text(row, 1).n, 0);
    assert_string_equal(row_text(row, 2).p, "");
    assert_int_equal(row_int(row, 3), 0);
    row = through(f, V_TEXT(((struct span){ NULL, 0 })), V_BLOB(((struct span){ NULL, 0 })), V_INT(0));
    assert_false(row_null(row, 1) || row_null(row, 2) || row_null(row, 3));
}

static void parameters_are_names(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(store_view_begin(f->reader, 0), STORE_OK);
    struct rows rows = store_query(f->reader, f->arena, &q_minus, ARGS(V_INT(10), V_INT(3)), 1);
    assert_int_equal(row_int(&rows.at[0], 0), 3 - 10);
    rows = store_query(f->reader, f->arena, &q_twice, ARGS(V_TEXT(SPAN("ab")), V_INT(9)), 1);
    assert_true(span_is_z(row_text(&rows.at[0], 0), "abab"));
    assert_int_equal(row_int(&rows.at[0], 1), 9);
    rows = store_query(f->reader, f->arena, &q_gap, ARGS(V_INT(1), V_INT(2), V_INT(3)), 1);       /* what the SQL does not name is not bound */
    assert_int_equal(row_int(&rows.at[0], 0), 3);
    assert_int_equal(row_int(&rows.at[0], 1), 1);
    /* the same statement again: nothing of the first run is left in it */
    rows = store_query(f->reader, f->arena, &q_minus, ARGS(V_INT(1), V_NULL), 1);
    assert_true(row_null(&rows.at[0], 0));
    store_view_end(f->reader);
}

/* ---- queries ---- */

static void returning_gives_the_new_rows(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(store_mark(f->writer), STORE_OK);
    struct rows a = store_query(f->writer, f->arena, &q_upsert, ARGS(V_TEXT(SPAN("a")), V_INT(5)), 1);
    struct rows b = store_query(f->writer, f->arena, &q_upsert, ARGS(V_TEXT(SPAN("b")), V_INT(50)), 1);
    struct rows again = store_query(f->writer, f->arena, &q_upsert, ARGS(V_TEXT(SPAN("a")), V_INT(2)), 1);
    assert_true(a.n == 1 && b.n == 1 && again.n == 1);
    assert_int_equal(row_int(&a.at[0], 1), 5);
    assert_int_equal(row_int(&again.at[0], 1), 7);
    assert_true(row_int(&again.at[0], 0) == row_int(&a.at[0], 0) && row_int(&a.at[0], 0) != row_int(&b.at[0], 0));
    struct rows raised = store_query(f->writer, f->arena, &q_raise, NULL, 0, 10);
    assert_int_equal(raised.n, 2);
    assert_int_equal(row_int(&raised.at[0], 1) + row_int(&raised.at[1], 1), 8 + 51);
    assert_int_equal(store_settle(f->writer, true), STORE_KEPT);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
    assert_int_equal(raw_number(f->path, "SELECT sum(n) FROM thing"), 59);
}

static void changes_are_counted(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(store_mark(f->writer), STORE_OK);
    assert_int_equal(store_change(f->writer, &q_once, ARGS(V_TEXT(SPAN("a")), V_INT(1))), 1);
    assert_int_equal(store_change(f->writer, &q_once, ARGS(V_TEXT(SPAN("a")), V_INT(2))), 0);
    assert_int_equal(store_change(f->writer, &q_once, ARGS(V_TEXT(SPAN("b")), V_INT(3))), 1);
    assert_int_equal(store_fault_now(f->writer), STORE_OK);
    assert_int_equal(store_change(f->writer, &q_rename, ARGS(V_TEXT(SPAN("!")))), 2);
    assert_int_equal(store_change(f->writer, &q_delete_all, NULL, 0), 2);
    assert_int_equal(store_change(f->writer, &q_delete_all, NULL, 0), 0);
    assert_int_equal(store_settle(f->writer, true), STORE_KEPT);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
}

static void put_many(struct fixture *f, int64_t n)
{
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(store_mark(f->writer), STORE_OK);
    for (int64_t i = 1; i <= n; i++) {
        char name[32];
        snprintf(name, sizeof name, "thing %lld", (long long)i);
        assert_int_equal(store_change(f->writer, &q_insert, ARGS(V_INT(i), V_TEXT(span_of(name)), V_NULL, V_INT(i))), 1);
    }
    assert_int_equal(store_settle(f->writer, true), STORE_KEPT);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
}

static void rows_are_as_many_as_allowed(void **state)
{
    struct fixture *f = *state;
    put_many(f, 100);
    assert_int_equal(store_view_begin(f->reader, 0), STORE_OK);
    struct rows rows = store_query(f->reader, f->arena, &q_all, NULL, 0, 100);       /* exactly at the limit */
    assert_int_equal(rows.n, 100);
    for (size_t i = 0; i < rows.n; i++) {
        char name[32];
        snprintf(name, sizeof name, "thing %zu", i + 1);
        assert_int_equal(row_int(&rows.at[i], 0), i + 1);
        assert_true(span_is_z(row_text(&rows.at[i], 1), name));
    }
    rows = store_query(f->reader, f->arena, &q_page, ARGS(V_INT(90), V_INT(7)), 7);
    assert_int_equal(rows.n, 7);
    assert_int_equal(row_int(&rows.at[6], 0), 97);
    assert_int_equal(store_query(f->reader, f->arena, &q_page, ARGS(V_INT(100), V_INT(7)), 7).n, 0);
    assert_int_equal(store_fault_now(f->reader), STORE_OK);
    rows = store_query(f->reader, f->arena, &q_first, NULL, 0, 1);                   /* one asked: the first, and the statement is not left standing */
    assert_int_equal(rows.n, 1);
    assert_true(span_is_z(row_text(&rows.at[0], 0), "thing 1"));
    rows = store_query(f->reader, f->arena, &q_first, NULL, 0, 1);
    assert_true(span_is_z(row_text(&rows.at[0], 0), "thing 1"));
    store_view_end(f->reader);
}

/* ---- views and transactions ---- */

static void a_view_is_one_snapshot(void **state)
{
    struct fixture *f = *state;
    put_many(f, 3);
    assert_int_equal(store_view_begin(f->reader, 0), STORE_OK);
    struct rows before = store_query(f->reader, f->arena, &q_count, NULL, 0, 1);
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(put_thing(f->writer, "later", 1), STORE_KEPT);
    struct rows uncommitted = store_query(f->reader, f->arena, &q_count, NULL, 0, 1);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
    struct rows committed = store_query(f->reader, f->arena, &q_count, NULL, 0, 1);
    store_view_end(f->reader);
    assert_int_equal(row_int(&before.at[0], 0), 3);
    assert_int_equal(row_int(&uncommitted.at[0], 0), 3);
    assert_int_equal(row_int(&committed.at[0], 0), 3);
    assert_int_equal(count_things(f), 4);
}

static void the_writer_sees_its_own_work(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_true(store_in_transaction(f->writer));
    assert_int_equal(put_thing(f->writer, "a", 1), STORE_KEPT);
    assert_int_equal(store_mark(f->writer), STORE_OK);
    assert_int_equal(row_int(&store_query(f->writer, f->arena, &q_count, NULL, 0, 1).at[0], 0), 1);
    assert_int_equal(store_settle(f->writer, true), STORE_KEPT);
    store_rollback(f->writer);
    assert_false(store_in_transaction(f->writer));
    store_rollback(f->writer);                                                       /* harmless without one */
    assert_int_equal(count_things(f), 0);
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(put_thing(f->writer, "b", 1), STORE_KEPT);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
    assert_false(store_in_transaction(f->writer));
    assert_int_equal(count_things(f), 1);
}

static void a_dropped_job_leaves_its_neighbours(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(put_thing(f->writer, "a", 1), STORE_KEPT);
    assert_int_equal(store_mark(f->writer), STORE_OK);
    assert_int_equal(store_change(f->writer, &q_rename, ARGS(V_TEXT(SPAN("!")))), 1);
    assert_int_equal(store_change(f->writer, &q_insert, ARGS(V_INT(77), V_NULL, V_NULL, V_NULL)), 1);
    assert_int_equal(store_settle(f->writer, false), STORE_DROPPED);
    assert_int_equal(put_thing(f->writer, "c", 3), STORE_KEPT);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
    assert_int_equal(raw_number(f->path, "SELECT count(*) FROM thing WHERE name IN ('a', 'c')"), 2);
    assert_int_equal(count_things(f), 2);
}

static void an_empty_transaction_commits(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
    assert_int_equal(store_view_begin(f->reader, 0), STORE_OK);
    store_view_end(f->reader);
    assert_int_equal(store_begin(f->writer), STORE_OK);
    store_rollback(f->writer);
}

static int64_t pragma(struct store_conn *c, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_prepare_v2(c->db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t out = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return out;
}

static void connections_are_durable_and_strict(void **state)
{
    struct fixture *f = *state;
    struct store_conn *both[] = { f->writer, f->reader };
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pragma(both[i], "PRAGMA synchronous"), 2);                  /* FULL: a commit is an fsync */
        assert_int_equal(pragma(both[i], "PRAGMA foreign_keys"), 1);
        assert_int_equal(pragma(both[i], "PRAGMA wal_autocheckpoint"), 0);
        assert_int_equal(pragma(both[i], "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    }
    assert_int_equal(pragma(f->reader, "PRAGMA query_only"), 1);
    assert_int_equal(pragma(f->writer, "PRAGMA query_only"), 0);
}

/* ---- bugs end the process ---- */

QUERY(q_float, "SELECT 1.5");
QUERY(q_places, "SELECT ?, $1");
QUERY(q_many, "SELECT $21");

struct open_here { struct store *store; struct store_conn *c; struct arena *arena; };

static struct open_here open_here(const char *path, bool read_only)
{
    const char *text;
    struct open_here o = { .store = open_with(path, (const struct migration *const[]){ thing_migrations }, 1, false, &text) };
    struct buf err;
    buf_init(&err, 1000);
    if (o.store) o.c = store_connect(o.store, read_only, &err);
    o.arena = arena_new(1 << 16);
    if (!o.c || !o.arena) _exit(3);
    return o;
}

#define DEATH(name, read_only, code) static void name(const char *path) { struct open_here o = open_here(path, read_only); code }
#define IN_VIEW(name, code) DEATH(name, true, store_view_begin(o.c, 0); code store_view_end(o.c);)
#define IN_JOB(name, code) DEATH(name, false, store_begin(o.c); store_mark(o.c); code store_settle(o.c, true); store_commit(o.c);)

IN_VIEW(lives, store_query(o.c, o.arena, &q_minus, ARGS(V_INT(1), V_INT(2)), 1);)
IN_JOB(lives_in_a_job, put_thing(o.c, "a", 1);)
IN_VIEW(dies_of_a_column, row_int(store_query(o.c, o.arena, &q_minus, ARGS(V_INT(1), V_INT(2)), 1).at, 1);)
IN_VIEW(dies_of_a_kind, row_text(store_query(o.c, o.arena, &q_minus, ARGS(V_INT(1), V_INT(2)), 1).at, 0);)
IN_VIEW(dies_of_the_other_kind, row_int(store_query(o.c, o.arena, &q_twice, ARGS(V_TEXT(SPAN("a")), V_INT(2)), 1).at, 0);)
IN_VIEW(dies_of_a_float, store_query(o.c, o.arena, &q_float, NULL, 0, 1);)
IN_VIEW(dies_of_a_missing_argument, store_query(o.c, o.arena, &q_minus, ARGS(V_INT(1)), 1);)
IN_VIEW(dies_of_a_nameless_parameter, store_query(o.c, o.arena, &q_places, ARGS(V_INT(1)), 1);)
IN_VIEW(dies_of_a_parameter_too_high, store_query(o.c, o.arena, &q_many, ARGS(V_INT(1)), 1);)
IN_VIEW(dies_of_a_view_in_a_view, store_view_begin(o.c, 0);)
IN_VIEW(dies_of_a_checkpoint_in_a_view, struct store_checkpointed moved; store_checkpoint(o.c, &moved);)
IN_JOB(dies_of_too_many_rows, put_thing(o.c, "a", 1); put_thing(o.c, "b", 1); store_query(o.c, o.arena, &q_all, NULL, 0, 0);)
IN_JOB(dies_of_too_many_returned, store_change(o.c, &q_once, ARGS(V_TEXT(SPAN("a")), V_INT(1))); store_change(o.c, &q_once, ARGS(V_TEXT(SPAN("b")), V_INT(1)));
       store_query(o.c, o.arena, &q_raise, NULL, 0, 1);)
IN_JOB(dies_of_a_change_with_rows, store_change(o.c, &q_minus, ARGS(V_INT(1), V_INT(2)));)
IN_JOB(dies_of_a_checkpoint_in_a_job, struct store_checkpointed moved; store_checkpoint(o.c, &moved);)
DEATH(dies_outside_of_all, false, store_query(o.c, o.arena, &q_minus, ARGS(V_INT(1), V_INT(2)), 1);)
DEATH(dies_of_writing_by_a_reader, true, store_begin(o.c);)
DEATH(dies_of_settling_nothing, false, store_settle(o.c, true);)
DEATH(dies_of_committing_nothing, false, store_commit(o.c);)

static void bugs_end_the_process(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    fixture_connect(f);
    fixture_disconnect(f);
    assert_false(dies(lives, f->path));
    assert_false(dies(lives_in_a_job, f->path));
    static const struct { const char *name; void (*fn)(const char *); } bugs[] = {
#define BUG(fn) { #fn, fn }
        BUG(dies_of_a_column), BUG(dies_of_a_kind), BUG(dies_of_the_other_kind), BUG(dies_of_a_float), BUG(dies_of_a_missing_argument), BUG(dies_of_a_nameless_parameter),
        BUG(dies_of_a_parameter_too_high), BUG(dies_of_a_view_in_a_view), BUG(dies_of_a_checkpoint_in_a_view), BUG(dies_of_too_many_rows), BUG(dies_of_too_many_returned),
        BUG(dies_of_a_change_with_rows), BUG(dies_of_a_checkpoint_in_a_job), BUG(dies_outside_of_all), BUG(dies_of_writing_by_a_reader), BUG(dies_of_settling_nothing),
        BUG(dies_of_committing_nothing),
    };
    for (size_t i = 0; i < LENGTH(bugs); i++)
        if (!dies(bugs[i].fn, f->path)) fail_msg("%s lives", bugs[i].name);
    fixture_free(f);
}

/* ---- looking for scans ---- */

QUERY(s_by_id, "SELECT name FROM thing WHERE id = $1");
QUERY(s_by_name, "SELECT id FROM thing WHERE name = $1 AND n > $2");
QUERY(s_constant, "SELECT $1");
QUERY(s_values, "INSERT INTO part (id, thing) VALUES (1, $1), (2, $1)");
QUERY(s_exists, "SELECT EXISTS (SELECT 1 FROM part WHERE id = $1)");
QUERY(s_newest, "SELECT max(id) FROM thing");
QUERY(s_ordered, "SELECT name FROM thing ORDER BY name LIMIT 10");
QUERY(s_insert, "INSERT INTO part (thing) VALUES ($1)");
QUERY(s_scan, "SELECT id FROM thing WHERE n = $1");
QUERY(s_scan_update, "UPDATE thing SET n = 0 WHERE n > $1");
QUERY(s_scan_join, "SELECT thing.name FROM part, thing WHERE thing.id = part.thing");
QUERY(s_scan_inner, "SELECT name FROM thing WHERE id IN (SELECT thing FROM part WHERE thing > $1)");
QUERY(s_automatic, "SELECT b.id FROM thing a JOIN part b ON b.thing = a.n WHERE a.name > $1");
QUERY(s_unseen, "DELETE FROM thing WHERE id = $1");                                  /* part.thing refers to it and has no index */
QUERY(s_broken, "SELECT nothing FROM thing");
QUERY(s_no_table, "SELECT 1 FROM nothing");
QUERY(s_half, "SELECT id FROM thing WHERE");

static void scans_are_found(void **state)
{
    struct fixture *f = *state;
    static const struct query *const good[] = { &s_by_id, &s_by_name, &s_constant, &s_values, &s_exists, &s_newest, &s_ordered, &s_insert };
    static const struct query *const bad[] = { &s_scan, &s_scan_update, &s_scan_join, &s_scan_inner, &s_automatic, &s_unseen, &s_broken, &s_no_table, &s_half };
    struct buf out;
    buf_init(&out, 4000);
    for (size_t i = 0; i < LENGTH(good); i++)
        if (store_query_scans(f->reader, good[i], &out)) fail_msg("%s: %.*s", good[i]->name, SPAN_ARGS(buf_span(&out)));
    assert_int_equal(out.n, 0);
    for (size_t i = 0; i < LENGTH(bad); i++) {
        buf_consume(&out, out.n);
        if (!store_query_scans(f->reader, bad[i], &out)) fail_msg("%s passes", bad[i]->name);
        assert_true(span_begins(buf_span(&out), span_of(bad[i]->name)));
    }
    buf_done(&out);
    assert_int_equal(count_things(f), 0);                                            /* explained, not run */
}

/* ---- what changed ---- */

static char watched[400];

static void watch(void *arg, const char *table, int64_t id)
{
    assert_ptr_equal(arg, watched);
    size_t n = strlen(watched);
    snprintf(watched + n, sizeof watched - n, "%s %lld;", table, (long long)id);
}

static int64_t change(struct fixture *f, const char *sql, int64_t n)
{
    static struct query pool[16];                          /* a statement is known by where its query lies */
    static size_t used;
    must(used < LENGTH(pool));
    pool[used] = (struct query){ "test.change", sql, 0, NULL };
    watched[0] = '\0';
    assert_int_equal(store_mark(f->writer), STORE_OK);
    int64_t changed = store_change(f->writer, &pool[used++], ARGS(V_INT(n)));
    assert_int_equal(store_settle(f->writer, true), STORE_KEPT);
    return changed;
}

static void the_watcher_hears_of_each_row(void **state)
{
    struct fixture *f = *state;
    assert_true(store_watch(f->writer, watch, watched));
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(change(f, "INSERT INTO thing (id, name, n) VALUES ($1, 'a', 1)", 7), 1);
    assert_string_equal(watched, "thing 7;");
    assert_int_equal(change(f, "INSERT INTO thing (id, name, n) VALUES ($1, 'b', 1)", 9), 1);
    assert_int_equal(change(f, "INSERT INTO thing (name, n) VALUES ('a', $1) ON CONFLICT (name) DO UPDATE SET n = excluded.n", 5), 1);
    assert_string_equal(watched, "thing 7;");
    assert_int_equal(change(f, "UPDATE thing SET n = $1", 3), 2);
    assert_string_equal(watched, "thing 7;thing 9;");
    assert_int_equal(change(f, "UPDATE thing SET n = 4 WHERE id = $1", 1), 0);
    assert_string_equal(watched, "");
    assert_int_equal(change(f, "DELETE FROM thing WHERE n = $1", 3), 2);
    assert_string_equal(watched, "thing 7;thing 9;");
    store_rollback(f->writer);                             /* told all the same: it is for those who only need to know what may have changed */
    assert_true(store_watch(f->writer, NULL, NULL));
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(change(f, "INSERT INTO thing (id, name, n) VALUES ($1, 'c', 1)", 8), 1);
    assert_string_equal(watched, "");
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
}

/* ---- snapshots ---- */

static void a_snapshot_is_a_whole_copy(void **state)
{
    struct fixture *f = *state;
    put_many(f, 500);
    char to[160], nowhere[160];
    snprintf(to, sizeof to, "%s/copy.db", f->folder);
    snprintf(nowhere, sizeof nowhere, "%s/no/copy.db", f->folder);
    struct buf err;
    buf_init(&err, 1000);
    assert_int_equal(store_begin(f->writer), STORE_OK);                              /* what is not committed is not in it */
    assert_int_equal(put_thing(f->writer, "uncommitted", 1), STORE_KEPT);
    assert_int_equal(store_snapshot(f->store, to, 0, &err), STORE_OK);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
    raw_assert_sound(to);
    assert_int_equal(raw_number(to, "SELECT count(*) FROM thing"), 500);
    assert_int_equal(err.n, 0);
    /* an existing file is not overwritten and not removed */
    assert_int_not_equal(store_snapshot(f->store, to, 0, &err), STORE_OK);
    assert_true(err.n > 0);
    assert_int_equal(raw_number(to, "SELECT count(*) FROM thing"), 500);
    buf_consume(&err, err.n);
    assert_int_not_equal(store_snapshot(f->store, nowhere, 0, &err), STORE_OK);
    assert_true(err.n > 0);
    buf_done(&err);
    const char *text;
    struct store *copy = open_with(to, (const struct migration *const[]){ thing_migrations }, 1, true, &text);
    assert_non_null(copy);                                                           /* a snapshot is a database of ours, up to date */
    store_close(&copy);
}

static void paths_and_urls_open(void **state)
{
    struct fixture *f = *state;
    const struct migration *const lists[] = { thing_migrations };
    const char *text;
    char url[160];
    snprintf(url, sizeof url, "sqlite://%s", f->path);
    struct store *s = open_with(url, lists, 1, true, &text);
    assert_non_null(s);
    store_close(&s);
    assert_null(s);
    store_close(&s);
    static const char *const refused[] = { "postgres://localhost/weir", "postgresql:///weir", "/nowhere/at/all/weir.db", "/tmp", "", ":memory:" };
    for (size_t i = 0; i < LENGTH(refused); i++) {
        assert_null(open_with(refused[i], lists, 1, false, &text));
        assert_string_not_equal(text, "");
    }
    assert_false(file_exists(":memory:"));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(values_come_back_as_they_went_in), T(null_is_no_empty_text), T(parameters_are_names), T(returning_gives_the_new_rows), T(changes_are_counted), T(rows_are_as_many_as_allowed),
        T(a_view_is_one_snapshot), T(the_writer_sees_its_own_work), T(a_dropped_job_leaves_its_neighbours), T(an_empty_transaction_commits), T(connections_are_durable_and_strict),
        cmocka_unit_test(bugs_end_the_process), T(scans_are_found), T(the_watcher_hears_of_each_row), T(a_snapshot_is_a_whole_copy), T(paths_and_urls_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
