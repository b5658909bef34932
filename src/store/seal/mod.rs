//! Sealing: rows that have cooled go from the hot table into chunks, a bounded step at a time, on the store's thread.
//!
//! A step takes the oldest hot rows of all sources, as many as fit, appends those of each source to its last chunk (or merges them into
//! the one that they lie in), and takes the whole range of keys out of the hot table, in one transaction: by range, because the rows of one
//! source lie on every page, and because a page that becomes empty is not even written. Only what the newest checkpoint has folded is sealed,
//! so whoever folds from there still finds each later commit whole.

use super::chunk::Columns;
use super::error::ReadError;
use super::key;
use super::query::{STORED_ROW, integer, stored_row_of};
use super::sealed::{self, ALL, Place};
use crate::domain::reading::{Row, SourceId};
use crate::domain::time::{Ms, Ts};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use std::collections::BTreeMap;

/// What is sealed when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Rows are left hot so long before the newest reading: what is late by less is usual, and what is asked for most is nearest.
    pub hot: Ms,
    /// Sealing begins when there is so much to seal, by the readings' own time.
    pub ripe: Ms,
    /// Rows that one step takes: some 2 MB in memory, a tenth of a second.
    pub step_rows: usize,
    /// A chunk of so many rows is not appended to any more.
    pub full: usize,
    /// Between two steps that found all they could so many rows come, or so much time passes: late rows are then merged together.
    pub pause: (u64, Ms),
}

impl Default for Rules {
    fn default() -> Rules {
        // 2016 rows: three weeks at a quarter of an hour. Half as many cost a tenth more on disk, twice as many hardly less.
        Rules { hot: Ms::days(2), ripe: Ms::days(1), step_rows: 32_768, full: 2016, pause: (8_192, Ms::minutes(1)) }
    }
}

/// Free bytes per hot row that are left in the file for the rows that come; more is given back.
const SPARE_PER_HOT_ROW: u64 = 18;
/// … and so much in any case.
const SPARE: u64 = 256 << 10;
/// Pages that are given back at once.
const GIVEN_BACK: u32 = 512;

/// Seals, on the store's thread.
#[derive(Debug, Default)]
pub(super) struct Sealer {
    rules: Rules,
    known: Option<Known>,
    /// The newest time that readings went on to, by a clock that is not ahead of ours; None before the first commit.
    newest: Option<Ts>,
    received: Ts,
    /// Since the last step.
    rows_since: u64,
    last_step: Option<Ts>,
    /// The last step found more than it took.
    more: bool,
}

/// What the file says; read at the beginning and after an error.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The batch of the newest checkpoint.
    folded: u64,
    /// No sealed row is later.
    sealed_to: Option<Ts>,
    hot_rows: u64,
}

impl Known {
    fn read(conn: &Connection) -> rusqlite::Result<Known> {
        Ok(Known {
            folded: conn.query_row("SELECT coalesce(max(batch), 0) FROM checkpoints", [], |r| r.get::<_, u32>(0)).map(u64::from)?,
            sealed_to: sealed::span(conn)?.map(|s| s.1),
            hot_rows: conn.query_row("SELECT count(*) FROM readings", [], |r| r.get::<_, u32>(0)).map(u64::from)?,
        })
    }
}

impl Sealer {
    #[cfg(test)]
    pub(super) fn with(rules: Rules) -> Sealer {
        Sealer { rules, ..Sealer::default() }
    }

    /// A batch became durable.
    pub(super) fn committed(&mut self, batch: u64, rows: u64, reached: Option<Ts>, received: Ts, checkpoint: bool) {
        self.newest = self.newest.max(reached.map(|t| t.min(received)));
        self.received = received;
        self.rows_since += rows;
        if let Some(known) = &mut self.known {
            known.hot_rows += rows;
            if checkpoint {
                known.folded = batch;
            }
        }
    }

    /// Something failed: what is known may no longer be so.
    pub(super) fn forget(&mut self) {
        self.known = None;
    }

    /// The newest instant of which something is sealed.
    pub(super) fn sealed_to(&mut self, conn: &Connection) -> rusqlite::Result<Option<Ts>> {
        match self.known {
            Some(known) => Ok(known.sealed_to),
            None => Ok(self.known.insert(Known::read(conn)?).sealed_to),
        }
    }

