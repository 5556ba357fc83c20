/* xgb_read.c -- XGBoost's model files, JSON and UBJSON, 1.0 to 3.2.
 *
 * The file is streamed: each tree is checked and flattened as it passes, all
 * other facts are collected, and what they mean is decided at the end,
 * because keys are sorted and `version` comes last.  Unknown keys are skipped.
 *
 * Which of XGBoost's answers is given: that of the version that wrote the
 * file (its summation order, its sigmoid, its categorical rule), over all
 * rounds as Booster.predict; where the file says it was written by a
 * scikit-learn class (attribute scikit_learn), over rounds 0..best_iteration
 * as that class. */
#include <math.h>

#include "model/model_internal.h"

struct xgb_read {
    struct model_lex lex;
    struct xgb_build build;
    struct xgb_raw_tree tree; /* reused from tree to tree */
    struct slw_arena arena;   /* short texts */
    const struct slw_signature *sig;
    struct model_i64s version, tree_info, iteration_indptr;
    struct model_f32s weight_drop;
    struct slw_str base_score, objective, booster, best_iteration;
    struct slw_str scratch_str;
    int64_t num_feature, num_class, num_target, num_trees, num_parallel_tree;
    size_t name_count;
    bool has_learner, has_trees, has_num_feature, has_num_trees, is_snapshot,
        from_sklearn, has_iteration_indptr, has_weight_drop;
};

#define TEXTS_SIZE_MAX ((size_t)1 << 20)

static void
raw_tree_done(struct xgb_raw_tree *t)
{
    struct model_i64s *lists[] = {
        &t->left,           &t->right,          &t->column,
        &t->default_left,   &t->split_type,     &t->categories,
        &t->category_nodes, &t->category_begin, &t->category_count};
    for (size_t i = 0; i < SLW_ARRAY_LEN(lists); i++)
        slw_free(lists[i]->ptr);
    slw_free(t->condition.ptr);
}

static void
xgb_read_done(struct xgb_read *r)
{
    model_lex_done(&r->lex);
    model_build_done(&r->build);
    raw_tree_done(&r->tree);
    slw_arena_done(&r->arena);
    slw_free(r->version.ptr);
    slw_free(r->tree_info.ptr);
    slw_free(r->iteration_indptr.ptr);
    slw_free(r->weight_drop.ptr);
}

/* ---- readers of one value ---- */

typedef enum slw_rc (*key_fn)(struct xgb_read *r, struct slw_str key,
                              struct slw_err *err);

static enum slw_rc
unexpected(struct xgb_read *r, const char *wanted, struct slw_err *err)
{
    return slw_fail(err, SLW_INVALID,
                    "the model file is damaged: %s is expected before byte"
                    " %zu",
                    wanted, model_lex_offset(&r->lex));
}

static enum slw_rc
object_rest(struct xgb_read *r, key_fn on_key, struct slw_err *err)
{
    enum lex_token token;
    for (;;) {
        TRY(model_lex_next(&r->lex, &token, err));
        if (token == LEX_OBJECT_END)
            return SLW_OK;
        SLW_ASSERT(token == LEX_KEY);
        TRY(on_key(r, r->lex.text, err));
    }
}

/* An object; on_key must read or skip the value of its key. */
static enum slw_rc
object(struct xgb_read *r, key_fn on_key, struct slw_err *err)
{
    enum lex_token token;
    TRY(model_lex_next(&r->lex, &token, err));
    if (token != LEX_OBJECT)
        return unexpected(r, "an object", err);
    return object_rest(r, on_key, err);
}

static enum slw_rc
array_begin(struct xgb_read *r, struct slw_err *err)
{
    enum lex_token token;
    TRY(model_lex_next(&r->lex, &token, err));
    if (token != LEX_ARRAY)
        return unexpected(r, "an array", err);
    return SLW_OK;
}

static enum slw_rc
integers(struct xgb_read *r, struct model_i64s *out, struct slw_err *err)
{
    out->count = 0;
    TRY(array_begin(r, err));
    for (;;) {
        enum lex_token token;
        int64_t v;
        TRY(model_lex_next(&r->lex, &token, err));
        if (token == LEX_ARRAY_END)
            return SLW_OK;
        if (token != LEX_NUM)
            return unexpected(r, "a whole number", err);
        TRY(model_lex_i64(&r->lex, &v, err));
        model_i64s_add(out, v);
    }
}

