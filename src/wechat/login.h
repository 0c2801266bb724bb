/* wechat/login.h: logging in by a code of wx.login, once.
 *
 * A code is good once, but a client that lost the answer sends it again. So what a code stood for is remembered for some minutes, by its hash. Whoever calls runs the errands of one code one after the
 * other (errand_key), then WeChat is asked for it once. What is remembered is the identity only; WeChat's session key is not kept. */
#ifndef WEIR_WECHAT_LOGIN_H
#define WEIR_WECHAT_LOGIN_H
#include "wechat/mp.h"

struct wechat_logins;
struct wechat_logins *wechat_logins_new(void);                 /* NULL: out of memory */
void wechat_logins_free(struct wechat_logins **);
/* As wechat_code2session; of a code that is remembered the session key is empty. Worker threads, any number. */
void wechat_login(struct wechat_logins *, struct wechat_mp *, struct arena *, struct span code, int64_t deadline_mono_ms, struct wechat_session *out);
/* What single flight goes by. */
struct span wechat_login_key(struct arena *, struct span code);
#endif
