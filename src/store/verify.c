/* verify.c -- the collector of a check, and the store's own part of it.
 *
 * The schema is compared with the one that the embedded migrations make in an
 * empty database in memory: a table, an index or a STRICT that somebody
 * changed by hand is seen. */
#include "store/verify.h"

#include "base/json.h"
#include "store/blob_internal.h"
#include "store/event.h"

#define FIX_RESTORE "restore a backup (slipway restore), or a copy from backup/"

static const char SQL_INTEGRITY[] = "PRAGMA integrity_check(20)";
static const char SQL_FOREIGN_KEYS[] = "PRAGMA foreign_key_check";
static const char SQL_SCHEMA[] =
    "SELECT type, name, coalesce(sql, '') FROM sqlite_schema"
    " WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name";
static const char SQL_CURSORS_AHEAD[] =
    "SELECT event_id, 'consumer ' || consumer || ' has read up to event '"
    " || event_id FROM store_cursor WHERE event_id >"
    " (SELECT coalesce(max(id), 0) FROM store_event)";

struct slw_verify_blob {
    struct slw_sha256 hash;
    struct slw_str who; /* the first that needs it */
    int64_t size;       /* of the file */
    bool bad;
    bool is_recipe;
};

struct blob_list {
    struct slw_verify *v;
    size_t cap;
    const char *prefix; /* "ab" */
};

/* ---- saying ---- */

static void
line_add(struct slw_verify *v, bool fault, const char *room, const char *fix,
         struct slw_str what)
{
    struct slw_verify_line *line =
        SLW_ARENA_NEW(&v->arena, struct slw_verify_line, 1);
    *line = (struct slw_verify_line){.room = room, .what = what, .fix = fix};
    struct slw_verify_line **first = fault ? &v->faults : &v->notes;
    struct slw_verify_line **last = fault ? &v->faults_last : &v->notes_last;
    if (*last)
        (*last)->next = line;
    else
        *first = line;
    *last = line;
}

void
slw_verify_fault(struct slw_verify *v, const char *room, const char *fix,
                 const char *fmt, ...)
{
    SLW_ASSERT(fix);
    if (v->fault_count++ >= SLW_VERIFY_FAULT_MAX)
        return;
    va_list args;
    va_start(args, fmt);
    const struct slw_str what = slw_arena_vprintf(&v->arena, fmt, args);
    va_end(args);
    line_add(v, true, room, fix, what);
}

void
slw_verify_note(struct slw_verify *v, const char *room, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const struct slw_str what = slw_arena_vprintf(&v->arena, fmt, args);
    va_end(args);
    line_add(v, false, room, NULL, what);
}

void
slw_verify_counted(struct slw_verify *v, const char *what, int64_t count)
{
    SLW_ASSERT(v->count_count < SLW_ARRAY_LEN(v->counts));
    v->counts[v->count_count++] = (struct slw_verify_count){what, count};
}

void
slw_verify_step(struct slw_verify *v, const char *what, int64_t done,
                int64_t total)
{
    if (v->progress)
        v->progress(v->progress_ctx, what, done, total);
}

enum slw_rc
slw_verify_rc(struct slw_verify *v, const char *room, enum slw_rc rc,
              struct slw_err *err)
{
    if (rc != SLW_CORRUPT)
        return rc;
    slw_verify_fault(v, room, FIX_RESTORE, "%s", err->msg);
    return SLW_OK;
}

