/* tests/unit/wire/multipart_test.c: multipart/form-data as a stream.
 *
 * A body is fed in some way and what comes out is written down: "(name|filename|type)data." for a part, "!" and the reason for an error, "$" for the end.
 * Every row of the table must be written down in the same way when it is fed at once, byte by byte, in two pieces split everywhere, and in random
 * pieces. Pieces lie in blocks of their exact size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "wire/multipart.h"

#define LIT(text) { "" text, sizeof(text) - 1 }

/* ---- Content-Type ---- */

static void test_boundary(void **state)
{
    static const struct { const char *type, *want; } cases[] = {
        { "multipart/form-data; boundary=abc", "abc" },
        { "Multipart/Form-Data;BOUNDARY=abc", "abc" },
        { " multipart/form-data ; boundary=abc ", "abc" },
        { "multipart/form-data; boundary=\"a b c\"", "a b c" },
        { "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW", "----WebKitFormBoundary7MA4YWxkTrZu0gW" },
        { "multipart/form-data; boundary=a=b/c:d", "a=b/c:d" },
        { "multipart/form-data; charset=\"utf-8; boundary=no\"; boundary=yes", "yes" },
        { "multipart/form-data; charset=\"a\\\"; boundary=no\"; boundary=yes", "yes" },
        { "multipart/form-data; boundary=abc; charset=utf-8", "abc" },
        { "multipart/form-data; boundary=abc;", "abc" },
        { "multipart/form-data;; boundary=abc", "abc" },
        { "multipart/form-data; boundary=1234567890123456789012345678901234567890123456789012345678901234567890",
          "1234567890123456789012345678901234567890123456789012345678901234567890" },
        { "multipart/form-data; boundary=12345678901234567890123456789012345678901234567890123456789012345678901", NULL },
        { "", NULL },
        { "multipart/form-data", NULL },
        { "multipart/form-data;", NULL },
        { "multipart/form-data; boundary", NULL },
        { "multipart/form-data; boundary=", NULL },
        { "multipart/form-data; boundary=\"\"", NULL },
        { "multipart/form-data; boundary=\"abc", NULL },
        { "multipart/form-data; boundary=\"abc \"", NULL },
        { "multipart/form-data; boundary=\"a\\b\"", NULL },
        { "multipart/form-data; boundary=a\xc3\xa9", NULL },
        { "multipart/form-data; boundary=a@b", NULL },
        { "multipart/form-data; boundary=abc; boundary=abc", NULL },
        { "multipart/form-data; boundary =abc", NULL },
        { "multipart/form-data; boundary= abc", NULL },
        { "multipart/form-data; boundary=abc def", NULL },
        { "multipart/form-data; boundary=\"abc\"def", NULL },
        { "multipart/form-data boundary=abc", NULL },
        { "multipart/form-datax; boundary=abc", NULL },
        { "multipart/mixed; boundary=abc", NULL },
        { "application/x-www-form-urlencoded", NULL },
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct span out;
        bool ok = multipart_boundary(span_of(cases[i].type), &out);
        if (ok != (cases[i].want != NULL)) fail_msg("%s: %s", cases[i].type, ok ? "taken" : "refused");
        if (ok) assert_true(span_is_z(out, cases[i].want));
    }
}

/* ---- bodies ---- */

struct record { struct buf text; int open_parts; bool ended; };

