/* Tokens under the fuzzer: as they come, nothing is ever taken that was not signed; and with the right signature put behind whatever header and claims the input has, what is taken has the one
 * algorithm and an object of claims. The first byte chooses; then header, NUL, claims. */
#include "wire/jwt.h"
#include "base/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const unsigned char key[32] = "a key that is nobody's but ours";
    static struct arena *a;
    if (!a) {
        a = arena_new(1u << 22);
        must(a);
    }
    if (n < 1 || n > 8192) return 0;
    struct span rest = span_from(data + 1, n - 1);
    if (data[0] % 2 == 0) {
        must(!jwt_verify(a, key, rest));
    } else {
        int nul = span_find(rest, '\0');
        struct span head = nul < 0 ? SPAN("{\"alg\":\"HS256\"}") : span_from(rest.p, (size_t)nul), body = nul < 0 ? rest : span_cut(rest, (size_t)nul + 1);
        unsigned char mac[32];
        struct span text = arena_printf(a, "%.*s.%.*s", SPAN_ARGS(base64url_encode(a, head)), SPAN_ARGS(base64url_encode(a, body)));
        hmac_sha256(span_from(key, 32), text, mac);
        const json_t *claims = jwt_verify(a, key, arena_printf(a, "%.*s.%.*s", SPAN_ARGS(text), SPAN_ARGS(base64url_encode(a, span_from(mac, 32)))));
        must(!claims || (json_is_object(claims) && memmem(head.p, head.n, "alg", 3)));
    }
    arena_reset(a);
    return 0;
}
