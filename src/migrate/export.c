/* export.c -- all of tracking and registry as open files.
 *
 * Rooms describe their tables (struct slw_dump_table); each is written once as
 * JSON lines, and DuckDB makes the Parquet file from that.  Points are many:
 * they go by portions of whole runs, whose JSON lines do not stay.  Everything
 * is of one snapshot, and the folder gets its name when it is complete. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "migrate/migrate_internal.h"
#include "store/blob.h"
#include "store/scan.h"

#define FORMAT "slipway.export/1"
#define FLUSH_SIZE ((size_t)1 << 20)
#define LINE_SIZE_MIN ((size_t)16 << 20) /* DuckDB's own default */
#define POINTS_PER_PART ((int64_t)1000000)
#define SCAN_MEMORY_SIZE ((size_t)512 << 20)
#define SHARE_TABLES 0.15
#define SHARE_POINTS 0.8
static const char POINT_COLUMNS[] =
    "run_id:VARCHAR key:VARCHAR value:DOUBLE at_ms:BIGINT step:BIGINT";

/* A file that is written piece by piece. */
struct sink {
    int fd; /* -1: none */
    struct slw_buf buf;
    size_t line_max; /* longest line */
    int64_t rows;
};

struct export
{
    struct slw_store *store;
    const struct slw_export_options *o;
    struct slw_tx tx;
    struct slw_scan scan;
    struct slw_arena arena;     /* the whole export */
    const char *work;           /* the folder while it is incomplete */
    struct slw_str experiments; /* JSON list of numbers; empty: all */
    struct slw_buf counts;      /* members of "tables" */
    struct sink files;          /* manifest.json while it grows */
    struct slw_jw files_w;
    int64_t run_count, point_count, file_count;
};

static void
tell(struct export *x, double share, const char *what, int64_t done)
{
    char note[80];
    if (!x->o->progress)
        return;
    (void)snprintf(note, sizeof note, "%s %lld", what, (long long)done);
    x->o->progress(x->o->progress_ctx, share, note);
}

/* ---- files ---- */

static enum slw_rc
sink_open(struct sink *s, const char *path, struct slw_err *err)
{
    s->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (s->fd < 0)
        return slw_fail(err, SLW_IO, "cannot write %s: %s", path,
                        strerror(errno));
    slw_buf_clear(&s->buf);
    s->line_max = 0;
    s->rows = 0;
    return SLW_OK;
}

static enum slw_rc
sink_flush(struct sink *s, size_t least, struct slw_err *err)
{
    if (s->buf.len < least)
        return SLW_OK;
    TRY(slw_buf_check(&s->buf, err));
    TRY(slw_fd_write(s->fd, s->buf.ptr, s->buf.len, err));
    slw_buf_clear(&s->buf);
    return SLW_OK;
}

static void
sink_done(struct sink *s)
{
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = -1;
    slw_buf_done(&s->buf);
}

static enum slw_rc
sink_close(struct sink *s, struct slw_err *err)
{
    const enum slw_rc rc = sink_flush(s, 1, err);
    const int failed = slw_fd_sync(s->fd) | close(s->fd);
    s->fd = -1;
    TRY(rc);
    return failed ? slw_fail(err, SLW_IO, "cannot write the export: %s",
                             strerror(errno))
                  : SLW_OK;
}

/* A line of the manifest. */
static enum slw_rc
file_note(struct export *x, const char *path, int64_t size, const char *hash,
          struct slw_err *err)
{
    struct slw_jw *w = &x->files_w;
    x->file_count++;
    slw_buf_z(&x->files.buf, "\n");
    slw_jw_obj(w);
    slw_jw_kz(w, "path", path);
    slw_jw_ki64(w, "size", size);
    slw_jw_kz(w, "sha256", hash);
    slw_jw_obj_end(w);
    return sink_flush(&x->files, FLUSH_SIZE, err);
}

