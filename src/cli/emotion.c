/* cli/emotion.c: `weir emotion`, the workbench of the classifier.
 *
 * label reads texts and tells feelings; train, cross, eval and check are for those who write corpus files. Everything that
 * computes lives in src/emotion; here are options, files and sentences for people. Results go to standard output, everything
 * else to standard error. Exit codes: 0 done, 1 a file or the corpus is wrong, 2 the command line is wrong. */
#include "cli/cli.h"
#include "emotion/lexicon.h"
#include "emotion/segment.h"
#include "emotion/lint.h"
#include "emotion/recipe.h"
#include "wire/json.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static const char HELP[] =
    "usage: weir emotion label [--model FILE | --lexicon FILE]\n"
    "       weir emotion explain [--model FILE | --lexicon FILE]\n"
    "       weir emotion cut [--lexicon FILE]\n"
    "       weir emotion eval [--model FILE] FILE...\n"
    "       weir emotion train --out FILE [options] FILE...\n"
    "       weir emotion cross [options] FILE...\n"
    "       weir emotion check FILE...\n"
    "\n"
    "Tells the feeling of short Chinese texts: 0 静 1 乐 2 好 3 怒 4 哀 5 惧 6 恶 7 惊.\n"
    "`weir emotion COMMAND --help` tells more about one of them.\n";
static const char HELP_LABEL[] =
    "usage: weir emotion label [--model FILE | --lexicon FILE [--dictionary FILE]] < TEXTS\n"
    "\n"
    "Reads one text a line, `title<TAB>content` or just `content`, and writes one line for each:\n"
    "`code<TAB>p0<TAB>p1 ... <TAB>p7`, the probabilities of the eight codes with four digits, summing to 1.\n"
    "\n"
    "  --model FILE        a model made by `weir emotion train` (default: the one that was built in)\n"
    "  --lexicon FILE      the original's method: lines of word, category, strength, or DUTIR's CSV; strengths, not probabilities\n"
    "  --dictionary FILE   words with frequencies for cutting texts (default: that of python3-jieba, if it is installed)\n";
static const char HELP_EXPLAIN[] =
    "usage: weir emotion explain [--model FILE | --lexicon FILE [--dictionary FILE]] < TEXTS\n"
    "\n"
    "Reads texts as label does and writes one line for each: `code<TAB>p<TAB>piece code weight<TAB>...`, the pieces of the text\n"
    "that weighed most, the heaviest first, with the code that each speaks for and by how much: hundredths of the logarithm of\n"
    "its odds; with a lexicon its strength (and no p).\n";
static const char HELP_CUT[] =
    "usage: weir emotion cut [--lexicon FILE] [--dictionary FILE] < TEXTS\n"
    "\n"
    "Cuts each line into words as jieba's accurate mode does, with the lexicon's words added, and writes a JSON array a line.\n"
    "\n"
    "  --dictionary FILE   words with frequencies (default: that of python3-jieba, if it is installed)\n";
static const char HELP_EVAL[] =
    "usage: weir emotion eval [--model FILE] FILE...\n"
    "\n"
    "Measures a model on labelled texts: accuracy, macro-F1, log loss, calibration error, the table of confusions.\n"
    "Codes that a label joins (`3|6`) are one class. With several files each is told, then all together.\n"
    "The built-in model was trained on corpus/: measure it on other texts, or use `weir emotion cross`.\n"
    "\n"
    "  --model FILE   a model made by `weir emotion train` (default: the one that was built in)\n";
static const char HELP_TRAIN[] =
    "usage: weir emotion train --out FILE [options] FILE...\n"
    "\n"
    "Trains a model on labelled texts, `code[|code]<TAB>text` or `code<TAB>title<TAB>content` a line. First it trains without\n"
    "each file in turn (or without one tenth, if there is one file) to choose how sure the model may be and to print what to\n"
    "expect of it; then on everything. The same files in the same order give the same bytes on every machine.\n"
    "\n"
    "  --out FILE      where the model goes\n"
    "  --dev-tenth     keep the tenth out of the model too, so that it can be judged on it\n"
    "  --epochs N      passes over the texts (1 to 1000)\n"
    "  --seeds N       models averaged into one (1 to 100)\n"
    "  --seed N        seed of the first of them\n"
    "  --rows N        2^N rows of the table, 10 to 18\n"
    "  --step N        Adagrad's step in thousandths (200; for a hundred thousand texts and more 100)\n"
    "  --dropout N     percent of a text that a step does not see, 0 to 95 (60; for a hundred thousand texts 40)\n"
    "  --words FILE    word lists instead of the built-in ones (src/emotion/words.txt tells the format)\n"
    "  --target FILE   the file of the corpus whose spread of codes the model shall expect (default: the mean of all)\n";
