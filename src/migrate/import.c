/* import.c -- the whole import: batches, experiments, the report.
 *
 * Everything is decided by what is here already, so that there is no state to
 * keep but one: how far the points of a long run are (migrate_run). */
#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include "base/file.h"
#include "migrate/migrate_internal.h"

/* What MLflow keeps and Slipway does not. */
static const struct {
    const char *table, *what;
} STRANGERS[] = {
    {"trace_info", "traces"},
    {"assessments", "assessments of traces"},
    {"evaluation_datasets", "evaluation datasets"},
    {"scorers", "scorers"},
    {"issues", "issues"},
    {"label_schemas", "label schemas"},
    {"review_queues", "review queues"},
    {"webhooks", "webhooks (their secrets are encrypted there; make them "
                 "anew)"},
    {"secrets", "gateway secrets"},
    {"endpoints", "gateway endpoints"},
    {"mcp_servers", "MCP servers"},
};

/* ---- batches ---- */

/* Rows while there are rows, files after that. */
static void
show(struct migrate_import *im)
{
    char note[96];
    const double s = (double)(slw_mono_ns() - im->begin_ns) * 1e-9 + 1e-9;
    const int64_t files = im->counts[MIGRATE_FILES].there;
    if (!im->o->progress)
        return;
    if (files)
        (void)snprintf(note, sizeof note, "%s, %lld files, %.1f MB new",
                       im->phase, (long long)files,
                       (double)im->byte_count * 1e-6);
    else
        (void)snprintf(note, sizeof note, "%s, %lld of %lld rows (%.0f rows/s)",
                       im->phase, (long long)im->rows_done,
                       (long long)im->rows_total, (double)im->rows_done / s);
    im->o->progress(
        im->o->progress_ctx,
        im->share_from + im->share * (im->share_to - im->share_from), note);
}

enum slw_rc
migrate_tx(struct migrate_import *im, struct slw_err *err)
{
    if (im->tx.db)
        return SLW_OK;
    return im->o->dry_run ? slw_tx_read(&im->tx, im->store, err)
                          : slw_tx_begin(&im->tx, im->store, err);
}

enum slw_rc
migrate_commit(struct migrate_import *im, struct slw_err *err)
{
    /* Long enough for a server that waits to get its turn. */
    const struct timespec breath = {0, 2000000};
    im->batch_rows = 0;
    if (!im->tx.db)
        return SLW_OK;
    if (im->o->dry_run) {
        slw_tx_done(&im->tx);
        return SLW_OK;
    }
    const enum slw_rc rc = slw_tx_commit(&im->tx, err);
    slw_tx_done(&im->tx);
    TRY(rc);
    (void)nanosleep(&breath, NULL);
    show(im);
    return SLW_OK;
}

enum slw_rc
migrate_tick(struct migrate_import *im, size_t rows, struct slw_err *err)
{
    im->rows_done += (int64_t)rows;
    if (im->counts[MIGRATE_FILES].there == 0 && im->rows_total > 0)
        im->share = (double)im->rows_done / (double)im->rows_total;
    im->batch_rows += rows + 1;
    return im->batch_rows < MIGRATE_BATCH_ROWS ? SLW_OK
                                               : migrate_commit(im, err);
}

/* ---- the report ---- */

/* Begin a line; false: it is only counted. */
static bool
line_begin(struct migrate_lines *l, struct slw_jw *w)
{
    if (l->count++ >= MIGRATE_LINE_MAX)
        return false;
    if (l->json.len)
        slw_buf_char(&l->json, ',');
    slw_jw_init(w, &l->json);
    return true;
}

static struct slw_str
vformat(struct migrate_import *im, const char *fmt, va_list args)
{
    return slw_arena_vprintf(&im->item, fmt, args);
}

void
migrate_leave(struct migrate_import *im, enum migrate_kind kind,
              const char *why, const char *what, ...)
{
    va_list args;
    struct slw_jw w;
    im->counts[kind].left_out++;
    if (!line_begin(&im->left_out, &w))
        return;
    va_start(args, what);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "what", vformat(im, what, args));
    slw_jw_kz(&w, "why", why);
    slw_jw_obj_end(&w);
    va_end(args);
}

