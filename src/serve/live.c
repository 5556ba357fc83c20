/* live.c -- what is live: slots by name, loaded releases, swapping them, and
 * the flusher thread. */
#include "serve/serve_internal.h"

#include "base/hash.h"
#include "base/log.h"
#include "store/dry.h"
#include "store/event.h"

#include <errno.h>
#include <math.h>

#define FLUSH_MS 50
#define TABLE_SEED 0x5e7fe

/* ---- the table of slots ---- */

struct serve_slot *
serve_slot_find(struct slw_serve *s, struct slw_str name)
{
    uint64_t at = slw_hash64(name.ptr, name.len, TABLE_SEED);
    for (size_t i = 0; i < SERVE_TABLE_SIZE; i++, at++) {
        struct serve_slot *slot = atomic_load_explicit(
            &s->table[at % SERVE_TABLE_SIZE], memory_order_acquire);
        if (!slot || slw_str_eq(slot->name, name))
            return slot;
    }
    return NULL;
}

static struct serve_slot *
slot_new(struct slw_serve *s, struct slw_str name)
{
    struct serve_slot *slot = slw_alloc(sizeof *slot);
    slot->name = (struct slw_str){slw_strdup(name), name.len};
    slot->salt = slw_hash64(name.ptr, name.len, 0);
    SLW_ASSERT(pthread_mutex_init(&slot->mutex, NULL) == 0);
    serve_log_init(&slot->log, slw_store_dir(s->store), name);
    return slot;
}

static void
slot_free(struct serve_slot *slot)
{
    serve_live_unref(slot->live);
    serve_log_done(&slot->log);
    struct serve_series *s = atomic_load(&slot->series);
    while (s) {
        struct serve_series *next = s->next;
        serve_figures_free(s->figures);
        slw_free(s);
        s = next;
    }
    (void)pthread_mutex_destroy(&slot->mutex);
    slw_free(slot->failures);
    slw_free((char *)slot->name.ptr);
    slw_free(slot);
}

enum slw_rc
serve_slot_ensure(struct slw_serve *s, struct slw_str name,
                  struct serve_slot **out, struct slw_err *err)
{
    *out = serve_slot_find(s, name);
    if (*out)
        return SLW_OK;
    if (s->slot_count >= SERVE_DEPLOYMENT_MAX)
        return slw_fail(err, SLW_LIMIT,
                        "there are %d deployments already, which is the most",
                        SERVE_DEPLOYMENT_MAX);
    struct serve_slot *slot = slot_new(s, name);
    uint64_t at = slw_hash64(name.ptr, name.len, TABLE_SEED);
    while (atomic_load_explicit(&s->table[at % SERVE_TABLE_SIZE],
                                memory_order_relaxed))
        at++;
    atomic_store_explicit(&s->table[at % SERVE_TABLE_SIZE], slot,
                          memory_order_release);
    s->slot_count++;
    *out = slot;
    return SLW_OK;
}

static int
by_name(const void *a, const void *b)
{
    return slw_str_cmp(*(const struct slw_str *)a, *(const struct slw_str *)b);
}

void
slw_serve_names(struct slw_serve *s, struct slw_arena *a, struct slw_str **out,
                size_t *out_count)
{
    struct slw_str *names =
        SLW_ARENA_NEW(a, struct slw_str, SERVE_DEPLOYMENT_MAX);
    size_t count = 0;
    for (size_t i = 0; i < SERVE_TABLE_SIZE; i++) {
        struct serve_slot *slot =
            atomic_load_explicit(&s->table[i], memory_order_acquire);
        if (slot && count < SERVE_DEPLOYMENT_MAX)
            names[count++] = slot->name;
    }
    qsort(names, count, sizeof *names, by_name);
    *out = names;
    *out_count = count;
}

/* ---- what is live in a slot ---- */

struct serve_live *
serve_live_get(struct serve_slot *slot)
{
    (void)pthread_mutex_lock(&slot->mutex);
    struct serve_live *l = slot->live;
    if (l)
        atomic_fetch_add_explicit(&l->ref_count, 1, memory_order_relaxed);
    (void)pthread_mutex_unlock(&slot->mutex);
    return l;
}

