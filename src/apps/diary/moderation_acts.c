/* apps/diary/moderation_acts.c: the operator acts: dismiss, hide, ban, unban, delete an image. See docs/why/moderation.md for what each of them means.
 *
 * Each is one transaction: the change, the complaints that it settles, its line in diary_moderation_log (who, when, why), and what live sockets must hear, which leaves after the commit. Each
 * may be asked again: what is so already is answered with changed = false and leaves no second line. */
#include "apps/diary/moderation.h"

#include <unistd.h>

static const struct query q_hide_diary = { "diary.hide_diary", "UPDATE diary_entry SET hidden = 1 WHERE id = $1 AND hidden = 0", 0 };
static const struct query q_show_diary = { "diary.show_diary", "UPDATE diary_entry SET hidden = 0 WHERE id = $1 AND hidden <> 0", 0 };
static const struct query q_hide_message = { "diary.hide_message", "UPDATE diary_message SET hidden = 1 WHERE room = $1 AND seq = $2 AND hidden = 0", 0 };
static const struct query q_show_message = { "diary.show_message", "UPDATE diary_message SET hidden = 0 WHERE room = $1 AND seq = $2 AND hidden <> 0", 0 };
static const struct query q_diary_there = { "diary.moderation_diary_there", "SELECT user_id FROM diary_entry WHERE id = $1", 0 };
static const struct query q_message_there = { "diary.moderation_message_there", "SELECT user_id FROM diary_message WHERE room = $1 AND seq = $2", 0 };
#define SETTLE "UPDATE diary_moderation SET done_ms = $1, action = $2, note = $3 WHERE "
static const struct query q_settle = { "diary.moderation_settle", SETTLE "id = $4", 0 };
static const struct query q_settle_diary = { "diary.moderation_settle_diary", SETTLE "target = $4 AND kind = 'diary' AND done_ms IS NULL", 0 };
static const struct query q_settle_message = { "diary.moderation_settle_message", SETTLE "target = $4 AND room = $5 AND kind <> 'diary' AND done_ms IS NULL", 0 };
static const struct query q_settle_user = { "diary.moderation_settle_user", SETTLE "user_id = $4 AND done_ms IS NULL", 0 };
static const struct query q_ban = { "diary.ban", "UPDATE diary_user SET banned = $2 WHERE id = $1 AND banned = 1 - $2", 0 };
static const struct query q_image = { "diary.moderation_image", "SELECT user_id FROM diary_image WHERE name = $1", 0 };
static const struct query q_image_delete = { "diary.image_delete", "DELETE FROM diary_image WHERE name = $1", 0 };
static const struct query q_image_gone = { "diary.moderation_image_gone", "SELECT id FROM diary_moderation_log WHERE image = $1 LIMIT 1", 0 };
static const struct query q_note = { "diary.moderation_note",
    "INSERT INTO diary_moderation_log (action, item, user_id, image, by_name, note, created_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)", 0 };
const struct query *const moderation_act_queries[] = { &q_hide_diary, &q_show_diary, &q_hide_message, &q_show_message, &q_diary_there, &q_message_there, &q_settle, &q_settle_diary, &q_settle_message,
    &q_settle_user, &q_ban, &q_image, &q_image_delete, &q_image_gone, &q_note, NULL };

static void note(const struct request *r, struct txn *t, const char *action, int64_t item, int64_t user_id, struct span image)
{
    txn_do(t, &q_note, V_TEXT(span_of(action)), item ? V_INT(item) : V_NULL, V_INT(user_id), image.n ? V_TEXT(image) : V_NULL, V_TEXT(request_principal(r)->name), V_TEXT(request_text(r, "note")),
           V_INT(request_now(r)));
}

/* ---- hiding and showing ---- */

/* Everybody in the room is told, also the author: {"status":"hidden","id":"7"}. His own history still has it. */
bool message_hide(const struct request *r, struct txn *t, struct span room, int64_t seq)
{
    if (!txn_do(t, &q_hide_message, V_TEXT(room), V_INT(seq))) return false;
    struct span frame = arena_printf(request_arena(r), "{\"status\":\"hidden\",\"id\":\"%lld\"}", (long long)seq);
    txn_publish(t, &(struct publication){ room, 0, 0, SPAN(""), frame });
    return true;
}

