//! Chunks in their table: which there are, what is in them, and how one is written in place of others.

use super::chunk::{Chunk, Columns, FORMAT};
use super::error::ReadError;
use super::key;
use super::query::{count, integer};
use crate::domain::reading::{Row, SourceId};
use crate::domain::time::Ts;
use crate::domain::topology::MAX_COLUMNS;
use rusqlite::{Connection, OptionalExtension};

/// All columns of a row.
pub(super) const ALL: u8 = 0xff;

/// Where a chunk lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub key: i64,
    pub source: SourceId,
    /// Times of its first and its last row.
    pub first: Ts,
    pub last: Ts,
    pub n: usize,
    /// The newest batch that a row of it came with.
    pub batch: u64,
}

const PLACE: &str = "key, last, n, batch";

fn place_of(r: &rusqlite::Row<'_>) -> rusqlite::Result<Place> {
    let key = r.get(0)?;
    let (source, first) = key::split_chunk(key);
    Ok(Place { key, source, first, last: Ts(r.get(1)?), n: r.get::<_, u32>(2)? as usize, batch: count(r.get(3)?) })
}

/// The chunks of all sources with rows in `from..to`, later ones first. A look at each source, whatever lies outside of the span.
pub(super) fn in_span(conn: &Connection, from: Ts, to: Ts) -> rusqlite::Result<Vec<Place>> {
    let mut out = vec![];
    let mut at = i64::MIN;
    let mut next = conn.prepare_cached("SELECT key FROM chunks WHERE key >= ?1 ORDER BY key LIMIT 1")?;
    while let Some(key) = next.query_row([at], |r| r.get(0)).optional()? {
        let (source, _) = key::split_chunk(key);
        out.extend(of_source(conn, source, from, to, usize::MAX)?);
        at = key::chunk(SourceId(source.0.saturating_add(1)), Ts(i64::MIN));
    }
    out.sort_unstable_by_key(|p| std::cmp::Reverse((p.first, p.source)));
    Ok(out)
}

/// The chunks of a source with rows in `from..to`, by time, at most `limit`: taken here, for SQLite plans a statement anew for each other limit.
pub(super) fn of_source(conn: &Connection, source: SourceId, from: Ts, to: Ts, limit: usize) -> rusqlite::Result<Vec<Place>> {
    let begin = latest(conn, source, from)?.filter(|p| p.last >= from).map_or(from, |p| p.first);
    conn.prepare_cached(&format!("SELECT {PLACE} FROM chunks WHERE key >= ?1 AND key < ?2 ORDER BY key"))?
        .query_map((key::chunk(source, begin), end(source, to)), place_of)?
        .take(limit)
        .collect()
}

/// The last key of a source before `to`, and one more.
fn end(source: SourceId, to: Ts) -> i64 {
    if to > Ts::LATEST { key::chunk(SourceId(source.0 + 1), Ts(i64::MIN)) } else { key::chunk(source, to) }
}

/// The last chunk of a source that begins at or before `ts`.
pub(super) fn latest(conn: &Connection, source: SourceId, ts: Ts) -> rusqlite::Result<Option<Place>> {
    conn.prepare_cached(&format!("SELECT {PLACE} FROM chunks WHERE key >= ?1 AND key <= ?2 ORDER BY key DESC LIMIT 1"))?
        .query_row((key::chunk(source, Ts(i64::MIN)), key::chunk(source, ts)), place_of)
        .optional()
}

/// The last chunks of a source, at most `limit`, the last one first.
pub(super) fn last(conn: &Connection, source: SourceId, limit: usize) -> rusqlite::Result<Vec<Place>> {
    conn.prepare_cached(&format!("SELECT {PLACE} FROM chunks WHERE key >= ?1 AND key < ?2 ORDER BY key DESC"))?
        .query_map((key::chunk(source, Ts(i64::MIN)), end(source, Ts(i64::MAX))), place_of)?
        .take(limit)
        .collect()
}

/// The first chunk of a source that begins after `ts`.
pub(super) fn next(conn: &Connection, source: SourceId, ts: Ts) -> rusqlite::Result<Option<Place>> {
    conn.prepare_cached(&format!("SELECT {PLACE} FROM chunks WHERE key > ?1 AND key < ?2 ORDER BY key LIMIT 1"))?
        .query_row((key::chunk(source, ts), end(source, Ts(i64::MAX))), place_of)
        .optional()
}