static const char HELP_CROSS[] =
    "usage: weir emotion cross [--by-file|--by-tenth] [options of train] FILE...\n"
    "\n"
    "Cross-validation: trains without each file (or each tenth) in turn and measures on what was left out.\n"
    "By file is the honest one: it asks how well a writer is read whom the model has not read before.\n";
static const char HELP_CHECK[] =
    "usage: weir emotion check FILE...\n"
    "\n"
    "Looks over corpus files: three columns, one code, 8 to 300 characters, no stray blanks, and no two lines that share more\n"
    "than a third of their pieces of eight characters. Prints one finding a line; exit code 1 if there is any.\n";

enum { LINE_MAX_BYTES = 96 << 10 };          /* 10,000 characters of title and content, four bytes each, and some blanks */

struct options {
    const char *command, *model, *lexicon, *dictionary, *out, *words, *target;
    struct emotion_train_options train;
    bool dev_tenth, by_tenth;
    char **files;
    int n_files;
};

static const char *help_of(const char *command)
{
    static const struct { const char *command, *help; } helps[] = {
        { "label", HELP_LABEL }, { "explain", HELP_EXPLAIN }, { "cut", HELP_CUT }, { "eval", HELP_EVAL }, { "train", HELP_TRAIN }, { "cross", HELP_CROSS }, { "check", HELP_CHECK },
    };
    for (size_t i = 0; i < LENGTH(helps); i++)
        if (strcmp(helps[i].command, command) == 0)
            return helps[i].help;
    return NULL;
}

/* label, explain and cut read standard input; the others name files */
static bool reads_lines(const struct options *o) { return strcmp(o->command, "label") == 0 || strcmp(o->command, "explain") == 0 || strcmp(o->command, "cut") == 0; }

WEIR_PRINTF(1, 2) static int misused(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("weir emotion: ", stderr);
    vfprintf(stderr, fmt, args);
    fputs(" (see weir emotion --help)\n", stderr);
    va_end(args);
    return 2;
}

static int failed(const struct buf *err)
{
    fprintf(stderr, "weir emotion: %.*s\n", SPAN_ARGS(buf_span(err)));
    return 1;
}

/* ---- options ---- */

static bool number_between(const char *text, int64_t low, int64_t high, int64_t *out)
{
    return span_to_i64(span_of(text), out) && *out >= low && *out <= high;
}

/* One option with a value; 0, or the exit code after telling what is wrong. */
static int take_value(struct options *o, const char *name, const char *value)
{
    bool trains = strcmp(o->command, "train") == 0 || strcmp(o->command, "cross") == 0;
    bool reads = reads_lines(o), serves = strcmp(o->command, "eval") == 0 || (reads && strcmp(o->command, "cut") != 0);
    int64_t n = 0;
    if (serves && strcmp(name, "--model") == 0)
        o->model = value;
    else if (reads && strcmp(name, "--lexicon") == 0)
        o->lexicon = value;
    else if (reads && strcmp(name, "--dictionary") == 0)
        o->dictionary = value;
    else if (strcmp(o->command, "train") == 0 && strcmp(name, "--out") == 0)
        o->out = value;
    else if (trains && strcmp(name, "--words") == 0)
        o->words = value;
    else if (trains && strcmp(name, "--target") == 0)
        o->target = value;
    else if (trains && strcmp(name, "--epochs") == 0 && number_between(value, 1, 1000, &n))
        o->train.epochs = (int)n;
    else if (trains && strcmp(name, "--seeds") == 0 && number_between(value, 1, 100, &n))
        o->train.seeds = (int)n;
    else if (trains && strcmp(name, "--seed") == 0 && number_between(value, 0, INT64_MAX, &n))
        o->train.seed = (uint64_t)n;
    else if (trains && strcmp(name, "--rows") == 0 && number_between(value, 10, EMOTION_BUCKETS_LOG2_MAX, &n))
        o->train.buckets_log2 = (unsigned)n;
    else if (trains && strcmp(name, "--step") == 0 && number_between(value, 1, 10000, &n))
        o->train.rate = (float)n / 1000.0f;
    else if (trains && strcmp(name, "--dropout") == 0 && number_between(value, 0, 95, &n))
        o->train.dropout = (float)n / 100.0f;
    else
        return misused("%s: no such option, or not with the value \"%s\"", name, value);
    return 0;
}

