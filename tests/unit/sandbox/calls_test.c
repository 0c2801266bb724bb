/* sandbox: WeChat's calls and the control API below the sockets: shapes, error codes, tokens over time. */
#include "call_below.h"

static struct bench b;
static int up(void **state) { (void)state; bench_up(&b, false, 1); return 0; }
static int down(void **state) { (void)state; bench_down(&b); return 0; }

static void advance(int64_t ms) { b.s->clock_ahead_ms += ms; }
static const char *fmt(const char *format, const char *arg)
{
    char *text = arena_take(b.a, 4096);
    snprintf(text, 4096, "%s%s", format, arg);
    return text;
}
static const char *stable_token(void) { return text_in(ask(&b, "POST /cgi-bin/stable_token", STABLE), "access_token"); }
static const char *plain_token(void) { return text_in(ask(&b, "GET /cgi-bin/token?grant_type=client_credential&" APP, ""), "access_token"); }
static int64_t code_with(const char *token)
{
    int64_t code = errcode_of(&b, fmt("POST /wxa/msg_sec_check?access_token=", token), "{\"content\":\"x\"}");
    return code;
}
static const char *openid_of_person(const char *name) { return text_in(ask(&b, fmt(LOGIN "demo-", name), ""), "openid"); }

/* ---- login ---- */

static void login_answers_openid_and_key(void **state)
{
    (void)state;
    const json_t *first = ask(&b, LOGIN "demo-bob", "");
    assert_string_equal(b.last.type, "text/plain");
    assert_int_equal(json_object_size(first), 2);                     /* no errcode, no unionid */
    const char *key = text_in(first, "session_key"), *openid = text_in(first, "openid");
    assert_int_equal(strlen(key), 24);
    assert_int_equal(strlen(openid), 28);
    assert_string_equal(text_in(ask(&b, LOGIN "demo-bob", ""), "openid"), openid);
    assert_string_not_equal(text_in(ask(&b, LOGIN "demo-bob", ""), "session_key"), key);
    assert_null(world_person(&b.s->world, SPAN("新人")));
    ask(&b, LOGIN "demo-%E6%96%B0%E4%BA%BA", "");
    assert_non_null(world_person(&b.s->world, SPAN("新人")));
}

static void login_errors_have_wechats_codes(void **state)
{
    (void)state;
    static const struct { const char *line; int64_t code; } rows[] = {
        { "GET /sns/jscode2session", 41002 }, { "GET /sns/jscode2session?appid=x", 41004 }, { "GET /sns/jscode2session?" APP, 41008 }, { "GET /sns/jscode2session?" APP "&js_code=x", 40002 },
        { "GET /sns/jscode2session?appid=wrong&secret=" SANDBOX_SECRET "&js_code=demo-me&grant_type=authorization_code", 40013 },
        { "GET /sns/jscode2session?appid=" SANDBOX_APPID "&secret=wrong&js_code=demo-me&grant_type=authorization_code", 40125 },
        { LOGIN "unknown", 40029 }, { LOGIN "demo-", 40029 }, { LOGIN "demo-%0a", 40029 }, { LOGIN "demo-a%2Fb", 40029 },
        { "POST /sns/jscode2session?" APP "&js_code=demo-me&grant_type=authorization_code", 43001 }, { "GET /cgi-bin/stable_token", 43002 }, { "GET /wxa/msg_sec_check", 43002 },
        { "GET /cgi-bin/no/such", 40066 }, { "POST /wxa/nothing", 40066 },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        int64_t code = errcode_of(&b, rows[i].line, "");
        if (code != rows[i].code || b.last.status != 200) fail_msg("%s: %lld", rows[i].line, (long long)code);
    }
    ask(&b, "GET /elsewhere", "");
    assert_int_equal(b.last.status, 404);
}

static void errors_end_in_a_request_id(void **state)
{
    (void)state;
    const char *text = text_in(ask(&b, LOGIN "unknown", ""), "errmsg"), *rid = strstr(text, " rid: ");
    assert_non_null(rid);
    unsigned x, y, z;
    int n = 0;
    assert_int_equal(sscanf(rid, " rid: %8x-%8x-%8x%n", &x, &y, &z, &n), 3);
    assert_int_equal(n, 32);
    assert_int_equal(strlen(rid), 32);
}

