/* mlflow_webhooks.c -- webhooks in MLflow's dialect, and what became of their
 * deliveries in ours.  A secret goes in and never comes out. */
#include "api/mlflow_internal.h"
#include "api/routes.h"
#include "registry/webhook.h"

/* The enumerations of MLflow's protocol, from number 1 on. */
static const char *const ENTITIES[] = {"REGISTERED_MODEL",
                                       "MODEL_VERSION",
                                       "MODEL_VERSION_TAG",
                                       "MODEL_VERSION_ALIAS",
                                       "PROMPT",
                                       "PROMPT_VERSION",
                                       "PROMPT_TAG",
                                       "PROMPT_VERSION_TAG",
                                       "PROMPT_ALIAS",
                                       "BUDGET_POLICY"};
static const char *const ACTIONS[] = {"CREATED", "UPDATED", "DELETED", "SET",
                                      "EXCEEDED"};
static const char *const STATUSES[] = {"ACTIVE", "DISABLED"};

/* ---- answers ---- */

static void
write_upper(struct slw_jw *w, const char *key, const char *lower)
{
    char text[40];
    size_t n = 0;
    for (; lower[n] && n + 1 < sizeof text; n++)
        text[n] = lower[n] >= 'a' && lower[n] <= 'z'
                      ? (char)(lower[n] - 'a' + 'A')
                      : lower[n];
    text[n] = '\0';
    slw_jw_kz(w, key, text);
}

