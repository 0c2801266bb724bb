/* tests/unit/net/peer.c: see peer.h. */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

bool wait_turn(int *turns)
{
    nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    return ++*turns < PEER_WAIT_MS;
}

struct peer peer_dial(int port)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return (struct peer){ .fd = fd };
}

void peer_hang_up(struct peer *p)
{
    if (p->ssl) SSL_free(p->ssl);
    close(p->fd);
    free(p->start);
    *p = (struct peer){ .fd = -1 };
}

void peer_cut(struct peer *p)
{
    struct linger cut = { .l_onoff = 1 };
    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &cut, sizeof cut);
    peer_hang_up(p);
}

void peer_half_close(struct peer *p) { assert_int_equal(shutdown(p->fd, SHUT_WR), 0); }

static void wait_ready(struct peer *p, short what)
{
    struct pollfd fd = { .fd = p->fd, .events = what };
    if (poll(&fd, 1, PEER_WAIT_MS) != 1) fail_msg("the server %s for %d ms", what == POLLIN ? "said nothing" : "read nothing", PEER_WAIT_MS);
}

void peer_say(struct peer *p, const char *bytes, size_t n)
{
    while (n) {
        ssize_t sent = p->ssl ? SSL_write(p->ssl, bytes, (int)n) : send(p->fd, bytes, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return;                                     /* the server has closed; what it said will be looked at */
        bytes += sent;
        n -= (size_t)sent;
    }
}

void peer_say_z(struct peer *p, const char *z) { peer_say(p, z, strlen(z)); }

size_t peer_say_some(struct peer *p, const char *bytes, size_t n)
{
    ssize_t sent = send(p->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? 0 : (size_t)sent;
}

bool peer_fill(struct peer *p)
{
    if (p->ended) return false;
    size_t eaten = (size_t)(p->p - p->start);
    if (p->cap - p->n - eaten < 65536) {
        if (p->n) memmove(p->start, p->p, p->n);
        if (p->cap - p->n < 65536) {
            p->cap = p->cap * 2 + 65536;
            p->start = realloc(p->start, p->cap);
            assert_non_null(p->start);
        }
        p->p = p->start;
        eaten = 0;
    }
    size_t room = p->cap - p->n - eaten;
    ssize_t got;
    if (p->ssl) {
        if (!SSL_pending(p->ssl)) wait_ready(p, POLLIN);
        got = SSL_read(p->ssl, p->p + p->n, (int)room);
    } else {
        wait_ready(p, POLLIN);
        got = recv(p->fd, p->p + p->n, room, 0);
    }
    if (got <= 0) p->ended = true;
    else p->n += (size_t)got;
    return got > 0;
}

void peer_eat(struct peer *p, size_t n)
{
    assert_true(n <= p->n);
    p->n -= n;
    p->p += n;
}

static void need(struct peer *p, size_t n)
{
    while (p->n < n)
        if (!peer_fill(p)) fail_msg("the connection ended %zu bytes too early", n - p->n);
}

static char *copy(const char *p, size_t n)
{
    char *z = malloc(n + 1);
    assert_non_null(z);
    memcpy(z, p, n);
    z[n] = '\0';
    return z;
}

static void read_chunks(struct peer *p, struct answer *a)
{
    size_t cap = 1;
    a->body = malloc(cap);
    for (;;) {
        char *end;
        while (!(end = p->n ? memmem(p->p, p->n, "\r\n", 2) : NULL)) need(p, p->n + 1);
        size_t size = strtoul(p->p, NULL, 16), line = (size_t)(end - p->p) + 2;
        need(p, line + size + 2);
        if (cap < a->body_n + size + 1) a->body = realloc(a->body, cap = 2 * (a->body_n + size + 1));
        assert_non_null(a->body);
        memcpy(a->body + a->body_n, p->p + line, size);
        a->body_n += size;
        assert_memory_equal(p->p + line + size, "\r\n", 2);
        peer_eat(p, line + size + 2);
        if (size == 0) break;
    }
    a->body[a->body_n] = '\0';
}

struct answer peer_answer(struct peer *p, bool bodyless)
{
    struct answer a = { 0 };
    char *end;
    while (!(end = p->n ? memmem(p->p, p->n, "\r\n\r\n", 4) : NULL)) need(p, p->n + 1);
    size_t head = (size_t)(end - p->p) + 4;
    a.head = copy(p->p, head - 2);
    peer_eat(p, head);
    assert_memory_equal(a.head, "HTTP/1.1 ", 9);
    a.status = atoi(a.head + 9);
    a.chunked = answer_has(&a, "Transfer-Encoding: chunked");
    const char *length = strstr(a.head, "\r\nContent-Length: ");
    if (bodyless || a.status == 204 || a.status == 304 || a.status < 200) {
        a.body = copy("", 0);
    } else if (a.chunked) {
        read_chunks(p, &a);
    } else if (length) {
        a.body_n = strtoul(length + 18, NULL, 10);
        need(p, a.body_n);
        a.body = copy(p->p, a.body_n);
        peer_eat(p, a.body_n);
    } else {
        while (peer_fill(p)) { }
        a.body_n = p->n;
        a.body = copy(p->p, p->n);
        p->n = 0;
    }
    return a;
}

void answer_free(struct answer *a)
{
    free(a->head);
    free(a->body);
    *a = (struct answer){ 0 };
}

bool answer_has(const struct answer *a, const char *line)
{
    char with_ends[512];
    snprintf(with_ends, sizeof with_ends, "\r\n%s\r\n", line);
    return strstr(a->head, with_ends) != NULL;
}

bool peer_at_end(struct peer *p)
{
    while (p->n == 0 && peer_fill(p)) { }
    return p->n == 0;
}

/* ---- WebSocket ---- */

void peer_upgrade(struct peer *p, const char *path, const char *headers)
{
    char request[1024];
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", path, headers);
    peer_say(p, request, (size_t)n);
    struct answer a = peer_answer(p, true);
    assert_int_equal(a.status, 101);
    assert_true(answer_has(&a, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));     /* RFC 6455, 1.3 */
    answer_free(&a);
}

void peer_frame(struct peer *p, int first_byte, const void *payload, size_t n)
{
    static const unsigned char mask[4] = { 0x37, 0xfa, 0x21, 0x3d };
    unsigned char *frame = malloc(n + 14);
    size_t at = 0;
    assert_non_null(frame);
    frame[at++] = (unsigned char)first_byte;
    if (n < 126) {
        frame[at++] = (unsigned char)(0x80 | n);
    } else {
        size_t wide = n < 65536 ? 2 : 8;
        frame[at++] = wide == 2 ? 0xfe : 0xff;
        for (size_t i = 0; i < wide; i++) frame[at++] = (unsigned char)((uint64_t)n >> (8 * (wide - 1 - i)));
    }
    memcpy(frame + at, mask, 4);
    at += 4;
    for (size_t i = 0; i < n; i++) frame[at + i] = ((const unsigned char *)payload)[i] ^ mask[i & 3];
    peer_say(p, (char *)frame, at + n);
    free(frame);
}

struct ws_frame peer_next_frame(struct peer *p)
{
    need(p, 2);
    size_t at = 2, n = (unsigned char)p->p[1] & 0x7f;
    assert_false((unsigned char)p->p[1] & 0x80);
    if (n >= 126) {
        size_t wide = n == 126 ? 2 : 8;
        need(p, at + wide);
        n = 0;
        for (size_t i = 0; i < wide; i++) n = n << 8 | (unsigned char)p->p[at++];
    }
    need(p, at + n);
    struct ws_frame f = { (unsigned char)p->p[0], copy(p->p + at, n), n };
    peer_eat(p, at + n);
    return f;
}

int peer_close_code(struct peer *p)
{
    struct ws_frame f = peer_next_frame(p);
    assert_int_equal(f.first_byte, 0x88);
    int code = f.n >= 2 ? (unsigned char)f.payload[0] << 8 | (unsigned char)f.payload[1] : 1005;
    free(f.payload);
    return code;
}
