/* fit_arnet.c -- the autoregressive network: a linear part, and where wanted
 * one hidden layer of ReLU units added to it, fitted by Adam over shuffled
 * mini-batches to squared error, or to Huber's loss with its bend at a tenth
 * of the target's deviation where absolute error is what counts.
 *
 * All trainable numbers lie in one vector, so that Adam, the L2 term and the
 * keeping of the best weights are loops over it:
 *
 *   theta = w0[used] | w1[hidden][used] | w2[hidden] | b0 | b1[hidden]
 *           `------------ weight_count, decayed -----'
 *
 * Source: Kingma & Ba 2015 (Adam); He et al. 2015 (start of w1). */
#include <math.h>

#include "train/engines.h"
#include "train/fit_internal.h"

enum { P_LAGS, P_HIDDEN, P_LR, P_EPOCHS, P_BATCH, P_L2, P_PATIENCE, P_COUNT };

/* lags 0 stands for all lag columns, patience 0 for no early stop. */
static const struct train_param PARAMS[P_COUNT] = {
    [P_LAGS] = {"lags", 0, 0, 4096, true},
    [P_HIDDEN] = {"hidden", 16, 0, 1024, true},
    [P_LR] = {"lr", 0.005, 1e-7, 1, false},
    [P_EPOCHS] = {"epochs", 200, 1, 4096, true},
    [P_BATCH] = {"batch", 64, 1, 65536, true},
    [P_L2] = {"l2", 1e-5, 0, 10, false},
    [P_PATIENCE] = {"patience", 20, 0, 4096, true},
};

/* Standardised rows. */
struct rows {
    float *z; /* [count][used] */
    float *t; /* [count] */
    size_t count;
};

/* Owner: itself; all that one fit needs. */
struct arnet_work {
    const struct slw_blas_ops *blas;
    size_t used, hidden, theta_count, weight_count;
    int32_t *used_index;
    float *mean, *scale;
    float y_mean, y_scale;
    struct rows train, valid;
    float *theta, *gradient, *moment1, *moment2, *best;
    float *zb, *tb, *h, *f, *dh; /* of one batch */
    uint32_t *order;
    size_t batch;
    bool absolute; /* the loss */
};

/* Where Huber's loss bends, in deviations of the target. */
#define HUBER_BEND 0.1f

static void
arnet_work_done(struct arnet_work *w)
{
    float *floats[] = {w->mean,    w->scale,   w->train.z, w->train.t,
                       w->valid.z, w->valid.t, w->theta,   w->gradient,
                       w->moment1, w->moment2, w->best,    w->zb,
                       w->tb,      w->h,       w->f,       w->dh};
    for (size_t i = 0; i < SLW_ARRAY_LEN(floats); i++)
        slw_free(floats[i]);
    slw_free(w->used_index);
    slw_free(w->order);
}

/* ---- which columns ---- */

struct lag {
    int64_t number;
    int32_t column;
};

static int
compare_lags(const void *a, const void *b)
{
    const struct lag *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return x->column < y->column ? -1 : 1;
}

/* "range_lag7" with prefix "range_lag" is lag 7. */
static bool
is_lag(struct slw_str name, struct slw_str prefix, int64_t *out)
{
    struct slw_err why;
    if (prefix.len == 0 || name.len <= prefix.len ||
        memcmp(name.ptr, prefix.ptr, prefix.len) != 0)
        return false;
    struct slw_str digits = {name.ptr + prefix.len, name.len - prefix.len};
    return digits.ptr[0] >= '0' && digits.ptr[0] <= '9' &&
           slw_str_i64(digits, out, &why) == SLW_OK;
}

/* The first `lag_max` lags by their number, then all other columns. */
static enum slw_rc
choose_columns(const struct train_fit_in *in, size_t lag_max,
               struct arnet_work *w, struct slw_err *err)
{
    const struct slw_signature *sig = in->sig;
    struct slw_str prefix = slw_json_str_or(
        slw_json_get(in->params, "lag_prefix"), (struct slw_str){"", 0});
    struct lag *lags = slw_alloc(sig->column_count * sizeof(*lags));
    size_t lag_count = 0, other = 0;
    for (size_t k = 0; k < sig->column_count; k++)
        if (is_lag(sig->columns[k], prefix, &lags[lag_count].number))
            lags[lag_count++].column = (int32_t)k;
    qsort(lags, lag_count, sizeof(*lags), compare_lags);
    size_t kept = lag_max && lag_max < lag_count ? lag_max : lag_count;
    w->used_index = slw_alloc(sig->column_count * sizeof(*w->used_index));
    for (size_t i = 0; i < kept; i++)
        w->used_index[i] = lags[i].column;
    for (size_t k = 0; k < sig->column_count; k++) {
        int64_t number;
        if (!is_lag(sig->columns[k], prefix, &number))
            w->used_index[kept + other++] = (int32_t)k;
    }
    slw_free(lags);
    w->used = kept + other;
    if (prefix.len && lag_count == 0)
        return slw_fail(err, SLW_INVALID,
                        "arnet's lag_prefix is '%.*s', but no column has such"
                        " a name with a number behind it",
                        SLW_FMT(prefix));
    return SLW_OK;
}

