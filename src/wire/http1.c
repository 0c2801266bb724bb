/* wire/http1.c: the head of a request.
 *
 * head_try() reads a head from its first byte to its last in one pass and stops at the first byte that is wrong. It is a function of
 * the bytes in their order only: what it says of a prefix (complete, or refused) it says of everything that begins with that prefix. So it
 * does not matter how the bytes arrive, and http_head_parse() is free to choose when it runs: at once for the first bytes (most heads arrive
 * whole), and then only when the new bytes end a head or have something wrong. That makes slow arrival linear.
 *
 * Which status: 400 for what is malformed, in the order of the bytes. Of a well-formed request line first its version is judged (505), then its
 * method (501), then its target (400). What only the whole head can show (no Host, two framings, an expectation that we do not know) comes last,
 * 417 after all 400s. Methods are case-sensitive, so `get` is a method that we do not know; CONNECT is one too, but its target must at least be
 * host:port (else 400). "GET /\r\n" of HTTP/0.9 is a malformed line. A method of hundreds of bytes is no method but noise: 400.
 *
 * Targets: refused are control bytes, space, DEL, '#' (a fragment never travels) and bytes of 0x80 and more (a URI is ASCII). The characters
 * " < > \ ^ ` { | } are no URI characters either, but browsers leave some of them raw in queries, and no reader mistakes them for the end.
 *
 * Called by net/ for connections and by the sandbox; also for tests and fuzzers. */
#include "wire/http1_in.h"

enum { OK = 1, NEED = 0 };                                 /* what the steps below return, or -status */
#define METHOD_BYTES 256                                   /* what is longer is refused before its space has come */
#define EAGER_BYTES 64                                     /* while a head is this short it is simply tried again */
#define TRY_AGAIN_BYTES 4096                               /* and whenever it has grown by this much: finds long targets, too many lines */

#define T HTTP_BYTE_TOKEN
#define G HTTP_BYTE_TARGET
#define N HTTP_BYTE_NAME
const unsigned char http_bytes[256] = {
    ['!'] = T | G, ['"'] = G, ['#'] = T, ['$'] = T | G, ['%'] = T | G, ['&'] = T | G, ['\''] = T | G, ['('] = G, [')'] = G,
    ['*'] = T | G, ['+'] = T | G, [','] = G, ['-'] = T | G | N, ['.'] = T | G | N, ['/'] = G, ['0' ... '9'] = T | G | N,
    [':' ... '@'] = G, ['A' ... 'Z'] = T | G | N, ['[' ... ']'] = G, ['^'] = T | G, ['_'] = T | G | N, ['`'] = T | G,
    ['a' ... 'z'] = T | G | N, ['{'] = G, ['|'] = T | G, ['}'] = G, ['~'] = T | G | N,
};
#undef T
#undef G
#undef N

static const struct span methods[HTTP_METHODS] = {
    [HTTP_GET] = { "GET", 3 }, [HTTP_HEAD] = { "HEAD", 4 }, [HTTP_POST] = { "POST", 4 }, [HTTP_PUT] = { "PUT", 3 },
    [HTTP_PATCH] = { "PATCH", 5 }, [HTTP_DELETE] = { "DELETE", 6 }, [HTTP_OPTIONS] = { "OPTIONS", 7 },
};

struct span http_method_name(enum http_method m)
{
    must(m < HTTP_METHODS);
    return methods[m];
}

static bool method_find(struct span text, enum http_method *out)
{
    for (size_t i = 0; i < HTTP_METHODS; i++) {
        if (span_is(text, methods[i])) {
            *out = (enum http_method)i;
            return true;
        }
    }
    return false;
}

/* What the lines of one head say together. */
struct seen {
    bool method_known, host, length, encoding, close, keep_alive, upgrade, websocket, expect, expect_other, https;
    struct span authority;                                 /* of an absolute-form target */
};

static int line_end(const char **at, const char *end)
{
    const char *p = *at;
    if (p == end) return NEED;
    if (*p != '\r') return -400;
    if (p + 1 == end) return NEED;
    if (p[1] != '\n') return -400;
    *at = p + 2;
    return OK;
}

/* HTTP-version and the end of its line. 505 only for what is well-formed. */
static int version_read(const char **at, const char *end, struct http_head *out)
{
    static const char shape[] = "HTTP/9.9";
    const char *p = *at;
    for (size_t i = 0; i < sizeof shape - 1; i++, p++) {
        if (p == end) return NEED;
        if (shape[i] == '9' ? (*p < '0' || *p > '9') : *p != shape[i]) return -400;
    }
    int major = p[-3] - '0', minor = p[-1] - '0';
    int r = line_end(&p, end);
    if (r != OK) return r;
    if (major != 1 || minor > 1) return -505;
    out->minor = minor;
    *at = p;
    return OK;
}

