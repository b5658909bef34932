//! The water of one home, hour by hour, against what that home and any home does at that hour.
//!
//! People rest, a leak does not. For each hour of the day the rule keeps how often how much was drawn: a histogram that forgets over four
//! weeks. Of each whole hour it then asks, for a row of leak sizes: how likely is this with such a leak on top of the usual, and how likely
//! without? The logarithms of these ratios are summed; a sum never falls below zero (Page, Biometrika 41, 1954). Each is summed twice: against
//! the home's own law, and against that of any home that is lived in. Both must be convinced, so that a flat that is let after a year is no
//! leak, and neither is what always ran.
//!
//! Two kinds of leaks: one that runs all the time, and a cistern that runs, rests and runs again. Of the second only hours that are usually
//! quiet tell.

mod sight;

use super::steps::{HOUR, Step, Steps, hour_of_day};
use super::{News, Passage, Said};
use crate::domain::finding::{FindingKind, Mark, StartRange};
use crate::domain::time::{Ms, Ts};
use crate::domain::units::{Amount, Rate};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::f64::consts::LN_2;

/// Upper edges of the histogram's bins in counts (see [`unit`]): fine where a leak is told from a glass.
const EDGES: [u32; BINS] = [0, 1, 2, 3, 4, 5, 7, 9, 12, 16, 21, 28, 37, 49, 65, 85, 110, 145, 190, 250, 330, 450, 650, 1_000];
const BINS: usize = 24;
/// Weight of one hour in a histogram.
const ONE: u16 = 64;
/// With each new one an hour of the day forgets a part of so much: four weeks.
const FORGET: u16 = 28;
/// What is known of any home weighs in a home's own law like so many hours.
const PRIOR: f64 = 2.0;
/// Newer hours are not learned: a leak is to stand out before it is the usual.
const LAG: usize = 36;
/// What stands out and is not reported for so many hours is a new habit.
const NEW_HABIT: usize = 240;

/// Leaks that run all the time, litres an hour.
const STEADY: [f64; 13] = [2.5, 4.0, 6.5, 10.0, 16.0, 25.0, 40.0, 65.0, 100.0, 160.0, 250.0, 400.0, 650.0];
/// Cisterns: at most so many litres in an hour.
const CISTERN: [f64; 5] = [30.0, 60.0, 120.0, 250.0, 500.0];
const SUMS: usize = STEADY.len() + CISTERN.len();
/// The part of hours in which a cistern runs.
const DUTY: f64 = 0.6;
/// A steady leak lets out so much of its size at least and at most: pressure, and the row's gaps.
const SMALLEST: f64 = 0.75;
const LARGEST: f64 = 1.3;
/// An hour in which water is drawn less often than this is quiet.
const QUIET: f64 = 0.5;

/// How often any home draws water in an hour of the day, per cent. 32 homes in Alicante (DAIAD, hourly, a year) and synthetic ones agree within
/// ten points.
const LIVED_IN: [u8; 24] = [50, 36, 28, 24, 24, 30, 48, 64, 70, 70, 66, 65, 65, 64, 64, 66, 68, 70, 72, 73, 74, 74, 72, 64];
/// For a cistern any home is a busy one: as if 1.7 of them were one, so that its share of quiet hours is that power of the other's.
const BUSY: [u8; 24] = [69, 53, 43, 37, 37, 45, 67, 82, 87, 87, 84, 83, 83, 82, 82, 84, 86, 87, 89, 89, 90, 90, 89, 82];
/// How many magnitudes a bin holds: the logarithm of its edges' ratio, the lowest from half a count on.
const MAGNITUDES: [f64; BINS] = [
    0.0, LN_2, LN_2, 0.405465, 0.287682, 0.223144, 0.336472, 0.251314, 0.287682, 0.287682, 0.271934, 0.287682, 0.278713, 0.280902,
    0.282567, 0.268264, 0.257829, 0.276253, 0.270290, 0.274437, 0.277632, 0.310155, 0.367725, 0.430783,
];