/* ---- rows ---- */

static void
standards(const struct train_fit_in *in, const uint32_t *rows, size_t count,
          struct arnet_work *w)
{
    double *column = slw_alloc(count * sizeof(*column));
    double mean, scale;
    w->mean = slw_alloc(w->used * sizeof(float));
    w->scale = slw_alloc(w->used * sizeof(float));
    for (size_t i = 0; i <= w->used; i++) {
        for (size_t r = 0; r < count; r++)
            column[r] = i == w->used ? in->y[rows[r]]
                                     : in->x[rows[r] * in->sig->column_count +
                                             (size_t)w->used_index[i]];
        train_standard(column, count, 1, &mean, &scale);
        *(i == w->used ? &w->y_mean : &w->mean[i]) = (float)mean;
        *(i == w->used ? &w->y_scale : &w->scale[i]) = (float)scale;
    }
    slw_free(column);
}

/* As the model will see them: float32 first, then standardised. */
static void
load_rows(const double *x, const double *y, size_t columns,
          const uint32_t *rows, size_t count, const struct arnet_work *w,
          struct rows *out)
{
    out->count = count;
    out->z = slw_alloc((count * w->used + 1) * sizeof(float));
    out->t = slw_alloc((count + 1) * sizeof(float));
    for (size_t r = 0; r < count; r++) {
        const double *row = x + rows[r] * columns;
        for (size_t i = 0; i < w->used; i++)
            out->z[r * w->used + i] =
                ((float)row[w->used_index[i]] - w->mean[i]) / w->scale[i];
        out->t[r] = ((float)y[rows[r]] - w->y_mean) / w->y_scale;
    }
}

static enum slw_rc
take_rows(const struct train_fit_in *in, struct arnet_work *w,
          struct slw_err *err)
{
    uint32_t *rows = NULL;
    size_t columns = in->sig->column_count;
    size_t count = train_rows_complete(in->x, in->y, in->row_count, columns,
                                       w->used_index, w->used, &rows);
    if (count < TRAIN_ROWS_MIN) {
        slw_free(rows);
        return slw_fail(err, SLW_INVALID,
                        "only %zu rows have no missing value: arnet needs at"
                        " least %d",
                        count, TRAIN_ROWS_MIN);
    }
    standards(in, rows, count, w);
    load_rows(in->x, in->y, columns, rows, count, w, &w->train);
    slw_free(rows);
    count = train_rows_complete(in->valid_x, in->valid_y, in->valid_count,
                                columns, w->used_index, w->used, &rows);
    load_rows(in->valid_x, in->valid_y, columns, rows, count, w, &w->valid);
    slw_free(rows);
    return SLW_OK;
}

/* ---- the network ---- */

static float *
w1_of(const struct arnet_work *w, float *theta)
{
    return theta + w->used;
}

static float *
w2_of(const struct arnet_work *w, float *theta)
{
    return theta + w->used + w->hidden * w->used;
}

static float *
b0_of(const struct arnet_work *w, float *theta)
{
    return theta + w->weight_count;
}

static float *
b1_of(const struct arnet_work *w, float *theta)
{
    return theta + w->weight_count + 1;
}

