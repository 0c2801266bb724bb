/* bench/emotion_bench.c: what emotion_score() costs for a short diary (200 bytes) and for the longest one (10,000 characters).
 *
 * The texts are put together from the lines of the files named (code, tab, title, tab, content), another one each time, so that the caches see what a server's caches see.
 * With --texts FILE the short ones are also written there, one a line, for others to read (segmenters.c, jieba_bench.py); and our own segmenter cuts them, with Debian's dictionary of jieba if it is there.
 * Processor time of the thread; medians of 2001 and 201 texts. */
#include "tool.h"

#include "emotion/emotion.h"
#include "emotion/segment.h"

#include <stdio.h>

enum { SHORT_BYTES = 200, LONG_CHARS = 10000, SHORT_TEXTS = 2001 };

static struct span *texts;
static size_t text_n;

static void texts_read(const char *path)
{
    struct span left = tool_read_file(path);
    while (left.n) {
        int end = span_find(left, '\n');
        struct span line = { left.p, end < 0 ? left.n : (size_t)end };
        left = span_cut(left, line.n + 1);
        for (int tab; (tab = span_find(line, '\t')) >= 0;) line = span_cut(line, (size_t)tab + 1);
        if (!line.n || !utf8_valid(line)) continue;
        if (text_n % 1024 == 0) texts = realloc(texts, (text_n + 1024) * sizeof *texts);
        if (!texts) tool_fail("out of memory");
        texts[text_n++] = line;
    }
}

/* Whole characters, at most so many bytes and characters. */
static void compose(struct buf *b, size_t from, size_t bytes, size_t characters)
{
    size_t seen = 0;
    for (b->n = 0; b->n < bytes && seen < characters; from++) {
        struct span more = texts[from % text_n];
        more = utf8_head(more, characters - seen);
        while (b->n + more.n > bytes) more = utf8_head(more, utf8_count(more) - 1);
        if (!more.n) return;
        seen += utf8_count(more);
        buf_add_span(b, more);
    }
}

static double median_us(size_t rounds, size_t bytes, size_t characters, double *out_bytes)
{
    struct samples took = { 0 };
    struct buf b;
    struct emotion e;
    size_t sum = 0;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < rounds; i++) {
        compose(&b, i * 7, bytes, characters);
        if (b.failed) tool_fail("out of memory");
        uint64_t began = tool_cpu_ns();
        emotion_score(emotion_model_builtin(), SPAN(""), buf_span(&b), &e);
        samples_add(&took, tool_cpu_ns() - began);
        sum += b.n;
    }
    *out_bytes = (double)sum / (double)rounds;
    buf_done(&b);
    return samples_share(&took, 0.5) / 1e3;
}

static void count_word(void *arg, struct span piece, uint32_t mark)
{
    (void)piece;
    (void)mark;
    ++*(size_t *)arg;
}

/* The short texts once more; -1 without a dictionary. */
static double cut_us(FILE *out)
{
    struct samples took = { 0 };
    struct buf b, err;
    size_t words = 0;
    buf_init(&b, 1 << 20);
    buf_init(&err, 1 << 16);
    struct segmenter *l = segmenter_open(SEGMENT_DICTIONARY, true, &err);
    for (size_t i = 0; i < SHORT_TEXTS; i++) {
        compose(&b, i * 7, SHORT_BYTES, SIZE_MAX);
        if (out) fprintf(out, "%.*s\n", SPAN_ARGS(buf_span(&b)));
        if (!l) continue;
        uint64_t began = tool_cpu_ns();
        segmenter_cut(l, buf_span(&b), count_word, &words);
        samples_add(&took, tool_cpu_ns() - began);
    }
    double us = l ? samples_share(&took, 0.5) / 1e3 : -1;
    segmenter_free(&l);
    buf_done(&err);
    buf_done(&b);
    return us;
}

int main(int argc, char **argv)
{
    double short_bytes, long_bytes;
    bool writes = argc > 2 && strcmp(argv[1], "--texts") == 0;
    FILE *out = writes ? fopen(argv[2], "w") : NULL;
    if (writes && !out) tool_fail("%s: cannot be written", argv[2]);
    for (int i = writes ? 3 : 1; i < argc; i++) texts_read(argv[i]);
    if (!text_n) tool_fail("emotion_bench FILE.tsv…");
    double cut = cut_us(out), small = median_us(SHORT_TEXTS, SHORT_BYTES, SIZE_MAX, &short_bytes), large = median_us(201, SIZE_MAX, LONG_CHARS, &long_bytes);
    if (out && fclose(out) != 0) tool_fail("%s: cannot be written", argv[2]);
    printf("{\"cut_us\":%.2f,\"short_us\":%.2f,\"short_bytes\":%.0f,\"long_us\":%.1f,\"long_bytes\":%.0f}\n", cut, small, short_bytes, large, long_bytes);
    return 0;
}
