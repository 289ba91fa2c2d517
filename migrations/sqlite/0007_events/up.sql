-- What happened to each upload, in order; rows are added and never changed. The id is the order.
CREATE TABLE upload_events (
    id        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    upload_id TEXT    NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    at        TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    detail    TEXT    NOT NULL,
    actor     TEXT
) STRICT;
CREATE INDEX upload_events_upload ON upload_events (upload_id, id);

-- Where the request came from that began an upload; empty for those of before.
ALTER TABLE uploads ADD COLUMN client_ip TEXT;

-- The admin's further searches. A support code is the last ten digits of an id.
CREATE INDEX uploads_client_ip ON uploads (client_ip, id) WHERE client_ip IS NOT NULL;
CREATE INDEX uploads_size ON uploads (size, id);
CREATE INDEX uploads_protocol ON uploads (protocol, id);
CREATE INDEX uploads_protocol_state ON uploads (protocol, state, id);
CREATE INDEX uploads_support ON uploads (substr(id, 23), id);
-- What lies open by owner is added up from this index alone; SQLite looks at the state once more.
CREATE INDEX uploads_open_bytes ON uploads (owner, size, state)
    WHERE state NOT IN ('complete', 'aborted', 'expired', 'failed');

-- What the sweeper did. Rounds in which it found nothing are counted in one row.
CREATE TABLE sweeps (
    id        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    began_at  TEXT    NOT NULL,
    ended_at  TEXT    NOT NULL,
    rounds    INTEGER NOT NULL CHECK (rounds > 0),
    expired   INTEGER NOT NULL,
    completed INTEGER NOT NULL,
    strays    INTEGER NOT NULL,
    failed    INTEGER NOT NULL,
    error     TEXT
) STRICT;

-- Who is logged in to the admin pages: the hash of each cookie, and of the key that it was given for.
CREATE TABLE admin_sessions (
    hash       TEXT NOT NULL PRIMARY KEY,
    key_hash   TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX admin_sessions_expiry ON admin_sessions (expires_at);
