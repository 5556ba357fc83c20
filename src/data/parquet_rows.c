/* parquet_rows.c -- how many rows a Parquet file says it has, read from its
 * end without an engine.
 *
 * Source  Apache Parquet format, "File Format" (…, footer, its length as u32,
 *         "PAR1"), parquet.thrift: FileMetaData {1: version, 2: schema, 3:
 *         i64 num_rows, …}; Apache Thrift, "Thrift Compact protocol
 *         encoding".  Only what is needed to step over fields 1 and 2. */
#include "data/data_internal.h"

#include "base/bytes.h"

#define DEPTH_MAX 16

enum compact {
    C_STOP,
    C_TRUE,
    C_FALSE,
    C_I8,
    C_I16,
    C_I32,
    C_I64,
    C_DOUBLE,
    C_BINARY,
    C_LIST,
    C_SET,
    C_MAP,
    C_STRUCT
};

struct cursor {
    const uint8_t *at, *end;
    bool bad;
};

static uint8_t
byte_take(struct cursor *c)
{
    if (c->at >= c->end) {
        c->bad = true;
        return 0;
    }
    return *c->at++;
}

static uint64_t
varint_take(struct cursor *c)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        const uint8_t b = byte_take(c);
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    c->bad = true;
    return 0;
}

static int64_t
zigzag_take(struct cursor *c)
{
    const uint64_t v = varint_take(c);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static void
bytes_skip(struct cursor *c, uint64_t count)
{
    if (count > (uint64_t)(c->end - c->at)) {
        c->bad = true;
        return;
    }
    c->at += count;
}

static void struct_skip(struct cursor *c, int depth);

static void
value_skip(struct cursor *c, unsigned kind, int depth)
{
    if (depth > DEPTH_MAX)
        c->bad = true;
    if (c->bad)
        return;
    if (kind == C_I8) {
        bytes_skip(c, 1);
    } else if (kind >= C_I16 && kind <= C_I64) {
        (void)varint_take(c);
    } else if (kind == C_DOUBLE) {
        bytes_skip(c, 8);
    } else if (kind == C_BINARY) {
        bytes_skip(c, varint_take(c));
    } else if (kind == C_LIST || kind == C_SET) {
        const uint8_t head = byte_take(c);
        const uint64_t count = head >> 4 == 15 ? varint_take(c) : head >> 4;
        for (uint64_t i = 0; i < count && !c->bad; i++)
            if ((head & 15) <= C_FALSE)
                bytes_skip(c, 1); /* in a list a bool is a byte */
            else
                value_skip(c, head & 15, depth + 1);
    } else if (kind == C_STRUCT) {
        struct_skip(c, depth + 1);
    } else if (kind > C_FALSE) {
        c->bad = true; /* a map: these fields have none */
    }
}

/* The next field's kind; its number, which is counted on from *number. */
static unsigned
field_take(struct cursor *c, int64_t *number)
{
    const uint8_t head = byte_take(c);
    if (head == C_STOP)
        return C_STOP;
    *number = head >> 4 ? *number + (head >> 4) : zigzag_take(c);
    return head & 15;
}

static void
struct_skip(struct cursor *c, int depth)
{
    int64_t number = 0;
    for (;;) {
        const unsigned kind = field_take(c, &number);
        if (kind == C_STOP || c->bad)
            return;
        value_skip(c, kind, depth);
    }
}

bool
data_parquet_footer(struct slw_str tail, size_t *out_footer_size)
{
    if (tail.len < 8 || memcmp(tail.ptr + tail.len - 4, "PAR1", 4) != 0)
        return false;
    *out_footer_size = slw_get_u32((const uint8_t *)tail.ptr + tail.len - 8);
    return true;
}

bool
data_parquet_rows(struct slw_str tail, int64_t *out_count)
{
    size_t size = 0;
    if (!data_parquet_footer(tail, &size) || size > tail.len - 8)
        return false;
    const uint8_t *end = (const uint8_t *)tail.ptr + tail.len - 8;
    struct cursor c = {end - size, end, false};
    int64_t number = 0;
    for (;;) {
        const unsigned kind = field_take(&c, &number);
        if (kind == C_STOP || c.bad)
            return false;
        if (number == 3 && kind == C_I64) {
            const int64_t count = zigzag_take(&c);
            if (!c.bad)
                *out_count = count;
            return !c.bad;
        }
        value_skip(&c, kind, 0);
    }
}
