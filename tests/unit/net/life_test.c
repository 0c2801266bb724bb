/* tests/unit/net/life_test.c: the server as a whole over real sockets: deadlines, limits, listeners, draining and stopping, mailboxes, timers, what is idle. */
#include "served.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
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

static void answer_held(struct loop *l, void *arg)
{
    struct exchange *ex = arg;
    must(exchange_loop(ex) == l);
    exchange_reply(ex, 200, SPAN(""), SPAN("at last"));
}

static void stopped_while_held(void **state)
{
    (void)state;
    serve(&plain);
    struct peer p = peer_dial(served.port);
    peer_say_z(&p, "GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n");
    served_take_held();
    unserve();                                                             /* the exchange is ended by server_free */
    assert_int_equal(atomic_load(&served.dones), 1);
    assert_true(peer_at_end(&p));
    peer_hang_up(&p);
}

/* ---- deadlines ---- */

static void slow_heads_and_bodies(void **state)
{
    (void)state;
    serve(&(struct serve_options){ .deadlines = { .head_ms = 60, .body_grace_ms = 60, .body_rate = 1000000, .idle_ms = 100, .linger_ms = 50 } });
    struct peer idle = peer_dial(served.port), head = peer_dial(served.port), body = peer_dial(served.port), kept = peer_dial(served.port);
    peer_say_z(&head, "GET /hello HTTP/1.1\r\nHost: ");
    peer_say_z(&body, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nabc");
    peer_say_z(&kept, HELLO);
    expect(&head, 408, "{\"refused\":408,\"path\":\"/hello\"}");
    expect(&body, 408, "{\"refused\":408,\"path\":\"/echo\"}");
    expect(&kept, 200, "hello");
    assert_true(peer_at_end(&idle) && peer_at_end(&head) && peer_at_end(&body) && peer_at_end(&kept));
    peer_hang_up(&idle);
    peer_hang_up(&head);
    peer_hang_up(&body);
    peer_hang_up(&kept);
    /* the deadline of a head is total: a byte now and then does not help */
    struct peer drip = peer_dial(served.port);
    int turns = 0;
    static const char letters_of_a_method[] = "\r\nGGG";
    while (peer_say_some(&drip, &letters_of_a_method[turns < 3 ? turns : 2], 1) && turns < 5000) {
        char c;
        if (recv(drip.fd, &c, 1, MSG_DONTWAIT | MSG_PEEK) > 0) break;
        wait_turn(&turns);
    }
    expect(&drip, 408, NULL);
    peer_hang_up(&drip);
    unserve();
}

static void peers_that_do_not_read_are_cut(void **state)
{
    (void)state;
    serve(&(struct serve_options){ .deadlines = { .send_ms = 80 } });
    struct peer p = peer_dial(served.port);
    int small = 256 * 1024;
    setsockopt(p.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    peer_say_z(&p, "GET /big/12000000 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    struct server_stats st;
    UNTIL((server_stats(served.server, &st), st.accepted == 1 && st.open == 0));
    peer_hang_up(&p);
    unserve();
}

/* ---- walls ---- */

static void full_servers_say_so(void **state)
{
    (void)state;
    serve(&(struct serve_options){ .max_connections = 2 });
    struct peer a = peer_dial(served.port), b = peer_dial(served.port);
    peer_say_z(&a, HELLO);
    peer_say_z(&b, HELLO);
    expect(&a, 200, "hello");
    expect(&b, 200, "hello");
    struct peer c = peer_dial(served.port);
    peer_say_z(&c, HELLO);
    expect(&c, 503, "{\"refused\":503,\"path\":\"\"}");
    assert_true(peer_at_end(&c));
    peer_hang_up(&c);
    peer_hang_up(&a);
    struct server_stats st;
    UNTIL((server_stats(served.server, &st), st.open == 1));
    c = peer_dial(served.port);
    peer_say_z(&c, HELLO);
    expect(&c, 200, "hello");
    peer_hang_up(&c);
    peer_hang_up(&b);
    unserve();
}

static void one_address_has_its_share(void **state)
{
    (void)state;
    serve(&(struct serve_options){ .max_per_address = 1 });
    struct peer a = peer_dial(served.port), b = peer_dial(served.port);
    peer_say_z(&a, HELLO);
    expect(&a, 200, "hello");
    expect(&b, 503, NULL);
    peer_hang_up(&b);
    peer_hang_up(&a);
    struct server_stats st;
    UNTIL((server_stats(served.server, &st), st.open == 0));
    a = peer_dial(served.port);
    peer_say_z(&a, HELLO);
    expect(&a, 200, "hello");
    peer_hang_up(&a);
    unserve();
    serve(&(struct serve_options){ .max_per_address = 1, .trusted = "127.0.0.0/8" });      /* a proxy stands for many */
    a = peer_dial(served.port);
    b = peer_dial(served.port);
    peer_say_z(&a, "GET /client HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 9.9.9.9, 203.0.113.4\r\nX-Forwarded-Proto: http, https\r\n\r\n");
    expect(&a, 200, "203.0.113.4 tls loopback");
    peer_say_z(&b, "GET /client HTTP/1.1\r\nHost: localhost\r\n\r\n");
    expect(&b, 200, "127.0.0.1 plain loopback");
    peer_hang_up(&a);
    peer_hang_up(&b);
    unserve();
    serve(&plain);
    a = peer_dial(served.port);
    peer_say_z(&a, "GET /client HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.4\r\nX-Forwarded-Proto: https\r\n\r\n");
    expect(&a, 200, "127.0.0.1 plain loopback");
    peer_hang_up(&a);
    unserve();
}

/* No descriptor left in the process: the newcomer is closed, not left waiting, and the server goes on when there is room again. */
static void out_of_descriptors(void **state)
{
    (void)state;
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    serve(&plain);
    struct peer p = peer_dial(served.port);
    peer_say_z(&p, HELLO);
    expect(&p, 200, "hello");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    none = before;
    none.rlim_cur = (rlim_t)fd + 1;                                        /* the lowest free one was taken just now: there is no hole below */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)served.port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    struct peer refused = { .fd = fd };
    assert_true(peer_at_end(&refused));
    peer_say_z(&p, HELLO);
    expect(&p, 200, "hello");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    peer_hang_up(&refused);
    struct server_stats st;
    server_stats(served.server, &st);
    assert_int_equal(st.refused_full, 1);
    refused = peer_dial(served.port);
    peer_say_z(&refused, HELLO);
    expect(&refused, 200, "hello");
    peer_hang_up(&refused);
    peer_hang_up(&p);
    unserve();
}

static void loops_share_the_work(void **state)
{
    (void)state;
    serve(&(struct serve_options){ .loops = 3 });
    static struct peer p[60];
    for (size_t i = 0; i < LENGTH(p); i++) {
        p[i] = peer_dial(served.port);
        peer_say_z(&p[i], HELLO);
        expect(&p[i], 200, "hello");
    }
    for (int i = 0; i < 3; i++) assert_in_range(atomic_load(&server_loop(served.server, i)->load), 12, 28);
    for (size_t i = 0; i < LENGTH(p); i++) peer_hang_up(&p[i]);
    for (int i = 0; i < 3; i++) UNTIL(atomic_load(&server_loop(served.server, i)->load) == 0);
    unserve();
}

static void listening(void **state)
{
    (void)state;
    serve(&plain);
    struct buf err;
    buf_init(&err, 1000);
    struct server_config config = { .loops = 1, .on_request = (void (*)(struct exchange *, void *))abort };
    struct server *second = server_new(&config, &err);
    char address[40];
    snprintf(address, sizeof address, "127.0.0.1:%d", served.port);
    assert_int_equal(server_listen(second, address, &err), -1);            /* taken: fails loudly */
    assert_non_null(memmem(err.p, err.n, "another server", 14));
    static const char *const bad[] = { "8000", ":8000", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:x", "no.such.host.invalid:80" };
    for (size_t i = 0; i < LENGTH(bad); i++) {
        err.n = 0;
        assert_int_equal(server_listen(second, bad[i], &err), -1);
        assert_true(err.n > 0);
    }
    assert_true(server_listen(second, "[::1]:0", &err) > 0);
    assert_true(server_listen(second, "localhost:0", &err) > 0);
    server_free(&second);                                                  /* never started */
    config.trusted_proxies = SPAN("10.0.0.0/99");
    assert_null(server_new(&config, &err));
    buf_done(&err);
    unserve();
}

/* ---- drain ---- */

static void draining(void **state)
{
    (void)state;
    serve(&plain);
    struct peer idle = peer_dial(served.port), busy = peer_dial(served.port), part = peer_dial(served.port), skip = peer_dial(served.port);
    peer_say_z(&skip, "POST /early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab");
    expect(&skip, 404, "early");
    peer_say_z(&idle, HELLO);
    expect(&idle, 200, "hello");
    peer_say_z(&busy, "GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n");
    peer_say_z(&part, HELLO "GET /hello HTTP/1.1\r\nHo");
    expect(&part, 200, "hello");
    struct exchange *ex = served_take_held();
    server_drain(served.server);
    server_drain(served.server);
    assert_true(peer_at_end(&idle));
    peer_say_z(&skip, "cde");
    assert_true(peer_at_end(&skip));                                       /* when its body is skipped, not before */
    peer_hang_up(&skip);
    assert_false(server_wait_drained(served.server, clock_mono_ms() + 20));
    peer_say_z(&part, "st: localhost\r\n\r\n");
    struct answer a = peer_answer(&part, false);
    assert_true(a.status == 200 && answer_has(&a, "Connection: close"));
    answer_free(&a);
    on_loop(loop_index(exchange_loop(ex)), answer_held, ex);
    a = peer_answer(&busy, false);
    assert_true(a.status == 200 && answer_has(&a, "Connection: close"));
    answer_free(&a);
    assert_true(server_wait_drained(served.server, clock_mono_ms() + PEER_WAIT_MS));
    assert_true(peer_at_end(&busy) && peer_at_end(&part));
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)served.port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), -1);  /* nobody listens */
    close(fd);
    peer_hang_up(&idle);
    peer_hang_up(&busy);
    peer_hang_up(&part);
    unserve();
}

