/* apps/absence/manager.c: /manager/: what managers see and decide. Only they come here (NEEDS_MANAGER); others are told 403.
 *
 * future and history are all requests after and before today; ?processed= narrows them. present tells who is permitted to be absent, ?all=1 everybody. next is the nearest day after today for which
 * somebody asked for leave or a rehearsal is planned. Who decides is the caller, whatever the body says. */
#include "apps/absence/absence_in.h"

#include <stdio.h>

enum { PAGE = 200 };
#define LAST_DAY "9999-99"

static const struct query q_list = { "absence.all",
    "SELECT " REQUEST_COLUMNS " WHERE (a.time_absence, a.id) > ($1, $2) AND a.time_absence < $3 AND a.deleted_ms IS NULL AND ($4 < 0 OR a.processed = $4) ORDER BY a.time_absence, a.id LIMIT 200", 0 };
static const struct query q_one = { "absence.one", "SELECT " REQUEST_COLUMNS " WHERE a.id = $1 AND a.deleted_ms IS NULL", 0 };
static const struct query q_decide = { "absence.decide", "UPDATE absence_request SET processed = 1, processor_id = $2, result = $3, permission = $4, changed_ms = $5 WHERE id = $1 AND deleted_ms IS NULL", 0 };
static const struct query q_absent = { "absence.absent",
    "SELECT m.name FROM absence_request a JOIN absence_member m ON m.id = a.member_id WHERE a.time_absence = $1 AND a.deleted_ms IS NULL AND a.permission = 1 ORDER BY m.id", 0 };
/* everybody: those of the list, and those who have left since and were permitted to be absent then */
static const struct query q_everybody = { "absence.everybody",
    "SELECT m.name, a.id FROM absence_member m LEFT JOIN absence_request a ON a.member_id = m.id AND a.time_absence = $1 AND a.deleted_ms IS NULL AND a.permission = 1"
    " WHERE m.retired_ms IS NULL OR a.id IS NOT NULL ORDER BY m.id", QUERY_SCANS };
static const struct query q_next_request = { "absence.next_request", "SELECT min(time_absence) FROM absence_request WHERE time_absence > $1 AND deleted_ms IS NULL", 0 };
static const struct query q_next_rehearsal = { "absence.next_rehearsal", "SELECT min(day) FROM absence_rehearsal WHERE day > $1", 0 };
static const struct query q_of_day = { "absence.of_day", "SELECT " REQUEST_COLUMNS " WHERE a.time_absence = $1 AND a.deleted_ms IS NULL ORDER BY a.id", 0 };
const struct query *const manager_queries[] = { &q_list, &q_one, &q_decide, &q_absent, &q_everybody, &q_next_request, &q_next_rehearsal, &q_of_day, NULL };

/* ---- lists, in pages ---- */

struct page { char day[DAY_BYTES], before[DAY_BYTES]; int64_t id, processed; };

static bool list_more(const struct request *r, struct snap *s, struct reply *reply, void *state)
{
    (void)r;
    struct page *page = state;
    struct rows rows = snap_all(s, &q_list, V_TEXT(span_of(page->day)), V_INT(page->id), V_TEXT(span_of(page->before)), V_INT(page->processed));
    return put_leaves(&reply->json, rows, PAGE, ORDER_MANAGER, page->day, &page->id);
}

static struct reply *list(const struct request *r, struct snap *s, struct page from)
{
    struct reply *reply = reply_new(r, 200);
    struct page *page = arena_take(request_arena(r), sizeof *page);
    *page = from;
    jout_begin_array(&reply->json);
    if (list_more(r, s, reply, page)) reply_stream(reply, list_more, page);
    return reply;
}

struct reply *manager_list(const struct request *r, struct snap *s) { return list(r, s, (struct page){ .before = LAST_DAY, .processed = -1 }); }

/* false: the parameter is neither true nor false */
static bool processed_wanted(const struct request *r, int64_t *out)
{
    bool wanted;
    *out = -1;
    if (!request_has(r, "processed")) return true;
    if (!truth_parse(request_text(r, "processed"), &wanted)) return false;
    *out = wanted;
    return true;
}

static struct reply *list_of_time(const struct request *r, struct snap *s, bool future)
{
    struct page page = { .before = LAST_DAY };
    char today[DAY_BYTES];
    today_of(r, today);
    if (!processed_wanted(r, &page.processed)) {
        struct faults f = { 0 };
        fault_add(&f, "processed", "Must be a valid boolean.");
        return fault_fields(r, &f);
    }
    memcpy(future ? page.day : page.before, today, DAY_BYTES);
    if (future) page.id = INT64_MAX;                  /* behind all of today */
    return list(r, s, page);
}

struct reply *manager_future(const struct request *r, struct snap *s) { return list_of_time(r, s, true); }
struct reply *manager_history(const struct request *r, struct snap *s) { return list_of_time(r, s, false); }

/* ---- one day ---- */

static void put_state(struct jout *out, struct span name, bool absent)
{
    jout_begin_object(out);
    jout_put(out, "name", name);
    jout_put_z(out, "state", absent ? "absent" : "present");
    jout_end_object(out);
}

