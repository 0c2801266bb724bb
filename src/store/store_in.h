/* store/store_in.h: what the files of store/ share. */
#ifndef WEIR_STORE_IN_H
#define WEIR_STORE_IN_H
#include "store/store.h"
#include <sqlite3.h>

enum { MAX_PARAMETERS = 20, SLOTS = 512 /* statements a connection can cache; a power of two */ };

struct prepared { const struct query *query; sqlite3_stmt *stmt; int parameters; int index[MAX_PARAMETERS + 1]; };

struct store { char *path; };

struct store_conn {
    struct store *store;
    sqlite3 *db;
    bool read_only, in_view, in_transaction;
    void (*watcher)(void *arg, const char *table, int64_t id);       /* store_watch */
    void *watcher_arg;
    enum store_fault fault;                  /* sticky until the view or the job ends */
    int64_t deadline_mono_ms;
    int64_t changes_before;                  /* at store_next */
    int wal_frames;                          /* in the log after the last commit of this connection */
    char error[256];
    size_t prepared_count;
    struct prepared slots[SLOTS];
};

enum { OPEN_READS = 1 /* nothing may be written through it */, OPEN_CREATES = 2 /* the file, if there is none */ };
sqlite3 *sqlite_open(const char *path, int how, struct buf *err);      /* refuses, untouched, a database that is not Weir's */
bool store_migrate(struct store *, sqlite3 *, const struct store_options *, struct buf *err);
bool sqlite_copy_to(sqlite3 *, const char *to_path, struct buf *err);
void store_faults_install(void);             /* test builds: the VFS whose Nth write or sync fails */
#endif