/* ---- loops ---- */

static atomic_int order_next, order_bad;
struct numbered { struct loop_task task; int number; };

static void numbered_run(struct loop *l, struct loop_task *t)
{
    (void)l;
    if (atomic_fetch_add(&order_next, 1) != CONTAINER(t, struct numbered, task)->number) atomic_fetch_add(&order_bad, 1);
}

static void posts_keep_their_order(void **state)
{
    (void)state;
    serve(&plain);
    enum { N = 20000 };
    struct numbered *tasks = calloc(N, sizeof *tasks);
    assert_non_null(tasks);
    atomic_store(&order_next, 0);
    atomic_store(&order_bad, 0);
    for (int i = 0; i < N; i++) tasks[i] = (struct numbered){ { .run = numbered_run }, i };
    for (int i = 0; i < N; i += 4) {                                       /* lists of four */
        for (int k = 0; k < 3; k++) tasks[i + k].task.next = &tasks[i + k + 1].task;
        loop_post(server_loop(served.server, 0), &tasks[i].task);
    }
    UNTIL(atomic_load(&order_next) == N);
    assert_int_equal(atomic_load(&order_bad), 0);
    server_stop(served.server);
    tasks[0] = (struct numbered){ { .run = numbered_run }, N };
    loop_post(server_loop(served.server, 1), &tasks[0].task);              /* after the end: run by server_free */
    unserve();
    assert_int_equal(atomic_load(&order_next), N + 1);
    free(tasks);
}

