/* apps/absence/absence.c: the absence app's table: every route and job, what it takes and gives; its settings; its errors. The contract is the third seed document as spec/seeds.md chapter 3 tells it; what is
 * new lives under /api/absence/.
 *
 * Fields of the contract are optional here and judged by the handlers, because their faults have the original's shape (lists by field) and come after the question who is calling. */
#include "apps/absence/absence_in.h"

#include <stdio.h>

#include "apps/absence/namelist.h"

#define REASON { "reason", NULL, FIELD_TEXT, JUDGED, 0, 100000, "why; at most 300 characters" }
#define DAY { "time_absence", NULL, FIELD_TEXT, JUDGED, 0, 1000, "the day, YYYY-MM-DD" }
#define TYPE { "type", NULL, FIELD_TEXT, JUDGED, 0, 1000, "全体排练 (the default), 弦乐分排, 管乐分排, 弦乐重奏, 管乐重奏, 全体排练+弦乐分排, 全体排练+管乐分排" }
#define ID { "id", NULL, FIELD_TEXT, 0, 0, 1000, "of the request" }
#define NAME { "name", NULL, FIELD_TEXT, REQUIRED | NOT_EMPTY, 0, 1000, "as in the name list" }

static const struct shape login = SHAPE({ "name", NULL, FIELD_TEXT, 0, 0, 1000, "as in the name list" }, { "code", "js_code", FIELD_TEXT, SECRET, 0, 512, "what wx.login gave" },
    { "app_id", NULL, FIELD_ANY, SECRET, 0, 0, "taken and ignored: the server has its own" }, { "app_secret", NULL, FIELD_ANY, SECRET, 0, 0, "taken and ignored" });
static const struct shape wish = SHAPE(REASON, DAY, TYPE);
static const struct shape one = SHAPE(ID);
static const struct shape one_wish = SHAPE(ID, REASON, DAY, TYPE);
static const struct shape verdict = SHAPE(ID, { "result", NULL, FIELD_TEXT, JUDGED, 0, 100000, "why allowed or not; at most 300 characters" }, { "permission", NULL, FIELD_ANY, 0, 0, 0, "true or false" },
    { "processor", NULL, FIELD_ANY, 0, 0, 0, "taken and ignored: it is the caller" });
static const struct shape narrowed = SHAPE({ "processed", NULL, FIELD_TEXT, 0, 0, 100, "true or false: only those" });
static const struct shape day_of_members = SHAPE({ "date", NULL, FIELD_TEXT, 0, 0, 1000, "YYYY-MM-DD" }, { "all", NULL, FIELD_TEXT, 0, 0, 100, "1: everybody, not only who is absent" });

static const struct shape told = SHAPE({ "message", NULL, FIELD_TEXT, 0, 0, 0, NULL }, { "at", NULL, FIELD_INT, 0, 0, 0, NULL }, { "template", NULL, FIELD_TEXT, 0, 0, 0, NULL }, { "to", NULL, FIELD_INT, 0, 0, 0, NULL },
    { "name", NULL, FIELD_TEXT, 0, 0, 0, NULL }, { "section", NULL, FIELD_TEXT, 0, 0, 0, NULL }, { "date", NULL, FIELD_TEXT, 0, 0, 0, NULL }, { "type", NULL, FIELD_TEXT, 0, 0, 0, NULL },
    { "reason", NULL, FIELD_TEXT, 0, 0, 0, NULL }, { "decision", NULL, FIELD_TEXT, 0, 0, 0, NULL }, { "result", NULL, FIELD_TEXT, 0, 0, 0, NULL });

static const struct shape span_of_days = SHAPE({ "from", NULL, FIELD_TEXT, 0, 0, 100, "first day; absence.term_start" }, { "to", NULL, FIELD_TEXT, 0, 0, 100, "last day" });

#define REHEARSAL "{id:n, date:s, time:s|z, title:s}"
#define NUMBERS "requests:n, permitted:n, refused:n, undecided:n, used:n"
#define OBJECT_KEYS "id:n, applier:s, processor:s|z, reason:s, time_absence:s, time_apply:s, result:s, permission:b, type:s"
#define OBJECT "{" OBJECT_KEYS "}"
#define API(data) "{errcode:n, errmsg:s, data:" data "}"
#define MEMBER "{id:n, name:s, section:s, manager:b, bound:b, retired:b}"
#define LISTED API("{members:[" MEMBER "]}")

