/* apps/diary/diary.c: the diary app's table: every route, frame and job, what it takes and gives. The contract is the first seed document as spec/seeds.md chapter 1 tells it;
 * what is new lives under /api/diary/ (extras.c). */
#include "apps/diary/diary_in.h"

#include <unistd.h>

#include "apps/diary/extras.h"
#include "apps/diary/moderation.h"
#include "apps/diary/pages.h"

#define OPENID  { "openId", "openid open_id", FIELD_TEXT, SECRET | HOW, 0, LIMIT_OPENID_BYTES, "the user's openId as get_openId gave it" }
#define SESSION { "session_key", NULL, FIELD_TEXT, SECRET | HOW, 0, 128, "the session token that get_openId gave (needed with diary.access = session)" }
#define DIARY_ID { "diaryId", "diary_id", FIELD_TEXT, REQUIRED | NOT_EMPTY | SECRET, 0, 100, "the diary's id" }
#define PAIR_ID { "pair_id", "pairId room", FIELD_TEXT, REQUIRED | NOT_EMPTY | SECRET, 0, 200, "the room: a pair's id, or a room's name" }
#define CLIENT_ID { "client_id", NULL, FIELD_TEXT, HOW, 0, 100, "any text of the client's: a repeat with the same one is stored once" }
#define TITLE   { "title", NULL, FIELD_TEXT, REQUIRED, 0, LIMIT_TITLE_CHARS, "may be empty: then the beginning of the content is shown" }
#define CONTENT { "content", NULL, FIELD_TEXT, REQUIRED, 0, LIMIT_DIARY_CHARS, "the diary" }
#define SINCE   { "since", NULL, FIELD_TEXT, HOW, 0, 20, "only what is newer than the message with this id" }

static const struct shape user_only = SHAPE(OPENID, SESSION);
static const struct shape diary_text = SHAPE(OPENID, SESSION, TITLE, CONTENT);
static const struct shape profile = SHAPE(OPENID, SESSION, { "nickName", "nickname", FIELD_TEXT, REQUIRED, 0, LIMIT_PROFILE_CHARS, NULL }, { "avatarUrl", "avatar_url", FIELD_TEXT, REQUIRED, 0, LIMIT_PROFILE_CHARS, NULL },
    { "gender", NULL, FIELD_INT, REQUIRED, -1000000, 1000000, "0 unknown, 1 male, 2 female" }, { "province", NULL, FIELD_TEXT, REQUIRED, 0, LIMIT_PROFILE_CHARS, NULL },
    { "city", NULL, FIELD_TEXT, REQUIRED, 0, LIMIT_PROFILE_CHARS, NULL }, { "country", NULL, FIELD_TEXT, REQUIRED, 0, LIMIT_PROFILE_CHARS, NULL });
static const struct shape diary_only = SHAPE(DIARY_ID, SESSION);
static const struct shape diary_or_user = SHAPE({ "diaryId", "diary_id", FIELD_TEXT, NOT_EMPTY | SECRET, 0, 100, "the diary's id" }, OPENID, SESSION);
static const struct shape diary_edit = SHAPE(DIARY_ID, SESSION, TITLE, CONTENT);
static const struct shape code = SHAPE({ "js_code", "code", FIELD_TEXT, REQUIRED | NOT_EMPTY | SECRET, 0, 512, "what wx.login gave" });
static const struct shape upload = SHAPE({ "img", NULL, FIELD_FILE, REQUIRED, 0, 0, "the file: JPEG, PNG, GIF or WebP" }, { "img_name", NULL, FIELD_TEXT, 0, 0, 255, "accepted and ignored, as ever" }, OPENID, SESSION);
static const struct shape image_name = SHAPE({ "img_name", NULL, FIELD_TEXT, REQUIRED | NOT_EMPTY, 0, 255, "with its extension" });
static const struct shape image_path = SHAPE({ "name", NULL, FIELD_TEXT, REQUIRED | NOT_EMPTY, 0, 255, NULL });
static const struct shape history = SHAPE(PAIR_ID, OPENID, SESSION, SINCE, { "limit", NULL, FIELD_INT, 0, 1, 500, "at most so many; alone: the newest" });
static const struct shape message = SHAPE(PAIR_ID, OPENID, SESSION, { "content", "message", FIELD_TEXT, REQUIRED | NOT_EMPTY, 0, LIMIT_MESSAGE_CHARS, "what is said" }, CLIENT_ID, SINCE);
static const struct shape session_hash = SHAPE({ "token", NULL, FIELD_TEXT, REQUIRED | SECRET, 0, 100, NULL });
static const struct shape recheck = SHAPE({ "kind", NULL, FIELD_TEXT, REQUIRED, 0, 20, NULL }, { "id", NULL, FIELD_INT, REQUIRED, 0, 0, NULL }, { "room", NULL, FIELD_TEXT, 0, 0, 1000, NULL });

