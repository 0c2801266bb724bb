/* cli/backup_folder.h: a backup as a folder: files, and a manifest that knows the size and SHA-256 of each. What `weir backup` writes, `--verify` reads and `weir restore` copies back.
 *
 *   weir-backup 1
 *   created 2026-11-22T02:10:00Z
 *   weir 0.1.0
 *   secret file                                    or: settings: there is no secret.key, server.secret_key is needed
 *   missing upload/x.png                           named by the database, not found when it was made
 *   file SHA256 SIZE weir.db                       by ascending path
 *   end SHA256                                     of all lines above: a manifest that was cut off or changed is seen
 *
 * Paths come from the database and, in --verify and restore, from a file that anybody may have written: they are checked before they are used, and never leave the folder. */
#ifndef WEIR_CLI_BACKUP_FOLDER_H
#define WEIR_CLI_BACKUP_FOLDER_H
#include "base/base.h"

#define BACKUP_MANIFEST "MANIFEST"
#define BACKUP_DATABASE "weir.db"
#define BACKUP_SECRET "secret.key"

struct backup_file { struct span path; int64_t bytes; unsigned char sha256[32]; };
struct backup {
    struct arena *arena;                                     /* of the paths */
    struct backup_file *files;                               /* by ascending path once it was written or read */
    size_t n, cap;
    struct span *missing;
    size_t missing_n, missing_cap;
    bool secret_in_settings;
    int64_t bytes;                                           /* of all files */
};
bool backup_init(struct backup *);
void backup_done(struct backup *);

/* What is under way, for a terminal; fn may be NULL. False: the user wants to stop. */
struct backup_progress { bool (*fn)(void *arg, size_t files, int64_t bytes); void *arg; };

/* Copies one file (made new, mode 600, its folders 700) and notes it. The source: a descriptor (from its beginning), or `path` below from_dir if it is -1. expect: its size and hash, or NULL. A source that
 * is not there: true and *out_missing. */
bool backup_copy(struct backup *, int source, int from_dir, int to_dir, struct span path, const struct backup_file *expect, bool *out_missing, const struct backup_progress *, struct buf *err);
bool backup_note_missing(struct backup *, struct span path);
/* Sorts and writes the manifest, and brings all of the folder to the disk. */
bool backup_write(struct backup *, int dir, int64_t now_ms, struct buf *err);
/* Reads the manifest and looks at everything: sizes, hashes, files too many, the database page by page, and whether all is there that it names. False: every finding is a line in err. */
bool backup_verify(struct backup *, int dir, const char *dir_path, const struct backup_progress *, struct buf *err);
/* Which files the database at `path` names: calls each(arg, path), which returns false to stop. */
bool backup_named_files(const char *database, bool (*each)(void *arg, struct span path), void *arg, struct buf *err);
void backup_remove(const char *folder);                      /* of an attempt that failed: with all that is in it */
#endif
