/* apps/absence/rehearsals.c: when rehearsals are, and the calendar feed of them.
 *
 * Members read the dates, managers set them. A calendar program cannot send headers, so a member gets an address with a token in its query: 256 random bits of which only the hash is stored, redacted in logs,
 * void when another one is asked for, when it is revoked, and when its owner is retired or unbound. In it are the rehearsals and, for managers, who asked for leave. */
#include "apps/absence/absence_in.h"

#include <stdio.h>
#include <time.h>

#include "apps/absence/ical.h"

#define COLUMNS "id, day, starts, title FROM absence_rehearsal"
enum { H_ID, H_DAY, H_STARTS, H_TITLE, PAST_DAYS = 366 };

static const struct query q_list = { "absence.rehearsals", "SELECT " COLUMNS " WHERE day >= $1 ORDER BY day, starts, title LIMIT 5000", 0 };
static const struct query q_one = { "absence.rehearsal", "SELECT " COLUMNS " WHERE id = $1", 0 };
static const struct query q_same = { "absence.rehearsal_same", "SELECT " COLUMNS " WHERE day = $1 AND starts = $2 AND title = $3", 0 };
static const struct query q_of_day = { "absence.rehearsals_of_day", "SELECT " COLUMNS " WHERE day = $1 ORDER BY id LIMIT 1000", 0 };
static const struct query q_add = { "absence.rehearsal_add", "INSERT INTO absence_rehearsal (day, starts, title, created_ms) VALUES ($1, $2, $3, $4) ON CONFLICT (day, starts, title) DO NOTHING RETURNING id", QUERY_INSERTS };
static const struct query q_remove = { "absence.rehearsal_remove", "DELETE FROM absence_rehearsal WHERE id = $1", 0 };
static const struct query q_absences = { "absence.calendar", "SELECT " REQUEST_COLUMNS " WHERE a.time_absence >= $1 AND a.deleted_ms IS NULL ORDER BY a.time_absence, a.id LIMIT 5000", 0 };
static const struct query q_feed = { "absence.feed", "UPDATE absence_member SET feed = $2 WHERE id = $1", 0 };
const struct query *const rehearsal_queries[] = { &q_list, &q_one, &q_same, &q_of_day, &q_add, &q_remove, &q_absences, &q_feed, NULL };

/* ---- dates ---- */

static void put_rehearsal(struct jout *out, const struct row *row)
{
    jout_begin_object(out);
    jout_put_int(out, "id", row_int(row, H_ID));
    jout_put(out, "date", row_text(row, H_DAY));
    jout_key(out, "time");
    if (row_text(row, H_STARTS).n) jout_text(out, row_text(row, H_STARTS));
    else jout_null(out);
    jout_put(out, "title", row_text(row, H_TITLE));
    jout_end_object(out);
}

static struct span record(const struct request *r, const struct row *row)
{
    struct buf b;
    struct jout out;
    buf_init(&b, 16 * 1024);
    jout_init(&out, &b);
    put_rehearsal(&out, row);
    return buf_into_arena(r, &b);
}

static struct reply *no_day(const struct request *r) { return refuse(r, 400, "日期格式应为 YYYY-MM-DD", "a date is YYYY-MM-DD"); }

struct reply *rehearsals_get(const struct request *r, struct snap *s)
{
    char from[DAY_BYTES] = "";
    if (request_has(r, "from") && !day_parse(request_text(r, "from"), from)) return no_day(r);
    struct rows rows = snap_all(s, &q_list, V_TEXT(span_of(from)));
    struct reply *reply = reply_api(r);
    jout_begin_object(&reply->json);
    jout_key(&reply->json, "rehearsals");
    jout_begin_array(&reply->json);
    for (size_t i = 0; i < rows.n; i++) put_rehearsal(&reply->json, &rows.at[i]);
    jout_end_array(&reply->json);
    jout_end_object(&reply->json);
    reply_api_end(reply);
    return reply;
}

