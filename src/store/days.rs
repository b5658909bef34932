//! What each column of each source said in a day that is over, in one small row: a year's chart is then a few hundred rows, not millions.
//!
//! A day is closed by the first commits after it, from one scan of its rows, in their transaction; a row that comes later opens it again,
//! in its own. So a closed day always tells what its rows tell, whatever is killed when. What a day *is* the store does not know: it is told
//! by [`DayOf`], and writes down the bounds that it was told; under another calendar no old day fits, and all are made anew.

use super::error::ReadError;
use super::key;
use super::merge;
use super::query::{count, integer};
use crate::domain::meter::SHORTEST_STEP;
use crate::domain::reading::{Flags, Row, SourceId};
use crate::domain::time::{Day, Ms, Ts};
use crate::domain::topology::MAX_COLUMNS;
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// The calendar: the day in which an instant lies.
pub type DayOf = Box<dyn Fn(Ts) -> Day + Send>;

/// A day is closed when the readings have gone on so long after it: what is late by less is usual.
const PATIENCE: Ms = Ms::hours(2);

/// A day that was opened again is closed when nothing came for it so long: a history that is loaded meter by meter opens it each time.
const QUIET: Ms = Ms::minutes(1);

/// Days that one commit may pass over on its way to one that is not closed.
const STEPS: usize = 64;

/// Room for the column in a key.
const COLUMN_BITS: u32 = 3;
/// Room for source and column in a key.
const SERIES_BITS: u32 = 20 + COLUMN_BITS;

/// What one column of one source said in a closed day, in its smallest unit. Rows from far ahead of an unsure clock are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayColumn {
    /// Values, at least one.
    pub n: u64,
    pub first: (Ts, i64),
    pub last: (Ts, i64),
    pub least: i64,
    pub greatest: i64,
    /// None if it is beyond 64 bits.
    pub sum: Option<i64>,
    /// The steepest rise from one value to the next, per hour, rounded up (two values closer than [`SHORTEST_STEP`] count as that far
    /// apart); None if the column ever fell.
    pub steepest: Option<i64>,
}

/// A closed day, and what a column said in it; None: nothing.
pub type ClosedDay = (Day, Option<DayColumn>);

impl DayColumn {
    fn begin(ts: Ts, v: i64) -> (DayColumn, i128) {
        let column = DayColumn { n: 1, first: (ts, v), last: (ts, v), least: v, greatest: v, sum: None, steepest: Some(0) };
        (column, i128::from(v))
    }

    /// The next value, later than all before.
    fn take(&mut self, ts: Ts, v: i64) {
        let rise = i128::from(v) - i128::from(self.last.1);
        let pause = i128::from((ts - self.last.0).max(SHORTEST_STEP).0);
        self.steepest = self.steepest.filter(|_| rise >= 0).map(|s| {
            let per_hour = (rise * 3_600_000 + pause - 1) / pause;
            s.max(i64::try_from(per_hour).unwrap_or(i64::MAX))
        });
        self.n += 1;
        self.last = (ts, v);
        self.least = self.least.min(v);
        self.greatest = self.greatest.max(v);
    }
}

/// Closes days, on the store's thread.
#[derive(Default)]
pub(super) struct Keeper {
    /// None: nothing is closed, but what rows come late for is opened all the same.
    calendar: Option<DayOf>,
    /// None when it must be read again: at the beginning, and after an error.
    known: Option<Known>,
}

impl Keeper {
    pub(super) fn follow(&mut self, calendar: DayOf) {
        *self = Keeper { calendar: Some(calendar), known: None };
    }

    /// A transaction did not become durable, or perhaps it did.
    pub(super) fn forget(&mut self) {
        self.known = None;
    }

