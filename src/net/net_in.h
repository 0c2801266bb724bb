/* net/net_in.h: what the files of net/ share. Nobody else includes it (but for tests/unit/net, which shortens the deadlines).
 *
 * The map: server.c life and numbers · accept.c listeners and limits · loop.c one thread: epoll, mailbox, the turn · timer.c the wheel ·
 * conn.c one connection: what to do with its next bytes · body.c request bodies · exchange.c answers · out.c what is to be sent ·
 * socket.c WebSockets · frame.c their frames · local.c the Unix socket · transport.c and tls.c receive, send, shut, close · address.c peers and proxies.
 *
 * Two rules keep all of it free of reentrancy:
 *  1. Callbacks (but on_done) are called from the top of the loop only: from conn_work(), a timer or a task, never from inside a function that a handler
 *     called. Whatever such a function finds out (the peer is gone, the queue is empty) is noted in the connection, which is put on the ready list.
 *  2. A connection that was closed stays in memory until the end of the turn (loop->dead), so nobody up the stack holds a dangling pointer. */
#ifndef WEIR_NET_IN_H
#define WEIR_NET_IN_H
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "net/server.h"
#include "wire/limits.h"
#include "wire/websocket.h"

#define CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

enum {
    READ_BYTES = 64 * 1024,             /* the loop's read buffer */
    COPY_BYTES = 32 * 1024,             /* answers up to this are gathered in the loop's write buffer, larger ones are sent from where they stand */
    BATCH_BYTES = 128 * 1024,           /* the write buffer is sent when it has grown to this */
    QUEUE_LOW_BYTES = 64 * 1024,        /* on_drained below this */
    DISCARD_BYTES = 64 * 1024,          /* the rest of a body that nobody wants is read for the sake of keep-alive up to this */
    SOCKET_BUSY_BYTES = 256 * 1024,     /* a WebSocket peer with so much unread is not read any more */
    READS_A_TURN = 8,                   /* then the other connections have their turn */
    SENDFILE_A_TURN = 1024 * 1024,
    TLS_PIECE = 16 * 1024,
    EXTRA_CONNECTIONS = 64              /* beyond the maximum, only to be told 503 */
};

/* ---- deadlines: LIMIT_… but for tests ---- */

struct deadlines { int64_t head_ms, idle_ms, body_grace_ms, body_rate, send_ms, linger_ms, linger_total_ms, ping_ms, pong_ms, close_ms; };
struct deadlines *server_deadlines(struct server *);           /* to be changed before server_start only */
size_t server_idle_bytes(const struct server *, bool socket);  /* our memory of one idle connection (or WebSocket), without its share of a slab's head */

/* ---- pools: things of one size, taken and given back without malloc ---- */

struct slab;
struct pool { size_t size; void *free; struct slab *slabs; };
void pool_init(struct pool *, size_t size);
void *pool_take(struct pool *);                                 /* cleared; NULL: no memory */
void pool_give(struct pool *, void *);
void pool_done(struct pool *);                                  /* frees the slabs with all that is in them */

/* ---- addresses ---- */

struct address { unsigned char ip[16]; };                       /* IPv4 as ::ffff:a.b.c.d */
struct address_range { struct address base; int bits; };        /* bits of 128 */
struct address_list { size_t n; struct address_range *at; };
struct sockaddr;
bool address_of(const struct sockaddr *, struct address *out);
bool address_parse(struct span, struct address *out);           /* bare IPv4 or IPv6 */
bool address_parse_hop(struct span, struct address *out);       /* as in X-Forwarded-For: also with a port, also in brackets */
size_t address_print(const struct address *, char out[46]);     /* IPv4 as such; NUL-terminated */
bool address_is_loopback(const struct address *);
bool address_list_parse(struct span, struct address_list *out, struct buf *err);
void address_list_free(struct address_list *);
bool address_list_has(const struct address_list *, const struct address *);
/* Who is behind `peer`, which is trusted: the right-most address of X-Forwarded-For that is not. */
struct address address_behind(const struct address_list *, const struct address *peer, const struct http_head *);

/* ---- what epoll points to ---- */

enum source_kind { SOURCE_MAILBOX, SOURCE_LISTENER, SOURCE_CONN };
struct source { uint8_t kind; };

/* ---- connections ---- */

