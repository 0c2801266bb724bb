/* apps/diary/pictures.c: uploading and showing images. The decoding is images.c's, in a child process; here are names, rows and addresses. */
#include "apps/diary/diary_in.h"
#include "apps/diary/images.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static const struct query q_insert = { "diary.image_insert", "INSERT INTO diary_image (name, user_id, type, width, height, created_ms) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING", 0 };
static const struct query q_find = { "diary.image_find", "SELECT type, width, height FROM diary_image WHERE name = $1", 0 };
const struct query diary_files = { "diary.files", "SELECT name, 'upload/' || name, 'upload/thumb/' || name FROM diary_image WHERE name > $1 ORDER BY name LIMIT 500", 0 };
const struct query *const picture_queries[] = { &q_insert, &q_find, &diary_files, NULL };

enum { STEM_CHARS = 60 };

struct picture { struct span input, folder, name; char random[13]; bool plain_first; struct image_result result; };

/* A file name of ours out of the client's: letters, digits, _ and -, and other scripts; everything else becomes _. */
static struct span stem_of(struct arena *a, struct span filename)
{
    for (size_t i = filename.n; i-- > 0;)
        if (filename.p[i] == '.') { filename.n = i; break; }
    filename = utf8_head(filename, STEM_CHARS);
    struct span stem = arena_copy(a, filename.n ? filename : SPAN("image"));
    char *p = (char *)(uintptr_t)stem.p;
    for (size_t i = 0; i < stem.n; i++) {
        unsigned char c = (unsigned char)p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '-' || c >= 0x80;
        if (!plain) p[i] = '_';
    }
    return stem;
}

/* Re-encode into the upload folder under a temporary name, then give it its own: the file is on the disk before the row that names it. */
static void picture_make(void *carry, const struct worker *w)
{
    struct picture *p = carry;
    struct arena *a = w->arena;
    struct span image = arena_printf(a, "%.*s/tmp/%s.image", SPAN_ARGS(p->folder), p->random), thumb = arena_printf(a, "%.*s/tmp/%s.thumb", SPAN_ARGS(p->folder), p->random);
    struct span stem = p->name;
    image_process(p->input, image, thumb, w->deadline_mono_ms, &p->result);
    if (!p->result.good) return;
    for (int attempt = p->plain_first ? 0 : 1; attempt < 3; attempt++) {
        p->name = attempt == 0 ? arena_printf(a, "%.*s.%s", SPAN_ARGS(stem), p->result.extension)
                               : arena_printf(a, "%.*s_%s%s.%s", SPAN_ARGS(stem), p->random, attempt == 2 ? "x" : "", p->result.extension);
        if (image_rename(image, arena_printf(a, "%.*s/upload/%.*s", SPAN_ARGS(p->folder), SPAN_ARGS(p->name)))) {
            if (image_rename(thumb, arena_printf(a, "%.*s/upload/thumb/%.*s", SPAN_ARGS(p->folder), SPAN_ARGS(p->name)))) return;
            unlink(arena_printf(a, "%.*s/upload/%.*s", SPAN_ARGS(p->folder), SPAN_ARGS(p->name)).p);
            break;
        }
        if (errno != EEXIST) break;
    }
    unlink(image.p);
    unlink(thumb.p);
    p->result.good = false;
    p->result.status = 503;
    snprintf(p->result.why_zh, sizeof p->result.why_zh, "图片无法保存");
    snprintf(p->result.why_en, sizeof p->result.why_en, "the image could not be stored");
}

struct reply *upload_prepare(const struct request *r, struct snap *s, struct errand *e)
{
    (void)s;
    const struct upload *u = request_upload(r, "img");
    if (!u) return refuse(r, 400, "请用 multipart 表单上传文件字段 img", "send the file as the field img of a multipart form");
    struct picture *p = arena_zero(request_arena(r), sizeof *p);
    unsigned char bytes[6];
    request_random(r, bytes, sizeof bytes);
    struct span hex = hex_encode(request_arena(r), span_from(bytes, sizeof bytes));
    memcpy(p->random, hex.p, hex.n);
    p->input = u->path;
    p->folder = request_data(r);
    p->name = stem_of(request_arena(r), u->filename);
    p->plain_first = diary(r)->access == ACCESS_OPEN;              /* elsewhere a name must not be guessable */
    errand_call(e, picture_make, p);
    return NULL;
}

