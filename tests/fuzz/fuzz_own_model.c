/* fuzz_own_model.c -- any bytes as a model of our own two formats, svr and
 * arnet: refused by a sentence, or a model that answers.
 *
 * First byte: bit 0 the format, bit 1 the checksum is mended; bits 2 and 3
 * how many columns the signature has. */
#include "fuzz.h"

#include <math.h>

#include "base/hash.h"
#include "model/model.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct slw_str names[] = {{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}};
    static const double x[] = {0.1, NAN, -3,    2,      INFINITY, 5,
                               5,   5,   1e308, -1e308, 5e-324,   0};
    static const char *const magics[] = {"SLWSVR1\n", "SLWARN1\n"};
    if (size < 1)
        return 0;
    const unsigned how = data[0];
    const struct slw_signature sig = {names, 1 + (how >> 2 & 3), -1};
    struct slw_model *m = NULL;
    struct slw_err err = {0};
    const size_t len = size - 1;
    char *bytes = slw_alloc(size);
    memcpy(bytes, data + 1, len);
    if ((how & 2) && len >= 12) {
        memcpy(bytes, magics[how & 1], 8);
        const uint32_t crc = slw_crc32c(0, bytes, len - 4);
        memcpy(bytes + len - 4, &crc, 4);
    }
    const enum slw_rc rc =
        slw_model_load(&m, how & 1 ? SLW_FLAVOUR_ARNET : SLW_FLAVOUR_SVR, &sig,
                       (struct slw_str){bytes, len}, &err);
    slw_free(bytes); /* a model keeps nothing of them */
    if (rc == SLW_OK) {
        double y[3];
        slw_model_predict(m, x,
                          SLW_ARRAY_LEN(x) / sig.column_count > 3
                              ? 3
                              : SLW_ARRAY_LEN(x) / sig.column_count,
                          y);
    } else {
        fuzz_refused(rc, &err,
                     FUZZ_RC(INVALID) | FUZZ_RC(LIMIT) | FUZZ_RC(UNSUPPORTED) |
                         FUZZ_RC(CORRUPT));
    }
    slw_model_unref(m);
    return 0;
}
