/* util.c -- small things of this room: names as numbers, checks of keys and
 * paths, names for those who give none. */
#include "track/track_internal.h"

static const char SQL_KEY_FIND[] = "SELECT id FROM track_key WHERE name = ?1";
static const char SQL_KEY_ADD[] = "INSERT INTO track_key(name) VALUES(?1)";
static const char SQL_KEY_NAME[] = "SELECT name FROM track_key WHERE id = ?1";

enum slw_rc
track_key_find_prepare(struct slw_tx *tx, struct slw_stmt *find,
                       struct slw_err *err)
{
    return slw_stmt_prepare(find, tx, SQL_KEY_FIND, err);
}

static enum slw_rc
find_with(struct slw_stmt *find, struct slw_str name, int64_t *out_id,
          struct slw_err *err)
{
    bool row = false;
    slw_stmt_str(find, 1, name);
    TRY(slw_stmt_step(find, &row, err));
    *out_id = row ? slw_col_i64(find, 0) : -1;
    slw_stmt_reset(find);
    return SLW_OK;
}

enum slw_rc
track_key_find(struct slw_tx *tx, struct slw_str name, int64_t *out_id,
               struct slw_err *err)
{
    SLW_AUTO(slw_stmt, find);
    TRY(track_key_find_prepare(tx, &find, err));
    return find_with(&find, name, out_id, err);
}

enum slw_rc
track_key_intern_with(struct slw_tx *tx, struct slw_stmt *find,
                      struct slw_str name, int64_t *out_id, struct slw_err *err)
{
    int64_t id = -1;
    if (slw_tx_recall(tx, name, out_id))
        return SLW_OK;
    TRY(find_with(find, name, &id, err));
    if (id < 0) {
        SLW_AUTO(slw_stmt, st);
        TRY(slw_stmt_prepare(&st, tx, SQL_KEY_ADD, err));
        slw_stmt_str(&st, 1, name);
        TRY(slw_stmt_run(&st, err));
        id = slw_tx_last_id(tx);
    }
    if (id > UINT32_MAX)
        return slw_fail(err, SLW_LIMIT, "too many different names were logged");
    slw_tx_remember(tx, name, id);
    *out_id = id;
    return SLW_OK;
}

enum slw_rc
track_key_intern(struct slw_tx *tx, struct slw_str name, int64_t *out_id,
                 struct slw_err *err)
{
    SLW_AUTO(slw_stmt, find);
    TRY(track_key_find_prepare(tx, &find, err));
    return track_key_intern_with(tx, &find, name, out_id, err);
}

static size_t
name_slot(const struct track_names *n, int64_t id)
{
    size_t at = (size_t)((uint64_t)id * 0x9e3779b97f4a7c15u) & (n->cap - 1);
    while (n->ids[at] != 0 && n->ids[at] != id)
        at = (at + 1) & (n->cap - 1);
    return at;
}

static void
names_grow(struct track_names *n)
{
    struct track_names old = *n;
    n->cap = old.cap ? old.cap * 2 : 64;
    n->ids = SLW_ARENA_NEW(n->arena, int64_t, n->cap);
    n->names = SLW_ARENA_NEW(n->arena, struct slw_str, n->cap);
    for (size_t i = 0; i < old.cap; i++) {
        if (!old.ids[i])
            continue;
        size_t at = name_slot(n, old.ids[i]);
        n->ids[at] = old.ids[i];
        n->names[at] = old.names[i];
    }
}

enum slw_rc
track_name(struct slw_tx *tx, struct track_names *n, int64_t id,
           struct slw_str *out, struct slw_err *err)
{
    if (n->count * 2 >= n->cap)
        names_grow(n);
    size_t at = name_slot(n, id);
    if (n->ids[at] == 0) {
        SLW_AUTO(slw_stmt, st);
        bool row = false;
        TRY(slw_stmt_prepare(&st, tx, SQL_KEY_NAME, err));
        slw_stmt_i64(&st, 1, id);
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return slw_fail(err, SLW_CORRUPT, "track_key has no row %lld",
                            (long long)id);
        n->names[at] = slw_col_dup(&st, 0, n->arena);
        n->ids[at] = id;
        n->count++;
    }
    *out = n->names[at];
    return SLW_OK;
}

