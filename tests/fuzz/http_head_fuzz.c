/* Request heads under the fuzzer. The first byte says in which steps the rest arrives. The head is read whole and in steps: both must tell the same
 * status and the same fields, and a refusal must not come for a prefix of what is taken. What is taken is looked at again by a second reader, written
 * without a thought for speed, that knows the rules on which request smuggling hangs. Its path goes through the decoder. */
#include <stdio.h>

#include "wire/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool inside(struct span s, struct span all) { return s.p >= all.p && s.p + s.n <= all.p + all.n; }

static void lines_check(struct span head, const struct http_head *h)
{
    size_t hosts = 0, lengths = 0, encodings = 0, lines = 0;
    struct span rest = head;
    if (span_begins(rest, SPAN("\r\n"))) rest = span_cut(rest, 2);
    must(span_ends(head, SPAN("\r\n\r\n")));
    for (bool first = true; rest.n > 2; first = false) {
        const char *cr = memchr(rest.p, '\r', rest.n), *lf = memchr(rest.p, '\n', rest.n);
        must(cr && lf == cr + 1);
        struct span line = { rest.p, (size_t)(cr - rest.p) };
        rest = span_cut(rest, line.n + 2);
        for (size_t i = 0; i < line.n; i++) must((unsigned char)line.p[i] >= 0x20 ? line.p[i] != 0x7f : line.p[i] == '\t' && !first);
        if (first) {
            size_t spaces = 0;
            for (size_t i = 0; i < line.n; i++) spaces += line.p[i] == ' ';
            must(spaces == 2 && (span_ends(line, SPAN(" HTTP/1.1")) || span_ends(line, SPAN(" HTTP/1.0"))) && span_find(line, '#') < 0);
            continue;
        }
        int colon = span_find(line, ':');
        must(colon > 0 && line.p[0] != ' ' && line.p[0] != '\t' && line.p[colon - 1] != ' ' && line.p[colon - 1] != '\t');
        struct span name = { line.p, (size_t)colon };
        hosts += span_is_nocase(name, SPAN("host"));
        lengths += span_is_nocase(name, SPAN("content-length"));
        encodings += span_is_nocase(name, SPAN("transfer-encoding"));
        must(lines < h->header_count && span_is(h->headers[lines].name, name));
        must(span_is(h->headers[lines].value, span_trim(span_cut(line, (size_t)colon + 1))));
        lines++;
    }
    must(lines == h->header_count && hosts <= 1 && lengths + encodings <= 1);
    must(h->minor == 0 || hosts == 1);
    must((lengths == 1) == (h->content_length >= 0) && (encodings == 1) == h->chunked && (h->minor == 1 || !h->chunked));
    if (lengths) {
        char again[24];
        snprintf(again, sizeof again, "%lld", (long long)h->content_length);
        must(span_is_z(http_header_get(h, SPAN("Content-Length")), again));
    }
}

static void path_check(const struct http_head *h)
{
    struct span path;
    struct arena *a = arena_new(1 << 20);
    if (!a) return;
    if (http_path_decode(a, h->path, &path) && !span_is_z(path, "*")) {
        must(path.n > 0 && path.p[0] == '/' && path.p[path.n] == 0 && utf8_valid(path) && strlen(path.p) == path.n && path.n <= h->path.n);
        must(!strstr(path.p, "//") && !strstr(path.p, "/./") && !strstr(path.p, "/../") && !strchr(path.p, '\\'));
        must(!span_ends(path, SPAN("/.")) && !span_ends(path, SPAN("/..")));
    }
    arena_free(&a);
}

static void heads_compare(const struct http_head *a, const struct http_head *b)
{
    must(a->method == b->method && a->minor == b->minor && a->content_length == b->content_length && a->chunked == b->chunked);
    must(a->keep_alive == b->keep_alive && a->expect_continue == b->expect_continue && a->upgrade_websocket == b->upgrade_websocket);
    must(a->header_count == b->header_count && span_is(a->target, b->target) && span_is(a->path, b->path) && span_is(a->query, b->query));
    must(span_is(a->host, b->host));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct http_head whole, steps;
    if (n < 1) return 0;
    struct span in = { (const char *)data + 1, n - 1 };
    size_t scanned = 0, step = data[0] % 61u + 1;
    int r = http_head_parse(in, &scanned, &whole), got = 0;
    must(r > 0 ? (size_t)r <= in.n && r <= LIMIT_HEAD_BYTES : r == 0 || r == -400 || r == -414 || r == -417 || r == -431 || r == -501 || r == -505);
    must(r != 0 || in.n < LIMIT_HEAD_BYTES);
    scanned = 0;
    for (size_t at = 0; got == 0 && at < in.n;) {
        at = in.n - at < step ? in.n : at + step;
        got = http_head_parse(span_from(in.p, at), &scanned, &steps);
        must(got != 0 || scanned == at);
    }
    if (got == 0 && r < 0) {                               /* in steps a refusal may come a little later, but it comes, and as the same */
        char *more = malloc(in.n + 4);
        must(more != NULL);
        memcpy(more, in.p, in.n);
        memcpy(more + in.n, "\r\n\r\n", 4);
        got = http_head_parse(span_from(more, in.n + 4), &scanned, &steps);
        free(more);
    }
    must(got == r);
    if (r <= 0) return 0;
    struct span head = { in.p, (size_t)r };
    must(inside(whole.target, head) && inside(whole.query, head) == (whole.query.p != NULL));
    must(inside(whole.path, head) || span_is_z(whole.path, "/") || span_is_z(whole.path, "*"));
    heads_compare(&whole, &steps);
    lines_check(head, &whole);
    path_check(&whole);
    scanned = 0;                                           /* not one byte less is a whole head */
    must(http_head_parse(span_from(head.p, head.n - 1), &scanned, &steps) == 0);
    return 0;
}
