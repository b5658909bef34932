//! Reading commits in the order in which they were made: boot folds them onto a checkpoint, a mirror follows them.

use super::batch::EventRecord;
use super::error::ReadError;
use super::key;
use super::merge;
use super::query::{STORED_ROW, StoredRow, count, event_of, integer, stored_row_of};
use crate::domain::reading::Row;
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::MAX_COLUMNS;
use rusqlite::{Connection, OptionalExtension};
use std::ops::ControlFlow;

/// Commits are read together while they are small and close in time: one pass over the table then serves many commits, and a batch whose
/// rows arrived late does not cost a pass of its own.
const GROUP_ROWS: u64 = 8192;
const GROUP_COMMITS: usize = 1024;
const GROUP_SPAN: Ms = Ms::days(2);

/// What a commit consisted of, in order: itself, its rows by `pos`, its events by `seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoldItem {
    Commit { batch: u64, received: Ts, rows: u64 },
    Row { batch: u64, pos: u32, row: Row },
    Event { batch: u64, event: EventRecord },
}

/// A few commits in a row, with all that is in them.
pub(super) struct Group {
    commits: Vec<Commit>,
    /// By (batch, pos).
    rows: Vec<StoredRow>,
    /// By seq, with the batch of each.
    events: Vec<(u64, EventRecord)>,
}

struct Commit {
    batch: u64,
    received: Ts,
    rows: u64,
    range: Option<(Ts, Ts)>,
    last_event: u64,
}

/// True if all that came after batch `after` is still told commit by commit.
pub(super) fn unsealed_after(conn: &Connection, after: u64) -> rusqlite::Result<bool> {
    let sealed: bool = conn.query_row("SELECT EXISTS (SELECT 1 FROM chunks WHERE batch > ?1)", [integer(after)], |r| r.get(0))?;
    let (first, newest): (Option<i64>, Option<i64>) = conn.query_row(
        "SELECT (SELECT min(batch) FROM commits WHERE batch > ?1), (SELECT max(batch) FROM commits)",
        [integer(after)],
        |r| Ok((r.get(0)?, r.get(1)?)),
    )?;
    let next = integer(after).saturating_add(1);
    Ok(!sealed && first.or(newest).is_none_or(|b| b <= next))
}

/// Every row by time, each under a number of its own; every event, by number, before the first row that is later.
pub(super) fn everything(conn: &Connection, f: &mut dyn FnMut(FoldItem) -> ControlFlow<()>) -> Result<(), ReadError> {
    let mut s = conn.prepare_cached("SELECT seq, at, incident, code, body, batch FROM events ORDER BY seq")?;
    let mut stored = s.query_map([], event_of)?;
    let mut next = stored.next().transpose()?;
    let (mut n, mut bad) = (0, None);
    let mut on = ControlFlow::Continue(());
    merge::each(conn, key::floor(Ts(i64::MIN))..key::floor(Ts(i64::MAX)), MAX_COLUMNS, &mut |row, _| {
        while let Some((batch, event)) = next.take_if(|(_, e)| e.at < row.ts) {
            on = f(FoldItem::Event { batch, event });
            match stored.next().transpose() {
                Ok(e) => next = e,
                Err(e) => {
                    bad = Some(e);
                    on = ControlFlow::Break(());
                }
            }
            if on.is_break() {
                return on;
            }
        }
        n += 1;
        on = f(FoldItem::Row { batch: n, pos: 0, row: *row });
        on
    })?;
    if let Some(e) = bad {
        return Err(e.into());
    }
    while let Some((batch, event)) = next.take().filter(|_| on.is_continue()) {
        on = f(FoldItem::Event { batch, event });
        next = stored.next().transpose()?;
    }
    Ok(())
}

