/* bench/tool.h: what the tools of `make bench` share: a monotonic clock, non-blocking sockets to 127.0.0.1, sorted samples, a server's processor time.
 *
 * The tools are measuring instruments and no part of the program: each is one thread, does one thing for a given time, prints one JSON object on its standard output and ends. What
 * goes wrong ends the tool with a sentence and code 1, so that a broken run never looks like a quick one. Driven by bench/run.mjs. */
#ifndef WEIR_BENCH_TOOL_H
#define WEIR_BENCH_TOOL_H
#include "base/base.h"

_Noreturn void tool_fail(const char *fmt, ...) WEIR_PRINTF(1, 2);
uint64_t tool_now_ns(void);                                /* CLOCK_MONOTONIC */
uint64_t tool_cpu_ns(void);                                /* of the calling thread */
void tool_raise_descriptors(size_t wanted);                /* fails if the hard limit is lower */
int tool_connect(int port);                                /* to 127.0.0.1: connected, non-blocking, without Nagle; closed by RST, so that no port stays in TIME_WAIT */
struct span tool_read_file(const char *path);              /* NUL behind it; never freed */

/* Processor time that processes ("12,34") have used so far, user and system, in microseconds. */
uint64_t tool_cpu_of_us(const char *pids);

/* ---- arguments: --name value ---- */
const char *tool_option(int argc, char **argv, const char *name, const char *fallback);    /* fallback NULL: it must be there */
long tool_number(int argc, char **argv, const char *name, long fallback);
double tool_seconds(int argc, char **argv, const char *name, double fallback);

/* ---- samples ---- */
struct samples { uint32_t *at; size_t n, cap; };           /* microseconds, or what the caller says */
void samples_add(struct samples *, uint64_t value);
double samples_share(struct samples *, double share);      /* sorts; 0.5 is the median; 0 when there are none */

/* Replaces each "########" of a text by eight digits, in place; says whether there was one. Finds the places once. */
struct holes { size_t n, at[4]; };
struct holes holes_find(struct span text);
void holes_fill(const struct holes *, char *text, uint64_t number);
#endif
