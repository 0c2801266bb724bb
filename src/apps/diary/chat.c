/* apps/diary/chat.c: rooms: the history, sending over HTTP and over WebSocket (one handler for both), joining.
 *
 * A message's id is its room's seq, so `since` can never skip one. A pair's room is written by its two members while they are a pair and read by both afterwards; a named room is
 * anybody's in `open`, else for logged-in users if diary.rooms lists it. What is sent is stored, then broadcast: the sender's frame shows his own handle, the others' his alias. */
#include "apps/diary/diary_in.h"

static const struct query q_seq = { "diary.room_seq", "INSERT INTO diary_room (room, last_seq) VALUES ($1, 1) ON CONFLICT (room) DO UPDATE SET last_seq = diary_room.last_seq + 1", 0 };
static const struct query q_say = { "diary.say", "INSERT INTO diary_message (room, seq, user_id, content, created_ms) VALUES ($1, $2, $3, $4, $5)", 0 };
#define MESSAGE "SELECT m.seq, m.content, m.created_ms, m.user_id, u.openid FROM diary_message m JOIN diary_user u ON u.id = m.user_id WHERE m.room = $1 AND (m.hidden = 0 OR m.user_id = $4)"
static const struct query q_after = { "diary.history_after", MESSAGE " AND m.seq > $2 ORDER BY m.seq LIMIT $3", 0 };
static const struct query q_newest = { "diary.history_newest", "SELECT seq FROM diary_message WHERE room = $1 AND (hidden = 0 OR user_id = $3) ORDER BY seq DESC LIMIT 1 OFFSET $2", 0 };
static const struct query q_last = { "diary.room_last", "SELECT last_seq FROM diary_room WHERE room = $1", 0 };
const struct query *const chat_queries[] = { &q_seq, &q_say, &q_after, &q_newest, &q_last, NULL };

/* The openId that `viewer` sees for the sender. */
static struct span sender(const struct request *r, int64_t user_id, struct span openid, const struct room *room)
{
    const struct user *viewer = me(r);
    return viewer && viewer->id == user_id ? handle_of(r, viewer) : alias_of(r, user_id, openid, room->number);
}

static void put_time(const struct request *r, struct jout *out, int64_t ms)
{
    char text[20];
    zone_format(request_zone(r), ms, text);
    jout_put(out, "publish_date", span_from(text, 19));
}

/* ---- history ---- */

enum { PAGE = 50, BACKLOG_MOST = 500, BACKLOG_BYTES = LIMIT_WS_QUEUE_BYTES / 2 };      /* a page of the longest texts fits into an arena */
struct history { struct room room; int64_t after, left; };

static void put_message(const struct request *r, struct jout *out, const struct row *row, const struct room *room)
{
    jout_begin_object(out);
    put_time(r, out, row_int(row, 2));
    jout_put(out, "content", row_text(row, 1));
    jout_put(out, "openId", sender(r, row_int(row, 3), row_text(row, 4), room));
    jout_put_int_text(out, "id", row_int(row, 0));
    jout_end_object(out);
}

static bool more_messages(const struct request *r, struct snap *s, struct reply *reply, void *state)
{
    struct history *h = state;
    int64_t page = h->left < PAGE ? h->left : PAGE, viewer = me(r) ? me(r)->id : 0;
    struct rows rows = snap_all(s, &q_after, V_TEXT(h->room.key), V_INT(h->after), V_INT(page), V_INT(viewer));
    for (size_t i = 0; i < rows.n; i++) {
        put_message(r, &reply->json, &rows.at[i], &h->room);
        h->after = row_int(&rows.at[i], 0);
    }
    h->left -= (int64_t)rows.n;
    if ((int64_t)rows.n == page && h->left > 0) return true;
    jout_end_array(&reply->json);
    jout_end_object(&reply->json);
    jout_end_object(&reply->json);
    return false;
}

static bool since_of(const struct request *r, int64_t *out)
{
    *out = 0;
    return !request_has(r, "since") || !request_text(r, "since").n || (span_to_i64(request_text(r, "since"), out) && *out >= 0);
}

