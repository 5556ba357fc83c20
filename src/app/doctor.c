/* doctor.c -- `slipway doctor`: what is missing on this machine, and how to
 * get it. */
#include "app/app.h"
#include "base/engine.h"
#include "base/file.h"

#include <sys/statvfs.h>
#include <unistd.h>

struct finding {
    const char *what;
    bool ok;
    char detail[SLW_ERR_MSG_SIZE];
};

static void
check_engine(struct finding *f, const char *name)
{
    struct slw_err err;
    const char *version = NULL;
    f->what = name;
    f->ok = slw_engine_version(name, &version, &err) == SLW_OK;
    snprintf(f->detail, sizeof f->detail, "%s", f->ok ? version : err.msg);
}

static void
check_data_dir(struct finding *f, const char *dir)
{
    f->what = "data folder";
    struct statvfs fs;
    struct slw_err err;
    if (slw_dir_make(dir, &err) != SLW_OK) {
        snprintf(f->detail, sizeof f->detail, "%s", err.msg);
        return;
    }
    if (access(dir, W_OK) != 0 || statvfs(dir, &fs) != 0) {
        snprintf(f->detail, sizeof f->detail,
                 "%s cannot be written to; choose another with --data", dir);
        return;
    }
    double free_gb = (double)fs.f_bavail * (double)fs.f_frsize * 1e-9;
    f->ok = free_gb >= 1;
    snprintf(f->detail, sizeof f->detail, "%s, %.1f GB free%s", dir, free_gb,
             f->ok ? "" : "; at least 1 GB is wanted");
}

int
app_doctor(struct app_args *a)
{
    static const char *const engines[] = {"duckdb", "xgboost", "libsvm",
                                          "openblas"};
    struct finding list[SLW_ARRAY_LEN(engines) + 1] = {0};
    size_t count = 0;
    for (size_t i = 0; i < SLW_ARRAY_LEN(engines); i++)
        check_engine(&list[count++], engines[i]);
    const char *dir = app_option(a, "data");
    check_data_dir(&list[count++], dir ? dir : APP_DEFAULT_DATA);
    bool ok = true;
    SLW_AUTO(slw_buf, b);
    struct slw_jw w;
    slw_jw_init(&w, &b);
    slw_jw_obj(&w);
    slw_jw_key(&w, "checks");
    slw_jw_arr(&w);
    for (size_t i = 0; i < count; i++) {
        ok = ok && list[i].ok;
        slw_jw_obj(&w);
        slw_jw_kz(&w, "what", list[i].what);
        slw_jw_kbool(&w, "ok", list[i].ok);
        slw_jw_kz(&w, "detail", list[i].detail);
        slw_jw_obj_end(&w);
        if (!a->json)
            printf("%-8s %-12s %s\n", list[i].ok ? "ok" : "MISSING",
                   list[i].what, list[i].detail);
    }
    slw_jw_arr_end(&w);
    slw_jw_kbool(&w, "ok", ok);
    slw_jw_obj_end(&w);
    if (a->json)
        printf("%.*s\n", SLW_FMT(slw_buf_view(&b)));
    return ok ? APP_OK : APP_FAILED;
}
