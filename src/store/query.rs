//! The questions that the tables answer: SQL on one side, the domain's types on the other. Each is one statement on a given connection.

use super::batch::{Checkpoint, EventRecord};
use super::error::ReadError;
use super::hot;
use super::key;
use super::sealed;
use crate::domain::engine::{IdentityKind, IdentityRecord, SourceRecord};
use crate::domain::reading::{Flags, Row, SourceId, Values};
use crate::domain::time::Ts;
use crate::domain::topology::{Column, MAX_COLUMNS};
use crate::domain::units::Quantity;
use rusqlite::{Connection, OptionalExtension};
use std::borrow::Cow;

/// How many stored rows of all sources [`row_before`] looks through before it gives up. With 150 meters at 15 minutes that is two
/// weeks, and for a source that is silent all that time some 20 ms.
pub const LOOK_BACK_ROWS: u32 = 200_000;

/// The columns of a [`StoredRow`], in the order that [`stored_row_of`] takes them.
pub(super) const STORED_ROW: &str = "r.key, r.flags, r.v0, r.v1, r.v2, r.v3, r.v4, r.v5, r.v6, r.v7, r.batch, r.pos";

/// A row with its place in the order of commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredRow {
    pub batch: u64,
    pub pos: u32,
    pub row: Row,
}

/// The newest commit, and what it adds up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub batch: u64,
    pub received: Ts,
    /// Of this batch.
    pub rows: u64,
    /// Of all batches.
    pub total_rows: u64,
    /// The newest event's number, 0 before the first.
    pub last_event: u64,
}

impl Head {
    pub(super) const EMPTY: Head = Head { batch: 0, received: Ts(0), rows: 0, total_rows: 0, last_event: 0 };
}

/// What stands before an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    Row(Row),
    /// The source has no earlier row.
    Nothing,
    /// None among the [`LOOK_BACK_ROWS`] rows of all sources before the instant; there may be one beyond.
    TooFarBack,
}

impl Before {
    /// The row, where there is one within reach.
    pub fn row(self) -> Option<Row> {
        match self {
            Before::Row(row) => Some(row),
            Before::Nothing | Before::TooFarBack => None,
        }
    }
}

/// A state to fold later commits onto.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// It is the state after this batch.
    pub batch: u64,
    pub checkpoint: Checkpoint,
}

/// The size of things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stats {
    pub file_bytes: u64,
    /// The log beside it: what is durable, but not yet copied into the file.
    pub wal_bytes: u64,
    /// Readings that are there.
    pub rows: u64,
    /// Readings that were older than they are to be kept, and are gone.
    pub expired: u64,
    pub batches: u64,
    pub events: u64,
    pub first: Option<Ts>,
    pub last: Option<Ts>,
}

/// SQLite's integers are signed. Ids and counts grow by one, so the upper half is out of reach.
pub(super) fn integer(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The way back of [`integer`]; a negative number is none that we wrote, and reads as 0.
pub(super) fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

const QUANTITIES: [(Quantity, &str); 11] = [
    (Quantity::Volume, "volume"),
    (Quantity::Pulses, "pulses"),
    (Quantity::Flow, "flow"),
    (Quantity::Temperature, "temperature"),
    (Quantity::Ratio, "ratio"),
    (Quantity::Energy, "energy"),
    (Quantity::Voltage, "voltage"),
    (Quantity::Number, "number"),
    (Quantity::Power, "power"),
    (Quantity::Pressure, "pressure"),
    (Quantity::Flags, "flags"),
];

pub(super) fn quantity_text(q: Quantity) -> &'static str {
    // Every quantity is in the table: the test below names them all.
    QUANTITIES.iter().find(|(x, _)| *x == q).map_or("number", |(_, text)| text)
}

fn quantity_of(text: &str) -> Result<Quantity, ReadError> {
    let found = QUANTITIES.iter().find(|(_, t)| *t == text).map(|(q, _)| *q);
    found.ok_or_else(|| ReadError::Unknown { what: "quantity", found: text.to_owned() })
}

pub(super) fn kind_text(k: IdentityKind) -> &'static str {
    match k {
        IdentityKind::Place => "place",
        IdentityKind::Point => "point",
        IdentityKind::Meter => "meter",
    }
}

fn kind_of(text: &str) -> Result<IdentityKind, ReadError> {
    match text {
        "place" => Ok(IdentityKind::Place),
        "point" => Ok(IdentityKind::Point),
        "meter" => Ok(IdentityKind::Meter),
        _ => Err(ReadError::Unknown { what: "identity kind", found: text.to_owned() }),
    }
}