/* argv[1] is the command. -1: go on; else the exit code. */
static int read_options(int argc, char **argv, struct options *o)
{
    *o = (struct options){ .command = argv[1], .train = emotion_train_defaults(), .files = argv + 1 };
    bool only_files = false;
    for (int i = 2; i < argc; i++) {
        const char *a = argv[i];
        if (only_files || a[0] != '-' || a[1] == '\0') {
            o->files[o->n_files++] = argv[i];        /* moves to the front: o->files stays behind i */
        } else if (strcmp(a, "--") == 0) {
            only_files = true;
        } else if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0) {
            fputs(help_of(o->command), stdout);
            return 0;
        } else if (strcmp(a, "--dev-tenth") == 0 && strcmp(o->command, "train") == 0) {
            o->dev_tenth = true;
        } else if ((strcmp(a, "--by-file") == 0 || strcmp(a, "--by-tenth") == 0) && strcmp(o->command, "cross") == 0) {
            o->by_tenth = strcmp(a, "--by-tenth") == 0;
        } else if (i + 1 == argc) {
            return misused("%s: no such option, or its value is missing", a);
        } else {
            int code = take_value(o, a, argv[++i]);
            if (code)
                return code;
        }
    }
    return -1;
}

/* ---- what several commands need ---- */

static bool open_corpus(const struct options *o, struct emotion_corpus *c, struct buf *err)
{
    emotion_corpus_init(c);
    for (int i = 0; i < o->n_files; i++)
        if (!emotion_corpus_add(c, o->files[i], err))
            return false;
    if (c->n == 0)
        buf_add_z(err, "the files hold no texts");
    return c->n > 0;
}

static const struct emotion_model *open_model(const struct options *o, struct emotion_model **own, struct buf *err)
{
    *own = o->model ? emotion_model_open(o->model, err) : NULL;
    return o->model ? *own : emotion_model_builtin();
}

static bool open_list(const struct options *o, struct emotion_list **list, char **text, struct buf *err)
{
    struct span words = emotion_list_builtin();
    size_t n = 0;
    *list = base_alloc(sizeof **list);
    if (!*list) {
        buf_add_z(err, "out of memory");
        return false;
    }
    if (o->words) {
        *text = emotion_file_read(o->words, &n, err);
        if (!*text)
            return false;
        words = span_from(*text, n);
    }
    return emotion_list_compile(words, o->words ? o->words : "the built-in lists", *list, err);
}

static void print(const struct buf *b)
{
    if (b->n)
        fwrite(b->p, 1, b->n, stdout);
}

/* ---- label, explain, cut ---- */

/* what answers: the model, or a lexicon if there is one; for cut without a lexicon the segmenter alone */
struct reader {
    void (*answer)(const struct reader *, struct span title, struct span content);
    const struct emotion_model *model;
    const struct emotion_lexicon *lexicon;
    const struct segmenter *segmenter;
};

static void label_line(const struct reader *l, struct span title, struct span content)
{
    if (l->lexicon) {
        struct emotion_strengths s;
        emotion_lexicon_score(l->lexicon, title, content, &s);
        printf("%d", s.code);
        for (int k = 0; k < EMOTION_CODES; k++)
            printf("\t%d", s.strength[k]);
        putchar('\n');
        return;
    }
    struct emotion e;
    emotion_score(l->model, title, content, &e);
    printf("%d", e.code);
    for (int k = 0; k < EMOTION_CODES; k++)
        printf("\t%d.%04d", e.p[k] / EMOTION_WHOLE, e.p[k] % EMOTION_WHOLE);
    putchar('\n');
}

static void explain_line(const struct reader *l, struct span title, struct span content)
{
    struct emotion_piece piece[8];
    size_t n = 0;
    if (l->lexicon) {
        struct emotion_strengths s;
        emotion_lexicon_score(l->lexicon, title, content, &s);
        emotion_lexicon_explain(l->lexicon, title, content, piece, LENGTH(piece), &n);
        printf("%d", s.code);
    } else {
        struct emotion e;
        if (!emotion_explain(l->model, title, content, piece, LENGTH(piece), &n, &e))
            fputs("weir emotion: out of memory\n", stderr);
        printf("%d\t%d.%04d", e.code, e.p[e.code] / EMOTION_WHOLE, e.p[e.code] % EMOTION_WHOLE);
    }
    for (size_t i = 0; i < n; i++)
        printf("\t%.*s %d %d", SPAN_ARGS(piece[i].text), piece[i].code, piece[i].weight);
    putchar('\n');
}

static void put_piece(void *arg, struct span piece, uint32_t mark)
{
    (void)mark;
    jout_text(arg, piece);
}

