/* apps/diary/image_head.c: walks the skeleton of four picture formats.
 *
 * Each walker stays within the bytes it was given, never recurses, and advances with every step. Where a lenient decoder would look for the
 * next marker in garbage, this one refuses: what is measured here must be what the decoder will see, or the limit on pixels means nothing.
 * (The worker compares the decoded size with the one told here, and its address space is bounded besides.)
 *
 * Sources: JPEG ITU-T T.81 B.1; EXIF 2.3 §4.6 (tag 0x0112); PNG (W3C) §5; GIF89a; WebP container specification, RFC 6386 §9.1, VP8L §3. */
#include "apps/diary/image_head.h"
#include "wire/limits.h"

static unsigned byte_at(struct span s, size_t i) { return (unsigned char)s.p[i]; }
static uint32_t big16(struct span s, size_t i) { return (uint32_t)(byte_at(s, i) << 8 | byte_at(s, i + 1)); }
static uint32_t big32(struct span s, size_t i) { return big16(s, i) << 16 | big16(s, i + 2); }
static uint32_t little16(struct span s, size_t i) { return (uint32_t)(byte_at(s, i) | byte_at(s, i + 1) << 8); }
static uint32_t little24(struct span s, size_t i) { return little16(s, i) | (uint32_t)byte_at(s, i + 2) << 16; }
static uint32_t little32(struct span s, size_t i) { return little16(s, i) | little16(s, i + 2) << 16; }

/* ---- JPEG ---- */

