/* sandbox/world.c: who lives in the simulated WeChat. People and rooms are made and changed, never taken away; a reset makes a new world. All of it on the heap, so that a
 * call which fails half way (its arena is at its end) leaves nothing that points into the call.
 *
 * People are found by name and by openid through two small open-addressing tables, because a load test logs in tens of thousands of them. */
#include <stdio.h>

#include "sandbox/sandbox_in.h"

enum { MAX_CONSENTS = 100, PROOF_BYTES = 5, HASH_BYTES = 15 };

/* ---- texts ---- */

bool text_set(char **at, struct span s)
{
    char *z = base_alloc(s.n + 1);
    if (!z) return false;
    if (s.n) memcpy(z, s.p, s.n);
    z[s.n] = '\0';
    free(*at);
    *at = z;
    return true;
}

bool person_name_ok(struct span s)
{
    if (s.n == 0 || s.n > NAME_BYTES || !utf8_valid(s) || s.p[0] == '@' || span_find(s, '/') >= 0) return false;
    for (size_t i = 0; i < s.n; i++) if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f) return false;
    return true;
}

/* ---- openids ---- */

static void openid_proof(struct span appid, const unsigned char hash[HASH_BYTES], unsigned char out[PROOF_BYTES])
{
    unsigned char in[64 + HASH_BYTES] = "weir sandbox openid proof", mac[32];
    memcpy(in + 64, hash, HASH_BYTES);
    hmac_sha256(appid, span_from(in, sizeof in), mac);
    memcpy(out, mac, PROOF_BYTES);
}

static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void openid_of(struct span appid, struct span name, char out[OPENID_CHARS + 1])
{
    unsigned char mac[32], raw[HASH_BYTES + PROOF_BYTES + 1] = { 0 };          /* and a zero, so that 27 characters are 160 bits and 2 of padding */
    hmac_sha256(appid, name, mac);
    memcpy(raw, mac, HASH_BYTES);
    openid_proof(appid, raw, raw + HASH_BYTES);
    out[0] = 'o';
    for (int i = 0; i < OPENID_CHARS - 1; i++) {
        int bit = i * 6, byte = bit / 8, shift = 10 - bit % 8;
        out[i + 1] = digits64[((raw[byte] << 8 | raw[byte + 1]) >> shift) & 63];
    }
    out[OPENID_CHARS] = '\0';
}

bool openid_valid(struct span appid, struct span openid)
{
    if (openid.n != OPENID_CHARS || openid.p[0] != 'o') return false;
    unsigned char raw[HASH_BYTES + PROOF_BYTES + 1] = { 0 }, proof[PROOF_BYTES];
    for (int i = 0; i < OPENID_CHARS - 1; i++) {
        const char *at = openid.p[i + 1] ? strchr(digits64, openid.p[i + 1]) : NULL;
        if (!at) return false;
        unsigned v = (unsigned)(at - digits64);
        for (int k = 0; k < 6; k++) if (v >> (5 - k) & 1) raw[(i * 6 + k) / 8] |= (unsigned char)(0x80 >> (i * 6 + k) % 8);
    }
    openid_proof(appid, raw, proof);
    return raw[sizeof raw - 1] == 0 && memcmp(proof, raw + HASH_BYTES, PROOF_BYTES) == 0;
}

/* ---- the two tables ---- */

static struct span key_name(const struct person *p) { return span_of(p->name); }
static struct span key_openid(const struct person *p) { return span_of(p->openid); }

static struct person *index_find(const struct index *x, uint64_t seed, struct span key, struct span (*key_of)(const struct person *))
{
    if (x->cap == 0) return NULL;
    for (size_t i = hash64(key, seed) & (x->cap - 1); x->at[i]; i = (i + 1) & (x->cap - 1))
        if (span_is(key_of(x->at[i]), key)) return x->at[i];
    return NULL;
}

static void index_put(struct index *x, uint64_t seed, struct person *p, struct span (*key_of)(const struct person *))
{
    size_t i = hash64(key_of(p), seed) & (x->cap - 1);
    while (x->at[i]) i = (i + 1) & (x->cap - 1);
    x->at[i] = p;
    x->n++;
}

