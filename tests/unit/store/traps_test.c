/* store: the traps that were measured before the writer was built on them. An aborted statement can take the whole batch, an idle snapshot pins the log, COMMIT itself can
 * fail, an arena can end in the middle of a statement. Each test shows the trap itself where it can, so that a SQLite that behaves otherwise is noticed, and then what the seam
 * makes of it: nothing is kept or lost silently. A disk that fails is in faults_test.c. */
#include "fixture.h"
#include "base/clock.h"

#include <stdio.h>
#include <sys/stat.h>

QUERY(q_put, "INSERT INTO thing (name, n) VALUES ($1, $2)");
QUERY(q_put_returning, "INSERT INTO thing (name, n) VALUES ($1, $2) RETURNING id");
QUERY(q_put_blob, "INSERT INTO thing (name, data) VALUES ($1, $2)");
QUERY(q_count, "SELECT count(*) FROM thing");
QUERY(q_data, "SELECT data FROM thing WHERE data IS NOT NULL");
QUERY(q_part, "INSERT INTO part (thing) VALUES ($1)");
QUERY(q_grow, "UPDATE thing SET data = zeroblob(9000)");
QUERY(q_count_up, "UPDATE thing SET n = n + 1");
QUERY(q_fill, "WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < $1) INSERT INTO thing (name, n) SELECT 'row ' || i, 0 FROM c");
QUERY(q_endless, "WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i > 0) SELECT count(*) FROM c");
QUERY(q_wrong, "SELECT secret_column FROM thing WHERE name = $1");

/* ---- a batch as the writer runs it ---- */

struct job {
    const char *name;                                   /* of the thing it puts */
    const struct query *then;                           /* what it does behind that; NULL: nothing */
    int64_t deadline_mono_ms;
    enum { WAITS, DONE, FAILED } answer;
    enum store_fault fault;
};

/* run_batch of engine/writer.c without requests: returns how often the batch was lost. */
static int run_jobs(struct store_conn *c, struct job *jobs, size_t n)
{
    int lost = 0;
again:
    assert_int_equal(store_begin(c), STORE_OK);
    for (size_t i = 0; i < n; i++) {
        struct job *j = &jobs[i];
        if (j->answer == FAILED) continue;
        assert_int_equal(store_mark(c), STORE_OK);
        store_interrupt_at(c, j->deadline_mono_ms);
        store_change(c, &q_put, ARGS(V_TEXT(span_of(j->name)), V_INT(1)));
        if (j->then) store_change(c, j->then, NULL, 0);
        j->fault = store_fault_now(c);
        enum store_settled settled = store_settle(c, true);
        assert_int_equal(settled == STORE_KEPT, j->fault == STORE_OK);
        if (settled == STORE_DROPPED) j->answer = FAILED;
        if (settled != STORE_BATCH_LOST) continue;
        lost++;
        assert_false(store_in_transaction(c));
        assert_true(sqlite3_get_autocommit(c->db));
        j->answer = FAILED;
        store_rollback(c);
        goto again;
    }
    assert_int_equal(store_commit(c), STORE_COMMITTED);
    for (size_t i = 0; i < n; i++)
        if (jobs[i].answer == WAITS) jobs[i].answer = DONE;
    return lost;
}

static bool is_there(struct fixture *f, const char *name)
{
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM thing WHERE name = '%s'", name);
    return raw_number(f->path, sql) == 1;
}

static void assert_answers_are_true(struct fixture *f, const struct job *jobs, size_t n, size_t culprit)
{
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(jobs[i].answer, i == culprit ? FAILED : DONE);
        assert_int_equal(is_there(f, jobs[i].name), jobs[i].answer == DONE);
    }
    raw_assert_sound(f->path);
}

static void fill(struct fixture *f, int64_t n)
{
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(store_mark(f->writer), STORE_OK);
    assert_int_equal(store_change(f->writer, &q_fill, ARGS(V_INT(n))), n);
    assert_int_equal(store_settle(f->writer, true), STORE_KEPT);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
}

/* ---- an aborted statement and its batch ---- */

static void an_interrupted_update_takes_the_batch_and_it_is_seen(void **state)
{
    struct fixture *f = *state;
    fill(f, 5000);
    struct job jobs[] = { { "a", NULL, 0, WAITS, 0 }, { "b", &q_count_up, 0, WAITS, 0 }, { "culprit", &q_count_up, 1 /* long ago */, WAITS, 0 }, { "d", NULL, 0, WAITS, 0 } };
    assert_int_equal(run_jobs(f->writer, jobs, 4), 1);  /* the trap: rolling back to the savepoint is not what SQLite does here */
    assert_int_equal(jobs[2].fault, STORE_INTERRUPTED);
    assert_answers_are_true(f, jobs, 4, 2);
    /* b ran twice and counts once: its first run is gone */
    assert_int_equal(raw_number(f->path, "SELECT count(*) FROM thing WHERE name LIKE 'row %' AND n = 1"), 5000);
}

