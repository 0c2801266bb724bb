/* engine/files.c: files below the data directory and assets built into the program: ETag, conditional requests, one range (RFC 9110), gzip for assets. */
#include "engine/engine_in.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* bytes=a-b, a-, -n. 0: no (usable) range, answer it whole; 1: a range; -1: 416. */
static int parse_range(struct span value, int64_t size, int64_t *out_from, int64_t *out_bytes)
{
    if (value.n < 6 || !span_is_nocase(span_from(value.p, 6), SPAN("bytes=")) || span_find(value, ',') >= 0) return 0;
    struct span rest = span_trim(span_cut(value, 6));
    int dash = span_find(rest, '-');
    if (dash < 0) return 0;
    int64_t first = 0, last = 0;
    struct span a = { rest.p, (size_t)dash }, b = span_cut(rest, (size_t)dash + 1);
    bool has_first = a.n > 0, has_last = b.n > 0;
    if ((!has_first && !has_last) || (has_first && !span_to_i64(a, &first)) || (has_last && !span_to_i64(b, &last)) || first < 0 || last < 0) return 0;
    if (!has_first) {
        if (last == 0) return -1;
        first = last > size ? 0 : size - last;
        last = size - 1;
    } else if (!has_last || last >= size) {
        last = size - 1;
    }
    if (first >= size) return -1;
    if (last < first) return 0;
    *out_from = first;
    *out_bytes = last - first + 1;
    return 1;
}

/* strong: a weak tag is no match (RFC 9110 8.8.3.2) */
static bool etag_matches(struct span list, struct span etag, bool strong)
{
    if (span_is(span_trim(list), SPAN("*"))) return true;
    while (list.n) {
        int comma = span_find(list, ',');
        struct span one = span_trim((struct span){ list.p, comma < 0 ? list.n : (size_t)comma });
        if (!strong && span_begins(one, SPAN("W/"))) one = span_cut(one, 2);
        if (span_is(one, etag)) return true;
        list = span_cut(list, comma < 0 ? list.n : (size_t)comma + 1);
    }
    return false;
}

struct content { struct span etag; int64_t size, modified_ms; int fd; struct span bytes; };

static bool modified_after(const struct content *c, struct span date, bool unreadable)
{
    int64_t ms;
    if (!date.n || !c->modified_ms || !clock_parse_http_date(date, &ms)) return unreadable;
    return c->modified_ms / 1000 > ms / 1000;
}

/* In the order of RFC 9110 13.2.2: 412, 304, or 200. */
static int judge_conditions(struct request *r, const struct content *c)
{
    struct span match = request_head(r, "If-Match"), none_match = request_head(r, "If-None-Match");
    if (match.n ? !etag_matches(match, c->etag, true) : modified_after(c, request_head(r, "If-Unmodified-Since"), false)) return 412;
    if (none_match.n ? etag_matches(none_match, c->etag, false) : !modified_after(c, request_head(r, "If-Modified-Since"), true)) return 304;
    return 200;
}

static void send_content(struct request *r, struct content *c, struct buf *h)
{
    buf_printf(h, "ETag: %.*s\r\nAccept-Ranges: bytes\r\n", SPAN_ARGS(c->etag));
    if (c->modified_ms) {
        char date[30];
        clock_http_date(c->modified_ms, date);
        buf_printf(h, "Last-Modified: %s\r\n", date);
    }
    struct span range = request_head(r, "Range"), if_range = request_head(r, "If-Range");
    int64_t from = 0, bytes = c->size;
    int status = judge_conditions(r, c);
    bool get = request_http(r)->method == HTTP_GET;         /* ranges are defined for nothing else (RFC 9110 14.2) */
    if (status == 200 && get && range.n && (!if_range.n || span_is(if_range, c->etag))) {
        int kind = parse_range(range, c->size, &from, &bytes);
        if (kind > 0) {
            status = 206;
            buf_printf(h, "Content-Range: bytes %lld-%lld/%lld\r\n", (long long)from, (long long)(from + bytes - 1), (long long)c->size);
        } else if (kind < 0) {
            status = 416;
            buf_printf(h, "Content-Range: bytes */%lld\r\n", (long long)c->size);
        }
    }
    bool none = status != 200 && status != 206;
    if (none || c->fd < 0) {
        struct span body = none ? SPAN("") : (struct span){ c->bytes.p + from, (size_t)bytes };
        if (c->fd >= 0) close(c->fd);
        exchange_reply(r->exchange, status, buf_span(h), body);
        return;
    }
    exchange_reply_file(r->exchange, status, buf_span(h), c->fd, from, bytes);
}

static void free_it(void *p) { free(p); }

/* gzip of an asset; an empty span if it is not worth it or fails. */
static struct span gzip(struct arena *a, struct span in)
{
    if (in.n < 512 || in.n > 1 << 20) return (struct span){ 0 };
    z_stream z = { 0 };
    size_t room = compressBound((uLong)in.n) + 32;
    unsigned char *out = base_alloc(room);
    if (!out || deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(out);
        return (struct span){ 0 };
    }
    z.next_in = (unsigned char *)(uintptr_t)in.p;
    z.avail_in = (uInt)in.n;
    z.next_out = out;
    z.avail_out = (uInt)room;
    int rc = deflate(&z, Z_FINISH);
    size_t n = z.total_out;
    deflateEnd(&z);
    arena_defer(a, free_it, out);
    return rc == Z_STREAM_END ? span_from(out, n) : (struct span){ 0 };
}

void files_reply(struct request *r, struct reply *reply, struct span headers)
{
    struct buf h;
    struct content c = { .fd = -1 };
    char etag[48];
    buf_init(&h, LIMIT_HEAD_BYTES);
    buf_add_span(&h, headers);
    if (reply->asset.n) {
        c.bytes = reply->asset;
        uint64_t hash = hash64(reply->asset, 0);
        bool text = reply->type && (strncmp(reply->type, "text/", 5) == 0 || strstr(reply->type, "javascript") || strstr(reply->type, "svg"));
        struct span packed = { 0 };
        if (text) buf_add_z(&h, "Vary: Accept-Encoding\r\n");
        if (text && http_list_has(request_head(r, "Accept-Encoding"), SPAN("gzip"))) packed = gzip(r->arena, reply->asset);
        if (packed.n) {
            c.bytes = packed;
            buf_add_z(&h, "Content-Encoding: gzip\r\n");
        }
        c.size = (int64_t)c.bytes.n;
        snprintf(etag, sizeof etag, "\"%016llx%s\"", (unsigned long long)hash, packed.n ? "-gz" : "");
    } else {
        struct stat st;
        /* the path was made by the app out of names it stored; still, no link is followed at its end */
        c.fd = openat(r->engine->data_fd, reply->file.p, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (c.fd < 0 || fstat(c.fd, &st) != 0 || !S_ISREG(st.st_mode)) {
            if (c.fd >= 0) close(c.fd);
            buf_done(&h);
            reply->file.n = 0;
            r->outage = 404;
            edge_release(r);
            return;
        }
        c.size = st.st_size;
        c.modified_ms = (int64_t)st.st_mtim.tv_sec * 1000;
        snprintf(etag, sizeof etag, "\"%llx-%llx-%lx\"", (unsigned long long)st.st_ino, (unsigned long long)st.st_size, (unsigned long)st.st_mtim.tv_sec ^ (unsigned long)st.st_mtim.tv_nsec);
    }
    c.etag = span_of(etag);
    send_content(r, &c, &h);
    buf_done(&h);
}
