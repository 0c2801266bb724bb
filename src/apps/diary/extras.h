/* apps/diary/extras.h: the rows of the routes under /api/diary/, and what the three files behind them share.
 *
 * They go beyond the first seed document, so they have one shape of their own, {"errcode", "errmsg", "data"}, and real statuses. Each of them says who is calling as the contract does: openId (or,
 * outside `open`, what proves it) or a session token. Handlers: extras.c (me, sessions, unread, calendar, search), extras_social.c (block, report, leave), extras_export.c. */
#ifndef WEIR_DIARY_EXTRAS_H
#define WEIR_DIARY_EXTRAS_H
#include "apps/diary/diary_in.h"

/* My pairs, the newest first, at most PAIRS_PAGE with an id below `before`: id, the other's id, created, ended (NULL: still a pair). */
enum { PAIRS_PAGE = 100 };
struct rows my_pairs(struct snap *, int64_t user_id, int64_t before);
bool was_paired(struct snap *, int64_t user_id, int64_t pair_id, int64_t *out_other_id);
struct span pair_room(const struct request *, int64_t pair_id);                  /* "p:5" */
/* Closes the user's sockets, in his pairs' rooms and in the named ones; those that still can prove who they are come back by themselves. */
void send_user_away(const struct request *, struct txn *, int64_t user_id);
void put_when(const struct request *, struct jout *, const char *key, int64_t ms);                      /* "2018-04-29 12:46:41" */
void put_sessions(const struct request *, struct snap *, struct jout *);         /* an array */
/* Blocked people with an id above *after, as array elements; false: that were all. */
bool put_blocks(const struct request *, struct snap *, struct jout *, int64_t *after);

#define IDENTITY_FIELDS \
    { "openId", "openid open_id", FIELD_TEXT, SECRET | HOW, .max = LIMIT_OPENID_BYTES, .about = "my openId as get_openId gave it" }, \
    { "session_key", NULL, FIELD_TEXT, SECRET | HOW, .max = 128, .about = "or the session token that get_openId gave (needed with diary.access = session)" }
#define FIELD_TARGET(what) { "target", NULL, FIELD_TEXT, NOT_EMPTY | SECRET, .max = LIMIT_OPENID_BYTES, .about = what }

#define API_GIVES(data) "{errcode:n, errmsg:s, data:" data "}"
#define API_PROFILE(gender) "{openId:s, nickName:s, avatarUrl:s, gender:" gender ", province:s, city:s, country:s}"
#define API_ROOM_KEYS "pair_id:s, unread:n, last_id:s, read_id:s, total:n"
#define API_MOOD "{diaries:n, emotion:s|z, counts:[n]}"
#define API_SESSION "{id:s, created:s, used:s, current:b}"
#define API_BLOCK "{openId:s, created:s}"
#define API_EXPORT "{exported:s, user:" API_PROFILE("n|z") ", sessions:[" API_SESSION "]," \
    " diaries:[{diary_id:s, title:s, content:s, emotion:s, probabilities:[n], publish_date:s, created_ms:n, edited_ms:n}]," \
    " pairs:[{pair_id:s, created:s, ended:s|z, partner:{openId:s, nickName:s|z}, messages:[{id:s, openId:s, mine:b, content:s, publish_date:s, created_ms:n}]}]," \
    " room_messages:[{room:s, id:s, content:s, publish_date:s, created_ms:n}]," \
    " images:[{name:s, type:s, width:n, height:n, photourl:s, thumburl:s, publish_date:s}]," \
    " read_marks:[{pair_id:s, read_id:s}], blocks:[" API_BLOCK "], reports:[{reason:s, created:s, open:b}]}"

