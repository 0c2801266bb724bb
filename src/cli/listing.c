/* cli/listing.c: see listing.h. Standard output may be a pipe that closes early or a full disk: then the status is 1 and says why. */
#include "cli/listing.h"

#include <errno.h>
#include <stdio.h>

#include "engine/nearest.h"

enum { LISTING_BYTES = 32 << 20 };

int listing_flags(int argc, char **argv, const char *help, const struct listing_flag *flags, size_t n)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(help, stdout);
            return 0;
        }
        struct nearest near;
        nearest_init(&near, span_of(argv[i]));
        size_t found = 0;
        while (found < n && strcmp(argv[i], flags[found].name) != 0) nearest_offer(&near, flags[found++].name);
        if (found < n) {
            *flags[found].on = true;
            continue;
        }
        fprintf(stderr, "weir %s: what is %s?", argv[0], argv[i]);
        if (near.found) fprintf(stderr, " Did you mean %s?", near.found);
        fprintf(stderr, " `weir %s --help` tells more.\n", argv[0]);
        return 2;
    }
    return -1;
}

int listing_print(const struct describe *d, void (*write)(const struct describe *, struct buf *))
{
    struct buf out;
    buf_init(&out, LISTING_BYTES);
    write(d, &out);
    bool complete = !out.failed;
    if (!complete) fputs("weir: out of memory\n", stderr);
    else if (fwrite(out.p, 1, out.n, stdout) != out.n || fflush(stdout) != 0) {
        fprintf(stderr, "weir: standard output: %s\n", strerror(errno));
        complete = false;
    }
    buf_done(&out);
    return complete ? 0 : 1;
}
