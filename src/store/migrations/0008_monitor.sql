-- Room: monitor.  What is watched, labels, judged windows, alerts.
CREATE TABLE monitor_definition (
    name TEXT PRIMARY KEY,           -- of the deployment
    def TEXT NOT NULL,               -- JSON
    updated_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE monitor_label (
    deployment TEXT NOT NULL,
    key TEXT NOT NULL,               -- entity of the prediction
    event_ms INTEGER NOT NULL,       -- event time of the prediction
    value REAL NOT NULL,             -- unit of the target
    known_ms INTEGER NOT NULL,       -- when it could be known
    PRIMARY KEY (deployment, event_ms, key)
) STRICT;

CREATE TABLE monitor_window (
    id INTEGER PRIMARY KEY,
    deployment TEXT NOT NULL,
    from_ms INTEGER NOT NULL,        -- event time, inclusive
    to_ms INTEGER NOT NULL,
    judged_at_ms INTEGER NOT NULL,   -- clock passed in
    verdict TEXT NOT NULL,           -- ok, drift, performance, insufficient
    result TEXT NOT NULL             -- JSON as the API shows it
) STRICT;
CREATE INDEX monitor_window_by_deployment
    ON monitor_window (deployment, id);

CREATE TABLE monitor_alert (
    id INTEGER PRIMARY KEY,
    deployment TEXT NOT NULL,
    kind TEXT NOT NULL,              -- drift, performance
    release TEXT NOT NULL,           -- hash of the release that was judged
    version INTEGER NOT NULL,
    dataset TEXT NOT NULL,           -- versions it was trained on
    state TEXT NOT NULL,             -- open, acknowledged, closed
    raised_at_ms INTEGER NOT NULL,
    last_at_ms INTEGER NOT NULL,     -- last window that said the same
    seen_count INTEGER NOT NULL,     -- windows that said so
    from_ms INTEGER NOT NULL,        -- the window that raised it
    to_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,            -- one sentence
    detail TEXT NOT NULL,            -- JSON: columns or performance
    closed_at_ms INTEGER,
    acknowledged_by TEXT
) STRICT;
CREATE INDEX monitor_alert_open ON monitor_alert (deployment, kind, state);
