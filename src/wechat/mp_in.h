/* wechat/mp_in.h: between mp.c (the calls), mp_call.c (one request, its retries) and mp_token.c (the cached access token). */
#ifndef WEIR_WECHAT_MP_IN_H
#define WEIR_WECHAT_MP_IN_H
#include <jansson.h>
#include <pthread.h>

#include "wechat/mp.h"

enum { WECHAT_TOKEN_BYTES = 512 };

/* The token and who fetches it. One thread is in flight at a time; the others wait for its outcome, good or bad, instead of asking once more. */
struct wechat_token {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char text[WECHAT_TOKEN_BYTES + 1];         /* "" = none */
    int64_t expires_ms, refresh_ms;            /* by mp->mono_ms */
    bool in_flight;
    uint64_t flights;                          /* landed so far */
    struct { enum wechat_fault fault; int64_t errcode; char why[240]; } last;   /* what the last flight brought */
};

struct wechat_mp {
    char *api_url, *appid, *secret;
    int64_t (*mono_ms)(void);
    struct wechat_token token;
};

/* One request and its JSON answer, tried again once after a short pause when WeChat says -1. `path_query` begins with '/'; `body` empty: GET. *out_json may be NULL also when
 * all is well (then `outcome` says what was wrong). `once`: see fetch.h. */
struct wechat_request { struct span path_query, body; bool once; };
json_t *mp_call(struct wechat_mp *, struct arena *, const struct wechat_request *, int64_t deadline_mono_ms, struct wechat_outcome *out);
/* The same with `access_token` put behind `path` and one more try with another token when WeChat does not take this one. */
json_t *mp_call_token(struct wechat_mp *, struct arena *, const char *path, struct span body, bool once, int64_t deadline_mono_ms, struct wechat_outcome *out);
void mp_outcome(struct wechat_outcome *, enum wechat_fault, int64_t errcode, const char *fmt, ...) WEIR_PRINTF(4, 5);

bool mp_token_init(struct wechat_token *);
void mp_token_done(struct wechat_token *);
/* A usable token (a copy in the arena), or false and the outcome. */
bool mp_token_get(struct wechat_mp *, struct arena *, int64_t deadline_mono_ms, struct span *out_token, struct wechat_outcome *out);
/* WeChat did not take this token: forget it, unless another one has taken its place meanwhile. */
void mp_token_drop(struct wechat_mp *, struct span token);
#endif
