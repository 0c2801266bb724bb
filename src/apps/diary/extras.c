/* apps/diary/extras.c: /api/diary/: who I am, my sessions, what is unread, my moods in a calendar, searching my diaries.
 *
 * Nothing here reads what is not the caller's: each query is bound to his id. Ids of rooms and diaries go out and come in through identity.c. The rows are in extras.h. */
#include "apps/diary/extras.h"

static const struct query q_counts = { "diary.my_counts",
    "SELECT (SELECT count(*) FROM diary_entry e WHERE e.user_id = $1), (SELECT count(*) FROM diary_image i WHERE i.user_id = $1)", 0 };
/* two halves with an index each: one OR would walk through all pairs there are */
static const struct query q_pairs = { "diary.my_pairs",
    "SELECT id, two_id, created_ms, ended_ms FROM diary_pair WHERE one_id = $1 AND id < $2"
    " UNION ALL SELECT id, one_id, created_ms, ended_ms FROM diary_pair WHERE two_id = $1 AND id < $2 ORDER BY 1 DESC LIMIT 100", 0 };
static const struct query q_was_paired = { "diary.was_paired", "SELECT one_id, two_id FROM diary_pair WHERE id = $1 AND (one_id = $2 OR two_id = $2)", 0 };
static const struct query q_sessions = { "diary.my_sessions",
    "SELECT token, created_ms, used_ms FROM diary_session WHERE user_id = $1 AND used_ms > $2 ORDER BY created_ms DESC LIMIT 200", 0 };
static const struct query q_session_end = { "diary.session_end", "DELETE FROM diary_session WHERE token >= $1 AND token <= $2 AND user_id = $3", 0 };
static const struct query q_session_end_all = { "diary.session_end_all", "DELETE FROM diary_session WHERE user_id = $1", 0 };
static const struct query q_revoke = { "diary.revoke_ids", "UPDATE diary_user SET generation = generation + 1 WHERE id = $1", 0 };
static const struct query q_marks = { "diary.read_marks",
    "SELECT coalesce((SELECT last_seq FROM diary_room WHERE room = $2), 0), coalesce((SELECT seq FROM diary_read WHERE user_id = $1 AND room = $2), 0)", 0 };
static const struct query q_unread = { "diary.unread", "SELECT count(*) FROM diary_message WHERE room = $2 AND seq > $3 AND user_id <> $1 AND hidden = 0", 0 };
static const struct query q_mark = { "diary.read_mark",
    "INSERT INTO diary_read (user_id, room, seq) VALUES ($1, $2, $3) ON CONFLICT (user_id, room) DO UPDATE SET seq = excluded.seq WHERE diary_read.seq < excluded.seq", 0 };
static const struct query q_moods = { "diary.moods", "SELECT emotion, count(*) FROM diary_entry WHERE user_id = $1 AND created_ms >= $2 AND created_ms < $3 GROUP BY emotion", 0 };
static const struct query q_search = { "diary.search",
    "SELECT id, title, content, emotion, created_ms FROM diary_entry WHERE user_id = $1 AND id < $2 AND (lower(title) LIKE lower($3) ESCAPE '!' OR lower(content) LIKE lower($3) ESCAPE '!')"
    " ORDER BY id DESC LIMIT $4", 0 };
static const struct query q_explain = { "diary.explain", "SELECT title, content, emotion FROM diary_entry WHERE id = $1 AND user_id = $2", 0 };
const struct query *const extra_queries[] = { &q_counts, &q_pairs, &q_was_paired, &q_sessions, &q_session_end, &q_session_end_all, &q_revoke, &q_marks, &q_unread, &q_mark, &q_moods, &q_search, &q_explain, NULL };

void put_when(const struct request *r, struct jout *out, const char *key, int64_t ms)
{
    char text[20];
    zone_format(request_zone(r), ms, text);
    jout_put(out, key, span_from(text, 19));
}

