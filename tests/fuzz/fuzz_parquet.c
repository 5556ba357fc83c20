/* fuzz_parquet.c -- the end of a Parquet file: whatever stands there, its
 * number of rows is read or not, and nothing beside it. */
#include "fuzz.h"

#include "data/data_internal.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t count = -77;
    size_t footer_size = 0;
    const struct slw_str tail = {(const char *)data, size};
    const bool rows = data_parquet_rows(tail, &count);
    SLW_ASSERT(rows || count == -77);
    if (rows) {
        SLW_ASSERT(data_parquet_footer(tail, &footer_size));
        SLW_ASSERT(footer_size + 8 <= size);
    }
    return 0;
}
