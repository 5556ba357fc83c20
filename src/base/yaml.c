/* yaml.c -- YAML 1.2 by libfyaml's event stream, made into a small tree.
 *
 * Events, not documents: they carry the place of everything, and let us
 * refuse depth, number of nodes and recurring anchors while reading.  An
 * alias becomes a copy of the node it names that shares the node's children;
 * each copy counts with its full size, so a "billion laughs" ends at the
 * limit of nodes. */
#include "base/yaml.h"

#include <libfyaml.h>

#include "base/base_internal.h"

#define YAML_DEPTH_MAX 64
#define YAML_NODES_MAX 100000
#define YAML_TEXT_SIZE_MAX ((size_t)16 << 20)

struct yaml_anchor {
    struct yaml_anchor *next;
    struct slw_str name;
    const struct slw_yaml *node; /* NULL while it is still open */
    size_t size;                 /* nodes in it */
};

struct yaml_frame {
    struct slw_yaml *node;
    struct slw_yaml *last; /* newest child */
    struct yaml_anchor *anchor;
    size_t nodes_before; /* of it, for the anchor's size */
    size_t at;           /* of its mark, in the source */
    bool has_key;
    struct slw_str key;
    int key_line, key_column;
};

struct yaml_read {
    struct slw_arena *arena;
    const char *file;
    struct slw_str source;
    struct slw_err *err;
    struct fy_diag *diag;
    struct fy_parser *parser;
    struct fy_event *event; /* in hand */
    struct slw_yaml *root;
    size_t node_count;
    struct yaml_anchor *anchors; /* newest first: names may be redefined */
    size_t depth;
    struct yaml_frame frames[YAML_DEPTH_MAX + 1];
};

static void
yaml_read_done(struct yaml_read *r)
{
    if (r->event)
        fy_parser_event_free(r->parser, r->event);
    if (r->parser)
        fy_parser_destroy(r->parser);
    if (r->diag)
        fy_diag_destroy(r->diag);
}

#define FAIL_AT(r, line, column, ...)                                          \
    yaml_fail_at((r)->err, __FILE_NAME__ ":" SLW_STRINGIFY(__LINE__),          \
                 (r)->file, (line), (column), __VA_ARGS__)

SLW_PRINTF(6, 0)
static enum slw_rc
yaml_vfail_at(struct slw_err *err, const char *where, const char *file,
              int line, int column, const char *fmt, va_list args)
{
    char text[SLW_ERR_MSG_SIZE];
    vsnprintf(text, sizeof text, fmt, args);
    return slw_fail_at(err, SLW_INVALID, where, "%s:%d:%d: %s", file, line,
                       column, text);
}

SLW_PRINTF(6, 7)
static enum slw_rc
yaml_fail_at(struct slw_err *err, const char *where, const char *file, int line,
             int column, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    enum slw_rc rc = yaml_vfail_at(err, where, file, line, column, fmt, args);
    va_end(args);
    return rc;
}

enum slw_rc
slw_yaml_fail(struct slw_err *err, const char *file, const struct slw_yaml *at,
              const char *fmt, ...)
{
    SLW_ASSERT(at);
    va_list args;
    va_start(args, fmt);
    enum slw_rc rc =
        yaml_vfail_at(err, "yaml", file, at->line, at->column, fmt, args);
    va_end(args);
    return rc;
}

/* ---- building the tree ---- */

static struct slw_str
token_text(struct yaml_read *r, struct fy_token *t)
{
    size_t len = 0;
    const char *text = t ? fy_token_get_text(t, &len) : NULL;
    if (!text)
        return (struct slw_str){"", 0};
    return slw_arena_str(r->arena, (struct slw_str){text, len});
}

static struct yaml_frame *
top(struct yaml_read *r)
{
    return r->depth ? &r->frames[r->depth - 1] : NULL;
}

static enum slw_rc
nodes_count(struct yaml_read *r, size_t count, int line, int column)
{
    if (count > YAML_NODES_MAX - r->node_count)
        return FAIL_AT(r, line, column, "the file has more than %d values",
                       YAML_NODES_MAX);
    r->node_count += count;
    return SLW_OK;
}

