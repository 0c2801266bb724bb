/* engine/settings.c: see settings.h. One slot a declared setting: its row, the value that won so far and where that came from.
 *
 * The file is taken apart by inih, which knows no line numbers, cuts lines longer than its buffer in two and drops what it cannot read; so it is fed line by line from
 * memory by a reader of ours that counts, refuses long lines and NUL, and lets nothing pass unseen. Nothing here logs: errors and warnings are handed back as text. */
#include "engine/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/nearest.h"

enum { FILE_BYTES = 1 << 20, LINE_BYTES = 190, ARENA_BYTES = 8 << 20 };
enum rank { FROM_FALLBACK, FROM_FILE, FROM_ENVIRONMENT, FROM_FLAG };

const struct setting engine_settings[] = {
    { "server", "listen", "127.0.0.1:8000", "address and port to listen on", .kind = SETTING_LISTEN },
    { "server", "data", "", "folder for the database, images and the secret key; made if missing", .kind = SETTING_PATH },
    { "server", "public_url", "", "how others reach this server, as https://weir.example; empty: what each request says", .kind = SETTING_URL },
    { "server", "tls_cert", "", "PEM file with the certificate chain; with tls_key, HTTPS without a proxy (read again on SIGHUP)", .kind = SETTING_PATH },
    { "server", "tls_key", "", "PEM file with the private key", .kind = SETTING_PATH },
    { "server", "trusted_proxies", "", "addresses or networks whose X-Forwarded-For and -Proto are believed", .kind = SETTING_NETWORKS },
    { "server", "secret_key", "", "seals ids and secrets at rest; 32 bytes or more; empty: a file secret.key is made in the data folder", .secret = true, .min = 32 },
    { "server", "origins", "", "further origins that may open WebSockets (the own host always may)", .kind = SETTING_ORIGINS },
    { "server", "cors", "", "origins whose pages may read answers (CORS); empty: none", .kind = SETTING_ORIGINS },
    { "server", "timezone", "Asia/Shanghai", "zone of dates in answers and of day boundaries", .kind = SETTING_ZONE },
    { "server", "loops", "0", "event loops; 0: one a core", .kind = SETTING_INT, .max = 256 },
    { "server", "rate", "200", "requests a second from one address before 429; 0: no limit", .kind = SETTING_INT, .max = 1000000 },
    { "server", "per_address", "1000", "connections from one address at a time; 0: no limit", .kind = SETTING_INT, .max = 1000000 },
    { "server", "principal_rate", "100", "requests a second of one user before 429; 0: no limit", .kind = SETTING_INT, .max = 1000000 },
    { "server", "metrics", "loopback", "who may read /metrics: callers on this machine, all, nobody", .choices = "loopback|all|off" },
    { "server", "demo", "false", "set by `weir demo`: callers on this machine are not limited", .kind = SETTING_BOOL },
    { "log", "access", "stderr", "one line a request: stderr, off, or a file", .kind = SETTING_PATH },
    { "log", "level", "info", "what is worth a line besides", .choices = "debug|info|warn|error" },
    { "wechat", "api_url", "https://api.weixin.qq.com", "WeChat's API, or a simulator of it", .kind = SETTING_URL },
    { "wechat", "appid", "", "of your mini program" },
    { "wechat", "secret", "", "its AppSecret", .secret = true },
    { "store", "url", "", "empty: SQLite in the data folder", .secret = true },
    { "hub", "url", "", "empty: rooms within this process", .secret = true },
    { "debug", "routes", "false", "serve /api/debug/: echo, upload, clock; never in the open", .kind = SETTING_BOOL },
    { "debug", "rehearse", "false", "run every writing handler twice, the first time rolled back, and compare", .kind = SETTING_BOOL },
    { "emotion", "method", "linear", "how feelings are told: the trained model or the word list", .choices = "linear|lexicon" },
    { "emotion", "lexicon", "", "the word list for method = lexicon: a file of word, category, strength; or DUTIR's CSV", .kind = SETTING_PATH },
    { 0 },
};

struct slot {
    const struct setting *row;
    const char *fallback;
    struct span value;
    int64_t number;
    enum rank rank;
    int line;                                                /* of the file being loaded; 0: not seen in it */
};
struct settings { struct arena *arena; size_t n; struct slot *slots; };

/* ---- the table ---- */

