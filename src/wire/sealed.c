/* wire/sealed.c: ids sealed by AES-SIV (RFC 5297): deterministic authenticated encryption, so the same id is the same text each time, and a text
 * that was changed, made up, or made for another kind or by another key does not open. The kind is the associated data.
 *
 * The trouble with SIV in OpenSSL is the price of a context: setting the key costs some 5 µs and copying a context 1.4 µs, against 0.7 µs
 * for the sealing itself. So contexts are kept with the key set and the kind fed, one list a kind and direction, and used again under
 * OpenSSL's "speed" parameter, which is what allows a second operation with the same key and associated data. A thread takes one out of the list,
 * uses it outside the lock and puts it back; there are as many as threads were ever in here at once. Trap: allowed does not mean unlimited: OpenSSL counts
 * operations in an int and refuses when it is back at 0, so a context is retired long before.
 *
 * Called by whoever shows ids to clients or takes them back (the engine's decoding and the apps). Refuses silently: why a text does not open is nobody's business. */
#include "wire/sealed.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>

enum { KIND_BYTES = 32, TAG_BYTES = 16, PLAIN_BYTES = 24, RAW_BYTES = TAG_BYTES + PLAIN_BYTES, CONTEXT_USES = 1 << 24 };
_Static_assert(SEALED_TEXT_BYTES == (RAW_BYTES * 8 + 5) / 6, "base64url without padding");

struct context { struct context *next; EVP_CIPHER_CTX *evp; int uses; };
struct shelf { char kind[KIND_BYTES]; struct context *idle[2]; };         /* [0] opens, [1] seals */

struct sealer {
    unsigned char key[32];
    EVP_CIPHER *cipher;
    pthread_mutex_t lock;                                 /* of what follows */
    size_t shelf_count;
    struct shelf shelves[SEALED_KINDS];
};

struct sealer *sealer_new(const unsigned char key[32])
{
    struct sealer *s = base_alloc(sizeof *s);
    if (!s)
        return NULL;
    *s = (struct sealer){ .shelf_count = 0 };
    memcpy(s->key, key, sizeof s->key);
    s->cipher = EVP_CIPHER_fetch(NULL, "AES-128-SIV", NULL);
    must(s->cipher && EVP_CIPHER_get_key_length(s->cipher) == (int)sizeof s->key);
    must(pthread_mutex_init(&s->lock, NULL) == 0);
    return s;
}

static void context_free(struct context *c)
{
    EVP_CIPHER_CTX_free(c->evp);
    free(c);
}

void sealer_free(struct sealer **ps)
{
    struct sealer *s = *ps;
    *ps = NULL;
    if (!s)
        return;
    for (size_t i = 0; i < s->shelf_count; i++)
        for (int seal = 0; seal < 2; seal++)
            while (s->shelves[i].idle[seal]) {
                struct context *c = s->shelves[i].idle[seal];
                s->shelves[i].idle[seal] = c->next;
                context_free(c);
            }
    EVP_CIPHER_free(s->cipher);
    pthread_mutex_destroy(&s->lock);
    OPENSSL_cleanse(s->key, sizeof s->key);
    free(s);
}

static struct context *context_new(const struct sealer *s, const char *kind, bool seal)
{
    struct context *c = malloc(sizeof *c);
    must(c);                                              /* a few dozen small blocks in the life of a process */
    *c = (struct context){ .evp = EVP_CIPHER_CTX_new() };
    unsigned speed = 1;
    OSSL_PARAM parameters[] = { OSSL_PARAM_construct_uint(OSSL_CIPHER_PARAM_SPEED, &speed), OSSL_PARAM_construct_end() };
    int n;
    must(c->evp);
    must(EVP_CipherInit_ex2(c->evp, s->cipher, s->key, NULL, seal, NULL) == 1);
    must(EVP_CIPHER_CTX_set_params(c->evp, parameters) == 1);
    must(EVP_CipherUpdate(c->evp, NULL, &n, (const unsigned char *)kind, (int)strlen(kind)) == 1);
    return c;
}

/* The shelf of a kind, made when it is new. Under the lock. */
static struct shelf *shelf_of(struct sealer *s, const char *kind)
{
    for (size_t i = 0; i < s->shelf_count; i++)
        if (strcmp(s->shelves[i].kind, kind) == 0)
            return &s->shelves[i];
    must(s->shelf_count < SEALED_KINDS);
    struct shelf *f = &s->shelves[s->shelf_count++];
    memcpy(f->kind, kind, strlen(kind) + 1);
    return f;
}

