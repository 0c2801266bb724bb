/* store: a disk that fails. Each test arms the Nth write, sync or step, for every N until a run comes to its end without meeting it, once alone and once with all that follow,
 * and looks each time at both databases there can be afterwards: as a crash leaves it and as closing leaves it. Only in builds with the hatches (-Dfaults=true). */
#include "script.h"

#include <stdio.h>
#include <unistd.h>

#ifdef WEIR_FAULTS

/* Fails the Nth, and then? Alone it is a hiccup; with those that follow, a disk that is full or gone. */
struct plan { const char *what; enum fault_point point; bool onwards; };

static void arm(const struct plan *p, long n)
{
    char spec[64];
    snprintf(spec, sizeof spec, "%s:%ld%s", p->what, n, p->onwards ? "+" : "");
    fault_arm(spec);
}

/* For plans of a single failure: a run that passed exactly n - 1 points meets the nth here. For the others every n of the single run is tried. */
static bool was_passed(const struct plan *p) { return !fault_here(p->point); }

/* The start of every run: a database with the tables, copied from one that was made once. */
struct start { struct fixture *f; char from[160]; };

static int start_setup(void **state)
{
    fault_arm(NULL);
    struct start *s = calloc(1, sizeof *s);
    if (!s) return -1;
    s->f = fixture_new();
    fixture_connect(s->f);
    fixture_disconnect(s->f);
    snprintf(s->from, sizeof s->from, "%s/start.db", s->f->folder);
    file_copy(s->f->path, s->from);
    *state = s;
    return 0;
}

static int start_teardown(void **state)
{
    fault_arm(NULL);
    struct start *s = *state;
    fixture_free(s->f);
    free(s);
    return 0;
}

static void start_again(struct start *s)
{
    char log[180];
    snprintf(log, sizeof log, "%s-wal", s->f->path);
    assert_false(file_exists(log));
    file_copy(s->from, s->f->path);
    fixture_connect(s->f);
}

/* ---- batches ---- */

/* Runs the script once; true if the fault was met. */
static bool batches_once(struct start *start, const struct plan *p, long n, int64_t rows, bool spills, struct script *s)
{
    *s = (struct script){ .rows_per_job = rows };
    start_again(start);
    struct fixture *f = start->f;
    if (spills) assert_int_equal(sqlite3_exec(f->writer->db, "PRAGMA cache_size = 5", NULL, NULL, NULL), SQLITE_OK);
    arm(p, n);
    script_run(s, f->writer);
    bool met = was_passed(p);
    fault_arm(NULL);
    if (s->stopped) {
        script_verify_ends(s, f);
        return met;
    }
    /* nothing uncertain: what a crash leaves now is what was answered, and the process goes on as soon as the disk does */
    char crash[160];
    snprintf(crash, sizeof crash, "%s/crash.db", f->folder);
    copy_as_after_crash(f->path, crash);
    script_verify(s, crash);
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(put_thing(f->writer, "heals", -1), STORE_KEPT);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
    struct store_checkpointed moved;
    assert_int_equal(store_checkpoint(f->writer, &moved), STORE_OK);
    assert_int_equal(moved.moved_frames, moved.log_frames);
    script_verify_ends(s, f);
    assert_int_equal(raw_number(f->path, "SELECT count(*) FROM thing WHERE name = 'heals'"), 1);
    return met;
}

struct seen { int uncertain, refused, lost; long points; };

static struct seen batches(struct start *start, const char *what, enum fault_point point, int64_t rows, bool spills, enum store_fault wanted)
{
    struct plan p = { what, point, false };
    struct script s;
    struct seen seen = { 0 };
    long n = 1;
    for (; batches_once(start, &p, n, rows, spills, &s); n++) {
        assert_true(n < 5000);
        assert_int_equal(s.first_fault, wanted);        /* every failure is told by somebody */
        seen.uncertain += s.stopped;
        seen.lost += s.lost;
        for (int i = 0; i < SCRIPT_JOBS; i++) seen.refused += s.answer[i] == REFUSED;
    }
    seen.points = n - 1;
    assert_int_equal(s.first_fault, STORE_OK);
    for (int i = 0; i < SCRIPT_JOBS; i++) assert_int_equal(s.answer[i], ACKNOWLEDGED);
    p.onwards = true;
    for (n = 1; n <= seen.points; n += spills ? 5 : 1) {
        batches_once(start, &p, n, rows, spills, &s);
        assert_int_equal(s.first_fault, wanted);
        assert_int_not_equal(s.answer[SCRIPT_JOBS - 1], ACKNOWLEDGED);
    }
    return seen;
}

