-- What happened to each upload, in order; rows are added and never changed. The id is the order.
CREATE TABLE upload_events (
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    upload_id TEXT COLLATE "C" NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    at        TIMESTAMP        NOT NULL,
    kind      TEXT COLLATE "C" NOT NULL,
    detail    TEXT             NOT NULL,
    actor     TEXT
);
CREATE INDEX upload_events_upload ON upload_events (upload_id, id);

-- Where the request came from that began an upload; empty for those of before.
ALTER TABLE uploads ADD COLUMN client_ip TEXT COLLATE "C";

-- The admin's further searches. A support code is the last ten digits of an id.
CREATE INDEX uploads_client_ip ON uploads (client_ip, id) WHERE client_ip IS NOT NULL;
CREATE INDEX uploads_size ON uploads (size, id);
CREATE INDEX uploads_protocol ON uploads (protocol, id);
CREATE INDEX uploads_protocol_state ON uploads (protocol, state, id);
CREATE INDEX uploads_support ON uploads (substr(id, 23), id);
-- What lies open by owner is added up from this index alone. The size comes first, so that nobody takes it for a way to
-- one owner's uploads.
CREATE INDEX uploads_open_bytes ON uploads (size, owner)
    WHERE state NOT IN ('complete', 'aborted', 'expired', 'failed');

-- What the sweeper did. Rounds in which it found nothing are counted in one row.
CREATE TABLE sweeps (
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    began_at  TIMESTAMP NOT NULL,
    ended_at  TIMESTAMP NOT NULL,
    rounds    BIGINT    NOT NULL CHECK (rounds > 0),
    expired   BIGINT    NOT NULL,
    completed BIGINT    NOT NULL,
    strays    BIGINT    NOT NULL,
    failed    BIGINT    NOT NULL,
    error     TEXT
);

-- Who is logged in to the admin pages: the hash of each cookie, and of the key that it was given for.
CREATE TABLE admin_sessions (
    hash       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    key_hash   TEXT COLLATE "C" NOT NULL,
    created_at TIMESTAMP        NOT NULL,
    expires_at TIMESTAMP        NOT NULL
);
CREATE INDEX admin_sessions_expiry ON admin_sessions (expires_at);
