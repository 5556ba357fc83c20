/* input.c -- what went into a run and what came out: datasets, and links to
 * logged models.  A dataset is one row an experiment, name and digest. */
#include "track/track_internal.h"

static const char SQL_EXPERIMENT[] =
    "SELECT experiment_id FROM track_run WHERE number = ?1";
static const char SQL_DATASET_ADD[] =
    "INSERT INTO track_dataset(experiment_id, name, digest, source_type,"
    " source, schema, profile) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"
    " ON CONFLICT(experiment_id, name, digest) DO NOTHING";
static const char SQL_DATASET_FIND[] =
    "SELECT id FROM track_dataset WHERE experiment_id = ?1 AND name = ?2"
    " AND digest = ?3";
static const char SQL_INPUT_ADD[] =
    "INSERT INTO track_input(run, dataset_id) VALUES(?1, ?2)"
    " ON CONFLICT(run, dataset_id) DO NOTHING";
static const char SQL_INPUT_TAG[] =
    "INSERT INTO track_input_tag(run, dataset_id, key, value)"
    " VALUES(?1, ?2, ?3, ?4) ON CONFLICT(run, dataset_id, key) DO NOTHING";
static const char SQL_LINK_ADD[] =
    "INSERT INTO track_model_link(run, is_output, model_id, step)"
    " VALUES(?1, ?2, ?3, ?4) ON CONFLICT(run, is_output, model_id)"
    " DO UPDATE SET step = excluded.step";
static const char SQL_INPUTS[] =
    "SELECT d.name, d.digest, d.source_type, d.source, d.schema, d.profile,"
    " d.id FROM track_input i JOIN track_dataset d ON d.id = i.dataset_id"
    " WHERE i.run = ?1 ORDER BY d.id";
static const char SQL_INPUT_TAGS[] =
    "SELECT key, value FROM track_input_tag WHERE run = ?1 AND dataset_id = ?2"
    " ORDER BY key";
static const char SQL_LINKS[] =
    "SELECT is_output, model_id, step FROM track_model_link WHERE run = ?1"
    " ORDER BY is_output, model_id";

static const char SQL_SUMMARIES[] =
    "SELECT DISTINCT d.name, d.digest, coalesce(t.value, '')"
    " FROM track_dataset d JOIN track_input i ON i.dataset_id = d.id"
    " LEFT JOIN track_input_tag t ON t.run = i.run"
    " AND t.dataset_id = d.id AND t.key = 'mlflow.data.context'"
    " WHERE d.experiment_id = ?1 ORDER BY d.id, 3 LIMIT ?2";

static enum slw_rc
size_check(struct slw_str s, size_t chars_max, const char *what,
           struct slw_err *err)
{
    if (slw_track_cut(s, chars_max).len < s.len)
        return slw_fail(err, SLW_INVALID,
                        "'%s' exceeds the maximum length of %zu characters",
                        what, chars_max);
    return SLW_OK;
}

static enum slw_rc
input_check(const struct slw_input *in, struct slw_err *err)
{
    if (in->name.len == 0)
        return slw_fail(err, SLW_INVALID, "Dataset name cannot be None");
    if (in->digest.len == 0)
        return slw_fail(err, SLW_INVALID, "Dataset digest cannot be None");
    TRY(size_check(in->name, 500, "name", err));
    TRY(size_check(in->digest, 36, "digest", err));
    TRY(size_check(in->source, 65535, "source", err));
    TRY(size_check(in->schema, 1048575, "schema", err));
    TRY(size_check(in->profile, 16777215, "profile", err));
    for (size_t i = 0; i < in->tag_count; i++) {
        TRY(size_check(in->tags[i].key, 255, "key", err));
        TRY(size_check(in->tags[i].value, 500, "value", err));
    }
    return SLW_OK;
}

static enum slw_rc
experiment_of(struct slw_tx *tx, int64_t run, int64_t *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_EXPERIMENT, err));
    slw_stmt_i64(&st, 1, run);
    TRY(slw_stmt_step(&st, &row, err));
    SLW_ASSERT(row); /* the run was looked up in this transaction */
    *out = slw_col_i64(&st, 0);
    return SLW_OK;
}

