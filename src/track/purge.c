/* purge.c -- what was deleted long enough ago is removed for good.
 *
 * Candidates are read in pages from a snapshot and removed in transactions of
 * some hundred.  Each looks again at its rows and at who needs them, so that
 * a run that was restored, or registered, a moment ago stays.  A run goes with
 * all its rows in one transaction: killed at any instant, it is there or it is
 * not.  Files that do not lie in the store are noted in that transaction
 * (track_garbage) and removed after it. */
#include "store/gc.h"
#include "track/track_internal.h"

#define PAGE 200

/* Deleted runs, or all of one experiment; where the time was not noted (rows
 * of older versions, imports) the last one that is known of the run. */
#define DELETED_EXPERIMENTS                                                    \
    "SELECT id FROM track_experiment WHERE deleted = 1 AND id <> 0"            \
    " AND updated_at_ms <= ?2"
#define RUN_COLUMNS                                                            \
    "SELECT r.number, r.id, r.name, r.artifact_uri, r.experiment_id,"          \
    " coalesce(d.at_ms, max(r.start_ms, r.end_ms)), r.deleted"                 \
    " FROM track_run r LEFT JOIN track_run_deletion d ON d.run = r.number"
static const char SQL_RUNS[] =
    RUN_COLUMNS " WHERE r.number > ?1 AND r.deleted = 1"
                " AND coalesce(d.at_ms, max(r.start_ms, r.end_ms)) <= ?2"
                " AND r.experiment_id NOT IN (" DELETED_EXPERIMENTS ")"
                " ORDER BY r.number LIMIT ?3";
static const char SQL_RUNS_OF[] =
    RUN_COLUMNS " WHERE r.number > ?1 AND r.experiment_id = ?2"
                " ORDER BY r.number LIMIT ?3";
static const char SQL_RUN[] = RUN_COLUMNS " WHERE r.id = ?1";
static const char SQL_RUN_AGAIN[] =
    "SELECT 1 FROM track_run WHERE number = ?1 AND id = ?2 AND deleted = 1";

#define MODEL_COLUMNS                                                          \
    "SELECT id, name, artifact_uri, experiment_id, updated_at_ms, deleted,"    \
    " source_run_id FROM track_model"
static const char SQL_MODELS[] =
    MODEL_COLUMNS " WHERE id > ?1 AND deleted = 1 AND updated_at_ms <= ?2"
                  " AND experiment_id NOT IN (" DELETED_EXPERIMENTS ")"
                  " ORDER BY id LIMIT ?3";
static const char SQL_MODELS_OF[] =
    MODEL_COLUMNS " WHERE id > ?1 AND experiment_id = ?2 ORDER BY id LIMIT ?3";
static const char SQL_MODEL[] = MODEL_COLUMNS " WHERE id = ?1";
static const char SQL_MODEL_AGAIN[] =
    "SELECT 1 FROM track_model WHERE id = ?1 AND (deleted = 1 OR"
    " experiment_id IN (SELECT id FROM track_experiment WHERE deleted = 1))";

static const char SQL_EXPERIMENTS[] =
    "SELECT id, name, updated_at_ms, deleted FROM track_experiment"
    " WHERE id > ?1 AND id <> 0 AND deleted = 1 AND updated_at_ms <= ?2"
    " ORDER BY id LIMIT ?3";
static const char SQL_EXPERIMENT[] =
    "SELECT id, name, updated_at_ms, deleted FROM track_experiment"
    " WHERE id = ?1";
static const char SQL_EXPERIMENT_USED[] =
    "SELECT 1 FROM track_run WHERE experiment_id = ?1 UNION ALL"
    " SELECT 1 FROM track_model WHERE experiment_id = ?1 UNION ALL"
    " SELECT 1 FROM track_experiment WHERE id = ?1 AND deleted = 0 LIMIT 1";
static const char SQL_RUN_RESTORED[] =
    "SELECT id FROM track_run WHERE experiment_id = ?1 AND deleted = 0 LIMIT 1";

