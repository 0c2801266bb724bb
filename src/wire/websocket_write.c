/* wire/websocket_write.c: frames out. A server's frames are not masked and, since replies are whole when they leave, never fragmented;
 * so a frame is a head of 2, 4 or 10 bytes and the payload, appended to the socket's queue.
 *
 * Called by the net loop and by the hub, which encodes a broadcast once and shares the bytes. Compression is tried only where it can
 * win; whether a message is compressed is decided message by message, so a plain frame is always a right answer (RFC 7692 6). */
#include "wire/websocket_in.h"

enum { HEAD_MAX = 10, DEFLATE_FROM_BYTES = 64 };          /* shorter payloads hardly ever shrink */

static size_t head_write(char *out, int opcode, bool compressed, size_t n)
{
    out[0] = (char)(unsigned char)(0x80 | (compressed ? 0x40 : 0) | opcode);
    if (n < 126) {
        out[1] = (char)n;
        return 2;
    }
    size_t wide = n < 65536 ? 2 : 8;
    out[1] = wide == 2 ? 126 : 127;
    for (size_t i = 0; i < wide; i++)
        out[2 + i] = (char)(unsigned char)((uint64_t)n >> (8 * (wide - 1 - i)));
    return 2 + wide;
}

void ws_write(struct buf *b, int opcode, struct span payload)
{
    must(opcode == WS_OP_TEXT || opcode == WS_OP_BINARY || (opcode >= WS_OP_CLOSE && opcode <= WS_OP_PONG && payload.n <= 125));
    char head[HEAD_MAX];
    size_t n = head_write(head, opcode, false, payload.n);
    if (payload.n > SIZE_MAX - n)
        b->failed = true;
    if (!b->failed && buf_reserve(b, n + payload.n)) {    /* both or neither: half a frame would garble all that follows */
        buf_add(b, head, n);
        buf_add_span(b, payload);
    }
}

/* Tries to append a compressed frame. False: nothing was appended and the buffer has not failed on account of this. */
static bool write_smaller(struct buf *b, struct ws_inflater *inflater, int bits, int opcode, struct span payload)
{
    size_t want = HEAD_MAX + payload.n + 4, space = b->n < b->max ? b->max - b->n : 0;
    if (want > space)
        want = space;                                     /* reserving beyond the maximum would be an error for good */
    if (b->failed || want <= HEAD_MAX || !buf_reserve(b, want))
        return false;
    char *at = b->p + b->n;
    size_t room = want - HEAD_MAX;
    if (room > payload.n + 3)
        room = payload.n + 3;                             /* with the 4 bytes that are cut off: shorter than the payload, or not at all */
    size_t n = ws_deflate(inflater, bits, payload, at + HEAD_MAX, room);
    if (n == 0)
        return false;
    size_t head = head_write(at, opcode, true, n);
    memmove(at + head, at + HEAD_MAX, n);
    b->n += head + n;
    return true;
}

void ws_write_deflated_bits(struct buf *b, struct ws_inflater *inflater, int bits, int opcode, struct span payload)
{
    must(bits >= 8 && bits <= 15);
    must(opcode == WS_OP_TEXT || opcode == WS_OP_BINARY);
    bool worth = payload.n >= DEFLATE_FROM_BYTES && payload.n <= INT32_MAX / 2 && (bits > 8 || payload.n <= 256);   /* zlib has no window of 256 */
    if (!worth || !write_smaller(b, inflater, bits, opcode, payload))
        ws_write(b, opcode, payload);
}

void ws_write_deflated(struct buf *b, struct ws_inflater *inflater, int opcode, struct span payload)
{
    ws_write_deflated_bits(b, inflater, 15, opcode, payload);
}

void ws_write_close(struct buf *b, int code, struct span reason)
{
    if (code == 1005) {
        ws_write(b, WS_OP_CLOSE, SPAN(""));
        return;
    }
    must(ws_close_code_valid(code) || (code >= 1012 && code <= 1014));
    char payload[125];
    size_t n = reason.n;
    if (n > 123)
        for (n = 123; n && ((unsigned char)reason.p[n] & 0xC0) == 0x80;)
            n--;                                          /* reason.p[n] is the first byte left out: it must begin a character */
    payload[0] = (char)(unsigned char)(code >> 8);
    payload[1] = (char)(unsigned char)(code & 255);
    if (n)
        memcpy(payload + 2, reason.p, n);
    ws_write(b, WS_OP_CLOSE, span_from(payload, n + 2));
}