static const struct command commands[] = {
    { .name = "absence.login", .about = "Exchange a name and a mini program's login code for a token", .http = "POST /account/login/", .takes = &login, .gives = "{msg:s, token:s}",
      .flags = COMMAND_PRIVATE | COMMAND_NOT_IDEMPOTENT_KEYED, STAGED(absence_login_prepare, absence_login_apply) },
    { .name = "absence.refresh", .about = "A new token for one that is valid or expired less than a day ago, until a week after the login", .http = "POST /account/refresh/?", .gives = "{msg:s, token:s}",
      .flags = COMMAND_PRIVATE | COMMAND_NOT_IDEMPOTENT_KEYED, READS(absence_refresh) },
    { .name = "absence.list", .about = "My requests for leave, by day", .http = "GET /absence/?", .gives = "[" OBJECT "]", .needs = NEEDS_MEMBER, .flags = COMMAND_PRIVATE, READS(leave_list) },
    { .name = "absence.apply", .about = "Ask for leave", .http = "POST /absence/?", .takes = &wish, .gives = OBJECT, .needs = NEEDS_MEMBER, .flags = COMMAND_PRIVATE, WRITES(leave_post) },
    { .name = "absence.get", .about = "One of my requests", .http = "GET /absence/{id}/?", .takes = &one, .gives = OBJECT, .needs = NEEDS_MEMBER, .flags = COMMAND_PRIVATE, READS(leave_get) },
    { .name = "absence.put", .about = "Change one of my requests; a decided one becomes undecided", .http = "PUT /absence/{id}/?", .takes = &one_wish, .gives = OBJECT, .needs = NEEDS_MEMBER,
      .flags = COMMAND_PRIVATE, WRITES(leave_put) },
    { .name = "absence.patch", .about = "Change what is given of one of my requests", .http = "PATCH /absence/{id}/?", .takes = &one_wish, .gives = OBJECT, .needs = NEEDS_MEMBER,
      .flags = COMMAND_PRIVATE, WRITES(leave_patch) },
    { .name = "absence.delete", .about = "Delete one of my requests; before its day the chances come back", .http = "DELETE /absence/{id}/?", .takes = &one, .needs = NEEDS_MEMBER,
      .flags = COMMAND_PRIVATE, WRITES(leave_delete) },
    { .name = "absence.manager.list", .about = "All requests, by day", .http = "GET /manager/?", .gives = "[" OBJECT "]", .needs = NEEDS_MANAGER, .flags = COMMAND_PRIVATE, READS(manager_list) },
    { .name = "absence.manager.decide", .about = "Allow or refuse a request", .http = "PUT /manager/{id}/?", .takes = &verdict, .gives = "{" OBJECT_KEYS ", msg:s}", .needs = NEEDS_MANAGER,
      .flags = COMMAND_PRIVATE, WRITES(manager_put) },
    { .name = "absence.manager.patch", .about = "Change what is given of a decision", .http = "PATCH /manager/{id}/?", .takes = &verdict, .gives = "{" OBJECT_KEYS ", msg:s}", .needs = NEEDS_MANAGER,
      .flags = COMMAND_PRIVATE, WRITES(manager_patch) },
    { .name = "absence.manager.delete", .about = "Delete anybody's request", .http = "DELETE /manager/{id}/?", .takes = &one, .needs = NEEDS_MANAGER, .flags = COMMAND_PRIVATE, WRITES(manager_delete) },
    { .name = "absence.manager.present", .about = "Who is absent on a day; with all=1 everybody", .http = "GET /manager/{date}/present/?", .takes = &day_of_members,
      .gives = "{time:s, members:[{name:s, state:s}]}", .needs = NEEDS_MANAGER, .flags = COMMAND_PRIVATE, READS(manager_present) },
    { .name = "absence.manager.next", .about = "The requests for the next rehearsal, by section", .http = "GET /manager/next/?",
      .gives = "{time:s|z, stringed:[" OBJECT "], wind:[" OBJECT "], percussion:[" OBJECT "]}", .needs = NEEDS_MANAGER, .flags = COMMAND_PRIVATE, READS(manager_next) },
    { .name = "absence.manager.future", .about = "All requests for days after today", .http = "GET /manager/future/?", .takes = &narrowed, .gives = "[" OBJECT "]", .needs = NEEDS_MANAGER,
      .flags = COMMAND_PRIVATE, READS(manager_future) },
    { .name = "absence.manager.history", .about = "All requests for days before today", .http = "GET /manager/history/?", .takes = &narrowed, .gives = "[" OBJECT "]", .needs = NEEDS_MANAGER,
      .flags = COMMAND_PRIVATE, READS(manager_history) },

    { .name = "absence.api.members", .about = "The name list", .http = "GET /api/absence/members/?", .takes = &SHAPE({ "all", NULL, FIELD_TEXT, 0, 0, 100, "1: who has left, too" }),
      .gives = LISTED, .needs = NEEDS_MANAGER, .flags = COMMAND_PRIVATE, READS(members_get) },
    { .name = "absence.api.member_add", .about = "Put somebody into the name list, or back into it", .http = "POST /api/absence/members/?",
      .takes = &SHAPE(NAME, { "section", NULL, FIELD_TEXT, REQUIRED, 0, 100, "string, wind, percussion" }, { "manager", NULL, FIELD_ANY, 0, 0, 0, "true or false" }),
      .gives = API(MEMBER), .needs = NEEDS_MANAGER, .flags = COMMAND_PRIVATE, WRITES(members_post) },
    { .name = "absence.api.member_change", .about = "Change somebody's section, make him a manager, or unbind his WeChat identity", .http = "PUT /api/absence/members/?",
      .takes = &SHAPE(NAME, { "section", NULL, FIELD_TEXT, 0, 0, 100, "string, wind, percussion" }, { "manager", NULL, FIELD_ANY, 0, 0, 0, "true or false" },
                      { "unbind", NULL, FIELD_ANY, 0, 0, 0, "true: the next login binds anew" }),
      .gives = API(MEMBER), .needs = NEEDS_MANAGER, .flags = COMMAND_PRIVATE, WRITES(members_put) },
    { .name = "absence.api.member_retire", .about = "Take somebody out of the name list; what he asked for stays", .http = "DELETE /api/absence/members/?", .takes = &SHAPE(NAME),
      .gives = API(MEMBER), .needs = NEEDS_MANAGER, .flags = COMMAND_PRIVATE, WRITES(members_delete) },
    { .name = "absence.api.rehearsals", .about = "When rehearsals are", .http = "GET /api/absence/rehearsals/?", .takes = &SHAPE({ "from", NULL, FIELD_TEXT, 0, 0, 100, "only those of this day and later" }),
      .gives = API("{rehearsals:[" REHEARSAL "]}"), .needs = NEEDS_MEMBER, .flags = COMMAND_PRIVATE, READS(rehearsals_get) },
    { .name = "absence.api.rehearsal_add", .about = "Plan a rehearsal", .http = "POST /api/absence/rehearsals/?",
      .takes = &SHAPE({ "date", NULL, FIELD_TEXT, REQUIRED, 0, 100, "YYYY-MM-DD" }, { "time", NULL, FIELD_TEXT, 0, 0, 100, "HH:MM, when it begins" }, { "title", NULL, FIELD_TEXT, 0, 0, 200, "what is rehearsed" }),
      .gives = API(REHEARSAL), .needs = NEEDS_MANAGER, .flags = COMMAND_PRIVATE, WRITES(rehearsals_post) },
    { .name = "absence.api.rehearsal_remove", .about = "Take a rehearsal out of the plan, or all of a day", .http = "DELETE /api/absence/rehearsals/?",
      .takes = &SHAPE(ID, { "date", NULL, FIELD_TEXT, 0, 0, 100, "YYYY-MM-DD" }), .gives = API("{removed:n}"), .needs = NEEDS_MANAGER, .flags = COMMAND_PRIVATE, WRITES(rehearsals_delete) },
    { .name = "absence.api.calendar_address", .about = "An address of the calendar that programs can read without a header; an earlier one is void", .http = "POST /api/absence/calendar/?",
      .gives = API("{url:s}"), .needs = NEEDS_MEMBER, .flags = COMMAND_PRIVATE | COMMAND_NOT_IDEMPOTENT_KEYED, WRITES(calendar_post) },
    { .name = "absence.api.calendar_revoke", .about = "Make my calendar address void", .http = "DELETE /api/absence/calendar/?", .gives = API("{revoked:b}"), .needs = NEEDS_MEMBER,
      .flags = COMMAND_PRIVATE, WRITES(calendar_delete) },
    { .name = "absence.api.calendar", .about = "Rehearsals and, for managers, requests for leave, as iCalendar", .http = "GET /api/absence/calendar.ics",
      .takes = &SHAPE({ "token", NULL, FIELD_TEXT, SECRET | HOW, 0, 100, "of the calendar's address" }), .gives = "*", .needs = NEEDS_FEED, .flags = COMMAND_PRIVATE, READS(calendar_get) },
    { .name = "absence.api.term", .about = "The requests of a term as CSV", .http = "GET /api/absence/term.csv", .takes = &span_of_days, .gives = "*", .needs = NEEDS_MANAGER, .flags = COMMAND_PRIVATE, READS(term_csv) },
    { .name = "absence.api.statistics", .about = "The term in numbers, by member and by section", .http = "GET /api/absence/statistics/?", .takes = &span_of_days,
      .gives = API("{members:[{name:s, section:s, retired:b, " NUMBERS ", left:n}], sections:[{section:s, members:n, " NUMBERS ", chances:n}], from:s, to:s}"),
      .needs = NEEDS_MANAGER, .flags = COMMAND_PRIVATE, READS(statistics_get) },
    { .name = "absence.api.audit", .about = "Who did what, oldest first", .http = "GET /api/absence/audit/?",
      .takes = &SHAPE({ "since", NULL, FIELD_INT, 0, 0, INT64_MAX, "only what is newer than the entry with this id" }, { "limit", NULL, FIELD_INT, 0, 1, 500, "at most so many; 100" }),
      .gives = API("{entries:[{id:n, time:s, actor:s, action:s, kind:s, target:n, name:s, before:*, after:*}], more:b}"), .needs = NEEDS_MANAGER, .flags = COMMAND_PRIVATE, READS(audit_get) },

    { .name = "absence.namelist", .about = "The name list, with who has left", .http = "GET /api/absence/namelist/?", .gives = LISTED, .flags = COMMAND_OPERATOR | COMMAND_PRIVATE, READS(namelist_get) },
    { .name = "absence.namelist.export", .about = "The name list as CSV", .http = "GET /api/absence/namelist.csv", .gives = "*", .flags = COMMAND_OPERATOR | COMMAND_PRIVATE, READS(namelist_csv) },
    { .name = "absence.namelist.import", .about = "Add and update members from a CSV file; all or nothing", .http = "POST /api/absence/namelist/import",
      .takes = &SHAPE({ "csv", NULL, FIELD_TEXT, REQUIRED, 0, NAMELIST_BYTES, "name,section,manager" }, { "replace", NULL, FIELD_ANY, 0, 0, 0, "true: who is not in it is retired" }),
      .gives = API("{added:n, updated:n, revived:n, unchanged:n, retired:n}"), .body_bytes = 2 * NAMELIST_BYTES, .flags = COMMAND_OPERATOR | COMMAND_PRIVATE, WRITES(namelist_import) },
    { .name = "absence.namelist.unbind", .about = "Take somebody's WeChat identity from his name", .http = "POST /api/absence/namelist/unbind", .takes = &SHAPE(NAME),
      .gives = API(MEMBER), .flags = COMMAND_OPERATOR | COMMAND_PRIVATE, WRITES(namelist_unbind) },

    { .name = "absence.mail", .about = "Tell the addresses of absence.mail_to of a request", .job = true, .takes = &told, .gives = "{}", STAGED(absence_mail_prepare, absence_mail_apply) },
    { .name = "absence.subscribe", .about = "Tell a member by a subscribe message", .job = true, .takes = &told, .gives = "{}", STAGED(absence_subscribe_prepare, absence_subscribe_apply) },
    { 0 },
};

