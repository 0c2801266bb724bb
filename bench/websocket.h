/* bench/websocket.h: the little of RFC 6455 that a client of the benches needs: the handshake, masked frames out, whole frames in. No fragments, no extensions. */
#ifndef WEIR_BENCH_WEBSOCKET_H
#define WEIR_BENCH_WEBSOCKET_H
#include "tool.h"

enum { WS_TEXT = 1, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };
void ws_open(int fd, const char *target);                  /* sends the handshake and waits for the 101; the socket is non-blocking before and after */
void ws_send(int fd, int opcode, struct span payload);     /* at most 4 KB, at once or the tool fails */
/* The first whole frame of bytes: returns its length on the wire, 0 if there is none yet. */
size_t ws_frame(struct span bytes, int *out_opcode, struct span *out_payload);
#endif
