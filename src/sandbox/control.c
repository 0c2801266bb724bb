/* sandbox/control.c: the control API under /_sandbox/: how tests, the phone page and people play "the phone" and look into the world. One table routes and is the help text.
 *
 * It refuses peers that are not loopback, a Host that is no loopback name (a page on the internet whose name was pointed at 127.0.0.1) and an Origin other than the Host (a page
 * that posts across). Errors are {"errcode","errmsg"} with a truthful status, Chinese unless the caller prefers English. */
#include <stdio.h>

#include "sandbox/sandbox_in.h"

enum { WAIT_MAX_MS = 60 * 1000, CONSENT_MAX = 1000000, AHEAD_MAX_MS = 366 * 86400 };
#define AHEAD_LIMIT_MS ((int64_t)AHEAD_MAX_MS * 1000)

/* ---- language, errors ---- */

static int64_t quality_of(struct span part, struct span *out_tag)
{
    int semicolon = span_find(part, ';');
    *out_tag = span_trim(semicolon < 0 ? part : span_from(part.p, (size_t)semicolon));
    if (semicolon < 0) return 1000;
    struct span q = span_trim(span_cut(part, (size_t)semicolon + 1));
    if (!span_begins(q, SPAN("q=")) || q.n < 3) return 1000;
    if (q.p[2] != '0') return 1000;
    int64_t v = 0;
    for (size_t i = 4, scale = 100; i < q.n && i < 7 && q.p[i] >= '0' && q.p[i] <= '9'; i++, scale /= 10) v += (q.p[i] - '0') * (int64_t)scale;
    return v;
}

static bool wants_chinese(const struct http_head *head)
{
    struct span rest = http_header_get(head, SPAN("Accept-Language"));
    int64_t zh = 0, en = 0;
    while (rest.n) {
        int comma = span_find(rest, ',');
        struct span part = comma < 0 ? rest : span_from(rest.p, (size_t)comma), tag;
        int64_t q = quality_of(part, &tag);
        rest = comma < 0 ? SPAN("") : span_cut(rest, (size_t)comma + 1);
        struct span language = tag.n > 2 && tag.p[2] == '-' ? span_from(tag.p, 2) : tag;
        if (span_is_nocase(language, SPAN("zh")) && q > zh) zh = q;
        if (span_is_nocase(language, SPAN("en")) && q > en) en = q;
    }
    return en <= zh;
}

void control_fail(struct call *c, int status, const char *zh, const char *en, struct span detail)
{
    struct span message = arena_printf(c->a, "%s%s%.*s", wants_chinese(c->head) ? zh : en, detail.n ? (wants_chinese(c->head) ? "：" : ": ") : "", SPAN_ARGS(detail));
    c->status = status;
    c->out.n = 0;
    struct jout o;
    jout_init(&o, &c->out);
    jout_begin_object(&o);
    jout_put_int(&o, "errcode", status);
    jout_put(&o, "errmsg", message);
    jout_end_object(&o);
}

static void no_memory(struct call *c) { control_fail(c, 503, "世界已满或内存不足", "the world is full, or memory is", SPAN("")); }

/* ---- who may ask ---- */

static struct span host_name(struct span host)
{
    if (host.n && host.p[0] == '[') {
        int end = span_find(host, ']');
        return end < 0 ? host : span_from(host.p, (size_t)end + 1);
    }
    int colon = span_find(host, ':');
    return colon < 0 ? host : span_from(host.p, (size_t)colon);
}

static bool is_dotted_loopback(struct span s)
{
    int64_t v;
    if (!span_begins(s, SPAN("127."))) return false;
    int parts = 0;
    while (s.n) {
        int dot = span_find(s, '.');
        struct span part = dot < 0 ? s : span_from(s.p, (size_t)dot);
        if (part.n == 0 || part.n > 3 || !span_to_i64(part, &v) || v < 0 || v > 255) return false;
        parts++;
        if (dot >= 0 && (size_t)dot + 1 == s.n) return false;
        s = dot < 0 ? SPAN("") : span_cut(s, (size_t)dot + 1);
    }
    return parts == 4;
}

static bool is_loopback_host(struct span host)
{
    struct span name = host_name(host);
    return is_dotted_loopback(name) || span_is(name, SPAN("[::1]")) || span_is_nocase(name, SPAN("localhost"))
        || (name.n > 10 && span_is_nocase(span_cut(name, name.n - 10), SPAN(".localhost")));
}