static void
write_hook(struct slw_jw *w, const struct slw_webhook *h)
{
    slw_jw_obj(w);
    slw_jw_kstr(w, "webhook_id", h->id);
    slw_jw_kstr(w, "name", h->name);
    mlf_kopt(w, "description", h->description);
    slw_jw_kstr(w, "url", h->url);
    slw_jw_key(w, "events");
    slw_jw_arr(w);
    for (size_t i = 0; i < slw_webhook_event_count; i++) {
        if (!(h->events >> i & 1))
            continue;
        slw_jw_obj(w);
        write_upper(w, "entity", slw_webhook_events[i].entity);
        write_upper(w, "action", slw_webhook_events[i].action);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
    slw_jw_kz(w, "status", STATUSES[!h->active]);
    slw_jw_ki64(w, "creation_timestamp", h->created_at_ms);
    slw_jw_ki64(w, "last_updated_timestamp", h->updated_at_ms);
    slw_jw_obj_end(w);
}

static void
answer_hook(struct slw_http_res *res, const struct slw_webhook *h)
{
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_key(&w, "webhook");
    write_hook(&w, h);
    slw_jw_obj_end(&w);
}

/* ---- reading ---- */

/* A name of an enumeration, or its number; -1: none of these. */
static int
enum_of(const struct json_t *v, const char *const *names, size_t count)
{
    const struct slw_str text = slw_json_str_or(v, SLW_STR(""));
    for (size_t i = 0; i < count; i++)
        if (slw_str_eqz(text, names[i]) ||
            slw_json_i64_or(v, 0) == (int64_t)i + 1)
            return (int)i;
    return -1;
}

static struct slw_str
lower_of(struct slw_arena *a, const char *upper)
{
    char *text = slw_arena_strz(a, slw_str_of(upper));
    for (char *c = text; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    return slw_str_of(text);
}

/* One {"entity", "action"}; path for messages. */
static enum slw_rc
event_read(struct slw_arena *a, const struct json_t *o, const char *path,
           size_t *out, struct slw_err *err)
{
    const struct json_t *entity = slw_json_get(o, "entity");
    const struct json_t *action = slw_json_get(o, "action");
    int e = enum_of(entity, ENTITIES, SLW_ARRAY_LEN(ENTITIES));
    int c = enum_of(action, ACTIONS, SLW_ARRAY_LEN(ACTIONS));
    if (e < 0 || c < 0)
        return slw_fail(err, SLW_INVALID,
                        "Invalid value %.*s for parameter '%s' supplied: it "
                        "must be an object with entity (REGISTERED_MODEL, "
                        "MODEL_VERSION, MODEL_VERSION_TAG, "
                        "MODEL_VERSION_ALIAS, PROMPT, …) and action (CREATED, "
                        "DELETED, SET, EXCEEDED)",
                        SLW_FMT(slw_track_cut(api_dump(a, o), 100)), path);
    return slw_webhook_event_find(lower_of(a, ENTITIES[e]),
                                  lower_of(a, ACTIONS[c]), out, err);
}

/* Member "events" as bits; absent or empty leaves 0. */
static enum slw_rc
events_read(struct mlf_in *in, bool *out_there, uint32_t *out,
            struct slw_err *err)
{
    const struct json_t *array = NULL;
    TRY(mlf_array(in, "events", &array, err));
    *out_there = array != NULL;
    for (size_t i = 0; i < slw_json_len(array); i++) {
        char path[48];
        size_t event = 0;
        snprintf(path, sizeof path, "events[%zu]", i);
        TRY(event_read(in->req->arena, slw_json_at(array, i), path, &event,
                       err));
        if (*out >> event & 1)
            return slw_fail(err, SLW_INVALID,
                            "Webhook events name '%s.%s' twice.",
                            slw_webhook_events[event].entity,
                            slw_webhook_events[event].action);
        *out |= UINT32_C(1) << event;
    }
    return SLW_OK;
}

/* Member "status"; absent or "" leaves *out. */
static enum slw_rc
status_read(struct mlf_in *in, bool *out, struct slw_err *err)
{
    const struct json_t *v = slw_json_get(in->doc.root, "status");
    if (slw_json_type(v) <= SLW_JSON_NULL ||
        (slw_json_type(v) == SLW_JSON_STR &&
         slw_json_str_or(v, SLW_STR("x")).len == 0))
        return SLW_OK;
    int status = enum_of(v, STATUSES, SLW_ARRAY_LEN(STATUSES));
    if (status < 0)
        return slw_fail(
            err, SLW_INVALID,
            "Invalid value %.*s for parameter 'status' supplied: "
            "it is one of ACTIVE, DISABLED",
            SLW_FMT(slw_track_cut(api_dump(in->req->arena, v), 100)));
    *out = status == 0;
    return SLW_OK;
}

/* Strings of a request; ptr NULL: not given. */
struct hook_in {
    struct slw_str name, url, description, secret;
    uint32_t events;
    bool has_events, active;
};

#define TEXT_SIZE_MAX 100000

static enum slw_rc
texts_read(struct mlf_in *in, struct hook_in *out, struct slw_err *err)
{
    TRY(mlf_str(in, "name", &out->name, err));
    TRY(mlf_str(in, "url", &out->url, err));
    TRY(mlf_str(in, "description", &out->description, err));
    TRY(mlf_str(in, "secret", &out->secret, err));
    if (out->description.len > TEXT_SIZE_MAX || out->secret.len > TEXT_SIZE_MAX)
        return slw_fail(err, SLW_INVALID,
                        "'description' and 'secret' are at most %d bytes",
                        TEXT_SIZE_MAX);
    TRY(status_read(in, &out->active, err));
    return events_read(in, &out->has_events, &out->events, err);
}

/* ---- handlers ---- */

enum slw_rc
api_mlflow_webhooks_create(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct hook_in v = {.active = true};
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_need_str(&in, "name", &v.name, err));
    TRY(mlf_need_str(&in, "url", &v.url, err));
    TRY(texts_read(&in, &v, err));
    if (!v.has_events)
        return mlf_missing("events", err);
    TRY(slw_webhook_name_check(v.name, err));
    TRY(slw_webhook_url_check(v.url, err));
    if (!v.events)
        return slw_fail(err, SLW_INVALID,
                        "Webhook events must be a non-empty list of "
                        "WebhookEvent objects: [].");
    struct slw_webhook h = {.name = v.name,
                            .url = v.url,
                            .description = v.description,
                            .secret = v.secret,
                            .events = v.events,
                            .active = v.active};
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_webhook_add(&tx, api_now(api), &h, req->arena, err));
    TRY(slw_tx_commit(&tx, err));
    answer_hook(res, &h);
    return SLW_OK;
}

static enum slw_rc
find(struct slw_http_req *req, struct slw_webhook *out, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    return slw_webhook_get(&tx, slw_http_var(req, "webhook_id"), req->arena,
                           out, err);
}

