/* tests/unit/net/router_test.c: routing, and the addresses of peers and proxies. */
#include "net/net_in.h"
#include "net/router.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cmocka.h>

#define GET (1u << HTTP_GET)
#define POST (1u << HTTP_POST)

static struct router *routes(void)
{
    struct router *r = router_new();
    assert_non_null(r);
    router_add(r, GET, "/", 1);
    router_add(r, GET, "/a", 2);
    router_add(r, POST, "/a", 3);
    router_add(r, GET, "/b/", 4);
    router_add(r, GET | POST, "/c/?", 5);
    router_add(r, GET, "/d/{id}", 6);
    router_add(r, GET, "/d/new", 7);
    router_add(r, POST, "/d/{name}/x/{y}", 8);
    router_add(r, GET, "/e/f/g", 9);
    router_add(r, GET, "/e/{x}/h", 10);
    router_add(r, 1u << HTTP_DELETE, "/d/{id}/?", 11);
    router_add(r, 1u << HTTP_OPTIONS, "*", 12);
    return r;
}

static int match(const struct router *r, enum http_method m, const char *path, struct routed *out) { return router_match(r, m, span_of(path), out); }

static void literal_routes(void **state)
{
    (void)state;
    struct router *r = routes();
    struct routed got;
    static const struct { enum http_method method; const char *path; int status, route; } cases[] = {
        { HTTP_GET, "/", 200, 1 }, { HTTP_GET, "/a", 200, 2 }, { HTTP_POST, "/a", 200, 3 }, { HTTP_HEAD, "/a", 200, 2 }, { HTTP_GET, "/a/", 404, -1 },
        { HTTP_GET, "/b/", 200, 4 }, { HTTP_GET, "/b", 404, -1 }, { HTTP_GET, "/c", 200, 5 }, { HTTP_POST, "/c/", 200, 5 }, { HTTP_GET, "/c//", 404, -1 },
        { HTTP_PUT, "/a", 405, -1 }, { HTTP_GET, "/A", 404, -1 }, { HTTP_GET, "", 404, -1 }, { HTTP_GET, "/aa", 404, -1 }, { HTTP_OPTIONS, "*", 200, 12 },
        { HTTP_GET, "/e/f/g", 200, 9 }, { HTTP_GET, "/e/f/h", 200, 10 }, { HTTP_GET, "/e/q/h", 200, 10 }, { HTTP_GET, "/e/f/i", 404, -1 }, { HTTP_GET, "/e//h", 404, -1 },
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        int status = match(r, cases[i].method, cases[i].path, &got);
        if (status != cases[i].status || got.route != cases[i].route) fail_msg("%s: %d, route %d", cases[i].path, status, got.route);
    }
    router_free(&r);
    assert_null(r);
}

static void parameters_and_methods(void **state)
{
    (void)state;
    struct router *r = routes();
    struct routed got;
    assert_int_equal(match(r, HTTP_GET, "/d/17", &got), 200);
    assert_int_equal(got.route, 6);
    assert_int_equal(got.n, 1);
    assert_string_equal(got.params[0].name, "id");
    assert_true(span_is_z(got.params[0].value, "17"));
    assert_int_equal(match(r, HTTP_GET, "/d/new", &got), 200);
    assert_int_equal(got.route, 7);
    assert_int_equal(got.n, 0);
    assert_int_equal(match(r, HTTP_DELETE, "/d/new", &got), 200);          /* the literal has no DELETE, {id} has */
    assert_int_equal(got.route, 11);
    assert_true(span_is_z(got.params[0].value, "new"));
    assert_int_equal(match(r, HTTP_DELETE, "/d/5/", &got), 200);
    assert_int_equal(match(r, HTTP_POST, "/d/n/x/z", &got), 200);
    assert_int_equal(got.n, 2);
    assert_string_equal(got.params[0].name, "name");
    assert_string_equal(got.params[1].name, "y");
    assert_true(span_is_z(got.params[1].value, "z"));
    assert_int_equal(match(r, HTTP_GET, "/d/", &got), 404);                /* {id} is never empty */
    assert_int_equal(match(r, HTTP_PUT, "/d/new", &got), 405);
    assert_int_equal(got.allowed, GET | 1u << HTTP_DELETE);
    struct arena *a = arena_new(10000);
    assert_true(span_is_z(router_allow(a, got.allowed), "GET, HEAD, DELETE, OPTIONS"));
    assert_true(span_is_z(router_allow(a, POST), "POST, OPTIONS"));
    arena_free(&a);
    router_free(&r);
}

/* ---- addresses ---- */

static void addresses_are_printed_as_what_they_are(void **state)
{
    (void)state;
    static const struct { const char *in, *out; } cases[] = {
        { "127.0.0.1", "127.0.0.1" }, { "::ffff:10.1.2.3", "10.1.2.3" }, { "2001:DB8:0:0:0:0:0:1", "2001:db8::1" }, { "::1", "::1" }, { "::", "::" },
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct address a;
        char text[46];
        assert_true(address_parse(span_of(cases[i].in), &a));
        assert_int_equal(address_print(&a, text), strlen(cases[i].out));
        assert_string_equal(text, cases[i].out);
    }
    struct address a;
    static const char *const bad[] = { "", "1.2.3", "1.2.3.4.5", "256.1.1.1", "::g", "1.2.3.4 ", "localhost", "fe80::1%eth0" };
    for (size_t i = 0; i < LENGTH(bad); i++) assert_false(address_parse(span_of(bad[i]), &a));
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.7", &in6.sin6_addr), 1);
    char text[46];
    assert_true(address_of((struct sockaddr *)&in6, &a));
    address_print(&a, text);
    assert_string_equal(text, "192.0.2.7");
    assert_true(address_parse(SPAN("127.8.9.1"), &a) && address_is_loopback(&a));
    assert_true(address_parse(SPAN("::1"), &a) && address_is_loopback(&a));
    assert_true(address_parse(SPAN("128.0.0.1"), &a) && !address_is_loopback(&a));
}