static void
network_init(struct arnet_work *w, size_t hidden, size_t batch,
             struct slw_rng *rng)
{
    size_t n = w->train.count;
    w->hidden = hidden;
    w->batch = batch < n ? batch : n;
    w->weight_count = w->used + hidden * w->used + hidden;
    w->theta_count = w->weight_count + 1 + hidden;
    float **vectors[] = {&w->theta, &w->gradient, &w->moment1, &w->moment2,
                         &w->best};
    for (size_t i = 0; i < SLW_ARRAY_LEN(vectors); i++)
        *vectors[i] = slw_alloc(w->theta_count * sizeof(float));
    w->zb = slw_alloc(w->batch * w->used * sizeof(float));
    w->tb = slw_alloc(w->batch * sizeof(float));
    w->f = slw_alloc(w->batch * sizeof(float));
    w->h = slw_alloc((w->batch * hidden + 1) * sizeof(float));
    w->dh = slw_alloc((w->batch * hidden + 1) * sizeof(float));
    w->order = slw_alloc(n * sizeof(*w->order));
    for (size_t i = 0; i < n; i++)
        w->order[i] = (uint32_t)i;
    /* The linear part starts at 0: the first answer is the mean. */
    double spread = sqrt(2 / (double)w->used);
    for (size_t i = 0; i < hidden * w->used; i++)
        w1_of(w, w->theta)[i] = (float)(spread * slw_rng_normal(rng));
    for (size_t j = 0; j < hidden; j++)
        w2_of(w, w->theta)[j] =
            (float)(0.1 * slw_rng_normal(rng) / sqrt((double)hidden));
}

/* f[count] for the rows z; h keeps relu(W1 z + b1). */
static void
forward(struct arnet_work *w, const float *z, size_t count)
{
    int m = (int)count, u = (int)w->used, h = (int)w->hidden;
    for (size_t r = 0; r < count; r++)
        w->f[r] = *b0_of(w, w->theta);
    w->blas->sgemm(false, false, m, 1, u, 1, z, u, w->theta, 1, 1, w->f, 1);
    if (h == 0)
        return;
    for (size_t r = 0; r < count; r++)
        memcpy(w->h + r * w->hidden, b1_of(w, w->theta),
               w->hidden * sizeof(float));
    w->blas->sgemm(false, true, m, h, u, 1, z, u, w1_of(w, w->theta), u, 1,
                   w->h, h);
    for (size_t i = 0; i < count * w->hidden; i++)
        w->h[i] = w->h[i] > 0 ? w->h[i] : 0;
    w->blas->sgemm(false, false, m, 1, h, 1, w->h, h, w2_of(w, w->theta), 1, 1,
                   w->f, 1);
}

/* Slope of the loss at a difference d. */
static float
slope(const struct arnet_work *w, float d)
{
    if (!w->absolute)
        return 2 * d;
    const float s = d / HUBER_BEND;
    return s > 1 ? 1 : s < -1 ? -1 : s;
}

/* Gradient of the mean loss over the batch in zb, tb; returns the sum of
 * squares. */
static double
backward(struct arnet_work *w, size_t count, double l2)
{
    int m = (int)count, u = (int)w->used, h = (int)w->hidden;
    double squares = 0;
    float *g = w->gradient, sum = 0;
    forward(w, w->zb, count);
    for (size_t r = 0; r < count; r++) {
        float d = w->f[r] - w->tb[r];
        squares += (double)d * (double)d;
        w->f[r] = slope(w, d) / (float)count;
        sum += w->f[r];
    }
    for (size_t i = 0; i < w->weight_count; i++)
        g[i] = (float)l2 * w->theta[i];
    *b0_of(w, g) = sum;
    w->blas->sgemm(true, false, u, 1, m, 1, w->zb, u, w->f, 1, 1, g, 1);
    if (h == 0)
        return squares;
    w->blas->sgemm(true, false, h, 1, m, 1, w->h, h, w->f, 1, 1, w2_of(w, g),
                   1);
    const float *w2 = w2_of(w, w->theta);
    float *gb1 = b1_of(w, g);
    memset(gb1, 0, w->hidden * sizeof(float));
    for (size_t r = 0; r < count; r++) {
        for (size_t j = 0; j < w->hidden; j++) {
            size_t at = r * w->hidden + j;
            w->dh[at] = w->h[at] > 0 ? w->f[r] * w2[j] : 0;
            gb1[j] += w->dh[at];
        }
    }
    w->blas->sgemm(true, false, h, u, m, 1, w->dh, h, w->zb, u, 1, w1_of(w, g),
                   u);
    return squares;
}

static void
adam_step(struct arnet_work *w, double lr, int64_t step)
{
    const float beta1 = 0.9f, beta2 = 0.999f, tiny = 1e-8f;
    float c1 = (float)(1 - pow(0.9, (double)step));
    float c2 = (float)(1 - pow(0.999, (double)step));
    float rate = (float)lr;
    for (size_t i = 0; i < w->theta_count; i++) {
        float g = w->gradient[i];
        w->moment1[i] = beta1 * w->moment1[i] + (1 - beta1) * g;
        w->moment2[i] = beta2 * w->moment2[i] + (1 - beta2) * g * g;
        w->theta[i] -=
            rate * (w->moment1[i] / c1) / (sqrtf(w->moment2[i] / c2) + tiny);
    }
}

