/* fuzz_profile.c -- any bytes as a reference profile: refused as damaged, or
 * one that, written again, has the same bytes.  The first byte's low bit says
 * that the checksum is mended. */
#include "fuzz.h"

#include "base/hash.h"
#include "train/train.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_buf, again);
    struct slw_profile p = {0};
    struct slw_err err = {0};
    const size_t len = size - 1;
    char *bytes = slw_alloc(size);
    memcpy(bytes, data + 1, len);
    if ((data[0] & 1) && len >= 4) {
        const uint32_t crc = slw_crc32c(0, bytes, len - 4);
        memcpy(bytes + len - 4, &crc, 4);
    }
    const enum slw_rc rc =
        slw_profile_read((struct slw_str){bytes, len}, &a, &p, &err);
    if (rc == SLW_OK) {
        SLW_ASSERT(p.row_count <= SLW_PROFILE_ROW_MAX && p.column_count >= 1);
        for (size_t r = 1; r < p.row_count; r++)
            SLW_ASSERT(p.event_ms[r - 1] <= p.event_ms[r]);
        SLW_ASSERT(slw_profile_write(&p, &again, &err) == SLW_OK);
        struct slw_profile q = {0};
        SLW_ASSERT(slw_profile_read(slw_buf_view(&again), &a, &q, &err) ==
                   SLW_OK);
        SLW_ASSERT(q.row_count == p.row_count);
        SLW_ASSERT(q.column_count == p.column_count);
        for (size_t i = 0; i < p.column_count; i++)
            SLW_ASSERT(slw_str_eq(p.columns[i], q.columns[i]));
        SLW_ASSERT(
            memcmp(p.values, q.values, p.row_count * p.column_count * 8) == 0);
    } else {
        fuzz_refused(rc, &err, FUZZ_RC(CORRUPT) | FUZZ_RC(LIMIT));
    }
    slw_free(bytes);
    return 0;
}
