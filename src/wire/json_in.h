/* wire/json_in.h: what json.c and json_write.c share; nobody else includes it. */
#ifndef WEIR_JSON_IN_H
#define WEIR_JSON_IN_H
#include "wire/json.h"

/* Keys and strings as values; `also` says which characters are escaped beyond those that must be. */
enum { JSON_ESCAPE_SEPARATORS = 1, JSON_ESCAPE_HTML = 2 };
void json_write_key(struct jout *, struct span key, unsigned also);
void json_write_text(struct jout *, struct span text, unsigned also);
#endif
