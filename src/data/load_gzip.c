/* load_gzip.c -- a gzip file becomes a plain one before it is read.
 *
 * DuckDB could read it, but takes a file that was cut off for one that ends
 * there: rows would be lost without a word.  zlib checks length and CRC. */
#include "data/data_internal.h"

#include <errno.h>
#include <zlib.h>

#include "base/file.h"

#define GZIP_PART_SIZE 16384

static void
gz_done(gzFile *f)
{
    if (*f)
        (void)gzclose_r(*f);
    *f = NULL;
}

static void
out_done(FILE **f)
{
    if (*f)
        (void)fclose(*f);
    *f = NULL;
}

bool
data_is_gzip(const char *path)
{
    unsigned char head[2] = {0};
    FILE *f = fopen(path, "rbe");
    const size_t len = f ? fread(head, 1, sizeof head, f) : 0;
    out_done(&f);
    return len == sizeof head && head[0] == 0x1F && head[1] == 0x8B;
}

static enum slw_rc
gz_copy(gzFile from, FILE *to, struct slw_err *err)
{
    unsigned char part[GZIP_PART_SIZE];
    for (;;) {
        const int len = gzread(from, part, sizeof part);
        int code = Z_OK;
        (void)gzerror(from, &code);
        if (code == Z_ERRNO)
            return slw_fail(err, SLW_IO, "cannot read the file: %s",
                            strerror(errno));
        if (len < 0 || code == Z_BUF_ERROR)
            return slw_fail(err, SLW_INVALID,
                            "the gzip file is damaged or was cut off");
        if (len == 0)
            return SLW_OK;
        if (fwrite(part, 1, (size_t)len, to) != (size_t)len)
            return slw_fail(err, SLW_IO, "cannot unpack the gzip file: %s",
                            strerror(errno));
    }
}

enum slw_rc
data_gunzip(const char *path, const char *out_path, struct slw_err *err)
{
    __attribute__((cleanup(gz_done))) gzFile from = gzopen(path, "rbe");
    __attribute__((cleanup(out_done))) FILE *to = fopen(out_path, "wbe");
    if (!from || !to)
        return slw_fail(err, SLW_IO, "cannot unpack the gzip file: %s",
                        strerror(errno));
    TRY(gz_copy(from, to, err));
    if (fflush(to) != 0)
        return slw_fail(err, SLW_IO, "cannot unpack the gzip file: %s",
                        strerror(errno));
    return SLW_OK;
}