enum slw_rc
api_mlflow_webhooks_get(struct slw_http_req *req, struct slw_http_res *res,
                        struct slw_err *err)
{
    struct slw_webhook h;
    TRY(find(req, &h, err));
    answer_hook(res, &h);
    return SLW_OK;
}

enum slw_rc
api_mlflow_webhooks_list(struct slw_http_req *req, struct slw_http_res *res,
                         struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    SLW_AUTO(slw_tx, tx);
    struct slw_webhook *hooks = NULL;
    struct slw_track_query q = {0};
    size_t count = 0;
    int64_t most = 0;
    bool more = false;
    TRY(mlf_in_read(&in, req, err));
    TRY(mlf_i64(&in, "max_results", &most, err));
    most = most ? most : 100;
    if (most < 1 || most > 1000)
        return slw_fail(err, SLW_INVALID,
                        "max_results must be between 1 and 1000.");
    TRY(mlf_token(&in, &q, err));
    TRY(slw_tx_read(&tx, mlf_api(req)->store, err));
    TRY(slw_webhook_list(&tx, q.offset, (size_t)most, req->arena, &hooks,
                         &count, &more, err));
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    if (count) {
        slw_jw_key(&w, "webhooks");
        slw_jw_arr(&w);
        for (size_t i = 0; i < count; i++)
            write_hook(&w, &hooks[i]);
        slw_jw_arr_end(&w);
    }
    if (more)
        mlf_write_token(&w, q.offset + (size_t)most, 0);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

/* An empty name, URL or list keeps what is there; an empty description or
 * secret takes it away. */
enum slw_rc
api_mlflow_webhooks_update(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    struct slw_api *api = mlf_api(req);
    SLW_AUTO(mlf_in, in);
    struct hook_in v = {0};
    struct slw_webhook h;
    TRY(find(req, &h, err));
    v.active = h.active;
    TRY(mlf_in_read(&in, req, err));
    TRY(texts_read(&in, &v, err));
    if (v.name.len)
        TRY(slw_webhook_name_check(v.name, err));
    if (v.url.len)
        TRY(slw_webhook_url_check(v.url, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, api->store, err));
    TRY(slw_webhook_get(&tx, h.id, req->arena, &h, err));
    h.name = v.name.len ? v.name : h.name;
    h.url = v.url.len ? v.url : h.url;
    h.description = v.description.ptr ? v.description : h.description;
    h.secret = v.secret.ptr ? v.secret : h.secret;
    h.events = v.events ? v.events : h.events;
    h.active = v.active;
    TRY(slw_webhook_put(&tx, api_now(api), &h, err));
    TRY(slw_tx_commit(&tx, err));
    answer_hook(res, &h);
    return SLW_OK;
}

enum slw_rc
api_mlflow_webhooks_delete(struct slw_http_req *req, struct slw_http_res *res,
                           struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, mlf_api(req)->store, err));
    TRY(slw_webhook_delete(&tx, slw_http_var(req, "webhook_id"), err));
    TRY(slw_tx_commit(&tx, err));
    return mlf_empty(res);
}

