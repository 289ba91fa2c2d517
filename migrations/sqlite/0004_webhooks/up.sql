-- Events for others, written with the change that they tell of, and sent until their receivers have taken them.
CREATE TABLE webhook_events (
    id              TEXT    NOT NULL PRIMARY KEY,
    upload_id       TEXT    NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    kind            TEXT    NOT NULL,
    url             TEXT    NOT NULL,
    host            TEXT    NOT NULL,
    payload         TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    attempts        INTEGER NOT NULL CHECK (attempts >= 0),
    next_attempt_at TEXT    NOT NULL,
    last_status     INTEGER,
    last_error      TEXT,
    created_at      TEXT    NOT NULL,
    updated_at      TEXT    NOT NULL,
    delivered_at    TEXT
) STRICT;

-- One event of a kind for each upload, whoever else may try to write another.
CREATE UNIQUE INDEX webhook_events_upload ON webhook_events (upload_id, kind);
-- What is due; the host stands in it, so that those of a busy one are passed over without reading them. "Not over"
-- rather than "pending": SQLite would take the latter for a search of webhook_events_state.
CREATE INDEX webhook_events_due ON webhook_events (next_attempt_at, host)
    WHERE state NOT IN ('delivered', 'parked');
-- The admin's list; ids sort by time.
CREATE INDEX webhook_events_state ON webhook_events (state, id);
