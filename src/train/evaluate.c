/* evaluate.c -- what a model answers on rows of a split, and how wrong that
 * is.  Everything is in the target's unit, also where the trainer fitted the
 * change relative to a column: slw_model_predict() folds it back. */
#include "train/train_internal.h"

#include <math.h>

double *
train_predict(const struct slw_model *m, const struct train_rows *rows,
              struct slw_arena *a)
{
    double *yhat = SLW_ARENA_NEW(a, double, rows->count + 1);
    slw_model_predict(m, rows->x, rows->count, yhat);
    return yhat;
}

void
train_measure(const struct train_rows *rows, const double *yhat,
              struct slw_metrics *out)
{
    slw_metrics_of(rows->target, yhat, rows->count, out);
}

double
train_metric_of(enum train_metric m, const struct slw_metrics *v)
{
    switch (m) {
    case TRAIN_MAE:
        return v->mae;
    case TRAIN_RMSE:
        return v->rmse;
    case TRAIN_MAPE:
        return v->mape;
    default:
        return v->r2;
    }
}

bool
train_metric_better(enum train_metric m, double a, double b)
{
    if (isnan(a) || isnan(b))
        return !isnan(a);
    return m == TRAIN_R2 ? a > b : a < b;
}

void
train_metrics_write(struct slw_jw *w, const struct slw_metrics *m)
{
    slw_jw_obj(w);
    slw_jw_kf64(w, "mae", m->mae);
    slw_jw_kf64(w, "rmse", m->rmse);
    slw_jw_kf64(w, "mape", m->mape);
    slw_jw_kf64(w, "r2", m->r2);
    slw_jw_kf64(w, "bias", m->bias);
    slw_jw_ki64(w, "rows", m->row_count);
    slw_jw_ki64(w, "bad", m->bad_count);
    slw_jw_obj_end(w);
}

static int64_t
day_of(int64_t ms)
{
    return slw_time_index(ms, SLW_DAY_MS) * SLW_DAY_MS;
}

void
train_days_write(struct slw_jw *w, const struct train_rows *rows,
                 const double *yhat, const double *other)
{
    slw_jw_arr(w);
    for (size_t r = 0; r < rows->count;) {
        const int64_t day = day_of(rows->event_ms[r]);
        double sum = 0, other_sum = 0;
        size_t count = 0;
        for (; r < rows->count && day_of(rows->event_ms[r]) == day; r++) {
            const double e = fabs(yhat[r] - rows->target[r]);
            const double o = fabs(other[r] - rows->target[r]);
            if (!isfinite(e) || !isfinite(o))
                continue; /* pairs only: a mean over other rows is no pair */
            sum += e;
            other_sum += o;
            count++;
        }
        if (count == 0)
            continue;
        slw_jw_arr(w);
        slw_jw_i64(w, day);
        slw_jw_f64(w, sum / (double)count);
        slw_jw_f64(w, other_sum / (double)count);
        slw_jw_arr_end(w);
    }
    slw_jw_arr_end(w);
}
