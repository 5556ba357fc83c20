/* arena.c -- bump allocation in blocks that grow with what is asked for.
 *
 * Under AddressSanitizer the unused part of a block is poisoned, so that a
 * step past the end of a piece is caught although the block is larger. */
#include "base/arena.h"

#include <stdalign.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define POISON(p, size) __asan_poison_memory_region((p), (size))
#define UNPOISON(p, size) __asan_unpoison_memory_region((p), (size))
#define GAP 8 /* between pieces, so that each has a poisoned neighbour */
#else
#define POISON(p, size) ((void)(p), (void)(size))
#define UNPOISON(p, size) ((void)(p), (void)(size))
#define GAP 0
#endif

#define ALIGN alignof(max_align_t)
#define BLOCK_SIZE_MIN ((size_t)4 << 10)
#define BLOCK_SIZE_MAX ((size_t)1 << 20)

struct slw_arena_block {
    struct slw_arena_block *older;
    size_t size; /* of data[] */
    size_t used;
    alignas(max_align_t) unsigned char data[];
};

static size_t
limit_of(const struct slw_arena *a)
{
    return a->limit_size ? a->limit_size : SLW_ARENA_LIMIT_DEFAULT;
}

void
slw_arena_init(struct slw_arena *a, size_t limit_size)
{
    *a = (struct slw_arena){.limit_size = limit_size};
}

static void
blocks_free(struct slw_arena_block *b)
{
    while (b) {
        struct slw_arena_block *older = b->older;
        UNPOISON(b->data, b->size);
        slw_free(b);
        b = older;
    }
}

void
slw_arena_done(struct slw_arena *a)
{
    if (!a)
        return;
    blocks_free(a->head);
    a->head = NULL;
    a->used_size = 0;
}

void
slw_arena_reset(struct slw_arena *a)
{
    SLW_ASSERT(a);
    if (a->head) {
        blocks_free(a->head->older);
        a->head->older = NULL;
        a->head->used = 0;
        POISON(a->head->data, a->head->size);
    }
    a->used_size = 0;
}

static void
block_add(struct slw_arena *a, size_t size)
{
    size_t grown = a->head ? a->head->size * 2 : BLOCK_SIZE_MIN;
    if (grown > BLOCK_SIZE_MAX)
        grown = BLOCK_SIZE_MAX;
    if (grown < size)
        grown = size;
    /* Pieces are zeroed when handed out: no need to zero the block. */
    struct slw_arena_block *b = slw_realloc(NULL, sizeof *b + grown);
    *b = (struct slw_arena_block){.older = a->head, .size = grown};
    POISON(b->data, b->size);
    a->head = b;
}

size_t
slw_arena_room(const struct slw_arena *a)
{
    size_t limit = limit_of(a);
    return a->used_size < limit ? (limit - a->used_size) / ALIGN * ALIGN : 0;
}

void *
slw_arena_alloc(struct slw_arena *a, size_t size)
{
    SLW_ASSERT(a);
    SLW_ASSERT(size <= limit_of(a));
    size_t rounded = (size + ALIGN - 1) / ALIGN * ALIGN;
    SLW_ASSERT(rounded <= slw_arena_room(a));
    size_t step = rounded + (GAP ? ALIGN : 0);
    if (!a->head || a->head->size - a->head->used < step)
        block_add(a, step);
    void *p = a->head->data + a->head->used;
    a->head->used += step;
    a->used_size += rounded;
    if (a->used_size > a->peak_size)
        a->peak_size = a->used_size;
    UNPOISON(p, size);
    memset(p, 0, size);
    return p;
}

void *
slw_arena_alloc_many(struct slw_arena *a, size_t item_size, size_t count)
{
    size_t size;
    SLW_ASSERT(!__builtin_mul_overflow(item_size, count, &size));
    return slw_arena_alloc(a, size);
}

char *
slw_arena_strz(struct slw_arena *a, struct slw_str s)
{
    SLW_ASSERT(s.len < SIZE_MAX);
    char *z = slw_arena_alloc(a, s.len + 1);
    if (s.len)
        memcpy(z, s.ptr, s.len);
    return z;
}

struct slw_str
slw_arena_str(struct slw_arena *a, struct slw_str s)
{
    return (struct slw_str){slw_arena_strz(a, s), s.len};
}

struct slw_str
slw_arena_vprintf(struct slw_arena *a, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    char text[256]; /* mostly enough to format only once */
    int len = vsnprintf(text, sizeof text, fmt, again);
    va_end(again);
    SLW_ASSERT(len >= 0);
    char *z = slw_arena_alloc(a, (size_t)len + 1);
    if ((size_t)len < sizeof text)
        memcpy(z, text, (size_t)len);
    else
        vsnprintf(z, (size_t)len + 1, fmt, args);
    return (struct slw_str){z, (size_t)len};
}

struct slw_str
slw_arena_printf(struct slw_arena *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    struct slw_str s = slw_arena_vprintf(a, fmt, args);
    va_end(args);
    return s;
}

void *
slw_arena_grow(struct slw_arena *a, void *items, size_t item_size, size_t count,
               size_t *cap)
{
    if (count < *cap)
        return items;
    size_t grown = *cap ? *cap * 2 : 8;
    void *out = slw_arena_alloc_many(a, item_size, grown);
    if (count)
        memcpy(out, items, item_size * count);
    *cap = grown;
    return out;
}
