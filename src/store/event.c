/* event.c -- the hash-chained log of what happened.
 *
 * The head of the chain (id and hash of the last event) stands in store_meta,
 * written with each event.  It is what the next event continues from: were it
 * the last row of the table, then cutting off the tail of the log and going
 * on would leave no trace.
 *
 * docs/formats/event.md says which bytes are hashed. */
#include "store/event.h"

#include "base/hash.h"
#include "store/store_internal.h"

static const char SQL_INSERT[] =
    "INSERT INTO store_event(id, at_ms, kind, subject, payload, hash)"
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
static const char SQL_AFTER[] =
    "SELECT id, at_ms, kind, subject, payload, hash FROM store_event"
    " WHERE id > ?1 ORDER BY id LIMIT 1";
static const char SQL_AFTER_SUBJECT[] =
    "SELECT id, at_ms, kind, subject, payload, hash FROM store_event"
    " WHERE subject = ?2 AND id > ?1 AND (kind >= ?3 AND kind < ?4)"
    " ORDER BY id LIMIT 1";
static const char SQL_ONE[] =
    "SELECT id, at_ms, kind, subject, payload, hash FROM store_event"
    " WHERE id = ?1";
static const char SQL_KIND_NEXT[] =
    "SELECT min(kind) FROM store_event WHERE kind > ?1 AND kind < ?2";
static const char SQL_KIND_FIRST[] =
    "SELECT min(kind) FROM store_event WHERE kind >= ?1 AND kind < ?2";
static const char SQL_KIND_AFTER[] =
    "SELECT min(id) FROM store_event WHERE kind = ?1 AND id > ?2";
static const char SQL_BEFORE[] =
    "SELECT id, at_ms, kind, subject, payload, hash FROM store_event"
    " WHERE id < ?1 ORDER BY id DESC LIMIT 1";
static const char SQL_BEFORE_SUBJECT[] =
    "SELECT id, at_ms, kind, subject, payload, hash FROM store_event"
    " WHERE subject = ?2 AND id < ?1 AND (kind >= ?3 AND kind < ?4)"
    " ORDER BY id DESC LIMIT 1";
static const char SQL_KIND_BEFORE[] =
    "SELECT max(id) FROM store_event WHERE kind = ?1 AND id < ?2";
static const char SQL_LAST[] = "SELECT max(id) FROM store_event";
static const char SQL_ALL[] =
    "SELECT id, at_ms, kind, subject, payload, hash FROM store_event"
    " ORDER BY id";
static const char SQL_CURSOR_GET[] =
    "SELECT event_id FROM store_cursor WHERE consumer = ?1";
static const char SQL_CURSOR_PUT[] =
    "INSERT INTO store_cursor(consumer, event_id) VALUES(?1, ?2)"
    " ON CONFLICT(consumer) DO UPDATE SET event_id = excluded.event_id";

static const char KEY_HEAD[] = "event_head";
static const char HASH_FIRST[] = "00000000000000000000000000000000"
                                 "00000000000000000000000000000000";

struct head {
    int64_t id; /* 0: no event yet */
    char hash[SLW_SHA256_HEX_SIZE];
};

static enum slw_rc
head_get(struct slw_tx *tx, struct head *out, struct slw_err *err)
{
    SLW_AUTO(slw_arena, arena);
    struct slw_str text;
    const enum slw_rc rc = slw_meta_get(tx, KEY_HEAD, &arena, &text, err);
    struct head head = {0};
    memcpy(head.hash, HASH_FIRST, sizeof(head.hash));
    if (rc == SLW_NOT_FOUND) {
        *out = head;
        return SLW_OK;
    }
    TRY(rc);
    struct slw_str id;
    struct slw_str hash;
    if (!slw_str_cut(text, ' ', &id, &hash) ||
        slw_str_i64(id, &head.id, err) != SLW_OK ||
        hash.len != sizeof(head.hash) - 1)
        return slw_fail(err, SLW_CORRUPT,
                        "the head of the event log is damaged ('%.*s')",
                        SLW_FMT(text));
    memcpy(head.hash, hash.ptr, hash.len);
    *out = head;
    return SLW_OK;
}

