/* tests/unit/store/script.h: the same few batches, run against a store that fails in some place, and the check that what was answered is true. */
#ifndef STORE_SCRIPT_H
#define STORE_SCRIPT_H
#include "fixture.h"

enum { SCRIPT_BATCHES = 5, SCRIPT_BATCH_JOBS = 3, SCRIPT_JOBS = SCRIPT_BATCHES * SCRIPT_BATCH_JOBS };
enum answer { NOT_RUN, REFUSED, ACKNOWLEDGED, UNCERTAIN };

struct script {
    int64_t rows_per_job;
    enum answer answer[SCRIPT_JOBS];
    enum store_fault first_fault;        /* of anything, a checkpoint's too; STORE_OK: all went well */
    int lost;                            /* batches that an aborted statement took with it */
    bool stopped;                        /* a commit was uncertain: as the engine does, nothing was run behind it */
};

/* Batches of jobs as the writer runs them, with checkpoints between; a job writes rows_per_job rows of n = its number, some pages each. */
void script_run(struct script *, struct store_conn *writer);
/* The database at path has exactly what was acknowledged: refused jobs are absent; those of an uncertain commit are all there or none. Opens it through the store first. */
void script_verify(const struct script *, const char *path);
/* Both ends of the process that ran f's script: as after a crash (from a copy), and after closing. f is disconnected. */
void script_verify_ends(const struct script *, struct fixture *f);
#endif
