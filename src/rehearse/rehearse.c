/* rehearse.c -- the parent: a folder for the plan, a child a policy, and their
 * results in one table.
 *
 * The folder's name is the hash of all that decides the result (plan, files,
 * this program), so the same command finds what it began, goes on with it, and
 * shows what is there already. */
#include "rehearse/rehearse_internal.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/proc.h"

#define LOOK_MS 100

/* One thread, no spinning, a fixed kernel: results repeat bit for bit. */
static const char *const CHILD_ENV[] = {
    "OMP_WAIT_POLICY=passive", "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1",
    "OPENBLAS_CORETYPE=Haswell", NULL};

enum child_state { WAITING, RUNNING, DONE, STOPPED, FAILED };

struct child {
    struct slw_str name;
    enum child_state state;
    pid_t pid;
    double share;
    char at[SLW_TIME_TEXT_SIZE];
};

struct rehearsal {
    const struct slw_rehearse_options *opt;
    struct slw_arena *a;
    struct slw_str plan_text;
    struct slw_json plan;
    char id[SLW_SHA256_HEX_SIZE + 64];
    const char *dir;
    struct child *children;
    size_t child_count;
};

static void
rehearsal_done(struct rehearsal *r)
{
    slw_json_done(&r->plan);
}

/* ---- which folder ---- */

static enum slw_rc
file_add(struct slw_hasher *h, const char *path, struct slw_err *err)
{
    static _Thread_local char piece[1 << 16];
    FILE *f = fopen(path, "rbe");
    if (!f)
        return slw_fail(err, SLW_INVALID, "cannot read %s: %s", path,
                        strerror(errno));
    size_t n = 0;
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        slw_hasher_add(h, piece, n);
    const bool bad = ferror(f);
    (void)fclose(f);
    return bad ? slw_fail(err, SLW_IO, "cannot read %s", path) : SLW_OK;
}

static enum slw_rc
inputs_add(struct rehearsal *r, struct slw_hasher *h, struct slw_err *err)
{
    const struct json_t *sources = slw_json_get(r->plan.root, "sources");
    slw_hasher_add(h, r->plan_text.ptr, r->plan_text.len);
    TRY(file_add(h, slw_proc_self_path(), err));
    for (void *it = slw_json_iter(sources); it;
         it = slw_json_next(sources, it)) {
        struct slw_str path;
        TRY(slw_json_need_str(slw_json_iter_value(it), "path", &path, err));
        if (file_add(h, slw_arena_strz(r->a, path), err) != SLW_OK)
            return slw_err_prefix(
                err, "source '%.*s': ", SLW_FMT(slw_json_iter_key(it)));
    }
    return SLW_OK;
}

static enum slw_rc
id_make(struct rehearsal *r, struct slw_err *err)
{
    char hex[SLW_SHA256_HEX_SIZE], from[SLW_TIME_TEXT_SIZE],
        to[SLW_TIME_TEXT_SIZE];
    struct slw_str deployment;
    struct slw_hasher h = {0};
    slw_hasher_init(&h);
    const enum slw_rc rc = inputs_add(r, &h, err);
    const struct slw_sha256 sum = slw_hasher_end(&h);
    slw_hasher_done(&h);
    TRY(rc);
    TRY(slw_json_need_str(r->plan.root, "deployment", &deployment, err));
    (void)slw_sha256_hex(&sum, hex);
    snprintf(r->id, sizeof r->id, "%.40s-%s-%s-%.10s",
             slw_arena_strz(r->a, deployment),
             slw_date_text(r->opt->from_ms, from),
             slw_date_text(r->opt->to_ms, to), hex);
    r->dir = slw_path(r->a, r->opt->root, "%s", r->id);
    return SLW_OK;
}

static enum slw_rc
plan_make(struct rehearsal *r, struct slw_err *err)
{
    TRY(rehearse_plan(r->opt, r->a, &r->plan_text, err));
    TRY(slw_json_parse(&r->plan, r->plan_text, err));
    TRY(id_make(r, err));
    if (r->opt->again)
        TRY(slw_dir_remove(r->dir, err));
    TRY(slw_dir_make(r->dir, err));
    return slw_file_put(slw_path(r->a, r->dir, "plan.json"), r->plan_text, err);
}

/* ---- children ---- */

