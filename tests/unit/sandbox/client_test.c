/* wechat/ and net/fetch against the sandbox over real sockets: what each fault of the network and of WeChat becomes, and how often the token is asked for. */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/fetch.h"
#include "sandbox/sandbox.h"
#include "wechat/mp.h"
#include "wire/json.h"

enum { LONG_MS = 20000 };
static struct sandbox *sandbox;
static struct wechat_mp *mp;
static struct arena *arena;
static int port;
static _Atomic int64_t ahead_ms;
static int64_t moved_clock(void) { return clock_mono_ms() + atomic_load(&ahead_ms); }
static int64_t in_ms(int64_t ms) { return clock_mono_ms() + ms; }

/* ---- the bench ---- */

static json_t *control(const char *path, const char *body)
{
    struct fetch_reply r;
    struct span url = arena_printf(arena, "http://127.0.0.1:%d/_sandbox/%s", port, path);
    fetch(arena, &(struct fetch_request){ .method = body ? HTTP_POST : HTTP_GET, .url = url, .body = span_of(body), .timeout_ms = LONG_MS, .max_response_bytes = 8 << 20 }, &r);
    if (r.fault != FETCH_OK || r.status != 200) fail_msg("%s: %s %d %.*s", path, r.why, r.status, SPAN_ARGS(r.body));
    struct span why;
    json_t *answer = json_read(arena, r.body, &why);
    assert_non_null(answer);
    return answer;
}

static size_t count_requests(const char *path, const char *person)
{
    size_t n = 0, i;
    const json_t *item, *items = json_object_get(control("requests", NULL), "items");
    json_array_foreach((json_t *)(uintptr_t)items, i, item) {
        const char *who = json_string_value(json_object_get(item, "person"));
        if (strcmp(json_string_value(json_object_get(item, "path")), path) == 0 && (!person || (who && strcmp(who, person) == 0))) n++;
    }
    return n;
}

static int up(void **state)
{
    (void)state;
    struct buf err;
    buf_init(&err, 1000);
    atomic_store(&ahead_ms, 0);
    arena = arena_new(64 << 20);
    sandbox = sandbox_new(&(struct sandbox_config){ .seed = 1 }, &err);
    port = sandbox ? sandbox_listen(sandbox, "127.0.0.1:0", &err) : -1;
    if (port <= 0 || !sandbox_start(sandbox, &err)) fail_msg("%.*s", SPAN_ARGS(buf_span(&err)));
    mp = wechat_mp_new(&(struct wechat_mp_config){ arena_printf(arena, "http://127.0.0.1:%d/", port), SPAN(SANDBOX_APPID), SPAN(SANDBOX_SECRET), moved_clock }, &err);
    assert_non_null(mp);
    buf_done(&err);
    return 0;
}

static int down(void **state)
{
    (void)state;
    wechat_mp_free(&mp);
    sandbox_free(&sandbox);
    arena_free(&arena);
    fetch_thread_done();
    return 0;
}

static struct wechat_session login(const char *code, int64_t ms)
{
    struct wechat_session s;
    wechat_code2session(mp, arena, span_of(code), in_ms(ms), &s);
    return s;
}

static struct wechat_verdict check(struct span content, int64_t ms)
{
    struct wechat_verdict v;
    struct span openid = login("demo-bob", LONG_MS).openid;
    wechat_msg_sec_check(mp, arena, &(struct wechat_text){ .openid = openid, .scene = WECHAT_SCENE_SOCIAL, .content = content }, in_ms(ms), &v);
    return v;
}

static struct wechat_sent send_message(const char *value)
{
    struct wechat_sent out;
    struct wechat_field field = { SPAN("thing1"), span_of(value) };
    wechat_subscribe_send(mp, arena, &(struct wechat_subscribe){ .openid = login("demo-bob", LONG_MS).openid, .template_id = SPAN("T"), .fields = &field, .field_count = 1 }, in_ms(LONG_MS), &out);
    return out;
}