enum conn_state {
    CONN_HANDSHAKE,                     /* TLS */
    CONN_HEAD,                          /* between requests, or inside a head */
    CONN_BODY,                          /* c->exchange has its head, its body is under way */
    CONN_RUN,                           /* c->exchange is complete; its answer is awaited or under way */
    CONN_DISCARD,                       /* answered; the rest of its body is skipped */
    CONN_SOCKET,                        /* a WebSocket */
    CONN_FLUSH,                         /* closes as soon as all is sent */
    CONN_LINGER,                        /* our side is shut; what still comes is thrown away, so that the peer can read our last words */
    CONN_CLOSED
};

struct inbuf { size_t at, n, cap, scanned; char p[]; };          /* bytes that are not eaten yet: p[at..n) */
struct rest { int64_t left, seen; bool chunked; struct http_chunked decoder; };

enum out_kind { OUT_BYTES, OUT_FRAME, OUT_FILE };
struct out {
    struct out *next;
    uint8_t kind;
    bool deflated, started;                                     /* frames: which form; a part of it is sent */
    int fd;
    size_t left;                                                /* unsent bytes */
    int64_t at;                                                 /* where they begin in p, the frame or the file */
    struct frame *frame;
    char p[];
};

struct tls;
struct conn {
    struct source source;
    uint8_t state;
    bool readable : 1;                  /* the kernel may have bytes (or the end) for us */
    bool blocked : 1;                   /* the kernel takes no more for now: wait for EPOLLOUT */
    bool eof : 1;
    bool hung_up : 1;                   /* EPOLLRDHUP was seen: a short read is not the last one */
    bool broken : 1;                    /* to be closed at the next conn_work */
    bool ready : 1;                     /* on the loop's ready list */
    bool linger : 1;                    /* CONN_FLUSH: go on to CONN_LINGER */
    bool in_head : 1;                   /* first bytes of a head are here: its deadline runs */
    bool reset : 1;                     /* close with RST: what was sent is not whole */
    bool trusted : 1, counted : 1;      /* the peer is a trusted proxy; is in the table of addresses */
    bool local : 1;                     /* of the Unix socket: the peer is our user or root */
    int fd;
    struct loop *loop;
    struct conn *next, **link;          /* of loop->conns */
    struct conn *ready_next;
    struct loop_timer timer;
    int64_t deadline_ms;                /* lazily: the timer may be due earlier and then looks here */
    struct exchange *exchange;
    union { struct socket *socket; struct rest *rest; int64_t linger_until_ms; };   /* by state: CONN_SOCKET, CONN_DISCARD, CONN_LINGER */
    struct inbuf *in;
    struct out *out_first, *out_last;
    size_t out_bytes;
    struct tls *tls;                    /* NULL: plaintext */
    struct address peer;
};

struct conn *conn_new(struct loop *, int fd, const struct address *peer, bool trusted);   /* takes fd; NULL: no memory (fd is closed) */
void conn_event(struct conn *, uint32_t events);
void conn_work(struct conn *);                                  /* eats what there is to eat, sends what there is to send */
void conn_ready(struct conn *);                                 /* conn_work soon, in this turn */
void conn_close(struct conn *);                                 /* top of the loop only */
void conn_break(struct conn *, bool reset);                     /* from anywhere: close soon, send nothing more */
void conn_refuse(struct conn *, int status, struct span raw_head);   /* answers with on_refused's body; then closes */
void conn_finish(struct conn *, bool linger);                   /* send what is queued, then close */
void conn_deadline(struct conn *, int64_t delay_ms);
void conn_no_deadline(struct conn *);
void conn_drain(struct conn *);                                 /* the server is being drained */
size_t conn_discard(struct conn *, char *p, size_t n);

/* ---- exchanges ---- */

