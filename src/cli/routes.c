/* cli/routes.c: `weir routes`: the command table of all apps. Reads nothing but the table. */
#include "cli/cli.h"

#include <stdio.h>

#include "cli/listing.h"
#include "engine/describe.h"

static const char HELP[] =
    "usage: weir routes [--json] [--debug]\n"
    "\n"
    "Lists every command: methods, path, name, who may call it, what it is about. FRAME is a WebSocket frame of the channel\n"
    "named, JOB runs later by itself. A path that ends in /? is served with and without the slash.\n"
    "\n"
    "  --json         as JSON, with parameters and the schemas of answers\n"
    "  --debug        with those that exist only under debug.routes\n";

int cli_routes(int argc, char **argv)
{
    bool json = false, debug = false;
    struct listing_flag flags[] = { { "--json", &json }, { "--debug", &debug } };
    int status = listing_flags(argc, argv, HELP, flags, LENGTH(flags));
    if (status >= 0) return status;
    struct describe d = { weir_apps, debug };
    return listing_print(&d, json ? describe_routes_json : describe_routes);
}
