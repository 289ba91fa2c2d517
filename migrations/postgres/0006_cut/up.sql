-- Who cuts an upload into parts and begins and ends it at the store: 'ours', 'client', 'browser' or 'whole'.
ALTER TABLE uploads ADD COLUMN cut TEXT NOT NULL DEFAULT 'ours';

-- An object key that clients write to themselves is one upload's alone, unless that came to nothing.
CREATE UNIQUE INDEX uploads_claimed_key ON uploads (object_key)
    WHERE cut <> 'ours' AND state NOT IN ('aborted', 'expired', 'failed');