void
migrate_note(struct migrate_import *im, struct migrate_lines *lines,
             const char *fmt, ...)
{
    va_list args;
    struct slw_jw w;
    if (!line_begin(lines, &w))
        return;
    va_start(args, fmt);
    slw_jw_str(&w, vformat(im, fmt, args));
    va_end(args);
}

static const char *const KIND_NAMES[] = {
#define X(name, text, table, where) text,
    MIGRATE_KINDS(X)
#undef X
};

static void
counts_write(struct migrate_import *im, struct slw_jw *w)
{
    slw_jw_key(w, "kinds");
    slw_jw_obj(w);
    for (size_t i = 0; i < MIGRATE_KIND_COUNT; i++) {
        struct migrate_count *c = &im->counts[i];
        const int64_t already = c->there - c->brought - c->left_out;
        slw_jw_key(w, KIND_NAMES[i]);
        slw_jw_obj(w);
        slw_jw_ki64(w, "there", c->there);
        slw_jw_ki64(w, "brought", c->brought);
        slw_jw_ki64(w, "already", already > 0 ? already : 0);
        slw_jw_ki64(w, "left_out", c->left_out);
        slw_jw_obj_end(w);
    }
    slw_jw_obj_end(w);
}

static void
lines_write(struct slw_jw *w, const char *key, const struct migrate_lines *l)
{
    char count_key[32];
    (void)snprintf(count_key, sizeof count_key, "%s_count", key);
    slw_jw_key(w, key);
    slw_jw_arr(w);
    if (l->json.len)
        slw_jw_raw(w, slw_buf_view(&l->json));
    slw_jw_arr_end(w);
    slw_jw_ki64(w, count_key, l->count);
}

static void
report_write(struct migrate_import *im, struct slw_buf *report)
{
    struct slw_jw w;
    slw_jw_init(&w, report);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "source", im->path);
    slw_jw_kstr(&w, "revision", im->revision);
    slw_jw_kz(&w, "artifacts", im->root);
    slw_jw_kbool(&w, "dry_run", im->o->dry_run);
    slw_jw_kbool(&w, "complete", im->left_out.count == 0);
    slw_jw_kf64(&w, "seconds",
                (double)((slw_mono_ns() - im->begin_ns) / 1000000) * 1e-3);
    counts_write(im, &w);
    slw_jw_ki64(&w, "artifact_bytes", im->byte_count);
    slw_jw_ki64(&w, "artifact_folders", im->folder_count);
    slw_jw_ki64(&w, "without_artifact_folder", im->folderless_count);
    slw_jw_ki64(&w, "texts_not_utf8", im->bad_text_count);
    lines_write(&w, "mapped", &im->mapped);
    lines_write(&w, "left_out", &im->left_out);
    lines_write(&w, "elsewhere", &im->elsewhere);
    slw_jw_obj_end(&w);
}

/* ---- experiments ---- */

static int
by_from(const void *a, const void *b)
{
    const int64_t x = ((const struct migrate_experiment *)a)->from;
    const int64_t y = ((const struct migrate_experiment *)b)->from;
    return (x > y) - (x < y);
}

int64_t
migrate_experiment_of(const struct migrate_import *im, int64_t from)
{
    const struct migrate_experiment key = {.from = from};
    const struct migrate_experiment *found =
        im->experiment_count
            ? bsearch(&key, im->experiments, im->experiment_count, sizeof key,
                      by_from)
            : NULL;
    return found ? found->to : -1;
}

/* Where it goes: *out_found is one of the same name; else its own number, or
 * -1 where that is taken. */
static enum slw_rc
place_find(struct migrate_import *im, const struct slw_experiment *e,
           int64_t *out_id, bool *out_found, struct slw_err *err)
{
    struct slw_experiment here;
    enum slw_rc rc =
        slw_track_experiment_by_name(&im->tx, e->name, &im->item, &here, err);
    *out_found = rc == SLW_OK;
    if (rc == SLW_OK) {
        *out_id = here.id;
        return SLW_OK;
    }
    if (rc != SLW_NOT_FOUND)
        return rc;
    rc = slw_track_experiment_get(&im->tx, e->id, &im->item, &here, err);
    if (rc != SLW_OK && rc != SLW_NOT_FOUND)
        return rc;
    *out_id = rc == SLW_OK ? -1 : e->id;
    return SLW_OK;
}

