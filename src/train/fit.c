/* fit.c -- one candidate, one set of parameters: the common part.
 *
 * A parameter that is misspelt would silently be a default, so every name is
 * checked against the flavour's table, and every value against its range. */
#include <math.h>

#include "base/engine.h"
#include "train/fit_internal.h"

void
train_fit_out_done(struct train_fit_out *out)
{
    slw_buf_done(&out->bytes);
}

static enum slw_rc
unknown_param(struct slw_str name, const char *flavour,
              const struct train_param *table, size_t count,
              struct slw_err *err)
{
    const char *near = table[0].name;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < count && name.len <= 64; i++) {
        size_t d = slw_str_distance(name, slw_str_of(table[i].name));
        if (d < best) {
            best = d;
            near = table[i].name;
        }
    }
    if (best <= 3)
        return slw_fail(err, SLW_INVALID,
                        "%s has no parameter '%.*s'; is '%s' meant?", flavour,
                        SLW_FMT(name), near);
    return slw_fail(err, SLW_INVALID, "%s has no parameter '%.*s'", flavour,
                    SLW_FMT(name));
}

static enum slw_rc
check_param(const struct train_param *p, const char *flavour, double v,
            struct slw_err *err)
{
    if (!(v >= p->least && v <= p->most) || (p->whole && v != floor(v)))
        return slw_fail(err, SLW_INVALID,
                        "the parameter %s of %s is %g, but must be a %s in"
                        " %g..%g",
                        p->name, flavour, v,
                        p->whole ? "whole number" : "number", p->least,
                        p->most);
    return SLW_OK;
}

static enum slw_rc
read_one(struct slw_str name, const struct json_t *value, const char *flavour,
         const struct train_param *table, size_t count, double *values,
         struct slw_err *err)
{
    enum slw_json_type type = slw_json_type(value);
    for (size_t i = 0; i < count; i++) {
        if (!slw_str_eqz(name, table[i].name))
            continue;
        if (type != SLW_JSON_INT && type != SLW_JSON_REAL)
            return slw_fail(err, SLW_INVALID,
                            "the parameter %s of %s is not a number",
                            table[i].name, flavour);
        values[i] = slw_json_f64_or(value, NAN);
        return check_param(&table[i], flavour, values[i], err);
    }
    return unknown_param(name, flavour, table, count, err);
}

enum slw_rc
train_params_read(const struct json_t *params, const char *flavour,
                  const struct train_param *table, size_t count,
                  const char *text_name, double *values, struct slw_err *err)
{
    for (size_t i = 0; i < count; i++)
        values[i] = table[i].dflt;
    if (slw_json_type(params) == SLW_JSON_NONE)
        return SLW_OK;
    if (slw_json_type(params) != SLW_JSON_OBJECT)
        return slw_fail(err, SLW_INVALID,
                        "the parameters of %s are not an"
                        " object",
                        flavour);
    for (void *it = slw_json_iter(params); it; it = slw_json_next(params, it)) {
        struct slw_str name = slw_json_iter_key(it);
        const struct json_t *value = slw_json_iter_value(it);
        if (text_name && slw_str_eqz(name, text_name)) {
            if (slw_json_type(value) != SLW_JSON_STR)
                return slw_fail(err, SLW_INVALID,
                                "the parameter %s of %s is not a text",
                                text_name, flavour);
            continue;
        }
        TRY(read_one(name, value, flavour, table, count, values, err));
    }
    return SLW_OK;
}

enum slw_rc
train_engine(const char *name, const void **out_ops, struct train_fit_out *out,
             struct slw_err *err)
{
    const char *version = "";
    TRY(slw_engine_get(name, out_ops, err));
    TRY(slw_engine_version(name, &version, err));
    snprintf(out->engine, sizeof(out->engine), "%s", name);
    snprintf(out->engine_version, sizeof(out->engine_version), "%s", version);
    return SLW_OK;
}

void
train_standard(const double *values, size_t count, size_t step,
               double *out_mean, double *out_scale)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i * step];
    double mean = count ? sum / (double)count : 0;
    for (size_t i = 0; i < count; i++) {
        double d = values[i * step] - mean;
        squares += d * d;
    }
    double scale = count ? sqrt(squares / (double)count) : 1;
    /* A column that is constant but for rounding says nothing. */
    bool none =
        !(scale > 1e-12 * fabs(mean)) || !isfinite(scale) || scale < 1e-30;
    *out_mean = mean;
    *out_scale = none ? 1 : scale;
}

size_t
train_rows_complete(const double *x, const double *y, size_t row_count,
                    size_t column_count, const int32_t *used, size_t used_count,
                    uint32_t **out_rows)
{
    uint32_t *rows = slw_alloc((row_count + 1) * sizeof(*rows));
    size_t count = 0;
    for (size_t r = 0; r < row_count; r++) {
        bool complete = isfinite(y[r]);
        for (size_t i = 0; i < used_count && complete; i++)
            complete = isfinite(x[r * column_count + (size_t)used[i]]);
        if (complete)
            rows[count++] = (uint32_t)r;
    }
    *out_rows = rows;
    return count;
}

static enum slw_rc
check_in(const struct train_fit_in *in, struct slw_err *err)
{
    SLW_ASSERT(in->sig);
    SLW_ASSERT(in->sig->column_count > 0);
    if (in->row_count < TRAIN_ROWS_MIN)
        return slw_fail(err, SLW_INVALID,
                        "%zu rows are too few to fit: at least %d are needed",
                        in->row_count, TRAIN_ROWS_MIN);
    if (in->row_count > UINT32_MAX || in->valid_count > UINT32_MAX)
        return slw_fail(err, SLW_LIMIT, "more than %u rows", UINT32_MAX);
    for (size_t r = 0; r < in->row_count; r++)
        if (!isfinite((float)in->y[r]))
            return slw_fail(err, SLW_INVALID,
                            "the target of row %zu is not finite", r);
    for (size_t r = 0; r < in->valid_count; r++)
        if (!isfinite((float)in->valid_y[r]))
            return slw_fail(err, SLW_INVALID,
                            "the target of validation row %zu is not finite",
                            r);
    return SLW_OK;
}

enum slw_rc
train_fit(const struct train_fit_in *in, struct train_fit_out *out,
          struct slw_err *err)
{
    TRY(check_in(in, err));
    switch (in->flavour) {
    case SLW_FLAVOUR_XGBOOST:
        return train_fit_xgboost(in, out, err);
    case SLW_FLAVOUR_SVR:
        return train_fit_svr(in, out, err);
    case SLW_FLAVOUR_ARNET:
        return train_fit_arnet(in, out, err);
    default:
        return slw_fail(err, SLW_INVALID,
                        "models of the kind %s are not"
                        " fitted",
                        slw_flavour_name(in->flavour));
    }
}