static const struct setting settings[] = {
    { "absence", "appid", "", "the mini program of the absence app; empty: wechat.appid" },
    { "absence", "secret", "", "its AppSecret; empty: wechat.secret", .secret = true },
    { "absence", "timezone", "", "zone of the ensemble's days; empty: server.timezone", .kind = SETTING_ZONE },
    { "absence", "term_start", "", "first day of the term, YYYY-MM-DD: earlier absences use up no chances; empty: all count" },
    { "absence", "notice_days", "1", "how many days before a rehearsal leave must be asked for; 1: not on the same day", .kind = SETTING_INT, .min = 0, .max = 366 },
    { "absence", "chances_string", "3", "how often a term a member of the strings may ask for leave; double rehearsals count twice", .kind = SETTING_INT, .min = 0, .max = 100000 },
    { "absence", "chances_wind", "2", "the same of the winds", .kind = SETTING_INT, .min = 0, .max = 100000 },
    { "absence", "chances_percussion", "1", "the same of the percussion", .kind = SETTING_INT, .min = 0, .max = 100000 },
    { "absence", "mail_url", "", "mail server that tells managers of requests: smtp://HOST:PORT, smtps://USER:PASSWORD@HOST:PORT", .secret = true },
    { "absence", "mail_from", "weir@localhost", "sender of those mails" },
    { "absence", "mail_to", "", "their receivers, separated by commas" },
    { "absence", "template_request", "", "subscribe message that tells managers of requests: the template's id, perhaps with its fields, as ID thing1=name date2=date thing3=type thing4=reason" },
    { "absence", "template_decision", "", "subscribe message that tells the applicant of the decision, likewise" },
    { 0 },
};

