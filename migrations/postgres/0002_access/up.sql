-- Who may: the hash of each API key, never the key.
CREATE TABLE api_keys (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    owner      TEXT COLLATE "C" NOT NULL,
    scopes     TEXT             NOT NULL,
    hash       TEXT COLLATE "C" NOT NULL UNIQUE,
    hint       TEXT             NOT NULL,
    created_at TIMESTAMP        NOT NULL,
    revoked_at TIMESTAMP
);

-- Server secrets that are made once and shared by all instances.
CREATE TABLE secrets (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT             NOT NULL
);
