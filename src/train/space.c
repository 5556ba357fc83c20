/* space.c -- the space of a candidate's parameters, and the random sampler.
 *
 * A parameter is what its name says: a count is drawn and written as an
 * integer, everything else as a real.  A parameter that the definition does
 * not mention has our own space, so `xgboost: {}` is a complete candidate.
 * Trial n of a candidate draws from a sequence of its own, in the order of
 * the parameters' names: adding a candidate or a trial changes no other. */
#include "train/train_internal.h"

#include <math.h>

/* What a parameter is, the values it may have, and our space for it. */
struct known {
    enum slw_flavour flavour;
    const char *name;
    bool is_count;
    double least, most; /* allowed */
    enum train_space_kind kind;
    double from, to; /* ours; from > to: none, the trainer's own default */
};

#define NONE TRAIN_FIXED, 1, 0
static const struct known KNOWN[] = {
    {SLW_FLAVOUR_XGBOOST, "eta", false, 1e-6, 1, TRAIN_LOG, 0.03, 0.3},
    {SLW_FLAVOUR_XGBOOST, "max_depth", true, 1, 16, TRAIN_UNIFORM, 2, 6},
    {SLW_FLAVOUR_XGBOOST, "min_child_weight", false, 0, 1e9, TRAIN_LOG, 1, 100},
    {SLW_FLAVOUR_XGBOOST, "subsample", false, 0.01, 1, TRAIN_UNIFORM, 0.5, 1},
    {SLW_FLAVOUR_XGBOOST, "colsample", false, 0.01, 1, TRAIN_UNIFORM, 0.3, 1},
    {SLW_FLAVOUR_XGBOOST, "rounds", true, 1, 4096, TRAIN_FIXED, 150, 150},
    {SLW_FLAVOUR_XGBOOST, "early_rounds", true, 0, 4096, TRAIN_FIXED, 15, 15},
    {SLW_FLAVOUR_XGBOOST, "max_bin", true, 2, 65536, NONE},
    {SLW_FLAVOUR_XGBOOST, "lambda", false, 0, 1e9, NONE},
    {SLW_FLAVOUR_XGBOOST, "alpha", false, 0, 1e9, NONE},
    {SLW_FLAVOUR_XGBOOST, "gamma", false, 0, 1e9, NONE},
    {SLW_FLAVOUR_SVR, "c", false, 1e-9, 1e9, TRAIN_LOG, 0.1, 10},
    {SLW_FLAVOUR_SVR, "epsilon", false, 0, 1e6, TRAIN_LOG, 0.03, 0.5},
    {SLW_FLAVOUR_SVR, "gamma", false, 1e-9, 1e6, TRAIN_LOG, 0.001, 0.1},
    {SLW_FLAVOUR_SVR, "max_rows", true, 20, 1e6, TRAIN_FIXED, 2500, 2500},
    {SLW_FLAVOUR_SVR, "tolerance", false, 1e-9, 1, NONE},
    {SLW_FLAVOUR_ARNET, "lags", true, 1, SLW_MODEL_COLUMN_MAX, NONE},
    {SLW_FLAVOUR_ARNET, "hidden", true, 0, 1024, TRAIN_UNIFORM, 0, 32},
    {SLW_FLAVOUR_ARNET, "lr", false, 1e-9, 1, TRAIN_LOG, 0.001, 0.01},
    {SLW_FLAVOUR_ARNET, "l2", false, 0, 1e3, TRAIN_LOG, 1e-5, 1e-2},
    {SLW_FLAVOUR_ARNET, "epochs", true, 1, 4096, TRAIN_FIXED, 20, 20},
    {SLW_FLAVOUR_ARNET, "patience", true, 0, 4096, TRAIN_FIXED, 4, 4},
    {SLW_FLAVOUR_ARNET, "batch", true, 1, 1e6, TRAIN_FIXED, 256, 256},
};
#define TEXT_KEY "lag_prefix" /* arnet's one parameter that is a text */

