/* pins.c -- what versions need: for collections, which remove what nothing
 * needs.
 *
 * A version needs its release with everything that this pins, and the run and
 * the logged model that it names or whose folder its source lies in.  Ids are
 * found in sources by their looks, 32 hex digits with or without "m-" before
 * them: what is taken for an id by mistake keeps nothing that is there. */
#include "registry/registry_internal.h"
#include "store/blob.h"
#include "store/gc.h"

#define ID_SIZE 32

static const char SQL_RELEASES[] =
    "SELECT DISTINCT release FROM registry_version WHERE release <> ''";
static const char SQL_PINS[] =
    "SELECT v.run_id, v.logged_model, v.source, m.name, v.version"
    " FROM registry_version v JOIN registry_model m ON m.id = v.model_id";

struct slw_registry_pin {
    char id[2 + ID_SIZE + 1]; /* "m-" and 32 digits, or 32 digits */
    struct slw_str model;
    int64_t version;
};

enum slw_rc
slw_release_blobs(struct slw_gc *g, struct slw_str hash, struct slw_err *err)
{
    char hex[65];
    SLW_AUTO(slw_buf, text);
    slw_buf_init(&text, REGISTRY_RELEASE_SIZE_MAX);
    (void)snprintf(hex, sizeof hex, "%.*s", SLW_FMT(hash));
    TRY(slw_gc_need(g, hash, err));
    const enum slw_rc rc = slw_blob_get(g->store, hex, &text, err);
    if (rc != SLW_OK)
        return slw_err_prefix(err,
                              "nothing is removed, since release %.12s "
                              "does not say what it needs: ",
                              hex);
    return slw_gc_need_in(g, slw_buf_view(&text), err);
}

enum slw_rc
slw_registry_blobs(struct slw_gc *g, struct slw_err *err)
{
    SLW_AUTO(slw_stmt, st);
    TRY(slw_stmt_prepare(&st, &g->tx, SQL_RELEASES, err));
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            return SLW_OK;
        TRY(slw_release_blobs(g, slw_col_str(&st, 0), err));
    }
}

/* ---- runs and logged models ---- */

void
slw_registry_pins_done(struct slw_registry_pins *p)
{
    slw_arena_done(&p->arena);
}

static void
pin_add(struct slw_registry_pins *p, const char *head, struct slw_str digits,
        struct slw_str model, int64_t version)
{
    p->list =
        slw_arena_grow(&p->arena, p->list, sizeof *p->list, p->count, &p->cap);
    struct slw_registry_pin *pin = &p->list[p->count++];
    *pin = (struct slw_registry_pin){.model = model, .version = version};
    (void)snprintf(pin->id, sizeof pin->id, "%s%.*s", head, SLW_FMT(digits));
}

/* Each run of exactly 32 hex digits. */
static void
text_pins(struct slw_registry_pins *p, struct slw_str text,
          struct slw_str model, int64_t version)
{
    size_t run = 0;
    for (size_t i = 0; i <= text.len; i++) {
        const char c = i < text.len ? text.ptr[i] : '\0';
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) {
            run++;
            continue;
        }
        if (run == ID_SIZE) {
            const size_t at = i - ID_SIZE;
            const bool of_model =
                at >= 2 && memcmp(text.ptr + at - 2, "m-", 2) == 0;
            pin_add(p, of_model ? "m-" : "",
                    (struct slw_str){text.ptr + at, ID_SIZE}, model, version);
        }
        run = 0;
    }
}

static int
pin_compare(const void *a, const void *b)
{
    return strcmp(((const struct slw_registry_pin *)a)->id,
                  ((const struct slw_registry_pin *)b)->id);
}

enum slw_rc
slw_registry_pins_load(void *ctx, struct slw_tx *tx, struct slw_err *err)
{
    struct slw_registry_pins *p = ctx;
    SLW_AUTO(slw_stmt, st);
    slw_arena_reset(&p->arena);
    p->list = NULL;
    p->count = p->cap = 0;
    TRY(slw_stmt_prepare(&st, tx, SQL_PINS, err));
    for (;;) {
        bool row = false;
        TRY(slw_stmt_step(&st, &row, err));
        if (!row)
            break;
        const struct slw_str model = slw_col_dup(&st, 3, &p->arena);
        for (int i = 0; i < 3; i++)
            text_pins(p, slw_col_str(&st, i), model, slw_col_i64(&st, 4));
    }
    if (p->count)
        qsort(p->list, p->count, sizeof *p->list, pin_compare);
    return SLW_OK;
}

struct slw_str
slw_registry_pins_who(void *ctx, struct slw_str id)
{
    struct slw_registry_pins *p = ctx;
    struct slw_registry_pin key = {.version = 0};
    (void)snprintf(key.id, sizeof key.id, "%.*s", SLW_FMT(id));
    const struct slw_registry_pin *pin =
        p->count ? bsearch(&key, p->list, p->count, sizeof key, pin_compare)
                 : NULL;
    if (!pin)
        return (struct slw_str){"", 0};
    return slw_arena_printf(&p->arena, "version %lld of %.*s",
                            (long long)pin->version, SLW_FMT(pin->model));
}
