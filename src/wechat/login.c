/* wechat/login.c: see login.h. A ring of the last logins; the oldest one gives way. */
#include "wechat/login.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/hash.h"

enum { LOGINS = 256, LOGIN_MS = 5 * 60 * 1000 };
struct known_login { unsigned char code[32]; int64_t until_ms; char openid[128], unionid[128]; };
struct wechat_logins { pthread_mutex_t lock; int next; struct known_login at[LOGINS]; };

struct wechat_logins *wechat_logins_new(void)
{
    struct wechat_logins *c = base_alloc(sizeof *c);
    if (!c) return NULL;
    memset(c, 0, sizeof *c);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void wechat_logins_free(struct wechat_logins **c)
{
    if (*c) pthread_mutex_destroy(&(*c)->lock);
    free(*c);
    *c = NULL;
}

static bool find(struct wechat_logins *c, struct arena *a, const unsigned char hash[32], struct wechat_session *out)
{
    struct known_login found = { .until_ms = 0 };
    pthread_mutex_lock(&c->lock);
    for (int i = 0; i < LOGINS && !found.until_ms; i++) {
        const struct known_login *k = &c->at[i];
        if (k->until_ms > clock_mono_ms() && memcmp(k->code, hash, 32) == 0) found = *k;
    }
    pthread_mutex_unlock(&c->lock);
    if (!found.until_ms) return false;
    *out = (struct wechat_session){ .openid = arena_copy(a, span_of(found.openid)), .unionid = arena_copy(a, span_of(found.unionid)) };      /* may escape: the lock is not held */
    return true;
}

static void keep(struct wechat_logins *c, const unsigned char hash[32], const struct wechat_session *s)
{
    struct known_login k = { .until_ms = clock_mono_ms() + LOGIN_MS };
    if (s->openid.n >= sizeof k.openid || s->unionid.n >= sizeof k.unionid) return;
    memcpy(k.code, hash, 32);
    memcpy(k.openid, s->openid.p, s->openid.n);
    if (s->unionid.n) memcpy(k.unionid, s->unionid.p, s->unionid.n);
    pthread_mutex_lock(&c->lock);
    c->at[c->next++ % LOGINS] = k;
    pthread_mutex_unlock(&c->lock);
}

void wechat_login(struct wechat_logins *c, struct wechat_mp *mp, struct arena *a, struct span code, int64_t deadline_mono_ms, struct wechat_session *out)
{
    unsigned char hash[32];
    sha256(code, hash);
    if (find(c, a, hash, out)) return;
    wechat_code2session(mp, a, code, deadline_mono_ms, out);
    if (out->outcome.fault == WECHAT_OK) keep(c, hash, out);
}

struct span wechat_login_key(struct arena *a, struct span code)
{
    unsigned char hash[32];
    sha256(code, hash);
    return arena_printf(a, "login:%.*s", SPAN_ARGS(hex_encode(a, span_from(hash, sizeof hash))));
}
