/* frame.c -- the training frame: a spine of rows, features as they were known
 * at each row's own decision time, and labels with the instant from which
 * they are known.
 *
 * The decision time of a spine row is its known time.  The label of a row is
 * known once the last row that the target reads is known, plus known_after:
 * how far the target reads is taken from its SQL (lead(x, 5): five rows on;
 * no lead and no FOLLOWING: the row itself). */
#include "features/features_internal.h"

#include <ctype.h>
#include <math.h>

#include "base/hash.h"

#define LOOK_UNBOUNDED 1000000

/* ---- how many rows ahead a target reads ---- */

static bool
word_at(struct slw_str sql, size_t at, const char *word)
{
    const size_t len = strlen(word);
    if (at + len > sql.len ||
        !slw_str_same((struct slw_str){sql.ptr + at, len}, slw_str_of(word)))
        return false;
    const bool left = at == 0 || !(isalnum((unsigned char)sql.ptr[at - 1]) ||
                                   sql.ptr[at - 1] == '_');
    const bool right =
        at + len == sql.len || !(isalnum((unsigned char)sql.ptr[at + len]) ||
                                 sql.ptr[at + len] == '_');
    return left && right;
}

/* The second argument of the call whose '(' stands at `at`: a whole number,
 * 1 when there is none, LOOK_UNBOUNDED when it is an expression. */
static int64_t
lead_offset(struct slw_str sql, size_t at)
{
    int depth = 0;
    size_t from = 0;
    size_t to = 0;
    for (size_t i = at; i < sql.len; i++) {
        const char c = sql.ptr[i];
        depth += c == '(' || c == '[';
        depth -= c == ')' || c == ']';
        if (depth == 1 && c == ',') {
            if (from) {
                to = i;
                break;
            }
            from = i + 1;
        } else if (depth == 0) {
            to = i;
            break;
        }
    }
    if (from == 0 || to <= from)
        return 1;
    int64_t n = 0;
    struct slw_err ignored;
    const struct slw_str arg =
        slw_str_trim((struct slw_str){sql.ptr + from, to - from});
    if (slw_str_i64(arg, &n, &ignored) != SLW_OK)
        return LOOK_UNBOUNDED;
    return n > 0 ? n : 0;
}

/* The number before the word FOLLOWING at `at`. */
static int64_t
following_offset(struct slw_str sql, size_t at)
{
    size_t to = at;
    while (to > 0 && isspace((unsigned char)sql.ptr[to - 1]))
        to--;
    size_t from = to;
    while (from > 0 && isdigit((unsigned char)sql.ptr[from - 1]))
        from--;
    int64_t n = 0;
    struct slw_err ignored;
    if (slw_str_i64((struct slw_str){sql.ptr + from, to - from}, &n,
                    &ignored) != SLW_OK)
        return LOOK_UNBOUNDED;
    return n;
}

static int64_t
rows_ahead(struct slw_str sql)
{
    int64_t most = 0;
    for (size_t i = 0; i < sql.len; i++) {
        int64_t n = 0;
        if (word_at(sql, i, "lead")) {
            size_t at = i + 4;
            while (at < sql.len && isspace((unsigned char)sql.ptr[at]))
                at++;
            n = lead_offset(sql, at);
        } else if (word_at(sql, i, "following")) {
            n = following_offset(sql, i);
        } else if (word_at(sql, i, "last_value") ||
                   word_at(sql, i, "nth_value")) {
            n = LOOK_UNBOUNDED;
        }
        if (n > most)
            most = n;
    }
    return most;
}

/* ---- the spine ---- */

struct frame_job {
    struct features_world w;
    const struct slw_frame_spec *spec;
    const struct features_source *source; /* of the spine */
    struct features_table *tables;
    size_t table_count;
    struct slw_str *keys; /* [table_count] column of slw_out.spine */
    struct slw_str *extra;
    size_t extra_count;
};

static void
frame_job_done(struct frame_job *j)
{
    features_world_done(&j->w);
}

/* Views may be about something else than the spine's entity (a sector): they
 * join on the spine's column of that name. */
