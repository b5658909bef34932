//! The tables, and how an older file becomes a newer one.

use super::error::OpenError;
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;

/// `PRAGMA application_id` of our files: "HEYU".
pub const APPLICATION_ID: i32 = 0x4845_5955;

/// `PRAGMA user_version` that this program writes.
pub const VERSION: i64 = MIGRATIONS.len() as i64;

/// Entry n leads from version n to n + 1. Entries are never changed once released, only added.
const MIGRATIONS: &[&str] = &[V1, DAYS, OUTBOX, CHUNKS, VOLUMES, EXPIRED, QUANTITIES, LEDGER, ADOPTED, PHOTOS, MEDIA];

const V1: &str = r"
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
";

const DAYS: &str = r"
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
";

const OUTBOX: &str = r"
-- What people are to be told, one row per notice and channel, written with its event; and for 90 days what they were told.
-- state: pending, delivered (the channel took the message), given_up (it could not be delivered for a week). Entries that became one
-- message have one done_at.
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY, event INTEGER NOT NULL, at INTEGER NOT NULL, incident TEXT NOT NULL, kind TEXT NOT NULL, urgent INTEGER NOT NULL,
  channel TEXT NOT NULL, state TEXT NOT NULL, done_at INTEGER
) STRICT;
CREATE INDEX outbox_pending ON outbox (channel, urgent, id) WHERE state = 'pending';
CREATE INDEX outbox_done ON outbox (done_at) WHERE done_at IS NOT NULL;

CREATE VIEW v_outbox AS
SELECT id, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS time, channel, kind, urgent, incident, state,
       strftime('%Y-%m-%dT%H:%M:%fZ', done_at / 1000.0, 'unixepoch') AS done, event
FROM outbox;
";

const CHUNKS: &str = r"
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
";

const VOLUMES: &str = r"
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
";

const EXPIRED: &str = r"
-- Rows that were older than they are to be kept, and are gone: how many of each source. Rows at or before until (ms) change no told day any
-- more, for others that the day depends on are gone; days up to its own stay in daily also where they lie before told.begins.
CREATE TABLE expired (source INTEGER PRIMARY KEY, until INTEGER NOT NULL, rows INTEGER NOT NULL) STRICT;

CREATE VIEW v_expired AS
SELECT s.topic AS topic, strftime('%Y-%m-%dT%H:%M:%fZ', e.until / 1000.0, 'unixepoch') AS until, e.rows AS rows, e.source AS source
FROM expired e CROSS JOIN sources s ON s.source = e.source;
";

const QUANTITIES: &str = r"
-- Power, pressure and flags came to the quantities: the view names their units.
DROP VIEW v_readings;
CREATE VIEW v_readings AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', r.ts / 1000.0, 'unixepoch') AS time, s.topic AS topic, c.name AS name,
       CASE c.ix WHEN 0 THEN r.v0 WHEN 1 THEN r.v1 WHEN 2 THEN r.v2 WHEN 3 THEN r.v3
                 WHEN 4 THEN r.v4 WHEN 5 THEN r.v5 WHEN 6 THEN r.v6 WHEN 7 THEN r.v7 END AS value,
       CASE c.quantity WHEN 'volume' THEN 'mL' WHEN 'flow' THEN 'mL/h' WHEN 'temperature' THEN 'm°C' WHEN 'ratio' THEN '‰'
                       WHEN 'energy' THEN 'Wh' WHEN 'voltage' THEN 'mV' WHEN 'pulses' THEN 'pulse' WHEN 'power' THEN 'mW'
                       WHEN 'pressure' THEN 'Pa' WHEN 'flags' THEN 'flags' ELSE '1/1000' END AS unit,
       (r.flags & 1) <> 0 AS clock_unsure, (r.flags & 2) <> 0 AS arrival_time, r.key AS key, r.batch AS batch
FROM readings r CROSS JOIN sources s ON s.source = r.source CROSS JOIN columns c ON c.source = r.source
WHERE value IS NOT NULL;
";

const LEDGER: &str = r"
-- What people state about a meter's past, beside readings that are never changed. seq: dense from 1; at: ms, when it was written; body: the
-- entry (JSON), with who, when, why. One that is undone stays, and so does the undoing.
CREATE TABLE ledger (seq INTEGER PRIMARY KEY, batch INTEGER NOT NULL, at INTEGER NOT NULL, point TEXT NOT NULL, body TEXT NOT NULL) STRICT;

