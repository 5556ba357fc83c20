/* slw_test.h -- what every unit test starts from: cmocka with the headers it
 * needs, comparisons of doubles, errors that print their sentence, and a
 * folder that is gone after the test.
 *
 * Include it after the headers under test.  Functions here are static inline
 * or unused-tolerant, so that a test links nothing but its room. */
#ifndef SLW_TEST_H
#define SLW_TEST_H

/* The order is cmocka's wish. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

#ifndef ARRAY_LEN
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#endif

/* |actual - expected| <= tolerance; NaN equals only NaN, an infinity only
 * itself. */
#define assert_near(actual, expected, tolerance)                               \
    slw_test_near((actual), (expected), (tolerance), #actual, __FILE__,        \
                  __LINE__)

static inline void
slw_test_near(double actual, double expected, double tolerance,
              const char *what, const char *file, int line)
{
    if (isnan(actual) && isnan(expected))
        return;
    if (actual == expected || fabs(actual - expected) <= tolerance)
        return;
    print_error("%s is %.17g, not %.17g within %g\n", what, actual, expected,
                tolerance);
    _fail(file, line);
}

/* As assert_near, the tolerance being a share of the expected value. */
#define assert_near_rel(actual, expected, share)                               \
    slw_test_near((actual), (expected), fabs((double)(expected)) * (share),    \
                  #actual, __FILE__, __LINE__)

/* The call succeeded; otherwise its sentence is printed. */
#define assert_ok(rc, err) slw_test_ok((rc), &(err), #rc, __FILE__, __LINE__)

static inline void
slw_test_ok(enum slw_rc rc, const struct slw_err *err, const char *call,
            const char *file, int line)
{
    if (rc == SLW_OK)
        return;
    print_error("%s: %s (%s): %s\n", call, slw_rc_name(rc),
                err->where ? err->where : "?", err->msg);
    _fail(file, line);
}

/* The call failed with `want` and its sentence contains `part`. */
#define assert_fails(rc, want, err, part)                                      \
    slw_test_fails((rc), (want), &(err), (part), #rc, __FILE__, __LINE__)

static inline void
slw_test_fails(enum slw_rc rc, enum slw_rc want, const struct slw_err *err,
               const char *part, const char *call, const char *file, int line)
{
    if (rc == want && err->rc == want && strstr(err->msg, part))
        return;
    print_error("%s: %s, not %s, or without '%s': %s\n", call, slw_rc_name(rc),
                slw_rc_name(want), part, rc == SLW_OK ? "-" : err->msg);
    _fail(file, line);
}

/* ---- a folder that is gone after the test program ---- */

#define SLW_TEST_DIRS_MAX 64
static char slw_test_dirs_[SLW_TEST_DIRS_MAX][256];
static size_t slw_test_dir_count_;
static pid_t slw_test_dir_owner_; /* a forked child must not remove them */

static inline int
slw_test_entry_remove_(const char *path, const struct stat *st, int kind,
                       struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    if (remove(path) != 0)
        print_error("cannot remove '%s': errno %d\n", path, errno);
    return 0;
}

static inline void
slw_test_dirs_remove_(void)
{
    if (getpid() != slw_test_dir_owner_)
        return;
    for (size_t i = 0; i < slw_test_dir_count_; i++)
        nftw(slw_test_dirs_[i], slw_test_entry_remove_, 16,
             FTW_DEPTH | FTW_PHYS);
    slw_test_dir_count_ = 0;
}

/* A new empty folder under $TMPDIR (or /tmp), removed with all it holds when
 * the program ends. */
static inline void
slw_test_dir(char out[256])
{
    const char *base = getenv("TMPDIR");
    char path[256];
    snprintf(path, sizeof path, "%s/slw-test-XXXXXX",
             base && base[0] ? base : "/tmp");
    assert_true(slw_test_dir_count_ < SLW_TEST_DIRS_MAX);
    assert_non_null(mkdtemp(path));
    if (slw_test_dir_owner_ == 0) {
        slw_test_dir_owner_ = getpid();
        atexit(slw_test_dirs_remove_);
    }
    memcpy(slw_test_dirs_[slw_test_dir_count_++], path, sizeof path);
    memcpy(out, path, sizeof path);
}

#endif
