/* tests/unit/store/script.c: see script.h. */
#include "script.h"

#include <stdio.h>

QUERY(q_rows, "WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < $2) INSERT INTO thing (name, data, n) SELECT $1 || '-' || i, zeroblob(2500), $1 FROM c");
QUERY(q_touch, "UPDATE thing SET n = n WHERE name = $1 || '-1'");

static void note(struct script *s, enum store_fault f)
{
    if (s->first_fault == STORE_OK) s->first_fault = f;
}

static void run_batch(struct script *s, struct store_conn *c, int batch)
{
    enum answer *answer = &s->answer[batch * SCRIPT_BATCH_JOBS];
    for (int j = 0; j < SCRIPT_BATCH_JOBS; j++) answer[j] = REFUSED;
    enum store_fault f = store_begin(c);
    if (f != STORE_OK) { note(s, f); return; }
    bool kept[SCRIPT_BATCH_JOBS] = { false };
    for (int j = 0; j < SCRIPT_BATCH_JOBS; j++) {
        int64_t job = batch * SCRIPT_BATCH_JOBS + j;
        if (store_mark(c) == STORE_OK) {
            store_change(c, &q_rows, ARGS(V_INT(job), V_INT(s->rows_per_job)));
            store_change(c, &q_touch, ARGS(V_INT(job)));
        }
        f = store_fault_now(c);
        enum store_settled settled = store_settle(c, true);
        if (f != STORE_OK) { note(s, f); assert_int_not_equal(settled, STORE_KEPT); }
        else if (settled != STORE_KEPT) note(s, STORE_OUTAGE);       /* the settling itself failed */
        kept[j] = settled == STORE_KEPT;
        if (settled != STORE_BATCH_LOST) continue;
        assert_false(store_in_transaction(c));
        store_rollback(c);
        s->lost++;
        return;
    }
    enum store_commit commit = store_commit(c);
    assert_false(store_in_transaction(c));
    assert_true(sqlite3_get_autocommit(c->db));
    if (commit != STORE_COMMITTED) note(s, store_fault_now(c) != STORE_OK ? store_fault_now(c) : STORE_OUTAGE);
    s->stopped = commit == STORE_COMMIT_UNCERTAIN;
    for (int j = 0; j < SCRIPT_BATCH_JOBS; j++)
        if (kept[j] && (commit == STORE_COMMITTED || s->stopped)) answer[j] = s->stopped ? UNCERTAIN : ACKNOWLEDGED;
}

void script_run(struct script *s, struct store_conn *c)
{
    for (int i = 0; i < SCRIPT_BATCHES && !s->stopped; i++) {
        run_batch(s, c, i);
        struct store_checkpointed moved;
        if (i % 2 == 1 && !s->stopped) note(s, store_checkpoint(c, &moved));
    }
}

void script_verify(const struct script *s, const char *path)
{
    const char *text;
    struct store *store = open_with(path, (const struct migration *const[]){ thing_migrations }, 1, true, &text);
    if (!store) fail_msg("%s", text);
    store_close(&store);
    raw_assert_sound(path);
    int64_t rows[SCRIPT_JOBS];
    raw_counts(path, "SELECT n, count(*) FROM thing WHERE length(data) = 2500 GROUP BY n", rows, SCRIPT_JOBS);
    int uncertain = -1;
    for (int job = 0; job < SCRIPT_JOBS; job++) {
        bool there = rows[job] != 0;
        if (there && rows[job] != s->rows_per_job) fail_msg("job %d is there by half: %lld rows", job, (long long)rows[job]);
        if (s->answer[job] == ACKNOWLEDGED && !there) fail_msg("job %d was acknowledged and is lost", job);
        if (s->answer[job] != ACKNOWLEDGED && s->answer[job] != UNCERTAIN && there) fail_msg("job %d was refused and is there", job);
        if (s->answer[job] != UNCERTAIN) continue;
        if (uncertain >= 0 && uncertain != there) fail_msg("job %d: an uncertain commit is there by half", job);
        uncertain = there;
    }
}

void script_verify_ends(const struct script *s, struct fixture *f)
{
    char crash[160];
    snprintf(crash, sizeof crash, "%s/crash.db", f->folder);
    copy_as_after_crash(f->path, crash);
    script_verify(s, crash);
    fixture_disconnect(f);
    script_verify(s, f->path);
}
