/* apps/diary/matching.c: who is matched with whom. The rule is the original's (spec: two days, unpaired others, neutral with the earliest neutral, else the greatest cosine above zero, earlier
 * wins ties, never somebody blocked); the cost is not.
 *
 * The truth is diary_waiting, changed in the same transactions as everything else. The index in memory may hold too much (entries of batches that were rolled back, of people paired meanwhile): each
 * candidate is verified by an indexed query inside the transaction. It must never hold too little, so an entry is taken out only after the commit that ended it (txn_after), and what a
 * later job of the same batch brought back is put in again after that commit too. Everything here runs on the writer's thread. */
#include "apps/diary/diary_in.h"

enum { WINDOW_DAYS = 2, KEPT_DAYS = 4 };                          /* kept longer than the window, so that a clock that is set back finds them */
#define DAY_MS (24 * 3600 * 1000LL)
/* Requests come to the writer in another order than their clocks were read in: what waits may be a little younger than who looks for it. */
#define LATEST(r) (request_now(r) + LIMIT_COMMAND_MS)

static const struct query q_enter = { "diary.waiting_enter",
    "INSERT INTO diary_waiting (diary_id, user_id, emotion, v, created_ms) VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT (diary_id) DO UPDATE SET emotion = excluded.emotion, v = excluded.v", 0 };
static const struct query q_leave_diary = { "diary.waiting_leave_diary", "DELETE FROM diary_waiting WHERE diary_id = $1", 0 };
static const struct query q_of_diary = { "diary.waiting_of_diary", "SELECT diary_id, v FROM diary_waiting WHERE diary_id = $1", 0 };
static const struct query q_of_user = { "diary.waiting_of_user", "SELECT diary_id, v FROM diary_waiting WHERE user_id = $1", 0 };
static const struct query q_old = { "diary.waiting_old", "SELECT diary_id, v FROM diary_waiting WHERE created_ms < $1 ORDER BY created_ms LIMIT 64", 0 };
static const struct query q_verify = { "diary.waiting_verify",
    "SELECT user_id, v FROM diary_waiting w WHERE diary_id = $1 AND user_id <> $2 AND emotion <> 0 AND created_ms >= $3 AND created_ms <= $4"
    " AND NOT EXISTS (SELECT 1 FROM diary_block b WHERE b.user_id = $2 AND b.other_id = w.user_id) AND NOT EXISTS (SELECT 1 FROM diary_block b WHERE b.user_id = w.user_id AND b.other_id = $2)", 0 };
static const struct query q_neutral = { "diary.waiting_neutral",
    "SELECT user_id FROM diary_waiting w WHERE emotion = 0 AND user_id <> $1 AND created_ms >= $2 AND created_ms <= $3"
    " AND NOT EXISTS (SELECT 1 FROM diary_block b WHERE b.user_id = $1 AND b.other_id = w.user_id) AND NOT EXISTS (SELECT 1 FROM diary_block b WHERE b.user_id = w.user_id AND b.other_id = $1)"
    " ORDER BY created_ms, diary_id LIMIT 1", 0 };
static const struct query q_recent = { "diary.waiting_recent", "SELECT id, emotion, p, created_ms FROM diary_entry WHERE user_id = $1 AND created_ms >= $2 AND hidden = 0", 0 };
static const struct query q_pair_new = { "diary.pair_new", "INSERT INTO diary_pair (one_id, two_id, created_ms) VALUES ($1, $2, $3) RETURNING id", QUERY_INSERTS };
static const struct query q_member_new = { "diary.member_new", "INSERT INTO diary_member (user_id, pair_id, partner_id) VALUES ($1, $2, $3)", 0 };
static const struct query q_member_end = { "diary.member_end", "DELETE FROM diary_member WHERE user_id = $1 OR partner_id = $1", 0 };
static const struct query q_pair_end = { "diary.pair_end", "UPDATE diary_pair SET ended_ms = $2 WHERE id = $1", 0 };
static const struct query q_load = { "diary.waiting_load", "SELECT diary_id, v FROM diary_waiting WHERE diary_id > $1 AND emotion <> 0 ORDER BY diary_id LIMIT 10000", 0 };
const struct query *const matching_queries[] = { &q_enter, &q_leave_diary, &q_of_diary, &q_of_user, &q_old, &q_verify, &q_neutral, &q_recent, &q_pair_new, &q_member_new, &q_member_end, &q_pair_end, &q_load, NULL };

