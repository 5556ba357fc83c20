-- 0015 registry: every stage a version was ever in, as registry_alias_history
-- keeps every version an alias ever named.  Before this only the present stage
-- was known: what is there now enters with the time of its last change.

-- Append-only.  A version's stage at an instant is the last row up to then.
CREATE TABLE registry_stage_history (
    id         INTEGER PRIMARY KEY,
    model_id   INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    from_ms    INTEGER NOT NULL, -- clock passed in; never falls within a model
    from_stage TEXT NOT NULL,    -- '': the version was registered
    to_stage   TEXT NOT NULL,    -- '': the version was deleted
    who        TEXT NOT NULL,
    why        TEXT NOT NULL
) STRICT;
CREATE INDEX registry_stage_history_by_time
    ON registry_stage_history(model_id, version, from_ms, id);
CREATE INDEX registry_alias_history_by_model
    ON registry_alias_history(model_id, id);

INSERT INTO registry_stage_history(model_id, version, from_ms, from_stage,
                                   to_stage, who, why)
SELECT model_id, version, created_at_ms, '', 'None', '', ''
  FROM registry_version ORDER BY id;
INSERT INTO registry_stage_history(model_id, version, from_ms, from_stage,
                                   to_stage, who, why)
SELECT model_id, version, max(updated_at_ms, created_at_ms), 'None', stage, '',
       'set before stages were recorded; at the latest then'
  FROM registry_version WHERE stage <> 'None' ORDER BY id;

-- History of models that are gone: their row number may be handed out again.
DELETE FROM registry_alias_history
 WHERE model_id NOT IN (SELECT id FROM registry_model);
