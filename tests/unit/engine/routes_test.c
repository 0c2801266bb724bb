/* engine/routes: the language of a row's `http`. What is malformed is a bug and ends the process, so each such text runs in a child. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/routes.h"
#include "wire/http1.h"

static void routes_come_one_by_one(void **state)
{
    (void)state;
    const char *text = "POST /matching/emotion/?, GET|DELETE /api/diary/me, ANY /y, GET /absence/{id}/, PATCH /";
    static const struct { unsigned methods; const char *pattern; } expected[] = {
        { 1u << HTTP_POST, "/matching/emotion/?" }, { 1u << HTTP_GET | 1u << HTTP_DELETE, "/api/diary/me" }, { (1u << HTTP_METHODS) - 1, "/y" },
        { 1u << HTTP_GET, "/absence/{id}/" }, { 1u << HTTP_PATCH, "/" },
    };
    unsigned methods = 0;
    char pattern[ROUTE_PATTERN_BYTES];
    for (size_t i = 0; i < LENGTH(expected); i++) {
        assert_true(route_next(&text, &methods, pattern));
        assert_int_equal(methods, expected[i].methods);
        assert_string_equal(pattern, expected[i].pattern);
    }
    assert_false(route_next(&text, &methods, pattern));
    const char *none = NULL;
    assert_false(route_next(&none, &methods, pattern));
}

static void the_longest_pattern_fits(void **state)
{
    (void)state;
    char row[256] = "GET /";
    memset(row + 5, 'x', 126);
    const char *text = row;
    unsigned methods = 0;
    char pattern[ROUTE_PATTERN_BYTES];
    assert_true(route_next(&text, &methods, pattern));
    assert_int_equal(strlen(pattern), ROUTE_PATTERN_BYTES - 1);
}

static void the_slash_may_be_optional(void **state)
{
    (void)state;
    size_t n = 0;
    assert_true(route_slash_optional("/a/b/?", &n));
    assert_int_equal(n, 4);
    assert_true(route_slash_optional("/?", &n));
    assert_int_equal(n, 1);
    assert_false(route_slash_optional("/a/", &n));
    assert_int_equal(n, 3);
}

static void parameters_come_in_order(void **state)
{
    (void)state;
    const char *at = "/rooms/{room}/of/{who}/?";
    struct span name;
    assert_true(route_parameter_next(&at, &name));
    assert_true(span_is_z(name, "room"));
    assert_true(route_parameter_next(&at, &name));
    assert_true(span_is_z(name, "who"));
    assert_false(route_parameter_next(&at, &name));
}

/* Walks the whole text in a child; true if must() stopped it. */
static bool aborts(const char *text)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);                            /* cmocka catches it */
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        int quiet = open("/dev/null", O_WRONLY);
        if (quiet >= 0) dup2(quiet, STDERR_FILENO);
        unsigned methods = 0;
        char pattern[ROUTE_PATTERN_BYTES];
        while (route_next(&text, &methods, pattern)) { }
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void malformed_rows_are_bugs(void **state)
{
    (void)state;
    char longest[256] = "GET /";
    memset(longest + 5, 'x', 127);
    const char *bad[] = {
        "GET", "GET ", "/x", "get /x", "FETCH /x", "GET|GET /x", "ANY|POST /x", "|GET /x", "GET| /x", "GET  /x", "GET x", "GET //", "GET /a//b", "GET /a/?/b", "GET /a?",
        "GET /{}", "GET /{a}b", "GET /a{b}", "GET /{a", "GET /a b", "GET /a, ", "GET /a,POST /b", "GET /a,", "GET /%41", longest,
    };
    for (size_t i = 0; i < LENGTH(bad); i++)
        if (!aborts(bad[i])) fail_msg("taken: %s", bad[i]);
    assert_false(aborts("GET /a, POST /a/{b}/?"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_come_one_by_one), cmocka_unit_test(the_longest_pattern_fits), cmocka_unit_test(the_slash_may_be_optional),
        cmocka_unit_test(parameters_come_in_order), cmocka_unit_test(malformed_rows_are_bugs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
