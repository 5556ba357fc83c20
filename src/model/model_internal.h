/* model_internal.h -- shared by the files of this room only: the model's own
 * struct, the evaluators of each flavour, and the reader's tokens. */
#ifndef SLW_MODEL_MODEL_INTERNAL_H
#define SLW_MODEL_MODEL_INTERNAL_H

#include "model/model.h"

#include <stdatomic.h>

#define MODEL_XGB_NODE_MAX ((size_t)1 << 26)
#define MODEL_XGB_TREE_MAX ((size_t)1 << 20)
#define MODEL_SVR_SV_MAX ((size_t)1 << 20)
#define MODEL_ARNET_HIDDEN_MAX 1024

/* A scratch array on the stack that is written before it is read: without
 * this the compiler clears all of it, which takes longer than a prediction. */
#define MODEL_SCRATCH __attribute__((uninitialized))

/* ---- trees ---- */

/* A node of the walk.  A step is: left + (value[value_index] >= threshold).
 * value[] holds each column twice: as it is, where NaN is never >= and goes
 * left, and with +inf for NaN, which goes right; the node picks the copy.  A
 * leaf has a NaN threshold and points at itself, so that it stays put. */
struct xgb_node {
    float threshold;
    uint32_t value_index; /* 2 * column + (missing goes right) */
    uint32_t left;        /* the right child follows it */
    float leaf;           /* what the tree adds, times its dart weight */
};
_Static_assert(sizeof(struct xgb_node) == 16, "four nodes a cache line");

enum xgb_kind { XGB_LEAF, XGB_NUMERIC, XGB_CATEGORICAL };

/* A node of the reader, and of trees with categorical splits. */
struct xgb_wide {
    float threshold;
    float leaf;
    uint32_t column;
    uint32_t left;
    uint32_t category_begin, category_count; /* sorted, in xgb.categories */
    uint8_t kind;
    uint8_t missing_right;
};

#define XGB_LANES 8

/* Up to XGB_LANES trees that follow each other, walked together; or one tree
 * with categorical splits. */
struct xgb_group {
    uint32_t root[XGB_LANES]; /* into nodes, or wides; unused repeat root[0] */
    uint32_t tree_count;
    uint32_t depth;
    bool categorical;
};

enum xgb_answer {
    XGB_ANSWER_MARGIN,
    XGB_ANSWER_SIGMOID,     /* as from 1.6 on */
    XGB_ANSWER_SIGMOID_OLD, /* as up to 1.5 */
    XGB_ANSWER_EXP,
    XGB_ANSWER_HINGE
};
/* How an unusual value walks through a categorical split. */
enum xgb_category_rule { XGB_CATEGORY_15, XGB_CATEGORY_16, XGB_CATEGORY_17 };

/* Owner: immutable after load */
struct model_xgb {
    struct xgb_node *nodes;
    struct xgb_wide *wides;
    uint32_t *categories;
    struct xgb_group *groups;
    size_t node_count, wide_count, category_count, group_count, tree_count;
    uint32_t column_count;
    float margin;
    bool margin_last; /* 1.0 .. 1.2: trees are summed from 0 first */
    enum xgb_answer answer;
    enum xgb_category_rule category_rule;
};

enum slw_rc model_xgb_read(struct model_xgb **out,
                           const struct slw_signature *sig,
                           struct slw_str bytes, struct slw_err *err);
void model_xgb_free(struct model_xgb *m);
void model_xgb_predict(const struct model_xgb *m, const double *x,
                       size_t row_count, double *y);

/* ---- the reader's tokens, the same for JSON and UBJSON ---- */
enum lex_token {
    LEX_END,
    LEX_OBJECT,
    LEX_OBJECT_END,
    LEX_ARRAY,
    LEX_ARRAY_END,
    LEX_KEY,
    LEX_STR,
    LEX_NUM,
    LEX_NULL
};

#define LEX_DEPTH_MAX 32

struct lex_level {
    bool is_array;
    bool counted; /* UBJSON: `left` values remain, no end mark */
    bool started; /* JSON: a comma or the end is due */
    char type;    /* UBJSON: of each value; 0 = each says its own */
    uint64_t left;
};

struct model_lex {
    const char *start, *at, *end;
    bool is_ubj;
    bool after_key;
    bool root_done;
    unsigned depth;
    struct lex_level levels[LEX_DEPTH_MAX];
    struct slw_str text; /* of a key, a string, a JSON number */
    char number_type;    /* 't' text, 'i' integer, 'f' real */
    int64_t integer;
    double real;
    struct slw_buf scratch; /* a text with escapes, without them */
    void *c_locale;
};

