/* base/log.h: one line an event on standard error: `2026-11-21T22:29:17.123Z level area: text`. Lower layers return their
 * faults and do not log; the engine and the tools log once. Never a secret, a token, a handle, a code or a body. */
#ifndef WEIR_LOG_H
#define WEIR_LOG_H
#include "base/base.h"
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
void log_set_level(enum log_level at_least);
void log_line(enum log_level, const char *area, const char *fmt, ...) WEIR_PRINTF(3, 4);   /* thread-safe, one write(2) a line; control bytes are escaped */
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#endif