static enum slw_rc
reals(struct xgb_read *r, struct model_f32s *out, struct slw_err *err)
{
    out->count = 0;
    TRY(array_begin(r, err));
    for (;;) {
        enum lex_token token;
        float v;
        TRY(model_lex_next(&r->lex, &token, err));
        if (token == LEX_ARRAY_END)
            return SLW_OK;
        if (token != LEX_NUM)
            return unexpected(r, "a number", err);
        TRY(model_lex_f32(&r->lex, &v, err));
        model_f32s_add(out, v);
    }
}

/* A text, copied into the arena. */
static enum slw_rc
text(struct xgb_read *r, struct slw_str *out, struct slw_err *err)
{
    enum lex_token token;
    TRY(model_lex_next(&r->lex, &token, err));
    if (token != LEX_STR)
        return unexpected(r, "a text", err);
    if (r->lex.text.len + 64 > slw_arena_room(&r->arena))
        return slw_fail(err, SLW_LIMIT,
                        "the model file has texts of more than"
                        " %zu bytes",
                        TEXTS_SIZE_MAX);
    *out = slw_arena_str(&r->arena, r->lex.text);
    return SLW_OK;
}

/* XGBoost's parameters are numbers in texts: "6". */
static enum slw_rc
number_text(struct xgb_read *r, const char *what, int64_t *out,
            struct slw_err *err)
{
    struct slw_err why;
    enum lex_token token;
    int64_t v;
    TRY(model_lex_next(&r->lex, &token, err));
    if (token != LEX_STR || slw_str_i64(r->lex.text, &v, &why) != SLW_OK ||
        v < 0 || v > INT32_MAX)
        return slw_fail(err, SLW_INVALID,
                        "the model file is damaged: %s is not"
                        " a whole number in a text",
                        what);
    *out = v;
    return SLW_OK;
}

/* ---- trees ---- */

static enum slw_rc
on_tree_param(struct xgb_read *r, struct slw_str key, struct slw_err *err)
{
    struct xgb_raw_tree *t = &r->tree;
    if (slw_str_eqz(key, "num_nodes")) {
        t->has_num_nodes = true;
        return number_text(r, "num_nodes", &t->num_nodes, err);
    }
    if (slw_str_eqz(key, "size_leaf_vector"))
        return number_text(r, "size_leaf_vector", &t->leaf_vector_size, err);
    return model_lex_skip(&r->lex, err);
}

static struct model_i64s *
tree_list(struct xgb_raw_tree *t, struct slw_str key)
{
    const struct {
        const char *name;
        struct model_i64s *list;
    } table[] = {{"left_children", &t->left},
                 {"right_children", &t->right},
                 {"split_indices", &t->column},
                 {"default_left", &t->default_left},
                 {"split_type", &t->split_type},
                 {"categories", &t->categories},
                 {"categories_nodes", &t->category_nodes},
                 {"categories_segments", &t->category_begin},
                 {"categories_sizes", &t->category_count}};
    for (size_t i = 0; i < SLW_ARRAY_LEN(table); i++)
        if (slw_str_eqz(key, table[i].name))
            return table[i].list;
    return NULL;
}

static enum slw_rc
on_tree(struct xgb_read *r, struct slw_str key, struct slw_err *err)
{
    struct xgb_raw_tree *t = &r->tree;
    struct model_i64s *list = tree_list(t, key);
    if (list)
        return integers(r, list, err);
    if (slw_str_eqz(key, "split_conditions"))
        return reals(r, &t->condition, err);
    if (slw_str_eqz(key, "tree_param"))
        return object(r, on_tree_param, err);
    if (!slw_str_eqz(key, "id"))
        return model_lex_skip(&r->lex, err);
    enum lex_token token;
    TRY(model_lex_next(&r->lex, &token, err));
    if (token != LEX_NUM)
        return unexpected(r, "a tree's id", err);
    t->has_id = true;
    return model_lex_i64(&r->lex, &t->id, err);
}

static void
raw_tree_clear(struct xgb_raw_tree *t)
{
    t->id = t->num_nodes = t->leaf_vector_size = 0;
    t->has_id = t->has_num_nodes = false;
    t->left.count = t->right.count = t->column.count = 0;
    t->default_left.count = t->split_type.count = t->categories.count = 0;
    t->category_nodes.count = t->category_begin.count = 0;
    t->category_count.count = t->condition.count = 0;
}

