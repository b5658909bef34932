//! A flow far above the usual of the hour that does not stop: a riser that bursts.
//!
//! By quarters of an hour, or by hours where the meter is heard no oftener. What is above the usual is added up for as long as it lasts; it is
//! reported when it comes to more than [`MEAN_HOURS`] of the mean flow, to more than chance, and to more than any such run of the last four
//! weeks. People work by the clock: what begins with the full hour may be a pool, a garden or craftsmen, and has to last longer than they do.

use super::sight::{Learning, Sight, by_pulse};
use super::steps::{HOUR, Length, QUARTER, Step, Steps, hour_of_day, time_of_day};
use super::{News, Passage, Said, grown_by_half};
use crate::domain::finding::{FindingKind, Mark, StartRange};
use crate::domain::time::{Ms, Ts};
use crate::domain::units::{Amount, Rate};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Days that are a measure, and how many it takes for a beginning.
const DAYS: usize = 28;
const FIRST_DAYS: usize = 7;
/// Days whose largest run is remembered: what comes once a month is seen twice.
const RUN_DAYS: usize = 62;
/// Fewer hours of a day than this are no day.
const KNOWN: usize = 20;
/// A day becomes a measure when it is over for two more.
const LAG: usize = 2;
const UNKNOWN: u32 = u32::MAX;

/// A run goes on while the flow is above the usual by this part of the mean flow, per cent.
const ABOVE: i64 = 35;
/// It must come to so many hours of the mean flow, in tenths, and to so many spreads.
const MEAN_HOURS: i64 = 22;
const SPREADS: i64 = 8;
/// And to this part of the largest run of before, per cent.
const LARGEST: i64 = 130;
/// Less in an hour is a tap.
const LEAST: Amount = Amount::litres(200);
/// It must last so long; what begins by the clock at night, and by day.
const LASTS: Ms = Ms::hours(1);
const GARDEN: Ms = Ms::hours(4);
const WORK: Ms = Ms::hours(17);
/// It is there whole when it has this part of its mean, and not at all below that one, per cent: by quarters of an hour, and by hours, where
/// what begins at any time looks like it far more often.
const WHOLE: (i64, i64) = (62, 88);
const PARTLY: (i64, i64) = (40, 12);
/// What stops and begins again within so long is the same matter.
const SAME: Ms = Ms::days(2);
/// What was reported and stopped by itself, and comes again within so long, is a habit.
const HABIT: Ms = Ms::days(90);
/// After water was away it runs into every tank and cistern for so long.
const SURGE: Ms = Ms::hours(4);

/// One use of water at night: see [`super::least`].
const ONE_USE: i64 = 8_000;

/// What is known of the hours of one point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sudden {
    hours: Steps,
    quarters: Steps,
    /// When a whole quarter of an hour was known last.
    finest: Option<Ts>,
    /// The day that goes on and those that wait, the newest last; decilitres by hour of the day.
    waiting: VecDeque<Vec<u32>>,
    days: VecDeque<Vec<u32>>,
    usual: Option<Usual>,
    run: Option<Run>,
    /// The largest run of each day, and of this one.
    runs: VecDeque<Amount>,
    largest: Amount,
    /// When the flow was far below the usual last.
    dry: Option<Ts>,
    told: Option<(Rate, Ts)>,
    /// When a run began that was reported and stopped.
    healed: Option<Ts>,
}

/// The usual day: what passes in each hour, and how much that varies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Usual {
    hour: [Amount; 24],
    spread: [Amount; 24],
    mean: Amount,
}

/// More than usual, without a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    start: Mark,
    steps: i64,
    excess: Amount,
    volume: Amount,
    first_volume: Amount,
    /// Square of the spread, in square centilitres.
    variance: i64,
    /// Its first steps' excess.
    first: [Amount; 4],
    is_told: bool,
}

