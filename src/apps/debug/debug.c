/* apps/debug/debug.c: routes for outside conformance suites and for tests, only with debug.routes (`--debug-routes`): what was read comes back as it was understood, and the wall clock can be
 * moved. Never switched on where strangers call. */
#include "engine/app.h"

static void put_bytes(const struct request *r, struct jout *out, const char *text_key, const char *base64_key, struct span bytes)
{
    if (utf8_valid(bytes)) jout_put(out, text_key, bytes);
    else jout_put(out, base64_key, base64_encode(request_arena(r), bytes));
}

static struct reply *echo(const struct request *r)
{
    const struct http_head *head = request_http(r);
    struct reply *reply = reply_new(r, 200);
    struct jout *out = &reply->json;
    reply->body.max = 6 * (size_t)LIMIT_UPLOAD_BYTES + LIMIT_REPLY_BYTES;          /* every byte of a body may be \u0000 */
    jout_begin_object(out);
    jout_put(out, "method", head->method_text);
    put_bytes(r, out, "path", "path_base64", head->path);
    put_bytes(r, out, "query", "query_base64", head->query);
    jout_key(out, "headers");
    jout_begin_object(out);
    for (size_t i = 0; i < head->header_count; i++) {
        struct span name = head->headers[i].name;
        bool first = true;
        for (size_t k = 0; k < i; k++) first = first && !span_is_nocase(head->headers[k].name, name);
        if (!first) continue;
        char *lower = (char *)(uintptr_t)arena_copy(request_arena(r), name).p;
        for (size_t k = 0; k < name.n; k++)
            if (lower[k] >= 'A' && lower[k] <= 'Z') lower[k] = (char)(lower[k] + 32);
        struct buf value;                                          /* several lines of one name are one list (RFC 9110 5.3) */
        buf_init(&value, LIMIT_HEAD_BYTES * 2);
        for (size_t k = i; k < head->header_count; k++) {
            if (!span_is_nocase(head->headers[k].name, name)) continue;
            if (k > i) buf_add_z(&value, ", ");
            buf_add_span(&value, head->headers[k].value);
        }
        jout_key_span(out, span_from(lower, name.n));
        jout_text(out, buf_span(&value));
        buf_done(&value);
    }
    jout_end_object(out);
    put_bytes(r, out, "body", "body_base64", request_body(r));
    jout_end_object(out);
    return reply;
}

static struct reply *json(const struct request *r)
{
    struct span why = { 0 };
    json_t *tree = json_read(request_arena(r), request_body(r), &why);
    if (!tree) return refuse(r, 400, arena_printf(request_arena(r), "JSON 格式错误：%.*s", SPAN_ARGS(why)).p, arena_printf(request_arena(r), "the JSON cannot be read: %.*s", SPAN_ARGS(why)).p);
    return reply_text(r, 200, NULL, json_canonical(request_arena(r), tree));
}

static struct reply *upload(const struct request *r)
{
    struct reply *reply = reply_new(r, 200);
    struct jout *out = &reply->json;
    struct pairs pairs = request_pairs(r);
    struct uploads files = request_uploads(r);
    jout_begin_object(out);
    jout_key(out, "fields");
    jout_begin_object(out);
    for (size_t i = 0; i < pairs.n; i++) {
        bool last = true;                                          /* of equal names the last one counts */
        for (size_t k = i + 1; k < pairs.n; k++) last = last && !span_is(pairs.at[k].name, pairs.at[i].name);
        if (!last) continue;
        jout_key_span(out, pairs.at[i].name);
        jout_text(out, pairs.at[i].value);
    }
    jout_end_object(out);
    jout_key(out, "files");
    jout_begin_array(out);
    for (size_t i = 0; i < files.n; i++) {
        jout_begin_object(out);
        jout_put(out, "name", files.at[i].name);
        jout_put(out, "filename", files.at[i].filename);
        jout_put(out, "type", files.at[i].type);
        jout_put_int(out, "size", files.at[i].bytes);
        jout_put(out, "sha256", hex_encode(request_arena(r), span_from(files.at[i].sha256, 32)));
        jout_end_object(out);
    }
    jout_end_array(out);
    jout_end_object(out);
    return reply;
}

static struct reply *set_clock(const struct request *r)
{
    bool hold = request_has(r, "hold") && request_int(r, "hold");
    (hold ? clock_debug_hold : clock_debug_set)(request_int(r, "now"));
    struct reply *reply = reply_api(r);
    jout_begin_object(&reply->json);
    jout_put_int(&reply->json, "now", clock_now_ms());
    jout_end_object(&reply->json);
    reply_api_end(reply);
    return reply;
}

#ifdef WEIR_FAULTS
static struct reply *arm_fault(const struct request *r)
{
    struct reply *reply = reply_api(r);                            /* made before: the answer should not be the first victim */
    jout_null(&reply->json);
    reply_api_end(reply);
    fault_arm(arena_z(request_arena(r), request_text(r, "spec")));
    return reply;
}
static const struct shape fault = SHAPE({ "spec", NULL, FIELD_TEXT, REQUIRED, 0, 100, "alloc:17, fsync:3+, …; empty: none" });
#endif

static const struct shape now = SHAPE({ "now", NULL, FIELD_INT, REQUIRED, 0, 253402300799000, "UTC milliseconds; 0: the real time again" },
    { "hold", NULL, FIELD_INT, 0, 0, 1, "1: time stands still there" });

static const struct command commands[] = {
    { .name = "debug.echo", .about = "The request as it was understood", .http = "ANY /api/debug/echo/?", .gives = "*", .flags = COMMAND_DEBUG | COMMAND_RAW, .body_bytes = LIMIT_UPLOAD_BYTES, RELAYS(echo) },
    { .name = "debug.json", .about = "Strict JSON in, its canonical form out", .http = "POST /api/debug/json/?", .gives = "*", .flags = COMMAND_DEBUG | COMMAND_RAW, RELAYS(json) },
    { .name = "debug.upload", .about = "What was in a multipart body", .http = "POST /api/debug/upload/?",
      .gives = "{fields:*, files:[{name:s, filename:s, type:s, size:n, sha256:s}]}", .flags = COMMAND_DEBUG | COMMAND_MULTIPART, RELAYS(upload) },
    { .name = "debug.clock", .about = "Move the wall clock, or hold it still", .http = "POST /api/debug/clock/?", .takes = &now, .gives = "{errcode:n, errmsg:s, data:{now:n}}", .flags = COMMAND_DEBUG, RELAYS(set_clock) },
#ifdef WEIR_FAULTS
    { .name = "debug.fault", .about = "Test builds: make the Nth allocation, write, fsync or send fail", .http = "POST /api/debug/fault/?", .takes = &fault, .gives = "{errcode:n, errmsg:s, data:z}", .flags = COMMAND_DEBUG, RELAYS(arm_fault) },
#endif
    { 0 },
};

static const struct channel channels[] = {
    { .name = "debug.ws", .path = "/api/debug/ws/?", .echo = true, .flags = COMMAND_DEBUG, .max_message_bytes = 32 * 1024 * 1024 },
    { 0 },
};

const struct app debug_app = { .name = "debug", .commands = commands, .channels = channels };