static enum slw_rc
node_new(struct yaml_read *r, enum slw_yaml_kind kind, int line, int column,
         struct slw_yaml **out)
{
    TRY(nodes_count(r, 1, line, column));
    if (slw_arena_room(r->arena) < 4096)
        return FAIL_AT(r, line, column, "the file is too large");
    struct slw_yaml *n = SLW_ARENA_NEW(r->arena, struct slw_yaml, 1);
    n->kind = kind;
    n->line = line;
    n->column = column;
    *out = n;
    return SLW_OK;
}

/* Hang a value under what is open: the root, an element, a member. */
static void
node_attach(struct yaml_read *r, struct slw_yaml *n)
{
    struct yaml_frame *f = top(r);
    if (!f) {
        r->root = n;
        return;
    }
    if (f->node->kind == SLW_YAML_MAP) {
        SLW_ASSERT(f->has_key);
        n->key = f->key;
        n->key_line = f->key_line;
        n->key_column = f->key_column;
        f->has_key = false;
    }
    if (f->last)
        f->last->next = n;
    else
        f->node->child = n;
    f->last = n;
    f->node->child_count++;
}

static bool
key_is_due(struct yaml_read *r)
{
    const struct yaml_frame *f = top(r);
    return f && f->node->kind == SLW_YAML_MAP && !f->has_key;
}

static struct yaml_anchor *
anchor_add(struct yaml_read *r, struct fy_token *name)
{
    if (!name)
        return NULL;
    struct yaml_anchor *a = SLW_ARENA_NEW(r->arena, struct yaml_anchor, 1);
    a->name = token_text(r, name);
    a->next = r->anchors;
    r->anchors = a;
    return a;
}

/* Only !!str means something here: text that is no number although it looks
 * like one. */
static enum slw_rc
tag_check(struct yaml_read *r, struct fy_token *tag, bool scalar, int line,
          int column, bool *out_text)
{
    *out_text = false;
    if (!tag)
        return SLW_OK;
    struct slw_str t = token_text(r, tag);
    if (scalar && slw_str_eqz(t, "tag:yaml.org,2002:str")) {
        *out_text = true;
        return SLW_OK;
    }
    return FAIL_AT(r, line, column, "tags such as '%.*s' are not supported",
                   SLW_FMT(t));
}

/* The column of what a block scalar (| or >) belongs to: its key, the dash of
 * its list.  0 when the events do not tell. */
static int
parent_column(struct yaml_read *r)
{
    const struct yaml_frame *f = top(r);
    if (!f || key_is_due(r))
        return 0;
    if (f->node->kind == SLW_YAML_MAP)
        return f->key_column;
    return f->at < r->source.len && r->source.ptr[f->at] == '-'
               ? f->node->column
               : 0; /* a list's mark may stand at its anchor */
}

/* A scalar's text, chunk by chunk: fy_token_get_text() of libfyaml 0.7 leaks
 * when a line has many chunks, and for some block scalars it gives a length
 * beyond what it has written. */
static struct slw_str
scalar_text(struct yaml_read *r, struct fy_token *t)
{
    char *text = NULL;
    size_t len = 0;
    for (int pass = 0; t && pass < 2; pass++) {
        struct fy_token_iter *it = fy_token_iter_create(t);
        const struct fy_iter_chunk *chunk = NULL;
        SLW_ASSERT(it);
        if (pass)
            text = slw_arena_alloc(r->arena, len + 1);
        len = 0;
        while ((chunk = fy_token_iter_chunk_next(it, chunk, NULL))) {
            if (pass && chunk->len)
                memcpy(text + len, chunk->str, chunk->len);
            len += chunk->len;
        }
        fy_token_iter_destroy(it);
    }
    return (struct slw_str){text ? text : "", len};
}

/* libfyaml takes block scalars that are not indented deeper than what they
 * belong to, which the standard (8.1.1.1) forbids, and swallows the keys that
 * follow. */
