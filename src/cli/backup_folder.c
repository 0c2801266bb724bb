/* cli/backup_folder.c: see backup_folder.h. Copying reads each byte once and hashes what it writes; verifying reads it again from the folder, so it judges what is there and not what was meant. */
#include "cli/backup_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "engine/app.h"

enum { PIECE_BYTES = 256 * 1024, PATH_BYTES = 1024, MANIFEST_BYTES = 1 << 30, FINDINGS = 20 };

bool backup_init(struct backup *b)
{
    *b = (struct backup){ .arena = arena_new((size_t)4 << 30) };
    return b->arena != NULL;
}

void backup_done(struct backup *b)
{
    arena_free(&b->arena);
    free(b->files);
    free(b->missing);
    *b = (struct backup){ 0 };
}

/* ---- paths ---- */

/* Relative, without empty, "." and ".." segments, without control bytes. */
static bool path_is_inside(struct span path)
{
    if (!path.n || path.n >= PATH_BYTES || !utf8_valid(path)) return false;
    for (size_t i = 0; i < path.n; i++)
        if ((unsigned char)path.p[i] < ' ' || path.p[i] == 0x7f) return false;
    for (struct span left = path;;) {
        int slash = span_find(left, '/');
        struct span name = slash < 0 ? left : span_from(left.p, (size_t)slash);
        if (!name.n || span_is(name, SPAN(".")) || span_is(name, SPAN(".."))) return false;
        if (slash < 0) return true;
        left = span_cut(left, (size_t)slash + 1);
    }
}

static const char *path_z(struct span path, char out[PATH_BYTES])
{
    must(path.n < PATH_BYTES);
    memcpy(out, path.p, path.n);
    out[path.n] = '\0';
    return out;
}

static bool make_folders(int dir, struct span path)
{
    char z[PATH_BYTES];
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] == '/' && mkdirat(dir, path_z(span_from(path.p, i), z), 0700) != 0 && errno != EEXIST) return false;
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct backup_file *x = a, *y = b;
    size_t n = x->path.n < y->path.n ? x->path.n : y->path.n;
    int c = memcmp(x->path.p, y->path.p, n);
    return c ? c : (x->path.n > y->path.n) - (x->path.n < y->path.n);
}

static struct backup_file *find(const struct backup *b, struct span path)
{
    struct backup_file key = { .path = path };
    return b->n ? bsearch(&key, b->files, b->n, sizeof *b->files, compare) : NULL;
}

static bool is_missing(const struct backup *b, struct span path)
{
    for (size_t i = 0; i < b->missing_n; i++)
        if (span_is(b->missing[i], path)) return true;
    return false;
}

/* ---- noting ---- */

static void *grow(void *at, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) return at;
    size_t more = *cap ? *cap * 2 : 256;
    void *p = base_realloc(at, more * size);
    if (p) *cap = more;
    return p;
}

static bool note(struct backup *b, const struct backup_file *f)
{
    struct backup_file *files = grow(b->files, b->n, &b->cap, sizeof *files);
    struct span copy = arena_copy(b->arena, f->path);
    if (files) b->files = files;
    if (!files || !copy.p) return false;
    b->files[b->n] = *f;
    b->files[b->n++].path = copy;
    b->bytes += f->bytes;
    return true;
}

bool backup_note_missing(struct backup *b, struct span path)
{
    struct span *missing = grow(b->missing, b->missing_n, &b->missing_cap, sizeof *missing);
    struct span copy = arena_copy(b->arena, path);
    if (missing) b->missing = missing;
    if (!missing || !copy.p) return false;
    b->missing[b->missing_n++] = copy;
    return true;
}

/* ---- reading and copying ---- */

