/* score.c -- how a policy fared, read from its store: what was answered (the
 * prediction log) beside what really came (labels), and what happened (the
 * event log), by year and by entity.
 *
 * All of it is sums over rows in a fixed order, so the same days give the same
 * figures to the last digit, however often the rehearsal was stopped. */
#include "rehearse/rehearse_internal.h"

#include <math.h>

#include "features/features.h"
#include "serve/serve.h"
#include "store/event.h"

#define YEARS_MAX 200
#define ENTITIES_MAX 10000

/* What is counted, by year. */
enum count {
    ALERTS,
    RETRAINS,
    PROMOTIONS,
    REFUSALS,
    ROLLBACKS,
    WITHDRAWALS,
    COUNT_MAX
};
static const char *const COUNT_NAMES[COUNT_MAX] = {
    "alerts", "retrains", "promotions", "refusals", "rollbacks", "withdrawals"};

struct cell {
    double loss;
    int64_t answered; /* requests with a label */
};

struct year {
    int64_t number;
    struct cell all;
    struct cell *entities; /* [entity_count] */
    int64_t requests, unanswered, days, fallback_days;
    int64_t counts[COUNT_MAX];
};

struct score {
    const struct rehearse_scored *what;
    const struct slw_frame *labels;
    struct slw_arena a;
    struct slw_str *entities; /* sorted */
    size_t entity_count;
    struct year *years; /* ascending */
    size_t year_count;
    bool squared;
    /* the day that the log is at */
    int64_t day, day_requests, day_by_rule;
};

static void
score_done(struct score *s)
{
    slw_arena_done(&s->a);
}

/* ---- years and entities ---- */

static int64_t
year_number(int64_t ms)
{
    char text[SLW_TIME_TEXT_SIZE];
    return strtoll(slw_date_text(ms, text), NULL, 10);
}

static struct year *
year_of(struct score *s, int64_t ms)
{
    const int64_t number = year_number(ms);
    size_t at = s->year_count;
    while (at > 0 && s->years[at - 1].number > number)
        at--;
    if (at > 0 && s->years[at - 1].number == number)
        return &s->years[at - 1];
    SLW_ASSERT(s->year_count < YEARS_MAX);
    memmove(&s->years[at + 1], &s->years[at],
            (s->year_count - at) * sizeof *s->years);
    s->year_count++;
    s->years[at] = (struct year){
        .number = number,
        .entities = SLW_ARENA_NEW(&s->a, struct cell, s->entity_count + 1)};
    return &s->years[at];
}

static int
by_name(const void *a, const void *b)
{
    return slw_str_cmp(*(const struct slw_str *)a, *(const struct slw_str *)b);
}

