/* Sealed ids: they open for their key and kind, in their one spelling, and for nothing else; the same from every thread and after many uses of a context. */
#include "wire/sealed.h"
#include "base/clock.h"
#include "base/hash.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const unsigned char key[32] = { 0x7f, 0x7e, 0x7d, 0x7c, 0x7b, 0x7a, 0x79, 0x78, 0x77, 0x76, 0x75, 0x74, 0x73, 0x72, 0x71, 0x70,
                                       0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f };
static struct arena *A;
static struct sealer *S;

static int setup(void **state)
{
    (void)state;
    A = arena_new(1u << 20);
    S = sealer_new(key);
    return A && S ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&A);
    sealer_free(&S);
    assert_null(S);
    sealer_free(&S);
    return 0;
}

static bool same(struct sealed a, struct sealed b) { return a.owner == b.owner && a.id == b.id && a.generation == b.generation; }

static void opens_what_it_made(void **state)
{
    (void)state;
    static const int64_t numbers[] = { 0, 1, -1, 255, 256, INT64_MAX, INT64_MIN, 0x0123456789abcdef };
    for (size_t i = 0; i < LENGTH(numbers); i++)
        for (size_t k = 0; k < LENGTH(numbers); k++) {
            struct sealed in = { numbers[i], numbers[k], numbers[(i + k) % LENGTH(numbers)] }, out;
            struct span text = sealed_make(A, S, "diary", in);
            assert_int_equal(text.n, SEALED_TEXT_BYTES);
            assert_int_equal(strlen(text.p), SEALED_TEXT_BYTES);
            assert_true(sealed_open(S, "diary", text, &out));
            assert_true(same(in, out));
            assert_true(span_is(text, sealed_make(A, S, "diary", in)));
            struct span raw;
            assert_true(base64url_decode(A, text, &raw));
            assert_int_equal(raw.n, 40);
        }
}

/* The text by OpenSSL's ordinary one-shot use, with a fresh context: what ours must equal however often its contexts were used. */
static struct span by_the_book(const char *kind, struct sealed id)
{
    unsigned char plain[24], raw[40];
    int64_t v[3] = { id.owner, id.id, id.generation };
    for (int i = 0; i < 24; i++)
        plain[i] = (unsigned char)((uint64_t)v[i / 8] >> (56 - 8 * (i % 8)));
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-128-SIV", NULL);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n;
    assert_int_equal(EVP_EncryptInit_ex2(c, cipher, key, NULL, NULL), 1);
    assert_int_equal(EVP_EncryptUpdate(c, NULL, &n, (const unsigned char *)kind, (int)strlen(kind)), 1);
    assert_int_equal(EVP_EncryptUpdate(c, raw + 16, &n, plain, 24), 1);
    assert_int_equal(EVP_EncryptFinal_ex(c, raw + 40, &n), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, raw), 1);
    EVP_CIPHER_CTX_free(c);
    EVP_CIPHER_free(cipher);
    return base64url_encode(A, span_from(raw, 40));
}

static void equals_a_fresh_context(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        struct sealed id = { i, i * 1000003LL, i % 3 };
        static const char *const kinds[] = { "handle", "diary", "pair", "alias" };
        struct arena_mark m = arena_mark(A);
        assert_true(span_is(sealed_make(A, S, kinds[i % 4], id), by_the_book(kinds[i % 4], id)));
        arena_rewind(A, m);
    }
}

static void wrong_kind_or_key(void **state)
{
    (void)state;
    struct sealed id = { 1, 2, 3 }, out = { 7, 7, 7 };
    struct span text = sealed_make(A, S, "handle", id);
    assert_false(sealed_open(S, "handl", text, &out));
    assert_false(sealed_open(S, "handle2", text, &out));
    assert_false(sealed_open(S, "diary", text, &out));
    unsigned char other_key[32];
    for (int bit = 0; bit < 256; bit++) {
        memcpy(other_key, key, 32);
        other_key[bit / 8] ^= (unsigned char)(1 << bit % 8);
        struct sealer *other = sealer_new(other_key);
        assert_false(sealed_open(other, "handle", text, &out));
        assert_false(span_is(text, sealed_make(A, other, "handle", id)));
        sealer_free(&other);
    }
    assert_true(same(out, (struct sealed){ 7, 7, 7 }));   /* untouched */
    assert_int_equal(ERR_peek_error(), 0);                /* and nothing left in OpenSSL's queue */
    assert_true(sealed_open(S, "handle", text, &out));
}

