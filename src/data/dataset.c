/* dataset.c -- dataset versions in the store: find, list, add.
 *
 * A version never changes.  What a reference such as "prices@2023-08-31"
 * means can change only while that instant still lies ahead. */
#include "data/data_internal.h"

#include "base/hash.h"
#include "store/event.h"

#define COLUMNS                                                                \
    "id, name, version, parent, hash, size, new_size, chunk_count, row_count," \
    " quarantined_count, quarantine_hash, event_min_ms, event_max_ms,"         \
    " known_at_ms, created_at_ms, schema, profile, checks, source_def"

static const char SQL_BY_VERSION[] =
    "SELECT " COLUMNS " FROM data_dataset WHERE name = ?1 AND version = ?2";
static const char SQL_BY_HASH[] =
    "SELECT " COLUMNS " FROM data_dataset WHERE name = ?1 AND hash = ?2"
    " ORDER BY version DESC LIMIT 1";
static const char SQL_AT[] = "SELECT " COLUMNS " FROM data_dataset"
                             " WHERE name = ?1 AND known_at_ms <= ?2"
                             " ORDER BY known_at_ms DESC, version DESC LIMIT 1";
static const char SQL_LOG[] =
    "SELECT " COLUMNS " FROM data_dataset WHERE name = ?1"
    " ORDER BY version DESC LIMIT ?2 OFFSET ?3";
static const char SQL_RANGE[] =
    "SELECT count(*), coalesce(max(version), 0), coalesce(min(known_at_ms), 0)"
    " FROM data_dataset WHERE name = ?1";
static const char SQL_NAMES[] =
    "SELECT name FROM data_source UNION SELECT name FROM data_dataset"
    " ORDER BY name";
static const char SQL_INSERT[] =
    "INSERT INTO data_dataset(name, version, parent, hash, size, new_size,"
    " chunk_count, row_count, quarantined_count, quarantine_hash,"
    " event_min_ms, event_max_ms, known_at_ms, created_at_ms, schema, profile,"
    " checks, source_def) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"
    " ?12, ?13, ?14, ?15, ?16, ?17, ?18)";

static void
dataset_read(struct slw_stmt *st, struct slw_arena *a, struct slw_dataset *out)
{
    *out = (struct slw_dataset){
        .id = slw_col_i64(st, 0),
        .name = slw_col_dup(st, 1, a),
        .version = slw_col_i64(st, 2),
        .parent = slw_col_i64(st, 3),
        .hash = slw_col_dup(st, 4, a),
        .size = slw_col_i64(st, 5),
        .new_size = slw_col_i64(st, 6),
        .chunk_count = slw_col_i64(st, 7),
        .row_count = slw_col_i64(st, 8),
        .quarantined_count = slw_col_i64(st, 9),
        .quarantine_hash = slw_col_dup(st, 10, a),
        .event_min_ms = slw_col_i64(st, 11),
        .event_max_ms = slw_col_i64(st, 12),
        .known_at_ms = slw_col_i64(st, 13),
        .created_at_ms = slw_col_i64(st, 14),
        .schema = slw_col_dup(st, 15, a),
        .profile = slw_col_dup(st, 16, a),
        .checks = slw_col_dup(st, 17, a),
        .source_def = slw_col_dup(st, 18, a),
    };
}

static enum slw_rc
dataset_take(struct slw_stmt *st, struct slw_arena *a, bool *out_found,
             struct slw_dataset *out, struct slw_err *err)
{
    TRY(slw_stmt_step(st, out_found, err));
    if (*out_found)
        dataset_read(st, a, out);
    return SLW_OK;
}

/* ---- what there is instead ---- */

static enum slw_rc
names_fail(struct slw_tx *tx, struct slw_str name, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_NAMES, err));
    SLW_AUTO(slw_buf, text);
    for (int i = 0; i < 12; i++) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        if (slw_str_eq(slw_col_str(&st, 0), name))
            return slw_fail(err, SLW_NOT_FOUND,
                            "dataset '%.*s' has no version yet: add data to it"
                            " first",
                            SLW_FMT(name));
        slw_buf_printf(&text, "%s%.*s", i ? ", " : "",
                       SLW_FMT(slw_col_str(&st, 0)));
    }
    return slw_fail(err, SLW_NOT_FOUND, "no dataset '%.*s'; there %s%.*s",
                    SLW_FMT(name), text.len ? "are: " : "is none yet",
                    SLW_FMT(slw_buf_view(&text)));
}

static enum slw_rc
absent_fail(struct slw_tx *tx, struct slw_str name, struct slw_str what,
            struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_RANGE, err));
    slw_stmt_str(&st, 1, name);
    bool row = false;
    TRY(slw_stmt_step(&st, &row, err));
    SLW_ASSERT(row);
    const int64_t count = slw_col_i64(&st, 0);
    const int64_t newest = slw_col_i64(&st, 1);
    char first[SLW_TIME_TEXT_SIZE];
    (void)slw_time_text(slw_col_i64(&st, 2), first);
    if (count == 0)
        return names_fail(tx, name, err);
    return slw_fail(err, SLW_NOT_FOUND,
                    "dataset '%.*s' has no version %.*s; there are 1 to %lld,"
                    " the first known at %s",
                    SLW_FMT(name), SLW_FMT(what), (long long)newest, first);
}

