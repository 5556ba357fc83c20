-- 0006 registry: registered models, their versions, aliases with their whole
-- history, gate results.  Versions of our own releases and those that clients
-- register stand in the same tables.

CREATE TABLE registry_model (
    id            INTEGER PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    description   TEXT NOT NULL,
    next_version  INTEGER NOT NULL, -- a number is never handed out again
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE registry_model_tag (
    model_id INTEGER NOT NULL REFERENCES registry_model(id),
    key      TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (model_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE registry_version (
    id            INTEGER PRIMARY KEY,
    model_id      INTEGER NOT NULL REFERENCES registry_model(id),
    version       INTEGER NOT NULL,
    release       TEXT NOT NULL, -- hash of the release document; '': none
    run_id        TEXT NOT NULL, -- '': none
    run_link      TEXT NOT NULL,
    source        TEXT NOT NULL, -- URI of the bytes, as registered
    logged_model  TEXT NOT NULL, -- "m-…" of track; '': none
    description   TEXT NOT NULL,
    stage         TEXT NOT NULL
        CHECK (stage IN ('None', 'Staging', 'Production', 'Archived')),
    status        TEXT NOT NULL, -- "READY"
    gate_id       INTEGER NOT NULL, -- last row of registry_gate; 0: none
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    UNIQUE (model_id, version)
) STRICT;
CREATE INDEX registry_version_by_release ON registry_version(release)
    WHERE release <> '';
CREATE INDEX registry_version_by_run ON registry_version(run_id)
    WHERE run_id <> '';
CREATE INDEX registry_version_by_logged ON registry_version(logged_model)
    WHERE logged_model <> '';
CREATE TABLE registry_version_tag (
    version_id INTEGER NOT NULL REFERENCES registry_version(id),
    key        TEXT NOT NULL,
    value      TEXT NOT NULL,
    PRIMARY KEY (version_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE registry_alias (
    model_id INTEGER NOT NULL REFERENCES registry_model(id),
    name     TEXT NOT NULL,
    version  INTEGER NOT NULL,
    PRIMARY KEY (model_id, name)
) STRICT, WITHOUT ROWID;
-- Append-only: which version an alias named from when on, who moved it, why.
CREATE TABLE registry_alias_history (
    id       INTEGER PRIMARY KEY,
    model_id INTEGER NOT NULL,
    alias    TEXT NOT NULL,
    from_ms  INTEGER NOT NULL, -- clock passed in
    version  INTEGER NOT NULL, -- 0: removed
    who      TEXT NOT NULL,
    why      TEXT NOT NULL
) STRICT;
CREATE INDEX registry_alias_history_by_time
    ON registry_alias_history(model_id, alias, from_ms, id);

CREATE TABLE registry_gate ( -- every verdict, refusals too
    id         INTEGER PRIMARY KEY,
    version_id INTEGER NOT NULL REFERENCES registry_version(id),
    at_ms      INTEGER NOT NULL,
    passed     INTEGER NOT NULL CHECK (passed IN (0, 1)),
    gate       TEXT NOT NULL -- JSON object: verdict, checks
) STRICT;
CREATE INDEX registry_gate_by_version ON registry_gate(version_id, id);
