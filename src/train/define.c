/* define.c -- how a model is to be trained: the definition as users write it,
 * read and checked, and kept with every version it ever had.
 *
 * A definition is checked when it is put, so that a search does not fail
 * after an hour for a wrong word; what depends on data (is there such a
 * column?) is checked when the frame is there. */
#include "train/train_internal.h"

#include "base/hash.h"
#include "store/event.h"

static const char SQL_GET[] =
    "SELECT def, version FROM train_model WHERE name = ?1";
static const char SQL_PUT[] =
    "INSERT INTO train_model(name, def, hash, version, updated_at_ms)"
    " VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(name) DO UPDATE SET"
    " def = excluded.def, hash = excluded.hash, version = excluded.version,"
    " updated_at_ms = excluded.updated_at_ms";
static const char SQL_HISTORY_ADD[] =
    "INSERT INTO train_model_history(name, version, def, at_ms)"
    " VALUES(?1, ?2, ?3, ?4)";
static const char SQL_COUNT[] = "SELECT count(*) FROM train_model";
static const char SQL_LIST[] = "SELECT name FROM train_model ORDER BY name";

static const char *const MODEL_KEYS[] = {
    "name",    "description",   "target",      "features", "split",
    "metric",  "search",        "candidates",  "fallback", "gate",
    "exclude", "train_from_ms", "reference_ms"};
static const char *const TARGET_KEYS[] = {"sql", "of", "known_after_ms",
                                          "relative_to"};
static const char *const SPLIT_KEYS[] = {"by", "validate_ms", "test_ms"};
static const char *const SEARCH_KEYS[] = {"trials", "sampler", "seed"};
static const char *const FALLBACK_KEYS[] = {"sql"};
static const char *const METRIC_NAMES[] = {"mae", "rmse", "mape", "r2"};

const char *
train_metric_name(enum train_metric m)
{
    SLW_ASSERT((size_t)m < SLW_ARRAY_LEN(METRIC_NAMES));
    return METRIC_NAMES[m];
}

/* ---- keys ---- */

struct slw_str
train_near(struct slw_str word, const char *const *known, size_t known_count,
           struct slw_arena *a)
{
    size_t best = 3; /* more edits than two are another word */
    const char *found = NULL;
    for (size_t i = 0; i < known_count; i++) {
        const size_t d = slw_str_distance(word, slw_str_of(known[i]));
        if (d < best) {
            best = d;
            found = known[i];
        }
    }
    return found ? slw_arena_printf(a, "; did you mean '%s'?", found)
                 : SLW_STR("");
}

static enum slw_rc
keys_check(const struct json_t *o, const char *what, const char *const *known,
           size_t known_count, struct slw_err *err)
{
    if (slw_json_type(o) != SLW_JSON_OBJECT)
        return slw_fail(err, SLW_INVALID, "%s must be an object", what);
    for (void *it = slw_json_iter(o); it; it = slw_json_next(o, it)) {
        const struct slw_str key = slw_json_iter_key(it);
        size_t i = 0;
        while (i < known_count && !slw_str_eqz(key, known[i]))
            i++;
        if (i < known_count)
            continue;
        SLW_AUTO(slw_arena, a);
        SLW_AUTO(slw_buf, list);
        for (i = 0; i < known_count; i++)
            slw_buf_printf(&list, "%s%s", i ? ", " : "", known[i]);
        const struct slw_str near = train_near(key, known, known_count, &a);
        return slw_fail(
            err, SLW_INVALID, "%s has no key '%.*s'%.*s (it has %.*s)", what,
            SLW_FMT(key), SLW_FMT(near), SLW_FMT(slw_buf_view(&list)));
    }
    return SLW_OK;
}