static const char SQL_FILES[] =
    "SELECT count(*), coalesce(sum(size), 0) FROM track_artifact"
    " WHERE path >= ?1 AND path < ?2";
static const char SQL_FILES_REMOVE[] =
    "DELETE FROM track_artifact WHERE path >= ?1 AND path < ?2";
static const char SQL_GARBAGE_PUT[] =
    "INSERT INTO track_garbage(uri) VALUES(?1) ON CONFLICT(uri) DO NOTHING";
static const char SQL_GARBAGE_NEXT[] =
    "SELECT uri FROM track_garbage WHERE uri > ?1 ORDER BY uri LIMIT 1";
static const char SQL_GARBAGE_GONE[] =
    "DELETE FROM track_garbage WHERE uri = ?1";
static const char SQL_PATHS[] = "SELECT path, blob FROM track_artifact"
                                " ORDER BY path";

/* Rows of one run, by its number. */
static const char SQL_POINTS_REMOVE[] =
    "DELETE FROM track_point WHERE id >= ?1 * 16777216"
    " AND id < (?1 + 1) * 16777216";
static const char SQL_SERIES_REMOVE[] =
    "DELETE FROM track_series WHERE run = ?1";
static const char SQL_UNSETTLED_REMOVE[] =
    "DELETE FROM track_unsettled WHERE run = ?1";
static const char SQL_METRICS_REMOVE[] =
    "DELETE FROM track_metric WHERE run = ?1";
static const char SQL_PARAMS_REMOVE[] =
    "DELETE FROM track_param WHERE run = ?1";
static const char SQL_TAGS_REMOVE[] = "DELETE FROM track_tag WHERE run = ?1";
static const char SQL_INPUT_TAGS_REMOVE[] =
    "DELETE FROM track_input_tag WHERE run = ?1";
static const char SQL_INPUTS_REMOVE[] =
    "DELETE FROM track_input WHERE run = ?1";
static const char SQL_LINKS_REMOVE[] =
    "DELETE FROM track_model_link WHERE run = ?1";
static const char SQL_TIME_REMOVE[] =
    "DELETE FROM track_run_deletion WHERE run = ?1";
static const char SQL_RUN_REMOVE[] = "DELETE FROM track_run WHERE number = ?1";
static const char *const SQL_OF_RUN[] = {
    SQL_POINTS_REMOVE,     SQL_SERIES_REMOVE, SQL_UNSETTLED_REMOVE,
    SQL_METRICS_REMOVE,    SQL_PARAMS_REMOVE, SQL_TAGS_REMOVE,
    SQL_INPUT_TAGS_REMOVE, SQL_INPUTS_REMOVE, SQL_LINKS_REMOVE,
    SQL_TIME_REMOVE,       SQL_RUN_REMOVE,
};
/* Rows of one logged model, by its id. */
static const char SQL_MODEL_PARAMS_REMOVE[] =
    "DELETE FROM track_model_param WHERE model_id = ?1";
static const char SQL_MODEL_TAGS_REMOVE[] =
    "DELETE FROM track_model_tag WHERE model_id = ?1";
static const char SQL_MODEL_METRICS_REMOVE[] =
    "DELETE FROM track_model_metric WHERE model_id = ?1";
static const char SQL_MODEL_LINKS_REMOVE[] =
    "DELETE FROM track_model_link WHERE model_id = ?1";
static const char SQL_MODEL_REMOVE[] = "DELETE FROM track_model WHERE id = ?1";
static const char *const SQL_OF_MODEL[] = {
    SQL_MODEL_PARAMS_REMOVE, SQL_MODEL_TAGS_REMOVE, SQL_MODEL_METRICS_REMOVE,
    SQL_MODEL_LINKS_REMOVE, SQL_MODEL_REMOVE};
/* Rows of one experiment, by its number. */
static const char SQL_DATASETS_REMOVE[] =
    "DELETE FROM track_dataset WHERE experiment_id = ?1"
    " AND id NOT IN (SELECT dataset_id FROM track_input)";
