/* apps/diary/match_index.c: a tree of boxes over directions, walked best first.
 *
 * The idea in four sentences. Every entry has a place on a line: directions with the same non-zero categories stand
 * together, along a Hilbert curve so that neighbours on the line are neighbours in direction, and equal directions stand
 * side by side in the order of their ids. A B+ tree keeps that line, and each node knows a box around the unit vectors below
 * it and the lowest and highest id. A search keeps two heaps: nodes by an upper bound of their cosine, and what is known
 * exactly: entries, and whole nodes of one single direction, which compare by (cosine, lowest id) without being opened. The
 * best known thing is given away once no node's bound reaches it.
 *
 * So a hundred thousand equal directions cost a few nodes, removal is real removal, and no addition rebuilds more than one
 * path. Floats appear in boxes and bounds only, rounded outwards; what decides is dot^2 * |w|^2 in 128-bit integers.
 *
 * Inside a leaf the order does not matter and there is none: an addition appends, a split sorts.
 *
 * Why not a k-d tree, a hash of cells, levels of static trees: docs/why/matching.md. */
#include "apps/diary/match_place.h"
#include "base/base.h"

enum {
    LEAF = 64, FAN = 32,                 /* entries a leaf, children an inner node */
    HEIGHT_MAX = 24,                     /* inner levels; 24 levels hold more than memory does */
    SWEEP_EVERY = 8,                     /* additions for one leaf swept of expired entries */
    HEAP_KEEP = 1024,                    /* items that a heap keeps between searches */
};

/* Bounds are sums of a few dozen double operations on numbers below 4, each wrong by less than 2^-50: this covers them
 * many times over, and is far below the distance of any two cosines that we would like to tell apart cheaply. */
#define SLOP 0x1p-40
/* Boxes are floats: 2^-22 outwards covers the rounding to float (2^-24) and all that came before it. */
#define BOX_SLOP 0x1p-22

/* What a parent knows of a node: all that a search needs to leave it closed. */
struct child {
    float lo[AXES], hi[AXES];            /* every unit vector below lies between; 0 exactly where no entry has that axis */
    wide same;                           /* the only direction below, if `uniform` */
    struct place first;                  /* not above any place below; without meaning in the leftmost child */
    int64_t min_id, max_id;
    void *node;                          /* struct leaf on level 0, struct inner above; NULL in the root of an empty index */
    bool uniform;
};

struct leaf { wide way[LEAF]; int64_t id[LEAF]; int n; };
struct inner { struct child child[FAN]; int n; };

/* In a heap: an entry (node == NULL), a node of one direction (exact heap), or a node with a bound (open heap). */
struct item {
    wide way;
    uint64_t dot, square;                /* query * way, way * way */
    int64_t id;                          /* of the entry, or the lowest that the node may hold */
    void *node;
    double bound;
    int level;
};
struct heap { struct item *item; size_t n, cap; bool (*before)(const struct item *, const struct item *); };

struct match_index {
    struct child root;
    int height;                          /* the level of the root; 0 is a leaf */
    size_t count, bytes;
    int64_t floor;                       /* lower ids do not exist */
    int64_t sweep_floor;                 /* what the present sweep removes; INT64_MIN: not sweeping */
    struct place sweep_at;
    unsigned since_sweep;
    uint64_t turn;                       /* changes whenever an unfinished search loses its footing */
    struct heap exact, open;
    uint32_t query[AXES];
    double unit[AXES];                   /* the query with length 1 */
    double query_square;
};

/* ---- what a parent knows ---- */

static void child_clear(struct child *c)
{
    for (int a = 0; a < AXES; a++) c->lo[a] = 2, c->hi[a] = 0;
    c->min_id = INT64_MAX;
    c->max_id = INT64_MIN;
    c->uniform = false;
}

static void child_widen(struct child *c, int64_t id, wide way)
{
    bool first = c->max_id == INT64_MIN;
    if (id < c->min_id) c->min_id = id;
    if (id > c->max_id) c->max_id = id;
    if (c->uniform && c->same == way) return;                         /* the box has it already */
    c->uniform = first;
    c->same = way;
    uint32_t at[AXES];
    vector_unpack(way, at);
    double length = root_of(vector_square(at));
    for (int a = 0; a < AXES; a++) {
        double part = at[a] / length;
        float lo = (float)(part * (1 - BOX_SLOP)), hi = (float)(part * (1 + BOX_SLOP));
        if (lo < c->lo[a]) c->lo[a] = lo;
        if (hi > c->hi[a]) c->hi[a] = hi;
    }
}

