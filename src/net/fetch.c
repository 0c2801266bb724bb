/* net/fetch.c: see fetch.h. The handle of a thread is made at its first request and dies with it. The answer is gathered in the handle's own buffer and copied
 * to the arena as the very last step, so that an arena that escapes by longjmp finds nothing of curl's half done. */
#include "net/fetch.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DEFAULT_RESPONSE_BYTES = 1024 * 1024, KEPT_BYTES = 64 * 1024, MAX_URL_BYTES = 16 * 1024 };

struct fetcher {
    CURL *curl;
    struct buf body;
    bool too_large;
    char error[CURL_ERROR_SIZE];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool usable;
static __thread struct fetcher *mine;              /* the same pointer as the key's: quick, and visible to leak checkers */

const char *fetch_fault_name(enum fetch_fault f)
{
    static const char *const names[] = { "ok", "refused", "unreachable", "timeout", "broken", "too large", "out of memory" };
    must((size_t)f < LENGTH(names));
    return names[f];
}

/* ---- the handle of a thread ---- */

static void fetcher_free(void *p)
{
    struct fetcher *f = p;
    if (!f) return;
    curl_easy_cleanup(f->curl);
    buf_done(&f->body);
    free(f);
    mine = NULL;
}

static void global_init(void)
{
    usable = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK && pthread_key_create(&key, fetcher_free) == 0;
}

static struct fetcher *fetcher_of_thread(void)
{
    pthread_once(&once, global_init);
    if (!usable || mine) return mine;
    struct fetcher *f = base_alloc(sizeof *f);
    if (!f) return NULL;
    *f = (struct fetcher){ .curl = curl_easy_init() };
    buf_init(&f->body, DEFAULT_RESPONSE_BYTES);
    if (!f->curl || pthread_setspecific(key, f) != 0) {
        fetcher_free(f);
        return NULL;
    }
    return mine = f;
}

void fetch_thread_done(void)
{
    if (!mine) return;
    pthread_setspecific(key, NULL);
    fetcher_free(mine);
}

/* ---- callbacks of curl ---- */

static size_t on_bytes(char *p, size_t size, size_t n, void *user)
{
    struct fetcher *f = user;
    if (n > f->body.max - f->body.n) {
        f->too_large = true;
        return 0;
    }
    buf_add(&f->body, p, size * n);                /* size is 1, says curl */
    return f->body.failed ? 0 : n;
}

/* curl itself does not set close-on-exec, and Weir starts child processes */
static curl_socket_t on_socket(void *user, curlsocktype purpose, struct curl_sockaddr *a)
{
    (void)user;
    (void)purpose;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* ---- one request ---- */

static bool is_loopback_name(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "[::1]") == 0;
}

/* Checks the URL; *out_z is to be freed; `origin` becomes what may be told about it. */
static bool take_url(struct span url, char **out_z, char *origin, size_t origin_bytes, bool *out_loopback)
{
    *out_z = NULL;
    snprintf(origin, origin_bytes, "the configured address");
    if (url.n == 0 || url.n > MAX_URL_BYTES) return false;
    for (size_t i = 0; i < url.n; i++) if ((unsigned char)url.p[i] <= ' ' || url.p[i] == 0x7f) return false;
    char *z = base_alloc(url.n + 1);
    if (!z) return false;
    memcpy(z, url.p, url.n);
    z[url.n] = '\0';
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL;
    bool good = u && curl_url_set(u, CURLUPART_URL, z, CURLU_NON_SUPPORT_SCHEME | CURLU_DISALLOW_USER) == CURLUE_OK
        && curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0)
        && curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK && host[0] && curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    if (good) {
        snprintf(origin, origin_bytes, "%.5s://%.100s:%.5s", scheme, host, port);
        *out_loopback = is_loopback_name(host);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    if (good) *out_z = z;
    else free(z);
    return good;
}

static bool take_headers(const struct fetch_request *r, struct curl_slist **list)
{
    struct curl_slist *l = curl_slist_append(NULL, "Expect:");     /* no "100-continue" and its second of waiting */
    bool good = l != NULL;
    for (size_t i = 0; good && i < r->header_count; i++) {
        struct http_header h = r->headers[i];
        struct buf line;
        buf_init(&line, 16 * 1024);
        buf_add_span(&line, h.name);
        buf_add_z(&line, h.value.n ? ": " : ";");                  /* curl's way to say: present and empty */
        buf_add_span(&line, h.value);
        good = h.name.n > 0 && !line.failed;
        for (size_t k = 0; good && k < line.n; k++) if ((unsigned char)line.p[k] < ' ' && line.p[k] != '\t') good = false;
        buf_add(&line, "", 1);
        struct curl_slist *longer = good && !line.failed ? curl_slist_append(l, line.p) : NULL;
        buf_done(&line);
        if (longer) l = longer;
        else good = false;
    }
    if (good) {
        *list = l;
        return true;
    }
    curl_slist_free_all(l);
    return false;
}

static void set_options(struct fetcher *f, const struct fetch_request *r, const char *url, struct curl_slist *headers, bool loopback)
{
    CURL *c = f->curl;
    curl_easy_reset(c);                            /* keeps the connections */
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, f->error);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, f);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "weir/" WEIR_VERSION);
    if (loopback || r->socket) curl_easy_setopt(c, CURLOPT_PROXY, "");
    if (r->socket) curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, r->socket);
    if (r->once) curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
    if (r->method == HTTP_HEAD) {
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    } else if (r->method != HTTP_GET) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, r->body.n ? r->body.p : "");
        if (r->method != HTTP_POST) curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, http_method_name(r->method).p);
    }
}

