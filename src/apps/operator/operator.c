/* apps/operator/operator.c: what the operator may ask of any Weir, whatever apps it has: commands that exist only on the Unix socket in the data directory (COMMAND_OPERATOR).
 *
 * Called by sub-commands (src/cli/local.h). An app's own operator commands are rows of that app. */
#include "engine/app.h"

#include <unistd.h>

static struct reply *status(const struct request *r, struct snap *s)
{
    (void)s;
    struct reply *reply = reply_api(r);
    struct jout *out = &reply->json;
    jout_begin_object(out);
    jout_put_z(out, "version", WEIR_VERSION);
    jout_put(out, "data", request_data(r));
    jout_put(out, "who", request_principal(r)->name);
    jout_put_int(out, "pid", getpid());
    jout_end_object(out);
    reply_api_end(reply);
    return reply;
}

static const struct command commands[] = {
    { .name = "operator.status", .about = "Which Weir answers, and as whom it sees the caller", .http = "GET /api/operator/status/?", .gives = "{errcode:n, errmsg:s, data:{version:s, data:s, who:s, pid:n}}",
      .flags = COMMAND_OPERATOR | COMMAND_PRIVATE, READS(status) },
    { 0 },
};

const struct app operator_app = { .name = "operator", .commands = commands };
