/* wire/websocket.h: WebSocket frames as bytes (RFC 6455, permessage-deflate RFC 7692 without context takeover). No sockets.
 * A server's view: what comes in must be masked, what goes out is not. */
#ifndef WEIR_WEBSOCKET_H
#define WEIR_WEBSOCKET_H
#include "base/base.h"
#include "wire/http1.h"

/* ---- handshake ---- */
/* Checks method GET, HTTP/1.1, Host, Connection/Upgrade, Sec-WebSocket-Version 13 (else 426) and a 16-byte key; computes the accept value (28 characters and NUL).
 * Returns 101, 400 or 426. */
int websocket_handshake(const struct http_head *, char out_accept[29]);
/* Does the client offer permessage-deflate with parameters that we can take? Writes the answer's Sec-WebSocket-Extensions value into out
 * (always with server_no_context_takeover and client_no_context_takeover). */
bool websocket_deflate_offer(const struct http_head *, char out[128]);

/* ---- reading ---- */
enum ws_event { WS_MORE, WS_TEXT, WS_BINARY, WS_PING, WS_PONG, WS_CLOSE, WS_ERROR };

struct ws_inflater;                                       /* one zlib stream pair, shared by all sockets of one thread */
struct ws_inflater *ws_inflater_new(void);
void ws_inflater_free(struct ws_inflater **);

/* The state of one socket's reading side: small when idle (message.p is NULL then). All zero at the start, but for `deflate`. */
struct ws_reader {
    struct buf *message;                                  /* fragments so far, NULL between messages */
    uint64_t frame_left;
    uint32_t utf8_state;
    unsigned char mask[4];
    uint8_t mask_at, opcode, message_opcode, head_n, flags, control_n;
    bool deflate;                                         /* negotiated */
    bool compressed;                                      /* the message under way */
    unsigned char head[14];
    unsigned char control[125];
};
/* Feeds bytes (unmasked in place). Eats from *in until an event is complete and returns it; WS_MORE when all is eaten. For WS_TEXT, WS_BINARY, WS_PING,
 * WS_PONG *out is the payload: it may point into the input or into the reader's buffer and lives until the next call. WS_CLOSE: *out_code is the peer's code
 * (1005 if none) and *out its reason. WS_ERROR: fail the connection with *out_code (1002 protocol, 1007 not UTF-8, 1009 too big, 1011 memory).
 * Text is checked as it streams: a bad byte fails at once, not at the end of the message. */
enum ws_event ws_read(struct ws_reader *, struct ws_inflater *, char **in, size_t *in_n, struct span *out, int *out_code);
void ws_reader_done(struct ws_reader *);

/* ---- writing ---- */
/* Appends one unfragmented frame to b. opcode 1 text, 2 binary, 8 close, 9 ping, 10 pong. */
void ws_write(struct buf *b, int opcode, struct span payload);
/* The same compressed (text and binary only) for sockets that negotiated it; falls back to plain when that is shorter. */
void ws_write_deflated(struct buf *b, struct ws_inflater *, int opcode, struct span payload);
void ws_write_close(struct buf *b, int code, struct span reason);
#endif
