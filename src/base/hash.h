/* base/hash.h: randomness and hashes. Cryptography is OpenSSL's; nothing of it is written here. */
#ifndef WEIR_HASH_H
#define WEIR_HASH_H
#include "base/base.h"

void random_bytes(void *out, size_t n);                      /* the kernel's; cannot fail (a failure is a bug of the machine and ends the process) */

void sha256(struct span in, unsigned char out[32]);
void sha1(struct span in, unsigned char out[20]);
/* HMAC-SHA-256; also the key derivation of sub-keys from secret_key: hmac(secret, "purpose") */
void hmac_sha256(struct span key, struct span in, unsigned char out[32]);
uint64_t hash64(struct span in, uint64_t seed);              /* quick, not for secrets; tables are seeded by random_bytes */

struct span hex_encode(struct arena *a, struct span in);     /* lower case */
struct span base64url_encode(struct arena *a, struct span in);        /* without padding */
bool base64url_decode(struct arena *a, struct span in, struct span *out);   /* strict: no padding, no other characters, canonical */
struct span base64_encode(struct arena *a, struct span in);
bool base64_decode(struct arena *a, struct span in, struct span *out);

/* A deterministic stream of random bytes out of a 32-byte seed (SHA-256 in counter mode): the randomness of a request,
 * so that running a handler twice gives the same reply. */
struct seeded { unsigned char seed[32]; uint64_t counter; };
void seeded_bytes(struct seeded *, void *out, size_t n);
#endif
