/* store: a database at rest is read without a trace beside it, judged page by page, and not confused with what is no database; a snapshot does not take longer than it may. */
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

QUERY(q_names, "SELECT name FROM thing WHERE n > $1 ORDER BY n LIMIT 100");
QUERY(q_fill, "INSERT INTO thing (name, n) VALUES ($1, $2)");

static size_t names_in(const char *folder)
{
    size_t n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    while (readdir(d)) n++;
    closedir(d);
    return n - 2;
}

static void fill(struct fixture *f, int64_t rows)
{
    char name[300];
    assert_int_equal(store_begin(f->writer), STORE_OK);
    assert_int_equal(store_mark(f->writer), STORE_OK);
    for (int64_t i = 1; i <= rows; i++) {
        int n = snprintf(name, sizeof name, "%0250lld", (long long)i);
        store_change(f->writer, &q_fill, ARGS(V_TEXT(span_from(name, (size_t)n)), V_INT(i)));
    }
    assert_int_equal(store_settle(f->writer, true), STORE_KEPT);
    assert_int_equal(store_commit(f->writer), STORE_COMMITTED);
}

static void snapshot(struct fixture *f, char to[160], const char *name)
{
    struct buf err;
    buf_init(&err, 1000);
    snprintf(to, 160, "%s/%s", f->folder, name);
    assert_int_equal(store_snapshot(f->store, to, clock_mono_ms() + 60000, &err), STORE_OK);
    buf_done(&err);
}

static void a_copy_is_read_and_nothing_is_made_beside_it(void **state)
{
    struct fixture *f = *state;
    char to[160];
    struct buf err;
    buf_init(&err, 1000);
    fill(f, 50);
    snapshot(f, to, "copy #1?50%.db");                     /* what a URI would read as its own signs */
    chmod(to, 0400);
    size_t before = names_in(f->folder);
    struct store_conn *c = store_open_file(to, &err);
    assert_non_null(c);
    assert_true(store_integrity(c, &err));
    assert_int_equal(store_view_begin(c, 0), STORE_OK);
    struct rows rows = store_query(c, f->arena, &q_names, ARGS(V_INT(40)), 100);
    assert_int_equal(rows.n, 10);
    assert_true(span_ends(row_text(&rows.at[0], 0), SPAN("041")));
    store_view_end(c);
    assert_int_equal(names_in(f->folder), before);
    store_disconnect(&c);
    assert_int_equal(err.n, 0);
    buf_done(&err);
    unlink(to);
}

static void damage_is_told(void **state)
{
    struct fixture *f = *state;
    char to[160], page[4096];
    struct buf err;
    buf_init(&err, 8000);
    fill(f, 2000);
    snapshot(f, to, "copy.db");
    memset(page, 0x5a, sizeof page);
    int fd = open(to, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, page, sizeof page, 4096 * 20), sizeof page);
    close(fd);
    struct store_conn *c = store_open_file(to, &err);
    assert_non_null(c);
    assert_false(store_integrity(c, &err));
    assert_true(err.n > 0);
    store_disconnect(&c);
    buf_done(&err);
    unlink(to);
}

static void what_is_no_database_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[160];
    struct buf err;
    buf_init(&err, 8000);
    snprintf(path, sizeof path, "%s/text", f->folder);
    assert_null(store_open_file(path, &err));              /* is not there: and is not made */
    assert_true(access(path, F_OK) != 0);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "a text of some length", 21), 21);
    close(fd);
    assert_null(store_open_file(path, &err));
    truncate(path, 0);
    assert_null(store_open_file(path, &err));              /* SQLite takes an empty file for an empty database; it is not Weir's */
    buf_done(&err);
    unlink(path);
}

static void a_snapshot_ends_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    char to[160];
    struct buf err;
    buf_init(&err, 1000);
    fill(f, 3000);
    snprintf(to, sizeof to, "%s/late.db", f->folder);
    assert_int_not_equal(store_snapshot(f->store, to, clock_mono_ms() - 1, &err), STORE_OK);
    assert_true(err.n > 0);
    assert_true(access(to, F_OK) != 0);                    /* and leaves nothing */
    buf_done(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_copy_is_read_and_nothing_is_made_beside_it, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(damage_is_told, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(what_is_no_database_is_refused, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_ends_at_its_deadline, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
