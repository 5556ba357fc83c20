/* mlflow_fast.c -- the bodies of log-metric and log-batch, read without a tree.
 *
 * A training loop sends these by the thousand, always in one plain form:
 * texts, numbers, each member once, none that we do not know.  Anything else,
 * a mistake included, is left to the careful reader, which alone has the
 * sentences; so what is taken here must mean the same there. */
#include "api/mlflow_internal.h"
#include "base/json_pull.h"

#define LIST_MAX 1000 /* of all kinds together, as log-batch allows */

/* Each member once. */
static bool
first_time(unsigned *seen, unsigned bit)
{
    const bool first = !(*seen & bit);
    *seen |= bit;
    return first;
}

static bool
text(struct slw_jr *r, struct slw_str *out)
{
    struct slw_err err;
    return slw_jr_str(r, out, &err) == SLW_OK;
}

static bool
number(struct slw_jr *r, struct slw_jr_number *out)
{
    struct slw_err err;
    return slw_jr_starts_number(slw_jr_peek(r)) &&
           slw_jr_number(r, out, &err) == SLW_OK;
}

/* Written without point and exponent? */
static bool
is_whole(const struct slw_jr_number *n)
{
    return !memchr(n->text.ptr, '.', n->text.len) &&
           !memchr(n->text.ptr, 'e', n->text.len) &&
           !memchr(n->text.ptr, 'E', n->text.len);
}

static bool
i64_of(const struct slw_jr_number *n, int64_t *out)
{
    if (!n->fits || n->digits > INT64_MAX)
        return false;
    *out = n->negative ? -(int64_t)n->digits : (int64_t)n->digits;
    return true;
}

static bool
whole(struct slw_jr *r, int64_t *out)
{
    struct slw_jr_number n;
    return number(r, &n) && is_whole(&n) && i64_of(&n, out);
}

static bool
real(struct slw_jr *r, double *out)
{
    struct slw_jr_number n;
    struct slw_err err;
    int64_t i = 0;
    if (!number(r, &n))
        return false;
    if (!is_whole(&n))
        return slw_jr_double(&n, out, &err) == SLW_OK;
    if (!i64_of(&n, &i))
        return false;
    *out = (double)i; /* through an integer, so that -0 is 0 */
    return true;
}

enum {
    HAS_KEY = 1,
    HAS_VALUE = 2,
    HAS_AT = 4,
    HAS_STEP = 8,
    HAS_MODEL = 16,
    HAS_NAME = 32,
    HAS_DIGEST = 64,
    HAS_RUN = 128,
    HAS_RUN_OLD = 256,
    HAS_METRICS = 512,
    HAS_PARAMS = 1024,
    HAS_TAGS = 2048
};

static inline bool
is(struct slw_str key, const char *word, size_t len)
{
    return key.len == len && memcmp(key.ptr, word, len) == 0;
}
#define IS(key, word) is(key, "" word, sizeof(word) - 1)

/* A member of a metric's object. */
static bool
metric_member(struct slw_jr *r, struct slw_str key, struct slw_model_metric *m,
              unsigned *seen)
{
    if (IS(key, "key"))
        return first_time(seen, HAS_KEY) && text(r, &m->m.key) &&
               m->m.key.len > 0;
    if (IS(key, "value"))
        return first_time(seen, HAS_VALUE) && real(r, &m->m.value);
    if (IS(key, "timestamp"))
        return first_time(seen, HAS_AT) && whole(r, &m->m.at_ms);
    if (IS(key, "step"))
        return first_time(seen, HAS_STEP) && whole(r, &m->m.step);
    if (IS(key, "model_id"))
        return first_time(seen, HAS_MODEL) && text(r, &m->model_id);
    if (IS(key, "dataset_name"))
        return first_time(seen, HAS_NAME) && text(r, &m->dataset_name);
    if (IS(key, "dataset_digest"))
        return first_time(seen, HAS_DIGEST) && text(r, &m->dataset_digest);
    return false;
}

/* As MLflow makes ids; others are for the careful reader. */
static bool
is_plain_id(struct slw_str id)
{
    for (size_t i = 0; i < id.len; i++) {
        const char c = id.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
              (c >= 'A' && c <= 'Z')))
            return false;
    }
    return id.len > 0 && id.len <= 64;
}

static bool
run_member(struct slw_jr *r, struct slw_str key, struct slw_str *id,
           struct slw_str *old_id, unsigned *seen)
{
    if (slw_str_eqz(key, "run_id"))
        return first_time(seen, HAS_RUN) && text(r, id) && is_plain_id(*id);
    if (slw_str_eqz(key, "run_uuid"))
        return first_time(seen, HAS_RUN_OLD) && text(r, old_id);
    return false;
}

static const struct slw_model_metric NO_METRIC = {.model_id = {"", 0},
                                                  .run_id = {"", 0},
                                                  .dataset_name = {"", 0},
                                                  .dataset_digest = {"", 0}};
#define METRIC_NEEDS ((unsigned)(HAS_KEY | HAS_VALUE | HAS_AT))

/* Is nothing missing? */
static bool
is_metric(const struct slw_model_metric *m, unsigned seen)
{
    return (seen & METRIC_NEEDS) == METRIC_NEEDS &&
           (m->dataset_name.len == 0) == (m->dataset_digest.len == 0);
}

