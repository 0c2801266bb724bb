/* wire/websocket_in.h: what the files of websocket_*.c share; nobody else includes it. */
#ifndef WEIR_WEBSOCKET_IN_H
#define WEIR_WEBSOCKET_IN_H
#include "wire/websocket.h"

enum { WS_CONTINUATION = 0, WS_OP_TEXT = 1, WS_OP_BINARY = 2, WS_OP_CLOSE = 8, WS_OP_PING = 9, WS_OP_PONG = 10 };

/* UTF-8 as a stream: 0 is both the start and the state between two characters. Returns the state behind the n bytes, or
 * WS_UTF8_BAD as soon as a byte cannot stand where it does (so "F4 90" fails at the 90, before the character is whole). */
enum { WS_UTF8_BAD = 255 };
uint8_t ws_utf8_step(uint8_t state, const char *p, size_t n);

/* XORs p with the mask, whose next byte is mask[at & 3]. */
void ws_unmask(char *p, size_t n, const unsigned char mask[4], unsigned at);

/* Inflates one whole message into out (initialised here with max; the caller does buf_done in every case). Text is checked on the way.
 * 0, or the close code: 1007 bad data or text, 1009 longer than max, 1011 no memory. */
int ws_inflate(struct ws_inflater *, struct span in, size_t max, bool text, struct buf *out);

/* Deflates `in` into out for a window of `bits`, without the 00 00 FF FF at its end. 0 if that takes `room` bytes or more, those
 * four counted, or there is no memory for it: send it plain then. */
size_t ws_deflate(struct ws_inflater *, int bits, struct span in, char *out, size_t room);
#endif