static enum slw_rc
block_check(struct yaml_read *r, struct slw_str text, int line)
{
    size_t empty_lines = 0;
    while (empty_lines < text.len && text.ptr[empty_lines] == '\n')
        empty_lines++;
    if (empty_lines == text.len)
        return SLW_OK;
    /* Where its first line that is not blank begins. */
    const struct fy_mark *mark = fy_event_start_mark(r->event);
    size_t begin = mark ? mark->input_pos : r->source.len, at = begin;
    for (; at < r->source.len && strchr(" \r\n", r->source.ptr[at]); at++)
        if (r->source.ptr[at] == '\n') {
            begin = at + 1;
            line++;
        }
    if (at - begin < (size_t)parent_column(r))
        return FAIL_AT(r, line, (int)(at - begin) + 1,
                       "the text after '|' or '>' must be indented deeper than "
                       "what it belongs to");
    return SLW_OK;
}

static enum slw_rc
scalar_add(struct yaml_read *r, int line, int column)
{
    struct fy_event_scalar_data *d = &r->event->scalar;
    bool tagged_text;
    TRY(tag_check(r, d->tag, true, line, column, &tagged_text));
    enum fy_scalar_style style =
        d->value ? fy_token_scalar_style(d->value) : FYSS_PLAIN;
    /* libfyaml's mark stands behind the opening quote. */
    if ((style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED) &&
        column > 1)
        column--;
    struct slw_str text = scalar_text(r, d->value);
    if (style == FYSS_LITERAL || style == FYSS_FOLDED)
        TRY(block_check(r, text, line));
    if (key_is_due(r)) {
        if (text.len == 0)
            return FAIL_AT(r, line, column, "a key is empty");
        struct yaml_frame *f = top(r);
        f->key = text;
        f->key_line = line;
        f->key_column = column;
        f->has_key = true;
        return SLW_OK;
    }
    struct slw_yaml *n;
    TRY(node_new(r, SLW_YAML_SCALAR, line, column, &n));
    n->text = text;
    n->plain = style == FYSS_PLAIN && !tagged_text;
    struct yaml_anchor *a = anchor_add(r, d->anchor);
    if (a) {
        a->node = n;
        a->size = 1;
    }
    node_attach(r, n);
    return SLW_OK;
}

static enum slw_rc
alias_add(struct yaml_read *r, int line, int column)
{
    struct slw_str name = token_text(r, r->event->alias.anchor);
    if (key_is_due(r))
        return FAIL_AT(r, line, column, "an alias cannot be a key");
    const struct yaml_anchor *a = r->anchors;
    while (a && !slw_str_eq(a->name, name))
        a = a->next;
    if (!a)
        return FAIL_AT(r, line, column, "there is no anchor '&%.*s' above",
                       SLW_FMT(name));
    if (!a->node)
        return FAIL_AT(r, line, column, "the anchor '&%.*s' contains itself",
                       SLW_FMT(name));
    struct slw_yaml *n;
    TRY(node_new(r, a->node->kind, line, column, &n));
    TRY(nodes_count(r, a->size - 1, line, column));
    n->plain = a->node->plain;
    n->text = a->node->text;
    n->child = a->node->child;
    n->child_count = a->node->child_count;
    node_attach(r, n);
    return SLW_OK;
}

static enum slw_rc
collection_begin(struct yaml_read *r, enum slw_yaml_kind kind, int line,
                 int column)
{
    const struct fy_mark *mark = fy_event_start_mark(r->event);
    bool map = kind == SLW_YAML_MAP, tagged_text;
    struct fy_token *tag =
        map ? r->event->mapping_start.tag : r->event->sequence_start.tag;
    struct fy_token *anchor =
        map ? r->event->mapping_start.anchor : r->event->sequence_start.anchor;
    TRY(tag_check(r, tag, false, line, column, &tagged_text));
    if (key_is_due(r))
        return FAIL_AT(r, line, column, "a key must be text");
    if (r->depth == YAML_DEPTH_MAX)
        return FAIL_AT(r, line, column, "nested deeper than %d levels",
                       YAML_DEPTH_MAX);
    size_t nodes_before = r->node_count;
    struct slw_yaml *n;
    TRY(node_new(r, kind, line, column, &n));
    node_attach(r, n);
    r->frames[r->depth++] =
        (struct yaml_frame){.node = n,
                            .anchor = anchor_add(r, anchor),
                            .nodes_before = nodes_before,
                            .at = mark ? mark->input_pos : SIZE_MAX};
    return SLW_OK;
}

