/* xgb_build.c -- from a tree as the file holds it to flat nodes.
 *
 * A tree is renumbered breadth first, so that a right child always follows
 * its left brother and the top levels lie together.  On the way every promise
 * the evaluator relies on is checked: children in range, no node reached
 * twice (so no cycle), no NaN where a comparison or a sum would meet it. */
#include <math.h>

#include "model/model_internal.h"

void
model_f32s_add(struct model_f32s *v, float x)
{
    if (v->count == v->cap) {
        v->cap = v->cap ? v->cap * 2 : 256;
        v->ptr = slw_realloc(v->ptr, v->cap * sizeof(*v->ptr));
    }
    v->ptr[v->count++] = x;
}

void
model_i64s_add(struct model_i64s *v, int64_t x)
{
    if (v->count == v->cap) {
        v->cap = v->cap ? v->cap * 2 : 256;
        v->ptr = slw_realloc(v->ptr, v->cap * sizeof(*v->ptr));
    }
    v->ptr[v->count++] = x;
}

void
model_build_done(struct xgb_build *b)
{
    slw_free(b->wides);
    slw_free(b->categories);
    slw_free(b->trees);
    slw_free(b->ids);
    slw_free(b->queue);
    slw_free(b->seen);
    *b = (struct xgb_build){0};
}

/* ---- checks of one tree's arrays ---- */

static enum slw_rc
bad_tree(const struct xgb_raw_tree *t, const char *what, struct slw_err *err)
{
    return slw_fail(err, SLW_INVALID,
                    "tree %lld of the model file is damaged:"
                    " %s",
                    (long long)t->id, what);
}

static enum slw_rc
check_lengths(const struct xgb_raw_tree *t, struct slw_err *err)
{
    size_t n = t->left.count;
    if (!t->has_id)
        return bad_tree(t, "it has no id", err);
    if (t->leaf_vector_size > 1)
        return slw_fail(err, SLW_UNSUPPORTED,
                        "trees with vector leaves"
                        " (multi_strategy=multi_output_tree) are not offered:"
                        " train one output a model");
    if (!t->has_num_nodes || t->num_nodes < 1 ||
        (uint64_t)t->num_nodes > MODEL_XGB_NODE_MAX ||
        (size_t)t->num_nodes != n)
        return bad_tree(t, "num_nodes is not the length of left_children", err);
    if (t->right.count != n || t->column.count != n ||
        t->condition.count != n || t->default_left.count != n)
        return bad_tree(t, "its arrays differ in length", err);
    /* Files before 1.3 have no split types: all numeric. */
    if (t->split_type.count != n && t->split_type.count != 0)
        return bad_tree(t, "split_type differs in length", err);
    if (t->category_begin.count != t->category_nodes.count ||
        t->category_count.count != t->category_nodes.count)
        return bad_tree(t, "its category arrays differ in length", err);
    return SLW_OK;
}

static enum slw_rc
check_categories(const struct xgb_raw_tree *t, struct slw_err *err)
{
    int64_t before = -1;
    for (size_t j = 0; j < t->category_nodes.count; j++) {
        int64_t node = t->category_nodes.ptr[j];
        int64_t begin = t->category_begin.ptr[j];
        int64_t count = t->category_count.ptr[j];
        if (node <= before || node >= t->num_nodes)
            return bad_tree(t, "categories_nodes is not rising", err);
        before = node;
        if (begin < 0 || count < 0 || (uint64_t)begin > t->categories.count ||
            (uint64_t)count > t->categories.count - (size_t)begin)
            return bad_tree(t, "a category segment is out of range", err);
    }
    for (size_t i = 0; i < t->categories.count; i++)
        if (t->categories.ptr[i] < 0 || t->categories.ptr[i] > 16777215)
            return bad_tree(t, "a category is not in 0..16777215", err);
    return SLW_OK;
}

/* ---- flattening ---- */

static void
scratch_reserve(struct xgb_build *b, size_t n)
{
    if (n > b->scratch_cap) {
        b->scratch_cap = n + n / 2;
        b->queue = slw_realloc(b->queue, b->scratch_cap * sizeof(*b->queue));
        b->seen = slw_realloc(b->seen, b->scratch_cap);
    }
    memset(b->seen, 0, n);
    if (b->wide_count + n > b->wide_cap) {
        b->wide_cap = (b->wide_count + n) * 3 / 2;
        b->wides = slw_realloc(b->wides, b->wide_cap * sizeof(*b->wides));
    }
}