/* One attempt, now, also of a webhook that is disabled. */
enum slw_rc
api_mlflow_webhooks_test(struct slw_http_req *req, struct slw_http_res *res,
                         struct slw_err *err)
{
    SLW_AUTO(mlf_in, in);
    struct slw_webhook h;
    struct slw_webhook_answer answer;
    TRY(mlf_in_read(&in, req, err));
    TRY(find(req, &h, err));
    size_t event = (size_t)__builtin_ctz(h.events);
    const struct json_t *asked = slw_json_get(in.doc.root, "event");
    if (slw_json_type(asked) > SLW_JSON_NULL)
        TRY(event_read(req->arena, asked, "event", &event, err));
    slw_webhook_test(&h, event, api_now(mlf_api(req)), req->arena, &answer);
    struct slw_jw w;
    mlf_out(&w, res);
    slw_jw_obj(&w);
    slw_jw_key(&w, "result");
    slw_jw_obj(&w);
    slw_jw_kbool(&w, "success", answer.ok);
    if (answer.status) {
        slw_jw_ki64(&w, "response_status", answer.status);
        slw_jw_kstr(&w, "response_body", answer.body);
    }
    if (!answer.ok && (!answer.status || answer.status < 400))
        slw_jw_kstr(&w, "error_message",
                    slw_arena_printf(req->arena, "Failed to test webhook: %s",
                                     answer.error));
    slw_jw_obj_end(&w);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

/* ---- ours: what became of the deliveries ---- */

static void
write_delivery(struct slw_jw *w, const struct slw_webhook_delivery *d)
{
    slw_jw_obj(w);
    slw_jw_kstr(w, "delivery", d->id);
    slw_jw_kstr(w, "event", d->event);
    slw_jw_kstr(w, "state", d->state);
    slw_jw_ki64(w, "made_at_ms", d->made_at_ms);
    slw_jw_ki64(w, "last_at_ms", d->last_at_ms);
    slw_jw_ki64(w, "attempts", d->attempts);
    slw_jw_ki64(w, "status", d->status);
    slw_jw_kstr(w, "error", d->error);
    slw_jw_obj_end(w);
}

/* A webhook with its newest deliveries, or the newest one. */
static enum slw_rc
write_status(struct slw_jw *w, struct slw_tx *tx, struct slw_arena *a,
             const struct slw_webhook *h, bool whole, struct slw_err *err)
{
    const size_t limit = whole ? SLW_WEBHOOK_KEPT_MAX : 1;
    struct slw_webhook_delivery *items = NULL;
    size_t count = 0;
    TRY(slw_webhook_deliveries(tx, h->row, limit, a, &items, &count, err));
    slw_jw_obj(w);
    slw_jw_kstr(w, "id", h->id);
    slw_jw_kstr(w, "name", h->name);
    slw_jw_kstr(w, "description", h->description);
    slw_jw_kstr(w, "url", h->url);
    slw_jw_kbool(w, "active", h->active);
    slw_jw_kbool(w, "signed", h->secret.len > 0);
    slw_jw_key(w, "events");
    slw_jw_arr(w);
    for (size_t i = 0; i < slw_webhook_event_count; i++)
        if (h->events >> i & 1)
            slw_jw_str(w, slw_arena_printf(a, "%s.%s",
                                           slw_webhook_events[i].entity,
                                           slw_webhook_events[i].action));
    slw_jw_arr_end(w);
    slw_jw_ki64(w, "waiting", h->waiting_count);
    if (!whole) {
        slw_jw_key(w, "last");
        if (count)
            write_delivery(w, &items[0]);
        else
            slw_jw_null(w);
    } else {
        slw_jw_key(w, "deliveries");
        slw_jw_arr(w);
        for (size_t i = 0; i < count; i++)
            write_delivery(w, &items[i]);
        slw_jw_arr_end(w);
    }
    slw_jw_obj_end(w);
    return SLW_OK;
}

enum slw_rc
api_webhooks_list(struct slw_http_req *req, struct slw_http_res *res,
                  struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct api_page page;
    struct slw_webhook *hooks = NULL;
    size_t count = 0;
    int64_t total = 0;
    bool more = false;
    TRY(api_page_of(req, 100, 1000, &page, err));
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_webhook_list(&tx, page.offset, page.limit, req->arena, &hooks,
                         &count, &more, err));
    TRY(slw_webhook_count(&tx, &total, err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    slw_jw_obj(&w);
    slw_jw_key(&w, "webhooks");
    slw_jw_arr(&w);
    for (size_t i = 0; i < count; i++)
        TRY(write_status(&w, &tx, req->arena, &hooks[i], false, err));
    slw_jw_arr_end(&w);
    slw_jw_ki64(&w, "total", total);
    slw_jw_obj_end(&w);
    return SLW_OK;
}

enum slw_rc
api_webhooks_get(struct slw_http_req *req, struct slw_http_res *res,
                 struct slw_err *err)
{
    struct slw_api *api = req->app;
    struct slw_webhook h;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, api->store, err));
    TRY(slw_webhook_get(&tx, slw_http_var(req, "webhook_id"), req->arena, &h,
                        err));
    struct slw_jw w;
    slw_jw_init(&w, &res->body);
    return write_status(&w, &tx, req->arena, &h, true, err);
}