static enum slw_rc
trees(struct xgb_read *r, struct slw_err *err)
{
    if (r->has_trees)
        return slw_fail(err, SLW_INVALID,
                        "the model file is damaged: it holds trees twice");
    r->has_trees = true;
    TRY(array_begin(r, err));
    for (;;) {
        enum lex_token token;
        TRY(model_lex_next(&r->lex, &token, err));
        if (token == LEX_ARRAY_END)
            return SLW_OK;
        if (token != LEX_OBJECT)
            return unexpected(r, "a tree", err);
        raw_tree_clear(&r->tree);
        TRY(object_rest(r, on_tree, err));
        TRY(model_build_tree(&r->build, &r->tree, err));
    }
}

/* ---- the booster ---- */

static enum slw_rc
on_gbtree_param(struct xgb_read *r, struct slw_str key, struct slw_err *err)
{
    if (slw_str_eqz(key, "num_trees")) {
        r->has_num_trees = true;
        return number_text(r, "num_trees", &r->num_trees, err);
    }
    if (slw_str_eqz(key, "num_parallel_tree"))
        return number_text(r, "num_parallel_tree", &r->num_parallel_tree, err);
    return model_lex_skip(&r->lex, err);
}

static enum slw_rc
on_model(struct xgb_read *r, struct slw_str key, struct slw_err *err)
{
    if (slw_str_eqz(key, "gbtree_model_param"))
        return object(r, on_gbtree_param, err);
    if (slw_str_eqz(key, "tree_info"))
        return integers(r, &r->tree_info, err);
    if (slw_str_eqz(key, "trees"))
        return trees(r, err);
    if (slw_str_eqz(key, "iteration_indptr")) {
        r->has_iteration_indptr = true;
        return integers(r, &r->iteration_indptr, err);
    }
    return model_lex_skip(&r->lex, err);
}

/* dart keeps its trees in an inner gbtree, whose own name is of no weight. */
static enum slw_rc
on_inner_gbtree(struct xgb_read *r, struct slw_str key, struct slw_err *err)
{
    if (slw_str_eqz(key, "model"))
        return object(r, on_model, err);
    return model_lex_skip(&r->lex, err);
}

static enum slw_rc
on_booster(struct xgb_read *r, struct slw_str key, struct slw_err *err)
{
    if (slw_str_eqz(key, "name"))
        return text(r, &r->booster, err);
    if (slw_str_eqz(key, "model"))
        return object(r, on_model, err);
    if (slw_str_eqz(key, "gbtree"))
        return object(r, on_inner_gbtree, err);
    if (slw_str_eqz(key, "weight_drop")) {
        r->has_weight_drop = true;
        return reals(r, &r->weight_drop, err);
    }
    return model_lex_skip(&r->lex, err);
}

/* ---- the learner ---- */

static enum slw_rc
on_model_param(struct xgb_read *r, struct slw_str key, struct slw_err *err)
{
    if (slw_str_eqz(key, "base_score"))
        return text(r, &r->base_score, err);
    if (slw_str_eqz(key, "num_feature")) {
        r->has_num_feature = true;
        return number_text(r, "num_feature", &r->num_feature, err);
    }
    if (slw_str_eqz(key, "num_class"))
        return number_text(r, "num_class", &r->num_class, err);
    if (slw_str_eqz(key, "num_target"))
        return number_text(r, "num_target", &r->num_target, err);
    return model_lex_skip(&r->lex, err);
}

static enum slw_rc
on_objective(struct xgb_read *r, struct slw_str key, struct slw_err *err)
{
    if (slw_str_eqz(key, "name"))
        return text(r, &r->objective, err);
    return model_lex_skip(&r->lex, err);
}

static enum slw_rc
on_attribute(struct xgb_read *r, struct slw_str key, struct slw_err *err)
{
    if (slw_str_eqz(key, "best_iteration"))
        return text(r, &r->best_iteration, err);
    r->from_sklearn |= slw_str_eqz(key, "scikit_learn");
    return model_lex_skip(&r->lex, err);
}

