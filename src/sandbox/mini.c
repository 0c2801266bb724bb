/* sandbox/mini.c: the mini program's login, and the check of texts.
 *
 * Verdicts come from words in the text, so that tests and people can ask for each: a table below. The first line is the string that WeChat's documentation gives for trying. */
#include <stdio.h>

#include "sandbox/sandbox_in.h"

enum { LOGINS_A_MINUTE = 100, CONTENT_CHARS = 2500 };

/* ---- jscode2session ---- */

static int login(struct call *c, struct person **out)
{
    struct span appid = pairs_get(&c->query, SPAN("appid")), secret = pairs_get(&c->query, SPAN("secret")), code = pairs_get(&c->query, SPAN("js_code"));
    if (appid.n == 0) return 41002;
    if (secret.n == 0) return 41004;
    if (code.n == 0) return 41008;
    if (!span_is(pairs_get(&c->query, SPAN("grant_type")), SPAN("authorization_code"))) return 40002;
    if (!span_is(appid, SPAN(SANDBOX_APPID))) return 40013;
    if (!span_is(secret, SPAN(SANDBOX_SECRET))) return 40125;
    int errcode = codes_use(c->s, code, out);
    if (errcode) return errcode;
    struct person *p = *out;
    int64_t now = sandbox_now_ms(c->s);
    if (now - p->minute_ms >= MINUTE_MS) {
        p->minute_ms = now;
        p->logins_in_minute = 0;
    }
    /* demo codes always work: whoever measures logins uses one of them again and again */
    return ++p->logins_in_minute > LOGINS_A_MINUTE && !span_begins(code, SPAN("demo-")) ? 45011 : 0;
}

void call_jscode2session(struct call *c)
{
    struct person *p = NULL;
    int errcode = login(c, &p);
    c->person = p;
    if (errcode) {
        official_fail(c, errcode);
        return;
    }
    /* each login makes a new key, as wx.login may: who keeps an old one learns it here */
    unsigned char key[16];
    seeded_bytes(&c->s->random, key, sizeof key);
    struct span text = base64_encode(c->a, span_from(key, sizeof key));
    must(text.n == KEY_CHARS);
    memcpy(p->session_key, text.p, KEY_CHARS + 1);
    p->login_ms = sandbox_now_ms(c->s);
    struct jout o;
    jout_init(&o, &c->out);
    jout_begin_object(&o);
    jout_put(&o, "session_key", text);
    jout_put_z(&o, "openid", p->openid);
    if (p->unionid) jout_put_z(&o, "unionid", p->unionid);
    jout_end_object(&o);
}

/* ---- msg_sec_check ---- */

struct verdict { const char *word; const char *suggest; int label; };
static const struct verdict verdicts[] = {
    { "特3456书yuuo莞6543李zxcz蒜7782法fgnv级", "risky", 20006 },
    { "违规测试", "risky", 20006 },
    { "广告测试", "risky", 10001 },
    { "色情测试", "risky", 20002 },
    { "辱骂测试", "risky", 20003 },
    { "欺诈测试", "risky", 20008 },
    { "复审测试", "review", 21000 },
};

static const struct verdict *judge(const struct span *texts, size_t n)
{
    for (size_t v = 0; v < LENGTH(verdicts); v++)               /* risky ones stand before review */
        for (size_t i = 0; i < n; i++)
            if (texts[i].n && memmem(texts[i].p, texts[i].n, verdicts[v].word, strlen(verdicts[v].word))) return &verdicts[v];
    return NULL;
}

static void answer_v2(struct call *c, const struct verdict *v)
{
    unsigned char id[16];
    seeded_bytes(&c->s->random, id, sizeof id);
    struct jout o;
    jout_init(&o, &c->out);
    jout_begin_object(&o);
    jout_put_int(&o, "errcode", 0);
    jout_put_z(&o, "errmsg", "ok");
    jout_key(&o, "result");
    jout_begin_object(&o);
    jout_put_z(&o, "suggest", v ? v->suggest : "pass");
    jout_put_int(&o, "label", v ? v->label : 100);
    jout_end_object(&o);
    jout_key(&o, "detail");
    jout_begin_array(&o);
    jout_begin_object(&o);
    jout_put_z(&o, "strategy", "content_model");
    jout_put_int(&o, "errcode", 0);
    jout_put_z(&o, "suggest", v ? v->suggest : "pass");
    jout_put_int(&o, "label", v ? v->label : 100);
    jout_put_int(&o, "prob", 90);
    jout_end_object(&o);
    if (v) {
        jout_begin_object(&o);
        jout_put_z(&o, "strategy", "keyword");
        jout_put_int(&o, "errcode", 0);
        jout_put_z(&o, "suggest", v->suggest);
        jout_put_int(&o, "label", v->label);
        jout_put_int(&o, "level", 90);
        jout_put_z(&o, "keyword", v->word);
        jout_end_object(&o);
    }
    jout_end_array(&o);
    jout_put(&o, "trace_id", hex_encode(c->a, span_from(id, sizeof id)));
    jout_end_object(&o);
}

static bool openid_known(struct call *c, struct span openid)
{
    c->person = world_by_openid(&c->s->world, openid);
    return openid_valid(SPAN(SANDBOX_APPID), openid);           /* also of people whom this process has not met yet */
}

void call_msg_sec_check(struct call *c)
{
    json_t *body = official_body(c);
    if (!body) return;
    struct span content = text_field(body, "content");
    const json_t *version = json_object_get(body, "version"), *scene = json_object_get(body, "scene");
    struct span checked[] = { content, text_field(body, "title"), text_field(body, "nickname"), text_field(body, "signature") };
    bool v2 = (json_is_integer(version) && json_integer_value(version) == 2) || span_is(text_field(body, "version"), SPAN("2"));
    int errcode = 0;
    if (!content.p || (version && !v2)) errcode = 47001;
    else if (content.n == 0) errcode = 44002;
    else if (v2 && !openid_known(c, text_field(body, "openid"))) errcode = 40003;
    else if (v2 && !(json_is_integer(scene) && json_integer_value(scene) >= 1 && json_integer_value(scene) <= 4)) errcode = 40129;
    else if (v2 ? utf8_count(content) > CONTENT_CHARS : content.n > 500 * 1024) errcode = 45002;
    if (errcode) {
        official_fail(c, errcode);
        return;
    }
    const struct verdict *v = judge(checked, v2 ? LENGTH(checked) : 1);
    if (v2) {
        answer_v2(c, v);
    } else if (v && strcmp(v->suggest, "risky") == 0) {
        official_fail(c, 87014);
    } else {
        buf_add_z(&c->out, "{\"errcode\":0,\"errmsg\":\"ok\"}");
    }
}