/* ---- errors ---- */

static void absence_error(struct jout *out, int status, struct span text)
{
    (void)status;
    jout_begin_object(out);
    jout_put(out, "msg", text);
    jout_put(out, "detail", text);
    jout_end_object(out);
}

static void absence_api_error(struct jout *out, int status, struct span text)
{
    jout_begin_object(out);
    jout_put_int(out, "errcode", status);
    jout_put(out, "errmsg", text);
    jout_put(out, "msg", text);
    jout_end_object(out);
}

struct reply *fault_detail(const struct request *r, int status, const char *detail) { return refuse(r, status, detail, NULL); }
struct reply *absence_not_found(const struct request *r) { return fault_detail(r, 404, "Not found."); }

struct reply *fault_msg(const struct request *r, int status, const char *msg)
{
    struct reply *reply = reply_new(r, status);
    reply->message = arena_copy(request_arena(r), span_of(msg));
    jout_begin_object(&reply->json);
    jout_put(&reply->json, "msg", reply->message);
    jout_end_object(&reply->json);
    return reply;
}

struct reply *fault_list(const struct request *r, int status, const char *text)
{
    struct reply *reply = reply_new(r, status);
    reply->message = arena_copy(request_arena(r), span_of(text));
    jout_begin_object(&reply->json);
    jout_put(&reply->json, "msg", reply->message);
    jout_key(&reply->json, "detail");
    jout_begin_array(&reply->json);
    jout_text(&reply->json, reply->message);
    jout_end_array(&reply->json);
    jout_end_object(&reply->json);
    return reply;
}