impl Group {
    /// The commits after batch `after`, as many as are read together; None if there are none.
    pub(super) fn read(conn: &Connection, after: u64) -> Result<Option<Group>, ReadError> {
        let (commits, range) = commits_after(conn, after)?;
        let (Some(first), Some(last)) = (commits.first(), commits.last()) else { return Ok(None) };
        let expected: u64 = commits.iter().map(|c| c.rows).sum();
        let mut rows = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
        let batches = (integer(first.batch), integer(last.batch));
        if let Some((min, max)) = range {
            let span = (key::floor(min), key::floor(max + Ms(1)), batches.0, batches.1);
            let mut s = conn.prepare_cached(&format!(
                "SELECT {STORED_ROW} FROM readings r WHERE r.key >= ?1 AND r.key < ?2 AND r.batch BETWEEN ?3 AND ?4"
            ))?;
            for row in s.query_map(span, stored_row_of)? {
                rows.push(row?);
            }
            // Late for its own batch, but within the range of the others: it is there already.
            let mut s = conn.prepare_cached(&format!(
                "SELECT {STORED_ROW} FROM late l CROSS JOIN readings r ON r.key = l.key
                 WHERE l.batch BETWEEN ?3 AND ?4 AND (l.key < ?1 OR l.key >= ?2)"
            ))?;
            for row in s.query_map(span, stored_row_of)? {
                rows.push(row?);
            }
        }
        rows.sort_unstable_by_key(|r| (r.batch, r.pos));
        let events_before: Option<i64> = conn
            .prepare_cached("SELECT last_event FROM commits WHERE batch < ?1 ORDER BY batch DESC LIMIT 1")?
            .query_row([batches.0], |r| r.get(0))
            .optional()?;
        let mut s =
            conn.prepare_cached("SELECT seq, at, incident, code, body, batch FROM events WHERE seq > ?1 AND seq <= ?2 ORDER BY seq")?;
        let events = s.query_map((events_before.unwrap_or(0), integer(last.last_event)), event_of)?.collect::<rusqlite::Result<_>>()?;
        Ok(Some(Group { commits, rows, events }))
    }

    pub(super) fn last_batch(&self) -> u64 {
        self.commits.last().map_or(0, |c| c.batch)
    }

    /// Hands out everything in order, until `f` returns false.
    pub(super) fn each(self, f: &mut dyn FnMut(FoldItem) -> bool) -> Result<bool, ReadError> {
        let mut rows = self.rows.as_slice();
        let mut events = self.events.into_iter().peekable();
        for c in &self.commits {
            let n = rows.iter().take_while(|r| r.batch == c.batch).count();
            if n as u64 != c.rows {
                return Err(ReadError::RowsMissing { batch: c.batch, expected: c.rows, found: n as u64 });
            }
            if !f(FoldItem::Commit { batch: c.batch, received: c.received, rows: c.rows }) {
                return Ok(false);
            }
            let (mine, rest) = rows.split_at(n);
            rows = rest;
            for r in mine {
                if !f(FoldItem::Row { batch: r.batch, pos: r.pos, row: r.row }) {
                    return Ok(false);
                }
            }
            while let Some((batch, event)) = events.next_if(|(b, _)| *b <= c.batch) {
                if !f(FoldItem::Event { batch, event }) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

type Range = Option<(Ts, Ts)>;

fn commits_after(conn: &Connection, after: u64) -> Result<(Vec<Commit>, Range), ReadError> {
    let mut s = conn
        .prepare_cached("SELECT batch, received, rows, ts_min, ts_max, last_event FROM commits WHERE batch > ?1 ORDER BY batch LIMIT ?2")?;
    let mut found = s.query((integer(after), GROUP_COMMITS as i64))?;
    let (mut commits, mut rows, mut range): (Vec<Commit>, u64, Range) = (Vec::new(), 0, None);
    while let Some(r) = found.next()? {
        let (min, max): (Option<i64>, Option<i64>) = (r.get(3)?, r.get(4)?);
        let c = Commit {
            batch: count(r.get(0)?),
            received: Ts(r.get(1)?),
            rows: count(r.get(2)?),
            range: min.zip(max).map(|(a, b)| (Ts(a), Ts(b))),
            last_event: count(r.get(5)?),
        };
        let wider = match (range, c.range) {
            (Some((a, b)), Some((x, y))) => Some((a.min(x), b.max(y))),
            (one, other) => one.or(other),
        };
        rows += c.rows;
        let too_much = rows > GROUP_ROWS || wider.is_some_and(|(a, b)| b - a > GROUP_SPAN);
        // A commit that is too much on its own is a group on its own.
        if too_much && !commits.is_empty() {
            break;
        }
        range = wider;
        commits.push(c);
    }
    Ok((commits, range))
}
