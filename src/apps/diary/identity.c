/* apps/diary/identity.c: who is calling, and what ids look like outside. The only file that knows the access levels.
 *
 * In `open` an openId is believed, as in the original. Otherwise ids are the credential: a handle opens to one user, a sealed diary or pair id to its owner, and what does not open, or opens to
 * somebody else's, is 404. A user's generation is part of every sealed id; raising it makes all of them void. In `session` a token must come along and be the same user's. */
#include "apps/diary/diary_in.h"

#include <stdio.h>

#define USER_COLUMNS "u.id, u.generation, u.openid, u.nickname, u.avatar, u.gender, u.province, u.city, u.country, m.pair_id, m.partner_id, u.banned FROM diary_user u LEFT JOIN diary_member m ON m.user_id = u.id"
static const char *const user_tables[] = { "diary_user", "diary_member", NULL };
static const struct query q_by_id = { "diary.user_by_id", "SELECT " USER_COLUMNS " WHERE u.id = $1", 0, user_tables };
static const struct query q_by_openid = { "diary.user_by_openid", "SELECT " USER_COLUMNS " WHERE u.openid = $1", 0, user_tables };
/* all of him that a decision may rest on */
static const struct query q_again = { "diary.user_again", "SELECT u.generation, u.banned, m.pair_id, m.partner_id FROM diary_user u LEFT JOIN diary_member m ON m.user_id = u.id WHERE u.id = $1", 0 };
static const struct query q_session = { "diary.session", "SELECT user_id, used_ms FROM diary_session WHERE token = $1", 0 };
static const struct query q_session_add = { "diary.session_add", "INSERT INTO diary_session (token, user_id, created_ms, used_ms) VALUES ($1, $2, $3, $3)", 0 };
static const struct query q_session_used = { "diary.session_used", "UPDATE diary_session SET used_ms = $2 WHERE token = $1 AND used_ms < $2", 0 };
static const struct query q_session_sweep = { "diary.session_sweep", "DELETE FROM diary_session WHERE user_id = $1 AND used_ms < $2", 0 };
static const struct query q_pair = { "diary.pair", "SELECT one_id, two_id, ended_ms FROM diary_pair WHERE id = $1", 0 };
const struct query *const identity_queries[] = { &q_by_id, &q_by_openid, &q_again, &q_session, &q_session_add, &q_session_used, &q_session_sweep, &q_pair, NULL };

struct diary_state *diary(const struct request *r) { return request_app(r); }
const struct user *me(const struct request *r) { return request_principal(r)->data; }
int64_t my_id(const struct request *r) { return diary(r)->access == ACCESS_OPEN && !me(r) ? 0 : request_principal(r)->id; }

struct reply *diary_not_found(const struct request *r) { return refuse(r, 404, "不存在", "not found"); }

struct reply *diary_banned(const struct request *r, const struct user *u)
{
    return u && u->banned ? refuse(r, 403, "该用户已被停用", "this user was banned") : NULL;
}

/* A banned user reads what is his, and that is all. */
static struct reply *may_act(const struct request *r, unsigned needs, const struct user *u)
{
    return request_command(r)->verb == VERB_READS || (needs & ALLOWS_BANNED) ? NULL : diary_banned(r, u);
}

static struct user *user_of_row(struct arena *a, const struct row *row)
{
    if (!row || row_int(row, 11) > 1) return NULL;                 /* 2: the account was deleted; nobody is he again */
    struct user *u = arena_take(a, sizeof *u);
    *u = (struct user){ .id = row_int(row, 0), .generation = row_int(row, 1), .openid = row_text(row, 2), .nickname = row_text(row, 3), .avatar = row_text(row, 4),
        .has_gender = !row_null(row, 5), .banned = row_int(row, 11) != 0, .gender = row_int(row, 5), .province = row_text(row, 6), .city = row_text(row, 7), .country = row_text(row, 8),
        .pair_id = row_int(row, 9), .partner_id = row_int(row, 10), .null_nickname = row_null(row, 3), .null_avatar = row_null(row, 4), .null_province = row_null(row, 6),
        .null_city = row_null(row, 7), .null_country = row_null(row, 8) };
    return u;
}

struct user *user_by_id(struct snap *s, int64_t id) { return user_of_row(snap_arena(s), snap_one(s, &q_by_id, V_INT(id))); }
struct user *user_by_openid(struct snap *s, struct span openid) { return user_of_row(snap_arena(s), snap_one(s, &q_by_openid, V_TEXT(openid))); }

/* The caller as he is in this transaction. One whom prepare() has met is not looked up by name and read whole again, which would be a third of the writer's work for a diary: what may have changed
 * and matters is; his profile is as it was when he asked. */
