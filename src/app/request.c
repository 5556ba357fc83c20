/* request.c -- the command line's side of the REST API: requests, uploads,
 * downloads, and waiting for jobs with progress.
 *
 * Progress goes to standard error: a bar that redraws itself on a terminal, a
 * line now and then elsewhere.  Results go to standard output. */
#include "app/app.h"
#include "base/clock.h"
#include "base/file.h"
#include "net/client.h"

#include <unistd.h>

#define PLAIN_EVERY_NS ((int64_t)2000000000)
#define BAR_WIDTH 28

/* The server's own sentence, whatever dialect it came in. */
static void
sentence_of(const struct slw_reply *reply, struct slw_err *err)
{
    SLW_AUTO(slw_json, doc);
    struct slw_err ignored;
    struct slw_str msg = SLW_STR("");
    if (slw_json_parse(&doc, slw_buf_view(&reply->body), &ignored) == SLW_OK) {
        msg = slw_json_str_or(slw_json_get(doc.root, "error"), SLW_STR(""));
        if (msg.len == 0)
            msg =
                slw_json_str_or(slw_json_get(doc.root, "message"), SLW_STR(""));
    }
    enum slw_rc rc = reply->status == 404   ? SLW_NOT_FOUND
                     : reply->status == 409 ? SLW_CONFLICT
                     : reply->status < 500  ? SLW_INVALID
                                            : SLW_INTERNAL;
    if (msg.len)
        slw_fail(err, rc, "%.*s", SLW_FMT(msg));
    else
        slw_fail(err, rc, "the server answered %d", reply->status);
}

/* A header with the token from SLIPWAY_TOKEN, or NULL. */
static const char *
authorization(struct app_args *a)
{
    const char *token = getenv("SLIPWAY_TOKEN");
    return token && *token
               ? slw_arena_printf(&a->arena, "Authorization: Bearer %s", token)
                     .ptr
               : NULL;
}

static enum slw_rc
call(struct app_args *a, struct slw_call *c, const char *path,
     struct slw_reply *reply, struct slw_err *err)
{
    const char *headers[] = {authorization(a), NULL};
    c->url = slw_arena_printf(&a->arena, "%s%s", a->url, path).ptr;
    c->headers = headers;
    TRY(slw_call(c, reply, err));
    if (reply->status >= 300) {
        sentence_of(reply, err);
        return err->rc;
    }
    return SLW_OK;
}

static enum slw_rc
request_send(struct app_args *a, const char *method, const char *path,
             struct slw_str body, struct slw_buf *out, struct slw_err *err)
{
    SLW_AUTO(slw_reply, reply);
    struct slw_call c = {.method = method, .body = body, .timeout_ms = 300000};
    TRY(call(a, &c, path, &reply, err));
    slw_buf_str(out, slw_buf_view(&reply.body));
    return slw_buf_check(out, err);
}

enum slw_rc
app_request_json(struct app_args *a, const char *method, const char *path,
                 struct slw_str body, struct slw_json *out, struct slw_err *err)
{
    SLW_AUTO(slw_buf, text);
    TRY(request_send(a, method, path, body, &text, err));
    return slw_json_parse(out, slw_buf_view(&text), err);
}

/* ---- progress ---- */

void
app_meter_start(struct app_meter *m, const char *what)
{
    *m = (struct app_meter){.what = what,
                            .begin_ns = slw_mono_ns(),
                            .terminal = isatty(STDERR_FILENO) == 1};
}

