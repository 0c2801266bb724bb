/* apps/absence/rules.h: the words and dates of the absence app, without a store or a request: leave_kinds of rehearsal and what they cost, sections, days, what a client may send for true. */
#ifndef WEIR_ABSENCE_RULES_H
#define WEIR_ABSENCE_RULES_H
#include "base/base.h"
#include "base/clock.h"

#define NOT_PROCESSED "Not processed yet!"          /* how an undecided request looks; whether it is decided is a column of its own */

struct kind { const char *name; int64_t cost; };    /* cost in chances: 1, and 2 for the double ones */
/* Where a form's unescaped '+' became a space it is meant all the same (decision 24). NULL: no such kind. */
const struct kind *leave_kind(struct span text);
extern const struct kind leave_kinds[];                   /* the first one is the default; ended by a row without name */

enum section { SECTION_STRING, SECTION_WIND, SECTION_PERCUSSION, SECTIONS };
extern const char *const section_names[SECTIONS];   /* as stored and shown: string, wind, percussion */
extern const char *const section_groups[SECTIONS];  /* as the contract calls them: stringed, wind, percussion */
extern const char *const section_chinese[SECTIONS];
bool section_parse(struct span, enum section *out); /* string, stringed, 弦乐, S, … in either case */

/* A day is "YYYY-MM-DD", so days compare as texts. */
enum { DAY_BYTES = 11 };
bool day_parse(struct span, char out[DAY_BYTES]);   /* YYYY-M-D too; real days of the calendar only */
void day_of(const struct zone *, int64_t utc_ms, int64_t days_later, char out[DAY_BYTES]);
bool time_parse(struct span, char out[6]);          /* "9:05" -> "09:05" */

bool truth_parse(struct span, bool *out);           /* true, 1, yes, on, t, y and their opposites, in either case */
struct span text_trim(struct span);                 /* without white space at both ends, the ideographic space too */
/* A name for the list: 1 to 20 characters, none of them a control character or invisible, no white space at its ends, and nothing that a spreadsheet takes for a formula. NULL: good; otherwise what is wrong, English. */
const char *name_fault(struct span);
#endif