impl Sudden {
    /// Takes the next passage; speaks when a quarter of an hour, or an hour, ends. `pulse`: nothing smaller is seen.
    pub fn passed(&mut self, p: Passage, pulse: Amount, tz: &TimeZone) -> Option<Said> {
        let (mut hours, mut quarters, mut said) = (self.hours, self.quarters, None);
        quarters.passed(p, QUARTER, &mut |q| {
            if q.volume.is_some() {
                self.finest = Some(q.from(QUARTER));
                said = self.step(q, QUARTER, p.to, pulse, tz).or(said.take());
            }
        });
        hours.passed(p, HOUR, &mut |h| {
            let is_coarse = self.finest.is_none_or(|at| h.from(HOUR) - at > HOUR.step);
            if is_coarse {
                said = self.step(h, HOUR, p.to, pulse, tz).or(said.take());
            }
            self.day(h, pulse, tz);
        });
        (self.hours, self.quarters) = (hours, quarters);
        said
    }

    /// What it can show now.
    pub fn sees(&self, pulse: Amount) -> Result<Vec<Sight>, Learning> {
        if self.usual.is_none() {
            return Err(Learning::mute("leak_sudden", self.days.len(), FIRST_DAYS));
        }
        let length = if self.finest.is_some() { QUARTER } else { HOUR };
        let largest = self.runs.iter().copied().max().unwrap_or_default();
        let sights = |pulse: Amount| {
            let usual = Usual::of_days(&self.days, pulse);
            // By hours it cannot be told whether something begins by the clock: only what lasts longer than people work is sure.
            let within = if length == QUARTER { vec![Ms::hours(2), Ms::hours(12)] } else { vec![WORK + Ms::hours(2)] };
            within.into_iter().map(|within| usual.sight(within, length, largest, pulse)).collect::<Vec<_>>()
        };
        Ok(by_pulse(sights(pulse), &sights(pulse.min(Amount::litres(1)))))
    }

    fn step(&mut self, step: Step, length: Length, at: Mark, pulse: Amount, tz: &TimeZone) -> Option<Said> {
        let usual = self.usual.as_ref()?;
        let Some(volume) = step.volume else {
            self.end();
            return None;
        };
        let from = step.from(length);
        let (expected, spread) = usual.of(from, length, pulse, tz);
        if volume.0 * 8 < expected.0 && expected.0 > 3 * spread.0 {
            self.dry = Some(from);
        }
        let mean = usual.mean;
        let excess = volume - expected;
        if excess.0 * 100 * HOUR.step.0 < mean.0 * ABOVE * length.step.0 {
            self.end();
            return None;
        }
        let start = Mark { ts: from, register: at.register - volume };
        let new = Run {
            start,
            steps: 0,
            excess: Amount::ZERO,
            volume: Amount::ZERO,
            first_volume: volume,
            variance: 0,
            first: [Amount(i64::MIN); 4],
            is_told: false,
        };
        // What stops and begins again is the same matter for a while.
        if self.run.is_none() {
            self.told = self.told.filter(|(_, said)| from - *said < SAME);
        }
        let run = self.run.get_or_insert(new);
        if let Some(first) = usize::try_from(run.steps).ok().and_then(|i| run.first.get_mut(i)) {
            *first = excess;
        }
        run.steps += 1;
        run.excess += excess;
        run.volume += volume;
        run.variance = run.variance.saturating_add((spread.0 / 10).saturating_mul(spread.0 / 10));
        let run = *run;
        let largest = self.runs.iter().copied().max().unwrap_or_default();
        let lasted = Ms(run.steps * length.step.0);
        let is_much = run.excess.0 * 10 >= mean.0 * MEAN_HOURS
            && run.excess.0 / 10 >= SPREADS * run.variance.isqrt()
            && run.excess.0 * 100 >= largest.0 * LARGEST
            && run.excess.per(lasted.0).0 >= LEAST.0;
        let is_surge = self.dry.is_some_and(|dry| run.start.ts - dry < SURGE);
        if !is_much || run.steps < 3 || is_surge || lasted < run.must_last(length, tz) {
            return None;
        }
        // It began within the first step: that is no measure of it.
        let (excess, volume, whole) = (run.excess - run.first[0], run.volume - run.first_volume, lasted - length.step);
        let (seen, over) = (volume.per(whole.0.max(1)), excess.per(whole.0.max(1)));
        if let Some(run) = &mut self.run {
            run.is_told = true;
        }
        let is_news = |(before, said): (Rate, Ts)| at.ts - said >= Ms::days(1) && grown_by_half(Amount(before.0), Amount(over.0));
        let news = News::of(self.told, at.ts, is_news)?;
        if news != News::Still {
            self.told = Some((over, at.ts));
        }
        let kind = FindingKind::LeakSudden { from: run.start.ts, usual: Rate(seen.0 - over.0), seen };
        let start = StartRange { earliest: run.start.ts - length.step, latest: run.start.ts + length.step };
        Some(Said { kind, start, news, evidence: vec![run.start, at] })
    }