/// What it takes to speak.
struct Demand {
    /// Nats against the own law, and against any home's.
    own: f64,
    any: f64,
    /// Hours that it must last.
    hours: i64,
    /// Nats that are taken off each hour, so that a law that fits badly does not add up.
    own_allowance: f64,
    any_allowance: f64,
    /// The most that one hour counts.
    gain: f64,
}

const FAINT: Demand = Demand { own: 21.0, any: 32.0, hours: 25, own_allowance: 0.15, any_allowance: 0.1, gain: 3.0 };
const STRONG: Demand = Demand { hours: 12, ..FAINT };
const BURST: Demand = Demand { own: 14.0, any: 14.0, hours: 2, gain: 5.0, ..FAINT };
const RUNNING: Demand = Demand { own: 28.0, any: 13.0, hours: 36, own_allowance: 0.1, any_allowance: 0.1, gain: 3.0 };
/// The most that one hour counts against a leak.
const LOSS: f64 = -5.0;
/// A sum keeps no more, or it would take days to fall.
const FULL: i32 = 200_000;
/// From this part of its demand on a sum is no calm.
const STIRRING: f64 = 0.33;
/// Below this none is, whatever its demand, in thousandths of a nat.
const NEVER_STIRS: i32 = 4_200;
/// What rests and goes on is the same matter for so long.
const SAME: Ms = Ms::days(7);

/// A size of leak that is looked for.
#[derive(Clone, Copy)]
enum Leak {
    /// Litres an hour.
    Steady(f64),
    /// Litres in an hour at most.
    Cistern(f64),
}

impl Leak {
    fn all() -> impl Iterator<Item = Leak> {
        STEADY.into_iter().map(Leak::Steady).chain(CISTERN.into_iter().map(Leak::Cistern))
    }

    const fn demand(self) -> Demand {
        match self {
            Leak::Steady(l) if l >= 250.0 => BURST,
            Leak::Steady(l) if l >= 40.0 => STRONG,
            Leak::Steady(_) => FAINT,
            Leak::Cistern(_) => RUNNING,
        }
    }

    /// Log of how much likelier `count` is with it than without. `unit`: litres of a count.
    fn ratio(self, law: &Law, count: f64, unit: f64) -> f64 {
        let without = law.at(count);
        let with = match self {
            // A count more or less by where the hour cuts the pulses.
            Leak::Steady(l) => law.density(count - l / unit * LARGEST - 0.5, count - l / unit * SMALLEST + 0.5),
            // It runs in a part of the hours, and for any part of them.
            Leak::Cistern(l) => (1.0 - DUTY) * without + DUTY * law.density(count - l / unit - 0.5, count + 0.5),
        };
        ((with + 1e-7) / (without + 1e-7)).ln()
    }
}

/// What is known of the hours of one home.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    hours: Steps,
    /// Of a count in the histograms, in millilitres: another one begins anew.
    unit: i64,
    /// Of each hour of the day. Empty before the first hour.
    histograms: Vec<[u16; BINS]>,
    /// Hours that are not learned yet: hour of the day, bin.
    waiting: VecDeque<(u8, u8)>,
    /// In the order of [`Leak::all`].
    sums: Vec<Sum>,
    /// What was reported last, and when.
    told: Option<(Rate, Ts)>,
}

/// The evidence for one size of leak, in thousandths of a nat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sum {
    own: i32,
    any: i32,
    /// Where the smaller of the two left zero.
    since: Option<Mark>,
    /// Whole hours since then; of the quiet ones, how many there were, in how many water was drawn, and usually is (thousandths).
    hours: u32,
    quiet: u32,
    drawn: u32,
    usual: u32,
}

impl Sum {
    /// At one it speaks.
    fn score(&self, demand: &Demand) -> f64 {
        (f64::from(self.own) / demand.own).min(f64::from(self.any) / demand.any) / 1_000.0
    }
}

/// How likely which count is, as a cumulative function.
struct Law([f64; BINS + 1]);

