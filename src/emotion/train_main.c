/* emotion/train_main.c: the trainer that the build runs, to make the model that it then links in.
 *
 *   emotion-train WORDS OUT.model OUT.S [CORPUS.tsv ...]
 *
 * The second output is two lines of assembler that put the model and the word lists into the program as they are. Without any
 * corpus file the lists alone are trained on, so that a checkout without texts still builds. */
#include "emotion/recipe.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static void show_progress(void *arg, int seed, int epoch)
{
    (void)arg;
    fprintf(stderr, "\remotion-train: model %d, pass %d ", seed + 1, epoch + 1);
}

static void put_symbol(FILE *f, const char *symbol, const char *path)
{
    fprintf(f, ".globl %s\n.hidden %s\n.balign 64\n%s:\n.incbin \"%s\"\n.globl %s_end\n.hidden %s_end\n%s_end:\n.byte 0\n", symbol, symbol, symbol, path, symbol,
        symbol, symbol);
}

static bool write_outputs(const char *model, const char *assembler, const char *words, const uint8_t *bytes, size_t n)
{
    FILE *f = fopen(model, "wb");
    bool good = f && fwrite(bytes, 1, n, f) == n;
    good = f && fclose(f) == 0 && good;
    if (!good || !(f = fopen(assembler, "w")))
        return false;
    char *full = realpath(model, NULL), *full_words = realpath(words, NULL);
    fputs(".section .rodata\n", f);
    if (full && full_words) {
        put_symbol(f, "weir_emotion_model", full);
        put_symbol(f, "weir_emotion_words", full_words);
    }
    fputs(".section .note.GNU-stack,\"\",%progbits\n", f);
    good = full && full_words;
    free(full);
    free(full_words);
    return fclose(f) == 0 && good;
}

int main(int argc, char **argv)
{
    struct emotion_corpus c;
    struct emotion_list *list = base_alloc(sizeof *list);
    struct emotion_measure m;
    struct buf err, report;
    size_t n = 0, words_n = 0;
    uint8_t *bytes = NULL;
    if (argc < 4) {
        fputs("usage: emotion-train WORDS OUT.model OUT.S [CORPUS.tsv ...]\n", stderr);
        return 2;
    }
    buf_init(&err, 1 << 16);
    buf_init(&report, 1 << 16);
    emotion_corpus_init(&c);
    char *words = emotion_file_read(argv[1], &words_n, &err);
    bool good = words && list && emotion_list_compile(span_from(words, words_n), argv[1], list, &err);
    for (int i = 4; good && i < argc; i++)
        good = emotion_corpus_add(&c, argv[i], &err);
    if (good) {
        struct emotion_train_options o = emotion_train_defaults();
        if (isatty(STDERR_FILENO))
            o.progress = show_progress;
        bytes = emotion_recipe(&c, list, &o, false, &n, &m, &err);
        good = bytes != NULL;
    }
    if (good && !write_outputs(argv[2], argv[3], argv[1], bytes, n)) {
        buf_printf(&err, "%s: %s", argv[2], strerror(errno));
        good = false;
    }
    if (good && c.n && isatty(STDOUT_FILENO))            /* a build stays quiet; `weir emotion cross` tells the same */
        emotion_measure_print(&m, &report);
    if (report.n)
        fwrite(report.p, 1, report.n, stdout);
    if (!good)
        fprintf(stderr, "emotion-train: %.*s\n", SPAN_ARGS(buf_span(&err)));
    free(bytes);
    free(words);
    free(list);
    emotion_corpus_done(&c);
    buf_done(&err);
    buf_done(&report);
    return good ? 0 : 1;
}
