/* sandbox/official.c: api.weixin.qq.com: the table of its calls, their common checks and the errors in WeChat's own words. HTTP is 200 whatever happens; errmsg ends in a request id, as it does
 * there. Sources: the documentation of each call; the texts are those that clients meet in the wild. */
#include <stdio.h>

#include "sandbox/sandbox_in.h"

/* ---- errors ---- */

static const struct { int errcode; const char *errmsg; } texts[] = {
    { -1, "system error" },
    { 40001, "invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r" },
    { 40002, "invalid grant_type" }, { 40003, "invalid openid" }, { 40013, "invalid appid" }, { 40014, "invalid access_token" }, { 40029, "invalid code" }, { 40037, "invalid template_id" },
    { 40066, "invalid url" }, { 40125, "invalid appsecret" }, { 40129, "invalid scene" }, { 40163, "code been used" }, { 40164, "invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist" },
    { 40226, "code blocked" }, { 41001, "access_token missing" }, { 41002, "appid missing" }, { 41004, "appsecret missing" }, { 41008, "missing code" }, { 41030, "invalid page" },
    { 42001, "access_token expired" }, { 43001, "require GET method" }, { 43002, "require POST method" }, { 43101, "user refuse to accept the msg" }, { 43104, "appid not match openid" },
    { 43107, "subscription is banned" }, { 43108, "concurrent send limit" }, { 44002, "empty post data" }, { 45002, "content size out of limit" },
    { 45009, "reach max api daily quota limit" }, { 45011, "api minute-quota reach limit  mustslower  retry next minute" }, { 45168, "sensitive word" }, { 47001, "data format error" },
    { 47003, "argument invalid!" }, { 48001, "api unauthorized" }, { 50002, "user limited" }, { 61010, "code is expired" }, { 87014, "risky content" }, { 89503, "ip needs confirmation by the administrator" },
};

void official_fail_arg(struct call *c, int64_t errcode, struct span what)
{
    const char *text = "simulated error";
    for (size_t i = 0; i < LENGTH(texts); i++) if (texts[i].errcode == errcode) text = texts[i].errmsg;
    unsigned char id[12];
    seeded_bytes(&c->s->random, id, sizeof id);
    char rid[40];
    snprintf(rid, sizeof rid, " rid: %02x%02x%02x%02x-%02x%02x%02x%02x-%02x%02x%02x%02x", id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7], id[8], id[9], id[10], id[11]);
    struct span message = arena_printf(c->a, "%s%s%.*s%s", text, what.n ? " " : "", SPAN_ARGS(what), rid);
    c->out.n = 0;
    c->errcode = errcode;
    struct jout o;
    jout_init(&o, &c->out);
    jout_begin_object(&o);
    jout_put_int(&o, "errcode", errcode);
    jout_put(&o, "errmsg", message);
    jout_end_object(&o);
}

void official_fail(struct call *c, int64_t errcode) { official_fail_arg(c, errcode, SPAN("")); }

/* ---- what the calls have in common ---- */

struct span text_field(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return json_is_string(v) ? json_span(v) : (struct span){ NULL, 0 };
}

json_t *official_body(struct call *c)
{
    if (c->body.n == 0) {
        official_fail(c, 44002);
        return NULL;
    }
    struct span why;
    json_t *body = json_read(c->a, c->body, &why);
    if (json_is_object(body)) return body;
    official_fail(c, 47001);
    return NULL;
}

bool official_token(struct call *c)
{
    int code = tokens_check(c->s, pairs_get(&c->query, SPAN("access_token")));
    if (code) official_fail(c, code);
    return code == 0;
}

/* ---- tokens ---- */

static void answer_token(struct call *c, const struct token *t)
{
    struct jout o;
    jout_init(&o, &c->out);
    jout_begin_object(&o);
    jout_put_z(&o, "access_token", t->text);
    jout_put_int(&o, "expires_in", (t->expires_ms - sandbox_now_ms(c->s)) / 1000);
    jout_end_object(&o);
}