/* Feeds one piece and writes down what comes. False after an error. */
static bool feed(struct multipart *m, struct span piece, struct record *r)
{
    char *copy = malloc(piece.n ? piece.n : 1);
    assert_non_null(copy);
    memcpy(copy, piece.p, piece.n);
    struct span in = { copy, piece.n }, data;
    struct multipart_part part;
    enum multipart_event event;
    while ((event = multipart_feed(m, &in, &part, &data)) != MULTIPART_MORE && event != MULTIPART_ERROR) {
        assert_false(r->ended);
        switch (event) {
        case MULTIPART_PART:
            assert_int_equal(r->open_parts++, 0);
            assert_true(part.has_filename == (part.filename.p != NULL) || part.filename.n == 0);
            buf_printf(&r->text, "(%.*s|%.*s%s|%.*s)", SPAN_ARGS(part.name), SPAN_ARGS(part.filename), part.has_filename ? "" : "-", SPAN_ARGS(part.type));
            break;
        case MULTIPART_DATA:
            assert_int_equal(r->open_parts, 1);
            assert_true(data.n > 0);
            buf_add_span(&r->text, data);
            break;
        case MULTIPART_PART_END:
            assert_int_equal(r->open_parts--, 1);
            buf_add_z(&r->text, ".");
            break;
        default:
            assert_int_equal(event, MULTIPART_END);
            assert_int_equal(r->open_parts, 0);
            r->ended = true;
            buf_add_z(&r->text, "$");
            break;
        }
    }
    if (event == MULTIPART_ERROR) {
        buf_printf(&r->text, "!%s", multipart_why(m));
        assert_int_equal(multipart_feed(m, &in, &part, &data), MULTIPART_ERROR);
    } else {
        assert_int_equal(in.n, 0);
    }
    assert_int_equal(multipart_done(m), r->ended);
    free(copy);
    return event != MULTIPART_ERROR;
}

/* Feeds `first` bytes, then pieces of `step` bytes, or of random sizes when step is 0. Returns what was written down (buf_done it). */
static struct buf feed_all(struct span boundary, struct span body, size_t first, size_t step, uint32_t seed)
{
    struct record r = { 0 };
    struct multipart *m = multipart_new(boundary);
    assert_non_null(m);
    buf_init(&r.text, 1 << 24);
    bool ok = feed(m, span_from(body.p, first), &r);
    for (size_t at = first; ok && at < body.n;) {
        seed = seed * 1664525 + 1013904223;
        size_t n = step ? step : (seed >> 16) % 12;
        if (n > body.n - at) n = body.n - at;
        ok = feed(m, span_from(body.p + at, n), &r);
        at += n;
    }
    multipart_free(&m);
    assert_null(m);
    assert_false(r.text.failed);
    return r.text;
}

#define D "Content-Disposition: form-data; "
#define PART(disposition, data) "--b\r\n" D disposition "\r\n\r\n" data "\r\n"

