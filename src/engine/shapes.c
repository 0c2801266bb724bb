/* engine/shapes.c: one recursive walk over the notation that writes JSON Schema (draft 2020-12, what OpenAPI 3.1 takes) as it goes. See shapes.h.
 *
 * Alternatives become anyOf, so the writer has to know at the start of a value whether a `|` follows behind it; alternative_follows() looks ahead over balanced brackets.
 * That makes the walk quadratic in the depth, which is 10 at most. It stops at the first byte that it does not understand. */
#include "engine/shapes.h"

struct walk { const char *text, *at; struct jout *out; int depth; };

static bool value(struct walk *w);

static void space_skip(struct walk *w)
{
    while (*w->at == ' ') w->at++;
}

static bool take(struct walk *w, char c)
{
    space_skip(w);
    if (*w->at != c) return false;
    w->at++;
    return true;
}

static const char *quoted_end(const char *at)
{
    const char *end = strchr(at + 1, '"');
    return end ? end + 1 : NULL;
}

/* True if, behind the value that begins here, a '|' stands at the same depth. */
static bool alternative_follows(const char *at)
{
    int depth = 0;
    while (*at) {
        if (*at == '"') {
            at = quoted_end(at);
            if (!at) return false;
            continue;
        }
        if (*at == '{' || *at == '[') depth++;
        else if (*at == '}' || *at == ']') {
            if (depth-- == 0) return false;
        } else if (depth == 0 && *at == '|') return true;
        else if (depth == 0 && *at == ',') return false;
        at++;
    }
    return false;
}

static bool is_key_byte(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; }

enum key_result { KEY_BAD, KEY_FOUND, KEY_OPEN };

/* "name:", "name?:" or "..." */
static enum key_result key(struct walk *w, struct span *out_name, bool *out_optional)
{
    space_skip(w);
    if (strncmp(w->at, "...", 3) == 0) {
        w->at += 3;
        return KEY_OPEN;
    }
    const char *begin = w->at;
    while (is_key_byte(*w->at)) w->at++;
    *out_name = span_from(begin, (size_t)(w->at - begin));
    *out_optional = *w->at == '?';
    w->at += *out_optional;
    return out_name->n > 0 && take(w, ':') ? KEY_FOUND : KEY_BAD;
}

enum { KEYS = 64 };

static bool object(struct walk *w)
{
    struct span required[KEYS];
    struct span seen[KEYS];
    size_t n = 0, required_n = 0;
    bool open = false;
    jout_put_z(w->out, "type", "object");
    jout_key(w->out, "properties");
    jout_begin_object(w->out);
    for (bool more = !take(w, '}'); more;) {
        bool optional = false;
        enum key_result got = n < KEYS ? key(w, &seen[n], &optional) : KEY_BAD;
        if (got == KEY_BAD) return false;
        if (got == KEY_OPEN) {
            open = true;
            if (!take(w, '}')) return false;                 /* "..." comes last */
            break;
        }
        for (size_t i = 0; i < n; i++)
            if (span_is(seen[i], seen[n])) return false;
        if (!optional) required[required_n++] = seen[n];
        jout_key_span(w->out, seen[n]);
        n++;
        if (!value(w)) return false;
        more = take(w, ',');
        if (!more && !take(w, '}')) return false;
    }
    jout_end_object(w->out);
    if (required_n) {
        jout_key(w->out, "required");
        jout_begin_array(w->out);
        for (size_t i = 0; i < required_n; i++) jout_text(w->out, required[i]);
        jout_end_array(w->out);
    }
    if (!open) jout_put_bool(w->out, "additionalProperties", false);
    return true;
}

static bool single(struct walk *w)
{
    static const struct { char letter; const char *type; } letters[] = { { 's', "string" }, { 'n', "number" }, { 'b', "boolean" }, { 'z', "null" }, { '*', NULL } };
    space_skip(w);
    if (!*w->at || ++w->depth > SHAPE_DEPTH) return false;
    bool good = false;
    char c = *w->at;
    jout_begin_object(w->out);
    if (c == '"') {
        const char *end = quoted_end(w->at);
        if (end) jout_put(w->out, "const", span_from(w->at + 1, (size_t)(end - w->at - 2)));
        if (end) w->at = end;
        good = end != NULL;
    } else if (c == '{') {
        w->at++;
        good = object(w);
    } else if (c == '[') {
        w->at++;
        jout_put_z(w->out, "type", "array");
        jout_key(w->out, "items");
        good = value(w) && take(w, ']');
    } else {
        for (size_t i = 0; i < LENGTH(letters); i++)
            if (c == letters[i].letter) {
                if (letters[i].type) jout_put_z(w->out, "type", letters[i].type);
                w->at++;
                good = true;
            }
    }
    if (good) jout_end_object(w->out);
    w->depth--;
    return good;
}

static bool value(struct walk *w)
{
    if (!alternative_follows(w->at)) return single(w);
    jout_begin_object(w->out);
    jout_key(w->out, "anyOf");
    jout_begin_array(w->out);
    do {
        if (!single(w)) return false;
    } while (take(w, '|'));
    jout_end_array(w->out);
    jout_end_object(w->out);
    return true;
}

bool shape_schema(const char *notation, struct jout *out, size_t *out_at)
{
    struct walk w = { .text = notation, .at = notation, .out = out };
    bool good = value(&w);
    space_skip(&w);
    *out_at = (size_t)(w.at - w.text);
    return good && *w.at == '\0';
}