static void a_code_is_good_once_and_for_five_minutes(void **state)
{
    (void)state;
    const char *code = text_in(ask(&b, "POST /_sandbox/mp/code", "{\"person\":\"卡萝\"}"), "code");
    assert_string_equal(text_in(ask(&b, fmt(LOGIN, code), ""), "openid"), world_person(&b.s->world, SPAN("carol"))->openid);
    assert_int_equal(errcode_of(&b, fmt(LOGIN, code), ""), 40163);
    code = text_in(ask(&b, "POST /_sandbox/mp/code", "{\"person\":\"carol\"}"), "code");
    advance(5 * 60 * 1000 - 1000);
    assert_int_equal(errcode_of(&b, fmt(LOGIN, code), ""), 0);
    code = text_in(ask(&b, "POST /_sandbox/mp/code", "{\"person\":\"carol\"}"), "code");
    advance(5 * 60 * 1000);
    assert_int_equal(errcode_of(&b, fmt(LOGIN, code), ""), 40029);
    assert_int_equal(b.s->codes.n, 0);
}

static void a_user_logs_in_a_hundred_times_a_minute(void **state)
{
    (void)state;
    for (int i = 0; i < 101; i++) {
        const char *code = text_in(ask(&b, "POST /_sandbox/mp/code", "{\"person\":\"dave\"}"), "code");
        assert_int_equal(errcode_of(&b, fmt(LOGIN, code), ""), i < 100 ? 0 : 45011);
    }
    assert_int_equal(errcode_of(&b, LOGIN "demo-dave", ""), 0);       /* works always */
    advance(60 * 1000);
    const char *code = text_in(ask(&b, "POST /_sandbox/mp/code", "{\"person\":\"dave\"}"), "code");
    assert_int_equal(errcode_of(&b, fmt(LOGIN, code), ""), 0);
}

static void a_unionid_comes_only_if_there_is_one(void **state)
{
    (void)state;
    ask(&b, "POST /_sandbox/people", "{\"name\":\"bob\",\"unionid\":\"u-bob\"}");
    assert_string_equal(text_in(ask(&b, LOGIN "demo-bob", ""), "unionid"), "u-bob");
    ask(&b, "POST /_sandbox/people", "{\"name\":\"bob\",\"unionid\":\"\"}");
    assert_null(json_object_get(ask(&b, LOGIN "demo-bob", ""), "unionid"));
}

/* ---- tokens ---- */

static void token_requests_are_checked(void **state)
{
    (void)state;
    static const struct { const char *line, *body; int64_t code; } rows[] = {
        { "POST /cgi-bin/stable_token", "", 44002 }, { "POST /cgi-bin/stable_token", "{", 47001 }, { "POST /cgi-bin/stable_token", "[]", 47001 }, { "POST /cgi-bin/stable_token", "{}", 41002 },
        { "POST /cgi-bin/stable_token", "{\"appid\":\"x\"}", 41004 }, { "POST /cgi-bin/stable_token", "{\"appid\":\"x\",\"secret\":\"y\"}", 40002 },
        { "POST /cgi-bin/stable_token", "{\"appid\":\"x\",\"secret\":\"y\",\"grant_type\":\"client_credential\"}", 40013 },
        { "POST /cgi-bin/stable_token", "{\"appid\":\"" SANDBOX_APPID "\",\"secret\":\"y\",\"grant_type\":\"client_credential\"}", 40125 },
        { "GET /cgi-bin/token", "", 41002 }, { "GET /cgi-bin/token?" APP, "", 40002 }, { "GET /cgi-bin/token?grant_type=client_credential&appid=" SANDBOX_APPID "&secret=y", "", 40125 },
        { "POST /cgi-bin/token", "grant_type=client_credential&" APP, 0 }, { "PUT /cgi-bin/token", "", 43002 },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        int64_t code = errcode_of(&b, rows[i].line, rows[i].body);
        if (code != rows[i].code) fail_msg("%s %s: %lld", rows[i].line, rows[i].body, (long long)code);
    }
}

