/* apps/absence/ical.h: lines of iCalendar (RFC 5545): CRLF, folded at 75 octets without cutting a character, texts escaped. Pure; errors are the buf's. */
#ifndef WEIR_ABSENCE_ICAL_H
#define WEIR_ABSENCE_ICAL_H
#include "base/base.h"

void ical_line(struct buf *, const char *name, struct span value);         /* "NAME:value", as it is: no control bytes (must) */
void ical_text(struct buf *, const char *name, struct span text);          /* the same with \ ; , and line ends escaped, other control bytes left out */
#endif
