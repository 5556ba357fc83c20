-- 0017 track: runs whose newest values are not in track_metric yet.  A call
-- that logs points adds a row to track_point; what it makes the newest value
-- is entered for many calls at once, before anybody reads it.

CREATE TABLE track_unsettled (
    run   INTEGER PRIMARY KEY, -- track_run.number
    first INTEGER NOT NULL     -- track_point.id: from here on
) STRICT;
