/* bytes.h -- whole numbers in stored formats: little-endian at any address,
 * whatever the machine. */
#ifndef SLW_BASE_BYTES_H
#define SLW_BASE_BYTES_H

#include "base/base.h"

/* Four bytes at `at`. */
static inline void
slw_put_u32(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

/* Eight bytes at `at`. */
static inline void
slw_put_u64(uint8_t *at, uint64_t v)
{
    slw_put_u32(at, (uint32_t)v);
    slw_put_u32(at + 4, (uint32_t)(v >> 32));
}

/* Of four bytes. */
static inline uint32_t
slw_get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
           (uint32_t)at[3] << 24;
}

/* Of eight bytes. */
static inline uint64_t
slw_get_u64(const uint8_t *at)
{
    return slw_get_u32(at) | (uint64_t)slw_get_u32(at + 4) << 32;
}

#endif
