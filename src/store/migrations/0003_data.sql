-- 0003 data: sources (what data is called and must look like) and dataset
-- versions (immutable; their rows are a Parquet file in a blob).

CREATE TABLE data_source (
    name          TEXT PRIMARY KEY,
    def           TEXT NOT NULL,    -- JSON object, canonical
    version       INTEGER NOT NULL, -- counts changes of the definition
    updated_at_ms INTEGER NOT NULL  -- ms since 1970 UTC
) STRICT;

CREATE TABLE data_dataset (
    id                INTEGER PRIMARY KEY,
    name              TEXT NOT NULL,
    version           INTEGER NOT NULL, -- 1, 2, 3 ... within the name
    parent            INTEGER NOT NULL, -- version before it; 0: none
    hash              TEXT NOT NULL,    -- SHA-256 of the Parquet file, hex
    size              INTEGER NOT NULL, -- bytes of that file
    new_size          INTEGER NOT NULL, -- bytes it added on disk
    chunk_count       INTEGER NOT NULL,
    row_count         INTEGER NOT NULL,
    quarantined_count INTEGER NOT NULL, -- rows kept out, see checks
    quarantine_hash   TEXT NOT NULL,    -- Parquet of those rows; '': none
    event_min_ms      INTEGER NOT NULL, -- ms since 1970 UTC, inclusive
    event_max_ms      INTEGER NOT NULL,
    known_at_ms       INTEGER NOT NULL, -- when Slipway learned these rows
    created_at_ms     INTEGER NOT NULL,
    schema            TEXT NOT NULL,    -- JSON [{"name","type"}]
    profile           TEXT NOT NULL,    -- JSON, see src/data/README.md
    checks            TEXT NOT NULL,    -- JSON [{"check","failed",...}]
    source_def        TEXT NOT NULL,    -- JSON it was checked against
    UNIQUE (name, version)
) STRICT;
CREATE INDEX data_dataset_by_known ON data_dataset(name, known_at_ms);
CREATE INDEX data_dataset_by_hash ON data_dataset(name, hash);
