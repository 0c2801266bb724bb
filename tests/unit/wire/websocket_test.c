/* WebSocket frames in: the rules of RFC 6455 one by one, each fed whole, byte by byte and in random pieces, and what comes out compared as a text trace. */
#include "websocket_peer.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(frames_of_all_lengths), CASE(control_frames), CASE(reserved_bits_and_opcodes), CASE(masks_are_required), CASE(lengths), CASE(size_limit),
        CASE(fragments), CASE(closing), CASE(utf8_by_the_book), CASE(utf8_fails_at_once), CASE(random_conversations), CASE(idle_holds_nothing),
#ifdef WEIR_FAULTS
        CASE(every_allocation_fails_once),
#endif
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
