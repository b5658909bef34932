//! A fold of rows in order of time, by the ledger.

use super::register::Register;
use crate::domain::finding::Mark;
use crate::domain::meter::{Ledger, Step, Turn, Value};
use crate::domain::reading::Row;
use crate::domain::time::Ts;
use crate::domain::topology::Meter;
use crate::domain::units::Amount;

/// From one accepted reading to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    pub from: Ts,
    pub to: Ts,
    /// None where it cannot be known: across a reset or a jump.
    pub volume: Option<Amount>,
    pub kind: Kind,
    /// Much longer than this meter's usual pause: the volume is certain, its moment is not.
    pub gap: bool,
}

/// How the register moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Forward,
    Equal,
    /// Fell by no more than its resolution: no water.
    Jitter,
    /// Ran full and went on at zero.
    Rollover,
    /// Fell for good: reset or replaced.
    Reset,
    /// Rose further than water can, and stayed.
    Jump,
    /// To the end of a meter that was taken out.
    Replaced,
}

/// A reading that makes no interval, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ignored {
    pub ts: Ts,
    pub why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The source's first reading: nothing is known of before.
    First,
    /// Does not fit; no later reading of the span has confirmed or refuted it.
    Held,
    /// Did not fit, and the register came back: a misreading.
    Spike,
    /// Its span had been accounted for before.
    Late,
    /// Its time lay far ahead of an unsure clock.
    Ahead,
    /// Its time lies before anything here existed (stored while the clock was unsure).
    Old,
    /// Somebody has said that it is a misreading.
    Refused,
}

/// What a row did to the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It does not hold the register.
    Nothing,
    Ignored(Ts, Why),
    Passed(Interval),
    /// What was held from `unknown.to` on is the new level.
    Restarted {
        unknown: Interval,
        passed: Interval,
    },
    /// A meter was taken out before it.
    Replaced {
        old: Interval,
        /// Of the new one; None where the reading does not follow its start.
        new: Option<Interval>,
    },
}

impl Taken {
    /// The intervals that end with it.
    pub(super) fn each(self, f: &mut impl FnMut(Interval)) {
        match self {
            Taken::Nothing | Taken::Ignored(..) => {}
            Taken::Passed(interval) => f(interval),
            Taken::Restarted { unknown, passed } => {
                f(unknown);
                f(passed);
            }
            Taken::Replaced { old, new } => {
                f(old);
                new.into_iter().for_each(f);
            }
        }
    }
}

/// The account of one register: rows in, intervals out, nothing kept.
#[derive(Clone, Debug)]
pub struct Account<'a> {
    meter: &'a Meter,
    register: Register,
    /// Nothing here is older.
    since: Ts,
    ledger: Ledger,
}