/// A count of n fills n - ½ to n + ½.
const HALF: f64 = 0.5;
/// Where the bins end, by that.
const UPPER: [f64; BINS] = {
    let (mut upper, mut b) = ([0.0; BINS], 0);
    while b < BINS {
        upper[b] = EDGES[b] as f64 + HALF;
        b += 1;
    }
    upper
};

impl Law {
    fn of(mass: &[f64; BINS]) -> Law {
        let mut cumulative = [0.0; BINS + 1];
        for (i, m) in mass.iter().enumerate() {
            cumulative[i + 1] = cumulative[i] + m;
        }
        Law(cumulative)
    }

    /// How likely any water is drawn.
    fn drawn(&self) -> f64 {
        1.0 - self.0[1]
    }

    /// Mass up to `x`; a count of n fills n - ½ to n + ½.
    fn up_to(&self, x: f64) -> f64 {
        if x <= -HALF {
            return 0.0;
        }
        let i = UPPER.partition_point(|upper| *upper < x);
        if i >= BINS {
            return self.0[BINS];
        }
        let low = if i == 0 { -HALF } else { UPPER[i - 1] };
        let high = UPPER[i];
        self.0[i] + (self.0[i + 1] - self.0[i]) * (x - low) / (high - low)
    }

    /// How likely just this count is.
    fn at(&self, count: f64) -> f64 {
        self.density(count - HALF, count + HALF)
    }

    /// Mean density between two counts.
    fn density(&self, a: f64, b: f64) -> f64 {
        (self.up_to(b) - self.up_to(a)) / (b - a)
    }
}

/// An hour on its way through the sums.
struct Look {
    count: f64,
    unit: f64,
    own: Law,
    any: Law,
    busy: Law,
}

impl Home {
    /// Takes the next passage; speaks when an hour ends. `pulse`: nothing smaller is seen.
    pub fn passed(&mut self, p: Passage, pulse: Amount, tz: &TimeZone) -> Option<Said> {
        let (mut hours, mut said) = (self.hours, None);
        hours.passed(p, HOUR, &mut |hour| said = self.ended(hour, p.to, pulse, tz).or(said.take()));
        self.hours = hours;
        said
    }

    /// True while more is seen than usual, told or not: what is seen now is no measure.
    pub fn is_stirring(&self) -> bool {
        let is_much = |s: &Sum| s.own.min(s.any) >= NEVER_STIRS;
        self.sums.iter().any(is_much) && Leak::all().zip(&self.sums).any(|(leak, s)| s.score(&leak.demand()) >= STIRRING)
    }

    fn ended(&mut self, hour: Step, at: Mark, pulse: Amount, tz: &TimeZone) -> Option<Said> {
        let volume = hour.volume?;
        let unit = unit(pulse);
        if self.histograms.is_empty() || self.unit != unit {
            *self = Home { unit, histograms: vec![[0; BINS]; 24], sums: vec![Sum::default(); SUMS], ..Home::default() };
        }
        let k = hour_of_day(hour.from(HOUR), tz);
        let count = ((volume.0.max(0) + unit / 2) / unit) as f64;
        // An hour without water speaks for no leak: most hours of most homes end here.
        if count == 0.0 && self.sums.iter().all(|s| s.own == 0 && s.any == 0) {
            self.learn(k, 0);
            self.told = self.told.filter(|(_, said)| at.ts - *said < SAME);
            return None;
        }
        let litres = unit as f64 / 1_000.0;
        let drawn = drawn_by_any(litres);
        let any = any_home(LIVED_IN[k], &drawn);
        let look =
            Look { count, unit: litres, own: Law::of(&self.own(k, &any)), any: Law::of(&any), busy: Law::of(&any_home(BUSY[k], &drawn)) };
        let before = Mark { ts: hour.from(HOUR), register: at.register - volume };
        for (leak, sum) in Leak::all().zip(&mut self.sums) {
            sum.take(leak, &look, before);
        }
        self.learn(k, bin_of(look.count));
        if !self.is_stirring() {
            self.told = self.told.filter(|(_, said)| at.ts - *said < SAME);
        }
        let (leak, sum) = self.found()?;
        self.say(leak, &sum, at)
    }