struct span buf_into_arena(const struct request *r, struct buf *b)
{
    bool failed = b->failed;
    size_t n = failed ? LIMIT_ARENA_BYTES : b->n;                  /* more than is left: leaves the handler, as memory that is at its end always does */
    char *text = NULL;
    if (failed) buf_done(b);
    text = arena_take(request_arena(r), n + 1);
    if (n && !failed) memcpy(text, b->p, n);
    text[failed ? 0 : n] = '\0';
    buf_done(b);
    return span_from(text, failed ? 0 : n);
}

bool field_is_text(const struct request *r, const char *name)
{
    const json_t *v = request_json(r, name);
    return !v || json_is_string(v) || json_is_integer(v);
}

void fault_add(struct faults *f, const char *field, const char *text)
{
    must(f->n < LENGTH(f->at));
    f->at[f->n].field = field;
    f->at[f->n++].text = text;
}

/* What a user is shown; clients read the lists. */
static struct span fault_sentence(const struct request *r, const char *field, const char *text)
{
    static const char *const fields[][2] = { { "reason", "请假原因" }, { "time_absence", "日期" }, { "type", "排练类型" }, { "result", "处理意见" }, { "permission", "是否批准" } };
    static const char *const texts[][2] = { { "This field is required.", "没有填写" }, { "This field may not be blank.", "不能为空" }, { "Not a valid string.", "应为文字" }, { "Ensure this field has no more than 300 characters.", "最多 300 个字" },
        { "Date has wrong format. Use one of these formats instead: YYYY-MM-DD.", "格式应为 YYYY-MM-DD" }, { "Must be a valid boolean.", "只能是 true 或 false" } };
    if (strcmp(field, "union_id") == 0) return span_of(text);
    if (!request_chinese(r)) return arena_printf(request_arena(r), "%s: %s", field, text);
    for (size_t i = 0; i < LENGTH(fields); i++)
        if (strcmp(field, fields[i][0]) == 0) field = fields[i][1];
    for (size_t i = 0; i < LENGTH(texts); i++)
        if (strcmp(text, texts[i][0]) == 0) text = texts[i][1];
    if (strstr(text, " is not a valid choice.")) text = "没有这个选项";
    return arena_printf(request_arena(r), "%s：%s", field, text);
}

