/* apps/absence/leave.c: /absence/: a member's own requests for leave: list, file, change, delete. What is not his is 404.
 *
 * Faults are told in the order validation, date, duplicate, chances (decision 32); all that is asked is asked in the transaction that writes. Chances: the costs of all rows of the term, tombstones too, may
 * not exceed the bound of his section. The inserting statement says so itself, so where writers run side by side (PostgreSQL, SERIALIZABLE) the rule holds as well. A day before term_start belongs to no
 * term that we know; for it count the rows before term_start whose day is still to come.
 *
 * What is spent stays spent: who changes a request whose day has come gets nothing back by a cheaper kind, and moving it to another day leaves a tombstone behind. */
#include "apps/absence/absence_in.h"

#include <stdio.h>

enum { PAGE = 200 };
#define LAST_DAY "9999-99"                          /* behind every day */

static const struct query q_list = { "absence.mine", "SELECT " REQUEST_COLUMNS " WHERE a.member_id = $1 AND a.deleted_ms IS NULL AND (a.time_absence, a.id) > ($2, $3) ORDER BY a.time_absence, a.id LIMIT 200", 0 };
static const struct query q_one = { "absence.my_one", "SELECT " REQUEST_COLUMNS " WHERE a.id = $1 AND a.member_id = $2 AND a.deleted_ms IS NULL", 0 };
static const struct query q_day = { "absence.my_day", "SELECT id FROM absence_request WHERE member_id = $1 AND time_absence = $2 AND deleted_ms IS NULL", 0 };
static const struct query q_used = { "absence.used", "SELECT coalesce(sum(cost), 0) FROM absence_request WHERE member_id = $1 AND time_absence >= $2 AND time_absence < $3 AND id <> $4", 0 };
static const struct query q_insert = { "absence.insert",
    "INSERT INTO absence_request (member_id, reason, time_absence, time_apply, type, cost, result, created_ms, changed_ms) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $8"
    " WHERE (SELECT coalesce(sum(b.cost), 0) FROM absence_request b WHERE b.member_id = $1 AND b.time_absence >= $9 AND b.time_absence < $10) + $6 <= $11"
    " ON CONFLICT (member_id, time_absence) WHERE deleted_ms IS NULL DO NOTHING RETURNING id", QUERY_INSERTS };
static const struct query q_update = { "absence.update",
    "UPDATE absence_request SET reason = $3, time_absence = $4, type = $5, cost = $6, processed = 0, processor_id = NULL, result = $7, permission = 0, changed_ms = $8 WHERE id = $1 AND member_id = $2 AND deleted_ms IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM absence_request b WHERE b.member_id = $2 AND b.time_absence = $4 AND b.deleted_ms IS NULL AND b.id <> $1)", 0 };
static const struct query q_leave_tombstone = { "absence.leave_tombstone",
    "INSERT INTO absence_request (member_id, reason, time_absence, time_apply, type, cost, processed, processor_id, result, permission, created_ms, changed_ms, deleted_ms)"
    " SELECT member_id, reason, time_absence, time_apply, type, cost, processed, processor_id, result, permission, created_ms, changed_ms, $2 FROM absence_request WHERE id = $1", 0 };
static const struct query q_delete = { "absence.delete", "DELETE FROM absence_request WHERE id = $1", 0 };
static const struct query q_bury = { "absence.bury", "UPDATE absence_request SET deleted_ms = $2, changed_ms = $2 WHERE id = $1", 0 };
const struct query *const leave_queries[] = { &q_list, &q_one, &q_day, &q_used, &q_insert, &q_update, &q_leave_tombstone, &q_delete, &q_bury, NULL };

void today_of(const struct request *r, char out[DAY_BYTES]) { day_of(absence(r)->zone, request_now(r), 0, out); }

bool path_id(const struct request *r, int64_t *out)
{
    struct span text = request_text(r, "id");
    return text.n > 0 && text.n < 19 && text.p[0] != '-' && span_to_i64(text, out) && *out > 0;
}

