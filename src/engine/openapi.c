/* engine/openapi.c: the tables as an OpenAPI 3.1 document.
 *
 * Rows are turned inside out: the document goes by path, then method, so all operations are listed first and sorted. A path that takes both slash forms stands once, without
 * the slash. ANY stands for each method. Parameters of GET, HEAD, DELETE and OPTIONS are in the query, those of the others in a body (form or JSON; multipart where there is
 * a file), those that the path names in the path. The shape of errors is asked of the app itself, as an example. */
#include <stdio.h>

#include "engine/describe.h"
#include "engine/routes.h"
#include "wire/http1.h"

struct operation { char path[ROUTE_PATTERN_BYTES]; enum http_method method; const struct app *app; const struct command *command; bool slash_optional; int nth; };
struct operations { struct operation *at; size_t n; };

/* Fills `at` if it is not NULL; returns how many there are. */
static size_t operations_walk(const struct describe *d, struct operation *at)
{
    size_t n = 0;
    for (const struct app *const *a = d->apps; *a; a++)
        for (const struct command *c = (*a)->commands; c && c->name; c++) {
            if (!describe_shows(d, c->flags) || (c->flags & COMMAND_OPERATOR)) continue;      /* no client ever meets those */
            unsigned methods;
            char pattern[ROUTE_PATTERN_BYTES];
            int nth = 0;
            for (const char *text = c->http; route_next(&text, &methods, pattern);)
                for (int m = 0; m < HTTP_METHODS; m++) {
                    if (!(methods & 1u << m)) continue;
                    nth++;
                    if (at) {
                        size_t bytes;
                        struct operation *o = &at[n];
                        *o = (struct operation){ .method = (enum http_method)m, .app = *a, .command = c, .nth = nth };
                        o->slash_optional = route_slash_optional(pattern, &bytes);
                        memcpy(o->path, pattern, bytes);
                    }
                    n++;
                }
        }
    return n;
}

static int operation_order(const void *a, const void *b)
{
    const struct operation *x = a, *y = b;
    int by_path = strcmp(x->path, y->path);
    return by_path ? by_path : (int)x->method - (int)y->method;
}

static bool in_path(const char *path, const char *name)
{
    struct span found;
    while (route_parameter_next(&path, &found))
        if (span_is_z(found, name)) return true;
    return false;
}

static const struct field *field_find(const struct shape *takes, struct span name)
{
    for (size_t i = 0; takes && i < takes->n; i++)
        if (span_is_z(name, takes->fields[i].name)) return &takes->fields[i];
    return NULL;
}

static bool has_body(enum http_method m) { return m == HTTP_POST || m == HTTP_PUT || m == HTTP_PATCH; }

static void parameter(struct jout *o, struct span name, const char *in, bool required, const struct field *f)
{
    jout_begin_object(o);
    jout_put(o, "name", name);
    jout_put_z(o, "in", in);
    jout_put_bool(o, "required", required);
    if (f && f->aliases) jout_put_z(o, "x-aliases", f->aliases);
    jout_key(o, "schema");
    if (f) describe_field_schema(f, o);
    else {
        jout_begin_object(o);
        jout_put_z(o, "type", "string");
        jout_end_object(o);
    }
    jout_end_object(o);
}

/* Those of the path, and of the query where there is no body. */
static void parameters(struct jout *o, const char *path, const struct shape *takes, bool query)
{
    jout_key(o, "parameters");
    jout_begin_array(o);
    struct span name;
    for (const char *at = path; route_parameter_next(&at, &name);) parameter(o, name, "path", true, field_find(takes, name));
    for (size_t i = 0; query && takes && i < takes->n; i++)
        if (!in_path(path, takes->fields[i].name)) parameter(o, span_of(takes->fields[i].name), "query", takes->fields[i].flags & REQUIRED, &takes->fields[i]);
    jout_end_array(o);
}

static size_t fields_schema(struct jout *o, const char *path, const struct shape *takes)
{
    size_t required = 0;
    jout_begin_object(o);
    jout_put_z(o, "type", "object");
    jout_key(o, "properties");
    jout_begin_object(o);
    for (size_t i = 0; i < takes->n; i++) {
        const struct field *f = &takes->fields[i];
        if (in_path(path, f->name)) continue;
        jout_key_span(o, span_of(f->name));
        describe_field_schema(f, o);
        required += (f->flags & REQUIRED) != 0;
    }
    jout_end_object(o);
    if (required) {
        jout_key(o, "required");
        jout_begin_array(o);
        for (size_t i = 0; i < takes->n; i++)
            if ((takes->fields[i].flags & REQUIRED) && !in_path(path, takes->fields[i].name)) jout_text(o, span_of(takes->fields[i].name));
        jout_end_array(o);
    }
    jout_end_object(o);
    return required;
}

