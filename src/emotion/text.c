/* emotion/text.c: bytes to tokens.
 *
 * People write one feeling in many spellings: 哈哈哈哈哈, full width ！！！, 開心, HAPPY, 2333333. Before anything is counted
 * the text is made plain: full width to half, upper case to lower, traditional to simplified characters (those of the hand-made
 * list), runs of one thing to two of it. What means something as a whole becomes one token: a Latin word, a number, a WeChat
 * [表情]. Everything else is one token a character, punctuation included: a question mark is evidence.
 *
 * There are no errors: what is not UTF-8 is U+FFFD, what has no rule stays what it is. */
#include "emotion/emotion_in.h"

enum { BRACKET_MAX = 10 };       /* [ + at most so many characters + ]: a [表情], not a remark in brackets */

static uint32_t token_of_hash(uint32_t h) { return h | 0x80000000u; }
static uint32_t hash_step(uint32_t h, uint32_t c) { return (h ^ c) * 0x01000193u; }     /* FNV-1a over code points */
enum { HASH_WORD = 0x811c9dc5u, HASH_NUMBER = 0x1a2b3c4du, HASH_BRACKET = 0x5bd1e995u };

/* One code point made plain; 0 for what is dropped (selectors, joiners, skin tones). */
static uint32_t plain(const struct emotion_words *words, uint32_t c)
{
    if (c < 0x80) {
        if (c >= 'A' && c <= 'Z')
            return c + 32;
        if (c == '\r' || c == '\n')
            return '\n';
        return c <= ' ' || c == 0x7f ? ' ' : c;
    }
    if (c >= EMOTION_FOLD_FIRST && c < EMOTION_FOLD_FIRST + EMOTION_FOLD_COUNT)
        return emotion_get16(words->fold + 2 * (c - EMOTION_FOLD_FIRST));
    if (c >= 0xff01 && c <= 0xff5e)
        return plain(words, c - 0xfee0);
    switch (c) {
    case 0x3000: case 0xa0: return ' ';
    case 0x3002: case 0xff61: return '.';
    case 0x3001: return ',';
    case 0x301c: case 0x223c: return '~';
    case 0x201c: case 0x201d: case 0x300c: case 0x300d: case 0x300e: case 0x300f: return '"';
    case 0x2018: case 0x2019: return '\'';
    case 0x2014: case 0x2015: case 0x2013: return '-';
    case 0x3010: return '[';
    case 0x3011: return ']';
    case 0x22ef: return 0x2026;
    case 0xfe0e: case 0xfe0f: case 0xfeff: return 0;
    default: break;
    }
    if ((c >= 0x200b && c <= 0x200f) || (c >= 0x1f3fb && c <= 0x1f3ff))
        return 0;
    return c;
}

/* The next code point made plain. Nearly all of a text are the ideographs, three bytes each, and go the short way. */
static inline uint32_t next_plain(const struct emotion_words *words, const char **p, const char *end)
{
    const uint8_t *u = (const uint8_t *)*p;
    if (u[0] >= 0xe4 && u[0] <= 0xe9 && end - *p >= 3 && (u[1] & 0xc0) == 0x80 && (u[2] & 0xc0) == 0x80) {
        uint32_t c = (u[0] & 0x0fu) << 12 | (u[1] & 0x3fu) << 6 | (u[2] & 0x3fu);
        if (c >= EMOTION_FOLD_FIRST) {
            *p += 3;
            return emotion_get16(words->fold + 2 * (c - EMOTION_FOLD_FIRST));
        }
    }
    return plain(words, utf8_next(p, end));
}

static bool is_letter(uint32_t c) { return (c >= 'a' && c <= 'z') || (c >= 0xc0 && c < 0x250); }
static bool is_digit(uint32_t c) { return c >= '0' && c <= '9'; }

/* Appends a token unless it is the third of its kind. */
static inline void push_plain(struct emotion_tokens *t, uint32_t token)
{
    size_t n = t->n;
    bool third = n >= 2 && t->at[n - 1] == token && t->at[n - 2] == token;
    if (!third && n < LENGTH(t->at) - 1)
        t->at[t->n++] = token;
}

/* The same with what punctuation needs: blanks vanish beside other ends of clauses, two dots become an ellipsis. */
static void push(struct emotion_tokens *t, uint32_t token)
{
    size_t n = t->n;
    if (token == ' ' && (n == 0 || t->at[n - 1] == ' ' || emotion_is_clause_end(t->at[n - 1])))
        return;
    if (token == '\n' && n > 0 && t->at[n - 1] == '\n')
        return;
    if (n > 0 && (token == '.' || token == 0x2026) && (t->at[n - 1] == '.' || t->at[n - 1] == 0x2026)) {
        t->at[n - 1] = 0x2026;
        return;
    }
    push_plain(t, token);
}

