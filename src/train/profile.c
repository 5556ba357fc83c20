/* profile.c -- the reference profile: the rows a model was made for, with its
 * own answers, as the monitor will later compare windows with.
 *
 * Raw rows instead of bins, so that a threshold, a bin or a test can change
 * without a model being trained again.  Layout: docs/formats/profile.md. */
#include "train/train_internal.h"

#include "base/hash.h"

#include <math.h>

static const char MAGIC[8] = {'S', 'L', 'W', 'P', 'R', 'O', 'F', '1'};
#define HEAD_SIZE 24 /* magic, row count u64, column count u32, names u32 */
#define PROFILE_COLUMN_MAX (SLW_MODEL_COLUMN_MAX + 1)
#define PROFILE_SIZE_MAX ((size_t)1 << 31)

/* ---- writing ---- */

static void
put_uint(struct slw_buf *b, uint64_t v, size_t size)
{
    for (size_t i = 0; i < size; i++)
        slw_buf_char(b, (char)(unsigned char)(v >> (8 * i)));
}

static void
put_words(struct slw_buf *b, const void *words, size_t count)
{
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
                   "the file is little-endian");
    slw_buf_add(b, words, count * 8);
}

enum slw_rc
slw_profile_write(const struct slw_profile *p, struct slw_buf *out,
                  struct slw_err *err)
{
    if (p->row_count > SLW_PROFILE_ROW_MAX)
        return slw_fail(err, SLW_LIMIT, "a profile has at most %d rows",
                        SLW_PROFILE_ROW_MAX);
    if (p->column_count < 1 || p->column_count > PROFILE_COLUMN_MAX)
        return slw_fail(err, SLW_INVALID, "a profile has 1 to %d columns",
                        PROFILE_COLUMN_MAX);
    SLW_AUTO(slw_buf, names);
    for (size_t i = 0; i < p->column_count; i++) {
        put_uint(&names, p->columns[i].len, 4);
        slw_buf_str(&names, p->columns[i]);
    }
    while (names.len % 8)
        slw_buf_char(&names, 0); /* the numbers begin aligned */
    SLW_AUTO(slw_buf, b);
    slw_buf_init(&b, PROFILE_SIZE_MAX);
    slw_buf_add(&b, MAGIC, sizeof(MAGIC));
    put_uint(&b, p->row_count, 8);
    put_uint(&b, p->column_count, 4);
    put_uint(&b, names.len, 4);
    slw_buf_str(&b, slw_buf_view(&names));
    put_words(&b, p->event_ms, p->row_count);
    put_words(&b, p->values, p->row_count * p->column_count);
    TRY(slw_buf_check(&b, err));
    put_uint(&b, slw_crc32c(0, b.ptr, b.len), 4);
    TRY(slw_buf_check(&b, err));
    slw_buf_str(out, slw_buf_view(&b));
    return slw_buf_check(out, err);
}

/* ---- reading ---- */

static uint64_t
take_uint(const char *at, size_t size)
{
    uint64_t v = 0;
    for (size_t i = 0; i < size; i++)
        v |= (uint64_t)(unsigned char)at[i] << (8 * i);
    return v;
}

static enum slw_rc
names_read(struct slw_str bytes, size_t size, struct slw_arena *a,
           struct slw_profile *p, struct slw_err *err)
{
    size_t at = HEAD_SIZE;
    const size_t end = HEAD_SIZE + size;
    p->columns = SLW_ARENA_NEW(a, struct slw_str, p->column_count);
    for (size_t i = 0; i < p->column_count; i++) {
        if (end - at < 4)
            return slw_fail(err, SLW_CORRUPT,
                            "the profile ends within its column names");
        const size_t len = take_uint(bytes.ptr + at, 4);
        at += 4;
        if (end - at < len)
            return slw_fail(err, SLW_CORRUPT,
                            "the profile ends within its column names");
        p->columns[i] = slw_arena_str(a, (struct slw_str){bytes.ptr + at, len});
        at += len;
    }
    return SLW_OK;
}