void
serve_live_unref(struct serve_live *l)
{
    if (!l)
        return;
    if (atomic_fetch_sub_explicit(&l->ref_count, 1, memory_order_acq_rel) > 1)
        return;
    serve_release_unref(l->champion);
    serve_release_unref(l->canary);
    serve_release_unref(l->previous);
    serve_release_unref(l->shadow);
    slw_free(l->canary_map);
    slw_free(l->shadow_map);
    slw_free(l->champion_map);
    slw_free(l);
}

void
serve_live_swap(struct serve_slot *slot, struct serve_live *fresh)
{
    (void)pthread_mutex_lock(&slot->mutex);
    struct serve_live *old = slot->live;
    slot->live = fresh;
    (void)pthread_mutex_unlock(&slot->mutex);
    serve_live_unref(old);
}

/* A release that is loaded already is taken over: a roll-back then touches
 * no disk.  One that could not be loaded is tried again. */
static struct serve_release *
obtain(struct slw_serve *s, const struct serve_live *old, struct slw_str hash,
       int64_t version)
{
    if (hash.len == 0)
        return NULL;
    struct serve_release *const had[] = {
        old ? old->champion : NULL, old ? old->canary : NULL,
        old ? old->previous : NULL, old ? old->shadow : NULL};
    for (size_t i = 0; i < SLW_ARRAY_LEN(had); i++)
        if (had[i] && had[i]->model && had[i]->version == version &&
            slw_str_eqz(hash, had[i]->hash))
            return serve_release_ref(had[i]);
    return serve_release_load(s->store, hash, version);
}

/* Which column of `base` each column of `r` is; NULL when all are the same. */
static int32_t *
column_map(const struct serve_release *r, const struct serve_release *base)
{
    if (!r || !base)
        return NULL;
    const struct slw_signature *a = &r->signature, *b = &base->signature;
    bool same = a->column_count == b->column_count;
    for (size_t i = 0; same && i < a->column_count; i++)
        same = slw_str_eq(a->columns[i], b->columns[i]);
    if (same)
        return NULL;
    int32_t *map = slw_alloc((a->column_count + 1) * sizeof *map);
    for (size_t i = 0; i < a->column_count; i++) {
        map[i] = -1;
        for (size_t j = 0; j < b->column_count && map[i] < 0; j++)
            if (slw_str_eq(a->columns[i], b->columns[j]))
                map[i] = (int32_t)j;
    }
    return map;
}

/* What the declaration says of answering; it was checked when declared. */
static void
def_read(struct serve_live *l, struct slw_str def)
{
    struct slw_err err;
    SLW_AUTO(slw_json, doc);
    int64_t timeout_ms = SERVE_TIMEOUT_MS_DEFAULT;
    if (slw_json_parse(&doc, def, &err) == SLW_OK) {
        timeout_ms =
            slw_json_i64_or(slw_json_get(doc.root, "timeout_ms"), timeout_ms);
        const struct json_t *shadow = slw_json_get(doc.root, "shadow");
        for (size_t i = 0; i < slw_json_len(shadow); i++)
            if (slw_str_eqz(
                    slw_json_str_or(slw_json_at(shadow, i), SLW_STR("")),
                    "challenger"))
                l->shadow_challenger = true;
    }
    l->timeout_ns = timeout_ms * 1000000;
}

struct serve_live *
serve_live_build(struct slw_serve *s, struct serve_slot *slot,
                 const struct slw_deployment *d)
{
    struct serve_live *old = serve_live_get(slot);
    struct serve_live *l = slw_alloc(sizeof *l);
    atomic_init(&l->ref_count, 1);
    l->champion = obtain(s, old, d->champion, d->champion_version);
    l->canary = obtain(s, old, d->canary, d->canary_version);
    l->previous = obtain(s, old, d->previous, d->previous_version);
    l->shadow = obtain(s, old, d->shadow, d->shadow_version);
    serve_live_unref(old);
    l->canary_map = column_map(l->canary, l->champion);
    l->shadow_map = column_map(l->shadow, l->champion);
    l->champion_map = column_map(l->champion, l->canary);
    /* A dry run only wants to know whether it loads: no counters for it. */
    if (l->champion && !slw_dry_is_on()) {
        l->champion_series =
            serve_series_of(slot, d->champion_version, SLW_BY_CHAMPION);
        l->fallback_series =
            serve_series_of(slot, d->champion_version, SLW_BY_FALLBACK);
    }
    if (l->canary && !slw_dry_is_on())
        l->canary_series =
            serve_series_of(slot, d->canary_version, SLW_BY_CANARY);
    l->canary_below =
        l->canary ? (uint32_t)lround(d->canary_weight * SERVE_WEIGHT_UNITS) : 0;
    l->withdrawn = d->withdrawn;
    def_read(l, d->def);
    return l;
}