/* room for one more */
static bool index_grow(struct index *x, uint64_t seed, struct span (*key_of)(const struct person *))
{
    if ((x->n + 1) * 2 <= x->cap) return true;
    struct index bigger = { .cap = x->cap ? x->cap * 2 : 512 };
    bigger.at = base_alloc(bigger.cap * sizeof *bigger.at);
    if (!bigger.at) return false;
    memset(bigger.at, 0, bigger.cap * sizeof *bigger.at);
    for (size_t i = 0; i < x->cap; i++) if (x->at[i]) index_put(&bigger, seed, x->at[i], key_of);
    free(x->at);
    *x = bigger;
    return true;
}

/* ---- people ---- */

struct person *world_person(const struct world *w, struct span name) { return index_find(&w->by_name, w->hash_seed, name, key_name); }
struct person *world_by_openid(const struct world *w, struct span openid) { return index_find(&w->by_openid, w->hash_seed, openid, key_openid); }

struct person *world_someone(const struct world *w, struct span who)
{
    struct person *p = world_person(w, who);
    for (size_t i = 0; !p && i < w->people_n; i++) if (who.n && span_is_z(who, w->people[i]->nickname)) p = w->people[i];
    return p;
}

static void person_free(struct person *p)
{
    if (!p) return;
    char *texts[] = { p->name, p->nickname, p->province, p->city, p->signature, p->remark, p->unionid };
    for (size_t i = 0; i < LENGTH(texts); i++) free(texts[i]);
    while (p->consents) {
        struct consent *c = p->consents;
        p->consents = c->next;
        free(c);
    }
    free(p);
}

static struct person *person_new(struct span name)
{
    struct person *p = base_alloc(sizeof *p);
    if (!p) return NULL;
    *p = (struct person){ .kind = PERSON_HUMAN };
    if (text_set(&p->name, name) && text_set(&p->nickname, name) && text_set(&p->province, SPAN("")) && text_set(&p->city, SPAN("")) && text_set(&p->signature, SPAN(""))
        && text_set(&p->remark, SPAN(""))) {
        openid_of(SPAN(SANDBOX_APPID), name, p->openid);
        return p;
    }
    person_free(p);
    return NULL;
}

struct person *world_add(struct world *w, struct span name)
{
    struct person *p = world_person(w, name);
    if (p || w->people_n >= MAX_PEOPLE) return p;
    if (!index_grow(&w->by_name, w->hash_seed, key_name) || !index_grow(&w->by_openid, w->hash_seed, key_openid)) return NULL;
    if (w->people_n == w->people_cap) {
        size_t cap = w->people_cap ? w->people_cap * 2 : 256;
        struct person **bigger = base_realloc(w->people, cap * sizeof *bigger);
        if (!bigger) return NULL;
        w->people = bigger;
        w->people_cap = cap;
    }
    p = person_new(name);
    if (!p) return NULL;
    w->people[w->people_n++] = p;
    index_put(&w->by_name, w->hash_seed, p, key_name);
    index_put(&w->by_openid, w->hash_seed, p, key_openid);
    return p;
}

int64_t person_consent(const struct person *p, struct span template_id)
{
    for (const struct consent *c = p->consents; c; c = c->next) if (span_is_z(template_id, c->template_id)) return c->left;
    return 0;
}

bool person_set_consent(struct person *p, struct span template_id, int64_t count)
{
    size_t n = 0;
    for (struct consent *c = p->consents; c; c = c->next, n++) {
        if (!span_is_z(template_id, c->template_id)) continue;
        c->left = count;
        return true;
    }
    struct consent *c = n < MAX_CONSENTS ? base_alloc(sizeof *c + template_id.n + 1) : NULL;
    if (!c) return false;
    *c = (struct consent){ .next = p->consents, .left = count };
    memcpy(c->template_id, template_id.p, template_id.n);
    c->template_id[template_id.n] = '\0';
    p->consents = c;
    return true;
}

/* ---- rooms ---- */