/// The first columns of [`STORED_ROW`].
fn row_of(r: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let mut values = Values::NONE;
    for i in 0..MAX_COLUMNS {
        if let Some(v) = r.get(2 + i)? {
            values.set(i, v);
        }
    }
    let (ts, source) = key::split(r.get(0)?);
    Ok(Row { ts, source, values, flags: Flags(r.get(1)?) })
}

pub(super) fn stored_row_of(r: &rusqlite::Row<'_>) -> rusqlite::Result<StoredRow> {
    Ok(StoredRow { batch: count(r.get(10)?), pos: r.get(11)?, row: row_of(r)? })
}

/// The row with this key.
pub(super) fn stored_row(conn: &Connection, source: SourceId, ts: Ts) -> rusqlite::Result<Option<StoredRow>> {
    let Some(key) = key::key(ts, source) else { return Ok(None) };
    conn.prepare_cached(&format!("SELECT {STORED_ROW} FROM readings r WHERE r.key = ?1"))?.query_row([key], stored_row_of).optional()
}

/// The row of a source at this instant, sealed or not.
pub(super) fn row_at(conn: &Connection, source: SourceId, ts: Ts) -> Result<Option<Row>, ReadError> {
    match stored_row(conn, source, ts)? {
        Some(hot) => Ok(Some(hot.row)),
        None => sealed::row_at(conn, source, ts),
    }
}

/// Rows of one source with `from <= ts < to`, by time, of each its first `width` values.
pub(super) fn readings(
    conn: &Connection,
    source: SourceId,
    width: usize,
    (from, to): (Ts, Ts),
    limit: usize,
) -> Result<Vec<Row>, ReadError> {
    let mut rows = vec![];
    sealed::rows(conn, source, width, (from, to), limit, &mut rows)?;
    let sealed = rows.len();
    hot::rows(conn, source, width, (from, to), limit, &mut rows)?;
    if sealed > 0 && sealed < rows.len() {
        // What came late lies among what is sealed.
        rows.sort_by_key(|r| r.ts);
    }
    rows.truncate(limit);
    Ok(rows)
}

/// The columns of a row in the order that [`row_of_width`] takes them: what is not asked for is not unpacked.
pub(super) fn row_columns(width: usize) -> String {
    let values: String = (0..width.min(MAX_COLUMNS)).map(|i| format!(", r.v{i}")).collect();
    format!("r.key, r.flags, r.batch{values}")
}

/// Hot rows with keys in `?1..?2` by key.
pub(super) fn page_statement(width: usize) -> String {
    format!("SELECT {} FROM readings r WHERE r.key >= ?1 AND r.key < ?2 ORDER BY r.key", row_columns(width))
}

pub(super) fn row_of_width(r: &rusqlite::Row<'_>, width: usize) -> rusqlite::Result<Row> {
    let mut values = Values::NONE;
    for i in 0..width.min(MAX_COLUMNS) {
        if let Some(v) = r.get(3 + i)? {
            values.set(i, v);
        }
    }
    let (ts, source) = key::split(r.get(0)?);
    Ok(Row { ts, source, values, flags: Flags(r.get(1)?) })
}

/// The newest row of a source strictly before `ts`: among the `look_back` hot rows of all sources before it, or a sealed one.
///
/// Usually the one round of messages before `ts` is passed over; for a source that is silent, all hot rows since its last sealed one.
pub(super) fn row_before(conn: &Connection, source: SourceId, ts: Ts, look_back: u32) -> Result<Before, ReadError> {
    let sealed = sealed::row_before(conn, source, ts)?;
    let (from, end) = (sealed.map_or(i64::MIN, |r| key::floor(r.ts)), key::floor(ts));
    // The inner SELECT is limited before the source is asked for: that is the bound. It carries only the key.
    let found: Option<i64> = conn
        .prepare_cached(
            "SELECT key FROM (SELECT key, source FROM readings WHERE key >= ?4 AND key < ?1 ORDER BY key DESC LIMIT ?3) WHERE source = ?2 LIMIT 1",
        )?
        .query_row((end, source.0, look_back, from), |r| r.get(0))
        .optional()?;
    if let Some(found) = found {
        let (ts, source) = key::split(found);
        return Ok(stored_row(conn, source, ts)?.map_or(Before::Nothing, |s| Before::Row(s.row)));
    }
    let more: Option<i64> = conn
        .prepare_cached("SELECT 1 FROM readings WHERE key >= ?3 AND key < ?1 ORDER BY key DESC LIMIT 1 OFFSET ?2")?
        .query_row((end, look_back, from), |r| r.get(0))
        .optional()?;
    Ok(match (more, sealed) {
        (Some(_), _) => Before::TooFarBack,
        (None, Some(row)) => Before::Row(row),
        (None, None) => Before::Nothing,
    })
}

