/* arnet.c -- the autoregressive network: docs/formats/arnet.md, its answer.
 *
 * z = (x - mean) / scale;  f = b0 + w0.z + w2.relu(W1 z + b1);
 * answer = y_mean + y_scale * f, all in float32 and in the order written, so
 * that an answer does not depend on the compiler.  W1 is turned at load: the
 * inner loop runs over hidden units, which are independent sums. */
#include <math.h>

#include "model/model_internal.h"

static const char ARNET_MAGIC[8] = {'S', 'L', 'W', 'A', 'R', 'N', '1', '\n'};

/* Float arrays in the order of the file. */
static size_t
number_count(size_t used, size_t hidden)
{
    return 3 * used + 3 + hidden * used + 2 * hidden;
}

static enum slw_rc
check_net(const struct slw_arnet *net, const float *numbers,
          struct slw_err *err)
{
    size_t count = number_count(net->used_count, net->hidden_count);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(numbers[i]))
            return slw_fail(err, SLW_INVALID,
                            "the arnet model has a number that is not finite");
    for (size_t i = 0; i < net->used_count; i++) {
        if (!(net->scale[i] > 0))
            return slw_fail(err, SLW_INVALID,
                            "the arnet model has a scale that is not positive");
        if (net->used[i] < 0 || (size_t)net->used[i] >= net->column_count)
            return slw_fail(err, SLW_INVALID,
                            "the arnet model uses column %d of %zu",
                            (int)net->used[i], net->column_count);
    }
    if (!(net->y_scale > 0))
        return slw_fail(err, SLW_INVALID,
                        "the arnet model's y_scale is not positive");
    return SLW_OK;
}

static void
put_floats(struct slw_buf *b, const float *v, size_t count)
{
    if (count)
        slw_buf_add(b, v, count * sizeof(*v));
}

enum slw_rc
slw_arnet_write(const struct slw_arnet *net, struct slw_buf *out,
                struct slw_err *err)
{
    size_t used = net->used_count, hidden = net->hidden_count;
    if (net->column_count < 1 || net->column_count > SLW_MODEL_COLUMN_MAX ||
        used < 1 || used > net->column_count || hidden > MODEL_ARNET_HIDDEN_MAX)
        return slw_fail(err, SLW_INVALID,
                        "an arnet of %zu inputs out of %zu columns and %zu"
                        " hidden units is out of range (1..%d, 0..%d)",
                        used, net->column_count, hidden, SLW_MODEL_COLUMN_MAX,
                        MODEL_ARNET_HIDDEN_MAX);
    SLW_AUTO(slw_buf, numbers);
    put_floats(&numbers, net->mean, used);
    put_floats(&numbers, net->scale, used);
    put_floats(&numbers, net->w0, used);
    model_put_f32(&numbers, net->b0);
    model_put_f32(&numbers, net->y_mean);
    model_put_f32(&numbers, net->y_scale);
    put_floats(&numbers, net->w1, hidden * used);
    put_floats(&numbers, net->b1, hidden);
    put_floats(&numbers, net->w2, hidden);
    TRY(slw_buf_check(&numbers, err));
    TRY(check_net(net, (const float *)(const void *)numbers.ptr, err));

    size_t begin = out->len;
    model_file_begin(out, ARNET_MAGIC);
    model_put_u32(out, (uint32_t)net->column_count);
    model_put_u32(out, (uint32_t)used);
    model_put_u32(out, (uint32_t)hidden);
    for (size_t i = 0; i < used; i++)
        model_put_u32(out, (uint32_t)net->used[i]);
    slw_buf_add(out, numbers.ptr, numbers.len);
    model_file_end(out, begin);
    return slw_buf_check(out, err);
}

/* Views of the block of numbers, in the order of the file. */
static void
point_into(struct slw_arnet *net, const float *at)
{
    size_t used = net->used_count, hidden = net->hidden_count;
    net->mean = at;
    net->scale = net->mean + used;
    net->w0 = net->scale + used;
    at = net->w0 + used;
    net->b0 = at[0];
    net->y_mean = at[1];
    net->y_scale = at[2];
    net->w1 = at + 3;
    net->b1 = net->w1 + hidden * used;
    net->w2 = net->b1 + hidden;
}

