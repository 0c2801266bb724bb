/* The opening handshake: what is refused, the accept value of RFC 6455 1.3, and which permessage-deflate offers are taken. */
#include "wire/websocket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void head_add(struct http_head *h, const char *name, const char *value)
{
    h->headers[h->header_count++] = (struct http_header){ span_of(name), span_of(value) };
}

static struct http_head good_head(void)
{
    struct http_head h = { .method = HTTP_GET, .minor = 1, .host = SPAN("localhost"), .content_length = -1, .upgrade_websocket = true };
    head_add(&h, "Host", "localhost");
    head_add(&h, "sec-websocket-VERSION", "13");
    head_add(&h, "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    return h;
}

static void handshakes(void **state)
{
    (void)state;
    char accept[29];
    struct http_head h = good_head();
    assert_int_equal(websocket_handshake(&h, accept), 101);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    h.method = HTTP_POST;
    assert_int_equal(websocket_handshake(&h, accept), 400);
    h = good_head(), h.minor = 0;
    assert_int_equal(websocket_handshake(&h, accept), 400);
    h = good_head(), h.upgrade_websocket = false;
    assert_int_equal(websocket_handshake(&h, accept), 400);
    h = good_head(), h.host = (struct span){ NULL, 0 };
    assert_int_equal(websocket_handshake(&h, accept), 400);
    h = good_head(), h.content_length = 5;
    assert_int_equal(websocket_handshake(&h, accept), 400);
    h = good_head(), h.headers[1].value = SPAN("8");
    assert_int_equal(websocket_handshake(&h, accept), 426);
    h = good_head(), h.headers[1].value = SPAN("13, 8");
    assert_int_equal(websocket_handshake(&h, accept), 426);
    h = good_head(), h.headers[1].name = SPAN("X");
    assert_int_equal(websocket_handshake(&h, accept), 426);
    h = good_head(), h.headers[2].name = SPAN("X");
    assert_int_equal(websocket_handshake(&h, accept), 400);
    h = good_head(), head_add(&h, "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_int_equal(websocket_handshake(&h, accept), 400);
    static const char *const keys[] = { "", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25jZQAA", "dGhlIHNhbXBsZSBub25j_Q==", "dGhlIHNhbXBsZSBub25j Q==" };
    for (size_t i = 0; i < LENGTH(keys); i++) {
        h = good_head(), h.headers[2].value = span_of(keys[i]);
        assert_int_equal(websocket_handshake(&h, accept), 400);
    }
}

static void deflate_offers(void **state)
{
    (void)state;
#define ANSWER "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    static const struct { const char *offer; int bits; const char *answer; } cases[] = {
        { "permessage-deflate", 15, ANSWER },
        { "Permessage-Deflate; client_max_window_bits", 15, ANSWER },
        { "permessage-deflate;client_max_window_bits=8;server_no_context_takeover ; client_no_context_takeover", 15, ANSWER },
        { "permessage-deflate; server_max_window_bits=10", 10, ANSWER "; server_max_window_bits=10" },
        { "permessage-deflate; server_max_window_bits=\"15\"", 15, ANSWER "; server_max_window_bits=15" },
        { "permessage-deflate; server_max_window_bits=8", 8, ANSWER "; server_max_window_bits=8" },
        { "permessage-deflate; server_max_window_bits", 0, "" },
        { "permessage-deflate; server_max_window_bits=7", 0, "" },
        { "permessage-deflate; server_max_window_bits=16", 0, "" },
        { "permessage-deflate; server_max_window_bits=09", 0, "" },
        { "permessage-deflate; server_max_window_bits=1x", 0, "" },
        { "permessage-deflate; client_max_window_bits=0", 0, "" },
        { "permessage-deflate; server_no_context_takeover=1", 0, "" },
        { "permessage-deflate; server_no_context_takeover; server_no_context_takeover", 0, "" },
        { "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9", 0, "" },
        { "permessage-deflate; unheard_of", 0, "" },
        { "permessage-deflate; unheard_of=1, permessage-deflate; server_max_window_bits=12", 12, ANSWER "; server_max_window_bits=12" },
        { "permessage-deflate; server_max_window_bits=99, permessage-deflate", 15, ANSWER },
        { "x-webkit-deflate-frame, other; a=\"b\", ,permessage-deflate", 15, ANSWER },
        { "other", 0, "" },
        { "", 0, "" },
        { ",,", 0, "" },
        { "permessage-deflate;", 0, "" },
        { "permessage-deflate; =3", 0, "" },
        { "permessage-deflate junk", 0, "" },
        { "permessage-deflate; client_max_window_bits=", 0, "" },
        { "permessage-deflate; client_max_window_bits=\"9", 0, "" },
        { "permessage-deflatey", 0, "" },
    };
    char out[128];
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct http_head h = good_head();
        assert_int_equal(websocket_deflate_offer(&h, out), 0);
        head_add(&h, "sec-websocket-extensions", cases[i].offer);
        assert_int_equal(websocket_deflate_offer(&h, out), cases[i].bits);
        assert_string_equal(out, cases[i].answer);
    }
    struct http_head h = good_head();                     /* one list in two lines */
    head_add(&h, "Sec-WebSocket-Extensions", "permessage-deflate; unheard_of");
    head_add(&h, "Sec-WebSocket-Extensions", "permessage-deflate");
    assert_int_equal(websocket_deflate_offer(&h, out), 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(handshakes), cmocka_unit_test(deflate_offers) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
