/* serve_internal.h -- shared by the files of this room: the objects in memory.
 *
 * slw_serve  one a server; owns the slots
 * slot       one a deployment, until the server ends; holds the live state
 * live       what is deployed at one moment, immutable but for its counts;
 *            counted by requests in flight
 * release    a loaded release, immutable; counted by lives
 * series     counters of one (version, role) of a slot; never freed before
 *            the end, so that a scrape takes no lock of the request path
 *
 * Locks, outer first: slw_serve.act, slot.mutex, log.mutex.  The last two
 * are held for a few instructions and never together.  figures_mutex is taken
 * alone. */
#ifndef SLW_SERVE_SERVE_INTERNAL_H
#define SLW_SERVE_SERVE_INTERNAL_H

#include "serve/serve.h"

#include <pthread.h>
#include <stdatomic.h>

#define SERVE_DEPLOYMENT_MAX 256
#define SERVE_TABLE_SIZE 512 /* power of two, at most half full */
#define SERVE_WEIGHT_UNITS 10000
#define SERVE_TIMEOUT_MS_DEFAULT 50
#define SERVE_TIMEOUT_MS_MAX 60000
#define SERVE_DRILL_SLEEP_MS_MAX 200
#define SERVE_VIEW_MAX 64
#define SERVE_ROLLOUT_MAX 64

enum serve_reason {
    SERVE_REASON_NONE,
    SERVE_REASON_WITHDRAWN,
    SERVE_REASON_NOT_LOADED,
    SERVE_REASON_MISSING_FEATURES,
    SERVE_REASON_ERROR,
    SERVE_REASON_NOT_FINITE,
    SERVE_REASON_LATE,
    SERVE_REASON_COUNT
};
const char *serve_reason_name(enum serve_reason r);

enum serve_drill {
    SERVE_DRILL_NONE,
    SERVE_DRILL_ERROR,
    SERVE_DRILL_NAN,
    SERVE_DRILL_SLOW
};

/* ---- release.c ---- */

struct serve_view {
    struct slw_str name;
    int64_t ttl_ms;
};

/* Owner: atomic count; immutable after load.  model and rule may be NULL:
 * then `why` says why. */
struct serve_release {
    atomic_int ref_count;
    char hash[65];
    unsigned char hash_bytes[32];
    int64_t version;
    struct slw_model *model, *rule;
    struct slw_signature signature;
    struct slw_str entity, flavour;
    struct serve_view *views;
    size_t view_count;
    struct slw_err why;
    struct slw_arena arena;
};

/* Load what can be loaded; never fails: see model, rule and why. */
struct serve_release *serve_release_load(struct slw_store *store,
                                         struct slw_str hash, int64_t version);
struct serve_release *serve_release_ref(struct serve_release *r);
void serve_release_unref(struct serve_release *r); /* accepts NULL */

/* ---- log.c: writing the prediction log ---- */

#define SERVE_SEGMENT_SIZE ((size_t)16 << 20)
#define SERVE_LOG_TEXT_MAX 512 /* bytes of key and of id that are kept */

/* Owner: log.mutex while active or spare; then the flusher. */
struct serve_segment {
    struct serve_segment *next;
    int fd;
    unsigned char *map;
    size_t at; /* where the next record goes */
    int64_t sequence, created_at_ms, record_count;
    int64_t first_event_ms, last_event_ms;
    bool dirty;      /* something added since the last sync */
    bool registered; /* its row is there */
};

struct serve_log {
    pthread_mutex_t mutex;
    char dir[512]; /* <data>/predictions/<deployment> */
    bool wanted;   /* something is deployed: predictions are to be kept */
    bool open;     /* the folder was read; segments may be made */
    struct serve_segment *active, *spare;
    struct serve_segment *sealing; /* full ones, for the flusher */
    int64_t sequence_next;
    int64_t retry_mono_ns; /* no segment could be made: not before this */
    bool warned;           /* the flusher's */
    atomic_llong dropped_count;
};

void serve_log_init(struct serve_log *log, const char *data_dir,
                    struct slw_str deployment);
