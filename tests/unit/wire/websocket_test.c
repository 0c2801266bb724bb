/* WebSocket frames: the rules of RFC 6455 and 7692 one by one, each fed whole, byte by byte and in random pieces, and what comes out
 * compared as a text trace. The frame encoder and decoder here know nothing of the code under test. */
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

/* ---- frames ---- */

static void frames_of_all_lengths(void **state)
{
    (void)state;
    static const size_t lengths[] = { 0, 1, 2, 7, 8, 9, 31, 32, 33, 124, 125, 126, 127, 128, 300, 4095, 65535, 65536, 65537, 100001 };
    char *text = malloc(100001);
    for (size_t i = 0; i < 100001; i++)
        text[i] = (char)('a' + i % 23);
    for (size_t i = 0; i < LENGTH(lengths); i++) {
        struct span s = { text, lengths[i] };
        char wanted[256];
        if (s.n > 80) {
            unsigned sum = 0;
            for (size_t k = 0; k < s.n; k++)
                sum = sum * 31 + (unsigned char)s.p[k];
            snprintf(wanted, sizeof wanted, "T#%zu,%xP()B#%zu,%x", s.n, sum, s.n, sum);
        } else {
            snprintf(wanted, sizeof wanted, "T(%.*s)P()B(%.*s)", SPAN_ARGS(s), SPAN_ARGS(s));
        }
        put_frame(&B, FIN | 1, s);
        put_z(&B, FIN | 9, "");
        put_frame(&B, FIN | 2, s);
        expect(&B, wanted);
    }
    free(text);
}

static void control_frames(void **state)
{
    (void)state;
    char full[126];
    memset(full, 'x', sizeof full);
    put_z(&B, FIN | 9, "are you there?");
    put_z(&B, FIN | 10, "");
    put_z(&B, FIN | 10, "unasked");
    expect(&B, "P(are you there?)O()O(unasked)");
    put_frame(&B, FIN | 9, span_from(full, 125));
    unsigned sum = 0;
    for (int i = 0; i < 125; i++)
        sum = sum * 31 + 'x';
    char wanted[64];
    snprintf(wanted, sizeof wanted, "P#125,%x", sum);
    expect(&B, wanted);
    put_frame(&B, FIN | 9, span_from(full, 126));         /* one too long */
    expect(&B, "E1002");
    put_frame_as(&B, FIN | 9, true, 8, 70000, SPAN(""));
    expect(&B, "E1002");
    for (int opcode = 8; opcode <= 10; opcode++) {        /* in fragments */
        put_z(&B, opcode, "hi");
        expect(&B, "E1002");
    }
}

static void reserved_bits_and_opcodes(void **state)
{
    (void)state;
    for (int rsv = 1; rsv < 8; rsv++)
        for (int opcode = 0; opcode <= 10; opcode++) {
            put_z(&B, FIN | 1, "before");
            put_z(&B, FIN | rsv << 4 | opcode, "x");
            expect(&B, "T(before)E1002");
        }
    static const int reserved[] = { 3, 4, 5, 6, 7, 11, 12, 13, 14, 15 };
    for (size_t i = 0; i < LENGTH(reserved); i++) {
        put_z(&B, FIN | reserved[i], "");
        expect(&B, "E1002");
        put_z(&B, FIN | 1, "a");
        put_z(&B, FIN | reserved[i], "bc");
        put_z(&B, FIN | 9, "");
        expect(&B, "T(a)E1002");
    }
}

static void masks_are_required(void **state)
{
    (void)state;
    for (int opcode = 1; opcode <= 10; opcode += opcode == 2 ? 6 : 1) {
        put_frame_as(&B, FIN | opcode, false, -1, 2, span_from("hi", 2));
        expect(&B, "E1002");
    }
}

static void lengths(void **state)
{
    (void)state;
    int code;
    static const struct { int wide; uint64_t said; int code; } cases[] = {
        { 2, 0, 1002 }, { 2, 125, 1002 }, { 8, 0, 1002 }, { 8, 126, 1002 }, { 8, 65535, 1002 }, { 8, (uint64_t)1 << 63, 1002 }, { 8, UINT64_MAX, 1002 },
        { 8, INT64_MAX, 1009 }, { 8, LIMIT_WS_MESSAGE_BYTES + 1, 1009 }, { 8, (uint64_t)1 << 32, 1009 },
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        put_frame_as(&B, FIN | 2, true, cases[i].wide, cases[i].said, SPAN("xx"));
        assert_int_equal(bytes_to_error(buf_span(&B), &code), 2 + cases[i].wide + 4);      /* at the head already */
        assert_int_equal(code, cases[i].code);
        B.n = 0;
    }
}