static void wrong_tokens_are_told_apart(void **state)
{
    (void)state;
    assert_int_equal(code_with(""), 41001);
    assert_int_equal(errcode_of(&b, "POST /wxa/msg_sec_check", "{}"), 41001);
    assert_int_equal(code_with("97_never-made"), 40001);
    assert_int_equal(code_with("not%20a%20token"), 40014);
    const char *token = stable_token();
    assert_int_equal(code_with(token), 0);
    advance(7200 * 1000);
    assert_int_equal(code_with(token), 42001);
}

static void the_stable_token_is_the_same_until_its_last_minutes(void **state)
{
    (void)state;
    const char *first = stable_token();
    assert_true(strlen(first) > 100 && strlen(first) <= 512);
    advance(7200 * 1000 - 6 * 60 * 1000);
    const json_t *again = ask(&b, "POST /cgi-bin/stable_token", STABLE);
    assert_string_equal(text_in(again, "access_token"), first);
    int64_t left = json_integer_value(json_object_get(again, "expires_in"));
    assert_true(left <= 360 && left >= 355);
    advance(61 * 1000);
    const char *second = stable_token();
    assert_string_not_equal(second, first);
    assert_int_equal(code_with(first), 0);                            /* lives out its last minutes */
    assert_int_equal(code_with(second), 0);
}

static void a_forced_refresh_kills_the_old_token_and_is_rare(void **state)
{
    (void)state;
    const char *old = stable_token(), *new = text_in(ask(&b, "POST /cgi-bin/stable_token", STABLE_FORCED), "access_token");
    assert_string_not_equal(old, new);
    assert_int_equal(code_with(old), 40001);
    assert_int_equal(code_with(new), 0);
    assert_string_equal(stable_token(), new);
    assert_int_equal(errcode_of(&b, "POST /cgi-bin/stable_token", STABLE_FORCED), 45011);
    for (int i = 1; i < 20; i++) {
        advance(30 * 1000);
        assert_int_equal(errcode_of(&b, "POST /cgi-bin/stable_token", STABLE_FORCED), 0);
    }
    advance(30 * 1000);
    int64_t code = errcode_of(&b, "POST /cgi-bin/stable_token", STABLE_FORCED);
    assert_true(code == 45009 || b.s->tokens.forced_today == 1);      /* unless a day began meanwhile */
    advance(86400 * 1000);
    assert_int_equal(errcode_of(&b, "POST /cgi-bin/stable_token", STABLE_FORCED), 0);
}

static void the_plain_token_leaves_its_forerunner_five_minutes(void **state)
{
    (void)state;
    const char *stable = stable_token(), *old = plain_token(), *new = plain_token();
    assert_string_not_equal(old, new);
    assert_int_equal(code_with(old), 0);
    advance(5 * 60 * 1000 - 1000);
    assert_int_equal(code_with(old), 0);
    advance(1000);
    assert_int_equal(code_with(old), 40001);
    assert_int_equal(code_with(new), 0);
    assert_int_equal(code_with(stable), 0);                           /* side by side */
}

/* ---- content check ---- */

static const json_t *check(const char *body)
{
    return ask(&b, fmt("POST /wxa/msg_sec_check?access_token=", stable_token()), body);
}

static const char *v2(const char *openid, const char *rest)
{
    return arena_printf(b.a, "{\"version\":2,\"openid\":\"%s\",%s}", openid, rest).p;
}

static void words_decide_the_verdict(void **state)
{
    (void)state;
    static const struct { const char *rest, *suggest; int label; } rows[] = {
        { "\"scene\":1,\"content\":\"今天很开心\"", "pass", 100 }, { "\"scene\":2,\"content\":\"这是违规测试啊\"", "risky", 20006 }, { "\"scene\":3,\"content\":\"复审测试\"", "review", 21000 },
        { "\"scene\":4,\"content\":\"特3456书yuuo莞6543李zxcz蒜7782法fgnv级完2347全dfji试\"", "risky", 20006 }, { "\"scene\":1,\"content\":\"ok\",\"title\":\"广告测试\"", "risky", 10001 },
        { "\"scene\":1,\"content\":\"复审测试\",\"nickname\":\"辱骂测试\"", "risky", 20003 },
    };
    const char *openid = openid_of_person("bob");
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const json_t *answer = check(v2(openid, rows[i].rest)), *result = json_object_get(answer, "result");
        assert_int_equal(json_integer_value(json_object_get(answer, "errcode")), 0);
        assert_string_equal(text_in(result, "suggest"), rows[i].suggest);
        assert_int_equal(json_integer_value(json_object_get(result, "label")), rows[i].label);
        assert_true(json_array_size(json_object_get(answer, "detail")) >= 1);
        text_in(answer, "trace_id");
    }
    assert_int_equal(json_integer_value(json_object_get(check("{\"content\":\"违规测试\"}"), "errcode")), 87014);
    assert_int_equal(json_integer_value(json_object_get(check("{\"content\":\"复审测试\"}"), "errcode")), 0);
}