static const struct user *caller_by_id(const struct request *r, struct snap *s, int64_t id)
{
    const struct user *known = request_known(r);
    if (!known || known->id != id) return user_by_id(s, id);
    if (request_unchanged(r, &q_by_id, id)) return known;
    const struct row *row = snap_one(s, &q_again, V_INT(id));
    if (!row || row_int(row, 1) > 1) return NULL;
    if (row_int(row, 0) == known->generation && (row_int(row, 1) != 0) == known->banned && row_int(row, 2) == known->pair_id && row_int(row, 3) == known->partner_id) return known;
    struct user *u = arena_take(snap_arena(s), sizeof *u);
    *u = *known;
    u->generation = row_int(row, 0);
    u->banned = row_int(row, 1) != 0;
    u->pair_id = row_int(row, 2);
    u->partner_id = row_int(row, 3);
    return u;
}

static const struct user *caller_by_openid(const struct request *r, struct snap *s, struct span openid)
{
    const struct user *known = request_known(r);
    return known && span_is(known->openid, openid) ? caller_by_id(r, s, known->id) : user_by_openid(s, openid);
}

/* ---- sessions ---- */

struct span token_of(const struct request *r)
{
    struct span header = request_head(r, "Authorization");
    if (header.n > 7 && span_is_nocase((struct span){ header.p, 7 }, SPAN("Bearer "))) return span_trim(span_cut(header, 7));
    return request_takes(r, "session_key") ? request_text(r, "session_key") : SPAN("");
}

static struct span cookie_token(const struct request *r)
{
    struct pairs cookies;
    cookies_parse(request_arena(r), request_head(r, "Cookie"), &cookies);
    return pairs_get(&cookies, SPAN("weir_session"));
}

static int64_t user_of_token(const struct request *r, struct snap *s, struct span token)
{
    unsigned char hash[32];
    if (token.n != 43) return 0;
    sha256(token, hash);                                           /* only the hash is stored: a copy of the database opens no session */
    const struct row *row = snap_one(s, &q_session, V_BLOB(span_from(hash, 32)));
    if (!row || row_int(row, 1) <= request_now(r) - SESSION_MS) return 0;
    /* its 30 days begin anew; noted once a day, and not by the reader himself */
    if (row_int(row, 1) < request_now(r) - SESSION_NOTE_MS)
        request_soon(r, "diary.session_used", arena_printf(request_arena(r), "{\"token\":\"%.*s\"}", SPAN_ARGS(base64url_encode(request_arena(r), span_from(hash, 32)))));
    return row_int(row, 0);
}

struct reply *session_used(const struct request *r, struct txn *t)
{
    struct span hash;
    if (base64url_decode(request_arena(r), request_text(r, "token"), &hash) && hash.n == 32) txn_do(t, &q_session_used, V_BLOB(hash), V_INT(request_now(r)));
    return status_success(r);
}

struct span session_new(const struct request *r, struct txn *t, int64_t user_id)
{
    unsigned char bytes[32], hash[32];
    request_random(r, bytes, sizeof bytes);
    struct span token = base64url_encode(request_arena(r), span_from(bytes, 32));
    sha256(token, hash);
    txn_do(t, &q_session_sweep, V_INT(user_id), V_INT(request_now(r) - SESSION_MS));
    txn_do(t, &q_session_add, V_BLOB(span_from(hash, 32)), V_INT(user_id), V_INT(request_now(r)));
    return token;
}

/* ---- ids outward ---- */

struct span handle_of(const struct request *r, const struct user *u)
{
    if (diary(r)->access == ACCESS_OPEN) return u->openid;
    return sealed_make(request_arena(r), request_sealer(r), "handle", (struct sealed){ u->id, u->id, u->generation });
}

void put_handle(const struct request *r, struct jout *out, const char *key, const struct user *u) { jout_put(out, key, handle_of(r, u)); }

/* What others see of somebody: one alias a room, never a credential. */
struct span alias_of(const struct request *r, int64_t user_id, struct span openid, int64_t room_number)
{
    if (diary(r)->access == ACCESS_OPEN) return openid;
    return sealed_make(request_arena(r), request_sealer(r), "alias", (struct sealed){ user_id, room_number, 0 });
}

struct span diary_id_out(const struct request *r, int64_t owner_id, int64_t generation, int64_t diary_id)
{
    if (diary(r)->access == ACCESS_OPEN) return arena_int(request_arena(r), diary_id);
    return sealed_make(request_arena(r), request_sealer(r), "diary", (struct sealed){ owner_id, diary_id, generation });
}

