/* Tables as text: as spreadsheets of three kinds of computers write them, with what is wrong told by its line; and cells that are no formulas when they come back. */
#include "wire/csv.h"

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

/* Rows as "LINE:a|b;LINE:c|d;", or "LINE! why" */
static const char *shown(struct span text)
{
    struct csv csv;
    int line;
    const char *why;
    struct span out = SPAN("");
    if (!csv_read(A, text, &csv, &line, &why)) return arena_printf(A, "%d! %s", line, why).p;
    for (size_t i = 0; i < csv.n; i++) {
        out = arena_printf(A, "%.*s%d:", SPAN_ARGS(out), csv.at[i].line);
        for (size_t k = 0; k < csv.at[i].n; k++) out = arena_printf(A, "%.*s%s%.*s", SPAN_ARGS(out), k ? "|" : "", SPAN_ARGS(csv.at[i].at[k]));
        out = arena_printf(A, "%.*s;", SPAN_ARGS(out));
    }
    return arena_z(A, out);
}

static void reads_what_spreadsheets_write(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "", "" }, { "\r\n\n\r", "" }, { "a,b", "1:a|b;" }, { "a,b\n", "1:a|b;" }, { "a\r\nb\r\n", "1:a;2:b;" }, { "a\rb\r", "1:a;2:b;" }, { CSV_BOM "名,部\n赵乘风,弦乐\n", "1:名|部;2:赵乘风|弦乐;" },
        { ",", "1:|;" }, { "a,\n,b", "1:a|;2:|b;" }, { "\"a,b\",c", "1:a,b|c;" }, { "\"a\"\"b\"", "1:a\"b;" }, { "\"\"", "1:;" }, { "\"\"\"\"", "1:\";" }, { "\"a\r\nb\"\nc", "1:a\r\nb;3:c;" },
        { "a\n\n\nb", "1:a;4:b;" }, { " a , b ", "1: a | b ;" }, { "\"\"\"\"\"\",x", "1:\"\"|x;" },
    };
    for (size_t i = 0; i < LENGTH(cases); i++) assert_string_equal(shown(span_of(cases[i][0])), cases[i][1]);
}

static void tells_what_is_wrong_and_where(void **state)
{
    (void)state;
    assert_string_equal(shown(SPAN("a\nb\"c\n")), "2! a quote stands within a field that does not begin with one");
    assert_string_equal(shown(SPAN("a\n\"b\"c\n")), "2! there is something behind a closing quote");
    assert_string_equal(shown(SPAN("a\n\n\"b")), "3! a quote is opened and never closed");
    assert_string_equal(shown(SPAN("a\n\"b\nc\n")), "2! a quote is opened and never closed");
    assert_string_equal(shown(SPAN("a\r\n\xef\xbf\xbd,\r\n\xd5\xd4")), "3! it is not UTF-8: save it as \"CSV UTF-8\"");
    assert_string_equal(shown(SPAN("a\rx\0b")), "2! there is a NUL byte: is it a text file?");
    char wide[CSV_FIELDS + 1];
    memset(wide, ',', CSV_FIELDS);
    assert_string_equal(shown(span_from(wide, CSV_FIELDS)), "1! too many fields");
    assert_int_equal(strncmp(shown(span_from(wide, CSV_FIELDS - 1)), "1:|", 3), 0);
    static char tall[2 * CSV_ROWS + 2];
    for (size_t i = 0; i < sizeof tall; i++) tall[i] = i % 2 ? '\n' : 'x';
    assert_string_equal(shown(span_from(tall, sizeof tall)), "20001! too many lines");
}

static const char *written(size_t n, const struct span *fields)
{
    struct buf b;
    buf_init(&b, 4096);
    csv_write(&b, fields, n);
    const char *z = arena_z(A, buf_span(&b));
    buf_done(&b);
    return z;
}

static void writes_what_it_reads_and_no_formulas(void **state)
{
    (void)state;
    assert_string_equal(written(3, (struct span[]){ SPAN("赵乘风"), SPAN("a,b"), SPAN("say \"hi\"\n") }), "赵乘风,\"a,b\",\"say \"\"hi\"\"\n\"\r\n");
    assert_string_equal(written(2, (struct span[]){ SPAN(""), SPAN("1-2") }), ",1-2\r\n");
    static const char *const formulas[] = { "=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx" };
    for (size_t i = 0; i < LENGTH(formulas); i++) assert_string_equal(written(1, (struct span[]){ span_of(formulas[i]) }), arena_printf(A, "\"'%s\"\r\n", formulas[i]).p);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(reads_what_spreadsheets_write), cmocka_unit_test(tells_what_is_wrong_and_where), cmocka_unit_test(writes_what_it_reads_and_no_formulas) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
