/* bench/rows.c: rows straight into a Weir database whose server is stopped: people to measure with, and the bare loop that a durable server is measured against.
 *
 *   rows seed --db FILE --texts FILE --users N --diaries K --strangers M      N people in pairs with K diaries each, M people who never wrote
 *   rows wait --db FILE --count N --strangers M                               N people whose one diary waits to be matched, M who never wrote
 *   rows bare --db FILE --texts FILE --kind KIND --batch B --seconds S --first NUMBER --users N [--warm 0.2]
 *
 * `bare` is the limit: prepared statements in one thread, B times the rows of one command, commit, again; no sockets, no savepoints, no lookups, nothing computed. The pragmas are those of
 * src/store/sqlite.c, the checkpoints those of src/engine/writer.c (between batches, above 2000 frames), the database a copy of the server's. KIND says whose rows:
 *
 *   paired      a diary of somebody who has a partner: one diary_entry (a table, two indexes, the sequence)
 *   strangers   diaries of people without one, every second of which makes a pair: diary_entry and diary_waiting for the first; diary_entry, diary_pair, two diary_member and the
 *               removal of the first's diary_waiting for the second
 *   chat        a message: the room's diary_room and a diary_message
 *
 * The ids of people: 1…N "u0000000"…, behind them the strangers "s00000000"…. A diary's id begins at 1,000,001 and its text has one length, so that every answer about it has. */
#include "tool.h"
#include "shares.h"

#include <sqlite3.h>
#include <stdio.h>
#include <time.h>

enum { FIRST_DIARY = 1000001, WAL_FRAMES = 2000, CHAT_ROOMS = 200 };

static sqlite3 *db;
static int wal_frames;

static void check(int rc, const char *what)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW) tool_fail("%s: %s", what, sqlite3_errmsg(db));
}

static void run(const char *sql) { check(sqlite3_exec(db, sql, NULL, NULL, NULL), sql); }

static sqlite3_stmt *prepare(const char *sql)
{
    sqlite3_stmt *s = NULL;
    check(sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL), sql);
    return s;
}

static void bind_text(sqlite3_stmt *s, int at, struct span text) { check(sqlite3_bind_text(s, at, text.p, (int)text.n, SQLITE_STATIC), "bind"); }
static void bind_int(sqlite3_stmt *s, int at, int64_t v) { check(sqlite3_bind_int64(s, at, v), "bind"); }

static int64_t step(sqlite3_stmt *s)                       /* the first column, if there is a row */
{
    int rc = sqlite3_step(s);
    int64_t out = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    while (rc == SQLITE_ROW) rc = sqlite3_step(s);
    check(rc, sqlite3_sql(s));
    sqlite3_reset(s);
    return out;
}

static int note_wal(void *unused, sqlite3 *of, const char *name, int frames)
{
    (void)unused;
    (void)of;
    (void)name;
    wal_frames = frames;
    return SQLITE_OK;
}

static void open_db(const char *path, const char *synchronous)
{
    check(sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0), "configuration");
    check(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL), path);
    run("PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY; PRAGMA journal_mode=WAL; PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-32768");
    run(synchronous);
    sqlite3_wal_autocheckpoint(db, 0);
    sqlite3_wal_hook(db, note_wal, NULL);
}

static int64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- texts: "title TAB content" a line ---- */

struct text { struct span title, content; struct holes holes; };
static struct text *texts;
static size_t text_n;

static void texts_read(const char *path)
{
    struct span left = tool_read_file(path);
    while (left.n) {
        int end = span_find(left, '\n');
        struct span line = { left.p, end < 0 ? left.n : (size_t)end };
        int tab = span_find(line, '\t');
        left = span_cut(left, line.n + 1);
        if (tab < 0) tool_fail("%s: title, tab, content expected", path);
        if (text_n % 256 == 0) texts = realloc(texts, (text_n + 256) * sizeof *texts);
        if (!texts) tool_fail("out of memory");
        struct text t = { { line.p, (size_t)tab }, span_cut(line, (size_t)tab + 1), { 0 } };
        t.holes = holes_find(t.content);
        texts[text_n++] = t;
    }
    if (!text_n) tool_fail("%s: no texts", path);
}

/* The text with its number in it; good until the next call. */
static struct span numbered(const struct text *t, uint64_t number)
{
    static char room[65536];
    if (t->content.n > sizeof room) tool_fail("a text of %zu bytes", t->content.n);
    memcpy(room, t->content.p, t->content.n);
    holes_fill(&t->holes, room, number);
    return span_from(room, t->content.n);
}

