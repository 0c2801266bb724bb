/* wechat/mp.c: the calls of mp.h. Each builds its request with the wire's writers, so that no text from outside can change its shape, lets mp_call.c do the speaking, and reads
 * the answer by exact types. While a call runs the arena's escape is disarmed: curl, jansson and the token's lock stand in between; no memory is an outage like others. */
#include "wechat/mp.h"

#include <stdio.h>

#include "base/clock.h"
#include "wechat/mp_in.h"
#include "wire/form.h"
#include "wire/json.h"

enum { CHUNK_CHARS = 2500, OVERLAP_CHARS = 100, SHORT_CHARS = 200, BODY_BYTES = 64 * 1024 };

/* ---- life ---- */

static char *copy_z(struct span s)
{
    char *z = base_alloc(s.n + 1);
    if (!z) return NULL;
    if (s.n) memcpy(z, s.p, s.n);
    z[s.n] = '\0';
    return z;
}

static void free_secret(char *z)
{
    if (z) explicit_bzero(z, strlen(z));
    free(z);
}

struct wechat_mp *wechat_mp_new(const struct wechat_mp_config *config, struct buf *err)
{
    struct span url = config->api_url;
    while (url.n && url.p[url.n - 1] == '/') url.n--;
    const char *wrong = !span_begins(url, SPAN("http://")) && !span_begins(url, SPAN("https://")) ? "wechat.api_url must begin with https:// (or http:// for a sandbox)"
        : span_find(url, '?') >= 0 || span_find(url, '#') >= 0 ? "wechat.api_url must have no query"
        : config->appid.n == 0 || config->appid.n > 64 ? "wechat.appid is empty or too long"
        : config->secret.n == 0 || config->secret.n > 256 ? "wechat.secret is empty or too long" : NULL;
    if (wrong) {
        buf_add_z(err, wrong);
        return NULL;
    }
    struct wechat_mp *mp = base_alloc(sizeof *mp);
    if (!mp) {
        buf_add_z(err, "out of memory");
        return NULL;
    }
    *mp = (struct wechat_mp){ .api_url = copy_z(url), .appid = copy_z(config->appid), .secret = copy_z(config->secret), .mono_ms = config->mono_ms ? config->mono_ms : clock_mono_ms };
    if (mp->api_url && mp->appid && mp->secret && mp_token_init(&mp->token)) return mp;
    buf_add_z(err, "out of memory");
    free(mp->api_url);
    free(mp->appid);
    free_secret(mp->secret);
    free(mp);
    return NULL;
}

void wechat_mp_free(struct wechat_mp **at)
{
    struct wechat_mp *mp = *at;
    if (!mp) return;
    mp_token_done(&mp->token);
    free(mp->api_url);
    free(mp->appid);
    free_secret(mp->secret);
    free(mp);
    *at = NULL;
}

/* ---- jscode2session ---- */

static void put_query(struct buf *b, const char *name, struct span value)
{
    buf_add_z(b, name);
    url_encode(b, value);
}

static struct span text_of(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return json_is_string(v) ? json_span(v) : (struct span){ NULL, 0 };
}

static void code2session(struct wechat_mp *mp, struct arena *a, struct span code, int64_t deadline_mono_ms, struct wechat_session *out)
{
    struct buf b;
    buf_init(&b, 8 * 1024);
    put_query(&b, "/sns/jscode2session?appid=", span_of(mp->appid));
    put_query(&b, "&secret=", span_of(mp->secret));
    put_query(&b, "&js_code=", code);
    buf_add_z(&b, "&grant_type=authorization_code");
    json_t *answer = NULL;
    if (b.failed) mp_outcome(&out->outcome, WECHAT_OUTAGE, 0, "jscode2session: out of memory");
    else answer = mp_call(mp, a, &(struct wechat_request){ .path_query = buf_span(&b) }, deadline_mono_ms, &out->outcome);
    if (b.p) explicit_bzero(b.p, b.n);
    buf_done(&b);
    if (!answer) return;
    out->openid = text_of(answer, "openid");
    out->session_key = text_of(answer, "session_key");
    out->unionid = text_of(answer, "unionid");
    if (out->openid.n == 0 || out->openid.n > LIMIT_OPENID_BYTES || out->session_key.n == 0)
        mp_outcome(&out->outcome, WECHAT_UNCERTAIN, 0, "jscode2session: the answer has no usable openid and session_key");
}

