/* A mail as bytes: ASCII lines that nothing written by a user can break out of; addresses and servers that may be named. */
#include "net/mail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/hash.h"

static struct arena *A;

static int setup(void **state)
{
    (void)state;
    A = arena_new(1u << 22);
    return A ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&A);
    return 0;
}

static const char *written(struct span subject, struct span text, size_t to_count, const struct span *to)
{
    struct buf b;
    buf_init(&b, MAIL_BYTES);
    struct mail m = { .from = SPAN("weir@example.org"), .to = to, .to_count = to_count, .subject = subject, .text = text, .id = SPAN("5f0a"), .date_ms = 784111777000 };
    bool good = mail_write(&b, &m);
    const char *z = good ? arena_z(A, buf_span(&b)) : NULL;
    buf_done(&b);
    return z;
}

static void a_mail_as_it_is_sent(void **state)
{
    (void)state;
    struct span to[] = { SPAN("a@example.org"), SPAN("b.c@example.org") };
    assert_string_equal(written(SPAN("有人请假了"), SPAN("你好\nb\r\nc\rd"), 2, to),
        "Date: Sun, 06 Nov 1994 08:49:37 +0000\r\nFrom: <weir@example.org>\r\nTo: <a@example.org>,\r\n <b.c@example.org>\r\nSubject: =?UTF-8?B?5pyJ5Lq66K+35YGH5LqG?=\r\nMessage-ID: <5f0a@example.org>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\nAuto-Submitted: auto-generated\r\n\r\n5L2g5aW9DQpiDQpjDQpk\r\n");
    assert_non_null(strstr(written(SPAN(""), SPAN(""), 1, to), "Subject: =?UTF-8?B?" "?=\r\n"));
}

/* Every line at most 76 characters of printable ASCII; the decoded body is what was meant. */
static void nothing_breaks_out(void **state)
{
    (void)state;
    struct span to[] = { SPAN("a@example.org") };
    static const char *const evil[] = { "x\r\nBcc: v@example.org", "\r\n.\r\nMAIL FROM:<e@example.org>", ".", "..\n.", "=?UTF-8?B?QmNj?=", "\x01\x7f\t", "一二三四五六七八九十一二三四五六七八九十😀😀😀😀😀😀😀😀😀😀一二三四五六七八九十" };
    for (size_t i = 0; i < LENGTH(evil); i++) {
        const char *mail = written(span_of(evil[i]), span_of(evil[i]), 1, to);
        int lines = 0, heads = 0;
        for (const char *line = mail; *line; lines++) {
            const char *end = strstr(line, "\r\n");
            assert_non_null(end);
            assert_in_range((size_t)(end - line), 0, 76);
            for (const char *p = line; p < end; p++) assert_in_range((unsigned char)*p, ' ', '~');
            heads += !strncmp(line, "Bcc", 3) + !strncmp(line, ".", 1);
            line = end + 2;
        }
        assert_int_equal(heads, 0);
        /* the words of the subject are whole characters each */
        const char *subject = strstr(mail, "Subject: ") + 9;
        struct span all = SPAN(""), word;
        while (!strncmp(subject, "=?UTF-8?B?", 10)) {
            const char *end = strstr(subject, "?=");
            assert_true(end - subject + 2 <= 75);
            assert_true(base64_decode(A, span_from(subject + 10, (size_t)(end - subject - 10)), &word));
            assert_true(utf8_valid(word));
            all = arena_printf(A, "%.*s%.*s", SPAN_ARGS(all), SPAN_ARGS(word));
            subject = end + 2 + (strncmp(end + 2, "\r\n ", 3) ? 0 : 3);
        }
        assert_true(span_is_z(all, evil[i]));
    }
}

static void long_texts_come_through(void **state)
{
    (void)state;
    struct span to[] = { SPAN("a@example.org") };
    for (size_t n = 0; n < 300; n++) {
        char text[301];
        for (size_t i = 0; i < n; i++) text[i] = (char)('a' + i % 26);
        const char *body = strstr(written(SPAN("s"), span_from(text, n), 1, to), "\r\n\r\n") + 4;
        struct span joined = SPAN(""), back;
        for (const char *end; (end = strstr(body, "\r\n")); body = end + 2) joined = arena_printf(A, "%.*s%.*s", SPAN_ARGS(joined), (int)(end - body), body);
        assert_true(base64_decode(A, joined, &back));
        assert_true(span_is(back, span_from(text, n)));
        arena_reset(A);
    }
}

static void addresses_and_servers(void **state)
{
    (void)state;
    static const char *const good[] = { "a@b", "a.b+c@example.org", "O'Neil@x-y.z" };
    static const char *const bad[] = { "", "a", "@b", "a@", "a@b@c", "a b@c", "a@b c", "a@b\r\nRCPT TO:<x@y>", "<a@b>", "a@b>", "\"a\"@b", "a@b,c@d", "张@b", "a@例", "a\t@b" };
    for (size_t i = 0; i < LENGTH(good); i++) assert_true(mail_address_right(span_of(good[i])));
    for (size_t i = 0; i < LENGTH(bad); i++)
        if (mail_address_right(span_of(bad[i]))) fail_msg("taken: %s", bad[i]);
    struct span to[] = { SPAN("a@b\r\nx") }, fine[] = { SPAN("a@b") };
    assert_null(written(SPAN("s"), SPAN("t"), 1, to));
    assert_null(written(SPAN("s"), SPAN("t"), 0, NULL));
    assert_null(written(SPAN("\xff"), SPAN("t"), 1, fine));
    struct span list = SPAN(" a@b, c@d;e@f\n,"), one;
    size_t n = 0;
    while (mail_address_next(&list, &one)) assert_true(mail_address_right(one) && ++n <= 3);
    assert_int_equal(n, 3);
    static const char *const urls[] = { "smtp://localhost:25", "smtps://u:p%40x@mail.example.org:465", "smtp://[::1]:2525", "smtp://mail" };
    static const char *const wrong[] = { "", "smtp://", "http://x", "smtp://x/y", "smtp://x y", "smtp://u@", "smtp://:25", "mail.example.org:25", "smtp://x?y", "smtp://x\r\n" };
    for (size_t i = 0; i < LENGTH(urls); i++) assert_true(mail_url_right(span_of(urls[i])));
    for (size_t i = 0; i < LENGTH(wrong); i++)
        if (mail_url_right(span_of(wrong[i]))) fail_msg("taken: %s", wrong[i]);
    /* where a password goes in clear text: nowhere but here */
    static const char *const here[] = { "smtp://localhost", "smtp://LOCALHOST:25", "smtp://u:p@127.0.0.1:25", "smtp://127.1", "smtps://u:p%40x@[::1]:465", "smtp://a@b@[::1]" };
    static const char *const away[] = { "smtp://u:p@localhost.example.org:25", "smtp://u:p@127.example.org", "smtp://127.0.0.1@example.org", "smtp://u:p@[::1].example.org", "smtp://[::11]", "smtp://128.0.0.1", "smtp://", "smtp://x" };
    for (size_t i = 0; i < LENGTH(here); i++) assert_true(mail_url_is_here(span_of(here[i])));
    for (size_t i = 0; i < LENGTH(away); i++)
        if (mail_url_is_here(span_of(away[i]))) fail_msg("no machine of ours: %s", away[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_mail_as_it_is_sent), cmocka_unit_test(nothing_breaks_out), cmocka_unit_test(long_texts_come_through), cmocka_unit_test(addresses_and_servers) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