struct span pair_id_out(const struct request *r, const struct user *u, int64_t pair_id)
{
    if (diary(r)->access == ACCESS_OPEN) return arena_int(request_arena(r), pair_id);
    return sealed_make(request_arena(r), request_sealer(r), "pair", (struct sealed){ u->id, pair_id, u->generation });
}

/* ---- ids inward ---- */

static bool decimal(struct span text, int64_t *out) { return text.n && text.n < 19 && text.p[0] != '-' && span_to_i64(text, out) && *out > 0; }

bool diary_id_open(const struct request *r, struct span text, int64_t *out)
{
    struct sealed s;
    if (diary(r)->access == ACCESS_OPEN) return decimal(text, out);
    if (!sealed_open(request_sealer(r), "diary", text, &s) || (me(r) && s.owner != me(r)->id)) return false;
    *out = s.id;
    return true;
}

bool diary_id_in(const struct request *r, int64_t *out) { return diary_id_open(r, request_text(r, "diaryId"), out); }

/* The owner that a sealed parameter proves; 0: it proves nobody. */
static int64_t owner_of(const struct request *r, const char *parameter, const char *kind, int64_t *generation)
{
    struct sealed s;
    if (!request_takes(r, parameter) || !sealed_open(request_sealer(r), kind, request_text(r, parameter), &s)) return 0;
    *generation = s.generation;
    return s.owner;
}

static struct reply *not_logged_in(const struct request *r)
{
    struct reply *reply = refuse(r, 401, "请先登录（get_openId）", "log in first (get_openId)");
    reply_header(reply, "WWW-Authenticate", SPAN("Bearer realm=\"weir\""));
    return reply;
}

/* In `open` the name is made of the openId: a first call, which makes the user, and its repeat are then the same caller's. */
static struct span open_name(const struct request *r, struct span openid) { return arena_join(request_arena(r), SPAN("diary:@"), openid); }

static void set_principal(const struct request *r, struct principal *out, const struct user *u)
{
    bool open = diary(r)->access == ACCESS_OPEN;
    *out = (struct principal){ 1, u->id, open ? open_name(r, u->openid) : arena_join(request_arena(r), SPAN("diary:"), arena_int(request_arena(r), u->id)), u };
}

static struct reply *admit_open(const struct request *r, struct snap *s, unsigned needs, struct principal *out)
{
    *out = (struct principal){ 1, 0, SPAN(""), NULL };              /* nobody in particular: strangers do not share a rate */
    bool user = needs & (NEEDS_USER | NEEDS_NEW_USER | NEEDS_LOGIN | NEEDS_DEPAIR);
    bool listed = (needs & NEEDS_DIARY) && request_takes(r, "openId") && request_has(r, "openId") && !request_has(r, "diaryId");      /* get_diary's other use */
    if (!user && !listed) return NULL;
    const struct user *u = NULL;
    if (request_takes(r, "openId") && request_has(r, "openId")) {
        u = caller_by_openid(r, s, request_text(r, "openId"));
        if (!u && (needs & NEEDS_NEW_USER)) {
            if (!request_text(r, "openId").n) return refuse(r, 400, "openId 不能为空", "openId must not be empty");
            out->name = open_name(r, request_text(r, "openId"));
            return NULL;
        }
    } else {
        struct span token = token_of(r);
        int64_t id = token.n ? user_of_token(r, s, token) : 0;
        u = id ? caller_by_id(r, s, id) : NULL;
        if (!u && (needs & NEEDS_LOGIN) && !token.n) return NULL;
        if (!u && !token.n) return refuse(r, 400, "参数 openId 缺失", "parameter openId is missing");
        if (!u) return not_logged_in(r);
    }
    if (!u && (needs & NEEDS_DEPAIR)) return NULL;
    if (!u) return diary_not_found(r);
    set_principal(r, out, u);
    return may_act(r, needs, u);
}

