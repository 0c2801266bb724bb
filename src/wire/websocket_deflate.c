/* wire/websocket_deflate.c: permessage-deflate's use of zlib (RFC 7692 7.2), both directions, whole messages at a time.
 *
 * No context is kept between messages, so the streams belong to the thread, not to the socket: an idle socket costs nothing for its
 * compression. The price is that a compressed message is inflated when its last byte is here. What it may grow to is bounded as
 * it grows: a bomb stops at `max`.
 *
 * A compressed message is DEFLATE blocks up to a byte boundary, without the 00 00 FF FF that every sync flush ends with. So the
 * end is right if, those four bytes fed, zlib stands between two blocks with no bit left over. A block with the final bit ends zlib's
 * stream but not the message (7.2.3.4): the rest is fed to a stream that starts again with what was written as its window. */
#include "wire/websocket_in.h"
#define ZLIB_CONST
#include <zlib.h>

/* For writing one stream a window size, made when first needed: resetting one clears its hash table, so small messages use a small one. */
enum { BITS_MIN = 9, BITS_MAX = 15, WINDOW_BYTES = 32768, LEVEL = 3, MARGIN = 262 /* zlib's MIN_LOOKAHEAD */ };

struct ws_inflater {
    z_stream in;
    struct { z_stream z; bool ready; } out[BITS_MAX - BITS_MIN + 1];
};

static void *zlib_alloc(void *unused, unsigned items, unsigned size)
{
    (void)unused;
    size_t n;
    return __builtin_mul_overflow((size_t)items, (size_t)size, &n) ? NULL : base_alloc(n);
}

static void zlib_free(void *unused, void *p)
{
    (void)unused;
    free(p);
}

struct ws_inflater *ws_inflater_new(void)
{
    struct ws_inflater *f = base_alloc(sizeof *f);
    if (!f)
        return NULL;
    *f = (struct ws_inflater){ .in = { .zalloc = zlib_alloc, .zfree = zlib_free } };
    int rc = inflateInit2(&f->in, -BITS_MAX);
    must(rc == Z_OK || rc == Z_MEM_ERROR);
    if (rc != Z_OK) {
        free(f);
        return NULL;
    }
    return f;
}

void ws_inflater_free(struct ws_inflater **pf)
{
    struct ws_inflater *f = *pf;
    *pf = NULL;
    if (!f)
        return;
    inflateEnd(&f->in);
    for (size_t i = 0; i < LENGTH(f->out); i++)
        if (f->out[i].ready)
            deflateEnd(&f->out[i].z);
    free(f);
}

/* ---- in ---- */

/* Room for at least one more byte in out. One byte beyond max is never reserved: a full buffer with more to come is 1009. */
static bool out_grow(struct buf *out, size_t max, size_t hint)
{
    size_t more = out->n ? out->n : hint;
    if (more > max - out->n)
        more = max - out->n;
    return buf_reserve(out, more);
}

/* Feeds `in`, appends to out. 0 all eaten; 1 the stream ended (z->next_in stands behind it); else a close code. */
static int inflate_some(z_stream *z, struct span in, size_t max, uint8_t *utf8, struct buf *out)
{
    unsigned char spare;
    z->next_in = (const unsigned char *)in.p;
    z->avail_in = (unsigned)in.n;
    for (;;) {
        bool full = out->n == max;
        if (!full && out->cap - out->n < 64 && !out_grow(out, max, in.n < max / 4 ? in.n * 4 + 64 : max))
            return 1011;
        size_t room = full ? 0 : out->cap - out->n;
        if (room > max - out->n)
            room = max - out->n;
        /* with the buffer full, one spare byte tells "that was all" from "there is more" */
        unsigned char *to = full ? &spare : (unsigned char *)out->p + out->n;
        size_t space = full ? 1 : room;
        z->next_out = to;
        z->avail_out = (unsigned)space;
        int rc = inflate(z, Z_NO_FLUSH);
        size_t made = space - z->avail_out;
        if (rc == Z_MEM_ERROR)
            return 1011;
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
            return 1007;
        if (made && full)
            return 1009;
        if (made && *utf8 != WS_UTF8_BAD) {               /* BAD here: not text */
            *utf8 = ws_utf8_step(*utf8, (char *)to, made);
            if (*utf8 == WS_UTF8_BAD)
                return 1007;
        }
        out->n += made;
        if (rc == Z_STREAM_END)
            return 1;
        if (z->avail_out)                                 /* zlib stopped for want of input */
            return z->avail_in ? 1007 : 0;
    }
}

int ws_inflate(struct ws_inflater *f, struct span in, size_t max, bool text, struct buf *out)
{
    z_stream *z = &f->in;
    uint8_t utf8 = text ? 0 : WS_UTF8_BAD;
    int rc = 0;
    must(f && in.n <= INT32_MAX && max <= INT32_MAX);
    if (in.n == 0)
        return 0;                                         /* some senders compress the empty message to nothing */
    must(inflateReset(z) == Z_OK);
    for (;;) {
        rc = inflate_some(z, in, max, &utf8, out);
        if (rc != 1)
            break;
        in = span_cut(in, in.n - z->avail_in);
        if (in.n == 0)                                    /* the final block was the last: complete without the four bytes */
            return text && utf8 != 0 ? 1007 : 0;
        size_t window = out->n < WINDOW_BYTES ? out->n : WINDOW_BYTES;
        must(inflateReset(z) == Z_OK);
        if (window && inflateSetDictionary(z, (unsigned char *)out->p + out->n - window, (unsigned)window) != Z_OK)
            return 1011;
    }
    if (rc == 0)
        rc = inflate_some(z, SPAN("\x00\x00\xff\xff"), max, &utf8, out);
    if (rc)
        return rc == 1 ? 1007 : rc;
    if ((z->data_type & 128) == 0 || (z->data_type & 63) != 0)
        return 1007;                                      /* cut off inside a block */
    return text && utf8 != 0 ? 1007 : 0;
}

/* ---- out ---- */

size_t ws_deflate(struct ws_inflater *f, int bits, struct span in, char *out, size_t room)
{
    must(in.n <= INT32_MAX && room <= INT32_MAX);
    if (bits < BITS_MIN)
        bits = BITS_MIN;                                  /* the caller saw to it that the message is no longer than the peer's window */
    int enough = BITS_MIN;                                /* the smallest window that sees all of the message */
    while (enough < bits && ((size_t)1 << enough) < in.n + MARGIN)
        enough++;
    int slot = enough - BITS_MIN;
    z_stream *z = &f->out[slot].z;
    if (!f->out[slot].ready) {
        *z = (z_stream){ .zalloc = zlib_alloc, .zfree = zlib_free };
        int memory = enough <= 12 ? 5 : 8;
        if (deflateInit2(z, LEVEL, Z_DEFLATED, -enough, memory, Z_DEFAULT_STRATEGY) != Z_OK)
            return 0;
        f->out[slot].ready = true;
    } else {
        must(deflateReset(z) == Z_OK);
    }
    z->next_in = (const unsigned char *)in.p;
    z->avail_in = (unsigned)in.n;
    z->next_out = (unsigned char *)out;
    z->avail_out = (unsigned)room;
    must(deflate(z, Z_SYNC_FLUSH) == Z_OK);
    if (z->avail_out == 0)
        return 0;
    size_t made = room - z->avail_out;
    must(z->avail_in == 0 && made > 4 && memcmp(out + made - 4, "\x00\x00\xff\xff", 4) == 0);
    return made - 4;
}