    /// Within a batch's transaction, after its rows were written: opens the days that rows came late for, closes at most one.
    /// `reached`: the newest time that the batch's readings went on to.
    pub(super) fn keep(&mut self, tx: &Connection, rows: &[Row], reached: Option<Ts>, received: Ts) -> rusqlite::Result<()> {
        let known = match &mut self.known {
            Some(known) => known,
            slot => slot.insert(Known::read(tx, self.calendar.as_ref())?),
        };
        known.open_again(tx, rows, self.calendar.as_ref(), received)?;
        known.newest = known.newest.max(reached);
        let (Some(day_of), Some(newest)) = (&self.calendar, known.newest) else { return Ok(()) };
        // A clock that runs ahead closes nothing: neither a device's nor ours.
        let day = match known.next(tx, day_of, newest.min(received))? {
            Some(day) => day,
            None => match known.quiet(received) {
                Some(from) => day_of(from),
                None => return Ok(()),
            },
        };
        match close(tx, day) {
            Ok(()) => {}
            Err(ReadError::Sqlite(e)) => return Err(e),
            // The day stays open, and its readings can still be asked for as far as they can be read.
            Err(e) => {
                tracing::error!(day = day.number, error = %e, "a day cannot be closed");
                return Ok(());
            }
        }
        known.opened.remove(&day.from);
        known.closed.insert(day.from, day);
        Ok(())
    }
}

/// What the keeper knows of the file.
struct Known {
    /// By first instant.
    closed: BTreeMap<Ts, Day>,
    /// First instants of days that rows came late for, and when the last of these came.
    opened: BTreeMap<Ts, Ts>,
    /// Days before this instant were looked at; None: not begun.
    at: Option<Ts>,
    /// The newest time that readings went on to.
    newest: Option<Ts>,
}

impl Known {
    /// Days that were closed under another calendar are opened: to the store they are others.
    fn read(tx: &Connection, day_of: Option<&DayOf>) -> rusqlite::Result<Known> {
        let mut s = tx.prepare("SELECT day, starts, ends FROM closed_days")?;
        let days: Vec<Day> = s.query_map([], day_of_row)?.collect::<rusqlite::Result<_>>()?;
        let mut closed = BTreeMap::new();
        for day in days {
            if day_of.is_none_or(|of| of(day.from) == day) {
                closed.insert(day.from, day);
            } else {
                open(tx, day)?;
            }
        }
        Ok(Known { closed, opened: BTreeMap::new(), at: None, newest: None })
    }

