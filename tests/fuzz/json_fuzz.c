/* JSON under the fuzzer. What the reader accepts is UTF-8 without NUL, and its canonical form leads back to an equal tree and to itself. Any bytes
 * at all, written as a string and as a key, read back as what utf8_next sees in them. */
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void accepted(struct arena *a, struct span in, json_t *tree)
{
    must(utf8_valid(in));
    must(in.n && !memchr(in.p, 0, in.n));
    struct span why, canonical = json_canonical(a, tree);
    must(canonical.p && utf8_valid(canonical));
    json_t *again = json_read(a, canonical, &why);
    must(again && json_equal(tree, again));
    must(span_is(json_canonical(a, again), canonical));
}

static void as_string(struct arena *a, struct span in, bool html)
{
    struct buf repaired, out;
    struct jout o;
    struct span why;
    buf_init(&repaired, in.n * 3 + 1);
    buf_init(&out, in.n * 12 + 100);
    for (const char *p = in.p, *end = in.p + in.n; p < end;) {
        char text[4];
        uint32_t c = utf8_next(&p, end);
        if (c)
            buf_add(&repaired, text, utf8_put(text, c));
    }
    char *without = arena_take(a, in.n);                  /* a NUL could be written but not read */
    size_t kept = 0;
    for (size_t i = 0; i < in.n; i++)
        if (in.p[i])
            without[kept++] = in.p[i];
    jout_init(&o, &out);
    o.html = html;
    jout_begin_object(&o);
    jout_key_span(&o, span_from(without, kept));
    jout_text(&o, span_from(without, kept));
    jout_end_object(&o);
    must(jout_complete(&o) && !out.failed);
    json_t *back = json_read(a, buf_span(&out), &why);
    must(back && json_object_size(back) == 1);
    bool same = true;                                     /* leaving out a NUL can join two halves of a character: compare only if it did not */
    for (size_t i = 0; i < in.n; i++)
        same = same && in.p[i];
    void *it = json_object_iter(back);
    must(!same || span_is(json_span(json_object_iter_value(it)), buf_span(&repaired)));
    must(!same || span_is(span_from(json_object_iter_key(it), json_object_iter_key_len(it)), buf_span(&repaired)));
    if (html)
        must(kept == 0 || !memchr(out.p, '<', out.n));
    buf_done(&repaired);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n > 65536)
        return 0;
    struct arena *a = arena_new(64u << 20);
    must(a);
    struct span in = arena_copy(a, span_from(data, n)), why;
    json_t *tree = json_read(a, in, &why);
    must(tree ? !why.p : why.n > 0);
    if (tree)
        accepted(a, in, tree);
    as_string(a, in, n & 1);
    arena_free(&a);
    return 0;
}
