/* webhook.c -- webhooks as rows: what MLflow lets be said about them, and
 * their deliveries. */
#include "registry/webhook.h"

#include "base/rng.h"
#include "net/client.h"
#include "registry/registry_internal.h"

#define COLUMNS                                                                \
    "h.id, h.webhook_id, h.name, h.url, h.description, h.secret, h.active,"    \
    " h.events, h.created_at_ms, h.updated_at_ms,"                             \
    " (SELECT count(*) FROM registry_webhook_delivery d"                       \
    "  WHERE d.hook_id = h.id AND d.state = 'waiting')"

static const char SQL_ADD[] =
    "INSERT INTO registry_webhook(webhook_id, name, url, description, secret,"
    " active, events, created_at_ms, updated_at_ms)"
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)";
static const char SQL_GET[] =
    "SELECT " COLUMNS " FROM registry_webhook h WHERE h.webhook_id = ?1";
static const char SQL_LIST[] =
    "SELECT " COLUMNS " FROM registry_webhook h"
    " ORDER BY h.created_at_ms DESC, h.id DESC LIMIT ?1 OFFSET ?2";
static const char SQL_COUNT[] = "SELECT count(*) FROM registry_webhook";
static const char SQL_PUT[] =
    "UPDATE registry_webhook SET name = ?2, url = ?3, description = ?4,"
    " secret = ?5, active = ?6, events = ?7, updated_at_ms = ?8 WHERE id = ?1";
static const char SQL_DROP_WAITING[] =
    "DELETE FROM registry_webhook_delivery WHERE hook_id = ?1"
    " AND state = 'waiting'";
static const char SQL_DROP_ALL[] =
    "DELETE FROM registry_webhook_delivery WHERE hook_id = ?1";
static const char SQL_DELETE[] = "DELETE FROM registry_webhook WHERE id = ?1";
static const char SQL_DELIVERIES[] =
    "SELECT id, delivery_id, event, body, state, made_at_ms, last_at_ms,"
    " attempts, status, error FROM registry_webhook_delivery"
    " WHERE hook_id = ?1 ORDER BY id DESC LIMIT ?2";

/* ---- events ---- */

#define NAMED "\"name\":\"example_model\","
#define PROMPT "\"name\":\"example_prompt\","
#define ONE "\"version\":\"1\""
#define KEY "\"key\":\"example_key\""
#define VALUE KEY ",\"value\":\"example_value\""
#define ALIAS "\"alias\":\"example_alias\""
#define TAGS "\"tags\":{\"example_key\":\"example_value\"},"

const struct slw_webhook_event slw_webhook_events[] = {
    {"budget_policy", "exceeded",
     "{\"budget_policy_id\":\"bp-abc123\",\"budget_unit\":\"USD\","
     "\"budget_amount\":100.0,\"current_spend\":105.5,"
     "\"duration_unit\":\"MONTHS\",\"duration_value\":1,"
     "\"target_scope\":\"ENDPOINT\",\"workspace\":\"default\","
     "\"target_value\":\"ep-abc123\",\"window_start\":1704067200000}"},
    {"model_version", "created",
     "{" NAMED ONE ",\"source\":\"models:/123\","
     "\"run_id\":\"abcd1234abcd5678\"," TAGS
     "\"description\":\"An example model version\"}"},
    {"model_version_alias", "created", "{" NAMED ALIAS "," ONE "}"},
    {"model_version_alias", "deleted", "{" NAMED ALIAS "}"},
    {"model_version_tag", "deleted", "{" NAMED ONE "," KEY "}"},
    {"model_version_tag", "set", "{" NAMED ONE "," VALUE "}"},
    {"prompt", "created",
     "{" PROMPT TAGS "\"description\":\"An example prompt\"}"},
    {"prompt_alias", "created", "{" PROMPT ALIAS "," ONE "}"},
    {"prompt_alias", "deleted", "{" PROMPT ALIAS "}"},
    {"prompt_tag", "deleted", "{" PROMPT KEY "}"},
    {"prompt_tag", "set", "{" PROMPT VALUE "}"},
    {"prompt_version", "created",
     "{" PROMPT ONE ",\"template\":\"Hello {{name}}!\"," TAGS
     "\"description\":\"An example prompt version\"}"},
    {"prompt_version_tag", "deleted", "{" PROMPT ONE "," KEY "}"},
    {"prompt_version_tag", "set", "{" PROMPT ONE "," VALUE "}"},
    {"registered_model", "created",
     "{" NAMED TAGS "\"description\":\"An example registered model\"}"},
};
const size_t slw_webhook_event_count = SLW_ARRAY_LEN(slw_webhook_events);

