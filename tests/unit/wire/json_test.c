/* JSON: what the reader refuses and why, what the writer writes, and for random trees that each undoes the other. */
#include "wire/json.h"

#include <fcntl.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct arena *A;
static int setup(void **state) { (void)state; A = arena_new(64u << 20); return A ? 0 : -1; }
static int teardown(void **state) { (void)state; arena_free(&A); return 0; }

static uint64_t rng = 88172645463325252u;
static uint32_t any(uint32_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)(rng >> 32) % below;
}

/* ---- reading ---- */

static void refuse(struct span in, const char *wanted)
{
    struct span why;
    json_t *v = json_read(A, in, &why);
    if (v)
        fail_msg("\"%.*s\" was accepted", SPAN_ARGS(in));
    assert_non_null(why.p);
    if (!strstr(why.p, wanted))
        fail_msg("\"%.*s\" was refused with \"%s\", not \"%s\"", SPAN_ARGS(in), why.p, wanted);
}

static json_t *accept(struct span in)
{
    struct span why;
    json_t *v = json_read(A, in, &why);
    if (!v)
        fail_msg("\"%.*s\" was refused: %s", SPAN_ARGS(in), why.p);
    assert_null(why.p);
    return v;
}

static void reads_values(void **state)
{
    (void)state;
    json_t *v = accept(SPAN(" {\"a\": [1, -2.5, true, false, null, \"\\u5189\\ud83d\\ude00\"], \"\": {}}\r\n"));
    assert_int_equal(json_integer_value(json_array_get(json_object_get(v, "a"), 0)), 1);
    assert_true(span_is_z(json_span(json_array_get(json_object_get(v, "a"), 5)), "\xe5\x86\x89\xf0\x9f\x98\x80"));
    assert_true(json_is_object(json_object_get(v, "")));
    assert_int_equal(json_integer_value(accept(SPAN("9223372036854775807"))), INT64_MAX);
    assert_int_equal(json_integer_value(accept(SPAN("-9223372036854775808"))), INT64_MIN);
    assert_true(json_real_value(accept(SPAN("1.7976931348623157e308"))) == DBL_MAX);
    assert_true(json_real_value(accept(SPAN("1e-400"))) == 0);
    assert_true(json_is_null(accept(SPAN("null"))));
    assert_true(json_is_string(accept(SPAN("\"\""))));
}

static void refuses_what_is_wrong(void **state)
{
    (void)state;
    static const struct { struct span in; const char *why; } cases[] = {
        { { "", 0 }, "line 1, column 1: ends too early" }, { { NULL, 0 }, "ends too early" }, { { "  ", 2 }, "ends too early" },
        { { "{", 1 }, "ends too early" }, { { "[1,", 3 }, "ends too early" }, { { "\"abc", 4 }, "ends too early" },
        { { "[1]\n\n x", 7 }, "line 3, column 2: something follows the value" }, { { "1 2", 3 }, "something follows" },
        { { "{\"a\":1,\"a\":2}", 13 }, "the same key twice" }, { { "{\"a\":1,\"\\u0061\":2}", 18 }, "the same key twice" },
        { { "\"\\u0000\"", 8 }, "NUL" }, { { "{\"a\\u0000b\":1}", 14 }, "NUL" }, { { "[1\0]", 4 }, "column 3: a NUL byte" }, { { "\"a\0b\"", 5 }, "a NUL byte" }, { { "\"\\\0\"", 4 }, "a NUL byte" }, { { "1\0", 2 }, "a NUL byte" },
        { { "\"\xff\"", 3 }, "UTF-8" }, { { "\"\xc0\xaf\"", 4 }, "UTF-8" }, { { "\"\xed\xa0\x80\"", 5 }, "UTF-8" }, { { "[\xe5\x86]", 4 }, "UTF-8" },
        { { "9223372036854775808", 19 }, "out of range" }, { { "-9223372036854775809", 20 }, "out of range" }, { { "1e400", 5 }, "out of range" }, { { "[-1e999]", 8 }, "out of range" },
        { { "[1,]", 4 }, "not JSON" }, { { "{\"a\":1,}", 8 }, "not JSON" }, { { "{a:1}", 5 }, "not JSON" }, { { "'a'", 3 }, "not JSON" },
        { { "01", 2 }, "not JSON" }, { { "1.", 2 }, "not JSON" }, { { ".5", 2 }, "not JSON" }, { { "+1", 2 }, "not JSON" }, { { "-", 1 }, "not JSON" }, { { "0x10", 4 }, "" },
        { { "NaN", 3 }, "not JSON" }, { { "Infinity", 8 }, "not JSON" }, { { "nul", 3 }, "not JSON" }, { { "True", 4 }, "not JSON" },
        { { "\"\\x41\"", 6 }, "not JSON" }, { { "\"\\ud800\"", 8 }, "not JSON" }, { { "\"\\ud800\\u0041\"", 14 }, "not JSON" }, { { "\"\\udc00\"", 8 }, "not JSON" },
        { { "\"a\nb\"", 5 }, "not JSON" }, { { "// c\n1", 6 }, "not JSON" }, { { "\xef\xbb\xbf" "1", 4 }, "not JSON" }, { { "[1 2]", 5 }, "not JSON" }, { { "]", 1 }, "not JSON" },
    };
    for (size_t i = 0; i < LENGTH(cases); i++)
        refuse(cases[i].in, cases[i].why);
    struct span why;
    assert_null(json_read(A, SPAN("{\"password\": secret}"), &why));
    assert_null(strstr(why.p, "secret"));                 /* reasons do not quote */
}