#define OK "{status:s, ...}"
#define PROFILE(gender) "{openId:s, nickName:s, avatarUrl:s, gender:" gender ", province:s, city:s, country:s}"
#define MATCH "{user:" PROFILE("s") "}"

static const struct command commands[] = {
    DIARY_PAGE_COMMANDS
    { .name = "diary.login", .about = "Exchange a mini program's login code for an openId and a session", .http = "GET /matching/get_openId_action/?",
      .takes = &code, .gives = "{data:{openid:s, openId:s, session_key:s}|{errcode:n, errmsg:s}}", .flags = COMMAND_PRIVATE | COMMAND_NOT_IDEMPOTENT_KEYED, STAGED(login_prepare, login_apply) },
    { .name = "diary.store", .about = "Store my profile", .http = "POST /matching/store_action/?", .takes = &profile, .gives = "{status:s}", .needs = NEEDS_NEW_USER, WRITES(store_user) },
    { .name = "diary.get_user", .about = "My profile, my newest ten diaries, my partner", .http = "GET /matching/get_user_action/?", .takes = &user_only,
      .gives = "{data:{user:" PROFILE("n|z") ", diaries:[{diary_id:s, title:s, content?:s, emotion:s, publish_date:s}], match?:" MATCH "}}", .needs = NEEDS_USER, .flags = COMMAND_PRIVATE, READS(get_user) },
    { .name = "diary.write", .about = "Store a diary, tell its emotion, look for a match", .http = "POST /matching/emotion/?", .takes = &diary_text,
      .gives = "{status:s, data:{emotion:s, match?:" MATCH "}}", .needs = NEEDS_NEW_USER, .flags = COMMAND_PRIVATE, STAGED(write_prepare, write_apply) },
    { .name = "diary.get", .about = "One diary", .http = "GET /matching/get_diary_action/?", .takes = &diary_or_user,
      .gives = "{data:{diary:{diary_id:s, title:s, content:s, emotion:s, publish_date:s}}|{diaries:[{diary_id:s, title:s, content?:s, emotion:s, publish_date:s}]}}", .needs = NEEDS_DIARY, .flags = COMMAND_PRIVATE, READS(get_diary) },
    { .name = "diary.list", .about = "All my diaries, oldest first", .http = "GET /matching/get_user_diary_action/?", .takes = &user_only,
      .gives = "{data:{diaries:[{diary_id:s, title:s, content?:s, emotion:s, publish_date:s}]}}", .needs = NEEDS_USER, .flags = COMMAND_PRIVATE, READS(get_user_diary) },
    { .name = "diary.edit", .about = "Change a diary; its emotion is told anew", .http = "POST /matching/alt_diary_action/?", .takes = &diary_edit,
      .gives = "{status:s, data:{emotion:s, match?:" MATCH "}}", .needs = NEEDS_DIARY, .flags = COMMAND_PRIVATE, STAGED(edit_prepare, edit_apply) },
    { .name = "diary.delete", .about = "Delete a diary", .http = "POST /matching/delete_diary_action/?", .takes = &diary_only, .gives = "{status:s}", .needs = NEEDS_DIARY, WRITES(delete_diary) },
    { .name = "diary.depair", .about = "Dissolve my match", .http = "GET|POST /matching/depair_action/?", .takes = &user_only, .gives = "{status:s, msg?:s}", .needs = NEEDS_DEPAIR, .flags = COMMAND_PRIVATE, WRITES(depair) },
    { .name = "diary.get_pair", .about = "The room of my match", .http = "GET /matching/get_pair_action/?", .takes = &user_only, .gives = "{data:{pair_id:s}}", .needs = NEEDS_USER, .flags = COMMAND_PRIVATE, READS(get_pair) },
    { .name = "diary.history", .about = "What was said in a room, oldest first", .http = "GET /matching/get_history_action/?", .takes = &history,
      .gives = "{data:{messages:[{publish_date:s, content:s, openId:s, id:s}]}}", .needs = NEEDS_PAIR, .flags = COMMAND_PRIVATE, READS(get_history) },
    { .name = "diary.send", .about = "Say something in a room over HTTP", .http = "POST /matching/send_message_via_http/?", .takes = &message, .gives = "{status:s, id:s, client_id?:s}", .needs = NEEDS_USER,
      STAGED(say_prepare, say_apply) },
    { .name = "diary.say", .about = "Say something in a room: {\"openid\",\"message\"}", .channel = "diary.chat", .takes = &message, .gives = "{message:s, openId:s, publish_date:s, id:s, client_id?:s}",
      .needs = NEEDS_USER, STAGED(say_prepare, say_apply) },
    { .name = "diary.upload", .about = "Store an image", .http = "POST /matching/upload_img_action/?", .takes = &upload,
      .gives = "{status:s, data:{image:{name:s, photourl:s, thumburl:s, width:n, height:n}}}", .needs = NEEDS_LOGIN, STAGED(upload_prepare, upload_apply) },
    { .name = "diary.show_image", .about = "The address of an image", .http = "GET /matching/show_img_action/?", .takes = &image_name,
      .gives = "{data:{image:{name:s, photourl:s, thumburl?:s, width?:n, height?:n}}}", READS(show_image) },
    { .name = "diary.image", .about = "An image", .http = "GET /upload/{name}/?", .takes = &image_path, .gives = "*", READS(serve_image) },
    { .name = "diary.thumb", .about = "The small form of an image", .http = "GET /upload/thumb/{name}/?", .takes = &image_path, .gives = "*", READS(serve_thumb) },
    { .name = "diary.recheck", .about = "Look again at a text that WeChat could not check in time", .job = true, .takes = &recheck, .gives = "{status:s}", STAGED(recheck_prepare, recheck_apply) },
    { .name = "diary.session_used", .about = "Note that a session is in use", .job = true, .takes = &session_hash, .gives = "{status:s}", WRITES(session_used) },
    DIARY_EXTRA_COMMANDS
    DIARY_MODERATION_COMMANDS
    { 0 },
};

