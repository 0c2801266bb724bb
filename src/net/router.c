/* net/router.c: from a path to the number of a route. The patterns form a tree of segments; a node has literal children, at most one child for `{}`, and a
 * route for each method. A trailing slash is an empty last segment, so it is significant without further ado.
 *
 * Matching tries the literal child first and comes back to `{}` when that leads nowhere, or nowhere with this method; so "/a/{x}" takes what "/a/new" does not
 * answer. The steps are bounded by the tree, not by the path. Built at start by the engine and the sandbox, read by all threads. */
#include "net/router.h"

enum { SEGMENTS_MAX = 16 };

struct end { int route; const char *names[ROUTER_PARAMS]; size_t n; };
struct node {
    struct node *next;                  /* sibling */
    struct node *literals, *any;
    struct span text;
    struct end *ends[HTTP_METHODS];
};
struct router { struct arena *arena; struct node root; };

struct router *router_new(void)
{
    struct router *r = base_alloc(sizeof *r);
    if (!r) return NULL;
    *r = (struct router){ .arena = arena_new(4 * 1024 * 1024) };
    if (!r->arena) {
        free(r);
        return NULL;
    }
    return r;
}

void router_free(struct router **pr)
{
    if (!*pr) return;
    arena_free(&(*pr)->arena);
    free(*pr);
    *pr = NULL;
}

/* ---- building (patterns are ours: what is wrong is a bug) ---- */

static struct node *child_of(struct router *r, struct node *parent, struct span text, bool any)
{
    struct node **at = any ? &parent->any : &parent->literals;
    while (*at && !any && !span_is((*at)->text, text)) at = &(*at)->next;
    if (!*at) {
        *at = arena_zero(r->arena, sizeof **at);
        must(*at);
        (*at)->text = text;
    }
    return *at;
}

static void end_add(struct router *r, struct node *node, unsigned methods, const struct end *end)
{
    struct end *copy = arena_take(r->arena, sizeof *copy);
    must(copy && methods && methods >> HTTP_METHODS == 0);
    *copy = *end;
    for (int m = 0; m < HTTP_METHODS; m++) {
        if (!(methods & 1u << m)) continue;
        must(!node->ends[m]);
        node->ends[m] = copy;
    }
}

void router_add(struct router *r, unsigned methods, const char *pattern, int route)
{
    struct span left = arena_copy(r->arena, span_of(pattern));
    must(left.p && (left.p[0] == '/' || span_is_z(left, "*")));
    bool both = span_ends(left, SPAN("/?"));
    if (both) left.n -= 1;
    struct node *node = &r->root, *before = NULL;
    struct end end = { .route = route };
    left = span_cut(left, left.p[0] == '/');
    for (size_t depth = 0;; depth++) {
        int slash = span_find(left, '/');
        struct span segment = slash < 0 ? left : span_from(left.p, (size_t)slash);
        bool any = segment.n > 2 && segment.p[0] == '{' && segment.p[segment.n - 1] == '}';
        must(depth < SEGMENTS_MAX && (segment.n || slash < 0));
        if (any) {
            must(end.n < ROUTER_PARAMS);
            end.names[end.n++] = arena_z(r->arena, span_from(segment.p + 1, segment.n - 2));
        }
        before = node;
        node = child_of(r, node, segment, any);
        if (slash < 0) break;
        left = span_cut(left, (size_t)slash + 1);
    }
    end_add(r, node, methods, &end);
    if (both && before != &r->root) end_add(r, before, methods, &end);      /* "/?" alone is "/" */
}

/* ---- matching ---- */

struct match { enum http_method method; struct span values[ROUTER_PARAMS]; size_t n; unsigned allowed; const struct end *end; };

static bool node_ends(const struct node *node, struct match *m)
{
    for (unsigned i = 0; i < HTTP_METHODS; i++)
        if (node->ends[i]) m->allowed |= 1u << i;
    m->end = node->ends[m->method];
    if (!m->end && m->method == HTTP_HEAD) m->end = node->ends[HTTP_GET];
    return m->end != NULL;
}

static bool node_match(const struct node *node, struct span path, struct match *m)
{
    int slash = span_find(path, '/');
    struct span segment = slash < 0 ? path : span_from(path.p, (size_t)slash);
    struct span left = slash < 0 ? SPAN("") : span_cut(path, (size_t)slash + 1);
    for (const struct node *child = node->literals; child; child = child->next) {
        if (!span_is(child->text, segment)) continue;
        if (slash < 0 ? node_ends(child, m) : node_match(child, left, m)) return true;
        break;
    }
    if (!node->any || segment.n == 0 || m->n == ROUTER_PARAMS) return false;
    m->values[m->n++] = segment;
    if (slash < 0 ? node_ends(node->any, m) : node_match(node->any, left, m)) return true;
    m->n--;
    return false;
}

int router_match(const struct router *r, enum http_method method, struct span path, struct routed *out)
{
    struct match m = { .method = method };
    *out = (struct routed){ .route = -1 };
    bool found = path.n && node_match(&r->root, span_cut(path, path.p[0] == '/'), &m);
    out->allowed = m.allowed;
    if (!found) return m.allowed ? 405 : 404;
    out->route = m.end->route;
    out->n = m.end->n;
    must(m.n == m.end->n);
    for (size_t i = 0; i < m.n; i++) {
        out->params[i].name = m.end->names[i];
        out->params[i].value = m.values[i];
    }
    return 200;
}

struct span router_allow(struct arena *a, unsigned methods)
{
    struct span list = SPAN("");
    methods |= 1u << HTTP_OPTIONS;
    if (methods & 1u << HTTP_GET) methods |= 1u << HTTP_HEAD;
    for (unsigned i = 0; i < HTTP_METHODS; i++)
        if (methods & 1u << i) list = arena_printf(a, "%.*s%s%.*s", SPAN_ARGS(list), list.n ? ", " : "", SPAN_ARGS(http_method_name((enum http_method)i)));
    return list;
}
