/* emotion/model.c: a model as bytes.
 *
 * A model file is one block: a head of 128 bytes, the compiled word lists, the rows. Nothing is unpacked: a model is a view of
 * the bytes, whether they were linked into the program or read from a file, and costs no memory of its own. The head carries
 * a checksum, because half a table scores without any error, only wrongly.
 *
 *   0 "WEIRFEEL"   8 u32 version   12 u32 log2 of the rows   16 u64 checksum   24 f64 scale   32 f64 bias[8]   96 zeros   128 …
 */
#include "emotion/emotion_in.h"
#include <errno.h>
#include <stdio.h>

static const char MAGIC[8] = { 'W', 'E', 'I', 'R', 'F', 'E', 'E', 'L' };
enum { AT_VERSION = 8, AT_BUCKETS = 12, AT_CHECKSUM = 16, AT_SCALE = 24, AT_BIAS = 32 };

static double get_double(const uint8_t *p)
{
    uint64_t bits = emotion_get64(p);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static void put_double(uint8_t *p, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    emotion_put64(p, bits);
}

/* over everything but the checksum itself; eight bytes a step, since it runs at every start */
static uint64_t checksum(const uint8_t *bytes, size_t n)
{
    uint64_t h = 0x9e3779b97f4a7c15ULL;
    for (size_t i = 0; i + 8 <= n; i += 8) {
        if (i == AT_CHECKSUM)
            continue;
        h = (h ^ emotion_get64(bytes + i)) * 0xff51afd7ed558ccdULL;
        h ^= h >> 32;
    }
    return h;
}

void emotion_model_seal(uint8_t *bytes, unsigned buckets_log2, double scale, const double bias[EMOTION_CODES])
{
    memset(bytes, 0, EMOTION_HEAD_BYTES);
    memcpy(bytes, MAGIC, sizeof MAGIC);
    emotion_put32(bytes + AT_VERSION, EMOTION_MODEL_VERSION);
    emotion_put32(bytes + AT_BUCKETS, buckets_log2);
    put_double(bytes + AT_SCALE, scale);
    for (int k = 0; k < EMOTION_CODES; k++)
        put_double(bytes + AT_BIAS + 8 * k, bias[k]);
    emotion_put64(bytes + AT_CHECKSUM, checksum(bytes, emotion_model_bytes(buckets_log2)));
}

bool emotion_model_view(struct span bytes, struct emotion_model *out, struct buf *err)
{
    const uint8_t *p = (const uint8_t *)bytes.p;
    memset(out, 0, sizeof *out);
    if (bytes.n < EMOTION_HEAD_BYTES || memcmp(p, MAGIC, sizeof MAGIC) != 0) {
        buf_add_z(err, "this is no emotion model (make one with `weir emotion train`)");
        return false;
    }
    uint32_t version = emotion_get32(p + AT_VERSION), log2 = emotion_get32(p + AT_BUCKETS);
    if (version != EMOTION_MODEL_VERSION) {
        buf_printf(err, "the model has version %u and this program reads %d; train it again", version, EMOTION_MODEL_VERSION);
        return false;
    }
    if (log2 < 1 || log2 > EMOTION_BUCKETS_LOG2_MAX || bytes.n != emotion_model_bytes(log2) || checksum(p, bytes.n) != emotion_get64(p + AT_CHECKSUM)) {
        buf_add_z(err, "the model is damaged (its size or checksum is wrong); copy or train it again");
        return false;
    }
    out->scale = get_double(p + AT_SCALE);
    for (int k = 0; k < EMOTION_CODES; k++)
        out->bias[k] = get_double(p + AT_BIAS + 8 * k);
    out->words = emotion_words_view(p + EMOTION_HEAD_BYTES);
    out->rows = (const int8_t *)p + EMOTION_HEAD_BYTES + EMOTION_WORDS_BYTES;
    out->shift = 32 - log2;
    return true;
}

struct emotion_model *emotion_model_load(struct span bytes, struct buf *err)
{
    struct emotion_model *m = base_alloc(sizeof *m);
    if (!m)
        buf_add_z(err, "out of memory");
    else if (!emotion_model_view(bytes, m, err)) {
        free(m);
        m = NULL;
    }
    return m;
}

struct emotion_model *emotion_model_open(const char *path, struct buf *err)
{
    size_t max = emotion_model_bytes(EMOTION_BUCKETS_LOG2_MAX) + 1, n = 0;
    struct emotion_model *m = NULL;
    FILE *f = fopen(path, "rb");
    if (!f) {
        buf_printf(err, "%s: %s", path, strerror(errno));
        return NULL;
    }
    uint8_t *bytes = base_alloc(max);
    if (!bytes)
        buf_printf(err, "%s: out of memory", path);
    else {
        n = fread(bytes, 1, max, f);
        if (ferror(f))
            buf_printf(err, "%s: %s", path, strerror(errno));
        else {
            buf_printf(err, "%s: ", path);
            m = emotion_model_load(span_from(bytes, n), err);
        }
    }
    fclose(f);
    if (m) {
        err->n = 0;
        m->owned = bytes;
    } else {
        free(bytes);
    }
    return m;
}

void emotion_model_free(struct emotion_model **m)
{
    if (!*m)
        return;
    free((*m)->owned);
    free(*m);
    *m = NULL;
}
