/* wire/form.c: names and values as URLs, forms and cookies carry them.
 *
 * Forms and queries (WHATWG URL, 5.1): pieces between '&', the first '=' parts name from value, '+' is a space, %XX is a byte; empty pieces are
 * passed over, a piece without '=' has an empty value. Where the browsers' algorithm shrugs this one refuses: a malformed escape, bytes that
 * are no UTF-8, and NUL are answered with an error instead of stored as something that nobody sent. Raw bytes of 0x80 and more are taken, because
 * command-line clients send them. All decoded text lies in one piece of the arena: decoding never makes anything longer.
 *
 * Cookies (RFC 6265, 4.2): the other way round. What other programs of the same host left in the jar is none of our business and must not lock
 * anybody out, so a crumb that does not fit the grammar is passed over, and so is all behind LIMIT_COOKIES.
 *
 * Called by the engine for queries, form bodies and sessions. */
#include "wire/form.h"
#include "wire/http1_in.h"

/* One escaped text from `in` to `to`; the bytes written, or -1 with *out_why. */
static ptrdiff_t text_decode(struct span in, char *to, const char **out_why)
{
    char *start = to;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int hi = in.n - i > 2 ? http_hex_value(in.p[i + 1]) : -1;
            int lo = in.n - i > 2 ? http_hex_value(in.p[i + 2]) : -1;
            if (hi < 0 || lo < 0) {
                *out_why = "malformed percent escape";
                return -1;
            }
            c = (char)(hi << 4 | lo);
            i += 2;
        }
        if (c == 0) {
            *out_why = "NUL in a parameter";
            return -1;
        }
        *to++ = c;
    }
    if (!utf8_valid(span_from(start, (size_t)(to - start)))) {
        *out_why = "a parameter is not UTF-8";
        return -1;
    }
    return to - start;
}

/* Takes the piece before the next '&' off *rest. */
static struct span piece_next(struct span *rest, char separator)
{
    const char *mark = memchr(rest->p, separator, rest->n);
    struct span piece = mark ? span_from(rest->p, (size_t)(mark - rest->p)) : *rest;
    *rest = span_cut(*rest, mark ? piece.n + 1 : piece.n);
    return piece;
}

bool form_parse(struct arena *a, struct span in, struct pairs *out, const char **out_why)
{
    size_t count = 0;
    *out = (struct pairs){ 0 };
    *out_why = NULL;
    for (struct span rest = in; rest.n > 0;) {
        if (piece_next(&rest, '&').n > 0 && ++count > LIMIT_PARAMETERS) {
            *out_why = "too many parameters";
            return false;
        }
    }
    struct pair *pairs = arena_take(a, count * sizeof *pairs);
    char *text = arena_take(a, in.n);
    if (!pairs || !text) {
        *out_why = "out of memory";
        return false;
    }
    count = 0;
    for (struct span rest = in; rest.n > 0;) {
        struct span value = piece_next(&rest, '&');
        if (value.n == 0) continue;
        struct span name = piece_next(&value, '=');
        ptrdiff_t n = text_decode(name, text, out_why);
        if (n < 0) return false;
        pairs[count].name = span_from(text, (size_t)n);
        text += n;
        n = text_decode(value, text, out_why);
        if (n < 0) return false;
        pairs[count++].value = span_from(text, (size_t)n);
        text += n;
    }
    *out = (struct pairs){ count, pairs };
    return true;
}

static bool cookie_octets(struct span s)                  /* printable ASCII but for white space " , ; \ */
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c <= 0x20 || c >= 0x7f || c == '"' || c == ',' || c == ';' || c == '\\') return false;
    }
    return true;
}

static bool cookie_read(struct span crumb, struct pair *out)
{
    int mark = span_find(crumb, '=');
    if (mark <= 0) return false;
    struct span name = span_from(crumb.p, (size_t)mark), value = span_cut(crumb, (size_t)mark + 1);
    if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"') value = span_from(value.p + 1, value.n - 2);
    for (size_t i = 0; i < name.n; i++) {
        if (!http_byte_is(name.p[i], HTTP_BYTE_TOKEN)) return false;
    }
    if (!cookie_octets(value)) return false;
    *out = (struct pair){ name, value };
    return true;
}

void cookies_parse(struct arena *a, struct span header, struct pairs *out)
{
    *out = (struct pairs){ 0 };
    if (header.n == 0) return;
    struct pair *pairs = arena_take(a, LIMIT_COOKIES * sizeof *pairs);
    struct span rest = arena_copy(a, header);
    if (!pairs || !rest.p) return;
    size_t count = 0;
    while (rest.n > 0 && count < LIMIT_COOKIES) {
        if (cookie_read(span_trim(piece_next(&rest, ';')), &pairs[count])) count++;
    }
    *out = (struct pairs){ count, pairs };
}

struct span pairs_get(const struct pairs *pairs, struct span name)
{
    for (size_t i = 0; i < pairs->n; i++) {
        if (span_is(pairs->at[i].name, name)) return pairs->at[i].value;
    }
    return (struct span){ 0 };
}

void url_encode(struct buf *b, struct span s)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_' || c == '~';
        char escape[3] = { '%', digits[c >> 4], digits[c & 15] };
        buf_add(b, plain ? (const char *)&c : escape, plain ? 1 : 3);
    }
}
