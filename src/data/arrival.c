/* arrival.c -- a dataset's history by the day: how many rows were known when.
 *
 * A rehearsal has the whole file at the start.  It commits it anew each day as
 * a version that says of itself only what was known by then; the rows behind
 * it are cut by whoever reads them (features/world.c, features/memo.c), row by
 * row, at the rehearsal's clock. */
#include "data/data_internal.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"

#define ARRIVALS_MAX 100000
/* In a store that has it, a version may count fewer rows than its file. */
#define META_ARRIVALS "data.arrivals"

static enum slw_rc
attached(struct slw_scan *sc, struct slw_store *s, const struct slw_dataset *d,
         struct slw_arena *a, struct slw_err *err)
{
    SLW_AUTO(slw_json, pins);
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    slw_jw_keys(&w, d->name);
    slw_jw_i64(&w, d->version);
    slw_jw_obj_end(&w);
    TRY(slw_json_parse(&pins, slw_buf_view(&text), err));
    return slw_data_attach(sc, s, pins.root, a, err);
}

enum slw_rc
slw_data_arrivals(struct slw_store *s, const struct slw_dataset *d,
                  struct slw_arena *a, struct slw_arrival **out,
                  size_t *out_count, struct slw_err *err)
{
    struct data_def def;
    struct slw_scan_result r;
    SLW_AUTO(slw_scan, sc);
    TRY(data_def_parse(d->name, d->source_def, a, &def, err));
    TRY(slw_scan_open(&sc, 1, 0, slw_path(a, slw_store_dir(s), "tmp"), err));
    TRY(attached(&sc, s, d, a, err));
    const struct slw_str event = data_ms_sql(a, def.event_time);
    TRY(slw_scan_query(
        &sc, ARRIVALS_MAX, a, &r,
        slw_arena_printf(
            a,
            "SELECT day, CAST(sum(n) OVER o AS BIGINT), max(m) OVER o FROM"
            " (SELECT CAST(floor(known_time_ms / 86400000.0) AS BIGINT) AS"
            " day, count(*) AS n, max(%.*s) AS m FROM %.*s GROUP BY 1) WINDOW"
            " o AS (ORDER BY day) ORDER BY day",
            SLW_FMT(event), SLW_FMT(slw_sql_name(a, d->name))),
        err));
    struct slw_arrival *list =
        SLW_ARENA_NEW(a, struct slw_arrival, r.row_count + 1);
    for (size_t i = 0; i < r.row_count; i++)
        list[i] = (struct slw_arrival){
            .known_ms = (r.cols[0].i64[i] + 1) * SLW_DAY_MS - 1,
            .row_count = r.cols[1].i64[i],
            .event_max_ms = r.cols[2].i64[i]};
    *out = list;
    *out_count = r.row_count;
    return SLW_OK;
}

enum slw_rc
slw_data_arrive(struct slw_tx *tx, int64_t now_ms, const struct slw_dataset *d,
                const struct slw_arrival *arrival, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_dataset newest = {.version = 0}, made = *d;
    const enum slw_rc rc =
        slw_data_get_at(tx, d->name, INT64_MAX, &a, &newest, err);
    if (rc != SLW_NOT_FOUND)
        TRY(rc);
    made.version = newest.version + 1;
    made.parent = newest.version;
    made.row_count = arrival->row_count;
    made.event_max_ms = arrival->event_max_ms;
    made.known_at_ms = made.created_at_ms = now_ms;
    TRY(slw_meta_set(tx, META_ARRIVALS, SLW_STR("1"), err));
    TRY(data_dataset_insert(tx, &made, err));
    return data_announce(tx, now_ms, &made, err);
}

enum slw_rc
data_has_arrivals(struct slw_tx *tx, bool *out, struct slw_err *err)
{
    struct slw_str ignored;
    SLW_AUTO(slw_arena, a);
    const enum slw_rc rc = slw_meta_get(tx, META_ARRIVALS, &a, &ignored, err);
    *out = rc == SLW_OK;
    return rc == SLW_NOT_FOUND ? SLW_OK : rc;
}
