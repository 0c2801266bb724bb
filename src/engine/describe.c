/* engine/describe.c: `weir routes`, for eyes and (--json) for programs; and the few helpers that the OpenAPI document shares. See describe.h. */
#include "engine/describe.h"

#include <stdio.h>

#include "engine/routes.h"
#include "engine/shapes.h"
#include "wire/http1.h"

static const char *const verbs[] = { [VERB_NONE] = "none", [VERB_READS] = "reads", [VERB_WRITES] = "writes", [VERB_STAGED] = "staged", [VERB_RELAYS] = "relays" };
static const char *const kinds[] = { [FIELD_TEXT] = "text", [FIELD_INT] = "int", [FIELD_FILE] = "file", [FIELD_ANY] = "any" };

bool describe_shows(const struct describe *d, unsigned flags) { return d->debug || !(flags & COMMAND_DEBUG); }

static bool is_operators(const struct command *c) { return c->flags & COMMAND_OPERATOR; }

bool describe_has_file(const struct shape *takes)
{
    for (size_t i = 0; takes && i < takes->n; i++)
        if (takes->fields[i].kind == FIELD_FILE) return true;
    return false;
}

void describe_field_schema(const struct field *f, struct jout *o)
{
    jout_begin_object(o);
    switch (f->kind) {
    case FIELD_TEXT:
        jout_put_z(o, "type", "string");
        if (f->min > 0 || (f->flags & NOT_EMPTY)) jout_put_int(o, "minLength", f->min > 0 ? f->min : 1);
        jout_put_int(o, "maxLength", f->max > 0 ? f->max : 1000);
        if (f->flags & SECRET) jout_put_z(o, "format", "password");
        break;
    case FIELD_INT:
        jout_put_z(o, "type", "integer");
        if (f->min || f->max) {
            jout_put_int(o, "minimum", f->min);
            jout_put_int(o, "maximum", f->max);
        }
        break;
    case FIELD_FILE:
        jout_put_z(o, "type", "string");
        jout_put_z(o, "contentMediaType", "application/octet-stream");
        break;
    case FIELD_ANY: break;
    }
    if (f->about) jout_put_z(o, "description", f->about);
    jout_end_object(o);
}

void describe_gives(const char *name, const char *gives, struct jout *o)
{
    size_t at = 0;
    if (shape_schema(gives, o, &at)) return;
    fprintf(stderr, "%s: its `gives` is malformed at byte %zu: %s\n", name, at, gives);
    abort();                                                 /* as must() would, but naming the row */
}

/* ---- for eyes ---- */

static void methods_text(unsigned methods, char out[64])
{
    if (methods == (1u << HTTP_METHODS) - 1) {
        memcpy(out, "ANY", 4);
        return;
    }
    size_t n = 0;
    for (int m = 0; m < HTTP_METHODS; m++)
        if (methods & 1u << m) n += (size_t)snprintf(out + n, 64 - n, "%s%.*s", n ? "|" : "", SPAN_ARGS(http_method_name((enum http_method)m)));
}

static void needs_text(const struct app *app, unsigned needs, char out[128])
{
    size_t n = 0;
    out[0] = '\0';
    const char *const *names = app->needs_names;
    for (int bit = 0; bit < 32; bit++) {
        const char *name = names && *names ? *names++ : NULL;
        if (!(needs & 1u << bit)) continue;
        int more = name ? snprintf(out + n, 128 - n, "%s%s", n ? "," : "", name) : snprintf(out + n, 128 - n, "%s%d", n ? "," : "", bit);
        if (more > 0 && (size_t)more < 128 - n) n += (size_t)more;
    }
    if (!n) memcpy(out, "-", 2);
}

struct line { char methods[64], path[ROUTE_PATTERN_BYTES], needs[128]; const char *name, *about; };

static size_t wider(size_t width, const char *text)
{
    size_t n = strlen(text);
    return n > width ? n : width;
}

/* Calls `each` for every line: once to measure the columns, once to print them. */
static void lines_walk(const struct describe *d, void (*each)(void *, const struct line *), void *arg)
{
    for (const struct app *const *a = d->apps; *a; a++) {
        for (const struct command *c = (*a)->commands; c && c->name; c++) {
            if (!describe_shows(d, c->flags)) continue;
            struct line line = { .name = c->name, .about = c->about ? c->about : "" };
            needs_text(*a, c->needs, line.needs);
            if (is_operators(c)) snprintf(line.needs, sizeof line.needs, "operator");
            unsigned methods;
            for (const char *text = c->http; route_next(&text, &methods, line.path);) {
                methods_text(methods, line.methods);
                each(arg, &line);
            }
            if (c->channel || c->job) {
                snprintf(line.methods, sizeof line.methods, "%s", c->job ? "JOB" : "FRAME");
                snprintf(line.path, sizeof line.path, "%s", c->channel ? c->channel : "-");
                each(arg, &line);
            }
        }
        for (const struct channel *c = (*a)->channels; c && c->name; c++) {
            if (!describe_shows(d, c->flags)) continue;
            struct line line = { .methods = "WS", .needs = "-", .name = c->name, .about = c->echo ? "WebSocket; every message goes back as it came" : "WebSocket" };
            unsigned methods;
            char route[ROUTE_PATTERN_BYTES + 8];
            snprintf(route, sizeof route, "GET %s", c->path);
            const char *text = route;
            must(route_next(&text, &methods, line.path));
            each(arg, &line);
        }
    }
}

