/* tests/unit/wire/form_test.c: forms, queries, cookies and URL encoding. Inputs lie in blocks of their exact size, so that the address sanitizer sees every
 * read behind them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "wire/form.h"

#define LIT(text) { "" text, sizeof(text) - 1 }

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(8 << 20);
    return arena ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static char *exact(struct span s)
{
    char *p = malloc(s.n ? s.n : 1);
    assert_non_null(p);
    memcpy(p, s.p, s.n);
    return p;
}

/* "[name=value][name=value]" */
static struct span show(const struct pairs *pairs)
{
    struct span s = SPAN("");
    for (size_t i = 0; i < pairs->n; i++)
        s = arena_printf(arena, "%.*s[%.*s=%.*s]", SPAN_ARGS(s), SPAN_ARGS(pairs->at[i].name), SPAN_ARGS(pairs->at[i].value));
    return s;
}

static void test_form(void **state)
{
    static const struct { struct span in; const char *want; } cases[] = {       /* "!why": refused */
        { LIT(""), "" },
        { LIT("a=b"), "[a=b]" },
        { LIT("a=b&c=d"), "[a=b][c=d]" },
        { LIT("a=1&a=2&b=&a=3"), "[a=1][a=2][b=][a=3]" },
        { LIT("a"), "[a=]" },
        { LIT("a&b"), "[a=][b=]" },
        { LIT("a="), "[a=]" },
        { LIT("=a"), "[=a]" },
        { LIT("="), "[=]" },
        { LIT("a=b=c"), "[a=b=c]" },
        { LIT("&"), "" },
        { LIT("&&a=b&&c=d&"), "[a=b][c=d]" },
        { LIT("a=b;c=d"), "[a=b;c=d]" },
        { LIT("a+b=c+d"), "[a b=c d]" },
        { LIT("a=%2B%26%3D%25"), "[a=+&=%]" },
        { LIT("%61%3d=x"), "[a==x]" },
        { LIT("t=%e5%85%a8%E4%BD%93+x"), "[t=全体 x]" },
        { LIT("t=全体排练 弦乐分排"), "[t=全体排练 弦乐分排]" },
        { LIT("t=%0d%0a%09"), "[t=\r\n\t]" },
        { LIT("t=%EF%BF%BD"), "[t=\xef\xbf\xbd]" },
        { LIT("a=%"), "!malformed percent escape" },
        { LIT("a=%4"), "!malformed percent escape" },
        { LIT("a=%4&1"), "!malformed percent escape" },
        { LIT("a=%zz"), "!malformed percent escape" },
        { LIT("%=a"), "!malformed percent escape" },
        { LIT("a=100%"), "!malformed percent escape" },
        { LIT("a=%u4f60"), "!malformed percent escape" },
        { LIT("ok=1&a=%+1"), "!malformed percent escape" },
        { LIT("a=%00"), "!NUL in a parameter" },
        { LIT("a=b\0c"), "!NUL in a parameter" },
        { LIT("%00=b"), "!NUL in a parameter" },
        { LIT("a=%ff"), "!a parameter is not UTF-8" },
        { LIT("a=\xe4\xbd"), "!a parameter is not UTF-8" },
        { LIT("\xff=a"), "!a parameter is not UTF-8" },
        { LIT("a=%e4%bd&b=%a0"), "!a parameter is not UTF-8" },
        { LIT("a=%C0%80"), "!a parameter is not UTF-8" },
        { LIT("a=%ed%a0%bd%ed%b8%80"), "!a parameter is not UTF-8" },
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct span in = { exact(cases[i].in), cases[i].in.n };
        struct pairs pairs;
        const char *why;
        bool ok = form_parse(arena, in, &pairs, &why);
        free((char *)in.p);                                /* what was parsed does not point there */
        if (cases[i].want[0] == '!') {
            assert_false(ok);
            assert_string_equal(why, cases[i].want + 1);
            assert_int_equal(pairs.n, 0);
        } else {
            assert_true(ok);
            assert_null(why);
            assert_string_equal(show(&pairs).p, cases[i].want);
        }
    }
    struct pairs pairs;
    const char *why;
    assert_true(form_parse(arena, (struct span){ NULL, 0 }, &pairs, &why));
    assert_int_equal(pairs.n, 0);
}

static void test_form_limit(void **state)
{
    char text[4 * LIMIT_PARAMETERS + 8];
    struct pairs pairs;
    const char *why;
    (void)state;
    for (size_t i = 0; i <= LIMIT_PARAMETERS; i++) memcpy(text + 4 * i, "a=b&", 4);
    assert_true(form_parse(arena, span_from(text, 4 * LIMIT_PARAMETERS), &pairs, &why));
    assert_int_equal(pairs.n, LIMIT_PARAMETERS);
    assert_false(form_parse(arena, span_from(text, 4 * LIMIT_PARAMETERS + 4), &pairs, &why));
    assert_string_equal(why, "too many parameters");

    static char body[LIMIT_BODY_BYTES];                    /* a million empty pieces are none, and quick */
    memset(body, '&', sizeof body);
    assert_true(form_parse(arena, span_from(body, sizeof body), &pairs, &why));
    assert_int_equal(pairs.n, 0);
    memset(body, 'a', sizeof body);
    assert_true(form_parse(arena, span_from(body, sizeof body), &pairs, &why));
    assert_int_equal(pairs.n, 1);
    assert_int_equal(pairs.at[0].name.n, sizeof body);
}

