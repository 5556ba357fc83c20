/* svr.c -- support vector regression: docs/formats/svr.md, and its answer.
 *
 * f(x) = sum_i coef_i exp(-gamma |sv_i - z|^2) - rho with z standardised x.
 * Support vectors lie column by column, so that the distances of a block of
 * them are built by loops the compiler can vectorise without reordering any
 * sum: the answer is libsvm's up to the last bits of exp. */
#include <math.h>

#include "model/model_internal.h"

static const char SVR_MAGIC[8] = {'S', 'L', 'W', 'S', 'V', 'R', '1', '\n'};

#define SV_BLOCK 128

/* Owner: immutable after load */
struct model_svr {
    size_t column_count, sv_count;
    double gamma, rho, y_mean, y_scale;
    double *numbers; /* mean, scale, coef, sv in one block */
    const double *mean, *scale, *coef;
    const double *sv_columns; /* [column_count][sv_count] */
};

static bool
all_finite(const double *v, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(v[i]))
            return false;
    return true;
}

static bool
all_positive(const double *v, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(v[i] > 0))
            return false;
    return true;
}

enum slw_rc
slw_svr_write(const struct slw_svr *svr, struct slw_buf *out,
              struct slw_err *err)
{
    SLW_ASSERT(svr->column_count > 0);
    SLW_ASSERT(svr->column_count <= SLW_MODEL_COLUMN_MAX);
    size_t columns = svr->column_count, svs = svr->sv_count;
    if (svs > MODEL_SVR_SV_MAX)
        return slw_fail(err, SLW_LIMIT, "more than %zu support vectors",
                        MODEL_SVR_SV_MAX);
    const double head[] = {svr->gamma, svr->rho, svr->y_mean, svr->y_scale};
    if (!all_finite(head, 4) || !(svr->gamma > 0) || !(svr->y_scale > 0) ||
        !all_finite(svr->mean, columns) || !all_finite(svr->scale, columns) ||
        !all_positive(svr->scale, columns) || !all_finite(svr->coef, svs) ||
        !all_finite(svr->sv, svs * columns))
        return slw_fail(err, SLW_INVALID,
                        "the support vector model has numbers that are not"
                        " finite, or a scale that is not positive");
    size_t begin = out->len;
    model_file_begin(out, SVR_MAGIC);
    model_put_u32(out, (uint32_t)columns);
    model_put_u32(out, (uint32_t)svs);
    slw_buf_add(out, head, sizeof(head));
    slw_buf_add(out, svr->mean, columns * sizeof(double));
    slw_buf_add(out, svr->scale, columns * sizeof(double));
    slw_buf_add(out, svr->coef, svs * sizeof(double));
    slw_buf_add(out, svr->sv, svs * columns * sizeof(double));
    model_file_end(out, begin);
    return slw_buf_check(out, err);
}

static enum slw_rc
bad_svr(const char *what, struct slw_err *err)
{
    return slw_fail(err, SLW_INVALID, "this svr model file is damaged: %s",
                    what);
}

/* All arrays, the support vectors turned. */
static void
take_arrays(struct model_svr *m, struct model_cursor *c)
{
    size_t columns = m->column_count, svs = m->sv_count;
    size_t head = 2 * columns + svs;
    m->numbers = slw_alloc((head + svs * columns) * sizeof(double));
    for (size_t i = 0; i < head; i++)
        m->numbers[i] = model_take_f64(c);
    m->mean = m->numbers;
    m->scale = m->mean + columns;
    m->coef = m->scale + columns;
    double *sv = m->numbers + head;
    for (size_t i = 0; i < svs; i++)
        for (size_t k = 0; k < columns; k++)
            sv[k * svs + i] = model_take_f64(c);
    m->sv_columns = sv;
}

static enum slw_rc
read_body(struct model_svr *m, struct model_cursor *c, struct slw_err *err)
{
    m->column_count = model_take_u32(c);
    m->sv_count = model_take_u32(c);
    m->gamma = model_take_f64(c);
    m->rho = model_take_f64(c);
    m->y_mean = model_take_f64(c);
    m->y_scale = model_take_f64(c);
    if (c->bad || m->column_count < 1 ||
        m->column_count > SLW_MODEL_COLUMN_MAX ||
        m->sv_count > MODEL_SVR_SV_MAX)
        return bad_svr("its counts are out of range", err);
    size_t wanted =
        (2 * m->column_count + m->sv_count + m->sv_count * m->column_count) *
        sizeof(double);
    if ((size_t)(c->end - c->at) != wanted)
        return bad_svr("its size does not fit its counts", err);
    take_arrays(m, c);
    const double head[] = {m->gamma, m->rho, m->y_mean, m->y_scale};
    if (!all_finite(head, 4) || !(m->gamma > 0) || !(m->y_scale > 0) ||
        !all_finite(m->numbers, wanted / sizeof(double)) ||
        !all_positive(m->scale, m->column_count))
        return bad_svr("a number is not finite or a scale not positive", err);
    return SLW_OK;
}

enum slw_rc
model_svr_read(struct model_svr **out, const struct slw_signature *sig,
               struct slw_str bytes, struct slw_err *err)
{
    struct model_cursor c;
    TRY(model_file_open(bytes, SVR_MAGIC, "svr", &c, err));
    struct model_svr *m = slw_alloc(sizeof(*m));
    enum slw_rc rc = read_body(m, &c, err);
    if (rc == SLW_OK && m->column_count != sig->column_count)
        rc = slw_fail(err, SLW_INVALID,
                      "the model wants %zu columns, the signature has %zu",
                      m->column_count, sig->column_count);
    if (rc != SLW_OK) {
        model_svr_free(m);
        return rc;
    }
    *out = m;
    return SLW_OK;
}

void
model_svr_free(struct model_svr *m)
{
    if (!m)
        return;
    slw_free(m->numbers);
    slw_free(m);
}

/* Squared distances of z to support vectors [begin, begin+count). */
static void
distances(const struct model_svr *m, const double *z, size_t begin,
          size_t count, double *d2)
{
    for (size_t i = 0; i < count; i++)
        d2[i] = 0;
    for (size_t k = 0; k < m->column_count; k++) {
        const double *sv = m->sv_columns + k * m->sv_count + begin;
        double at = z[k];
        for (size_t i = 0; i < count; i++) {
            double d = sv[i] - at;
            d2[i] += d * d;
        }
    }
}

static double
predict_row(const struct model_svr *m, const double *x)
{
    MODEL_SCRATCH double z[SLW_MODEL_COLUMN_MAX];
    double d2[SV_BLOCK];
    for (size_t k = 0; k < m->column_count; k++) {
        if (!isfinite(x[k]))
            return NAN;
        z[k] = (x[k] - m->mean[k]) / m->scale[k];
    }
    double sum = 0;
    for (size_t i = 0; i < m->sv_count; i += SV_BLOCK) {
        size_t count = m->sv_count - i < SV_BLOCK ? m->sv_count - i : SV_BLOCK;
        distances(m, z, i, count, d2);
        for (size_t j = 0; j < count; j++)
            sum += m->coef[i + j] * exp(-m->gamma * d2[j]);
    }
    return m->y_mean + m->y_scale * (sum - m->rho);
}

void
model_svr_predict(const struct model_svr *m, const double *x, size_t row_count,
                  double *y)
{
    for (size_t r = 0; r < row_count; r++)
        y[r] = predict_row(m, x + r * m->column_count);
}
