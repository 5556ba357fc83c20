/* filter.c -- MLflow's filter language: clauses joined by AND, each
 * `[entity.]key op value`, and `key [ASC|DESC]` for orders.
 *
 * A hand-written reader: words, quoted words, operators, numbers, lists.  The
 * entity ends at the first dot; a key may be quoted with ` or ".  What comes
 * out is data (struct slw_filter); slw_sql turns it into SQL with bound
 * values, so nothing a client writes becomes SQL text. */
#include <strings.h>

#include "track/track_internal.h"

struct reader {
    struct slw_str text; /* as sent, blanks at its ends included */
    size_t at;
    struct slw_arena *arena;
};

#define SHOWN_MAX 60 /* bytes of what was sent that a message repeats */

/* Which character (not byte) of the text stands at a byte, from 1. */
static size_t
character_of(struct slw_str text, size_t at)
{
    size_t n = 1;
    for (size_t i = 0; i < at && i < text.len; i++)
        n += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return n;
}

/* Ends a sentence with its place; of one that is too long, the place stays. */
static void
place_add(struct slw_err *err, size_t character)
{
    char place[48];
    size_t len = strlen(err->msg);
    const bool ended = len && err->msg[len - 1] == '.';
    int n = snprintf(place, sizeof(place),
                     ended ? " (at character %zu)" : ", at character %zu",
                     character);
    const size_t room = sizeof(err->msg) - (size_t)n - 1;
    if (len > room) {
        len = room - 3;
        while (len && ((unsigned char)err->msg[len] & 0xc0) == 0x80)
            len--;
        memcpy(err->msg + len, "\xe2\x80\xa6", 3);
        len += 3;
    }
    memcpy(err->msg + len, place, (size_t)n + 1);
}

/* A fault at a byte of what is read. */
static enum slw_rc
fault(const struct reader *r, size_t at, struct slw_err *err)
{
    place_add(err, character_of(r->text, at));
    return SLW_INVALID;
}

/* The beginning of a text, for messages. */
static struct slw_str
shown(struct slw_str s)
{
    size_t n = s.len < SHOWN_MAX ? s.len : SHOWN_MAX;
    while (n < s.len && n && ((unsigned char)s.ptr[n] & 0xc0) == 0x80)
        n--;
    return (struct slw_str){s.ptr, n};
}

static const char *const OP_NAMES[] = {
    "=",    "!=",    "<",  "<=",     ">",       ">=",
    "LIKE", "ILIKE", "IN", "NOT IN", "IS NULL", "IS NOT NULL"};

const char *
slw_filter_op_name(enum slw_filter_op op)
{
    SLW_ASSERT((size_t)op < SLW_ARRAY_LEN(OP_NAMES));
    return OP_NAMES[op];
}

/* A character of `set` stands here.  A NUL is in no set, though strchr() finds
 * it in every one. */
static bool
stands_one_of(const struct reader *r, const char *set)
{
    const char c = r->at < r->text.len ? r->text.ptr[r->at] : '\0';
    return c && strchr(set, c);
}

static void
skip_blanks(struct reader *r)
{
    while (stands_one_of(r, " \t\r\n"))
        r->at++;
}

static struct slw_str
rest_of(const struct reader *r)
{
    return (struct slw_str){r->text.ptr + r->at, r->text.len - r->at};
}

static bool
at_end(struct reader *r)
{
    skip_blanks(r);
    return r->at >= r->text.len;
}

static bool
is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || (unsigned char)c >= 0x80;
}

/* Takes the word if it stands here, whole, in any case. */
static bool
take_word(struct reader *r, const char *word)
{
    skip_blanks(r);
    struct slw_str s = rest_of(r);
    size_t n = strlen(word);
    if (s.len < n || strncasecmp(s.ptr, word, n) != 0)
        return false;
    if (s.len > n && is_word_char(s.ptr[n]))
        return false;
    r->at += n;
    return true;
}

static bool
take_char(struct reader *r, char c)
{
    skip_blanks(r);
    if (r->at >= r->text.len || r->text.ptr[r->at] != c)
        return false;
    r->at++;
    return true;
}

static enum slw_rc
quoted(struct reader *r, struct slw_str *out, struct slw_err *err)
{
    char q = r->text.ptr[r->at];
    size_t from = r->at + 1;
    size_t at = from;
    while (at < r->text.len && r->text.ptr[at] != q)
        at++;
    if (at >= r->text.len) {
        (void)!slw_fail(err, SLW_INVALID,
                        "Invalid clause(s) in filter string: the quote is "
                        "not closed: %.*s",
                        SLW_FMT(shown(rest_of(r))));
        return fault(r, r->at, err);
    }
    *out = (struct slw_str){r->text.ptr + from, at - from};
    r->at = at + 1;
    return SLW_OK;
}