/* All by default, oldest first. `since`: what is newer than that id; `limit` alone: the newest, still oldest first. */
struct reply *get_history(const struct request *r, struct snap *s)
{
    struct history *h = arena_zero(request_arena(r), sizeof *h);
    bool limited = request_has(r, "limit");
    if (!room_find(r, s, request_text(r, "pair_id"), &h->room)) return diary_not_found(r);
    if (!since_of(r, &h->after)) return refuse(r, 400, "since 必须是消息 id", "since must be the id of a message");
    h->left = limited ? request_int(r, "limit") : INT64_MAX;
    if (limited && !request_text(r, "since").n) {                  /* the newest: begin behind the one before them */
        const struct row *first = snap_one(s, &q_newest, V_TEXT(h->room.key), V_INT(h->left - 1), V_INT(me(r) ? me(r)->id : 0));
        if (first) h->after = row_int(first, 0) - 1;
    }
    struct reply *reply = reply_new(r, 200);
    jout_begin_object(&reply->json);
    jout_key(&reply->json, "data");
    jout_begin_object(&reply->json);
    jout_key(&reply->json, "messages");
    jout_begin_array(&reply->json);
    if (more_messages(r, s, reply, h)) reply_stream(reply, more_messages, h);
    return reply;
}

/* ---- saying something ---- */

static struct span frame(const struct request *r, struct span text, struct span openid, int64_t ms, int64_t seq, struct span client_id)
{
    struct buf b;
    struct jout out;
    buf_init(&b, LIMIT_REPLY_BYTES);
    jout_init(&out, &b);
    jout_begin_object(&out);
    jout_put(&out, "message", text);
    jout_put(&out, "openId", openid);
    put_time(r, &out, ms);
    jout_put_int_text(&out, "id", seq);
    if (client_id.n) jout_put(&out, "client_id", client_id);
    jout_end_object(&out);
    struct span copy = b.failed ? SPAN("{}") : arena_copy(request_arena(r), buf_span(&b));
    buf_done(&b);
    return copy;
}

struct said { struct checked checked; };

/* 0 and the room, or a refusal: who may write where. */
static struct reply *may_say(const struct request *r, struct snap *s, struct room *out)
{
    const struct user *u = me(r);
    if (!u || !room_find(r, s, request_text(r, "pair_id"), out)) return diary_not_found(r);
    if (out->pair && u->pair_id != out->pair_id) return refuse(r, 403, "你不在这个房间，或匹配已解除", "you are not in this room, or the match was dissolved");
    return NULL;
}

struct reply *say_prepare(const struct request *r, struct snap *s, struct errand *e)
{
    struct room room;
    struct said *said = arena_zero(request_arena(r), sizeof *said);
    struct reply *refusal = may_say(r, s, &room);
    if (refusal) return refusal;
    errand_carry(e, said);
    if (diary(r)->check) check_describe(r, e, &said->checked, me(r)->openid, SPAN(""), request_text(r, "content"));
    return NULL;
}

struct reply *say_apply(const struct request *r, void *carry, struct txn *t)
{
    const struct said *said = carry;
    struct room room;
    struct reply *refusal = check_refusal(r, &said->checked);
    if (!refusal) refusal = may_say(r, txn_view(t), &room);
    if (refusal) return refusal;
    const struct user *u = me(r);
    struct span text = request_text(r, "content");
    txn_do(t, &q_seq, V_TEXT(room.key));                          /* and read in the same transaction: RETURNING costs SQLite a temporary tree */
    const struct row *row = txn_one(t, &q_last, V_TEXT(room.key));
    if (!row) return status_success(r);                            /* the store is out of order: the engine answers */
    int64_t seq = row_int(row, 0);
    txn_do(t, &q_say, V_TEXT(room.key), V_INT(seq), V_INT(u->id), V_TEXT(text), V_INT(request_now(r)));
    struct span own = frame(r, text, handle_of(r, u), request_now(r), seq, request_text(r, "client_id"));
    struct span others = frame(r, text, alias_of(r, u->id, u->openid, room.number), request_now(r), seq, SPAN(""));
    txn_publish(t, &(struct publication){ room.key, seq, u->id, own, others });
    check_again_later(t, &said->checked, "message", seq, room.key);
    struct reply *reply = reply_new(r, 200);
    jout_begin_object(&reply->json);
    jout_put_z(&reply->json, "status", "success");
    jout_put_int_text(&reply->json, "id", seq);
    if (request_has(r, "client_id")) jout_put(&reply->json, "client_id", request_text(r, "client_id"));
    jout_end_object(&reply->json);
    return reply;
}

