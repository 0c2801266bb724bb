/* tests/unit/net/socket_test.c: WebSockets over real sockets: echo, fragments, pings, closing from both sides, back-pressure, slow consumers, broadcast, drain. */
#include "served.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "peer.h"

#include <cmocka.h>

static const struct serve_options plain = { 0 };

static struct peer dial_ws(const char *path)
{
    struct peer p = peer_dial(served.port);
    peer_upgrade(&p, path, "");
    return p;
}

static void expect_frame(struct peer *p, int first_byte, const char *payload, size_t n)
{
    struct ws_frame f = peer_next_frame(p);
    assert_int_equal(f.first_byte, first_byte);
    assert_int_equal(f.n, n);
    assert_memory_equal(f.payload, payload, n);
    free(f.payload);
}

static void say_close(struct peer *p, int code)
{
    char payload[2] = { (char)(unsigned char)(code >> 8), (char)(unsigned char)(code & 255) };
    peer_frame(p, 0x88, payload, 2);
}

static void echo_of_all_sizes(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = dial_ws("/ws");
    static const size_t sizes[] = { 0, 1, 125, 126, 65535, 65536, 300000, 1024 * 1024 };
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        char *m = malloc(sizes[i] + 1);
        memset(m, 'x', sizes[i] + 1);
        peer_frame(&p, 0x81, m, sizes[i]);
        expect_frame(&p, 0x81, m, sizes[i]);
        peer_frame(&p, 0x82, m, sizes[i]);
        expect_frame(&p, 0x82, m, sizes[i]);
        free(m);
    }
    say_close(&p, 1000);
    assert_int_equal(peer_close_code(&p), 1000);
    assert_true(peer_at_end(&p));
    UNTIL(atomic_load(&served.closed) == 1);
    assert_int_equal(atomic_load(&served.last_close), 1000);
    assert_int_equal(atomic_load(&served.last_status), 101);
    peer_hang_up(&p);
    unserve();
}

static void frames_in_the_packet_of_the_handshake(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = peer_dial(served.port);
    /* "hi", masked with zeros, right behind the head; and HTTP before it, in the same write */
    static const char text[] = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\nGET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x82\0\0\0\0hi\x89\x80\0\0\0\0";
    peer_say(&p, text, sizeof text - 1);
    struct answer a = peer_answer(&p, false);
    assert_int_equal(a.status, 200);
    answer_free(&a);
    a = peer_answer(&p, true);
    assert_int_equal(a.status, 101);
    assert_true(answer_has(&a, "X-Extra: yes"));
    answer_free(&a);
    expect_frame(&p, 0x81, "hi", 2);
    expect_frame(&p, 0x8a, "", 0);
    peer_hang_up(&p);
    UNTIL(atomic_load(&served.closed) == 1);
    assert_int_equal(atomic_load(&served.last_close), 1006);
    unserve();
}

static void fragments_and_pings(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = dial_ws("/ws");
    peer_frame(&p, 0x01, "one ", 4);
    peer_frame(&p, 0x00, "two ", 4);
    peer_frame(&p, 0x89, "still there?", 12);
    expect_frame(&p, 0x8a, "still there?", 12);
    peer_frame(&p, 0x80, "three", 5);
    expect_frame(&p, 0x81, "one two three", 13);
    peer_frame(&p, 0x8a, "unasked", 7);
    static const char dribble[] = "\x81\x83\0\0\0\0abc\x89\x82\0\0\0\0pq";
    for (size_t i = 0; i + 1 < sizeof dribble; i++) peer_say(&p, dribble + i, 1);
    expect_frame(&p, 0x81, "abc", 3);
    expect_frame(&p, 0x8a, "pq", 2);
    peer_hang_up(&p);
    unserve();
}

