/* fuzz_xgb_model.c -- any bytes as an XGBoost model: refused by a sentence, or
 * a model that answers. */
#include "model/model.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct slw_str names[] = {
        {"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}, {"e", 1}};
    static const double x[] = {0.1, NAN, -3, 2, INFINITY, 5, 5, 5, 33, -0.5};
    const struct slw_signature sig = {names, 5, -1};
    struct slw_model *m = NULL;
    struct slw_err err = {0};
    double y[2];
    enum slw_rc rc =
        slw_model_load(&m, SLW_FLAVOUR_XGBOOST, &sig,
                       (struct slw_str){(const char *)data, size}, &err);
    if (rc == SLW_OK)
        slw_model_predict(m, x, 2, y);
    else
        SLW_ASSERT(err.msg[0]);
    slw_model_unref(m);
    return 0;
}
