/* bench/websocket.c: see websocket.h. */
#include "websocket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

/* Byte by byte at the end of the head: what comes behind it belongs to the caller. */
void ws_open(int fd, const char *target)
{
    char text[2048];
    int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: d2VpciBiZW5jaG1hcms9PQ==\r\n\r\n", target);
    if (n < 0 || (size_t)n >= sizeof text || write(fd, text, (size_t)n) != n) tool_fail("cannot send a handshake");
    size_t got = 0;
    while (got < 4 || memcmp(text + got - 4, "\r\n\r\n", 4) != 0) {
        struct pollfd p = { fd, POLLIN, 0 };
        if (got == sizeof text - 1 || poll(&p, 1, 20000) <= 0) tool_fail("no answer to a handshake");
        if (read(fd, text + got, 1) != 1) tool_fail("a handshake was cut off");
        got++;
    }
    text[got] = '\0';
    if (memcmp(text, "HTTP/1.1 101", 12) != 0) tool_fail("no WebSocket at %s: %s", target, text);
}

void ws_send(int fd, int opcode, struct span payload)
{
    static const unsigned char mask[4] = { 0x37, 0xfa, 0x21, 0x3d };
    unsigned char text[4096 + 8];
    size_t head = payload.n < 126 ? 6 : 8;
    if (payload.n > 4096) tool_fail("a frame of %zu bytes", payload.n);
    text[0] = (unsigned char)(0x80 | opcode);
    text[1] = (unsigned char)(0x80 | (payload.n < 126 ? payload.n : 126));
    if (payload.n >= 126) {
        text[2] = (unsigned char)(payload.n >> 8);
        text[3] = (unsigned char)payload.n;
    }
    memcpy(text + head - 4, mask, 4);
    for (size_t i = 0; i < payload.n; i++) text[head + i] = (unsigned char)payload.p[i] ^ mask[i & 3];
    if (write(fd, text, head + payload.n) != (ssize_t)(head + payload.n)) tool_fail("the server closed a WebSocket (%s)", strerror(errno));
}

size_t ws_frame(struct span bytes, int *out_opcode, struct span *out_payload)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    if (bytes.n < 2) return 0;
    size_t n = p[1] & 0x7f, head = 2;
    if (!(p[0] & 0x80) || p[0] & 0x70 || p[1] & 0x80) tool_fail("a frame with the head %02x %02x", p[0], p[1]);
    if (n == 127) tool_fail("a frame of more than 64 KB");
    if (n == 126) {
        if (bytes.n < 4) return 0;
        n = (size_t)p[2] << 8 | p[3];
        head = 4;
    }
    if (bytes.n < head + n) return 0;
    *out_opcode = p[0] & 15;
    *out_payload = span_from(p + head, n);
    return head + n;
}
