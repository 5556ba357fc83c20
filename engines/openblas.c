/* openblas.c -- plug-in around OpenBLAS: matrix products in single precision.
 *
 * Only the flavour with locks is taken: the serial one gives wrong products
 * when two threads call it at once.  It runs on one thread, which also makes
 * its sums repeat.  The kernel is the processor's own; where bytes must repeat
 * across machines, OPENBLAS_CORETYPE in the environment pins it. */
#include <dlfcn.h>

#include "base/engine.h"
#include "train/engines.h"

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };

/* Owner: filled once under the loader's lock, immutable after. */
static struct {
    void (*cblas_sgemm)(int order, int trans_a, int trans_b, int m, int n,
                        int k, float alpha, const float *a, int lda,
                        const float *b, int ldb, float beta, float *c, int ldc);
    char *(*openblas_get_config)(void);
    int (*openblas_get_parallel)(void);
    void (*openblas_set_num_threads)(int);
} lib;

static void
blas_sgemm(bool trans_a, bool trans_b, int m, int n, int k, float alpha,
           const float *a, int lda, const float *b, int ldb, float beta,
           float *c, int ldc)
{
    lib.cblas_sgemm(ROW_MAJOR, trans_a ? TRANS : NO_TRANS,
                    trans_b ? TRANS : NO_TRANS, m, n, k, alpha, a, lda, b, ldb,
                    beta, c, ldc);
}

static const char *
blas_config(void)
{
    return lib.openblas_get_config();
}

static bool
take(void *handle, const char *name, void *slot)
{
    void *found = dlsym(handle, name);
    memcpy(slot, &found, sizeof(found));
    return found != NULL;
}

/* False when this library is not what we can use; why says it. */
static bool
usable(void *handle, char why[static 160])
{
    if (!take(handle, "cblas_sgemm", &lib.cblas_sgemm) ||
        !take(handle, "openblas_get_config", &lib.openblas_get_config) ||
        !take(handle, "openblas_get_parallel", &lib.openblas_get_parallel) ||
        !take(handle, "openblas_set_num_threads",
              &lib.openblas_set_num_threads)) {
        snprintf(why, 160, "the library found is not OpenBLAS");
        return false;
    }
    if (strstr(lib.openblas_get_config(), "SINGLE_THREADED") ||
        lib.openblas_get_parallel() == 0) {
        snprintf(why, 160,
                 "the OpenBLAS found is the serial build, which is"
                 " wrong when two threads call it");
        return false;
    }
    return true;
}

/* "OpenBLAS 0.3.21 NO_AFFINITY …" -> "0.3.21" */
static void
version_of(const char *config, char out_version[64])
{
    struct slw_str head, rest;
    slw_str_cut(slw_str_trim(slw_str_of(config)), ' ', &head, &rest);
    slw_str_cut(slw_str_trim(rest), ' ', &head, &rest);
    snprintf(out_version, 64, "%.*s", (int)(head.len < 63 ? head.len : 63),
             head.len ? head.ptr : "");
}

static enum slw_rc
blas_open(const char *library_dir, const void **out_ops, char out_version[64],
          struct slw_err *err)
{
    static const struct slw_blas_ops ops = {.sgemm = blas_sgemm,
                                            .config = blas_config};
    /* The system's choice first; where that is the serial one, the other
     * flavour may be installed beside it. */
    static const char *const places[] = {
        "libopenblas.so.0",
        "/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0",
        "/usr/lib/aarch64-linux-gnu/openblas-pthread/libopenblas.so.0"};
    char why[160] = "";
    (void)library_dir; /* Debian's own package, never beside the plug-ins */
    setenv("OPENBLAS_NUM_THREADS", "1", 1); /* read when it is loaded */
    for (size_t i = 0; i < SLW_ARRAY_LEN(places); i++) {
        void *handle = dlopen(places[i], RTLD_NOW | RTLD_LOCAL);
        if (!handle) {
            if (!why[0])
                snprintf(why, sizeof(why), "%.150s", dlerror());
            continue;
        }
        if (usable(handle, why)) {
            lib.openblas_set_num_threads(1);
            version_of(lib.openblas_get_config(), out_version);
            *out_ops = &ops;
            return SLW_OK;
        }
    }
    return slw_fail(err, SLW_NOT_FOUND, "OpenBLAS does not load: %s", why);
}

extern const struct slw_engine_head slw_engine;
const struct slw_engine_head slw_engine = {
    .abi = SLW_ENGINE_ABI,
    .name = "openblas",
    .remedy = "install the package libopenblas0-pthread",
    .open = blas_open,
};