static void every_bit_counts(void **state)
{
    (void)state;
    struct sealed id = { 1234, 5678, 0 }, out;
    struct span text = sealed_make(A, S, "pair", id), raw;
    assert_true(base64url_decode(A, text, &raw));
    for (size_t bit = 0; bit < 320; bit++) {
        struct arena_mark m = arena_mark(A);
        char *changed = arena_take(A, 40);
        memcpy(changed, raw.p, 40);
        changed[bit / 8] = (char)(changed[bit / 8] ^ 1 << bit % 8);
        assert_false(sealed_open(S, "pair", base64url_encode(A, span_from(changed, 40)), &out));
        arena_rewind(A, m);
    }
    assert_true(sealed_open(S, "pair", text, &out));
}

static void one_spelling_only(void **state)
{
    (void)state;
    struct sealed id = { 1, 2, 3 }, out;
    struct span text = sealed_make(A, S, "pair", id);
    char copy[80];
    for (size_t at = 0; at < text.n; at++)                /* any other byte at any place, stray bits of the last character among them */
        for (int c = 0; c < 256; c++) {
            memcpy(copy, text.p, text.n);
            copy[at] = (char)c;
            assert_int_equal(sealed_open(S, "pair", span_from(copy, text.n), &out), copy[at] == text.p[at]);
        }
    memcpy(copy, text.p, text.n);
    memcpy(copy + text.n, "==AA", 4);
    for (size_t n = 0; n < text.n + 4; n++)
        assert_int_equal(sealed_open(S, "pair", span_from(copy, n), &out), n == text.n);
    assert_false(sealed_open(S, "pair", (struct span){ NULL, 0 }, &out));
}

enum { THREADS = 4, ROUNDS = 2000 };

static void *in_a_thread(void *arg)
{
    int64_t me = (intptr_t)arg;
    struct arena *a = arena_new(1u << 20);
    intptr_t good = 0;
    for (int i = 0; i < ROUNDS; i++) {
        const char *kind = i % 3 ? "handle" : i % 2 ? "threads" : "pair";
        struct sealed id = { me, i, 0 }, out;
        struct span text = sealed_make(a, S, kind, id);
        good += sealed_open(S, kind, text, &out) && same(id, out) && !sealed_open(S, "alias", text, &out);
        arena_reset(a);
    }
    arena_free(&a);
    return (void *)good;
}

static void from_several_threads(void **state)
{
    (void)state;
    pthread_t t[THREADS];
    for (intptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, in_a_thread, (void *)i), 0);
    for (int i = 0; i < THREADS; i++) {
        void *good;
        assert_int_equal(pthread_join(t[i], &good), 0);
        assert_int_equal((intptr_t)good, ROUNDS);
    }
}

static void arena_at_its_end(void **state)
{
    (void)state;
    struct arena *small = arena_new(4096);
    while (arena_take(small, 16))
        ;
    assert_null(sealed_make(small, S, "pair", (struct sealed){ 1, 2, 3 }).p);
    arena_free(&small);
}

/* Printed, not judged: machines differ. */
static void what_it_costs(void **state)
{
    (void)state;
    uint64_t best_make = UINT64_MAX, best_open = UINT64_MAX;
    for (int round = 0; round < 20; round++) {
        struct sealed out;
        struct span text = { NULL, 0 };
        uint64_t t0 = clock_mono_ns();
        for (int i = 0; i < 200; i++) {
            struct arena_mark m = arena_mark(A);
            text = sealed_make(A, S, "diary", (struct sealed){ 1, i, 0 });
            arena_rewind(A, m);
        }
        uint64_t t1 = clock_mono_ns();
        text = sealed_make(A, S, "diary", (struct sealed){ 1, 199, 0 });
        for (int i = 0; i < 200; i++)
            assert_true(sealed_open(S, "diary", text, &out));
        uint64_t t2 = clock_mono_ns();
        best_make = t1 - t0 < best_make ? t1 - t0 : best_make;
        best_open = t2 - t1 < best_open ? t2 - t1 : best_open;
    }
    print_message("sealing %llu ns, opening %llu ns\n", (unsigned long long)best_make / 200, (unsigned long long)best_open / 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_what_it_made), cmocka_unit_test(equals_a_fresh_context), cmocka_unit_test(wrong_kind_or_key), cmocka_unit_test(every_bit_counts),
        cmocka_unit_test(one_spelling_only), cmocka_unit_test(from_several_threads), cmocka_unit_test(arena_at_its_end), cmocka_unit_test(what_it_costs),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
