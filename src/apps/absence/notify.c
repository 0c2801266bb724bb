/* apps/absence/notify.c: who is told of what: managers of a new request, by e-mail (absence.mail_url, mail_to) and by subscribe messages of the mini program (template_request); the applicant of the
 * decision, by a subscribe message (template_decision).
 *
 * Each message is a row of the outbox, written in the transaction that is its reason, with all that it says: it is sent if and only if that was committed, says what was true then, and keeps its
 * Message-ID however often it is tried. A trouble is told in the log once, and once when it is over. A member who never consented to messages gets none; that is no trouble. */
#include "apps/absence/absence_in.h"

#include "base/log.h"
#include "net/mail.h"

enum { NO_CONSENT = 43101, NO_SUCH_USER = 40003 };
#define REQUEST_FIELDS "thing1=name date2=date thing3=type thing4=reason"
#define DECISION_FIELDS "date1=date thing2=type phrase3=decision thing4=result"

static const struct query q_managers = { "absence.bound_managers", "SELECT id FROM absence_member WHERE manager = 1 AND retired_ms IS NULL AND openid IS NOT NULL AND id <> $1 ORDER BY id LIMIT 1000", QUERY_SCANS };
static const struct query q_openid = { "absence.openid", "SELECT openid FROM absence_member WHERE id = $1 AND retired_ms IS NULL AND openid IS NOT NULL", 0 };
const struct query *const absence_notify_queries[] = { &q_managers, &q_openid, NULL };

/* ---- settings ---- */

/* "ID" or "ID field=what field=what …" */
static bool template_read(struct arena *a, struct span text, const char *fallback, struct template *out)
{
    static const char *const known[] = { "name", "section", "date", "type", "reason", "applied", "decision", "result" };
    struct span left = span_trim(text), fields;
    *out = (struct template){ .n = 0 };
    if (!left.n) return true;
    int space = span_find(left, ' ');
    out->id = arena_copy(a, span_from(left.p, space < 0 ? left.n : (size_t)space));
    fields = span_trim(space < 0 ? SPAN("") : span_cut(left, (size_t)space));
    fields = arena_copy(a, fields.n ? fields : span_of(fallback));
    while (fields.n) {
        space = span_find(fields, ' ');
        struct span word = span_from(fields.p, space < 0 ? fields.n : (size_t)space);
        int equals = span_find(word, '=');
        bool good = false;
        fields = span_trim(span_cut(fields, word.n));
        if (equals < 1 || out->n == LENGTH(out->fields)) return false;
        out->fields[out->n].key = span_from(word.p, (size_t)equals);
        out->fields[out->n].what = span_cut(word, (size_t)equals + 1);
        for (size_t i = 0; i < LENGTH(known); i++) good = good || span_is_z(out->fields[out->n].what, known[i]);
        if (!good) return false;
        out->n++;
    }
    return true;
}

static bool addresses_right(struct span list)
{
    struct span one;
    size_t n = 0;
    while (mail_address_next(&list, &one))
        if (!mail_address_right(one) || ++n > MAIL_RECIPIENTS) return false;
    return n > 0;
}

bool notify_start(struct absence_state *a, const struct settings *s, struct buf *err)
{
    a->mail_url = settings_get(s, "absence", "mail_url");
    a->mail_from = settings_get(s, "absence", "mail_from");
    a->mail_to = settings_get(s, "absence", "mail_to");
    if ((a->mail_url.n > 0) != (a->mail_to.n > 0)) buf_add_z(err, "absence.mail_url and absence.mail_to belong together: the mail server, and who is told of requests");
    else if (a->mail_url.n && !mail_url_right(a->mail_url)) buf_add_z(err, "absence.mail_url must be smtp://HOST:PORT or smtps://USER:PASSWORD@HOST:PORT (with % escapes)");
    else if (a->mail_to.n && !addresses_right(a->mail_to)) buf_printf(err, "absence.mail_to must be addresses separated by commas, at most %d", MAIL_RECIPIENTS);
    else if (a->mail_url.n && !mail_address_right(a->mail_from)) buf_add_z(err, "absence.mail_from must be an address, as weir@example.org");
    else if (!template_read(a->arena, settings_get(s, "absence", "template_request"), REQUEST_FIELDS, &a->on_request) ||
             !template_read(a->arena, settings_get(s, "absence", "template_decision"), DECISION_FIELDS, &a->on_decision))
        buf_add_z(err, "absence.template_request and template_decision: the template's id, and perhaps its fields as thing1=name date2=date; there are name, section, date, type, reason, applied, decision, result");
    else if ((a->on_request.id.n || a->on_decision.id.n) && !a->mp) buf_add_z(err, "absence.template_request and template_decision need wechat.appid and wechat.secret (or those of [absence])");
    else return true;
    return false;
}