static struct span nested(size_t depth, char open, char close)
{
    char *p = arena_take(A, depth * 6 + 4), *q = p;
    for (size_t i = 0; i < depth; i++) {
        *q++ = open;
        if (open == '{' && i + 1 < depth)
            memcpy(q, "\"[\":", 4), q += 4;
    }
    for (size_t i = 0; i < depth; i++)
        *q++ = close;
    return span_from(p, (size_t)(q - p));
}

static void depth_and_size_are_limited(void **state)
{
    (void)state;
    json_canonical(A, accept(nested(LIMIT_JSON_DEPTH, '[', ']')));
    json_canonical(A, accept(nested(LIMIT_JSON_DEPTH, '{', '}')));
    refuse(nested(LIMIT_JSON_DEPTH + 1, '[', ']'), "column 65: nested too deeply");
    refuse(nested(LIMIT_JSON_DEPTH + 1, '{', '}'), "nested too deeply");
    refuse(nested(100000, '[', ']'), "nested too deeply");
    accept(SPAN("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[[[[[[[[[[\""));
    size_t n = 2 * LIMIT_JSON_VALUES + 10;
    char *p = arena_take(A, n);
    for (size_t i = 0; i < n; i++)
        p[i] = i % 2 ? '1' : ',';
    p[0] = '[';
    p[n - 2] = ']';
    refuse(span_from(p, n - 1), "too many values");
    p[2 * LIMIT_JSON_VALUES - 2] = ']';                   /* the array and so many less one in it */
    assert_int_equal(json_array_size(accept(span_from(p, 2 * LIMIT_JSON_VALUES - 1))), LIMIT_JSON_VALUES - 1);
}

static void canonical_form(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "{ \"b\" : 1, \"a\" : [ ], \"ab\":{}, \"\":0, \"\xe5\x86\x8d\":1, \"Z\":2 }", "{\"\":0,\"Z\":2,\"a\":[],\"ab\":{},\"b\":1,\"\xe5\x86\x8d\":1}" },
        { "\"\\u000a\\/\\u2028\\u003c\\u0001\\u007f\\b\\f\\r\\t\\\"\\\\\"", "\"\\n/\xe2\x80\xa8<\\u0001\x7f\\b\\f\\r\\t\\\"\\\\\"" },
        { "[1.0, -0.0, 1e2, 0.1, 1E300, 5e-324, -0, 123456789012345678901.0]", "[1.0,-0.0,100.0,0.1,1e+300,5e-324,0,1.2345678901234568e+20]" },
        { "{\"\xe2\x80\xa8\":\"\xe2\x80\xa9\"}", "{\"\xe2\x80\xa8\":\"\xe2\x80\xa9\"}" },
        { "true", "true" },
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct span c = json_canonical(A, accept(span_of(cases[i][0])));
        assert_int_equal(c.n, strlen(cases[i][1]));
        assert_memory_equal(c.p, cases[i][1], c.n);
        assert_true(span_is(json_canonical(A, accept(c)), c));
    }
}

