/* app.h -- private to app: what the files of the program share.
 *
 * The program is one binary with three faces: the server (`slipway up`), its
 * children (`slipway job`, `slipway task`, `slipway exec`) and the command
 * line, which does everything over the server's REST API. */
#ifndef SLW_APP_APP_H
#define SLW_APP_APP_H

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/json.h"
#include "jobs/jobs.h"

#define APP_DEFAULT_LISTEN "127.0.0.1:8080"
#define APP_DEFAULT_DATA ".slipway"
#define APP_OPTION_MAX 32

/* Exit codes of every command. */
enum { APP_OK = 0, APP_FAILED = 1, APP_USAGE = 2 };

/* What was typed, taken apart by the command's declaration. */
struct app_args {
    const struct app_command *command;
    char **words; /* positional arguments */
    int word_count;
    const char *option_names[APP_OPTION_MAX];
    const char *option_values[APP_OPTION_MAX]; /* "" for switches */
    int option_count;
    const char *url; /* --url, SLIPWAY_URL or the default */
    bool json;       /* --json */
    struct slw_arena arena;
};

/* One command.  With `fn` NULL it is a plain request: `method` `path`, where
 * {0} {1} are arguments and the options named in `query` become query
 * parameters; `rows` and `columns` say how a person is shown the answer. */
struct app_command {
    const char *name;       /* "data add" */
    const char *synopsis;   /* "NAME PATH…" */
    int word_min, word_max; /* word_max -1: any number */
    const char *options;    /* "known-at=TIME !window=FROM..TO append": '='
                               takes a value, '!' must be given */
    const char *help;       /* one line */
    const char *example;
    int (*fn)(struct app_args *a);
    const char *method, *path, *query, *rows, *columns;
};
extern const struct app_command app_commands[];
extern const size_t app_command_count;

/* Value of an option, or NULL when it was not given. */
const char *app_option(const struct app_args *a, const char *name);

/* ---- talking to the server (request.c) ---- */
/* One request, its answer parsed; one that is not 2xx is an error with the
 * server's sentence. */
SLW_MUST_USE enum slw_rc app_request_json(struct app_args *a,
                                          const char *method, const char *path,
                                          struct slw_str body,
                                          struct slw_json *out,
                                          struct slw_err *err);
/* Send a file to /api/v1/uploads with progress; hash into out_hash. */
SLW_MUST_USE enum slw_rc app_upload(struct app_args *a, const char *path,
                                    char out_hash[65], struct slw_err *err);
/* Download to a file with progress. */
SLW_MUST_USE enum slw_rc app_download(struct app_args *a, const char *path,
                                      const char *out_path,
                                      struct slw_err *err);
/* Follow a job to its end: a bar on a terminal, plain lines elsewhere.
 * Errors the job's own. */
SLW_MUST_USE enum slw_rc app_job_wait(struct app_args *a, int64_t id,
                                      struct slw_json *out_job,
                                      struct slw_err *err);
/* How far long work is, on standard error: a bar on a terminal, a line each
 * few seconds elsewhere. */
struct app_meter {
    const char *what;
    int64_t begin_ns, shown_ns;
    bool terminal, drawn;
};
void app_meter_start(struct app_meter *m, const char *what);
void app_meter_show(struct app_meter *m, double share, const char *note);
void app_meter_end(const struct app_meter *m);
/* The absolute folder of a file, in the arena; "." where there is none. */
const char *app_folder_of(struct app_args *a, const char *path);
/* The run that a person means, as GET /api/v1/runs/show answers. */
SLW_MUST_USE enum slw_rc app_run_get(struct app_args *a, const char *ref,
                                     struct slw_json *out, struct slw_err *err);
/* Percent-encoded path segment, in the arena. */
const char *app_segment(struct app_args *a, const char *text);

/* ---- showing (render.c) ---- */
#define APP_CELL_SIZE 256
/* Text of a member; "" where it is none. */
struct slw_str app_str_of(const struct json_t *o, const char *key);
/* Columns of the terminal, or of COLUMNS; 0: none that is known. */
int app_terminal_width(void);
/* Columns on screen of UTF-8 text. */
int app_width_of(const char *s);
/* Cuts a text (with room for three bytes more) to so many columns, the last of
 * them "…"; control characters become blanks. */
