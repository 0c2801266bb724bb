/* net/server.h: an HTTP/1.1 and WebSocket server: listeners, loops, connections, TLS, timers. It knows bytes, deadlines and limits, and nothing of
 * commands or stores. The engine and the sandbox stand on it.
 *
 * Threads. One loop is one thread with one epoll; all loops wait on the same listening descriptors (EPOLLEXCLUSIVE). A connection lives and dies on its loop.
 * Every callback runs on the loop of its connection and must not block. Other threads speak to a loop only by loop_post(). Unless a comment says otherwise, a function may be called
 * on the loop's own thread only.
 *
 * Exchanges. One request and its answer. Head and body are copied into the exchange's arena, so they stay valid until it ends, on whatever thread it is used.
 * After on_request() the handler answers at once or *holds* the exchange and answers later (on the loop's thread); until then the pointer stays valid even if the
 * connection is gone (the answer then goes nowhere). Exactly one of exchange_reply, exchange_reply_file, exchange_begin…exchange_end, exchange_upgrade,
 * exchange_abort ends each one. Requests of one connection are handled one after the other (pipelining keeps its order).
 *
 * Reentrancy. Nothing below calls back into its caller, whatever it finds out about the connection: callbacks come from the top of the loop, later in the same turn.
 * There are two exceptions. on_done comes inside the function that ended the exchange (when that was called from a callback of the same exchange: after that
 * callback has returned, so the arena may be used until then). on_refused comes inside exchange_upgrade, to shape its 400 or 426. So a socket or an
 * exchange that a callback was given stays valid until the callback returns, also when it is closed there.
 * Signals: the loops' threads block them all; install handlers (or sigwait) elsewhere. */
#ifndef WEIR_SERVER_H
#define WEIR_SERVER_H
#include "base/base.h"
#include "wire/http1.h"

struct server;
struct loop;
struct exchange;
struct socket;                                     /* a WebSocket */

struct server_config {
    int loops;                                     /* threads; 0 = one a core, at most 16 */
    const char *name;                              /* for messages */
    struct span trusted_proxies;                   /* "127.0.0.1, 10.0.0.0/8": X-Forwarded-For/-Proto count from these peers only */
    const char *tls_cert, *tls_key;                /* PEM files; NULL = plaintext */
    int max_connections;                           /* 0 = from RLIMIT_NOFILE (which is raised to its hard limit) */
    int max_per_address;                           /* 0 = no cap */
    size_t arena_bytes;                            /* maximum of one exchange's arena */

    void *user;
    void (*on_loop_start)(struct loop *, void *user);      /* on the new thread; may call loop_set_user */
    void (*on_loop_stop)(struct loop *, void *user);
    void (*on_loop_turn)(struct loop *, void *user);       /* after each batch of events: the place to flush what was gathered */
    /* The head is complete. May set exchange_limit_body / exchange_stream_body, or answer at once (a body is then not read and, unless small, the connection closes). */
    void (*on_head)(struct exchange *, void *user);
    /* Streamed bodies only: the next bytes (already de-chunked), valid during the call. Returning false: the handler is full; exchange_resume_body() goes on (these bytes count as taken).
     * Until it has called that, the handler holds the exchange, also when the connection is lost meanwhile (then on_done follows the call). */
    bool (*on_body)(struct exchange *, struct span, void *user);
    void (*on_request)(struct exchange *, void *user);     /* the request is complete */
    void (*on_done)(struct exchange *, void *user);        /* last callback of each exchange that had on_head; the arena is freed after it. status/bytes of the answer are known */
    /* Refused by the protocol before on_head (or during the body): fill the body of the answer (JSON) into out. `path` is what is known of it, may be empty. */
    void (*on_refused)(struct loop *, int status, struct span path, struct buf *out, void *user);
    void (*on_drained)(struct exchange *, void *user);     /* exchange_begin…: what was queued is mostly sent, more is welcome */

    void (*on_message)(struct socket *, bool text, struct span, void *user);   /* valid during the call */
    void (*on_socket_close)(struct socket *, int code, void *user);            /* once for each upgraded socket; 1006 = lost */
};

struct server *server_new(const struct server_config *, struct buf *err);       /* config is copied; NULL and a text that names cause and remedy */
/* Binds "127.0.0.1:8000", "[::1]:0", "0.0.0.0:80", "localhost:8000"; without SO_REUSEPORT, so that a second server fails loudly. Returns the port, or -1 and err. */
int server_listen(struct server *, const char *address, struct buf *err);
/* Besides: a Unix socket of mode 600 in the folder `dir` that dir_fd has open. One that is left from a server that was killed is replaced, so the caller holds a lock on the folder; it also removes the
 * file at the end. Only processes of our own user and of root are let in (SO_PEERCRED); others are cut off. No TLS, no cap, no trusted proxies there. */
bool server_listen_local(struct server *, int dir_fd, const char *dir, const char *name, struct buf *err);
/* What to bind or to connect to: DIR/NAME, or by /proc/self/fd where that is too long for a socket's address. False: neither is possible. */
enum { LOCAL_PATH_BYTES = 108 };
bool local_socket_path(int dir_fd, const char *dir, const char *name, char out[LOCAL_PATH_BYTES]);
bool server_start(struct server *, struct buf *err);                            /* starts the loops */
/* Any thread. Stops accepting, closes idle connections, lets running exchanges end (Connection: close), closes WebSockets with 1001 after their running messages. */
void server_drain(struct server *);
bool server_wait_drained(struct server *, int64_t deadline_mono_ms);            /* any other thread; true when all is closed */
void server_stop(struct server *);                                              /* any other thread: joins the loops, cuts what is left */
void server_free(struct server **);
bool server_reload_tls(struct server *, struct buf *err);                       /* any thread; running connections keep the old certificate */

