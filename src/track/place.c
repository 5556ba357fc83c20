/* place.c -- where artifacts lie as plain files: what kind a URI means. */
#include "track/place.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

static struct slw_str
without_slash(struct slw_str s)
{
    while (s.len > 1 && s.ptr[s.len - 1] == '/')
        s.len--;
    return s;
}

/* An absolute path without links, of a folder that is made where needed. */
static enum slw_rc
folder_open(struct slw_place *p, struct slw_str path, struct slw_err *err)
{
    char real[PATH_MAX];
    SLW_AUTO(slw_arena, a);
    const char *given = slw_arena_strz(&a, path);
    TRY(slw_dir_make(given, err));
    if (!realpath(given, real))
        return slw_fail(err, SLW_IO, "cannot find %s: %m", given);
    if (strcmp(real, "/") == 0)
        return slw_fail(err, SLW_INVALID,
                        "artifacts must not lie in the root folder; give a "
                        "folder of their own");
    p->path = slw_strdup(slw_str_of(real));
    p->uri = slw_strdup(slw_str_of(real));
    return place_dir_open(p, err);
}

static enum slw_rc
place_open(struct slw_place *p, struct slw_str uri, struct slw_err *err)
{
    if (slw_str_starts(uri, "s3://")) {
        p->uri = slw_strdup(without_slash(uri));
        return place_s3_open(p, without_slash(uri), err);
    }
    if (slw_str_starts(uri, "file://")) {
        uri.ptr += 7;
        uri.len -= 7;
        if (uri.len == 0 || uri.ptr[0] != '/')
            return slw_fail(
                err, SLW_INVALID,
                "a folder is written file:///path, not file://host");
        return folder_open(p, uri, err);
    }
    for (size_t i = 0; i + 2 < uri.len; i++)
        if (memcmp(uri.ptr + i, "://", 3) == 0)
            return slw_fail(err, SLW_UNSUPPORTED,
                            "artifacts cannot lie at %.*s: a folder or "
                            "s3://bucket/prefix can be given",
                            SLW_FMT(uri));
    if (uri.len == 0)
        return slw_fail(err, SLW_INVALID, "the place for artifacts is empty");
    return folder_open(p, uri, err);
}

enum slw_rc
slw_place_open(struct slw_place **out, struct slw_str uri, struct slw_err *err)
{
    struct slw_place *p = slw_alloc(sizeof *p);
    *p = (struct slw_place){0};
    const enum slw_rc rc = place_open(p, uri, err);
    if (rc == SLW_OK)
        *out = p;
    else
        slw_place_close(p);
    return rc;
}

void
slw_place_close(struct slw_place *p)
{
    if (!p)
        return;
    if (p->root_fd_plus_1)
        (void)close(p->root_fd_plus_1 - 1);
    place_s3_done(&p->s3);
    slw_free(p->path);
    slw_free(p->uri);
    slw_free(p);
}

const char *
slw_place_uri(const struct slw_place *p)
{
    return p->uri;
}

bool
slw_place_is_s3(const struct slw_place *p)
{
    return p->path == NULL;
}

bool
slw_place_holds(const struct slw_place *p, struct slw_str uri,
                struct slw_str *out_path)
{
    const struct slw_str root = slw_str_of(p->uri);
    if (!slw_place_is_s3(p) && slw_str_starts(uri, "file://")) {
        uri.ptr += 7;
        uri.len -= 7;
    }
    uri = without_slash(uri);
    if (uri.len < root.len || memcmp(uri.ptr, root.ptr, root.len) != 0 ||
        (uri.len > root.len && uri.ptr[root.len] != '/'))
        return false;
    *out_path = uri.len > root.len ? (struct slw_str){uri.ptr + root.len + 1,
                                                      uri.len - root.len - 1}
                                   : (struct slw_str){"", 0};
    return out_path->len == 0 || slw_track_path_ok(*out_path);
}

enum slw_rc
slw_place_put(struct slw_place *p, struct slw_str path, const char *file,
              int64_t size, const char *sha256, struct slw_err *err)
{
    return slw_place_is_s3(p) ? place_s3_put(p, path, file, size, sha256, err)
                              : place_dir_put(p, path, file, err);
}

static int
by_path(const void *a, const void *b)
{
    return slw_str_cmp(((const struct slw_artifact *)a)->path,
                       ((const struct slw_artifact *)b)->path);
}

enum slw_rc
slw_place_list(struct slw_place *p, struct slw_str folder, struct slw_arena *a,
               struct slw_artifact **out, size_t *out_count,
               struct slw_err *err)
{
    struct slw_artifact *items = NULL;
    size_t count = 0;
    TRY(slw_place_is_s3(p) ? place_s3_list(p, folder, a, &items, &count, err)
                           : place_dir_list(p, folder, a, &items, &count, err));
    if (count)
        qsort(items, count, sizeof *items, by_path);
    *out = items;
    *out_count = count;
    return SLW_OK;
}

enum slw_rc
slw_place_remove(struct slw_place *p, struct slw_str path, struct slw_err *err)
{
    SLW_ASSERT(path.len > 0);
    return slw_place_is_s3(p) ? place_s3_remove(p, path, err)
                              : place_dir_remove(p, path, err);
}
