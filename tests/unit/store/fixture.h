/* tests/unit/store/fixture.h: what the store's tests share: a database in a folder of its own, a look at it past the seam, a process that is expected to die. */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/store_in.h"

#define QUERY(variable, text) static const struct query variable = { "test." #variable, text, 0 }
#define ARGS(...) (struct value[]){ __VA_ARGS__ }, LENGTH(((struct value[]){ __VA_ARGS__ }))

struct fixture {
    char folder[64], path[96];
    struct store *store;
    struct store_conn *writer, *reader;
    struct arena *arena;
};

/* thing (id, name unique, data, n), part (id, thing → thing) */
extern const struct migration thing_migrations[];

int fixture_setup(void **state);                        /* cmocka: *state is a struct fixture, opened */
int fixture_teardown(void **state);
struct fixture *fixture_new(void);                      /* the folder only; fails the test on trouble */
void fixture_connect(struct fixture *);                 /* opens the store with thing_migrations, a writer, a reader */
void fixture_disconnect(struct fixture *);
void fixture_free(struct fixture *);

/* Opens with any lists; *out_text is what store_open said (static, overwritten by the next call). */
struct store *open_with(const char *path, const struct migration *const *lists, size_t n, bool check_only, const char **out_text);

/* Past the seam, by a connection of its own: the first column of the first row; integrity. */
int64_t raw_number(const char *path, const char *sql);
void raw_counts(const char *path, const char *sql, int64_t *out_counts, size_t n);    /* rows (key, count): key's place in out_counts, others 0 */
void raw_exec(const char *path, const char *sql);
void raw_assert_sound(const char *path);
/* What a restart finds when the process had died now: the database and its log, without the memory they share. `to` is made anew. */
void copy_as_after_crash(const char *path, const char *to);
bool file_exists(const char *path);
void file_copy(const char *from, const char *to);       /* `to` disappears if `from` is not there */

/* One row, one column, through a view of the fixture's reader. */
int64_t count_things(struct fixture *);
/* A job of one insert into thing (name, n); what store_settle said. */
enum store_settled put_thing(struct store_conn *, const char *name, int64_t n);
/* Runs fn in a child; true if must() ended it. Nothing of the parent's may be open in SQLite then: POSIX locks do not survive a fork, so fn opens its own. */
bool dies(void (*fn)(const char *path), const char *path);
#endif
