-- 0002 jobs: durable work.  One row a job; the server that runs it holds a
-- lease, which its runner extends while the child lives.

CREATE TABLE jobs_job (
    id               INTEGER PRIMARY KEY,
    kind             TEXT NOT NULL,    -- "data.ingest"
    subject          TEXT NOT NULL,    -- what it is about
    key              TEXT NOT NULL,    -- exactly-once key; '': none
    spec             TEXT NOT NULL,    -- JSON object
    state            TEXT NOT NULL
        CHECK (state IN
               ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    attempt          INTEGER NOT NULL, -- starts so far
    attempt_max      INTEGER NOT NULL, -- 0: not known before the first start
    progress         REAL NOT NULL,    -- 0..1
    note             TEXT NOT NULL,    -- one line for people
    result           TEXT NOT NULL,    -- JSON object, '' before success
    error_rc         TEXT NOT NULL,    -- name of the result code; '': none
    error            TEXT NOT NULL,    -- one sentence
    lease_holder     TEXT NOT NULL,    -- id of one start of a server; '': none
    lease_until_ms   INTEGER NOT NULL, -- system clock; 0: none
    retry_at_ms      INTEGER NOT NULL, -- system clock; 0: at once
    now_ms           INTEGER NOT NULL, -- the job's own "now"
    created_at_ms    INTEGER NOT NULL,
    started_at_ms    INTEGER NOT NULL, -- 0: not yet
    ended_at_ms      INTEGER NOT NULL  -- 0: not yet
) STRICT;
CREATE INDEX jobs_job_by_state ON jobs_job(state, id);
CREATE INDEX jobs_job_by_kind ON jobs_job(kind, id);
CREATE INDEX jobs_job_by_subject ON jobs_job(subject, id);
-- At most one job of a key is queued or running.
CREATE UNIQUE INDEX jobs_job_by_key ON jobs_job(key)
    WHERE key <> '' AND state IN ('queued', 'running');