enum slw_rc
slw_webhook_event_find(struct slw_str entity, struct slw_str action,
                       size_t *out, struct slw_err *err)
{
    SLW_AUTO(slw_buf, valid);
    for (size_t i = 0; i < slw_webhook_event_count; i++) {
        const struct slw_webhook_event *e = &slw_webhook_events[i];
        if (!slw_str_eqz(entity, e->entity))
            continue;
        if (slw_str_eqz(action, e->action)) {
            *out = i;
            return SLW_OK;
        }
        slw_buf_printf(&valid, "%s'%s'", valid.len ? ", " : "", e->action);
    }
    return slw_fail(err, SLW_INVALID,
                    "Invalid action '%.*s' for entity '%.*s'. Valid actions "
                    "are: [%.*s]",
                    SLW_FMT(slw_track_cut(action, 50)),
                    SLW_FMT(slw_track_cut(entity, 50)),
                    SLW_FMT(slw_buf_view(&valid)));
}

/* ---- what may be said ---- */

static bool
is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9');
}

/* The mark that Python would put around this text. */
static char
quote_of(struct slw_str s)
{
    return s.len && memchr(s.ptr, '\'', s.len) && !memchr(s.ptr, '"', s.len)
               ? '"'
               : '\'';
}

enum slw_rc
slw_webhook_name_check(struct slw_str name, struct slw_err *err)
{
    bool ok = name.len >= 1 && name.len <= 63 &&
              is_letter_or_digit(name.ptr[0]) &&
              is_letter_or_digit(name.ptr[name.len - 1]);
    for (size_t i = 0; i < name.len && ok; i++)
        ok = is_letter_or_digit(name.ptr[i]) ||
             (name.ptr[i] && strchr("._-", name.ptr[i]));
    const char q = quote_of(name);
    if (!ok)
        return slw_fail(
            err, SLW_INVALID,
            "Webhook name %c%.*s%c is invalid. It must start and end with a "
            "letter or digit, be less than 63 characters long, and contain "
            "only letters, digits, dots (.), underscores (_), and hyphens (-).",
            q, SLW_FMT(slw_track_cut(name, 70)), q);
    return SLW_OK;
}

/* "https" of "HTTPS://host/", in lower case; "" of what has no scheme. */
static struct slw_str
scheme_of(struct slw_str url, struct slw_arena *a)
{
    struct slw_str head, rest;
    if (!slw_str_cut(url, ':', &head, &rest))
        return SLW_STR("");
    char *text = slw_arena_strz(a, head);
    for (size_t i = 0; i < head.len; i++) {
        if (!is_letter_or_digit(text[i]) && !strchr("+-.", text[i]))
            return SLW_STR("");
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] = (char)(text[i] - 'A' + 'a');
    }
    return slw_str_of(text);
}

static enum slw_rc
scheme_check(struct slw_str url, struct slw_arena *a, struct slw_err *err)
{
    const char *env = getenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES");
    struct slw_str left = slw_str_of(env && *env ? env : "https"), one;
    struct slw_str scheme = scheme_of(url, a);
    SLW_AUTO(slw_buf, allowed);
    for (bool more = true; more;) {
        more = slw_str_cut(left, ',', &one, &left);
        one = slw_str_trim(one);
        if (one.len && slw_str_eq(one, scheme))
            return SLW_OK;
        slw_buf_printf(&allowed, "%s%.*s", allowed.len ? ", " : "",
                       SLW_FMT(one));
    }
    return slw_fail(err, SLW_INVALID,
                    "Invalid webhook URL scheme: '%.*s'. Allowed schemes are: "
                    "%.*s.",
                    SLW_FMT(slw_track_cut(scheme, 50)),
                    SLW_FMT(slw_buf_view(&allowed)));
}