/* One part of a key: quoted, or plain up to a blank or an operator. */
static enum slw_rc
key_part(struct reader *r, bool stop_at_dot, struct slw_str *out,
         struct slw_err *err)
{
    size_t from = r->at;
    if (stands_one_of(r, "`\"")) {
        TRY(quoted(r, out, err));
        if (out->len)
            return SLW_OK;
        (void)!slw_fail(err, SLW_INVALID,
                        "Invalid clause(s) in filter string: the key is "
                        "empty");
        return fault(r, from, err);
    }
    while (r->at < r->text.len) {
        char c = r->text.ptr[r->at];
        if (!is_word_char(c) && !stands_one_of(r, "-./:"))
            break;
        if (stop_at_dot && c == '.')
            break;
        r->at++;
    }
    if (r->at == from) {
        (void)!slw_fail(err, SLW_INVALID,
                        "Invalid clause(s) in filter string: a key is wanted "
                        "at '%.*s'",
                        SLW_FMT(shown(rest_of(r))));
        return fault(r, from, err);
    }
    *out = (struct slw_str){r->text.ptr + from, r->at - from};
    return SLW_OK;
}

static enum slw_rc
read_key(struct reader *r, struct slw_str *entity, struct slw_str *key,
         struct slw_err *err)
{
    skip_blanks(r);
    struct slw_str first = {0};
    TRY(key_part(r, true, &first, err));
    if (r->at < r->text.len && r->text.ptr[r->at] == '.') {
        r->at++;
        *entity = first;
        return key_part(r, false, key, err);
    }
    *entity = (struct slw_str){"", 0};
    *key = first;
    return SLW_OK;
}

static enum slw_rc
read_op(struct reader *r, enum slw_filter_op *out, struct slw_err *err)
{
    static const struct {
        const char *text;
        enum slw_filter_op op;
    } signs[] = {{"!=", SLW_OP_NE}, {"<=", SLW_OP_LE}, {">=", SLW_OP_GE},
                 {"<>", SLW_OP_NE}, {"=", SLW_OP_EQ},  {"<", SLW_OP_LT},
                 {">", SLW_OP_GT}};
    skip_blanks(r);
    for (size_t i = 0; i < SLW_ARRAY_LEN(signs); i++) {
        if (slw_str_starts(rest_of(r), signs[i].text)) {
            r->at += strlen(signs[i].text);
            *out = signs[i].op;
            return SLW_OK;
        }
    }
    const size_t from = r->at;
    struct slw_str was = shown(rest_of(r));
    if (take_word(r, "ILIKE"))
        *out = SLW_OP_ILIKE;
    else if (take_word(r, "LIKE"))
        *out = SLW_OP_LIKE;
    else if (take_word(r, "IN"))
        *out = SLW_OP_IN;
    else if (take_word(r, "NOT") && take_word(r, "IN"))
        *out = SLW_OP_NOT_IN;
    else if (take_word(r, "IS")) {
        *out = take_word(r, "NOT") ? SLW_OP_NOT_NULL : SLW_OP_IS_NULL;
        if (!take_word(r, "NULL")) {
            (void)!slw_fail(err, SLW_INVALID,
                            "Invalid clause(s) in filter string: IS must be "
                            "followed by NULL or NOT NULL at '%.*s'",
                            SLW_FMT(was));
            return fault(r, from, err);
        }
    } else {
        (void)!slw_fail(err, SLW_INVALID,
                        "Invalid clause(s) in filter string: a comparator "
                        "(= != < <= > >= LIKE ILIKE IN NOT IN) is wanted at "
                        "'%.*s'",
                        SLW_FMT(was));
        return fault(r, from, err);
    }
    return SLW_OK;
}