static void size_limit(void **state)
{
    (void)state;
    char x[200];
    memset(x, 'x', sizeof x);
    options.max_bytes = 100;
    put_frame(&B, 2, span_from(x, 60));
    put_frame(&B, 0, span_from(x, 40));
    put_z(&B, FIN | 9, "a ping is not counted");
    put_frame(&B, FIN | 0, span_from(x, 0));
    unsigned sum = 0;
    for (int i = 0; i < 100; i++)
        sum = sum * 31 + 'x';
    char wanted[100];
    snprintf(wanted, sizeof wanted, "P(a ping is not counted)B#100,%x", sum);
    expect(&B, wanted);
    put_frame(&B, 2, span_from(x, 60));
    put_frame(&B, 0, span_from(x, 40));
    put_frame(&B, 0, span_from(x, 1));
    expect(&B, "E1009");
    put_frame(&B, FIN | 1, span_from(x, 101));
    expect(&B, "E1009");
}

static void fragments(void **state)
{
    (void)state;
    put_z(&B, 1, "one ");
    put_z(&B, 0, "");
    put_z(&B, FIN | 9, "in between");
    put_z(&B, 0, "two ");
    put_z(&B, FIN | 10, "");
    put_z(&B, FIN | 0, "three");
    put_z(&B, FIN | 1, "next");
    expect(&B, "P(in between)O()T(one two three)T(next)");
    put_z(&B, 2, "");
    put_z(&B, 0, "");
    put_z(&B, FIN | 0, "");
    put_z(&B, 1, "");
    put_z(&B, FIN | 0, "last only");
    expect(&B, "B()T(last only)");
    for (int fin = 0; fin <= FIN; fin += FIN) {
        put_z(&B, fin | 0, "of nothing");
        expect(&B, "E1002");
        put_z(&B, FIN | 1, "whole");
        put_z(&B, fin | 0, "of nothing");
        expect(&B, "T(whole)E1002");
        put_z(&B, 1, "a");
        put_z(&B, fin | 1, "b");
        expect(&B, "E1002");
        put_z(&B, 1, "a");
        put_z(&B, fin | 2, "b");
        expect(&B, "E1002");
    }
    put_z(&B, 1, "a");
    put_frame(&B, FIN | 8, span_from("\x03\xe8", 2));     /* closing in the middle is allowed */
    put_z(&B, FIN | 0, "b");
    expect(&B, "C1000()");
}

static void closing(void **state)
{
    (void)state;
    put_z(&B, FIN | 8, "");
    put_z(&B, FIN | 9, "not seen");
    put_frame_as(&B, FIN | 1, false, -1, 4, SPAN("oops"));
    expect(&B, "C1005()");
    put_z(&B, FIN | 8, "\x03");
    expect(&B, "E1002");
    put_frame(&B, FIN | 8, span_from("\x03\xe8" "bye \xe5\x86\x8d\xe8\xa7\x81", 12));
    expect(&B, "C1000(bye \xe5\x86\x8d\xe8\xa7\x81)");
    put_frame(&B, FIN | 8, span_from("\x03\xe8" "bye \xe5\x86", 8));
    expect(&B, "E1007");
    put_frame(&B, FIN | 8, span_from("\x03\xe8" "\xed\xa0\x80", 5));
    expect(&B, "E1007");
    for (int code = 0; code < 65536; code++) {
        bool good = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1011) || (code >= 3000 && code <= 4999);
        if (code > 5100 && code % 97)
            continue;
        char two[2] = { (char)(unsigned char)(code >> 8), (char)(unsigned char)code };
        char wanted[32];
        put_frame(&B, FIN | 8, span_from(two, 2));
        struct ws_reader r = { 0 };
        struct buf got;
        buf_init(&got, 1000);
        trace(&r, buf_span(&B), WHOLE, &got);
        put_byte(&got, 0);
        snprintf(wanted, sizeof wanted, good ? "C%d()" : "E1002", code);
        assert_string_equal(got.p, wanted);
        ws_reader_done(&r);
        buf_done(&got);
        B.n = 0;
    }
}

/* ---- UTF-8 ---- */

