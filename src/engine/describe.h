/* engine/describe.h: the tables of all apps as people and programs want to read them: `weir routes` and `weir openapi`.
 *
 * Nothing is known here that a row does not say: methods and paths from `http`, parameters from `takes`, answers from `gives`, the shape of errors by asking the app's
 * own error() for one. A row that contradicts itself (a notation or route that cannot be read, a path parameter without braces to match) is a bug and ends the process. */
#ifndef WEIR_DESCRIBE_H
#define WEIR_DESCRIBE_H
#include "engine/app.h"

struct describe {
    const struct app *const *apps;
    bool debug;                          /* with the rows marked COMMAND_DEBUG */
};
/* One line a route, aligned: methods, path, name, who may call, what it is about. */
void describe_routes(const struct describe *, struct buf *out);
/* The same with parameters and answers: an array of objects, one a command or channel. */
void describe_routes_json(const struct describe *, struct buf *out);
/* An OpenAPI 3.1 document; WebSocket paths under x-channels. */
void describe_openapi(const struct describe *, struct buf *out);

/* ---- shared by describe.c and openapi.c ---- */

bool describe_shows(const struct describe *, unsigned flags);
bool describe_has_file(const struct shape *);
/* The schema of one field of `takes`. */
void describe_field_schema(const struct field *, struct jout *);
/* The schema of a notation; a malformed one ends the process with the row's name. */
void describe_gives(const char *name, const char *gives, struct jout *);
#endif
