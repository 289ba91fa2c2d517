-- Uploads that are appended to: where they stand, what is known of their length, and what they become.
-- received is empty for those that are sent in parts, and then all of these are.
ALTER TABLE uploads ADD COLUMN received BIGINT;
ALTER TABLE uploads ADD COLUMN settled BOOLEAN;
ALTER TABLE uploads ADD COLUMN fence BIGINT;
ALTER TABLE uploads ADD COLUMN length TEXT;
ALTER TABLE uploads ADD COLUMN role TEXT;
ALTER TABLE uploads ADD COLUMN sources TEXT;
ALTER TABLE uploads ADD COLUMN fields TEXT;

-- How urgently somebody waits for a lease, so that its holder makes way; 0: nobody does.
ALTER TABLE leases ADD COLUMN wanted INTEGER NOT NULL DEFAULT 0;
