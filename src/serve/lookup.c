/* lookup.c -- features by entity: the newest rows of a release's views, put
 * in the order of its signature.
 *
 * Each view is read once even when champion, canary and shadow share it. */
#include "serve/serve_internal.h"

#include "features/features.h"

#include <math.h>

/* What was read of one view. */
struct looked {
    struct slw_str view;
    int64_t ttl_ms;
    bool known; /* the view exists */
    struct slw_online_row row;
};

static enum slw_rc
view_read(struct slw_tx *tx, const struct serve_view *view, struct slw_str key,
          int64_t now_ms, struct slw_arena *a, struct looked *out,
          struct slw_err *err)
{
    *out = (struct looked){.view = view->name, .ttl_ms = view->ttl_ms};
    enum slw_rc rc =
        slw_features_online_get(tx, view->name, key, now_ms, a, &out->row, err);
    out->known = rc == SLW_OK;
    if (rc == SLW_NOT_FOUND)
        out->row = (struct slw_online_row){0};
    return rc == SLW_NOT_FOUND ? SLW_OK : rc;
}

static enum slw_rc
views_read(struct slw_serve *s, struct slw_str key, struct slw_arena *a,
           const struct serve_lookup *lookups, size_t count,
           struct looked *read, size_t *out_count, struct slw_err *err)
{
    const int64_t now_ms = slw_clock_now_ms(s->clock);
    size_t n = 0;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s->store, err));
    for (size_t i = 0; i < count; i++)
        for (size_t v = 0; v < lookups[i].release->view_count; v++) {
            const struct serve_view *view = &lookups[i].release->views[v];
            size_t at = 0;
            while (at < n && !slw_str_eq(read[at].view, view->name))
                at++;
            if (at == n)
                TRY(view_read(&tx, view, key, now_ms, a, &read[n++], err));
        }
    *out_count = n;
    return SLW_OK;
}

static void
age_text(int64_t ms, char out[static 32])
{
    const double h = (double)ms / 3600000.0;
    if (h >= 48)
        (void)snprintf(out, 32, "%.1f days", h / 24);
    else if (h >= 1)
        (void)snprintf(out, 32, "%.1f hours", h);
    else
        (void)snprintf(out, 32, "%.1f minutes", h * 60);
}

/* The sentence for a view that has nothing to give. */
static void
say_missing(struct serve_lookup *l, const struct looked *v, struct slw_str key,
            int64_t now_ms)
{
    const struct serve_release *r = l->release;
    l->missing = true;
    if (!v->known) {
        slw_fail(&l->why, SLW_NOT_FOUND,
                 "the features are looked up in the view '%.*s', which does "
                 "not exist",
                 SLW_FMT(v->view));
    } else if (v->row.event_ms == 0) {
        slw_fail(&l->why, SLW_NOT_FOUND,
                 "the view '%.*s' has no features of %.*s '%.*s'",
                 SLW_FMT(v->view), SLW_FMT(r->entity), SLW_FMT(key));
    } else {
        char age[32], ttl[32];
        age_text(now_ms - v->row.event_ms, age);
        age_text(v->ttl_ms, ttl);
        slw_fail(&l->why, SLW_NOT_FOUND,
                 "the features of %.*s '%.*s' in the view '%.*s' are %s old; "
                 "their ttl is %s",
                 SLW_FMT(r->entity), SLW_FMT(key), SLW_FMT(v->view), age, ttl);
    }
}

/* Copy the columns the signature names.  They mostly come in its order, so
 * the search starts where the last one was found. */
static void
row_pick(const struct slw_signature *sig, const struct slw_online_row *row,
         double *x, bool *seen)
{
    size_t next = 0;
    for (size_t c = 0; c < row->column_count; c++)
        for (size_t k = 0; k < sig->column_count; k++) {
            const size_t i = (next + k) % sig->column_count;
            if (!slw_str_eq(sig->columns[i], row->columns[c]))
                continue;
            x[i] = row->values[c];
            seen[i] = true;
            next = i + 1;
            break;
        }
}

static void
release_pick(struct serve_lookup *l, const struct looked *read, size_t count,
             struct slw_str key, int64_t now_ms, struct slw_arena *a,
             int64_t *event_ms)
{
    const struct serve_release *r = l->release;
    const size_t column_count = r->signature.column_count;
    bool *seen = SLW_ARENA_NEW(a, bool, column_count);
    l->x = SLW_ARENA_NEW(a, double, column_count);
    for (size_t i = 0; i < column_count; i++)
        l->x[i] = NAN;
    for (size_t v = 0; v < r->view_count; v++) {
        size_t at = 0;
        while (at < count && !slw_str_eq(read[at].view, r->views[v].name))
            at++;
        SLW_ASSERT(at < count);
        if (!read[at].row.found) {
            if (!l->missing)
                say_missing(l, &read[at], key, now_ms);
            continue;
        }
        if (read[at].row.event_ms > *event_ms)
            *event_ms = read[at].row.event_ms;
        row_pick(&r->signature, &read[at].row, l->x, seen);
    }
    for (size_t i = 0; i < column_count && !l->missing; i++)
        if (!seen[i]) {
            l->missing = true;
            slw_fail(&l->why, SLW_NOT_FOUND,
                     "no view of the release has the column '%.*s' now; send "
                     "the columns with the request",
                     SLW_FMT(r->signature.columns[i]));
        }
}

enum slw_rc
serve_lookup_run(struct slw_serve *s, struct slw_str key, struct slw_arena *a,
                 struct serve_lookup *lookups, size_t count,
                 int64_t *out_event_ms, struct slw_err *err)
{
    size_t view_max = 0, read_count = 0;
    for (size_t i = 0; i < count; i++)
        view_max += lookups[i].release->view_count;
    struct looked *read = SLW_ARENA_NEW(a, struct looked, view_max);
    TRY(views_read(s, key, a, lookups, count, read, &read_count, err));
    const int64_t now_ms = slw_clock_now_ms(s->clock);
    int64_t event_ms = 0;
    for (size_t i = 0; i < count; i++)
        release_pick(&lookups[i], read, read_count, key, now_ms, a, &event_ms);
    *out_event_ms = event_ms;
    return SLW_OK;
}
