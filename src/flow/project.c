/* project.c -- a project file is applied: its definitions go to the rooms that
 * own them, in one transaction, and then its deployments.
 *
 * What is unchanged stays untouched, so applying twice changes nothing.  What
 * the file no longer names stays declared (versions and history hang on it);
 * only its retrain policies go, so that nothing fires that is not written
 * down. */
#include "flow/flow_internal.h"
#include "flow/project_read.h"

#include "base/hash.h"
#include "store/event.h"

static const char SQL_PROJECT_PUT[] =
    "INSERT INTO flow_project(id, name, file, folder, yaml, hash, def, notify,"
    " applied_at_ms) VALUES(1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
    " ON CONFLICT(id) DO UPDATE SET name = excluded.name,"
    " file = excluded.file, folder = excluded.folder, yaml = excluded.yaml,"
    " hash = excluded.hash, def = excluded.def, notify = excluded.notify,"
    " applied_at_ms = excluded.applied_at_ms";
static const char SQL_PROJECT_GET[] =
    "SELECT yaml, def, notify, folder, name FROM flow_project WHERE id = 1";
static const char SQL_POLICY_PUT[] =
    "INSERT INTO flow_policy(name, model, deployment, def, updated_at_ms)"
    " VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(name) DO UPDATE SET"
    " model = excluded.model, deployment = excluded.deployment,"
    " def = excluded.def, updated_at_ms = excluded.updated_at_ms";
static const char SQL_POLICY_GET[] =
    "SELECT def FROM flow_policy WHERE name = ?1";
static const char SQL_POLICY_REMOVE[] =
    "DELETE FROM flow_policy WHERE name = ?1";
static const char SQL_POLICY_LIST[] =
    "SELECT name, model, deployment, def, updated_at_ms FROM flow_policy"
    " ORDER BY name";
static const char SQL_POLICY_COUNT[] = "SELECT count(*) FROM flow_policy";

/* ---- policies ---- */

static enum slw_rc
policy_read(struct slw_stmt *st, struct slw_arena *a, struct flow_policy *out,
            struct slw_err *err)
{
    SLW_AUTO(slw_json, def);
    struct slw_str refused = SLW_STR("keep"), search = SLW_STR("full");
    TRY(slw_json_parse(&def, slw_col_str(st, 3), err));
    struct flow_policy p = {.name = slw_col_dup(st, 0, a),
                            .model = slw_col_dup(st, 1, a),
                            .deployment = slw_col_dup(st, 2, a),
                            .updated_at_ms = slw_col_i64(st, 4)};
    const struct json_t *on = slw_json_get(def.root, "on");
    for (size_t i = 0; i < slw_json_len(on); i++) {
        const struct slw_str t =
            slw_json_str_or(slw_json_at(on, i), SLW_STR(""));
        p.on_drift |= slw_str_eqz(t, "drift");
        p.on_performance |= slw_str_eqz(t, "performance");
    }
    TRY(slw_json_opt_i64(def.root, "new_data_ms", &p.new_data_ms, err));
    TRY(slw_json_opt_i64(def.root, "every_ms", &p.every_ms, err));
    TRY(slw_json_opt_i64(def.root, "cooldown_ms", &p.cooldown_ms, err));
    TRY(slw_json_opt_str(def.root, "when_refused", &refused, err));
    TRY(slw_json_opt_str(def.root, "search", &search, err));
    p.when_refused = slw_arena_str(a, refused);
    p.reuse = slw_str_eqz(search, "reuse");
    *out = p;
    return SLW_OK;
}

enum slw_rc
flow_policies(struct slw_tx *tx, struct slw_arena *a, struct flow_policy **out,
              size_t *out_count, struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, counter);
    TRY(slw_stmt_prepare(&counter, tx, SQL_POLICY_COUNT, err));
    TRY(slw_stmt_step(&counter, &row, err));
    SLW_ASSERT(row);
    const size_t count = (size_t)slw_col_i64(&counter, 0);
    struct flow_policy *list = SLW_ARENA_NEW(a, struct flow_policy, count + 1);
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_POLICY_LIST, err));
    for (size_t i = 0;; i++) {
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        SLW_ASSERT(i < count);
        TRY(policy_read(&st, a, &list[i], err));
    }
    *out = list;
    *out_count = count;
    return SLW_OK;
}