/* ---- vectors ---- */

void feel(const struct diary_state *d, struct span title, struct span content, struct emotion *out)
{
    if (!d->lexicon) {
        emotion_score(emotion_model_builtin(), title, content, out);
        return;
    }
    struct emotion_strengths s;
    emotion_lexicon_score(d->lexicon, title, content, &s);
    out->code = s.code;
    for (size_t i = 0; i < EMOTION_CODES; i++) out->p[i] = (uint16_t)(s.strength[i] < UINT16_MAX ? s.strength[i] : UINT16_MAX);
}

struct match_vector salient_vector(const struct diary_state *d, const struct emotion *e)
{
    struct match_vector v = { { 0 } };
    if (e->code == EMOTION_NONE) return match_vector_reduce(&v);
    for (int i = 1; i < MATCH_AXES; i++) v.at[i] = d->lexicon || e->p[i] >= d->salient ? e->p[i] : 0;
    return match_vector_reduce(&v);
}

static struct span pack(const struct match_vector *v, unsigned char out[MATCH_AXES * 4])
{
    for (int i = 0; i < MATCH_AXES; i++)
        for (int k = 0; k < 4; k++) out[i * 4 + k] = (unsigned char)(v->at[i] >> (24 - 8 * k));
    return span_from(out, MATCH_AXES * 4);
}