/* The same for a file that has to be read for it. */
static enum slw_rc
file_hash(struct export *x, const char *name, struct slw_err *err)
{
    SLW_AUTO(slw_hasher, h);
    char bytes[65536], hex[SLW_SHA256_HEX_SIZE];
    int64_t size = 0;
    const char *path = slw_path(&x->arena, x->work, "%s", name);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : 1;
    slw_hasher_init(&h);
    while (got > 0) {
        got = read(fd, bytes, sizeof bytes);
        if (got > 0)
            slw_hasher_add(&h, bytes, (size_t)got);
        size += got > 0 ? got : 0;
    }
    const int reason = errno;
    if (fd >= 0)
        (void)close(fd);
    if (got < 0)
        return slw_fail(err, SLW_IO, "cannot read %s: %s", path,
                        strerror(reason));
    const struct slw_sha256 sum = slw_hasher_end(&h);
    return file_note(x, name, size, slw_sha256_hex(&sum, hex), err);
}

/* ---- tables ---- */

/* "name:TYPE name:TYPE" one after the other; false: no more. */
static bool
column_next(struct slw_str *rest, struct slw_str *name, struct slw_str *type)
{
    struct slw_str word;
    if (rest->len == 0)
        return false;
    slw_str_cut(*rest, ' ', &word, rest);
    SLW_ASSERT(slw_str_cut(word, ':', name, type));
    return true;
}

static void
row_write(struct slw_jw *w, struct slw_stmt *st, const char *columns)
{
    struct slw_str rest = slw_str_of(columns), name, type;
    slw_jw_obj(w);
    for (int at = 0; column_next(&rest, &name, &type); at++) {
        slw_jw_keys(w, name);
        if (slw_str_eqz(type, "DOUBLE")) /* NULL is NaN */
            slw_jw_f64(w, slw_col_f64(st, at));
        else if (slw_col_null(st, at))
            slw_jw_null(w);
        else if (slw_str_eqz(type, "VARCHAR"))
            slw_jw_str(w, slw_col_str(st, at));
        else if (slw_str_eqz(type, "BOOLEAN"))
            slw_jw_bool(w, slw_col_i64(st, at) != 0);
        else
            slw_jw_i64(w, slw_col_i64(st, at));
    }
    slw_jw_obj_end(w);
}

/* One line is in the buffer from `from` on. */
static enum slw_rc
line_end(struct sink *s, size_t from, struct slw_err *err)
{
    slw_buf_char(&s->buf, '\n');
    if (s->buf.len - from > s->line_max)
        s->line_max = s->buf.len - from;
    s->rows++;
    return sink_flush(s, FLUSH_SIZE, err);
}

/* Parquet from JSON lines; `what`: "*" or "DISTINCT *", and an order. */
static enum slw_rc
parquet_make(struct export *x, const char *from, const char *to,
             const char *columns, size_t line_max, const char *what,
             const char *order, struct slw_err *err)
{
    SLW_AUTO(slw_buf, types);
    struct slw_str rest = slw_str_of(columns), name, type;
    const size_t line =
        line_max * 2 > LINE_SIZE_MIN ? line_max * 2 : LINE_SIZE_MIN;
    while (column_next(&rest, &name, &type))
        slw_buf_printf(&types, "%s\"%.*s\": '%.*s'", types.len ? ", " : "",
                       SLW_FMT(name), SLW_FMT(type));
    return slw_scan_exec(
        &x->scan, err,
        "COPY (SELECT %s FROM read_json(%.*s, format = 'newline_delimited',"
        " maximum_object_size = %zu, columns = {%.*s}) %s) TO %.*s"
        " (FORMAT parquet, COMPRESSION zstd)",
        what,
        SLW_FMT(slw_sql_literal(
            &x->arena, slw_str_of(slw_path(&x->arena, x->work, "%s", from)))),
        line, SLW_FMT(slw_buf_view(&types)), order,
        SLW_FMT(slw_sql_literal(
            &x->arena, slw_str_of(slw_path(&x->arena, x->work, "%s", to)))));
}

static void
count_note(struct export *x, const char *name, int64_t rows)
{
    slw_buf_printf(&x->counts, "%s\"%s\":%lld", x->counts.len ? "," : "", name,
                   (long long)rows);
}

