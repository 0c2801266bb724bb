/* net/local.c: where the socket is, however deep its folder; what is in its place is replaced; its mode; a request through it is told apart from one over TCP. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/fetch.h"
#include "net/server.h"

static char folder[400];
static int folder_fd;

static void open_folder(size_t deeper)
{
    snprintf(folder, sizeof folder, "/tmp/weir-local-XXXXXX");
    assert_non_null(mkdtemp(folder));
    if (deeper) {
        size_t n = strlen(folder);
        folder[n] = '/';
        memset(folder + n + 1, 'd', deeper);
        folder[n + 1 + deeper] = '\0';
        assert_int_equal(mkdir(folder, 0700), 0);
    }
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(folder_fd >= 0);
}

static void close_folder(void)
{
    unlinkat(folder_fd, "s", 0);
    close(folder_fd);
    assert_int_equal(rmdir(folder), 0);
    if (strlen(folder) > 40) {
        *strrchr(folder, '/') = '\0';
        assert_int_equal(rmdir(folder), 0);
    }
}

static void the_path_fits(void **state)
{
    char path[LOCAL_PATH_BYTES], expected[LOCAL_PATH_BYTES];
    (void)state;
    open_folder(0);
    assert_true(local_socket_path(folder_fd, folder, "s", path));
    snprintf(expected, sizeof expected, "%.60s/s", folder);
    assert_string_equal(path, expected);
    close_folder();
    open_folder(200);
    assert_true(local_socket_path(folder_fd, folder, "s", path));
    snprintf(expected, sizeof expected, "/proc/self/fd/%d/s", folder_fd);
    assert_string_equal(path, expected);
    assert_false(local_socket_path(-1, folder, "s", path));
    memset(expected, 'x', sizeof expected - 1);
    expected[sizeof expected - 1] = '\0';
    assert_false(local_socket_path(folder_fd, folder, expected, path));
    close_folder();
}

static atomic_int asked_locally, asked_over_tcp;

static void on_request(struct exchange *x, void *user)
{
    (void)user;
    bool local = exchange_is_local(x);
    atomic_fetch_add(local ? &asked_locally : &asked_over_tcp, 1);
    exchange_reply(x, !local || exchange_is_loopback(x) ? 200 : 500, SPAN(""), exchange_client(x));
}

static struct span get(struct arena *a, const char *socket, int port)
{
    struct fetch_reply reply;
    struct fetch_request request = { .method = HTTP_GET, .url = arena_printf(a, "http://127.0.0.1:%d/", port), .socket = socket, .timeout_ms = 10000, .once = true };
    fetch(a, &request, &reply);
    assert_int_equal(reply.fault, FETCH_OK);
    assert_int_equal(reply.status, 200);
    return reply.body;
}

static void one_server(size_t deeper)
{
    char path[LOCAL_PATH_BYTES];
    struct buf err;
    struct stat st;
    buf_init(&err, 1000);
    open_folder(deeper);
    int left = openat(folder_fd, "s", O_CREAT | O_WRONLY | O_CLOEXEC, 0666);      /* whatever is in its place: its own is what a killed server left */
    close(left);
    struct server *s = server_new(&(struct server_config){ .loops = 2, .max_per_address = 1, .on_request = on_request }, &err);
    assert_non_null(s);
    int port = server_listen(s, "127.0.0.1:0", &err);
    assert_true(port > 0);
    assert_true(server_listen_local(s, folder_fd, folder, "s", &err));
    assert_int_equal(fstatat(folder_fd, "s", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(server_start(s, &err));
    assert_true(local_socket_path(folder_fd, folder, "s", path));
    struct arena *a = arena_new(1 << 20);
    int before = atomic_load(&asked_locally);
    for (int i = 0; i < 20; i++) assert_true(span_is(get(a, path, port), SPAN("unix")));
    assert_int_equal(atomic_load(&asked_locally) - before, 20);
    assert_true(span_is(get(a, NULL, port), SPAN("127.0.0.1")));
    fetch_thread_done();
    server_drain(s);
    assert_true(server_wait_drained(s, INT64_MAX / 2000000));
    server_stop(s);
    server_free(&s);
    arena_free(&a);
    buf_done(&err);
    close_folder();
}

static void a_server_listens_on_both(void **state) { (void)state; one_server(0); }
static void also_in_a_deep_folder(void **state) { (void)state; one_server(200); }

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_path_fits), cmocka_unit_test(a_server_listens_on_both), cmocka_unit_test(also_in_a_deep_folder) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
