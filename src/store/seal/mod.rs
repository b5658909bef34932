//! Sealing: rows that have cooled go from the hot tables into chunks, a bounded step at a time, on the store's thread.
//!
//! Rows arrive in the table of the present era; after a day of readings the next table's turn comes. An era that is over is sealed, oldest
//! first, once nearly all of its rows are older than two days (most of them, where no table is left for the next turn): each step appends
//! rows of all sources to their source's last chunk (or merges them into the one that they lie in) and moves the era's mark behind them, in
//! one transaction; the last one empties the table.
//! Only what the newest checkpoint has folded is sealed, so whoever folds from there still finds each later commit whole.

use super::chunk::Columns;
use super::error::ReadError;
use super::key;
use super::query::{STORED_ROW, count, integer, stored_row_of};
use super::sealed::{self, ALL, Place};
use crate::domain::reading::{Row, SourceId};
use crate::domain::time::{Ms, Ts};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use std::collections::BTreeMap;

/// What is sealed when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Rows are left hot so long by the gateway's clock: what is late by less is usual, and what is asked for most is nearest. A history that is
    /// loaded is older than that when it comes.
    pub hot: Ms,
    /// An era lasts so long by the readings' own time, or until this many rows have come.
    pub era: (Ms, u64),
    /// While a history is loaded, one commit full of rows after the other (`bulk`), an era has at least so many (`least`): each era costs a page or
    /// two per source.
    pub bulk: u64,
    pub least: u64,
    /// Rows that one step takes at most: some 4 MB in memory, a quarter of a second. Steps of an era take equal parts.
    pub step_rows: u64,
    /// A chunk of so many rows is not appended to any more.
    pub full: usize,
    /// Nor is one of so many that were sealed together: what would be saved is less than it costs to write them again.
    pub enough: usize,
}

impl Default for Rules {
    fn default() -> Rules {
        // 2016 rows: three weeks at a quarter of an hour. Half as many cost a tenth more on disk, twice as many hardly less.
        Rules { hot: Ms::days(2), era: (Ms::days(1), 98_304), bulk: 500, least: 49_152, step_rows: 131_072, full: 2016, enough: 1008 }
    }
}

/// An era is sealed when no more than this part of its rows is still too new; those move on to the present one, and are written once more.
const FEW: u64 = 64;
/// … where no table is left for the next turn: clocks that run ahead for days must not hold up the others.
const MANY: u64 = 8;

/// Tables that take turns.
const ERAS: usize = 4;

/// Seals, on the store's thread.
#[derive(Debug, Default)]
pub(super) struct Sealer {
    rules: Rules,
    known: Option<Known>,
    /// The newest time that readings went on to, by a clock that is not ahead of ours; None before the first commit.
    newest: Option<Ts>,
    /// By our clock, when the newest batch was received.
    received: Option<Ts>,
    /// An era was sealed, and nobody asked yet.
    ended: bool,
    /// Rows of the newest commit.
    rows: u64,
    /// From when on the present era has rows, but for the few oldest; None where that is not known yet.
    since: Option<Ts>,
}

/// What the file says; read at the beginning and after an error.
#[derive(Clone, Debug)]
struct Known {
    /// The batch of the newest checkpoint, and the newest batch of all.
    folded: u64,
    batch: u64,
    /// No row outside of the present era is later.
    settled_to: Option<Ts>,
    /// Those that are over and not sealed, oldest first.
    over: Vec<Era>,
    present: Era,
}

#[derive(Clone, Copy, Debug)]
struct Era {
    ix: usize,
    began: u64,
    /// The last batch in it; what is asked of the present one means nothing.
    batch: u64,
    mark: i64,
    rows: u64,
    /// All but the newest few rows have smaller keys; nothing of the present one.
    nearly_all: i64,
    /// The same of all but an eighth.
    most: i64,
}

impl Era {
    fn table(self) -> &'static str {
        TABLES[self.ix % ERAS]
    }
}

/// By their `ix` in `eras`.
pub(super) const TABLES: [&str; ERAS] = ["hot_0", "hot_1", "hot_2", "hot_3"];

