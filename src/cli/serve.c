/* cli/serve.c: `weir serve`: the server, by its settings. */
#include "cli/cli.h"
#include "cli/run.h"

#include <stdio.h>

static void usage(const struct settings *s)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    printf("usage: weir serve [--config weir.ini] [--listen ADDRESS:PORT] [--port N] [--data DIR] [--set SECTION.KEY=VALUE] [--debug-routes]\n\n"
           "Settings come from the file, then the environment (WEIR_SECTION_KEY), then these flags; the later wins. All of them:\n\n");
    settings_describe(s, &text);
    printf("%.*s", SPAN_ARGS(buf_span(&text)));
    buf_done(&text);
}

static bool ready(struct run *r, int port, void *arg)
{
    (void)arg;
    struct span listen = settings_get(r->settings, "server", "listen");
    int colon = -1;
    for (size_t i = 0; i < listen.n; i++)
        if (listen.p[i] == ':') colon = (int)i;
    printf("ready %s://%.*s:%d\n", settings_get(r->settings, "server", "tls_cert").n ? "https" : "http", colon < 0 ? 0 : colon, listen.p, port);
    fflush(stdout);
    return true;
}

int cli_serve(int argc, char **argv)
{
    struct run r = { .name = "serve" };
    int status = 2;
    if (run_options(&r, argc, argv)) {
        status = 0;
        if (r.help) usage(r.settings);
        else status = run_load(&r) ? run_server(&r, ready, NULL) : 1;
    }
    settings_free(&r.settings);
    return status;
}