void
slw_verify_write(const struct slw_verify *v, struct slw_jw *w)
{
    slw_jw_kbool(w, "ok", v->fault_count == 0);
    slw_jw_ki64(w, "fault_count", v->fault_count);
    slw_jw_key(w, "faults");
    slw_jw_arr(w);
    for (const struct slw_verify_line *l = v->faults; l; l = l->next) {
        slw_jw_obj(w);
        slw_jw_kz(w, "room", l->room);
        slw_jw_kstr(w, "what", l->what);
        slw_jw_kz(w, "fix", l->fix);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
    slw_jw_key(w, "notes");
    slw_jw_arr(w);
    for (const struct slw_verify_line *l = v->notes; l; l = l->next)
        slw_jw_str(w, l->what);
    slw_jw_arr_end(w);
    slw_jw_key(w, "counts");
    slw_jw_obj(w);
    for (size_t i = 0; i < v->count_count; i++)
        slw_jw_ki64(w, v->counts[i].what, v->counts[i].count);
    slw_jw_obj_end(w);
}

/* ---- queries ---- */

enum slw_rc
slw_verify_none(struct slw_verify *v, const char *room, const char *sql,
                const char *what, const char *fix, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &v->tx, sql, err));
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        slw_verify_fault(v, room, fix, "%s%s%.*s", what, *what ? " " : "",
                         SLW_FMT(slw_col_str(&st, 1)));
    }
}

enum slw_rc
slw_verify_number(struct slw_verify *v, const char *sql, int64_t *out,
                  struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, &v->tx, sql, err));
    TRY(slw_stmt_step(&st, &row, err));
    *out = row ? slw_col_i64(&st, 0) : 0;
    return SLW_OK;
}

bool
slw_verify_hash_ok(struct slw_str hex, struct slw_str text)
{
    char is[SLW_SHA256_HEX_SIZE];
    const struct slw_sha256 h = slw_sha256_of(text.ptr, text.len);
    return slw_str_eqz(hex, slw_sha256_hex(&h, is));
}

/* ---- the list of blobs ---- */

static enum slw_rc
blob_file_add(void *ctx, const char *path, const char *name, bool is_dir,
              struct slw_err *err)
{
    struct blob_list *l = ctx;
    struct slw_verify *v = l->v;
    char hex[SLW_SHA256_HEX_SIZE];
    struct slw_err ignored;
    struct slw_verify_blob b = {0};
    (void)snprintf(hex, sizeof hex, "%.2s%.62s", l->prefix, name);
    if (is_dir || strlen(name) != 62 ||
        slw_sha256_parse(slw_str_of(hex), &b.hash, &ignored) != SLW_OK) {
        slw_verify_fault(v, "store", "move it out of the data folder",
                         "%s is no blob, its name is no hash", path);
        return SLW_OK;
    }
    TRY(slw_file_size(path, &b.size, err));
    v->blobs = slw_arena_grow(&v->arena, v->blobs, sizeof *v->blobs,
                              v->blob_count, &l->cap);
    v->blobs[v->blob_count++] = b;
    return SLW_OK;
}

static enum slw_rc
blob_folder_add(void *ctx, const char *path, const char *name, bool is_dir,
                struct slw_err *err)
{
    struct blob_list *l = ctx;
    if (!is_dir || strlen(name) != 2) {
        slw_verify_fault(l->v, "store", "move it out of the data folder",
                         "%s is no folder of blobs", path);
        return SLW_OK;
    }
    l->prefix = name;
    return slw_dir_each(path, blob_file_add, l, err);
}

