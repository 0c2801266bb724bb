/* wechat/mp_token.c: the access token of one appid, by stable_token in its normal mode, which hands the same token to every process that asks: several Weirs do not kick
 * each other out, as they would with /cgi-bin/token.
 *
 * It is fetched again 300 s before its end. Exactly one thread fetches; the others use the old token while it lasts, else they wait for that flight's outcome. A failed
 * flight is not repeated by each of its waiters: all of them get its failure. Nothing is fetched with the lock held. */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "wechat/mp_in.h"
#include "wire/json.h"

enum { MARGIN_MS = 300 * 1000, RETRY_REFRESH_MS = 10 * 1000 };

bool mp_token_init(struct wechat_token *t)
{
    pthread_condattr_t attr;
    *t = (struct wechat_token){ .expires_ms = 0 };
    if (pthread_condattr_init(&attr) != 0) return false;
    bool good = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 && pthread_cond_init(&t->changed, &attr) == 0;
    pthread_condattr_destroy(&attr);
    if (good && pthread_mutex_init(&t->lock, NULL) != 0) {
        pthread_cond_destroy(&t->changed);
        good = false;
    }
    return good;
}

void mp_token_done(struct wechat_token *t)
{
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->changed);
    explicit_bzero(t->text, sizeof t->text);
}

/* ---- one flight ---- */

static bool token_text_ok(struct span s)
{
    if (s.n == 0 || s.n > WECHAT_TOKEN_BYTES) return false;
    for (size_t i = 0; i < s.n; i++) if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f) return false;
    return true;
}

static bool fetch_token(struct wechat_mp *mp, struct arena *a, int64_t deadline_mono_ms, struct span *out_token, int64_t *out_life_ms, struct wechat_outcome *out)
{
    struct buf b;
    buf_init(&b, 8 * 1024);
    struct jout o;
    jout_init(&o, &b);
    jout_begin_object(&o);
    jout_put_z(&o, "grant_type", "client_credential");
    jout_put_z(&o, "appid", mp->appid);
    jout_put_z(&o, "secret", mp->secret);
    jout_put_bool(&o, "force_refresh", false);
    jout_end_object(&o);
    json_t *answer = NULL;
    if (b.failed) mp_outcome(out, WECHAT_OUTAGE, 0, "stable_token: out of memory");
    else answer = mp_call(mp, a, &(struct wechat_request){ .path_query = SPAN("/cgi-bin/stable_token"), .body = buf_span(&b) }, deadline_mono_ms, out);
    buf_done(&b);
    if (!answer) {
        /* nothing is lost by asking for a token twice */
        if (out->fault == WECHAT_UNCERTAIN) out->fault = WECHAT_OUTAGE;
        return false;
    }
    const json_t *token = json_object_get(answer, "access_token"), *seconds = json_object_get(answer, "expires_in");
    if (!json_is_string(token) || !token_text_ok(json_span(token)) || !json_is_integer(seconds) || json_integer_value(seconds) <= 0) {
        mp_outcome(out, WECHAT_OUTAGE, 0, "stable_token: the answer has no usable access_token and expires_in");
        return false;
    }
    json_int_t life = json_integer_value(seconds);
    if (life > 86400) life = 86400;
    *out_token = json_span(token);
    *out_life_ms = (int64_t)life * 1000;
    return true;
}

static void store_token(struct wechat_mp *mp, struct span token, int64_t life_ms)
{
    struct wechat_token *t = &mp->token;
    int64_t now = mp->mono_ms();
    memcpy(t->text, token.p, token.n);
    t->text[token.n] = '\0';
    t->expires_ms = now + life_ms;
    /* a token that has less than the margin left is what WeChat has; asking again at each call would not make it younger */
    t->refresh_ms = now + (life_ms > 2 * MARGIN_MS ? life_ms - MARGIN_MS : life_ms / 2);
}

/* ---- the cache ---- */

static struct timespec timespec_of(int64_t mono_ms)
{
    return (struct timespec){ .tv_sec = mono_ms / 1000, .tv_nsec = mono_ms % 1000 * 1000000 };
}

/* With the lock held and no flight under way. Gives the lock back while it flies. */
static void fly(struct wechat_mp *mp, struct arena *a, int64_t deadline_mono_ms, struct wechat_outcome *out)
{
    struct wechat_token *t = &mp->token;
    t->in_flight = true;
    pthread_mutex_unlock(&t->lock);
    struct span token;
    int64_t life_ms;
    bool good = fetch_token(mp, a, deadline_mono_ms, &token, &life_ms, out);
    pthread_mutex_lock(&t->lock);
    if (good) {
        store_token(mp, token, life_ms);
    } else if (t->text[0]) {
        t->refresh_ms = mp->mono_ms() + RETRY_REFRESH_MS;          /* the old one still works: do not ask at every call */
    }
    t->last.fault = good ? WECHAT_OK : out->fault;
    t->last.errcode = good ? 0 : out->errcode;
    snprintf(t->last.why, sizeof t->last.why, "%s", good ? "" : out->why);
    t->in_flight = false;
    t->flights++;
    pthread_cond_broadcast(&t->changed);
}

bool mp_token_get(struct wechat_mp *mp, struct arena *a, int64_t deadline_mono_ms, struct span *out_token, struct wechat_outcome *out)
{
    struct wechat_token *t = &mp->token;
    bool good = false;
    pthread_mutex_lock(&t->lock);
    int64_t now = mp->mono_ms();
    if (t->text[0] && now >= t->expires_ms) t->text[0] = '\0';
    if (!t->in_flight && (!t->text[0] || now >= t->refresh_ms)) {
        fly(mp, a, deadline_mono_ms, out);
    } else if (!t->text[0]) {
        uint64_t flight = t->flights;
        struct timespec until = timespec_of(deadline_mono_ms);
        int waited = 0;
        while (t->flights == flight && waited == 0) waited = pthread_cond_timedwait(&t->changed, &t->lock, &until);
        if (t->flights == flight) mp_outcome(out, WECHAT_OUTAGE, 0, "stable_token: no answer in time");
        else mp_outcome(out, t->last.fault, t->last.errcode, "%s", t->last.why);
    }
    if (t->text[0]) {
        struct span copy = arena_copy(a, span_of(t->text));
        good = copy.p != NULL;
        if (good) *out_token = copy;
        mp_outcome(out, good ? WECHAT_OK : WECHAT_OUTAGE, 0, "%s", good ? "" : "out of memory");
    } else if (out->fault == WECHAT_OK) {
        /* another thread fetched a token and a third one dropped it before this one woke up */
        mp_outcome(out, WECHAT_OUTAGE, 0, "stable_token: the new token was refused at once");
    }
    pthread_mutex_unlock(&t->lock);
    return good;
}

void mp_token_drop(struct wechat_mp *mp, struct span token)
{
    struct wechat_token *t = &mp->token;
    pthread_mutex_lock(&t->lock);
    if (span_is_z(token, t->text)) t->text[0] = '\0';
    pthread_mutex_unlock(&t->lock);
}