static enum slw_rc
policy_get(struct slw_tx *tx, struct slw_str name, struct slw_arena *a,
           struct slw_str *out, struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_POLICY_GET, err));
    slw_stmt_str(&st, 1, name);
    TRY(slw_stmt_step(&st, &row, err));
    if (!row)
        return slw_fail(err, SLW_NOT_FOUND, "no retrain policy '%.*s'",
                        SLW_FMT(name));
    *out = slw_col_dup(&st, 0, a);
    return SLW_OK;
}

static enum slw_rc
policy_put(struct slw_tx *tx, int64_t now_ms, const struct project_item *item,
           struct slw_err *err)
{
    SLW_AUTO(slw_json, def);
    struct slw_str model, deployment;
    TRY(slw_json_parse(&def, item->def, err));
    TRY(slw_json_need_str(def.root, "model", &model, err));
    TRY(slw_json_need_str(def.root, "deployment", &deployment, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_POLICY_PUT, err));
    slw_stmt_str(&st, 1, item->name);
    slw_stmt_str(&st, 2, model);
    slw_stmt_str(&st, 3, deployment);
    slw_stmt_str(&st, 4, item->def);
    slw_stmt_i64(&st, 5, now_ms);
    return slw_stmt_run(&st, err);
}

/* ---- one definition ---- */

/* What is declared now.  Errors NOT_FOUND */
static enum slw_rc
present_def(struct slw_tx *tx, const struct project_item *item,
            struct slw_arena *a, struct slw_str *out, struct slw_err *err)
{
    struct slw_view view;
    struct slw_deployment d;
    switch (item->section) {
    case PROJECT_SOURCES:
        return slw_data_source_get(tx, item->name, a, out, err);
    case PROJECT_FEATURES:
        TRY(slw_features_view_get(tx, item->name, a, &view, err));
        *out = view.def;
        return SLW_OK;
    case PROJECT_MODELS:
        return slw_train_model_get(tx, item->name, a, out, err);
    case PROJECT_DEPLOYMENTS:
        TRY(slw_serve_get(tx, item->name, a, &d, err));
        *out = d.def;
        return SLW_OK;
    case PROJECT_MONITORS:
        return slw_monitor_get(tx, item->name, a, out, err);
    default:
        return policy_get(tx, item->name, a, out, err);
    }
}

static enum slw_rc
item_put(struct slw_tx *tx, int64_t now_ms, const struct project_item *item,
         struct slw_err *err)
{
    switch (item->section) {
    case PROJECT_SOURCES:
        return slw_data_source_put(tx, now_ms, item->name, item->def, err);
    case PROJECT_FEATURES:
        return slw_features_view_put(tx, now_ms, item->name, item->def, err);
    case PROJECT_MODELS:
        return slw_train_model_put(tx, now_ms, item->name, item->def, err);
    case PROJECT_MONITORS:
        return slw_monitor_put(tx, now_ms, item->name, item->def, err);
    case PROJECT_RETRAIN:
        return policy_put(tx, now_ms, item, err);
    default: /* deployments: declared after the transaction, so checked now */
        return slw_serve_declare_check(tx, item->name, item->def, err);
    }
}

/* ---- the whole ---- */

struct apply {
    struct slw_flow *flow;
    int64_t now_ms;
    const char *file;
    struct slw_str folder, yaml;
    struct project project;
    struct slw_arena *a;
    bool *changed;        /* [item_count] */
    struct slw_str *gone; /* policies the file does not name any more */
    size_t changed_count, gone_count;
    bool notify_changed, file_changed;
};