static bool may_ask(struct call *c)
{
    struct span origin = http_header_get(c->head, SPAN("Origin"));
    if (!c->loopback) {
        control_fail(c, 403, "控制接口只对本机开放", "the control API answers this machine only", SPAN(""));
        return false;
    }
    if (!is_loopback_host(c->head->host)) {
        control_fail(c, 403, "Host 不是本机的名字", "the Host is no name of this machine", SPAN(""));
        return false;
    }
    if (origin.p && !(span_begins(origin, SPAN("http://")) && span_is_nocase(span_cut(origin, 7), c->head->host))) {
        control_fail(c, 403, "来自别的网站的请求", "a request from another site", SPAN(""));
        return false;
    }
    return true;
}

/* ---- reading ---- */

static json_t *read_body(struct call *c)
{
    struct span why = SPAN("");
    json_t *body = json_read(c->a, c->body.n ? c->body : SPAN("{}"), &why);
    if (json_is_object(body)) return body;
    control_fail(c, 400, "请求体应为 JSON 对象", "the body must be a JSON object", body ? SPAN("") : why);
    return NULL;
}

static void wrong_field(struct call *c, const char *name) { control_fail(c, 400, "字段缺失或类型不对", "a field is missing or of the wrong type", span_of(name)); }

/* A text that may be missing (then p == NULL); false: the call has failed. */
static bool optional_text(struct call *c, const json_t *body, const char *name, struct span *out)
{
    const json_t *v = json_object_get(body, name);
    *out = text_field(body, name);
    if (!v || (json_is_string(v) && out->n <= TEXT_BYTES)) return true;
    wrong_field(c, name);
    return false;
}

static struct person *named_person(struct call *c, const json_t *body, const char *field)
{
    struct span who = text_field(body, field);
    if (!who.p) {
        wrong_field(c, field);
        return NULL;
    }
    struct person *p = world_someone(&c->s->world, who);
    if (!p) control_fail(c, 404, "没有这个人", "there is nobody of that name", utf8_head(who, 40));
    return p;
}

/* ---- what people and rooms look like ---- */

static void write_person(struct jout *o, const struct person *p)
{
    jout_begin_object(o);
    jout_put_z(o, "name", p->name);
    jout_put_z(o, "nickname", p->nickname);
    jout_put_int(o, "sex", p->sex);
    jout_put_z(o, "province", p->province);
    jout_put_z(o, "city", p->city);
    jout_put_z(o, "signature", p->signature);
    jout_put_z(o, "remark", p->remark);
    jout_put_bool(o, "friend", p->is_friend);
    jout_put_z(o, "openid", p->openid);
    if (p->unionid) jout_put_z(o, "unionid", p->unionid);
    if (p->consents) {
        jout_key(o, "consents");
        jout_begin_object(o);
        for (const struct consent *k = p->consents; k; k = k->next) {
            jout_key_span(o, span_of(k->template_id));
            jout_int(o, k->left);
        }
        jout_end_object(o);
    }
    jout_end_object(o);
}

static void write_room(struct jout *o, const struct room *r)
{
    jout_begin_object(o);
    jout_put_z(o, "name", r->name);
    jout_put_z(o, "nickname", r->nickname);
    jout_put_z(o, "owner", r->owner->name);
    jout_key(o, "members");
    jout_begin_array(o);
    for (size_t i = 0; i < r->n; i++) jout_text(o, span_of(r->members[i]->name));
    jout_end_array(o);
    jout_end_object(o);
}

static void write_people(struct jout *o, const struct world *w, const char *key, enum person_kind kind)
{
    jout_key(o, key);
    jout_begin_array(o);
    for (size_t i = 0; i < w->people_n; i++) if (w->people[i]->kind == kind) write_person(o, w->people[i]);
    jout_end_array(o);
}

static void run_world(struct call *c)
{
    const struct world *w = &c->s->world;
    struct jout o;
    jout_init(&o, &c->out);
    jout_begin_object(&o);
    write_people(&o, w, "people", PERSON_HUMAN);
    jout_key(&o, "rooms");
    jout_begin_array(&o);
    for (size_t i = 0; i < w->rooms_n; i++) write_room(&o, w->rooms[i]);
    jout_end_array(&o);
    write_people(&o, w, "accounts", PERSON_PUBLIC);
    jout_key(&o, "apps");
    jout_begin_array(&o);
    jout_begin_object(&o);
    jout_put_z(&o, "appid", SANDBOX_APPID);
    jout_key(&o, "kinds");
    jout_raw(&o, SPAN("[\"mini_program\",\"official_account\"]"));
    jout_end_object(&o);
    jout_end_array(&o);
    jout_key(&o, "sessions");
    jout_begin_array(&o);
    for (size_t i = 0; i < w->people_n; i++) {
        if (!w->people[i]->session_key[0]) continue;
        jout_begin_object(&o);
        jout_put_z(&o, "channel", "mp");
        jout_put_z(&o, "person", w->people[i]->name);
        jout_put_int(&o, "time", w->people[i]->login_ms);
        jout_end_object(&o);
    }
    jout_end_array(&o);
    jout_put_int(&o, "now", sandbox_now_ms(c->s));
    jout_end_object(&o);
}