void put_address(const struct request *r, struct jout *out, const char *key, const char *folder, struct span name, const char *tail)
{
    struct buf b;
    buf_init(&b, 8192);
    buf_add_span(&b, request_origin(r));
    buf_add_z(&b, folder);
    url_encode(&b, name);
    buf_add_z(&b, tail);
    jout_put(out, key, b.failed ? SPAN("") : buf_span(&b));
    buf_done(&b);
}

struct reply *upload_apply(const struct request *r, void *carry, struct txn *t)
{
    const struct picture *p = carry;
    if (!p->result.good) return refuse(r, p->result.status, p->result.why_zh, p->result.why_en);
    struct span type = strcmp(p->result.extension, "png") == 0 ? SPAN("image/png") : SPAN("image/jpeg");
    txn_do(t, &q_insert, V_TEXT(p->name), V_INT(my_id(r)), V_TEXT(type), V_INT(p->result.width), V_INT(p->result.height), V_INT(request_now(r)));
    struct reply *reply = reply_new(r, 200);
    struct jout *out = &reply->json;
    jout_begin_object(out);
    jout_put_z(out, "status", "success");
    jout_key(out, "data");
    jout_begin_object(out);
    jout_key(out, "image");
    jout_begin_object(out);
    jout_put(out, "name", p->name);
    put_address(r, out, "photourl", "/upload/", p->name, "/");
    put_address(r, out, "thumburl", "/upload/thumb/", p->name, "/");
    jout_put_int(out, "width", p->result.width);
    jout_put_int(out, "height", p->result.height);
    jout_end_object(out);
    jout_end_object(out);
    jout_end_object(out);
    return reply;
}

/* The contract gives the address without looking whether there is such an image. */
struct reply *show_image(const struct request *r, struct snap *s)
{
    struct span name = request_text(r, "img_name");
    const struct row *row = snap_one(s, &q_find, V_TEXT(name));
    struct reply *reply = reply_new(r, 200);
    struct jout *out = &reply->json;
    jout_begin_object(out);
    jout_key(out, "data");
    jout_begin_object(out);
    jout_key(out, "image");
    jout_begin_object(out);
    jout_put(out, "name", name);
    put_address(r, out, "photourl", "/upload/", name, "/");
    if (row) {
        put_address(r, out, "thumburl", "/upload/thumb/", name, "/");
        jout_put_int(out, "width", row_int(row, 1));
        jout_put_int(out, "height", row_int(row, 2));
    }
    jout_end_object(out);
    jout_end_object(out);
    jout_end_object(out);
    return reply;
}

static struct reply *serve(const struct request *r, struct snap *s, const char *folder)
{
    struct span name = request_text(r, "name");
    const struct row *row = snap_one(s, &q_find, V_TEXT(name));
    if (!row || span_find(name, '/') >= 0) return diary_not_found(r);
    struct reply *reply = reply_file(r, arena_z(request_arena(r), row_text(row, 0)), arena_printf(request_arena(r), "%s%.*s", folder, SPAN_ARGS(name)));
    /* never anything but a picture, whatever a browser thinks that it sees */
    reply_header(reply, "Content-Security-Policy", SPAN("default-src 'none'; sandbox"));
    reply_header(reply, "Cache-Control", SPAN("private, max-age=86400, immutable"));
    return reply;
}

struct reply *serve_image(const struct request *r, struct snap *s) { return serve(r, s, "upload/"); }
struct reply *serve_thumb(const struct request *r, struct snap *s) { return serve(r, s, "upload/thumb/"); }

/* At the start: files that no row names are of an upload that was not committed, or of a deleted account. */
void pictures_sweep(const char *data, struct store_conn *conn)
{
    static const char *const folders[] = { "upload", "upload/thumb" };
    struct arena *a = arena_new(1 << 20);
    if (!a || store_view_begin(conn, 0) != STORE_OK) goto out;
    for (size_t i = 0; i < LENGTH(folders); i++) {
        char path[4400];
        snprintf(path, sizeof path, "%s/%s", data, folders[i]);
        DIR *d = opendir(path);
        for (struct dirent *f; d && (f = readdir(d));) {
            if (f->d_name[0] == '.' || f->d_type == DT_DIR) continue;
            struct rows row = store_query(conn, a, &q_find, (struct value[]){ V_TEXT(span_of(f->d_name)) }, 1, 1);
            if (!row.n && store_fault_now(conn) == STORE_OK && unlinkat(dirfd(d), f->d_name, 0) == 0) log_info("diary", "removed an image that belongs to nobody");
            arena_reset(a);
        }
        if (d) closedir(d);
    }
out:
    if (a) store_view_end(conn);
    arena_free(&a);
}
