/* tests/unit/net/server_test.c: exchanges over real sockets on loopback: framing, order, bodies, back-pressure, refusals, holding, long answers. */
#include "served.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

#include <cmocka.h>

#define HELLO "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"

static const struct serve_options plain = { 0 };

/* Says the request and checks status and body of the answer. */
static void expect(struct peer *p, int status, const char *body)
{
    struct answer a = peer_answer(p, false);
    if (a.status != status || (body && strcmp(a.body, body) != 0)) fail_msg("%d expected, but got: %s\n%s", status, a.head, a.body);
    answer_free(&a);
}

static void keep_alive(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = peer_dial(served.port);
    for (int i = 0; i < 5; i++) {
        peer_say_z(&p, HELLO);
        struct answer a = peer_answer(&p, false);
        assert_int_equal(a.status, 200);
        assert_string_equal(a.body, "hello");
        assert_true(answer_has(&a, "Content-Length: 5") && answer_has(&a, "X-Extra: yes") && answer_has(&a, "Server: weir"));
        assert_non_null(strstr(a.head, "\r\nDate: "));
        assert_null(strstr(a.head, "Connection:"));
        answer_free(&a);
    }
    peer_say_z(&p, "GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    struct answer a = peer_answer(&p, false);
    assert_true(answer_has(&a, "Connection: close"));
    answer_free(&a);
    assert_true(peer_at_end(&p));
    peer_hang_up(&p);
    struct server_stats st;
    UNTIL((server_stats(served.server, &st), st.open == 0));
    assert_int_equal(st.accepted, 1);
    assert_int_equal(st.requests, 6);
    unserve();
}

static void http_1_0(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = peer_dial(served.port);
    peer_say_z(&p, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    struct answer a = peer_answer(&p, false);
    assert_true(a.status == 200 && answer_has(&a, "Connection: keep-alive"));
    answer_free(&a);
    peer_say_z(&p, "GET /count/3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");      /* unknown length: until the end of the connection */
    a = peer_answer(&p, false);
    assert_true(a.status == 200 && answer_has(&a, "Connection: close") && !a.chunked);
    assert_string_equal(a.body, "0\n1\n2\n");
    answer_free(&a);
    peer_hang_up(&p);
    p = peer_dial(served.port);
    peer_say_z(&p, "GET /hello HTTP/1.0\r\n\r\n");
    expect(&p, 200, "hello");
    assert_true(peer_at_end(&p));
    peer_hang_up(&p);
    unserve();
}

static void a_hundred_requests_in_one_write(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = peer_dial(served.port);
    char text[16384], number[8];
    size_t n = 0;
    for (int i = 0; i < 100; i++) n += (size_t)snprintf(text + n, sizeof text - n, "GET /?%d HTTP/1.1\r\nHost: localhost\r\n\r\n", i);
    peer_say(&p, text, n);
    for (int i = 0; i < 100; i++) {
        snprintf(number, sizeof number, "%d", i);
        expect(&p, 200, number);
    }
    peer_hang_up(&p);
    unserve();
}

static void byte_by_byte(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = peer_dial(served.port);
    static const char text[] = "\r\nPOST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n" HELLO;
    for (size_t i = 0; i + 1 < sizeof text; i++) peer_say(&p, text + i, 1);
    expect(&p, 200, "abcde0123456789");
    expect(&p, 200, "hello");
    peer_hang_up(&p);
    unserve();
}

static char *letters(size_t n)
{
    char *p = malloc(n + 1);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) p[i] = (char)('a' + i % 23);
    p[n] = '\0';
    return p;
}

static void bodies_of_all_sizes(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = peer_dial(served.port);
    static const size_t sizes[] = { 0, 1, 100, 32768, 32769, 70000, 200000, LIMIT_BODY_BYTES };
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        for (int chunked = 0; chunked < 2; chunked++) {
            char *body = letters(sizes[i]), head[200];
            if (chunked) snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
            else snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n", sizes[i]);
            peer_say_z(&p, head);
            for (size_t at = 0, piece; chunked && at < sizes[i]; at += piece) {
                piece = sizes[i] - at < 30000 ? sizes[i] - at : 30000;
                snprintf(head, sizeof head, "%zx\r\n", piece);
                peer_say_z(&p, head);
                peer_say(&p, body + at, piece);
                peer_say_z(&p, "\r\n");
            }
            if (chunked) peer_say_z(&p, "0\r\n\r\n");
            else peer_say(&p, body, sizes[i]);
            struct answer a = peer_answer(&p, false);
            assert_int_equal(a.status, 200);
            assert_int_equal(a.body_n, sizes[i]);
            assert_memory_equal(a.body, body, sizes[i]);
            answer_free(&a);
            free(body);
        }
    }
    peer_hang_up(&p);
    unserve();
}