    /// The run is over. What was reported is no measure, unless it comes again and again and stops by itself.
    fn end(&mut self) {
        let Some(run) = self.run.take() else { return };
        let is_habit = self.healed.is_some_and(|before| run.start.ts - before < HABIT);
        if !run.is_told || is_habit {
            self.largest = self.largest.max(run.excess);
        }
        if run.is_told {
            self.healed = Some(run.start.ts);
        }
    }

    /// Takes note of an hour for the usual day.
    fn day(&mut self, hour: Step, pulse: Amount, tz: &TimeZone) {
        let k = hour_of_day(hour.from(HOUR), tz);
        let decilitres = |v: Amount| u32::try_from(v.0.max(0) / 100).unwrap_or(UNKNOWN - 1).min(UNKNOWN - 1);
        if self.waiting.is_empty() {
            self.waiting.push_back(vec![UNKNOWN; 24]);
        }
        if let Some(slot) = self.waiting.back_mut().and_then(|day| day.get_mut(k)) {
            *slot = hour.volume.map_or(UNKNOWN, decilitres);
        }
        if k < 23 {
            return;
        }
        if self.runs.len() == RUN_DAYS {
            self.runs.pop_front();
        }
        self.runs.push_back(std::mem::take(&mut self.largest));
        // While something is reported, days are no measure.
        if self.run.is_some_and(|run| run.is_told) {
            self.waiting.clear();
        } else if self.waiting.len() > LAG
            && let Some(day) = self.waiting.pop_front()
            && day.iter().filter(|x| **x != UNKNOWN).count() >= KNOWN
        {
            if self.days.len() == DAYS {
                self.days.pop_front();
            }
            self.days.push_back(day);
            self.usual = (self.days.len() >= FIRST_DAYS).then(|| Usual::of_days(&self.days, pulse));
        }
        self.waiting.push_back(vec![UNKNOWN; 24]);
    }
}

impl Run {
    /// How long it must last to be no work.
    fn must_last(&self, length: Length, tz: &TimeZone) -> Ms {
        let part = |y: Amount| y.0.saturating_mul(self.steps * 100) / self.excess.0.max(1);
        let (whole, partly) = if length == QUARTER { (WHOLE.0, PARTLY.0) } else { (WHOLE.1, PARTLY.1) };
        let onset = self.first.iter().position(|y| part(*y) >= whole);
        let is_timed = onset.is_some_and(|i| {
            let begins = Ts(self.start.ts.0 + i as i64 * length.step.0);
            let before = i.checked_sub(1).and_then(|i| self.first.get(i));
            time_of_day(begins, tz) % HOUR.step.0 == 0 && before.is_none_or(|y| part(*y) < partly)
        });
        match hour_of_day(self.start.ts, tz) {
            _ if !is_timed => LASTS,
            5..21 => WORK,
            _ => GARDEN,
        }
    }
}

