/* bench/starts.c: `starts N COMMAND ARGS…` starts a server N times and stops it again by SIGTERM: from fork to its line "ready …", and what it holds a moment later.
 *
 * Prints the median and the worst time, and the median resident set (VmRSS) and private dirty memory after 300 ms of idling. The server's other output is thrown away. */
#include "tool.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start(char **command, int *out_fd)
{
    int ends[2];
    if (pipe(ends) != 0) tool_fail("pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0) tool_fail("fork: %s", strerror(errno));
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execv(command[0], command);
        _exit(127);
    }
    close(ends[1]);
    *out_fd = ends[0];
    return pid;
}

static void wait_ready(int fd, const char *name)
{
    char text[4096];
    size_t n = 0;
    for (;;) {
        ssize_t got = read(fd, text + n, sizeof text - 1 - n);
        if (got <= 0) tool_fail("%s ended before it was ready", name);
        n += (size_t)got;
        text[n] = '\0';
        if (strncmp(text, "ready ", 6) == 0 && strchr(text, '\n')) return;
        if (n >= sizeof text - 1) tool_fail("%s says other things than \"ready\"", name);
    }
}

static uint64_t kilobytes(pid_t pid, const char *file, const char *key)
{
    char path[64], line[256];
    unsigned long kb = 0;
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    FILE *f = fopen(path, "r");
    while (f && !found && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0) found = sscanf(line + strlen(key), "%lu", &kb) == 1;
    if (f) fclose(f);
    if (!found) tool_fail("%s has no %s", path, key);
    return kb;
}

int main(int argc, char **argv)
{
    struct samples ready = { 0 }, resident = { 0 }, dirty = { 0 };
    int rounds = argc > 2 ? (int)strtol(argv[1], NULL, 10) : 0;
    if (rounds < 1) tool_fail("starts N COMMAND ARGS…");
    for (int i = 0; i < rounds; i++) {
        int fd, status;
        uint64_t began = tool_now_ns();
        pid_t pid = start(argv + 2, &fd);
        wait_ready(fd, argv[2]);
        samples_add(&ready, (tool_now_ns() - began) / 1000);
        usleep(300000);
        samples_add(&resident, kilobytes(pid, "status", "VmRSS:"));
        samples_add(&dirty, kilobytes(pid, "smaps_rollup", "Private_Dirty:"));
        kill(pid, SIGTERM);
        if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) tool_fail("%s did not end well", argv[2]);
        close(fd);
    }
    printf("{\"ready_us\":%.0f,\"worst_us\":%.0f,\"resident_kb\":%.0f,\"dirty_kb\":%.0f}\n", samples_share(&ready, 0.5), samples_share(&ready, 1), samples_share(&resident, 0.5),
           samples_share(&dirty, 0.5));
    return 0;
}