static int
member_compare(const void *a, const void *b)
{
    const struct slw_yaml *x = *(struct slw_yaml *const *)a;
    const struct slw_yaml *y = *(struct slw_yaml *const *)b;
    int order = slw_str_cmp(x->key, y->key);
    if (order == 0)
        order = (x->key_line > y->key_line) - (x->key_line < y->key_line);
    if (order == 0)
        order =
            (x->key_column > y->key_column) - (x->key_column < y->key_column);
    return order;
}

static enum slw_rc
duplicates_check(struct yaml_read *r, const struct slw_yaml *map)
{
    if (map->child_count < 2)
        return SLW_OK;
    struct slw_yaml **m =
        SLW_ARENA_NEW(r->arena, struct slw_yaml *, map->child_count);
    size_t count = 0;
    for (struct slw_yaml *c = map->child; c; c = c->next)
        m[count++] = c;
    qsort(m, count, sizeof *m, member_compare);
    for (size_t i = 1; i < count; i++)
        if (slw_str_eq(m[i - 1]->key, m[i]->key))
            return FAIL_AT(r, m[i]->key_line, m[i]->key_column,
                           "the key '%.*s' stands here a second time; the "
                           "first is in line %d",
                           SLW_FMT(m[i]->key), m[i - 1]->key_line);
    return SLW_OK;
}

static enum slw_rc
collection_end(struct yaml_read *r)
{
    SLW_ASSERT(r->depth > 0);
    struct yaml_frame *f = &r->frames[--r->depth];
    if (f->anchor) {
        f->anchor->node = f->node;
        f->anchor->size = r->node_count - f->nodes_before;
    }
    return f->node->kind == SLW_YAML_MAP ? duplicates_check(r, f->node)
                                         : SLW_OK;
}

/* ---- the event loop ---- */

static enum slw_rc
event_handle(struct yaml_read *r, int *document_count)
{
    const struct fy_mark *mark = fy_event_start_mark(r->event);
    int line = mark ? mark->line + 1 : 1, column = mark ? mark->column + 1 : 1;
    switch (r->event->type) {
    case FYET_DOCUMENT_START:
        if (++*document_count > 1)
            return FAIL_AT(r, line, column,
                           "a second document begins here; only one is "
                           "wanted");
        return SLW_OK;
    case FYET_SCALAR:
        return scalar_add(r, line, column);
    case FYET_ALIAS: /* the mark stands behind the star */
        return alias_add(r, line, column > 1 ? column - 1 : column);
    case FYET_SEQUENCE_START:
        return collection_begin(r, SLW_YAML_SEQ, line, column);
    case FYET_MAPPING_START:
        return collection_begin(r, SLW_YAML_MAP, line, column);
    case FYET_SEQUENCE_END:
    case FYET_MAPPING_END:
        return collection_end(r);
    default:
        return SLW_OK;
    }
}

/* What libfyaml collected, as one of our sentences. */
static enum slw_rc
syntax_error(struct yaml_read *r)
{
    void *prev = NULL;
    const struct fy_diag_error *e = fy_diag_errors_iterate(r->diag, &prev);
    if (!e || !e->msg)
        return FAIL_AT(r, 1, 1, "this is not YAML");
    return FAIL_AT(r, e->line > 0 ? e->line : 1, e->column > 0 ? e->column : 1,
                   "%.*s", (int)strcspn(e->msg, "\n"), e->msg);
}

static bool
is_control(char c)
{
    return (unsigned char)c < 0x20 && c != '\t' && c != '\n' && c != '\r';
}

