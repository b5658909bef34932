//! What the store would answer, from memory: which values stand at (source, ts).
//!
//! The engine asks for late rows only. A broker's queue or a meter's own memory sends again what is days old, not months, so
//! [`KEPT`] of each source are remembered; a row that is even older is taken as new. It changes no total (the ledger knows that it
//! is late), only a duplicate among such rows is counted as stored.

use crate::domain::reading::{Row, SourceId, Values};
use crate::domain::time::{Ms, Ts};
use std::collections::VecDeque;

/// How far back of a source's newest row its rows are remembered: 16 B each, so 10 000 meters with hourly readings take 27 MB.
pub const KEPT: Ms = Ms::days(7);

/// Rows of the last [`KEPT`] of every source. Every source of a replay has exactly one column.
#[derive(Debug, Default)]
pub struct RecentPast {
    /// By [`SourceId`]; in order of time.
    sources: Vec<VecDeque<(Ts, i64)>>,
}

impl RecentPast {
    /// Remembers a stored row.
    pub fn push(&mut self, row: &Row) {
        let Some(value) = row.values.get(0) else { return };
        let at = row.source.0 as usize;
        if at >= self.sources.len() {
            self.sources.resize_with(at + 1, VecDeque::new);
        }
        let rows = &mut self.sources[at];
        match rows.back() {
            Some((newest, _)) if row.ts < *newest => {
                let place = rows.partition_point(|(ts, _)| *ts < row.ts);
                rows.insert(place, (row.ts, value));
            }
            _ => rows.push_back((row.ts, value)),
        }
        let Some(oldest) = rows.back().map(|(newest, _)| *newest - KEPT) else { return };
        while rows.front().is_some_and(|(ts, _)| *ts < oldest) {
            rows.pop_front();
        }
    }

    pub fn get(&self, source: SourceId, ts: Ts) -> Option<Values> {
        let rows = self.sources.get(source.0 as usize)?;
        let at = rows.binary_search_by_key(&ts, |(t, _)| *t).ok()?;
        Some(Values::single(rows[at].1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reading::Flags;

    #[test]
    fn late_rows_find_their_place_and_old_ones_are_forgotten() {
        let mut p = RecentPast::default();
        let row = |h, v| Row { ts: Ts(0) + Ms::hours(h), source: SourceId(3), values: Values::single(v), flags: Flags::NONE };
        for (h, v) in [(0, 10), (1, 11), (3, 13), (2, 12), (7 * 24, 99)] {
            p.push(&row(h, v));
        }
        let at = |h| p.get(SourceId(3), Ts(0) + Ms::hours(h)).and_then(|v| v.get(0));
        assert_eq!([at(0), at(1), at(2), at(3), at(4)], [Some(10), Some(11), Some(12), Some(13), None]);
        assert_eq!(p.get(SourceId(4), Ts(0)), None);
        p.push(&row(7 * 24 + 2, 100));
        let at = |h| p.get(SourceId(3), Ts(0) + Ms::hours(h)).and_then(|v| v.get(0));
        assert_eq!([at(0), at(1), at(2)], [None, None, Some(12)]);
    }
}