/* ---- seeding ---- */

static void put_person(sqlite3_stmt *s, int64_t id, const char *openid, int64_t now_ms)
{
    char name[32];
    snprintf(name, sizeof name, "用户%07lld", (long long)id);
    bind_int(s, 1, id);
    bind_text(s, 2, span_of(openid));
    bind_text(s, 3, span_of(name));
    bind_int(s, 4, now_ms);
    step(s);
}

static sqlite3_stmt *person(void)
{
    return prepare("INSERT INTO diary_user (id, openid, nickname, avatar, gender, province, city, country, created_ms) VALUES (?1, ?2, ?3, 'https://thirdwx.example/mmopen/0', 2, '浙江', '杭州', '中国', ?4)");
}

static void seed_strangers(int64_t first_id, long count, int64_t now_ms)
{
    sqlite3_stmt *s = person();
    char openid[32];
    for (long i = 0; i < count; i++) {
        snprintf(openid, sizeof openid, "s%08ld", i);
        put_person(s, first_id + i, openid, now_ms);
    }
    sqlite3_finalize(s);
}

#define DIARY "窗台上的薄荷又长出来一截，掐了两片泡水，站在阳台看楼下的人收摊。风很大，晒的被子鼓得像船，一个下午就这么过去了。########"

static void seed(long users, long diaries, long strangers)
{
    static const unsigned char p[16];
    int64_t now = wall_ms();
    sqlite3_stmt *who = person();
    sqlite3_stmt *entry = prepare("INSERT INTO diary_entry (id, user_id, title, content, emotion, p, created_ms, edited_ms) VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?6)");
    sqlite3_stmt *pair = prepare("INSERT INTO diary_pair (id, one_id, two_id, created_ms) VALUES (?1, ?2, ?3, ?4)");
    sqlite3_stmt *member = prepare("INSERT INTO diary_member (user_id, pair_id, partner_id) VALUES (?1, ?2, ?3)");
    struct text t = { SPAN("周三，有风"), SPAN(DIARY), holes_find(SPAN(DIARY)) };
    char openid[32];
    for (long i = 0; i < users; i++) {
        snprintf(openid, sizeof openid, "u%07ld", i);
        put_person(who, i + 1, openid, now);
    }
    for (long i = 0; i < users * diaries; i++) {
        bind_int(entry, 1, FIRST_DIARY + i);
        bind_int(entry, 2, i % users + 1);
        bind_text(entry, 3, t.title);
        bind_text(entry, 4, numbered(&t, (uint64_t)i));
        check(sqlite3_bind_blob(entry, 5, p, sizeof p, SQLITE_STATIC), "bind");
        bind_int(entry, 6, now - 10 * 24 * 3600000LL + i);
        step(entry);
    }
    for (long i = 0; i + 1 < users; i += 2) {
        int64_t id = i / 2 + 1;
        bind_int(pair, 1, id);
        bind_int(pair, 2, i + 1);
        bind_int(pair, 3, i + 2);
        bind_int(pair, 4, now);
        step(pair);
        for (int k = 0; k < 2; k++) {
            bind_int(member, 1, i + 1 + k);
            bind_int(member, 2, id);
            bind_int(member, 3, i + 2 - k);
            step(member);
        }
    }
    seed_strangers(users + 1, strangers, now);
    sqlite3_finalize(who);
    sqlite3_finalize(entry);
    sqlite3_finalize(pair);
    sqlite3_finalize(member);
}

