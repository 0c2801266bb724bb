/* tests/unit/wire/websocket_peer.h: the other side, for the WebSocket tests: an encoder and a decoder of frames that know nothing of the code under
 * test, and a trace of what a reader says about a stream, so that the same bytes can be fed whole, byte by byte and in random pieces. Included once a
 * test program; what a program does not use is no fault. */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "wire/websocket_in.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <zlib.h>

#include <cmocka.h>

/* ---- an encoder of its own ---- */

enum { FIN = 0x80, RSV1 = 0x40, RSV2 = 0x20, RSV3 = 0x10 };
static uint64_t rng = 88172645463325252u;

static uint32_t any(uint32_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)(rng >> 32) % below;
}

static void put_byte(struct buf *b, int c)
{
    char one = (char)(unsigned char)c;
    buf_add(b, &one, 1);
}

/* wide: bytes of extended length (0, 2, 8), or -1 for the shortest; key 0: a mask of zeros; masked false: none */
static void put_frame_as(struct buf *b, int first, bool masked, int wide, uint64_t said, struct span s)
{
    unsigned char key[4] = { 0x37, (unsigned char)any(256), 0x21, (unsigned char)any(256) };
    if (wide < 0)
        wide = said < 126 ? 0 : said < 65536 ? 2 : 8;
    put_byte(b, first);
    put_byte(b, (masked ? 0x80 : 0) | (wide == 0 ? (int)said : wide == 2 ? 126 : 127));
    for (int i = wide - 1; i >= 0; i--)
        put_byte(b, (int)(said >> (8 * i) & 255));
    if (masked)
        buf_add(b, key, 4);
    for (size_t i = 0; i < s.n; i++)
        put_byte(b, (unsigned char)s.p[i] ^ (masked ? key[i % 4] : 0));
}

static void put_frame(struct buf *b, int first, struct span s) { put_frame_as(b, first, true, -1, s.n, s); }
static void put_z(struct buf *b, int first, const char *z) { put_frame(b, first, span_of(z)); }

/* ---- the trace ---- */

enum split { WHOLE, BYTES, PIECES };
static struct ws_inflater *inflater;

/* Feeds a copy of `in`; writes one word an event: T(text) B(binary) P(ping) O(pong) C1000(reason) E1002; long payloads as #length,sum. */
static void trace(struct ws_reader *r, struct span in, enum split how, struct buf *out)
{
    size_t at = 0;
    do {
        size_t n = how == WHOLE ? in.n : how == BYTES ? 1 : any(any(2) ? 9 : 300) + 1;
        if (n > in.n - at)
            n = in.n - at;
        char *piece = malloc(n ? n : 1), *p = piece;      /* a block of its own: the sanitizer sees a byte too far */
        if (n)
            memcpy(piece, in.p + at, n);
        at += n;
        for (;;) {
            struct span s;
            int code;
            enum ws_event e = ws_read(r, inflater, &p, &n, &s, &code);
            if (e == WS_MORE)
                break;
            buf_printf(out, "%c", "-TBPOCE"[e]);
            if (e == WS_CLOSE || e == WS_ERROR)
                buf_printf(out, "%d", code);
            if (e == WS_ERROR) {
                assert_null(r->message);
                assert_null(r->control);
                n = 0;
                at = in.n;
                break;
            }
            if (s.n > 80) {
                unsigned sum = 0;
                for (size_t i = 0; i < s.n; i++)
                    sum = sum * 31 + (unsigned char)s.p[i];
                buf_printf(out, "#%zu,%x", s.n, sum);
            } else {
                put_byte(out, '(');
                buf_add_span(out, s);
                put_byte(out, ')');
            }
        }
        assert_int_equal(n, 0);
        free(piece);
    } while (at < in.n);
}

static struct ws_reader options;                          /* deflate, max_bytes of the readers below */

static void expect(struct buf *b, const char *wanted)
{
    for (int round = 0; round < 6; round++) {
        struct ws_reader r = { .deflate = options.deflate, .max_bytes = options.max_bytes };
        struct buf got;
        buf_init(&got, 1u << 20);
        trace(&r, buf_span(b), round == 0 ? WHOLE : round == 1 ? BYTES : PIECES, &got);
        put_byte(&got, '\0');
        assert_string_equal(got.p, wanted);
        buf_done(&got);
        ws_reader_done(&r);
    }
    b->n = 0;
}

/* how many bytes go in before the reader fails; n + 1 if it does not */
static size_t bytes_to_error(struct span in, int *out_code)
{
    struct ws_reader r = { .deflate = options.deflate, .max_bytes = options.max_bytes };
    size_t i;
    for (i = 0; i < in.n; i++) {
        char c = in.p[i], *p = &c;
        size_t n = 1;
        struct span s;
        if (ws_read(&r, inflater, &p, &n, &s, out_code) == WS_ERROR)
            break;
    }
    ws_reader_done(&r);
    return i + 1;
}

static int setup(void **state)
{
    (void)state;
    inflater = ws_inflater_new();
    options = (struct ws_reader){ 0 };
    return inflater ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    ws_inflater_free(&inflater);
    assert_null(inflater);
    ws_inflater_free(&inflater);
    return 0;
}

static struct buf B;                                      /* the stream of one case */
static int setup_buf(void **state) { (void)state; buf_init(&B, 64u << 20); options = (struct ws_reader){ 0 }; return 0; }
static int teardown_buf(void **state) { (void)state; bool failed = B.failed; buf_done(&B); return failed ? -1 : 0; }

/* ---- the other codec ---- */

/* Compresses into `out` as a peer would: level, window, flush; ends without the 00 00 ff ff when that is there. */
static struct span deflated(char *out, size_t room, struct span in, int level, int bits, int flush)
{
    z_stream z = { 0 };
    assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, -bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)in.p;
    z.avail_in = (unsigned)in.n;
    z.next_out = (unsigned char *)out;
    z.avail_out = (unsigned)room;
    int rc = deflate(&z, flush);
    assert_true(rc == Z_OK || rc == Z_STREAM_END);
    assert_true(z.avail_out > 0);
    size_t n = room - z.avail_out;
    deflateEnd(&z);
    return span_from(out, flush == Z_FINISH ? n : n - 4);
}

/* Takes one frame off *s with the rules of RFC 6455 5.2. Returns the first byte. */
static int take_frame(struct span *s, struct span *out)
{
    assert_true(s->n >= 2);
    const unsigned char *p = (const unsigned char *)s->p;
    size_t n = p[1], head = 2;
    assert_true(n < 128);
    if (n == 126) {
        n = (size_t)p[2] << 8 | p[3];
        head = 4;
        assert_true(n >= 126);
    } else if (n == 127) {
        n = 0;
        for (int i = 0; i < 8; i++)
            n = n << 8 | p[2 + i];
        head = 10;
        assert_true(n >= 65536);
    }
    assert_true(s->n - head >= n);
    *out = span_from(s->p + head, n);
    int first = p[0];
    *s = span_cut(*s, head + n);
    return first;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup_buf, teardown_buf)
