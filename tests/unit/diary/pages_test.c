/* The pages against their contract: paths, methods, field names, ids; and that no text from outside becomes markup. The engine's side of a request is played by a few
 * functions below, so pages.c is tested alone. `pages_test DIRECTORY` writes all pages there, to be looked at. */
#include "apps/diary/pages.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

/* ---- the engine, as far as pages need it ---- */

struct request { const struct command *command; bool chinese; struct span text, origin, access, api_url; struct arena *arena; };
static struct request now;
static struct reply reply_now;

const struct command *request_command(const struct request *r) { return r->command; }
bool request_chinese(const struct request *r) { return r->chinese; }
struct arena *request_arena(const struct request *r) { return r->arena; }
struct span request_origin(const struct request *r) { return r->origin; }
const struct settings *request_settings(const struct request *r) { return (const struct settings *)(const void *)r; }

struct span settings_get(const struct settings *s, const char *section, const char *key)
{
    const struct request *r = (const struct request *)(const void *)s;
    (void)section;
    return strcmp(key, "access") == 0 ? r->access : r->api_url;
}

struct span request_text(const struct request *r, const char *name)
{
    bool known = false;
    for (size_t i = 0; r->command->takes && i < r->command->takes->n; i++)
        known |= strcmp(r->command->takes->fields[i].name, name) == 0;
    assert_true(known);
    return r->text;
}

static struct reply *reply_reset(int status, const char *type)
{
    buf_done(&reply_now.body);
    buf_done(&reply_now.headers);
    reply_now = (struct reply){ .status = status, .type = type };
    buf_init(&reply_now.body, 1 << 20);
    buf_init(&reply_now.headers, 1 << 14);
    return &reply_now;
}

struct reply *reply_text(const struct request *r, int status, const char *type, struct span body)
{
    (void)r;
    buf_add_span(&reply_reset(status, type)->body, body);
    return &reply_now;
}

struct reply *reply_asset(const struct request *r, const char *type, struct span bytes)
{
    (void)r;
    reply_reset(200, type)->asset = bytes;
    return &reply_now;
}

void reply_header(struct reply *r, const char *name, struct span value) { buf_printf(&r->headers, "%s: %.*s\r\n", name, SPAN_ARGS(value)); }
struct reply *refuse(const struct request *r, int status, const char *zh, const char *en) { (void)r, (void)zh, (void)en; return reply_reset(status, NULL); }

/* ---- helpers ---- */

static const struct command rows[] = { DIARY_PAGE_COMMANDS { .name = NULL } };

static const struct command *row_named(const char *name)
{
    for (const struct command *c = rows; c->name; c++)
        if (strcmp(c->name + strlen("diary.page."), name) == 0)
            return c;
    fail_msg("no row %s", name);
    return NULL;
}