static void utf8_by_the_book(void **state)
{
    (void)state;
    char s[4];
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++)
            for (unsigned n = 1; n <= 4; n++) {
                s[0] = (char)a;
                s[1] = (char)b;
                for (unsigned tail = 0; tail < (n > 2 ? 5u : 1u); tail++) {
                    static const unsigned char tails[5] = { 0x80, 0xBF, 0x7F, 0xC0, 0x8F };
                    s[2] = (char)tails[tail];
                    s[3] = (char)tails[(tail * 2 + a) % 5];
                    bool good = ws_utf8_step(0, s, n) == 0;
                    assert_int_equal(good, utf8_valid(span_from(s, n)));
                    uint8_t st = 0;
                    for (unsigned i = 0; i < n && st != WS_UTF8_BAD; i++)
                        st = ws_utf8_step(st, s + i, 1);
                    assert_int_equal(st, ws_utf8_step(0, s, n));
                }
            }
    for (uint32_t c = 0x80; c < 0x110000; c += 7) {       /* what is a character is accepted, each prefix of it is unfinished */
        if (c >= 0xD800 && c < 0xE000)
            continue;
        size_t n = utf8_put(s, c);
        assert_int_equal(ws_utf8_step(0, s, n), 0);
        for (size_t i = 1; i < n; i++) {
            uint8_t st = ws_utf8_step(0, s, i);
            assert_true(st != 0 && st != WS_UTF8_BAD);
            assert_int_equal(ws_utf8_step(st, s + i, n - i), 0);
        }
    }
}

static void utf8_fails_at_once(void **state)
{
    (void)state;
    static const struct { const char *text; size_t bad_at; } cases[] = {          /* bad_at counts from 1 */
        { "ok\xf4\x90\x80\x80", 4 }, { "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80" "edited", 13 }, { "\xc0\xaf", 1 }, { "\xe0\x80\xaf", 2 },
        { "\xf0\x80\x80\xaf", 2 }, { "\xf5\x80\x80\x80", 1 }, { "abc\x80", 4 }, { "\xe5\x86g", 3 }, { "12345678\xff", 9 }, { "\xef\xbf\xbf\xfe", 4 },
    };
    int code;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct span s = span_of(cases[i].text);
        put_frame(&B, FIN | 1, s);
        assert_int_equal(bytes_to_error(buf_span(&B), &code), 6 + cases[i].bad_at);
        assert_int_equal(code, 1007);
        expect(&B, "E1007");
        put_frame(&B, 1, span_from(s.p, 1));              /* the character cut by a fragment */
        put_frame(&B, 0, span_cut(s, 1));
        expect(&B, "E1007");
        put_frame(&B, FIN | 2, s);                        /* binary may be anything */
        char wanted[64];
        snprintf(wanted, sizeof wanted, "B(%s)", cases[i].text);
        expect(&B, wanted);
    }
    put_frame(&B, 1, SPAN("\xe5\x86"));
    put_z(&B, FIN | 9, "\xff");                           /* a control frame does not disturb the character */
    put_frame(&B, FIN | 0, SPAN("\x8d" "!"));
    expect(&B, "P(\xff)T(\xe5\x86\x8d!)");
    put_frame(&B, 1, SPAN("\xe5"));                       /* ends inside a character */
    put_frame(&B, FIN | 0, SPAN("\x86"));
    expect(&B, "E1007");
    put_frame(&B, FIN | 1, SPAN("a\xc3"));
    put_frame(&B, FIN | 1, SPAN("\xa9"));
    expect(&B, "E1007");
}

/* ---- compression ---- */

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