static void a_lost_batch_runs_nothing_in_autocommit(void **state)
{
    struct fixture *f = *state;
    fill(f, 5000);
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(put_thing(f->writer, "before", 1), STORE_KEPT);
    assert_int_equal(store_mark(f->writer), STORE_OK);
    store_interrupt_at(f->writer, 1);
    assert_int_equal(store_change(f->writer, &q_count_up, NULL, 0), 0);
    store_interrupt_at(f->writer, 0);
    assert_true(sqlite3_get_autocommit(f->writer->db));
    /* the handler goes on, knowing nothing: what it writes now would be committed by itself */
    assert_int_equal(store_change(f->writer, &q_put, ARGS(V_TEXT(SPAN("after")), V_INT(1))), 0);
    assert_int_equal(store_query(f->writer, f->arena, &q_put_returning, ARGS(V_TEXT(SPAN("after too")), V_INT(1)), 1).n, 0);
    assert_int_equal(store_settle(f->writer, true), STORE_BATCH_LOST);
    assert_int_equal(store_fault_now(f->writer), STORE_INTERRUPTED);
    assert_int_equal(raw_number(f->path, "SELECT count(*) FROM thing WHERE n <> 0"), 0);
    assert_int_equal(count_things(f), 5000);
}

static void an_interrupted_read_in_a_job_is_dropped_alone(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(put_thing(f->writer, "a", 1), STORE_KEPT);
    assert_int_equal(store_mark(f->writer), STORE_OK);
    store_change(f->writer, &q_put, ARGS(V_TEXT(SPAN("culprit")), V_INT(1)));
    store_interrupt_at(f->writer, 1);
    assert_int_equal(store_query(f->writer, f->arena, &q_endless, NULL, 0, 1).n, 0);
    assert_int_equal(store_fault_now(f->writer), STORE_INTERRUPTED);
    assert_int_equal(store_settle(f->writer, true), STORE_DROPPED);
    assert_int_equal(put_thing(f->writer, "c", 1), STORE_KEPT);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
    assert_true(is_there(f, "a") && is_there(f, "c") && !is_there(f, "culprit"));
}

/* SQLite counts the steps of a statement over all its runs and asks the deadline each so many: in time a small one meets it too. Ending a job must not. */
static void a_late_deadline_does_not_reach_the_settling(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(put_thing(f->writer, "a", 1), STORE_KEPT);
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(store_mark(f->writer), STORE_OK);
        store_interrupt_at(f->writer, 1);
        bool keep = i % 2;
        assert_int_equal(store_settle(f->writer, keep), keep ? STORE_KEPT : STORE_DROPPED);
    }
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
    assert_true(is_there(f, "a"));
}

static void no_space_inside_a_statement(void **state)
{
    struct fixture *f = *state;
    fill(f, 50);
    char sql[80];
    snprintf(sql, sizeof sql, "PRAGMA max_page_count = %lld", (long long)raw_number(f->path, "PRAGMA page_count") + 5);
    assert_int_equal(sqlite3_exec(f->writer->db, sql, NULL, NULL, NULL), SQLITE_OK);
    struct job jobs[] = { { "a", NULL, 0, WAITS, 0 }, { "culprit", &q_grow, 0, WAITS, 0 }, { "c", NULL, 0, WAITS, 0 } };
    int lost = run_jobs(f->writer, jobs, 3);            /* SQLite chooses: with a statement journal only the statement goes, without one the batch */
    assert_true(lost == 0 || lost == 1);
    assert_int_equal(jobs[1].fault, STORE_FULL);
    assert_answers_are_true(f, jobs, 3, 1);

    /* a statement that touches one row has no journal of its own: here the batch is lost */
    char bytes[60000] = { 0 };
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(put_thing(f->writer, "lost with it", 1), STORE_KEPT);
    assert_int_equal(store_mark(f->writer), STORE_OK);
    store_change(f->writer, &q_put_blob, ARGS(V_TEXT(SPAN("too large")), V_BLOB(span_from(bytes, sizeof bytes))));
    assert_int_equal(store_fault_now(f->writer), STORE_FULL);
    assert_int_equal(store_settle(f->writer, true), STORE_BATCH_LOST);
    assert_false(is_there(f, "lost with it") || is_there(f, "too large"));

    assert_int_equal(sqlite3_exec(f->writer->db, "PRAGMA max_page_count = 1000000", NULL, NULL, NULL), SQLITE_OK);
    jobs[1].answer = WAITS;                             /* space returns: the same connection works again */
    jobs[1].name = "heals";
    jobs[0].answer = jobs[2].answer = FAILED;
    assert_int_equal(run_jobs(f->writer, jobs, 3), 0);
    assert_true(is_there(f, "heals"));
    assert_int_equal(raw_number(f->path, "SELECT count(*) FROM thing WHERE length(data) = 9000"), 53);
}