static enum slw_rc
child_start(struct rehearsal *r, struct child *c, struct slw_err *err)
{
    const char *exe = getenv("SLIPWAY_EXE");
    const char *name = slw_arena_strz(r->a, c->name);
    const char *argv[] = {exe && *exe ? exe : slw_proc_self_path(),
                          "rehearse-child", r->dir, name, NULL};
    const struct slw_proc_spec spec = {
        .argv = argv,
        .env = CHILD_ENV,
        .log_path = slw_path(r->a, r->dir, "%s.log", name)};
    TRY(slw_file_remove(slw_path(r->a, r->dir, "%s.error", name), err));
    TRY(slw_proc_start(&spec, &c->pid, err));
    c->state = RUNNING;
    return SLW_OK;
}

static void
child_look(struct rehearsal *r, struct child *c)
{
    struct slw_err ignored;
    SLW_AUTO(slw_buf, text);
    const char *name = slw_arena_strz(r->a, c->name);
    int status = 0;
    if (slw_file_get(slw_path(r->a, r->dir, "%s.progress", name), 256, &text,
                     &ignored) == SLW_OK) {
        struct slw_str share, day;
        slw_str_cut(slw_str_trim(slw_buf_view(&text)), ' ', &share, &day);
        c->share = strtod(slw_arena_strz(r->a, share), NULL);
        snprintf(c->at, sizeof c->at, "%.*s", SLW_FMT(day));
    }
    if (waitpid(c->pid, &status, WNOHANG) != c->pid)
        return;
    c->pid = 0;
    c->state = FAILED;
    if (WIFEXITED(status) && WEXITSTATUS(status) == REHEARSE_DONE) {
        c->state = DONE;
        c->share = 1;
    } else if ((WIFEXITED(status) && WEXITSTATUS(status) == REHEARSE_STOPPED) ||
               (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM)) {
        c->state = STOPPED; /* the second: before it could listen */
    }
}

/* Its own sentence, or where its last words are. */
static enum slw_rc
child_fail(struct rehearsal *r, const struct child *c, struct slw_err *err)
{
    struct slw_err ignored;
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_json, doc);
    struct slw_str message;
    const char *name = slw_arena_strz(r->a, c->name);
    if (slw_file_get(slw_path(r->a, r->dir, "%s.error", name), 1 << 16, &text,
                     &ignored) == SLW_OK &&
        slw_json_parse(&doc, slw_buf_view(&text), &ignored) == SLW_OK &&
        slw_json_need_str(doc.root, "message", &message, &ignored) == SLW_OK) {
        const int64_t rc = slw_json_i64_or(slw_json_get(doc.root, "rc"), 0);
        return slw_fail(
            err, rc > 0 && rc < SLW_RC_COUNT ? (enum slw_rc)rc : SLW_INTERNAL,
            "%s%s: %.*s", strcmp(name, "base") ? "policy " : "",
            strcmp(name, "base") ? name : "data", SLW_FMT(message));
    }
    return slw_fail(err, SLW_INTERNAL,
                    "the process of '%s' ended without a word; see %s/%s.log",
                    name, r->dir, name);
}

static void
children_stop(struct rehearsal *r, int sig)
{
    for (size_t i = 0; i < r->child_count; i++)
        if (r->children[i].state == RUNNING)
            slw_proc_signal(r->children[i].pid, sig);
}

static void
children_kill(struct rehearsal *r)
{
    children_stop(r, SIGKILL);
    for (size_t i = 0; i < r->child_count; i++)
        if (r->children[i].state == RUNNING)
            (void)waitpid(r->children[i].pid, NULL, 0);
}

static void
progress_tell(struct rehearsal *r)
{
    double share = 0;
    SLW_AUTO(slw_buf, line);
    if (!r->opt->progress)
        return;
    for (size_t i = 0; i < r->child_count; i++) {
        const struct child *c = &r->children[i];
        share += c->share / (double)r->child_count;
        slw_buf_printf(&line, "%s%.*s %s", i ? " | " : "", SLW_FMT(c->name),
                       c->state == DONE      ? "done"
                       : c->state == WAITING ? "waits"
                       : c->at[0]            ? c->at
                                             : "begins");
    }
    r->opt->progress(r->opt->progress_ctx, share, slw_buf_view(&line));
}

static bool
stop_wanted(const struct rehearsal *r)
{
    return r->opt->stop && *r->opt->stop;
}

