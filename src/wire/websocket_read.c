/* wire/websocket_read.c: frames in. One state machine that takes bytes as they come, in pieces of any size, and gives back whole
 * messages and control frames.
 *
 * The common case costs no memory: a frame that is all in the input is unmasked where it stands and handed out as a span of the
 * input. Only what is partial is copied to the heap, and given back by the call after the event. Control frames may stand between
 * the fragments of a message, so the frame's state and the message's state are kept apart.
 *
 * Refused as soon as the bytes for the verdict are here, not when the frame is complete: a head is judged after its second byte and again
 * with its length, text byte by byte. After a refusal or a close frame the reader stays shut. Called by the net loop; one thread a reader. */
#include "wire/websocket_in.h"

/* ---- bytes ---- */

void ws_unmask(char *p, size_t n, const unsigned char mask[4], unsigned at)
{
    unsigned char turned[8];
    for (unsigned i = 0; i < 8; i++)
        turned[i] = mask[(at + i) & 3];
    uint64_t pattern, word[4];
    memcpy(&pattern, turned, 8);
    size_t i = 0;
    for (; n - i >= 32; i += 32) {                        /* memcpy of a word is a load or a store, whatever the alignment */
        memcpy(word, p + i, 32);
        word[0] ^= pattern;
        word[1] ^= pattern;
        word[2] ^= pattern;
        word[3] ^= pattern;
        memcpy(p + i, word, 32);
    }
    for (; n - i >= 8; i += 8) {
        memcpy(word, p + i, 8);
        word[0] ^= pattern;
        memcpy(p + i, word, 8);
    }
    for (; i < n; i++)
        p[i] = (char)((unsigned char)p[i] ^ turned[i & 7]);
}

/* Inside a character: which bytes may come (low..high) and the state behind them. States 1-3 want so many ordinary continuation
 * bytes; 4-7 are the second bytes that rule out overlong forms (E0, F0), surrogates (ED) and what is above U+10FFFF (F4). */
static const struct { unsigned char low, high, next; } utf8_inside[8] = {
    { 0, 0, 0 }, { 0x80, 0xBF, 0 }, { 0x80, 0xBF, 1 }, { 0x80, 0xBF, 2 }, { 0xA0, 0xBF, 1 }, { 0x80, 0x9F, 1 }, { 0x90, 0xBF, 2 }, { 0x80, 0x8F, 2 },
};

static uint8_t utf8_lead(unsigned char c)
{
    if (c < 0x80)
        return 0;
    if (c >= 0xC2 && c <= 0xDF)
        return 1;
    if (c >= 0xE0 && c <= 0xEF)
        return c == 0xE0 ? 4 : c == 0xED ? 5 : 2;
    if (c >= 0xF0 && c <= 0xF4)
        return c == 0xF0 ? 6 : c == 0xF4 ? 7 : 3;
    return WS_UTF8_BAD;
}

uint8_t ws_utf8_step(uint8_t state, const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text, *end = n ? p + n : p;
    while (p < end) {
        if (state) {
            if (*p < utf8_inside[state].low || *p > utf8_inside[state].high)
                return WS_UTF8_BAD;
            state = utf8_inside[state].next;
            p++;
            continue;
        }
        uint64_t word;
        while (end - p >= 8 && (memcpy(&word, p, 8), (word & 0x8080808080808080u) == 0))
            p += 8;
        while (end - p >= 3 && *p >= 0xE1 && *p <= 0xEF && *p != 0xED && (p[1] & 0xC0) == 0x80 && (p[2] & 0xC0) == 0x80)
            p += 3;                                        /* most of Chinese */
        if (p < end) {
            state = utf8_lead(*p++);
            if (state == WS_UTF8_BAD)
                return WS_UTF8_BAD;
        }
    }
    return state;
}

/* ---- memory ---- */

static void message_free(struct ws_reader *r)
{
    if (r->message)
        buf_done(r->message);
    free(r->message);
    r->message = NULL;
    r->message_over = false;
}

static void control_free(struct ws_reader *r)
{
    free(r->control);
    r->control = NULL;
    r->control_n = 0;
    r->control_over = false;
}

void ws_reader_done(struct ws_reader *r)
{
    message_free(r);
    control_free(r);
    *r = (struct ws_reader){ 0 };
}

static struct buf *message_new(size_t max)
{
    struct buf *b = base_alloc(sizeof *b);
    if (b)
        buf_init(b, max);
    return b;
}

