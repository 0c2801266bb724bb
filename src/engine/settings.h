/* engine/settings.h: all settings of one process: fallbacks, the INI file, the environment, flags; what comes later in this list wins, in whatever order it is loaded.
 *
 * What exists is declared in tables (struct setting in app.h): the engine's own here, each app's in its descriptor. A name that nobody declared is an error that tells
 * where it stands and which name is near; a value that cannot be right is refused when it is set. Secrets never appear in a text that this module makes.
 * One thread loads; then it is constant and any thread may read (settings_get, settings_int in app.h). */
#ifndef WEIR_SETTINGS_H
#define WEIR_SETTINGS_H
#include "engine/app.h"

extern const struct setting engine_settings[];               /* the engine's own: server, log, wechat, store, hub, debug, emotion; ended by a row without section */

/* All rows of both; a section.key declared twice or a fallback that its own row refuses is a bug (must). NULL: out of memory. The tables must outlive it. */
struct settings *settings_new(const struct app *const *apps, const struct setting *own);
void settings_free(struct settings **);

/* The texts in err are whole sentences, one a line, each naming the place ("weir.ini:12: …") and the remedy; false means that the process should not start.
 * Warnings may be NULL. The file: INI with [section] and key = value, comments after ; or #, an indented line continues the value above, 190 bytes a line. */
bool settings_load_file(struct settings *, const char *path, struct buf *err, struct buf *warnings);
bool settings_load_text(struct settings *, const char *name, struct span text, struct buf *err);   /* the same from memory */
bool settings_load_env(struct settings *, char *const *environment, struct buf *err, struct buf *warnings);      /* WEIR_SECTION_KEY=value */
bool settings_set(struct settings *, const char *section, const char *key, struct span value, struct buf *err);  /* a flag */
bool settings_assign(struct settings *, const char *assignment, struct buf *err);                /* a flag's "section.key=value" */
/* A sub-command's own fallback in place of the table's (`weir demo`: diary.access = open); what was loaded from anywhere wins. */
void settings_default(struct settings *, const char *section, const char *key, const char *fallback);
/* What single values cannot show: pairs that belong together, parts that this build does not have. Call it when all is loaded. */
bool settings_check(const struct settings *, struct buf *err);

/* True if anything but the fallback gave the value. */
bool settings_given(const struct settings *, const char *section, const char *key);
/* For --help: each setting with its fallback and what it is about, by section. */
void settings_describe(const struct settings *, struct buf *out);
/* For the log at start: what differs from the fallbacks and where it came from, "section.key = value (environment)" a line; secrets as "(secret)". */
void settings_show(const struct settings *, struct buf *out);

/* ---- for settings.c and its test ---- */

/* The value as it is kept (trimmed, slashes dropped) and its number, or a phrase that completes "section.key must be …" in *out_must_be. */
bool setting_check(const struct setting *, struct span value, struct span *out_value, int64_t *out_number, const char **out_must_be, char must_be_room[160]);
#endif
