/* bench/load.c: HTTP load by keep-alive clients: each sends its next request as soon as its answer is complete (closed loop, no pipelining).
 *
 *   load --port P --clients N --seconds S --requests FILE [--warm 0.3] [--pids A,B] [--body BYTES] [--find TEXT] [--first NUMBER] [--count N]
 *
 * FILE holds whole requests, each behind a line with its length. The clients take them in turn; "########" in a request becomes the number of that request (--first …), so that
 * no two are alike. Counted is what is answered between the end of the warm-up and the end of the window; the processor time of --pids is read at the same two moments, so
 * connecting is not in it. Every answer must be 200 and, with --body, have exactly so many bytes of body: otherwise the tool fails, since a refusal is quick. With --find it counts the answers
 * that contain TEXT. --count ends after so many answers instead of a time. At the end the answers under way are waited for: nothing that was sent goes uncounted by the next tool.
 *
 * Why not wrk (measured side by side: the same requests a second, 6.2 us of processor time a request against wrk's 7.4): it checks every answer, counts from one clock with the servers'
 * processor time, and can say something else in each request. */
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { IN_BYTES = 64 * 1024, MAX_REQUEST = 64 * 1024 };

struct request { struct span text; struct holes holes; };
struct client { int fd; size_t n, whole; uint64_t began_ns; char *in, *out; };

static struct {
    struct request *requests;
    size_t request_n;
    uint64_t number, answers, counted, found, under_way, limit;
    uint64_t body_bytes;
    size_t largest_out;
    bool check_body, counting, ending;
    struct span find;
    struct samples took;
    int epoll;
} load;

static void requests_read(const char *path)
{
    struct span all = tool_read_file(path);
    size_t cap = 0;
    while (all.n) {
        char *end;
        size_t n = strtoul(all.p, &end, 10);
        if (*end != '\n' || n == 0 || n > MAX_REQUEST || n > all.n - (size_t)(end + 1 - all.p)) tool_fail("%s: a length and a request expected", path);
        if (load.request_n == cap) {
            cap = cap ? 2 * cap : 256;
            load.requests = realloc(load.requests, cap * sizeof *load.requests);
            if (!load.requests) tool_fail("out of memory");
        }
        struct span text = span_from(end + 1, n);
        load.requests[load.request_n++] = (struct request){ text, holes_find(text) };
        if (n > load.largest_out) load.largest_out = n;
        all = span_cut(all, (size_t)(end + 1 - all.p) + n);
    }
    if (!load.request_n) tool_fail("%s: no requests", path);
}

static void client_ask(struct client *c)
{
    const struct request *r = &load.requests[load.number % load.request_n];
    memcpy(c->out, r->text.p, r->text.n);
    holes_fill(&r->holes, c->out, load.number++);
    c->n = 0;
    c->whole = 0;
    c->began_ns = tool_now_ns();
    load.under_way++;
    /* one request is under way and the kernel's buffer holds far more: a short write is no matter of waiting */
    if (write(c->fd, c->out, r->text.n) != (ssize_t)r->text.n) tool_fail("the server closed a connection (%s)", strerror(errno));
}

/* The length of head and body from the head; 0: not whole yet. */
static size_t answer_length(struct client *c)
{
    static const char name[] = "\r\nContent-Length: ";
    const char *end = memmem(c->in, c->n, "\r\n\r\n", 4);
    if (!end) return 0;
    if (c->n < 12 || memcmp(c->in, "HTTP/1.1 200", 12) != 0) tool_fail("not answered with 200: %.*s", (int)(c->n < 600 ? c->n : 600), c->in);
    const char *length = memmem(c->in, (size_t)(end - c->in), name, sizeof name - 1);
    if (!length) tool_fail("an answer without Content-Length: %.*s", (int)(end - c->in), c->in);
    unsigned long body = strtoul(length + sizeof name - 1, NULL, 10);
    if (load.check_body && body != load.body_bytes) tool_fail("an answer with %lu bytes of body, not %llu: %.*s", body, (unsigned long long)load.body_bytes, (int)c->n, c->in);
    load.body_bytes = body;
    size_t whole = (size_t)(end + 4 - c->in) + body;
    if (whole > IN_BYTES) tool_fail("an answer of %zu bytes", whole);
    return whole;
}

