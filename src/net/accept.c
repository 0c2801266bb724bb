/* net/accept.c: listeners and who is let in. All loops wait on the same descriptors (EPOLLEXCLUSIVE wakes one or a few of them); no SO_REUSEPORT,
 * for that would let a second server in silently.
 *
 * Three walls. A server with all its connections in use lets a few more in, only to tell them 503 and close; beyond those, and
 * beyond the descriptors of the process, connections are accepted and closed at once: a spare descriptor is given up for that moment, else the
 * listener would stay readable and the loop spin. If even that fails, the loop stops accepting for a tenth of a second. The third wall is the
 * cap per address (IPv6: per /64); trusted proxies have none, for they stand for many.
 *
 * Called by loop.c and server.c. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hash.h"
#include "net/net_in.h"

enum { ACCEPTS_A_TURN = 16, BACK_OFF_MS = 100, BACKLOG = 4096, SLACK = 2 };

/* ---- opening ---- */

static bool split(const char *address, char host[256], char port[8])
{
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address) return false;
    size_t n = (size_t)(colon - address), ports = strlen(colon + 1);
    if (address[0] == '[' && address[n - 1] == ']') {
        address++;
        n -= 2;
    }
    if (n == 0 || n > 255 || ports == 0 || ports > 5 || strspn(colon + 1, "0123456789") != ports) return false;
    memcpy(host, address, n);
    host[n] = '\0';
    memcpy(port, colon + 1, ports + 1);
    return strtol(port, NULL, 10) <= 65535;
}

static int open_one(const struct addrinfo *ai)
{
    int one = 1, zero = 0;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);      /* accepted sockets inherit it: no system call for each of them */
    if (ai->ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int port_of(int fd)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)&sa, &n) != 0) return -1;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    if (sa.ss_family == AF_INET) {
        memcpy(&in, &sa, sizeof in);
        return ntohs(in.sin_port);
    }
    memcpy(&in6, &sa, sizeof in6);
    return ntohs(in6.sin6_port);
}

/* A name may have several addresses: the first IPv4 one, else the first. */
static const struct addrinfo *choose(const struct addrinfo *list)
{
    for (const struct addrinfo *ai = list; ai; ai = ai->ai_next)
        if (ai->ai_family == AF_INET) return ai;
    return list;
}

bool listener_keep(struct server *s, int fd, struct buf *err)
{
    struct listener *listener = base_alloc(sizeof *listener);
    if (!listener) {
        close(fd);
        buf_add_z(err, "out of memory");
        return false;
    }
    *listener = (struct listener){ .source = { SOURCE_LISTENER }, .fd = fd, .next = s->listeners };
    s->listeners = listener;
    return true;
}

bool listener_open(struct server *s, const char *address, struct buf *err, int *out_port)
{
    char host[256], port[8];
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *list = NULL;
    if (!split(address, host, port)) {
        buf_printf(err, "\"%s\" is not an address to listen on; write one like 127.0.0.1:8000 or [::1]:8000", address);
        return false;
    }
    int bad = getaddrinfo(host, port, &hints, &list);
    if (bad) {
        buf_printf(err, "cannot listen on %s: %s", address, gai_strerror(bad));
        return false;
    }
    int fd = open_one(choose(list));
    freeaddrinfo(list);
    if (fd < 0) {
        const char *remedy = errno == EADDRINUSE ? "; another server is running there: stop it or choose another port"
                           : errno == EACCES ? "; ports below 1024 need the capability CAP_NET_BIND_SERVICE" : "";
        buf_printf(err, "cannot listen on %s: %s%s", address, strerror(errno), remedy);
        return false;
    }
    *out_port = port_of(fd);
    return listener_keep(s, fd, err);
}

/* ---- a loop's part in the listeners ---- */

static void accept_on(struct loop *l)
{
    for (struct listener *at = l->server->listeners; at; at = at->next) {
        struct epoll_event ev = { .events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = &at->source };
        must(epoll_ctl(l->epoll, EPOLL_CTL_ADD, at->fd, &ev) == 0 || errno == ENOMEM || errno == ENOSPC);
    }
}

static void accept_off(struct loop *l)
{
    for (struct listener *at = l->server->listeners; at; at = at->next) epoll_ctl(l->epoll, EPOLL_CTL_DEL, at->fd, NULL);
}

static void accept_again(struct loop *l, struct loop_timer *t)
{
    (void)t;
    if (l->accepting) accept_on(l);
}

static void accept_back_off(struct loop *l)
{
    accept_off(l);
    l->accept_timer.fire = accept_again;
    loop_timer_set(l, &l->accept_timer, BACK_OFF_MS);
}

void loop_listen(struct loop *l)
{
    l->accepting = true;
    accept_on(l);
}

void loop_listen_no_more(struct loop *l)
{
    struct server *s = l->server;
    if (!l->accepting) return;
    l->accepting = false;
    loop_timer_clear(l, &l->accept_timer);
    accept_off(l);
    if (atomic_fetch_sub(&s->loops_listening, 1) != 1) return;
    for (struct listener *at = s->listeners; at; at = at->next) close(at->fd);
}

/* ---- the table of addresses: only used when there is a cap ---- */

static void address_key(const struct address *a, uint64_t key[2])
{
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
    memcpy(key, a->ip, 16);
    if (memcmp(a->ip, mapped, 12) != 0) key[1] = 0;
}

static struct address_count **address_find(struct server *s, const uint64_t key[2])
{
    uint64_t hash = hash64(span_from(key, 16), s->address_seed);
    struct address_count **at = &s->addresses[hash % ADDRESS_SLOTS];
    while (*at && ((*at)->key[0] != key[0] || (*at)->key[1] != key[1])) at = &(*at)->next;
    return at;
}

