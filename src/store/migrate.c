/* store/migrate.c: numbered migrations of each app, applied at the start.
 *
 * Each app's missing ones run in one transaction; before the first of them an existing file is copied beside itself, so that going back to the older binary is
 * a matter of renaming one file. A database that knows more than this binary is refused: writing to it with old rules would damage it silently. */
#include "store/store_in.h"

#include <stdio.h>
#include <unistd.h>

static bool run(sqlite3 *db, const char *sql, const char *what, struct buf *err)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK) return true;
    buf_printf(err, "%s: %s", what, sqlite3_errmsg(db));
    return false;
}

static int64_t number(sqlite3 *db, const char *sql, const char *app)
{
    sqlite3_stmt *stmt = NULL;
    int64_t out = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK && (!app || sqlite3_bind_text(stmt, 1, app, -1, SQLITE_STATIC) == SQLITE_OK) &&
        sqlite3_step(stmt) == SQLITE_ROW)
        out = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return out;
}

static int newest_of(const struct migration *list)
{
    int n = 0;
    for (; list->app; list++) {
        must(list->number == n + 1);                    /* counted from 1 without a gap */
        n = list->number;
    }
    return n;
}

static bool known_app(const struct store_options *o, const char *app)
{
    for (size_t i = 0; i < o->migration_lists; i++)
        if (o->migrations[i]->app && strcmp(o->migrations[i]->app, app) == 0) return true;
    return false;
}

/* Refuses what a newer Weir has written. */
static bool check_not_newer(sqlite3 *db, const struct store_options *o, struct buf *err)
{
    sqlite3_stmt *stmt = NULL;
    bool good = sqlite3_prepare_v2(db, "SELECT app, max(number) FROM weir_migration GROUP BY app", -1, &stmt, NULL) == SQLITE_OK;
    if (!good) buf_printf(err, "cannot read the migrations: %s", sqlite3_errmsg(db));
    int rc = SQLITE_DONE;
    while (good && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *app = (const char *)sqlite3_column_text(stmt, 0);
        int64_t has = sqlite3_column_int64(stmt, 1);
        int64_t knows = 0;
        for (size_t i = 0; i < o->migration_lists; i++)
            if (o->migrations[i]->app && app && strcmp(o->migrations[i]->app, app) == 0) knows = newest_of(o->migrations[i]);
        if (!app || !known_app(o, app) || has > knows) {
            buf_printf(err, "the database was written by a newer Weir (%s is at %lld, this binary knows %lld): use the newer binary, or go back to a snapshot (weir.db.before-…)",
                       app ? app : "?", (long long)has, (long long)knows);
            good = false;
        }
    }
    if (good && rc != SQLITE_DONE) {
        buf_printf(err, "cannot read the migrations: %s", sqlite3_errmsg(db));
        good = false;
    }
    sqlite3_finalize(stmt);
    return good;
}

static bool apply(sqlite3 *db, const struct migration *list, int64_t has, int64_t now_ms, struct buf *err)
{
    if (!run(db, "BEGIN IMMEDIATE", "migration", err)) return false;
    for (; list->app; list++) {
        if (list->number <= has) continue;
        char what[128], *mark = NULL;
        snprintf(what, sizeof what, "migration %s %d", list->app, list->number);
        bool good = run(db, list->sql, what, err);
        if (good) {
            mark = sqlite3_mprintf("INSERT INTO weir_migration (app, number, applied_ms) VALUES (%Q, %d, %lld)", list->app, list->number, (long long)now_ms);
            if (!mark) buf_printf(err, "%s: out of memory", what);
            good = mark && run(db, mark, what, err);
        }
        sqlite3_free(mark);
        if (!good) {
            sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
            return false;
        }
    }
    return run(db, "COMMIT", "migration", err);
}

bool store_migrate(struct store *s, sqlite3 *db, const struct store_options *o, struct buf *err)
{
    int64_t existed = number(db, "SELECT count(*) FROM sqlite_master WHERE name = 'weir_migration'", NULL);
    if (existed < 0) {                                  /* not knowing must not pass for "new": it would cost the snapshot */
        buf_printf(err, "cannot read the database %s: %s", s->path, sqlite3_errmsg(db));
        return false;
    }
    if (!existed && o->check_only) {
        buf_printf(err, "the database %s is empty: start the server once", s->path);
        return false;
    }
    if (!existed && !run(db, "CREATE TABLE IF NOT EXISTS weir_migration (app TEXT NOT NULL, number BIGINT NOT NULL, applied_ms BIGINT NOT NULL, PRIMARY KEY (app, number))", "migration table", err))
        return false;
    if (!check_not_newer(db, o, err)) return false;
    bool copied = false;
    for (size_t i = 0; i < o->migration_lists; i++) {
        const struct migration *list = o->migrations[i];
        if (!list->app) continue;
        int64_t has = number(db, "SELECT coalesce(max(number), 0) FROM weir_migration WHERE app = ?1", list->app);
        if (has < 0) {
            buf_printf(err, "cannot read the migrations: %s", sqlite3_errmsg(db));
            return false;
        }
        if (has >= newest_of(list)) continue;
        if (o->check_only) {
            buf_printf(err, "the database needs migrations (%s is at %lld of %d): start the server once", list->app, (long long)has, newest_of(list));
            return false;
        }
        if (existed && !copied) {
            char path[4096];
            int n = snprintf(path, sizeof path, "%s.before-%s-%lld", s->path, list->app, (long long)has + 1);
            if (n < 0 || (size_t)n >= sizeof path) {
                buf_add_z(err, "the path of the data directory is too long");
                return false;
            }
            unlink(path);                               /* of an earlier try that did not finish */
            if (!sqlite_copy_to(db, path, err)) return false;
            copied = true;
        }
        if (!apply(db, list, has, o->now_ms, err)) return false;
    }
    return true;
}