void
serve_slot_log_open(struct slw_serve *s, struct serve_slot *slot,
                    int64_t now_ms)
{
    struct slw_err err;
    SLW_AUTO(slw_tx, tx);
    enum slw_rc rc = slw_tx_read(&tx, s->store, &err);
    if (rc == SLW_OK)
        rc = serve_log_open(&slot->log, &tx, slot->name, now_ms, &err);
    if (rc != SLW_OK) /* answers go on; the flusher tries again */
        slw_log_err(SLW_LOG_WARN, "serve.log_full", &err);
}

/* ---- the flusher ---- */

static void
flush_all(struct slw_serve *s)
{
    const int64_t now_ms = slw_clock_now_ms(s->clock);
    for (size_t i = 0; i < SERVE_TABLE_SIZE; i++) {
        struct serve_slot *slot =
            atomic_load_explicit(&s->table[i], memory_order_acquire);
        if (slot)
            serve_log_flush(&slot->log, s->store, slot->name, now_ms);
    }
}

static bool
flusher_wait(struct slw_serve *s)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += FLUSH_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    (void)pthread_mutex_lock(&s->flusher_mutex);
    int rc = 0;
    while (!s->closing && rc != ETIMEDOUT)
        rc = pthread_cond_clockwait(&s->flusher_wake, &s->flusher_mutex,
                                    CLOCK_MONOTONIC, &until);
    const bool closing = s->closing;
    (void)pthread_mutex_unlock(&s->flusher_mutex);
    return !closing;
}

static void *
flusher_main(void *arg)
{
    struct slw_serve *s = arg;
    while (flusher_wait(s))
        flush_all(s);
    flush_all(s);
    return NULL;
}

/* ---- opening and closing ---- */

/* Said once a start, where somebody will look for it. */
static void
report_unloaded(struct slw_serve *s, const struct serve_slot *slot,
                const struct serve_release *r, int64_t now_ms)
{
    struct slw_err err;
    slw_log(SLW_LOG_ERROR, "serve.load_failed",
            "deployment=%.*s version=%lld msg=\"%s\"", SLW_FMT(slot->name),
            (long long)r->version, r->why.msg);
    SLW_AUTO(slw_buf, b);
    struct slw_jw w;
    slw_jw_init(&w, &b);
    slw_jw_obj(&w);
    slw_jw_kz(&w, "release", r->hash);
    slw_jw_ki64(&w, "version", r->version);
    slw_jw_kz(&w, "error", r->why.msg);
    slw_jw_obj_end(&w);
    SLW_AUTO(slw_tx, tx);
    enum slw_rc rc = slw_tx_begin(&tx, s->store, &err);
    if (rc == SLW_OK)
        rc = slw_event_emit(&tx, now_ms, "serve.load_failed", slot->name,
                            slw_buf_view(&b), &err);
    if (rc == SLW_OK)
        rc = slw_tx_commit(&tx, &err);
    if (rc != SLW_OK)
        slw_log_err(SLW_LOG_WARN, "serve.event_lost", &err);
}

/* A canary's requests, from the log: rows of one call share id, key, time and
 * latency. */
struct recount {
    struct serve_live *live;
    int64_t since_ms, at_ms, latency_ns;
    uint64_t asked; /* hash of id and key */
};