static atomic_int fired, early, wrong;
struct alarm { struct loop_timer timer; int64_t not_before_ms; bool cleared; };

static void alarm_fire(struct loop *l, struct loop_timer *t)
{
    struct alarm *a = CONTAINER(t, struct alarm, timer);
    (void)l;
    if (clock_mono_ms() < a->not_before_ms) atomic_fetch_add(&early, 1);
    if (a->cleared) atomic_fetch_add(&wrong, 1);
    atomic_fetch_add(&fired, 1);
}

static void alarms_set(struct loop *l, void *arg)
{
    struct alarm *a = arg;
    for (int i = 0; i < 500; i++) {
        int64_t delay = i % 5 == 4 ? 100000 + i : i % 97;                  /* some in the next round of the wheel */
        a[i].timer.fire = alarm_fire;
        a[i].not_before_ms = clock_mono_ms() + delay;
        loop_timer_set(l, &a[i].timer, delay);
        if (i % 5 == 3) loop_timer_set(l, &a[i].timer, delay);             /* again: fires once */
        if (i % 5 == 4 || i % 5 == 2) {
            loop_timer_clear(l, &a[i].timer);
            loop_timer_clear(l, &a[i].timer);
            a[i].cleared = true;
        }
    }
}

static void timers(void **state)
{
    (void)state;
    serve(&plain);
    struct alarm *a = calloc(500, sizeof *a);
    assert_non_null(a);
    atomic_store(&fired, 0);
    on_loop(0, alarms_set, a);
    UNTIL(atomic_load(&fired) == 300);
    unserve();
    assert_int_equal(atomic_load(&fired), 300);
    assert_int_equal(atomic_load(&early), 0);
    assert_int_equal(atomic_load(&wrong), 0);
    free(a);
}