static enum slw_rc
table_write(struct export *x, const struct slw_dump_table *t,
            struct slw_err *err)
{
    SLW_AUTO(sink, s);
    SLW_AUTO(slw_stmt, st);
    s.fd = -1;
    const char *lines = slw_arena_printf(&x->arena, "%s.jsonl", t->name).ptr;
    const char *parquet =
        slw_arena_printf(&x->arena, "%s.parquet", t->name).ptr;
    TRY(sink_open(&s, slw_path(&x->arena, x->work, "%s", lines), err));
    TRY(slw_stmt_prepare(&st, &x->tx, t->sql, err));
    if (x->experiments.len)
        slw_stmt_str(&st, 1, x->experiments);
    for (;;) {
        struct slw_jw w;
        bool row = false;
        const size_t from = s.buf.len;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        slw_jw_init(&w, &s.buf);
        w.nan_as_text = true;
        row_write(&w, &st, t->columns);
        TRY(line_end(&s, from, err));
        if (s.rows % 10000 == 0)
            tell(x, 0, t->name, s.rows);
    }
    TRY(sink_close(&s, err));
    TRY(parquet_make(x, lines, parquet, t->columns, s.line_max, "*", "", err));
    count_note(x, t->name, s.rows);
    if (strcmp(t->name, "runs") == 0)
        x->run_count = s.rows;
    TRY(file_hash(x, lines, err));
    return file_hash(x, parquet, err);
}

static enum slw_rc
tables_write(struct export *x, const struct slw_dump_table *tables,
             size_t count, struct slw_err *err)
{
    for (size_t i = 0; i < count; i++) {
        tell(x, SHARE_TABLES * (double)i / (double)count, tables[i].name, 0);
        TRY(table_write(x, &tables[i], err));
    }
    return SLW_OK;
}

/* ---- points ---- */

static void
point_write(struct slw_buf *b, struct slw_str run_id,
            const struct slw_metric *m)
{
    struct slw_jw w;
    slw_jw_init(&w, b);
    w.nan_as_text = true;
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "run_id", run_id);
    slw_jw_kstr(&w, "key", m->key);
    slw_jw_kf64(&w, "value", m->value);
    slw_jw_ki64(&w, "at_ms", m->at_ms);
    slw_jw_ki64(&w, "step", m->step);
    slw_jw_obj_end(&w);
}

/* What was gathered becomes points/part-00001.parquet; a point that was sent
 * twice stands in it once. */
static enum slw_rc
part_end(struct export *x, struct sink *s, int part, struct slw_err *err)
{
    static const char lines[] = "tmp/points.jsonl";
    SLW_AUTO(slw_arena, a);
    struct slw_scan_result r;
    const char *name =
        slw_arena_printf(&x->arena, "points/part-%05d.parquet", part).ptr;
    TRY(sink_close(s, err));
    TRY(parquet_make(x, lines, name, POINT_COLUMNS, s->line_max, "DISTINCT *",
                     "ORDER BY run_id, key, step, at_ms, value", err));
    const struct slw_str path = slw_sql_literal(
        &a, slw_str_of(slw_path(&x->arena, x->work, "%s", name)));
    TRY(slw_scan_query(
        &x->scan, 1, &a, &r,
        slw_arena_printf(&a, "SELECT count(*) FROM read_parquet(%.*s)",
                         SLW_FMT(path)),
        err));
    x->point_count += r.cols[0].i64[0];
    return file_hash(x, name, err);
}

static enum slw_rc
points_write(struct export *x, struct slw_err *err)
{
    SLW_AUTO(slw_point_walk, walk);
    SLW_AUTO(sink, s);
    int64_t runs = 0;
    int part = 0;
    char run_id[64] = "";
    const char *lines = slw_path(&x->arena, x->work, "tmp/points.jsonl");
    s.fd = -1;
    TRY(slw_dir_make(slw_path(&x->arena, x->work, "points"), err));
    TRY(slw_track_points_begin(&walk, &x->tx, x->experiments, err));
    TRY(sink_open(&s, lines, err));
    for (;;) {
        struct slw_metric m;
        bool more = false;
        TRY(slw_track_points_next(&walk, &m, &more, err));
        if (!more)
            break;
        if (!slw_str_eqz(walk.run_id, run_id)) {
            (void)snprintf(run_id, sizeof run_id, "%.*s", SLW_FMT(walk.run_id));
            runs++;
            if (s.rows >= POINTS_PER_PART) {
                TRY(part_end(x, &s, part++, err));
                TRY(sink_open(&s, lines, err));
            }
        }
        const size_t from = s.buf.len;
        point_write(&s.buf, walk.run_id, &m);
        TRY(line_end(&s, from, err));
        if (s.rows % 100000 == 0)
            tell(x,
                 SHARE_TABLES + (SHARE_POINTS - SHARE_TABLES) * (double)runs /
                                    (double)(x->run_count + 1),
                 "points", x->point_count + s.rows);
    }
    TRY(part_end(x, &s, part, err)); /* an empty one has the columns */
    count_note(x, "points", x->point_count);
    return slw_file_remove(lines, err);
}

