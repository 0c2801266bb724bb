/* apps/diary/images.h: an uploaded file becomes a clean picture and a small one, or a clear refusal.
 *
 * Pictures are decoded in a child process of ours, never in the server: a broken decoder costs one upload. image_process() is the
 * parent's side; image_worker.c is the child's (the hidden sub-command `weir image-worker`). What is stored is re-encoded pixels and
 * nothing else: no EXIF, no place names, no script behind the picture's end. Colours of wide-gamut profiles are taken as sRGB.
 *
 * In: JPEG, PNG, GIF (first frame), still WebP, told apart by their bytes; at most LIMIT_UPLOAD_BYTES and LIMIT_IMAGE_PIXELS.
 * Out: JPEG stays JPEG; PNG and GIF become PNG; WebP becomes PNG if anything in it is transparent, else JPEG. The longest side is at most
 * IMAGE_SIDE_MAX, that of the small one IMAGE_THUMB_SIDE_MAX; nothing is made larger. No output is longer than LIMIT_UPLOAD_BYTES. */
#ifndef WEIR_DIARY_IMAGES_H
#define WEIR_DIARY_IMAGES_H
#include "apps/diary/image_head.h"
#include "base/base.h"

enum { IMAGE_SIDE_MAX = 4096, IMAGE_THUMB_SIDE_MAX = 320, IMAGE_JPEG_QUALITY = 88 };

struct image_result {
    bool good;
    enum image_fault fault;
    int status;                      /* 200, or what to refuse with: 400, 413, 415, 503 */
    char why_zh[96], why_en[96];     /* empty when good */
    int width, height;               /* of the picture as written */
    char extension[8];               /* "jpg" or "png": the type of both outputs */
};

/* Blocks until the worker is done or the deadline is over; for errands. Any thread; at most a few workers run at once, the others wait here.
 * Paths are ours (relative ones from the working directory), without NUL, and need not end in the extension. The outputs must not exist: nothing is
 * ever overwritten. When good, both files (mode 0640) and their folders are on the disk (fsync); otherwise neither file is left behind. */
void image_process(struct span input_path, struct span output_path, struct span thumb_path, int64_t deadline_mono_ms, struct image_result *out);

/* Gives a finished file its last name: rename without overwriting, and fsync of the new folder. False: errno tells why (EEXIST: the name is taken). */
bool image_rename(struct span from, struct span to);

/* The worker. Reads a picture from descriptor 0, writes the picture to 1, the small one to 3, one line about it to 4:
 * "good WIDTH HEIGHT EXTENSION\n" or "bad FAULT\n". Does not return: it leaves by _exit. */
int cli_image_worker(int argc, char **argv);
/* Of the libgd that the worker would open, for `weir --version`; NULL if there is none. Not for the server, which shall stay without it. */
const char *image_library_version(void);

/* What is run: argv ended by NULL, argv[0] is the program's path. NULL, the default, is /proc/self/exe image-worker. For tests. */
extern const char *const *image_worker_command;

#endif