static enum slw_rc
head_read(struct slw_str bytes, struct slw_profile *p, size_t *out_names,
          struct slw_err *err)
{
    if (bytes.len < HEAD_SIZE + 4 || memcmp(bytes.ptr, MAGIC, 8) != 0)
        return slw_fail(err, SLW_CORRUPT, "not a reference profile");
    const uint64_t rows = take_uint(bytes.ptr + 8, 8);
    const uint64_t columns = take_uint(bytes.ptr + 16, 4);
    const uint64_t names = take_uint(bytes.ptr + 20, 4);
    if (rows > SLW_PROFILE_ROW_MAX || columns < 1 ||
        columns > PROFILE_COLUMN_MAX || names % 8 != 0 ||
        bytes.len != HEAD_SIZE + names + (columns + 1) * rows * 8 + 4)
        return slw_fail(err, SLW_CORRUPT,
                        "the profile's counts do not match its %zu bytes",
                        bytes.len);
    const uint32_t crc = (uint32_t)take_uint(bytes.ptr + bytes.len - 4, 4);
    if (crc != slw_crc32c(0, bytes.ptr, bytes.len - 4))
        return slw_fail(err, SLW_CORRUPT, "the profile's checksum is wrong");
    p->row_count = rows;
    p->column_count = columns;
    *out_names = names;
    return SLW_OK;
}

enum slw_rc
slw_profile_read(struct slw_str bytes, struct slw_arena *a,
                 struct slw_profile *out, struct slw_err *err)
{
    struct slw_profile p = {0};
    size_t names = 0;
    TRY(head_read(bytes, &p, &names, err));
    if (bytes.len > slw_arena_room(a) / 2)
        return slw_fail(err, SLW_LIMIT, "the profile of %zu bytes does not fit",
                        bytes.len);
    TRY(names_read(bytes, names, a, &p, err));
    const size_t cells = p.row_count * p.column_count;
    const char *at = bytes.ptr + HEAD_SIZE + names;
    p.event_ms = SLW_ARENA_NEW(a, int64_t, p.row_count + 1);
    p.values = SLW_ARENA_NEW(a, double, cells + 1);
    memcpy(p.event_ms, at, p.row_count * 8);
    memcpy(p.values, at + p.row_count * 8, cells * 8);
    for (size_t r = 1; r < p.row_count; r++)
        if (p.event_ms[r] < p.event_ms[r - 1])
            return slw_fail(err, SLW_CORRUPT,
                            "the profile's row %zu is older than the one"
                            " before it",
                            r);
    *out = p;
    return SLW_OK;
}

/* ---- making ---- */

enum slw_rc
train_profile_make(const struct slw_frame *frame, const struct train_set *set,
                   const struct slw_model *m, int64_t reference_ms,
                   struct slw_arena *a, struct slw_profile *out,
                   struct slw_err *err)
{
    SLW_ASSERT(frame->row_count > 0);
    const size_t columns = set->sig.column_count;
    const int64_t end_ms = frame->event_ms[frame->row_count - 1];
    size_t first = frame->row_count;
    while (first > 0 && frame->event_ms[first - 1] > end_ms - reference_ms &&
           frame->row_count - first < SLW_PROFILE_ROW_MAX)
        first--;
    const size_t count = frame->row_count - first;
    if ((2 * columns + 3) * count > slw_arena_room(a) / 8)
        return slw_fail(err, SLW_LIMIT,
                        "the reference profile of %zu rows does not fit in"
                        " memory: shorten reference",
                        count);
    struct slw_profile p = {.row_count = count, .column_count = columns + 1};
    p.columns = SLW_ARENA_NEW(a, struct slw_str, columns + 1);
    memcpy(p.columns, set->sig.columns, columns * sizeof(*p.columns));
    p.columns[columns] = SLW_STR("prediction");
    p.event_ms = SLW_ARENA_NEW(a, int64_t, count);
    memcpy(p.event_ms, frame->event_ms + first, count * sizeof(int64_t));
    p.values = SLW_ARENA_NEW(a, double, count *(columns + 1));
    double *x = SLW_ARENA_NEW(a, double, count *columns);
    for (size_t r = 0; r < count; r++)
        for (size_t i = 0; i < columns; i++) {
            const double v =
                frame->x[(first + r) * frame->column_count + set->column_at[i]];
            x[r * columns + i] = v;
            p.values[i * count + r] = v;
        }
    slw_model_predict(m, x, count, p.values + columns * count);
    *out = p;
    return SLW_OK;
}
