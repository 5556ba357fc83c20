-- 0013 track: when runs were deleted, so that a collection removes for good
-- what has been deleted for long enough (experiments and logged models say it
-- by their last change); numbers of experiments that were in use before, since
-- none is handed out again; and files outside of the store that are to go.

CREATE TABLE track_run_deletion (
    run   INTEGER PRIMARY KEY, -- track_run.number of a deleted run
    at_ms INTEGER NOT NULL     -- ms since 1970 UTC, of the clock passed in
) STRICT;

CREATE TABLE track_retired ( -- experiments that were removed for good
    id    INTEGER PRIMARY KEY, -- of track_experiment
    at_ms INTEGER NOT NULL
) STRICT;

-- Written in the transaction that removes a run's rows, removed once the
-- files are gone.
CREATE TABLE track_garbage (
    uri TEXT PRIMARY KEY -- folder with everything below it
) STRICT, WITHOUT ROWID;