/* ---- pairs and rooms ---- */

struct rows my_pairs(struct snap *s, int64_t user_id, int64_t before) { return snap_all(s, &q_pairs, V_INT(user_id), V_INT(before)); }

bool was_paired(struct snap *s, int64_t user_id, int64_t pair_id, int64_t *out_other_id)
{
    const struct row *row = snap_one(s, &q_was_paired, V_INT(pair_id), V_INT(user_id));
    if (row) *out_other_id = row_int(row, row_int(row, 0) == user_id ? 1 : 0);
    return row != NULL;
}

struct span pair_room(const struct request *r, int64_t pair_id) { return arena_printf(request_arena(r), "p:%lld", (long long)pair_id); }

void send_user_away(const struct request *r, struct txn *t, int64_t user_id)
{
    struct span name, left = diary(r)->rooms;
    int64_t before = INT64_MAX;
    for (bool more = true; more;) {
        struct rows rows = my_pairs(txn_view(t), user_id, before);
        for (size_t i = 0; i < rows.n; i++) {
            before = row_int(&rows.at[i], 0);
            txn_send_away(t, pair_room(r, before), user_id);
        }
        more = rows.n == PAIRS_PAGE;
    }
    while (rooms_next(&left, &name)) txn_send_away(t, arena_printf(request_arena(r), "n:%.*s", SPAN_ARGS(name)), user_id);
}

struct marks { int64_t last, read, unread; };

static struct marks marks_of(struct snap *s, int64_t user_id, struct span room)
{
    struct marks m = { 0 };
    const struct row *row = snap_one(s, &q_marks, V_INT(user_id), V_TEXT(room));
    if (row) m = (struct marks){ row_int(row, 0), row_int(row, 1), 0 };
    row = m.read < m.last ? snap_one(s, &q_unread, V_INT(user_id), V_TEXT(room), V_INT(m.read)) : NULL;
    if (row) m.unread = row_int(row, 0);
    return m;
}

static void put_marks(struct jout *out, struct span shown_id, struct marks m)
{
    jout_put(out, "pair_id", shown_id);
    jout_put_int(out, "unread", m.unread);
    jout_put_int_text(out, "last_id", m.last);
    jout_put_int_text(out, "read_id", m.read);
    jout_put_int(out, "total", m.last);
}

struct reply *api_unread(const struct request *r, struct snap *s)
{
    const struct user *u = me(r);
    struct rows pairs = my_pairs(s, u->id, INT64_MAX);
    struct reply *reply = reply_api(r);
    struct jout *out = &reply->json;
    int64_t sum = 0;
    jout_begin_object(out);
    jout_key(out, "rooms");
    jout_begin_array(out);
    for (size_t i = 0; i < pairs.n; i++) {
        int64_t pair_id = row_int(&pairs.at[i], 0);
        struct marks m = marks_of(s, u->id, pair_room(r, pair_id));
        sum += m.unread;
        jout_begin_object(out);
        put_marks(out, pair_id_out(r, u, pair_id), m);
        jout_put_bool(out, "current", pair_id == u->pair_id);
        jout_end_object(out);
    }
    jout_end_array(out);
    jout_put_int(out, "unread", sum);
    jout_end_object(out);
    reply_api_end(reply);
    return reply;
}

/* Forward only, and never beyond what was said: a mark set too far would hide what comes next. */
struct reply *api_read(const struct request *r, struct txn *t)
{
    const struct user *u = me(r);
    struct room room;
    int64_t other;
    struct span name = request_text(r, "pair_id");
    if (!room_find(r, txn_view(t), name, &room) || (room.pair && !was_paired(txn_view(t), u->id, room.pair_id, &other))) return diary_not_found(r);
    struct marks m = marks_of(txn_view(t), u->id, room.key);
    int64_t id = request_int(r, "id") < m.last ? request_int(r, "id") : m.last;
    if (id > m.read) {
        txn_do(t, &q_mark, V_INT(u->id), V_TEXT(room.key), V_INT(id));
        m = marks_of(txn_view(t), u->id, room.key);
    }
    struct reply *reply = reply_api(r);
    jout_begin_object(&reply->json);
    put_marks(&reply->json, name, m);
    jout_end_object(&reply->json);
    reply_api_end(reply);
    return reply;
}

