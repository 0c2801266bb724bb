/* base/base.c: spans, buffers, bugs and the fault hatch of test builds. */
#include "base/base.h"

#include <stdio.h>
#include <unistd.h>

_Noreturn void must_failed(const char *what, const char *file, int line)
{
    char text[512];
    int n = snprintf(text, sizeof text, "weir: bug: %s is false at %s:%d\n", what, file, line);
    if (n > 0) {
        ssize_t written = write(STDERR_FILENO, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
        (void)written;
    }
    abort();
}

/* ---- spans ---- */

static unsigned char lower(unsigned char c) { return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c; }

bool span_is_nocase(struct span a, struct span b)
{
    if (a.n != b.n) return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower((unsigned char)a.p[i]) != lower((unsigned char)b.p[i])) return false;
    return true;
}

bool span_begins(struct span s, struct span prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool span_ends(struct span s, struct span suffix)
{
    return s.n >= suffix.n && (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

int span_find(struct span s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? (int)(at - s.p) : -1;
}

struct span span_cut(struct span s, size_t from)
{
    if (from > s.n) from = s.n;
    return (struct span){ s.p ? s.p + from : NULL, s.n - from };
}

struct span span_trim(struct span s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) s = span_cut(s, 1);
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) s.n--;
    return s;
}

bool span_to_i64(struct span s, int64_t *out)
{
    bool negative = s.n && s.p[0] == '-';
    size_t i = negative;
    if (i == s.n) return false;
    int64_t v = 0;
    for (; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return false;
        int digit = s.p[i] - '0';
        /* counted downwards: INT64_MIN has no positive twin */
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, digit, &v)) return false;
    }
    if (!negative && v == INT64_MIN) return false;
    *out = negative ? v : -v;
    return true;
}

bool span_equal_secret(struct span a, struct span b)
{
    if (a.n != b.n) return false;
    unsigned char diff = 0;
    for (size_t i = 0; i < a.n; i++) diff |= (unsigned char)(a.p[i] ^ b.p[i]);
    return diff == 0;
}

/* ---- buf ---- */

void buf_init(struct buf *b, size_t max) { *b = (struct buf){ .max = max }; }

void buf_done(struct buf *b)
{
    free(b->p);
    *b = (struct buf){ .max = b->max };
}

bool buf_reserve(struct buf *b, size_t more)
{
    if (b->failed) return false;
    if (more <= b->cap - b->n) return true;
    if (b->n > b->max || more > b->max - b->n) return !(b->failed = true);
    size_t want = b->cap < 128 ? 256 : b->cap * 2;
    if (want < b->n + more) want = b->n + more;
    if (want > b->max) want = b->max;
    char *p = base_realloc(b->p, want);
    if (!p) return !(b->failed = true);
    b->p = p;
    b->cap = want;
    return true;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    if (n == 0 || !buf_reserve(b, n)) return;
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

void buf_add_span(struct buf *b, struct span s) { buf_add(b, s.p, s.n); }
void buf_add_z(struct buf *b, const char *z) { buf_add(b, z, strlen(z)); }

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    must(n >= 0);
    /* vsnprintf wants room for its NUL, which is not counted in n */
    if (buf_reserve(b, (size_t)n + 1)) {
        vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

void buf_consume(struct buf *b, size_t n)
{
    must(n <= b->n);
    b->n -= n;
    if (b->n) memmove(b->p, b->p + n, b->n);
}

/* ---- faults ---- */

#ifdef WEIR_FAULTS
#include <stdatomic.h>

static const char *const fault_names[FAULT_POINTS] = { "alloc", "fsync", "write", "send", "step" };
static atomic_long fault_count[FAULT_POINTS], fault_at[FAULT_POINTS];
static atomic_bool fault_onwards[FAULT_POINTS];

void fault_arm(const char *spec)
{
    for (int i = 0; i < FAULT_POINTS; i++) {
        atomic_store(&fault_count[i], 0);
        atomic_store(&fault_at[i], 0);
        atomic_store(&fault_onwards[i], false);
        const char *at = spec ? strstr(spec, fault_names[i]) : NULL;
        if (!at || at[strlen(fault_names[i])] != ':') continue;
        char *end;
        long nth = strtol(at + strlen(fault_names[i]) + 1, &end, 10);
        atomic_store(&fault_onwards[i], *end == '+');
        atomic_store(&fault_at[i], nth);
    }
}

__attribute__((constructor)) static void fault_arm_from_environment(void) { fault_arm(getenv("WEIR_FAULT")); }

bool fault_here(enum fault_point point)
{
    long at = atomic_load_explicit(&fault_at[point], memory_order_relaxed);
    if (at == 0) return false;
    long count = atomic_fetch_add(&fault_count[point], 1) + 1;
    return count == at || (count > at && atomic_load(&fault_onwards[point]));
}
#endif

void *base_alloc(size_t n)
{
    return fault_here(FAULT_ALLOC) ? NULL : malloc(n ? n : 1);
}

void *base_realloc(void *p, size_t n)
{
    return fault_here(FAULT_ALLOC) ? NULL : realloc(p, n ? n : 1);
}