static void no_secrets(const struct wechat_outcome *o)
{
    static const char *const secrets[] = { SANDBOX_SECRET, "demo-", "js_code", "access_token=", "97_" };
    for (size_t i = 0; i < LENGTH(secrets); i++) if (strstr(o->why, secrets[i])) fail_msg("\"%s\" tells %s", o->why, secrets[i]);
    assert_int_equal(o->why[0] != '\0', o->fault != WECHAT_OK);
}

/* ---- login ---- */

static void login_tells_who_it_is(void **state)
{
    (void)state;
    struct wechat_session s = login("demo-bob", LONG_MS);
    assert_int_equal(s.outcome.fault, WECHAT_OK);
    no_secrets(&s.outcome);
    assert_int_equal(s.openid.n, 28);
    assert_int_equal(s.session_key.n, 24);
    assert_null(s.unionid.p);
    control("people", "{\"name\":\"bob\",\"unionid\":\"u&1\"}");
    assert_true(span_is(login("demo-bob", LONG_MS).unionid, SPAN("u&1")));
    assert_true(span_is(login("demo-bob", LONG_MS).openid, s.openid));
}

static void refusals_keep_wechats_code(void **state)
{
    (void)state;
    const char *code = arena_z(arena, json_span(json_object_get(control("mp/code", "{\"person\":\"bob\"}"), "code")));
    const struct { const char *code; int64_t errcode; } rows[] = {
        { "unknown", 40029 }, { code, 0 }, { code, 40163 }, { "", 41008 },
        { "demo-me&grant_type=other", 0 }, { "x&js_code=demo-me", 40029 }, { "x#&%\r\n ", 40029 },      /* names, not parameters: nothing can be injected */
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct wechat_session s = login(rows[i].code, LONG_MS);
        if (s.outcome.errcode != rows[i].errcode || s.outcome.fault != (rows[i].errcode ? WECHAT_REFUSED : WECHAT_OK)) fail_msg("%s: %lld %s", rows[i].code, (long long)s.outcome.errcode, s.outcome.why);
        no_secrets(&s.outcome);
    }
    assert_int_equal(count_requests("/sns/jscode2session", "me&grant_type=other"), 1);
}

static void outages_are_no_refusals(void **state)
{
    (void)state;
    control("faults", "{\"status\":502}");
    struct wechat_session s = login("demo-bob", LONG_MS);
    assert_int_equal(s.outcome.fault, WECHAT_UNCERTAIN);
    assert_int_equal(s.outcome.errcode, 0);
    no_secrets(&s.outcome);
    control("faults", "{\"status\":200}");                                     /* a captive portal: HTML where JSON should be */
    s = login("demo-bob", LONG_MS);
    assert_int_equal(s.outcome.fault, WECHAT_UNCERTAIN);
    no_secrets(&s.outcome);
    control("faults", "{\"drop\":\"jscode2session\"}");
    s = login("demo-bob", LONG_MS);
    assert_int_equal(s.outcome.fault, WECHAT_UNCERTAIN);
    no_secrets(&s.outcome);
    control("faults", "{\"hold_ms\":600000}");
    int64_t since = clock_mono_ms();
    s = login("demo-bob", 150);
    assert_int_equal(s.outcome.fault, WECHAT_UNCERTAIN);
    assert_true(clock_mono_ms() - since >= 140 && clock_mono_ms() - since < LONG_MS);
    no_secrets(&s.outcome);
    control("faults", "{}");
    assert_int_equal(login("demo-bob", LONG_MS).outcome.fault, WECHAT_OK);
    assert_int_equal(login("demo-bob", 0).outcome.fault, WECHAT_OUTAGE);       /* no time left: nothing was sent */
}

