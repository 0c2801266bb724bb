/* store/file.c: a database that nobody serves: the copy in a backup. It is opened as a thing that cannot change (`immutable`), so SQLite neither locks it nor makes a log or an index of one beside it, and it may
 * lie on a disk that cannot be written. Called by the command line. */
#include "store/store_in.h"

#include <stdio.h>

struct store_conn *store_open_file(const char *path, struct buf *err)
{
    struct store_conn *c = base_alloc(sizeof *c);
    struct buf uri;
    sqlite3 *db = NULL;
    buf_init(&uri, 16384);
    buf_add_z(&uri, "file:");
    for (const char *p = path; *p; p++) {
        if (strchr("%?#", *p)) buf_printf(&uri, "%%%02X", (unsigned)(unsigned char)*p);
        else buf_add(&uri, p, 1);
    }
    buf_add_z(&uri, "?immutable=1");
    buf_add(&uri, "", 1);
    int rc = !c || uri.failed ? SQLITE_NOMEM : sqlite3_open_v2(uri.p, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_URI, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_exec(db, "PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON; SELECT 1 FROM weir_migration LIMIT 1;", NULL, NULL, NULL);
    buf_done(&uri);
    if (rc == SQLITE_OK) {
        memset(c, 0, sizeof *c);
        c->db = db;
        c->read_only = true;
        return c;
    }
    buf_printf(err, "cannot read %s as a database of Weir's: %s", path, db ? sqlite3_errmsg(db) : "out of memory");
    sqlite3_close(db);
    free(c);
    return NULL;
}

bool store_integrity(struct store_conn *c, struct buf *err)
{
    must(!c->in_view && !c->in_transaction);
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(c->db, "PRAGMA integrity_check(10)", -1, &stmt, NULL), lines = 0;
    bool good = true;
    while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(stmt, 0);
        rc = SQLITE_OK;
        lines++;
        if (text && strcmp(text, "ok") == 0) continue;
        if (!good) buf_add_z(err, "; ");
        buf_add_z(err, text ? text : "out of memory");
        good = false;
    }
    if (rc != SQLITE_DONE || lines == 0) {
        buf_printf(err, "%s%s", good ? "" : "; ", sqlite3_errmsg(c->db));
        good = false;
    }
    sqlite3_finalize(stmt);
    return good;
}
