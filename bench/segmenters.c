/* bench/segmenters.c: other people's segmenters on the texts of emotion_bench, which only splits a text into words where we tell its feeling.
 *
 *   segmenters TEXTS      one text a line; prints microseconds a text of friso (MMSEG with a dictionary) and of ICU's word iterator (dictionary of its own), -1 for what was not there at build time
 *
 * Processor time, medians over all texts, after one pass that warms the dictionaries. */
#include "tool.h"

#include <stdio.h>
#ifdef HAVE_FRISO
#include <friso/friso.h>
#include <friso/friso_API.h>
#endif
#ifdef HAVE_ICU
#include <unicode/ubrk.h>
#include <unicode/utext.h>
#endif

static struct span all;

static double median_us(size_t (*words)(struct span))
{
    struct samples took = { 0 };
    size_t sum = 0;
    for (int pass = 0; pass < 2; pass++)
        for (struct span left = all; left.n;) {
            int end = span_find(left, '\n');
            struct span line = { left.p, end < 0 ? left.n : (size_t)end };
            left = span_cut(left, line.n + 1);
            uint64_t began = tool_cpu_ns();
            sum += words(line);
            if (pass) samples_add(&took, tool_cpu_ns() - began);
        }
    if (!sum) tool_fail("no words found");
    return samples_share(&took, 0.5) / 1e3;
}

#ifdef HAVE_FRISO
static friso_t friso;
static friso_config_t friso_how;
static friso_task_t friso_task;

static size_t friso_words(struct span text)
{
    static char line[1 << 16];
    size_t n = text.n < sizeof line - 1 ? text.n : sizeof line - 1, words = 0;
    memcpy(line, text.p, n);                                 /* it wants a NUL behind the text */
    line[n] = '\0';
    friso_set_text(friso_task, line);
    while (friso_how->next_token(friso, friso_how, friso_task)) words++;
    return words;
}

static double friso_us(void)
{
    static char settings[] = "/etc/friso/friso.ini";
    friso = friso_new();
    friso_how = friso_new_config();
    friso_task = friso_new_task();
    return friso_init_from_ifile(friso, friso_how, settings) == 1 ? median_us(friso_words) : -1;
}
#else
static double friso_us(void) { return -1; }
#endif

#ifdef HAVE_ICU
static UBreakIterator *words_of;

static size_t icu_words(struct span text)
{
    UErrorCode error = U_ZERO_ERROR;
    UText u = UTEXT_INITIALIZER;
    size_t words = 0;
    utext_openUTF8(&u, text.p, (int64_t)text.n, &error);
    ubrk_setUText(words_of, &u, &error);
    while (ubrk_next(words_of) != UBRK_DONE) words++;
    utext_close(&u);
    return U_SUCCESS(error) ? words : 0;
}

static double icu_us(void)
{
    UErrorCode error = U_ZERO_ERROR;
    words_of = ubrk_open(UBRK_WORD, "zh", NULL, 0, &error);
    return U_SUCCESS(error) ? median_us(icu_words) : -1;
}
#else
static double icu_us(void) { return -1; }
#endif

int main(int argc, char **argv)
{
    if (argc != 2) tool_fail("segmenters TEXTS");
    all = tool_read_file(argv[1]);
    double f = friso_us(), i = icu_us();
    printf("{\"friso_us\":%.2f,\"icu_us\":%.2f}\n", f, i);
    return 0;
}
