/* dry.c -- which thread is in a dry run, and what it found. */
#include "store/dry.h"

#include "store/store_internal.h"

/* Owner: this thread.  Here and not a parameter, so that no write of an
 * action, however deep, can miss it. */
static _Thread_local struct slw_dry *current;

void
slw_dry_begin(struct slw_dry *d, struct slw_arena *a)
{
    SLW_ASSERT(!current);
    *d = (struct slw_dry){.arena = a, .on = true};
    current = d;
}

void
slw_dry_done(struct slw_dry *d)
{
    if (!d->on)
        return;
    SLW_ASSERT(current == d);
    current = NULL;
    d->on = false;
}

bool
slw_dry_is_on(void)
{
    return current != NULL;
}

struct slw_dry *
store_dry(void)
{
    return current;
}

void
slw_effect_add(struct slw_tx *tx, const char *kind, struct slw_str subject,
               struct slw_str payload)
{
    struct slw_dry *d = tx->dry;
    if (!d)
        return;
    struct slw_effect *e = SLW_ARENA_NEW(d->arena, struct slw_effect, 1);
    e->kind = slw_arena_str(d->arena, slw_str_of(kind));
    e->subject = slw_arena_str(d->arena, subject);
    e->payload = slw_arena_str(d->arena, payload);
    if (d->last)
        d->last->next = e;
    else
        d->first = e;
    d->last = e;
    d->count++;
}
