/* engine/decode.c: from a request's bytes to the parameters of its row.
 *
 * A parameter may come in the path, the body (form, multipart or JSON, told apart by content: seeds.md §4.1) or the query, in this order of precedence, under its name or an alias. Then the
 * row's rules are checked; a refusal names the parameter. All text is valid UTF-8 without NUL: 400 otherwise. */
#include "engine/engine_in.h"

static bool refuse_request(struct request *r, int status, const char *zh, const char *en)
{
    r->reply = refuse(r, status, zh, en);
    return false;
}

static bool refuse_field(struct request *r, const struct field *f, const char *zh, const char *en)
{
    struct arena *a = r->arena;
    return refuse_request(r, 400, arena_printf(a, "参数 %s %s", f->name, zh).p, arena_printf(a, "parameter %s %s", f->name, en).p);
}

static const struct shape *takes_of(const struct request *r)
{
    static const struct shape nothing = { NULL, 0 };
    const struct command *c = r->entry->command ? r->entry->command : r->frame ? r->entry->frames : NULL;
    const struct shape *s = c ? c->takes : r->entry->channel ? (r->entry->frames && r->entry->frames->takes ? r->entry->frames->takes : r->entry->channel->takes) : NULL;
    return s ? s : &nothing;
}

static bool has_name(const struct field *f, struct span name)
{
    if (span_is_z(name, f->name)) return true;
    struct span left = span_of(f->aliases);
    while (left.n) {
        int space = span_find(left, ' ');
        struct span word = { left.p, space < 0 ? left.n : (size_t)space };
        if (span_is(word, name)) return true;
        left = span_cut(left, word.n + 1);
    }
    return false;
}

static bool set_text(struct request *r, const struct field *f, struct parameter *p, struct span text)
{
    if (f->kind == FIELD_INT) {
        struct span trimmed = span_trim(text);
        if (trimmed.n == 0) { *p = (struct parameter){ 0 }; return true; }      /* an empty box of a form is no number */
        if (!span_to_i64(trimmed, &p->number)) return refuse_field(r, f, "必须是整数", "must be a whole number");
    }
    p->has = true;
    p->text = text;
    return true;
}

static bool take_pairs(struct request *r, const struct pairs *pairs, bool overwrite)
{
    const struct shape *takes = takes_of(r);
    for (size_t i = 0; i < takes->n; i++) {
        if (r->parameters[i].has && !overwrite) continue;
        for (size_t k = 0; k < pairs->n; k++) {
            if (!has_name(&takes->fields[i], pairs->at[k].name)) continue;
            if (!set_text(r, &takes->fields[i], &r->parameters[i], pairs->at[k].value)) return false;
            break;
        }
    }
    return true;
}

static bool set_json(struct request *r, const struct field *f, struct parameter *p, const json_t *v)
{
    if (json_is_null(v)) return true;                              /* null is absent */
    p->json = v;
    if (f->kind == FIELD_ANY) { p->has = true; return true; }
    if (json_is_string(v)) return set_text(r, f, p, json_span(v));
    if (json_is_integer(v) && !(f->flags & STRING_ONLY)) {
        p->has = true;
        p->number = json_integer_value(v);
        p->text = arena_printf(r->arena, "%lld", (long long)p->number);
        return true;
    }
    if (f->flags & JUDGED) {
        *p = (struct parameter){ .has = true, .text = SPAN(""), .json = v };
        return true;
    }
    return f->kind == FIELD_INT ? refuse_field(r, f, "必须是整数", "must be a whole number") : refuse_field(r, f, "必须是字符串", "must be a string");
}

bool decode_json_object(struct request *r, const json_t *object)
{
    const struct shape *takes = takes_of(r);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
        for (size_t i = 0; i < takes->n; i++)
            if (has_name(&takes->fields[i], span_of(key)) && !set_json(r, &takes->fields[i], &r->parameters[i], value)) return false;
    return true;
}

/* ---- bodies ---- */

static bool type_is(struct span type, const char *name)
{
    int semicolon = span_find(type, ';');
    if (semicolon >= 0) type.n = (size_t)semicolon;
    return span_is_nocase(span_trim(type), span_of(name));
}

static bool json_declared(struct span type)
{
    int semicolon = span_find(type, ';');
    if (semicolon >= 0) type.n = (size_t)semicolon;
    type = span_trim(type);
    return type_is(type, "application/json") || type_is(type, "text/json") || (type.n > 5 && span_is_nocase(span_cut(type, type.n - 5), SPAN("+json")));
}