static const struct known *
known_find(enum slw_flavour flavour, struct slw_str name)
{
    for (size_t i = 0; i < SLW_ARRAY_LEN(KNOWN); i++)
        if (KNOWN[i].flavour == flavour && slw_str_eqz(name, KNOWN[i].name))
            return &KNOWN[i];
    return NULL;
}

/* ---- reading ---- */

static bool
is_number(const struct json_t *v)
{
    return slw_json_type(v) == SLW_JSON_INT ||
           slw_json_type(v) == SLW_JSON_REAL;
}

static enum slw_rc
value_check(const struct train_candidate *c, const struct known *k, double v,
            struct slw_err *err)
{
    if (k->is_count && v != floor(v))
        return slw_fail(err, SLW_INVALID,
                        "candidate %.*s: %s counts, so it must be an integer,"
                        " not %g",
                        SLW_FMT(c->name), k->name, v);
    if (!(v >= k->least && v <= k->most))
        return slw_fail(err, SLW_INVALID,
                        "candidate %.*s: %s must be from %g to %g, not %g",
                        SLW_FMT(c->name), k->name, k->least, k->most, v);
    return SLW_OK;
}

static enum slw_rc
range_parse(const struct train_candidate *c, const struct known *k,
            const struct json_t *v, struct train_space *out,
            struct slw_err *err)
{
    const size_t len = slw_json_len(v);
    const struct slw_str word = slw_json_str_or(slw_json_at(v, 2), SLW_STR(""));
    if (len < 2 || len > 3 || !is_number(slw_json_at(v, 0)) ||
        !is_number(slw_json_at(v, 1)) ||
        (len == 3 && !slw_str_eqz(word, "log")))
        return slw_fail(err, SLW_INVALID,
                        "candidate %.*s: the space of %s must be [least, most]"
                        " or [least, most, \"log\"]",
                        SLW_FMT(c->name), k->name);
    out->kind = len == 3 ? TRAIN_LOG : TRAIN_UNIFORM;
    out->least = slw_json_f64_or(slw_json_at(v, 0), 0);
    out->most = slw_json_f64_or(slw_json_at(v, 1), 0);
    if (out->least > out->most)
        return slw_fail(err, SLW_INVALID,
                        "candidate %.*s: the space of %s begins at %g, above"
                        " its end %g",
                        SLW_FMT(c->name), k->name, out->least, out->most);
    if (out->kind == TRAIN_LOG && !(out->least > 0))
        return slw_fail(err, SLW_INVALID,
                        "candidate %.*s: the logarithmic space of %s must"
                        " begin above 0",
                        SLW_FMT(c->name), k->name);
    TRY(value_check(c, k, out->least, err));
    return value_check(c, k, out->most, err);
}

static enum slw_rc
choice_parse(const struct train_candidate *c, const struct known *k,
             const struct json_t *v, struct train_space *out,
             struct slw_err *err)
{
    const struct json_t *list = slw_json_get(v, "choice");
    if (slw_json_len(v) != 1 || slw_json_type(list) != SLW_JSON_ARRAY ||
        slw_json_len(list) == 0)
        return slw_fail(err, SLW_INVALID,
                        "candidate %.*s: %s must be a number, [least, most],"
                        " [least, most, \"log\"] or {\"choice\": [a, b]}",
                        SLW_FMT(c->name), k->name);
    for (size_t i = 0; i < slw_json_len(list); i++) {
        if (!is_number(slw_json_at(list, i)))
            return slw_fail(err, SLW_INVALID,
                            "candidate %.*s: choice %zu of %s must be a number",
                            SLW_FMT(c->name), i + 1, k->name);
        TRY(value_check(c, k, slw_json_f64_or(slw_json_at(list, i), 0), err));
    }
    out->kind = TRAIN_CHOICE;
    out->node = list;
    return SLW_OK;
}

static enum slw_rc
space_parse(const struct train_candidate *c, const struct known *k,
            const struct json_t *v, struct train_space *out,
            struct slw_err *err)
{
    *out = (struct train_space){.name = slw_str_of(k->name),
                                .is_count = k->is_count};
    if (slw_json_type(v) == SLW_JSON_ARRAY)
        return range_parse(c, k, v, out, err);
    if (!is_number(v))
        return choice_parse(c, k, v, out, err);
    out->kind = TRAIN_FIXED;
    out->least = out->most = slw_json_f64_or(v, 0);
    return value_check(c, k, out->least, err);
}

