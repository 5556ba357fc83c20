-- 0007 serve: deployments (which release answers), every change of them, and
-- the segment files of the prediction log.

CREATE TABLE serve_deployment (
    name             TEXT PRIMARY KEY,
    model            TEXT NOT NULL,    -- name of the registered model
    def              TEXT NOT NULL,    -- JSON object as declared, canonical
    champion         TEXT NOT NULL,    -- release hash; '': none
    canary           TEXT NOT NULL,
    previous         TEXT NOT NULL,    -- what a roll-back brings back
    shadow           TEXT NOT NULL,    -- scored beside every answer
    champion_version INTEGER NOT NULL, -- of the model; 0: none
    canary_version   INTEGER NOT NULL,
    previous_version INTEGER NOT NULL,
    shadow_version   INTEGER NOT NULL,
    canary_weight    REAL NOT NULL     -- share of the keys, 0..1
        CHECK (canary_weight >= 0 AND canary_weight <= 1),
    rollout_step     INTEGER NOT NULL, -- index into the rollout; -1: none
    withdrawn        INTEGER NOT NULL CHECK (withdrawn IN (0, 1)),
    revision         INTEGER NOT NULL, -- counts changes
    created_at_ms    INTEGER NOT NULL,
    changed_at_ms    INTEGER NOT NULL
) STRICT;

CREATE TABLE serve_change ( -- append-only
    id           INTEGER PRIMARY KEY,
    deployment   TEXT NOT NULL REFERENCES serve_deployment(name),
    at_ms        INTEGER NOT NULL,
    action       TEXT NOT NULL,    -- "deploy", "canary", ...
    from_version INTEGER NOT NULL, -- 0: none
    to_version   INTEGER NOT NULL,
    weight       REAL NOT NULL,    -- of the canary, after the change
    why          TEXT NOT NULL
) STRICT;
CREATE INDEX serve_change_by_deployment ON serve_change(deployment, id);

-- The files are the truth; a row lets a reader pass over a sealed one.
CREATE TABLE serve_segment (
    deployment     TEXT NOT NULL,
    sequence       INTEGER NOT NULL, -- 1, 2, ... in the order of writing
    path           TEXT NOT NULL,    -- below the data folder
    created_at_ms  INTEGER NOT NULL,
    sealed         INTEGER NOT NULL CHECK (sealed IN (0, 1)), -- 1: full
    record_count   INTEGER NOT NULL, -- as of sealing
    first_event_ms INTEGER NOT NULL, -- least and greatest event time inside,
    last_event_ms  INTEGER NOT NULL, -- as of sealing
    PRIMARY KEY (deployment, sequence)
) STRICT;
