/* apps/absence/schema.c: the absence app's tables. Times are UTC milliseconds, days are texts "YYYY-MM-DD" in the ensemble's zone, yes and no are 1 and 0. */
#include "apps/absence/absence_in.h"

const struct migration absence_migrations[] = {
    { "absence", 1,
      /* openid: whom the name is bound to, since the first login; generation: part of each token, raised to make them void; feed: hash of the calendar address's token */
      "CREATE TABLE absence_member (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, section TEXT NOT NULL, manager BIGINT NOT NULL DEFAULT 0, openid TEXT UNIQUE, unionid TEXT,"
      " generation BIGINT NOT NULL DEFAULT 0, feed BLOB UNIQUE, created_ms BIGINT NOT NULL, bound_ms BIGINT, retired_ms BIGINT);"
      /* deleted_ms: a tombstone, of a request that was deleted when its day had come; it counts still */
      "CREATE TABLE absence_request (id INTEGER PRIMARY KEY AUTOINCREMENT, member_id BIGINT NOT NULL, reason TEXT NOT NULL, time_absence TEXT NOT NULL, time_apply TEXT NOT NULL, type TEXT NOT NULL,"
      " cost BIGINT NOT NULL, processed BIGINT NOT NULL DEFAULT 0, processor_id BIGINT, result TEXT NOT NULL, permission BIGINT NOT NULL DEFAULT 0, created_ms BIGINT NOT NULL, changed_ms BIGINT NOT NULL,"
      " deleted_ms BIGINT);"
      "CREATE UNIQUE INDEX absence_request_once ON absence_request (member_id, time_absence) WHERE deleted_ms IS NULL;"
      "CREATE INDEX absence_request_member ON absence_request (member_id, time_absence, id);"
      "CREATE INDEX absence_request_day ON absence_request (time_absence, id);"
      "CREATE TABLE absence_rehearsal (id INTEGER PRIMARY KEY AUTOINCREMENT, day TEXT NOT NULL, starts TEXT NOT NULL, title TEXT NOT NULL, created_ms BIGINT NOT NULL);"
      "CREATE UNIQUE INDEX absence_rehearsal_once ON absence_rehearsal (day, starts, title);"
      /* who did what to what, in the transaction that did it; actor_id 0: the operator */
      "CREATE TABLE absence_audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms BIGINT NOT NULL, actor_id BIGINT NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, kind TEXT NOT NULL, target_id BIGINT NOT NULL,"
      " whom TEXT NOT NULL, before_json TEXT, after_json TEXT);" },
    { NULL, 0, NULL },
};
