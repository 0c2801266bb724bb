/* apps/operator/operator.c: what the operator may ask of any Weir, whatever apps it has: commands that exist only on the Unix socket in the data directory (COMMAND_OPERATOR).
 *
 * A backup's heart is here: a consistent copy of the database, made by a worker while the writer goes on. The copy lies in tmp/ of the data directory under a name that nobody can guess; `weir backup` opens
 * it and takes its name away at once, so a caller that is killed leaves at most what the next start sweeps. Copies are made one after the other, at most 10 minutes each.
 * Called by sub-commands (src/cli/local.h). An app's own operator commands are rows of that app. */
#include "apps/operator/operator_in.h"

#include <sys/stat.h>
#include <unistd.h>

static struct reply *status(const struct request *r, struct snap *s)
{
    (void)s;
    struct reply *reply = reply_api(r);
    struct jout *out = &reply->json;
    jout_begin_object(out);
    jout_put_z(out, "version", WEIR_VERSION);
    jout_put(out, "data", request_data(r));
    jout_put(out, "who", request_principal(r)->name);
    jout_put_int(out, "pid", getpid());
    jout_end_object(out);
    reply_api_end(reply);
    return reply;
}

/* ---- a copy of the database ---- */

struct copy { struct span name; const char *path; int64_t bytes; bool good; struct span why; };

static void copy_make(void *carry, const struct worker *w)
{
    struct copy *c = carry;
    struct stat st;
    struct buf err;
    buf_init(&err, 2000);
    c->good = worker_snapshot(w, c->path, &err) && stat(c->path, &st) == 0;
    c->bytes = c->good ? (int64_t)st.st_size : 0;
    struct span why = arena_copy(w->arena, buf_span(&err));
    buf_done(&err);
    c->why = why;
}

static struct reply *snapshot_prepare(const struct request *r, struct snap *s, struct errand *e)
{
    (void)s;
    unsigned char bytes[12];
    struct arena *a = request_arena(r);
    struct copy *c = arena_zero(a, sizeof *c);
    request_random(r, bytes, sizeof bytes);
    c->name = arena_printf(a, "tmp/snapshot-%.*s.db", SPAN_ARGS(hex_encode(a, span_from(bytes, sizeof bytes))));
    c->path = arena_printf(a, "%.*s/%.*s", SPAN_ARGS(request_data(r)), SPAN_ARGS(c->name)).p;
    errand_key(e, SPAN("operator.snapshot"));
    errand_call(e, copy_make, c);
    return NULL;
}

static struct reply *snapshot_apply(const struct request *r, void *carry, struct txn *t)
{
    const struct copy *c = carry;
    (void)t;
    if (!c->good)
        return refuse(r, 503, arena_printf(request_arena(r), "无法复制数据库：%.*s", SPAN_ARGS(c->why)).p, arena_printf(request_arena(r), "the database cannot be copied: %.*s", SPAN_ARGS(c->why)).p);
    struct reply *reply = reply_api(r);
    struct jout *out = &reply->json;
    jout_begin_object(out);
    jout_put(out, "file", c->name);
    jout_put_int(out, "bytes", c->bytes);
    jout_put_z(out, "secret", settings_get(request_settings(r), "server", "secret_key").n ? "settings" : "file");
    jout_end_object(out);
    reply_api_end(reply);
    return reply;
}

static const struct command commands[] = {
    { .name = "operator.status", .about = "Which Weir answers, and as whom it sees the caller", .http = "GET /api/operator/status/?", .gives = "{errcode:n, errmsg:s, data:{version:s, data:s, who:s, pid:n}}",
      .flags = COMMAND_OPERATOR | COMMAND_PRIVATE, READS(status) },
    { .name = "operator.snapshot", .about = "Make a consistent copy of the database in the data directory's tmp/; the caller takes it away", .http = "POST /api/operator/snapshot/?",
      .gives = "{errcode:n, errmsg:s, data:{file:s, bytes:n, secret:s}}", .flags = COMMAND_OPERATOR | COMMAND_PRIVATE | COMMAND_NOT_IDEMPOTENT_KEYED, STAGED(snapshot_prepare, snapshot_apply) },
    { .name = "operator.outbox", .about = "What could not be delivered and was given up; with all=1 what still waits, too", .http = "GET /api/operator/outbox/?",
      .takes = &SHAPE({ "all", NULL, FIELD_INT, 0, 0, 1, "1: also what is still tried" }, { "after", NULL, FIELD_INT, 0, 0, INT64_MAX, "the last id of the page before" }),
      .gives = "{errcode:n, errmsg:s, data:{waiting:n, dead:n, rows:[{id:n, job:s, attempts:n, due:s, dead:b}], more:b}}", .flags = COMMAND_OPERATOR | COMMAND_PRIVATE, READS(outbox_list) },
    { .name = "operator.outbox_retry", .about = "Try a row again from the beginning, or, without an id, every dead letter", .http = "POST /api/operator/outbox/retry/?",
      .takes = &SHAPE({ "id", NULL, FIELD_INT, 0, 1, INT64_MAX, "the row" }), .gives = "{errcode:n, errmsg:s, data:{changed:n}}", .flags = COMMAND_OPERATOR | COMMAND_PRIVATE, WRITES(outbox_retry) },
    { .name = "operator.outbox_drop", .about = "Throw a dead letter away", .http = "DELETE /api/operator/outbox/?",
      .takes = &SHAPE({ "id", NULL, FIELD_INT, REQUIRED, 1, INT64_MAX, "the row" }), .gives = "{errcode:n, errmsg:s, data:{changed:n}}", .flags = COMMAND_OPERATOR | COMMAND_PRIVATE, WRITES(outbox_drop) },
    { 0 },
};

static const struct query *const *const queries[] = { outbox_queries, NULL };

const struct app operator_app = { .name = "operator", .commands = commands, .queries = queries };
