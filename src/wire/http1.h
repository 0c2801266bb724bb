/* wire/http1.h: HTTP/1.1 requests as bytes, strictly (RFC 9112). Pure functions: no sockets, no clock, no allocation.
 *
 * What is ambiguous is refused, because a proxy in front may read it otherwise (request smuggling): anything but CRLF as a
 * line end, obs-fold, a space before the colon, a second or malformed Content-Length, a Transfer-Encoding that is not exactly
 * `chunked` or stands beside Content-Length (or in HTTP/1.0), two Host lines or none (1.1), control bytes, bad chunk sizes, chunk
 * extensions, trailers beyond the limit, targets that are neither origin-form, nor absolute-form agreeing with Host, nor `*` for OPTIONS.
 * Spans point into the caller's buffer and live as long as it does. */
#ifndef WEIR_HTTP1_H
#define WEIR_HTTP1_H
#include "base/base.h"
#include "wire/limits.h"

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE, HTTP_OPTIONS, HTTP_METHODS };
struct span http_method_name(enum http_method);

struct http_header { struct span name, value; };          /* name as sent; value without white space at its ends, of any bytes but controls */

struct http_head {
    enum http_method method;
    struct span method_text;
    struct span target;                                    /* as sent */
    struct span path;                                      /* of origin- or absolute-form, still percent-encoded; "*" for OPTIONS * */
    struct span query;                                     /* behind the '?', may be empty */
    int minor;                                             /* 0 or 1 of HTTP/1.x */
    size_t header_count;
    struct http_header headers[LIMIT_HEADER_LINES];
    struct span host;
    int64_t content_length;                                /* -1: none */
    bool chunked;
    bool keep_alive;                                       /* Connection and version taken together */
    bool expect_continue;                                  /* and a body follows: send 100 before reading it */
    bool upgrade_websocket;                                /* Connection has upgrade and Upgrade is websocket (nocase) */
};

/* Parses one head at the start of `in`.
 * > 0: the head's bytes, *out is filled;  0: incomplete, call again with more (pass the bytes already searched in *scanned, which
 * starts at 0, so that slow arrival stays linear);  < 0: -status (400 413 414 417 431 501 505): answer it and close. An incomplete
 * head that can no longer become right is refused when the line that spoils it ends, at the latest (too many lines and too long a target within 4 KiB of where
 * they became so). *out is scratch until the answer is > 0. Leading CRLFs before a request line are skipped (one at most) and counted. */
int http_head_parse(struct span in, size_t *scanned, struct http_head *out);

/* First header of that name (case-insensitive), or an empty span with p == NULL. */
struct span http_header_get(const struct http_head *, struct span name);
/* True if the comma-separated list in `value` has the token (nocase). */
bool http_list_has(struct span value, struct span token);

/* Percent-decoding of a path, once. False for malformed escapes, control bytes (NUL among them), invalid UTF-8, an encoded '/' and any '\',
 * empty names ("//"; one '/' at the end is fine) and what would leave the root. Dot segments ("." and "..", also encoded) are removed. Begins with
 * '/', or is "*" for "*". In the arena (but for "*"), NUL-terminated. False too when an arena that is not armed has no memory. */
bool http_path_decode(struct arena *a, struct span raw, struct span *out);

/* ---- chunked bodies ---- */
struct http_chunked { int state; unsigned names; uint64_t left; size_t line; size_t trailer; };   /* all zero at the start */
/* Decodes in place: moves body bytes of `data` to its front. *out_body = body bytes now at the front, *out_used = bytes of input eaten. A chunk's size is
 * at most INT64_MAX in at most 16 digits; trailers (4 KiB at most) must look like headers, may be neither Content-Length, Transfer-Encoding nor Host, and are thrown away.
 * 1: the body is complete (what is behind *out_used belongs to the next request);  0: more is needed;  -400: refuse. 1 and -400 are for ever. */
int http_chunked_decode(struct http_chunked *, char *data, size_t n, size_t *out_body, size_t *out_used);
#endif
