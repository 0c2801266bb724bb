/* base/clock.c: wall and monotonic time; time zones read from tzdata (TZif, RFC 8536), because the C library knows one
 * zone a process and Weir needs several side by side. */
#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

/* ---- clocks ---- */

static _Atomic int64_t wall_offset_ms, wall_held_ms;      /* held: 0 while time goes on */

static int64_t read_ms(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_now_ms(void)
{
    int64_t held = atomic_load_explicit(&wall_held_ms, memory_order_relaxed);
    return held ? held : read_ms(CLOCK_REALTIME) + atomic_load_explicit(&wall_offset_ms, memory_order_relaxed);
}

int64_t clock_mono_ms(void) { return read_ms(CLOCK_MONOTONIC); }

uint64_t clock_mono_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void clock_debug_set(int64_t now_ms)
{
    atomic_store(&wall_offset_ms, now_ms ? now_ms - read_ms(CLOCK_REALTIME) : 0);
    atomic_store(&wall_held_ms, 0);
}

void clock_debug_hold(int64_t now_ms)
{
    clock_debug_set(now_ms);
    atomic_store(&wall_held_ms, now_ms);
}

/* ---- the calendar (proleptic Gregorian; the era arithmetic counts years from March) ---- */

static int64_t days_from_civil(int64_t y, int64_t m, int64_t d)
{
    y += (m - 1) / 12;
    m = (m - 1) % 12 + 1;
    if (m < 1) { m += 12; y--; }
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy + d - 1 - 719468;
}

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

static struct civil civil_from_seconds(int64_t t)
{
    int64_t days = floor_div(t, 86400), rest = t - days * 86400;
    int64_t z = days + 719468, era = floor_div(z, 146097), doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int64_t month = mp < 10 ? mp + 3 : mp - 9;
    int64_t weekday = (days + 4) % 7;
    return (struct civil){ .year = (int)(yoe + era * 400 + (month <= 2)), .month = (int)month,
        .day = (int)(doy - (153 * mp + 2) / 5 + 1), .hour = (int)(rest / 3600), .minute = (int)(rest / 60 % 60),
        .second = (int)(rest % 60), .weekday = (int)(weekday < 0 ? weekday + 7 : weekday) };
}

/* ---- TZif ---- */

struct zone {
    int32_t count;                   /* transitions */
    int64_t *at;                     /* UTC seconds, rising */
    int32_t *offset;                 /* from at[i] on */
    int32_t first_offset;            /* before at[0] */
    /* the rule behind the last transition (POSIX TZ footer), for zones that still change their clocks */
    bool has_rule;
    int32_t std_offset, dst_offset;
    struct rule { int month, week, weekday; int32_t time; } dst_begins, dst_ends;
};

static int64_t big_endian(const unsigned char *p, int n)
{
    uint64_t v = p[0] & 0x80 ? ~(uint64_t)0 : 0;
    for (int i = 0; i < n; i++) v = v << 8 | p[i];
    return (int64_t)v;
}

static const char *parse_name(const char *p)
{
    if (*p == '<') { while (*p && *p != '>') p++; return *p ? p + 1 : p; }
    while ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')) p++;
    return p;
}

static const char *parse_time(const char *p, int32_t *out)      /* [+-]hh[:mm[:ss]] */
{
    int sign = 1;
    if (*p == '+' || *p == '-') sign = *p++ == '-' ? -1 : 1;
    int32_t part[3] = { 0 };
    for (int i = 0; i < 3; i++) {
        while (*p >= '0' && *p <= '9' && part[i] < 1000) part[i] = part[i] * 10 + (*p++ - '0');
        if (*p != ':') break;
        p++;
    }
    *out = sign * (part[0] * 3600 + part[1] * 60 + part[2]);
    return p;
}

static const char *parse_rule(const char *p, struct rule *r)    /* ,Mm.w.d[/time]; the other two forms are not used by tzdata today */
{
    int n = 0;
    if (sscanf(p, ",M%d.%d.%d%n", &r->month, &r->week, &r->weekday, &n) != 3) return NULL;
    if (r->month < 1 || r->month > 12 || r->week < 1 || r->week > 5 || r->weekday < 0 || r->weekday > 6) return NULL;
    p += n;
    r->time = 7200;
    return *p == '/' ? parse_time(p + 1, &r->time) : p;
}

static void parse_footer(struct zone *z, const char *p)
{
    int32_t west;
    p = parse_time(parse_name(p), &west);
    z->std_offset = -west;
    if (*p == '\n' || *p == '\0') {                             /* no summer time any more */
        z->has_rule = false;
        return;
    }
    p = parse_name(p);
    z->dst_offset = z->std_offset + 3600;
    if (*p != ',') {
        p = parse_time(p, &west);
        z->dst_offset = -west;
    }
    p = parse_rule(p, &z->dst_begins);
    z->has_rule = p && parse_rule(p, &z->dst_ends);
}

static bool zone_parse(struct zone *z, const unsigned char *p, size_t n)
{
    for (int version = 1; version <= 2; version++) {            /* the second block has 64-bit times; the first is skipped */
        if (n < 44 || memcmp(p, "TZif", 4) != 0) return false;
        size_t count[6];                                        /* isut, isstd, leap, time, type, char */
        for (int i = 0; i < 6; i++) count[i] = (size_t)(uint32_t)big_endian(p + 20 + 4 * i, 4);
        for (int i = 0; i < 6; i++) if (count[i] > 100000) return false;
        size_t width = version == 1 ? 4 : 8, times = count[3], types = count[4];
        size_t body = times * (width + 1) + types * 6 + count[5] + count[2] * (width + 4) + count[1] + count[0];
        if (n - 44 < body || types == 0) return false;
        if (version == 1) {
            if (p[4] < '2') return false;
            p += 44 + body;
            n -= 44 + body;
            continue;
        }
        const unsigned char *at = p + 44, *index = at + times * 8, *type = index + times;
        z->count = (int32_t)times;
        z->at = base_alloc(times * sizeof *z->at);
        z->offset = base_alloc(times * sizeof *z->offset);
        if (!z->at || !z->offset) return false;
        z->first_offset = (int32_t)big_endian(type, 4);
        for (size_t i = 0; i < times; i++) {
            if (index[i] >= types) return false;
            z->at[i] = big_endian(at + 8 * i, 8);
            z->offset[i] = (int32_t)big_endian(type + 6 * (size_t)index[i], 4);
        }
        const unsigned char *footer = p + 44 + body;
        if (n - 44 - body < 2 || footer[0] != '\n') return false;
        char text[128] = "";
        size_t left = n - 44 - body - 1;
        memcpy(text, footer + 1, left < sizeof text - 1 ? left : sizeof text - 1);
        parse_footer(z, text);
    }
    return true;
}

struct zone *zone_open(const char *name, struct buf *err)
{
    struct zone *z = NULL;
    unsigned char *bytes = NULL;
    FILE *f = NULL;
    bool good = false;
    char path[256];
    if (!*name || name[0] == '/' || strstr(name, "..") || strlen(name) > 100) goto out;
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    enum { LARGEST = 64 * 1024 };
    z = base_alloc(sizeof *z);
    bytes = base_alloc(LARGEST);
    if (!z || !bytes) goto out;
    memset(z, 0, sizeof *z);
    f = fopen(path, "rbe");
    if (!f) goto out;
    size_t n = fread(bytes, 1, LARGEST, f);
    good = zone_parse(z, bytes, n);
out:
    if (f) fclose(f);
    free(bytes);
    if (good) return z;
    zone_free(&z);
    if (err) buf_printf(err, "unknown time zone \"%s\" (names are those of tzdata, such as Asia/Shanghai; is the package tzdata installed?)", name);
    return NULL;
}

void zone_free(struct zone **z)
{
    if (*z) {
        free((*z)->at);
        free((*z)->offset);
        free(*z);
    }
    *z = NULL;
}

/* UTC seconds of a rule's moment in a year, given the offset that holds just before it */
static int64_t rule_moment(const struct rule *r, int year, int32_t offset_before)
{
    int64_t first = days_from_civil(year, r->month, 1);
    int64_t weekday = ((first + 4) % 7 + 7) % 7;
    int64_t day = first + (r->weekday - weekday + 7) % 7 + 7 * (r->week - 1);
    int64_t next_month = days_from_civil(year, r->month + 1, 1);
    while (day >= next_month) day -= 7;
    return day * 86400 + r->time - offset_before;
}

static int32_t zone_offset(const struct zone *z, int64_t t)
{
    if (z->count == 0 && !z->has_rule) return z->first_offset;
    if (z->count == 0 || t >= z->at[z->count - 1]) {
        if (!z->has_rule) return z->offset[z->count - 1];
        int year = civil_from_seconds(t + z->std_offset).year;
        int64_t begins = rule_moment(&z->dst_begins, year, z->std_offset);
        int64_t ends = rule_moment(&z->dst_ends, year, z->dst_offset);
        bool summer = begins < ends ? t >= begins && t < ends : t >= begins || t < ends;
        return summer ? z->dst_offset : z->std_offset;
    }
    if (t < z->at[0]) return z->first_offset;
    int32_t low = 0, high = z->count;                           /* at[low] <= t < at[high] */
    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;
        if (z->at[middle] <= t) low = middle; else high = middle;
    }
    return z->offset[low];
}