static void a_violation_drops_its_job_only(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(put_thing(f->writer, "a", 1), STORE_KEPT);
    assert_int_equal(store_mark(f->writer), STORE_OK);
    assert_int_equal(store_change(f->writer, &q_put, ARGS(V_TEXT(SPAN("undone with it")), V_INT(2))), 1);
    assert_int_equal(store_change(f->writer, &q_put, ARGS(V_TEXT(SPAN("a")), V_INT(2))), 0);
    assert_int_equal(store_fault_now(f->writer), STORE_CONSTRAINT);
    assert_int_equal(store_change(f->writer, &q_put, ARGS(V_TEXT(SPAN("not run")), V_INT(2))), 0);
    assert_int_equal(store_query(f->writer, f->arena, &q_count, NULL, 0, 1).n, 0);
    assert_int_equal(store_settle(f->writer, true), STORE_DROPPED);      /* it asked to be kept */
    assert_int_equal(put_thing(f->writer, "c", 3), STORE_KEPT);
    assert_int_equal(store_mark(f->writer), STORE_OK);
    assert_int_equal(store_change(f->writer, &q_part, ARGS(V_INT(99999))), 0);
    assert_int_equal(store_fault_now(f->writer), STORE_CONSTRAINT);      /* foreign keys are immediate: here, not at the commit */
    assert_int_equal(store_settle(f->writer, true), STORE_DROPPED);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
    assert_int_equal(raw_number(f->path, "SELECT sum(n) FROM thing"), 4);
    assert_int_equal(raw_number(f->path, "SELECT count(*) FROM part"), 0);
}

static void a_deferred_key_fails_the_commit(void **state)
{
    struct fixture *f = *state;
    for (int alone = 0; alone < 2; alone++) {
        assert_int_equal(store_begin(f->writer), STORE_OK);
        assert_int_equal(sqlite3_exec(f->writer->db, "PRAGMA defer_foreign_keys = ON", NULL, NULL, NULL), SQLITE_OK);
        if (!alone) assert_int_equal(put_thing(f->writer, "neighbour", 1), STORE_KEPT);
        assert_int_equal(store_mark(f->writer), STORE_OK);
        assert_int_equal(store_change(f->writer, &q_part, ARGS(V_INT(99999))), 1);
        assert_int_equal(store_settle(f->writer, true), STORE_KEPT);     /* the trap: RELEASE lets it pass */
        assert_int_equal(store_commit(f->writer), STORE_COMMIT_AGAIN);
        assert_false(store_in_transaction(f->writer));
        assert_true(sqlite3_get_autocommit(f->writer->db));
        assert_int_equal(count_things(f), 0);
    }
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(put_thing(f->writer, "neighbour", 1), STORE_KEPT);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
    assert_int_equal(raw_number(f->path, "SELECT count(*) FROM part"), 0);
    assert_int_equal(count_things(f), 1);
}

/* ---- faults are sticky until the view or the job ends ---- */

static void faults_stick_and_heal(void **state)
{
    struct fixture *f = *state;
    fill(f, 3);
    static const char secret[] = "correct horse battery staple";
    for (int round = 0; round < 3; round++) {
        assert_int_equal(store_view_begin(f->reader, 0), STORE_OK);
        assert_int_equal(store_query(f->reader, f->arena, &q_wrong, ARGS(V_TEXT(SPAN("correct horse battery staple"))), 10).n, 0);
        assert_int_not_equal(store_fault_now(f->reader), STORE_OK);
        assert_non_null(strstr(store_error_text(f->reader), "test.q_wrong"));
        assert_null(strstr(store_error_text(f->reader), secret));
        assert_int_equal(store_query(f->reader, f->arena, &q_count, NULL, 0, 1).n, 0);
        store_view_end(f->reader);
        assert_int_not_equal(store_fault_now(f->reader), STORE_OK);                  /* may be asked behind the end */
        assert_int_equal(count_things(f), 3);
        assert_int_equal(store_fault_now(f->reader), STORE_OK);
    }
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(put_thing(f->writer, secret, 1), STORE_KEPT);
    assert_int_equal(put_thing(f->writer, secret, 2), STORE_DROPPED);
    assert_non_null(strstr(store_error_text(f->writer), "test.q_put"));
    assert_null(strstr(store_error_text(f->writer), secret));
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
    for (enum store_fault fault = STORE_OK; fault <= STORE_BROKEN; fault++) assert_true(strlen(store_fault_text(fault)) > 1);
}