static const char SQL_EXPERIMENT_TAGS_REMOVE[] =
    "DELETE FROM track_experiment_tag WHERE experiment_id = ?1";
static const char SQL_EXPERIMENT_REMOVE[] =
    "DELETE FROM track_experiment WHERE id = ?1";
static const char *const SQL_OF_EXPERIMENT[] = {
    SQL_DATASETS_REMOVE, SQL_EXPERIMENT_TAGS_REMOVE, SQL_EXPERIMENT_REMOVE};
static const char SQL_RETIRE[] =
    "INSERT INTO track_retired(id, at_ms) VALUES(?1, ?2)"
    " ON CONFLICT(id) DO NOTHING";
static const char SQL_DATASETS_UNUSED[] =
    "DELETE FROM track_dataset WHERE id NOT IN"
    " (SELECT dataset_id FROM track_input)";

/* One candidate. */
struct thing {
    struct slw_purge_item item;
    int64_t number; /* of a run, of an experiment */
    struct slw_str uri;
    struct slw_str run; /* of a logged model: that made it; may be empty */
    bool deleted;
};
struct page {
    struct thing things[PAGE];
    size_t count;
};
struct purge {
    struct slw_store *store;
    const struct slw_purge_options *opt;
    struct slw_purge *out;
    struct slw_arena arena; /* of one page */
    int64_t done_count;
};

void
slw_purge_done(struct slw_purge *p)
{
    slw_arena_done(&p->arena);
}

const char *
slw_purge_kind_name(enum slw_purge_kind k)
{
    static const char *const names[] = {"experiment", "run", "logged model"};
    SLW_ASSERT((size_t)k < SLW_ARRAY_LEN(names));
    return names[k];
}

/* ---- the report ---- */

static void
tell(struct purge *p, const struct slw_purge_item *item)
{
    struct slw_purge *out = p->out;
    struct slw_arena *a = &out->arena;
    if (item->kept.len) {
        out->kept_count++;
    } else {
        out->experiment_count += item->kind == SLW_PURGE_EXPERIMENT;
        out->run_count += item->kind == SLW_PURGE_RUN;
        out->model_count += item->kind == SLW_PURGE_MODEL;
        out->file_count += item->file_count;
        out->size += item->size;
    }
    if (out->item_count == SLW_PURGE_ITEM_MAX)
        return;
    out->items = slw_arena_grow(a, out->items, sizeof *out->items,
                                out->item_count, &out->item_cap);
    struct slw_purge_item *copy = &out->items[out->item_count++];
    *copy = *item;
    copy->id = slw_arena_str(a, item->id);
    copy->name = slw_arena_str(a, item->name);
    copy->kept = slw_arena_str(a, item->kept);
}

static void
root_note(struct purge *p, struct slw_str root)
{
    struct slw_purge *out = p->out;
    out->roots = slw_arena_grow(&out->arena, out->roots, sizeof *out->roots,
                                out->root_count, &out->root_cap);
    /* With the slash, so that order is that of the paths below. */
    out->roots[out->root_count++] =
        slw_arena_printf(&out->arena, "%.*s/", SLW_FMT(root));
}

/* ---- reading candidates ---- */

static struct thing
run_read(struct slw_stmt *st, struct slw_arena *a)
{
    return (struct thing){
        .item = {.kind = SLW_PURGE_RUN,
                 .id = slw_col_dup(st, 1, a),
                 .name = slw_col_dup(st, 2, a),
                 .experiment_id = slw_col_i64(st, 4),
                 .deleted_at_ms = slw_col_i64(st, 5)},
        .number = slw_col_i64(st, 0),
        .uri = slw_col_dup(st, 3, a),
        .deleted = slw_col_i64(st, 6) != 0,
    };
}