struct civil zone_civil(const struct zone *z, int64_t utc_ms)
{
    int64_t t = floor_div(utc_ms, 1000);
    return civil_from_seconds(t + zone_offset(z, t));
}

int64_t zone_utc_ms(const struct zone *z, struct civil c)
{
    int64_t local = days_from_civil(c.year, c.month, c.day) * 86400 + (int64_t)c.hour * 3600 + (int64_t)c.minute * 60 + c.second;
    /* Offsets on both sides of a change; the earlier moment that shows this local time, or behind the gap if none does. */
    int32_t before = zone_offset(z, local - 86400), after = zone_offset(z, local + 86400);
    int64_t t = local - before;
    if (zone_offset(z, t) == before) return t * 1000;
    t = local - after;
    if (zone_offset(z, t) == after) return t * 1000;
    return (local - before) * 1000;
}

int64_t zone_day_start_ms(const struct zone *z, int64_t utc_ms)
{
    struct civil c = zone_civil(z, utc_ms);
    c.hour = c.minute = c.second = 0;
    return zone_utc_ms(z, c);
}

/* ---- text ---- */

static char *digits(char *out, int v, int n)
{
    for (int i = n - 1; i >= 0; i--, v /= 10) out[i] = (char)('0' + v % 10);
    return out + n;
}

