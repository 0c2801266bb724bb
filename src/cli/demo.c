/* cli/demo.c: `weir demo`: the server and the sandbox side by side, with people, diaries and a chat to look at. The seeded data comes in over HTTP like everybody's. */
#include "cli/cli.h"
#include "cli/local.h"
#include "cli/run.h"
#include "net/fetch.h"
#include "sandbox/sandbox.h"
#include "wire/form.h"

#include <stdio.h>
#include <unistd.h>

static void usage(void)
{
    printf("usage: weir demo [--port 8000] [--data DIR] [--debug-routes] [--set SECTION.KEY=VALUE]\n\n"
           "A Weir with the built-in WeChat simulator beside it, without any WeChat account: the server on PORT, the sandbox on PORT + 1, some seeded people (diary.access = open).\n"
           "Prints `ready http://127.0.0.1:PORT sandbox http://127.0.0.1:PORT+1` when both listen. Without --data a folder ./demo-data is used.\n");
}

static struct span post(struct arena *a, int port, const char *path, const char *const *pairs)
{
    struct buf body;
    struct fetch_reply reply;
    buf_init(&body, 65536);
    for (; *pairs; pairs += 2) {
        if (body.n) buf_add_z(&body, "&");
        buf_printf(&body, "%s=", pairs[0]);
        url_encode(&body, span_of(pairs[1]));
    }
    struct http_header type = { SPAN("Content-Type"), SPAN("application/x-www-form-urlencoded") };
    struct fetch_request request = { .method = HTTP_POST, .url = arena_printf(a, "http://127.0.0.1:%d/matching/%s", port, path), .headers = &type, .header_count = 1,
                                     .body = buf_span(&body), .timeout_ms = 10000 };
    fetch(a, &request, &reply);
    buf_done(&body);
    return reply.fault == FETCH_OK && reply.status == 200 ? reply.body : (struct span){ 0 };
}

static int status_of(struct arena *a, int port, const char *path)
{
    struct fetch_reply reply;
    struct fetch_request request = { .method = HTTP_GET, .url = arena_printf(a, "http://127.0.0.1:%d/matching/%s", port, path), .timeout_ms = 10000 };
    fetch(a, &request, &reply);
    return reply.fault == FETCH_OK ? reply.status : 0;
}

static bool seed(int port)
{
    static const char *const people[][14] = {
        { "openId", "666", "nickName", "小猪佩奇", "avatarUrl", "", "gender", "2", "province", "上海", "city", "上海", "country", "中国" },
        { "openId", "667", "nickName", "赵乘风", "avatarUrl", "", "gender", "1", "province", "浙江", "city", "杭州", "country", "中国" },
        { "openId", "668", "nickName", "阿岚", "avatarUrl", "", "gender", "2", "province", "四川", "city", "成都", "country", "中国" },
    };
    static const char *const diaries[][6] = {
        { "openId", "666", "title", "", "content", "排练终于顺下来了，晚上一起吃火锅，笑得肚子疼，好开心！" },
        { "openId", "668", "title", "真的烦", "content", "楼上装修从早吵到晚，会又开了一整天，烦死了。" },
        { "openId", "667", "title", "发工资", "content", "发工资了，请大家喝奶茶，一路哼着歌回家，太开心了。" },
    };
    struct arena *a = arena_new(1 << 20);
    bool good = a != NULL;
    if (good && status_of(a, port, "get_user_action/?openId=666") == 404) {
        for (size_t i = 0; i < LENGTH(people) && good; i++) {
            const char *pairs[15] = { 0 };
            memcpy(pairs, people[i], sizeof people[i]);
            good = post(a, port, "store_action/", pairs).n;
        }
        for (size_t i = 0; i < LENGTH(diaries) && good; i++) {
            const char *pairs[7] = { 0 };
            memcpy(pairs, diaries[i], sizeof diaries[i]);
            good = post(a, port, "emotion/", pairs).n;
        }
        if (good && status_of(a, port, "get_pair_action/?openId=666") == 200) {
            static const char *const said[][6] = { { "openId", "666", "pair_id", "1", "content", "你好呀，看到你的日记了" }, { "openId", "667", "pair_id", "1", "content", "hello，今天也很开心吗？" } };
            for (size_t i = 0; i < LENGTH(said); i++) {
                const char *pairs[7] = { 0 };
                memcpy(pairs, said[i], sizeof said[i]);
                post(a, port, "send_message_via_http/", pairs);
            }
        }
    }
    if (!good) fprintf(stderr, "weir demo: the sample data could not be stored\n");
    fetch_thread_done();
    arena_free(&a);
    return good;
}