    fn open_again(&mut self, tx: &Connection, rows: &[Row], day_of: Option<&DayOf>, received: Ts) -> rusqlite::Result<()> {
        let Some(end) = self.closed.last_key_value().map(|(_, d)| d.to).max(self.at) else { return Ok(()) };
        for row in rows.iter().filter(|r| r.ts < end) {
            if let Some(day) = self.closed.range(..=row.ts).next_back().map(|(_, d)| *d).filter(|d| row.ts < d.to) {
                open(tx, day)?;
                self.closed.remove(&day.from);
                self.opened.insert(day.from, received);
                continue;
            }
            // Open already, or passed over because it was empty, or not looked at yet.
            let Some(day_of) = day_of else { continue };
            match self.opened.range_mut(..=row.ts).next_back() {
                Some((from, touched)) if day_of(*from).to > row.ts => *touched = received,
                _ if self.at.is_some_and(|at| row.ts < at) => {
                    self.opened.insert(day_of(row.ts).from, received);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A day that rows came late for, and no longer come.
    fn quiet(&self, received: Ts) -> Option<Ts> {
        // Our clock may be set back, too.
        let quiet = |touched: Ts| (received - touched).0.saturating_abs() >= QUIET.0;
        self.opened.iter().find(|(_, touched)| quiet(**touched)).map(|(from, _)| *from)
    }

    /// The next day that has rows, is over, and is not closed.
    fn next(&mut self, conn: &Connection, day_of: &DayOf, newest: Ts) -> rusqlite::Result<Option<Day>> {
        for _ in 0..STEPS {
            let from = self.at.map_or(i64::MIN, key::floor);
            let first: Option<i64> = conn
                .prepare_cached("SELECT key FROM readings WHERE key >= ?1 ORDER BY key LIMIT 1")?
                .query_row([from], |r| r.get(0))
                .optional()?;
            let Some(first) = first else { return Ok(None) };
            let day = day_of(key::split(first).0);
            if day.to + PATIENCE > newest {
                return Ok(None);
            }
            self.at = Some(day.to);
            if self.closed.get(&day.from) != Some(&day) {
                return Ok(Some(day));
            }
        }
        Ok(None)
    }
}

fn open(tx: &Connection, day: Day) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM closed_days WHERE day = ?1")?.execute([day.number]).map(|_| ())
}

fn day_of_row(r: &rusqlite::Row<'_>) -> rusqlite::Result<Day> {
    Ok(Day { number: r.get(0)?, from: Ts(r.get(1)?), to: Ts(r.get(2)?) })
}

/// The first key of a day's rows.
fn floor(number: i32) -> i64 {
    i64::from(number) << SERIES_BITS
}

fn series(source: SourceId, column: usize) -> i64 {
    i64::from(source.0) << COLUMN_BITS | column as i64
}

/// Writes what a day's rows say, in place of what was written before.
fn close(tx: &Connection, day: Day) -> Result<(), ReadError> {
    let mut columns: BTreeMap<i64, (DayColumn, i128)> = BTreeMap::new();
    merge::each(tx, key::floor(day.from)..key::floor(day.to), MAX_COLUMNS, &mut |row, _| {
        for (i, v) in row.values.iter().filter(|_| !row.flags.contains(Flags::AHEAD)) {
            columns
                .entry(series(row.source, i))
                .and_modify(|(column, sum)| {
                    column.take(row.ts, v);
                    *sum += i128::from(v);
                })
                .or_insert_with(|| DayColumn::begin(row.ts, v));
        }
        ControlFlow::Continue(())
    })?;
    // Under another calendar the same number was another day, with other bounds.
    tx.prepare_cached("DELETE FROM days WHERE key >= ?1 AND key < ?2")?.execute((floor(day.number), floor(day.number + 1)))?;
    let mut insert = tx.prepare_cached(
        "INSERT INTO days (key, n, first_ms, first, last_ms, last, least, greatest, sum, steepest)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for (series, (c, sum)) in columns {
        insert.execute((
            floor(day.number) | series,
            integer(c.n),
            (c.first.0 - day.from).0,
            c.first.1,
            (c.last.0 - day.from).0,
            c.last.1,
            (c.least != c.first.1).then_some(c.least),
            (c.greatest != c.last.1).then_some(c.greatest),
            i64::try_from(sum).ok(),
            c.steepest,
        ))?;
    }
    tx.prepare_cached("INSERT OR REPLACE INTO closed_days (day, starts, ends) VALUES (?1, ?2, ?3)")?
        .execute((day.number, day.from.0, day.to.0))?;
    Ok(())
}

/// The closed days with numbers in `from..to`, in order, and what the column said in each.
pub(super) fn days(conn: &Connection, source: SourceId, column: usize, from: i32, to: i32) -> Result<Vec<ClosedDay>, ReadError> {
    let mut s = conn.prepare_cached(
        "SELECT c.day, c.starts, c.ends, d.n, d.first_ms, d.first, d.last_ms, d.last, d.least, d.greatest, d.sum, d.steepest
         FROM closed_days c LEFT JOIN days d ON d.key = (c.day << ?4) + ?3 WHERE c.day >= ?1 AND c.day < ?2 ORDER BY c.day",
    )?;
    let rows = s.query_map((from, to, series(source, column), SERIES_BITS), |r| {
        let day = day_of_row(r)?;
        let Some(n) = r.get::<_, Option<i64>>(3)? else { return Ok((day, None)) };
        let (first, last): (i64, i64) = (r.get(5)?, r.get(7)?);
        let column = DayColumn {
            n: count(n),
            first: (day.from + Ms(r.get(4)?), first),
            last: (day.from + Ms(r.get(6)?), last),
            least: r.get::<_, Option<i64>>(8)?.unwrap_or(first),
            greatest: r.get::<_, Option<i64>>(9)?.unwrap_or(last),
            sum: r.get(10)?,
            steepest: r.get(11)?,
        };
        Ok((day, Some(column)))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
