/* net/mail.c: see mail.h. A handle for each mail: they are rare, and a server that is spoken to once an hour keeps no connection. */
#include "net/mail.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/clock.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool usable;

static void global_init(void) { usable = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK; }

struct upload { struct span rest; };

static size_t on_read(char *to, size_t size, size_t n, void *user)
{
    struct upload *u = user;
    size_t room = size * n, take = u->rest.n < room ? u->rest.n : room;
    if (take) memcpy(to, u->rest.p, take);
    u->rest = span_cut(u->rest, take);
    return take;
}

static size_t on_answer(char *p, size_t size, size_t n, void *user)      /* what the server says is nobody's business */
{
    (void)p;
    (void)user;
    return size * n;
}

/* curl itself does not set close-on-exec, and Weir starts child processes */
static curl_socket_t on_socket(void *user, curlsocktype purpose, struct curl_sockaddr *a)
{
    (void)user;
    (void)purpose;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* A password is sent in clear text to this machine at most. */
static long tls_wanted(struct span url)
{
    bool secret = span_find(url, '@') >= 0, here = mail_url_is_here(url);
    return secret && !here ? (long)CURLUSESSL_ALL : here ? (long)CURLUSESSL_NONE : (long)CURLUSESSL_TRY;
}

static bool add(struct curl_slist **list, struct span address)
{
    char z[300];
    snprintf(z, sizeof z, "<%.*s>", SPAN_ARGS(address));
    struct curl_slist *longer = curl_slist_append(*list, z);
    if (longer) *list = longer;
    return longer != NULL;
}

static CURLcode perform(CURL *c, const struct mail *m, const char *url, struct curl_slist *to, const struct buf *bytes, int64_t until_mono_ms, long *out_answer)
{
    char from[300];
    int64_t left_ms = until_mono_ms - clock_mono_ms();
    struct upload upload = { buf_span(bytes) };
    snprintf(from, sizeof from, "<%.*s>", SPAN_ARGS(m->from));
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(c, CURLOPT_USE_SSL, tls_wanted(m->url));
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)left_ms);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_answer);
    curl_easy_setopt(c, CURLOPT_MAIL_FROM, from);
    curl_easy_setopt(c, CURLOPT_MAIL_RCPT, to);
    curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(c, CURLOPT_READDATA, &upload);
    curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)bytes->n);
    *out_answer = 0;
    if (left_ms <= 0) return CURLE_OPERATION_TIMEDOUT;             /* 0 would be: take all the time you want */
    CURLcode code = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, out_answer);
    return code;
}

/* The server will not take it as it is. If that is for one receiver's sake (he has left, his address is gone), the others get it one by one, and he does not. Who is to be asked later is a reason to try
 * again, and whoever has it by then gets it twice; what the server takes for nobody is not sent. */
static CURLcode perform_each(CURL *c, const struct mail *m, const char *url, const struct buf *bytes, int64_t until_mono_ms, CURLcode code, long *answer)
{
    CURLcode all = CURLE_OK;
    size_t taken = 0;
    for (size_t i = 0; i < m->to_count && all == CURLE_OK; i++) {
        struct curl_slist *to = NULL;
        CURLcode one = CURLE_OUT_OF_MEMORY;
        long said = 0;
        if (add(&to, m->to[i])) one = perform(c, m, url, to, bytes, until_mono_ms, &said);
        curl_slist_free_all(to);
        taken += one == CURLE_OK;
        if (one == CURLE_OK || said / 100 == 5) continue;
        all = one;
        *answer = said;
    }
    return all != CURLE_OK || taken ? all : code;
}

bool mail_send(const struct mail *m, char why[160])
{
    struct buf bytes, url;
    struct curl_slist *to = NULL;
    CURL *c = NULL;
    bool sent = false, listed = true;
    pthread_once(&once, global_init);
    buf_init(&bytes, MAIL_BYTES);
    buf_init(&url, 4096);
    /* with a path, or curl says EHLO with this machine's name */
    buf_printf(&url, "%.*s/weir", SPAN_ARGS(m->url));
    buf_add(&url, "", 1);
    snprintf(why, 160, "out of memory");
    for (size_t i = 0; i < m->to_count && listed; i++) listed = add(&to, m->to[i]);
    if (!mail_url_right(m->url) || m->timeout_ms <= 0) snprintf(why, 160, m->timeout_ms <= 0 ? "no time left" : "the address of the mail server cannot be used");
    else if (!mail_write(&bytes, m)) snprintf(why, 160, "the mail cannot be sent: an address or the text is not valid");
    else if (usable && listed && !url.failed && (c = curl_easy_init())) {
        long answer;
        int64_t until = clock_mono_ms() + m->timeout_ms;
        CURLcode code = perform(c, m, url.p, to, &bytes, until, &answer);
        if (code != CURLE_OK && answer / 100 == 5 && m->to_count > 1) code = perform_each(c, m, url.p, &bytes, until, code, &answer);
        sent = code == CURLE_OK;
        /* curl's own texts may quote the URL, curl_easy_strerror is safe */
        if (answer >= 400) snprintf(why, 160, "%.100s (the mail server said %ld)", curl_easy_strerror(code), answer);
        else snprintf(why, 160, "%.100s", curl_easy_strerror(code));
    }
    if (sent) why[0] = '\0';
    curl_easy_cleanup(c);
    curl_slist_free_all(to);
    buf_done(&url);
    buf_done(&bytes);
    return sent;
}