/* The bytes of `from` to `to` (-1: nowhere), hashed. 0 or an errno; ECANCELED: the user wants to stop. */
static int pour(int from, int to, struct backup_file *out, size_t files, int64_t before, const struct backup_progress *p)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    char *piece = base_alloc(PIECE_BYTES);
    int bad = hash && piece && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) ? 0 : ENOMEM;
    out->bytes = 0;
    while (!bad) {
        ssize_t got = read(from, piece, PIECE_BYTES);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) bad = errno;
        if (got <= 0) break;
        must(EVP_DigestUpdate(hash, piece, (size_t)got));
        out->bytes += got;
        for (ssize_t at = 0; to >= 0 && !bad && at < got;) {
            ssize_t put = write(to, piece + at, (size_t)(got - at));
            if (put > 0) at += put;
            else if (errno != EINTR) bad = errno ? errno : EIO;
        }
        if (!bad && p && p->fn && !p->fn(p->arg, files, before + out->bytes)) bad = ECANCELED;
    }
    unsigned n = 0;
    if (!bad) must(EVP_DigestFinal_ex(hash, out->sha256, &n) && n == 32);
    EVP_MD_CTX_free(hash);
    free(piece);
    return bad;
}

static int open_regular(int dir, const char *path)
{
    struct stat st;
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))) return fd;
    close(fd);
    errno = EINVAL;
    return -1;
}

