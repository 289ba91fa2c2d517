-- When an upload is looked at once more whose signatures may outlive it: nobody can call back what was signed.
CREATE TABLE rechecks (
    upload_id TEXT NOT NULL PRIMARY KEY REFERENCES uploads (id) ON DELETE CASCADE,
    due_at    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX rechecks_due ON rechecks (due_at, upload_id);
