/* apps/diary/check.c: WeChat's content check of what others may see, before the commit and without a transaction held. `risky` is refused; `review`, or WeChat out of reach, is stored and
 * looked at again by a deferred job, so that an outage of WeChat's stops nobody from writing. */
#include "apps/diary/moderation.h"

enum { CHECK_MS = 3000, AGAIN_MS = 30 * 1000 };

static const struct query q_diary = { "diary.check_diary", "SELECT e.title, e.content, u.openid, e.user_id FROM diary_entry e JOIN diary_user u ON u.id = e.user_id WHERE e.id = $1", 0 };
static const struct query q_message = { "diary.check_message", "SELECT '', m.content, u.openid, m.user_id FROM diary_message m JOIN diary_user u ON u.id = m.user_id WHERE m.room = $1 AND m.seq = $2", 0 };
static const struct query q_moderate = { "diary.moderate",
    "INSERT INTO diary_moderation (kind, user_id, room, target, reason, created_ms) VALUES ($1, $2, $3, $4, $5, $6)", 0 };
const struct query *const check_queries[] = { &q_diary, &q_message, &q_moderate, NULL };

void check_run(void *carry, const struct worker *w)
{
    struct checked *c = carry;
    struct wechat_verdict v = { 0 };
    int64_t deadline = clock_mono_ms() + CHECK_MS;
    wechat_msg_sec_check(c->mp, w->arena, &c->text, deadline < w->deadline_mono_ms ? deadline : w->deadline_mono_ms, &v);
    c->done = v.outcome.fault == WECHAT_OK;
    c->risky = c->done && v.suggest == WECHAT_RISKY;
    c->later = !c->done || v.suggest == WECHAT_REVIEW;
}

/* `checked` must be the first member of what is carried. */
void check_describe(const struct request *r, struct errand *e, struct checked *c, struct span openid, struct span title, struct span content)
{
    if (!diary(r)->mp || (!title.n && !content.n)) return;
    c->mp = diary(r)->mp;
    c->text = (struct wechat_text){ .openid = openid, .scene = WECHAT_SCENE_SOCIAL, .title = title, .content = content };
    errand_call(e, check_run, c);
}

struct reply *check_refusal(const struct request *r, const struct checked *c)
{
    return c->risky ? refuse(r, 400, "内容含有违规信息，未保存", "the content check found something that is not allowed; nothing was stored") : NULL;
}

void check_again_later(struct txn *t, const struct checked *c, const char *kind, int64_t id, struct span room)
{
    if (!c->later) return;
    struct buf b;
    struct jout out;
    buf_init(&b, 4096);
    jout_init(&out, &b);
    jout_begin_object(&out);
    jout_put_z(&out, "kind", kind);
    jout_put_int(&out, "id", id);
    jout_put(&out, "room", room);
    jout_end_object(&out);
    struct span json = arena_copy(snap_arena(txn_view(t)), b.failed ? SPAN("{}") : buf_span(&b));
    buf_done(&b);
    txn_later(t, "diary.recheck", json, AGAIN_MS);
}

/* ---- the deferred job ---- */

struct recheck { struct checked checked; int64_t user_id; };

static const struct row *target(const struct request *r, struct snap *s)
{
    bool message = span_is_z(request_text(r, "kind"), "message");
    return message ? snap_one(s, &q_message, V_TEXT(request_text(r, "room")), V_INT(request_int(r, "id"))) : snap_one(s, &q_diary, V_INT(request_int(r, "id")));
}

struct reply *recheck_prepare(const struct request *r, struct snap *s, struct errand *e)
{
    const struct row *row = target(r, s);
    if (!row || !diary(r)->mp) return status_success(r);           /* deleted meanwhile */
    struct recheck *c = arena_zero(request_arena(r), sizeof *c);
    c->user_id = row_int(row, 3);
    check_describe(r, e, &c->checked, row_text(row, 2), row_text(row, 0), row_text(row, 1));
    errand_carry(e, c);
    return NULL;
}

struct reply *recheck_apply(const struct request *r, void *carry, struct txn *t)
{
    const struct recheck *c = carry;
    if (!c->checked.done) return refuse(r, 503, "微信服务器暂时无法访问", "WeChat's server cannot be reached");
    if (!c->checked.risky && !c->checked.later) return status_success(r);
    bool message = span_is_z(request_text(r, "kind"), "message");
    struct span room = request_text(r, "room");
    if (c->checked.risky && message) message_hide(r, t, room, request_int(r, "id"));
    else if (c->checked.risky) diary_hide(t, request_int(r, "id"));
    txn_do(t, &q_moderate, V_TEXT(request_text(r, "kind")), V_INT(c->user_id), V_TEXT(room), V_INT(request_int(r, "id")),
           V_TEXT(c->checked.risky ? SPAN("content check: risky") : SPAN("content check: review")), V_INT(request_now(r)));
    return status_success(r);
}
