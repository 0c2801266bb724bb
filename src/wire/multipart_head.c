/* wire/multipart_head.c: what a multipart body says about itself: the boundary in its Content-Type and the heads of its parts.
 *
 * Content-Disposition as it is written in the wild: quoted strings in which a backslash escapes '"' and '\' (curl, old Firefox) but stands for itself
 * elsewhere (the whole Windows paths of old browsers), %22 for '"' (today's browsers; they escape no '%', so nothing else is undone), filename*
 * with UTF-8 (RFC 8187; against RFC 7578, but clients of Python and Java send it), which wins over filename if it is well-formed.
 *
 * Of a filename only the last component is given, by both kinds of slash, and nothing for "." and "..": still it is what a stranger calls the file, not a
 * name to store it under. Bytes that are no UTF-8 become '?' there; in a field's name they are refused, like a second Content-Disposition, a second
 * name, and transfer encodings that would change the bytes. */
#include "wire/multipart_in.h"
#include "wire/http1_in.h"

struct param { struct span name, value; bool quoted; };   /* value without its quotes, escapes still in it */

static struct span skip_white(struct span s)
{
    size_t i = 0;
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t')) i++;
    return span_cut(s, i);
}

static size_t token_end(struct span s)
{
    size_t i = 0;
    while (i < s.n && http_byte_is(s.p[i], HTTP_BYTE_TOKEN)) i++;
    return i;
}

/* *rest stands behind the main value or behind a parameter. 1: the next one is in *out;  0: there is none;  -1: malformed. */
static int param_next(struct span *rest, struct param *out)
{
    struct span s = skip_white(*rest);
    if (s.n > 0 && s.p[0] != ';') return -1;
    while (s.n > 0 && s.p[0] == ';') s = skip_white(span_cut(s, 1));    /* empty ones too */
    if (s.n == 0) return 0;
    size_t i = token_end(s);
    if (i == 0 || i == s.n || s.p[i] != '=') return -1;
    out->name = span_from(s.p, i);
    s = span_cut(s, i + 1);
    out->quoted = s.n > 0 && s.p[0] == '"';
    i = 0;
    if (out->quoted) {
        s = span_cut(s, 1);
        while (i < s.n && s.p[i] != '"') i += s.p[i] == '\\' && s.n - i > 1 && (s.p[i + 1] == '"' || s.p[i + 1] == '\\') ? 2 : 1;
        if (i == s.n) return -1;
        out->value = span_from(s.p, i);
        s = span_cut(s, i + 1);
    } else {
        while (i < s.n && s.p[i] != ';' && s.p[i] != ' ' && s.p[i] != '\t' && s.p[i] != '"') i++;
        if (i == 0) return -1;
        out->value = span_from(s.p, i);
        s = span_cut(s, i);
    }
    *rest = s;                                             /* what stands there is looked at by the next call */
    return 1;
}

static bool boundary_valid(struct span s)                  /* RFC 2046, 5.1.1 */
{
    if (s.n == 0 || s.n > 70 || s.p[s.n - 1] == ' ') return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && (c == 0 || !strchr("'()+_,-./:=? ", c))) return false;
    }
    return true;
}

bool multipart_boundary(struct span content_type, struct span *out)
{
    struct span rest = span_trim(content_type), found = { 0 };
    struct param param;
    size_t n = SPAN("multipart/form-data").n;
    int r;
    *out = (struct span){ 0 };
    if (rest.n < n || !span_is_nocase(span_from(rest.p, n), SPAN("multipart/form-data"))) return false;
    rest = span_cut(rest, n);
    while ((r = param_next(&rest, &param)) == 1) {
        if (!span_is_nocase(param.name, SPAN("boundary"))) continue;
        if (found.p || !boundary_valid(param.value)) return false;
        found = param.value;
    }
    if (r < 0 || !found.p) return false;
    *out = found;
    return true;
}

/* ---- heads of parts ---- */

/* Undoes the escapes of a name or filename where it lies. */
static struct span value_unescape(char *head, struct param param)
{
    char *start = head + (param.value.p - head), *to = start;
    for (size_t i = 0; i < param.value.n; i++) {
        char c = start[i];
        size_t left = param.value.n - i;
        if (param.quoted && c == '\\' && left > 1 && (start[i + 1] == '"' || start[i + 1] == '\\')) {
            c = start[++i];
        } else if (c == '%' && left > 2 && start[i + 1] == '2' && start[i + 2] == '2') {
            c = '"';
            i += 2;
        }
        *to++ = c;
    }
    return span_from(start, (size_t)(to - start));
}