static enum slw_rc
head_put(struct slw_tx *tx, const struct head *head, struct slw_err *err)
{
    char text[24 + SLW_SHA256_HEX_SIZE];
    (void)snprintf(text, sizeof(text), "%lld %s", (long long)head->id,
                   head->hash);
    return slw_meta_set(tx, KEY_HEAD, slw_str_of(text), err);
}

static void
hash_text(struct slw_hasher *h, struct slw_str s)
{
    char size[32];
    const int len = snprintf(size, sizeof(size), "%zu:", s.len);
    slw_hasher_add(h, size, (size_t)len);
    slw_hasher_add(h, s.ptr, s.len);
}

/* Lengths before the texts: no two events hash the same bytes. */
static void
event_hash(const char *before, const struct slw_event *e,
           char out[static SLW_SHA256_HEX_SIZE])
{
    struct slw_hasher h = {0};
    slw_hasher_init(&h);
    char numbers[64];
    const int len = snprintf(numbers, sizeof(numbers), "|%lld|%lld|",
                             (long long)e->id, (long long)e->at_ms);
    slw_hasher_add(&h, before, strlen(before));
    slw_hasher_add(&h, numbers, (size_t)len);
    hash_text(&h, e->kind);
    hash_text(&h, e->subject);
    hash_text(&h, e->payload);
    const struct slw_sha256 sum = slw_hasher_end(&h);
    slw_hasher_done(&h);
    (void)slw_sha256_hex(&sum, out);
}

enum slw_rc
slw_event_emit(struct slw_tx *tx, int64_t now_ms, const char *kind,
               struct slw_str subject, struct slw_str payload,
               struct slw_err *err)
{
    SLW_ASSERT(tx->write);
    SLW_ASSERT(strchr(kind, '.'));
    SLW_ASSERT(payload.len >= 2);
    SLW_ASSERT(payload.ptr[0] == '{');
    struct head head;
    TRY(head_get(tx, &head, err));
    slw_effect_add(tx, kind, subject, payload);
    const struct slw_event e = {.id = head.id + 1,
                                .at_ms = now_ms,
                                .kind = slw_str_of(kind),
                                .subject = subject,
                                .payload = payload};
    struct head next = {.id = e.id};
    event_hash(head.hash, &e, next.hash);
    SLW_AUTO(slw_stmt, put);
    TRY(slw_stmt_prepare(&put, tx, SQL_INSERT, err));
    slw_stmt_i64(&put, 1, e.id);
    slw_stmt_i64(&put, 2, e.at_ms);
    slw_stmt_str(&put, 3, e.kind);
    slw_stmt_str(&put, 4, e.subject);
    slw_stmt_str(&put, 5, e.payload);
    slw_stmt_str(&put, 6, slw_str_of(next.hash));
    TRY(slw_stmt_run(&put, err));
    return head_put(tx, &next, err);
}

/* ---- reading ---- */

static void
event_read(struct slw_stmt *st, struct slw_event *out)
{
    *out = (struct slw_event){
        .id = slw_col_i64(st, 0),
        .at_ms = slw_col_i64(st, 1),
        .kind = slw_col_str(st, 2),
        .subject = slw_col_str(st, 3),
        .payload = slw_col_str(st, 4),
        .hash = slw_col_str(st, 5),
    };
}

static enum slw_rc
none(bool later, struct slw_err *err)
{
    return slw_fail(err, SLW_NOT_FOUND,
                    later ? "no later event" : "no earlier event");
}