static struct slot *slot_find(const struct settings *s, struct span section, struct span key)
{
    for (size_t i = 0; i < s->n; i++)
        if (span_is_z(section, s->slots[i].row->section) && span_is_z(key, s->slots[i].row->key)) return &s->slots[i];
    return NULL;
}

static const struct slot *slot_must(const struct settings *s, const char *section, const char *key)
{
    const struct slot *slot = slot_find(s, span_of(section), span_of(key));
    must(slot);                                              /* a name that no table declares */
    return slot;
}

static void slot_fall_back(struct slot *slot, const char *fallback)
{
    const char *must_be;
    char room[160];
    slot->fallback = fallback;
    must(setting_check(slot->row, span_of(fallback), &slot->value, &slot->number, &must_be, room));
}

static void slots_add(struct settings *s, const struct setting *rows)
{
    for (const struct setting *row = rows; row && row->section; row++) {
        must(row->key && row->about && !slot_find(s, span_of(row->section), span_of(row->key)));
        struct slot *slot = &s->slots[s->n++];
        *slot = (struct slot){ .row = row };
        slot_fall_back(slot, row->fallback ? row->fallback : "");
    }
}

static size_t rows_count(const struct setting *rows)
{
    size_t n = 0;
    while (rows && rows[n].section) n++;
    return n;
}

struct settings *settings_new(const struct app *const *apps, const struct setting *own)
{
    struct arena *a = arena_new(ARENA_BYTES);
    if (!a) return NULL;
    size_t n = rows_count(own);
    for (const struct app *const *app = apps; app && *app; app++) n += rows_count((*app)->settings);
    struct settings *s = arena_zero(a, sizeof *s);
    struct slot *slots = s ? arena_zero(a, (n + 1) * sizeof *slots) : NULL;
    if (!slots) {
        arena_free(&a);
        return NULL;
    }
    s->arena = a;
    s->slots = slots;
    slots_add(s, own);
    for (const struct app *const *app = apps; app && *app; app++) slots_add(s, (*app)->settings);
    return s;
}

void settings_free(struct settings **s)
{
    if (!*s) return;
    struct arena *a = (*s)->arena;
    *s = NULL;
    arena_free(&a);
}

struct span settings_get(const struct settings *s, const char *section, const char *key) { return slot_must(s, section, key)->value; }

int64_t settings_int(const struct settings *s, const char *section, const char *key)
{
    const struct slot *slot = slot_must(s, section, key);
    must(slot->row->kind == SETTING_INT || slot->row->kind == SETTING_BOOL || slot->row->kind == SETTING_DECIMAL);
    return slot->number;
}

bool settings_given(const struct settings *s, const char *section, const char *key) { return slot_must(s, section, key)->rank != FROM_FALLBACK; }

/* ---- setting ---- */

/* "did you mean server.listen?" among all settings, or among the sections when not even that is known. */
static void unknown_text(const struct settings *s, struct span section, struct span key, struct buf *err)
{
    char name[2 * LINE_BYTES];
    snprintf(name, sizeof name, "%.*s.%.*s", SPAN_ARGS(section), SPAN_ARGS(key));
    struct nearest near;
    nearest_init(&near, span_of(name));
    bool section_known = false;
    for (size_t i = 0; i < s->n; i++) {
        const struct setting *row = s->slots[i].row;
        section_known |= span_is_z(section, row->section);
        struct span whole = arena_printf(s->arena, "%s.%s", row->section, row->key);
        if (whole.p) nearest_offer(&near, whole.p);
    }
    for (size_t i = 0; i < s->n && !near.found; i++)         /* the right key in the wrong section */
        if (span_is_z(key, s->slots[i].row->key)) near.found = arena_printf(s->arena, "%s.%s", s->slots[i].row->section, s->slots[i].row->key).p;
    buf_printf(err, "there is no setting %s", name);
    if (near.found) buf_printf(err, "; did you mean %s?", near.found);
    else if (section_known) buf_printf(err, "; `weir serve --help` lists those of [%.*s]", SPAN_ARGS(section));
    else buf_add_z(err, "; `weir serve --help` lists all");
    buf_add_z(err, "\n");
}