static enum slw_rc
unknown_fail(const struct train_candidate *c, struct slw_str key,
             struct slw_arena *a, struct slw_err *err)
{
    const char *names[SLW_ARRAY_LEN(KNOWN) + 1];
    size_t count = 0;
    for (size_t i = 0; i < SLW_ARRAY_LEN(KNOWN); i++)
        if (KNOWN[i].flavour == c->flavour)
            names[count++] = KNOWN[i].name;
    if (c->flavour == SLW_FLAVOUR_ARNET)
        names[count++] = TEXT_KEY;
    SLW_AUTO(slw_buf, list);
    for (size_t i = 0; i < count; i++)
        slw_buf_printf(&list, "%s%s", i ? ", " : "", names[i]);
    const struct slw_str near = train_near(key, names, count, a);
    return slw_fail(err, SLW_INVALID,
                    "candidate %.*s has no parameter '%.*s'%.*s (it has %.*s)",
                    SLW_FMT(c->name), SLW_FMT(key), SLW_FMT(near),
                    SLW_FMT(slw_buf_view(&list)));
}

static int
compare_spaces(const void *a, const void *b)
{
    return slw_str_cmp(((const struct train_space *)a)->name,
                       ((const struct train_space *)b)->name);
}

static struct train_space
default_space(const struct known *k)
{
    return (struct train_space){.name = slw_str_of(k->name),
                                .kind = k->kind,
                                .is_count = k->is_count,
                                .least = k->from,
                                .most = k->to};
}

enum slw_rc
train_spaces_parse(struct train_candidate *c, const struct json_t *json,
                   struct slw_arena *a, struct slw_err *err)
{
    SLW_ASSERT(!c->is_script);
    if (slw_json_type(json) != SLW_JSON_OBJECT &&
        slw_json_type(json) != SLW_JSON_NULL)
        return slw_fail(err, SLW_INVALID,
                        "candidate %.*s must be an object of parameters, as in"
                        " {\"max_depth\": [2, 6]}",
                        SLW_FMT(c->name));
    c->spaces = SLW_ARENA_NEW(a, struct train_space, SLW_ARRAY_LEN(KNOWN) + 1);
    for (void *it = slw_json_iter(json); it; it = slw_json_next(json, it)) {
        const struct slw_str key = slw_json_iter_key(it);
        const struct json_t *v = slw_json_iter_value(it);
        const struct known *k = known_find(c->flavour, key);
        struct train_space *sp = &c->spaces[c->space_count];
        if (k) {
            TRY(space_parse(c, k, v, sp, err));
        } else if (c->flavour == SLW_FLAVOUR_ARNET &&
                   slw_str_eqz(key, TEXT_KEY)) {
            if (slw_json_type(v) != SLW_JSON_STR)
                return slw_fail(err, SLW_INVALID,
                                "candidate %.*s: " TEXT_KEY
                                " must be a text, as in range_lag",
                                SLW_FMT(c->name));
            *sp = (struct train_space){
                .name = SLW_STR(TEXT_KEY),
                .kind = TRAIN_TEXT,
                .text = slw_arena_str(a, slw_json_str_or(v, SLW_STR("")))};
        } else {
            return unknown_fail(c, key, a, err);
        }
        c->space_count++;
    }
    for (size_t i = 0; i < SLW_ARRAY_LEN(KNOWN); i++)
        if (KNOWN[i].flavour == c->flavour && KNOWN[i].from <= KNOWN[i].to &&
            !slw_json_get(json, KNOWN[i].name))
            c->spaces[c->space_count++] = default_space(&KNOWN[i]);
    qsort(c->spaces, c->space_count, sizeof(*c->spaces), compare_spaces);
    return SLW_OK;
}

