/* apps/diary/diary_in.h: what the files of the diary share. The contract is the first seed document; the tables are in schema.c.
 *
 * Ids outside and inside. Inside, users, diaries and pairs are numbers. Outside, by `diary.access`:
 *   open     as the original: openId is what the client says, diary_id and pair_id are decimal
 *   handle   openId is the user's own sealed handle, partners are aliases, diary_id and pair_id are sealed for their owner: naming one is proof of owning it
 *   session  besides, each call carries the session token that login returned
 * Only identity.c knows the difference; a handler sees `me` and numbers, and its queries are bound to them. */
#ifndef WEIR_DIARY_IN_H
#define WEIR_DIARY_IN_H
#include "apps/diary/match_index.h"
#include "emotion/emotion.h"
#include "emotion/lexicon.h"
#include "emotion/segment.h"
#include "engine/app.h"
#include "wechat/login.h"
#include "wechat/mp.h"

enum access { ACCESS_OPEN, ACCESS_HANDLE, ACCESS_SESSION };
enum needs {
    NEEDS_USER = 1,            /* openId (or a token) names an existing user: 404 else */
    NEEDS_NEW_USER = 2,        /* the same, but in `open` an unknown openId is a user to be created: id 0 */
    NEEDS_DIARY = 4,           /* diaryId */
    NEEDS_PAIR = 8,            /* pair_id: a pair's or a named room's */
    NEEDS_DEPAIR = 32,         /* as NEEDS_USER, but in `open` an unknown openId is nobody and the handler says so */
    ALLOWS_BANNED = 64,        /* a write that a banned user may do all the same */
    NEEDS_LOGIN = 16,          /* a user or, in `open`, nobody in particular (uploads) */
};

struct user {
    int64_t id, generation, gender, pair_id, partner_id;
    bool has_gender, banned;
    struct span openid, nickname, avatar, province, city, country;
    bool null_nickname, null_avatar, null_province, null_city, null_country;
};

struct diary_state {
    enum access access;
    int64_t salient;                       /* 1/10,000 */
    struct emotion_lexicon *lexicon;       /* emotion.method = lexicon; NULL: the linear model */
    bool check;                            /* content is checked by WeChat */
    struct span rooms;                     /* comma separated, outside `open` */
    struct match_index *index;             /* the writer's thread only */
    struct wechat_mp *mp;                  /* NULL: no appid */
    struct wechat_logins *logins;
};

/* identity.c */
struct reply *diary_admit(const struct request *, struct snap *, unsigned needs, struct principal *out);
struct reply *diary_not_found(const struct request *);
struct reply *diary_banned(const struct request *, const struct user *);         /* 403 if he is; NULL is nobody, who is not */
const struct user *me(const struct request *);                                   /* NULL: nobody */
int64_t my_id(const struct request *);                                           /* 0: nobody in particular (`open`): queries then bind nobody */
struct user *user_by_id(struct snap *, int64_t id);                               /* also a banned one; NULL: nobody, or an account that was deleted */
struct user *user_by_openid(struct snap *, struct span openid);
bool diary_id_in(const struct request *, int64_t *out);                          /* of the parameter diaryId; false: names nothing */
void put_handle(const struct request *, struct jout *, const char *key, const struct user *);
struct span handle_of(const struct request *, const struct user *);
struct span alias_of(const struct request *, int64_t user_id, struct span openid, int64_t room_number);
struct span diary_id_out(const struct request *, int64_t owner_id, int64_t generation, int64_t diary_id);
struct span pair_id_out(const struct request *, const struct user *, int64_t pair_id);
struct diary_state *diary(const struct request *);
struct span session_new(const struct request *, struct txn *, int64_t user_id);
struct span token_of(const struct request *);                                    /* the session token that came along; empty without one */
#define SESSION_NOTE_MS (24 * 3600 * 1000LL)
#define SESSION_MS (30 * 24 * 3600 * 1000LL)                                     /* a session ends so long after its last use */
bool diary_id_open(const struct request *, struct span text, int64_t *out);      /* of any text, if it is the caller's */
int64_t person_in(const struct request *, struct snap *, struct span text);      /* whom an alias (in `open` an openId) means; 0: nobody that the caller has met */
bool rooms_next(struct span *left, struct span *out);                            /* the names of diary.rooms, one after the other */