static enum slw_rc
dataset_put(struct slw_tx *tx, int64_t experiment, const struct slw_input *in,
            int64_t *out_id, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, add);
    TRY(slw_stmt_prepare(&add, tx, SQL_DATASET_ADD, err));
    slw_stmt_i64(&add, 1, experiment);
    slw_stmt_str(&add, 2, in->name);
    slw_stmt_str(&add, 3, in->digest);
    slw_stmt_str(&add, 4, in->source_type);
    slw_stmt_str(&add, 5, in->source);
    slw_stmt_str(&add, 6, in->schema);
    slw_stmt_str(&add, 7, in->profile);
    TRY(slw_stmt_run(&add, err));
    SLW_AUTO(slw_stmt, find);
    bool row = false;
    TRY(slw_stmt_prepare(&find, tx, SQL_DATASET_FIND, err));
    slw_stmt_i64(&find, 1, experiment);
    slw_stmt_str(&find, 2, in->name);
    slw_stmt_str(&find, 3, in->digest);
    TRY(slw_stmt_step(&find, &row, err));
    SLW_ASSERT(row);
    *out_id = slw_col_i64(&find, 0);
    return SLW_OK;
}

static enum slw_rc
input_put(struct slw_tx *tx, int64_t run, int64_t experiment,
          const struct slw_input *in, struct slw_err *err)
{
    int64_t dataset = 0;
    TRY(dataset_put(tx, experiment, in, &dataset, err));
    SLW_AUTO(slw_stmt, add);
    TRY(slw_stmt_prepare(&add, tx, SQL_INPUT_ADD, err));
    slw_stmt_i64(&add, 1, run);
    slw_stmt_i64(&add, 2, dataset);
    TRY(slw_stmt_run(&add, err));
    if (slw_tx_changes(tx) == 0)
        return SLW_OK; /* known already, and keeps the tags it has */
    for (size_t i = 0; i < in->tag_count; i++) {
        SLW_AUTO(slw_stmt, tag);
        TRY(slw_stmt_prepare(&tag, tx, SQL_INPUT_TAG, err));
        slw_stmt_i64(&tag, 1, run);
        slw_stmt_i64(&tag, 2, dataset);
        slw_stmt_str(&tag, 3, in->tags[i].key);
        slw_stmt_str(&tag, 4, in->tags[i].value);
        TRY(slw_stmt_run(&tag, err));
    }
    return SLW_OK;
}

enum slw_rc
slw_track_inputs_put(struct slw_tx *tx, struct slw_str run_id,
                     const struct slw_input *inputs, size_t input_count,
                     struct slw_err *err)
{
    int64_t run = 0, experiment = 0;
    for (size_t i = 0; i < input_count; i++)
        TRY(input_check(&inputs[i], err));
    TRY(track_run_number(tx, run_id, true, &run, err));
    TRY(experiment_of(tx, run, &experiment, err));
    for (size_t i = 0; i < input_count; i++)
        TRY(input_put(tx, run, experiment, &inputs[i], err));
    return SLW_OK;
}

enum slw_rc
slw_track_input(struct slw_tx *tx, struct slw_str run_id, struct slw_str name,
                struct slw_str digest, struct slw_str source_json,
                struct slw_str context, struct slw_err *err)
{
    struct slw_kv tag = {SLW_STR("mlflow.data.context"), context};
    struct slw_input in = {
        .name = name,
        /* MLflow keeps 36 characters of a digest: enough of a SHA-256 */
        .digest = slw_track_cut(digest, 36),
        .source_type = SLW_STR("slipway"),
        .source = source_json,
        .tags = &tag,
        .tag_count = context.len ? 1 : 0,
    };
    return slw_track_inputs_put(tx, run_id, &in, 1, err);
}

