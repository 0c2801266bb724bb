/* engine/reply.c: replies and refusals. The body is a heap buffer freed with the arena, so a run that is rolled back gives it back too. */
#include "engine/engine_in.h"

static void free_reply(void *arg)
{
    struct reply *reply = arg;
    buf_done(&reply->body);
    buf_done(&reply->headers);
}

struct reply *reply_new(const struct request *r, int status)
{
    struct reply *reply = arena_zero(r->arena, sizeof *reply);
    reply->status = status;
    buf_init(&reply->body, LIMIT_REPLY_BYTES);
    buf_init(&reply->headers, LIMIT_HEAD_BYTES);
    buf_reserve(&reply->body, 2000);                   /* most replies then never grow */
    jout_init(&reply->json, &reply->body);
    arena_defer(r->arena, free_reply, reply);
    return reply;
}

struct reply *reply_text(const struct request *r, int status, const char *type, struct span body)
{
    struct reply *reply = reply_new(r, status);
    reply->type = type;
    buf_add_span(&reply->body, body);
    return reply;
}

struct reply *reply_file(const struct request *r, const char *type, struct span path_below_data)
{
    struct reply *reply = reply_new(r, 200);
    reply->type = type;
    reply->file = arena_copy(r->arena, path_below_data);
    return reply;
}

struct reply *reply_asset(const struct request *r, const char *type, struct span static_bytes)
{
    struct reply *reply = reply_new(r, 200);
    reply->type = type;
    reply->asset = static_bytes;
    return reply;
}

void reply_header(struct reply *reply, const char *name, struct span value)
{
    must(span_find(value, '\r') < 0 && span_find(value, '\n') < 0);
    buf_add_z(&reply->headers, name);
    buf_add_z(&reply->headers, ": ");
    buf_add_span(&reply->headers, value);
    buf_add_z(&reply->headers, "\r\n");
}

void reply_stream(struct reply *reply, bool (*more)(const struct request *, struct snap *, struct reply *, void *), void *state)
{
    reply->more = more;
    reply->state = state;
}

static void write_error(struct jout *out, const struct app *app, bool api, int status, struct span message)
{
    void (*own)(struct jout *, int, struct span) = !app ? NULL : api ? app->api_error : app->error;
    if (own) {
        own(out, status, message);
        return;
    }
    jout_begin_object(out);
    jout_put_int(out, "errcode", status);
    jout_put(out, "errmsg", message);
    jout_end_object(out);
}

struct reply *refuse(const struct request *r, int status, const char *zh, const char *en)
{
    struct reply *reply = reply_new(r, status);
    reply->message = arena_copy(r->arena, span_of(en && !r->chinese ? en : zh));
    write_error(&reply->json, r->entry->app, r->api, status, reply->message);
    return reply;
}

struct reply *reply_api(const struct request *r)
{
    struct reply *reply = reply_new(r, 200);
    jout_begin_object(&reply->json);
    jout_put_int(&reply->json, "errcode", 0);
    jout_put_z(&reply->json, "errmsg", "ok");
    jout_key(&reply->json, "data");
    return reply;
}

void reply_api_end(struct reply *reply) { jout_end_object(&reply->json); }

/* The body of an error that has no request behind it (or no memory for one). */
struct span error_body(const struct engine *e, struct buf *out, struct span path, int status, struct span message)
{
    struct jout json;
    out->n = 0;
    jout_init(&json, out);
    write_error(&json, table_app_of_path(e, path), span_is_api(path), status, message);
    return buf_span(out);
}

struct span outage_message(const struct request *r)
{
    if (r->uncertain)
        return r->chinese ? SPAN("磁盘出错，无法确定是否已保存，请稍后核对后再试") : SPAN("the disk failed: it is not known whether this was stored; look before you try again");
    if (r->outage == 429) return r->chinese ? SPAN("请求过于频繁，请稍后再试") : SPAN("too many requests, try again later");
    if (r->outage == 504) return r->chinese ? SPAN("处理超时，请稍后再试") : SPAN("this took too long, try again later");
    if (r->outage == 507) return r->chinese ? SPAN("服务器磁盘已满，暂时只能读取") : SPAN("the server's disk is full: reading only for now");
    if (r->outage == 404) return r->chinese ? SPAN("不存在") : SPAN("not found");
    return r->chinese ? SPAN("服务暂时不可用，请稍后再试") : SPAN("the service is busy or partly out of order, try again later");
}
