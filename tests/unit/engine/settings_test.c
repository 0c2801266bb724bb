/* engine/settings: what may be written where, what wins, and what an error says. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/nearest.h"
#include "engine/settings.h"

static const struct setting diary_rows[] = {
    { "diary", "access", "handle", "who may call", .choices = "open|handle|session" },
    { "diary", "salient", "0.15", "what counts", .kind = SETTING_DECIMAL, .max = 10000 },
    { "diary", "rooms", "", "named rooms" },
    { 0 },
};
static const struct app diary = { .name = "diary", .settings = diary_rows };
static const struct app plain = { .name = "plain" };
static const struct app *const apps[] = { &diary, &plain, NULL };

static struct settings *s;
static struct buf err, warnings;

static int begin(void **state)
{
    (void)state;
    buf_init(&err, 1 << 16);
    buf_init(&warnings, 1 << 16);
    s = settings_new(apps, engine_settings);
    return s ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    settings_free(&s);
    buf_done(&err);
    buf_done(&warnings);
    return s ? -1 : 0;
}

static bool says(const struct buf *b, const char *part) { return b->n && memmem(b->p, b->n, part, strlen(part)); }

static void assert_says(const struct buf *b, const char *part)
{
    if (!says(b, part)) fail_msg("\"%s\" is not in: %.*s", part, SPAN_ARGS(buf_span(b)));
}

static void assert_value(const char *section, const char *key, const char *expected)
{
    struct span v = settings_get(s, section, key);
    if (!span_is_z(v, expected)) fail_msg("%s.%s is \"%.*s\", not \"%s\"", section, key, SPAN_ARGS(v), expected);
}

static bool load(const char *text) { return settings_load_text(s, "weir.ini", span_of(text), &err); }

static void without_anything_the_fallbacks_hold(void **state)
{
    (void)state;
    assert_value("server", "listen", "127.0.0.1:8000");
    assert_value("server", "timezone", "Asia/Shanghai");
    assert_value("diary", "access", "handle");
    assert_value("wechat", "secret", "");
    assert_int_equal(settings_int(s, "server", "loops"), 0);
    assert_int_equal(settings_int(s, "debug", "routes"), 0);
    assert_int_equal(settings_int(s, "diary", "salient"), 1500);
    assert_false(settings_given(s, "server", "listen"));
    assert_true(settings_check(s, &err));
}

static void a_file_is_read(void **state)
{
    (void)state;
    assert_true(load("\xef\xbb\xbf; a comment\n# another\r\n\r\n[server]\nlisten = 0.0.0.0:80 ; why not\nloops=3\n[wechat]\r\n  api_url: https://api.example/x//\r\nappid = wx1\n"
                     "secret = a#b;c=d\n[debug]\nroutes = Yes\n[diary]\nsalient = .5\n") == false);        /* .5 is refused, the rest was taken */
    assert_says(&err, "weir.ini:14: diary.salient must be a number from 0 to 1");
    assert_value("server", "listen", "0.0.0.0:80");
    assert_int_equal(settings_int(s, "server", "loops"), 3);
}

static void indented_lines_continue(void **state)
{
    (void)state;
    bool loaded = load("[server]\norigins = https://a.example\n   https://b.example:8443 ; the other\n\n\thttp://[::1]:3000\n[server]\nrate = 5\n[wechat]\n   appid = first-of-its-section\n");
    if (!loaded) fail_msg("%.*s", SPAN_ARGS(buf_span(&err)));
    assert_value("server", "origins", "https://a.example https://b.example:8443 http://[::1]:3000");
    assert_value("wechat", "appid", "first-of-its-section");
    assert_int_equal(settings_int(s, "server", "rate"), 5);
}

