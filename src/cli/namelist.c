/* cli/namelist.c: `weir namelist`: who belongs to the ensemble of the absence app. Asks the server that runs on the data directory, or does the server's work for a moment (cli/local.h); the file is judged
 * there, as a whole, before anything is changed. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>

#include "apps/absence/namelist.h"
#include "cli/local.h"
#include "wire/json.h"

static const char HELP[] =
    "usage: weir namelist import FILE.csv [--replace] (--data DIR | --config FILE)\n"
    "       weir namelist list | export | unbind NAME (--data DIR | --config FILE)\n"
    "\n"
    "The name list of the absence app. Works beside a running server and without one.\n"
    "\n"
    "  import FILE.csv   adds and updates members; - is standard input. The header is name,section,manager (or 姓名,声部,管理); sections are\n"
    "                    string, wind, percussion (or 弦乐, 管乐, 打击乐, S, W, P); manager is yes or no. Either all of it is taken or nothing.\n"
    "  --replace         also retires who is not in the file: he can no longer log in; what he asked for stays. Put in again, he is back.\n"
    "  list              everybody, with who has logged in (bound) and who has left (retired)\n"
    "  export            the list as CSV, as import takes it\n"
    "  unbind NAME       the next login with that name binds it anew: for a new WeChat account\n";

enum { FILE_BYTES = 4 * 1024 * 1024, ANSWER_BYTES = 64 << 20 };

static bool file_read(const char *name, struct buf *out)
{
    FILE *in = strcmp(name, "-") == 0 ? stdin : fopen(name, "rbe");
    char piece[16384];
    size_t n = 0;
    while (in && (n = fread(piece, 1, sizeof piece, in)) > 0) buf_add(out, piece, n);
    bool good = in && !ferror(in) && !out->failed;
    if (!good) fprintf(stderr, "weir namelist: %s: %s\n", name, in && out->failed ? "too long for a name list" : strerror(errno));
    if (in && in != stdin) fclose(in);
    return good;
}

/* Asks, and gives the answer's data to `show`; the exit status. */
static int ask(struct run *r, const char *method, const char *target, struct span json, void (*show)(const json_t *))
{
    struct buf answer;
    int answered, status = 1;
    buf_init(&answer, ANSWER_BYTES);
    if (local_call(r, method, target, json.n ? "application/json" : NULL, json, &answered, &answer)) status = local_finish(r, answered, buf_span(&answer));
    else goto out;
    if (status == 0 && show) {
        struct arena *a = arena_new((size_t)ANSWER_BYTES * 4);
        const json_t *data = a ? local_data(r, a, buf_span(&answer)) : NULL;
        if (data) show(data);
        else status = 1;
        arena_free(&a);
    } else if (status == 0) {
        fwrite(answer.p, 1, answer.n, stdout);
    }
    if (status == 0 && fflush(stdout) != 0) status = 1;
out:
    buf_done(&answer);
    return status;
}

static const char *text_of(const json_t *o, const char *key) { return json_is_string(json_object_get(o, key)) ? json_string_value(json_object_get(o, key)) : ""; }

static void show_list(const json_t *data)
{
    const json_t *members = json_object_get(data, "members");
    printf("name\tsection\tmanager\tstate\n");
    for (size_t i = 0; i < json_array_size(members); i++) {
        const json_t *one = json_array_get(members, i);
        printf("%s\t%s\t%s\t%s\n", text_of(one, "name"), text_of(one, "section"), json_is_true(json_object_get(one, "manager")) ? "yes" : "no",
               json_is_true(json_object_get(one, "retired")) ? "retired" : json_is_true(json_object_get(one, "bound")) ? "bound" : "-");
    }
}

static void show_counts(const json_t *data)
{
    const char *key;
    json_t *value;
    bool first = true;
    json_object_foreach((json_t *)(uintptr_t)data, key, value) {
        printf("%s%lld %s", first ? "" : ", ", (long long)json_integer_value(value), key);
        first = false;
    }
    printf("\n");
}

static void show_unbound(const json_t *data) { printf("%s is unbound\n", text_of(data, "name")); }

/* What the server would say of the file as well; but what is no text at all could not even be sent to it. */
static bool file_right(const char *name, struct span text)
{
    struct arena *a = arena_new(256 << 20);
    struct listed *list;
    struct buf faults;
    size_t n;
    buf_init(&faults, 64 * 1024);
    bool good = a && namelist_read(a, text, local_chinese(), &list, &n, &faults);
    if (!good) fprintf(stderr, "weir namelist: %s:\n%.*s\n", name, SPAN_ARGS(buf_span(&faults)));
    buf_done(&faults);
    arena_free(&a);
    return good;
}

static int import(struct run *r, const char *file, bool replace)
{
    struct buf text, body;
    struct jout out;
    int status = 1;
    buf_init(&text, FILE_BYTES);
    buf_init(&body, 2 * FILE_BYTES);
    if (!file_read(file, &text)) goto done;
    if (!file_right(file, buf_span(&text))) goto done;
    jout_init(&out, &body);
    jout_begin_object(&out);
    jout_put(&out, "csv", buf_span(&text));
    jout_put_bool(&out, "replace", replace);
    jout_end_object(&out);
    if (body.failed) fprintf(stderr, "weir namelist: %s: too long for a name list\n", file);
    else status = ask(r, "POST", "/api/absence/namelist/import", buf_span(&body), show_counts);
done:
    buf_done(&text);
    buf_done(&body);
    return status;
}

static int unbind(struct run *r, const char *name)
{
    struct buf body;
    struct jout out;
    buf_init(&body, 65536);
    jout_init(&out, &body);
    jout_begin_object(&out);
    jout_put_z(&out, "name", name);
    jout_end_object(&out);
    int status = body.failed ? 2 : ask(r, "POST", "/api/absence/namelist/unbind", buf_span(&body), show_unbound);
    buf_done(&body);
    return status;
}

int cli_namelist(int argc, char **argv)
{
    const char *words[2] = { "", NULL };
    bool replace = false;
    const struct run_flag flags[] = { { "--replace", &replace, NULL }, { NULL, NULL, NULL } };
    struct run r = { .name = "namelist", .flags = flags, .words = words, .word_max = 2 };
    int status = local_options(&r, argc, argv, HELP);
    if (status < 0) {
        bool one = r.word_count == 1;
        if (!strcmp(words[0], "import") && words[1]) status = import(&r, words[1], replace);
        else if (!strcmp(words[0], "list") && one) status = ask(&r, "GET", "/api/absence/namelist", SPAN(""), show_list);
        else if (!strcmp(words[0], "export") && one) status = ask(&r, "GET", "/api/absence/namelist.csv", SPAN(""), NULL);
        else if (!strcmp(words[0], "unbind") && words[1]) status = unbind(&r, words[1]);
        else {
            fprintf(stderr, "weir namelist: say import FILE.csv, list, export or unbind NAME; `weir namelist --help` tells more\n");
            status = 2;
        }
    }
    settings_free(&r.settings);
    return status;
}
