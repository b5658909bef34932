-- What leads from version 3 to version 4. A released migration is never changed, so neither is this.
-- Rows that are not sealed yet lie in four tables in turn, in order of arrival: taking rows out of a table one by one writes each of its
-- pages twice, emptying a whole table writes next to nothing. began: the number of the era, NULL where the table is empty; batch: the last
-- one that came in it, NULL while it goes on; mark: rows with smaller keys are sealed, and are no longer seen here.
DROP VIEW v_readings;
ALTER TABLE readings RENAME TO hot_0;
CREATE TABLE hot_1 (
  key INTEGER PRIMARY KEY,
  ts INTEGER NOT NULL GENERATED ALWAYS AS (key >> 20) VIRTUAL, source INTEGER NOT NULL GENERATED ALWAYS AS (key & 1048575) VIRTUAL,
  batch INTEGER NOT NULL, pos INTEGER NOT NULL, flags INTEGER NOT NULL,
  v0 INTEGER, v1 INTEGER, v2 INTEGER, v3 INTEGER, v4 INTEGER, v5 INTEGER, v6 INTEGER, v7 INTEGER
) STRICT;
CREATE TABLE hot_2 (
  key INTEGER PRIMARY KEY,
  ts INTEGER NOT NULL GENERATED ALWAYS AS (key >> 20) VIRTUAL, source INTEGER NOT NULL GENERATED ALWAYS AS (key & 1048575) VIRTUAL,
  batch INTEGER NOT NULL, pos INTEGER NOT NULL, flags INTEGER NOT NULL,
  v0 INTEGER, v1 INTEGER, v2 INTEGER, v3 INTEGER, v4 INTEGER, v5 INTEGER, v6 INTEGER, v7 INTEGER
) STRICT;
CREATE TABLE hot_3 (
  key INTEGER PRIMARY KEY,
  ts INTEGER NOT NULL GENERATED ALWAYS AS (key >> 20) VIRTUAL, source INTEGER NOT NULL GENERATED ALWAYS AS (key & 1048575) VIRTUAL,
  batch INTEGER NOT NULL, pos INTEGER NOT NULL, flags INTEGER NOT NULL,
  v0 INTEGER, v1 INTEGER, v2 INTEGER, v3 INTEGER, v4 INTEGER, v5 INTEGER, v6 INTEGER, v7 INTEGER
) STRICT;
CREATE TABLE eras (ix INTEGER PRIMARY KEY, began INTEGER, batch INTEGER, mark INTEGER NOT NULL) STRICT;
INSERT INTO eras (ix, began, batch, mark)
VALUES (0, 1, NULL, -9223372036854775808), (1, NULL, NULL, -9223372036854775808), (2, NULL, NULL, -9223372036854775808), (3, NULL, NULL, -9223372036854775808);

CREATE VIEW readings AS
SELECT key, ts, source, batch, pos, flags, v0, v1, v2, v3, v4, v5, v6, v7 FROM hot_0 WHERE key >= (SELECT mark FROM eras WHERE ix = 0)
UNION ALL SELECT key, ts, source, batch, pos, flags, v0, v1, v2, v3, v4, v5, v6, v7 FROM hot_1 WHERE key >= (SELECT mark FROM eras WHERE ix = 1)
UNION ALL SELECT key, ts, source, batch, pos, flags, v0, v1, v2, v3, v4, v5, v6, v7 FROM hot_2 WHERE key >= (SELECT mark FROM eras WHERE ix = 2)
UNION ALL SELECT key, ts, source, batch, pos, flags, v0, v1, v2, v3, v4, v5, v6, v7 FROM hot_3 WHERE key >= (SELECT mark FROM eras WHERE ix = 3);