static const struct { struct span body; const char *want; } bodies[] = {
    /* right */
    { LIT(PART("name=\"a\"", "1") "--b--\r\n"), "(a|-|)1.$" },
    { LIT(PART("name=\"a\"", "1") PART("name=\"b\"", "22") "--b--"), "(a|-|)1.(b|-|)22.$" },
    { LIT(PART("name=a", "") "--b--\r\n"), "(a|-|).$" },
    { LIT("--b--\r\n"), "$" },
    { LIT("--b--"), "$" },
    { LIT("\r\n--b--"), "$" },
    { LIT("--b\r\n" D "name=\"a\"\r\n\r\n--b--"), "(a|-|).$" },
    { LIT("preamble\r\nmore\r\n" PART("name=\"a\"", "1") "--b--\r\nepilogue\r\n--b\r\n--b--"), "(a|-|)1.$" },
    { LIT("--\r\n--x\r\n -b\n--b\r --b\r\n-" PART("name=\"a\"", "0") PART("name=\"a\"", "1") "--b--x\r\n--b--y"), "(a|-|)1.$" },
    { LIT("--b \t \r\n" D "name=\"a\"\r\n\r\n1\r\n--b\t\r\n" D "name=\"c\"\r\n\r\n2\r\n--b-- \t\r\n"), "(a|-|)1.(c|-|)2.$" },
    { LIT(PART("name=\"a\"", "\r\n") "--b--"), "(a|-|)\r\n.$" },
    { LIT(PART("name=\"a\"", "\r") "--b--"), "(a|-|)\r.$" },
    { LIT(PART("name=\"a\"", "\n\n") "--b--"), "(a|-|)\n\n.$" },
    { LIT(PART("name=\"a\"", "\r\n-\r\n--\r\n--c\r\n--B") "--b--"), "(a|-|)\r\n-\r\n--\r\n--c\r\n--B.$" },
    { LIT(PART("name=\"a\"", "\r\r\r\n\r\n-\r\n--\r") "--b--"), "(a|-|)\r\r\r\n\r\n-\r\n--\r.$" },
    { LIT(PART("name=\"a\"", "x--b--y --b") "--b--"), "(a|-|)x--b--y --b.$" },
    { LIT(PART("name=\"a\"", "x\n--b--\ny") "--b--"), "(a|-|)x\n--b--\ny.$" },
    { LIT(PART("name=\"a\"", "-") "--b--"), "(a|-|)-.$" },
    { LIT(PART("name=\"a\"", "你好\xff") "--b--"), "(a|-|)你好\xff.$" },
    { LIT("--b\r\ncontent-DISPOSITION:form-data;name=a;filename=f\r\nContent-Type:  image/png\t\r\nX-Other: y\r\n\r\n1\r\n--b--"), "(a|f|image/png)1.$" },
    { LIT("--b\r\nContent-Transfer-Encoding: Binary\r\n" D "name=a\r\n\r\n1\r\n--b--"), "(a|-|)1.$" },
    /* names and filenames */
    { LIT(PART("filename=\"f.png\"; name=\"a\"", "") "--b--"), "(a|f.png|).$" },
    { LIT(PART("name=\"a\"; filename=\"\"", "") "--b--"), "(a||).$" },
    { LIT(PART("name=\"a;b=c\"; filename=\"x;y.png\"", "") "--b--"), "(a;b=c|x;y.png|).$" },
    { LIT(PART("name=\"照片\"; filename=\"合影 1.jpg\"", "") "--b--"), "(照片|合影 1.jpg|).$" },
    { LIT(PART("name=\"a\\\"b\"; filename=\"c\\\"d\\\\e\"", "") "--b--"), "(a\"b|e|).$" },
    { LIT(PART("name=\"a%22b\"; filename=\"c%22d%20%0A%\"", "") "--b--"), "(a\"b|c\"d%20%0A%|).$" },
    { LIT(PART("name=\"a\"; filename=\"C:\\dir\\file.txt\"", "") "--b--"), "(a|file.txt|).$" },
    { LIT(PART("name=\"a\"; filename=\"\\\\server\\share\\f\"", "") "--b--"), "(a|f|).$" },
    { LIT(PART("name=\"a\"; filename=\"../../etc/passwd\"", "") "--b--"), "(a|passwd|).$" },
    { LIT(PART("name=\"a\"; filename=\"..\"", "") "--b--"), "(a||).$" },
    { LIT(PART("name=\"a\"; filename=\"x/.\"", "") "--b--"), "(a||).$" },
    { LIT(PART("name=\"a\"; filename=\"x/\"", "") "--b--"), "(a||).$" },
    { LIT(PART("name=\"a\"; filename=\".hidden\"", "") "--b--"), "(a|.hidden|).$" },
    { LIT(PART("name=\"a\"; filename=\"x\xff\xfey\xef\xbf\xbd\"", "") "--b--"), "(a|x??y\xef\xbf\xbd|).$" },
    { LIT(PART("name=\"a\"; filename=\"no\"; filename*=UTF-8''%e2%82%ac%20rates", "") "--b--"), "(a|€ rates|).$" },
    { LIT(PART("name=\"a\"; filename*=utf-8'en'yes; filename=\"no\"", "") "--b--"), "(a|yes|).$" },
    { LIT(PART("name=\"a\"; filename*=UTF-8''dir%2Fyes%5cfile", "") "--b--"), "(a|file|).$" },
    { LIT(PART("name=\"a\"; filename*=UTF-8''", "") "--b--"), "(a||).$" },
    { LIT(PART("name=\"a\"; filename=\"no\"; filename*=UTF-8''%ff", "") "--b--"), "(a|no|).$" },
    { LIT(PART("name=\"a\"; filename=\"no\"; filename*=UTF-8''%0d%0a", "") "--b--"), "(a|no|).$" },
    { LIT(PART("name=\"a\"; filename=\"no\"; filename*=UTF-8''%4", "") "--b--"), "(a|no|).$" },
    { LIT(PART("name=\"a\"; filename=\"no\"; filename*=UTF-8''a(b", "") "--b--"), "(a|no|).$" },
    { LIT(PART("name=\"a\"; filename=\"no\"; filename*=UTF-8yes", "") "--b--"), "(a|no|).$" },
    { LIT(PART("name=\"a\"; filename=\"no\"; filename*=GBK''%c4%e3", "") "--b--"), "(a|no|).$" },
    { LIT(PART("name=\"a\"; filename*=GBK''%c4%e3", "") "--b--"), "(a||).$" },
    { LIT(PART("name=\"a\"; size=5; x=\"y\"", "") "--b--"), "(a|-|).$" },
    { LIT(PART("name=\"a\";", "") "--b--"), "(a|-|).$" },
    /* not whole */
    { LIT(""), "" },
    { LIT("--"), "" },
    { LIT("--b"), "" },
    { LIT("--b\r\n"), "" },
    { LIT("nothing here"), "" },
    { LIT(PART("name=\"a\"", "1")), "(a|-|)1" },
    { LIT(PART("name=\"a\"", "1") "--"), "(a|-|)1" },
    { LIT(PART("name=\"a\"", "1") "--b"), "(a|-|)1" },
    { LIT(PART("name=\"a\"", "1") "--b-"), "(a|-|)1" },
    { LIT(PART("name=\"a\"", "1") "--b\r\n"), "(a|-|)1." },
    { LIT("--b\n" D "name=\"a\"\n\n1\n--b--\n"), "!bytes behind a boundary" },
    /* refused */
    { LIT("--bb\r\n"), "!bytes behind a boundary" },
    { LIT("--b-\r\n"), "!bytes behind a boundary" },
    { LIT("--b -\r\n"), "!bytes behind a boundary" },
    { LIT("--b --\r\n"), "!bytes behind a boundary" },
    { LIT("--b\r\r\n"), "!a line that does not end with CRLF" },
    { LIT("--b \n"), "!bytes behind a boundary" },
    { LIT(PART("name=\"a\"", "1") "--bc\r\n"), "(a|-|)1!bytes behind a boundary" },
    { LIT("--b\r\n" D "name=a\n\r\n1\r\n--b--"), "!a line that does not end with CRLF" },
    { LIT("--b\r\n" D "name=a\r\n\n1\r\n--b--"), "!a line that does not end with CRLF" },
    { LIT("--b\r\n" D "name=a\rX: y\r\n\r\n1\r\n--b--"), "!a line that does not end with CRLF" },
    { LIT("--b\r\n" D "name=a\r\r\n\r\n1\r\n--b--"), "!a line that does not end with CRLF" },
    { LIT("--b\r\n" D "name=a\r\n\rX"), "!a line that does not end with CRLF" },
    { LIT("--b\r\n" D "name=\"a\0\"\r\n\r\n1"), "!a control byte in the head of a part" },
    { LIT("--b\r\n" D "name=\"a\x7f\"\r\n\r\n1"), "!a control byte in the head of a part" },
    { LIT("--b\r\n" D "name=a\r\n ; filename=f\r\n\r\n1"), "!malformed header in a part" },
    { LIT("--b\r\nContent-Disposition : form-data; name=a\r\n\r\n1"), "!malformed header in a part" },
    { LIT("--b\r\nnothing\r\n\r\n1"), "!malformed header in a part" },
    { LIT("--b\r\n: x\r\n\r\n1"), "!malformed header in a part" },
    { LIT("--b\r\n\r\n1\r\n--b--"), "!a part without Content-Disposition" },
    { LIT("--b\r\nContent-Type: text/plain\r\n\r\n1\r\n--b--"), "!a part without Content-Disposition" },
    { LIT("--b\r\n" D "name=a\r\n" D "name=a\r\n\r\n1"), "!a part with two Content-Dispositions" },
    { LIT("--b\r\n" D "name=a\r\nContent-Type: a/b\r\nContent-Type: a/b\r\n\r\n1"), "!a part with two Content-Types" },
    { LIT("--b\r\n" D "name=a\r\nContent-Transfer-Encoding: base64\r\n\r\nMQ==\r\n--b--"), "!a part in a transfer encoding" },
    { LIT("--b\r\nContent-Disposition: attachment; name=a\r\n\r\n1"), "!a part is not form-data" },
    { LIT("--b\r\nContent-Disposition:\r\n\r\n1"), "!a part is not form-data" },
    { LIT("--b\r\nContent-Disposition: form-data\r\n\r\n1"), "!a part without a name" },
    { LIT(PART("name=\"\"", "1")), "!a part without a name" },
    { LIT(PART("filename=\"f\"", "1")), "!a part without a name" },
    { LIT(PART("name*=UTF-8''a", "1")), "!a part without a name" },
    { LIT(PART("name=a; name=a", "1")), "!a part with two names" },
    { LIT(PART("name=a; NAME=\"a\"", "1")), "!a part with two names" },
    { LIT(PART("name=a; filename=f; filename=f", "1")), "!a part with two filenames" },
    { LIT(PART("name=a; filename*=UTF-8''f; filename*=UTF-8''f", "1")), "!a part with two filenames" },
    { LIT(PART("name=\"a", "1")), "!malformed Content-Disposition" },
    { LIT(PART("name=\"a\\\"", "1")), "!malformed Content-Disposition" },
    { LIT(PART("name=\"a\"b", "1")), "!malformed Content-Disposition" },
    { LIT(PART("name=a b", "1")), "!malformed Content-Disposition" },
    { LIT(PART("name=", "1")), "!malformed Content-Disposition" },
    { LIT(PART("name = a", "1")), "!malformed Content-Disposition" },
    { LIT(PART("name", "1")), "!malformed Content-Disposition" },
    { LIT("--b\r\nContent-Disposition: form-data name=a\r\n\r\n1"), "!malformed Content-Disposition" },
    { LIT(PART("name=\"\xff\"", "1")), "!a part's name is not UTF-8" },
};

