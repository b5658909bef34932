-- What leads from version 5 to version 6. A released migration is never changed, so neither is this.
-- Rows that were older than they are to be kept, and are gone: how many of each source. Rows at or before until (ms) change no told day any
-- more, for others that the day depends on are gone; days up to its own stay in daily also where they lie before told.begins.
CREATE TABLE expired (source INTEGER PRIMARY KEY, until INTEGER NOT NULL, rows INTEGER NOT NULL) STRICT;

CREATE VIEW v_expired AS
SELECT s.topic AS topic, strftime('%Y-%m-%dT%H:%M:%fZ', e.until / 1000.0, 'unixepoch') AS until, e.rows AS rows, e.source AS source
FROM expired e CROSS JOIN sources s ON s.source = e.source;
PRAGMA user_version = 6;