static bool slot_set(struct settings *s, struct slot *slot, struct span value, enum rank rank, struct buf *err)
{
    const char *must_be;
    char room[160];
    struct span kept;
    int64_t number;
    if (!setting_check(slot->row, value, &kept, &number, &must_be, room)) {
        buf_printf(err, "%s.%s must be %s", slot->row->section, slot->row->key, must_be);
        struct span shown = span_from(value.p, value.n < 80 ? value.n : 80);
        if (!slot->row->secret && utf8_valid(shown)) buf_printf(err, ", not \"%.*s\"", SPAN_ARGS(shown));
        buf_add_z(err, "\n");
        return false;
    }
    if (rank < slot->rank) return true;                      /* checked all the same */
    struct span copy = arena_copy(s->arena, kept);
    if (!copy.p) {
        buf_add_z(err, "out of memory for settings\n");
        return false;
    }
    slot->value = copy;
    slot->number = number;
    slot->rank = rank;
    return true;
}

bool settings_set(struct settings *s, const char *section, const char *key, struct span value, struct buf *err)
{
    struct slot *slot = slot_find(s, span_of(section), span_of(key));
    if (slot) return slot_set(s, slot, value, FROM_FLAG, err);
    unknown_text(s, span_of(section), span_of(key), err);
    return false;
}

bool settings_assign(struct settings *s, const char *assignment, struct buf *err)
{
    struct span all = span_of(assignment);
    int equals = span_find(all, '='), dot = span_find(all, '.');
    if (equals < 0 || dot < 0 || dot > equals) {
        buf_add_z(err, "a setting is given as SECTION.KEY=VALUE\n");      /* without echoing it: it may be a secret */
        return false;
    }
    struct span section = span_trim(span_from(all.p, (size_t)dot)), key = span_trim(span_from(all.p + dot + 1, (size_t)(equals - dot - 1)));
    struct slot *slot = slot_find(s, section, key);
    if (slot) return slot_set(s, slot, span_cut(all, (size_t)equals + 1), FROM_FLAG, err);
    unknown_text(s, section, key, err);
    return false;
}

void settings_default(struct settings *s, const char *section, const char *key, const char *fallback)
{
    struct slot *slot = slot_find(s, span_of(section), span_of(key));
    must(slot);
    if (slot->rank == FROM_FALLBACK) slot_fall_back(slot, fallback);
    else slot->fallback = fallback;
}

/* ---- the file ---- */

struct reading {
    struct settings *s;
    const char *name;
    struct span rest;
    int line;                                                /* of the last line handed to inih */
    bool indented;                                           /* that line continues a value */
    bool failed, stopped;
    bool continuable;                                        /* there was a key since the last [section]: the same rule as inih's */
    struct slot *open;                                       /* the setting whose value may be continued; NULL: that key was refused */
    struct buf value;                                        /* its text so far */
    int value_line;
    struct buf *err;
};

static void file_error(struct reading *r, int line, const char *text)
{
    r->failed = true;
    buf_printf(r->err, "%s:%d: %s\n", r->name, line, text);
}

/* The value above is complete. */
static void value_close(struct reading *r)
{
    if (!r->open) return;
    struct buf why;
    buf_init(&why, 4096);
    if (r->value.failed) buf_printf(&why, "the value of %s.%s is longer than 64 KiB\n", r->open->row->section, r->open->row->key);
    if (r->value.failed || !slot_set(r->s, r->open, buf_span(&r->value), FROM_FILE, &why)) {
        r->failed = true;
        buf_printf(r->err, "%s:%d: %.*s", r->name, r->value_line, SPAN_ARGS(buf_span(&why)));
    }
    buf_done(&why);
    r->open = NULL;
}

/* fgets for inih. Lines that it would cut, and bytes that would end a line for it, never reach it. */
static char *line_read(char *out, int room, void *stream)
{
    struct reading *r = stream;
    if (r->stopped || r->rest.n == 0) return NULL;
    int end = span_find(r->rest, '\n');
    struct span line = end < 0 ? r->rest : span_from(r->rest.p, (size_t)end);
    r->rest = end < 0 ? SPAN("") : span_cut(r->rest, (size_t)end + 1);
    r->line++;
    if (line.n > 0 && line.p[line.n - 1] == '\r') line.n--;
    if (line.n > LINE_BYTES || (int)line.n + 3 > room) {
        file_error(r, r->line, "this line is longer than 190 bytes; go on with the value on a line of its own that begins with spaces");
        r->stopped = true;
        return NULL;
    }
    if (memchr(line.p ? line.p : "", 0, line.n) || !utf8_valid(line)) {
        file_error(r, r->line, "this line is not UTF-8 text; save the file as UTF-8");
        r->stopped = true;
        return NULL;
    }
    r->indented = line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t');
    if (line.n > 0 && line.p[0] == '[') {
        value_close(r);
        r->continuable = false;
    }
    if (line.n) memcpy(out, line.p, line.n);
    memcpy(out + line.n, "\n", 2);
    return out;
}