static void
draw_bar(const struct app_meter *m, double share, const char *note,
         double left_s)
{
    char bar[BAR_WIDTH + 1];
    int full = (int)(share * BAR_WIDTH);
    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < full ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r\033[K%s [%s] %3.0f %%", m->what, bar, share * 100);
    if (left_s >= 0)
        fprintf(stderr, ", %.0f s left", left_s);
    if (*note)
        fprintf(stderr, "  %.60s", note);
    fflush(stderr);
}

void
app_meter_show(struct app_meter *m, double share, const char *note)
{
    int64_t now = slw_mono_ns();
    int64_t gap = m->terminal ? 100000000 : PLAIN_EVERY_NS;
    if (now - m->shown_ns < gap && m->shown_ns)
        return;
    if (!m->terminal && now - m->begin_ns < PLAIN_EVERY_NS)
        return;
    m->shown_ns = now;
    m->drawn = true;
    double spent_s = (double)(now - m->begin_ns) * 1e-9;
    double left_s = share > 0.02 ? spent_s * (1 - share) / share : -1;
    if (m->terminal)
        draw_bar(m, share, note, left_s);
    else
        fprintf(stderr, "%s: %.0f %% %s\n", m->what, share * 100, note);
}

void
app_meter_end(const struct app_meter *m)
{
    if (m->terminal && m->drawn)
        fprintf(stderr, "\r\033[K");
}

static void
transfer_progress(void *ctx, int64_t done, int64_t total)
{
    struct app_meter *m = ctx;
    char note[64];
    double spent_s = (double)(slw_mono_ns() - m->begin_ns) * 1e-9;
    snprintf(note, sizeof note, "%.1f MB/s",
             spent_s > 0 ? (double)done * 1e-6 / spent_s : 0.0);
    app_meter_show(m, total > 0 ? (double)done / (double)total : 0, note);
}

enum slw_rc
app_upload(struct app_args *a, const char *path, char out_hash[65],
           struct slw_err *err)
{
    struct app_meter m;
    app_meter_start(&m, slw_arena_printf(&a->arena, "sending %s", path).ptr);
    int64_t size = 0;
    TRY(slw_file_size(path, &size, err));
    if (size == 0)
        return slw_fail(err, SLW_INVALID, "%s is empty", path);
    SLW_AUTO(slw_reply, reply);
    struct slw_call c = {.method = "POST",
                         .body_path = path,
                         .content_type = "application/octet-stream",
                         .timeout_ms = -1,
                         .progress = transfer_progress,
                         .progress_ctx = &m};
    enum slw_rc rc = call(a, &c, "/api/v1/uploads", &reply, err);
    app_meter_end(&m);
    TRY(rc);
    SLW_AUTO(slw_json, doc);
    struct slw_str hash;
    TRY(slw_json_parse(&doc, slw_buf_view(&reply.body), err));
    TRY(slw_json_need_str(doc.root, "upload", &hash, err));
    snprintf(out_hash, 65, "%.*s", SLW_FMT(hash));
    return SLW_OK;
}

enum slw_rc
app_download(struct app_args *a, const char *path, const char *out_path,
             struct slw_err *err)
{
    struct app_meter m;
    app_meter_start(&m,
                    slw_arena_printf(&a->arena, "getting %s", out_path).ptr);
    SLW_AUTO(slw_reply, reply);
    struct slw_call c = {.method = "GET",
                         .out_path = out_path,
                         .timeout_ms = -1,
                         .progress = transfer_progress,
                         .progress_ctx = &m};
    enum slw_rc rc = call(a, &c, path, &reply, err);
    app_meter_end(&m);
    return rc;
}

/* ---- jobs ---- */

static bool
has_ended(struct slw_str state)
{
    return !slw_str_eqz(state, "queued") && !slw_str_eqz(state, "running");
}

static enum slw_rc
job_outcome(const struct json_t *job, struct slw_err *err)
{
    struct slw_str state =
        slw_json_str_or(slw_json_get(job, "state"), SLW_STR(""));
    if (slw_str_eqz(state, "succeeded"))
        return SLW_OK;
    struct slw_str msg = slw_json_str_or(
        slw_json_get(slw_json_get(job, "error"), "message"), SLW_STR(""));
    if (msg.len)
        return slw_fail(err, SLW_INVALID, "%.*s", SLW_FMT(msg));
    return slw_fail(err, SLW_CONFLICT, "job %lld was %.*s",
                    (long long)slw_json_i64_or(slw_json_get(job, "id"), 0),
                    SLW_FMT(state));
}

enum slw_rc
app_job_wait(struct app_args *a, int64_t id, struct slw_json *out_job,
             struct slw_err *err)
{
    struct app_meter m;
    app_meter_start(&m,
                    slw_arena_printf(&a->arena, "job %lld", (long long)id).ptr);
    const char *path =
        slw_arena_printf(&a->arena, "/api/v1/jobs/%lld?wait_ms=%d",
                         (long long)id, m.terminal ? 200 : 2000)
            .ptr;
    for (;;) {
        SLW_AUTO(slw_json, doc);
        TRY(app_request_json(a, "GET", path, SLW_STR(""), &doc, err));
        struct slw_str state =
            slw_json_str_or(slw_json_get(doc.root, "state"), SLW_STR(""));
        if (has_ended(state)) {
            app_meter_end(&m);
            TRY(job_outcome(doc.root, err));
            *out_job = doc;
            doc.root = NULL;
            return SLW_OK;
        }
        struct slw_str note =
            slw_json_str_or(slw_json_get(doc.root, "note"), SLW_STR(""));
        char text[128];
        snprintf(text, sizeof text, "%.*s", SLW_FMT(note));
        app_meter_show(
            &m, slw_json_f64_or(slw_json_get(doc.root, "progress"), 0), text);
    }
}

const char *
app_segment(struct app_args *a, const char *text)
{
    SLW_AUTO(slw_buf, b);
    slw_url_encode(&b, slw_str_of(text));
    return slw_arena_strz(&a->arena, slw_buf_view(&b));
}

const char *
app_text(struct app_args *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    struct slw_str s = slw_arena_vprintf(&a->arena, fmt, args);
    va_end(args);
    return s.ptr;
}

void
app_key_option(struct app_args *a, struct slw_jw *w, const char *option,
               const char *key)
{
    const char *value = app_option(a, option);
    if (value)
        slw_jw_kz(w, key, value);
}

int
app_post_show(struct app_args *a, const char *method, const char *path,
              struct slw_buf *body, const char *rows, const char *columns)
{
    struct slw_err err;
    SLW_AUTO(slw_json, doc);
    if (app_request_json(a, method, path, slw_buf_view(body), &doc, &err) !=
        SLW_OK)
        return app_error(a, &err);
    app_show(a, doc.root, rows, columns);
    return APP_OK;
}

int
app_post_job(struct app_args *a, const char *path, struct slw_buf *body,
             const char *rows, const char *columns)
{
    struct slw_err err;
    SLW_AUTO(slw_json, started);
    if (app_request_json(a, "POST", path, slw_buf_view(body), &started, &err) !=
        SLW_OK)
        return app_error(a, &err);
    if (app_option(a, "no-wait")) {
        app_show(a, started.root, NULL, NULL);
        return APP_OK;
    }
    SLW_AUTO(slw_json, job);
    if (app_job_wait(a, slw_json_i64_or(slw_json_get(started.root, "job"), 0),
                     &job, &err) != SLW_OK)
        return app_error(a, &err);
    app_show(a, slw_json_get(job.root, "result"), rows, columns);
    return APP_OK;
}
