/* tests/unit/net/tls_test.c: the same server behind TLS, with certificates made here: exchanges, long answers, files, WebSockets, resumption, reload, and what
 * is refused (old versions, renegotiation, silence, plaintext). */
#include "served.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "peer.h"

#include <cmocka.h>

#define HELLO "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"

static char folder[] = "/tmp/weir-tls-test-XXXXXX", cert[64], key[64], file[64];
static SSL_CTX *client;

/* A certificate of its own for `name`, written to the two files. */
static void make_certificate(const char *name)
{
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    assert_true(pair && x);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, pair);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    assert_true(X509_sign(x, pair, EVP_sha256()) > 0);
    FILE *f = fopen(cert, "w");
    assert_true(f && PEM_write_X509(f, x) == 1 && fclose(f) == 0);
    f = fopen(key, "w");
    assert_true(f && PEM_write_PrivateKey(f, pair, NULL, NULL, 0, NULL, NULL) == 1 && fclose(f) == 0);
    X509_free(x);
    EVP_PKEY_free(pair);
}

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);                                              /* for this client; the server does not need it */
    if (!mkdtemp(folder)) return -1;
    snprintf(cert, sizeof cert, "%s/cert.pem", folder);
    snprintf(key, sizeof key, "%s/key.pem", folder);
    snprintf(file, sizeof file, "%s/file", folder);
    make_certificate("first");
    client = SSL_CTX_new(TLS_client_method());
    return client ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    SSL_CTX_free(client);
    unlink(cert);
    unlink(key);
    unlink(file);
    return rmdir(folder);
}

static void serve_tls(const struct deadlines *d)
{
    struct serve_options o = { .cert = cert, .key = key };
    if (d) o.deadlines = *d;
    serve(&o);
}

static struct peer dial_tls(SSL_SESSION *session)
{
    static const unsigned char alpn[] = "\x02h2\x08http/1.1";
    struct peer p = peer_dial(served.port);
    p.ssl = SSL_new(client);
    assert_non_null(p.ssl);
    SSL_set_fd(p.ssl, p.fd);
    SSL_set_alpn_protos(p.ssl, alpn, sizeof alpn - 1);
    if (session) SSL_set_session(p.ssl, session);
    if (SSL_connect(p.ssl) != 1) fail_msg("no handshake: %s", ERR_error_string(ERR_peek_error(), NULL));
    return p;
}

static void expect(struct peer *p, int status, const char *body)
{
    struct answer a = peer_answer(p, false);
    if (a.status != status || (body && strcmp(a.body, body) != 0)) fail_msg("%d expected, but got: %s", status, a.head);
    answer_free(&a);
}

static bool subject_is(const struct peer *p, const char *name)
{
    char text[64] = "";
    X509 *x = SSL_get1_peer_certificate(p->ssl);
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, text, sizeof text);
    X509_free(x);
    return strcmp(text, name) == 0;
}

static void exchanges(void **state)
{
    (void)state;
    serve_tls(NULL);
    struct peer p = dial_tls(NULL);
    const unsigned char *chosen;
    unsigned n;
    SSL_get0_alpn_selected(p.ssl, &chosen, &n);
    assert_true(n == 8 && memcmp(chosen, "http/1.1", 8) == 0);
    for (int i = 0; i < 3; i++) {
        peer_say_z(&p, HELLO HELLO "GET /client HTTP/1.1\r\nHost: localhost\r\n\r\n");
        expect(&p, 200, "hello");
        expect(&p, 200, "hello");
        expect(&p, 200, "127.0.0.1 tls loopback");
    }
    enum { BYTES = 300000 };
    char *body = malloc(BYTES + 1), head[200];
    for (int i = 0; i < BYTES; i++) body[i] = (char)('a' + i % 23);
    body[BYTES] = '\0';
    snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", BYTES);
    peer_say_z(&p, head);
    peer_say(&p, body, BYTES);
    expect(&p, 200, body);
    static const char bytewise[] = HELLO;
    for (size_t i = 0; i + 1 < sizeof bytewise; i++) peer_say(&p, bytewise + i, 1);
    expect(&p, 200, "hello");
    peer_say_z(&p, "GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    expect(&p, 200, "hello");
    assert_true(peer_at_end(&p));
    assert_true(SSL_get_shutdown(p.ssl) & SSL_RECEIVED_SHUTDOWN);          /* a proper farewell: nothing was cut off */
    free(body);
    peer_hang_up(&p);
    unserve();
}

static void long_answers(void **state)
{
    (void)state;
    serve_tls(NULL);
    enum { BYTES = 6000000 };
    char *want = malloc(BYTES + 1);
    for (int i = 0; i < BYTES; i++) want[i] = (char)('a' + i % 23);
    want[BYTES] = '\0';
    int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, want, BYTES), BYTES);
    close(fd);
    served.file = file;
    struct peer p = dial_tls(NULL);
    peer_say_z(&p, "GET /file HTTP/1.1\r\nHost: localhost\r\n\r\nGET /big/6000000 HTTP/1.1\r\nHost: localhost\r\n\r\nGET /count/1000000 HTTP/1.1\r\nHost: localhost\r\n\r\n" HELLO);
    struct server_stats st;
    uint64_t before = 0;
    for (int quiet = 0; quiet < 20; wait_turn(&quiet)) {                   /* until all buffers are full */
        server_stats(served.server, &st);
        if (st.bytes_out != before) quiet = 0;
        before = st.bytes_out;
    }
    expect(&p, 200, want);
    expect(&p, 200, want);
    struct answer a = peer_answer(&p, false);
    char *at = a.body;
    for (long i = 0; i < 1000000; i++) assert_int_equal(strtol(at, &at, 10), i);
    answer_free(&a);
    expect(&p, 200, "hello");
    peer_say_z(&p, "GET /file HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_true(peer_fill(&p));
    peer_cut(&p);                                                          /* while OpenSSL is writing: no signal may kill us */
    UNTIL((server_stats(served.server, &st), st.open == 0));
    free(want);
    unserve();
}

