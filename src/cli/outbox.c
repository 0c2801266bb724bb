/* cli/outbox.c: `weir outbox`: what could not be delivered (mails, messages, second looks), and what to do with it. A client of the rows in apps/operator/outbox.c. */
#include "cli/cli.h"

#include <stdio.h>

#include "cli/local.h"
#include "wire/json.h"

static const char HELP[] =
    "usage: weir outbox list [--all] [--json]    dead letters: what was tried for a week and given up; --all: what still waits, too\n"
    "       weir outbox retry ID                 try it again, from the beginning; retry --all: every dead letter\n"
    "       weir outbox drop ID                  throw a dead letter away\n"
    "\n"
    "all with --data DIR or --config FILE, beside a running server or without one (then they are sent when it starts).\n";

static int wrong(const char *text)
{
    fprintf(stderr, "weir outbox: %s; `weir outbox --help` tells more\n", text);
    return 2;
}

static const json_t *member(const json_t *o, const char *key) { return json_object_get(o, key); }
static long long number(const json_t *o, const char *key) { return (long long)json_integer_value(member(o, key)); }

static void print_rows(const json_t *rows, bool as_json, struct arena *a)
{
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (as_json) {
            printf("%.*s\n", SPAN_ARGS(json_canonical(a, row)));
            continue;
        }
        const char *state = json_is_true(member(row, "dead")) ? (local_chinese() ? "已放弃" : "given up") : local_chinese() ? "等待中" : "waiting";
        printf("%-6lld %s  %-24s %s %lld  %s\n", number(row, "id"), json_string_value(member(row, "due")), json_string_value(member(row, "job")), local_chinese() ? "次数" : "tries",
               number(row, "attempts"), state);
    }
}

static int list(struct run *r, bool all, bool as_json)
{
    long long after = 0, waiting = 0, dead = 0;
    for (bool more = true; more;) {
        char target[100];
        struct buf answer;
        int answered, status = 1;
        buf_init(&answer, 1 << 20);
        struct arena *a = arena_new(16 << 20);
        snprintf(target, sizeof target, "/api/operator/outbox?all=%d&after=%lld", all, after);
        if (a && local_call(r, "GET", target, NULL, SPAN(""), &answered, &answer)) status = local_finish(r, answered, buf_span(&answer));
        const json_t *data = status == 0 ? local_data(r, a, buf_span(&answer)) : NULL, *rows = member(data, "rows");
        print_rows(rows, as_json, a);
        waiting = number(data, "waiting");
        dead = number(data, "dead");
        more = json_is_true(member(data, "more")) && json_array_size(rows) > 0;
        if (more) after = number(json_array_get(rows, json_array_size(rows) - 1), "id");
        bool good = data != NULL;
        arena_free(&a);
        buf_done(&answer);
        if (!good) return status ? status : 1;
    }
    if (!as_json) printf(local_chinese() ? "等待 %lld 条，已放弃 %lld 条\n" : "%lld waiting, %lld given up\n", waiting, dead);
    return 0;
}

static int change(struct run *r, const char *method, const char *target)
{
    struct buf answer;
    int answered, status = 1;
    buf_init(&answer, 1 << 20);
    struct arena *a = arena_new(1 << 20);
    if (a && local_call(r, method, target, NULL, SPAN(""), &answered, &answer)) status = local_finish(r, answered, buf_span(&answer));
    const json_t *data = status == 0 ? local_data(r, a, buf_span(&answer)) : NULL;
    if (data) printf(local_chinese() ? "%lld 条\n" : "%lld done\n", number(data, "changed"));
    arena_free(&a);
    buf_done(&answer);
    return status;
}

static int run(struct run *r, bool all, bool as_json, const char *action, const char *about)
{
    int64_t id = 0;
    char target[100];
    if (!action) return wrong("what is to be done?");
    if (!strcmp(action, "list")) return about ? wrong("list takes no ID") : list(r, all, as_json);
    bool retry = !strcmp(action, "retry");
    if (!retry && strcmp(action, "drop") != 0) return wrong("list, retry or drop?");
    if (retry && all && !about) return change(r, "POST", "/api/operator/outbox/retry");
    if (!about || all || !span_to_i64(span_of(about), &id) || id < 1) return wrong("which one? a number of the list");
    snprintf(target, sizeof target, retry ? "/api/operator/outbox/retry?id=%lld" : "/api/operator/outbox?id=%lld", (long long)id);
    return change(r, retry ? "POST" : "DELETE", target);
}

int cli_outbox(int argc, char **argv)
{
    const char *words[2] = { NULL, NULL };
    bool all = false, as_json = false;
    const struct run_flag flags[] = { { "--all", &all, NULL }, { "--json", &as_json, NULL }, { NULL, NULL, NULL } };
    struct run r = { .name = "outbox", .flags = flags, .words = words, .word_max = 2 };
    int status = local_options(&r, argc, argv, HELP);
    if (status < 0) status = run(&r, all, as_json, words[0], words[1]);
    if (fflush(stdout) != 0 && status == 0) status = 1;
    settings_free(&r.settings);
    return status;
}
