/* cli/run.c: settings from file, environment and flags; the server in the foreground; signals by sigwait, so that no handler runs in the middle of anything. */
#include "cli/run.h"
#include "base/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

extern char **environ;

static bool say(const struct run *r, struct buf *text)
{
    fprintf(stderr, "weir %s: %.*s%s", r->name, SPAN_ARGS(buf_span(text)), text->n && text->p[text->n - 1] == '\n' ? "" : "\n");
    buf_done(text);
    return false;
}

static bool assign(struct run *r, const char *section, const char *key, const char *value)
{
    struct buf err;
    buf_init(&err, 8192);
    if (!settings_set(r->settings, section, key, span_of(value), &err)) return say(r, &err);
    buf_done(&err);
    return true;
}

static bool take(struct run *r, const char *flag, const char *value)
{
    struct buf err;
    if (!strcmp(flag, "--config")) { r->config = value; return true; }
    if (!strcmp(flag, "--listen")) return assign(r, "server", "listen", value);
    if (!strcmp(flag, "--data")) return assign(r, "server", "data", value);
    if (!strcmp(flag, "--port")) {
        int64_t port;
        char listen[64];
        buf_init(&err, 200);
        if (!span_to_i64(span_of(value), &port) || port < 0 || port > 65535) {
            buf_printf(&err, "--port: %s is no port (0 to 65535)", value);
            return say(r, &err);
        }
        r->port = (int)port;
        snprintf(listen, sizeof listen, "127.0.0.1:%d", r->port);
        return assign(r, "server", "listen", listen);
    }
    buf_init(&err, 8192);
    if (!settings_assign(r->settings, value, &err)) return say(r, &err);      /* --set */
    buf_done(&err);
    return true;
}

/* A flag of the sub-command's own: how many arguments it took; 0: it is none of them; -1: said what is wrong. */
static int take_own(const struct run *r, const char *arg, const char *equals, const char *next)
{
    for (const struct run_flag *f = r->flags; f && f->name; f++) {
        size_t n = strlen(f->name);
        bool glued = equals && (size_t)(equals - arg) == n && strncmp(arg, f->name, n) == 0;
        if (!glued && strcmp(arg, f->name) != 0) continue;
        if (f->on && !glued) {
            *f->on = true;
            return 1;
        }
        if (f->on || !(glued || next)) {
            fprintf(stderr, "weir %s: %s wants %s value; `weir %s --help` tells more\n", r->name, f->name, f->on ? "no" : "a", r->name);
            return -1;
        }
        *f->value = glued ? equals + 1 : next;
        return glued ? 1 : 2;
    }
    return 0;
}

bool run_options(struct run *r, int argc, char **argv)
{
    static const char *const with_value[] = { "--config", "--listen", "--data", "--port", "--set" };
    r->settings = settings_new(weir_apps, engine_settings);
    if (!r->settings) return false;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *equals = strchr(arg, '=');
        if (!strcmp(arg, "--help") || !strcmp(arg, "-h")) { r->help = true; return true; }
        if (!strcmp(arg, "--debug-routes")) {
            if (!assign(r, "debug", "routes", "true")) return false;
            continue;
        }
        bool taken = false;
        if (arg[0] != '-' && r->word_count < r->word_max) {
            r->words[r->word_count++] = arg;
            continue;
        }
        int own = take_own(r, arg, equals, i + 1 < argc ? argv[i + 1] : NULL);
        if (own < 0) return false;
        if (own) {
            i += own - 1;
            continue;
        }
        for (size_t k = 0; k < LENGTH(with_value) && !taken; k++) {
            size_t n = strlen(with_value[k]);
            bool glued = equals && (size_t)(equals - arg) == n && strncmp(arg, with_value[k], n) == 0;
            if (!glued && strcmp(arg, with_value[k]) != 0) continue;
            taken = true;
            const char *value = glued ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
            if (!value) {
                fprintf(stderr, "weir %s: %s wants a value; `weir %s --help` tells more\n", r->name, arg, r->name);
                return false;
            }
            if (!take(r, with_value[k], value)) return false;
        }
        if (!taken) {
            fprintf(stderr, "weir %s: there is no option %s; `weir %s --help` lists them\n", r->name, arg, r->name);
            return false;
        }
    }
    return true;
}

bool run_load(struct run *r)
{
    struct buf err, warnings;
    buf_init(&err, 16384);
    buf_init(&warnings, 16384);
    bool good = (!r->config || settings_load_file(r->settings, r->config, &err, &warnings)) && settings_load_env(r->settings, environ, &err, &warnings) && settings_check(r->settings, &err);
    if (warnings.n) fprintf(stderr, "weir %s: %.*s", r->name, SPAN_ARGS(buf_span(&warnings)));
    buf_done(&warnings);
    if (!good) return say(r, &err);
    buf_done(&err);
    struct span level = settings_get(r->settings, "log", "level");
    log_set_level(span_is_z(level, "debug") ? LOG_DEBUG : span_is_z(level, "warn") ? LOG_WARN : span_is_z(level, "error") ? LOG_ERROR : LOG_INFO);
    return true;
}

void run_signals_block(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);                   /* threads inherit it; one of them waits below */
    signal(SIGPIPE, SIG_IGN);
}

static void *wait_for_signals(void *arg)
{
    struct engine *e = arg;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    for (;;) {
        int got = 0;
        if (sigwait(&set, &got) != 0) continue;
        if (got == SIGHUP) engine_reload_soon(e);
        else engine_stop_soon(e);
    }
    return NULL;
}

int run_server(struct run *r, bool (*on_ready)(struct run *, int, void *), void *arg)
{
    struct buf err;
    buf_init(&err, 8192);
    run_signals_block();
    struct engine *e = engine_new(r->settings, &err);
    pthread_t waiter;
    if (!e || pthread_create(&waiter, NULL, wait_for_signals, e) != 0) {
        say(r, &err);
        engine_free(&e);
        return 1;
    }
    int status = 1;
    if (engine_start(e, &err) && (!on_ready || on_ready(r, engine_port(e), arg))) status = engine_wait(e);
    else if (err.n) say(r, &err);
    pthread_cancel(waiter);
    pthread_join(waiter, NULL);
    engine_free(&e);
    buf_done(&err);
    return status;
}
