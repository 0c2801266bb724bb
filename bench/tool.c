/* bench/tool.c: see tool.h. */
#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void tool_fail(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("bench: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static uint64_t clock_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

uint64_t tool_now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
uint64_t tool_cpu_ns(void) { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }

void tool_raise_descriptors(size_t wanted)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0) tool_fail("getrlimit: %s", strerror(errno));
    if (r.rlim_cur >= wanted) return;
    if (r.rlim_max != RLIM_INFINITY && r.rlim_max < wanted) tool_fail("%zu descriptors are needed and the hard limit is %llu (ulimit -Hn)", wanted, (unsigned long long)r.rlim_max);
    r.rlim_cur = wanted;
    if (setrlimit(RLIMIT_NOFILE, &r) != 0) tool_fail("setrlimit: %s", strerror(errno));
}

int tool_connect(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct linger reset = { 1, 0 };
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) tool_fail("cannot connect to port %d: %s", port, strerror(errno));
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        tool_fail("socket options: %s", strerror(errno));
    return fd;
}

struct span tool_read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct buf b;
    buf_init(&b, (size_t)1 << 30);
    if (!f) tool_fail("%s: %s", path, strerror(errno));
    for (;;) {
        if (!buf_reserve(&b, 65537)) tool_fail("%s: too large", path);
        size_t got = fread(b.p + b.n, 1, 65536, f);
        b.n += got;
        if (got == 0) break;
    }
    fclose(f);
    b.p[b.n] = '\0';
    return buf_span(&b);
}

/* The kernel's own clock of another process, with all its threads: exact, where utime and stime of /proc/PID/stat come in ticks of 10 ms. */
static uint64_t cpu_of_one(long pid)
{
    clockid_t id;
    struct timespec t;
    if (clock_getcpuclockid((pid_t)pid, &id) != 0 || clock_gettime(id, &t) != 0) tool_fail("process %ld is gone", pid);
    return (uint64_t)t.tv_sec * 1000000U + (uint64_t)t.tv_nsec / 1000;
}

uint64_t tool_cpu_of_us(const char *pids)
{
    uint64_t sum = 0;
    char *end;
    for (const char *p = pids; *p; p = *end == ',' ? end + 1 : end) {
        long pid = strtol(p, &end, 10);
        if (end == p || (*end && *end != ',')) tool_fail("--pids %s: numbers separated by commas", pids);
        sum += cpu_of_one(pid);
    }
    return sum;
}

/* ---- arguments ---- */

const char *tool_option(int argc, char **argv, const char *name, const char *fallback)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0) return argv[i + 1];
    if (!fallback) tool_fail("%s is missing", name);
    return fallback;
}

double tool_seconds(int argc, char **argv, const char *name, double fallback)
{
    const char *text = tool_option(argc, argv, name, "");
    char *end;
    if (!*text) return fallback;
    double v = strtod(text, &end);
    if (*end || !(v >= 0 && v < 1e9)) tool_fail("%s %s: a number", name, text);
    return v;
}

long tool_number(int argc, char **argv, const char *name, long fallback) { return (long)tool_seconds(argc, argv, name, (double)fallback); }

/* ---- samples ---- */

void samples_add(struct samples *s, uint64_t value)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 4096;
        s->at = realloc(s->at, s->cap * sizeof *s->at);
        if (!s->at) tool_fail("out of memory");
    }
    s->at[s->n++] = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

double samples_share(struct samples *s, double share)
{
    if (s->n == 0) return 0;
    qsort(s->at, s->n, sizeof *s->at, by_size);
    size_t i = (size_t)(share * (double)s->n);
    return (double)s->at[i < s->n ? i : s->n - 1];
}

/* ---- holes ---- */

struct holes holes_find(struct span text)
{
    struct holes h = { 0 };
    for (size_t i = 0; i + 8 <= text.n && h.n < LENGTH(h.at); i++)
        if (memcmp(text.p + i, "########", 8) == 0) {
            h.at[h.n++] = i;
            i += 7;
        }
    return h;
}

void holes_fill(const struct holes *h, char *text, uint64_t number)
{
    for (size_t i = 0; i < h->n; i++) {
        uint64_t left = number;
        for (size_t k = 8; k-- > 0; left /= 10) text[h->at[i] + k] = (char)('0' + left % 10);
    }
}
