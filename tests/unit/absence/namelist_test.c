/* The name list as a file: what is read, and that everything wrong is told at once, by its line, in the reader's language. */
#include "apps/absence/namelist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena *A;

static int setup(void **state)
{
    (void)state;
    A = arena_new(1u << 24);
    return A ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&A);
    return 0;
}

/* "David/string/no;…", or what is wrong */
static const char *shown(const char *text, bool chinese)
{
    struct listed *list;
    size_t n;
    struct buf faults;
    buf_init(&faults, 65536);
    bool good = namelist_read(A, span_of(text), chinese, &list, &n, &faults);
    struct span out = arena_copy(A, buf_span(&faults));
    buf_done(&faults);
    assert_int_equal(good, out.n == 0);
    for (size_t i = 0; good && i < n; i++) out = arena_printf(A, "%.*s%.*s/%s/%s;", SPAN_ARGS(out), SPAN_ARGS(list[i].name), section_names[list[i].section], list[i].manager ? "yes" : "no");
    return out.p ? out.p : "";
}

static void lists_of_all_kinds(void **state)
{
    (void)state;
    assert_string_equal(shown("name,section,manager\nDavid,string,no\nJohn,W,\n刘指挥,弦乐,yes\n", false), "David/string/no;John/wind/no;刘指挥/string/yes;");
    assert_string_equal(shown("\xef\xbb\xbf姓名,声部,管理\r\n\"赵,乘风\",打击乐,是\r\n\r\n", true), "赵,乘风/percussion/yes;");
    assert_string_equal(shown("Section , NAME\nP,Mary\n", false), "Mary/percussion/no;");
    assert_string_equal(shown("name,section,\n Mary , P ,\n", false), "Mary/percussion/no;");
    assert_string_equal(shown("name,section\n", false), "");
}

static void everything_wrong_is_told(void **state)
{
    (void)state;
    assert_string_equal(shown("", false), "line 1: the first line must be the header name,section,manager (or 姓名,声部,管理)");
    assert_string_equal(shown("\nDavid,string,no\n", false), "line 2: the first line must be the header name,section,manager (or 姓名,声部,管理)");
    assert_string_equal(shown("name,name,section\n", false), "line 1: the first line must be the header name,section,manager (or 姓名,声部,管理)");
    assert_string_equal(shown("name,section,manager\nDavid,brass,no\n,string,no\nMary,P,maybe\nMary,P\nJohn,W,no,x\n", false),
        "line 2: no such section: write string, wind or percussion (or 弦乐, 管乐, 打击乐, S, W, P) (\"brass\")\n"
        "line 3: there is no name\n"
        "line 4: manager is yes or no (\"maybe\")\n"
        "line 5: this name stands above already: remove one of the lines (\"Mary\")\n"
        "line 6: more fields than the header has: put what has a comma into quotes");
    assert_string_equal(shown("name,section\nDavid,铜管\n", true), "第 2 行：声部无效：请写 string、wind、percussion（或 弦乐、管乐、打击乐）（“铜管”）");
    assert_string_equal(shown("name,section\n\"David,S\n", true), "第 2 行：引号没有配对");
    assert_string_equal(shown("name,section\n\xd5\xd4,S\n", true), "第 2 行：不是 UTF-8 编码：请另存为“CSV UTF-8”");
    struct span many = SPAN("name,section\n");
    for (int i = 0; i < 50; i++) many = arena_printf(A, "%.*sa%d,x\n", SPAN_ARGS(many), i);
    const char *told = shown(many.p, false);
    assert_non_null(strstr(told, "line 21: "));
    assert_null(strstr(told, "line 22: "));
    assert_non_null(strstr(told, "\n… and more"));
}

static void sets_of_names(void **state)
{
    (void)state;
    struct names set;
    names_init(&set, A, 5000);
    for (int i = 0; i < 5000; i++) assert_true(names_add(&set, arena_int(A, i)));
    for (int i = 0; i < 5000; i++) assert_false(names_add(&set, arena_int(A, i)));
    for (int i = 0; i < 6000; i++) assert_int_equal(names_has(&set, arena_int(A, i)), i < 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(lists_of_all_kinds), cmocka_unit_test(everything_wrong_is_told), cmocka_unit_test(sets_of_names) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
