/* sandbox/subscribe.c: subscribe messages. A template's fields are named by kind and number ("thing1"), and each kind has its rule for values; a message that breaks one is 47003 and
 * uses up nothing. Each message that goes out uses up one consent of its receiver for that template (POST /_sandbox/mp/consent gives them), else 43101.
 *
 * Templates are not registered here: any well-formed id is one. */
#include <stdio.h>

#include "sandbox/sandbox_in.h"

/* ---- values ---- */

static bool is_digit(uint32_t c) { return c >= '0' && c <= '9'; }
static bool is_letter(uint32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_graph(uint32_t c) { return c > ' ' && c < 0x7f; }
static bool is_symbol(uint32_t c) { return is_graph(c) && !is_digit(c) && !is_letter(c); }
static bool is_han(uint32_t c) { return (c >= 0x3400 && c <= 0x9fff) || (c >= 0x20000 && c <= 0x323af) || (c >= 0xf900 && c <= 0xfaff); }
static bool is_any(uint32_t c) { return c >= ' ' || c == '\n'; }
static bool is_phone(uint32_t c) { return is_digit(c) || (c && c < 0x7f && strchr("+-() ", (int)c)); }
static bool is_car(uint32_t c) { return is_digit(c) || is_letter(c) || is_han(c); }
static bool is_name(uint32_t c) { return is_han(c) || is_letter(c) || is_symbol(c) || c == ' ' || c == 0xb7 || c == 0x2022; }

static bool all(struct span s, bool (*kind)(uint32_t))
{
    if (s.n == 0) return true;
    for (const char *p = s.p; p < s.p + s.n;) if (!kind(utf8_next(&p, s.p + s.n))) return false;
    return true;
}

/* digits, and with `point` at most one decimal point inside */
static bool number_ok(struct span s, size_t max_chars, bool point)
{
    size_t points = 0;
    if (s.n == 0 || s.n > max_chars || !is_digit((unsigned char)s.p[0]) || !is_digit((unsigned char)s.p[s.n - 1])) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.' && point) points++;
        else if (!is_digit((unsigned char)s.p[i])) return false;
    }
    return points <= 1;
}

static bool take(struct span *s, struct span what)
{
    if (!span_begins(*s, what)) return false;
    *s = span_cut(*s, what.n);
    return true;
}

static bool take_number(struct span *s, size_t min_digits, size_t max_digits, int max)
{
    size_t n = 0;
    int v = 0;
    while (n < s->n && n < max_digits && is_digit((unsigned char)s->p[n])) v = v * 10 + (s->p[n++] - '0');
    if (n < min_digits || v > max) return false;
    *s = span_cut(*s, n);
    return true;
}

static bool take_date(struct span *s)
{
    struct span at = *s;
    if (!take_number(&at, 4, 4, 9999)) return false;
    bool han = take(&at, SPAN("年"));
    struct span between = han ? SPAN("月") : at.n && (at.p[0] == '-' || at.p[0] == '/' || at.p[0] == '.') ? span_from(at.p, 1) : SPAN("");
    if (!between.n || (!han && !take(&at, between)) || !take_number(&at, 1, 2, 12) || !take(&at, between) || !take_number(&at, 1, 2, 31) || (han && !take(&at, SPAN("日")))) return false;
    *s = at;
    return true;
}

static bool take_clock(struct span *s)
{
    struct span at = *s;
    if (!take_number(&at, 1, 2, 24) || !take(&at, SPAN(":")) || !take_number(&at, 2, 2, 59)) return false;
    if (take(&at, SPAN(":")) && !take_number(&at, 2, 2, 59)) return false;
    *s = at;
    return true;
}

/* "2019年10月1日", "2019年10月1日 15:01", "15:01" where a time alone will do, and two of them with "~" between */
static bool when_ok(struct span s, bool needs_date)
{
    for (int side = 0; side < 2; side++) {
        bool date = take_date(&s);
        if (date) take(&s, SPAN(" "));
        bool clock = take_clock(&s);
        if (!(date || (clock && (!needs_date || side == 1)))) return false;
        if (s.n == 0) return true;
        if (side == 1 || !take(&s, SPAN("~"))) return false;
    }
    return false;
}

static bool time_ok(struct span s) { return when_ok(s, false); }
static bool date_ok(struct span s) { return when_ok(s, true); }

static bool amount_ok(struct span s)
{
    static const char *const signs[] = { "¥", "￥", "$", "€", "£" };
    if (s.n && s.p[0] == '-') s = span_cut(s, 1);
    for (size_t i = 0; i < LENGTH(signs); i++) if (take(&s, span_of(signs[i]))) break;
    if (span_ends(s, SPAN("元"))) s.n -= strlen("元");
    return number_ok(s, 13, true) && (span_find(s, '.') >= 0 ? span_find(s, '.') <= 10 : s.n <= 10);
}

static bool numeral_ok(struct span s) { return number_ok(s, 32, true); }
static bool name_ok(struct span s) { return all(s, is_name) && utf8_count(s) <= (all(s, is_graph) ? 20 : 10); }