/* As a day and a half of people left them, oldest first. */
static void seed_waiting(long count, long strangers)
{
    int64_t now = wall_ms(), span_ms = 36 * 3600000LL;
    static const unsigned char p[16];
    sqlite3_stmt *who = person();
    sqlite3_stmt *entry = prepare("INSERT INTO diary_entry (id, user_id, title, content, emotion, p, created_ms, edited_ms) VALUES (?1, ?1, '', '今天的事，写在这里，明天再看。', ?2, ?3, ?4, ?4)");
    sqlite3_stmt *wait = prepare("INSERT INTO diary_waiting (diary_id, user_id, emotion, v, created_ms) VALUES (?1, ?1, ?2, ?3, ?4)");
    for (long i = 1; i <= count; i++) {
        unsigned char blob[MATCH_AXES * 4];
        char openid[32];
        struct match_vector v = { { 0 } };
        int code = 0;
        while (!code) {                                    /* seven small shares leave nothing salient: then it would not wait here */
            v = vector_shares(0);
            for (int a = 1; a < MATCH_AXES; a++)
                if (v.at[a] && (!code || v.at[a] > v.at[code])) code = a;
        }
        v = match_vector_reduce(&v);
        for (int a = 0; a < MATCH_AXES; a++)
            for (int k = 0; k < 4; k++) blob[4 * a + k] = (unsigned char)(v.at[a] >> (24 - 8 * k));
        int64_t at = now - span_ms + span_ms * i / (count + 1);
        snprintf(openid, sizeof openid, "w%08ld", i);
        put_person(who, i, openid, at);
        bind_int(entry, 1, i);
        bind_int(entry, 2, code);
        check(sqlite3_bind_blob(entry, 3, p, sizeof p, SQLITE_STATIC), "bind");
        bind_int(entry, 4, at);
        step(entry);
        bind_int(wait, 1, i);
        bind_int(wait, 2, code);
        check(sqlite3_bind_blob(wait, 3, blob, sizeof blob, SQLITE_TRANSIENT), "bind");
        bind_int(wait, 4, at);
        step(wait);
    }
    seed_strangers(count + 1, strangers, now);
    sqlite3_finalize(who);
    sqlite3_finalize(entry);
    sqlite3_finalize(wait);
}

/* ---- the bare loop ---- */

enum kind { PAIRED, STRANGERS, CHAT };
static struct { sqlite3_stmt *entry, *wait, *leave, *pair, *member, *seq, *say; int64_t waiting_diary, waiting_user; } st;

static void bare_prepare(void)                             /* the texts of src/apps/diary/{entries,matching,chat}.c; RETURNING only where its value is needed: it costs more than the row */
{
    st.entry = prepare("INSERT INTO diary_entry (user_id, title, content, emotion, p, created_ms, edited_ms) VALUES ($1, $2, $3, $4, $5, $6, $6)");
    st.wait = prepare("INSERT INTO diary_waiting (diary_id, user_id, emotion, v, created_ms) VALUES ($1, $2, $3, $4, $5)"
                      " ON CONFLICT (diary_id) DO UPDATE SET emotion = excluded.emotion, v = excluded.v");
    st.leave = prepare("DELETE FROM diary_waiting WHERE user_id = $1");
    st.pair = prepare("INSERT INTO diary_pair (one_id, two_id, created_ms) VALUES ($1, $2, $3)");
    st.member = prepare("INSERT INTO diary_member (user_id, pair_id, partner_id) VALUES ($1, $2, $3)");
    st.seq = prepare("INSERT INTO diary_room (room, last_seq) VALUES ($1, 1) ON CONFLICT (room) DO UPDATE SET last_seq = diary_room.last_seq + 1 RETURNING last_seq");
    st.say = prepare("INSERT INTO diary_message (room, seq, user_id, content, created_ms) VALUES ($1, $2, $3, $4, $5)");
}

static int64_t bare_entry(int64_t user, uint64_t number, int64_t now)
{
    static const unsigned char p[16] = { 0x13, 0x88, 0x13, 0x88 };
    const struct text *t = &texts[number % text_n];
    bind_int(st.entry, 1, user);
    bind_text(st.entry, 2, t->title);
    bind_text(st.entry, 3, numbered(t, number));
    bind_int(st.entry, 4, 1 + (int64_t)(number % 7));
    check(sqlite3_bind_blob(st.entry, 5, p, sizeof p, SQLITE_STATIC), "bind");
    bind_int(st.entry, 6, now);
    step(st.entry);
    return sqlite3_last_insert_rowid(db);
}

