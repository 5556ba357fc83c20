-- 0009 flow: the project as applied, retrain policies, runs with their steps,
-- decisions about triggers, and marks (how far the loop has got).

CREATE TABLE flow_project ( -- one row: what was applied last
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    name          TEXT NOT NULL,
    file          TEXT NOT NULL,    -- for messages
    folder        TEXT NOT NULL,    -- of the file on this machine; '': unknown
    yaml          TEXT NOT NULL,
    hash          TEXT NOT NULL,    -- SHA-256 of yaml, hex
    def           TEXT NOT NULL,    -- JSON
    notify        TEXT NOT NULL,    -- JSON; '': the file does not say
    applied_at_ms INTEGER NOT NULL  -- ms since 1970 UTC, as all times here
) STRICT;

CREATE TABLE flow_policy ( -- when to retrain
    name          TEXT PRIMARY KEY, -- of a deployment or a model
    model         TEXT NOT NULL,
    deployment    TEXT NOT NULL,    -- '': none
    def           TEXT NOT NULL,    -- JSON object, canonical
    updated_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE flow_run (
    id            INTEGER PRIMARY KEY,
    model         TEXT NOT NULL,
    deployment    TEXT NOT NULL,    -- where it goes; '': nowhere
    trigger       TEXT NOT NULL,    -- manual, drift, performance, new_data,
                                    -- schedule
    state         TEXT NOT NULL
        CHECK (state IN ('snapshot', 'train', 'gate', 'deploy', 'canary',
                         'refuse', 'trained', 'passed', 'promoted', 'refused',
                         'rolled_back', 'failed')),
    spec          TEXT NOT NULL,    -- JSON object: as asked for, and pins
    when_refused  TEXT NOT NULL,    -- fallback or keep
    version       INTEGER NOT NULL, -- that it made; 0: not yet
    job_id        INTEGER NOT NULL, -- it waits for; 0: none
    rollout_step  INTEGER NOT NULL, -- last one seen; -1: none
    reason        TEXT NOT NULL,    -- one sentence: why it is in this state
    started_at_ms INTEGER NOT NULL,
    ended_at_ms   INTEGER NOT NULL  -- 0: moving
) STRICT;
CREATE INDEX flow_run_by_model ON flow_run(model, id);
-- At most one run of a model moves.
CREATE UNIQUE INDEX flow_run_moving ON flow_run(model) WHERE ended_at_ms = 0;

CREATE TABLE flow_step ( -- append-only
    id     INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL REFERENCES flow_run(id),
    step   TEXT NOT NULL,    -- start, snapshot, train, gate, canary, ...
    at_ms  INTEGER NOT NULL,
    reason TEXT NOT NULL,    -- one sentence with its figures
    detail TEXT NOT NULL     -- JSON; '': none
) STRICT;
CREATE INDEX flow_step_by_run ON flow_step(run_id, id);

CREATE TABLE flow_decision ( -- append-only
    id      INTEGER PRIMARY KEY,
    at_ms   INTEGER NOT NULL,
    model   TEXT NOT NULL,
    trigger TEXT NOT NULL,
    fired   INTEGER NOT NULL CHECK (fired IN (0, 1)),
    reason  TEXT NOT NULL,
    run_id  INTEGER NOT NULL -- it started; 0: none
) STRICT;
CREATE INDEX flow_decision_by_model ON flow_decision(model, id);

CREATE TABLE flow_mark (
    name  TEXT PRIMARY KEY,  -- "refresh", "window/next-range", ...
    value INTEGER NOT NULL   -- a job's number or an event time in ms
) STRICT, WITHOUT ROWID;