/* inih 55 takes a comment off a value's first line only. */
static size_t comment_start(const char *text)
{
    size_t n = 0;
    while (text[n] && !(text[n] == ';' && (n == 0 || text[n - 1] == ' ' || text[n - 1] == '\t'))) n++;
    return n;
}

/* inih's call for each key, and again for each indented line that follows one. */
static int pair_take(void *user, const char *section, const char *key, const char *value)
{
    struct reading *r = user;
    if (r->indented && r->continuable) {
        if (r->open) {
            buf_add_z(&r->value, " ");
            buf_add_span(&r->value, span_trim(span_from(value, comment_start(value))));
        }
        return 1;
    }
    value_close(r);
    r->continuable = true;
    r->value_line = r->line;
    if (!*section) {
        file_error(r, r->line, "a key before any [section]");
        return 1;
    }
    struct slot *slot = slot_find(r->s, span_of(section), span_of(key));
    if (!slot) {
        r->failed = true;
        buf_printf(r->err, "%s:%d: ", r->name, r->line);
        unknown_text(r->s, span_of(section), span_of(key), r->err);
        return 1;
    }
    if (slot->line) {
        r->failed = true;
        buf_printf(r->err, "%s:%d: %s.%s is given a second time (first in line %d); keep one\n", r->name, r->line, section, key, slot->line);
        return 1;
    }
    slot->line = r->line;
    r->open = slot;
    buf_done(&r->value);
    buf_init(&r->value, 64 * 1024);
    buf_add_z(&r->value, value);
    return 1;
}

bool settings_load_text(struct settings *s, const char *name, struct span text, struct buf *err)
{
    for (size_t i = 0; i < s->n; i++) s->slots[i].line = 0;
    struct reading r = { .s = s, .name = name, .rest = text, .err = err };
    buf_init(&r.value, 64 * 1024);
    int status = ini_parse_stream(line_read, &r, pair_take, &r);
    value_close(&r);
    buf_done(&r.value);
    if (status == -2) {
        r.failed = true;
        buf_printf(err, "%s: out of memory\n", name);
    } else if (status > 0) {                                 /* inih's own complaint: the first line that is neither of the three */
        file_error(&r, status, "not understood; a line is [section], key = value, or a comment after ; or #");
    }
    return !r.failed;
}

/* The file's bytes, or false and why. Secrets in a file that others may read are worth a warning. */
static bool file_read(const char *path, struct buf *out, struct buf *err, bool *out_others_read)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        buf_printf(err, "%s: %s; name the settings file by --config FILE\n", path, fd < 0 ? strerror(errno) : "not a file");
        if (fd >= 0) close(fd);
        return false;
    }
    *out_others_read = (st.st_mode & 077) != 0;
    ssize_t got = 0;
    do {
        if (!buf_reserve(out, 4096)) break;
        got = read(fd, out->p + out->n, out->cap - out->n);
        if (got > 0) out->n += (size_t)got;
    } while (got > 0 || (got < 0 && errno == EINTR));
    close(fd);
    if (got == 0 && !out->failed) return true;
    buf_printf(err, "%s: %s\n", path, got < 0 ? strerror(errno) : "longer than 1 MiB");
    return false;
}

bool settings_load_file(struct settings *s, const char *path, struct buf *err, struct buf *warnings)
{
    struct buf text;
    buf_init(&text, FILE_BYTES);
    bool others_read = false;
    bool good = file_read(path, &text, err, &others_read) && settings_load_text(s, path, buf_span(&text), err);
    buf_done(&text);
    for (size_t i = 0; good && others_read && warnings && i < s->n; i++)
        if (s->slots[i].line && s->slots[i].row->secret && s->slots[i].value.n) {
            buf_printf(warnings, "%s holds %s.%s and others may read it: chmod 600\n", path, s->slots[i].row->section, s->slots[i].row->key);
            break;
        }
    return good;
}

/* ---- the environment ---- */

static void environment_name(const struct setting *row, char out[96])
{
    int n = snprintf(out, 96, "WEIR_%s_%s", row->section, row->key);
    must(n > 0 && n < 96);
    for (char *p = out; *p; p++)
        if (*p >= 'a' && *p <= 'z') *p = (char)(*p - 32);
}

