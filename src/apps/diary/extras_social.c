/* apps/diary/extras_social.c: /api/diary/: what a user can do about another one (block, report), and leaving for good.
 *
 * People are named as the caller sees them: by the alias that a room shows of them (in `open` by openId). A block ends a match at once and is asked for by every search of matching.c in both
 * directions. A report is a row for the operator. A deleted account leaves a row without a name behind, so that the other member of a pair keeps the chat; everything else of it goes. */
#include "apps/diary/extras.h"

static const struct query q_block = { "diary.block", "INSERT INTO diary_block (user_id, other_id, created_ms) VALUES ($1, $2, $3) ON CONFLICT (user_id, other_id) DO NOTHING", 0 };
static const struct query q_unblock = { "diary.unblock", "DELETE FROM diary_block WHERE user_id = $1 AND other_id = $2", 0 };
#define BLOCK "SELECT b.other_id, b.created_ms, u.openid, (SELECT max(c.id) FROM (SELECT p.id FROM diary_pair p WHERE p.one_id = $1 AND p.two_id = b.other_id" \
    " UNION ALL SELECT p.id FROM diary_pair p WHERE p.two_id = $1 AND p.one_id = b.other_id) AS c) FROM diary_block b JOIN diary_user u ON u.id = b.other_id WHERE b.user_id = $1"
static const struct query q_blocks = { "diary.blocks", BLOCK " AND b.other_id > $2 ORDER BY b.other_id LIMIT 200", 0 };
static const struct query q_blocked = { "diary.blocked", BLOCK " AND b.other_id = $2", 0 };
static const struct query q_author = { "diary.message_author", "SELECT user_id FROM diary_message WHERE room = $1 AND seq = $2", 0 };
static const struct query q_reports = { "diary.open_reports", "SELECT count(*) FROM diary_moderation WHERE by_id = $1 AND created_ms > $2 AND done_ms IS NULL", 0 };
static const struct query q_report = { "diary.report",
    "INSERT INTO diary_moderation (kind, user_id, by_id, room, target, reason, created_ms) VALUES ('report', $1, $2, $3, $4, $5, $6)", 0 };
static const struct query q_forget_diaries = { "diary.forget_diaries", "DELETE FROM diary_entry WHERE user_id = $1", 0 };
static const struct query q_forget_images = { "diary.forget_images", "DELETE FROM diary_image WHERE user_id = $1", 0 };
static const struct query q_forget_sessions = { "diary.forget_sessions", "DELETE FROM diary_session WHERE user_id = $1", 0 };
static const struct query q_forget_marks = { "diary.forget_marks", "DELETE FROM diary_read WHERE user_id = $1", 0 };
static const struct query q_forget_blocks = { "diary.forget_blocks", "DELETE FROM diary_block WHERE user_id = $1", 0 };
/* banned = 2: nobody can be this user again, by whatever id (identity.c passes over all that are not 0) */
static const struct query q_forget_user = { "diary.forget_user",
    "UPDATE diary_user SET openid = $2, unionid = NULL, generation = generation + 1, nickname = $3, avatar = NULL, gender = 0, province = NULL, city = NULL, country = NULL, banned = 2 WHERE id = $1", 0 };
const struct query *const extra_social_queries[] = { &q_block, &q_unblock, &q_blocks, &q_blocked, &q_author, &q_reports, &q_report, &q_forget_diaries, &q_forget_images, &q_forget_sessions,
    &q_forget_marks, &q_forget_blocks, &q_forget_user, NULL };

/* ---- blocking ---- */

/* Shown by the alias of the room that both were in last, so that a client can compare; who was met in a named room only gets one of this list (identity.c takes it back). */
static void put_block(const struct request *r, struct jout *out, const struct row *row)
{
    int64_t room_number = row_null(row, 3) ? -me(r)->id : row_int(row, 3);
    jout_begin_object(out);
    jout_put(out, "openId", alias_of(r, row_int(row, 0), row_text(row, 2), room_number));
    put_when(r, out, "created", row_int(row, 1));
    jout_end_object(out);
}

bool put_blocks(const struct request *r, struct snap *s, struct jout *out, int64_t *after)
{
    struct rows rows = snap_all(s, &q_blocks, V_INT(me(r)->id), V_INT(*after));
    for (size_t i = 0; i < rows.n; i++) {
        put_block(r, out, &rows.at[i]);
        *after = row_int(&rows.at[i], 0);
    }
    return rows.n == 200;
}

static bool more_blocks(const struct request *r, struct snap *s, struct reply *reply, void *after)
{
    if (put_blocks(r, s, &reply->json, after)) return true;
    jout_end_array(&reply->json);
    jout_end_object(&reply->json);
    reply_api_end(reply);
    return false;
}

struct reply *api_blocks(const struct request *r, struct snap *s)
{
    struct reply *reply = reply_api(r);
    int64_t *after = arena_zero(request_arena(r), sizeof *after);
    jout_begin_object(&reply->json);
    jout_key(&reply->json, "blocks");
    jout_begin_array(&reply->json);
    if (more_blocks(r, s, reply, after)) reply_stream(reply, more_blocks, after);
    return reply;
}

static struct reply *nobody_there(const struct request *r) { return refuse(r, 404, "还没有匹配对象", "not matched with anybody yet"); }

