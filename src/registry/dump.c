/* dump.c -- everything this room keeps, as tables for others. */
#include "registry/registry_internal.h"

#define OF_MODELS(table)                                                       \
    " FROM registry_model m JOIN " table " x ON x.model_id = m.id"
#define OF_VERSIONS(table)                                                     \
    " FROM registry_model m JOIN registry_version v ON v.model_id = m.id"      \
    " JOIN " table " x ON x.version_id = v.id"

const struct slw_dump_table slw_registry_dump_tables[] = {
    {"registered_models",
     "name:VARCHAR description:VARCHAR created_at_ms:BIGINT"
     " updated_at_ms:BIGINT",
     "SELECT name, nullif(description, ''), created_at_ms, updated_at_ms"
     " FROM registry_model ORDER BY id"},
    {"registered_model_tags", "name:VARCHAR key:VARCHAR value:VARCHAR",
     "SELECT m.name, x.key, x.value" OF_MODELS(
         "registry_model_tag") " ORDER BY m.id, x.key"},
    {"model_versions",
     "name:VARCHAR version:BIGINT stage:VARCHAR status:VARCHAR"
     " description:VARCHAR run_id:VARCHAR run_link:VARCHAR source:VARCHAR"
     " logged_model_id:VARCHAR release:VARCHAR created_at_ms:BIGINT"
     " updated_at_ms:BIGINT",
     "SELECT m.name, x.version, x.stage, x.status, nullif(x.description, ''),"
     " nullif(x.run_id, ''), nullif(x.run_link, ''), nullif(x.source, ''),"
     " nullif(x.logged_model, ''), nullif(x.release, ''), x.created_at_ms,"
     " x.updated_at_ms" OF_MODELS(
         "registry_version") " ORDER BY m.id, x.version"},
    {"model_version_tags",
     "name:VARCHAR version:BIGINT key:VARCHAR value:VARCHAR",
     "SELECT m.name, v.version, x.key, x.value" OF_VERSIONS(
         "registry_version_tag") " ORDER BY m.id, v.version, x.key"},
    {"aliases", "name:VARCHAR alias:VARCHAR version:BIGINT",
     "SELECT m.name, x.name, x.version" OF_MODELS(
         "registry_alias") " ORDER BY m.id, x.name"},
    {"alias_history",
     "name:VARCHAR alias:VARCHAR from_ms:BIGINT version:BIGINT who:VARCHAR"
     " why:VARCHAR",
     "SELECT m.name, x.alias, x.from_ms, nullif(x.version, 0),"
     " nullif(x.who, ''), nullif(x.why, '')" OF_MODELS(
         "registry_alias_history") " ORDER BY x.id"},
    {"stage_history",
     "name:VARCHAR version:BIGINT from_ms:BIGINT from_stage:VARCHAR"
     " to_stage:VARCHAR who:VARCHAR why:VARCHAR",
     "SELECT m.name, x.version, x.from_ms, nullif(x.from_stage, ''),"
     " nullif(x.to_stage, ''), nullif(x.who, ''), nullif(x.why, '')" OF_MODELS(
         "registry_stage_history") " ORDER BY x.id"},
    {"gates",
     "name:VARCHAR version:BIGINT at_ms:BIGINT passed:BOOLEAN gate:VARCHAR",
     "SELECT m.name, v.version, x.at_ms, x.passed, x.gate" OF_VERSIONS(
         "registry_gate") " ORDER BY x.id"},
};
const size_t slw_registry_dump_table_count =
    SLW_ARRAY_LEN(slw_registry_dump_tables);
