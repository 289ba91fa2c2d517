-- Bytes that are kept free for an upload of which the table of uploads does not tell so many: its client said them, or
-- is about to send them.
CREATE TABLE reservations (
    upload_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES uploads (id) ON DELETE CASCADE,
    bytes     BIGINT           NOT NULL CHECK (bytes >= 0)
);
