/* Sealed ids under the fuzzer. What opens is exactly what sealing its contents writes; and an id made of the input opens, but not with one of its
 * characters exchanged, cut off or added, nor for another kind. */
#include "wire/sealed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const kinds[] = { "handle", "diary", "pair", "alias" };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const unsigned char key[32] = "a key that is nobody's but ours.";
    static struct sealer *sealer;
    static struct arena *a;
    if (!sealer) {
        sealer = sealer_new(key);
        a = arena_new(1u << 20);
        must(sealer && a);
    }
    if (n < 1 || n > 4096)
        return 0;
    const char *kind = kinds[data[0] % LENGTH(kinds)];
    struct sealed out;
    struct span text = span_from(data + 1, n - 1);
    if (sealed_open(sealer, kind, text, &out))
        must(span_is(text, sealed_make(a, sealer, kind, out)));
    if (n >= 1 + 26) {
        struct sealed id, back;
        memcpy(&id.owner, data + 1, 8);
        memcpy(&id.id, data + 9, 8);
        memcpy(&id.generation, data + 17, 8);
        text = sealed_make(a, sealer, kind, id);
        must(text.n == SEALED_TEXT_BYTES);
        must(sealed_open(sealer, kind, text, &back) && back.owner == id.owner && back.id == id.id && back.generation == id.generation);
        must(!sealed_open(sealer, kinds[(data[0] + 1u) % LENGTH(kinds)], text, &back));
        char changed[SEALED_TEXT_BYTES + 1];
        memcpy(changed, text.p, text.n);
        changed[SEALED_TEXT_BYTES] = (char)data[25];
        must(!sealed_open(sealer, kind, span_from(changed, SEALED_TEXT_BYTES + 1), &back));
        must(!sealed_open(sealer, kind, span_from(changed, SEALED_TEXT_BYTES - 1), &back));
        changed[data[25] % SEALED_TEXT_BYTES] = (char)data[26];
        must(sealed_open(sealer, kind, span_from(changed, SEALED_TEXT_BYTES), &back) == span_is(text, span_from(changed, SEALED_TEXT_BYTES)));
    }
    arena_reset(a);
    return 0;
}
