/* wire/http1_chunked.c: the chunked coding of bodies (RFC 9112, 7.1), decoded where it lies.
 *
 * A machine over bytes with no buffer of its own: any split of the input gives the same body. A chunk size is one to sixteen hexadecimal
 * digits (leading zeros count) of at most INT64_MAX, and then CRLF at once: no sign, no 0x, no white space, no extension. The RFC would have
 * unknown extensions ignored; but nobody sends them, and readers who disagree about where one ends disagree about where the request ends.
 * Trailers must look like headers; they are thrown away, so nothing that they say can change a decision that was made on the head. Those that would
 * (a length, a coding, a host) are refused all the same: whoever reads on behind us may merge them (RFC 9110, 6.5.1).
 *
 * A machine that refused refuses ever after; one that is done eats nothing more. */
#include "wire/http1_in.h"

#define SIZE_DIGITS 16

enum state { SIZE_FIRST, SIZE_MORE, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER_FIRST, TRAILER_NAME, TRAILER_VALUE, TRAILER_LF, END_LF, DONE, REFUSED };

static enum state size_step(struct http_chunked *c, char byte)
{
    int digit = http_hex_value(byte);
    if (digit >= 0) {
        if (++c->line > SIZE_DIGITS || c->left > (uint64_t)INT64_MAX >> 4) return REFUSED;
        c->left = c->left << 4 | (uint64_t)digit;
        return SIZE_MORE;
    }
    return byte == '\r' && c->line > 0 ? SIZE_LF : REFUSED;
}

static const struct span forbidden[] = { { "content-length", 14 }, { "transfer-encoding", 17 }, { "host", 4 } };

/* One byte of a trailer's name. c->names has a bit for each forbidden name that it may still become; c->line counts its bytes. */
static enum state name_step(struct http_chunked *c, char byte)
{
    if (!http_byte_is(byte, HTTP_BYTE_TOKEN)) return REFUSED;
    for (size_t i = 0; i < LENGTH(forbidden); i++)
        if (c->line >= forbidden[i].n || (byte | 0x20) != forbidden[i].p[c->line]) c->names &= ~(1u << i);
    c->line++;
    return TRAILER_NAME;
}

static enum state name_over(const struct http_chunked *c)
{
    for (size_t i = 0; i < LENGTH(forbidden); i++)
        if ((c->names & 1u << i) && c->line == forbidden[i].n) return REFUSED;
    return TRAILER_VALUE;
}

static enum state trailer_step(struct http_chunked *c, enum state now, char byte)
{
    if (++c->trailer > LIMIT_TRAILER_BYTES) return REFUSED;
    switch (now) {
    case TRAILER_FIRST:
        if (byte == '\r') return END_LF;
        c->line = 0;
        c->names = (1u << LENGTH(forbidden)) - 1;
        return name_step(c, byte);
    case TRAILER_NAME:
        return byte == ':' ? name_over(c) : name_step(c, byte);
    case TRAILER_VALUE:
        if (byte == '\r') return TRAILER_LF;
        return byte == '\t' || http_byte_printable(byte) ? TRAILER_VALUE : REFUSED;
    case TRAILER_LF:
        return byte == '\n' ? TRAILER_FIRST : REFUSED;
    default:
        return byte == '\n' ? DONE : REFUSED;              /* END_LF */
    }
}

/* One byte that is not body. */
static enum state frame_step(struct http_chunked *c, char byte)
{
    enum state now = (enum state)c->state;
    switch (now) {
    case SIZE_FIRST:
    case SIZE_MORE:
        return size_step(c, byte);
    case SIZE_LF:
        c->line = 0;
        if (byte != '\n') return REFUSED;
        return c->left > 0 ? DATA : TRAILER_FIRST;
    case DATA_CR:
        return byte == '\r' ? DATA_LF : REFUSED;
    case DATA_LF:
        return byte == '\n' ? SIZE_FIRST : REFUSED;
    default:
        return trailer_step(c, now, byte);
    }
}

int http_chunked_decode(struct http_chunked *c, char *data, size_t n, size_t *out_body, size_t *out_used)
{
    size_t at = 0, body = 0;
    must(c->state >= SIZE_FIRST && c->state <= REFUSED);
    while (at < n && c->state != DONE && c->state != REFUSED) {
        if (c->state == DATA) {
            size_t take = n - at < c->left ? n - at : (size_t)c->left;
            if (body != at) memmove(data + body, data + at, take);
            body += take;
            at += take;
            c->left -= take;
            if (c->left == 0) c->state = DATA_CR;
        } else {
            c->state = (int)frame_step(c, data[at++]);
        }
    }
    *out_body = body;
    *out_used = at;
    return c->state == DONE ? 1 : c->state == REFUSED ? -400 : 0;
}
