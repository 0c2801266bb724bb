/* net/address.c: who is at the other end. Addresses are 16 bytes, IPv4 among them as ::ffff:a.b.c.d, so that one comparison serves both and a
 * dual-stack listener's peers are printed as what they are.
 *
 * Behind a proxy the peer is the proxy, and X-Forwarded-For tells the rest; but anybody can send that header. So it counts only from peers that the
 * operator named, and of its list the right-most address that is not such a proxy itself: what stands to the left of it was written by somebody
 * whom we do not know. A malformed entry ends the search at the last address that is certain.
 *
 * Called by accept.c, exchange.c and server.c. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "net/net_in.h"

static const unsigned char mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

static bool is_mapped(const struct address *a) { return memcmp(a->ip, mapped_prefix, sizeof mapped_prefix) == 0; }

static void map_v4(const void *v4, struct address *out)
{
    memcpy(out->ip, mapped_prefix, sizeof mapped_prefix);
    memcpy(out->ip + 12, v4, 4);
}

bool address_of(const struct sockaddr *sa, struct address *out)
{
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        map_v4(&in.sin_addr, out);
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof in6);
        memcpy(out->ip, &in6.sin6_addr, 16);
        return true;
    }
    return false;
}

static bool parse(struct span s, struct address *out, bool *out_v4)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char v4[4];
    if (s.n == 0 || s.n >= sizeof text || memchr(s.p, 0, s.n)) return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    *out_v4 = inet_pton(AF_INET, text, v4) == 1;
    if (*out_v4) map_v4(v4, out);
    return *out_v4 || inet_pton(AF_INET6, text, out->ip) == 1;
}

bool address_parse(struct span s, struct address *out)
{
    bool v4;
    return parse(s, out, &v4);
}

static bool is_port(struct span s)                        /* ":8080" */
{
    if (s.n < 2 || s.n > 6 || s.p[0] != ':') return false;
    for (size_t i = 1; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9') return false;
    return true;
}

bool address_parse_hop(struct span s, struct address *out)
{
    s = span_trim(s);
    if (s.n && s.p[0] == '[') {
        int close = span_find(s, ']');
        if (close < 0) return false;
        struct span port = span_cut(s, (size_t)close + 1);
        bool v4;
        return (port.n == 0 || is_port(port)) && parse(span_from(s.p + 1, (size_t)close - 1), out, &v4) && !v4;
    }
    int colon = span_find(s, ':');
    if (colon >= 0 && span_find(span_cut(s, (size_t)colon + 1), ':') < 0) {          /* one colon: IPv4 and a port */
        if (!is_port(span_cut(s, (size_t)colon))) return false;
        s.n = (size_t)colon;
    }
    return address_parse(s, out);
}

size_t address_print(const struct address *a, char out[46])
{
    const char *done = is_mapped(a) ? inet_ntop(AF_INET, a->ip + 12, out, 46) : inet_ntop(AF_INET6, a->ip, out, 46);
    must(done);
    return strlen(out);
}

bool address_is_loopback(const struct address *a)
{
    static const unsigned char one[16] = { [15] = 1 };
    return (is_mapped(a) && a->ip[12] == 127) || memcmp(a->ip, one, 16) == 0;
}

/* ---- lists ---- */

static bool range_parse(struct span s, struct address_range *out)
{
    int slash = span_find(s, '/');
    bool v4;
    int64_t bits = -1;
    struct span base = slash < 0 ? s : span_from(s.p, (size_t)slash);
    if (!parse(base, &out->base, &v4)) return false;
    int most = v4 ? 32 : 128;
    if (slash < 0) bits = most;
    else if (!span_to_i64(span_cut(s, (size_t)slash + 1), &bits) || bits < 0 || bits > most) return false;
    out->bits = (int)bits + (v4 ? 96 : 0);
    return true;
}

bool address_list_parse(struct span s, struct address_list *out, struct buf *err)
{
    *out = (struct address_list){ 0 };
    while (s.n) {
        int comma = span_find(s, ',');
        struct span one = span_trim(comma < 0 ? s : span_from(s.p, (size_t)comma));
        s = comma < 0 ? SPAN("") : span_cut(s, (size_t)comma + 1);
        if (one.n == 0) continue;
        struct address_range *at = base_realloc(out->at, (out->n + 1) * sizeof *at);
        if (at) out->at = at;
        if (!at || !range_parse(one, &at[out->n])) {
            buf_printf(err, at ? "\"%.*s\" is not an address or a range like 10.0.0.0/8" : "out of memory at \"%.*s\"", SPAN_ARGS(one));
            address_list_free(out);
            return false;
        }
        out->n++;
    }
    return true;
}

void address_list_free(struct address_list *l)
{
    free(l->at);
    *l = (struct address_list){ 0 };
}

static bool range_has(const struct address_range *r, const struct address *a)
{
    size_t whole = (size_t)r->bits / 8;
    int rest = r->bits % 8;
    if (memcmp(r->base.ip, a->ip, whole) != 0) return false;
    return rest == 0 || ((r->base.ip[whole] ^ a->ip[whole]) >> (8 - rest)) == 0;
}

bool address_list_has(const struct address_list *l, const struct address *a)
{
    for (size_t i = 0; i < l->n; i++)
        if (range_has(&l->at[i], a)) return true;
    return false;
}

struct address address_behind(const struct address_list *trusted, const struct address *peer, const struct http_head *head)
{
    struct address certain = *peer, hop;
    for (size_t i = head->header_count; i-- > 0;) {
        struct span left = head->headers[i].value;
        if (!span_is_nocase(head->headers[i].name, SPAN("X-Forwarded-For"))) continue;
        for (bool more = true; more;) {
            const char *comma = left.n ? memrchr(left.p, ',', left.n) : NULL;
            struct span last = comma ? span_cut(left, (size_t)(comma + 1 - left.p)) : left;
            more = comma != NULL;
            if (comma) left.n = (size_t)(comma - left.p);
            if (!address_parse_hop(last, &hop)) return certain;
            certain = hop;
            if (!address_list_has(trusted, &hop)) return certain;
        }
    }
    return certain;
}
