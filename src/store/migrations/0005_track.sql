-- 0005 track: experiments, runs and what they log.  Names of metrics, params
-- and run tags are numbers (track_key); a run is a number inside and 32 hex
-- digits outside.  Every log call appends one row of packed points; the latest
-- value of each metric stands in track_metric, in the same transaction.

CREATE TABLE track_experiment (
    id                INTEGER PRIMARY KEY, -- 0: "Default"
    name              TEXT NOT NULL UNIQUE, -- stays taken after deletion
    artifact_location TEXT NOT NULL,       -- URI
    deleted           INTEGER NOT NULL CHECK (deleted IN (0, 1)),
    created_at_ms     INTEGER NOT NULL,
    updated_at_ms     INTEGER NOT NULL
) STRICT;
INSERT INTO track_experiment(id, name, artifact_location, deleted,
                             created_at_ms, updated_at_ms)
VALUES (0, 'Default', 'mlflow-artifacts:/0', 0, 0, 0);

CREATE TABLE track_experiment_tag (
    experiment_id INTEGER NOT NULL REFERENCES track_experiment(id),
    key           TEXT NOT NULL,
    value         TEXT NOT NULL,
    PRIMARY KEY (experiment_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE track_run (
    number        INTEGER PRIMARY KEY, -- short key of the tables below
    id            TEXT NOT NULL UNIQUE, -- 32 hex digits
    experiment_id INTEGER NOT NULL REFERENCES track_experiment(id),
    name          TEXT NOT NULL,
    user          TEXT NOT NULL,
    artifact_uri  TEXT NOT NULL,
    status        INTEGER NOT NULL CHECK (status BETWEEN 1 AND 5),
    deleted       INTEGER NOT NULL CHECK (deleted IN (0, 1)),
    start_ms      INTEGER NOT NULL,
    end_ms        INTEGER NOT NULL -- 0: not ended
) STRICT;
CREATE INDEX track_run_by_start
    ON track_run(experiment_id, deleted, start_ms DESC, id);

CREATE TABLE track_key (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- Append-only.  id = run number * 2^24 + sequence within the run, so that the
-- points of a run lie together without an index.
CREATE TABLE track_point (
    id     INTEGER PRIMARY KEY,
    points BLOB NOT NULL -- 28 bytes each, little-endian: key id u32, value
                         -- f64, at_ms i64, step i64
) STRICT;

-- The greatest point of each metric by (step, at_ms, value).
CREATE TABLE track_metric (
    run   INTEGER NOT NULL, -- track_run.number
    key   INTEGER NOT NULL, -- track_key.id
    value REAL,             -- NULL: NaN
    at_ms INTEGER NOT NULL,
    step  INTEGER NOT NULL,
    PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX track_metric_by_value ON track_metric(key, value, run);

CREATE TABLE track_param ( -- written once
    run   INTEGER NOT NULL,
    key   INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX track_param_by_value ON track_param(key, value, run);

CREATE TABLE track_tag (
    run   INTEGER NOT NULL,
    key   INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX track_tag_by_value ON track_tag(key, value, run);

CREATE TABLE track_dataset (
    id            INTEGER PRIMARY KEY,
    experiment_id INTEGER NOT NULL,
    name          TEXT NOT NULL,
    digest        TEXT NOT NULL,
    source_type   TEXT NOT NULL,
    source        TEXT NOT NULL,
    schema        TEXT NOT NULL, -- '': not given
    profile       TEXT NOT NULL, -- '': not given
    UNIQUE (experiment_id, name, digest)
) STRICT;
CREATE TABLE track_input ( -- a dataset used by a run
    run        INTEGER NOT NULL,
    dataset_id INTEGER NOT NULL REFERENCES track_dataset(id),
    PRIMARY KEY (run, dataset_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX track_input_by_dataset ON track_input(dataset_id, run);
CREATE TABLE track_input_tag ( -- "mlflow.data.context" and others
    run        INTEGER NOT NULL,
    dataset_id INTEGER NOT NULL,
    key        TEXT NOT NULL,
    value      TEXT NOT NULL,
    PRIMARY KEY (run, dataset_id, key)
) STRICT, WITHOUT ROWID;

-- Files by path, as the artifact proxy names them:
-- "<experiment>/<run>/artifacts/<path>".  Bytes are blobs.
CREATE TABLE track_artifact (
    path TEXT PRIMARY KEY,
    blob TEXT NOT NULL,   -- SHA-256 of the content, hex
    size INTEGER NOT NULL -- bytes
) STRICT, WITHOUT ROWID;

CREATE TABLE track_model ( -- a logged model
    id             TEXT PRIMARY KEY, -- "m-" and 32 hex digits
    experiment_id  INTEGER NOT NULL REFERENCES track_experiment(id),
    name           TEXT NOT NULL,
    model_type     TEXT NOT NULL,
    source_run_id  TEXT NOT NULL, -- '': none
    artifact_uri   TEXT NOT NULL,
    status         INTEGER NOT NULL, -- 1 pending, 2 ready, 3 failed
    status_message TEXT NOT NULL,
    deleted        INTEGER NOT NULL CHECK (deleted IN (0, 1)),
    created_at_ms  INTEGER NOT NULL,
    updated_at_ms  INTEGER NOT NULL
) STRICT;
CREATE INDEX track_model_by_time
    ON track_model(experiment_id, deleted, created_at_ms DESC, id);
CREATE INDEX track_model_by_run ON track_model(source_run_id);
CREATE TABLE track_model_param (
    model_id TEXT NOT NULL REFERENCES track_model(id),
    key      TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (model_id, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE track_model_tag (
    model_id TEXT NOT NULL REFERENCES track_model(id),
    key      TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (model_id, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE track_model_metric (
    model_id       TEXT NOT NULL,
    key            TEXT NOT NULL,
    at_ms          INTEGER NOT NULL,
    step           INTEGER NOT NULL,
    run_id         TEXT NOT NULL,
    value          REAL, -- NULL: NaN
    dataset_name   TEXT NOT NULL, -- '': none
    dataset_digest TEXT NOT NULL,
    PRIMARY KEY (model_id, key, at_ms, step, run_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE track_model_link ( -- a model that went into or came out of a run
    run      INTEGER NOT NULL,
    is_output INTEGER NOT NULL CHECK (is_output IN (0, 1)),
    model_id TEXT NOT NULL,
    step     INTEGER NOT NULL,
    PRIMARY KEY (run, is_output, model_id)
) STRICT, WITHOUT ROWID;
