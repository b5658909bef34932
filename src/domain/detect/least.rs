//! The least flow of a day, against that of the days before: a leak never rests, people do.
//!
//! The least that passed in any two hours of the last day is compared with the same of up to 28 earlier days. Water that runs all day and all
//! night lifts it by all that it lets out; a morning of guests, a garden, a pool lift it hardly. What is reported is not learned: the days
//! since then are no measure, and the excess is followed until it is gone, and told again when it has grown by half.

use super::sight::{Learning, Sight, by_pulse};
use super::steps::{HOUR, Step, Steps};
use super::{News, Passage, Said, grown_by_half};
use crate::domain::finding::{FindingKind, Mark, StartRange};
use crate::domain::time::{Ms, Ts};
use crate::domain::units::{Amount, Rate};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// So many consecutive hours must be quiet together: one hour of few readings is too coarse.
const WINDOW: usize = 2;
/// The day that is looked at.
const DAY: usize = 24;
/// One more whole hour, for windows that begin before the day.
const KEPT: usize = DAY + WINDOW - 1;
/// Fewer hours of the day than this are no day.
const KNOWN: usize = 20;
/// Earlier days that are a measure, and how many it takes for a beginning.
const DAYS: usize = 28;
const FIRST_DAYS: usize = 10;
/// Days that stood out and were never reported are the new usual after so many hours.
const GIVEN_UP: u32 = 24 * 28;

/// How far above the usual, in halves of its spread, and for how many hours on end: faint for more than a day, strong for a few hours.
const FAINT_HALVES: i64 = 7;
const FAINT_HOURS: u32 = 30;
const STRONG_HALVES: i64 = 16;
const STRONG_HOURS: u32 = 3;

/// So many times what was told is told at once.
const MUCH: i64 = 4;
/// What rests for a night and goes on is the same matter for so long.
const SAME: Ms = Ms::days(7);

/// One use of water at night, a cistern or a glass: what passes in quiet hours is a handful of these, and varies as such a handful does.
const ONE_USE: i64 = 8_000;
/// So little in two hours is chance.
const LITTLE: i64 = 10_000;

/// What is known of the quiet hours of one point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeastFlow {
    /// Whole hours, the newest last; None where a part of one is unknown.
    hours: VecDeque<Option<Amount>>,
    running: Steps,
    /// The newest whole hour, in hours since 1970.
    last: Option<i64>,
    /// Of each day that counts: the least of two hours, and the mean of two hours.
    days: VecDeque<(Amount, Amount)>,
    /// Whole hours since a day was looked at.
    since_day: u32,
    /// Hours on end that stood out.
    out: u32,
    excess: Option<Excess>,
    /// What was reported last, and when.
    told: Option<(Amount, Ts)>,
}

/// More than usual, hour after hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Excess {
    hours: u32,
    /// The reading at which it was first seen.
    first: Mark,
}

/// The usual day, in two hours of it.
struct Usual {
    median: i64,
    spread: i64,
    /// The second highest of all: one odd night is no measure.
    high: i64,
    mean: i64,
}

impl LeastFlow {
    /// Takes the next passage; speaks when an hour ends. `pulse`: nothing smaller is seen.
    pub fn passed(&mut self, p: Passage, pulse: Amount) -> Option<Said> {
        let (mut running, mut said) = (self.running, None);
        running.passed(p, HOUR, &mut |hour| said = self.ended(hour, p.to, pulse).or(said.take()));
        self.running = running;
        said
    }

