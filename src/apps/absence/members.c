/* apps/absence/members.c: the name list: as a file for the operator (`weir namelist`), and one by one for managers (/api/absence/members).
 *
 * Nobody is ever removed: who leaves is retired, cannot log in and is in no list, but what he asked for stays. The same name put in again is the same person with the same binding, but must log in anew. Who has a new phone, or
 * gave his name to somebody else's, is unbound: the next login binds anew, and all his tokens and his calendar address are void. */
#include "apps/absence/absence_in.h"

#include "apps/absence/namelist.h"
#include "wire/csv.h"

#define LIST_COLUMNS "id, name, section, manager, openid, retired_ms FROM absence_member"
enum { L_ID, L_NAME, L_SECTION, L_MANAGER, L_OPENID, L_RETIRED };

static const struct query q_all = { "absence.members", "SELECT " LIST_COLUMNS " WHERE $1 = 1 OR retired_ms IS NULL ORDER BY id LIMIT 100000", QUERY_SCANS };
static const struct query q_named = { "absence.member_named", "SELECT " LIST_COLUMNS " WHERE name = $1", 0 };
static const struct query q_add = { "absence.member_add", "INSERT INTO absence_member (name, section, manager, created_ms) VALUES ($1, $2, $3, $4) RETURNING id", QUERY_INSERTS };
static const struct query q_set = { "absence.member_set", "UPDATE absence_member SET section = $2, manager = $3, retired_ms = NULL WHERE id = $1", 0 };
static const struct query q_retire = { "absence.member_retire", "UPDATE absence_member SET retired_ms = $2, generation = generation + 1, feed = NULL WHERE id = $1", 0 };
static const struct query q_unbind = { "absence.member_unbind", "UPDATE absence_member SET openid = NULL, unionid = NULL, bound_ms = NULL, generation = generation + 1, feed = NULL WHERE id = $1", 0 };
static const struct query q_managers = { "absence.other_managers", "SELECT count(*) FROM absence_member WHERE manager = 1 AND retired_ms IS NULL AND id <> $1", QUERY_SCANS };
const struct query *const member_queries[] = { &q_all, &q_named, &q_add, &q_set, &q_retire, &q_unbind, &q_managers, NULL };

/* ---- showing ---- */

static void put_member(struct jout *out, const struct row *row)
{
    jout_begin_object(out);
    jout_put_int(out, "id", row_int(row, L_ID));
    jout_put(out, "name", row_text(row, L_NAME));
    jout_put(out, "section", row_text(row, L_SECTION));
    jout_put_bool(out, "manager", row_int(row, L_MANAGER) != 0);
    jout_put_bool(out, "bound", !row_null(row, L_OPENID));
    jout_put_bool(out, "retired", !row_null(row, L_RETIRED));
    jout_end_object(out);
}

static struct span record(const struct request *r, const struct row *row)
{
    struct buf b;
    struct jout out;
    buf_init(&b, 8192);
    jout_init(&out, &b);
    put_member(&out, row);
    return buf_into_arena(r, &b);
}

static struct reply *list(const struct request *r, struct snap *s, bool retired_too)
{
    struct rows rows = snap_all(s, &q_all, V_INT(retired_too));
    struct reply *reply = reply_api(r);
    jout_begin_object(&reply->json);
    jout_key(&reply->json, "members");
    jout_begin_array(&reply->json);
    for (size_t i = 0; i < rows.n; i++) put_member(&reply->json, &rows.at[i]);
    jout_end_array(&reply->json);
    jout_end_object(&reply->json);
    reply_api_end(reply);
    return reply;
}

static bool flag(const struct request *r, const char *name, bool *out)      /* false: neither true nor false */
{
    const json_t *v = request_json(r, name);
    *out = v && json_is_true(v);
    if (!request_has(r, name) || (v && json_is_boolean(v))) return true;
    return truth_parse(v && json_is_string(v) ? json_span(v) : request_text(r, name), out);
}

static struct reply *no_flag(const struct request *r, const char *name)
{
    struct arena *a = request_arena(r);
    return refuse(r, 400, arena_printf(a, "参数 %s 只能是 true 或 false", name).p, arena_printf(a, "parameter %s is true or false", name).p);
}

struct reply *members_get(const struct request *r, struct snap *s)
{
    bool all;
    return flag(r, "all", &all) ? list(r, s, all) : no_flag(r, "all");
}

