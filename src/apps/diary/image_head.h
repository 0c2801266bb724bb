/* apps/diary/image_head.h: what a picture's first bytes say, without decoding it.
 *
 * Tells JPEG, PNG, GIF and WebP by their magic bytes (a name or a declared type is never asked), the size in pixels before a decoder
 * allocates for it, and the orientation a camera left in the EXIF of a JPEG. Pure functions over bytes from outside, fuzzed; used by the
 * image worker, which lives in a child process of its own. */
#ifndef WEIR_DIARY_IMAGE_HEAD_H
#define WEIR_DIARY_IMAGE_HEAD_H
#include "base/base.h"

enum image_kind { IMAGE_NONE, IMAGE_JPEG, IMAGE_PNG, IMAGE_GIF, IMAGE_WEBP };

/* Why a picture is not taken. The order is the protocol between the worker and its parent (the number travels). */
enum image_fault {
    IMAGE_GOOD,
    IMAGE_TYPE,              /* none of the four kinds */
    IMAGE_ANIMATED,          /* a WebP animation: libgd reads stills only */
    IMAGE_BYTES,             /* longer than LIMIT_UPLOAD_BYTES */
    IMAGE_PIXELS,            /* more than LIMIT_IMAGE_PIXELS */
    IMAGE_BROKEN,            /* cut off or malformed */
    IMAGE_COSTLY,            /* took all the time that a picture may take */
    IMAGE_OUTAGE,            /* our trouble: disk, memory, processes */
    IMAGE_FAULTS
};

/* orientation: 1..8 as in EXIF (1: as stored), always 1 for other kinds than JPEG. Width and height are as stored, before it is applied. */
struct image_head { enum image_kind kind; int64_t width, height; int orientation; };

/* IMAGE_GOOD and *out filled (pixels > 0 and within the limit), or the fault. Only the head and the skeleton are checked: the decoder may still refuse. */
enum image_fault image_head_read(struct span bytes, struct image_head *out);
/* The orientation out of the body of an APP1 segment ("Exif\0\0" and a TIFF header); 1 if there is none or it makes no sense. */
int image_exif_orientation(struct span segment);

#endif
