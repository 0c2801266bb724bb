/* apps/diary/extras_export.c: GET /api/diary/export: all that is stored about the caller, as one JSON document that is told in pages.
 *
 * A row of the table below is a member of the document. Each page is read in a view of its own, so a long download holds no snapshot open and a slow client costs no memory; what is written meanwhile
 * may or may not be in it, but nothing is told twice or left out, because each page goes on behind the last key that was told. Others' words are only those of the caller's own pairs, under the alias
 * that he knows. Pictures are told by their addresses: they need no handler's help to be fetched. */
#include "apps/diary/extras.h"

static const struct query q_diaries = { "diary.export_diaries",
    "SELECT id, title, content, emotion, p, created_ms, edited_ms FROM diary_entry WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT 50", 0 };
static const struct query q_pair = { "diary.export_pair",
    "SELECT id, two_id, created_ms, ended_ms FROM diary_pair WHERE one_id = $1 AND id > $2"
    " UNION ALL SELECT id, one_id, created_ms, ended_ms FROM diary_pair WHERE two_id = $1 AND id > $2 ORDER BY 1 LIMIT 1", 0 };
static const struct query q_person = { "diary.export_person", "SELECT openid, nickname FROM diary_user WHERE id = $1", 0 };
static const struct query q_messages = { "diary.export_messages",
    "SELECT seq, user_id, content, created_ms FROM diary_message WHERE room = $1 AND seq > $2 AND (hidden = 0 OR user_id = $3) ORDER BY seq LIMIT 50", 0 };
static const struct query q_said = { "diary.export_said",
    "SELECT room, seq, content, created_ms FROM diary_message WHERE user_id = $1 AND (room, seq) > ($2, $3) AND room LIKE 'n:%' ORDER BY room, seq LIMIT 50", 0 };
static const struct query q_images = { "diary.export_images",
    "SELECT name, type, width, height, created_ms FROM diary_image WHERE user_id = $1 AND (created_ms, name) > ($2, $3) ORDER BY created_ms, name LIMIT 200", 0 };
static const struct query q_marks = { "diary.export_marks", "SELECT room, seq FROM diary_read WHERE user_id = $1 AND room > $2 ORDER BY room LIMIT 200", 0 };
static const struct query q_reports = { "diary.export_reports",
    "SELECT id, reason, created_ms, done_ms FROM diary_moderation WHERE by_id = $1 AND (created_ms, id) > ($2, $3) ORDER BY created_ms, id LIMIT 200", 0 };
const struct query *const extra_export_queries[] = { &q_diaries, &q_pair, &q_person, &q_messages, &q_said, &q_images, &q_marks, &q_reports, NULL };

/* Texts are up to 10,000 characters, so their pages are shorter. */
enum { TEXTS_PAGE = 50, ROWS_PAGE = 200, ENOUGH_BYTES = 64 * 1024, KEY_BYTES = 1024 };

/* Where the telling has come to; lives in the request's arena across the pages, so it holds no spans of rows. */
struct export {
    size_t part;
    bool begun;                            /* the part's array is open */
    int64_t after, after_ms;               /* the last key that was told */
    char key[KEY_BYTES];
    size_t key_bytes;
    int64_t pair_id, other_id, after_message;                      /* the pair that is being told, 0: none */
};

static struct span key_of(const struct export *e) { return span_from(e->key, e->key_bytes); }

static void keep_key(struct export *e, struct span key)
{
    must(key.n <= sizeof e->key);                                  /* rooms have at most 802 bytes, names of images less than 300 */
    memcpy(e->key, key.p, key.n);
    e->key_bytes = key.n;
}

static bool diaries(const struct request *r, struct snap *s, struct jout *out, struct export *e)
{
    const struct user *u = me(r);
    struct rows rows = snap_all(s, &q_diaries, V_INT(u->id), V_INT(e->after));
    for (size_t i = 0; i < rows.n; i++) {
        const struct row *row = &rows.at[i];
        struct span p = row_text(row, 4);
        e->after = row_int(row, 0);
        jout_begin_object(out);
        jout_put(out, "diary_id", diary_id_out(r, u->id, u->generation, e->after));
        jout_put(out, "title", row_text(row, 1));
        jout_put(out, "content", row_text(row, 2));
        jout_put_int_text(out, "emotion", row_int(row, 3));
        jout_key(out, "probabilities");
        jout_begin_array(out);
        for (size_t k = 0; k < EMOTION_CODES && p.n == 2 * EMOTION_CODES; k++)
            jout_double(out, (double)((unsigned char)p.p[2 * k] << 8 | (unsigned char)p.p[2 * k + 1]) / EMOTION_WHOLE);
        jout_end_array(out);
        put_when(r, out, "publish_date", row_int(row, 5));
        jout_put_int(out, "created_ms", row_int(row, 5));
        jout_put_int(out, "edited_ms", row_int(row, 6));
        jout_end_object(out);
    }
    return rows.n == TEXTS_PAGE;
}

