//! Passages cut into whole hours, or quarters of an hour: what every rule that learns looks at.

use super::Passage;
use crate::domain::time::{Ms, Ts};
use crate::domain::units::Amount;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

pub(super) const HOUR: Length = Length { step: Ms::hours(1), longest: Ms::minutes(65) };
pub(super) const QUARTER: Length = Length { step: Ms::minutes(15), longest: Ms::minutes(20) };

/// After a pause of more steps than this only the last one is told.
const PAUSE: i64 = 48;

/// How long a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    pub step: Ms,
    /// What passed over a longer pause says nothing of a single step.
    longest: Ms,
}

/// A whole step that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Steps since 1970.
    pub number: i64,
    /// None where a part of it is unknown.
    pub volume: Option<Amount>,
}

impl Step {
    pub fn from(self, length: Length) -> Ts {
        Ts(self.number * length.step.0)
    }
}

/// The step that goes on. To be used with one [`Length`] always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Steps {
    /// Steps since 1970; None before the first passage.
    number: Option<i64>,
    volume: Amount,
    known: Ms,
}

impl Steps {
    /// Takes the next passage, spread evenly over its time, and hands out the steps that it ends, oldest first.
    pub fn passed(&mut self, p: Passage, length: Length, each: &mut impl FnMut(Step)) {
        let step = length.step.0;
        let number = |ts: Ts| ts.0.div_euclid(step);
        let (mut from, mut left) = (p.from.ts, p.volume);
        let is_told = p.to.ts - p.from.ts <= length.longest;
        let mut at = match self.number {
            Some(at) if at <= number(from) => at,
            // The first passage, or time that went back: begin anew.
            _ => self.begin(number(from)),
        };
        let last = number(p.to.ts);
        if last - at > PAUSE {
            each(Step { number: last - 1, volume: None });
            at = self.begin(last);
            from = Ts(last * step).max(from);
            left = left.scaled((p.to.ts - from).0, (p.to.ts - p.from.ts).0);
        }
        while last > at {
            let end = Ts((at + 1) * step);
            if from < end {
                let part = left.scaled((end - from).0, (p.to.ts - from).0);
                self.add(part, if is_told { end - from } else { Ms::ZERO });
                left = left - part;
                from = end;
            }
            each(Step { number: at, volume: (self.known >= length.step).then_some(self.volume) });
            at = self.begin(at + 1);
        }
        self.add(left, if is_told { p.to.ts - from } else { Ms::ZERO });
    }

    fn begin(&mut self, number: i64) -> i64 {
        *self = Steps { number: Some(number), volume: Amount::ZERO, known: Ms::ZERO };
        number
    }

    fn add(&mut self, volume: Amount, known: Ms) {
        self.volume += volume;
        self.known = Ms(self.known.0 + known.0);
    }
}

/// Milliseconds since midnight on the wall clock, where no clock changes on that day.
pub(super) fn time_of_day(ts: Ts, tz: &TimeZone) -> i64 {
    let offset = Timestamp::from_millisecond(ts.0).map_or(0, |t| tz.to_offset(t).seconds());
    (ts.0 + i64::from(offset) * 1_000).rem_euclid(Ms::days(1).0)
}

/// The hour of the wall clock, 0 to 23.
pub(super) fn hour_of_day(ts: Ts, tz: &TimeZone) -> usize {
    usize::try_from(time_of_day(ts, tz) / HOUR.step.0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::finding::Mark;

    fn run(length: Length, minutes: &[i64], litres: i64) -> Vec<(i64, Option<i64>)> {
        let (mut steps, mut out) = (Steps::default(), vec![]);
        for pair in minutes.windows(2) {
            let mark = |m: i64| Mark { ts: Ts(m * 60_000), register: Amount::ZERO };
            let p = Passage { from: mark(pair[0]), to: mark(pair[1]), volume: Amount::litres(litres) };
            steps.passed(p, length, &mut |s| out.push((s.number, s.volume.map(|v| v.0 / 1_000))));
        }
        out
    }

    #[test]
    fn passages_fall_into_the_hours_they_cross() {
        assert_eq!(run(HOUR, &[0, 30, 90, 120], 60), [(0, Some(90)), (1, Some(90))]);
        assert_eq!(run(QUARTER, &[0, 10, 20, 30], 10), [(0, Some(15)), (1, Some(15))]);
    }

    #[test]
    fn what_passed_in_a_long_pause_belongs_to_no_hour() {
        assert_eq!(run(HOUR, &[0, 60, 200, 240, 300], 10), [(0, Some(10)), (1, None), (2, None), (3, None), (4, Some(10))]);
        let year = 366 * 24 * 60;
        assert_eq!(run(HOUR, &[0, year, year + 60], 10).len(), 2, "one for all of the year");
    }

    #[test]
    fn the_first_hour_is_known_from_its_beginning_only() {
        assert_eq!(run(HOUR, &[30, 60, 120], 10), [(0, None), (1, Some(10))]);
    }

    #[test]
    fn the_wall_clock_counts() {
        let tz = TimeZone::get("Asia/Shanghai").unwrap();
        assert_eq!(hour_of_day(Ts(Ms::hours(20).0), &tz), 4);
    }
}