struct reply *api_block(const struct request *r, struct txn *t)
{
    const struct user *u = me(r);
    int64_t other = u->partner_id;
    if (request_has(r, "target")) {
        other = person_in(r, txn_view(t), request_text(r, "target"));
        if (!other) return diary_not_found(r);
    }
    if (!other) return nobody_there(r);
    if (other == u->id) return refuse(r, 400, "不能屏蔽自己", "nobody can block himself");
    txn_do(t, &q_block, V_INT(u->id), V_INT(other), V_INT(request_now(r)));
    bool depaired = other == u->partner_id && pair_end(r, t, u);
    const struct row *row = txn_one(t, &q_blocked, V_INT(u->id), V_INT(other));
    if (!row) return diary_not_found(r);
    struct reply *reply = reply_api(r);
    struct jout *out = &reply->json;
    jout_begin_object(out);
    jout_key(out, "blocked");
    put_block(r, out, row);
    jout_put_bool(out, "depaired", depaired);
    jout_end_object(out);
    reply_api_end(reply);
    return reply;
}

struct reply *api_unblock(const struct request *r, struct txn *t)
{
    int64_t other = person_in(r, txn_view(t), request_text(r, "target"));
    int64_t removed = other ? txn_do(t, &q_unblock, V_INT(me(r)->id), V_INT(other)) : 0;
    if (!removed) return diary_not_found(r);
    struct reply *reply = reply_api(r);
    jout_begin_object(&reply->json);
    jout_put_int(&reply->json, "removed", removed);
    jout_end_object(&reply->json);
    reply_api_end(reply);
    return reply;
}

/* ---- reporting ---- */

enum { REPORTS_A_DAY = 20 };
#define DAY_MS (24 * 3600 * 1000LL)

struct subject { int64_t user_id; struct span room; int64_t seq; };              /* seq 0: no particular message */

/* Whom and what a report is about: a message, else the person named, else the other one of a pair. */
static struct reply *subject_of(const struct request *r, struct snap *s, struct subject *out)
{
    const struct user *u = me(r);
    struct room room = { 0 };
    *out = (struct subject){ .seq = request_int(r, "id") };
    if (request_has(r, "pair_id")) {
        if (!room_find(r, s, request_text(r, "pair_id"), &room) || (room.pair && !was_paired(s, u->id, room.pair_id, &out->user_id))) return diary_not_found(r);
        out->room = room.key;
    } else if (!request_has(r, "target") || out->seq) {
        if (!u->pair_id) return nobody_there(r);
        out->room = pair_room(r, u->pair_id);
        out->user_id = u->partner_id;
    }
    if (out->seq) {
        const struct row *row = snap_one(s, &q_author, V_TEXT(out->room), V_INT(out->seq));
        if (!row) return diary_not_found(r);
        out->user_id = row_int(row, 0);
    }
    if (request_has(r, "target")) {
        int64_t named = person_in(r, s, request_text(r, "target"));
        if (!named || (out->user_id && out->user_id != named)) return diary_not_found(r);
        out->user_id = named;
    }
    if (!out->user_id) return refuse(r, 400, "请用 id 或 target 说明举报的是谁", "say by id or target who is meant");
    return out->user_id == u->id ? refuse(r, 400, "不能举报自己", "nobody can report himself") : NULL;
}

struct reply *api_report(const struct request *r, struct txn *t)
{
    struct subject about;
    struct reply *refusal = subject_of(r, txn_view(t), &about);
    if (refusal) return refusal;
    const struct row *row = txn_one(t, &q_reports, V_INT(me(r)->id), V_INT(request_now(r) - DAY_MS));
    if (row && row_int(row, 0) >= REPORTS_A_DAY) return refuse(r, 429, "今天的举报太多，请等待处理", "too many reports today, wait until they are looked at");
    txn_do(t, &q_report, V_INT(about.user_id), V_INT(me(r)->id), about.room.n ? V_TEXT(about.room) : V_NULL, about.seq ? V_INT(about.seq) : V_NULL, V_TEXT(request_text(r, "reason")),
           V_INT(request_now(r)));
    struct reply *reply = reply_api(r);
    jout_begin_object(&reply->json);
    jout_put_bool(&reply->json, "reported", true);
    jout_end_object(&reply->json);
    reply_api_end(reply);
    return reply;
}

/* ---- leaving ---- */

/* All in one transaction. The files of the images are removed at the next start (pictures_sweep): without their rows nobody is served them. Reports by and about this user stay with the operator, and
 * others keep their blocks. */
struct reply *api_delete_account(const struct request *r, struct txn *t)
{
    const struct user *u = me(r);
    unsigned char bytes[16];
    if (!span_is_z(request_text(r, "confirm"), "yes")) return refuse(r, 400, "请用 confirm=yes 确认注销", "confirm the deletion by confirm=yes");
    send_user_away(r, t, u->id);
    pair_end(r, t, u);
    matching_leave_user(t, u->id);                                 /* also what pair_end() has just brought back */
    int64_t diaries = txn_do(t, &q_forget_diaries, V_INT(u->id)), images = txn_do(t, &q_forget_images, V_INT(u->id));
    txn_do(t, &q_forget_sessions, V_INT(u->id));
    txn_forget_replies(t, request_principal(r)->name);
    txn_do(t, &q_forget_marks, V_INT(u->id));
    txn_do(t, &q_forget_blocks, V_INT(u->id));
    request_random(r, bytes, sizeof bytes);
    struct span hex = hex_encode(request_arena(r), span_from(bytes, sizeof bytes));
    txn_do(t, &q_forget_user, V_INT(u->id), V_TEXT(arena_printf(request_arena(r), "deleted:%.*s", SPAN_ARGS(hex))), V_TEXT(SPAN("已注销用户")));
    struct reply *reply = reply_api(r);
    jout_begin_object(&reply->json);
    jout_put_bool(&reply->json, "deleted", true);
    jout_put_int(&reply->json, "diaries", diaries);
    jout_put_int(&reply->json, "images", images);
    jout_end_object(&reply->json);
    reply_api_end(reply);
    return reply;
}