/* ---- people and rooms ---- */

static bool person_fields(struct person *p, const struct span text[6])
{
    char **const at[6] = { &p->nickname, &p->province, &p->city, &p->signature, &p->remark, &p->unionid };
    for (size_t i = 0; i < LENGTH(at); i++) if (text[i].p && !text_set(at[i], text[i])) return false;
    return true;
}

static void run_people(struct call *c)
{
    static const char *const names[6] = { "nickname", "province", "city", "signature", "remark", "unionid" };
    struct span text[6];
    json_t *body = read_body(c);
    if (!body) return;
    struct span name = text_field(body, "name");
    if (!name.p || !person_name_ok(name)) {
        wrong_field(c, "name");
        return;
    }
    for (size_t i = 0; i < LENGTH(names); i++) if (!optional_text(c, body, names[i], &text[i])) return;
    const json_t *sex = json_object_get(body, "sex"), *is_friend = json_object_get(body, "friend");
    if (sex && !(json_is_integer(sex) && json_integer_value(sex) >= 0 && json_integer_value(sex) <= 2)) {
        wrong_field(c, "sex");
        return;
    }
    if (is_friend && !json_is_boolean(is_friend)) {
        wrong_field(c, "friend");
        return;
    }
    bool is_new = !world_person(&c->s->world, name);
    struct person *p = world_add(&c->s->world, name);
    if (!p || !person_fields(p, text)) {
        no_memory(c);
        return;
    }
    if (p->unionid && !p->unionid[0]) {                          /* "" takes it away */
        free(p->unionid);
        p->unionid = NULL;
    }
    if (sex) p->sex = (int)json_integer_value(sex);
    if (is_friend || is_new) p->is_friend = is_friend ? json_is_true(is_friend) : true;
    struct jout o;
    jout_init(&o, &c->out);
    write_person(&o, p);
}

static bool read_members(struct call *c, const json_t *list, struct person ***out, size_t *out_n)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n == 0 || n > MAX_MEMBERS) {
        wrong_field(c, "members");
        return false;
    }
    struct person **who = arena_take(c->a, n * sizeof *who);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        who[i] = json_is_string(v) ? world_someone(&c->s->world, json_span(v)) : NULL;
        for (size_t k = 0; k < i; k++) if (who[k] == who[i]) who[i] = NULL;
        if (who[i]) continue;
        control_fail(c, 400, "members 中有重复的人或没有这个人", "members names somebody twice, or nobody", json_is_string(v) ? utf8_head(json_span(v), 40) : SPAN(""));
        return false;
    }
    *out = who;
    *out_n = n;
    return true;
}

static void run_rooms(struct call *c)
{
    json_t *body = read_body(c);
    struct span name, nickname;
    if (!body) return;
    name = text_field(body, "name");
    if (!name.p || !person_name_ok(name)) {
        wrong_field(c, "name");
        return;
    }
    if (!optional_text(c, body, "nickname", &nickname)) return;
    struct room *r = world_room(&c->s->world, name);
    struct person **members = r ? r->members : NULL, *owner = r ? r->owner : NULL;
    size_t n = r ? r->n : 0;
    const json_t *list = json_object_get(body, "members");
    if ((list || !r) && !read_members(c, list, &members, &n)) return;
    if (json_object_get(body, "owner")) {
        owner = named_person(c, body, "owner");
        if (!owner) return;
    }
    bool inside = false;
    for (size_t i = 0; i < n; i++) if (members[i] == owner) inside = true;
    if (!inside && json_object_get(body, "owner")) {
        control_fail(c, 400, "群主不在成员之中", "the owner is no member", SPAN(""));
        return;
    }
    r = world_add_room(&c->s->world, name, members, n, inside ? owner : members[0]);
    if (!r || (nickname.p && !text_set(&r->nickname, nickname))) {
        no_memory(c);
        return;
    }
    struct jout o;
    jout_init(&o, &c->out);
    write_room(&o, r);
}

/* ---- the mini program on the phone ---- */

