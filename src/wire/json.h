/* wire/json.h: JSON in (jansson, strict) and out (our append writer). */
#ifndef WEIR_JSON_H
#define WEIR_JSON_H
#include "base/base.h"
#include "wire/limits.h"
#include <jansson.h>

/* ---- reading ---- */
/* Strict RFC 8259: UTF-8 only, no duplicate keys, no NUL in strings, no bytes behind the value, depth at most LIMIT_JSON_DEPTH, values and keys at most
 * LIMIT_JSON_VALUES, integers within int64, reals within double. Any value may stand at the top. The tree is freed with the arena (json_decref deferred).
 * On error NULL and *out_why (in the arena, English, with line and column; nothing of the input is in it). */
json_t *json_read(struct arena *a, struct span in, struct span *out_why);
static inline struct span json_span(const json_t *s) { return (struct span){ json_string_value(s), json_string_length(s) }; }
/* Canonical form: keys sorted by their bytes, no white space, shortest escapes, non-ASCII unescaped, reals as jout_double writes them. Reading it and writing it again
 * gives the same bytes. Lives as long as the arena; more than LIMIT_ARENA_BYTES or no memory is as when the arena is at its end. */
struct span json_canonical(struct arena *a, const json_t *value);

/* ---- writing ---- */
/* Appends to a buf; commas are the writer's business, nesting is checked with must(), as is that a key stands before each value of an object and only there.
 * Text should be valid UTF-8; each byte that is not is replaced by U+FFFD. Escapes ", \, control bytes, and U+2028/2029; '<' too when `html` is set (for JSON inside
 * pages; set it after jout_init). Errors are the buf's (sticky). */
struct jout { struct buf *b; uint32_t depth; uint64_t comma; uint64_t is_object; bool html, keyed, full; };   /* one bit a level: at most 64 levels */
void jout_init(struct jout *, struct buf *);
static inline bool jout_complete(const struct jout *o) { return o->depth == 0 && o->full; }   /* one whole value was written */
void jout_begin_object(struct jout *);  void jout_end_object(struct jout *);
void jout_begin_array(struct jout *);   void jout_end_array(struct jout *);
void jout_key_n(struct jout *, const char *key, size_t n);
static inline void jout_key(struct jout *o, const char *key) { jout_key_n(o, key, strlen(key)); }   /* a literal of ours: not escaped */
void jout_key_span(struct jout *, struct span key);                /* escaped */
void jout_text(struct jout *, struct span);
void jout_int(struct jout *, int64_t);
void jout_int_text(struct jout *, int64_t);                        /* "123": the number as a string, as the seeds have it */
void jout_double(struct jout *, double);                           /* shortest that reads back, always with a point or an exponent; not finite: null */
void jout_bool(struct jout *, bool);
void jout_null(struct jout *);
void jout_raw(struct jout *, struct span);                         /* a finished value */
/* shorthands: key and value */
static inline void jout_put(struct jout *o, const char *key, struct span v) { jout_key(o, key); jout_text(o, v); }
static inline void jout_put_z(struct jout *o, const char *key, const char *v) { jout_key(o, key); jout_text(o, span_of(v)); }
static inline void jout_put_int(struct jout *o, const char *key, int64_t v) { jout_key(o, key); jout_int(o, v); }
static inline void jout_put_int_text(struct jout *o, const char *key, int64_t v) { jout_key(o, key); jout_int_text(o, v); }
static inline void jout_put_bool(struct jout *o, const char *key, bool v) { jout_key(o, key); jout_bool(o, v); }
#endif
