/* Kinds of rehearsal, sections, days and the other words of the absence app. */
#include "apps/absence/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void kinds_and_their_costs(void **state)
{
    (void)state;
    static const struct { const char *text, *name; int64_t cost; } cases[] = {
        { "全体排练", "全体排练", 1 }, { "弦乐分排", "弦乐分排", 1 }, { "管乐分排", "管乐分排", 1 }, { "弦乐重奏", "弦乐重奏", 1 }, { "管乐重奏", "管乐重奏", 1 },
        { "全体排练+弦乐分排", "全体排练+弦乐分排", 2 }, { "全体排练+管乐分排", "全体排练+管乐分排", 2 }, { "全体排练 弦乐分排", "全体排练+弦乐分排", 2 }, { "全体排练 管乐分排", "全体排练+管乐分排", 2 } };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const struct kind *k = leave_kind(span_of(cases[i].text));
        assert_non_null(k);
        assert_string_equal(k->name, cases[i].name);
        assert_int_equal(k->cost, cases[i].cost);
    }
    static const char *const none[] = { "", "A", "全体", "全体排练 ", " 全体排练", "全体排练  弦乐分排", "全体排练+", "弦乐分排+全体排练", "全体排练-弦乐分排", "全体 排练" };
    for (size_t i = 0; i < LENGTH(none); i++)
        if (leave_kind(span_of(none[i]))) fail_msg("taken: %s", none[i]);
}

static void days_are_real(void **state)
{
    (void)state;
    static const char *const good[][2] = { { "2018-01-22", "2018-01-22" }, { "2020-3-12", "2020-03-12" }, { "2020-02-29", "2020-02-29" }, { " 2020-12-31 ", "2020-12-31" }, { "0001-01-01", "0001-01-01" }, { "9999-12-31", "9999-12-31" } };
    static const char *const bad[] = { "", "2018", "2018-01", "2018-02-29", "2019-13-01", "2019-00-01", "2019-01-00", "2019-04-31", "20190101", "2019/01/01", "19-01-01", "2019-01-01x", "2019-01-01 10:00", "2019-1-1-1", "-019-01-01",
                                       "tomorrow", "2019-001-1", "10000-01-01", "0000-01-01", "２０１９-01-01" };
    char day[DAY_BYTES];
    for (size_t i = 0; i < LENGTH(good); i++) {
        assert_true(day_parse(span_of(good[i][0]), day));
        assert_string_equal(day, good[i][1]);
    }
    for (size_t i = 0; i < LENGTH(bad); i++)
        if (day_parse(span_of(bad[i]), day)) fail_msg("taken: %s", bad[i]);
}

static void days_are_the_zones(void **state)
{
    (void)state;
    char day[DAY_BYTES];
    struct buf err;
    buf_init(&err, 1000);
    struct zone *shanghai = zone_open("Asia/Shanghai", &err), *berlin = zone_open("Europe/Berlin", &err);
    assert_non_null(shanghai);
    assert_non_null(berlin);
    int64_t before = 1579795199000, midnight = 1579795200000;      /* 2020-01-23 15:59:59 and 16:00:00 UTC */
    day_of(shanghai, before, 0, day);
    assert_string_equal(day, "2020-01-23");
    day_of(shanghai, midnight, 0, day);
    assert_string_equal(day, "2020-01-24");
    day_of(shanghai, before, 1, day);
    assert_string_equal(day, "2020-01-24");
    day_of(shanghai, before, 39, day);
    assert_string_equal(day, "2020-03-02");                        /* over the leap day */
    day_of(berlin, midnight, 0, day);
    assert_string_equal(day, "2020-01-23");
    day_of(berlin, 1585436400000, 1, day);                         /* the night in which the clocks go forward */
    assert_string_equal(day, "2020-03-30");
    zone_free(&shanghai);
    zone_free(&berlin);
    buf_done(&err);
}

static void sections_times_truths(void **state)
{
    (void)state;
    enum section s;
    bool truth;
    char time[6];
    static const struct { const char *text; enum section section; } sections[] = { { "string", SECTION_STRING }, { "S", SECTION_STRING }, { "s", SECTION_STRING }, { "弦乐", SECTION_STRING }, { "Wind", SECTION_WIND }, { "W", SECTION_WIND },
        { "管乐", SECTION_WIND }, { "percussion", SECTION_PERCUSSION }, { "P", SECTION_PERCUSSION }, { "打击乐", SECTION_PERCUSSION } };
    for (size_t i = 0; i < LENGTH(sections); i++) {
        assert_true(section_parse(span_of(sections[i].text), &s));
        assert_int_equal(s, sections[i].section);
    }
    assert_false(section_parse(SPAN(""), &s));
    assert_false(section_parse(SPAN("brass"), &s));
    assert_true(truth_parse(SPAN("True"), &truth) && truth);
    assert_true(truth_parse(SPAN("1"), &truth) && truth);
    assert_true(truth_parse(SPAN(" no "), &truth) && !truth);
    assert_true(truth_parse(SPAN("0"), &truth) && !truth);
    assert_false(truth_parse(SPAN("2"), &truth));
    assert_false(truth_parse(SPAN(""), &truth));
    assert_true(time_parse(SPAN("9:05"), time));
    assert_string_equal(time, "09:05");
    assert_true(time_parse(SPAN("23:59"), time));
    static const char *const bad[] = { "", "24:00", "12:60", "12", "12:5", "123:00", "-1:00", "12:-5", "1a:00", "12:00:00" };
    for (size_t i = 0; i < LENGTH(bad); i++)
        if (time_parse(span_of(bad[i]), time)) fail_msg("taken: %s", bad[i]);
}

static void texts_are_trimmed_and_names_judged(void **state)
{
    (void)state;
    assert_true(span_is_z(text_trim(SPAN(" \t\r\n\v\f\xe3\x80\x80" "a b\xe3\x80\x80 \n")), "a b"));
    assert_int_equal(text_trim(SPAN("\xe3\x80\x80 ")).n, 0);
    assert_int_equal(text_trim(SPAN("")).n, 0);
    static const char *const good[] = { "David", "赵乘风", "一二三四五六七八九十一二三四五六七八九十", "O'Neil", "Anna-Lena B" };
    static const char *const bad[] = { "", " David", "David\xe3\x80\x80", "一二三四五六七八九十一二三四五六七八九十一", "a\nb", "a\x7f", "=1+1", "+a", "-a", "@a", "'a", "\xff", "a\xc2\x9b[2J", "刘指挥\xe2\x80\x8b", "\xe2\x80\xae" "ab", "\xef\xbb\xbf" "a", "a\xe2\x81\xa6", "a\xd8\x9c" };
    for (size_t i = 0; i < LENGTH(good); i++)
        if (name_fault(span_of(good[i]))) fail_msg("refused: %s: %s", good[i], name_fault(span_of(good[i])));
    for (size_t i = 0; i < LENGTH(bad); i++)
        if (!name_fault(span_of(bad[i]))) fail_msg("taken: %s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(kinds_and_their_costs), cmocka_unit_test(days_are_real), cmocka_unit_test(days_are_the_zones), cmocka_unit_test(sections_times_truths),
        cmocka_unit_test(texts_are_trimmed_and_names_judged) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