/* The page's text, valid until the next one. */
static const char *show(const char *name)
{
    now.command = row_named(name);
    struct reply *r = now.command->relay(&now);
    assert_false(r->body.failed || r->headers.failed);
    if (r->asset.n)
        buf_add_span(&r->body, r->asset);
    buf_add(&r->body, "", 1);
    return r->body.p;
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

static void assert_has(const char *text, const char *what)
{
    if (!strstr(text, what))
        print_message("missing: %s\n", what);
    assert_non_null(strstr(text, what));
}

static int begin(void **state)
{
    (void)state;
    now = (struct request){ .chinese = true, .origin = SPAN("http://127.0.0.1:8000"), .access = SPAN("open"), .api_url = SPAN("http://127.0.0.1:8001"), .arena = arena_new(1 << 20) };
    return now.arena ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    arena_free(&now.arena);
    buf_done(&reply_now.body);
    buf_done(&reply_now.headers);
    return 0;
}

/* ---- tests ---- */

/* Out of the first seed document, "提供表单 …". */
static const struct { const char *page, *path, *action, *fields; bool post; } contract[] = {
    { "emotion", "/matching/?", "/matching/emotion/", "openId title content", true },
    { "depair", "/matching/depair/?", "/matching/depair_action/", "openId", true },
    { "store", "/matching/store/?", "/matching/store_action/", "openId nickName avatarUrl gender province city country", true },
    { "get_user", "/matching/get_user/?", "/matching/get_user_action/", "openId", false },
    { "get_diary", "/matching/get_diary/?", "/matching/get_diary_action/", "diaryId", false },
    { "get_user_diary", "/matching/get_user_diary/?", "/matching/get_user_diary_action/", "openId", false },
    { "alt_diary", "/matching/alt_diary/?", "/matching/alt_diary_action/", "diaryId title content", true },
    { "delete_diary", "/matching/delete_diary/?", "/matching/delete_diary_action/", "diaryId", true },
    { "get_openId", "/matching/get_openId/?", "/matching/get_openId_action/", "js_code", false },
    { "upload_img", "/matching/upload_img/?", "/matching/upload_img_action/", "img img_name", true },
    { "show_img", "/matching/show_img/?", "/matching/show_img_action/", "img_name", false },
    { "get_pair", "/matching/get_pair/?", "/matching/get_pair_action/", "openId", false },
    { "get_history", "/matching/get_history/?", "/matching/get_history_action/", "pair_id", false },
};

static void the_forms_are_the_documented_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(contract); i++) {
        char want[500];
        const char *html = show(contract[i].page);
        snprintf(want, sizeof want, "GET %s", contract[i].path);
        assert_string_equal(now.command->http, want);
        snprintf(want, sizeof want, "action=\"%s\" method=\"%s\"", contract[i].action, contract[i].post ? "post" : "get");
        assert_has(html, want);
        assert_int_equal(count(html, "<form "), 1);
        int fields = 1;
        char names[200];
        snprintf(names, sizeof names, "%s ", contract[i].fields);
        for (char *name = names, *space; (space = strchr(name, ' ')); name = space + 1, fields++) {
            *space = 0;
            snprintf(want, sizeof want, "name=\"%s\" id=\"%s\"", name, name);
            assert_has(html, want);
            snprintf(want, sizeof want, "<label for=\"%s\">", name);
            assert_has(html, want);
        }
        assert_has(html, "<input type=\"hidden\" name=\"csrfmiddlewaretoken\"");
        assert_int_equal(count(html, " name=\"") - 1, fields);       /* and no further one; the first is the viewport's */
        bool file = strcmp(contract[i].page, "upload_img") == 0;
        assert_int_equal(count(html, "enctype=\"multipart/form-data\""), file);
        assert_has(html, file ? "<button type=\"submit\">上传</button>" : "<button type=\"submit\">提交</button>");
    }
    assert_has(show("emotion"), "<textarea name=\"content\" id=\"content\" rows=\"10\" cols=\"50\">");
    /* outside `open` two of them must also tell who asks */
    now.access = SPAN("handle");
    assert_has(show("upload_img"), "name=\"openId\"");
    assert_has(show("get_history"), "name=\"openId\"");
}

static void the_chat_has_the_documented_ids(void **state)
{
    (void)state;
    const char *html = show("rooms");
    assert_has(html, "<title>chat rooms</title>");
    assert_has(html, "id=\"room-name-input\"");
    assert_has(html, "id=\"room-name-submit\"");
    now.text = SPAN("5");
    html = show("chat");
    assert_has(now.command->http, "/matching/room/{room}/?");
    assert_has(now.command->http, "/matching/chat/{room}/?");
    assert_has(html, "<title>Chat Room</title>");
    assert_has(html, "<textarea id=\"chat-log\" cols=\"100\" rows=\"20\"");
    assert_has(html, "id=\"chat-message-input\"");
    assert_has(html, "id=\"openId\"");
    assert_has(html, "id=\"chat-message-submit\"");
}

static void what_comes_from_outside_is_never_markup(void **state)
{
    (void)state;
    now.text = SPAN("</script><script>alert(1)</script>\" onmouseover='x' & <b>");
    now.origin = SPAN("http://evil\"><script>alert(2)</script>");
    now.api_url = SPAN("http://127.0.0.1:1/\"><script>alert(3)</script>");
    for (const struct command *c = rows; c->name; c++) {
        if (strcmp(c->name, "diary.page.static") == 0)
            continue;
        const char *html = show(c->name + strlen("diary.page."));
        assert_null(strstr(html, "<script>"));
        assert_null(strstr(html, "alert(1)<"));
        assert_null(strstr(html, "<b>\""));
        assert_int_equal(count(html, "<script"), count(html, "<script type=\"module\" src=\"/matching/static/"));
        assert_null(strstr(html, " style="));                        /* the policy would refuse it anyway */
        assert_int_equal(count(reply_now.headers.p, "script-src 'self'; style-src 'self'"), 1);
        assert_null(strstr(reply_now.headers.p, "unsafe"));
    }
    const char *html = show("chat");
    assert_has(html, "data-room=\"&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot; onmouseover=&#39;x&#39; &amp; &lt;b&gt;\"");
    assert_has(show("index"), "curl http://127.0.0.1:8000/matching/emotion/");      /* a host that is none is not pasted into a shell */
}