static enum slw_rc
keys_find(struct frame_job *j, struct slw_buf *columns, struct slw_err *err)
{
    struct slw_arena *a = j->w.a;
    j->keys = SLW_ARENA_NEW(a, struct slw_str, j->table_count + 1);
    for (size_t i = 0; i < j->table_count; i++) {
        struct slw_str column;
        TRY(features_column_of(&j->w, j->source->name, j->tables[i].def.entity,
                               &column, err));
        if (column.len == 0)
            return slw_fail(err, SLW_INVALID,
                            "view '%.*s' is about '%.*s', which is no column"
                            " of '%.*s'",
                            SLW_FMT(j->tables[i].def.name),
                            SLW_FMT(j->tables[i].def.entity),
                            SLW_FMT(j->source->name));
        j->keys[i] = slw_arena_printf(a, "slw_key%zu", i);
        slw_buf_printf(columns, ", CAST(%.*s AS VARCHAR) AS slw_key%zu",
                       SLW_FMT(slw_sql_name(a, column)), i);
    }
    return SLW_OK;
}

static enum slw_rc
extra_names(struct frame_job *j, size_t known_count, struct slw_err *err)
{
    struct slw_scan_result r;
    TRY(slw_scan_query(&j->w.sc, FEATURES_COLUMNS_MAX, j->w.a, &r,
                       SLW_STR("DESCRIBE SELECT * FROM slw_out.spine"), err));
    SLW_ASSERT(r.row_count >= known_count);
    j->extra_count = r.row_count - known_count;
    j->extra = r.cols[0].str + known_count;
    return SLW_OK;
}

static enum slw_rc
spine_make(struct frame_job *j, struct slw_err *err)
{
    struct slw_arena *a = j->w.a;
    const struct slw_frame_spec *spec = j->spec;
    const struct slw_str name = slw_sql_name(a, j->source->name);
    const struct slw_str event = slw_sql_name(a, j->source->event_time);
    const struct slw_str ms = features_ms_sql(a, j->source->event_time);
    const struct slw_str entity =
        j->source->entity.len
            ? slw_arena_printf(a, "CAST(%.*s AS VARCHAR)",
                               SLW_FMT(slw_sql_name(a, j->source->entity)))
            : SLW_STR("''");
    SLW_AUTO(slw_buf, keys);
    TRY(keys_find(j, &keys, err));
    struct slw_str y = SLW_STR("CAST(NULL AS DOUBLE)");
    struct slw_str known = SLW_STR("CAST(NULL AS BIGINT)");
    if (spec->target_sql.len) {
        y = slw_arena_printf(a, "CAST((%.*s\n) AS DOUBLE)",
                             SLW_FMT(spec->target_sql));
        const int64_t ahead = rows_ahead(spec->target_sql);
        if (ahead >= LOOK_UNBOUNDED)
            known = SLW_STR("max(known_time_ms) OVER (w ROWS BETWEEN UNBOUNDED"
                            " PRECEDING AND UNBOUNDED FOLLOWING)");
        else
            known = slw_arena_printf(a, "lead(known_time_ms, %lld) OVER w",
                                     (long long)ahead);
    }
    /* A window that is named is used at least once, so that DuckDB accepts
     * the clause; rows are counted over the whole source, then cut. */
    if (slw_scan_exec(
            &j->w.sc, err,
            "CREATE TABLE slw_out.spine AS SELECT row_number() OVER (ORDER BY"
            " slw_event, slw_entity, slw_nth) AS slw_row, * EXCLUDE (slw_nth)"
            " FROM (SELECT rowid AS slw_nth, %.*s AS slw_entity,"
            " %.*s AS slw_event, known_time_ms AS slw_t, %.*s AS slw_y,"
            " %.*s AS slw_known%.*s%s%.*s FROM slw_full.%.*s WINDOW w AS"
            " (PARTITION BY %.*s ORDER BY %.*s)) WHERE slw_event BETWEEN %lld"
            " AND %lld ORDER BY slw_row",
            SLW_FMT(entity), SLW_FMT(ms), SLW_FMT(y), SLW_FMT(known),
            SLW_FMT(slw_buf_view(&keys)), spec->extra_sql.len ? ", " : "",
            SLW_FMT(spec->extra_sql), SLW_FMT(name), SLW_FMT(entity),
            SLW_FMT(event), (long long)spec->from_ms,
            (long long)spec->to_ms) != SLW_OK)
        return slw_err_prefix(err,
                              "target over '%.*s': ", SLW_FMT(j->source->name));
    return extra_names(j, 6 + j->table_count, err);
}

/* ---- from columns to a matrix ---- */

