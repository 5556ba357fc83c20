-- 0012 registry: MLflow's webhooks and what is to be sent to them.  A delivery
-- is written in the transaction of the change that it tells about, so that
-- nothing between the two can lose it.

CREATE TABLE registry_webhook (
    id            INTEGER PRIMARY KEY,
    webhook_id    TEXT NOT NULL UNIQUE, -- a UUID: its name for clients
    name          TEXT NOT NULL,        -- not unique, as in MLflow
    url           TEXT NOT NULL,
    description   TEXT NOT NULL,
    secret        TEXT NOT NULL, -- key of the signature; '': not signed
    active        INTEGER NOT NULL CHECK (active IN (0, 1)),
    events        INTEGER NOT NULL CHECK (events > 0), -- a bit an event
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE registry_webhook_delivery (
    id          INTEGER PRIMARY KEY, -- a webhook's are sent in this order
    hook_id     INTEGER NOT NULL REFERENCES registry_webhook(id),
    delivery_id TEXT NOT NULL UNIQUE, -- a UUID: the same at each attempt
    event       TEXT NOT NULL,        -- "model_version.created"
    body        TEXT NOT NULL,        -- JSON; '' when it is over
    state       TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'failed')),
    made_at_ms  INTEGER NOT NULL,
    last_at_ms  INTEGER NOT NULL, -- of the last attempt; 0: none
    attempts    INTEGER NOT NULL,
    status      INTEGER NOT NULL, -- HTTP, of the last answer; 0: none
    error       TEXT NOT NULL     -- of the last attempt; '': it went well
) STRICT;
CREATE INDEX registry_webhook_delivery_waiting
    ON registry_webhook_delivery(hook_id, id) WHERE state = 'waiting';
CREATE INDEX registry_webhook_delivery_by_hook
    ON registry_webhook_delivery(hook_id, id);