/* ---- who I am ---- */

struct reply *api_me(const struct request *r, struct snap *s)
{
    const struct user *u = me(r);
    const struct row *counts = snap_one(s, &q_counts, V_INT(u->id));
    struct rows pairs = my_pairs(s, u->id, INT64_MAX);
    int64_t unread = 0;
    for (size_t i = 0; i < pairs.n; i++) unread += marks_of(s, u->id, pair_room(r, row_int(&pairs.at[i], 0))).unread;
    struct reply *reply = reply_api(r);
    struct jout *out = &reply->json;
    jout_begin_object(out);
    put_profile(r, out, "user", u, handle_of(r, u), true);
    jout_put_bool(out, "paired", u->pair_id != 0);
    jout_key(out, "pair_id");
    if (u->pair_id) jout_text(out, pair_id_out(r, u, u->pair_id)); else jout_null(out);
    put_match(r, s, out, u);
    jout_key(out, "counts");
    jout_begin_object(out);
    jout_put_int(out, "diaries", counts ? row_int(counts, 0) : 0);
    jout_put_int(out, "images", counts ? row_int(counts, 1) : 0);
    jout_put_int(out, "unread", unread);
    jout_end_object(out);
    jout_end_object(out);
    reply_api_end(reply);
    return reply;
}

/* ---- sessions ---- */

/* A session is named by the first bytes of its token's hash: enough to tell a user's own ones apart, useless as a token. */
enum { NAME_BYTES = 6, HASH_BYTES = 32 };

void put_sessions(const struct request *r, struct snap *s, struct jout *out)
{
    unsigned char mine[HASH_BYTES];
    struct span token = token_of(r);
    struct rows rows = snap_all(s, &q_sessions, V_INT(me(r)->id), V_INT(request_now(r) - SESSION_MS));
    sha256(token, mine);
    jout_begin_array(out);
    for (size_t i = 0; i < rows.n; i++) {
        struct span hash = row_text(&rows.at[i], 0);
        jout_begin_object(out);
        jout_put(out, "id", hex_encode(request_arena(r), span_from(hash.p, hash.n < NAME_BYTES ? hash.n : NAME_BYTES)));
        put_when(r, out, "created", row_int(&rows.at[i], 1));
        put_when(r, out, "used", row_int(&rows.at[i], 2));
        jout_put_bool(out, "current", token.n && span_is(hash, span_from(mine, HASH_BYTES)));
        jout_end_object(out);
    }
    jout_end_array(out);
}

struct reply *api_sessions(const struct request *r, struct snap *s)
{
    struct reply *reply = reply_api(r);
    jout_begin_object(&reply->json);
    jout_key(&reply->json, "sessions");
    put_sessions(r, s, &reply->json);
    jout_end_object(&reply->json);
    reply_api_end(reply);
    return reply;
}

static bool name_bytes(struct span hex, unsigned char out[NAME_BYTES])
{
    if (hex.n != 2 * NAME_BYTES) return false;
    memset(out, 0, NAME_BYTES);
    for (size_t i = 0; i < hex.n; i++) {
        char c = hex.p[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) return false;
        out[i / 2] = (unsigned char)(out[i / 2] << 4 | digit);
    }
    return true;
}