static bool unpack(struct span blob, struct match_vector *out)
{
    if (blob.n != MATCH_AXES * 4) return false;
    for (int i = 0; i < MATCH_AXES; i++) {
        const unsigned char *p = (const unsigned char *)blob.p + i * 4;
        out->at[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    return true;
}

static bool feels(const struct match_vector *v) { return v->at[0] == 0; }        /* the reduced form of "nothing" is (1,0,…) */

/* ---- the index follows the table ---- */

struct change { int64_t diary_id; struct match_vector v; bool add; };

static void after_commit(void *state, void *arg)
{
    struct diary_state *d = state;
    const struct change *c = arg;
    if (c->add) {
        if (!match_index_add(d->index, c->diary_id, &c->v)) return;
    } else {
        match_index_drop(d->index, c->diary_id, &c->v);
    }
}

static void note(struct txn *t, int64_t diary_id, struct match_vector v, bool add)
{
    struct change *c = arena_take(snap_arena(txn_view(t)), sizeof *c);
    *c = (struct change){ diary_id, v, add };
    txn_after(t, after_commit, c);
}

void matching_enter(const struct request *r, struct txn *t, int64_t diary_id, int64_t user_id, int64_t created_ms, int code, const struct match_vector *v)
{
    unsigned char bytes[MATCH_AXES * 4];
    if (code != EMOTION_NONE && !feels(v)) return;                 /* nothing salient: nobody can overlap with it */
    txn_do(t, &q_enter, V_INT(diary_id), V_INT(user_id), V_INT(code), V_BLOB(pack(v, bytes)), V_INT(created_ms));
    if (code == EMOTION_NONE) return;                              /* neutral ones are found by their own index of the table */
    match_index_add(diary(r)->index, diary_id, v);                 /* at once: the next job of this batch may look for it */
    note(t, diary_id, *v, true);
}

/* Out of the table now, out of the index after the commit. */
static void leave(struct txn *t, struct rows gone)
{
    struct match_vector v;
    for (size_t i = 0; i < gone.n; i++) {
        txn_do(t, &q_leave_diary, V_INT(row_int(&gone.at[i], 0)));
        if (unpack(row_text(&gone.at[i], 1), &v)) note(t, row_int(&gone.at[i], 0), v, false);
    }
}

void matching_leave_diary(struct txn *t, int64_t diary_id) { leave(t, txn_all(t, &q_of_diary, V_INT(diary_id))); }
void matching_leave_user(struct txn *t, int64_t user_id) { leave(t, txn_all(t, &q_of_user, V_INT(user_id))); }

void matching_return_user(const struct request *r, struct txn *t, int64_t user_id)
{
    struct rows rows = txn_all(t, &q_recent, V_INT(user_id), V_INT(request_now(r) - KEPT_DAYS * DAY_MS));
    for (size_t i = 0; i < rows.n; i++) {
        const struct row *row = &rows.at[i];
        struct emotion e = { .code = (int)row_int(row, 1) };
        struct span p = row_text(row, 2);
        for (size_t k = 0; k < EMOTION_CODES && p.n == 16; k++) e.p[k] = (uint16_t)((unsigned char)p.p[2 * k] << 8 | (unsigned char)p.p[2 * k + 1]);
        struct match_vector v = salient_vector(diary(r), &e);
        matching_enter(r, t, row_int(row, 0), user_id, row_int(row, 3), e.code, &v);
    }
}

/* ---- finding ---- */

static int64_t find_neutral(const struct request *r, struct txn *t, int64_t user_id)
{
    const struct row *row = txn_one(t, &q_neutral, V_INT(user_id), V_INT(request_now(r) - WINDOW_DAYS * DAY_MS), V_INT(LATEST(r)));
    return row ? row_int(row, 0) : 0;
}

static int64_t find_nearest(const struct request *r, struct txn *t, int64_t user_id, const struct match_vector *v)
{
    struct match_search search;
    struct match_vector theirs, stored;
    int64_t diary_id, found = 0;
    if (!feels(v)) return 0;
    match_search_begin(&search, diary(r)->index, v);
    while (!found && match_search_next(&search, &diary_id, &theirs) == MATCH_FOUND) {
        const struct row *row = txn_one(t, &q_verify, V_INT(diary_id), V_INT(user_id), V_INT(request_now(r) - WINDOW_DAYS * DAY_MS), V_INT(LATEST(r)));
        if (row && unpack(row_text(row, 1), &stored) && match_vector_equal(&stored, &theirs)) found = row_int(row, 0);
    }
    match_search_end(&search);
    return found;
}

int64_t matching_find(const struct request *r, struct txn *t, int64_t user_id, int code, const struct match_vector *v)
{
    leave(t, txn_all(t, &q_old, V_INT(request_now(r) - KEPT_DAYS * DAY_MS)));      /* a few at a time, by those who look */
    int64_t other = code == EMOTION_NONE ? find_neutral(r, t, user_id) : find_nearest(r, t, user_id, v);
    if (!other) return 0;
    int64_t pair = txn_insert(t, &q_pair_new, V_INT(user_id), V_INT(other), V_INT(request_now(r)));
    if (!pair) return 0;                                           /* the store is out of order: the engine answers */
    txn_do(t, &q_member_new, V_INT(user_id), V_INT(pair), V_INT(other));
    txn_do(t, &q_member_new, V_INT(other), V_INT(pair), V_INT(user_id));
    matching_leave_user(t, other);
    matching_leave_user(t, user_id);
    return other;
}

bool pair_end(const struct request *r, struct txn *t, const struct user *u)
{
    if (!u->pair_id) return false;
    txn_do(t, &q_member_end, V_INT(u->id));
    txn_do(t, &q_pair_end, V_INT(u->pair_id), V_INT(request_now(r)));
    txn_send_away(t, arena_printf(request_arena(r), "p:%lld", (long long)u->pair_id), 0);
    matching_return_user(r, t, u->id);
    matching_return_user(r, t, u->partner_id);
    return true;
}

/* At the start: what waits, into memory. */
bool matching_load(struct diary_state *d, struct store_conn *conn, struct buf *err)
{
    struct arena *a = arena_new(64 * 1024 * 1024);
    int64_t after = 0;
    bool good = a && store_view_begin(conn, 0) == STORE_OK;
    while (good) {
        struct rows rows = store_query(conn, a, &q_load, (struct value[]){ V_INT(after) }, 1, 10000);
        struct match_vector v;
        for (size_t i = 0; i < rows.n && good; i++) {
            after = row_int(&rows.at[i], 0);
            good = !unpack(row_text(&rows.at[i], 1), &v) || match_index_add(d->index, after, &v);
        }
        arena_reset(a);
        if (rows.n < 10000) break;
    }
    if (a) {
        good = good && store_fault_now(conn) == STORE_OK;
        store_view_end(conn);
    }
    if (!good) buf_add_z(err, "cannot load the waiting diaries (memory or disk)");
    arena_free(&a);
    return good;
}
