/* memo.c -- numbers of names, remembered by the write connection: what a hot
 * write would otherwise look up in an index a hundred times a request.
 *
 * Only what is stored may be told.  So whatever was remembered in a
 * transaction is forgotten, with all else, when anything of it is rolled
 * back; that is rare, and the next ones ask the database again. */
#include "base/hash.h"
#include "store/store_internal.h"

#define NAMES_MAX 16384 /* then it begins anew */
#define SLOTS_MAX 32768

static size_t
slot_of(const struct store_memo *m, struct slw_str name)
{
    size_t at = slw_hash64(name.ptr, name.len, 0) & (SLOTS_MAX - 1);
    while (m->slots[at].name.ptr && !slw_str_eq(m->slots[at].name, name))
        at = (at + 1) & (SLOTS_MAX - 1);
    return at;
}

bool
slw_tx_recall(struct slw_tx *tx, struct slw_str name, int64_t *out)
{
    SLW_ASSERT(tx->write);
    const struct store_memo *m = &((struct store_conn *)tx->db)->memo;
    if (!m->slots)
        return false;
    const struct store_memo_slot *slot = &m->slots[slot_of(m, name)];
    if (!slot->name.ptr)
        return false;
    *out = slot->value;
    return true;
}

void
slw_tx_remember(struct slw_tx *tx, struct slw_str name, int64_t value)
{
    SLW_ASSERT(tx->write);
    struct store_memo *m = &((struct store_conn *)tx->db)->memo;
    if (m->count == NAMES_MAX || slw_arena_room(&m->arena) < name.len + 64)
        store_memo_forget(m);
    if (!m->slots)
        m->slots = slw_alloc(sizeof(*m->slots) * SLOTS_MAX);
    struct store_memo_slot *slot = &m->slots[slot_of(m, name)];
    m->count += !slot->name.ptr;
    *slot = (struct store_memo_slot){slw_arena_str(&m->arena, name), value};
    m->is_fresh = true;
}

void
store_memo_forget(struct store_memo *m)
{
    slw_free(m->slots);
    slw_arena_done(&m->arena);
    *m = (struct store_memo){0};
}

void
store_memo_undo(struct store_memo *m)
{
    if (m->is_fresh)
        store_memo_forget(m);
}
