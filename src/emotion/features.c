/* emotion/features.c: tokens to features.
 *
 * A feature is a number that stands for something seen: this token, these two neighbours, a word of that group. Numbers come
 * from a hash, so there is no vocabulary to keep; the table folds them into its rows. What is seen here was chosen by leaving
 * out whole writers (docs/why/emotion.md has the figures of what did not help: three neighbours, gaps, clause positions,
 * contrast, pairs of groups).
 *
 *   - each token, each pair of neighbours
 *   - each pair of neighbours in the last sentence, once more: diaries end with what they were about
 *   - each word of the hand-made lists, as its group
 *
 * The same features, in the same order, for training and serving: there is no other extractor. */
#include "emotion/emotion_in.h"

/* Changing a kind or the hash changes what every model means: then raise EMOTION_MODEL_VERSION. */
enum kind { KIND_TOKEN = 1, KIND_PAIR, KIND_LAST_PAIR, KIND_GROUP, KIND_WORD_HASH };

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

int emotion_word_at(const struct emotion_words *w, const struct emotion_tokens *t, size_t i, size_t *out_tokens)
{
    size_t most = w->starters[t->at[i] & (EMOTION_STARTERS - 1)];
    if (most > t->n - i)
        most = t->n - i;
    uint32_t hash = 0;
    int found = 0;
    for (size_t n = 1; n <= most; n++) {
        hash = word_step(hash, t->at[i + n - 1]);
        uint32_t slot = hash >> (32 - EMOTION_SLOTS_LOG2), key;
        while ((key = emotion_get32(w->keys + 4 * slot)) != 0 && key != hash)
            slot = (slot + 1) & (EMOTION_SLOTS - 1);
        if (key) {
            found = w->groups[slot];
            *out_tokens = n;
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

void emotion_features(const struct emotion_words *w, const struct emotion_tokens *t, emotion_sink *sink, void *arg)
{
    struct out o;
    o.sink = sink;
    o.arg = arg;
    o.n = 0;
    size_t last = last_sentence(t), word_end = 0, tokens = 0;
    uint32_t before = EMOTION_TOKEN_BREAK;
    for (size_t i = 0; i < t->n; i++) {
        uint32_t token = t->at[i];
        emit(&o, mix(KIND_TOKEN, token, 0));
        emit(&o, mix(KIND_PAIR, before, token));
        if (i >= last)
            emit(&o, mix(KIND_LAST_PAIR, before, token));
        before = token;
        int group = i >= word_end ? emotion_word_at(w, t, i, &tokens) : 0;
        if (group) {
            word_end = i + tokens;
            emit(&o, emotion_group_feature(group));
        }
    }
    if (o.n)
        sink(arg, o.block, o.n);
}