void serve_log_done(struct serve_log *log);
/* Read the folder and find the end of the last segment, or make a first one.
 * Errors IO: no segment can be made; appends are then counted and dropped,
 *        and making one is tried again each second. */
SLW_MUST_USE enum slw_rc serve_log_open(struct serve_log *log,
                                        struct slw_tx *tx,
                                        struct slw_str deployment,
                                        int64_t now_ms, struct slw_err *err);
void serve_log_append(struct serve_log *log, const struct slw_prediction *p,
                      const unsigned char release[static 32]);
/* One round of the flusher: sync, seal, prepare a spare. */
void serve_log_flush(struct serve_log *log, struct slw_store *store,
                     struct slw_str deployment, int64_t now_ms);

/* ---- record.c: the format, shared by writer and reader ---- */

#define SERVE_SEGMENT_HEAD_SIZE 256
/* Bytes a record takes in the file, padding included. */
size_t serve_record_size(const struct slw_prediction *p);
/* Write it at p[0..size); its length goes in last. */
void serve_record_write(unsigned char *at, const struct slw_prediction *p,
                        const unsigned char release[static 32]);
/* The record at `at` of `room` bytes; false: none, or torn.
 * Out  *out_size bytes to step over; out->x points into the bytes */
bool serve_record_read(const unsigned char *at, size_t room,
                       struct slw_prediction *out, size_t *out_size);
void serve_segment_head_write(unsigned char *at, int64_t sequence,
                              int64_t now_ms, struct slw_str deployment);
/* False: no head, damaged, or of another deployment. */
bool serve_segment_head_read(const unsigned char *at, size_t room,
                             struct slw_str deployment, int64_t *out_sequence,
                             int64_t *out_created_at_ms);
/* Number of a segment's file name ("00000001.seg"), 0: another file. */
int64_t serve_segment_sequence(const char *file_name);

/* ---- metrics.c ---- */

#define SERVE_LATENCY_BIN_COUNT 14
/* Owner: atomic; linked into its slot once, freed with it. */
struct serve_series {
    struct serve_series *next;
    struct serve_figures *figures; /* by slw_serve.figures_mutex */
    int64_t version;
    enum slw_answer_by by;
    atomic_llong count;                                /* predictions (rows) */
    atomic_llong latency[SERVE_LATENCY_BIN_COUNT + 1]; /* requests */
    atomic_llong latency_sum_ns;
};
struct serve_slot;
/* The series of a version and role, made when absent.  Under slw_serve.act. */
struct serve_series *serve_series_of(struct serve_slot *slot, int64_t version,
                                     enum slw_answer_by by);
void serve_series_observe(struct serve_series *s, int64_t latency_ns,
                          size_t row_count);
/* Upper bound of a latency bin but the last, which has none. */
int64_t serve_latency_bound_ns(int bin);

/* ---- figures.c ---- */

#define SERVE_FIGURES_COUNT 450 /* readings kept: 15 minutes */
struct serve_figures;
/* What failures a slot had, at the last reading and between readings. */
struct serve_failures {
    long long seen_fallbacks, seen_errors;
    uint32_t fallbacks[SERVE_FIGURES_COUNT], errors[SERVE_FIGURES_COUNT];
};
void serve_figures_free(struct serve_figures *f); /* accepts NULL */

/* ---- live.c ---- */

/* Owner: atomic count; immutable but for the counts. */
struct serve_live {
    atomic_int ref_count;
    struct serve_release *champion, *canary, *previous, *shadow;
    /* Column i of the canary (shadow) is column map[i] of the champion, or
     * -1; NULL: the columns are the same.  champion_map: of the canary. */
    int32_t *canary_map, *shadow_map, *champion_map;
    struct serve_series *champion_series, *canary_series, *fallback_series;
    uint32_t canary_below; /* of SERVE_WEIGHT_UNITS */
    int64_t timeout_ns;
    bool withdrawn;
    bool shadow_challenger; /* the canary is scored beside the champion */
    /* Requests since this came live. */
    atomic_llong champion_count, canary_count, canary_failed, fallback_count;
};

