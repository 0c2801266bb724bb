/* net/frame.c: a WebSocket frame that goes to many sockets of one loop. The plain bytes are made at once, the compressed ones when the first socket
 * that negotiated compression asks for them; after that the frame is immutable, and queues refer to it. The count of references is not
 * atomic: a frame never leaves its loop. Called by the hub and by socket.c. */
#include "net/net_in.h"

enum { FRAME_HEAD = 10 };

struct frame {
    struct loop *loop;
    int references;
    bool text, tried;
    struct buf deflated;
    struct span payload;                /* inside bytes */
    size_t n;
    char bytes[];
};

struct frame *frame_new(struct loop *l, bool text, struct span payload)
{
    if (payload.n > SIZE_MAX / 4) return NULL;
    struct frame *f = base_alloc(sizeof *f + FRAME_HEAD + payload.n);
    if (!f) return NULL;
    *f = (struct frame){ .loop = l, .references = 1, .text = text };
    struct buf b = { .p = f->bytes, .cap = FRAME_HEAD + payload.n, .max = FRAME_HEAD + payload.n };   /* cannot grow: it fits */
    ws_write(&b, text ? 1 : 2, payload);
    must(!b.failed && b.p == f->bytes);
    f->n = b.n;
    f->payload = span_from(f->bytes + (b.n - payload.n), payload.n);
    return f;
}

void frame_retain(struct frame *f) { f->references++; }

void frame_release(struct frame **pf)
{
    struct frame *f = *pf;
    *pf = NULL;
    if (!f || --f->references > 0) return;
    buf_done(&f->deflated);
    free(f);
}

bool frame_deflate(struct frame *f, int bits)
{
    if (bits == 0) return false;
    if (!f->tried) {
        struct ws_inflater *inflater = loop_inflater(f->loop);
        f->tried = true;
        buf_init(&f->deflated, f->n);
        if (inflater) ws_write_deflated(&f->deflated, inflater, f->text ? 1 : 2, f->payload);
        if (f->deflated.failed || f->deflated.n >= f->n) buf_done(&f->deflated);
    }
    return f->deflated.n && ws_deflated_fits(bits, f->payload.n);
}

struct span frame_bytes(const struct frame *f, bool deflated)
{
    return deflated ? buf_span(&f->deflated) : span_from(f->bytes, f->n);
}