static void every_mistake_names_its_line_and_a_remedy(void **state)
{
    (void)state;
    static const struct { const char *text, *error; } rows[] = {
        { "[server]\nlistn = x\n", "weir.ini:2: there is no setting server.listn; did you mean server.listen?" },
        { "[sever]\nlisten = x\n", "weir.ini:2: there is no setting sever.listen; did you mean server.listen?" },
        { "[server]\nsecret = x\n", "weir.ini:2: there is no setting server.secret" },
        { "[server]\nappid = x\n", "did you mean wechat.appid?" },
        { "[diary]\nzzzzzzzzzzzzzzzzzzzz = x\n", "lists those of [diary]" },
        { "[quite_another_thing]\nzzzzzzzzzzzzzzzzzzzz = x\n", "`weir serve --help` lists all" },
        { "listen = 127.0.0.1:1\n", "weir.ini:1: a key before any [section]" },
        { "[server]\nloops = 1\n\nloops = 2\n", "weir.ini:4: server.loops is given a second time (first in line 2)" },
        { "[server]\nloops = 1\n[server]\n loops = 2\n", "weir.ini:4: server.loops is given a second time" },
        { "[server]\nloops = many\n", "weir.ini:2: server.loops must be a whole number from 0 to 256, not \"many\"" },
        { "[server]\nloops = 257\n", "server.loops must be" },
        { "[server]\nloops =\n", "server.loops must be" },
        { "[server]\nlisten = 127.0.0.1\n", "server.listen must be ADDRESS:PORT" },
        { "[server]\nlisten = 127.0.0.1:65536\n", "server.listen must be" },
        { "[server]\nlisten = ::1:80\n", "server.listen must be" },
        { "[server]\nlisten = a b:80\n", "server.listen must be" },
        { "[server]\ndata = ~/weir\n", "\"~\" is not expanded" },
        { "[server]\npublic_url = weir.example\n", "server.public_url must be http://HOST" },
        { "[server]\npublic_url = https://user@weir.example\n", "server.public_url must be" },
        { "[server]\npublic_url = https://\n", "server.public_url must be" },
        { "[server]\npublic_url = https://a/?q\n", "server.public_url must be" },
        { "[server]\norigins = https://a.example/path\n", "server.origins must be" },
        { "[server]\ntrusted_proxies = 10.0.0.0/33\n", "server.trusted_proxies must be" },
        { "[server]\ntrusted_proxies = proxy\n", "server.trusted_proxies must be" },
        { "[server]\ntimezone = Asia/Nowhere\n", "server.timezone must be a time zone" },
        { "[diary]\naccess = Open\n", "diary.access must be one of open|handle|session, not \"Open\"" },
        { "[diary]\nsalient = 0.00001\n", "diary.salient must be a number from 0 to 1" },
        { "[diary]\nsalient = 1.0001\n", "diary.salient must be" },
        { "[debug]\nroutes = maybe\n", "debug.routes must be true or false" },
        { "[server]\nlisten\n", "weir.ini:2: not understood" },
        { "[server\nlisten = 127.0.0.1:1\n", "weir.ini:1: not understood" },
        { "[server]\ndata = \xff\n", "weir.ini:2: this line is not UTF-8" },
        { "[server]\nsecret_key = tooshort\n", "server.secret_key must be at least 32 bytes long\n" },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        end(NULL);
        begin(NULL);
        if (load(rows[i].text)) fail_msg("taken: %s", rows[i].text);
        assert_says(&err, rows[i].error);
        assert_int_equal(err.p[err.n - 1], '\n');
    }
    assert_false(says(&err, "tooshort"));                    /* the last row: a secret is never repeated */
}

static void long_lines_and_nul_are_refused(void **state)
{
    (void)state;
    char text[512] = "[diary]\nrooms = ";
    size_t n = strlen(text);
    memset(text + n, 'x', 182);
    text[n + 182] = '\0';
    assert_true(load(text));                                 /* 190 bytes */
    assert_int_equal(settings_get(s, "diary", "rooms").n, 182);
    memset(text + n, 'x', 183);
    text[n + 183] = '\0';
    assert_false(load(text));
    assert_says(&err, "weir.ini:2: this line is longer than 190 bytes");
    assert_false(settings_load_text(s, "nul", span_from("[diary]\nrooms = a\0b\n", 20), &err));
    assert_says(&err, "nul:2: this line is not UTF-8");
}

static void later_sources_win_in_any_order(void **state)
{
    (void)state;
    assert_true(settings_set(s, "server", "listen", SPAN("127.0.0.1:3"), &err));
    char *environment[] = { (char[]){ "PATH=/bin" }, (char[]){ "WEIR_SERVER_LISTEN=127.0.0.1:2" }, (char[]){ "WEIR_SERVER_TLS_CERT=/c" }, (char[]){ "WEIR_SERVER_TLS_KEY=/k" }, (char[]){ "WEIR_FAULT=alloc:1" }, (char[]){ "WEIR_TEST_PROGRAM=x" }, NULL };
    assert_true(settings_load_env(s, environment, &err, &warnings));
    assert_int_equal(warnings.n, 0);
    assert_true(load("[server]\nlisten = 127.0.0.1:1\ntls_cert = /other\nloops = 2\n"));
    settings_default(s, "server", "loops", "1");
    settings_default(s, "diary", "access", "open");
    assert_value("server", "listen", "127.0.0.1:3");
    assert_value("server", "tls_cert", "/c");
    assert_value("server", "tls_key", "/k");
    assert_value("diary", "access", "open");
    assert_int_equal(settings_int(s, "server", "loops"), 2);
    assert_true(settings_given(s, "server", "loops"));
    assert_false(settings_given(s, "diary", "access"));
}

static void the_environment_is_checked(void **state)
{
    (void)state;
    char *environment[] = { (char[]){ "WEIR_SERVER_LISTN=127.0.0.1:2" }, (char[]){ "WEIR_SOMETHING=1" }, (char[]){ "WEIRD=1" }, (char[]){ "WEIR_SERVER_LOOPS=x" }, NULL };
    assert_false(settings_load_env(s, environment, &err, &warnings));
    assert_says(&warnings, "WEIR_SERVER_LISTN in the environment is no setting and is not used; did you mean WEIR_SERVER_LISTEN?");
    assert_says(&warnings, "WEIR_SOMETHING in the environment");
    assert_false(says(&warnings, "WEIRD"));
    assert_says(&err, "WEIR_SERVER_LOOPS in the environment: server.loops must be a whole number");
}

