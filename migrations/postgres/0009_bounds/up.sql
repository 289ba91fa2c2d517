-- What narrowed the rules for whoever began the upload: JSON, none where nothing did.
ALTER TABLE uploads ADD COLUMN bounds TEXT;
