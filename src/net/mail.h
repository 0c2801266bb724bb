/* net/mail.h: one e-mail, sent by SMTP, blocking, by libcurl. For worker threads only.
 *
 * A mail is a plain text in UTF-8. Whatever is in it, its bytes are ASCII lines of at most 76 characters: the subject goes out as encoded words (RFC 2047), the text as base64, addresses are only such as
 * need no quoting; so nothing that a user wrote can become a header, a recipient or the end of the mail. The same id makes the same Message-ID, so whoever gets a repeated mail can tell.
 *
 * smtps:// is TLS from the first byte. smtp:// takes STARTTLS where it is offered; if a password would be sent to another machine, it must be. Certificates are verified. */
#ifndef WEIR_MAIL_H
#define WEIR_MAIL_H
#include "base/base.h"

enum { MAIL_RECIPIENTS = 50, MAIL_BYTES = 256 * 1024 };

struct mail {
    struct span url;                       /* smtp://HOST:PORT or smtps://USER:PASSWORD@HOST:PORT; user and password with % escapes */
    struct span from;                      /* an address */
    const struct span *to;                 /* addresses */
    size_t to_count;
    struct span subject, text;             /* UTF-8; lines of the text end with LF */
    struct span id;                        /* letters and digits, unique; becomes <id@domain of from> */
    int64_t date_ms;
    int64_t timeout_ms;                    /* in all; <= 0: fails at once */
};

/* True: the server has taken it, for all recipients but those whom it will never take (5xx) while it takes others. False: `why` says why not, English, without secrets; the server may have it all the same if only its last answer was lost. */
bool mail_send(const struct mail *, char why[160]);

/* The mail as it is sent: header and body with CRLF. False: an address, the id or the text cannot be sent, or the buf is full. */
bool mail_write(struct buf *, const struct mail *);
/* local@domain of letters, digits and !#$%&'*+-/=?^_`{|}~. with at least one character on both sides, at most 254 bytes. */
bool mail_address_right(struct span);
bool mail_url_right(struct span);
bool mail_url_is_here(struct span url);      /* of a server on this machine: localhost, 127.x.x.x, [::1] */
/* The next address of a list separated by commas or white space; false at its end. */
bool mail_address_next(struct span *rest, struct span *out);
#endif
