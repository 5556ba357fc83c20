/* fuzz_s3_list.c -- any bytes as a bucket's answer: keys and sizes stay within
 * what was sent, and a refusal leaves nothing strange behind. */
#include "fuzz.h"

#include "track/place.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SLW_AUTO(slw_arena, a);
    struct slw_err err = {0};
    struct s3_list l = {0};
    const struct slw_str text = fuzz_str(data, size);
    const enum slw_rc rc = s3_list_parse(text, &a, &l, &err);
    if (rc != SLW_OK)
        fuzz_refused(rc, &err, FUZZ_RC(CORRUPT));
    SLW_ASSERT(l.next.len <= size);
    for (size_t i = 0; i < l.count; i++) {
        SLW_ASSERT(l.items[i].key.len > 0 && l.items[i].key.len <= size);
        SLW_ASSERT(l.items[i].size >= 0);
    }
    SLW_ASSERT(s3_xml_text(text, "Message", &a).len <= size);
    return 0;
}
