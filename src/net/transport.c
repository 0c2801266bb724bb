/* net/transport.c: the calls behind which TLS hides: receive, send, shut, close (and a send of a file's bytes, which TLS has to read and
 * write). There is none for "pending": a TLS connection counts as readable until a receive said -EAGAIN. Results: bytes; 0 = the peer's end (receive only); -EAGAIN = later, epoll will tell; any other -errno = the connection is lost.
 * Called by conn.c and out.c. */
#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net_in.h"

static ptrdiff_t result(ssize_t n)
{
    if (n >= 0) return n;
    return errno == EAGAIN || errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

ptrdiff_t transport_receive(struct conn *c, char *p, size_t n)
{
    if (c->tls) return tls_receive(c->tls, p, n);
    ssize_t got;
    do got = recv(c->fd, p, n, 0);
    while (got < 0 && errno == EINTR);
    return result(got);
}

static ptrdiff_t send_by_tls(struct conn *c, const struct iovec *iov, int n)
{
    ptrdiff_t sent = 0;
    for (int i = 0; i < n; i++) {
        for (size_t at = 0; at < iov[i].iov_len;) {
            ptrdiff_t r = tls_send(c->tls, (const char *)iov[i].iov_base + at, iov[i].iov_len - at);
            if (r < 0) return sent ? sent : r;
            at += (size_t)r;
            sent += r;
        }
    }
    return sent;
}

ptrdiff_t transport_send(struct conn *c, const struct iovec *iov, int n, bool more)
{
    if (fault_here(FAULT_SEND)) return -ECONNRESET;
    if (c->tls) return send_by_tls(c, iov, n);
    int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
    ssize_t sent;
    do {
        if (n == 1) {
            sent = send(c->fd, iov[0].iov_base, iov[0].iov_len, flags);
        } else {
            struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n };
            sent = sendmsg(c->fd, &m, flags);
        }
    } while (sent < 0 && errno == EINTR);
    return result(sent);
}

ptrdiff_t transport_send_file(struct conn *c, int fd, int64_t at, size_t n)
{
    if (fault_here(FAULT_SEND)) return -ECONNRESET;
    ssize_t r;
    if (!c->tls) {
        off_t offset = at;
        do r = sendfile(c->fd, fd, &offset, n);
        while (r < 0 && errno == EINTR);
        return r == 0 ? -EPIPE : result(r);          /* shorter than promised: the answer cannot be completed */
    }
    /* The same piece is read again after -EAGAIN: OpenSSL wants to be called with the same length. */
    char piece[TLS_PIECE];
    do r = pread(fd, piece, n < sizeof piece ? n : sizeof piece, at);
    while (r < 0 && errno == EINTR);
    if (r <= 0) return r == 0 ? -EPIPE : -EIO;
    return tls_send(c->tls, piece, (size_t)r);
}

void transport_shut(struct conn *c)
{
    if (c->tls) tls_shut(c->tls);
    shutdown(c->fd, SHUT_WR);
}

void transport_close(struct conn *c)
{
    if (c->reset) {
        struct linger cut = { .l_onoff = 1, .l_linger = 0 };
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &cut, sizeof cut);
    }
    if (c->tls) tls_free(&c->tls, !c->reset && !c->broken);
    close(c->fd);
    c->fd = -1;
}
