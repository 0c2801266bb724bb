/* apps/diary/entries.c: diaries: write (with emotion and match), read, list, edit, delete. */
#include "apps/diary/diary_in.h"

static const struct query q_new_user = { "diary.entry_new_user", "INSERT INTO diary_user (openid, created_ms) VALUES ($1, $2) ON CONFLICT (openid) DO NOTHING", 0 };
static const struct query q_insert = { "diary.entry_insert",
    "INSERT INTO diary_entry (user_id, title, content, emotion, p, created_ms, edited_ms) VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id", QUERY_INSERTS };
/* user $2 = 0: anybody's, as `open` has it */
static const struct query q_get = { "diary.entry_get", "SELECT id, title, content, emotion, created_ms, user_id, hidden FROM diary_entry WHERE id = $1 AND ($2 = 0 OR user_id = $2)", 0 };
static const struct query q_edit = { "diary.entry_edit",
    "UPDATE diary_entry SET title = $3, content = $4, emotion = $5, p = $6, edited_ms = $7 WHERE id = $1 AND ($2 = 0 OR user_id = $2)", 0 };
static const struct query q_delete = { "diary.entry_delete", "DELETE FROM diary_entry WHERE id = $1 AND ($2 = 0 OR user_id = $2)", 0 };
static const struct query q_page = { "diary.entry_page", "SELECT id, title, content, emotion, created_ms FROM diary_entry WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT 50", 0 };
const struct query *const entry_queries[] = { &q_new_user, &q_insert, &q_get, &q_edit, &q_delete, &q_page, NULL };

enum { SHOWN_CHARS = 100 };

/* An untitled diary shows the beginning of its content as its title. */
struct span shown_title(struct span title, struct span content) { return title.n ? title : utf8_head(content, SHOWN_CHARS); }

static void put_date(const struct request *r, struct jout *out, int64_t ms)
{
    char text[20];
    zone_format(request_zone(r), ms, text);
    jout_put(out, "publish_date", span_from(text, 10));
}

void put_diary_row(const struct request *r, struct jout *out, const struct row *row, const struct user *owner, bool with_content)
{
    struct span title = row_text(row, 1), content = utf8_head(row_text(row, 2), SHOWN_CHARS);      /* cheaper than substr() in the query */
    jout_begin_object(out);
    jout_put(out, "diary_id", diary_id_out(r, owner->id, owner->generation, row_int(row, 0)));
    jout_put(out, "title", title.n ? title : content);
    if (with_content || !title.n) jout_put(out, "content", content);
    jout_put_int_text(out, "emotion", row_int(row, 3));
    put_date(r, out, row_int(row, 4));
    jout_end_object(out);
}

/* ---- writing ---- */

struct draft { struct checked checked; struct emotion emotion; struct match_vector v; unsigned char p[16]; const struct user *partner; };

/* The feeling is told before the writer's turn: it needs no transaction. */
static struct draft *draft_new(const struct request *r)
{
    struct draft *d = arena_zero(request_arena(r), sizeof *d);
    feel(diary(r), request_text(r, "title"), request_text(r, "content"), &d->emotion);
    d->v = salient_vector(diary(r), &d->emotion);
    for (size_t i = 0; i < EMOTION_CODES; i++) {
        d->p[2 * i] = (unsigned char)(d->emotion.p[i] >> 8);
        d->p[2 * i + 1] = (unsigned char)d->emotion.p[i];
    }
    return d;
}

static struct draft *prepare(const struct request *r, struct errand *e, const struct user *author)
{
    struct draft *d = draft_new(r);
    errand_carry(e, d);
    if (diary(r)->check && author) check_describe(r, e, &d->checked, author->openid, request_text(r, "title"), request_text(r, "content"));
    return d;
}

struct reply *write_prepare(const struct request *r, struct snap *s, struct errand *e)
{
    struct draft *d = prepare(r, e, me(r));
    if (me(r) && me(r)->partner_id) d->partner = user_by_id(s, me(r)->partner_id);      /* read here, it costs the writer nothing */
    return NULL;
}

static void put_emotion(struct reply *reply, int code)
{
    struct jout *out = &reply->json;
    jout_begin_object(out);
    jout_put_z(out, "status", "success");
    jout_key(out, "data");
    jout_begin_object(out);
    jout_put_int_text(out, "emotion", code);
}

static void end_emotion(struct reply *reply)
{
    jout_end_object(&reply->json);
    jout_end_object(&reply->json);
}

struct reply *write_apply(const struct request *r, void *carry, struct txn *t)
{
    struct draft *d = carry;
    struct reply *refusal = check_refusal(r, &d->checked);
    if (refusal) return refusal;
    const struct user *author = me(r);
    if (!author) {                                                 /* `open`: an unknown openId is a new user */
        txn_do(t, &q_new_user, V_TEXT(request_text(r, "openId")), V_INT(request_now(r)));
        author = user_by_openid(txn_view(t), request_text(r, "openId"));
        if (!author) return diary_not_found(r);
    }
    /* as the original: matched before the new diary is stored; who has a partner keeps him and is not looked for */
    bool looks = !author->partner_id;
    int64_t found = looks ? matching_find(r, t, author->id, d->emotion.code, &d->v) : 0;
    int64_t id = txn_insert(t, &q_insert, V_INT(author->id), V_TEXT(request_text(r, "title")), V_TEXT(request_text(r, "content")), V_INT(d->emotion.code),
                                    V_BLOB(span_from(d->p, 16)), V_INT(request_now(r)));
    if (id && looks && !found) matching_enter(r, t, id, author->id, request_now(r), d->emotion.code, &d->v);
    if (id) check_again_later(t, &d->checked, "diary", id, SPAN(""));
    if (found) author = user_by_id(txn_view(t), author->id);
    struct reply *reply = reply_new(r, 200);
    put_emotion(reply, d->emotion.code);
    if (d->partner && author && d->partner->id == author->partner_id) put_partner(r, &reply->json, author, d->partner);
    else put_match(r, txn_view(t), &reply->json, author);
    end_emotion(reply);
    return reply;
}