struct columns { size_t methods, path, name, needs; struct buf *out; };

static void line_measure(void *arg, const struct line *l)
{
    struct columns *c = arg;
    c->methods = wider(c->methods, l->methods);
    c->path = wider(c->path, l->path);
    c->name = wider(c->name, l->name);
    c->needs = wider(c->needs, l->needs);
}

static void line_print(void *arg, const struct line *l)
{
    const struct columns *c = arg;
    buf_printf(c->out, "%-*s  %-*s  %-*s  %-*s  %s\n", (int)c->methods, l->methods, (int)c->path, l->path, (int)c->name, l->name, (int)c->needs, l->needs, l->about);
}

void describe_routes(const struct describe *d, struct buf *out)
{
    struct columns columns = { .out = out };
    static const struct line head = { .methods = "METHODS", .path = "PATH", .needs = "NEEDS", .name = "NAME", .about = "ABOUT" };
    line_measure(&columns, &head);
    lines_walk(d, line_measure, &columns);
    line_print(&columns, &head);
    lines_walk(d, line_print, &columns);
}

/* ---- for programs ---- */

static void words_json(struct jout *o, const char *key, const char *words)
{
    jout_key(o, key);
    jout_begin_array(o);
    for (const char *at = words; at && *at;) {
        size_t n = strcspn(at, " ");
        if (n) jout_text(o, span_from(at, n));
        at += n + (at[n] == ' ');
    }
    jout_end_array(o);
}

static void takes_json(struct jout *o, const struct shape *takes)
{
    jout_key(o, "takes");
    jout_begin_array(o);
    for (size_t i = 0; takes && i < takes->n; i++) {
        const struct field *f = &takes->fields[i];
        jout_begin_object(o);
        jout_put_z(o, "name", f->name);
        words_json(o, "aliases", f->aliases);
        jout_put_z(o, "kind", kinds[f->kind]);
        jout_put_bool(o, "required", f->flags & REQUIRED);
        jout_put_bool(o, "secret", f->flags & SECRET);
        jout_key(o, "schema");
        describe_field_schema(f, o);
        jout_end_object(o);
    }
    jout_end_array(o);
}

static void routes_json(struct jout *o, const char *http)
{
    jout_key(o, "routes");
    jout_begin_array(o);
    unsigned methods;
    char pattern[ROUTE_PATTERN_BYTES];
    while (route_next(&http, &methods, pattern)) {
        size_t n;
        jout_begin_object(o);
        jout_key(o, "methods");
        jout_begin_array(o);
        for (int m = 0; m < HTTP_METHODS; m++)
            if (methods & 1u << m) jout_text(o, http_method_name((enum http_method)m));
        jout_end_array(o);
        jout_put_bool(o, "slash_optional", route_slash_optional(pattern, &n));
        jout_put(o, "path", span_from(pattern, n));
        jout_end_object(o);
    }
    jout_end_array(o);
}

static void command_json(struct jout *o, const struct app *app, const struct command *c)
{
    char needs[128];
    needs_text(app, c->needs, needs);
    jout_begin_object(o);
    jout_put_z(o, "name", c->name);
    jout_put_z(o, "app", app->name);
    jout_put_z(o, "about", c->about ? c->about : "");
    jout_put_z(o, "kind", c->job ? "job" : "command");
    jout_put_z(o, "verb", verbs[c->verb]);
    jout_put_z(o, "needs", is_operators(c) ? "operator" : needs);
    routes_json(o, c->http);
    if (c->channel) jout_put_z(o, "channel", c->channel);
    jout_put_bool(o, "debug", c->flags & COMMAND_DEBUG);
    jout_put_bool(o, "operator", is_operators(c));
    takes_json(o, c->takes);
    if (c->gives) {
        jout_put_z(o, "gives", c->gives);
        jout_key(o, "schema");
        describe_gives(c->name, c->gives, o);
    }
    jout_end_object(o);
}

static void channel_json(struct jout *o, const struct app *app, const struct channel *c)
{
    size_t n;
    bool optional = route_slash_optional(c->path, &n);
    jout_begin_object(o);
    jout_put_z(o, "name", c->name);
    jout_put_z(o, "app", app->name);
    jout_put_z(o, "kind", "channel");
    jout_put(o, "path", span_from(c->path, n));
    jout_put_bool(o, "slash_optional", optional);
    jout_put_bool(o, "debug", c->flags & COMMAND_DEBUG);
    takes_json(o, c->takes);
    jout_end_object(o);
}

void describe_routes_json(const struct describe *d, struct buf *out)
{
    struct jout o;
    jout_init(&o, out);
    jout_begin_array(&o);
    for (const struct app *const *a = d->apps; *a; a++) {
        for (const struct command *c = (*a)->commands; c && c->name; c++)
            if (describe_shows(d, c->flags)) command_json(&o, *a, c);
        for (const struct channel *c = (*a)->channels; c && c->name; c++)
            if (describe_shows(d, c->flags)) channel_json(&o, *a, c);
    }
    jout_end_array(&o);
    buf_add_z(out, "\n");
}
