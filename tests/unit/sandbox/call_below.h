/* call_below.h: for the tests of sandbox/: runs one request below the sockets and reads the answer. */
#ifndef WEIR_TEST_CALL_BELOW_H
#define WEIR_TEST_CALL_BELOW_H
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "sandbox/sandbox_in.h"

struct bench { struct sandbox *s; struct arena *a; struct call last; struct http_head head; };

static inline void bench_up(struct bench *b, bool repeatable, uint64_t seed)
{
    struct buf err;
    buf_init(&err, 1000);
    *b = (struct bench){ .a = arena_new(16 * 1024 * 1024), .s = sandbox_new(&(struct sandbox_config){ seed, repeatable }, &err) };
    assert_non_null(b->a);
    assert_non_null(b->s);
    buf_done(&err);
}

static inline void bench_down(struct bench *b)
{
    buf_done(&b->last.out);
    sandbox_free(&b->s);
    arena_free(&b->a);
}

/* `line`: "POST /_sandbox/people"; the answer's JSON (or NULL if it is none), whose status is b->last.status */
static inline json_t *ask_with(struct bench *b, const char *line, const char *headers, const char *body)
{
    buf_done(&b->last.out);
    struct span raw = arena_printf(b->a, "%s HTTP/1.1\r\n%s\r\n", line, headers);
    size_t scanned = 0;
    const char *why;
    b->last = (struct call){ .s = b->s, .a = b->a, .head = &b->head, .body = span_of(body), .loopback = true };
    assert_int_equal(http_head_parse(raw, &scanned, &b->head), (int)raw.n);
    assert_true(http_path_decode(b->a, b->head.path, &b->last.path));
    assert_true(form_parse(b->a, b->head.query, &b->last.query, &why));
    sandbox_call(&b->last, official_route(b->last.path));
    assert_false(b->last.out.failed);
    struct span reason;
    return json_read(b->a, buf_span(&b->last.out), &reason);
}

static inline json_t *ask(struct bench *b, const char *line, const char *body) { return ask_with(b, line, "Host: 127.0.0.1:8001\r\n", body); }

static inline int64_t errcode_of(struct bench *b, const char *line, const char *body)
{
    const json_t *answer = ask(b, line, body);
    assert_true(json_is_object(answer));
    return json_integer_value(json_object_get(answer, "errcode"));     /* 0 when there is none */
}

static inline const char *text_in(const json_t *object, const char *key)
{
    const char *z = json_string_value(json_object_get(object, key));
    assert_non_null(z);
    return z;
}

#define APP "appid=" SANDBOX_APPID "&secret=" SANDBOX_SECRET
#define LOGIN "GET /sns/jscode2session?" APP "&grant_type=authorization_code&js_code="
#define STABLE "{\"grant_type\":\"client_credential\",\"appid\":\"" SANDBOX_APPID "\",\"secret\":\"" SANDBOX_SECRET "\"}"
#define STABLE_FORCED "{\"grant_type\":\"client_credential\",\"appid\":\"" SANDBOX_APPID "\",\"secret\":\"" SANDBOX_SECRET "\",\"force_refresh\":true}"
#endif
