-- What was seen of a saved clip, as JSON; it is looked at once.
ALTER TABLE jobs ADD COLUMN findings TEXT;