bool backup_copy(struct backup *b, int source, int from_dir, int to_dir, struct span path, const struct backup_file *expect, bool *out_missing, const struct backup_progress *p, struct buf *err)
{
    char z[PATH_BYTES];
    struct backup_file f = { .path = path };
    *out_missing = false;
    if (!path_is_inside(path)) {
        buf_printf(err, "the database names a file that cannot be one: \"%.*s\"\n", SPAN_ARGS(path));
        return false;
    }
    path_z(path, z);
    int from = source >= 0 ? source : open_regular(from_dir, z);
    if (from < 0 && errno == ENOENT) {
        *out_missing = true;
        return true;
    }
    int bad = from < 0 ? errno : 0;
    int to = bad || !make_folders(to_dir, path) ? -1 : openat(to_dir, z, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (!bad && to < 0) bad = errno;
    if (!bad) bad = pour(from, to, &f, b->n, b->bytes, p);
    if (to >= 0 && close(to) != 0 && !bad) bad = errno;
    if (from >= 0 && from != source) close(from);
    if (bad) buf_printf(err, "%s: %s\n", z, bad == ECANCELED ? "stopped" : strerror(bad));
    else if (expect && (expect->bytes != f.bytes || memcmp(expect->sha256, f.sha256, 32) != 0)) buf_printf(err, "%s: changed while it was read\n", z), bad = EIO;
    else if (!note(b, &f)) buf_add_z(err, "out of memory\n"), bad = ENOMEM;
    return !bad;
}

/* ---- the manifest ---- */

static void add_hex(struct buf *out, const unsigned char hash[32])
{
    for (int i = 0; i < 32; i++) buf_printf(out, "%02x", (unsigned)hash[i]);
}

bool backup_write(struct backup *b, int dir, int64_t now_ms, struct buf *err)
{
    struct buf text;
    unsigned char hash[32];
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    qsort(b->files, b->n, sizeof *b->files, compare);
    buf_init(&text, MANIFEST_BYTES);
    buf_printf(&text, "weir-backup 1\ncreated %04d-%02d-%02dT%02d:%02d:%02dZ\nweir " WEIR_VERSION "\nsecret %s\n", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
               b->secret_in_settings ? "settings" : "file");
    for (size_t i = 0; i < b->missing_n; i++) buf_printf(&text, "missing %.*s\n", SPAN_ARGS(b->missing[i]));
    for (size_t i = 0; i < b->n; i++) {
        buf_add_z(&text, "file ");
        add_hex(&text, b->files[i].sha256);
        buf_printf(&text, " %lld %.*s\n", (long long)b->files[i].bytes, SPAN_ARGS(b->files[i].path));
    }
    sha256(buf_span(&text), hash);
    buf_add_z(&text, "end ");
    add_hex(&text, hash);
    buf_add_z(&text, "\n");
    int fd = openat(dir, BACKUP_MANIFEST, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = fd >= 0 && !text.failed;
    for (size_t at = 0; good && at < text.n;) {
        ssize_t put = write(fd, text.p + at, text.n - at);
        if (put > 0) at += (size_t)put;
        else good = errno == EINTR;
    }
    /* all of the folder, files and names, before it gets its own name; one call instead of one a file */
    good = good && fsync(fd) == 0 && syncfs(dir) == 0;
    if (!good) buf_printf(err, BACKUP_MANIFEST ": %s\n", text.failed ? "out of memory" : strerror(errno));
    if (fd >= 0) close(fd);
    buf_done(&text);
    return good;
}

static bool take_word(struct span *line, const char *word)
{
    struct span w = span_of(word);
    if (!span_begins(*line, w)) return false;
    *line = span_cut(*line, w.n);
    return true;
}

static bool take_hash(struct span *line, unsigned char out[32])
{
    static const char digits[] = "0123456789abcdef";
    if (line->n < 64) return false;
    for (int i = 0; i < 64; i++) {
        const char *d = line->p[i] ? strchr(digits, line->p[i]) : NULL;
        if (!d) return false;
        out[i / 2] = (unsigned char)(i % 2 ? out[i / 2] | (d - digits) : (d - digits) << 4);
    }
    *line = span_cut(*line, 64);
    return true;
}

static bool take_line(struct backup *b, struct span line, int number)
{
    struct backup_file f = { 0 };
    if (number == 0) return span_is(line, SPAN("weir-backup 1"));
    if (take_word(&line, "created ") || take_word(&line, "weir ")) return line.n > 0 && line.n < 100;
    if (take_word(&line, "secret ")) {
        b->secret_in_settings = span_is(line, SPAN("settings"));
        return b->secret_in_settings || span_is(line, SPAN("file"));
    }
    if (take_word(&line, "missing ")) return path_is_inside(line) && backup_note_missing(b, line);
    if (!take_word(&line, "file ") || !take_hash(&line, f.sha256) || !take_word(&line, " ")) return false;
    int space = span_find(line, ' ');
    if (space < 0 || !span_to_i64(span_from(line.p, (size_t)space), &f.bytes) || f.bytes < 0) return false;
    f.path = span_cut(line, (size_t)space + 1);
    return path_is_inside(f.path) && (b->n == 0 || compare(&b->files[b->n - 1], &f) < 0) && note(b, &f);
}

static bool read_manifest(struct backup *b, int dir, struct buf *err)
{
    struct buf text;
    unsigned char hash[32], told[32];
    char *piece = base_alloc(PIECE_BYTES);
    int fd = open_regular(dir, BACKUP_MANIFEST);
    buf_init(&text, MANIFEST_BYTES);
    if (fd < 0) buf_printf(err, BACKUP_MANIFEST ": %s: this is no backup, or not a whole one\n", strerror(errno));
    ssize_t got = 0;
    while (fd >= 0 && piece && (got = read(fd, piece, PIECE_BYTES)) > 0) buf_add(&text, piece, (size_t)got);
    bool good = fd >= 0 && piece && got == 0 && !text.failed;
    struct span left = buf_span(&text), line = { 0 };
    bool ended = false;
    for (int number = 0; good && left.n && !ended; number++) {
        int end = span_find(left, '\n');
        good = end >= 0;
        if (!good) break;
        line = span_from(left.p, (size_t)end);
        ended = take_word(&line, "end ");
        if (ended) {
            sha256(span_from(text.p, (size_t)(left.p - text.p)), hash);
            good = take_hash(&line, told) && line.n == 0 && memcmp(hash, told, 32) == 0;
        } else {
            good = take_line(b, line, number);
        }
        left = span_cut(left, (size_t)end + 1);
    }
    good = good && ended && left.n == 0;
    if (fd >= 0 && !good) buf_add_z(err, BACKUP_MANIFEST ": damaged, cut off, or of a newer Weir\n");
    if (fd >= 0) close(fd);
    free(piece);
    buf_done(&text);
    return good;
}

/* ---- verifying ---- */

struct verify { struct backup *b; struct buf *err; size_t findings; };

static void finding(struct verify *v, struct span path, const char *what)
{
    if (v->findings++ < FINDINGS) buf_printf(v->err, "%.*s: %s\n", SPAN_ARGS(path), what);
}

static bool check_files(struct verify *v, int dir, const struct backup_progress *p)
{
    int64_t before = 0;
    for (size_t i = 0; i < v->b->n; i++) {
        const struct backup_file *told = &v->b->files[i];
        struct backup_file is = { 0 };
        char z[PATH_BYTES];
        int fd = open_regular(dir, path_z(told->path, z));
        int bad = fd < 0 ? errno : pour(fd, -1, &is, i, before, p);
        if (fd >= 0) close(fd);
        if (bad == ECANCELED) {
            buf_add_z(v->err, "stopped\n");
            return false;
        }
        if (bad) finding(v, told->path, bad == ENOENT ? "is missing" : strerror(bad));
        else if (is.bytes != told->bytes) finding(v, told->path, is.bytes < told->bytes ? "is shorter than it was" : "is longer than it was");
        else if (memcmp(is.sha256, told->sha256, 32) != 0) finding(v, told->path, "was changed");
        before += is.bytes;
    }
    return true;
}

static bool check_named(void *arg, struct span path)
{
    struct verify *v = arg;
    if (!find(v->b, path) && !is_missing(v->b, path)) finding(v, path, "is named by the database, but not in the backup");
    return true;
}

static struct verify *walking;                               /* nftw has no argument for its caller */
static size_t walking_from;

static int check_known(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)at;
    if (kind == FTW_D || strlen(path) <= walking_from) return 0;
    struct span name = span_of(path + walking_from);
    if (!span_is(name, SPAN(BACKUP_MANIFEST)) && !find(walking->b, name)) finding(walking, name, "is not in the manifest");
    return 0;
}

bool backup_named_files(const char *database, bool (*each)(void *arg, struct span path), void *arg, struct buf *err)
{
    struct store_conn *c = store_open_file(database, err);
    struct arena *a = arena_new((size_t)64 << 20);
    bool good = c && a && store_view_begin(c, 0) == STORE_OK;
    for (const struct app *const *app = weir_apps; *app && good; app++) {
        struct rows rows = { .n = (*app)->files ? 1 : 0 };
        char key[PATH_BYTES] = "";
        while (rows.n && good) {
            rows = store_query(c, a, (*app)->files, (struct value[]){ V_TEXT(span_of(key)) }, 1, 500);
            for (size_t i = 0; i < rows.n && good; i++)
                for (size_t k = 1; k < rows.at[i].n && good; k++) good = each(arg, row_text(&rows.at[i], k));
            if (rows.n && good) {
                struct span last = row_text(&rows.at[rows.n - 1], 0);
                good = last.n < sizeof key && !memchr(last.p, 0, last.n);
                if (good) path_z(last, key);
                else buf_add_z(err, "the database names a file by more than 1,000 bytes\n");
            }
            arena_reset(a);
        }
    }
    if (c && store_fault_now(c) != STORE_OK) {
        buf_printf(err, "%s: %s\n", database, store_error_text(c));
        good = false;
    }
    if (c && a) store_view_end(c);
    arena_free(&a);
    store_disconnect(&c);
    return good;
}

bool backup_verify(struct backup *b, int dir, const char *dir_path, const struct backup_progress *p, struct buf *err)
{
    struct verify v = { b, err, 0 };
    char database[4200];
    if (!read_manifest(b, dir, err) || !check_files(&v, dir, p)) return false;
    if (!find(b, SPAN(BACKUP_DATABASE))) finding(&v, SPAN(BACKUP_DATABASE), "is not in the manifest");
    if (!b->secret_in_settings && !find(b, SPAN(BACKUP_SECRET))) finding(&v, SPAN(BACKUP_SECRET), "is not in the manifest");
    int n = snprintf(database, sizeof database, "%s/" BACKUP_DATABASE, dir_path);
    struct buf why;
    buf_init(&why, 8192);
    struct store_conn *c = n > 0 && (size_t)n < sizeof database ? store_open_file(database, &why) : NULL;
    if (!c) finding(&v, SPAN(BACKUP_DATABASE), why.n ? "is no database that can be read" : "the path is too long");
    else if (!store_integrity(c, &why)) finding(&v, SPAN(BACKUP_DATABASE), arena_z(b->arena, buf_span(&why)));
    bool sound = c && why.n == 0;
    store_disconnect(&c);
    buf_done(&why);
    if (sound && !backup_named_files(database, check_named, &v, err)) v.findings++;
    walking = &v;
    walking_from = strlen(dir_path) + 1;
    if (nftw(dir_path, check_known, 16, FTW_PHYS) != 0) finding(&v, span_of(dir_path), "cannot be walked through");
    if (v.findings > FINDINGS) buf_printf(err, "and %zu more\n", v.findings - FINDINGS);
    return v.findings == 0;
}

/* ---- removing ---- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

void backup_remove(const char *folder) { nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS); }
