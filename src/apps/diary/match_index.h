/* apps/diary/match_index.h: which waiting diary feels most like this one?
 *
 * An index in memory over the vectors of waiting diaries. It answers one question, "give me the entries best first", where
 * best is the greatest cosine with the query and, among equal cosines, the lowest id; the order is exact (integers are
 * compared, never floats) and equals what sorting everything would give. An entry whose cosine is 0 is never given.
 *
 * It is a superset, not the truth: the truth is the table of waiting diaries. The caller takes candidates one by one,
 * verifies each against the database inside its transaction (still waiting? in the window? not paired, not blocked? and
 * still this vector?) and stops at the first that holds. So an entry too many costs a verification and nothing else, and a
 * rolled-back transaction needs no undo here. An entry too few is a wrong match: drop only what a *committed* transaction
 * took out for good, or add it again after a rollback.
 *
 * Vectors have one component a category, the index being the category's code: at[1]..at[7] are 乐 好 怒 哀 惧 恶 惊, whole
 * numbers in any unit (probabilities in 1/10,000, sums of a lexicon); only the direction counts, (0,5,0,…) and (0,9,0,…)
 * are equal and tie by id. The neutral diary needs no second index: a vector without any feeling *is* the direction
 * (1,0,0,0,0,0,0,0), which has cosine 1 with its like and 0 with all others, so a neutral query gives the earliest neutral
 * entry. A diary whose category is neutral although feelings below its threshold remain is entered as the zero vector.
 *
 * Limits: components up to MATCH_STRENGTH_MAX are exact; a vector that exceeds it even after division by the greatest
 * common divisor is scaled down to it (match_vector_reduce is the one place, and a table that stores what it returns agrees
 * with the index always). Ids are positive. Some 40 bytes an entry, docs/why/matching.md has the figures.
 *
 * One thread (the writer). No locks, no time, no randomness: the same calls give the same answers. */
#ifndef WEIR_DIARY_MATCH_INDEX_H
#define WEIR_DIARY_MATCH_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MATCH_AXES = 8, MATCH_STRENGTH_MAX = (1 << 18) - 1 };

struct match_vector { uint32_t at[MATCH_AXES]; };

/* The direction of v in lowest terms: divided by its greatest common divisor; (1,0,…) when it has no feeling at all; at[0]
 * is ignored otherwise. Two vectors have the same direction exactly when the results are equal, so this is what to store
 * and what to compare a candidate with. Idempotent. */
struct match_vector match_vector_reduce(const struct match_vector *v);
bool match_vector_equal(const struct match_vector *a, const struct match_vector *b);    /* component by component */

/* ---- the index ---- */

struct match_index;

struct match_index *match_index_new(void);                           /* NULL when out of memory */
void match_index_free(struct match_index **index);                   /* sets it to NULL; NULL inside is allowed */

/* Adds (id, direction of v). What is there already stays as it is, and counts once. The same id with another direction is
 * another entry, both are found, and the caller's check tells which is meant: an edited diary is simply added again.
 * False when out of memory, and then the index is as before. O(log n), no pauses for rebuilding. */
bool match_index_add(struct match_index *index, int64_t id, const struct match_vector *v);

/* Removes (id, direction of v) at once; false when it is not there or expired. Needs no memory. O(log n). */
bool match_index_drop(struct match_index *index, int64_t id, const struct match_vector *v);

/* From now on entries with an id lower than below_id do not exist: they are never given, and adding one does nothing. For
 * the window of two days, since ids ascend with time: ask the database for the lowest id inside the window and say it
 * here. O(log n); memory comes back in small steps, during this call and later additions. Never goes back: a lower value
 * than before does nothing. */
void match_index_expire(struct match_index *index, int64_t below_id);

size_t match_index_count(const struct match_index *index);           /* entries held, expired ones not yet swept included */
size_t match_index_bytes(const struct match_index *index);           /* memory held, without the allocator's own */

/* ---- the search ---- */

/* All memory of a search belongs to its index, so one that is never ended (its handler left by longjmp) leaks nothing. One
 * search at a time: beginning another, or changing the index, ends this one, and calling match_search_next afterwards is
 * a bug (must). */
struct match_search { struct match_index *index; uint64_t turn; };

enum match_answer { MATCH_END, MATCH_FOUND, MATCH_MEMORY };          /* MATCH_MEMORY: calling again goes on where it stopped */

void match_search_begin(struct match_search *search, struct match_index *index, const struct match_vector *query);

/* The next best candidate, its vector in lowest terms. (Should one id have two directions of equal cosine, the
 * lexicographically lower vector comes first.) Cheap for the first and O(log n) for each further one of equal direction. */
enum match_answer match_search_next(struct match_search *search, int64_t *out_id, struct match_vector *out_vector);
void match_search_end(struct match_search *search);                  /* gives back all but a small reserve; may be called twice */

#endif
