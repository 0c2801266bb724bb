/* permessage-deflate in, with its bombs and broken streams, and frames out, plain and compressed, taken apart by a decoder of the test. */
#include "websocket_peer.h"

/* ---- compression ---- */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(inflates), CASE(inflated_text_is_checked), CASE(bombs_stop), CASE(writes_frames), CASE(writes_close), CASE(writes_deflated),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