static void body_of(struct jout *o, const struct operation *op)
{
    static const char *const plain[] = { "application/x-www-form-urlencoded", "application/json", "multipart/form-data" };
    const struct shape *takes = op->command->takes;
    bool raw = op->command->flags & COMMAND_RAW, file = describe_has_file(takes);
    size_t outside_path = 0;
    for (size_t i = 0; takes && i < takes->n; i++) outside_path += !in_path(op->path, takes->fields[i].name);
    if (!raw && outside_path == 0) return;
    jout_key(o, "requestBody");
    jout_begin_object(o);
    jout_key(o, "content");
    jout_begin_object(o);
    size_t required = 0;
    if (raw && outside_path == 0) {
        jout_key(o, "*/*");
        jout_begin_object(o);
        jout_end_object(o);
    }
    for (size_t i = file ? 2 : 0; i < LENGTH(plain) && outside_path; i++) {
        jout_key(o, plain[i]);
        jout_begin_object(o);
        jout_key(o, "schema");
        required = fields_schema(o, op->path, takes);
        jout_end_object(o);
    }
    jout_end_object(o);
    jout_put_bool(o, "required", required > 0);
    jout_end_object(o);
}

static bool is_api(const char *path) { return strncmp(path, "/api/", 5) == 0; }

static void responses(struct jout *o, const struct operation *op)
{
    jout_key(o, "responses");
    jout_begin_object(o);
    jout_key(o, "200");
    jout_begin_object(o);
    jout_put_z(o, "description", "success");
    if (op->command->gives) {
        jout_key(o, "content");
        jout_begin_object(o);
        jout_key(o, "application/json");
        jout_begin_object(o);
        jout_key(o, "schema");
        describe_gives(op->command->name, op->command->gives, o);
        jout_end_object(o);
        jout_end_object(o);
    }
    jout_end_object(o);
    jout_key(o, "default");
    jout_begin_object(o);
    char reference[96];
    bool api = is_api(op->path), own = (api ? op->app->api_error : op->app->error) != NULL;
    snprintf(reference, sizeof reference, "#/components/responses/%s%s", own ? op->app->name : "api", own && api ? "-api" : "");
    jout_put_z(o, "$ref", reference);
    jout_end_object(o);
    jout_end_object(o);
}

static const char *const method_keys[HTTP_METHODS] = { [HTTP_GET] = "get", [HTTP_HEAD] = "head", [HTTP_POST] = "post", [HTTP_PUT] = "put", [HTTP_PATCH] = "patch", [HTTP_DELETE] = "delete", [HTTP_OPTIONS] = "options" };

static void operation(struct jout *o, const struct operation *op)
{
    const struct command *c = op->command;
    jout_key(o, method_keys[op->method]);
    jout_begin_object(o);
    jout_key(o, "tags");
    jout_begin_array(o);
    jout_text(o, span_of(op->app->name));
    jout_end_array(o);
    char id[160];                                            /* unique in the document: a command's further operations are numbered */
    if (op->nth == 1) snprintf(id, sizeof id, "%s", c->name);
    else snprintf(id, sizeof id, "%s-%d", c->name, op->nth);
    jout_put_z(o, "operationId", id);
    jout_put_z(o, "x-command", c->name);
    if (c->about) jout_put_z(o, "summary", c->about);
    if (op->slash_optional) jout_put_bool(o, "x-slash-optional", true);
    parameters(o, op->path, c->takes, !has_body(op->method));
    if (has_body(op->method)) body_of(o, op);
    responses(o, op);
    jout_end_object(o);
}

static void paths(struct jout *o, const struct operations *all)
{
    jout_key(o, "paths");
    jout_begin_object(o);
    for (size_t i = 0; i < all->n; i++) {
        bool first = i == 0 || strcmp(all->at[i - 1].path, all->at[i].path) != 0;
        if (first) {
            jout_key_span(o, span_of(all->at[i].path));
            jout_begin_object(o);
        } else if (all->at[i - 1].method == all->at[i].method) {
            continue;                                        /* "/x" and "/x/" as rows of their own: one entry */
        }
        operation(o, &all->at[i]);
        if (i + 1 == all->n || strcmp(all->at[i].path, all->at[i + 1].path) != 0) jout_end_object(o);
    }
    jout_end_object(o);
}