static void checks_are_checked(void **state)
{
    (void)state;
    const char *openid = openid_of_person("bob");
    struct buf text;
    buf_init(&text, 100000);
    for (int i = 0; i < 2500; i++) buf_add_z(&text, "字");
    buf_add(&text, "", 1);
    const char *just = arena_printf(b.a, "\"scene\":1,\"content\":\"%s\"", text.p).p, *more = arena_printf(b.a, "\"scene\":1,\"content\":\"%s字\"", text.p).p;
    const struct { const char *body; int64_t code; } rows[] = {
        { "", 44002 }, { "x", 47001 }, { "{}", 47001 }, { "{\"content\":5}", 47001 }, { "{\"content\":\"\"}", 44002 }, { "{\"version\":3,\"content\":\"x\"}", 47001 },
        { "{\"version\":2,\"content\":\"x\",\"scene\":1}", 40003 }, { v2("oGZUI0egBJY1zhBYw2KhdUfwVJJE", "\"content\":\"x\",\"scene\":1"), 40003 },
        { v2(openid, "\"content\":\"x\""), 40129 }, { v2(openid, "\"content\":\"x\",\"scene\":0"), 40129 }, { v2(openid, "\"content\":\"x\",\"scene\":5"), 40129 }, { v2(openid, just), 0 }, { v2(openid, more), 45002 },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        int64_t code = json_integer_value(json_object_get(check(rows[i].body), "errcode"));
        if (code != rows[i].code) fail_msg("row %zu: %lld", i, (long long)code);
    }
    buf_done(&text);
}

/* ---- subscribe messages ---- */

static int64_t send_to(const char *openid, const char *template_id, const char *data)
{
    const char *body = arena_printf(b.a, "{\"touser\":\"%s\",\"template_id\":\"%s\",\"page\":\"index?a=b\",\"data\":%s}", openid, template_id, data).p;
    return errcode_of(&b, fmt("POST /cgi-bin/message/subscribe/send?access_token=", stable_token()), body);
}

static void each_consent_is_good_for_one_message(void **state)
{
    (void)state;
    const char *openid = openid_of_person("bob"), *good = "{\"thing1\":{\"value\":\"弦乐分排\"},\"number2\":{\"value\":7}}";
    assert_int_equal(send_to(openid, "T-1", good), 43101);
    ask(&b, "POST /_sandbox/mp/consent", "{\"person\":\"bob\",\"template_id\":\"T-1\",\"count\":2}");
    assert_int_equal(b.last.status, 200);
    assert_int_equal(send_to(openid, "T-1", "{\"thing1\":{\"value\":\"\"}}"), 47003);
    assert_int_equal(send_to(openid, "T-1", good), 0);
    assert_int_equal(send_to(openid, "T-2", good), 43101);
    assert_int_equal(send_to(openid, "T-1", good), 0);
    assert_int_equal(send_to(openid, "T-1", good), 43101);
    const json_t *items = json_object_get(ask(&b, "GET /_sandbox/sent?since=0", ""), "items"), *item = json_array_get(items, 1);
    assert_int_equal(json_array_size(items), 2);
    assert_string_equal(text_in(item, "channel"), "mp");
    assert_string_equal(text_in(item, "to"), "bob");
    assert_string_equal(text_in(item, "text"), "弦乐分排\n7");
    assert_string_equal(text_in(json_object_get(item, "raw"), "touser"), openid);
    assert_int_equal(json_array_size(json_object_get(ask(&b, "GET /_sandbox/sent?since=1", ""), "items")), 1);
}

