/* apps/absence/identity.c: who is calling. A name of the list and a WeChat identity are bound to each other at the first login, for good (an operator or a manager can unbind them); a token proves it
 * for an hour.
 *
 * The token is the contract's JSON Web Token. It is believed only together with the member's row: retired members and members who were unbound since (the generation) are nobody at once, and who
 * manages is read from the row, not from the token. A token may be changed for a new one again and again, but a week after the login that began it there must be another login: so one that was stolen
 * without anybody noticing has an end. The client's app_id and app_secret are taken and ignored: the server has its own. */
#include "apps/absence/absence_in.h"

#include "wire/jwt.h"

static const struct query q_by_id = { "absence.member_by_id", "SELECT " MEMBER_COLUMNS " WHERE m.id = $1", 0 };
static const struct query q_by_name = { "absence.member_by_name", "SELECT " MEMBER_COLUMNS " WHERE m.name = $1", 0 };
static const struct query q_by_feed = { "absence.member_by_feed", "SELECT " MEMBER_COLUMNS " WHERE m.feed = $1", 0 };
static const struct query q_bound = { "absence.member_by_openid", "SELECT id FROM absence_member WHERE openid = $1", 0 };
/* the conditions hold where two logins at once are possible, too */
static const struct query q_bind = { "absence.bind",
    "UPDATE absence_member SET openid = $2, bound_ms = $3 WHERE id = $1 AND openid IS NULL AND NOT EXISTS (SELECT 1 FROM absence_member o WHERE o.openid = $2)", 0 };
static const struct query q_unionid = { "absence.unionid", "UPDATE absence_member SET unionid = $2 WHERE id = $1 AND coalesce(unionid, '') <> $2", 0 };
const struct query *const absence_identity_queries[] = { &q_by_id, &q_by_name, &q_by_feed, &q_bound, &q_bind, &q_unionid, NULL };

struct absence_state *absence(const struct request *r) { return request_app(r); }

struct member *member_of_row(struct arena *a, const struct row *row)
{
    if (!row) return NULL;
    struct member *m = arena_take(a, sizeof *m);
    *m = (struct member){ .id = row_int(row, 0), .generation = row_int(row, 1), .name = row_text(row, 2), .openid = row_text(row, 3), .manager = row_int(row, 5) != 0 };
    must(section_parse(row_text(row, 4), &m->section));
    return m;
}

static bool retired(const struct row *row) { return !row_null(row, 6); }

struct member *member_by_name(struct snap *s, struct span name)
{
    const struct row *row = snap_one(s, &q_by_name, V_TEXT(name));
    return row && !retired(row) ? member_of_row(snap_arena(s), row) : NULL;
}

/* ---- tokens ---- */

static void token_key(const struct request *r, unsigned char out[32]) { request_key(r, "absence tokens 1", out); }

static struct span token_make(const struct request *r, const struct member *m, int64_t login_s)
{
    unsigned char key[32];
    struct buf claims;
    struct jout out;
    buf_init(&claims, LIMIT_JWT_BYTES);
    jout_init(&out, &claims);
    jout_begin_object(&out);
    jout_put_int(&out, "user_id", m->id);
    jout_put(&out, "username", m->name);
    jout_put_int(&out, "exp", request_now(r) / 1000 + TOKEN_SECONDS);
    jout_put_z(&out, "email", "");
    jout_put_int(&out, "gen", m->generation);
    jout_put_int(&out, "orig_iat", login_s);
    jout_end_object(&out);
    struct span text = buf_into_arena(r, &claims);
    token_key(r, key);
    return jwt_sign(request_arena(r), key, text);
}

static struct reply *unauthorized(const struct request *r, const char *detail)
{
    struct reply *reply = fault_detail(r, 401, detail);
    reply_header(reply, "WWW-Authenticate", SPAN("JWT realm=\"api\""));
    return reply;
}

static bool word_next(struct span *rest, struct span *out)
{
    *rest = span_trim(*rest);
    size_t n = 0;
    while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\t') n++;
    *out = span_from(rest->p, n);
    *rest = span_cut(*rest, n);
    return n > 0;
}

/* The member whose token stands in the header, and when the login was that it goes back to; tokens that expired less than `grace_s` ago will do. NULL: *out_refusal. */
static const struct member *member_by_token(const struct request *r, struct snap *s, int64_t grace_s, int64_t *out_login_s, struct reply **out_refusal)
{
    struct span rest = request_head(r, "Authorization"), scheme, token = SPAN(""), more;
    const char *why = NULL;
    if (!word_next(&rest, &scheme) || !(span_is_nocase(scheme, SPAN("JWT")) || span_is_nocase(scheme, SPAN("Bearer")))) why = "Authentication credentials were not provided.";
    else if (!word_next(&rest, &token)) why = "Invalid Authorization header. No credentials provided.";
    else if (word_next(&rest, &more)) why = "Invalid Authorization header. Credentials string should not contain spaces.";
    if (!why) {
        unsigned char key[32];
        token_key(r, key);
        const json_t *claims = jwt_verify(request_arena(r), key, token);
        const json_t *id = json_object_get(claims, "user_id"), *expires = json_object_get(claims, "exp"), *generation = json_object_get(claims, "gen");
        const struct row *row = json_is_integer(id) ? snap_one(s, &q_by_id, V_INT(json_integer_value(id))) : NULL;
        if (!claims || !json_is_integer(expires) || !json_is_integer(generation)) why = "Error decoding signature.";
        else if (json_integer_value(expires) <= request_now(r) / 1000 - grace_s) why = "Signature has expired.";
        else if (!row) why = "Invalid signature.";
        else if (retired(row)) why = "User account is disabled.";
        else if (row_int(row, 1) != json_integer_value(generation)) why = "Invalid signature.";
        else {
            *out_login_s = json_integer_value(json_object_get(claims, "orig_iat"));
            return member_of_row(request_arena(r), row);
        }
    }
    *out_refusal = unauthorized(r, why);
    return NULL;
}