impl Known {
    fn read(conn: &Connection) -> rusqlite::Result<Known> {
        let mut over = vec![];
        let mut s = conn.prepare("SELECT ix, began, coalesce(batch, 0), mark FROM eras WHERE began IS NOT NULL ORDER BY began")?;
        for era in s.query_map([], |r| {
            Ok(Era {
                ix: r.get::<_, u8>(0)?.into(),
                began: count(r.get(1)?),
                batch: count(r.get(2)?),
                mark: r.get(3)?,
                rows: 0,
                nearly_all: 0,
                most: 0,
            })
        })? {
            let era = era?;
            let sql = format!("SELECT count(*) FROM {} WHERE key >= ?1", era.table());
            let era = Era { rows: count(conn.query_row(&sql, [era.mark], |r| r.get(0))?), ..era };
            over.push(Era { nearly_all: all_but(conn, era, FEW)?, most: all_but(conn, era, MANY)?, ..era });
        }
        let present = over.pop().unwrap_or(Era { ix: 0, began: 1, batch: 0, mark: i64::MIN, rows: 0, nearly_all: 0, most: 0 });
        let mut settled_to = sealed::span(conn)?.map(|s| s.1);
        for era in &over {
            settled_to = settled_to.max(last_key(conn, *era)?.map(|k| key::split(k).0));
        }
        let newest = |sql| conn.query_row(sql, [], |r| r.get(0)).map(count);
        let (folded, batch) =
            (newest("SELECT coalesce(max(batch), 0) FROM checkpoints")?, newest("SELECT coalesce(max(batch), 0) FROM commits")?);
        // All rows were passed over, once: their pages are a third of what an idle daemon's heap holds.
        conn.execute_batch("PRAGMA shrink_memory")?;
        Ok(Known { folded, batch, settled_to, over, present })
    }
}

fn last_key(conn: &Connection, era: Era) -> rusqlite::Result<Option<i64>> {
    conn.query_row(&format!("SELECT max(key) FROM {}", era.table()), [], |r| r.get(0))
}

impl Sealer {
    #[cfg(test)]
    pub(super) fn with(rules: Rules) -> Sealer {
        Sealer { rules, ..Sealer::default() }
    }

    /// A batch became durable. Returns whether it is one of a history that is loaded.
    pub(super) fn committed(&mut self, batch: u64, rows: u64, reached: Option<Ts>, received: Ts, checkpoint: bool) -> bool {
        self.newest = self.newest.max(reached.map(|t| t.min(received)));
        self.received = Some(received);
        self.rows = rows;
        if let Some(known) = &mut self.known {
            known.batch = batch;
            known.present.rows += rows;
            if checkpoint {
                known.folded = batch;
            }
        }
        rows >= self.rules.bulk
    }

    /// Something failed: what is known may no longer be so.
    pub(super) fn forget(&mut self) {
        self.known = None;
    }

    /// The table that rows arrive in, and the newest instant that any row outside of it has.
    pub(super) fn arrivals(&mut self, conn: &Connection) -> rusqlite::Result<(&'static str, Option<Ts>)> {
        let known = match &mut self.known {
            Some(known) => known,
            slot => slot.insert(Known::read(conn)?),
        };
        Ok((known.present.table(), known.settled_to))
    }

    /// True once for each time that an era was sealed.
    pub(super) fn ended(&mut self) -> bool {
        std::mem::take(&mut self.ended)
    }

    /// One step, where there is something to do. Returns the rows that were sealed.
    pub(super) fn step(&mut self, conn: &mut Connection) -> Result<u64, ReadError> {
        self.with_known(conn, |this, conn, known, newest| {
            let since = match this.since {
                Some(since) => since,
                None => *this.since.insert(beginning(conn, known.present)?.map_or(newest, |t| t.min(newest))),
            };
            let long = newest - since >= this.rules.era.0 && (this.rows < this.rules.bulk || known.present.rows >= this.rules.least);
            if long || known.present.rows >= this.rules.era.1 {
                this.turn(conn, known, newest)?;
            }
            this.seal_oldest(conn, known, newest)
        })
    }

    /// One step after a history was loaded and nothing comes any more: an era that is old does not wait for its end either.
    pub(super) fn rest(&mut self, conn: &mut Connection) -> Result<u64, ReadError> {
        self.with_known(conn, |this, conn, known, newest| {
            if known.over.is_empty() && known.batch <= known.folded && all_but(conn, known.present, FEW)? < this.cutoff(newest) {
                this.turn(conn, known, newest)?;
            }
            this.seal_oldest(conn, known, newest)
        })
    }

    /// Rows with smaller keys have cooled: none that runs ahead of the others, whatever our clock says.
    fn cutoff(&self, newest: Ts) -> i64 {
        let ours = self.received.map_or(newest, |ours| ours.max(newest));
        key::floor((ours - self.rules.hot).min(newest + Ms(1)))
    }

