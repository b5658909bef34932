-- What leads from version 7 to version 8. A released migration is never changed, so neither is this.
-- What people state about a meter's past, beside readings that are never changed. seq: dense from 1; at: ms, when it was written; body: the
-- entry (JSON), with who, when, why. One that is undone stays, and so does the undoing.
CREATE TABLE ledger (seq INTEGER PRIMARY KEY, batch INTEGER NOT NULL, at INTEGER NOT NULL, point TEXT NOT NULL, body TEXT NOT NULL) STRICT;

CREATE VIEW v_ledger AS
SELECT seq, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS written, point, body ->> 'deed' AS deed, body ->> 'by' AS by,
       body ->> 'why' AS why, EXISTS (SELECT 1 FROM ledger u WHERE u.body ->> 'entry' = l.seq) AS undone, body
FROM ledger l;
PRAGMA user_version = 8;