static void inflates(void **state)
{
    (void)state;
    options.deflate = true;
    /* RFC 7692 7.2.3: one block, two fragments, stored, final bit, two blocks */
    put_frame(&B, FIN | RSV1 | 1, SPAN("\xf2\x48\xcd\xc9\xc9\x07\x00"));
    put_frame(&B, RSV1 | 1, SPAN("\xf2\x48\xcd"));
    put_z(&B, FIN | 9, "p");
    put_frame(&B, FIN | 0, SPAN("\xc9\xc9\x07\x00"));
    put_frame(&B, FIN | RSV1 | 1, SPAN("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"));
    put_frame(&B, FIN | RSV1 | 1, SPAN("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"));
    put_frame(&B, FIN | RSV1 | 1, SPAN("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"));
    put_z(&B, FIN | 1, "plain");
    put_frame(&B, FIN | RSV1 | 1, SPAN("\x00"));          /* the empty message */
    put_frame(&B, FIN | RSV1 | 2, SPAN(""));
    put_frame(&B, FIN | RSV1 | 2, SPAN("\x02\x00"));
    put_frame(&B, FIN | RSV1 | 1, SPAN("\xf3\x48\xcd\xc9\xc9\x07\x00"));          /* final block, nothing behind it */
    expect(&B, "T(Hello)P(p)T(Hello)T(Hello)T(Hello)T(Hello)T(plain)T()B()B()T(Hello)");

    static const struct span bad[] = { { "\xff\xff\xff", 3 }, { "\xf2\x48\xcd\xc9", 4 }, { "\x00\x09\x00\xf6\xff\x48", 6 }, { "\x06", 1 },
        { "\x00\x00\x00\xff\xff\x00\x00\x00\xff", 9 }, { "\xf3\x48\xcd\xc9\xc9\x07\x00\x07", 8 } };
    for (size_t i = 0; i < LENGTH(bad); i++) {
        put_frame(&B, FIN | RSV1 | 2, bad[i]);
        expect(&B, "E1007");
    }
    put_frame(&B, RSV1 | 1, SPAN("\xf2\x48\xcd"));        /* RSV1 belongs to the first frame */
    put_frame(&B, FIN | RSV1 | 0, SPAN("\xc9\xc9\x07\x00"));
    expect(&B, "E1002");
    put_frame(&B, FIN | RSV1 | 9, SPAN("\xf2\x48"));
    expect(&B, "E1002");
    options.deflate = false;
    put_frame(&B, FIN | RSV1 | 1, SPAN("\xf2\x48\xcd\xc9\xc9\x07\x00"));
    expect(&B, "E1002");
}

static void inflated_text_is_checked(void **state)
{
    (void)state;
    char out[256];
    options.deflate = true;
    static const struct span texts[] = { { "ok \xf4\x90\x80\x80", 7 }, { "\xe5\x86", 2 }, { "\xed\xa0\x80", 3 } };
    for (size_t i = 0; i < LENGTH(texts); i++)
        for (int level = 0; level < 7; level += 6) {
            struct span s = deflated(out, sizeof out, texts[i], level, 15, Z_SYNC_FLUSH);
            put_frame(&B, FIN | RSV1 | 1, s);
            expect(&B, "E1007");
            s = deflated(out, sizeof out, texts[i], level, 15, Z_FINISH);
            put_frame(&B, FIN | RSV1 | 1, s);
            expect(&B, "E1007");
        }
    struct span s = deflated(out, sizeof out, span_of("\xe5\x86\x8d\xe8\xa7\x81"), 6, 15, Z_SYNC_FLUSH);
    put_frame(&B, FIN | RSV1 | 1, s);
    expect(&B, "T(\xe5\x86\x8d\xe8\xa7\x81)");
}

static void bombs_stop(void **state)
{
    (void)state;
    size_t big = 8u << 20;
    char *zeros = calloc(1, big), *out = malloc(big);
    options.deflate = true;
    struct span s = deflated(out, big, span_from(zeros, big), 9, 15, Z_SYNC_FLUSH);
    assert_true(s.n < 10000);
    put_frame(&B, FIN | RSV1 | 2, s);
    expect(&B, "E1009");
    /* exactly the limit is taken, one more is not, however well or badly it compresses */
    for (size_t i = 0; i < 5001; i++)
        zeros[i] = (char)any(256);
    for (size_t max = 1; max <= 5000; max = max * 3 + any(5))
        for (int level = 0; level < 7; level += 3)
            for (int random = 0; random < 2; random++)
                for (size_t over = 0; over < 2; over++) {
                    struct span in = { random ? zeros : zeros + 6000, max + over };
                    options.max_bytes = (uint32_t)max;
                    put_frame(&B, FIN | RSV1 | 2, deflated(out, big, in, level, 12, random ? Z_FINISH : Z_SYNC_FLUSH));
                    struct ws_reader r = { .deflate = true, .max_bytes = options.max_bytes };
                    char *p = B.p;
                    size_t n = B.n;
                    struct span got;
                    int code;
                    enum ws_event e = ws_read(&r, inflater, &p, &n, &got, &code);
                    assert_int_equal(e, over ? WS_ERROR : WS_BINARY);
                    if (over)
                        assert_int_equal(code, 1009);
                    else
                        assert_true(span_is(got, in));
                    ws_reader_done(&r);
                    B.n = 0;
                }
    options.max_bytes = 1000;                             /* compressed bytes that inflate to nothing are limited too */
    put_byte(&B, RSV1 | 2);
    put_byte(&B, 0x80);
    buf_add(&B, "\0\0\0", 4);
    for (int i = 0; i < 300; i++)
        put_frame(&B, 0, SPAN("\x00\x00\x00\xff\xff"));
    expect(&B, "E1009");
    free(zeros);
    free(out);
}