/* A name that the signature has at another place means swapped columns, the
 * quietest of all mistakes.  Names the signature does not know are no error:
 * a model may have been trained under other names. */
static enum slw_rc
feature_name(struct xgb_read *r, size_t index, struct slw_str name,
             struct slw_err *err)
{
    const struct slw_signature *sig = r->sig;
    if (index < sig->column_count && slw_str_eq(name, sig->columns[index]))
        return SLW_OK;
    for (size_t i = 0; i < sig->column_count; i++)
        if (slw_str_eq(name, sig->columns[i]))
            return slw_fail(err, SLW_INVALID,
                            "the model's column %zu is '%.*s', but the"
                            " signature has that name as column %zu: put the"
                            " signature in the model's order",
                            index, SLW_FMT(name), i);
    return SLW_OK;
}

static enum slw_rc
feature_names(struct xgb_read *r, struct slw_err *err)
{
    TRY(array_begin(r, err));
    for (size_t index = 0;; index++) {
        enum lex_token token;
        TRY(model_lex_next(&r->lex, &token, err));
        if (token == LEX_ARRAY_END)
            return SLW_OK;
        if (token != LEX_STR)
            return unexpected(r, "a feature's name", err);
        if (index < SLW_MODEL_COLUMN_MAX)
            TRY(feature_name(r, index, r->lex.text, err));
    }
}

static enum slw_rc
on_learner(struct xgb_read *r, struct slw_str key, struct slw_err *err)
{
    if (slw_str_eqz(key, "learner_model_param"))
        return object(r, on_model_param, err);
    if (slw_str_eqz(key, "objective"))
        return object(r, on_objective, err);
    if (slw_str_eqz(key, "gradient_booster"))
        return object(r, on_booster, err);
    if (slw_str_eqz(key, "attributes"))
        return object(r, on_attribute, err);
    if (slw_str_eqz(key, "feature_names"))
        return feature_names(r, err);
    return model_lex_skip(&r->lex, err);
}

static enum slw_rc
on_top(struct xgb_read *r, struct slw_str key, struct slw_err *err)
{
    if (slw_str_eqz(key, "learner")) {
        r->has_learner = true;
        return object(r, on_learner, err);
    }
    if (slw_str_eqz(key, "version"))
        return integers(r, &r->version, err);
    r->is_snapshot |= slw_str_eqz(key, "Model") || slw_str_eqz(key, "Config");
    return model_lex_skip(&r->lex, err);
}

/* ---- what it all means ---- */

static bool
version_at_least(const struct xgb_read *r, int64_t major, int64_t minor)
{
    int64_t has = r->version.ptr[0];
    return has > major || (has == major && r->version.ptr[1] >= minor);
}

static enum slw_rc
check_frame(const struct xgb_read *r, struct slw_err *err)
{
    if (!r->has_learner && r->is_snapshot)
        return slw_fail(err, SLW_INVALID,
                        "this is a pickled booster's snapshot, not a model:"
                        " save the booster with save_model(\"model.ubj\")");
    if (!r->has_learner || r->version.count != 3)
        return slw_fail(err, SLW_INVALID,
                        "this is not an XGBoost model: it has no 'learner' and"
                        " 'version'");
    for (size_t i = 0; i < 3; i++)
        if (r->version.ptr[i] < 0 || r->version.ptr[i] > 100000)
            return slw_fail(err, SLW_INVALID,
                            "the model file is damaged: its version is not"
                            " three numbers");
    if (r->version.ptr[0] < 1)
        return slw_fail(err, SLW_UNSUPPORTED,
                        "XGBoost %lld wrote this model; 1.0 and later are"
                        " offered",
                        (long long)r->version.ptr[0]);
    return SLW_OK;
}