static enum slw_rc
recount_seen(void *ctx, const struct slw_prediction *p, struct slw_err *err)
{
    struct recount *c = ctx;
    struct serve_live *l = c->live;
    const uint64_t asked = slw_hash64(
        p->key.ptr, p->key.len, slw_hash64(p->id.ptr, p->id.len, TABLE_SEED));
    if (p->at_ms <= c->since_ms ||
        (p->at_ms == c->at_ms && p->latency_ns == c->latency_ns &&
         asked == c->asked))
        return SLW_OK;
    c->at_ms = p->at_ms;
    c->latency_ns = p->latency_ns;
    c->asked = asked;
    const bool canary = strcmp(p->release, l->canary->hash) == 0;
    const bool fell = p->by == SLW_BY_FALLBACK;
    atomic_fetch_add(canary ? &l->canary_count : &l->champion_count, 1);
    atomic_fetch_add(&l->fallback_count, fell);
    atomic_fetch_add(&l->canary_failed, canary && fell);
    return SLW_OK;
}

/* A step of a rollout goes on where it stood when the server ended. */
static void
canary_recount(struct slw_serve *s, struct serve_slot *slot,
               struct serve_live *l, int64_t since_ms)
{
    struct slw_err err;
    struct recount c = {.live = l, .since_ms = since_ms};
    if (slw_serve_log_scan(s->store, slot->name, INT64_MIN, INT64_MAX,
                           recount_seen, &c, &err) != SLW_OK)
        slw_log_err(SLW_LOG_WARN, "serve.canary_not_counted", &err);
}

static enum slw_rc
load_all(struct slw_serve *s, struct slw_err *err)
{
    const int64_t now_ms = slw_clock_now_ms(s->clock);
    struct slw_deployment *list = NULL;
    size_t count = 0;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s->store, err));
    TRY(slw_serve_list(&tx, &a, &list, &count, err));
    slw_tx_done(&tx);
    for (size_t i = 0; i < count; i++) {
        struct serve_slot *slot;
        TRY(serve_slot_ensure(s, list[i].name, &slot, err));
        struct serve_live *l = serve_live_build(s, slot, &list[i]);
        if (l->champion && !l->champion->model)
            report_unloaded(s, slot, l->champion, now_ms);
        if (l->canary && !l->canary->model)
            report_unloaded(s, slot, l->canary, now_ms);
        if (l->champion && l->canary)
            canary_recount(s, slot, l, list[i].changed_at_ms);
        if (l->champion)
            serve_slot_log_open(s, slot, now_ms);
        serve_live_swap(slot, l);
    }
    return SLW_OK;
}

enum slw_rc
slw_serve_open(struct slw_serve **out, struct slw_store *store,
               const struct slw_clock *clock, struct slw_err *err)
{
    struct slw_serve *s = slw_alloc(sizeof *s);
    s->store = store;
    s->clock = clock;
    SLW_ASSERT(pthread_mutex_init(&s->act, NULL) == 0);
    SLW_ASSERT(pthread_mutex_init(&s->flusher_mutex, NULL) == 0);
    SLW_ASSERT(pthread_mutex_init(&s->figures_mutex, NULL) == 0);
    SLW_ASSERT(pthread_cond_init(&s->flusher_wake, NULL) == 0);
    enum slw_rc rc = load_all(s, err);
    if (rc == SLW_OK && pthread_create(&s->flusher, NULL, flusher_main, s) != 0)
        rc = slw_fail(err, SLW_IO, "cannot start the flusher's thread");
    if (rc != SLW_OK) {
        slw_serve_close(s);
        return rc;
    }
    s->flusher_runs = true;
    *out = s;
    return SLW_OK;
}

void
slw_serve_close(struct slw_serve *s)
{
    if (!s)
        return;
    if (s->flusher_runs) {
        (void)pthread_mutex_lock(&s->flusher_mutex);
        s->closing = true;
        (void)pthread_cond_signal(&s->flusher_wake);
        (void)pthread_mutex_unlock(&s->flusher_mutex);
        (void)pthread_join(s->flusher, NULL);
    }
    for (size_t i = 0; i < SERVE_TABLE_SIZE; i++) {
        struct serve_slot *slot = atomic_load(&s->table[i]);
        if (slot)
            slot_free(slot);
    }
    (void)pthread_cond_destroy(&s->flusher_wake);
    (void)pthread_mutex_destroy(&s->flusher_mutex);
    (void)pthread_mutex_destroy(&s->figures_mutex);
    (void)pthread_mutex_destroy(&s->act);
    slw_free(s);
}