static enum slw_rc
read_list(struct reader *r, struct slw_filter_clause *c, struct slw_err *err)
{
    size_t cap = 0;
    if (!take_char(r, '(')) {
        (void)!slw_fail(err, SLW_INVALID,
                        "Invalid clause(s) in filter string: IN wants a list "
                        "of quoted strings in parentheses at '%.*s'",
                        SLW_FMT(shown(rest_of(r))));
        return fault(r, r->at, err);
    }
    do {
        skip_blanks(r);
        if (!stands_one_of(r, "'\"")) {
            (void)!slw_fail(err, SLW_INVALID,
                            "While parsing a list in the query, expected "
                            "string value, punctuation, or whitespace, but "
                            "got different type in list: '%.*s'",
                            SLW_FMT(shown(rest_of(r))));
            return fault(r, r->at, err);
        }
        struct slw_str v = {0};
        TRY(quoted(r, &v, err));
        c->list = slw_arena_grow(r->arena, c->list, sizeof(*c->list),
                                 c->list_count, &cap);
        c->list[c->list_count++] = v;
    } while (take_char(r, ','));
    if (take_char(r, ')'))
        return SLW_OK;
    (void)!slw_fail(err, SLW_INVALID,
                    "Invalid clause(s) in filter string: the list is not "
                    "closed at '%.*s'",
                    SLW_FMT(shown(rest_of(r))));
    return fault(r, r->at, err);
}

static enum slw_rc
read_value(struct reader *r, struct slw_filter_clause *c, struct slw_err *err)
{
    skip_blanks(r);
    if (stands_one_of(r, "'\""))
        return quoted(r, &c->text, err);
    size_t from = r->at;
    while (r->at < r->text.len && !stands_one_of(r, " \t\r\n(),"))
        r->at++;
    c->text = (struct slw_str){r->text.ptr + from, r->at - from};
    struct slw_err ignored;
    if (slw_str_f64(c->text, &c->number, &ignored) != SLW_OK) {
        (void)!slw_fail(err, SLW_INVALID,
                        "Parameter value is either not quoted or unidentified "
                        "quote types used for string value %.*s. Use either "
                        "single or double quotes.",
                        SLW_FMT(shown(c->text)));
        return fault(r, from, err);
    }
    c->is_number = true;
    return SLW_OK;
}

static enum slw_rc
read_clause(struct reader *r, struct slw_filter_clause *c, struct slw_err *err)
{
    skip_blanks(r);
    c->at = character_of(r->text, r->at);
    TRY(read_key(r, &c->entity, &c->key, err));
    TRY(read_op(r, &c->op, err));
    switch (c->op) {
    case SLW_OP_IS_NULL:
    case SLW_OP_NOT_NULL:
        return SLW_OK;
    case SLW_OP_IN:
    case SLW_OP_NOT_IN:
        return read_list(r, c, err);
    default:
        return read_value(r, c, err);
    }
}

enum slw_rc
slw_filter_parse(struct slw_str text, struct slw_arena *a,
                 struct slw_filter *out, struct slw_err *err)
{
    SLW_ASSERT(a);
    struct slw_filter f = {0};
    size_t cap = 0;
    if (text.len > SLW_FILTER_SIZE_MAX)
        return slw_fail(err, SLW_INVALID,
                        "the filter string is longer than %d bytes",
                        SLW_FILTER_SIZE_MAX);
    struct reader r = {.text = text, .arena = a};
    while (!at_end(&r)) {
        if (f.count == SLW_FILTER_CLAUSE_MAX)
            return slw_fail(err, SLW_INVALID,
                            "the filter string has more than %d clauses",
                            SLW_FILTER_CLAUSE_MAX);
        struct slw_filter_clause c = {0};
        TRY(read_clause(&r, &c, err));
        f.clauses =
            slw_arena_grow(a, f.clauses, sizeof(*f.clauses), f.count, &cap);
        f.clauses[f.count++] = c;
        if (at_end(&r))
            break;
        const size_t from = r.at;
        if (!take_word(&r, "AND") || at_end(&r)) {
            r.at = from;
            (void)!slw_fail(err, SLW_INVALID,
                            "Invalid clause(s) in filter string: clauses are "
                            "joined by AND only, not '%.*s'",
                            SLW_FMT(shown(rest_of(&r))));
            return fault(&r, from, err);
        }
    }
    *out = f;
    return SLW_OK;
}

static enum slw_rc
order_fault(const struct reader *r, size_t at, struct slw_err *err)
{
    (void)!slw_fail(err, SLW_INVALID,
                    "Invalid order_by clause '%.*s'. Could not be parsed.",
                    SLW_FMT(shown(r->text)));
    return fault(r, at, err);
}

