/* engine/engine.c: putting one Weir together, and taking it down again without losing what was accepted. */
#include "engine/engine_in.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- the data directory ---- */

static bool make_folder(const char *path, struct buf *err)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST) return true;
    buf_printf(err, "cannot make the folder %s: %s", path, strerror(errno));
    return false;
}

static void sweep(const char *folder)                       /* temporary files of a process that was killed */
{
    DIR *d = opendir(folder);
    for (struct dirent *f; d && (f = readdir(d));)
        if (f->d_name[0] != '.') unlinkat(dirfd(d), f->d_name, 0);
    if (d) closedir(d);
}

enum { SUB_COMMAND_MS = 10000, LOCK_STEP_MS = 20 };

/* One server a folder, whoever comes second is told so at once. But a sub-command that is the server for a moment says so in the lock, and a server that is started just then waits for it. */
static bool take_lock(struct engine *e)
{
    char holder = 0;
    bool told = false, got = false;
    for (int64_t until = clock_mono_ms() + SUB_COMMAND_MS; !(got = flock(e->lock_fd, LOCK_EX | LOCK_NB) == 0);) {
        if (e->local_only || pread(e->lock_fd, &holder, 1, 0) != 1 || holder != 's' || clock_mono_ms() >= until) return false;
        if (!told) log_info("server", "a sub-command works on the data folder: waiting for it");
        told = true;
        struct timespec nap = { 0, LOCK_STEP_MS * 1000000L };
        nanosleep(&nap, NULL);
    }
    /* what it says is a courtesy: a disk that is full must not keep the server from starting */
    if (ftruncate(e->lock_fd, 0) == 0 && e->local_only && pwrite(e->lock_fd, "s", 1, 0) != 1) log_debug("server", "the lock cannot be written");
    return got;
}

