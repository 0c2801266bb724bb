/* bench/idle.c: holds sockets that do nothing: `idle --port P --count N --kind http|ws --target PATH` opens them, uses each once (a request and its whole answer, or the WebSocket
 * handshake), prints "ready N" and holds them until its standard input ends. Pings are answered; a socket that the server closes ends the tool with an error, so that nobody measures an emptier server than he thinks. */
#include "websocket.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { AT_ONCE = 100, ANSWER_BYTES = 16384 };

static int epoll;

static void watch(int fd, uint64_t key)
{
    struct epoll_event ev = { .events = EPOLLIN, .data.u64 = key };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) != 0) tool_fail("epoll: %s", strerror(errno));
}

/* A batch of requests out, then their answers in: faster than one by one, and never more than the listen queue holds. */
static void http_batch(int *fds, size_t n, int port, const char *target)
{
    char text[ANSWER_BYTES];
    for (size_t i = 0; i < n; i++) {
        fds[i] = tool_connect(port);
        int length = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", target);
        if (write(fds[i], text, (size_t)length) != length) tool_fail("cannot send a request");
    }
    for (size_t i = 0; i < n; i++) {
        size_t got = 0;
        const char *end = NULL;
        for (;;) {
            ssize_t more = read(fds[i], text + got, sizeof text - 1 - got);
            if (more < 0 && errno == EAGAIN) {
                usleep(200);
                continue;
            }
            if (more <= 0) tool_fail("no answer to a request (%s)", more ? strerror(errno) : "end of file");
            got += (size_t)more;
            text[got] = '\0';
            const char *length = strcasestr(text, "content-length:");
            end = strstr(text, "\r\n\r\n");
            if (end && length && got >= (size_t)(end + 4 - text) + strtoul(length + 15, NULL, 10)) break;
        }
        if (memcmp(text, "HTTP/1.1 200", 12) != 0) tool_fail("refused: %.200s", text);
    }
}

static void hold(int *fds)
{
    watch(STDIN_FILENO, UINT64_MAX);
    for (;;) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll, events, LENGTH(events), -1);
        if (n < 0 && errno != EINTR) tool_fail("epoll: %s", strerror(errno));
        for (int i = 0; i < n; i++) {
            char text[512];
            if (events[i].data.u64 == UINT64_MAX) {
                if (read(STDIN_FILENO, text, sizeof text) <= 0) return;
                continue;
            }
            int fd = fds[events[i].data.u64], opcode;
            ssize_t got = read(fd, text, sizeof text);
            struct span payload;
            if (got <= 0 || !ws_frame(span_from(text, (size_t)got), &opcode, &payload) || opcode != WS_PING) tool_fail("an idle socket was closed, or spoken to");
            ws_send(fd, WS_PONG, payload);
        }
    }
}

int main(int argc, char **argv)
{
    int port = (int)tool_number(argc, argv, "--port", 0);
    size_t count = (size_t)tool_number(argc, argv, "--count", 10000);
    const char *kind = tool_option(argc, argv, "--kind", NULL), *target = tool_option(argc, argv, "--target", NULL);
    int *fds = calloc(count, sizeof *fds);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!fds || epoll < 0) tool_fail("cannot start");
    tool_raise_descriptors(count + 16);
    for (size_t i = 0; i < count;) {
        size_t n = count - i < AT_ONCE ? count - i : AT_ONCE;
        if (strcmp(kind, "ws") == 0) {
            n = 1;
            fds[i] = tool_connect(port);
            ws_open(fds[i], target);
        } else {
            http_batch(fds + i, n, port, target);
        }
        for (size_t k = 0; k < n; k++) watch(fds[i + k], i + k);
        i += n;
    }
    printf("ready %zu\n", count);
    fflush(stdout);
    hold(fds);
    return 0;
}