static struct thing
model_read(struct slw_stmt *st, struct slw_arena *a)
{
    return (struct thing){
        .item = {.kind = SLW_PURGE_MODEL,
                 .id = slw_col_dup(st, 0, a),
                 .name = slw_col_dup(st, 1, a),
                 .experiment_id = slw_col_i64(st, 3),
                 .deleted_at_ms = slw_col_i64(st, 4)},
        .uri = slw_col_dup(st, 2, a),
        .run = slw_col_dup(st, 6, a),
        .deleted = slw_col_i64(st, 5) != 0,
    };
}

static struct thing
experiment_read(struct slw_stmt *st, struct slw_arena *a)
{
    const int64_t id = slw_col_i64(st, 0);
    return (struct thing){
        .item = {.kind = SLW_PURGE_EXPERIMENT,
                 .id = slw_arena_printf(a, "%lld", (long long)id),
                 .name = slw_col_dup(st, 1, a),
                 .experiment_id = id,
                 .deleted_at_ms = slw_col_i64(st, 2)},
        .number = id,
        .deleted = slw_col_i64(st, 3) != 0,
    };
}

typedef struct thing (*read_fn)(struct slw_stmt *st, struct slw_arena *a);

static enum slw_rc
page_fill(struct purge *p, struct slw_stmt *st, read_fn read, struct page *out,
          struct slw_err *err)
{
    out->count = 0;
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(st, &row, err));
        if (!row)
            return SLW_OK;
        SLW_ASSERT(out->count < PAGE);
        out->things[out->count++] = read(st, &p->arena);
    }
}

/* ---- removing ---- */

/* "<root>/" and "<root>0" of what lies in our tree; false: elsewhere, or so
 * that it is not its own alone. */
static bool
files_of(const struct thing *t, struct slw_arena *a, struct slw_str *out_root,
         struct slw_str *from, struct slw_str *to)
{
    struct slw_err ignored;
    struct slw_str part, rest, root = {0};
    if (t->uri.len == 0 ||
        slw_track_artifact_root(t->uri, &root, &ignored) != SLW_OK)
        return false;
    for (rest = root; rest.len;) {
        const bool more = slw_str_cut(rest, '/', &part, &rest);
        if (!more) {
            part = rest;
            rest.len = 0;
        }
        if (!slw_str_eq(part, t->item.id))
            continue;
        *out_root = root;
        *from = slw_arena_printf(a, "%.*s/", SLW_FMT(root));
        *to = slw_arena_printf(a, "%.*s0", SLW_FMT(root));
        return true;
    }
    return false;
}

static enum slw_rc
files_count(struct slw_tx *tx, struct slw_str from, struct slw_str to,
            struct slw_purge_item *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_FILES, err));
    slw_stmt_str(&st, 1, from);
    slw_stmt_str(&st, 2, to);
    TRY(slw_stmt_step(&st, &row, err));
    out->file_count = row ? slw_col_i64(&st, 0) : 0;
    out->size = row ? slw_col_i64(&st, 1) : 0;
    return SLW_OK;
}

static bool
names_itself(const struct thing *t)
{
    for (size_t i = 0; i + t->item.id.len <= t->uri.len; i++)
        if (memcmp(t->uri.ptr + i, t->item.id.ptr, t->item.id.len) == 0)
            return true;
    return false;
}

static enum slw_rc
files_remove(struct purge *p, struct slw_tx *tx, struct thing *t,
             struct slw_err *err)
{
    struct slw_str root = {0}, from, to;
    if (files_of(t, &p->arena, &root, &from, &to)) {
        TRY(files_count(tx, from, to, &t->item, err));
        if (p->opt->dry_run) {
            root_note(p, root);
            return SLW_OK;
        }
        SLW_AUTO(slw_stmt, st);
        TRY(slw_stmt_prepare(&st, tx, SQL_FILES_REMOVE, err));
        slw_stmt_str(&st, 1, from);
        slw_stmt_str(&st, 2, to);
        TRY(slw_stmt_run(&st, err));
    }
    if (p->opt->dry_run || !p->opt->files_too || !names_itself(t))
        return SLW_OK;
    SLW_AUTO(slw_stmt, put);
    TRY(slw_stmt_prepare(&put, tx, SQL_GARBAGE_PUT, err));
    slw_stmt_str(&put, 1, t->uri);
    return slw_stmt_run(&put, err);
}