void wechat_code2session(struct wechat_mp *mp, struct arena *a, struct span code, int64_t deadline_mono_ms, struct wechat_session *out)
{
    *out = (struct wechat_session){ .outcome.fault = WECHAT_OK };
    if (code.n == 0 || code.n > 512) {
        /* what WeChat would say too, without asking it */
        mp_outcome(&out->outcome, WECHAT_REFUSED, code.n ? 40029 : 41008, "jscode2session: %s", code.n ? "the code is too long" : "there is no code");
        return;
    }
    jmp_buf *armed = arena_arm(a, NULL);
    code2session(mp, a, code, deadline_mono_ms, out);
    arena_arm(a, armed);
}

/* ---- msg_sec_check ---- */

static void check_once(struct wechat_mp *mp, struct arena *a, const struct wechat_text *t, struct span content, bool first, int64_t deadline_mono_ms, struct wechat_verdict *out)
{
    struct buf b;
    buf_init(&b, BODY_BYTES);
    struct jout o;
    jout_init(&o, &b);
    jout_begin_object(&o);
    jout_put_int(&o, "version", 2);
    jout_put(&o, "openid", t->openid);
    jout_put_int(&o, "scene", t->scene);
    jout_put(&o, "content", content);
    if (first && t->title.n) jout_put(&o, "title", t->title);
    if (first && t->nickname.n) jout_put(&o, "nickname", t->nickname);
    jout_end_object(&o);
    json_t *answer = NULL;
    if (b.failed) mp_outcome(&out->outcome, WECHAT_OUTAGE, 0, "msg_sec_check: out of memory");
    else answer = mp_call_token(mp, a, "/wxa/msg_sec_check", buf_span(&b), false, deadline_mono_ms, &out->outcome);
    buf_done(&b);
    if (out->outcome.fault == WECHAT_UNCERTAIN) out->outcome.fault = WECHAT_OUTAGE;      /* asking twice does no harm */
    if (!answer) return;
    const json_t *result = json_object_get(answer, "result"), *label = json_object_get(result, "label");
    struct span suggest = text_of(result, "suggest");
    enum wechat_suggest s = span_is(suggest, SPAN("pass")) ? WECHAT_PASS : span_is(suggest, SPAN("review")) ? WECHAT_REVIEW : WECHAT_RISKY;
    if (s == WECHAT_RISKY && !span_is(suggest, SPAN("risky"))) {
        mp_outcome(&out->outcome, WECHAT_OUTAGE, 0, "msg_sec_check: the answer has no result that is known");
        return;
    }
    if (s < out->suggest) return;
    if (s > out->suggest || out->label == 0) out->label = json_is_integer(label) ? json_integer_value(label) : 0;
    out->suggest = s;
}

/* Long titles and nicknames are checked as a part of the content, for which alone WeChat promises a length. */
static struct span gather(struct arena *a, struct wechat_text *t)
{
    struct span parts[3] = { t->title, t->nickname, t->content };
    if (utf8_count(parts[0]) <= SHORT_CHARS) parts[0].n = 0;
    else t->title.n = 0;
    if (utf8_count(parts[1]) <= SHORT_CHARS) parts[1].n = 0;
    else t->nickname.n = 0;
    if (parts[0].n == 0 && parts[1].n == 0) {
        /* content must not be empty: a lone title is content */
        if (parts[2].n) return parts[2];
        struct span *alone = t->title.n ? &t->title : &t->nickname;
        struct span moved = *alone;
        alone->n = 0;
        return moved;
    }
    return arena_printf(a, "%.*s\n%.*s\n%.*s", SPAN_ARGS(parts[0]), SPAN_ARGS(parts[1]), SPAN_ARGS(parts[2]));
}

