/* wechat/mp_call.c: one request to WeChat's API: sent, answered, judged. Retries live here and are few: -1 ("busy") once after a pause, a token that is not taken once.
 * Nothing is repeated after a network fault, because a login code and a subscriber's consent can be used only once. */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "net/fetch.h"
#include "wechat/mp_in.h"
#include "wire/form.h"
#include "wire/json.h"

enum { ANSWER_BYTES = 256 * 1024, BUSY_PAUSE_MS = 200 };

void mp_outcome(struct wechat_outcome *out, enum wechat_fault fault, int64_t errcode, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    out->fault = fault;
    out->errcode = errcode;
    out->errmsg = (struct span){ NULL, 0 };
    vsnprintf(out->why, sizeof out->why, fmt, args);
    va_end(args);
}

/* "/cgi-bin/stable_token" -> "stable_token", for texts: what stands behind '?' is secret */
static struct span call_name(struct span path_query)
{
    size_t end = 0, begin = 0;
    while (end < path_query.n && path_query.p[end] != '?') {
        if (path_query.p[end] == '/') begin = end + 1;
        end++;
    }
    return span_from(path_query.p + begin, end - begin);
}

/* WeChat's text is for an operator's eyes; it goes into `why` without control bytes and cut at a sane length. */
static void refuse(struct wechat_outcome *out, struct span name, int64_t errcode, const json_t *errmsg)
{
    struct span text = json_is_string(errmsg) ? json_span(errmsg) : SPAN("");
    struct span shown = utf8_head(text, 120);
    if (shown.n > 160) shown = utf8_head(text, 40);
    char clean[161];
    for (size_t i = 0; i < shown.n; i++) clean[i] = (unsigned char)shown.p[i] < ' ' ? ' ' : shown.p[i];
    mp_outcome(out, errcode == -1 ? WECHAT_OUTAGE : WECHAT_REFUSED, errcode, "%.*s: WeChat says %lld %.*s", SPAN_ARGS(name), (long long)errcode, (int)shown.n, clean);
    out->errmsg = text;
}

/* One try. The tree, or NULL: then `out` says why. */
static json_t *attempt(struct arena *a, const char *url, const struct wechat_request *r, int64_t deadline_mono_ms, struct wechat_outcome *out)
{
    struct span name = call_name(r->path_query);
    struct http_header headers[] = { { SPAN("Accept"), SPAN("application/json") }, { SPAN("Content-Type"), SPAN("application/json; charset=utf-8") } };
    struct fetch_request q = { .method = r->body.n ? HTTP_POST : HTTP_GET, .url = span_of(url), .headers = headers, .header_count = r->body.n ? 2 : 1, .body = r->body,
        .timeout_ms = deadline_mono_ms - clock_mono_ms(), .max_response_bytes = ANSWER_BYTES, .once = r->once };
    struct fetch_reply reply;
    fetch(a, &q, &reply);
    if (reply.fault != FETCH_OK) {
        mp_outcome(out, reply.sent ? WECHAT_UNCERTAIN : WECHAT_OUTAGE, 0, "%.*s: %s: %s", SPAN_ARGS(name), fetch_fault_name(reply.fault), reply.why);
        return NULL;
    }
    if (reply.status != 200) {
        /* a gateway in between spoke; behind it the call may or may not have been done */
        mp_outcome(out, reply.status >= 500 ? WECHAT_UNCERTAIN : WECHAT_OUTAGE, 0, "%.*s: answered with HTTP %d instead of 200", SPAN_ARGS(name), reply.status);
        return NULL;
    }
    struct span why;
    json_t *answer = json_read(a, reply.body, &why);
    if (!json_is_object(answer)) {
        mp_outcome(out, WECHAT_UNCERTAIN, 0, "%.*s: the answer is no JSON object", SPAN_ARGS(name));
        return NULL;
    }
    const json_t *errcode = json_object_get(answer, "errcode");
    if (errcode && !json_is_integer(errcode)) {
        mp_outcome(out, WECHAT_UNCERTAIN, 0, "%.*s: the answer's errcode is no integer", SPAN_ARGS(name));
        return NULL;
    }
    if (errcode && json_integer_value(errcode) != 0) {
        refuse(out, name, json_integer_value(errcode), json_object_get(answer, "errmsg"));
        return NULL;
    }
    mp_outcome(out, WECHAT_OK, 0, "%s", "");
    return answer;
}

static void pause_ms(int64_t ms)
{
    struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    while (nanosleep(&left, &left) != 0) continue;
}

json_t *mp_call(struct wechat_mp *mp, struct arena *a, const struct wechat_request *r, int64_t deadline_mono_ms, struct wechat_outcome *out)
{
    struct span url = arena_printf(a, "%s%.*s", mp->api_url, SPAN_ARGS(r->path_query));
    if (!url.p) {
        mp_outcome(out, WECHAT_OUTAGE, 0, "out of memory");
        return NULL;
    }
    json_t *answer = attempt(a, url.p, r, deadline_mono_ms, out);
    if (!answer && out->fault == WECHAT_OUTAGE && out->errcode == -1 && deadline_mono_ms - clock_mono_ms() > 2 * BUSY_PAUSE_MS) {
        pause_ms(BUSY_PAUSE_MS);
        answer = attempt(a, url.p, r, deadline_mono_ms, out);
    }
    return answer;
}

static bool token_not_taken(const struct wechat_outcome *o)
{
    return o->fault == WECHAT_REFUSED && (o->errcode == 40001 || o->errcode == 40014 || o->errcode == 42001);
}

json_t *mp_call_token(struct wechat_mp *mp, struct arena *a, const char *path, struct span body, bool once, int64_t deadline_mono_ms, struct wechat_outcome *out)
{
    for (int tries = 0;; tries++) {
        struct span token;
        if (!mp_token_get(mp, a, deadline_mono_ms, &token, out)) return NULL;
        struct buf b;
        buf_init(&b, 4 * WECHAT_TOKEN_BYTES);
        buf_add_z(&b, path);
        buf_add_z(&b, "?access_token=");
        url_encode(&b, token);
        json_t *answer = NULL;
        if (b.failed) mp_outcome(out, WECHAT_OUTAGE, 0, "out of memory");
        else answer = mp_call(mp, a, &(struct wechat_request){ .path_query = buf_span(&b), .body = body, .once = once }, deadline_mono_ms, out);
        buf_done(&b);
        if (answer || !token_not_taken(out)) return answer;
        mp_token_drop(mp, token);
        if (tries == 1) return NULL;
    }
}
