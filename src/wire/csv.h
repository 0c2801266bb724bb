/* wire/csv.h: tables as text (RFC 4180), as Excel and WPS write and read them.
 *
 * Reading: UTF-8 with or without a byte order mark; lines end with CRLF, LF or CR; a field in quotes may hold commas, line ends and doubled quotes. Refused, each with the line: text that is no UTF-8 (a
 * GBK file, most often), NUL, a quote inside an unquoted field, something behind a closing quote, a quote that never closes, more than CSV_ROWS lines or CSV_FIELDS fields.
 * Empty lines are passed over. Writing: CRLF, quotes where needed; a cell that a spreadsheet would take for a formula (it begins with = + - @, tab or CR) gets an apostrophe before it. */
#ifndef WEIR_CSV_H
#define WEIR_CSV_H
#include "base/base.h"

enum { CSV_ROWS = 20000, CSV_FIELDS = 64 };
struct csv_row { int line; size_t n; const struct span *at; };      /* line: where it begins, from 1 */
struct csv { size_t n; const struct csv_row *at; };

/* All rows, in the arena. False: *out_line and *out_why (static English text). */
bool csv_read(struct arena *, struct span text, struct csv *out, int *out_line, const char **out_why);

#define CSV_BOM "\xef\xbb\xbf"
/* One row; errors are the buf's. */
void csv_write(struct buf *, const struct span *fields, size_t n);
#endif