static void busy_is_tried_once_more(void **state)
{
    (void)state;
    control("faults", "{\"errcode\":-1,\"times\":1,\"path\":\"jscode2session\"}");
    assert_int_equal(login("demo-bob", LONG_MS).outcome.fault, WECHAT_OK);
    assert_int_equal(count_requests("/sns/jscode2session", NULL), 2);
    control("faults", "{\"errcode\":-1,\"times\":2}");
    struct wechat_session s = login("demo-bob", LONG_MS);
    assert_int_equal(s.outcome.fault, WECHAT_OUTAGE);
    assert_int_equal(s.outcome.errcode, -1);
    assert_int_equal(count_requests("/sns/jscode2session", NULL), 4);
    control("faults", "{\"rate\":1}");
    assert_int_equal(login("demo-bob", LONG_MS).outcome.fault, WECHAT_OK);
    assert_int_equal(login("demo-bob", LONG_MS).outcome.errcode, 45011);
}

static void nobody_there_is_an_outage(void **state)
{
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);                   /* bound and not listening: nobody else gets the port */
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof in;
    assert_int_equal(bind(fd, (struct sockaddr *)&in, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
    struct buf err;
    buf_init(&err, 1000);
    struct wechat_mp *lonely = wechat_mp_new(&(struct wechat_mp_config){ arena_printf(arena, "http://127.0.0.1:%d", ntohs(in.sin_port)), SPAN("a"), SPAN("b"), NULL }, &err);
    struct wechat_session s;
    wechat_code2session(lonely, arena, SPAN("c"), in_ms(LONG_MS), &s);
    assert_int_equal(s.outcome.fault, WECHAT_OUTAGE);
    struct wechat_verdict v;
    wechat_msg_sec_check(lonely, arena, &(struct wechat_text){ .openid = SPAN("o"), .scene = 1, .content = SPAN("x") }, in_ms(LONG_MS), &v);
    assert_int_equal(v.outcome.fault, WECHAT_OUTAGE);
    wechat_mp_free(&lonely);
    assert_null(wechat_mp_new(&(struct wechat_mp_config){ SPAN("ftp://x"), SPAN("a"), SPAN("b"), NULL }, &err));
    assert_null(wechat_mp_new(&(struct wechat_mp_config){ SPAN("https://x"), SPAN(""), SPAN("b"), NULL }, &err));
    buf_done(&err);
    close(fd);
}

/* ---- content check ---- */

static struct span repeat(const char *text, size_t times, const char *end)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < times; i++) buf_add_z(&b, text);
    buf_add_z(&b, end);
    struct span s = arena_copy(arena, buf_span(&b));
    buf_done(&b);
    return s;
}