static void run_code(struct call *c)
{
    json_t *body = read_body(c);
    struct person *p = body ? named_person(c, body, "person") : NULL;
    if (!p) return;
    const char *code = codes_new(c->s, p);
    if (!code) {
        no_memory(c);
        return;
    }
    struct jout o;
    jout_init(&o, &c->out);
    jout_begin_object(&o);
    jout_put_z(&o, "code", code);
    jout_put_int(&o, "expires_in", CODE_MS / 1000);
    jout_end_object(&o);
}

static void run_consent(struct call *c)
{
    json_t *body = read_body(c);
    struct person *p = body ? named_person(c, body, "person") : NULL;
    if (!p) return;
    struct span template_id = text_field(body, "template_id");
    const json_t *count = json_object_get(body, "count");
    if (template_id.n == 0 || template_id.n > 64) {
        wrong_field(c, "template_id");
        return;
    }
    if (!json_is_integer(count) || json_integer_value(count) < 0 || json_integer_value(count) > CONSENT_MAX) {
        wrong_field(c, "count");
        return;
    }
    if (!person_set_consent(p, template_id, json_integer_value(count))) {
        no_memory(c);
        return;
    }
    struct jout o;
    jout_init(&o, &c->out);
    jout_begin_object(&o);
    jout_put_z(&o, "person", p->name);
    jout_put(&o, "template_id", template_id);
    jout_put_int(&o, "count", json_integer_value(count));
    jout_end_object(&o);
}

/* ---- logs, faults, time ---- */

static bool query_number(struct call *c, const char *name, int64_t max, int64_t *out)
{
    struct span v = pairs_get(&c->query, span_of(name));
    *out = 0;
    if (!v.p || (span_to_i64(v, out) && *out >= 0 && *out <= max)) return true;
    control_fail(c, 400, "参数应为范围内的非负整数", "the parameter must be an integer in range, not negative", span_of(name));
    return false;
}

static void read_journal(struct call *c, struct journal *j)
{
    int64_t since, wait_ms;
    if (!query_number(c, "since", INT64_MAX, &since) || !query_number(c, "wait", WAIT_MAX_MS, &wait_ms)) return;
    if (wait_ms > 0 && j->seq <= (uint64_t)since) {
        c->wait_for = j;
        c->wait_since = (uint64_t)since;
        c->wait_ms = wait_ms;
        return;
    }
    journal_read(j, (uint64_t)since, &c->out);
}

static void run_sent(struct call *c) { read_journal(c, &c->s->sent); }
static void run_requests(struct call *c) { read_journal(c, &c->s->requests); }

static void run_get_faults(struct call *c)
{
    struct jout o;
    jout_init(&o, &c->out);
    faults_write(&c->s->faults, &o);
}

static void run_set_faults(struct call *c)
{
    json_t *body = read_body(c);
    if (body) faults_read(c, body);
}

static void answer_ok(struct call *c) { buf_add_z(&c->out, "{\"errcode\":0,\"errmsg\":\"ok\"}"); }

static void run_reset(struct call *c)
{
    if (!read_body(c)) return;
    if (sandbox_reset(c->s)) answer_ok(c);
    else no_memory(c);
}

static void run_clock(struct call *c)
{
    json_t *body = read_body(c);
    if (!body) return;
    const json_t *by = json_object_get(body, "advance_ms");
    if (!json_is_integer(by) || json_integer_value(by) < 0 || json_integer_value(by) > AHEAD_LIMIT_MS || c->s->clock_ahead_ms + json_integer_value(by) > AHEAD_LIMIT_MS) {
        wrong_field(c, "advance_ms");
        return;
    }
    c->s->clock_ahead_ms += json_integer_value(by);
    struct jout o;
    jout_init(&o, &c->out);
    jout_begin_object(&o);
    jout_put_int(&o, "now", sandbox_now_ms(c->s));
    jout_end_object(&o);
}

/* ---- the table ---- */

static void run_help(struct call *c);

