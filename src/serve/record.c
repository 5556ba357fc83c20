/* record.c -- the bytes of the prediction log; see docs/formats/
 * prediction_log.md.
 *
 * A record's length is written last, with release order, and is zero before:
 * whoever sees a length sees the record.  The checksum catches what a power
 * cut may leave of it. */
#include "serve/serve_internal.h"

#include "base/hash.h"

#include <math.h>

static const char MAGIC[8] = {'S', 'L', 'W', 'P', 'R', 'E', 'D', '1'};

/* Both in host order, which is little-endian wherever we build. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "format");

struct record_head {
    uint32_t length; /* bytes, this head included, padding not */
    uint32_t crc;    /* CRC-32C of the bytes behind it */
    int64_t at_ms, event_ms, latency_ns;
    unsigned char release[32];
    double y, model_y, rule_y, shadow_y;
    uint32_t column_count;
    uint16_t key_size, id_size;
    uint32_t by;
    uint32_t zero;
};
_Static_assert(sizeof(struct record_head) == 112, "a stored format");
_Static_assert(SLW_MODEL_COLUMN_MAX * 8 + 2048 < SERVE_SEGMENT_SIZE / 16,
               "any record fits a segment");

struct segment_head {
    char magic[8];
    uint32_t format; /* 1 */
    uint32_t head_size;
    int64_t sequence, created_at_ms;
    uint32_t name_size;
    char name[128];
    uint32_t crc; /* of what stands before it */
};
_Static_assert(sizeof(struct segment_head) <= SERVE_SEGMENT_HEAD_SIZE,
               "a stored format");

/* As much of a text as the log keeps, cut between characters. */
static size_t
kept_size(struct slw_str s)
{
    if (s.len <= SERVE_LOG_TEXT_MAX)
        return s.len;
    size_t n = SERVE_LOG_TEXT_MAX;
    while (n > 0 && ((unsigned char)s.ptr[n] & 0xC0) == 0x80)
        n--;
    return n;
}

static size_t
padded(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

size_t
serve_record_size(const struct slw_prediction *p)
{
    return padded(sizeof(struct record_head) +
                  p->column_count * sizeof(double) + kept_size(p->key) +
                  kept_size(p->id));
}

void
serve_record_write(unsigned char *at, const struct slw_prediction *p,
                   const unsigned char release[static 32])
{
    SLW_ASSERT(p->column_count <= SLW_MODEL_COLUMN_MAX);
    struct record_head h = {.at_ms = p->at_ms,
                            .event_ms = p->event_ms,
                            .latency_ns = p->latency_ns,
                            .y = p->y,
                            .model_y = p->model_y,
                            .rule_y = p->rule_y,
                            .shadow_y = p->shadow_y,
                            .column_count = (uint32_t)p->column_count,
                            .key_size = (uint16_t)kept_size(p->key),
                            .id_size = (uint16_t)kept_size(p->id),
                            .by = (uint32_t)p->by};
    memcpy(h.release, release, sizeof h.release);
    const size_t x_size = p->column_count * sizeof(double);
    const size_t length = sizeof h + x_size + h.key_size + h.id_size;
    unsigned char *to = at + sizeof h;
    if (x_size)
        memcpy(to, p->x, x_size);
    if (h.key_size)
        memcpy(to + x_size, p->key.ptr, h.key_size);
    if (h.id_size)
        memcpy(to + x_size + h.key_size, p->id.ptr, h.id_size);
    memcpy(at + 8, (const unsigned char *)&h + 8, sizeof h - 8);
    const uint32_t crc = slw_crc32c(0, at + 8, length - 8);
    memcpy(at + 4, &crc, sizeof crc);
    __atomic_store_n((uint32_t *)(void *)at, (uint32_t)length,
                     __ATOMIC_RELEASE);
}

bool
serve_record_read(const unsigned char *at, size_t room,
                  struct slw_prediction *out, size_t *out_size)
{
    struct record_head h;
    if (room < sizeof h)
        return false;
    const uint32_t length =
        __atomic_load_n((const uint32_t *)(const void *)at, __ATOMIC_ACQUIRE);
    if (length < sizeof h || length > room)
        return false;
    memcpy(&h, at, sizeof h);
    if (h.column_count > SLW_MODEL_COLUMN_MAX || h.by > SLW_BY_FALLBACK)
        return false;
    const size_t x_size = h.column_count * sizeof(double);
    if (length != sizeof h + x_size + h.key_size + h.id_size ||
        padded(length) > room || slw_crc32c(0, at + 8, length - 8) != h.crc)
        return false;
    const char *text = (const char *)at + sizeof h + x_size;
    *out = (struct slw_prediction){
        .id = {text + h.key_size, h.id_size},
        .key = {text, h.key_size},
        .at_ms = h.at_ms,
        .event_ms = h.event_ms,
        .by = (enum slw_answer_by)h.by,
        .y = h.y,
        .model_y = h.model_y,
        .rule_y = h.rule_y,
        .shadow_y = h.shadow_y,
        .latency_ns = h.latency_ns,
        .x = (const double *)(const void *)(at + sizeof h),
        .column_count = h.column_count};
    struct slw_sha256 sum;
    memcpy(sum.bytes, h.release, sizeof sum.bytes);
    slw_sha256_hex(&sum, out->release);
    *out_size = padded(length);
    return true;
}

void
serve_segment_head_write(unsigned char *at, int64_t sequence, int64_t now_ms,
                         struct slw_str deployment)
{
    struct segment_head h = {.format = 1,
                             .head_size = SERVE_SEGMENT_HEAD_SIZE,
                             .sequence = sequence,
                             .created_at_ms = now_ms,
                             .name_size = (uint32_t)deployment.len};
    SLW_ASSERT(deployment.len <= sizeof h.name);
    memcpy(h.magic, MAGIC, sizeof MAGIC);
    memcpy(h.name, deployment.ptr, deployment.len);
    h.crc = slw_crc32c(0, &h, offsetof(struct segment_head, crc));
    memcpy(at, &h, sizeof h);
}

bool
serve_segment_head_read(const unsigned char *at, size_t room,
                        struct slw_str deployment, int64_t *out_sequence,
                        int64_t *out_created_at_ms)
{
    struct segment_head h;
    if (room < SERVE_SEGMENT_HEAD_SIZE)
        return false;
    memcpy(&h, at, sizeof h);
    if (memcmp(h.magic, MAGIC, sizeof MAGIC) != 0 || h.format != 1 ||
        h.head_size != SERVE_SEGMENT_HEAD_SIZE ||
        h.crc != slw_crc32c(0, &h, offsetof(struct segment_head, crc)) ||
        h.name_size > sizeof h.name ||
        !slw_str_eq((struct slw_str){h.name, h.name_size}, deployment))
        return false;
    *out_sequence = h.sequence;
    *out_created_at_ms = h.created_at_ms;
    return true;
}

int64_t
serve_segment_sequence(const char *file_name)
{
    struct slw_str s = slw_str_of(file_name), head, rest;
    struct slw_err err;
    int64_t n = 0;
    if (!slw_str_cut(s, '.', &head, &rest) || !slw_str_eqz(rest, "seg") ||
        slw_str_i64(head, &n, &err) != SLW_OK || n < 1)
        return 0;
    return n;
}
