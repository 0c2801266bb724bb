/* base/base.h: what every folder of Weir stands on.
 *
 * Spans, the arena, growing buffers, `must`. Nothing here knows of sockets, stores or WeChat. Included by everybody; includes nothing of ours.
 *
 * Four kinds of trouble are kept apart everywhere (docs/why/faults.md): a *bug* ends the process through must(); a
 * *refusal* is the caller's fault and is an ordinary answer; an *outage* (memory, disk, network, peer) is sticky where it
 * happened and becomes a 503; *uncertain* means that a commit's outcome is unknown. */
#ifndef WEIR_BASE_H
#define WEIR_BASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define WEIR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- bugs ---- */

/* Always compiled in. For what cannot be false unless Weir is wrong; never for bytes from outside. */
#define must(x) ((x) ? (void)0 : must_failed(#x, __FILE__, __LINE__))
_Noreturn void must_failed(const char *what, const char *file, int line);

/* ---- spans: borrowed bytes ---- */

/* Not NUL-terminated unless a function says so. `p` may be NULL when n is 0. Whoever gives a span says how long it lives. */
struct span { const char *p; size_t n; };

#define SPAN(literal) ((struct span){ "" literal, sizeof(literal) - 1 })
#define SPAN_ARGS(s) (int)(s).n, (s).p            /* for "%.*s" */

static inline struct span span_of(const char *z) { return (struct span){ z, z ? strlen(z) : 0 }; }
static inline struct span span_from(const void *p, size_t n) { return (struct span){ p, n }; }
static inline bool span_is(struct span a, struct span b) { return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0); }
static inline bool span_is_z(struct span a, const char *z) { return span_is(a, span_of(z)); }
bool span_is_nocase(struct span a, struct span b);                   /* ASCII case only */
bool span_begins(struct span s, struct span prefix);
bool span_ends(struct span s, struct span suffix);
int span_find(struct span s, char c);                                /* index or -1 */
struct span span_cut(struct span s, size_t from);                    /* s without its first `from` bytes (at most all) */
struct span span_trim(struct span s);                                /* without spaces and tabs at both ends */
bool span_to_i64(struct span s, int64_t *out);                       /* the whole of s: -?[0-9]+ without overflow, else false */
bool span_equal_secret(struct span a, struct span b);                /* time depends on the lengths only */

/* ---- UTF-8 ---- */

/* True for well-formed UTF-8 (no surrogates, no overlong forms, at most U+10FFFF). NUL counts as well-formed. */
bool utf8_valid(struct span s);
size_t utf8_count(struct span s);                                    /* code points of a valid text */
struct span utf8_head(struct span s, size_t code_points);            /* the first so many code points of a valid text */
/* Decodes one code point at *p (< end), advances *p; U+FFFD and one byte for what is malformed. */
uint32_t utf8_next(const char **p, const char *end);
size_t utf8_put(char out[4], uint32_t code_point);                   /* bytes written */

/* ---- arena: all memory of one request ---- */

/* Bump allocation out of chunks, freed at once. An arena has a maximum; what goes beyond it (or beyond the machine's
 * memory) leaves through `escape` by longjmp when that is armed, and otherwise makes arena_take return NULL. The engine
 * arms it around handlers, so handlers see no NULL; they own nothing outside the arena, so nothing leaks (what does, like a
 * library's tree, is registered with arena_defer). One thread at a time. */
struct arena;
enum { ARENA_ESCAPE_MEMORY = 1, ARENA_ESCAPE_LIMIT = 2 };            /* the value that setjmp returns */

struct arena *arena_new(size_t max_bytes);                           /* NULL when out of memory */
void arena_free(struct arena **a);                                   /* runs what was deferred; sets *a to NULL */
void arena_reset(struct arena *a);                                   /* as new; keeps one chunk */
jmp_buf *arena_arm(struct arena *a, jmp_buf *escape);                  /* NULL disarms; returns what was armed before */
void *arena_take(struct arena *a, size_t n) __attribute__((malloc, alloc_size(2)));   /* aligned to 16, not cleared; n = 0 is allowed */
void *arena_zero(struct arena *a, size_t n) __attribute__((malloc, alloc_size(2)));   /* the same, cleared */
void arena_defer(struct arena *a, void (*fn)(void *), void *arg);    /* runs at reset/free or when rewound past, newest first */
size_t arena_used(const struct arena *a);
struct arena_mark { void *chunk; size_t used; void *deferred; size_t total; };
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark m);             /* gives back all that was taken since */
struct span arena_copy(struct arena *a, struct span s);              /* NUL-terminated copy */
const char *arena_z(struct arena *a, struct span s);                 /* the same, as a C string */
struct span arena_join(struct arena *a, struct span x, struct span y);   /* x and y, NUL-terminated */
struct span arena_int(struct arena *a, int64_t v);                   /* decimal, NUL-terminated */
struct span arena_printf(struct arena *a, const char *fmt, ...) WEIR_PRINTF(2, 3);    /* NUL-terminated */

/* ---- buf: a growing byte buffer on the heap, with its maximum ---- */

/* Errors are sticky: after one, `failed` stays set and further appends do nothing, so that a writer checks once. */
struct buf { char *p; size_t n, cap, max; bool failed; };

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);                                        /* frees; as after init */
bool buf_reserve(struct buf *b, size_t more);                        /* room for so many more bytes behind n */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_span(struct buf *b, struct span s);
void buf_add_z(struct buf *b, const char *z);
void buf_printf(struct buf *b, const char *fmt, ...) WEIR_PRINTF(2, 3);
void buf_consume(struct buf *b, size_t n);                           /* drops the first n bytes */
static inline struct span buf_span(const struct buf *b) { return (struct span){ b->p, b->n }; }

/* ---- faults on request (test builds only) ---- */

/* With -DWEIR_FAULTS, `WEIR_FAULT=alloc:17,fsync:3` in the environment makes the 17th allocation and the 3rd fsync fail
 * (`alloc:17+` that one and all that follow). Otherwise constant false, and the branch disappears. */
enum fault_point { FAULT_ALLOC, FAULT_FSYNC, FAULT_WRITE, FAULT_SEND, FAULT_STEP, FAULT_POINTS };
#ifdef WEIR_FAULTS
bool fault_here(enum fault_point);
void fault_arm(const char *spec);                                    /* the same syntax; NULL disarms; resets the counts */
#else
static inline bool fault_here(enum fault_point point) { (void)point; return false; }
#endif

/* malloc, realloc with the fault hatch; NULL on failure like the originals */
void *base_alloc(size_t n);
void *base_realloc(void *p, size_t n);

#endif
