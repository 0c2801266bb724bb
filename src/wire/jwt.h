/* wire/jwt.h: JSON Web Tokens (RFC 7519), signed with HMAC-SHA-256 and nothing else. The codec is libjwt's; what is here makes it strict.
 *
 * libjwt 1.x takes whatever algorithm a token names, `none` included, and reads base64 leniently. So a token is looked at before libjwt sees it: at most LIMIT_JWT_BYTES, three parts of canonical
 * base64url, a header that is an object with `alg` exactly "HS256" (and no `crit`: RFC 7515 4.1.11), claims that are an object. Then the signature is checked, in constant time, and the algorithm
 * that libjwt believes to have used is asked once more. Times are the caller's business: `exp` is a claim like any other here. */
#ifndef WEIR_JWT_H
#define WEIR_JWT_H
#include "base/base.h"
#include "wire/json.h"

/* `claims`: a JSON object of at most half of LIMIT_JWT_BYTES. The token lives in the arena; empty when out of memory or too large. */
struct span jwt_sign(struct arena *, const unsigned char key[32], struct span claims);
/* The claims of a token that we signed, freed with the arena; NULL for everything else. Why it is refused is nobody's business. */
const json_t *jwt_verify(struct arena *, const unsigned char key[32], struct span token);
#endif
