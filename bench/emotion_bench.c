/* bench/emotion_bench.c: what emotion_score() costs for a short diary (200 bytes) and for the longest one (10,000 characters).
 *
 * The texts are put together from the lines of the files named (code, tab, title, tab, content), another one each time, so that the caches see what a server's caches see.
 * Processor time of the thread; medians of 2001 and 201 texts. */
#include "tool.h"

#include "emotion/emotion.h"

#include <stdio.h>

enum { SHORT_BYTES = 200, LONG_CHARS = 10000 };

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

int main(int argc, char **argv)
{
    double short_bytes, long_bytes;
    for (int i = 1; i < argc; i++) texts_read(argv[i]);
    if (!text_n) tool_fail("emotion_bench FILE.tsv…");
    double small = median_us(2001, SHORT_BYTES, SIZE_MAX, &short_bytes), large = median_us(201, SIZE_MAX, LONG_CHARS, &long_bytes);
    printf("{\"short_us\":%.2f,\"short_bytes\":%.0f,\"long_us\":%.1f,\"long_bytes\":%.0f}\n", small, short_bytes, large, long_bytes);
    return 0;
}
