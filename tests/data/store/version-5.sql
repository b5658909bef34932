-- What leads from version 4 to version 5. A released migration is never changed, so neither is this.
-- Days are told as volumes now, not as first and last values: those could tell nothing across a midnight, a reset or a rollover.
DROP VIEW v_days;
DROP TABLE closed_days;
DROP TABLE days;

-- How much passed on a day that is over. A series is source * 8 + column; the key is (day / 32) << 28 | series << 5 | day % 32, with days
-- since 1970-01-01 by the gateway's calendar: a day of all meters touches few pages, and a year of one meter is twelve short spans.
-- volume: mL, NULL where nothing is known. known_ms: NULL where the day is complete, else for how much of it that is known.
CREATE TABLE daily (key INTEGER PRIMARY KEY, volume INTEGER, known_ms INTEGER) STRICT;

-- The sum of the days that are told. The key is month << 23 | series, with months since January of the year 0. days: how many are told;
-- complete: how many of these are complete.
CREATE TABLE monthly (
  key INTEGER PRIMARY KEY, volume INTEGER, known_ms INTEGER NOT NULL, days INTEGER NOT NULL, complete INTEGER NOT NULL
) STRICT;

-- Where the days begin and end on the gateway's clocks.
CREATE TABLE calendar (day INTEGER PRIMARY KEY, starts INTEGER NOT NULL, ends INTEGER NOT NULL) STRICT;

-- Which days of a series are told: from begins, before which it has no reading, up to next, which is not. A row at or before reach (ms)
-- takes days back, in its own transaction. made_with: what they depend on besides the rows; when that changes, they are made anew.
CREATE TABLE told (
  series INTEGER PRIMARY KEY, point TEXT NOT NULL, made_with TEXT NOT NULL,
  begins INTEGER NOT NULL, next INTEGER NOT NULL, reach INTEGER NOT NULL
) STRICT;

-- For people and other tools: volumes in mL, and in litres.
CREATE VIEW v_daily AS
SELECT date(c.day * 86400, 'unixepoch') AS date, t.point AS point, i.id AS point_id, s.topic AS topic, n.name AS name,
       d.volume AS volume_ml, d.volume / 1000.0 AS litres, d.known_ms IS NULL AS complete, coalesce(d.known_ms, c.ends - c.starts) AS known_ms,
       d.key AS key
FROM daily d CROSS JOIN told t ON t.series = d.key >> 5 & 8388607 CROSS JOIN calendar c ON c.day = (d.key >> 28 << 5) | (d.key & 31)
CROSS JOIN sources s ON s.source = t.series >> 3 CROSS JOIN columns n ON n.source = s.source AND n.ix = (t.series & 7)
LEFT JOIN identities i ON i.kind = 'point' AND i.key = t.point;

CREATE VIEW v_monthly AS
SELECT printf('%04d-%02d', (m.key >> 23) / 12, (m.key >> 23) % 12 + 1) AS month, t.point AS point, i.id AS point_id, s.topic AS topic,
       n.name AS name, m.volume AS volume_ml, m.volume / 1000.0 AS litres,
       m.complete = strftime('%d', printf('%04d-%02d-01', (m.key >> 23) / 12, (m.key >> 23) % 12 + 1), '+1 month', '-1 day') + 0 AS complete,
       m.known_ms AS known_ms, m.days AS days, m.complete AS complete_days, m.key AS key
FROM monthly m CROSS JOIN told t ON t.series = m.key & 8388607
CROSS JOIN sources s ON s.source = t.series >> 3 CROSS JOIN columns n ON n.source = s.source AND n.ix = (t.series & 7)
LEFT JOIN identities i ON i.kind = 'point' AND i.key = t.point;
PRAGMA user_version = 5;
