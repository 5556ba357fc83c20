/* source.c -- declarations of sources: kept as canonical JSON, read into
 * struct data_def, which the rest of the room works with. */
#include "data/data_internal.h"

#include <ctype.h>
#include <math.h>

#include "base/buf.h"
#include "store/event.h"

static const char SQL_PUT[] =
    "INSERT INTO data_source(name, def, version, updated_at_ms)"
    " VALUES(?1, ?2, 1, ?3)"
    " ON CONFLICT(name) DO UPDATE SET def = excluded.def,"
    "  version = data_source.version + 1,"
    "  updated_at_ms = excluded.updated_at_ms";
static const char SQL_GET[] = "SELECT def FROM data_source WHERE name = ?1";
static const char SQL_NAMES[] = "SELECT name FROM data_source ORDER BY name";

static const char *const KEYS[] = {
    "name",   "entity",         "event_time", "known_time", "known_after_ms",
    "expect", "quarantine_max", "types",      "path",       "files",
    "format", "description",    "mode"};

/* ---- checks ---- */

/* "unique(symbol, date)": the word before the bracket and what is inside it,
 * where the bracket that opens closes at the very end. */
static bool
call_cut(struct slw_str text, struct slw_str *out_word,
         struct slw_str *out_args)
{
    const struct slw_str t = slw_str_trim(text);
    size_t at = 0;
    while (at < t.len &&
           (isalpha((unsigned char)t.ptr[at]) || t.ptr[at] == '_'))
        at++;
    const struct slw_str word = {t.ptr, at};
    while (at < t.len && t.ptr[at] == ' ')
        at++;
    if (word.len == 0 || at >= t.len || t.ptr[at] != '(' ||
        t.ptr[t.len - 1] != ')')
        return false;
    const struct slw_str args = {t.ptr + at + 1, t.len - at - 2};
    for (size_t i = 0; i < args.len; i++)
        if (args.ptr[i] == '(' || args.ptr[i] == ')')
            return false;
    *out_word = word;
    *out_args = args;
    return true;
}

static enum slw_rc
cols_parse(struct slw_str args, struct slw_arena *a, struct data_check *c,
           struct slw_err *err)
{
    size_t count = 1;
    for (size_t i = 0; i < args.len; i++)
        count += args.ptr[i] == ',';
    c->cols = SLW_ARENA_NEW(a, struct slw_str, count);
    for (size_t i = 0; i < count; i++) {
        struct slw_str head;
        struct slw_str rest;
        (void)slw_str_cut(args, ',', &head, &rest);
        head = slw_str_trim(head);
        if (head.len >= 2 && head.ptr[0] == '"' &&
            head.ptr[head.len - 1] == '"')
            head = (struct slw_str){head.ptr + 1, head.len - 2};
        if (head.len == 0)
            return slw_fail(err, SLW_INVALID,
                            "check '%.*s' wants column names between its"
                            " brackets, as in not_null(close)",
                            SLW_FMT(c->text));
        c->cols[i] = head;
        args = rest;
    }
    c->col_count = count;
    return SLW_OK;
}

static enum slw_rc
rows_parse(struct slw_str args, struct data_check *c, struct slw_err *err)
{
    struct slw_str least;
    struct slw_str most;
    const bool both = slw_str_cut(args, ',', &least, &most);
    c->row_most = INT64_MAX;
    if (slw_str_i64(slw_str_trim(least), &c->row_least, err) != SLW_OK ||
        (both && slw_str_i64(slw_str_trim(most), &c->row_most, err) != SLW_OK))
        return slw_fail(err, SLW_INVALID,
                        "check '%.*s' wants a least number of rows, as in"
                        " rows(1000), or both bounds, as in rows(1000, 50000)",
                        SLW_FMT(c->text));
    return SLW_OK;
}