static struct context *context_take(struct sealer *s, const char *kind, bool seal, struct shelf **out_shelf)
{
    must(kind[0] && strlen(kind) < KIND_BYTES);
    must(pthread_mutex_lock(&s->lock) == 0);
    struct shelf *f = shelf_of(s, kind);
    struct context *c = f->idle[seal];
    if (c)
        f->idle[seal] = c->next;
    must(pthread_mutex_unlock(&s->lock) == 0);
    *out_shelf = f;                                       /* shelves never move or go away */
    return c ? c : context_new(s, kind, seal);
}

static void context_put(struct sealer *s, struct shelf *f, bool seal, struct context *c)
{
    if (++c->uses >= CONTEXT_USES) {
        context_free(c);
        return;
    }
    must(pthread_mutex_lock(&s->lock) == 0);
    c->next = f->idle[seal];
    f->idle[seal] = c;
    must(pthread_mutex_unlock(&s->lock) == 0);
}

/* ---- text ---- */

static void text_write(const unsigned char raw[RAW_BYTES], char out[SEALED_TEXT_BYTES + 1])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t v = 0;
    unsigned bits = 0;
    size_t o = 0;
    for (size_t i = 0; i < RAW_BYTES; i++) {
        v = (v << 8 | raw[i]) & 0xFFFF;
        for (bits += 8; bits >= 6; bits -= 6)
            out[o++] = alphabet[v >> (bits - 6) & 63];
    }
    out[o++] = alphabet[v << (6 - bits) & 63];            /* 320 bits are 53 characters and 2 bits */
    out[o] = '\0';
}

/* 0..63, or -1 */
static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* Only what text_write writes: the four bits that the last character has to spare are zero. */
static bool text_read(struct span text, unsigned char raw[RAW_BYTES])
{
    if (text.n != SEALED_TEXT_BYTES)
        return false;
    uint32_t v = 0;
    unsigned bits = 0;
    size_t o = 0;
    for (size_t i = 0; i < text.n; i++) {
        int d = digit_value(text.p[i]);
        if (d < 0)
            return false;
        v = (v << 6 | (uint32_t)d) & 0xFFFF;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            raw[o++] = (unsigned char)(v >> bits);
        }
    }
    return o == RAW_BYTES && (v & ((1u << bits) - 1)) == 0;
}

static void number_write(unsigned char *p, int64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (unsigned char)((uint64_t)v >> (56 - 8 * i));
}

static int64_t number_read(const unsigned char *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return (int64_t)v;
}

/* ---- sealing ---- */

struct span sealed_make(struct arena *a, const struct sealer *shared, const char *kind, struct sealed id)
{
    struct sealer *s = (struct sealer *)(uintptr_t)shared;             /* const to the caller: what changes is the store of contexts */
    unsigned char plain[PLAIN_BYTES], raw[RAW_BYTES];
    char *text = arena_take(a, SEALED_TEXT_BYTES + 1);
    if (!text)
        return (struct span){ NULL, 0 };
    number_write(plain, id.owner);
    number_write(plain + 8, id.id);
    number_write(plain + 16, id.generation);
    struct shelf *shelf;
    struct context *c = context_take(s, kind, true, &shelf);
    int n = 0;
    must(EVP_CipherUpdate(c->evp, raw + TAG_BYTES, &n, plain, PLAIN_BYTES) == 1 && n == PLAIN_BYTES);
    must(EVP_CIPHER_CTX_ctrl(c->evp, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, raw) == 1);
    context_put(s, shelf, true, c);
    text_write(raw, text);
    return (struct span){ text, SEALED_TEXT_BYTES };
}

bool sealed_open(const struct sealer *shared, const char *kind, struct span text, struct sealed *out)
{
    struct sealer *s = (struct sealer *)(uintptr_t)shared;
    unsigned char plain[PLAIN_BYTES] = { 0 }, raw[RAW_BYTES];
    if (!text_read(text, raw))
        return false;
    struct shelf *shelf;
    struct context *c = context_take(s, kind, false, &shelf);
    int n = 0;
    must(EVP_CIPHER_CTX_ctrl(c->evp, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, raw) == 1);
    ERR_set_mark();                                       /* a refusal must not be found by the next reader of the thread's error queue (TLS) */
    bool good = EVP_CipherUpdate(c->evp, plain, &n, raw + TAG_BYTES, PLAIN_BYTES) == 1 && n == PLAIN_BYTES;
    ERR_pop_to_mark();
    context_put(s, shelf, false, c);
    if (good)
        *out = (struct sealed){ number_read(plain), number_read(plain + 8), number_read(plain + 16) };
    OPENSSL_cleanse(plain, sizeof plain);                 /* unauthenticated bytes are not left lying about */
    return good;
}
