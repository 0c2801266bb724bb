/* base/hash.c: randomness and hashes over OpenSSL; base64 and hex. */
#include "base/hash.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <sys/random.h>
#include <errno.h>

void random_bytes(void *out, size_t n)
{
    char *p = out;
    while (n) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR) continue;
        must(got > 0);
        p += got;
        n -= (size_t)got;
    }
}

void sha256(struct span in, unsigned char out[32]) { SHA256((const unsigned char *)in.p, in.n, out); }
void sha1(struct span in, unsigned char out[20]) { SHA1((const unsigned char *)in.p, in.n, out); }

void hmac_sha256(struct span key, struct span in, unsigned char out[32])
{
    unsigned int n = 32;
    must(key.n <= INT32_MAX);
    must(HMAC(EVP_sha256(), key.n ? key.p : "", (int)key.n, (const unsigned char *)in.p, in.n, out, &n) && n == 32);
}

/* wyhash-like: multiply, fold, eight bytes at a time */
static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash64(struct span in, uint64_t seed)
{
    const uint64_t k0 = 0xa0761d6478bd642fu, k1 = 0xe7037ed1a0b428dbu;
    uint64_t h = seed ^ k0;
    size_t n = in.n;
    const char *p = in.p;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = fold(h ^ word, k1);
    }
    uint64_t tail = 0;
    if (n) memcpy(&tail, p, n);
    return fold(h ^ tail ^ k1, (uint64_t)in.n ^ k0);
}

struct span hex_encode(struct arena *a, struct span in)
{
    static const char digits[] = "0123456789abcdef";
    must(in.n < SIZE_MAX / 2 - 1);
    char *p = arena_take(a, in.n * 2 + 1);
    if (!p) return (struct span){ NULL, 0 };
    for (size_t i = 0; i < in.n; i++) {
        p[2 * i] = digits[(unsigned char)in.p[i] >> 4];
        p[2 * i + 1] = digits[(unsigned char)in.p[i] & 15];
    }
    p[in.n * 2] = '\0';
    return (struct span){ p, in.n * 2 };
}

static const char url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char std_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static struct span encode64(struct arena *a, struct span in, const char *alphabet, bool pad)
{
    must(in.n < SIZE_MAX / 2);
    char *p = arena_take(a, (in.n + 2) / 3 * 4 + 1);
    if (!p) return (struct span){ NULL, 0 };
    const unsigned char *u = (const unsigned char *)in.p;
    size_t o = 0;
    for (size_t i = 0; i < in.n; i += 3) {
        size_t left = in.n - i;
        uint32_t v = (uint32_t)u[i] << 16 | (left > 1 ? (uint32_t)u[i + 1] << 8 : 0) | (left > 2 ? u[i + 2] : 0);
        p[o++] = alphabet[v >> 18 & 63];
        p[o++] = alphabet[v >> 12 & 63];
        if (left > 1) p[o++] = alphabet[v >> 6 & 63]; else if (pad) p[o++] = '=';
        if (left > 2) p[o++] = alphabet[v & 63]; else if (pad) p[o++] = '=';
    }
    p[o] = '\0';
    return (struct span){ p, o };
}

static bool decode64(struct arena *a, struct span in, const char *alphabet, struct span *out)
{
    if (in.n % 4 == 1) return false;
    unsigned char *p = arena_take(a, in.n / 4 * 3 + 3);
    if (!p) return false;
    uint32_t v = 0;
    size_t bits = 0, o = 0;
    for (size_t i = 0; i < in.n; i++) {
        const char *at = in.p[i] ? strchr(alphabet, in.p[i]) : NULL;
        if (!at) return false;
        v = v << 6 | (uint32_t)(at - alphabet);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            p[o++] = (unsigned char)(v >> bits);
            v &= (1u << bits) - 1;
        }
    }
    if (v) return false;                     /* stray bits: a second spelling of the same bytes */
    *out = (struct span){ (char *)p, o };
    return true;
}

struct span base64url_encode(struct arena *a, struct span in) { return encode64(a, in, url_alphabet, false); }
struct span base64_encode(struct arena *a, struct span in) { return encode64(a, in, std_alphabet, true); }
bool base64url_decode(struct arena *a, struct span in, struct span *out) { return decode64(a, in, url_alphabet, out); }

bool base64_decode(struct arena *a, struct span in, struct span *out)
{
    if (in.n % 4) return false;
    if (in.n && in.p[in.n - 1] == '=') in.n--;
    if (in.n && in.p[in.n - 1] == '=') in.n--;
    return decode64(a, in, std_alphabet, out);
}

void seeded_bytes(struct seeded *s, void *out, size_t n)
{
    char *p = out;
    while (n) {
        unsigned char block[40], hash[32];
        memcpy(block, s->seed, 32);
        memcpy(block + 32, &s->counter, 8);
        s->counter++;
        sha256(span_from(block, sizeof block), hash);
        size_t take = n < sizeof hash ? n : sizeof hash;
        memcpy(p, hash, take);
        p += take;
        n -= take;
    }
}
