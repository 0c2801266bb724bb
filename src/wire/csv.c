/* wire/csv.c: see csv.h. One pass with one field at a time; a quoted field with doubled quotes is copied, any other is a span of the arena's copy of the text. */
#include "wire/csv.h"

struct scan { struct arena *a; const char *p, *end; int line; const char *why; };

static bool fail(struct scan *s, const char *why)
{
    s->why = why;
    return false;
}

static bool at_line_end(const struct scan *s) { return s->p == s->end || *s->p == '\n' || *s->p == '\r'; }

static void line_end_skip(struct scan *s)
{
    if (s->p == s->end) return;
    if (*s->p == '\r' && s->p + 1 < s->end && s->p[1] == '\n') s->p++;
    s->p++;
    s->line++;
}

static bool quoted(struct scan *s, struct span *out)
{
    const char *begin = ++s->p;
    size_t doubled = 0;
    int opened = s->line;
    for (;; s->p++) {
        if (s->p == s->end) {
            s->line = opened;
            return fail(s, "a quote is opened and never closed");
        }
        if (*s->p == '\n' || (*s->p == '\r' && !(s->p + 1 < s->end && s->p[1] == '\n'))) s->line++;
        if (*s->p != '"') continue;
        if (s->p + 1 == s->end || s->p[1] != '"') break;
        s->p++;
        doubled++;
    }
    *out = span_from(begin, (size_t)(s->p - begin));
    s->p++;
    if (!at_line_end(s) && *s->p != ',') return fail(s, "there is something behind a closing quote");
    if (!doubled) return true;
    char *copy = arena_take(s->a, out->n - doubled + 1), *to = copy;
    if (!copy) return fail(s, "out of memory");
    for (const char *from = out->p; from < out->p + out->n; from++) {
        *to++ = *from;
        from += *from == '"';                                  /* the second of the two */
    }
    *out = span_from(copy, (size_t)(to - copy));
    return true;
}

static bool plain(struct scan *s, struct span *out)
{
    const char *begin = s->p;
    for (; !at_line_end(s) && *s->p != ','; s->p++)
        if (*s->p == '"') return fail(s, "a quote stands within a field that does not begin with one");
    *out = span_from(begin, (size_t)(s->p - begin));
    return true;
}

static bool row(struct scan *s, struct csv_row *out)
{
    struct span fields[CSV_FIELDS];
    size_t n = 0;
    out->line = s->line;
    for (;;) {
        if (n == CSV_FIELDS) return fail(s, "too many fields");
        if (!(s->p < s->end && *s->p == '"' ? quoted(s, &fields[n]) : plain(s, &fields[n]))) return false;
        n++;
        if (at_line_end(s)) break;
        s->p++;                                                /* the comma */
    }
    struct span *at = arena_take(s->a, n * sizeof *at);
    if (!at) return fail(s, "out of memory");
    memcpy(at, fields, n * sizeof *at);
    out->n = n;
    out->at = at;
    return true;
}

/* Looks at the bytes before anything else: false, and s->line is where the first wrong one stands. */
static bool bytes_right(struct scan *s)
{
    for (const char *p = s->p; p < s->end;) {
        const char *before = p;
        uint32_t c = utf8_next(&p, s->end);
        if (c == 0xfffd && p - before == 1) return fail(s, "it is not UTF-8: save it as \"CSV UTF-8\"");
        if (c == 0) return fail(s, "there is a NUL byte: is it a text file?");
        s->line += c == '\n' || (c == '\r' && !(p < s->end && *p == '\n'));
    }
    s->line = 1;
    return true;
}

bool csv_read(struct arena *a, struct span text, struct csv *out, int *out_line, const char **out_why)
{
    struct scan s = { .a = a, .line = 1 };
    struct csv_row *rows = NULL;
    size_t n = 0, room = 0;
    text = arena_copy(a, span_begins(text, SPAN(CSV_BOM)) ? span_cut(text, 3) : text);
    s.p = text.p;
    s.end = text.p ? text.p + text.n : NULL;
    if (!text.p) fail(&s, "out of memory");
    else bytes_right(&s);
    while (!s.why && s.p < s.end) {
        if (at_line_end(&s)) {
            line_end_skip(&s);
            continue;
        }
        if (n == CSV_ROWS) {
            fail(&s, "too many lines");
            break;
        }
        if (n == room) {
            room = room ? room * 2 : 64;
            struct csv_row *more = arena_take(a, room * sizeof *more);
            if (!more) {
                fail(&s, "out of memory");
                break;
            }
            if (n) memcpy(more, rows, n * sizeof *more);
            rows = more;
        }
        if (!row(&s, &rows[n])) break;
        n++;
        line_end_skip(&s);
    }
    *out = (struct csv){ n, rows };
    *out_line = s.line;
    *out_why = s.why;
    return !s.why;
}

static bool is_formula(struct span f) { return f.n && f.p[0] && strchr("=+-@\t\r", f.p[0]); }

void csv_write(struct buf *b, const struct span *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct span f = fields[i];
        bool formula = is_formula(f), quote = formula;
        for (size_t k = 0; k < f.n && !quote; k++) quote = f.p[k] == '"' || f.p[k] == ',' || f.p[k] == '\n' || f.p[k] == '\r';
        if (i) buf_add_z(b, ",");
        if (quote) buf_add_z(b, "\"");
        if (formula) buf_add_z(b, "'");
        for (size_t k = 0; k < f.n; k++) {
            buf_add(b, &f.p[k], 1);
            if (f.p[k] == '"') buf_add_z(b, "\"");
        }
        if (quote) buf_add_z(b, "\"");
    }
    buf_add_z(b, "\r\n");
}
