/* engine.h -- heavy foreign libraries as plug-ins, loaded on first use.
 *
 * engines/<name>.c is built into <name>.so, which exports one symbol,
 * `slw_engine`, of type struct slw_engine_head.  The table behind it is
 * described by the header of the room that uses it (store/scan.h for DuckDB,
 * train/engines.h for XGBoost, libsvm, OpenBLAS).  The plug-in opens its
 * library itself, so a missing library is an error with a remedy, not a
 * server that does not start. */
#ifndef SLW_BASE_ENGINE_H
#define SLW_BASE_ENGINE_H

#include "base/base.h"

#define SLW_ENGINE_ABI 1

struct slw_engine_head {
    int abi;            /* SLW_ENGINE_ABI */
    const char *name;   /* "duckdb" */
    const char *remedy; /* how to get it, one sentence */
    /* Open the foreign library (dir: where libraries of engines were put,
     * <dir>/duckdb/libduckdb.so and so on) and return the table of functions
     * and the library's version.  Called once, under the loader's lock.
     * Errors NOT_FOUND, with the reason of dlopen. */
    enum slw_rc (*open)(const char *library_dir, const void **out_ops,
                        char out_version[64], struct slw_err *err);
};

/* The table of an engine, loading it when it is first asked for.
 * In     name "duckdb" | "xgboost" | "libsvm" | "openblas"
 * Errors NOT_FOUND: plug-in or library missing; the message ends with the
 *        remedy and names `slipway doctor`.
 * Owner  the process; never unloaded
 * Note   plug-ins are looked for in $SLIPWAY_ENGINES, then in <folder of the
 *        binary>/engines, then <…>/../lib/slipway/engines; foreign libraries
 *        in $SLIPWAY_LIBS, then <folder of the binary>/../.deps/engines, then
 *        next to the plug-ins, then by the system's loader. */
SLW_MUST_USE enum slw_rc slw_engine_get(const char *name, const void **out_ops,
                                        struct slw_err *err);
/* Version of a loaded engine ("3.2.0"); loads it. */
SLW_MUST_USE enum slw_rc slw_engine_version(const char *name,
                                            const char **out_version,
                                            struct slw_err *err);

#endif