bool
train_spaces_fixed(const struct train_candidate *c)
{
    for (size_t i = 0; i < c->space_count; i++) {
        const struct train_space *sp = &c->spaces[i];
        if ((sp->kind == TRAIN_CHOICE && slw_json_len(sp->node) > 1) ||
            ((sp->kind == TRAIN_UNIFORM || sp->kind == TRAIN_LOG) &&
             sp->least < sp->most))
            return false;
    }
    return true;
}

/* ---- drawing ---- */

/* Six digits are more than a search can tell apart, and can be read. */
static double
round_to_six(double v)
{
    char text[SLW_F64_TEXT_SIZE];
    struct slw_err err;
    double out = v;
    const int len = snprintf(text, sizeof(text), "%.6g", v);
    SLW_ASSERT(len > 0 && (size_t)len < sizeof(text));
    if (slw_str_f64((struct slw_str){text, (size_t)len}, &out, &err) != SLW_OK)
        return v;
    return out;
}

static double
draw(const struct train_space *sp, struct slw_rng *rng)
{
    double v = sp->least;
    if (sp->kind == TRAIN_CHOICE)
        return slw_json_f64_or(
            slw_json_at(sp->node, slw_rng_below(rng, slw_json_len(sp->node))),
            0);
    if (sp->kind == TRAIN_UNIFORM && sp->is_count)
        return sp->least +
               (double)slw_rng_below(rng, (uint64_t)(sp->most - sp->least) + 1);
    if (sp->kind == TRAIN_UNIFORM)
        v = sp->least + (sp->most - sp->least) * slw_rng_f64(rng);
    if (sp->kind == TRAIN_LOG)
        v = sp->least * exp(log(sp->most / sp->least) * slw_rng_f64(rng));
    v = sp->is_count ? round(v) : sp->kind == TRAIN_FIXED ? v : round_to_six(v);
    return fmin(fmax(v, sp->least), sp->most);
}

static void
number_write(struct slw_jw *w, const char *key, bool is_count, double v)
{
    if (is_count)
        slw_jw_ki64(w, key, (int64_t)v);
    else
        slw_jw_kf64(w, key, v);
}

struct slw_str
train_spaces_draw(const struct train_candidate *c, int64_t seed, int64_t trial,
                  struct slw_arena *a)
{
    struct slw_rng rng;
    const struct slw_str name =
        slw_arena_printf(a, "%.*s/%lld", SLW_FMT(c->name), (long long)trial);
    slw_rng_init_named(&rng, (uint64_t)seed, name);
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    for (size_t i = 0; i < c->space_count; i++) {
        const struct train_space *sp = &c->spaces[i];
        slw_jw_keys(&w, sp->name);
        if (sp->kind == TRAIN_TEXT)
            slw_jw_str(&w, sp->text);
        else if (sp->is_count)
            slw_jw_i64(&w, (int64_t)draw(sp, &rng));
        else
            slw_jw_f64(&w, draw(sp, &rng));
    }
    slw_jw_obj_end(&w);
    return slw_arena_str(a, slw_buf_view(&text));
}

struct slw_str
train_params_final(enum slw_flavour flavour, const struct json_t *params,
                   int rounds, struct slw_arena *a)
{
    const char *length = flavour == SLW_FLAVOUR_XGBOOST ? "rounds"
                         : flavour == SLW_FLAVOUR_ARNET ? "epochs"
                                                        : NULL;
    SLW_AUTO(slw_buf, text);
    struct slw_jw w;
    slw_jw_init(&w, &text);
    slw_jw_obj(&w);
    for (void *it = slw_json_iter(params); it; it = slw_json_next(params, it)) {
        const struct slw_str key = slw_json_iter_key(it);
        if (slw_str_eqz(key, "early_rounds") || slw_str_eqz(key, "patience"))
            continue;
        if (length && slw_str_eqz(key, length)) {
            number_write(&w, length, true, rounds);
            continue;
        }
        slw_jw_keys(&w, key);
        slw_jw_node(&w, slw_json_iter_value(it));
    }
    slw_jw_obj_end(&w);
    return slw_arena_str(a, slw_buf_view(&text));
}