static void bodies_too_large(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = peer_dial(served.port);
    char head[200];
    snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", LIMIT_BODY_BYTES + 1);
    peer_say_z(&p, head);
    char *body = letters(LIMIT_BODY_BYTES + 1);
    peer_say(&p, body, LIMIT_BODY_BYTES + 1);                              /* all of it: the answer must survive that nobody reads it */
    struct answer a = peer_answer(&p, false);
    assert_int_equal(a.status, 413);
    assert_true(answer_has(&a, "Connection: close"));
    assert_string_equal(a.body, "{\"refused\":413,\"path\":\"/echo\"}");
    answer_free(&a);
    assert_true(peer_at_end(&p));
    peer_hang_up(&p);
    p = peer_dial(served.port);
    peer_say_z(&p, "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n");
    peer_say(&p, body, LIMIT_BODY_BYTES + 1);
    expect(&p, 413, NULL);
    peer_hang_up(&p);
    free(body);
    UNTIL(atomic_load(&served.dones) == 2);
    assert_int_equal(atomic_load(&served.last_status), 413);
    unserve();
}

static void streamed_bodies_push_back(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = peer_dial(served.port);
    enum { BYTES = 4 * 1024 * 1024 };
    char *body = letters(BYTES), head[200];
    for (int pausing = 0; pausing < 2; pausing++) {
        atomic_store(&served.streamed, 0);
        snprintf(head, sizeof head, "PUT /stream-in%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", pausing ? "-pausing" : "", BYTES);
        peer_say_z(&p, head);
        peer_say(&p, body, BYTES);
        expect(&p, 200, "taken");
        assert_int_equal(atomic_load(&served.streamed), BYTES);
    }
    assert_true(atomic_load(&served.paused) >= BYTES / READ_BYTES);
    /* lost while paused: the exchange lives until the handler resumes */
    snprintf(head, sizeof head, "PUT /stream-in-pausing HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\nabc", BYTES);
    int before = atomic_load(&served.paused);
    peer_say_z(&p, head);
    UNTIL(atomic_load(&served.paused) > before);
    peer_cut(&p);
    UNTIL(atomic_load(&served.dones) == 3);
    assert_int_equal(atomic_load(&served.last_status), 0);
    free(body);
    unserve();
}

