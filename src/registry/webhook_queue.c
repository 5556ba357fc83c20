/* webhook_queue.c -- from a change to the deliveries that tell of it.
 *
 * What is sent is composed when the change happens, since tags and
 * descriptions may be others by the time it is delivered.  Prompts are, as in
 * MLflow, registered models with a tag; their events have other names. */
#include "registry/registry_internal.h"
#include "store/event.h"

static const char SQL_ANY[] =
    "SELECT 1 FROM registry_webhook WHERE active = 1 LIMIT 1";
static const char SQL_WHO[] =
    "SELECT id FROM registry_webhook WHERE active = 1 AND (events & ?1) <> 0"
    " ORDER BY id";
static const char SQL_PROMPT[] =
    "SELECT t.value FROM registry_model_tag t JOIN registry_model m"
    " ON m.id = t.model_id WHERE m.name = ?1 AND t.key = ?2";
static const char SQL_QUEUE[] =
    "INSERT INTO registry_webhook_delivery(hook_id, delivery_id, event, body,"
    " state, made_at_ms, last_at_ms, attempts, status, error)"
    " VALUES(?1, ?2, ?3, ?4, 'waiting', ?5, 0, 0, 0, '')";

static const char TAG_PROMPT[] = "mlflow.prompt.is_prompt";
static const char TAG_TYPE[] = "_mlflow_prompt_type";
static const char TAG_TEXT[] = "mlflow.prompt.text";

/* What a change is called when it is about a model, and about a prompt. */
static const struct {
    const char *entity, *prompt_entity, *action;
} NAMES[] = {
    [REGISTRY_MODEL_CREATED] = {"registered_model", "prompt", "created"},
    [REGISTRY_VERSION_ADDED] = {"model_version", "prompt_version", "created"},
    [REGISTRY_MODEL_TAG_SET] = {NULL, "prompt_tag", "set"},
    [REGISTRY_MODEL_TAG_REMOVED] = {NULL, "prompt_tag", "deleted"},
    [REGISTRY_VERSION_TAG_SET] = {"model_version_tag", "prompt_version_tag",
                                  "set"},
    [REGISTRY_VERSION_TAG_REMOVED] = {"model_version_tag", "prompt_version_tag",
                                      "deleted"},
    [REGISTRY_ALIAS_SET] = {"model_version_alias", "prompt_alias", "created"},
    [REGISTRY_ALIAS_REMOVED] = {"model_version_alias", "prompt_alias",
                                "deleted"},
};

/* ---- what is told ---- */

struct telling {
    const struct registry_news *n;
    struct slw_arena *a;
    struct slw_kv *tags; /* of what was made */
    size_t tag_count;
    bool prompt;
};

/* Value of a tag; ptr NULL: there is none. */
static struct slw_str
tag_of(const struct telling *t, const char *key)
{
    for (size_t i = 0; i < t->tag_count; i++)
        if (slw_str_eqz(t->tags[i].key, key))
            return t->tags[i].value;
    return (struct slw_str){0};
}

/* Of what is made its own tags decide, of all else the model's. */
static enum slw_rc
tags_read(struct slw_tx *tx, struct telling *t, struct slw_err *err)
{
    const struct slw_str yes = SLW_STR("true");
    if (t->n->tags_sql) {
        TRY(registry_tags(tx, t->n->tags_sql, t->n->tags_of, t->a, &t->tags,
                          &t->tag_count, err));
        t->prompt = slw_str_same(tag_of(t, TAG_PROMPT), yes);
        return SLW_OK;
    }
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_PROMPT, err));
    slw_stmt_str(&st, 1, t->n->model);
    slw_stmt_str(&st, 2, slw_str_of(TAG_PROMPT));
    TRY(slw_stmt_step(&st, &row, err));
    t->prompt = row && slw_str_same(slw_col_str(&st, 0), yes);
    return SLW_OK;
}

static bool
is_inner_tag(struct slw_str key)
{
    return slw_str_eqz(key, TAG_PROMPT) || slw_str_eqz(key, TAG_TYPE) ||
           slw_str_eqz(key, TAG_TEXT);
}

static void
write_tags(struct slw_jw *w, const struct telling *t)
{
    slw_jw_key(w, "tags");
    slw_jw_obj(w);
    for (size_t i = 0; i < t->tag_count; i++) {
        if (t->prompt && is_inner_tag(t->tags[i].key))
            continue;
        slw_jw_keys(w, t->tags[i].key);
        slw_jw_str(w, t->tags[i].value);
    }
    slw_jw_obj_end(w);
}

/* Python's `v or None`. */
static void
write_or_null(struct slw_jw *w, const char *key, struct slw_str v)
{
    slw_jw_key(w, key);
    if (v.len)
        slw_jw_str(w, v);
    else
        slw_jw_null(w);
}

/* A version that was added, as MLflow tells it. */
static void
write_version(struct slw_jw *w, const struct telling *t)
{
    const struct slw_str text = tag_of(t, TAG_TEXT);
    if (t->prompt) {
        slw_jw_key(w, "template");
        if (text.ptr)
            slw_jw_str(w, text);
        else
            slw_jw_null(w);
    } else {
        slw_jw_kstr(w, "source", t->n->source);
        write_or_null(w, "run_id", t->n->run_id);
    }
    write_tags(w, t);
    write_or_null(w, "description", t->n->description);
}

