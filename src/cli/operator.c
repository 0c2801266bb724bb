/* cli/operator.c: `weir operator METHOD TARGET`: one request as the operator, for scripts and for what has no sub-command of its own. Prints the body of the answer as it came. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>

#include "cli/local.h"
#include "wire/limits.h"

static const char HELP[] =
    "usage: weir operator METHOD TARGET [--body FILE] [--type CONTENT-TYPE] (--data DIR | --config FILE)\n"
    "\n"
    "Sends one request through DIR/weir.sock to the server that runs on DIR, or, if none does, to one that lives as long as the request;\n"
    "prints the answer. `weir routes` shows as \"operator\" what exists only here. A target is a path and perhaps a query, with % escapes.\n"
    "\n"
    "  --body FILE    what to send; - is standard input\n"
    "  --type TYPE    of the body; application/json if it is not named\n"
    "\n"
    "  weir operator GET /api/operator/status --data /var/lib/weir\n";

static bool read_body(const char *name, struct buf *out)
{
    FILE *in = strcmp(name, "-") == 0 ? stdin : fopen(name, "rbe");
    char piece[16384];
    size_t n = 0;
    while (in && (n = fread(piece, 1, sizeof piece, in)) > 0) buf_add(out, piece, n);
    bool good = in && !ferror(in) && !out->failed;
    if (!good) fprintf(stderr, "weir operator: %s: %s\n", name, in && out->failed ? "too long" : strerror(errno));
    if (in && in != stdin) fclose(in);
    return good;
}

int cli_operator(int argc, char **argv)
{
    const char *words[2] = { NULL, NULL }, *file = NULL, *type = "application/json";
    const struct run_flag flags[] = { { "--body", NULL, &file }, { "--type", NULL, &type }, { NULL, NULL, NULL } };
    struct run r = { .name = "operator", .flags = flags, .words = words, .word_max = 2 };
    struct buf body, answer;
    buf_init(&body, LIMIT_UPLOAD_BYTES);
    buf_init(&answer, 256 << 20);
    int status = local_options(&r, argc, argv, HELP), answered;
    if (status < 0 && r.word_count != 2) {
        fprintf(stderr, "weir operator: name a method and a path; `weir operator --help` shows one\n");
        status = 2;
    }
    if (status < 0 && file && !read_body(file, &body)) status = 1;
    if (status < 0) {
        status = 1;
        if (local_call(&r, words[0], words[1], file ? type : NULL, buf_span(&body), &answered, &answer)) {
            status = local_finish(&r, answered, buf_span(&answer));
            if (status == 0 && (fwrite(answer.p, 1, answer.n, stdout) != answer.n || fputc('\n', stdout) == EOF || fflush(stdout) != 0)) status = 1;
        }
    }
    buf_done(&body);
    buf_done(&answer);
    settings_free(&r.settings);
    return status;
}
