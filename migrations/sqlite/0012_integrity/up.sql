-- The checksums of a part, as its client told them or as it passed through us: `crc64nvme=… md5=…`.
ALTER TABLE parts ADD COLUMN checksums TEXT;

-- What is known of an upload's bytes: the checksum that its parts are sent with, where they are sent with one; the
-- checksums of the whole, and who has compared them with what is stored; and the receipt of a complete one.
CREATE TABLE integrity (
    upload_id  TEXT NOT NULL PRIMARY KEY REFERENCES uploads (id) ON DELETE CASCADE,
    algorithm  TEXT,
    whole      TEXT,
    checked_by TEXT,
    receipt    TEXT
);
