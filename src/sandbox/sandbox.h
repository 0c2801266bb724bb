/* sandbox/sandbox.h: WeChat on loopback, for people and tests without a WeChat account: `weir sandbox`, and inside `weir demo` beside the server.
 *
 * It plays the servers that Weir's clients (and anybody's) talk to; what it is faithful in, and the world inside it, is told by GET /_sandbox/. It knows nothing of Weir's engine, store or apps: it
 * stands on net/ alone, and Weir reaches it like it reaches Tencent, through a base URL. State is in memory. The control API (/_sandbox/) answers loopback peers only. */
#ifndef WEIR_SANDBOX_H
#define WEIR_SANDBOX_H
#include "base/base.h"

struct sandbox;
struct sandbox_config {
    uint64_t seed;                             /* generated names; with `repeatable` also codes, tokens and keys */
    bool repeatable;                           /* false: secrets are random, so that what a former process gave away is no good here */
};
struct sandbox *sandbox_new(const struct sandbox_config *, struct buf *err);   /* NULL and a text */
int sandbox_listen(struct sandbox *, const char *address, struct buf *err);     /* "127.0.0.1:0": the port, or -1 and a text; may be called again for more addresses */
bool sandbox_start(struct sandbox *, struct buf *err);                          /* one thread of its own */
void sandbox_stop(struct sandbox *);                                            /* answers what waits, closes all, joins; any thread but its own */
void sandbox_free(struct sandbox **);                                           /* stops it first if need be */

#define SANDBOX_APPID "wx1234567890abcdef"
#define SANDBOX_SECRET "sandbox-secret"
#endif