/* Numbers that are words (233, 666, 520) keep what they are, with runs cut to two digits; all the others are one "number". */
static uint32_t number_token(const uint32_t *digits, size_t n)
{
    uint32_t h = HASH_NUMBER, runs = 0;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (i >= 2 && digits[i] == digits[i - 1] && digits[i] == digits[i - 2])
            continue;
        if (i == 0 || digits[i] != digits[i - 1])
            runs++;
        h = hash_step(h, digits[i]);
        kept++;
    }
    bool laugh = n >= 3 && runs == 2 && digits[0] == '2' && digits[1] == '3' && digits[n - 1] == '3';
    bool run = n >= 2 && runs == 1 && (digits[0] == '5' || digits[0] == '6' || digits[0] == '8');
    bool love = n == 3 && digits[0] == '5' && digits[1] == '2' && (digits[2] == '0' || digits[2] == '1');
    return laugh || run || love ? token_of_hash(h) : token_of_hash(HASH_NUMBER + (kept > 2 ? 1u : 0u));
}

/* At an opening bracket: reads ahead for the closing one. Returns the code points read after the bracket, or 0. */
static size_t read_bracket(const struct emotion_words *words, const char **p, const char *end, size_t room, uint32_t *out_token)
{
    const char *q = *p;
    uint32_t h = HASH_BRACKET;
    for (size_t n = 1; n <= BRACKET_MAX + 1 && n <= room && q < end; n++) {
        uint32_t c = plain(words, utf8_next(&q, end));
        if (c == ']') {
            if (n == 1)
                return 0;
            *out_token = token_of_hash(h);
            *p = q;
            return n;
        }
        if (c == '[' || c == '\n' || c == ',' || c == '.')
            return 0;
        if (c != 0)
            h = hash_step(h, c);
    }
    return 0;
}

size_t emotion_tokenise(const struct emotion_words *words, struct span text, size_t characters, struct emotion_tokens *t)
{
    const char *p = text.p, *end = text.p ? text.p + text.n : text.p;
    size_t seen = 0;
    while (p < end && seen < characters) {
        const char *from = p;
        size_t before = t->n;
        uint32_t c = next_plain(words, &p, end);
        seen++;
        if (c == 0)
            continue;
        if (c >= EMOTION_FOLD_FIRST) {
            push_plain(t, c);
        } else if (is_letter(c)) {
            uint32_t h = HASH_WORD, last = 0, twice = 0;
            for (;;) {
                twice = c == last ? twice + 1 : 0;
                if (twice < 2)
                    h = hash_step(h, c);
                last = c;
                const char *q = p;
                if (p >= end || seen >= characters || !is_letter(c = plain(words, utf8_next(&q, end))))
                    break;
                p = q;
                seen++;
            }
            push(t, token_of_hash(h));
        } else if (is_digit(c)) {
            uint32_t digits[12];
            size_t n = 0;
            for (;;) {
                if (n < LENGTH(digits))
                    digits[n++] = c;
                const char *q = p;
                if (p >= end || seen >= characters || !is_digit(c = plain(words, utf8_next(&q, end))))
                    break;
                p = q;
                seen++;
            }
            push(t, number_token(digits, n));
        } else if (c == '[') {
            uint32_t token;
            size_t n = read_bracket(words, &p, end, characters - seen, &token);
            seen += n;
            push(t, n ? token : '[');
        } else {
            push(t, c);
        }
        if (t->place && t->n > before)
            t->place[before] = span_from(from, (size_t)(p - from));
    }
    t->at[t->n] = 0;
    return seen;
}

/* without blanks and line ends around it */
static struct span trim(struct span s)
{
    while (s.n && memchr(" \t\r\n", s.p[0], 4))
        s = span_cut(s, 1);
    while (s.n && memchr(" \t\r\n", s.p[s.n - 1], 4))
        s.n--;
    return s;
}

void emotion_tokens_of(const struct emotion_words *words, struct span title, struct span content, struct emotion_tokens *t) { emotion_tokens_placed(words, title, content, NULL, t); }

void emotion_tokens_placed(const struct emotion_words *words, struct span title, struct span content, struct span *place, struct emotion_tokens *t)
{
    t->n = 0;
    t->place = place;
    title = trim(title);
    content = trim(content);
    size_t seen = 0;
    /* a title that the content repeats says nothing twice */
    if (title.n && !span_begins(content, title)) {
        seen = emotion_tokenise(words, title, EMOTION_CHARACTERS, t);
        push(t, EMOTION_TOKEN_BREAK);
        if (t->place && t->n)
            t->place[t->n - 1].n = 0;                        /* stands for itself alone */
    }
    emotion_tokenise(words, content, EMOTION_CHARACTERS - seen, t);
}
