/* sandbox/journal.c: two logs that tests and the phone page read by sequence number: what clients sent, and which protocol requests came. Entries are finished JSON; the oldest
 * go when there are too many. Numbers grow over resets too: a poller that waits for "since 57" is not deaf after one. */
#include "sandbox/sandbox_in.h"

enum { MAX_ENTRIES = 20 * 1000, MAX_BYTES = 64 * 1024 * 1024, READ_ENTRIES = 1000, READ_BYTES = 4 * 1024 * 1024 };

void journal_begin(struct journal *j, struct jout *o, struct buf *b)
{
    buf_init(b, 2 * 1024 * 1024);
    jout_init(o, b);
    jout_begin_object(o);
    jout_put_int(o, "seq", (int64_t)(j->seq + 1));
}

static void forget_first(struct journal *j)
{
    struct entry *e = j->first;
    j->first = e->next;
    if (!j->first) j->last = NULL;
    j->n--;
    j->bytes -= e->n;
    free(e);
}

bool journal_commit(struct journal *j, struct jout *o)
{
    jout_end_object(o);
    struct entry *e = o->b->failed ? NULL : base_alloc(sizeof *e + o->b->n);
    if (e) {
        *e = (struct entry){ .seq = ++j->seq, .n = o->b->n };
        memcpy(e->json, o->b->p, e->n);
        if (j->last) j->last->next = e;
        else j->first = e;
        j->last = e;
        j->n++;
        j->bytes += e->n;
        while (j->n > MAX_ENTRIES || (j->bytes > MAX_BYTES && j->n > 1)) forget_first(j);
    }
    buf_done(o->b);
    return e != NULL;
}

void journal_read(const struct journal *j, uint64_t since, struct buf *out)
{
    struct jout o;
    jout_init(&o, out);
    jout_begin_object(&o);
    jout_key(&o, "items");
    jout_begin_array(&o);
    uint64_t last = j->seq;
    size_t n = 0, bytes = 0;
    for (const struct entry *e = j->first; e; e = e->next) {
        if (e->seq <= since) continue;
        if (n > 0 && (n == READ_ENTRIES || bytes + e->n > READ_BYTES)) break;
        jout_raw(&o, span_from(e->json, e->n));
        last = e->seq;
        bytes += e->n;
        n++;
    }
    jout_end_array(&o);
    jout_put_int(&o, "last", (int64_t)last);
    jout_end_object(&o);
}

void journal_clear(struct journal *j)
{
    while (j->first) forget_first(j);
}
