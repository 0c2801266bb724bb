/* The emotion classifier: what a text becomes, what a score promises, that training repeats to the byte, and every command of
 * `weir emotion` with its happy and its unhappy ends. argv[1] is the folder of the corpus. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "emotion/exact.h"
#include "emotion/lexicon.h"
#include "emotion/lint.h"
#include "emotion/recipe.h"

static const char *corpus_folder = "corpus";
static char scratch[] = "/tmp/weir-emotion-XXXXXX";

/* ---- helpers ---- */

static const char LIST[] = "# a remark\n@fold\n開开 樂乐\n@joy 1\n开心 快乐 happy [耶] 😀\n@sad 4\n难过 不开心 哭\n@not -\n不\n";

static struct emotion_list *list_of(const char *text)
{
    struct buf err;
    buf_init(&err, 4096);
    struct emotion_list *list = malloc(sizeof *list);
    assert_non_null(list);
    if (!emotion_list_compile(span_of(text), "list", list, &err)) fail_msg("%.*s", SPAN_ARGS(buf_span(&err)));
    buf_done(&err);
    return list;
}

static void refused(const char *text, const char *expected)
{
    struct buf err;
    buf_init(&err, 4096);
    struct emotion_list *list = malloc(sizeof *list);
    assert_false(emotion_list_compile(span_of(text), "list", list, &err));
    buf_add(&err, "", 1);
    assert_string_equal(err.p, expected);
    buf_done(&err);
    free(list);
}

static struct emotion_tokens tokens_of(const char *text)
{
    static struct emotion_list *list;
    struct emotion_tokens t = { 0 };
    if (!list) list = list_of(LIST);             /* one for all tests, still reachable at the end */
    struct emotion_words w = emotion_words_view(list->bytes);
    emotion_tokens_of(&w, SPAN(""), span_of(text), &t);
    return t;
}

static void same_tokens(const char *a, const char *b)
{
    struct emotion_tokens x = tokens_of(a), y = tokens_of(b);
    if (x.n != y.n || memcmp(x.at, y.at, x.n * sizeof *x.at) != 0) fail_msg("\"%s\" and \"%s\" differ", a, b);
}

struct gathered { uint32_t f[64]; size_t n; };
static void gather(void *arg, const uint32_t *f, size_t n)
{
    struct gathered *g = arg;
    for (size_t i = 0; i < n && g->n < LENGTH(g->f); i++) g->f[g->n++] = f[i];
}

static struct emotion score(const char *title, struct span content)
{
    struct emotion e;
    unsigned sum = 0;
    emotion_score(emotion_model_builtin(), span_of(title), content, &e);
    for (int k = 0; k < EMOTION_CODES; k++) {
        sum += e.p[k];
        assert_true(e.p[k] <= e.p[e.code]);
        if (k < e.code) assert_true(e.p[k] < e.p[e.code]);      /* the first of the largest */
    }
    assert_int_equal(sum, EMOTION_WHOLE);
    return e;
}

static char *path_in(char out[256], const char *name)
{
    snprintf(out, 256, "%s/%s", scratch, name);
    return out;
}

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* A corpus that anything learns: eight words, one for each code, in many surroundings. */
static void put_corpus(const char *path, int salt)
{
    static const char *const words[] = { "记录", "开心", "喜欢", "生气", "难过", "害怕", "恶心", "居然" };
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    for (int i = 0; i < 160; i++)
        fprintf(f, "%d\t%s\t第%d页甲%c乙%c丙，%s了一回%c\n", i % 8, i % 3 ? "" : "题目", i * 7 + salt, 'a' + (i * salt) % 26, 'a' + (i / 8 + salt) % 26, words[i % 8], 'a' + (i * 11 + salt) % 26);
    assert_int_equal(fclose(f), 0);
}

struct ran { int code; char out[1 << 16], err[1 << 12]; size_t out_n; };

static void slurp(FILE *f, char *to, size_t max, size_t *out_n)
{
    rewind(f);
    size_t n = fread(to, 1, max - 1, f);
    to[n] = '\0';
    if (out_n) *out_n = n;
    fclose(f);
}

/* Runs the sub-command in a child over files for its standard streams. */
static struct ran *run(struct span input, ...)
{
    static struct ran r;
    char *argv[20] = { (char[]){ "emotion" } };
    int argc = 1;
    va_list args;
    va_start(args, input);
    for (char *a; (a = va_arg(args, char *)) != NULL;) argv[argc++] = a;
    va_end(args);
    FILE *in = tmpfile(), *out = tmpfile(), *err = tmpfile();
    assert_true(in && out && err);
    fwrite(input.p, 1, input.n, in);
    rewind(in);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(fileno(in), 0);
        dup2(fileno(out), 1);
        dup2(fileno(err), 2);
        int code = cli_emotion(argc, argv);
        fflush(NULL);
        _exit(code);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    r.code = WEXITSTATUS(status);
    fclose(in);
    slurp(out, r.out, sizeof r.out, &r.out_n);
    slurp(err, r.err, sizeof r.err, NULL);
    return &r;
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part)) fail_msg("no \"%s\" in: %s", part, text);
}

/* ---- text ---- */