/* ---- the WebSocket ---- */

/* What was said since, as frames. Whoever is further behind than a socket's queue can hold reads the history first. */
static struct reply *put_backlog(const struct request *r, struct snap *s, const struct room *room, int64_t since, struct join *out)
{
    struct span *frames = arena_take(request_arena(r), BACKLOG_MOST * sizeof *frames);
    size_t n = 0, bytes = 0;
    struct rows rows;
    do {
        rows = snap_all(s, &q_after, V_TEXT(room->key), V_INT(since), V_INT(PAGE), V_INT(out->who));
        for (size_t i = 0; i < rows.n; i++) {
            const struct row *row = &rows.at[i];
            since = row_int(row, 0);
            if (n == BACKLOG_MOST || bytes > BACKLOG_BYTES) return refuse(r, 409, "落后太多，请先用 get_history 读取历史消息", "too far behind: read get_history first, then join with its last id");
            frames[n] = frame(r, row_text(row, 1), sender(r, row_int(row, 3), row_text(row, 4), room), row_int(row, 2), since, SPAN(""));
            bytes += frames[n++].n;
        }
    } while (rows.n == PAGE);
    out->backlog = frames;
    out->backlog_count = n;
    return NULL;
}

/* At the handshake, and again before the first frame: outside `open` a socket hears nothing until it has proved who it is. */
struct reply *chat_join(const struct request *r, struct snap *s, struct join *out)
{
    struct principal who = { 0 };
    struct room room;
    bool named = request_has(r, "openId") || request_has(r, "session_key");
    if (diary(r)->access == ACCESS_OPEN) {
        /* anybody hears any room; an openId only tells which frames are his own */
        const struct user *u = request_has(r, "openId") ? user_by_openid(s, request_text(r, "openId")) : NULL;
        if (u && u->banned) return diary_banned(r, u);
        if (!room_find(r, s, request_text(r, "pair_id"), &room)) return diary_not_found(r);
        out->who = u ? u->id : 0;
    } else {
        struct sealed sealed;
        struct span name = request_text(r, "pair_id");
        if (!sealed_open(request_sealer(r), "pair", name, &sealed) && !room_is_listed(diary(r), name)) return diary_not_found(r);
        if (!named) return NULL;                                   /* accepted, and deaf until the first frame proves who it is */
        struct reply *refusal = diary_admit(r, s, NEEDS_USER | NEEDS_PAIR, &who);
        if (refusal) return refusal;
        request_become(r, &who);
        if (!room_find(r, s, request_text(r, "pair_id"), &room)) return diary_not_found(r);
        out->who = who.id;
    }
    int64_t since;
    if (!since_of(r, &since)) return refuse(r, 400, "since 必须是消息 id", "since must be the id of a message");
    const struct row *last = snap_one(s, &q_last, V_TEXT(room.key));
    out->room = room.key;
    out->seen = last ? row_int(last, 0) : 0;
    if (!request_has(r, "since")) return NULL;
    return put_backlog(r, s, &room, since, out);
}

struct span chat_error(const struct request *r, int status, struct span message)
{
    struct buf b;
    struct jout out;
    buf_init(&b, 64 * 1024);
    jout_init(&out, &b);
    jout_begin_object(&out);
    jout_put_z(&out, "status", "fail");
    jout_put(&out, "msg", message);
    jout_put_int(&out, "code", status);
    if (request_takes(r, "client_id") && request_has(r, "client_id")) jout_put(&out, "client_id", request_text(r, "client_id"));
    jout_end_object(&out);
    struct span copy = b.failed ? SPAN("{\"status\":\"fail\"}") : arena_copy(request_arena(r), buf_span(&b));
    buf_done(&b);
    return copy;
}