/* ---- writing ---- */

static void writes(void **state)
{
    (void)state;
    struct buf b;
    struct jout o;
    buf_init(&b, 10000);
    jout_init(&o, &b);
    assert_false(jout_complete(&o));
    jout_begin_object(&o);
    jout_put(&o, "text", SPAN("a\"\\\x01\n\x7f</script>\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"));
    jout_put_int(&o, "least", INT64_MIN);
    jout_put_int(&o, "most", INT64_MAX);
    jout_put_int_text(&o, "id", -17);
    jout_put_bool(&o, "yes", true);
    jout_key_span(&o, SPAN("k\"<"));
    jout_begin_array(&o);
    jout_int(&o, 0);
    jout_int(&o, 7);
    jout_int(&o, 10);
    jout_int(&o, 99);
    jout_int(&o, 100);
    jout_begin_array(&o);
    jout_end_array(&o);
    jout_begin_object(&o);
    jout_end_object(&o);
    jout_null(&o);
    jout_double(&o, 0.1);
    jout_double(&o, -0.0);
    jout_double(&o, 3);
    jout_double(&o, 1e23);
    jout_double(&o, (double)NAN);
    jout_double(&o, (double)INFINITY);
    jout_raw(&o, SPAN("{\"raw\":1}"));
    jout_end_array(&o);
    jout_put_z(&o, "bad", "x\xff\xe5\x86y\xed\xa0\x80\xf0\x9f\x98\x80\xc2");
    o.html = true;
    jout_put(&o, "html", SPAN("</script><!-- 12345678"));
    jout_end_object(&o);
    assert_true(jout_complete(&o));
    static const char wanted[] = "{\"text\":\"a\\\"\\\\\\u0001\\n\x7f</script>\\u2028\\u2029\xe2\x80\xaa\",\"least\":-9223372036854775808,\"most\":9223372036854775807,\"id\":\"-17\",\"yes\":true,"
        "\"k\\\"<\":[0,7,10,99,100,[],{},null,0.1,-0.0,3.0,1e+23,null,null,{\"raw\":1}],"
        "\"bad\":\"x\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdy\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xf0\x9f\x98\x80\xef\xbf\xbd\",\"html\":\"\\u003c/script>\\u003c!-- 12345678\"}";
    buf_add(&b, "", 1);
    assert_string_equal(b.p, wanted);
    buf_done(&b);
}

/* every byte before, at and behind each place of an eight-byte step */
static void escapes_at_every_place(void **state)
{
    (void)state;
    for (size_t n = 1; n < 20; n++)
        for (size_t at = 0; at < n; at++)
            for (int c = 0; c < 256; c++)
                for (int html = 0; html < 2; html++) {
                    char text[20], wanted[64];
                    memset(text, 'm', sizeof text);
                    text[at] = (char)c;
                    size_t w = 0;
                    wanted[w++] = '"';
                    for (size_t i = 0; i < n; i++) {
                        unsigned u = (unsigned char)text[i];
                        static const char shorts[] = "\b\f\n\r\t\"\\", names[] = "bfnrt\"\\";
                        const char *s = u ? strchr(shorts, (int)u) : NULL;
                        if (s)
                            w += (size_t)sprintf(wanted + w, "\\%c", names[s - shorts]);
                        else if (u < 32 || (u == '<' && html))
                            w += (size_t)sprintf(wanted + w, "\\u%04x", u);
                        else if (u >= 128)
                            w += (size_t)sprintf(wanted + w, "\xef\xbf\xbd");
                        else
                            wanted[w++] = (char)u;
                    }
                    wanted[w++] = '"';
                    struct buf b;
                    struct jout o;
                    buf_init(&b, 1000);
                    jout_init(&o, &b);
                    o.html = html;
                    jout_text(&o, span_from(text, n));
                    assert_int_equal(b.n, w);
                    assert_memory_equal(b.p, wanted, w);
                    buf_done(&b);
                }
}

