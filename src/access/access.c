/* access.c -- bearer tokens: random secrets of which only the hash is kept,
 * and an in-memory table of them that requests are checked against.
 *
 * The table is replaced as a whole when tokens change; a check takes a short
 * read lock and compares every entry without an early exit, so its time says
 * nothing about how much of a guess was right. */
#include "access/access.h"

#include <pthread.h>

#include "base/hash.h"
#include "base/rng.h"
#include "store/event.h"

static const char SQL_TOKEN_ADD[] =
    "INSERT INTO access_token(name, role, secret_sha256, created_at_ms)"
    " VALUES(?1, ?2, ?3, ?4)";
static const char SQL_TOKEN_REVOKE[] =
    "UPDATE access_token SET revoked_at_ms = ?2"
    " WHERE name = ?1 AND revoked_at_ms IS NULL";
static const char SQL_TOKEN_LIST[] =
    "SELECT name, role, created_at_ms, revoked_at_ms FROM access_token"
    " ORDER BY created_at_ms, name";
static const char SQL_TOKEN_LIVE[] =
    "SELECT role, secret_sha256, name FROM access_token"
    " WHERE revoked_at_ms IS NULL";
static const char SQL_TOKEN_ANY[] = "SELECT count(*) FROM access_token";

static const char *const ROLE_NAMES[] = {"none", "reader", "writer", "deployer",
                                         "admin"};

#define TOKEN_PREFIX "slw_"
#define TOKEN_MAX 4096
#define NAME_SIZE 129 /* slw_name_ok() */

const char *
slw_role_name(enum slw_role r)
{
    SLW_ASSERT((size_t)r < SLW_ARRAY_LEN(ROLE_NAMES));
    return ROLE_NAMES[r];
}

enum slw_rc
slw_role_parse(struct slw_str s, enum slw_role *out, struct slw_err *err)
{
    for (size_t i = 1; i < SLW_ARRAY_LEN(ROLE_NAMES); i++)
        if (slw_str_eqz(s, ROLE_NAMES[i])) {
            *out = (enum slw_role)i;
            return SLW_OK;
        }
    return slw_fail(err, SLW_INVALID,
                    "unknown role '%.*s'; there are reader, writer, deployer "
                    "and admin",
                    SLW_FMT(s));
}

static enum slw_rc
emit(struct slw_tx *tx, int64_t now_ms, const char *kind, struct slw_str name,
     enum slw_role role, struct slw_err *err)
{
    SLW_AUTO(slw_buf, payload);
    struct slw_jw w;
    slw_jw_init(&w, &payload);
    slw_jw_obj(&w);
    slw_jw_kstr(&w, "name", name);
    if (role != SLW_ROLE_NONE)
        slw_jw_kz(&w, "role", slw_role_name(role));
    slw_jw_obj_end(&w);
    return slw_event_emit(tx, now_ms, kind, name, slw_buf_view(&payload), err);
}

enum slw_rc
slw_access_token_make(struct slw_tx *tx, int64_t now_ms, struct slw_str name,
                      enum slw_role role, char out_secret[64],
                      struct slw_err *err)
{
    if (!slw_name_ok(name))
        return slw_fail(err, SLW_INVALID,
                        "a token's name is 1 to 128 letters, digits, '_', '-' "
                        "or '.'");
    char secret[64], a[33], hex[SLW_SHA256_HEX_SIZE];
    slw_random_hex32(a);
    int length = snprintf(secret, sizeof secret, TOKEN_PREFIX "%s", a);
    struct slw_sha256 hash = slw_sha256_of(secret, (size_t)length);
    SLW_AUTO(slw_stmt, add);
    TRY(slw_stmt_prepare(&add, tx, SQL_TOKEN_ADD, err));
    slw_stmt_str(&add, 1, name);
    slw_stmt_i64(&add, 2, role);
    slw_stmt_str(&add, 3, slw_str_of(slw_sha256_hex(&hash, hex)));
    slw_stmt_i64(&add, 4, now_ms);
    enum slw_rc rc = slw_stmt_run(&add, err);
    if (rc == SLW_CONFLICT)
        return slw_fail(err, SLW_CONFLICT, "there is already a token '%.*s'",
                        SLW_FMT(name));
    TRY(rc);
    TRY(emit(tx, now_ms, "access.token_made", name, role, err));
    memcpy(out_secret, secret, sizeof secret);
    return SLW_OK;
}

