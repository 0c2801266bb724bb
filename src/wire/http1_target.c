/* wire/http1_target.c: request targets, authorities and paths.
 *
 * Targets (RFC 9112, 3.2): origin-form for everybody; absolute-form, http or https, whose authority agrees with Host (the RFC would have the Host
 * line ignored, but then two readers of one request would see two hosts); `*` for OPTIONS. Authority-form belongs to CONNECT, which we do not have.
 *
 * Authorities: a name of letters, digits, '-', '.', '_', '~', or an IPv6 address in brackets, and perhaps a port. The grammar of URIs also has
 * percent-encoding, sub-delims (a comma!), userinfo and IPvFuture there; no host that people run has them, and every one of them is read in two
 * ways somewhere, so they are refused. So is the empty host (RFC 9110, 4.2.1).
 *
 * Paths: percent-decoding happens once. Refused: a malformed escape; control bytes and DEL, encoded too; anything but UTF-8; an encoded '/'
 * and any '\', because whoever splits before decoding sees another path than who splits after; an empty segment but at the end ("//" becomes an
 * absolute path as soon as somebody cuts off the first '/'); ".." that would leave the root. "." and ".." below it are removed (RFC 3986, 5.2.4),
 * encoded ones too, so that no path with a dot segment reaches a route or a file system. */
#include <arpa/inet.h>

#include "wire/http1_in.h"

/* ---- authorities ---- */

static bool port_valid(struct span port)                   /* "host:" with nothing behind it is in the grammar */
{
    unsigned value = 0;
    if (port.n > 5) return false;
    for (size_t i = 0; i < port.n; i++) {
        if (port.p[i] < '0' || port.p[i] > '9') return false;
        value = value * 10 + (unsigned)(port.p[i] - '0');
    }
    return value <= 65535;
}

static bool address_valid(struct span inside)              /* what stands between the brackets */
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (inside.n == 0 || inside.n >= sizeof text || memchr(inside.p, 0, inside.n)) return false;
    memcpy(text, inside.p, inside.n);
    text[inside.n] = 0;
    return inet_pton(AF_INET6, text, &address) == 1;
}

bool http_authority_valid(struct span s)
{
    size_t i = 0;
    if (s.n == 0) return false;
    if (s.p[0] == '[') {
        int close = span_find(s, ']');
        if (close < 0 || !address_valid(span_from(s.p + 1, (size_t)close - 1))) return false;
        i = (size_t)close + 1;
    } else {
        while (i < s.n && http_byte_is(s.p[i], HTTP_BYTE_NAME)) i++;
        if (i == 0) return false;
    }
    if (i == s.n) return true;
    return s.p[i] == ':' && port_valid(span_cut(s, i + 1));
}

static struct span without_default_port(struct span s, bool https)
{
    struct span port = https ? SPAN(":443") : SPAN(":80");
    if (span_ends(s, port)) s.n -= port.n;                 /* an IPv6 address cannot end so: its bracket stands between */
    else if (span_ends(s, SPAN(":"))) s.n -= 1;
    return s;
}

bool http_authority_same(struct span a, struct span b, bool https)
{
    return span_is_nocase(without_default_port(a, https), without_default_port(b, https));
}

/* ---- targets ---- */

static void path_and_query(struct http_head *out, struct span s)
{
    int mark = span_find(s, '?');
    out->path = mark < 0 ? s : span_from(s.p, (size_t)mark);
    out->query = mark < 0 ? (struct span){ s.p + s.n, 0 } : span_cut(s, (size_t)mark + 1);
}

bool http_target_split(struct http_head *out, struct span *out_authority, bool *out_https)
{
    struct span t = out->target, rest;
    *out_authority = (struct span){ 0 };
    *out_https = false;
    if (t.p[0] == '/') {
        path_and_query(out, t);
        return true;
    }
    if (t.p[0] == '*') {
        path_and_query(out, t);
        return t.n == 1 && out->method == HTTP_OPTIONS;
    }
    if (t.n > 7 && span_is_nocase(span_from(t.p, 7), SPAN("http://"))) {
        rest = span_cut(t, 7);
    } else if (t.n > 8 && span_is_nocase(span_from(t.p, 8), SPAN("https://"))) {
        rest = span_cut(t, 8);
        *out_https = true;
    } else {
        return false;
    }
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?') n++;
    *out_authority = span_from(rest.p, n);
    rest = span_cut(rest, n);
    path_and_query(out, rest);
    if (out->path.n == 0) out->path = rest.n == 0 && out->method == HTTP_OPTIONS ? SPAN("*") : SPAN("/");   /* RFC 9112, 3.2.4 */
    return http_authority_valid(*out_authority);
}

/* ---- paths ---- */

/* Decodes one segment to `to`; the bytes written, or -1. */
static ptrdiff_t segment_decode(struct span in, char *to)
{
    char *start = to;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        bool escaped = c == '%';
        if (escaped) {
            int hi = in.n - i > 2 ? http_hex_value(in.p[i + 1]) : -1;
            int lo = in.n - i > 2 ? http_hex_value(in.p[i + 2]) : -1;
            if (hi < 0 || lo < 0) return -1;
            c = (char)(hi << 4 | lo);
            i += 2;
        }
        if (!http_byte_printable(c) || c == '\\' || c == '/') return -1;
        *to++ = c;
    }
    return to - start;
}

bool http_path_decode(struct arena *a, struct span raw, struct span *out)
{
    *out = (struct span){ 0 };
    if (span_is(raw, SPAN("*"))) {
        *out = raw;
        return true;
    }
    if (raw.n == 0 || raw.p[0] != '/') return false;
    char *text = arena_take(a, raw.n + 1);
    if (!text) return false;
    size_t n = 0;                                          /* text[0..n) is "/a/b/": always closed by a '/' while segments follow */
    text[n++] = '/';
    for (size_t i = 1; i < raw.n;) {
        const char *slash = memchr(raw.p + i, '/', raw.n - i);
        size_t stop = slash ? (size_t)(slash - raw.p) : raw.n;
        ptrdiff_t got = segment_decode(span_from(raw.p + i, stop - i), text + n);
        if (got <= 0) return false;                        /* malformed, or empty: the loop ends before the one behind a last '/' */
        struct span name = { text + n, (size_t)got };
        if (span_is(name, SPAN(".."))) {
            if (n == 1) return false;
            for (n--; text[n - 1] != '/'; n--) { }
        } else if (!span_is(name, SPAN("."))) {
            n += name.n;
            if (slash) text[n++] = '/';
        }
        i = stop + 1;
    }
    text[n] = 0;
    *out = (struct span){ text, n };
    return utf8_valid(*out);
}