/* ---- showing ---- */

static void put_processor(struct jout *out, const struct row *row)
{
    jout_key(out, "processor");
    if (row_null(row, R_PROCESSOR)) jout_null(out);
    else jout_text(out, row_text(row, R_PROCESSOR));
}

void put_leave(struct jout *out, const struct row *row, enum order order)
{
    bool permission = row_int(row, R_PERMISSION) != 0;
    jout_put_int(out, "id", row_int(row, R_ID));
    jout_put(out, "applier", row_text(row, R_APPLIER));
    put_processor(out, row);
    if (order == ORDER_MEMBER) {
        jout_put(out, "result", row_text(row, R_RESULT));
        jout_put_bool(out, "permission", permission);
    }
    jout_put(out, "reason", row_text(row, R_REASON));
    jout_put(out, "time_absence", row_text(row, R_DAY));
    if (order == ORDER_NEXT) jout_put(out, "type", row_text(row, R_TYPE));
    jout_put(out, "time_apply", row_text(row, R_APPLIED));
    if (order != ORDER_MEMBER) {
        jout_put(out, "result", row_text(row, R_RESULT));
        jout_put_bool(out, "permission", permission);
    }
    if (order != ORDER_NEXT) jout_put(out, "type", row_text(row, R_TYPE));
}

static struct reply *object(const struct request *r, int status, const struct row *row)
{
    struct reply *reply = reply_new(r, status);
    jout_begin_object(&reply->json);
    put_leave(&reply->json, row, ORDER_MEMBER);
    jout_end_object(&reply->json);
    return reply;
}

struct span leave_record(const struct request *r, const struct row *row)
{
    struct buf b;
    struct jout out;
    buf_init(&b, 16 * 1024);
    jout_init(&out, &b);
    jout_begin_object(&out);
    put_leave(&out, row, ORDER_MEMBER);
    jout_put_bool(&out, "processed", row_int(row, R_PROCESSED) != 0);
    jout_end_object(&out);
    return buf_into_arena(r, &b);
}

bool put_leaves(struct jout *out, struct rows rows, size_t page, enum order order, char day[DAY_BYTES], int64_t *id)
{
    for (size_t i = 0; i < rows.n; i++) {
        jout_begin_object(out);
        put_leave(out, &rows.at[i], order);
        jout_end_object(out);
    }
    if (rows.n < page) {
        jout_end_array(out);
        return false;
    }
    snprintf(day, DAY_BYTES, "%.*s", SPAN_ARGS(row_text(&rows.at[rows.n - 1], R_DAY)));
    *id = row_int(&rows.at[rows.n - 1], R_ID);
    return true;
}

/* A long list goes out in pages, each read in a view of its own behind the last row of the one before. */
struct page { char day[DAY_BYTES]; int64_t id; };

static bool list_more(const struct request *r, struct snap *s, struct reply *reply, void *state)
{
    struct page *page = state;
    struct rows rows = snap_all(s, &q_list, V_INT(me(r)->id), V_TEXT(span_of(page->day)), V_INT(page->id));
    return put_leaves(&reply->json, rows, PAGE, ORDER_MEMBER, page->day, &page->id);
}

struct reply *leave_list(const struct request *r, struct snap *s)
{
    struct reply *reply = reply_new(r, 200);
    struct page *page = arena_zero(request_arena(r), sizeof *page);
    jout_begin_array(&reply->json);
    if (list_more(r, s, reply, page)) reply_stream(reply, list_more, page);
    return reply;
}

static const struct row *mine(const struct request *r, struct snap *s)
{
    int64_t id;
    return path_id(r, &id) ? snap_one(s, &q_one, V_INT(id), V_INT(me(r)->id)) : NULL;
}

struct reply *leave_get(const struct request *r, struct snap *s)
{
    const struct row *row = mine(r, s);
    return row ? object(r, 200, row) : absence_not_found(r);
}

/* ---- rules ---- */