/* RFC 9112, 3.2.3: CONNECT takes a host and a port, both of them. */
static bool connect_malformed(const struct http_head *head)
{
    struct span t = head->target;
    return span_is(head->method_text, SPAN("CONNECT")) && (!http_authority_valid(t) || span_find(t, ':') < 0 || t.p[t.n - 1] == ':' || t.p[t.n - 1] == ']');
}

static int request_line(const char **at, const char *end, struct http_head *out, struct seen *seen)
{
    const char *p = *at, *start = p;
    while (p < end && p - start <= METHOD_BYTES && http_byte_is(*p, HTTP_BYTE_TOKEN)) p++;
    if (p - start > METHOD_BYTES) return -400;
    if (p == end) return NEED;
    if (p == start || *p != ' ') return -400;
    out->method_text = span_from(start, (size_t)(p - start));
    seen->method_known = method_find(out->method_text, &out->method);

    start = ++p;
    const char *stop = end - p > LIMIT_TARGET_BYTES ? p + LIMIT_TARGET_BYTES + 1 : end;
    p = http_target_end(p, stop);
    if (p - start > LIMIT_TARGET_BYTES) return -414;
    if (p == end) return NEED;
    if (p == start || *p != ' ') return -400;
    out->target = span_from(start, (size_t)(p - start));

    p++;
    int r = version_read(&p, end, out);
    if (r != OK) return r;
    if (!seen->method_known) return connect_malformed(out) ? -400 : -501;
    if (!http_target_split(out, &seen->authority, &seen->https)) return -400;
    *at = p;
    return OK;
}

/* One header line with its CRLF. An obs-fold begins with white space, which is no name: refused like every other bad name. */
static int header_line(const char **at, const char *end, struct http_header *out)
{
    const char *p = *at, *start = p;
    while (p < end && http_byte_is(*p, HTTP_BYTE_TOKEN)) p++;
    if (p == end) return NEED;
    if (p == start || *p != ':') return -400;              /* white space before the colon ends here too */
    out->name = span_from(start, (size_t)(p - start));
    p++;
    while (p < end && (*p == ' ' || *p == '\t')) p++;
    start = p;
    for (;;) {
        p = http_printable_end(p, end);
        if (p == end) return NEED;
        if (*p != '\t') break;
        p++;
    }
    const char *behind = p;
    int r = line_end(&p, end);
    if (r != OK) return r;
    while (behind > start && (behind[-1] == ' ' || behind[-1] == '\t')) behind--;
    out->value = span_from(start, (size_t)(behind - start));
    *at = p;
    return OK;
}

