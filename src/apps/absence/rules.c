/* apps/absence/rules.c: see rules.h. */
#include "apps/absence/rules.h"

#include <stdio.h>

const struct kind leave_kinds[] = {
    { "全体排练", 1 }, { "弦乐分排", 1 }, { "管乐分排", 1 }, { "弦乐重奏", 1 }, { "管乐重奏", 1 }, { "全体排练+弦乐分排", 2 }, { "全体排练+管乐分排", 2 }, { NULL, 0 },
};

const struct kind *leave_kind(struct span text)
{
    for (const struct kind *k = leave_kinds; k->name; k++) {
        size_t n = strlen(k->name), i = 0;
        if (text.n != n) continue;
        while (i < n && (text.p[i] == k->name[i] || (k->name[i] == '+' && text.p[i] == ' '))) i++;
        if (i == n) return k;
    }
    return NULL;
}

const char *const section_names[SECTIONS] = { "string", "wind", "percussion" };
const char *const section_groups[SECTIONS] = { "stringed", "wind", "percussion" };
const char *const section_chinese[SECTIONS] = { "弦乐", "管乐", "打击乐" };

bool section_parse(struct span text, enum section *out)
{
    static const char *const words[SECTIONS][5] = { { "string", "strings", "stringed", "S", "弦乐" }, { "wind", "winds", "W", "管乐", "管" }, { "percussion", "P", "打击乐", "打击", "percussions" } };
    for (int s = 0; s < SECTIONS; s++)
        for (size_t i = 0; i < LENGTH(words[s]); i++)
            if (span_is_nocase(text, span_of(words[s][i]))) {
                *out = (enum section)s;
                return true;
            }
    return false;
}

static void day_write(struct civil c, char out[DAY_BYTES])
{
    unsigned y = (unsigned)c.year % 10000, m = (unsigned)c.month % 100, d = (unsigned)c.day % 100;
    char room[16];
    snprintf(room, sizeof room, "%04u-%02u-%02u", y, m, d);
    memcpy(out, room, DAY_BYTES);
}

bool day_parse(struct span text, char out[DAY_BYTES])
{
    struct civil c;
    if (!civil_parse_date(text_trim(text), &c)) return false;
    day_write(c, out);
    return true;
}

void day_of(const struct zone *zone, int64_t utc_ms, int64_t days_later, char out[DAY_BYTES])
{
    struct civil c = zone_civil(zone, utc_ms);
    c.day += (int)days_later;
    c.hour = 12;                                    /* noon: no zone has a gap there */
    c.minute = c.second = 0;
    day_write(zone_civil(zone, zone_utc_ms(zone, c)), out);
}

bool time_parse(struct span text, char out[6])
{
    int64_t hour, minute;
    text = text_trim(text);
    int colon = span_find(text, ':');
    if (colon < 1 || colon > 2 || text.n != (size_t)colon + 3) return false;
    for (size_t i = 0; i < text.n; i++)
        if ((int)i != colon && (text.p[i] < '0' || text.p[i] > '9')) return false;
    if (!span_to_i64(span_from(text.p, (size_t)colon), &hour) || !span_to_i64(span_cut(text, (size_t)colon + 1), &minute) || hour > 23 || minute > 59) return false;
    char room[8];
    snprintf(room, sizeof room, "%02u:%02u", (unsigned)hour % 100, (unsigned)minute % 100);
    memcpy(out, room, 6);
    return true;
}

bool truth_parse(struct span text, bool *out)
{
    static const char *const yes[] = { "true", "1", "yes", "on", "t", "y", "是" }, *const no[] = { "false", "0", "no", "off", "f", "n", "否" };
    text = text_trim(text);
    for (size_t i = 0; i < LENGTH(yes); i++) {
        *out = span_is_nocase(text, span_of(yes[i]));
        if (*out || span_is_nocase(text, span_of(no[i]))) return true;
    }
    return false;
}

static size_t blank(struct span s, bool at_end)
{
    static const struct span ideographic = { "\xe3\x80\x80", 3 };
    if (!s.n) return 0;
    char c = s.p[at_end ? s.n - 1 : 0];
    if (c == ' ' || (c >= '\t' && c <= '\r')) return 1;
    return (at_end ? span_ends(s, ideographic) : span_begins(s, ideographic)) ? 3 : 0;
}

struct span text_trim(struct span s)
{
    for (size_t n; (n = blank(s, false)) > 0;) s = span_cut(s, n);
    for (size_t n; (n = blank(s, true)) > 0;) s.n -= n;
    return s;
}

/* Control characters, and those that nobody sees: whoever reads the list could not tell such a name from another, and whoever types it could not log in. */
static bool is_unseen(uint32_t c)
{
    return c < ' ' || (c >= 0x7f && c <= 0x9f) || c == 0xad || c == 0x061c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

const char *name_fault(struct span name)
{
    if (!name.n) return "there is no name";
    if (!utf8_valid(name)) return "the name is no valid UTF-8";
    if (utf8_count(name) > 20) return "a name has at most 20 characters";
    if (!span_is(name, text_trim(name))) return "white space at an end of the name";
    for (const char *p = name.p, *end = name.p + name.n; p < end;)
        if (is_unseen(utf8_next(&p, end))) return "the name has a control character, or one that cannot be seen";
    if (memchr("=+-@'", name.p[0], 5)) return "a name does not begin with = + - @ or '";
    return NULL;
}
