/* store: kill -9. A child writes numbered batches and prints each number when its commit was told; the parent ends it at a random moment, twenty times with the same
 * database. A restart finds every printed number, the next one or not, all of a batch or nothing of it, and no job that was dropped. */
#include "fixture.h"
#include "base/clock.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 20, PARTS = 3 };

QUERY(q_last, "SELECT coalesce(max(n), 0) FROM thing");

/* The child: never returns, and uses no assertion, which would jump back into the parent's test runner. */
static _Noreturn void write_for_ever(const char *path, int out)
{
    const char *text;
    struct buf err;
    buf_init(&err, 1000);
    struct store *store = open_with(path, (const struct migration *const[]){ thing_migrations }, 1, false, &text);
    struct store_conn *c = store ? store_connect(store, false, &err) : NULL;
    struct arena *arena = arena_new(1 << 16);
    if (!c || !arena || store_view_begin(c, 0) != STORE_OK) _exit(3);
    struct rows last = store_query(c, arena, &q_last, NULL, 0, 1);
    store_view_end(c);
    if (last.n != 1) _exit(4);
    for (int64_t n = row_int(&last.at[0], 0) + 1;; n++) {
        if (store_begin(c) != STORE_OK) _exit(5);
        for (int part = 0; part < PARTS; part++) {
            char name[64];
            snprintf(name, sizeof name, "%lld.%d", (long long)n, part);
            if (put_thing(c, name, n) != STORE_KEPT) _exit(6);
            if (store_mark(c) != STORE_OK) _exit(7);
            QUERY(q_refused, "INSERT INTO thing (name, n) VALUES ('refused', -1)");
            store_change(c, &q_refused, NULL, 0);
            if (store_settle(c, false) != STORE_DROPPED) _exit(8);
        }
        if (store_commit(c) != STORE_COMMITTED) _exit(9);
        if (write(out, &n, sizeof n) != (ssize_t)sizeof n) _exit(10);
        struct store_checkpointed moved;
        if (n % 5 == 0 && store_checkpoint(c, &moved) != STORE_OK) _exit(11);
    }
}

static bool read_number(int in, int64_t *out)
{
    size_t got = 0;
    while (got < sizeof *out) {
        ssize_t n = read(in, (char *)out + got, sizeof *out - got);
        if (n <= 0) return false;
        got += (size_t)n;
    }
    return true;
}

static uint64_t random_state;
static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

static void what_was_told_survives_a_kill(void **state)
{
    struct fixture *f = *state;
    random_state = clock_mono_ns() | 1;
    int64_t told = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t wanted = round == 0 ? 0 : random_next() % 40, spins = random_next() % 200000;
        int ends[2];
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(ends[0]);
            write_for_ever(f->path, ends[1]);
        }
        close(ends[1]);
        int64_t n;
        for (uint64_t i = 0; i < wanted && read_number(ends[0], &n); i++) told = n;
        for (volatile uint64_t i = 0; i < spins; i++) { }                            /* not only where a number was just printed */
        assert_int_equal(kill(child, SIGKILL), 0);
        while (read_number(ends[0], &n)) told = n;
        close(ends[0]);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFSIGNALED(status)) fail_msg("the child ended by itself with %d", WEXITSTATUS(status));

        const char *text;
        struct store *s = open_with(f->path, (const struct migration *const[]){ thing_migrations }, 1, false, &text);
        if (!s) fail_msg("round %d: %s", round, text);
        store_close(&s);
        raw_assert_sound(f->path);
        int64_t last = raw_number(f->path, "SELECT coalesce(max(n), 0) FROM thing");
        if (last != told && last != told + 1) fail_msg("round %d: %lld was told, %lld is the last there", round, (long long)told, (long long)last);
        assert_int_equal(raw_number(f->path, "SELECT count(*) FROM thing"), PARTS * last);
        assert_int_equal(raw_number(f->path, "SELECT count(DISTINCT n) FROM thing"), last);
        assert_int_equal(raw_number(f->path, "SELECT count(*) FROM thing WHERE n < 1"), 0);
        told = last;                                    /* committed, although nobody was told: it stays */
    }
    assert_true(told > ROUNDS);
}

static int folder_setup(void **state)
{
    *state = fixture_new();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(what_was_told_survives_a_kill, folder_setup, fixture_teardown) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