struct room *world_room(const struct world *w, struct span name)
{
    for (size_t i = 0; i < w->rooms_n; i++) if (span_is_z(name, w->rooms[i]->name)) return w->rooms[i];
    return NULL;
}

static void room_free(struct room *r)
{
    if (!r) return;
    free(r->name);
    free(r->nickname);
    free(r->members);
    free(r);
}

struct room *world_add_room(struct world *w, struct span name, struct person **members, size_t n, struct person *owner)
{
    struct room *r = world_room(w, name);
    struct person **copy = base_alloc((n ? n : 1) * sizeof *copy);
    if (!copy) return NULL;
    if (n) memcpy(copy, members, n * sizeof *copy);
    if (!r) {
        struct room **bigger = w->rooms_n < MAX_ROOMS ? base_realloc(w->rooms, (w->rooms_n + 1) * sizeof *bigger) : NULL;
        if (bigger) w->rooms = bigger;
        r = bigger ? base_alloc(sizeof *r) : NULL;
        if (r) *r = (struct room){ .n = 0 };
        if (!r || !text_set(&r->name, name) || !text_set(&r->nickname, name)) {
            room_free(r);
            free(copy);
            return NULL;
        }
        w->rooms[w->rooms_n++] = r;
    }
    free(r->members);
    r->members = copy;
    r->n = n;
    r->owner = owner;
    return r;
}

/* ---- the standing world ---- */

static const struct standing { const char *name, *nickname, *province, *city, *signature; int sex; enum person_kind kind; } standing[] = {
    { "me", "小微", "广东", "广州", "今天也要好好写日记", 2, PERSON_HUMAN },
    { "bob", "鲍勃", "北京", "海淀", "大提琴，第三排", 1, PERSON_HUMAN },
    { "carol", "卡萝", "上海", "徐汇", "排练别迟到", 2, PERSON_HUMAN },
    { "dave", "dave", "浙江", "杭州", "", 1, PERSON_HUMAN },
    { "erin", "erin", "四川", "成都", "", 2, PERSON_HUMAN },
    { "news", "每日新闻", "", "", "每天早上八点", 0, PERSON_PUBLIC },
    { "weather", "天气预报", "", "", "回复城市名查天气", 0, PERSON_PUBLIC },
};

static bool add_standing(struct world *w, const struct standing *s)
{
    struct person *p = world_add(w, span_of(s->name));
    if (!p) return false;
    p->kind = s->kind;
    p->sex = s->sex;
    p->is_friend = true;
    return text_set(&p->nickname, span_of(s->nickname)) && text_set(&p->province, span_of(s->province)) && text_set(&p->city, span_of(s->city))
        && text_set(&p->signature, span_of(s->signature));
}

static bool add_standing_room(struct world *w, const char *name, const char *nickname, const char *const *members, size_t n, const char *owner)
{
    struct person *who[8];
    must(n <= LENGTH(who));
    for (size_t i = 0; i < n; i++) must((who[i] = world_person(w, span_of(members[i]))) != NULL);
    struct room *r = world_add_room(w, span_of(name), who, n, world_person(w, span_of(owner)));
    return r && text_set(&r->nickname, span_of(nickname));
}

bool world_make(struct world *w, uint64_t seed)
{
    *w = (struct world){ .rooms_n = 0 };
    random_bytes(&w->hash_seed, sizeof w->hash_seed);
    for (size_t i = 0; i < LENGTH(standing); i++) if (!add_standing(w, &standing[i])) return false;
    static const char *const band[] = { "me", "bob", "carol", "dave" }, *const family[] = { "me", "carol", "erin" };
    return names_fill(w, seed, 140) && add_standing_room(w, "band", "弦乐团", band, LENGTH(band), "bob")
        && add_standing_room(w, "family", "相亲相爱一家人", family, LENGTH(family), "me");
}

void world_free(struct world *w)
{
    for (size_t i = 0; i < w->people_n; i++) person_free(w->people[i]);
    for (size_t i = 0; i < w->rooms_n; i++) room_free(w->rooms[i]);
    free(w->people);
    free(w->rooms);
    free(w->by_name.at);
    free(w->by_openid.at);
    *w = (struct world){ .rooms_n = 0 };
}
