/* tests/fuzz/replay_main.c: runs a fuzzer's function over stored inputs, so that seeds and past crashes are ordinary tests with every compiler.
 *
 * `NAME_replay FOLDER`: each file as it is, then cut short at every length, then with single bytes changed (a fixed pseudo-random choice; the same inputs in every run).
 * Each input lies in a heap block of exactly its size, so that AddressSanitizer and valgrind see the first byte read too many. An empty or missing folder is a failure: a
 * fuzzer without seeds tests nothing. What the fuzzer's function finds ends the process. */
#include <dirent.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES = 1 << 20, CUTS = 512, CHANGES = 512 };

static void try_input(const uint8_t *data, size_t n)
{
    uint8_t *exact = malloc(n ? n : 1);
    if (!exact) abort();
    if (n) memcpy(exact, data, n);
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
}

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static void try_variants(uint8_t *data, size_t n)
{
    size_t step = n / CUTS + 1;
    for (size_t cut = 0; cut < n; cut += step) try_input(data, cut);
    uint64_t state = 0x9e3779b97f4a7c15u ^ n;
    size_t changes = n == 0 ? 0 : n < 64 ? n * 8 : CHANGES;
    static const uint8_t telling[] = { 0, '\r', '\n', ' ', '"', ':', '=', '%', '{', 0x7f, 0x80, 0xff };
    for (size_t i = 0; i < changes; i++) {
        size_t at = next_random(&state) % n;
        uint8_t was = data[at];
        uint32_t how = next_random(&state) % (sizeof telling + 8);
        data[at] = how < sizeof telling ? telling[how] : (uint8_t)(was ^ (1u << (how - sizeof telling)));
        try_input(data, n);
        data[at] = was;
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    struct dirent **entries = NULL;
    int count = scandir(argv[1], &entries, NULL, alphasort);
    uint8_t *data = malloc(INPUT_BYTES + 1);
    if (!data) abort();
    int files = 0, status = 0;
    for (int i = 0; i < count; i++) {
        char path[4096];
        if (entries[i]->d_name[0] != '.' && (size_t)snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name) < sizeof path) {
            FILE *file = fopen(path, "rb");
            size_t n = file ? fread(data, 1, INPUT_BYTES + 1, file) : 0;
            if (!file || ferror(file) || n > INPUT_BYTES) {
                fprintf(stderr, "%s: cannot be read, or longer than 1 MiB\n", path);
                status = 1;
            } else {
                try_input(data, n);
                try_variants(data, n);
                files++;
            }
            if (file) fclose(file);
        }
        free(entries[i]);
    }
    free(entries);
    free(data);
    if (files == 0) {
        fprintf(stderr, "%s: no inputs\n", argv[1]);
        status = 1;
    }
    printf("%d inputs and what is near them\n", files);
    return status;
}
