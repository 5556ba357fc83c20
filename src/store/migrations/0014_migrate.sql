-- 0014 migrate: runs that are being brought over from another tracking server.
-- A row is written with the first points of a long run, or of one that still
-- ran there, and goes with its last ones, so that a killed import goes on where
-- it stood and a later one brings what was logged since.

CREATE TABLE migrate_run (
    run_id   TEXT PRIMARY KEY,
    point_at INTEGER NOT NULL -- rowid of the last point taken over there
) STRICT, WITHOUT ROWID;