static void sec_check(struct wechat_mp *mp, struct arena *a, const struct wechat_text *text, int64_t deadline_mono_ms, struct wechat_verdict *out)
{
    struct wechat_text t = *text;
    struct span rest = gather(a, &t);
    if (!rest.p) {
        mp_outcome(&out->outcome, WECHAT_OUTAGE, 0, "msg_sec_check: out of memory");
        return;
    }
    for (bool first = true;; first = false) {
        struct span chunk = utf8_head(rest, CHUNK_CHARS);
        check_once(mp, a, &t, chunk, first, deadline_mono_ms, out);
        if (out->outcome.fault != WECHAT_OK || out->suggest == WECHAT_RISKY || chunk.n == rest.n) return;
        rest = span_cut(rest, utf8_head(rest, CHUNK_CHARS - OVERLAP_CHARS).n);
    }
}

void wechat_msg_sec_check(struct wechat_mp *mp, struct arena *a, const struct wechat_text *t, int64_t deadline_mono_ms, struct wechat_verdict *out)
{
    *out = (struct wechat_verdict){ .suggest = WECHAT_PASS };
    if (t->title.n == 0 && t->content.n == 0 && t->nickname.n == 0) {
        out->label = 100;
        return;
    }
    if (!utf8_valid(t->title) || !utf8_valid(t->content) || !utf8_valid(t->nickname)) {
        mp_outcome(&out->outcome, WECHAT_REFUSED, 47001, "msg_sec_check: the text is no UTF-8");
        return;
    }
    jmp_buf *armed = arena_arm(a, NULL);
    sec_check(mp, a, t, deadline_mono_ms, out);
    arena_arm(a, armed);
}

/* ---- subscribe/send ---- */

static void write_subscribe(struct buf *b, const struct wechat_subscribe *s)
{
    struct jout o;
    jout_init(&o, b);
    jout_begin_object(&o);
    jout_put(&o, "touser", s->openid);
    jout_put(&o, "template_id", s->template_id);
    if (s->page.n) jout_put(&o, "page", s->page);
    jout_put_z(&o, "miniprogram_state", s->state ? s->state : "formal");
    jout_put_z(&o, "lang", s->lang ? s->lang : "zh_CN");
    jout_key(&o, "data");
    jout_begin_object(&o);
    for (size_t i = 0; i < s->field_count; i++) {
        jout_key_span(&o, s->fields[i].key);
        jout_begin_object(&o);
        jout_put(&o, "value", s->fields[i].value);
        jout_end_object(&o);
    }
    jout_end_object(&o);
    jout_end_object(&o);
}

static void subscribe_send(struct wechat_mp *mp, struct arena *a, const struct wechat_subscribe *s, int64_t deadline_mono_ms, struct wechat_sent *out)
{
    struct buf b;
    buf_init(&b, BODY_BYTES);
    write_subscribe(&b, s);
    json_t *answer = NULL;
    if (b.failed) mp_outcome(&out->outcome, WECHAT_REFUSED, 45002, "subscribe/send: the message is too long");
    else answer = mp_call_token(mp, a, "/cgi-bin/message/subscribe/send", buf_span(&b), true, deadline_mono_ms, &out->outcome);
    buf_done(&b);
    if (!answer) return;
    const json_t *id = json_object_get(answer, "msgid");         /* a number; a string is taken too */
    out->msgid = json_is_integer(id) ? arena_printf(a, "%lld", (long long)json_integer_value(id)) : text_of(answer, "msgid");
}

void wechat_subscribe_send(struct wechat_mp *mp, struct arena *a, const struct wechat_subscribe *s, int64_t deadline_mono_ms, struct wechat_sent *out)
{
    *out = (struct wechat_sent){ .outcome.fault = WECHAT_OK };
    jmp_buf *armed = arena_arm(a, NULL);
    subscribe_send(mp, a, s, deadline_mono_ms, out);
    arena_arm(a, armed);
}
