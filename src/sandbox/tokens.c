/* sandbox/tokens.c: access tokens by WeChat's rules, and login codes.
 *
 * Tokens live 7,200 s. GET /cgi-bin/token makes a new one at each call and leaves the former one 5 minutes; stable_token hands out the same one until its last 5 minutes, and
 * with force_refresh a new one that kills the former at once (30 s apart, 20 a day). The two kinds stand side by side. A token that lived out its time is 42001, one that was replaced or
 * never made is 40001, as in "invalid or not latest". */
#include <stdio.h>

#include "sandbox/sandbox_in.h"

enum { FORCE_PAUSE_MS = 30 * 1000, FORCED_A_DAY = 20, PLAIN_A_DAY = 2000, CODES_KEPT = 10 * 1000 };

void tokens_init(struct tokens *t)
{
    *t = (struct tokens){ .plain = -1, .stable = -1, .forced_ms = INT64_MIN };
}

static struct token *token_at(struct tokens *t, int64_t made)
{
    return made >= 0 && t->made - (uint64_t)made <= TOKENS_KEPT ? &t->at[(uint64_t)made % TOKENS_KEPT] : NULL;
}

static int64_t token_make(struct sandbox *s)
{
    struct tokens *t = &s->tokens;
    int64_t made = (int64_t)t->made++;
    struct token *new = &t->at[(uint64_t)made % TOKENS_KEPT];
    *new = (struct token){ .expires_ms = sandbox_now_ms(s) + TOKEN_MS };
    sandbox_random_text(s, new->text, TOKEN_CHARS);
    new->text[0] = '9';                             /* "97_…", the look of WeChat's own */
    new->text[1] = '7';
    new->text[2] = '_';
    return made;
}

static void token_replace(struct tokens *t, int64_t made, int64_t until_ms)
{
    struct token *old = token_at(t, made);
    if (!old) return;
    if (old->expires_ms > until_ms) old->expires_ms = until_ms;
    old->replaced = true;
}

static void day_begins(struct sandbox *s)
{
    int64_t day = (sandbox_now_ms(s) + 8 * 3600 * 1000LL) / 86400000;
    if (day == s->tokens.day) return;
    s->tokens.day = day;
    s->tokens.forced_today = s->tokens.plain_today = 0;
}

int tokens_plain(struct sandbox *s, const struct token **out)
{
    struct tokens *t = &s->tokens;
    day_begins(s);
    if (t->plain_today >= PLAIN_A_DAY) return 45009;
    t->plain_today++;
    token_replace(t, t->plain, sandbox_now_ms(s) + TOKEN_OVERLAP_MS);
    t->plain = token_make(s);
    *out = token_at(t, t->plain);
    return 0;
}

int tokens_stable(struct sandbox *s, bool force, const struct token **out)
{
    struct tokens *t = &s->tokens;
    int64_t now = sandbox_now_ms(s);
    day_begins(s);
    const struct token *current = token_at(t, t->stable);
    if (force) {
        if (t->forced_ms != INT64_MIN && now - t->forced_ms < FORCE_PAUSE_MS) return 45011;
        if (t->forced_today >= FORCED_A_DAY) return 45009;
        t->forced_ms = now;
        t->forced_today++;
        token_replace(t, t->stable, now);
        current = NULL;
    }
    if (!current || current->expires_ms - now <= TOKEN_OVERLAP_MS) t->stable = token_make(s);     /* the former one lives out its last minutes */
    *out = token_at(t, t->stable);
    return 0;
}

static bool token_shaped(struct span s)
{
    if (s.n > 512) return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_')) return false;
    }
    return true;
}

int tokens_check(const struct sandbox *s, struct span text)
{
    if (text.n == 0) return 41001;
    if (!token_shaped(text)) return 40014;
    for (size_t i = 0; i < TOKENS_KEPT && i < s->tokens.made; i++) {
        const struct token *t = &s->tokens.at[i];
        if (!span_is_z(text, t->text)) continue;
        if (sandbox_now_ms(s) < t->expires_ms) return 0;
        return t->replaced ? 40001 : 42001;
    }
    return 40001;
}

/* ---- login codes ---- */

const char *codes_new(struct sandbox *s, struct person *p)
{
    struct code *c = base_alloc(sizeof *c);
    if (!c) return NULL;
    *c = (struct code){ .person = p, .expires_ms = sandbox_now_ms(s) + CODE_MS };
    sandbox_random_text(s, c->text, CODE_CHARS);
    memcpy(c->text, "0", 1);                        /* wx.login's begin with 0; never "demo-" */
    if (s->codes.last) s->codes.last->next = c;
    else s->codes.first = c;
    s->codes.last = c;
    if (++s->codes.n > CODES_KEPT) {
        struct code *oldest = s->codes.first;
        s->codes.first = oldest->next;
        s->codes.n--;
        free(oldest);
    }
    return c->text;
}

static void codes_forget_expired(struct codes *codes, int64_t now)
{
    while (codes->first && now >= codes->first->expires_ms) {
        struct code *c = codes->first;
        codes->first = c->next;
        if (!codes->first) codes->last = NULL;
        codes->n--;
        free(c);
    }
}

int codes_use(struct sandbox *s, struct span text, struct person **out)
{
    if (span_begins(text, SPAN("demo-"))) {
        struct span name = span_cut(text, 5);
        if (!person_name_ok(name)) return 40029;
        *out = world_add(&s->world, name);
        return *out ? 0 : -1;
    }
    codes_forget_expired(&s->codes, sandbox_now_ms(s));
    for (struct code *c = s->codes.first; c; c = c->next) {
        if (!span_is_z(text, c->text)) continue;
        if (c->used) return 40163;
        c->used = true;
        *out = c->person;
        return 0;
    }
    return 40029;
}

void codes_free(struct codes *codes)
{
    codes_forget_expired(codes, INT64_MAX);
}