/* filename* of RFC 8187 where it lies: UTF-8'language'bytes. False: keep to filename. */
static bool value_extended(char *head, struct param param, struct span *out)
{
    struct span s = param.value;
    if (param.quoted || s.n < 7 || !span_is_nocase(span_from(s.p, 6), SPAN("UTF-8'"))) return false;
    s = span_cut(s, 6);
    int mark = span_find(s, '\'');
    if (mark < 0) return false;
    s = span_cut(s, (size_t)mark + 1);
    char *start = head + (s.p - head), *to = start;
    for (size_t i = 0; i < s.n; i++) {
        char c = start[i];
        if (c == '%') {
            int hi = s.n - i > 2 ? http_hex_value(start[i + 1]) : -1, lo = s.n - i > 2 ? http_hex_value(start[i + 2]) : -1;
            if (hi < 0 || lo < 0) return false;
            c = (char)(hi << 4 | lo);
            i += 2;
        } else if (!http_byte_is(c, HTTP_BYTE_TOKEN) || c == '*' || c == '\'') {
            return false;
        }
        if (!http_byte_printable(c)) return false;
        *to++ = c;
    }
    *out = span_from(start, (size_t)(to - start));
    return utf8_valid(*out);
}

static struct span filename_clean(char *head, struct span s)
{
    for (size_t i = s.n; i > 0; i--) {
        if (s.p[i - 1] == '/' || s.p[i - 1] == '\\') {
            s = span_cut(s, i);
            break;
        }
    }
    if (span_is(s, SPAN(".")) || span_is(s, SPAN(".."))) s.n = 0;
    for (const char *p = s.p, *end = s.p + s.n; p < end;) {
        const char *at = p;
        if (utf8_next(&p, end) == 0xfffd && p - at == 1) head[at - head] = '?';      /* U+FFFD itself has three bytes */
    }
    return s;
}

static const char *disposition_read(char *head, struct span value, struct multipart_part *out)
{
    struct span extended = { 0 };
    struct param param;
    bool extended_seen = false;
    int r;
    size_t n = token_end(value);
    if (!span_is_nocase(span_from(value.p, n), SPAN("form-data"))) return "a part is not form-data";
    value = span_cut(value, n);
    while ((r = param_next(&value, &param)) == 1) {
        if (span_is_nocase(param.name, SPAN("name"))) {
            if (out->name.p) return "a part with two names";
            out->name = value_unescape(head, param);
        } else if (span_is_nocase(param.name, SPAN("filename"))) {
            if (out->filename.p) return "a part with two filenames";
            out->filename = value_unescape(head, param);
        } else if (span_is_nocase(param.name, SPAN("filename*"))) {
            if (extended_seen) return "a part with two filenames";
            extended_seen = true;
            if (!value_extended(head, param, &extended)) extended = (struct span){ 0 };
        }
    }
    if (r < 0) return "malformed Content-Disposition";
    if (out->name.n == 0) return "a part without a name";
    if (!utf8_valid(out->name)) return "a part's name is not UTF-8";
    out->has_filename = out->filename.p || extended_seen;
    if (extended.p) out->filename = extended;
    if (out->filename.p) out->filename = filename_clean(head, out->filename);
    return NULL;
}

const char *multipart_head_read(char *head, size_t n, struct multipart_part *out)
{
    bool disposition = false, type = false;
    *out = (struct multipart_part){ 0 };
    for (size_t at = 0; at < n;) {
        char *line = head + at, *end = memchr(line, '\r', n - at);
        must(end && end + 1 < head + n);                   /* multipart.c has seen every CRLF */
        at = (size_t)(end - head) + 2;
        size_t name_n = token_end(span_from(line, (size_t)(end - line)));
        struct span name = { line, name_n };
        if (name_n == 0 || line[name_n] != ':') return "malformed header in a part";
        struct span value = span_trim(span_from(line + name_n + 1, (size_t)(end - line) - name_n - 1));
        if (span_is_nocase(name, SPAN("content-disposition"))) {
            if (disposition) return "a part with two Content-Dispositions";
            disposition = true;
            const char *why = disposition_read(head, value, out);
            if (why) return why;
        } else if (span_is_nocase(name, SPAN("content-type"))) {
            if (type) return "a part with two Content-Types";
            type = true;
            out->type = value;
        } else if (span_is_nocase(name, SPAN("content-transfer-encoding"))) {
            if (!span_is_nocase(value, SPAN("binary")) && !span_is_nocase(value, SPAN("8bit")) && !span_is_nocase(value, SPAN("7bit")))
                return "a part in a transfer encoding";
        }
    }
    return disposition ? NULL : "a part without Content-Disposition";
}
