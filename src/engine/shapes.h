/* engine/shapes.h: the notation in which a row says what it `gives`, and JSON Schema made of it.
 *
 *   s n b z *      string, number, true or false, null, anything        "text"   that very string
 *   {a:s, b?:n}    an object with just these keys; b may be absent      {a:s, ...}   further keys may follow
 *   [x]            an array of x, of any length                         s|z      one or the other
 *
 * docs/why/shapes.md tells why it is not JSON Schema itself. The texts are ours: what is malformed is a bug, and shape_schema says where so that a test can name the row. */
#ifndef WEIR_SHAPES_H
#define WEIR_SHAPES_H
#include "base/base.h"
#include "wire/json.h"

enum { SHAPE_DEPTH = 10 };

/* Writes the schema as one JSON value. False: malformed (nothing useful was written); *out_at is the byte where. */
bool shape_schema(const char *notation, struct jout *out, size_t *out_at);
#endif