struct reply *api_logout(const struct request *r, struct txn *t)
{
    /* all hashes that begin with the name's bytes; the token itself begins with all of its own */
    unsigned char least[HASH_BYTES] = { 0 }, most[HASH_BYTES];
    memset(most, 0xff, sizeof most);
    if (request_has(r, "id")) {
        if (!name_bytes(request_text(r, "id"), least)) return diary_not_found(r);
        memcpy(most, least, NAME_BYTES);
    } else {
        struct span token = token_of(r);
        if (!token.n) return refuse(r, 400, "请求中没有会话令牌，也没有给出 id", "there is neither a session token nor an id in this request");
        sha256(token, least);
        memcpy(most, least, HASH_BYTES);
    }
    int64_t ended = txn_do(t, &q_session_end, V_BLOB(span_from(least, HASH_BYTES)), V_BLOB(span_from(most, HASH_BYTES)), V_INT(me(r)->id));
    if (!ended) return diary_not_found(r);
    send_user_away(r, t, me(r)->id);
    struct reply *reply = reply_api(r);
    jout_begin_object(&reply->json);
    jout_put_int(&reply->json, "ended", ended);
    jout_end_object(&reply->json);
    reply_api_end(reply);
    return reply;
}

/* true or false as JSON has them, or as a form writes them */
static bool flag_of(const struct request *r, const char *name, bool *out)
{
    const json_t *v = request_json(r, name);
    struct span text = v && json_is_string(v) ? json_span(v) : request_text(r, name);
    *out = json_is_true(v) || span_is_z(text, "true") || span_is_z(text, "1");
    return *out || !request_has(r, name) || json_is_false(v) || span_is_z(text, "false") || span_is_z(text, "0");
}

struct reply *api_logout_all(const struct request *r, struct txn *t)
{
    bool handles;
    if (!flag_of(r, "handles", &handles)) return refuse(r, 400, "参数 handles 必须是 true 或 false", "parameter handles must be true or false");
    int64_t ended = txn_do(t, &q_session_end_all, V_INT(me(r)->id));
    if (handles) txn_do(t, &q_revoke, V_INT(me(r)->id));           /* the generation is part of all that was sealed for him */
    send_user_away(r, t, me(r)->id);
    struct reply *reply = reply_api(r);
    jout_begin_object(&reply->json);
    jout_put_int(&reply->json, "ended", ended);
    jout_put_bool(&reply->json, "handles", handles);
    jout_end_object(&reply->json);
    reply_api_end(reply);
    return reply;
}

/* ---- the calendar ---- */

struct mood { int64_t counts[EMOTION_CODES], all; };

static struct mood mood_between(struct snap *s, int64_t user_id, int64_t from_ms, int64_t to_ms)
{
    struct mood m = { 0 };
    struct rows rows = snap_all(s, &q_moods, V_INT(user_id), V_INT(from_ms), V_INT(to_ms));
    for (size_t i = 0; i < rows.n; i++) {
        int64_t code = row_int(&rows.at[i], 0);
        if (code < 0 || code >= EMOTION_CODES) continue;
        m.counts[code] = row_int(&rows.at[i], 1);
        m.all += m.counts[code];
    }
    return m;
}

/* Of equals the lower code; calm gives way to any feeling. */
static int dominant(const struct mood *m)
{
    int best = EMOTION_JOY;
    for (int code = EMOTION_JOY; code < EMOTION_CODES; code++)
        if (m->counts[code] > m->counts[best]) best = code;
    return m->counts[EMOTION_NONE] > m->counts[best] ? EMOTION_NONE : best;
}

static void put_mood(struct jout *out, const struct mood *m)
{
    jout_put_int(out, "diaries", m->all);
    jout_key(out, "emotion");
    if (m->all) jout_int_text(out, dominant(m)); else jout_null(out);
    jout_key(out, "counts");
    jout_begin_array(out);
    for (size_t i = 0; i < EMOTION_CODES; i++) jout_int(out, m->counts[i]);
    jout_end_array(out);
}