static enum slw_rc
event_take(struct slw_stmt *st, bool later, struct slw_arena *a,
           struct slw_event *out, struct slw_err *err)
{
    bool row = false;
    TRY(slw_stmt_step(st, &row, err));
    if (!row)
        return none(later, err);
    struct slw_event e;
    event_read(st, &e);
    e.kind = slw_arena_str(a, e.kind);
    e.subject = slw_arena_str(a, e.subject);
    e.payload = slw_arena_str(a, e.payload);
    e.hash = slw_arena_str(a, e.hash);
    *out = e;
    return SLW_OK;
}

/* The least text that is greater than every text with this prefix.  Kinds
 * are ASCII, so appending the greatest byte is enough. */
static struct slw_str
prefix_end(struct slw_arena *a, struct slw_str prefix)
{
    return slw_arena_printf(a, "%.*s\x7f", SLW_FMT(prefix));
}

static enum slw_rc
kind_after(struct slw_tx *tx, const char *sql, struct slw_str kind,
           struct slw_str end, struct slw_arena *a, struct slw_str *out,
           struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, sql, err));
    slw_stmt_str(&st, 1, kind);
    slw_stmt_str(&st, 2, end);
    bool row = false;
    TRY(slw_stmt_step(&st, &row, err));
    SLW_ASSERT(row);
    *out = slw_col_null(&st, 0) ? (struct slw_str){0} : slw_col_dup(&st, 0, a);
    return SLW_OK;
}

/* Nearest id of any kind with the prefix, later or earlier than `at`; 0 for
 * none: one index probe for each kind that exists, however many events of
 * other kinds lie between. */
static enum slw_rc
nearest_of_prefix(struct slw_tx *tx, int64_t at, bool later,
                  struct slw_str prefix, int64_t *out_id, struct slw_err *err)
{
    SLW_AUTO(slw_arena, arena);
    const struct slw_str end = prefix_end(&arena, prefix);
    struct slw_str kind;
    int64_t nearest = 0;
    TRY(kind_after(tx, SQL_KIND_FIRST, prefix, end, &arena, &kind, err));
    while (kind.ptr) {
        SLW_AUTO(slw_stmt, st);
        TRY(slw_stmt_prepare(&st, tx, later ? SQL_KIND_AFTER : SQL_KIND_BEFORE,
                             err));
        slw_stmt_str(&st, 1, kind);
        slw_stmt_i64(&st, 2, at);
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        SLW_ASSERT(row);
        const int64_t id = slw_col_i64(&st, 0); /* 0 for NULL */
        if (id > 0 && (nearest == 0 || (later ? id < nearest : id > nearest)))
            nearest = id;
        TRY(kind_after(tx, SQL_KIND_NEXT, kind, end, &arena, &kind, err));
    }
    *out_id = nearest;
    return SLW_OK;
}

/* The nearest event on one side of `at`. */
static enum slw_rc
event_near(struct slw_tx *tx, int64_t at, bool later,
           struct slw_str kind_prefix, struct slw_str subject,
           struct slw_arena *a, struct slw_event *out, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    if (subject.len > 0) {
        TRY(slw_stmt_prepare(
            &st, tx, later ? SQL_AFTER_SUBJECT : SQL_BEFORE_SUBJECT, err));
        slw_stmt_i64(&st, 1, at);
        slw_stmt_str(&st, 2, subject);
        slw_stmt_str(&st, 3, kind_prefix);
        slw_stmt_str(&st, 4, prefix_end(a, kind_prefix));
        return event_take(&st, later, a, out, err);
    }
    int64_t id = at;
    const char *sql = later ? SQL_AFTER : SQL_BEFORE;
    if (kind_prefix.len > 0) {
        sql = SQL_ONE;
        TRY(nearest_of_prefix(tx, at, later, kind_prefix, &id, err));
        if (id == 0)
            return none(later, err);
    }
    TRY(slw_stmt_prepare(&st, tx, sql, err));
    slw_stmt_i64(&st, 1, id);
    return event_take(&st, later, a, out, err);
}

