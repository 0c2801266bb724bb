/* apps/absence/namelist.c: see namelist.h. */
#include "apps/absence/namelist.h"

#include "base/hash.h"
#include "wire/csv.h"

/* ---- a set of names ---- */

void names_init(struct names *set, struct arena *a, size_t most)
{
    size_t room = 16;
    while (room < most * 2) room *= 2;
    *set = (struct names){ room - 1, arena_zero(a, room * sizeof *set->at) };
}

static size_t place(const struct names *set, struct span name)
{
    size_t i = (size_t)hash64(name, 7) & set->mask;
    while (set->at[i].p && !span_is(set->at[i], name)) i = (i + 1) & set->mask;
    return i;
}

bool names_add(struct names *set, struct span name)
{
    size_t i = place(set, name);
    if (set->at[i].p) return false;
    set->at[i] = name;
    return true;
}

bool names_has(const struct names *set, struct span name) { return set->at[place(set, name)].p != NULL; }

/* ---- what is wrong, in two languages ---- */

struct teller { struct buf *out; bool chinese; int count; };

static void tell(struct teller *t, int line, const char *zh, const char *en, struct span what)
{
    t->count++;
    if (t->count > NAMELIST_FAULTS + 1) return;
    if (t->out->n) buf_add_z(t->out, "\n");
    if (t->count > NAMELIST_FAULTS) {
        buf_add_z(t->out, t->chinese ? "……后面还有" : "… and more");
        return;
    }
    buf_printf(t->out, t->chinese ? "第 %d 行：%s" : "line %d: %s", line, t->chinese ? zh : en);
    if (what.n) buf_printf(t->out, t->chinese ? "（“%.*s”）" : " (\"%.*s\")", SPAN_ARGS(utf8_head(what, 40)));
}

static const char *const csv_texts[][2] = {
    { "it is not UTF-8: save it as \"CSV UTF-8\"", "不是 UTF-8 编码：请另存为“CSV UTF-8”" },
    { "there is a NUL byte: is it a text file?", "含有空字节：这是文本文件吗？" },
    { "a quote is opened and never closed", "引号没有配对" },
    { "there is something behind a closing quote", "引号后面还有别的内容" },
    { "a quote stands within a field that does not begin with one", "字段中间出现引号：整个字段要用引号括起来，里面的引号写两个" },
    { "too many fields", "列太多" },
    { "too many lines", "行太多（最多 20000 行）" },
};

static const char *csv_text(const char *english)
{
    for (size_t i = 0; i < LENGTH(csv_texts); i++)
        if (strcmp(english, csv_texts[i][0]) == 0) return csv_texts[i][1];
    return english;
}

/* ---- the header ---- */

struct columns { int name, section, manager; };

static bool columns_read(const struct csv_row *head, struct columns *out)
{
    static const char *const words[3][4] = { { "name", "姓名", "名字" }, { "section", "声部", "组" }, { "manager", "管理", "管理员", "负责人" } };
    int *const to[3] = { &out->name, &out->section, &out->manager };
    *out = (struct columns){ -1, -1, -1 };
    for (size_t i = 0; i < head->n; i++) {
        struct span cell = text_trim(head->at[i]);
        bool known = cell.n == 0;
        for (int c = 0; c < 3; c++)
            for (size_t w = 0; w < LENGTH(words[c]); w++)
                if (words[c][w] && span_is_nocase(cell, span_of(words[c][w]))) {
                    if (*to[c] >= 0) return false;
                    *to[c] = (int)i;
                    known = true;
                }
        if (!known) return false;
    }
    return out->name >= 0 && out->section >= 0;
}

static struct span cell_of(const struct csv_row *row, int column) { return column >= 0 && (size_t)column < row->n ? text_trim(row->at[column]) : SPAN(""); }

static void row_read(struct teller *t, const struct csv_row *row, const struct columns *c, size_t columns, struct listed *out)
{
    *out = (struct listed){ .name = cell_of(row, c->name), .line = row->line };
    struct span section = cell_of(row, c->section), manager = cell_of(row, c->manager);
    const char *fault = name_fault(out->name);
    if (row->n > columns) tell(t, row->line, "比表头多出几列：含逗号的内容要用引号括起来", "more fields than the header has: put what has a comma into quotes", SPAN(""));
    if (fault)
        tell(t, row->line, out->name.n ? "名字无效：1 到 20 个字，不含控制字符和看不见的字符，不以 = + - @ ' 开头" : "缺少名字：填上，或删掉这一行", fault, out->name);
    if (!section_parse(section, &out->section))
        tell(t, row->line, "声部无效：请写 string、wind、percussion（或 弦乐、管乐、打击乐）", "no such section: write string, wind or percussion (or 弦乐, 管乐, 打击乐, S, W, P)", section);
    if (manager.n && !truth_parse(manager, &out->manager)) tell(t, row->line, "管理一列请写 yes 或 no", "manager is yes or no", manager);
}

bool namelist_read(struct arena *a, struct span text, bool chinese, struct listed **out, size_t *out_n, struct buf *faults)
{
    struct teller t = { faults, chinese, 0 };
    struct csv csv;
    struct columns columns;
    struct names seen;
    int line;
    const char *why;
    *out = NULL;
    *out_n = 0;
    if (!csv_read(a, text, &csv, &line, &why)) {
        tell(&t, line, csv_text(why), why, SPAN(""));
        return false;
    }
    if (csv.n == 0 || !columns_read(&csv.at[0], &columns)) {
        tell(&t, csv.n ? csv.at[0].line : 1, "第一行必须是表头 name,section,manager（或 姓名,声部,管理）", "the first line must be the header name,section,manager (or 姓名,声部,管理)", SPAN(""));
        return false;
    }
    struct listed *list = arena_take(a, csv.n * sizeof *list);
    names_init(&seen, a, csv.n);
    for (size_t i = 1; i < csv.n; i++) {
        struct listed *one = &list[i - 1];
        row_read(&t, &csv.at[i], &columns, csv.at[0].n, one);
        if (one->name.n && !names_add(&seen, one->name)) tell(&t, one->line, "这个名字前面已经有了：删掉一行", "this name stands above already: remove one of the lines", one->name);
    }
    *out = list;
    *out_n = csv.n - 1;
    return t.count == 0;
}