struct reply *fault_fields(const struct request *r, const struct faults *f)
{
    struct reply *reply = reply_new(r, 400);
    must(f->n > 0);
    jout_begin_object(&reply->json);
    for (size_t i = 0; i < f->n; i++) {
        jout_key(&reply->json, f->at[i].field);
        jout_begin_array(&reply->json);
        jout_text(&reply->json, span_of(f->at[i].text));
        jout_end_array(&reply->json);
    }
    reply->message = fault_sentence(r, f->at[0].field, f->at[0].text);
    jout_put(&reply->json, "msg", reply->message);
    jout_end_object(&reply->json);
    return reply;
}

/* ---- start and stop ---- */

static void absence_stop(void *state)
{
    struct absence_state *a = state;
    wechat_mp_free(&a->mp);
    wechat_logins_free(&a->logins);
    arena_free(&a->arena);
    zone_free(&a->zone);
    free(a);
}

static bool start_wechat(struct absence_state *a, const struct settings *s, struct buf *err)
{
    struct span appid = settings_get(s, "absence", "appid"), secret = settings_get(s, "absence", "secret");
    if ((appid.n > 0) != (secret.n > 0)) {
        buf_add_z(err, "absence.appid and absence.secret belong together: set both, or none to use those of [wechat]");
        return false;
    }
    struct wechat_mp_config mp = { settings_get(s, "wechat", "api_url"), appid.n ? appid : settings_get(s, "wechat", "appid"), appid.n ? secret : settings_get(s, "wechat", "secret"), NULL };
    return !mp.appid.n || (a->mp = wechat_mp_new(&mp, err));
}

static bool start_days(struct absence_state *a, const struct settings *s, struct buf *err)
{
    struct span term = settings_get(s, "absence", "term_start"), zone = settings_get(s, "absence", "timezone");
    char name[128];
    if (!zone.n) zone = settings_get(s, "server", "timezone");
    snprintf(name, sizeof name, "%.*s", SPAN_ARGS(zone));
    if (term.n && !day_parse(term, a->term_start)) {
        buf_add_z(err, "absence.term_start must be a day, as 2026-09-01");
        return false;
    }
    return (a->zone = zone_open(name, err)) != NULL;
}

static void *absence_start(const struct settings *s, struct store_conn *conn, struct buf *err)
{
    static const char *const chances[SECTIONS] = { "chances_string", "chances_wind", "chances_percussion" };
    (void)conn;
    struct absence_state *a = base_alloc(sizeof *a);
    if (!a) return NULL;
    memset(a, 0, sizeof *a);
    a->notice_days = settings_int(s, "absence", "notice_days");
    for (int i = 0; i < SECTIONS; i++) a->chances[i] = settings_int(s, "absence", chances[i]);
    a->logins = wechat_logins_new();
    a->arena = arena_new(256 * 1024);
    if (a->logins && a->arena && start_days(a, s, err) && start_wechat(a, s, err) && notify_start(a, s, err)) return a;
    absence_stop(a);
    return NULL;
}

static const char *const prefixes[] = { "/absence/", "/absence", "/manager/", "/manager", "/account/login/", "/account/refresh", NULL };
static const char *const needs_names[] = { "member", "manager", "member or calendar token", NULL };
static const struct query *const *const queries[] = { absence_identity_queries, leave_queries, manager_queries, member_queries, rehearsal_queries, absence_report_queries, absence_audit_queries, absence_notify_queries, NULL };

const struct app absence_app = {
    .name = "absence", .needs_names = needs_names, .prefixes = prefixes, .commands = commands, .queries = queries, .migrations = absence_migrations, .settings = settings,
    .start = absence_start, .stop = absence_stop, .admit = absence_admit, .error = absence_error, .api_error = absence_api_error,
};
