/* emotion/features.c: tokens to features.
 *
 * A feature is a number that stands for something seen: this token, these two neighbours, a word of that group. Numbers come
 * from a hash, so there is no vocabulary to keep; the table folds them into its rows. What is seen here was chosen by leaving
 * out whole writers (docs/why/emotion.md has the figures of what did not help: three neighbours, gaps, clause positions,
 * contrast, pairs of groups).
 *
 *   - each token, each pair of neighbours
 *   - each pair of neighbours in the last sentence, once more: diaries end with what they were about
 *   - each word of the hand-made lists, as its group; and once more in the last sentence
 *
 * The same features, in the same order, for training and serving: there is no other extractor. */
#include "emotion/emotion_in.h"

/* Changing a kind or the hash changes what every model means: then raise EMOTION_MODEL_VERSION. */
enum kind { KIND_TOKEN = 1, KIND_PAIR, KIND_LAST, KIND_GROUP, KIND_WORD_HASH };

struct out { emotion_sink *sink; void *arg; size_t n; uint32_t block[EMOTION_BLOCK]; };

static inline uint32_t mix(enum kind kind, uint32_t a, uint32_t b)
{
    uint64_t x = (uint64_t)kind * 0x9e3779b97f4a7c15ULL + (uint64_t)a * 0xc2b2ae3d27d4eb4fULL + (uint64_t)b * 0x165667b19e3779f9ULL;
    x ^= x >> 32;
    x *= 0xff51afd7ed558ccdULL;
    return (uint32_t)(x >> 32);
}

static inline void emit(struct out *o, uint32_t feature)
{
    o->block[o->n++] = feature;
    if (o->n == EMOTION_BLOCK) {
        o->sink(o->arg, o->block, o->n);
        o->n = 0;
    }
}

uint32_t emotion_group_feature(int group) { return mix(KIND_GROUP, (uint32_t)group, 0); }

/* odd, hence never 0, which is the empty slot */
static inline uint32_t word_step(uint32_t hash, uint32_t token) { return mix(KIND_WORD_HASH, hash, token) | 1; }

uint32_t emotion_word_hash(const uint32_t *tokens, size_t n)
{
    uint32_t hash = 0;
    for (size_t i = 0; i < n; i++)
        hash = word_step(hash, tokens[i]);
    return hash;
}

/* The bit of two neighbours is a part of the feature they are anyway. */
static inline uint32_t opener_of(uint32_t pair) { return pair & (EMOTION_OPENERS * 8 - 1); }
_Static_assert((EMOTION_OPENERS & (EMOTION_OPENERS - 1)) == 0, "a mask picks the bit");
uint32_t emotion_opener(uint32_t first, uint32_t second) { return opener_of(mix(KIND_PAIR, first, second)); }

/* The group of a hash: 0 if only words begin so, -1 if not even that. */
static inline int group_of(const struct emotion_words *w, uint32_t hash)
{
    uint32_t slot = hash >> (32 - EMOTION_SLOTS_LOG2), key;
    while ((key = emotion_get32(w->keys + 4 * slot)) != 0 && key != hash)
        slot = (slot + 1) & (EMOTION_SLOTS - 1);
    return key ? w->groups[slot] : -1;
}

/* The word that begins at t->at[i], if any: its group, or 0, and how many tokens it covers. The longest wins. `pair` is the
 * feature of at[i] and at[i + 1]. */
static inline int word_at(const struct emotion_words *w, const struct emotion_tokens *t, size_t i, uint32_t pair, size_t *out_tokens)
{
    const uint32_t *at = t->at + i;
    uint32_t bit = opener_of(pair), single = w->singles[at[0] & (EMOTION_SINGLES - 1)];
    uint32_t opens = w->openers[bit / 8] >> bit % 8 & 1;
    if (!(single | opens))           /* one branch for both: which it is cannot be predicted */
        return 0;
    uint32_t hash = word_step(0, at[0]);
    int found = single ? group_of(w, hash) : 0;
    size_t most = t->n - i;
    if (found < 0)
        found = 0;
    *out_tokens = 1;
    for (size_t n = 1; opens && n < most; n++) {
        hash = word_step(hash, at[n]);
        int group = group_of(w, hash);
        if (group < 0)
            break;
        if (group > 0) {
            found = group;
            *out_tokens = n + 1;
        }
    }
    return found;
}

/* where the last sentence begins; a text of one sentence has no last one of its own */
static size_t last_sentence(const struct emotion_tokens *t)
{
    size_t i = t->n;
    while (i > 0 && emotion_is_sentence_end(t->at[i - 1]))
        i--;
    while (i > 0 && !emotion_is_sentence_end(t->at[i - 1]))
        i--;
    return i > 0 ? i : t->n;
}

size_t emotion_word_length(const struct emotion_words *w, const struct emotion_tokens *t, size_t i)
{
    size_t tokens = 0;
    return word_at(w, t, i, mix(KIND_PAIR, t->at[i], t->at[i + 1]), &tokens) ? tokens : 0;
}

static inline void walk(const struct emotion_words *w, const struct emotion_tokens *t, emotion_sink *sink, void *arg, bool by_token)
{
    struct out o;
    o.sink = sink;
    o.arg = arg;
    o.n = 0;
    size_t last = last_sentence(t), word_end = 0, tokens = 0;
    uint32_t pair = mix(KIND_PAIR, EMOTION_TOKEN_BREAK, t->n ? t->at[0] : 0);
    for (size_t i = 0; i < t->n; i++) {
        bool in_last = i >= last;
        emit(&o, mix(KIND_TOKEN, t->at[i], 0));
        emit(&o, pair);
        if (in_last)
            emit(&o, mix(KIND_LAST, pair, 0));
        pair = mix(KIND_PAIR, t->at[i], t->at[i + 1]);
        int group = i >= word_end ? word_at(w, t, i, pair, &tokens) : 0;
        if (group) {
            word_end = i + tokens;
            emit(&o, emotion_group_feature(group));
            if (in_last)
                emit(&o, mix(KIND_LAST, (uint32_t)group, 1));
        }
        if (by_token) {
            sink(arg, o.block, o.n);
            o.n = 0;
        }
    }
    if (o.n)
        sink(arg, o.block, o.n);
}

void emotion_features(const struct emotion_words *w, const struct emotion_tokens *t, emotion_sink *sink, void *arg) { walk(w, t, sink, arg, false); }
void emotion_features_by_token(const struct emotion_words *w, const struct emotion_tokens *t, emotion_sink *sink, void *arg) { walk(w, t, sink, arg, true); }