/* a room as a parameter names it */
struct room { bool pair; int64_t pair_id; struct span key; int64_t number; };    /* key: "p:5", "n:name"; number: what aliases are sealed for */
bool room_is_listed(const struct diary_state *, struct span name);                /* in diary.rooms */
/* false: no such room for this caller */
bool room_find(const struct request *, struct snap *, struct span name, struct room *out);

/* matching.c */
/* By the configured method; with the lexicon p holds its strengths instead of shares. */
void feel(const struct diary_state *, struct span title, struct span content, struct emotion *out);
struct match_vector salient_vector(const struct diary_state *, const struct emotion *);
void matching_enter(const struct request *, struct txn *, int64_t diary_id, int64_t user_id, int64_t created_ms, int code, const struct match_vector *);
void matching_leave_diary(struct txn *, int64_t diary_id);
void matching_leave_user(struct txn *, int64_t user_id);
void matching_return_user(const struct request *, struct txn *, int64_t user_id);
/* Looks for a partner of a user without one, and pairs them. 0: nobody. */
int64_t matching_find(const struct request *, struct txn *, int64_t user_id, int code, const struct match_vector *);
bool matching_load(struct diary_state *, struct store_conn *, struct buf *err);
bool pair_end(const struct request *, struct txn *, const struct user *);        /* false: was not paired */

/* output shared by several commands */
void put_profile(const struct request *, struct jout *, const char *key, const struct user *, struct span shown_openid, bool number_gender);
void put_match(const struct request *, struct snap *, struct jout *, const struct user *);          /* "match":{"user":{…}} if paired */
void put_partner(const struct request *, struct jout *, const struct user *, const struct user *partner);     /* the same for one who was read already; NULL: nobody */
struct span shown_title(struct span title, struct span content);
void put_diary_row(const struct request *, struct jout *, const struct row *, const struct user *owner, bool with_content);
struct reply *status_success(const struct request *);
void put_address(const struct request *, struct jout *, const char *key, const char *folder, struct span name, const char *tail);   /* of an image: "/upload/", "/" */

/* check.c: WeChat's content check */
struct checked { bool done, risky, later; struct wechat_text text; struct wechat_mp *mp; };
void check_describe(const struct request *, struct errand *, struct checked *, struct span openid, struct span title, struct span content);
struct reply *check_refusal(const struct request *, const struct checked *);
void check_again_later(struct txn *, const struct checked *, const char *kind, int64_t id, struct span room);
void check_run(void *checked, const struct worker *);

/* the commands, in the files of their names */
extern const struct query *const *const diary_queries[];
extern const struct query diary_files;
extern const struct migration diary_migrations[];
#define DECLARE_QUERIES(name) extern const struct query *const name[]
read_fn get_user, get_diary, get_user_diary, get_pair, get_history, show_image, serve_image, serve_thumb;
write_fn session_used, store_user, depair, delete_diary;
prepare_fn login_prepare, write_prepare, edit_prepare, say_prepare, upload_prepare, recheck_prepare;
apply_fn login_apply, write_apply, edit_apply, say_apply, upload_apply, recheck_apply;
read_fn api_unread, api_calendar, api_search, api_explain, api_export, api_me, api_sessions, api_blocks;
write_fn api_read, api_block, api_unblock, api_report, api_delete_account, api_logout, api_logout_all;
read_fn moderation_list, moderation_show;
write_fn moderation_dismiss, moderation_hide, moderation_ban, moderation_unban, moderation_delete_image;
struct reply *chat_join(const struct request *, struct snap *, struct join *);
struct span chat_error(const struct request *, int status, struct span message);
void pictures_sweep(const char *data, struct store_conn *);
extern const struct query *const identity_queries[], *const user_queries[], *const entry_queries[], *const matching_queries[], *const chat_queries[], *const picture_queries[], *const extra_queries[], *const extra_social_queries[], *const extra_export_queries[], *const check_queries[], *const moderation_queries[], *const moderation_act_queries[];
#endif
