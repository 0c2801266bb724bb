/* cli/backup.c: `weir backup DIR` and `weir restore DIR`.
 *
 * A backup is three things that belong together: the database, the files that it names, the secret key. The server copies its database (it alone can do that consistently while it writes); the copy is
 * opened and its name taken away at once. Then the files: those that this copy names, and no other; they never change once they are written, so they need no snapshot, and one that was deleted meanwhile is told and is
 * no error. All goes into a folder of a temporary name beside the final one, is read again and judged as `--verify` would, and gets its name last: what has the name is whole.
 *
 * Restoring judges first, copies into a folder of a temporary name, and never touches a data directory in which there is anything. */
#include "cli/cli.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/backup_folder.h"
#include "cli/local.h"
#include "wire/json.h"

static const char BACKUP_HELP[] =
    "usage: weir backup DIR (--data DATA | --config FILE)\n"
    "       weir backup --verify DIR\n"
    "\n"
    "Copies database, images and secret key of DATA into the new folder DIR, beside a running server or without one, and reads all of it again.\n"
    "DIR appears when it is whole; a failure leaves nothing. Whoever has DIR can read everything and be everybody: keep it as safe as DATA.\n"
    "\n"
    "  --verify       only look at a backup: sizes, SHA-256, the database page by page, every image that it names\n";

static const char RESTORE_HELP[] =
    "usage: weir restore DIR (--data NEW | --config FILE)\n"
    "\n"
    "Looks at the backup in DIR as `weir backup --verify` does and copies it into NEW, which must not be there yet or be empty. Start a server with it then.\n";

enum { PATH_ROOM = 4096, TICK_MS = 100 };

/* ---- being stopped, and telling how far it is ---- */

static volatile sig_atomic_t stopped;
static void on_signal(int signal) { (void)signal; stopped = 1; }

struct ticker { const char *what; bool terminal, shown; int64_t next_ms; };

static bool tick(void *arg, size_t files, int64_t bytes)
{
    struct ticker *t = arg;
    int64_t now = clock_mono_ms();
    if (t->terminal && now >= t->next_ms) {
        fprintf(stderr, "\r%s: %zu files, %lld MB ", t->what, files, (long long)(bytes / 1000000));
        t->next_ms = now + TICK_MS;
        t->shown = true;
    }
    return !stopped;
}

static void tick_end(struct ticker *t)
{
    if (t->shown) fputs("\r\033[K", stderr);
    t->shown = false;
}

static void catch_signals(void)
{
    struct sigaction on = { .sa_handler = on_signal };
    sigaction(SIGINT, &on, NULL);
    sigaction(SIGTERM, &on, NULL);
    sigaction(SIGHUP, &on, NULL);
}

static int fail(const struct run *r, struct buf *err)
{
    struct span text = buf_span(err);
    while (text.n && text.p[text.n - 1] == '\n') text.n--;
    fprintf(stderr, "weir %s: %.*s\n", r->name, SPAN_ARGS(text));
    return 1;
}

/* Without slashes at its end, for messages and names below it. */
static bool take_path(const char *path, char out[PATH_ROOM], struct buf *err)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    if (n == 0 || n >= PATH_ROOM) {
        buf_add_z(err, "that is no name for a folder");
        return false;
    }
    memcpy(out, path, n);
    out[n] = '\0';
    return true;
}

/* ---- a folder that gets its name last ---- */

struct place { char path[PATH_ROOM], temporary[PATH_ROOM + 16]; int dir; };

