/* model.c -- what all flavours share: the signature, the count of references,
 * and the choice of the evaluator. */
#include <math.h>

#include "model/model_internal.h"

struct slw_model {
    atomic_int ref_count;
    enum slw_flavour flavour;
    struct slw_signature sig;
    struct slw_arena names;
    struct model_xgb *xgb; /* the one of the flavour is set */
    struct model_svr *svr;
    struct model_arnet *arnet;
    struct slw_expr *rule;
};

static const char *const FLAVOUR_NAMES[SLW_FLAVOUR_COUNT] = {"xgboost", "svr",
                                                             "arnet", "rule"};

const char *
slw_flavour_name(enum slw_flavour f)
{
    SLW_ASSERT((unsigned)f < SLW_FLAVOUR_COUNT);
    return FLAVOUR_NAMES[f];
}

enum slw_rc
slw_flavour_parse(struct slw_str name, enum slw_flavour *out,
                  struct slw_err *err)
{
    for (unsigned f = 0; f < SLW_FLAVOUR_COUNT; f++) {
        if (slw_str_eqz(name, FLAVOUR_NAMES[f])) {
            *out = (enum slw_flavour)f;
            return SLW_OK;
        }
    }
    return slw_fail(err, SLW_INVALID,
                    "'%.*s' is no kind of model: xgboost,"
                    " svr, arnet or rule",
                    SLW_FMT(name));
}

/* ---- signature ---- */

static int
compare_names(const void *a, const void *b)
{
    return slw_str_cmp(*(const struct slw_str *)a, *(const struct slw_str *)b);
}

static enum slw_rc
check_unique(const struct slw_signature *sig, struct slw_err *err)
{
    size_t size = sig->column_count * sizeof(struct slw_str);
    struct slw_str *sorted = slw_alloc(size);
    memcpy(sorted, sig->columns, size);
    qsort(sorted, sig->column_count, sizeof(*sorted), compare_names);
    enum slw_rc rc = SLW_OK;
    for (size_t i = 1; i < sig->column_count && rc == SLW_OK; i++)
        if (slw_str_eq(sorted[i], sorted[i - 1]))
            rc = slw_fail(err, SLW_INVALID,
                          "the signature names the column '%.*s' twice",
                          SLW_FMT(sorted[i]));
    slw_free(sorted);
    return rc;
}

static enum slw_rc
check_signature(const struct slw_signature *sig, struct slw_err *err)
{
    size_t size = 0;
    if (sig->column_count < 1 || sig->column_count > SLW_MODEL_COLUMN_MAX)
        return slw_fail(err, SLW_INVALID,
                        "a signature has 1 to %d columns,"
                        " this one has %zu",
                        SLW_MODEL_COLUMN_MAX, sig->column_count);
    for (size_t i = 0; i < sig->column_count; i++)
        size += sig->columns[i].len;
    if (size > (size_t)1 << 24)
        return slw_fail(err, SLW_LIMIT,
                        "the signature's names are larger than"
                        " 16 MiB");
    if (sig->relative_to < -1 ||
        (sig->relative_to >= 0 &&
         (size_t)sig->relative_to >= sig->column_count))
        return slw_fail(err, SLW_INVALID,
                        "the signature's answer is relative"
                        " to column %d of %zu",
                        sig->relative_to, sig->column_count);
    return check_unique(sig, err);
}

static void
copy_signature(struct slw_model *m, const struct slw_signature *sig)
{
    slw_arena_init(&m->names, (size_t)1 << 26);
    m->sig = *sig;
    m->sig.columns =
        SLW_ARENA_NEW(&m->names, struct slw_str, sig->column_count);
    for (size_t i = 0; i < sig->column_count; i++)
        m->sig.columns[i] = slw_arena_str(&m->names, sig->columns[i]);
}

/* ---- life ---- */

static void
model_free(struct slw_model *m)
{
    model_xgb_free(m->xgb);
    model_svr_free(m->svr);
    model_arnet_free(m->arnet);
    slw_expr_free(m->rule);
    slw_arena_done(&m->names);
    slw_free(m);
}

static enum slw_rc
load_arnet(struct slw_model *m, struct slw_str bytes, struct slw_err *err)
{
    TRY(model_arnet_read(&m->arnet, bytes, err));
    if (m->arnet->net.column_count != m->sig.column_count)
        return slw_fail(err, SLW_INVALID,
                        "the model wants %zu columns, the signature has %zu",
                        m->arnet->net.column_count, m->sig.column_count);
    return SLW_OK;
}

