/* wire/multipart.c: multipart/form-data (RFC 7578, RFC 2046) as a stream.
 *
 * A delimiter is CRLF "--" boundary. It holds one CR, its first byte; so when a match breaks off, the bytes that matched hold no beginning of
 * another one, and the search is linear with no table: a CR is looked for with memchr, and what follows it is compared. A match that the end of the
 * input cuts off is kept as a number; if it breaks off later, the bytes are given out of our own copy of the delimiter. Before the first byte of the body
 * and of a part the CRLF counts as seen: a body may begin with its boundary, and a part may be empty without a line of its own.
 *
 * Behind a boundary only "--", or white space and CRLF may stand. RFC 2046 would take a longer line for a boundary too and most programs take it for
 * data; so it is refused. Bare LFs are refused in boundary lines and heads (in data they are data). The preamble is passed over; so is all behind the closing
 * boundary, whatever it is.
 *
 * Events do not depend on how the input is cut, but for where one run of data is cut into several. Called by the engine with the body as it arrives. */
#include "wire/multipart_in.h"
#include "wire/http1_in.h"

#define BOUNDARY_BYTES 70

enum state { SEARCH, BEHIND, PADDING, DASH, LINE, HEAD, HEAD_LF, CLOSING, DONE, REFUSED };

struct multipart {
    enum state state;
    bool in_part;                                          /* SEARCH gives data; otherwise it is the preamble */
    bool line_begins;                                      /* HEAD: at the beginning of a line */
    size_t matched;                                        /* bytes of the delimiter that the input behind us ends with … */
    size_t owned;                                          /* … of which so many are no data of this part (the CRLF counted as seen) */
    size_t parts, head_n, delimiter_n;
    const char *why;
    char delimiter[4 + BOUNDARY_BYTES];
    char head[LIMIT_PART_HEAD_BYTES];
};

struct multipart *multipart_new(struct span boundary)
{
    must(boundary.n >= 1 && boundary.n <= BOUNDARY_BYTES && !memchr(boundary.p, '\r', boundary.n));     /* out of multipart_boundary */
    struct multipart *m = base_alloc(sizeof *m);
    if (!m) return NULL;
    *m = (struct multipart){ .state = SEARCH, .matched = 2, .owned = 2, .delimiter_n = 4 + boundary.n };
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.p, boundary.n);
    return m;
}

void multipart_free(struct multipart **m)
{
    free(*m);
    *m = NULL;
}

bool multipart_done(const struct multipart *m) { return m->state == CLOSING || m->state == DONE; }
const char *multipart_why(const struct multipart *m) { return m->why; }

static enum multipart_event refuse(struct multipart *m, const char *why)
{
    m->state = REFUSED;
    m->why = why;
    return MULTIPART_ERROR;
}

/* The delimiter is complete. */
static void search_done(struct multipart *m)
{
    m->matched = m->owned = 0;
    m->state = BEHIND;
}

/* Goes on with a match that began in an earlier input. MULTIPART_DATA if it broke off and its bytes were data, else MULTIPART_MORE. */
static enum multipart_event search_resume(struct multipart *m, struct span *in, struct span *out_data)
{
    size_t i = 0, owned = m->owned;
    while (i < in->n && m->matched < m->delimiter_n && in->p[i] == m->delimiter[m->matched]) {
        m->matched++;
        i++;
    }
    *in = span_cut(*in, i);
    if (m->matched == m->delimiter_n) {
        search_done(m);
    } else if (in->n > 0) {
        *out_data = span_from(m->delimiter + owned, m->matched - owned);
        m->matched = m->owned = 0;
        if (m->in_part && out_data->n > 0) return MULTIPART_DATA;
    }
    return MULTIPART_MORE;
}

