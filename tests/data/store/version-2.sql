-- What leads from version 1 to version 2. A released migration is never changed, so neither is this.
-- What each column of each source said in a closed day. The key is (day << 23) + (source << 3) + column: by day first, so that closing a day
-- writes adjacent rows. Times are milliseconds after the day's start. least, greatest: NULL where they are first, last. steepest: the
-- steepest rise from one value to the next, per hour; NULL if the column ever fell.
CREATE TABLE days (
  key INTEGER PRIMARY KEY, n INTEGER NOT NULL, first_ms INTEGER NOT NULL, first INTEGER NOT NULL, last_ms INTEGER NOT NULL, last INTEGER NOT NULL,
  least INTEGER, greatest INTEGER, sum INTEGER, steepest INTEGER
) STRICT;

-- The days for which `days` tells what the rows tell: days since 1970-01-01 by the gateway's calendar, and their bounds under it.
-- A row that comes late takes its day out of here, in its own transaction.
CREATE TABLE closed_days (day INTEGER PRIMARY KEY, starts INTEGER NOT NULL, ends INTEGER NOT NULL) STRICT;

CREATE VIEW v_days AS
SELECT date(k.day * 86400, 'unixepoch') AS day, s.topic AS topic, c.name AS name, d.n AS n, d.first AS first, d.last AS last,
       coalesce(d.least, d.first) AS least, coalesce(d.greatest, d.last) AS greatest, d.sum AS sum, d.key AS key
FROM closed_days k CROSS JOIN days d ON d.key >= k.day << 23 AND d.key < (k.day + 1) << 23
CROSS JOIN sources s ON s.source = d.key >> 3 & 1048575 CROSS JOIN columns c ON c.source = s.source AND c.ix = (d.key & 7);
PRAGMA user_version = 2;
