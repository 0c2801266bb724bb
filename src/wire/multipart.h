/* wire/multipart.h: multipart/form-data (RFC 7578) as a stream of events, so that files go to disk without being held. No sockets, no files. */
#ifndef WEIR_MULTIPART_H
#define WEIR_MULTIPART_H
#include "base/base.h"
#include "wire/limits.h"

/* boundary= of a Content-Type value "multipart/form-data; boundary=…" (quoted or not, 1..70 characters of RFC 2046); false otherwise. */
bool multipart_boundary(struct span content_type, struct span *out);

enum multipart_event { MULTIPART_MORE, MULTIPART_PART, MULTIPART_DATA, MULTIPART_PART_END, MULTIPART_END, MULTIPART_ERROR };
/* name: never empty, UTF-8. filename: last component only, escapes undone, UTF-8 without control bytes, may be empty; has_filename even then (browsers
 * send that when no file was chosen). type: as sent, may be empty. */
struct multipart_part { struct span name, filename, type; bool has_filename; };

struct multipart;                                          /* heap; bounded by LIMIT_PART_HEAD_BYTES and the boundary */
struct multipart *multipart_new(struct span boundary);     /* a boundary of multipart_boundary(), copied. NULL: no memory */
void multipart_free(struct multipart **);
/* Feeds *in (advanced). Call until MULTIPART_MORE (all is eaten, nothing is pending), MULTIPART_ERROR (for ever; multipart_why() names it) or MULTIPART_END
 * (given once, perhaps when *in is already empty). A part is PART, any number of DATA (none of them empty), PART_END. MULTIPART_PART: *out_part is valid
 * until the next call. MULTIPART_DATA: *out_data are bytes of the present part (into the input or the parser's own carry-over; until the next call). A body
 * that ends before MULTIPART_END is to be refused. After MULTIPART_END everything behind (epilogue) is ignored. */
enum multipart_event multipart_feed(struct multipart *, struct span *in, struct multipart_part *out_part, struct span *out_data);
bool multipart_done(const struct multipart *);             /* the closing boundary was seen */
const char *multipart_why(const struct multipart *);
#endif