#define DIARY_EXTRA_COMMANDS \
    { .name = "diary.api.me", .about = "Who I am: my profile, my match, how many diaries, images and unread messages", .http = "GET /api/diary/me/?", \
      .takes = &SHAPE(IDENTITY_FIELDS), .needs = NEEDS_USER, .flags = COMMAND_PRIVATE, READS(api_me), \
      .gives = API_GIVES("{user:" API_PROFILE("n|z") ", paired:b, pair_id:s|z, match?:{user:" API_PROFILE("s") "}, counts:{diaries:n, images:n, unread:n}}") }, \
    { .name = "diary.api.sessions", .about = "Where I am logged in, the newest first", .http = "GET /api/diary/sessions/?", \
      .takes = &SHAPE(IDENTITY_FIELDS), .needs = NEEDS_USER, .flags = COMMAND_PRIVATE, READS(api_sessions), .gives = API_GIVES("{sessions:[" API_SESSION "]}") }, \
    { .name = "diary.api.logout", .about = "End this session, or another one of mine; my sockets are closed", .http = "POST /api/diary/logout/?", \
      .takes = &SHAPE(IDENTITY_FIELDS, { "id", NULL, FIELD_TEXT, NOT_EMPTY, .max = 12, .about = "a session of the list; without it the one whose token came along" }), \
      .needs = NEEDS_USER | ALLOWS_BANNED, .flags = COMMAND_PRIVATE, WRITES(api_logout), .gives = API_GIVES("{ended:n}") }, \
    { .name = "diary.api.logout_all", .about = "End all my sessions; my sockets are closed", .http = "POST /api/diary/logout_all/?", \
      .takes = &SHAPE(IDENTITY_FIELDS, { "handles", NULL, FIELD_ANY, 0, .about = "true: also revoke my openId, my diary ids and my pair ids; a login gives new ones" }), \
      .needs = NEEDS_USER | ALLOWS_BANNED, .flags = COMMAND_PRIVATE, WRITES(api_logout_all), .gives = API_GIVES("{ended:n, handles:b}") }, \
    { .name = "diary.api.unread", .about = "Unread messages of my rooms (the newest 100 pairs)", .http = "GET /api/diary/unread/?", \
      .takes = &SHAPE(IDENTITY_FIELDS), .needs = NEEDS_USER, .flags = COMMAND_PRIVATE, READS(api_unread), .gives = API_GIVES("{unread:n, rooms:[{" API_ROOM_KEYS ", current:b}]}") }, \
    { .name = "diary.api.read", .about = "I have read a room up to this message; the mark never goes back", .http = "POST /api/diary/read/?", \
      .takes = &SHAPE(IDENTITY_FIELDS, { "pair_id", "pairId room", FIELD_TEXT, REQUIRED | NOT_EMPTY | SECRET, .max = 200, .about = "the room" }, \
                      { "id", NULL, FIELD_INT, REQUIRED, 0, INT64_MAX, "the id of the last message read" }), \
      .needs = NEEDS_USER, .flags = COMMAND_PRIVATE, WRITES(api_read), .gives = API_GIVES("{" API_ROOM_KEYS "}") }, \
    { .name = "diary.api.block", .about = "Block somebody: a match is dissolved, and there will never be one again, in either direction", .http = "POST /api/diary/block/?", \
      .takes = &SHAPE(IDENTITY_FIELDS, FIELD_TARGET("the openId that I see of him; without it my present partner")), .needs = NEEDS_USER, .flags = COMMAND_PRIVATE, WRITES(api_block), \
      .gives = API_GIVES("{blocked:" API_BLOCK ", depaired:b}") }, \
    { .name = "diary.api.blocks", .about = "Whom I blocked", .http = "GET /api/diary/block/?, GET /api/diary/blocks/?", \
      .takes = &SHAPE(IDENTITY_FIELDS), .needs = NEEDS_USER, .flags = COMMAND_PRIVATE, READS(api_blocks), .gives = API_GIVES("{blocks:[" API_BLOCK "]}") }, \
    { .name = "diary.api.unblock", .about = "Take a block back", .http = "DELETE /api/diary/block/?", \
      .takes = &SHAPE(IDENTITY_FIELDS, { "target", NULL, FIELD_TEXT, REQUIRED | NOT_EMPTY | SECRET, .max = LIMIT_OPENID_BYTES, .about = "the openId in the list of blocks, or the one seen in the room" }), \
      .needs = NEEDS_USER, .flags = COMMAND_PRIVATE, WRITES(api_unblock), .gives = API_GIVES("{removed:n}") }, \
    { .name = "diary.api.report", .about = "Tell the operator about somebody or about a message; at most 20 open reports a day", .http = "POST /api/diary/report/?", \
      .takes = &SHAPE(IDENTITY_FIELDS, { "reason", NULL, FIELD_TEXT, REQUIRED | NOT_EMPTY, .max = 1000, .about = "what is wrong" }, \
                      { "pair_id", "pairId room", FIELD_TEXT, NOT_EMPTY | SECRET, .max = 200, .about = "the room; without it and without target my present match is meant" }, \
                      { "id", NULL, FIELD_INT, 0, 1, INT64_MAX, "a message of that room" }, FIELD_TARGET("the openId that I see of somebody")), \
      .needs = NEEDS_USER, .flags = COMMAND_PRIVATE, WRITES(api_report), .gives = API_GIVES("{reported:b}") }, \
    { .name = "diary.api.calendar", .about = "My moods: a month by days, or a year by months; counts are by emotion code 0 to 7, emotion is the most frequent one (of equals the lower code, calm last)", \
      .http = "GET /api/diary/calendar/?", \
      .takes = &SHAPE(IDENTITY_FIELDS, { "month", NULL, FIELD_TEXT, NOT_EMPTY, .max = 7, .about = "YYYY-MM; without month and year the present month" }, \
                      { "year", NULL, FIELD_INT, 0, 1970, 9998, "YYYY" }), \
      .needs = NEEDS_USER, .flags = COMMAND_PRIVATE, READS(api_calendar), \
      .gives = API_GIVES("{month:s, days:[{date:s, diaries:n, emotion:s, counts:[n]}], total:" API_MOOD "}|{year:s, months:[{month:s, diaries:n, emotion:s, counts:[n]}], total:" API_MOOD "}") }, \
    { .name = "diary.api.search", .about = "My diaries that contain a text, the newest first", .http = "GET /api/diary/search/?", \
      .takes = &SHAPE(IDENTITY_FIELDS, { "q", NULL, FIELD_TEXT, REQUIRED | NOT_EMPTY, .max = 100, .about = "the text; Latin letters in either case" }, \
                      { "limit", NULL, FIELD_INT, 0, 1, 100, "at most so many; 20" }, { "before", NULL, FIELD_TEXT, NOT_EMPTY | SECRET, .max = 100, .about = "only older ones than this diary: the last diary_id of the page before" }), \
      .needs = NEEDS_USER, .flags = COMMAND_PRIVATE, READS(api_search), .gives = API_GIVES("{diaries:[{diary_id:s, title:s, excerpt:s, emotion:s, publish_date:s}], more:b}") }, \
    { .name = "diary.api.explain", .about = "Why a diary of mine has its emotion: the words that weighed most, the heaviest first, and what each speaks for", .http = "GET /api/diary/explain/?", \
      .takes = &SHAPE(IDENTITY_FIELDS, { "diary_id", "diaryId id", FIELD_TEXT, REQUIRED | NOT_EMPTY | SECRET, .max = 100, .about = "the diary" }), .needs = NEEDS_USER, .flags = COMMAND_PRIVATE, \
      READS(api_explain), .gives = API_GIVES("{diary_id:s, method:s, emotion:s, probabilities:[n], pieces:[{text:s, emotion:s, weight:n}]}") }, \
    { .name = "diary.api.export", .about = "All that is stored about me, as one JSON document", .http = "GET /api/diary/export/?", \
      .takes = &SHAPE(IDENTITY_FIELDS, { "format", NULL, FIELD_TEXT, 0, .max = 20, .about = "json" }), \
      .needs = NEEDS_USER, .flags = COMMAND_PRIVATE, READS(api_export), .gives = API_GIVES(API_EXPORT) }, \
    { .name = "diary.api.delete_account", .about = "Delete my account: diaries, images, sessions; who chatted with me keeps the chat, without my name", .http = "DELETE /api/diary/account/?", \
      .takes = &SHAPE(IDENTITY_FIELDS, { "confirm", NULL, FIELD_TEXT, REQUIRED, .max = 20, .about = "yes" }), \
      .needs = NEEDS_USER, .flags = COMMAND_PRIVATE, WRITES(api_delete_account), .gives = API_GIVES("{deleted:b, diaries:n, images:n}") },
#endif
