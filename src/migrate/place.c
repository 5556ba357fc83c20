/* place.c -- where another server's artifacts lie, by their URIs. */
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "migrate/migrate_internal.h"

static struct slw_str
percent_decoded(struct slw_str s, struct slw_arena *a)
{
    char *out = slw_arena_alloc(a, s.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        const int high =
            i + 2 < s.len && s.ptr[i] == '%' ? slw_hex_digit(s.ptr[i + 1]) : -1;
        const int low = high >= 0 ? slw_hex_digit(s.ptr[i + 2]) : -1;
        out[len++] = low >= 0 ? (char)(high * 16 + low) : s.ptr[i];
        i += low >= 0 ? 2 : 0;
    }
    return (struct slw_str){out, len};
}

/* "file:///a/b", "file:/a/b", "file://host/a/b": "/a/b". */
static struct slw_str
file_path(struct slw_str rest, struct slw_arena *a)
{
    struct slw_str host, path;
    if (slw_str_starts(rest, "//")) {
        rest.ptr += 2;
        rest.len -= 2;
        if (!slw_str_cut(rest, '/', &host, &path))
            return SLW_STR("");
        rest = (struct slw_str){path.ptr - 1, path.len + 1};
    }
    return percent_decoded(rest, a);
}

/* Two letters or more before a ':'; one is a Windows drive. */
static bool
has_scheme(struct slw_str uri)
{
    for (size_t i = 0; i < uri.len; i++) {
        const char c = uri.ptr[i];
        const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '+' || c == '-' ||
                          c == '.';
        if (c == ':')
            return i > 1;
        if (!word)
            return false;
    }
    return false;
}

enum migrate_place
migrate_place_of(struct slw_str uri, struct slw_arena *a,
                 struct slw_str *out_path)
{
    static const char file[] = "file:";
    struct slw_err err;
    *out_path = SLW_STR("");
    if (slw_track_artifact_root(uri, out_path, &err) == SLW_OK)
        return MIGRATE_OURS;
    if (slw_str_starts(uri, file)) {
        const size_t skip = sizeof file - 1;
        *out_path =
            file_path((struct slw_str){uri.ptr + skip, uri.len - skip}, a);
        return MIGRATE_LOCAL;
    }
    if (has_scheme(uri))
        return MIGRATE_ELSEWHERE;
    *out_path = uri;
    return MIGRATE_LOCAL;
}

/* The resolved folder, if it is one and lies in root. */
static const char *
folder_in(const char *root, const char *path, struct slw_arena *a)
{
    char real[PATH_MAX];
    struct stat st;
    const size_t len = strlen(root);
    if (!realpath(path, real) || strncmp(real, root, len) != 0 ||
        (real[len] != '/' && real[len] != '\0') || stat(real, &st) != 0 ||
        !S_ISDIR(st.st_mode))
        return NULL;
    return slw_arena_strz(a, slw_str_of(real));
}

const char *
migrate_folder_find(const char *root, struct slw_str path, struct slw_arena *a)
{
    struct slw_str rest = path;
    const char *found = path.len && path.ptr[0] == '/'
                            ? folder_in(root, slw_arena_strz(a, path), a)
                            : NULL;
    /* Ends of two parts and more: "<run>/artifacts". */
    while (!found && memchr(rest.ptr, '/', rest.len)) {
        struct slw_str head, tail;
        if (rest.ptr[0] != '/')
            found =
                folder_in(root, slw_path(a, root, "%.*s", SLW_FMT(rest)), a);
        slw_str_cut(rest, '/', &head, &tail);
        rest = tail;
    }
    return found;
}