static const struct channel channels[] = {
    { .name = "diary.chat", .path = "/ws/chat/{pair_id}/?", .takes = &message, .join = chat_join, .frame_error = chat_error, .max_message_bytes = 256 * 1024 },
    { 0 },
};

static const struct setting settings[] = {
    { "diary", "access", "handle", "how users prove who they are: open (as the original: an openId is believed), handle, session", .choices = "open|handle|session" },
    { "diary", "open_to_network", "false", "let access = open listen beyond this machine", .kind = SETTING_BOOL },
    { "diary", "rooms", "", "named chat rooms open to every logged-in user, separated by commas (in open: any name)" },
    { "diary", "salient", "0.15", "a feeling below this share does not count when people are matched", .kind = SETTING_TEXT },
    { "diary", "content_check", "off", "ask WeChat whether titles, diaries and chat may be shown: off, wechat", .choices = "off|wechat" },
    { 0 },
};

static void diary_error(struct jout *out, int status, struct span text)
{
    (void)status;
    jout_begin_object(out);
    jout_put_z(out, "status", "fail");
    jout_put(out, "msg", text);
    jout_end_object(out);
}

/* "0.15" in 1/10,000 */
static bool share(struct span text, int64_t *out)
{
    char z[16];
    char *end;
    if (text.n == 0 || text.n >= sizeof z) return false;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    double v = strtod(z, &end);
    if (*end || !(v >= 0 && v <= 1)) return false;
    *out = (int64_t)(v * 10000 + 0.5);
    return true;
}