static void texts_that_mean_the_same(void **state)
{
    (void)state;
    same_tokens("ＨＡＰＰＹ！", "happy!");
    same_tokens("開心", "开心");
    same_tokens("哈哈哈哈哈", "哈哈");
    same_tokens("好的。。。。", "好的…");
    same_tokens("好的。。", "好的...");
    same_tokens("花了38块", "花了99块");
    same_tokens("2333333", "2333");
    same_tokens("soooooo", "soo");
    same_tokens("好\xef\xb8\x8f的", "好的");                 /* a variation selector */
    same_tokens("  好的 \n", "好的");
    same_tokens("【泪】", "[泪]");
    same_tokens("\xff", "\xef\xbf\xbd");
    struct emotion_tokens t = tokens_of("[耶]");
    assert_int_equal(t.n, 1);
    assert_int_equal(tokens_of("[这个括号里面的话实在太长了]").n, 15);
    assert_int_equal(tokens_of("[耶").n, 2);
    assert_int_equal(tokens_of("").n, 0);
    t = tokens_of("520");
    assert_int_not_equal(t.at[0], tokens_of("521").at[0]);
    assert_int_not_equal(tokens_of("520").at[0], tokens_of("530").at[0]);
}

static void titles_count_once(void **state)
{
    (void)state;
    struct emotion_list *list = list_of(LIST);
    struct emotion_words w = emotion_words_view(list->bytes);
    struct emotion_tokens a, b;
    emotion_tokens_of(&w, SPAN(""), SPAN("今天很好，很好"), &a);
    emotion_tokens_of(&w, SPAN("今天很好"), SPAN("今天很好，很好"), &b);
    assert_int_equal(a.n, b.n);
    emotion_tokens_of(&w, SPAN("题"), SPAN("文"), &a);
    assert_int_equal(a.n, 3);
    assert_int_equal(a.at[1], EMOTION_TOKEN_BREAK);
    free(list);
}

static void ten_thousand_characters(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 12000; i++) buf_add_z(&b, i % 2 ? "天" : "地");
    struct emotion_tokens t;
    struct emotion_list *list = list_of(LIST);
    struct emotion_words w = emotion_words_view(list->bytes);
    emotion_tokens_of(&w, SPAN(""), buf_span(&b), &t);
    assert_int_equal(t.n, EMOTION_CHARACTERS);
    emotion_tokens_of(&w, buf_span(&b), buf_span(&b), &t);       /* the title is how the content begins */
    assert_int_equal(t.n, EMOTION_CHARACTERS);
    emotion_tokens_of(&w, buf_span(&b), SPAN("完"), &t);
    assert_int_equal(t.n, EMOTION_CHARACTERS + 1);
    struct emotion whole = score("", buf_span(&b)), head = score("", span_from(b.p, 30000));
    assert_memory_equal(&whole, &head, sizeof whole);
    free(list);
    buf_done(&b);
}

/* ---- lists ---- */

static void lists_say_what_is_wrong(void **state)
{
    (void)state;
    refused("@a 1\n好\n@b 2\n坏 好\n", "list:4: this word is in another group already: \"好\"");
    refused("@a 1\n好 坏 好\n", "list:2: this word stands twice in its group: \"好\"");
    refused("好\n", "list:1: a word before the first @group: \"好\"");
    refused("@a 9\n", "list:1: codes are digits 0 to 7 joined by |, or -: \"9\"");
    refused("@a 1 loud\n", "list:1: nothing may follow the codes; words go on the next line: \"loud\"");
    refused("@a 1\n@a 2\n", "list:2: this group exists already: \"a\"");
    refused("@fold\n开\n", "list:2: a fold is a traditional and a simplified character: \"开\"");
    refused("@a 1\n一二三四五六七八九\n", "list:2: a word has 1 to 8 tokens: \"一二三四五六七八九\"");
    struct emotion_list *list = list_of("@a 3|6\n開心\n");
    assert_int_equal(list->group[1].codes, 1 << 3 | 1 << 6);
    assert_int_equal(list->entries, 1);
    free(list);
}

static struct gathered features_of(struct emotion_list *list, const char *text)
{
    static struct emotion_tokens t;
    struct gathered g = { .n = 0 };
    struct emotion_words w = emotion_words_view(list->bytes);
    emotion_tokens_of(&w, SPAN(""), span_of(text), &t);
    emotion_features(&w, &t, gather, &g);
    return g;
}

/* If this fails the meaning of every model has changed: raise EMOTION_MODEL_VERSION, then write the new numbers here. */
static void golden_features(void **state)
{
    (void)state;
    static const uint32_t golden[] = { 2070064596u, 1530087547u, 3171018584u, 434750029u, 360147806u, 3493464834u, 88796469u, 493755873u, 2829859550u, 3327974559u,
        2801876480u, 2600270523u, 4041645597u, 3618246749u, 989656032u, 2587917173u, 670643179u, 4041645597u, 3618246749u };
    struct emotion_list *list = list_of(LIST);
    struct gathered g = features_of(list, "不开心。Happy[耶]");
    if (g.n != LENGTH(golden) || memcmp(g.f, golden, sizeof golden) != 0)
        for (size_t i = 0; i < g.n; i++) print_message("%uu, ", g.f[i]);
    assert_int_equal(g.n, LENGTH(golden));
    assert_memory_equal(g.f, golden, sizeof golden);
    free(list);
}

static bool has_feature(const struct gathered *g, uint32_t f)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->f[i] == f) return true;
    return false;
}