/* ---- bytes ---- */

static enum slw_rc
blob_write(struct export *x, const char *name, struct slw_str hash,
           int64_t size, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    const char *path = slw_path(&a, x->work, "%s", name);
    const char *slash = strrchr(path, '/');
    const char *hex = slw_arena_strz(&a, hash);
    TRY(slw_dir_make(
        slw_arena_strz(&a, (struct slw_str){path, (size_t)(slash - path)}),
        err));
    if (slw_blob_get_file(x->store, hex, path, err) != SLW_OK)
        return slw_err_prefix(err, "%s: ", name);
    return file_note(x, name, size, hex, err);
}

static enum slw_rc
artifacts_write(struct export *x, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    const struct slw_dump_table *t =
        &slw_track_dump_tables[slw_track_dump_table_count - 1];
    SLW_ASSERT(strcmp(t->name, "artifacts") == 0);
    TRY(slw_stmt_prepare(&st, &x->tx, t->sql, err));
    if (x->experiments.len)
        slw_stmt_str(&st, 1, x->experiments);
    for (int64_t done = 0;; done++) {
        SLW_AUTO(slw_arena, a);
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        tell(x, SHARE_POINTS, "artifacts", done);
        const struct slw_str path = slw_col_str(&st, 0);
        TRY(blob_write(
            x, slw_arena_printf(&a, "artifacts/%.*s", SLW_FMT(path)).ptr,
            slw_col_str(&st, 2), slw_col_i64(&st, 1), err));
    }
}

/* The documents that versions of ours point at, and what these hold. */
static enum slw_rc
releases_write(struct export *x, struct slw_err *err)
{
    struct slw_str *models = NULL;
    size_t model_count = 0;
    TRY(slw_registry_model_list(&x->tx, &x->arena, &models, &model_count, err));
    for (size_t i = 0; i < model_count; i++) {
        SLW_AUTO(slw_arena, a);
        struct slw_version *list = NULL;
        size_t count = 0;
        TRY(slw_registry_version_list(&x->tx, models[i], &a, &list, &count,
                                      err));
        for (size_t k = 0; k < count; k++) {
            int64_t size = 0;
            const char *name = slw_arena_printf(&a, "releases/%.*s.json",
                                                SLW_FMT(list[k].release))
                                   .ptr;
            if (list[k].release.len == 0 ||
                slw_file_exists(slw_path(&a, x->work, "%s", name)))
                continue;
            TRY(slw_blob_size(x->store, slw_arena_strz(&a, list[k].release),
                              &size, err));
            TRY(blob_write(x, name, list[k].release, size, err));
        }
    }
    return SLW_OK;
}

/* ---- the folder ---- */

static enum slw_rc
entry_refuse(void *ctx, const char *path, const char *name, bool is_dir,
             struct slw_err *err)
{
    (void)path;
    (void)name;
    (void)is_dir;
    return slw_fail(err, SLW_CONFLICT,
                    "%s is not empty; an export makes a folder of its own",
                    (const char *)ctx);
}

static enum slw_rc
folder_begin(struct export *x, struct slw_err *err)
{
    const char *dir = x->o->dir;
    size_t len = strlen(dir);
    while (len > 1 && dir[len - 1] == '/')
        len--;
    if (slw_file_exists(dir))
        TRY(slw_dir_each(dir, entry_refuse, (void *)(uintptr_t)dir, err));
    x->work = slw_arena_printf(&x->arena, "%.*s.partial", (int)len, dir).ptr;
    TRY(slw_dir_remove(x->work, err)); /* of one that was killed */
    return slw_dir_make(slw_path(&x->arena, x->work, "tmp"), err);
}