static enum slw_rc
check_parse(struct slw_str text, struct slw_arena *a, struct data_check *out,
            struct slw_err *err)
{
    struct data_check c = {.kind = DATA_CHECK_ROW, .text = slw_str_trim(text)};
    if (c.text.len == 0)
        return slw_fail(err, SLW_INVALID, "an empty check in expect");
    struct slw_str word;
    struct slw_str args;
    if (call_cut(c.text, &word, &args)) {
        if (slw_str_same(word, SLW_STR("unique"))) {
            c.kind = DATA_CHECK_UNIQUE;
            TRY(cols_parse(args, a, &c, err));
        } else if (slw_str_same(word, SLW_STR("not_null"))) {
            c.kind = DATA_CHECK_NOT_NULL;
            TRY(cols_parse(args, a, &c, err));
        } else if (slw_str_same(word, SLW_STR("fresh"))) {
            c.kind = DATA_CHECK_FRESH;
            if (slw_duration_parse(slw_str_trim(args), &c.age_ms, err) !=
                SLW_OK)
                return slw_fail(err, SLW_INVALID,
                                "check '%.*s' wants a duration, as in"
                                " fresh(3d)",
                                SLW_FMT(c.text));
        } else if (slw_str_same(word, SLW_STR("rows"))) {
            c.kind = DATA_CHECK_ROWS;
            TRY(rows_parse(args, &c, err));
        }
    }
    c.refuse = c.kind >= DATA_CHECK_UNIQUE;
    *out = c;
    return SLW_OK;
}

static enum slw_rc
check_object_parse(const struct json_t *o, struct slw_arena *a,
                   struct data_check *out, struct slw_err *err)
{
    struct slw_str text;
    TRY(slw_json_need_str(o, "check", &text, err));
    struct data_check c;
    TRY(check_parse(slw_arena_str(a, text), a, &c, err));
    struct slw_str on_fail = SLW_STR("");
    TRY(slw_json_opt_str(o, "on_fail", &on_fail, err));
    if (slw_str_eqz(on_fail, "refuse"))
        c.refuse = true;
    else if (slw_str_eqz(on_fail, "quarantine"))
        c.refuse = false;
    else if (on_fail.len)
        return slw_fail(err, SLW_INVALID,
                        "on_fail of check '%.*s' is '%.*s'; it can be"
                        " quarantine or refuse",
                        SLW_FMT(c.text), SLW_FMT(on_fail));
    if (!c.refuse && c.kind > DATA_CHECK_UNIQUE)
        return slw_fail(err, SLW_INVALID,
                        "check '%.*s' speaks of the whole set, so it can only"
                        " refuse it: there are no rows to quarantine",
                        SLW_FMT(c.text));
    *out = c;
    return SLW_OK;
}

static enum slw_rc
checks_parse(const struct json_t *list, struct slw_arena *a,
             struct data_def *def, struct slw_err *err)
{
    const enum slw_json_type t = slw_json_type(list);
    if (t != SLW_JSON_ARRAY && t != SLW_JSON_NONE && t != SLW_JSON_NULL)
        return slw_fail(err, SLW_INVALID,
                        "expect must be a list of checks, as in"
                        " [\"close > 0\", \"unique(symbol, date)\"]");
    const size_t count = slw_json_len(list);
    if (count > DATA_CHECKS_MAX)
        return slw_fail(err, SLW_LIMIT, "more than %d checks", DATA_CHECKS_MAX);
    def->checks = SLW_ARENA_NEW(a, struct data_check, count + 2);
    struct data_check *next = def->checks;
    *next++ =
        (struct data_check){.kind = DATA_CHECK_NOT_NULL,
                            .implied = true,
                            .cols = &def->event_time,
                            .col_count = 1,
                            .text = slw_arena_printf(a, "not_null(%.*s)",
                                                     SLW_FMT(def->event_time))};
    if (def->entity.len)
        *next++ =
            (struct data_check){.kind = DATA_CHECK_NOT_NULL,
                                .implied = true,
                                .cols = &def->entity,
                                .col_count = 1,
                                .text = slw_arena_printf(a, "not_null(%.*s)",
                                                         SLW_FMT(def->entity))};
    for (size_t i = 0; i < count; i++) {
        const struct json_t *v = slw_json_at(list, i);
        if (slw_json_type(v) == SLW_JSON_OBJECT) {
            TRY(check_object_parse(v, a, next, err));
        } else if (slw_json_type(v) == SLW_JSON_STR) {
            TRY(check_parse(slw_arena_str(a, slw_json_str_or(v, SLW_STR(""))),
                            a, next, err));
        } else {
            return slw_fail(err, SLW_INVALID,
                            "check %zu of expect must be a text or an object"
                            " {\"check\", \"on_fail\"}",
                            i + 1);
        }
        next++;
    }
    def->check_count = (size_t)(next - def->checks);
    return SLW_OK;
}