    /// One step, where there is something to do. Returns the rows that were sealed.
    pub(super) fn step(&mut self, conn: &mut Connection) -> Result<u64, ReadError> {
        let Some(newest) = self.newest else { return Ok(0) };
        let waited = self.last_step.is_none_or(|at| {
            let (rows, pause) = self.rules.pause;
            // Our clock may be set back, too.
            self.rows_since >= rows || (self.received - at).0.saturating_abs() >= pause.0
        });
        if !self.more && !waited {
            return Ok(0);
        }
        let mut known = match self.known {
            Some(known) => known,
            None => Known::read(conn)?,
        };
        let cutoff = newest - self.rules.hot;
        let oldest: Option<i64> =
            conn.prepare_cached("SELECT key FROM readings ORDER BY key LIMIT 1")?.query_row([], |r| r.get(0)).optional()?;
        // What was begun is finished.
        let ripe = if self.more { Ms::ZERO } else { self.rules.ripe };
        if oldest.is_none_or(|key| key::split(key).0 + ripe >= cutoff) {
            self.more = false;
            return Ok(0);
        }
        self.known = None;
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let taken = take(&tx, key::floor(cutoff), known.folded, self.rules.step_rows)?;
        let rows = taken.rows;
        if rows > 0 {
            for (source, (columns, batch)) in &taken.of {
                merge(&tx, *source, columns, *batch, self.rules.full)?;
                known.sealed_to = known.sealed_to.max(columns.len().checked_sub(1).and_then(|i| columns.ts(i)));
            }
            tx.prepare_cached("DELETE FROM readings WHERE key < ?1")?.execute([taken.end])?;
            forget_commits(&tx, known.folded, taken.end)?;
        }
        tx.commit()?;
        known.hot_rows = known.hot_rows.saturating_sub(rows);
        if rows > 0 {
            give_back(conn, known.hot_rows)?;
        }
        self.known = Some(known);
        self.more = taken.more;
        self.rows_since = 0;
        self.last_step = Some(self.received);
        Ok(rows)
    }
}

/// The oldest hot rows.
struct Taken {
    /// With the newest batch of each source's rows.
    of: BTreeMap<SourceId, (Columns, u64)>,
    rows: u64,
    /// The first key that was not taken.
    end: i64,
    /// There are more below the cutoff.
    more: bool,
}

fn take(tx: &Connection, cutoff: i64, folded: u64, limit: usize) -> rusqlite::Result<Taken> {
    let mut taken = Taken { of: BTreeMap::new(), rows: 0, end: cutoff, more: false };
    let mut s = tx.prepare_cached(&format!("SELECT {STORED_ROW} FROM readings r WHERE r.key < ?1 ORDER BY r.key"))?;
    for stored in s.query_map([cutoff], stored_row_of)? {
        let stored = stored?;
        taken.more = taken.rows >= limit as u64;
        if taken.more || stored.batch > folded {
            taken.end = key::floor(stored.row.ts) | i64::from(stored.row.source.0);
            break;
        }
        let (columns, batch) = taken.of.entry(stored.row.source).or_default();
        columns.push(&stored.row);
        *batch = (*batch).max(stored.batch);
        taken.rows += 1;
    }
    Ok(taken)
}

/// Puts rows of one source, by time, into its chunks.
fn merge(tx: &Connection, source: SourceId, rows: &Columns, batch: u64, full: usize) -> Result<(), ReadError> {
    let mut at = 0;
    while let Some(ts) = rows.ts(at) {
        let before = sealed::latest(tx, source, ts)?;
        let after = sealed::next(tx, source, ts)?;
        // Into the chunk that it lies in or behind; behind a full one begins a new chunk, before all others it is the first's.
        let inside = before.filter(|p| ts <= p.last);
        let target = match (inside, before, after) {
            (Some(p), _, _) => Some(p),
            (None, Some(p), _) if p.n < full => Some(p),
            (None, None, Some(p)) if p.n < full => Some(p),
            _ => None,
        };
        let end = match (target, before, after) {
            // A full one takes only what lies in it.
            (Some(p), Some(_), _) if p.n >= full => Ts(p.last.0.saturating_add(1)),
            (Some(p), None, _) => p.first,
            (_, _, Some(next)) => next.first,
            (_, _, None) => Ts(i64::MAX),
        };
        let mut to = at + 1;
        while rows.ts(to).is_some_and(|t| t < end) {
            to += 1;
        }
        let merged = match together(tx, source, target, rows, at..to) {
            Err(e @ (ReadError::Damaged { .. } | ReadError::Unknown { .. })) if let Some(place) = target => {
                tracing::error!(error = %e, "a chunk cannot be read and is set aside");
                sealed::set_aside(tx, place)?;
                continue;
            }
            merged => merged?,
        };
        let batch = target.map_or(batch, |p| p.batch.max(batch));
        if let Some(old) = target {
            sealed::delete(tx, old.key)?;
        }
        for piece in pieces(&merged, source, full) {
            sealed::write(tx, source, &piece, batch, piece.len() >= full)?;
        }
        at = to;
    }
    Ok(())
}

