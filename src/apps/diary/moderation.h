/* apps/diary/moderation.h: the operator's rows: what users reported and what WeChat's check found, and what can be done about it. They exist on the Unix socket only (COMMAND_OPERATOR); `weir moderation` is their
 * client. People are numbers here (diary_user.id), which nobody outside ever sees. Reading: moderation.c; acting: moderation_acts.c. */
#ifndef WEIR_DIARY_MODERATION_H
#define WEIR_DIARY_MODERATION_H
#include "apps/diary/extras.h"

/* A row of the list. */
struct complaint {
    int64_t id, user_id, by_id, target, created_ms, done_ms;     /* by_id 0: not a user; target: a diary (kind diary) or a message of the room, 0: none */
    struct span kind, name, room, reason, action, note;          /* kind: report, diary, message; action: dismissed, hidden, banned, or empty */
};
bool complaint_find(struct snap *, int64_t id, struct complaint *out);
static inline bool complaint_is_diary(const struct complaint *c) { return span_is_z(c->kind, "diary"); }

/* Hidden: others do not see it any more. False: it was already. A message's room is told, so that phones take it away. */
bool message_hide(const struct request *, struct txn *, struct span room, int64_t seq);
bool diary_hide(struct txn *, int64_t diary_id);

#define MODERATION_ITEM "{id:n, kind:s, user:n, name:s|z, by:n|z, room:s|z, target:n|z, reason:s, created:s, done:s|z, action:s|z, note:s|z}"
#define MODERATION_PERSON "{id:n, name:s|z, openid:s, banned:b, gone:b, diaries:n, images:n, open:n, created:s}"
#define MODERATION_NOTE { "note", NULL, FIELD_TEXT, 0, .max = 1000, .about = "why; kept in the record" }
#define MODERATION_ID { "id", NULL, FIELD_INT, REQUIRED, 1, INT64_MAX, "of the list" }
#define MODERATION_WHO { "user", NULL, FIELD_INT, 0, 1, INT64_MAX, "the number in the list" }, { "openid", "openId", FIELD_TEXT, NOT_EMPTY, .max = LIMIT_OPENID_BYTES, .about = "or WeChat's openid (in open: the openId)" }

#define DIARY_MODERATION_COMMANDS \
    { .name = "diary.moderation.list", .about = "What was reported or found: what is open, or all, by ascending id", .http = "GET /api/diary/moderation/?", \
      .takes = &SHAPE({ "all", NULL, FIELD_INT, 0, 0, 1, "1: also what is done" }, { "after", NULL, FIELD_INT, 0, 0, INT64_MAX, "only what has a greater id" }, { "limit", NULL, FIELD_INT, 0, 1, 200, "at most so many; 100" }), \
      .flags = COMMAND_OPERATOR | COMMAND_PRIVATE, READS(moderation_list), .gives = API_GIVES("{items:[" MODERATION_ITEM "], more:b}") }, \
    { .name = "diary.moderation.show", .about = "One of them: what it is about, by whom, what was said around it, what was done before", .http = "GET /api/diary/moderation/{id}/?", \
      .takes = &SHAPE(MODERATION_ID), .flags = COMMAND_OPERATOR | COMMAND_PRIVATE, READS(moderation_show), \
      .gives = API_GIVES("{item:" MODERATION_ITEM ", content:{title?:s, text:s, hidden:b, created:s}|z, user:" MODERATION_PERSON "|z, by:" MODERATION_PERSON "|z," \
                         " around:[{id:n, user:n, name:s|z, text:s, hidden:b, about:b, created:s}], images:[s], log:[{action:s, item:n|z, image:s|z, by:s, note:s, created:s}]}") }, \
    { .name = "diary.moderation.dismiss", .about = "Nothing is wrong: it is done, and what was hidden for its sake is shown again", .http = "POST /api/diary/moderation/{id}/dismiss/?", \
      .takes = &SHAPE(MODERATION_ID, MODERATION_NOTE), .flags = COMMAND_OPERATOR | COMMAND_PRIVATE, WRITES(moderation_dismiss), .gives = API_GIVES("{id:n, action:s, changed:b, done:n}") }, \
    { .name = "diary.moderation.hide", .about = "Nobody but its author sees the diary or message any more", .http = "POST /api/diary/moderation/{id}/hide/?", \
      .takes = &SHAPE(MODERATION_ID, MODERATION_NOTE), .flags = COMMAND_OPERATOR | COMMAND_PRIVATE, WRITES(moderation_hide), .gives = API_GIVES("{id:n, action:s, changed:b, done:n}") }, \
    { .name = "diary.moderation.ban", .about = "Somebody may read what is his, and nothing else; his match and his sockets end", .http = "POST /api/diary/moderation/ban/?", \
      .takes = &SHAPE(MODERATION_WHO, MODERATION_NOTE), .flags = COMMAND_OPERATOR | COMMAND_PRIVATE, WRITES(moderation_ban), .gives = API_GIVES("{user:n, banned:b, changed:b, done:n}") }, \
    { .name = "diary.moderation.unban", .about = "Take a ban back", .http = "POST /api/diary/moderation/unban/?", \
      .takes = &SHAPE(MODERATION_WHO, MODERATION_NOTE), .flags = COMMAND_OPERATOR | COMMAND_PRIVATE, WRITES(moderation_unban), .gives = API_GIVES("{user:n, banned:b, changed:b, done:n}") }, \
    { .name = "diary.moderation.delete_image", .about = "An image is gone, with its small form", .http = "POST /api/diary/moderation/delete_image/?", \
      .takes = &SHAPE({ "name", NULL, FIELD_TEXT, REQUIRED | NOT_EMPTY, .max = 255, .about = "its name, as in its address" }, MODERATION_NOTE), .flags = COMMAND_OPERATOR | COMMAND_PRIVATE, \
      WRITES(moderation_delete_image), .gives = API_GIVES("{name:s, changed:b}") },
#endif