static void test_bodies(void **state)
{
    struct span b = SPAN("b");
    (void)state;
    for (size_t i = 0; i < LENGTH(bodies); i++) {
        struct span body = bodies[i].body;
        struct buf once = feed_all(b, body, body.n, 1, 0);
        if (!span_is_z(buf_span(&once), bodies[i].want)) fail_msg("%.*s\ngave %.*s", SPAN_ARGS(body), SPAN_ARGS(once));
        for (size_t k = 0; k < 2 * body.n + 60; k++) {
            struct buf pieces = k < body.n ? feed_all(b, body, k, body.n, 0)
                              : k < 2 * body.n ? feed_all(b, body, 0, k - body.n + 1, 0)
                              : feed_all(b, body, 0, 0, (uint32_t)k);
            if (!span_is(buf_span(&pieces), buf_span(&once))) fail_msg("%.*s\ngave %.*s\nand %.*s", SPAN_ARGS(body), SPAN_ARGS(once), SPAN_ARGS(pieces));
            buf_done(&pieces);
        }
        buf_done(&once);
    }
}

static void test_limits(void **state)
{
    struct buf body, got;
    (void)state;
    for (size_t parts = LIMIT_MULTIPART_PARTS; parts <= LIMIT_MULTIPART_PARTS + 1; parts++) {
        buf_init(&body, 1 << 20);
        for (size_t i = 0; i < parts; i++) buf_add_z(&body, PART("name=a", "x"));
        buf_add_z(&body, "--b--");
        got = feed_all(SPAN("b"), buf_span(&body), body.n, 1, 0);
        if (parts == LIMIT_MULTIPART_PARTS) assert_true(span_ends(buf_span(&got), SPAN(".$")));
        else assert_true(span_ends(buf_span(&got), SPAN("!too many parts")));
        buf_done(&got);
        buf_done(&body);
    }
    size_t frame = SPAN(D "name=a\r\nX: \r\n").n;          /* the empty line does not count */
    for (size_t head = LIMIT_PART_HEAD_BYTES; head <= LIMIT_PART_HEAD_BYTES + 1; head++) {
        buf_init(&body, 1 << 20);
        buf_add_z(&body, "--b\r\n" D "name=a\r\nX: ");
        for (size_t i = 0; i < head - frame; i++) buf_add_z(&body, "x");
        buf_add_z(&body, "\r\n\r\n1\r\n--b--");
        got = feed_all(SPAN("b"), buf_span(&body), body.n, 1, 0);
        assert_true(span_is_z(buf_span(&got), head == LIMIT_PART_HEAD_BYTES ? "(a|-|)1.$" : "!the head of a part is too long"));
        buf_done(&got);
        buf_done(&body);
    }
}

