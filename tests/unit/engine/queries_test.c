/* Every named query of every app prepares against the migrated schema and reads no table without an index; names are unique; migrations run on an empty database and again on a full one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "engine/engine_in.h"

static const struct query *const *lists[64];
static size_t list_count;
static const struct migration *migrations[64];
static size_t migration_count;

static void gather(void)
{
    list_count = migration_count = 0;
    lists[list_count++] = engine_queries;
    migrations[migration_count++] = engine_migrations;
    for (const struct app *const *a = weir_apps; *a; a++) {
        for (const struct query *const *const *l = (*a)->queries; l && *l; l++) lists[list_count++] = *l;
        if ((*a)->migrations) migrations[migration_count++] = (*a)->migrations;
    }
}

static struct store *open_at(const char *path)
{
    struct buf err;
    buf_init(&err, 4096);
    struct store_options o = { .url = span_of(path), .migrations = migrations, .migration_lists = migration_count, .now_ms = 1 };
    struct store *s = store_open(&o, &err);
    if (!s) fail_msg("%.*s", SPAN_ARGS(buf_span(&err)));
    buf_done(&err);
    return s;
}

static void each_query_prepares_and_uses_an_index(void **state)
{
    char folder[] = "/tmp/weir-queries-XXXXXX", path[64];
    struct buf told;
    (void)state;
    gather();
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/weir.db", folder);
    struct store *s = open_at(path);
    store_close(&s);
    s = open_at(path);                                     /* nothing is left to do the second time */
    buf_init(&told, 1 << 20);
    struct store_conn *c = store_connect(s, false, &told);
    assert_non_null(c);
    size_t queries = 0, scans = 0, kept = 0;
    for (size_t i = 0; i < list_count; i++)
        for (const struct query *const *q = lists[i]; *q; q++, queries++)
            if (store_query_scans(c, *q, &told) && !((*q)->flags & QUERY_SCANS)) scans++;
    for (size_t i = 0; i < list_count; i++)                /* what rows are kept by can be watched: a table whose integer key is its row */
        for (const struct query *const *q = lists[i]; *q; q++)
            for (const char *const *t = (*q)->kept_by; t && *t; t++, kept++) {
                static struct query look[64];
                static char sql[64][128];
                snprintf(sql[kept], sizeof sql[kept], "SELECT count(*) FROM pragma_table_info('%s') WHERE pk = 1 AND type = 'INTEGER'", *t);
                look[kept] = (struct query){ "test.look", sql[kept], 0, NULL };
                assert_int_equal(store_view_begin(c, 0), STORE_OK);
                struct arena *a = arena_new(1 << 16);
                struct rows rows = store_query(c, a, &look[kept], NULL, 0, 1);
                if (rows.n != 1 || row_int(&rows.at[0], 0) != 1) fail_msg("%s is kept by %s, which has no INTEGER PRIMARY KEY", (*q)->name, *t);
                arena_free(&a);
                store_view_end(c);
            }
    assert_true(kept >= 2);
    if (scans) fail_msg("%zu queries without an index or broken:\n%.*s", scans, SPAN_ARGS(buf_span(&told)));
    assert_true(queries > 60);
    store_disconnect(&c);
    store_close(&s);
    buf_done(&told);
    static const char *const files[] = { "weir.db", "weir.db-wal", "weir.db-shm" };
    for (size_t i = 0; i < LENGTH(files); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void names_are_unique(void **state)
{
    (void)state;
    gather();
    for (size_t i = 0; i < list_count; i++)
        for (const struct query *const *q = lists[i]; *q; q++)
            for (size_t k = i; k < list_count; k++)
                for (const struct query *const *p = k == i ? q + 1 : lists[k]; *p; p++)
                    if (strcmp((*p)->name, (*q)->name) == 0) fail_msg("two queries are called %s", (*p)->name);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_query_prepares_and_uses_an_index), cmocka_unit_test(names_are_unique) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
