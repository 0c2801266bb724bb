/* wire/websocket_handshake.c: the opening handshake, that is, two questions about a request head that http1.c has read: may this
 * become a WebSocket (RFC 6455 4.2), and which of the client's permessage-deflate offers do we take (RFC 7692 5 and 7.1)?
 *
 * Called by the engine's router before it answers 101. Decides nothing about Origin, paths or identity. A head that is wrong in any detail
 * is refused; an extension header that is wrong only costs the compression, because declining is always a right answer there.
 *
 * We never keep a compression context between messages (one zlib stream serves all sockets of a loop), so the answer always has both
 * no_context_takeover parameters; the server may add them unasked (RFC 7692 7.1.1). */
#include "wire/websocket.h"
#include "base/hash.h"
#include <openssl/evp.h>
#include <stdio.h>

/* The one header of that name; p == NULL if there is none, *out_n says how many there are. */
static struct span header_only(const struct http_head *h, struct span name, size_t *out_n)
{
    struct span found = { NULL, 0 };
    *out_n = 0;
    for (size_t i = 0; i < h->header_count; i++)
        if (span_is_nocase(h->headers[i].name, name)) {
            found = h->headers[i].value;
            (*out_n)++;
        }
    return found;
}

/* 16 bytes in base64: 22 characters and "==". */
static bool key_valid(struct span key)
{
    if (key.n != 24 || key.p[22] != '=' || key.p[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++) {
        char c = key.p[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
        if (!plain)
            return false;
    }
    return true;
}

int websocket_handshake(const struct http_head *h, char out_accept[29])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    size_t n;
    out_accept[0] = '\0';
    if (h->method != HTTP_GET || h->minor != 1 || h->host.n == 0 || !h->upgrade_websocket)
        return 400;
    if (h->content_length > 0 || h->chunked)
        return 400;                                       /* a body here would be read as frames */
    struct span version = header_only(h, SPAN("Sec-WebSocket-Version"), &n);
    if (n != 1 || !span_is_z(version, "13"))
        return 426;
    struct span key = header_only(h, SPAN("Sec-WebSocket-Key"), &n);
    if (n != 1 || !key_valid(key))
        return 400;
    char text[24 + sizeof guid - 1];
    unsigned char digest[20];
    memcpy(text, key.p, 24);
    memcpy(text + 24, guid, sizeof guid - 1);
    sha1(span_from(text, sizeof text), digest);
    must(EVP_EncodeBlock((unsigned char *)out_accept, digest, sizeof digest) == 28);
    return 101;
}

/* ---- Sec-WebSocket-Extensions ---- */

struct offer { bool ours, usable; bool seen_server_takeover, seen_client_takeover, seen_server_bits, seen_client_bits; int bits; };

static bool token_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static void skip_space(struct span *s)
{
    while (s->n && (*s->p == ' ' || *s->p == '\t'))
        *s = span_cut(*s, 1);
}

static struct span take_token(struct span *s)
{
    struct span t = { s->p, 0 };
    while (t.n < s->n && token_char(s->p[t.n]))
        t.n++;
    *s = span_cut(*s, t.n);
    return t;
}

static bool take_char(struct span *s, char c)
{
    skip_space(s);
    if (s->n == 0 || *s->p != c)
        return false;
    *s = span_cut(*s, 1);
    skip_space(s);
    return true;
}

/* token or "token" (a quoted value must be a token inside, RFC 6455 9.1; so no escapes are needed). */
static bool take_value(struct span *s, struct span *out)
{
    bool quoted = s->n && *s->p == '"';
    if (quoted)
        *s = span_cut(*s, 1);
    *out = take_token(s);
    if (out->n == 0)
        return false;
    if (quoted) {
        if (s->n == 0 || *s->p != '"')
            return false;
        *s = span_cut(*s, 1);
    }
    return true;
}

/* 8..15 without leading zeros, else 0. */
static int window_bits(struct span v)
{
    if (v.n == 1 && (v.p[0] == '8' || v.p[0] == '9'))
        return v.p[0] - '0';
    if (v.n == 2 && v.p[0] == '1' && v.p[1] >= '0' && v.p[1] <= '5')
        return 10 + (v.p[1] - '0');
    return 0;
}

static bool flag_once(bool *seen)
{
    bool first = !*seen;
    *seen = true;
    return first;
}

/* Can we live with this parameter? */
static bool offer_parameter(struct offer *o, struct span name, bool has_value, struct span value)
{
    if (span_is_nocase(name, SPAN("server_no_context_takeover")))
        return !has_value && flag_once(&o->seen_server_takeover);
    if (span_is_nocase(name, SPAN("client_no_context_takeover")))
        return !has_value && flag_once(&o->seen_client_takeover);
    if (span_is_nocase(name, SPAN("client_max_window_bits")))           /* a hint; we inflate with the largest window anyway */
        return flag_once(&o->seen_client_bits) && (!has_value || window_bits(value) != 0);
    if (span_is_nocase(name, SPAN("server_max_window_bits"))) {
        o->bits = has_value ? window_bits(value) : 0;
        return flag_once(&o->seen_server_bits) && o->bits != 0;
    }
    return false;
}

/* One element of the list: extension-token *( ";" parameter ). False: the header is malformed from here on. */
static bool take_offer(struct span *s, struct offer *o)
{
    *o = (struct offer){ .usable = true, .bits = 15 };
    struct span name = take_token(s);
    if (name.n == 0)
        return false;
    o->ours = span_is_nocase(name, SPAN("permessage-deflate"));
    while (take_char(s, ';')) {
        struct span parameter = take_token(s), value = { NULL, 0 };
        if (parameter.n == 0)
            return false;
        bool has_value = take_char(s, '=');
        if (has_value && !take_value(s, &value))
            return false;
        if (o->ours && !offer_parameter(o, parameter, has_value, value))
            o->usable = false;
    }
    skip_space(s);
    return s->n == 0 || *s->p == ',';
}

int websocket_deflate_offer(const struct http_head *h, char out[128])
{
    out[0] = '\0';
    for (size_t i = 0; i < h->header_count; i++) {
        struct span s = h->headers[i].value;
        if (!span_is_nocase(h->headers[i].name, SPAN("Sec-WebSocket-Extensions")))
            continue;
        for (;;) {
            struct offer o;
            while (take_char(&s, ','))                     /* empty elements of a list are allowed */
                ;
            if (s.n == 0 || !take_offer(&s, &o))
                break;
            if (!o.ours || !o.usable)
                continue;
            size_t n = (size_t)snprintf(out, 128, "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
            if (o.seen_server_bits)
                snprintf(out + n, 128 - n, "; server_max_window_bits=%d", o.bits);
            return o.bits;
        }
    }
    return 0;
}