enum slw_rc
slw_access_token_revoke(struct slw_tx *tx, int64_t now_ms, struct slw_str name,
                        struct slw_err *err)
{
    SLW_AUTO(slw_stmt, revoke);
    TRY(slw_stmt_prepare(&revoke, tx, SQL_TOKEN_REVOKE, err));
    slw_stmt_str(&revoke, 1, name);
    slw_stmt_i64(&revoke, 2, now_ms);
    TRY(slw_stmt_run(&revoke, err));
    if (slw_tx_changes(tx) == 0)
        return slw_fail(err, SLW_NOT_FOUND, "there is no live token '%.*s'",
                        SLW_FMT(name));
    return emit(tx, now_ms, "access.token_revoked", name, SLW_ROLE_NONE, err);
}

enum slw_rc
slw_access_token_list(struct slw_tx *tx, struct slw_jw *w, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, list);
    TRY(slw_stmt_prepare(&list, tx, SQL_TOKEN_LIST, err));
    slw_jw_arr(w);
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&list, &row, err));
        if (!row)
            break;
        slw_jw_obj(w);
        slw_jw_kstr(w, "name", slw_col_str(&list, 0));
        slw_jw_kz(w, "role",
                  slw_role_name((enum slw_role)slw_col_i64(&list, 1)));
        slw_jw_ki64(w, "created_at_ms", slw_col_i64(&list, 2));
        if (!slw_col_null(&list, 3))
            slw_jw_ki64(w, "revoked_at_ms", slw_col_i64(&list, 3));
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
    return SLW_OK;
}

/* ---- the table in memory ---- */

struct entry {
    struct slw_sha256 hash;
    enum slw_role role;
    char name[NAME_SIZE];
};

struct slw_access {
    struct slw_store *store;
    pthread_rwlock_t lock; /* guards what follows */
    struct entry *entries; /* heap */
    size_t count;
    bool open; /* no token was ever made */
};

/* All live tokens, and whether any was ever made. */
static enum slw_rc
load(struct slw_store *s, struct entry *out, size_t *out_count, bool *out_open,
     struct slw_err *err)
{
    bool row = false;
    SLW_AUTO(slw_tx, tx);
    TRY(slw_tx_read(&tx, s, err));
    SLW_AUTO(slw_stmt, any);
    TRY(slw_stmt_prepare(&any, &tx, SQL_TOKEN_ANY, err));
    TRY(slw_stmt_step(&any, &row, err));
    *out_open = !row || slw_col_i64(&any, 0) == 0;
    SLW_AUTO(slw_stmt, live);
    TRY(slw_stmt_prepare(&live, &tx, SQL_TOKEN_LIVE, err));
    *out_count = 0;
    for (;;) {
        TRY(slw_stmt_step(&live, &row, err));
        if (!row)
            return SLW_OK;
        if (*out_count == TOKEN_MAX)
            return slw_fail(err, SLW_LIMIT, "more than %d live tokens",
                            TOKEN_MAX);
        struct entry *e = &out[(*out_count)++];
        e->role = (enum slw_role)slw_col_i64(&live, 0);
        TRY(slw_sha256_parse(slw_col_str(&live, 1), &e->hash, err));
        (void)snprintf(e->name, sizeof e->name, "%.*s",
                       SLW_FMT(slw_col_str(&live, 2)));
    }
}

enum slw_rc
slw_access_reload(struct slw_access *a, struct slw_err *err)
{
    struct entry *entries = slw_alloc(TOKEN_MAX * sizeof *entries);
    size_t count = 0;
    bool open = true;
    enum slw_rc rc = load(a->store, entries, &count, &open, err);
    if (rc == SLW_OK) {
        entries = slw_realloc(entries, (count + 1) * sizeof *entries);
        pthread_rwlock_wrlock(&a->lock);
        struct entry *old = a->entries;
        a->entries = entries;
        a->count = count;
        a->open = open;
        pthread_rwlock_unlock(&a->lock);
        entries = old;
    }
    slw_free(entries);
    return rc;
}

