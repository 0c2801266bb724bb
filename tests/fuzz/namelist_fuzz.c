/* The name list's file under the fuzzer: what is taken has good names, each once, and lines that grow; what is refused is told. */
#include "apps/absence/namelist.c"
#include "apps/absence/rules.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct arena *a;
    struct listed *list;
    size_t count;
    struct buf faults;
    if (!a) {
        a = arena_new(1u << 26);
        must(a);
    }
    if (n < 1 || n > 100000) return 0;
    buf_init(&faults, 65536);
    if (namelist_read(a, span_from(data + 1, n - 1), data[0] % 2, &list, &count, &faults)) {
        struct names seen;
        names_init(&seen, a, count);
        must(faults.n == 0);
        for (size_t i = 0; i < count; i++) {
            must(!name_fault(list[i].name) && names_add(&seen, list[i].name));
            must(list[i].section < SECTIONS && list[i].line > 1 && (i == 0 || list[i].line > list[i - 1].line));
        }
    } else {
        must(faults.n > 0 && !faults.failed && utf8_valid(buf_span(&faults)));
    }
    buf_done(&faults);
    arena_reset(a);
    return 0;
}