static enum slw_rc
names_parse(const struct json_t *list, const char *key, struct slw_arena *a,
            struct slw_str **out, size_t *out_count, struct slw_err *err)
{
    const size_t count = slw_json_len(list);
    struct slw_str *names = SLW_ARENA_NEW(a, struct slw_str, count + 1);
    if (slw_json_type(list) != SLW_JSON_ARRAY)
        return slw_fail(err, SLW_INVALID,
                        "%s must be a list of names, as in [\"a\", \"b\"]",
                        key);
    for (size_t i = 0; i < count; i++) {
        names[i] = slw_json_str_or(slw_json_at(list, i), SLW_STR(""));
        if (names[i].len == 0)
            return slw_fail(err, SLW_INVALID, "entry %zu of %s must be a name",
                            i + 1, key);
        for (size_t j = 0; j < i; j++)
            if (slw_str_eq(names[i], names[j]))
                return slw_fail(err, SLW_INVALID, "%s names '%.*s' twice", key,
                                SLW_FMT(names[i]));
        names[i] = slw_arena_str(a, names[i]);
    }
    *out = names;
    *out_count = count;
    return SLW_OK;
}

/* ---- the parts of a definition ---- */

static enum slw_rc
need_text(const struct json_t *o, const char *what, const char *key,
          struct slw_arena *a, struct slw_str *out, struct slw_err *err)
{
    struct slw_str text;
    enum slw_rc rc = slw_json_need_str(o, key, &text, err);
    if (rc == SLW_OK && slw_str_trim(text).len == 0)
        rc = slw_fail(err, SLW_INVALID, "'%s' is empty", key);
    if (rc != SLW_OK)
        return slw_err_prefix(err, "%s: ", what);
    *out = slw_arena_str(a, text);
    return SLW_OK;
}

static enum slw_rc
target_parse(const struct json_t *json, struct slw_arena *a,
             struct train_def *d, struct slw_err *err)
{
    const struct json_t *o = slw_json_get(json, "target");
    if (!o)
        return slw_fail(err, SLW_INVALID,
                        "'target' is missing: say what to predict, as in"
                        " {\"sql\": \"lead(close) OVER w\", \"of\":"
                        " \"prices\"}");
    TRY(keys_check(o, "target", TARGET_KEYS, SLW_ARRAY_LEN(TARGET_KEYS), err));
    TRY(need_text(o, "target", "sql", a, &d->target_sql, err));
    TRY(need_text(o, "target", "of", a, &d->target_of, err));
    TRY(slw_json_opt_i64(o, "known_after_ms", &d->known_after_ms, err));
    if (d->known_after_ms < 0)
        return slw_fail(err, SLW_INVALID,
                        "target.known_after_ms must be 0 or more");
    struct slw_str column = SLW_STR("");
    TRY(slw_json_opt_str(o, "relative_to", &column, err));
    d->relative_to = slw_arena_str(a, column);
    return SLW_OK;
}

static enum slw_rc
split_parse(const struct json_t *json, struct train_def *d, struct slw_err *err)
{
    const struct json_t *o = slw_json_get(json, "split");
    if (!o)
        return slw_fail(err, SLW_INVALID,
                        "'split' is missing: say how much of the newest time"
                        " validates and tests, as in {\"validate_ms\":"
                        " 7776000000, \"test_ms\": 15552000000}");
    TRY(keys_check(o, "split", SPLIT_KEYS, SLW_ARRAY_LEN(SPLIT_KEYS), err));
    struct slw_str by = SLW_STR("time");
    TRY(slw_json_opt_str(o, "by", &by, err));
    if (!slw_str_eqz(by, "time"))
        return slw_fail(err, SLW_INVALID,
                        "split.by is '%.*s'; rows are only split by time: a"
                        " shuffled split tests on the past of what it trained"
                        " on",
                        SLW_FMT(by));
    TRY(slw_json_need_i64(o, "validate_ms", &d->validate_ms, err));
    TRY(slw_json_need_i64(o, "test_ms", &d->test_ms, err));
    if (d->validate_ms <= 0 || d->test_ms <= 0 ||
        d->validate_ms > 36500 * SLW_DAY_MS || d->test_ms > 36500 * SLW_DAY_MS)
        return slw_fail(err, SLW_INVALID,
                        "split: validate_ms and test_ms must be above 0 and at"
                        " most 100 years");
    return SLW_OK;
}

static enum slw_rc
metric_parse(const struct json_t *json, struct train_def *d,
             struct slw_err *err)
{
    struct slw_str name = SLW_STR("mae");
    TRY(slw_json_opt_str(json, "metric", &name, err));
    for (size_t i = 0; i < SLW_ARRAY_LEN(METRIC_NAMES); i++)
        if (slw_str_eqz(name, METRIC_NAMES[i])) {
            d->metric = (enum train_metric)i;
            return SLW_OK;
        }
    return slw_fail(err, SLW_INVALID,
                    "metric is '%.*s'; it can be mae, rmse, mape or r2",
                    SLW_FMT(name));
}

