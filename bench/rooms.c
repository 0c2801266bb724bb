/* bench/rooms.c: chat over WebSockets: in each room so many messages are always under way, and one counts as delivered when the last member has it.
 *
 *   rooms --port P --rooms R --members M --speakers S --seconds T --people FORMAT --name NAME [--warm 0.5] [--pids A,B]
 *
 * R rooms NAME-0 … of M sockets each; the first S members of a room are its speakers, each with one message under way: the next is said when all M (the speaker too) have
 * received the last one. FORMAT ("u%07d") makes the openId of the n-th socket. Latency is from the write of the message to the read of its last copy, both in this one thread, so with many
 * members it contains the reading of the others' copies.
 *
 * A message's text begins with the number of its speaker and a running number, "7.000042|": a copy that belongs to no message under way, or comes twice to a socket (in the sum: more
 * copies than members), ends the tool. */
#include "websocket.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { IN_BYTES = 64 * 1024 };

struct member { int fd; size_t n; char *in; };             /* `in` holds what is left of a frame, NULL most of the time */
struct speaker { int fd, who; uint64_t number, began_ns; size_t copies; };

static struct {
    size_t members, speaker_n;
    struct speaker *speakers;                              /* of all rooms */
    const char *people;
    uint64_t messages, deliveries, under_way;
    bool counting, ending;
    struct samples took;
    int epoll;
} chat;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void name_of(char out[64], int n) { snprintf(out, 64, chat.people, n); }
#pragma GCC diagnostic pop

static void say(struct speaker *s)
{
    char openid[64], text[512];
    name_of(openid, s->who);
    int n = snprintf(text, sizeof text, "{\"openid\":\"%s\",\"message\":\"%zu.%06llu|今天晚上一起去看那场演出好不好，七点在门口等你。\"}", openid, (size_t)(s - chat.speakers), (unsigned long long)++s->number);
    s->copies = 0;
    s->began_ns = tool_now_ns();
    chat.under_way++;
    ws_send(s->fd, WS_TEXT, span_from(text, (size_t)n));
}

static void heard(struct span frame)
{
    static const char key[] = "\"message\":\"";
    const char *p = memmem(frame.p, frame.n, key, sizeof key - 1);
    char *end, *end2;
    if (!p) tool_fail("the server says: %.*s", SPAN_ARGS(frame));
    size_t who = strtoul(p + sizeof key - 1, &end, 10);
    if (*end != '.' || who >= chat.speaker_n) tool_fail("a strange message: %.*s", SPAN_ARGS(frame));
    struct speaker *s = &chat.speakers[who];
    if (strtoull(end + 1, &end2, 10) != s->number) tool_fail("a message that nobody waits for: %.*s", SPAN_ARGS(frame));
    if (++s->copies < chat.members) return;
    chat.under_way--;
    if (chat.counting) {
        chat.messages++;
        chat.deliveries += chat.members;
        samples_add(&chat.took, (tool_now_ns() - s->began_ns) / 1000);
    }
    if (!chat.ending) say(s);
}

static void member_read(struct member *m)
{
    static char bytes[IN_BYTES + 1];
    if (m->n) memcpy(bytes, m->in, m->n);
    ssize_t got = read(m->fd, bytes + m->n, IN_BYTES - m->n);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) tool_fail("the server closed a WebSocket (%s)", got ? strerror(errno) : "end of file");
    struct span left = span_from(bytes, m->n + (size_t)got), payload;
    int opcode;
    for (size_t n; (n = ws_frame(left, &opcode, &payload)); left = span_cut(left, n)) {
        if (opcode == WS_TEXT) heard(payload);
        else if (opcode == WS_PING) ws_send(m->fd, WS_PONG, payload);
        else tool_fail("a frame of kind %d: %.*s", opcode, SPAN_ARGS(payload));
    }
    m->n = left.n;
    if (!left.n) return;
    if (!m->in && !(m->in = malloc(IN_BYTES))) tool_fail("out of memory");
    memcpy(m->in, left.p, left.n);
}

