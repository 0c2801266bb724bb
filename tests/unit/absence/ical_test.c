/* Lines of iCalendar: never more than 75 octets, never a cut character, nothing that a text could break out of; unfolded and unescaped they are what they were. */
#include "apps/absence/ical.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static char text[64 * 1024];

static const char *written(struct span value)
{
    struct buf b;
    buf_init(&b, sizeof text - 1);
    ical_text(&b, "SUMMARY", value);
    assert_false(b.failed);
    memcpy(text, b.p, b.n);
    text[b.n] = '\0';
    buf_done(&b);
    return text;
}

static void texts_are_escaped(void **state)
{
    (void)state;
    assert_string_equal(written(SPAN("a")), "SUMMARY:a\r\n");
    assert_string_equal(written(SPAN("")), "SUMMARY:\r\n");
    assert_string_equal(written(SPAN("a;b,c\\d:\"e\"")), "SUMMARY:a\\;b\\,c\\\\d:\"e\"\r\n");
    assert_string_equal(written(SPAN("a\nb\r\nc\rd\x01\x7f\te")), "SUMMARY:a\\nb\\nc\\nde\r\n");
    assert_string_equal(written(SPAN("x\r\nEND:VEVENT")), "SUMMARY:x\\nEND:VEVENT\r\n");
}

static void lines_are_folded_between_characters(void **state)
{
    (void)state;
    static const char *const units[] = { "a", "é", "弦", "😀", "a弦", "ab😀c" };
    for (size_t u = 0; u < LENGTH(units); u++)
        for (int times = 1; times < 120; times++) {
            char value[1000] = "", back[1000] = "";
            size_t n = 0, k = 0;
            for (int i = 0; i < times; i++) n += (size_t)snprintf(value + n, sizeof value - n, "%s", units[u]);
            const char *p = written(span_from(value, n));
            while (*p) {
                const char *end = strstr(p, "\r\n");
                assert_non_null(end);
                assert_true(end - p <= 75);
                assert_true(utf8_valid(span_from(p, (size_t)(end - p))));
                size_t from = k ? 1 : 0;
                if (k) assert_int_equal(p[0], ' ');
                memcpy(back + k, p + from, (size_t)(end - p) - from);
                k += (size_t)(end - p) - from;
                p = end + 2;
            }
            assert_int_equal(k, n + 8);
            assert_memory_equal(back, "SUMMARY:", 8);
            assert_memory_equal(back + 8, value, n);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(texts_are_escaped), cmocka_unit_test(lines_are_folded_between_characters) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
