/* apps/diary/images.c: the parent's side of the image worker.
 *
 * Opens the files, starts the worker with exactly these descriptors and an empty environment (settings may stand in ours), waits for its
 * one line until the deadline, and makes what it wrote durable. The worker is not believed: it works on bytes from outside with big
 * decoders, so its line is parsed strictly and its files must begin like the type it claims and stay within the limit.
 *
 * posix_spawn is used since the server has many threads: nothing but the kernel runs between the fork and the exec, and a server with a
 * large address space is not copied. All descriptors here are close-on-exec; the worker gets its five by dup2. */
#include "apps/diary/images.h"
#include "base/clock.h"
#include "wire/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The texts below name these two. */
_Static_assert(LIMIT_UPLOAD_BYTES == 10 * 1024 * 1024 && LIMIT_IMAGE_PIXELS == 40000000, "the texts of the faults tell the limits");

static const struct { int status; const char *zh, *en; } faults[IMAGE_FAULTS] = {
    [IMAGE_GOOD] = { 200, "", "" },
    [IMAGE_TYPE] = { 415, "只支持 JPEG、PNG、GIF 和 WebP 图片", "only JPEG, PNG, GIF and WebP pictures are taken" },
    [IMAGE_ANIMATED] = { 415, "不支持动态 WebP 图片", "animated WebP pictures are not supported" },
    [IMAGE_BYTES] = { 413, "图片不能超过 10 MB", "a picture may have at most 10 MB" },
    [IMAGE_PIXELS] = { 413, "图片不能超过 4000 万像素", "a picture may have at most 40 million pixels" },
    [IMAGE_BROKEN] = { 400, "图片已损坏，无法读取", "the picture is damaged and cannot be read" },
    [IMAGE_COSTLY] = { 413, "图片过于复杂，无法处理", "the picture takes too long to process" },
    [IMAGE_OUTAGE] = { 503, "图片暂时无法处理，请稍后再试", "pictures cannot be processed at the moment, please try again" },
};

const char *const *image_worker_command;

/* ---- a few at once ---- */

/* A worker may use half a gigabyte and a core for some seconds; an ordinary picture needs a third of a second. */
enum { WORKERS_MAX = 2, COSTLY_SECONDS = 3 /* of the processor's time; a camera's picture takes a tenth of it */ };
static pthread_mutex_t turn_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_free;
static pthread_once_t turn_once = PTHREAD_ONCE_INIT;
static int turns_taken;