enum slw_rc
slw_access_open(struct slw_access **out, struct slw_store *s,
                struct slw_err *err)
{
    struct slw_access *a = slw_alloc(sizeof *a);
    a->store = s;
    pthread_rwlock_init(&a->lock, NULL);
    enum slw_rc rc = slw_access_reload(a, err);
    if (rc != SLW_OK) {
        slw_access_close(a);
        return rc;
    }
    *out = a;
    return SLW_OK;
}

void
slw_access_close(struct slw_access *a)
{
    if (!a)
        return;
    pthread_rwlock_destroy(&a->lock);
    slw_free(a->entries);
    slw_free(a);
}

bool
slw_access_is_open(const struct slw_access *a)
{
    struct slw_access *m = (struct slw_access *)(uintptr_t)a;
    pthread_rwlock_rdlock(&m->lock);
    bool open = m->open;
    pthread_rwlock_unlock(&m->lock);
    return open;
}

/* Value of one base64 digit, or -1. */
static int
base64_digit(char c)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* The password of "user:password" in base64; 0 when it is not that. */
static size_t
basic_password(struct slw_str text, char *out, size_t size)
{
    char plain[256];
    size_t length = 0;
    unsigned bits = 0, held = 0;
    for (size_t i = 0; i < text.len && text.ptr[i] != '='; i++) {
        int digit = base64_digit(text.ptr[i]);
        if (digit < 0 || length == sizeof plain)
            return 0;
        bits = bits << 6 | (unsigned)digit;
        held += 6;
        if (held >= 8) {
            held -= 8;
            plain[length++] = (char)(bits >> held & 0xff);
        }
    }
    struct slw_str user, password;
    if (!slw_str_cut((struct slw_str){plain, length}, ':', &user, &password) ||
        password.len >= size)
        return 0;
    memcpy(out, password.ptr, password.len);
    return password.len;
}

/* Bytes that differ, without an early exit. */
static unsigned
difference(const struct slw_sha256 *a, const struct slw_sha256 *b)
{
    unsigned d = 0;
    for (size_t i = 0; i < sizeof a->bytes; i++)
        d |= (unsigned)(a->bytes[i] ^ b->bytes[i]);
    return d;
}

/* The hash of the token that was presented. */
static struct slw_sha256
presented(struct slw_str authorization, bool *out_any)
{
    char password[128];
    struct slw_str token = {0};
    if (slw_str_starts(authorization, "Bearer ")) {
        token = slw_str_trim(
            (struct slw_str){authorization.ptr + 7, authorization.len - 7});
    } else if (slw_str_starts(authorization, "Basic ")) {
        token.len =
            basic_password(slw_str_trim((struct slw_str){
                               authorization.ptr + 6, authorization.len - 6}),
                           password, sizeof password);
        token.ptr = password;
    }
    *out_any = token.len > 0;
    return slw_sha256_of(token.ptr ? token.ptr : "", token.len);
}

/* Its entry; role NONE: there is none. */
static struct entry
entry_find(struct slw_access *a, const struct slw_sha256 *hash, bool *out_open)
{
    struct entry found = {.role = SLW_ROLE_NONE};
    pthread_rwlock_rdlock(&a->lock);
    *out_open = a->open;
    for (size_t i = 0; i < a->count; i++)
        if (difference(hash, &a->entries[i].hash) == 0)
            found = a->entries[i];
    pthread_rwlock_unlock(&a->lock);
    return found;
}

enum slw_rc
slw_access_check(struct slw_access *a, struct slw_str authorization,
                 enum slw_role *out_role, struct slw_err *err)
{
    bool any = false, open = false;
    struct slw_sha256 hash = presented(authorization, &any);
    enum slw_role role = entry_find(a, &hash, &open).role;
    if (open)
        role = SLW_ROLE_ADMIN;
    if (role == SLW_ROLE_NONE)
        return slw_fail(err, SLW_DENIED,
                        any ? "the token is unknown or revoked"
                            : "send a token: Authorization: Bearer …");
    *out_role = role;
    return SLW_OK;
}

struct slw_str
slw_access_who(struct slw_access *a, struct slw_str authorization,
               struct slw_arena *arena)
{
    bool any = false, open = false;
    struct slw_sha256 hash = presented(authorization, &any);
    struct entry e = entry_find(a, &hash, &open);
    return slw_arena_str(arena,
                         slw_str_of(e.role == SLW_ROLE_NONE ? "" : e.name));
}