enum slw_rc
slw_order_parse(struct slw_str text, struct slw_arena *a, struct slw_order *out,
                struct slw_err *err)
{
    struct slw_order o = {0};
    struct reader r = {.text = text, .arena = a};
    skip_blanks(&r);
    o.at = character_of(text, r.at);
    if (read_key(&r, &o.entity, &o.key, err) != SLW_OK)
        return order_fault(&r, r.at, err);
    if (take_word(&r, "DESC"))
        o.descending = true;
    else
        (void)take_word(&r, "ASC");
    if (!at_end(&r))
        return order_fault(&r, r.at, err);
    *out = o;
    return SLW_OK;
}

enum slw_rc
slw_filter_place(enum slw_rc rc, size_t at, struct slw_err *err)
{
    if (rc == SLW_INVALID)
        place_add(err, at);
    return rc;
}

/* ---- SQL ---- */

void
slw_sql_init(struct slw_sql *q, struct slw_arena *a)
{
    *q = (struct slw_sql){.arena = a};
    slw_buf_init(&q->text, (size_t)1 << 20);
}

void
slw_sql_done(struct slw_sql *q)
{
    slw_buf_done(&q->text);
}

void
slw_sql_add(struct slw_sql *q, const char *text)
{
    slw_buf_z(&q->text, text);
}

static struct slw_sql_bind *
bind_next(struct slw_sql *q)
{
    if (q->bind_count >= SLW_SQL_BIND_MAX) {
        q->bind_count = SLW_SQL_BIND_MAX + 1; /* told by slw_sql_prepare */
        return &q->binds[0];
    }
    q->binds = slw_arena_grow(q->arena, q->binds, sizeof(*q->binds),
                              q->bind_count, &q->bind_cap);
    q->bind_count++;
    slw_buf_printf(&q->text, "?%zu", q->bind_count);
    return &q->binds[q->bind_count - 1];
}

void
slw_sql_i64(struct slw_sql *q, int64_t v)
{
    *bind_next(q) = (struct slw_sql_bind){.kind = SLW_BIND_I64, .i = v};
}

void
slw_sql_f64(struct slw_sql *q, double v)
{
    *bind_next(q) = (struct slw_sql_bind){.kind = SLW_BIND_F64, .f = v};
}

void
slw_sql_str(struct slw_sql *q, struct slw_str v)
{
    *bind_next(q) = (struct slw_sql_bind){.kind = SLW_BIND_STR, .s = v};
}

/* SQLite's LIKE ignores case; its GLOB does not, but has other wildcards. */
static struct slw_str
glob_of(struct slw_arena *a, struct slw_str like)
{
    char *out = slw_arena_alloc(a, like.len * 3 + 1);
    size_t n = 0;
    for (size_t i = 0; i < like.len; i++) {
        char c = like.ptr[i];
        if (c == '%') {
            out[n++] = '*';
        } else if (c == '_') {
            out[n++] = '?';
        } else if (strchr("*?[", c) && c) {
            out[n++] = '[';
            out[n++] = c;
            out[n++] = ']';
        } else {
            out[n++] = c;
        }
    }
    return (struct slw_str){out, n};
}

void
slw_sql_compare_text(struct slw_sql *q, const char *column,
                     const struct slw_filter_clause *c)
{
    slw_sql_add(q, column);
    switch (c->op) {
    case SLW_OP_LIKE:
        slw_sql_add(q, " GLOB ");
        slw_sql_str(q, glob_of(q->arena, c->text));
        break;
    case SLW_OP_ILIKE:
        slw_sql_add(q, " LIKE ");
        slw_sql_str(q, c->text);
        break;
    case SLW_OP_IN:
    case SLW_OP_NOT_IN:
        slw_sql_add(q, c->op == SLW_OP_IN ? " IN (" : " NOT IN (");
        for (size_t i = 0; i < c->list_count; i++) {
            slw_sql_add(q, i ? ", " : "");
            slw_sql_str(q, c->list[i]);
        }
        slw_sql_add(q, ")");
        break;
    default:
        slw_sql_add(q, " ");
        slw_sql_add(q, slw_filter_op_name(c->op));
        slw_sql_add(q, " ");
        slw_sql_str(q, c->text);
    }
}

void
slw_sql_compare_number(struct slw_sql *q, const char *column,
                       const struct slw_filter_clause *c)
{
    SLW_ASSERT(c->is_number);
    SLW_ASSERT(c->op <= SLW_OP_GE);
    slw_sql_add(q, column);
    /* NaN is stored as NULL and passes != only. */
    slw_sql_add(q, " ");
    slw_sql_add(q, c->op == SLW_OP_NE ? "IS NOT" : slw_filter_op_name(c->op));
    slw_sql_add(q, " ");
    slw_sql_f64(q, c->number);
}

