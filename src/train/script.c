/* script.c -- any command as a candidate: it gets the split as CSV files,
 * trains whatever it likes, logs with the mlflow client, and answers with its
 * predictions.
 *
 * A script sees what the other candidates see (the relative_to column is 0,
 * the target is the relative change) and is measured by us on the same rows:
 * what it logs itself decides nothing.  The test window's targets are never
 * given to it. */
#include "train/train_internal.h"

#include "base/file.h"
#include "base/proc.h"

#include <math.h>

#define LOG_TAIL_SIZE ((size_t)65536)
#define NOTE_SIZE_MAX ((size_t)300)
#define PREDICTION_FILE_SIZE_MAX ((size_t)256 << 20)

static const char *const KEYS[] = {"run",        "framework", "timeout",
                                   "timeout_ms", "dir",       "files"};

/* ---- the definition ---- */

static enum slw_rc
files_check(const struct train_candidate *c, struct slw_err *err)
{
    size_t size = 0;
    for (void *it = slw_json_iter(c->files); it;
         it = slw_json_next(c->files, it)) {
        const struct slw_str path = slw_json_iter_key(it);
        const struct json_t *text = slw_json_iter_value(it);
        if (!slw_track_path_ok(path))
            return slw_fail(err, SLW_INVALID,
                            "candidate %.*s: file '%.*s' must be a path below"
                            " the script's folder",
                            SLW_FMT(c->name), SLW_FMT(path));
        if (slw_json_type(text) != SLW_JSON_STR)
            return slw_fail(err, SLW_INVALID,
                            "candidate %.*s: file '%.*s' must be a text",
                            SLW_FMT(c->name), SLW_FMT(path));
        size += slw_json_str_or(text, SLW_STR("")).len;
    }
    if (size > TRAIN_SCRIPT_FILES_SIZE_MAX)
        return slw_fail(err, SLW_LIMIT,
                        "candidate %.*s: its files are larger than %zu KiB",
                        SLW_FMT(c->name), TRAIN_SCRIPT_FILES_SIZE_MAX >> 10);
    return SLW_OK;
}

static enum slw_rc
timeout_parse(struct train_candidate *c, const struct json_t *json,
              struct slw_err *err)
{
    struct slw_str text = SLW_STR("");
    c->timeout_ms = TRAIN_SCRIPT_TIMEOUT_MS;
    TRY(slw_json_opt_i64(json, "timeout_ms", &c->timeout_ms, err));
    TRY(slw_json_opt_str(json, "timeout", &text, err));
    if (text.len)
        TRY(slw_duration_parse(text, &c->timeout_ms, err));
    if (c->timeout_ms < 1 || c->timeout_ms > SLW_DAY_MS)
        return slw_fail(err, SLW_INVALID,
                        "timeout must be above 0 and at most a day");
    return SLW_OK;
}

enum slw_rc
train_script_parse(struct train_candidate *c, const struct json_t *json,
                   struct slw_arena *a, struct slw_err *err)
{
    SLW_ASSERT(c->is_script);
    for (void *it = slw_json_iter(json); it; it = slw_json_next(json, it)) {
        const struct slw_str key = slw_json_iter_key(it);
        size_t i = 0;
        while (i < SLW_ARRAY_LEN(KEYS) && !slw_str_eqz(key, KEYS[i]))
            i++;
        if (i == SLW_ARRAY_LEN(KEYS)) {
            const struct slw_str near =
                train_near(key, KEYS, SLW_ARRAY_LEN(KEYS), a);
            return slw_fail(err, SLW_INVALID,
                            "candidate %.*s has no key '%.*s'%.*s (a script has"
                            " run, framework, timeout, dir and files)",
                            SLW_FMT(c->name), SLW_FMT(key), SLW_FMT(near));
        }
    }
    struct slw_str run = SLW_STR(""), framework = run, dir = run;
    enum slw_rc rc = slw_json_need_str(json, "run", &run, err);
    if (rc == SLW_OK)
        rc = slw_json_opt_str(json, "framework", &framework, err);
    if (rc == SLW_OK)
        rc = slw_json_opt_str(json, "dir", &dir, err);
    if (rc == SLW_OK)
        rc = timeout_parse(c, json, err);
    if (rc == SLW_OK && slw_str_trim(run).len == 0)
        rc = slw_fail(err, SLW_INVALID,
                      "'run' is empty: give the command, as"
                      " in \"python train.py\"");
    if (rc != SLW_OK)
        return slw_err_prefix(err, "candidate %.*s: ", SLW_FMT(c->name));
    c->run = slw_arena_str(a, run);
    c->framework = slw_arena_str(a, framework);
    c->dir = slw_arena_str(a, dir);
    c->files = slw_json_get(json, "files");
    if (!c->files)
        return SLW_OK;
    if (slw_json_type(c->files) != SLW_JSON_OBJECT || c->dir.len)
        return slw_fail(err, SLW_INVALID,
                        "candidate %.*s: files must be an object of texts by"
                        " name, and goes without dir",
                        SLW_FMT(c->name));
    return files_check(c, err);
}