static void texts_of_any_length_are_checked(void **state)
{
    (void)state;
    const struct { struct span text; enum wechat_suggest suggest; int64_t label; size_t calls; } rows[] = {
        { SPAN("今天很好"), WECHAT_PASS, 100, 1 }, { SPAN("违规测试"), WECHAT_RISKY, 20006, 1 }, { SPAN("复审测试"), WECHAT_REVIEW, 21000, 1 }, { SPAN(""), WECHAT_PASS, 100, 0 },
        { repeat("字", 2500, ""), WECHAT_PASS, 100, 1 }, { repeat("字", 2501, ""), WECHAT_PASS, 100, 2 }, { repeat("字", 2498, "违规测试"), WECHAT_RISKY, 20006, 2 },   /* across the cut */
        { repeat("字", 9000, "复审测试"), WECHAT_REVIEW, 21000, 4 }, { repeat("复审测试", 700, "违规测试"), WECHAT_RISKY, 20006, 2 }, { repeat("违规测试", 2500, ""), WECHAT_RISKY, 20006, 1 },
        { SPAN("\"},\"x\":{\""), WECHAT_PASS, 100, 1 },
    };
    size_t before = 0;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct wechat_verdict v = check(rows[i].text, LONG_MS);
        size_t now = count_requests("/wxa/msg_sec_check", NULL);
        if (v.outcome.fault != WECHAT_OK || v.suggest != rows[i].suggest || v.label != rows[i].label || now - before != rows[i].calls)
            fail_msg("row %zu: %s, %d, label %lld, %zu calls", i, v.outcome.why, v.suggest, (long long)v.label, now - before);
        before = now;
    }
    struct wechat_verdict v;
    struct span openid = login("demo-bob", LONG_MS).openid;
    wechat_msg_sec_check(mp, arena, &(struct wechat_text){ openid, 1, SPAN("违规测试"), SPAN("正文"), SPAN("") }, in_ms(LONG_MS), &v);
    assert_int_equal(v.suggest, WECHAT_RISKY);                                 /* a title alone */
    wechat_msg_sec_check(mp, arena, &(struct wechat_text){ openid, 1, repeat("题", 5000, "复审测试"), SPAN(""), SPAN("") }, in_ms(LONG_MS), &v);
    assert_int_equal(v.suggest, WECHAT_REVIEW);                                /* a long title becomes content */
    wechat_msg_sec_check(mp, arena, &(struct wechat_text){ openid, 1, SPAN(""), SPAN(""), SPAN("复审测试") }, in_ms(LONG_MS), &v);
    assert_int_equal(v.suggest, WECHAT_REVIEW);
    wechat_msg_sec_check(mp, arena, &(struct wechat_text){ SPAN("nobody"), 1, SPAN(""), SPAN("x"), SPAN("") }, in_ms(LONG_MS), &v);
    assert_int_equal(v.outcome.errcode, 40003);
    wechat_msg_sec_check(mp, arena, &(struct wechat_text){ openid, 1, SPAN(""), SPAN("\xff"), SPAN("") }, in_ms(LONG_MS), &v);
    assert_int_equal(v.outcome.fault, WECHAT_REFUSED);
}

/* ---- subscribe messages ---- */

static void a_message_is_sent_once_or_it_is_uncertain(void **state)
{
    (void)state;
    control("mp/consent", "{\"person\":\"bob\",\"template_id\":\"T\",\"count\":2}");
    struct wechat_sent sent = send_message("弦乐\"分排");
    assert_int_equal(sent.outcome.fault, WECHAT_OK);
    assert_true(sent.msgid.n > 10);
    assert_int_equal(send_message("一二三四五六七八九十一二三四五六七八九十一").outcome.errcode, 47003);
    control("faults", "{\"drop_after\":\"subscribe/send\"}");
    sent = send_message("x");
    assert_int_equal(sent.outcome.fault, WECHAT_UNCERTAIN);                   /* and it was done, once: a kept connection would have repeated it */
    no_secrets(&sent.outcome);
    control("faults", "{}");
    assert_int_equal(json_array_size(json_object_get(control("sent", NULL), "items")), 2);
    assert_int_equal(send_message("x").outcome.errcode, 43101);
}

/* ---- the token ---- */

static void the_token_is_fetched_when_needed_only(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) assert_int_equal(check(SPAN("x"), LONG_MS).outcome.fault, WECHAT_OK);
    assert_int_equal(count_requests("/cgi-bin/stable_token", NULL), 1);
    atomic_store(&ahead_ms, 7200 * 1000 - 301 * 1000);
    check(SPAN("x"), LONG_MS);
    assert_int_equal(count_requests("/cgi-bin/stable_token", NULL), 1);
    atomic_store(&ahead_ms, 7200 * 1000 - 299 * 1000);                         /* within the margin */
    check(SPAN("x"), LONG_MS);
    assert_int_equal(count_requests("/cgi-bin/stable_token", NULL), 2);
    check(SPAN("x"), LONG_MS);
    assert_int_equal(count_requests("/cgi-bin/stable_token", NULL), 2);
}

