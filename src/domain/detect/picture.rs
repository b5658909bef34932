//! What a picture of a finding shows: what passed, what is expected at that hour, and a figure that moves as the rule's does.
//!
//! Made of volumes alone, never of a rule's inner state: so it can be drawn of any stored past, by another version than the one that spoke, and
//! a person can reckon it with a pencil. It is near to what the rule went by, and not the same.

use super::steps::{HOUR, hour_of_day};
use crate::domain::finding::FindingKind;
use crate::domain::time::{Ms, Ts};
use crate::domain::units::Rate;
use jiff::tz::TimeZone;

/// So many days before a start say what is expected.
pub const EXPECTED_DAYS: i64 = 28;
/// Fewer days than this say nothing of an hour.
const FEWEST_DAYS: usize = 3;
/// Fewer known hours of a day than this are no day.
const KNOWN: usize = 20;
/// A sudden flow goes on while it is above what is expected by this part of the mean, per cent.
const ABOVE: i64 = 35;
/// What a balance looks at together.
const STRETCH: usize = 3;
/// A loop's stretch has so many parts.
const PARTS: usize = 5;

/// What passed in one step of time: an hour, or a quarter of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub from: Ts,
    /// Its mean. None where a part of the step is unknown.
    pub flow: Option<Rate>,
    /// What the meters behind it passed together, where these are compared with it.
    pub behind: Option<Rate>,
}

/// What is expected at an hour of the day: of the days before, the lower quartile, the median and the upper quartile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    pub low: Rate,
    pub middle: Rate,
    pub high: Rate,
}

/// The figure that a kind of finding goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// The least of any two hours in a row within the last 24.
    LeastOfDay,
    /// More than expected, added up for as long as it lasts.
    Excess,
    /// The least hour of the last 24.
    LeastHour,
    /// Of the last 24 hours, those that are usually quiet and in which water was drawn all the same.
    QuietDrawn,
    /// What passed more than through the meters behind, over three hours.
    LeftOver,
    /// A stretch of so many hours in five parts: the least but one.
    LeastPart { hours: u32 },
}

/// In what a [`Statistic`] is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Millilitres an hour.
    Rate,
    /// Millilitres.
    Volume,
    /// Whole hours.
    Hours,
}

impl Statistic {
    /// None where the rule goes by what passed and nothing else.
    pub const fn of(kind: &FindingKind) -> Option<Statistic> {
        match *kind {
            FindingKind::LeakLeastFlow { .. } => Some(Statistic::LeastOfDay),
            FindingKind::LeakSudden { .. } => Some(Statistic::Excess),
            FindingKind::LeakSteady { .. } => Some(Statistic::LeastHour),
            FindingKind::LeakCistern { .. } => Some(Statistic::QuietDrawn),
            FindingKind::LeakBalance { .. } => Some(Statistic::LeftOver),
            FindingKind::LoopLeak { hours, .. } => Some(Statistic::LeastPart { hours }),
            _ => None,
        }
    }

    pub const fn measure(self) -> Measure {
        match self {
            Statistic::Excess => Measure::Volume,
            Statistic::QuietDrawn => Measure::Hours,
            Statistic::LeastOfDay | Statistic::LeastHour | Statistic::LeftOver | Statistic::LeastPart { .. } => Measure::Rate,
        }
    }

    /// What it usually is, where the finding says so: millilitres an hour.
    pub const fn usual(kind: &FindingKind) -> Option<Rate> {
        match *kind {
            FindingKind::LeakLeastFlow { usual, .. } | FindingKind::LeakBalance { usual, .. } | FindingKind::LoopLeak { usual, .. } => {
                Some(usual)
            }
            _ => None,
        }
    }
}

/// One step of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    pub seen: Seen,
    /// None where too few days are known.
    pub expected: Option<Band>,
    /// In the unit of its [`Measure`]. None where too much is unknown.
    pub statistic: Option<i64>,
}

/// What the days before a start say of each hour of the day.
struct UsualDay {
    bands: [Option<Band>; 24],
    /// In fewer than half of these hours water was drawn.
    quiet: [bool; 24],
}

/// Draws `seen`, steps of `step` each, one after the other, from `from` on. What is expected is told by those of the [`EXPECTED_DAYS`] before
/// `start`, the earliest that it can have begun.
pub fn shown(seen: &[Seen], step: Ms, (start, from): (Ts, Ts), statistic: Option<Statistic>, tz: &TimeZone) -> Vec<Shown> {
    let usual = UsualDay::of(seen, step, start, tz);
    let figures = statistic.map(|s| figures(s, seen, step, &usual, tz)).unwrap_or_default();
    let all = seen.iter().enumerate().filter(|(_, s)| s.from >= from);
    let one = |(i, s): (usize, &Seen)| Shown {
        seen: *s,
        expected: usual.bands[hour_of_day(s.from, tz) % 24],
        statistic: figures.get(i).copied().flatten(),
    };
    all.map(one).collect()
}