impl<'a> Account<'a> {
    pub fn new(meter: &'a Meter, register: Register, since: Ts) -> Account<'a> {
        Account::resume(meter, register, since, Ledger::default())
    }

    /// Goes on where another account stood.
    pub(super) fn resume(meter: &'a Meter, register: Register, since: Ts, ledger: Ledger) -> Account<'a> {
        Account { meter, register, since, ledger }
    }

    pub(super) fn register(&self) -> &Register {
        &self.register
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The newest reading that the ledger accepted.
    pub fn last(&self) -> Option<Mark> {
        self.ledger.last()
    }

    /// Takes the next row.
    pub fn row(&mut self, row: &Row) -> Taken {
        match self.register.reading(row, self.since) {
            None => Taken::Nothing,
            Some(Err(why)) => Taken::Ignored(row.ts, why),
            Some(Ok(value)) => self.reading(row.ts, value),
        }
    }

    /// Takes what the register showed.
    pub(super) fn reading(&mut self, ts: Ts, value: i64) -> Taken {
        let mark = self.ledger.mark(self.meter, &self.register.amended, Value { quantity: self.register.quantity, ts, value });
        let Some(mark) = self.register.amended.apply(mark) else { return Taken::Ignored(ts, Why::Refused) };
        let Some(Turn { from, to, volume }) = self.ledger.turn(&self.register.amended, mark.ts) else { return self.step(mark) };
        let old = Interval { from: from.ts, to: to.ts, volume, kind: Kind::Replaced, gap: false };
        let new = match self.step(mark) {
            Taken::Passed(new) => Some(new),
            _ => None,
        };
        // The old meter's last reading may be of the very moment: then nothing of it is left to tell.
        match (new, old.from < old.to) {
            (Some(new), false) => Taken::Passed(new),
            (None, false) => Taken::Ignored(mark.ts, Why::Held),
            (new, true) => Taken::Replaced { old, new },
        }
    }

    fn step(&mut self, mark: Mark) -> Taken {
        let before = self.ledger.steps;
        match self.ledger.step(self.meter, &self.register.amended, mark) {
            Step::First => Taken::Ignored(mark.ts, Why::First),
            Step::Late => Taken::Ignored(mark.ts, Why::Late),
            Step::Held => Taken::Ignored(mark.ts, Why::Held),
            Step::Passed { from, to, volume, gap } => {
                let kind = match (self.ledger.steps.rollover > before.rollover, self.ledger.steps.jitter > before.jitter) {
                    (true, _) => Kind::Rollover,
                    (_, true) => Kind::Jitter,
                    _ => moved(volume),
                };
                Taken::Passed(Interval { from: from.ts, to: to.ts, volume: Some(volume), kind, gap })
            }
            Step::Restarted { fell, before, after, to, volume } => {
                let kind = if fell { Kind::Reset } else { Kind::Jump };
                Taken::Restarted {
                    unknown: Interval { from: before.ts, to: after.ts, volume: None, kind, gap: false },
                    passed: Interval { from: after.ts, to: to.ts, volume: Some(volume), kind: moved(volume), gap: false },
                }
            }
        }
    }

    /// Takes the next row and hands out the intervals that it ends, if any.
    pub(super) fn each(&mut self, row: &Row, f: &mut impl FnMut(Interval)) {
        self.row(row).each(f);
    }
}

fn moved(volume: Amount) -> Kind {
    if volume == Amount::ZERO { Kind::Equal } else { Kind::Forward }
}

/// An account with all that it came to: what people look at.
#[derive(Debug)]
pub(super) struct Story<'a> {
    account: Account<'a>,
    intervals: Vec<Interval>,
    ignored: Vec<Ignored>,
    /// Places in `ignored` of readings that are held and not yet decided upon.
    held: Vec<usize>,
}

impl<'a> Story<'a> {
    /// `warm_up`: rows before the span; they teach the ledger, and are not told.
    pub(super) fn new(mut account: Account<'a>, warm_up: &[Row]) -> Story<'a> {
        for row in warm_up {
            account.row(row);
        }
        Story { account, intervals: vec![], ignored: vec![], held: vec![] }
    }

    pub(super) fn row(&mut self, row: &Row) {
        match self.account.row(row) {
            Taken::Nothing => {}
            Taken::Ignored(ts, why) => {
                if why == Why::Held {
                    self.held.push(self.ignored.len());
                }
                self.ignored.push(Ignored { ts, why });
            }
            Taken::Passed(interval) => {
                for i in self.held.drain(..) {
                    self.ignored[i].why = Why::Spike;
                }
                self.intervals.push(interval);
            }
            Taken::Restarted { unknown, passed } => {
                // What was held from the new level's beginning on is no misreading; what was held before it never came true.
                for i in self.held.drain(..).rev() {
                    if self.ignored[i].ts >= unknown.to {
                        self.ignored.remove(i);
                    } else {
                        self.ignored[i].why = Why::Spike;
                    }
                }
                self.intervals.extend([unknown, passed]);
            }
            Taken::Replaced { old, new } => {
                for i in self.held.drain(..) {
                    self.ignored[i].why = Why::Spike;
                }
                self.intervals.push(old);
                match new {
                    Some(new) => self.intervals.push(new),
                    None => {
                        self.held.push(self.ignored.len());
                        self.ignored.push(Ignored { ts: row.ts, why: Why::Held });
                    }
                }
            }
        }
    }

    pub(super) fn finish(self) -> (Vec<Interval>, Vec<Ignored>) {
        (self.intervals, self.ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reading::{Flags, SourceId, Values};
    use crate::domain::time::Ms;
    use crate::domain::units::{Quantity, Rate};
    use std::sync::Arc;

    fn meter() -> Meter {
        Meter {
            serial: None,
            pulse_weight: Amount::litres(1),
            rollover_at: Some(Amount::litres(100_000)),
            max_flow: Rate::litres(5_000),
            mean_flow_over: None,
        }
    }

    fn row(min: i64, value: i64) -> Row {
        Row { ts: Ts(min * 60_000), source: SourceId(1), values: Values::single(value), flags: Flags::NONE }
    }

    /// (from minute, to minute, litres, kind, gap).
    type Told = (i64, i64, Option<i64>, Kind, bool);

    /// The intervals, and (minute, why) of each ignored reading.
    fn fold(meter: &Meter, quantity: Quantity, warm: &[Row], rows: &[Row]) -> (Vec<Told>, Vec<(i64, Why)>) {
        let register = Register { source: SourceId(1), column: 0, quantity, amended: Arc::default() };
        let mut story = Story::new(Account::new(meter, register, Ts(0)), warm);
        rows.iter().for_each(|r| story.row(r));
        let (intervals, ignored) = story.finish();
        let minute = |ts: Ts| ts.0 / 60_000;
        (
            intervals.iter().map(|i| (minute(i.from), minute(i.to), i.volume.map(|v| v.0 / 1_000), i.kind, i.gap)).collect(),
            ignored.iter().map(|i| (minute(i.ts), i.why)).collect(),
        )
    }

    fn litres(pairs: &[(i64, i64)]) -> Vec<Row> {
        pairs.iter().map(|(min, l)| row(*min, l * 1_000)).collect()
    }

    #[test]
    fn the_first_interval_begins_at_the_reading_before_the_span() {
        let (i, x) = fold(&meter(), Quantity::Volume, &litres(&[(0, 100), (15, 110)]), &litres(&[(30, 125), (45, 125)]));
        assert_eq!(i, [(15, 30, Some(15), Kind::Forward, false), (30, 45, Some(0), Kind::Equal, false)]);
        assert_eq!(x, []);
    }

    #[test]
    fn a_reset_has_no_volume_and_a_gap_is_told() {
        let rows = litres(&[(0, 50_000), (15, 50_010), (30, 3), (45, 5), (60, 9), (75, 10), (300, 40)]);
        let (i, x) = fold(&meter(), Quantity::Volume, &[], &rows);
        assert_eq!(
            i,
            [
                (0, 15, Some(10), Kind::Forward, false),
                (15, 30, None, Kind::Reset, false),
                (30, 60, Some(6), Kind::Forward, false),
                (60, 75, Some(1), Kind::Forward, false),
                (75, 300, Some(30), Kind::Forward, true),
            ]
        );
        assert_eq!(x, [(0, Why::First)]);
    }

    #[test]
    fn a_misreading_is_named_once_the_register_came_back_and_held_before() {
        let rows = litres(&[(0, 100), (15, 90_100), (30, 120)]);
        let (i, x) = fold(&meter(), Quantity::Volume, &[], &rows);
        assert_eq!(i, [(0, 30, Some(20), Kind::Forward, false)]);
        assert_eq!(x, [(0, Why::First), (15, Why::Spike)]);
        let (i, x) = fold(&meter(), Quantity::Volume, &[], &rows[..2]);
        assert_eq!((i.len(), x), (0, vec![(0, Why::First), (15, Why::Held)]));
    }

    #[test]
    fn a_spike_before_a_lasting_jump_stays_a_spike() {
        let rows = litres(&[(0, 100), (15, 90_100), (30, 70_000), (45, 70_002), (60, 70_003)]);
        let (i, x) = fold(&meter(), Quantity::Volume, &[], &rows);
        assert_eq!(i, [(0, 30, None, Kind::Jump, false), (30, 60, Some(3), Kind::Forward, false)]);
        assert_eq!(x, [(0, Why::First), (15, Why::Spike)]);
    }

    #[test]
    fn rollover_jitter_and_pulses() {
        let (i, _) = fold(&meter(), Quantity::Pulses, &[], &[row(0, 99_990), row(15, 99_989), row(30, 5)]);
        assert_eq!(i, [(0, 15, Some(0), Kind::Jitter, false), (15, 30, Some(15), Kind::Rollover, false)], "a pulse is a litre");
    }

    #[test]
    fn a_mean_flow_is_known_at_the_end_of_its_span() {
        let mean = Meter { mean_flow_over: Some(Ms::minutes(15)), ..meter() };
        let (i, x) = fold(&mean, Quantity::Flow, &[row(0, 40_000)], &[row(15, 80_000), row(30, 0), row(35, 4_000), row(90, 8_000)]);
        assert_eq!(
            i,
            [
                (15, 30, Some(20), Kind::Forward, false),
                (30, 45, Some(0), Kind::Equal, false),
                (45, 50, Some(1), Kind::Forward, false),
                (90, 105, Some(2), Kind::Forward, false),
            ],
            "of 00:50 to 01:30 nobody told anything"
        );
        assert_eq!(x, []);
    }

    #[test]
    fn what_an_unsure_clock_put_far_away_makes_no_flow() {
        let rows = [row(-60, 7), row(0, 0), Row { flags: Flags::AHEAD, ..row(9_999, 1) }];
        assert_eq!(fold(&meter(), Quantity::Volume, &[], &rows).1, [(-60, Why::Old), (0, Why::First), (9_999, Why::Ahead)]);
    }
}