/// The rows of a chunk, and some of others among them.
fn together(
    tx: &Connection,
    source: SourceId,
    chunk: Option<Place>,
    rows: &Columns,
    range: std::ops::Range<usize>,
) -> Result<Columns, ReadError> {
    let mut out = Columns::default();
    let (mut at, mut new) = (0, range.start);
    let old = chunk.map(|place| sealed::read(tx, place, ALL)).transpose()?;
    while let Some(old) = old.as_ref().filter(|o| at < o.len()) {
        match rows.ts(new).filter(|_| new < range.end) {
            Some(ts) if ts < old.ts(at) => {
                out.push(&rows.row(new, source));
                new += 1;
            }
            Some(ts) if ts == old.ts(at) => {
                // The commit refuses such a row; the one that was first stays.
                tracing::error!(source = source.0, ts = ts.0, "a reading is stored twice; the later one is dropped");
                new += 1;
            }
            _ => {
                out.push(&old.row(at, source));
                at += 1;
            }
        }
    }
    (new..range.end).for_each(|i| out.push(&rows.row(i, source)));
    Ok(out)
}

/// As they are, or in full chunks and a rest.
fn pieces(rows: &Columns, source: SourceId, full: usize) -> Vec<Columns> {
    let mut out = vec![Columns::default()];
    for i in 0..rows.len() {
        if out.last().is_some_and(|p| p.len() >= full) {
            out.push(Columns::default());
        }
        if let Some(last) = out.last_mut() {
            last.push(&rows.row(i, source));
        }
    }
    out
}

/// Commits are told one by one only from the newest checkpoint on; those before it are not asked for once their rows are sealed.
fn forget_commits(tx: &Connection, folded: u64, end: i64) -> rusqlite::Result<()> {
    let sealed = key::split(end).0;
    tx.prepare_cached("DELETE FROM late WHERE batch < ?1 AND key < ?2")?.execute((integer(folded), end))?;
    tx.prepare_cached(
        "DELETE FROM commits WHERE batch < ?1 AND (ts_max IS NULL OR ts_max < ?2) AND batch NOT IN (SELECT batch FROM late WHERE batch < ?1)
         AND batch <> (SELECT max(batch) FROM commits)",
    )?
    .execute((integer(folded), sealed.0))?;
    Ok(())
}

/// Pages that the hot table no longer needs go back to the file system, but for those that the rows of the next days will take.
fn give_back(conn: &Connection, hot_rows: u64) -> rusqlite::Result<()> {
    let free: u32 = conn.query_row("PRAGMA freelist_count", [], |r| r.get(0))?;
    let page: u32 = conn.query_row("PRAGMA page_size", [], |r| r.get(0))?;
    if u64::from(free) * u64::from(page) > SPARE + SPARE_PER_HOT_ROW * hot_rows {
        conn.prepare(&format!("PRAGMA incremental_vacuum({GIVEN_BACK})"))?.query_map([], |_| Ok(()))?.for_each(drop);
    }
    Ok(())
}

/// A row that is about to be stored lies where rows of its source are sealed.
pub(super) enum Behind {
    /// Its instant is free.
    Free,
    /// A row of this very instant is sealed.
    Taken(Place, Box<Row>),
}

/// None if the row is newer than everything that is sealed of its source.
pub(super) fn behind(conn: &Connection, row: &Row) -> Result<Option<Behind>, ReadError> {
    if sealed::latest(conn, row.source, Ts(i64::MAX))?.is_none_or(|p| p.last < row.ts) {
        return Ok(None);
    }
    let Some(place) = sealed::latest(conn, row.source, row.ts)? else { return Ok(Some(Behind::Free)) };
    match sealed::row_at(conn, row.source, row.ts) {
        Ok(Some(stored)) => Ok(Some(Behind::Taken(place, Box::new(stored)))),
        // What cannot be read contradicts nothing; readings must not wait for a mended card.
        Ok(None) | Err(ReadError::Damaged { .. } | ReadError::Unknown { .. }) => Ok(Some(Behind::Free)),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests;