impl UsualDay {
    fn of(seen: &[Seen], step: Ms, start: Ts, tz: &TimeZone) -> UsualDay {
        let mut hours: [Vec<i64>; 24] = std::array::from_fn(|_| vec![]);
        let before = seen.iter().filter(|s| s.from < start && s.from >= start - Ms::days(EXPECTED_DAYS));
        for (from, flow) in before.filter_map(|s| Some((s.from, s.flow?))) {
            hours[hour_of_day(from, tz) % 24].push(flow.0);
        }
        let fewest = FEWEST_DAYS * usize::try_from(HOUR.step.0 / step.0.max(1)).unwrap_or(1).max(1);
        let quiet = std::array::from_fn(|k| {
            let drawn = hours[k].iter().filter(|v| **v > 0).count();
            hours[k].len() >= fewest && 2 * drawn < hours[k].len()
        });
        let bands = hours.map(|mut of_hour| {
            of_hour.sort_unstable();
            let at = |quarter: usize| of_hour.get(of_hour.len() * quarter / 4).map(|v| Rate(*v));
            let band = Band { low: at(1)?, middle: at(2)?, high: at(3)? };
            (of_hour.len() >= fewest).then_some(band)
        });
        UsualDay { bands, quiet }
    }

    fn mean(&self) -> i64 {
        let known = self.bands.iter().flatten().map(|b| b.middle.0);
        known.clone().sum::<i64>() / i64::try_from(known.count().max(1)).unwrap_or(1)
    }
}

fn figures(statistic: Statistic, seen: &[Seen], step: Ms, usual: &UsualDay, tz: &TimeZone) -> Vec<Option<i64>> {
    let flows: Vec<Option<i64>> = seen.iter().map(|s| s.flow.map(|f| f.0)).collect();
    let day = usize::try_from(Ms::days(1).0 / step.0.max(1)).unwrap_or(1);
    match statistic {
        Statistic::LeastOfDay => {
            let two: Vec<Option<i64>> = (0..flows.len()).map(|i| Some((flows[i.checked_sub(1)?]? + flows[i]?) / 2)).collect();
            (0..two.len()).map(|i| least(trailing(&two, i, day)?)).collect()
        }
        Statistic::LeastHour => (0..flows.len()).map(|i| least(trailing(&flows, i, day)?)).collect(),
        Statistic::QuietDrawn => {
            let is_drawn = |s: &Seen| s.flow.map(|f| i64::from(f.0 > 0 && usual.quiet[hour_of_day(s.from, tz) % 24]));
            let drawn: Vec<Option<i64>> = seen.iter().map(is_drawn).collect();
            let enough = |last: &[Option<i64>]| (last.iter().flatten().count() >= KNOWN).then(|| last.iter().flatten().sum());
            (0..drawn.len()).map(|i| enough(trailing(&drawn, i, day)?)).collect()
        }
        Statistic::LeftOver => {
            let left: Vec<Option<i64>> = seen.iter().map(|s| Some(s.flow?.0 - s.behind?.0)).collect();
            (0..left.len()).map(|i| mean(trailing(&left, i, STRETCH)?)).collect()
        }
        Statistic::Excess => excess(seen, step, usual, tz),
        Statistic::LeastPart { hours } => {
            let part = (usize::try_from(hours).unwrap_or(PARTS) / PARTS).max(1);
            let of = |i: usize| {
                let parts: Option<Vec<i64>> = trailing(&flows, i, part * PARTS)?.chunks(part).map(mean).collect();
                let mut parts = parts?;
                parts.sort_unstable();
                parts.get(1).copied()
            };
            (0..flows.len()).map(of).collect()
        }
    }
}

/// The last `n` up to and with the one at `i`.
fn trailing(all: &[Option<i64>], i: usize, n: usize) -> Option<&[Option<i64>]> {
    all.get((i + 1).checked_sub(n)?..=i)
}

fn least(last: &[Option<i64>]) -> Option<i64> {
    let known = last.iter().flatten();
    if known.clone().count() < KNOWN { None } else { known.min().copied() }
}

/// None where one of them is unknown.
fn mean(all: &[Option<i64>]) -> Option<i64> {
    let sum: Option<i64> = all.iter().copied().sum();
    Some(sum? / i64::try_from(all.len().max(1)).unwrap_or(1))
}

