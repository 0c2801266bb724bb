/* wire/websocket.h: WebSocket frames as bytes (RFC 6455, permessage-deflate RFC 7692 without context takeover). No sockets.
 * A server's view: what comes in must be masked, what goes out is not.
 *
 * The life of a socket: websocket_handshake, perhaps websocket_deflate_offer, then one zeroed ws_reader whose `deflate` says what
 * was negotiated; ws_read for each piece that arrives until it says WS_MORE; ws_write... for what goes out; ws_reader_done.
 * Nothing here knows about time: pings, deadlines and queues are the net loop's. */
#ifndef WEIR_WEBSOCKET_H
#define WEIR_WEBSOCKET_H
#include "base/base.h"
#include "wire/http1.h"
#include "wire/limits.h"

/* ---- handshake ---- */
/* Checks method GET, HTTP/1.1, Host, Connection/Upgrade, Sec-WebSocket-Version 13 (else 426; answer it with
 * "Sec-WebSocket-Version: 13") and one key of 16 bytes; computes the accept value (28 characters and NUL). Returns 101, 400 or 426.
 * Origin is the engine's to judge. */
int websocket_handshake(const struct http_head *, char out_accept[29]);
/* Does the client offer permessage-deflate with parameters that we can take? Writes the answer's Sec-WebSocket-Extensions value into out
 * (always with server_no_context_takeover and client_no_context_takeover). Offers with unknown, repeated or malformed parameters are
 * passed over and the next one is tried. Returns 0 (no; out is ""), else the window bits 8..15 that ws_write_deflated may use. */
int websocket_deflate_offer(const struct http_head *, char out[128]);

/* ---- reading ---- */
enum ws_event { WS_MORE, WS_TEXT, WS_BINARY, WS_PING, WS_PONG, WS_CLOSE, WS_ERROR };

struct ws_inflater;                                       /* zlib streams of both directions, shared by all sockets of one thread */
struct ws_inflater *ws_inflater_new(void);                /* NULL: no memory */
void ws_inflater_free(struct ws_inflater **);

/* The state of one socket's reading side: all of it when idle (both pointers are NULL then). All zero at the start, but for the first
 * three fields of the last group. */
struct ws_reader {
    struct buf *message;                                  /* fragments so far, or what the last event pointed to */
    unsigned char *control;                               /* the payload of a control frame that came in pieces */
    uint64_t frame_left;
    unsigned char mask[4];
    unsigned char head[14];
    uint8_t head_n, head_need, control_n;
    uint8_t opcode, message_opcode;                       /* of the present frame; of the message under way (0: none) */
    uint8_t utf8_state, mask_at;
    bool in_payload : 1, final : 1, compressed : 1;       /* compressed: the message under way */
    bool message_over : 1, control_over : 1;              /* delivered: freed by the next call */
    bool closed : 1;
    uint16_t failed;                                      /* the code of WS_ERROR */
    uint32_t max_bytes;                                   /* of a whole message after inflation; 0: LIMIT_WS_MESSAGE_BYTES; at most 1 GiB */
    bool deflate;                                         /* permessage-deflate was negotiated */
    uint8_t deflate_bits;                                 /* kept here for whoever writes; not read by ws_read */
};
_Static_assert(sizeof(struct ws_reader) <= 64, "part of each idle socket");

/* Feeds bytes (unmasked in place). Eats from *in until an event is complete and returns it; WS_MORE when all is eaten. For WS_TEXT, WS_BINARY,
 * WS_PING, WS_PONG *out is the payload: it may point into the input or into the reader's memory and lives until the next call for
 * this reader. WS_CLOSE: *out_code is the peer's code (1005 if none) and *out its reason; all that follows is eaten unseen.
 * WS_ERROR: fail the connection with *out_code (1002 protocol, 1007 not UTF-8 or not DEFLATE, 1009 too big, 1011 memory); so does every later call.
 * Text is checked as it streams: a bad byte fails at once, not at the end of the message (compressed text as it is inflated, which is
 * when its last byte is here). Call until WS_MORE, also with *in_n == 0: that gives back what the last event stood in, so that
 * an idle socket holds nothing. While a message is under way the reader holds what came of it, never more than max_bytes and an eighth.
 * The inflater may be NULL if deflate is false. */
enum ws_event ws_read(struct ws_reader *, struct ws_inflater *, char **in, size_t *in_n, struct span *out, int *out_code);
void ws_reader_done(struct ws_reader *);                  /* frees; as all zero after it */
/* Codes that may stand in a close frame: 1000-1003, 1007-1011, 3000-4999. */
bool ws_close_code_valid(int code);

/* ---- writing ---- */
/* Appends one unfragmented frame to b. opcode 1 text, 2 binary, 8 close, 9 ping, 10 pong. The payload of a control frame is at most
 * 125 bytes (must). Text must be UTF-8; that is the caller's business. Errors are the buf's. */
void ws_write(struct buf *b, int opcode, struct span payload);
/* The same compressed (text and binary only) for sockets that negotiated it with a window of 15 bits; plain when that is shorter. */
void ws_write_deflated(struct buf *b, struct ws_inflater *, int opcode, struct span payload);
/* The same for any negotiated window. */
void ws_write_deflated_bits(struct buf *b, struct ws_inflater *, int bits, int opcode, struct span payload);
/* May a frame that was made for a window of 15 bits go to a peer with a smaller one? Only if nothing in it can point farther back. */
static inline bool ws_deflated_fits(int bits, size_t payload_bytes) { return bits >= 8 && (bits >= 15 || payload_bytes <= (size_t)1 << bits); }
/* code 1005: an empty close frame. A reason longer than 123 bytes is cut between characters. Besides the codes above, 1012-1014 may be sent. */
void ws_write_close(struct buf *b, int code, struct span reason);
#endif
