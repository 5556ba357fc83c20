/* split.c -- the frame cut by time into train, validation and test.
 *
 *      train            | valid          | test             | no label yet
 *   ---------------------+----------------+------------------+----
 *                  train_to          valid_to          test_to = T
 *
 * T is the newest event time whose label is known.  Rows are never shuffled
 * across a border, and a row is *purged* when its label became known only
 * after the next part had begun: a model that answers there could not have
 * learned from it.  Rows with a missing feature or no label are left out and
 * counted. */
#include "train/train_internal.h"

#include <math.h>

/* ---- columns ---- */

static bool
is_in(struct slw_str name, const struct slw_str *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slw_str_eq(name, list[i]))
            return true;
    return false;
}

static enum slw_rc
column_fail(const struct slw_frame *f, const char *what, struct slw_str name,
            const char *remedy, struct slw_err *err)
{
    SLW_AUTO(slw_buf, list);
    slw_buf_init(&list, 300); /* as much as a sentence holds */
    for (size_t i = 0; i < f->column_count; i++)
        slw_buf_printf(&list, "%s%.*s", i ? ", " : "", SLW_FMT(f->columns[i]));
    return slw_fail(err, SLW_INVALID,
                    "%s '%.*s', which no feature view yields%s (columns:"
                    " %.*s%s)",
                    what, SLW_FMT(name), remedy, SLW_FMT(slw_buf_view(&list)),
                    list.overflow ? ", …" : "");
}

static enum slw_rc
names_check(const struct slw_frame *f, const struct train_def *def,
            struct slw_err *err)
{
    if (def->relative_to.len &&
        !is_in(def->relative_to, f->columns, f->column_count)) {
        SLW_AUTO(slw_arena, a);
        const char *remedy = slw_arena_strz(
            &a, slw_arena_printf(&a, ": add %.*s to a feature view",
                                 SLW_FMT(def->relative_to)));
        return column_fail(f, "the target is relative to", def->relative_to,
                           remedy, err);
    }
    for (size_t i = 0; i < def->exclude_count; i++)
        if (!is_in(def->exclude[i], f->columns, f->column_count))
            return column_fail(f, "exclude names", def->exclude[i], "", err);
    for (size_t i = 0; i < def->keep_count; i++)
        if (!is_in(def->keep[i], f->columns, f->column_count))
            return column_fail(f, "the signature has", def->keep[i], "", err);
    return SLW_OK;
}

/* Columns of the signature, in the frame's order. */
static enum slw_rc
columns_choose(const struct slw_frame *f, const struct train_def *def,
               struct slw_arena *a, struct train_set *out, struct slw_err *err)
{
    TRY(names_check(f, def, err));
    out->sig.columns = SLW_ARENA_NEW(a, struct slw_str, f->column_count + 1);
    out->column_at = SLW_ARENA_NEW(a, size_t, f->column_count + 1);
    out->sig.relative_to = -1;
    for (size_t i = 0; i < f->column_count; i++) {
        const struct slw_str name = f->columns[i];
        if (def->keep ? !is_in(name, def->keep, def->keep_count)
                      : is_in(name, def->exclude, def->exclude_count))
            continue;
        if (def->relative_to.len && slw_str_eq(name, def->relative_to))
            out->sig.relative_to = (int)out->sig.column_count;
        out->column_at[out->sig.column_count] = i;
        out->sig.columns[out->sig.column_count++] = name;
    }
    const size_t input_count =
        out->sig.column_count - (out->sig.relative_to >= 0 ? 1 : 0);
    if (input_count == 0)
        return slw_fail(err, SLW_INVALID,
                        "no columns are left as inputs: the views yield only"
                        " what is excluded or what the target is relative to");
    if (out->sig.column_count > SLW_MODEL_COLUMN_MAX)
        return slw_fail(err, SLW_LIMIT,
                        "the views yield %zu columns, a model takes %d",
                        out->sig.column_count, SLW_MODEL_COLUMN_MAX);
    return SLW_OK;
}

/* ---- rows ---- */

enum part { OUT, TRAIN, VALID, TEST };

