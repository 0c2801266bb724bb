/* sandbox/names.c: the generated friends of the standing world. The same seed gives the same people on every machine. A person's name is the pinyin of the
 * nickname ("wangfang", with a number when it is taken), so that a person at a terminal can type it. */
#include <stdio.h>

#include "sandbox/sandbox_in.h"

struct syllable { const char *han, *pinyin; };
static const struct syllable family_names[] = {
    { "王", "wang" }, { "李", "li" }, { "张", "zhang" }, { "刘", "liu" }, { "陈", "chen" }, { "杨", "yang" }, { "黄", "huang" }, { "赵", "zhao" }, { "吴", "wu" }, { "周", "zhou" },
    { "徐", "xu" }, { "孙", "sun" }, { "马", "ma" }, { "朱", "zhu" }, { "胡", "hu" }, { "郭", "guo" }, { "何", "he" }, { "林", "lin" }, { "罗", "luo" }, { "高", "gao" },
    { "梁", "liang" }, { "郑", "zheng" }, { "谢", "xie" }, { "宋", "song" }, { "唐", "tang" }, { "许", "xu" }, { "邓", "deng" }, { "韩", "han" }, { "冯", "feng" }, { "曹", "cao" },
};
static const struct { const char *han, *pinyin; int sex; } given_names[] = {
    { "芳", "fang", 2 }, { "娜", "na", 2 }, { "敏", "min", 2 }, { "静", "jing", 2 }, { "丽", "li", 2 }, { "艳", "yan", 2 }, { "娟", "juan", 2 }, { "霞", "xia", 2 }, { "雪", "xue", 2 },
    { "梅", "mei", 2 }, { "雨桐", "yutong", 2 }, { "欣怡", "xinyi", 2 }, { "梓涵", "zihan", 2 }, { "诗琪", "shiqi", 2 }, { "晓燕", "xiaoyan", 2 }, { "若曦", "ruoxi", 2 },
    { "伟", "wei", 1 }, { "强", "qiang", 1 }, { "磊", "lei", 1 }, { "军", "jun", 1 }, { "洋", "yang", 1 }, { "勇", "yong", 1 }, { "杰", "jie", 1 }, { "涛", "tao", 1 }, { "明", "ming", 1 },
    { "超", "chao", 1 }, { "浩然", "haoran", 1 }, { "子轩", "zixuan", 1 }, { "宇航", "yuhang", 1 }, { "俊杰", "junjie", 1 }, { "建国", "jianguo", 1 }, { "文博", "wenbo", 1 },
};
static const struct { const char *province, *city; } cities[] = {
    { "北京", "朝阳" }, { "北京", "海淀" }, { "上海", "浦东" }, { "上海", "徐汇" }, { "广东", "广州" }, { "广东", "深圳" }, { "广东", "佛山" }, { "浙江", "杭州" }, { "浙江", "宁波" },
    { "江苏", "南京" }, { "江苏", "苏州" }, { "四川", "成都" }, { "湖北", "武汉" }, { "湖南", "长沙" }, { "陕西", "西安" }, { "山东", "青岛" }, { "山东", "济南" }, { "福建", "厦门" },
    { "辽宁", "大连" }, { "黑龙江", "哈尔滨" }, { "重庆", "渝中" }, { "天津", "南开" }, { "云南", "昆明" }, { "河南", "郑州" }, { "安徽", "合肥" },
};
static const char *const signatures[] = { "", "", "", "", "慢慢来，比较快", "在路上", "多喝热水", "今日事今日毕", "生活不止眼前的苟且", "别问，问就是在练琴", "keep calm", "🌱" };
static const char *const remarks[] = { "", "", "", "", "", "", "同事", "高中同学", "楼下便利店", "房东" };

static size_t pick(struct seeded *s, size_t n)
{
    uint32_t v;
    seeded_bytes(s, &v, sizeof v);
    return v % n;
}

static bool add_one(struct world *w, struct seeded *s)
{
    const struct syllable *family = &family_names[pick(s, LENGTH(family_names))];
    size_t given = pick(s, LENGTH(given_names)), city = pick(s, LENGTH(cities)), signature = pick(s, LENGTH(signatures)), remark = pick(s, LENGTH(remarks));
    char name[NAME_BYTES], nickname[NAME_BYTES];
    snprintf(nickname, sizeof nickname, "%s%s", family->han, given_names[given].han);
    int n = snprintf(name, sizeof name, "%s%s", family->pinyin, given_names[given].pinyin);
    for (int twin = 2; world_person(w, span_of(name)); twin++) snprintf(name + n, sizeof name - (size_t)n, "%d", twin);
    struct person *p = world_add(w, span_of(name));
    if (!p) return false;
    p->sex = given_names[given].sex;
    p->is_friend = true;
    return text_set(&p->nickname, span_of(nickname)) && text_set(&p->province, span_of(cities[city].province)) && text_set(&p->city, span_of(cities[city].city))
        && text_set(&p->signature, span_of(signatures[signature])) && text_set(&p->remark, span_of(remarks[remark]));
}

bool names_fill(struct world *w, uint64_t seed, int count)
{
    struct seeded s = { .counter = 0 };
    char text[64];
    int n = snprintf(text, sizeof text, "weir sandbox names %llu", (unsigned long long)seed);
    sha256(span_from(text, (size_t)n), s.seed);
    for (int i = 0; i < count; i++) if (!add_one(w, &s)) return false;
    return true;
}