static struct span alias_in_pair(const struct request *r, struct snap *s, const struct export *e, const struct row **out_person)
{
    const struct row *person = snap_one(s, &q_person, V_INT(e->other_id));
    *out_person = person;
    return alias_of(r, e->other_id, person ? row_text(person, 0) : SPAN(""), e->pair_id);
}

static bool begin_pair(const struct request *r, struct snap *s, struct jout *out, struct export *e)
{
    const struct row *row = snap_one(s, &q_pair, V_INT(me(r)->id), V_INT(e->after)), *person;
    if (!row) return false;
    e->pair_id = e->after = row_int(row, 0);
    e->other_id = row_int(row, 1);
    e->after_message = 0;
    jout_begin_object(out);
    jout_put(out, "pair_id", pair_id_out(r, me(r), e->pair_id));
    put_when(r, out, "created", row_int(row, 2));
    if (row_null(row, 3)) {
        jout_key(out, "ended");
        jout_null(out);
    } else {
        put_when(r, out, "ended", row_int(row, 3));
    }
    jout_key(out, "partner");
    jout_begin_object(out);
    jout_put(out, "openId", alias_in_pair(r, s, e, &person));
    jout_key(out, "nickName");
    if (person && !row_null(person, 1)) jout_text(out, row_text(person, 1)); else jout_null(out);
    jout_end_object(out);
    jout_key(out, "messages");
    jout_begin_array(out);
    return true;
}

/* One page of the pair that is open, or the next pair. */
static bool pairs(const struct request *r, struct snap *s, struct jout *out, struct export *e)
{
    const struct user *u = me(r);
    const struct row *person;
    if (!e->pair_id) return begin_pair(r, s, out, e);
    struct span theirs = alias_in_pair(r, s, e, &person), own = handle_of(r, u);
    struct rows rows = snap_all(s, &q_messages, V_TEXT(pair_room(r, e->pair_id)), V_INT(e->after_message), V_INT(u->id));
    for (size_t i = 0; i < rows.n; i++) {
        const struct row *row = &rows.at[i];
        bool mine = row_int(row, 1) == u->id;
        e->after_message = row_int(row, 0);
        jout_begin_object(out);
        jout_put_int_text(out, "id", e->after_message);
        jout_put(out, "openId", mine ? own : theirs);
        jout_put_bool(out, "mine", mine);
        jout_put(out, "content", row_text(row, 2));
        put_when(r, out, "publish_date", row_int(row, 3));
        jout_put_int(out, "created_ms", row_int(row, 3));
        jout_end_object(out);
    }
    if (rows.n == TEXTS_PAGE) return true;
    e->pair_id = 0;
    jout_end_array(out);
    jout_end_object(out);
    return true;
}

/* What the caller said in named rooms; others' words there are not his. */
static bool room_messages(const struct request *r, struct snap *s, struct jout *out, struct export *e)
{
    struct rows rows = snap_all(s, &q_said, V_INT(me(r)->id), V_TEXT(key_of(e)), V_INT(e->after));
    for (size_t i = 0; i < rows.n; i++) {
        const struct row *row = &rows.at[i];
        keep_key(e, row_text(row, 0));
        e->after = row_int(row, 1);
        jout_begin_object(out);
        jout_put(out, "room", span_cut(row_text(row, 0), 2));
        jout_put_int_text(out, "id", e->after);
        jout_put(out, "content", row_text(row, 2));
        put_when(r, out, "publish_date", row_int(row, 3));
        jout_put_int(out, "created_ms", row_int(row, 3));
        jout_end_object(out);
    }
    return rows.n == TEXTS_PAGE;
}

