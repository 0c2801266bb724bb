/* cli/run.h: what `weir serve` and `weir demo` share. */
#ifndef WEIR_CLI_RUN_H
#define WEIR_CLI_RUN_H
#include "engine/engine.h"
#include "engine/settings.h"

/* --config F, --listen A, --port N, --data D, --set section.key=value, --debug-routes, --help. `own` may take a flag of the sub-command's: 1 taken, 0 not its, -1 wrong (said already). */
struct run { const char *name; struct settings *settings; const char *config; int port; bool help; };
bool run_options(struct run *, int argc, char **argv);       /* false: said what is wrong; exit 2 */
bool run_load(struct run *);                                  /* file and environment; false: said; exit 1 */
/* Serves until SIGINT or SIGTERM; on_ready is called when the server listens and is started. The exit status. */
int run_server(struct run *, bool (*on_ready)(struct run *, int port, void *arg), void *arg);
void run_signals_block(void);                                 /* before any thread starts */
#endif