static enum slw_rc
any(struct slw_tx *tx, const char *sql, int64_t number, struct slw_str id,
    bool *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, sql, err));
    if (id.ptr && number < 0) {
        slw_stmt_str(&st, 1, id);
    } else {
        slw_stmt_i64(&st, 1, number);
        if (id.ptr)
            slw_stmt_str(&st, 2, id);
    }
    return slw_stmt_step(&st, out, err);
}

/* May it go, by its rows as they are now? */
static enum slw_rc
look_again(struct slw_tx *tx, const struct thing *t, bool *out,
           struct slw_err *err)
{
    switch (t->item.kind) {
    case SLW_PURGE_RUN:
        return any(tx, SQL_RUN_AGAIN, t->number, t->item.id, out, err);
    case SLW_PURGE_MODEL:
        return any(tx, SQL_MODEL_AGAIN, -1, t->item.id, out, err);
    case SLW_PURGE_EXPERIMENT:
        TRY(any(tx, SQL_EXPERIMENT_USED, t->number, (struct slw_str){0}, out,
                err));
        *out = !*out;
        return SLW_OK;
    }
    return SLW_OK;
}

static enum slw_rc
rows_remove(struct purge *p, struct slw_tx *tx, const struct thing *t,
            struct slw_err *err)
{
    const bool is_model = t->item.kind == SLW_PURGE_MODEL;
    const bool is_run = t->item.kind == SLW_PURGE_RUN;
    const char *const *list = is_model ? SQL_OF_MODEL
                              : is_run ? SQL_OF_RUN
                                       : SQL_OF_EXPERIMENT;
    const size_t count = is_model ? SLW_ARRAY_LEN(SQL_OF_MODEL)
                         : is_run ? SLW_ARRAY_LEN(SQL_OF_RUN)
                                  : SLW_ARRAY_LEN(SQL_OF_EXPERIMENT);
    for (size_t i = 0; i < count; i++) {
        SLW_AUTO(slw_stmt, st);
        TRY(slw_stmt_prepare(&st, tx, list[i], err));
        if (is_model)
            slw_stmt_str(&st, 1, t->item.id);
        else
            slw_stmt_i64(&st, 1, t->number);
        TRY(slw_stmt_run(&st, err));
    }
    if (is_model || is_run)
        return SLW_OK;
    SLW_AUTO(slw_stmt, retire);
    TRY(slw_stmt_prepare(&retire, tx, SQL_RETIRE, err));
    slw_stmt_i64(&retire, 1, t->number);
    slw_stmt_i64(&retire, 2, p->opt->now_ms);
    return slw_stmt_run(&retire, err);
}

/* A model is found by its run, too: "runs:/<run>/<name>". */
static struct slw_str
needed_by(const struct purge *p, const struct thing *t)
{
    const struct slw_purge_needs *n = &p->opt->needs;
    struct slw_str who = {"", 0};
    if (!n->load || t->item.kind == SLW_PURGE_EXPERIMENT)
        return who;
    who = n->who(n->ctx, t->item.id);
    return who.len || t->run.len == 0 ? who : n->who(n->ctx, t->run);
}

static enum slw_rc
thing_remove(struct purge *p, struct slw_tx *tx, struct thing *t,
             struct slw_err *err)
{
    bool may = p->opt->dry_run;
    const struct slw_str who = needed_by(p, t);
    if (who.len) {
        t->item.kept =
            slw_arena_printf(&p->arena, "%.*s needs it", SLW_FMT(who));
        return SLW_OK;
    }
    if (!may)
        TRY(look_again(tx, t, &may, err));
    if (!may) {
        t->item.kept = SLW_STR("it changed meanwhile");
        return SLW_OK;
    }
    TRY(files_remove(p, tx, t, err));
    return p->opt->dry_run ? SLW_OK : rows_remove(p, tx, t, err);
}

