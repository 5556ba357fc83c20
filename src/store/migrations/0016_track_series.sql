-- 0016 track: points of one metric, side by side.  What a run logs call by
-- call (track_point) is folded into these rows once enough has come together;
-- a history then reads its own points and none of the other metrics'.

CREATE TABLE track_series (
    id           INTEGER PRIMARY KEY,
    run          INTEGER NOT NULL, -- track_run.number
    key          INTEGER NOT NULL, -- track_key.id
    seq          INTEGER NOT NULL, -- 0, 1, ... of this run and key
    count        INTEGER NOT NULL, -- points
    first_at_ms  INTEGER NOT NULL,
    first_step   INTEGER NOT NULL,
    last_at_ms   INTEGER NOT NULL,
    last_step    INTEGER NOT NULL,
    points       BLOB NOT NULL, -- as in track_point, by (at_ms, step, value)
    UNIQUE (run, key, seq)
) STRICT;
