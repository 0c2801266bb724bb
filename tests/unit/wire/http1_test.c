/* tests/unit/wire/http1_test.c: HTTP/1.1 heads, targets, paths and chunked bodies.
 *
 * One table of requests with the status that each of them must get (0: taken). Every row is read at once, in two pieces split at every byte, and byte
 * by byte; all readings must agree, which is the property that keeps slow clients from meeting another parser than quick ones. What a table cannot
 * say (the fields of a head, limits, how early a refusal comes) has tests of its own below. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "wire/http1.h"

#define LIT(text) { "" text, sizeof(text) - 1 }
#define GET(lines) LIT("GET / HTTP/1.1\r\nHost: a.example\r\n" lines "\r\n")
#define POST(lines) LIT("POST / HTTP/1.1\r\nHost: a.example\r\n" lines "\r\n")
#define HOST(value) LIT("GET / HTTP/1.1\r\nHost: " value "\r\n\r\n")
#define LINE(line) LIT(line "\r\nHost: a.example\r\n\r\n")
#define TARGET(target) LINE("GET " target " HTTP/1.1")

struct row { const char *name; struct span text; int status; };

static const struct row rows[] = {
    /* request lines that are right */
    { "plain", TARGET("/"), 0 },
    { "head", LINE("HEAD / HTTP/1.1"), 0 },
    { "post", LINE("POST / HTTP/1.1"), 0 },
    { "put", LINE("PUT / HTTP/1.1"), 0 },
    { "patch", LINE("PATCH / HTTP/1.1"), 0 },
    { "delete", LINE("DELETE / HTTP/1.1"), 0 },
    { "options", LINE("OPTIONS / HTTP/1.1"), 0 },
    { "options for the server", LINE("OPTIONS * HTTP/1.1"), 0 },
    { "HTTP/1.0", LINE("GET / HTTP/1.0"), 0 },
    { "HTTP/1.0 without host", LIT("GET / HTTP/1.0\r\n\r\n"), 0 },
    { "one empty line before", LIT("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 0 },
    { "query", TARGET("/a?b=c&d=%20"), 0 },
    { "query with a question mark", TARGET("/a?b?c"), 0 },
    { "double slash", TARGET("//a//b"), 0 },
    { "escapes", TARGET("/%e4%bd%a0"), 0 },
    { "pipe and braces as browsers send them", TARGET("/a?x={1|2}"), 0 },
    { "quotes, angles, hat, backtick, backslash", TARGET("/a?\"<>^`\\"), 0 },
    { "absolute-form", TARGET("http://a.example/x"), 0 },
    { "absolute-form, other case", TARGET("HTTP://A.Example/x"), 0 },
    { "absolute-form, default port", TARGET("http://a.example:80/x"), 0 },
    { "absolute-form, empty port", TARGET("http://a.example:/x"), 0 },
    { "absolute-form, https and its port", TARGET("https://a.example:443/"), 0 },
    { "absolute-form without path", TARGET("http://a.example"), 0 },
    { "absolute-form with only a query", TARGET("http://a.example?x=1"), 0 },
    { "absolute-form, HTTP/1.0, no Host", LIT("GET http://a.example/ HTTP/1.0\r\n\r\n"), 0 },
    /* request lines that are malformed */
    { "space before the method", LINE(" GET / HTTP/1.1"), 400 },
    { "two empty lines before", LIT("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400 },
    { "bare LF before", LIT("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400 },
    { "bare CR before", LIT("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400 },
    { "two spaces behind the method", LINE("GET  / HTTP/1.1"), 400 },
    { "two spaces behind the target", LINE("GET /  HTTP/1.1"), 400 },
    { "space behind the version", LINE("GET / HTTP/1.1 "), 400 },
    { "tab behind the method", LINE("GET\t/ HTTP/1.1"), 400 },
    { "tab behind the target", LINE("GET /\tHTTP/1.1"), 400 },
    { "vertical tab", LINE("GET\v/ HTTP/1.1"), 400 },
    { "no target", LINE("GET HTTP/1.1"), 400 },
    { "only a method", LINE("GET"), 400 },
    { "no version", LINE("GET /"), 400 },
    { "no version, one space", LINE("GET / "), 400 },
    { "HTTP/0.9 as it was", LIT("GET /\r\n"), 400 },
    { "white space only", LIT("   \r\n\r\n"), 400 },
    { "space in the target", TARGET("/a b"), 400 },
    { "bare LF behind the request line", LIT("GET / HTTP/1.1\nHost: a\r\n\r\n"), 400 },
    { "bare CR behind the request line", LIT("GET / HTTP/1.1\rHost: a\r\n\r\n"), 400 },
    { "CR CR LF", LIT("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"), 400 },
    { "only bare LFs", LIT("GET / HTTP/1.1\nHost: a\n\n"), 400 },
    { "NUL in the method", LINE("G\0T / HTTP/1.1"), 400 },
    { "separator in the method", LINE("G(T / HTTP/1.1"), 400 },
    { "at sign in the method", LINE("GET@ / HTTP/1.1"), 400 },
    { "obs-text in the method", LINE("G\xc3\x8bT / HTTP/1.1"), 400 },
    { "quoted method", LINE("\"GET\" / HTTP/1.1"), 400 },
    { "TLS client hello", LIT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 400 },
    { "RTSP-like first line", LIT("hello there\r\n\r\n"), 400 },
    /* targets */
    { "fragment", TARGET("/a#b"), 400 },
    { "NUL in the target", TARGET("/a\0b"), 400 },
    { "control byte in the target", TARGET("/a\x01"), 400 },
    { "escape byte in the target", TARGET("/a\x1b[0m"), 400 },
    { "DEL in the target", TARGET("/a\x7f"), 400 },
    { "raw UTF-8 in the target", TARGET("/caf\xc3\xa9"), 400 },
    { "raw latin-1 in the query", TARGET("/?q=\xe9"), 400 },
    { "bare CR in the target", TARGET("/a\rb"), 400 },
    { "asterisk with GET", TARGET("*"), 400 },
    { "asterisk and more", LINE("OPTIONS *a HTTP/1.1"), 400 },
    { "asterisk with a query", LINE("OPTIONS *?a HTTP/1.1"), 400 },
    { "authority-form", TARGET("a.example:80"), 400 },
    { "relative path", TARGET("a/b"), 400 },
    { "only a query", TARGET("?a"), 400 },
    { "absolute-form, another host", TARGET("http://b.example/x"), 400 },
    { "absolute-form, another port", TARGET("http://a.example:8080/x"), 400 },
    { "absolute-form, https with http's port", TARGET("https://a.example:80/x"), 400 },
    { "absolute-form, userinfo", TARGET("http://me@a.example/x"), 400 },
    { "absolute-form, empty authority", TARGET("http:///x"), 400 },
    { "absolute-form, nothing behind the scheme", TARGET("http://"), 400 },
    { "absolute-form, port is no number", TARGET("http://a.example:8x/"), 400 },
    { "absolute-form, another scheme", TARGET("ftp://a.example/x"), 400 },
    { "absolute-form, one slash", TARGET("http:/a.example/x"), 400 },
    { "absolute-form without Host", LIT("GET http://a.example/ HTTP/1.1\r\n\r\n"), 400 },
    /* methods */
    { "unknown method", LINE("BREW / HTTP/1.1"), 501 },
    { "lower case method", LINE("get / HTTP/1.1"), 501 },
    { "mixed case method", LINE("Get / HTTP/1.1"), 501 },
    { "TRACE", LINE("TRACE / HTTP/1.1"), 501 },
    { "method of many token characters", LINE("!#$%&'*+-.^_`|~9Az / HTTP/1.1"), 501 },
    { "prefix of a method", LINE("GE / HTTP/1.1"), 501 },
    { "method and more", LINE("GETS / HTTP/1.1"), 501 },
    { "CONNECT", LINE("CONNECT a.example:443 HTTP/1.1"), 501 },
    { "CONNECT, origin-form", LINE("CONNECT /path HTTP/1.1"), 400 },
    { "CONNECT, empty port", LINE("CONNECT a.example: HTTP/1.1"), 400 },
    { "CONNECT, no port", LINE("CONNECT a.example HTTP/1.1"), 400 },
    { "CONNECT, address without port", LINE("CONNECT [::1] HTTP/1.1"), 400 },
    /* versions */
    { "HTTP/2.0", LINE("GET / HTTP/2.0"), 505 },
    { "HTTP/1.2", LINE("GET / HTTP/1.2"), 505 },
    { "HTTP/0.9", LINE("GET / HTTP/0.9"), 505 },
    { "HTTP/9.9", LINE("GET / HTTP/9.9"), 505 },
    { "HTTP/3.0", LINE("GET / HTTP/3.0"), 505 },
    { "preface of HTTP/2", LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505 },
    { "HTTP/2", LINE("GET / HTTP/2"), 400 },
    { "HTTP/1", LINE("GET / HTTP/1"), 400 },
    { "HTTP/1.", LINE("GET / HTTP/1."), 400 },
    { "HTTP/.1", LINE("GET / HTTP/.1"), 400 },
    { "HTTP/01.1", LINE("GET / HTTP/01.1"), 400 },
    { "HTTP/1.01", LINE("GET / HTTP/1.01"), 400 },
    { "HTTP/1.10", LINE("GET / HTTP/1.10"), 400 },
    { "HTTP/11.1", LINE("GET / HTTP/11.1"), 400 },
    { "HTTP/1,1", LINE("GET / HTTP/1,1"), 400 },
    { "HTTP/ 1.1", LINE("GET / HTTP/ 1.1"), 400 },
    { "HTTP /1.1", LINE("GET / HTTP /1.1"), 400 },
    { "http/1.1", LINE("GET / http/1.1"), 400 },
    { "HTTPS/1.1", LINE("GET / HTTPS/1.1"), 400 },
    { "HTTP/+1.1", LINE("GET / HTTP/+1.1"), 400 },
    { "HTTP/1.1 and more", LINE("GET / HTTP/1.1x"), 400 },
    { "letters for digits", LINE("GET / HTTP/a.b"), 400 },
    /* header lines */
    { "no white space behind the colon", GET("X:y\r\n"), 0 },
    { "tabs and spaces around a value", GET("X: \t y \t \r\n"), 0 },
    { "empty value", GET("X:\r\n"), 0 },
    { "white value", GET("X: \t \r\n"), 0 },
    { "tab inside a value", GET("X: a\tb\r\n"), 0 },
    { "obs-text in a value", GET("X: caf\xc3\xa9 \xff\r\n"), 0 },
    { "all token characters in a name", GET("!#$%&'*+-.^_`|~09AZaz: y\r\n"), 0 },
    { "underscore is no hyphen", GET("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n"), 0 },
    { "colons in a value", GET("X: a:b::c\r\n"), 0 },
    { "space before the colon", GET("X : y\r\n"), 400 },
    { "tab before the colon", GET("X\t: y\r\n"), 400 },
    { "space inside a name", GET("X Y: z\r\n"), 400 },
    { "tab inside a name", GET("X\tY: z\r\n"), 400 },
    { "empty name", GET(": y\r\n"), 400 },
    { "no colon", GET("nothing\r\n"), 400 },
    { "bracket in a name", GET("Bad[Name: y\r\n"), 400 },
    { "slash in a name", GET("a/b: y\r\n"), 400 },
    { "obs-text in a name", GET("X-T\xc3\xabst: y\r\n"), 400 },
    { "NUL in a name", GET("X\0Y: z\r\n"), 400 },
    { "DEL in a name", GET("X\x7f: z\r\n"), 400 },
    { "CR in a name", GET("X\rY: z\r\n"), 400 },
    { "obs-fold with a space", GET("X: a\r\n b\r\n"), 400 },
    { "obs-fold with a tab", GET("X: a\r\n\tb\r\n"), 400 },
    { "white space before the first header", LIT("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), 400 },
    { "white line before the first header", LIT("GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n"), 400 },
    { "NUL in a value", GET("X: a\0b\r\n"), 400 },
    { "BEL in a value", GET("X: a\ab\r\n"), 400 },
    { "vertical tab in a value", GET("X: a\vb\r\n"), 400 },
    { "form feed in a value", GET("X: a\fb\r\n"), 400 },
    { "escape in a value", GET("X: 12345678\x1b\r\n"), 400 },
    { "DEL in a value", GET("X: a\x7f\r\n"), 400 },
    { "bare CR in a value", GET("X: a\rb\r\n"), 400 },
    { "bare LF behind a value", GET("X: a\nY: b\r\n"), 400 },
    { "bare CR behind a value", GET("X: a\rY: b\r\n"), 400 },
    { "CR CR LF behind a value", GET("X: a\r\r\n"), 400 },
    { "head ended by bare LF", LIT("GET / HTTP/1.1\r\nHost: a\r\n\n"), 400 },
    { "head ended by bare CR", LIT("GET / HTTP/1.1\r\nHost: a\r\n\rX"), 400 },
    /* Host */
    { "name and port", HOST("a.example:8080"), 0 },
    { "name and empty port", HOST("a.example:"), 0 },
    { "IPv4", HOST("127.0.0.1:80"), 0 },
    { "IPv6", HOST("[::1]"), 0 },
    { "IPv6 and port", HOST("[2001:db8::7]:443"), 0 },
    { "underscore", HOST("my_service"), 0 },
    { "upper case", HOST("A.EXAMPLE"), 0 },
    { "no Host", LIT("GET / HTTP/1.1\r\n\r\n"), 400 },
    { "no Host but others", LIT("GET / HTTP/1.1\r\nX: y\r\n\r\n"), 400 },
    { "two Hosts", GET("Host: b.example\r\n"), 400 },
    { "two equal Hosts", GET("Host: a.example\r\n"), 400 },
    { "two Hosts in HTTP/1.0", LIT("GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n"), 400 },
    { "empty Host", HOST(""), 400 },
    { "white Host", HOST("  "), 400 },
    { "userinfo", HOST("me@a.example"), 400 },
    { "path", HOST("a.example/x"), 400 },
    { "query in Host", HOST("a.example?x"), 400 },
    { "fragment in Host", HOST("a.example#x"), 400 },
    { "scheme", HOST("http://a.example"), 400 },
    { "list of hosts", HOST("a.example, b.example"), 400 },
    { "list of hosts without a space", HOST("a.example,b.example"), 400 },
    { "space inside", HOST("a example"), 400 },
    { "port is no number", HOST("a.example:http"), 400 },
    { "port too large", HOST("a.example:65536"), 400 },
    { "port of six digits", HOST("a.example:000080"), 400 },
    { "negative port", HOST("a.example:-1"), 400 },
    { "two ports", HOST("a.example:80:80"), 400 },
    { "only a port", HOST(":80"), 400 },
    { "IPv6 without brackets", HOST("2001:db8::7"), 400 },
    { "open bracket", HOST("[::1"), 400 },
    { "empty brackets", HOST("[]"), 400 },
    { "no address in brackets", HOST("[a.example]"), 400 },
    { "long rubbish in brackets", HOST("[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]"), 400 },
    { "bytes behind the bracket", HOST("[::1]80"), 400 },
    { "zone in brackets", HOST("[fe80::1%25eth0]"), 400 },
    { "angle", HOST("<a>"), 400 },
    { "percent", HOST("a%2eexample"), 400 },
    { "obs-text in Host", HOST("caf\xc3\xa9"), 400 },
    /* Content-Length */
    { "length", POST("Content-Length: 5\r\n"), 0 },
    { "length zero", POST("Content-Length: 0\r\n"), 0 },
    { "length in other case", POST("cOnTeNt-LeNgTh: 5\r\n"), 0 },
    { "length with white space around it", POST("Content-Length:  5 \t\r\n"), 0 },
    { "greatest length", POST("Content-Length: 9223372036854775807\r\n"), 0 },
    { "length with GET", GET("Content-Length: 5\r\n"), 0 },
    { "two lengths", POST("Content-Length: 5\r\nContent-Length: 6\r\n"), 400 },
    { "two equal lengths", POST("Content-Length: 5\r\nContent-Length: 5\r\n"), 400 },
    { "two equal lengths with a line between", POST("Content-Length: 5\r\nX: y\r\ncontent-length: 5\r\n"), 400 },
    { "list of equal lengths", POST("Content-Length: 5, 5\r\n"), 400 },
    { "list of lengths", POST("Content-Length: 5,6\r\n"), 400 },
    { "empty length", POST("Content-Length:\r\n"), 400 },
    { "length with plus", POST("Content-Length: +5\r\n"), 400 },
    { "length with minus", POST("Content-Length: -5\r\n"), 400 },
    { "minus zero", POST("Content-Length: -0\r\n"), 400 },
    { "hexadecimal length", POST("Content-Length: 0x5\r\n"), 400 },
    { "octal length", POST("Content-Length: 0o5\r\n"), 400 },
    { "length with a leading zero", POST("Content-Length: 05\r\n"), 400 },
    { "length of two zeros", POST("Content-Length: 00\r\n"), 400 },
    { "length with a letter", POST("Content-Length: 5a\r\n"), 400 },
    { "length with a dot", POST("Content-Length: 5.0\r\n"), 400 },
    { "length with an exponent", POST("Content-Length: 1e1\r\n"), 400 },
    { "length with an underscore", POST("Content-Length: 1_0\r\n"), 400 },
    { "length with a space inside", POST("Content-Length: 1 0\r\n"), 400 },
    { "quoted length", POST("Content-Length: \"5\"\r\n"), 400 },
    { "length of words", POST("Content-Length: five\r\n"), 400 },
    { "length one too great", POST("Content-Length: 9223372036854775808\r\n"), 400 },
    { "length of 2^64 + 5", POST("Content-Length: 18446744073709551621\r\n"), 400 },
    { "length of a hundred digits", POST("Content-Length: 99999999999999999999999999999999999999999999999999"
                                        "99999999999999999999999999999999999999999999999999\r\n"), 400 },
    { "folded length", POST("Content-Length:\r\n 5\r\n"), 400 },
    { "full-width digit", POST("Content-Length: \xef\xbc\x95\r\n"), 400 },
    /* Transfer-Encoding */
    { "chunked", POST("Transfer-Encoding: chunked\r\n"), 0 },
    { "chunked in other case", POST("TRANSFER-ENCODING: Chunked\r\n"), 0 },
    { "chunked with white space around it", POST("Transfer-Encoding: \tchunked \r\n"), 0 },
    { "chunked and length", POST("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400 },
    { "length and chunked", POST("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400 },
    { "chunked and length zero", POST("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), 400 },
    { "chunked twice", POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400 },
    { "chunked and identity in two lines", POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), 400 },
    { "chunked, chunked", POST("Transfer-Encoding: chunked, chunked\r\n"), 400 },
    { "chunked, identity", POST("Transfer-Encoding: chunked, identity\r\n"), 400 },
    { "identity, chunked", POST("Transfer-Encoding: identity, chunked\r\n"), 400 },
    { "identity", POST("Transfer-Encoding: identity\r\n"), 400 },
    { "gzip", POST("Transfer-Encoding: gzip\r\n"), 400 },
    { "gzip, chunked", POST("Transfer-Encoding: gzip, chunked\r\n"), 400 },
    { "xchunked", POST("Transfer-Encoding: xchunked\r\n"), 400 },
    { "chunkedx", POST("Transfer-Encoding: chunkedx\r\n"), 400 },
    { "chunked and a parameter", POST("Transfer-Encoding: chunked;a=b\r\n"), 400 },
    { "chunked and a comma", POST("Transfer-Encoding: chunked,\r\n"), 400 },
    { "comma and chunked", POST("Transfer-Encoding: ,chunked\r\n"), 400 },
    { "quoted chunked", POST("Transfer-Encoding: \"chunked\"\r\n"), 400 },
    { "empty encoding", POST("Transfer-Encoding:\r\n"), 400 },
    { "vertical tab and chunked", POST("Transfer-Encoding: \vchunked\r\n"), 400 },
    { "form feed and chunked", POST("Transfer-Encoding: \fchunked\r\n"), 400 },
    { "chunked and NUL", POST("Transfer-Encoding: chunked\0\r\n"), 400 },
    { "no-break space and chunked", POST("Transfer-Encoding: \xa0" "chunked\r\n"), 400 },
    { "chunked behind a space before the colon", POST("Transfer-Encoding : chunked\r\n"), 400 },
    { "folded chunked", POST("Transfer-Encoding:\r\n chunked\r\n"), 400 },
    { "chunked in HTTP/1.0", LIT("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), 400 },
    /* Expect */
    { "continue", POST("Expect: 100-continue\r\nContent-Length: 5\r\n"), 0 },
    { "continue in other case", POST("Expect: 100-Continue\r\nContent-Length: 5\r\n"), 0 },
    { "another expectation", POST("Expect: tea\r\nContent-Length: 5\r\n"), 417 },
    { "another beside continue", POST("Expect: 100-continue, tea\r\nContent-Length: 5\r\n"), 417 },
    { "another in its own line", POST("Expect: 100-continue\r\nExpect: tea\r\nContent-Length: 5\r\n"), 417 },
    { "empty expectation", POST("Expect:\r\nContent-Length: 5\r\n"), 417 },
    { "another expectation of a bad request", POST("Expect: tea\r\nContent-Length: 5\r\nContent-Length: 5\r\n"), 400 },
    { "another expectation without Host", LIT("POST / HTTP/1.1\r\nExpect: tea\r\n\r\n"), 400 },
};

static bool span_same(struct span a, struct span b) { return a.n == b.n && (a.n == 0 || a.p == b.p || memcmp(a.p, b.p, a.n) == 0); }

static void heads_equal(const struct http_head *a, const struct http_head *b)
{
    assert_int_equal(a->method, b->method);
    assert_true(span_same(a->method_text, b->method_text) && span_same(a->target, b->target));
    assert_true(span_same(a->path, b->path) && span_same(a->query, b->query) && span_same(a->host, b->host));
    assert_int_equal(a->minor, b->minor);
    assert_int_equal(a->content_length, b->content_length);
    assert_true(a->chunked == b->chunked && a->keep_alive == b->keep_alive);
    assert_true(a->expect_continue == b->expect_continue && a->upgrade_websocket == b->upgrade_websocket);
    assert_int_equal(a->header_count, b->header_count);
    for (size_t i = 0; i < a->header_count; i++) {
        assert_true(span_same(a->headers[i].name, b->headers[i].name));
        assert_true(span_same(a->headers[i].value, b->headers[i].value));
    }
}

/* A copy of exactly n bytes, so that the address sanitizer sees a read behind them. */
static char *exact(struct span s)
{
    char *p = malloc(s.n ? s.n : 1);
    assert_non_null(p);
    memcpy(p, s.p, s.n);
    return p;
}

static int parse_once(struct span s, struct http_head *out)
{
    size_t scanned = 0;
    return http_head_parse(s, &scanned, out);
}

/* Feeds s in steps; the first answer that is not "more", or 0. */
static int parse_in_steps(struct span s, size_t step, struct http_head *out)
{
    size_t scanned = 0;
    for (size_t n = step; ; n += step) {
        if (n > s.n) n = s.n;
        int r = http_head_parse(span_from(s.p, n), &scanned, out);
        if (r != 0 || n == s.n) return r;
    }
}

static void check_row(const struct row *row)
{
    static struct http_head whole, pieces;
    struct span s = { exact(row->text), row->text.n };
    int want = row->status ? -row->status : 0, got = parse_once(s, &whole);
    if (want ? got != want : got <= 0) fail_msg("%s: got %d", row->name, got);
    if (got > 0) assert_int_equal(got, s.n);
    for (size_t split = 0; split <= s.n; split++) {
        size_t scanned = 0;
        int first = http_head_parse(span_from(s.p, split), &scanned, &pieces);
        if (got > 0 && split < s.n && first != 0) fail_msg("%s: %d for its first %zu bytes", row->name, first, split);
        if (first < 0 && first != got) fail_msg("%s: %d for its first %zu bytes, %d for all", row->name, first, split, got);
        int second = first ? first : http_head_parse(s, &scanned, &pieces);
        if (second != got) fail_msg("%s: %d when split at %zu, %d at once", row->name, second, split, got);
        if (got > 0) heads_equal(&whole, &pieces);
    }
    for (size_t step = 1; step <= 3; step++) {
        assert_int_equal(parse_in_steps(s, step, &pieces), got);
        if (got > 0) heads_equal(&whole, &pieces);
    }
    free((char *)s.p);
}

static void test_rows(void **state)
{
    (void)state;
    assert_true(LENGTH(rows) > 200);
    for (size_t i = 0; i < LENGTH(rows); i++) check_row(&rows[i]);
}

/* What is wrong is refused with these bytes, though the head has not ended. */
static void test_early(void **state)
{
    static const struct row early[] = {
        { "TLS", LIT("\x16\x03"), 400 },
        { "no method", LIT("(("), 400 },
        { "SSH", LIT("SSH-2.0-OpenSSH_9.2\r\n"), 400 },
        { "SMTP", LIT("EHLO example\r\n"), 400 },
        { "bare LF", LIT("GET / HTTP/1.1\n"), 400 },
        { "version", LIT("GET / HTTP/2.0\r\n"), 505 },
        { "method", LIT("BREW / HTTP/1.1\r\n"), 501 },
        { "target", LIT("GET a HTTP/1.1\r\n"), 400 },
        { "control byte in a long target", LIT("GET /0123456789012345678901234567890123456789012345678901234567890123456789\x01"), 400 },
        { "name", LIT("GET / HTTP/1.1\r\nHost: a\r\nX-Long: 01234567890123456789012345678901234567890\r\nbad line\r\n"), 400 },
        { "fold", LIT("GET / HTTP/1.1\r\nHost: a\r\nX-Long: 01234567890123456789012345678901234567890\r\n folded\r\n"), 400 },
        { "control byte", LIT("GET / HTTP/1.1\r\nHost: a\r\nX-Long: 01234567890123456789012345678901234567890\x02"), 400 },
        { "bare LF late", LIT("GET / HTTP/1.1\r\nHost: a\r\nX-Long: 01234567890123456789012345678901234567890\n"), 400 },
        { "bad Host late", LIT("GET / HTTP/1.1\r\nX-Long: 0123456789012345678901234567890123456789012345678901\r\nHost: a b\r\n"), 400 },
        { "second length", LIT("GET / HTTP/1.1\r\nX-Long: 0123456789012345678901234567890123456789012345\r\nContent-Length: 5\r\nContent-Length: 5\r\n"), 400 },
        { "length and chunked", LIT("GET / HTTP/1.1\r\nHost: a\r\nX-Long: 0123456789\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400 },
        { "bare CR late", LIT("GET / HTTP/1.1\r\nHost: a\r\nX-Long: 01234567890123456789012345678901234567890\rx"), 400 },
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(early); i++) {
        static struct http_head head;
        struct span s = early[i].text;
        assert_int_equal(parse_once(s, &head), -early[i].status);
        assert_int_equal(parse_in_steps(s, 1, &head), -early[i].status);
        assert_int_equal(parse_in_steps(s, 7, &head), -early[i].status);
    }
}

static void test_fields(void **state)
{
    static struct http_head h;
    (void)state;
    struct span s = LIT("POST http://A.example:80/p/%41?q=1&r HTTP/1.1\r\nHOST:a.example \r\nX-One: 1\r\nx-one:  2\t\r\n"
                        "Content-Length: 17\r\nContent-Type: text/plain\r\n\r\nbody follows");
    assert_int_equal(parse_once(s, &h), s.n - 12);
    assert_int_equal(h.method, HTTP_POST);
    assert_true(span_is_z(h.method_text, "POST"));
    assert_true(span_is_z(h.target, "http://A.example:80/p/%41?q=1&r"));
    assert_true(span_is_z(h.path, "/p/%41"));
    assert_true(span_is_z(h.query, "q=1&r"));
    assert_true(span_is_z(h.host, "a.example"));
    assert_int_equal(h.minor, 1);
    assert_int_equal(h.content_length, 17);
    assert_false(h.chunked);
    assert_true(h.keep_alive);
    assert_false(h.expect_continue);
    assert_false(h.upgrade_websocket);
    assert_int_equal(h.header_count, 5);
    assert_true(span_is_z(h.headers[0].name, "HOST"));
    assert_true(span_is_z(http_header_get(&h, SPAN("x-ONE")), "1"));
    assert_true(span_is_z(h.headers[2].value, "2"));
    assert_null(http_header_get(&h, SPAN("x-two")).p);

    assert_true(parse_once((struct span)LIT("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n"), &h) > 0);
    assert_true(span_is_z(h.path, "*"));
    assert_true(parse_once((struct span)LIT("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n"), &h) > 0);
    assert_true(span_is_z(h.path, "/") && h.query.n == 0);
    assert_true(parse_once((struct span)LIT("GET http://a?x HTTP/1.1\r\nHost: a\r\n\r\n"), &h) > 0);
    assert_true(span_is_z(h.path, "/") && span_is_z(h.query, "x"));
    assert_true(parse_once((struct span)LIT("GET http://b.example/ HTTP/1.0\r\n\r\n"), &h) > 0);
    assert_true(span_is_z(h.host, "b.example") && h.minor == 0);
    assert_true(parse_once((struct span)LIT("GET /? HTTP/1.1\r\nHost: a\r\n\r\n"), &h) > 0);
    assert_true(span_is_z(h.path, "/") && h.query.n == 0 && h.content_length == -1);
    for (int m = 0; m < HTTP_METHODS; m++) {
        char text[64];
        struct span name = http_method_name((enum http_method)m);
        int n = snprintf(text, sizeof text, "%.*s / HTTP/1.1\r\nHost: a\r\n\r\n", SPAN_ARGS(name));
        assert_int_equal(parse_once(span_from(text, (size_t)n), &h), n);
        assert_int_equal(h.method, m);
    }
}

static void test_connection(void **state)
{
    static const struct { struct span text; bool keep_alive, websocket; } cases[] = {
        { GET(""), true, false },
        { GET("Connection: close\r\n"), false, false },
        { GET("Connection: Close\r\n"), false, false },
        { GET("Connection: keep-alive\r\n"), true, false },
        { GET("Connection: keep-alive, close\r\n"), false, false },
        { GET("Connection: x,\tclose ,y\r\n"), false, false },
        { GET("Connection: x\r\nConnection: close\r\n"), false, false },
        { GET("Connection: closed\r\n"), true, false },
        { GET("Connection:\r\n"), true, false },
        { GET("Connection: , ,\r\n"), true, false },
        { LIT("GET / HTTP/1.0\r\n\r\n"), false, false },
        { LIT("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), true, false },
        { LIT("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"), false, false },
        { GET("Connection: Upgrade\r\nUpgrade: websocket\r\n"), true, true },
        { GET("Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n"), true, true },
        { GET("Upgrade: h2c, websocket\r\nConnection: upgrade\r\n"), true, true },
        { GET("Upgrade: websocket\r\n"), true, false },
        { GET("Connection: upgrade\r\n"), true, false },
        { GET("Connection: upgrade\r\nUpgrade: h2c\r\n"), true, false },
        { GET("Connection: upgrade\r\nUpgrade: websockets\r\n"), true, false },
        { LIT("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), false, false },
    };
    static struct http_head h;
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        assert_true(parse_once(cases[i].text, &h) > 0);
        assert_int_equal(h.keep_alive, cases[i].keep_alive);
        assert_int_equal(h.upgrade_websocket, cases[i].websocket);
    }
}

static void test_expect(void **state)
{
    static const struct { struct span text; bool expect; } cases[] = {
        { POST("Expect: 100-continue\r\nContent-Length: 5\r\n"), true },
        { POST("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"), true },
        { POST("Expect: 100-continue\r\nContent-Length: 0\r\n"), false },
        { POST("Expect: 100-continue\r\n"), false },
        { POST("Content-Length: 5\r\n"), false },
        { LIT("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"), false },
    };
    static struct http_head h;
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        assert_true(parse_once(cases[i].text, &h) > 0);
        assert_int_equal(h.expect_continue, cases[i].expect);
    }
}

/* "GET /xxx… HTTP/1.1", Host, then `lines` short headers and one with a value of `value` bytes; the answer must not depend on the step. */
static int parse_built(size_t target, size_t lines, size_t value, size_t *out_n)
{
    static struct http_head h;
    char *p = malloc(target + value + lines * 16 + 128), *end = p;
    assert_non_null(p);
    end += sprintf(end, "GET /");
    memset(end, 'x', target - 1);
    end += target - 1;
    end += sprintf(end, " HTTP/1.1\r\nHost: a\r\n");
    for (size_t i = 1; i < lines; i++) end += sprintf(end, "X-%zu: y\r\n", i);
    if (value) {
        end += sprintf(end, "Z: ");
        memset(end, 'v', value);
        end += value;
        end += sprintf(end, "\r\n");
    }
    end += sprintf(end, "\r\n");
    struct span s = { p, (size_t)(end - p) };
    int r = parse_once(s, &h);
    static const size_t steps[] = { 1, 2, 61, 1460, 4096, 16384 };
    for (size_t i = 0; i < LENGTH(steps); i++) assert_int_equal(parse_in_steps(s, steps[i], &h), r);
    free(p);
    if (out_n) *out_n = s.n;
    return r;
}

static void test_limits(void **state)
{
    size_t n, frame;
    (void)state;
    assert_true(parse_built(1, 1, 0, NULL) > 0);
    assert_true(parse_built(LIMIT_TARGET_BYTES, 1, 0, NULL) > 0);
    assert_int_equal(parse_built(LIMIT_TARGET_BYTES + 1, 1, 0, NULL), -414);
    assert_int_equal(parse_built(100000, 1, 0, NULL), -414);
    assert_true(parse_built(1, LIMIT_HEADER_LINES, 0, NULL) > 0);
    assert_int_equal(parse_built(1, LIMIT_HEADER_LINES + 1, 0, NULL), -431);
    assert_int_equal(parse_built(1, 10000, 0, NULL), -431);
    assert_true(parse_built(1, 1, 1, &frame) > 0);
    frame -= 1;
    assert_int_equal(parse_built(1, 1, LIMIT_HEAD_BYTES - frame, &n), LIMIT_HEAD_BYTES);
    assert_int_equal(n, LIMIT_HEAD_BYTES);
    assert_int_equal(parse_built(1, 1, LIMIT_HEAD_BYTES - frame + 1, NULL), -431);
    assert_int_equal(parse_built(1, 1, 100000, NULL), -431);
    assert_int_equal(parse_built(LIMIT_TARGET_BYTES, 1, LIMIT_HEAD_BYTES, NULL), -431);

    static struct http_head h;
    static char noise[20000];
    memset(noise, 'A', sizeof noise);                      /* a method without end */
    assert_int_equal(parse_once(span_from(noise, sizeof noise), &h), -400);
    assert_int_equal(parse_in_steps(span_from(noise, sizeof noise), 1, &h), -400);
    assert_int_equal(parse_once(span_from(noise, 256), &h), 0);
    assert_int_equal(parse_once(span_from(noise, 257), &h), -400);
    assert_int_equal(parse_once((struct span){ NULL, 0 }, &h), 0);
}

/* Two requests in one buffer, and what stands behind the head is not looked at. */
static void test_pipelined(void **state)
{
    static struct http_head h;
    struct span s = LIT("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n\x01\x02");
    (void)state;
    int n = parse_once(s, &h);
    assert_true(n > 0 && span_is_z(h.path, "/1"));
    s = span_cut(s, (size_t)n);
    n = parse_once(s, &h);
    assert_true(n > 0 && span_is_z(h.path, "/2") && span_is_z(h.host, "b"));
    assert_int_equal(s.n - (size_t)n, 2);
}

static void test_list(void **state)
{
    (void)state;
    assert_true(http_list_has(SPAN("a"), SPAN("A")));
    assert_true(http_list_has(SPAN(" x ,\tGzip\t, y"), SPAN("gzip")));
    assert_false(http_list_has(SPAN("a b"), SPAN("a")));
    assert_false(http_list_has(SPAN("ab"), SPAN("a")));
    assert_false(http_list_has(SPAN(",,"), SPAN("a")));
    assert_false(http_list_has((struct span){ NULL, 0 }, SPAN("a")));
}

static void test_path(void **state)
{
    static const struct { struct span raw; const char *want; } cases[] = {
        { LIT("/"), "/" },
        { LIT("*"), "*" },
        { LIT("/a"), "/a" },
        { LIT("/a/"), "/a/" },
        { LIT("/a/b/c"), "/a/b/c" },
        { LIT("/%41%62"), "/Ab" },
        { LIT("/%e4%BD%a0"), "/\xe4\xbd\xa0" },
        { LIT("/a%20b+c"), "/a b+c" },
        { LIT("/a%25b"), "/a%b" },
        { LIT("/a%252e"), "/a%2e" },
        { LIT("/a%3Fb%23c"), "/a?b#c" },
        { LIT("/."), "/" },
        { LIT("/./"), "/" },
        { LIT("/a/."), "/a/" },
        { LIT("/a/./b"), "/a/b" },
        { LIT("/a/.."), "/" },
        { LIT("/a/../"), "/" },
        { LIT("/a/../b"), "/b" },
        { LIT("/a/b/../../c"), "/c" },
        { LIT("/a/b/../c/./d/.."), "/a/c/" },
        { LIT("/a/%2e%2E/b"), "/b" },
        { LIT("/a/%2e/b"), "/a/b" },
        { LIT("/a/.%2e/b"), "/b" },
        { LIT("/..."), "/..." },
        { LIT("/a../b"), "/a../b" },
        { LIT("/..a"), "/..a" },
        { LIT("/.well-known/x"), "/.well-known/x" },
        { LIT(""), NULL },
        { LIT("a"), NULL },
        { LIT("**"), NULL },
        { LIT("//"), NULL },
        { LIT("//a"), NULL },
        { LIT("/a//b"), NULL },
        { LIT("/a//"), NULL },
        { LIT("/.."), NULL },
        { LIT("/../a"), NULL },
        { LIT("/a/../.."), NULL },
        { LIT("/a/../../b"), NULL },
        { LIT("/%2e%2e"), NULL },
        { LIT("/./.."), NULL },
        { LIT("/a%2Fb"), NULL },
        { LIT("/a%2fb"), NULL },
        { LIT("/a%5Cb"), NULL },
        { LIT("/a\\b"), NULL },
        { LIT("/%"), NULL },
        { LIT("/%4"), NULL },
        { LIT("/%4g"), NULL },
        { LIT("/%g4"), NULL },
        { LIT("/%%41"), NULL },
        { LIT("/%u0041"), NULL },
        { LIT("/%+1"), NULL },
        { LIT("/%4/1"), NULL },
        { LIT("/%00"), NULL },
        { LIT("/a%00.png"), NULL },
        { LIT("/%0d%0a"), NULL },
        { LIT("/%1f"), NULL },
        { LIT("/%7f"), NULL },
        { LIT("/%ff"), NULL },
        { LIT("/%c0%af"), NULL },
        { LIT("/%e4%bd"), NULL },
        { LIT("/%e4/%bd%a0"), NULL },
        { LIT("/%ed%a0%80"), NULL },
    };
    (void)state;
    struct arena *a = arena_new(1 << 20);
    assert_non_null(a);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct span raw = { exact(cases[i].raw), cases[i].raw.n }, got;
        bool ok = http_path_decode(a, raw, &got);
        if (ok != (cases[i].want != NULL)) fail_msg("%.*s: %s", SPAN_ARGS(cases[i].raw), ok ? "taken" : "refused");
        if (ok && !span_is_z(got, cases[i].want)) fail_msg("%.*s: %.*s", SPAN_ARGS(cases[i].raw), SPAN_ARGS(got));
        free((char *)raw.p);
    }
    arena_free(&a);
}

/* ---- chunked ---- */

#define BIG "0123456789abcdef0123456789ABCDEF"

static const struct { const char *name; struct span text; const char *body; size_t rest; } chunked[] = {   /* body NULL: refused */
    { "empty", LIT("0\r\n\r\n"), "", 0 },
    { "one", LIT("5\r\nhello\r\n0\r\n\r\n"), "hello", 0 },
    { "two and a rest", LIT("4\r\nWiki\r\n7\r\npedia i\r\n0\r\n\r\nGET /"), "Wikipedia i", 5 },
    { "hexadecimal, both cases", LIT("0a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n"), "01234567890123456789", 0 },
    { "32 bytes", LIT("20\r\n" BIG "\r\n0\r\n\r\n"), BIG, 0 },
    { "CRLF in the body", LIT("4\r\n\r\n\r\n\r\n0\r\n\r\n"), "\r\n\r\n", 0 },
    { "sixteen digits", LIT("0000000000000001\r\nx\r\n0000000000000000\r\n\r\n"), "x", 0 },
    { "trailers that begin like forbidden ones", LIT("0\r\nHos: a\r\nHosts: b\r\nContent-Lengthy: c\r\nxhost: d\r\n\r\n"), "", 0 },
    { "trailers", LIT("1\r\nx\r\n0\r\nA: b\r\nC:\r\nD: \t\xff\r\n\r\n"), "x", 0 },
    { "no size", LIT("\r\n\r\n"), NULL, 0 },
    { "seventeen digits", LIT("00000000000000001\r\nx\r\n0\r\n\r\n"), NULL, 0 },
    { "greater than a signed length", LIT("8000000000000000\r\n"), NULL, 0 },
    { "overflow", LIT("ffffffffffffffff\r\n"), NULL, 0 },
    { "overflow by far", LIT("100000000000000000005\r\nhello\r\n0\r\n\r\n"), NULL, 0 },
    { "plus", LIT("+5\r\nhello\r\n0\r\n\r\n"), NULL, 0 },
    { "minus", LIT("-5\r\nhello\r\n0\r\n\r\n"), NULL, 0 },
    { "0x", LIT("0x5\r\nhello\r\n0\r\n\r\n"), NULL, 0 },
    { "underscore", LIT("1_0\r\nhello\r\n0\r\n\r\n"), NULL, 0 },
    { "letter", LIT("5g\r\nhello\r\n0\r\n\r\n"), NULL, 0 },
    { "space before", LIT(" 5\r\nhello\r\n0\r\n\r\n"), NULL, 0 },
    { "space behind", LIT("5 \r\nhello\r\n0\r\n\r\n"), NULL, 0 },
    { "tab behind", LIT("5\t\r\nhello\r\n0\r\n\r\n"), NULL, 0 },
    { "extension", LIT("5;a=b\r\nhello\r\n0\r\n\r\n"), NULL, 0 },
    { "bare semicolon", LIT("5;\r\nhello\r\n0\r\n\r\n"), NULL, 0 },
    { "extension of the last chunk", LIT("0;a\r\n\r\n"), NULL, 0 },
    { "extension with LF", LIT("5;a\nb\r\nhello\r\n0\r\n\r\n"), NULL, 0 },
    { "bare LF behind the size", LIT("5\nhello\r\n0\r\n\r\n"), NULL, 0 },
    { "bare CR behind the size", LIT("5\rhello\r\n0\r\n\r\n"), NULL, 0 },
    { "CR CR LF behind the size", LIT("5\r\r\nhello\r\n0\r\n\r\n"), NULL, 0 },
    { "bare LF behind the data", LIT("5\r\nhello\n0\r\n\r\n"), NULL, 0 },
    { "bare CR behind the data", LIT("5\r\nhello\r0\r\n\r\n"), NULL, 0 },
    { "nothing behind the data", LIT("5\r\nhello0\r\n\r\n"), NULL, 0 },
    { "more data than said", LIT("5\r\nhelloo\r\n0\r\n\r\n"), NULL, 0 },
    { "less data than said", LIT("5\r\nhell\r\n0\r\n\r\n"), NULL, 0 },
    { "NUL for a size", LIT("\0\r\n"), NULL, 0 },
    { "bare LF at the end", LIT("0\r\n\n"), NULL, 0 },
    { "bare CR at the end", LIT("0\r\n\rx"), NULL, 0 },
    { "LF LF at the end", LIT("0\n\n"), NULL, 0 },
    { "trailer without a colon", LIT("0\r\nabc\r\n\r\n"), NULL, 0 },
    { "trailer without a name", LIT("0\r\n: b\r\n\r\n"), NULL, 0 },
    { "trailer with a space before the colon", LIT("0\r\na : b\r\n\r\n"), NULL, 0 },
    { "length as a trailer", LIT("0\r\na: b\r\nCONTENT-length: 1\r\n\r\n"), NULL, 0 },
    { "coding as a trailer", LIT("0\r\nTransfer-Encoding: chunked\r\n\r\n"), NULL, 0 },
    { "host as a trailer", LIT("0\r\nHost:\r\n\r\n"), NULL, 0 },
    { "folded trailer", LIT("0\r\na: b\r\n c\r\n\r\n"), NULL, 0 },
    { "trailer with bare LF", LIT("0\r\na: b\n\r\n"), NULL, 0 },
    { "trailer with bare CR", LIT("0\r\na: b\rc\r\n\r\n"), NULL, 0 },
    { "trailer with NUL", LIT("0\r\na: \0\r\n\r\n"), NULL, 0 },
    { "trailer with obs-text in its name", LIT("0\r\n\xc3\xa9: b\r\n\r\n"), NULL, 0 },
};

/* Decodes in pieces: the first `split` bytes, then the others `step` at a time. The body goes to `to`; returns its length. */
static size_t decode_in_pieces(struct span s, size_t split, size_t step, char *to, size_t *out_rest, int *out_status)
{
    struct http_chunked c = { 0 };
    size_t at = 0, total = 0, body, used;
    *out_status = 0;
    while (at < s.n && *out_status == 0) {
        size_t n = at < split ? split - at : step;
        if (n > s.n - at) n = s.n - at;
        char *piece = exact(span_from(s.p + at, n));
        *out_status = http_chunked_decode(&c, piece, n, &body, &used);
        assert_true(body <= used && used <= n && (*out_status != 0 || used == n));
        memcpy(to + total, piece, body);
        total += body;
        at += used;
        free(piece);
    }
    if (*out_status) {                                     /* done and refused are both for ever */
        char more[] = "5\r\nhello\r\n";
        assert_int_equal(http_chunked_decode(&c, more, sizeof more - 1, &body, &used), *out_status);
        assert_int_equal(body, 0);
        assert_int_equal(used, 0);
    }
    *out_rest = s.n - at;
    return total;
}

static void test_chunked(void **state)
{
    char body[256];
    size_t rest, n;
    int status;
    (void)state;
    for (size_t i = 0; i < LENGTH(chunked); i++) {
        struct span s = chunked[i].text;
        for (size_t split = 0; split <= s.n; split++) {
            for (size_t step = 1; step <= s.n; step += split % 3 + 1) {
                n = decode_in_pieces(s, split, step, body, &rest, &status);
                if (status != (chunked[i].body ? 1 : -400)) fail_msg("%s: %d when split at %zu", chunked[i].name, status, split);
                if (status != 1) continue;
                assert_true(span_is_z(span_from(body, n), chunked[i].body));
                assert_int_equal(rest, chunked[i].rest);
            }
        }
    }
}

static void test_chunked_incomplete(void **state)
{
    static const struct span text = LIT("5\r\nhello\r\n0\r\nA: b\r\n\r\n");
    char body[64];
    size_t rest;
    int status;
    (void)state;
    for (size_t n = 1; n < text.n; n++) {
        decode_in_pieces(span_from(text.p, n), n, 1, body, &rest, &status);
        assert_int_equal(status, 0);
    }
    /* the greatest chunk that is taken is only counted */
    struct http_chunked c = { 0 };
    char big[] = "7fffffffffffffff\r\nabc";
    size_t got, used;
    assert_int_equal(http_chunked_decode(&c, big, sizeof big - 1, &got, &used), 0);
    assert_int_equal(got, 3);
    assert_memory_equal(big, "abc", 3);
    assert_true(c.left == INT64_MAX - 3);
}

static void test_chunked_trailers(void **state)
{
    (void)state;
    for (size_t n = 4000; n < 4200; n++) {                 /* the limit is between, and the same for one piece and for many */
        char text[8192], body[8];
        size_t at = (size_t)sprintf(text, "0\r\nA: "), rest;
        int once, slow;
        memset(text + at, 'x', n);
        at += n;
        at += (size_t)sprintf(text + at, "\r\n\r\n");
        decode_in_pieces(span_from(text, at), at, 1, body, &rest, &once);
        decode_in_pieces(span_from(text, at), 0, 1, body, &rest, &slow);
        assert_int_equal(once, slow);
        assert_int_equal(once, n + 7 <= 4096 ? 1 : -400);  /* "A: ", CRLF, CRLF */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows), cmocka_unit_test(test_early), cmocka_unit_test(test_fields), cmocka_unit_test(test_connection),
        cmocka_unit_test(test_expect), cmocka_unit_test(test_limits), cmocka_unit_test(test_pipelined), cmocka_unit_test(test_list),
        cmocka_unit_test(test_path), cmocka_unit_test(test_chunked), cmocka_unit_test(test_chunked_incomplete),
        cmocka_unit_test(test_chunked_trailers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
