/* apps/absence/absence_in.h: what the files of the absence app share. The contract is the third seed document; what is new lives under /api/absence/.
 *
 * Who is calling is a member of the name list, proved by a JSON Web Token; each request looks the member up, so whoever was retired or unbound is nobody at once. A request for leave that was deleted after
 * its day stays as a tombstone (deleted_ms): it is shown to nobody and still counts, since chances are a sum over rows and never a counter. Days are texts "YYYY-MM-DD" in the ensemble's zone. */
#ifndef WEIR_ABSENCE_IN_H
#define WEIR_ABSENCE_IN_H
#include <stdatomic.h>

#include "apps/absence/rules.h"
#include "engine/app.h"
#include "wechat/login.h"
#include "wechat/mp.h"

enum { REASON_CHARS = 300, NAME_CHARS = 20, TOKEN_SECONDS = 3600, REFRESH_SECONDS = 24 * 3600, LOGIN_SECONDS = 7 * 24 * 3600 };
enum needs { NEEDS_MEMBER = 1, NEEDS_MANAGER = 2, NEEDS_FEED = 4 /* a member, by token in the query or by header */ };

struct member { int64_t id, generation; struct span name, openid; enum section section; bool manager; };

struct template { struct span id; size_t n; struct { struct span key, what; } fields[12]; };      /* of a subscribe message; id empty: none */

struct absence_state {
    struct zone *zone;
    int64_t notice_days, chances[SECTIONS];
    char term_start[DAY_BYTES];                      /* "": everything counts */
    struct wechat_mp *mp;                            /* NULL: no appid */
    struct wechat_logins *logins;
    struct span mail_url, mail_from, mail_to;        /* of the settings */
    struct template on_request, on_decision;
    struct arena *arena;                             /* of the templates */
    _Atomic bool mail_sick, wechat_sick;             /* told in the log once */
};
struct absence_state *absence(const struct request *);
static inline const struct member *me(const struct request *r) { return request_principal(r)->data; }      /* NULL: nobody, or the operator */
struct reply *absence_admit(const struct request *, struct snap *, unsigned needs, struct principal *out);
struct member *member_of_row(struct arena *, const struct row *);          /* MEMBER_COLUMNS; NULL for NULL */
struct member *member_by_name(struct snap *, struct span name);            /* of the list, not retired */
#define MEMBER_COLUMNS "m.id, m.generation, m.name, m.openid, m.section, m.manager, m.retired_ms FROM absence_member m"

struct span buf_into_arena(const struct request *, struct buf *);         /* NUL-terminated; the buf is done with; without memory it leaves the handler */

/* absence.c: errors. All have `msg`; `detail` or lists of fields stand beside it where the original had them. */
struct reply *fault_msg(const struct request *, int status, const char *msg);                  /* {"msg"} */
struct reply *fault_detail(const struct request *, int status, const char *detail);            /* {"msg","detail"}, under /api/ errcode and errmsg; never translated */
struct reply *fault_list(const struct request *, int status, const char *text);                /* {"msg","detail":[text]}: a bare array of the original */
struct faults { size_t n; struct { const char *field, *text; } at[8]; };                       /* text: the original's, English */
bool field_is_text(const struct request *, const char *name);      /* false: a JSON value of another type */
void fault_add(struct faults *, const char *field, const char *text);
struct reply *fault_fields(const struct request *, const struct faults *);                     /* {"field":["text"],…,"msg"} */
struct reply *absence_not_found(const struct request *);

/* leave.c: rows of absence_request as they are shown. The contract's documents have them in three orders. */
#define REQUEST_COLUMNS "a.id, m.name, p.name, a.reason, a.time_absence, a.time_apply, a.result, a.permission, a.type, a.processed, a.member_id, a.cost, m.section" \
    " FROM absence_request a JOIN absence_member m ON m.id = a.member_id LEFT JOIN absence_member p ON p.id = a.processor_id"
enum { R_ID, R_APPLIER, R_PROCESSOR, R_REASON, R_DAY, R_APPLIED, R_RESULT, R_PERMISSION, R_TYPE, R_PROCESSED, R_MEMBER, R_COST, R_SECTION };
enum order { ORDER_MEMBER, ORDER_MANAGER, ORDER_NEXT };
void put_leave(struct jout *, const struct row *, enum order);            /* the pairs without the braces */
/* A page of a list as array elements; fewer rows than a page end the array. True: more may follow behind *day and *id. */
bool put_leaves(struct jout *, struct rows, size_t page, enum order, char day[DAY_BYTES], int64_t *id);
struct span leave_record(const struct request *, const struct row *);     /* for the audit trail: JSON */
bool path_id(const struct request *, int64_t *out);                         /* of the parameter id; false: names nothing */
void today_of(const struct request *, char out[DAY_BYTES]);
/* Removes a request: really, if its day is still to come; otherwise a tombstone stays. */
void leave_remove(const struct request *, struct txn *, const struct row *);

/* audit.c */
void absence_audit(const struct request *, struct txn *, const char *action, const char *kind, int64_t id, struct span whom, struct span before, struct span after);

/* notify.c */
void notify_request(const struct request *, struct txn *, const struct row *);
void notify_decision(const struct request *, struct txn *, const struct row *);
bool notify_start(struct absence_state *, const struct settings *, struct buf *err);

/* the commands, in the files of their names */
extern const struct migration absence_migrations[];
extern const struct query *const absence_identity_queries[], *const leave_queries[], *const manager_queries[], *const member_queries[], *const rehearsal_queries[], *const absence_report_queries[], *const absence_audit_queries[], *const absence_notify_queries[];
prepare_fn absence_login_prepare, absence_mail_prepare, absence_subscribe_prepare;
apply_fn absence_login_apply, absence_mail_apply, absence_subscribe_apply;
read_fn absence_refresh;
read_fn leave_list, leave_get;
write_fn leave_post, leave_put, leave_patch, leave_delete;
read_fn manager_list, manager_present, manager_next, manager_future, manager_history;
write_fn manager_put, manager_patch, manager_delete;
read_fn members_get, namelist_get, namelist_csv;
write_fn members_post, members_put, members_delete, namelist_import, namelist_unbind;
read_fn rehearsals_get, calendar_get, term_csv, statistics_get, audit_get;
write_fn rehearsals_post, rehearsals_delete, calendar_post, calendar_delete;
#endif
