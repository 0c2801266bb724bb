/* store: migrations at the start (what is applied, what is copied before, what is refused and left untouched) and snapshots beside a running writer. */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CREATE_A "CREATE TABLE a (id INTEGER PRIMARY KEY, text TEXT NOT NULL); INSERT INTO a (text) VALUES ('old')"
#define WIDEN_A "ALTER TABLE a ADD COLUMN n BIGINT; UPDATE a SET n = 7; CREATE INDEX a_n ON a (n);"

static const struct migration a1[] = { { "a", 1, CREATE_A }, { NULL, 0, NULL } };
static const struct migration a2[] = { { "a", 1, CREATE_A }, { "a", 2, WIDEN_A }, { NULL, 0, NULL } };
static const struct migration a3[] = { { "a", 1, CREATE_A }, { "a", 2, WIDEN_A }, { "a", 3, "CREATE TABLE a3 (id INTEGER PRIMARY KEY)" }, { NULL, 0, NULL } };
static const struct migration a3_wrong[] = { { "a", 1, CREATE_A }, { "a", 2, WIDEN_A }, { "a", 3, "CREATE TABLE a3 (id INTEGER PRIMARY KEY); INSERT INTO nowhere VALUES (1)" }, { NULL, 0, NULL } };
static const struct migration a_gap[] = { { "a", 1, CREATE_A }, { "a", 3, WIDEN_A }, { NULL, 0, NULL } };
static const struct migration b1[] = { { "b", 1, "CREATE TABLE b (id INTEGER PRIMARY KEY)" }, { NULL, 0, NULL } };
static const struct migration b2_wrong[] = { { "b", 1, "CREATE TABLE b (id INTEGER PRIMARY KEY)" }, { "b", 2, "DELETE FROM a; CREATE TABLE b (id)" }, { NULL, 0, NULL } };
static const struct migration none[] = { { NULL, 0, NULL } };

static int folder_setup(void **state)
{
    *state = fixture_new();
    return 0;
}

static const char *refusal(const char *path, bool check_only, const struct migration *one, const struct migration *two)
{
    const char *text;
    const struct migration *const lists[] = { one, two };
    struct store *s = open_with(path, lists, two ? 2 : 1, check_only, &text);
    if (s) fail_msg("%s opens", path);
    assert_string_not_equal(text, "");
    return text;
}

static void opens(const char *path, bool check_only, const struct migration *one, const struct migration *two)
{
    const char *text;
    const struct migration *const lists[] = { one, two };
    struct store *s = open_with(path, lists, two ? 2 : 1, check_only, &text);
    if (!s) fail_msg("%s", text);
    assert_string_equal(text, "");
    store_close(&s);
}

static const char *before(const struct fixture *f, const char *suffix)
{
    static char path[160];
    snprintf(path, sizeof path, "%s.before-%s", f->path, suffix);
    return path;
}

/* The bytes of a file, to be compared; freed by the caller. */
static struct span bytes_of(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    char *p = malloc((size_t)st.st_size + 1);
    assert_non_null(p);
    assert_int_equal(read(fd, p, (size_t)st.st_size), st.st_size);
    close(fd);
    return span_from(p, (size_t)st.st_size);
}

static void assert_same_bytes(const char *path, struct span was)
{
    struct span now = bytes_of(path);
    assert_int_equal(now.n, was.n);
    assert_memory_equal(now.p, was.p, was.n);
    free((void *)(uintptr_t)now.p);
    free((void *)(uintptr_t)was.p);
}

/* ---- what is applied ---- */