/* ---- writing it down ---- */

static struct span payload(const struct request *r, const struct row *row, const char *template, int64_t to)
{
    unsigned char id[16];
    struct buf b;
    struct jout out;
    struct arena *a = request_arena(r);
    request_random(r, id, sizeof id);
    buf_init(&b, 64 * 1024);
    jout_init(&out, &b);
    jout_begin_object(&out);
    jout_put(&out, "message", hex_encode(a, span_from(id, sizeof id)));
    jout_put_int(&out, "at", request_now(r));
    if (template) {
        jout_put_z(&out, "template", template);
        jout_put_int(&out, "to", to);
    }
    jout_put(&out, "name", row_text(row, R_APPLIER));
    jout_put(&out, "section", row_text(row, R_SECTION));
    jout_put(&out, "date", row_text(row, R_DAY));
    jout_put(&out, "type", row_text(row, R_TYPE));
    jout_put(&out, "reason", row_text(row, R_REASON));
    jout_put(&out, "decision", row_int(row, R_PERMISSION) ? SPAN("已批准") : SPAN("未批准"));
    jout_put(&out, "result", row_text(row, R_RESULT));
    jout_end_object(&out);
    return buf_into_arena(r, &b);
}

void notify_request(const struct request *r, struct txn *t, const struct row *row)
{
    const struct absence_state *app = absence(r);
    if (app->mail_url.n) txn_later(t, "absence.mail", payload(r, row, NULL, 0), 0);
    if (!app->on_request.id.n) return;
    struct rows managers = txn_all(t, &q_managers, V_INT(row_int(row, R_MEMBER)));
    for (size_t i = 0; i < managers.n; i++) txn_later(t, "absence.subscribe", payload(r, row, "request", row_int(&managers.at[i], 0)), 0);
}

void notify_decision(const struct request *r, struct txn *t, const struct row *row)
{
    if (absence(r)->on_decision.id.n) txn_later(t, "absence.subscribe", payload(r, row, "decision", row_int(row, R_MEMBER)), 0);
}

static struct reply *done(const struct request *r)
{
    struct reply *reply = reply_new(r, 200);
    jout_begin_object(&reply->json);
    jout_end_object(&reply->json);
    return reply;
}

static struct reply *later(const struct request *r) { return refuse(r, 502, "暂时无法送达", "cannot be delivered now"); }

/* Told once when it begins and once when it is over. */
static void trouble(_Atomic bool *sick, bool now, const char *what, const char *why)
{
    if (atomic_exchange(sick, now) == now) return;
    if (now) log_warn("absence", "%s cannot be sent: %s; they are kept and tried again", what, why);
    else log_info("absence", "%s are sent again", what);
}

/* ---- e-mail ---- */

struct letter { struct absence_state *app; struct mail mail; bool sent; };

static void letter_send(void *carry, const struct worker *w)
{
    struct letter *l = carry;
    char why[160];
    l->mail.timeout_ms = w->deadline_mono_ms - clock_mono_ms() - 500;      /* the answer has to be stored, too */
    l->sent = mail_send(&l->mail, why);
    if (l->sent || l->mail.timeout_ms > 0) trouble(&l->app->mail_sick, !l->sent, "mails", why);
}

struct reply *absence_mail_prepare(const struct request *r, struct snap *s, struct errand *e)
{
    (void)s;
    struct absence_state *app = absence(r);
    struct arena *a = request_arena(r);
    struct span left = app->mail_to;
    enum section section = SECTION_STRING;
    char when[20];
    if (!app->mail_url.n) return done(r);                          /* switched off meanwhile */
    struct letter *l = arena_zero(a, sizeof *l);
    struct span *to = arena_take(a, MAIL_RECIPIENTS * sizeof *to);
    l->app = app;
    l->mail = (struct mail){ .url = app->mail_url, .from = app->mail_from, .to = to, .subject = SPAN("有人请假了"), .id = request_text(r, "message"), .date_ms = request_int(r, "at") };
    while (l->mail.to_count < MAIL_RECIPIENTS && mail_address_next(&left, &to[l->mail.to_count])) l->mail.to_count++;
    section_parse(request_text(r, "section"), &section);
    zone_format(app->zone, request_int(r, "at"), when);
    l->mail.text = arena_printf(a, "%.*s（%s）请假。\n\n日期：%.*s\n排练：%.*s\n申请时间：%s\n\n原因：\n%.*s\n", SPAN_ARGS(request_text(r, "name")), section_chinese[section], SPAN_ARGS(request_text(r, "date")),
                                SPAN_ARGS(request_text(r, "type")), when, SPAN_ARGS(request_text(r, "reason")));
    errand_key(e, SPAN("absence mail"));                           /* one worker at most waits for a slow mail server */
    errand_call(e, letter_send, l);
    return NULL;
}

