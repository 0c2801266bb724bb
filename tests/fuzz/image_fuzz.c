/* The skeletons of pictures under the fuzzer: what is told of any bytes stays within its limits and does not depend on what lies behind them; and EXIF is read on its own, for
 * the walker of JPEG reaches it seldom. The decoders are not ours; what they may do is bounded by the process they run in. */
#include "apps/diary/image_head.c"
#include "wire/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    /* A copy of just this length: a byte read beyond it is seen. */
    char *copy = malloc(n ? n : 1);
    if (!copy)
        return 0;
    if (n > 0)
        memcpy(copy, data, n);
    struct span bytes = { copy, n };
    struct image_head head, again;
    enum image_fault fault = image_head_read(bytes, &head);
    must(fault >= IMAGE_GOOD && fault < IMAGE_FAULTS && fault != IMAGE_COSTLY && fault != IMAGE_OUTAGE);
    must(head.orientation >= 1 && head.orientation <= 8 && (head.orientation == 1 || head.kind == IMAGE_JPEG));
    must((head.kind == IMAGE_NONE) == (fault == IMAGE_TYPE || fault == IMAGE_BYTES));
    if (fault == IMAGE_GOOD)
        must(head.width > 0 && head.height > 0 && head.width * head.height <= LIMIT_IMAGE_PIXELS);
    if (fault == IMAGE_GOOD && n < 4096) {
        char *longer = malloc(n + 64);
        if (longer) {
            memcpy(longer, copy, n);
            memset(longer + n, 'x', 64);
            must(image_head_read((struct span){ longer, n + 64 }, &again) == IMAGE_GOOD && again.width == head.width && again.height == head.height && again.orientation == head.orientation);
            free(longer);
        }
    }
    int orientation = image_exif_orientation(bytes);
    must(orientation >= 1 && orientation <= 8);
    free(copy);
    return 0;
}