struct reply *manager_present(const struct request *r, struct snap *s)
{
    char day[DAY_BYTES];
    bool all = false;
    if (!day_parse(request_text(r, "date"), day)) return fault_detail(r, 400, "Date has wrong format. Use one of these formats instead: YYYY-MM-DD.");
    if (request_has(r, "all") && !truth_parse(request_text(r, "all"), &all)) {
        struct faults f = { 0 };
        fault_add(&f, "all", "Must be a valid boolean.");
        return fault_fields(r, &f);
    }
    struct reply *reply = reply_new(r, 200);
    struct rows rows = all ? snap_all(s, &q_everybody, V_TEXT(span_of(day))) : snap_all(s, &q_absent, V_TEXT(span_of(day)));
    jout_begin_object(&reply->json);
    jout_put(&reply->json, "time", request_text(r, "date"));
    jout_key(&reply->json, "members");
    jout_begin_array(&reply->json);
    for (size_t i = 0; i < rows.n; i++) put_state(&reply->json, row_text(&rows.at[i], 0), !all || !row_null(&rows.at[i], 1));
    jout_end_array(&reply->json);
    jout_end_object(&reply->json);
    return reply;
}

static struct span day_next(const struct request *r, struct snap *s)
{
    char today[DAY_BYTES];
    today_of(r, today);
    const struct row *asked = snap_one(s, &q_next_request, V_TEXT(span_of(today))), *planned = snap_one(s, &q_next_rehearsal, V_TEXT(span_of(today)));
    struct span one = asked ? row_text(asked, 0) : SPAN(""), two = planned ? row_text(planned, 0) : SPAN("");
    if (!one.n || !two.n) return one.n ? one : two;
    return memcmp(one.p, two.p, DAY_BYTES - 1) < 0 ? one : two;
}

struct reply *manager_next(const struct request *r, struct snap *s)
{
    struct span day = day_next(r, s);
    struct rows rows = { 0 };
    if (day.n) rows = snap_all(s, &q_of_day, V_TEXT(day));
    struct reply *reply = reply_new(r, 200);
    struct jout *out = &reply->json;
    jout_begin_object(out);
    jout_key(out, "time");
    if (day.n) jout_text(out, day);
    else jout_null(out);
    for (int section = 0; section < SECTIONS; section++) {
        jout_key(out, section_groups[section]);
        jout_begin_array(out);
        for (size_t i = 0; i < rows.n; i++) {
            if (!span_is_z(row_text(&rows.at[i], R_SECTION), section_names[section])) continue;
            jout_begin_object(out);
            put_leave(out, &rows.at[i], ORDER_NEXT);
            jout_end_object(out);
        }
        jout_end_array(out);
    }
    jout_end_object(out);
    return reply;
}

/* ---- deciding ---- */

struct verdict { struct span result; bool has_permission, permission; };      /* result.p NULL: not given */

/* true, false, 1, 0 as JSON has them, or a word */
static bool permission_read(const struct request *r, bool *out)
{
    const json_t *v = request_json(r, "permission");
    if (!v || json_is_string(v)) return truth_parse(v ? json_span(v) : request_text(r, "permission"), out);
    *out = json_is_true(v) || (json_is_integer(v) && json_integer_value(v) == 1);
    return json_is_boolean(v) || (json_is_integer(v) && (json_integer_value(v) == 0 || json_integer_value(v) == 1));
}

static struct reply *verdict_read(const struct request *r, bool all, struct verdict *out)
{
    struct faults f = { 0 };
    *out = (struct verdict){ .has_permission = all };              /* a form's box that is not ticked is not sent */
    if (request_has(r, "result")) {
        out->result = text_trim(request_text(r, "result"));
        if (!field_is_text(r, "result")) fault_add(&f, "result", "Not a valid string.");
        else if (!out->result.n) fault_add(&f, "result", "This field may not be blank.");
        else if (utf8_count(out->result) > REASON_CHARS) fault_add(&f, "result", "Ensure this field has no more than 300 characters.");
    } else if (all) fault_add(&f, "result", "This field is required.");
    if (request_has(r, "permission")) {
        out->has_permission = true;
        if (!permission_read(r, &out->permission)) fault_add(&f, "permission", "Must be a valid boolean.");
    }
    return f.n ? fault_fields(r, &f) : NULL;
}

static const struct row *named(const struct request *r, struct txn *t)
{
    int64_t id;
    return path_id(r, &id) ? txn_one(t, &q_one, V_INT(id)) : NULL;
}

static struct reply *decide(const struct request *r, struct txn *t, bool all)
{
    struct verdict v;
    const struct row *row = named(r, t);
    if (!row) return absence_not_found(r);
    struct reply *refusal = verdict_read(r, all, &v);
    if (refusal) return refusal;
    bool decided = v.result.p || v.has_permission;
    if (decided) {
        struct span before = leave_record(r, row);
        int64_t id = row_int(row, R_ID), permission = v.has_permission ? v.permission : row_int(row, R_PERMISSION);
        txn_do(t, &q_decide, V_INT(id), V_INT(me(r)->id), V_TEXT(v.result.p ? v.result : row_text(row, R_RESULT)), V_INT(permission), V_INT(request_now(r)));
        row = named(r, t);
        if (!row) return absence_not_found(r);
        absence_audit(r, t, "decide", "request", id, row_text(row, R_APPLIER), before, leave_record(r, row));
        notify_decision(r, t, row);
    }
    struct reply *reply = reply_new(r, 200);
    jout_begin_object(&reply->json);
    put_leave(&reply->json, row, ORDER_MANAGER);
    jout_put_z(&reply->json, "msg", !decided ? (request_chinese(r) ? "没有改动" : "nothing was changed") : request_chinese(r) ? "已处理" : "processed");
    jout_end_object(&reply->json);
    return reply;
}

struct reply *manager_put(const struct request *r, struct txn *t) { return decide(r, t, true); }
struct reply *manager_patch(const struct request *r, struct txn *t) { return decide(r, t, false); }

struct reply *manager_delete(const struct request *r, struct txn *t)
{
    const struct row *row = named(r, t);
    if (!row) return absence_not_found(r);
    leave_remove(r, t, row);
    return reply_new(r, 204);
}