static void turn(int wait_ms)
{
    struct epoll_event events[512];
    int n = epoll_wait(chat.epoll, events, LENGTH(events), wait_ms);
    if (n < 0 && errno != EINTR) tool_fail("epoll: %s", strerror(errno));
    for (int i = 0; i < n; i++) member_read(events[i].data.ptr);
}

static void run_until(uint64_t end_ns)
{
    while (tool_now_ns() < end_ns) turn(10);
}

static void member_open(struct member *m, int port, const char *room, size_t index, int who)
{
    char openid[64], target[256];
    name_of(openid, who);
    snprintf(target, sizeof target, "/ws/chat/%s-%zu/?openId=%s", room, index, openid);
    m->fd = tool_connect(port);
    ws_open(m->fd, target);
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = m };
    if (epoll_ctl(chat.epoll, EPOLL_CTL_ADD, m->fd, &ev) != 0) tool_fail("epoll: %s", strerror(errno));
}

int main(int argc, char **argv)
{
    int port = (int)tool_number(argc, argv, "--port", 0);
    size_t rooms = (size_t)tool_number(argc, argv, "--rooms", 1), each = (size_t)tool_number(argc, argv, "--speakers", 1);
    double seconds = tool_seconds(argc, argv, "--seconds", 1), warm = tool_seconds(argc, argv, "--warm", 0.5);
    const char *pids = tool_option(argc, argv, "--pids", ""), *name = tool_option(argc, argv, "--name", NULL);
    chat.members = (size_t)tool_number(argc, argv, "--members", 2);
    chat.people = tool_option(argc, argv, "--people", NULL);
    chat.speaker_n = rooms * each;
    tool_raise_descriptors(rooms * chat.members + 16);
    chat.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct member *all = calloc(rooms * chat.members, sizeof *all);
    chat.speakers = calloc(chat.speaker_n, sizeof *chat.speakers);
    if (chat.epoll < 0 || !all || !chat.speakers || each > chat.members) tool_fail("cannot start");
    for (size_t r = 0; r < rooms; r++)
        for (size_t i = 0; i < chat.members; i++) {
            struct member *m = &all[r * chat.members + i];
            int who = (int)(r * chat.members + i);
            member_open(m, port, name, r, who);
            if (i < each) chat.speakers[r * each + i] = (struct speaker){ .fd = m->fd, .who = who };
        }
    for (size_t i = 0; i < chat.speaker_n; i++) say(&chat.speakers[i]);
    run_until(tool_now_ns() + (uint64_t)(warm * 1e9));
    chat.counting = true;
    uint64_t cpu = tool_cpu_of_us(pids), own = tool_cpu_ns(), began = tool_now_ns();
    run_until(began + (uint64_t)(seconds * 1e9));
    uint64_t ended = tool_now_ns();
    cpu = tool_cpu_of_us(pids) - cpu;
    own = tool_cpu_ns() - own;
    chat.counting = false;
    chat.ending = true;
    for (uint64_t until = ended + 20000000000U; chat.under_way;) {
        if (tool_now_ns() > until) tool_fail("%llu messages never reached everybody", (unsigned long long)chat.under_way);
        turn(100);
    }
    double time = (double)(ended - began) / 1e9, per = chat.deliveries ? (double)chat.deliveries : 1;
    printf("{\"messages_per_second\":%.1f,\"deliveries_per_second\":%.1f,\"p50_us\":%.0f,\"p99_us\":%.0f,\"server_cpu_us\":%.3f,\"own_cpu_us\":%.3f}\n", (double)chat.messages / time,
           (double)chat.deliveries / time, samples_share(&chat.took, 0.5), samples_share(&chat.took, 0.99), (double)cpu / per, (double)own / 1e3 / per);
    return 0;
}