fn excess(seen: &[Seen], step: Ms, usual: &UsualDay, tz: &TimeZone) -> Vec<Option<i64>> {
    let least = usual.mean() * ABOVE / 100;
    let mut sum = 0;
    let next = |s: &Seen| {
        let over = s.flow?.0 - usual.bands[hour_of_day(s.from, tz) % 24]?.middle.0;
        sum = if over >= least { sum + Rate(over).over(step.0).0 } else { 0 };
        Some(sum)
    };
    seen.iter().map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 28 * 24;

    /// Hours of which `litres(hour)` passed.
    fn hours(n: i64, litres: impl Fn(i64) -> i64) -> Vec<Seen> {
        (0..n).map(|h| Seen { from: Ts(0) + Ms::hours(h), flow: Some(Rate::litres(litres(h))), behind: None }).collect()
    }

    fn drawn(seen: &[Seen], statistic: Statistic) -> Vec<Shown> {
        let start = Ts(0) + Ms::hours(START);
        shown(seen, Ms::hours(1), (start, start - Ms::days(1)), Some(statistic), &TimeZone::UTC)
    }

    fn statistics(shown: &[Shown]) -> Vec<i64> {
        shown.iter().map(|s| s.statistic.unwrap() / 1_000).collect()
    }

    #[test]
    fn what_is_expected_is_told_by_the_same_hour_of_the_days_before_the_start() {
        // Of the hour k so many litres on day d: 100 k + d; a leak of 1000 from the start on is no measure.
        let all = drawn(&hours(START + 24, |h| 100 * (h % 24) + h / 24 + i64::from(h >= START) * 1_000), Statistic::LeastHour);
        assert_eq!(all.len(), 48);
        let at_five = Band { low: Rate::litres(507), middle: Rate::litres(514), high: Rate::litres(521) };
        assert_eq!((all[5].expected, all[29].expected), (Some(at_five), Some(at_five)));
        assert_eq!(all[29].seen.flow, Some(Rate::litres(1_528)));
    }

    #[test]
    fn few_days_and_unknown_hours_say_nothing() {
        let mut seen = hours(START + 24, |_| 10);
        seen.iter_mut().filter(|s| s.from < Ts(0) + Ms::hours(START - 24)).for_each(|s| s.flow = None);
        let all = drawn(&seen, Statistic::LeastHour);
        assert!(all.iter().all(|s| s.expected.is_none()), "a day is no measure");
        assert_eq!(all.iter().position(|s| s.statistic.is_some()), Some(19), "twenty hours are a day");
        assert_eq!(drawn(&hours(10, |_| 10), Statistic::LeastHour), [], "nothing is there to be shown");
    }

    #[test]
    fn the_least_of_a_day_rises_when_its_last_quiet_hours_do() {
        let house = |h: i64| if h % 24 < 5 { 20 } else { 300 } + i64::from(h >= START) * 100;
        let least = statistics(&drawn(&hours(START + 48, house), Statistic::LeastOfDay));
        assert_eq!((least[23], least[24 + 3], least[24 + 4], least[71]), (20, 20, 120, 120));
        let least = statistics(&drawn(&hours(START + 48, house), Statistic::LeastHour));
        assert_eq!((least[23], least[71]), (20, 120));
    }

    #[test]
    fn an_excess_adds_up_and_ends_with_its_flow() {
        let burst = |h: i64| 200 + i64::from((START + 2..START + 5).contains(&h)) * 1_000;
        let sums = statistics(&drawn(&hours(START + 8, burst), Statistic::Excess));
        assert_eq!(sums[24..], [0, 0, 1_000, 2_000, 3_000, 0, 0, 0]);
    }

    #[test]
    fn water_in_quiet_hours_is_counted() {
        let home = |h: i64| i64::from(h % 24 >= 6) * 40 + i64::from(h >= START && h % 2 == 0) * 9;
        let drawn: Vec<_> = drawn(&hours(START + 24, home), Statistic::QuietDrawn).iter().map(|s| s.statistic).collect();
        assert_eq!((drawn[23], drawn[26], drawn[47]), (Some(0), Some(2), Some(3)), "at 0, 2 and 4");
    }

    #[test]
    fn what_no_flat_passed_is_left_over_in_stretches_of_three_hours() {
        let mut seen = hours(START + 24, |h| 300 + i64::from(h >= START) * 90);
        seen.iter_mut().for_each(|s| s.behind = Some(Rate::litres(280)));
        seen[usize::try_from(START).unwrap() + 10].behind = None;
        let left: Vec<_> = drawn(&seen, Statistic::LeftOver).iter().map(|s| s.statistic.map(|v| v / 1_000)).collect();
        assert_eq!(left[23..28], [Some(20), Some(50), Some(80), Some(110), Some(110)]);
        assert_eq!(left[24 + 9..24 + 14], [Some(110), None, None, None, Some(110)]);
    }

    #[test]
    fn one_part_of_a_stretch_may_be_empty() {
        let looped = |h: i64| if h < START || h == START + 3 { 0 } else { 50 };
        let parts = statistics(&drawn(&hours(START + 12, looped), Statistic::LeastPart { hours: 5 }));
        assert_eq!(parts[24..], [0, 0, 0, 0, 50, 50, 50, 50, 50, 50, 50, 50]);
    }
}
