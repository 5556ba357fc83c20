/* verify.c -- deployments name what is there; the prediction log is whole.
 *
 * A segment: its head, the checksum of every record, and behind the last one
 * nothing but zeros, unless a server writes there now or was killed while it
 * wrote: what a torn end looks like is then cleared by the next start. */
#include "serve/serve_internal.h"

#include "base/file.h"
#include "store/verify.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM "serve"
#define FIX_DEPLOY "deploy a version again (slipway deploy)"
#define FIX "restore a backup (slipway restore)"
#define FIX_SEGMENT                                                            \
    "nothing reads these predictions again; move the file away, or restore a " \
    "backup"

static const char SQL_DEPLOYMENTS[] =
    "SELECT name, model, champion, champion_version, canary, canary_version,"
    " previous, previous_version, shadow, shadow_version"
    " FROM serve_deployment";
static const char SQL_RELEASES[] =
    "SELECT champion, canary, previous, shadow FROM serve_deployment";
static const char SQL_CHANGES[] =
    "SELECT 0, name FROM serve_deployment d WHERE NOT EXISTS"
    " (SELECT 1 FROM serve_change c WHERE c.deployment = d.name)";
static const char SQL_SEGMENTS[] =
    "SELECT deployment, sequence, path, sealed, record_count, first_event_ms,"
    " last_event_ms FROM serve_segment ORDER BY deployment, sequence";

struct segment_row {
    bool sealed;
    int64_t record_count, first_ms, last_ms;
};

/* What is in a segment's file. */
struct found {
    int64_t record_count, first_ms, last_ms;
    size_t at;            /* behind the last record */
    bool clean;           /* only zeros from there on */
    int64_t behind_count; /* whole records behind one that is not */
};

/* ---- deployments ---- */

static enum slw_rc
slot_check(struct slw_verify *v, struct slw_stmt *st, int at, const char *slot,
           struct slw_err *err)
{
    const struct slw_str name = slw_col_str(st, 0), model = slw_col_str(st, 1);
    const struct slw_str release = slw_col_str(st, at);
    const int64_t version = slw_col_i64(st, at + 1);
    if (release.len == 0 && version == 0)
        return SLW_OK;
    SLW_AUTO(slw_arena, a);
    struct slw_version row;
    if (release.len)
        (void)slw_verify_need(v, ROOM, release, -1,
                              "the release of the %s of deployment %.*s", slot,
                              SLW_FMT(name));
    const enum slw_rc rc =
        slw_registry_version_get(&v->tx, model, version, &a, &row, err);
    if (rc == SLW_NOT_FOUND) /* people may delete versions */
        slw_verify_note(v, ROOM,
                        "the %s of deployment %.*s, version %lld of %.*s, is "
                        "no longer registered; its release is kept",
                        slot, SLW_FMT(name), (long long)version,
                        SLW_FMT(model));
    else if (rc != SLW_OK)
        return rc;
    else if (!slw_str_eq(row.release, release))
        slw_verify_fault(v, ROOM, FIX_DEPLOY,
                         "the %s of deployment %.*s is version %lld and "
                         "another release than that version's",
                         slot, SLW_FMT(name), (long long)version);
    return SLW_OK;
}

static enum slw_rc
deployments_check(struct slw_verify *v, struct slw_err *err)
{
    static const char *const slots[] = {"champion", "canary", "previous one",
                                        "shadow"};
    int64_t count = 0;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &v->tx, SQL_DEPLOYMENTS, err));
    for (;; count++) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        for (int i = 0; i < (int)SLW_ARRAY_LEN(slots); i++)
            TRY(slot_check(v, &st, 2 + 2 * i, slots[i], err));
    }
    slw_verify_counted(v, "deployments", count);
    return slw_verify_none(v, ROOM, SQL_CHANGES,
                           "there is no history of deployment", FIX, err);
}

/* ---- segments ---- */

static void
records_walk(const unsigned char *map, size_t size, struct found *out)
{
    struct slw_prediction p;
    size_t step = 0;
    *out = (struct found){.first_ms = INT64_MAX,
                          .last_ms = INT64_MIN,
                          .at = SERVE_SEGMENT_HEAD_SIZE,
                          .clean = true};
    while (serve_record_read(map + out->at, size - out->at, &p, &step)) {
        out->at += step;
        out->record_count++;
        out->first_ms = p.event_ms < out->first_ms ? p.event_ms : out->first_ms;
        out->last_ms = p.event_ms > out->last_ms ? p.event_ms : out->last_ms;
    }
    /* Records begin at multiples of 8, and so does what is behind them. */
    for (size_t i = out->at; i + 8 <= size && out->clean; i += 8) {
        uint64_t word;
        memcpy(&word, map + i, sizeof word);
        out->clean = word == 0;
    }
    /* Records are written one by one: only the last can be torn. */
    for (size_t i = out->at + 8; !out->clean && i < size; i += step) {
        const bool whole = serve_record_read(map + i, size - i, &p, &step);
        out->behind_count += whole;
        if (!whole)
            step = 8;
    }
}

static bool
head_clear(const unsigned char *map)
{
    for (size_t i = 0; i < SERVE_SEGMENT_HEAD_SIZE; i++)
        if (map[i])
            return false;
    return true;
}

