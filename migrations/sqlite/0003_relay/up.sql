-- Uploads whose bytes pass through us: where they are stored, what they must be, whom to tell.
ALTER TABLE uploads ADD COLUMN storage TEXT NOT NULL DEFAULT 's3';
ALTER TABLE uploads ADD COLUMN sha256 TEXT;
ALTER TABLE uploads ADD COLUMN webhook_url TEXT;

-- The digest of a part that passed through us.
ALTER TABLE parts ADD COLUMN sha256 TEXT;

-- What only one process may do at a time: a name, who does it, and until when unless it says so again.
CREATE TABLE leases (
    name       TEXT NOT NULL PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_holder ON leases (holder);
