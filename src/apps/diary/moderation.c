/* apps/diary/moderation.c: the operator reads: the list of complaints, and one of them with all that is needed to judge it: the text, what was said around it, who both are, their images, what was done before.
 *
 * A complaint is a row of diary_moderation: a user's report (about a person, a room or a message), or what WeChat's check found in a diary or a message after it was stored. What it is about may
 * be gone when the operator looks: then `content` is null. Nothing here writes. */
#include "apps/diary/moderation.h"

#define COMPLAINT "SELECT m.id, m.kind, m.user_id, u.nickname, m.by_id, m.room, m.target, m.reason, m.created_ms, m.done_ms, m.action, m.note" \
    " FROM diary_moderation m LEFT JOIN diary_user u ON u.id = m.user_id WHERE "
static const struct query q_open = { "diary.moderation_open", COMPLAINT "m.done_ms IS NULL AND m.id > $1 ORDER BY m.id LIMIT $2", 0 };
static const struct query q_all = { "diary.moderation_all", COMPLAINT "m.id > $1 ORDER BY m.id LIMIT $2", 0 };
static const struct query q_one = { "diary.moderation_one", COMPLAINT "m.id = $1", 0 };
static const struct query q_diary = { "diary.moderation_diary", "SELECT title, content, hidden, created_ms FROM diary_entry WHERE id = $1", 0 };
static const struct query q_last = { "diary.moderation_last", "SELECT last_seq FROM diary_room WHERE room = $1", 0 };
static const struct query q_around = { "diary.moderation_around",
    "SELECT m.seq, m.user_id, u.nickname, m.content, m.hidden, m.created_ms FROM diary_message m LEFT JOIN diary_user u ON u.id = m.user_id WHERE m.room = $1 AND m.seq >= $2 AND m.seq <= $3 ORDER BY m.seq LIMIT 21", 0 };
static const struct query q_person = { "diary.moderation_person",
    "SELECT u.id, u.nickname, u.openid, u.banned, u.created_ms, (SELECT count(*) FROM diary_entry e WHERE e.user_id = u.id), (SELECT count(*) FROM diary_image i WHERE i.user_id = u.id),"
    " (SELECT count(*) FROM diary_moderation m WHERE m.user_id = u.id AND m.done_ms IS NULL) FROM diary_user u WHERE u.id = $1", 0 };
static const struct query q_images = { "diary.moderation_images", "SELECT name FROM diary_image WHERE user_id = $1 ORDER BY created_ms DESC LIMIT 20", 0 };
static const struct query q_log = { "diary.moderation_log", "SELECT action, item, image, by_name, note, created_ms FROM diary_moderation_log WHERE user_id = $1 ORDER BY id DESC LIMIT 50", 0 };
const struct query *const moderation_queries[] = { &q_open, &q_all, &q_one, &q_diary, &q_last, &q_around, &q_person, &q_images, &q_log, NULL };

enum { LIST_USUAL = 100, AROUND = 5 };

static struct complaint complaint_of(const struct row *row)
{
    return (struct complaint){ .id = row_int(row, 0), .kind = row_text(row, 1), .user_id = row_int(row, 2), .name = row_text(row, 3), .by_id = row_int(row, 4), .room = row_text(row, 5), .target = row_int(row, 6),
                               .reason = row_text(row, 7), .created_ms = row_int(row, 8), .done_ms = row_int(row, 9), .action = row_text(row, 10), .note = row_text(row, 11) };
}

bool complaint_find(struct snap *s, int64_t id, struct complaint *out)
{
    const struct row *row = snap_one(s, &q_one, V_INT(id));
    if (row) *out = complaint_of(row);
    return row != NULL;
}

static void put_or_null(struct jout *out, const char *key, struct span text)
{
    jout_key(out, key);
    if (text.n) jout_text(out, text); else jout_null(out);
}

static void put_number_or_null(struct jout *out, const char *key, int64_t n)
{
    jout_key(out, key);
    if (n) jout_int(out, n); else jout_null(out);
}

static void put_complaint(const struct request *r, struct jout *out, const struct complaint *c)
{
    jout_begin_object(out);
    jout_put_int(out, "id", c->id);
    jout_put(out, "kind", c->kind);
    jout_put_int(out, "user", c->user_id);
    put_or_null(out, "name", c->name);
    put_number_or_null(out, "by", c->by_id);
    put_or_null(out, "room", c->room);
    put_number_or_null(out, "target", c->target);
    jout_put(out, "reason", c->reason);
    put_when(r, out, "created", c->created_ms);
    if (c->done_ms) put_when(r, out, "done", c->done_ms);
    else put_or_null(out, "done", SPAN(""));
    put_or_null(out, "action", c->action);
    put_or_null(out, "note", c->note);
    jout_end_object(out);
}

struct reply *moderation_list(const struct request *r, struct snap *s)
{
    int64_t limit = request_has(r, "limit") ? request_int(r, "limit") : LIST_USUAL;
    struct rows rows = snap_all(s, request_int(r, "all") ? &q_all : &q_open, V_INT(request_int(r, "after")), V_INT(limit + 1));
    struct reply *reply = reply_api(r);
    struct jout *out = &reply->json;
    jout_begin_object(out);
    jout_key(out, "items");
    jout_begin_array(out);
    for (size_t i = 0; i < rows.n && (int64_t)i < limit; i++) {
        struct complaint c = complaint_of(&rows.at[i]);
        put_complaint(r, out, &c);
    }
    jout_end_array(out);
    jout_put_bool(out, "more", (int64_t)rows.n > limit);
    jout_end_object(out);
    reply_api_end(reply);
    return reply;
}