/* Start what may start, look at what runs.  Out  *running: how many */
static enum slw_rc
children_turn(struct rehearsal *r, int *running, bool *stopping,
              struct slw_err *err)
{
    *running = 0;
    for (size_t i = 0; i < r->child_count; i++) {
        struct child *c = &r->children[i];
        if (c->state == RUNNING)
            child_look(r, c);
        if (c->state == FAILED)
            return child_fail(r, c, err);
        *running += c->state == RUNNING;
    }
    for (size_t i = 0; i < r->child_count; i++) {
        struct child *c = &r->children[i];
        if (*stopping || c->state != WAITING ||
            *running >= r->opt->worker_count)
            continue;
        TRY(child_start(r, c, err));
        ++*running;
    }
    if (stop_wanted(r) && !*stopping) {
        *stopping = true;
        children_stop(r, SIGTERM);
    }
    return SLW_OK;
}

static enum slw_rc
children_run(struct rehearsal *r, struct slw_err *err)
{
    bool stopping = false;
    for (;;) {
        int running = 0;
        const enum slw_rc rc = children_turn(r, &running, &stopping, err);
        if (rc != SLW_OK) {
            children_kill(r);
            return rc;
        }
        progress_tell(r);
        if (running == 0)
            return SLW_OK;
        nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
    }
}

static enum slw_rc
base_run(struct rehearsal *r, struct slw_err *err)
{
    struct child base = {.name = SLW_STR("base")};
    r->children = &base;
    r->child_count = 1;
    const enum slw_rc rc = children_run(r, err);
    r->children = NULL;
    r->child_count = 0;
    return rc;
}

/* The longest first: what the project does by itself, and what files add. */
static enum slw_rc
policies_run(struct rehearsal *r, struct slw_err *err)
{
    const struct json_t *list = slw_json_get(r->plan.root, "policies");
    const size_t count = slw_json_len(list);
    r->children = SLW_ARENA_NEW(r->a, struct child, count + 1);
    for (int gated = 1; gated >= 0; gated--)
        for (size_t i = 0; i < count; i++) {
            const struct json_t *p = slw_json_at(list, i);
            const struct slw_str start =
                slw_json_str_or(slw_json_get(p, "start"), SLW_STR(""));
            if (slw_str_eqz(start, "gate") == (gated == 1))
                r->children[r->child_count++].name =
                    slw_json_str_or(slw_json_get(p, "name"), SLW_STR(""));
        }
    return children_run(r, err);
}

/* ---- results ---- */

static enum slw_rc
policy_result(struct rehearsal *r, struct slw_str name, struct slw_jw *w,
              bool *complete, struct slw_err *err)
{
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_json, doc);
    const enum slw_rc rc =
        slw_file_get(slw_path(r->a, r->dir, "%.*s.json", SLW_FMT(name)),
                     REHEARSE_FILE_MAX, &text, err);
    if (rc == SLW_NOT_FOUND) { /* stopped before its first day */
        *complete = false;
        return SLW_OK;
    }
    TRY(rc);
    TRY(slw_json_parse(&doc, slw_buf_view(&text), err));
    *complete &= slw_json_bool_or(slw_json_get(doc.root, "complete"), false);
    slw_jw_raw(w, slw_str_trim(slw_buf_view(&text)));
    return SLW_OK;
}

static enum slw_rc
result_make(struct rehearsal *r, int64_t made_at_ms, struct slw_str *out,
            struct slw_err *err)
{
    static const char *const same[] = {"project", "deployment"};
    const struct json_t *list = slw_json_get(r->plan.root, "policies");
    char day[SLW_TIME_TEXT_SIZE];
    bool complete = true;
    SLW_AUTO(slw_buf, policies);
    SLW_AUTO(slw_buf, text);
    struct slw_jw p, w;
    slw_jw_init(&p, &policies);
    slw_jw_arr(&p);
    for (size_t i = 0; i < slw_json_len(list); i++)
        TRY(policy_result(
            r,
            slw_json_str_or(slw_json_get(slw_json_at(list, i), "name"),
                            SLW_STR("")),
            &p, &complete, err));
    slw_jw_arr_end(&p);
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "id", r->id);
    slw_jw_kz(&w, "dir", r->dir);
    slw_jw_kbool(&w, "complete", complete);
    for (size_t i = 0; i < SLW_ARRAY_LEN(same); i++)
        slw_jw_kstr(
            &w, same[i],
            slw_json_str_or(slw_json_get(r->plan.root, same[i]), SLW_STR("")));
    slw_jw_kz(&w, "from", slw_date_text(r->opt->from_ms, day));
    slw_jw_kz(&w, "to", slw_date_text(r->opt->to_ms, day));
    slw_jw_ki64(&w, "requests", r->opt->requests);
    slw_jw_ki64(&w, "made_at_ms", made_at_ms);
    slw_jw_kraw(&w, "policies", slw_buf_view(&policies));
    slw_jw_obj_end(&w);
    TRY(slw_buf_check(&text, err));
    *out = slw_arena_str(r->a, slw_buf_view(&text));
    return slw_file_put(slw_path(r->a, r->dir, "result.json"), *out, err);
}