static enum slw_rc
at_item(const struct apply *ap, const struct project_item *item,
        struct slw_err *err)
{
    return slw_err_prefix(err, "%s:%d:%d: ", ap->file, item->line,
                          item->column);
}

static enum slw_rc
item_compare(struct apply *ap, struct slw_tx *tx, size_t i, struct slw_err *err)
{
    struct slw_str def;
    const struct project_item *item = &ap->project.items[i];
    const enum slw_rc rc = present_def(tx, item, ap->a, &def, err);
    if (rc != SLW_OK && rc != SLW_NOT_FOUND)
        return rc;
    ap->changed[i] = rc == SLW_NOT_FOUND || !slw_str_eq(def, item->def);
    ap->changed_count += ap->changed[i];
    return SLW_OK;
}

static bool
has_policy(const struct project *p, struct slw_str name)
{
    for (size_t i = 0; i < p->item_count; i++)
        if (p->items[i].section == PROJECT_RETRAIN &&
            slw_str_eq(p->items[i].name, name))
            return true;
    return false;
}

static enum slw_rc
policies_gone(struct apply *ap, struct slw_tx *tx, struct slw_err *err)
{
    size_t count = 0;
    struct flow_policy *all = NULL;
    TRY(flow_policies(tx, ap->a, &all, &count, err));
    ap->gone = SLW_ARENA_NEW(ap->a, struct slw_str, count + 1);
    for (size_t i = 0; i < count; i++)
        if (!has_policy(&ap->project, all[i].name))
            ap->gone[ap->gone_count++] = all[i].name;
    return SLW_OK;
}

static enum slw_rc
apply_compare(struct apply *ap, struct slw_tx *tx, struct slw_err *err)
{
    bool row = false;
    ap->changed = SLW_ARENA_NEW(ap->a, bool, ap->project.item_count + 1);
    for (size_t i = 0; i < ap->project.item_count; i++)
        TRY(item_compare(ap, tx, i, err));
    TRY(policies_gone(ap, tx, err));
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_PROJECT_GET, err));
    TRY(slw_stmt_step(&st, &row, err));
    ap->file_changed = !row || !slw_str_eq(slw_col_str(&st, 0), ap->yaml) ||
                       !slw_str_eq(slw_col_str(&st, 3), ap->folder);
    ap->notify_changed =
        ap->project.notify.len &&
        (!row || !slw_str_eq(slw_col_str(&st, 2), ap->project.notify));
    return SLW_OK;
}

static enum slw_rc
project_put(const struct apply *ap, struct slw_tx *tx, struct slw_err *err)
{
    char hex[SLW_SHA256_HEX_SIZE];
    const struct slw_sha256 h = slw_sha256_of(ap->yaml.ptr, ap->yaml.len);
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_PROJECT_PUT, err));
    slw_stmt_str(&st, 1, ap->project.name);
    slw_stmt_str(&st, 2, slw_str_of(ap->file));
    slw_stmt_str(&st, 3, ap->folder);
    slw_stmt_str(&st, 4, ap->yaml);
    slw_stmt_str(&st, 5, slw_str_of(slw_sha256_hex(&h, hex)));
    slw_stmt_str(&st, 6, ap->project.json);
    slw_stmt_str(&st, 7, ap->project.notify);
    slw_stmt_i64(&st, 8, ap->now_ms);
    return slw_stmt_run(&st, err);
}

/* ["source prices", "model next-close", …] */
static void
changed_write(const struct apply *ap, struct slw_jw *w)
{
    slw_jw_arr(w);
    for (size_t i = 0; i < ap->project.item_count; i++)
        if (ap->changed[i])
            slw_jw_str(w, slw_arena_printf(ap->a, "%s %.*s",
                                           project_section_word(
                                               ap->project.items[i].section),
                                           SLW_FMT(ap->project.items[i].name)));
    for (size_t i = 0; i < ap->gone_count; i++)
        slw_jw_str(w, slw_arena_printf(ap->a, "retrain policy %.*s (removed)",
                                       SLW_FMT(ap->gone[i])));
    if (ap->notify_changed)
        slw_jw_z(w, "notify");
    slw_jw_arr_end(w);
}

