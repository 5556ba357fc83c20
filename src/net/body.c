/* body.c -- the bytes that follow the head: into memory, or into a temporary
 * file for routes that take uploads.
 *
 * A length that is too large is refused before a byte is read; a chunked body
 * is cut where it passes the limit.  All bodies in memory together have a
 * limit too.  Back-pressure is by itself: writing to the file happens on the
 * event loop, so a slow disk slows the sender (and this loop: that is why
 * there are at least two). */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "net/net_internal.h"

static int64_t
limit_of(const struct slw_route *route)
{
    if (route->body_max)
        return (int64_t)route->body_max;
    return route->flags & SLW_ROUTE_UPLOAD ? SLW_HTTP_UPLOAD_SIZE_MAX
                                           : (int64_t)SLW_HTTP_BODY_SIZE_MAX;
}

static enum slw_rc
too_large(const struct net_exchange *x, int *status, struct slw_err *err)
{
    *status = 413;
    return slw_fail(err, SLW_LIMIT,
                    "the request body is larger than the %lld bytes this "
                    "path takes",
                    (long long)x->body_max);
}

static enum slw_rc
upload_open(struct net_exchange *x, struct slw_err *err)
{
    const char *path =
        slw_path(&x->arena, x->http->tmp_dir, "upload-%s.tmp", x->req.id);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return slw_fail(err, SLW_IO, "cannot make a file for the upload: %s",
                        strerror(errno));
    x->upload_fd_plus_1 = fd + 1;
    x->req.upload_path = path;
    slw_hasher_init(&x->hasher);
    x->hashing = true;
    return SLW_OK;
}

/* Count bytes against the memory all bodies share. */
static enum slw_rc
hold(struct net_exchange *x, size_t size, int *status, struct slw_err *err)
{
    int64_t add = (int64_t)size;
    x->body_held += add;
    if (atomic_fetch_add(&x->http->bodies_size, add) + add <=
        NET_BODIES_SIZE_MAX)
        return SLW_OK;
    *status = 503;
    return slw_fail(err, SLW_BUSY,
                    "the server holds too many large requests at once; try "
                    "again in a moment");
}

enum slw_rc
net_body_begin(struct net_exchange *x, int *status, struct slw_err *err)
{
    x->body_max = limit_of(x->req.route);
    if (x->framing.content_length > x->body_max)
        return too_large(x, status, err);
    if (x->req.route->flags & SLW_ROUTE_UPLOAD)
        return upload_open(x, err);
    x->body.limit_size = (size_t)x->body_max; /* the memory is kept */
    return SLW_OK;
}

enum slw_rc
net_body_add(struct net_exchange *x, const char *bytes, size_t size,
             int *status, struct slw_err *err)
{
    int64_t so_far =
        x->upload_fd_plus_1 ? x->req.upload_size : (int64_t)x->body.len;
    if (so_far + (int64_t)size > x->body_max)
        return too_large(x, status, err);
    if (x->upload_fd_plus_1) {
        TRY(slw_fd_write(x->upload_fd_plus_1 - 1, bytes, size, err));
        slw_hasher_add(&x->hasher, bytes, size);
        x->req.upload_size += (int64_t)size;
        return SLW_OK;
    }
    TRY(hold(x, size, status, err));
    slw_buf_add(&x->body, bytes, size);
    return slw_buf_check(&x->body, err);
}

enum slw_rc
net_body_end(struct net_exchange *x, struct slw_err *err)
{
    if (!x->upload_fd_plus_1) {
        x->req.body = x->body.len ? slw_buf_view(&x->body) : SLW_STR("");
        return SLW_OK;
    }
    struct slw_sha256 sum = slw_hasher_end(&x->hasher);
    slw_sha256_hex(&sum, x->req.upload_sha256);
    int rc = close(x->upload_fd_plus_1 - 1);
    x->upload_fd_plus_1 = 0;
    if (rc != 0)
        return slw_fail(err, SLW_IO, "cannot finish the upload's file: %s",
                        strerror(errno));
    return SLW_OK;
}

void
net_body_drop(struct net_exchange *x)
{
    if (x->upload_fd_plus_1)
        close(x->upload_fd_plus_1 - 1);
    x->upload_fd_plus_1 = 0;
    if (x->hashing)
        slw_hasher_done(&x->hasher);
    x->hashing = false;
    if (x->req.upload_path)
        unlink(x->req.upload_path);
    x->req.upload_path = NULL;
    if (x->body_held)
        atomic_fetch_sub(&x->http->bodies_size, x->body_held);
    x->body_held = 0;
}
