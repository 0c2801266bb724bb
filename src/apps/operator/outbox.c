/* apps/operator/outbox.c: what waits to be delivered, and what was given up. A dead letter is kept for ever; the operator who has mended the mail server sends it out again, or drops it.
 * What is in a row is not shown: it is what users wrote. The names of jobs tell what it is about. */
#include "apps/operator/operator_in.h"

enum { PAGE = 200 };

static const struct query q_rows = { "operator.outbox", "SELECT id, job, attempts, due_ms, dead FROM engine_outbox WHERE id > $1 AND (dead = 1 OR $2 = 1) ORDER BY id LIMIT 201", 0 };
static const struct query q_counts = { "operator.outbox_counts", "SELECT (SELECT count(*) FROM engine_outbox WHERE dead = 0), (SELECT count(*) FROM engine_outbox WHERE dead = 1)", 0 };
static const struct query q_retry = { "operator.outbox_retry", "UPDATE engine_outbox SET dead = 0, attempts = 0, due_ms = $2 WHERE id = $1", 0 };
static const struct query q_retry_all = { "operator.outbox_retry_all", "UPDATE engine_outbox SET dead = 0, attempts = 0, due_ms = $1 WHERE dead = 1", 0 };
static const struct query q_drop = { "operator.outbox_drop", "DELETE FROM engine_outbox WHERE id = $1 AND dead = 1", 0 };
const struct query *const outbox_queries[] = { &q_rows, &q_counts, &q_retry, &q_retry_all, &q_drop, NULL };

struct reply *outbox_list(const struct request *r, struct snap *s)
{
    struct rows rows = snap_all(s, &q_rows, V_INT(request_int(r, "after")), V_INT(request_int(r, "all") != 0));
    const struct row *counts = snap_one(s, &q_counts);
    struct reply *reply = reply_api(r);
    struct jout *out = &reply->json;
    jout_begin_object(out);
    jout_put_int(out, "waiting", counts ? row_int(counts, 0) : 0);
    jout_put_int(out, "dead", counts ? row_int(counts, 1) : 0);
    jout_key(out, "rows");
    jout_begin_array(out);
    for (size_t i = 0; i < rows.n && i < PAGE; i++) {
        char when[20];
        zone_format(request_zone(r), row_int(&rows.at[i], 3), when);
        jout_begin_object(out);
        jout_put_int(out, "id", row_int(&rows.at[i], 0));
        jout_put(out, "job", row_text(&rows.at[i], 1));
        jout_put_int(out, "attempts", row_int(&rows.at[i], 2));
        jout_put(out, "due", span_from(when, 19));
        jout_put_bool(out, "dead", row_int(&rows.at[i], 4) != 0);
        jout_end_object(out);
    }
    jout_end_array(out);
    jout_put_bool(out, "more", rows.n > PAGE);
    jout_end_object(out);
    reply_api_end(reply);
    return reply;
}

static struct reply *changed(const struct request *r, int64_t rows)
{
    struct reply *reply = reply_api(r);
    jout_begin_object(&reply->json);
    jout_put_int(&reply->json, "changed", rows);
    jout_end_object(&reply->json);
    reply_api_end(reply);
    return reply;
}

struct reply *outbox_retry(const struct request *r, struct txn *t)
{
    txn_wake_outbox(t);
    if (!request_has(r, "id")) return changed(r, txn_do(t, &q_retry_all, V_INT(request_now(r))));
    int64_t rows = txn_do(t, &q_retry, V_INT(request_int(r, "id")), V_INT(request_now(r)));
    return rows ? changed(r, rows) : refuse(r, 404, "发件箱里没有这一条", "there is no such row in the outbox");
}

struct reply *outbox_drop(const struct request *r, struct txn *t)
{
    int64_t rows = txn_do(t, &q_drop, V_INT(request_int(r, "id")));
    return rows ? changed(r, rows) : refuse(r, 404, "没有这封死信（还在投递的不能删）", "there is no such dead letter (what is still being tried cannot be dropped)");
}