static struct slw_verify_blob *
blob_find(struct slw_verify *v, const struct slw_sha256 *hash)
{
    size_t low = 0, high = v->blob_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int cmp =
            memcmp(v->blobs[middle].hash.bytes, hash->bytes, sizeof *hash);
        if (cmp == 0)
            return &v->blobs[middle];
        if (cmp < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

enum slw_rc
slw_verify_begin(struct slw_verify *v, struct slw_store *s, struct slw_err *err)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    v->store = s;
    v->system_ms = now.tv_sec * 1000 + now.tv_nsec / 1000000;
    v->server_runs = slw_file_lock_held(slw_path(&v->arena, s->dir, "lock"));
    TRY(slw_gc_hold_take(&v->hold, s, err));
    TRY(slw_tx_read(&v->tx, s, err));
    struct blob_list list = {.v = v};
    /* Folders and names come in order of their bytes: sorted by hash. */
    return slw_dir_each(slw_path(&v->arena, s->dir, "blobs"), blob_folder_add,
                        &list, err);
}

void
slw_verify_done(struct slw_verify *v)
{
    slw_tx_done(&v->tx);
    slw_gc_hold_done(&v->hold);
    slw_arena_done(&v->arena);
}

/* ---- what is needed ---- */

/* The chunks of a recipe are needed by who needs the recipe. */
static void
chunks_mark(struct slw_verify *v, const char *room, struct slw_verify_blob *b,
            struct slw_str recipe)
{
    for (size_t at = 0; at < recipe.len; at += BLOB_ENTRY_SIZE) {
        const struct blob_entry e =
            blob_entry_read((const uint8_t *)recipe.ptr + at);
        struct slw_verify_blob *chunk = blob_find(v, &e.hash);
        char hex[SLW_SHA256_HEX_SIZE];
        if (chunk && !chunk->who.ptr)
            chunk->who = b->who;
        if (!chunk)
            slw_verify_fault(v, room, FIX_RESTORE,
                             "chunk %.12s… of %.*s is missing",
                             slw_sha256_hex(&e.hash, hex), SLW_FMT(b->who));
    }
}

static void
need_mark(struct slw_verify *v, const char *room, struct slw_verify_blob *b,
          int64_t size)
{
    struct slw_err err;
    struct blob_head head;
    SLW_AUTO(slw_buf, body);
    slw_buf_init(&body, BLOB_RECIPE_SIZE_MAX);
    if (blob_file_read(v->store, &b->hash, &head, &body, &err) != SLW_OK) {
        b->bad = true;
        slw_verify_fault(v, room, FIX_RESTORE, "%.*s: %s", SLW_FMT(b->who),
                         err.msg);
        return;
    }
    if (size >= 0 && head.content_size != (uint64_t)size)
        slw_verify_fault(v, room, FIX_RESTORE,
                         "%.*s has %lld bytes by its row and %lld in its blob",
                         SLW_FMT(b->who), (long long)size,
                         (long long)head.content_size);
    if (head.kind == BLOB_RECIPE)
        chunks_mark(v, room, b, slw_buf_view(&body));
}

bool
slw_verify_need(struct slw_verify *v, const char *room, struct slw_str hash,
                int64_t size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const struct slw_str who = slw_arena_vprintf(&v->arena, fmt, args);
    va_end(args);
    struct slw_sha256 parsed;
    struct slw_err ignored;
    if (slw_sha256_parse(hash, &parsed, &ignored) != SLW_OK) {
        slw_verify_fault(v, room, FIX_RESTORE,
                         "%.*s names '%.*s', which is no hash", SLW_FMT(who),
                         SLW_FMT(hash));
        return false;
    }
    struct slw_verify_blob *b = blob_find(v, &parsed);
    if (!b) {
        slw_verify_fault(v, room, FIX_RESTORE,
                         "the bytes of %.*s are missing"
                         " (blob %.12s…)",
                         SLW_FMT(who), hash.ptr);
        return false;
    }
    if (!b->who.ptr || size >= 0) {
        b->who = b->who.ptr ? b->who : who;
        need_mark(v, room, b, size);
    }
    return !b->bad;
}

/* ---- the database ---- */

static enum slw_rc
integrity_check(struct slw_verify *v, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &v->tx, SQL_INTEGRITY, err));
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        const struct slw_str said = slw_col_str(&st, 0);
        if (!slw_str_eqz(said, "ok"))
            slw_verify_fault(v, "store", FIX_RESTORE,
                             "slipway.db is damaged: %.*s", SLW_FMT(said));
    }
}

static enum slw_rc
references_check(struct slw_verify *v, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &v->tx, SQL_FOREIGN_KEYS, err));
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        slw_verify_fault(v, "store", FIX_RESTORE,
                         "row %lld of %.*s points at a row of %.*s that is "
                         "not there",
                         (long long)slw_col_i64(&st, 1),
                         SLW_FMT(slw_col_str(&st, 0)),
                         SLW_FMT(slw_col_str(&st, 2)));
    }
}

struct schema_row {
    struct slw_str type, name, sql;
};

