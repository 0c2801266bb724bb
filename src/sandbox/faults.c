/* sandbox/faults.c: the fault knobs: what goes wrong on purpose. POST faults replaces all knobs with those of its body, so {} clears them. One table says which there are: it reads
 * the body, refuses unknown names and writes the help. Knobs touch WeChat's calls only, never the control API. */
#include <stdio.h>

#include "sandbox/sandbox_in.h"

enum { HOLD_MAX_MS = 10 * 60 * 1000 };

void faults_init(struct faults *f) { *f = (struct faults){ .times = -1 }; }

/* ---- the table ---- */

enum knob_kind { KNOB_NUMBER, KNOB_CALLS };
static const struct knob { const char *name; enum knob_kind kind; size_t at; int64_t min, max; const char *zh, *en; } knobs[] = {
    { "status", KNOB_NUMBER, offsetof(struct faults, status), 200, 599, "以该 HTTP 状态码和一页网关 HTML 作答（调用不执行）", "answer with this HTTP status and a gateway's HTML page; the call is not done" },
    { "errcode", KNOB_NUMBER, offsetof(struct faults, errcode), -1, 999999, "以该错误码作答，如 -1（调用不执行）", "answer with this errcode, such as -1; the call is not done" },
    { "drop", KNOB_CALLS, offsetof(struct faults, drop), 0, 0, "切断这些调用的连接（不执行，不作答）；一个名字或数组", "cut the connection of these calls, undone and unanswered; a name or an array" },
    { "drop_after", KNOB_CALLS, offsetof(struct faults, drop_after), 0, 0, "执行这些调用，然后不作答就切断连接", "do these calls, then cut the connection without an answer" },
    { "hold_ms", KNOB_NUMBER, offsetof(struct faults, hold_ms), 0, HOLD_MAX_MS, "每次调用先等待这么多毫秒再执行", "wait so many milliseconds before each call is done" },
    { "rate", KNOB_NUMBER, offsetof(struct faults, rate), 1, 1000000, "每个接口每分钟最多这么多次，超出为 45011", "at most so many calls a minute of each kind, beyond: 45011" },
    { "times", KNOB_NUMBER, offsetof(struct faults, times), 1, 1000000, "出这么多次错之后清除全部旋钮", "after so many calls went wrong all knobs are cleared" },
    { "path", KNOB_CALLS, offsetof(struct faults, only), 0, 0, "status、errcode、hold_ms、rate 只作用于这些接口", "status, errcode, hold_ms and rate touch these calls only" },
};

static int64_t *number_at(struct faults *f, const struct knob *k) { return (int64_t *)(void *)((char *)f + k->at); }
static uint32_t *calls_at(struct faults *f, const struct knob *k) { return (uint32_t *)(void *)((char *)f + k->at); }

void faults_help(bool zh, struct buf *out)
{
    for (size_t i = 0; i < LENGTH(knobs); i++) buf_printf(out, "    %-11s %s\n", knobs[i].name, zh ? knobs[i].zh : knobs[i].en);
    buf_add_z(out, zh ? "    接口（可写全路径或末尾部分）： " : "    calls (whole paths or their last parts): ");
    for (int i = 0; official_path(i); i++) buf_printf(out, "%s%s", i ? ", " : "", official_path(i));
    buf_add_z(out, "\n");
}

/* ---- reading ---- */

static bool read_call(struct call *c, const struct knob *k, const json_t *v, uint32_t *bits)
{
    int route = json_is_string(v) ? official_named(json_span(v)) : OFFICIAL_UNKNOWN;
    if (route != OFFICIAL_UNKNOWN) {
        *bits |= 1u << route;
        return true;
    }
    struct span known = arena_printf(c->a, "%s:", k->name);
    for (int i = 0; official_path(i); i++) known = arena_printf(c->a, "%.*s %s", SPAN_ARGS(known), official_path(i));
    control_fail(c, 400, "没有这个接口；已有的是", "no such call; there are", known);
    return false;
}

