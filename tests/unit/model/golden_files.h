/* golden_files.h -- where tests/golden lies: beside this file's folder, seen
 * from where the compiler was started, which is where meson starts tests; or
 * under $SLIPWAY_SOURCE. */
#ifndef SLW_TESTS_GOLDEN_FILES_H
#define SLW_TESTS_GOLDEN_FILES_H

#include <limits.h>

#include "base/buf.h"
#include "base/file.h"

static inline void
golden_path(char out[PATH_MAX], const char *below)
{
    const char *source = getenv("SLIPWAY_SOURCE"), *file = __FILE__;
    if (source && source[0]) {
        snprintf(out, PATH_MAX, "%s/tests/golden/%s", source, below);
        return;
    }
    const char *end = strstr(file, "unit/");
    snprintf(out, PATH_MAX, "%.*sgolden/%s", end ? (int)(end - file) : 0, file,
             below);
}

static inline void
golden_get(const char *below, struct slw_buf *out)
{
    struct slw_err err;
    char path[PATH_MAX];
    golden_path(path, below);
    slw_buf_clear(out);
    assert_ok(slw_file_get(path, (size_t)16 << 20, out, &err), err);
}

#endif