void app_cut(char *s, int width);
/* Prints a text and blanks up to a width. */
void app_pad(const char *s, int width);
/* A value as people read it: six digits of a number, text as it is, else "-".
 */
void app_value_text(const struct json_t *v, char *out, size_t size);
/* columns: "title=member.path[:kind] …", kinds: text (default), time, size,
 * hash (first 12 digits), share (as percent), num. */
void app_table(const struct json_t *rows, const char *columns);
/* A JSON value for a person: scalars as lines, nested values indented. */
void app_tree(const struct json_t *v, int indent);
/* Print an answer: raw with --json, else as rows/columns or a tree. */
void app_show(const struct app_args *a, const struct json_t *doc,
              const char *rows, const char *columns);
/* "slipway: sentence" on standard error; the code for main(). */
int app_error(const struct app_args *a, const struct slw_err *err);

/* ---- the faces ---- */
int app_up(struct app_args *a);
int app_doctor(struct app_args *a);
extern const struct slw_job_kind app_job_kinds[];
extern const size_t app_job_kind_count;
extern const struct slw_task_kind app_task_kinds[];
extern const size_t app_task_kind_count;

/* Start work that answers {"job"}, follow it (unless --no-wait), show its
 * result; rows/columns as for app_show. */
int app_post_job(struct app_args *a, const char *path, struct slw_buf *body,
                 const char *rows, const char *columns);
/* A request that is shown as a tree. */
int app_post_show(struct app_args *a, const char *method, const char *path,
                  struct slw_buf *body, const char *rows, const char *columns);
/* The key with the option's value, when it was given. */
void app_key_option(struct app_args *a, struct slw_jw *w, const char *option,
                    const char *key);
/* printf into the arena. */
SLW_PRINTF(2, 3)
const char *app_text(struct app_args *a, const char *fmt, ...);

/* A collection (gc.c); the job's kind is "store.gc". */
SLW_MUST_USE enum slw_rc app_gc_job(struct slw_job_ctx *ctx,
                                    struct slw_err *err);

/* Commands with code of their own (cmd_*.c). */
int app_init(struct app_args *a);
int app_apply(struct app_args *a);
int app_run(struct app_args *a);
int app_status(struct app_args *a);
int app_data_add(struct app_args *a);
int app_data_get(struct app_args *a);
int app_data_profile(struct app_args *a);
int app_features_online(struct app_args *a);
int app_features_history(struct app_args *a);
int app_materialize(struct app_args *a);
int app_drift(struct app_args *a);
int app_train(struct app_args *a);
int app_version_job(struct app_args *a); /* gate, reproduce */
int app_alias(struct app_args *a);
int app_models_history(struct app_args *a);
int app_models_stage(struct app_args *a);
int app_act(struct app_args *a); /* deploy, canary, … drill */
int app_predict(struct app_args *a);
int app_labels(struct app_args *a);
int app_window(struct app_args *a);
int app_flow_run(struct app_args *a);
int app_rehearse(struct app_args *a);
int app_import_mlflow(struct app_args *a);
int app_export_all(struct app_args *a);
int app_job(struct app_args *a);
int app_clock(struct app_args *a);
int app_gc(struct app_args *a);
int app_token(struct app_args *a);
int app_runs_list(struct app_args *a);
int app_runs_show(struct app_args *a);
int app_runs_history(struct app_args *a);
int app_runs_compare(struct app_args *a);
int app_ack(struct app_args *a);
int app_export(struct app_args *a);
int app_verify(struct app_args *a);
int app_backup(struct app_args *a);
int app_restore(struct app_args *a);

/* Every room's check of the data folder, in house order (verify.c); and the
 * same as a task for the server.  Errors: it could not be checked. */
struct slw_verify;
SLW_MUST_USE enum slw_rc
app_verify_all(struct slw_verify *v, struct slw_store *s, struct slw_err *err);
SLW_MUST_USE enum slw_rc
app_verify_task(struct slw_store *s, void *app, const struct json_t *spec,
                struct slw_arena *a, struct slw_jw *out, struct slw_err *err);

#endif