CREATE VIEW v_ledger AS
SELECT seq, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS written, point, body ->> 'deed' AS deed, body ->> 'by' AS by,
       body ->> 'why' AS why, EXISTS (SELECT 1 FROM ledger u WHERE u.body ->> 'entry' = l.seq) AS undone, body
FROM ledger l;
";

const ADOPTED: &str = r"
-- Devices that were taken over from what was heard: entries of the config and device profiles, as the TOML that the config file would have.
-- kind: profile, subscription, meter, sensor; key: its name or id. Rows are only added; of each kind and key the newest counts. toml: NULL
-- where it was dropped.
CREATE TABLE adopted (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, by TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, toml TEXT) STRICT;

CREATE VIEW v_adopted AS
SELECT seq, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS time, by, kind, key,
       NOT EXISTS (SELECT 1 FROM adopted n WHERE n.kind = a.kind AND n.key = a.key AND n.seq > a.seq) AND toml IS NOT NULL AS counts, toml
FROM adopted a;
";

const PHOTOS: &str = r"
-- Pictures (JPEG) of dials and seals, one to an entry of the ledger; kept for two years.
CREATE TABLE photos (entry INTEGER PRIMARY KEY, at INTEGER NOT NULL, body BLOB NOT NULL) STRICT;

CREATE VIEW v_photos AS
SELECT p.entry, strftime('%Y-%m-%dT%H:%M:%fZ', p.at / 1000.0, 'unixepoch') AS time, l.point AS point, length(p.body) AS bytes, p.body AS body
FROM photos p LEFT JOIN ledger l ON l.seq = p.entry;
";

const MEDIA: &str = r"
-- Days and months of heat and electricity are watt-hours, and stood in columns of litres: the views tell each in its own.
DROP VIEW v_daily;
DROP VIEW v_monthly;
CREATE VIEW v_daily AS
SELECT date(c.day * 86400, 'unixepoch') AS date, t.point AS point, i.id AS point_id, s.topic AS topic, n.name AS name,
       CASE WHEN t.made_with LIKE '%of=Wh' THEN NULL ELSE d.volume END AS volume_ml, CASE WHEN t.made_with LIKE '%of=Wh' THEN NULL ELSE d.volume / 1000.0 END AS litres,
       CASE WHEN t.made_with LIKE '%of=Wh' THEN d.volume END AS energy_wh, CASE WHEN t.made_with LIKE '%of=Wh' THEN d.volume / 1000.0 END AS kilowatt_hours,
       d.known_ms IS NULL AS complete, coalesce(d.known_ms, c.ends - c.starts) AS known_ms,
       d.key AS key
FROM daily d CROSS JOIN told t ON t.series = d.key >> 5 & 8388607 CROSS JOIN calendar c ON c.day = (d.key >> 28 << 5) | (d.key & 31)
CROSS JOIN sources s ON s.source = t.series >> 3 CROSS JOIN columns n ON n.source = s.source AND n.ix = (t.series & 7)
LEFT JOIN identities i ON i.kind = 'point' AND i.key = t.point;

CREATE VIEW v_monthly AS
SELECT printf('%04d-%02d', (m.key >> 23) / 12, (m.key >> 23) % 12 + 1) AS month, t.point AS point, i.id AS point_id, s.topic AS topic,
       n.name AS name, CASE WHEN t.made_with LIKE '%of=Wh' THEN NULL ELSE m.volume END AS volume_ml, CASE WHEN t.made_with LIKE '%of=Wh' THEN NULL ELSE m.volume / 1000.0 END AS litres,
       CASE WHEN t.made_with LIKE '%of=Wh' THEN m.volume END AS energy_wh, CASE WHEN t.made_with LIKE '%of=Wh' THEN m.volume / 1000.0 END AS kilowatt_hours,
       m.complete = strftime('%d', printf('%04d-%02d-01', (m.key >> 23) / 12, (m.key >> 23) % 12 + 1), '+1 month', '-1 day') + 0 AS complete,
       m.known_ms AS known_ms, m.days AS days, m.complete AS complete_days, m.key AS key