/* Start of a UTF-8 character? */
static bool
starts_char(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

struct slw_str
slw_track_cut(struct slw_str s, size_t count_max)
{
    if (s.len <= count_max)
        return s;
    size_t count = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (starts_char(s.ptr[i]) && count++ == count_max)
            return (struct slw_str){s.ptr, i};
    }
    return s;
}

static bool
key_char_ok(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || (c && strchr("_/.- :", c)) ||
           (unsigned char)c >= 0x80;
}

/* No part is empty, "." or "..": it resolves to nothing but itself. */
static bool
parts_ok(struct slw_str s)
{
    bool more = true;
    while (more) {
        struct slw_str part, rest;
        more = slw_str_cut(s, '/', &part, &rest);
        if (part.len == 0 || slw_str_eqz(part, ".") || slw_str_eqz(part, ".."))
            return false;
        s = rest;
    }
    return true;
}

void
slw_track_quote(struct slw_buf *out, struct slw_str text)
{
    slw_buf_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint32_t c = (unsigned char)text.ptr[i];
        size_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
        c &= more ? 0x3fu >> more : 0xffu;
        while (more-- && i + 1 < text.len)
            c = c << 6 | ((unsigned char)text.ptr[++i] & 0x3fu);
        if (c == '"' || c == '\\')
            slw_buf_printf(out, "\\%c", (int)c);
        else if (c == '\n' || c == '\t' || c == '\r')
            slw_buf_z(out, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r");
        else if (c >= 0x20 && c < 0x80)
            slw_buf_char(out, (char)c);
        else if (c < 0x10000)
            slw_buf_printf(out, "\\u%04x", (unsigned)c);
        else
            slw_buf_printf(out, "\\u%04x\\u%04x",
                           0xd800u + ((unsigned)(c - 0x10000) >> 10),
                           0xdc00u + ((unsigned)(c - 0x10000) & 0x3ffu));
    }
    slw_buf_char(out, '"');
}

/* The path a key would be as a file: "a//b/" is "a/b", "" is ".". */
static struct slw_str
normal_path(struct slw_arena *a, struct slw_str key)
{
    char *out = slw_arena_alloc(a, key.len + 2);
    size_t len = 0, root = slw_str_starts(key, "/");
    struct slw_str part;
    bool more = true;
    if (root)
        out[len++] = '/';
    while (more) {
        more = slw_str_cut(key, '/', &part, &key);
        if (part.len == 0 || slw_str_eqz(part, "."))
            continue;
        size_t last = len; /* where the last part begins */
        while (last > root && out[last - 1] != '/')
            last--;
        bool up = slw_str_eqz(part, "..");
        if (up && root && len == root)
            continue;
        if (up && len > root &&
            !(len - last == 2 && out[last] == '.' && out[last + 1] == '.')) {
            len = last > root ? last - 1 : root;
            continue;
        }
        if (len > root)
            out[len++] = '/';
        memcpy(out + len, part.ptr, part.len);
        len += part.len;
    }
    if (len == 0)
        out[len++] = '.';
    return (struct slw_str){out, len};
}

