/* task.c -- short work in a child, answered at once: a JSON object in, a JSON
 * object out.  For requests that need an engine (DuckDB) the server process
 * itself never loads. */
#include "base/buf.h"
#include "base/file.h"
#include "base/proc.h"
#include "jobs/jobs_internal.h"

#include <errno.h>
#include <unistd.h>

static const char OK_HEAD[] = "{\"ok\":";

/* ---- in the server ---- */

/* {"error":{"rc":"not_found","message":"…"}} → the error it tells. */
static enum slw_rc
error_read(struct slw_str text, struct slw_err *err)
{
    SLW_AUTO(slw_json, doc);
    struct slw_str name;
    struct slw_str message;
    TRY(slw_json_parse(&doc, text, err));
    const struct json_t *e = slw_json_get(doc.root, "error");
    TRY(slw_json_need_str(e, "rc", &name, err));
    TRY(slw_json_need_str(e, "message", &message, err));
    const enum slw_rc rc = jobs_rc_of(name);
    return slw_fail(err, rc == SLW_OK ? SLW_INTERNAL : rc, "%.*s",
                    SLW_FMT(message));
}

/* What it said last, for whoever must find out. */
static struct slw_str
last_line(struct slw_str text)
{
    struct slw_str line = slw_str_trim(text);
    for (size_t i = line.len; i > 0; i--) {
        if (line.ptr[i - 1] == '\n') {
            line.ptr += i;
            line.len -= i;
            break;
        }
    }
    if (line.len > 200)
        line.len = 200;
    return line;
}

static enum slw_rc
result_read(const char *name, int64_t timeout_ms,
            const struct slw_proc_result *r, struct slw_buf *out,
            struct slw_err *err)
{
    if (r->timed_out)
        return slw_fail(err, SLW_TIMEOUT,
                        "the task '%s' took longer than %lld ms and was "
                        "stopped",
                        name, (long long)timeout_ms);
    const struct slw_str text = slw_str_trim(slw_buf_view(&r->out));
    const size_t head_len = sizeof(OK_HEAD) - 1;
    if (r->signal == 0 && r->exit_code == 0 && slw_str_starts(text, OK_HEAD) &&
        slw_str_ends(text, "}")) {
        slw_buf_add(out, text.ptr + head_len, text.len - head_len - 1);
        return slw_buf_check(out, err);
    }
    if (r->signal == 0 && slw_str_starts(text, "{\"error\":"))
        return error_read(text, err);
    const struct slw_str said = last_line(slw_buf_view(&r->errout));
    if (r->signal != 0)
        return slw_fail(err, SLW_INTERNAL,
                        "the task '%s' was ended by signal %d (%s): %.*s", name,
                        r->signal, strsignal(r->signal), SLW_FMT(said));
    return slw_fail(err, SLW_INTERNAL,
                    "the task '%s' ended with code %d and no answer: %.*s",
                    name, r->exit_code, SLW_FMT(said));
}

enum slw_rc
slw_task_run(struct slw_store *s, const char *name, struct slw_str spec_json,
             int64_t timeout_ms, struct slw_buf *out, struct slw_err *err)
{
    const char *argv[] = {jobs_exe(), "task",           name,
                          "--data",   slw_store_dir(s), NULL};
    const char *env[SLW_ARRAY_LEN(JOBS_CHILD_ENV) + 1] = {0};
    for (size_t i = 0; i < SLW_ARRAY_LEN(JOBS_CHILD_ENV); i++)
        env[i] = JOBS_CHILD_ENV[i];
    const struct slw_proc_spec spec = {
        .argv = argv,
        .env = env,
        .capture = true,
        .stdin_text = spec_json,
        .timeout_ms = timeout_ms,
    };
    SLW_AUTO(slw_proc_result, result);
    TRY(slw_proc_run(&spec, &result, err));
    return result_read(name, timeout_ms, &result, out, err);
}

/* ---- in the child ---- */

static enum slw_rc
stdin_read(struct slw_buf *out, struct slw_err *err)
{
    char piece[16384];
    for (;;) {
        const ssize_t n = read(STDIN_FILENO, piece, sizeof(piece));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return slw_fail(err, SLW_IO, "cannot read standard input: %s",
                            strerror(errno));
        if (n == 0)
            return slw_buf_check(out, err);
        slw_buf_add(out, piece, (size_t)n);
    }
}

static enum slw_rc
task_run(struct slw_store *s, const char *name,
         const struct slw_task_kind *kinds, size_t kind_count, void *app,
         struct slw_buf *out, struct slw_err *err)
{
    const struct slw_task_kind *kind = NULL;
    for (size_t i = 0; i < kind_count && !kind; i++)
        if (strcmp(kinds[i].name, name) == 0)
            kind = &kinds[i];
    if (!kind)
        return slw_fail(err, SLW_UNSUPPORTED,
                        "this Slipway has no task '%.100s'", name);
    SLW_AUTO(slw_buf, text);
    slw_buf_init(&text, JOBS_TASK_SPEC_SIZE_MAX);
    TRY(stdin_read(&text, err));
    SLW_AUTO(slw_json, spec);
    TRY(slw_json_parse(&spec, slw_buf_view(&text), err));
    SLW_AUTO(slw_arena, arena);
    struct slw_jw w;
    slw_jw_init(&w, out);
    slw_jw_obj(&w);
    slw_jw_key(&w, "ok");
    TRY(kind->fn(s, app, spec.root, &arena, &w, err));
    slw_jw_obj_end(&w);
    return slw_buf_check(out, err);
}

static void
error_write(const struct slw_err *e, struct slw_buf *out)
{
    struct slw_jw w;
    slw_buf_clear(out);
    slw_jw_init(&w, out);
    slw_jw_obj(&w);
    slw_jw_key(&w, "error");
    slw_jw_obj(&w);
    slw_jw_kz(&w, "rc", slw_rc_name(e->rc));
    slw_jw_kz(&w, "message", e->msg);
    slw_jw_obj_end(&w);
    slw_jw_obj_end(&w);
}

int
slw_task_child_main(struct slw_store *s, const char *name,
                    const struct slw_task_kind *kinds, size_t kind_count,
                    void *app)
{
    slw_proc_die_with_parent();
    SLW_AUTO(slw_buf, out);
    struct slw_err err;
    const enum slw_rc rc =
        task_run(s, name, kinds, kind_count, app, &out, &err);
    if (rc != SLW_OK) {
        out.overflow = false;
        error_write(&err, &out);
    }
    slw_buf_char(&out, '\n');
    struct slw_err ignored;
    if (slw_fd_write(STDOUT_FILENO, out.ptr, out.len, &ignored) != SLW_OK)
        return 2;
    return rc == SLW_OK ? 0 : 1;
}