/* What libfyaml lets pass, but the standard (5.1) does not. */
static enum slw_rc
characters_check(struct yaml_read *r, struct slw_str text)
{
    int line = 1, column = 1;
    for (size_t i = 0; i < text.len;) {
        size_t step = base_utf8_at(text.ptr + i, text.len - i);
        if (step == 0)
            return FAIL_AT(r, line, column, "the text is not UTF-8");
        if (is_control(text.ptr[i]))
            return FAIL_AT(r, line, column, "there is a control character, %d",
                           text.ptr[i]);
        column = text.ptr[i] == '\n' ? 1 : column + 1;
        line += text.ptr[i] == '\n';
        i += step;
    }
    return SLW_OK;
}

static enum slw_rc
parser_open(struct yaml_read *r, struct slw_str text)
{
    struct fy_diag_cfg quiet;
    fy_diag_cfg_default(&quiet);
    quiet.fp = NULL; /* nothing on our standard error */
    r->diag = fy_diag_create(&quiet);
    SLW_ASSERT(r->diag);
    fy_diag_set_collect_errors(r->diag, true);
    const struct fy_parse_cfg cfg = {
        .flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE,
        .diag = r->diag};
    r->parser = fy_parser_create(&cfg);
    SLW_ASSERT(r->parser);
    if (fy_parser_set_string(r->parser, text.ptr, text.len) != 0)
        return syntax_error(r);
    return SLW_OK;
}

enum slw_rc
slw_yaml_parse(struct slw_arena *a, const char *file, struct slw_str text,
               struct slw_yaml **out, struct slw_err *err)
{
    SLW_ASSERT(a);
    SLW_ASSERT(file);
    SLW_AUTO(yaml_read, r);
    r.arena = a;
    r.file = file;
    r.source = text;
    r.err = err;
    if (text.len > YAML_TEXT_SIZE_MAX || text.len > slw_arena_room(a) / 4)
        return FAIL_AT(&r, 1, 1, "the file is too large");
    TRY(characters_check(&r, text));
    if (text.len) {
        TRY(parser_open(&r, text));
        int document_count = 0;
        while ((r.event = fy_parser_parse(r.parser))) {
            TRY(event_handle(&r, &document_count));
            fy_parser_event_free(r.parser, r.event);
            r.event = NULL;
        }
        if (fy_parser_get_stream_error(r.parser))
            return syntax_error(&r);
    }
    if (!r.root) /* nothing but comments: no settings */
        TRY(node_new(&r, SLW_YAML_MAP, 1, 1, &r.root));
    *out = r.root;
    return SLW_OK;
}

/* ---- using the tree ---- */

struct slw_yaml *
slw_yaml_get(const struct slw_yaml *map, const char *key)
{
    if (!map || map->kind != SLW_YAML_MAP)
        return NULL;
    for (struct slw_yaml *c = map->child; c; c = c->next)
        if (slw_str_eqz(c->key, key))
            return c;
    return NULL;
}

static enum slw_rc
key_unknown(const struct slw_yaml *member, const char *file,
            const char *const *known, struct slw_err *err)
{
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; known[i]; i++) {
        size_t d = slw_str_distance(member->key, slw_str_of(known[i]));
        if (d < best) {
            best = d;
            nearest = known[i];
        }
    }
    struct slw_str shown = member->key;
    if (shown.len > 80)
        shown.len = base_utf8_cut(shown.ptr, 80);
    struct slw_yaml at = *member;
    at.line = member->key_line;
    at.column = member->key_column;
    if (!nearest)
        return slw_yaml_fail(err, file, &at, "unknown key '%.*s'",
                             SLW_FMT(shown));
    return slw_yaml_fail(err, file, &at,
                         "unknown key '%.*s'; did you mean '%s'?",
                         SLW_FMT(shown), nearest);
}

enum slw_rc
slw_yaml_known(const struct slw_yaml *map, const char *file,
               const char *const *known, struct slw_err *err)
{
    if (map->kind != SLW_YAML_MAP)
        return slw_yaml_fail(err, file, map,
                             "keys and values are wanted here, not a %s",
                             map->kind == SLW_YAML_SEQ ? "list" : "value");
    for (const struct slw_yaml *c = map->child; c; c = c->next) {
        bool found = false;
        for (size_t i = 0; known[i] && !found; i++)
            found = slw_str_eqz(c->key, known[i]);
        if (!found)
            return key_unknown(c, file, known, err);
    }
    return SLW_OK;
}