static void hops_may_have_ports(void **state)
{
    (void)state;
    static const struct { const char *in, *out; } cases[] = {
        { " 1.2.3.4 ", "1.2.3.4" }, { "1.2.3.4:80", "1.2.3.4" }, { "[2001:db8::1]:443", "2001:db8::1" }, { "[2001:db8::1]", "2001:db8::1" }, { "2001:db8::1", "2001:db8::1" },
    };
    struct address a;
    char text[46];
    for (size_t i = 0; i < LENGTH(cases); i++) {
        if (!address_parse_hop(span_of(cases[i].in), &a)) fail_msg("%s", cases[i].in);
        address_print(&a, text);
        assert_string_equal(text, cases[i].out);
    }
    static const char *const bad[] = { "", "unknown", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:123456", "[1.2.3.4]", "[::1", "[::1]x", "_hidden" };
    for (size_t i = 0; i < LENGTH(bad); i++)
        if (address_parse_hop(span_of(bad[i]), &a)) fail_msg("%s was taken", bad[i]);
}

static bool has(const struct address_list *l, const char *z)
{
    struct address a;
    assert_true(address_parse(span_of(z), &a));
    return address_list_has(l, &a);
}

static void ranges(void **state)
{
    (void)state;
    struct address_list l;
    struct buf err;
    buf_init(&err, 1000);
    assert_true(address_list_parse(SPAN("127.0.0.1, 10.0.0.0/8 ,192.168.16.0/20,2001:db8::/33,::1"), &l, &err));
    assert_int_equal(l.n, 5);
    assert_true(has(&l, "127.0.0.1") && has(&l, "10.255.0.1") && has(&l, "192.168.31.255") && has(&l, "2001:db8:7fff::1") && has(&l, "::1"));
    assert_false(has(&l, "127.0.0.2") || has(&l, "11.0.0.1") || has(&l, "192.168.32.0") || has(&l, "2001:db8:8000::1") || has(&l, "::2"));
    assert_true(has(&l, "::ffff:10.3.3.3"));
    address_list_free(&l);
    assert_true(address_list_parse(SPAN("0.0.0.0/0"), &l, &err) && has(&l, "8.8.8.8") && !has(&l, "2001::1"));
    address_list_free(&l);
    assert_true(address_list_parse(SPAN(" , "), &l, &err) && l.n == 0 && !has(&l, "8.8.8.8"));
    static const char *const bad[] = { "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "::/129", "10.0.0/8", "host", "10.0.0.1 10.0.0.2" };
    for (size_t i = 0; i < LENGTH(bad); i++) {
        err.n = 0;
        if (address_list_parse(span_of(bad[i]), &l, &err)) fail_msg("%s was taken", bad[i]);
        assert_true(err.n > 0);
    }
    buf_done(&err);
}

static void the_right_most_stranger_is_the_client(void **state)
{
    (void)state;
    struct address_list trusted;
    struct buf err;
    struct http_head *h = calloc(1, sizeof *h);
    buf_init(&err, 1000);
    assert_true(address_list_parse(SPAN("10.0.0.0/8"), &trusted, &err));
    static const struct { const char *first, *second, *client; } cases[] = {
        { NULL, NULL, "10.0.0.1" }, { "1.1.1.1", NULL, "1.1.1.1" }, { "6.6.6.6, 1.1.1.1", NULL, "1.1.1.1" }, { "6.6.6.6, 1.1.1.1, 10.2.2.2", NULL, "1.1.1.1" },
        { "6.6.6.6", "1.1.1.1, 10.9.9.9", "1.1.1.1" }, { "1.1.1.1", "10.9.9.9", "1.1.1.1" }, { "10.3.3.3, 10.4.4.4", NULL, "10.3.3.3" },
        { "1.1.1.1, nonsense, 10.5.5.5", NULL, "10.5.5.5" }, { "nonsense", NULL, "10.0.0.1" }, { "", NULL, "10.0.0.1" }, { "1.1.1.1:99", "[::ffff:10.1.1.1]:80", "1.1.1.1" },
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct address peer, client;
        char text[46];
        h->header_count = 0;
        if (cases[i].first) h->headers[h->header_count++] = (struct http_header){ SPAN("X-Forwarded-For"), span_of(cases[i].first) };
        h->headers[h->header_count++] = (struct http_header){ SPAN("Host"), SPAN("7.7.7.7") };
        if (cases[i].second) h->headers[h->header_count++] = (struct http_header){ SPAN("x-forwarded-for"), span_of(cases[i].second) };
        assert_true(address_parse(SPAN("10.0.0.1"), &peer));
        client = address_behind(&trusted, &peer, h);
        address_print(&client, text);
        assert_string_equal(text, cases[i].client);
    }
    free(h);
    address_list_free(&trusted);
    buf_done(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literal_routes), cmocka_unit_test(parameters_and_methods), cmocka_unit_test(addresses_are_printed_as_what_they_are),
        cmocka_unit_test(hops_may_have_ports), cmocka_unit_test(ranges), cmocka_unit_test(the_right_most_stranger_is_the_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