static void the_longest_word_wins(void **state)
{
    (void)state;
    struct emotion_list *list = list_of(LIST);
    struct gathered g = features_of(list, "我不开心");
    assert_false(has_feature(&g, emotion_group_feature(1)));
    assert_true(has_feature(&g, emotion_group_feature(2)));
    g = features_of(list, "我开心不");
    assert_true(has_feature(&g, emotion_group_feature(1)) && has_feature(&g, emotion_group_feature(3)));
    g = features_of(list, "不开");                              /* only the beginning of a word; but 不 is one */
    assert_true(has_feature(&g, emotion_group_feature(3)) && !has_feature(&g, emotion_group_feature(2)));
    g = features_of(list, "開");
    assert_int_equal(g.n, 2);
    free(list);
}

/* ---- scores ---- */

static void scores_of_any_bytes(void **state)
{
    (void)state;
    uint32_t seed = 7;
    char bytes[600];
    for (int round = 0; round < 3000; round++) {
        size_t n = (size_t)round % sizeof bytes;
        for (size_t i = 0; i < n; i++) bytes[i] = (char)((seed = seed * 1664525u + 1013904223u) >> 24);
        char *exact = malloc(n ? n : 1);                        /* so that a sanitizer sees one byte too many */
        memcpy(exact, bytes, n);
        score("", span_from(exact, n));
        free(exact);
    }
    struct emotion e = score("", SPAN(""));
    assert_int_equal(e.code, EMOTION_NONE);
    assert_int_equal(e.p[0], EMOTION_WHOLE);
    score("", span_from(NULL, 0));
    score("题目", span_from(NULL, 0));
    score("", SPAN("\xe5\xa4"));
    score("", SPAN("\0\0a\0"));
}

static void softmax_is_exact(void **state)
{
    (void)state;
    struct emotion e;
    emotion_softmax((double[8]){ 0 }, &e);
    for (int k = 0; k < 8; k++) assert_int_equal(e.p[k], 1250);
    assert_int_equal(e.code, 0);
    emotion_softmax((double[8]){ 1, 1, 1, 0, -1000, -1000, -1000, -1000 }, &e);
    static const uint16_t golden[8] = { 2969, 2969, 2969, 1093 };
    assert_memory_equal(e.p, golden, sizeof golden);
    emotion_softmax((double[8]){ -1000, 0, 1000, 0, 0, 0, 0, 0 }, &e);
    assert_int_equal(e.p[2], EMOTION_WHOLE);
    assert_int_equal(e.code, 2);
    assert_true(exact_exp(1.0) > 2.71828182845904 && exact_exp(1.0) < 2.71828182845906);
    assert_true(exact_exp(-1e9) == 0 && exact_exp(1e9) > 1e300);
    for (double x = 0.001; x < 1000; x *= 1.7) assert_true(exact_exp(exact_log(x)) / x > 1 - 1e-13 && exact_exp(exact_log(x)) / x < 1 + 1e-13);
    assert_true(exact_log(0) == -708.0);
}

/* Plain cases that the shipped model must not get wrong; the corpus does not hold them. */
static void the_shipped_model_reads(void **state)
{
    (void)state;
    static const struct { int code; const char *text; } cases[] = {
        { 1, "哈哈哈哈太开心了，终于放假啦！" }, { 2, "谢谢你一直陪着我，遇见你真好。" }, { 3, "凭什么又扣我工资，气死我了！" },
        { 4, "奶奶走了，我再也吃不到她做的饭了，好想她。" }, { 5, "半夜听见有人敲门，我吓得不敢动，手一直在抖。" },
        { 6, "桌上一股馊味，苍蝇乱飞，看得我直犯恶心。" }, { 7, "天哪！居然是他！我完全没想到！" }, { 0, "上午九点开会，下午整理报表，五点半下班。" },
        { 4, "奶奶走了，我再也吃不到她做的飯了，好想她。" },
        /* as strangers post: mostly the lists' doing */
        { 0, "据报道，昨日央行宣布下调存款利率，专家表示影响有限。" }, { 0, "转发微博并关注，即可参与抽奖，详情点击链接" }, { 3, "你妹的，又涨价，奸商！" },
        { 4, "悲催的一天，内牛满面" }, { 5, "刚才地震了，吓尿了，腿还是软的" }, { 6, "脑残粉真恶心，受不了" }, { 7, "我勒个去，这也行？" },
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        int code = score("", span_of(cases[i].text)).code;
        if (code != cases[i].code) fail_msg("%s: %d, not %d", cases[i].text, code, cases[i].code);
    }
}

/* ---- training ---- */

static uint8_t *train_small(int salt, const struct emotion_list *list, size_t *n)
{
    char path[256];
    struct emotion_corpus c;
    struct buf err;
    buf_init(&err, 4096);
    emotion_corpus_init(&c);
    put_corpus(path_in(path, "small.tsv"), salt);
    assert_true(emotion_corpus_add(&c, path, &err));
    struct emotion_train_options o = emotion_train_defaults();
    o.buckets_log2 = 12;
    o.seeds = 2;
    struct emotion_examples *examples = emotion_examples_new(&c, list, o.buckets_log2);
    uint8_t *bytes = emotion_train(examples, NULL, 0, &o, 8);    /* not sure of anything, so that all eight are to be seen */
    assert_non_null(bytes);
    *n = emotion_model_bytes(o.buckets_log2);
    emotion_examples_free(&examples);
    emotion_corpus_done(&c);
    buf_done(&err);
    return bytes;
}