static enum slw_rc
check_shape(const struct xgb_read *r, struct slw_err *err)
{
    if (slw_str_eqz(r->booster, "gblinear"))
        return slw_fail(err, SLW_UNSUPPORTED,
                        "boosters of the kind gblinear are not offered: train"
                        " gbtree or dart");
    if (!slw_str_eqz(r->booster, "gbtree") && !slw_str_eqz(r->booster, "dart"))
        return slw_fail(err, SLW_UNSUPPORTED,
                        "boosters of the kind '%.*s' are not offered: train"
                        " gbtree or dart",
                        SLW_FMT(r->booster));
    if (r->num_class > 1 || r->num_target > 1)
        return slw_fail(
            err, SLW_UNSUPPORTED,
            "the model has %lld outputs; models with one output"
            " are offered",
            (long long)(r->num_class > 1 ? r->num_class : r->num_target));
    if (!r->has_num_feature)
        return slw_fail(err, SLW_INVALID,
                        "the model file is damaged: num_feature is missing");
    if ((size_t)r->num_feature != r->sig->column_count)
        return slw_fail(err, SLW_INVALID,
                        "the model wants %lld columns, the signature has %zu",
                        (long long)r->num_feature, r->sig->column_count);
    return SLW_OK;
}

static enum slw_rc
check_trees(const struct xgb_read *r, struct slw_err *err)
{
    size_t n = r->build.tree_count;
    if (!r->has_trees || !r->has_num_trees || (size_t)r->num_trees != n)
        return slw_fail(err, SLW_INVALID,
                        "the model file is damaged: it holds"
                        " %zu trees and says it holds %lld",
                        n, (long long)r->num_trees);
    if (r->tree_info.count != n)
        return slw_fail(err, SLW_INVALID,
                        "the model file is damaged: tree_info"
                        " is not as long as trees");
    for (size_t i = 0; i < n; i++) {
        if (r->tree_info.ptr[i] != 0)
            return slw_fail(err, SLW_INVALID,
                            "the model file is damaged: tree_info names output"
                            " %lld of 1",
                            (long long)r->tree_info.ptr[i]);
        /* A tree that is a leaf has column_max 0, also where there is no
         * column: then there is nothing to read. */
        const struct xgb_built_tree *t = &r->build.trees[i];
        if (t->node_count > 1 && (int64_t)t->column_max >= r->num_feature)
            return slw_fail(err, SLW_INVALID,
                            "tree %lld of the model file is damaged: it splits"
                            " on column %u of %lld",
                            (long long)r->build.ids[i], t->column_max,
                            (long long)r->num_feature);
    }
    return SLW_OK;
}

static enum slw_rc
check_rounds(const struct xgb_read *r, struct slw_err *err)
{
    const struct model_i64s *p = &r->iteration_indptr;
    int64_t n = (int64_t)r->build.tree_count;
    if (!r->has_iteration_indptr)
        return SLW_OK;
    bool good = p->count > 0 && p->ptr[0] == 0 && p->ptr[p->count - 1] == n;
    for (size_t i = 1; i < p->count; i++)
        good = good && p->ptr[i] >= p->ptr[i - 1];
    if (!good)
        return slw_fail(err, SLW_INVALID,
                        "the model file is damaged: iteration_indptr does not"
                        " rise from 0 to the count of trees");
    return SLW_OK;
}

static enum slw_rc
check_weights(const struct xgb_read *r, struct slw_err *err)
{
    if (!slw_str_eqz(r->booster, "dart"))
        return SLW_OK;
    if (!r->has_weight_drop || r->weight_drop.count != r->build.tree_count)
        return slw_fail(err, SLW_INVALID,
                        "the model file is damaged: weight_drop is not as long"
                        " as trees");
    for (size_t i = 0; i < r->weight_drop.count; i++)
        if (!isfinite(r->weight_drop.ptr[i]))
            return slw_fail(err, SLW_INVALID,
                            "the model file is damaged: a weight of"
                            " weight_drop is not finite");
    return SLW_OK;
}

/* order[id] = place in the file; XGBoost places trees by id itself. */
static enum slw_rc
order_trees(const struct xgb_read *r, size_t *order, struct slw_err *err)
{
    size_t n = r->build.tree_count;
    for (size_t i = 0; i < n; i++)
        order[i] = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        int64_t id = r->build.ids[i];
        if (id < 0 || (size_t)id >= n || order[id] != SIZE_MAX)
            return slw_fail(err, SLW_INVALID,
                            "the model file is damaged: the trees' ids are not"
                            " 0..%zu, each once",
                            n - 1);
        order[id] = i;
    }
    return SLW_OK;
}