/* One transaction: all of the page that may go. */
static enum slw_rc
page_remove(struct purge *p, struct page *page, int64_t *out_kept,
            struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(p->opt->dry_run ? slw_tx_read(&tx, p->store, err)
                        : slw_tx_begin(&tx, p->store, err));
    if (p->opt->needs.load)
        TRY(p->opt->needs.load(p->opt->needs.ctx, &tx, err));
    for (size_t i = 0; i < page->count; i++)
        TRY(thing_remove(p, &tx, &page->things[i], err));
    if (!p->opt->dry_run)
        TRY(slw_tx_commit(&tx, err));
    for (size_t i = 0; i < page->count; i++) {
        tell(p, &page->things[i].item);
        if (out_kept)
            *out_kept += page->things[i].item.kept.len > 0;
    }
    p->done_count += (int64_t)page->count;
    if (p->opt->progress)
        p->opt->progress(p->opt->progress_ctx, p->done_count);
    return SLW_OK;
}

/* ---- runs ---- */

static enum slw_rc
runs_page(struct purge *p, const char *sql, int64_t after, int64_t second,
          struct page *out, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    SLW_AUTO(slw_stmt, st);
    slw_arena_reset(&p->arena);
    TRY(slw_tx_read(&tx, p->store, err));
    TRY(slw_stmt_prepare(&st, &tx, sql, err));
    slw_stmt_i64(&st, 1, after);
    slw_stmt_i64(&st, 2, second);
    slw_stmt_i64(&st, 3, PAGE);
    return page_fill(p, &st, run_read, out, err);
}

static enum slw_rc
models_page(struct purge *p, const char *sql, struct slw_str after,
            int64_t second, struct page *out, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    SLW_AUTO(slw_stmt, st);
    slw_arena_reset(&p->arena);
    TRY(slw_tx_read(&tx, p->store, err));
    TRY(slw_stmt_prepare(&st, &tx, sql, err));
    slw_stmt_str(&st, 1, after);
    slw_stmt_i64(&st, 2, second);
    slw_stmt_i64(&st, 3, PAGE);
    return page_fill(p, &st, model_read, out, err);
}

static enum slw_rc
runs_purge(struct purge *p, const char *sql, int64_t second, int64_t *out_kept,
           struct slw_err *err)
{
    struct page page = {.count = 0};
    for (int64_t after = 0;;) {
        TRY(runs_page(p, sql, after, second, &page, err));
        if (page.count == 0)
            return SLW_OK;
        after = page.things[page.count - 1].number;
        TRY(page_remove(p, &page, out_kept, err));
    }
}

static enum slw_rc
models_purge(struct purge *p, const char *sql, int64_t second,
             int64_t *out_kept, struct slw_err *err)
{
    struct page page = {.count = 0};
    char after[64] = "";
    for (;;) {
        TRY(models_page(p, sql, slw_str_of(after), second, &page, err));
        if (page.count == 0)
            return SLW_OK;
        (void)snprintf(after, sizeof after, "%.*s",
                       SLW_FMT(page.things[page.count - 1].item.id));
        TRY(page_remove(p, &page, out_kept, err));
    }
}

/* ---- experiments ---- */

static enum slw_rc
restored_run(struct purge *p, int64_t id, char out[40], struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    out[0] = '\0';
    TRY(slw_tx_read(&tx, p->store, err));
    TRY(slw_stmt_prepare(&st, &tx, SQL_RUN_RESTORED, err));
    slw_stmt_i64(&st, 1, id);
    TRY(slw_stmt_step(&st, &row, err));
    if (row)
        (void)snprintf(out, 40, "%.*s", SLW_FMT(slw_col_str(&st, 0)));
    return SLW_OK;
}