/* Variables that speak to test builds and to the tests themselves. */
static bool environment_foreign(struct span name)
{
    return span_is(name, SPAN("WEIR_FAULT")) || span_is(name, SPAN("WEIR_PACKAGES")) || span_begins(name, SPAN("WEIR_TEST_")) || span_begins(name, SPAN("WEIR_BENCH_"));
}

static bool variable_take(struct settings *s, struct span name, struct span value, struct buf *err, struct buf *warnings)
{
    struct nearest near;
    nearest_init(&near, name);
    char known[96];
    for (size_t i = 0; i < s->n; i++) {
        environment_name(s->slots[i].row, known);
        if (span_is_z(name, known)) {
            struct buf text;
            buf_init(&text, 4096);
            bool good = slot_set(s, &s->slots[i], value, FROM_ENVIRONMENT, &text);
            if (!good) buf_printf(err, "%s in the environment: %.*s", known, SPAN_ARGS(buf_span(&text)));
            buf_done(&text);
            return good;
        }
        struct span copy = arena_copy(s->arena, span_of(known));
        if (copy.p) nearest_offer(&near, copy.p);
    }
    if (warnings) {
        buf_printf(warnings, "%.*s in the environment is no setting and is not used", SPAN_ARGS(name));
        if (near.found) buf_printf(warnings, "; did you mean %s?", near.found);
        buf_add_z(warnings, "\n");
    }
    return true;
}

bool settings_load_env(struct settings *s, char *const *environment, struct buf *err, struct buf *warnings)
{
    bool good = true;
    for (char *const *e = environment; e && *e; e++) {
        struct span all = span_of(*e);
        int equals = span_find(all, '=');
        if (equals < 0 || !span_begins(all, SPAN("WEIR_"))) continue;
        struct span name = span_from(all.p, (size_t)equals);
        if (!environment_foreign(name)) good &= variable_take(s, name, span_cut(all, (size_t)equals + 1), err, warnings);
    }
    return good;
}

/* ---- all together ---- */

static bool has(const struct settings *s, const char *section, const char *key)
{
    const struct slot *slot = slot_find(s, span_of(section), span_of(key));
    return slot && slot->value.n > 0;
}

bool settings_check(const struct settings *s, struct buf *err)
{
    size_t before = err->n;
    if (has(s, "server", "tls_cert") != has(s, "server", "tls_key")) buf_add_z(err, "server.tls_cert and server.tls_key belong together: give both or neither\n");
    if (has(s, "wechat", "appid") != has(s, "wechat", "secret")) buf_add_z(err, "wechat.appid and wechat.secret belong together: give both or neither\n");
    if (has(s, "store", "url")) buf_add_z(err, "store.url: this version keeps its data in SQLite only; leave it empty\n");
    if (has(s, "hub", "url")) buf_add_z(err, "hub.url: this version has rooms within one process only; leave it empty\n");
    return err->n == before && !err->failed;
}

void settings_describe(const struct settings *s, struct buf *out)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct setting *row = s->slots[i].row;
        bool done = false;
        for (size_t j = 0; j < i && !done; j++) done = strcmp(s->slots[j].row->section, row->section) == 0;
        if (done) continue;
        buf_printf(out, "[%s]\n", row->section);
        for (size_t j = i; j < s->n; j++) {
            const struct slot *slot = &s->slots[j];
            if (strcmp(slot->row->section, row->section) != 0) continue;
            buf_printf(out, "  %-16s %s", slot->row->key, slot->row->about);
            if (slot->row->choices) buf_printf(out, " (%s)", slot->row->choices);
            if (*slot->fallback) buf_printf(out, "; %s", slot->fallback);
            buf_add_z(out, "\n");
        }
    }
}

void settings_show(const struct settings *s, struct buf *out)
{
    static const char *const sources[] = { [FROM_FILE] = "file", [FROM_ENVIRONMENT] = "environment", [FROM_FLAG] = "flag" };
    for (size_t i = 0; i < s->n; i++) {
        const struct slot *slot = &s->slots[i];
        if (slot->rank == FROM_FALLBACK) continue;
        struct span value = slot->row->secret ? SPAN("(secret)") : slot->value;
        buf_printf(out, "%s.%s = %.*s (%s)\n", slot->row->section, slot->row->key, SPAN_ARGS(value), sources[slot->rank]);
    }
}
