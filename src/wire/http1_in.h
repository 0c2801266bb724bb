/* wire/http1_in.h: what the files of the HTTP parser share. Nobody outside wire/ includes it.
 *
 * One table says of every byte what it may be: a lookup a byte is all that the request line and the names of headers cost.
 * Values are looked at eight bytes at a time, because nearly all of them hold nothing but printable characters. */
#ifndef WEIR_HTTP1_IN_H
#define WEIR_HTTP1_IN_H
#include "wire/http1.h"

enum {
    HTTP_BYTE_TOKEN = 1,                                   /* tchar of RFC 9110, 5.6.2: methods, names of headers */
    HTTP_BYTE_TARGET = 2,                                  /* what we take in a request target, see http1.c */
    HTTP_BYTE_NAME = 4                                     /* what we take in the host name of an authority */
};
extern const unsigned char http_bytes[256];

static inline bool http_byte_is(char c, int what) { return (http_bytes[(unsigned char)c] & what) != 0; }
static inline bool http_byte_printable(char c) { return (unsigned char)c >= 0x20 && c != 0x7f; }

static inline int http_hex_value(char c)                  /* -1: not a hexadecimal digit */
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* The first byte from p on that is not a printable character or obs-text (so HTAB, CR, LF too); `end` if there is none. */
static inline const char *http_printable_end(const char *p, const char *end)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    while (end - p >= 8) {
        uint64_t x, del;
        memcpy(&x, p, 8);
        del = x ^ (0x7f * ones);                           /* a byte below 0x20, or one that is 0x7f: the classic borrow trick */
        if ((((x - 0x20 * ones) & ~x) | ((del - ones) & ~del)) & high) break;
        p += 8;
    }
    while (p < end && http_byte_printable(*p)) p++;
    return p;
}

/* The same for HTTP_BYTE_TARGET: the first byte that no target may have. */
static inline const char *http_target_end(const char *p, const char *end)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    while (end - p >= 8) {
        uint64_t x, del, hash;
        memcpy(&x, p, 8);
        del = x ^ (0x7f * ones);
        hash = x ^ ('#' * ones);
        if (((x - 0x21 * ones) | x | (del - ones) | (hash - ones)) & high) {      /* may stop too early, never too late: the table decides */
            const char *stop = p + 8;
            while (p < stop && http_byte_is(*p, HTTP_BYTE_TARGET)) p++;
            if (p < stop) return p;
            continue;
        }
        p += 8;
    }
    while (p < end && http_byte_is(*p, HTTP_BYTE_TARGET)) p++;
    return p;
}

/* host [":" port] without userinfo, in the form that can be a name or address (see http1_target.c). */
bool http_authority_valid(struct span authority);

/* Takes a target that holds only HTTP_BYTE_TARGET apart into out->path and out->query. *out_authority and *out_https are of absolute-form
 * (p == NULL otherwise). False: neither origin-form, nor absolute-form, nor `*` for OPTIONS. */
bool http_target_split(struct http_head *out, struct span *out_authority, bool *out_https);
/* Do the two name the same, but for case and a default port? */
bool http_authority_same(struct span a, struct span b, bool https);
#endif