static void subscribe_errors_have_wechats_codes(void **state)
{
    (void)state;
    const char *openid = openid_of_person("bob"), *good = "{\"thing1\":{\"value\":\"x\"}}";
    ask(&b, "POST /_sandbox/mp/consent", "{\"person\":\"bob\",\"template_id\":\"T\",\"count\":5}");
    assert_int_equal(send_to("o123", "T", good), 40003);
    assert_int_equal(send_to(openid, "", good), 40037);
    assert_int_equal(send_to(openid, "T T", good), 40037);
    assert_int_equal(send_to(openid, "T", "{}"), 47003);
    assert_int_equal(send_to(openid, "T", "[]"), 47003);
    assert_int_equal(send_to(openid, "T", "{\"thing1\":\"x\"}"), 47003);
    ask(&b, fmt("POST /cgi-bin/message/subscribe/send?access_token=", stable_token()),
        arena_printf(b.a, "{\"touser\":\"%s\",\"template_id\":\"T\",\"data\":{\"phrase1\":{\"value\":\"not Han\"}}}", openid).p);
    assert_non_null(strstr(b.last.out.p, "argument invalid! data.phrase1.value invalid rid: "));
    ask(&b, fmt("POST /cgi-bin/message/subscribe/send?access_token=", stable_token()),
        arena_printf(b.a, "{\"touser\":\"%s\",\"template_id\":\"T\",\"page\":\"https://x\",\"data\":%s}", openid, good).p);
    assert_non_null(strstr(b.last.out.p, "41030"));
    assert_int_equal(person_consent(world_person(&b.s->world, SPAN("bob")), SPAN("T")), 5);
}

/* ---- control ---- */

static void control_calls_are_checked(void **state)
{
    (void)state;
    static const struct { const char *line, *body; int status; } rows[] = {
        { "POST /_sandbox/reset", "{}", 200 }, { "POST /_sandbox/reset", "", 200 }, { "POST /_sandbox/reset", "[]", 400 }, { "GET /_sandbox/reset", "", 405 }, { "GET /_sandbox/none", "", 404 },
        { "GET /_sandbox", "", 200 }, { "GET /_sandbox/", "", 200 }, { "GET /_sandbox/world/", "", 200 }, { "HEAD /_sandbox/world", "", 200 }, { "POST /_sandbox/world", "", 405 },
        { "POST /_sandbox/people", "{\"name\":\"zoe\"}", 200 }, { "POST /_sandbox/people", "{}", 400 }, { "POST /_sandbox/people", "{\"name\":\"\"}", 400 },
        { "POST /_sandbox/people", "{\"name\":\"zoe\",\"sex\":3}", 400 }, { "POST /_sandbox/people", "{\"name\":\"zoe\",\"sex\":\"1\"}", 400 },
        { "POST /_sandbox/people", "{\"name\":\"zoe\",\"city\":5}", 400 }, { "POST /_sandbox/people", "{\"name\":\"zoe\",\"friend\":0}", 400 }, { "POST /_sandbox/people", "not json", 400 },
        { "POST /_sandbox/rooms", "{\"name\":\"club\",\"members\":[\"me\",\"鲍勃\"],\"owner\":\"bob\"}", 200 }, { "POST /_sandbox/rooms", "{\"name\":\"club\",\"nickname\":\"俱乐部\"}", 200 },
        { "POST /_sandbox/rooms", "{\"name\":\"x\"}", 400 }, { "POST /_sandbox/rooms", "{\"name\":\"x\",\"members\":[]}", 400 }, { "POST /_sandbox/rooms", "{\"name\":\"x\",\"members\":[\"me\",\"me\"]}", 400 },
        { "POST /_sandbox/rooms", "{\"name\":\"x\",\"members\":[\"nobody\"]}", 400 }, { "POST /_sandbox/rooms", "{\"name\":\"x\",\"members\":[\"me\"],\"owner\":\"bob\"}", 400 },
        { "POST /_sandbox/mp/code", "{}", 400 }, { "POST /_sandbox/mp/code", "{\"person\":\"nobody\"}", 404 }, { "POST /_sandbox/mp/consent", "{\"person\":\"bob\",\"template_id\":\"T\"}", 400 },
        { "POST /_sandbox/mp/consent", "{\"person\":\"bob\",\"template_id\":\"T\",\"count\":-1}", 400 }, { "GET /_sandbox/sent?since=x", "", 400 }, { "GET /_sandbox/sent?wait=-1", "", 400 },
        { "GET /_sandbox/sent?wait=60001", "", 400 }, { "GET /_sandbox/requests", "", 200 }, { "POST /_sandbox/clock", "{\"advance_ms\":-1}", 400 }, { "POST /_sandbox/clock", "{\"advance_ms\":5}", 200 },
        { "POST /_sandbox/clock", "{\"advance_ms\":9223372036854775807}", 400 }, { "POST /_sandbox/faults", "{\"status\":99}", 400 }, { "POST /_sandbox/faults", "{\"status\":\"502\"}", 400 },
        { "POST /_sandbox/faults", "{\"drop\":\"jscode\"}", 400 }, { "POST /_sandbox/faults", "{\"drop\":[\"jscode2session\",\"subscribe/send\"]}", 200 }, { "POST /_sandbox/faults", "{}", 200 },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        ask(&b, rows[i].line, rows[i].body);
        if (b.last.status != rows[i].status) fail_msg("%s %s: %d", rows[i].line, rows[i].body, b.last.status);
        if (rows[i].status == 405) assert_non_null(b.last.headers);
    }
}

