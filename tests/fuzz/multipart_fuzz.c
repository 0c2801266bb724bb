/* Multipart bodies under the fuzzer. The first byte says in which steps the body arrives, the first line is the Content-Type, the rest is the body. The events
 * of the body in steps must be those of the body at once, in an order that makes sense, and what they say keeps to its limits. */
#include "wire/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void part_add(struct buf *log, const struct multipart_part *p)
{
    must(p->name.n > 0 && utf8_valid(p->name) && (p->filename.n == 0 || (p->has_filename && utf8_valid(p->filename))));
    for (size_t i = 0; i < p->filename.n; i++) must((unsigned char)p->filename.p[i] >= 0x20 || p->filename.p[i] == '\t');
    if (p->filename.n) must(!memchr(p->filename.p, '/', p->filename.n) && !memchr(p->filename.p, '\\', p->filename.n));
    must(p->name.n + p->filename.n + p->type.n <= LIMIT_PART_HEAD_BYTES);
    buf_printf(log, "(%zu %zu %zu %d)", p->name.n, p->filename.n, p->type.n, p->has_filename);
    buf_add_span(log, p->name);
    buf_add_span(log, p->filename);
    buf_add_span(log, p->type);
}

/* Writes what comes to the log. */
static void run(struct span boundary, struct span body, size_t step, struct buf *log)
{
    struct multipart *m = multipart_new(boundary);
    if (!m) return;
    struct multipart_part part;
    struct span data;
    int open = 0, parts = 0;
    bool ended = false;
    enum multipart_event event = MULTIPART_MORE;
    for (size_t at = 0; at < body.n && event != MULTIPART_ERROR; at += step) {
        struct span in = span_from(body.p + at, body.n - at < step ? body.n - at : step);
        while ((event = multipart_feed(m, &in, &part, &data)) != MULTIPART_MORE && event != MULTIPART_ERROR) {
            must(!ended);
            if (event == MULTIPART_PART) {
                must(open++ == 0 && ++parts <= LIMIT_MULTIPART_PARTS);
                part_add(log, &part);
            } else if (event == MULTIPART_DATA) {
                must(open == 1 && data.n > 0);
                buf_add_span(log, data);
            } else if (event == MULTIPART_PART_END) {
                must(open-- == 1);
                buf_add_z(log, "/part");
            } else {
                must(event == MULTIPART_END && open == 0);
                ended = true;
            }
        }
        must(event == MULTIPART_ERROR || in.n == 0);
    }
    must(multipart_done(m) == ended);
    buf_add_z(log, event == MULTIPART_ERROR ? multipart_why(m) : ended ? "/end" : "/open");
    multipart_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2) return 0;
    const char *text = (const char *)data + 1, *line = memchr(text, '\n', n - 1);
    struct span boundary;
    if (!line || !multipart_boundary(span_from(text, (size_t)(line - text)), &boundary)) return 0;
    must(boundary.n >= 1 && boundary.n <= 70);
    struct span body = { line + 1, n - 2 - (size_t)(line - text) };
    struct buf once, steps;
    buf_init(&once, 1 << 24);
    buf_init(&steps, 1 << 24);
    run(boundary, body, body.n ? body.n : 1, &once);
    run(boundary, body, data[0] % 29u + 1, &steps);
    must(!once.failed && !steps.failed && span_is(buf_span(&once), buf_span(&steps)));
    buf_done(&once);
    buf_done(&steps);
    return 0;
}
