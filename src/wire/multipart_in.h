/* wire/multipart_in.h: between multipart.c (the stream) and multipart_head.c (the texts in it). */
#ifndef WEIR_MULTIPART_IN_H
#define WEIR_MULTIPART_IN_H
#include "wire/multipart.h"

/* Reads the head of a part: lines that all end with CRLF, without the empty one, without control bytes but HTAB and these CRLFs. Undoes escapes
 * in place; the spans of *out point into `head`. NULL, or why it is refused (static English text). */
const char *multipart_head_read(char *head, size_t n, struct multipart_part *out);
#endif
