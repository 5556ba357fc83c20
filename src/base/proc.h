/* proc.h -- child processes: posix_spawn, limits, deadlines, captured output.
 *
 * Children die with the parent: a child of ours calls
 * slw_proc_die_with_parent() first thing; for foreign commands our own binary
 * does so and then execs them (`slipway exec -- cmd`). */
#ifndef SLW_BASE_PROC_H
#define SLW_BASE_PROC_H

#include <sys/types.h>

#include "base/base.h"
#include "base/buf.h"

struct slw_proc_spec {
    const char *const *argv;    /* NULL-terminated; argv[0] is looked up */
    const char *const *env;     /* NULL-terminated "K=V" added to or replacing
                                   our own environment; NULL for none */
    const char *dir;            /* working folder; NULL for ours */
    const char *log_path;       /* stdout+stderr appended there; NULL without
                                   capture: ours are shared */
    bool capture;               /* stdout into out, stderr into errout */
    struct slw_str stdin_text;  /* given on standard input; empty: /dev/null */
    int64_t timeout_ms;         /* 0: none; TERM, then KILL 2 s later */
    const volatile int *cancel; /* non-NULL: stops the child when nonzero */
};

struct slw_proc_result {
    int exit_code; /* -1 when ended by a signal */
    int signal;    /* 0 when it exited */
    bool timed_out;
    bool cancelled;
    struct slw_buf out;    /* with capture; limit 64 MiB */
    struct slw_buf errout; /* with capture; the first MiB, then overflow is
                              set and the rest is dropped */
};
void slw_proc_result_done(struct slw_proc_result *r);

/* Run to the end, in a process group of its own, all other descriptors
 * closed.  What the program leaves running in its group is killed.
 * In     spec; *result is only written, and left alone on failure
 * Errors NOT_FOUND: no such program or folder; IO; LIMIT: output too large.
 *        A child that fails is not an error of the call: look at the result.
 */
SLW_MUST_USE enum slw_rc slw_proc_run(const struct slw_proc_spec *spec,
                                      struct slw_proc_result *result,
                                      struct slw_err *err);

/* Start without waiting (job runner).  The group id is the pid; the caller
 * waits for it.  timeout_ms and cancel are the caller's business, capture is
 * not allowed. */
SLW_MUST_USE enum slw_rc slw_proc_start(const struct slw_proc_spec *spec,
                                        pid_t *out_pid, struct slw_err *err);
/* Signal the whole group; a group that is gone is no error.  In: pid > 1. */
void slw_proc_signal(pid_t pid, int sig);

/* In a child, first thing: SIGKILL when the parent dies.
 * Note PR_SET_PDEATHSIG is tied to the parent's *thread*: start children from
 * threads that live as long as the process. */
void slw_proc_die_with_parent(void);
/* Run a foreign command as a child of the calling process, and end as it ends.
 * When the caller's parent dies, however it dies, the whole process group is
 * killed: what the command itself started, too.  The caller should lead a
 * group of its own, as all that slw_proc_run and _start start do.
 * Returns the exit code for main(); 127: there is no such command. */
int slw_proc_guard(char *const *argv);
/* Limits of the calling process, 0 = leave: address space in bytes (skipped
 * in sanitizer builds), CPU seconds, niceness. */
void slw_proc_limits(size_t memory_size, int64_t cpu_s, int nice_by);
/* Path of the running executable, and of the folder it lies in. */
const char *slw_proc_self_path(void);
const char *slw_proc_self_dir(void);

#endif
