-- Objects that are whole and not announced before a scanner has said so.
CREATE TABLE scans (
    upload_id  TEXT NOT NULL PRIMARY KEY REFERENCES uploads (id) ON DELETE CASCADE,
    state      TEXT NOT NULL,
    etag       TEXT,
    due_at     TIMESTAMP NOT NULL,
    attempts   INTEGER NOT NULL,
    reason     TEXT,
    last_error TEXT,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX scans_due ON scans (due_at, upload_id) WHERE state NOT IN ('accepted', 'rejected');

-- An upload that begins again may end again, and more than one receiver may be told: only complete it is but once.
DROP INDEX webhook_events_upload;
CREATE INDEX webhook_events_upload ON webhook_events (upload_id, kind);
CREATE UNIQUE INDEX webhook_events_complete ON webhook_events (upload_id, url) WHERE kind = 'upload.complete';