static void doubles_read_back(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        union { uint64_t u; double d; } v = { .u = (uint64_t)any(UINT32_MAX) << 32 | any(UINT32_MAX) };
        if (i % 3 == 0)
            v.d = (double)any(1000000) / (double)(1 + any(10000));
        if (!isfinite(v.d))
            continue;
        struct arena_mark m = arena_mark(A);
        struct buf b;
        struct jout o;
        buf_init(&b, 100);
        jout_init(&o, &b);
        jout_double(&o, v.d);
        json_t *back = accept(buf_span(&b));
        assert_true(json_is_real(back));
        double r = json_real_value(back);
        assert_memory_equal(&r, &v.d, sizeof r);
        buf_done(&b);
        arena_rewind(A, m);
    }
}

static void buffers_that_are_full(void **state)
{
    (void)state;
    for (size_t max = 0; max < 60; max++) {
        struct buf b;
        struct jout o;
        buf_init(&b, max);
        jout_init(&o, &b);
        jout_begin_array(&o);
        jout_text(&o, SPAN("0123456789\n\n\n\xff"));
        jout_int(&o, 12345);
        jout_begin_object(&o);
        jout_key(&o, "k");
        jout_double(&o, 0.25);
        jout_end_object(&o);
        jout_end_array(&o);
        static const char whole[] = "[\"0123456789\\n\\n\\n\xef\xbf\xbd\",12345,{\"k\":0.25}]";
        assert_true(b.n <= max);
        assert_int_equal(b.failed, max < sizeof whole - 1);
        if (!b.failed)
            assert_true(span_is_z(buf_span(&b), whole));
        else
            assert_true(jout_complete(&o));               /* the shape is kept, the buffer tells */
        buf_done(&b);
    }
}

/* ---- misuse is a bug ---- */

static void key_in_array(struct jout *o) { jout_begin_array(o); jout_key(o, "k"); }
static void key_at_top(struct jout *o) { jout_key(o, "k"); }
static void value_without_key(struct jout *o) { jout_begin_object(o); jout_int(o, 1); }
static void key_after_key(struct jout *o) { jout_begin_object(o); jout_key(o, "k"); jout_key(o, "l"); }
static void end_after_key(struct jout *o) { jout_begin_object(o); jout_key(o, "k"); jout_end_object(o); }
static void wrong_end(struct jout *o) { jout_begin_object(o); jout_end_array(o); }
static void end_at_top(struct jout *o) { jout_end_array(o); }
static void second_value(struct jout *o) { jout_null(o); jout_null(o); }
static void too_deep(struct jout *o) { for (int i = 0; i < 65; i++) jout_begin_array(o); }
static void deep_enough(struct jout *o) { for (int i = 0; i < 64; i++) jout_begin_array(o); for (int i = 0; i < 64; i++) jout_end_array(o); }

static bool aborts(void (*f)(struct jout *))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        struct buf b;
        struct jout o;
        buf_init(&b, 1000);
        jout_init(&o, &b);
        f(&o);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void misuse_is_a_bug(void **state)
{
    (void)state;
    static void (*const wrong[])(struct jout *) = { key_in_array, key_at_top, value_without_key, key_after_key, end_after_key, wrong_end, end_at_top, second_value, too_deep };
    for (size_t i = 0; i < LENGTH(wrong); i++)
        assert_true(aborts(wrong[i]));
    assert_false(aborts(deep_enough));
}

/* ---- random trees ---- */

static struct span random_text(void)
{
    size_t n = any(4) ? any(12) : any(100);
    char *p = arena_take(A, n * 4 + 1);
    size_t w = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t c = any(3) ? 32 + any(95) : any(3) ? 1 + any(0x2fff) : 1 + any(0x10ffff);
        if (c >= 0xD800 && c < 0xE000)
            c = 0x2028;
        w += utf8_put(p + w, c);
    }
    return span_from(p, w);
}

static json_t *random_tree(int depth)
{
    switch (any(depth > 0 ? 8 : 6)) {
    case 0: return json_integer((json_int_t)((uint64_t)any(UINT32_MAX) << any(33)));
    case 1: return json_integer(-(json_int_t)any(1000));
    case 2: return json_real((double)any(1000000) / (double)(1 + any(1000)));
    case 3: return any(2) ? json_true() : json_false();
    case 4: return json_null();
    case 5: {
        struct span s = random_text();
        return json_stringn(s.p, s.n);
    }
    case 6: {
        json_t *v = json_array();
        for (uint32_t i = any(6); i; i--)
            json_array_append_new(v, random_tree(depth - 1));
        return v;
    }
    default: {
        json_t *v = json_object();
        for (uint32_t i = any(6); i; i--) {
            struct span k = random_text();
            json_object_setn_new(v, k.p, k.n, random_tree(depth - 1));
        }
        return v;
    }
    }
}

