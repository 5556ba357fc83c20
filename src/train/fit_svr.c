/* fit_svr.c -- epsilon support vector regression by the libsvm engine.
 *
 * Its cost grows with the square of the rows, so only the most recent
 * complete rows are taken.  Inputs and target are standardised, which makes
 * c, epsilon and gamma free of units. */
#include <math.h>

#include "train/engines.h"
#include "train/fit_internal.h"

enum { P_C, P_EPSILON, P_GAMMA, P_MAX_ROWS, P_TOLERANCE, P_COUNT };

/* gamma 0 stands for 1 / count of columns. */
static const struct train_param PARAMS[P_COUNT] = {
    [P_C] = {"c", 1, 1e-6, 1e6, false},
    [P_EPSILON] = {"epsilon", 0.05, 0, 1e3, false},
    [P_GAMMA] = {"gamma", 0, 0, 1e6, false},
    [P_MAX_ROWS] = {"max_rows", 3000, TRAIN_ROWS_MIN, 20000, true},
    [P_TOLERANCE] = {"tolerance", 1e-3, 1e-8, 1, false},
};

/* Owner: itself; all that one fit needs. */
struct svr_work {
    uint32_t *rows;
    int32_t *all_columns, *sv_index;
    double *mean, *scale, *x, *y, *coef, *sv;
};

static void
svr_work_done(struct svr_work *w)
{
    slw_free(w->rows);
    slw_free(w->all_columns);
    slw_free(w->sv_index);
    slw_free(w->mean);
    slw_free(w->scale);
    slw_free(w->x);
    slw_free(w->y);
    slw_free(w->coef);
    slw_free(w->sv);
}

/* The most recent rows, copied and standardised. */
static enum slw_rc
take_rows(const struct train_fit_in *in, size_t row_max, struct svr_work *w,
          size_t *out_count, double *out_y_mean, double *out_y_scale,
          struct slw_err *err)
{
    size_t columns = in->sig->column_count;
    w->all_columns = slw_alloc(columns * sizeof(*w->all_columns));
    for (size_t k = 0; k < columns; k++)
        w->all_columns[k] = (int32_t)k;
    size_t found = train_rows_complete(in->x, in->y, in->row_count, columns,
                                       w->all_columns, columns, &w->rows);
    if (found < TRAIN_ROWS_MIN)
        return slw_fail(err, SLW_INVALID,
                        "only %zu rows have no missing value: svr needs at"
                        " least %d",
                        found, TRAIN_ROWS_MIN);
    size_t count = found < row_max ? found : row_max;
    const uint32_t *rows = w->rows + (found - count);
    w->x = slw_alloc(count * columns * sizeof(double));
    w->y = slw_alloc(count * sizeof(double));
    for (size_t r = 0; r < count; r++) {
        memcpy(w->x + r * columns, in->x + rows[r] * columns,
               columns * sizeof(double));
        w->y[r] = in->y[rows[r]];
    }
    w->mean = slw_alloc(columns * sizeof(double));
    w->scale = slw_alloc(columns * sizeof(double));
    for (size_t k = 0; k < columns; k++)
        train_standard(w->x + k, count, columns, &w->mean[k], &w->scale[k]);
    train_standard(w->y, count, 1, out_y_mean, out_y_scale);
    for (size_t i = 0; i < count * columns; i++)
        w->x[i] = (w->x[i] - w->mean[i % columns]) / w->scale[i % columns];
    for (size_t r = 0; r < count; r++)
        w->y[r] = (w->y[r] - *out_y_mean) / *out_y_scale;
    *out_count = count;
    return SLW_OK;
}

enum slw_rc
train_fit_svr(const struct train_fit_in *in, struct train_fit_out *out,
              struct slw_err *err)
{
    double v[P_COUNT];
    const void *table = NULL;
    size_t columns = in->sig->column_count, count = 0;
    struct slw_svr svr = {.column_count = columns};
    TRY(train_params_read(in->params, "svr", PARAMS, P_COUNT, NULL, v, err));
    TRY(train_engine("libsvm", &table, out, err));
    const struct slw_libsvm_ops *ops = table;
    svr.gamma = v[P_GAMMA] > 0 ? v[P_GAMMA] : 1 / (double)columns;

    SLW_AUTO(svr_work, w);
    TRY(take_rows(in, (size_t)v[P_MAX_ROWS], &w, &count, &svr.y_mean,
                  &svr.y_scale, err));
    w.sv_index = slw_alloc(count * sizeof(*w.sv_index));
    w.coef = slw_alloc(count * sizeof(double));
    TRY(ops->train(w.x, w.y, count, columns, v[P_C], v[P_EPSILON], svr.gamma,
                   v[P_TOLERANCE], w.sv_index, w.coef, &svr.sv_count, &svr.rho,
                   err));
    SLW_ASSERT(svr.sv_count <= count);
    w.sv = slw_alloc((svr.sv_count * columns + 1) * sizeof(double));
    for (size_t i = 0; i < svr.sv_count; i++)
        memcpy(w.sv + i * columns, w.x + (size_t)w.sv_index[i] * columns,
               columns * sizeof(double));
    svr.mean = w.mean;
    svr.scale = w.scale;
    svr.coef = w.coef;
    svr.sv = w.sv;
    out->rounds = 0;
    out->curve_count = 0;
    return slw_svr_write(&svr, &out->bytes, err);
}
