-- What leads from version 9 to version 10. A released migration is never changed, so neither is this.
-- Pictures (JPEG) of dials and seals, one to an entry of the ledger; kept for two years.
CREATE TABLE photos (entry INTEGER PRIMARY KEY, at INTEGER NOT NULL, body BLOB NOT NULL) STRICT;

CREATE VIEW v_photos AS
SELECT p.entry, strftime('%Y-%m-%dT%H:%M:%fZ', p.at / 1000.0, 'unixepoch') AS time, l.point AS point, length(p.body) AS bytes, p.body AS body
FROM photos p LEFT JOIN ledger l ON l.seq = p.entry;
PRAGMA user_version = 10;