static enum slw_rc
search_parse(const struct json_t *json, struct train_def *d,
             struct slw_err *err)
{
    const struct json_t *o = slw_json_get(json, "search");
    d->trials = 8;
    d->seed = 7;
    if (!o || slw_json_type(o) == SLW_JSON_NULL)
        return SLW_OK;
    TRY(keys_check(o, "search", SEARCH_KEYS, SLW_ARRAY_LEN(SEARCH_KEYS), err));
    struct slw_str sampler = SLW_STR("random");
    TRY(slw_json_opt_str(o, "sampler", &sampler, err));
    if (!slw_str_eqz(sampler, "random"))
        return slw_fail(err, SLW_INVALID,
                        "search.sampler is '%.*s'; it can be random",
                        SLW_FMT(sampler));
    TRY(slw_json_opt_i64(o, "trials", &d->trials, err));
    TRY(slw_json_opt_i64(o, "seed", &d->seed, err));
    if (d->trials < 1 || d->trials > TRAIN_TRIALS_MAX)
        return slw_fail(err, SLW_INVALID,
                        "search.trials must be from 1 to %d, a candidate",
                        TRAIN_TRIALS_MAX);
    if (d->seed < 0)
        return slw_fail(err, SLW_INVALID, "search.seed must be 0 or more");
    return SLW_OK;
}

static enum slw_rc
fallback_parse(const struct json_t *json, struct slw_arena *a,
               struct train_def *d, struct slw_err *err)
{
    const struct json_t *o = slw_json_get(json, "fallback");
    if (!o)
        return slw_fail(err, SLW_INVALID,
                        "'fallback' is missing: give the rule that answers"
                        " when no model can, as in {\"sql\": \"close\"}; every"
                        " model is compared with it");
    TRY(keys_check(o, "fallback", FALLBACK_KEYS, SLW_ARRAY_LEN(FALLBACK_KEYS),
                   err));
    return need_text(o, "fallback", "sql", a, &d->fallback_sql, err);
}

static int
compare_candidates(const void *a, const void *b)
{
    return slw_str_cmp(((const struct train_candidate *)a)->name,
                       ((const struct train_candidate *)b)->name);
}

static enum slw_rc
candidate_parse(struct slw_str name, const struct json_t *v,
                struct slw_arena *a, struct train_candidate *out,
                struct slw_err *err)
{
    *out = (struct train_candidate){.name = slw_arena_str(a, name)};
    if (slw_json_get(v, "run") || slw_str_eqz(name, "script")) {
        out->is_script = true;
        out->flavour = SLW_FLAVOUR_XGBOOST;
        return train_script_parse(out, v, a, err);
    }
    if (slw_flavour_parse(name, &out->flavour, err) != SLW_OK ||
        out->flavour == SLW_FLAVOUR_RULE)
        return slw_fail(err, SLW_INVALID,
                        "candidate '%.*s' is not known: there are xgboost, svr"
                        " and arnet, and any other name for a script with a"
                        " key 'run'",
                        SLW_FMT(name));
    return train_spaces_parse(out, v, a, err);
}

static enum slw_rc
candidates_parse(const struct json_t *json, struct slw_arena *a,
                 struct train_def *d, struct slw_err *err)
{
    const struct json_t *o = slw_json_get(json, "candidates");
    const size_t count = slw_json_len(o);
    if (slw_json_type(o) != SLW_JSON_OBJECT || count == 0)
        return slw_fail(err, SLW_INVALID,
                        "'candidates' is missing: name at least one of"
                        " xgboost, svr and arnet, as in {\"xgboost\": {}}");
    if (count > TRAIN_CANDIDATE_MAX)
        return slw_fail(err, SLW_LIMIT, "more than %d candidates",
                        TRAIN_CANDIDATE_MAX);
    d->candidates = SLW_ARENA_NEW(a, struct train_candidate, count);
    for (void *it = slw_json_iter(o); it; it = slw_json_next(o, it)) {
        const struct slw_str name = slw_json_iter_key(it);
        if (!slw_name_ok(name) || slw_str_eqz(name, "fallback"))
            return slw_fail(err, SLW_INVALID, "bad candidate name '%.*s'",
                            SLW_FMT(name));
        TRY(candidate_parse(name, slw_json_iter_value(it), a,
                            &d->candidates[d->candidate_count], err));
        d->candidate_count++;
    }
    qsort(d->candidates, count, sizeof(*d->candidates), compare_candidates);
    return SLW_OK;
}

