/* arnet_tool.c -- for tests/clients/test_onnx_export.py: a network as an ONNX
 * file, and our own answers as JSON on standard output.
 *
 *   arnet_tool make HIDDEN USED SEED FILE.onnx    a network of random numbers
 *                                                 over USED of 9 columns
 *   arnet_tool read FILE.arnet FILE.onnx          one that was fitted
 */
#include "model/model.h"

#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"

#define MADE_COLUMNS 9
#define ROWS 50

static int
fail(const struct slw_err *err)
{
    fprintf(stderr, "arnet_tool: %s\n", err->msg);
    return 1;
}

static float *
random_floats(struct slw_rng *rng, size_t count, double mean, double spread)
{
    float *v = slw_alloc((count + 1) * sizeof(*v));
    for (size_t i = 0; i < count; i++)
        v[i] = (float)(mean + spread * slw_rng_normal(rng));
    return v;
}

static enum slw_rc
make(size_t hidden, size_t used, uint64_t seed, struct slw_buf *out,
     struct slw_err *err)
{
    struct slw_rng rng;
    int32_t index[MADE_COLUMNS];
    slw_rng_init(&rng, seed);
    for (size_t i = 0; i < used; i++)
        index[i] = (int32_t)(used - 1 - i); /* not in order */
    float *mean = random_floats(&rng, used, 3, 2);
    float *scale = random_floats(&rng, used, 0, 1);
    for (size_t i = 0; i < used; i++)
        scale[i] = 0.5f + scale[i] * scale[i];
    float *w0 = random_floats(&rng, used, 0, 1);
    float *w1 = random_floats(&rng, hidden * used, 0, 1);
    float *b1 = random_floats(&rng, hidden, 0, 1);
    float *w2 = random_floats(&rng, hidden, 0, 0.3);
    const struct slw_arnet net = {.column_count = MADE_COLUMNS,
                                  .used_count = used,
                                  .used = index,
                                  .hidden_count = hidden,
                                  .mean = mean,
                                  .scale = scale,
                                  .w0 = w0,
                                  .b0 = 0.25f,
                                  .y_mean = 7,
                                  .y_scale = 2.5f,
                                  .w1 = w1,
                                  .b1 = b1,
                                  .w2 = w2};
    enum slw_rc rc = slw_arnet_write(&net, out, err);
    float *all[] = {mean, scale, w0, w1, b1, w2};
    for (size_t i = 0; i < SLW_ARRAY_LEN(all); i++)
        slw_free(all[i]);
    return rc;
}

static void
print_answers(const struct slw_model *m)
{
    const size_t columns = slw_model_signature(m)->column_count;
    struct slw_rng rng;
    struct slw_jw w;
    SLW_AUTO(slw_buf, text);
    double *row = slw_alloc(columns * sizeof(*row)), y[ROWS];
    slw_rng_init(&rng, 99);
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    slw_jw_key(&w, "rows");
    slw_jw_arr(&w);
    for (size_t r = 0; r < ROWS; r++) {
        slw_jw_arr(&w);
        for (size_t k = 0; k < columns; k++) {
            row[k] = (double)(float)(3 + 2 * slw_rng_normal(&rng));
            slw_jw_f64(&w, row[k]);
        }
        slw_jw_arr_end(&w);
        slw_model_predict(m, row, 1, &y[r]);
    }
    slw_jw_arr_end(&w);
    slw_jw_key(&w, "answers");
    slw_jw_arr(&w);
    for (size_t r = 0; r < ROWS; r++)
        slw_jw_f64(&w, y[r]);
    slw_jw_arr_end(&w);
    slw_jw_obj_end(&w);
    printf("%.*s\n", SLW_FMT(slw_buf_view(&text)));
    slw_free(row);
}

/* Columns c0, c1, …, as many as the file says (its first count). */
static enum slw_rc
load(struct slw_str bytes, struct slw_model **out, struct slw_err *err)
{
    static struct slw_str names[SLW_MODEL_COLUMN_MAX];
    uint32_t columns = 0;
    SLW_AUTO(slw_arena, arena);
    if (bytes.len >= 12)
        memcpy(&columns, bytes.ptr + 8, sizeof(columns));
    if (columns < 1 || columns > SLW_MODEL_COLUMN_MAX)
        return slw_fail(err, SLW_INVALID, "no arnet file");
    for (size_t k = 0; k < columns; k++)
        names[k] = slw_arena_printf(&arena, "c%zu", k);
    const struct slw_signature sig = {names, columns, -1};
    return slw_model_load(out, SLW_FLAVOUR_ARNET, &sig, bytes, err);
}

int
main(int argc, char **argv)
{
    struct slw_err err;
    struct slw_model *m = NULL;
    int64_t numbers[3];
    SLW_AUTO(slw_buf, bytes);
    SLW_AUTO(slw_buf, onnx);
    if (argc == 6 && strcmp(argv[1], "make") == 0) {
        for (int i = 0; i < 3; i++)
            if (slw_str_i64(slw_str_of(argv[2 + i]), &numbers[i], &err) !=
                SLW_OK)
                return fail(&err);
        if (numbers[1] < 1 || numbers[1] > MADE_COLUMNS || numbers[0] < 0 ||
            numbers[0] > 1024)
            return 2;
        if (make((size_t)numbers[0], (size_t)numbers[1], (uint64_t)numbers[2],
                 &bytes, &err) != SLW_OK)
            return fail(&err);
    } else if (argc == 4 && strcmp(argv[1], "read") == 0) {
        if (slw_file_get(argv[2], 1 << 26, &bytes, &err) != SLW_OK)
            return fail(&err);
    } else {
        fprintf(stderr, "arnet_tool make HIDDEN USED SEED FILE.onnx\n"
                        "arnet_tool read FILE.arnet FILE.onnx\n");
        return 2;
    }
    if (load(slw_buf_view(&bytes), &m, &err) != SLW_OK ||
        slw_arnet_to_onnx(slw_buf_view(&bytes), &onnx, &err) != SLW_OK ||
        slw_file_put(argv[argc - 1], slw_buf_view(&onnx), &err) != SLW_OK) {
        slw_model_unref(m);
        return fail(&err);
    }
    print_answers(m);
    slw_model_unref(m);
    return 0;
}