static void child_join(struct child *c, const struct child *d)
{
    if (d->max_id == INT64_MIN) return;
    c->uniform = d->uniform && (c->max_id == INT64_MIN || (c->uniform && c->same == d->same));
    c->same = d->same;
    if (d->min_id < c->min_id) c->min_id = d->min_id;
    if (d->max_id > c->max_id) c->max_id = d->max_id;
    for (int a = 0; a < AXES; a++) {
        if (d->lo[a] < c->lo[a]) c->lo[a] = d->lo[a];
        if (d->hi[a] > c->hi[a]) c->hi[a] = d->hi[a];
    }
}

static void child_refresh(struct child *c, int level)
{
    child_clear(c);
    if (level == 0) {
        const struct leaf *leaf = c->node;
        for (int i = 0; i < leaf->n; i++) child_widen(c, leaf->id[i], leaf->way[i]);
    } else {
        const struct inner *inner = c->node;
        for (int i = 0; i < inner->n; i++) child_join(c, &inner->child[i]);
    }
}

/* ---- nodes ---- */

static size_t node_bytes(int level) { return level == 0 ? sizeof(struct leaf) : sizeof(struct inner); }
static int *node_n(void *node, int level) { return level == 0 ? &((struct leaf *)node)->n : &((struct inner *)node)->n; }

static void *node_new(struct match_index *index, int level)
{
    void *node = base_alloc(node_bytes(level));
    if (!node) return NULL;
    *node_n(node, level) = 0;
    index->bytes += node_bytes(level);
    return node;
}

static void node_free(struct match_index *index, void *node, int level)
{
    index->bytes -= node_bytes(level);
    free(node);
}

static void tree_free(struct match_index *index, void *node, int level)
{
    if (level > 0) {
        struct inner *inner = node;
        for (int i = 0; i < inner->n; i++) tree_free(index, inner->child[i].node, level - 1);
    }
    node_free(index, node, level);
}

/* The child in whose range the place lies: the last that begins at or before it, and the leftmost has no beginning. */
static int inner_find(const struct inner *inner, const struct place *at)
{
    int low = 0, high = inner->n;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (place_before(at, &inner->child[middle].first)) high = middle;
        else low = middle;
    }
    return low;
}

static int leaf_find(const struct leaf *leaf, const struct place *at)
{
    for (int i = 0; i < leaf->n; i++)
        if (leaf->id[i] == at->id && leaf->way[i] == at->way) return i;
    return -1;
}

/* ---- adding ---- */

static int place_order(const void *a, const void *b)
{
    return place_before(a, b) ? -1 : place_before(b, a) ? 1 : 0;
}

/* In the middle, except behind a long run of one direction that grows at its end, as runs do because ids ascend: cutting
 * those in the middle would leave every leaf half full for ever. */
static int split_point(const struct place sorted[LEAF + 1], const struct place *added)
{
    int at = 0;
    while (place_before(&sorted[at], added)) at++;
    bool run_ends = at == LEAF || sorted[at + 1].way != added->way;
    if (at < LEAF / 2 || !run_ends || sorted[at - LEAF / 2].way != added->way) return (LEAF + 1) / 2;
    return at == LEAF ? LEAF : at + 1;
}

/* The leaf of c is full: shares its entries and the new one with the empty leaf, of which *out_right tells. */
static void leaf_split(struct child *c, struct leaf *fresh, const struct place *added, struct child *out_right)
{
    struct leaf *leaf = c->node;
    struct place sorted[LEAF + 1];
    for (int i = 0; i < LEAF; i++) sorted[i] = place_of(leaf->id[i], leaf->way[i]);
    sorted[LEAF] = *added;
    qsort(sorted, LEAF + 1, sizeof sorted[0], place_order);
    int cut = split_point(sorted, added);
    for (int i = 0; i <= LEAF; i++) {
        struct leaf *to = i < cut ? leaf : fresh;
        int slot = i < cut ? i : i - cut;
        to->id[slot] = sorted[i].id;
        to->way[slot] = sorted[i].way;
    }
    leaf->n = cut;
    fresh->n = LEAF + 1 - cut;
    *out_right = (struct child){ .node = fresh, .first = sorted[cut] };
    child_refresh(out_right, 0);
    child_refresh(c, 0);
}