void model_lex_init(struct model_lex *lex, struct slw_str bytes, bool is_ubj);
void model_lex_done(struct model_lex *lex);
enum slw_rc model_lex_next(struct model_lex *lex, enum lex_token *out,
                           struct slw_err *err);
/* The rest of the value that is due next, unread. */
enum slw_rc model_lex_skip(struct model_lex *lex, struct slw_err *err);
/* The current LEX_NUM. */
enum slw_rc model_lex_f32(struct model_lex *lex, float *out,
                          struct slw_err *err);
enum slw_rc model_lex_i64(struct model_lex *lex, int64_t *out,
                          struct slw_err *err);
size_t model_lex_offset(const struct model_lex *lex);
/* strtof without locale over a whole text. */
bool model_text_f32(const struct model_lex *lex, struct slw_str text,
                    float *out);

/* ---- trees being built (xgb_build.c) ---- */
struct model_f32s {
    float *ptr;
    size_t count, cap;
};
struct model_i64s {
    int64_t *ptr;
    size_t count, cap;
};
void model_f32s_add(struct model_f32s *v, float x);
void model_i64s_add(struct model_i64s *v, int64_t x);

/* One tree as the file holds it; reused from tree to tree. */
struct xgb_raw_tree {
    int64_t id, num_nodes, leaf_vector_size;
    bool has_id, has_num_nodes;
    struct model_i64s left, right, column, default_left, split_type;
    struct model_i64s categories, category_nodes, category_begin,
        category_count;
    struct model_f32s condition;
};

/* One tree checked and flattened: wides[first .. first+node_count). */
struct xgb_built_tree {
    size_t first;
    uint32_t node_count, depth;
    uint32_t column_max;
    bool categorical;
};

struct xgb_build {
    struct xgb_wide *wides;
    size_t wide_count, wide_cap;
    uint32_t *categories;
    size_t category_count, category_cap;
    struct xgb_built_tree *trees; /* by position in the file */
    int64_t *ids;
    size_t tree_count, tree_cap;
    uint32_t *queue; /* scratch: file's node number of each flat node */
    uint8_t *seen;
    size_t scratch_cap;
};
void model_build_done(struct xgb_build *b);
enum slw_rc model_build_tree(struct xgb_build *b, const struct xgb_raw_tree *t,
                             struct slw_err *err);
/* Trees order[0..keep) of the build become the model's nodes and groups;
 * weights[tree id] multiply leaves when weights is not NULL. */
void model_build_finish(const struct xgb_build *b, const size_t *order,
                        size_t keep, const float *weights,
                        struct model_xgb *out);

/* ---- the other flavours ---- */
struct model_svr;
enum slw_rc model_svr_read(struct model_svr **out,
                           const struct slw_signature *sig,
                           struct slw_str bytes, struct slw_err *err);
void model_svr_free(struct model_svr *m);
void model_svr_predict(const struct model_svr *m, const double *x,
                       size_t row_count, double *y);

/* Owner: immutable after load.  w1 is [used_count][hidden_count] here. */
struct model_arnet {
    struct slw_arnet net;
    int32_t *used;
    float *numbers; /* all float arrays, one block */
    float *w1_columns;
};
enum slw_rc model_arnet_read(struct model_arnet **out, struct slw_str bytes,
                             struct slw_err *err);
void model_arnet_free(struct model_arnet *m);
void model_arnet_predict(const struct model_arnet *m, const double *x,
                         size_t row_count, double *y);

/* Our binary files: eight bytes of name, little-endian fields, CRC-32C of all
 * before it.  The cursor fails by staying at the end with `bad` set. */
struct model_cursor {
    const char *at, *end;
    bool bad;
};
enum slw_rc model_file_open(struct slw_str bytes, const char magic[static 8],
                            const char *what, struct model_cursor *out,
                            struct slw_err *err);
void model_file_begin(struct slw_buf *out, const char magic[static 8]);
void model_file_end(struct slw_buf *out, size_t begin_size);
uint32_t model_take_u32(struct model_cursor *c);
double model_take_f64(struct model_cursor *c);
float model_take_f32(struct model_cursor *c);
void model_put_u32(struct slw_buf *b, uint32_t v);
void model_put_f32(struct slw_buf *b, float v);

#endif