static enum slw_rc
rest_parse(const struct json_t *json, struct slw_arena *a, struct train_def *d,
           struct slw_err *err)
{
    struct slw_str *views = NULL;
    size_t view_count = 0;
    TRY(names_parse(slw_json_get(json, "features"), "features", a, &views,
                    &view_count, err));
    if (view_count == 0)
        return slw_fail(err, SLW_INVALID,
                        "features must name at least one feature view");
    if (slw_json_get(json, "exclude"))
        TRY(names_parse(slw_json_get(json, "exclude"), "exclude", a,
                        &d->exclude, &d->exclude_count, err));
    d->train_from_ms = TRAIN_TIME_MIN_MS;
    d->reference_ms = TRAIN_REFERENCE_MS;
    TRY(slw_json_opt_i64(json, "train_from_ms", &d->train_from_ms, err));
    TRY(slw_json_opt_i64(json, "reference_ms", &d->reference_ms, err));
    if (d->reference_ms <= 0)
        return slw_fail(err, SLW_INVALID, "reference_ms must be above 0");
    for (size_t i = 0; i < d->exclude_count; i++)
        if (slw_str_eq(d->exclude[i], d->relative_to))
            return slw_fail(err, SLW_INVALID,
                            "exclude names '%.*s', which the target is"
                            " relative to: it is never an input of candidates"
                            " anyway, but the answer needs it",
                            SLW_FMT(d->relative_to));
    return SLW_OK;
}

enum slw_rc
train_def_parse(const struct json_t *json, struct slw_arena *a,
                struct train_def *out, struct slw_err *err)
{
    struct train_def d = {0};
    TRY(keys_check(json, "a model", MODEL_KEYS, SLW_ARRAY_LEN(MODEL_KEYS),
                   err));
    struct slw_str name = SLW_STR("");
    TRY(slw_json_opt_str(json, "name", &name, err));
    d.name = slw_arena_str(a, name);
    TRY(target_parse(json, a, &d, err));
    TRY(split_parse(json, &d, err));
    TRY(metric_parse(json, &d, err));
    TRY(search_parse(json, &d, err));
    TRY(fallback_parse(json, a, &d, err));
    TRY(rest_parse(json, a, &d, err));
    TRY(candidates_parse(json, a, &d, err));
    *out = d;
    return SLW_OK;
}

/* ---- in the store ---- */

struct slw_str
train_node_hash(const struct json_t *v, struct slw_arena *a)
{
    char hex[SLW_SHA256_HEX_SIZE];
    SLW_AUTO(slw_buf, text);
    slw_json_dump(&text, v);
    const struct slw_sha256 h = slw_sha256_of(text.ptr, text.len);
    return slw_arena_str(a, slw_str_of(slw_sha256_hex(&h, hex)));
}

static enum slw_rc
def_check(struct slw_str name, const struct json_t *json, struct slw_arena *a,
          struct slw_err *err)
{
    struct train_def def;
    TRY(train_def_parse(json, a, &def, err));
    if (def.name.len && !slw_str_eq(def.name, name))
        return slw_fail(err, SLW_INVALID, "the definition's own name is '%.*s'",
                        SLW_FMT(def.name));
    return SLW_OK;
}

static enum slw_rc
model_write(struct slw_tx *tx, int64_t now_ms, struct slw_str name,
            struct slw_str def, struct slw_str hash, int64_t version,
            struct slw_err *err)
{
    SLW_AUTO(slw_stmt, put);
    TRY(slw_stmt_prepare(&put, tx, SQL_PUT, err));
    slw_stmt_str(&put, 1, name);
    slw_stmt_str(&put, 2, def);
    slw_stmt_str(&put, 3, hash);
    slw_stmt_i64(&put, 4, version);
    slw_stmt_i64(&put, 5, now_ms);
    TRY(slw_stmt_run(&put, err));
    SLW_AUTO(slw_stmt, add);
    TRY(slw_stmt_prepare(&add, tx, SQL_HISTORY_ADD, err));
    slw_stmt_str(&add, 1, name);
    slw_stmt_i64(&add, 2, version);
    slw_stmt_str(&add, 3, def);
    slw_stmt_i64(&add, 4, now_ms);
    return slw_stmt_run(&add, err);
}

