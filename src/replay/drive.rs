//! The wheel: row after row through the engine, stopping at every deadline in between.

use super::merge::Merge;
use super::past::RecentPast;
use super::report::Report;
use super::rows::{Item, Row};
use super::series::SeriesTable;
use super::{Error, Listener, Notice, meters, topology};
use crate::domain::engine::{Effect, Effects, Engine, Input, PastUnavailable};
use crate::domain::incident::Change;
use crate::domain::reading::{Outcome, Reading, Reject, Values};
use crate::domain::time::Ts;
use crate::domain::units::Quantity;
use indicatif::ProgressBar;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows between two commits: bounds what the engine holds as uncommitted. Small, so that it stays in the processor's cache.
const BATCH: usize = 256;

/// The first bad rows are told one by one, the others only counted.
const BAD_TOLD: u64 = 20;

pub fn run(meters: &Path, readings: &[PathBuf], bar: &ProgressBar, listener: &mut dyn Listener) -> Result<Report, Error> {
    let mut notices = vec![];
    let meters = meters::read(meters, &mut notices);
    notices.into_iter().for_each(|n| listener.tell(n));
    let meters = meters?;
    let mut series = SeriesTable::new(&meters);
    let mut merge = Merge::open(readings, bar)?;
    let watched: Vec<usize> = (0..meters.list.len()).filter(|i| meters.list[*i].reach.is_some()).collect();
    merge.look_ahead(&mut series, |s| watched.iter().all(|i| s.of_meter(*i).quantity.is_some()));

    let mut topology = topology::build(&meters, &series);
    listener.begins(&mut topology)?;
    let mut drive = Drive {
        engine: Engine::new(Arc::new(topology)),
        effects: Effects::default(),
        past: RecentPast::default(),
        now: None,
        batch: 0,
        uncommitted: 0,
        report: Report::default(),
        bad: 0,
        listener,
    };
    let read = drive.all(&mut merge, &mut series);
    drive.end()?;
    read?;
    let tally = &drive.report.tally;
    if tally.stored + tally.duplicate == 0 {
        return Err(Error::Nothing { tally: tally.clone() });
    }
    Ok(drive.report)
}

struct Drive<'a> {
    engine: Engine,
    effects: Effects,
    past: RecentPast,
    /// The running maximum of known times.
    now: Option<Ts>,
    batch: u64,
    uncommitted: usize,
    report: Report,
    bad: u64,
    listener: &'a mut dyn Listener,
}

impl Drive<'_> {
    fn all(&mut self, merge: &mut Merge, series: &mut SeriesTable) -> Result<(), Error> {
        while let Some((file, item)) = merge.next(series)? {
            self.report.tally.rows += 1;
            match item {
                Item::Row(row) => {
                    if !series.get(row.series).begun {
                        self.first_of_series(&row, merge.path(file), series);
                    }
                    if let Some(reason) = self.row(&row, series)? {
                        self.rejected(merge.path(file), row.line, reason);
                    }
                }
                Item::Bad { line, reason } => self.rejected(merge.path(file), line, reason),
            }
        }
        Ok(())
    }

    /// Hands a row to the engine; the reason if it was not taken.
    fn row(&mut self, row: &Row, series: &SeriesTable) -> Result<Option<Reject>, Error> {
        let now = self.pass_time(row.known);
        let s = series.get(row.series);
        self.report.unknown_rows += u64::from(!s.known);
        let input = Input::Reading(Reading {
            feed: topology::feed(s.quantity.unwrap_or(Quantity::Volume)),
            topic: s.topic.clone(),
            ts: Some(row.ts),
            received: now,
            values: Values::single(row.value),
            retained: false,
            clock_sure: true,
        });
        let past = &self.past;
        let outcome = self.engine.handle(now, &input, &mut |source, ts| Ok(past.get(source, ts)), &mut self.effects);
        let rejected = match outcome {
            Ok(Outcome::Stored) => {
                self.report.tally.stored += 1;
                None
            }
            Ok(Outcome::Duplicate) => {
                self.report.tally.duplicate += 1;
                None
            }
            Ok(Outcome::Rejected(reason)) => Some(reason),
            Err(PastUnavailable) => unreachable!("the past is in memory"),
        };
        self.uncommitted += 1;
        if self.uncommitted >= BATCH {
            self.commit()?;
            if !self.listener.goes_on(self.report.tally.rows) {
                return Err(Error::Stopped);
            }
        }
        Ok(rejected)
    }

    /// Lets the clock run to `known`, from deadline to deadline; a row that is known at the very moment of a deadline is in time.
    fn pass_time(&mut self, known: Ts) -> Ts {
        let Some(now) = self.now else {
            self.engine.boot(known, 0, &mut self.effects);
            self.engine.connected(known);
            self.report.span = Some((known, known));
            self.now = Some(known);
            return known;
        };
        if known <= now {
            return now;
        }
        while let Some(due) = self.engine.next_deadline().filter(|due| *due < known) {
            self.engine.tick(due, &mut self.effects);
        }
        self.now = Some(known);
        known
    }

    fn commit(&mut self) -> Result<(), Error> {
        for effect in self.effects.list.drain(..) {
            match effect {
                Effect::Append(row) => self.past.push(&row),
                Effect::Event(event) => {
                    if let Change::Found { finding } = &event.change
                        && self.report.found(finding)
                    {
                        self.listener.found(event.at, finding)?;
                    }
                }
                Effect::Source(_) | Effect::Identity(_) | Effect::Ledger(..) | Effect::Notice(_) => {}
            }
        }
        self.effects.urgent = false;
        self.uncommitted = 0;
        self.batch += 1;
        self.engine.committed(Some(self.batch));
        Ok(())
    }

    /// What is due at the last moment is said.
    fn end(&mut self) -> Result<(), Error> {
        if let Some(now) = self.now {
            self.engine.tick(now, &mut self.effects);
            self.report.span = self.report.span.map(|(from, _)| (from, now));
        }
        self.commit()
    }

    fn first_of_series(&mut self, row: &Row, path: &Path, series: &mut SeriesTable) {
        let s = series.get_mut(row.series);
        s.begun = true;
        if !s.known {
            self.report.unknown_series += 1;
            self.listener.tell(Notice::UnknownSeries { path: path.to_owned(), line: row.line, series: s.topic.to_string() });
        }
    }

    fn rejected(&mut self, path: &Path, line: u64, reason: Reject) {
        *self.report.tally.rejected.entry(reason.code()).or_default() += 1;
        self.bad += 1;
        match self.bad {
            n if n <= BAD_TOLD => self.listener.tell(Notice::BadRow { path: path.to_owned(), line, reason }),
            n if n == BAD_TOLD + 1 => self.listener.tell(Notice::ManyBadRows { told: BAD_TOLD }),
            _ => {}
        }
    }
}
