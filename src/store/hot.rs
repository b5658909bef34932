//! Rows of one source among those that are not sealed, which lie by time, all sources together.
//!
//! Where sources speak at the same instants (a bus that is polled every quarter of an hour), the source is looked for at each instant: two
//! steps down the tree, whoever else spoke then. Where it is not found at [`STRANGERS`] instants in a row, each has its own instants,
//! and passing over all rows is quicker.

use super::key;
use super::query::{ROW, row_of};
use super::seal::TABLES;
use crate::domain::reading::{Row, SourceId};
use crate::domain::time::Ts;
use rusqlite::Connection;

/// Instants without the source after which they are no longer looked at one by one.
const STRANGERS: u32 = 16;

/// Appends the rows of a source with `from <= ts < to`, by time, at most `limit` of each table.
pub(super) fn rows(conn: &Connection, source: SourceId, from: Ts, to: Ts, limit: usize, out: &mut Vec<Row>) -> rusqlite::Result<()> {
    let begin = out.len();
    let end = key::floor(to);
    for (ix, table) in TABLES.iter().enumerate() {
        // Rows before the mark are sealed.
        let mark: i64 = conn.prepare_cached("SELECT mark FROM eras WHERE ix = ?1")?.query_row([ix as i64], |r| r.get(0))?;
        let at = key::floor(from).max(mark);
        if at < end {
            of_table(conn, table, source, (at, end), limit, out)?;
        }
    }
    // A row that came late lies in a younger table than its neighbours.
    out[begin..].sort_by_key(|r| r.ts);
    Ok(())
}

fn of_table(
    conn: &Connection,
    table: &str,
    source: SourceId,
    (mut at, end): (i64, i64),
    limit: usize,
    out: &mut Vec<Row>,
) -> rusqlite::Result<()> {
    let (full, mut strangers) = (out.len().saturating_add(limit), 0);
    let mut next = conn.prepare_cached(&format!("SELECT {ROW} FROM {table} r WHERE r.key >= ?1 AND r.key < ?2 ORDER BY r.key LIMIT 1"))?;
    while out.len() < full && strangers < STRANGERS {
        let mut found = next.query((at, end))?;
        let Some(r) = found.next()? else { return Ok(()) };
        let (ts, who) = key::split(r.get(0)?);
        let sought = key::floor(ts) | i64::from(source.0);
        at = if who < source {
            sought
        } else {
            if who == source {
                out.push(row_of(r)?);
                strangers = 0;
            } else {
                strangers += 1;
            }
            key::floor(Ts(ts.0.saturating_add(1)))
        };
    }
    let rest = i64::try_from(full - out.len()).unwrap_or(i64::MAX);
    let mut all = conn.prepare_cached(&format!(
        "SELECT {ROW} FROM {table} r WHERE r.key >= ?1 AND r.key < ?2 AND r.source = ?3 ORDER BY r.key LIMIT ?4"
    ))?;
    for row in all.query_map((at, end, source.0, rest), row_of)? {
        out.push(row?);
    }
    Ok(())
}