enum slw_rc
slw_train_model_put(struct slw_tx *tx, int64_t now_ms, struct slw_str name,
                    struct slw_str def_json, struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    TRY(slw_name_check(name, "model", err));
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_json, doc);
    enum slw_rc rc = slw_json_parse(&doc, def_json, err);
    if (rc == SLW_OK)
        rc = def_check(name, doc.root, &a, err);
    if (rc != SLW_OK)
        return slw_err_prefix(err, "model '%.*s': ", SLW_FMT(name));
    SLW_AUTO(slw_buf, text);
    slw_json_dump(&text, doc.root);
    const struct slw_str def = slw_buf_view(&text);
    SLW_AUTO(slw_stmt, get);
    TRY(slw_stmt_prepare(&get, tx, SQL_GET, err));
    slw_stmt_str(&get, 1, name);
    bool row = false;
    TRY(slw_stmt_step(&get, &row, err));
    if (row && slw_str_eq(slw_col_str(&get, 0), def))
        return SLW_OK;
    const int64_t version = row ? slw_col_i64(&get, 1) + 1 : 1;
    slw_stmt_reset(&get);
    const struct slw_str hash = train_node_hash(doc.root, &a);
    TRY(model_write(tx, now_ms, name, def, hash, version, err));
    return slw_event_emit(
        tx, now_ms, "train.model_put", name,
        slw_arena_printf(&a, "{\"version\":%lld,\"hash\":\"%.*s\"}",
                         (long long)version, SLW_FMT(hash)),
        err);
}

static enum slw_rc
not_found(struct slw_tx *tx, struct slw_str name, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_str *names = NULL;
    size_t count = 0;
    TRY(slw_train_model_list(tx, &a, &names, &count, err));
    SLW_AUTO(slw_buf, list);
    for (size_t i = 0; i < count; i++)
        slw_buf_printf(&list, "%s%.*s", i ? ", " : "", SLW_FMT(names[i]));
    return slw_fail(err, SLW_NOT_FOUND,
                    "no model '%.*s' is declared (there %s %s%.*s)",
                    SLW_FMT(name), count == 1 ? "is" : "are",
                    count ? "" : "none", SLW_FMT(slw_buf_view(&list)));
}

enum slw_rc
slw_train_model_get(struct slw_tx *tx, struct slw_str name, struct slw_arena *a,
                    struct slw_str *out_def_json, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, get);
    TRY(slw_stmt_prepare(&get, tx, SQL_GET, err));
    slw_stmt_str(&get, 1, name);
    bool row = false;
    TRY(slw_stmt_step(&get, &row, err));
    if (!row)
        return not_found(tx, name, err);
    *out_def_json = slw_col_dup(&get, 0, a);
    return SLW_OK;
}

enum slw_rc
slw_train_model_list(struct slw_tx *tx, struct slw_arena *a,
                     struct slw_str **out_names, size_t *out_count,
                     struct slw_err *err)
{
    SLW_AUTO(slw_stmt, size);
    TRY(slw_stmt_prepare(&size, tx, SQL_COUNT, err));
    bool row = false;
    TRY(slw_stmt_step(&size, &row, err));
    const size_t cap = (size_t)slw_col_i64(&size, 0);
    slw_stmt_reset(&size);
    struct slw_str *names = SLW_ARENA_NEW(a, struct slw_str, cap + 1);
    size_t count = 0;
    SLW_AUTO(slw_stmt, list);
    TRY(slw_stmt_prepare(&list, tx, SQL_LIST, err));
    while (true) {
        TRY(slw_stmt_step(&list, &row, err));
        if (!row)
            break;
        SLW_ASSERT(count < cap); /* one snapshot */
        names[count++] = slw_col_dup(&list, 0, a);
    }
    *out_names = names;
    *out_count = count;
    return SLW_OK;
}
