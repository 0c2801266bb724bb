/* engine/nearest.c: optimal string alignment with three rows; used for errors only, so it is short rather than quick. */
#include "engine/nearest.h"

enum { LONGEST = 64 };

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

size_t nearest_edits(struct span a, struct span b)
{
    if (a.n > LONGEST || b.n > LONGEST) return SIZE_MAX;
    size_t rows[3][LONGEST + 1];
    for (size_t j = 0; j <= b.n; j++) rows[0][j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            bool same = lower(a.p[i - 1]) == lower(b.p[j - 1]);
            size_t best = last[j - 1] + !same;
            if (last[j] + 1 < best) best = last[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            if (i > 1 && j > 1 && lower(a.p[i - 1]) == lower(b.p[j - 2]) && lower(a.p[i - 2]) == lower(b.p[j - 1]) && before[j - 2] + 1 < best) best = before[j - 2] + 1;
            now[j] = best;
        }
    }
    return rows[a.n % 3][b.n];
}

void nearest_init(struct nearest *n, struct span wanted) { *n = (struct nearest){ .wanted = wanted, .edits = SIZE_MAX }; }

void nearest_offer(struct nearest *n, const char *name)
{
    struct span s = span_of(name);
    size_t edits = nearest_edits(n->wanted, s);
    size_t longer = s.n > n->wanted.n ? s.n : n->wanted.n;
    size_t allowed = longer / 3 > 2 ? longer / 3 : 2;
    if (edits < n->edits && edits <= allowed && edits < longer) {
        n->edits = edits;
        n->found = name;
    }
}
