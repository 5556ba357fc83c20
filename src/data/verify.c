/* verify.c -- every dataset version: its recipe, its size, its rows. */
#include "data/data_internal.h"

#include "store/blob.h"

#define ROOM "data"
#define FIX "restore a backup (slipway restore); versions never change"

static const char SQL_SOURCES[] = "SELECT count(*) FROM data_source";
static const char SQL_VERSIONS[] =
    "SELECT name, version, hash, size, row_count, quarantine_hash,"
    " quarantined_count FROM data_dataset ORDER BY name, version";
static const char SQL_BLOBS[] =
    "SELECT hash, quarantine_hash FROM data_dataset";
static const char SQL_PARENTS[] =
    "SELECT d.id, d.name || '@' || d.version || ' has the parent '"
    " || d.parent FROM data_dataset d WHERE d.parent >= d.version"
    " OR (d.parent > 0 AND NOT EXISTS (SELECT 1 FROM data_dataset p"
    "  WHERE p.name = d.name AND p.version = d.parent))";
static const char SQL_GAPS[] =
    "SELECT count(*), name || ': ' || count(*) || ' versions, the last is '"
    " || max(version) FROM data_dataset GROUP BY name"
    " HAVING count(*) <> max(version)";
static const char SQL_ORDER[] =
    "SELECT d.id, d.name || '@' || d.version FROM data_dataset d"
    " JOIN data_dataset p ON p.name = d.name AND p.version = d.version - 1"
    " WHERE d.known_at_ms < p.known_at_ms OR d.event_min_ms > d.event_max_ms";

/* What the file itself says. */
static enum slw_rc
rows_of(struct slw_store *s, const char *hash, int64_t *out,
        struct slw_err *err)
{
    size_t size = 0;
    SLW_AUTO(slw_buf, tail);
    TRY(slw_blob_tail(s, hash, (size_t)64 << 10, &tail, err));
    if (data_parquet_footer(slw_buf_view(&tail), &size) &&
        size + 8 > tail.len) {
        slw_buf_clear(&tail);
        TRY(slw_blob_tail(s, hash, size + 8, &tail, err));
    }
    if (data_parquet_rows(slw_buf_view(&tail), out))
        return SLW_OK;
    return slw_fail(err, SLW_CORRUPT, "it is no Parquet file");
}

static enum slw_rc
rows_check(struct slw_verify *v, struct slw_str name, int64_t version,
           const char *what, struct slw_str hash, int64_t wanted, bool at_least,
           struct slw_err *err)
{
    char hex[65];
    int64_t count = 0;
    (void)snprintf(hex, sizeof hex, "%.*s", SLW_FMT(hash));
    const enum slw_rc rc = rows_of(v->store, hex, &count, err);
    if (rc != SLW_OK && rc != SLW_CORRUPT && rc != SLW_NOT_FOUND)
        return rc;
    if (rc != SLW_OK)
        slw_verify_fault(v, ROOM, FIX, "%s%.*s@%lld: %s", what, SLW_FMT(name),
                         (long long)version, err->msg);
    else if (count != wanted && !(at_least && count > wanted))
        slw_verify_fault(v, ROOM, FIX,
                         "%s%.*s@%lld has %lld rows by its row and %lld in "
                         "its file",
                         what, SLW_FMT(name), (long long)version,
                         (long long)wanted, (long long)count);
    return SLW_OK;
}

static enum slw_rc
version_check(struct slw_verify *v, struct slw_stmt *st, bool arrivals,
              struct slw_err *err)
{
    const struct slw_str name = slw_col_str(st, 0);
    const int64_t version = slw_col_i64(st, 1);
    const struct slw_str hash = slw_col_str(st, 2);
    const struct slw_str quarantine = slw_col_str(st, 5);
    if (slw_verify_need(v, ROOM, hash, slw_col_i64(st, 3), "dataset %.*s@%lld",
                        SLW_FMT(name), (long long)version))
        TRY(rows_check(v, name, version, "dataset ", hash, slw_col_i64(st, 4),
                       arrivals, err));
    if (quarantine.len &&
        slw_verify_need(v, ROOM, quarantine, -1, "the quarantine of %.*s@%lld",
                        SLW_FMT(name), (long long)version))
        TRY(rows_check(v, name, version, "the quarantine of ", quarantine,
                       slw_col_i64(st, 6), false, err));
    return SLW_OK;
}

enum slw_rc
slw_data_verify(struct slw_verify *v, struct slw_err *err)
{
    int64_t sources = 0, versions = 0;
    bool arrivals = false;
    TRY(data_has_arrivals(&v->tx, &arrivals, err));
    TRY(slw_verify_number(v, SQL_SOURCES, &sources, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &v->tx, SQL_VERSIONS, err));
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        TRY(version_check(v, &st, arrivals, err));
        slw_verify_step(v, "dataset versions", ++versions, 0);
    }
    slw_verify_counted(v, "sources", sources);
    slw_verify_counted(v, "dataset versions", versions);
    TRY(slw_verify_none(v, ROOM, SQL_GAPS, "versions are missing of dataset",
                        FIX, err));
    TRY(slw_verify_none(v, ROOM, SQL_ORDER, "times run backwards in dataset",
                        FIX, err));
    return slw_verify_none(v, ROOM, SQL_PARENTS,
                           "a parent is not there: dataset", FIX, err);
}

enum slw_rc
slw_data_blobs(struct slw_gc *g, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &g->tx, SQL_BLOBS, err));
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        TRY(slw_gc_need(g, slw_col_str(&st, 0), err));
        if (slw_col_str(&st, 1).len)
            TRY(slw_gc_need(g, slw_col_str(&st, 1), err));
    }
}