static void
found_check(struct slw_verify *v, const char *path, const struct segment_row *r,
            const struct found *f)
{
    if (r && r->sealed &&
        (f->record_count != r->record_count ||
         (f->record_count &&
          (f->first_ms != r->first_ms || f->last_ms != r->last_ms))))
        slw_verify_fault(v, ROOM, FIX_SEGMENT,
                         "%s has %lld whole records, %lld were sealed in it",
                         path, (long long)f->record_count,
                         (long long)r->record_count);
    else if (!f->clean && r && r->sealed)
        slw_verify_fault(v, ROOM, FIX_SEGMENT,
                         "%s is damaged behind its record %lld", path,
                         (long long)f->record_count);
    else if (f->behind_count && !v->server_runs)
        slw_verify_fault(v, ROOM, FIX_SEGMENT,
                         "%s is damaged behind its record %lld: %lld whole "
                         "ones follow",
                         path, (long long)f->record_count,
                         (long long)f->behind_count);
    else if (!f->clean && !v->server_runs)
        slw_verify_note(v, ROOM,
                        "%s ends in a record that was not finished; the next "
                        "start clears it",
                        path);
}

static enum slw_rc
segment_check(struct slw_verify *v, struct slw_str deployment, const char *path,
              const struct segment_row *r, int64_t *count, struct slw_err *err)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        if (fd >= 0)
            (void)close(fd);
        /* An unused spare may go while a server runs. */
        if (r && r->sealed)
            slw_verify_fault(v, ROOM, FIX,
                             "%s is missing, and %lld "
                             "predictions with it",
                             path, (long long)r->record_count);
        return SLW_OK;
    }
    const size_t size = (size_t)st.st_size;
    unsigned char *map = size >= SERVE_SEGMENT_HEAD_SIZE
                             ? mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0)
                             : NULL;
    (void)close(fd);
    if (map == MAP_FAILED)
        return slw_fail(err, SLW_IO, "cannot map %s: %m", path);
    int64_t number = 0, created_ms = 0;
    struct found f = {0};
    if (map &&
        serve_segment_head_read(map, size, deployment, &number, &created_ms)) {
        records_walk(map, size, &f);
        found_check(v, path, r, &f);
        *count += f.record_count;
    } else if ((r && r->sealed) || (map && !head_clear(map))) {
        slw_verify_fault(v, ROOM, FIX_SEGMENT,
                         "%s is damaged: it does not start as a segment does",
                         path);
    }
    if (map)
        (void)munmap(map, size);
    return SLW_OK;
}

/* Segments without a row: made, and not registered yet. */
struct unlisted {
    struct slw_verify *v;
    struct slw_str deployment;
    struct slw_stmt *seen;
    int64_t *count, *segments;
};

static const char SQL_SEGMENT[] =
    "SELECT 1 FROM serve_segment WHERE deployment = ?1 AND sequence = ?2";

static enum slw_rc
unlisted_file(void *ctx, const char *path, const char *name, bool is_dir,
              struct slw_err *err)
{
    struct unlisted *u = ctx;
    const int64_t number = is_dir ? 0 : serve_segment_sequence(name);
    if (number == 0) {
        slw_verify_fault(u->v, ROOM, "move it out of the data folder",
                         "%s is no segment of the prediction log", path);
        return SLW_OK;
    }
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &u->v->tx, SQL_SEGMENT, err));
    slw_stmt_str(&st, 1, u->deployment);
    slw_stmt_i64(&st, 2, number);
    TRY(slw_stmt_step(&st, &row, err));
    if (row)
        return SLW_OK;
    ++*u->segments;
    return segment_check(u->v, u->deployment, path, NULL, u->count, err);
}

static enum slw_rc
unlisted_folder(void *ctx, const char *path, const char *name, bool is_dir,
                struct slw_err *err)
{
    struct unlisted *u = ctx;
    if (!is_dir)
        return SLW_OK;
    u->deployment = slw_str_of(name);
    return slw_dir_each(path, unlisted_file, u, err);
}

static enum slw_rc
segments_check(struct slw_verify *v, struct slw_err *err)
{
    int64_t segments = 0, records = 0;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &v->tx, SQL_SEGMENTS, err));
    for (;; segments++) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        slw_verify_step(v, "prediction log", segments, 0);
        const struct segment_row r = {.sealed = slw_col_i64(&st, 3) == 1,
                                      .record_count = slw_col_i64(&st, 4),
                                      .first_ms = slw_col_i64(&st, 5),
                                      .last_ms = slw_col_i64(&st, 6)};
        const char *path = slw_path(&a, slw_store_dir(v->store), "%.*s",
                                    SLW_FMT(slw_col_str(&st, 2)));
        TRY(segment_check(v, slw_col_str(&st, 0), path, &r, &records, err));
    }
    struct unlisted u = {.v = v, .count = &records, .segments = &segments};
    TRY(slw_dir_each(slw_path(&a, slw_store_dir(v->store), "predictions"),
                     unlisted_folder, &u, err));
    slw_verify_counted(v, "prediction segments", segments);
    slw_verify_counted(v, "predictions", records);
    return SLW_OK;
}

enum slw_rc
slw_serve_verify(struct slw_verify *v, struct slw_err *err)
{
    TRY(deployments_check(v, err));
    return segments_check(v, err);
}

enum slw_rc
slw_serve_blobs(struct slw_gc *g, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &g->tx, SQL_RELEASES, err));
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        for (int i = 0; i < 4; i++)
            if (slw_col_str(&st, i).len)
                TRY(slw_release_blobs(g, slw_col_str(&st, i), err));
    }
}