    /// What it can show now.
    pub fn sees(&self, pulse: Amount) -> Result<Vec<Sight>, Learning> {
        let sights = |pulse| {
            let usual = self.usual(pulse)?;
            // A night may be quieter than most.
            let mut all: Vec<i64> = self.days.iter().map(|(least, _)| least.0).collect();
            all.sort_unstable();
            let quieter = usual.median - all.get(1).copied()?;
            let smallest = (usual.high - usual.median + usual.spread / 2).max(usual.mean / 20).max(pulse.0 + pulse.0 / 5);
            let sight = |halves: i64, lasts: u32| {
                // Whole pulses, the first beyond the threshold; over two hours. All quiet hours of before must be out of the day.
                let least = (halves * usual.spread / 2).max(smallest);
                let seen = (least / pulse.0.max(1) + 1) * pulse.0.max(1) + quieter;
                let within = Ms::hours(KEPT as i64 + i64::from(lasts) + 2);
                Sight { rule: "leak_least_flow", rate: Rate(seen / WINDOW as i64), within, by_the_clock: None, by_pulse: false }
            };
            Some(vec![sight(FAINT_HALVES, FAINT_HOURS), sight(STRONG_HALVES, STRONG_HOURS)])
        };
        let fine = sights(pulse.min(Amount::litres(1))).unwrap_or_default();
        sights(pulse).map(|s| by_pulse(s, &fine)).ok_or_else(|| Learning::mute("leak_least_flow", self.days.len(), FIRST_DAYS))
    }

    /// A whole hour is over.
    fn ended(&mut self, hour: Step, at: Mark, pulse: Amount) -> Option<Said> {
        // After a pause of days nothing is left of the day before.
        if self.last.is_some_and(|last| hour.number != last + 1) {
            self.hours.clear();
            self.excess = None;
        }
        self.last = Some(hour.number);
        if self.hours.len() == KEPT {
            self.hours.pop_front();
        }
        self.hours.push_back(hour.volume);
        self.since_day += 1;
        let (least, mean) = self.day()?;
        let Some(usual) = self.usual(pulse) else {
            self.learn(least, mean);
            return None;
        };
        let over = least.0 - usual.median;
        let smallest = (usual.mean / 20).max(pulse.0 + pulse.0 / 5);
        let faint = 2 * over > FAINT_HALVES * usual.spread && least.0 > usual.high + usual.spread / 2 && over > smallest;
        let stands_out = 2 * over > 5 * usual.spread;
        self.out = if stands_out { self.out + 1 } else { 0 };
        self.told = self.told.filter(|(_, said)| stands_out || at.ts - *said < SAME);
        if !faint {
            self.excess = None;
            if !stands_out || self.out > GIVEN_UP {
                self.learn(least, mean);
            }
            return None;
        }
        let e = self.excess.get_or_insert(Excess { hours: 0, first: at });
        e.hours += 1;
        let e = *e;
        if self.told.is_none() && self.out > GIVEN_UP {
            self.learn(least, mean);
        }
        let long_enough = e.hours > if 2 * over > STRONG_HALVES * usual.spread { STRONG_HOURS } else { FAINT_HOURS };
        // On its first day the least rises hour by hour to what the leak lets out: that is no growth, unless it was taken for far too little.
        let is_news = |(before, said): (Amount, Ts)| {
            let settled = at.ts - said >= Ms::hours(DAY as i64);
            if settled { grown_by_half(before, Amount(over)) } else { over / MUCH >= before.0 }
        };
        if !long_enough {
            return None;
        }
        let news = News::of(self.told, at.ts, is_news)?;
        if news != News::Still {
            self.told = Some((Amount(over), at.ts));
        }
        let per_hour = |volume: i64| Rate(volume / WINDOW as i64);
        let kind = FindingKind::LeakLeastFlow {
            usual: per_hour(usual.median),
            seen: per_hour(least.0),
            days: u32::try_from(self.days.len()).unwrap_or(u32::MAX),
        };
        // The least of a day rises when its last quiet hours do: the water may run for a day by then.
        let start = StartRange { earliest: e.first.ts - Ms::hours(DAY as i64), latest: e.first.ts };
        let evidence = if e.first == at { vec![at] } else { vec![e.first, at] };
        Some(Said { kind, start, news, evidence })
    }