/* ---- loops ---- */
int server_loop_count(const struct server *);                                   /* any thread */
struct loop *server_loop(struct server *, int index);                           /* any thread */
int loop_index(const struct loop *);                                            /* any thread */
void loop_set_user(struct loop *, void *);
void *loop_user(const struct loop *);
struct loop_task { struct loop_task *next; void (*run)(struct loop *, struct loop_task *); };
/* Any thread. The list (linked by next, in order) runs on the loop's thread, all of it after one wake-up; order of posts from one thread is kept. Tasks are the caller's memory. Never fails;
 * tasks posted to a loop that has stopped are run by server_stop. */
void loop_post(struct loop *, struct loop_task *first);
struct loop_timer { struct loop_timer *next, **link; int64_t due_mono_ms; void (*fire)(struct loop *, struct loop_timer *); };   /* all zero when idle */
void loop_timer_set(struct loop *, struct loop_timer *, int64_t delay_ms);      /* (re)arms; fires once; 16 ms grain or so */
void loop_timer_clear(struct loop *, struct loop_timer *);

struct server_stats { uint64_t accepted, open, refused_full, requests, sockets, sockets_open, bytes_in, bytes_out, refused_protocol; };
void server_stats(const struct server *, struct server_stats *out);             /* any thread; sums of counters */

/* ---- exchanges ---- */
const struct http_head *exchange_head(const struct exchange *);                 /* any thread while held */
struct arena *exchange_arena(struct exchange *);                                /* the holder's thread */
struct span exchange_body(const struct exchange *);                             /* buffered bodies; complete from on_request on */
struct span exchange_client(const struct exchange *);                           /* address as text, by trusted proxies; without port; "unix" on the Unix socket */
bool exchange_is_tls(const struct exchange *);                                  /* ours, or told by a trusted proxy */
bool exchange_is_loopback(const struct exchange *);                             /* the peer itself; also on the Unix socket */
bool exchange_is_local(const struct exchange *);                                /* came by server_listen_local */
struct loop *exchange_loop(const struct exchange *);                            /* any thread while held */
void exchange_set_user(struct exchange *, void *);
void *exchange_user(const struct exchange *);
int exchange_status(const struct exchange *);                                   /* in on_done: what was answered; 0 = nothing (lost before) */
uint64_t exchange_sent_bytes(const struct exchange *);                          /* of the answer with its head, as given to the connection: sent or about to be */
bool exchange_lost(const struct exchange *);                                    /* the connection is gone: work for nobody */

void exchange_limit_body(struct exchange *, int64_t max_bytes);                 /* in on_head; default LIMIT_BODY_BYTES; beyond: 413 */
void exchange_stream_body(struct exchange *);                                   /* in on_head: on_body instead of buffering */
void exchange_resume_body(struct exchange *);

/* `headers`: finished lines, each with CRLF, without Content-Length, Connection, Date, Server, Transfer-Encoding (the server writes those). All spans may die after the call.
 * HEAD answers and 204/304 get no body. */
void exchange_reply(struct exchange *, int status, struct span headers, struct span body);
void exchange_reply_file(struct exchange *, int status, struct span headers, int fd, int64_t offset, int64_t bytes);   /* takes fd and closes it */
/* A body of unknown length: chunked (or until close for HTTP/1.0). send returns the bytes queued and unsent: above EXCHANGE_QUEUE_BYTES wait for on_drained,
 * which is called once for that (and once when the connection is lost, so that nobody waits in vain). A lost connection takes everything and
 * sends nothing: send returns 0, so ask exchange_lost in a loop; the exchange must still be ended. */
#define EXCHANGE_QUEUE_BYTES ((size_t)256 * 1024)
void exchange_begin(struct exchange *, int status, struct span headers);
size_t exchange_send(struct exchange *, struct span);
void exchange_end(struct exchange *);
void exchange_abort(struct exchange *);                                         /* cut the connection: the answer cannot be completed */

/* ---- WebSockets ---- */
/* Answers 101 (or 400/426 by itself, then NULL). `headers`: extra lines as above. The exchange ends; on_done comes. */
struct socket *exchange_upgrade(struct exchange *, struct span headers, bool allow_deflate, size_t max_message_bytes);
struct socket_ref { uint32_t loop, slot; uint64_t generation; };                /* names a socket on any thread, for ever */
struct socket_ref socket_ref(const struct socket *);
struct socket *loop_socket(struct loop *, struct socket_ref);                   /* NULL if it is gone (or being closed) */
void socket_set_user(struct socket *, void *);
void *socket_user(const struct socket *);
struct loop *socket_loop(const struct socket *);
/* A frame made once and sent to many sockets of one loop: plain and (lazily) compressed form are shared. Reference counted, one loop only. */
struct frame;
struct frame *frame_new(struct loop *, bool text, struct span payload);         /* copies; NULL: no memory */
void frame_release(struct frame **);
void socket_send(struct socket *, struct frame *);                              /* beyond LIMIT_WS_QUEUE_BYTES the socket is closed with 1013 */
void socket_send_text(struct socket *, struct span);
void socket_send_binary(struct socket *, struct span);
void socket_close(struct socket *, int code, struct span reason);               /* sends the close frame, waits for the peer's (2 s) */
void socket_pause(struct socket *);                                             /* stop reading (back-pressure); counts */
void socket_resume(struct socket *);
/* An answer to something that the socket said is under way: server_drain waits for as many releases before it closes the socket. Counts. */
void socket_hold(struct socket *);
void socket_release(struct socket *);
#endif