static bool form_like(struct span type)
{
    /* the shipped client of the auto-reply assistant misspells it; people try text/plain */
    static const char *const names[] = { "", "application/x-www-form-urlencoded", "application/x-www-form-urlencode", "text/plain" };
    for (size_t i = 0; i < LENGTH(names); i++)
        if (type_is(type, names[i])) return true;
    return false;
}

static bool take_form(struct request *r, struct span body)
{
    struct pairs pairs;
    const char *why = "";
    if (!form_parse(r->arena, body, &pairs, &why))
        return refuse_request(r, 400, arena_printf(r->arena, "表单格式错误：%s", why).p, arena_printf(r->arena, "the form cannot be read: %s", why).p);
    size_t n = r->pairs.n + pairs.n;
    struct pair *all = arena_take(r->arena, n * sizeof *all);
    if (pairs.n) memcpy(all, pairs.at, pairs.n * sizeof *all);
    if (r->pairs.n) memcpy(all + pairs.n, r->pairs.at, r->pairs.n * sizeof *all);
    r->pairs = (struct pairs){ n, all };
    return take_pairs(r, &pairs, true);
}

static bool take_body(struct request *r)
{
    if (r->upload) {
        if (!upload_end(r)) return false;
        const struct shape *takes = takes_of(r);
        if (!take_pairs(r, &r->pairs, true)) return false;
        struct uploads files = upload_files(r);
        for (size_t i = 0; i < takes->n; i++)
            for (size_t k = 0; k < files.n && takes->fields[i].kind == FIELD_FILE; k++)
                if (has_name(&takes->fields[i], files.at[k].name) && !r->parameters[i].has)
                    r->parameters[i] = (struct parameter){ .has = true, .text = files.at[k].filename, .upload = &files.at[k] };
        return true;
    }
    struct span body = exchange_body(r->exchange);
    if (!body.n || (r->entry->command->flags & COMMAND_RAW)) return true;
    struct span type = request_head(r, "Content-Type");
    struct span coding = request_head(r, "Content-Encoding");
    if (coding.n && !span_is_nocase(coding, SPAN("identity")))
        return refuse_request(r, 415, "不支持压缩的请求体", "compressed request bodies are not supported");
    if (type_is(type, "multipart/form-data")) {
        struct span boundary;
        if (!multipart_boundary(type, &boundary)) return refuse_request(r, 400, "multipart 缺少有效的 boundary", "multipart without a valid boundary");
        return upload_begin(r, boundary) && upload_feed(r, body) && take_body(r);
    }
    struct span text = body;
    while (text.n && (text.p[0] == ' ' || text.p[0] == '\t' || text.p[0] == '\r' || text.p[0] == '\n')) text = span_cut(text, 1);
    bool looks = text.n && (text.p[0] == '{' || text.p[0] == '['), declared = json_declared(type);
    if (looks || declared) {
        struct span why = { 0 };
        json_t *tree = json_read(r->arena, body, &why);
        if (tree && json_is_object(tree)) return decode_json_object(r, tree);
        if (declared) {
            if (tree) return refuse_request(r, 400, "JSON 必须是对象", "the JSON must be an object");
            return refuse_request(r, 400, arena_printf(r->arena, "JSON 格式错误：%.*s", SPAN_ARGS(why)).p, arena_printf(r->arena, "the JSON cannot be read: %.*s", SPAN_ARGS(why)).p);
        }
    }
    if (!form_like(type))
        return refuse_request(r, 415, "请求体必须是表单、multipart 或 JSON", "the body must be a form, multipart or JSON");
    return take_form(r, body);
}

static bool take_route(struct request *r)
{
    const struct shape *takes = takes_of(r);
    for (size_t k = 0; k < r->routed.n; k++)                       /* the path wins: it is what was routed */
        for (size_t i = 0; i < takes->n; i++)
            if (strcmp(takes->fields[i].name, r->routed.params[k].name) == 0 && !set_text(r, &takes->fields[i], &r->parameters[i], r->routed.params[k].value))
                return false;
    return true;
}

