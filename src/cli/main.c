/* cli/main.c: `weir SUB-COMMAND …`. One table; what is not in it does not exist, and its help is printed from it.
 *
 * A sub-command is a function of one file of this folder, gets its own name as argv[0] and answers its own --help. A name that we do not know is answered with the
 * nearest one that we do. Nothing is read or opened here. */
#include "cli/cli.h"

#include <stdio.h>

#include "base/base.h"
#include "engine/nearest.h"

static const struct sub_command {
    const char *name, *about;                                /* about NULL: not for people, not listed */
    int (*run)(int argc, char **argv);
} sub_commands[] = {
    { "serve", "the server, by its settings", cli_serve },
    { "demo", "a server with sample data and the WeChat simulator beside it: try it", cli_demo },
    { "sandbox", "WeChat on loopback: the simulator alone", cli_sandbox },
    { "routes", "every command: method, path, name", cli_routes },
    { "openapi", "the same as an OpenAPI 3.1 document", cli_openapi },
    { "emotion", "tell the feeling of texts; train and measure the classifier", cli_emotion },
    { "namelist", "who belongs to the ensemble: import, list, export, unbind", cli_namelist },
    { "backup", "database, images and secret key into a new folder, beside a running server; --verify looks at one", cli_backup },
    { "restore", "a new data directory out of a backup", cli_restore },
    { "moderation", "what users reported: list, show, dismiss, hide, ban, delete images", cli_moderation },
    { "outbox", "what could not be delivered: list, try again, drop", cli_outbox },
    { "operator", "one request to a running server as its operator, for scripts", cli_operator },
    { "image-worker", NULL, cli_image_worker },
};

static void help_print(FILE *out)
{
    fprintf(out, "usage: weir SUB-COMMAND [options]\n\nWeir %s, a self-hosted WeChat backend.\n\n", WEIR_VERSION);
    for (size_t i = 0; i < LENGTH(sub_commands); i++)
        if (sub_commands[i].about) fprintf(out, "  %-10s %s\n", sub_commands[i].name, sub_commands[i].about);
    fprintf(out, "  %-10s %s\n  %-10s %s\n", "--version", "the version and what is built in", "--help", "this text");
    fprintf(out, "\n`weir SUB-COMMAND --help` tells more about one of them.\n");
}

static int unknown(const char *name)
{
    struct nearest near;
    nearest_init(&near, span_of(name));
    for (size_t i = 0; i < LENGTH(sub_commands); i++)
        if (sub_commands[i].about) nearest_offer(&near, sub_commands[i].name);
    nearest_offer(&near, "--version");
    nearest_offer(&near, "--help");
    fprintf(stderr, "weir: there is no sub-command %s", name);
    if (near.found) fprintf(stderr, "; did you mean `weir %s`?\n", near.found);
    else fprintf(stderr, "; `weir --help` lists them\n");
    return 2;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name) {
        help_print(stderr);
        return 2;
    }
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        help_print(stdout);
        return 0;
    }
    if (!strcmp(name, "--version") || !strcmp(name, "version")) {
        features_print();
        return 0;
    }
    for (size_t i = 0; i < LENGTH(sub_commands); i++)
        if (!strcmp(name, sub_commands[i].name)) return sub_commands[i].run(argc - 1, argv + 1);
    return unknown(name);
}