static enum slw_rc
experiment_bring(struct migrate_import *im, struct slw_stmt *tags_of,
                 struct slw_experiment *e, int64_t *out_to, struct slw_err *err)
{
    struct slw_kv *tags = NULL;
    size_t tag_count = 0;
    struct slw_str path;
    char key[32];
    bool found = false;
    const int64_t from = e->id;
    TRY(migrate_tx(im, err));
    TRY(place_find(im, e, &e->id, &found, err));
    (void)snprintf(key, sizeof key, "%lld", (long long)from);
    TRY(migrate_pairs(im, tags_of, slw_str_of(key), &tags, &tag_count, err));
    if (migrate_place_of(e->artifact_location, &im->item, &path) !=
        MIGRATE_ELSEWHERE)
        e->artifact_location = SLW_STR("");
    *out_to = e->id < 0 ? INT64_MAX : e->id; /* dry: some number */
    if (!im->o->dry_run)
        TRY(slw_track_experiment_bring(&im->tx, e, tags, tag_count, out_to,
                                       err));
    im->counts[MIGRATE_EXPERIMENTS].brought += !found;
    if (*out_to != from) {
        struct slw_jw w;
        if (line_begin(&im->mapped, &w)) {
            slw_jw_obj(&w);
            slw_jw_kstr(&w, "experiment", e->name);
            slw_jw_ki64(&w, "from", from);
            slw_jw_key(&w, "to");
            if (*out_to == INT64_MAX)
                slw_jw_null(&w);
            else
                slw_jw_i64(&w, *out_to);
            slw_jw_obj_end(&w);
        }
    }
    return migrate_tick(im, 1, err);
}

enum slw_rc
migrate_experiments(struct migrate_import *im, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    SLW_AUTO(slw_stmt, tags_of);
    size_t cap = 0;
    TRY(migrate_query(
        im, &st, "experiments",
        "SELECT experiment_id, name, artifact_location, lifecycle_stage,"
        " {experiments.creation_time:0}, {experiments.last_update_time:0},"
        " {experiments.workspace:'default'} FROM experiments"
        " ORDER BY experiment_id",
        err));
    TRY(migrate_query(im, &tags_of, "experiment_tags",
                      "SELECT key, value FROM experiment_tags"
                      " WHERE experiment_id = CAST(?1 AS INTEGER)",
                      err));
    for (;;) {
        bool row = false;
        int64_t to = -1;
        TRY(migrate_step(&st, &row, err));
        if (!row)
            break;
        slw_arena_reset(&im->item);
        struct slw_experiment e = {
            .id = slw_col_i64(&st, 0),
            .name = migrate_text(im, &st, 1),
            .artifact_location = migrate_text(im, &st, 2),
            .deleted = slw_str_eqz(slw_col_str(&st, 3), "deleted"),
            .created_at_ms = slw_col_i64(&st, 4),
            .updated_at_ms = slw_col_i64(&st, 5)};
        const int64_t from = e.id;
        if (!slw_str_eqz(slw_col_str(&st, 6), "default"))
            migrate_leave(im, MIGRATE_EXPERIMENTS,
                          "it is of another workspace than 'default'; its "
                          "runs and models stay there with it",
                          "experiment '%.*s'", SLW_FMT(e.name));
        else
            TRY(experiment_bring(im, &tags_of, &e, &to, err));
        im->experiments =
            slw_arena_grow(&im->keep, im->experiments, sizeof *im->experiments,
                           im->experiment_count, &cap);
        im->experiments[im->experiment_count++] =
            (struct migrate_experiment){from, to};
    }
    return migrate_commit(im, err);
}

/* ---- all of it ---- */