struct reply *rehearsals_post(const struct request *r, struct txn *t)
{
    char day[DAY_BYTES], starts[6] = "";
    struct span title = text_trim(request_text(r, "title"));
    if (!day_parse(request_text(r, "date"), day)) return no_day(r);
    if (text_trim(request_text(r, "time")).n && !time_parse(request_text(r, "time"), starts)) return refuse(r, 400, "时间格式应为 HH:MM", "a time is HH:MM");
    int64_t id = txn_insert(t, &q_add, V_TEXT(span_of(day)), V_TEXT(span_of(starts)), V_TEXT(title), V_INT(request_now(r)));
    const struct row *row = txn_one(t, &q_same, V_TEXT(span_of(day)), V_TEXT(span_of(starts)), V_TEXT(title));
    if (id && row) absence_audit(r, t, "add", "rehearsal", id, SPAN(""), SPAN(""), record(r, row));
    struct reply *reply = reply_api(r);
    if (row) put_rehearsal(&reply->json, row);
    else jout_null(&reply->json);
    reply_api_end(reply);
    return reply;
}

struct reply *rehearsals_delete(const struct request *r, struct txn *t)
{
    char day[DAY_BYTES];
    int64_t id = 0;
    bool by_id = request_has(r, "id");
    if (!by_id && !request_has(r, "date")) return refuse(r, 400, "请给出 id 或 date", "name an id or a date");
    if (by_id && !path_id(r, &id)) return absence_not_found(r);
    if (!by_id && !day_parse(request_text(r, "date"), day)) return no_day(r);
    struct rows rows = by_id ? txn_all(t, &q_one, V_INT(id)) : txn_all(t, &q_of_day, V_TEXT(span_of(day)));
    if (!rows.n) return absence_not_found(r);
    for (size_t i = 0; i < rows.n; i++) {
        absence_audit(r, t, "delete", "rehearsal", row_int(&rows.at[i], H_ID), SPAN(""), record(r, &rows.at[i]), SPAN(""));
        txn_do(t, &q_remove, V_INT(row_int(&rows.at[i], H_ID)));
    }
    struct reply *reply = reply_api(r);
    jout_begin_object(&reply->json);
    jout_put_int(&reply->json, "removed", (int64_t)rows.n);
    jout_end_object(&reply->json);
    reply_api_end(reply);
    return reply;
}

/* ---- the calendar ---- */

