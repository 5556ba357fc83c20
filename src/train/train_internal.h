/* train_internal.h -- shared by the files of this room only: a definition as
 * read, the rows of a split, and the state of one search. */
#ifndef SLW_TRAIN_TRAIN_INTERNAL_H
#define SLW_TRAIN_TRAIN_INTERNAL_H

#include "num/metric.h"
#include "track/track.h"
#include "train/fit.h"
#include "train/train.h"

#define TRAIN_CANDIDATE_MAX 16
#define TRAIN_TRIALS_MAX 1000
#define TRAIN_SCRIPT_FILES_SIZE_MAX ((size_t)1 << 20)
#define TRAIN_SCRIPT_TIMEOUT_MS ((int64_t)600000)
#define TRAIN_REFERENCE_MS (365 * SLW_DAY_MS)
/* Fewer rows than these in a part of the split decide nothing. */
#define TRAIN_ROW_MIN 20
#define TRAIN_PART_ROW_MIN 5
/* "From the beginning": year 1, far from overflowing anybody's arithmetic. */
#define TRAIN_TIME_MIN_MS (-62135596800000)

enum train_metric { TRAIN_MAE, TRAIN_RMSE, TRAIN_MAPE, TRAIN_R2 };
const char *train_metric_name(enum train_metric m);
double train_metric_of(enum train_metric m, const struct slw_metrics *v);
/* A NaN is never better. */
bool train_metric_better(enum train_metric m, double a, double b);

/* ---- definitions (define.c, space.c) ---- */

/* What one parameter of a candidate may be. */
enum train_space_kind {
    TRAIN_FIXED,   /* `least` */
    TRAIN_UNIFORM, /* least .. most */
    TRAIN_LOG,     /* least .. most, uniform in the logarithm */
    TRAIN_CHOICE,  /* one element of the array `node` */
    TRAIN_TEXT     /* `text` */
};
struct train_space {
    struct slw_str name;
    enum train_space_kind kind;
    bool is_count; /* drawn and written as an integer */
    double least, most;
    const struct json_t *node;
    struct slw_str text;
};

struct train_candidate {
    struct slw_str name; /* "xgboost", or a script's own */
    bool is_script;
    enum slw_flavour flavour;   /* of what is fitted; scripts: XGBOOST */
    struct train_space *spaces; /* [space_count], by name */
    size_t space_count;
    /* scripts only */
    struct slw_str run, framework, dir;
    int64_t timeout_ms;
    const struct json_t *files; /* {"train.py": text} or NULL */
};

/* Views live as long as the JSON and the arena it was read with. */
struct train_def {
    struct slw_str name;
    struct slw_str target_sql, target_of, relative_to; /* "" : not relative */
    int64_t known_after_ms;
    int64_t validate_ms, test_ms, train_from_ms, reference_ms;
    enum train_metric metric;
    int64_t trials, seed;
    struct train_candidate *candidates; /* by name */
    size_t candidate_count;
    struct slw_str fallback_sql;
    struct slw_str *exclude; /* columns that are not the model's … */
    size_t exclude_count;
    const struct slw_str *keep; /* … or exactly the columns that are; NULL */
    size_t keep_count;
};

/* Errors INVALID: one sentence that names the key. */
SLW_MUST_USE enum slw_rc train_def_parse(const struct json_t *json,
                                         struct slw_arena *a,
                                         struct train_def *out,
                                         struct slw_err *err);
/* The one nearest word, as "; did you mean 'expect'?", or "". */
struct slw_str train_near(struct slw_str word, const char *const *known,
                          size_t known_count, struct slw_arena *a);
/* A candidate of our own trainers: parameters given, and ours for those that
 * are not. */
SLW_MUST_USE enum slw_rc train_spaces_parse(struct train_candidate *c,
                                            const struct json_t *json,
                                            struct slw_arena *a,
                                            struct slw_err *err);
/* Whether two trials could differ. */
bool train_spaces_fixed(const struct train_candidate *c);
/* Parameters of trial 1, 2 …: a JSON object. */
struct slw_str train_spaces_draw(const struct train_candidate *c, int64_t seed,
                                 int64_t trial, struct slw_arena *a);
/* The same without early stopping, rounds (epochs) as it left them. */
struct slw_str train_params_final(enum slw_flavour flavour,
                                  const struct json_t *params, int rounds,
                                  struct slw_arena *a);

