/* base: spans, UTF-8, arena, buf, base64 and the calendar; zones are compared with the C library's over two centuries. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"

static void numbers_are_whole_and_in_range(void **state)
{
    (void)state;
    static const struct { const char *text; bool good; int64_t value; } rows[] = {
        { "0", true, 0 }, { "-1", true, -1 }, { "9223372036854775807", true, INT64_MAX }, { "-9223372036854775808", true, INT64_MIN },
        { "9223372036854775808", false, 0 }, { "-9223372036854775809", false, 0 }, { "", false, 0 }, { "-", false, 0 }, { "+1", false, 0 },
        { " 1", false, 0 }, { "1 ", false, 0 }, { "0x1", false, 0 }, { "007", true, 7 },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        int64_t v = 0;
        assert_int_equal(span_to_i64(span_of(rows[i].text), &v), rows[i].good);
        if (rows[i].good) assert_int_equal(v, rows[i].value);
    }
}

static void utf8_is_strict(void **state)
{
    (void)state;
    static const struct { const char *bytes; bool valid; } rows[] = {
        { "", true }, { "abcdefgh\xe4\xb8\xad", true }, { "\xc0\x80", false }, { "\xed\xa0\x80", false }, { "\xf4\x90\x80\x80", false },
        { "\xf0\x9f\x98\x80", true }, { "\xe4\xb8", false }, { "\x80", false }, { "\xf0\x80\x80\x80", false }, { "\xc3\xa9", true }, { "1234567\xff", false },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) assert_int_equal(utf8_valid(span_of(rows[i].bytes)), rows[i].valid);
    assert_int_equal(utf8_count(SPAN("a\xe4\xb8\xad\xf0\x9f\x98\x80")), 3);
    assert_int_equal(utf8_head(SPAN("a\xe4\xb8\xad\xf0\x9f\x98\x80"), 2).n, 4);
    for (uint32_t c = 1; c < 0x110000; c += 37) {
        if (c >= 0xd800 && c < 0xe000) continue;
        char text[4];
        size_t n = utf8_put(text, c);
        const char *p = text;
        assert_int_equal(utf8_next(&p, text + n), c);
        assert_ptr_equal(p, text + n);
    }
}

static int deferred_calls;
static void count_deferred(void *arg) { deferred_calls += *(int *)arg; }

static void arena_gives_back_and_escapes(void **state)
{
    (void)state;
    struct arena *a = arena_new(64 * 1024);
    static int one = 1, ten = 10;
    arena_defer(a, count_deferred, &ten);
    struct arena_mark mark = arena_mark(a);
    char *p = arena_take(a, 100);
    memset(p, 1, 100);
    assert_int_equal((uintptr_t)p % 16, 0);
    arena_defer(a, count_deferred, &one);
    for (int i = 0; i < 20; i++) memset(arena_take(a, 1000), 2, 1000);
    arena_rewind(a, mark);
    assert_int_equal(deferred_calls, 1);
    assert_null(arena_take(a, 1 << 20));                       /* not armed: NULL */
    jmp_buf escape;
    int why = setjmp(escape);
    if (why == 0) {
        arena_arm(a, &escape);
        arena_take(a, 1 << 20);
        fail();
    }
    assert_int_equal(why, ARENA_ESCAPE_LIMIT);
    arena_free(&a);
    assert_int_equal(deferred_calls, 11);
    assert_null(a);
}

static void buf_keeps_its_maximum(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    for (int i = 0; i < 100; i++) buf_add_z(&b, "0123456789");
    assert_int_equal(b.n, 1000);
    assert_false(b.failed);
    buf_add_z(&b, "x");
    assert_true(b.failed);
    assert_int_equal(b.n, 1000);
    buf_done(&b);
    buf_printf(&b, "%d-%s", 7, "x");
    buf_consume(&b, 2);
    assert_true(span_is_z(buf_span(&b), "x"));
    buf_done(&b);
}

static void base64_is_canonical(void **state)
{
    (void)state;
    struct arena *a = arena_new(1 << 20);
    for (size_t n = 0; n < 70; n++) {
        char bytes[70];
        random_bytes(bytes, n);
        struct span back;
        assert_true(base64url_decode(a, base64url_encode(a, span_from(bytes, n)), &back));
        assert_true(span_is(back, span_from(bytes, n)));
        assert_true(base64_decode(a, base64_encode(a, span_from(bytes, n)), &back));
        assert_true(span_is(back, span_from(bytes, n)));
    }
    struct span out;
    assert_true(base64url_decode(a, SPAN("AA"), &out));
    assert_false(base64url_decode(a, SPAN("AB"), &out));       /* stray bits */
    assert_false(base64url_decode(a, SPAN("A"), &out));
    assert_false(base64url_decode(a, SPAN("AA=="), &out));
    assert_false(base64url_decode(a, SPAN("A A"), &out));
    arena_free(&a);
}

