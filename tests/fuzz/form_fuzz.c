/* Forms under the fuzzer: what is taken is UTF-8 without NUL, and written again it leads back to itself. */
#include "wire/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct pairs pairs, again;
    const char *why;
    struct arena *a = arena_new(1 << 24);
    if (!a) return 0;
    struct buf b;
    buf_init(&b, 1 << 24);
    if (form_parse(a, span_from(data, n), &pairs, &why)) {
        must(pairs.n <= LIMIT_PARAMETERS && !why);
        for (size_t i = 0; i < pairs.n; i++) {
            struct pair p = pairs.at[i];
            must(utf8_valid(p.name) && utf8_valid(p.value));
            must((p.name.n == 0 || !memchr(p.name.p, 0, p.name.n)) && (p.value.n == 0 || !memchr(p.value.p, 0, p.value.n)));
            buf_add_z(&b, "&");
            url_encode(&b, p.name);
            buf_add_z(&b, "=");
            url_encode(&b, p.value);
        }
        must(!b.failed && form_parse(a, buf_span(&b), &again, &why) && again.n == pairs.n);
        for (size_t i = 0; i < pairs.n; i++) {
            must(span_is(again.at[i].name, pairs.at[i].name) && span_is(again.at[i].value, pairs.at[i].value));
            must(pairs_get(&pairs, pairs.at[i].name).p != NULL);
        }
    } else {
        must(why && pairs.n == 0);
    }
    buf_done(&b);
    arena_free(&a);
    return 0;
}