struct reply *diary_admit(const struct request *r, struct snap *s, unsigned needs, struct principal *out)
{
    if (!needs) return NULL;
    enum access access = diary(r)->access;
    if (access == ACCESS_OPEN) return admit_open(r, s, needs, out);
    int64_t owner = 0, generation = -1, by_token = 0;
    bool named = false, unproved = false;
    static const char *const proofs[][2] = { { "openId", "handle" }, { "diaryId", "diary" }, { "pair_id", "pair" } };
    for (size_t i = 0; i < LENGTH(proofs); i++) {
        int64_t g = 0;
        if (!request_takes(r, proofs[i][0]) || !request_has(r, proofs[i][0])) continue;
        int64_t proved = owner_of(r, proofs[i][0], proofs[i][1], &g);
        bool room_name = i == 2 && !proved;                        /* a named room is no credential and no lie */
        unproved = unproved || (room_name && !room_is_listed(diary(r), request_text(r, proofs[i][0])));
        if (room_name) continue;
        named = named || i != 2 || (needs & NEEDS_PAIR);           /* to read a room its id will do; who speaks there says who he is */
        if (!proved || (owner && (owner != proved || generation != g))) return diary_not_found(r);
        owner = proved;
        generation = g;
    }
    struct span token = token_of(r);
    if (!token.n && named) token = cookie_token(r);                /* a browser sends it by itself, so alone it proves nothing */
    if (token.n) {
        by_token = user_of_token(r, s, token);
        if (!by_token) return not_logged_in(r);
        if (owner && owner != by_token) return diary_not_found(r);
    } else if (access == ACCESS_SESSION || !named) {
        return access == ACCESS_HANDLE && unproved ? diary_not_found(r) : not_logged_in(r);
    }
    const struct user *u = caller_by_id(r, s, by_token ? by_token : owner);
    if (!u || (generation >= 0 && u->generation != generation)) return by_token && !owner ? not_logged_in(r) : diary_not_found(r);
    set_principal(r, out, u);
    return may_act(r, needs, u);
}

/* ---- rooms ---- */

/* to the letter: what is another name is another room */
bool room_is_listed(const struct diary_state *d, struct span name)
{
    struct span left = d->rooms;
    while (left.n) {
        int comma = span_find(left, ',');
        size_t n = comma < 0 ? left.n : (size_t)comma;
        if (span_is(span_trim((struct span){ left.p, n }), name)) return true;
        left = span_cut(left, n + 1);
    }
    return false;
}

static bool named_room(const struct request *r, struct span name, struct room *out)
{
    struct diary_state *d = diary(r);
    if (!name.n || name.n > 800) return false;
    if (d->access != ACCESS_OPEN && (!me(r) || !room_is_listed(d, name))) return false;
    *out = (struct room){ .key = arena_printf(request_arena(r), "n:%.*s", SPAN_ARGS(name)), .number = (int64_t)(hash64(name, 0) >> 1) };
    return true;
}

bool room_find(const struct request *r, struct snap *s, struct span name, struct room *out)
{
    struct diary_state *d = diary(r);
    int64_t pair = 0;
    struct sealed sealed;
    if (d->access == ACCESS_OPEN) {
        /* a decimal name is a pair if one ever existed (decision 8) */
        if (!decimal(name, &pair) || !snap_one(s, &q_pair, V_INT(pair))) return named_room(r, name, out);
    } else {
        if (!sealed_open(request_sealer(r), "pair", name, &sealed)) return named_room(r, name, out);
        const struct user *u = me(r);
        const struct row *row = snap_one(s, &q_pair, V_INT(sealed.id));
        if (!u || sealed.owner != u->id || sealed.generation != u->generation || !row || (row_int(row, 0) != u->id && row_int(row, 1) != u->id)) return false;
        pair = sealed.id;
    }
    *out = (struct room){ true, pair, arena_printf(request_arena(r), "p:%lld", (long long)pair), pair };
    return true;
}

/* Is the room that an alias was sealed for one in which the caller may have met its owner? */
static bool met_in(const struct request *r, struct snap *s, int64_t other_id, int64_t room_number)
{
    const struct user *u = me(r);
    if (room_number == -u->id) return true;                        /* from his own list of blocked people */
    const struct row *pair = snap_one(s, &q_pair, V_INT(room_number));
    if (pair && ((row_int(pair, 0) == u->id && row_int(pair, 1) == other_id) || (row_int(pair, 1) == u->id && row_int(pair, 0) == other_id))) return true;
    struct span name, left = diary(r)->rooms;
    while (rooms_next(&left, &name))
        if ((int64_t)(hash64(name, 0) >> 1) == room_number) return true;
    return false;
}

int64_t person_in(const struct request *r, struct snap *s, struct span text)
{
    struct sealed sealed;
    if (diary(r)->access == ACCESS_OPEN) {
        const struct user *u = user_by_openid(s, text);
        return u ? u->id : 0;
    }
    if (!me(r) || !sealed_open(request_sealer(r), "alias", text, &sealed)) return 0;
    return met_in(r, s, sealed.owner, sealed.id) ? sealed.owner : 0;
}

bool rooms_next(struct span *left, struct span *out)
{
    while (left->n) {
        int comma = span_find(*left, ',');
        *out = span_trim((struct span){ left->p, comma < 0 ? left->n : (size_t)comma });
        *left = comma < 0 ? SPAN("") : span_cut(*left, (size_t)comma + 1);
        if (out->n) return true;
    }
    return false;
}
