/* sandbox_fuzz: calls of the simulator with any query and body, below the sockets. Byte 0 picks the call, byte 1 the length of the query, the rest is query and body; a byte 1 in the
 * body stands for a valid openid, and calls that need an access token get one, so that the fuzzer gets behind the first checks. Whatever comes, the answer is well-formed JSON or text. */
#include "sandbox/sandbox_in.h"

static const struct { const char *line; bool token; } calls[] = {
    { "GET /sns/jscode2session?", false }, { "POST /cgi-bin/token?", false }, { "POST /cgi-bin/stable_token?", false }, { "POST /wxa/msg_sec_check?access_token=", true },
    { "POST /cgi-bin/message/subscribe/send?access_token=", true }, { "POST /_sandbox/people?", false }, { "POST /_sandbox/rooms?", false }, { "POST /_sandbox/mp/code?", false },
    { "POST /_sandbox/mp/consent?", false }, { "GET /_sandbox/sent?", false }, { "POST /_sandbox/faults?", false }, { "POST /_sandbox/clock?", false }, { "GET /_sandbox/world?", false },
};

static struct sandbox *world_of_all_runs(void)
{
    static struct sandbox *s;
    struct buf err;
    buf_init(&err, 1000);
    if (!s) s = sandbox_new(&(struct sandbox_config){ 1, true }, &err);
    must(s != NULL);
    if (s->world.people_n > 2000 || s->clock_ahead_ms > 0) must(sandbox_reset(s));     /* every run begins about the same */
    return s;
}

static void run(struct call *c, struct span raw)
{
    static struct http_head head;
    size_t scanned = 0;
    const char *why;
    jmp_buf escape;
    c->head = &head;
    if (http_head_parse(raw, &scanned, &head) <= 0 || !http_path_decode(c->a, head.path, &c->path) || !form_parse(c->a, head.query, &c->query, &why)) return;
    if (setjmp(escape) == 0) {
        arena_arm(c->a, &escape);
        sandbox_call(c, official_route(c->path));
        must(c->wait_for || c->out.n > 0 || c->out.failed);
        if (c->out.n > 0 && c->out.n < 1000000) must(json_read(c->a, buf_span(&c->out), &(struct span){ NULL, 0 }) != NULL);
    }
    arena_arm(c->a, NULL);
    buf_done(&c->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2) return 0;
    struct sandbox *s = world_of_all_runs();
    struct arena *a = arena_new(4 * 1024 * 1024);
    const struct token *token = NULL;
    must(a && tokens_stable(s, false, &token) == 0);
    size_t which = data[0] % LENGTH(calls), query = data[1] < n - 2 ? data[1] : n - 2;
    struct span raw = arena_printf(a, "%s%s%.*s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", calls[which].line, calls[which].token ? token->text : "", (int)query, (const char *)data + 2,
        data[1] & 1 ? "Accept-Language: en;q=0.5, zh\r\n" : "");
    struct buf body;
    buf_init(&body, 1024 * 1024);
    for (size_t i = 2 + query; i < n; i++) {
        if (data[i] == 1) buf_add_z(&body, world_person(&s->world, SPAN("bob"))->openid);
        else buf_add(&body, data + i, 1);
    }
    struct call *c = arena_zero(a, sizeof *c);
    must(c != NULL);
    *c = (struct call){ .s = s, .a = a, .body = buf_span(&body), .loopback = true };
    if (!body.failed) run(c, raw);
    buf_done(&body);
    arena_free(&a);
    return 0;
}