static size_t
entity_at(const struct score *s, struct slw_str name)
{
    size_t low = 0, high = s->entity_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (slw_str_cmp(s->entities[mid], name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static enum slw_rc
entities_find(struct score *s, struct slw_err *err)
{
    const struct slw_frame *f = s->labels;
    s->entities = SLW_ARENA_NEW(&s->a, struct slw_str, f->row_count + 1);
    memcpy(s->entities, f->entity, f->row_count * sizeof *f->entity);
    qsort(s->entities, f->row_count, sizeof *s->entities, by_name);
    for (size_t i = 0; i < f->row_count; i++)
        if (s->entity_count == 0 ||
            !slw_str_eq(s->entities[s->entity_count - 1], s->entities[i]))
            s->entities[s->entity_count++] = s->entities[i];
    if (s->entity_count > ENTITIES_MAX)
        return slw_fail(err, SLW_LIMIT,
                        "a rehearsal is told apart by at most %d entities",
                        ENTITIES_MAX);
    return SLW_OK;
}

/* ---- what was answered ---- */

/* The label of a row; NaN: not known. */
static double
label_of(const struct score *s, int64_t event_ms, struct slw_str entity)
{
    const struct slw_frame *f = s->labels;
    size_t low = 0, high = f->row_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        const bool less = f->event_ms[mid] != event_ms
                              ? f->event_ms[mid] < event_ms
                              : slw_str_cmp(f->entity[mid], entity) < 0;
        if (less)
            low = mid + 1;
        else
            high = mid;
    }
    const bool found = low < f->row_count && f->event_ms[low] == event_ms &&
                       slw_str_eq(f->entity[low], entity);
    return found ? f->y[low] : (double)NAN;
}

/* A day counts as one on the fallback when the rule gave most answers. */
static void
day_close(struct score *s)
{
    if (s->day_requests == 0)
        return;
    struct year *y = year_of(s, s->day * SLW_DAY_MS);
    y->days++;
    y->fallback_days += 2 * s->day_by_rule > s->day_requests;
    s->day_requests = s->day_by_rule = 0;
}

static void
answer_add(struct score *s, struct year *y, const struct slw_prediction *p,
           double label)
{
    const double d = fabs(p->y - label);
    const double loss = s->squared ? d * d : d;
    const size_t at = entity_at(s, p->key);
    y->all.loss += loss;
    y->all.answered++;
    y->entities[at].loss += loss;
    y->entities[at].answered++;
}

static enum slw_rc
prediction_seen(void *ctx, const struct slw_prediction *p, struct slw_err *err)
{
    struct score *s = ctx;
    const int64_t day = slw_time_index(p->at_ms, SLW_DAY_MS);
    if (day != s->day)
        day_close(s);
    s->day = day;
    s->day_requests++;
    s->day_by_rule += p->by == SLW_BY_FALLBACK;
    struct year *y = year_of(s, p->event_ms);
    y->requests++;
    if (!isfinite(p->y)) {
        y->unanswered++;
        return SLW_OK;
    }
    const double label = label_of(s, p->event_ms, p->key);
    if (isfinite(label))
        answer_add(s, y, p, label);
    return SLW_OK;
}

/* ---- what happened ---- */

static enum slw_rc
event_count(struct score *s, const struct slw_event *e, struct slw_err *err)
{
    enum count c = COUNT_MAX;
    if (slw_str_eqz(e->kind, "monitor.alert")) {
        c = ALERTS;
    } else if (slw_str_eqz(e->kind, "flow.trained")) {
        c = RETRAINS;
    } else if (slw_str_eqz(e->kind, "serve.rolled_back")) {
        c = ROLLBACKS;
    } else if (slw_str_eqz(e->kind, "serve.withdrawn")) {
        c = WITHDRAWALS;
    } else if (slw_str_eqz(e->kind, "flow.run_ended")) {
        SLW_AUTO(slw_json, doc);
        struct slw_str state = SLW_STR("");
        TRY(slw_json_parse(&doc, e->payload, err));
        TRY(slw_json_opt_str(doc.root, "state", &state, err));
        c = slw_str_eqz(state, "promoted")  ? PROMOTIONS
            : slw_str_eqz(state, "refused") ? REFUSALS
                                            : COUNT_MAX;
    }
    if (c < COUNT_MAX)
        year_of(s, e->at_ms)->counts[c]++;
    return SLW_OK;
}

/* Events of the days; what made the first version is before them. */
static enum slw_rc
events_count(struct score *s, struct slw_store *store, struct slw_err *err)
{
    static const char *const rooms[] = {"monitor.", "flow.", "serve."};
    for (size_t i = 0; i < SLW_ARRAY_LEN(rooms); i++) {
        int64_t after = 0;
        SLW_AUTO(slw_tx, tx);
        TRY(slw_tx_read(&tx, store, err));
        for (;;) {
            struct slw_event e;
            SLW_AUTO(slw_arena, a);
            const enum slw_rc rc = slw_event_after(
                &tx, after, slw_str_of(rooms[i]), SLW_STR(""), &a, &e, err);
            if (rc == SLW_NOT_FOUND)
                break;
            TRY(rc);
            after = e.id;
            if (e.at_ms >= s->what->from_ms)
                TRY(event_count(s, &e, err));
        }
    }
    return SLW_OK;
}

/* ---- writing ---- */

static double
cell_error(const struct score *s, const struct cell *c)
{
    if (c->answered == 0)
        return NAN;
    const double mean = c->loss / (double)c->answered;
    return s->squared ? sqrt(mean) : mean;
}

static void
figures_write(const struct score *s, const struct year *y, struct slw_jw *w)
{
    slw_jw_kf64(w, "error", cell_error(s, &y->all));
    slw_jw_ki64(w, "rows", y->all.answered / (s->what->requests));
    slw_jw_ki64(w, "requests", y->requests);
    slw_jw_ki64(w, "unanswered", y->unanswered);
    for (int c = 0; c < COUNT_MAX; c++)
        slw_jw_ki64(w, COUNT_NAMES[c], y->counts[c]);
    slw_jw_ki64(w, "days", y->days);
    slw_jw_ki64(w, "fallback_days", y->fallback_days);
    slw_jw_key(w, "symbols");
    slw_jw_arr(w);
    for (size_t i = 0; i < s->entity_count; i++) {
        if (y->entities[i].answered == 0)
            continue;
        slw_jw_obj(w);
        slw_jw_kstr(w, "symbol", s->entities[i]);
        slw_jw_kf64(w, "error", cell_error(s, &y->entities[i]));
        slw_jw_ki64(w, "rows", y->entities[i].answered / s->what->requests);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
}

static void
cell_add(struct cell *to, const struct cell *c)
{
    to->loss += c->loss;
    to->answered += c->answered;
}

static struct year
total_of(struct score *s)
{
    struct year t = {
        .entities = SLW_ARENA_NEW(&s->a, struct cell, s->entity_count + 1)};
    for (size_t i = 0; i < s->year_count; i++) {
        const struct year *y = &s->years[i];
        cell_add(&t.all, &y->all);
        for (size_t k = 0; k < s->entity_count; k++)
            cell_add(&t.entities[k], &y->entities[k]);
        t.requests += y->requests;
        t.unanswered += y->unanswered;
        t.days += y->days;
        t.fallback_days += y->fallback_days;
        for (int c = 0; c < COUNT_MAX; c++)
            t.counts[c] += y->counts[c];
    }
    return t;
}

static void
score_write(struct score *s, struct slw_jw *w)
{
    const struct rehearse_scored *what = s->what;
    const struct year total = total_of(s);
    slw_jw_obj(w);
    slw_jw_kstr(w, "name", what->name);
    slw_jw_kstr(w, "model", what->model);
    slw_jw_kstr(w, "start", what->start);
    slw_jw_kz(w, "metric", s->squared ? "rmse" : "mae");
    slw_jw_kbool(w, "complete", what->complete);
    slw_jw_key(w, "by_year");
    slw_jw_arr(w);
    for (size_t i = 0; i < s->year_count; i++) {
        slw_jw_obj(w);
        slw_jw_ki64(w, "year", s->years[i].number);
        figures_write(s, &s->years[i], w);
        slw_jw_obj_end(w);
    }
    slw_jw_arr_end(w);
    slw_jw_key(w, "total");
    slw_jw_obj(w);
    figures_write(s, &total, w);
    slw_jw_obj_end(w);
    slw_jw_key(w, "measured");
    slw_jw_obj(w);
    slw_jw_kf64(w, "training_minutes", what->training_minutes);
    slw_jw_kf64(w, "minutes", what->minutes);
    slw_jw_obj_end(w);
    slw_jw_obj_end(w);
}

enum slw_rc
rehearse_score(struct slw_store *store, const struct slw_frame *labels,
               const struct rehearse_scored *what, struct slw_jw *w,
               struct slw_err *err)
{
    SLW_AUTO(score, s);
    s.what = what;
    s.labels = labels;
    s.squared = slw_str_eqz(what->metric, "rmse");
    s.years = SLW_ARENA_NEW(&s.a, struct year, YEARS_MAX + 1);
    s.day = INT64_MIN;
    TRY(entities_find(&s, err));
    TRY(slw_serve_log_scan(store, what->deployment, INT64_MIN, what->to_ms,
                           prediction_seen, &s, err));
    day_close(&s);
    TRY(events_count(&s, store, err));
    score_write(&s, w);
    return SLW_OK;
}
