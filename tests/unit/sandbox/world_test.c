/* sandbox: the world below the calls: people, openids, generated names, values of subscribe messages. */
#include "call_below.h"

static void the_standing_world_is_as_told(void **state)
{
    (void)state;
    struct world w;
    assert_true(world_make(&w, 7));
    static const char *const names[] = { "me", "bob", "carol", "dave", "erin", "news", "weather" };
    for (size_t i = 0; i < LENGTH(names); i++) assert_non_null(world_person(&w, span_of(names[i])));
    assert_string_equal(world_person(&w, SPAN("me"))->nickname, "小微");
    assert_string_equal(world_someone(&w, SPAN("鲍勃"))->name, "bob");
    assert_null(world_someone(&w, SPAN("nobody")));
    assert_null(world_someone(&w, SPAN("")));
    assert_int_equal(w.people_n, LENGTH(names) + 140);
    const struct room *band = world_room(&w, SPAN("band"));
    assert_int_equal(band->n, 4);
    assert_string_equal(band->owner->name, "bob");
    assert_non_null(world_room(&w, SPAN("family")));
    for (size_t i = 0; i < w.people_n; i++) {
        const struct person *p = w.people[i];
        assert_true(person_name_ok(span_of(p->name)));
        assert_true(p->nickname[0] != '\0');
        if (i >= LENGTH(names)) assert_true(p->city[0] && p->province[0] && p->is_friend);
        assert_ptr_equal(world_person(&w, span_of(p->name)), p);
        assert_ptr_equal(world_by_openid(&w, span_of(p->openid)), p);
    }
    world_free(&w);
}

static void a_seed_repeats_the_names(void **state)
{
    (void)state;
    struct world one, same, other;
    assert_true(world_make(&one, 7) && world_make(&same, 7) && world_make(&other, 8));
    size_t different = 0;
    for (size_t i = 0; i < one.people_n; i++) {
        assert_string_equal(one.people[i]->name, same.people[i]->name);
        assert_string_equal(one.people[i]->city, same.people[i]->city);
        if (strcmp(one.people[i]->name, other.people[i]->name) != 0) different++;
    }
    assert_true(different > 100);
    world_free(&one);
    world_free(&same);
    world_free(&other);
}

static void openids_are_stable_and_prove_their_app(void **state)
{
    (void)state;
    char id[OPENID_CHARS + 1], again[OPENID_CHARS + 1], other[OPENID_CHARS + 1];
    openid_of(SPAN("wx1"), SPAN("bob"), id);
    openid_of(SPAN("wx1"), SPAN("bob"), again);
    openid_of(SPAN("wx2"), SPAN("bob"), other);
    assert_int_equal(strlen(id), 28);
    assert_int_equal(id[0], 'o');
    assert_string_equal(id, again);
    assert_string_not_equal(id, other);
    assert_true(openid_valid(SPAN("wx1"), span_of(id)));
    assert_false(openid_valid(SPAN("wx2"), span_of(id)));
    for (int i = 0; i < OPENID_CHARS; i++) {
        char bent[OPENID_CHARS + 1];
        memcpy(bent, id, sizeof bent);
        bent[i] = bent[i] == 'A' ? 'B' : 'A';
        assert_false(openid_valid(SPAN("wx1"), span_of(bent)));
    }
    assert_false(openid_valid(SPAN("wx1"), SPAN("")));
    assert_false(openid_valid(SPAN("wx1"), SPAN("oGZUI0egBJY1zhBYw2KhdUfwVJJE")));
    /* the one that people's notes and databases may already hold: it must not change between versions */
    openid_of(SPAN(SANDBOX_APPID), SPAN("bob"), id);
    assert_string_equal(id, "oqt_gYX5mv-vfka-j4Z6mN9skDQc");
}

static void people_can_be_many(void **state)
{
    (void)state;
    struct world w;
    char name[32];
    assert_true(world_make(&w, 1));
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "load%d", i);
        assert_non_null(world_add(&w, span_of(name)));
    }
    size_t n = w.people_n;
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "load%d", i);
        const struct person *p = world_person(&w, span_of(name));
        assert_non_null(p);
        assert_ptr_equal(world_by_openid(&w, span_of(p->openid)), p);
        assert_ptr_equal(world_add(&w, span_of(name)), p);
    }
    assert_int_equal(w.people_n, n);
    world_free(&w);
}

static void names_of_people_are_checked(void **state)
{
    (void)state;
    char long_name[66];
    memset(long_name, 'a', 65);
    long_name[65] = '\0';
    assert_false(person_name_ok(span_of(long_name)));
    assert_true(person_name_ok(span_from(long_name, 64)));
    static const char *const bad[] = { "", "@x", "a/b", "a\nb", "\xff", "a\x7f" };
    for (size_t i = 0; i < LENGTH(bad); i++) assert_false(person_name_ok(span_of(bad[i])));
    static const char *const good[] = { "a", "小明", "a b", "x-1_2.3" };
    for (size_t i = 0; i < LENGTH(good); i++) assert_true(person_name_ok(span_of(good[i])));
}

