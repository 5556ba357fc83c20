/* gate.c -- the gate's judgement: pure functions of errors on the same rows.
 *
 * Rows of one day are not independent of each other, so they are averaged
 * first and days are compared (num/metric.h, slw_paired_test).  "By" is a
 * share of the other's error that the candidate must be below: 0.02 asks for
 * two percent less, -0.05 allows five percent more (not worse by a margin).
 * Squared losses are compared by the square of that share, so that it always
 * speaks of the error in the target's unit. */
#include "flow/flow_internal.h"

#include <math.h>

#include "num/metric.h"

/* ---- days ---- */

static double
loss_of(enum flow_loss loss, double y, double yhat)
{
    const double e = yhat - y;
    if (loss == FLOW_SQUARED)
        return e * e;
    return loss == FLOW_RELATIVE ? fabs(e) / fabs(y) : fabs(e);
}

void
flow_days_of(const int64_t *event_ms, const double *y, const double *candidate,
             const double *other, size_t row_count, enum flow_loss loss,
             struct slw_arena *a, struct flow_days *out)
{
    struct flow_days d = {.candidate = SLW_ARENA_NEW(a, double, row_count + 1),
                          .other = SLW_ARENA_NEW(a, double, row_count + 1)};
    double candidate_sum = 0, other_sum = 0;
    for (size_t r = 0; r < row_count;) {
        const int64_t day = slw_time_index(event_ms[r], SLW_DAY_MS);
        double c_sum = 0, o_sum = 0;
        int64_t count = 0;
        for (; r < row_count && slw_time_index(event_ms[r], SLW_DAY_MS) == day;
             r++) {
            const double c = loss_of(loss, y[r], candidate[r]);
            const double o = loss_of(loss, y[r], other[r]);
            if (!isfinite(c) || !isfinite(o))
                continue; /* pairs only */
            c_sum += c;
            o_sum += o;
            count++;
        }
        if (count == 0)
            continue;
        d.candidate[d.count] = c_sum / (double)count;
        d.other[d.count++] = o_sum / (double)count;
        d.row_count += count;
        candidate_sum += c_sum;
        other_sum += o_sum;
    }
    d.candidate_mean = candidate_sum / (double)d.row_count;
    d.other_mean = other_sum / (double)d.row_count;
    *out = d;
}

/* ---- one check ---- */

/* A mean loss in the unit of the error. */
static double
error_of(enum flow_loss loss, double mean)
{
    return loss == FLOW_SQUARED ? sqrt(mean) : mean;
}

static const char *
word_of(const char *other)
{
    return strcmp(other, "fallback") == 0 ? "rule" : other;
}

/* "beats the rule", "beats the champion by 2 %", "is at most 5 % worse than
 * the champion" */
static struct slw_str
claim(const char *other, double by, bool holds, struct slw_arena *a)
{
    if (by < 0)
        return slw_arena_printf(a,
                                "is %sshown to be at most %.4g %% worse than"
                                " the %s",
                                holds ? "" : "not ", -by * 100, word_of(other));
    if (by > 0)
        return slw_arena_printf(a, "%s the %s by %.4g %%",
                                holds ? "beats" : "does not beat",
                                word_of(other), by * 100);
    return slw_arena_printf(a, "%s the %s", holds ? "beats" : "does not beat",
                            word_of(other));
}

void
flow_gate_beats(const struct flow_days *days, enum flow_loss loss, double by,
                double confidence, const char *other, struct slw_arena *a,
                struct flow_check *out)
{
    const double share = loss == FLOW_SQUARED ? (1 - by) * (1 - by) : 1 - by;
    double *d = SLW_ARENA_NEW(a, double, days->count + 1);
    double mean = 0;
    struct slw_err why;
    struct flow_check c = {.name = strcmp(other, "fallback") == 0
                                       ? "beats fallback"
                                       : "beats champion",
                           .value = error_of(loss, days->candidate_mean),
                           .limit = (1 - by) * error_of(loss, days->other_mean),
                           .p = NAN};
    for (size_t i = 0; i < days->count; i++)
        d[i] = share * days->other[i] - days->candidate[i];
    if (slw_paired_test(d, days->count, &mean, &c.p, &why) != SLW_OK) {
        c.why = slw_arena_printf(a,
                                 "cannot be compared with the %s over %zu"
                                 " days: %s",
                                 word_of(other), days->count, why.msg);
        *out = c;
        return;
    }
    c.passed = c.p <= 1 - confidence;
    const struct slw_str said = claim(other, by, c.passed, a);
    c.why = slw_arena_printf(
        a, "%.*s: %.3g against %.3g over %zu days, p %.2g", SLW_FMT(said),
        c.value, error_of(loss, days->other_mean), days->count, c.p);
    *out = c;
}

/* ---- all of them ---- */

bool
flow_gate_verdict(const struct flow_check *checks, size_t count)
{
    size_t passed = 0;
    for (size_t i = 0; i < count; i++) {
        if (!checks[i].passed && !checks[i].skipped)
            return false;
        passed += checks[i].passed;
    }
    return passed > 0;
}

struct slw_str
flow_gate_sentence(const struct flow_check *checks, size_t count,
                   struct slw_arena *a)
{
    SLW_AUTO(slw_buf, text);
    for (int failed = 1; failed >= 0; failed--) /* what failed comes first */
        for (size_t i = 0; i < count; i++) {
            const bool bad = !checks[i].passed && !checks[i].skipped;
            if (bad == (failed == 1))
                slw_buf_printf(&text, "%s%.*s", text.len ? "; " : "",
                               SLW_FMT(checks[i].why));
        }
    return slw_arena_str(a, slw_buf_view(&text));
}

static void
write_number(struct slw_jw *w, const char *key, double v)
{
    slw_jw_key(w, key);
    if (isfinite(v))
        slw_jw_f64(w, v);
    else
        slw_jw_null(w);
}

void
flow_checks_write(struct slw_jw *w, const struct flow_check *checks,
                  size_t count)
{
    slw_jw_arr(w);
    for (size_t i = 0; i < count; i++) {
        slw_jw_obj(w);
        slw_jw_kz(w, "name", checks[i].name);
        slw_jw_kbool(w, "passed", checks[i].passed);
        if (checks[i].skipped)
            slw_jw_kbool(w, "skipped", true);
        write_number(w, "value", checks[i].value);
        write_number(w, "limit", checks[i].limit);
        if (isfinite(checks[i].p))
            slw_jw_kf64(w, "p", checks[i].p);
        slw_jw_kstr(w, "why", checks[i].why);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
}
