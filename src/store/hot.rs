//! Rows of one source among those that are not sealed, which lie by time, all sources together.
//!
//! Where sources speak at the same instants (a bus that is polled every quarter of an hour), the source is looked for at each instant: two
//! steps down the tree in one statement, whoever else spoke then. Where [`STRANGERS`] steps in a row do not find it, each has its own instants or it is
//! silent, and passing over all rows is quicker.

use super::key;
use super::query::{row_columns, row_of_width};
use super::seal::TABLES;
use crate::domain::reading::{Row, SourceId};
use crate::domain::time::Ts;
use rusqlite::{Connection, OptionalExtension};

/// Steps that do not find the source, after which instants are no longer looked at one by one.
const STRANGERS: u32 = 32;

/// Appends the rows of a source with `from <= ts < to`, by time, at most `limit` of each table; of each its first `width` values.
pub(super) fn rows(
    conn: &Connection,
    source: SourceId,
    width: usize,
    (from, to): (Ts, Ts),
    limit: usize,
    out: &mut Vec<Row>,
) -> rusqlite::Result<()> {
    let begin = out.len();
    let end = key::floor(to);
    // Rows before the mark are sealed.
    let mut used = conn.prepare_cached("SELECT ix, mark FROM eras WHERE began IS NOT NULL")?;
    let mut used = used.query([])?;
    while let Some(r) = used.next()? {
        let (ix, mark): (u8, i64) = (r.get(0)?, r.get(1)?);
        let at = key::floor(from).max(mark);
        if let Some(table) = TABLES.get(usize::from(ix)).filter(|_| at < end) {
            of_table(conn, (table, width), source, (at, end), limit, out)?;
        }
    }
    // A row that came late lies in a younger table than its neighbours.
    out[begin..].sort_by_key(|r| r.ts);
    Ok(())
}

fn of_table(
    conn: &Connection,
    (table, width): (&str, usize),
    source: SourceId,
    (mut at, end): (i64, i64),
    limit: usize,
    out: &mut Vec<Row>,
) -> rusqlite::Result<()> {
    let (full, mut strangers) = (out.len().saturating_add(limit), 0);
    let mut here = conn.prepare_cached(&here_statement(table, width))?;
    let mut next = conn.prepare_cached(&format!("SELECT r.key FROM {table} r WHERE r.key >= ?1 AND r.key < ?2 ORDER BY r.key LIMIT 1"))?;
    while out.len() < full && strangers < STRANGERS {
        let found = here.query_row((at, end, source.0), |r| row_of_width(r, width)).optional()?;
        let ts = if let Some(row) = found {
            out.push(row);
            strangers = 0;
            row.ts
        } else {
            // At that instant only others spoke.
            let Some(key) = next.query_row((at, end), |r| r.get(0)).optional()? else { return Ok(()) };
            strangers += 1;
            key::split(key).0
        };
        at = key::floor(Ts(ts.0.saturating_add(1)));
    }
    let rest = full - out.len();
    let columns = row_columns(width);
    let mut all =
        conn.prepare_cached(&format!("SELECT {columns} FROM {table} r WHERE r.key >= ?1 AND r.key < ?2 AND r.source = ?3 ORDER BY r.key"))?;
    for row in all.query_map((at, end, source.0), |r| row_of_width(r, width))?.take(rest) {
        out.push(row?);
    }
    Ok(())
}

/// The row of source `?3` at the first instant that any row in `?1..?2` has, if it lies in that span.
pub(super) fn here_statement(table: &str, width: usize) -> String {
    let columns = row_columns(width);
    format!(
        "SELECT {columns} FROM {table} r
         WHERE r.key = (SELECT key >> 20 << 20 | ?3 FROM {table} WHERE key >= ?1 ORDER BY key LIMIT 1) AND r.key >= ?1 AND r.key < ?2"
    )
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
        conn.execute("UPDATE eras SET began = 2 WHERE ix = 1", []).unwrap();
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
                super::rows(&conn, SourceId(source), 8, (Ts(from), Ts(to)), usize::MAX, &mut found).unwrap();
                let found: Vec<i64> = found.iter().map(|r| r.ts.0).collect();
                let there: Vec<i64> = rows.iter().filter(|(t, s)| *s == source && (from..to).contains(t)).map(|r| r.0).collect();
                assert_eq!(found, there, "source {source} in {from}..{to}");
            }
        }
    }
}
