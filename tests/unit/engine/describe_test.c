/* engine/shapes, engine/describe: a table of every kind of row, read back by a JSON reader; and the real table, which must be readable. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "engine/describe.h"
#include "engine/shapes.h"

static struct arena *arena;

static int begin(void **state)
{
    (void)state;
    arena = arena_new(8 << 20);
    return arena ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

/* ---- the notation ---- */

static const json_t *schema_of(const char *notation)
{
    struct buf b;
    struct jout o;
    buf_init(&b, 1 << 20);
    jout_init(&o, &b);
    size_t at;
    if (!shape_schema(notation, &o, &at)) fail_msg("%s is refused at byte %zu", notation, at);
    struct span why, copy = arena_copy(arena, buf_span(&b));
    buf_done(&b);
    const json_t *schema = json_read(arena, copy, &why);
    if (!schema) fail_msg("%s: %.*s", notation, SPAN_ARGS(why));
    return schema;
}

static void assert_schema(const char *notation, const char *expected)
{
    struct span got = json_canonical(arena, schema_of(notation));
    if (!span_is_z(got, expected)) fail_msg("%s became %.*s, not %s", notation, SPAN_ARGS(got), expected);
}

static void the_notation_becomes_schema(void **state)
{
    (void)state;
    assert_schema("s", "{\"type\":\"string\"}");
    assert_schema(" n ", "{\"type\":\"number\"}");
    assert_schema("b", "{\"type\":\"boolean\"}");
    assert_schema("z", "{\"type\":\"null\"}");
    assert_schema("*", "{}");
    assert_schema("\"a|b\"", "{\"const\":\"a|b\"}");
    assert_schema("[s]", "{\"items\":{\"type\":\"string\"},\"type\":\"array\"}");
    assert_schema("s|n", "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]}");
    assert_schema("{}", "{\"additionalProperties\":false,\"properties\":{},\"type\":\"object\"}");
    assert_schema("{...}", "{\"properties\":{},\"type\":\"object\"}");
    assert_schema("{a:s, b?:n}", "{\"additionalProperties\":false,\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"number\"}},\"required\":[\"a\"],\"type\":\"object\"}");
    assert_schema("{a:[{b:s|z}|n], ...}",
                  "{\"properties\":{\"a\":{\"items\":{\"anyOf\":[{\"additionalProperties\":false,\"properties\":{\"b\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}},"
                  "\"required\":[\"b\"],\"type\":\"object\"},{\"type\":\"number\"}]},\"type\":\"array\"}},\"required\":[\"a\"],\"type\":\"object\"}");
    assert_non_null(schema_of("[[[[[[[[[s]]]]]]]]]"));      /* as deep as it may be */
}

static void what_is_malformed_is_refused_where_it_is(void **state)
{
    (void)state;
    static const struct { const char *notation; size_t at; } rows[] = {
        { "", 0 }, { "x", 0 }, { "s s", 2 }, { "s|", 2 }, { "|s", 0 }, { "{a}", 2 }, { "{a:}", 3 }, { "{a:s", 4 }, { "{a:s,}", 5 }, { "{a:s b:s}", 5 }, { "{a:s,a:n}", 7 },
        { "{..., a:s}", 4 }, { "[s", 2 }, { "[]", 1 }, { "[s]]", 3 }, { "\"a", 0 }, { "{?:s}", 2 }, { "[[[[[[[[[[s]]]]]]]]]]", 10 }, { "{a:s}}", 5 },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct buf b;
        struct jout o;
        buf_init(&b, 1 << 16);
        jout_init(&o, &b);
        size_t at = 999;
        if (shape_schema(rows[i].notation, &o, &at)) fail_msg("taken: %s", rows[i].notation);
        if (at != rows[i].at) fail_msg("%s: refused at %zu, not %zu", rows[i].notation, at, rows[i].at);
        buf_done(&b);
    }
}

/* ---- a table ---- */

static struct reply *read_nothing(const struct request *r, struct snap *s) { (void)r; (void)s; return NULL; }
static struct reply *write_nothing(const struct request *r, struct txn *t) { (void)r; (void)t; return NULL; }
static void error_shape(struct jout *o, int status, struct span message)
{
    jout_begin_object(o);
    jout_put_z(o, "status", "fail");
    jout_put_int(o, "code", status);
    jout_put(o, "msg", message);
    jout_end_object(o);
}

