//! What each metering point used on each local day: by day, then in the order of the config.
//!
//! A day's use is what a clerk computes: its last register minus the last register of the day before, each at the newest accepted reading
//! not after midnight, with the times beside them. So days follow on each other without a rest, nothing is guessed, and the days of a month
//! sum to the month. Volumes come from the ledger: across a reset or a jump there is none.
//!
//! One pass over the rows serves all points. A day is written once the rows are [`SETTLED`] past its end, whoever is still silent then; so
//! memory goes with the points, and a day is told alike whatever span it is exported in.

use super::columns::{self, Word, say};
use super::number::{decimal, integer, two};
use super::points::{self, Measure};
use super::stamp::Stamps;
use super::{Form, Lang, Selection};
use crate::domain::amendment::Entries;
use crate::domain::engine::SourceRecord;
use crate::domain::finding::Mark;
use crate::domain::reading::{Row, SourceId};
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::{Medium, Topology};
use crate::domain::units::Amount;
use crate::history::{Account, Interval, Kind, Register, Taken, Why};
use crate::store::{ReadError, Snapshot};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::collections::VecDeque;

/// How long after its end a day waits for the reading that shows it to be whole, and for a new level to be confirmed.
const SETTLED: Ms = Ms::days(3);

/// Readings before the span that an account sees first: enough to confirm or refute a level, and to know the usual pause.
const WARM_UP: usize = 8;

/// A local day: readings with `start < time <= end` end in it, so that the reading of midnight closes the day before.
#[derive(Clone, Copy, Debug)]
struct Span {
    date: Date,
    start: Ts,
    end: Ts,
}

/// What is known of one point on one day that is not written yet.
#[derive(Clone, Copy, Debug, Default)]
struct Day {
    first: Option<Mark>,
    last: Option<Mark>,
    volume: Amount,
    /// The register restarted.
    restarted: Option<Kind>,
    gap: bool,
    /// A meter was taken out on it.
    replaced: bool,
    /// An accepted reading at or after its end has come.
    closed: bool,
    readings: u64,
}

struct Point<'t> {
    account: Option<(Account<'t>, Register)>,
    head: Vec<u8>,
    /// A mean flow has no register that could be shown.
    has_register: bool,
    medium: Medium,
    /// The newest accepted reading not after the beginning of the oldest open day.
    carry: Option<Mark>,
    /// Parallel to [`Daily::open`].
    days: VecDeque<Day>,
}

pub struct Daily<'t> {
    tz: TimeZone,
    points: Vec<Point<'t>>,
    /// By the source's number: which points read it.
    readers: Vec<Vec<usize>>,
    /// Days that are not written yet, the oldest first; empty once all are.
    open: VecDeque<Span>,
    /// The first day that is not asked for.
    end: Date,
    /// The oldest open day is the first of the export: what came before it was never asked for.
    at_first: bool,
    width: usize,
    stamps: Stamps,
    form: Form,
    /// By the medium: what stands between the quality and the numbers in kWh; None where all measure water.
    mediums: Option<Vec<Vec<u8>>>,
    rows: u64,
}

impl<'t> Daily<'t> {
    /// Days from that of `from` to that of the last instant before `to`.
    pub fn new(
        topology: &'t Topology,
        (sources, ledger): (&[SourceRecord], &Entries),
        selection: &Selection,
        span: (Ts, Ts),
        form: Form,
    ) -> Daily<'t> {
        let tz = topology.tz.clone();
        let date = |ts: Ts| tz.to_datetime(Timestamp::from_millisecond(ts.0).unwrap_or_default()).date();
        let (first, last) = (date(span.0), date(Ts(span.1.0 - 1)));
        let by_source = points::by_source(topology, sources, ledger, selection);
        let mut points: Vec<Point<'t>> = vec![];
        let mut readers: Vec<Vec<usize>> = vec![vec![]; by_source.len()];
        for ix in &selection.points {
            let register = Register::stored(topology, sources, ledger, *ix);
            let point = topology.point(*ix);
            let account = register.clone().map(|r| (Account::new(&point.meter, r.clone(), topology.since), r));
            if let Some(r) = &register {
                readers[r.source.0 as usize].push(points.len());
            }
            let measure = register.and_then(|r| by_source[r.source.0 as usize].iter().find(|f| f.point == *ix)).map(|f| f.measure);
            let has_register = measure != Some(Measure::MeanFlow);
            points.push(Point {
                account,
                head: points::head(topology, *ix, form),
                has_register,
                medium: point.medium,
                carry: None,
                days: VecDeque::new(),
            });
        }
        let width = points.iter().filter_map(|p| p.account.as_ref()).map(|(_, r)| r.column + 1).max().unwrap_or(0);
        let end = if span.0 < span.1 { next(last) } else { first };
        let stamps = Stamps::new(tz.clone());
        let mediums = selection.mixed.then(|| columns::mediums(form.lang));
        let mut daily = Daily { tz, points, readers, open: VecDeque::new(), end, at_first: true, width, stamps, form, mediums, rows: 0 };
        daily.push(first);
        daily
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// The rows that it wants to see.
    pub fn span(&self) -> (Ts, Ts) {
        let from = self.open.front().map_or(Ts::EARLIEST, |d| d.start);
        (from, self.midnight(self.end) + SETTLED)
    }

