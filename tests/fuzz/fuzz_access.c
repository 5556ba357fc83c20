/* fuzz_access.c -- any text as the value of Authorization, against a store with
 * one token: nothing but that token opens it. */
#include "fuzz.h"

#include <ftw.h>
#include <sys/stat.h>

#include "access/access.h"

static struct slw_store *store;
static struct slw_access *access_table;
static char dir[64] = "/tmp/fuzz-access-XXXXXX";

static int
entry_remove(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void
leave(void)
{
    slw_access_close(access_table);
    slw_store_close(store);
    nftw(dir, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static enum slw_rc
ready(struct slw_err *err)
{
    char secret[64];
    if (store)
        return SLW_OK;
    SLW_ASSERT(mkdtemp(dir));
    const struct slw_store_options opt = {.dir = dir, .server = true};
    TRY(slw_store_open(&store, &opt, err));
    {
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_begin(&tx, store, err));
        TRY(slw_access_token_make(&tx, 1, SLW_STR("one"), SLW_ROLE_READER,
                                  secret, err));
        TRY(slw_tx_commit(&tx, err));
    }
    TRY(slw_access_open(&access_table, store, err));
    SLW_ASSERT(!slw_access_is_open(access_table));
    atexit(leave);
    return SLW_OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slw_err err = {0};
    enum slw_role role = SLW_ROLE_NONE;
    SLW_ASSERT(ready(&err) == SLW_OK);
    const enum slw_rc rc =
        slw_access_check(access_table, fuzz_str(data, size), &role, &err);
    /* 32 random bytes: no input has them. */
    fuzz_refused(rc, &err, FUZZ_RC(DENIED));
    SLW_ASSERT(role == SLW_ROLE_NONE);
    if (slw_role_parse(fuzz_str(data, size), &role, &err) != SLW_OK)
        fuzz_refused(err.rc, &err, FUZZ_RC(INVALID));
    else
        SLW_ASSERT(slw_str_eqz(fuzz_str(data, size), slw_role_name(role)));
    return 0;
}