    /// The leak that there is the best evidence for, one that never rests before a cistern; once it was told, the largest: it may have grown.
    fn found(&self) -> Option<(Leak, Sum)> {
        if !self.is_stirring() {
            return None;
        }
        let scored = Leak::all().zip(&self.sums).filter_map(|(leak, s)| {
            let demand = leak.demand();
            let score = s.score(&demand);
            (score >= 1.0 && i64::from(s.hours) >= demand.hours).then_some((leak, *s, score))
        });
        let rank = |leak: &Leak, score: f64| match leak {
            Leak::Steady(l) if self.told.is_some() => (1, *l),
            Leak::Steady(_) => (1, score),
            Leak::Cistern(_) => (0, score),
        };
        let best = scored.max_by(|a, b| rank(&a.0, a.2).partial_cmp(&rank(&b.0, b.2)).unwrap_or(std::cmp::Ordering::Equal))?;
        Some((best.0, best.1))
    }

    fn say(&mut self, leak: Leak, sum: &Sum, at: Mark) -> Option<Said> {
        let since = sum.since.unwrap_or(at);
        let rate = |litres: f64| Rate(i64::from(thousandths(litres)));
        let (size, kind) = match leak {
            Leak::Steady(l) => {
                let kind = FindingKind::LeakSteady { from: since.ts, least: rate(l * SMALLEST), most: rate(l * LARGEST) };
                (rate(l), kind)
            }
            Leak::Cistern(l) => {
                let usual = (sum.usual + 500) / 1_000;
                (rate(l / 3.0), FindingKind::LeakCistern { from: since.ts, quiet: sum.quiet, drawn: sum.drawn, usual })
            }
        };
        // The next size of the row is no growth yet; and how much a cistern lets out is hardly known.
        let is_steady = matches!(leak, Leak::Steady(_));
        let is_news = |(before, said): (Rate, Ts)| is_steady && at.ts - said >= Ms::days(1) && size.0 * 10 >= before.0 * 19;
        let news = News::of(self.told, at.ts, is_news)?;
        if news != News::Still {
            self.told = Some((size, at.ts));
        }
        let start = StartRange { earliest: since.ts - HOUR.step, latest: since.ts + Ms::hours(3) };
        Some(Said { kind, start, news, evidence: if since == at { vec![at] } else { vec![since, at] } })
    }

    /// The home's own law of an hour: with its neighbours, smoothed, and with a little of any home's.
    fn own(&self, k: usize, any: &[f64; BINS]) -> [f64; BINS] {
        let [before, here, after] = [23, 0, 1].map(|d| &self.histograms[(k + d) % 24]);
        let (mut out, mut total) = ([0.0; BINS], 0.0);
        for b in 0..BINS {
            let n = (f64::from(before[b]) / 2.0 + f64::from(here[b]) + f64::from(after[b]) / 2.0) / f64::from(ONE);
            total += n;
            if b == 0 {
                out[0] += n;
            } else {
                // What was drawn might as well have been a little more or less; nothing is nothing.
                out[b.max(2) - 1] += n / 4.0;
                out[b] += n / 2.0;
                out[(b + 1).min(BINS - 1)] += n / 4.0;
            }
        }
        for (own, any) in out.iter_mut().zip(any) {
            *own = (*own + PRIOR * any) / (total + PRIOR);
        }
        out
    }