    /// Nothing is done before the first commit, and what is known is kept only where nothing failed.
    fn with_known(
        &mut self,
        conn: &mut Connection,
        f: impl FnOnce(&mut Sealer, &mut Connection, &mut Known, Ts) -> Result<u64, ReadError>,
    ) -> Result<u64, ReadError> {
        let Some(newest) = self.newest else { return Ok(0) };
        let mut known = match self.known.take() {
            Some(known) => known,
            None => Known::read(conn)?,
        };
        let sealed = f(self, conn, &mut known, newest)?;
        self.known = Some(known);
        Ok(sealed)
    }

    fn turn(&mut self, conn: &mut Connection, known: &mut Known, newest: Ts) -> rusqlite::Result<()> {
        if known.over.len() < ERAS - 1 && known.present.rows > 0 {
            turn(conn, known)?;
            self.since = Some(newest);
        }
        Ok(())
    }

    fn seal_oldest(&mut self, conn: &mut Connection, known: &mut Known, newest: Ts) -> Result<u64, ReadError> {
        let cutoff = self.cutoff(newest);
        match known.over.first().copied() {
            Some(era) if era.batch <= known.folded && cold(known.over.len(), era) < cutoff => self.seal(conn, known, era, cutoff),
            _ => Ok(0),
        }
    }

    fn seal(&mut self, conn: &mut Connection, known: &mut Known, era: Era, cutoff: i64) -> Result<u64, ReadError> {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let steps = era.rows.div_ceil(self.rules.step_rows).max(1);
        let taken = take(&tx, era, cutoff, era.rows.div_ceil(steps).max(1))?;
        for (source, (columns, batch)) in &taken.of {
            merge(&tx, *source, columns, *batch, self.rules)?;
            known.settled_to = known.settled_to.max(columns.len().checked_sub(1).and_then(|i| columns.ts(i)));
        }
        let mut moved = 0;
        if taken.more {
            tx.prepare_cached("UPDATE eras SET mark = ?2 WHERE ix = ?1")?.execute((era.ix as i64, taken.end))?;
        } else {
            let (from, to) = (era.table(), known.present.table());
            moved = tx.execute(&format!("INSERT INTO {to} ({ROW_COLUMNS}) SELECT {ROW_COLUMNS} FROM {from} WHERE key >= ?1"), [cutoff])?;
            // Without a condition, so that the table's pages are given up unseen.
            tx.execute(&format!("DELETE FROM {from}"), [])?;
            tx.execute("UPDATE eras SET began = NULL, batch = NULL, mark = ?2 WHERE ix = ?1", (era.ix as i64, i64::MIN))?;
            forget_commits(&tx, era.batch.min(known.folded))?;
        }
        tx.commit()?;
        // A history that is loaded will need them for its next rows; moving pages would cost as much as these.
        if !taken.more && self.rows < self.rules.bulk {
            give_back(conn, era.rows)?;
        }
        self.ended |= !taken.more;
        if taken.more {
            if let Some(first) = known.over.first_mut() {
                first.mark = taken.end;
            }
        } else {
            known.over.remove(0);
            known.present.rows += moved as u64;
        }
        Ok(taken.rows)
    }
}

const ROW_COLUMNS: &str = "key, batch, pos, flags, v0, v1, v2, v3, v4, v5, v6, v7";

/// Bytes of a hot row, as a rule.
const HOT_ROW: u64 = 36;
/// Free bytes that are left in the file in any case.
const SPARE: u64 = 128 << 10;
/// Pages that are given back at once.
const GIVEN_BACK: u32 = 1024;

/// Pages that were emptied are taken by the rows of the next days. What is free beyond that (a history was loaded at once) goes back to the
/// file system, a piece with each era, and all of it when nothing comes any more. Returns whether there was something.
pub(super) fn give_back(conn: &Connection, rows: u64) -> rusqlite::Result<bool> {
    let free: u32 = conn.query_row("PRAGMA freelist_count", [], |r| r.get(0))?;
    let page: u32 = conn.query_row("PRAGMA page_size", [], |r| r.get(0))?;
    if u64::from(free) * u64::from(page) <= SPARE + HOT_ROW * rows {
        return Ok(false);
    }
    conn.prepare(&format!("PRAGMA incremental_vacuum({GIVEN_BACK})"))?.query_map([], |_| Ok(()))?.for_each(drop);
    // A file that somebody else made anew may keep them all.
    let left: u32 = conn.query_row("PRAGMA freelist_count", [], |r| r.get(0))?;
    Ok(left < free)
}