static void a_failed_refresh_goes_on_with_the_old_token(void **state)
{
    (void)state;
    check(SPAN("x"), LONG_MS);
    control("faults", "{\"status\":502,\"path\":\"stable_token\"}");
    atomic_store(&ahead_ms, 7200 * 1000 - 299 * 1000);
    assert_int_equal(check(SPAN("x"), LONG_MS).outcome.fault, WECHAT_OK);
    assert_int_equal(check(SPAN("x"), LONG_MS).outcome.fault, WECHAT_OK);
    assert_int_equal(count_requests("/cgi-bin/stable_token", NULL), 2);        /* and is not asked for again at once */
    atomic_store(&ahead_ms, 7200 * 1000 + 1000);
    struct wechat_verdict v = check(SPAN("x"), LONG_MS);
    assert_int_equal(v.outcome.fault, WECHAT_OUTAGE);
    no_secrets(&v.outcome);
    control("faults", "{}");
    assert_int_equal(check(SPAN("x"), LONG_MS).outcome.fault, WECHAT_OK);
}

static void a_dead_token_is_replaced_and_the_call_repeated(void **state)
{
    (void)state;
    check(SPAN("x"), LONG_MS);
    control("reset", "{}");                                                    /* 40001: WeChat has never heard of ours */
    assert_int_equal(check(SPAN("x"), LONG_MS).outcome.fault, WECHAT_OK);
    assert_int_equal(count_requests("/cgi-bin/stable_token", NULL), 1);
    assert_int_equal(count_requests("/wxa/msg_sec_check", NULL), 2);
    control("clock", "{\"advance_ms\":7201000}");                              /* 42001 */
    assert_int_equal(check(SPAN("x"), LONG_MS).outcome.fault, WECHAT_OK);
    assert_int_equal(count_requests("/cgi-bin/stable_token", NULL), 2);
    assert_int_equal(count_requests("/wxa/msg_sec_check", NULL), 4);
    control("faults", "{\"errcode\":40001,\"path\":\"msg_sec_check\"}");       /* never a loop */
    struct wechat_verdict v = check(SPAN("x"), LONG_MS);
    assert_int_equal(v.outcome.fault, WECHAT_REFUSED);
    assert_int_equal(v.outcome.errcode, 40001);
    no_secrets(&v.outcome);
    assert_int_equal(count_requests("/wxa/msg_sec_check", NULL), 6);
}

struct crowd { pthread_barrier_t gate; struct span openid; _Atomic int good; };

static void *one_of_the_crowd(void *arg)
{
    struct crowd *c = arg;
    struct arena *a = arena_new(1 << 20);
    struct wechat_verdict v;
    pthread_barrier_wait(&c->gate);
    wechat_msg_sec_check(mp, a, &(struct wechat_text){ .openid = c->openid, .scene = 1, .content = SPAN("x") }, in_ms(LONG_MS), &v);
    if (v.outcome.fault == WECHAT_OK && v.suggest == WECHAT_PASS) atomic_fetch_add(&c->good, 1);
    arena_free(&a);
    return NULL;
}

static void run_crowd(struct span openid)
{
    struct crowd c = { .openid = openid };
    pthread_t threads[8];
    pthread_barrier_init(&c.gate, NULL, LENGTH(threads));
    for (size_t i = 0; i < LENGTH(threads); i++) assert_int_equal(pthread_create(&threads[i], NULL, one_of_the_crowd, &c), 0);
    for (size_t i = 0; i < LENGTH(threads); i++) pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&c.good), 8);
    pthread_barrier_destroy(&c.gate);
}

static void many_threads_fetch_one_token(void **state)
{
    (void)state;
    struct span openid = login("demo-bob", LONG_MS).openid;
    control("faults", "{\"hold_ms\":200,\"path\":\"stable_token\"}");
    run_crowd(openid);
    assert_int_equal(count_requests("/cgi-bin/stable_token", NULL), 1);
    control("clock", "{\"advance_ms\":7201000}");                              /* all of them meet 42001; whoever comes late must not throw the new one away */
    run_crowd(openid);
    assert_int_equal(count_requests("/cgi-bin/stable_token", NULL), 2);
}

