-- Room: access.  Bearer tokens; the secret itself is never stored.
CREATE TABLE access_token (
    name TEXT PRIMARY KEY,             -- chosen by the admin
    role INTEGER NOT NULL CHECK (role BETWEEN 1 AND 4), -- enum slw_role
    secret_sha256 TEXT NOT NULL UNIQUE, -- hex
    created_at_ms INTEGER NOT NULL,
    revoked_at_ms INTEGER              -- NULL: live
) STRICT;