enum slw_rc
slw_event_after(struct slw_tx *tx, int64_t after, struct slw_str kind_prefix,
                struct slw_str subject, struct slw_arena *a,
                struct slw_event *out, struct slw_err *err)
{
    return event_near(tx, after, true, kind_prefix, subject, a, out, err);
}

enum slw_rc
slw_event_before(struct slw_tx *tx, int64_t before, struct slw_str kind_prefix,
                 struct slw_str subject, struct slw_arena *a,
                 struct slw_event *out, struct slw_err *err)
{
    return event_near(tx, before, false, kind_prefix, subject, a, out, err);
}

enum slw_rc
slw_event_last(struct slw_tx *tx, int64_t *out_id, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, tx, SQL_LAST, err));
    bool row = false;
    TRY(slw_stmt_step(&st, &row, err));
    SLW_ASSERT(row);
    *out_id = slw_col_i64(&st, 0); /* 0 for NULL */
    return SLW_OK;
}

enum slw_rc
slw_event_cursor_get(struct slw_tx *tx, const char *consumer, int64_t *out_id,
                     struct slw_err *err)
{
    SLW_AUTO(slw_stmt, get);
    TRY(slw_stmt_prepare(&get, tx, SQL_CURSOR_GET, err));
    slw_stmt_str(&get, 1, slw_str_of(consumer));
    bool row = false;
    TRY(slw_stmt_step(&get, &row, err));
    *out_id = row ? slw_col_i64(&get, 0) : 0;
    return SLW_OK;
}

enum slw_rc
slw_event_cursor_put(struct slw_tx *tx, const char *consumer, int64_t id,
                     struct slw_err *err)
{
    SLW_AUTO(slw_stmt, put);
    TRY(slw_stmt_prepare(&put, tx, SQL_CURSOR_PUT, err));
    slw_stmt_str(&put, 1, slw_str_of(consumer));
    slw_stmt_i64(&put, 2, id);
    return slw_stmt_run(&put, err);
}

/* ---- verification ---- */

/* One link; *last moves on to it. */
static enum slw_rc
link_check(struct slw_stmt *st, struct head *last, struct slw_err *err)
{
    struct slw_event e;
    event_read(st, &e);
    if (e.id != last->id + 1)
        return slw_fail(err, SLW_CORRUPT,
                        "event %lld was removed from the log (event %lld "
                        "follows event %lld)",
                        (long long)last->id + 1, (long long)e.id,
                        (long long)last->id);
    char hash[SLW_SHA256_HEX_SIZE];
    event_hash(last->hash, &e, hash);
    if (!slw_str_eqz(e.hash, hash))
        return slw_fail(err, SLW_CORRUPT,
                        "event %lld (%.*s) was changed after it was written",
                        (long long)e.id, SLW_FMT(e.kind));
    last->id = e.id;
    memcpy(last->hash, hash, sizeof(last->hash));
    return SLW_OK;
}

enum slw_rc
slw_event_verify(struct slw_tx *tx, int64_t *out_count, struct slw_err *err)
{
    struct head head;
    TRY(head_get(tx, &head, err));
    struct head last = {0};
    memcpy(last.hash, HASH_FIRST, sizeof(last.hash));
    SLW_AUTO(slw_stmt, all);
    TRY(slw_stmt_prepare(&all, tx, SQL_ALL, err));
    bool row = true;
    for (;;) {
        TRY(slw_stmt_step(&all, &row, err));
        if (!row)
            break;
        TRY(link_check(&all, &last, err));
    }
    if (last.id < head.id)
        return slw_fail(err, SLW_CORRUPT,
                        "event %lld was removed from the end of the log",
                        (long long)last.id + 1);
    if (last.id > head.id || strcmp(last.hash, head.hash) != 0)
        return slw_fail(err, SLW_CORRUPT,
                        "event %lld is not the one the log ends with",
                        (long long)last.id);
    *out_count = last.id;
    return SLW_OK;
}