impl Usual {
    fn of_days(days: &VecDeque<Vec<u32>>, pulse: Amount) -> Usual {
        let (mut hour, mut deviation) = ([Amount::ZERO; 24], [Amount::ZERO; 24]);
        for k in 0..24 {
            let of_hour = || days.iter().filter_map(|d| d.get(k).copied().filter(|x| *x != UNKNOWN));
            let middle = median(of_hour().collect());
            hour[k] = Amount(i64::from(middle) * 100);
            deviation[k] = Amount(i64::from(median(of_hour().map(|x| x.abs_diff(middle)).collect())) * 100);
        }
        let mean = Amount(hour.iter().map(|a| a.0).sum::<i64>() / 24);
        let mut spread = deviation;
        for k in 0..24 {
            let smooth = (deviation[(k + 23) % 24].0 + 2 * deviation[k].0 + deviation[(k + 1) % 24].0) / 4;
            // The median of the deviations is 0.6745 of a normal law's spread; few days tell it badly. No spread is smaller than that of a handful of
            // uses, or than can be seen.
            let told = smooth * 3 / 2 * (days.len() as i64 + 2) / days.len().max(1) as i64;
            let handful = ONE_USE.saturating_mul(hour[k].0).max(0).isqrt();
            spread[k] = Amount(told.max(handful).max(pulse.0 * 2 / 5).max(mean.0 / 50).max(1_000));
        }
        Usual { hour, spread, mean }
    }

    /// The smallest flow that is told within so long, whenever it begins.
    fn sight(&self, within: Ms, length: Length, largest: Amount, pulse: Amount) -> Sight {
        let per_hour = HOUR.step.0 / length.step.0;
        // The step in which it begins, and the reading that ends the last one, tell nothing.
        let steps = within.0 / length.step.0 - 1;
        let of_step = |k: usize| if length == HOUR { self.spread[k].0 } else { (self.spread[k].0 * 6 / 10).max(pulse.0 * 2 / 5) };
        // No step may fall below what a run has: by chance, or by a pulse that comes in the next one.
        let highest = (0..24).map(of_step).max().unwrap_or_default();
        // Between two hours the usual goes straight; people may stop with the stroke.
        let steepest = (0..24).map(|k| (self.hour[(k + 23) % 24].0 - self.hour[k].0).abs()).max().unwrap_or_default();
        let edge = if length == HOUR { 0 } else { steepest * 3 / 8 };
        let unbroken = self.mean.0 * ABOVE / 100 + (2 * highest + pulse.0) * per_hour + edge;
        let much = (0..24).map(|begins| {
            let variance: i64 = (0..steps)
                .map(|i| of_step((begins + usize::try_from(i / per_hour).unwrap_or(0)) % 24) / 10)
                .map(|s| s.saturating_mul(s))
                .sum();
            // One spread more than is demanded: it may be a quiet day.
            let chance = (SPREADS + 1) * variance.isqrt() * 10;
            (self.mean.0 * MEAN_HOURS / 10).max(chance).max(largest.0 * LARGEST / 100)
        });
        let rate = (much.max().unwrap_or_default() * per_hour / steps.max(1)).max(unbroken).max(LEAST.0);
        Sight {
            rule: "leak_sudden",
            rate: Rate(rate),
            within,
            by_the_clock: Some(WORK + HOUR.step).filter(|most| within < *most),
            by_pulse: false,
        }
    }

    /// What passes in a step from `from` on, and how much that varies.
    fn of(&self, from: Ts, length: Length, pulse: Amount, tz: &TimeZone) -> (Amount, Amount) {
        let k = hour_of_day(from, tz);
        if length == HOUR {
            return (self.hour[k], self.spread[k]);
        }
        // Between the middles of two hours the flow goes straight.
        let middle = time_of_day(from, tz) % HOUR.step.0 + length.step.0 / 2;
        let (a, b) = if middle < HOUR.step.0 / 2 { ((k + 23) % 24, k) } else { (k, (k + 1) % 24) };
        let way = (middle + HOUR.step.0 / 2) % HOUR.step.0;
        let flow = (self.hour[a].0 * (HOUR.step.0 - way) + self.hour[b].0 * way) / HOUR.step.0;
        let expected = Amount(flow).scaled(length.step.0, HOUR.step.0);
        // A quarter varies half as much as an hour, and by its pulses.
        (expected, Amount((self.spread[k].0 * 6 / 10).max(pulse.0 * 2 / 5)))
    }
}