static void the_first_start_creates_and_the_second_does_nothing(void **state)
{
    struct fixture *f = *state;
    opens(f->path, false, a2, NULL);
    assert_int_equal(raw_number(f->path, "SELECT count(*) FROM weir_migration"), 2);
    assert_int_equal(raw_number(f->path, "SELECT min(applied_ms) FROM weir_migration"), 1700000000000);
    assert_int_equal(raw_number(f->path, "SELECT n FROM a"), 7);
    assert_false(file_exists(before(f, "a-1")) || file_exists(before(f, "a-2")));    /* nothing to copy yet */
    struct span was = bytes_of(f->path);
    opens(f->path, false, a2, NULL);
    opens(f->path, true, a2, NULL);
    assert_same_bytes(f->path, was);
    assert_false(file_exists(before(f, "a-3")));
}

static void a_new_migration_copies_first(void **state)
{
    struct fixture *f = *state;
    opens(f->path, false, a1, NULL);
    opens(f->path, false, a3, NULL);
    assert_int_equal(raw_number(f->path, "SELECT max(number) FROM weir_migration"), 3);
    assert_int_equal(raw_number(f->path, "SELECT n FROM a WHERE text = 'old'"), 7);
    raw_assert_sound(before(f, "a-2"));
    assert_int_equal(raw_number(before(f, "a-2"), "SELECT count(*) FROM a WHERE text = 'old'"), 1);
    assert_int_equal(raw_number(before(f, "a-2"), "SELECT count(*) FROM pragma_table_info('a')"), 2);
    assert_false(file_exists(before(f, "a-3")));        /* one copy a start */
    opens(before(f, "a-2"), false, a1, NULL);           /* the way back: the older binary takes the copy */
}

static void a_failing_migration_rolls_back_whole(void **state)
{
    struct fixture *f = *state;
    opens(f->path, false, a1, NULL);
    const char *text = refusal(f->path, false, a3_wrong, NULL);
    assert_non_null(strstr(text, "migration a 3"));
    assert_non_null(strstr(text, "nowhere"));
    assert_int_equal(raw_number(f->path, "SELECT max(number) FROM weir_migration"), 1);
    assert_int_equal(raw_number(f->path, "SELECT count(*) FROM pragma_table_info('a')"), 2);   /* nor the second, which by itself was good */
    assert_int_equal(raw_number(f->path, "SELECT count(*) FROM sqlite_master WHERE name = 'a3'"), 0);
    raw_exec(f->path, "INSERT INTO a (text) VALUES ('later')");
    opens(f->path, false, a3, NULL);                    /* mended: the copy of the first try is made anew */
    assert_int_equal(raw_number(before(f, "a-2"), "SELECT count(*) FROM a"), 2);
    assert_int_equal(raw_number(f->path, "SELECT count(*) FROM a WHERE n = 7"), 2);
}

static void apps_are_counted_apart(void **state)
{
    struct fixture *f = *state;
    opens(f->path, false, a1, none);
    opens(f->path, false, a1, b1);                      /* an app that came later */
    assert_int_equal(raw_number(f->path, "SELECT count(*) FROM weir_migration"), 2);
    assert_int_equal(raw_number(before(f, "b-1"), "SELECT count(*) FROM sqlite_master WHERE name = 'b'"), 0);
    const char *text = refusal(f->path, false, a2, b2_wrong);
    assert_non_null(strstr(text, "migration b 2"));
    /* each app in a transaction of its own: what a did stays, what b did is gone; one copy, from before both */
    assert_int_equal(raw_number(f->path, "SELECT max(number) FROM weir_migration WHERE app = 'a'"), 2);
    assert_int_equal(raw_number(f->path, "SELECT max(number) FROM weir_migration WHERE app = 'b'"), 1);
    assert_int_equal(raw_number(f->path, "SELECT count(*) FROM a"), 1);
    assert_int_equal(raw_number(before(f, "a-2"), "SELECT max(number) FROM weir_migration"), 1);
    assert_false(file_exists(before(f, "b-2")));
}

static void gaps_open(const char *path) { opens(path, false, a_gap, NULL); }

static void a_gap_is_a_bug(void **state)
{
    struct fixture *f = *state;
    assert_true(dies(gaps_open, f->path));
}

/* ---- what is refused ---- */

