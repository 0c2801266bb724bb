/* cli/moderation.c: `weir moderation`: the operator's list of complaints, on a terminal. A client of the rows in apps/diary/moderation.h; what an action means is decided there.
 *
 * What users wrote is printed, and a terminal obeys what it reads: control characters, C1 codes and the marks that turn the direction of writing are shown as U+FFFD. With --json the answer is printed as
 * it came, with all of these as JSON's escapes. Labels are Chinese or English as the terminal's language is. */
#include "cli/cli.h"

#include <stdio.h>

#include "cli/local.h"
#include "wire/form.h"
#include "wire/json.h"

static const char HELP[] =
    "usage: weir moderation list [--all] [--json]             what is open (or all), oldest first\n"
    "       weir moderation show ID [--json]                  one of them: the text, what was said around it, both people, what was done\n"
    "       weir moderation dismiss ID [--note TEXT]          nothing is wrong; what was hidden for its sake is shown again\n"
    "       weir moderation hide ID [--note TEXT]             only its author sees the diary or message from now on\n"
    "       weir moderation ban USER [--note TEXT]            USER is the number in the list, or --openid OPENID; he may read what is his,\n"
    "       weir moderation unban USER [--note TEXT]          and nothing else; his match and his sockets end\n"
    "       weir moderation delete-image NAME [--note TEXT]   the last part of its address\n"
    "\n"
    "all with --data DIR or --config FILE, beside a running server or without one. Each may be repeated without harm.\n";

struct options { bool all, json; const char *note, *openid; };

static const char *say(const char *zh, const char *en) { return local_chinese() ? zh : en; }

/* ---- printing what others wrote ---- */

