/* WebSocket frames under the fuzzer. The first byte chooses (bit 0: deflate, bit 1: a small limit), the second seeds how the rest is
 * split. The same bytes are read in pieces and whole: both must tell the same events. Every text that comes out is valid UTF-8, every
 * message is within the limit, and what was refused stays refused. Messages are written again, compressed and plain, and lead back
 * to themselves. */
#include "wire/websocket_in.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct ws_inflater *inflater;

static void event_add(struct buf *log, enum ws_event e, struct span s, int code)
{
    unsigned char head[8] = { (unsigned char)e, (unsigned char)(code >> 8), (unsigned char)code, (unsigned char)s.n, (unsigned char)(s.n >> 8), (unsigned char)(s.n >> 16) };
    buf_add(log, head, sizeof head);
    if (e != WS_ERROR)
        buf_add_span(log, s);
}

/* Written as a server, a frame must come back as itself once a mask of zeros is put into it. */
static void write_back(enum ws_event e, struct span s, bool deflate)
{
    struct buf out;
    buf_init(&out, 4u << 20);
    if (deflate)
        ws_write_deflated(&out, inflater, e == WS_TEXT ? 1 : 2, s);
    else
        ws_write(&out, e == WS_TEXT ? 1 : 2, s);
    must(!out.failed);
    struct buf masked;
    buf_init(&masked, 4u << 20);
    size_t head = 2u + ((out.p[1] & 127) == 126 ? 2u : (out.p[1] & 127) == 127 ? 8u : 0u);
    char second = (char)(unsigned char)(0x80 | (unsigned char)out.p[1]);
    buf_add(&masked, out.p, 1);
    buf_add(&masked, &second, 1);
    buf_add(&masked, out.p + 2, head - 2);
    buf_add(&masked, "\0\0\0", 4);
    buf_add(&masked, out.p + head, out.n - head);
    struct ws_reader r = { .deflate = deflate, .max_bytes = 4u << 20 };
    char *in = masked.p;
    size_t in_n = masked.n;
    struct span back;
    int code;
    must(ws_read(&r, inflater, &in, &in_n, &back, &code) == e);
    must(in_n == 0 && span_is(back, s));
    ws_reader_done(&r);
    buf_done(&masked);
    buf_done(&out);
}

static void read_all(const uint8_t *data, size_t n, unsigned options, uint32_t seed, struct buf *log)
{
    struct ws_reader r = { .deflate = options & 1, .max_bytes = options & 2 ? 300 : 1u << 20 };
    size_t limit = r.max_bytes;
    bool over = false;
    for (size_t at = 0; at < n;) {
        seed = seed * 1664525u + 1013904223u;
        size_t part = seed == 0 || options & 4 ? n - at : 1 + (seed >> 24) % (options & 8 ? 3 : 200);
        if (part > n - at)
            part = n - at;
        char *piece = malloc(part), *in = piece;
        must(piece);
        memcpy(piece, data + at, part);
        at += part;
        for (;;) {
            struct span s;
            int code;
            enum ws_event e = ws_read(&r, inflater, &in, &part, &s, &code);
            if (e == WS_MORE)
                break;
            must(!over || e == WS_ERROR);
            if (!over)
                event_add(log, e, s, code);
            if (e == WS_ERROR) {
                must(code == 1002 || code == 1007 || code == 1009);
                must(!r.message && !r.control);
                over = true;
                break;
            }
            over = e == WS_CLOSE;
            if (e == WS_TEXT || e == WS_CLOSE)
                must(utf8_valid(s));
            if (e == WS_TEXT || e == WS_BINARY) {
                must(s.n <= limit);
                if (options & 4)
                    write_back(e, s, options & 1);
            } else {
                must(s.n <= 125);
            }
        }
        free(piece);
    }
    ws_reader_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2 || n > 65536)
        return 0;
    if (!inflater)
        must((inflater = ws_inflater_new()) != NULL);
    struct buf whole, pieces;
    buf_init(&whole, 64u << 20);
    buf_init(&pieces, 64u << 20);
    read_all(data + 2, n - 2, (data[0] & 3u) | 4, 1, &whole);
    read_all(data + 2, n - 2, data[0] & 11u, data[1], &pieces);
    must(span_is(buf_span(&whole), buf_span(&pieces)) && whole.failed == pieces.failed);
    buf_done(&whole);
    buf_done(&pieces);
    return 0;
}