/* ---- find ---- */

enum slw_rc
slw_data_get_at(struct slw_tx *tx, struct slw_str name, int64_t at_ms,
                struct slw_arena *a, struct slw_dataset *out,
                struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_AT, err));
    slw_stmt_str(&st, 1, name);
    slw_stmt_i64(&st, 2, at_ms);
    bool found = false;
    TRY(dataset_take(&st, a, &found, out, err));
    if (found)
        return SLW_OK;
    char when[SLW_TIME_TEXT_SIZE];
    (void)slw_time_text(at_ms, when);
    return absent_fail(tx, name, slw_arena_printf(a, "known at %s", when), err);
}

static enum slw_rc
get_version(struct slw_tx *tx, struct slw_str name, int64_t version,
            struct slw_arena *a, struct slw_dataset *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_BY_VERSION, err));
    slw_stmt_str(&st, 1, name);
    slw_stmt_i64(&st, 2, version);
    bool found = false;
    TRY(dataset_take(&st, a, &found, out, err));
    if (found)
        return SLW_OK;
    return absent_fail(tx, name,
                       slw_arena_printf(a, "%lld", (long long)version), err);
}

static enum slw_rc
get_hash(struct slw_tx *tx, struct slw_str name, struct slw_str hash,
         struct slw_arena *a, struct slw_dataset *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_BY_HASH, err));
    slw_stmt_str(&st, 1, name);
    slw_stmt_str(&st, 2, hash);
    bool found = false;
    TRY(dataset_take(&st, a, &found, out, err));
    return found ? SLW_OK : absent_fail(tx, name, hash, err);
}

enum slw_rc
slw_data_get(struct slw_tx *tx, struct slw_str ref, struct slw_arena *a,
             struct slw_dataset *out, struct slw_err *err)
{
    struct slw_str name;
    struct slw_str what;
    if (!slw_str_cut(ref, '@', &name, &what) || slw_str_eqz(what, "latest"))
        return slw_data_get_at(tx, name, INT64_MAX, a, out, err);
    struct slw_sha256 hash;
    struct slw_err ignored;
    if (what.len == 64 && slw_sha256_parse(what, &hash, &ignored) == SLW_OK)
        return get_hash(tx, name, what, a, out, err);
    int64_t number = 0;
    /* A number is a version, never milliseconds. */
    if (slw_str_i64(what, &number, &ignored) == SLW_OK)
        return get_version(tx, name, number, a, out, err);
    if (slw_time_parse_end(what, &number, &ignored) == SLW_OK)
        return slw_data_get_at(tx, name, number, a, out, err);
    return slw_fail(err, SLW_INVALID,
                    "'%.*s' names no version: write NAME, NAME@3,"
                    " NAME@latest, NAME@2023-08-31, NAME@ and a time, or NAME@"
                    " and a SHA-256",
                    SLW_FMT(ref));
}

/* ---- lists ---- */

enum slw_rc
slw_data_log(struct slw_tx *tx, struct slw_str name, struct slw_arena *a,
             struct slw_dataset **out, size_t *out_count, struct slw_err *err)
{
    int64_t total = 0;
    return slw_data_log_page(tx, name, 0, SIZE_MAX, a, out, out_count, &total,
                             err);
}

enum slw_rc
slw_data_log_page(struct slw_tx *tx, struct slw_str name, size_t offset,
                  size_t limit, struct slw_arena *a, struct slw_dataset **out,
                  size_t *out_count, int64_t *out_total, struct slw_err *err)
{
    struct slw_dataset newest;
    bool row = false;
    TRY(slw_data_get_at(tx, name, INT64_MAX, a, &newest, err));
    SLW_AUTO(slw_stmt, range);
    TRY(slw_stmt_prepare(&range, tx, SQL_RANGE, err));
    slw_stmt_str(&range, 1, name);
    TRY(slw_stmt_step(&range, &row, err));
    const int64_t total = row ? slw_col_i64(&range, 0) : 0;
    if (limit > (size_t)total)
        limit = (size_t)total;
    struct slw_dataset *list = SLW_ARENA_NEW(a, struct slw_dataset, limit + 1);
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_LOG, err));
    slw_stmt_str(&st, 1, name);
    slw_stmt_i64(&st, 2, (int64_t)limit);
    slw_stmt_i64(&st, 3, (int64_t)offset);
    size_t count = 0;
    while (count < limit) {
        bool found = false;
        TRY(dataset_take(&st, a, &found, &list[count], err));
        if (!found)
            break;
        count++;
    }
    *out = list;
    *out_count = count;
    *out_total = total;
    return SLW_OK;
}

#define NAMES_MAX 10000

