/* wire/form.h: application/x-www-form-urlencoded, queries, cookies. */
#ifndef WEIR_FORM_H
#define WEIR_FORM_H
#include "base/base.h"
#include "wire/limits.h"

struct pair { struct span name, value; };
struct pairs { size_t n; struct pair *at; };               /* in the order sent; in the arena */

/* '+' is a space; %XX decodes; empty pieces are passed over; a malformed escape, more than LIMIT_PARAMETERS pairs, invalid UTF-8
 * or NUL: false and *out_why (static English text). */
bool form_parse(struct arena *a, struct span in, struct pairs *out, const char **out_why);
/* Cookie header: malformed crumbs are passed over, never an error. Values without their quotes, not decoded; copied into the arena. */
void cookies_parse(struct arena *a, struct span header, struct pairs *out);
/* The first pair of that name, else p == NULL. */
struct span pairs_get(const struct pairs *, struct span name);
void url_encode(struct buf *b, struct span s);             /* RFC 3986 unreserved stay */
#endif