struct reply *absence_admit(const struct request *r, struct snap *s, unsigned needs, struct principal *out)
{
    const struct member *m = NULL;
    struct reply *refusal = NULL;
    int64_t login_s;
    if (!needs) return NULL;
    if ((needs & NEEDS_FEED) && request_has(r, "token")) {
        unsigned char hash[32];
        sha256(request_text(r, "token"), hash);
        const struct row *row = snap_one(s, &q_by_feed, V_BLOB(span_from(hash, sizeof hash)));
        if (!row || retired(row)) return absence_not_found(r);             /* an address that was revoked is no address */
        m = member_of_row(request_arena(r), row);
    }
    if (!m) m = member_by_token(r, s, 0, &login_s, &refusal);
    if (!m) return refusal;
    if ((needs & NEEDS_MANAGER) && !m->manager) return fault_detail(r, 403, "You do not have permission to perform this action.");
    *out = (struct principal){ 1, m->id, arena_printf(request_arena(r), "absence:%lld", (long long)m->id), m };
    return NULL;
}

/* ---- login ---- */

struct login { struct absence_state *app; struct span code; struct wechat_session session; };

static void login_call(void *carry, const struct worker *w)
{
    struct login *l = carry;
    wechat_login(l->app->logins, l->app->mp, w->arena, l->code, w->deadline_mono_ms, &l->session);
}

struct reply *absence_login_prepare(const struct request *r, struct snap *s, struct errand *e)
{
    (void)s;
    struct login *l = arena_zero(request_arena(r), sizeof *l);
    l->app = absence(r);
    l->code = request_text(r, "code");
    if (!l->app->mp)
        return fault_msg(r, 503, request_chinese(r) ? "服务器未配置 wechat.appid 与 wechat.secret（或 absence.appid 与 absence.secret）" : "the server has no wechat.appid and wechat.secret (or absence.appid and absence.secret) in its settings");
    errand_carry(e, l);
    if (!l->code.n) l->session.outcome.fault = WECHAT_REFUSED;     /* as WeChat would say: 41008 */
    else {
        errand_key(e, wechat_login_key(request_arena(r), l->code));
        errand_call(e, login_call, l);
    }
    return NULL;
}

static struct reply *token_reply(const struct request *r, const char *msg, const struct member *m, int64_t login_s)
{
    struct reply *reply = reply_new(r, 200);
    jout_begin_object(&reply->json);
    jout_put_z(&reply->json, "msg", msg);
    jout_put(&reply->json, "token", token_make(r, m, login_s));
    jout_end_object(&reply->json);
    return reply;
}

struct reply *absence_login_apply(const struct request *r, void *carry, struct txn *t)
{
    const struct login *l = carry;
    const struct wechat_session *session = &l->session;
    if (session->outcome.fault != WECHAT_OK) return fault_msg(r, 502, "wx server request failed");
    struct member *m = member_by_name(txn_view(t), request_text(r, "name"));
    if (!m) {
        struct reply *reply = fault_msg(r, 401, "You are not in the member list!");
        reply_header(reply, "WWW-Authenticate", SPAN("JWT realm=\"api\""));
        return reply;
    }
    if (m->openid.n && !span_is(m->openid, session->openid)) return fault_msg(r, 403, "Name and wechat id doesn't match!");
    if (!m->openid.n) {
        bool taken = txn_one(t, &q_bound, V_TEXT(session->openid)) || txn_do(t, &q_bind, V_INT(m->id), V_TEXT(session->openid), V_INT(request_now(r))) != 1;
        if (taken) {
            struct faults f = { 0 };
            fault_add(&f, "union_id", "identity with this union id already exists.");
            return fault_fields(r, &f);
        }
        absence_audit(r, t, "bind", "member", m->id, m->name, SPAN(""), SPAN(""));
    }
    if (session->unionid.n) txn_do(t, &q_unionid, V_INT(m->id), V_TEXT(session->unionid));
    return token_reply(r, "Login!", m, request_now(r) / 1000);
}

struct reply *absence_refresh(const struct request *r, struct snap *s)
{
    struct reply *refusal = NULL;
    int64_t login_s;
    const struct member *m = member_by_token(r, s, REFRESH_SECONDS, &login_s, &refusal);
    if (!m) return refusal;
    if (login_s <= request_now(r) / 1000 - LOGIN_SECONDS) return unauthorized(r, "Refresh has expired.");
    return token_reply(r, "Refreshed!", m, login_s);
}
