/* cli/local.h: how a sub-command speaks to Weir as its operator: one HTTP request through DATA/weir.sock, to the server that runs there; and if none does, to an engine of our own that lives for
 * the length of the request. So there is one way for both cases, and SQLite is never opened beside a server. */
#ifndef WEIR_CLI_LOCAL_H
#define WEIR_CLI_LOCAL_H
#include "cli/run.h"

/* Options, file and environment: -1: go on; otherwise the exit status (--help was answered by `usage`, or something was wrong and said). settings_free(&r->settings) in any case. */
int local_options(struct run *r, int argc, char **argv, const char *usage);

/* method: "GET", "POST", …; target: path and query, escaped; content_type NULL: no body. True: there is an answer, of whatever status, its body in *out_body (which the caller has made by buf_init).
 * False: said why not on standard error; the exit status is 1. At most 10 minutes. */
bool local_call(struct run *r, const char *method, const char *target, const char *content_type, struct span body, int *out_status, struct buf *out_body);
/* The exit status for an answer: 0 for a success; otherwise its errmsg is printed on standard error: 2 if the request was not understood (400), else 1. */
int local_finish(const struct run *r, int status, struct span body);
/* For answers under /api/: the value of "data" of a success, in the arena; NULL: it is no such JSON (said). */
const json_t *local_data(const struct run *r, struct arena *a, struct span body);

bool local_chinese(void);                    /* by LC_ALL, LC_MESSAGES or LANG; answers then come in Chinese too */
/* server.data as an open folder (never made); *out_path: its absolute path, to be freed. -1: said why not. */
int local_data_open(const struct run *r, char **out_path);
#endif