struct slw_str
train_script_params(const struct train_candidate *c, struct slw_arena *a)
{
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "run", c->run);
    slw_jw_kstr(&w, "framework", c->framework);
    slw_jw_ki64(&w, "timeout_ms", c->timeout_ms);
    if (c->dir.len)
        slw_jw_kstr(&w, "dir", c->dir);
    if (c->files) {
        slw_jw_key(&w, "files");
        slw_jw_node(&w, c->files);
    }
    slw_jw_obj_end(&w);
    return slw_arena_str(a, slw_buf_view(&text));
}

/* ---- what goes in ---- */

static enum slw_rc
csv_write(const struct train_set *set, const struct train_rows *rows,
          bool with_target, const char *path, struct slw_err *err)
{
    const size_t columns = set->sig.column_count;
    SLW_AUTO(slw_buf, text);
    slw_buf_init(&text, PREDICTION_FILE_SIZE_MAX);
    for (size_t i = 0; i < columns; i++)
        slw_buf_printf(&text, "%s%.*s", i ? "," : "",
                       SLW_FMT(set->sig.columns[i]));
    slw_buf_z(&text, with_target ? ",target\n" : "\n");
    for (size_t r = 0; r < rows->count; r++) {
        for (size_t i = 0; i < columns; i++) {
            if (i)
                slw_buf_char(&text, ',');
            slw_buf_f64(&text, rows->fit_x[r * columns + i]);
        }
        if (with_target) {
            slw_buf_char(&text, ',');
            slw_buf_f64(&text, rows->fit_y[r]);
        }
        slw_buf_char(&text, '\n');
    }
    TRY(slw_buf_check(&text, err));
    return slw_file_put(path, slw_buf_view(&text), err);
}

static enum slw_rc
files_write(const struct train_script_run *in, struct slw_arena *a,
            struct slw_err *err)
{
    const struct json_t *files = in->candidate->files;
    for (void *it = slw_json_iter(files); it; it = slw_json_next(files, it)) {
        const struct slw_str name = slw_json_iter_key(it);
        char *path = slw_arena_strz(
            a, slw_arena_printf(a, "%s/%.*s", in->dir, SLW_FMT(name)));
        char *slash = strrchr(path, '/');
        *slash = '\0';
        TRY(slw_dir_make(path, err));
        *slash = '/';
        TRY(slw_file_put(
            path, slw_json_str_or(slw_json_iter_value(it), SLW_STR("")), err));
    }
    return SLW_OK;
}