/* A month or a year out of the parameters; month 0: the whole year. */
static bool period_of(const struct request *r, struct civil *out)
{
    if (request_has(r, "year") && request_has(r, "month")) return false;
    if (request_has(r, "year")) {
        *out = (struct civil){ .year = (int)request_int(r, "year") };
        return true;
    }
    if (!request_has(r, "month")) {
        *out = zone_civil(request_zone(r), request_now(r));
        return true;
    }
    struct span text = request_text(r, "month");
    return text.n == 7 && civil_parse_date(arena_printf(request_arena(r), "%.*s-01", SPAN_ARGS(text)), out) && out->year >= 1970 && out->year <= 9998;
}

struct reply *api_calendar(const struct request *r, struct snap *s)
{
    struct civil period;
    if (!period_of(r, &period)) return refuse(r, 400, "请给出 month=YYYY-MM 或 year=YYYY 之一", "give month=YYYY-MM or year=YYYY, one of them");
    const struct zone *zone = request_zone(r);
    bool whole_year = period.month == 0;
    struct mood total = { 0 };
    struct arena *a = request_arena(r);
    struct reply *reply = reply_api(r);
    struct jout *out = &reply->json;
    jout_begin_object(out);
    jout_put(out, whole_year ? "year" : "month", whole_year ? arena_printf(a, "%04d", period.year) : arena_printf(a, "%04d-%02d", period.year, period.month));
    jout_key(out, whole_year ? "months" : "days");
    jout_begin_array(out);
    for (int i = 1; i <= (whole_year ? 12 : 31); i++) {
        struct civil from = { .year = period.year, .month = whole_year ? i : period.month, .day = whole_year ? 1 : i }, to = from;
        if (whole_year) to.month++; else to.day++;                 /* what is out of range is carried over */
        int64_t from_ms = zone_utc_ms(zone, from);
        if (!whole_year && zone_civil(zone, from_ms).month != period.month) break;
        struct mood m = mood_between(s, me(r)->id, from_ms, zone_utc_ms(zone, to));
        if (!m.all) continue;
        for (size_t k = 0; k < EMOTION_CODES; k++) total.counts[k] += m.counts[k];
        total.all += m.all;
        jout_begin_object(out);
        if (whole_year) jout_put(out, "month", arena_printf(a, "%04d-%02d", from.year, from.month));
        else jout_put(out, "date", arena_printf(a, "%04d-%02d-%02d", from.year, from.month, from.day));
        put_mood(out, &m);
        jout_end_object(out);
    }
    jout_end_array(out);
    jout_key(out, "total");
    jout_begin_object(out);
    put_mood(out, &total);
    jout_end_object(out);
    jout_end_object(out);
    reply_api_end(reply);
    return reply;
}

/* ---- searching ---- */

enum { EXCERPT_BEFORE = 30, EXCERPT_CHARS = 100, SEARCH_USUAL = 20 };

/* %text% with what LIKE would read as its own signs taken literally */
static struct span like_pattern(struct arena *a, struct span text)
{
    char *p = arena_take(a, 2 * text.n + 2);
    size_t n = 0;
    p[n++] = '%';
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '%' || text.p[i] == '_' || text.p[i] == '!') p[n++] = '!';
        p[n++] = text.p[i];
    }
    p[n++] = '%';
    return span_from(p, n);
}

/* The first place of `text` (Latin letters in either case); 0 when the title has it instead. */
static size_t hit_in(struct span content, struct span text)
{
    for (size_t i = 0; i + text.n <= content.n; i++)
        if (span_is_nocase(span_from(content.p + i, text.n), text)) return i;
    return 0;
}

static struct span excerpt(struct arena *a, struct span content, struct span text)
{
    size_t from = hit_in(content, text);
    for (int back = 0; from > 0 && back < EXCERPT_BEFORE; back++) {
        do from--;
        while (from > 0 && ((unsigned char)content.p[from] & 0xc0) == 0x80);
    }
    struct span rest = span_cut(content, from), shown = utf8_head(rest, EXCERPT_CHARS);
    return arena_printf(a, "%s%.*s%s", from ? "…" : "", SPAN_ARGS(shown), shown.n < rest.n ? "…" : "");
}