/// The next table's turn.
fn turn(conn: &mut Connection, known: &mut Known) -> rusqlite::Result<()> {
    let taken: Vec<usize> = known.over.iter().chain([&known.present]).map(|e| e.ix).collect();
    let Some(free) = (0..ERAS).find(|ix| !taken.contains(ix)) else { return Ok(()) };
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let over = Era {
        batch: known.batch,
        nearly_all: all_but(&tx, known.present, FEW)?,
        most: all_but(&tx, known.present, MANY)?,
        ..known.present
    };
    let next = Era { ix: free, began: over.began + 1, batch: 0, mark: i64::MIN, rows: 0, nearly_all: 0, most: 0 };
    tx.execute("UPDATE eras SET batch = ?2 WHERE ix = ?1", (over.ix as i64, integer(over.batch)))?;
    tx.execute("UPDATE eras SET began = ?2, batch = NULL, mark = ?3 WHERE ix = ?1", (next.ix as i64, integer(next.began), next.mark))?;
    tx.commit()?;
    known.settled_to = known.settled_to.max(last_key(conn, over)?.map(|k| key::split(k).0));
    known.over.push(over);
    known.present = next;
    Ok(())
}

/// The time of the present era's rows, but for the few oldest.
fn beginning(conn: &Connection, present: Era) -> rusqlite::Result<Option<Ts>> {
    conn.prepare_cached(&format!("SELECT ts FROM {} ORDER BY key LIMIT 1 OFFSET ?1", present.table()))?
        .query_row([integer(present.rows / MANY)], |r| r.get(0).map(Ts))
        .optional()
}

/// An era may be sealed once this key is behind the cutoff; so many are over.
fn cold(over: usize, era: Era) -> i64 {
    if over < ERAS - 1 { era.nearly_all } else { era.most }
}

/// All but this part of an era's rows have smaller keys.
fn all_but(conn: &Connection, era: Era, part: u64) -> rusqlite::Result<i64> {
    let key: Option<i64> = conn
        .prepare_cached(&format!("SELECT key FROM {} WHERE key >= ?1 ORDER BY key DESC LIMIT 1 OFFSET ?2", era.table()))?
        .query_row((era.mark, integer(era.rows / part)), |r| r.get(0))
        .optional()?;
    Ok(key.unwrap_or(i64::MIN))
}

/// Rows of an era, the oldest first.
struct Taken {
    /// With the newest batch of each source's rows.
    of: BTreeMap<SourceId, (Columns, u64)>,
    rows: u64,
    /// The first key that was not taken.
    end: i64,
    /// There are more below the cutoff.
    more: bool,
}