struct reply *absence_mail_apply(const struct request *r, void *carry, struct txn *t)
{
    (void)t;
    return ((struct letter *)carry)->sent ? done(r) : later(r);
}

/* ---- subscribe messages ---- */

struct note { struct absence_state *app; struct wechat_subscribe message; struct wechat_sent sent; };

static void note_send(void *carry, const struct worker *w)
{
    struct note *n = carry;
    wechat_subscribe_send(n->app->mp, w->arena, &n->message, w->deadline_mono_ms, &n->sent);
    bool fine = n->sent.outcome.fault == WECHAT_OK || n->sent.outcome.errcode == NO_CONSENT || n->sent.outcome.errcode == NO_SUCH_USER;
    trouble(&n->app->wechat_sick, !fine, "subscribe messages", n->sent.outcome.why);
}

/* WeChat's limits by the kind of field; what is longer is cut, a line end becomes a space. */
static struct span fitting(struct arena *a, struct span key, struct span value)
{
    static const struct { const char *kind; size_t most; } limits[] = { { "phrase", 5 }, { "name", 10 }, { "thing", 20 } };
    size_t most = 32, count = utf8_count(value);
    for (size_t i = 0; i < LENGTH(limits); i++)
        if (span_begins(key, span_of(limits[i].kind))) most = limits[i].most;
    struct span text = count <= most ? value : arena_printf(a, "%.*s…", SPAN_ARGS(utf8_head(value, most - 1)));
    char *z = (char *)(uintptr_t)arena_copy(a, text).p;
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)z[i] < ' ' || z[i] == 0x7f) z[i] = ' ';
    return text.n ? span_from(z, text.n) : SPAN("-");
}

static struct span value_of(const struct request *r, struct span what)
{
    enum section section = SECTION_STRING;
    if (span_is_z(what, "section") && section_parse(request_text(r, "section"), &section)) return span_of(section_chinese[section]);
    if (span_is_z(what, "applied")) {
        char when[20];
        zone_format(absence(r)->zone, request_int(r, "at"), when);
        return arena_copy(request_arena(r), span_of(when));
    }
    return request_text(r, arena_z(request_arena(r), what));
}

struct reply *absence_subscribe_prepare(const struct request *r, struct snap *s, struct errand *e)
{
    struct absence_state *app = absence(r);
    struct arena *a = request_arena(r);
    const struct template *template = span_is_z(request_text(r, "template"), "request") ? &app->on_request : &app->on_decision;
    const struct row *row = snap_one(s, &q_openid, V_INT(request_int(r, "to")));
    if (!row || !template->id.n || !app->mp) return done(r);       /* nobody to tell any more */
    struct note *n = arena_zero(a, sizeof *n);
    struct wechat_field *fields = arena_take(a, (template->n + 1) * sizeof *fields);
    for (size_t i = 0; i < template->n; i++)
        fields[i] = (struct wechat_field){ template->fields[i].key, fitting(a, template->fields[i].key, value_of(r, template->fields[i].what)) };
    n->app = app;
    n->message = (struct wechat_subscribe){ .openid = row_text(row, 0), .template_id = template->id, .fields = fields, .field_count = template->n };
    errand_key(e, SPAN("absence subscribe"));
    errand_call(e, note_send, n);
    return NULL;
}

struct reply *absence_subscribe_apply(const struct request *r, void *carry, struct txn *t)
{
    (void)t;
    const struct wechat_outcome *o = &((struct note *)carry)->sent.outcome;
    return o->fault == WECHAT_OK || o->errcode == NO_CONSENT || o->errcode == NO_SUCH_USER ? done(r) : later(r);
}
