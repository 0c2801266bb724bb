/* store/faults.c: test builds only: a disk that fails on request. The system's own VFS stays in charge; of each opened file only xWrite and xSync are
 * replaced, in a copy of its method table, so locking and the WAL's shared memory work as ever. */
#include "store/store_in.h"

#ifdef WEIR_FAULTS
#include <stdatomic.h>

enum { TABLES = 8 };
static struct { _Atomic(const sqlite3_io_methods *) real; sqlite3_io_methods ours; } tables[TABLES];
static sqlite3_vfs faulty;
static sqlite3_vfs *real_vfs;

static const sqlite3_io_methods *real_of(sqlite3_file *f)
{
    int i = 0;
    while (i < TABLES && f->pMethods != &tables[i].ours) i++;
    must(i < TABLES);
    return atomic_load(&tables[i].real);
}

static int faulty_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    return fault_here(FAULT_WRITE) ? SQLITE_FULL : real_of(f)->xWrite(f, p, n, at);
}

static int faulty_sync(sqlite3_file *f, int flags)
{
    return fault_here(FAULT_FSYNC) ? SQLITE_IOERR_FSYNC : real_of(f)->xSync(f, flags);
}

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
    (void)vfs;
    int rc = real_vfs->xOpen(real_vfs, name, f, flags, out_flags);
    if (rc != SQLITE_OK || !f->pMethods) return rc;
    static atomic_flag making = ATOMIC_FLAG_INIT;
    while (atomic_flag_test_and_set(&making)) { }
    int i = 0;
    while (i < TABLES && atomic_load(&tables[i].real) && atomic_load(&tables[i].real) != f->pMethods) i++;
    must(i < TABLES);
    if (!atomic_load(&tables[i].real)) {
        tables[i].ours = *f->pMethods;
        tables[i].ours.xWrite = faulty_write;
        tables[i].ours.xSync = faulty_sync;
        atomic_store(&tables[i].real, f->pMethods);
    }
    atomic_flag_clear(&making);
    f->pMethods = &tables[i].ours;
    return rc;
}

void store_faults_install(void)
{
    real_vfs = sqlite3_vfs_find(NULL);
    must(real_vfs);
    faulty = *real_vfs;
    faulty.zName = "weir-faults";
    faulty.pNext = NULL;
    faulty.xOpen = faulty_open;
    sqlite3_vfs_register(&faulty, 1);
}
#else
void store_faults_install(void) { }
#endif