static enum slw_rc
inputs_write(const struct train_script_run *in, struct slw_arena *a,
             struct slw_err *err)
{
    const struct train_set *set = in->set;
    for (size_t i = 0; i < set->sig.column_count; i++)
        if (slw_str_eqz(set->sig.columns[i], "target") ||
            memchr(set->sig.columns[i].ptr, ',', set->sig.columns[i].len) ||
            memchr(set->sig.columns[i].ptr, '"', set->sig.columns[i].len))
            return slw_fail(err, SLW_INVALID,
                            "column '%.*s' cannot stand in the script's CSV:"
                            " rename it in its feature view",
                            SLW_FMT(set->sig.columns[i]));
    TRY(slw_dir_make(slw_path(a, in->dir, "out"), err));
    TRY(csv_write(set, &set->train, true, slw_path(a, in->dir, "train.csv"),
                  err));
    TRY(csv_write(set, &set->valid, true, slw_path(a, in->dir, "valid.csv"),
                  err));
    TRY(csv_write(set, &set->test, false, slw_path(a, in->dir, "test.csv"),
                  err));
    return files_write(in, a, err);
}

/* ---- running ---- */

static const char *
env_pair(struct slw_arena *a, const char *key, const char *value)
{
    return slw_arena_strz(a, slw_arena_printf(a, "%s=%s", key, value));
}

static const char *const *
environment_make(const struct train_script_run *in, struct slw_arena *a)
{
    const char **env = SLW_ARENA_NEW(a, const char *, 10);
    size_t n = 0;
    char *seed =
        slw_arena_strz(a, slw_arena_printf(a, "%lld", (long long)in->seed));
    env[n++] = env_pair(a, "SLIPWAY_TRAIN", slw_path(a, in->dir, "train.csv"));
    env[n++] = env_pair(a, "SLIPWAY_VALID", slw_path(a, in->dir, "valid.csv"));
    env[n++] = env_pair(a, "SLIPWAY_TEST", slw_path(a, in->dir, "test.csv"));
    env[n++] = env_pair(a, "SLIPWAY_OUT", slw_path(a, in->dir, "out"));
    env[n++] = env_pair(a, "SLIPWAY_SEED", seed);
    env[n++] = env_pair(a, "PYTHONHASHSEED", "0");
    const char *local = slw_arena_strz(
        a, slw_arena_printf(a, "sqlite:///%s/mlflow.db", in->dir));
    env[n++] = env_pair(a, "MLFLOW_TRACKING_URI",
                        in->server_url ? in->server_url : local);
    if (in->run_id.len)
        env[n++] = env_pair(a, "MLFLOW_RUN_ID", slw_arena_strz(a, in->run_id));
    env[n] = NULL;
    return env;
}

/* The end of what it printed, as text that may be shown. */
static struct slw_str
log_tail(const char *path, struct slw_arena *a)
{
    FILE *f = fopen(path, "rbe");
    if (!f)
        return SLW_STR("");
    char *text = slw_arena_alloc(a, LOG_TAIL_SIZE + 1);
    long size = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : 0;
    long from = size > (long)LOG_TAIL_SIZE ? size - (long)LOG_TAIL_SIZE : 0;
    size_t len = 0;
    if (fseek(f, from, SEEK_SET) == 0)
        len = fread(text, 1, LOG_TAIL_SIZE, f);
    (void)fclose(f); /* nothing was written */
    struct slw_str all = {text, len};
    if (!slw_str_utf8_ok(all))
        for (size_t i = 0; i < len; i++)
            if ((unsigned char)text[i] >= 0x80)
                text[i] = '?';
    return all;
}

/* Its last words: up to three lines that say something. */
static struct slw_str
last_lines(struct slw_str log, struct slw_arena *a)
{
    size_t begin = log.len, lines = 0;
    while (begin > 0 && lines < 3 && log.len - begin < NOTE_SIZE_MAX) {
        size_t end = begin;
        while (begin > 0 && log.ptr[begin - 1] != '\n')
            begin--;
        const struct slw_str line = {log.ptr + begin, end - begin};
        lines += slw_str_trim(line).len > 0;
        if (begin > 0)
            begin--; /* over the line's end */
    }
    struct slw_str tail =
        slw_str_trim((struct slw_str){log.ptr + begin, log.len - begin});
    if (tail.len > NOTE_SIZE_MAX) {
        tail.ptr += tail.len - NOTE_SIZE_MAX;
        tail.len = NOTE_SIZE_MAX;
        while (tail.len && ((unsigned char)tail.ptr[0] & 0xc0) == 0x80) {
            tail.ptr++;
            tail.len--;
        }
    }
    char *text = slw_arena_strz(a, tail);
    for (size_t i = 0; i < tail.len; i++)
        if (text[i] == '\n' || text[i] == '\r')
            text[i] = ' ';
    return (struct slw_str){text, tail.len};
}