bool
registry_webhook_private_ok(void)
{
    struct slw_str v = slw_str_of(getenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS"));
    return slw_str_same(v, SLW_STR("true")) || slw_str_eqz(v, "1");
}

enum slw_rc
registry_webhook_url_read(struct slw_str url, struct slw_arena *a,
                          struct slw_str *out_host, struct slw_err *err)
{
    const struct slw_str shown = slw_track_cut(url, 200);
    if (slw_str_trim(url).len == 0)
        return slw_fail(err, SLW_INVALID,
                        "Webhook URL cannot be empty or just whitespace: "
                        "'%.*s'",
                        SLW_FMT(shown));
    if (url.len > SLW_WEBHOOK_URL_MAX)
        return slw_fail(err, SLW_INVALID,
                        "Webhook URL exceeds the maximum length of %d bytes",
                        SLW_WEBHOOK_URL_MAX);
    TRY(scheme_check(url, a, err));
    struct slw_err why;
    if (slw_url_host(slw_arena_strz(a, url), a, out_host, &why) != SLW_OK)
        return slw_fail(err, SLW_INVALID, "Invalid webhook URL '%.*s': %s",
                        SLW_FMT(shown), why.msg);
    if (out_host->len == 0)
        return slw_fail(err, SLW_INVALID,
                        "Webhook URL must include a hostname: '%.*s'",
                        SLW_FMT(shown));
    return SLW_OK;
}

enum slw_rc
slw_webhook_url_check(struct slw_str url, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_str host;
    char address[SLW_ADDRESS_TEXT_SIZE];
    struct slw_err why;
    TRY(registry_webhook_url_read(url, &a, &host, err));
    if (registry_webhook_private_ok())
        return SLW_OK;
    const struct slw_str shown = slw_track_cut(host, 200);
    if (slw_host_private(slw_arena_strz(&a, host), address, &why) != SLW_OK)
        return slw_fail(err, SLW_INVALID,
                        "Cannot resolve Webhook URL hostname '%.*s': %s",
                        SLW_FMT(shown), why.msg);
    if (address[0])
        return slw_fail(err, SLW_INVALID,
                        "Webhook URL must not resolve to a non-public IP "
                        "address. '%.*s' resolves to %s.",
                        SLW_FMT(shown), address);
    return SLW_OK;
}

/* ---- rows ---- */

struct slw_str
registry_uuid(struct slw_arena *a)
{
    char hex[33];
    slw_random_hex32(hex);
    hex[12] = '4'; /* version and variant of a random one */
    hex[16] = "89ab"[slw_hex_digit(hex[16]) & 3];
    return slw_arena_printf(a, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8,
                            hex + 12, hex + 16, hex + 20);
}

static void
hook_read(struct slw_stmt *st, struct slw_arena *a, struct slw_webhook *out)
{
    *out = (struct slw_webhook){
        .row = slw_col_i64(st, 0),
        .id = slw_col_dup(st, 1, a),
        .name = slw_col_dup(st, 2, a),
        .url = slw_col_dup(st, 3, a),
        .description = slw_col_dup(st, 4, a),
        .secret = slw_col_dup(st, 5, a),
        .active = slw_col_i64(st, 6) != 0,
        .events = (uint32_t)slw_col_i64(st, 7),
        .created_at_ms = slw_col_i64(st, 8),
        .updated_at_ms = slw_col_i64(st, 9),
        .waiting_count = slw_col_i64(st, 10),
    };
}

enum slw_rc
slw_webhook_add(struct slw_tx *tx, int64_t now_ms, struct slw_webhook *w,
                struct slw_arena *a, struct slw_err *err)
{
    SLW_ASSERT(tx->write && w->events);
    SLW_AUTO(slw_stmt, st);
    struct slw_webhook made = *w;
    made.id = registry_uuid(a);
    made.created_at_ms = made.updated_at_ms = now_ms;
    TRY(slw_stmt_prepare(&st, tx, SQL_ADD, err));
    slw_stmt_str(&st, 1, made.id);
    slw_stmt_str(&st, 2, made.name);
    slw_stmt_str(&st, 3, made.url);
    slw_stmt_str(&st, 4, made.description);
    slw_stmt_str(&st, 5, made.secret);
    slw_stmt_i64(&st, 6, made.active);
    slw_stmt_i64(&st, 7, made.events);
    slw_stmt_i64(&st, 8, now_ms);
    TRY(slw_stmt_run(&st, err));
    made.row = slw_tx_last_id(tx);
    *w = made;
    return SLW_OK;
}

enum slw_rc
slw_webhook_get(struct slw_tx *tx, struct slw_str id, struct slw_arena *a,
                struct slw_webhook *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_GET, err));
    slw_stmt_str(&st, 1, id);
    TRY(slw_stmt_step(&st, &row, err));
    if (!row)
        return slw_fail(err, SLW_NOT_FOUND, "Webhook with ID %.*s not found.",
                        SLW_FMT(slw_track_cut(id, 100)));
    hook_read(&st, a, out);
    return SLW_OK;
}