fn take(tx: &Connection, era: Era, cutoff: i64, limit: u64) -> rusqlite::Result<Taken> {
    let mut taken = Taken { of: BTreeMap::new(), rows: 0, end: cutoff, more: false };
    let mut s =
        tx.prepare_cached(&format!("SELECT {STORED_ROW} FROM {} r WHERE r.key >= ?1 AND r.key < ?2 ORDER BY r.key", era.table()))?;
    for stored in s.query_map([era.mark, cutoff], stored_row_of)? {
        let stored = stored?;
        if taken.rows >= limit {
            taken.more = true;
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
fn merge(tx: &Connection, source: SourceId, rows: &Columns, batch: u64, rules: Rules) -> Result<(), ReadError> {
    let (full, mut at) = (rules.full, 0);
    while let Some(ts) = rows.ts(at) {
        let before = sealed::latest(tx, source, ts)?;
        let after = sealed::next(tx, source, ts)?;
        // Into the chunk that it lies in; else into one beside it, as long as that is not full.
        let inside = before.filter(|p| ts <= p.last);
        let targets = match (inside, before, after) {
            (Some(p), _, _) => vec![p],
            (None, Some(_), None) => tail(tx, source, rows.len() - at, rules)?,
            (None, Some(p), Some(_)) | (None, None, Some(p)) if p.n < full => vec![p],
            _ => vec![],
        };
        let end = match (inside, before, after) {
            // A full one takes only what lies in it.
            (Some(p), _, _) if p.n >= full => Ts(p.last.0.saturating_add(1)),
            (_, _, Some(next)) => next.first,
            (_, _, None) => Ts(i64::MAX),
        };
        let mut to = at + 1;
        while rows.ts(to).is_some_and(|t| t < end) {
            to += 1;
        }
        let merged = match together(tx, source, &targets, rows, at..to) {
            Err((place, e @ (ReadError::Damaged { .. } | ReadError::Unknown { .. }))) => {
                tracing::error!(error = %e, "a chunk cannot be read and is set aside");
                sealed::set_aside(tx, place)?;
                continue;
            }
            merged => merged.map_err(|(_, e)| e)?,
        };
        let batch = targets.iter().map(|p| p.batch).fold(batch, u64::max);
        for old in &targets {
            sealed::delete(tx, old.key)?;
        }
        for piece in pieces(merged, source, full) {
            sealed::write(tx, source, &piece, batch, piece.len() >= rules.enough)?;
        }
        at = to;
    }
    Ok(())
}

/// The chunks at the end of a source that rows behind them are put together with: all small ones, where that makes a full one; else
/// the last, as long as it is tiny. So each row is written some three times until it lies in a full chunk, not with every step; and once where
/// the rows themselves are enough for a chunk.
fn tail(tx: &Connection, source: SourceId, rows: usize, rules: Rules) -> rusqlite::Result<Vec<Place>> {
    let mut open = sealed::last(tx, source, OPEN)?;
    open.truncate(open.iter().take_while(|p| p.n < rules.enough).count());
    let together = open.iter().map(|p| p.n).sum::<usize>() + rows;
    if together < rules.full || rows >= rules.enough {
        open.truncate(1);
        open.retain(|last| last.n < rules.full / 8);
    }
    open.reverse();
    Ok(open)
}

/// No more chunks are left open at the end of a source: as many of the smallest kind make a full one.
const OPEN: usize = 20;

/// The rows of some chunks, in order, and some of others among them. An error names the chunk that it is about.
fn together(
    tx: &Connection,
    source: SourceId,
    chunks: &[Place],
    rows: &Columns,
    range: std::ops::Range<usize>,
) -> Result<Columns, (Place, ReadError)> {
    let mut out = Columns::default();
    let mut new = range.start;
    for place in chunks {
        let old = sealed::read(tx, *place, ALL).map_err(|e| (*place, e))?;
        for at in 0..old.len() {
            while let Some(ts) = rows.ts(new).filter(|ts| new < range.end && *ts <= old.ts(at)) {
                if ts < old.ts(at) {
                    out.push(&rows.row(new, source));
                } else {
                    // The commit refuses such a row; the one that was first stays.
                    tracing::error!(source = source.0, ts = ts.0, "a reading is stored twice; the later one is dropped");
                }
                new += 1;
            }
            out.push(&old.row(at, source));
        }
    }
    (new..range.end).for_each(|i| out.push(&rows.row(i, source)));
    Ok(out)
}

/// As they are, or in full chunks and a rest.
fn pieces(rows: Columns, source: SourceId, full: usize) -> Vec<Columns> {
    if rows.len() <= full {
        return vec![rows];
    }
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
/// The last of them stays: what it adds up to is where the next one begins.
fn forget_commits(tx: &Connection, until: u64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM late WHERE batch < ?1")?.execute([integer(until)])?;
    tx.prepare_cached("DELETE FROM commits WHERE batch < ?1")?.execute([integer(until)])?;
    Ok(())
}

/// What there is already where a row is about to be stored, outside of the table that it goes to.
pub(super) enum Behind {
    /// Nothing, and its source is not sealed beyond it.
    Nothing,
    /// Nothing, but its source is sealed beyond it.
    Late,
    /// A row of this very instant: with the newest batch that it may have come with, and its place there if that is known.
    Taken { batch: u64, pos: u32, row: Box<Row> },
}

/// Looks behind a row that is not newer than everything outside of the present era.
pub(super) fn behind(conn: &Connection, row: &Row, present: &str) -> Result<Behind, ReadError> {
    if let Some(key) = key::key(row.ts, row.source) {
        for table in TABLES.iter().filter(|t| **t != present) {
            let found = conn
                .prepare_cached(&format!(
                    "SELECT {STORED_ROW} FROM {table} r WHERE r.key = ?1 AND r.key >= (SELECT mark FROM eras WHERE 'hot_' || ix = ?2)"
                ))?
                .query_row((key, *table), stored_row_of)
                .optional()?;
            if let Some(s) = found {
                return Ok(Behind::Taken { batch: s.batch, pos: s.pos, row: Box::new(s.row) });
            }
        }
    }
    if sealed::latest(conn, row.source, Ts(i64::MAX))?.is_none_or(|p| p.last < row.ts) {
        return Ok(Behind::Nothing);
    }
    let Some(place) = sealed::latest(conn, row.source, row.ts)? else { return Ok(Behind::Late) };
    match sealed::row_at(conn, row.source, row.ts) {
        Ok(Some(stored)) => Ok(Behind::Taken { batch: place.batch, pos: 0, row: Box::new(stored) }),
        // What cannot be read contradicts nothing; readings must not wait for a mended card.
        Ok(None) | Err(ReadError::Damaged { .. } | ReadError::Unknown { .. }) => Ok(Behind::Late),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests;