static enum fetch_fault fault_of(CURLcode code, const struct fetcher *f)
{
    switch (code) {
    case CURLE_OK: return FETCH_OK;
    case CURLE_URL_MALFORMAT: case CURLE_UNSUPPORTED_PROTOCOL: return FETCH_REFUSED;
    case CURLE_COULDNT_RESOLVE_HOST: case CURLE_COULDNT_RESOLVE_PROXY: case CURLE_COULDNT_CONNECT: case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION: case CURLE_SSL_CACERT_BADFILE: case CURLE_PROXY: return FETCH_UNREACHABLE;
    case CURLE_OPERATION_TIMEDOUT: return FETCH_TIMEOUT;
    case CURLE_FILESIZE_EXCEEDED: return FETCH_TOO_LARGE;
    case CURLE_WRITE_ERROR: return f->too_large ? FETCH_TOO_LARGE : f->body.failed ? FETCH_MEMORY : FETCH_BROKEN;
    case CURLE_OUT_OF_MEMORY: return FETCH_MEMORY;
    default: return FETCH_BROKEN;
    }
}

static void explain(struct fetch_reply *out, enum fetch_fault fault, const char *origin, const char *detail)
{
    out->fault = fault;
    snprintf(out->why, sizeof out->why, "%.120s: %.70s", origin, detail);
}

static void perform(struct fetcher *f, const struct fetch_request *r, const char *url, const char *origin, bool loopback, struct fetch_reply *out)
{
    struct curl_slist *headers = NULL;
    if (!take_headers(r, &headers)) {
        explain(out, FETCH_REFUSED, origin, "a header that cannot be sent");
        return;
    }
    f->body.n = 0;
    f->body.failed = f->too_large = false;
    f->body.max = r->max_response_bytes ? r->max_response_bytes : DEFAULT_RESPONSE_BYTES;
    f->error[0] = '\0';
    set_options(f, r, url, headers, loopback);
    CURLcode code = curl_easy_perform(f->curl);
    long status = 0, request_bytes = 0;
    curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(f->curl, CURLINFO_REQUEST_SIZE, &request_bytes);
    curl_easy_setopt(f->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    out->sent = request_bytes > 0;
    out->status = (int)status;
    /* curl's own texts may quote the URL, so its error buffer is for no log; curl_easy_strerror is safe */
    if (code != CURLE_OK) explain(out, fault_of(code, f), origin, curl_easy_strerror(code));
}

void fetch(struct arena *a, const struct fetch_request *r, struct fetch_reply *out)
{
    *out = (struct fetch_reply){ .fault = FETCH_OK };
    struct fetcher *f = fetcher_of_thread();
    char origin[128], *url;
    bool loopback = false;
    if (!f) {
        explain(out, FETCH_MEMORY, "libcurl", "cannot be set up");
        return;
    }
    if (!take_url(r->url, &url, origin, sizeof origin, &loopback)) {
        explain(out, FETCH_REFUSED, origin, "not a usable http or https URL");
        return;
    }
    if (r->timeout_ms <= 0) explain(out, FETCH_TIMEOUT, origin, "no time left");
    else perform(f, r, url, origin, loopback, out);
    free(url);
    if (out->fault != FETCH_OK) out->status = 0;
    size_t n = f->body.n;
    if (out->fault == FETCH_OK) {
        out->body = arena_copy(a, span_from(f->body.p, n));        /* may escape: the buffer is then kept for the next request, nothing is lost */
        if (!out->body.p) explain(out, FETCH_MEMORY, origin, "no room for the answer");
    }
    if (f->body.cap > KEPT_BYTES) buf_done(&f->body);
}
