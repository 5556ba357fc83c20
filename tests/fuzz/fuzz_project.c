/* fuzz_project.c -- any text as a project file: refused with its place, or a
 * definition that is JSON and reads back. */
#include "fuzz.h"

#include "base/json.h"
#include "flow/flow.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_json, doc);
    struct slw_str json = {0};
    struct slw_err err = {0};
    const enum slw_rc rc = slw_project_parse(
        SLW_STR("slipway.yaml"), fuzz_str(data, size), &a, &json, &err);
    if (rc != SLW_OK) {
        fuzz_refused(rc, &err, FUZZ_RC(INVALID));
        SLW_ASSERT(strncmp(err.msg, "slipway.yaml", 12) == 0);
        return 0;
    }
    if (slw_json_parse(&doc, json, &err) != SLW_OK) {
        /* A key may be any text, but nothing else may go wrong. */
        fprintf(stderr, "%s in %.*s\n", err.msg, SLW_FMT(json));
        SLW_ASSERT(!"JSON");
    }
    SLW_ASSERT(slw_json_type(doc.root) == SLW_JSON_OBJECT);
    SLW_ASSERT(slw_json_get(doc.root, "project"));
    return 0;
}
