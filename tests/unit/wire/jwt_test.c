/* JSON Web Tokens: what was signed is read back, by its key only; other algorithms, `none`, other spellings of the same bytes and anything cut or changed are refused. */
#include "wire/jwt.h"
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const unsigned char key[32] = "0123456789abcdef0123456789abcde";
static const unsigned char other[32] = "0123456789abcdef0123456789abcdf";
static struct arena *A;

static int setup(void **state)
{
    (void)state;
    A = arena_new(1u << 22);
    return A ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&A);
    return 0;
}

/* A token made by hand, with the right signature for whatever header and claims. */
static struct span by_hand(const char *header, const char *claims)
{
    unsigned char mac[32];
    struct span h = base64url_encode(A, span_of(header)), c = base64url_encode(A, span_of(claims));
    struct span signed_part = arena_printf(A, "%.*s.%.*s", SPAN_ARGS(h), SPAN_ARGS(c));
    hmac_sha256(span_from(key, 32), signed_part, mac);
    return arena_printf(A, "%.*s.%.*s", SPAN_ARGS(signed_part), SPAN_ARGS(base64url_encode(A, span_from(mac, 32))));
}

static void reads_what_it_signed(void **state)
{
    (void)state;
    struct span token = jwt_sign(A, key, SPAN("{\"user_id\":7,\"username\":\"赵乘风\",\"exp\":1700000000,\"email\":\"\"}"));
    assert_true(token.n > 0 && token.n < LIMIT_JWT_BYTES);
    const json_t *claims = jwt_verify(A, key, token);
    assert_non_null(claims);
    assert_int_equal(json_integer_value(json_object_get(claims, "user_id")), 7);
    assert_int_equal(json_integer_value(json_object_get(claims, "exp")), 1700000000);
    assert_string_equal(json_string_value(json_object_get(claims, "username")), "赵乘风");
    assert_string_equal(json_string_value(json_object_get(claims, "email")), "");
    assert_null(jwt_verify(A, other, token));
    assert_non_null(jwt_verify(A, key, by_hand("{\"alg\":\"HS256\",\"typ\":\"JWT\"}", "{\"a\":1}")));
}

static void knows_one_algorithm(void **state)
{
    (void)state;
    static const char *const headers[] = { "{\"alg\":\"none\"}", "{\"alg\":\"NONE\"}", "{\"alg\":\"HS384\"}", "{\"alg\":\"HS512\"}", "{\"alg\":\"RS256\"}", "{\"alg\":\"hs256\"}", "{\"alg\":\"HS256\",\"crit\":[\"x\"]}",
        "{\"typ\":\"JWT\"}", "{\"alg\":1}", "{\"alg\":null}", "[\"HS256\"]", "\"HS256\"", "{", "", "{\"alg\":\"HS256\",\"alg\":\"none\"}", "{\"alg\":\"HS256\"} x" };
    for (size_t i = 0; i < LENGTH(headers); i++)
        if (jwt_verify(A, key, by_hand(headers[i], "{\"a\":1}"))) fail_msg("taken: %s", headers[i]);
    struct span h = base64url_encode(A, SPAN("{\"alg\":\"none\"}")), c = base64url_encode(A, SPAN("{\"user_id\":1}"));
    assert_null(jwt_verify(A, key, arena_printf(A, "%.*s.%.*s.", SPAN_ARGS(h), SPAN_ARGS(c))));
    assert_null(jwt_verify(A, key, arena_printf(A, "%.*s.%.*s", SPAN_ARGS(h), SPAN_ARGS(c))));
}

static void claims_are_an_object(void **state)
{
    (void)state;
    static const char *const claims[] = { "", "[]", "1", "null", "{\"a\":1", "{\"a\":1,\"a\":2}", "\xff" };
    for (size_t i = 0; i < LENGTH(claims); i++)
        if (jwt_verify(A, key, by_hand("{\"alg\":\"HS256\"}", claims[i]))) fail_msg("taken: %s", claims[i]);
}

static void every_changed_byte_is_seen(void **state)
{
    (void)state;
    struct span token = jwt_sign(A, key, SPAN("{\"user_id\":7}"));
    for (size_t i = 0; i < token.n; i++)
        for (int bit = 0; bit < 8; bit++) {
            char *copy = (char *)(uintptr_t)arena_copy(A, token).p;
            copy[i] = (char)(copy[i] ^ (1 << bit));
            assert_null(jwt_verify(A, key, span_from(copy, token.n)));
        }
    for (size_t n = 0; n < token.n; n++) assert_null(jwt_verify(A, key, span_from(token.p, n)));
    static const char *const tails[] = { "=", ".", " ", "A", ".." };
    for (size_t i = 0; i < LENGTH(tails); i++) {
        assert_null(jwt_verify(A, key, arena_printf(A, "%.*s%s", SPAN_ARGS(token), tails[i])));
        assert_null(jwt_verify(A, key, arena_printf(A, "%s%.*s", tails[i], SPAN_ARGS(token))));
    }
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    static char big[LIMIT_JWT_BYTES + 100];
    memset(big, 'A', sizeof big);
    assert_null(jwt_verify(A, key, span_from(big, sizeof big)));
    assert_null(jwt_verify(A, key, SPAN("")));
    snprintf(big, sizeof big, "{\"a\":\"%.*s\"}", LIMIT_JWT_BYTES / 2, "");
    memset(big + 6, 'x', LIMIT_JWT_BYTES / 2);
    memcpy(big + 6 + LIMIT_JWT_BYTES / 2, "\"}", 3);
    assert_int_equal(jwt_sign(A, key, span_of(big)).n, 0);
    assert_int_equal(jwt_sign(A, key, SPAN("no JSON")).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(reads_what_it_signed), cmocka_unit_test(knows_one_algorithm), cmocka_unit_test(claims_are_an_object), cmocka_unit_test(every_changed_byte_is_seen),
        cmocka_unit_test(sizes_are_bounded) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
