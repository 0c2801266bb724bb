/* apps/absence/audit.c: who did what to what, when, with the object before and after it, written in the transaction that did it. Managers read it in pages. */
#include "apps/absence/absence_in.h"

static const struct query q_add = { "absence.audit_add",
    "INSERT INTO absence_audit (at_ms, actor_id, actor, action, kind, target_id, whom, before_json, after_json) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)", 0 };
static const struct query q_page = { "absence.audit_page",
    "SELECT id, at_ms, actor, action, kind, target_id, whom, before_json, after_json FROM absence_audit WHERE id > $1 ORDER BY id LIMIT $2", 0 };
const struct query *const absence_audit_queries[] = { &q_add, &q_page, NULL };

void absence_audit(const struct request *r, struct txn *t, const char *action, const char *kind, int64_t id, struct span whom, struct span before, struct span after)
{
    const struct member *m = me(r);
    bool operator = request_principal(r)->kind == PRINCIPAL_OPERATOR;
    struct span actor = m ? m->name : operator ? SPAN("operator") : whom;      /* nobody yet: a login, by himself */
    txn_do(t, &q_add, V_INT(request_now(r)), V_INT(m ? m->id : operator ? 0 : id), V_TEXT(actor), V_TEXT(span_of(action)), V_TEXT(span_of(kind)), V_INT(id), V_TEXT(whom),
           before.n ? V_TEXT(before) : V_NULL, after.n ? V_TEXT(after) : V_NULL);
}

static void put_json(struct jout *out, const char *key, const struct row *row, size_t column)
{
    jout_key(out, key);
    if (row_null(row, column)) jout_null(out);
    else jout_raw(out, row_text(row, column));
}

struct reply *audit_get(const struct request *r, struct snap *s)
{
    int64_t limit = request_has(r, "limit") ? request_int(r, "limit") : 100;
    struct rows rows = snap_all(s, &q_page, V_INT(request_has(r, "since") ? request_int(r, "since") : 0), V_INT(limit + 1));
    bool more = rows.n > (size_t)limit;
    struct reply *reply = reply_api(r);
    struct jout *out = &reply->json;
    jout_begin_object(out);
    jout_key(out, "entries");
    jout_begin_array(out);
    for (size_t i = 0; i < rows.n - more; i++) {
        const struct row *row = &rows.at[i];
        char when[20];
        zone_format(absence(r)->zone, row_int(row, 1), when);
        jout_begin_object(out);
        jout_put_int(out, "id", row_int(row, 0));
        jout_put_z(out, "time", when);
        jout_put(out, "actor", row_text(row, 2));
        jout_put(out, "action", row_text(row, 3));
        jout_put(out, "kind", row_text(row, 4));
        jout_put_int(out, "target", row_int(row, 5));
        jout_put(out, "name", row_text(row, 6));
        put_json(out, "before", row, 7);
        put_json(out, "after", row, 8);
        jout_end_object(out);
    }
    jout_end_array(out);
    jout_put_bool(out, "more", more);
    jout_end_object(out);
    reply_api_end(reply);
    return reply;
}
