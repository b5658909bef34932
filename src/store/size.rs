//! How large the parts of the file are, and how fast it grows.

use super::error::ReadError;
use super::query::{Stats, count};
use crate::domain::time::{Ms, Ts};
use rusqlite::Connection;

/// A table or an index in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSize {
    pub name: String,
    pub rows: u64,
    /// Of all its pages, what is free in them included.
    pub bytes: u64,
}

/// What the newest days added to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// So many days were looked at, at most 7.
    pub days: u64,
    pub readings_per_day: u64,
    /// By the mean size of all readings that there are.
    pub bytes_per_day: u64,
}

/// The largest first. Reads every page of the file.
pub(super) fn tables(conn: &Connection) -> Result<Vec<TableSize>, ReadError> {
    // The cells of an inner page are rows in an index and in a table without rowid, and in no other table.
    let mut s = conn.prepare(
        "SELECT d.name, sum(CASE WHEN d.pagetype = 'leaf' OR s.type = 'index' OR l.wr THEN d.ncell ELSE 0 END), sum(d.pgsize)
         FROM dbstat d LEFT JOIN sqlite_schema s ON s.name = d.name LEFT JOIN pragma_table_list l ON l.name = d.name
         GROUP BY d.name ORDER BY 3 DESC, 1",
    )?;
    let rows = s.query_map([], |r| Ok(TableSize { name: r.get(0)?, rows: count(r.get(1)?), bytes: count(r.get(2)?) }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

const DAY: Ms = Ms::days(1);
const DAYS: i64 = 7;

/// From how many readings there are since [`since`]. None where there is no reading.
pub(super) fn growth(stats: &Stats, readings: u64) -> Option<Growth> {
    let days = u64::try_from((stats.last? - since(stats)?).0 / DAY.0).unwrap_or(0).max(1);
    let readings_per_day = readings / days;
    Some(Growth { days, readings_per_day, bytes_per_day: readings_per_day * stats.file_bytes / stats.rows.max(1) })
}

/// Whole days before the newest reading, as many as there are and no more than seven; one where there is less than one.
pub(super) fn since(stats: &Stats) -> Option<Ts> {
    let (first, last) = (stats.first?, stats.last?);
    let days = ((last - first).0 / DAY.0).clamp(1, DAYS);
    Some(last - Ms(days * DAY.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_of_whole_days() {
        let stats = |days: i64| Stats {
            file_bytes: 40_000,
            rows: 1_000,
            first: Some(Ts(5)),
            last: Some(Ts(5) + Ms(days * DAY.0 + 7)),
            ..Stats::default()
        };
        assert_eq!(growth(&Stats::default(), 0), None);
        assert_eq!(growth(&stats(0), 96), Some(Growth { days: 1, readings_per_day: 96, bytes_per_day: 3_840 }));
        assert_eq!(growth(&stats(3), 288), Some(Growth { days: 3, readings_per_day: 96, bytes_per_day: 3_840 }));
        assert_eq!(growth(&stats(400), 700), Some(Growth { days: 7, readings_per_day: 100, bytes_per_day: 4_000 }));
    }
}
