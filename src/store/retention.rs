//! Readings that are older than they are to be kept go, whole chunks at a time, on the store's thread.
//!
//! What passed stays true without them: a chunk of a meter goes only when all days that it tells of are told, and days that its rows are gone
//! of are taken back by nothing any more. `expired` says up to where that is so. Days, months, incidents and events always stay.

use super::query::{count, integer};
use super::sealed::{self, Place};
use super::volumes;
use crate::domain::reading::SourceId;
use crate::domain::time::{Ms, Ts};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

/// How long readings are kept, by class; None: for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Of sources that days are told of.
    pub metering: Option<Ms>,
    /// Of sources without a water register.
    pub other: Option<Ms>,
}

/// What is gone of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// Rows at or before this change no told day any more.
    pub until: Ts,
    pub rows: u64,
}

/// A day that is told may be told anew when a row comes late; so long before the first that is not, nothing goes.
const MARGIN: Ms = Ms::days(30);

/// Chunks that one transaction removes at most, so that no commit waits long.
const CHUNKS: usize = 64;

/// Removes, on the store's thread.
#[derive(Debug, Default)]
pub(super) struct Retainer {
    kept: Retention,
    /// Where the next step begins; None while nothing is due.
    at: Option<SourceId>,
}

impl Retainer {
    pub(super) fn keep(&mut self, kept: Retention) {
        self.kept = kept;
        self.due();
    }

    /// An era was sealed: something may be old by now.
    pub(super) fn due(&mut self) {
        self.at = (self.kept != Retention::default()).then_some(SourceId(0));
    }

    /// One step, where there is something to do. Returns the rows that were removed.
    pub(super) fn step(&mut self, conn: &mut Connection) -> rusqlite::Result<u64> {
        let Some(mut from) = self.at else { return Ok(0) };
        // Time goes on by what is sealed: a clock that leaps ahead must stay there for days before anything goes for it.
        let Some((_, newest)) = sealed::span(conn)? else {
            self.at = None;
            return Ok(0);
        };
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (mut left, mut rows, mut next) = (CHUNKS, 0, None);
        while let Some(source) = sealed::source_from(&tx, from)? {
            if let Some(cutoff) = cutoff(&tx, source, newest, self.kept)? {
                let old = older(&tx, source, cutoff, left)?;
                rows += remove(&tx, source, &old)?;
                left -= old.len();
            }
            if left == 0 {
                next = Some(source);
                break;
            }
            from = SourceId(source.0.saturating_add(1));
        }
        tx.commit()?;
        self.at = next;
        Ok(rows)
    }
}

/// What is older than this may go; None where nothing may.
fn cutoff(tx: &Connection, source: SourceId, newest: Ts, kept: Retention) -> rusqlite::Result<Option<Ts>> {
    let told = volumes::of_source(tx, source)?;
    if told.is_empty() {
        // A meter whose days nobody has told yet, and whatever is not known to be none, stays.
        let (columns, registers): (i64, i64) = tx
            .prepare_cached(
                "SELECT count(*), count(*) FILTER (WHERE quantity IN ('volume', 'pulses', 'flow', 'energy')) FROM columns WHERE source = ?1",
            )?
            .query_row([source.0], |r| Ok((r.get(0)?, r.get(1)?)))?;
        return Ok(kept.other.filter(|_| columns > 0 && registers == 0).map(|keep| newest - keep));
    }
    let Some(keep) = kept.metering else { return Ok(None) };
    let mut cutoff = newest - keep;
    for t in told {
        let end: Option<i64> =
            tx.prepare_cached("SELECT ends FROM calendar WHERE day = ?1")?.query_row([t.next - 1], |r| r.get(0)).optional()?;
        let Some(end) = end else { return Ok(None) };
        cutoff = cutoff.min(Ts(end) - MARGIN);
    }
    Ok(Some(cutoff))
}

/// The oldest chunks of a source that end before the cutoff, at most `limit`; never its newest one.
fn older(tx: &Connection, source: SourceId, cutoff: Ts, limit: usize) -> rusqlite::Result<Vec<Place>> {
    let newest = sealed::latest(tx, source, Ts(i64::MAX))?.map(|p| p.key);
    let mut old = sealed::of_source(tx, source, Ts(i64::MIN), cutoff, limit)?;
    old.truncate(old.iter().take_while(|p| p.last < cutoff && Some(p.key) != newest).count());
    Ok(old)
}

fn remove(tx: &Connection, source: SourceId, old: &[Place]) -> rusqlite::Result<u64> {
    let (Some(first), Some(until)) = (old.first().map(|p| p.first), old.iter().map(|p| p.last).max()) else { return Ok(0) };
    for place in old {
        sealed::delete(tx, place.key)?;
    }
    let keys = (super::key::floor(first), super::key::floor(Ts(until.0.saturating_add(1))), source.0);
    tx.prepare_cached("DELETE FROM changes WHERE key >= ?1 AND key < ?2 AND key & 1048575 = ?3")?.execute(keys)?;
    let rows = old.iter().map(|p| p.n as u64).sum();
    raise(tx, source, until, rows)?;
    Ok(rows)
}

/// Days up to this instant of a source stay as they are told; so many of its rows are gone.
pub(super) fn raise(tx: &Connection, source: SourceId, until: Ts, rows: u64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO expired (source, until, rows) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET until = max(until, excluded.until), rows = rows + excluded.rows",
    )?
    .execute((source.0, until.0, integer(rows)))
    .map(|_| ())
}

/// What is gone of one source.
pub(super) fn one(conn: &Connection, source: SourceId) -> rusqlite::Result<Option<Expired>> {
    conn.prepare_cached("SELECT until, rows FROM expired WHERE source = ?1")?
        .query_row([source.0], |r| Ok(Expired { until: Ts(r.get(0)?), rows: count(r.get(1)?) }))
        .optional()
}

/// By source, of those of which anything is gone.
pub(super) fn all(conn: &Connection) -> rusqlite::Result<Vec<(SourceId, Expired)>> {
    conn.prepare_cached("SELECT source, until, rows FROM expired ORDER BY source")?
        .query_map([], |r| Ok((SourceId(r.get(0)?), Expired { until: Ts(r.get(1)?), rows: count(r.get(2)?) })))?
        .collect()
}

/// Rows that are gone, of all sources.
pub(super) fn rows(conn: &Connection) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT coalesce(sum(rows), 0) FROM expired")?.query_row([], |r| r.get(0)).map(count)
}