static void training_repeats_to_the_byte(void **state)
{
    (void)state;
    size_t n = 0, again_n = 0;
    struct emotion_list *list = list_of(LIST);
    uint8_t *a = train_small(1, list, &n), *b = train_small(1, list, &again_n), *c = train_small(2, list, &again_n);
    assert_int_equal(n, again_n);
    assert_memory_equal(a, b, n);
    assert_true(memcmp(a, c, n) != 0);
    struct buf err;
    buf_init(&err, 4096);
    struct emotion_model *m = emotion_model_load(span_from(a, n), &err);
    assert_non_null(m);
    struct emotion e;
    emotion_score(m, SPAN(""), SPAN("第3页，又开心又害怕了一回"), &e);
    static const uint16_t golden[8] = { 2549, 1434, 892, 920, 955, 1365, 996, 889 };
    if (memcmp(golden, e.p, sizeof golden) != 0)
        for (int k = 0; k < 8; k++) print_message("%u, ", e.p[k]);
    assert_memory_equal(e.p, golden, sizeof golden);            /* the same on every machine and with every compiler */
    emotion_model_free(&m);
    assert_null(m);
    emotion_model_free(&m);
    free(a);
    free(b);
    free(c);
    free(list);
    buf_done(&err);
}

/* What is expected beyond the corpus comes on top, whatever the temperature; a target's own spread is not touched. */
static void calm_is_expected(void **state)
{
    (void)state;
    struct emotion_list *list = list_of(LIST);
    struct emotion_corpus c;
    struct buf err;
    char path[256];
    double at[3];
    buf_init(&err, 4096);
    emotion_corpus_init(&c);
    put_corpus(path_in(path, "calm.tsv"), 3);
    assert_true(emotion_corpus_add(&c, path, &err));
    struct emotion_examples *examples = emotion_examples_new(&c, list, 12);
    assert_non_null(examples);
    for (int i = 0; i < 3; i++) {
        struct emotion_train_options o = emotion_train_defaults();
        o.buckets_log2 = 12;
        o.seeds = 2;
        o.epochs = 2;
        o.calm = i == 0 ? 0 : 1.5;
        o.target = i == 2 ? 0 : -1;
        uint8_t *bytes = emotion_train(examples, NULL, 0, &o, 2.0);
        struct emotion_model m;
        assert_non_null(bytes);
        assert_true(emotion_model_view(span_from(bytes, emotion_model_bytes(12)), &m, &err));
        at[i] = m.bias[EMOTION_NONE];
        free(bytes);
    }
    assert_true(at[1] - at[0] > 1.4999 && at[1] - at[0] < 1.5001);
    assert_true(at[2] - at[0] < 0.0001 && at[0] - at[2] < 0.0001);
    emotion_examples_free(&examples);
    emotion_corpus_done(&c);
    free(list);
    buf_done(&err);
}

static void damaged_models_are_refused(void **state)
{
    (void)state;
    size_t n = 0;
    struct emotion_list *list = list_of(LIST);
    uint8_t *bytes = train_small(3, list, &n);
    struct buf err;
    buf_init(&err, 4096);
    assert_null(emotion_model_load(span_from(bytes, n - 1), &err));
    assert_null(emotion_model_load(span_from(bytes, 40), &err));
    assert_null(emotion_model_load(span_from("", 0), &err));
    static const size_t at[] = { 0, 8, 12, 16, 24, 40, 130, 50000 };
    for (size_t i = 0; i < LENGTH(at); i++) {
        bytes[at[i]] ^= 0x11;
        assert_null(emotion_model_load(span_from(bytes, n), &err));
        bytes[at[i]] ^= 0x11;
    }
    struct emotion_model *m = emotion_model_load(span_from(bytes, n), &err);
    assert_non_null(m);
    emotion_model_free(&m);
    free(bytes);
    free(list);
    buf_done(&err);
}

/* A label of two codes is satisfied by either, and what is told of them is told together. */
static void joined_labels(void **state)
{
    (void)state;
    struct emotion_corpus c = { 0 };
    struct emotion_measure m;
    struct emotion_text t[] = { { .codes = 1 << 3 | 1 << 6 }, { .codes = 1 << 1 | 1 << 2 }, { .codes = 1 } };
    c.text = t;
    c.n = 3;
    emotion_measure_init(&m, &c);
    assert_int_equal(m.class_of[6], 3);
    assert_int_equal(m.class_of[2], 1);
    emotion_measure_add(&m, 1 << 3 | 1 << 6, &(struct emotion){ .code = 6, .p = { [6] = 9000, [3] = 1000 } });
    emotion_measure_add(&m, 1 << 1 | 1 << 2, &(struct emotion){ .code = 2, .p = { [2] = 10000 } });
    emotion_measure_add(&m, 1, &(struct emotion){ .code = 2, .p = { [2] = 10000 } });
    assert_true(emotion_measure_accuracy(&m) > 0.666 && emotion_measure_accuracy(&m) < 0.667);
    assert_true(emotion_measure_f1(&m, 3) == 1.0 && emotion_measure_f1(&m, 5) == -1);
    assert_true(emotion_measure_ece(&m) > 0.333 && emotion_measure_ece(&m) < 0.334);

    /* .3 for anger and .3 for disgust are .6 for "one of them", which is more than the .4 for calm; without joined labels .4 is most */
    struct emotion split = { .code = 0, .p = { [0] = 4000, [3] = 3000, [6] = 3000 } };
    emotion_measure_init(&m, &c);
    emotion_measure_add(&m, 1 << 3 | 1 << 6, &split);
    assert_int_equal(m.confusion[3][3], 1);
    assert_true(m.bin[6].n == 1 && m.bin[6].sure > 0.599 && m.bin[6].sure < 0.601);
    c.n = 0;
    emotion_measure_init(&m, &c);
    emotion_measure_add(&m, 1 << 3, &split);
    assert_int_equal(m.confusion[3][0], 1);
}

