/* base/log.c: one write(2) a line, so that lines of several threads never mix. */
#include "base/log.h"
#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static atomic_int least = LOG_INFO;

void log_set_level(enum log_level at_least) { atomic_store(&least, (int)at_least); }

void log_line(enum log_level level, const char *area, const char *fmt, ...)
{
    if ((int)level < atomic_load_explicit(&least, memory_order_relaxed)) return;
    static const char *const names[] = { "debug", "info", "warn", "error" };
    char line[2048];
    int64_t now = clock_now_ms();
    time_t seconds = (time_t)(now / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(line, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    int more = snprintf(line + n, sizeof line - n, ".%03dZ %s %s: ", (int)(now % 1000), names[level], area);
    must(more > 0);
    n += (size_t)more;
    va_list args;
    va_start(args, fmt);
    more = vsnprintf(line + n, sizeof line - n - 1, fmt, args);
    va_end(args);
    size_t text = n;
    n += more < 0 ? 0 : (size_t)more;
    if (n > sizeof line - 2) n = sizeof line - 2;
    for (size_t i = text; i < n; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) line[i] = ' ';   /* nobody forges a second line */
    line[n++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, n);
    (void)written;                            /* a full disk under the log must not stop the server */
}