static int
compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The set of categories of file node `at`, sorted, behind the build's. */
static enum slw_rc
add_categories(struct xgb_build *b, const struct xgb_raw_tree *t, uint32_t at,
               struct xgb_wide *w, struct slw_err *err)
{
    size_t low = 0, high = t->category_nodes.count;
    while (low < high) { /* categories_nodes is rising */
        size_t middle = (low + high) / 2;
        if (t->category_nodes.ptr[middle] < (int64_t)at)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == t->category_nodes.count ||
        t->category_nodes.ptr[low] != (int64_t)at)
        return bad_tree(t, "a categorical node lists no categories", err);
    size_t begin = (size_t)t->category_begin.ptr[low];
    size_t count = (size_t)t->category_count.ptr[low];
    /* Segments may overlap in a hostile file: the sum is what is limited. */
    if (b->category_count + count > MODEL_XGB_NODE_MAX)
        return slw_fail(err, SLW_LIMIT,
                        "the model has more than %zu"
                        " categories",
                        MODEL_XGB_NODE_MAX);
    if (b->category_count + count > b->category_cap) {
        b->category_cap = (b->category_count + count) * 3 / 2;
        b->categories =
            slw_realloc(b->categories, b->category_cap * sizeof(uint32_t));
    }
    uint32_t *set = b->categories + b->category_count;
    for (size_t i = 0; i < count; i++)
        set[i] = (uint32_t)t->categories.ptr[begin + i];
    if (count > 0)
        qsort(set, count, sizeof(*set), compare_u32);
    w->category_begin = (uint32_t)b->category_count;
    w->category_count = (uint32_t)count;
    b->category_count += count;
    return SLW_OK;
}

static enum slw_rc
make_leaf(const struct xgb_raw_tree *t, uint32_t at, uint32_t self,
          struct xgb_wide *w, struct slw_err *err)
{
    float value = t->condition.ptr[at];
    if (isnan(value))
        return bad_tree(t, "a leaf is NaN", err);
    *w = (struct xgb_wide){
        .threshold = NAN, .leaf = value, .left = self, .kind = XGB_LEAF};
    return SLW_OK;
}

/* File node `at` as flat inner node; its children get the next two numbers. */
static enum slw_rc
make_inner(struct xgb_build *b, const struct xgb_raw_tree *t, uint32_t at,
           uint32_t *io_next, struct xgb_wide *w, struct slw_err *err)
{
    int64_t child[2] = {t->left.ptr[at], t->right.ptr[at]};
    for (int i = 0; i < 2; i++) {
        if (child[i] < 1 || child[i] >= t->num_nodes)
            return bad_tree(t, "a child is out of range", err);
        if (b->seen[child[i]])
            return bad_tree(t, "a node has two parents", err);
        b->seen[child[i]] = 1;
    }
    int64_t column = t->column.ptr[at];
    if (column < 0 || column >= INT32_MAX)
        return bad_tree(t, "a split has no column", err);
    *w = (struct xgb_wide){.threshold = t->condition.ptr[at],
                           .column = (uint32_t)column,
                           .left = *io_next,
                           .kind = XGB_NUMERIC,
                           .missing_right = !t->default_left.ptr[at]};
    b->queue[(*io_next)++] = (uint32_t)child[0];
    b->queue[(*io_next)++] = (uint32_t)child[1];
    if (t->split_type.count && t->split_type.ptr[at] == 1) {
        w->kind = XGB_CATEGORICAL;
        return add_categories(b, t, at, w, err);
    }
    if (t->split_type.count && t->split_type.ptr[at] != 0)
        return bad_tree(t, "a split is of an unknown type", err);
    if (isnan(w->threshold))
        return bad_tree(t, "a threshold is NaN", err);
    return SLW_OK;
}

/* Breadth first, level by level, so that the depth falls out. */
static enum slw_rc
flatten(struct xgb_build *b, const struct xgb_raw_tree *t,
        struct xgb_built_tree *out, struct slw_err *err)
{
    struct xgb_wide *wides = b->wides + b->wide_count;
    uint32_t next = 1, level_end = 1;
    b->queue[0] = 0;
    for (uint32_t i = 0; i < next; i++) {
        if (i == level_end) {
            out->depth++;
            level_end = next;
        }
        uint32_t at = b->queue[i];
        if (t->left.ptr[at] == -1) {
            TRY(make_leaf(t, at, i, &wides[i], err));
            continue;
        }
        TRY(make_inner(b, t, at, &next, &wides[i], err));
        if (wides[i].column > out->column_max)
            out->column_max = wides[i].column;
        out->categorical |= wides[i].kind == XGB_CATEGORICAL;
    }
    out->node_count = next;
    return SLW_OK;
}