/* ---- one of them ---- */

static void put_person(const struct request *r, struct snap *s, struct jout *out, const char *key, int64_t user_id)
{
    const struct row *row = user_id ? snap_one(s, &q_person, V_INT(user_id)) : NULL;
    jout_key(out, key);
    if (!row) {
        jout_null(out);
        return;
    }
    jout_begin_object(out);
    jout_put_int(out, "id", row_int(row, 0));
    put_or_null(out, "name", row_text(row, 1));
    jout_put(out, "openid", row_text(row, 2));
    jout_put_bool(out, "banned", row_int(row, 3) == 1);
    jout_put_bool(out, "gone", row_int(row, 3) > 1);
    jout_put_int(out, "diaries", row_int(row, 5));
    jout_put_int(out, "images", row_int(row, 6));
    jout_put_int(out, "open", row_int(row, 7));
    put_when(r, out, "created", row_int(row, 4));
    jout_end_object(out);
}

static void put_content(const struct request *r, struct jout *out, const struct span *title, struct span text, bool hidden, int64_t created_ms)
{
    jout_begin_object(out);
    if (title) jout_put(out, "title", *title);
    jout_put(out, "text", text);
    jout_put_bool(out, "hidden", hidden);
    put_when(r, out, "created", created_ms);
    jout_end_object(out);
}

/* The messages around the one that is meant; without one, the newest of the room. */
static struct rows around(struct snap *s, const struct complaint *c)
{
    if (!c->room.n || complaint_is_diary(c)) return (struct rows){ 0 };
    const struct row *last = c->target ? NULL : snap_one(s, &q_last, V_TEXT(c->room));
    int64_t middle = c->target ? c->target : last ? row_int(last, 0) - AROUND : 0;
    return snap_all(s, &q_around, V_TEXT(c->room), V_INT(middle - AROUND), V_INT(middle + AROUND));
}

static void put_log(const struct request *r, struct snap *s, struct jout *out, int64_t user_id)
{
    struct rows rows = snap_all(s, &q_log, V_INT(user_id));
    jout_key(out, "log");
    jout_begin_array(out);
    for (size_t i = 0; i < rows.n; i++) {
        const struct row *row = &rows.at[i];
        jout_begin_object(out);
        jout_put(out, "action", row_text(row, 0));
        put_number_or_null(out, "item", row_int(row, 1));
        put_or_null(out, "image", row_text(row, 2));
        jout_put(out, "by", row_text(row, 3));
        jout_put(out, "note", row_text(row, 4));
        put_when(r, out, "created", row_int(row, 5));
        jout_end_object(out);
    }
    jout_end_array(out);
}

struct reply *moderation_show(const struct request *r, struct snap *s)
{
    struct complaint c;
    if (!complaint_find(s, request_int(r, "id"), &c)) return diary_not_found(r);
    struct rows rows = around(s, &c), images = snap_all(s, &q_images, V_INT(c.user_id));
    const struct row *row = complaint_is_diary(&c) ? snap_one(s, &q_diary, V_INT(c.target)) : NULL;
    struct reply *reply = reply_api(r);
    struct jout *out = &reply->json;
    jout_begin_object(out);
    jout_key(out, "item");
    put_complaint(r, out, &c);
    jout_key(out, "content");
    const struct row *message = NULL;
    for (size_t i = 0; i < rows.n && !message; i++)
        if (c.target && row_int(&rows.at[i], 0) == c.target) message = &rows.at[i];
    struct span title = row ? row_text(row, 0) : SPAN("");
    if (row) put_content(r, out, &title, row_text(row, 1), row_int(row, 2), row_int(row, 3));
    else if (message) put_content(r, out, NULL, row_text(message, 3), row_int(message, 4), row_int(message, 5));
    else jout_null(out);
    put_person(r, s, out, "user", c.user_id);
    put_person(r, s, out, "by", c.by_id);
    jout_key(out, "around");
    jout_begin_array(out);
    for (size_t i = 0; i < rows.n; i++) {
        const struct row *m = &rows.at[i];
        jout_begin_object(out);
        jout_put_int(out, "id", row_int(m, 0));
        jout_put_int(out, "user", row_int(m, 1));
        put_or_null(out, "name", row_text(m, 2));
        jout_put(out, "text", row_text(m, 3));
        jout_put_bool(out, "hidden", row_int(m, 4));
        jout_put_bool(out, "about", m == message);
        put_when(r, out, "created", row_int(m, 5));
        jout_end_object(out);
    }
    jout_end_array(out);
    jout_key(out, "images");
    jout_begin_array(out);
    for (size_t i = 0; i < images.n; i++) jout_text(out, row_text(&images.at[i], 0));
    jout_end_array(out);
    put_log(r, s, out, c.user_id);
    jout_end_object(out);
    reply_api_end(reply);
    return reply;
}