struct reply *namelist_get(const struct request *r, struct snap *s) { return list(r, s, true); }

struct reply *namelist_csv(const struct request *r, struct snap *s)
{
    struct rows rows = snap_all(s, &q_all, V_INT(0));
    struct reply *reply = reply_text(r, 200, "text/csv; charset=utf-8", SPAN(CSV_BOM "name,section,manager\r\n"));
    for (size_t i = 0; i < rows.n; i++)
        csv_write(&reply->body, (struct span[]){ row_text(&rows.at[i], L_NAME), row_text(&rows.at[i], L_SECTION), row_int(&rows.at[i], L_MANAGER) ? SPAN("yes") : SPAN("no") }, 3);
    return reply;
}

/* ---- changing ---- */

enum stored { STORED_ADDED, STORED_UPDATED, STORED_REVIVED, STORED_SAME, STORED_KINDS };

static enum stored store(const struct request *r, struct txn *t, const struct listed *m)
{
    struct span section = span_of(section_names[m->section]);
    const struct row *row = txn_one(t, &q_named, V_TEXT(m->name));
    if (!row) {
        int64_t id = txn_insert(t, &q_add, V_TEXT(m->name), V_TEXT(section), V_INT(m->manager), V_INT(request_now(r)));
        row = txn_one(t, &q_named, V_TEXT(m->name));
        if (row) absence_audit(r, t, "add", "member", id, m->name, SPAN(""), record(r, row));
        return STORED_ADDED;
    }
    bool revived = !row_null(row, L_RETIRED);
    if (!revived && span_is(row_text(row, L_SECTION), section) && row_int(row, L_MANAGER) == m->manager) return STORED_SAME;
    struct span before = record(r, row);
    txn_do(t, &q_set, V_INT(row_int(row, L_ID)), V_TEXT(section), V_INT(m->manager));
    row = txn_one(t, &q_named, V_TEXT(m->name));
    if (row) absence_audit(r, t, revived ? "revive" : "change", "member", row_int(row, L_ID), m->name, before, record(r, row));
    return revived ? STORED_REVIVED : STORED_UPDATED;
}

static void retire(const struct request *r, struct txn *t, const struct row *row)
{
    txn_do(t, &q_retire, V_INT(row_int(row, L_ID)), V_INT(request_now(r)));
    absence_audit(r, t, "retire", "member", row_int(row, L_ID), row_text(row, L_NAME), record(r, row), SPAN(""));
}

static void unbind(const struct request *r, struct txn *t, const struct row *row)
{
    txn_do(t, &q_unbind, V_INT(row_int(row, L_ID)));
    absence_audit(r, t, "unbind", "member", row_int(row, L_ID), row_text(row, L_NAME), SPAN(""), SPAN(""));
}

static struct reply *nobody(const struct request *r) { return refuse(r, 404, "名单里没有这个人", "nobody of that name is in the list"); }

static struct reply *told(const struct request *r, struct txn *t, struct span name)
{
    const struct row *row = txn_one(t, &q_named, V_TEXT(name));
    struct reply *reply = reply_api(r);
    if (row) put_member(&reply->json, row);
    else jout_null(&reply->json);
    reply_api_end(reply);
    return reply;
}

/* A list that nobody manages can only be mended on the server. */
static struct reply *last_manager(const struct request *r, struct txn *t, const struct row *row)
{
    if (!row_int(row, L_MANAGER) || !row_null(row, L_RETIRED)) return NULL;
    const struct row *others = txn_one(t, &q_managers, V_INT(row_int(row, L_ID)));
    return others && row_int(others, 0) > 0 ? NULL : refuse(r, 409, "这是最后一位管理员：先指定另一位", "this is the last manager: name another one first");
}

struct reply *members_post(const struct request *r, struct txn *t)
{
    struct listed m = { .name = text_trim(request_text(r, "name")) };
    const char *fault = name_fault(m.name);
    if (fault) return refuse(r, 400, "名字无效：1 到 20 个字，不含控制字符和看不见的字符，不以 = + - @ ' 开头", fault);
    if (!section_parse(text_trim(request_text(r, "section")), &m.section)) return refuse(r, 400, "声部只能是 string、wind 或 percussion", "section is string, wind or percussion");
    if (!flag(r, "manager", &m.manager)) return no_flag(r, "manager");
    const struct row *row = txn_one(t, &q_named, V_TEXT(m.name));
    if (row && row_null(row, L_RETIRED)) return refuse(r, 409, "名单里已有这个名字：要修改请用 PUT", "the name is in the list already: change it by PUT");
    store(r, t, &m);
    return told(r, t, m.name);
}