static void a_newer_database_is_refused(void **state)
{
    struct fixture *f = *state;
    opens(f->path, false, a3, b1);
    struct span was = bytes_of(f->path);
    for (int check_only = 0; check_only < 2; check_only++) {
        assert_non_null(strstr(refusal(f->path, check_only, a2, b1), "newer Weir (a is at 3, this binary knows 2)"));
        assert_non_null(strstr(refusal(f->path, check_only, a3, NULL), "newer Weir (b is at 1"));
        assert_non_null(strstr(refusal(f->path, check_only, a3, none), "newer Weir (b is at 1"));
    }
    assert_same_bytes(f->path, was);
    opens(f->path, true, a3, b1);
}

static void a_foreign_database_is_refused_untouched(void **state)
{
    struct fixture *f = *state;
    raw_exec(f->path, "CREATE TABLE photo (id INTEGER PRIMARY KEY); INSERT INTO photo DEFAULT VALUES;");
    struct span was = bytes_of(f->path);
    assert_non_null(strstr(refusal(f->path, false, a1, NULL), "not one of Weir's"));
    assert_non_null(strstr(refusal(f->path, true, a1, NULL), "not one of Weir's"));
    assert_same_bytes(f->path, was);
    assert_int_equal(raw_number(f->path, "SELECT journal_mode = 'delete' FROM pragma_journal_mode"), 1);
}

static void write_file(const char *path, const void *p, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, n), n);
    close(fd);
}

static void garbage_is_refused_untouched(void **state)
{
    struct fixture *f = *state;
    static char noise[20000];
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (char)(i * i + 13 * i + 1);
    static const char text[] = "[server]\nlisten = 127.0.0.1:8000\n# a settings file, not a database, and long enough that SQLite looks at more than its size: ................\n";
    static const char half[] = "SQLite format 3";       /* and then it ends */
    const struct { const void *p; size_t n; } files[] = { { noise, sizeof noise }, { text, sizeof text - 1 }, { half, sizeof half } };
    for (size_t i = 0; i < LENGTH(files); i++) {
        write_file(f->path, files[i].p, files[i].n);
        for (int check_only = 0; check_only < 2; check_only++) assert_non_null(strstr(refusal(f->path, check_only, a1, NULL), f->path));
        struct span now = bytes_of(f->path);
        assert_int_equal(now.n, files[i].n);
        assert_memory_equal(now.p, files[i].p, files[i].n);
        free((void *)(uintptr_t)now.p);
    }
}

static void a_damaged_database_is_refused(void **state)
{
    struct fixture *f = *state;
    opens(f->path, false, a1, NULL);
    struct span bytes = bytes_of(f->path);
    char *p = (char *)(uintptr_t)bytes.p;
    memset(p + 100, 0x5a, 300);                         /* the head of the schema's own page */
    write_file(f->path, p, bytes.n);
    free(p);
    refusal(f->path, false, a2, NULL);
    assert_false(file_exists(before(f, "a-2")));
}

static void a_check_changes_nothing(void **state)
{
    struct fixture *f = *state;
    refusal(f->path, true, a1, NULL);
    assert_false(file_exists(f->path));                 /* looking does not create */
    write_file(f->path, "", 0);
    refusal(f->path, true, a1, NULL);
    assert_int_equal(raw_number(f->path, "SELECT count(*) FROM sqlite_master"), 0);
    unlink(f->path);
    opens(f->path, false, a1, NULL);
    struct span was = bytes_of(f->path);
    assert_non_null(strstr(refusal(f->path, true, a2, NULL), "a is at 1 of 2"));
    assert_non_null(strstr(refusal(f->path, true, a1, b1), "b is at 0 of 1"));
    assert_same_bytes(f->path, was);
    assert_false(file_exists(before(f, "a-2")) || file_exists(before(f, "b-1")));
}