/* Out  "" where there is none, or it was stopped */
static enum slw_rc
result_there(struct rehearsal *r, struct slw_str *out, struct slw_err *err)
{
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_json, doc);
    *out = SLW_STR("");
    const enum slw_rc rc = slw_file_get(slw_path(r->a, r->dir, "result.json"),
                                        REHEARSE_FILE_MAX, &text, err);
    if (rc == SLW_NOT_FOUND)
        return SLW_OK;
    TRY(rc);
    TRY(slw_json_parse(&doc, slw_buf_view(&text), err));
    if (slw_json_bool_or(slw_json_get(doc.root, "complete"), false))
        *out = slw_arena_str(r->a, slw_buf_view(&text));
    return SLW_OK;
}

enum slw_rc
slw_rehearse(const struct slw_rehearse_options *opt, struct slw_arena *a,
             struct slw_str *out_json, struct slw_err *err)
{
    struct timespec now;
    SLW_AUTO(rehearsal, r);
    r.opt = opt;
    r.a = a;
    if (opt->worker_count < 1 || opt->worker_count > SLW_REHEARSE_WORKERS_MAX)
        return slw_fail(err, SLW_INVALID, "workers must be 1 to %d",
                        SLW_REHEARSE_WORKERS_MAX);
    TRY(plan_make(&r, err));
    TRY(result_there(&r, out_json, err));
    if (out_json->len)
        return SLW_OK;
    TRY(base_run(&r, err));
    TRY(policies_run(&r, err));
    /* When the result was made is for people, and no part of it. */
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return result_make(&r, (int64_t)now.tv_sec * 1000, out_json, err);
}

/* ---- the child ---- */

static volatile int child_stop;

static void
on_term(int sig)
{
    (void)sig;
    child_stop = 1;
}

static enum slw_rc
policy_find(const struct json_t *plan, const char *name,
            const struct json_t **out, struct slw_err *err)
{
    const struct json_t *list = slw_json_get(plan, "policies");
    for (size_t i = 0; i < slw_json_len(list); i++) {
        *out = slw_json_at(list, i);
        if (slw_str_eqz(
                slw_json_str_or(slw_json_get(*out, "name"), SLW_STR("")), name))
            return SLW_OK;
    }
    return slw_fail(err, SLW_NOT_FOUND, "the plan has no policy '%s'", name);
}

static enum slw_rc
child_run(const char *dir, const char *name, bool *out_stopped,
          struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_buf, text);
    SLW_AUTO(slw_json, plan);
    const struct json_t *policy = NULL;
    TRY(slw_file_get(slw_path(&a, dir, "plan.json"), REHEARSE_FILE_MAX, &text,
                     err));
    TRY(slw_json_parse(&plan, slw_buf_view(&text), err));
    if (strcmp(name, "base") == 0)
        return rehearse_base_make(dir, plan.root, err);
    TRY(policy_find(plan.root, name, &policy, err));
    return rehearse_policy_run(dir, plan.root, policy, &child_stop, out_stopped,
                               err);
}

static void
error_leave(const char *dir, const char *name, const struct slw_err *why)
{
    struct slw_err ignored;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_log_err(SLW_LOG_ERROR, "rehearse.failed", why);
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    slw_jw_ki64(&w, "rc", why->rc);
    slw_jw_kz(&w, "message", why->msg);
    slw_jw_obj_end(&w);
    (void)!slw_file_put(slw_path(&a, dir, "%s.error", name),
                        slw_buf_view(&text), &ignored);
}

int
slw_rehearse_child_main(const char *dir, const char *name)
{
    struct slw_err err;
    bool stopped = false;
    slw_proc_die_with_parent();
    slw_file_relax(); /* all of it can be made again */
    slw_log_level_set(SLW_LOG_WARN);
    struct sigaction sa = {.sa_handler = on_term};
    (void)sigaction(SIGTERM, &sa, NULL);
    if (child_run(dir, name, &stopped, &err) == SLW_OK)
        return stopped ? REHEARSE_STOPPED : REHEARSE_DONE;
    error_leave(dir, name, &err);
    return REHEARSE_FAILED;
}
