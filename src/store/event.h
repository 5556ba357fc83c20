/* event.h -- what happened: an append-only, hash-chained log, and the outbox
 * by which an earlier room's news reaches a later one.
 *
 * An event is written in the transaction of the change it announces.
 * hash_n = SHA-256(hash_{n-1} | id | time | kind | subject | payload), so a
 * line that is changed or removed later breaks the chain.  Consumers remember
 * the last event they handled and get each at least once, in order. */
#ifndef SLW_STORE_EVENT_H
#define SLW_STORE_EVENT_H

#include "store/store.h"

struct slw_event {
    int64_t id;
    int64_t at_ms;          /* the clock that was passed in */
    struct slw_str kind;    /* "registry.alias_set" */
    struct slw_str subject; /* "next-range/3": what it is about */
    struct slw_str payload; /* JSON object */
    struct slw_str hash;    /* hex */
};

/* In kind "<room>.<past_participle>"; payload a JSON object text. */
SLW_MUST_USE enum slw_rc slw_event_emit(struct slw_tx *tx, int64_t now_ms,
                                        const char *kind,
                                        struct slw_str subject,
                                        struct slw_str payload,
                                        struct slw_err *err);
/* First event with id > after and, where kind_prefix is not empty, a kind
 * that starts so (and, where subject is not empty, exactly that subject).
 * Out  copied into the arena.  Errors NOT_FOUND: none. */
SLW_MUST_USE enum slw_rc
slw_event_after(struct slw_tx *tx, int64_t after, struct slw_str kind_prefix,
                struct slw_str subject, struct slw_arena *a,
                struct slw_event *out, struct slw_err *err);
/* Last event with id < before (INT64_MAX: the newest), likewise.
 * Errors NOT_FOUND: none. */
SLW_MUST_USE enum slw_rc
slw_event_before(struct slw_tx *tx, int64_t before, struct slw_str kind_prefix,
                 struct slw_str subject, struct slw_arena *a,
                 struct slw_event *out, struct slw_err *err);
/* Id of the newest event, 0: none.  Ids are 1, 2, 3 ..., so it is also how
 * many there are.  Cost: one lookup. */
SLW_MUST_USE enum slw_rc slw_event_last(struct slw_tx *tx, int64_t *out_id,
                                        struct slw_err *err);
/* Where a consumer stands (0 at first); put moves it in the caller's
 * transaction, together with what the event caused. */
SLW_MUST_USE enum slw_rc slw_event_cursor_get(struct slw_tx *tx,
                                              const char *consumer,
                                              int64_t *out_id,
                                              struct slw_err *err);
SLW_MUST_USE enum slw_rc slw_event_cursor_put(struct slw_tx *tx,
                                              const char *consumer, int64_t id,
                                              struct slw_err *err);
/* Walk the whole chain.  Errors CORRUPT: names the first bad event. */
SLW_MUST_USE enum slw_rc slw_event_verify(struct slw_tx *tx, int64_t *out_count,
                                          struct slw_err *err);

#endif
