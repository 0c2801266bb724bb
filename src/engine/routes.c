/* engine/routes.c: reads "GET|POST /x/{id}/?, ANY /y" piece by piece, without memory of its own. See routes.h.
 *
 * Everything here comes from our own tables, so it refuses by must(): an unknown method, a pattern that does not begin with '/', one that is too long, empty pieces,
 * braces that are not a whole segment, a '?' anywhere but in the "/?" at the end. The unit test walks all that may be written. */
#include "engine/routes.h"

#include "wire/http1.h"

static bool method_bits(struct span name, unsigned *out)
{
    if (span_is(name, SPAN("ANY"))) {
        *out = (1u << HTTP_METHODS) - 1;
        return true;
    }
    for (int m = 0; m < HTTP_METHODS; m++)
        if (span_is(name, http_method_name((enum http_method)m))) {
            *out = 1u << m;
            return true;
        }
    return false;
}

static bool is_name_byte(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

/* One segment: literal bytes of a path, or one whole {name}. */
static bool segment_right(struct span s)
{
    if (s.n == 0) return false;
    if (s.p[0] == '{') {
        if (s.n < 3 || s.p[s.n - 1] != '}') return false;
        for (size_t i = 1; i + 1 < s.n; i++)
            if (!is_name_byte(s.p[i])) return false;
        return true;
    }
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= 0x20 || c >= 0x7f || strchr("{}?#%\\|,\"<>", c)) return false;
    }
    return true;
}

static bool pattern_right(struct span p)
{
    if (p.n == 0 || p.p[0] != '/') return false;
    size_t end = p.n;
    if (span_ends(p, SPAN("/?"))) end -= 2;
    else if (p.p[p.n - 1] == '/') end -= 1;
    for (size_t at = 1; at <= end;) {
        size_t stop = at;
        while (stop < end && p.p[stop] != '/') stop++;
        if (!segment_right(span_from(p.p + at, stop - at))) return false;
        at = stop + 1;
    }
    return true;
}

bool route_next(const char **text, unsigned *out_methods, char out_pattern[ROUTE_PATTERN_BYTES])
{
    const char *at = *text;
    if (!at || !*at) return false;
    unsigned methods = 0;
    for (;;) {
        size_t n = strcspn(at, "| ");
        unsigned bits = 0;
        must(method_bits(span_from(at, n), &bits));
        must(!(methods & bits));                             /* "GET|GET", "ANY|POST" */
        methods |= bits;
        at += n;
        must(*at);
        if (*at++ == ' ') break;
    }
    size_t n = strcspn(at, ",");
    must(n < ROUTE_PATTERN_BYTES);
    must(pattern_right(span_from(at, n)));
    memcpy(out_pattern, at, n);
    out_pattern[n] = '\0';
    at += n;
    if (*at) {
        must(at[1] == ' ' && at[2]);
        at += 2;
    }
    *text = at;
    *out_methods = methods;
    return true;
}

bool route_slash_optional(const char *pattern, size_t *out_bytes)
{
    struct span p = span_of(pattern);
    bool optional = span_ends(p, SPAN("/?"));
    *out_bytes = !optional ? p.n : p.n > 2 ? p.n - 2 : 1;
    return optional;
}

bool route_parameter_next(const char **at, struct span *out_name)
{
    const char *open = strchr(*at, '{');
    if (!open) return false;
    const char *close = strchr(open, '}');
    must(close);
    *out_name = span_from(open + 1, (size_t)(close - open - 1));
    *at = close + 1;
    return true;
}
