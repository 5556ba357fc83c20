/* onnx_write.c -- an arnet as an ONNX file, opset 13, written by hand.
 *
 * Protocol buffers are tag, length, bytes: a message is written into a buffer
 * of its own and then put, with its length, into the one around it.  Field
 * numbers are those of onnx.proto (ModelProto, GraphProto, NodeProto,
 * TensorProto, ValueInfoProto).
 *
 *   input -Gather-> -Sub mean-> -Div scale-> z -Gemm w0 b0-> linear
 *   z -Gemm w1 b1-> -Relu-> -Gemm w2-> hidden;  linear + hidden
 *   -Mul y_scale-> -Add y_mean-> output */
#include "model/model_internal.h"

enum { ONNX_FLOAT = 1, ONNX_INT64 = 7 };
enum { IR_VERSION = 8, OPSET = 13 };

static void
put_varint(struct slw_buf *b, uint64_t v)
{
    while (v >= 0x80) {
        slw_buf_char(b, (char)(v | 0x80));
        v >>= 7;
    }
    slw_buf_char(b, (char)v);
}

static void
put_int(struct slw_buf *b, unsigned field, int64_t v)
{
    put_varint(b, field << 3);
    put_varint(b, (uint64_t)v);
}

static void
put_bytes(struct slw_buf *b, unsigned field, struct slw_str bytes)
{
    put_varint(b, field << 3 | 2);
    put_varint(b, bytes.len);
    slw_buf_str(b, bytes);
}

static void
put_text(struct slw_buf *b, unsigned field, const char *text)
{
    put_bytes(b, field, slw_str_of(text));
}

/* TensorProto into GraphProto.initializer; rank 1 or 2 (rows 0: rank 1). */
static void
put_tensor(struct slw_buf *graph, const char *name, int type, size_t rows,
           size_t columns, const void *bytes)
{
    SLW_AUTO(slw_buf, t);
    size_t each = type == ONNX_INT64 ? sizeof(int64_t) : sizeof(float);
    if (rows)
        put_int(&t, 1, (int64_t)rows);
    put_int(&t, 1, (int64_t)columns);
    put_int(&t, 2, type);
    put_text(&t, 8, name);
    put_bytes(&t, 9,
              (struct slw_str){bytes, (rows ? rows : 1) * columns * each});
    put_bytes(graph, 5, slw_buf_view(&t));
    graph->overflow |= t.overflow;
}

/* NodeProto into GraphProto.node; inputs end with NULL; the attribute, an
 * integer, is left out when its name is NULL. */
static void
put_node(struct slw_buf *graph, const char *op, const char *const *inputs,
         const char *output, const char *attribute, int64_t value)
{
    SLW_AUTO(slw_buf, n);
    for (; *inputs; inputs++)
        put_text(&n, 1, *inputs);
    put_text(&n, 2, output);
    put_text(&n, 3, output);
    put_text(&n, 4, op);
    if (attribute) {
        SLW_AUTO(slw_buf, a);
        put_text(&a, 1, attribute);
        put_int(&a, 3, value);
        put_int(&a, 20, 2); /* type INT */
        put_bytes(&n, 5, slw_buf_view(&a));
    }
    put_bytes(graph, 1, slw_buf_view(&n));
}

/* ValueInfoProto: float [N][columns] into field 11 (input), 12 (output). */
static void
put_value(struct slw_buf *graph, unsigned field, const char *name,
          size_t columns)
{
    SLW_AUTO(slw_buf, n);
    SLW_AUTO(slw_buf, c);
    SLW_AUTO(slw_buf, shape);
    SLW_AUTO(slw_buf, tensor);
    SLW_AUTO(slw_buf, type);
    SLW_AUTO(slw_buf, value);
    put_text(&n, 2, "N");
    put_int(&c, 1, (int64_t)columns);
    put_bytes(&shape, 1, slw_buf_view(&n));
    put_bytes(&shape, 1, slw_buf_view(&c));
    put_int(&tensor, 1, ONNX_FLOAT);
    put_bytes(&tensor, 2, slw_buf_view(&shape));
    put_bytes(&type, 1, slw_buf_view(&tensor));
    put_text(&value, 1, name);
    put_bytes(&value, 2, slw_buf_view(&type));
    put_bytes(graph, field, slw_buf_view(&value));
}

