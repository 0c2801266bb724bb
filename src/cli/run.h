/* cli/run.h: what `weir serve` and `weir demo` share. */
#ifndef WEIR_CLI_RUN_H
#define WEIR_CLI_RUN_H
#include "engine/engine.h"
#include "engine/settings.h"

/* --config F, --listen A, --port N, --data D, --set section.key=value, --debug-routes, --help; besides, what the sub-command itself has: flags (a list ended by one without name; `on`: without a value) and
 * up to word_max words without dashes. */
struct run_flag { const char *name; bool *on; const char **value; };
struct run { const char *name; struct settings *settings; const char *config; int port; bool help; const struct run_flag *flags; const char **words; int word_max, word_count; };
bool run_options(struct run *, int argc, char **argv);       /* false: said what is wrong; exit 2 */
bool run_load(struct run *);                                  /* file and environment; false: said; exit 1 */
/* Serves until SIGINT or SIGTERM; on_ready is called when the server listens and is started. The exit status. */
int run_server(struct run *, bool (*on_ready)(struct run *, int port, void *arg), void *arg);
void run_signals_block(void);                                 /* before any thread starts */
#endif
