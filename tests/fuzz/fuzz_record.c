/* fuzz_record.c -- a segment of the prediction log as a power cut may leave
 * it: every record that is taken holds together and, written again, gives the
 * same bytes.
 *
 * The first byte says whether checksums are mended (1) and whether the rest
 * begins with a segment's head (2). */
#include "fuzz.h"

#include "base/hash.h"
#include "serve/serve_internal.h"

#define HEAD_SIZE 112 /* of a record */
#define SEGMENT_CRC_AT 164

static void
put_u32(unsigned char *at, uint32_t v)
{
    memcpy(at, &v, sizeof v);
}

static void
mend_record(unsigned char *at, size_t room)
{
    uint32_t length;
    if (room < HEAD_SIZE)
        return;
    memcpy(&length, at, sizeof length);
    if (length >= HEAD_SIZE && length <= room)
        put_u32(at + 4, slw_crc32c(0, at + 8, length - 8));
}

static void
taken(const unsigned char *at, const struct slw_prediction *p, size_t size)
{
    unsigned char release[32];
    struct slw_err err;
    struct slw_sha256 sum;
    SLW_ASSERT(p->column_count <= SLW_MODEL_COLUMN_MAX);
    SLW_ASSERT(strlen(p->release) == 64);
    SLW_ASSERT(slw_sha256_parse(slw_str_of(p->release), &sum, &err) == SLW_OK);
    memcpy(release, sum.bytes, sizeof release);
    double total = 0;
    for (size_t i = 0; i < p->column_count; i++)
        total += p->x[i];
    for (size_t i = 0; i < p->key.len; i++)
        total += p->key.ptr[i];
    for (size_t i = 0; i < p->id.len; i++)
        total += p->id.ptr[i];
    static volatile double read_all; /* so that every byte is read */
    read_all = total;
    (void)read_all;
    if (p->key.len > SERVE_LOG_TEXT_MAX || p->id.len > SERVE_LOG_TEXT_MAX)
        return; /* longer than we write */
    SLW_ASSERT(serve_record_size(p) == size);
    unsigned char *again = slw_alloc(size);
    struct slw_prediction q;
    size_t step = 0;
    serve_record_write(again, p, release);
    SLW_ASSERT(serve_record_read(again, size, &q, &step) && step == size);
    SLW_ASSERT(slw_str_eq(p->key, q.key) && slw_str_eq(p->id, q.id));
    SLW_ASSERT(p->event_ms == q.event_ms && p->by == q.by);
    SLW_ASSERT(memcmp(again + 8, at + 8, 32) == 0); /* times and release */
    slw_free(again);
}

static void
head_checked(unsigned char *bytes, size_t size, bool mended)
{
    int64_t sequence = 0, created_at_ms = 0;
    if (mended && size >= SERVE_SEGMENT_HEAD_SIZE)
        put_u32(bytes + SEGMENT_CRC_AT, slw_crc32c(0, bytes, SEGMENT_CRC_AT));
    if (!serve_segment_head_read(bytes, size, SLW_STR("fuzz"), &sequence,
                                 &created_at_ms))
        return;
    unsigned char again[SERVE_SEGMENT_HEAD_SIZE] = {0};
    int64_t same = 0;
    serve_segment_head_write(again, sequence, created_at_ms, SLW_STR("fuzz"));
    SLW_ASSERT(serve_segment_head_read(again, sizeof again, SLW_STR("fuzz"),
                                       &same, &created_at_ms));
    SLW_ASSERT(same == sequence);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 262144)
        return 0;
    const bool mended = data[0] & 1, head = data[0] & 2;
    unsigned char *bytes = slw_alloc(size); /* aligned, ends where they end */
    const size_t room = size - 1;
    size_t at = 0, step = 0;
    memcpy(bytes, data + 1, room);
    char name[32] = {0};
    memcpy(name, bytes, room < 31 ? room : 31);
    SLW_ASSERT(serve_segment_sequence(name) >= 0);
    if (head) {
        head_checked(bytes, room, mended);
        at = room < SERVE_SEGMENT_HEAD_SIZE ? room : SERVE_SEGMENT_HEAD_SIZE;
    }
    for (struct slw_prediction p; at < room; at += step) {
        if (mended)
            mend_record(bytes + at, room - at);
        if (!serve_record_read(bytes + at, room - at, &p, &step))
            break;
        SLW_ASSERT(step >= HEAD_SIZE && step <= room - at && step % 8 == 0);
        taken(bytes + at, &p, step);
    }
    slw_free(bytes);
    return 0;
}