static enum slw_rc
command_run(const struct train_script_run *in, struct slw_arena *a,
            struct slw_str *out_log, struct slw_err *err)
{
    const struct train_candidate *c = in->candidate;
    const char *log_path = slw_path(a, in->dir, "log.txt");
    const char *argv[] = {
        slw_proc_self_path(),      "exec", "--", "/bin/sh", "-c",
        slw_arena_strz(a, c->run), NULL};
    const struct slw_proc_spec spec = {
        .argv = argv,
        .env = environment_make(in, a),
        .dir = c->dir.len ? slw_arena_strz(a, c->dir) : in->dir,
        .log_path = log_path,
        .timeout_ms = c->timeout_ms,
    };
    SLW_AUTO(slw_proc_result, result);
    TRY(slw_proc_run(&spec, &result, err));
    *out_log = log_tail(log_path, a);
    const struct slw_str last = last_lines(*out_log, a);
    if (result.timed_out)
        return slw_fail(
            err, SLW_TIMEOUT, "the script ran longer than %lld ms%s%.*s",
            (long long)c->timeout_ms, last.len ? ": " : "", SLW_FMT(last));
    if (result.exit_code == -1)
        return slw_fail(err, SLW_INVALID,
                        "the script was ended by signal %d%s%.*s",
                        result.signal, last.len ? ": " : "", SLW_FMT(last));
    if (result.exit_code != 0)
        return slw_fail(err, SLW_INVALID,
                        "the script ended with exit code %d%s%.*s",
                        result.exit_code, last.len ? ": " : "", SLW_FMT(last));
    return SLW_OK;
}

/* ---- what comes out ---- */

static enum slw_rc
predictions_parse(struct slw_str text, const char *name, size_t want,
                  double *out, struct slw_err *err)
{
    struct slw_str line;
    (void)slw_str_cut(text, '\n', &line, &text);
    if (!slw_str_eqz(slw_str_trim(line), "prediction"))
        return slw_fail(err, SLW_INVALID,
                        "the first line of %s must be 'prediction'", name);
    size_t count = 0;
    while (text.len) {
        (void)slw_str_cut(text, '\n', &line, &text);
        line = slw_str_trim(line);
        if (line.len == 0 && text.len == 0)
            break;
        double v = 0;
        struct slw_err why;
        if (slw_str_f64(line, &v, &why) != SLW_OK)
            return slw_fail(err, SLW_INVALID,
                            "line %zu of %s is '%.*s', not a number", count + 2,
                            name, SLW_FMT(line));
        if (count < want)
            out[count] = v;
        count++;
    }
    if (count != want)
        return slw_fail(err, SLW_INVALID, "%s has %zu numbers for %zu rows",
                        name, count, want);
    return SLW_OK;
}

static enum slw_rc
predictions_read(const struct train_script_run *in, const char *name,
                 const struct train_rows *rows, struct slw_arena *a,
                 double **out, struct slw_err *err)
{
    const char *path = slw_path(a, in->dir, "out/%s", name);
    SLW_AUTO(slw_buf, text);
    if (!slw_file_exists(path))
        return slw_fail(err, SLW_INVALID,
                        "the script wrote no %s to the folder SLIPWAY_OUT",
                        name);
    TRY(slw_file_get(path, PREDICTION_FILE_SIZE_MAX, &text, err));
    double *yhat = SLW_ARENA_NEW(a, double, rows->count + 1);
    TRY(predictions_parse(slw_buf_view(&text), name, rows->count, yhat, err));
    for (size_t r = 0; rows->base && r < rows->count; r++)
        yhat[r] = rows->base[r] * (1 + yhat[r]);
    *out = yhat;
    return SLW_OK;
}