static void
turn_w1(struct model_arnet *m)
{
    size_t used = m->net.used_count, hidden = m->net.hidden_count;
    m->w1_columns = slw_alloc((used * hidden + 1) * sizeof(float));
    for (size_t j = 0; j < hidden; j++)
        for (size_t i = 0; i < used; i++)
            m->w1_columns[i * hidden + j] = m->net.w1[j * used + i];
}

static enum slw_rc
read_body(struct model_arnet *m, struct model_cursor *c, struct slw_err *err)
{
    struct slw_arnet *net = &m->net;
    net->column_count = model_take_u32(c);
    net->used_count = model_take_u32(c);
    net->hidden_count = model_take_u32(c);
    if (c->bad || net->column_count < 1 ||
        net->column_count > SLW_MODEL_COLUMN_MAX || net->used_count < 1 ||
        net->used_count > net->column_count ||
        net->hidden_count > MODEL_ARNET_HIDDEN_MAX)
        return slw_fail(err, SLW_INVALID,
                        "this arnet model file is damaged:"
                        " its counts are out of range");
    size_t count = number_count(net->used_count, net->hidden_count);
    if ((size_t)(c->end - c->at) != 4 * (net->used_count + count))
        return slw_fail(err, SLW_INVALID,
                        "this arnet model file is damaged:"
                        " its size does not fit its counts");
    m->used = slw_alloc(net->used_count * sizeof(*m->used));
    for (size_t i = 0; i < net->used_count; i++)
        m->used[i] = (int32_t)model_take_u32(c);
    net->used = m->used;
    m->numbers = slw_alloc(count * sizeof(*m->numbers));
    for (size_t i = 0; i < count; i++)
        m->numbers[i] = model_take_f32(c);
    point_into(net, m->numbers);
    TRY(check_net(net, m->numbers, err));
    turn_w1(m);
    return SLW_OK;
}

enum slw_rc
model_arnet_read(struct model_arnet **out, struct slw_str bytes,
                 struct slw_err *err)
{
    struct model_cursor c;
    TRY(model_file_open(bytes, ARNET_MAGIC, "arnet", &c, err));
    struct model_arnet *m = slw_alloc(sizeof(*m));
    enum slw_rc rc = read_body(m, &c, err);
    if (rc != SLW_OK) {
        model_arnet_free(m);
        return rc;
    }
    *out = m;
    return SLW_OK;
}

void
model_arnet_free(struct model_arnet *m)
{
    if (!m)
        return;
    slw_free(m->used);
    slw_free(m->numbers);
    slw_free(m->w1_columns);
    slw_free(m);
}

static float
hidden_part(const struct model_arnet *m, const float *z)
{
    size_t hidden = m->net.hidden_count;
    MODEL_SCRATCH float h[MODEL_ARNET_HIDDEN_MAX];
    if (hidden == 0)
        return 0;
    memcpy(h, m->net.b1, hidden * sizeof(*h));
    for (size_t i = 0; i < m->net.used_count; i++) {
        const float *w = m->w1_columns + i * hidden;
        for (size_t j = 0; j < hidden; j++)
            h[j] += w[j] * z[i];
    }
    float sum = 0;
    for (size_t j = 0; j < hidden; j++)
        sum += m->net.w2[j] * (h[j] > 0 ? h[j] : 0);
    return sum;
}

static double
predict_row(const struct model_arnet *m, const double *x)
{
    const struct slw_arnet *net = &m->net;
    MODEL_SCRATCH float z[SLW_MODEL_COLUMN_MAX];
    float f = net->b0;
    for (size_t i = 0; i < net->used_count; i++) {
        float value = (float)x[m->used[i]];
        if (!isfinite(value))
            return NAN;
        z[i] = (value - net->mean[i]) / net->scale[i];
        f += net->w0[i] * z[i];
    }
    f += hidden_part(m, z);
    float answer = net->y_mean + net->y_scale * f;
    return isfinite(answer) ? (double)answer : NAN;
}

void
model_arnet_predict(const struct model_arnet *m, const double *x,
                    size_t row_count, double *y)
{
    for (size_t r = 0; r < row_count; r++)
        y[r] = predict_row(m, x + r * m->net.column_count);
}