static size_t limit_of(const struct ws_reader *r)
{
    size_t limit = r->max_bytes ? r->max_bytes : LIMIT_WS_MESSAGE_BYTES;
    must(limit <= 1u << 30);
    return limit;
}

/* What may be held of the message under way. DEFLATE makes data that cannot be compressed longer by less than an eighth. */
static size_t held_limit(const struct ws_reader *r)
{
    size_t limit = limit_of(r);
    return r->compressed ? limit + limit / 8 + 64 : limit;
}

static enum ws_event fail(struct ws_reader *r, int code, int *out_code)
{
    message_free(r);
    control_free(r);
    r->failed = (uint16_t)code;
    *out_code = code;
    return WS_ERROR;
}

/* ---- the head of a frame ---- */

/* The first two bytes are here: 0, or 1002. Says how long the head is. */
static int head_begin(struct ws_reader *r)
{
    unsigned first = r->head[0], second = r->head[1], length = second & 127;
    r->opcode = first & 15;
    r->final = (first & 0x80) != 0;
    bool control = (r->opcode & 8) != 0, rsv1 = (first & 0x40) != 0;
    if (first & 0x30)
        return 1002;
    if (r->opcode > WS_OP_PONG || (r->opcode > WS_OP_BINARY && r->opcode < WS_OP_CLOSE))
        return 1002;
    if (rsv1 && (!r->deflate || control || r->opcode == WS_CONTINUATION))
        return 1002;
    if (!(second & 0x80))
        return 1002;                                      /* clients mask, always */
    if (control && (!r->final || length > 125))
        return 1002;
    if (!control && (r->opcode == WS_CONTINUATION) != (r->message_opcode != 0))
        return 1002;                                      /* a continuation of nothing, or a message inside a message */
    r->head_need = (uint8_t)(2 + (length == 126 ? 2 : length == 127 ? 8 : 0) + 4);
    return 0;
}

/* The whole head is here: 0, 1002 or 1009. */
static int head_end(struct ws_reader *r)
{
    unsigned length = r->head[1] & 127;
    size_t wide = length == 126 ? 2 : length == 127 ? 8 : 0;
    uint64_t n = wide ? 0 : length;
    for (size_t i = 0; i < wide; i++)
        n = n << 8 | r->head[2 + i];
    if ((wide == 2 && n < 126) || (wide == 8 && (n < 65536 || n >> 63)))
        return 1002;
    memcpy(r->mask, r->head + 2 + wide, 4);
    r->mask_at = 0;
    if (!(r->opcode & 8)) {
        if (r->opcode != WS_CONTINUATION) {
            r->message_opcode = r->opcode;
            r->compressed = (r->head[0] & 0x40) != 0;
            r->utf8_state = 0;
        }
        size_t held = r->message ? r->message->n : 0;
        if (n > held_limit(r) || held > held_limit(r) - (size_t)n)
            return 1009;
    }
    r->frame_left = n;
    r->in_payload = true;
    r->head_n = r->head_need = 0;
    return 0;
}

/* Eats head bytes. 0: go on (r->in_payload says whether the head is whole), else the code to fail with. */
static int head_take(struct ws_reader *r, char **in, size_t *in_n)
{
    int bad = 0;
    while (*in_n && !r->in_payload && !bad) {
        r->head[r->head_n++] = (unsigned char)**in;
        ++*in;
        --*in_n;
        if (r->head_n == 2)
            bad = head_begin(r);
        else if (r->head_n > 2 && r->head_n == r->head_need)
            bad = head_end(r);
    }
    return bad;
}

/* ---- payloads ---- */

/* The next bytes of the frame, unmasked where they stand. */
static struct span payload_take(struct ws_reader *r, char **in, size_t *in_n)
{
    size_t n = r->frame_left < *in_n ? (size_t)r->frame_left : *in_n;
    struct span s = { *in, n };
    if (n) {
        ws_unmask(*in, n, r->mask, r->mask_at);
        r->mask_at = (uint8_t)((r->mask_at + n) & 3);
        r->frame_left -= n;
        *in += n;
        *in_n -= n;
    }
    if (r->frame_left == 0)
        r->in_payload = false;
    return s;
}

bool ws_close_code_valid(int code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1011) || (code >= 3000 && code <= 4999);
}