static void put_utc(struct buf *b, const char *name, int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    char room[80];
    gmtime_r(&seconds, &tm);
    snprintf(room, sizeof room, "%04d%02d%02dT%02d%02d%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    ical_line(b, name, span_of(room));
}

static void put_day(struct buf *b, struct span day)
{
    char room[16];
    snprintf(room, sizeof room, "%.4s%.2s%.2s", day.p, day.p + 5, day.p + 8);
    ical_line(b, "DTSTART;VALUE=DATE", span_of(room));
}

/* The beginning of an event up to its start. The same thing has the same UID each time, and no other server's has it. */
static void begin_event(const struct request *r, struct buf *b, const char *kind, int64_t id)
{
    unsigned char key[32];
    request_key(r, "absence calendar 1", key);
    struct span host = hex_encode(request_arena(r), span_from(key, 8));
    ical_line(b, "BEGIN", SPAN("VEVENT"));
    ical_line(b, "UID", arena_printf(request_arena(r), "%s-%lld@%.*s.weir", kind, (long long)id, SPAN_ARGS(host)));
    put_utc(b, "DTSTAMP", request_now(r));
}

static void put_rehearsal_event(const struct request *r, struct buf *b, const struct row *row)
{
    struct span day = row_text(row, H_DAY), starts = row_text(row, H_STARTS), title = row_text(row, H_TITLE);
    struct civil c;
    begin_event(r, b, "rehearsal", row_int(row, H_ID));
    if (starts.n == 5 && civil_parse_date(day, &c)) {
        c.hour = (starts.p[0] - '0') * 10 + starts.p[1] - '0';
        c.minute = (starts.p[3] - '0') * 10 + starts.p[4] - '0';
        put_utc(b, "DTSTART", zone_utc_ms(absence(r)->zone, c));
    } else put_day(b, day);
    ical_text(b, "SUMMARY", title.n ? title : request_chinese(r) ? SPAN("排练") : SPAN("rehearsal"));
    ical_line(b, "END", SPAN("VEVENT"));
}

static void put_absence_event(const struct request *r, struct buf *b, const struct row *row)
{
    struct arena *a = request_arena(r);
    bool decided = row_int(row, R_PROCESSED) != 0, permitted = row_int(row, R_PERMISSION) != 0;
    begin_event(r, b, "absence", row_int(row, R_ID));
    put_day(b, row_text(row, R_DAY));
    ical_text(b, "SUMMARY", arena_printf(a, request_chinese(r) ? "请假：%.*s（%.*s）" : "absent: %.*s (%.*s)", SPAN_ARGS(row_text(row, R_APPLIER)), SPAN_ARGS(row_text(row, R_TYPE))));
    ical_text(b, "DESCRIPTION", arena_printf(a, "%.*s\n%.*s", SPAN_ARGS(row_text(row, R_REASON)), SPAN_ARGS(row_text(row, R_RESULT))));
    ical_line(b, "STATUS", permitted ? SPAN("CONFIRMED") : decided ? SPAN("CANCELLED") : SPAN("TENTATIVE"));
    ical_line(b, "TRANSP", SPAN("TRANSPARENT"));
    ical_line(b, "END", SPAN("VEVENT"));
}

struct reply *calendar_get(const struct request *r, struct snap *s)
{
    char from[DAY_BYTES];
    day_of(absence(r)->zone, request_now(r), -PAST_DAYS, from);
    struct reply *reply = reply_text(r, 200, "text/calendar; charset=utf-8", SPAN(""));
    struct buf *b = &reply->body;
    struct rows rows = snap_all(s, &q_list, V_TEXT(span_of(from)));
    ical_line(b, "BEGIN", SPAN("VCALENDAR"));
    ical_line(b, "VERSION", SPAN("2.0"));
    ical_line(b, "PRODID", SPAN("-//Weir//absence//EN"));
    ical_line(b, "METHOD", SPAN("PUBLISH"));
    ical_text(b, "X-WR-CALNAME", request_chinese(r) ? SPAN("排练") : SPAN("rehearsals"));
    for (size_t i = 0; i < rows.n; i++) put_rehearsal_event(r, b, &rows.at[i]);
    if (me(r)->manager) {
        rows = snap_all(s, &q_absences, V_TEXT(span_of(from)));
        for (size_t i = 0; i < rows.n; i++) put_absence_event(r, b, &rows.at[i]);
    }
    ical_line(b, "END", SPAN("VCALENDAR"));
    return reply;
}

struct reply *calendar_post(const struct request *r, struct txn *t)
{
    unsigned char bytes[32], hash[32];
    request_random(r, bytes, sizeof bytes);
    struct span token = base64url_encode(request_arena(r), span_from(bytes, sizeof bytes)), origin = request_origin(r);
    sha256(token, hash);
    txn_do(t, &q_feed, V_INT(me(r)->id), V_BLOB(span_from(hash, sizeof hash)));
    struct reply *reply = reply_api(r);
    jout_begin_object(&reply->json);
    jout_put(&reply->json, "url", arena_printf(request_arena(r), "%.*s/api/absence/calendar.ics?token=%.*s", SPAN_ARGS(origin), SPAN_ARGS(token)));
    jout_end_object(&reply->json);
    reply_api_end(reply);
    return reply;
}

struct reply *calendar_delete(const struct request *r, struct txn *t)
{
    txn_do(t, &q_feed, V_INT(me(r)->id), V_NULL);
    struct reply *reply = reply_api(r);
    jout_begin_object(&reply->json);
    jout_put_bool(&reply->json, "revoked", true);
    jout_end_object(&reply->json);
    reply_api_end(reply);
    return reply;
}
