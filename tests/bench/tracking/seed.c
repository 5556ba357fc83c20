/* seed.c -- a data folder full of runs, written by the server's own functions:
 * what searches and histories are measured on.
 *
 *   seed FOLDER RUNS METRICS PARAMS POINTS
 *
 * Experiment "bench" gets RUNS runs with METRICS metrics and PARAMS params
 * each; another, "points", gets one run with POINTS points of "loss".  Run i
 * has metric k = fraction of i * 0.618... + k / METRICS and param k =
 * (i * 7 + k) mod 10; run i started at second i.  peer.py writes the same
 * into MLflow's database.  Prints one JSON object. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "track/track.h"

#define RUNS_A_TRANSACTION 1000
#define POINTS_A_CALL 1000
#define METRIC_MAX 100

static int
fail(const struct slw_err *err)
{
    fprintf(stderr, "seed: %s\n", err->msg);
    return 1;
}

static double
metric_of(int64_t run, int64_t k, int64_t count)
{
    double whole;
    return modf((double)run * 0.6180339887498949 + (double)k / (double)count,
                &whole);
}

static enum slw_rc
run_put(struct slw_tx *tx, int64_t experiment, int64_t i, int64_t metric_count,
        int64_t param_count, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_metric metrics[METRIC_MAX];
    struct slw_kv params[METRIC_MAX];
    const struct slw_kv tags[] = {
        {SLW_STR("mlflow.user"), SLW_STR("bench")},
        {SLW_STR("mlflow.source.name"), SLW_STR("train.py")}};
    struct slw_run run;
    TRY(slw_track_run_create(tx, i * 1000, experiment, SLW_STR(""),
                             SLW_STR("bench"), tags, SLW_ARRAY_LEN(tags), &a,
                             &run, err));
    for (int64_t k = 0; k < metric_count; k++)
        metrics[k] = (struct slw_metric){
            .key = slw_arena_printf(&a, "metric_%" PRId64, k),
            .value = metric_of(i, k, metric_count),
            .at_ms = i * 1000,
            .step = 1};
    for (int64_t k = 0; k < param_count; k++)
        params[k] =
            (struct slw_kv){slw_arena_printf(&a, "param_%" PRId64, k),
                            slw_arena_printf(&a, "%" PRId64, (i * 7 + k) % 10)};
    TRY(slw_track_log(tx, run.id, params, (size_t)param_count, metrics,
                      (size_t)metric_count, NULL, 0, err));
    return slw_track_run_end(tx, run.id, SLW_RUN_FINISHED, i * 1000 + 500, err);
}

static enum slw_rc
runs_put(struct slw_store *s, int64_t count, int64_t metric_count,
         int64_t param_count, struct slw_err *err)
{
    int64_t experiment = 0;
    for (int64_t i = 0; i < count;) {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_begin(&tx, s, err));
        TRY(slw_track_experiment_ensure(&tx, 0, SLW_STR("bench"), &experiment,
                                        err));
        const int64_t end = i + RUNS_A_TRANSACTION;
        for (; i < count && i < end; i++)
            TRY(run_put(&tx, experiment, i, metric_count, param_count, err));
        TRY(slw_tx_commit(&tx, err));
    }
    return SLW_OK;
}

static enum slw_rc
points_put(struct slw_store *s, int64_t count, char run_id[33],
           struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_run run = {0};
    int64_t experiment = 0;
    for (int64_t i = 0; i < count;) {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_begin(&tx, s, err));
        TRY(slw_track_experiment_ensure(&tx, 0, SLW_STR("points"), &experiment,
                                        err));
        if (i == 0) {
            TRY(slw_track_run_create(&tx, 0, experiment, SLW_STR("long"),
                                     SLW_STR("bench"), NULL, 0, &a, &run, err));
            snprintf(run_id, 33, "%.*s", SLW_FMT(run.id));
        }
        for (int call = 0; call < 100 && i < count; call++) {
            struct slw_metric points[POINTS_A_CALL];
            size_t n = 0;
            for (; n < POINTS_A_CALL && i < count; n++, i++)
                points[n] = (struct slw_metric){.key = SLW_STR("loss"),
                                                .value = metric_of(i, 0, 1),
                                                .at_ms = i,
                                                .step = i};
            TRY(slw_track_log(&tx, run.id, NULL, 0, points, n, NULL, 0, err));
        }
        TRY(slw_tx_commit(&tx, err));
    }
    return SLW_OK;
}

/* The indexes by value are taken away before, and made again behind a million
 * runs: filled in one sort instead of at random places.
 * In  saved[]: their SQL; empty strings: take them away and save it */
static int
indexes_swap(const char *dir, char saved[3][200])
{
    static const char *const names[] = {
        "track_metric_by_value", "track_param_by_value", "track_tag_by_value"};
    sqlite3 *db = NULL;
    char path[4096], sql[300];
    snprintf(path, sizeof(path), "%s/slipway.db", dir);
    int rc = sqlite3_open(path, &db);
    for (int i = 0; i < 3 && rc == SQLITE_OK; i++) {
        if (saved[i][0]) {
            rc = sqlite3_exec(db, saved[i], NULL, NULL, NULL);
            continue;
        }
        sqlite3_stmt *st = NULL;
        snprintf(sql, sizeof(sql),
                 "SELECT sql FROM sqlite_schema WHERE name = '%s'", names[i]);
        rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
        if (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
            snprintf(saved[i], 200, "%s",
                     (const char *)sqlite3_column_text(st, 0));
        sqlite3_finalize(st);
        snprintf(sql, sizeof(sql), "DROP INDEX %s", names[i]);
        rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    }
    if (rc != SQLITE_OK)
        fprintf(stderr, "seed: %s\n", sqlite3_errmsg(db));
    sqlite3_close(db);
    return rc == SQLITE_OK ? 0 : 1;
}

int
main(int argc, char **argv)
{
    struct slw_store *s = NULL;
    struct slw_err err;
    char run_id[33] = "";
    int64_t n[4];
    if (argc != 6) {
        fprintf(stderr, "usage: seed FOLDER RUNS METRICS PARAMS POINTS\n");
        return 2;
    }
    for (int i = 0; i < 4; i++)
        n[i] = strtoll(argv[i + 2], NULL, 10);
    if (n[1] > METRIC_MAX || n[2] > METRIC_MAX) {
        fprintf(stderr, "seed: at most %d metrics and params\n", METRIC_MAX);
        return 2;
    }
    const int64_t begin = slw_mono_ns();
    const struct slw_store_options opt = {.dir = argv[1], .server = true};
    char saved[3][200] = {"", "", ""};
    if (slw_store_open(&s, &opt, &err) != SLW_OK)
        return fail(&err);
    if (indexes_swap(argv[1], saved) != 0)
        return 1;
    if (runs_put(s, n[0], n[1], n[2], &err) != SLW_OK ||
        points_put(s, n[3], run_id, &err) != SLW_OK)
        return fail(&err);
    if (indexes_swap(argv[1], saved) != 0)
        return 1;
    slw_store_close(s);
    printf("{\"seconds\":%.1f,\"run_id\":\"%s\"}\n",
           (double)(slw_mono_ns() - begin) / 1e9, run_id);
    return 0;
}