static void
hash_str(struct slw_hasher *h, struct slw_str s)
{
    const uint64_t len = s.len;
    slw_hasher_add(h, &len, sizeof len);
    slw_hasher_add(h, s.ptr, s.len);
}

void
features_frame_hash(struct slw_frame *f)
{
    struct slw_hasher h = {0};
    slw_hasher_init(&h);
    for (size_t i = 0; i < f->column_count; i++)
        hash_str(&h, f->columns[i]);
    for (size_t i = 0; i < f->row_count; i++)
        hash_str(&h, f->entity[i]);
    slw_hasher_add(&h, f->event_ms, f->row_count * sizeof *f->event_ms);
    slw_hasher_add(&h, f->x, f->row_count * f->column_count * sizeof *f->x);
    slw_hasher_add(&h, f->y, f->row_count * sizeof *f->y);
    const struct slw_sha256 sum = slw_hasher_end(&h);
    slw_hasher_done(&h);
    (void)slw_sha256_hex(&sum, f->hash);
}

/* One NaN for all: the hash reads bits. */
static double
nan_plain(double v)
{
    return isnan(v) ? (double)NAN : v;
}

static void
labels_fill(const struct frame_job *j, const struct slw_scan_result *r,
            struct slw_frame *f)
{
    const struct slw_scan_col *y = slw_scan_col(r, "slw_y");
    const struct slw_scan_col *known = slw_scan_col(r, "slw_known");
    SLW_ASSERT(y);
    SLW_ASSERT(known);
    for (size_t i = 0; i < f->row_count; i++) {
        f->y[i] = NAN;
        f->label_known_ms[i] = INT64_MAX;
        if (known->is_null[i] || isnan(y->f64[i]))
            continue;
        const int64_t at = known->i64[i] + j->spec->known_after_ms;
        if (at > j->w.as_of_ms)
            continue;
        f->y[i] = y->f64[i];
        f->label_known_ms[i] = at;
    }
}

static enum slw_rc
frame_size_check(const struct frame_job *j, size_t rows, size_t columns,
                 struct slw_err *err)
{
    const size_t room = slw_arena_room(j->w.a) / 2;
    const size_t row_size = (columns + 4) * sizeof(double) + 32;
    if (rows > FEATURES_ROWS_MAX || rows > room / row_size)
        return slw_fail(err, SLW_LIMIT,
                        "a training frame of %zu rows and %zu columns does not"
                        " fit the memory of one job: take a shorter range",
                        rows, columns);
    return SLW_OK;
}

static enum slw_rc
frame_take(struct frame_job *j, const struct slw_scan_result *r,
           struct slw_frame *out, struct slw_err *err)
{
    struct slw_arena *a = j->w.a;
    struct slw_frame f = {.row_count = r->row_count};
    /* The result: entity, event, y, known, decision time, then the matrix'
     * columns. */
    const size_t skip = 5;
    f.column_count = r->col_count - skip;
    TRY(frame_size_check(j, f.row_count, f.column_count, err));
    f.columns = SLW_ARENA_NEW(a, struct slw_str, f.column_count + 1);
    f.x = SLW_ARENA_NEW(a, double, f.row_count *f.column_count + 1);
    f.y = SLW_ARENA_NEW(a, double, f.row_count + 1);
    f.event_ms = SLW_ARENA_NEW(a, int64_t, f.row_count + 1);
    f.known_ms = SLW_ARENA_NEW(a, int64_t, f.row_count + 1);
    f.label_known_ms = SLW_ARENA_NEW(a, int64_t, f.row_count + 1);
    f.entity = SLW_ARENA_NEW(a, struct slw_str, f.row_count + 1);
    f.entity_column = j->source->entity;
    for (size_t c = 0; c < f.column_count; c++) {
        const struct slw_scan_col *col = &r->cols[c + skip];
        f.columns[c] = slw_arena_str(a, col->name);
        SLW_ASSERT(col->type == SLW_COL_F64);
        for (size_t i = 0; i < f.row_count; i++)
            f.x[i * f.column_count + c] = nan_plain(col->f64[i]);
    }
    for (size_t i = 0; i < f.row_count; i++) {
        /* Consecutive rows often name the same few entities, but a map would
         * cost more than these bytes. */
        f.entity[i] = slw_arena_str(a, r->cols[0].str[i]);
        f.event_ms[i] = r->cols[1].i64[i];
        f.known_ms[i] = r->cols[4].i64[i];
    }
    labels_fill(j, r, &f);
    features_frame_hash(&f);
    *out = f;
    return SLW_OK;
}

