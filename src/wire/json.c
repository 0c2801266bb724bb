/* wire/json.c: JSON in, by jansson, made strict; and the canonical form of a value.
 *
 * Jansson reads well but trusts the size of its input in two ways: it recurses up to 2048 levels, which is more than a worker's
 * stack should be asked for, and a body of "[[],[],..." costs some fifty times its length. So the text is scanned once before: depth and number of
 * values are counted by the brackets and commas outside strings. Up to the first error of the text this scan and jansson's lexer
 * agree about what is inside a string; behind it jansson does not read on.
 *
 * Reasons are ours, not jansson's: those quote the input, which may be a secret and goes into answers and logs.
 * Called by the engine's decoding and by the clients of other servers. */
#include "wire/json_in.h"

#include <stdlib.h>

/* ---- reading ---- */

/* Refuses NUL bytes besides: jansson passes over them wherever they stand, so that "12" and "1<NUL>2" would be the same. */
static bool whole_scan(struct span in, size_t *out_at, const char **out_why)
{
    size_t depth = 0, values = 1;
    bool inside = false;
    *out_why = NULL;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '\0') {
            *out_at = i;
            *out_why = "a NUL byte";
            return false;
        }
        if (inside) {
            if (c == '"')
                inside = false;
            else if (c == '\\' && i + 1 < in.n && in.p[i + 1] != '\0')
                i++;
            continue;
        }
        if (c == '"')
            inside = true;
        else if (c == '[' || c == '{')
            depth++;
        else if ((c == ']' || c == '}') && depth)
            depth--;
        if (c == ',' || c == ':' || c == '[' || c == '{')
            values++;
        if (depth > LIMIT_JSON_DEPTH)
            *out_why = "nested too deeply";
        else if (values > LIMIT_JSON_VALUES)
            *out_why = "too many values";
        if (*out_why) {
            *out_at = i;
            return false;
        }
    }
    return true;
}

static const char *reason(enum json_error_code code)
{
    switch (code) {
    case json_error_invalid_utf8: return "not valid UTF-8";
    case json_error_premature_end_of_input: return "ends too early";
    case json_error_end_of_input_expected: return "something follows the value";
    case json_error_null_character:
    case json_error_null_byte_in_key: return "a NUL character in a string";
    case json_error_duplicate_key: return "the same key twice in an object";
    case json_error_numeric_overflow: return "a number out of range (integers have 64 bits, reals are doubles)";
    case json_error_stack_overflow: return "nested too deeply";
    case json_error_out_of_memory: return "no memory";
    default: return "not JSON";
    }
}

/* Line and column of a byte, both from 1; columns count bytes. */
static struct span why_at(struct arena *a, struct span in, size_t at, const char *text)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at && i < in.n; i++) {
        column++;
        if (in.p[i] == '\n') {
            line++;
            column = 1;
        }
    }
    return arena_printf(a, "line %zu, column %zu: %s", line, column, text);
}

static void tree_free(void *tree)
{
    json_decref(tree);
}

#ifdef WEIR_FAULTS
#include <pthread.h>
/* Test builds fail jansson's allocations too; memory made by malloc before is freed by the same free. */
static void torture(void) { json_set_alloc_funcs(base_alloc, free); }
static pthread_once_t torture_once = PTHREAD_ONCE_INIT;
#endif

json_t *json_read(struct arena *a, struct span in, struct span *out_why)
{
    size_t at = 0;
    const char *why;
#ifdef WEIR_FAULTS
    pthread_once(&torture_once, torture);
#endif
    *out_why = (struct span){ NULL, 0 };
    if (!whole_scan(in, &at, &why)) {
        *out_why = why_at(a, in, at, why);
        return NULL;
    }
    json_error_t error;
    json_t *tree = json_loadb(in.n ? in.p : "", in.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!tree) {
        at = error.position > 0 ? (size_t)error.position - 1 : 0;
        *out_why = why_at(a, in, at, reason(json_error_code(&error)));
        return NULL;
    }
    void *before = arena_mark(a).deferred;
    arena_defer(a, tree_free, tree);                      /* frees it at once when there is no room (and escapes, if armed) */
    return arena_mark(a).deferred != before ? tree : NULL;
}

/* ---- canonical form ---- */

struct key { struct span name; const json_t *value; };

static int key_order(const void *va, const void *vb)
{
    const struct key *a = va, *b = vb;
    size_t n = a->name.n < b->name.n ? a->name.n : b->name.n;
    int c = n ? memcmp(a->name.p, b->name.p, n) : 0;
    return c ? c : a->name.n < b->name.n ? -1 : a->name.n > b->name.n;
}

static void canonical_write(struct arena *a, struct jout *o, const json_t *value);

static void canonical_object(struct arena *a, struct jout *o, const json_t *value)
{
    struct arena_mark mark = arena_mark(a);
    size_t n = json_object_size(value), i = 0;
    struct key *keys = arena_take(a, n * sizeof *keys);
    if (!keys) {                                          /* not armed: the whole text fails */
        o->b->failed = true;
        jout_null(o);
        return;
    }
    json_t *object = (json_t *)(uintptr_t)value;          /* jansson's iterators do not take const; nothing is changed */
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
        must(i < n);
        keys[i++] = (struct key){ { json_object_iter_key(it), json_object_iter_key_len(it) }, json_object_iter_value(it) };
    }
    qsort(keys, n, sizeof *keys, key_order);
    jout_begin_object(o);
    for (i = 0; i < n; i++) {
        json_write_key(o, keys[i].name, 0);
        canonical_write(a, o, keys[i].value);
    }
    jout_end_object(o);
    arena_rewind(a, mark);
}

static void canonical_write(struct arena *a, struct jout *o, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        canonical_object(a, o, value);
        break;
    case JSON_ARRAY:
        jout_begin_array(o);
        for (size_t i = 0; i < json_array_size(value); i++)
            canonical_write(a, o, json_array_get(value, i));
        jout_end_array(o);
        break;
    case JSON_STRING: json_write_text(o, json_span(value), 0); break;
    case JSON_INTEGER: jout_int(o, json_integer_value(value)); break;
    case JSON_REAL: jout_double(o, json_real_value(value)); break;
    case JSON_TRUE: jout_bool(o, true); break;
    case JSON_FALSE: jout_bool(o, false); break;
    case JSON_NULL: jout_null(o); break;
    }
}

static void text_free(void *b)
{
    buf_done(b);
}

struct span json_canonical(struct arena *a, const json_t *value)
{
    struct buf *b = arena_take(a, sizeof *b);
    if (!b)
        return (struct span){ NULL, 0 };
    buf_init(b, LIMIT_ARENA_BYTES);
    void *before = arena_mark(a).deferred;
    arena_defer(a, text_free, b);                         /* before it has anything: an escape from below finds it */
    if (arena_mark(a).deferred == before)
        return (struct span){ NULL, 0 };
    struct jout o;
    jout_init(&o, b);
    canonical_write(a, &o, value);
    if (b->failed) {
        void *none = arena_take(a, SIZE_MAX / 2);         /* more than any arena has: leaves the way the arena does */
        must(!none);
        return (struct span){ NULL, 0 };
    }
    return buf_span(b);
}
