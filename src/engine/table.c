/* engine/table.c: the rows of all apps, flattened and routed. The engine's own routes are /healthz, /readyz and /metrics. */
#include "engine/engine_in.h"
#include "engine/routes.h"

bool span_is_api(struct span path) { return span_begins(path, SPAN("/api/")); }

/* The app whose prefix the path has, for the shape of errors before and besides routing. */
static bool is_under(const struct app *app, struct span path)
{
    struct span rest = span_cut(path, SPAN("/api/").n), name = span_of(app->name);
    if (span_is_api(path)) return span_begins(rest, name) && (rest.n == name.n || rest.p[name.n] == '/');
    for (const char *const *p = app->prefixes; p && *p; p++)
        if (span_begins(path, span_of(*p))) return true;
    return false;
}

const struct app *table_app_of_path(const struct engine *e, struct span path)
{
    for (const struct app *const *a = e->apps; *a; a++)
        if (is_under(*a, path)) return *a;
    return NULL;
}

const struct entry *table_find_job(const struct engine *e, struct span name)
{
    for (int i = 0; i < e->entry_count; i++)
        if (e->entries[i].command && e->entries[i].command->job && span_is_z(name, e->entries[i].command->name)) return &e->entries[i];
    return NULL;
}

static bool has_file(const struct shape *takes)
{
    for (size_t i = 0; takes && i < takes->n; i++)
        if (takes->fields[i].kind == FIELD_FILE) return true;
    return false;
}

static void add_routes(struct engine *e, const char *text, int index)
{
    unsigned methods;
    char pattern[ROUTE_PATTERN_BYTES];
    const struct command *c = e->entries[index].command;
    while (route_next(&text, &methods, pattern)) {
        router_add(e->local_router, methods, pattern, index);
        if (!c || !(c->flags & COMMAND_OPERATOR)) router_add(e->router, methods, pattern, index);      /* else TCP has never heard of it */
    }
}

static void add_get(struct engine *e, const char *pattern, int index)
{
    router_add(e->router, 1u << HTTP_GET, pattern, index);
    router_add(e->local_router, 1u << HTTP_GET, pattern, index);
}

static const struct { const char *path; int own; } own_routes[] = { { "/healthz", OWN_HEALTH }, { "/readyz", OWN_READY }, { "/metrics", OWN_METRICS } };

bool table_build(struct engine *e, struct buf *err)
{
    int count = LENGTH(own_routes);
    for (const struct app *const *a = e->apps; *a; a++) {
        for (const struct command *c = (*a)->commands; c && c->name; c++) count++;
        for (const struct channel *c = (*a)->channels; c && c->name; c++) count++;
    }
    e->entries = base_alloc((size_t)count * sizeof *e->entries);
    e->router = router_new();
    e->local_router = router_new();
    if (!e->entries || !e->router || !e->local_router) {
        buf_add_z(err, "out of memory");
        return false;
    }
    memset(e->entries, 0, (size_t)count * sizeof *e->entries);
    int n = 0;
    for (size_t i = 0; i < LENGTH(own_routes); i++, n++) {
        e->entries[n] = (struct entry){ .index = n, .own = (unsigned)own_routes[i].own };
        add_get(e, own_routes[i].path, n);
    }
    for (const struct app *const *a = e->apps; *a; a++) {
        for (const struct command *c = (*a)->commands; c && c->name; c++) {
            must(c->verb != VERB_NONE && (c->http || c->channel || c->job));
            must(!(c->flags & COMMAND_OPERATOR) || (c->http && !c->channel && !c->job));
            if ((c->flags & COMMAND_DEBUG) && !e->debug) continue;
            e->entries[n] = (struct entry){ .index = n, .app = *a, .command = c, .has_file = has_file(c->takes) || (c->flags & COMMAND_MULTIPART) };
            if (c->http) add_routes(e, c->http, n);
            n++;
        }
        for (const struct channel *c = (*a)->channels; c && c->name; c++) {
            if ((c->flags & COMMAND_DEBUG) && !e->debug) continue;
            e->entries[n] = (struct entry){ .index = n, .app = *a, .channel = c };
            for (const struct command *f = (*a)->commands; f && f->name; f++)
                if (f->channel && strcmp(f->channel, c->name) == 0) e->entries[n].frames = f;
            must(c->echo || e->entries[n].frames);
            add_get(e, c->path, n);
            n++;
        }
    }
    e->entry_count = n;
    return true;
}
