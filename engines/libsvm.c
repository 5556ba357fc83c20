/* libsvm.c -- plug-in around libsvm: epsilon support vector regression with
 * the RBF kernel.  libsvm wants sparse rows; ours are dense, so every row is
 * written out with indices 1..columns and an end mark. */
#include <dlfcn.h>
#include <libsvm/svm.h>
#include <math.h>

#include "base/engine.h"
#include "train/engines.h"

/* X(result, name, arguments) */
#define SVM_TABLE(X)                                                           \
    X(struct svm_model *, svm_train,                                           \
      (const struct svm_problem *, const struct svm_parameter *))              \
    X(double, svm_predict,                                                     \
      (const struct svm_model *, const struct svm_node *))                     \
    X(void, svm_free_and_destroy_model, (struct svm_model **))                 \
    X(const char *, svm_check_parameter,                                       \
      (const struct svm_problem *, const struct svm_parameter *))              \
    X(void, svm_set_print_string_function, (void (*)(const char *)))

/* Owner: filled once under the loader's lock, immutable after. */
static struct {
#define X(result, name, arguments) result(*name) arguments;
    SVM_TABLE(X)
#undef X
} lib;

/* Rows as libsvm reads them. */
struct sparse {
    struct svm_node *nodes;
    struct svm_node **rows;
};

static void
sparse_done(struct sparse *s)
{
    slw_free(s->nodes);
    slw_free(s->rows);
}

static void
sparse_fill(struct svm_node *out, const double *x, size_t col_count)
{
    for (size_t k = 0; k < col_count; k++)
        out[k] = (struct svm_node){.index = (int)k + 1, .value = x[k]};
    out[col_count] = (struct svm_node){.index = -1};
}

static void
sparse_make(struct sparse *out, const double *x, size_t row_count,
            size_t col_count)
{
    size_t each = col_count + 1;
    out->nodes = slw_alloc((row_count * each + 1) * sizeof(*out->nodes));
    out->rows = slw_alloc((row_count + 1) * sizeof(*out->rows));
    for (size_t r = 0; r < row_count; r++) {
        out->rows[r] = out->nodes + r * each;
        sparse_fill(out->rows[r], x + r * col_count, col_count);
    }
}

static enum slw_rc
copy_result(const struct svm_model *m, size_t row_count, int32_t *sv_index,
            double *coef, size_t *out_sv_count, double *out_rho,
            struct slw_err *err)
{
    if (m->l < 0 || (size_t)m->l > row_count || !isfinite(m->rho[0]))
        return slw_fail(err, SLW_INTERNAL, "libsvm gave no usable model");
    for (int i = 0; i < m->l; i++) {
        sv_index[i] = m->sv_indices[i] - 1;
        coef[i] = m->sv_coef[0][i];
    }
    *out_sv_count = (size_t)m->l;
    *out_rho = m->rho[0];
    return SLW_OK;
}

static enum slw_rc
svr_train(const double *x, const double *y, size_t row_count, size_t col_count,
          double c, double epsilon, double gamma, double tolerance,
          int32_t *sv_index, double *coef, size_t *out_sv_count,
          double *out_rho, struct slw_err *err)
{
    SLW_AUTO(sparse, rows);
    if (row_count == 0 || row_count > 1000000 || col_count == 0 ||
        col_count > 100000)
        return slw_fail(err, SLW_INVALID,
                        "libsvm needs 1..1000000 rows of 1..100000 columns");
    sparse_make(&rows, x, row_count, col_count);
    double *labels = slw_alloc(row_count * sizeof(*labels));
    memcpy(labels, y, row_count * sizeof(*labels));
    struct svm_problem problem = {
        .l = (int)row_count, .y = labels, .x = rows.rows};
    struct svm_parameter param = {.svm_type = EPSILON_SVR,
                                  .kernel_type = RBF,
                                  .gamma = gamma,
                                  .cache_size = 200,
                                  .eps = tolerance,
                                  .C = c,
                                  .p = epsilon,
                                  .shrinking = 1};
    const char *wrong = lib.svm_check_parameter(&problem, &param);
    enum slw_rc rc = SLW_OK;
    if (wrong) {
        rc = slw_fail(err, SLW_INVALID, "libsvm refuses its parameters: %s",
                      wrong);
    } else {
        struct svm_model *model = lib.svm_train(&problem, &param);
        rc = copy_result(model, row_count, sv_index, coef, out_sv_count,
                         out_rho, err);
        lib.svm_free_and_destroy_model(&model);
    }
    slw_free(labels);
    return rc;
}

static enum slw_rc
svr_predict(const double *sv, const double *coef, size_t sv_count,
            size_t col_count, double gamma, double rho, const double *x,
            size_t row_count, double *out, struct slw_err *err)
{
    SLW_AUTO(sparse, svs);
    SLW_AUTO(sparse, row);
    if (sv_count > 1000000 || col_count > 100000)
        return slw_fail(err, SLW_INVALID, "more than libsvm is given here");
    sparse_make(&svs, sv, sv_count, col_count);
    sparse_make(&row, x, row_count ? 1 : 0, col_count);
    double *weights = slw_alloc((sv_count + 1) * sizeof(*weights));
    if (sv_count)
        memcpy(weights, coef, sv_count * sizeof(*weights));
    struct svm_model model = {
        .param = {.svm_type = EPSILON_SVR, .kernel_type = RBF, .gamma = gamma},
        .nr_class = 2,
        .l = (int)sv_count,
        .SV = svs.rows,
        .sv_coef = &weights,
        .rho = &rho};
    for (size_t r = 0; r < row_count; r++) {
        sparse_fill(row.nodes, x + r * col_count, col_count);
        out[r] = lib.svm_predict(&model, row.nodes);
    }
    slw_free(weights);
    return SLW_OK;
}

static void
be_silent(const char *text)
{
    (void)text;
}

static enum slw_rc
svm_open(const char *library_dir, const void **out_ops, char out_version[64],
         struct slw_err *err)
{
    static const struct slw_libsvm_ops ops = {.train = svr_train,
                                              .predict = svr_predict};
    void *handle = dlopen("libsvm.so.3", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    (void)library_dir; /* Debian's own package, never beside the plug-ins */
    if (!handle)
        return slw_fail(err, SLW_NOT_FOUND, "libsvm does not load: %.300s",
                        dlerror());
#define X(result, name, arguments)                                             \
    *(void **)(void *)&lib.name = dlsym(handle, #name);                        \
    if (!lib.name)                                                             \
        return slw_fail(err, SLW_NOT_FOUND, "libsvm lacks %s", #name);
    SVM_TABLE(X)
#undef X
    const int *version = dlsym(handle, "libsvm_version");
    if (!version || *version < 300 || *version > 399)
        return slw_fail(err, SLW_NOT_FOUND,
                        "libsvm is not of the versions 3.00 to 3.99");
    lib.svm_set_print_string_function(be_silent);
    snprintf(out_version, 64, "%d.%02d", *version / 100, *version % 100);
    *out_ops = &ops;
    return SLW_OK;
}

extern const struct slw_engine_head slw_engine;
const struct slw_engine_head slw_engine = {
    .abi = SLW_ENGINE_ABI,
    .name = "libsvm",
    .remedy = "install the package libsvm3",
    .open = svm_open,
};