    /// The least and the mean of two hours of the last day, if enough of it is known.
    fn day(&self) -> Option<(Amount, Amount)> {
        let of_day = || self.hours.iter().rev().take(DAY);
        let known = of_day().flatten().fold(Known::default(), |v, a| Known { n: v.n + 1, sum: v.sum + *a });
        if self.hours.len() < KEPT || known.n < KNOWN {
            return None;
        }
        let pairs = self.hours.iter().zip(self.hours.iter().skip(1));
        let least = pairs.filter_map(|(a, b)| Some((*a)? + (*b)?)).min()?;
        Some((least, known.sum.scaled(WINDOW as i64, known.n as i64)))
    }

    /// Takes a day as a measure, once a day.
    fn learn(&mut self, least: Amount, mean: Amount) {
        if (self.since_day as usize) < DAY {
            return;
        }
        self.since_day = 0;
        if self.days.len() == DAYS {
            self.days.pop_front();
        }
        self.days.push_back((least, mean));
    }

    fn usual(&self, pulse: Amount) -> Option<Usual> {
        let n = self.days.len();
        if n < FIRST_DAYS {
            return None;
        }
        let mut sorted = [0i64; DAYS];
        let mut deviations = [0i64; DAYS];
        for (slot, (least, _)) in sorted.iter_mut().zip(&self.days) {
            *slot = least.0;
        }
        let sorted = sorted.get_mut(..n)?;
        sorted.sort_unstable();
        let median = sorted[n / 2];
        for (slot, v) in deviations.iter_mut().zip(sorted.iter()) {
            *slot = (v - median).abs();
        }
        let deviations = deviations.get_mut(..n)?;
        deviations.sort_unstable();
        let mean = self.days.iter().map(|(_, mean)| mean.0).sum::<i64>() / n as i64;
        // The median of the deviations is 0.6745 of a normal law's spread. No spread is smaller than that of a handful of uses, or than can be seen.
        let handful = ONE_USE.saturating_mul(median.max(LITTLE)).max(0).isqrt() * 6 / 5;
        let spread = (deviations[n / 2] * 3 / 2).max(pulse.0 * 7 / 10).max(mean / 40).max(handful);
        Some(Usual { median, spread, high: sorted[n - 2], mean })
    }
}

/// Hours of a day that are known.
#[derive(Default)]
struct Known {
    n: usize,
    sum: Amount,
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER: i64 = 900_000;

    /// Quarters of an hour: `litres(day, hour)` an hour.
    fn run(days: i64, litres: impl Fn(i64, i64) -> i64) -> (LeastFlow, Vec<(i64, News, i64, i64)>) {
        let (mut rule, mut said, mut register) = (LeastFlow::default(), vec![], 0);
        for q in 0..days * 96 {
            let from = Mark { ts: Ts(q * QUARTER), register: Amount(register) };
            let volume = litres(q / 96, q % 96 / 4) * 250;
            register += volume;
            let p = Passage { from, to: Mark { ts: Ts((q + 1) * QUARTER), register: Amount(register) }, volume: Amount(volume) };
            if let Some(Said { kind: FindingKind::LeakLeastFlow { usual, seen, .. }, news, .. }) = rule.passed(p, Amount::litres(1))
                && news != News::Still
            {
                said.push((q / 4, news, usual.0 / 1_000, seen.0 / 1_000));
            }
        }
        (rule, said)
    }

    /// A house: quiet at night, and a little different each night.
    fn house(day: i64, hour: i64) -> i64 {
        let night = [12, 20, 16, 9, 25, 14, 18].into_iter().cycle().nth(usize::try_from(day).unwrap()).unwrap();
        if hour < 5 { night } else { 300 + 40 * ((day * 7 + hour) % 5) }
    }

