-- Who may: the hash of each API key, never the key.
CREATE TABLE api_keys (
    id         TEXT NOT NULL PRIMARY KEY,
    owner      TEXT NOT NULL,
    scopes     TEXT NOT NULL,
    hash       TEXT NOT NULL UNIQUE,
    hint       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    revoked_at TEXT
) STRICT;

-- Server secrets that are made once and shared by all instances.
CREATE TABLE secrets (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
