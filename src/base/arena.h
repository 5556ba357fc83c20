/* arena.h -- memory that dies in groups: one arena a request, a job step or a
 * batch.  Bump allocation in blocks; reset frees all at once.
 *
 * Owner: one thread at a time. */
#ifndef SLW_BASE_ARENA_H
#define SLW_BASE_ARENA_H

#include <stdarg.h>

#include "base/base.h"

struct slw_arena_block;

struct slw_arena {
    struct slw_arena_block *head; /* newest block first */
    size_t limit_size;            /* bytes; 0 = SLW_ARENA_LIMIT_DEFAULT */
    size_t used_size;             /* bytes handed out since the last reset */
    size_t peak_size;             /* greatest used_size seen */
};

#define SLW_ARENA_LIMIT_DEFAULT ((size_t)1 << 30)

/* A zeroed struct is a valid empty arena with the default limit. */
void slw_arena_init(struct slw_arena *a, size_t limit_size);
void slw_arena_done(struct slw_arena *a);
/* Everything handed out becomes invalid; the newest block is kept. */
void slw_arena_reset(struct slw_arena *a);

/* Zeroed memory aligned for any type; aborts past the limit: callers check
 * sizes that come from input with slw_arena_room() first. */
void *slw_arena_alloc(struct slw_arena *a, size_t size);
/* Bytes that may still be asked for. */
size_t slw_arena_room(const struct slw_arena *a);
/* Copies, with a NUL behind the copy that is not counted. */
struct slw_str slw_arena_str(struct slw_arena *a, struct slw_str s);
char *slw_arena_strz(struct slw_arena *a, struct slw_str s);
SLW_PRINTF(2, 3)
struct slw_str slw_arena_printf(struct slw_arena *a, const char *fmt, ...);
SLW_PRINTF(2, 0)
struct slw_str slw_arena_vprintf(struct slw_arena *a, const char *fmt,
                                 va_list args);

/* As slw_arena_alloc for item_size * count bytes; aborts on overflow. */
void *slw_arena_alloc_many(struct slw_arena *a, size_t item_size, size_t count);
#define SLW_ARENA_NEW(arena, type, count)                                      \
    ((type *)slw_arena_alloc_many((arena), sizeof(type), (count)))

/* Room for one more behind items[count]: `items`, or a copy twice as large
 * (the old one stays in the arena).  *cap is kept for the next call. */
void *slw_arena_grow(struct slw_arena *a, void *items, size_t item_size,
                     size_t count, size_t *cap);

#endif