static void subscribe_values_follow_their_kind(void **state)
{
    (void)state;
    static const struct { const char *key, *value; bool good; } rows[] = {
        { "thing1", "弦乐分排", true }, { "thing1", "一二三四五六七八九十一二三四五六七八九十", true }, { "thing1", "一二三四五六七八九十一二三四五六七八九十一", false }, { "thing1", "", false },
        { "thing", "x", false }, { "thing1234", "x", false }, { "thung1", "x", false }, { "1", "x", false }, { "", "x", false },
        { "number2", "12345678901234567890123456789012", true }, { "number2", "123456789012345678901234567890123", false }, { "number2", "1.5", true }, { "number2", "1.", false },
        { "number2", "1.2.3", false }, { "number2", "x", false }, { "letter3", "abcXYZ", true }, { "letter3", "ab1", false }, { "symbol4", "+-*/!", true }, { "symbol4", "+-*/!!", false },
        { "symbol4", "a", false }, { "character_string5", "No.2026-11", true }, { "character_string5", "编号", false },
        { "time6", "15:01", true }, { "time6", "2019年10月1日 15:01", true }, { "time6", "2019-10-01 15:01:30", true }, { "time6", "15:01~16:00", true }, { "time6", "15", false },
        { "time6", "2019年10月1日 15:01~2019年10月1日 16:00", true }, { "time6", "25:00", false }, { "time6", "15:60", false }, { "time6", "15:01~", false }, { "time6", "15:01~16:00~17:00", false },
        { "date7", "2019年10月1日", true }, { "date7", "2019-10-01", true }, { "date7", "2019/10-01", false }, { "date7", "15:01", false }, { "date7", "2019年13月1日", false }, { "date7", "2019年10月32日", false },
        { "date7", "2019年10月1", false }, { "date7", "2019年10月1日~2019年10月5日", true }, { "date7", "明天", false },
        { "amount8", "¥100.25", true }, { "amount8", "100元", true }, { "amount8", "$1", true }, { "amount8", "12345678901", false }, { "amount8", "元", false }, { "amount8", "a1", false },
        { "phone_number9", "+86-0766-66888866", true }, { "phone_number9", "123456789012345678", false }, { "phone_number9", "x", false },
        { "car_number10", "粤A8Z888挂", true }, { "car_number10", "粤A8Z8888挂挂", false }, { "name11", "欧阳娜娜", true }, { "name11", "一二三四五六七八九十一", false },
        { "name11", "abcdefghijklmnopqrst", true }, { "name11", "abcdefghijklmnopqrstu", false }, { "phrase12", "已通过", true }, { "phrase12", "已通过审核了", false }, { "phrase12", "ok", false },
    };
    for (size_t i = 0; i < LENGTH(rows); i++)
        if (subscribe_value_ok(span_of(rows[i].key), span_of(rows[i].value)) != rows[i].good) fail_msg("%s = \"%s\"", rows[i].key, rows[i].value);
}

static void journals_number_and_forget(void **state)
{
    (void)state;
    struct journal j = { .n = 0 };
    for (int i = 0; i < 30000; i++) {
        struct buf b;
        struct jout o;
        journal_begin(&j, &o, &b);
        jout_put_int(&o, "i", i);
        assert_true(journal_commit(&j, &o));
    }
    assert_int_equal(j.n, 20000);
    struct buf out;
    buf_init(&out, 10 * 1024 * 1024);
    journal_read(&j, 29999, &out);
    assert_string_equal((buf_add(&out, "", 1), out.p), "{\"items\":[{\"seq\":30000,\"i\":29999}],\"last\":30000}");
    out.n = 0;
    journal_read(&j, 0, &out);
    buf_add(&out, "", 1);
    assert_non_null(strstr(out.p, "{\"items\":[{\"seq\":10001,"));
    assert_non_null(strstr(out.p, "\"last\":11000}"));                 /* a thousand at a time */
    out.n = 0;
    journal_clear(&j);
    journal_read(&j, 30000, &out);
    assert_string_equal((buf_add(&out, "", 1), out.p), "{\"items\":[],\"last\":30000}");
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_standing_world_is_as_told), cmocka_unit_test(a_seed_repeats_the_names), cmocka_unit_test(openids_are_stable_and_prove_their_app),
        cmocka_unit_test(people_can_be_many), cmocka_unit_test(names_of_people_are_checked), cmocka_unit_test(subscribe_values_follow_their_kind), cmocka_unit_test(journals_number_and_forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
