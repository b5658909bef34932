//! Day by day: the one fold that says what passed on a day, for charts and for the rows that are kept of it.
//!
//! Each day is folded for itself: from up to sixteen readings before it, which teach the ledger, through its own, to the one that shows what passed
//! over its end. So a day says the same whichever span it is asked in, and whoever folds it: the thread that goes through the rows of all
//! meters once, or a request that needs the days that are not told yet.

use super::Span;
use super::account::Account;
use super::buckets::SURE_OF_A_DAY;
use super::register::Register;
use super::tally::{Bucket, Tally};
use super::walk::{WARM_UP, before};
use crate::domain::reading::Row;
use crate::domain::time::{Day, Ms, Ts};
use crate::domain::topology::{PointIx, Topology};
use crate::store::{ReadError, Reader};
use std::collections::VecDeque;

/// Rows of one source that are fetched together: half a megabyte.
const PAGE: usize = 5_000;

/// A day that is over, and the reading that shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Over {
    pub day: Day,
    /// Of the part of the day that was asked for.
    pub bucket: Bucket,
    /// Time of the last reading that it depends on.
    pub reach: Ts,
}

/// Readings of one register in, days out.
#[derive(Clone, Debug)]
pub(super) struct Days<'a> {
    topology: &'a Topology,
    point: PointIx,
    register: Register,
    /// Only what passed in it counts.
    clip: Span,
    /// The newest readings.
    before: VecDeque<(Ts, i64)>,
    /// Days that are not over, with their accounts. Days without a reading begin with the next one, as one.
    open: VecDeque<Open<'a>>,
    /// The first day that is in none of them.
    next: Day,
    over: Vec<Over>,
}

#[derive(Clone, Debug)]
struct Open<'a> {
    account: Account<'a>,
    tally: Tally,
}

impl<'a> Days<'a> {
    /// To be told from `first` on. `before`: the last readings before it, at most [`WARM_UP`].
    pub(super) fn new(
        topology: &'a Topology,
        point: PointIx,
        register: Register,
        first: Day,
        before: Vec<(Ts, i64)>,
        clip: Span,
    ) -> Days<'a> {
        Days { topology, point, register, clip, before: before.into(), open: VecDeque::new(), next: first, over: vec![] }
    }

    /// Takes the next row of the source.
    pub(super) fn row(&mut self, row: &Row) {
        let Some(Ok(value)) = self.register.reading(row, self.topology.since) else { return };
        let ts = row.ts;
        if ts >= self.next.from {
            self.begin(ts);
        }
        if self.before.len() == WARM_UP {
            self.before.pop_front();
        }
        self.before.push_back((ts, value));
        for open in &mut self.open {
            open.account.reading(ts, value).each(&mut |i| open.tally.add(&i));
        }
        while let Some(open) = self.open.front_mut() {
            let tz = &self.topology.tz;
            self.over.extend(open.tally.take_over().map(|bucket| Over { day: Day::of(bucket.span.from, tz), bucket, reach: ts }));
            if !open.tally.is_empty() {
                break;
            }
            self.open.pop_front();
        }
    }

    /// The days up to that of a reading begin with what was known before it.
    fn begin(&mut self, ts: Ts) {
        let tz = &self.topology.tz;
        if self.before.is_empty() {
            // Of the time before the first reading nothing can be told.
            self.next = Day::of(ts, tz);
        }
        let mut tally = Tally::new(SURE_OF_A_DAY);
        while self.next.from <= ts {
            tally.push(Span { from: self.next.from.max(self.clip.from), to: self.next.to.min(self.clip.to) });
            let next = self.next.next(tz);
            if next == self.next {
                // The end of the calendar.
                break;
            }
            self.next = next;
        }
        let mut account = Account::new(&self.topology.point(self.point).meter, self.register.clone(), self.topology.since);
        for (ts, value) in &self.before {
            // A mean flow reaches beyond its reading.
            account.reading(*ts, *value).each(&mut |i| tally.add(&i));
        }
        self.open.push_back(Open { account, tally });
    }

    /// The days that are over since it was last asked, without a hole.
    pub(super) fn take_over(&mut self) -> Vec<Over> {
        std::mem::take(&mut self.over)
    }

    /// The first day that is not over; before the first reading the day that was said at the beginning.
    pub(super) fn first_open(&self) -> Day {
        let first = self.open.front().map(|o| Day::of(o.tally.span().from, &self.topology.tz));
        first.unwrap_or(self.next)
    }

    /// Whether any reading is known.
    pub(super) fn begun(&self) -> bool {
        !self.before.is_empty()
    }

    /// What is known of the days that are not over, and where the newest interval ended.
    fn finish(mut self) -> (Vec<Bucket>, Option<Ts>) {
        if self.next.from < self.clip.to {
            // Days without a reading: a mean flow may reach into them.
            self.begin(self.clip.to - Ms(1));
        }
        let reached = self.open.iter().filter_map(|o| o.tally.reached()).max();
        (self.open.into_iter().flat_map(|o| o.tally.finish()).collect(), reached)
    }
}

