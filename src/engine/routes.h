/* engine/routes.h: the little language of a row's `http`: "GET|POST /matching/emotion/?, ANY /y/{id}".
 *
 * A route is methods, one space, a pattern of net/router.h; several routes are separated by ", ". ANY stands for every method we know (also OPTIONS, which such a row
 * then answers itself). The text is a literal of ours, so what is malformed in it is a bug (must), found by the first test that walks the tables.
 * Read by the engine (which fills the router), by `weir routes` and by the OpenAPI document. */
#ifndef WEIR_ROUTES_H
#define WEIR_ROUTES_H
#include "base/base.h"

enum { ROUTE_PATTERN_BYTES = 128 };                          /* with the NUL */

/* Takes the next route off the front of *text. False: there is none left. methods: bits 1 << HTTP_GET … */
bool route_next(const char **text, unsigned *out_methods, char out_pattern[ROUTE_PATTERN_BYTES]);
/* True if the pattern ends in "/?"; then *out_bytes is the length without it (1 at least: "/?" is "/"), otherwise its whole length. */
bool route_slash_optional(const char *pattern, size_t *out_bytes);
/* The next `{name}` of a pattern at or behind *at, which moves behind it; false at the end. */
bool route_parameter_next(const char **at, struct span *out_name);
#endif