static void bare_strangers(int64_t user, uint64_t number, int64_t now)
{
    static const unsigned char v[MATCH_AXES * 4] = { [7] = 3, [11] = 5 };
    int64_t diary = bare_entry(user, number, now);
    if (!st.waiting_user) {
        bind_int(st.wait, 1, diary);
        bind_int(st.wait, 2, user);
        bind_int(st.wait, 3, 1);
        check(sqlite3_bind_blob(st.wait, 4, v, sizeof v, SQLITE_STATIC), "bind");
        bind_int(st.wait, 5, now);
        step(st.wait);
        st.waiting_user = user;
        return;
    }
    bind_int(st.pair, 1, user);
    bind_int(st.pair, 2, st.waiting_user);
    bind_int(st.pair, 3, now);
    step(st.pair);
    int64_t pair = sqlite3_last_insert_rowid(db);
    for (int k = 0; k < 2; k++) {
        bind_int(st.member, 1, k ? st.waiting_user : user);
        bind_int(st.member, 2, pair);
        bind_int(st.member, 3, k ? user : st.waiting_user);
        step(st.member);
    }
    bind_int(st.leave, 1, st.waiting_user);
    step(st.leave);
    if (sqlite3_changes(db) != 1) tool_fail("the bare loop paired nobody");
    st.waiting_user = 0;
}

static void bare_say(int64_t user, uint64_t number, int64_t now)
{
    char room[32];
    snprintf(room, sizeof room, "n:bare-%d", (int)(number % CHAT_ROOMS));
    bind_text(st.seq, 1, span_of(room));
    int64_t seq = step(st.seq);
    bind_text(st.say, 1, span_of(room));
    bind_int(st.say, 2, seq);
    bind_int(st.say, 3, user);
    bind_text(st.say, 4, SPAN("123.000042|今天晚上一起去看那场演出好不好，七点在门口等你。"));
    bind_int(st.say, 5, now);
    step(st.say);
}

static void bare(enum kind kind, size_t batch, double warm, double seconds, uint64_t first, int64_t users)
{
    struct samples took = { 0 };
    uint64_t number = first, counted = 0, start = tool_now_ns(), from = start + (uint64_t)(warm * 1e9), to = from + (uint64_t)(seconds * 1e9), began = 0, now;
    int checkpointed = 0;
    bare_prepare();
    sqlite3_stmt *begin = prepare("BEGIN IMMEDIATE"), *commit = prepare("COMMIT");
    do {
        uint64_t at = tool_now_ns();
        int64_t ms = wall_ms();
        step(begin);
        for (size_t i = 0; i < batch; i++, number++) {
            if (kind == PAIRED) bare_entry(1 + (int64_t)(number % (uint64_t)users), number, ms);
            else if (kind == STRANGERS) bare_strangers(users + 1 + (int64_t)number, number, ms);
            else bare_say(1 + (int64_t)(number % (uint64_t)users), number, ms);
        }
        step(commit);
        if (wal_frames < checkpointed) checkpointed = 0;
        if (wal_frames - checkpointed > WAL_FRAMES) {
            check(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL), "checkpoint");
            checkpointed = wal_frames;
        }
        now = tool_now_ns();
        if (at >= from) {
            if (!began) began = at;
            counted += batch;
            samples_add(&took, (now - at) / 1000);
        }
    } while (now < to || !counted);
    printf("{\"per_second\":%.1f,\"p50_us\":%.0f,\"p99_us\":%.0f,\"next\":%llu}\n", (double)counted * 1e9 / (double)(now - began), samples_share(&took, 0.5), samples_share(&took, 0.99),
           (unsigned long long)number);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "", *path = tool_option(argc, argv, "--db", NULL);
    long strangers = tool_number(argc, argv, "--strangers", 0), users = tool_number(argc, argv, "--users", 1);
    if (strcmp(what, "bare") == 0) {
        const char *kind = tool_option(argc, argv, "--kind", NULL);
        texts_read(tool_option(argc, argv, "--texts", NULL));
        open_db(path, "PRAGMA synchronous=FULL");
        bare(strcmp(kind, "paired") == 0 ? PAIRED : strcmp(kind, "strangers") == 0 ? STRANGERS : CHAT, (size_t)tool_number(argc, argv, "--batch", 1),
             tool_seconds(argc, argv, "--warm", 0.2), tool_seconds(argc, argv, "--seconds", 1), (uint64_t)tool_number(argc, argv, "--first", 0), users);
        sqlite3_close_v2(db);
        return 0;
    }
    open_db(path, "PRAGMA synchronous=OFF");
    run("BEGIN IMMEDIATE");
    if (strcmp(what, "seed") == 0) seed(users, tool_number(argc, argv, "--diaries", 0), strangers);
    else if (strcmp(what, "wait") == 0) seed_waiting(tool_number(argc, argv, "--count", 0), strangers);
    else tool_fail("rows seed, rows wait or rows bare");
    run("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
    if (sqlite3_close(db) != SQLITE_OK) tool_fail("a statement was left open");
    return 0;
}
