/* mlmodel.c -- the file MLmodel beside a trained model: with it an MLflow
 * client loads "models:/<name>@<alias>" as it loads its own.  Only for models
 * that the client's own libraries can run: XGBoost's, whose answer is the
 * target itself (not relative to a column). */
#include "train/train_internal.h"

static void
columns_write(const struct slw_signature *sig, struct slw_buf *json)
{
    struct slw_jw w;
    slw_jw_init(&w, json);
    slw_jw_arr(&w);
    for (size_t i = 0; i < sig->column_count; i++) {
        slw_jw_obj(&w);
        slw_jw_kz(&w, "type", "double");
        slw_jw_kstr(&w, "name", sig->columns[i]);
        slw_jw_kbool(&w, "required", true);
        slw_jw_obj_end(&w);
    }
    slw_jw_arr_end(&w);
}

/* A line "key: '<json>'" of YAML, in which ' is written twice. */
static void
quoted_line(struct slw_buf *out, const char *key, struct slw_str json)
{
    slw_buf_printf(out, "  %s: '", key);
    for (size_t i = 0; i < json.len; i++) {
        if (json.ptr[i] == '\'')
            slw_buf_char(out, '\'');
        slw_buf_char(out, json.ptr[i]);
    }
    slw_buf_z(out, "'\n");
}

bool
train_mlmodel(const struct train_search *s, const struct train_entry *e,
              struct slw_buf *out)
{
    SLW_AUTO(slw_buf, columns);
    if (e->flavour != SLW_FLAVOUR_XGBOOST || s->set.sig.relative_to >= 0)
        return false;
    const char *file = train_model_file(e->flavour, e->bytes);
    columns_write(&s->set.sig, &columns);
    slw_buf_printf(out,
                   "artifact_path: model\n"
                   "flavors:\n"
                   "  python_function:\n"
                   "    data: %s\n"
                   "    loader_module: mlflow.xgboost\n"
                   "  xgboost:\n"
                   "    code: null\n"
                   "    data: %s\n"
                   "    model_class: xgboost.core.Booster\n"
                   "    model_format: %s\n"
                   "    xgb_version: %s\n"
                   "run_id: %.*s\n"
                   "signature:\n",
                   file, file, strrchr(file, '.') + 1, e->engine_version,
                   SLW_FMT(s->parent_id));
    quoted_line(out, "inputs", slw_buf_view(&columns));
    quoted_line(out, "outputs",
                SLW_STR("[{\"type\": \"double\", \"required\": true}]"));
    return true;
}