    #[test]
    fn what_runs_all_day_is_seen_after_its_first_night_and_told_again_when_it_has_grown() {
        let leak = |day, hour| house(day, hour) + if day >= 20 { 100 } else { 0 } + if day >= 30 { 100 } else { 0 };
        let (rule, said) = run(40, leak);
        let hours: Vec<_> = said.iter().map(|(h, news, ..)| (h - 20 * 24, *news)).collect();
        assert_eq!(hours.len(), 2, "{said:?}");
        assert!((3..=30).contains(&hours[0].0) && hours[0].1 == News::First, "{said:?}");
        assert!((240..=300).contains(&hours[1].0) && hours[1].1 == News::Grown, "{said:?}");
        assert!((10..=20).contains(&said[0].2) && (105..=125).contains(&said[0].3), "usual and seen: {said:?}");
        assert!(rule.days.iter().all(|(least, _)| least.0 < 60_000), "what was reported is not learned");
    }

    #[test]
    fn while_it_lasts_it_is_said_again_each_hour_from_the_next_day_on_and_never_learned() {
        let (mut rule, mut told) = (run(20, house).0, vec![]);
        let mut register = 10_000_000;
        for q in 20 * 96..130 * 96 {
            let from = Mark { ts: Ts(q * QUARTER), register: Amount(register) };
            register += (house(q / 96, q % 96 / 4) + 100) * 250;
            let p = Passage {
                from,
                to: Mark { ts: Ts((q + 1) * QUARTER), register: Amount(register) },
                volume: Amount(register - from.register.0),
            };
            told.extend(rule.passed(p, Amount::litres(1)).map(|s| s.news));
        }
        let still = told.iter().filter(|n| **n == News::Still).count();
        assert!(told[0] == News::First && still == told.len() - 1 && still > 100 * 24, "{} of {}", still, told.len());
    }

    #[test]
    fn a_flood_is_seen_within_hours_of_its_first_whole_day() {
        let (_, said) = run(25, |day, hour| house(day, hour) + if day >= 20 { 1_390 } else { 0 });
        assert!((3..=12).contains(&(said[0].0 - 20 * 24)), "{said:?}");
        // What was told first is less than it lets out, for some quiet hours of before are still in the day: that is set right within the day.
        assert!(said.len() == 2 && said[1].0 - said[0].0 < 24 && said[1].3 > 1_390, "{said:?}");
    }

    #[test]
    fn guests_gardens_pools_and_one_odd_night_are_no_leak() {
        let guests = |day, hour| house(day, hour) * if (20..27).contains(&day) { 2 } else { 1 };
        let garden = |day, hour| house(day, hour) + if day >= 20 && (2..4).contains(&hour) { 900 } else { 0 };
        let pool = |day, hour| house(day, hour) + if day == 20 && hour >= 9 { 1_400 } else { 0 };
        let odd = |day, hour| house(day, hour) + if day == 20 && hour < 6 { 60 } else { 0 };
        for (what, litres) in [("guests", &guests as &dyn Fn(i64, i64) -> i64), ("garden", &garden), ("pool", &pool), ("odd", &odd)] {
            assert_eq!(run(40, litres).1, [], "{what}");
        }
    }

    #[test]
    fn what_is_there_from_the_first_day_is_the_usual_and_a_pause_is_no_measure() {
        assert_eq!(run(40, |day, hour| house(day, hour) + 200).1, []);
        let mut rule = run(20, house).0;
        let at = |ts: i64, l: i64| Mark { ts: Ts(ts), register: Amount::litres(l) };
        // Three days in one passage, and a year in another.
        let days = rule.days.len();
        let three = Passage { from: at(20 * 86_400_000, 0), to: at(23 * 86_400_000, 9_000), volume: Amount::litres(9_000) };
        assert!(rule.passed(three, Amount::litres(1)).is_none());
        let year = Passage { from: at(23 * 86_400_000, 9_000), to: at(400 * 86_400_000, 9_001), volume: Amount::litres(1) };
        assert!(rule.passed(year, Amount::litres(1)).is_none());
        assert_eq!((rule.days.len(), rule.hours.iter().flatten().count()), (days, 0));
    }
}
