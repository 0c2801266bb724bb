/* net/router.h: plain routing: a path and a method to the number of a route. Patterns are literal segments and `{name}` for one whole segment ("/absence/{id}/").
 * A trailing slash is significant in a pattern unless it ends in "/?" (then both forms match). Literal segments win over `{}`. Built once, then immutable and shared by all threads. */
#ifndef WEIR_ROUTER_H
#define WEIR_ROUTER_H
#include "base/base.h"
#include "wire/http1.h"

#define ROUTER_PARAMS 8
struct router;
struct router *router_new(void);
void router_free(struct router **);
/* methods: bits 1 << HTTP_GET …; HEAD is matched by GET routes. Adding the same pattern and method twice is a bug (must). */
void router_add(struct router *, unsigned methods, const char *pattern, int route);
struct routed { int route; size_t n; struct { const char *name; struct span value; } params[ROUTER_PARAMS]; unsigned allowed; };
/* 200 and *out;  404;  405 with out->allowed (bits). `path` is decoded. Values are spans of it. */
int router_match(const struct router *, enum http_method, struct span path, struct routed *out);
struct span router_allow(struct arena *, unsigned methods);                     /* "GET, HEAD, OPTIONS" */
#endif
