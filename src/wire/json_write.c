/* wire/json_write.c: JSON out, appended to a buffer as it is told, without a tree. Replies are made of it, so it is written to be quick:
 * one reservation a value, runs of plain bytes found eight at a time and copied as they are.
 *
 * It cannot write what is not JSON: commas are its business, and a value without its key, a key in an array, a second
 * top-level value or an end that does not fit is a bug of the caller and ends the process. Bytes that are not UTF-8 become U+FFFD, because a reply
 * with a broken character in it is better than none. */
#include "wire/json_in.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

/* ---- nesting ---- */

void jout_init(struct jout *o, struct buf *b)
{
    *o = (struct jout){ .b = b };
}

/* buf_reserve without the call, for there is mostly room. */
static inline bool room(struct buf *b, size_t n)
{
    return __builtin_expect(!b->failed && n <= b->cap - b->n, 1) || buf_reserve(b, n);
}

static inline void put(struct buf *b, const char *p, size_t n)
{
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

/* What stands before a value: nothing, or the comma. Reserves room for `n` more bytes; false when the buffer has failed. */
static inline bool value_begin(struct jout *o, size_t n)
{
    struct buf *b = o->b;
    bool comma = false;
    if (o->depth == 0) {
        must(!o->full);
        o->full = true;
    } else {
        uint64_t bit = (uint64_t)1 << (o->depth - 1);
        if (o->is_object & bit) {
            must(o->keyed);
            o->keyed = false;
        } else {
            comma = (o->comma & bit) != 0;
            o->comma |= bit;
        }
    }
    if (!room(b, n + comma))
        return false;
    if (comma)
        b->p[b->n++] = ',';
    return true;
}

/* The same before a key. */
static inline bool key_begin(struct jout *o, size_t n)
{
    struct buf *b = o->b;
    must(o->depth > 0 && !o->keyed);
    uint64_t bit = (uint64_t)1 << (o->depth - 1);
    must(o->is_object & bit);
    o->keyed = true;
    bool comma = (o->comma & bit) != 0;
    o->comma |= bit;
    if (!room(b, n + comma))
        return false;
    if (comma)
        b->p[b->n++] = ',';
    return true;
}

static void begin(struct jout *o, bool object)
{
    if (value_begin(o, 1))
        o->b->p[o->b->n++] = object ? '{' : '[';
    must(o->depth < 64);
    uint64_t bit = (uint64_t)1 << o->depth++;
    o->comma &= ~bit;
    o->is_object = object ? o->is_object | bit : o->is_object & ~bit;
}

static void end(struct jout *o, bool object)
{
    must(o->depth > 0 && !o->keyed);
    uint64_t bit = (uint64_t)1 << --o->depth;
    must(((o->is_object & bit) != 0) == object);
    if (room(o->b, 1))
        o->b->p[o->b->n++] = object ? '}' : ']';
}

void jout_begin_object(struct jout *o) { begin(o, true); }
void jout_end_object(struct jout *o) { end(o, true); }
void jout_begin_array(struct jout *o) { begin(o, false); }
void jout_end_array(struct jout *o) { end(o, false); }

/* ---- strings ---- */

/* ASCII that stands for itself in a string ('<' is asked about apart). */
static const unsigned char plain[256] = {
    [0x20] = 1, [0x21] = 1, [0x23 ... 0x5B] = 1, [0x5D ... 0x7F] = 1,
};

#define EACH(byte) (0x0101010101010101u * (uint64_t)(byte))

/* Is none of eight bytes a control, '"', '\', '<' or above 0x7F? (x - 1) & ~x has the top bit of the lowest zero byte of x. */
static inline bool eight_plain(const unsigned char *p)
{
    uint64_t w, quote, back, less;
    memcpy(&w, p, 8);
    quote = w ^ EACH('"');
    back = w ^ EACH('\\');
    less = w ^ EACH('<');
    return ((w | (w - EACH(0x20)) | ((quote - EACH(1)) & ~quote) | ((back - EACH(1)) & ~back) | ((less - EACH(1)) & ~less)) & EACH(0x80)) == 0;
}

/* Bytes of the character at p that begins with a byte above 0x7F; 0 if it is malformed. */
static size_t character_bytes(const unsigned char *p, const unsigned char *limit)
{
    size_t left = (size_t)(limit - p);
    unsigned c = p[0];
    if (c >= 0xE1 && c <= 0xEF && c != 0xED)
        return left >= 3 && (p[1] & 0xC0) == 0x80 && (p[2] & 0xC0) == 0x80 ? 3 : 0;
    if (c >= 0xC2 && c <= 0xDF)
        return left >= 2 && (p[1] & 0xC0) == 0x80 ? 2 : 0;
    size_t n = c >= 0xF0 ? 4 : 3;
    return left >= n && c >= 0xE0 && utf8_valid(span_from(p, n)) ? n : 0;
}

/* Five three-byte characters side by side; the sixteenth byte belongs to the next one. */
typedef unsigned char lanes __attribute__((vector_size(16)));
#define FIVE(lead, next, last) ((lanes){ lead, next, next, lead, next, next, lead, next, next, lead, next, next, lead, next, next, last })

/* Past the common three-byte characters at p (E3..EC and EE, EF: Han, kana, full width), five at a time. */
static inline const unsigned char *han_end(const unsigned char *p, const unsigned char *limit)
{
    for (; limit - p >= 16; p += 15) {
        lanes b;
        memcpy(&b, p, 16);
        lanes good = (lanes)((b & FIVE(0xF0, 0xC0, 0)) == FIVE(0xE0, 0x80, 0)) & (lanes)(b >= FIVE(0xE3, 0, 0)) & ((lanes)(b != FIVE(0xED, 0, 0)) | FIVE(0, 0, 0xFF));
        uint64_t half[2];
        memcpy(half, &good, 16);
        if ((half[0] & half[1]) != UINT64_MAX)
            break;
    }
    for (; limit - p >= 3 && p[0] >= 0xE3 && p[0] <= 0xEF && p[0] != 0xED && (p[1] & 0xC0) == 0x80 && (p[2] & 0xC0) == 0x80; p += 3)
        ;
    return p;
}

/* The first byte at or behind p that cannot be copied as it is. */
static const unsigned char *run_end(const unsigned char *p, const unsigned char *limit, unsigned also)
{
    for (;;) {
        while (limit - p >= 8 && eight_plain(p))
            p += 8;
        const unsigned char *soon = limit - p < 8 ? limit : p + 8;       /* then eight at a time again */
        while (p < soon && plain[*p] && (*p != '<' || !(also & JSON_ESCAPE_HTML)))
            p++;
        if (p == limit)
            return p;
        if (p == soon)
            continue;
        if (*p < 0x80)
            return p;
        p = han_end(p, limit);
        if (p == limit || *p < 0x80)
            continue;
        do {
            size_t n = character_bytes(p, limit);
            if (n == 0)
                return p;
            if (p[0] == 0xE2 && p[1] == 0x80 && (p[2] & 0xFE) == 0xA8 && (also & JSON_ESCAPE_SEPARATORS))
                return p;                                 /* U+2028, U+2029 end a line in older JavaScript */
            p += n;
        } while (p < limit && *p >= 0x80);
    }
}

/* Appends what stands for the character at p, where run_end stopped; returns its bytes. */
static size_t escape(struct buf *b, const unsigned char *p, const unsigned char *limit)
{
    static const char digits[] = "0123456789abcdef";
    unsigned c = *p;
    if (c >= 0x80) {
        if (character_bytes(p, limit)) {                  /* well-formed, so it is one of the separators */
            buf_add(b, p[2] == 0xA8 ? "\\u2028" : "\\u2029", 6);
            return 3;
        }
        buf_add(b, "\xEF\xBF\xBD", 3);
        return 1;
    }
    char text[6] = { '\\', 'u', '0', '0', digits[c >> 4], digits[c & 15] };
    switch (c) {
    case '"': text[1] = '"'; break;
    case '\\': text[1] = '\\'; break;
    case '\b': text[1] = 'b'; break;
    case '\f': text[1] = 'f'; break;
    case '\n': text[1] = 'n'; break;
    case '\r': text[1] = 'r'; break;
    case '\t': text[1] = 't'; break;
    default: break;
    }
    buf_add(b, text, text[1] == 'u' ? 6 : 2);
    return 1;
}

static void quote(struct buf *b, struct span text, unsigned also)
{
    const unsigned char *p = (const unsigned char *)text.p, *limit = text.n ? p + text.n : p;
    if (text.n > SIZE_MAX - 2)
        b->failed = true;
    if (!room(b, text.n + 2))                             /* what it takes at least; escapes grow it */
        return;
    b->p[b->n++] = '"';
    const unsigned char *to = run_end(p, limit, also);
    if (to > p)
        put(b, (const char *)p, (size_t)(to - p));
    if (to == limit) {
        b->p[b->n++] = '"';
        return;
    }
    for (p = to; p < limit; p = to) {                     /* at p is something to escape */
        p += escape(b, p, limit);
        to = run_end(p, limit, also);
        if (to > p)
            buf_add(b, p, (size_t)(to - p));
    }
    buf_add(b, "\"", 1);
}

static unsigned escapes(const struct jout *o)
{
    return JSON_ESCAPE_SEPARATORS | (o->html ? JSON_ESCAPE_HTML : 0);
}

void jout_key_n(struct jout *o, const char *key, size_t n)
{
    if (!key_begin(o, n + 3))
        return;
    struct buf *b = o->b;
    b->p[b->n++] = '"';
    put(b, key, n);
    put(b, "\":", 2);
}

void json_write_key(struct jout *o, struct span key, unsigned also)
{
    if (!key_begin(o, 2))
        return;
    quote(o->b, key, also);
    buf_add(o->b, ":", 1);
}

void json_write_text(struct jout *o, struct span text, unsigned also)
{
    if (value_begin(o, 2))
        quote(o->b, text, also);
}

void jout_key_span(struct jout *o, struct span key) { json_write_key(o, key, escapes(o)); }
void jout_text(struct jout *o, struct span text) { json_write_text(o, text, escapes(o)); }

/* ---- numbers and words ---- */

/* Decimal digits of v at the end of out; returns where they begin. */
static const char *digits_of(int64_t v, char out[20])
{
    static const char pairs[] = "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
                                "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";
    uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;
    char *p = out + 20;
    for (; u >= 100; u /= 100)
        memcpy(p -= 2, pairs + u % 100 * 2, 2);
    if (u >= 10)
        memcpy(p -= 2, pairs + u * 2, 2);
    else
        *--p = (char)('0' + u);
    if (v < 0)
        *--p = '-';
    return p;
}

void jout_int(struct jout *o, int64_t v)
{
    char text[20];
    const char *p = digits_of(v, text);
    size_t n = (size_t)(text + 20 - p);
    if (value_begin(o, n))
        put(o->b, p, n);
}

void jout_int_text(struct jout *o, int64_t v)
{
    char text[20];
    const char *p = digits_of(v, text);
    size_t n = (size_t)(text + 20 - p);
    if (value_begin(o, n + 2)) {
        o->b->p[o->b->n++] = '"';
        put(o->b, p, n);
        o->b->p[o->b->n++] = '"';
    }
}

void jout_double(struct jout *o, double v)
{
    if (!isfinite(v)) {
        jout_null(o);
        return;
    }
    char text[40];
    int n = 0;
    int least = fabs(v) < DBL_MIN ? 1 : 15;               /* %g drops zeros, so 15 is short enough but for the numbers that have fewer digits */
    for (int precision = least; precision <= 17; precision++) {
        n = snprintf(text, sizeof text - 3, "%.*g", precision, v);
        if (strtod(text, NULL) == v)                      /* the same locale both ways */
            break;
    }
    must(n > 0 && (size_t)n < sizeof text - 3);
    bool real = false;
    for (int i = 0; i < n; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (!digit && text[i] != '-' && text[i] != '+' && text[i] != 'e')
            text[i] = '.';                                /* whatever the locale's point is */
        real = real || text[i] == '.' || text[i] == 'e';
    }
    if (!real) {                                          /* so that it reads back as a real, and -0 as -0 */
        memcpy(text + n, ".0", 2);
        n += 2;
    }
    jout_raw(o, span_from(text, (size_t)n));
}

void jout_bool(struct jout *o, bool v)
{
    jout_raw(o, v ? SPAN("true") : SPAN("false"));
}

void jout_null(struct jout *o)
{
    jout_raw(o, SPAN("null"));
}

void jout_raw(struct jout *o, struct span value)
{
    if (value_begin(o, value.n) && value.n)
        put(o->b, value.p, value.n);
}