/* Looks for the delimiter in an input that begins with no part of it. Eats all before it, and it or its beginning. */
static enum multipart_event search_step(struct multipart *m, struct span *in, struct span *out_data)
{
    const char *start = in->p, *end = in->p + in->n, *p = start;
    while ((p = memchr(p, '\r', (size_t)(end - p))) != NULL) {
        size_t n = (size_t)(end - p) < m->delimiter_n ? (size_t)(end - p) : m->delimiter_n;
        if (memcmp(p, m->delimiter, n) == 0) {
            m->matched = n;
            break;
        }
        if (++p == end) break;
    }
    if (m->matched == 0) p = end;
    *out_data = span_from(start, (size_t)(p - start));
    *in = span_from(p + m->matched, (size_t)(end - p) - m->matched);
    if (m->matched == m->delimiter_n) search_done(m);
    return m->in_part && out_data->n > 0 ? MULTIPART_DATA : MULTIPART_MORE;
}

/* The boundary line is whole: `next` says what comes. */
static enum multipart_event part_over(struct multipart *m, enum state next)
{
    bool was = m->in_part;
    m->in_part = false;
    m->state = next;
    m->head_n = 0;
    m->line_begins = true;
    if (next == HEAD && ++m->parts > LIMIT_MULTIPART_PARTS) return refuse(m, "too many parts");
    return was ? MULTIPART_PART_END : MULTIPART_MORE;
}

static enum multipart_event boundary_step(struct multipart *m, char c)
{
    switch (m->state) {
    case BEHIND:
    case PADDING:
        if (c == '\r') m->state = LINE;
        else if (c == ' ' || c == '\t') m->state = PADDING;
        else if (c == '-' && m->state == BEHIND) m->state = DASH;
        else return refuse(m, "bytes behind a boundary");
        return MULTIPART_MORE;
    case DASH:
        return c == '-' ? part_over(m, CLOSING) : refuse(m, "bytes behind a boundary");
    default:                                               /* LINE */
        return c == '\n' ? part_over(m, HEAD) : refuse(m, "a line that does not end with CRLF");
    }
}

/* One byte of a part's head. The head is kept with the CRLFs of its lines, without the empty one. */
static enum multipart_event head_step(struct multipart *m, char c, struct multipart_part *out_part)
{
    if (m->state == HEAD && c == '\r') {
        m->state = HEAD_LF;
        return MULTIPART_MORE;
    }
    if ((c != '\t' && !http_byte_printable(c) && c != '\n') || (m->state == HEAD_LF) != (c == '\n')) {
        return refuse(m, c == '\n' || m->state == HEAD_LF ? "a line that does not end with CRLF" : "a control byte in the head of a part");
    }
    if (m->state == HEAD_LF && m->line_begins) {
        const char *why = multipart_head_read(m->head, m->head_n, out_part);
        if (why) return refuse(m, why);
        m->state = SEARCH;
        m->in_part = true;
        m->matched = m->owned = 2;
        return MULTIPART_PART;
    }
    size_t more = c == '\n' ? 2 : 1;
    if (sizeof m->head - m->head_n < more) return refuse(m, "the head of a part is too long");
    memcpy(m->head + m->head_n, c == '\n' ? "\r\n" : &c, more);
    m->head_n += more;
    m->line_begins = c == '\n';
    m->state = HEAD;
    return MULTIPART_MORE;
}

enum multipart_event multipart_feed(struct multipart *m, struct span *in, struct multipart_part *out_part, struct span *out_data)
{
    enum multipart_event event = MULTIPART_MORE;
    if (m->state == REFUSED) return MULTIPART_ERROR;
    while (event == MULTIPART_MORE) {
        if (m->state == CLOSING) {
            m->state = DONE;
            return MULTIPART_END;
        }
        if (in->n == 0) break;
        char c = in->p[0];
        switch (m->state) {
        case SEARCH:
            event = m->matched > 0 ? search_resume(m, in, out_data) : search_step(m, in, out_data);
            break;
        case HEAD:
        case HEAD_LF:
            *in = span_cut(*in, 1);
            event = head_step(m, c, out_part);
            break;
        case DONE:
            *in = span_cut(*in, in->n);
            break;
        default:
            *in = span_cut(*in, 1);
            event = boundary_step(m, c);
            break;
        }
    }
    return event;
}
