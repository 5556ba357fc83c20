/* serving.h -- what the serving dialects share: the reader of V2 bodies, and
 * rows that are answered one by one.
 *
 * The reader is written by hand because serving speed is what we exist for:
 * one pass over the text, no tree, numbers straight into the matrix.  It
 * takes no more of JSON than RFC 8259 and never recurses. */
#ifndef SLW_API_SERVING_H
#define SLW_API_SERVING_H

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"

#define API_V2_DIM_MAX 8
#define API_V2_TENSOR_MAX 4160

enum api_v2_type {
    API_V2_BOOL,
    API_V2_INT8,
    API_V2_INT16,
    API_V2_INT32,
    API_V2_INT64,
    API_V2_UINT8,
    API_V2_UINT16,
    API_V2_UINT32,
    API_V2_UINT64,
    API_V2_FP16,
    API_V2_BF16,
    API_V2_FP32,
    API_V2_FP64,
    API_V2_BYTES,
    API_V2_TYPE_COUNT
};

/* An input as sent: header read, elements still text or bytes. */
struct api_v2_tensor {
    struct slw_str name;
    enum api_v2_type type;
    int64_t shape[API_V2_DIM_MAX];
    size_t rank;
    size_t count;        /* product of the shape */
    struct slw_str data; /* JSON list, checked for form; or the bytes */
    bool is_binary;
};

struct api_v2_output {
    struct slw_str name;
    int binary; /* 1, 0, or -1: not said */
};

struct api_v2_request {
    struct slw_str id;   /* ptr NULL: none */
    struct slw_str key;  /* parameter "key"; ptr NULL: none */
    int64_t event_ms;    /* parameter "event_time"; 0: none */
    bool binary_outputs; /* parameter "binary_data_output" */
    struct api_v2_tensor *inputs;
    size_t input_count;
    struct api_v2_output *outputs;
    size_t output_count;
};

/* Read the body of an infer request.
 * In     json_size: bytes of JSON at the front, the rest being binary
 *        tensors; -1: all of it is JSON
 * Out    views into the body or the arena
 * Errors INVALID: names the place; LIMIT */
SLW_MUST_USE enum slw_rc api_v2_read(struct api_v2_request *out,
                                     struct slw_str body, int64_t json_size,
                                     struct slw_arena *a, struct slw_err *err);
/* Elements of a numeric tensor as doubles, out[i * stride].
 * Errors INVALID: not a number, does not fit its type or a double, another
 *        count or nesting than the shape says, BOOL, FP16, BF16, BYTES */
SLW_MUST_USE enum slw_rc api_v2_numbers(const struct api_v2_tensor *t,
                                        size_t stride, double *out,
                                        struct slw_err *err);
/* Elements of a BYTES tensor as valid UTF-8. */
SLW_MUST_USE enum slw_rc api_v2_texts(const struct api_v2_tensor *t,
                                      struct slw_arena *a, struct slw_str *out,
                                      struct slw_err *err);

/* ---- answering rows ---- */

struct slw_api;
struct slw_http_req;
struct slw_serving;
struct slw_predict_out;

#define API_LOOKUP_MAX 256 /* entities looked up in one request */

struct api_rows {
    size_t count;
    const double *x;            /* [count][columns of the signature], or NULL:
                                   looked up by keys */
    const struct slw_str *keys; /* [count], or NULL: `key` for all */
    const int64_t *event_ms;    /* [count], or NULL: `at_ms` for all */
    struct slw_str key, id;
    struct slw_str sticky; /* routes all rows in the place of their keys */
    int64_t at_ms;         /* 0: not said */
    int64_t version;       /* 0: routed */
};
/* Answer all rows: in one call where they share key and time, else each by
 * itself, so that each entity sticks to its own side of a canary.
 * Out  y[count]; *first what the first row says; *mixed when others were
 *      answered by another version or role */
SLW_MUST_USE enum slw_rc api_rows_answer(struct slw_api *api,
                                         const struct slw_serving *v,
                                         const struct api_rows *rows,
                                         struct slw_http_req *req, double *y,
                                         struct slw_predict_out *first,
                                         bool *mixed, struct slw_err *err);

#endif