struct reply *edit_prepare(const struct request *r, struct snap *s, struct errand *e)
{
    int64_t id;
    const struct row *row = diary_id_in(r, &id) ? snap_one(s, &q_get, V_INT(id), V_INT(my_id(r))) : NULL;
    if (!row) return diary_not_found(r);
    const struct user *author = user_by_id(s, row_int(row, 5));
    if (author && author->banned) return diary_banned(r, author);      /* in `open` whoever edits says nothing of himself */
    prepare(r, e, author);
    return NULL;
}

struct reply *edit_apply(const struct request *r, void *carry, struct txn *t)
{
    struct draft *d = carry;
    int64_t id;
    struct reply *refusal = check_refusal(r, &d->checked);
    if (refusal) return refusal;
    const struct row *row = diary_id_in(r, &id) ? txn_one(t, &q_get, V_INT(id), V_INT(my_id(r))) : NULL;
    if (!row) return diary_not_found(r);
    const struct user *author = user_by_id(txn_view(t), row_int(row, 5));
    if (author && author->banned) return diary_banned(r, author);
    txn_do(t, &q_edit, V_INT(id), V_INT(my_id(r)), V_TEXT(request_text(r, "title")), V_TEXT(request_text(r, "content")), V_INT(d->emotion.code), V_BLOB(span_from(d->p, 16)), V_INT(request_now(r)));
    /* indexed anew, never matched again by an edit */
    matching_leave_diary(t, id);
    if (author && !author->partner_id && !row_int(row, 6)) matching_enter(r, t, id, author->id, row_int(row, 4), d->emotion.code, &d->v);
    check_again_later(t, &d->checked, "diary", id, SPAN(""));
    struct reply *reply = reply_new(r, 200);
    put_emotion(reply, d->emotion.code);
    put_match(r, txn_view(t), &reply->json, author);
    end_emotion(reply);
    return reply;
}

struct reply *delete_diary(const struct request *r, struct txn *t)
{
    int64_t id;
    if (!diary_id_in(r, &id)) return diary(r)->access == ACCESS_OPEN ? refuse(r, 400, "diaryId 必须是整数", "diaryId must be a whole number") : diary_not_found(r);
    if (txn_do(t, &q_delete, V_INT(id), V_INT(my_id(r)))) matching_leave_diary(t, id);
    return status_success(r);                                      /* also for one that does not exist, as the contract has it */
}

/* ---- reading ---- */

/* In `open` a diary is anybody's who names it; one that was hidden is its author's, who says so by his openId. */
static bool is_his(const struct request *r, struct snap *s, int64_t author_id)
{
    if (my_id(r)) return my_id(r) == author_id;
    const struct user *u = request_has(r, "openId") ? user_by_openid(s, request_text(r, "openId")) : NULL;
    return u && u->id == author_id;
}

struct reply *get_diary(const struct request *r, struct snap *s)
{
    int64_t id;
    /* the document itself sends get_user_diary's form here: with an openId and no diaryId it is the list that is meant */
    if (!request_has(r, "diaryId")) return me(r) ? get_user_diary(r, s) : refuse(r, 400, "参数 diaryId 缺失", "parameter diaryId is missing");
    if (!diary_id_in(r, &id)) return diary_not_found(r);
    const struct row *row = snap_one(s, &q_get, V_INT(id), V_INT(my_id(r)));
    if (!row || (row_int(row, 6) && !is_his(r, s, row_int(row, 5)))) return diary_not_found(r);
    struct reply *reply = reply_new(r, 200);
    struct jout *out = &reply->json;
    struct span title = row_text(row, 1), content = row_text(row, 2);
    jout_begin_object(out);
    jout_key(out, "data");
    jout_begin_object(out);
    jout_key(out, "diary");
    jout_begin_object(out);
    jout_put(out, "diary_id", diary_id_out(r, row_int(row, 5), me(r) ? me(r)->generation : 0, id));
    jout_put(out, "title", shown_title(title, content));
    jout_put(out, "content", content);
    jout_put_int_text(out, "emotion", row_int(row, 3));
    put_date(r, out, row_int(row, 4));
    jout_end_object(out);
    jout_end_object(out);
    jout_end_object(out);
    return reply;
}

struct list { int64_t after; };

static bool more_diaries(const struct request *r, struct snap *s, struct reply *reply, void *state)
{
    struct list *l = state;
    struct rows rows = snap_all(s, &q_page, V_INT(me(r)->id), V_INT(l->after));
    for (size_t i = 0; i < rows.n; i++) {
        put_diary_row(r, &reply->json, &rows.at[i], me(r), false);
        l->after = row_int(&rows.at[i], 0);
    }
    if (rows.n == 50) return true;
    jout_end_array(&reply->json);
    jout_end_object(&reply->json);
    jout_end_object(&reply->json);
    return false;
}

/* All of them, oldest first, however many: in pages, each with a view of its own. */
struct reply *get_user_diary(const struct request *r, struct snap *s)
{
    struct reply *reply = reply_new(r, 200);
    struct list *l = arena_zero(request_arena(r), sizeof *l);
    jout_begin_object(&reply->json);
    jout_key(&reply->json, "data");
    jout_begin_object(&reply->json);
    jout_key(&reply->json, "diaries");
    jout_begin_array(&reply->json);
    if (more_diaries(r, s, reply, l)) reply_stream(reply, more_diaries, l);
    return reply;
}