static const struct { const char *prefix; size_t max_chars; bool (*each)(uint32_t); bool (*whole)(struct span); } rules[] = {
    { "thing", 20, is_any, NULL }, { "number", 33, NULL, numeral_ok }, { "letter", 32, is_letter, NULL }, { "symbol", 5, is_symbol, NULL }, { "character_string", 32, is_graph, NULL },
    { "time", 64, NULL, time_ok }, { "date", 64, NULL, date_ok }, { "amount", 20, NULL, amount_ok }, { "phone_number", 17, is_phone, NULL }, { "car_number", 8, is_car, NULL },
    { "name", 20, NULL, name_ok }, { "phrase", 5, is_han, NULL },
};

bool subscribe_value_ok(struct span key, struct span value)
{
    size_t digits = 0;
    while (digits < key.n && is_digit((unsigned char)key.p[key.n - 1 - digits])) digits++;
    struct span prefix = span_from(key.p, key.n - digits);
    if (digits == 0 || digits > 3) return false;
    for (size_t i = 0; i < LENGTH(rules); i++) {
        if (!span_is_z(prefix, rules[i].prefix)) continue;
        if (value.n == 0 || utf8_count(value) > rules[i].max_chars) return false;
        return rules[i].each ? all(value, rules[i].each) : rules[i].whole(value);
    }
    return false;
}

/* ---- the call ---- */

static bool template_ok(struct span s)
{
    if (s.n == 0 || s.n > 64) return false;
    for (size_t i = 0; i < s.n; i++) if (!is_letter((unsigned char)s.p[i]) && !is_digit((unsigned char)s.p[i]) && s.p[i] != '-' && s.p[i] != '_') return false;
    return true;
}

static bool is_page(uint32_t c) { return c > ' ' && c != 0x7f; }
static bool page_ok(struct span s) { return s.n <= 1024 && (s.n == 0 || !memmem(s.p, s.n, "://", 3)) && all(s, is_page); }

static struct span value_of(struct call *c, const json_t *field)
{
    const json_t *v = json_object_get(field, "value");
    if (json_is_integer(v)) return arena_printf(c->a, "%lld", (long long)json_integer_value(v));
    return text_field(field, "value");
}

/* false: the call has failed. *out_text: the values, one a line, for the phone page */
static bool check_data(struct call *c, const json_t *data, struct span *out_text)
{
    const char *key;
    const json_t *field;
    *out_text = SPAN("");
    if (!json_is_object(data) || json_object_size(data) == 0) {
        official_fail_arg(c, 47003, SPAN("data is empty"));
        return false;
    }
    json_object_foreach((json_t *)(uintptr_t)data, key, field) {                  /* jansson iterates over what is not const only */
        struct span value = value_of(c, field);
        if (!subscribe_value_ok(span_of(key), value)) {
            official_fail_arg(c, 47003, arena_printf(c->a, "data.%.40s.value %s", key, value.n ? "invalid" : "is empty"));
            return false;
        }
        *out_text = arena_printf(c->a, "%.*s%s%.*s", SPAN_ARGS(*out_text), out_text->n ? "\n" : "", SPAN_ARGS(value));
    }
    return true;
}

static bool record(struct call *c, struct span to, struct span template_id, struct span text, const json_t *body)
{
    struct buf b;
    struct jout o;
    struct span raw = json_canonical(c->a, body);
    journal_begin(&c->s->sent, &o, &b);
    jout_put_z(&o, "channel", "mp");
    jout_put_z(&o, "from", SANDBOX_APPID);
    jout_put(&o, "to", to);
    jout_put_z(&o, "type", "subscribe");
    jout_put(&o, "text", text);
    jout_put(&o, "template_id", template_id);
    jout_put_int(&o, "time", sandbox_now_ms(c->s));
    jout_key(&o, "raw");
    jout_raw(&o, raw);
    return journal_commit(&c->s->sent, &o);
}

void call_subscribe_send(struct call *c)
{
    json_t *body = official_body(c);
    if (!body) return;
    struct span openid = text_field(body, "touser"), template_id = text_field(body, "template_id"), text;
    if (!openid_valid(SPAN(SANDBOX_APPID), openid)) {
        official_fail(c, 40003);
        return;
    }
    if (!template_ok(template_id)) {
        official_fail(c, 40037);
        return;
    }
    if (!page_ok(text_field(body, "page"))) {
        official_fail(c, 41030);
        return;
    }
    if (!check_data(c, json_object_get(body, "data"), &text)) return;
    struct person *p = world_by_openid(&c->s->world, openid);
    c->person = p;
    int64_t left = p ? person_consent(p, template_id) : 0;
    if (left <= 0) {
        official_fail(c, 43101);
        return;
    }
    if (!record(c, span_of(p->name), template_id, text, body)) {
        official_fail(c, -1);
        return;
    }
    person_set_consent(p, template_id, left - 1);
    uint64_t id;
    seeded_bytes(&c->s->random, &id, sizeof id);
    struct jout o;
    jout_init(&o, &c->out);
    jout_begin_object(&o);
    jout_put_int(&o, "errcode", 0);
    jout_put_z(&o, "errmsg", "ok");
    jout_put_int(&o, "msgid", (int64_t)(id >> 2 | 1ull << 60));
    jout_end_object(&o);
}