static enum slw_rc
experiment_purge(struct purge *p, const struct thing *found,
                 struct slw_err *err)
{
    SLW_AUTO(slw_arena, keep);
    char run[40];
    int64_t kept = 0;
    struct page page = {.count = 1};
    struct thing t = *found;
    t.item.id = slw_arena_str(&keep, t.item.id);
    t.item.name = slw_arena_str(&keep, t.item.name);
    if (t.number == 0)
        t.item.kept = SLW_STR("it is the default experiment");
    TRY(restored_run(p, t.number, run, err));
    if (run[0])
        t.item.kept = slw_arena_printf(&keep, "its run %s was restored", run);
    if (t.item.kept.len == 0) {
        TRY(runs_purge(p, SQL_RUNS_OF, t.number, &kept, err));
        TRY(models_purge(p, SQL_MODELS_OF, t.number, &kept, err));
        if (kept)
            t.item.kept = slw_arena_printf(
                &keep, "%lld of its runs and models stay", (long long)kept);
    }
    if (t.item.kept.len) {
        tell(p, &t.item);
        return SLW_OK;
    }
    page.things[0] = t;
    return page_remove(p, &page, NULL, err);
}

static enum slw_rc
experiments_purge(struct purge *p, struct slw_err *err)
{
    SLW_AUTO(slw_arena, keep);
    struct page page = {.count = 0};
    for (int64_t after = 0;;) {
        {
            SLW_AUTO(slw_tx, tx);
            SLW_AUTO(slw_stmt, st);
            slw_arena_reset(&p->arena);
            TRY(slw_tx_read(&tx, p->store, err));
            TRY(slw_stmt_prepare(&st, &tx, SQL_EXPERIMENTS, err));
            slw_stmt_i64(&st, 1, after);
            slw_stmt_i64(&st, 2, p->opt->before_ms);
            slw_stmt_i64(&st, 3, PAGE);
            TRY(page_fill(p, &st, experiment_read, &page, err));
        }
        if (page.count == 0)
            return SLW_OK;
        after = page.things[page.count - 1].number;
        slw_arena_reset(&keep);
        for (size_t i = 0; i < page.count; i++) {
            struct slw_purge_item *item = &page.things[i].item;
            item->id = slw_arena_str(&keep, item->id);
            item->name = slw_arena_str(&keep, item->name);
        }
        for (size_t i = 0; i < page.count; i++)
            TRY(experiment_purge(p, &page.things[i], err));
    }
}

/* ---- what was named ---- */

static enum slw_rc
named_find(struct purge *p, enum slw_purge_kind kind, struct slw_str id,
           struct thing *out, struct slw_err *err)
{
    static const char *const sql[] = {SQL_EXPERIMENT, SQL_RUN, SQL_MODEL};
    static const read_fn reads[] = {experiment_read, run_read, model_read};
    const char *what = slw_purge_kind_name(kind);
    SLW_AUTO(slw_tx, tx);
    SLW_AUTO(slw_stmt, st);
    struct page page;
    int64_t number = 0;
    slw_arena_reset(&p->arena);
    TRY(slw_tx_read(&tx, p->store, err));
    TRY(slw_stmt_prepare(&st, &tx, sql[kind], err));
    if (kind == SLW_PURGE_EXPERIMENT) {
        TRY(slw_str_i64(id, &number, err));
        slw_stmt_i64(&st, 1, number);
    } else {
        slw_stmt_str(&st, 1, id);
    }
    TRY(page_fill(p, &st, reads[kind], &page, err));
    if (page.count == 0)
        return slw_fail(err, SLW_NOT_FOUND, "there is no %s %.*s", what,
                        SLW_FMT(id));
    *out = page.things[0];
    if (!out->deleted)
        return slw_fail(err, SLW_INVALID,
                        "%s %.*s is not deleted; delete it first, then it can "
                        "be removed for good",
                        what, SLW_FMT(id));
    if (out->item.deleted_at_ms > p->opt->before_ms)
        return slw_fail(err, SLW_INVALID,
                        "%s %.*s was deleted later than the age asked for; "
                        "give a shorter --older-than",
                        what, SLW_FMT(id));
    return SLW_OK;
}