struct reply *api_search(const struct request *r, struct snap *s)
{
    const struct user *u = me(r);
    int64_t before = INT64_MAX, limit = request_has(r, "limit") ? request_int(r, "limit") : SEARCH_USUAL;
    struct span text = request_text(r, "q");
    if (request_has(r, "before") && !diary_id_open(r, request_text(r, "before"), &before)) return diary_not_found(r);
    struct rows rows = snap_all(s, &q_search, V_INT(u->id), V_INT(before), V_TEXT(like_pattern(request_arena(r), text)), V_INT(limit + 1));
    struct reply *reply = reply_api(r);
    struct jout *out = &reply->json;
    jout_begin_object(out);
    jout_key(out, "diaries");
    jout_begin_array(out);
    for (size_t i = 0; i < rows.n && (int64_t)i < limit; i++) {
        const struct row *row = &rows.at[i];
        char date[20];
        zone_format(request_zone(r), row_int(row, 4), date);
        jout_begin_object(out);
        jout_put(out, "diary_id", diary_id_out(r, u->id, u->generation, row_int(row, 0)));
        jout_put(out, "title", shown_title(row_text(row, 1), row_text(row, 2)));
        jout_put(out, "excerpt", excerpt(request_arena(r), row_text(row, 2), text));
        jout_put_int_text(out, "emotion", row_int(row, 3));
        jout_put(out, "publish_date", span_from(date, 10));
        jout_end_object(out);
    }
    jout_end_array(out);
    jout_put_bool(out, "more", (int64_t)rows.n > limit);
    jout_end_object(out);
    reply_api_end(reply);
    return reply;
}

/* ---- why ---- */

/* Asked of the model that runs now: of a diary that was written before another model came, the stored code may differ. */
struct reply *api_explain(const struct request *r, struct snap *s)
{
    struct emotion_piece piece[12];
    struct emotion told;
    size_t n = 0;
    int64_t id;
    const struct row *row = diary_id_open(r, request_text(r, "diary_id"), &id) ? snap_one(s, &q_explain, V_INT(id), V_INT(me(r)->id)) : NULL;
    if (!row) return diary_not_found(r);
    const struct emotion_lexicon *lexicon = diary(r)->lexicon;
    if (lexicon) {
        feel(diary(r), row_text(row, 0), row_text(row, 1), &told);
        emotion_lexicon_explain(lexicon, row_text(row, 0), row_text(row, 1), piece, LENGTH(piece), &n);
    } else if (!emotion_explain(emotion_model_builtin(), row_text(row, 0), row_text(row, 1), piece, LENGTH(piece), &n, &told)) {
        return refuse(r, 503, "服务器内存不足，请稍后再试", "the server is out of memory, try again later");
    }
    struct reply *reply = reply_api(r);
    struct jout *out = &reply->json;
    jout_begin_object(out);
    jout_put(out, "diary_id", diary_id_out(r, me(r)->id, me(r)->generation, id));
    jout_put_z(out, "method", lexicon ? "lexicon" : "linear");
    jout_put_int_text(out, "emotion", told.code);
    jout_key(out, "probabilities");                       /* 1/10,000; with a lexicon the strengths */
    jout_begin_array(out);
    for (size_t i = 0; i < EMOTION_CODES; i++) jout_int(out, told.p[i]);
    jout_end_array(out);
    jout_key(out, "pieces");
    jout_begin_array(out);
    for (size_t i = 0; i < n; i++) {
        jout_begin_object(out);
        jout_put(out, "text", piece[i].text);
        jout_put_int_text(out, "emotion", piece[i].code);
        jout_put_int(out, "weight", piece[i].weight);
        jout_end_object(out);
    }
    jout_end_array(out);
    jout_end_object(out);
    reply_api_end(reply);
    return reply;
}
