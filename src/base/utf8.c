/* base/utf8.c: UTF-8 by the table of Unicode 3.9 (well-formed byte sequences). */
#include "base/base.h"

/* Bytes of the sequence that starts at p (p < end), or 0 if it is malformed. */
static size_t sequence(const unsigned char *p, const unsigned char *end)
{
    unsigned char c = *p;
    if (c < 0x80) return 1;
    size_t left = (size_t)(end - p);
    if (c >= 0xc2 && c <= 0xdf) return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
    if (c >= 0xe0 && c <= 0xef) {
        if (left < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80) return 0;
        if (c == 0xe0 && p[1] < 0xa0) return 0;        /* overlong */
        if (c == 0xed && p[1] > 0x9f) return 0;        /* surrogates */
        return 3;
    }
    if (c >= 0xf0 && c <= 0xf4) {
        if (left < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80) return 0;
        if (c == 0xf0 && p[1] < 0x90) return 0;        /* overlong */
        if (c == 0xf4 && p[1] > 0x8f) return 0;        /* beyond U+10FFFF */
        return 4;
    }
    return 0;
}

bool utf8_valid(struct span s)
{
    if (!s.n) return true;                             /* s.p may be NULL then */
    const unsigned char *p = (const unsigned char *)s.p, *end = p + s.n;
    while (p < end) {
        if (end - p >= 8) {                            /* plain ASCII goes eight bytes at a time */
            uint64_t word;
            memcpy(&word, p, 8);
            if (!(word & 0x8080808080808080u)) { p += 8; continue; }
        }
        size_t n = sequence(p, end);
        if (!n) return false;
        p += n;
    }
    return true;
}

size_t utf8_count(struct span s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.n; i++) count += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return count;
}

struct span utf8_head(struct span s, size_t code_points)
{
    if (s.n <= code_points) return s;                  /* a character is a byte at least */
    size_t i = 0;
    for (; s.n - i >= 8; i += 8) {                     /* bytes that begin a character: all but 10xxxxxx; eight at a time */
        uint64_t word;
        memcpy(&word, s.p + i, 8);
        uint64_t following = (word & ~(word << 1) & 0x8080808080808080u) >> 7;
        size_t begin = 8 - (size_t)(following * 0x0101010101010101u >> 56);     /* their sum, in the top byte: without a compiler option a popcount is a call */
        if (begin > code_points) break;
        code_points -= begin;
    }
    for (; i < s.n; i++)
        if (((unsigned char)s.p[i] & 0xc0) != 0x80 && code_points-- == 0) break;
    return (struct span){ s.p, i };
}

uint32_t utf8_next(const char **p, const char *end)
{
    const unsigned char *u = (const unsigned char *)*p;
    size_t n = sequence(u, (const unsigned char *)end);
    *p += n ? n : 1;
    switch (n) {
    case 1: return u[0];
    case 2: return (uint32_t)(u[0] & 0x1f) << 6 | (u[1] & 0x3f);
    case 3: return (uint32_t)(u[0] & 0x0f) << 12 | (uint32_t)(u[1] & 0x3f) << 6 | (u[2] & 0x3f);
    case 4: return (uint32_t)(u[0] & 0x07) << 18 | (uint32_t)(u[1] & 0x3f) << 12 | (uint32_t)(u[2] & 0x3f) << 6 | (u[3] & 0x3f);
    default: return 0xfffd;
    }
}

size_t utf8_put(char out[4], uint32_t c)
{
    if (c < 0x80) { out[0] = (char)c; return 1; }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | (c >> 18 & 0x07));
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}