enum slw_rc
slw_webhook_list(struct slw_tx *tx, size_t offset, size_t limit,
                 struct slw_arena *a, struct slw_webhook **out,
                 size_t *out_count, bool *out_more, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    struct slw_webhook *hooks = SLW_ARENA_NEW(a, struct slw_webhook, limit + 1);
    size_t count = 0;
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_LIST, err));
    slw_stmt_i64(&st, 1, (int64_t)limit + 1);
    slw_stmt_i64(&st, 2, (int64_t)offset);
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        hook_read(&st, a, &hooks[count++]);
    }
    *out_more = count > limit;
    *out_count = count > limit ? limit : count;
    *out = hooks;
    return SLW_OK;
}

enum slw_rc
slw_webhook_count(struct slw_tx *tx, int64_t *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_COUNT, err));
    TRY(slw_stmt_step(&st, &row, err));
    *out = row ? slw_col_i64(&st, 0) : 0;
    return SLW_OK;
}

enum slw_rc
slw_webhook_put(struct slw_tx *tx, int64_t now_ms, struct slw_webhook *w,
                struct slw_err *err)
{
    SLW_ASSERT(tx->write && w->row && w->events);
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_PUT, err));
    slw_stmt_i64(&st, 1, w->row);
    slw_stmt_str(&st, 2, w->name);
    slw_stmt_str(&st, 3, w->url);
    slw_stmt_str(&st, 4, w->description);
    slw_stmt_str(&st, 5, w->secret);
    slw_stmt_i64(&st, 6, w->active);
    slw_stmt_i64(&st, 7, w->events);
    slw_stmt_i64(&st, 8, now_ms);
    TRY(slw_stmt_run(&st, err));
    if (!w->active)
        TRY(registry_run_id(tx, SQL_DROP_WAITING, w->row, err));
    w->updated_at_ms = now_ms;
    return SLW_OK;
}

enum slw_rc
slw_webhook_delete(struct slw_tx *tx, struct slw_str id, struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct slw_webhook w;
    TRY(slw_webhook_get(tx, id, &a, &w, err));
    TRY(registry_run_id(tx, SQL_DROP_ALL, w.row, err));
    return registry_run_id(tx, SQL_DELETE, w.row, err);
}

enum slw_rc
slw_webhook_deliveries(struct slw_tx *tx, int64_t hook_row, size_t limit,
                       struct slw_arena *a, struct slw_webhook_delivery **out,
                       size_t *out_count, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    struct slw_webhook_delivery *items =
        SLW_ARENA_NEW(a, struct slw_webhook_delivery, limit + 1);
    size_t count = 0;
    bool row = false;
    TRY(slw_stmt_prepare(&st, tx, SQL_DELIVERIES, err));
    slw_stmt_i64(&st, 1, hook_row);
    slw_stmt_i64(&st, 2, (int64_t)limit);
    for (;;) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        items[count++] = (struct slw_webhook_delivery){
            .row = slw_col_i64(&st, 0),
            .id = slw_col_dup(&st, 1, a),
            .event = slw_col_dup(&st, 2, a),
            .body = slw_col_dup(&st, 3, a),
            .state = slw_col_dup(&st, 4, a),
            .made_at_ms = slw_col_i64(&st, 5),
            .last_at_ms = slw_col_i64(&st, 6),
            .attempts = slw_col_i64(&st, 7),
            .status = slw_col_i64(&st, 8),
            .error = slw_col_dup(&st, 9, a),
        };
    }
    *out = items;
    *out_count = count;
    return SLW_OK;
}
