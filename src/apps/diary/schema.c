/* apps/diary/schema.c: the diary's tables. Times are UTC milliseconds; `emotion` is 0..7; `p` holds eight probabilities (16 bytes, 1/10,000, big endian). */
#include "apps/diary/diary_in.h"

const struct migration diary_migrations[] = {
    { "diary", 1,
      /* openid: WeChat's; in `open` what the client said. generation: raising it makes all sealed ids of the user void. */
      "CREATE TABLE diary_user (id INTEGER PRIMARY KEY AUTOINCREMENT, openid TEXT NOT NULL UNIQUE, unionid TEXT, generation BIGINT NOT NULL DEFAULT 0,"
      " nickname TEXT, avatar TEXT, gender BIGINT DEFAULT 0, province TEXT, city TEXT, country TEXT, created_ms BIGINT NOT NULL, banned BIGINT NOT NULL DEFAULT 0);"
      "CREATE TABLE diary_entry (id INTEGER PRIMARY KEY AUTOINCREMENT, user_id BIGINT NOT NULL REFERENCES diary_user (id) ON DELETE CASCADE, title TEXT NOT NULL, content TEXT NOT NULL,"
      " emotion BIGINT NOT NULL, p BLOB NOT NULL, created_ms BIGINT NOT NULL, edited_ms BIGINT NOT NULL, hidden BIGINT NOT NULL DEFAULT 0);"
      "CREATE INDEX diary_entry_user ON diary_entry (user_id, id);"
      "CREATE INDEX diary_entry_time ON diary_entry (user_id, created_ms);"
      /* who waits to be matched: the diaries of the last days of people without a partner; v: the salient vector in lowest terms (8 x 4 bytes) */
      "CREATE TABLE diary_waiting (diary_id INTEGER PRIMARY KEY, user_id BIGINT NOT NULL, emotion BIGINT NOT NULL, v BLOB NOT NULL, created_ms BIGINT NOT NULL);"
      "CREATE INDEX diary_waiting_user ON diary_waiting (user_id);"
      "CREATE INDEX diary_waiting_time ON diary_waiting (created_ms, diary_id);"
      "CREATE INDEX diary_waiting_emotion ON diary_waiting (emotion, created_ms, diary_id);"
      "CREATE TABLE diary_pair (id INTEGER PRIMARY KEY AUTOINCREMENT, one_id BIGINT NOT NULL, two_id BIGINT NOT NULL, created_ms BIGINT NOT NULL, ended_ms BIGINT, CHECK (one_id <> two_id));"
      "CREATE INDEX diary_pair_one ON diary_pair (one_id, id);"
      "CREATE INDEX diary_pair_two ON diary_pair (two_id, id);"
      /* the primary key is what makes a second partner impossible */
      "CREATE TABLE diary_member (user_id INTEGER PRIMARY KEY, pair_id BIGINT NOT NULL, partner_id BIGINT NOT NULL UNIQUE);"
      "CREATE TABLE diary_room (room TEXT NOT NULL PRIMARY KEY, last_seq BIGINT NOT NULL);"
      "CREATE TABLE diary_message (room TEXT NOT NULL, seq BIGINT NOT NULL, user_id BIGINT NOT NULL, content TEXT NOT NULL, created_ms BIGINT NOT NULL, hidden BIGINT NOT NULL DEFAULT 0, PRIMARY KEY (room, seq));"
      "CREATE INDEX diary_message_user ON diary_message (user_id, room, seq);"
      "CREATE TABLE diary_read (user_id BIGINT NOT NULL, room TEXT NOT NULL, seq BIGINT NOT NULL, PRIMARY KEY (user_id, room));"
      "CREATE TABLE diary_image (name TEXT NOT NULL PRIMARY KEY, user_id BIGINT NOT NULL, type TEXT NOT NULL, width BIGINT NOT NULL, height BIGINT NOT NULL, created_ms BIGINT NOT NULL);"
      "CREATE INDEX diary_image_user ON diary_image (user_id, created_ms);"
      "CREATE TABLE diary_session (token BLOB NOT NULL PRIMARY KEY, user_id BIGINT NOT NULL REFERENCES diary_user (id) ON DELETE CASCADE, created_ms BIGINT NOT NULL, used_ms BIGINT NOT NULL);"
      "CREATE INDEX diary_session_user ON diary_session (user_id, created_ms);"
      "CREATE TABLE diary_block (user_id BIGINT NOT NULL, other_id BIGINT NOT NULL, created_ms BIGINT NOT NULL, PRIMARY KEY (user_id, other_id));"
      "CREATE INDEX diary_block_other ON diary_block (other_id, user_id);"
      /* for the operator: reports of users and what WeChat's content check found */
      "CREATE TABLE diary_moderation (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, user_id BIGINT NOT NULL, by_id BIGINT, room TEXT, target BIGINT, reason TEXT NOT NULL, created_ms BIGINT NOT NULL, done_ms BIGINT);"
      "CREATE INDEX diary_moderation_open ON diary_moderation (done_ms, id);"
      "CREATE INDEX diary_moderation_by ON diary_moderation (by_id, created_ms);" },
    { "diary", 2,
      /* how a complaint was settled (dismissed, hidden, banned) and why; and what the operator did, for ever */
      "ALTER TABLE diary_moderation ADD COLUMN action TEXT;"
      "ALTER TABLE diary_moderation ADD COLUMN note TEXT;"
      "CREATE INDEX diary_moderation_about ON diary_moderation (target, room);"
      "CREATE INDEX diary_moderation_user ON diary_moderation (user_id, id);"
      "CREATE TABLE diary_moderation_log (id INTEGER PRIMARY KEY AUTOINCREMENT, action TEXT NOT NULL, item BIGINT, user_id BIGINT NOT NULL, image TEXT, by_name TEXT NOT NULL, note TEXT NOT NULL, created_ms BIGINT NOT NULL);"
      "CREATE INDEX diary_moderation_log_user ON diary_moderation_log (user_id, id);"
      "CREATE INDEX diary_moderation_log_image ON diary_moderation_log (image);" },
    { NULL, 0, NULL },
};

const struct query *const *const diary_queries[] = { identity_queries, user_queries, entry_queries, matching_queries, chat_queries, picture_queries, extra_queries, extra_social_queries, extra_export_queries, check_queries, moderation_queries, moderation_act_queries, NULL };
