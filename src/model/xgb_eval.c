/* xgb_eval.c -- the flat evaluator: the same bits as XGBoost's own predict.
 *
 * The idea: a walk is a chain of dependent loads, so eight trees of one row
 * are walked at once, without a branch that depends on data.  Numbered facts:
 *
 *  1. A row becomes float32 first, and lies twice: as it is (NaN compares
 *     false and goes left) and with +inf for NaN (goes right).
 *  2. A step is left + (x >= threshold); !(x < t) and x >= t differ for NaN
 *     only, which fact 1 settles.  A leaf has a NaN threshold: it stays.
 *  3. Leaves are added in the order of trees, one float32 accumulator a row;
 *     the file is built without fused multiply-add and without -ffast-math.
 *  4. Rows go through in blocks that fit a scratch on the stack, and each
 *     group of trees sees the whole block while it is in the cache. */
#include <math.h>

#include "model/model_internal.h"

/* Floats of scratch on the stack: 32 KiB, one row of the widest model. */
#define SCRATCH_COUNT (2 * SLW_MODEL_COLUMN_MAX)
#define BLOCK_ROWS_MAX 64
_Static_assert(SCRATCH_COUNT >= 2 * SLW_MODEL_COLUMN_MAX, "one row fits");

/* ---- walking ---- */

static inline void
step_all(const struct xgb_node *nodes, const float *v, uint32_t at[XGB_LANES])
{
#pragma GCC unroll 8
    for (size_t lane = 0; lane < XGB_LANES; lane++) {
        const struct xgb_node *n = &nodes[at[lane]];
        at[lane] = n->left + (uint32_t)(v[n->value_index] >= n->threshold);
    }
}

/* Deep and uneven trees: stop as soon as nobody moves. */
static void
walk_deep(const struct xgb_node *nodes, const float *v, uint32_t depth,
          uint32_t at[XGB_LANES])
{
    uint32_t done = 0;
    while (done < depth) {
        uint32_t moved = 0, before[XGB_LANES];
        for (int i = 0; i < 3; i++)
            step_all(nodes, v, at);
        memcpy(before, at, sizeof(before));
        step_all(nodes, v, at);
        for (size_t lane = 0; lane < XGB_LANES; lane++)
            moved |= before[lane] ^ at[lane];
        if (!moved)
            return;
        done += 4;
    }
}

static inline float
walk_group(const struct xgb_node *nodes, const struct xgb_group *g,
           const float *v, float sum)
{
    uint32_t at[XGB_LANES];
    memcpy(at, g->root, sizeof(at));
    if (g->depth > 8)
        walk_deep(nodes, v, g->depth, at);
    else
        for (uint32_t d = 0; d < g->depth; d++)
            step_all(nodes, v, at);
    if (g->tree_count == XGB_LANES) {
#pragma GCC unroll 8
        for (size_t lane = 0; lane < XGB_LANES; lane++)
            sum += nodes[at[lane]].leaf;
        return sum;
    }
    for (size_t lane = 0; lane < g->tree_count; lane++)
        sum += nodes[at[lane]].leaf;
    return sum;
}

static bool
category_listed(const struct model_xgb *m, const struct xgb_wide *w,
                uint32_t category)
{
    const uint32_t *set = m->categories + w->category_begin;
    size_t low = 0, high = w->category_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (set[middle] < category)
            low = middle + 1;
        else
            high = middle;
    }
    return low < w->category_count && set[low] == category;
}

/* Listed goes right, all others left; what is no category, by version. */
static bool
category_right(const struct model_xgb *m, const struct xgb_wide *w, float x)
{
    if (isnan(x))
        return w->missing_right;
    bool valid = x >= 0 && x < 16777216.0f;
    switch (m->category_rule) {
    case XGB_CATEGORY_15:
        if (x > -1 && x < 0) /* cut toward zero */
            return category_listed(m, w, 0);
        return valid && category_listed(m, w, (uint32_t)x);
    case XGB_CATEGORY_16: {
        /* In memory its sets are whole words of 32 categories. */
        uint32_t words = 0;
        if (w->category_count)
            words =
                m->categories[w->category_begin + w->category_count - 1] / 32 +
                1;
        if (!valid || (uint32_t)x >= 32 * words)
            return w->missing_right;
        return category_listed(m, w, (uint32_t)x);
    }
    default:
        return valid && category_listed(m, w, (uint32_t)x);
    }
}

static float
walk_wide(const struct model_xgb *m, uint32_t root, const float *v)
{
    const struct xgb_wide *w = &m->wides[root];
    while (w->kind != XGB_LEAF) {
        bool right;
        if (w->kind == XGB_CATEGORICAL)
            right = category_right(m, w, v[2 * w->column]);
        else
            right = v[2 * w->column + w->missing_right] >= w->threshold;
        w = &m->wides[w->left + right];
    }
    return w->leaf;
}

/* ---- rows ---- */

static void
load_row(const double *x, size_t column_count, float *v)
{
    for (size_t c = 0; c < column_count; c++) {
        float value = (float)x[c];
        v[2 * c] = value;
        v[2 * c + 1] = isnan(value) ? INFINITY : value;
    }
}

static float
answer_of(const struct model_xgb *m, float sum)
{
    float z = m->margin_last ? m->margin + sum : sum;
    switch (m->answer) {
    case XGB_ANSWER_SIGMOID: {
        float limited = 88.7f < -z ? 88.7f : -z; /* NaN stays NaN */
        float denominator = expf(limited) + 1.0f;
        denominator = denominator + 1e-16f;
        return 1.0f / denominator;
    }
    case XGB_ANSWER_SIGMOID_OLD:
        return 1.0f / (1.0f + expf(-z));
    case XGB_ANSWER_EXP:
        return expf(z);
    case XGB_ANSWER_HINGE:
        return z > 0 ? 1.0f : 0.0f;
    default:
        return z;
    }
}

static void
predict_block(const struct model_xgb *m, const double *x, size_t row_count,
              double *y)
{
    MODEL_SCRATCH float v[SCRATCH_COUNT];
    MODEL_SCRATCH float sums[BLOCK_ROWS_MAX];
    size_t stride = 2 * (size_t)m->column_count;
    for (size_t r = 0; r < row_count; r++) {
        load_row(x + r * m->column_count, m->column_count, v + r * stride);
        sums[r] = m->margin_last ? 0.0f : m->margin;
    }
    for (size_t i = 0; i < m->group_count; i++) {
        const struct xgb_group *g = &m->groups[i];
        for (size_t r = 0; r < row_count; r++) {
            const float *row = v + r * stride;
            if (g->categorical)
                sums[r] += walk_wide(m, g->root[0], row);
            else
                sums[r] = walk_group(m->nodes, g, row, sums[r]);
        }
    }
    for (size_t r = 0; r < row_count; r++)
        y[r] = (double)answer_of(m, sums[r]);
}

void
model_xgb_predict(const struct model_xgb *m, const double *x, size_t row_count,
                  double *y)
{
    size_t block = SCRATCH_COUNT / (2 * (size_t)m->column_count);
    if (block > BLOCK_ROWS_MAX)
        block = BLOCK_ROWS_MAX;
    SLW_ASSERT(block > 0);
    for (size_t r = 0; r < row_count; r += block) {
        size_t count = row_count - r < block ? row_count - r : block;
        predict_block(m, x + r * m->column_count, count, y + r);
    }
}

void
model_xgb_free(struct model_xgb *m)
{
    if (!m)
        return;
    slw_free(m->nodes);
    slw_free(m->wides);
    slw_free(m->categories);
    slw_free(m->groups);
    slw_free(m);
}