#define INPUTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void
put_nodes(struct slw_buf *g, bool has_hidden)
{
    const char *sum = "linear";
    put_node(g, "Gather", INPUTS("input", "used"), "x", "axis", 1);
    put_node(g, "Sub", INPUTS("x", "mean"), "centred", NULL, 0);
    put_node(g, "Div", INPUTS("centred", "scale"), "z", NULL, 0);
    put_node(g, "Gemm", INPUTS("z", "w0", "b0"), "linear", "transB", 1);
    if (has_hidden) {
        put_node(g, "Gemm", INPUTS("z", "w1", "b1"), "h", "transB", 1);
        put_node(g, "Relu", INPUTS("h"), "relu", NULL, 0);
        put_node(g, "Gemm", INPUTS("relu", "w2"), "hidden", "transB", 1);
        put_node(g, "Add", INPUTS("linear", "hidden"), "f", NULL, 0);
        sum = "f";
    }
    put_node(g, "Mul", INPUTS(sum, "y_scale"), "scaled", NULL, 0);
    put_node(g, "Add", INPUTS("scaled", "y_mean"), "output", NULL, 0);
}

static void
put_tensors(struct slw_buf *g, const struct slw_arnet *net)
{
    size_t used = net->used_count, hidden = net->hidden_count;
    int64_t *index = slw_alloc(used * sizeof(*index));
    for (size_t i = 0; i < used; i++)
        index[i] = net->used[i];
    put_tensor(g, "used", ONNX_INT64, 0, used, index);
    slw_free(index);
    put_tensor(g, "mean", ONNX_FLOAT, 0, used, net->mean);
    put_tensor(g, "scale", ONNX_FLOAT, 0, used, net->scale);
    put_tensor(g, "w0", ONNX_FLOAT, 1, used, net->w0);
    put_tensor(g, "b0", ONNX_FLOAT, 0, 1, &net->b0);
    put_tensor(g, "y_scale", ONNX_FLOAT, 0, 1, &net->y_scale);
    put_tensor(g, "y_mean", ONNX_FLOAT, 0, 1, &net->y_mean);
    if (hidden == 0)
        return;
    put_tensor(g, "w1", ONNX_FLOAT, hidden, used, net->w1);
    put_tensor(g, "b1", ONNX_FLOAT, 0, hidden, net->b1);
    put_tensor(g, "w2", ONNX_FLOAT, 1, hidden, net->w2);
}

enum slw_rc
slw_arnet_to_onnx(struct slw_str arnet_bytes, struct slw_buf *out,
                  struct slw_err *err)
{
    struct model_arnet *m = NULL;
    TRY(model_arnet_read(&m, arnet_bytes, err));
    SLW_AUTO(slw_buf, graph);
    SLW_AUTO(slw_buf, opset);
    put_nodes(&graph, m->net.hidden_count > 0);
    put_text(&graph, 2, "arnet");
    put_tensors(&graph, &m->net);
    put_value(&graph, 11, "input", m->net.column_count);
    put_value(&graph, 12, "output", 1);
    model_arnet_free(m);

    put_text(&opset, 1, "");
    put_int(&opset, 2, OPSET);
    put_int(out, 1, IR_VERSION);
    put_text(out, 2, "slipway");
    put_bytes(out, 7, slw_buf_view(&graph));
    put_bytes(out, 8, slw_buf_view(&opset));
    TRY(slw_buf_check(&graph, err));
    return slw_buf_check(out, err);
}
