/* net/local.c: the Unix socket in a folder: where the operator's sub-commands speak to a running server.
 *
 * Who may come in is settled twice: the folder and the socket are its owner's (700 and 600), and each connection is asked for the user at its other end (SO_PEERCRED), for a folder
 * may have been opened by hand. Nobody is told why: a stranger's connection is closed without a word.
 *
 * A socket's address has 108 bytes and a data directory may be deeper. The folder is open anyway, so /proc/self/fd/N/NAME leads to the same place; without /proc and with a
 * long path there is no socket, and the caller says so. The socket is bound before it listens and gets its mode in between, so it is never open to more than it should be.
 * Called by the engine (listen), by the command line (path) and by accept.c (who is there). */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/net_in.h"

enum { LOCAL_BACKLOG = 64 };

bool local_socket_path(int dir_fd, const char *dir, const char *name, char out[LOCAL_PATH_BYTES])
{
    int n = snprintf(out, LOCAL_PATH_BYTES, "%s/%s", dir, name);
    if (n > 0 && n < LOCAL_PATH_BYTES) return true;
    char folder[40];
    snprintf(folder, sizeof folder, "/proc/self/fd/%d", dir_fd);
    n = snprintf(out, LOCAL_PATH_BYTES, "%s/%s", folder, name);
    struct stat a, b;
    return n > 0 && n < LOCAL_PATH_BYTES && stat(folder, &a) == 0 && fstat(dir_fd, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool local_peer_is_ours(int fd)
{
    struct ucred who;
    socklen_t n = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && n == sizeof who && (who.uid == geteuid() || who.uid == 0);
}

bool server_listen_local(struct server *s, int dir_fd, const char *dir, const char *name, struct buf *err)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    _Static_assert(sizeof at.sun_path == LOCAL_PATH_BYTES, "a path fits");
    must(!s->started);
    if (!local_socket_path(dir_fd, dir, name, at.sun_path)) {
        buf_printf(err, "the path %s/%s is too long for a socket and there is no /proc to shorten it by: choose a shorter data directory", dir, name);
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT) && bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
    bool bound = good;
    good = good && fchmodat(dir_fd, name, 0600, 0) == 0 && listen(fd, LOCAL_BACKLOG) == 0;
    if (good) return listener_keep(s, fd, err);
    buf_printf(err, "cannot listen on %s/%s: %s", dir, name, strerror(errno));
    if (bound) unlinkat(dir_fd, name, 0);
    if (fd >= 0) close(fd);
    return false;
}