static void zones_agree_with_the_c_library(void **state)
{
    (void)state;
    static const char *const names[] = { "Asia/Shanghai", "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu" };
    for (size_t i = 0; i < LENGTH(names); i++) {
        struct zone *z = zone_open(names[i], NULL);
        assert_non_null(z);
        setenv("TZ", names[i], 1);                              /* the test may; Weir never does */
        tzset();
        for (int64_t t = -2000000000; t < 4100000000; t += 1234567) {
            time_t c_time = (time_t)t;
            struct tm tm;
            localtime_r(&c_time, &tm);
            struct civil c = zone_civil(z, t * 1000);
            assert_int_equal(c.year, tm.tm_year + 1900);
            assert_int_equal(c.month, tm.tm_mon + 1);
            assert_int_equal(c.day, tm.tm_mday);
            assert_int_equal(c.hour, tm.tm_hour);
            assert_int_equal(c.minute, tm.tm_min);
            assert_int_equal(c.weekday, tm.tm_wday);
            int64_t back = zone_utc_ms(z, c);
            struct civil again = zone_civil(z, back);           /* an overlap has two answers; both show the same clock */
            assert_int_equal(again.hour * 60 + again.minute, c.hour * 60 + c.minute);
        }
        zone_free(&z);
    }
    assert_null(zone_open("Asia/Nowhere", NULL));
    assert_null(zone_open("../../etc/passwd", NULL));
    struct zone *z = zone_open("Asia/Shanghai", NULL);
    char text[20];
    zone_format(z, 1524977201000, text);
    assert_string_equal(text, "2018-04-29 12:46:41");
    assert_int_equal(zone_day_start_ms(z, 1524977201000), 1524931200000);
    zone_free(&z);
}

static void dates_are_real(void **state)
{
    (void)state;
    struct civil c;
    assert_true(civil_parse_date(SPAN("2020-3-12"), &c));
    assert_int_equal(c.day, 12);
    assert_true(civil_parse_date(SPAN("2020-02-29"), &c));
    static const char *const bad[] = { "2021-02-29", "2020-13-01", "2020-00-10", "2020-04-31", "20-4-3", "2020-4", "2020-4-", "2020-4-3x", "", "2020-004-03", "2020--4-3" };
    for (size_t i = 0; i < LENGTH(bad); i++) assert_false(civil_parse_date(span_of(bad[i]), &c));
    char date[30];
    clock_http_date(784111777000, date);
    assert_string_equal(date, "Sun, 06 Nov 1994 08:49:37 GMT");
    int64_t ms;
    assert_true(clock_parse_http_date(span_of(date), &ms));
    assert_int_equal(ms, 784111777000);
    assert_false(clock_parse_http_date(SPAN("Sun, 06 Xov 1994 08:49:37 GMT"), &ms));
    static const char *const others[] = { "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994" };
    for (size_t i = 0; i < LENGTH(others); i++) {
        ms = 0;
        assert_true(clock_parse_http_date(span_of(others[i]), &ms));
        assert_int_equal(ms, 784111777000);
    }
    assert_false(clock_parse_http_date(SPAN("Sunday, 06-Nov-94 08:49:37 GMT x"), &ms));
    assert_false(clock_parse_http_date(SPAN("Sun Nov  6 08:49:37 94"), &ms));
    assert_false(clock_parse_http_date(SPAN("Sun, 06 Nov 1994 -8:49:37 GMT"), &ms));
}

static void the_wall_clock_can_be_moved_and_held(void **state)
{
    (void)state;
    const int64_t there = 1773158399999;                        /* a millisecond before midnight in Shanghai */
    clock_debug_hold(there);
    int64_t begun = clock_mono_ms();
    while (clock_mono_ms() < begun + 3) assert_int_equal(clock_now_ms(), there);
    clock_debug_set(there);
    while (clock_mono_ms() < begun + 8) continue;
    assert_in_range(clock_now_ms(), there + 1, there + 60000);  /* it goes on from there */
    clock_debug_hold(there);
    clock_debug_set(0);
    assert_true(clock_now_ms() > there);                        /* the real time again */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_whole_and_in_range), cmocka_unit_test(utf8_is_strict), cmocka_unit_test(arena_gives_back_and_escapes),
        cmocka_unit_test(buf_keeps_its_maximum), cmocka_unit_test(base64_is_canonical), cmocka_unit_test(zones_agree_with_the_c_library),
        cmocka_unit_test(dates_are_real), cmocka_unit_test(the_wall_clock_can_be_moved_and_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