/// The first and the last time of any sealed row.
pub(super) fn span(conn: &Connection) -> rusqlite::Result<Option<(Ts, Ts)>> {
    let (mut out, mut at): (Option<(Ts, Ts)>, _) = (None, i64::MIN);
    let mut next = conn.prepare_cached("SELECT key FROM chunks WHERE key >= ?1 ORDER BY key LIMIT 1")?;
    while let Some(key) = next.query_row([at], |r| r.get(0)).optional()? {
        let (source, first) = key::split_chunk(key);
        let last = latest(conn, source, Ts(i64::MAX))?.map_or(first, |p| p.last);
        out = Some(out.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
        at = key::chunk(SourceId(source.0.saturating_add(1)), Ts(i64::MIN));
    }
    Ok(out)
}

/// The first source from `from` on that has chunks.
pub(super) fn source_from(conn: &Connection, from: SourceId) -> rusqlite::Result<Option<SourceId>> {
    conn.prepare_cached("SELECT key FROM chunks WHERE key >= ?1 ORDER BY key LIMIT 1")?
        .query_row([key::chunk(from, Ts(i64::MIN))], |r| r.get(0).map(|k| key::split_chunk(k).0))
        .optional()
}

/// Reads a chunk; of its columns those in `wanted`.
pub(super) fn read(conn: &Connection, place: Place, wanted: u8) -> Result<Chunk, ReadError> {
    conn.prepare_cached("SELECT format, body FROM chunks WHERE key = ?1")?
        .query_row([place.key], |r| {
            let (format, body) = (r.get::<_, u32>(0)?, r.get_ref(1)?.as_blob()?);
            Ok(if format == FORMAT {
                Chunk::read(body, place.n, wanted).map_err(|_| Unreadable::Damaged)
            } else {
                Err(Unreadable::Format(format))
            })
        })?
        .map_err(|why| match why {
            Unreadable::Damaged => ReadError::Damaged { source_id: place.source.0, from: place.first, to: place.last },
            Unreadable::Format(format) => ReadError::Unknown { what: "format of a chunk", found: format.to_string() },
        })
}

enum Unreadable {
    Damaged,
    Format(u32),
}

/// The row of a source at this instant, where it is sealed.
pub(super) fn row_at(conn: &Connection, source: SourceId, ts: Ts) -> Result<Option<Row>, ReadError> {
    let Some(place) = latest(conn, source, ts)?.filter(|p| p.last >= ts) else { return Ok(None) };
    let chunk = read(conn, place, ALL)?;
    let at = chunk.position(ts);
    Ok((at < chunk.len() && chunk.ts(at) == ts).then(|| chunk.row(at, source)))
}

/// The newest sealed row of a source strictly before `ts`.
pub(super) fn row_before(conn: &Connection, source: SourceId, ts: Ts) -> Result<Option<Row>, ReadError> {
    let Some(place) = latest(conn, source, Ts(ts.0.saturating_sub(1)))? else { return Ok(None) };
    let chunk = read(conn, place, ALL)?;
    Ok(chunk.position(ts).checked_sub(1).map(|at| chunk.row(at, source)))
}

/// The first so many columns of a row.
pub(super) fn first_columns(width: usize) -> u8 {
    u8::try_from((1u32 << width.min(MAX_COLUMNS)) - 1).unwrap_or(ALL)
}

/// Appends the sealed rows of a source with `from <= ts < to`, by time, at most `limit`; of each its first `width` values.
pub(super) fn rows(
    conn: &Connection,
    source: SourceId,
    width: usize,
    (from, to): (Ts, Ts),
    limit: usize,
    out: &mut Vec<Row>,
) -> Result<(), ReadError> {
    for place in of_source(conn, source, from, to, limit)? {
        if out.len() >= limit {
            break;
        }
        let chunk = read(conn, place, first_columns(width))?;
        let (begin, end) = (chunk.position(from), chunk.position(to));
        out.extend((begin..end).take(limit - out.len()).map(|i| chunk.row(i, source)));
    }
    Ok(())
}

pub(super) fn delete(tx: &Connection, key: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM chunks WHERE key = ?1")?.execute([key])?;
    tx.prepare_cached("DELETE FROM chunk_columns WHERE began = ?1 & 8796093022207 AND chunk = ?1")?.execute([key])?;
    Ok(())
}

/// Puts a chunk that cannot be read aside, so that it stands in nobody's way, and nothing of it is lost that a later mending could read.
pub(super) fn set_aside(tx: &Connection, place: Place) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO damaged_chunks SELECT * FROM chunks WHERE key = ?1")?.execute([place.key])?;
    delete(tx, place.key)
}

/// Writes rows of a source as one chunk, over the one that began at the same time.
pub(super) fn write(tx: &Connection, source: SourceId, rows: &Columns, batch: u64, thorough: bool) -> rusqlite::Result<()> {
    let (Some(first), Some(last)) = (rows.ts(0), rows.len().checked_sub(1).and_then(|i| rows.ts(i))) else { return Ok(()) };
    let key = key::chunk(source, first);
    tx.prepare_cached(
        "INSERT INTO chunks (key, last, n, batch, format, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET last = excluded.last, n = excluded.n, batch = excluded.batch, format = excluded.format, body = excluded.body",
    )?
    .execute((key, last.0, integer(rows.len() as u64), integer(batch), FORMAT, rows.body(thorough)))?;
    let mut insert = tx.prepare_cached(
        "INSERT OR REPLACE INTO chunk_columns (chunk, ix, n, first, last, least, greatest, sum, began)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?1 & 8796093022207)",
    )?;
    for ix in 0..MAX_COLUMNS {
        let Some(said) = Said::of(rows.column(ix)) else { continue };
        insert.execute((
            key,
            ix as i64,
            integer(said.n),
            said.first,
            said.last,
            (said.least != said.first).then_some(said.least),
            (said.greatest != said.last).then_some(said.greatest),
            i64::try_from(said.sum).ok(),
        ))?;
    }
    Ok(())
}

/// What a column says in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub n: u64,
    pub first: i64,
    pub last: i64,
    pub least: i64,
    pub greatest: i64,
    pub sum: i128,
}

impl Said {
    /// None of no values.
    pub(super) fn of(mut values: impl Iterator<Item = i64>) -> Option<Said> {
        let first = values.next()?;
        let begin = Said { n: 1, first, last: first, least: first, greatest: first, sum: i128::from(first) };
        Some(values.fold(begin, |s, v| Said {
            n: s.n + 1,
            last: v,
            least: s.least.min(v),
            greatest: s.greatest.max(v),
            sum: s.sum + i128::from(v),
            ..s
        }))
    }
}