static void client_answered(struct client *c)
{
    uint64_t now = tool_now_ns();
    load.under_way--;
    load.answers++;
    if (load.counting) {
        load.counted++;
        samples_add(&load.took, (now - c->began_ns) / 1000);
        if (load.find.n && memmem(c->in, c->n, load.find.p, load.find.n)) load.found++;
    }
    if (!load.ending) client_ask(c);
}

static void client_read(struct client *c)
{
    for (;;) {
        ssize_t n = read(c->fd, c->in + c->n, IN_BYTES - c->n);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) tool_fail("the server closed a connection (%s)", n ? strerror(errno) : "end of file");
        c->n += (size_t)n;
        if (!c->whole) c->whole = answer_length(c);
        if (!c->whole || c->n < c->whole) continue;
        if (c->n > c->whole) tool_fail("bytes behind an answer");
        client_answered(c);
        return;                                            /* the next answer cannot be there yet; level-triggered */
    }
}

static void turn(int wait_ms)
{
    struct epoll_event events[512];
    int n = epoll_wait(load.epoll, events, LENGTH(events), wait_ms);
    if (n < 0 && errno != EINTR) tool_fail("epoll: %s", strerror(errno));
    for (int i = 0; i < n; i++) client_read(events[i].data.ptr);
}

static void run_until(uint64_t end_ns)
{
    while (tool_now_ns() < end_ns && (!load.limit || load.counted < load.limit)) turn(10);
}

int main(int argc, char **argv)
{
    int port = (int)tool_number(argc, argv, "--port", 0);
    size_t clients = (size_t)tool_number(argc, argv, "--clients", 1);
    double seconds = tool_seconds(argc, argv, "--seconds", 1), warm = tool_seconds(argc, argv, "--warm", 0.3);
    const char *pids = tool_option(argc, argv, "--pids", "");
    load.find = span_of(tool_option(argc, argv, "--find", ""));
    load.number = (uint64_t)tool_number(argc, argv, "--first", 0);
    long body = tool_number(argc, argv, "--body", -1);
    load.check_body = body >= 0;
    load.body_bytes = body >= 0 ? (uint64_t)body : 0;
    requests_read(tool_option(argc, argv, "--requests", NULL));
    tool_raise_descriptors(clients + 16);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct client *all = calloc(clients, sizeof *all);
    if (load.epoll < 0 || !all) tool_fail("cannot start: %s", strerror(errno));
    for (size_t i = 0; i < clients; i++) {
        struct client *c = &all[i];
        c->in = malloc(IN_BYTES);
        c->out = malloc(load.largest_out);
        if (!c->in || !c->out) tool_fail("out of memory");
        c->fd = tool_connect(port);
        struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
        if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &ev) != 0) tool_fail("epoll: %s", strerror(errno));
    }
    for (size_t i = 0; i < clients; i++) client_ask(&all[i]);
    run_until(tool_now_ns() + (uint64_t)(warm * 1e9));
    load.counting = true;
    load.limit = (uint64_t)tool_number(argc, argv, "--count", 0);
    uint64_t cpu = tool_cpu_of_us(pids), own = tool_cpu_ns(), began = tool_now_ns();
    run_until(began + (uint64_t)(seconds * 1e9));
    uint64_t ended = tool_now_ns();
    cpu = tool_cpu_of_us(pids) - cpu;
    own = tool_cpu_ns() - own;
    load.counting = false;
    load.ending = true;
    for (uint64_t until = ended + 20000000000U; load.under_way;) {
        if (tool_now_ns() > until) tool_fail("%llu requests were never answered", (unsigned long long)load.under_way);
        turn(100);
    }
    double per = load.counted ? (double)load.counted : 1;
    printf("{\"answers\":%llu,\"per_second\":%.1f,\"server_cpu_us\":%.3f,\"own_cpu_us\":%.3f,\"p50_us\":%.0f,\"p99_us\":%.0f,\"body_bytes\":%llu,\"found\":%llu,\"next\":%llu}\n",
           (unsigned long long)load.counted, (double)load.counted * 1e9 / (double)(ended - began), (double)cpu / per, (double)own / 1e3 / per, samples_share(&load.took, 0.5),
           samples_share(&load.took, 0.99), (unsigned long long)load.body_bytes, (unsigned long long)load.found, (unsigned long long)load.number);
    return 0;
}
