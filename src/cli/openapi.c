/* cli/openapi.c: `weir openapi`: the command table of all apps as an OpenAPI 3.1 document on standard output. Reads nothing but the table. */
#include "cli/cli.h"

#include "cli/listing.h"
#include "engine/describe.h"

static const char HELP[] =
    "usage: weir openapi [--debug]\n"
    "\n"
    "Writes the HTTP interface as an OpenAPI 3.1 document; WebSocket paths stand under x-channels.\n"
    "\n"
    "  --debug        with the commands that exist only under debug.routes\n";

int cli_openapi(int argc, char **argv)
{
    bool debug = false;
    struct listing_flag flags[] = { { "--debug", &debug } };
    int status = listing_flags(argc, argv, HELP, flags, LENGTH(flags));
    if (status >= 0) return status;
    struct describe d = { weir_apps, debug };
    return listing_print(&d, describe_openapi);
}
