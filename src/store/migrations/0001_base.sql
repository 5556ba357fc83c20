-- 0001 store: what the store itself needs: applied migrations, small
-- settings, the event log, and how far each consumer has read it.

CREATE TABLE schema_migration (
    number INTEGER PRIMARY KEY, -- 1 for 0001_base.sql
    name   TEXT NOT NULL,       -- file name
    sha256 TEXT NOT NULL        -- of the file's bytes, hex
) STRICT;

CREATE TABLE store_meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- Append-only.  The chain of hashes: see docs/formats/event.md.
CREATE TABLE store_event (
    id      INTEGER PRIMARY KEY, -- 1, 2, 3 ... without a gap
    at_ms   INTEGER NOT NULL,    -- ms since 1970 UTC, of the clock passed in
    kind    TEXT NOT NULL,       -- "<room>.<past_participle>"
    subject TEXT NOT NULL,       -- what it is about
    payload TEXT NOT NULL,       -- JSON object
    hash    TEXT NOT NULL        -- SHA-256, hex, over the one before and this
) STRICT;
CREATE INDEX store_event_by_kind ON store_event(kind, id);
CREATE INDEX store_event_by_subject ON store_event(subject, id);

CREATE TABLE store_cursor (
    consumer TEXT PRIMARY KEY,
    event_id INTEGER NOT NULL -- the last event it handled; 0: none
) STRICT;
