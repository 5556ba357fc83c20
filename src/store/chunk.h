/* chunk.h -- where content is cut: FastCDC.  Private to the store.
 *
 * Source  Xia et al. 2016, "FastCDC: a Fast and Efficient Content-Defined
 *         Chunking Approach for Data Deduplication", USENIX ATC: gear hash,
 *         cut-point skipping, normalised chunking (level 2). */
#ifndef SLW_STORE_CHUNK_H
#define SLW_STORE_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#define STORE_CHUNK_MIN ((size_t)16 << 10)
#define STORE_CHUNK_AVG ((size_t)64 << 10)
#define STORE_CHUNK_MAX ((size_t)256 << 10)

/* Length of the first chunk of bytes[len].  The bytes must reach to the end
 * of the content or be at least STORE_CHUNK_MAX. */
size_t store_chunk_len(const uint8_t *bytes, size_t len);

#endif