    /// Takes note of an hour. While more is seen than usual, hours wait: of what is reported nothing is learned, else it is a habit.
    fn learn(&mut self, k: usize, bin: usize) {
        if !self.is_stirring() {
            while self.waiting.len() >= LAG
                && let Some((k, bin)) = self.waiting.pop_front()
            {
                let histogram = &mut self.histograms[usize::from(k)];
                for n in histogram.iter_mut() {
                    *n -= n.div_ceil(FORGET);
                }
                histogram[usize::from(bin)] += ONE;
            }
        } else if self.told.is_some() || self.waiting.len() >= NEW_HABIT {
            self.waiting.pop_front();
        }
        // Both are far below 256.
        self.waiting.push_back((u8::try_from(k).unwrap_or(0), u8::try_from(bin).unwrap_or(0)));
    }
}

impl Sum {
    fn take(&mut self, leak: Leak, look: &Look, before: Mark) {
        let demand = leak.demand();
        let gain = |law: &Law, allowance: f64| {
            let ratio = leak.ratio(law, look.count, look.unit) - allowance;
            thousandths(ratio.clamp(LOSS, demand.gain))
        };
        let was_zero = self.own.min(self.any) == 0;
        match leak {
            Leak::Steady(l) => {
                // It never rests: what lets out a count and a half each hour leaves no hour without.
                if l >= 1.5 * look.unit && look.count < (0.4 * l / look.unit).max(0.5) {
                    (self.own, self.any) = (0, 0);
                } else if look.count - l / look.unit * SMALLEST <= -2.0 * HALF {
                    // Too little for it, whatever the law: the most that can be said against it.
                    let loss = thousandths(LOSS);
                    (self.own, self.any) = ((self.own + loss).max(0), (self.any + loss).max(0));
                } else {
                    self.own = (self.own + gain(&look.own, demand.own_allowance)).clamp(0, FULL);
                    self.any = (self.any + gain(&look.any, demand.any_allowance)).clamp(0, FULL);
                }
            }
            Leak::Cistern(_) => {
                if look.own.drawn() < QUIET {
                    self.own = (self.own + gain(&look.own, demand.own_allowance)).clamp(0, FULL);
                }
                if look.any.drawn() < QUIET {
                    self.any = (self.any + gain(&look.busy, demand.any_allowance)).clamp(0, FULL);
                }
            }
        }
        if self.own.min(self.any) == 0 {
            *self = Sum { own: self.own, any: self.any, ..Sum::default() };
            return;
        }
        if was_zero {
            self.since = Some(before);
        }
        self.hours += 1;
        if look.own.drawn() < QUIET {
            self.quiet += 1;
            self.drawn += u32::from(look.count > 0.0);
            self.usual += thousandths(look.own.drawn()).unsigned_abs();
        }
    }
}

/// In whole thousandths: what is stored is no float, so that equal states are equal.
#[expect(clippy::cast_possible_truncation, reason = "beyond the ends it stays at them")]
fn thousandths(x: f64) -> i32 {
    (x * 1_000.0) as i32
}

/// Millilitres that count as one: a pulse, at least a litre.
fn unit(pulse: Amount) -> i64 {
    pulse.0.max(1_000)
}

fn bin_of(count: f64) -> usize {
    EDGES.partition_point(|e| f64::from(*e) < count).min(BINS - 1)
}

/// How much any home that is lived in draws, when it does: evenly over the magnitudes up to a bath, with a thin tail. `unit`: litres of a count.
fn drawn_by_any(unit: f64) -> [f64; BINS] {
    let mut out = [0.0; BINS];
    for b in 1..BINS {
        let middle = (f64::from(EDGES[b - 1]).max(0.5) + f64::from(EDGES[b])) / 2.0 * unit;
        // Near e to the -x, without its price.
        let x = middle / 90.0;
        out[b] = MAGNITUDES[b] / (1.0 + x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0))));
    }
    let sum: f64 = out.iter().sum();
    out.map(|mass| mass / sum)
}