static enum slw_rc
key_refuse(struct slw_str key, const char *what, bool characters,
           struct slw_err *err)
{
    SLW_AUTO(slw_arena, a);
    SLW_AUTO(slw_buf, quoted);
    key = slw_track_cut(key, 100);
    slw_track_quote(&quoted, key);
    if (characters)
        return slw_fail(
            err, SLW_INVALID,
            "Invalid value %.*s for parameter '%s' supplied: Names may only "
            "contain alphanumerics, underscores (_), dashes (-), periods (.), "
            "spaces ( ), colon(:) and slashes (/).",
            SLW_FMT(slw_buf_view(&quoted)), what);
    return slw_fail(
        err, SLW_INVALID,
        "Invalid value %.*s for parameter '%s' supplied: Names may be treated "
        "as files in certain cases, and must not resolve to other names when "
        "treated as such. This name would resolve to '%.*s'",
        SLW_FMT(slw_buf_view(&quoted)), what, SLW_FMT(normal_path(&a, key)));
}

enum slw_rc
slw_track_key_check(struct slw_str key, const char *what, struct slw_err *err)
{
    for (size_t i = 0; i < key.len; i++) {
        if (!key_char_ok(key.ptr[i]))
            return key_refuse(key, what, true, err);
    }
    if (slw_str_starts(key, "..") || !parts_ok(key))
        return key_refuse(key, what, false, err);
    if (slw_track_cut(key, SLW_TRACK_KEY_CHARS_MAX).len < key.len)
        return slw_fail(err, SLW_INVALID,
                        "'%s' exceeds the maximum length of %d characters",
                        what, SLW_TRACK_KEY_CHARS_MAX);
    return SLW_OK;
}

static bool
plain_path_ok(struct slw_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == '\\' ||
            s.ptr[i] == 0x7f)
            return false;
    }
    return parts_ok(s);
}

/* Percent-decode in place; the new length. */
static size_t
decode_once(char *p, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (p[i] == '%' && i + 2 < len && slw_hex_digit(p[i + 1]) >= 0 &&
            slw_hex_digit(p[i + 2]) >= 0) {
            p[n++] =
                (char)(slw_hex_digit(p[i + 1]) * 16 + slw_hex_digit(p[i + 2]));
            i += 2;
        } else {
            p[n++] = p[i];
        }
    }
    return n;
}

bool
slw_track_path_ok(struct slw_str path)
{
    char work[SLW_TRACK_PATH_SIZE_MAX];
    if (path.len == 0 || path.len > sizeof(work) || !slw_str_utf8_ok(path))
        return false;
    memcpy(work, path.ptr, path.len);
    size_t len = path.len;
    for (;;) { /* each turn but the last makes it shorter */
        if (!plain_path_ok((struct slw_str){work, len}))
            return false;
        size_t shorter = decode_once(work, len);
        if (shorter == len)
            return true;
        len = shorter;
    }
}

struct slw_str
track_name_invent(struct slw_arena *a, const char hex[33])
{
    static const char *const how[] = {
        "able",   "brisk",  "calm",   "clever", "crisp", "eager", "fair",
        "gentle", "glad",   "hardy",  "keen",   "kind",  "lucid", "merry",
        "neat",   "nimble", "placid", "proud",  "quick", "quiet", "rare",
        "sharp",  "sleek",  "smart",  "spry",   "stout", "swift", "tidy",
        "upbeat", "vivid",  "warm",   "wise"};
    static const char *const who[] = {
        "auk",   "bee",   "boar",  "carp",  "colt",  "crane", "crow",  "deer",
        "dove",  "eel",   "elk",   "finch", "fox",   "frog",  "goat",  "grouse",
        "hare",  "heron", "ibex",  "koi",   "lark",  "lynx",  "mole",  "newt",
        "otter", "owl",   "perch", "quail", "robin", "seal",  "stoat", "wren"};
    unsigned r = 0;
    for (size_t i = 0; i < 7; i++)
        r = r * 16 + (unsigned)slw_hex_digit(hex[i]);
    return slw_arena_printf(a, "%s-%s-%u", how[r % 32], who[r / 32 % 32],
                            r / 1024 % 1000);
}

int
track_kv_compare(const void *a, const void *b)
{
    return slw_str_cmp(((const struct slw_kv *)a)->key,
                       ((const struct slw_kv *)b)->key);
}
