/* apps/diary/image_worker.c: the child that decodes pictures (`weir image-worker`, started by images.c and hidden from the help).
 *
 * It is assumed that a picture can take over whoever decodes it. So before the first byte is read this process has no way out but the four
 * descriptors it was given: no files can be opened, no processes or sockets made (a system call filter where the kernel has it,
 * and limits besides), its memory, time and output are bounded, and nothing of the server's environment or descriptors is here.
 *
 * libgd is opened at run time, here only: it brings some fifty libraries (fonts, X11, video codecs) that would cost the server 9 MB, 12 ms
 * of every start and all their constructors, for what it never calls itself.
 *
 * The picture: skeleton and size checked (image_head.c), decoded, made smaller if it is too large, turned upright, written anew. */
#include "apps/diary/images.h"
#include "wire/limits.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gd.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#endif
#ifndef UNDER_SANITIZER
#define UNDER_SANITIZER 0
#endif

enum { PICTURE = 1, THUMB = 3, LINE = 4, CPU_SECONDS = 10, WALL_SECONDS = 30 };
#define ADDRESS_SPACE_BYTES ((rlim_t)512 << 20)      /* 40 million pixels take 160 MB in libgd and as much again in its PNG reader */

/* ---- libgd, by hand ---- */

#define GD_FUNCTIONS(X) \
    X(gdImageCreateFromJpegPtrEx) X(gdImageCreateFromPngPtr) X(gdImageCreateFromGifPtr) X(gdImageCreateFromWebpPtr) X(gdImageCreateTrueColor) \
    X(gdImageDestroy) X(gdImagePaletteToTrueColor) X(gdImageAlphaBlending) X(gdImageSaveAlpha) X(gdImageInterlace) X(gdImageCopyResampled) \
    X(gdImageJpegPtr) X(gdImagePngPtr) X(gdFree) X(gdSetErrorMethod) X(gdVersionString)
#define MEMBER(name) __typeof__(&name) name;
static struct { GD_FUNCTIONS(MEMBER) } gd;

static void gd_silent(int priority, const char *format, va_list args) { (void)priority, (void)format, (void)args; }