static enum slw_rc
named_purge(struct purge *p, enum slw_purge_kind kind,
            const struct slw_str *ids, size_t count, bool check,
            struct slw_err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct page page = {.count = 1};
        TRY(named_find(p, kind, ids[i], &page.things[0], err));
        if (check)
            continue;
        TRY(kind == SLW_PURGE_EXPERIMENT
                ? experiment_purge(p, &page.things[0], err)
                : page_remove(p, &page, NULL, err));
    }
    return SLW_OK;
}

/* All are looked at before the first is removed. */
static enum slw_rc
all_named_purge(struct purge *p, struct slw_err *err)
{
    const struct slw_purge_options *o = p->opt;
    for (int check = 1; check >= 0; check--) {
        TRY(named_purge(p, SLW_PURGE_MODEL, o->models, o->model_count, check,
                        err));
        TRY(named_purge(p, SLW_PURGE_RUN, o->runs, o->run_count, check, err));
        TRY(named_purge(p, SLW_PURGE_EXPERIMENT, o->experiments,
                        o->experiment_count, check, err));
    }
    return SLW_OK;
}

static enum slw_rc
datasets_purge(struct purge *p, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    SLW_AUTO(slw_stmt, st);
    TRY(slw_tx_begin(&tx, p->store, err));
    TRY(slw_stmt_prepare(&st, &tx, SQL_DATASETS_UNUSED, err));
    TRY(slw_stmt_run(&st, err));
    return slw_tx_commit(&tx, err);
}

static int
root_compare(const void *a, const void *b)
{
    return slw_str_cmp(*(const struct slw_str *)a, *(const struct slw_str *)b);
}

static void
purge_done(struct purge *p)
{
    slw_arena_done(&p->arena);
}

enum slw_rc
slw_track_purge(struct slw_store *s, const struct slw_purge_options *opt,
                struct slw_purge *out, struct slw_err *err)
{
    SLW_AUTO(purge, p);
    p.store = s;
    p.opt = opt;
    p.out = out;
    if (opt->experiment_count + opt->run_count + opt->model_count) {
        TRY(all_named_purge(&p, err));
    } else {
        TRY(experiments_purge(&p, err)); /* with all that lies in them */
        TRY(runs_purge(&p, SQL_RUNS, opt->before_ms, NULL, err));
        TRY(models_purge(&p, SQL_MODELS, opt->before_ms, NULL, err));
    }
    if (out->root_count)
        qsort(out->roots, out->root_count, sizeof *out->roots, root_compare);
    const bool any_run = out->run_count > 0 && !opt->dry_run;
    return any_run ? datasets_purge(&p, err) : SLW_OK;
}

/* ---- files that are to go ---- */

enum slw_rc
slw_track_garbage(struct slw_tx *tx, struct slw_str after, struct slw_arena *a,
                  struct slw_str *out_uri, bool *out_found, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_GARBAGE_NEXT, err));
    slw_stmt_str(&st, 1, after);
    TRY(slw_stmt_step(&st, out_found, err));
    if (*out_found)
        *out_uri = slw_col_dup(&st, 0, a);
    return SLW_OK;
}

enum slw_rc
slw_track_garbage_gone(struct slw_tx *tx, struct slw_str uri,
                       struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_GARBAGE_GONE, err));
    slw_stmt_str(&st, 1, uri);
    return slw_stmt_run(&st, err);
}

/* ---- what artifacts need ---- */

/* Is the path below the greatest root that is not greater than it? */
static bool
would_go(const struct slw_purge *purge, struct slw_str path)
{
    size_t low = 0, high = purge ? purge->root_count : 0;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (slw_str_cmp(purge->roots[middle], path) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return false;
    const struct slw_str root = purge->roots[low - 1];
    return path.len > root.len && memcmp(path.ptr, root.ptr, root.len) == 0;
}

enum slw_rc
slw_track_blobs(struct slw_gc *g, struct slw_purge *purge, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &g->tx, SQL_PATHS, err));
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        if (!would_go(purge, slw_col_str(&st, 0)))
            TRY(slw_gc_need(g, slw_col_str(&st, 1), err));
    }
}