/* Random bytes of a small alphabet that holds all bytes of the delimiter, between true delimiters: what was put in comes out. */
static void test_random(void **state)
{
    static const char alphabet[] = "\r\n-bba";
    uint32_t seed = 7;
    (void)state;
    for (uint32_t round = 0; round < 3000; round++) {
        struct buf body, want, got;
        buf_init(&body, 1 << 16);
        buf_init(&want, 1 << 16);
        for (uint32_t parts = round % 4; parts > 0; parts--) {
            buf_add_z(&body, "--bab\r\n" D "name=a\r\n\r\n");
            buf_add_z(&want, "(a|-|)");
            size_t start = body.n - 2;                     /* the CRLF before the data counts */
            for (uint32_t n = (seed >> 8) % 60; n > 0; n--) {
                seed = seed * 1664525 + 1013904223;
                buf_add(&body, &alphabet[(seed >> 16) % (sizeof alphabet - 1)], 1);
            }
            seed = seed * 1664525 + 1013904223;
            if (memmem(body.p + start, body.n - start, "\r\n--bab", 7)) body.n = start + 2;
            buf_add(&want, body.p + start + 2, body.n - start - 2);
            buf_add_z(&want, ".");
            buf_add_z(&body, "\r\n");
        }
        buf_add_z(&body, "--bab--");
        buf_add_z(&want, "$");
        for (uint32_t k = 0; k < 4; k++) {
            got = k == 0 ? feed_all(SPAN("bab"), buf_span(&body), body.n, 1, 0) : feed_all(SPAN("bab"), buf_span(&body), 0, k == 1 ? 1 : 0, seed + k);
            assert_true(span_is(buf_span(&got), buf_span(&want)));
            buf_done(&got);
        }
        buf_done(&body);
        buf_done(&want);
    }
}