/* As the operator: the answer's data, or NULL (said). */
static const json_t *operate(struct run *r, struct arena *a, const char *method, const char *target, struct span json)
{
    struct buf answer;
    int status = 0;
    buf_init(&answer, 1 << 20);
    bool good = local_call(r, method, target, json.n ? "application/json" : NULL, json, &status, &answer) && local_finish(r, status, buf_span(&answer)) == 0;
    const json_t *data = good ? local_data(r, a, buf_span(&answer)) : NULL;
    buf_done(&answer);
    fetch_thread_done();
    return data;
}

/* A POST of JSON as somebody: the answer's tree, or NULL. */
static const json_t *post_json(struct arena *a, int port, const char *path, struct span token, struct span json)
{
    struct fetch_reply reply;
    struct span why = { 0 };
    struct http_header headers[] = { { SPAN("Content-Type"), SPAN("application/json") }, { SPAN("Authorization"), arena_printf(a, "JWT %.*s", SPAN_ARGS(token)) } };
    struct fetch_request request = { .method = HTTP_POST, .url = arena_printf(a, "http://127.0.0.1:%d%s", port, path), .headers = headers, .header_count = token.n ? 2 : 1, .body = json, .timeout_ms = 10000 };
    fetch(a, &request, &reply);
    return reply.fault == FETCH_OK && reply.status == 200 ? json_read(a, reply.body, &why) : NULL;
}

/* Rehearsals on the next three Saturdays, planned by the manager himself. */
static void seed_rehearsals(struct run *r, struct arena *a, int port)
{
    char name[128];
    struct buf err;
    struct span zone_name = settings_get(r->settings, "server", "timezone");
    const json_t *token = json_object_get(post_json(a, port, "/account/login/", SPAN(""), SPAN("{\"name\":\"刘指挥\",\"code\":\"demo-刘指挥\"}")), "token");
    buf_init(&err, 1000);
    snprintf(name, sizeof name, "%.*s", SPAN_ARGS(zone_name));
    struct zone *zone = zone_open(name, &err);
    bool good = zone && json_is_string(token);
    struct civil day = { 0 };
    if (good) day = zone_civil(zone, clock_now_ms());
    day.day += (6 - day.weekday + 7) % 7 ? (6 - day.weekday + 7) % 7 : 7;
    day.hour = 12;
    for (int i = 0; i < 3 && good; i++, day.day += 7) {
        struct civil c = zone_civil(zone, zone_utc_ms(zone, day));
        good = post_json(a, port, "/api/absence/rehearsals", json_span(token), arena_printf(a, "{\"date\":\"%d-%d-%d\",\"time\":\"14:00\",\"title\":\"%s\"}", c.year, c.month, c.day, i == 1 ? "全体排练+弦乐分排" : "全体排练"));
    }
    if (!good) fprintf(stderr, "weir demo: the rehearsals could not be stored\n");
    zone_free(&zone);
    buf_done(&err);
    fetch_thread_done();
}

