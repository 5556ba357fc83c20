/* log_scan.c -- the prediction log, reading, in any process.
 *
 * The folder says which segments there are; rows of sealed ones say which may
 * be passed over.  Reading ends at the first record that is not whole, where
 * a writer may be at work. */
#include "serve/serve_internal.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char SQL_SEALED_OUTSIDE[] =
    "SELECT sequence FROM serve_segment WHERE deployment = ?1 AND sealed = 1"
    " AND (record_count = 0 OR last_event_ms < ?2 OR first_event_ms > ?3)"
    " ORDER BY sequence";

struct scan {
    struct slw_str deployment;
    int64_t from_ms, to_ms;
    slw_prediction_fn fn;
    void *ctx;
    int64_t *skip; /* ascending sequences that hold nothing of the range */
    size_t skip_count, skip_cap, skip_at;
};

static void
scan_done(struct scan *s)
{
    slw_free(s->skip);
}

static enum slw_rc
skip_read(struct scan *s, struct slw_store *store, struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, store, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &tx, SQL_SEALED_OUTSIDE, err));
    slw_stmt_str(&st, 1, s->deployment);
    slw_stmt_i64(&st, 2, s->from_ms);
    slw_stmt_i64(&st, 3, s->to_ms);
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        if (s->skip_count == s->skip_cap) {
            s->skip_cap = s->skip_cap ? s->skip_cap * 2 : 64;
            s->skip = slw_realloc(s->skip, s->skip_cap * sizeof *s->skip);
        }
        s->skip[s->skip_count++] = slw_col_i64(&st, 0);
    }
}

static enum slw_rc
bytes_visit(const struct scan *s, const unsigned char *map, size_t size,
            struct slw_err *err)
{
    int64_t number, created_at_ms;
    if (!serve_segment_head_read(map, size, s->deployment, &number,
                                 &created_at_ms))
        return SLW_OK; /* never got a record */
    struct slw_prediction p;
    size_t at = SERVE_SEGMENT_HEAD_SIZE, step = 0;
    while (serve_record_read(map + at, size - at, &p, &step)) {
        at += step;
        if (p.event_ms >= s->from_ms && p.event_ms <= s->to_ms)
            TRY(s->fn(s->ctx, &p, err));
    }
    return SLW_OK;
}

static enum slw_rc
fd_visit(const struct scan *s, int fd, const char *path, struct slw_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return slw_fail(err, SLW_IO, "cannot read '%s': errno %d", path, errno);
    const size_t size = (size_t)st.st_size;
    if (size < SERVE_SEGMENT_HEAD_SIZE)
        return SLW_OK;
    unsigned char *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return slw_fail(err, SLW_IO, "cannot map '%s': errno %d", path, errno);
    enum slw_rc rc = bytes_visit(s, map, size, err);
    (void)munmap(map, size);
    return rc;
}

static enum slw_rc
file_visit(void *ctx, const char *path, const char *name, bool is_dir,
           struct slw_err *err)
{
    struct scan *s = ctx;
    const int64_t number = is_dir ? 0 : serve_segment_sequence(name);
    if (number == 0)
        return SLW_OK;
    while (s->skip_at < s->skip_count && s->skip[s->skip_at] < number)
        s->skip_at++;
    if (s->skip_at < s->skip_count && s->skip[s->skip_at] == number)
        return SLW_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return SLW_OK; /* a spare that was not needed after all */
    if (fd < 0)
        return slw_fail(err, SLW_IO, "cannot open '%s': errno %d", path, errno);
    enum slw_rc rc = fd_visit(s, fd, path, err);
    (void)close(fd);
    return rc;
}

enum slw_rc
slw_serve_log_scan(struct slw_store *store, struct slw_str deployment,
                   int64_t from_ms, int64_t to_ms, slw_prediction_fn fn,
                   void *ctx, struct slw_err *err)
{
    if (!slw_name_ok(deployment))
        return slw_fail(err, SLW_NOT_FOUND, "there is no deployment '%.*s'",
                        SLW_FMT(deployment));
    SLW_AUTO(scan, s);
    s = (struct scan){.deployment = deployment,
                      .from_ms = from_ms,
                      .to_ms = to_ms,
                      .fn = fn,
                      .ctx = ctx};
    TRY(skip_read(&s, store, err));
    SLW_AUTO(slw_arena, a);
    const char *dir = slw_path(&a, slw_store_dir(store), "predictions/%.*s",
                               SLW_FMT(deployment));
    if (!slw_file_exists(dir))
        return SLW_OK; /* nothing was ever predicted */
    return slw_dir_each(dir, file_visit, &s, err);
}
