/* engine/engine.h: one running Weir, as the command line sees it. */
#ifndef WEIR_ENGINE_H
#define WEIR_ENGINE_H
#include "engine/app.h"

struct engine;
/* Opens the data directory (made if missing, locked: a second server on it is refused), the secret, the store (migrated), the table and its routes, and binds server.listen. Texts of errors name cause and
 * remedy. Settings stay the caller's and must outlive the engine. */
struct engine *engine_new(const struct settings *, struct buf *err);
/* The same for the length of one sub-command, when no server runs: it listens on nothing but the Unix socket, makes neither folder nor database nor migration, and starts no deferred jobs. */
struct engine *engine_new_local(const struct settings *, struct buf *err);
#define ENGINE_SOCKET "weir.sock"                    /* in the data directory: where COMMAND_OPERATOR rows are served */
int engine_port(const struct engine *);
bool engine_start(struct engine *, struct buf *err);
/* Blocks until engine_stop_soon() or an unrecoverable fault of the store. Then drains: accepted writes are committed and answered, sockets closed with 1001. Returns the exit status. */
int engine_wait(struct engine *);
void engine_stop_soon(struct engine *);              /* async-signal-safe */
void engine_reload_soon(struct engine *);            /* async-signal-safe: TLS certificates (SIGHUP) */
void engine_free(struct engine **);
#endif
