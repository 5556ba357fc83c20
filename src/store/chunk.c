/* chunk.c -- FastCDC: a rolling hash of the last 64 bytes decides where to
 * cut, so that an insertion moves the bytes but not the cuts behind it.
 *
 * The cuts are part of what is stored: table, masks and sizes may never
 * change, or old and new versions of a file share nothing any more. */
#include "store/chunk.h"

#include <pthread.h>

/* The hash shifts left, so its high bits have seen the most bytes.  Before
 * the average length a cut needs 18 zero bits, behind it 14: most chunks
 * then come out close to 2^16. */
#define MASK_HARD (~(uint64_t)0 << (64 - 18))
#define MASK_EASY (~(uint64_t)0 << (64 - 14))

static uint64_t gear[256];
static pthread_once_t gear_once = PTHREAD_ONCE_INIT;

/* 256 outputs of splitmix64 from a fixed seed. */
static void
gear_fill(void)
{
    uint64_t state = UINT64_C(0x536c697077617921); /* "Slipway!" */
    for (int i = 0; i < 256; i++) {
        state += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = state;
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        gear[i] = z ^ (z >> 31);
    }
}

size_t
store_chunk_len(const uint8_t *bytes, size_t len)
{
    (void)pthread_once(&gear_once, gear_fill);
    if (len <= STORE_CHUNK_MIN)
        return len;
    const size_t end = len < STORE_CHUNK_MAX ? len : STORE_CHUNK_MAX;
    const size_t mid = end < STORE_CHUNK_AVG ? end : STORE_CHUNK_AVG;
    uint64_t hash = 0;
    size_t i = STORE_CHUNK_MIN;
    for (; i < mid; i++) {
        hash = (hash << 1) + gear[bytes[i]];
        if ((hash & MASK_HARD) == 0)
            return i + 1;
    }
    for (; i < end; i++) {
        hash = (hash << 1) + gear[bytes[i]];
        if ((hash & MASK_EASY) == 0)
            return i + 1;
    }
    return end;
}
