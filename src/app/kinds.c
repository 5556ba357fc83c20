/* kinds.c -- the work that children do: one table of durable jobs, one of
 * short tasks.  The only place where a kind's name meets its function. */
#include "app/app.h"
#include "data/data.h"
#include "features/features.h"
#include "flow/flow.h"
#include "migrate/migrate.h"
#include "monitor/monitor.h"
#include "rehearse/rehearse.h"

#define MINUTE_MS ((int64_t)60000)
#define GIB ((size_t)1 << 30)

const struct slw_job_kind app_job_kinds[] = {
    {"data.ingest", slw_data_ingest_job, 3, 60 * MINUTE_MS, 8 * GIB},
    {"features.materialize", slw_features_materialize_job, 3, 30 * MINUTE_MS,
     8 * GIB},
    {"flow.refresh", slw_flow_refresh_job, 3, 30 * MINUTE_MS, 8 * GIB},
    {"flow.train", slw_flow_train_job, 3, 240 * MINUTE_MS, 16 * GIB},
    {"flow.gate", slw_flow_gate_job, 3, 30 * MINUTE_MS, 8 * GIB},
    {"rehearse.run", slw_rehearse_job, 1, 600 * MINUTE_MS, 8 * GIB},
    {"migrate.import", slw_import_job, 3, 600 * MINUTE_MS, 8 * GIB},
    {"migrate.export", slw_export_job, 1, 600 * MINUTE_MS, 8 * GIB},
    {"flow.reproduce", slw_flow_reproduce_job, 2, 60 * MINUTE_MS, 16 * GIB},
    {"store.gc", app_gc_job, 3, 600 * MINUTE_MS, 8 * GIB},
};
const size_t app_job_kind_count = SLW_ARRAY_LEN(app_job_kinds);

const struct slw_task_kind app_task_kinds[] = {
    {"data.diff", slw_data_diff_task},
    {"data.export", slw_data_export_task},
    {"features.historical", slw_features_historical_task},
    {"features.export", slw_features_export_task},
    {"monitor.judge", slw_monitor_judge_task},
    {"verify", app_verify_task},
};
const size_t app_task_kind_count = SLW_ARRAY_LEN(app_task_kinds);
