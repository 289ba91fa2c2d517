-- Of an upload that is appended to: how many bytes from its beginning have passed through us one after the other, and
-- their checksums (`crc64nvme=…`).
ALTER TABLE integrity ADD COLUMN passed BIGINT;
ALTER TABLE integrity ADD COLUMN passed_sums TEXT;