enum slw_rc
slw_sql_prepare(struct slw_sql *q, struct slw_tx *tx, struct slw_stmt *out,
                struct slw_err *err)
{
    if (q->bind_count > SLW_SQL_BIND_MAX)
        return slw_fail(err, SLW_LIMIT, "a search may hold at most %d values",
                        SLW_SQL_BIND_MAX);
    TRY(slw_buf_check(&q->text, err));
    TRY(slw_stmt_prepare_text(out, tx, slw_buf_view(&q->text), err));
    for (size_t i = 0; i < q->bind_count; i++) {
        const struct slw_sql_bind *b = &q->binds[i];
        int at = (int)i + 1;
        if (b->kind == SLW_BIND_I64)
            slw_stmt_i64(out, at, b->i);
        else if (b->kind == SLW_BIND_F64)
            slw_stmt_f64(out, at, b->f);
        else
            slw_stmt_str(out, at, b->s);
    }
    return SLW_OK;
}

/* ---- what the searches of this room share ---- */

enum slw_rc
track_entity_of(struct slw_str word, enum track_entity *out,
                struct slw_err *err)
{
    static const struct {
        const char *word;
        enum track_entity entity;
    } words[] = {{"", TRACK_ATTRIBUTE},
                 {"attribute", TRACK_ATTRIBUTE},
                 {"attributes", TRACK_ATTRIBUTE},
                 {"attr", TRACK_ATTRIBUTE},
                 {"run", TRACK_ATTRIBUTE},
                 {"metric", TRACK_METRIC},
                 {"metrics", TRACK_METRIC},
                 {"param", TRACK_PARAM},
                 {"params", TRACK_PARAM},
                 {"parameter", TRACK_PARAM},
                 {"parameters", TRACK_PARAM},
                 {"tag", TRACK_TAG},
                 {"tags", TRACK_TAG},
                 {"dataset", TRACK_DATASET},
                 {"datasets", TRACK_DATASET}};
    for (size_t i = 0; i < SLW_ARRAY_LEN(words); i++) {
        if (slw_str_eqz(word, words[i].word)) {
            *out = words[i].entity;
            return SLW_OK;
        }
    }
    return slw_fail(err, SLW_INVALID,
                    "Invalid entity type '%.*s'. Valid values are ['metric', "
                    "'parameter', 'tag', 'attribute', 'dataset']",
                    SLW_FMT(word));
}

enum slw_rc
track_clause_check(const struct slw_filter_clause *c, bool number, bool null_ok,
                   bool list_ok, struct slw_err *err)
{
    bool null = c->op == SLW_OP_IS_NULL || c->op == SLW_OP_NOT_NULL;
    bool list = c->op == SLW_OP_IN || c->op == SLW_OP_NOT_IN;
    if (null) {
        if (null_ok)
            return SLW_OK;
        return slw_fail(err, SLW_INVALID,
                        "IS NULL / IS NOT NULL is only supported for tags and "
                        "params, not for '%.*s'",
                        SLW_FMT(c->key));
    }
    if (number) {
        if (c->op > SLW_OP_GE)
            return slw_fail(err, SLW_INVALID,
                            "Invalid comparator '%s' not one of '{'>', '>=', "
                            "'!=', '=', '<', '<='}' for '%.*s'",
                            slw_filter_op_name(c->op), SLW_FMT(c->key));
        if (c->is_number)
            return SLW_OK;
        return slw_fail(err, SLW_INVALID,
                        "Expected numeric value type for '%.*s'. Found '%.*s'",
                        SLW_FMT(c->key), SLW_FMT(c->text));
    }
    if (list && !list_ok)
        return slw_fail(err, SLW_INVALID,
                        "Invalid comparator '%s' for '%.*s': comparison with a "
                        "list of quoted string values is not supported here",
                        slw_filter_op_name(c->op), SLW_FMT(c->key));
    if (c->op >= SLW_OP_LT && c->op <= SLW_OP_GE)
        return slw_fail(err, SLW_INVALID,
                        "Invalid comparator '%s' not one of '{'!=', '=', "
                        "'LIKE', 'ILIKE'}' for '%.*s'",
                        slw_filter_op_name(c->op), SLW_FMT(c->key));
    if (c->is_number)
        return slw_fail(err, SLW_INVALID,
                        "Expected a quoted string value for '%.*s' (e.g. "
                        "'my-value'). Got value %.*s",
                        SLW_FMT(c->key), SLW_FMT(c->text));
    return SLW_OK;
}
