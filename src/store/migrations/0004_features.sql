-- 0004 features: view definitions, and the newest feature row of each entity
-- for serving.

CREATE TABLE features_view (
    name               TEXT PRIMARY KEY,
    def                TEXT NOT NULL,    -- JSON object, canonical
    hash               TEXT NOT NULL,    -- SHA-256 of def, hex
    version            INTEGER NOT NULL, -- counts changes of the definition
    updated_at_ms      INTEGER NOT NULL, -- ms since 1970 UTC
    materialized_at_ms INTEGER NOT NULL, -- 0: never
    pins               TEXT NOT NULL,    -- JSON {"source": version} it used
    columns            TEXT NOT NULL,    -- JSON [{"name","type"}]
    online_count       INTEGER NOT NULL, -- entities in features_online
    online_hash        TEXT NOT NULL,    -- hash of the def they came from
    online_ttl_ms      INTEGER NOT NULL, -- its ttl; 0: none
    online_columns     TEXT NOT NULL     -- its feature names, one a line
) STRICT;

CREATE TABLE features_online (
    view     TEXT NOT NULL,
    entity   TEXT NOT NULL,
    event_ms INTEGER NOT NULL, -- event time of the row
    packed   BLOB NOT NULL,    -- doubles, little-endian; NaN: missing
    PRIMARY KEY (view, entity)
) STRICT, WITHOUT ROWID;