/* ---- rows (split.c) ---- */
struct train_rows {
    size_t count;
    double *x;      /* [count][column_count], as a request would bring it */
    double *fit_x;  /* the same with the relative_to column 0 */
    double *fit_y;  /* what a trainer fits: target, or target / base - 1 */
    double *target; /* [count] in the target's unit */
    double *base;   /* [count] the relative_to column; NULL: not relative */
    int64_t *event_ms;
};
/* The frame, cut by time.  All in the arena. */
struct train_set {
    struct slw_signature sig;
    struct slw_str entity_column;
    size_t *column_at; /* [sig.column_count] of the frame */
    struct train_rows train, valid, test;
    struct train_rows refit; /* train + valid */
    /* event times: first of the frame, last of train, of valid, of test */
    int64_t train_from_ms, train_to_ms, valid_to_ms, test_to_ms;
    size_t missing_count;    /* rows left out: a missing feature … */
    size_t unlabelled_count; /* … a label not known by as_of … */
    size_t purged_count;     /* … or only after the next part began */
};
SLW_MUST_USE enum slw_rc train_set_make(const struct slw_frame *frame,
                                        const struct train_def *def,
                                        int64_t as_of_ms, struct slw_arena *a,
                                        struct train_set *out,
                                        struct slw_err *err);

/* ---- answers and their errors (evaluate.c) ---- */
double *train_predict(const struct slw_model *m, const struct train_rows *rows,
                      struct slw_arena *a);
void train_measure(const struct train_rows *rows, const double *yhat,
                   struct slw_metrics *out);
void train_metrics_write(struct slw_jw *w, const struct slw_metrics *m);
/* [[day_ms, mean |error|, mean |error of the other|], …] */
void train_days_write(struct slw_jw *w, const struct train_rows *rows,
                      const double *yhat, const double *other);

/* ---- one search (search.c, script.c, record.c, release.c) ---- */

/* A row of the table: the best of one candidate, or the rule. */
struct train_entry {
    const struct train_candidate *candidate; /* NULL: the rule */
    struct slw_str name;
    int64_t trials, failed;
    struct slw_str run_id, params, note;
    struct slw_metrics valid, test;
    bool has_valid, has_test, servable, chosen;
    double seconds;
    int rounds;           /* of the best trial */
    struct slw_str bytes; /* the model refitted; in the arena */
    enum slw_flavour flavour;
    char engine[32], engine_version[64];
    double *test_yhat; /* [test.count] */
};

struct train_search {
    struct slw_job_ctx *ctx;
    const struct slw_train_spec *spec;
    const struct slw_frame *frame;
    struct train_def def;
    struct train_set set;
    int64_t seed, trials;
    struct slw_model *rule;      /* owned */
    struct train_entry *entries; /* candidates by name, then the rule */
    size_t entry_count;
    int64_t experiment_id;
    struct slw_str parent_id;
    /* progress */
    int64_t step_count, step_done, start_ns;
    double best;
    struct slw_str best_name;
};

/* The whole search over a frame already built: what slw_train_search() does
 * after the features room has answered. */
SLW_MUST_USE enum slw_rc train_search_frame(struct slw_job_ctx *ctx,
                                            const struct slw_train_spec *spec,
                                            const struct slw_frame *frame,
                                            struct slw_train_result *out,
                                            struct slw_err *err);
/* Features of a definition as of a time. */
SLW_MUST_USE enum slw_rc
train_frame_get(struct slw_store *store, const struct train_def *def,
                const struct json_t *pins, const struct json_t *views,
                int64_t as_of_ms, struct slw_memo *memo, struct slw_arena *a,
                struct slw_frame *out, struct slw_err *err);
/* Fit, on rows of the set.  valid NULL: to the end, without stopping. */
SLW_MUST_USE enum slw_rc
train_fit_rows(const struct train_set *set, enum slw_flavour flavour,
               enum train_metric metric, const struct train_rows *rows,
               const struct train_rows *valid, struct slw_str params,
               int64_t seed, struct train_fit_out *out, struct slw_err *err);

