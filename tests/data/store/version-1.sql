-- What version 1 of the schema made. Never changed: files like this are out there.
-- One row per message. The key is ts * 2^20 + source: by time first, so that a commit touches the newest page or two, where (source, ts)
-- would touch one page per source; and one integer, so that the table is appended to. Ask for a span with key >= from << 20.
-- flags 0 and an absent value cost no payload byte; ts and source are computed, not stored.
CREATE TABLE readings (
  key INTEGER PRIMARY KEY,
  ts INTEGER NOT NULL GENERATED ALWAYS AS (key >> 20) VIRTUAL, source INTEGER NOT NULL GENERATED ALWAYS AS (key & 1048575) VIRTUAL,
  batch INTEGER NOT NULL, pos INTEGER NOT NULL, flags INTEGER NOT NULL,
  v0 INTEGER, v1 INTEGER, v2 INTEGER, v3 INTEGER, v4 INTEGER, v5 INTEGER, v6 INTEGER, v7 INTEGER
) STRICT;

-- ts_min..ts_max (both inclusive) holds all of the batch's rows that are not in `late`; NULL if there are none.
-- total and last_event count everything up to and including this batch.
CREATE TABLE commits (
  batch INTEGER PRIMARY KEY, received INTEGER NOT NULL, rows INTEGER NOT NULL, ts_min INTEGER, ts_max INTEGER,
  total INTEGER NOT NULL, last_event INTEGER NOT NULL
) STRICT;

-- Rows far from the middle of their batch, so that one device with a lost clock does not widen the batch's range to a year.
CREATE TABLE late (
  batch INTEGER NOT NULL, pos INTEGER NOT NULL, key INTEGER NOT NULL,
  PRIMARY KEY (batch, pos)
) STRICT, WITHOUT ROWID;

CREATE TABLE sources (source INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, topic TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE columns (
  source INTEGER NOT NULL, ix INTEGER NOT NULL, name TEXT NOT NULL, quantity TEXT NOT NULL,
  PRIMARY KEY (source, ix)
) STRICT, WITHOUT ROWID;

CREATE TABLE identities (
  kind TEXT NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL UNIQUE,
  PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  seq INTEGER PRIMARY KEY, batch INTEGER NOT NULL, at INTEGER NOT NULL, incident TEXT NOT NULL, code TEXT NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE INDEX events_incident ON events (incident);

-- Two slots, the older one is overwritten.
CREATE TABLE checkpoints (slot INTEGER PRIMARY KEY CHECK (slot IN (0, 1)), batch INTEGER NOT NULL, format INTEGER NOT NULL, body BLOB NOT NULL) STRICT;

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- For people and other tools: one row per value, UTC time as text, the number in its smallest unit beside the unit's name.
CREATE VIEW v_readings AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', r.ts / 1000.0, 'unixepoch') AS time, s.topic AS topic, c.name AS name,
       CASE c.ix WHEN 0 THEN r.v0 WHEN 1 THEN r.v1 WHEN 2 THEN r.v2 WHEN 3 THEN r.v3
                 WHEN 4 THEN r.v4 WHEN 5 THEN r.v5 WHEN 6 THEN r.v6 WHEN 7 THEN r.v7 END AS value,
       CASE c.quantity WHEN 'volume' THEN 'mL' WHEN 'flow' THEN 'mL/h' WHEN 'temperature' THEN 'm°C' WHEN 'ratio' THEN '‰'
                       WHEN 'energy' THEN 'Wh' WHEN 'voltage' THEN 'mV' WHEN 'pulses' THEN 'pulse' ELSE '1/1000' END AS unit,
       (r.flags & 1) <> 0 AS clock_unsure, (r.flags & 2) <> 0 AS arrival_time, r.key AS key, r.batch AS batch
FROM readings r CROSS JOIN sources s ON s.source = r.source CROSS JOIN columns c ON c.source = r.source
WHERE value IS NOT NULL;

CREATE VIEW v_events AS
SELECT seq, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS time, incident, code, body, batch FROM events;

CREATE VIEW v_commits AS
SELECT batch, strftime('%Y-%m-%dT%H:%M:%fZ', received / 1000.0, 'unixepoch') AS received, rows,
       strftime('%Y-%m-%dT%H:%M:%fZ', ts_min / 1000.0, 'unixepoch') AS first, strftime('%Y-%m-%dT%H:%M:%fZ', ts_max / 1000.0, 'unixepoch') AS last,
       total, last_event
FROM commits;
PRAGMA application_id = 1212504405;
PRAGMA user_version = 1;