static enum slw_rc
apply_announce(const struct apply *ap, struct slw_tx *tx, struct slw_err *err)
{
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_key(&w, "changed");
    changed_write(ap, &w);
    slw_jw_obj_end(&w);
    return slw_event_emit(tx, ap->now_ms, "flow.project_applied",
                          ap->project.name, slw_buf_view(&payload), err);
}

static enum slw_rc
apply_write(const struct apply *ap, struct slw_tx *tx, struct slw_err *err)
{
    for (size_t i = 0; i < ap->project.item_count; i++)
        if (ap->changed[i] &&
            item_put(tx, ap->now_ms, &ap->project.items[i], err) != SLW_OK)
            return at_item(ap, &ap->project.items[i], err);
    for (size_t i = 0; i < ap->gone_count; i++) {
        SLW_AUTO(slw_stmt, st);
        TRY(slw_stmt_prepare(&st, tx, SQL_POLICY_REMOVE, err));
        slw_stmt_str(&st, 1, ap->gone[i]);
        TRY(slw_stmt_run(&st, err));
    }
    if (ap->notify_changed)
        TRY(slw_monitor_notify_put(tx, ap->project.notify, err));
    if (ap->file_changed || ap->notify_changed)
        TRY(project_put(ap, tx, err));
    if (ap->changed_count || ap->gone_count || ap->notify_changed)
        TRY(apply_announce(ap, tx, err));
    return SLW_OK;
}

static enum slw_rc
deployments_declare(const struct apply *ap, struct slw_err *err)
{
    for (size_t i = 0; i < ap->project.item_count; i++) {
        const struct project_item *item = &ap->project.items[i];
        if (item->section == PROJECT_DEPLOYMENTS && ap->changed[i] &&
            slw_serve_declare(ap->flow->serve, ap->now_ms, item->name,
                              item->def, err) != SLW_OK)
            return at_item(ap, item, err);
    }
    return SLW_OK;
}

static enum slw_rc
apply_run(struct apply *ap, struct slw_err *err)
{
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_begin(&tx, ap->flow->store, err));
    TRY(apply_compare(ap, &tx, err));
    TRY(apply_write(ap, &tx, err));
    return slw_tx_commit(&tx, err);
}

enum slw_rc
slw_project_apply(struct slw_flow *f, int64_t now_ms, struct slw_str file,
                  struct slw_str folder, struct slw_str yaml, struct slw_jw *w,
                  struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    struct apply ap = {.flow = f,
                       .now_ms = now_ms,
                       .file = slw_arena_strz(&a, file),
                       .folder = slw_arena_str(&a, folder),
                       .yaml = yaml,
                       .a = &a};
    TRY(project_read(file, ap.folder, yaml, &a, &ap.project, err));
    (void)pthread_mutex_lock(&f->tick);
    enum slw_rc rc = apply_run(&ap, err);
    if (rc == SLW_OK)
        rc = deployments_declare(&ap, err);
    (void)pthread_mutex_unlock(&f->tick);
    TRY(rc);
    slw_jw_obj(w);
    slw_jw_kstr(w, "project", ap.project.name);
    slw_jw_key(w, "changed");
    changed_write(&ap, w);
    slw_jw_kraw(w, "definition", ap.project.json);
    slw_jw_obj_end(w);
    return SLW_OK;
}

enum slw_rc
slw_project_get(struct slw_tx *tx, struct slw_arena *a,
                struct slw_str *out_yaml, struct slw_str *out_json,
                struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_PROJECT_GET, err));
    TRY(slw_stmt_step(&st, &row, err));
    if (!row)
        return slw_fail(err, SLW_NOT_FOUND,
                        "no project was applied yet; apply one with 'slipway"
                        " apply slipway.yaml'");
    *out_yaml = slw_col_dup(&st, 0, a);
    *out_json = slw_col_dup(&st, 1, a);
    return SLW_OK;
}