/* A frame: the handshake's query, then the JSON object, then the handshake's path. */
bool decode_frame_parameters(struct request *r, struct span query, const json_t *object)
{
    const char *why = "";
    r->parameters = arena_zero(r->arena, (takes_of(r)->n + 1) * sizeof *r->parameters);
    must(router_match(r->engine->router, HTTP_GET, r->path, &r->routed) == 200);
    if (!form_parse(r->arena, query, &r->pairs, &why)) return refuse_request(r, 400, "查询参数格式错误", "the query cannot be read");
    return take_pairs(r, &r->pairs, false) && decode_json_object(r, object) && take_route(r);
}

bool decode_parameters(struct request *r)
{
    const struct http_head *head = exchange_head(r->exchange);
    const struct shape *takes = takes_of(r);
    r->parameters = arena_zero(r->arena, (takes->n + 1) * sizeof *r->parameters);
    if (!r->upload) r->pairs = (struct pairs){ 0 };
    if (r->entry->command && (r->entry->command->flags & COMMAND_RAW)) return true;
    struct pairs query;
    const char *why = "";
    if (!form_parse(r->arena, head->query, &query, &why))
        return refuse_request(r, 400, arena_printf(r->arena, "查询参数格式错误：%s", why).p, arena_printf(r->arena, "the query cannot be read: %s", why).p);
    if (!take_pairs(r, &query, false)) return false;
    struct pairs of_query = query;
    if (r->entry->command && !take_body(r)) return false;
    if (!r->pairs.n) r->pairs = of_query;
    return take_route(r);
}

/* ---- rules ---- */

static struct reply *check_field(struct request *r, const struct field *f, const struct parameter *p)
{
    if (!p->has) {
        bool handshake = r->entry->channel && !r->frame;       /* what a frame must have, a handshake need not */
        if ((f->flags & REQUIRED) && !handshake) refuse_field(r, f, "缺失", "is missing");
        return r->reply;
    }
    if (f->kind == FIELD_INT) {
        if ((f->min || f->max) && (p->number < f->min || p->number > f->max)) {
            struct arena *a = r->arena;
            refuse_field(r, f, arena_printf(a, "必须在 %lld 到 %lld 之间", (long long)f->min, (long long)f->max).p,
                         arena_printf(a, "must be between %lld and %lld", (long long)f->min, (long long)f->max).p);
        }
        return r->reply;
    }
    if (f->kind != FIELD_TEXT) return NULL;
    if (!utf8_valid(p->text) || memchr(p->text.p ? p->text.p : "", 0, p->text.n)) {
        refuse_field(r, f, "不是有效的 UTF-8 文本", "is not valid UTF-8 text");
        return r->reply;
    }
    int64_t most = f->max ? f->max : 1000;
    int64_t count = p->text.n > (size_t)most ? (int64_t)utf8_count(p->text) : 0;      /* code points are at most bytes */
    if (count > most) refuse_field(r, f, arena_printf(r->arena, "超过 %lld 个字符", (long long)most).p, arena_printf(r->arena, "is longer than %lld characters", (long long)most).p);
    else if ((f->flags & NOT_EMPTY) && p->text.n == 0) refuse_field(r, f, "不能为空", "must not be empty");
    else if (f->min && (int64_t)utf8_count(p->text) < f->min) refuse_field(r, f, "太短", "is too short");
    return r->reply;
}

/* Checks all rules, and hashes what the handler will see, for the idempotency key: the same key with other parameters is told apart. */
struct reply *decode_check(struct request *r)
{
    const struct shape *takes = takes_of(r);
    for (size_t i = 0; i < takes->n; i++)
        if (check_field(r, &takes->fields[i], &r->parameters[i])) return r->reply;
    if (!r->idempotency_key.n) return NULL;
    struct buf all;
    buf_init(&all, LIMIT_BODY_BYTES * 4);
    for (size_t i = 0; i < takes->n; i++) {
        const struct parameter *p = &r->parameters[i];
        if (!p->has || (takes->fields[i].flags & HOW)) continue;
        buf_printf(&all, "%zu:%d:%zu:", i, (int)takes->fields[i].kind, p->text.n);
        if (p->upload) buf_add(&all, p->upload->sha256, 32);
        else if (takes->fields[i].kind == FIELD_ANY && p->json) buf_add_span(&all, json_canonical(r->arena, p->json));
        else buf_add_span(&all, p->text);
    }
    bool failed = all.failed;
    if (!failed) sha256(buf_span(&all), r->parameters_hash);
    buf_done(&all);
    if (failed) r->outage = 503;
    return NULL;
}