/* A diary is its owner's alone, so "others" are those whom it would be matched with (and, in `open`, whoever guesses its number). */
bool diary_hide(struct txn *t, int64_t diary_id)
{
    matching_leave_diary(t, diary_id);
    return txn_do(t, &q_hide_diary, V_INT(diary_id)) > 0;
}

static bool content_there(struct snap *s, const struct complaint *c)
{
    if (!c->target) return false;
    return complaint_is_diary(c) ? snap_one(s, &q_diary_there, V_INT(c->target)) != NULL : snap_one(s, &q_message_there, V_TEXT(c->room), V_INT(c->target)) != NULL;
}

static void content_show(const struct request *r, struct txn *t, const struct complaint *c)
{
    if (!complaint_is_diary(c)) {
        txn_do(t, &q_show_message, V_TEXT(c->room), V_INT(c->target));
        return;
    }
    if (!txn_do(t, &q_show_diary, V_INT(c->target))) return;
    const struct user *u = user_by_id(txn_view(t), c->user_id);
    if (u && !u->banned && !u->pair_id) matching_return_user(r, t, u->id);
}

static struct reply *settled(const struct request *r, int64_t id, const char *action, bool changed, int64_t done)
{
    struct reply *reply = reply_api(r);
    jout_begin_object(&reply->json);
    jout_put_int(&reply->json, "id", id);
    jout_put_z(&reply->json, "action", action);
    jout_put_bool(&reply->json, "changed", changed);
    jout_put_int(&reply->json, "done", done);
    jout_end_object(&reply->json);
    reply_api_end(reply);
    return reply;
}

static int64_t settle(const struct request *r, struct txn *t, const struct complaint *c, const char *action)
{
    return txn_do(t, &q_settle, V_INT(request_now(r)), V_TEXT(span_of(action)), V_TEXT(request_text(r, "note")), V_INT(c->id));
}

struct reply *moderation_dismiss(const struct request *r, struct txn *t)
{
    struct complaint c;
    if (!complaint_find(txn_view(t), request_int(r, "id"), &c)) return diary_not_found(r);
    if (span_is_z(c.action, "dismissed")) return settled(r, c.id, "dismissed", false, 0);
    /* what the check hid for this complaint's sake, or the operator by it; not what another complaint is about */
    if (c.target && (!span_is_z(c.kind, "report") || span_is_z(c.action, "hidden"))) content_show(r, t, &c);
    int64_t done = settle(r, t, &c, "dismissed");
    note(r, t, "dismissed", c.id, c.user_id, SPAN(""));
    return settled(r, c.id, "dismissed", true, done);
}

struct reply *moderation_hide(const struct request *r, struct txn *t)
{
    struct complaint c;
    if (!complaint_find(txn_view(t), request_int(r, "id"), &c)) return diary_not_found(r);
    if (!c.target) return refuse(r, 409, "这条举报没有指明消息，无可隐藏；可以封禁用户或驳回", "this report names no message, so there is nothing to hide; ban the user or dismiss it");
    if (!content_there(txn_view(t), &c)) return refuse(r, 409, "内容已被作者删除；请驳回这一条", "its author has deleted it; dismiss this one");
    bool now_hidden = complaint_is_diary(&c) ? diary_hide(t, c.target) : message_hide(r, t, c.room, c.target);
    bool changed = now_hidden || !span_is_z(c.action, "hidden");
    int64_t done = 0;
    if (changed) {
        struct value when = V_INT(request_now(r)), action = V_TEXT(SPAN("hidden")), why = V_TEXT(request_text(r, "note"));
        if (complaint_is_diary(&c)) done = txn_do(t, &q_settle_diary, when, action, why, V_INT(c.target));
        else done = txn_do(t, &q_settle_message, when, action, why, V_INT(c.target), V_TEXT(c.room));
        if (c.done_ms) done += settle(r, t, &c, "hidden");
        note(r, t, "hidden", c.id, c.user_id, SPAN(""));
    }
    return settled(r, c.id, "hidden", changed, done);
}

