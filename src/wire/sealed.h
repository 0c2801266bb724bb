/* wire/sealed.h: ids that only their owner can use (decisions 1–2): AES-SIV (RFC 5297, OpenSSL 3's AES-128-SIV) over (owner, id, generation) with the kind as
 * associated data. Deterministic, so that clients can compare; derived, never stored. Text form: base64url without padding. */
#ifndef WEIR_SEALED_H
#define WEIR_SEALED_H
#include "base/base.h"

#define SEALED_KINDS 16
#define SEALED_TEXT_BYTES 54          /* base64url of 16 (SIV) + 24 (3 × 64 bit big endian) = 40 bytes */

struct sealer;                        /* shareable between threads: it keeps idle cipher contexts behind a lock */
struct sealer *sealer_new(const unsigned char key[32]);                 /* NULL: no memory. The key is copied */
void sealer_free(struct sealer **);                                      /* when nobody uses it any more */
struct sealed { int64_t owner, id, generation; };
/* kind: a short constant of ours, such as "handle", "diary", "pair", "alias"; at most SEALED_KINDS different ones a sealer, of at most 31 bytes. Always succeeds
 * (a failure of OpenSSL is a bug), but for an arena at its end that is not armed: {NULL, 0}. The text is NUL-terminated. */
struct span sealed_make(struct arena *a, const struct sealer *, const char *kind, struct sealed);
/* false: not made by this key for this kind, in any detail. */
bool sealed_open(const struct sealer *, const char *kind, struct span text, struct sealed *out);
#endif