static bool
row_complete(const struct slw_frame *f, const struct train_set *set, size_t r)
{
    const double *x = f->x + r * f->column_count;
    for (size_t i = 0; i < set->sig.column_count; i++)
        if (!isfinite(x[set->column_at[i]]))
            return false;
    return set->sig.relative_to < 0 ||
           x[set->column_at[set->sig.relative_to]] != 0;
}

static bool
row_labelled(const struct slw_frame *f, size_t r, int64_t as_of_ms)
{
    return isfinite(f->y[r]) && f->label_known_ms[r] <= as_of_ms;
}

/* Which part each row is of, before purging; borders and counts. */
static enum slw_rc
parts_mark(const struct slw_frame *f, const struct train_def *def,
           int64_t as_of_ms, uint8_t *part, struct train_set *out,
           struct slw_err *err)
{
    int64_t last_ms = INT64_MIN;
    for (size_t r = 0; r < f->row_count; r++)
        if (row_labelled(f, r, as_of_ms) && f->event_ms[r] > last_ms)
            last_ms = f->event_ms[r];
    char text[SLW_TIME_TEXT_SIZE];
    if (last_ms == INT64_MIN)
        return slw_fail(err, SLW_INVALID,
                        "no label of '%.*s' is known as of %s: there is"
                        " nothing to learn from",
                        SLW_FMT(def->target_sql),
                        slw_time_text(as_of_ms, text));
    out->test_to_ms = last_ms;
    out->valid_to_ms = last_ms - def->test_ms;
    out->train_to_ms = out->valid_to_ms - def->validate_ms;
    out->train_from_ms = f->event_ms[0];
    for (size_t r = 0; r < f->row_count; r++) {
        const int64_t at = f->event_ms[r];
        part[r] = OUT;
        if (!row_labelled(f, r, as_of_ms))
            out->unlabelled_count++;
        else if (!row_complete(f, out, r))
            out->missing_count++;
        else
            part[r] = at > out->valid_to_ms   ? TEST
                      : at > out->train_to_ms ? VALID
                                              : TRAIN;
    }
    return SLW_OK;
}

static int64_t
part_begin_ms(const struct slw_frame *f, const uint8_t *part, uint8_t which)
{
    for (size_t r = 0; r < f->row_count; r++)
        if (part[r] == which)
            return f->event_ms[r]; /* rows are in time order */
    return INT64_MAX;
}

static enum slw_rc
counts_check(const struct train_set *s, const size_t *counts,
             struct slw_err *err)
{
    static const char *const names[] = {"", "train on", "validate", "test"};
    for (int p = TRAIN; p <= TEST; p++) {
        const size_t least = p == TRAIN ? TRAIN_ROW_MIN : TRAIN_PART_ROW_MIN;
        if (counts[p] >= least)
            continue;
        char from[SLW_TIME_TEXT_SIZE], to[SLW_TIME_TEXT_SIZE];
        const int64_t from_ms = p == TRAIN   ? s->train_from_ms
                                : p == VALID ? s->train_to_ms
                                             : s->valid_to_ms;
        const int64_t to_ms = p == TRAIN   ? s->train_to_ms
                              : p == VALID ? s->valid_to_ms
                                           : s->test_to_ms;
        return slw_fail(err, SLW_INVALID,
                        "the split leaves %zu rows to %s (%s to %s), at least"
                        " %zu are needed: shorten split.validate and"
                        " split.test, or add data (%zu rows lack a feature,"
                        " %zu a label, %zu were purged)",
                        counts[p], names[p], slw_date_text(from_ms, from),
                        slw_date_text(to_ms, to), least, s->missing_count,
                        s->unlabelled_count, s->purged_count);
    }
    return SLW_OK;
}

