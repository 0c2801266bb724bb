/* Any bytes as title and content: the probabilities sum to one, the code is their first maximum, and neither word lists nor models made of
 * garbage are believed. The first byte chooses: a text, a word list, a model, a text for the
 * original's method. */
#include "emotion/lexicon.h"
#include "emotion/segment.h"
#include "emotion/words.h"
#include <stdio.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void try_text(struct span s)
{
    struct emotion e;
    unsigned sum = 0;
    int tab = span_find(s, '\t');
    emotion_score(emotion_model_builtin(), tab < 0 ? span_from(NULL, 0) : span_from(s.p, (size_t)tab), tab < 0 ? s : span_cut(s, (size_t)tab + 1), &e);
    for (int k = 0; k < EMOTION_CODES; k++) {
        sum += e.p[k];
        must(k < e.code ? e.p[k] < e.p[e.code] : e.p[k] <= e.p[e.code]);
    }
    must(sum == EMOTION_WHOLE);
    struct emotion_piece piece[8];
    struct emotion told;
    size_t pieces;
    if (!emotion_explain(emotion_model_builtin(), span_from(NULL, 0), s, piece, LENGTH(piece), &pieces, &told)) return;
    for (size_t i = 0; i < pieces; i++) must(piece[i].text.p >= s.p && piece[i].text.p + piece[i].text.n <= s.p + s.n && piece[i].text.n);
}

/* The pieces of a cut are the text, in order. */
static void try_piece(void *arg, struct span piece, uint32_t mark)
{
    (void)mark;
    const char **at = arg;
    must(piece.p == *at && piece.n);
    *at += piece.n;
}

/* made once, from a file as its owner would */
static const struct emotion_lexicon *lexicon(void)
{
    static struct emotion_lexicon *l;
    if (l) return l;
    struct buf err;
    buf_init(&err, 1 << 16);
    char path[] = "/tmp/weir-fuzz-XXXXXX";
    int fd = mkstemp(path);
    must(fd >= 0 && dprintf(fd, "开心\t1\t5\n不开心\t4\t7\na+b\t7\t1\n生气\t3\t9\n") > 0);
    l = emotion_lexicon_open(path, access(SEGMENT_DICTIONARY, R_OK) == 0 ? SEGMENT_DICTIONARY : NULL, &err);
    must(l);
    close(fd);
    unlink(path);
    buf_done(&err);
    return l;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0) return 0;
    struct span rest = span_from(data + 1, n - 1);
    struct buf err;
    buf_init(&err, 1 << 16);
    if (data[0] == 'W') {
        struct emotion_list *list = base_alloc(sizeof *list);
        if (list) must(emotion_list_compile(rest, "fuzz", list, &err) == (err.n == 0));
        free(list);
    } else if (data[0] == 'L') {
        struct emotion_strengths s;
        emotion_lexicon_score(lexicon(), span_from(NULL, 0), rest, &s);
        const char *at = rest.p;
        emotion_lexicon_cut(lexicon(), rest, try_piece, &at);
        must(at == rest.p + rest.n);
        for (int k = 0; k < EMOTION_CODES; k++) must(s.strength[k] >= 0 && s.strength[k] <= s.strength[s.code]);
    } else if (data[0] == 'M') {
        struct emotion_model *m = emotion_model_load(rest, &err);
        must((m == NULL) == (err.n > 0));
        emotion_model_free(&m);
    } else {
        try_text(rest);
    }
    buf_done(&err);
    return 0;
}
