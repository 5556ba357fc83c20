/* engine.c -- the loader of engines: looks for the plug-in, opens it once,
 * keeps it for ever.
 *
 * Foreign libraries start threads and keep static state, so an engine is
 * never unloaded.  A failed attempt is not remembered: the operator installs
 * the library and tries again without a restart. */
#include "base/engine.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

#include "base/file.h"
#include "base/proc.h"

#define ENGINES_MAX 16

struct engine {
    char name[32];
    char version[64];
    const void *ops;
};

/* Owner: lock engines_lock; a filled entry is immutable. */
static struct engine engines[ENGINES_MAX];
static size_t engine_count;
static pthread_mutex_t engines_lock = PTHREAD_MUTEX_INITIALIZER;

struct lock_scope {
    pthread_mutex_t *lock;
};

static void
lock_scope_done(struct lock_scope *s)
{
    if (s->lock)
        pthread_mutex_unlock(s->lock);
}

static bool
file_at(char path[PATH_MAX], const char *dir, const char *below)
{
    int len = snprintf(path, PATH_MAX, "%s/%s", dir, below);
    return len > 0 && len < PATH_MAX && access(path, R_OK) == 0;
}

/* The plug-in's file, by the order the header promises. */
static bool
plugin_find(const char *name, char path[PATH_MAX], char dir[PATH_MAX])
{
    const char *self = slw_proc_self_dir(), *asked = getenv("SLIPWAY_ENGINES");
    char file[64];
    snprintf(file, sizeof file, "%.48s.so", name);
    const struct {
        const char *base, *below;
    } places[] = {
        {asked, ""}, {self, "/engines"}, {self, "/../lib/slipway/engines"}};
    for (size_t i = 0; i < SLW_ARRAY_LEN(places); i++) {
        if (!places[i].base || !places[i].base[0])
            continue;
        int len =
            snprintf(dir, PATH_MAX, "%s%s", places[i].base, places[i].below);
        if (len > 0 && len < PATH_MAX && file_at(path, dir, file))
            return true;
    }
    return false;
}

/* Where the foreign library of an engine lies; "" leaves it to the loader. */
static void
library_dir_find(const char *name, const char *plugin_dir, char dir[PATH_MAX])
{
    char deps[PATH_MAX], path[PATH_MAX];
    snprintf(deps, sizeof deps, "%.*s/../.deps/engines", PATH_MAX - 32,
             slw_proc_self_dir());
    const char *const places[] = {getenv("SLIPWAY_LIBS"), deps, plugin_dir};
    for (size_t i = 0; i < SLW_ARRAY_LEN(places); i++) {
        if (places[i] && places[i][0] && file_at(path, places[i], name)) {
            snprintf(dir, PATH_MAX, "%s", places[i]);
            return;
        }
    }
    dir[0] = '\0';
}

static enum slw_rc
engine_load(const char *name, struct engine *e, struct slw_err *err)
{
    char path[PATH_MAX], plugin_dir[PATH_MAX], library_dir[PATH_MAX];
    if (!plugin_find(name, path, plugin_dir))
        return slw_fail(err, SLW_NOT_FOUND,
                        "the engine '%s' is not installed: there is no "
                        "%s.so in $SLIPWAY_ENGINES, %.160s/engines or "
                        "../lib/slipway/engines; 'make build' makes it, "
                        "'slipway doctor' checks it",
                        name, name, slw_proc_self_dir());
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!lib)
        return slw_fail(err, SLW_NOT_FOUND,
                        "the engine '%s' does not load: %.300s; see 'slipway "
                        "doctor'",
                        name, dlerror());
    const struct slw_engine_head *head = dlsym(lib, "slw_engine");
    if (!head || head->abi != SLW_ENGINE_ABI || !head->open ||
        strcmp(head->name, name) != 0) {
        dlclose(lib);
        return slw_fail(err, SLW_NOT_FOUND,
                        "'%s' is not the engine '%s' of this version of "
                        "Slipway; reinstall it, or see 'slipway doctor'",
                        path, name);
    }
    library_dir_find(name, plugin_dir, library_dir);
    struct engine made = {0};
    struct slw_err why = {0};
    if (head->open(library_dir, &made.ops, made.version, &why) != SLW_OK)
        return slw_fail(err, SLW_NOT_FOUND,
                        "the engine '%s' cannot be used: %.260s; %.160s, or "
                        "see 'slipway doctor'",
                        name, why.msg, head->remedy ? head->remedy : "");
    SLW_ASSERT(made.ops);
    snprintf(made.name, sizeof made.name, "%s", name);
    *e = made;
    return SLW_OK;
}

static enum slw_rc
engine_need(const char *name, const struct engine **out, struct slw_err *err)
{
    SLW_ASSERT(slw_name_ok(slw_str_of(name)));
    SLW_ASSERT(strlen(name) < sizeof engines[0].name);
    pthread_mutex_lock(&engines_lock);
    SLW_AUTO(lock_scope, scope);
    scope.lock = &engines_lock;
    for (size_t i = 0; i < engine_count; i++) {
        if (strcmp(engines[i].name, name) == 0) {
            *out = &engines[i];
            return SLW_OK;
        }
    }
    SLW_ASSERT(engine_count < ENGINES_MAX);
    TRY(engine_load(name, &engines[engine_count], err));
    *out = &engines[engine_count++];
    return SLW_OK;
}

enum slw_rc
slw_engine_get(const char *name, const void **out_ops, struct slw_err *err)
{
    const struct engine *e;
    TRY(engine_need(name, &e, err));
    *out_ops = e->ops;
    return SLW_OK;
}

enum slw_rc
slw_engine_version(const char *name, const char **out_version,
                   struct slw_err *err)
{
    const struct engine *e;
    TRY(engine_need(name, &e, err));
    *out_version = e->version;
    return SLW_OK;
}
