/* job_common.c -- what the jobs of this room share: pins. */
#include "flow/flow_internal.h"

enum slw_rc
flow_pins_at(struct slw_store *s, int64_t at_ms, struct slw_json *out_versions,
             struct slw_json *out_hashes, struct slw_err *err)
{
    SLW_AUTO(slw_buf, versions);
    SLW_AUTO(slw_buf, hashes);
    struct slw_jw v, h;
    slw_jw_init(&v, &versions);
    slw_jw_init(&h, &hashes);
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, s, err));
        TRY(slw_data_pins(&tx, at_ms, &v, &h, err));
    }
    SLW_AUTO(slw_json, made);
    TRY(slw_json_parse(&made, slw_buf_view(&versions), err));
    if (out_hashes)
        TRY(slw_json_parse(out_hashes, slw_buf_view(&hashes), err));
    *out_versions = made;
    made.root = NULL;
    return SLW_OK;
}
