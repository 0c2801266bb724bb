/* engine/setting_kinds.c: what the text of one setting must look like, kind by kind (enum setting_kind in app.h).
 *
 * Pure functions from a text to "right" or to a phrase that completes "section.key must be …". They look at the form only: whether a port is free or a file readable is for
 * the part that uses it. An empty text is right for all kinds but numbers, switches and choices: it means "not set". */
#include "engine/settings.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

static bool is_separator(char c) { return c == ' ' || c == '\t' || c == ',' || c == '\n'; }

/* The next word of a list; false at the end. */
static bool word_next(struct span *rest, struct span *out)
{
    size_t at = 0;
    while (at < rest->n && is_separator(rest->p[at])) at++;
    size_t end = at;
    while (end < rest->n && !is_separator(rest->p[end])) end++;
    *out = span_from(rest->p + at, end - at);
    *rest = span_cut(*rest, end);
    return out->n > 0;
}

static bool choice_right(const char *choices, struct span value)
{
    for (const char *at = choices; *at;) {
        size_t n = strcspn(at, "|");
        if (span_is(value, span_from(at, n))) return true;
        at += n + (at[n] == '|');
    }
    return false;
}

static bool bool_right(struct span v, int64_t *out)
{
    static const struct { const char *word; int64_t value; } words[] = { { "true", 1 }, { "yes", 1 }, { "on", 1 }, { "1", 1 }, { "false", 0 }, { "no", 0 }, { "off", 0 }, { "0", 0 } };
    for (size_t i = 0; i < LENGTH(words); i++)
        if (span_is_nocase(v, span_of(words[i].word))) {
            *out = words[i].value;
            return true;
        }
    return false;
}

/* 12, 0.15, -3.5: ten-thousandths, without binary fractions in between. */
static bool decimal_right(struct span v, int64_t *out)
{
    bool negative = v.n > 0 && v.p[0] == '-';
    struct span digits = span_cut(v, negative);
    int point = span_find(digits, '.');
    struct span whole = point < 0 ? digits : span_from(digits.p, (size_t)point);
    struct span part = point < 0 ? SPAN("") : span_cut(digits, (size_t)point + 1);
    if (whole.n == 0 || whole.n > 12 || part.n > 4 || (point >= 0 && part.n == 0)) return false;
    int64_t n = 0;
    for (size_t i = 0; i < whole.n + 4; i++) {
        char c = i < whole.n ? whole.p[i] : i - whole.n < part.n ? part.p[i - whole.n] : '0';
        if (c < '0' || c > '9') return false;
        n = n * 10 + (c - '0');
    }
    *out = negative ? -n : n;
    return true;
}

static bool host_right(struct span host)
{
    char text[256];
    if (host.n == 0 || host.n >= sizeof text) return false;
    if (host.p[0] == '[') {
        if (host.p[host.n - 1] != ']' || host.n < 4) return false;
        memcpy(text, host.p + 1, host.n - 2);
        text[host.n - 2] = '\0';
        struct in6_addr v6;
        return inet_pton(AF_INET6, text, &v6) == 1;
    }
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
        if (!good) return false;
    }
    return true;
}

static bool port_right(struct span port, int64_t least)
{
    int64_t n = 0;
    return port.n <= 5 && port.n > 0 && port.p[0] != '-' && span_to_i64(port, &n) && n >= least && n <= 65535;
}

/* HOST or HOST:PORT */
static bool authority_right(struct span s, bool need_port)
{
    size_t end = s.n;
    while (end > 0 && s.p[end - 1] != ':' && s.p[end - 1] != ']') end--;
    if (end == 0 || s.p[end - 1] == ']') return !need_port && host_right(s);
    return host_right(span_from(s.p, end - 1)) && port_right(span_cut(s, end), need_port ? 0 : 1);
}

static bool url_right(struct span v, bool path_too)
{
    struct span rest;
    if (span_begins(v, SPAN("https://"))) rest = span_cut(v, 8);
    else if (span_begins(v, SPAN("http://"))) rest = span_cut(v, 7);
    else return false;
    int slash = span_find(rest, '/');
    if (slash >= 0 && !path_too) return false;
    struct span authority = slash < 0 ? rest : span_from(rest.p, (size_t)slash);
    for (size_t i = 0; i < rest.n; i++) {
        unsigned char c = (unsigned char)rest.p[i];
        if (c <= 0x20 || c >= 0x7f || c == '?' || c == '#' || c == '@' || c == '\\') return false;
    }
    return authority_right(authority, false);
}