static bool place_open(struct place *p, const char *path, struct buf *err)
{
    p->dir = -1;
    if (!take_path(path, p->path, err)) return false;
    snprintf(p->temporary, sizeof p->temporary, "%s.part-XXXXXX", p->path);
    if (!mkdtemp(p->temporary) || (p->dir = open(p->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        buf_printf(err, "cannot make a folder beside %s: %s", p->path, strerror(errno));
        p->temporary[0] = '\0';
        return false;
    }
    return true;
}

/* The folder is on the disk already; now its name. rename() replaces nothing but an empty folder. */
static bool place_keep(struct place *p, struct buf *err)
{
    if (rename(p->temporary, p->path) != 0) {
        buf_printf(err, "cannot name the folder %s: %s", p->path, strerror(errno));
        return false;
    }
    p->temporary[0] = '\0';
    if (syncfs(p->dir) == 0) return true;
    buf_printf(err, "%s is there, but the disk does not confirm it: %s", p->path, strerror(errno));
    return false;
}

static void place_close(struct place *p)
{
    if (p->dir >= 0) close(p->dir);
    if (p->temporary[0]) backup_remove(p->temporary);
}

/* ---- backup ---- */

/* Asks for a copy of the database and opens it; nobody else can find it then. */
static int take_snapshot(struct run *r, int data, bool *out_secret_in_settings)
{
    struct buf answer;
    int answered, fd = -1;
    buf_init(&answer, 1 << 20);
    struct arena *a = arena_new(8 << 20);
    if (a && local_call(r, "POST", "/api/operator/snapshot", NULL, SPAN(""), &answered, &answer) && local_finish(r, answered, buf_span(&answer)) == 0) {
        const json_t *told = local_data(r, a, buf_span(&answer));
        const char *file = json_string_value(json_object_get(told, "file")), *secret = json_string_value(json_object_get(told, "secret"));
        fd = file ? openat(data, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
        if (fd < 0) fprintf(stderr, "weir %s: the copy that the server made cannot be opened: %s\n", r->name, strerror(errno));
        if (file) unlinkat(data, file, 0);
        *out_secret_in_settings = secret && strcmp(secret, "settings") == 0;
    }
    arena_free(&a);
    buf_done(&answer);
    return fd;
}

struct copying { struct backup *b; int data, to; const struct backup_progress *progress; struct buf *err; };

static bool copy_named(void *arg, struct span path)
{
    struct copying *c = arg;
    bool missing;
    if (!backup_copy(c->b, -1, c->data, c->to, path, NULL, &missing, c->progress, c->err)) return false;
    return !missing || backup_note_missing(c->b, path);
}

static bool copy_all(struct backup *b, int snapshot, int data, const struct place *to, const struct backup_progress *progress, struct buf *err)
{
    struct copying c = { b, data, to->dir, progress, err };
    char database[PATH_ROOM + 32];
    bool missing;
    if (!backup_copy(b, snapshot, -1, to->dir, SPAN(BACKUP_DATABASE), NULL, &missing, progress, err)) return false;
    if (!b->secret_in_settings) {
        if (!backup_copy(b, -1, data, to->dir, SPAN(BACKUP_SECRET), NULL, &missing, progress, err)) return false;
        if (missing) {
            buf_add_z(err, "there is no secret.key in the data directory");
            return false;
        }
    }
    snprintf(database, sizeof database, "%s/" BACKUP_DATABASE, to->temporary);
    return backup_named_files(database, copy_named, &c, err) && backup_write(b, to->dir, clock_now_ms(), err);
}

static bool look(struct backup *b, int dir, const char *path, struct ticker *t, struct buf *err)
{
    struct backup_progress progress = { tick, t };
    bool good = backup_init(b) && backup_verify(b, dir, path, &progress, err);
    tick_end(t);
    if (!good && !err->n) buf_add_z(err, "out of memory");
    return good;
}

static void tell(const struct backup *b, const char *what, const char *path)
{
    printf("%s %s: %zu files, %lld bytes\n", what, path, b->n, (long long)b->bytes);
    if (b->missing_n) printf("%zu files that the database names were not there: deleted while it was copied, or lost before (MANIFEST names them)\n", b->missing_n);
    if (b->secret_in_settings) printf("the secret key is not in it: it is server.secret_key of the settings, without which all ids that users hold are void. Keep that with it.\n");
}

static int backup_to(struct run *r, const char *path)
{
    struct place to = { .dir = -1 };
    struct ticker t = { .what = "copying", .terminal = isatty(STDERR_FILENO) }, again = { .what = "verifying", .terminal = t.terminal };
    struct backup_progress progress = { tick, &t };
    struct backup b = { 0 }, read_back = { 0 };
    struct buf err;
    struct stat st;
    char *data_path = NULL;
    int status = 1, snapshot = -1, data = local_data_open(r, &data_path);
    buf_init(&err, 64 * 1024);
    if (data < 0) goto out;
    if (lstat(path, &st) == 0) buf_printf(&err, "%s is there already: name a new folder", path);
    else if (!backup_init(&b)) buf_add_z(&err, "out of memory");
    else place_open(&to, path, &err);
    if (to.dir >= 0) snapshot = take_snapshot(r, data, &b.secret_in_settings);
    if (snapshot >= 0) {
        bool good = copy_all(&b, snapshot, data, &to, &progress, &err);
        tick_end(&t);
        if (good && look(&read_back, to.dir, to.temporary, &again, &err) && place_keep(&to, &err)) status = 0;
    }
    if (status && err.n) fail(r, &err);
    if (status == 0) tell(&b, "backup", to.path);
out:
    if (snapshot >= 0) close(snapshot);
    if (data >= 0) close(data);
    free(data_path);
    place_close(&to);
    backup_done(&b);
    backup_done(&read_back);
    buf_done(&err);
    return status;
}

static int verify_only(const struct run *r, const char *named)
{
    char path[PATH_ROOM];
    struct ticker t = { .what = "verifying", .terminal = isatty(STDERR_FILENO) };
    struct backup b = { 0 };
    struct buf err;
    buf_init(&err, 64 * 1024);
    int status = 1, dir = take_path(named, path, &err) ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (dir < 0 && !err.n) buf_printf(&err, "%s: %s", path, strerror(errno));
    else if (dir >= 0 && look(&b, dir, path, &t, &err)) status = 0;
    if (status) fail(r, &err);
    else tell(&b, "sound", path);
    if (dir >= 0) close(dir);
    backup_done(&b);
    buf_done(&err);
    return status;
}

int cli_backup(int argc, char **argv)
{
    const char *words[1] = { NULL };
    bool verify = false;
    const struct run_flag flags[] = { { "--verify", &verify, NULL }, { NULL, NULL, NULL } };
    struct run r = { .name = "backup", .flags = flags, .words = words, .word_max = 1 };
    int status = local_options(&r, argc, argv, BACKUP_HELP);
    if (status < 0 && !words[0]) {
        fputs("weir backup: into which folder? `weir backup --help` tells more\n", stderr);
        status = 2;
    }
    if (status < 0) {
        catch_signals();
        status = verify ? verify_only(&r, words[0]) : backup_to(&r, words[0]);
    }
    settings_free(&r.settings);
    return status;
}

/* ---- restore ---- */

static bool copy_back(const struct backup *from, int from_dir, int to_dir, const struct backup_progress *progress, struct buf *err)
{
    struct backup b;
    bool good = backup_init(&b), missing;
    for (size_t i = 0; good && i < from->n; i++) {
        good = backup_copy(&b, -1, from_dir, to_dir, from->files[i].path, &from->files[i], &missing, progress, err) && !missing;
        if (missing) buf_printf(err, "%.*s: it was there a moment ago", SPAN_ARGS(from->files[i].path));
    }
    if (good && syncfs(to_dir) != 0) {
        buf_printf(err, "cannot write: %s", strerror(errno));
        good = false;
    }
    backup_done(&b);
    return good;
}

static bool may_become_data(const char *path, struct buf *err)
{
    DIR *d = opendir(path);
    size_t names = 0;
    while (d && readdir(d)) names++;
    if (d) closedir(d);
    if (d ? names <= 2 : errno == ENOENT) return true;
    if (!d) buf_printf(err, "%s: %s", path, strerror(errno));
    else buf_printf(err, "%s is there already and not empty: nothing is restored over it. Name a new folder", path);
    return false;
}

static int restore_from(struct run *r, const char *backup)
{
    struct place to = { .dir = -1 };
    struct ticker t = { .what = "verifying", .terminal = isatty(STDERR_FILENO) }, copy = { .what = "copying", .terminal = t.terminal };
    struct backup_progress progress = { tick, &copy };
    struct backup b = { 0 };
    struct buf err;
    char data[PATH_ROOM], path[PATH_ROOM];
    struct span named = settings_get(r->settings, "server", "data");
    buf_init(&err, 64 * 1024);
    int status = 1, dir = take_path(backup, path, &err) ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (err.n) {
        /* said below */
    } else if (!named.n || named.n >= sizeof data) {
        buf_add_z(&err, "into which data directory? Name it by --data NEW, or the settings file by --config FILE");
    } else if (dir < 0) {
        buf_printf(&err, "%s: %s", path, strerror(errno));
    } else {
        memcpy(data, named.p, named.n);
        data[named.n] = '\0';
        bool good = may_become_data(data, &err) && look(&b, dir, path, &t, &err) && place_open(&to, data, &err) && copy_back(&b, dir, to.dir, &progress, &err);
        tick_end(&copy);
        if (good && place_keep(&to, &err)) status = 0;
    }
    if (status) fail(r, &err);
    else tell(&b, "restored", to.path);
    if (dir >= 0) close(dir);
    place_close(&to);
    backup_done(&b);
    buf_done(&err);
    return status;
}

int cli_restore(int argc, char **argv)
{
    const char *words[1] = { NULL };
    struct run r = { .name = "restore", .words = words, .word_max = 1 };
    int status = local_options(&r, argc, argv, RESTORE_HELP);
    if (status < 0 && !words[0]) {
        fputs("weir restore: which backup? `weir restore --help` tells more\n", stderr);
        status = 2;
    }
    if (status < 0) {
        catch_signals();
        status = restore_from(&r, words[0]);
    }
    settings_free(&r.settings);
    return status;
}