/* Trees that answer: all, or those up to best_iteration (head comment). */
static size_t
trees_kept(const struct xgb_read *r)
{
    size_t n = r->build.tree_count;
    struct slw_err why;
    int64_t best;
    if (!r->from_sklearn || r->best_iteration.len == 0 ||
        slw_str_i64(r->best_iteration, &best, &why) != SLW_OK || best < 0)
        return n;
    if (r->has_iteration_indptr) {
        if ((uint64_t)best + 1 >= r->iteration_indptr.count)
            return n;
        return (size_t)r->iteration_indptr.ptr[best + 1];
    }
    uint64_t each =
        r->num_parallel_tree > 0 ? (uint64_t)r->num_parallel_tree : 1;
    if ((uint64_t)best >= n || ((uint64_t)best + 1) * each > n)
        return n;
    return (size_t)(((uint64_t)best + 1) * each);
}

enum link { LINK_IDENTITY, LINK_LOGISTIC, LINK_LOG, LINK_LOGITRAW };

/* How an objective stores base_score, and what it makes of the sum. */
static const struct objective {
    const char *name;
    enum link link;
    enum xgb_answer answer;
} OBJECTIVES[] = {
    {"reg:squarederror", LINK_IDENTITY, XGB_ANSWER_MARGIN},
    {"reg:linear", LINK_IDENTITY, XGB_ANSWER_MARGIN},
    {"reg:squaredlogerror", LINK_IDENTITY, XGB_ANSWER_MARGIN},
    {"reg:pseudohubererror", LINK_IDENTITY, XGB_ANSWER_MARGIN},
    {"reg:absoluteerror", LINK_IDENTITY, XGB_ANSWER_MARGIN},
    {"reg:quantileerror", LINK_IDENTITY, XGB_ANSWER_MARGIN},
    {"rank:pairwise", LINK_IDENTITY, XGB_ANSWER_MARGIN},
    {"rank:ndcg", LINK_IDENTITY, XGB_ANSWER_MARGIN},
    {"rank:map", LINK_IDENTITY, XGB_ANSWER_MARGIN},
    {"binary:logitraw", LINK_LOGITRAW, XGB_ANSWER_MARGIN},
    {"binary:logistic", LINK_LOGISTIC, XGB_ANSWER_SIGMOID},
    {"reg:logistic", LINK_LOGISTIC, XGB_ANSWER_SIGMOID},
    {"binary:hinge", LINK_IDENTITY, XGB_ANSWER_HINGE},
    {"count:poisson", LINK_LOG, XGB_ANSWER_EXP},
    {"reg:gamma", LINK_LOG, XGB_ANSWER_EXP},
    {"reg:tweedie", LINK_LOG, XGB_ANSWER_EXP},
    {"survival:cox", LINK_LOG, XGB_ANSWER_EXP},
    {"survival:aft", LINK_LOG, XGB_ANSWER_EXP},
};

/* "5E-1", or since 3.1 "[5E-1]". */
static enum slw_rc
base_score(const struct xgb_read *r, float *out, struct slw_err *err)
{
    struct slw_str s = slw_str_trim(r->base_score);
    if (s.len >= 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']')
        s = slw_str_trim((struct slw_str){s.ptr + 1, s.len - 2});
    if (!model_text_f32(&r->lex, s, out) || !isfinite(*out))
        return slw_fail(err, SLW_INVALID,
                        "the model file is damaged:"
                        " base_score '%.*s' is not one finite"
                        " number",
                        SLW_FMT(r->base_score));
    return SLW_OK;
}

static enum slw_rc
margin_of(const struct xgb_read *r, const struct objective *o, float *out,
          struct slw_err *err)
{
    float b = 0;
    TRY(base_score(r, &b, err));
    enum link link = o->link;
    if (link == LINK_LOGITRAW)
        link = version_at_least(r, 1, 3) ? LINK_IDENTITY : LINK_LOGISTIC;
    float margin = b;
    if (link == LINK_LOGISTIC) {
        if (version_at_least(r, 3, 2)) {
            b = b < 1e-6f ? 1e-6f : b;
            b = b > 1 - 1e-6f ? 1 - 1e-6f : b;
        }
        margin = -logf(1.0f / b - 1.0f);
    } else if (link == LINK_LOG) {
        margin = logf(b);
    }
    if (!isfinite(margin))
        return slw_fail(err, SLW_INVALID,
                        "the model's base_score %.*s is out of range for the"
                        " objective %s",
                        SLW_FMT(r->base_score), o->name);
    *out = margin;
    return SLW_OK;
}