static void inner_insert(struct inner *inner, int at, const struct child *added)
{
    memmove(&inner->child[at + 1], &inner->child[at], (size_t)(inner->n - at) * sizeof inner->child[0]);
    inner->child[at] = *added;
    inner->n++;
}

/* The inner node of c is full and gets one more child at `at`: the upper half moves to the fresh one. `at` is never 0, so
 * every child that moves has a beginning. */
static void inner_split(struct child *c, struct inner *fresh, int at, const struct child *added, struct child *out_right,
                        int level)
{
    struct inner *inner = c->node;
    int keep = FAN / 2;
    fresh->n = FAN - keep;
    memcpy(fresh->child, &inner->child[keep], (size_t)fresh->n * sizeof inner->child[0]);
    inner->n = keep;
    if (at <= keep) inner_insert(inner, at, added);
    else inner_insert(fresh, at - keep, added);
    *out_right = (struct child){ .node = fresh, .first = fresh->child[0].first };
    child_refresh(out_right, level);
    child_refresh(c, level);
}

/* The way down to an entry: step[0] is the root, step[height] its leaf; slot[i] is the child taken in step[i]. */
struct path { struct child *step[HEIGHT_MAX + 1]; int slot[HEIGHT_MAX + 1]; };

static void path_find(struct match_index *index, const struct place *at, struct path *path)
{
    struct child *c = &index->root;
    for (int i = 0;; i++) {
        path->step[i] = c;
        if (i == index->height) return;
        struct inner *inner = c->node;
        path->slot[i] = inner_find(inner, at);
        c = &inner->child[path->slot[i]];
    }
}

/* Takes beforehand all the nodes that a split of the path's leaf needs, by level, so that nothing can fail halfway. */
static bool path_prepare(struct match_index *index, const struct path *path, void *spare[HEIGHT_MAX + 2])
{
    int level = 0;
    for (; level <= index->height; level++) {
        void *node = path->step[index->height - level]->node;
        if (*node_n(node, level) < (level == 0 ? LEAF : FAN)) return true;
        if (!(spare[level] = node_new(index, level))) goto fail;
    }
    must(index->height < HEIGHT_MAX);
    if ((spare[level] = node_new(index, level))) return true;         /* even the root splits */
fail:
    while (level-- > 0) node_free(index, spare[level], level);
    return false;
}

static void path_split(struct match_index *index, const struct path *path, void *spare[HEIGHT_MAX + 2], const struct place *added)
{
    struct child right, up;
    leaf_split(path->step[index->height], spare[0], added, &right);
    for (int i = index->height - 1, level = 1; i >= 0; i--, level++) {
        struct inner *inner = path->step[i]->node;
        if (inner->n < FAN) {
            inner_insert(inner, path->slot[i] + 1, &right);
            return;
        }
        inner_split(path->step[i], spare[level], path->slot[i] + 1, &right, &up, level);
        right = up;
    }
    struct inner *top = spare[++index->height];
    top->child[0] = index->root;
    top->child[1] = right;
    top->n = 2;
    index->root.node = top;
    child_refresh(&index->root, index->height);
}

static void index_sweep(struct match_index *index);

bool match_index_add(struct match_index *index, int64_t id, const struct match_vector *v)
{
    struct place added = place_from(id, v);
    struct path path;
    void *spare[HEIGHT_MAX + 2];
    index->turn++;
    if (id < index->floor) return true;
    if (++index->since_sweep % SWEEP_EVERY == 0) index_sweep(index);
    if (!index->root.node && !(index->root.node = node_new(index, 0))) return false;
    path_find(index, &added, &path);
    struct leaf *leaf = path.step[index->height]->node;
    if (leaf_find(leaf, &added) >= 0) return true;
    if (!path_prepare(index, &path, spare)) return false;
    for (int i = 0; i <= index->height; i++) child_widen(path.step[i], id, added.way);
    if (leaf->n < LEAF) {
        leaf->id[leaf->n] = id;
        leaf->way[leaf->n++] = added.way;
    } else path_split(index, &path, spare, &added);
    index->count++;
    return true;
}

