/* fuzz_expr.c -- any text as a rule: refused by a sentence, or evaluated. */
#include "model/model.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct slw_str names[] = {{"a", 1}, {"b c", 3}, {"Close", 5}};
    static const double rows[][3] = {
        {1, 2, 3}, {NAN, 0, -0.5}, {1e308, -1e308, 5e-324}};
    struct slw_expr *e = NULL;
    struct slw_err err = {0};
    if (slw_expr_parse(&e, (struct slw_str){(const char *)data, size}, names, 3,
                       &err) == SLW_OK) {
        for (size_t r = 0; r < 3; r++)
            SLW_ASSERT(!isinf(slw_expr_eval(e, rows[r])));
        slw_expr_free(e);
    } else {
        SLW_ASSERT(err.msg[0]);
    }
    return 0;
}