static bool images(const struct request *r, struct snap *s, struct jout *out, struct export *e)
{
    struct rows rows = snap_all(s, &q_images, V_INT(me(r)->id), V_INT(e->after_ms), V_TEXT(key_of(e)));
    for (size_t i = 0; i < rows.n; i++) {
        const struct row *row = &rows.at[i];
        struct span name = row_text(row, 0);
        keep_key(e, name);
        e->after_ms = row_int(row, 4);
        jout_begin_object(out);
        jout_put(out, "name", name);
        jout_put(out, "type", row_text(row, 1));
        jout_put_int(out, "width", row_int(row, 2));
        jout_put_int(out, "height", row_int(row, 3));
        put_address(r, out, "photourl", "/upload/", name, "/");
        put_address(r, out, "thumburl", "/upload/thumb/", name, "/");
        put_when(r, out, "publish_date", e->after_ms);
        jout_end_object(out);
    }
    return rows.n == ROWS_PAGE;
}

static bool read_marks(const struct request *r, struct snap *s, struct jout *out, struct export *e)
{
    struct rows rows = snap_all(s, &q_marks, V_INT(me(r)->id), V_TEXT(key_of(e)));
    for (size_t i = 0; i < rows.n; i++) {
        struct span room = row_text(&rows.at[i], 0), name = span_cut(room, 2);
        int64_t pair_id;
        keep_key(e, room);
        jout_begin_object(out);
        jout_put(out, "pair_id", span_begins(room, SPAN("p:")) && span_to_i64(name, &pair_id) ? pair_id_out(r, me(r), pair_id) : name);
        jout_put_int_text(out, "read_id", row_int(&rows.at[i], 1));
        jout_end_object(out);
    }
    return rows.n == ROWS_PAGE;
}

static bool blocks(const struct request *r, struct snap *s, struct jout *out, struct export *e) { return put_blocks(r, s, out, &e->after); }

static bool reports(const struct request *r, struct snap *s, struct jout *out, struct export *e)
{
    struct rows rows = snap_all(s, &q_reports, V_INT(me(r)->id), V_INT(e->after_ms), V_INT(e->after));
    for (size_t i = 0; i < rows.n; i++) {
        const struct row *row = &rows.at[i];
        e->after = row_int(row, 0);
        e->after_ms = row_int(row, 2);
        jout_begin_object(out);
        jout_put(out, "reason", row_text(row, 1));
        put_when(r, out, "created", e->after_ms);
        jout_put_bool(out, "open", row_null(row, 3));
        jout_end_object(out);
    }
    return rows.n == ROWS_PAGE;
}

static const struct part { const char *key; bool (*page)(const struct request *, struct snap *, struct jout *, struct export *); } parts[] = {
    { "diaries", diaries }, { "pairs", pairs }, { "room_messages", room_messages }, { "images", images }, { "read_marks", read_marks }, { "blocks", blocks }, { "reports", reports },
};

static bool more_export(const struct request *r, struct snap *s, struct reply *reply, void *state)
{
    struct export *e = state;
    struct jout *out = &reply->json;
    while (e->part < LENGTH(parts)) {
        if (!e->begun) {
            *e = (struct export){ .part = e->part, .begun = true };
            jout_key(out, parts[e->part].key);
            jout_begin_array(out);
        }
        if (!parts[e->part].page(r, s, out, e)) {
            jout_end_array(out);
            e->begun = false;
            e->part++;
        }
        if (e->part < LENGTH(parts) && reply->body.n >= ENOUGH_BYTES) return true;
    }
    jout_end_object(out);
    reply_api_end(reply);
    return false;
}

struct reply *api_export(const struct request *r, struct snap *s)
{
    char now[20];
    const struct user *u = me(r);
    if (request_has(r, "format") && !span_is_z(request_text(r, "format"), "json")) return refuse(r, 400, "format 只能是 json", "the only format is json");
    struct export *e = arena_zero(request_arena(r), sizeof *e);
    struct reply *reply = reply_api(r);
    zone_format(request_zone(r), request_now(r), now);
    reply_header(reply, "Content-Disposition", arena_printf(request_arena(r), "attachment; filename=\"weir-diary-%.10s.json\"", now));
    jout_begin_object(&reply->json);
    put_when(r, &reply->json, "exported", request_now(r));
    put_profile(r, &reply->json, "user", u, handle_of(r, u), true);
    jout_key(&reply->json, "sessions");
    put_sessions(r, s, &reply->json);
    if (more_export(r, s, reply, e)) reply_stream(reply, more_export, e);
    return reply;
}