CREATE VIEW v_readings AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', r.ts / 1000.0, 'unixepoch') AS time, s.topic AS topic, c.name AS name,
       CASE c.ix WHEN 0 THEN r.v0 WHEN 1 THEN r.v1 WHEN 2 THEN r.v2 WHEN 3 THEN r.v3
                 WHEN 4 THEN r.v4 WHEN 5 THEN r.v5 WHEN 6 THEN r.v6 WHEN 7 THEN r.v7 END AS value,
       CASE c.quantity WHEN 'volume' THEN 'mL' WHEN 'flow' THEN 'mL/h' WHEN 'temperature' THEN 'm°C' WHEN 'ratio' THEN '‰'
                       WHEN 'energy' THEN 'Wh' WHEN 'voltage' THEN 'mV' WHEN 'pulses' THEN 'pulse' ELSE '1/1000' END AS unit,
       (r.flags & 1) <> 0 AS clock_unsure, (r.flags & 2) <> 0 AS arrival_time, r.key AS key, r.batch AS batch
FROM readings r CROSS JOIN sources s ON s.source = r.source CROSS JOIN columns c ON c.source = r.source
WHERE value IS NOT NULL;

-- Rows of one source that are older than the newest two days, packed. The key is source * 2^43 + (time of the first row + 2^42): the
-- chunks of a source lie together and do not overlap. last: time of the last row; batch: the newest one that a row came with;
-- format: the layout of body. A row is either here or in `readings`.
CREATE TABLE chunks (
  key INTEGER PRIMARY KEY, last INTEGER NOT NULL, n INTEGER NOT NULL, batch INTEGER NOT NULL, format INTEGER NOT NULL, body BLOB NOT NULL
) STRICT;

-- What each column says in a chunk. least, greatest: NULL where they are the first, the last. sum: NULL beyond 64 bits. By time first
-- (began: the part of the chunk's key that is its time), so that what is written together lies together.
CREATE TABLE chunk_columns (
  chunk INTEGER NOT NULL, ix INTEGER NOT NULL, n INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  least INTEGER, greatest INTEGER, sum INTEGER,
  began INTEGER NOT NULL CHECK (began = chunk & 8796093022207),
  PRIMARY KEY (began, chunk, ix)
) STRICT, WITHOUT ROWID;

-- Chunks that could not be read when rows came late for them, as they were found: `heyun store check` names them.
CREATE TABLE damaged_chunks (
  key INTEGER PRIMARY KEY, last INTEGER NOT NULL, n INTEGER NOT NULL, batch INTEGER NOT NULL, format INTEGER NOT NULL, body BLOB NOT NULL
) STRICT;

-- What changed behind the newest chunk of its source: who copied the chunks elsewhere finds here what to copy again.
-- kind: late (the row with this key came after its time had been sealed).
CREATE TABLE changes (id INTEGER PRIMARY KEY, batch INTEGER NOT NULL, kind TEXT NOT NULL, key INTEGER NOT NULL) STRICT;

CREATE VIEW v_chunks AS
SELECT s.topic AS topic, c.name AS name, strftime('%Y-%m-%dT%H:%M:%fZ', ((k.key & 8796093022207) - 4398046511104) / 1000.0, 'unixepoch') AS first_time,
       strftime('%Y-%m-%dT%H:%M:%fZ', k.last / 1000.0, 'unixepoch') AS last_time, x.n AS n, x.first AS first, x.last AS last,
       coalesce(x.least, x.first) AS least, coalesce(x.greatest, x.last) AS greatest, x.sum AS sum, length(k.body) AS bytes, k.key AS key
FROM chunks k CROSS JOIN sources s ON s.source = k.key >> 43 CROSS JOIN chunk_columns x ON x.began = k.key & 8796093022207 AND x.chunk = k.key
CROSS JOIN columns c ON c.source = s.source AND c.ix = x.ix;

CREATE VIEW v_changes AS
SELECT c.id, c.kind, s.topic AS topic, strftime('%Y-%m-%dT%H:%M:%fZ', (c.key >> 20) / 1000.0, 'unixepoch') AS time, c.batch, c.key AS key
FROM changes c CROSS JOIN sources s ON s.source = c.key & 1048575;
PRAGMA user_version = 4;