/* ---- writing ---- */

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

static void writes_frames(void **state)
{
    (void)state;
    static const size_t lengths_[] = { 0, 1, 125, 126, 127, 65535, 65536, 70000 };
    char *x = malloc(70000);
    memset(x, 'x', 70000);
    for (size_t i = 0; i < LENGTH(lengths_); i++)
        ws_write(&B, i % 2 ? 1 : 2, span_from(x, lengths_[i]));
    ws_write(&B, 9, span_from(x, 125));
    ws_write(&B, 10, SPAN(""));
    struct span s = buf_span(&B), p;
    for (size_t i = 0; i < LENGTH(lengths_); i++) {
        assert_int_equal(take_frame(&s, &p), FIN | (i % 2 ? 1 : 2));
        assert_true(span_is(p, span_from(x, lengths_[i])));
    }
    assert_int_equal(take_frame(&s, &p), FIN | 9);
    assert_int_equal(p.n, 125);
    assert_int_equal(take_frame(&s, &p), FIN | 10);
    assert_int_equal(s.n, 0);
    struct buf small;                                     /* whole frames or none */
    buf_init(&small, 12);
    ws_write(&small, 1, SPAN("0123456789"));
    assert_int_equal(small.n, 12);
    ws_write(&small, 1, SPAN(""));
    assert_true(small.failed);
    assert_int_equal(small.n, 12);
    buf_done(&small);
    free(x);
}

static void writes_close(void **state)
{
    (void)state;
    char longer[200];
    for (size_t i = 0; i < sizeof longer; i++)
        longer[i] = "\xe5\x86\x8d"[i % 3];
    static const int codes[] = { 1000, 1001, 1013, 4999 };
    for (size_t i = 0; i < LENGTH(codes); i++)
        ws_write_close(&B, codes[i], SPAN("why"));
    ws_write_close(&B, 1005, SPAN("dropped"));
    ws_write_close(&B, 1000, span_from(longer, 198));
    ws_write_close(&B, 1000, span_from(longer, 123));
    struct span s = buf_span(&B), p;
    for (size_t i = 0; i < LENGTH(codes); i++) {
        assert_int_equal(take_frame(&s, &p), FIN | 8);
        assert_int_equal((unsigned char)p.p[0] << 8 | (unsigned char)p.p[1], codes[i]);
        assert_true(span_is(span_cut(p, 2), SPAN("why")));
    }
    take_frame(&s, &p);
    assert_int_equal(p.n, 0);
    for (int i = 0; i < 2; i++) {
        take_frame(&s, &p);
        assert_int_equal(p.n, 125);
        assert_true(utf8_valid(span_cut(p, 2)));
    }
    B.n = 0;
    longer[0] = longer[1] = 'x';                          /* now no character ends at 123 */
    ws_write_close(&B, 1000, span_from(longer + 1, 190));
    s = buf_span(&B);
    take_frame(&s, &p);
    assert_true(p.n < 125 && p.n > 120);
}

/* Inflates a peer's way: one window of 2^bits, output taken in drops, so that what points too far back fails. */
static void inflate_as_peer(struct span in, int bits, struct buf *out)
{
    z_stream z = { 0 };
    assert_int_equal(inflateInit2(&z, -bits), Z_OK);
    struct span parts[2] = { in, SPAN("\x00\x00\xff\xff") };
    for (int i = 0; i < 2; i++) {
        z.next_in = (unsigned char *)(uintptr_t)parts[i].p;
        z.avail_in = (unsigned)parts[i].n;
        for (;;) {
            unsigned char drop[3];
            z.next_out = drop;
            z.avail_out = sizeof drop;
            int rc = inflate(&z, Z_SYNC_FLUSH);
            assert_true(rc == Z_OK || rc == Z_BUF_ERROR);
            buf_add(out, drop, sizeof drop - z.avail_out);
            if (z.avail_out)
                break;
        }
    }
    inflateEnd(&z);
}