/* ---- the original's method ---- */

static struct emotion_strengths strengths(const struct emotion_lexicon *l, const char *title, const char *content)
{
    struct emotion_strengths s;
    emotion_lexicon_score(l, span_of(title), span_of(content), &s);
    assert_int_equal(s.strength[0], 0);
    return s;
}

/* ---- why ---- */

static void explained_by_its_words(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        { "真的烦", "哇今天是真的烦，地铁又晚点，气死我了" }, { "", "今天终于考完了，开心死了！晚上和室友去吃火锅，就是回来下雨有点烦。" }, { "", "去超市买了牛奶和纸。" }, { "题", "题" }, { "", "" }, { "", "\xff\xfe" },
        { "哈哈哈哈哈", "[偷笑]23333 HAPPY day！！！" } };
    for (size_t i = 0; i < LENGTH(texts); i++) {
        struct span title = span_of(texts[i][0]), content = span_of(texts[i][1]);
        struct emotion told, e;
        struct emotion_piece piece[5];
        size_t n = 99;
        assert_true(emotion_explain(emotion_model_builtin(), title, content, piece, LENGTH(piece), &n, &told));
        emotion_score(emotion_model_builtin(), title, content, &e);
        assert_memory_equal(&told, &e, sizeof e);
        assert_true(n <= LENGTH(piece) && (n > 0 || content.n < 3));
        for (size_t k = 0; k < n; k++) {
            struct span within = piece[k].text.p >= content.p && piece[k].text.p < content.p + content.n ? content : title;
            assert_true(piece[k].text.n > 0 && piece[k].text.p >= within.p && piece[k].text.p + piece[k].text.n <= within.p + within.n);
            assert_true(piece[k].weight >= 0 && piece[k].code >= 0 && piece[k].code < EMOTION_CODES);
            assert_true(k == 0 || piece[k].weight <= piece[k - 1].weight);
            for (size_t j = 0; j < k; j++)
                assert_false(piece[j].code == piece[k].code && span_is(piece[j].text, piece[k].text));
        }
    }
    struct emotion told;
    struct emotion_piece piece[8];
    size_t n = 0;
    assert_true(emotion_explain(emotion_model_builtin(), SPAN(""), SPAN("一早就下雨，烦死了，烦死了，真的烦死了"), piece, LENGTH(piece), &n, &told));
    assert_int_equal(told.code, 6);
    assert_int_equal(piece[0].code, 6);
    assert_true(memmem(piece[0].text.p, piece[0].text.n, "烦", strlen("烦")) != NULL);

    struct ran *r = run(SPAN("题\t烦死了\n"), "explain", NULL);
    assert_int_equal(r->code, 0);
    assert_true(strncmp(r->out, "6\t", 2) == 0 && strstr(r->out, "烦") != NULL);
    r = run(SPAN("我去了学校\n"), "cut", "--dictionary", "/nonexistent", NULL);
    assert_int_equal(r->code, 1);
    r = run(SPAN(""), "cut", "file", NULL);
    assert_int_equal(r->code, 2);
}

static void a_lexicon_explains_itself(void **state)
{
    (void)state;
    char path[256];
    struct buf err;
    buf_init(&err, 4096);
    put_file(path_in(path, "e.tsv"), "开心\t1\t5\n高兴\t1\t7\n生气\t6\t5\n难过\t4\t9\n平\t1\t0\n");
    struct emotion_lexicon *l = emotion_lexicon_open(path, NULL, &err);
    assert_non_null(l);
    struct emotion_piece piece[3];
    size_t n = 0;
    emotion_lexicon_explain(l, SPAN("开心"), SPAN("生气，开心，平，高兴，难过，高兴"), piece, LENGTH(piece), &n);
    assert_int_equal(n, 3);
    assert_true(span_is_z(piece[0].text, "难过") && piece[0].code == 4 && piece[0].weight == 9);
    assert_true(span_is_z(piece[1].text, "高兴") && piece[1].weight == 7);
    assert_true(span_is_z(piece[2].text, "开心") && piece[2].code == 1);       /* as strong as 生气, and before it */
    emotion_lexicon_explain(l, SPAN(""), SPAN("平"), piece, LENGTH(piece), &n);
    assert_int_equal(n, 0);
    emotion_lexicon_free(&l);
    buf_done(&err);
}

