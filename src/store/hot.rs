//! Rows of one source among those that are not sealed, which lie by time, all sources together.
//!
//! Where sources speak at the same instants (a bus that is polled every quarter of an hour), the source is looked for at each instant: two
//! steps down the tree, whoever else spoke then. Where [`STRANGERS`] steps in a row do not find it, each has its own instants or it is
//! silent, and passing over all rows is quicker.

use super::key;
use super::query::{ROW, row_of};
use super::seal::TABLES;
use crate::domain::reading::{Row, SourceId};
use crate::domain::time::Ts;
use rusqlite::Connection;

/// Steps that do not find the source, after which instants are no longer looked at one by one.
const STRANGERS: u32 = 32;

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
        if who == source {
            out.push(row_of(r)?);
            strangers = 0;
        } else {
            strangers += 1;
        }
        at = if who < source { sought } else { key::floor(Ts(ts.0.saturating_add(1))) };
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Some instants that all share, then a silence of the first, the middle and the last source among instants of the others, then instants of one's own.
    #[test]
    fn whoever_else_speaks_a_source_has_its_own_rows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("h.db");
        let mut conn = Connection::open(&path).unwrap();
        super::super::schema::prepare(&mut conn, &path).unwrap();
        let shared = (0..20).flat_map(|t| (1..=5).map(move |s| (t, s)));
        let silent = (20..120).flat_map(|t| [(t, 2), (t, 4)]);
        let own = (120..400).map(|t| (t, 1 + u32::try_from(t % 5).unwrap()));
        let rows: Vec<(i64, u32)> = shared.chain(silent).chain(own).collect();
        for (i, (ts, source)) in rows.iter().enumerate() {
            // Two tables, as rows that come late have it.
            let table = if i % 7 == 0 { "hot_1" } else { "hot_0" };
            let key = key::key(Ts(*ts), SourceId(*source)).unwrap();
            conn.execute(&format!("INSERT INTO {table} (key, batch, pos, flags) VALUES (?1, 1, 0, 0)"), [key]).unwrap();
        }
        for source in 1..=6 {
            for (from, to) in [(0, 400), (15, 130), (30, 60), (119, 121), (400, 500)] {
                let mut found = vec![];
                super::rows(&conn, SourceId(source), Ts(from), Ts(to), usize::MAX, &mut found).unwrap();
                let found: Vec<i64> = found.iter().map(|r| r.ts.0).collect();
                let there: Vec<i64> = rows.iter().filter(|(t, s)| *s == source && (from..to).contains(t)).map(|r| r.0).collect();
                assert_eq!(found, there, "source {source} in {from}..{to}");
            }
        }
    }
}