/* The ensemble of the absence app, the operator's own way, as `weir namelist import` does it. Once: who changed the list meanwhile keeps his. */
static void seed_ensemble(struct run *r, int port)
{
    static const char list[] = "{\"csv\":\"name,section,manager\\nDavid,string,no\\nJohn,wind,no\\nMary,percussion,no\\n赵乘风,string,no\\n刘指挥,string,yes\\n\"}";
    struct arena *a = arena_new(8 << 20);
    const json_t *now = a ? operate(r, a, "GET", "/api/absence/namelist", SPAN("")) : NULL;
    bool empty = now && json_array_size(json_object_get(now, "members")) == 0;
    if (empty && operate(r, a, "POST", "/api/absence/namelist/import", span_from(list, sizeof list - 1))) seed_rehearsals(r, a, port);
    arena_free(&a);
}

static bool ready(struct run *r, int port, void *arg)
{
    int sandbox_port = *(int *)arg;
    /* elsewhere openIds are made by logins only */
    if (span_is_z(settings_get(r->settings, "diary", "access"), "open") && !seed(port)) return false;
    seed_ensemble(r, port);                                   /* without it the demo is good for the rest */
    bool open = span_is_z(settings_get(r->settings, "diary", "access"), "open");
    printf("ready http://127.0.0.1:%d sandbox http://127.0.0.1:%d\n\n  try:  ", port, sandbox_port);
    if (open)
        printf("curl 'http://127.0.0.1:%d/matching/get_user_action/?openId=666'\n"
               "        curl -d openId=me -d title= --data-urlencode 'content=今天真的好开心' http://127.0.0.1:%d/matching/emotion/\n        ", port, port);
    printf("curl 'http://127.0.0.1:%d/matching/get_openId_action/?js_code=demo-bob'\n"
           "        curl -d name=David -d code=demo-David http://127.0.0.1:%d/account/login/\n"
           "  or open http://127.0.0.1:%d/ in a browser; the phone is http://127.0.0.1:%d/\n", port, port, port, sandbox_port);
    fflush(stdout);
    return true;
}

static int serve_beside(struct run *r, struct sandbox *s, int port)
{
    struct buf err;
    char address[64];
    buf_init(&err, 4096);
    snprintf(address, sizeof address, "127.0.0.1:%d", port ? port + 1 : 0);
    int sandbox_port = sandbox_listen(s, address, &err);
    if (sandbox_port < 0 || !sandbox_start(s, &err)) {
        fprintf(stderr, "weir demo: sandbox: %.*s\n", SPAN_ARGS(buf_span(&err)));
        buf_done(&err);
        return 1;
    }
    snprintf(address, sizeof address, "http://127.0.0.1:%d", sandbox_port);
    settings_default(r->settings, "wechat", "api_url", address);
    int status = run_load(r) ? run_server(r, ready, &sandbox_port) : 1;
    buf_done(&err);
    return status;
}

int cli_demo(int argc, char **argv)
{
    struct run r = { .name = "demo", .port = 8000 };
    if (!run_options(&r, argc, argv)) {
        settings_free(&r.settings);
        return 2;
    }
    if (r.help) {
        usage();
        settings_free(&r.settings);
        return 0;
    }
    char listen[64];
    snprintf(listen, sizeof listen, "127.0.0.1:%d", r.port);
    settings_default(r.settings, "server", "listen", listen);
    settings_default(r.settings, "server", "data", "demo-data");
    settings_default(r.settings, "server", "demo", "true");
    settings_default(r.settings, "diary", "access", "open");
    settings_default(r.settings, "wechat", "appid", SANDBOX_APPID);
    settings_default(r.settings, "wechat", "secret", SANDBOX_SECRET);
    settings_default(r.settings, "log", "access", "off");
    run_signals_block();
    struct buf err;
    buf_init(&err, 4096);
    struct sandbox_config config = { .seed = 1 };
    struct sandbox *s = sandbox_new(&config, &err);
    int status = 1;
    if (s) status = serve_beside(&r, s, r.port);
    else fprintf(stderr, "weir demo: %.*s\n", SPAN_ARGS(buf_span(&err)));
    sandbox_free(&s);
    buf_done(&err);
    settings_free(&r.settings);
    return status;
}