static void a_lexicon_by_the_letter(void **state)
{
    (void)state;
    char path[256], dictionary[256];
    struct buf err;
    buf_init(&err, 4096);
    put_file(path_in(path, "a.tsv"), "word\tcategory\tstrength\n开心\t1\t5\n开心\t6\t3\n高兴\t1\t5\n生气\t6\t5\n我去\t7\t5\n难过\t4\t5\n");
    struct emotion_lexicon *l = emotion_lexicon_open(path, NULL, &err);
    assert_non_null(l);
    assert_int_equal(emotion_lexicon_rows(l), 6);
    struct emotion_strengths s = strengths(l, "题", "今天不开心，开心");           /* the first row decides, negation is not seen */
    assert_int_equal(s.code, 1);
    assert_int_equal(s.strength[1], 10);
    assert_int_equal(strengths(l, "开心", "开心").strength[1], 10);
    assert_int_equal(strengths(l, "", "开心").strength[1], 10);                    /* the first 100 characters stand for the title */
    assert_int_equal(strengths(l, "题", "我去了学校").code, 7);
    assert_int_equal(strengths(l, "题", "难过又开心").code, 1);                    /* a tie: the lowest */
    assert_int_equal(strengths(l, "题", "非常高兴").code, 1);
    assert_int_equal(strengths(l, "题", "開心").code, 0);
    assert_int_equal(strengths(l, "", "").code, 0);
    assert_int_equal(strengths(l, "题", "\xff开心\xff").code, 1);
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 98; i++) buf_add_z(&b, "天");
    buf_add_z(&b, "开心开心");
    for (int i = 0; i < 3000; i++) buf_add_z(&b, "难过");
    buf_add(&b, "", 1);
    s = strengths(l, "", b.p);
    assert_int_equal(s.strength[1], 15);
    assert_int_equal(s.strength[4], 15000);
    buf_done(&b);
    emotion_lexicon_free(&l);
    emotion_lexicon_free(&l);

    /* with a dictionary: 非常高兴 is one token there, 毫无 and 生气 are likelier than 毫 and 无生气 */
    put_file(path_in(dictionary, "b.tsv"), "非常 900 d\n高兴 500 a\n非常高兴 700 l\n毫无 300 v\n生气 200 v\n的 90000 uj\n我 80000 r\n去 7000 v\n了 80000 u\n");
    l = emotion_lexicon_open(path, dictionary, &err);
    assert_non_null(l);
    assert_int_equal(strengths(l, "题", "非常高兴").code, 0);
    assert_int_equal(strengths(l, "题", "高兴").code, 1);
    assert_int_equal(strengths(l, "题", "我去了").code, 7);
    assert_int_equal(strengths(l, "题", "毫无生气").code, 6);
    emotion_lexicon_free(&l);

    put_file(path, "\xef\xbb\xbf词语,词性种类,词义数,词义序号,情感分类,强度,极性,辅助情感分类,强度,极性\r\n"
                   "脏乱,adj,1,1,NN,7,2,,,\r\n大吃一惊,idiom,1,1,PC,5,0,,,\r\n\"愤怒\",adj,1,1,NA,7,2,,,\r\n想念,verb,1,1,PF,5,1,,,\r\n");
    l = emotion_lexicon_open(path, NULL, &err);
    assert_non_null(l);
    assert_int_equal(strengths(l, "题", "脏乱").code, 6);
    assert_int_equal(strengths(l, "题", "大吃一惊").strength[7], 5);
    assert_int_equal(strengths(l, "题", "愤怒").code, 3);
    assert_int_equal(strengths(l, "题", "想念").code, 4);
    emotion_lexicon_free(&l);

    struct ran *r = run(SPAN("\n题\t愤怒\n"), "label", "--lexicon", path, "--dictionary", dictionary, NULL);
    assert_int_equal(r->code, 0);
    assert_string_equal(r->out, "0\t0\t0\t0\t0\t0\t0\t0\t0\n3\t0\t0\t0\t7\t0\t0\t0\t0\n");
    put_file(path, "开心\t1\t5\n好\t8\t5\n");
    assert_null(emotion_lexicon_open(path, NULL, &err));
    buf_add(&err, "", 1);
    has(err.p, "a.tsv:2: write word, category 1 to 7, strength");
    put_file(path, "word,category,strength\n");
    assert_null(emotion_lexicon_open(path, NULL, &err));
    put_file(path, "开心\t1\t5\n");
    put_file(dictionary, "词 多少\n");
    assert_null(emotion_lexicon_open(path, dictionary, &err));
    assert_null(emotion_lexicon_open("/nonexistent", NULL, &err));
    assert_null(emotion_lexicon_open(path, "/nonexistent", &err));
    buf_done(&err);
}

/* ---- commands ---- */

static void label_answers_each_line(void **state)
{
    (void)state;
    struct ran *r = run(SPAN("今天真开心\n题目\t难过\n\n\xff\xfe\n\t\na\tb\tc\r\nlast"), "label", NULL);
    assert_int_equal(r->code, 0);
    int lines = 0;
    for (char *p = r->out; *p; lines++) {
        double sum = 0, v;
        int code, used;
        assert_int_equal(sscanf(p, "%d%n", &code, &used), 1);
        p += used;
        for (int k = 0; k < 8; k++) {
            assert_int_equal(*p, '\t');
            assert_int_equal(sscanf(p, "%lf%n", &v, &used), 1);
            assert_int_equal(used, 7);
            p += used;
            sum += v;
        }
        assert_true(sum > 0.99999 && sum < 1.00001);
        assert_int_equal(*p++, '\n');
    }
    assert_int_equal(lines, 7);
    assert_int_equal(run(SPAN(""), "label", NULL)->out_n, 0);
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 300000; i++) buf_add_z(&b, "x");
    buf_add_z(&b, "\n短");
    r = run(buf_span(&b), "label", NULL);
    assert_int_equal(r->code, 0);
    assert_int_equal(r->out_n, 2 * 58);
    buf_done(&b);
}