static void flags_are_checked(void **state)
{
    (void)state;
    assert_true(settings_assign(s, "diary.access=session", &err));
    assert_true(settings_assign(s, "wechat.secret=a=b", &err));
    assert_value("diary", "access", "session");
    assert_value("wechat", "secret", "a=b");
    assert_false(settings_assign(s, "diary.acess=open", &err));
    assert_says(&err, "did you mean diary.access?");
    assert_false(settings_assign(s, "wechat.secret", &err));
    assert_false(settings_assign(s, "a=b.c", &err));
    assert_false(settings_set(s, "diary", "access", SPAN("nobody"), &err));
}

static void what_belongs_together_is_checked(void **state)
{
    (void)state;
    assert_true(settings_assign(s, "server.tls_cert=/c", &err));
    assert_true(settings_assign(s, "wechat.secret=hunter2hunter2", &err));
    assert_true(settings_assign(s, "store.url=postgres://x:pw@h/d", &err));
    assert_true(settings_assign(s, "hub.url=redis://h", &err));
    assert_false(settings_check(s, &err));
    assert_says(&err, "server.tls_cert and server.tls_key belong together");
    assert_says(&err, "wechat.appid and wechat.secret belong together");
    assert_says(&err, "store.url: this version");
    assert_says(&err, "hub.url: this version");
    assert_false(says(&err, "hunter2"));
    assert_false(says(&err, "pw@"));
}

static void listings_keep_secrets(void **state)
{
    (void)state;
    assert_true(settings_assign(s, "wechat.secret=hunter2hunter2", &err));
    assert_true(settings_assign(s, "wechat.appid=wx42", &err));
    struct buf out;
    buf_init(&out, 1 << 16);
    settings_show(s, &out);
    settings_describe(s, &out);
    assert_says(&out, "wechat.appid = wx42 (flag)");
    assert_says(&out, "wechat.secret = (secret) (flag)");
    assert_says(&out, "[diary]\n  access           who may call (open|handle|session); handle\n");
    assert_false(says(&out, "hunter2"));
    assert_false(says(&out, "server.listen ="));
    buf_done(&out);
}

static void files_are_opened_and_judged(void **state)
{
    (void)state;
    char path[] = "/tmp/weir-settings-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char text[] = "[wechat]\nappid = wx1\nsecret = s\n";
    assert_int_equal(write(fd, text, sizeof text - 1), (ssize_t)sizeof text - 1);
    assert_true(settings_load_file(s, path, &err, &warnings));
    assert_int_equal(warnings.n, 0);
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_true(settings_load_file(s, path, &err, &warnings));
    assert_says(&warnings, "holds wechat.secret and others may read it: chmod 600");
    assert_value("wechat", "appid", "wx1");
    close(fd);
    unlink(path);
    assert_false(settings_load_file(s, path, &err, &warnings));
    assert_says(&err, "No such file or directory; name the settings file by --config FILE");
    assert_false(settings_load_file(s, "/", &err, &warnings));
    assert_says(&err, "/: not a file");
}

static void the_example_file_is_right(void **state)
{
    (void)state;
    assert_true(settings_load_file(s, getenv("WEIR_TEST_EXAMPLE"), &err, &warnings));
}

static void near_names_are_found(void **state)
{
    (void)state;
    assert_int_equal(nearest_edits(SPAN("listen"), SPAN("lisetn")), 1);
    assert_int_equal(nearest_edits(SPAN(""), SPAN("abc")), 3);
    assert_int_equal(nearest_edits(SPAN("kitten"), SPAN("sitting")), 3);
    assert_int_equal(nearest_edits(SPAN("Serve"), SPAN("serve")), 0);
    struct nearest n;
    nearest_init(&n, SPAN("emotoin"));
    nearest_offer(&n, "routes");
    nearest_offer(&n, "emotion");
    assert_string_equal(n.found, "emotion");
    nearest_init(&n, SPAN("x"));
    nearest_offer(&n, "ab");
    assert_null(n.found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_anything_the_fallbacks_hold, begin, end),
        cmocka_unit_test_setup_teardown(a_file_is_read, begin, end),
        cmocka_unit_test_setup_teardown(indented_lines_continue, begin, end),
        cmocka_unit_test_setup_teardown(every_mistake_names_its_line_and_a_remedy, begin, end),
        cmocka_unit_test_setup_teardown(long_lines_and_nul_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(later_sources_win_in_any_order, begin, end),
        cmocka_unit_test_setup_teardown(the_environment_is_checked, begin, end),
        cmocka_unit_test_setup_teardown(flags_are_checked, begin, end),
        cmocka_unit_test_setup_teardown(what_belongs_together_is_checked, begin, end),
        cmocka_unit_test_setup_teardown(listings_keep_secrets, begin, end),
        cmocka_unit_test_setup_teardown(files_are_opened_and_judged, begin, end),
        cmocka_unit_test_setup_teardown(the_example_file_is_right, begin, end),
        cmocka_unit_test(near_names_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