static const struct row { enum http_method method; const char *path; void (*run)(struct call *); const char *takes, *zh, *en; } rows[] = {
    { HTTP_GET, "/_sandbox/", run_help, "", "本说明", "this text" },
    { HTTP_POST, "/_sandbox/reset", run_reset, "{}", "世界回到起点（人、群、令牌、登录码、旋钮、日志、时钟）", "the world back to its start: people, rooms, tokens, codes, knobs, logs, clock" },
    { HTTP_GET, "/_sandbox/world", run_world, "", "人、群、公众号、会话", "people, rooms, public accounts, sessions" },
    { HTTP_POST, "/_sandbox/people", run_people, "{\"name\",\"nickname\"?,\"sex\"?,\"province\"?,\"city\"?,\"signature\"?,\"remark\"?,\"unionid\"?,\"friend\"?}", "添加或修改一个人", "add or change a person" },
    { HTTP_POST, "/_sandbox/rooms", run_rooms, "{\"name\",\"nickname\"?,\"members\":[…],\"owner\"?}", "添加或修改一个群", "add or change a room" },
    { HTTP_POST, "/_sandbox/mp/code", run_code, "{\"person\"}", "这个人的小程序登录码：一次有效，五分钟", "a login code of that person: one use, five minutes" },
    { HTTP_POST, "/_sandbox/mp/consent", run_consent, "{\"person\",\"template_id\",\"count\"}", "此人还允许收多少条该模板的订阅消息", "how many messages of that template the person allows from now on" },
    { HTTP_GET, "/_sandbox/sent", run_sent, "?since=N&wait=MS", "客户端发出的一切；wait 等到有新的为止（至多 60000）", "all that clients sent; wait: until there is something new (60000 at most)" },
    { HTTP_GET, "/_sandbox/requests", run_requests, "?since=N&wait=MS", "协议请求的日志，不含秘密", "log of protocol requests, without secrets" },
    { HTTP_GET, "/_sandbox/faults", run_get_faults, "", "现在的故障旋钮", "the fault knobs as they are" },
    { HTTP_POST, "/_sandbox/faults", run_set_faults, "{…}", "设置全部故障旋钮，{} 清除", "sets all the fault knobs, {} clears them" },
    { HTTP_POST, "/_sandbox/clock", run_clock, "{\"advance_ms\"}", "把这里的时钟往前拨（令牌与登录码随之过期）", "puts the clock here forward: tokens and codes expire" },
};

static void run_help(struct call *c)
{
    bool zh = wants_chinese(c->head);
    c->type = "text/plain; charset=utf-8";
    buf_add_z(&c->out, zh
        ? "Weir 的微信模拟器。小程序与公众号：appid " SANDBOX_APPID "，secret " SANDBOX_SECRET "。\n登录码 demo-NAME 对任何名字 NAME 永远有效；openid 只取决于 appid 和名字。\n\n控制接口（JSON 进，JSON 出，仅限本机）：\n"
        : "Weir's WeChat simulator. Mini program and official account: appid " SANDBOX_APPID ", secret " SANDBOX_SECRET ".\nThe login code demo-NAME works always, for any NAME; openids depend on appid and name only.\n\nControl API (JSON in, JSON out, from this machine only):\n");
    for (size_t i = 0; i < LENGTH(rows); i++)
        buf_printf(&c->out, "  %-4s %s%s%s\n       %s\n", rows[i].method == HTTP_GET ? "GET" : "POST", rows[i].path, rows[i].takes[0] == '{' ? " " : "", rows[i].takes, zh ? rows[i].zh : rows[i].en);
    buf_add_z(&c->out, zh ? "\n故障旋钮（POST /_sandbox/faults）：\n" : "\nFault knobs (POST /_sandbox/faults):\n");
    faults_help(zh, &c->out);
    buf_add_z(&c->out, zh
        ? "\n内容检查：文本含 违规测试、广告测试、色情测试、辱骂测试、欺诈测试 或文档中的测试串为 risky，含 复审测试 为 review，其余 pass。\n"
        : "\nContent check: a text with 违规测试, 广告测试, 色情测试, 辱骂测试, 欺诈测试 or the documented test string is risky, with 复审测试 review, else pass.\n");
}

void control_run(struct call *c)
{
    c->type = "application/json; charset=utf-8";
    if (!may_ask(c)) return;
    struct span path = span_is(c->path, SPAN("/_sandbox")) ? SPAN("/_sandbox/") : c->path;
    if (path.n > 10 && path.p[path.n - 1] == '/') path.n--;
    enum http_method method = c->head->method == HTTP_HEAD ? HTTP_GET : c->head->method;
    const struct row *found = NULL;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        if (!span_is_z(path, rows[i].path)) continue;
        found = &rows[i];
        if (found->method == method) break;
    }
    if (!found) {
        control_fail(c, 404, "没有这个控制接口，见 GET /_sandbox/", "no such control call, see GET /_sandbox/", SPAN(""));
        return;
    }
    if (found->method != method) {
        bool both = span_is(path, SPAN("/_sandbox/faults"));
        control_fail(c, 405, "方法不对，应为", "wrong method, it takes", both ? SPAN("GET, POST") : found->method == HTTP_GET ? SPAN("GET") : SPAN("POST"));
        c->headers = both ? "Allow: GET, HEAD, POST\r\n" : found->method == HTTP_GET ? "Allow: GET, HEAD\r\n" : "Allow: POST\r\n";
        return;
    }
    found->run(c);
}