static int check_app(struct span grant_type, const char *wanted, struct span appid, struct span secret)
{
    if (appid.n == 0) return 41002;
    if (secret.n == 0) return 41004;
    if (!span_is_z(grant_type, wanted)) return 40002;
    if (!span_is(appid, SPAN(SANDBOX_APPID))) return 40013;
    return span_is(secret, SPAN(SANDBOX_SECRET)) ? 0 : 40125;
}

static void call_token(struct call *c)
{
    struct pairs q = c->query;
    const char *why;
    if (c->head->method == HTTP_POST && c->body.n && q.n == 0 && !form_parse(c->a, c->body, &q, &why)) q.n = 0;
    const struct token *t;
    int code = check_app(pairs_get(&q, SPAN("grant_type")), "client_credential", pairs_get(&q, SPAN("appid")), pairs_get(&q, SPAN("secret")));
    if (!code) code = tokens_plain(c->s, &t);
    if (code) official_fail(c, code);
    else answer_token(c, t);
}

static void call_stable_token(struct call *c)
{
    json_t *body = official_body(c);
    if (!body) return;
    const struct token *t;
    const json_t *force = json_object_get(body, "force_refresh");
    int code = check_app(text_field(body, "grant_type"), "client_credential", text_field(body, "appid"), text_field(body, "secret"));
    if (!code && force && !json_is_boolean(force)) code = 47001;
    if (!code) code = tokens_stable(c->s, json_is_true(force), &t);
    if (code) official_fail(c, code);
    else answer_token(c, t);
}

/* ---- the table ---- */

enum { GET = 1 << HTTP_GET, POST = 1 << HTTP_POST };
static const struct official { const char *path; unsigned methods; bool token; const char *type; void (*run)(struct call *); } calls[] = {
    { "/sns/jscode2session", GET, false, "text/plain", call_jscode2session },
    { "/cgi-bin/token", GET | POST, false, "application/json; charset=utf-8", call_token },
    { "/cgi-bin/stable_token", POST, false, "application/json; charset=utf-8", call_stable_token },
    { "/wxa/msg_sec_check", POST, true, "application/json; charset=utf-8", call_msg_sec_check },
    { "/cgi-bin/message/subscribe/send", POST, true, "application/json; charset=utf-8", call_subscribe_send },
};
_Static_assert(LENGTH(calls) <= 32, "the fault knobs count calls by bits");

int official_route(struct span path)
{
    for (size_t i = 0; i < LENGTH(calls); i++) if (span_is_z(path, calls[i].path)) return (int)i;
    return OFFICIAL_UNKNOWN;
}

const char *official_path(int route) { return route >= 0 && (size_t)route < LENGTH(calls) ? calls[route].path : NULL; }

int official_named(struct span name)
{
    for (size_t i = 0; i < LENGTH(calls); i++) {
        struct span path = span_of(calls[i].path);
        if (name.n && span_ends(path, name) && (name.n == path.n || path.p[path.n - name.n - 1] == '/')) return (int)i;
    }
    return OFFICIAL_UNKNOWN;
}

void official_run(struct call *c, int route)
{
    c->type = "application/json; charset=utf-8";
    if (route == OFFICIAL_UNKNOWN) {
        /* behind the API's prefixes its own error, elsewhere a web server's */
        bool api = span_begins(c->path, SPAN("/cgi-bin/")) || span_begins(c->path, SPAN("/sns/")) || span_begins(c->path, SPAN("/wxa/"));
        if (api) {
            official_fail(c, 40066);
            return;
        }
        c->status = 404;
        c->type = "text/html; charset=utf-8";
        buf_add_z(&c->out, "<html><head><title>404 Not Found</title></head><body><center><h1>404 Not Found</h1></center></body></html>\n");
        return;
    }
    const struct official *o = &calls[route];
    unsigned method = 1u << (c->head->method == HTTP_HEAD ? HTTP_GET : c->head->method);
    c->type = o->type;
    if (!(o->methods & method)) official_fail(c, o->methods == GET ? 43001 : 43002);
    else if (!o->token || official_token(c)) o->run(c);
}