static const struct shape text_shape = { (const struct field[]){ { "openid", "openId user", FIELD_TEXT, REQUIRED | NOT_EMPTY | SECRET, 0, 256, "who" }, { "n", NULL, FIELD_INT, 0, 1, 500, NULL },
                                                                 { "extra", NULL, FIELD_ANY, 0, 0, 0, NULL } }, 3 };
static const struct shape id_shape = { (const struct field[]){ { "id", NULL, FIELD_INT, REQUIRED, 0, 0, "which" } }, 1 };
static const struct shape file_shape = { (const struct field[]){ { "image", NULL, FIELD_FILE, REQUIRED, 0, 0, "a picture" } }, 1 };
static const struct command rows[] = {
    { .name = "t.write", .about = "Write \"it\"", .http = "GET|POST /t/write/?", .takes = &text_shape, .gives = "{status:s}", .needs = 5, WRITES(write_nothing) },
    { .name = "t.get", .about = "Get it", .http = "GET /api/t/{id}/of/{who}", .takes = &id_shape, .gives = "[n]", READS(read_nothing) },
    { .name = "t.upload", .http = "POST /t/upload", .takes = &file_shape, WRITES(write_nothing) },
    { .name = "t.say", .about = "A frame", .channel = "chat", .takes = &text_shape, .gives = "{id:s}", WRITES(write_nothing) },
    { .name = "t.later", .about = "A job", .job = true, WRITES(write_nothing) },
    { .name = "t.care", .about = "Care", .http = "POST /api/t/care", .needs = 1, .gives = "[n]", .flags = COMMAND_OPERATOR, WRITES(write_nothing) },
    { .name = "t.echo", .about = "Echo", .http = "ANY /api/debug/echo", .flags = COMMAND_DEBUG | COMMAND_RAW, READS(read_nothing) },
    { 0 },
};
static const struct channel channels[] = { { .name = "chat", .path = "/ws/{room}/?", .takes = &id_shape }, { 0 } };
static const char *const needs_names[] = { "user", "friend", NULL };
static const struct app table_app = { .name = "t", .commands = rows, .channels = channels, .error = error_shape, .needs_names = needs_names };
static const struct app empty_app = { .name = "empty" };
static const struct app *const table[] = { &table_app, &empty_app, NULL };

static struct span written(void (*write)(const struct describe *, struct buf *), const struct app *const *apps, bool debug)
{
    struct buf b;
    buf_init(&b, 8 << 20);
    write(&(struct describe){ apps, debug }, &b);
    assert_false(b.failed);
    struct span copy = arena_copy(arena, buf_span(&b));
    buf_done(&b);
    return copy;
}

static const json_t *written_json(void (*write)(const struct describe *, struct buf *), const struct app *const *apps, bool debug)
{
    struct span why, text = written(write, apps, debug);
    const json_t *value = json_read(arena, text, &why);
    if (!value) fail_msg("%.*s", SPAN_ARGS(why));
    return value;
}

/* The value at "paths./t/write.get": parts separated by spaces; numbers index arrays. */
static const json_t *at(const json_t *v, const char *where)
{
    char part[128];
    while (*where && v) {
        size_t n = strcspn(where, " ");
        snprintf(part, sizeof part, "%.*s", (int)n, where);
        v = json_is_array(v) ? json_array_get(v, (size_t)strtoul(part, NULL, 10)) : json_object_get(v, part);
        where += n + (where[n] == ' ');
    }
    return v;
}

static void assert_text(const json_t *v, const char *where, const char *expected)
{
    const json_t *found = at(v, where);
    if (!json_is_string(found)) fail_msg("%s is no text", where);
    assert_string_equal(json_string_value(found), expected);
}

static void the_listing_is_aligned_and_complete(void **state)
{
    (void)state;
    assert_true(span_is_z(written(describe_routes, table, false),
                          "METHODS   PATH                  NAME      NEEDS     ABOUT\n"
                          "GET|POST  /t/write/?            t.write   user,2    Write \"it\"\n"
                          "GET       /api/t/{id}/of/{who}  t.get     -         Get it\n"
                          "POST      /t/upload             t.upload  -         \n"
                          "FRAME     chat                  t.say     -         A frame\n"
                          "JOB       -                     t.later   -         A job\n"
                          "POST      /api/t/care           t.care    operator  Care\n"
                          "WS        /ws/{room}/?          chat      -         WebSocket\n"));
    struct span debug = written(describe_routes, table, true);
    assert_non_null(memmem(debug.p, debug.n, "ANY       /api/debug/echo", 25));
}

