/* emotion/emotion_in.h: what the files of this folder share, and nobody else sees.
 *
 *   text.c      bytes   -> tokens        normalise; [表情], Latin words and numbers become one token each
 *   words.c     words.txt -> emotion_words  the hand-made lists, as a hash table that a model carries with it
 *   features.c  tokens  -> features      numbers below 2^32 that the model folds into its table
 *   model.c     bytes  <-> emotion_model
 *   score.c     features -> probabilities
 *   train.c …   labelled texts -> model; the same text.c and features.c, so that training sees what serving sees
 *
 * All integers in a model are little-endian and are read byte by byte: a model is the same file everywhere. */
#ifndef WEIR_EMOTION_IN_H
#define WEIR_EMOTION_IN_H
#include "emotion/emotion.h"

/* ---- little-endian access; compilers make one load of each ---- */
static inline uint32_t emotion_get16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static inline uint32_t emotion_get32(const uint8_t *p) { return emotion_get16(p) | emotion_get16(p + 2) << 16; }
static inline uint64_t emotion_get64(const uint8_t *p) { return emotion_get32(p) | (uint64_t)emotion_get32(p + 4) << 32; }
static inline void emotion_put16(uint8_t *p, uint32_t v) { p[0] = (uint8_t)v; p[1] = (uint8_t)(v >> 8); }
static inline void emotion_put32(uint8_t *p, uint32_t v) { emotion_put16(p, v & 0xffff); emotion_put16(p + 2, v >> 16); }
static inline void emotion_put64(uint8_t *p, uint64_t v) { emotion_put32(p, (uint32_t)v); emotion_put32(p + 4, (uint32_t)(v >> 32)); }

/* ---- words: the hand-made lists, compiled ---- */

enum {
    EMOTION_FOLD_FIRST = 0x4e00, EMOTION_FOLD_COUNT = 0x5200,        /* CJK unified ideographs */
    EMOTION_SINGLES = 4096,                                          /* by the low bits of a token: 1 if such a one is a word by itself */
    EMOTION_OPENERS = 16384,                                         /* bytes of a bit set over the first two tokens of words */
    EMOTION_WORD_TOKENS = 8,                                         /* longer list entries are refused */
    EMOTION_SLOTS_LOG2 = 16,
    EMOTION_SLOTS = 1 << EMOTION_SLOTS_LOG2,
    EMOTION_GROUPS = 200,                                            /* groups are numbered from 1; 0 is none */
};

/* Views into the bytes of a model (or of a trainer's buffer): arrays behind one another, in this order. Singles and openers
 * (20 KB) stay in the first cache and turn away most places of a text before the large table is asked. */
struct emotion_words {
    const uint8_t *fold;         /* u16[FOLD_COUNT]: the simplified character */
    const uint8_t *singles;      /* u8[SINGLES] */
    const uint8_t *openers;      /* u8[OPENERS] */
    const uint8_t *keys;         /* u32[SLOTS]: hash of a word's tokens, or of its first two, three, …; 0 is an empty slot */
    const uint8_t *groups;       /* u8[SLOTS]; 0: only the beginning of words */
};
enum { EMOTION_WORDS_BYTES = EMOTION_FOLD_COUNT * 2 + EMOTION_SINGLES + EMOTION_OPENERS + EMOTION_SLOTS * 5 };

struct emotion_words emotion_words_view(const uint8_t bytes[EMOTION_WORDS_BYTES]);

/* ---- tokens ---- */

/* A token is a code point, or with the top bit the hash of a Latin word, a number or a [表情]. */
enum { EMOTION_TOKEN_BREAK = '\n' };     /* between title and content, and between lines */

/* Behind the last token stands a 0, so that one may look ahead. place: NULL, or room for as many spans: where each token stands in the text. */
struct emotion_tokens { size_t n; struct span *place; uint32_t at[EMOTION_CHARACTERS + 3]; };

/* Appends the tokens (at most EMOTION_CHARACTERS + 2 in all) of the first `characters` code points of `text`; returns how many code points it read. */
size_t emotion_tokenise(const struct emotion_words *, struct span text, size_t characters, struct emotion_tokens *);
/* The tokens of a diary by the rule of emotion_score(). */
void emotion_tokens_of(const struct emotion_words *, struct span title, struct span content, struct emotion_tokens *);
void emotion_tokens_placed(const struct emotion_words *, struct span title, struct span content, struct span *place, struct emotion_tokens *);

static inline bool emotion_is_clause_end(uint32_t t) { return t == ',' || t == '.' || t == '!' || t == '?' || t == ';' || t == '\n' || t == 0x2026 || t == '~' || t == ' '; }
static inline bool emotion_is_sentence_end(uint32_t t) { return t == '.' || t == '!' || t == '?' || t == '\n' || t == 0x2026 || t == '~'; }

/* never 0; a word's slot are the top bits */
uint32_t emotion_word_hash(const uint32_t *tokens, size_t n);
/* the bit of two neighbours in the openers */
uint32_t emotion_opener(uint32_t first, uint32_t second);
/* ---- features ---- */

enum { EMOTION_BLOCK = 256 };
/* Takes features in blocks of at most EMOTION_BLOCK, in the order of the text. */
typedef void emotion_sink(void *arg, const uint32_t *features, size_t n);
void emotion_features(const struct emotion_words *, const struct emotion_tokens *, emotion_sink *, void *arg);
/* The same, but the sink is called once for each token, with what that token adds: it and its pair with the one before it come first. */
void emotion_features_by_token(const struct emotion_words *, const struct emotion_tokens *, emotion_sink *, void *arg);
/* How many tokens the list's word that begins at token i covers; 0: none begins there. */
size_t emotion_word_length(const struct emotion_words *, const struct emotion_tokens *, size_t i);

/* The feature that says "a word of this group stands here": what the trainer gives a first weight. */
uint32_t emotion_group_feature(int group);

/* ---- model ---- */

enum { EMOTION_MODEL_VERSION = 2, EMOTION_HEAD_BYTES = 128, EMOTION_BUCKETS_LOG2_MAX = 18 };

struct emotion_model {
    struct emotion_words words;
    const int8_t *rows;          /* [1 << buckets_log2][EMOTION_CODES] */
    unsigned shift;              /* 32 - buckets_log2 */
    double scale;                /* what one unit of a row is worth */
    double bias[EMOTION_CODES];
    uint8_t *owned;              /* the file's bytes, if emotion_model_open read them */
};

static inline size_t emotion_model_bytes(unsigned buckets_log2)
{
    return (size_t)EMOTION_HEAD_BYTES + EMOTION_WORDS_BYTES + ((size_t)EMOTION_CODES << buckets_log2);
}
/* Fills the head of `bytes`, whose words and rows are in place; `bytes` has emotion_model_bytes(buckets_log2). */
void emotion_model_seal(uint8_t *bytes, unsigned buckets_log2, double scale, const double bias[EMOTION_CODES]);
bool emotion_model_view(struct span bytes, struct emotion_model *out, struct buf *err);

/* The sums of a text over the rows, and how many features it has. */
struct emotion_sums { int32_t of[EMOTION_CODES]; uint32_t features; };
void emotion_sums(const struct emotion_model *, const struct emotion_tokens *, struct emotion_sums *out);
/* What a text's length does to its sums: features shared out by the root, so that a long text is not surer than it should be. */
double emotion_weight(uint32_t features);
/* Probabilities (1/10000, sum exact) of eight scores. */
void emotion_softmax(const double score[EMOTION_CODES], struct emotion *out);

#endif