static void a_reader_cannot_write(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(store_view_begin(f->reader, 0), STORE_OK);
    assert_int_equal(store_change(f->reader, &q_put, ARGS(V_TEXT(SPAN("a")), V_INT(1))), 0);
    assert_int_equal(store_fault_now(f->reader), STORE_OUTAGE);
    store_view_end(f->reader);
    assert_int_equal(count_things(f), 0);
}

static void a_budget_ends_a_view(void **state)
{
    struct fixture *f = *state;
    fill(f, 3);
    assert_int_equal(store_view_begin(f->reader, 20), STORE_OK);
    assert_int_equal(store_query(f->reader, f->arena, &q_endless, NULL, 0, 1).n, 0);
    assert_int_equal(store_fault_now(f->reader), STORE_INTERRUPTED);
    assert_int_equal(store_query(f->reader, f->arena, &q_count, NULL, 0, 1).n, 0);
    store_view_end(f->reader);
    assert_int_equal(count_things(f), 3);               /* the connection is usable, and without the budget of the last view */
    assert_int_equal(store_fault_now(f->reader), STORE_OK);
    struct store_checkpointed moved;
    assert_int_equal(store_checkpoint(f->writer, &moved), STORE_OK);
    assert_true(moved.log_frames > 0 && moved.moved_frames == moved.log_frames);
}

