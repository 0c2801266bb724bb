/* apps/diary/users.c: login, profiles, pairs as a user sees his own. */
#include "apps/diary/diary_in.h"

#include <stdio.h>

static const struct query q_upsert = { "diary.user_store",
    "INSERT INTO diary_user (openid, nickname, avatar, gender, province, city, country, created_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    " ON CONFLICT (openid) DO UPDATE SET nickname = excluded.nickname, avatar = excluded.avatar, gender = excluded.gender, province = excluded.province, city = excluded.city, country = excluded.country WHERE diary_user.banned = 0", 0 };
static const struct query q_update = { "diary.user_update", "UPDATE diary_user SET nickname = $2, avatar = $3, gender = $4, province = $5, city = $6, country = $7 WHERE id = $1", 0 };
static const struct query q_login = { "diary.user_login",
    "INSERT INTO diary_user (openid, unionid, created_ms) VALUES ($1, $2, $3) ON CONFLICT (openid) DO UPDATE SET unionid = coalesce(excluded.unionid, diary_user.unionid)", 0 };
static const struct query q_recent = { "diary.recent", "SELECT id, title, content, emotion, created_ms FROM diary_entry WHERE user_id = $1 ORDER BY id DESC LIMIT 10", 0 };
const struct query *const user_queries[] = { &q_upsert, &q_update, &q_login, &q_recent, NULL };

/* A NULL of the database is shown as the word None: the documented form. */
static void put_or_none(struct jout *out, const char *key, struct span value, bool null) { jout_put(out, key, null ? SPAN("None") : value); }

void put_profile(const struct request *r, struct jout *out, const char *key, const struct user *u, struct span shown_openid, bool number_gender)
{
    (void)r;
    jout_key(out, key);
    jout_begin_object(out);
    jout_put(out, "openId", shown_openid);
    put_or_none(out, "nickName", u->nickname, u->null_nickname);
    put_or_none(out, "avatarUrl", u->avatar, u->null_avatar);
    jout_key(out, "gender");
    if (number_gender) {
        if (u->has_gender) jout_int(out, u->gender); else jout_null(out);
    } else {
        if (u->has_gender) jout_int_text(out, u->gender); else jout_text(out, SPAN("None"));
    }
    put_or_none(out, "province", u->province, u->null_province);
    put_or_none(out, "city", u->city, u->null_city);
    put_or_none(out, "country", u->country, u->null_country);
    jout_end_object(out);
}

void put_match(const struct request *r, struct snap *s, struct jout *out, const struct user *u) { put_partner(r, out, u, u && u->partner_id ? user_by_id(s, u->partner_id) : NULL); }

void put_partner(const struct request *r, struct jout *out, const struct user *u, const struct user *partner)
{
    if (!partner) return;
    jout_key(out, "match");
    jout_begin_object(out);
    put_profile(r, out, "user", partner, alias_of(r, partner->id, partner->openid, u->pair_id), false);
    jout_end_object(out);
}

struct reply *status_success(const struct request *r)
{
    struct reply *reply = reply_new(r, 200);
    jout_begin_object(&reply->json);
    jout_put_z(&reply->json, "status", "success");
    jout_end_object(&reply->json);
    return reply;
}

struct reply *store_user(const struct request *r, struct txn *t)
{
    struct value v[] = { V_TEXT(request_text(r, "nickName")), V_TEXT(request_text(r, "avatarUrl")), request_has(r, "gender") ? V_INT(request_int(r, "gender")) : V_NULL,
                         V_TEXT(request_text(r, "province")), V_TEXT(request_text(r, "city")), V_TEXT(request_text(r, "country")) };
    if (me(r)) txn_do(t, &q_update, V_INT(me(r)->id), v[0], v[1], v[2], v[3], v[4], v[5]);
    else txn_do(t, &q_upsert, V_TEXT(request_text(r, "openId")), v[0], v[1], v[2], v[3], v[4], v[5], V_INT(request_now(r)));
    return status_success(r);
}

struct reply *get_user(const struct request *r, struct snap *s)
{
    const struct user *u = me(r);
    struct rows rows = snap_all(s, &q_recent, V_INT(u->id));
    struct reply *reply = reply_new(r, 200);
    struct jout *out = &reply->json;
    jout_begin_object(out);
    jout_key(out, "data");
    jout_begin_object(out);
    put_profile(r, out, "user", u, handle_of(r, u), true);
    jout_key(out, "diaries");
    jout_begin_array(out);
    for (size_t i = 0; i < rows.n; i++) put_diary_row(r, out, &rows.at[i], u, true);
    jout_end_array(out);
    put_match(r, s, out, u);
    jout_end_object(out);
    jout_end_object(out);
    return reply;
}

struct reply *get_pair(const struct request *r, struct snap *s)
{
    (void)s;
    const struct user *u = me(r);
    if (!u->pair_id) return refuse(r, 404, "还没有匹配对象", "not matched with anybody yet");
    struct reply *reply = reply_new(r, 200);
    jout_begin_object(&reply->json);
    jout_key(&reply->json, "data");
    jout_begin_object(&reply->json);
    jout_put(&reply->json, "pair_id", pair_id_out(r, u, u->pair_id));
    jout_end_object(&reply->json);
    jout_end_object(&reply->json);
    return reply;
}

struct reply *depair(const struct request *r, struct txn *t)
{
    /* The contract: an unknown or unpaired openId is told so with status 200. */
    if (me(r) && pair_end(r, t, me(r))) return status_success(r);
    struct reply *reply = reply_new(r, 200);
    jout_begin_object(&reply->json);
    jout_put_z(&reply->json, "status", "fail");
    jout_put_z(&reply->json, "msg", request_chinese(r) ? "没有可解除的匹配" : "there is no match to dissolve");
    jout_end_object(&reply->json);
    return reply;
}

/* ---- login ---- */

struct login { struct wechat_mp *mp; struct wechat_logins *logins; struct span code; struct wechat_session session; };

static void login_call(void *carry, const struct worker *w)
{
    struct login *l = carry;
    wechat_login(l->logins, l->mp, w->arena, l->code, w->deadline_mono_ms, &l->session);
}

struct reply *login_prepare(const struct request *r, struct snap *s, struct errand *e)
{
    (void)s;
    struct diary_state *d = diary(r);
    if (!d->mp) return refuse(r, 503, "服务器未配置 wechat.appid 与 wechat.secret", "the server has no wechat.appid and wechat.secret in its settings");
    struct login *l = arena_zero(request_arena(r), sizeof *l);
    l->mp = d->mp;
    l->logins = d->logins;
    l->code = request_text(r, "js_code");
    errand_key(e, wechat_login_key(request_arena(r), l->code));
    errand_call(e, login_call, l);
    return NULL;
}

struct reply *login_apply(const struct request *r, void *carry, struct txn *t)
{
    const struct login *l = carry;
    const struct wechat_outcome *o = &l->session.outcome;
    if (o->fault == WECHAT_OUTAGE || o->fault == WECHAT_UNCERTAIN) return refuse(r, 502, "微信服务器暂时无法访问，请稍后再试", "WeChat's server cannot be reached, try again later");
    struct reply *reply = reply_new(r, 200);
    struct jout *out = &reply->json;
    jout_begin_object(out);
    jout_key(out, "data");
    jout_begin_object(out);
    if (o->fault == WECHAT_REFUSED) {                      /* passed through, with status 200, as the original did */
        jout_put_int(out, "errcode", o->errcode);
        jout_put(out, "errmsg", o->errmsg);
    } else {
        txn_do(t, &q_login, V_TEXT(l->session.openid), l->session.unionid.n ? V_TEXT(l->session.unionid) : V_NULL, V_INT(request_now(r)));
        const struct user *u = user_by_openid(txn_view(t), l->session.openid);
        if (!u) return diary_not_found(r);                 /* the store is out of order: the engine answers */
        if (u->banned) return diary_banned(r, u);
        struct span handle = handle_of(r, u);
        jout_put(out, "openid", handle);                   /* the client reads this one, the document names the other */
        jout_put(out, "openId", handle);
        jout_put(out, "session_key", session_new(r, t, u->id));    /* Weir's token, never WeChat's key */
    }
    jout_end_object(out);
    jout_end_object(out);
    return reply;
}
