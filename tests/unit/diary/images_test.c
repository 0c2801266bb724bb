/* Pictures in, clean pictures out. The worker is this very program, started again as "image-worker" (or as one of the bad workers below), so what is tested is the real
 * child process with its limits. Pictures are made by libgd as the test runs; image_worker.c is included for its inside (the lock). */
#include "apps/diary/image_worker.c"
#include "base/clock.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static char folder[] = "/tmp/weir-images-XXXXXX";
static char in_path[64], out_path[64], thumb_path[64];

/* ---- helpers ---- */

static void file_write(const char *path, struct span bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_true(write_all(fd, bytes.p, bytes.n));
    close(fd);
}

/* The caller frees. */
static struct span file_read(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    struct span s = read_all(fd);
    close(fd);
    assert_non_null(s.p);
    return s;
}

static void span_free(struct span s) { free((void *)(uintptr_t)s.p); }
static bool exists(const char *path) { return access(path, F_OK) == 0; }
static bool contains(struct span s, const char *text) { return memmem(s.p, s.n, text, strlen(text)) != NULL; }

static struct image_result process_within(struct span bytes, int64_t ms)
{
    struct image_result r;
    file_write(in_path, bytes);
    unlink(out_path);
    unlink(thumb_path);
    image_process(span_of(in_path), span_of(out_path), span_of(thumb_path), clock_mono_ms() + ms, &r);
    return r;
}

static struct image_result process_bytes(struct span bytes) { return process_within(bytes, 60000); }

static void refused_with(struct span bytes, enum image_fault fault, int status)
{
    struct image_result r = process_bytes(bytes);
    assert_false(r.good);
    assert_int_equal(r.fault, fault);
    assert_int_equal(r.status, status);
    assert_true(r.why_zh[0] && r.why_en[0] && utf8_valid(span_of(r.why_zh)));
    assert_false(exists(out_path) || exists(thumb_path));
}

enum format { JPEG, PNG, GIF, WEBP };

/* The caller frees with gdFree. */
static struct span picture_encode(gdImagePtr im, enum format format)
{
    int n = 0;
    void *p = format == JPEG ? gdImageJpegPtr(im, &n, 95) : format == PNG ? gdImagePngPtr(im, &n) : format == GIF ? gdImageGifPtr(im, &n) : gdImageWebpPtrEx(im, &n, 95);
    assert_non_null(p);
    return span_from(p, (size_t)n);
}

static void picture_free(struct span s) { gdFree((void *)(uintptr_t)s.p); }

enum { RED = 0xff0000, GREEN = 0x00c000, BLUE = 0x0000ff, WHITE = 0xffffff };

/* Red and green above, blue and white below: every turn of it looks different. */
static gdImagePtr quarters(int width, int height)
{
    gdImagePtr im = gdImageCreateTrueColor(width, height);
    assert_non_null(im);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            im->tpixels[y][x] = y < height / 2 ? (x < width / 2 ? RED : GREEN) : (x < width / 2 ? BLUE : WHITE);
    return im;
}

static struct span quarters_encoded(int width, int height, enum format format)
{
    gdImagePtr im = quarters(width, height);
    struct span s = picture_encode(im, format);
    gdImageDestroy(im);
    return s;
}

static gdImagePtr picture_load(const char *path, const char *extension)
{
    struct span s = file_read(path);
    gdImagePtr im = strcmp(extension, "png") == 0 ? gdImageCreateFromPngPtr((int)s.n, (void *)(uintptr_t)s.p) : gdImageCreateFromJpegPtrEx((int)s.n, (void *)(uintptr_t)s.p, 0);
    span_free(s);
    assert_non_null(im);
    return im;
}

static bool near(int pixel, int colour)
{
    for (int shift = 0; shift < 24; shift += 8)
        if (abs((pixel >> shift & 255) - (colour >> shift & 255)) > 40)
            return false;
    return true;
}