/* One pass over the rows in a new order; returns the mean square. */
static double
epoch(struct arnet_work *w, const double *v, struct slw_rng *rng,
      int64_t *io_step)
{
    size_t n = w->train.count;
    double squares = 0;
    for (size_t i = n - 1; i > 0; i--) {
        size_t j = (size_t)slw_rng_below(rng, i + 1);
        uint32_t swapped = w->order[i];
        w->order[i] = w->order[j];
        w->order[j] = swapped;
    }
    for (size_t begin = 0; begin < n; begin += w->batch) {
        size_t count = n - begin < w->batch ? n - begin : w->batch;
        for (size_t r = 0; r < count; r++) {
            size_t row = w->order[begin + r];
            memcpy(w->zb + r * w->used, w->train.z + row * w->used,
                   w->used * sizeof(float));
            w->tb[r] = w->train.t[row];
        }
        squares += backward(w, count, v[P_L2]);
        adam_step(w, v[P_LR], ++*io_step);
    }
    return squares / (double)n;
}

/* Mean absolute or root mean square error on the validation rows, in the
 * target's unit. */
static double
valid_error(struct arnet_work *w)
{
    double sum = 0;
    for (size_t begin = 0; begin < w->valid.count; begin += w->batch) {
        size_t left = w->valid.count - begin;
        size_t count = left < w->batch ? left : w->batch;
        forward(w, w->valid.z + begin * w->used, count);
        for (size_t r = 0; r < count; r++) {
            double d = (double)w->f[r] - (double)w->valid.t[begin + r];
            sum += w->absolute ? fabs(d) : d * d;
        }
    }
    const double mean = sum / (double)w->valid.count;
    return (w->absolute ? mean : sqrt(mean)) * (double)w->y_scale;
}

static enum slw_rc
descend(struct arnet_work *w, const double *v, struct slw_rng *rng,
        struct train_fit_out *out, struct slw_err *err)
{
    int64_t step = 0;
    int best_epoch = -1, epochs = (int)v[P_EPOCHS], patience;
    double best = INFINITY;
    size_t size = w->theta_count * sizeof(float);
    patience = (int)v[P_PATIENCE];
    out->curve_count = 0;
    for (out->rounds = 0; out->rounds < epochs; out->rounds++) {
        double loss = epoch(w, v, rng, &step);
        if (!isfinite(loss))
            return slw_fail(err, SLW_INVALID,
                            "arnet diverged in epoch %d: the parameter lr"
                            " (%g) is too large",
                            out->rounds, v[P_LR]);
        if (w->valid.count == 0)
            continue;
        double now = valid_error(w);
        out->curve[out->curve_count++] = now;
        if (now < best) {
            best = now;
            best_epoch = out->rounds;
            memcpy(w->best, w->theta, size);
        }
        if (patience > 0 && out->rounds - best_epoch >= patience) {
            out->rounds++;
            break;
        }
    }
    if (best_epoch >= 0)
        memcpy(w->theta, w->best, size);
    return SLW_OK;
}

enum slw_rc
train_fit_arnet(const struct train_fit_in *in, struct train_fit_out *out,
                struct slw_err *err)
{
    double v[P_COUNT];
    const void *table = NULL;
    struct slw_rng rng;
    TRY(train_params_read(in->params, "arnet", PARAMS, P_COUNT, "lag_prefix", v,
                          err));
    TRY(train_engine("openblas", &table, out, err));
    SLW_AUTO(arnet_work, w);
    w.blas = table;
    w.absolute = in->absolute_loss;
    TRY(choose_columns(in, (size_t)v[P_LAGS], &w, err));
    TRY(take_rows(in, &w, err));
    slw_rng_init_named(&rng, in->seed, SLW_STR("arnet"));
    network_init(&w, (size_t)v[P_HIDDEN], (size_t)v[P_BATCH], &rng);
    TRY(descend(&w, v, &rng, out, err));
    const struct slw_arnet net = {.column_count = in->sig->column_count,
                                  .used_count = w.used,
                                  .used = w.used_index,
                                  .hidden_count = w.hidden,
                                  .mean = w.mean,
                                  .scale = w.scale,
                                  .w0 = w.theta,
                                  .b0 = *b0_of(&w, w.theta),
                                  .y_mean = w.y_mean,
                                  .y_scale = w.y_scale,
                                  .w1 = w1_of(&w, w.theta),
                                  .b1 = b1_of(&w, w.theta),
                                  .w2 = w2_of(&w, w.theta)};
    return slw_arnet_write(&net, &out->bytes, err);
}
