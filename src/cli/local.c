/* cli/local.c: see local.h.
 *
 * Who serves is found out by trying: connect to the socket; if nobody listens there, look whether the folder's lock is free; if it is, be the server for a moment. While the lock is held but nobody answers, a
 * server is starting or stopping, or another sub-command is just ending: that is waited for, some seconds. Nothing is ever made here: a data directory that does not exist is a typing
 * error, and a database that is not up to date is the server's business. Root may speak to anybody's server, but does not become one in somebody else's folder: the files it left would be root's. */
#include "cli/local.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "net/fetch.h"
#include "net/server.h"
#include "wire/json.h"

enum { WAIT_MS = 5000, STEP_MS = 50, ANSWER_BYTES = 256 << 20 };

static int fail(const struct run *r, const char *fmt, ...) WEIR_PRINTF(2, 3);
static int fail(const struct run *r, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "weir %s: ", r->name);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    return -1;
}

bool local_chinese(void)
{
    static const char *const names[] = { "LC_ALL", "LC_MESSAGES", "LANG" };
    for (size_t i = 0; i < LENGTH(names); i++) {
        const char *value = getenv(names[i]);
        if (value && *value) return strncmp(value, "zh", 2) == 0;
    }
    return false;
}

int local_options(struct run *r, int argc, char **argv, const char *usage)
{
    if (!run_options(r, argc, argv)) return 2;
    if (r->help) {
        fputs(usage, stdout);
        return 0;
    }
    if (!run_load(r)) return 1;
    if (!settings_given(r->settings, "log", "level")) log_set_level(LOG_WARN);          /* of an engine of our own: nobody wants its story here */
    return -1;
}

int local_data_open(const struct run *r, char **out_path)
{
    struct span data = settings_get(r->settings, "server", "data");
    char path[4096];
    *out_path = NULL;
    if (!data.n || data.n >= sizeof path) {
        fail(r, "which data directory? Name it by --data DIR, or the settings file by --config FILE");
        return -1;
    }
    memcpy(path, data.p, data.n);
    path[data.n] = '\0';
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && (*out_path = realpath(path, NULL))) return fd;
    fail(r, errno == ENOENT ? "there is no data directory %s: %s" : "the data directory %s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    return -1;
}

/* ---- who serves ---- */

struct place { int fd; char *data; char socket[LOCAL_PATH_BYTES]; };

/* 0: somebody listens; else the errno of connect. */
static int knock(const struct place *p)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    memcpy(at.sun_path, p->socket, sizeof at.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int bad = fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) != 0 ? errno : 0;
    if (fd >= 0) close(fd);
    return bad;
}

static bool lock_is_free(const struct place *p, int *out_errno)
{
    int fd = openat(p->fd, "lock", O_RDWR | O_CLOEXEC);
    *out_errno = fd < 0 ? errno : 0;
    bool free_now = fd < 0 ? errno == ENOENT : flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (fd >= 0) close(fd);
    return free_now;
}

static bool ask(struct run *r, const struct place *p, struct fetch_request *request, int *out_status, struct buf *out_body, enum fetch_fault *out_fault)
{
    struct arena *a = arena_new((size_t)ANSWER_BYTES * 2);
    struct fetch_reply reply = { .fault = FETCH_MEMORY };
    request->socket = p->socket;
    if (a) fetch(a, request, &reply);
    *out_fault = reply.fault;
    *out_status = reply.status;
    if (reply.fault == FETCH_OK) buf_add_span(out_body, reply.body);
    bool good = reply.fault == FETCH_OK && !out_body->failed;
    if (good || (reply.fault == FETCH_UNREACHABLE && !reply.sent)) {
        /* the answer, or: nobody there after all */
    } else if (reply.fault == FETCH_BROKEN) {
        fail(r, "the server on %s ended the connection: it answers its own user and root only; or it was just stopped", p->data);
    } else {
        fail(r, "the server on %s gave no answer: %s", p->data, reply.fault == FETCH_OK ? "it is too long" : fetch_fault_name(reply.fault));
    }
    arena_free(&a);
    fetch_thread_done();
    return good;
}

/* ---- nobody serves: do it ourselves ---- */

static bool may_serve(const struct run *r, const struct place *p)
{
    struct stat st;
    if (!settings_get(r->settings, "store", "url").n && faccessat(p->fd, "weir.db", F_OK, 0) != 0) {
        fail(r, "%s is no data directory of Weir's: there is no weir.db in it", p->data);
        return false;
    }
    if (fstat(p->fd, &st) == 0 && st.st_uid != geteuid()) {
        fail(r, "no server runs on %s and it belongs to somebody else: do this as the user with the number %u (sudo -u '#%u' weir %s …), or start the server", p->data, (unsigned)st.st_uid, (unsigned)st.st_uid, r->name);
        return false;
    }
    return true;
}