/* Digits and nothing else, at most INT64_MAX: no sign, no list, no white space inside; and no leading zero, which some read as octal. */
static bool length_read(struct span text, int64_t *out)
{
    int64_t value = 0;
    if (text.n == 0 || (text.n > 1 && text.p[0] == '0')) return false;
    for (size_t i = 0; i < text.n; i++) {
        int digit = text.p[i] - '0';
        if (digit < 0 || digit > 9 || value > (INT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

static inline bool name_is(struct span name, struct span lower)
{
    if (name.n != lower.n) return false;
    for (size_t i = 0; i < name.n; i++) {
        if ((name.p[i] | 0x20) != lower.p[i]) return false;     /* names are tokens; `lower` holds only letters and '-' (0x2d) */
    }
    return true;
}

/* The headers that say where this request ends and whether another follows. */
static int header_weigh(const struct http_header *h, struct http_head *out, struct seen *seen)
{
    switch (h->name.n) {
    case 4:
        if (!name_is(h->name, SPAN("host"))) break;
        if (seen->host || !http_authority_valid(h->value)) return -400;
        seen->host = true;
        out->host = h->value;
        break;
    case 6:
        if (!name_is(h->name, SPAN("expect"))) break;
        if (span_is_nocase(h->value, SPAN("100-continue"))) seen->expect = true;
        else seen->expect_other = true;
        break;
    case 7:
        if (name_is(h->name, SPAN("upgrade")) && http_list_has(h->value, SPAN("websocket"))) seen->websocket = true;
        break;
    case 10:
        if (!name_is(h->name, SPAN("connection"))) break;
        seen->close |= http_list_has(h->value, SPAN("close"));
        seen->keep_alive |= http_list_has(h->value, SPAN("keep-alive"));
        seen->upgrade |= http_list_has(h->value, SPAN("upgrade"));
        break;
    case 14:
        if (!name_is(h->name, SPAN("content-length"))) break;
        if (seen->length || seen->encoding || !length_read(h->value, &out->content_length)) return -400;
        seen->length = true;
        break;
    case 17:
        if (!name_is(h->name, SPAN("transfer-encoding"))) break;
        if (seen->length || seen->encoding || out->minor == 0 || !span_is_nocase(h->value, SPAN("chunked"))) return -400;
        seen->encoding = out->chunked = true;
        break;
    }
    return OK;
}

/* Can header_weigh() refuse such a line? A head that is right has at most one of each. */
static bool header_decides(struct span name)
{
    return span_is_nocase(name, SPAN("host")) || span_is_nocase(name, SPAN("content-length")) || span_is_nocase(name, SPAN("transfer-encoding"));
}

/* What only the whole head can show. */
static int head_finish(struct http_head *out, const struct seen *seen)
{
    if (!seen->host && out->minor == 1) return -400;
    if (seen->authority.p) {
        if (!seen->host) out->host = seen->authority;
        else if (!http_authority_same(seen->authority, out->host, seen->https)) return -400;
    }
    if (seen->expect_other) return -417;
    out->keep_alive = !seen->close && (out->minor == 1 || seen->keep_alive);
    out->expect_continue = seen->expect && out->minor == 1 && (out->chunked || out->content_length > 0);
    out->upgrade_websocket = seen->upgrade && seen->websocket && out->minor == 1;
    return OK;
}

static int head_try(struct span in, struct http_head *out)
{
    const char *at = in.p, *end = in.p + (in.n < LIMIT_HEAD_BYTES ? in.n : LIMIT_HEAD_BYTES);
    struct seen seen = { 0 };
    const int too_long = in.n < LIMIT_HEAD_BYTES ? NEED : -431;
    int r;

    if (*at == '\r' && (r = line_end(&at, end)) != OK) return r;       /* RFC 9112, 2.2: one empty line of a sloppy client */
    out->path = out->query = out->host = (struct span){ 0 };
    out->header_count = 0;
    out->content_length = -1;
    out->chunked = out->keep_alive = out->expect_continue = out->upgrade_websocket = false;
    r = request_line(&at, end, out, &seen);
    if (r != OK) return r == NEED ? too_long : r;
    for (;;) {
        if (at == end) return too_long;
        if (*at == '\r') break;
        if (out->header_count == LIMIT_HEADER_LINES) return -431;
        struct http_header *h = &out->headers[out->header_count];
        r = header_line(&at, end, h);
        if (r == OK) r = header_weigh(h, out, &seen);
        if (r != OK) return r == NEED ? too_long : r;
        out->header_count++;
    }
    r = line_end(&at, end);
    if (r == OK) r = head_finish(out, &seen);
    if (r != OK) return r == NEED ? too_long : r;
    return (int)(at - in.p);
}

/* Can the bytes behind `before` have ended the head, or spoilt it? Looks at these bytes and at the beginning of the lines that they end, and at
 * nothing twice. It may say yes for nothing for the request line, three headers and four times for the size (TRY_AGAIN_BYTES): all else that it
 * stops at is an end or an error for head_try too, so that runs a few times at most. */
static bool head_worth_trying(struct span in, size_t before)
{
    const char *p = in.p + before, *end = in.p + in.n;
    if (in.n >= LIMIT_HEAD_BYTES || in.n / TRY_AGAIN_BYTES != before / TRY_AGAIN_BYTES) return true;
    if (p < end && p[-1] == '\r' && *p != '\n') return true;
    while ((p = http_printable_end(p, end)) < end) {
        if (*p == '\n') {
            struct http_header scrap;
            const char *line = memrchr(in.p, '\n', (size_t)(p - in.p));
            if (!line) return true;                        /* the request line */
            line++;
            if (header_line(&line, p + 1, &scrap) != OK || header_decides(scrap.name)) return true;
        } else if (*p == '\r') {
            if (p + 1 < end && p[1] != '\n') return true;
        } else if (*p != '\t') {
            return true;
        }
        p++;
    }
    return false;
}

int http_head_parse(struct span in, size_t *scanned, struct http_head *out)
{
    must(*scanned <= in.n);
    if (in.n == 0) return 0;
    if (*scanned < EAGER_BYTES || head_worth_trying(in, *scanned)) {
        int r = head_try(in, out);
        if (r != NEED) return r;
    }
    *scanned = in.n;
    return 0;
}

struct span http_header_get(const struct http_head *head, struct span name)
{
    for (size_t i = 0; i < head->header_count; i++) {
        if (head->headers[i].name.n == name.n && span_is_nocase(head->headers[i].name, name)) return head->headers[i].value;
    }
    return (struct span){ 0 };
}

bool http_list_has(struct span value, struct span token)
{
    if (value.n == 0) return false;                        /* then p may be NULL */
    const char *p = value.p, *end = p + value.n;
    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *stop = comma ? comma : end;
        if (span_is_nocase(span_trim(span_from(p, (size_t)(stop - p))), token)) return true;
        p = comma ? comma + 1 : end;
    }
    return false;
}