    /// Shows the accounts what stands before the first day.
    pub fn warm_up(&mut self, snapshot: &Snapshot) -> Result<(), ReadError> {
        let (from, _) = self.span();
        for p in &mut self.points {
            let Some((account, register)) = &mut p.account else { continue };
            for row in rows_before(snapshot, register, from)? {
                account.row(&row);
            }
            p.carry = account.last();
        }
        Ok(())
    }

    /// Takes the next row, by time; appends the days that are settled by then. How many lines.
    pub fn row(&mut self, row: &Row, out: &mut Vec<u8>) -> u64 {
        let before = self.rows;
        self.advance(row.ts, out);
        if !self.open.is_empty() {
            for i in self.readers.get(row.source.0 as usize).map_or(&[][..], Vec::as_slice) {
                take(&mut self.points[*i], &self.open, self.at_first, row);
            }
        }
        self.rows - before
    }

    /// Appends the days that are left.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> u64 {
        let before = self.rows;
        while let Some(day) = self.open.back().copied() {
            self.push(next(day.date));
            self.emit(out);
        }
        self.rows - before
    }

    /// Opens the days up to that of `clock`, writes those that are settled. One at a time: a clock that jumps over years opens no thousand.
    fn advance(&mut self, clock: Ts, out: &mut Vec<u8>) {
        while let (Some(first), Some(last)) = (self.open.front().copied(), self.open.back().copied()) {
            if first.end + SETTLED <= clock {
                if self.open.len() == 1 {
                    self.push(next(last.date));
                }
                self.emit(out);
            } else if last.end <= clock && next(last.date) < self.end {
                self.push(next(last.date));
            } else {
                return;
            }
        }
    }

    /// Opens a day, if it is asked for.
    fn push(&mut self, date: Date) {
        if date >= self.end {
            return;
        }
        self.open.push_back(Span { date, start: self.midnight(date), end: self.midnight(next(date)) });
        self.points.iter_mut().for_each(|p| p.days.push_back(Day::default()));
    }

    /// The first instant of a day.
    fn midnight(&self, date: Date) -> Ts {
        self.tz.to_timestamp(date.at(0, 0, 0, 0)).map_or(Ts::LATEST, |t| Ts(t.as_millisecond()))
    }

    /// Writes the oldest open day.
    fn emit(&mut self, out: &mut Vec<u8>) {
        let Some(span) = self.open.pop_front() else { return };
        self.at_first = false;
        for p in &mut self.points {
            let day = p.days.pop_front().unwrap_or_default();
            out.extend_from_slice(&p.head);
            let also = self.mediums.as_ref().map(|m| m[p.medium as usize].as_slice());
            let energy = p.medium.is_energy();
            line(out, span, (p.carry, &day), &Units { has_register: p.has_register, energy, also }, &mut self.stamps, self.form.lang);
            p.carry = day.last.or(p.carry);
            self.rows += 1;
        }
    }
}

fn next(date: Date) -> Date {
    date.tomorrow().unwrap_or(Date::MAX)
}

/// Books a row of a point's source.
fn take(p: &mut Point<'_>, open: &VecDeque<Span>, at_first: bool, row: &Row) {
    let Some((account, _)) = &mut p.account else { return };
    let taken = account.row(row);
    let at = open.iter().position(|d| (d.start..d.end).contains(&row.ts));
    match taken {
        Taken::Nothing | Taken::Ignored(_, Why::Ahead | Why::Old) => return,
        Taken::Ignored(..) | Taken::Passed(_) | Taken::Restarted { .. } | Taken::Replaced { .. } => {
            if let Some(day) = at.and_then(|i| p.days.get_mut(i)) {
                day.readings += 1;
            }
        }
    }
    let Some(last) = account.last() else { return };
    match taken {
        Taken::Passed(interval) => book(p, open, at_first, &interval, last),
        Taken::Restarted { unknown, passed } => {
            // The register at the new level's beginning.
            let level = Mark { ts: unknown.to, register: last.register - passed.volume.unwrap_or_default() };
            book(p, open, at_first, &unknown, level);
            book(p, open, at_first, &passed, last);
        }
        Taken::Replaced { old, new } => {
            // Where the new meter began.
            let start = Mark { ts: old.to, register: last.register - new.and_then(|n| n.volume).unwrap_or_default() };
            book(p, open, at_first, &old, start);
            if let Some(new) = new {
                book(p, open, at_first, &new, last);
            }
        }
        Taken::Ignored(_, Why::First) => stand(p, open, last),
        Taken::Nothing | Taken::Ignored(..) => {}
    }
}

/// The open day in which a reading ends: `start < ts <= end`.
fn ends_in(open: &VecDeque<Span>, ts: Ts) -> Option<usize> {
    open.iter().position(|d| d.start < ts && ts <= d.end)
}