/* A program that waits for each answer before it writes the next line must not wait for ever. */
static void label_answers_at_once(void **state)
{
    (void)state;
    int to[2], from[2];
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        close(to[1]);
        close(from[0]);
        char *argv[] = { (char[]){ "emotion" }, (char[]){ "label" }, NULL };
        _exit(cli_emotion(2, argv));
    }
    close(to[0]);
    close(from[1]);
    alarm(20);
    for (int i = 0; i < 3; i++) {
        char line[128];
        assert_int_equal(write(to[1], "开心\n", 7), 7);
        assert_int_equal(read(from[0], line, sizeof line), 58);
        assert_int_equal(line[0], '1');
    }
    alarm(0);
    close(to[1]);
    close(from[0]);
    int status = 1;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

static void train_eval_cross(void **state)
{
    (void)state;
    char a[256], b[256], model[256], again[256], words[256];
    put_corpus(path_in(a, "a.tsv"), 3);
    put_corpus(path_in(b, "b.tsv"), 5);
    put_file(path_in(words, "words.txt"), LIST);
    path_in(model, "x.model");
    path_in(again, "y.model");
    struct ran *r = run(SPAN(""), "train", "--out", model, "--rows", "12", "--seeds", "2", "--epochs", "4", "--words", words, a, b, NULL);
    assert_int_equal(r->code, 0);
    has(r->out, "held out");
    assert_int_equal(run(SPAN(""), "train", "--out", again, "--rows", "12", "--seeds", "2", "--epochs", "4", "--words", words, a, b, NULL)->code, 0);
    size_t n = 0, m = 0;
    struct buf err;
    buf_init(&err, 4096);
    char *x = emotion_file_read(model, &n, &err), *y = emotion_file_read(again, &m, &err);
    assert_true(x && y && n == m && memcmp(x, y, n) == 0);
    free(y);
    assert_int_equal(run(SPAN(""), "train", "--out", again, "--rows", "12", "--seeds", "2", "--epochs", "4", "--step", "100", "--dropout", "40", "--words", words, a, b, NULL)->code, 0);
    y = emotion_file_read(again, &m, &err);
    assert_true(x && y && n == m && memcmp(x, y, n) != 0);
    free(x);
    free(y);
    buf_done(&err);
    r = run(SPAN(""), "eval", "--model", model, a, b, NULL);
    assert_int_equal(r->code, 0);
    has(r->out, "texts 320  accuracy 1.0000  macro-F1 1.0000");
    has(r->out, "7 惊");
    r = run(SPAN(""), "cross", "--rows", "12", "--seeds", "1", a, b, NULL);
    assert_int_equal(r->code, 0);
    has(r->out, "texts 320");
    assert_int_equal(run(SPAN(""), "cross", "--by-tenth", "--rows", "12", "--seeds", "1", "--epochs", "2", a, NULL)->code, 0);
    r = run(SPAN(""), "train", "--dev-tenth", "--target", b, "--out", model, "--rows", "12", "--seed", "9", a, b, NULL);
    assert_int_equal(r->code, 0);
    r = run(SPAN("开心\n"), "label", "--model", model, NULL);
    assert_int_equal(r->code, 0);
    assert_int_equal(r->out[0], '1');
    assert_int_equal(run(SPAN(""), "eval", a, NULL)->code, 0);
}

static void fails(int code, const char *part, struct ran *r)
{
    assert_int_equal(r->code, code);
    has(r->err, part);
}