static void control_speaks_both_languages_and_names_the_knobs(void **state)
{
    (void)state;
    const char *en = "Host: localhost:1\r\nAccept-Language: fr, en;q=0.8, zh;q=0.5\r\n", *zh = "Host: localhost:1\r\nAccept-Language: en;q=0.5, zh-CN\r\n";
    const json_t *answer = ask_with(&b, "POST /_sandbox/faults", en, "{\"dropp\":1}");
    assert_int_equal(b.last.status, 400);
    assert_int_equal(json_integer_value(json_object_get(answer, "errcode")), 400);
    assert_non_null(strstr(text_in(answer, "errmsg"), "no such knob"));
    assert_non_null(strstr(text_in(answer, "errmsg"), "hold_ms"));
    answer = ask_with(&b, "POST /_sandbox/faults", zh, "{\"dropp\":1}");
    assert_non_null(strstr(text_in(answer, "errmsg"), "没有这个旋钮"));
    answer = ask(&b, "GET /_sandbox/none", "");
    assert_non_null(strstr(text_in(answer, "errmsg"), "没有"));
}

static void control_is_for_this_machine_only(void **state)
{
    (void)state;
    static const struct { const char *headers; int status; } rows[] = {
        { "Host: 127.0.0.1\r\n", 200 }, { "Host: localhost:8001\r\n", 200 }, { "Host: [::1]:8001\r\n", 200 }, { "Host: 127.8.9.10:1\r\n", 200 }, { "Host: weir.localhost\r\n", 200 },
        { "Host: evil.example\r\n", 403 }, { "Host: 127.0.0.1.evil.example\r\n", 403 }, { "Host: localhost.evil.example\r\n", 403 }, { "Host: 10.0.0.1\r\n", 403 }, { "Host: wx.qq.com\r\n", 403 },
        { "Host: 127.0.0.1:8001\r\nOrigin: http://127.0.0.1:8001\r\n", 200 }, { "Host: 127.0.0.1:8001\r\nOrigin: http://evil.example\r\n", 403 },
        { "Host: 127.0.0.1:8001\r\nOrigin: null\r\n", 403 }, { "Host: 127.0.0.1:8001\r\nOrigin: http://127.0.0.1:8000\r\n", 403 },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        ask_with(&b, "GET /_sandbox/world", rows[i].headers, "");
        if (b.last.status != rows[i].status) fail_msg("%s: %d", rows[i].headers, b.last.status);
    }
    /* from another machine: even with a good name */
    b.last.out.n = 0;
    b.last.loopback = false;
    control_run(&b.last);
    assert_int_equal(b.last.status, 403);
    /* WeChat's own calls have no such rule: clients keep the Host they think they talk to */
    ask_with(&b, LOGIN "demo-me", "Host: api.weixin.qq.com\r\n", "");
    assert_int_equal(b.last.status, 200);
}

