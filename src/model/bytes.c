/* bytes.c -- the frame of our own model files (svr, arnet): eight bytes of
 * name, little-endian fields, and a CRC-32C of all before it, so that damage
 * is told from a file of another kind. */
#include "base/hash.h"
#include "model/model_internal.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "fields are copied as they lie in memory");

enum slw_rc
model_file_open(struct slw_str bytes, const char magic[static 8],
                const char *what, struct model_cursor *out, struct slw_err *err)
{
    uint32_t crc;
    if (bytes.len < 12 || memcmp(bytes.ptr, magic, 8) != 0)
        return slw_fail(err, SLW_INVALID, "this is no %s model file", what);
    size_t body = bytes.len - sizeof(crc);
    memcpy(&crc, bytes.ptr + body, sizeof(crc));
    if (crc != slw_crc32c(0, bytes.ptr, body))
        return slw_fail(err, SLW_INVALID,
                        "this %s model file is damaged: its checksum does not"
                        " match",
                        what);
    *out = (struct model_cursor){.at = bytes.ptr + 8, .end = bytes.ptr + body};
    return SLW_OK;
}

void
model_file_begin(struct slw_buf *out, const char magic[static 8])
{
    slw_buf_add(out, magic, 8);
}

void
model_file_end(struct slw_buf *out, size_t begin_size)
{
    if (out->overflow)
        return;
    uint32_t crc = slw_crc32c(0, out->ptr + begin_size, out->len - begin_size);
    slw_buf_add(out, &crc, sizeof(crc));
}

static void
take(struct model_cursor *c, void *out, size_t size)
{
    if (c->bad || (size_t)(c->end - c->at) < size) {
        c->bad = true;
        memset(out, 0, size);
        return;
    }
    memcpy(out, c->at, size);
    c->at += size;
}

uint32_t
model_take_u32(struct model_cursor *c)
{
    uint32_t v;
    take(c, &v, sizeof(v));
    return v;
}

double
model_take_f64(struct model_cursor *c)
{
    double v;
    take(c, &v, sizeof(v));
    return v;
}

float
model_take_f32(struct model_cursor *c)
{
    float v;
    take(c, &v, sizeof(v));
    return v;
}

void
model_put_u32(struct slw_buf *b, uint32_t v)
{
    slw_buf_add(b, &v, sizeof(v));
}

void
model_put_f32(struct slw_buf *b, float v)
{
    slw_buf_add(b, &v, sizeof(v));
}
