/* net/mail_text.c: a mail as bytes, and what an address may look like. Pure; see mail.h. */
#include "net/mail.h"

#include <stdio.h>

#include "base/clock.h"

/* ---- addresses ---- */

static bool is_atom(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-/=?^_`{|}~.", c));
}

static bool is_host(unsigned char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.'; }

bool mail_address_right(struct span a)
{
    int at = span_find(a, '@');
    if (a.n > 254 || at < 1 || (size_t)at + 1 >= a.n) return false;
    for (size_t i = 0; i < a.n; i++)
        if ((int)i != at && !((int)i < at ? is_atom((unsigned char)a.p[i]) : is_host((unsigned char)a.p[i]))) return false;
    return true;
}

bool mail_address_next(struct span *rest, struct span *out)
{
    size_t at = 0;
    while (at < rest->n && strchr(", \t\r\n;", rest->p[at])) at++;
    size_t end = at;
    while (end < rest->n && !strchr(", \t\r\n;", rest->p[end])) end++;
    *out = span_from(rest->p + at, end - at);
    *rest = span_cut(*rest, end);
    return out->n > 0;
}

bool mail_url_right(struct span url)
{
    struct span rest = span_begins(url, SPAN("smtp://")) ? span_cut(url, 7) : span_begins(url, SPAN("smtps://")) ? span_cut(url, 8) : SPAN("");
    for (size_t i = 0; i < rest.n; i++)
        if ((unsigned char)rest.p[i] <= ' ' || (unsigned char)rest.p[i] >= 0x7f || strchr("/?#\\\"", rest.p[i])) return false;
    for (int at = span_find(rest, '@'); at >= 0; at = span_find(rest, '@')) rest = span_cut(rest, (size_t)at + 1);
    return rest.n > 0 && rest.p[0] != ':';
}

bool mail_url_is_here(struct span url)
{
    struct span host = span_cut(url, span_begins(url, SPAN("smtps://")) ? 8 : 7);
    for (int at = span_find(host, '@'); at >= 0; at = span_find(host, '@')) host = span_cut(host, (size_t)at + 1);
    if (host.n && host.p[0] == '[') return span_is(host, SPAN("[::1]")) || span_begins(host, SPAN("[::1]:"));
    int colon = span_find(host, ':');
    if (colon >= 0) host.n = (size_t)colon;
    if (!span_begins(host, SPAN("127."))) return span_is_nocase(host, SPAN("localhost"));
    for (size_t i = 0; i < host.n; i++)
        if (host.p[i] != '.' && (host.p[i] < '0' || host.p[i] > '9')) return false;        /* 127.evil.example is a name like any other */
    return true;
}

/* ---- encodings ---- */

static void add_base64(struct buf *b, const unsigned char *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i < 3 ? n - i : 3;
        uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0u);
        char four[4] = { digits[v >> 18 & 63], digits[v >> 12 & 63], left > 1 ? digits[v >> 6 & 63] : '=', left > 2 ? digits[v & 63] : '=' };
        buf_add(b, four, 4);
    }
}

/* Encoded words of at most 75 characters, each a whole number of code points, one a line. */
static void add_words(struct buf *b, struct span text)
{
    enum { WORD_BYTES = 39 };                      /* 52 characters of base64 between =?UTF-8?B? and ?=: "Subject: " fits beside it */
    bool first = true;
    while (text.n || first) {
        size_t n = text.n < WORD_BYTES ? text.n : WORD_BYTES;
        while (n < text.n && n > 0 && ((unsigned char)text.p[n] & 0xc0) == 0x80) n--;
        buf_add_z(b, first ? "=?UTF-8?B?" : "\r\n =?UTF-8?B?");
        add_base64(b, (const unsigned char *)text.p, n);
        buf_add_z(b, "?=");
        text = span_cut(text, n);
        first = false;
    }
}

/* Lines end with CRLF before they are encoded (RFC 2045 6.8), whatever they ended with. */
static void add_text(struct buf *b, struct span text)
{
    enum { LINE_BYTES = 57 };                      /* 76 characters */
    unsigned char line[LINE_BYTES];
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool end = c == '\n' || c == '\r';
        if (c == '\r' && i + 1 < text.n && text.p[i + 1] == '\n') continue;
        for (int k = 0; k < (end ? 2 : 1); k++) {
            line[n++] = (unsigned char)(end ? (k ? '\n' : '\r') : c);
            if (n < LINE_BYTES) continue;
            add_base64(b, line, n);
            buf_add_z(b, "\r\n");
            n = 0;
        }
    }
    if (n) {
        add_base64(b, line, n);
        buf_add_z(b, "\r\n");
    }
}

static void add_date(struct buf *b, int64_t ms)
{
    char date[30];
    clock_http_date(ms, date);                     /* "Sun, 06 Nov 1994 08:49:37 GMT" */
    buf_printf(b, "Date: %.25s +0000\r\n", date);
}

static bool id_right(struct span id)
{
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] == '.' || id.p[i] == '@' || !is_atom((unsigned char)id.p[i])) return false;
    return id.n > 0 && id.n <= 100;
}

bool mail_write(struct buf *b, const struct mail *m)
{
    if (!mail_address_right(m->from) || !id_right(m->id) || m->to_count == 0 || m->to_count > MAIL_RECIPIENTS || !utf8_valid(m->subject) || !utf8_valid(m->text)) return false;
    for (size_t i = 0; i < m->to_count; i++)
        if (!mail_address_right(m->to[i])) return false;
    add_date(b, m->date_ms);
    buf_printf(b, "From: <%.*s>\r\n", SPAN_ARGS(m->from));
    for (size_t i = 0; i < m->to_count; i++) buf_printf(b, "%s<%.*s>%s", i ? " " : "To: ", SPAN_ARGS(m->to[i]), i + 1 < m->to_count ? ",\r\n" : "\r\n");
    buf_add_z(b, "Subject: ");
    add_words(b, m->subject);
    buf_printf(b, "\r\nMessage-ID: <%.*s@%.*s>\r\n", SPAN_ARGS(m->id), SPAN_ARGS(span_cut(m->from, (size_t)span_find(m->from, '@') + 1)));
    buf_add_z(b, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\nAuto-Submitted: auto-generated\r\n\r\n");
    add_text(b, m->text);
    return !b->failed;
}