pub(super) fn sources(conn: &Connection) -> Result<Vec<SourceRecord>, ReadError> {
    let mut out: Vec<SourceRecord> = Vec::new();
    let mut s = conn.prepare_cached("SELECT source, id, topic FROM sources ORDER BY source")?;
    for record in
        s.query_map([], |r| Ok(SourceRecord { source: SourceId(r.get(0)?), id: r.get(1)?, topic: r.get(2)?, columns: Vec::new() }))?
    {
        out.push(record?);
    }
    let mut s = conn.prepare_cached("SELECT source, name, quantity FROM columns ORDER BY source, ix")?;
    let mut columns = s.query([])?;
    let mut at = out.iter_mut().peekable();
    while let Some(r) = columns.next()? {
        let source = SourceId(r.get(0)?);
        while at.next_if(|o| o.source < source).is_some() {}
        if let Some(o) = at.peek_mut().filter(|o| o.source == source) {
            o.columns.push(Column { name: r.get(1)?, quantity: quantity_of(r.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?)? });
        }
    }
    Ok(out)
}

pub(super) fn identities(conn: &Connection) -> Result<Vec<IdentityRecord>, ReadError> {
    let mut s = conn.prepare_cached("SELECT kind, key, id FROM identities ORDER BY kind, key")?;
    let mut rows = s.query([])?;
    let mut out = Vec::new();
    while let Some(r) = rows.next()? {
        out.push(IdentityRecord { kind: kind_of(&r.get::<_, String>(0)?)?, key: r.get(1)?, id: r.get(2)? });
    }
    Ok(out)
}

