/* tests/unit/net/peer.h: a client of raw bytes for the tests of net/. It sends exactly what it is told and reads answers and frames with a deadline of
 * ten seconds, after which the test fails; nothing here sleeps for luck. Over TLS when given an SSL. Single thread. */
#ifndef WEIR_TEST_PEER_H
#define WEIR_TEST_PEER_H
#include <openssl/ssl.h>

#include "base/base.h"

enum { PEER_WAIT_MS = 10000 };

struct peer { int fd; SSL *ssl; char *p, *start; size_t n, cap; bool ended; };   /* p[0..n) is not eaten yet; start is what was allocated */
struct answer { int status; bool chunked; char *head, *body; size_t body_n; };

struct peer peer_dial(int port);
void peer_hang_up(struct peer *);                                 /* FIN, and frees */
void peer_cut(struct peer *);                                     /* RST */
void peer_half_close(struct peer *);
void peer_say(struct peer *, const char *bytes, size_t n);
void peer_say_z(struct peer *, const char *z);
size_t peer_say_some(struct peer *, const char *bytes, size_t n); /* what the kernel takes now */
bool peer_fill(struct peer *);                                    /* waits for more; false at the end */
void peer_eat(struct peer *, size_t n);
/* The next answer; `head` of the request asked for no body. Valid until answer_free. Fails the test when the connection ends too early. */
struct answer peer_answer(struct peer *, bool bodyless);
void answer_free(struct answer *);
bool answer_has(const struct answer *, const char *line);         /* a whole header line, exactly */
bool peer_at_end(struct peer *);                                  /* waits until the server ended the connection with nothing more to say */

/* WebSocket */
void peer_upgrade(struct peer *, const char *path, const char *headers);
void peer_frame(struct peer *, int first_byte, const void *payload, size_t n);   /* masked */
struct ws_frame { int first_byte; char *payload; size_t n; };
struct ws_frame peer_next_frame(struct peer *);
int peer_close_code(struct peer *);                               /* the next frame must be a close frame */

bool wait_turn(int *turns);                                       /* a millisecond; false after ten seconds */
#define UNTIL(condition) do { int turns_ = 0; while (!(condition)) if (!wait_turn(&turns_)) fail_msg("waited in vain for %s", #condition); } while (0)
#endif