static void cut_line(const struct reader *l, struct span title, struct span content)
{
    (void)title;
    struct buf b;
    struct jout out;
    buf_init(&b, 8 * LINE_MAX_BYTES);
    jout_init(&out, &b);
    jout_begin_array(&out);
    if (l->lexicon)
        emotion_lexicon_cut(l->lexicon, content, put_piece, &out);
    else
        segmenter_cut(l->segmenter, content, put_piece, &out);
    jout_end_array(&out);
    buf_add_z(&b, "\n");
    print(&b);
    buf_done(&b);
}

static void answer_line(const struct reader *l, struct span line)
{
    int tab = l->answer == cut_line ? -1 : span_find(line, '\t');
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    l->answer(l, span_from(line.p, tab < 0 ? 0 : (size_t)tab), tab < 0 ? line : span_cut(line, (size_t)tab + 1));
}

/* Reads what is there and answers it at once, so that a program at the other end of two pipes can wait for each line; a line
 * beyond all limits is cut, never refused. */
static int answer_lines(const struct reader *l)
{
    static char in[64 << 10];
    struct buf line;
    bool open = false;
    buf_init(&line, LINE_MAX_BYTES);
    for (;;) {
        ssize_t got = read(STDIN_FILENO, in, sizeof in);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            if (open)
                answer_line(l, buf_span(&line));
            buf_done(&line);
            if (got == 0 && fflush(stdout) == 0)
                return 0;
            fprintf(stderr, "weir emotion: %s\n", strerror(errno));
            return 1;
        }
        for (struct span rest = span_from(in, (size_t)got); rest.n;) {
            int nl = span_find(rest, '\n');
            struct span piece = span_from(rest.p, nl < 0 ? rest.n : (size_t)nl);
            rest = span_cut(rest, piece.n + (nl >= 0));
            size_t room = LINE_MAX_BYTES - line.n;
            buf_add(&line, piece.p, piece.n < room ? piece.n : room);
            open = nl < 0;
            if (nl >= 0) {
                answer_line(l, buf_span(&line));
                line.n = 0;
            }
        }
        if (fflush(stdout) != 0) {
            fprintf(stderr, "weir emotion: standard output: %s\n", strerror(errno));
            buf_done(&line);
            return 1;
        }
    }
}

/* ---- eval ---- */

static void eval(const struct emotion_model *m, const struct emotion_corpus *c, struct buf *out)
{
    struct emotion_measure all, one;
    emotion_measure_init(&all, c);
    for (int source = 0; source < c->sources; source++) {
        emotion_measure_init(&one, c);
        for (size_t i = 0; i < c->n; i++) {
            struct emotion e;
            if (c->text[i].source != source)
                continue;
            emotion_score(m, c->text[i].title, c->text[i].content, &e);
            emotion_measure_add(&one, c->text[i].codes, &e);
            emotion_measure_add(&all, c->text[i].codes, &e);
        }
        buf_printf(out, "%s\n", c->source[source].path);
        emotion_measure_print(&one, out);
    }
    if (c->sources > 1) {
        buf_add_z(out, "all files\n");
        emotion_measure_print(&all, out);
    }
}

/* ---- train, cross ---- */

static void show_progress(void *arg, int seed, int epoch)
{
    const struct options *o = arg;
    fprintf(stderr, "\rmodel %d of %d, pass %d of %d ", seed + 1, o->train.seeds, epoch + 1, o->train.epochs);
}

static bool write_file(const char *path, const uint8_t *bytes, size_t n, struct buf *err)
{
    FILE *f = fopen(path, "wb");
    bool good = f && fwrite(bytes, 1, n, f) == n;
    if (f && fclose(f) != 0)
        good = false;
    if (!good)
        buf_printf(err, "%s: %s", path, strerror(errno));
    return good;
}

static bool train(const struct options *o, const struct emotion_corpus *c, const struct emotion_list *list, struct buf *out, struct buf *err)
{
    struct emotion_measure m;
    double temperature = 0;
    uint8_t *bytes = NULL;
    size_t n = 0;
    bool good;
    if (o->out) {
        bytes = emotion_recipe(c, list, &o->train, o->dev_tenth, &n, &m, err);
        good = bytes && write_file(o->out, bytes, n, err);
    } else {
        good = emotion_cross(c, list, &o->train, o->by_tenth ? EMOTION_FOLDS_TENTHS : EMOTION_FOLDS_FILES, &temperature, &m, err);
    }
    if (isatty(STDERR_FILENO))
        fputs("\r                                        \r", stderr);
    free(bytes);
    if (good) {
        buf_add_z(out, "on texts that were held out:\n");
        emotion_measure_print(&m, out);
    }
    return good;
}