static void sockets(void **state)
{
    (void)state;
    serve_tls(NULL);
    struct peer p = dial_tls(NULL);
    peer_upgrade(&p, "/ws", "");
    char *m = malloc(200000);
    memset(m, 'x', 200000);
    for (int i = 0; i < 5; i++) {
        peer_frame(&p, 0x81, m, 200000);
        struct ws_frame f = peer_next_frame(&p);
        assert_true(f.first_byte == 0x81 && f.n == 200000);
        free(f.payload);
    }
    peer_frame(&p, 0x88, "\x03\xe8", 2);
    assert_int_equal(peer_close_code(&p), 1000);
    assert_true(peer_at_end(&p));
    free(m);
    peer_hang_up(&p);
    unserve();
}

/* The session is resumed by its ticket, also after a reload; a reload gives new connections the new certificate and leaves the old ones alone. */
static void reload_and_resumption(void **state)
{
    (void)state;
    struct buf err;
    buf_init(&err, 1000);
    serve_tls(NULL);
    struct peer p = dial_tls(NULL);
    assert_true(subject_is(&p, "first"));
    peer_say_z(&p, HELLO);
    expect(&p, 200, "hello");                                              /* the ticket has come with it */
    SSL_SESSION *session = SSL_get1_session(p.ssl);
    make_certificate("second");
    assert_true(server_reload_tls(served.server, &err));
    struct peer q = dial_tls(NULL);
    assert_true(subject_is(&q, "second"));
    peer_say_z(&q, HELLO);
    expect(&q, 200, "hello");
    peer_say_z(&p, HELLO);
    expect(&p, 200, "hello");
    struct peer r = dial_tls(session);
    assert_true(SSL_session_reused(r.ssl));
    peer_say_z(&r, HELLO);
    expect(&r, 200, "hello");
    FILE *f = fopen(cert, "w");
    assert_true(f && fputs("nonsense", f) >= 0 && fclose(f) == 0);
    assert_false(server_reload_tls(served.server, &err));                  /* what was good stays */
    assert_true(err.n > 0);
    struct peer s = dial_tls(NULL);
    assert_true(subject_is(&s, "second"));
    SSL_SESSION_free(session);
    peer_hang_up(&p);
    peer_hang_up(&q);
    peer_hang_up(&r);
    peer_hang_up(&s);
    unserve();
    struct server_config config = { .loops = 1, .on_request = (void (*)(struct exchange *, void *))abort, .tls_cert = cert, .tls_key = key };
    err.n = 0;
    assert_null(server_new(&config, &err));
    assert_non_null(memmem(err.p, err.n, cert, strlen(cert)));             /* says which file */
    config.tls_key = NULL;
    assert_null(server_new(&config, &err));
    buf_done(&err);
    make_certificate("first");
}

static void refusals(void **state)
{
    (void)state;
    serve_tls(&(struct deadlines){ .head_ms = 60 });
    struct peer silent = peer_dial(served.port), plain = peer_dial(served.port);
    peer_say_z(&plain, HELLO);
    while (peer_fill(&plain)) { }
    assert_true(plain.n < 20);                                             /* an alert, no answer */
    assert_true(peer_at_end(&silent));                                     /* the handshake has its deadline */
    peer_hang_up(&plain);
    peer_hang_up(&silent);
    SSL_CTX *old = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(old, 0);
    SSL_CTX_set_min_proto_version(old, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(old, TLS1_1_VERSION);
    struct peer p = peer_dial(served.port);
    p.ssl = SSL_new(old);
    SSL_set_fd(p.ssl, p.fd);
    assert_int_not_equal(SSL_connect(p.ssl), 1);
    peer_hang_up(&p);
    SSL_CTX_set_max_proto_version(old, TLS1_2_VERSION);
    p = peer_dial(served.port);
    p.ssl = SSL_new(old);
    SSL_set_fd(p.ssl, p.fd);
    assert_int_equal(SSL_connect(p.ssl), 1);                               /* TLS 1.2 is taken ... */
    peer_say_z(&p, HELLO);
    expect(&p, 200, "hello");
    assert_true(SSL_renegotiate(p.ssl) == 1);                              /* ... but not begun again */
    assert_int_not_equal(SSL_do_handshake(p.ssl), 1);
    peer_hang_up(&p);
    static const unsigned char alpn[] = "\x02h2";
    p = peer_dial(served.port);
    p.ssl = SSL_new(client);
    SSL_set_fd(p.ssl, p.fd);
    SSL_set_alpn_protos(p.ssl, alpn, sizeof alpn - 1);
    assert_int_not_equal(SSL_connect(p.ssl), 1);
    peer_hang_up(&p);
    SSL_CTX_free(old);
    ERR_clear_error();
    unserve();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchanges), cmocka_unit_test(long_answers), cmocka_unit_test(sockets), cmocka_unit_test(reload_and_resumption), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