/* The wheel by itself, with a clock of our own: a day passes. */
static void rounds_of_the_wheel(void **state)
{
    (void)state;
    struct loop *l = calloc(1, sizeof *l);
    assert_non_null(l);
    static const int64_t delays[] = { 0, 1, 15, 16, 17, 1000, 65535, 65536, 65537, 70000, 131072, 200000, 3600000, 80000000 };
    struct alarm a[LENGTH(delays)] = { 0 };
    l->tick = 1000;
    l->wake_tick = INT64_MAX;
    l->now_ms = 1000 << TICK_SHIFT;
    int64_t start = l->now_ms;
    atomic_store(&fired, 0);
    for (size_t i = 0; i < LENGTH(delays); i++) {
        a[i].timer.fire = alarm_fire;
        timer_at(l, &a[i].timer, start + delays[i]);
    }
    for (size_t i = 0; i < LENGTH(delays); i++) {
        int late = 0;
        while (atomic_load(&fired) == (int)i) {
            int wait = wheel_wait_ms(l, l->now_ms);
            assert_true(wait >= 0);
            l->now_ms += wait;
            wheel_turn(l);
            assert_true(++late < 2000);
        }
        int64_t passed = l->now_ms - start;
        if (passed < delays[i] || passed > delays[i] + 32) fail_msg("%lld ms became %lld", (long long)delays[i], (long long)passed);
        while (i + 1 < LENGTH(delays) && atomic_load(&fired) > (int)i + 1) i++;
    }
    assert_int_equal(wheel_wait_ms(l, l->now_ms), -1);
    free(l);
}

/* ---- what it costs ---- */

static void idle_connections_are_small(void **state)
{
    (void)state;
    serve(&plain);
    assert_true(server_idle_bytes(served.server, false) <= 200);
    assert_true(server_idle_bytes(served.server, true) <= 400);
    unserve();
}

struct look { struct loop_task task; int no_delay; atomic_bool done; };

static void look_at_the_connection(struct loop *l, struct loop_task *task)      /* a loop's connections are its thread's alone */
{
    struct look *look = (struct look *)task;
    socklen_t n = sizeof look->no_delay;
    if (getsockopt(l->conns->fd, IPPROTO_TCP, TCP_NODELAY, &look->no_delay, &n) != 0) look->no_delay = -1;
    atomic_store(&look->done, true);
}

static void answers_wait_for_nobody(void **state)
{
    (void)state;
    serve(&(struct serve_options){ .loops = 1 });
    struct peer p = peer_dial(served.port);
    peer_say_z(&p, HELLO);
    expect(&p, 200, "hello");
    struct look look = { .task = { NULL, look_at_the_connection } };
    loop_post(server_loop(served.server, 0), &look.task);
    while (!atomic_load(&look.done)) sched_yield();
    assert_true(look.no_delay > 0);
    peer_hang_up(&p);
    unserve();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stopped_while_held), cmocka_unit_test(slow_heads_and_bodies), cmocka_unit_test(peers_that_do_not_read_are_cut),
        cmocka_unit_test(full_servers_say_so), cmocka_unit_test(one_address_has_its_share), cmocka_unit_test(out_of_descriptors),
        cmocka_unit_test(loops_share_the_work), cmocka_unit_test(listening), cmocka_unit_test(draining), cmocka_unit_test(posts_keep_their_order),
        cmocka_unit_test(timers), cmocka_unit_test(rounds_of_the_wheel), cmocka_unit_test(idle_connections_are_small),
        cmocka_unit_test(answers_wait_for_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