struct reply *members_put(const struct request *r, struct txn *t)
{
    bool manager, take_off, given = request_has(r, "manager");
    const struct row *row = txn_one(t, &q_named, V_TEXT(text_trim(request_text(r, "name"))));
    if (!row || !row_null(row, L_RETIRED)) return nobody(r);
    if (!flag(r, "manager", &manager)) return no_flag(r, "manager");
    if (!flag(r, "unbind", &take_off)) return no_flag(r, "unbind");
    struct listed m = { .name = row_text(row, L_NAME), .manager = given ? manager : row_int(row, L_MANAGER) != 0 };
    if (!section_parse(request_has(r, "section") ? text_trim(request_text(r, "section")) : row_text(row, L_SECTION), &m.section))
        return refuse(r, 400, "声部只能是 string、wind 或 percussion", "section is string, wind or percussion");
    if (!m.manager) {
        struct reply *refusal = last_manager(r, t, row);
        if (refusal) return refusal;
    }
    store(r, t, &m);
    if (take_off) unbind(r, t, row);
    return told(r, t, m.name);
}

struct reply *members_delete(const struct request *r, struct txn *t)
{
    struct span name = text_trim(request_text(r, "name"));
    const struct row *row = txn_one(t, &q_named, V_TEXT(name));
    if (!row || !row_null(row, L_RETIRED)) return nobody(r);
    struct reply *refusal = last_manager(r, t, row);
    if (refusal) return refusal;
    retire(r, t, row);
    return told(r, t, name);
}

struct reply *namelist_unbind(const struct request *r, struct txn *t)
{
    struct span name = text_trim(request_text(r, "name"));
    const struct row *row = txn_one(t, &q_named, V_TEXT(name));
    if (!row) return nobody(r);
    unbind(r, t, row);
    return told(r, t, name);
}

/* ---- the file ---- */

static int64_t retire_missing(const struct request *r, struct txn *t, const struct listed *list, size_t n)
{
    struct names kept;
    int64_t count = 0;
    names_init(&kept, request_arena(r), n);
    for (size_t i = 0; i < n; i++) names_add(&kept, list[i].name);
    struct rows rows = txn_all(t, &q_all, V_INT(0));
    for (size_t i = 0; i < rows.n; i++) {
        if (names_has(&kept, row_text(&rows.at[i], L_NAME))) continue;
        struct arena_mark mark = arena_mark(request_arena(r));
        retire(r, t, &rows.at[i]);
        arena_rewind(request_arena(r), mark);
        count++;
    }
    return count;
}

struct reply *namelist_import(const struct request *r, struct txn *t)
{
    static const char *const words[STORED_KINDS] = { "added", "updated", "revived", "unchanged" };
    struct listed *list;
    struct buf faults;
    size_t n;
    int64_t counts[STORED_KINDS] = { 0 }, retired = 0;
    bool replace;
    if (!flag(r, "replace", &replace)) return no_flag(r, "replace");
    buf_init(&faults, 64 * 1024);
    bool good = namelist_read(request_arena(r), request_text(r, "csv"), request_chinese(r), &list, &n, &faults);
    struct span why = arena_copy(request_arena(r), buf_span(&faults));
    buf_done(&faults);
    if (!good) return refuse(r, 400, why.p, NULL);
    if (n == 0) return refuse(r, 400, "名单是空的", "there are no names in it");
    for (size_t i = 0; i < n; i++) {
        struct arena_mark mark = arena_mark(request_arena(r));      /* a long list would fill the arena with what is needed for a moment */
        counts[store(r, t, &list[i])]++;
        arena_rewind(request_arena(r), mark);
    }
    if (replace) retired = retire_missing(r, t, list, n);
    struct reply *reply = reply_api(r);
    jout_begin_object(&reply->json);
    for (int i = 0; i < STORED_KINDS; i++) jout_put_int(&reply->json, words[i], counts[i]);
    jout_put_int(&reply->json, "retired", retired);
    jout_end_object(&reply->json);
    reply_api_end(reply);
    return reply;
}
