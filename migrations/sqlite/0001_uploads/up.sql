-- One row for each file on its way to one object.
-- Times are UTC text, "2026-01-01 00:00:00.123456", which sorts as the time does.
CREATE TABLE uploads (
    id            TEXT    NOT NULL PRIMARY KEY,
    owner         TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    transfer      TEXT    NOT NULL,
    protocol      TEXT    NOT NULL,
    filename      TEXT    NOT NULL,
    size          INTEGER NOT NULL CHECK (size >= 0),
    content_type  TEXT    NOT NULL,
    last_modified TEXT,
    fingerprint   TEXT    NOT NULL,
    metadata      TEXT    NOT NULL,
    bucket        TEXT    NOT NULL,
    object_key    TEXT    NOT NULL,
    multipart_id  TEXT,
    part_size     INTEGER NOT NULL CHECK (part_size >= 0),
    etag          TEXT,
    created_at    TEXT    NOT NULL,
    updated_at    TEXT    NOT NULL,
    expires_at    TEXT    NOT NULL
) STRICT;

-- Few uploads are unfinished at any time, so what only they are asked for has an index of them alone. "Not ended"
-- rather than "open or completing": SQLite would take the latter for a search of uploads_state.
CREATE INDEX uploads_resume ON uploads (owner, fingerprint, id)
    WHERE state NOT IN ('complete', 'aborted', 'expired', 'failed');
CREATE INDEX uploads_expiry ON uploads (expires_at)
    WHERE state NOT IN ('complete', 'aborted', 'expired', 'failed');
-- The admin's searches; ids sort by time, so each of these also yields "newest first" without sorting.
CREATE INDEX uploads_owner ON uploads (owner, id);
CREATE INDEX uploads_owner_state ON uploads (owner, state, id);
CREATE INDEX uploads_state ON uploads (state, id);
CREATE INDEX uploads_filename ON uploads (filename, id);
CREATE INDEX uploads_object_key ON uploads (object_key, id);
CREATE INDEX uploads_multipart_id ON uploads (multipart_id, id);

-- What clients told us of parts that the store took.
CREATE TABLE parts (
    upload_id   TEXT    NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL CHECK (number BETWEEN 1 AND 10000),
    size        INTEGER NOT NULL CHECK (size >= 0),
    etag        TEXT,
    recorded_at TEXT    NOT NULL,
    PRIMARY KEY (upload_id, number)
) STRICT, WITHOUT ROWID;