/* ---- the rest of a definition ---- */

static enum slw_rc
types_parse(const struct json_t *o, struct slw_arena *a, struct data_def *def,
            struct slw_err *err)
{
    static const struct {
        const char *word, *type;
    } known[] = {{"text", "VARCHAR"},   {"number", "DOUBLE"},
                 {"integer", "BIGINT"}, {"date", "DATE"},
                 {"time", "TIMESTAMP"}, {"bool", "BOOLEAN"}};
    def->typed = SLW_ARENA_NEW(a, struct slw_str, slw_json_len(o) + 1);
    def->types = SLW_ARENA_NEW(a, struct slw_str, slw_json_len(o) + 1);
    for (void *it = slw_json_iter(o); it; it = slw_json_next(o, it)) {
        const struct slw_str word =
            slw_json_str_or(slw_json_iter_value(it), SLW_STR(""));
        size_t i = 0;
        while (i < SLW_ARRAY_LEN(known) && !slw_str_eqz(word, known[i].word))
            i++;
        const struct slw_str key = slw_json_iter_key(it);
        if (i == SLW_ARRAY_LEN(known))
            return slw_fail(err, SLW_INVALID,
                            "type of column '%.*s' must be one of text,"
                            " number, integer, date, time, bool",
                            SLW_FMT(key));
        def->typed[def->typed_count] = slw_arena_str(a, key);
        def->types[def->typed_count++] = slw_str_of(known[i].type);
    }
    return SLW_OK;
}

static enum slw_rc
def_read(const struct json_t *o, struct slw_arena *a, struct data_def *def,
         struct slw_err *err)
{
    TRY(slw_json_only(o, KEYS, SLW_ARRAY_LEN(KEYS),
                      "a source has entity, event_time, known_time,"
                      " known_after_ms, expect, quarantine_max and types",
                      err));
    def->entity = SLW_STR("");
    def->known_time = SLW_STR("");
    def->quarantine_max = 0.01;
    struct slw_str name = def->name;
    TRY(slw_json_opt_str(o, "name", &name, err));
    if (!slw_str_eq(name, def->name))
        return slw_fail(err, SLW_INVALID, "the definition's own name is '%.*s'",
                        SLW_FMT(name));
    TRY(slw_json_need_str(o, "event_time", &def->event_time, err));
    TRY(slw_json_opt_str(o, "entity", &def->entity, err));
    TRY(slw_json_opt_str(o, "known_time", &def->known_time, err));
    TRY(slw_json_opt_i64(o, "known_after_ms", &def->known_after_ms, err));
    TRY(slw_json_opt_f64(o, "quarantine_max", &def->quarantine_max, err));
    if (def->event_time.len == 0)
        return slw_fail(err, SLW_INVALID,
                        "event_time must name the column that says when a"
                        " row happened");
    if (def->known_after_ms < 0)
        return slw_fail(err, SLW_INVALID, "known_after_ms must be 0 or more");
    if (!(def->quarantine_max >= 0 && def->quarantine_max <= 1))
        return slw_fail(err, SLW_INVALID,
                        "quarantine_max is a share of the rows, from 0 to 1");
    def->event_time = slw_arena_str(a, def->event_time);
    def->entity = slw_arena_str(a, def->entity);
    def->known_time = slw_arena_str(a, def->known_time);
    TRY(types_parse(slw_json_get(o, "types"), a, def, err));
    return checks_parse(slw_json_get(o, "expect"), a, def, err);
}

