-- Bytes that are kept free for an upload of which the table of uploads does not tell so many: its client said them, or
-- is about to send them.
CREATE TABLE reservations (
    upload_id TEXT    NOT NULL PRIMARY KEY REFERENCES uploads (id) ON DELETE CASCADE,
    bytes     INTEGER NOT NULL CHECK (bytes >= 0)
) STRICT, WITHOUT ROWID;
