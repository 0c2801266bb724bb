/* emotion/words.c: compiles words.txt into the tables that a model carries.
 *
 * The format is for people: `# remark`; `@name codes` opens a group, codes being digits joined by | (or - for none); every
 * other line holds words with blanks between them. The group `@fold` is different: its words are pairs of characters,
 * traditional then simplified. A word in two groups is an error: it would be chance which one counts. */
#include "emotion/words.h"

struct emotion_words emotion_words_view(const uint8_t bytes[EMOTION_WORDS_BYTES])
{
    struct emotion_words w;
    w.fold = bytes;
    w.singles = w.fold + 2 * EMOTION_FOLD_COUNT;
    w.openers = w.singles + EMOTION_SINGLES;
    w.keys = w.openers + EMOTION_OPENERS;
    w.groups = w.keys + 4 * EMOTION_SLOTS;
    return w;
}

struct place { const char *file; int line; struct buf *err; };

static bool complain(struct place *at, const char *what, struct span word)
{
    buf_printf(at->err, "%s:%d: %s: \"%.*s\"", at->file, at->line, what, SPAN_ARGS(word));
    return false;
}

/* the next blank-separated piece of *line */
static struct span next_word(struct span *line)
{
    *line = span_trim(*line);
    size_t n = 0;
    while (n < line->n && line->p[n] != ' ' && line->p[n] != '\t')
        n++;
    struct span word = span_from(line->p, n);
    *line = span_cut(*line, n);
    return word;
}

static bool add_fold(struct emotion_list *list, struct place *at, struct span pair)
{
    const char *p = pair.p, *end = pair.p + pair.n;
    uint32_t from = utf8_next(&p, end), to = p < end ? utf8_next(&p, end) : 0;
    if (p != end || from < EMOTION_FOLD_FIRST || from >= EMOTION_FOLD_FIRST + EMOTION_FOLD_COUNT || to < EMOTION_FOLD_FIRST ||
        to >= EMOTION_FOLD_FIRST + EMOTION_FOLD_COUNT || from == to)
        return complain(at, "a fold is a traditional and a simplified character", pair);
    emotion_put16(list->bytes + 2 * (from - EMOTION_FOLD_FIRST), to);
    return true;
}

static bool add_group(struct emotion_list *list, struct place *at, struct span line)
{
    if (list->groups == EMOTION_GROUPS)
        return complain(at, "too many groups", line);
    struct emotion_group g = { .name = next_word(&line) };
    struct span codes = next_word(&line);
    for (size_t i = 0; i < codes.n; i++) {
        if (codes.p[i] >= '0' && codes.p[i] < '0' + EMOTION_CODES)
            g.codes |= 1u << (codes.p[i] - '0');
        else if (codes.p[i] != '|' && codes.p[i] != '-')
            return complain(at, "codes are digits 0 to 7 joined by |, or -", codes);
    }
    if (span_trim(line).n)
        return complain(at, "nothing may follow the codes; words go on the next line", span_trim(line));
    for (int i = 1; i <= list->groups; i++)
        if (span_is(list->group[i].name, g.name))
            return complain(at, "this group exists already", g.name);
    list->group[++list->groups] = g;
    return true;
}

/* the slot of a hash, taken for it if it was new */
static uint32_t slot_for(struct emotion_list *list, uint32_t hash)
{
    uint8_t *keys = list->bytes + (emotion_words_view(list->bytes).keys - list->bytes);
    uint32_t slot = hash >> (32 - EMOTION_SLOTS_LOG2), key;
    while ((key = emotion_get32(keys + 4 * slot)) != 0 && key != hash)
        slot = (slot + 1) & (EMOTION_SLOTS - 1);
    if (key == 0) {
        emotion_put32(keys + 4 * slot, hash);
        list->slots++;
    }
    return slot;
}

static bool add_word(struct emotion_list *list, struct place *at, struct span word, struct emotion_tokens *t)
{
    if (list->groups == 0)
        return complain(at, "a word before the first @group", word);
    if (list->entries == EMOTION_ENTRIES || list->slots + EMOTION_WORD_TOKENS > EMOTION_SLOTS / 2)
        return complain(at, "too many words", word);
    struct emotion_words w = emotion_words_view(list->bytes);
    t->n = 0;
    t->place = NULL;
    emotion_tokenise(&w, word, EMOTION_CHARACTERS, t);
    if (t->n == 0 || t->n > EMOTION_WORD_TOKENS)
        return complain(at, "a word has 1 to 8 tokens", word);
    for (size_t n = 2; n < t->n; n++)
        slot_for(list, emotion_word_hash(t->at, n));
    uint8_t *group = list->bytes + (w.groups - list->bytes) + slot_for(list, emotion_word_hash(t->at, t->n));
    if (*group)
        return *group == list->groups ? complain(at, "this word stands twice in its group", word)
                                      : complain(at, "this word is in another group already", word);
    *group = (uint8_t)list->groups;
    if (t->n == 1) {
        list->bytes[(size_t)(w.singles - list->bytes) + (t->at[0] & (EMOTION_SINGLES - 1))] = 1;
    } else {
        uint32_t bit = emotion_opener(t->at[0], t->at[1]);
        list->bytes[(size_t)(w.openers - list->bytes) + bit / 8] |= (uint8_t)(1u << bit % 8);
    }
    list->entry[list->entries].word = word;
    list->entry[list->entries++].group = list->groups;
    return true;
}

static bool compile(struct span text, struct emotion_list *list, struct place *at, struct emotion_tokens *t)
{
    bool fold = false;
    while (text.n) {
        int nl = span_find(text, '\n');
        struct span line = span_from(text.p, nl < 0 ? text.n : (size_t)nl);
        text = span_cut(text, line.n + 1);
        at->line++;
        line = span_trim(line);
        if (line.n == 0 || (line.p[0] == '#' && (line.n == 1 || line.p[1] == ' ')))
            continue;
        if (line.p[0] == '@' && line.n > 1) {
            fold = span_is_z(line, "@fold");
            if (!fold && !add_group(list, at, span_cut(line, 1)))
                return false;
            continue;
        }
        for (struct span word; (word = next_word(&line)).n;)
            if (!(fold ? add_fold(list, at, word) : add_word(list, at, word, t)))
                return false;
    }
    return true;
}

bool emotion_list_compile(struct span text, const char *file, struct emotion_list *out, struct buf *err)
{
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < EMOTION_FOLD_COUNT; i++)
        emotion_put16(out->bytes + 2 * i, i + EMOTION_FOLD_FIRST);
    struct emotion_tokens *t = base_alloc(sizeof *t);
    if (!t) {
        buf_printf(err, "%s: out of memory", file);
        return false;
    }
    struct place at = { .file = file, .err = err };
    bool good = compile(text, out, &at, t);
    free(t);
    return good;
}