/// What passed on each day of the span, which the first and the last of them are cut to; and the end of what was read of it, None where that
/// is nothing. Told days are told; of the others the rows are read.
pub(super) fn daily(
    reader: &Reader,
    topology: &Topology,
    point: PointIx,
    register: &Register,
    span: Span,
) -> Result<(Vec<Bucket>, Option<Ts>), ReadError> {
    let tz = &topology.tz;
    let mut days = vec![Day::of(span.from, tz)];
    while let Some(last) = days.last().filter(|d| d.to < span.to) {
        let next = last.next(tz);
        if next == *last {
            break;
        }
        days.push(next);
    }
    days.retain(|d| d.from < d.to && d.from < span.to);
    let cut = |d: &Day| Span { from: d.from.max(span.from), to: d.to.min(span.to) };
    let mut out: Vec<Bucket> = days.iter().map(|d| Bucket::unknown(cut(d))).collect();
    let mut until = None;
    let mut open = vec![true; days.len()];
    if let (Some(first), Some(last)) = (days.first(), days.last())
        && let Some(series) = register.series()
        && let Some(told) = reader.told_of(series)?.filter(|t| t.made_with == register.made_with(topology.point(point), topology.since))
    {
        for (i, day) in days.iter().enumerate() {
            open[i] = day.number >= told.begins;
        }
        for (_, day, volume) in reader.daily(Some(series), first.number..last.number.saturating_add(1))? {
            // A day that was told under other bounds is another day; of a part of one the rows tell.
            // Of one whose rows are gone nothing else does.
            let same = |d: &Day| *d == day || day.number < told.begins;
            let at = days.binary_search_by_key(&day.number, |d| d.number).ok();
            if let Some(at) = at.filter(|at| same(&days[*at]) && cut(&days[*at]) == Span { from: days[*at].from, to: days[*at].to }) {
                out[at] = Bucket { volume: volume.volume, known: volume.known, complete: volume.complete, ..out[at] };
                open[at] = false;
                until = until.max(Some(day.to));
            }
        }
    }
    let mut at = 0;
    while at < days.len() {
        let run = open[at..].iter().take_while(|o| **o).count();
        if run > 0 {
            let reached = from_rows(reader, topology, point, register, &days[at..at + run], span, &mut out)?;
            until = until.max(reached.map(|ts| ts.min(span.to)));
        }
        at += run.max(1);
    }
    Ok((out, until.filter(|ts| *ts > span.from)))
}

/// Folds days that follow each other from their rows, into the buckets that begin as they do.
fn from_rows(
    reader: &Reader,
    topology: &Topology,
    point: PointIx,
    register: &Register,
    days: &[Day],
    clip: Span,
    out: &mut [Bucket],
) -> Result<Option<Ts>, ReadError> {
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return Ok(None) };
    let end = last.to.min(clip.to);
    let clip = Span { from: clip.from, to: end };
    let mut fold = Days::new(topology, point, register.clone(), *first, before(reader, register, first.from, topology.since)?, clip);
    let mut found: Vec<Bucket> = vec![];
    let mut reached = None;
    let mut from = first.from;
    loop {
        // Behind the end only the reading is looked for that shows it, however late it came.
        let (to, limit) = if from < end { (end, PAGE) } else { (Ts::LATEST, WARM_UP) };
        let rows = reader.readings_columns(register.source, register.width(), (from, to), limit)?;
        for row in &rows {
            fold.row(row);
            found.extend(fold.take_over().into_iter().map(|o| o.bucket));
            if found.last().is_some_and(|b| b.span.to >= end) {
                break;
            }
        }
        if let Some(last) = found.last().map(|b| b.span.to) {
            reached = reached.max(Some(last));
            if last >= end {
                break;
            }
        }
        from = match rows.last() {
            Some(last) if rows.len() == limit => last.ts + Ms(1),
            _ if to < Ts::LATEST => to,
            _ => break,
        };
    }
    let (rest, ended) = fold.finish();
    found.extend(rest);
    for bucket in found {
        if let Ok(at) = out.binary_search_by_key(&bucket.span.from, |b| b.span.from) {
            out[at] = bucket;
        }
    }
    Ok(reached.max(ended))
}
