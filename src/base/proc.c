/* proc.c -- child processes.
 *
 * Standard input comes from a memory file and output goes to pipes that one
 * poll() watches together with the child's pidfd: nothing can block on the
 * other side, no SIGPIPE can arise, and no thread is needed.
 *
 * States of a run:
 *   running --deadline, cancel--> asked (TERM) --2 s--> killed (KILL)
 *      \___________________ exited: rest of the group killed, pipes drained */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base_internal.h"
#include "base/clock.h"
#include "base/file.h"

#define FAIL(err, what, path)                                                  \
    base_fail_errno((err), __FILE_NAME__ ":" SLW_STRINGIFY(__LINE__), (what),  \
                    (path), errno)

#define OUT_SIZE_MAX ((size_t)64 << 20)
#define ERR_SIZE_MAX ((size_t)1 << 20)
#define KILL_AFTER_MS 2000 /* between TERM and KILL */
#define DRAIN_MS 1000      /* for what is still in the pipes after the end */
#define CANCEL_POLL_MS 50
#define PARENT_VAR "SLIPWAY_PARENT_PID"

/* ---- descriptors ---- */

/* What a child is given, and our ends of it.  Zero means none. */
struct proc_fds {
    int in, out, err;          /* the child's, plus 1 */
    int out_read, errout_read; /* ours, plus 1 */
    int pidfd;                 /* plus 1 */
};

static void
fd_drop(int *fd_plus_1)
{
    if (*fd_plus_1)
        close(*fd_plus_1 - 1);
    *fd_plus_1 = 0;
}

static void
proc_fds_done(struct proc_fds *f)
{
    fd_drop(&f->in);
    fd_drop(&f->out);
    fd_drop(&f->err);
    fd_drop(&f->out_read);
    fd_drop(&f->errout_read);
    fd_drop(&f->pidfd);
}

/* Move a descriptor past 0..2, where it would be in the way of dup2. */
static int
fd_high(int fd)
{
    if (fd < 0 || fd > 2)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int why = errno;
    close(fd);
    errno = why;
    return high;
}

static enum slw_rc
pipe_make(int *read_plus_1, int *write_plus_1, struct slw_err *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return FAIL(err, "make", "pipe");
    fds[0] = fd_high(fds[0]);
    *read_plus_1 = fds[0] + 1;
    fds[1] = fd_high(fds[1]);
    *write_plus_1 = fds[1] + 1;
    if (fds[0] < 0 || fds[1] < 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0)
        return FAIL(err, "make", "pipe");
    return SLW_OK;
}

static enum slw_rc
stdin_make(struct slw_str text, int *out_plus_1, struct slw_err *err)
{
    int fd = text.len ? memfd_create("stdin", MFD_CLOEXEC)
                      : open("/dev/null", O_RDONLY | O_CLOEXEC);
    fd = fd_high(fd);
    if (fd < 0)
        return FAIL(err, "open", "standard input of a child");
    *out_plus_1 = fd + 1;
    if (!text.len)
        return SLW_OK;
    TRY(slw_fd_write(fd, text.ptr, text.len, err));
    if (lseek(fd, 0, SEEK_SET) != 0)
        return FAIL(err, "rewind", "standard input of a child");
    return SLW_OK;
}