static void both_languages_are_spoken(void **state)
{
    (void)state;
    for (const struct command *c = rows; c->name; c++) {
        if (strcmp(c->name, "diary.page.static") == 0)
            continue;
        now.chinese = true;
        const char *html = show(c->name + strlen("diary.page."));
        assert_has(html, "<html lang=\"zh-CN\">");
        assert_has(html, "写日记");
        assert_true(utf8_valid((struct span){ html, strlen(html) }));
        now.chinese = false;
        html = show(c->name + strlen("diary.page."));
        assert_has(html, "<html lang=\"en\">");
        assert_has(reply_now.headers.p, "Vary: Accept-Language\r\n");
        assert_null(strstr(html, "提交"));
        assert_null(strstr(html, "匹配"));
    }
}

static void the_sandbox_is_named_only_if_there_is_one(void **state)
{
    (void)state;
    assert_has(show("index"), "href=\"http://127.0.0.1:8001/\"");
    now.api_url = SPAN("http://localhost:9001/");
    assert_has(show("index"), "href=\"http://localhost:9001/\"");
    now.api_url = SPAN("https://api.weixin.qq.com");
    assert_null(strstr(show("index"), "weixin.qq.com"));
    assert_null(strstr(show("emotion"), "沙箱"));
    now.access = SPAN("handle");
    assert_has(show("emotion"), "<body data-access=\"closed\">");
    assert_null(strstr(show("emotion"), "演示模式"));
}

static void every_page_is_linked_from_the_first(void **state)
{
    (void)state;
    char link[100];
    const char *html = show("index");
    for (size_t i = 0; i < LENGTH(contract); i++) {
        snprintf(link, sizeof link, "<li><a href=\"%.*s\">", (int)strlen(contract[i].path) - 1, contract[i].path);
        assert_has(html, link);
    }
    assert_has(html, "<li><a href=\"/matching/select_chat_room/\">");
    assert_has(html, "curl http://127.0.0.1:8000/matching/emotion/ -d openId=alice");
}

static void what_the_pages_name_is_served(void **state)
{
    (void)state;
    static const struct { const char *file, *type; } files[] = { { "weir.css", "text/css; charset=utf-8" }, { "pages.js", "text/javascript; charset=utf-8" }, { "chat.js", "text/javascript; charset=utf-8" },
                                                                 { "icon.svg", "image/svg+xml" } };
    for (size_t i = 0; i < LENGTH(files); i++) {
        now.text = span_of(files[i].file);
        assert_true(strlen(show("static")) > 100);
        assert_int_equal(reply_now.status, 200);
        assert_string_equal(reply_now.type, files[i].type);
    }
    now.text = SPAN("../pages.c");
    show("static");
    assert_int_equal(reply_now.status, 404);
    now.text = SPAN("weir.cs");
    show("static");
    assert_int_equal(reply_now.status, 404);
}

static int write_all_pages(const char *folder, bool chinese)
{
    if (begin(NULL) != 0)
        return 1;
    now.chinese = chinese;
    now.text = SPAN("5");
    for (const struct command *c = rows; c->name; c++) {
        char path[400];
        if (strcmp(c->name, "diary.page.static") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s.%s.html", folder, c->name + strlen("diary.page."), chinese ? "zh" : "en");
        FILE *f = fopen(path, "w");
        if (!f)
            return 1;
        fputs(show(c->name + strlen("diary.page.")), f);
        fclose(f);
    }
    return end(NULL);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return write_all_pages(argv[1], true) || write_all_pages(argv[1], false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_forms_are_the_documented_ones, begin, end),
        cmocka_unit_test_setup_teardown(the_chat_has_the_documented_ids, begin, end),
        cmocka_unit_test_setup_teardown(what_comes_from_outside_is_never_markup, begin, end),
        cmocka_unit_test_setup_teardown(both_languages_are_spoken, begin, end),
        cmocka_unit_test_setup_teardown(the_sandbox_is_named_only_if_there_is_one, begin, end),
        cmocka_unit_test_setup_teardown(every_page_is_linked_from_the_first, begin, end),
        cmocka_unit_test_setup_teardown(what_the_pages_name_is_served, begin, end),
    };
    return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