static void writes_deflated(void **state)
{
    (void)state;
    size_t sizes[] = { 0, 10, 64, 100, 250, 256, 257, 300, 512, 700, 1024, 4000, 5000, 20000, 40000, 100000 };
    char *text = malloc(100000);
    for (int kind = 0; kind < 3; kind++)
        for (size_t i = 0; i < LENGTH(sizes); i++)
            for (int bits = 8; bits <= 15; bits++) {
                for (size_t k = 0; k < sizes[i]; k++)
                    text[k] = kind == 0 ? (char)any(256) : kind == 1 ? "{\"id\":17,\"text\":\"hello\"},"[k % 25] : (char)(k < 3000 ? 'a' + any(9) : (unsigned char)text[k - 3000]);
                struct buf back;
                buf_init(&back, 1u << 20);
                B.n = 0;
                put_byte(&B, 'x');                        /* appended, not overwritten */
                ws_write_deflated_bits(&B, inflater, bits, 2, span_from(text, sizes[i]));
                ws_write(&B, 9, SPAN("tail"));
                struct span s = span_cut(buf_span(&B), 1), p;
                int first = take_frame(&s, &p);
                if (first == (FIN | RSV1 | 2)) {
                    assert_true(p.n < sizes[i]);
                    inflate_as_peer(p, bits, &back);
                    assert_true(span_is(buf_span(&back), span_from(text, sizes[i])));
                } else {
                    assert_int_equal(first, FIN | 2);
                    assert_true(span_is(p, span_from(text, sizes[i])));
                    assert_true(kind != 1 || sizes[i] < 64 || bits == 8);
                }
                assert_int_equal(take_frame(&s, &p), FIN | 9);
                assert_int_equal(s.n, 0);
                assert_true(!ws_deflated_fits(8, sizes[i]) || sizes[i] <= 256);
                buf_done(&back);
            }
    struct buf tight;                                     /* compressed fits where plain would not */
    memset(text, 'a', 1000);
    buf_init(&tight, 100);
    ws_write_deflated(&tight, inflater, 1, span_from(text, 1000));
    assert_false(tight.failed);
    assert_true(tight.n > 2 && tight.n < 40);
    for (size_t k = 0; k < 1000; k++)
        text[k] = (char)any(128);
    ws_write_deflated(&tight, inflater, 1, span_from(text, 70));          /* exactly fits, plain */
    assert_int_equal(tight.failed, tight.n > 100);
    buf_done(&tight);
    free(text);
}

/* ---- everything at random ---- */

static void random_conversations(void **state)
{
    (void)state;
    char *raw = malloc(70000), *packed = malloc(80000);
    for (int round = 0; round < 150; round++) {
        struct buf wanted;
        buf_init(&wanted, 1u << 20);
        options.deflate = any(2);
        for (int messages = 0; messages < 6; messages++) {
            bool text = any(2), compress = options.deflate && any(3);
            size_t n = any(4) ? any(80) : any(8) ? any(900) : any(70000);
            for (size_t i = 0; i < n; i++)
                raw[i] = text ? (char)(32 + any(90)) : (char)any(256);
            struct buf event;                             /* written behind the controls that interrupt the message */
            buf_init(&event, 1000);
            if (n <= 80) {
                buf_printf(&event, "%c(", text ? 'T' : 'B');
                buf_add(&event, raw, n);
                buf_add(&event, ")", 1);
            } else {
                unsigned sum = 0;
                for (size_t i = 0; i < n; i++)
                    sum = sum * 31 + (unsigned char)raw[i];
                buf_printf(&event, "%c#%zu,%x", text ? 'T' : 'B', n, sum);
            }
            struct span left = { raw, n };
            if (compress)
                left = deflated(packed, 80000, left, (int)any(10), 9 + (int)any(7), any(2) ? Z_SYNC_FLUSH : Z_FULL_FLUSH);
            for (int fragment = 0;; fragment++) {
                bool last = any(3) == 0;
                size_t part = last ? left.n : any((uint32_t)left.n + 1);
                put_frame(&B, (last ? FIN : 0) | (fragment ? 0 : (compress ? RSV1 : 0) | (text ? 1 : 2)), span_from(left.p, part));
                left = span_cut(left, part);
                if (last)
                    break;
                if (any(3) == 0) {
                    put_z(&B, FIN | 10, "pong");
                    buf_add_z(&wanted, "O(pong)");
                }
            }
            buf_add_span(&wanted, buf_span(&event));
            buf_done(&event);
        }
        put_frame(&B, FIN | 8, SPAN("\x0f\xa0" "end"));
        buf_add(&wanted, "C4000(end)", 11);
        for (int how = WHOLE; how <= PIECES; how++) {
            struct ws_reader r = { .deflate = options.deflate };
            struct buf got;
            buf_init(&got, 1u << 20);
            trace(&r, buf_span(&B), (enum split)how, &got);
            put_byte(&got, '\0');
            assert_int_equal(got.n, wanted.n);
            assert_memory_equal(got.p, wanted.p, wanted.n);
            assert_null(r.message);
            assert_null(r.control);
            ws_reader_done(&r);
            buf_done(&got);
        }
        buf_done(&wanted);
        B.n = 0;
    }
    free(raw);
    free(packed);
}