enum slw_rc
data_def_parse(struct slw_str name, struct slw_str json, struct slw_arena *a,
               struct data_def *out, struct slw_err *err)
{
    /* The views that checks keep point into *out: fill it in place. */
    struct data_def *def = SLW_ARENA_NEW(a, struct data_def, 1);
    def->name = slw_arena_str(a, name);
    SLW_AUTO(slw_json, doc);
    enum slw_rc rc = slw_json_parse(&doc, json, err);
    if (rc == SLW_OK && slw_json_type(doc.root) != SLW_JSON_OBJECT)
        rc = slw_fail(err, SLW_INVALID, "the definition must be an object");
    if (rc == SLW_OK)
        rc = def_read(doc.root, a, def, err);
    if (rc != SLW_OK)
        return slw_err_prefix(err, "source '%.*s': ", SLW_FMT(name));
    SLW_AUTO(slw_buf, text);
    slw_json_dump(&text, doc.root);
    def->json = slw_arena_str(a, slw_buf_view(&text));
    *out = *def;
    return SLW_OK;
}

/* ---- in the store ---- */

enum slw_rc
slw_data_source_put(struct slw_tx *tx, int64_t now_ms, struct slw_str name,
                    struct slw_str def_json, struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    TRY(slw_name_check(name, "source", err));
    SLW_AUTO(slw_arena, a);
    struct data_def def;
    TRY(data_def_parse(name, def_json, &a, &def, err));
    SLW_AUTO(slw_stmt, get);
    TRY(slw_stmt_prepare(&get, tx, SQL_GET, err));
    slw_stmt_str(&get, 1, name);
    bool row = false;
    TRY(slw_stmt_step(&get, &row, err));
    if (row && slw_str_eq(slw_col_str(&get, 0), def.json))
        return SLW_OK;
    slw_stmt_reset(&get);
    SLW_AUTO(slw_stmt, put);
    TRY(slw_stmt_prepare(&put, tx, SQL_PUT, err));
    slw_stmt_str(&put, 1, name);
    slw_stmt_str(&put, 2, def.json);
    slw_stmt_i64(&put, 3, now_ms);
    TRY(slw_stmt_run(&put, err));
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "name", name);
    slw_jw_kraw(&w, "def", def.json);
    slw_jw_obj_end(&w);
    return slw_event_emit(tx, now_ms, "data.source_put", name,
                          slw_buf_view(&payload), err);
}

enum slw_rc
slw_data_source_get(struct slw_tx *tx, struct slw_str name, struct slw_arena *a,
                    struct slw_str *out_def_json, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, get);
    TRY(slw_stmt_prepare(&get, tx, SQL_GET, err));
    slw_stmt_str(&get, 1, name);
    bool row = false;
    TRY(slw_stmt_step(&get, &row, err));
    if (row) {
        *out_def_json = slw_col_dup(&get, 0, a);
        return SLW_OK;
    }
    SLW_AUTO(slw_stmt, names);
    TRY(slw_stmt_prepare(&names, tx, SQL_NAMES, err));
    SLW_AUTO(slw_buf, text);
    for (int i = 0; i < 12; i++) {
        TRY(slw_stmt_step(&names, &row, err));
        if (!row)
            break;
        slw_buf_printf(&text, "%s%.*s", i ? ", " : "",
                       SLW_FMT(slw_col_str(&names, 0)));
    }
    if (text.len == 0)
        return slw_fail(err, SLW_NOT_FOUND,
                        "no source '%.*s': none is declared yet; declare it in"
                        " slipway.yaml under sources",
                        SLW_FMT(name));
    return slw_fail(err, SLW_NOT_FOUND, "no source '%.*s'; there are: %.*s",
                    SLW_FMT(name), SLW_FMT(slw_buf_view(&text)));
}