struct wanted { struct span reason; char day[DAY_BYTES]; const struct kind *kind; };      /* reason.p NULL, day "", kind NULL: not given */

static struct reply *wanted_read(const struct request *r, bool all, struct wanted *out)
{
    struct faults f = { 0 };
    *out = (struct wanted){ .kind = NULL };
    if (request_has(r, "reason")) {
        out->reason = text_trim(request_text(r, "reason"));
        if (!field_is_text(r, "reason")) fault_add(&f, "reason", "Not a valid string.");
        else if (!out->reason.n) fault_add(&f, "reason", "This field may not be blank.");
        else if (utf8_count(out->reason) > REASON_CHARS) fault_add(&f, "reason", "Ensure this field has no more than 300 characters.");
    } else if (all) fault_add(&f, "reason", "This field is required.");
    if (request_has(r, "time_absence")) {
        if (!day_parse(request_text(r, "time_absence"), out->day)) fault_add(&f, "time_absence", "Date has wrong format. Use one of these formats instead: YYYY-MM-DD.");
    } else if (all) fault_add(&f, "time_absence", "This field is required.");
    if (request_has(r, "type")) {
        out->kind = leave_kind(text_trim(request_text(r, "type")));
        if (!field_is_text(r, "type")) fault_add(&f, "type", "Not a valid string.");
        else if (!out->kind) fault_add(&f, "type", arena_printf(request_arena(r), "\"%.*s\" is not a valid choice.", SPAN_ARGS(utf8_head(request_text(r, "type"), 100))).p);
    }
    return f.n ? fault_fields(r, &f) : NULL;
}

static struct reply *too_late(const struct request *r) { return fault_list(r, 400, "Time is less than one hour"); }
static struct reply *duplicated(const struct request *r) { return fault_msg(r, 400, "Duplicated absence"); }
static struct reply *used_up(const struct request *r) { return fault_msg(r, 403, "You have used up all of your chances."); }

static bool day_is_late(const struct request *r, const char *day)
{
    char earliest[DAY_BYTES];
    day_of(absence(r)->zone, request_now(r), absence(r)->notice_days, earliest);
    return strcmp(day, earliest) < 0;
}

/* From where to where the rows count together with one of this day. */
struct term { char from[DAY_BYTES], to[DAY_BYTES]; };

static struct term term_of(const struct request *r, const char *day)
{
    const struct absence_state *app = absence(r);
    struct term t = { .to = LAST_DAY };
    if (strcmp(day, app->term_start) >= 0) memcpy(t.from, app->term_start, DAY_BYTES);
    else {
        day_of(app->zone, request_now(r), 1, t.from);
        memcpy(t.to, app->term_start, DAY_BYTES);
    }
    return t;
}

static bool in_term(const struct term *t, const char *day) { return strcmp(day, t->from) >= 0 && strcmp(day, t->to) < 0; }

struct reply *leave_post(const struct request *r, struct txn *t)
{
    struct wanted w;
    struct reply *refusal = wanted_read(r, true, &w);
    if (refusal) return refusal;
    const struct kind *kind = w.kind ? w.kind : &leave_kinds[0];
    int64_t bound = absence(r)->chances[me(r)->section];
    char today[DAY_BYTES];
    today_of(r, today);
    if (day_is_late(r, w.day)) return too_late(r);
    struct span day = span_of(w.day);
    if (txn_one(t, &q_day, V_INT(me(r)->id), V_TEXT(day))) return duplicated(r);
    struct term term = term_of(r, w.day);
    int64_t id = txn_insert(t, &q_insert, V_INT(me(r)->id), V_TEXT(w.reason), V_TEXT(day), V_TEXT(span_of(today)), V_TEXT(span_of(kind->name)), V_INT(kind->cost), V_TEXT(SPAN(NOT_PROCESSED)),
                            V_INT(request_now(r)), V_TEXT(span_of(term.from)), V_TEXT(span_of(term.to)), V_INT(bound));
    const struct row *row = id ? txn_one(t, &q_one, V_INT(id), V_INT(me(r)->id)) : NULL;
    if (!row) return used_up(r);
    absence_audit(r, t, "apply", "request", id, me(r)->name, SPAN(""), leave_record(r, row));
    notify_request(r, t, row);
    return object(r, 201, row);
}