static void a_sync_that_fails_is_uncertain(void **state)
{
    struct seen seen = batches(*state, "fsync", FAULT_FSYNC, 2, false, STORE_OUTAGE);
    assert_true(seen.uncertain >= SCRIPT_BATCHES);      /* each commit is synced */
    assert_true(seen.points > seen.uncertain);          /* and the checkpoints are: there nothing is lost and nothing uncertain */
    assert_int_equal(seen.refused, 0);
}

static void a_write_that_fails_means_no_space(void **state)
{
    struct seen seen = batches(*state, "write", FAULT_WRITE, 2, false, STORE_FULL);
    assert_true(seen.points > 4 * SCRIPT_JOBS);
    assert_int_equal(seen.uncertain, 0);
    assert_true(seen.refused > 0);
}

static void a_write_that_fails_in_the_middle_of_a_statement(void **state)
{
    struct seen seen = batches(*state, "write", FAULT_WRITE, 6, true, STORE_FULL);
    assert_int_equal(seen.uncertain, 0);
    assert_true(seen.refused > 0 && seen.lost > 0);
}

static void a_step_that_fails_costs_one_job(void **state)
{
    struct seen seen = batches(*state, "step", FAULT_STEP, 2, false, STORE_OUTAGE);
    assert_int_equal(seen.points, 2 * SCRIPT_JOBS);     /* two statements a job */
    assert_int_equal(seen.refused, 2 * SCRIPT_JOBS);
    assert_int_equal(seen.uncertain, 0);
}

static void every_commit_is_synced_before_it_is_told(void **state)
{
    struct start *start = *state;
    for (int batch = 0; batch < 4; batch++) {           /* not only the first behind the log's creation */
        start_again(start);
        struct store_conn *c = start->f->writer;
        for (int i = 0; i < batch; i++) {
            assert_int_equal(store_begin(c), STORE_OK);
            assert_int_equal(put_thing(c, (char[]){ (char)('a' + i), 0 }, i), STORE_KEPT);
            assert_int_equal(store_commit(c), STORE_COMMITTED);
        }
        assert_int_equal(store_begin(c), STORE_OK);
        assert_int_equal(put_thing(c, "x", 0), STORE_KEPT);
        fault_arm("fsync:1+");
        assert_int_equal(store_commit(c), STORE_COMMIT_UNCERTAIN);
        fault_arm(NULL);
        fixture_disconnect(start->f);
        assert_true(raw_number(start->f->path, "SELECT count(*) FROM thing WHERE name <> 'x'") == batch);
    }
}

/* ---- opening, migrating, copying ---- */

static const struct migration wider[] = {
    { "thing", 1, "" },                                 /* applied long ago: thing_migrations[0] */
    { "thing", 2, "ALTER TABLE thing ADD COLUMN more BIGINT; UPDATE thing SET more = n;" },
    { "thing", 3, "CREATE TABLE third (id INTEGER PRIMARY KEY)" },
    { NULL, 0, NULL },
};
static const struct migration second[] = { { "second", 1, "CREATE TABLE second (id INTEGER PRIMARY KEY)" }, { NULL, 0, NULL } };

static void assert_migrations_are_whole(const char *path)
{
    raw_assert_sound(path);
    int64_t number = raw_number(path, "SELECT max(number) FROM weir_migration WHERE app = 'thing'");
    assert_true(number == 1 || number == 3);
    assert_int_equal(raw_number(path, "SELECT count(*) FROM weir_migration WHERE app = 'thing'"), number);
    assert_int_equal(raw_number(path, "SELECT count(*) FROM pragma_table_info('thing') WHERE name = 'more'"), number == 3);
    assert_int_equal(raw_number(path, "SELECT count(*) FROM sqlite_master WHERE name = 'third'"), number == 3);
    assert_int_equal(raw_number(path, "SELECT count(*) FROM sqlite_master WHERE name = 'second'"), raw_number(path, "SELECT count(*) FROM weir_migration WHERE app = 'second'"));
    assert_int_equal(raw_number(path, "SELECT sum(n) FROM thing"), 1 + 2);
}

