/* net/tls.c: TLS 1.2 and 1.3 by OpenSSL, as a server that speaks http/1.1 and nothing else. Forward secrecy and authenticated ciphers only, no
 * renegotiation, no compression; sessions are resumed by tickets, so the server keeps nothing of them. Reloading makes a new context that takes over the
 * ticket keys; connections keep the one that they began with.
 *
 * A struct tls is an SSL: the cast keeps OpenSSL's headers in this file. OpenSSL writes with write(2); that cannot kill us, for the loops' threads block
 * SIGPIPE. Called by transport.c, conn.c (handshake), accept.c and server.c. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "net/net_in.h"

struct tls_context { SSL_CTX *ctx; };

static SSL *ssl_of(const struct tls *t) { return (SSL *)(uintptr_t)t; }

/* ---- context ---- */

static void explain(struct buf *err, const char *what, const char *file)
{
    char text[256] = "unknown error";
    unsigned long code = ERR_peek_error();
    if (code) ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    buf_printf(err, "TLS: cannot %s %s: %s", what, file, text);
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in, unsigned in_n, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_n, ours, sizeof ours - 1, in, in_n) == OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_OK;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void take_tickets_of(SSL_CTX *ctx, SSL_CTX *old)
{
    unsigned char keys[256];
    long n = SSL_CTX_get_tlsext_ticket_keys(old, NULL, 0);
    if (n > 0 && n <= (long)sizeof keys && SSL_CTX_get_tlsext_ticket_keys(old, keys, n) == 1) SSL_CTX_set_tlsext_ticket_keys(ctx, keys, n);
    OPENSSL_cleanse(keys, sizeof keys);
}

static bool context_setup(SSL_CTX *ctx, const char *cert, const char *key, struct buf *err)
{
    static const unsigned char id[] = "weir";
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(ctx, id, sizeof id - 1);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    if (SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1) {
        explain(err, "set the ciphers for", cert);
        return false;
    }
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1) {
        explain(err, "read the certificate", cert);
        return false;
    }
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
        explain(err, "read (or it does not belong to the certificate) the key", key);
        return false;
    }
    return true;
}

struct tls_context *tls_context_new(const char *cert, const char *key, const struct tls_context *tickets_of, struct buf *err)
{
    struct tls_context *t = base_alloc(sizeof *t);
    if (!t) {
        buf_add_z(err, "out of memory");
        return NULL;
    }
    ERR_clear_error();
    t->ctx = SSL_CTX_new(TLS_server_method());
    if (!t->ctx) explain(err, "set up", "OpenSSL");
    if (!t->ctx || !context_setup(t->ctx, cert, key, err)) {
        tls_context_free(&t);
        return NULL;
    }
    if (tickets_of) take_tickets_of(t->ctx, tickets_of->ctx);
    return t;
}

void tls_context_free(struct tls_context **pt)
{
    if (*pt) SSL_CTX_free((*pt)->ctx);
    free(*pt);
    *pt = NULL;
}

/* ---- one connection ---- */

struct tls *tls_new(struct tls_context *t, int fd)
{
    SSL *ssl = SSL_new(t->ctx);
    if (!ssl) return NULL;
    if (SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_accept_state(ssl);
    return (struct tls *)(void *)ssl;
}

void tls_free(struct tls **pt, bool orderly)
{
    SSL *ssl = ssl_of(*pt);
    *pt = NULL;
    ERR_clear_error();
    if (orderly && SSL_is_init_finished(ssl) && !(SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN)) SSL_shutdown(ssl);
    SSL_free(ssl);
    ERR_clear_error();
}

static ptrdiff_t failure(SSL *ssl, int r)
{
    switch (SSL_get_error(ssl, r)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN: return 0;
    default: return -ECONNRESET;
    }
}

int tls_handshake(struct tls *t)
{
    ERR_clear_error();
    int r = SSL_do_handshake(ssl_of(t));
    if (r == 1) return 1;
    ptrdiff_t why = failure(ssl_of(t), r);
    return why == 0 ? -ECONNRESET : (int)why;
}

ptrdiff_t tls_receive(struct tls *t, char *p, size_t n)
{
    size_t got;
    ERR_clear_error();
    int r = SSL_read_ex(ssl_of(t), p, n, &got);
    return r == 1 ? (ptrdiff_t)got : failure(ssl_of(t), r);
}

ptrdiff_t tls_send(struct tls *t, const char *p, size_t n)
{
    size_t sent;
    if (n == 0) return 0;
    ERR_clear_error();
    int r = SSL_write_ex(ssl_of(t), p, n, &sent);
    if (r == 1) return (ptrdiff_t)sent;
    ptrdiff_t why = failure(ssl_of(t), r);
    return why == 0 ? -ECONNRESET : why;
}

void tls_shut(struct tls *t)
{
    ERR_clear_error();
    if (SSL_is_init_finished(ssl_of(t))) SSL_shutdown(ssl_of(t));
    ERR_clear_error();
}
