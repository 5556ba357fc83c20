/* list.c -- rehearsals that are there: read from their result files. */
#include "rehearse/rehearse_internal.h"

struct listing {
    struct slw_arena *a;
    struct slw_json *docs;
    size_t count, cap;
};

static void
listing_done(struct listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        slw_json_done(&l->docs[i]);
    slw_free(l->docs);
}

static enum slw_rc
folder_seen(void *ctx, const char *path, const char *name, bool is_dir,
            struct slw_err *err)
{
    struct listing *l = ctx;
    struct slw_err ignored;
    SLW_AUTO(slw_buf, text);
    struct slw_json doc = {0};
    if (!is_dir ||
        slw_file_get(slw_path(l->a, path, "result.json"), REHEARSE_FILE_MAX,
                     &text, &ignored) != SLW_OK ||
        slw_json_parse(&doc, slw_buf_view(&text), &ignored) != SLW_OK)
        return SLW_OK; /* not begun, or being written */
    if (l->count == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 16;
        l->docs = slw_realloc(l->docs, l->cap * sizeof *l->docs);
    }
    l->docs[l->count++] = doc;
    return SLW_OK;
}

static int64_t
made_at(const struct slw_json *doc)
{
    return slw_json_i64_or(slw_json_get(doc->root, "made_at_ms"), 0);
}

static int
newest_first(const void *a, const void *b)
{
    const int64_t x = made_at(a), y = made_at(b);
    return x > y ? -1 : x < y;
}

static void
summary_write(const struct json_t *doc, struct slw_jw *w)
{
    static const char *const same[] = {"id", "project",  "deployment", "from",
                                       "to", "complete", "made_at_ms"};
    const struct json_t *list = slw_json_get(doc, "policies");
    slw_jw_obj(w);
    for (size_t i = 0; i < SLW_ARRAY_LEN(same); i++) {
        const struct json_t *v = slw_json_get(doc, same[i]);
        if (!v)
            continue;
        slw_jw_key(w, same[i]);
        slw_jw_node(w, v);
    }
    slw_jw_key(w, "policies");
    slw_jw_arr(w);
    for (size_t i = 0; i < slw_json_len(list); i++) {
        const struct json_t *p = slw_json_at(list, i);
        const struct json_t *error =
            slw_json_get(slw_json_get(p, "total"), "error");
        slw_jw_obj(w);
        slw_jw_kstr(w, "name",
                    slw_json_str_or(slw_json_get(p, "name"), SLW_STR("")));
        slw_jw_key(w, "error");
        if (error)
            slw_jw_node(w, error);
        else
            slw_jw_null(w);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
    slw_jw_obj_end(w);
}

enum slw_rc
slw_rehearse_list(const char *root, struct slw_arena *a,
                  struct slw_str *out_json, struct slw_err *err)
{
    SLW_AUTO(listing, l);
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    l.a = a;
    const enum slw_rc rc = slw_dir_each(root, folder_seen, &l, err);
    if (rc != SLW_NOT_FOUND)
        TRY(rc);
    if (l.count)
        qsort(l.docs, l.count, sizeof *l.docs, newest_first);
    slw_jw_init(&w, &text);
    slw_jw_arr(&w);
    for (size_t i = 0; i < l.count; i++)
        summary_write(l.docs[i].root, &w);
    slw_jw_arr_end(&w);
    TRY(slw_buf_check(&text, err));
    *out_json = slw_arena_str(a, slw_buf_view(&text));
    return SLW_OK;
}

enum slw_rc
slw_rehearse_get(const char *root, struct slw_str id, struct slw_arena *a,
                 struct slw_str *out_json, struct slw_err *err)
{
    SLW_AUTO(slw_buf, text);
    enum slw_rc rc = SLW_NOT_FOUND;
    if (slw_name_ok(id) && !slw_str_starts(id, "."))
        rc = slw_file_get(slw_path(a, root, "%.*s/result.json", SLW_FMT(id)),
                          REHEARSE_FILE_MAX, &text, err);
    if (rc == SLW_NOT_FOUND)
        return slw_fail(err, SLW_NOT_FOUND, "there is no rehearsal '%.*s'",
                        SLW_FMT(id));
    TRY(rc);
    *out_json = slw_arena_str(a, slw_buf_view(&text));
    return SLW_OK;
}