static bool listens_on_loopback(struct span listen) { return span_begins(listen, SPAN("127.")) || span_begins(listen, SPAN("[::1]")) || span_begins(listen, SPAN("localhost:")); }

static bool access_ok(const char *path) { return access(path, R_OK) == 0; }

static void diary_stop(void *state)
{
    struct diary_state *d = state;
    match_index_free(&d->index);
    wechat_mp_free(&d->mp);
    emotion_lexicon_free(&d->lexicon);
    wechat_logins_free(&d->logins);
    free(d);
}

static void *diary_start(const struct settings *s, struct store_conn *conn, struct buf *err)
{
    struct diary_state *d = base_alloc(sizeof *d);
    if (!d) return NULL;
    memset(d, 0, sizeof *d);
    struct span access = settings_get(s, "diary", "access");
    d->access = span_is_z(access, "open") ? ACCESS_OPEN : span_is_z(access, "session") ? ACCESS_SESSION : ACCESS_HANDLE;
    if (d->access == ACCESS_OPEN && !settings_int(s, "diary", "open_to_network") && !listens_on_loopback(settings_get(s, "server", "listen"))) {
        buf_add_z(err, "diary.access = open believes whatever openId a caller names, so it listens on this machine only. Use handle or session (the default is handle); "
                       "or, knowing that, set diary.open_to_network = true");
        goto fail;
    }
    d->check = span_is_z(settings_get(s, "diary", "content_check"), "wechat");
    d->rooms = settings_get(s, "diary", "rooms");
    d->index = match_index_new();
    d->logins = wechat_logins_new();
    if (!share(settings_get(s, "diary", "salient"), &d->salient)) {
        buf_add_z(err, "diary.salient: a number from 0 to 1, such as 0.15");
        goto fail;
    }
    if (!d->index || !d->logins) goto fail;
    if (span_is_z(settings_get(s, "emotion", "method"), "lexicon")) {
        char path[4096];
        struct span file = settings_get(s, "emotion", "lexicon");
        if (!file.n || file.n >= sizeof path) {
            buf_add_z(err, "emotion.method = lexicon needs emotion.lexicon = FILE (lines of word, category 1-7, strength)");
            goto fail;
        }
        memcpy(path, file.p, file.n);
        path[file.n] = '\0';
        d->lexicon = emotion_lexicon_open(path, access_ok(SEGMENT_DICTIONARY) ? SEGMENT_DICTIONARY : NULL, err);
        if (!d->lexicon) goto fail;
    }
    struct wechat_mp_config mp = { settings_get(s, "wechat", "api_url"), settings_get(s, "wechat", "appid"), settings_get(s, "wechat", "secret"), NULL };
    if (mp.appid.n && !(d->mp = wechat_mp_new(&mp, err))) goto fail;
    if (d->check && !d->mp) {
        buf_add_z(err, "diary.content_check = wechat needs wechat.appid and wechat.secret");
        goto fail;
    }
    if (!matching_load(d, conn, err)) goto fail;
    char data[4096];
    struct span folder = settings_get(s, "server", "data");
    if (folder.n < sizeof data) {
        memcpy(data, folder.p, folder.n);
        data[folder.n] = '\0';
        pictures_sweep(data, conn);
    }
    return d;
fail:
    diary_stop(d);
    return NULL;
}

static const char *const prefixes[] = { "/matching/", "/matching", "/ws/chat/", "/upload/", NULL };

static const char *const needs_names[] = { "user", "user or new", "diary", "room", "anybody logged in", "user or nobody", "banned too", NULL };

const struct app diary_app = {
    .name = "diary", .needs_names = needs_names, .prefixes = prefixes, .commands = commands, .channels = channels, .queries = diary_queries, .files = &diary_files, .migrations = diary_migrations, .settings = settings,
    .start = diary_start, .stop = diary_stop, .admit = diary_admit, .error = diary_error,
};
