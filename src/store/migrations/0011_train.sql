-- 0011 train: how models are trained.  The present definition of each model,
-- and every definition it ever had, so that a release can be read against the
-- one it was made by.

CREATE TABLE train_model (
    name          TEXT PRIMARY KEY,
    def           TEXT NOT NULL,    -- JSON object, canonical
    hash          TEXT NOT NULL,    -- SHA-256 of def, hex
    version       INTEGER NOT NULL, -- counts changes of the definition
    updated_at_ms INTEGER NOT NULL  -- ms since 1970 UTC
) STRICT;

-- Append-only.
CREATE TABLE train_model_history (
    name     TEXT NOT NULL REFERENCES train_model(name),
    version  INTEGER NOT NULL, -- 1, 2, 3 ... within the name
    def      TEXT NOT NULL,
    at_ms    INTEGER NOT NULL,
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;