/* ---- removing ---- */

static void leaf_take(struct leaf *leaf, int i)
{
    leaf->n--;
    leaf->id[i] = leaf->id[leaf->n];
    leaf->way[i] = leaf->way[leaf->n];
}

static void inner_take(struct inner *inner, int i)
{
    inner->n--;
    memmove(&inner->child[i], &inner->child[i + 1], (size_t)(inner->n - i) * sizeof inner->child[0]);
}

/* Moves everything of child i + 1 into child i if that leaves room for growth. */
static bool inner_merge(struct match_index *index, struct inner *inner, int i, int level)
{
    struct child *left = &inner->child[i], *right = &inner->child[i + 1];
    int a = *node_n(left->node, level), b = *node_n(right->node, level);
    if (a + b > (level == 0 ? LEAF : FAN) * 3 / 4) return false;
    if (level == 0) {
        struct leaf *to = left->node, *from = right->node;
        memcpy(&to->id[a], from->id, (size_t)b * sizeof to->id[0]);
        memcpy(&to->way[a], from->way, (size_t)b * sizeof to->way[0]);
    } else {
        struct inner *to = left->node, *from = right->node;
        from->child[0].first = right->first;      /* it was leftmost, so its own beginning may be too late */
        memcpy(&to->child[a], from->child, (size_t)b * sizeof to->child[0]);
    }
    *node_n(left->node, level) = a + b;
    child_join(left, right);
    node_free(index, right->node, level);
    inner_take(inner, i + 1);
    return true;
}

/* Child i has lost entries: frees it if it is empty, merges it with a neighbour if both are small. */
static void inner_tidy(struct match_index *index, struct inner *inner, int i, int level)
{
    int n = *node_n(inner->child[i].node, level);
    if (n == 0) {
        node_free(index, inner->child[i].node, level);
        inner_take(inner, i);
    } else if (n <= (level == 0 ? LEAF : FAN) / 2) {
        if (i + 1 < inner->n && inner_merge(index, inner, i, level)) return;
        if (i > 0) inner_merge(index, inner, i - 1, level);
    }
}

/* Removes from the leaf in whose range `at` lies: that very entry, or, if floor is given, all with a lower id. Sets *next
 * to the beginning of the leaf behind it if there is one. Returns how many went. */
static int tree_remove(struct match_index *index, struct child *c, int level, const struct place *at, const int64_t *floor,
                       struct place *next)
{
    int gone = 0;
    if (level == 0) {
        struct leaf *leaf = c->node;
        for (int i = leaf->n - 1; i >= 0; i--) {
            if (floor ? leaf->id[i] >= *floor : leaf->id[i] != at->id || leaf->way[i] != at->way) continue;
            leaf_take(leaf, i);
            gone++;
        }
    } else {
        struct inner *inner = c->node;
        int i = inner_find(inner, at);
        if (i + 1 < inner->n) *next = inner->child[i + 1].first;
        gone = tree_remove(index, &inner->child[i], level - 1, at, floor, next);
        if (gone > 0) inner_tidy(index, inner, i, level - 1);
    }
    if (gone > 0) child_refresh(c, level);
    return gone;
}

static int index_remove(struct match_index *index, const struct place *at, const int64_t *floor, struct place *next)
{
    if (!index->root.node) return 0;
    int gone = tree_remove(index, &index->root, index->height, at, floor, next);
    index->count -= (size_t)gone;
    while (gone > 0 && index->root.node) {
        void *node = index->root.node;
        int n = *node_n(node, index->height);
        if (n > 1 || (n == 1 && index->height == 0)) break;
        index->root.node = n == 0 ? NULL : ((struct inner *)node)->child[0].node;
        node_free(index, node, index->height);
        index->height = n == 0 ? 0 : index->height - 1;
    }
    return gone;
}

bool match_index_drop(struct match_index *index, int64_t id, const struct match_vector *v)
{
    struct place at = place_from(id, v), next;
    index->turn++;
    return id >= index->floor && index_remove(index, &at, NULL, &next) > 0;
}

/* One leaf of the present sweep. The line is walked from its beginning; where it stood is kept as a place and not as a
 * pointer, so that the tree may change under it. */