static struct reply *change(const struct request *r, struct txn *t, bool all)
{
    struct wanted w;
    const struct row *old = mine(r, txn_view(t));
    if (!old) return absence_not_found(r);
    struct reply *refusal = wanted_read(r, all, &w);
    if (refusal) return refusal;
    if (!w.reason.p && !w.day[0] && !w.kind) return object(r, 200, old);
    int64_t id = row_int(old, R_ID), old_cost = row_int(old, R_COST);
    char old_day[DAY_BYTES], today[DAY_BYTES];
    snprintf(old_day, sizeof old_day, "%.*s", SPAN_ARGS(row_text(old, R_DAY)));
    today_of(r, today);
    if (!w.day[0]) memcpy(w.day, old_day, DAY_BYTES);
    bool moved = strcmp(w.day, old_day) != 0, spent = strcmp(old_day, today) <= 0;
    int64_t cost = w.kind ? w.kind->cost : old_cost;
    if (spent && !moved && cost < old_cost) cost = old_cost;
    if (moved && day_is_late(r, w.day)) return too_late(r);
    if (moved && txn_one(t, &q_day, V_INT(me(r)->id), V_TEXT(span_of(w.day)))) return duplicated(r);
    if (moved || cost > old_cost) {
        struct term term = term_of(r, w.day);
        const struct row *used = txn_one(t, &q_used, V_INT(me(r)->id), V_TEXT(span_of(term.from)), V_TEXT(span_of(term.to)), V_INT(id));
        int64_t left_behind = moved && spent && in_term(&term, old_day) ? old_cost : 0;
        if ((used ? row_int(used, 0) : 0) + left_behind + cost > absence(r)->chances[me(r)->section]) return used_up(r);
    }
    struct span before = leave_record(r, old);
    if (moved && spent) txn_do(t, &q_leave_tombstone, V_INT(id), V_INT(request_now(r)));
    if (txn_do(t, &q_update, V_INT(id), V_INT(me(r)->id), V_TEXT(w.reason.p ? w.reason : row_text(old, R_REASON)), V_TEXT(span_of(w.day)), V_TEXT(w.kind ? span_of(w.kind->name) : row_text(old, R_TYPE)),
               V_INT(cost), V_TEXT(SPAN(NOT_PROCESSED)), V_INT(request_now(r))) != 1) return duplicated(r);
    const struct row *row = txn_one(t, &q_one, V_INT(id), V_INT(me(r)->id));
    if (!row) return absence_not_found(r);
    absence_audit(r, t, "change", "request", id, me(r)->name, before, leave_record(r, row));
    return object(r, 200, row);
}

struct reply *leave_put(const struct request *r, struct txn *t) { return change(r, t, true); }
struct reply *leave_patch(const struct request *r, struct txn *t) { return change(r, t, false); }

void leave_remove(const struct request *r, struct txn *t, const struct row *row)
{
    char today[DAY_BYTES];
    int64_t id = row_int(row, R_ID);
    today_of(r, today);
    bool to_come = strcmp(arena_z(request_arena(r), row_text(row, R_DAY)), today) > 0;
    absence_audit(r, t, "delete", "request", id, row_text(row, R_APPLIER), leave_record(r, row), SPAN(""));
    if (to_come) txn_do(t, &q_delete, V_INT(id));
    else txn_do(t, &q_bury, V_INT(id), V_INT(request_now(r)));
}

struct reply *leave_delete(const struct request *r, struct txn *t)
{
    const struct row *row = mine(r, txn_view(t));
    if (!row) return absence_not_found(r);
    leave_remove(r, t, row);
    return reply_new(r, 204);
}