static enum slw_rc
load_flavour(struct slw_model *m, struct slw_str bytes, struct slw_err *err)
{
    switch (m->flavour) {
    case SLW_FLAVOUR_XGBOOST:
        return model_xgb_read(&m->xgb, &m->sig, bytes, err);
    case SLW_FLAVOUR_SVR:
        return model_svr_read(&m->svr, &m->sig, bytes, err);
    case SLW_FLAVOUR_ARNET:
        return load_arnet(m, bytes, err);
    case SLW_FLAVOUR_RULE:
        return slw_expr_parse(&m->rule, bytes, m->sig.columns,
                              m->sig.column_count, err);
    default:
        return slw_fail(err, SLW_INVALID, "no kind of model has number %d",
                        (int)m->flavour);
    }
}

enum slw_rc
slw_model_load(struct slw_model **out, enum slw_flavour flavour,
               const struct slw_signature *sig, struct slw_str bytes,
               struct slw_err *err)
{
    SLW_ASSERT(out);
    SLW_ASSERT(sig);
    if (bytes.len > SLW_MODEL_SIZE_MAX)
        return slw_fail(err, SLW_LIMIT, "the model is larger than %zu MiB",
                        SLW_MODEL_SIZE_MAX >> 20);
    if (bytes.len == 0)
        return slw_fail(err, SLW_INVALID, "the model is empty");
    TRY(check_signature(sig, err));
    struct slw_model *m = slw_alloc(sizeof(*m));
    atomic_init(&m->ref_count, 1);
    m->flavour = flavour;
    copy_signature(m, sig);
    enum slw_rc rc = load_flavour(m, bytes, err);
    if (rc != SLW_OK) {
        model_free(m);
        return rc;
    }
    *out = m;
    return SLW_OK;
}

struct slw_model *
slw_model_ref(struct slw_model *m)
{
    int before =
        atomic_fetch_add_explicit(&m->ref_count, 1, memory_order_relaxed);
    SLW_ASSERT(before > 0);
    return m;
}

void
slw_model_unref(struct slw_model *m)
{
    if (!m)
        return;
    int before =
        atomic_fetch_sub_explicit(&m->ref_count, 1, memory_order_acq_rel);
    SLW_ASSERT(before > 0);
    if (before == 1)
        model_free(m);
}

const struct slw_signature *
slw_model_signature(const struct slw_model *m)
{
    return &m->sig;
}

/* ---- answers ---- */

static void
predict_rule(const struct slw_model *m, const double *x, size_t row_count,
             double *y)
{
    for (size_t r = 0; r < row_count; r++)
        y[r] = slw_expr_eval(m->rule, x + r * m->sig.column_count);
}

static void
evaluate(const struct slw_model *m, const double *x, size_t row_count,
         double *y)
{
    switch (m->flavour) {
    case SLW_FLAVOUR_XGBOOST:
        model_xgb_predict(m->xgb, x, row_count, y);
        return;
    case SLW_FLAVOUR_SVR:
        model_svr_predict(m->svr, x, row_count, y);
        return;
    case SLW_FLAVOUR_ARNET:
        model_arnet_predict(m->arnet, x, row_count, y);
        return;
    default:
        predict_rule(m, x, row_count, y);
    }
}

/* The column that the answer is relative to is no input: the model sees 0
 * there, as it did in training.  Rows are copied a tile at a time. */
static void
evaluate_relative(const struct slw_model *m, const double *x, size_t row_count,
                  double *y)
{
    const size_t columns = m->sig.column_count;
    const size_t at = (size_t)m->sig.relative_to;
    const size_t tile = SLW_MODEL_COLUMN_MAX / columns;
    MODEL_SCRATCH double scratch[SLW_MODEL_COLUMN_MAX];
    for (size_t done = 0; done < row_count; done += tile) {
        const size_t left = row_count - done;
        const size_t count = left < tile ? left : tile;
        const double *rows = x + done * columns;
        memcpy(scratch, rows, count * columns * sizeof(double));
        for (size_t r = 0; r < count; r++)
            scratch[r * columns + at] = 0;
        evaluate(m, scratch, count, y + done);
        for (size_t r = 0; r < count; r++)
            y[done + r] = rows[r * columns + at] * (1 + y[done + r]);
    }
}

void
slw_model_predict(const struct slw_model *m, const double *x, size_t row_count,
                  double *y)
{
    /* A rule says what it means: never relative. */
    if (m->sig.relative_to < 0 || m->flavour == SLW_FLAVOUR_RULE)
        evaluate(m, x, row_count, y);
    else
        evaluate_relative(m, x, row_count, y);
}