static enum slw_rc
rows_init(struct train_rows *rows, size_t count, const struct train_set *set,
          struct slw_arena *a, struct slw_err *err)
{
    const size_t columns = set->sig.column_count;
    const bool relative = set->sig.relative_to >= 0;
    const size_t row_size = (columns * (relative ? 2 : 1) + 4) * 8;
    if (count > (slw_arena_room(a) / row_size) / 2)
        return slw_fail(err, SLW_LIMIT,
                        "%zu rows of %zu columns do not fit in memory: train"
                        " on less time (train_from) or fewer features",
                        count, columns);
    rows->x = SLW_ARENA_NEW(a, double, count *columns + 1);
    rows->fit_x =
        relative ? SLW_ARENA_NEW(a, double, count *columns + 1) : rows->x;
    rows->target = SLW_ARENA_NEW(a, double, count + 1);
    rows->fit_y = relative ? SLW_ARENA_NEW(a, double, count + 1) : rows->target;
    rows->base = relative ? SLW_ARENA_NEW(a, double, count + 1) : NULL;
    rows->event_ms = SLW_ARENA_NEW(a, int64_t, count + 1);
    return SLW_OK;
}

static void
row_add(struct train_rows *rows, const struct slw_frame *f, size_t r,
        const struct train_set *set)
{
    const size_t columns = set->sig.column_count, n = rows->count++;
    double *x = rows->x + n * columns;
    for (size_t i = 0; i < columns; i++)
        x[i] = f->x[r * f->column_count + set->column_at[i]];
    rows->target[n] = f->y[r];
    rows->event_ms[n] = f->event_ms[r];
    if (!rows->base)
        return;
    const size_t at = (size_t)set->sig.relative_to;
    memcpy(rows->fit_x + n * columns, x, columns * sizeof(double));
    rows->fit_x[n * columns + at] = 0; /* no input; see model.h */
    rows->base[n] = x[at];
    rows->fit_y[n] = f->y[r] / x[at] - 1;
}

static enum slw_rc
rows_fill(const struct slw_frame *f, uint8_t *part, struct slw_arena *a,
          struct train_set *s, struct slw_err *err)
{
    const int64_t valid_begin = part_begin_ms(f, part, VALID);
    const int64_t test_begin = part_begin_ms(f, part, TEST);
    size_t counts[TEST + 1] = {0}, refit_count = 0;
    for (size_t r = 0; r < f->row_count; r++) {
        const int64_t known = f->label_known_ms[r];
        const bool learnable = known <= test_begin;
        const bool purged = (part[r] == TRAIN && known > valid_begin) ||
                            (part[r] == VALID && !learnable);
        refit_count += (part[r] == TRAIN || part[r] == VALID) && learnable;
        s->purged_count += purged;
        counts[purged ? OUT : part[r]]++;
    }
    TRY(counts_check(s, counts, err));
    TRY(rows_init(&s->train, counts[TRAIN], s, a, err));
    TRY(rows_init(&s->valid, counts[VALID], s, a, err));
    TRY(rows_init(&s->test, counts[TEST], s, a, err));
    TRY(rows_init(&s->refit, refit_count, s, a, err));
    for (size_t r = 0; r < f->row_count; r++) {
        const int64_t known = f->label_known_ms[r];
        if (part[r] == TRAIN && known <= valid_begin)
            row_add(&s->train, f, r, s);
        if (part[r] == VALID && known <= test_begin)
            row_add(&s->valid, f, r, s);
        if (part[r] == TEST)
            row_add(&s->test, f, r, s);
        if ((part[r] == TRAIN || part[r] == VALID) && known <= test_begin)
            row_add(&s->refit, f, r, s);
    }
    return SLW_OK;
}

enum slw_rc
train_set_make(const struct slw_frame *frame, const struct train_def *def,
               int64_t as_of_ms, struct slw_arena *a, struct train_set *out,
               struct slw_err *err)
{
    struct train_set set = {.entity_column = frame->entity_column};
    TRY(columns_choose(frame, def, a, &set, err));
    if (frame->row_count == 0)
        return slw_fail(err, SLW_INVALID,
                        "source '%.*s' has no rows in the time asked for",
                        SLW_FMT(def->target_of));
    if (frame->row_count > slw_arena_room(a) / 2)
        return slw_fail(err, SLW_LIMIT, "%zu rows do not fit in memory",
                        frame->row_count);
    uint8_t *part = SLW_ARENA_NEW(a, uint8_t, frame->row_count);
    TRY(parts_mark(frame, def, as_of_ms, part, &set, err));
    TRY(rows_fill(frame, part, a, &set, err));
    *out = set;
    return SLW_OK;
}
