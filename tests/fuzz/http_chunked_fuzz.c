/* Chunked bodies under the fuzzer. The first byte says in which steps the rest arrives: the same status, body and end as at once. A body that is whole is
 * written again as one chunk and must lead back to itself. */
#include <stdio.h>

#include "wire/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Decodes a copy of s in steps. Returns the status; the body is appended to b. */
static int decode(struct span s, size_t step, struct buf *b, size_t *out_used)
{
    struct http_chunked c = { 0 };
    int status = 0;
    *out_used = 0;
    while (status == 0 && *out_used < s.n) {
        size_t n = s.n - *out_used < step ? s.n - *out_used : step, body, used;
        char *piece = malloc(n);
        must(piece != NULL);
        memcpy(piece, s.p + *out_used, n);
        status = http_chunked_decode(&c, piece, n, &body, &used);
        must(body <= used && used <= n && (status != 0 || used == n) && (status == 0 || status == 1 || status == -400));
        buf_add(b, piece, body);
        free(piece);
        *out_used += used;
    }
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct buf whole, steps, again;
    size_t used, used_steps;
    if (n < 2) return 0;
    struct span in = { (const char *)data + 1, n - 1 };
    buf_init(&whole, 1 << 24);
    buf_init(&steps, 1 << 24);
    buf_init(&again, 1 << 24);
    int status = decode(in, in.n, &whole, &used);
    must(decode(in, data[0] % 37u + 1, &steps, &used_steps) == status);
    must(used == used_steps && span_is(buf_span(&whole), buf_span(&steps)));
    if (status == 1) {
        must(used >= 5 && memcmp(in.p + used - 2, "\r\n", 2) == 0);
        if (whole.n) buf_printf(&again, "%zX\r\n", whole.n);
        buf_add_span(&again, buf_span(&whole));
        buf_add_z(&again, whole.n ? "\r\n0\r\n\r\n" : "0\r\n\r\n");
        steps.n = 0;
        must(decode(buf_span(&again), 7, &steps, &used) == 1 && used == again.n);
        must(span_is(buf_span(&whole), buf_span(&steps)));
    }
    must(!whole.failed && !steps.failed && !again.failed);
    buf_done(&whole);
    buf_done(&steps);
    buf_done(&again);
    return 0;
}