static bool gd_open(void)
{
    void *library = dlopen("libgd.so.3", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return false;
    void *symbol;
#define LOAD(name) \
    if (!(symbol = dlsym(library, #name))) \
        return false; \
    memcpy(&gd.name, &symbol, sizeof symbol);                        /* ISO C has no cast between the two kinds of pointer */
    GD_FUNCTIONS(LOAD)
    gd.gdSetErrorMethod(gd_silent);
    return true;
}

const char *image_library_version(void) { return gd_open() ? gd.gdVersionString() : NULL; }

/* ---- no way out ---- */

static bool limit(__rlimit_resource_t what, rlim_t soft, rlim_t hard)
{
    struct rlimit old, new = { soft, hard };
    if (getrlimit(what, &old) == 0 && old.rlim_max != RLIM_INFINITY && (hard == RLIM_INFINITY || old.rlim_max < hard)) {
        new.rlim_max = old.rlim_max;                                 /* whoever runs us may have been stricter */
        if (new.rlim_cur > new.rlim_max)
            new.rlim_cur = new.rlim_max;
    }
    return setrlimit(what, &new) == 0;
}

#if defined(__x86_64__)
#define FILTER_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

/* Memory, reading and writing what is open, the time, the end: all else is EPERM. Kernels without filters leave us with the limits. */
static void filter_calls(void)
{
#ifdef FILTER_ARCHITECTURE
#define LOAD_FIELD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ALLOW(name) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define DENY BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
    struct sock_filter program[] = {
        LOAD_FIELD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCHITECTURE, 1, 0), DENY,
        LOAD_FIELD(nr),
        ALLOW(read), ALLOW(write), ALLOW(writev), ALLOW(lseek), ALLOW(fstat), ALLOW(newfstatat), ALLOW(close), ALLOW(brk), ALLOW(munmap), ALLOW(mremap), ALLOW(madvise),
        ALLOW(futex), ALLOW(clock_gettime), ALLOW(gettimeofday), ALLOW(getrandom), ALLOW(getpid), ALLOW(gettid), ALLOW(rt_sigprocmask), ALLOW(rt_sigreturn),
        ALLOW(exit), ALLOW(exit_group),
        /* memory may be mapped and protected, but never made executable (arguments: address, length, protection) */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mmap, 2, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mprotect, 1, 0), DENY,
        LOAD_FIELD(args[2]), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1), DENY,
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low word of an argument stands first");
    struct sock_fprog filter = { .len = LENGTH(program), .filter = program };
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
#endif
}

/* When the machine runs out of memory, we go and not the server. And what libraries print about a picture does not belong into the server's log. */
static void step_back(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t written = write(fd, "1000", 4);
        (void)written;
        close(fd);
    }
    if (!UNDER_SANITIZER && (fd = open("/dev/null", O_WRONLY | O_CLOEXEC)) >= 0) {
        dup2(fd, 2);
        close(fd);
    }
}

static bool lock_up(void)
{
    step_back();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0);
    alarm(WALL_SECONDS);                                             /* should the server be gone before it could kill us */
    errno = 0;
    if (nice(5) == -1 && errno) errno = 0;                           /* politeness only: a server that is nicer already stays so */
    if (chdir("/") != 0 || !gd_open())
        return false;
    if (!limit(RLIMIT_CPU, CPU_SECONDS, CPU_SECONDS + 1) || !limit(RLIMIT_CORE, 0, 0) || !limit(RLIMIT_FSIZE, LIMIT_UPLOAD_BYTES, LIMIT_UPLOAD_BYTES) ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return false;
    if (UNDER_SANITIZER)                                             /* they map terabytes, and open files and start helpers when they report */
        return true;
    if (!limit(RLIMIT_AS, ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES) || !limit(RLIMIT_NPROC, 0, 0) || !limit(RLIMIT_NOFILE, 0, 0))
        return false;
    filter_calls();
    return true;
}

/* ---- descriptors ---- */

static bool write_all(int fd, const void *bytes, size_t n)
{
    for (const char *p = bytes; n > 0;) {
        ssize_t written = write(fd, p, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        p += written;
        n -= (size_t)written;
    }
    return true;
}

/* One byte more than allowed tells that it is too long. */
static struct span read_all(int fd)
{
    size_t max = LIMIT_UPLOAD_BYTES + 1, n = 0;
    char *p = base_alloc(max);
    if (!p)
        return (struct span){ NULL, 0 };
    while (n < max) {
        ssize_t got = read(fd, p + n, max - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    return (struct span){ p, n };
}

/* ---- pictures ---- */

static gdImagePtr decode(struct span bytes, const struct image_head *head)
{
    int n = (int)bytes.n;                                            /* at most LIMIT_UPLOAD_BYTES */
    void *p = (void *)(uintptr_t)bytes.p;
    gdImagePtr im = NULL;
    switch (head->kind) {
    case IMAGE_JPEG: im = gd.gdImageCreateFromJpegPtrEx(n, p, 1); break;     /* 1: warnings (stray bytes and the like) are no refusal */
    case IMAGE_PNG: im = gd.gdImageCreateFromPngPtr(n, p); break;
    case IMAGE_GIF: im = gd.gdImageCreateFromGifPtr(n, p); break;
    case IMAGE_WEBP: im = gd.gdImageCreateFromWebpPtr(n, p); break;
    case IMAGE_NONE: break;
    }
    if (im && !im->trueColor && !gd.gdImagePaletteToTrueColor(im)) {
        gd.gdImageDestroy(im);
        im = NULL;
    }
    return im;
}

static bool is_opaque(gdImagePtr im)
{
    for (int y = 0; y < im->sy; y++)
        for (int x = 0; x < im->sx; x++)
            if ((unsigned)im->tpixels[y][x] >> 24 != 0)              /* libgd: 0 is opaque, 127 is transparent */
                return false;
    return true;
}

static gdImagePtr canvas(int width, int height)
{
    gdImagePtr im = gd.gdImageCreateTrueColor(width, height);
    if (im)
        gd.gdImageAlphaBlending(im, 0);                              /* pixels replace, their transparency included */
    return im;
}

/* A new picture whose longest side is at most `side`; never larger than the given one. */
static gdImagePtr fitted(gdImagePtr im, int side)
{
    int64_t longest = im->sx > im->sy ? im->sx : im->sy;
    int width = im->sx, height = im->sy;
    if (longest > side) {
        width = (int)((im->sx * (int64_t)side + longest / 2) / longest);
        height = (int)((im->sy * (int64_t)side + longest / 2) / longest);
        if (width < 1) width = 1;
        if (height < 1) height = 1;
    }
    gdImagePtr out = canvas(width, height);
    if (!out)
        return NULL;
    if (longest > side)
        gd.gdImageCopyResampled(out, im, 0, 0, 0, 0, width, height, im->sx, im->sy);
    else
        for (int y = 0; y < height; y++)
            memcpy(out->tpixels[y], im->tpixels[y], (size_t)width * sizeof(int));
    return out;
}

/* A new picture, upright. EXIF: 1 as it is, 2 mirrored, 3 upside down, 4 flipped, 5 transposed, 6 to be turned right, 7 transverse, 8 to be turned left. */
static gdImagePtr upright(gdImagePtr im, int orientation)
{
    bool turned = orientation >= 5;
    int w = im->sx, h = im->sy;
    gdImagePtr out = canvas(turned ? h : w, turned ? w : h);
    if (!out)
        return NULL;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int to_x = x, to_y = y;
            switch (orientation) {
            case 2: to_x = w - 1 - x; break;
            case 3: to_x = w - 1 - x, to_y = h - 1 - y; break;
            case 4: to_y = h - 1 - y; break;
            case 5: to_x = y, to_y = x; break;
            case 6: to_x = h - 1 - y, to_y = x; break;
            case 7: to_x = h - 1 - y, to_y = w - 1 - x; break;
            case 8: to_x = y, to_y = w - 1 - x; break;
            default: break;
            }
            out->tpixels[to_y][to_x] = im->tpixels[y][x];
        }
    return out;
}

/* im becomes what fn makes of it; the old one is freed. */
static bool replace(gdImagePtr *im, gdImagePtr new)
{
    if (*im)
        gd.gdImageDestroy(*im);
    *im = new;
    return new != NULL;
}

struct encoded { void *p; int n; };

static struct encoded encode(gdImagePtr im, bool jpeg)
{
    struct encoded out = { NULL, 0 };
    gd.gdImageInterlace(im, 0);
    gd.gdImageSaveAlpha(im, !is_opaque(im));                         /* a fourth byte a pixel for those that need it only */
    out.p = jpeg ? gd.gdImageJpegPtr(im, &out.n, IMAGE_JPEG_QUALITY) : gd.gdImagePngPtr(im, &out.n);
    return out;
}

/* What was lossless and is written as PNG may come out longer than any upload may be (a photograph as WebP, say): then it is made smaller until it fits. */
static bool encode_within(gdImagePtr *im, bool jpeg, struct encoded *out)
{
    for (;;) {
        *out = encode(*im, jpeg);
        if (!out->p || out->n <= LIMIT_UPLOAD_BYTES)
            return out->p != NULL;
        gd.gdFree(out->p);
        int longest = (*im)->sx > (*im)->sy ? (*im)->sx : (*im)->sy;
        if (longest <= IMAGE_THUMB_SIDE_MAX || !replace(im, fitted(*im, longest * 2 / 3)))
            return false;
    }
}

static enum image_fault work(char line[64])
{
    struct span bytes = read_all(0);
    struct image_head head;
    struct encoded encoded;
    if (!bytes.p)
        return IMAGE_OUTAGE;
    enum image_fault fault = image_head_read(bytes, &head);
    if (fault != IMAGE_GOOD)
        return fault;
    gdImagePtr im = decode(bytes, &head);
    if (!im)
        return IMAGE_BROKEN;
    if ((int64_t)im->sx * im->sy > LIMIT_IMAGE_PIXELS || im->sx < 1 || im->sy < 1)
        return IMAGE_BROKEN;                                         /* not what its head said */
    free((void *)(uintptr_t)bytes.p);
    /* first smaller, then upright: the second copy is then never of 40 million pixels */
    if (!replace(&im, fitted(im, IMAGE_SIDE_MAX)) || (head.orientation != 1 && !replace(&im, upright(im, head.orientation))))
        return IMAGE_OUTAGE;
    bool jpeg = head.kind == IMAGE_JPEG || (head.kind == IMAGE_WEBP && is_opaque(im));
    if (!encode_within(&im, jpeg, &encoded) || !write_all(PICTURE, encoded.p, (size_t)encoded.n))
        return IMAGE_OUTAGE;
    gd.gdFree(encoded.p);
    int width = im->sx, height = im->sy;
    if (!replace(&im, fitted(im, IMAGE_THUMB_SIDE_MAX)) || !encode_within(&im, jpeg, &encoded) || !write_all(THUMB, encoded.p, (size_t)encoded.n))
        return IMAGE_OUTAGE;
    snprintf(line, 64, "good %d %d %s\n", width, height, jpeg ? "jpg" : "png");
    return IMAGE_GOOD;
}

int cli_image_worker(int argc, char **argv)
{
    (void)argc, (void)argv;
    char line[64];
    enum image_fault fault = lock_up() ? work(line) : IMAGE_OUTAGE;
    if (fault != IMAGE_GOOD)
        snprintf(line, sizeof line, "bad %d\n", (int)fault);
    /* _exit: no exit handlers of fifty libraries, no search for leaks of a process that ends here */
    _exit(write_all(LINE, line, strlen(line)) ? 0 : 1);
}