static void a_copy_that_cannot_be_made_stops_the_start(void **state)
{
    struct fixture *f = *state;
    opens(f->path, false, a1, NULL);
    assert_int_equal(mkdir(before(f, "a-2"), 0700), 0); /* a folder is in its place */
    assert_non_null(strstr(refusal(f->path, false, a2, NULL), "snapshot"));
    assert_int_equal(raw_number(f->path, "SELECT max(number) FROM weir_migration"), 1);
    assert_int_equal(rmdir(before(f, "a-2")), 0);
    opens(f->path, false, a2, NULL);
}

/* ---- snapshots beside a running writer ---- */

struct writing { struct store_conn *c; atomic_llong committed; atomic_bool stop, good; pthread_mutex_t lock; pthread_cond_t more; };

static void *write_pairs(void *arg)
{
    struct writing *w = arg;
    for (int64_t i = 1; w->good && !atomic_load(&w->stop); i++) {
        char one[32], two[32];
        snprintf(one, sizeof one, "one %lld", (long long)i);
        snprintf(two, sizeof two, "two %lld", (long long)i);
        w->good = store_begin(w->c) == STORE_OK && put_thing(w->c, one, i) == STORE_KEPT && put_thing(w->c, two, i) == STORE_KEPT && store_commit(w->c) == STORE_COMMITTED;
        struct store_checkpointed moved;
        if (w->good && i % 16 == 0) w->good = store_checkpoint(w->c, &moved) == STORE_OK;
        pthread_mutex_lock(&w->lock);
        if (w->good) atomic_store(&w->committed, i);
        pthread_cond_broadcast(&w->more);
        pthread_mutex_unlock(&w->lock);
    }
    return NULL;
}

static void wait_for(struct writing *w, int64_t committed)
{
    pthread_mutex_lock(&w->lock);
    while (w->good && atomic_load(&w->committed) < committed) pthread_cond_wait(&w->more, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

static void snapshots_beside_a_running_writer(void **state)
{
    struct fixture *f = *state;
    fixture_connect(f);
    struct writing w = { .c = f->writer, .good = true };
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.more, NULL);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_pairs, &w), 0);
    struct buf err;
    buf_init(&err, 1000);
    int64_t last = 0;
    for (int i = 0; i < 8; i++) {
        char to[160];
        snprintf(to, sizeof to, "%s/copy-%d.db", f->folder, i);
        wait_for(&w, last + 10);
        int64_t from = atomic_load(&w.committed);
        enum store_fault fault = store_snapshot(f->store, to, 0, &err);
        int64_t until = atomic_load(&w.committed) + 1;  /* a commit may be done and not counted yet */
        if (fault != STORE_OK) fail_msg("%.*s", SPAN_ARGS(buf_span(&err)));
        raw_assert_sound(to);
        int64_t n = raw_number(to, "SELECT max(n) FROM thing");
        assert_in_range(n, from, until);
        assert_int_equal(raw_number(to, "SELECT count(*) FROM thing"), 2 * n);       /* whole transactions, all of them up to there */
        last = atomic_load(&w.committed);
    }
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    assert_true(w.good);
    struct store_checkpointed moved;                    /* and no snapshot stays behind as a reader */
    assert_int_equal(store_checkpoint(f->writer, &moved), STORE_OK);
    assert_int_equal(moved.moved_frames, moved.log_frames);
    pthread_mutex_destroy(&w.lock);
    pthread_cond_destroy(&w.more);
    buf_done(&err);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, folder_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(the_first_start_creates_and_the_second_does_nothing), T(a_new_migration_copies_first), T(a_failing_migration_rolls_back_whole), T(apps_are_counted_apart), T(a_gap_is_a_bug),
        T(a_newer_database_is_refused), T(a_foreign_database_is_refused_untouched), T(garbage_is_refused_untouched), T(a_damaged_database_is_refused), T(a_check_changes_nothing),
        T(a_copy_that_cannot_be_made_stops_the_start), T(snapshots_beside_a_running_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
