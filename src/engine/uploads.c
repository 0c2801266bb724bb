/* engine/uploads.c: multipart bodies. Text fields go to the arena, files to <data>/tmp while they arrive, hashed on the way; nothing of a file is held in memory. What
 * is not renamed by the command is removed with the request. */
#include "engine/engine_in.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <unistd.h>

enum { MAX_FILES = 16 };

struct upload_state {
    struct request *request;
    struct multipart *parser;
    EVP_MD_CTX *hash;
    int fd;
    bool in_file;
    struct span field_name;
    struct buf field;
    size_t file_count;
    struct upload files[MAX_FILES];
    size_t pair_count;
    struct pair pairs[LIMIT_MULTIPART_PARTS];
};

static void upload_cleanup(void *arg)
{
    struct upload_state *u = arg;
    multipart_free(&u->parser);
    EVP_MD_CTX_free(u->hash);
    if (u->fd >= 0) close(u->fd);
    buf_done(&u->field);
    for (size_t i = 0; i < u->file_count; i++) unlink(u->files[i].path.p);
}

static bool fail(struct request *r, int status, const char *zh, const char *en)
{
    if (!r->reply) r->reply = refuse(r, status, zh, en);
    return false;
}

bool upload_begin(struct request *r, struct span boundary)
{
    struct upload_state *u = arena_zero(r->arena, sizeof *u);
    if (!u) { r->outage = 503; return false; }
    u->request = r;
    u->fd = -1;
    buf_init(&u->field, LIMIT_PART_FIELD_BYTES);
    u->parser = multipart_new(boundary);
    u->hash = EVP_MD_CTX_new();
    r->upload = u;
    arena_defer(r->arena, upload_cleanup, u);
    if (u->parser && u->hash) return true;
    r->outage = 503;
    return false;
}

static bool begin_part(struct request *r, const struct multipart_part *part)
{
    struct upload_state *u = r->upload;
    struct span name = arena_copy(r->arena, part->name);
    if (!utf8_valid(name) || memchr(name.p, 0, name.n)) return fail(r, 400, "字段名不是有效的 UTF-8", "a field name is not valid UTF-8");
    u->in_file = part->has_filename;
    u->field_name = name;
    u->field.n = 0;
    if (!part->has_filename) {
        if (u->pair_count == LENGTH(u->pairs)) return fail(r, 413, "字段太多", "too many fields");
        return true;
    }
    if (u->file_count == MAX_FILES) return fail(r, 413, "文件太多", "too many files");
    struct engine *e = r->engine;
    struct span path = arena_printf(r->arena, "%s/tmp/%llx-%llx", e->data, (unsigned long long)e->boot_id, (unsigned long long)atomic_fetch_add(&e->request_counter, 1));
    u->fd = open(path.p, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (u->fd < 0) { r->outage = errno == ENOSPC || errno == EDQUOT ? 507 : 503; return false; }
    struct span filename = arena_copy(r->arena, part->filename);
    if (!utf8_valid(filename)) filename = SPAN("file");
    u->files[u->file_count++] = (struct upload){ .name = name, .filename = filename, .type = arena_copy(r->arena, part->type), .path = path };
    must(EVP_DigestInit_ex(u->hash, EVP_sha256(), NULL));
    return true;
}

static bool part_data(struct request *r, struct span data)
{
    struct upload_state *u = r->upload;
    if (!u->in_file) {
        buf_add_span(&u->field, data);
        return u->field.failed ? fail(r, 413, "文本字段太大", "a text field is too large") : true;
    }
    must(EVP_DigestUpdate(u->hash, data.p, data.n));
    u->files[u->file_count - 1].bytes += (int64_t)data.n;
    while (data.n) {
        ssize_t n = fault_here(FAULT_WRITE) ? (errno = ENOSPC, -1) : write(u->fd, data.p, data.n);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) { r->outage = errno == ENOSPC || errno == EDQUOT ? 507 : 503; return false; }
        data = span_cut(data, (size_t)n);
    }
    return true;
}

static bool end_part(struct request *r)
{
    struct upload_state *u = r->upload;
    if (!u->in_file) {
        struct span value = arena_copy(r->arena, buf_span(&u->field));
        if (!utf8_valid(value) || memchr(value.p, 0, value.n)) return fail(r, 400, "文本字段不是有效的 UTF-8", "a text field is not valid UTF-8");
        u->pairs[u->pair_count++] = (struct pair){ u->field_name, value };
        return true;
    }
    unsigned n = 32;
    must(EVP_DigestFinal_ex(u->hash, u->files[u->file_count - 1].sha256, &n));
    close(u->fd);
    u->fd = -1;
    return true;
}

bool upload_feed(struct request *r, struct span bytes)
{
    struct upload_state *u = r->upload;
    struct multipart_part part;
    struct span data;
    for (;;) {
        bool good = true;
        switch (multipart_feed(u->parser, &bytes, &part, &data)) {
        case MULTIPART_MORE: case MULTIPART_END: return true;
        case MULTIPART_PART: good = begin_part(r, &part); break;
        case MULTIPART_DATA: good = part_data(r, data); break;
        case MULTIPART_PART_END: good = end_part(r); break;
        case MULTIPART_ERROR:
            return fail(r, 400, arena_printf(r->arena, "multipart 格式错误：%s", multipart_why(u->parser)).p,
                        arena_printf(r->arena, "the multipart body cannot be read: %s", multipart_why(u->parser)).p);
        }
        if (!good) return false;
    }
}

bool upload_end(struct request *r)
{
    struct upload_state *u = r->upload;
    if (r->reply || r->outage) return false;
    if (!multipart_done(u->parser)) return fail(r, 400, "multipart 不完整", "the multipart body is incomplete");
    r->pairs = (struct pairs){ u->pair_count, u->pairs };
    return true;
}

struct uploads upload_files(const struct request *r)
{
    return r->upload ? (struct uploads){ r->upload->file_count, r->upload->files } : (struct uploads){ 0 };
}