static enum slw_rc
frame_query(struct frame_job *j, struct slw_frame *out, struct slw_err *err)
{
    struct slw_arena *a = j->w.a;
    struct slw_str from;
    TRY(features_join(&j->w, j->tables, j->keys, j->table_count, &from, err));
    SLW_AUTO(slw_buf, sql);
    slw_buf_z(&sql, "SELECT s.slw_entity, s.slw_event, s.slw_y,"
                    " s.slw_known, s.slw_t");
    features_columns_sql(&sql, j->tables, j->table_count, a);
    for (size_t i = 0; i < j->extra_count; i++) {
        const struct slw_str name = slw_sql_name(a, j->extra[i]);
        slw_buf_printf(&sql, ", CAST(s.%.*s AS DOUBLE) AS %.*s", SLW_FMT(name),
                       SLW_FMT(name));
    }
    slw_buf_printf(&sql, "%.*s ORDER BY s.slw_row", SLW_FMT(from));
    TRY(slw_buf_check(&sql, err));
    int64_t rows = 0;
    TRY(features_query_i64(&j->w, SLW_STR("SELECT count(*) FROM slw_out.spine"),
                           &rows, err));
    if (rows == 0 && !j->spec->may_be_empty)
        return slw_fail(err, SLW_INVALID,
                        "'%.*s' has no rows in the range that were known by"
                        " then",
                        SLW_FMT(j->source->name));
    SLW_AUTO(slw_arena, tmp);
    slw_arena_init(&tmp, (size_t)4 << 30);
    struct slw_scan_result r;
    TRY(slw_scan_query(&j->w.sc, FEATURES_ROWS_MAX, &tmp, &r,
                       slw_buf_view(&sql), err));
    SLW_ASSERT((int64_t)r.row_count == rows); /* rows in = rows out */
    return frame_take(j, &r, out, err);
}

/* ---- the whole ---- */

static enum slw_rc
defs_read(const struct slw_frame_spec *spec, struct slw_arena *a,
          struct features_def **out, size_t *out_count, struct slw_err *err)
{
    const size_t count = slw_json_len(spec->views);
    if (count > FEATURES_VIEWS_MAX)
        return slw_fail(err, SLW_LIMIT, "more than %d views",
                        FEATURES_VIEWS_MAX);
    *out = SLW_ARENA_NEW(a, struct features_def, count + 1);
    for (size_t i = 0; i < count; i++)
        TRY(features_def_read(SLW_STR(""), slw_json_at(spec->views, i), a,
                              &(*out)[i], err));
    *out_count = count;
    return SLW_OK;
}

enum slw_rc
slw_features_frame(struct slw_store *s, const struct slw_frame_spec *spec,
                   struct slw_arena *a, struct slw_frame *out,
                   struct slw_err *err)
{
    if (spec->memo)
        return features_memo_frame(spec->memo, s, spec, a, out, err);
    SLW_AUTO(frame_job, j);
    j.spec = spec;
    j.w.guard_quarters = spec->guard_quarters;
    struct features_def *defs = NULL;
    TRY(defs_read(spec, a, &defs, &j.table_count, err));
    struct slw_str *sqls = SLW_ARENA_NEW(a, struct slw_str, j.table_count + 1);
    for (size_t i = 0; i < j.table_count; i++)
        sqls[i] = defs[i].sql;
    sqls[j.table_count] = spec->spine_source;
    TRY(features_world_open(&j.w, s, spec->pins, sqls, j.table_count + 1,
                            spec->as_of_ms, a, err));
    j.source = features_source_find(&j.w, spec->spine_source);
    if (!j.source)
        return slw_fail(err, SLW_INVALID,
                        "'%.*s' is not among the pinned datasets",
                        SLW_FMT(spec->spine_source));
    TRY(features_world_lock(&j.w, NULL, err));
    j.tables = SLW_ARENA_NEW(a, struct features_table, j.table_count + 1);
    for (size_t i = 0; i < j.table_count; i++)
        TRY(features_table_build(&j.w, &defs[i], i, &j.tables[i], err));
    TRY(features_tables_check(j.tables, j.table_count, err));
    TRY(spine_make(&j, err));
    return frame_query(&j, out, err);
}