enum slw_rc
model_build_tree(struct xgb_build *b, const struct xgb_raw_tree *t,
                 struct slw_err *err)
{
    TRY(check_lengths(t, err));
    TRY(check_categories(t, err));
    if (b->tree_count == MODEL_XGB_TREE_MAX ||
        b->wide_count + t->left.count > MODEL_XGB_NODE_MAX)
        return slw_fail(err, SLW_LIMIT,
                        "the model has more than %zu trees or %zu nodes",
                        MODEL_XGB_TREE_MAX, MODEL_XGB_NODE_MAX);
    scratch_reserve(b, t->left.count);
    struct xgb_built_tree tree = {.first = b->wide_count};
    TRY(flatten(b, t, &tree, err));
    if (b->tree_count == b->tree_cap) {
        b->tree_cap = b->tree_cap ? b->tree_cap * 2 : 64;
        b->trees = slw_realloc(b->trees, b->tree_cap * sizeof(*b->trees));
        b->ids = slw_realloc(b->ids, b->tree_cap * sizeof(*b->ids));
    }
    b->ids[b->tree_count] = t->id;
    b->trees[b->tree_count++] = tree;
    b->wide_count += tree.node_count;
    return SLW_OK;
}

/* ---- the model ---- */

static void
copy_narrow(const struct xgb_build *b, const struct xgb_built_tree *t,
            float weight, struct model_xgb *out)
{
    uint32_t base = (uint32_t)out->node_count;
    for (uint32_t i = 0; i < t->node_count; i++) {
        const struct xgb_wide *w = &b->wides[t->first + i];
        out->nodes[base + i] =
            (struct xgb_node){.threshold = w->threshold,
                              .value_index = 2 * w->column + w->missing_right,
                              .left = base + w->left,
                              .leaf = w->leaf * weight};
    }
    out->node_count += t->node_count;
}

static void
copy_wide(const struct xgb_build *b, const struct xgb_built_tree *t,
          float weight, struct model_xgb *out)
{
    uint32_t base = (uint32_t)out->wide_count;
    for (uint32_t i = 0; i < t->node_count; i++) {
        struct xgb_wide *w = &out->wides[base + i];
        *w = b->wides[t->first + i];
        w->left += base;
        w->leaf *= weight;
    }
    out->wide_count += t->node_count;
}

/* The next tree joins the last group while that has room, or opens one. */
static void
group_tree(const struct xgb_built_tree *t, uint32_t root, struct model_xgb *out)
{
    struct xgb_group *g =
        out->group_count ? &out->groups[out->group_count - 1] : NULL;
    if (!g || t->categorical || g->categorical || g->tree_count == XGB_LANES) {
        g = &out->groups[out->group_count++];
        *g = (struct xgb_group){.categorical = t->categorical};
        for (size_t lane = 0; lane < XGB_LANES; lane++)
            g->root[lane] = root;
    }
    g->root[g->tree_count++] = root;
    if (t->depth > g->depth)
        g->depth = t->depth;
}

void
model_build_finish(const struct xgb_build *b, const size_t *order, size_t keep,
                   const float *weights, struct model_xgb *out)
{
    size_t narrow_count = 0, wide_count = 0;
    for (size_t i = 0; i < keep; i++) {
        const struct xgb_built_tree *t = &b->trees[order[i]];
        *(t->categorical ? &wide_count : &narrow_count) += t->node_count;
    }
    out->nodes = slw_alloc((narrow_count + 1) * sizeof(*out->nodes));
    out->wides = slw_alloc((wide_count + 1) * sizeof(*out->wides));
    out->groups = slw_alloc((keep + 1) * sizeof(*out->groups));
    out->categories = slw_alloc((b->category_count + 1) * sizeof(uint32_t));
    if (b->category_count)
        memcpy(out->categories, b->categories,
               b->category_count * sizeof(uint32_t));
    out->category_count = b->category_count;
    out->tree_count = keep;
    for (size_t i = 0; i < keep; i++) {
        const struct xgb_built_tree *t = &b->trees[order[i]];
        float weight = weights ? weights[i] : 1.0f;
        size_t root = t->categorical ? out->wide_count : out->node_count;
        group_tree(t, (uint32_t)root, out);
        if (t->categorical)
            copy_wide(b, t, weight, out);
        else
            copy_narrow(b, t, weight, out);
    }
}
