/* Cookie headers under the fuzzer: whatever comes, only crumbs of the grammar come out, and written again they lead back to themselves. */
#include "wire/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct pairs pairs, again;
    struct arena *a = arena_new(1 << 24);
    if (!a) return 0;
    struct buf b;
    buf_init(&b, 1 << 24);
    cookies_parse(a, span_from(data, n), &pairs);
    must(pairs.n <= LIMIT_COOKIES);
    for (size_t i = 0; i < pairs.n; i++) {
        struct pair p = pairs.at[i];
        must(p.name.n > 0 && span_find(p.name, '=') < 0 && span_find(p.name, ' ') < 0);
        for (size_t k = 0; k < p.value.n; k++) must(p.value.p[k] > 0x20 && p.value.p[k] < 0x7f && !strchr("\",;\\", p.value.p[k]));
        buf_printf(&b, "%.*s=%.*s%s", SPAN_ARGS(p.name), SPAN_ARGS(p.value), i % 2 ? ";" : "; ");
    }
    cookies_parse(a, buf_span(&b), &again);
    must(!b.failed && again.n == pairs.n);
    for (size_t i = 0; i < pairs.n; i++) must(span_is(again.at[i].name, pairs.at[i].name) && span_is(again.at[i].value, pairs.at[i].value));
    buf_done(&b);
    arena_free(&a);
    return 0;
}
