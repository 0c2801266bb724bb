/* base/clock.h: time. Wall time is UTC milliseconds since 1970; deadlines use the monotonic clock. Only the engine and the
 * tools ask for the time; handlers get it with the request (request_now). */
#ifndef WEIR_CLOCK_H
#define WEIR_CLOCK_H
#include "base/base.h"

int64_t clock_now_ms(void);                      /* wall time; obeys clock_debug_set */
int64_t clock_mono_ms(void);                     /* for deadlines; never moved */
uint64_t clock_mono_ns(void);                    /* for measuring */
void clock_debug_set(int64_t now_ms);            /* wall time continues from here (0: the real time again); thread-safe */
void clock_debug_hold(int64_t now_ms);           /* wall time stands still here, until it is set or held anew; thread-safe */

/* A time zone out of the system's tzdata (/usr/share/zoneinfo), immutable, shareable between threads; several live side by side. */
struct zone;
struct zone *zone_open(const char *name, struct buf *err);   /* "Asia/Shanghai"; NULL and a text in err if unknown */
void zone_free(struct zone **);

struct civil { int year, month, day, hour, minute, second, weekday /* 0 = Sunday */; };
struct civil zone_civil(const struct zone *, int64_t utc_ms);
int64_t zone_utc_ms(const struct zone *, struct civil);      /* fields out of range are carried over; in a gap the later time, in an overlap the earlier one */
int64_t zone_day_start_ms(const struct zone *, int64_t utc_ms);
/* "2018-04-29 12:46:41" into out (20 bytes with the NUL); years 0..9999, else clamped */
void zone_format(const struct zone *, int64_t utc_ms, char out[20]);
/* "Sun, 06 Nov 1994 08:49:37 GMT" (30 bytes with the NUL) */
void clock_http_date(int64_t utc_ms, char out[30]);
bool clock_parse_http_date(struct span, int64_t *out_ms);
/* YYYY-M-D, strict calendar; false for what is no date */
bool civil_parse_date(struct span, struct civil *out);
#endif
