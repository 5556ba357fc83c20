/* fuzz_log_body.c -- bodies of log-metric and log-batch: what the quick reader
 * takes, the careful one takes too, and in the same sense.  The first byte
 * picks which of the two. */
#include "api/mlflow_internal.h"

#include "tests/fuzz/fuzz.h"

static bool
same_str(struct slw_str a, struct slw_str b)
{
    return slw_str_eq(a, b);
}

static void
same_kvs(const struct slw_kv *a, size_t a_count, const struct slw_kv *b,
         size_t b_count)
{
    SLW_ASSERT(a_count == b_count);
    for (size_t i = 0; i < a_count; i++) {
        SLW_ASSERT(same_str(a[i].key, b[i].key));
        SLW_ASSERT(same_str(a[i].value, b[i].value));
    }
}

static void
same_metric(const struct slw_metric *a, const struct slw_metric *b)
{
    SLW_ASSERT(same_str(a->key, b->key));
    SLW_ASSERT(memcmp(&a->value, &b->value, sizeof a->value) == 0);
    SLW_ASSERT(a->at_ms == b->at_ms);
    SLW_ASSERT(a->step == b->step);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 65536)
        return 0;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(mlf_in, in);
    struct slw_err err;
    struct mlf_batch quick = {0}, careful = {0};
    struct slw_http_req req = {.method = "POST",
                               .arena = &a,
                               .body = fuzz_str(data + 1, size - 1),
                               .content_type = SLW_STR("application/json")};
    const bool batch = data[0] & 1;
    if (!(batch ? mlf_fast_batch : mlf_fast_metric)(req.body, &a, &quick))
        return 0;
    SLW_ASSERT(mlf_in_read(&in, &req, &err) == SLW_OK);
    if ((batch ? mlf_careful_batch : mlf_careful_metric)(&in, &careful, &err) !=
        SLW_OK) {
        fprintf(stderr, "only the quick reader takes it: %s\n%.*s\n", err.msg,
                SLW_FMT(req.body));
        SLW_ASSERT(!"both take it");
    }
    SLW_ASSERT(same_str(quick.run_id, careful.run_id));
    same_kvs(quick.params, quick.param_count, careful.params,
             careful.param_count);
    same_kvs(quick.tags, quick.tag_count, careful.tags, careful.tag_count);
    SLW_ASSERT(quick.metric_count == careful.metric_count);
    for (size_t i = 0; i < quick.metric_count; i++)
        same_metric(&quick.metrics[i], &careful.metrics[i]);
    SLW_ASSERT(quick.model_metric_count == careful.model_metric_count);
    for (size_t i = 0; i < quick.model_metric_count; i++) {
        const struct slw_model_metric *q = &quick.model_metrics[i];
        const struct slw_model_metric *c = &careful.model_metrics[i];
        same_metric(&q->m, &c->m);
        SLW_ASSERT(same_str(q->model_id, c->model_id));
        SLW_ASSERT(same_str(q->run_id, c->run_id));
        SLW_ASSERT(same_str(q->dataset_name, c->dataset_name));
        SLW_ASSERT(same_str(q->dataset_digest, c->dataset_digest));
    }
    return 0;
}