/* Whether the model answers what the script said it would. */
static enum slw_rc
model_check(const struct train_script_run *in, struct slw_str bytes,
            struct slw_arena *a, struct train_script_out *out,
            struct slw_err *err)
{
    const struct train_rows *test = &in->set->test;
    struct slw_model *m = NULL;
    TRY(slw_model_load(&m, SLW_FLAVOUR_XGBOOST, &in->set->sig, bytes, err));
    double *yhat = train_predict(m, test, a);
    slw_model_unref(m);
    if (!out->test_yhat) {
        out->test_yhat = yhat;
        return SLW_OK;
    }
    double scale = 0;
    for (size_t r = 0; r < test->count; r++)
        scale = fmax(scale, fabs(out->test_yhat[r]));
    for (size_t r = 0; r < test->count; r++)
        if (!(fabs(yhat[r] - out->test_yhat[r]) <= 1e-4 * scale))
            return slw_fail(err, SLW_INVALID,
                            "it answers %g for row %zu of test.csv, but"
                            " predictions_test.csv says %g",
                            yhat[r], r + 1, out->test_yhat[r]);
    return SLW_OK;
}

static enum slw_rc
model_read(const struct train_script_run *in, struct slw_arena *a,
           struct train_script_out *out, struct slw_err *err)
{
    static const char *const names[] = {"model.ubj", "model.json"};
    for (size_t i = 0; i < SLW_ARRAY_LEN(names); i++) {
        const char *path = slw_path(a, in->dir, "out/%s", names[i]);
        if (!slw_file_exists(path))
            continue;
        SLW_AUTO(slw_buf, bytes);
        slw_buf_init(&bytes, SLW_MODEL_SIZE_MAX);
        TRY(slw_file_get(path, SLW_MODEL_SIZE_MAX, &bytes, err));
        if (bytes.len > slw_arena_room(a) / 2)
            return slw_fail(err, SLW_LIMIT, "%s is too large", names[i]);
        struct slw_err why;
        if (model_check(in, slw_buf_view(&bytes), a, out, &why) == SLW_OK)
            out->model = slw_arena_str(a, slw_buf_view(&bytes));
        else
            out->note = slw_arena_printf(a, "%s cannot be served: %s", names[i],
                                         why.msg);
        return SLW_OK;
    }
    out->note = SLW_STR("it wrote no model.ubj or model.json, so it cannot be"
                        " served");
    return SLW_OK;
}

enum slw_rc
train_script_run(const struct train_script_run *in, struct slw_arena *a,
                 struct train_script_out *out, struct slw_err *err)
{
    struct train_script_out o = {.model = SLW_STR(""), .note = SLW_STR("")};
    TRY(slw_dir_remove(in->dir, err));
    TRY(slw_dir_make(in->dir, err));
    TRY(inputs_write(in, a, err));
    enum slw_rc rc = command_run(in, a, &o.log, err);
    if (rc != SLW_OK) {
        out->log = o.log; /* the one thing a failure leaves behind */
        return rc;
    }
    TRY(predictions_read(in, "predictions_valid.csv", &in->set->valid, a,
                         &o.valid_yhat, err));
    const char *test_path = slw_path(a, in->dir, "out/predictions_test.csv");
    if (slw_file_exists(test_path))
        TRY(predictions_read(in, "predictions_test.csv", &in->set->test, a,
                             &o.test_yhat, err));
    TRY(model_read(in, a, &o, err));
    if (!o.test_yhat)
        return slw_fail(err, SLW_INVALID,
                        "the script wrote neither predictions_test.csv nor a"
                        " model that answers: %.*s",
                        SLW_FMT(o.note));
    *out = o;
    return SLW_OK;
}