static bool migrate_once(struct start *start, const char *old, const struct plan *p, long n, bool *out_opened)
{
    const struct migration *const lists[] = { wider, second };
    const char *path = start->f->path, *text;
    char copy[180];
    snprintf(copy, sizeof copy, "%s.before-thing-2", path);
    unlink(copy);
    file_copy(old, path);
    arm(p, n);
    struct store *s = open_with(path, lists, 2, false, &text);
    bool met = was_passed(p);
    fault_arm(NULL);
    *out_opened = s != NULL;
    if (p->point != FAULT_ALLOC) assert_int_equal(!s, text[0] != '\0');              /* without memory there may be none for the text either */
    store_close(&s);
    assert_migrations_are_whole(path);
    /* no half copy is left, and nothing was migrated without one */
    if (file_exists(copy)) {
        raw_assert_sound(copy);
        assert_int_equal(raw_number(copy, "SELECT max(number) FROM weir_migration"), 1);
    } else {
        assert_int_equal(raw_number(path, "SELECT max(number) FROM weir_migration"), 1);
    }
    s = open_with(path, lists, 2, false, &text);
    if (!s) fail_msg("%s", text);
    store_close(&s);
    assert_migrations_are_whole(path);
    assert_int_equal(raw_number(path, "SELECT count(*) FROM weir_migration"), 4);
    assert_true(file_exists(copy));
    unlink(copy);
    return met;
}

static void a_start_that_fails_is_whole_or_nothing(void **state)
{
    struct start *start = *state;
    struct fixture *f = start->f;
    char old[160];
    snprintf(old, sizeof old, "%s/old.db", f->folder);
    file_copy(start->from, old);
    raw_exec(old, "INSERT INTO thing (name, n) VALUES ('a', 1), ('b', 2)");
    static const struct plan plans[] = { { "fsync", FAULT_FSYNC, false }, { "write", FAULT_WRITE, false }, { "alloc", FAULT_ALLOC, false } };
    for (size_t i = 0; i < LENGTH(plans); i++) {
        struct plan p = plans[i];
        bool opened;
        long n = 1;
        for (; migrate_once(start, old, &p, n, &opened); n++) assert_true(n < 5000);
        assert_true(opened && n > 1);
        p.onwards = true;
        for (long last = n - 1, k = 1; k <= last; k++) migrate_once(start, old, &p, k, &opened);
    }
}

static void a_snapshot_that_fails_leaves_nothing(void **state)
{
    struct start *start = *state;
    start_again(start);
    struct fixture *f = start->f;
    struct script s = { .rows_per_job = 2 };
    script_run(&s, f->writer);
    char to[160];
    snprintf(to, sizeof to, "%s/copy.db", f->folder);
    static const struct plan plans[] = { { "fsync", FAULT_FSYNC, false }, { "write", FAULT_WRITE, false } };
    struct buf err;
    buf_init(&err, 4000);
    for (size_t i = 0; i < LENGTH(plans); i++) {
        bool met = true;
        for (long n = 1; met; n++) {
            assert_true(n < 2000);
            buf_consume(&err, err.n);
            arm(&plans[i], n);
            enum store_fault fault = store_snapshot(f->store, to, 0, &err);
            met = was_passed(&plans[i]);
            fault_arm(NULL);
            assert_int_equal(fault != STORE_OK, met);   /* a copy that is not on the disk is not one */
            assert_int_equal(file_exists(to), fault == STORE_OK);
            if (fault == STORE_OK) script_verify(&s, to);
            else assert_true(err.n > 0);
        }
        unlink(to);
    }
    buf_done(&err);
    script_verify_ends(&s, f);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, start_setup, start_teardown)
    const struct CMUnitTest tests[] = {
        T(a_sync_that_fails_is_uncertain), T(a_write_that_fails_means_no_space), T(a_write_that_fails_in_the_middle_of_a_statement), T(a_step_that_fails_costs_one_job),
        T(every_commit_is_synced_before_it_is_told), T(a_start_that_fails_is_whole_or_nothing), T(a_snapshot_that_fails_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void) { return 77; }                            /* meson: skipped */
#endif