static bool is_obeyed(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/* One line; line ends of the text become spaces, or with `indent` new lines that begin with so many. */
static void print_clean(const json_t *text, int indent)
{
    const char *p = json_string_value(text), *end = p ? p + json_string_length(text) : p;
    while (p && p < end) {
        const char *from = p;
        uint32_t c = utf8_next(&p, end);
        if (c == '\n' && indent) printf("\n%*s", indent, "");
        else if (c == '\n' || c == '\t') putchar(' ');
        else if (is_obeyed(c)) fputs("\xef\xbf\xbd", stdout);
        else fwrite(from, 1, (size_t)(p - from), stdout);
    }
}

/* A line. Whatever a terminal obeys stands within a string of it, where \uXXXX means the same; JSON itself only wants that of C0. */
static void print_json(struct span json)
{
    for (const char *p = json.p, *end = p + json.n, *from = p; p < end; from = p) {
        uint32_t c = utf8_next(&p, end);
        if (is_obeyed(c)) printf("\\u%04x", (unsigned)c);
        else fwrite(from, 1, (size_t)(p - from), stdout);
    }
    putchar('\n');
}

static const json_t *member(const json_t *o, const char *key) { return json_object_get(o, key); }
static long long number(const json_t *o, const char *key) { return (long long)json_integer_value(member(o, key)); }
static bool is(const json_t *o, const char *key, const char *text) { const char *v = json_string_value(member(o, key)); return v && strcmp(v, text) == 0; }

static void print_kind(const json_t *item)
{
    bool target = json_is_integer(member(item, "target"));
    fputs(is(item, "kind", "diary") ? say("日记", "diary") : is(item, "kind", "message") ? say("消息", "message") : target ? say("举报消息", "message reported") : say("举报用户", "person reported"), stdout);
}

static void print_action(const json_t *action)
{
    static const char *const words[][2] = { { "dismissed", "已驳回" }, { "hidden", "已隐藏" }, { "banned", "已封禁" }, { "unbanned", "已解封" }, { "image deleted", "已删图片" } };
    const char *text = json_string_value(action);
    for (size_t i = 0; text && i < LENGTH(words); i++)
        if (strcmp(text, words[i][0]) == 0) text = say(words[i][1], words[i][0]);
    fputs(text ? text : "", stdout);
}

/* ---- the list ---- */

static void print_item(const json_t *item)
{
    printf("%-5lld ", number(item, "id"));
    print_clean(member(item, "created"), 0);
    fputs("  ", stdout);
    print_kind(item);
    printf("  %s %lld ", say("用户", "user"), number(item, "user"));
    print_clean(member(item, "name"), 0);
    if (json_is_integer(member(item, "by"))) printf("  %s %lld", say("举报人", "by"), number(item, "by"));
    fputs("  ", stdout);
    print_clean(member(item, "reason"), 0);
    if (json_is_string(member(item, "done"))) {
        fputs("  [", stdout);
        print_action(member(item, "action"));
        fputs("]", stdout);
    }
    putchar('\n');
}

static int list(struct run *r, const struct options *o)
{
    long long after = 0, told = 0;
    for (bool more = true; more;) {
        char target[120];
        struct buf answer;
        int answered, status = 1;
        buf_init(&answer, 64 << 20);
        struct arena *a = arena_new(256 << 20);
        snprintf(target, sizeof target, "/api/diary/moderation?all=%d&after=%lld&limit=200", o->all, after);
        if (a && local_call(r, "GET", target, NULL, SPAN(""), &answered, &answer)) status = local_finish(r, answered, buf_span(&answer));
        const json_t *data = status == 0 ? local_data(r, a, buf_span(&answer)) : NULL, *items = member(data, "items");
        for (size_t i = 0; i < json_array_size(items); i++, told++) {
            const json_t *item = json_array_get(items, i);
            after = number(item, "id");
            if (o->json) print_json(json_canonical(a, item));
            else print_item(item);
        }
        more = json_is_true(member(data, "more")) && json_array_size(items) > 0;
        arena_free(&a);
        buf_done(&answer);
        if (!data) return status ? status : 1;
    }
    if (!told && !o->json) puts(o->all ? say("没有任何记录。", "There is nothing.") : say("没有待处理的记录。", "Nothing is open."));
    return 0;
}

/* ---- one of them ---- */

static void print_person(const char *label, const json_t *p)
{
    if (!json_is_object(p)) return;
    printf("%s %lld ", label, number(p, "id"));
    print_clean(member(p, "name"), 0);
    if (json_is_true(member(p, "banned"))) printf(" (%s)", say("已封禁", "banned"));
    if (json_is_true(member(p, "gone"))) printf(" (%s)", say("已注销", "account deleted"));
    fputs("  openid ", stdout);
    print_clean(member(p, "openid"), 0);
    printf(local_chinese() ? "  日记 %lld  图片 %lld  待处理 %lld  加入于 " : "  diaries %lld  images %lld  open %lld  since ", number(p, "diaries"), number(p, "images"), number(p, "open"));
    print_clean(member(p, "created"), 0);
    putchar('\n');
}

static void print_message(const json_t *m)
{
    printf("  %s %lld ", json_is_true(member(m, "about")) ? ">" : " ", number(m, "id"));
    print_clean(member(m, "created"), 0);
    printf("  %lld ", number(m, "user"));
    print_clean(member(m, "name"), 0);
    printf("%s: ", json_is_true(member(m, "hidden")) ? say("（已隐藏）", " (hidden)") : "");
    print_clean(member(m, "text"), 8);
    putchar('\n');
}

static void print_all(const json_t *data)
{
    const json_t *item = member(data, "item"), *content = member(data, "content"), *around = member(data, "around"), *images = member(data, "images"), *log = member(data, "log");
    print_item(item);
    print_person(say("被举报人", "about"), member(data, "user"));
    print_person(say("举报人", "by"), member(data, "by"));
    if (json_is_string(member(item, "room"))) {
        printf("%s ", say("房间", "room"));
        print_clean(member(item, "room"), 0);
        putchar('\n');
    }
    if (json_is_object(content)) {
        printf("%s%s\n", say("内容", "text"), json_is_true(member(content, "hidden")) ? say("（已隐藏）", " (hidden)") : "");
        if (json_string_length(member(content, "title"))) {
            fputs("    《", stdout);
            print_clean(member(content, "title"), 0);
            puts("》");
        }
        fputs("    ", stdout);
        print_clean(member(content, "text"), 4);
        putchar('\n');
    } else if (json_is_integer(member(item, "target"))) {
        puts(say("内容已被删除", "the text was deleted"));
    }
    if (json_array_size(around)) puts(say("前后消息", "what was said around it"));
    for (size_t i = 0; i < json_array_size(around); i++) print_message(json_array_get(around, i));
    if (json_array_size(images)) puts(say("此人的图片（最近 20 张）", "images of that person (the newest 20)"));
    for (size_t i = 0; i < json_array_size(images); i++) {
        fputs("    ", stdout);
        print_clean(json_array_get(images, i), 0);
        putchar('\n');
    }
    if (json_array_size(log)) puts(say("处理记录", "what was done"));
    for (size_t i = 0; i < json_array_size(log); i++) {
        const json_t *l = json_array_get(log, i);
        fputs("    ", stdout);
        print_clean(member(l, "created"), 0);
        fputs("  ", stdout);
        print_action(member(l, "action"));
        if (json_is_integer(member(l, "item"))) printf("  #%lld", number(l, "item"));
        fputs("  ", stdout);
        print_clean(member(l, "image"), 0);
        print_clean(member(l, "note"), 0);
        putchar('\n');
    }
}

/* ---- calls ---- */

static int call(struct run *r, const struct options *o, const char *method, const char *target, const struct buf *form, void (*print)(const json_t *data))
{
    struct buf answer;
    int answered, status = 1;
    buf_init(&answer, 64 << 20);
    struct arena *a = arena_new(256 << 20);
    if (a && local_call(r, method, target, form ? "application/x-www-form-urlencoded" : NULL, form ? buf_span(form) : SPAN(""), &answered, &answer)) status = local_finish(r, answered, buf_span(&answer));
    const json_t *data = status == 0 ? local_data(r, a, buf_span(&answer)) : NULL;
    if (status == 0 && !data) status = 1;
    if (data && o->json) print_json(json_canonical(a, data));
    else if (data) print(data);
    arena_free(&a);
    buf_done(&answer);
    return status;
}

static void print_done(const json_t *data)
{
    bool changed = json_is_true(member(data, "changed"));
    printf("%s", changed ? say("已完成", "done") : say("早已如此，没有改变", "it was so already; nothing was changed"));
    if (changed && number(data, "done") > 0) printf(say("，结案 %lld 条", "; settled: %lld"), number(data, "done"));
    putchar('\n');
}

static void add_field(struct buf *form, const char *name, const char *value)
{
    if (!value) return;
    if (form->n) buf_add_z(form, "&");
    buf_printf(form, "%s=", name);
    url_encode(form, span_of(value));
}

static int wrong(const char *text)
{
    fprintf(stderr, "weir moderation: %s; `weir moderation --help` tells more\n", text);
    return 2;
}

static int run(struct run *r, const struct options *o, const char *action, const char *about)
{
    static const struct { const char *word, *tail; bool post, id, person; } actions[] = {
        { "show", "", false, true, false }, { "dismiss", "/dismiss", true, true, false }, { "hide", "/hide", true, true, false },
        { "ban", "/ban", true, false, true }, { "unban", "/unban", true, false, true }, { "delete-image", "/delete_image", true, false, false } };
    if (!strcmp(action, "list")) return about ? wrong("list takes no ID") : list(r, o);
    size_t i = 0;
    while (i < LENGTH(actions) && strcmp(action, actions[i].word) != 0) i++;
    if (i == LENGTH(actions)) return wrong("list, show, dismiss, hide, ban, unban or delete-image?");
    int64_t id = 0;
    bool by_number = actions[i].id || (actions[i].person && !o->openid);
    if (actions[i].person ? !about == !o->openid : !about) return wrong(actions[i].person ? "whom? USER or --openid OPENID" : "which one?");
    if (by_number && (!span_to_i64(span_of(about), &id) || id < 1)) return wrong("that is no number of the list");
    char target[100];
    struct buf form;
    buf_init(&form, 64 * 1024);
    if (actions[i].id) snprintf(target, sizeof target, "/api/diary/moderation/%lld%s", (long long)id, actions[i].tail);
    else snprintf(target, sizeof target, "/api/diary/moderation%s", actions[i].tail);
    if (actions[i].person) add_field(&form, o->openid ? "openid" : "user", o->openid ? o->openid : about);
    else if (!actions[i].id) add_field(&form, "name", about);
    add_field(&form, "note", o->note);
    int status = call(r, o, actions[i].post ? "POST" : "GET", target, actions[i].post ? &form : NULL, actions[i].post ? print_done : print_all);
    buf_done(&form);
    return status;
}

int cli_moderation(int argc, char **argv)
{
    const char *words[2] = { NULL, NULL };
    struct options o = { 0 };
    const struct run_flag flags[] = { { "--all", &o.all, NULL }, { "--json", &o.json, NULL }, { "--note", NULL, &o.note }, { "--openid", NULL, &o.openid }, { NULL, NULL, NULL } };
    struct run r = { .name = "moderation", .flags = flags, .words = words, .word_max = 2 };
    int status = local_options(&r, argc, argv, HELP);
    if (status < 0 && !words[0]) status = wrong("what is to be done?");
    if (status < 0) status = run(&r, &o, words[0], words[1]);
    if (fflush(stdout) != 0 && status == 0) status = 1;
    settings_free(&r.settings);
    return status;
}