int image_exif_orientation(struct span segment)
{
    if (!span_begins(segment, SPAN("Exif\0\0")))
        return 1;
    struct span tiff = span_cut(segment, 6);
    if (tiff.n < 8 || !(span_begins(tiff, SPAN("II*\0")) || span_begins(tiff, SPAN("MM\0*"))))
        return 1;
    bool big = tiff.p[0] == 'M';
    uint32_t at = big ? big32(tiff, 4) : little32(tiff, 4);
    if (at > tiff.n || tiff.n - at < 2)
        return 1;
    uint32_t entries = big ? big16(tiff, at) : little16(tiff, at);
    for (struct span rest = span_cut(tiff, (size_t)at + 2); entries > 0 && rest.n >= 12; entries--, rest = span_cut(rest, 12)) {
        uint32_t tag = big ? big16(rest, 0) : little16(rest, 0);
        if (tag != 0x0112)
            continue;
        uint32_t type = big ? big16(rest, 2) : little16(rest, 2), count = big ? big32(rest, 4) : little32(rest, 4);
        uint32_t value = big ? big16(rest, 8) : little16(rest, 8);
        return type == 3 && count == 1 && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

static bool is_frame_header(unsigned marker) { return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc; }

static enum image_fault jpeg_read(struct span s, struct image_head *out)
{
    bool framed = false, oriented = false;
    for (size_t i = 2;;) {
        if (i >= s.n || byte_at(s, i) != 0xff)
            return IMAGE_BROKEN;
        while (i < s.n && byte_at(s, i) == 0xff)                     /* a marker may be preceded by any number of fill bytes */
            i++;
        if (s.n - i < 3)                                             /* the marker and its length */
            return IMAGE_BROKEN;
        unsigned marker = byte_at(s, i++);
        if (marker == 0x00 || marker == 0x01 || (marker >= 0xd0 && marker <= 0xd9))      /* without a length: none of them belongs into a head */
            return IMAGE_BROKEN;
        size_t length = big16(s, i);
        if (length < 2 || length > s.n - i)
            return IMAGE_BROKEN;
        struct span body = { s.p + i + 2, length - 2 };
        i += length;
        if (is_frame_header(marker)) {
            if (framed || body.n < 6)
                return IMAGE_BROKEN;
            framed = true;
            out->height = big16(body, 1);                            /* 0 would mean "told behind the first scan" (DNL): nobody writes that, libjpeg refuses it */
            out->width = big16(body, 3);
        } else if (marker == 0xe1 && !oriented && span_begins(body, SPAN("Exif\0\0"))) {
            oriented = true;
            out->orientation = image_exif_orientation(body);
        } else if (marker == 0xda) {
            /* In entropy-coded data 0xff is always followed by 0 or a restart, so the end marker can be searched for. Decoders paint a cut-off picture grey; we refuse it. */
            return framed && memmem(s.p + i, s.n - i, "\xff\xd9", 2) ? IMAGE_GOOD : IMAGE_BROKEN;
        }
    }
}

/* ---- PNG ---- */

static enum image_fault png_read(struct span s, struct image_head *out)
{
    if (s.n < 33 || big32(s, 8) != 13 || memcmp(s.p + 12, "IHDR", 4) != 0)
        return IMAGE_BROKEN;
    out->width = big32(s, 16);
    out->height = big32(s, 20);
    return out->width > INT32_MAX || out->height > INT32_MAX ? IMAGE_BROKEN : IMAGE_GOOD;
}

/* ---- GIF ---- */

/* Data in pieces of at most 255 bytes, ended by an empty one. */
static bool gif_skip_pieces(struct span s, size_t *at)
{
    while (*at < s.n) {
        size_t n = byte_at(s, *at);
        *at += 1 + n;
        if (n == 0)
            return true;
    }
    return false;
}

static enum image_fault gif_read(struct span s, struct image_head *out)
{
    if (s.n < 13)
        return IMAGE_BROKEN;
    int64_t screen_width = little16(s, 6), screen_height = little16(s, 8);
    size_t at = 13 + (byte_at(s, 10) & 0x80 ? 3u << ((byte_at(s, 10) & 7) + 1) : 0);
    while (at < s.n) {
        unsigned what = byte_at(s, at++);
        if (what == 0x21) {                                          /* an extension: its label and its pieces */
            at++;
            if (!gif_skip_pieces(s, &at))
                return IMAGE_BROKEN;
        } else if (what == 0x2c) {                                   /* the first picture */
            if (at > s.n || s.n - at < 10)
                return IMAGE_BROKEN;
            int64_t left = little16(s, at), top = little16(s, at + 2), width = little16(s, at + 4), height = little16(s, at + 6);
            unsigned flags = byte_at(s, at + 8);
            at += 9 + (flags & 0x80 ? 3u << ((flags & 7) + 1) : 0);
            at++;                                                    /* the size of the first codes */
            if (left + width > screen_width || top + height > screen_height || width == 0 || height == 0 || !gif_skip_pieces(s, &at))
                return IMAGE_BROKEN;
            out->width = screen_width;
            out->height = screen_height;
            return IMAGE_GOOD;
        } else {
            return IMAGE_BROKEN;
        }
    }
    return IMAGE_BROKEN;
}

/* ---- WebP ---- */

static enum image_fault webp_read(struct span s, struct image_head *out)
{
    if (s.n < 30 || little32(s, 4) > s.n - 8)
        return IMAGE_BROKEN;
    const char *chunk = s.p + 12;
    if (memcmp(chunk, "VP8 ", 4) == 0) {
        if (memcmp(s.p + 23, "\x9d\x01\x2a", 3) != 0)
            return IMAGE_BROKEN;
        out->width = little16(s, 26) & 0x3fff;
        out->height = little16(s, 28) & 0x3fff;
    } else if (memcmp(chunk, "VP8L", 4) == 0) {
        if (byte_at(s, 20) != 0x2f)
            return IMAGE_BROKEN;
        uint32_t bits = little32(s, 21);
        out->width = (bits & 0x3fff) + 1;
        out->height = (bits >> 14 & 0x3fff) + 1;
    } else if (memcmp(chunk, "VP8X", 4) == 0) {
        if (byte_at(s, 20) & 0x02)
            return IMAGE_ANIMATED;
        out->width = (int64_t)little24(s, 24) + 1;
        out->height = (int64_t)little24(s, 27) + 1;
    } else {
        return IMAGE_BROKEN;
    }
    return IMAGE_GOOD;
}

enum image_fault image_head_read(struct span bytes, struct image_head *out)
{
    *out = (struct image_head){ .kind = IMAGE_NONE, .orientation = 1 };
    enum image_fault fault;
    if (bytes.n > LIMIT_UPLOAD_BYTES)
        return IMAGE_BYTES;
    if (span_begins(bytes, SPAN("\xff\xd8\xff"))) {
        out->kind = IMAGE_JPEG;
        fault = jpeg_read(bytes, out);
    } else if (span_begins(bytes, SPAN("\x89PNG\r\n\x1a\n"))) {
        out->kind = IMAGE_PNG;
        fault = png_read(bytes, out);
    } else if (span_begins(bytes, SPAN("GIF87a")) || span_begins(bytes, SPAN("GIF89a"))) {
        out->kind = IMAGE_GIF;
        fault = gif_read(bytes, out);
    } else if (bytes.n >= 12 && span_begins(bytes, SPAN("RIFF")) && memcmp(bytes.p + 8, "WEBP", 4) == 0) {
        out->kind = IMAGE_WEBP;
        fault = webp_read(bytes, out);
    } else {
        return IMAGE_TYPE;
    }
    if (fault != IMAGE_GOOD)
        return fault;
    if (out->width <= 0 || out->height <= 0)
        return IMAGE_BROKEN;
    return out->width > LIMIT_IMAGE_PIXELS / out->height ? IMAGE_PIXELS : IMAGE_GOOD;
}