/* ---- scripts (script.c) ---- */
struct train_script_run {
    const struct train_candidate *candidate;
    const struct train_set *set;
    const char *dir;        /* a folder of its own, made here; the command
                               runs there unless the candidate says where */
    const char *server_url; /* tracking server; NULL: a database in dir */
    struct slw_str run_id;  /* "" without a server */
    int64_t seed;
};
struct train_script_out {
    double *valid_yhat, *test_yhat; /* in the target's unit; test may be NULL */
    struct slw_str model; /* bytes of a servable XGBoost file, or "" */
    struct slw_str log;   /* what it printed, the last part */
    struct slw_str note;  /* why there is no servable model, or "" */
};
/* Errors INVALID: it failed (its last lines), or its files are not what was
 *        asked; TIMEOUT. */
SLW_MUST_USE enum slw_rc train_script_run(const struct train_script_run *in,
                                          struct slw_arena *a,
                                          struct train_script_out *out,
                                          struct slw_err *err);
/* The parameters by which a release can run it again. */
struct slw_str train_script_params(const struct train_candidate *c,
                                   struct slw_arena *a);
/* A candidate's script keys, read and checked. */
SLW_MUST_USE enum slw_rc train_script_parse(struct train_candidate *c,
                                            const struct json_t *json,
                                            struct slw_arena *a,
                                            struct slw_err *err);

/* ---- what is tracked (record.c) ---- */
/* Experiment and parent run; runs of an earlier attempt of this job that are
 * still open become KILLED. */
SLW_MUST_USE enum slw_rc train_record_begin(struct train_search *s,
                                            struct slw_err *err);
struct train_trial {
    const struct train_candidate *candidate;
    int64_t number;
    struct slw_str params;           /* JSON */
    struct slw_str run_id;           /* "" : made here */
    const struct slw_metrics *valid; /* NULL: failed */
    const double *curve;
    size_t curve_count;
    double seconds;
    struct slw_str note;
};
/* A run that somebody else logs to meanwhile (a script's). */
SLW_MUST_USE enum slw_rc train_record_open(struct train_search *s,
                                           const struct train_trial *t,
                                           struct slw_str *out_run_id,
                                           struct slw_err *err);
/* One finished trial, in one transaction. */
SLW_MUST_USE enum slw_rc train_record_trial(struct train_search *s,
                                            const struct train_trial *t,
                                            struct slw_str *out_run_id,
                                            struct slw_err *err);
/* Test metrics of a candidate's best trial. */
SLW_MUST_USE enum slw_rc train_record_best(struct train_search *s,
                                           const struct train_entry *e,
                                           struct slw_err *err);
/* Bytes as an artifact of a run. */
SLW_MUST_USE enum slw_rc
train_record_file(struct train_search *s, struct slw_str run_id,
                  const char *path, struct slw_str bytes, struct slw_err *err);
/* Table, model file and metrics of the chosen one; the parent run ends. */
SLW_MUST_USE enum slw_rc train_record_end(struct train_search *s,
                                          const struct train_entry *chosen,
                                          struct slw_str table,
                                          struct slw_err *err);
/* Best effort: the search failed with `why`. */
void train_record_failed(struct train_search *s, const struct slw_err *why);

/* ---- the release (release.c, profile.c) ---- */
SLW_MUST_USE enum slw_rc train_release_text(struct train_search *s,
                                            const struct train_entry *e,
                                            struct slw_str *out,
                                            struct slw_err *err);
/* The frame's newest rows with the model's answers. */
SLW_MUST_USE enum slw_rc
train_profile_make(const struct slw_frame *frame, const struct train_set *set,
                   const struct slw_model *m, int64_t reference_ms,
                   struct slw_arena *a, struct slw_profile *out,
                   struct slw_err *err);
/* SHA-256 of a node's canonical text. */
struct slw_str train_node_hash(const struct json_t *v, struct slw_arena *a);
/* The file MLmodel for MLflow's clients (mlmodel.c); false: they could not
 * run this model. */
bool train_mlmodel(const struct train_search *s, const struct train_entry *e,
                   struct slw_buf *out);
/* File name of a model of a flavour: "model.ubj". */
const char *train_model_file(enum slw_flavour f, struct slw_str bytes);

/* ---- rebuilding (reproduce.c) ---- */
SLW_MUST_USE enum slw_rc train_reproduce_frame(struct slw_job_ctx *ctx,
                                               const struct json_t *release,
                                               const struct slw_frame *frame,
                                               struct slw_jw *w,
                                               struct slw_err *err);

#endif