/// Books an interval, which ends at the accepted reading `at`.
fn book(p: &mut Point<'_>, open: &VecDeque<Span>, at_first: bool, interval: &Interval, at: Mark) {
    // What was found out too late for its own day, which is written, belongs to the oldest that is not: no volume gets lost between two days.
    let late = || (!at_first && open.front().is_some_and(|d| interval.to <= d.start)).then_some(0);
    if let Some(day) = ends_in(open, interval.to).or_else(late).and_then(|i| p.days.get_mut(i)) {
        match interval.volume {
            Some(volume) => day.volume += volume,
            None => day.restarted = Some(interval.kind),
        }
    }
    if interval.kind == Kind::Replaced
        && let Some(day) = ends_in(open, interval.to).and_then(|i| p.days.get_mut(i))
    {
        day.replaced = true;
    }
    if interval.gap {
        for (day, span) in p.days.iter_mut().zip(open) {
            day.gap |= interval.from < span.end && span.start < interval.to;
        }
    }
    stand(p, open, at);
}

/// Notes where the register stood.
fn stand(p: &mut Point<'_>, open: &VecDeque<Span>, at: Mark) {
    for (day, span) in p.days.iter_mut().zip(open) {
        day.closed |= span.end <= at.ts;
    }
    match ends_in(open, at.ts).and_then(|i| p.days.get_mut(i)) {
        Some(day) => {
            day.first.get_or_insert(at);
            day.last = Some(at);
        }
        None if open.front().is_some_and(|d| at.ts <= d.start) => p.carry = Some(at),
        // Behind the last day that is asked for.
        None => {}
    }
}

/// In which cells the numbers of a point stand.
struct Units<'a> {
    has_register: bool,
    /// In kWh, at the end.
    energy: bool,
    also: Option<&'a [u8]>,
}

fn line(out: &mut Vec<u8>, span: Span, (carry, day): (Option<Mark>, &Day), units: &Units<'_>, stamps: &mut Stamps, lang: Lang) {
    let mut said: Vec<Word> = vec![];
    if day.last.is_none() {
        said.push("export.quality.no_reading");
    }
    match day.restarted {
        Some(Kind::Jump) => said.push("export.quality.jump"),
        Some(Kind::Replaced) => {}
        Some(_) => said.push("export.quality.reset"),
        None => {}
    }
    if day.gap && day.last.is_some() {
        said.push("export.quality.gap");
    }
    if day.last.is_some() && (carry.is_none() || !day.closed) {
        said.push("export.quality.open");
    }
    let complete = said.is_empty() && day.restarted.is_none();
    if complete {
        said.push("export.quality.measured");
    }
    if day.replaced {
        said.push("export.quality.replaced");
    }
    let start = carry.or(day.first);
    let used = day.last.filter(|last| day.restarted.is_none() && start != Some(*last)).map(|_| day.volume);

    let marks = [start.filter(|_| day.last.is_some()), day.last];
    let shown = marks.map(|m| m.filter(|_| units.has_register).map(|m| m.register));
    number_date(out, span.date);
    out.push(b',');
    cell(out, used.filter(|_| !units.energy), 6);
    for (mark, register) in marks.into_iter().zip(shown) {
        out.push(b',');
        cell(out, register.filter(|_| !units.energy), 6);
        out.push(b',');
        if let Some(m) = mark {
            stamps.write(out, m.ts);
        }
    }
    out.push(b',');
    integer(out, day.readings);
    out.push(b',');
    out.extend_from_slice(say(if complete { "export.complete.yes" } else { "export.complete.no" }, lang).as_bytes());
    out.push(b',');
    out.extend_from_slice(columns::joined(&said, lang).as_bytes());
    if let Some(medium) = units.also {
        out.extend_from_slice(medium);
        for (i, amount) in [used, shown[0], shown[1]].into_iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            cell(out, amount.filter(|_| units.energy), 3);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// A number, or an empty cell.
fn cell(out: &mut Vec<u8>, amount: Option<Amount>, places: u8) {
    if let Some(amount) = amount {
        decimal(out, amount.0, places);
    }
}

/// `2026-11-24`
fn number_date(out: &mut Vec<u8>, date: Date) {
    let year = u64::from(date.year().unsigned_abs());
    two(out, year / 100);
    two(out, year % 100);
    for part in [date.month(), date.day()] {
        out.push(b'-');
        two(out, u64::from(part.unsigned_abs()));
    }
}

/// The last few rows before `from` that hold the register, oldest first, as of a commit.
fn rows_before(snapshot: &Snapshot, register: &Register, from: Ts) -> Result<Vec<Row>, ReadError> {
    let source: SourceId = register.source;
    let (mut rows, mut at) = (vec![], from);
    // A device may send its register only with every other message.
    for _ in 0..2 * WARM_UP {
        let Some(row) = snapshot.row_before(source, at)? else { break };
        at = row.ts;
        if register.value(&row).is_some() {
            rows.push(row);
        }
        if rows.len() == WARM_UP {
            break;
        }
    }
    rows.reverse();
    Ok(rows)
}