static void write_tree(struct jout *o, json_t *v)
{
    if (json_is_object(v)) {
        jout_begin_object(o);
        for (void *it = json_object_iter(v); it; it = json_object_iter_next(v, it)) {
            jout_key_span(o, span_from(json_object_iter_key(it), json_object_iter_key_len(it)));
            write_tree(o, json_object_iter_value(it));
        }
        jout_end_object(o);
    } else if (json_is_array(v)) {
        jout_begin_array(o);
        for (size_t i = 0; i < json_array_size(v); i++)
            write_tree(o, json_array_get(v, i));
        jout_end_array(o);
    } else if (json_is_string(v)) {
        jout_text(o, json_span(v));
    } else if (json_is_integer(v)) {
        jout_int(o, json_integer_value(v));
    } else if (json_is_real(v)) {
        jout_double(o, json_real_value(v));
    } else if (json_is_null(v)) {
        jout_null(o);
    } else {
        jout_bool(o, json_is_true(v));
    }
}

static void random_trees_come_back(void **state)
{
    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct arena_mark m = arena_mark(A);
        json_t *v = random_tree(4);
        struct buf b;
        struct jout o;
        buf_init(&b, 1u << 20);
        jout_init(&o, &b);
        o.html = any(2);
        write_tree(&o, v);
        assert_false(b.failed);
        json_t *back = accept(buf_span(&b));
        assert_true(json_equal(v, back));
        struct span c = json_canonical(A, v);
        json_t *again = accept(c);
        assert_true(json_equal(v, again));
        assert_true(span_is(json_canonical(A, again), c));
        assert_true(span_is(json_canonical(A, back), c));  /* whatever the order of the keys was */
        char *other = json_dumps(v, JSON_ENCODE_ANY | JSON_INDENT(3) | JSON_ENSURE_ASCII);
        assert_true(span_is(json_canonical(A, accept(span_of(other))), c));
        free(other);
        json_decref(v);
        buf_done(&b);
        arena_rewind(A, m);
    }
}

static void memory_ends(void **state)
{
    (void)state;
    struct arena *small = arena_new(8192);
    struct span why;
    json_t *v = accept(SPAN("{\"a\":1,\"b\":[{\"c\":1}]}"));
    while (arena_take(small, 16))
        ;
    assert_null(json_read(small, SPAN("[1]"), &why));     /* and the tree is not leaked: the sanitizer looks */
    assert_null(json_canonical(small, v).p);
    jmp_buf escape;
    volatile int why_escaped = setjmp(escape);
    if (!why_escaped) {
        arena_arm(small, &escape);
        json_canonical(small, v);
        fail();
    }
    assert_int_equal(why_escaped, ARENA_ESCAPE_LIMIT);
    arena_free(&small);
#ifdef WEIR_FAULTS
    for (int nth = 1; nth < 60; nth++) {
        char spec[32];
        snprintf(spec, sizeof spec, "alloc:%d", nth);
        fault_arm(spec);
        struct arena *a = arena_new(1u << 20);
        json_t *t = a ? json_read(a, SPAN("{\"a\":1,\"b\":[{\"c\":\"text\"}]}"), &why) : NULL;
        if (t) {
            struct span c = json_canonical(a, t);
            assert_true(!c.p || span_is(c, SPAN("{\"a\":1,\"b\":[{\"c\":\"text\"}]}")));
        }
        fault_arm(NULL);
        arena_free(&a);
    }
#endif
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(reads_values), CASE(refuses_what_is_wrong), CASE(depth_and_size_are_limited), CASE(canonical_form), CASE(writes), CASE(escapes_at_every_place),
        CASE(doubles_read_back), CASE(buffers_that_are_full), CASE(misuse_is_a_bug), CASE(random_trees_come_back), CASE(memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