static bool
next_member(struct slw_jr *r, struct slw_jr_walk *w, struct slw_str *key)
{
    struct slw_err err;
    return slw_jr_member(r, w, key, &err) == SLW_OK;
}

static bool
at_end(struct slw_jr *r)
{
    return slw_jr_peek(r) == '\0' && r->p == r->end;
}

bool
mlf_fast_metric(struct slw_str body, struct slw_arena *a, struct mlf_batch *b)
{
    struct slw_jr r = {body.ptr, body.ptr + body.len, body.ptr, a};
    struct slw_jr_walk w = {0};
    struct slw_model_metric m = NO_METRIC;
    struct slw_str key, id = {0}, old_id = {0};
    unsigned seen = 0;
    for (;;) {
        if (!next_member(&r, &w, &key))
            return false;
        if (w.done)
            break;
        if (!metric_member(&r, key, &m, &seen) &&
            !run_member(&r, key, &id, &old_id, &seen))
            return false;
    }
    if (!is_metric(&m, seen) || !(seen & HAS_RUN) || !at_end(&r))
        return false;
    b->metrics = SLW_ARENA_NEW(a, struct slw_metric, 1);
    b->model_metrics = SLW_ARENA_NEW(a, struct slw_model_metric, 1);
    b->run_id = id;
    mlf_batch_add(b, &m);
    return true;
}

static bool
metric_object(struct slw_jr *r, struct slw_model_metric *m)
{
    struct slw_jr_walk w = {0};
    struct slw_str key;
    unsigned seen = 0;
    *m = NO_METRIC;
    for (;;) {
        if (!next_member(r, &w, &key))
            return false;
        if (w.done)
            return is_metric(m, seen);
        if (!metric_member(r, key, m, &seen))
            return false;
    }
}

static bool
kv_object(struct slw_jr *r, struct slw_kv *out)
{
    struct slw_jr_walk w = {0};
    struct slw_str key;
    unsigned seen = 0;
    for (;;) {
        if (!next_member(r, &w, &key))
            return false;
        if (w.done)
            return seen == (HAS_KEY | HAS_VALUE);
        if (slw_str_eqz(key, "key")
                ? !first_time(&seen, HAS_KEY) || !text(r, &out->key) ||
                      out->key.len == 0
                : !slw_str_eqz(key, "value") || !first_time(&seen, HAS_VALUE) ||
                      !text(r, &out->value))
            return false;
    }
}

static bool
next_item(struct slw_jr *r, struct slw_jr_walk *w)
{
    struct slw_err err;
    return slw_jr_item(r, w, '[', ']', "", &err) == SLW_OK;
}

static bool
kv_list(struct slw_jr *r, size_t most, struct slw_kv **out, size_t *out_count)
{
    struct slw_jr_walk w = {0};
    struct slw_kv *items = NULL;
    size_t count = 0, cap = 0;
    for (;;) {
        if (!next_item(r, &w))
            return false;
        if (w.done)
            break;
        items = slw_arena_grow(r->a, items, sizeof(*items), count, &cap);
        if (count == most || !kv_object(r, &items[count++]))
            return false;
    }
    *out = items;
    *out_count = count;
    return true;
}

static bool
metric_list(struct slw_jr *r, struct mlf_batch *b)
{
    struct slw_jr_walk w = {0};
    size_t cap = 0;
    for (;;) {
        struct slw_model_metric m;
        if (!next_item(r, &w))
            return false;
        if (w.done)
            return true;
        if (b->metric_count == LIST_MAX || !metric_object(r, &m))
            return false;
        b->metrics = slw_arena_grow(r->a, b->metrics, sizeof(*b->metrics),
                                    b->metric_count, &cap);
        if (m.model_id.len && !b->model_metrics)
            b->model_metrics =
                SLW_ARENA_NEW(r->a, struct slw_model_metric, LIST_MAX);
        mlf_batch_add(b, &m);
    }
}

bool
mlf_fast_batch(struct slw_str body, struct slw_arena *a, struct mlf_batch *b)
{
    struct slw_jr r = {body.ptr, body.ptr + body.len, body.ptr, a};
    struct slw_jr_walk w = {0};
    struct mlf_batch got = *b;
    struct slw_str key, id = {0}, old_id = {0};
    unsigned seen = 0;
    bool ok = true;
    while (ok) {
        if (!next_member(&r, &w, &key))
            return false;
        if (w.done)
            break;
        if (slw_str_eqz(key, "metrics"))
            ok = first_time(&seen, HAS_METRICS) && metric_list(&r, &got);
        else if (slw_str_eqz(key, "params"))
            ok = first_time(&seen, HAS_PARAMS) &&
                 kv_list(&r, 100, &got.params, &got.param_count);
        else if (slw_str_eqz(key, "tags"))
            ok = first_time(&seen, HAS_TAGS) &&
                 kv_list(&r, 100, &got.tags, &got.tag_count);
        else
            ok = run_member(&r, key, &id, &old_id, &seen);
    }
    if (!ok || !(seen & HAS_RUN) || !at_end(&r) ||
        got.metric_count + got.param_count + got.tag_count > LIST_MAX)
        return false;
    *b = got;
    b->run_id = id;
    for (size_t i = 0; i < b->model_metric_count; i++)
        b->model_metrics[i].run_id = id;
    return true;
}