static void idle_holds_nothing(void **state)
{
    (void)state;
    struct ws_reader r = { .deflate = true };
    struct buf got;
    buf_init(&got, 10000);
    put_z(&B, 1, "frag");
    put_z(&B, FIN | 9, "ping");
    put_z(&B, FIN | 0, "ments");
    put_frame(&B, FIN | RSV1 | 1, SPAN("\xf2\x48\xcd\xc9\xc9\x07\x00"));
    trace(&r, buf_span(&B), BYTES, &got);
    assert_null(r.message);
    assert_null(r.control);
    assert_true(sizeof r <= 64);
    B.n = 0;
    put_z(&B, FIN | 1, "begun");                          /* a head alone holds nothing either */
    trace(&r, span_from(B.p, 6), WHOLE, &got);
    assert_null(r.message);
    trace(&r, span_from(B.p + 6, 2), WHOLE, &got);
    assert_non_null(r.message);
    ws_reader_done(&r);
    assert_null(r.message);
    buf_done(&got);
}

#ifdef WEIR_FAULTS
static void every_allocation_fails_once(void **state)
{
    (void)state;
    options.deflate = true;
    put_z(&B, 1, "frag");
    put_z(&B, FIN | 9, "ping");
    put_z(&B, FIN | 0, "ments");
    put_frame(&B, FIN | RSV1 | 1, SPAN("\xf2\x48\xcd\xc9\xc9\x07\x00"));
    int failures = 0;
    for (int nth = 1; nth < 200; nth++) {
        char spec[32];
        snprintf(spec, sizeof spec, "alloc:%d", nth);
        fault_arm(spec);
        struct ws_inflater *mine = ws_inflater_new();
        struct ws_reader r = { .deflate = true };
        char last = '-';
        int code = 0;
        for (size_t i = 0; mine && i < B.n && last != 'E'; i++) {
            char c = B.p[i], *p = &c;
            size_t n = 1;
            struct span s;
            enum ws_event e;
            while (last != 'E' && (e = ws_read(&r, mine, &p, &n, &s, &code)) != WS_MORE)
                last = "-TBPOCE"[e];
        }
        fault_arm(NULL);
        if (last == 'E') {
            assert_int_equal(code, 1011);
            failures++;
        }
        ws_reader_done(&r);
        ws_inflater_free(&mine);
    }
    assert_true(failures > 3);
    B.n = 0;
}
#endif

/* ---- handshake ---- */

static void head_add(struct http_head *h, const char *name, const char *value)
{
    h->headers[h->header_count++] = (struct http_header){ span_of(name), span_of(value) };
}