static enum slw_rc
count_of(struct migrate_import *im, const char *table, const char *where,
         int64_t *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    const struct slw_str sql = slw_arena_printf(
        &im->keep, "SELECT count(*) FROM \"%s\" WHERE %s", table, where);
    TRY(migrate_query(im, &st, table, sql.ptr, err));
    TRY(migrate_step(&st, &row, err));
    *out = row ? slw_col_i64(&st, 0) : 0;
    return SLW_OK;
}

static enum slw_rc
totals_read(struct migrate_import *im, struct slw_err *err)
{
    static const struct {
        const char *table, *where;
    } kinds[] = {
#define X(name, text, table, where) {table, where},
        MIGRATE_KINDS(X)
#undef X
    };
    for (size_t i = 0; i < SLW_ARRAY_LEN(kinds); i++) {
        if (*kinds[i].table == '\0')
            continue;
        TRY(count_of(im, kinds[i].table, kinds[i].where, &im->counts[i].there,
                     err));
        im->rows_total += im->counts[i].there;
    }
    for (size_t i = 0; i < SLW_ARRAY_LEN(STRANGERS); i++) {
        int64_t count = 0;
        TRY(count_of(im, STRANGERS[i].table, "1", &count, err));
        struct slw_jw w;
        if (count == 0 || !line_begin(&im->left_out, &w))
            continue;
        slw_jw_obj(&w);
        slw_jw_kstr(&w, "what",
                    slw_arena_printf(&im->keep, "%lld %s", (long long)count,
                                     STRANGERS[i].what));
        slw_jw_kz(&w, "why", "Slipway does not take these over");
        slw_jw_obj_end(&w);
    }
    return SLW_OK;
}

static enum slw_rc
root_resolve(struct migrate_import *im, struct slw_err *err)
{
    char real[PATH_MAX];
    if (!im->o->artifacts)
        return SLW_OK;
    if (!realpath(im->o->artifacts, real) || !slw_file_exists(real))
        return slw_fail(err, SLW_NOT_FOUND,
                        "there is no folder %s for --artifacts",
                        im->o->artifacts);
    im->root = slw_arena_strz(&im->keep, slw_str_of(real));
    return SLW_OK;
}

static enum slw_rc
phases_run(struct migrate_import *im, struct slw_err *err)
{
    static const struct {
        const char *name;
        double from, to;
        enum slw_rc (*fn)(struct migrate_import *im, struct slw_err *err);
    } phases[] = {
        {"experiments", 0, 0, migrate_experiments},
        {"runs", 0, 0.7, migrate_runs},
        {"logged models", 0.7, 0.7, migrate_logged},
        {"artifacts", 0.7, 1, migrate_files},
        {"registered models", 1, 1, migrate_registry},
    };
    TRY(root_resolve(im, err));
    TRY(migrate_source_open(im, err));
    TRY(totals_read(im, err));
    for (size_t i = 0; i < SLW_ARRAY_LEN(phases); i++) {
        im->phase = phases[i].name;
        im->share_from = phases[i].from;
        im->share_to = phases[i].to;
        im->share = 0;
        TRY(phases[i].fn(im, err));
        TRY(migrate_commit(im, err));
    }
    return SLW_OK;
}

static void
import_done(struct migrate_import *im)
{
    slw_tx_done(&im->tx);
    slw_foreign_done(&im->src);
    slw_buf_done(&im->mapped.json);
    slw_buf_done(&im->left_out.json);
    slw_buf_done(&im->elsewhere.json);
    slw_arena_done(&im->keep);
    slw_arena_done(&im->item);
    slw_arena_done(&im->batch);
}

enum slw_rc
slw_import_mlflow(struct slw_store *s, const struct slw_import_options *o,
                  struct slw_buf *report, struct slw_err *err)
{
    struct migrate_import im = {
        .store = s, .o = o, .phase = "", .begin_ns = slw_mono_ns()};
    im.files = SLW_ARENA_NEW(&im.keep, struct migrate_file, MIGRATE_FILE_COUNT);
    const enum slw_rc rc = phases_run(&im, err);
    if (rc == SLW_OK)
        report_write(&im, report);
    import_done(&im);
    return rc;
}
