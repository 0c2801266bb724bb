/* cli/cli.h: the sub-commands of `weir`; main.c picks one by its name. argv[0] is that name. Exit codes: 0 done, 1 it failed
 * or found something wrong, 2 it was asked in a way it does not understand. Each answers --help by itself. */
#ifndef WEIR_CLI_H
#define WEIR_CLI_H

int cli_serve(int argc, char **argv);
int cli_demo(int argc, char **argv);
int cli_sandbox(int argc, char **argv);
int cli_routes(int argc, char **argv);
int cli_openapi(int argc, char **argv);
int cli_emotion(int argc, char **argv);
int cli_backup(int argc, char **argv);
int cli_restore(int argc, char **argv);
int cli_moderation(int argc, char **argv);
int cli_namelist(int argc, char **argv);
int cli_outbox(int argc, char **argv);
int cli_operator(int argc, char **argv);
int cli_image_worker(int argc, char **argv);

/* `weir VERSION` and a line for each part that was built in, with the version that was really loaded. */
void features_print(void);

#endif