/* Counts the peer in; false if it has too many connections. */
static bool address_enter(struct conn *c)
{
    struct server *s = c->loop->server;
    uint64_t key[2];
    bool fits = true;
    if (s->config.max_per_address <= 0 || c->trusted || c->local) return true;
    address_key(&c->peer, key);
    pthread_mutex_lock(&s->lock);
    struct address_count **at = address_find(s, key);
    if (!*at && (*at = base_alloc(sizeof **at))) **at = (struct address_count){ .key = { key[0], key[1] } };
    if (*at) {
        fits = ++(*at)->n <= s->config.max_per_address;
        c->counted = true;
    }
    pthread_mutex_unlock(&s->lock);
    return fits;
}

static void address_leave(struct conn *c)
{
    struct server *s = c->loop->server;
    uint64_t key[2];
    if (!c->counted) return;
    address_key(&c->peer, key);
    pthread_mutex_lock(&s->lock);
    struct address_count **at = address_find(s, key), *found = *at;
    must(found && found->n > 0);
    if (--found->n == 0) {
        *at = found->next;
        free(found);
    }
    pthread_mutex_unlock(&s->lock);
}

void server_conn_closed(struct conn *c)
{
    struct server *s = c->loop->server;
    address_leave(c);
    atomic_fetch_sub(&c->loop->load, 1);
    count(&c->loop->counters.closed, 1);
    if (atomic_fetch_sub(&s->open, 1) == 1 && atomic_load(&s->draining)) {
        pthread_mutex_lock(&s->lock);
        pthread_cond_broadcast(&s->drained);
        pthread_mutex_unlock(&s->lock);
    }
}

/* ---- accepting ---- */

static bool start_tls(struct conn *c)
{
    struct server *s = c->loop->server;
    pthread_mutex_lock(&s->lock);
    c->tls = tls_new(s->tls, c->fd);
    pthread_mutex_unlock(&s->lock);
    if (!c->tls) return false;
    c->state = CONN_HANDSHAKE;
    conn_deadline(c, s->deadlines.head_ms);
    return true;
}

static void admit(struct loop *l, int fd, const struct sockaddr *sa)
{
    struct server *s = l->server;
    struct address peer = { { 0 } };
    int open = atomic_fetch_add(&s->open, 1) + 1;
    bool local = sa->sa_family == AF_UNIX;
    bool known = local ? local_peer_is_ours(fd) : address_of(sa, &peer);
    struct conn *c = NULL;
    if (!known || open > s->max_connections + EXTRA_CONNECTIONS) close(fd);
    else c = conn_new(l, fd, &peer, !local && address_list_has(&s->trusted, &peer));
    if (!c) {
        atomic_fetch_sub(&s->open, 1);
        atomic_fetch_sub(&l->load, 1);
        count(&l->counters.refused_full, 1);
        return;
    }
    count(&l->counters.accepted, 1);
    c->local = local;
    bool fits = address_enter(c);
    if ((open > s->max_connections && !local) || !fits) {               /* the operator is wanted most when all is full */
        count(&l->counters.refused_full, 1);
        if (s->config.tls_cert) conn_break(c, false);
        else conn_refuse(c, 503, SPAN(""));
    } else if (s->config.tls_cert && !local && !start_tls(c)) {
        conn_break(c, true);
    }
}

/* epoll wakes the same loop again and again, so who accepts does not keep: a loop that has clearly more than the idlest hands the connection to that one. */
struct arrival { struct loop_task task; int fd; struct sockaddr_storage sa; };

static void arrive(struct loop *l, struct loop_task *task)
{
    struct arrival *a = CONTAINER(task, struct arrival, task);
    if (l->accepting) {
        admit(l, a->fd, (struct sockaddr *)&a->sa);
    } else {
        close(a->fd);                                                /* drained or stopped meanwhile */
        atomic_fetch_sub(&l->load, 1);
    }
    free(a);
}

static void distribute(struct loop *l, int fd, const struct sockaddr_storage *sa)
{
    struct server *s = l->server;
    struct loop *idlest = l;
    int own = atomic_load(&l->load), least = own;
    for (int i = 0; i < s->loop_n; i++) {
        int load = atomic_load(&s->loops[i].load);
        if (load >= least) continue;
        least = load;
        idlest = &s->loops[i];
    }
    struct arrival *a = own > least + SLACK + least / 8 ? base_alloc(sizeof *a) : NULL;
    if (!a) {
        atomic_fetch_add(&l->load, 1);
        admit(l, fd, (const struct sockaddr *)sa);
        return;
    }
    *a = (struct arrival){ .task = { .run = arrive }, .fd = fd, .sa = *sa };
    atomic_fetch_add(&idlest->load, 1);
    loop_post(idlest, &a->task);
}

/* The process has no descriptor left. */
static void accept_with_spare(struct loop *l, int listener_fd)
{
    if (l->spare_fd >= 0) close(l->spare_fd);
    int fd = accept4(listener_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        count(&l->counters.refused_full, 1);
    }
    l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || l->spare_fd < 0) accept_back_off(l);
}

void listener_accept(struct loop *l, struct listener *listener)
{
    for (int i = 0; i < ACCEPTS_A_TURN && l->accepting; i++) {
        struct sockaddr_storage sa;
        socklen_t n = sizeof sa;
        int fd = accept4(listener->fd, (struct sockaddr *)&sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            distribute(l, fd, &sa);
            continue;
        }
        if (errno == EAGAIN) return;
        if (errno == EMFILE || errno == ENFILE) {
            accept_with_spare(l, listener->fd);
            return;
        }
        if (errno == ENOBUFS || errno == ENOMEM) {
            accept_back_off(l);
            return;
        }
        /* ECONNABORTED, EPROTO and the like belong to the one connection that failed */
    }
}