fn median(mut values: Vec<u32>) -> u32 {
    let middle = values.len() / 2;
    if values.is_empty() { 0 } else { *values.select_nth_unstable(middle).1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (minutes, litres an hour seen) of what is said when `litres(minute)` an hour pass, read every `every` minutes.
    fn run(days: i64, every: i64, litres: impl Fn(i64) -> i64) -> Vec<(i64, i64, News)> {
        let (mut rule, mut said, mut register) = (Sudden::default(), vec![], 0);
        for at in (0..days * 1_440).step_by(usize::try_from(every).unwrap()) {
            let from = Mark { ts: Ts(at * 60_000), register: Amount(register) };
            register += (at..at + every).map(|m| litres(m) * 1_000 / 60).sum::<i64>();
            let to = Mark { ts: Ts((at + every) * 60_000), register: Amount(register) };
            let p = Passage { from, to, volume: to.register - from.register };
            if let Some(Said { kind: FindingKind::LeakSudden { seen, .. }, news, .. }) = rule.passed(p, Amount::litres(1), &TimeZone::UTC)
                && news != News::Still
            {
                said.push((at + every, seen.0 / 1_000, news));
            }
        }
        said
    }

    /// Some forty flats.
    fn house(minute: i64) -> i64 {
        let (day, hour) = (minute / 1_440, minute / 60 % 24);
        let wave = (day * 37 + hour * 11 + minute / 15 * 7) % 60;
        if hour < 5 { 120 + wave } else { 480 + 3 * wave }
    }

    const DAY_20: i64 = 20 * 1_440;

    #[test]
    fn a_burst_is_seen_within_two_hours_and_told_once() {
        for every in [5, 15] {
            // At ten past three in the afternoon.
            let start = DAY_20 + 15 * 60 + 10;
            let said = run(25, every, |m| house(m) + i64::from(m >= start) * 1_390);
            assert_eq!(said.len(), 1, "{said:?}");
            assert!((45..=120).contains(&(said[0].0 - start)) && said[0].1 > 1_500, "every {every} minutes: {said:?}");
        }
        let start = DAY_20 + 15 * 60 + 50;
        let said = run(25, 60, |m| house(m) + i64::from(m >= start) * 1_390);
        assert!(said.len() == 1 && said[0].0 - start <= 250, "hourly: {said:?}");
    }

    #[test]
    fn what_begins_by_the_clock_has_to_last_longer_than_people_work() {
        let from = |hour: i64, hours: i64, l: i64| {
            move |m: i64| house(m) + i64::from((DAY_20 + hour * 60..DAY_20 + (hour + hours) * 60).contains(&m)) * l
        };
        assert_eq!(run(25, 5, from(9, 14, 1_200)), [], "a pool");
        assert_eq!(run(25, 15, from(9, 8, 700)), [], "craftsmen");
        assert_eq!(run(25, 5, from(2, 1, 1_500)), [], "a garden at night");
        let said = run(25, 5, from(9, 48, 1_200));
        assert!(said.len() == 1 && (17..=18).contains(&((said[0].0 - DAY_20) / 60 - 9)), "{said:?}");
    }

    #[test]
    fn what_a_house_does_every_day_is_the_usual() {
        // A roof tank that is filled at ten to three.
        let tank = |m: i64| house(m) / 3 + i64::from((170..230).contains(&(m % 1_440))) * 6_000;
        assert_eq!(run(40, 5, tank), []);
    }

    #[test]
    fn after_water_was_away_every_tank_is_filled() {
        let outage = |m: i64| match m - DAY_20 - 600 {
            0..240 => 0,
            240..330 => house(m) + 1_500,
            _ => house(m),
        };
        assert_eq!(run(25, 5, outage), []);
    }

    #[test]
    fn a_second_one_is_told_after_the_first_is_mended() {
        let leaks = |m: i64| (DAY_20 + 615..DAY_20 + 1_000).contains(&m) || m >= DAY_20 + 5 * 1_440 + 130;
        let said = run(28, 5, |m| house(m) + i64::from(leaks(m)) * 1_390);
        assert_eq!(said.iter().map(|s| (s.0 / 1_440, s.2)).collect::<Vec<_>>(), [(20, News::First), (25, News::First)]);
    }
}