static enum ws_event close_read(struct ws_reader *r, struct span s, struct span *out, int *out_code)
{
    *out_code = 1005;
    if (s.n == 1)
        return fail(r, 1002, out_code);
    if (s.n >= 2) {
        *out_code = (unsigned char)s.p[0] << 8 | (unsigned char)s.p[1];
        if (!ws_close_code_valid(*out_code))
            return fail(r, 1002, out_code);
        s = span_cut(s, 2);
        if (ws_utf8_step(0, s.p, s.n) != 0)
            return fail(r, 1007, out_code);
        *out = s;
    }
    r->closed = true;
    message_free(r);                                      /* what was under way will not be finished */
    return WS_CLOSE;
}

static enum ws_event control_take(struct ws_reader *r, char **in, size_t *in_n, struct span *out, int *out_code)
{
    struct span s = payload_take(r, in, in_n);
    if (r->in_payload || r->control) {                    /* in pieces */
        if (!r->control && !(r->control = base_alloc(125)))
            return fail(r, 1011, out_code);
        if (s.n)
            memcpy(r->control + r->control_n, s.p, s.n);
        r->control_n = (uint8_t)(r->control_n + s.n);
        if (r->in_payload)
            return WS_MORE;
        s = span_from(r->control, r->control_n);
        r->control_over = true;
    }
    if (r->opcode == WS_OP_CLOSE)
        return close_read(r, s, out, out_code);
    *out = s;
    return r->opcode == WS_OP_PING ? WS_PING : WS_PONG;
}

/* The last byte of a message is here; `whole` is all of it, in the input or in r->message. */
static enum ws_event message_end(struct ws_reader *r, struct ws_inflater *inflater, struct span whole, struct span *out, int *out_code)
{
    bool text = r->message_opcode == WS_OP_TEXT;
    r->message_opcode = 0;
    if (r->compressed) {
        struct buf *plain = message_new(limit_of(r));
        if (!plain)
            return fail(r, 1011, out_code);
        int bad = ws_inflate(inflater, whole, limit_of(r), text, plain);
        message_free(r);
        r->message = plain;
        if (bad)
            return fail(r, bad, out_code);
        whole = buf_span(plain);
    } else if (text && r->utf8_state != 0) {
        return fail(r, 1007, out_code);                   /* ends inside a character */
    }
    r->message_over = r->message != NULL;
    *out = whole.n ? whole : SPAN("");
    return text ? WS_TEXT : WS_BINARY;
}

static enum ws_event data_take(struct ws_reader *r, struct ws_inflater *inflater, char **in, size_t *in_n, struct span *out, int *out_code)
{
    struct span s = payload_take(r, in, in_n);
    if (r->message_opcode == WS_OP_TEXT && !r->compressed) {
        r->utf8_state = ws_utf8_step(r->utf8_state, s.p, s.n);
        if (r->utf8_state == WS_UTF8_BAD)
            return fail(r, 1007, out_code);
    }
    bool over = !r->in_payload && r->final;
    if (over && !r->message)
        return message_end(r, inflater, s, out, out_code);
    if (s.n) {
        if (!r->message && !(r->message = message_new(held_limit(r))))
            return fail(r, 1011, out_code);
        buf_add(r->message, s.p, s.n);
        if (r->message->failed)                           /* the length was checked with the head, so this is memory */
            return fail(r, 1011, out_code);
    }
    return over ? message_end(r, inflater, buf_span(r->message), out, out_code) : WS_MORE;
}

enum ws_event ws_read(struct ws_reader *r, struct ws_inflater *inflater, char **in, size_t *in_n, struct span *out, int *out_code)
{
    *out = SPAN("");
    *out_code = 0;
    if (r->message_over)
        message_free(r);
    if (r->control_over)
        control_free(r);
    if (r->failed || r->closed) {
        *in = *in_n ? *in + *in_n : *in;
        *in_n = 0;
        *out_code = r->failed;
        return r->failed ? WS_ERROR : WS_MORE;
    }
    while (*in_n) {
        if (!r->in_payload) {
            int bad = head_take(r, in, in_n);
            if (bad)
                return fail(r, bad, out_code);
            if (!r->in_payload)
                break;
            if (*in_n == 0 && r->frame_left)
                break;                                    /* a head alone: nothing to hold yet */
        }
        enum ws_event e = r->opcode & 8 ? control_take(r, in, in_n, out, out_code) : data_take(r, inflater, in, in_n, out, out_code);
        if (e != WS_MORE)
            return e;
    }
    return WS_MORE;
}