/// The bodies of all entries, in order.
pub(super) fn ledger(conn: &Connection) -> Result<Vec<String>, ReadError> {
    Ok(conn.prepare_cached("SELECT body FROM ledger ORDER BY seq")?.query_map([], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// The batch of the newest entry that amends something; 0 if there is none.
pub(super) fn ledger_batch(conn: &Connection) -> Result<u64, ReadError> {
    Ok(count(conn.query_row("SELECT coalesce(max(batch), 0) FROM ledger WHERE body ->> 'deed' <> 'read'", [], |r| r.get(0))?))
}

/// An event, and the batch it came with (column 5).
pub(super) fn event_of(r: &rusqlite::Row<'_>) -> rusqlite::Result<(u64, EventRecord)> {
    let event = EventRecord { seq: count(r.get(0)?), at: Ts(r.get(1)?), incident: r.get(2)?, code: Cow::Owned(r.get(3)?), body: r.get(4)? };
    Ok((count(r.get(5)?), event))
}

/// Events with a number above `seq`, in their order.
pub(super) fn events_after(conn: &Connection, seq: u64, limit: usize) -> Result<Vec<EventRecord>, ReadError> {
    let mut s = conn.prepare_cached("SELECT seq, at, incident, code, body, batch FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let rows = s.query_map((integer(seq), integer(limit as u64)), |r| Ok(event_of(r)?.1))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// All events of one incident, in their order.
pub(super) fn events_of(conn: &Connection, incident: &str) -> Result<Vec<EventRecord>, ReadError> {
    let mut s = conn.prepare_cached("SELECT seq, at, incident, code, body, batch FROM events WHERE incident = ?1 ORDER BY seq")?;
    let rows = s.query_map([incident], |r| Ok(event_of(r)?.1))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The newest checkpoint of a batch before `batch`.
pub(super) fn checkpoint_before(conn: &Connection, batch: u64) -> Result<Option<StoredCheckpoint>, ReadError> {
    let found = conn
        .prepare_cached("SELECT batch, format, body FROM checkpoints WHERE batch < ?1 ORDER BY batch DESC LIMIT 1")?
        .query_row([integer(batch)], |r| {
            Ok(StoredCheckpoint { batch: count(r.get(0)?), checkpoint: Checkpoint { format: r.get(1)?, body: r.get(2)? } })
        })
        .optional()?;
    Ok(found)
}

pub(super) fn head(conn: &Connection) -> rusqlite::Result<Option<Head>> {
    conn.prepare_cached("SELECT batch, received, rows, total, last_event FROM commits ORDER BY batch DESC LIMIT 1")?
        .query_row([], |r| {
            Ok(Head {
                batch: count(r.get(0)?),
                received: Ts(r.get(1)?),
                rows: count(r.get(2)?),
                total_rows: count(r.get(3)?),
                last_event: count(r.get(4)?),
            })
        })
        .optional()
}

/// The first and the last time of any row, sealed or not.
pub(super) fn span(conn: &Connection) -> Result<Option<(Ts, Ts)>, ReadError> {
    let edge = |sql| conn.prepare_cached(sql)?.query_row([], |r| r.get(0)).optional().map(|k: Option<i64>| k.map(|k| key::split(k).0));
    let first = edge("SELECT key FROM readings ORDER BY key LIMIT 1")?;
    let last = edge("SELECT key FROM readings ORDER BY key DESC LIMIT 1")?;
    let sealed = sealed::span(conn)?;
    let first = first.into_iter().chain(sealed.map(|s| s.0)).min();
    let last = last.into_iter().chain(sealed.map(|s| s.1)).max();
    Ok(first.zip(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_file_are_those_of_the_domain() {
        for (q, text) in QUANTITIES {
            assert_eq!(serde_json::to_value(q).unwrap(), text);
            assert_eq!(quantity_of(text).unwrap(), q);
            assert_eq!(quantity_text(q), text);
            // A quantity that is added to the domain stops here until it is in the table.
            match q {
                Quantity::Volume | Quantity::Pulses | Quantity::Flow | Quantity::Temperature => {}
                Quantity::Ratio | Quantity::Energy | Quantity::Voltage | Quantity::Number => {}
                Quantity::Power | Quantity::Pressure | Quantity::Flags => {}
            }
        }
        for k in [IdentityKind::Place, IdentityKind::Point, IdentityKind::Meter] {
            assert_eq!(kind_of(kind_text(k)).unwrap(), k);
        }
        assert!(quantity_of("loudness").unwrap_err().to_string().contains("loudness"));
    }

    #[test]
    fn a_look_back_ends_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("h.db");
        let mut conn = Connection::open(&path).unwrap();
        super::super::schema::prepare(&mut conn, &path).unwrap();
        for (ts, source) in [(10, 1), (11, 2), (12, 2), (13, 2)] {
            let key = key::key(Ts(ts), SourceId(source)).unwrap();
            conn.execute("INSERT INTO hot_0 (key, batch, pos, flags) VALUES (?1, 1, 0, 0)", [key]).unwrap();
        }
        let before = |ts, n| row_before(&conn, SourceId(1), Ts(ts), n).unwrap();
        assert_eq!(before(14, 3), Before::TooFarBack);
        assert_eq!(before(14, 4).row().map(|r| r.ts), Some(Ts(10)));
        assert_eq!(before(13, 3).row().map(|r| r.ts), Some(Ts(10)));
        assert_eq!(before(10, 3), Before::Nothing);
        assert_eq!(row_before(&conn, SourceId(3), Ts(14), 4).unwrap(), Before::Nothing);
    }

    /// Whatever the planner thinks up, none of the frequent questions may sort or scan the whole table.
    #[test]
    fn frequent_questions_use_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("h.db");
        let mut conn = Connection::open(&path).unwrap();
        super::super::schema::prepare(&mut conn, &path).unwrap();
        for sql in [
            "SELECT key FROM hot_0 r WHERE r.key >= 1 AND r.key < 3 ORDER BY r.key LIMIT 1",
            &hot::here_statement("hot_0", 3),
            "SELECT * FROM hot_0 r WHERE r.key >= 1 AND r.key < 3 AND r.source = 2 ORDER BY r.key LIMIT 4",
            "SELECT * FROM readings r WHERE r.key >= 1 AND r.key < 3 ORDER BY r.key LIMIT 4",
            "SELECT key FROM (SELECT key, source FROM readings WHERE key >= 0 AND key < 1 ORDER BY key DESC LIMIT 3) WHERE source = 2 LIMIT 1",
            "SELECT key FROM chunks r WHERE key >= 1 AND key <= 2 ORDER BY key DESC LIMIT 1",
            "SELECT * FROM v_chunks WHERE key >= 1 AND key < 2",
            "SELECT * FROM readings r WHERE r.key = 1",
            "SELECT key FROM late r WHERE r.batch BETWEEN 3 AND 4 AND (r.key < 1 OR r.key >= 2)",
            "SELECT * FROM events WHERE incident = 'x' ORDER BY seq",
            "SELECT * FROM v_readings WHERE key >= 1 AND key < 2",
        ] {
            let sql = sql.replace("?1", "1").replace("?2", "3").replace("?3", "2");
            let mut s = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let plan: Vec<String> = s.query_map([], |r| r.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
            let plan = plan.join("; ");
            assert!(plan.contains("SEARCH") && !plan.contains("TEMP B-TREE") && !plan.contains("SCAN r"), "{sql}: {plan}");
        }
    }
}