static struct http_head good_head(void)
{
    struct http_head h = { .method = HTTP_GET, .minor = 1, .host = SPAN("localhost"), .content_length = -1, .upgrade_websocket = true };
    head_add(&h, "Host", "localhost");
    head_add(&h, "sec-websocket-VERSION", "13");
    head_add(&h, "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    return h;
}

static void handshakes(void **state)
{
    (void)state;
    char accept[29];
    struct http_head h = good_head();
    assert_int_equal(websocket_handshake(&h, accept), 101);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    h.method = HTTP_POST;
    assert_int_equal(websocket_handshake(&h, accept), 400);
    h = good_head(), h.minor = 0;
    assert_int_equal(websocket_handshake(&h, accept), 400);
    h = good_head(), h.upgrade_websocket = false;
    assert_int_equal(websocket_handshake(&h, accept), 400);
    h = good_head(), h.host = (struct span){ NULL, 0 };
    assert_int_equal(websocket_handshake(&h, accept), 400);
    h = good_head(), h.content_length = 5;
    assert_int_equal(websocket_handshake(&h, accept), 400);
    h = good_head(), h.headers[1].value = SPAN("8");
    assert_int_equal(websocket_handshake(&h, accept), 426);
    h = good_head(), h.headers[1].value = SPAN("13, 8");
    assert_int_equal(websocket_handshake(&h, accept), 426);
    h = good_head(), h.headers[1].name = SPAN("X");
    assert_int_equal(websocket_handshake(&h, accept), 426);
    h = good_head(), h.headers[2].name = SPAN("X");
    assert_int_equal(websocket_handshake(&h, accept), 400);
    h = good_head(), head_add(&h, "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_int_equal(websocket_handshake(&h, accept), 400);
    static const char *const keys[] = { "", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25jZQAA", "dGhlIHNhbXBsZSBub25j_Q==", "dGhlIHNhbXBsZSBub25j Q==" };
    for (size_t i = 0; i < LENGTH(keys); i++) {
        h = good_head(), h.headers[2].value = span_of(keys[i]);
        assert_int_equal(websocket_handshake(&h, accept), 400);
    }
}

static void deflate_offers(void **state)
{
    (void)state;
#define ANSWER "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    static const struct { const char *offer; int bits; const char *answer; } cases[] = {
        { "permessage-deflate", 15, ANSWER },
        { "Permessage-Deflate; client_max_window_bits", 15, ANSWER },
        { "permessage-deflate;client_max_window_bits=8;server_no_context_takeover ; client_no_context_takeover", 15, ANSWER },
        { "permessage-deflate; server_max_window_bits=10", 10, ANSWER "; server_max_window_bits=10" },
        { "permessage-deflate; server_max_window_bits=\"15\"", 15, ANSWER "; server_max_window_bits=15" },
        { "permessage-deflate; server_max_window_bits=8", 8, ANSWER "; server_max_window_bits=8" },
        { "permessage-deflate; server_max_window_bits", 0, "" },
        { "permessage-deflate; server_max_window_bits=7", 0, "" },
        { "permessage-deflate; server_max_window_bits=16", 0, "" },
        { "permessage-deflate; server_max_window_bits=09", 0, "" },
        { "permessage-deflate; server_max_window_bits=1x", 0, "" },
        { "permessage-deflate; client_max_window_bits=0", 0, "" },
        { "permessage-deflate; server_no_context_takeover=1", 0, "" },
        { "permessage-deflate; server_no_context_takeover; server_no_context_takeover", 0, "" },
        { "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9", 0, "" },
        { "permessage-deflate; unheard_of", 0, "" },
        { "permessage-deflate; unheard_of=1, permessage-deflate; server_max_window_bits=12", 12, ANSWER "; server_max_window_bits=12" },
        { "permessage-deflate; server_max_window_bits=99, permessage-deflate", 15, ANSWER },
        { "x-webkit-deflate-frame, other; a=\"b\", ,permessage-deflate", 15, ANSWER },
        { "other", 0, "" },
        { "", 0, "" },
        { ",,", 0, "" },
        { "permessage-deflate;", 0, "" },
        { "permessage-deflate; =3", 0, "" },
        { "permessage-deflate junk", 0, "" },
        { "permessage-deflate; client_max_window_bits=", 0, "" },
        { "permessage-deflate; client_max_window_bits=\"9", 0, "" },
        { "permessage-deflatey", 0, "" },
    };
    char out[128];
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct http_head h = good_head();
        assert_int_equal(websocket_deflate_offer(&h, out), 0);
        head_add(&h, "sec-websocket-extensions", cases[i].offer);
        assert_int_equal(websocket_deflate_offer(&h, out), cases[i].bits);
        assert_string_equal(out, cases[i].answer);
    }
    struct http_head h = good_head();                     /* one list in two lines */
    head_add(&h, "Sec-WebSocket-Extensions", "permessage-deflate; unheard_of");
    head_add(&h, "Sec-WebSocket-Extensions", "permessage-deflate");
    assert_int_equal(websocket_deflate_offer(&h, out), 15);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup_buf, teardown_buf)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(frames_of_all_lengths), CASE(control_frames), CASE(reserved_bits_and_opcodes), CASE(masks_are_required), CASE(lengths), CASE(size_limit),
        CASE(fragments), CASE(closing), CASE(utf8_by_the_book), CASE(utf8_fails_at_once), CASE(inflates), CASE(inflated_text_is_checked), CASE(bombs_stop),
        CASE(writes_frames), CASE(writes_close), CASE(writes_deflated), CASE(random_conversations), CASE(idle_holds_nothing), CASE(handshakes), CASE(deflate_offers),
#ifdef WEIR_FAULTS
        CASE(every_allocation_fails_once),
#endif
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