static int run_training(struct options *o)
{
    struct buf err, out;
    struct emotion_corpus c;
    struct emotion_list *list = NULL;
    char *text = NULL;
    if (strcmp(o->command, "train") == 0 && !o->out)
        return misused("train: --out FILE is missing");
    buf_init(&err, 1 << 16);
    buf_init(&out, 1 << 16);
    bool good = open_corpus(o, &c, &err) && open_list(o, &list, &text, &err);
    if (good && strcmp(o->command, "cross") == 0 && !o->by_tenth && c.sources < 2) {
        good = false;
        buf_add_z(&err, "cross by file needs two files or more; give more, or --by-tenth");
    }
    for (int i = 0; good && o->target && i < c.sources; i++)
        if (strcmp(c.source[i].path, o->target) == 0)
            o->train.target = i;
    if (good && o->target && o->train.target < 0) {
        good = false;
        buf_printf(&err, "%s: --target names none of the files; write it as it stands among them", o->target);
    }
    if (isatty(STDERR_FILENO)) {
        o->train.progress = show_progress;
        o->train.progress_arg = o;
    }
    good = good && train(o, &c, list, &out, &err);
    print(&out);
    int code = good ? 0 : failed(&err);
    emotion_corpus_done(&c);
    free(list);
    free(text);
    buf_done(&err);
    buf_done(&out);
    return code;
}

/* ---- the sub-command ---- */

/* label, explain and cut */
static int run_lines(const struct options *o)
{
    struct buf err;
    struct emotion_model *own = NULL;
    struct emotion_lexicon *lexicon = NULL;
    struct segmenter *segmenter = NULL;
    struct reader r = { .answer = strcmp(o->command, "label") == 0 ? label_line : strcmp(o->command, "cut") == 0 ? cut_line : explain_line };
    const char *dictionary = o->dictionary ? o->dictionary : access(SEGMENT_DICTIONARY, R_OK) == 0 ? SEGMENT_DICTIONARY : NULL;
    buf_init(&err, 1 << 16);
    bool good = (r.model = open_model(o, &own, &err)) != NULL;
    if (good && o->lexicon)
        good = (r.lexicon = lexicon = emotion_lexicon_open(o->lexicon, dictionary, &err)) != NULL;
    else if (good && r.answer == cut_line)
        good = (r.segmenter = segmenter = segmenter_open(dictionary, true, &err)) != NULL;
    int code = good ? answer_lines(&r) : failed(&err);
    emotion_model_free(&own);
    emotion_lexicon_free(&lexicon);
    segmenter_free(&segmenter);
    buf_done(&err);
    return code;
}

/* eval and check */
static int run_files(const struct options *o)
{
    struct buf err, out;
    struct emotion_corpus c;
    struct emotion_model *own = NULL;
    const struct emotion_model *m = NULL;
    int code = 1, found = 0;
    buf_init(&err, 1 << 16);
    buf_init(&out, 64 << 20);
    emotion_corpus_init(&c);
    bool checks = strcmp(o->command, "check") == 0;
    bool good = (checks || (m = open_model(o, &own, &err)) != NULL) && open_corpus(o, &c, &err);
    if (!good) {
        code = failed(&err);
    } else if (!checks) {
        eval(m, &c, &out);
        code = 0;
    } else {
        found = emotion_lint(&c, &out);
        code = found != 0;
    }
    print(&out);
    if (checks && good && found >= 0)
        printf("%zu texts in %d file%s, %d finding%s\n", c.n, c.sources, c.sources == 1 ? "" : "s", found, found == 1 ? "" : "s");
    else if (found < 0)
        fputs("weir emotion: out of memory\n", stderr);
    emotion_corpus_done(&c);
    emotion_model_free(&own);
    buf_done(&err);
    buf_done(&out);
    return code;
}

int cli_emotion(int argc, char **argv)
{
    struct options o;
    if (argc < 2)
        return misused("a command is missing");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        fputs(HELP, stdout);
        return 0;
    }
    if (!help_of(argv[1]))
        return misused("%s: no such command", argv[1]);
    int code = read_options(argc, argv, &o);
    if (code >= 0)
        return code;
    bool lines = reads_lines(&o);
    if (lines != (o.n_files == 0))
        return lines ? misused("%s reads standard input, not %s", o.command, o.files[0]) : misused("%s: name at least one file", o.command);
    return lines ? run_lines(&o) : strcmp(o.command, "train") == 0 || strcmp(o.command, "cross") == 0 ? run_training(&o) : run_files(&o);
}
