/* emotion/corpus.c: reads labelled texts.
 *
 * Strict on purpose: a corpus is written by people, and a line with a missing tab silently read as something else would be
 * a wrong label that nobody finds again. What is refused names the file, the line and what to do. */
#include "emotion/corpus.h"
#include <errno.h>
#include <stdio.h>

enum { FILE_MAX = 256 << 20 };

void emotion_corpus_init(struct emotion_corpus *c) { memset(c, 0, sizeof *c); }

void emotion_corpus_done(struct emotion_corpus *c)
{
    for (int i = 0; i < c->sources; i++) {
        free(c->source[i].path);
        free(c->source[i].bytes);
    }
    free(c->text);
    emotion_corpus_init(c);
}

char *emotion_file_read(const char *path, size_t *out_n, struct buf *err)
{
    FILE *f = fopen(path, "rb");
    char *bytes = NULL;
    size_t n = 0, cap = 0;
    if (!f) {
        buf_printf(err, "%s: %s", path, strerror(errno));
        return NULL;
    }
    for (;;) {
        if (n == cap) {
            char *more = cap < FILE_MAX ? base_realloc(bytes, cap = cap ? 2 * cap : 1 << 16) : NULL;
            if (!more) {
                buf_printf(err, "%s: too large for memory", path);
                goto fail;
            }
            bytes = more;
        }
        size_t got = fread(bytes + n, 1, cap - n, f);
        if (got == 0)
            break;
        n += got;
    }
    if (ferror(f)) {
        buf_printf(err, "%s: %s", path, strerror(errno));
        goto fail;
    }
    fclose(f);
    bytes[n] = '\0';                                         /* n < cap: the last reading found room and no bytes */
    *out_n = n;
    return bytes;
fail:
    fclose(f);
    free(bytes);
    return NULL;
}

/* "3" or "3|6" -> mask; 0 if malformed */
static unsigned read_codes(struct span s)
{
    unsigned codes = 0;
    if (s.n % 2 == 0)
        return 0;
    for (size_t i = 0; i < s.n; i++) {
        if (i % 2 ? s.p[i] != '|' : s.p[i] < '0' || s.p[i] >= '0' + EMOTION_CODES)
            return 0;
        if (i % 2 == 0)
            codes |= 1u << (s.p[i] - '0');
    }
    return codes;
}

static bool read_line(struct emotion_text *t, struct span line, const char *path, struct buf *err)
{
    struct span field[3];
    int fields = 0;
    struct span rest = line;
    for (bool more = true; more; fields++) {
        int tab = span_find(rest, '\t');
        more = tab >= 0;
        struct span s = span_from(rest.p, more ? (size_t)tab : rest.n);
        rest = span_cut(rest, s.n + 1);
        if (fields < 3)
            field[fields] = s;
    }
    if (fields != 2 && fields != 3) {
        buf_printf(err, "%s:%u: %d column%s; write code<TAB>text or code<TAB>title<TAB>content", path, t->line, fields, fields == 1 ? "" : "s");
        return false;
    }
    t->codes = read_codes(field[0]);
    if (!t->codes) {
        buf_printf(err, "%s:%u: \"%.*s\" is no code; write a digit 0 to 7, or several joined by |", path, t->line, (int)(field[0].n < 40 ? field[0].n : 40), field[0].p);
        return false;
    }
    t->title = fields == 3 ? field[1] : span_from(NULL, 0);
    t->content = field[fields - 1];
    if (t->content.n == 0) {
        buf_printf(err, "%s:%u: the text is empty; write one or delete the line", path, t->line);
        return false;
    }
    return true;
}

bool emotion_corpus_add(struct emotion_corpus *c, const char *path, struct buf *err)
{
    if (c->sources == EMOTION_SOURCES) {
        buf_printf(err, "%s: more than %d files; join some", path, EMOTION_SOURCES);
        return false;
    }
    size_t n = 0;
    char *bytes = emotion_file_read(path, &n, err);
    if (!bytes)
        return false;
    char *copy = base_alloc(strlen(path) + 1);
    if (!copy) {
        free(bytes);
        buf_printf(err, "%s: out of memory", path);
        return false;
    }
    int source = c->sources++;
    c->source[source].path = memcpy(copy, path, strlen(path) + 1);
    c->source[source].bytes = bytes;
    struct span rest = span_from(bytes, n);
    for (uint32_t line_number = 1; rest.n; line_number++) {
        int nl = span_find(rest, '\n');
        struct span line = span_from(rest.p, nl < 0 ? rest.n : (size_t)nl);
        rest = span_cut(rest, line.n + 1);
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n == 0)
            continue;
        if (c->n == c->cap) {
            size_t cap = c->cap ? 2 * c->cap : 1024;
            struct emotion_text *more = base_realloc(c->text, cap * sizeof *more);
            if (!more) {
                buf_printf(err, "%s: out of memory", path);
                return false;
            }
            c->text = more;
            c->cap = cap;
        }
        struct emotion_text *t = &c->text[c->n];
        *t = (struct emotion_text){ .source = source, .line = line_number };
        if (!read_line(t, line, path, err))
            return false;
        c->n++;
    }
    return true;
}

unsigned emotion_text_tenth(const struct emotion_text *t)
{
    uint64_t h = 0xcbf29ce484222325ULL;
    for (size_t i = 0; i < t->content.n; i++)
        h = (h ^ (uint8_t)t->content.p[i]) * 0x100000001b3ULL;
    return (unsigned)((h ^ h >> 32) % 1000003 % 10);
}