static enum slw_rc
experiments_find(struct export *x, struct slw_err *err)
{
    SLW_AUTO(slw_buf, list);
    for (size_t i = 0; i < x->o->experiment_count; i++) {
        struct slw_experiment e;
        TRY(slw_track_experiment_by_name(&x->tx, x->o->experiments[i],
                                         &x->arena, &e, err));
        slw_buf_printf(&list, "%s%lld", i ? "," : "[", (long long)e.id);
    }
    if (list.len) {
        slw_buf_char(&list, ']');
        x->experiments = slw_arena_str(&x->arena, slw_buf_view(&list));
    }
    return SLW_OK;
}

static void
head_write(struct export *x, struct slw_jw *w)
{
    char at[SLW_TIME_TEXT_SIZE];
    slw_jw_kz(w, "format", FORMAT);
    slw_jw_kz(w, "slipway", SLIPWAY_VERSION);
    slw_jw_kz(w, "made_at", slw_time_text(x->o->now_ms, at));
    if (x->experiments.len)
        slw_jw_kraw(w, "experiments", x->experiments);
}

static enum slw_rc
manifest_begin(struct export *x, struct slw_err *err)
{
    TRY(sink_open(&x->files, slw_path(&x->arena, x->work, "manifest.json"),
                  err));
    slw_jw_init(&x->files_w, &x->files.buf);
    slw_jw_obj(&x->files_w);
    head_write(x, &x->files_w);
    slw_jw_key(&x->files_w, "files");
    slw_jw_arr(&x->files_w);
    return SLW_OK;
}

static enum slw_rc
manifest_end(struct export *x, struct slw_err *err)
{
    struct slw_jw *w = &x->files_w;
    slw_jw_arr_end(w);
    slw_jw_kraw(w, "tables",
                slw_arena_printf(&x->arena, "{%.*s}",
                                 SLW_FMT(slw_buf_view(&x->counts))));
    slw_jw_obj_end(w);
    slw_buf_char(&x->files.buf, '\n');
    return sink_close(&x->files, err);
}

static enum slw_rc
export_write(struct export *x, struct slw_err *err)
{
    TRY(slw_track_read(&x->tx, x->store, err));
    TRY(experiments_find(x, err));
    TRY(folder_begin(x, err));
    TRY(slw_scan_open(&x->scan, 1, SCAN_MEMORY_SIZE,
                      slw_path(&x->arena, x->work, "tmp"), err));
    TRY(manifest_begin(x, err));
    TRY(tables_write(x, slw_track_dump_tables, slw_track_dump_table_count,
                     err));
    if (x->experiments.len == 0) {
        TRY(tables_write(x, slw_registry_dump_tables,
                         slw_registry_dump_table_count, err));
        TRY(releases_write(x, err));
    }
    TRY(points_write(x, err));
    if (x->o->artifacts)
        TRY(artifacts_write(x, err));
    slw_scan_done(&x->scan);
    TRY(slw_dir_remove(slw_path(&x->arena, x->work, "tmp"), err));
    TRY(manifest_end(x, err));
    if (rename(x->work, x->o->dir) != 0)
        return slw_fail(err, SLW_IO, "cannot give %s its name: %s", x->o->dir,
                        strerror(errno));
    return SLW_OK;
}

static void
summary_write(struct export *x, struct slw_buf *out)
{
    struct slw_jw w;
    slw_jw_init(&w, out);
    slw_jw_obj(&w);
    head_write(x, &w);
    slw_jw_kz(&w, "folder", x->o->dir);
    slw_jw_ki64(&w, "files", x->file_count);
    slw_jw_kraw(&w, "tables",
                slw_arena_printf(&x->arena, "{%.*s}",
                                 SLW_FMT(slw_buf_view(&x->counts))));
    slw_jw_obj_end(&w);
}

enum slw_rc
slw_export(struct slw_store *s, const struct slw_export_options *o,
           struct slw_buf *manifest, struct slw_err *err)
{
    struct export x = {.store = s, .o = o, .files.fd = -1};
    const enum slw_rc rc = export_write(&x, err);
    if (rc == SLW_OK)
        summary_write(&x, manifest);
    slw_tx_done(&x.tx);
    slw_scan_done(&x.scan);
    sink_done(&x.files);
    slw_buf_done(&x.counts);
    slw_arena_done(&x.arena);
    return rc;
}
