/* release.c -- the release document: canonical JSON, stored as a blob, named
 * by its hash.  Equal documents are one release; nothing in it ever changes. */
#include "registry/registry_internal.h"
#include "store/blob.h"

#define RELEASE_FORMAT "slipway.release/1"

enum slw_rc
slw_release_put(struct slw_store *s, const struct json_t *doc,
                struct slw_arena *a, struct slw_str *out_hash,
                struct slw_err *err)
{
    struct slw_str format = {0};
    TRY(slw_json_need_str(doc, "format", &format, err));
    if (!slw_str_eqz(format, RELEASE_FORMAT))
        return slw_fail(err, SLW_INVALID,
                        "a release's format is '" RELEASE_FORMAT
                        "', not '%.*s'",
                        SLW_FMT(format));
    SLW_AUTO(slw_buf, text);
    slw_buf_init(&text, REGISTRY_RELEASE_SIZE_MAX);
    slw_json_dump(&text, doc);
    TRY(slw_buf_check(&text, err));
    struct slw_blob_info info;
    TRY(slw_blob_put(s, slw_buf_view(&text), &info, err));
    *out_hash = slw_arena_str(a, slw_str_of(info.hash));
    return SLW_OK;
}

enum slw_rc
slw_release_get(struct slw_store *s, const char *hash, struct slw_json *out,
                struct slw_err *err)
{
    SLW_AUTO(slw_buf, text);
    slw_buf_init(&text, REGISTRY_RELEASE_SIZE_MAX);
    TRY(slw_blob_get(s, hash, &text, err));
    SLW_AUTO(slw_json, doc);
    if (slw_json_parse(&doc, slw_buf_view(&text), err) != SLW_OK ||
        !slw_str_eqz(
            slw_json_str_or(slw_json_get(doc.root, "format"), SLW_STR("")),
            RELEASE_FORMAT))
        return slw_fail(err, SLW_INVALID,
                        "blob %.16s is not a release document", hash);
    *out = doc;
    doc.root = NULL;
    return SLW_OK;
}

enum slw_rc
slw_release_signature(const struct json_t *doc, struct slw_arena *a,
                      struct slw_signature *out, struct slw_err *err)
{
    const struct json_t *sig = slw_json_get(doc, "signature");
    const struct json_t *columns = slw_json_get(sig, "columns");
    size_t count = slw_json_len(columns);
    if (slw_json_type(columns) != SLW_JSON_ARRAY || count == 0)
        return slw_fail(err, SLW_INVALID,
                        "the release's signature.columns must be a list of "
                        "column names");
    if (count > SLW_MODEL_COLUMN_MAX)
        return slw_fail(err, SLW_LIMIT,
                        "the release has %zu columns; at most %d are possible",
                        count, SLW_MODEL_COLUMN_MAX);
    struct slw_signature s = {.columns =
                                  SLW_ARENA_NEW(a, struct slw_str, count),
                              .column_count = count,
                              .relative_to = -1};
    const struct json_t *relative = slw_json_get(sig, "relative_to");
    struct slw_str relative_to = slw_json_str_or(relative, SLW_STR(""));
    for (size_t i = 0; i < count; i++) {
        const struct json_t *v = slw_json_at(columns, i);
        if (slw_json_type(v) != SLW_JSON_STR)
            return slw_fail(err, SLW_INVALID,
                            "signature.columns[%zu] must be a string", i);
        s.columns[i] = slw_arena_str(a, slw_json_str_or(v, SLW_STR("")));
        if (relative_to.len && slw_str_eq(s.columns[i], relative_to))
            s.relative_to = (int)i;
    }
    if (relative_to.len && s.relative_to < 0)
        return slw_fail(err, SLW_INVALID,
                        "signature.relative_to '%.*s' is not one of the "
                        "columns",
                        SLW_FMT(relative_to));
    *out = s;
    return SLW_OK;
}

/* The fallback of a release as a model over the same columns; NULL: none. */
static enum slw_rc
rule_load(const struct json_t *doc, const struct slw_signature *sig,
          struct slw_model **out, struct slw_err *err)
{
    struct slw_signature plain = *sig;
    const struct json_t *sql =
        slw_json_get(slw_json_get(doc, "fallback"), "sql");
    *out = NULL;
    if (slw_json_type(sql) != SLW_JSON_STR)
        return SLW_OK;
    plain.relative_to = -1;
    enum slw_rc rc = slw_model_load(out, SLW_FLAVOUR_RULE, &plain,
                                    slw_json_str_or(sql, SLW_STR("")), err);
    return rc == SLW_OK ? rc : slw_err_prefix(err, "fallback rule: ");
}

enum slw_rc
slw_release_models(struct slw_store *s, const struct json_t *doc,
                   struct slw_model **out_model, struct slw_model **out_rule,
                   struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_buf, bytes);
    struct slw_signature sig = {0};
    struct slw_str flavour_name = {0}, blob = {0};
    enum slw_flavour flavour;
    struct slw_model *model = NULL, *rule = NULL;
    TRY(slw_json_need_str(doc, "flavour", &flavour_name, err));
    TRY(slw_json_need_str(doc, "model_blob", &blob, err));
    TRY(slw_flavour_parse(flavour_name, &flavour, err));
    TRY(slw_release_signature(doc, &a, &sig, err));
    slw_buf_init(&bytes, SLW_MODEL_SIZE_MAX);
    TRY(slw_blob_get(s, slw_arena_strz(&a, blob), &bytes, err));
    TRY(rule_load(doc, &sig, &rule, err));
    if (flavour == SLW_FLAVOUR_RULE)
        sig.relative_to = -1;
    enum slw_rc rc =
        slw_model_load(&model, flavour, &sig, slw_buf_view(&bytes), err);
    if (rc != SLW_OK) {
        slw_model_unref(rule);
        return rc;
    }
    *out_model = model;
    *out_rule = rule;
    return SLW_OK;
}