enum slw_rc
slw_track_model_links_put(struct slw_tx *tx, struct slw_str run_id,
                          bool is_output, const struct slw_model_link *links,
                          size_t link_count, struct slw_err *err)
{
    int64_t run = 0;
    TRY(track_run_number(tx, run_id, true, &run, err));
    for (size_t i = 0; i < link_count; i++) {
        SLW_AUTO(slw_stmt, st);
        TRY(slw_stmt_prepare(&st, tx, SQL_LINK_ADD, err));
        slw_stmt_i64(&st, 1, run);
        slw_stmt_i64(&st, 2, is_output);
        slw_stmt_str(&st, 3, links[i].model_id);
        slw_stmt_i64(&st, 4, links[i].step);
        TRY(slw_stmt_run(&st, err));
    }
    return SLW_OK;
}

static enum slw_rc
tags_read(struct slw_tx *tx, int64_t run, int64_t dataset, struct slw_arena *a,
          struct slw_input *in, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    size_t cap = 0;
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_INPUT_TAGS, err));
    slw_stmt_i64(&st, 1, run);
    slw_stmt_i64(&st, 2, dataset);
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        in->tags =
            slw_arena_grow(a, in->tags, sizeof(*in->tags), in->tag_count, &cap);
        in->tags[in->tag_count++] =
            (struct slw_kv){slw_col_dup(&st, 0, a), slw_col_dup(&st, 1, a)};
    }
}

static enum slw_rc
links_read(struct slw_tx *tx, int64_t run, struct slw_arena *a,
           struct slw_run_full *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    size_t in_cap = 0, out_cap = 0;
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_LINKS, err));
    slw_stmt_i64(&st, 1, run);
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        struct slw_model_link link = {slw_col_dup(&st, 1, a),
                                      slw_col_i64(&st, 2)};
        if (slw_col_i64(&st, 0)) {
            out->model_outputs =
                slw_arena_grow(a, out->model_outputs, sizeof(link),
                               out->model_output_count, &out_cap);
            out->model_outputs[out->model_output_count++] = link;
        } else {
            out->model_inputs =
                slw_arena_grow(a, out->model_inputs, sizeof(link),
                               out->model_input_count, &in_cap);
            out->model_inputs[out->model_input_count++] = link;
        }
    }
}

enum slw_rc
track_inputs_read(struct slw_tx *tx, int64_t number, struct slw_arena *a,
                  struct slw_run_full *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    size_t cap = 0;
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_INPUTS, err));
    slw_stmt_i64(&st, 1, number);
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        struct slw_input in = {
            .name = slw_col_dup(&st, 0, a),
            .digest = slw_col_dup(&st, 1, a),
            .source_type = slw_col_dup(&st, 2, a),
            .source = slw_col_dup(&st, 3, a),
            .schema = slw_col_dup(&st, 4, a),
            .profile = slw_col_dup(&st, 5, a),
        };
        TRY(tags_read(tx, number, slw_col_i64(&st, 6), a, &in, err));
        out->inputs =
            slw_arena_grow(a, out->inputs, sizeof(in), out->input_count, &cap);
        out->inputs[out->input_count++] = in;
    }
    return links_read(tx, number, a, out, err);
}

enum slw_rc
slw_track_dataset_summaries(struct slw_tx *tx, int64_t experiment_id,
                            size_t limit, struct slw_arena *a,
                            struct slw_dataset_summary **out, size_t *out_count,
                            struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    struct slw_dataset_summary *list = NULL;
    size_t count = 0, cap = 0;
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_SUMMARIES, err));
    slw_stmt_i64(&st, 1, experiment_id);
    slw_stmt_i64(&st, 2, (int64_t)limit);
    TRY(slw_stmt_step(&st, &row, err));
    while (row) {
        list = slw_arena_grow(a, list, sizeof(*list), count, &cap);
        list[count++] =
            (struct slw_dataset_summary){.experiment_id = experiment_id,
                                         .name = slw_col_dup(&st, 0, a),
                                         .digest = slw_col_dup(&st, 1, a),
                                         .context = slw_col_dup(&st, 2, a)};
        TRY(slw_stmt_step(&st, &row, err));
    }
    *out = list;
    *out_count = count;
    return SLW_OK;
}