FROM monthly m CROSS JOIN told t ON t.series = m.key & 8388607
CROSS JOIN sources s ON s.source = t.series >> 3 CROSS JOIN columns n ON n.source = s.source AND n.ix = (t.series & 7)
LEFT JOIN identities i ON i.kind = 'point' AND i.key = t.point;
";

/// Where a file stands.
enum Found {
    /// Nothing in it yet, or no more than an interrupted beginning.
    Fresh,
    Version(i64),
}

fn inspect(conn: &Connection, path: &Path) -> Result<Found, OpenError> {
    let e = |e| OpenError::sqlite(path, e);
    let application_id: i32 = conn.pragma_query_value(None, "application_id", |r| r.get(0)).map_err(e)?;
    let version: i64 = conn.pragma_query_value(None, "user_version", |r| r.get(0)).map_err(e)?;
    if application_id == APPLICATION_ID {
        return if version > VERSION {
            Err(OpenError::Newer { path: path.to_owned(), found: version })
        } else {
            Ok(Found::Version(version))
        };
    }
    let objects: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0)).map_err(e)?;
    if application_id == 0 && version == 0 && objects == 0 {
        Ok(Found::Fresh)
    } else {
        Err(OpenError::Foreign { path: path.to_owned(), application_id })
    }
}

/// Makes a fresh file ours and an older one current. Looks before it touches: a refused file is left as it was.
pub(super) fn prepare(conn: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let found = inspect(conn, path)?;
    let e = |e| OpenError::sqlite(path, e);
    if let Found::Fresh = found {
        // Both are fixed with the first page that is written.
        conn.execute_batch("PRAGMA page_size = 1024; PRAGMA auto_vacuum = INCREMENTAL;").map_err(e)?;
    }
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |r| r.get(0)).map_err(e)?;
    if mode != "wal" {
        return Err(OpenError::NoWal { path: path.to_owned(), mode });
    }
    let from = match found {
        Found::Fresh => 0,
        Found::Version(v) => v,
    };
    // A version below zero is nobody's; the first migration then fails on tables that exist, and changes nothing.
    for (n, sql) in MIGRATIONS.iter().enumerate().skip(usize::try_from(from).unwrap_or(0)) {
        migrate(conn, sql, n as i64 + 1).map_err(e)?;
    }
    Ok(())
}

fn migrate(conn: &mut Connection, sql: &str, version: i64) -> rusqlite::Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(sql)?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", version)?;
    tx.execute(
        "INSERT INTO meta (key, value) VALUES (?1, ?2)",
        (format!("schema_{version}_made_by"), concat!("heyun ", env!("CARGO_PKG_VERSION"))),
    )?;
    tx.commit()
}

/// The version of a file that is ours, this one or an older.
pub(super) fn version_of(conn: &Connection, path: &Path) -> Result<i64, OpenError> {
    match inspect(conn, path)? {
        Found::Version(version) => Ok(version),
        Found::Fresh => Err(OpenError::Older { path: path.to_owned(), found: 0 }),
    }
}

/// Refuses anything but a file of exactly this schema.
pub(super) fn check_current(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    match inspect(conn, path)? {
        Found::Version(VERSION) => Ok(()),
        Found::Version(found) => Err(OpenError::Older { path: path.to_owned(), found }),
        Found::Fresh => Err(OpenError::Older { path: path.to_owned(), found: 0 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_beginning_is_begun_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("h.db");
        let first = Connection::open(&path).unwrap();
        first.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
        drop(first);
        let mut conn = Connection::open(&path).unwrap();
        prepare(&mut conn, &path).unwrap();
        check_current(&conn, &path).unwrap();
        prepare(&mut conn, &path).unwrap();
    }

    #[test]
    fn a_failed_migration_leaves_the_version_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("h.db");
        let mut conn = Connection::open(&path).unwrap();
        prepare(&mut conn, &path).unwrap();
        assert!(migrate(&mut conn, "CREATE TABLE half (x); CREATE TABLE readings (x);", VERSION + 1).is_err());
        check_current(&conn, &path).unwrap();
        assert_eq!(conn.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'half'", [], |r| r.get(0)), Ok(0));
    }
}