static void programs_get_the_same(void **state)
{
    (void)state;
    const json_t *v = written_json(describe_routes_json, table, false);
    assert_int_equal(json_array_size(v), 7);
    assert_text(v, "0 name", "t.write");
    assert_text(v, "0 routes 0 path", "/t/write");
    assert_true(json_is_true(at(v, "0 routes 0 slash_optional")));
    assert_text(v, "0 routes 0 methods 1", "POST");
    assert_text(v, "0 takes 0 aliases 1", "user");
    assert_true(json_is_true(at(v, "0 takes 0 required")));
    assert_text(v, "0 schema properties status type", "string");
    assert_text(v, "4 kind", "job");
    assert_true(json_is_true(at(v, "5 operator")) && json_is_false(at(v, "0 operator")));
    assert_text(v, "5 needs", "operator");
    assert_text(v, "6 kind", "channel");
    assert_int_equal(json_array_size(written_json(describe_routes_json, table, true)), 8);
}

static void the_document_says_what_the_rows_say(void **state)
{
    (void)state;
    const json_t *v = written_json(describe_openapi, table, true);
    assert_text(v, "openapi", "3.1.0");
    assert_int_equal(json_object_size(at(v, "paths")), 4);
    assert_text(v, "paths /t/write get operationId", "t.write");
    assert_text(v, "paths /t/write post operationId", "t.write-2");
    assert_text(v, "paths /t/write get parameters 0 name", "openid");
    assert_text(v, "paths /t/write get parameters 0 in", "query");
    assert_int_equal(json_integer_value(at(v, "paths /t/write get parameters 0 schema minLength")), 1);
    assert_int_equal(json_integer_value(at(v, "paths /t/write get parameters 0 schema maxLength")), 256);
    assert_int_equal(json_integer_value(at(v, "paths /t/write get parameters 1 schema maximum")), 500);
    assert_null(at(v, "paths /t/write get requestBody"));
    assert_int_equal(json_array_size(at(v, "paths /t/write post parameters")), 0);
    assert_text(v, "paths /t/write post requestBody content application/json schema required 0", "openid");
    assert_text(v, "paths /t/write post responses 200 content application/json schema properties status type", "string");
    assert_text(v, "paths /t/write post responses default $ref", "#/components/responses/t");
    assert_text(v, "paths /api/t/{id}/of/{who} get responses default $ref", "#/components/responses/api");
    assert_text(v, "paths /api/t/{id}/of/{who} get parameters 0 schema type", "integer");
    assert_text(v, "paths /api/t/{id}/of/{who} get parameters 1 schema type", "string");
    assert_int_equal(json_array_size(at(v, "paths /api/t/{id}/of/{who} get parameters")), 2);
    assert_int_equal(json_object_size(at(v, "paths /t/upload post requestBody content")), 1);
    assert_text(v, "paths /t/upload post requestBody content multipart/form-data schema properties image contentMediaType", "application/octet-stream");
    assert_int_equal(json_object_size(at(v, "paths /api/debug/echo")), 7);
    assert_text(v, "components responses t content application/json example msg", "what is wrong");
    assert_text(v, "components securitySchemes session_key in", "query");
    assert_text(v, "x-channels chat frames t.say gives properties id type", "string");
    assert_text(v, "x-channels chat parameters 0 name", "room");
    assert_null(at(written_json(describe_openapi, table, false), "paths /api/debug/echo"));
}

static void nothing_is_fine_too(void **state)
{
    (void)state;
    static const struct app *const none[] = { NULL };
    assert_int_equal(json_object_size(at(written_json(describe_openapi, none, true), "paths")), 0);
    assert_int_equal(json_array_size(written_json(describe_routes_json, none, true)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_notation_becomes_schema, begin, end),
        cmocka_unit_test_setup_teardown(what_is_malformed_is_refused_where_it_is, begin, end),
        cmocka_unit_test_setup_teardown(the_listing_is_aligned_and_complete, begin, end),
        cmocka_unit_test_setup_teardown(programs_get_the_same, begin, end),
        cmocka_unit_test_setup_teardown(the_document_says_what_the_rows_say, begin, end),
        cmocka_unit_test_setup_teardown(nothing_is_fine_too, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