/* Almost-boundaries cost no more than other bytes, and a whole input without a delimiter is one event. */
static void test_work(void **state)
{
    static char body[4 << 20];
    static const char tease[] = "\r\n--1234567890123456789012345678901234567890123456789012345678901234567";
    struct span boundary = SPAN("1234567890123456789012345678901234567890123456789012345678901234567890"), data;
    struct multipart_part part;
    (void)state;
    for (size_t i = 0; i < sizeof body; i++) body[i] = tease[i % (sizeof tease - 1)];
    struct multipart *m = multipart_new(boundary);
    struct span in = SPAN("--1234567890123456789012345678901234567890123456789012345678901234567890\r\n" D "name=a\r\n\r\n");
    assert_int_equal(multipart_feed(m, &in, &part, &data), MULTIPART_PART);
    assert_int_equal(multipart_feed(m, &in, &part, &data), MULTIPART_MORE);
    in = span_from(body, sizeof body);
    assert_int_equal(multipart_feed(m, &in, &part, &data), MULTIPART_DATA);
    assert_true(data.n > sizeof body - sizeof tease);
    assert_int_equal(multipart_feed(m, &in, &part, &data), MULTIPART_MORE);
    size_t total = data.n, events = 0;
    for (size_t i = 0; i < sizeof body; i++) {             /* byte by byte: an event for a broken match, not for a byte of it */
        in = span_from(body + i, 1);
        while (multipart_feed(m, &in, &part, &data) == MULTIPART_DATA) {
            total += data.n;
            events++;
        }
    }
    assert_true(total > 2 * sizeof body - 2 * sizeof tease && total <= 2 * sizeof body);
    assert_true(events <= 2 * sizeof body / (sizeof tease - 1) + 2);
    multipart_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boundary), cmocka_unit_test(test_bodies), cmocka_unit_test(test_limits), cmocka_unit_test(test_random),
        cmocka_unit_test(test_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