/* ---- fetch by itself ---- */

static void fetch_refuses_what_is_not_plain_http(void **state)
{
    (void)state;
    static const char *const urls[] = { "", "x", "ftp://127.0.0.1/", "file:///etc/passwd", "http://u:p@127.0.0.1/", "http://127.0.0.1/a b", "http://127.0.0.1/\r\nX: y", "gopher://127.0.0.1/" };
    for (size_t i = 0; i < LENGTH(urls); i++) {
        struct fetch_reply r;
        fetch(arena, &(struct fetch_request){ .url = span_of(urls[i]), .timeout_ms = LONG_MS }, &r);
        if (r.fault != FETCH_REFUSED) fail_msg("%s: %s", urls[i], fetch_fault_name(r.fault));
        assert_false(r.sent);
    }
    struct fetch_reply r;
    struct span url = arena_printf(arena, "http://127.0.0.1:%d/", port);
    fetch(arena, &(struct fetch_request){ .url = url, .timeout_ms = LONG_MS, .headers = &(struct http_header){ SPAN("X-A"), SPAN("b\r\nX-C: d") }, .header_count = 1 }, &r);
    assert_int_equal(r.fault, FETCH_REFUSED);
}

static void fetch_bounds_the_answer_and_follows_nobody(void **state)
{
    (void)state;
    struct fetch_reply r;
    struct span url = arena_printf(arena, "http://127.0.0.1:%d/?secret=abc", port);
    fetch(arena, &(struct fetch_request){ .url = url, .timeout_ms = LONG_MS, .max_response_bytes = 1000 }, &r);
    assert_int_equal(r.fault, FETCH_TOO_LARGE);
    assert_true(r.sent);
    assert_null(strstr(r.why, "secret"));
    fetch(arena, &(struct fetch_request){ .url = url, .timeout_ms = LONG_MS }, &r);
    assert_int_equal(r.fault, FETCH_OK);
    assert_int_equal(r.status, 200);
    assert_true(span_ends(r.body, SPAN("</html>\n")));
    assert_int_equal(r.why[0], '\0');
    fetch(arena, &(struct fetch_request){ .method = HTTP_HEAD, .url = url, .timeout_ms = LONG_MS }, &r);
    assert_int_equal(r.fault, FETCH_OK);
    assert_int_equal(r.body.n, 0);
    control("faults", "{\"status\":302}");
    fetch(arena, &(struct fetch_request){ .url = arena_printf(arena, "http://127.0.0.1:%d/cgi-bin/token", port), .timeout_ms = LONG_MS }, &r);
    assert_int_equal(r.status, 302);
    struct arena *tiny = arena_new(2000);
    fetch(tiny, &(struct fetch_request){ .url = url, .timeout_ms = LONG_MS }, &r);
    assert_int_equal(r.fault, FETCH_MEMORY);
    jmp_buf escape;
    int why = setjmp(escape);
    if (why == 0) {
        arena_arm(tiny, &escape);
        fetch(tiny, &(struct fetch_request){ .url = url, .timeout_ms = LONG_MS }, &r);
        fail_msg("the arena should have escaped");
    }
    arena_free(&tiny);
}

/* A TLS server with a certificate that nobody vouches for; it notes whether a client was content with it. */
struct tls_server { int fd; bool accepted; };

static SSL_CTX *self_signed(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(cert), -1000);
    X509_gmtime_adj(X509_getm_notAfter(cert), 100000);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)"127.0.0.1", -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    X509_free(cert);
    EVP_PKEY_free(key);
    return ctx;
}

static void *serve_tls_once(void *arg)
{
    struct tls_server *t = arg;
    SSL_CTX *ctx = self_signed();
    int fd = accept4(t->fd, NULL, NULL, SOCK_CLOEXEC);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    char request[1];
    t->accepted = SSL_accept(ssl) == 1 && SSL_read(ssl, request, 1) == 1;      /* a client may finish the handshake and then hang up: it must not send */
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    return NULL;
}