struct exchange {
    struct loop *loop;
    struct conn *conn;                  /* NULL: lost, or answered */
    struct arena *arena;
    void *user;
    struct exchange *next, **link;      /* of loop->exchanges: all that live */
    struct exchange *lost_next, **lost_link;   /* of loop->lost: streams to be told by on_drained that their connection is gone */
    struct span body;
    struct buf body_buf;                /* for bodies that come in pieces; what `body` then points to */
    int64_t body_limit, body_left, body_seen, body_since_ms;
    struct http_chunked decoder;
    uint64_t sent_bytes;
    int status;
    char client[46];
    uint8_t client_n;
    struct address peer;
    bool tls, trusted, local;           /* never changed again: bytes of their own, because other threads may ask while the loop writes the bits below */
    bool lost : 1;
    bool stream_body : 1, body_paused : 1, body_complete : 1;
    bool in_callback : 1, ended : 1;    /* ended while in a callback: on_done comes when it returns */
    bool begun : 1, chunked : 1, bodyless : 1, keep : 1, want_drained : 1;
    struct http_head head;
};

struct exchange *exchange_take(struct loop *);                  /* out of the pool; NULL: no memory */
void exchange_give(struct exchange *);
bool exchange_adopt(struct exchange *, struct conn *, struct span raw_head);   /* copies the head; false: no memory */
void exchange_start(struct exchange *, bool more_is_here);      /* on_head and what follows */
void exchange_request(struct exchange *);                       /* the body is complete */
void exchange_end_of(struct exchange *);                        /* nothing more comes: on_done, now or when the callback returns */
void exchange_drop(struct exchange *);                          /* its connection is gone */
bool exchange_callback_over(struct exchange *);                 /* after a callback; false: the exchange is gone */
void exchange_drained(struct exchange *);                       /* calls on_drained */
size_t body_eat(struct conn *, char *p, size_t n);
bool body_late(struct exchange *, int64_t *out_wait_ms);
void answer_head(struct loop *, struct buf *, int status, struct span headers, int64_t length, bool chunked, bool keep, int minor);

/* ---- output ---- */

/* Between these two the answer is written into *b. Nothing is sent until the connection's work or the turn is over. */
struct buf *out_open(struct conn *);
void out_close(struct conn *, struct buf *b);
void out_add(struct conn *, struct span);                       /* copies */
void out_add_body(struct conn *, struct span);                  /* large ones are sent at once, and only the rest is copied */
void out_add_frame(struct conn *, struct frame *, bool deflated);
void out_add_file(struct conn *, int fd, int64_t offset, int64_t bytes);   /* takes fd */
void out_flush(struct conn *);                                  /* sends what it can */
void out_flush_batch(struct loop *);
void out_drop(struct conn *, bool keep_started);                /* throws the queue away (but for the frame that is half sent) */
size_t out_pending(const struct conn *);

/* ---- transport: > 0 bytes, 0 end (receive), -EAGAIN, other -errno ---- */

ptrdiff_t transport_receive(struct conn *, char *p, size_t n);
ptrdiff_t transport_send(struct conn *, const struct iovec *, int n, bool more);
ptrdiff_t transport_send_file(struct conn *, int fd, int64_t at, size_t n);
void transport_close(struct conn *);
void transport_shut(struct conn *);                             /* our side */

/* ---- WebSockets ---- */

struct socket {
    struct conn *conn;
    void *user;
    uint64_t generation;
    uint32_t slot;
    uint32_t paused, held;
    uint16_t close_code;                /* what on_socket_close will be told; 0: open */
    uint8_t deflate_bits;               /* 0: not negotiated */
    bool closing : 1;                   /* our close frame is queued */
    bool peer_closed : 1;
    bool told : 1;                      /* on_socket_close was called */
    bool alive : 1;                     /* something came since the last ping */
    bool pinged : 1;
    bool in_read : 1;                   /* inside ws_read's events */
    bool drain : 1;                     /* close with 1001 as soon as nothing is under way */
    struct ws_reader reader;
};
struct socket_slot { union { struct socket *socket; uintptr_t next_free; }; uint64_t generation; };   /* generation 0: free */

size_t socket_eat(struct conn *, char *p, size_t n);
bool socket_hungry(const struct socket *);
void socket_expired(struct conn *);
void socket_over(struct conn *, int code);                      /* on_socket_close if it was not called yet; frees the socket */
void socket_drain(struct conn *);
void socket_at_eof(struct conn *);
struct span frame_bytes(const struct frame *, bool deflated);
bool frame_deflate(struct frame *, int bits);                   /* is there a compressed form for such a peer? */
void frame_retain(struct frame *);
struct ws_inflater *loop_inflater(struct loop *);               /* NULL: no memory */

/* ---- loops ---- */