enum slw_rc
slw_data_list(struct slw_tx *tx, struct slw_arena *a, struct slw_dataset **out,
              size_t *out_count, struct slw_err *err)
{
    struct slw_str *names = SLW_ARENA_NEW(a, struct slw_str, NAMES_MAX);
    size_t count = 0;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_NAMES, err));
    for (bool row = true; count < NAMES_MAX;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        names[count++] = slw_col_dup(&st, 0, a);
    }
    struct slw_dataset *list = SLW_ARENA_NEW(a, struct slw_dataset, count + 1);
    for (size_t i = 0; i < count; i++) {
        SLW_AUTO(slw_stmt, at);
        TRY(slw_stmt_prepare(&at, tx, SQL_AT, err));
        slw_stmt_str(&at, 1, names[i]);
        slw_stmt_i64(&at, 2, INT64_MAX);
        bool found = false;
        TRY(dataset_take(&at, a, &found, &list[i], err));
        if (!found)
            list[i] = (struct slw_dataset){.name = names[i]};
    }
    *out = list;
    *out_count = count;
    return SLW_OK;
}

/* ---- show and add ---- */

static void
json_or_empty(struct slw_jw *w, const char *key, struct slw_str json,
              const char *empty)
{
    slw_jw_kraw(w, key, json.len ? json : slw_str_of(empty));
}

/* Of a name without a version yet there are no times. */
static void
time_write(struct slw_jw *w, const char *key, const struct slw_dataset *d,
           int64_t at_ms)
{
    if (d->version)
        slw_jw_ki64(w, key, at_ms);
    else
        slw_jw_kraw(w, key, SLW_STR("null"));
}

void
data_dataset_fields(struct slw_jw *w, const struct slw_dataset *d, bool full)
{
    slw_jw_kstr(w, "name", d->name);
    slw_jw_ki64(w, "version", d->version);
    slw_jw_ki64(w, "parent", d->parent);
    slw_jw_kstr(w, "hash", d->hash);
    slw_jw_ki64(w, "size", d->size);
    slw_jw_ki64(w, "new_size", d->new_size);
    slw_jw_ki64(w, "chunk_count", d->chunk_count);
    slw_jw_ki64(w, "row_count", d->row_count);
    slw_jw_ki64(w, "quarantined_count", d->quarantined_count);
    slw_jw_kstr(w, "quarantine_hash", d->quarantine_hash);
    time_write(w, "event_min_ms", d, d->event_min_ms);
    time_write(w, "event_max_ms", d, d->event_max_ms);
    time_write(w, "known_at_ms", d, d->known_at_ms);
    time_write(w, "created_at_ms", d, d->created_at_ms);
    if (full) {
        json_or_empty(w, "schema", d->schema, "[]");
        json_or_empty(w, "profile", d->profile, "{}");
        json_or_empty(w, "checks", d->checks, "[]");
        json_or_empty(w, "source", d->source_def, "{}");
    }
}

void
slw_data_write(struct slw_jw *w, const struct slw_dataset *d, bool full)
{
    slw_jw_obj(w);
    data_dataset_fields(w, d, full);
    slw_jw_obj_end(w);
}

enum slw_rc
data_dataset_insert(struct slw_tx *tx, struct slw_dataset *d,
                    struct slw_err *err)
{
    SLW_AUTO(slw_stmt, put);
    TRY(slw_stmt_prepare(&put, tx, SQL_INSERT, err));
    slw_stmt_str(&put, 1, d->name);
    slw_stmt_i64(&put, 2, d->version);
    slw_stmt_i64(&put, 3, d->parent);
    slw_stmt_str(&put, 4, d->hash);
    slw_stmt_i64(&put, 5, d->size);
    slw_stmt_i64(&put, 6, d->new_size);
    slw_stmt_i64(&put, 7, d->chunk_count);
    slw_stmt_i64(&put, 8, d->row_count);
    slw_stmt_i64(&put, 9, d->quarantined_count);
    slw_stmt_str(&put, 10, d->quarantine_hash);
    slw_stmt_i64(&put, 11, d->event_min_ms);
    slw_stmt_i64(&put, 12, d->event_max_ms);
    slw_stmt_i64(&put, 13, d->known_at_ms);
    slw_stmt_i64(&put, 14, d->created_at_ms);
    slw_stmt_str(&put, 15, d->schema);
    slw_stmt_str(&put, 16, d->profile);
    slw_stmt_str(&put, 17, d->checks);
    slw_stmt_str(&put, 18, d->source_def);
    TRY(slw_stmt_run(&put, err));
    d->id = slw_tx_last_id(tx);
    return SLW_OK;
}

enum slw_rc
data_announce(struct slw_tx *tx, int64_t now_ms, const struct slw_dataset *d,
              struct slw_err *err)
{
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "name", d->name);
    slw_jw_ki64(&w, "version", d->version);
    slw_jw_kstr(&w, "hash", d->hash);
    slw_jw_ki64(&w, "rows", d->row_count);
    slw_jw_ki64(&w, "event_max_ms", d->event_max_ms);
    slw_jw_ki64(&w, "known_at_ms", d->known_at_ms);
    slw_jw_obj_end(&w);
    return slw_event_emit(tx, now_ms, "data.version_added", d->name,
                          slw_buf_view(&payload), err);
}
