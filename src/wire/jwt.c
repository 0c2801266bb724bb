/* wire/jwt.c: see jwt.h. Only calls that libjwt has had since 1.10 are used. What libjwt allocates is freed before anything is taken from the arena, whose escape would leave it behind. */
#include "wire/jwt.h"

#include <jwt.h>

#include "base/hash.h"

_Static_assert(LIMIT_JWT_BYTES >= 1024, "room for the claims of an app");

static bool part_next(struct span *rest, bool last, struct span *out)
{
    int dot = span_find(*rest, '.');
    if (last != (dot < 0)) return false;
    *out = last ? *rest : span_from(rest->p, (size_t)dot);
    *rest = last ? SPAN("") : span_cut(*rest, (size_t)dot + 1);
    return out->n > 0;
}

static json_t *part_object(struct arena *a, struct span part)
{
    struct span text, why;
    json_t *tree = base64url_decode(a, part, &text) ? json_read(a, text, &why) : NULL;
    return json_is_object(tree) ? tree : NULL;
}

struct span jwt_sign(struct arena *a, const unsigned char key[32], struct span claims)
{
    char room[LIMIT_JWT_BYTES];
    size_t n = 0;
    if (claims.n == 0 || claims.n > LIMIT_JWT_BYTES / 2) return SPAN("");
    const char *text = arena_z(a, claims);
    jwt_t *jwt = NULL;
    if (!text || jwt_new(&jwt) != 0) return SPAN("");
    bool good = jwt_add_grants_json(jwt, text) == 0 && jwt_set_alg(jwt, JWT_ALG_HS256, key, 32) == 0;
    char *token = good ? jwt_encode_str(jwt) : NULL;
    if (token) n = strlen(token);
    if (n > 0 && n < sizeof room) memcpy(room, token, n + 1);
    else n = 0;
    free(token);
    jwt_free(jwt);
    return n ? arena_copy(a, span_from(room, n)) : SPAN("");
}

const json_t *jwt_verify(struct arena *a, const unsigned char key[32], struct span token)
{
    struct span rest = token, head, body, signature, raw;
    if (token.n == 0 || token.n > LIMIT_JWT_BYTES) return NULL;
    if (!part_next(&rest, false, &head) || !part_next(&rest, false, &body) || !part_next(&rest, true, &signature)) return NULL;
    const json_t *header = part_object(a, head), *claims = part_object(a, body);
    const json_t *alg = json_object_get(header, "alg");
    if (!header || !claims || !json_is_string(alg) || !span_is(json_span(alg), SPAN("HS256")) || json_object_get(header, "crit")) return NULL;
    if (!base64url_decode(a, signature, &raw) || raw.n != 32) return NULL;
    const char *text = arena_z(a, token);
    jwt_t *jwt = NULL;
    bool good = text && jwt_decode(&jwt, text, key, 32) == 0 && jwt_get_alg(jwt) == JWT_ALG_HS256;
    if (jwt) jwt_free(jwt);
    return good ? claims : NULL;
}
