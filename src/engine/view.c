/* engine/view.c: one view of the store for the readers of one turn of a loop.
 *
 * Beginning and ending a view costs several system calls (the locks of SQLite's log), so the requests that one batch of events brought share one. It never outlives the turn, for an idle one
 * would pin the log, and it is never older than what anybody was told: the writer counts its commits before it releases their answers, and a view that began before the last commit is not used again. So
 * whoever was told that his write is stored reads it, on whatever connection. */
#include "engine/engine_in.h"

bool view_open(struct loop_state *s, int64_t budget_ms)
{
    uint64_t commits = atomic_load(&s->engine->commits);        /* before the snapshot is taken: it may only be newer */
    if (s->viewing && s->view_commits == commits) {
        store_view_again(s->reader, budget_ms);
        return true;
    }
    view_close(s);
    s->viewing = true;
    s->view_commits = commits;
    return store_view_begin(s->reader, budget_ms) == STORE_OK;
}

enum store_fault view_done(struct loop_state *s)
{
    enum store_fault f = store_fault_now(s->reader);
    if (f != STORE_OK) view_close(s);
    return f;
}

void view_close(struct loop_state *s)
{
    if (s->viewing) store_view_end(s->reader);
    s->viewing = false;
}