static void a_reset_forgets_everything(void **state)
{
    (void)state;
    const char *token = stable_token(), *openid = openid_of_person("zoe");
    ask(&b, "POST /_sandbox/mp/consent", "{\"person\":\"zoe\",\"template_id\":\"T\",\"count\":1}");
    assert_int_equal(send_to(openid, "T", "{\"thing1\":{\"value\":\"x\"}}"), 0);
    ask(&b, "POST /_sandbox/faults", "{\"status\":502}");
    ask(&b, "POST /_sandbox/people", "{\"name\":\"bob\",\"nickname\":\"改名\"}");
    assert_int_equal(errcode_of(&b, "POST /_sandbox/reset", "{}"), 0);
    assert_int_equal(code_with(token), 40001);
    assert_null(world_person(&b.s->world, SPAN("zoe")));
    assert_string_equal(world_person(&b.s->world, SPAN("bob"))->nickname, "鲍勃");
    assert_int_equal(json_object_size(ask(&b, "GET /_sandbox/faults", "")), 0);
    const json_t *sent = ask(&b, "GET /_sandbox/sent?since=0", "");
    assert_int_equal(json_array_size(json_object_get(sent, "items")), 0);
    assert_int_equal(json_integer_value(json_object_get(sent, "last")), 1);   /* numbers go on, so that a poller is not deaf */
    assert_string_equal(openid_of_person("zoe"), openid);
}

static void the_world_is_shown_without_secrets(void **state)
{
    (void)state;
    const char *key = text_in(ask(&b, LOGIN "demo-bob", ""), "session_key"), *token = stable_token();
    const json_t *world = ask(&b, "GET /_sandbox/world", "");
    assert_int_equal(json_array_size(json_object_get(world, "people")), 145);
    assert_int_equal(json_array_size(json_object_get(world, "rooms")), 2);
    assert_int_equal(json_array_size(json_object_get(world, "accounts")), 2);
    assert_int_equal(json_array_size(json_object_get(world, "sessions")), 1);
    buf_add(&b.last.out, "", 1);
    assert_null(strstr(b.last.out.p, key));
    assert_null(strstr(b.last.out.p, token));
    assert_null(strstr(b.last.out.p, SANDBOX_SECRET));
}

static void a_seed_repeats_codes_and_tokens(void **state)
{
    (void)state;
    struct bench one, two;
    bench_up(&one, true, 5);
    bench_up(&two, true, 5);
    assert_string_equal(text_in(ask(&one, "POST /cgi-bin/stable_token", STABLE), "access_token"), text_in(ask(&two, "POST /cgi-bin/stable_token", STABLE), "access_token"));
    const char *code = text_in(ask(&one, "POST /_sandbox/mp/code", "{\"person\":\"me\"}"), "code");
    assert_string_equal(code, text_in(ask(&two, "POST /_sandbox/mp/code", "{\"person\":\"me\"}"), "code"));
    assert_string_not_equal(code, text_in(ask(&b, "POST /_sandbox/mp/code", "{\"person\":\"me\"}"), "code"));
    bench_down(&one);
    bench_down(&two);
}

static void the_page_is_one_file_of_ours(void **state)
{
    (void)state;
    ask(&b, "GET /", "");
    assert_int_equal(b.last.status, 200);
    assert_non_null(strstr(b.last.headers, "default-src 'none'"));
    buf_add(&b.last.out, "", 1);
    assert_null(strstr(b.last.out.p, "http://"));
    assert_null(strstr(b.last.out.p, "https://"));
    assert_null(strstr(b.last.out.p, "innerHTML"));
    assert_non_null(strstr(b.last.out.p, "</html>"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(login_answers_openid_and_key), T(login_errors_have_wechats_codes), T(errors_end_in_a_request_id), T(a_code_is_good_once_and_for_five_minutes), T(a_user_logs_in_a_hundred_times_a_minute),
        T(a_unionid_comes_only_if_there_is_one), T(token_requests_are_checked), T(wrong_tokens_are_told_apart), T(the_stable_token_is_the_same_until_its_last_minutes),
        T(a_forced_refresh_kills_the_old_token_and_is_rare), T(the_plain_token_leaves_its_forerunner_five_minutes), T(words_decide_the_verdict), T(checks_are_checked),
        T(each_consent_is_good_for_one_message), T(subscribe_errors_have_wechats_codes), T(control_calls_are_checked), T(control_speaks_both_languages_and_names_the_knobs),
        T(control_is_for_this_machine_only), T(a_reset_forgets_everything), T(the_world_is_shown_without_secrets), T(a_seed_repeats_codes_and_tokens), T(the_page_is_one_file_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
