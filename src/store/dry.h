/* dry.h -- dry runs: what an action would do, found out by doing it.
 *
 * Between begin and end every write transaction of the calling thread is
 * *dry*: the same code runs in it, with the same checks, but its commit rolls
 * back.  What would have been announced as events is kept as effects.  So
 * there is no second implementation that could say something else than what
 * the act then does, and whatever a dry run forgets to say, it cannot do.
 *
 * Code that does more than write rows after a commit (swaps a live release)
 * asks slw_dry_is_on() and leaves that out. */
#ifndef SLW_STORE_DRY_H
#define SLW_STORE_DRY_H

#include "store/event.h"

struct slw_effect {
    struct slw_effect *next;
    struct slw_str kind, subject, payload; /* as of an event */
};
/* Owner: the thread that began it. */
struct slw_dry {
    struct slw_arena *arena;
    struct slw_effect *first, *last;
    size_t count;
    bool on;
};

/* Asserts that none is on.  Effects live in the arena. */
void slw_dry_begin(struct slw_dry *d, struct slw_arena *a);
void slw_dry_done(struct slw_dry *d); /* ends it; the effects stay */
/* Is the calling thread in a dry run? */
bool slw_dry_is_on(void);
/* An effect that is no event, said where it is written; nothing outside a dry
 * run.  payload a JSON object text. */
void slw_effect_add(struct slw_tx *tx, const char *kind, struct slw_str subject,
                    struct slw_str payload);

#endif