/* *out_again: somebody else was quicker. */
static bool ask_ourselves(struct run *r, const struct place *p, struct fetch_request *request, int *out_status, struct buf *out_body, bool *out_again)
{
    struct buf err;
    enum fetch_fault fault;
    int unused;
    bool good = false;
    buf_init(&err, 8192);
    signal(SIGPIPE, SIG_IGN);
    struct engine *e = engine_new_local(r->settings, &err);
    if (e && engine_start(e, &err)) {
        good = ask(r, p, request, out_status, out_body, &fault);
        if (!good && fault == FETCH_UNREACHABLE) fail(r, "cannot reach %s/" ENGINE_SOCKET, p->data);
        engine_stop_soon(e);
        engine_wait(e);
    } else if (!e && !lock_is_free(p, &unused)) {
        *out_again = true;
    } else {
        fail(r, "%.*s", SPAN_ARGS(buf_span(&err)));
    }
    engine_free(&e);
    buf_done(&err);
    return good;
}

static bool ask_somebody(struct run *r, const struct place *p, struct fetch_request *request, int *out_status, struct buf *out_body)
{
    for (int64_t until = clock_mono_ms() + WAIT_MS; clock_mono_ms() < until;) {
        int bad = knock(p), lock_bad;
        if (bad == 0) {
            enum fetch_fault fault;
            if (ask(r, p, request, out_status, out_body, &fault)) return true;
            if (fault != FETCH_UNREACHABLE) return false;
        } else if (bad != ENOENT && bad != ECONNREFUSED && bad != EAGAIN) {
            fail(r, "%s/" ENGINE_SOCKET ": %s%s", p->data, strerror(bad), bad == EACCES || bad == EPERM ? ": do this as the server's own user, or as root" : "");
            return false;
        } else if (lock_is_free(p, &lock_bad)) {
            bool again = false;
            if (!may_serve(r, p)) return false;
            bool good = ask_ourselves(r, p, request, out_status, out_body, &again);
            if (!again) return good;
        } else if (lock_bad) {
            fail(r, "%s/lock: %s", p->data, strerror(lock_bad));
            return false;
        }
        struct timespec nap = { 0, STEP_MS * 1000000L };
        nanosleep(&nap, NULL);
    }
    fail(r, "a Weir runs on %s but does not answer there: it is starting or stopping (try again), or older than this program (its log tells; restart it)", p->data);
    return false;
}

bool local_call(struct run *r, const char *method, const char *target, const char *content_type, struct span body, int *out_status, struct buf *out_body)
{
    struct place p = { .fd = local_data_open(r, &p.data) };
    char url[8192];
    struct http_header headers[2] = { { SPAN("Accept-Language"), local_chinese() ? SPAN("zh-CN") : SPAN("en") }, { SPAN("Content-Type"), span_of(content_type) } };
    struct fetch_request request = { .url = SPAN(""), .headers = headers, .header_count = content_type ? 2 : 1, .body = body, .timeout_ms = LIMIT_OPERATOR_MS, .max_response_bytes = ANSWER_BYTES, .once = true };
    bool good = false;
    int n = snprintf(url, sizeof url, "http://localhost%s", target), m = 0;
    while (m < HTTP_METHODS && !span_is_z(http_method_name((enum http_method)m), method)) m++;
    if (p.fd < 0) goto out;
    if (m == HTTP_METHODS || n < 0 || (size_t)n >= sizeof url || target[0] != '/') {
        fail(r, "not a request: %s %.100s", method, target);
        goto out;
    }
    if (!local_socket_path(p.fd, p.data, ENGINE_SOCKET, p.socket)) {
        fail(r, "the path %s/" ENGINE_SOCKET " is too long for a socket", p.data);
        goto out;
    }
    request.method = (enum http_method)m;
    request.url = span_of(url);
    good = ask_somebody(r, &p, &request, out_status, out_body);
out:
    if (p.fd >= 0) close(p.fd);
    free(p.data);
    return good;
}

/* ---- answers ---- */

int local_finish(const struct run *r, int status, struct span body)
{
    if (status >= 200 && status < 300) return 0;
    struct arena *a = arena_new(ANSWER_BYTES);
    struct span why = { 0 };
    const json_t *tree = a ? json_read(a, body, &why) : NULL;
    const json_t *text = json_object_get(tree, "errmsg");
    if (!json_is_string(text)) text = json_object_get(tree, "msg");
    if (status == 404 && !json_is_string(text)) fail(r, "the server does not know this: it is older than this program");
    else if (json_is_string(text)) fail(r, "%s", json_string_value(text));
    else fail(r, "the server answered %d", status);
    arena_free(&a);
    return status == 400 ? 2 : 1;
}

const json_t *local_data(const struct run *r, struct arena *a, struct span body)
{
    struct span why = { 0 };
    const json_t *data = json_object_get(json_read(a, body, &why), "data");
    if (!data) fail(r, "the answer is no JSON with data in it%s%.*s", why.n ? ": " : "", SPAN_ARGS(why));
    return data;
}
