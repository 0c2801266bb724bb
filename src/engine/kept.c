/* engine/kept.c: rows that nearly every request asks for, kept by each loop until they change.
 *
 * Who is calling and who is his partner are the same few rows again and again, and half of what a short answer costs. A query that says on which rows of which tables its result depends (kept_by in
 * store.h) is asked of the store once; its row is good until one of those rows changes. The writer stamps every row it touches with the number of the commit that it is working on; a kept row carries
 * the number of the last commit that its view can have seen. A stamp above that number: asked again.
 *
 * Why it cannot be stale. A stamp is set while the change is made, thus before its commit, and the counter of commits rises after the commit and before anybody is told. A loop reads the counter before it
 * takes a view, so a row read from that view knows all changes up to that number, perhaps more, never fewer. A change rolled back leaves a stamp that is too high: asked again, no harm. Stamps are shared by
 * the rows whose hashes collide: asked again, no harm. What another program writes into the database (nobody should) is noticed after KEPT_MS.
 *
 * Nothing is kept of a view on a worker or in the writer's transaction, which sees what is not committed. A store that cannot tell what changed keeps nothing. */
#include "engine/engine_in.h"
#include "base/clock.h"

enum { KEPT_ROWS = 8192 /* a loop */, KEPT_BYTES = 2048 /* of text in a row */, KEPT_KEY = 256, KEPT_COLUMNS = 16, STAMPS = 1 << 13, KEPT_MS = 5000 };

struct kept_row { const struct query *query; uint64_t tag; int64_t id, until_mono_ms; size_t columns, bytes; struct value key, *values; /* one block: values, texts, text of the key */ };
struct kept { struct kept_row row[KEPT_ROWS]; };

/* ---- what changed ---- */

static size_t place_of(const char *table, int64_t id)
{
    uint64_t h = (uint64_t)id;
    for (const char *p = table; *p; p++) h = (h ^ (unsigned char)*p) * 0x100000001b3u;
    return (size_t)(h * 0x9e3779b97f4a7c15u >> 51) & (STAMPS - 1);
}

static void changed(void *arg, const char *table, int64_t id)
{
    struct engine *e = arg;
    atomic_store(&e->stamps[place_of(table, id)], atomic_load(&e->commits) + 1);
}

bool kept_start(struct engine *e)
{
    e->stamps = base_alloc(STAMPS * sizeof *e->stamps);
    if (!e->stamps) return false;
    for (size_t i = 0; i < STAMPS; i++) atomic_init(&e->stamps[i], 0);
    e->keeps = store_watch(e->writer_conn, changed, e);
    return true;
}

void kept_stop(struct engine *e)
{
    free(e->stamps);
    e->stamps = NULL;
}

void kept_free(struct loop_state *s)
{
    for (size_t i = 0; s->kept && i < KEPT_ROWS; i++) free(s->kept->row[i].values);
    free(s->kept);
    s->kept = NULL;
}

/* ---- what is kept ---- */

static bool is_key(const struct value *a, const struct value *b)
{
    return a->kind == b->kind && (a->kind == VALUE_INT ? a->i == b->i : span_is(a->s, b->s));
}

/* One place for a query and its key; whoever comes later takes it. NULL: not of the kind that is kept. */
static struct kept_row *slot(struct snap *s, const struct query *q, const struct value *args, size_t n)
{
    struct loop_state *l = s->loop;
    if (!q->kept_by || !l || !l->engine->keeps) return NULL;
    must(n == 1);
    if ((args->kind != VALUE_INT && args->kind != VALUE_TEXT) || args->s.n > KEPT_KEY) return NULL;
    if (!l->kept && (l->kept = base_alloc(sizeof *l->kept))) memset(l->kept, 0, sizeof *l->kept);
    uint64_t h = args->kind == VALUE_INT ? (uint64_t)args->i : hash64(args->s, 0);
    h = (h ^ (uint64_t)(uintptr_t)q) * 0x9e3779b97f4a7c15u;
    return l->kept ? &l->kept->row[h >> 51 & (KEPT_ROWS - 1)] : NULL;
}

static bool is_untouched(const struct engine *e, const struct query *q, int64_t id, uint64_t since)
{
    for (const char *const *table = q->kept_by; *table; table++)
        if (atomic_load(&e->stamps[place_of(*table, id)]) > since) return false;
    return true;
}

/* In the writer's transaction the stamps tell of its own changes too, committed or not. */
bool request_unchanged(const struct request *r, const struct query *q, int64_t id)
{
    must(q->kept_by);
    return r->known && r->engine->keeps && is_untouched(r->engine, q, id, r->known_commits);
}

/* The same row in another block: spans of the old text move by the distance. */
static void move_row(const struct value *from, const char *old_text, char *text, size_t columns, struct value *to)
{
    for (size_t i = 0; i < columns; i++) {
        to[i] = from[i];
        if (from[i].s.p) to[i].s.p = text + (from[i].s.p - old_text);
    }
}

static const struct row *copy_out(struct arena *a, const struct kept_row *k)
{
    size_t columns = k->columns;
    struct row *row = arena_take(a, sizeof *row);
    struct value *values = arena_take(a, columns * sizeof *values + k->bytes);
    char *text = (char *)(values + columns);
    const char *old = (const char *)(k->values + columns);
    memcpy(text, old, k->bytes);
    move_row(k->values, old, text, columns, values);
    *row = (struct row){ columns, values };
    return row;
}

/* Each text goes behind the last one, with the NUL that row_text promises. */
static void keep(struct kept_row *k, const struct loop_state *l, const struct query *q, const struct value *key, const struct row *row)
{
    size_t bytes = 0;
    for (size_t i = 0; i < row->n; i++) bytes += row->at[i].s.p ? row->at[i].s.n + 1 : 0;
    if (row->n > KEPT_COLUMNS || bytes > KEPT_BYTES) return;
    free(k->values);
    *k = (struct kept_row){ 0 };
    struct value *values = base_alloc(row->n * sizeof *values + bytes + key->s.n);
    if (!values) return;
    char *text = (char *)(values + row->n);
    for (size_t i = 0; i < row->n; i++) {
        values[i] = row->at[i];
        if (!row->at[i].s.p) continue;
        values[i].s.p = text;
        memcpy(text, row->at[i].s.p, row->at[i].s.n);
        text[row->at[i].s.n] = '\0';
        text += row->at[i].s.n + 1;
    }
    *k = (struct kept_row){ .query = q, .tag = l->view_commits, .id = row_int(row, 0), .until_mono_ms = clock_mono_ms() + KEPT_MS, .bytes = bytes, .key = *key, .values = values, .columns = row->n };
    if (key->s.n) memcpy(text, key->s.p, key->s.n);
    if (key->kind == VALUE_TEXT) k->key.s.p = text;
}

const struct row *kept_one(struct snap *s, const struct query *q, const struct value *args, size_t n)
{
    struct kept_row *k = slot(s, q, args, n);
    if (k && k->query == q && is_key(&k->key, args) && is_untouched(s->loop->engine, q, k->id, k->tag) && clock_mono_ms() < k->until_mono_ms) return copy_out(s->arena, k);
    struct rows rows = store_query(s->conn, s->arena, q, args, n, 1);
    const struct row *row = rows.n ? rows.at : NULL;
    if (k && row) keep(k, s->loop, q, args, row);
    return row;
}