static void test_get(void **state)
{
    struct pairs pairs;
    const char *why;
    (void)state;
    assert_true(form_parse(arena, SPAN("a=1&b=&a=2"), &pairs, &why));
    assert_true(span_is_z(pairs_get(&pairs, SPAN("a")), "1"));
    assert_non_null(pairs_get(&pairs, SPAN("b")).p);       /* there, but empty */
    assert_int_equal(pairs_get(&pairs, SPAN("b")).n, 0);
    assert_null(pairs_get(&pairs, SPAN("A")).p);
    assert_null(pairs_get(&pairs, SPAN("")).p);
}

static void test_cookies(void **state)
{
    static const struct { struct span in; const char *want; } cases[] = {
        { LIT(""), "" },
        { LIT("a=b"), "[a=b]" },
        { LIT("a=b; c=d"), "[a=b][c=d]" },
        { LIT("a=b;c=d"), "[a=b][c=d]" },
        { LIT("  a=b ;\tc=d  ;"), "[a=b][c=d]" },
        { LIT("a=1; a=2"), "[a=1][a=2]" },
        { LIT("a="), "[a=]" },
        { LIT("a=b=c=="), "[a=b=c==]" },
        { LIT("a=\"b\""), "[a=b]" },
        { LIT("a=\"\""), "[a=]" },
        { LIT("a=%20+"), "[a=%20+]" },
        { LIT("nothing; a=b"), "[a=b]" },
        { LIT("=x; a=b"), "[a=b]" },
        { LIT(";;; a=b;;"), "[a=b]" },
        { LIT("x y=z; a=b"), "[a=b]" },
        { LIT("x=y z; a=b"), "[a=b]" },
        { LIT("x=\"y; a=b"), "[a=b]" },
        { LIT("x=y\"; a=b"), "[a=b]" },
        { LIT("x=\"; a=b"), "[a=b]" },
        { LIT("x=a\\b; a=b"), "[a=b]" },
        { LIT("x=1,2; a=b"), "[a=b]" },
        { LIT("x=\xe4\xbd\xa0; a=b"), "[a=b]" },
        { LIT("\xe4=1; a=b"), "[a=b]" },
        { LIT("x=\0; a=b"), "[a=b]" },
        { LIT("x=a\tb; a=b"), "[a=b]" },
        { LIT("(x)=1; a=b"), "[a=b]" },
    };
    (void)state;
    struct pairs pairs;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct span in = { exact(cases[i].in), cases[i].in.n };
        cookies_parse(arena, in, &pairs);
        free((char *)in.p);
        assert_string_equal(show(&pairs).p, cases[i].want);
    }
    char many[5 * (LIMIT_COOKIES + 10)];
    for (size_t i = 0; i < LIMIT_COOKIES + 10; i++) memcpy(many + 5 * i, "a=b; ", 5);
    cookies_parse(arena, span_from(many, sizeof many), &pairs);
    assert_int_equal(pairs.n, LIMIT_COOKIES);
    cookies_parse(arena, (struct span){ NULL, 0 }, &pairs);
    assert_int_equal(pairs.n, 0);
}

static void test_encode(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 10000);
    url_encode(&b, SPAN("azAZ09-._~ +&=%/?#\"\x7f\n你"));
    assert_true(span_is_z(buf_span(&b), "azAZ09-._~%20%2B%26%3D%25%2F%3F%23%22%7F%0A%E4%BD%A0"));
    buf_done(&b);

    char all[256];                                         /* every byte comes back */
    for (int i = 0; i < 256; i++) all[i] = (char)i;
    for (int i = 1; i < 128; i++) {
        struct pairs pairs;
        const char *why;
        buf_init(&b, 100);
        buf_add_z(&b, "x=");
        url_encode(&b, span_from(all + i, 1));
        assert_true(form_parse(arena, buf_span(&b), &pairs, &why));
        assert_true(span_is(pairs.at[0].value, span_from(all + i, 1)));
        buf_done(&b);
    }
}

/* Without memory it says so instead of crashing. */
static void test_no_memory(void **state)
{
    struct pairs pairs;
    const char *why;
    (void)state;
    struct arena *small = arena_new(64);
    assert_non_null(small);
    assert_false(form_parse(small, SPAN("a=1&b=2&c=3&d=4"), &pairs, &why));
    assert_string_equal(why, "out of memory");
    cookies_parse(small, SPAN("a=b"), &pairs);
    assert_int_equal(pairs.n, 0);
    arena_free(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form), cmocka_unit_test(test_form_limit), cmocka_unit_test(test_get), cmocka_unit_test(test_cookies),
        cmocka_unit_test(test_encode), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