/* The app's error as it really looks. */
static void error_response(struct jout *o, const char *name, void (*error)(struct jout *, int, struct span))
{
    jout_key(o, name);
    jout_begin_object(o);
    jout_put_z(o, "description", "a refusal or a fault; the status tells which");
    jout_key(o, "content");
    jout_begin_object(o);
    jout_key(o, "application/json");
    jout_begin_object(o);
    jout_key(o, "example");
    if (error) error(o, 400, SPAN("what is wrong"));
    else {
        jout_begin_object(o);
        jout_put_int(o, "errcode", 400);
        jout_put_z(o, "errmsg", "what is wrong");
        jout_end_object(o);
    }
    jout_end_object(o);
    jout_end_object(o);
    jout_end_object(o);
}

static void components(struct jout *o, const struct describe *d)
{
    static const struct { const char *name, *type, *in, *key; } schemes[] = {
        { "bearer", "http", NULL, "bearer" }, { "session_key", "apiKey", "query", "session_key" }, { "weir_session", "apiKey", "cookie", "weir_session" },
    };
    jout_key(o, "components");
    jout_begin_object(o);
    jout_key(o, "responses");
    jout_begin_object(o);
    error_response(o, "api", NULL);
    for (const struct app *const *a = d->apps; *a; a++) {
        char name[96];
        snprintf(name, sizeof name, "%s-api", (*a)->name);
        if ((*a)->error) error_response(o, (*a)->name, (*a)->error);
        if ((*a)->api_error) error_response(o, name, (*a)->api_error);
    }
    jout_end_object(o);
    jout_key(o, "securitySchemes");
    jout_begin_object(o);
    for (size_t i = 0; i < LENGTH(schemes); i++) {
        jout_key(o, schemes[i].name);
        jout_begin_object(o);
        jout_put_z(o, "type", schemes[i].type);
        if (schemes[i].in) jout_put_z(o, "in", schemes[i].in);
        jout_put_z(o, schemes[i].in ? "name" : "scheme", schemes[i].key);
        jout_end_object(o);
    }
    jout_end_object(o);
    jout_end_object(o);
}

static void channels(struct jout *o, const struct describe *d)
{
    jout_key(o, "x-channels");
    jout_begin_object(o);
    for (const struct app *const *a = d->apps; *a; a++)
        for (const struct channel *c = (*a)->channels; c && c->name; c++) {
            if (!describe_shows(d, c->flags)) continue;
            size_t n;
            char path[ROUTE_PATTERN_BYTES];
            bool optional = route_slash_optional(c->path, &n);
            must(n < sizeof path);
            memcpy(path, c->path, n);
            path[n] = '\0';
            jout_key(o, c->name);
            jout_begin_object(o);
            jout_put_z(o, "path", path);
            jout_put_bool(o, "x-slash-optional", optional);
            parameters(o, path, c->takes, true);
            jout_key(o, "frames");
            jout_begin_object(o);
            for (const struct command *f = (*a)->commands; f && f->name; f++) {
                if (!f->channel || strcmp(f->channel, c->name) != 0) continue;
                jout_key(o, f->name);
                jout_begin_object(o);
                if (f->about) jout_put_z(o, "summary", f->about);
                if (f->takes) {
                    jout_key(o, "takes");
                    fields_schema(o, path, f->takes);
                }
                if (f->gives) {
                    jout_key(o, "gives");
                    describe_gives(f->name, f->gives, o);
                }
                jout_end_object(o);
            }
            jout_end_object(o);
            jout_end_object(o);
        }
    jout_end_object(o);
}

void describe_openapi(const struct describe *d, struct buf *out)
{
    struct operations all = { .n = operations_walk(d, NULL) };
    all.at = base_alloc((all.n + 1) * sizeof *all.at);
    if (!all.at) {
        out->failed = true;
        return;
    }
    operations_walk(d, all.at);
    qsort(all.at, all.n, sizeof *all.at, operation_order);
    struct jout o;
    jout_init(&o, out);
    jout_begin_object(&o);
    jout_put_z(&o, "openapi", "3.1.0");
    jout_key(&o, "info");
    jout_begin_object(&o);
    jout_put_z(&o, "title", "Weir");
    jout_put_z(&o, "version", WEIR_VERSION);
    jout_put_z(&o, "description", "Made from the command table. Paths marked x-slash-optional are served with and without a slash at the end; GET routes answer HEAD too.");
    jout_end_object(&o);
    jout_key(&o, "tags");
    jout_begin_array(&o);
    for (const struct app *const *a = d->apps; *a; a++) {
        jout_begin_object(&o);
        jout_put_z(&o, "name", (*a)->name);
        jout_end_object(&o);
    }
    jout_end_array(&o);
    paths(&o, &all);
    components(&o, d);
    channels(&o, d);
    jout_end_object(&o);
    buf_add_z(out, "\n");
    free(all.at);
}
