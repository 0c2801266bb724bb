/* net/fetch.h: one outgoing HTTP request, blocking, by libcurl. For worker threads and tools only: never on a loop, never on the writer.
 *
 * Idea: a call returns either an answer (any status) or one of a few faults that say what the caller may conclude. The one thing that matters to whoever wants to repeat a
 * request is whether the peer may have seen it: `sent` tells. Each thread keeps one curl handle, so connections are kept alive between calls of a thread.
 *
 * What it refuses: schemes but http and https, user names in URLs, redirects (an API that redirects is misconfigured), certificates that do not verify, header text with
 * line breaks. URLs of WeChat's API hold secrets in their queries, so neither URL nor query appear in `why`, only scheme, host and port. Proxies of the environment
 * (https_proxy, no_proxy) are used as curl does, but never for loopback. */
#ifndef WEIR_FETCH_H
#define WEIR_FETCH_H
#include "base/base.h"
#include "wire/http1.h"

struct fetch_request {
    enum http_method method;
    struct span url;                       /* absolute */
    const char *socket;                    /* the path of a Unix socket to connect to instead of the URL's host, or NULL */
    const struct http_header *headers;
    size_t header_count;
    struct span body;                      /* ignored for GET and HEAD */
    int64_t timeout_ms;                    /* in all, from name resolution to the last byte; <= 0: FETCH_TIMEOUT at once */
    size_t max_response_bytes;             /* of the body; 0 = 1 MiB */
    bool once;                             /* must not reach the peer twice: a fresh connection, because libcurl repeats by itself what was sent on a kept one that died */
};

enum fetch_fault {
    FETCH_OK,                              /* there is an answer, of whatever status */
    FETCH_REFUSED,                         /* the request itself is wrong: URL, header */
    FETCH_UNREACHABLE,                     /* no name, no connection, no TLS: the peer saw nothing */
    FETCH_TIMEOUT,
    FETCH_BROKEN,                          /* the connection died or the answer is no HTTP */
    FETCH_TOO_LARGE,
    FETCH_MEMORY
};

struct fetch_reply {
    enum fetch_fault fault;
    bool sent;                             /* bytes of the request left us: the peer may have done what it asks */
    int status;
    struct span body;                      /* in the arena, NUL behind it */
    char why[200];                         /* English, for logs and operators; "" when FETCH_OK */
};

/* The arena's escape is not used while curl runs; when there is no room for the body it is taken after all is cleaned up (or FETCH_MEMORY if none is armed). */
void fetch(struct arena *, const struct fetch_request *, struct fetch_reply *out);
void fetch_thread_done(void);              /* closes this thread's connections now; threads that end do it by themselves */
const char *fetch_fault_name(enum fetch_fault);
#endif