static bool open_data(struct engine *e, struct buf *err)
{
    struct span data = settings_get(e->settings, "server", "data");
    char path[4096 + 16];
    if (data.n == 0 || data.n > 3800) {
        buf_add_z(err, "server.data: name a folder for the data (--data DIR, or data = DIR under [server])");
        return false;
    }
    memcpy(path, data.p, data.n);
    path[data.n] = '\0';
    if (!e->local_only && !make_folder(path, err)) return false;
    e->data = realpath(path, NULL);
    if (!e->data || (e->data_fd = open(e->data, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        buf_printf(err, "cannot open the data folder %s: %s", path, strerror(errno));
        return false;
    }
    e->lock_fd = openat(e->data_fd, "lock", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (e->lock_fd < 0 || !take_lock(e)) {
        buf_printf(err, "another Weir is running on the data folder %s (or it is not writable): stop it first, or choose another --data", e->data);
        return false;
    }
    snprintf(path, sizeof path, "%s/tmp", e->data);
    if (!make_folder(path, err)) return false;
    sweep(path);
    snprintf(path, sizeof path, "%s/upload", e->data);
    if (!make_folder(path, err)) return false;
    snprintf(path, sizeof path, "%s/upload/thumb", e->data);
    return make_folder(path, err);
}

/* The key of sealed ids: from the settings, else a file of mode 600 made at the first start. Losing it makes every handle that users hold invalid. */
static bool open_secret(struct engine *e, struct buf *err)
{
    struct span text = settings_get(e->settings, "server", "secret_key");
    unsigned char secret[32], key[32];
    if (text.n) {
        if (text.n < 16) {
            buf_add_z(err, "server.secret_key: at least 16 characters, random ones");
            return false;
        }
        sha256(text, secret);
    } else {
        int fd = openat(e->data_fd, "secret.key", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 && errno == ENOENT && faccessat(e->data_fd, "weir.db", F_OK, 0) == 0) {
            buf_printf(err, "%s has a weir.db but no secret.key: bring it back from the backup. Without it every id and handle that users hold is void; to accept that, make a new one: "
                       "head -c 32 /dev/urandom > secret.key && chmod 600 secret.key", e->data);
            return false;
        }
        if (fd < 0 && errno == ENOENT) {
            random_bytes(secret, sizeof secret);
            fd = openat(e->data_fd, "secret.key.new", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
            if (fd < 0 || write(fd, secret, 32) != 32 || fsync(fd) != 0 || renameat(e->data_fd, "secret.key.new", e->data_fd, "secret.key") != 0 || fsync(e->data_fd) != 0) {
                buf_printf(err, "cannot write %s/secret.key: %s", e->data, strerror(errno));
                if (fd >= 0) close(fd);
                return false;
            }
        } else if (fd < 0 || read(fd, secret, 32) != 32) {
            buf_printf(err, "cannot read %s/secret.key (32 bytes): restore it from a backup; without it the ids that users hold are void", e->data);
            if (fd >= 0) close(fd);
            return false;
        }
        close(fd);
    }
    hmac_sha256(span_from(secret, 32), SPAN("weir sealed ids 1"), key);
    hmac_sha256(span_from(secret, 32), SPAN("weir keys of apps 1"), e->app_key);
    e->sealer = sealer_new(key);
    if (!e->sealer) buf_add_z(err, "cannot make the sealer of ids: is OpenSSL 3 installed?");
    return e->sealer != NULL;
}

static bool open_store(struct engine *e, struct buf *err)
{
    const struct migration *lists[64] = { engine_migrations };
    size_t n = 1;
    for (const struct app *const *a = e->apps; *a; a++)
        if ((*a)->migrations) {
            must(n < LENGTH(lists));
            lists[n++] = (*a)->migrations;
        }
    char path[4200];
    struct span url = settings_get(e->settings, "store", "url");
    if (!url.n) {
        snprintf(path, sizeof path, "%s/weir.db", e->data);
        url = span_of(path);
    }
    struct store_options o = { .url = url, .migrations = lists, .migration_lists = n, .now_ms = clock_now_ms(), .check_only = e->local_only };
    e->store = store_open(&o, err);
    if (!e->store) return false;
    e->writer_conn = store_connect(e->store, false, err);
    return e->writer_conn != NULL;
}

static bool flag(const struct settings *s, const char *section, const char *key)
{
    struct span v = settings_get(s, section, key);
    return span_is_z(v, "true") || span_is_z(v, "yes") || span_is_z(v, "1") || span_is_z(v, "on");
}

static bool open_access_log(struct engine *e, struct buf *err)
{
    struct span to = settings_get(e->settings, "log", "access");
    e->access_fd = -1;
    if (!to.n || span_is_z(to, "off") || e->local_only) return true;
    if (span_is_z(to, "stderr")) {
        e->access_fd = dup(STDERR_FILENO);
        return true;
    }
    char path[4096];
    snprintf(path, sizeof path, "%.*s", SPAN_ARGS(to));
    e->access_fd = open(path, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0640);
    if (e->access_fd < 0) buf_printf(err, "log.access: cannot write %s: %s", path, strerror(errno));
    return e->access_fd >= 0;
}

/* The operator's way in. A server can do without it, and says so; a sub-command cannot. */
static bool open_socket(struct engine *e, struct buf *err)
{
    struct buf why;
    buf_init(&why, 4096 + 500);
    e->local_bound = server_listen_local(e->server, e->data_fd, e->data, ENGINE_SOCKET, &why);
    if (!e->local_bound && e->local_only) buf_add_span(err, buf_span(&why));
    else if (!e->local_bound) log_warn("server", "sub-commands such as `weir backup` cannot reach this server: %.*s", SPAN_ARGS(buf_span(&why)));
    buf_done(&why);
    return e->local_bound || !e->local_only;
}

/* While the lock is still ours: the next one's socket must not be taken for this one. */
static void close_socket(struct engine *e)
{
    if (e->local_bound) unlinkat(e->data_fd, ENGINE_SOCKET, 0);
    e->local_bound = false;
}

static bool open_server(struct engine *e, struct buf *err)
{
    const struct settings *s = e->settings;
    static char cert[4096], key[4096];
    snprintf(cert, sizeof cert, "%.*s", SPAN_ARGS(settings_get(s, "server", "tls_cert")));
    snprintf(key, sizeof key, "%.*s", SPAN_ARGS(settings_get(s, "server", "tls_key")));
    if ((*cert != '\0') != (*key != '\0')) {
        buf_add_z(err, "server.tls_cert and server.tls_key belong together: name both files or none");
        return false;
    }
    struct server_config c = { .loops = e->local_only ? 1 : (int)settings_int(s, "server", "loops"), .name = "server", .trusted_proxies = settings_get(s, "server", "trusted_proxies"),
                               .tls_cert = *cert ? cert : NULL, .tls_key = *key ? key : NULL, .max_per_address = e->demo ? 0 : (int)settings_int(s, "server", "per_address"),
                               .arena_bytes = LIMIT_ARENA_BYTES };
    edge_config(e, &c);
    e->server = server_new(&c, err);
    if (!e->server) return false;
    e->loop_count = server_loop_count(e->server);
    must(e->loop_count <= MAX_LOOPS);
    for (int i = 0; i < e->loop_count; i++) {
        struct loop_state *l = base_alloc(sizeof *l);
        if (!l) return false;
        memset(l, 0, sizeof *l);
        e->loops[i] = l;
        l->engine = e;
        buf_init(&l->access, 256 * 1024);
        buf_init(&l->scratch, LIMIT_HEAD_BYTES * 2);
        l->counts = base_alloc(((size_t)e->entry_count + 1) * sizeof *l->counts);
        if (!l->counts) return false;
        memset((void *)l->counts, 0, ((size_t)e->entry_count + 1) * sizeof *l->counts);
        l->reader = store_connect(e->store, true, err);
        if (!l->reader) return false;
    }
    char address[512];
    snprintf(address, sizeof address, "%.*s", SPAN_ARGS(settings_get(s, "server", "listen")));
    if (!e->local_only && (e->port = server_listen(e->server, address, err)) < 0) return false;
    return open_socket(e, err);
}

static bool start_apps(struct engine *e, struct buf *err)
{
    size_t n = 0;
    while (e->apps[n]) n++;
    e->app_state = base_alloc((n + 1) * sizeof *e->app_state);
    if (!e->app_state) return false;
    memset(e->app_state, 0, (n + 1) * sizeof *e->app_state);
    for (size_t i = 0; i < n; i++) {
        if (!e->apps[i]->start) continue;
        e->app_state[i] = e->apps[i]->start(e->settings, e->writer_conn, err);
        if (!e->app_state[i]) return false;
    }
    return true;
}

static struct engine *make(const struct settings *settings, bool local_only, struct buf *err)
{
    struct engine *e = base_alloc(sizeof *e);
    if (!e) return NULL;
    memset(e, 0, sizeof *e);
    e->settings = settings;
    e->local_only = local_only;
    e->apps = weir_apps;
    e->data_fd = e->lock_fd = e->access_fd = e->stop_pipe[0] = e->stop_pipe[1] = -1;
    e->started_ns = clock_mono_ns();
    random_bytes(&e->boot_id, sizeof e->boot_id);
    random_bytes(&e->rate_seed, sizeof e->rate_seed);
    e->debug = flag(settings, "debug", "routes");
    e->rehearse = flag(settings, "debug", "rehearse");
    e->demo = flag(settings, "server", "demo");
    struct span metrics = settings_get(settings, "server", "metrics");
    e->metrics = span_is_z(metrics, "all") ? METRICS_ALL : span_is_z(metrics, "off") ? METRICS_OFF : METRICS_LOOPBACK;
    e->public_url = settings_get(settings, "server", "public_url");
    if (span_ends(e->public_url, SPAN("/"))) e->public_url.n--;
    e->cors = settings_get(settings, "server", "cors");
    e->origins = settings_get(settings, "server", "origins");
    e->rate = settings_int(settings, "server", "rate");
    e->principal_rate = settings_int(settings, "server", "principal_rate");
    char zone[128];
    snprintf(zone, sizeof zone, "%.*s", SPAN_ARGS(settings_get(settings, "server", "timezone")));
    e->zone = zone_open(zone, err);
    if (!e->zone || pipe2(e->stop_pipe, O_CLOEXEC | O_NONBLOCK) != 0 || !open_access_log(e, err) || !open_data(e, err) || !open_secret(e, err) || !open_store(e, err) ||
        !table_build(e, err) || !start_apps(e, err) || !open_server(e, err)) {
        if (!err->n) buf_add_z(err, "out of memory or descriptors");
        engine_free(&e);
        return NULL;
    }
    return e;
}

struct engine *engine_new(const struct settings *settings, struct buf *err) { return make(settings, false, err); }
struct engine *engine_new_local(const struct settings *settings, struct buf *err) { return make(settings, true, err); }

int engine_port(const struct engine *e) { return e->port; }

bool engine_start(struct engine *e, struct buf *err)
{
    return writer_start(e, err) && workers_start(e, err) && server_start(e->server, err) && (e->local_only || outbox_start(e, err));
}

/* ---- stopping ---- */

static void poke(struct engine *e, char what)
{
    int saved = errno;
    ssize_t n = write(e->stop_pipe[1], &what, 1);
    (void)n;                                                /* full means that it was told already */
    errno = saved;
}

void engine_stop_soon(struct engine *e) { poke(e, 's'); }
void engine_reload_soon(struct engine *e) { poke(e, 'r'); }

static void reload(struct engine *e)
{
    struct buf err;
    buf_init(&err, 1000);
    if (server_reload_tls(e->server, &err)) log_info("server", "certificates reloaded");
    else log_error("server", "the certificates stay as they were: %.*s", SPAN_ARGS(buf_span(&err)));
    buf_done(&err);
}

int engine_wait(struct engine *e)
{
    for (;;) {
        struct pollfd p = { e->stop_pipe[0], POLLIN, 0 };
        char what = 0;
        if (poll(&p, 1, -1) < 0 && errno != EINTR) break;
        if (read(e->stop_pipe[0], &what, 1) != 1) continue;
        if (what == 's') break;
        if (what == 'r') reload(e);
    }
    atomic_store(&e->stopping, true);
    close_socket(e);
    bool broken = atomic_load(&e->broken);
    /* Accepting ends first; what was accepted is still run, committed and answered; only then the threads go. */
    server_drain(e->server);
    if (!server_wait_drained(e->server, clock_mono_ms() + LIMIT_DRAIN_MS)) log_warn("server", "some connections did not end in time and are cut");
    outbox_join(e);
    workers_join(e);
    writer_join(e);
    server_stop(e->server);
    return broken ? 1 : 0;
}

void engine_free(struct engine **pointer)
{
    struct engine *e = *pointer;
    *pointer = NULL;
    if (!e) return;
    outbox_join(e);
    workers_join(e);
    writer_join(e);
    if (e->server) {
        server_stop(e->server);
        server_free(&e->server);
    }
    close_socket(e);
    for (int i = 0; i < e->loop_count; i++) {
        struct loop_state *l = e->loops[i];
        if (!l) continue;
        store_disconnect(&l->reader);
        kept_free(l);
        while (l->spare_arenas) arena_free(&l->spare_arena[--l->spare_arenas]);
        buf_done(&l->access);
        buf_done(&l->scratch);
        free((void *)l->counts);
        free(l);
    }
    kept_stop(e);
    for (size_t i = 0; e->app_state && e->apps[i]; i++)
        if (e->app_state[i] && e->apps[i]->stop) e->apps[i]->stop(e->app_state[i]);
    free(e->app_state);
    store_disconnect(&e->writer_conn);
    store_close(&e->store);
    sealer_free(&e->sealer);
    zone_free(&e->zone);
    router_free(&e->router);
    router_free(&e->local_router);
    free(e->entries);
    free((void *)e->rates);
    free(e->data);
    int fds[] = { e->data_fd, e->lock_fd, e->access_fd, e->stop_pipe[0], e->stop_pipe[1] };
    for (size_t i = 0; i < LENGTH(fds); i++)
        if (fds[i] >= 0) close(fds[i]);
    free(e);
}