enum { WHEEL_SLOTS = 4096, TICK_SHIFT = 4 };                    /* 16 ms; one round is 65.5 s; later timers wait for their round */
struct counters { uint64_t accepted, closed, refused_full, requests, sockets, sockets_closed, bytes_in, bytes_out, refused_protocol; };

struct listener { struct source source; int fd; struct listener *next; };

struct loop {
    struct server *server;
    int index;
    int epoll, wake, spare_fd;          /* the spare: given up for a moment to accept and close when the descriptors are at an end */
    struct source mailbox_source;
    pthread_t thread;
    bool started;
    void *user;
    int64_t now_ms;                     /* monotonic, as of this turn */
    char date[40];                      /* "Date: …\r\n" */
    int64_t date_until_ms;

    pthread_mutex_t mailbox_lock;
    struct loop_task *mailbox, *mailbox_last;
    struct loop_task drain_task;

    struct conn *conns, *dead;
    struct conn *ready, *ready_last;
    struct exchange *exchanges, *lost;
    struct pool conn_pool, socket_pool, frame_out_pool;
    struct exchange *spare;             /* exchanges to be used again, linked by next */
    int spare_n;

    char *read_buf;
    struct buf write_buf;               /* gathered for `batch`, whose queue is empty */
    struct buf scratch;
    struct conn *batch, *working;
    struct ws_inflater *inflater;

    struct socket_slot *slots;
    uint32_t slot_n, slot_free;         /* slot_free and next_free: index + 1, 0 is the end */
    uint64_t generation;

    bool accepting, draining;
    atomic_int load;                    /* connections here or on their way here: other loops look at it when they accept */
    struct loop_timer accept_timer;

    int64_t tick, wake_tick;
    struct loop_timer *wheel[WHEEL_SLOTS];
    uint64_t wheel_used[WHEEL_SLOTS / 64];

    struct counters counters;
};

static inline void count(uint64_t *counter, uint64_t n)         /* one writer, any reader */
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

bool loop_init(struct loop *, struct server *, int index, struct buf *err);
void loop_done(struct loop *);
void *loop_main(void *);
void loop_wake(struct loop *);
void loop_run_mailbox(struct loop *);
void timer_at(struct loop *, struct loop_timer *, int64_t due_mono_ms);
void wheel_init(struct loop *);
void wheel_turn(struct loop *);                                 /* fires what is due */
int wheel_wait_ms(const struct loop *, int64_t now_ms);         /* for epoll_wait */

/* ---- server ---- */

struct tls_context;
struct address_count { struct address_count *next; uint64_t key[2]; int n; };
enum { ADDRESS_SLOTS = 1024 };

struct server {
    struct server_config config;
    struct deadlines deadlines;
    char *name, *tls_cert, *tls_key;
    struct address_list trusted;
    struct listener *listeners;
    struct loop *loops;
    int loop_n;
    int max_connections;
    bool started, stopped;
    atomic_bool draining, stopping;
    atomic_int open;                    /* connections */
    atomic_int loops_listening;         /* the last one to leave closes the listeners */
    pthread_mutex_t lock;               /* tls, addresses, drained */
    pthread_cond_t drained;
    int loops_drained;
    struct tls_context *tls;
    struct address_count *addresses[ADDRESS_SLOTS];
    uint64_t address_seed;
};

bool listener_open(struct server *, const char *address, struct buf *err, int *out_port);
bool listener_keep(struct server *, int fd, struct buf *err);  /* takes fd */
bool local_peer_is_ours(int fd);
void listener_accept(struct loop *, struct listener *);
void loop_listen(struct loop *);
void loop_listen_no_more(struct loop *);
void server_conn_closed(struct conn *);                         /* the numbers and the table of addresses */

/* ---- TLS ---- */

struct tls_context *tls_context_new(const char *cert, const char *key, const struct tls_context *tickets_of, struct buf *err);
void tls_context_free(struct tls_context **);
struct tls *tls_new(struct tls_context *, int fd);              /* NULL: no memory */
void tls_free(struct tls **, bool orderly);
int tls_handshake(struct tls *);                                /* 1 done, -EAGAIN, other -errno */
ptrdiff_t tls_receive(struct tls *, char *p, size_t n);
ptrdiff_t tls_send(struct tls *, const char *p, size_t n);
void tls_shut(struct tls *);
#endif
