/* cli/sandbox.c: `weir sandbox`: the WeChat simulator alone, in the foreground, until SIGINT or SIGTERM. */
#include <signal.h>
#include <stdio.h>

#include "base/base.h"
#include "cli/cli.h"
#include "sandbox/sandbox.h"

static void usage(FILE *out)
{
    fprintf(out, "usage: weir sandbox [--port N] [--seed N]\n\n"
        "WeChat on loopback, for tests and for playing: http://127.0.0.1:PORT/ is the phone, /_sandbox/ tells how to control it.\n\n"
        "  --port N    default 8001; 0 takes a free one\n"
        "  --seed N    the same names, codes and keys at each start\n"
        "  --help      this text\n");
}

/* 0 the argument was another one; 1 taken; -1 no number */
static int take_number(int argc, char **argv, int *at, const char *flag, int64_t max, int64_t *out)
{
    size_t n = strlen(flag);
    if (strncmp(argv[*at], flag, n) != 0 || (argv[*at][n] != '=' && argv[*at][n] != '\0')) return 0;
    const char *value = argv[*at][n] == '=' ? argv[*at] + n + 1 : *at + 1 < argc ? argv[++*at] : "";
    return span_to_i64(span_of(value), out) && *out >= 0 && *out <= max ? 1 : -1;
}

static bool run(const struct sandbox_config *config, int64_t port)
{
    struct buf err;
    char address[32];
    sigset_t stop;
    int got = 0;
    snprintf(address, sizeof address, "127.0.0.1:%d", (int)port);
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);               /* before the loop's thread: it inherits this */
    signal(SIGPIPE, SIG_IGN);
    buf_init(&err, 4096);
    struct sandbox *s = sandbox_new(config, &err);
    int bound = s ? sandbox_listen(s, address, &err) : -1;
    bool good = bound > 0 && sandbox_start(s, &err);
    if (good) {
        printf("ready http://127.0.0.1:%d\n", bound);
        fflush(stdout);
        while (sigwait(&stop, &got) != 0) continue;
    } else {
        fprintf(stderr, "weir sandbox: %.*s\n", SPAN_ARGS(buf_span(&err)));
    }
    sandbox_free(&s);
    buf_done(&err);
    return good;
}

int cli_sandbox(int argc, char **argv)
{
    int64_t port = 8001, seed = -1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            usage(stdout);
            return 0;
        }
        int at = i, taken = take_number(argc, argv, &i, "--port", 65535, &port);
        if (taken == 0) taken = take_number(argc, argv, &i, "--seed", INT64_MAX, &seed);
        if (taken == 1) continue;
        if (taken < 0) fprintf(stderr, "weir sandbox: %s wants a number\n", argv[at]);
        else fprintf(stderr, "weir sandbox: there is no option %s\n", argv[at]);
        usage(stderr);
        return 2;
    }
    struct sandbox_config config = { .seed = seed < 0 ? 1 : (uint64_t)seed, .repeatable = seed >= 0 };
    return run(&config, port) ? 0 : 1;
}