static bool read_knob(struct call *c, struct faults *f, const struct knob *k, const json_t *v)
{
    if (k->kind == KNOB_NUMBER) {
        if (json_is_integer(v) && json_integer_value(v) >= k->min && json_integer_value(v) <= k->max) {
            *number_at(f, k) = json_integer_value(v);
            return true;
        }
        control_fail(c, 400, "旋钮的值应为范围内的整数", "a knob's value must be an integer within its range",
            arena_printf(c->a, "%s %lld..%lld", k->name, (long long)k->min, (long long)k->max));
        return false;
    }
    if (!json_is_array(v)) return read_call(c, k, v, calls_at(f, k));
    for (size_t i = 0; i < json_array_size(v); i++) if (!read_call(c, k, json_array_get(v, i), calls_at(f, k))) return false;
    return true;
}

void faults_read(struct call *c, const json_t *body)
{
    struct faults f;
    faults_init(&f);
    const char *name;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value) {                 /* jansson iterates over what is not const only */
        const struct knob *k = NULL;
        for (size_t i = 0; i < LENGTH(knobs); i++) if (strcmp(knobs[i].name, name) == 0) k = &knobs[i];
        if (!k) {
            struct span known = SPAN("");
            for (size_t i = 0; i < LENGTH(knobs); i++) known = arena_printf(c->a, "%.*s%s%s", SPAN_ARGS(known), i ? ", " : "", knobs[i].name);
            control_fail(c, 400, "没有这个旋钮；已有的是", "no such knob; there are", known);
            return;
        }
        if (!read_knob(c, &f, k, value)) return;
    }
    c->s->faults = f;
    struct jout o;
    jout_init(&o, &c->out);
    faults_write(&f, &o);
}

void faults_write(const struct faults *f, struct jout *o)
{
    jout_begin_object(o);
    struct faults copy = *f;
    for (size_t i = 0; i < LENGTH(knobs); i++) {
        const struct knob *k = &knobs[i];
        if (k->kind == KNOB_NUMBER) {
            int64_t v = *number_at(&copy, k), off = strcmp(k->name, "times") == 0 ? -1 : 0;
            if (v != off) jout_put_int(o, k->name, v);
            continue;
        }
        uint32_t bits = *calls_at(&copy, k);
        if (!bits) continue;
        jout_key(o, k->name);
        jout_begin_array(o);
        for (int r = 0; official_path(r); r++) if (bits >> r & 1) jout_text(o, span_of(official_path(r)));
        jout_end_array(o);
    }
    jout_end_object(o);
}

/* ---- doing ---- */

static bool over_rate(struct sandbox *s, int route)
{
    int64_t now = sandbox_now_ms(s);
    if (now - s->faults.window[route].minute_ms >= MINUTE_MS) {
        s->faults.window[route].minute_ms = now;
        s->faults.window[route].count = 0;
    }
    return ++s->faults.window[route].count > s->faults.rate;
}

struct fault_plan faults_plan(struct sandbox *s, int route)
{
    struct faults *f = &s->faults;
    struct fault_plan plan = { .way = FAULT_NONE };
    if (route == OFFICIAL_UNKNOWN) return plan;
    uint32_t bit = 1u << route;
    bool mine = !f->only || (f->only & bit);
    if (mine && f->hold_ms) plan = (struct fault_plan){ FAULT_NONE, 0, f->hold_ms, "hold_ms" };
    if (f->drop & bit) plan.way = FAULT_DROP, plan.name = "drop";
    else if (f->drop_after & bit) plan.way = FAULT_DROP_AFTER, plan.name = "drop_after";
    else if (mine && f->status) plan.way = FAULT_STATUS, plan.value = f->status, plan.name = "status";
    else if (mine && f->errcode) plan.way = FAULT_ERRCODE, plan.value = f->errcode, plan.name = "errcode";
    else if (mine && f->rate && over_rate(s, route)) plan.way = FAULT_RATE, plan.name = "rate";
    if (plan.name && f->times > 0 && --f->times == 0) faults_init(f);
    return plan;
}