static enum slw_rc
decide_rules(const struct xgb_read *r, struct model_xgb *m, struct slw_err *err)
{
    const struct objective *found = NULL;
    for (size_t i = 0; i < SLW_ARRAY_LEN(OBJECTIVES); i++)
        if (slw_str_eqz(r->objective, OBJECTIVES[i].name))
            found = &OBJECTIVES[i];
    if (!found)
        return slw_fail(err, SLW_UNSUPPORTED,
                        "models of the objective '%.*s' are not offered",
                        SLW_FMT(r->objective));
    TRY(margin_of(r, found, &m->margin, err));
    bool dart = slw_str_eqz(r->booster, "dart");
    m->margin_last = !version_at_least(r, 1, dart ? 4 : 3);
    m->answer = found->answer;
    if (m->answer == XGB_ANSWER_SIGMOID && !version_at_least(r, 1, 6))
        m->answer = XGB_ANSWER_SIGMOID_OLD;
    m->category_rule = version_at_least(r, 1, 7)   ? XGB_CATEGORY_17
                       : version_at_least(r, 1, 6) ? XGB_CATEGORY_16
                                                   : XGB_CATEGORY_15;
    return SLW_OK;
}

static enum slw_rc
finish(const struct xgb_read *r, struct model_xgb *m, struct slw_err *err)
{
    TRY(check_frame(r, err));
    TRY(check_shape(r, err));
    TRY(check_trees(r, err));
    TRY(check_rounds(r, err));
    TRY(check_weights(r, err));
    TRY(decide_rules(r, m, err));
    m->column_count = (uint32_t)r->num_feature;
    size_t *order = slw_alloc((r->build.tree_count + 1) * sizeof(*order));
    enum slw_rc rc = order_trees(r, order, err);
    if (rc == SLW_OK)
        model_build_finish(
            &r->build, order, trees_kept(r),
            slw_str_eqz(r->booster, "dart") ? r->weight_drop.ptr : NULL, m);
    slw_free(order);
    return rc;
}

/* ---- which file is it? ---- */

static enum slw_rc
sniff(struct slw_str bytes, bool *out_is_ubj, struct slw_err *err)
{
    if (bytes.len > 0 && (unsigned char)bytes.ptr[0] == 0x80)
        return slw_fail(err, SLW_INVALID,
                        "this is a Python pickle, which is never opened: save"
                        " the booster with save_model(\"model.ubj\")");
    struct slw_str text = slw_str_trim(bytes);
    if (text.len >= 2 && text.ptr[0] == '{' && text.ptr[1] != 'L' &&
        (strchr(" \t\r\n\"}", text.ptr[1]) && text.ptr[1])) {
        *out_is_ubj = false;
        return SLW_OK;
    }
    if (bytes.len >= 2 && bytes.ptr[0] == '{') {
        *out_is_ubj = true;
        return SLW_OK;
    }
    if (slw_str_starts(bytes, "tree\n") || slw_str_starts(bytes, "tree\r\n"))
        return slw_fail(err, SLW_UNSUPPORTED,
                        "this is a LightGBM model; XGBoost models are offered");
    return slw_fail(err, SLW_INVALID,
                    "this is neither XGBoost's JSON nor its UBJSON; if it is"
                    " the old binary format, load it in the XGBoost that wrote"
                    " it and save it as .json or .ubj");
}

enum slw_rc
model_xgb_read(struct model_xgb **out, const struct slw_signature *sig,
               struct slw_str bytes, struct slw_err *err)
{
    bool is_ubj = false;
    TRY(sniff(bytes, &is_ubj, err));
    SLW_AUTO(xgb_read, r);
    r.sig = sig;
    r.num_target = 1;
    slw_arena_init(&r.arena, TEXTS_SIZE_MAX);
    model_lex_init(&r.lex, bytes, is_ubj);
    TRY(object(&r, on_top, err));
    enum lex_token token;
    TRY(model_lex_next(&r.lex, &token, err));
    SLW_ASSERT(token == LEX_END);
    struct model_xgb *m = slw_alloc(sizeof(*m));
    enum slw_rc rc = finish(&r, m, err);
    if (rc != SLW_OK) {
        model_xgb_free(m);
        return rc;
    }
    *out = m;
    return SLW_OK;
}