static enum slw_rc
schema_read(sqlite3 *db, struct slw_arena *a, struct schema_row **out,
            size_t *out_count, struct slw_err *err)
{
    sqlite3_stmt *st = NULL;
    struct schema_row *rows = NULL;
    size_t count = 0, cap = 0;
    int rc = sqlite3_prepare_v2(db, SQL_SCHEMA, -1, &st, NULL);
    while (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
        const char *text[3];
        for (int i = 0; i < 3; i++)
            text[i] = (const char *)sqlite3_column_text(st, i);
        rows = slw_arena_grow(a, rows, sizeof *rows, count, &cap);
        rows[count++] =
            (struct schema_row){slw_arena_str(a, slw_str_of(text[0])),
                                slw_arena_str(a, slw_str_of(text[1])),
                                slw_arena_str(a, slw_str_of(text[2]))};
    }
    (void)sqlite3_finalize(st);
    if (rc != SQLITE_OK)
        return slw_fail(err, SLW_CORRUPT, "the schema cannot be read: %s",
                        sqlite3_errmsg(db));
    *out = rows;
    *out_count = count;
    return SLW_OK;
}

static int
schema_cmp(const struct schema_row *a, const struct schema_row *b)
{
    const int by_type = slw_str_cmp(a->type, b->type);
    return by_type ? by_type : slw_str_cmp(a->name, b->name);
}

static void
schema_compare(struct slw_verify *v, const struct schema_row *is,
               size_t is_count, const struct schema_row *want,
               size_t want_count)
{
    size_t i = 0, k = 0;
    while (i < is_count || k < want_count) {
        const int cmp = i == is_count     ? 1
                        : k == want_count ? -1
                                          : schema_cmp(&is[i], &want[k]);
        const struct schema_row *r = cmp <= 0 ? &is[i] : &want[k];
        const char *how = cmp > 0   ? "is missing"
                          : cmp < 0 ? "is none of Slipway's"
                          : slw_str_eq(is[i].sql, want[k].sql)
                              ? NULL
                              : "is not as its migration made it";
        if (how)
            slw_verify_fault(v, "store", FIX_RESTORE,
                             "the %.*s %.*s of slipway.db %s", SLW_FMT(r->type),
                             SLW_FMT(r->name), how);
        i += cmp <= 0;
        k += cmp >= 0;
    }
}

/* The schema as this binary's migrations make it. */
static enum slw_rc
schema_check(struct slw_verify *v, struct slw_err *err)
{
    struct store_conn *c = v->tx.db;
    struct schema_row *is = NULL, *want = NULL;
    size_t is_count = 0, want_count = 0;
    sqlite3 *fresh = NULL;
    TRY(store_migrate_check(v->store, c, err));
    TRY(schema_read(c->db, &v->arena, &is, &is_count, err));
    enum slw_rc rc = SLW_OK;
    if (sqlite3_open(":memory:", &fresh) != SQLITE_OK ||
        !store_migrations_apply(fresh))
        rc = slw_fail(err, SLW_INTERNAL, "the migrations do not apply: %s",
                      sqlite3_errmsg(fresh));
    if (rc == SLW_OK)
        rc = schema_read(fresh, &v->arena, &want, &want_count, err);
    (void)sqlite3_close(fresh);
    if (rc == SLW_OK)
        schema_compare(v, is, is_count, want, want_count);
    slw_verify_counted(v, "tables and indexes", (int64_t)is_count);
    return rc;
}

static enum slw_rc
events_check(struct slw_verify *v, struct slw_err *err)
{
    int64_t count = 0;
    TRY(slw_event_verify(&v->tx, &count, err));
    slw_verify_counted(v, "events", count);
    return slw_verify_none(v, "store", SQL_CURSORS_AHEAD,
                           "events were lost:", FIX_RESTORE, err);
}

enum slw_rc
slw_verify_store(struct slw_verify *v, struct slw_err *err)
{
    static enum slw_rc (*const parts[])(struct slw_verify *,
                                        struct slw_err *) = {
        integrity_check, references_check, schema_check, events_check};
    for (size_t i = 0; i < SLW_ARRAY_LEN(parts); i++) {
        slw_verify_step(v, "database", (int64_t)i,
                        (int64_t)SLW_ARRAY_LEN(parts));
        TRY(slw_verify_rc(v, "store", parts[i](v, err), err));
    }
    return SLW_OK;
}

