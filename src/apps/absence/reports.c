/* apps/absence/reports.c: a term as a table for spreadsheets, and in numbers. The term begins at absence.term_start, or where the caller says (from, to). */
#include "apps/absence/absence_in.h"

#include <stdio.h>

#include "wire/csv.h"

enum { PAGE = 200 };

static const struct query q_rows = { "absence.term", "SELECT " REQUEST_COLUMNS " WHERE (a.time_absence, a.id) > ($1, $2) AND a.time_absence <= $3 AND a.deleted_ms IS NULL ORDER BY a.time_absence, a.id LIMIT 200", 0 };
/* tombstones count as used and nowhere else */
static const struct query q_counts = { "absence.statistics",
    "SELECT m.id, m.name, m.section, m.retired_ms, count(CASE WHEN a.deleted_ms IS NULL THEN a.id END), count(CASE WHEN a.deleted_ms IS NULL AND a.processed = 1 AND a.permission = 1 THEN 1 END),"
    " count(CASE WHEN a.deleted_ms IS NULL AND a.processed = 1 AND a.permission = 0 THEN 1 END), count(CASE WHEN a.deleted_ms IS NULL AND a.processed = 0 THEN 1 END), coalesce(sum(a.cost), 0)"
    " FROM absence_member m LEFT JOIN absence_request a ON a.member_id = m.id AND a.time_absence >= $1 AND a.time_absence <= $2 GROUP BY m.id, m.name, m.section, m.retired_ms ORDER BY m.id LIMIT 100000", QUERY_SCANS };
const struct query *const absence_report_queries[] = { &q_rows, &q_counts, NULL };

struct term { char from[DAY_BYTES], to[DAY_BYTES]; int64_t id; };

static struct reply *term_read(const struct request *r, struct term *out)
{
    *out = (struct term){ .to = "9999-12-31" };
    memcpy(out->from, absence(r)->term_start, DAY_BYTES);
    if ((request_has(r, "from") && !day_parse(request_text(r, "from"), out->from)) || (request_has(r, "to") && !day_parse(request_text(r, "to"), out->to)))
        return refuse(r, 400, "日期格式应为 YYYY-MM-DD", "a date is YYYY-MM-DD");
    return NULL;
}

static bool csv_more(const struct request *r, struct snap *s, struct reply *reply, void *state)
{
    struct term *page = state;
    struct arena *a = request_arena(r);
    struct rows rows = snap_all(s, &q_rows, V_TEXT(span_of(page->from)), V_INT(page->id), V_TEXT(span_of(page->to)));
    for (size_t i = 0; i < rows.n; i++) {
        const struct row *row = &rows.at[i];
        struct span cells[] = { arena_int(a, row_int(row, R_ID)), row_text(row, R_APPLIER), row_text(row, R_SECTION), row_text(row, R_DAY), row_text(row, R_TYPE), arena_int(a, row_int(row, R_COST)), row_text(row, R_REASON),
                                row_text(row, R_APPLIED), row_int(row, R_PROCESSED) ? SPAN("yes") : SPAN("no"), row_int(row, R_PERMISSION) ? SPAN("yes") : SPAN("no"), row_text(row, R_RESULT), row_text(row, R_PROCESSOR) };
        csv_write(&reply->body, cells, LENGTH(cells));
    }
    if (rows.n < PAGE) return false;
    snprintf(page->from, sizeof page->from, "%.*s", SPAN_ARGS(row_text(&rows.at[rows.n - 1], R_DAY)));
    page->id = row_int(&rows.at[rows.n - 1], R_ID);
    return true;
}

struct reply *term_csv(const struct request *r, struct snap *s)
{
    struct term *page = arena_zero(request_arena(r), sizeof *page);
    struct reply *refusal = term_read(r, page);
    if (refusal) return refusal;
    struct reply *reply = reply_text(r, 200, "text/csv; charset=utf-8", SPAN(CSV_BOM "id,applier,section,time_absence,type,cost,reason,time_apply,processed,permission,result,processor\r\n"));
    reply_header(reply, "Content-Disposition", SPAN("attachment; filename=\"term.csv\""));
    if (csv_more(r, s, reply, page)) reply_stream(reply, csv_more, page);
    return reply;
}

/* ---- numbers ---- */

enum { N_REQUESTS, N_PERMITTED, N_REFUSED, N_UNDECIDED, N_USED, NUMBERS };
struct numbers { int64_t members, at[NUMBERS], chances; };

static void put_numbers(struct jout *out, const struct numbers *n)
{
    static const char *const keys[NUMBERS] = { "requests", "permitted", "refused", "undecided", "used" };
    for (int i = 0; i < NUMBERS; i++) jout_put_int(out, keys[i], n->at[i]);
}

struct reply *statistics_get(const struct request *r, struct snap *s)
{
    struct term term;
    struct numbers sections[SECTIONS] = { 0 };
    struct reply *refusal = term_read(r, &term);
    if (refusal) return refusal;
    struct rows rows = snap_all(s, &q_counts, V_TEXT(span_of(term.from)), V_TEXT(span_of(term.to)));
    struct reply *reply = reply_api(r);
    struct jout *out = &reply->json;
    jout_begin_object(out);
    jout_key(out, "members");
    jout_begin_array(out);
    for (size_t i = 0; i < rows.n; i++) {
        const struct row *row = &rows.at[i];
        struct numbers n = { .members = row_null(row, 3) };
        enum section section = SECTION_STRING;
        section_parse(row_text(row, 2), &section);
        for (size_t k = 0; k < NUMBERS; k++) n.at[k] = row_int(row, 4 + k);
        if (!row_null(row, 3) && !n.at[N_REQUESTS] && !n.at[N_USED]) continue;      /* left, and did nothing in this term */
        n.chances = absence(r)->chances[section];
        jout_begin_object(out);
        jout_put(out, "name", row_text(row, 1));
        jout_put(out, "section", row_text(row, 2));
        jout_put_bool(out, "retired", !row_null(row, 3));
        put_numbers(out, &n);
        jout_put_int(out, "left", n.chances > n.at[N_USED] ? n.chances - n.at[N_USED] : 0);
        jout_end_object(out);
        sections[section].members += n.members;
        for (int k = 0; k < NUMBERS; k++) sections[section].at[k] += n.at[k];
    }
    jout_end_array(out);
    jout_key(out, "sections");
    jout_begin_array(out);
    for (int i = 0; i < SECTIONS; i++) {
        jout_begin_object(out);
        jout_put_z(out, "section", section_names[i]);
        jout_put_int(out, "members", sections[i].members);
        put_numbers(out, &sections[i]);
        jout_put_int(out, "chances", absence(r)->chances[i]);
        jout_end_object(out);
    }
    jout_end_array(out);
    jout_put_z(out, "from", term.from);
    jout_put_z(out, "to", term.to);
    jout_end_object(out);
    reply_api_end(reply);
    return reply;
}