static enum slw_rc
fds_make(const struct slw_proc_spec *spec, struct proc_fds *f,
         struct slw_err *err)
{
    TRY(stdin_make(spec->stdin_text, &f->in, err));
    if (spec->capture) {
        TRY(pipe_make(&f->out_read, &f->out, err));
        TRY(pipe_make(&f->errout_read, &f->err, err));
    } else if (spec->log_path) {
        int fd = fd_high(open(spec->log_path,
                              O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
        if (fd < 0)
            return FAIL(err, "open log", spec->log_path);
        f->out = fd + 1;
    }
    return SLW_OK;
}

/* ---- environment ---- */

struct proc_env {
    const char **list; /* borrowed strings */
    char parent[40];
};

static void
proc_env_done(struct proc_env *e)
{
    slw_free(e->list);
    e->list = NULL;
}

static bool
same_variable(const char *a, const char *b)
{
    size_t len = strcspn(a, "=");
    return len == strcspn(b, "=") && memcmp(a, b, len) == 0;
}

static void
env_put(struct proc_env *e, size_t *count, const char *pair)
{
    for (size_t i = 0; i < *count; i++) {
        if (same_variable(e->list[i], pair)) {
            e->list[i] = pair;
            return;
        }
    }
    e->list[(*count)++] = pair;
}

static void
env_make(struct proc_env *e, const char *const *added)
{
    size_t ours = 0, theirs = 0, count = 0;
    while (environ[ours])
        ours++;
    while (added && added[theirs])
        theirs++;
    e->list = slw_alloc((ours + theirs + 2) * sizeof *e->list);
    for (; count < ours; count++)
        e->list[count] = environ[count];
    snprintf(e->parent, sizeof e->parent, PARENT_VAR "=%ld", (long)getpid());
    env_put(e, &count, e->parent);
    for (size_t i = 0; i < theirs; i++)
        env_put(e, &count, added[i]);
    e->list[count] = NULL;
}

/* ---- spawning ---- */

struct proc_plan {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    bool ready;
};

static void
proc_plan_done(struct proc_plan *p)
{
    if (!p->ready)
        return;
    posix_spawn_file_actions_destroy(&p->actions);
    posix_spawnattr_destroy(&p->attr);
    p->ready = false;
}

/* Calls that can only fail for want of memory. */
static void
must(int rc)
{
    SLW_ASSERT(rc == 0);
}

static void
plan_make(struct proc_plan *p, const struct slw_proc_spec *spec,
          const struct proc_fds *f)
{
    must(posix_spawn_file_actions_init(&p->actions));
    must(posix_spawnattr_init(&p->attr));
    p->ready = true;
    must(posix_spawn_file_actions_adddup2(&p->actions, f->in - 1, 0));
    if (f->out) {
        int err_fd = f->err ? f->err : f->out;
        must(posix_spawn_file_actions_adddup2(&p->actions, f->out - 1, 1));
        must(posix_spawn_file_actions_adddup2(&p->actions, err_fd - 1, 2));
    }
    must(posix_spawn_file_actions_addclosefrom_np(&p->actions, 3));
    if (spec->dir)
        must(posix_spawn_file_actions_addchdir_np(&p->actions, spec->dir));

    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    must(posix_spawnattr_setsigmask(&p->attr, &none));
    must(posix_spawnattr_setsigdefault(&p->attr, &all));
    must(posix_spawnattr_setpgroup(&p->attr, 0));
    must(posix_spawnattr_setflags(&p->attr, POSIX_SPAWN_SETPGROUP |
                                                POSIX_SPAWN_SETSIGMASK |
                                                POSIX_SPAWN_SETSIGDEF));
}

/* argv and environ are not const in POSIX, but are not written to. */
static char *const *
unconst(const char *const *list)
{
    union {
        const char *const *in;
        char *const *out;
    } cast = {.in = list};
    return cast.out;
}

static enum slw_rc
spawn(const struct slw_proc_spec *spec, struct proc_fds *f, pid_t *out_pid,
      struct slw_err *err)
{
    SLW_ASSERT(spec->argv);
    SLW_ASSERT(spec->argv[0]);
    struct stat st;
    if (spec->dir && stat(spec->dir, &st) != 0)
        return FAIL(err, "start a program in folder", spec->dir);
    TRY(fds_make(spec, f, err));
    SLW_AUTO(proc_env, env);
    env_make(&env, spec->env);
    SLW_AUTO(proc_plan, plan);
    plan_make(&plan, spec, f);
    pid_t pid;
    int rc = posix_spawnp(&pid, spec->argv[0], &plan.actions, &plan.attr,
                          unconst(spec->argv), unconst(env.list));
    fd_drop(&f->in);
    fd_drop(&f->out);
    fd_drop(&f->err);
    if (rc == ENOENT)
        return slw_fail(err, SLW_NOT_FOUND, "there is no program '%s'",
                        spec->argv[0]);
    if (rc != 0) {
        errno = rc;
        return FAIL(err, "start program", spec->argv[0]);
    }
    *out_pid = pid;
    return SLW_OK;
}

void
slw_proc_signal(pid_t pid, int sig)
{
    /* kill(-1) and kill(0) would reach far more than one child. */
    SLW_ASSERT(pid > 1);
    if (kill(-pid, sig) != 0)
        SLW_ASSERT(errno == ESRCH || errno == EPERM);
}

enum slw_rc
slw_proc_start(const struct slw_proc_spec *spec, pid_t *out_pid,
               struct slw_err *err)
{
    SLW_ASSERT(!spec->capture); /* nobody would read it */
    SLW_AUTO(proc_fds, fds);
    return spawn(spec, &fds, out_pid, err);
}

/* ---- a run, watched ---- */

struct run {
    const struct slw_proc_spec *spec;
    struct proc_fds fds;
    pid_t pid; /* 0: none, or reaped */
    struct slw_proc_result result;
    int64_t start_ms;
    int64_t asked_ms; /* when TERM was sent; 0: not yet */
    bool killed;
};

static int64_t
now_mono_ms(void)
{
    return slw_mono_ns() / 1000000;
}

static void
run_done(struct run *r)
{
    if (r->pid) { /* left by an error: nothing may survive it */
        int status;
        slw_proc_signal(r->pid, SIGKILL);
        while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
            ;
        r->pid = 0;
    }
    proc_fds_done(&r->fds);
    slw_proc_result_done(&r->result);
}

/* Read what is there; closes the pipe at its end. */
static void
pipe_drain(int *fd_plus_1, struct slw_buf *into)
{
    char piece[65536];
    while (*fd_plus_1) {
        ssize_t n = read(*fd_plus_1 - 1, piece, sizeof piece);
        if (n > 0) {
            slw_buf_add(into, piece, (size_t)n);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        fd_drop(fd_plus_1);
    }
}

/* Wait for output, the end or `wait_ms`; true when the child has ended. */
static bool
run_poll(struct run *r, bool ended, int64_t wait_ms)
{
    struct pollfd p[3] = {
        {.fd = ended ? -1 : r->fds.pidfd - 1, .events = POLLIN},
        {.fd = r->fds.out_read - 1, .events = POLLIN},
        {.fd = r->fds.errout_read - 1, .events = POLLIN},
    };
    if (wait_ms > INT_MAX)
        wait_ms = INT_MAX;
    if (poll(p, 3, (int)wait_ms) <= 0)
        return false;
    if (p[1].revents)
        pipe_drain(&r->fds.out_read, &r->result.out);
    if (p[2].revents)
        pipe_drain(&r->fds.errout_read, &r->result.errout);
    return p[0].revents != 0;
}

/* Send TERM or KILL when it is time; returns how long to wait, -1: for ever. */
static int64_t
run_stop_if_due(struct run *r)
{
    const struct slw_proc_spec *spec = r->spec;
    int64_t now = now_mono_ms(), wait = -1;
    if (r->killed)
        return -1;
    if (!r->asked_ms) {
        int64_t left = spec->timeout_ms - (now - r->start_ms);
        if (spec->cancel && __atomic_load_n(spec->cancel, __ATOMIC_RELAXED))
            r->result.cancelled = true;
        else if (spec->timeout_ms && left <= 0)
            r->result.timed_out = true;
        else if (spec->timeout_ms)
            wait = left;
        if (r->result.cancelled || r->result.timed_out) {
            slw_proc_signal(r->pid, SIGTERM);
            r->asked_ms = now ? now : 1;
        } else if (spec->cancel && (wait < 0 || wait > CANCEL_POLL_MS)) {
            wait = CANCEL_POLL_MS;
        }
    }
    if (r->asked_ms) {
        wait = r->asked_ms + KILL_AFTER_MS - now;
        if (wait <= 0) {
            slw_proc_signal(r->pid, SIGKILL);
            r->killed = true;
            wait = -1;
        }
    }
    return wait;
}

static enum slw_rc
run_reap(struct run *r, struct slw_err *err)
{
    int status;
    pid_t got;
    do
        got = waitpid(r->pid, &status, 0);
    while (got < 0 && errno == EINTR);
    r->pid = 0;
    if (got < 0)
        return FAIL(err, "wait for program", r->spec->argv[0]);
    r->result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    r->result.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return SLW_OK;
}

/* A program that left children behind, with our pipes in their hands, is
 * over all the same: while it is not reaped its group id stays its own. */
static void
run_finish_pipes(struct run *r)
{
    slw_proc_signal(r->pid, SIGKILL);
    int64_t until = now_mono_ms() + DRAIN_MS;
    while (r->fds.out_read || r->fds.errout_read) {
        int64_t left = until - now_mono_ms();
        if (left <= 0)
            return;
        run_poll(r, true, left);
        if (r->result.out.overflow)
            return;
    }
}

static enum slw_rc
run_watch(struct run *r, struct slw_err *err)
{
    int pidfd = pidfd_open(r->pid, 0);
    if (pidfd < 0)
        return FAIL(err, "watch program", r->spec->argv[0]);
    r->fds.pidfd = pidfd + 1;
    while (!run_poll(r, false, run_stop_if_due(r)) && !r->result.out.overflow)
        ;
    if (!r->result.out.overflow)
        run_finish_pipes(r);
    if (r->result.out.overflow)
        return slw_fail(err, SLW_LIMIT,
                        "the program '%s' wrote more than %zu bytes",
                        r->spec->argv[0], OUT_SIZE_MAX);
    return run_reap(r, err);
}

enum slw_rc
slw_proc_run(const struct slw_proc_spec *spec, struct slw_proc_result *result,
             struct slw_err *err)
{
    SLW_ASSERT(spec);
    SLW_ASSERT(result);
    SLW_AUTO(run, r);
    r.spec = spec;
    r.start_ms = now_mono_ms();
    slw_buf_init(&r.result.out, OUT_SIZE_MAX);
    slw_buf_init(&r.result.errout, ERR_SIZE_MAX);
    TRY(spawn(spec, &r.fds, &r.pid, err));
    TRY(run_watch(&r, err));
    *result = r.result;
    r.result = (struct slw_proc_result){0};
    return SLW_OK;
}

void
slw_proc_result_done(struct slw_proc_result *r)
{
    if (!r)
        return;
    slw_buf_done(&r->out);
    slw_buf_done(&r->errout);
}

/* ---- in the child ---- */

void
slw_proc_die_with_parent(void)
{
    int rc = prctl(PR_SET_PDEATHSIG, SIGKILL);
    SLW_ASSERT(rc == 0);
    /* The parent may have died before that call: then we are init's already,
     * unless it was init that started us (a container). */
    const char *parent = getenv(PARENT_VAR);
    if (parent && getppid() == 1 && strcmp(parent, "1") != 0)
        _exit(1);
}

/* What the parent's death is told by: TERM means something else, and after
 * KILL nobody is left to end the command's own children. */
#define ORPHANED SIGUSR1

static void
guard_child(char *const *argv, const sigset_t *old)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* should the guard be killed */
    (void)sigprocmask(SIG_SETMASK, old, NULL);
    execvp(argv[0], argv);
    perror(argv[0]);
    _exit(127);
}

/* As the child ended. */
static int
guard_end(int status)
{
    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    const int sig = WTERMSIG(status);
    const struct rlimit none = {0, 0}; /* one core file is enough */
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)signal(sig, SIG_DFL);
    sigset_t one;
    (void)sigemptyset(&one);
    (void)sigaddset(&one, sig);
    (void)sigprocmask(SIG_UNBLOCK, &one, NULL);
    (void)raise(sig);
    return 128 + sig;
}

int
slw_proc_guard(char *const *argv)
{
    sigset_t wanted, old;
    (void)sigemptyset(&wanted);
    (void)sigaddset(&wanted, ORPHANED);
    (void)sigaddset(&wanted, SIGCHLD);
    /* The command gets these too, as one of the group, and decides. */
    (void)sigaddset(&wanted, SIGTERM);
    (void)sigaddset(&wanted, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &wanted, &old);
    (void)prctl(PR_SET_PDEATHSIG, ORPHANED);
    const char *parent = getenv(PARENT_VAR);
    if (parent && getppid() == 1 && strcmp(parent, "1") != 0)
        return 1;
    const pid_t pid = fork();
    if (pid == 0)
        guard_child(argv, &old);
    if (pid < 0) {
        perror("fork");
        return 127;
    }
    for (;;) {
        int sig = 0, status = 0;
        (void)sigwait(&wanted, &sig);
        if (sig == ORPHANED)
            (void)kill(0, SIGKILL);
        if (waitpid(pid, &status, WNOHANG) == pid)
            return guard_end(status);
    }
}

void
slw_proc_limits(size_t memory_size, int64_t cpu_s, int nice_by)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    if (memory_size) {
        struct rlimit l = {memory_size, memory_size};
        int rc = setrlimit(RLIMIT_AS, &l);
        SLW_ASSERT(rc == 0 || errno == EPERM);
    }
#else
    (void)memory_size; /* shadow memory needs terabytes of addresses */
#endif
    if (cpu_s > 0) {
        /* XCPU at the limit, KILL five seconds later. */
        struct rlimit l = {(rlim_t)cpu_s, (rlim_t)cpu_s + 5};
        int rc = setrlimit(RLIMIT_CPU, &l);
        SLW_ASSERT(rc == 0 || errno == EPERM);
    }
    if (nice_by) {
        errno = 0;
        int now = nice(nice_by);
        SLW_ASSERT(now != -1 || errno == 0 || errno == EPERM);
    }
}

/* ---- ourselves ---- */

static char self_path[PATH_MAX];
static char self_dir[PATH_MAX];
static pthread_once_t self_once = PTHREAD_ONCE_INIT;

static void
self_read(void)
{
    ssize_t len = readlink("/proc/self/exe", self_path, sizeof self_path - 1);
    SLW_ASSERT(len > 0);
    self_path[len] = '\0';
    const char *slash = strrchr(self_path, '/');
    SLW_ASSERT(slash);
    size_t dir_len = slash == self_path ? 1 : (size_t)(slash - self_path);
    memcpy(self_dir, self_path, dir_len);
    self_dir[dir_len] = '\0';
}

const char *
slw_proc_self_path(void)
{
    pthread_once(&self_once, self_read);
    return self_path;
}

const char *
slw_proc_self_dir(void)
{
    pthread_once(&self_once, self_read);
    return self_dir;
}