struct serve_slot {
    struct slw_str name; /* own copy */
    uint64_t salt;
    pthread_mutex_t mutex; /* guards live */
    struct serve_live *live;
    atomic_int drill; /* enum serve_drill */
    _Atomic(struct serve_series *) series;
    atomic_llong fallbacks[SERVE_REASON_COUNT];
    struct serve_failures *failures; /* by slw_serve.figures_mutex */
    struct serve_log log;
};

struct slw_serve {
    struct slw_store *store;
    const struct slw_clock *clock;
    pthread_mutex_t act; /* one change at a time */
    /* Open addressing by hash of the name; slots are added, never removed,
     * so readers need no lock. */
    _Atomic(struct serve_slot *) table[SERVE_TABLE_SIZE];
    int slot_count; /* under act */
    pthread_t flusher;
    bool flusher_runs;
    pthread_mutex_t flusher_mutex;
    pthread_cond_t flusher_wake;
    bool closing; /* under flusher_mutex */
    /* Readings of all counters, a ring; under it no other lock is taken. */
    pthread_mutex_t figures_mutex;
    int64_t figures_ns[SERVE_FIGURES_COUNT];      /* when it was read */
    int64_t figures_took_ns[SERVE_FIGURES_COUNT]; /* since the one before */
    int figures_next, figures_count;
};

/* NULL: no such deployment. */
struct serve_slot *serve_slot_find(struct slw_serve *s, struct slw_str name);
/* Find or add.  Under act.  Errors LIMIT. */
SLW_MUST_USE enum slw_rc serve_slot_ensure(struct slw_serve *s,
                                           struct slw_str name,
                                           struct serve_slot **out,
                                           struct slw_err *err);
struct serve_live *serve_live_get(struct serve_slot *slot); /* a reference */
void serve_live_unref(struct serve_live *l);                /* accepts NULL */
/* Load what a row names, taking over what is loaded already.  Under act. */
struct serve_live *serve_live_build(struct slw_serve *s,
                                    struct serve_slot *slot,
                                    const struct slw_deployment *d);
/* Put it in place; the old one dies with its last request. */
void serve_live_swap(struct serve_slot *slot, struct serve_live *fresh);
/* Start the log of a slot that has a champion (again).  Under act; failures
 * are for the flusher to repair. */
void serve_slot_log_open(struct slw_serve *s, struct serve_slot *slot,
                         int64_t now_ms);

/* ---- deployment.c: rows ---- */

/* What a change did, for the history. */
struct serve_change {
    const char *action;
    int64_t from_version, to_version;
    struct slw_str why;
};
SLW_MUST_USE enum slw_rc serve_row_insert(struct slw_tx *tx, int64_t now_ms,
                                          const struct slw_deployment *d,
                                          struct slw_err *err);
/* Write all of *d where the row still has d->revision - 1.
 * Errors CONFLICT: somebody else changed it meanwhile */
SLW_MUST_USE enum slw_rc serve_row_update(struct slw_tx *tx, int64_t now_ms,
                                          const struct slw_deployment *d,
                                          struct slw_err *err);
SLW_MUST_USE enum slw_rc serve_change_add(struct slw_tx *tx, int64_t now_ms,
                                          const struct slw_deployment *d,
                                          const struct serve_change *change,
                                          struct slw_err *err);

/* ---- lookup.c ---- */

/* Columns of one release, looked up. */
struct serve_lookup {
    const struct serve_release *release;
    double *x;    /* [column_count], NaN where nothing was found */
    bool missing; /* a view or column was not there: see `why` */
    struct slw_err why;
};
/* Read the views of `count` releases for one key in one snapshot.
 * Out  event_ms: the newest event time of the rows used, 0: none
 * Errors IO, BUSY: the store; a missing view or column is no error here */
SLW_MUST_USE enum slw_rc
serve_lookup_run(struct slw_serve *s, struct slw_str key, struct slw_arena *a,
                 struct serve_lookup *lookups, size_t count,
                 int64_t *out_event_ms, struct slw_err *err);

#endif