static void heads_and_bodiless_answers(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = peer_dial(served.port);
    peer_say_z(&p, "HEAD /hello HTTP/1.1\r\nHost: localhost\r\n\r\nHEAD /count/9 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        "GET /empty HTTP/1.1\r\nHost: localhost\r\n\r\nGET /same HTTP/1.1\r\nHost: localhost\r\n\r\nHEAD /big/100000 HTTP/1.1\r\nHost: localhost\r\n\r\n" HELLO);
    struct answer a = peer_answer(&p, true);
    assert_true(a.status == 200 && answer_has(&a, "Content-Length: 5"));
    answer_free(&a);
    a = peer_answer(&p, true);
    assert_true(a.status == 200 && a.chunked);
    answer_free(&a);
    a = peer_answer(&p, false);
    assert_true(a.status == 204 && !strstr(a.head, "Content-Length"));
    answer_free(&a);
    a = peer_answer(&p, false);
    assert_true(a.status == 304 && !strstr(a.head, "Content-Length") && answer_has(&a, "ETag: \"x\""));
    answer_free(&a);
    a = peer_answer(&p, true);
    assert_true(a.status == 200 && answer_has(&a, "Content-Length: 100000"));
    answer_free(&a);
    expect(&p, 200, "hello");
    peer_hang_up(&p);
    unserve();
}

static void expect_100_continue(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = peer_dial(served.port);
    peer_say_z(&p, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    struct answer a = peer_answer(&p, true);
    assert_int_equal(a.status, 100);
    assert_string_equal(a.head, "HTTP/1.1 100 Continue\r\n");
    answer_free(&a);
    peer_say_z(&p, "abc");
    expect(&p, 200, "abc");
    peer_say_z(&p, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nxyz");   /* it did not wait */
    expect(&p, 200, "xyz");
    peer_say_z(&p, "POST /early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    a = peer_answer(&p, false);
    assert_true(a.status == 404 && answer_has(&a, "Connection: close"));   /* nobody knows whether the body will come */
    answer_free(&a);
    assert_true(peer_at_end(&p));
    peer_hang_up(&p);
    p = peer_dial(served.port);
    peer_say_z(&p, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\nExpect: 100-continue\r\n\r\n");
    expect(&p, 413, NULL);
    peer_hang_up(&p);
    unserve();
}

static void answers_before_the_body(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = peer_dial(served.port);
    peer_say_z(&p, "POST /early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n");
    expect(&p, 404, "early");
    peer_say_z(&p, "abcde" HELLO);                                         /* the small rest is skipped, and the connection lives */
    expect(&p, 200, "hello");
    peer_say_z(&p, "POST /early HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    expect(&p, 404, "early");
    peer_say_z(&p, "2\r\nde\r\n0\r\n\r\n" HELLO);
    expect(&p, 200, "hello");
    peer_say_z(&p, "POST /early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n\r\n");
    char *body = letters(3000000);
    peer_say(&p, body, 3000000);                                           /* too much of a rest: answered, then closed, without a reset */
    struct answer a = peer_answer(&p, false);
    assert_true(a.status == 404 && answer_has(&a, "Connection: close"));
    answer_free(&a);
    assert_true(peer_at_end(&p));
    peer_hang_up(&p);
    p = peer_dial(served.port);
    peer_say_z(&p, "POST /early HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    expect(&p, 404, "early");
    assert_true(peer_at_end(&p));                                          /* the rest is malformed: nothing more is understood */
    peer_hang_up(&p);
    p = peer_dial(served.port);
    peer_say_z(&p, "POST /begin-early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab");
    expect(&p, 200, "begun");
    peer_hang_up(&p);
    free(body);
    unserve();
}

static void refusals(void **state)
{
    (void)state;
    serve(&plain);
    static char many[20000] = "GET /many HTTP/1.1\r\nHost: localhost\r\n";
    for (int i = 0; i < 120; i++) strcat(many, "X: y\r\n");
    strcat(many, "\r\n");
    static const struct { int status; const char *text, *path; } cases[] = {
        { 400, "GET /x HTTP/1.1\r\n\r\n", "/x" }, { 400, "GET /x HTTP/1.1\nHost: a\n\n", "/x" }, { 400, "\x16\x03\x01\x02\x05\x01\r\n\r\n", "" }, { 505, "GET /x HTTP/2.0\r\nHost: a\r\n\r\n", "/x" },
        { 501, "BREW /pot?q HTTP/1.1\r\nHost: a\r\n\r\n", "/pot" }, { 400, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "/x" },
        { 400, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "/x" }, { 417, "GET /x HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", "/x" },
        { 400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "/echo" }, { 431, many, "/many" },
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct peer p = peer_dial(served.port);
        char want[100];
        snprintf(want, sizeof want, "{\"refused\":%d,\"path\":\"%s\"}", cases[i].status, cases[i].path);
        peer_say_z(&p, HELLO);
        peer_say_z(&p, cases[i].text);
        peer_say_z(&p, HELLO);                                             /* must not be answered */
        expect(&p, 200, "hello");
        expect(&p, cases[i].status, want);
        assert_true(peer_at_end(&p));
        peer_hang_up(&p);
    }
    struct server_stats st;
    server_stats(served.server, &st);
    assert_int_equal(st.refused_protocol, LENGTH(cases));
    unserve();
}

/* ---- holding ---- */

static void answer_held(struct loop *l, void *arg)
{
    struct exchange *ex = arg;
    must(exchange_loop(ex) == l);
    exchange_reply(ex, 200, SPAN(""), SPAN("at last"));
}

static void held_and_answered_by_another_thread(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = peer_dial(served.port), q = peer_dial(served.port);
    peer_say_z(&p, "GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n" HELLO HELLO);
    struct exchange *ex = served_take_held();
    peer_say_z(&q, HELLO);
    expect(&q, 200, "hello");                                              /* others go on */
    assert_int_equal(atomic_load(&served.heads), 2);                       /* what was pipelined waits */
    on_loop(loop_index(exchange_loop(ex)), answer_held, ex);
    expect(&p, 200, "at last");
    expect(&p, 200, "hello");
    expect(&p, 200, "hello");
    peer_hang_up(&p);
    peer_hang_up(&q);
    unserve();
}

static void see_lost(struct loop *l, void *arg)
{
    (void)l;
    struct exchange *ex = arg;
    if (exchange_lost(ex)) atomic_store(&served.lost, 1);
}

static void client_gone_while_held(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = peer_dial(served.port);
    peer_say_z(&p, "GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n");
    struct exchange *ex = served_take_held();
    int loop = loop_index(exchange_loop(ex));
    on_loop(loop, see_lost, ex);
    assert_int_equal(atomic_load(&served.lost), 0);
    peer_cut(&p);
    UNTIL((on_loop(loop, see_lost, ex), atomic_load(&served.lost)));
    assert_true(span_is_z(exchange_head(ex)->path, "/hold"));
    assert_int_equal(atomic_load(&served.dones), 0);
    on_loop(loop, answer_held, ex);
    assert_int_equal(atomic_load(&served.dones), 1);
    unserve();
}

static void half_closed_clients_get_their_answers(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = peer_dial(served.port);
    peer_say_z(&p, HELLO "GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n" HELLO);
    peer_half_close(&p);
    expect(&p, 200, "hello");
    struct exchange *ex = served_take_held();
    on_loop(loop_index(exchange_loop(ex)), answer_held, ex);
    expect(&p, 200, "at last");
    expect(&p, 200, "hello");
    assert_true(peer_at_end(&p));
    peer_hang_up(&p);
    p = peer_dial(served.port);
    peer_say_z(&p, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc");
    peer_half_close(&p);
    expect(&p, 400, NULL);
    peer_hang_up(&p);
    p = peer_dial(served.port);
    peer_say_z(&p, "GET /hello HT");
    peer_half_close(&p);
    expect(&p, 400, "{\"refused\":400,\"path\":\"/hello\"}");
    peer_hang_up(&p);
    unserve();
}

/* Much is pipelined behind a held exchange: the server must stop reading. */
static void pipelining_pushes_back(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = peer_dial(served.port);
    int small = 8192;
    setsockopt(p.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    peer_say_z(&p, "GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n");
    struct exchange *ex = served_take_held();
    static const char hello[] = HELLO;
    size_t said = 0, whole = sizeof hello - 1;
    for (int quiet = 0; quiet < 50;) {
        size_t part = said % whole, n = peer_say_some(&p, hello + part, whole - part);
        said += n;
        if (n) quiet = 0;
        else if (wait_turn(&quiet) && said > 64 * 1024 * 1024) break;
    }
    assert_true(said < 32 * 1024 * 1024);
    struct server_stats st;
    server_stats(served.server, &st);
    assert_true(st.bytes_in <= whole * 2 + READ_BYTES);
    size_t rest = said % whole;
    on_loop(loop_index(exchange_loop(ex)), answer_held, ex);
    expect(&p, 200, "at last");
    for (size_t i = 0; i < said / whole; i++) expect(&p, 200, "hello");
    if (rest) {
        peer_say(&p, hello + rest, whole - rest);
        expect(&p, 200, "hello");
    }
    peer_hang_up(&p);
    unserve();
}

/* ---- long answers ---- */

static void streaming_to_a_slow_reader(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = peer_dial(served.port);
    int small = 256 * 1024;
    setsockopt(p.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    enum { N = 2000000 };
    peer_say_z(&p, "GET /count/2000000 HTTP/1.1\r\nHost: localhost\r\n\r\n" HELLO);
    struct server_stats st;
    UNTIL(atomic_load(&served.stuck) > 0);
    server_stats(served.server, &st);
    assert_true(st.bytes_out < 12 * 1024 * 1024);                          /* of 15 MB: the rest was not even made */
    struct answer a = peer_answer(&p, false);
    assert_true(a.status == 200 && a.chunked);
    char *at = a.body;
    for (long i = 0; i < N; i++) assert_int_equal(strtol(at, &at, 10), i);
    assert_int_equal(at + 1 - a.body, a.body_n);
    answer_free(&a);
    assert_true(atomic_load(&served.drained) > 0);
    expect(&p, 200, "hello");
    int stuck = atomic_load(&served.stuck);
    peer_say_z(&p, "GET /count/50000000 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    UNTIL(atomic_load(&served.stuck) > stuck);
    peer_cut(&p);
    UNTIL(atomic_load(&served.lost) == 1);                                 /* told, and ended */
    unserve();
}

static void big_answers_and_aborted_ones(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = peer_dial(served.port);
    static const int sizes[] = { 32768, 32769, 1000000, 5000000 };
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        char request[100], *want = letters((size_t)sizes[i]);
        snprintf(request, sizeof request, "GET /big/%d HTTP/1.1\r\nHost: localhost\r\n\r\n", sizes[i]);
        peer_say_z(&p, HELLO);
        peer_say_z(&p, request);
        peer_say_z(&p, HELLO);
        expect(&p, 200, "hello");
        expect(&p, 200, want);
        expect(&p, 200, "hello");
        free(want);
    }
    peer_say_z(&p, HELLO "GET /abort HTTP/1.1\r\nHost: localhost\r\n\r\n" HELLO);
    expect(&p, 200, "hello");                                              /* what was answered before is not lost */
    assert_true(peer_at_end(&p));
    peer_hang_up(&p);
    unserve();
}

static void files(void **state)
{
    (void)state;
    serve(&plain);
    char name[] = "/tmp/weir-net-test-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    served.file = name;
    static const size_t sizes[] = { 5000, 16384, 16385, 6000000 };
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        char *want = letters(sizes[i]);
        assert_int_equal(pwrite(fd, want, sizes[i], 0), sizes[i]);
        struct peer p = peer_dial(served.port);
        peer_say_z(&p, "GET /file HTTP/1.1\r\nHost: localhost\r\n\r\nHEAD /file HTTP/1.1\r\nHost: localhost\r\n\r\nGET /file-part HTTP/1.1\r\nHost: localhost\r\n\r\n" HELLO);
        expect(&p, 200, want);
        struct answer a = peer_answer(&p, true);
        char line[64];
        snprintf(line, sizeof line, "Content-Length: %zu", sizes[i]);
        assert_true(a.status == 200 && answer_has(&a, line));
        answer_free(&a);
        a = peer_answer(&p, false);
        assert_true(a.status == 206 && a.body_n == 2000 && memcmp(a.body, want + 1000, 2000) == 0);
        answer_free(&a);
        expect(&p, 200, "hello");
        peer_say_z(&p, "GET /file-short HTTP/1.1\r\nHost: localhost\r\n\r\n");
        while (peer_fill(&p)) { }                                          /* cut: never the length that was promised */
        assert_true(p.n < sizes[i] + 100);
        peer_hang_up(&p);
        free(want);
    }
    close(fd);
    unlink(name);
    unserve();
}

#ifdef WEIR_FAULTS
static void failing_sends_and_allocations(void **state)
{
    (void)state;
    serve(&plain);
    for (int i = 1; i < 40; i++) {
        char spec[40];
        snprintf(spec, sizeof spec, i % 2 ? "alloc:%d" : "send:%d", (i + 1) / 2);
        fault_arm(spec);
        struct peer p = peer_dial(served.port);
        peer_say_z(&p, HELLO "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n");
        char *body = letters(70000);
        peer_say(&p, body, 70000);
        peer_say_z(&p, "GET /big/100000 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        while (peer_fill(&p)) { }                                          /* answered or cut, never stuck */
        free(body);
        peer_hang_up(&p);
        fault_arm(NULL);
    }
    struct peer p = peer_dial(served.port);
    peer_say_z(&p, HELLO);
    expect(&p, 200, "hello");
    peer_hang_up(&p);
    unserve();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keep_alive), cmocka_unit_test(http_1_0), cmocka_unit_test(a_hundred_requests_in_one_write), cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(bodies_of_all_sizes), cmocka_unit_test(bodies_too_large), cmocka_unit_test(streamed_bodies_push_back),
        cmocka_unit_test(heads_and_bodiless_answers), cmocka_unit_test(expect_100_continue), cmocka_unit_test(answers_before_the_body),
        cmocka_unit_test(refusals), cmocka_unit_test(held_and_answered_by_another_thread), cmocka_unit_test(client_gone_while_held),
        cmocka_unit_test(half_closed_clients_get_their_answers), cmocka_unit_test(pipelining_pushes_back),
        cmocka_unit_test(streaming_to_a_slow_reader), cmocka_unit_test(big_answers_and_aborted_ones), cmocka_unit_test(files),
#ifdef WEIR_FAULTS
        cmocka_unit_test(failing_sends_and_allocations),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