static void fetch_trusts_no_unknown_certificate(void **state)
{
    (void)state;
    struct tls_server t = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof in;
    pthread_t thread;
    assert_int_equal(bind(t.fd, (struct sockaddr *)&in, n), 0);
    assert_int_equal(listen(t.fd, 1), 0);
    assert_int_equal(getsockname(t.fd, (struct sockaddr *)&in, &n), 0);
    assert_int_equal(pthread_create(&thread, NULL, serve_tls_once, &t), 0);
    struct fetch_reply r;
    fetch(arena, &(struct fetch_request){ .url = arena_printf(arena, "https://127.0.0.1:%d/", ntohs(in.sin_port)), .timeout_ms = LONG_MS }, &r);
    pthread_join(thread, NULL);
    close(t.fd);
    assert_int_equal(r.fault, FETCH_UNREACHABLE);
    assert_false(r.sent);
    assert_false(t.accepted);
}

/* ---- polls and stopping ---- */

struct poll { size_t items; int64_t took_ms; struct arena *a; };

static void *poll_sent(void *arg)
{
    struct poll *p = arg;
    struct fetch_reply r;
    int64_t since = clock_mono_ms();
    struct span why;
    fetch(p->a, &(struct fetch_request){ .url = arena_printf(p->a, "http://127.0.0.1:%d/_sandbox/sent?since=0&wait=30000", port), .timeout_ms = 60000 }, &r);
    p->took_ms = clock_mono_ms() - since;
    json_t *answer = r.fault == FETCH_OK ? json_read(p->a, r.body, &why) : NULL;
    p->items = answer ? json_array_size(json_object_get(answer, "items")) : 99;
    return NULL;
}

static void a_poll_wakes_with_the_message(void **state)
{
    (void)state;
    pthread_t thread;
    struct poll p = { .a = arena_new(1 << 20) };
    control("mp/consent", "{\"person\":\"bob\",\"template_id\":\"T\",\"count\":1}");
    assert_int_equal(pthread_create(&thread, NULL, poll_sent, &p), 0);
    assert_int_equal(send_message("x").outcome.fault, WECHAT_OK);              /* before or after the poll began: it gets it either way */
    pthread_join(thread, NULL);
    assert_int_equal(p.items, 1);
    assert_true(p.took_ms < 25000);
    json_t *nothing = control("sent?since=1&wait=30", NULL);
    assert_int_equal(json_array_size(json_object_get(nothing, "items")), 0);
    arena_free(&p.a);
}

static void stopping_answers_who_waits(void **state)
{
    (void)state;
    pthread_t thread;
    struct poll p = { .a = arena_new(1 << 20) };
    int64_t since = clock_mono_ms();
    assert_int_equal(pthread_create(&thread, NULL, poll_sent, &p), 0);
    sandbox_stop(sandbox);                                                     /* before or after the poll arrived: it must not last its 30 s */
    pthread_join(thread, NULL);
    assert_true(clock_mono_ms() - since < 25000);
    assert_true(p.items == 0 || p.items == 99);
    arena_free(&p.a);
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(login_tells_who_it_is), T(refusals_keep_wechats_code), T(outages_are_no_refusals), T(busy_is_tried_once_more), T(nobody_there_is_an_outage), T(texts_of_any_length_are_checked),
        T(a_message_is_sent_once_or_it_is_uncertain), T(the_token_is_fetched_when_needed_only), T(a_failed_refresh_goes_on_with_the_old_token), T(a_dead_token_is_replaced_and_the_call_repeated),
        T(many_threads_fetch_one_token), T(fetch_refuses_what_is_not_plain_http), T(fetch_bounds_the_answer_and_follows_nobody), T(fetch_trusts_no_unknown_certificate), T(a_poll_wakes_with_the_message), T(stopping_answers_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