/* ---- banning ---- */

static struct reply *person_of(const struct request *r, struct snap *s, const struct user **out)
{
    if (request_has(r, "user") == request_has(r, "openid")) return refuse(r, 400, "请给出 user 或 openid 之一", "give user or openid, one of them");
    *out = request_has(r, "user") ? user_by_id(s, request_int(r, "user")) : user_by_openid(s, request_text(r, "openid"));
    return *out ? NULL : refuse(r, 404, "没有这个用户，或其账号已注销", "there is no such user, or the account was deleted");
}

static struct reply *ban_told(const struct request *r, int64_t user_id, bool banned, bool changed, int64_t done)
{
    struct reply *reply = reply_api(r);
    jout_begin_object(&reply->json);
    jout_put_int(&reply->json, "user", user_id);
    jout_put_bool(&reply->json, "banned", banned);
    jout_put_bool(&reply->json, "changed", changed);
    jout_put_int(&reply->json, "done", done);
    jout_end_object(&reply->json);
    reply_api_end(reply);
    return reply;
}

struct reply *moderation_ban(const struct request *r, struct txn *t)
{
    const struct user *u = NULL;
    struct reply *refusal = person_of(r, txn_view(t), &u);
    if (refusal) return refusal;
    if (!txn_do(t, &q_ban, V_INT(u->id), V_INT(1))) return ban_told(r, u->id, true, false, 0);
    send_user_away(r, t, u->id);
    pair_end(r, t, u);
    matching_leave_user(t, u->id);                                 /* also what pair_end() has just brought back */
    int64_t done = txn_do(t, &q_settle_user, V_INT(request_now(r)), V_TEXT(SPAN("banned")), V_TEXT(request_text(r, "note")), V_INT(u->id));
    note(r, t, "banned", 0, u->id, SPAN(""));
    return ban_told(r, u->id, true, true, done);
}

/* He is looked for again; the match that the ban ended does not come back. */
struct reply *moderation_unban(const struct request *r, struct txn *t)
{
    const struct user *u = NULL;
    struct reply *refusal = person_of(r, txn_view(t), &u);
    if (refusal) return refusal;
    if (!txn_do(t, &q_ban, V_INT(u->id), V_INT(0))) return ban_told(r, u->id, false, false, 0);
    if (!u->pair_id) matching_return_user(r, t, u->id);
    note(r, t, "unbanned", 0, u->id, SPAN(""));
    return ban_told(r, u->id, false, true, 0);
}

/* ---- images ---- */

struct files { const char *image, *thumb; };

static void remove_files(void *state, void *arg)                   /* what is not removed here has no row any more and is swept at the next start */
{
    const struct files *f = arg;
    (void)state;
    unlink(f->image);
    unlink(f->thumb);
}

struct reply *moderation_delete_image(const struct request *r, struct txn *t)
{
    struct span name = request_text(r, "name"), data = request_data(r);
    const struct row *row = txn_one(t, &q_image, V_TEXT(name));
    if (!row && !txn_one(t, &q_image_gone, V_TEXT(name))) return diary_not_found(r);
    if (row) {
        must(span_find(name, '/') < 0);                            /* it is a name that we gave */
        struct files *f = arena_take(request_arena(r), sizeof *f);
        f->image = arena_printf(request_arena(r), "%.*s/upload/%.*s", SPAN_ARGS(data), SPAN_ARGS(name)).p;
        f->thumb = arena_printf(request_arena(r), "%.*s/upload/thumb/%.*s", SPAN_ARGS(data), SPAN_ARGS(name)).p;
        note(r, t, "image deleted", 0, row_int(row, 0), name);
        txn_do(t, &q_image_delete, V_TEXT(name));
        txn_after(t, remove_files, f);
    }
    struct reply *reply = reply_api(r);
    jout_begin_object(&reply->json);
    jout_put(&reply->json, "name", name);
    jout_put_bool(&reply->json, "changed", row != NULL);
    jout_end_object(&reply->json);
    reply_api_end(reply);
    return reply;
}
