/* wechat/mp.h: client of WeChat's official API for a mini program: who logs in, whether a text may be shown, a message to a subscriber.
 *
 * One `struct wechat_mp` per appid, shared by any number of threads; its settings never change, its only state is the cached access token. Calls block: worker threads only.
 * The base URL is a setting, so nothing here knows whether it speaks to Tencent or to the sandbox.
 *
 * What a call answers is one of four things, never mixed: done; WeChat's own refusal (errcode, and its text cleaned of what is secret); an outage (nothing was done, or
 * nothing that matters: try later); uncertain (the request went out and no answer came back: it may have been done, and must not be repeated blindly).
 *
 * Sources: api.weixin.qq.com's documentation of jscode2session, stable_token, msg_sec_check 2.0 and subscribe/send. JSON goes out as raw UTF-8, because
 * WeChat stores \uXXXX literally. No text that leaves here contains a secret, a token, a code or a session key. */
#ifndef WEIR_WECHAT_MP_H
#define WEIR_WECHAT_MP_H
#include "base/base.h"

struct wechat_mp;
struct wechat_mp_config {
    struct span api_url;                       /* "https://api.weixin.qq.com", with or without a slash at its end */
    struct span appid, secret;
    int64_t (*mono_ms)(void);                  /* NULL = clock_mono_ms; tests move it */
};
struct wechat_mp *wechat_mp_new(const struct wechat_mp_config *, struct buf *err);   /* copies; NULL and a text that names the setting */
void wechat_mp_free(struct wechat_mp **);      /* no call may be under way */

enum wechat_fault { WECHAT_OK, WECHAT_REFUSED, WECHAT_OUTAGE, WECHAT_UNCERTAIN };
struct wechat_outcome {
    enum wechat_fault fault;
    int64_t errcode;                           /* WeChat's, as far as it spoke; 0 otherwise. WECHAT_OUTAGE with -1: it says itself that it is busy */
    struct span errmsg;                        /* WeChat's text (in the arena); may be empty */
    char why[240];                             /* for logs and operators, English; "" when WECHAT_OK */
};

/* Deadlines are clock_mono_ms() values, for the whole call with its retries. All spans come out of the arena. */

struct wechat_session { struct wechat_outcome outcome; struct span openid, session_key, unionid; };
/* What wx.login's code stands for. Refusals worth telling apart: 40029 no such code, 40163 used, 45011 too often, 40226 blocked user. The session key is WeChat's and must never reach a client. */
void wechat_code2session(struct wechat_mp *, struct arena *, struct span code, int64_t deadline_mono_ms, struct wechat_session *out);

enum wechat_suggest { WECHAT_PASS, WECHAT_REVIEW, WECHAT_RISKY };
enum wechat_scene { WECHAT_SCENE_PROFILE = 1, WECHAT_SCENE_COMMENT, WECHAT_SCENE_FORUM, WECHAT_SCENE_SOCIAL };
struct wechat_text { struct span openid; enum wechat_scene scene; struct span title, content, nickname; };   /* openid: WeChat's; empty texts are left out */
struct wechat_verdict { struct wechat_outcome outcome; enum wechat_suggest suggest; int64_t label; };        /* label 100 = ok */
/* Is the text fit to be shown? Of any length: what is beyond 2,500 characters goes in further requests that overlap a little, and the worst verdict counts (risky ends it at once). */
void wechat_msg_sec_check(struct wechat_mp *, struct arena *, const struct wechat_text *, int64_t deadline_mono_ms, struct wechat_verdict *out);

struct wechat_field { struct span key, value; };                               /* "thing1", "弦乐分排" */
struct wechat_subscribe {
    struct span openid, template_id, page;                                     /* page may be empty */
    const char *state;                                                         /* "formal" (also NULL), "trial", "developer" */
    const char *lang;                                                          /* "zh_CN" (also NULL), "en_US", … */
    const struct wechat_field *fields;
    size_t field_count;
};
struct wechat_sent { struct wechat_outcome outcome; struct span msgid; };      /* digits */
/* One message, which uses up one consent of the user (43101: there is none). */
void wechat_subscribe_send(struct wechat_mp *, struct arena *, const struct wechat_subscribe *, int64_t deadline_mono_ms, struct wechat_sent *out);
#endif