static void handshakes_that_fail(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = peer_dial(served.port);
    peer_say_z(&p, "GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n");
    struct answer a = peer_answer(&p, false);
    assert_int_equal(a.status, 400);
    assert_string_equal(a.body, "{\"refused\":400,\"path\":\"/ws\"}");
    answer_free(&a);
    peer_say_z(&p, "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    a = peer_answer(&p, false);
    assert_int_equal(a.status, 426);
    assert_true(answer_has(&a, "Sec-WebSocket-Version: 13"));
    answer_free(&a);
    peer_hang_up(&p);
    unserve();
}

/* ---- closing ---- */

static void peers_close_with_codes(void **state)
{
    (void)state;
    serve(&plain);
    static const struct { const char *payload; size_t n; int answered, told; } cases[] = {
        { "", 0, 1005, 1005 }, { "\x03\xe8", 2, 1000, 1000 }, { "\x03\xe9" "bye", 5, 1001, 1001 }, { "\x0f\xa0", 2, 4000, 4000 }, { "\x03\xed", 2, 1002, 1002 },
        { "\x03", 1, 1002, 1002 }, { "\x03\xe8\xff", 3, 1007, 1007 }, { "\x27\x0f", 2, 1002, 1002 },
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct peer p = dial_ws("/ws");
        peer_frame(&p, 0x88, cases[i].payload, cases[i].n);
        peer_frame(&p, 0x81, "not any more", 12);
        assert_int_equal(peer_close_code(&p), cases[i].answered);
        assert_true(peer_at_end(&p));
        peer_hang_up(&p);
        UNTIL(atomic_load(&served.closed) == (int)i + 1);
        assert_int_equal(atomic_load(&served.last_close), cases[i].told);
    }
    assert_int_equal(atomic_load(&served.messages), 0);
    unserve();
}

static void protocol_errors(void **state)
{
    (void)state;
    serve(&plain);
    static const struct { int first; const char *payload; int code; const char *path; } cases[] = {
        { 0xc1, "rsv", 1002, "/ws" }, { 0x83, "opcode", 1002, "/ws" }, { 0x09, "fragmented ping", 1002, "/ws" }, { 0x80, "nothing to continue", 1002, "/ws" },
        { 0x81, "\xff\xfe", 1007, "/ws" },
        { 0x82, "more than a hundred bytes, more than a hundred bytes, more than a hundred bytes, more than a hundred bytes", 1009, "/ws-small" },
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct peer p = dial_ws(cases[i].path);
        peer_frame(&p, cases[i].first, cases[i].payload, strlen(cases[i].payload));
        assert_int_equal(peer_close_code(&p), cases[i].code);
        assert_true(peer_at_end(&p));
        peer_hang_up(&p);
        UNTIL(atomic_load(&served.closed) == (int)i + 1);
        assert_int_equal(atomic_load(&served.last_close), cases[i].code);
    }
    struct peer p = dial_ws("/ws");
    peer_say(&p, "\x81\x02hi", 4);                                         /* not masked */
    assert_int_equal(peer_close_code(&p), 1002);
    peer_hang_up(&p);
    unserve();
}

static void the_server_closes(void **state)
{
    (void)state;
    serve(&(struct serve_options){ .deadlines = { .close_ms = 60 } });
    struct peer p = dial_ws("/ws");
    peer_frame(&p, 0x81, "close me", 8);
    peer_frame(&p, 0x81, "not heard", 9);
    struct ws_frame f = peer_next_frame(&p);
    assert_int_equal(f.first_byte, 0x88);
    assert_memory_equal(f.payload, "\x0f\xa1" "as you wish", 13);
    free(f.payload);
    say_close(&p, 4001);
    assert_true(peer_at_end(&p));
    UNTIL(atomic_load(&served.closed) == 1);
    assert_int_equal(atomic_load(&served.last_close), 4001);
    assert_int_equal(atomic_load(&served.messages), 1);
    peer_hang_up(&p);
    p = dial_ws("/ws");                                                    /* a peer that does not answer is cut */
    peer_frame(&p, 0x81, "close and talk", 14);
    expect_frame(&p, 0x81, "before", 6);
    assert_int_equal(peer_close_code(&p), 1000);
    assert_true(peer_at_end(&p));
    UNTIL(atomic_load(&served.closed) == 2);
    assert_int_equal(atomic_load(&served.last_close), 1000);
    peer_hang_up(&p);
    unserve();
}

/* ---- pushing back ---- */

static void resume_first(struct loop *l, void *arg)
{
    struct socket *s = loop_socket(l, served.refs[0]);
    (void)arg;
    must(s);
    socket_resume(s);
}

static void paused_sockets_are_not_read(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = dial_ws("/ws");
    peer_frame(&p, 0x81, "pause", 5);
    peer_frame(&p, 0x81, "one", 3);
    peer_frame(&p, 0x81, "two", 3);
    UNTIL(atomic_load(&served.paused) == 1);
    struct peer q = dial_ws("/ws");                                        /* the loops have turned since then */
    peer_frame(&q, 0x81, "other", 5);
    expect_frame(&q, 0x81, "other", 5);
    assert_int_equal(atomic_load(&served.messages), 2);
    on_loop((int)served.refs[0].loop, resume_first, NULL);
    expect_frame(&p, 0x81, "one", 3);
    expect_frame(&p, 0x81, "two", 3);
    peer_hang_up(&p);
    peer_hang_up(&q);
    unserve();
}

struct flood { int frames; size_t bytes; bool gone; };

static void flood_first(struct loop *l, void *arg)
{
    struct flood *f = arg;
    struct socket *s = loop_socket(l, served.refs[0]);
    f->gone = s == NULL;
    char *m = malloc(f->bytes);
    must(m);
    memset(m, 'f', f->bytes);
    struct frame *frame = frame_new(l, true, span_from(m, f->bytes));
    must(frame);
    for (int i = 0; s && i < f->frames; i++) socket_send(s, frame);
    frame_release(&frame);
    free(m);
}

static void slow_consumers_are_closed(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = dial_ws("/ws");
    int small = 256 * 1024;                                                 /* smaller ones make TCP crawl on loopback, whose segments are 64 KiB */
    setsockopt(p.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    struct flood f = { .frames = 200, .bytes = 100000 };                   /* 20 MB at a peer that reads nothing */
    on_loop((int)served.refs[0].loop, flood_first, &f);
    int whole = 0;
    struct ws_frame frame;
    while ((frame = peer_next_frame(&p)).first_byte == 0x81) {             /* what was begun is whole, then the close frame */
        assert_int_equal(frame.n, f.bytes);
        free(frame.payload);
        whole++;
    }
    assert_int_equal(frame.first_byte, 0x88);
    assert_memory_equal(frame.payload, "\x03\xf5", 2);                     /* 1013 */
    free(frame.payload);
    assert_true(whole < 190);
    say_close(&p, 1013);
    assert_true(peer_at_end(&p));
    UNTIL(atomic_load(&served.closed) == 1);
    assert_int_equal(atomic_load(&served.last_close), 1013);
    peer_hang_up(&p);
    on_loop((int)served.refs[0].loop, flood_first, &f);
    assert_true(f.gone);                                                   /* its name leads nowhere */
    unserve();
}

/* An echo that is not read stops the reading, not the socket. */
static void unread_echoes_stop_the_reading(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = dial_ws("/ws");
    enum { N = 100, BYTES = 100000 };
    char *m = malloc(BYTES);
    memset(m, 'e', BYTES);
    pid_t child = fork();                                                  /* somebody must write while we read late */
    if (child == 0) {
        for (int i = 0; i < N; i++) peer_frame(&p, 0x81, m, BYTES);
        _exit(0);
    }
    struct server_stats st;
    uint64_t before = 0;
    for (int quiet = 0; quiet < 30; wait_turn(&quiet)) {
        server_stats(served.server, &st);
        if (st.bytes_in != before) quiet = 0;
        before = st.bytes_in;
    }
    for (int i = 0; i < N; i++) expect_frame(&p, 0x81, m, BYTES);
    free(m);
    peer_hang_up(&p);
    unserve();
}

/* ---- many ---- */

static void broadcast_to_all(struct loop *l, void *arg)
{
    int *sent = arg;
    struct frame *frame = frame_new(l, true, SPAN("to all of you, to all of you, to all of you, to all of you, to all of you, to all of you"));
    must(frame);
    for (int i = 0; i < atomic_load(&served.ref_n); i++) {
        struct socket *s = loop_socket(l, served.refs[i]);
        if (!s) continue;
        socket_send(s, frame);
        socket_send_text(s, SPAN("and to you"));
        ++*sent;
    }
    frame_release(&frame);
}

static void broadcast(void **state)
{
    (void)state;
    serve(&plain);
    enum { N = 200 };
    static struct peer p[N];
    for (int i = 0; i < N; i++) p[i] = dial_ws(i % 2 ? "/ws" : "/ws-deflate");
    int sent = 0;
    for (int loop = 0; loop < server_loop_count(served.server); loop++) on_loop(loop, broadcast_to_all, &sent);
    assert_int_equal(sent, N);
    for (int i = 0; i < N; i++) {
        struct ws_frame f = peer_next_frame(&p[i]);                        /* nobody negotiated compression */
        assert_true(f.first_byte == 0x81 && f.n == 88);
        free(f.payload);
        expect_frame(&p[i], 0x81, "and to you", 10);
        if (i % 3 == 0) peer_cut(&p[i]);
        else if (i % 3 == 1) peer_hang_up(&p[i]);
    }
    for (int i = 2; i < N; i += 3) peer_hang_up(&p[i]);
    UNTIL(atomic_load(&served.closed) == N);
    struct server_stats st;
    server_stats(served.server, &st);
    assert_true(st.sockets == N && st.sockets_open == 0);
    unserve();
}

static void compression(void **state)
{
    (void)state;
    serve(&(struct serve_options){ .loops = 1 });
    struct peer p = peer_dial(served.port), q = dial_ws("/ws-deflate");
    peer_upgrade(&p, "/ws-deflate", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n");
    int sent = 0;
    on_loop(0, broadcast_to_all, &sent);
    struct ws_frame f = peer_next_frame(&p);
    assert_int_equal(f.first_byte, 0xc1);
    assert_true(f.n < 60);
    peer_frame(&p, 0xc1, f.payload, f.n);                                  /* what it made, it understands */
    expect_frame(&p, 0x81, "and to you", 10);                              /* too short to gain anything */
    struct ws_frame back = peer_next_frame(&p);
    assert_int_equal(back.first_byte, 0xc1);
    assert_int_equal(back.n, f.n);
    assert_memory_equal(back.payload, f.payload, f.n);
    free(f.payload);
    free(back.payload);
    f = peer_next_frame(&q);
    assert_true(f.first_byte == 0x81 && f.n == 88);
    free(f.payload);
    peer_hang_up(&p);
    peer_hang_up(&q);
    unserve();
}

/* ---- time ---- */

static void pings_find_the_dead(void **state)
{
    (void)state;
    serve(&(struct serve_options){ .deadlines = { .ping_ms = 60, .pong_ms = 40 } });
    struct peer lively = dial_ws("/ws"), dead = dial_ws("/ws");
    for (int i = 0; i < 4; i++) {
        expect_frame(&lively, 0x89, "", 0);
        peer_frame(&lively, 0x8a, "", 0);
    }
    UNTIL(atomic_load(&served.closed) == 1);
    assert_int_equal(atomic_load(&served.last_close), 1006);
    peer_frame(&lively, 0x81, "here", 4);
    struct ws_frame f;
    while ((f = peer_next_frame(&lively)).first_byte == 0x89) free(f.payload);
    assert_int_equal(f.first_byte, 0x81);
    free(f.payload);
    peer_hang_up(&lively);
    peer_hang_up(&dead);
    unserve();
}

static void release_second(struct loop *l, void *arg)
{
    struct socket *s = loop_socket(l, served.refs[1]);
    (void)arg;
    must(s);
    socket_send_text(s, SPAN("the answer"));
    socket_release(s);
}

static void draining_waits_for_what_runs(void **state)
{
    (void)state;
    serve(&plain);
    struct peer idle = dial_ws("/ws");
    struct peer busy = dial_ws("/ws");
    peer_frame(&busy, 0x81, "hold", 4);
    UNTIL(atomic_load(&served.messages) == 1);
    server_drain(served.server);
    assert_int_equal(peer_close_code(&idle), 1001);
    say_close(&idle, 1001);
    assert_true(peer_at_end(&idle));
    on_loop((int)served.refs[1].loop, release_second, NULL);
    expect_frame(&busy, 0x81, "the answer", 10);
    assert_int_equal(peer_close_code(&busy), 1001);
    say_close(&busy, 1001);
    assert_true(peer_at_end(&busy));
    assert_true(server_wait_drained(served.server, clock_mono_ms() + PEER_WAIT_MS));
    assert_int_equal(atomic_load(&served.last_close), 1001);
    peer_hang_up(&idle);
    peer_hang_up(&busy);
    unserve();
}

#ifdef WEIR_FAULTS
static void failing_sends_and_allocations(void **state)
{
    (void)state;
    serve(&plain);
    static const char talk[] = "GET /ws-deflate HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x01\x82\0\0\0\0ab\x89\x84\0\0\0\0";
    for (int i = 1; i < 60; i++) {
        char spec[40], *m = malloc(70000);
        snprintf(spec, sizeof spec, i % 2 ? "alloc:%d" : "send:%d", (i + 1) / 2);
        memset(m, 'y', 70000);
        fault_arm(spec);
        struct peer p = peer_dial(served.port);
        peer_say(&p, talk, sizeof talk - 1);                               /* a fragment, and half a ping */
        peer_say(&p, "ping", 4);
        peer_frame(&p, 0x80, m, 70000);
        peer_frame(&p, 0x81, m, 70000);
        peer_frame(&p, 0x88, "\x03\xe8", 2);
        while (peer_fill(&p)) { }                                          /* answered or cut, never stuck */
        free(m);
        peer_hang_up(&p);
        fault_arm(NULL);
    }
    struct peer p = dial_ws("/ws");
    peer_frame(&p, 0x81, "alive", 5);
    expect_frame(&p, 0x81, "alive", 5);
    peer_hang_up(&p);
    unserve();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo_of_all_sizes), cmocka_unit_test(frames_in_the_packet_of_the_handshake), cmocka_unit_test(fragments_and_pings),
        cmocka_unit_test(handshakes_that_fail), cmocka_unit_test(peers_close_with_codes), cmocka_unit_test(protocol_errors), cmocka_unit_test(the_server_closes),
        cmocka_unit_test(paused_sockets_are_not_read), cmocka_unit_test(slow_consumers_are_closed), cmocka_unit_test(unread_echoes_stop_the_reading),
        cmocka_unit_test(broadcast), cmocka_unit_test(compression), cmocka_unit_test(pings_find_the_dead), cmocka_unit_test(draining_waits_for_what_runs),
#ifdef WEIR_FAULTS
        cmocka_unit_test(failing_sends_and_allocations),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