static void commands_say_what_is_wrong(void **state)
{
    (void)state;
    char bad[256], good[256], missing[256];
    put_corpus(path_in(good, "good.tsv"), 1);
    path_in(missing, "missing.tsv");
    path_in(bad, "bad.tsv");
    fails(2, "a command is missing", run(SPAN(""), NULL));
    fails(2, "dance: no such command", run(SPAN(""), "dance", NULL));
    fails(2, "name at least one file", run(SPAN(""), "eval", NULL));
    fails(2, "--out FILE is missing", run(SPAN(""), "train", good, NULL));
    fails(2, "--epochs", run(SPAN(""), "train", "--out", bad, "--epochs", "0", good, NULL));
    fails(2, "--dropout", run(SPAN(""), "train", "--out", bad, "--dropout", "96", good, NULL));
    fails(2, "--step", run(SPAN(""), "cross", "--step", "0", good, NULL));
    fails(2, "--loud", run(SPAN(""), "check", "--loud", good, NULL));
    fails(2, "--model", run(SPAN(""), "label", "--model", NULL));
    fails(2, "label reads standard input", run(SPAN(""), "label", good, NULL));
    fails(2, "--model", run(SPAN(""), "train", "--model", "x", "--out", bad, good, NULL));
    fails(1, "missing.tsv: No such file", run(SPAN(""), "eval", missing, NULL));
    fails(1, "missing.tsv: No such file", run(SPAN(""), "label", "--model", missing, NULL));
    fails(1, "no emotion model", run(SPAN(""), "label", "--model", good, NULL));
    fails(1, "two files or more", run(SPAN(""), "cross", good, NULL));
    fails(1, "--target names none", run(SPAN(""), "train", "--out", missing, "--target", "x", good, NULL));
    fails(1, "No such file", run(SPAN(""), "train", "--rows", "10", "--seeds", "1", "--epochs", "1", "--out", "/nonexistent/x", good, NULL));
    put_file(bad, "1\t\t今天很好很好很好\n没有编号的一行\n");
    fails(1, "bad.tsv:2: 1 column;", run(SPAN(""), "eval", bad, NULL));
    put_file(bad, "8\t今天\n");
    fails(1, "bad.tsv:1: \"8\" is no code", run(SPAN(""), "train", "--out", missing, bad, NULL));
    put_file(bad, "1|\t今天\n");
    fails(1, "is no code", run(SPAN(""), "eval", bad, NULL));
    put_file(bad, "1\t\t\n");
    fails(1, "bad.tsv:1: the text is empty", run(SPAN(""), "eval", bad, NULL));
    put_file(bad, "");
    fails(1, "hold no texts", run(SPAN(""), "check", bad, NULL));
    put_file(bad, "@a 1\n好 好\n");
    fails(1, "bad.tsv:2: this word stands twice", run(SPAN(""), "train", "--words", bad, "--out", missing, good, NULL));
    static const char *const commands[] = { "label", "eval", "train", "cross", "check" };
    for (size_t i = 0; i < LENGTH(commands); i++) {
        struct ran *r = run(SPAN(""), commands[i], "--help", NULL);
        assert_int_equal(r->code, 0);
        has(r->out, "usage: weir emotion ");
        has(r->out, commands[i]);
    }
    has(run(SPAN(""), "--help", NULL)->out, "weir emotion COMMAND --help");
}

static void check_finds(void **state)
{
    (void)state;
    char path[256];
    put_file(path_in(path, "lint.tsv"),
        "1\t\t今天和她一起走了很远很远的路，最后看见了海\n"
        "2\t题\t今天和她一起走了很远很远的路，最后看见了山\n"
        "3\t\t太短\n"
        "3|6\t\t两个编号的一行在这里\n"
        "4\t只有两列的一行在这里啊\n"
        "5\t\t 前面有空格的一行在这里\n"
        "6\t\t完全不同的一句话放在这里吧\n");
    struct ran *r = run(SPAN(""), "check", path, NULL);
    assert_int_equal(r->code, 1);
    has(r->out, "lint.tsv:2: too like ");
    has(r->out, "lint.tsv:3: 2 characters");
    has(r->out, "lint.tsv:4: several codes");
    has(r->out, "lint.tsv:5: two columns");
    has(r->out, "lint.tsv:6: blanks at an end");
    has(r->out, "7 texts in 1 file, 5 findings");
    put_file(path, "0\t\t上午去邮局寄了两封信。\n");
    r = run(SPAN(""), "check", path, NULL);
    assert_int_equal(r->code, 0);
    has(r->out, "1 texts in 1 file, 0 findings");
}

/* The project's own corpus keeps its rules. */
static void the_corpus_is_clean(void **state)
{
    (void)state;
    struct emotion_corpus c;
    struct buf b;
    DIR *dir = opendir(corpus_folder);
    assert_non_null(dir);
    emotion_corpus_init(&c);
    buf_init(&b, 1 << 20);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", corpus_folder, d->d_name);
        if (span_ends(span_of(path), SPAN(".tsv")) && !emotion_corpus_add(&c, path, &b)) fail_msg("%.*s", SPAN_ARGS(buf_span(&b)));
    }
    closedir(dir);
    assert_true(c.n > 1000);
    if (emotion_lint(&c, &b) != 0) fail_msg("%.*s", SPAN_ARGS(buf_span(&b)));
    emotion_corpus_done(&c);
    buf_done(&b);
}

int main(int argc, char **argv)
{
    if (argc > 1) corpus_folder = argv[1];
    if (!mkdtemp(scratch)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_that_mean_the_same), cmocka_unit_test(titles_count_once), cmocka_unit_test(ten_thousand_characters),
        cmocka_unit_test(lists_say_what_is_wrong), cmocka_unit_test(golden_features), cmocka_unit_test(the_longest_word_wins),
        cmocka_unit_test(scores_of_any_bytes), cmocka_unit_test(softmax_is_exact), cmocka_unit_test(the_shipped_model_reads),
        cmocka_unit_test(training_repeats_to_the_byte), cmocka_unit_test(calm_is_expected), cmocka_unit_test(damaged_models_are_refused), cmocka_unit_test(joined_labels),
        cmocka_unit_test(a_lexicon_by_the_letter), cmocka_unit_test(explained_by_its_words), cmocka_unit_test(a_lexicon_explains_itself), cmocka_unit_test(label_answers_each_line), cmocka_unit_test(label_answers_at_once), cmocka_unit_test(train_eval_cross),
        cmocka_unit_test(commands_say_what_is_wrong), cmocka_unit_test(check_finds), cmocka_unit_test(the_corpus_is_clean),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    static const char *const files[] = { "small.tsv", "a.tsv", "b.tsv", "x.model", "y.model", "words.txt", "good.tsv", "bad.tsv", "missing.tsv", "lint.tsv" };
    for (size_t i = 0; i < LENGTH(files); i++) {
        char path[256];
        unlink(path_in(path, files[i]));
    }
    rmdir(scratch);
    return failed;
}