static void
write_data(struct slw_jw *w, const struct telling *t)
{
    const struct registry_news *n = t->n;
    slw_jw_obj(w);
    slw_jw_kstr(w, "name", n->model);
    if (n->version) {
        char number[24];
        snprintf(number, sizeof number, "%lld", (long long)n->version);
        slw_jw_kz(w, "version", number);
    }
    switch (n->change) {
    case REGISTRY_MODEL_CREATED:
        write_tags(w, t);
        slw_jw_kstr(w, "description", n->description);
        break;
    case REGISTRY_VERSION_ADDED:
        write_version(w, t);
        break;
    case REGISTRY_MODEL_TAG_SET:
    case REGISTRY_VERSION_TAG_SET:
        slw_jw_kstr(w, "key", n->tag.key);
        slw_jw_kstr(w, "value", n->tag.value);
        break;
    case REGISTRY_MODEL_TAG_REMOVED:
    case REGISTRY_VERSION_TAG_REMOVED:
        slw_jw_kstr(w, "key", n->tag.key);
        break;
    case REGISTRY_ALIAS_SET:
    case REGISTRY_ALIAS_REMOVED:
        slw_jw_kstr(w, "alias", n->tag.key);
        break;
    }
    slw_jw_obj_end(w);
}

void
registry_webhook_body(struct slw_buf *out, size_t event, int64_t at_ms,
                      struct slw_str data)
{
    char at[SLW_TIME_TEXT_SIZE], stamp[SLW_TIME_TEXT_SIZE + 16];
    /* Python's isoformat: microseconds and "+00:00" */
    slw_time_text(at_ms - at_ms % 1000, at);
    snprintf(stamp, sizeof stamp, "%.19s.%03d000+00:00", at,
             (int)(at_ms % 1000));
    struct slw_jw w;
    slw_jw_init(&w, out);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "entity", slw_webhook_events[event].entity);
    slw_jw_kz(&w, "action", slw_webhook_events[event].action);
    slw_jw_kz(&w, "timestamp", stamp);
    slw_jw_kraw(&w, "data", data);
    slw_jw_obj_end(&w);
}

/* ---- to whom ---- */

static enum slw_rc
anybody(struct slw_tx *tx, bool *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_ANY, err));
    return slw_stmt_step(&st, out, err);
}

static enum slw_rc
who(struct slw_tx *tx, size_t event, struct slw_arena *a, int64_t **out,
    size_t *out_count, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    int64_t *ids = NULL;
    size_t count = 0, cap = 0;
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_WHO, err));
    slw_stmt_i64(&st, 1, (int64_t)1 << event);
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        ids = slw_arena_grow(a, ids, sizeof *ids, count, &cap);
        ids[count++] = slw_col_i64(&st, 0);
    }
    *out = ids;
    *out_count = count;
    return SLW_OK;
}

static enum slw_rc
queue(struct slw_tx *tx, int64_t now_ms, const struct telling *t, size_t event,
      struct slw_err *err)
{
    SLW_AUTO(slw_buf, data);
    SLW_AUTO(slw_buf, body);
    int64_t *ids = NULL;
    size_t count = 0;
    TRY(who(tx, event, t->a, &ids, &count, err));
    if (count == 0)
        return SLW_OK;
    struct slw_jw w;
    slw_jw_init(&w, &data);
    write_data(&w, t);
    registry_webhook_body(&body, event, now_ms, slw_buf_view(&data));
    const struct slw_str name =
        slw_arena_printf(t->a, "%s.%s", slw_webhook_events[event].entity,
                         slw_webhook_events[event].action);
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_QUEUE, err));
    for (size_t i = 0; i < count; i++) {
        slw_stmt_i64(&st, 1, ids[i]);
        slw_stmt_str(&st, 2, registry_uuid(t->a));
        slw_stmt_str(&st, 3, name);
        slw_stmt_str(&st, 4, slw_buf_view(&body));
        slw_stmt_i64(&st, 5, now_ms);
        TRY(slw_stmt_run(&st, err));
    }
    return SLW_OK;
}

enum slw_rc
registry_tell(struct slw_tx *tx, int64_t now_ms, const struct registry_news *n,
              struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct telling t = {.n = n, .a = &a};
    bool any = false;
    size_t event = 0;
    SLW_ASSERT(tx->write);
    TRY(anybody(tx, &any, err));
    if (!any)
        return SLW_OK;
    TRY(tags_read(tx, &t, err));
    const char *entity =
        t.prompt ? NAMES[n->change].prompt_entity : NAMES[n->change].entity;
    if (!entity)
        return SLW_OK;
    TRY(slw_webhook_event_find(
        slw_str_of(entity), slw_str_of(NAMES[n->change].action), &event, err));
    return queue(tx, now_ms, &t, event, err);
}

#define SHOWN_CHARS_MAX 1000

enum slw_rc
registry_announce(struct slw_tx *tx, int64_t now_ms, const char *kind,
                  const struct registry_news *n, struct slw_err *err)
{
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "model", n->model);
    if (n->version)
        slw_jw_ki64(&w, "version", n->version);
    if (n->tag.key.len)
        slw_jw_kstr(&w, "key", n->tag.key);
    if (n->tag.value.ptr) /* the log is no place for a whole document */
        slw_jw_kstr(&w, "value", slw_track_cut(n->tag.value, SHOWN_CHARS_MAX));
    slw_jw_obj_end(&w);
    TRY(slw_event_emit(tx, now_ms, kind, n->model, slw_buf_view(&payload),
                       err));
    return registry_tell(tx, now_ms, n, err);
}