/* The colours in the middle of the four quarters, reading order. */
static void assert_quarters(gdImagePtr im, int a, int b, int c, int d)
{
    int w = im->sx, h = im->sy;
    assert_true(near(gdImageGetTrueColorPixel(im, w / 4, h / 4), a));
    assert_true(near(gdImageGetTrueColorPixel(im, w * 3 / 4, h / 4), b));
    assert_true(near(gdImageGetTrueColorPixel(im, w / 4, h * 3 / 4), c));
    assert_true(near(gdImageGetTrueColorPixel(im, w * 3 / 4, h * 3 / 4), d));
}

static void assert_outcome(struct image_result r, int width, int height, const char *extension, int thumb_width, int thumb_height)
{
    assert_string_equal(r.why_en, "");
    assert_true(r.good && r.status == 200);
    assert_string_equal(r.extension, extension);
    assert_int_equal(r.width, width);
    assert_int_equal(r.height, height);
    gdImagePtr im = picture_load(out_path, extension), thumb = picture_load(thumb_path, extension);
    assert_true(im->sx == width && im->sy == height);
    assert_true(thumb->sx == thumb_width && thumb->sy == thumb_height);
    gdImageDestroy(im);
    gdImageDestroy(thumb);
}

/* ---- the four kinds ---- */