static void index_sweep(struct match_index *index)
{
    if (index->sweep_floor == INT64_MIN) return;
    struct place next = index->sweep_at;
    index_remove(index, &index->sweep_at, &index->sweep_floor, &next);
    bool end = !place_before(&index->sweep_at, &next);
    index->sweep_at = next;
    if (!end) return;
    index->sweep_at = (struct place){ 0 };
    index->sweep_floor = index->floor > index->sweep_floor ? index->floor : INT64_MIN;
}

void match_index_expire(struct match_index *index, int64_t below_id)
{
    index->turn++;
    if (below_id > index->floor) {
        index->floor = below_id;
        if (index->sweep_floor == INT64_MIN) index->sweep_floor = below_id;
    }
    index_sweep(index);
}

/* ---- heaps ---- */

/* By cosine, then id, then way. Exact: the lengths of the query cancel, and 2 * 38.9 + 38.9 bits fit. */
static bool item_before(const struct item *a, const struct item *b)
{
    wide x = (wide)a->dot * a->dot * b->square, y = (wide)b->dot * b->dot * a->square;
    if (x != y) return x > y;
    if (a->id != b->id) return a->id < b->id;
    return a->way < b->way;
}

static bool item_above(const struct item *a, const struct item *b) { return a->bound > b->bound; }

static bool heap_reserve(struct match_index *index, struct heap *heap, size_t more)
{
    if (heap->cap - heap->n >= more) return true;
    size_t cap = heap->cap * 2 > heap->n + more ? heap->cap * 2 : heap->n + more;
    struct item *grown = base_realloc(heap->item, cap * sizeof *grown);
    if (!grown) return false;
    index->bytes += (cap - heap->cap) * sizeof *grown;
    heap->item = grown;
    heap->cap = cap;
    return true;
}

static void heap_push(struct heap *heap, const struct item *added)       /* after heap_reserve */
{
    size_t i = heap->n++;
    for (size_t up; i > 0 && heap->before(added, &heap->item[up = (i - 1) / 2]); i = up) heap->item[i] = heap->item[up];
    heap->item[i] = *added;
}

static struct item heap_pop(struct heap *heap)
{
    struct item top = heap->item[0], last = heap->item[--heap->n];
    size_t i = 0;
    for (size_t down; (down = 2 * i + 1) < heap->n; i = down) {
        if (down + 1 < heap->n && heap->before(&heap->item[down + 1], &heap->item[down])) down++;
        if (!heap->before(&heap->item[down], &last)) break;
        heap->item[i] = heap->item[down];
    }
    if (heap->n > 0) heap->item[i] = last;
    return top;
}

/* ---- searching ---- */

/* Never below the cosine of anything in the box; 0 when all of it is orthogonal, which is exact, see child.hi. Two bounds,
 * and the lower holds: for unit vectors cos = 1 - distance^2 / 2, and no product exceeds that with the upper corner. The
 * first is what makes the search logarithmic (the second is off by the width of the box, the first by its square), the
 * second is better for boxes far away. */
static double child_bound(const struct child *c, const double unit[AXES])
{
    double apart = 0, along = 0;
    for (int a = 0; a < AXES; a++) {
        double below = (double)c->lo[a] - unit[a], above = unit[a] - (double)c->hi[a];
        double gap = below > above ? below : above;
        gap = gap > 0 ? gap : 0;
        apart += gap * gap;
        along += unit[a] * (double)c->hi[a];
    }
    if (along <= 0) return 0;
    double near = 1 - apart / 2;
    return (near < along ? near : along) + SLOP;
}

static void search_put_exact(struct match_index *index, wide way, int64_t id, void *node, int level)
{
    uint32_t at[AXES];
    struct item item = { .way = way, .id = id, .node = node, .level = level };
    vector_unpack(way, at);
    for (int a = 0; a < AXES; a++) item.dot += (uint64_t)index->query[a] * at[a];
    if (item.dot == 0) return;
    item.square = vector_square(at);
    heap_push(&index->exact, &item);
}

static void search_put_child(struct match_index *index, const struct child *c, int level)
{
    if (c->max_id < index->floor) return;
    if (c->uniform) {
        search_put_exact(index, c->same, c->min_id > index->floor ? c->min_id : index->floor, c->node, level);
        return;
    }
    struct item item = { .bound = child_bound(c, index->unit), .node = c->node, .level = level };
    if (item.bound > 0) heap_push(&index->open, &item);
}