void zone_format(const struct zone *z, int64_t utc_ms, char out[20])
{
    struct civil c = zone_civil(z, utc_ms);
    int year = c.year < 0 ? 0 : c.year > 9999 ? 9999 : c.year;
    char *p = digits(out, year, 4); *p++ = '-';
    p = digits(p, c.month, 2); *p++ = '-';
    p = digits(p, c.day, 2); *p++ = ' ';
    p = digits(p, c.hour, 2); *p++ = ':';
    p = digits(p, c.minute, 2); *p++ = ':';
    p = digits(p, c.second, 2); *p = '\0';
}

static const char weekdays[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

void clock_http_date(int64_t utc_ms, char out[30])
{
    struct civil c = civil_from_seconds(floor_div(utc_ms, 1000));
    memcpy(out, weekdays + 3 * c.weekday, 3);
    memcpy(out + 3, ", ", 2);
    char *p = digits(out + 5, c.day, 2); *p++ = ' ';
    memcpy(p, months + 3 * (c.month - 1), 3); p += 3; *p++ = ' ';
    p = digits(p, c.year < 0 ? 0 : c.year > 9999 ? 9999 : c.year, 4); *p++ = ' ';
    p = digits(p, c.hour, 2); *p++ = ':';
    p = digits(p, c.minute, 2); *p++ = ':';
    p = digits(p, c.second, 2);
    memcpy(p, " GMT", 5);
}

/* All three forms that a recipient must take (RFC 9110 5.6.7); the two-digit year of the second is the one nearest to our time. */
bool clock_parse_http_date(struct span s, int64_t *out_ms)
{
    char text[40], month[4] = "";
    int day = 0, year = 0, hour = 0, minute = 0, second = 0, n = 0;
    if (s.n < 24 || s.n >= sizeof text) return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    bool good = sscanf(text, "%*3[A-Za-z], %2d %3s %4d %2d:%2d:%2d GMT%n", &day, month, &year, &hour, &minute, &second, &n) == 6 && n == 29;
    if (!good) {
        n = 0;
        good = sscanf(text, "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n", &day, month, &year, &hour, &minute, &second, &n) == 6 && n > 0;
        year += year < 70 ? 2000 : 1900;
    }
    if (!good) {
        n = 0;
        good = sscanf(text, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n", month, &day, &hour, &minute, &second, &year, &n) == 6 && n == 24;
    }
    const char *at = good && (size_t)n == s.n && strlen(month) == 3 ? strstr(months, month) : NULL;
    if (!at || (at - months) % 3 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 || day < 1 || day > 31 || year < 1) return false;
    *out_ms = (days_from_civil(year, (at - months) / 3 + 1, day) * 86400 + hour * 3600 + minute * 60 + second) * 1000;
    return true;
}

bool civil_parse_date(struct span s, struct civil *out)
{
    int64_t part[3];
    for (int i = 0; i < 3; i++) {
        int dash = i < 2 ? span_find(s, '-') : (int)s.n;
        size_t least = i == 0 ? 4 : 1, most = i == 0 ? 4 : 2;
        if (dash < 0 || (size_t)dash < least || (size_t)dash > most) return false;
        if (!span_to_i64((struct span){ s.p, (size_t)dash }, &part[i]) || part[i] < 0) return false;
        s = span_cut(s, (size_t)dash + 1);
    }
    if (part[0] < 1 || part[1] < 1 || part[1] > 12 || part[2] < 1) return false;
    struct civil back = civil_from_seconds(days_from_civil(part[0], part[1], part[2]) * 86400);
    if (back.month != part[1]) return false;                    /* 31 April */
    *out = back;
    return true;
}