/* ---- the bytes ---- */

static struct slw_str
who_of(const struct slw_verify_blob *b)
{
    return b->who.ptr ? b->who : SLW_STR("nothing that is there");
}

/* A chunk: its content.  A recipe: that it is whole. */
static void
blob_read_one(struct slw_verify *v, struct slw_verify_blob *b,
              struct slw_buf *body)
{
    char hex[SLW_SHA256_HEX_SIZE];
    struct slw_err err;
    struct blob_head head;
    slw_buf_clear(body);
    enum slw_rc rc = blob_file_read(v->store, &b->hash, &head, body, &err);
    b->is_recipe = rc == SLW_OK && head.kind == BLOB_RECIPE;
    (void)slw_sha256_hex(&b->hash, hex);
    if (rc == SLW_OK && !b->is_recipe)
        rc = slw_blob_verify(v->store, hex, &err);
    if (rc == SLW_OK || b->bad)
        return;
    b->bad = true;
    slw_verify_fault(v, "store", FIX_RESTORE, "%s (needed by %.*s)", err.msg,
                     SLW_FMT(who_of(b)));
}

static bool
any_chunk_bad(struct slw_verify *v, struct slw_str recipe)
{
    for (size_t at = 0; at < recipe.len; at += BLOB_ENTRY_SIZE) {
        const struct blob_entry e =
            blob_entry_read((const uint8_t *)recipe.ptr + at);
        const struct slw_verify_blob *chunk = blob_find(v, &e.hash);
        if (!chunk || chunk->bad)
            return true;
    }
    return false;
}

/* A blob of several chunks, as a whole; not where a chunk was told of. */
static void
recipe_read_one(struct slw_verify *v, struct slw_verify_blob *b,
                struct slw_buf *body)
{
    char hex[SLW_SHA256_HEX_SIZE];
    struct slw_err err;
    struct blob_head head;
    slw_buf_clear(body);
    enum slw_rc rc = blob_file_read(v->store, &b->hash, &head, body, &err);
    if (rc == SLW_OK && any_chunk_bad(v, slw_buf_view(body))) {
        if (!b->who.ptr)
            slw_verify_note(v, "store",
                            "blob %.12s… is not whole, and "
                            "nothing needs it",
                            slw_sha256_hex(&b->hash, hex));
        return;
    }
    if (rc == SLW_OK)
        rc = slw_blob_verify(v->store, slw_sha256_hex(&b->hash, hex), &err);
    if (rc != SLW_OK)
        slw_verify_fault(v, "store", FIX_RESTORE, "%s (needed by %.*s)",
                         err.msg, SLW_FMT(who_of(b)));
}

enum slw_rc
slw_verify_blobs(struct slw_verify *v, struct slw_err *err)
{
    (void)err;
    slw_tx_done(&v->tx);
    SLW_AUTO(slw_buf, body);
    slw_buf_init(&body, BLOB_RECIPE_SIZE_MAX);
    int64_t size = 0, unneeded = 0, unneeded_size = 0, recipes = 0;
    const int64_t total = (int64_t)v->blob_count * 2;
    for (size_t i = 0; i < v->blob_count; i++) {
        struct slw_verify_blob *b = &v->blobs[i];
        slw_verify_step(v, "blobs", (int64_t)i, total);
        blob_read_one(v, b, &body);
        size += b->size;
        if (!b->who.ptr) {
            unneeded++;
            unneeded_size += b->size;
        }
    }
    for (size_t i = 0; i < v->blob_count; i++) {
        slw_verify_step(v, "blobs", (int64_t)(v->blob_count + i), total);
        if (v->blobs[i].is_recipe)
            recipe_read_one(v, &v->blobs[i], &body);
        recipes += v->blobs[i].is_recipe;
    }
    slw_verify_counted(v, "blob files", (int64_t)v->blob_count);
    slw_verify_counted(v, "blob bytes on disk", size);
    slw_verify_counted(v, "recipes", recipes);
    slw_verify_counted(v, "blob files nothing needs", unneeded);
    slw_verify_counted(v, "their bytes", unneeded_size);
    return SLW_OK;
}
