/* apps/absence/ical.c: see ical.h. A line is put together unfolded and then cut: the first piece has 75 octets, the others 74 behind their space. */
#include "apps/absence/ical.h"

enum { FOLD_BYTES = 75, LINE_BYTES = 64 * 1024 };

static void fold(struct buf *out, struct span line)
{
    size_t most = FOLD_BYTES;
    while (line.n > most) {
        size_t n = most;
        while (n > 1 && ((unsigned char)line.p[n] & 0xc0) == 0x80) n--;
        buf_add(out, line.p, n);
        buf_add_z(out, "\r\n ");
        line = span_cut(line, n);
        most = FOLD_BYTES - 1;
    }
    buf_add_span(out, line);
    buf_add_z(out, "\r\n");
}

void ical_line(struct buf *out, const char *name, struct span value)
{
    struct buf line;
    for (size_t i = 0; i < value.n; i++) must((unsigned char)value.p[i] >= ' ' && value.p[i] != 0x7f);
    buf_init(&line, LINE_BYTES);
    buf_add_z(&line, name);
    buf_add_z(&line, ":");
    buf_add_span(&line, value);
    if (line.failed) out->failed = true;
    else fold(out, buf_span(&line));
    buf_done(&line);
}

void ical_text(struct buf *out, const char *name, struct span text)
{
    struct buf escaped;
    buf_init(&escaped, LINE_BYTES);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool crlf = c == '\r' && i + 1 < text.n && text.p[i + 1] == '\n';
        if (crlf) continue;
        if (c == '\n' || c == '\r') buf_add_z(&escaped, "\\n");
        else if (c == '\\' || c == ';' || c == ',') buf_add(&escaped, (char[]){ '\\', c }, 2);
        else if ((unsigned char)c >= ' ' && c != 0x7f) buf_add(&escaped, &c, 1);
    }
    if (escaped.failed) out->failed = true;
    else ical_line(out, name, buf_span(&escaped));
    buf_done(&escaped);
}
