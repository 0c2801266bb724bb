/* A settings file is the operator's, not an attacker's; but it is taken apart by a library with habits of its own, so: whatever the bytes are, loading ends, every
 * refusal says something that ends in a line end and names the file, and what was taken is right by its own row. The first byte chooses the file, the environment or a flag. */
#include "engine/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void told(bool good, const struct buf *err, const char *name)
{
    if (good) return;
    must(err->n > 0 && err->p[err->n - 1] == '\n');
    if (name) must(memmem(err->p, err->n, name, strlen(name)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0) return 0;
    struct settings *s = settings_new(NULL, engine_settings);
    must(s);
    struct buf err;
    buf_init(&err, 8 << 20);
    struct span rest = span_from((const char *)data + 1, n - 1);
    char *text = malloc(n);
    must(text);
    memcpy(text, rest.p, rest.n);
    text[rest.n] = '\0';
    if (data[0] % 4 == 1) told(settings_assign(s, text, &err), &err, NULL);
    else if (data[0] % 4 == 2) told(settings_load_env(s, (char *const[]){ text, NULL }, &err, NULL), &err, NULL);
    else told(settings_load_text(s, "weir.ini", rest, &err), &err, "weir.ini:");
    free(text);
    for (const struct setting *row = engine_settings; row->section; row++) {
        struct span value = settings_get(s, row->section, row->key), kept;
        int64_t number;
        const char *must_be;
        char room[160];
        must(setting_check(row, value, &kept, &number, &must_be, room) && span_is(value, kept));
    }
    settings_show(s, &err);
    buf_done(&err);
    settings_free(&s);
    return 0;
}