static bool network_right(struct span v)
{
    char text[64];
    int slash = span_find(v, '/');
    struct span address = slash < 0 ? v : span_from(v.p, (size_t)slash);
    if (address.n == 0 || address.n >= sizeof text) return false;
    memcpy(text, address.p, address.n);
    text[address.n] = '\0';
    struct in6_addr room;
    int most = inet_pton(AF_INET, text, &room) == 1 ? 32 : inet_pton(AF_INET6, text, &room) == 1 ? 128 : -1;
    if (most < 0) return false;
    int64_t bits = 0;
    return slash < 0 || (span_to_i64(span_cut(v, (size_t)slash + 1), &bits) && bits >= 0 && bits <= most);
}

static bool zone_right(struct span v)
{
    char name[128];
    if (v.n >= sizeof name) return false;
    memcpy(name, v.p, v.n);
    name[v.n] = '\0';
    struct zone *z = zone_open(name, NULL);
    bool good = z != NULL;
    zone_free(&z);
    return good;
}

static bool range_right(const struct setting *s, int64_t n) { return (s->min == 0 && s->max == 0) || (n >= s->min && n <= s->max); }

static bool refuse_with(const char **out, const char *must_be)
{
    *out = must_be;
    return false;
}

static bool number_check(const struct setting *s, struct span v, int64_t *out_number, const char **out_must_be, char room[160])
{
    bool whole = s->kind == SETTING_INT;
    if ((whole ? span_to_i64(v, out_number) : decimal_right(v, out_number)) && range_right(s, *out_number)) return true;
    if (s->min == 0 && s->max == 0) return refuse_with(out_must_be, whole ? "a whole number" : "a number with at most four digits behind the point");
    if (whole) snprintf(room, 160, "a whole number from %" PRId64 " to %" PRId64, s->min, s->max);
    else snprintf(room, 160, "a number from %g to %g with at most four digits behind the point", (double)s->min / 1e4, (double)s->max / 1e4);
    return refuse_with(out_must_be, room);
}

static bool list_right(struct span v, bool (*word_right)(struct span))
{
    struct span word;
    while (word_next(&v, &word))
        if (!word_right(word)) return false;
    return true;
}

static bool origin_right(struct span word) { return url_right(word, false); }

bool setting_check(const struct setting *s, struct span value, struct span *out_value, int64_t *out_number, const char **out_must_be, char must_be_room[160])
{
    struct span v = span_trim(value);
    *out_number = 0;
    *out_must_be = NULL;
    *out_value = v;
    if (!utf8_valid(v) || memchr(v.p ? v.p : "", 0, v.n)) return refuse_with(out_must_be, "valid UTF-8 without NUL");
    if (s->choices) {
        if (choice_right(s->choices, v)) return true;
        snprintf(must_be_room, 160, "one of %s", s->choices);
        return refuse_with(out_must_be, must_be_room);
    }
    if (s->kind == SETTING_BOOL) return bool_right(v, out_number) || refuse_with(out_must_be, "true or false");
    if (s->kind == SETTING_INT || s->kind == SETTING_DECIMAL) return number_check(s, v, out_number, out_must_be, must_be_room);
    if (v.n == 0) return true;
    switch (s->kind) {
    case SETTING_TEXT:
        if (s->min == 0 || v.n >= (size_t)s->min) return true;
        snprintf(must_be_room, 160, "at least %" PRId64 " bytes long", s->min);
        return refuse_with(out_must_be, must_be_room);
    case SETTING_PATH:
        return v.p[0] != '~' || refuse_with(out_must_be, "a whole path (\"~\" is not expanded here)");
    case SETTING_URL:
        while (v.n > 0 && v.p[v.n - 1] == '/') v.n--;
        *out_value = v;
        return url_right(v, true) || refuse_with(out_must_be, "http://HOST or https://HOST, perhaps with :PORT and a path");
    case SETTING_LISTEN:
        return authority_right(v, true) || refuse_with(out_must_be, "ADDRESS:PORT, as 127.0.0.1:8000 or [::]:8000");
    case SETTING_ZONE:
        return zone_right(v) || refuse_with(out_must_be, "a time zone of the system's tzdata, as Asia/Shanghai");
    case SETTING_ORIGINS:
        return span_is(v, SPAN("*")) || list_right(v, origin_right) || refuse_with(out_must_be, "origins as https://weir.example, separated by spaces, or * for any");
    case SETTING_NETWORKS:
        return list_right(v, network_right) || refuse_with(out_must_be, "addresses or networks as 10.0.0.0/8 or ::1, separated by spaces");
    case SETTING_INT: case SETTING_BOOL: case SETTING_DECIMAL: break;
    }
    must(false);                                             /* a setting without a kind */
    return false;
}