static void a_jpeg_stays_one(void **state)
{
    (void)state;
    struct span s = quarters_encoded(640, 400, JPEG);
    struct image_result r = process_bytes(s);
    assert_outcome(r, 640, 400, "jpg", 320, 200);
    gdImagePtr im = picture_load(out_path, "jpg"), thumb = picture_load(thumb_path, "jpg");
    assert_quarters(im, RED, GREEN, BLUE, WHITE);
    assert_quarters(thumb, RED, GREEN, BLUE, WHITE);
    gdImageDestroy(im);
    gdImageDestroy(thumb);
    struct stat st;
    assert_int_equal(stat(out_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    picture_free(s);
}

static void a_png_keeps_its_transparency(void **state)
{
    (void)state;
    gdImagePtr im = quarters(100, 60);
    gdImageSaveAlpha(im, 1);
    gdImageAlphaBlending(im, 0);
    gdImageFilledRectangle(im, 0, 0, 49, 29, gdTrueColorAlpha(255, 0, 0, 100));
    struct span s = picture_encode(im, PNG);
    assert_outcome(process_bytes(s), 100, 60, "png", 100, 60);
    gdImagePtr out = picture_load(out_path, "png");
    assert_int_equal(gdTrueColorGetAlpha(gdImageGetTrueColorPixel(out, 20, 10)), 100);
    assert_int_equal(gdImageGetTrueColorPixel(out, 80, 10), GREEN);
    gdImageDestroy(out);
    gdImageDestroy(im);
    picture_free(s);
}

static void a_gif_becomes_a_png(void **state)
{
    (void)state;
    gdImagePtr im = gdImageCreate(90, 50);
    gdImageColorAllocate(im, 255, 0, 0);
    int hole = gdImageColorAllocate(im, 0, 0, 255);
    gdImageFilledRectangle(im, 10, 10, 30, 30, hole);
    gdImageColorTransparent(im, hole);
    struct span s = picture_encode(im, GIF);
    assert_outcome(process_bytes(s), 90, 50, "png", 90, 50);
    gdImagePtr out = picture_load(out_path, "png");
    assert_int_equal(gdTrueColorGetAlpha(gdImageGetTrueColorPixel(out, 20, 20)), gdAlphaTransparent);
    assert_int_equal(gdImageGetTrueColorPixel(out, 80, 40), RED);
    gdImageDestroy(out);
    gdImageDestroy(im);
    picture_free(s);
}

static void a_webp_becomes_what_fits(void **state)
{
    (void)state;
    struct span s = quarters_encoded(400, 300, WEBP);
    assert_outcome(process_bytes(s), 400, 300, "jpg", 320, 240);
    picture_free(s);
    gdImagePtr im = quarters(64, 64);
    gdImageSaveAlpha(im, 1);
    gdImageAlphaBlending(im, 0);
    gdImageFilledRectangle(im, 0, 0, 31, 31, gdTrueColorAlpha(0, 0, 0, gdAlphaTransparent));
    s = picture_encode(im, WEBP);
    assert_outcome(process_bytes(s), 64, 64, "png", 64, 64);
    gdImagePtr out = picture_load(out_path, "png");
    assert_true(gdTrueColorGetAlpha(gdImageGetTrueColorPixel(out, 10, 10)) > 120);
    gdImageDestroy(out);
    gdImageDestroy(im);
    picture_free(s);
}

static void the_longest_side_is_bounded(void **state)
{
    (void)state;
    struct span s = quarters_encoded(100, 5000, PNG);
    assert_outcome(process_bytes(s), 82, 4096, "png", 6, 320);
    picture_free(s);
    s = quarters_encoded(6000, 1, PNG);                              /* nothing shrinks to nothing */
    assert_outcome(process_bytes(s), 4096, 1, "png", 320, 1);
    picture_free(s);
}

/* A lossy WebP of noise would be a PNG of more than an upload may have. */
static void an_output_is_never_longer_than_an_upload(void **state)
{
    (void)state;
    gdImagePtr im = gdImageCreateTrueColor(2400, 2000);
    uint32_t seed = 7;
    gdImageSaveAlpha(im, 1);
    for (int y = 0; y < 2000; y++)
        for (int x = 0; x < 2400; x++) {
            seed = seed * 1664525u + 1013904223u;
            im->tpixels[y][x] = (int)(seed >> 8 & 0xffffff) | (x == 0 ? 0x40000000 : 0);
        }
    struct span s = picture_encode(im, WEBP);
    gdImageDestroy(im);
    assert_true(s.n < LIMIT_UPLOAD_BYTES);
    struct image_result r = process_bytes(s);
    picture_free(s);
    assert_true(r.good);
    assert_string_equal(r.extension, "png");
    assert_true(r.width < 2400 && r.width > 1000);
    struct stat st;
    assert_int_equal(stat(out_path, &st), 0);
    assert_true(st.st_size <= LIMIT_UPLOAD_BYTES);
}

/* ---- EXIF ---- */

/* The JPEG with an APP1 behind its first marker. The caller frees with free. */
static struct span jpeg_with_exif(struct span jpeg, int orientation, bool big)
{
    static const char head[] = "Exif\0\0";
    unsigned char tiff[26] = { 0 };
    memcpy(tiff, big ? "MM\0*\0\0\0\x08" "\0\1" : "II*\0\x08\0\0\0" "\1\0", 10);
    memcpy(tiff + 10, big ? "\x01\x12\0\3\0\0\0\1\0" : "\x12\x01\3\0\1\0\0\0", big ? 9 : 8);
    tiff[big ? 19 : 18] = (unsigned char)orientation;
    static const char secret[] = "GPS: at home";
    size_t segment = 2 + 6 + sizeof tiff + sizeof secret;
    char *p = malloc(jpeg.n + segment + 2), *at = p;
    assert_non_null(p);
    memcpy(at, "\xff\xd8\xff\xe1", 4);
    at[4] = (char)(segment >> 8);
    at[5] = (char)segment;
    memcpy(at += 6, head, 6);
    memcpy(at += 6, tiff, sizeof tiff);
    memcpy(at += sizeof tiff, secret, sizeof secret);
    memcpy(at += sizeof secret, jpeg.p + 2, jpeg.n - 2);
    return span_from(p, (size_t)(at - p) + jpeg.n - 2);
}

static void a_camera_held_askew_is_set_upright(void **state)
{
    (void)state;
    static const int want[9][4] = { { 0 }, { RED, GREEN, BLUE, WHITE }, { GREEN, RED, WHITE, BLUE }, { WHITE, BLUE, GREEN, RED }, { BLUE, WHITE, RED, GREEN },
                                    { RED, BLUE, GREEN, WHITE }, { BLUE, RED, WHITE, GREEN }, { WHITE, GREEN, BLUE, RED }, { GREEN, WHITE, RED, BLUE } };
    struct span jpeg = quarters_encoded(80, 48, JPEG);
    for (int orientation = 1; orientation <= 8; orientation++)
        for (int big = 0; big <= 1; big++) {
            struct span s = jpeg_with_exif(jpeg, orientation, big);
            struct image_result r = process_bytes(s);
            span_free(s);
            assert_outcome(r, orientation < 5 ? 80 : 48, orientation < 5 ? 48 : 80, "jpg", orientation < 5 ? 80 : 48, orientation < 5 ? 48 : 80);
            gdImagePtr im = picture_load(out_path, "jpg");
            assert_quarters(im, want[orientation][0], want[orientation][1], want[orientation][2], want[orientation][3]);
            gdImageDestroy(im);
            struct span out = file_read(out_path);
            assert_false(contains(out, "Exif") || contains(out, "GPS"));
            span_free(out);
        }
    picture_free(jpeg);
}

static void nonsense_in_exif_is_no_orientation(void **state)
{
    (void)state;
    static const struct { struct span segment; int want; } cases[] = {
        { SPAN(""), 1 },
        { SPAN("Exif\0\0"), 1 },
        { SPAN("Exif\0\0II*\0\x08\0\0\0\1\0\x12\x01\3\0\1\0\0\0\x06\0\0\0"), 6 },
        { SPAN("Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x06\0\0"), 6 },
        { SPAN("Exif\0\0II*\0\x08\0\0\0\1\0\x12\x01\3\0\1\0\0\0\x09\0\0\0"), 1 },      /* no such orientation */
        { SPAN("Exif\0\0II*\0\x08\0\0\0\1\0\x12\x01\3\0\1\0\0\0\x00\0\0\0"), 1 },
        { SPAN("Exif\0\0II*\0\x08\0\0\0\1\0\x12\x01\4\0\1\0\0\0\x06\0\0\0"), 1 },      /* not a SHORT */
        { SPAN("Exif\0\0II*\0\x08\0\0\0\1\0\x12\x01\3\0\2\0\0\0\x06\0\0\0"), 1 },      /* two of them */
        { SPAN("Exif\0\0II*\0\xff\xff\xff\xff\1\0\x12\x01\3\0\1\0\0\0\x06\0\0\0"), 1 },/* a directory beyond the end */
        { SPAN("Exif\0\0II*\0\x08\0\0\0\xff\xff\x10\x01\3\0\1\0\0\0\x06\0\0\0"), 1 },  /* entries beyond the end */
        { SPAN("Exif\0\0II*\0\x08\0\0\0\1\0\x12\x01\3\0\1\0\0\0\x06\0\0"), 1 },        /* cut off */
        { SPAN("Exif\0\0IM*\0\x08\0\0\0\1\0\x12\x01\3\0\1\0\0\0\x06\0\0\0"), 1 },
    };
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_int_equal(image_exif_orientation(cases[i].segment), cases[i].want);
}

/* ---- what is refused ---- */

static void what_is_no_picture_is_refused(void **state)
{
    (void)state;
    refused_with(SPAN(""), IMAGE_TYPE, 415);
    refused_with(SPAN("<!doctype html><script>alert(1)</script>"), IMAGE_TYPE, 415);
    refused_with(SPAN("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"), IMAGE_TYPE, 415);
    refused_with(SPAN("BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\1\0\0\0\1\0\0\0\1\0\x18\0\0\0\0\0"), IMAGE_TYPE, 415);
    refused_with(SPAN("\x89PNG\r\n\x1a\n"), IMAGE_BROKEN, 400);
    refused_with(SPAN("\xff\xd8\xff"), IMAGE_BROKEN, 400);
    refused_with(SPAN("GIF89a<html><body><script>alert(document.domain)</script></body></html>"), IMAGE_BROKEN, 400);
    refused_with(SPAN("GIF89a/*\0\1\0\0\0*/=1;alert(1)//,,,,,,,,,,,,"), IMAGE_BROKEN, 400);
    refused_with(SPAN("RIFF\x10\0\0\0WEBPVP8 garbage, garbage, garbage"), IMAGE_BROKEN, 400);
    refused_with(SPAN("RIFF\x18\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\x3f\0\0\x3f\0\0\0\0"), IMAGE_ANIMATED, 415);
}

static void what_is_cut_off_is_refused(void **state)
{
    (void)state;
    for (enum format f = JPEG; f <= WEBP; f++) {
        struct span s = quarters_encoded(200, 100, f);
        refused_with((struct span){ s.p, s.n / 2 }, IMAGE_BROKEN, 400);
        picture_free(s);
    }
    /* Every cut of a JPEG, told by its skeleton alone. */
    struct span s = quarters_encoded(16, 16, JPEG);
    struct image_head head;
    assert_int_equal(image_head_read(s, &head), IMAGE_GOOD);
    for (size_t n = 3; n < s.n; n++)
        assert_int_equal(image_head_read((struct span){ s.p, n }, &head), IMAGE_BROKEN);
    picture_free(s);
}

/* Small files that would unpack to gigabytes; told by their heads, no decoder sees them. */
static void bombs_are_refused_by_their_head(void **state)
{
    (void)state;
    refused_with(SPAN("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xea\x60\0\0\xea\x60\x08\2\0\0\0\0\0\0\0"), IMAGE_PIXELS, 413);
    refused_with(SPAN("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\xff\xff\xff\xff\0\0\0\1\x08\2\0\0\0\0\0\0\0"), IMAGE_BROKEN, 400);
    refused_with(SPAN("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\0\0\0\0\1\x08\2\0\0\0\0\0\0\0"), IMAGE_BROKEN, 400);
    refused_with(SPAN("GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\1\x44\0;"), IMAGE_PIXELS, 413);
    refused_with(SPAN("\xff\xd8\xff\xc0\0\x11\x08\xff\xdc\xff\xdc\3\1\x22\0\2\x11\1\3\x11\1\xff\xda\0\x0c\3\1\0\2\x11\3\x11\0\x3f\0\0\xff\xd9"), IMAGE_PIXELS, 413);
    refused_with(SPAN("RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\0\xff\xff\0"), IMAGE_PIXELS, 413);
    /* 8,000 x 5,000 are allowed, a row more is not */
    struct image_head head;
    assert_int_equal(image_head_read(SPAN("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x1f\x40\0\0\x13\x88\x08\2\0\0\0\0\0\0\0"), &head), IMAGE_GOOD);
    assert_int_equal(image_head_read(SPAN("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x1f\x40\0\0\x13\x89\x08\2\0\0\0\0\0\0\0"), &head), IMAGE_PIXELS);
}

static void what_is_too_long_is_refused(void **state)
{
    (void)state;
    struct span jpeg = quarters_encoded(16, 16, JPEG);
    char *p = calloc(1, LIMIT_UPLOAD_BYTES + 1);
    assert_non_null(p);
    memcpy(p, jpeg.p, jpeg.n);
    refused_with(span_from(p, LIMIT_UPLOAD_BYTES + 1), IMAGE_BYTES, 413);
    assert_true(process_bytes(span_from(p, LIMIT_UPLOAD_BYTES)).good);
    free(p);
    picture_free(jpeg);
}

/* ---- what must not survive ---- */

static void nothing_but_pixels_comes_through(void **state)
{
    (void)state;
    static const char *const tails[] = { "PK\3\4 an archive behind the picture PK\5\6", "<html><script>alert('tail')</script>" };
    for (enum format f = JPEG; f <= WEBP; f++)
        for (size_t i = 0; i < LENGTH(tails); i++) {
            struct span s = quarters_encoded(40, 30, f);
            char *p = malloc(s.n + strlen(tails[i]));
            assert_non_null(p);
            memcpy(p, s.p, s.n);
            memcpy(p + s.n, tails[i], strlen(tails[i]));
            assert_true(process_bytes(span_from(p, s.n + strlen(tails[i]))).good);
            struct span out = file_read(out_path), thumb = file_read(thumb_path);
            assert_false(contains(out, "archive") || contains(out, "script") || contains(thumb, "archive") || contains(thumb, "script"));
            span_free(out);
            span_free(thumb);
            free(p);
            picture_free(s);
        }
    /* and a comment inside */
    struct span jpeg = quarters_encoded(40, 30, JPEG);
    struct span remark = SPAN("\xff\xd8\xff\xfe\0\x1e<script>alert(document)</x>");
    char *p = malloc(jpeg.n + remark.n);
    assert_non_null(p);
    memcpy(p, remark.p, remark.n);
    memcpy(p + 4 + 0x1e, jpeg.p + 2, jpeg.n - 2);
    assert_true(process_bytes(span_from(p, 4 + 0x1e + jpeg.n - 2)).good);
    struct span out = file_read(out_path);
    assert_false(contains(out, "script"));
    span_free(out);
    free(p);
    picture_free(jpeg);
}

static void nothing_is_overwritten(void **state)
{
    (void)state;
    struct span s = quarters_encoded(40, 30, PNG);
    struct image_result r;
    const char *taken[] = { out_path, thumb_path };
    for (int i = 0; i < 2; i++) {
        file_write(in_path, s);
        unlink(out_path);
        unlink(thumb_path);
        file_write(taken[i], SPAN("somebody's"));
        image_process(span_of(in_path), span_of(out_path), span_of(thumb_path), clock_mono_ms() + 60000, &r);
        assert_false(r.good);
        assert_int_equal(r.status, 503);
        struct span kept = file_read(taken[i]);
        assert_true(span_is(kept, SPAN("somebody's")));
        span_free(kept);
        assert_false(exists(taken[1 - i]));
    }
    unlink(out_path);
    unlink(thumb_path);
    /* a link where the input should be, a folder, nothing at all */
    char link_path[80];
    snprintf(link_path, sizeof link_path, "%s/link", folder);
    assert_int_equal(symlink(in_path, link_path), 0);
    const char *inputs[] = { link_path, folder, "/nonexistent/picture" };
    for (int i = 0; i < 3; i++) {
        image_process(span_of(inputs[i]), span_of(out_path), span_of(thumb_path), clock_mono_ms() + 60000, &r);
        assert_int_equal(r.status, 503);
        assert_false(exists(out_path));
    }
    unlink(link_path);
    picture_free(s);

    file_write(out_path, SPAN("one"));
    file_write(thumb_path, SPAN("two"));
    assert_false(image_rename(span_of(out_path), span_of(thumb_path)));
    assert_int_equal(errno, EEXIST);
    unlink(thumb_path);
    assert_true(image_rename(span_of(out_path), span_of(thumb_path)));
    assert_true(!exists(out_path) && exists(thumb_path));
}

#ifdef WEIR_FAULTS
static void a_failed_fsync_keeps_nothing(void **state)
{
    (void)state;
    struct span s = quarters_encoded(40, 30, PNG);
    for (int i = 1; i <= 4; i++) {
        char spec[32];
        snprintf(spec, sizeof spec, "fsync:%d", i);
        fault_arm(spec);
        refused_with(s, IMAGE_OUTAGE, 503);
    }
    fault_arm(NULL);
    assert_true(process_bytes(s).good);
    picture_free(s);
}
#endif

/* ---- workers that misbehave ---- */

static int descriptors_open(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static struct image_result run_as(const char *worker, int64_t ms)
{
    const char *const command[] = { "/proc/self/exe", worker, NULL };
    struct span s = quarters_encoded(40, 30, PNG);
    image_worker_command = command;
    struct image_result r = process_within(s, ms);
    image_worker_command = NULL;
    picture_free(s);
    return r;
}

static void a_bad_worker_costs_one_upload(void **state)
{
    (void)state;
    static const struct { const char *worker; enum image_fault want; } cases[] = {
        { "crash", IMAGE_BROKEN }, { "silent", IMAGE_OUTAGE }, { "killed", IMAGE_OUTAGE }, { "lie-html", IMAGE_OUTAGE }, { "lie-empty", IMAGE_OUTAGE }, { "lie-size", IMAGE_OUTAGE },
        { "lie-type", IMAGE_OUTAGE }, { "lie-fault", IMAGE_OUTAGE }, { "chatter", IMAGE_OUTAGE }, { "good-then-crash", IMAGE_BROKEN }, { "look", IMAGE_COSTLY },
    };
    setenv("WEIR_WECHAT_SECRET", "hidden", 1);
    int before = descriptors_open();
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct image_result r = run_as(cases[i].worker, 60000);
        if (r.fault != cases[i].want)
            print_message("as %s: %d\n", cases[i].worker, (int)r.fault);
        assert_int_equal(r.fault, cases[i].want);
        assert_false(r.good || exists(out_path) || exists(thumb_path));
        assert_int_equal(r.width, 0);
    }
    const char *const missing[] = { "/nonexistent/weir", "image-worker", NULL };
    image_worker_command = missing;
    refused_with(SPAN("x"), IMAGE_OUTAGE, 503);
    image_worker_command = NULL;
    assert_int_equal(descriptors_open(), before);
    assert_true(waitpid(-1, NULL, WNOHANG) < 0);                     /* no child is left */
}

static void a_worker_over_its_time_is_killed(void **state)
{
    (void)state;
    int64_t start = clock_mono_ms();
    struct image_result r = run_as("hang", 200);
    assert_int_equal(r.fault, IMAGE_OUTAGE);                         /* it did nothing: not the picture's fault */
    assert_false(exists(out_path) || exists(thumb_path));
    assert_true(clock_mono_ms() - start < 20000);                    /* it would hang for a minute */
    assert_true(waitpid(-1, NULL, WNOHANG) < 0);
    assert_int_equal(process_within(SPAN("x"), -1).status, 503);
}

/* The lock of the real worker, from inside: each number is a way out that was open. */
static int escape_attempts(void)
{
    if (!lock_up())
        return 100;
    if (UNDER_SANITIZER)
        return 0;
    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0) return 1;
    if (open("/tmp/weir-escaped", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0) return 2;
    if (socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0) return 3;
    if (dup(0) >= 0) return 4;
    if (mmap(NULL, (size_t)600 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) return 5;
#ifdef FILTER_ARCHITECTURE
    if (syscall(SYS_getppid) >= 0) return 6;                         /* harmless, but not on the list: the filter is there */
#endif
    return 0;
}

static void there_is_no_way_out(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(escape_attempts());
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void *one_of_many(void *number)
{
    char in[80], out[80], thumb[80];
    snprintf(in, sizeof in, "%s/in-%d", folder, *(int *)number);
    snprintf(out, sizeof out, "%s/out-%d", folder, *(int *)number);
    snprintf(thumb, sizeof thumb, "%s/thumb-%d", folder, *(int *)number);
    struct image_result r;
    image_process(span_of(in), span_of(out), span_of(thumb), clock_mono_ms() + 120000, &r);
    *(int *)number = r.good ? r.width : -r.status;
    unlink(in);
    unlink(out);
    unlink(thumb);
    return NULL;
}

static void many_at_once_wait_for_their_turn(void **state)
{
    (void)state;
    pthread_t threads[6];
    int numbers[6];
    int before = descriptors_open();
    for (int i = 0; i < 6; i++) {
        char in[80];
        struct span s = quarters_encoded(50 + i, 30, JPEG);
        snprintf(in, sizeof in, "%s/in-%d", folder, i);
        file_write(in, s);
        picture_free(s);
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, one_of_many, &numbers[i]), 0);
    }
    for (int i = 0; i < 6; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(numbers[i], 50 + i);
    }
    assert_int_equal(descriptors_open(), before);
}

/* ---- this program as a worker ---- */

static bool say(const char *line) { return write_all(LINE, line, strlen(line)); }

static int bad_worker(const char *how)
{
    static const char png[] = "\x89PNG\r\n\x1a\n, more or less";
    if (strcmp(how, "crash") == 0) {
        signal(SIGSEGV, SIG_DFL);                                    /* sanitizers have a handler that would end us politely */
        raise(SIGSEGV);
    } else if (strcmp(how, "killed") == 0) {
        raise(SIGKILL);
    } else if (strcmp(how, "hang") == 0) {
        for (int i = 0; i < 60; i++)
            sleep(1);
    } else if (strcmp(how, "lie-html") == 0) {
        return !(write_all(PICTURE, "<script>alert(1)</script>", 25) && write_all(THUMB, png, sizeof png) && say("good 10 10 png\n"));
    } else if (strcmp(how, "lie-empty") == 0) {
        return !say("good 10 10 png\n");
    } else if (strcmp(how, "lie-size") == 0) {
        return !(write_all(PICTURE, png, sizeof png) && write_all(THUMB, png, sizeof png) && say("good 10 99999999999999999999 png\n"));
    } else if (strcmp(how, "lie-type") == 0) {
        return !(write_all(PICTURE, png, sizeof png) && write_all(THUMB, png, sizeof png) && say("good 10 10 php\n"));
    } else if (strcmp(how, "lie-fault") == 0) {
        return !say("bad 0\n");
    } else if (strcmp(how, "chatter") == 0) {
        for (int i = 0; i < 100; i++)
            if (!say("good 10 10 png good 10 10 png "))
                return 1;
    } else if (strcmp(how, "good-then-crash") == 0) {
        if (!write_all(PICTURE, png, sizeof png) || !write_all(THUMB, png, sizeof png) || !say("good 10 10 png\n"))
            return 1;
        signal(SIGABRT, SIG_DFL);
        raise(SIGABRT);
    } else if (strcmp(how, "look") == 0) {                           /* nothing of the server's may be here */
        for (int fd = 5; fd < 1000; fd++)
            if (fcntl(fd, F_GETFD) >= 0)
                return !say("bad 5\n");
        return !say(getenv("WEIR_WECHAT_SECRET") || getenv("PATH") ? "bad 4\n" : "bad 6\n");
    }
    return 0;
}

static int files_make(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(in_path, sizeof in_path, "%s/in", folder);
    snprintf(out_path, sizeof out_path, "%s/out", folder);
    snprintf(thumb_path, sizeof thumb_path, "%s/thumb", folder);
    return 0;
}

static int files_drop(void **state)
{
    (void)state;
    unlink(in_path);
    unlink(out_path);
    unlink(thumb_path);
    return rmdir(folder);                                            /* fails if anything was left behind */
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "image-worker") == 0)
        return cli_image_worker(argc, argv);
    if (argc > 1)
        return bad_worker(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_jpeg_stays_one),
        cmocka_unit_test(a_png_keeps_its_transparency),
        cmocka_unit_test(a_gif_becomes_a_png),
        cmocka_unit_test(a_webp_becomes_what_fits),
        cmocka_unit_test(the_longest_side_is_bounded),
        cmocka_unit_test(an_output_is_never_longer_than_an_upload),
        cmocka_unit_test(a_camera_held_askew_is_set_upright),
        cmocka_unit_test(nonsense_in_exif_is_no_orientation),
        cmocka_unit_test(what_is_no_picture_is_refused),
        cmocka_unit_test(what_is_cut_off_is_refused),
        cmocka_unit_test(bombs_are_refused_by_their_head),
        cmocka_unit_test(what_is_too_long_is_refused),
        cmocka_unit_test(nothing_but_pixels_comes_through),
        cmocka_unit_test(nothing_is_overwritten),
#ifdef WEIR_FAULTS
        cmocka_unit_test(a_failed_fsync_keeps_nothing),
#endif
        cmocka_unit_test(a_bad_worker_costs_one_upload),
        cmocka_unit_test(a_worker_over_its_time_is_killed),
        cmocka_unit_test(there_is_no_way_out),
        cmocka_unit_test(many_at_once_wait_for_their_turn),
    };
    return cmocka_run_group_tests_name("images", tests, files_make, files_drop);
}