static void a_busy_database_is_told_as_such(void **state)
{
    struct fixture *f = *state;
    sqlite3 *other = NULL;                              /* a sub-command, say, that writes */
    assert_int_equal(sqlite3_open(f->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE; INSERT INTO thing (name) VALUES ('its own')", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_busy_timeout(f->writer->db, 0);
    assert_int_equal(store_begin(f->writer), STORE_RETRY);
    assert_false(store_in_transaction(f->writer));
    store_rollback(f->writer);
    assert_int_equal(count_things(f), 0);               /* reading goes on */
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(put_thing(f->writer, "ours", 1), STORE_KEPT);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
    assert_int_equal(count_things(f), 2);
}

/* ---- the log ---- */

static void put_batches(struct fixture *f, int from, int n)
{
    for (int i = from; i < from + n; i++) {
        char name[32];
        snprintf(name, sizeof name, "thing %d", i);
        assert_int_equal(store_begin(f->writer), STORE_OK);
        assert_int_equal(put_thing(f->writer, name, i), STORE_KEPT);
        assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
    }
}

static void an_idle_snapshot_pins_the_log(void **state)
{
    struct fixture *f = *state;
    put_batches(f, 0, 5);
    assert_int_equal(store_view_begin(f->reader, 0), STORE_OK);
    assert_int_equal(store_query(f->reader, f->arena, &q_count, NULL, 0, 1).n, 1);   /* reading makes it a snapshot */
    put_batches(f, 5, 100);
    struct store_checkpointed pinned, freed;
    assert_int_equal(store_checkpoint(f->writer, &pinned), STORE_OK);
    assert_true(pinned.log_frames > 100);
    assert_true(pinned.moved_frames < pinned.log_frames / 2);
    store_view_end(f->reader);
    assert_int_equal(store_checkpoint(f->writer, &freed), STORE_OK);
    assert_int_equal(freed.log_frames, pinned.log_frames);
    assert_int_equal(freed.moved_frames, freed.log_frames);
    assert_int_equal(count_things(f), 105);
}

static int64_t log_bytes(const struct fixture *f)
{
    char path[160];
    struct stat st;
    snprintf(path, sizeof path, "%s-wal", f->path);
    return stat(path, &st) == 0 ? st.st_size : 0;
}

static void the_log_is_used_again(void **state)
{
    struct fixture *f = *state;
    struct store_checkpointed moved;
    put_batches(f, 0, 20);
    assert_int_equal(store_checkpoint(f->writer, &moved), STORE_OK);
    int64_t first = log_bytes(f);
    assert_int_equal(store_wal_frames(f->writer), moved.log_frames);
    for (int i = 1; i < 20; i++) {
        put_batches(f, i * 20, 20);
        assert_int_equal(count_things(f), (i + 1) * 20);
        assert_int_equal(store_checkpoint(f->writer, &moved), STORE_OK);
        assert_int_equal(moved.moved_frames, moved.log_frames);
        assert_int_equal(store_wal_frames(f->writer), moved.log_frames);             /* of the log as it is now, not of all times */
    }
    assert_true(log_bytes(f) <= 2 * first);             /* twenty times the work, and the log begins anew after each checkpoint */
}

/* Every way out of a query resets its statement: none may go on holding the snapshot. */
static void no_way_out_leaves_a_statement_standing(void **state)
{
    struct fixture *f = *state;
    fill(f, 5000);
    char bytes[6000] = { 1 };
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(store_mark(f->writer), STORE_OK);
    assert_int_equal(store_change(f->writer, &q_put_blob, ARGS(V_TEXT(SPAN("blob 1")), V_BLOB(span_from(bytes, sizeof bytes)))), 1);
    assert_int_equal(store_change(f->writer, &q_put_blob, ARGS(V_TEXT(SPAN("blob 2")), V_BLOB(span_from(bytes, sizeof bytes)))), 1);
    assert_int_equal(store_settle(f->writer, true), STORE_KEPT);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
    static const enum store_fault wanted[] = { STORE_OK, STORE_MEMORY, STORE_INTERRUPTED, STORE_OUTAGE };
    for (int way = 0; way < 4; way++) {
        struct arena *small = arena_new(way == 1 ? 8000 : 1 << 20);
        jmp_buf escape;
        assert_non_null(small);
        if (setjmp(escape) != 0) fail_msg("a query jumped out with a statement in mid-step");
        arena_arm(small, &escape);
        assert_int_equal(store_view_begin(f->reader, 0), STORE_OK);
        if (way == 2) store_interrupt_at(f->reader, 1);
        struct rows rows = store_query(f->reader, small, way == 2 ? &q_endless : way == 3 ? &q_wrong : &q_data, ARGS(V_INT(0)), way == 0 ? 2 : 10);
        assert_int_equal(store_fault_now(f->reader), wanted[way]);
        assert_int_equal(rows.n, way == 0 ? 2 : 0);
        assert_ptr_equal(arena_arm(small, NULL), &escape);                           /* the handler's escape is armed again behind the call */
        store_view_end(f->reader);
        put_batches(f, 100 * way, 30);
        struct store_checkpointed moved;
        assert_int_equal(store_checkpoint(f->writer, &moved), STORE_OK);
        assert_true(moved.log_frames > 0 && moved.moved_frames == moved.log_frames);
        arena_free(&small);
    }
}

/* RETURNING whose rows find no room: the change was made all the same, so the job must not stay. */
static void an_arena_at_its_end_drops_the_job(void **state)
{
    struct fixture *f = *state;
    struct arena *none = arena_new(0);
    assert_non_null(none);
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(put_thing(f->writer, "a", 1), STORE_KEPT);
    assert_int_equal(store_mark(f->writer), STORE_OK);
    assert_int_equal(store_query(f->writer, none, &q_put_returning, ARGS(V_TEXT(SPAN("culprit")), V_INT(1)), 1).n, 0);
    assert_int_equal(store_fault_now(f->writer), STORE_MEMORY);
    assert_int_equal(store_settle(f->writer, true), STORE_DROPPED);
    assert_int_equal(put_thing(f->writer, "c", 1), STORE_KEPT);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
    assert_true(is_there(f, "a") && is_there(f, "c") && !is_there(f, "culprit"));
    arena_free(&none);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(an_interrupted_update_takes_the_batch_and_it_is_seen), T(a_lost_batch_runs_nothing_in_autocommit), T(an_interrupted_read_in_a_job_is_dropped_alone), T(a_late_deadline_does_not_reach_the_settling), T(no_space_inside_a_statement),
        T(a_violation_drops_its_job_only), T(a_deferred_key_fails_the_commit), T(faults_stick_and_heal), T(a_reader_cannot_write), T(a_budget_ends_a_view), T(a_busy_database_is_told_as_such),
        T(an_idle_snapshot_pins_the_log), T(the_log_is_used_again), T(no_way_out_leaves_a_statement_standing), T(an_arena_at_its_end_drops_the_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