/// A home that draws water in so many per cent of the hours.
fn any_home(per_cent: u8, drawn: &[f64; BINS]) -> [f64; BINS] {
    let often = f64::from(per_cent) / 100.0;
    let mut out = drawn.map(|mass| mass * often);
    out[0] = 1.0 - often;
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (hour, code, news) of what is said when `litres(day, hour)` pass in each hour. `pulse` in litres.
    fn run(days: i64, pulse: i64, litres: impl Fn(i64, i64) -> i64) -> (Home, Vec<(i64, FindingKind, News)>) {
        let (mut home, mut said, mut exact) = (Home::default(), vec![], 0);
        let mark = |hour: i64, litres: i64| Mark { ts: Ts(0) + Ms::hours(hour), register: Amount::litres(litres / pulse * pulse) };
        for hour in 0..days * 24 {
            let from = mark(hour, exact);
            exact += litres(hour / 24, hour % 24);
            let to = mark(hour + 1, exact);
            let p = Passage { from, to, volume: to.register - from.register };
            said.extend(
                home.passed(p, Amount::litres(pulse), &TimeZone::UTC).filter(|s| s.news != News::Still).map(|s| (hour + 1, s.kind, s.news)),
            );
        }
        (home, said)
    }

    /// A number below `n` that is always the same for the same hour.
    fn chance(day: i64, hour: i64, n: i64) -> i64 {
        let mixed = (day * 24 + hour + 1).wrapping_mul(0x5851_F42D_4C95_7F2D);
        (mixed ^ (mixed >> 29)).wrapping_mul(0x2545_F491_4F6C_DD1D).rem_euclid(1 << 40) / 1_000 % n
    }

    /// Three persons: asleep from one to six, out on some days.
    fn family(day: i64, hour: i64) -> i64 {
        match hour {
            1..6 => i64::from(chance(day, hour, 8) == 0) * 6,
            6..9 | 18..23 => 5 + chance(day, hour, 60),
            _ => i64::from(chance(day, hour, 3) > 0) * chance(day, hour, 25),
        }
    }

    fn first(said: &[(i64, FindingKind, News)], from_day: i64) -> (i64, &'static str) {
        let (hour, kind, news) = said.first().expect("something is said");
        assert_eq!(*news, News::First);
        (hour - from_day * 24, kind.code())
    }

    #[test]
    fn a_drip_is_seen_within_two_days_and_a_burst_within_hours() {
        let with = |leak: i64, pulse| run(30, pulse, move |d, h| family(d, h) + i64::from(d >= 20) * leak).1;
        let (hours, code) = first(&with(10, 1), 20);
        assert!(code == "leak_steady" && (12..=40).contains(&hours), "{hours}");
        let (hours, code) = first(&with(12, 10), 20);
        assert!(code == "leak_steady" && (20..=60).contains(&hours), "{hours} {code}: behind pulses of 10 L");
        let (hours, code) = first(&with(400, 10), 20);
        assert!(code == "leak_steady" && hours <= 4, "{hours}");
        let FindingKind::LeakSteady { least, most, .. } = with(10, 1)[0].1 else { panic!() };
        assert!((least.0..=most.0).contains(&10_000), "{least:?} {most:?}");
    }

    #[test]
    fn a_cistern_that_runs_and_rests_is_seen_within_days() {
        let (_, said) = run(32, 10, |d, h| family(d, h) + i64::from(d >= 20 && chance(d, h + 7, 10) < 7) * (20 + chance(d, h + 3, 60)));
        let (hours, code) = first(&said, 20);
        assert!(code == "leak_cistern" && hours <= 7 * 24, "{hours}");
        let FindingKind::LeakCistern { quiet, drawn, usual, .. } = said[0].1 else { panic!() };
        assert!(drawn > 2 * usual && drawn <= quiet, "{drawn} of {quiet}, usual {usual}");
    }

    #[test]
    fn people_who_do_otherwise_are_no_leak() {
        let guests = |d: i64, h: i64| family(d, h) + i64::from((20..27).contains(&d)) * family(d + 100, h);
        let let_after_long = |d: i64, h: i64| i64::from(d >= 40) * family(d, h);
        let away = |d: i64, h: i64| i64::from(!(20..34).contains(&d)) * family(d, h);
        let night_shift = |d: i64, h: i64| if d >= 20 { family(d, (h + 12) % 24) } else { family(d, h) };
        let garden = |d: i64, h: i64| family(d, h) + i64::from(d >= 20 && d % 3 == 0 && (19..21).contains(&h)) * 300;
        type Litres<'a> = &'a dyn Fn(i64, i64) -> i64;
        let all: [(&str, Litres<'_>); 5] = [
            ("guests", &guests),
            ("a flat that is let", &let_after_long),
            ("a journey", &away),
            ("night shift", &night_shift),
            ("garden", &garden),
        ];
        for (what, litres) in all {
            assert_eq!(run(70, 1, litres).1, [], "{what}");
        }
    }

    #[test]
    fn what_runs_from_the_first_day_is_told_once_and_what_is_reported_does_not_become_the_usual() {
        let said = run(60, 1, |d, h| family(d, h) + 3).1;
        assert!(said.len() == 1 && said[0].0 < 4 * 24, "{said:?}");
        let (home, said) = run(80, 1, |d, h| family(d, h) + i64::from(d >= 20) * 12 + i64::from(d >= 60) * 40);
        let news: Vec<_> = said.iter().map(|(hour, _, news)| (hour / 24, *news)).collect();
        assert_eq!(news.len(), 2, "{said:?}");
        assert!((20..23).contains(&news[0].0) && news[1].1 == News::Grown && (60..64).contains(&news[1].0), "{said:?}");
        assert!(home.histograms[3][0] > ONE * 10, "at three nothing is drawn: {:?}", home.histograms[3]);
    }

    #[test]
    fn a_first_day_is_judged_by_what_any_home_does() {
        // It leaks from the first day on: the home's own law is empty, any home's is not.
        let (hours, code) = first(&run(6, 1, |d, h| family(d, h) + 15).1, 0);
        assert!(code == "leak_steady" && hours <= 72, "{hours}");
        assert_eq!(run(10, 1, family).1, []);
    }

    #[test]
    fn a_repair_ends_it_and_the_next_leak_is_told() {
        let leaks = |d: i64| (20..24).contains(&d) || d >= 40;
        let (_, said) = run(50, 1, |d, h| family(d, h) + i64::from(leaks(d)) * 20);
        let days: Vec<_> = said.iter().map(|(hour, _, news)| (hour / 24, *news)).collect();
        assert_eq!(days.len(), 2, "{days:?}");
        assert!((20..23).contains(&days[0].0) && (40..43).contains(&days[1].0) && days[1].1 == News::First, "{days:?}");
    }

    #[test]
    fn the_tables_are_what_they_say() {
        let least = Leak::all().map(Leak::demand).map(|d| d.own.min(d.any)).fold(f64::MAX, f64::min);
        assert!(f64::from(NEVER_STIRS) / 1_000.0 <= STIRRING * least);
        for k in 0..24 {
            let busy = 100.0 * (1.0 - (1.0 - f64::from(LIVED_IN[k]) / 100.0).powf(1.7));
            assert!((busy - f64::from(BUSY[k])).abs() <= 0.5, "{k}: {busy}");
        }
        for b in 1..BINS {
            let magnitudes = (f64::from(EDGES[b]) / f64::from(EDGES[b - 1]).max(0.5)).ln();
            assert!((magnitudes - MAGNITUDES[b]).abs() < 1e-6, "{b}: {magnitudes}");
        }
    }

    #[test]
    fn another_pulse_weight_begins_anew() {
        let mut home = run(20, 1, family).0;
        let mark = |h: i64, l: i64| Mark { ts: Ts(0) + Ms::hours(h), register: Amount::litres(l) };
        for h in 480..482 {
            let p = Passage { from: mark(h, h * 10), to: mark(h + 1, h * 10 + 10), volume: Amount::litres(10) };
            assert!(home.passed(p, Amount::litres(10), &TimeZone::UTC).is_none());
        }
        assert_eq!((home.unit, home.waiting.len()), (10_000, 2));
    }
}
