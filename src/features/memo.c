/* memo.c -- frames kept between the jobs of one process, for a rehearsal that
 * asks for nearly the same frame on a thousand days.
 *
 * A frame is computed once, over all that the pinned data hold up to the end
 * of the rehearsal, and each question is answered with a cut of it: rows whose
 * decision time is not after as_of, and labels known by then.  That equals the
 * frame computed on the day itself as long as no view looks ahead; so the
 * guard against that, which elsewhere looks at three instants, looks here at
 * one a quarter.  A source with late rows (known_time) is seen no earlier
 * than it was known, at worst later: see README, "Point in time". */
#include "features/features_internal.h"

#include <math.h>

#include "base/hash.h"
#include "data/data.h"

struct memo_frame {
    struct memo_frame *next;
    char key[SLW_SHA256_HEX_SIZE];
    struct slw_frame frame;
};

struct slw_memo {
    struct slw_arena a; /* the frames */
    int64_t horizon_ms;
    struct memo_frame *frames;
};

struct slw_memo *
slw_memo_new(int64_t horizon_ms)
{
    struct slw_memo *m = slw_alloc(sizeof *m);
    slw_arena_init(&m->a, (size_t)8 << 30);
    m->horizon_ms = horizon_ms;
    return m;
}

void
slw_memo_free(struct slw_memo *m)
{
    if (!m)
        return;
    slw_arena_done(&m->a);
    slw_free(m);
}

/* ---- which frame ---- */

static void
add(struct slw_hasher *h, struct slw_str s)
{
    const uint64_t len = s.len;
    slw_hasher_add(h, &len, sizeof len);
    slw_hasher_add(h, s.ptr, s.len);
}

static enum slw_rc
pins_add(struct slw_hasher *h, struct slw_store *s, const struct json_t *pins,
         struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s, err));
    for (void *it = slw_json_iter(pins); it; it = slw_json_next(pins, it)) {
        struct slw_dataset d;
        const struct slw_str name = slw_json_iter_key(it);
        TRY(slw_data_get(&tx,
                         slw_arena_printf(&a, "%.*s@%lld", SLW_FMT(name),
                                          (long long)slw_json_i64_or(
                                              slw_json_iter_value(it), 0)),
                         &a, &d, err));
        add(h, name);
        add(h, d.hash);
    }
    return SLW_OK;
}

/* Everything that decides the frame but from, to and as_of. */
static enum slw_rc
key_of(struct slw_store *s, const struct slw_frame_spec *spec,
       char out[static SLW_SHA256_HEX_SIZE], struct slw_err *err)
{
    SLW_AUTO(slw_buf, views);
    slw_json_dump(&views, spec->views);
    TRY(slw_buf_check(&views, err));
    struct slw_hasher h = {0};
    slw_hasher_init(&h);
    const enum slw_rc rc = pins_add(&h, s, spec->pins, err);
    add(&h, slw_buf_view(&views));
    add(&h, spec->spine_source);
    add(&h, spec->target_sql);
    add(&h, spec->extra_sql);
    slw_hasher_add(&h, &spec->known_after_ms, sizeof spec->known_after_ms);
    const struct slw_sha256 sum = slw_hasher_end(&h);
    slw_hasher_done(&h);
    TRY(rc);
    (void)slw_sha256_hex(&sum, out);
    return SLW_OK;
}

static enum slw_rc
whole_get(struct slw_memo *m, struct slw_store *s,
          const struct slw_frame_spec *spec, const struct slw_frame **out,
          struct slw_err *err)
{
    char key[SLW_SHA256_HEX_SIZE];
    TRY(key_of(s, spec, key, err));
    for (const struct memo_frame *f = m->frames; f; f = f->next)
        if (strcmp(f->key, key) == 0) {
            *out = &f->frame;
            return SLW_OK;
        }
    struct slw_frame_spec whole = *spec;
    whole.memo = NULL;
    whole.as_of_ms = m->horizon_ms;
    whole.from_ms = FEATURES_EVENT_MIN_MS;
    whole.to_ms = m->horizon_ms;
    whole.guard_quarters = true;
    whole.may_be_empty = false;
    struct memo_frame *f = SLW_ARENA_NEW(&m->a, struct memo_frame, 1);
    TRY(slw_features_frame(s, &whole, &m->a, &f->frame, err));
    memcpy(f->key, key, sizeof key);
    f->next = m->frames;
    m->frames = f;
    *out = &f->frame;
    return SLW_OK;
}

/* ---- the cut ---- */

static size_t
first_from(const struct slw_frame *f, int64_t from_ms)
{
    size_t low = 0, high = f->row_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (f->event_ms[mid] < from_ms)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

enum slw_rc
features_memo_frame(struct slw_memo *m, struct slw_store *s,
                    const struct slw_frame_spec *spec, struct slw_arena *a,
                    struct slw_frame *out, struct slw_err *err)
{
    const struct slw_frame *w = NULL;
    if (spec->as_of_ms > m->horizon_ms)
        return slw_fail(err, SLW_INTERNAL,
                        "a frame is wanted from after the rehearsal's end");
    TRY(whole_get(m, s, spec, &w, err));
    const size_t from = first_from(w, spec->from_ms);
    const size_t most = first_from(w, spec->to_ms + 1) - from;
    struct slw_frame f = {.column_count = w->column_count,
                          .columns = w->columns,
                          .entity_column = w->entity_column};
    f.x = SLW_ARENA_NEW(a, double, most *f.column_count + 1);
    f.y = SLW_ARENA_NEW(a, double, most + 1);
    f.event_ms = SLW_ARENA_NEW(a, int64_t, most + 1);
    f.known_ms = SLW_ARENA_NEW(a, int64_t, most + 1);
    f.label_known_ms = SLW_ARENA_NEW(a, int64_t, most + 1);
    f.entity = SLW_ARENA_NEW(a, struct slw_str, most + 1);
    for (size_t i = from; i < from + most; i++) {
        if (w->known_ms[i] > spec->as_of_ms)
            continue;
        const bool labelled = w->label_known_ms[i] <= spec->as_of_ms;
        const size_t n = f.row_count++;
        memcpy(f.x + n * f.column_count, w->x + i * f.column_count,
               f.column_count * sizeof(double));
        f.y[n] = labelled ? w->y[i] : NAN;
        f.label_known_ms[n] = labelled ? w->label_known_ms[i] : INT64_MAX;
        f.event_ms[n] = w->event_ms[i];
        f.known_ms[n] = w->known_ms[i];
        f.entity[n] = w->entity[i];
    }
    if (f.row_count == 0 && !spec->may_be_empty)
        return slw_fail(err, SLW_INVALID,
                        "'%.*s' has no rows in the range that were known by"
                        " then",
                        SLW_FMT(spec->spine_source));
    features_frame_hash(&f);
    *out = f;
    return SLW_OK;
}