/* Replaces the heap's first item, a node, by what is in the node. */
static bool search_open(struct match_index *index, struct heap *from)
{
    if (!heap_reserve(index, &index->exact, LEAF) || !heap_reserve(index, &index->open, FAN)) return false;
    struct item top = heap_pop(from);
    if (top.level == 0) {
        const struct leaf *leaf = top.node;
        for (int i = 0; i < leaf->n; i++)
            if (leaf->id[i] >= index->floor) search_put_exact(index, leaf->way[i], leaf->id[i], NULL, 0);
    } else {
        const struct inner *inner = top.node;
        for (int i = 0; i < inner->n; i++) search_put_child(index, &inner->child[i], top.level - 1);
    }
    return true;
}

/* Is this certainly better than everything in any node that is still closed? Not "equal": an equal cosine with a lower id
 * may hide there. */
static bool search_decided(const struct match_index *index, const struct item *best)
{
    if (index->open.n == 0) return true;
    double bound = index->open.item[0].bound, dot = (double)best->dot;
    return bound * bound * (double)best->square * index->query_square < dot * dot * (1 - SLOP);
}

void match_search_begin(struct match_search *search, struct match_index *index, const struct match_vector *query)
{
    struct match_vector reduced = match_vector_reduce(query);
    memcpy(index->query, reduced.at, sizeof index->query);
    uint64_t square = vector_square(index->query);
    double length = root_of(square);
    for (int a = 0; a < AXES; a++) index->unit[a] = index->query[a] / length;
    index->query_square = (double)square;
    index->exact.n = index->open.n = 0;
    if (index->root.node) search_put_child(index, &index->root, index->height);      /* match_index_new made room */
    search->index = index;
    search->turn = ++index->turn;
}

enum match_answer match_search_next(struct match_search *search, int64_t *out_id, struct match_vector *out_vector)
{
    struct match_index *index = search->index;
    must(index && search->turn == index->turn);
    for (;;) {
        struct heap *from = &index->open;
        if (index->exact.n > 0 && search_decided(index, &index->exact.item[0])) {
            if (!index->exact.item[0].node) break;
            from = &index->exact;
        } else if (index->open.n == 0) return MATCH_END;
        if (!search_open(index, from)) return MATCH_MEMORY;
    }
    struct item found = heap_pop(&index->exact);
    *out_id = found.id;
    vector_unpack(found.way, out_vector->at);
    return MATCH_FOUND;
}

static void heap_shrink(struct match_index *index, struct heap *heap)
{
    heap->n = 0;
    if (heap->cap <= HEAP_KEEP) return;
    struct item *less = base_realloc(heap->item, HEAP_KEEP * sizeof *less);
    if (!less) return;                            /* keeps the larger one, no harm */
    index->bytes -= (heap->cap - HEAP_KEEP) * sizeof *less;
    heap->item = less;
    heap->cap = HEAP_KEEP;
}

void match_search_end(struct match_search *search)
{
    struct match_index *index = search->index;
    if (!index || search->turn != index->turn) return;
    heap_shrink(index, &index->exact);
    heap_shrink(index, &index->open);
    index->turn++;
}

/* ---- life ---- */

struct match_index *match_index_new(void)
{
    struct match_index *index = base_alloc(sizeof *index);
    if (!index) return NULL;
    memset(index, 0, sizeof *index);
    index->bytes = sizeof *index;
    index->sweep_floor = INT64_MIN;
    child_clear(&index->root);
    index->exact.before = item_before;
    index->open.before = item_above;
    if (!heap_reserve(index, &index->exact, 2 * LEAF) || !heap_reserve(index, &index->open, 2 * FAN)) match_index_free(&index);
    return index;
}

void match_index_free(struct match_index **index)
{
    if (!*index) return;
    if ((*index)->root.node) tree_free(*index, (*index)->root.node, (*index)->height);
    free((*index)->exact.item);
    free((*index)->open.item);
    free(*index);
    *index = NULL;
}

size_t match_index_count(const struct match_index *index) { return index->count; }
size_t match_index_bytes(const struct match_index *index) { return index->bytes; }