static void turn_init(void)
{
    pthread_condattr_t attributes;
    must(pthread_condattr_init(&attributes) == 0);
    must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    must(pthread_cond_init(&turn_free, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
}

static bool turn_take(int64_t deadline_mono_ms)
{
    must(pthread_once(&turn_once, turn_init) == 0);
    struct timespec until = { .tv_sec = (time_t)(deadline_mono_ms / 1000), .tv_nsec = (long)(deadline_mono_ms % 1000) * 1000000 };
    bool mine = false, late = false;
    pthread_mutex_lock(&turn_lock);
    while (!(mine = turns_taken < WORKERS_MAX) && !late)
        late = pthread_cond_timedwait(&turn_free, &turn_lock, &until) == ETIMEDOUT;
    turns_taken += mine;
    pthread_mutex_unlock(&turn_lock);
    return mine;
}

static void turn_give(void)
{
    pthread_mutex_lock(&turn_lock);
    turns_taken--;
    pthread_cond_signal(&turn_free);
    pthread_mutex_unlock(&turn_lock);
}

/* ---- files ---- */

struct path { char z[PATH_MAX]; };

static bool path_copy(struct path *out, struct span s)
{
    if (s.n == 0 || s.n >= sizeof out->z || memchr(s.p, 0, s.n))
        return false;
    memcpy(out->z, s.p, s.n);
    out->z[s.n] = 0;
    return true;
}

static bool descriptor_sync(int fd) { return !fault_here(FAULT_FSYNC) && fsync(fd) == 0; }

static bool folder_sync(const struct path *file)
{
    struct path folder = *file;
    char *slash = strrchr(folder.z, '/');
    if (slash)
        slash[slash == folder.z] = 0;                                /* the folder of "/x" is "/" */
    int fd = open(slash ? folder.z : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool good = descriptor_sync(fd);
    int error = errno;
    close(fd);
    errno = error;
    return good;
}

/* Above the numbers that the worker gets by dup2, so that no dup2 hits a descriptor still to be copied. */
static int descriptor_lift(int fd)
{
    if (fd < 0)
        return -1;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 10);
    close(fd);
    return high;
}

static void descriptor_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Made by this call or not at all; -1 if the name exists. */
static int output_open(const struct path *path) { return descriptor_lift(open(path->z, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640)); }

static bool output_sound(int fd, const char *extension)
{
    struct stat st;
    char head[8];
    if (fstat(fd, &st) != 0 || st.st_size > LIMIT_UPLOAD_BYTES || pread(fd, head, sizeof head, 0) != sizeof head)
        return false;
    struct span bytes = { head, sizeof head };
    return strcmp(extension, "png") == 0 ? span_is(bytes, SPAN("\x89PNG\r\n\x1a\n")) : span_begins(bytes, SPAN("\xff\xd8\xff"));
}

/* ---- the worker ---- */

static pid_t worker_start(int input, int output, int thumb, int line)
{
    static const char *const default_command[] = { "/proc/self/exe", "image-worker", NULL };
    /* Nothing of our environment, which may hold secrets, but what makes sanitizers of test builds report as asked. */
    static const char *const kept[] = { "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS" };
    const char *const *command = image_worker_command ? image_worker_command : default_command;
    char environment_text[LENGTH(kept)][512];
    char *environment[LENGTH(kept) + 2];
    size_t n = 0;
    static char locale[] = "LC_ALL=C";
    environment[n++] = locale;
    for (size_t i = 0; i < LENGTH(kept); i++) {
        const char *value = getenv(kept[i]);
        int written = value ? snprintf(environment_text[i], sizeof environment_text[i], "%s=%s", kept[i], value) : -1;
        if (written > 0 && (size_t)written < sizeof environment_text[i])
            environment[n++] = environment_text[i];
    }
    environment[n] = NULL;

    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return -1;
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return -1;
    }
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    pid_t pid = -1;
    /* Its own process group: a ^C at the terminal is the server's affair, which drains. Standard error stays ours. */
    bool ready = posix_spawn_file_actions_adddup2(&actions, input, 0) == 0 && posix_spawn_file_actions_adddup2(&actions, output, 1) == 0 &&
                 posix_spawn_file_actions_adddup2(&actions, thumb, 3) == 0 && posix_spawn_file_actions_adddup2(&actions, line, 4) == 0 &&
                 posix_spawn_file_actions_addclosefrom_np(&actions, 5) == 0 && posix_spawnattr_setsigmask(&attributes, &none) == 0 &&
                 posix_spawnattr_setsigdefault(&attributes, &all) == 0 && posix_spawnattr_setpgroup(&attributes, 0) == 0 &&
                 posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP) == 0;
    if (ready) {
        int error = posix_spawn(&pid, command[0], &actions, &attributes, (char *const *)(uintptr_t)command, environment);
        if (error != 0)
            pid = -1;
    }
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

/* All that the worker says until it closes its end; false when the deadline came first. */
static bool line_read(int fd, int64_t deadline_mono_ms, char *out, size_t size, size_t *out_n)
{
    *out_n = 0;
    for (;;) {
        int64_t left_ms = deadline_mono_ms - clock_mono_ms();
        if (left_ms <= 0)
            return false;
        struct pollfd wait = { .fd = fd, .events = POLLIN };
        int ready = poll(&wait, 1, left_ms > 60000 ? 60000 : (int)left_ms);
        if (ready < 0 && errno != EINTR)
            return false;
        if (ready <= 0)
            continue;
        char spill[64];
        bool full = *out_n == size;
        ssize_t n = full ? read(fd, spill, sizeof spill) : read(fd, out + *out_n, size - *out_n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        if (full)
            return true;                                             /* longer than any line of ours: will not parse */
        *out_n += (size_t)n;
    }
}

/* The next word before a space or the line's end; false if there is none. */
static bool word_next(struct span *line, struct span *out)
{
    size_t n = 0;
    while (n < line->n && line->p[n] != ' ')
        n++;
    *out = (struct span){ line->p, n };
    *line = span_cut(*line, n + 1);
    return n > 0;
}

static enum image_fault line_parse(struct span line, struct image_result *out)
{
    struct span verb, a, b, c;
    int64_t width, height;
    if (!span_ends(line, SPAN("\n")))
        return IMAGE_OUTAGE;
    line.n--;
    if (!word_next(&line, &verb) || !word_next(&line, &a) || !span_to_i64(a, &width))
        return IMAGE_OUTAGE;
    if (span_is(verb, SPAN("bad")))
        return line.n == 0 && width > IMAGE_GOOD && width < IMAGE_FAULTS ? (enum image_fault)width : IMAGE_OUTAGE;
    if (!span_is(verb, SPAN("good")) || !word_next(&line, &b) || !span_to_i64(b, &height) || !word_next(&line, &c) || line.n != 0)
        return IMAGE_OUTAGE;
    if (width < 1 || width > IMAGE_SIDE_MAX || height < 1 || height > IMAGE_SIDE_MAX || !(span_is(c, SPAN("jpg")) || span_is(c, SPAN("png"))))
        return IMAGE_OUTAGE;
    out->width = (int)width;
    out->height = (int)height;
    memcpy(out->extension, c.p, c.n);
    return IMAGE_GOOD;
}

/* What the way the worker ended says, if it left no line. */
static enum image_fault ending_fault(int status)
{
    if (!WIFSIGNALED(status))
        return IMAGE_OUTAGE;
    switch (WTERMSIG(status)) {
    case SIGXCPU: return IMAGE_COSTLY;
    case SIGSEGV: case SIGBUS: case SIGABRT: case SIGFPE: case SIGILL: case SIGTRAP: return IMAGE_BROKEN;    /* a decoder fell over this picture, and would again */
    default: return IMAGE_OUTAGE;                                    /* killed from outside */
    }
}

static enum image_fault worker_run(int input, int output, int thumb, int64_t deadline_mono_ms, struct image_result *out)
{
    int line[2];
    if (pipe2(line, O_CLOEXEC) != 0)
        return IMAGE_OUTAGE;
    int worker_end = descriptor_lift(line[1]);
    pid_t pid = worker_end < 0 ? -1 : worker_start(input, output, thumb, worker_end);
    descriptor_close(&worker_end);
    if (pid < 0) {
        close(line[0]);
        return IMAGE_OUTAGE;
    }
    char text[64];
    size_t n;
    bool finished = line_read(line[0], deadline_mono_ms, text, sizeof text, &n);
    close(line[0]);
    /* It closed its line and is about to end, or is over its time: either way nothing more is wanted of it. But one that ends by itself is not killed, for how it ended says what was wrong. */
    if (!finished)
        kill(pid, SIGKILL);
    int status;
    struct rusage used;
    pid_t ended;
    while ((ended = wait4(pid, &status, 0, &used)) < 0 && errno == EINTR)
        ;
    if (ended != pid)
        return IMAGE_OUTAGE;
    if (!finished)                                                   /* too much work, or a machine too busy to do it? */
        return used.ru_utime.tv_sec + used.ru_stime.tv_sec >= COSTLY_SECONDS ? IMAGE_COSTLY : IMAGE_OUTAGE;
    if (n == 0 || !WIFEXITED(status))
        return ending_fault(status);
    return WEXITSTATUS(status) == 0 ? line_parse(span_from(text, n), out) : IMAGE_OUTAGE;
}

static enum image_fault process(struct span input_path, struct span output_path, struct span thumb_path, int64_t deadline_mono_ms, struct image_result *out)
{
    struct path in_path, out_path, small_path;
    struct stat st;
    enum image_fault fault = IMAGE_OUTAGE;
    int input = -1, output = -1, thumb = -1;
    if (!path_copy(&in_path, input_path) || !path_copy(&out_path, output_path) || !path_copy(&small_path, thumb_path))
        return IMAGE_OUTAGE;
    input = descriptor_lift(open(in_path.z, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (input < 0 || fstat(input, &st) != 0 || !S_ISREG(st.st_mode))
        goto out;
    if (st.st_size > LIMIT_UPLOAD_BYTES) {
        fault = IMAGE_BYTES;
        goto out;
    }
    output = output_open(&out_path);
    thumb = output < 0 ? -1 : output_open(&small_path);
    if (thumb < 0)
        goto out;
    fault = worker_run(input, output, thumb, deadline_mono_ms, out);
    if (fault == IMAGE_GOOD && !(output_sound(output, out->extension) && output_sound(thumb, out->extension) && descriptor_sync(output) && descriptor_sync(thumb) &&
                                 folder_sync(&out_path) && folder_sync(&small_path)))
        fault = IMAGE_OUTAGE;
out:
    if (fault != IMAGE_GOOD && output >= 0)
        unlink(out_path.z);
    if (fault != IMAGE_GOOD && thumb >= 0)
        unlink(small_path.z);
    descriptor_close(&input);
    descriptor_close(&output);
    descriptor_close(&thumb);
    return fault;
}

void image_process(struct span input_path, struct span output_path, struct span thumb_path, int64_t deadline_mono_ms, struct image_result *out)
{
    *out = (struct image_result){ 0 };
    enum image_fault fault = IMAGE_OUTAGE;
    if (turn_take(deadline_mono_ms)) {
        fault = process(input_path, output_path, thumb_path, deadline_mono_ms, out);
        turn_give();
    }
    if (fault != IMAGE_GOOD)
        *out = (struct image_result){ 0 };                           /* nothing half told */
    out->fault = fault;
    out->good = fault == IMAGE_GOOD;
    out->status = faults[fault].status;
    snprintf(out->why_zh, sizeof out->why_zh, "%s", faults[fault].zh);
    snprintf(out->why_en, sizeof out->why_en, "%s", faults[fault].en);
}

bool image_rename(struct span from, struct span to)
{
    struct path old, new;
    if (!path_copy(&old, from) || !path_copy(&new, to)) {
        errno = ENAMETOOLONG;
        return false;
    }
    bool renamed = renameat2(AT_FDCWD, old.z, AT_FDCWD, new.z, RENAME_NOREPLACE) == 0;
    if (!renamed && (errno == EINVAL || errno == ENOSYS))            /* some file systems know no such rename; a link refuses a taken name too */
        renamed = link(old.z, new.z) == 0 && unlink(old.z) == 0;
    return renamed && folder_sync(&new);
}
