//! Water that a heating loop loses, seen by what is filled up: litres that never pause, hour after hour, more than is usual.
//!
//! Loops are topped up by a pressure switch, so what passes comes in bursts; after work on a loop hundreds of litres go in within some hours,
//! which is no leak. A leak is what is left: a stretch of five parts of which the first, the last and all but one of the others have their
//! fill, above what the loop took in earlier days. A large leak shows it in stretches of an hour a part, a small one in longer ones.

use super::super::sight::{Learning, Sight, by_pulse};
use super::super::{News, Passage, Said, grown_by_half};
use super::room::Turn;
use crate::domain::finding::{FindingKind, Mark, StartRange};
use crate::domain::time::{Ms, Ts};
use crate::domain::units::{Amount, Rate};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const HOUR: Ms = Ms::hours(1);
/// A stretch has so many parts, and there are stretches of parts of so many hours. Filling up after work takes less than three parts.
const PARTS: usize = 5;
const PART_HOURS: [usize; 4] = [1, 2, 4, 9];
const KEPT: usize = 45;
/// What passed over a longer pause says nothing of a single hour; over more than an hour it is taken for what passed last, so that what was filled
/// up within hours stays short.
const LONGEST: Ms = Ms::minutes(125);
const PROMPT: Ms = Ms::minutes(65);

const DAY: usize = 24;
const DAYS: usize = 21;
/// So many days are a measure.
const FIRST_DAYS: usize = 3;

/// Less than this an hour is nothing that anybody would look for.
const SMALLEST: i64 = 600;
/// So many times what is just visible is seen in any case.
const MUCH: i64 = 3;
/// What was told is over when so many hours took no more than usual.
const OVER_HOURS: u16 = 30;

/// What is remembered of a loop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopLoss {
    /// Whole hours, the newest last; None where a part of one is unknown.
    hours: VecDeque<Option<Amount>>,
    running: Option<Running>,
    /// What earlier days took.
    days: VecDeque<Amount>,
    since_day: u16,
    /// The least that ever passed: a register may step wider than its plate says.
    step: Option<Amount>,
    /// What was told last, an hour.
    told: Option<(Rate, Ts)>,
    /// Hours without an excess since.
    calm: u16,
}

/// The hour that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Running {
    /// Hours since 1970.
    hour: i64,
    volume: Amount,
    known: Ms,
}

/// What a day usually takes.
struct Usual {
    day: i64,
    spread: i64,
}

impl LoopLoss {
    /// Takes the next passage; speaks when an hour ends. `pulse`: nothing smaller is seen.
    pub fn passed(&mut self, p: Passage, pulse: Amount) -> Option<Said> {
        let is_told = p.to.ts - p.from.ts <= LONGEST;
        if p.volume > Amount::ZERO {
            self.step = Some(self.step.map_or(p.volume, |least| least.min(p.volume)));
        }
        let pulse = pulse.max(self.step.unwrap_or_default());
        let begins = hour_of(p.from.ts);
        let mut running = match self.running {
            Some(r) if r.hour <= begins && hour_of(p.to.ts) - r.hour <= KEPT as i64 => r,
            // The first passage, time that went back, or a pause of days.
            _ => {
                self.hours.clear();
                Running { hour: begins.max(hour_of(p.to.ts) - 1), volume: Amount::ZERO, known: Ms::ZERO }
            }
        };
        let (mut from, mut left, mut said) = (p.from.ts.max(Ts(running.hour * HOUR.0)), p.volume, None);
        let passes_from = if p.to.ts - p.from.ts > PROMPT { p.to.ts - HOUR } else { from };
        while hour_of(p.to.ts) > running.hour {
            let end = Ts((running.hour + 1) * HOUR.0);
            if from < end {
                let begun = from.max(passes_from);
                let part = if begun < end { left.scaled((end - begun).0, (p.to.ts - begun).0) } else { Amount::ZERO };
                running.add(part, if is_told { end - from } else { Ms::ZERO });
                left = left - part;
                from = end;
            }
            said = self.ended(running, p.to, pulse).or(said);
            running = Running { hour: running.hour + 1, volume: Amount::ZERO, known: Ms::ZERO };
        }
        running.add(left, if is_told { p.to.ts - from } else { Ms::ZERO });
        self.running = Some(running);
        said
    }

    /// What it can show now.
    pub fn sees(&self, pulse: Amount) -> Result<Vec<Sight>, Learning> {
        let Some(usual) = self.known() else {
            return Err(Learning::mute("loop_leak", self.days.len(), FIRST_DAYS));
        };
        let pulse = pulse.max(self.step.unwrap_or_default());
        let sights = |pulse: Amount| {
            let of_parts = |hours: usize| {
                let stretch = (hours * PARTS) as i64;
                // Every part must have its share: none may be a step of the switch short.
                let rate = Rate((usual.visible(hours, pulse) / stretch).max(2 * pulse.0 / hours as i64));
                // A part that has begun is none, and the last hour ends with a reading.
                let within = Ms::hours(stretch + hours as i64 + 1);
                Sight { rule: "loop_leak", rate, within, by_the_clock: None, by_pulse: false }
            };
            PART_HOURS.iter().rev().map(|hours| of_parts(*hours)).collect::<Vec<_>>()
        };
        Ok(by_pulse(sights(pulse), &sights(pulse.min(Amount::litres(1)))))
    }

    fn ended(&mut self, hour: Running, at: Mark, pulse: Amount) -> Option<Said> {
        if self.hours.len() == KEPT {
            self.hours.pop_front();
        }
        self.hours.push_back((hour.known >= Ms::minutes(50)).then_some(hour.volume));
        self.since_day = self.since_day.saturating_add(1);
        let usual = self.usual()?;
        let stretches = PART_HOURS.into_iter().scan(None, |shorter, hours| Some((hours, shorter.replace(hours))));
        let found = stretches.into_iter().find_map(|(hours, shorter)| Some((hours, self.excess(hours, shorter, &usual, pulse)?)));
        let Some((hours, seen)) = found else {
            self.calm = self.calm.saturating_add(1);
            if self.calm >= OVER_HOURS {
                self.told = None;
            }
            self.learn();
            return None;
        };
        self.calm = 0;
        let usual_rate = Rate(usual.day / DAY as i64);
        let over = Rate(seen.0 - usual_rate.0);
        let news = match self.told {
            None => News::First,
            // In its first day the stretch fills up: that is no growth.
            Some((before, said)) if at.ts - said >= Ms::days(1) => {
                if grown_by_half(Amount(before.0), Amount(over.0)) {
                    News::Grown
                } else {
                    News::Still
                }
            }
            Some(_) => return None,
        };
        let before = self.told.map_or(over, |(before, _)| before);
        self.told = Some((if news == News::Still { before } else { over }, at.ts));
        let stretch = Ms::hours((hours * PARTS) as i64);
        let kind = FindingKind::LoopLeak { usual: usual_rate, seen, hours: u32::try_from(hours * PARTS).unwrap_or(u32::MAX) };
        let begun = at.ts - stretch;
        Some(Said { kind, start: StartRange { earliest: begun - Ms::hours(hours as i64), latest: begun }, news, evidence: vec![at] })
    }

    /// How much passes an hour, if the last stretch of parts of so many hours has its fill. `shorter`: parts of the shorter stretch, where there is one.
    fn excess(&self, hours: usize, shorter: Option<usize>, usual: &Usual, pulse: Amount) -> Option<Rate> {
        let mut parts = [0i64; PARTS];
        let stretch = hours * PARTS;
        if self.hours.len() < stretch {
            return None;
        }
        for (i, hour) in self.hours.iter().rev().take(stretch).enumerate() {
            *parts.get_mut(i / hours)? += (*hour)?.0;
        }
        let (total, n) = (parts.iter().sum::<i64>(), stretch as i64);
        let expected = usual.day * n / DAY as i64;
        let over = total - expected;
        if over < usual.visible(hours, pulse) {
            return None;
        }
        // What is much larger would have been told by the shorter stretch: twice filled up is no leak.
        if shorter.is_some_and(|s| over / n > MUCH * usual.visible(s, pulse) / (s * PARTS) as i64) {
            return None;
        }
        // Every part has its share of the excess, but one: a leak never rests.
        let has = |part: i64, tenths: i64| 10 * (part * PARTS as i64 - expected) >= tenths * over;
        let ends = has(parts[0], 6) && has(parts[PARTS - 1], 6);
        let filled = parts.iter().filter(|p| has(**p, 4)).count();
        (ends && filled >= PARTS - 1).then_some(Rate(total / n))
    }

    /// Takes a day as a measure, once a day.
    fn learn(&mut self) {
        if usize::from(self.since_day) < DAY || self.hours.len() < DAY {
            return;
        }
        self.since_day = 0;
        let (known, sum) = self.hours.iter().rev().take(DAY).flatten().fold((0, Amount::ZERO), |(n, sum), v| (n + 1, sum + *v));
        if known < DAY * 3 / 4 {
            return;
        }
        if self.days.len() == DAYS {
            self.days.pop_front();
        }
        self.days.push_back(sum.scaled(DAY as i64, known as i64));
    }

    fn usual(&mut self) -> Option<Usual> {
        if self.days.len() < FIRST_DAYS {
            self.learn();
            return None;
        }
        self.known()
    }

    fn known(&self) -> Option<Usual> {
        let n = self.days.len();
        if n < FIRST_DAYS {
            return None;
        }
        let mut sorted = [0i64; DAYS];
        for (slot, v) in sorted.iter_mut().zip(&self.days) {
            *slot = v.0;
        }
        let median = median_of(sorted.get_mut(..n)?)?;
        for v in sorted.iter_mut().take(n) {
            *v = (*v - median).abs();
        }
        // The median of the deviations is 0.6745 of a normal law's spread.
        let spread = median_of(sorted.get_mut(..n)?)? * 3 / 2;
        Some(Usual { day: median, spread })
    }
}

impl Usual {
    /// The least excess that stands out in a stretch of parts of so many hours.
    fn visible(&self, hours: usize, pulse: Amount) -> i64 {
        let n = (hours * PARTS) as i64;
        let expected = self.day * n / DAY as i64;
        // Pulses of nothing but chance vary as their number's root; so does what the switch fills up, in its own steps.
        let root = (expected.max(pulse.0) * pulse.0.max(1)).isqrt();
        let chance = (9 * root / 2).max(4 * self.spread * n / DAY as i64) + 3 * pulse.0;
        chance.max(SMALLEST * n).max(expected / 2)
    }
}

/// Water that a loop takes while nobody heats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutOfSeason {
    /// Of a day that began then.
    day: Option<(Ts, Amount)>,
    told: bool,
}

/// What a loop that rests may take within a day: it breathes with the weather.
const RESTS: Amount = Amount::litres(50);

impl OutOfSeason {
    /// Takes what passed up to `ts`. `is_summer`: nobody heats, nor prepares to.
    pub fn passed(&mut self, ts: Ts, volume: Amount, is_summer: bool) -> Option<Turn<Amount>> {
        let (begun, before) = self.day.filter(|_| is_summer).unwrap_or((ts, Amount::ZERO));
        let sum = before + Amount(volume.0.max(0));
        self.day = Some((begun, sum));
        if is_summer && sum > RESTS && !self.told {
            self.told = true;
            return Some(Turn::Began(sum));
        }
        if is_summer && ts - begun < Ms::days(1) {
            return None;
        }
        self.day = None;
        let is_over = self.told && (!is_summer || sum <= RESTS);
        self.told &= !is_over;
        is_over.then_some(Turn::Ended)
    }
}

impl Running {
    fn add(&mut self, volume: Amount, known: Ms) {
        self.volume += volume;
        self.known = Ms(self.known.0 + known.0);
    }
}

fn median_of(list: &mut [i64]) -> Option<i64> {
    list.sort_unstable();
    list.get(list.len() / 2).copied()
}

fn hour_of(ts: Ts) -> i64 {
    ts.0.div_euclid(HOUR.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER: i64 = 900_000;

    /// What is said over so many days, with the hour: `litres(quarter)` pass in each quarter of an hour.
    fn run(days: i64, pulse: i64, litres: impl Fn(i64) -> i64) -> Vec<(i64, News, i64)> {
        let (mut rule, mut said, mut passed, mut register) = (LoopLoss::default(), vec![], 0, 0);
        for q in 0..days * 96 {
            passed += litres(q) * 1_000;
            let shows = passed - passed % (pulse * 1_000);
            let from = Mark { ts: Ts(q * QUARTER), register: Amount(register) };
            let to = Mark { ts: Ts((q + 1) * QUARTER), register: Amount(shows) };
            if let Some(s) = rule.passed(Passage { from, to, volume: Amount(shows - register) }, Amount::litres(pulse))
                && let FindingKind::LoopLeak { seen, .. } = s.kind
                && s.news != News::Still
            {
                said.push((q / 4, s.news, seen.0 / 1_000));
            }
            register = shows;
        }
        said
    }

    /// A litre now and then: four a day.
    fn usual(q: i64) -> i64 {
        i64::from(q % 24 == 7)
    }

    #[test]
    fn ten_litres_an_hour_are_told_within_six_hours_and_again_when_grown_by_half() {
        let leak = |q: i64| usual(q) + if q >= 960 { 2 + q % 2 } else { 0 } + if q >= 1_440 { 2 } else { 0 };
        let said = run(20, 1, leak);
        let hours: Vec<_> = said.iter().map(|(h, news, _)| (h - 240, *news)).collect();
        assert!(matches!(hours[..], [(4..=6, News::First), (120..=170, News::Grown)]), "{said:?}");
        assert!((9..=11).contains(&said[0].2), "{said:?}");
    }

    #[test]
    fn coarse_pulses_need_longer_and_no_guess() {
        let leak = |q: i64| usual(q) + if q >= 960 { 2 + q % 2 } else { 0 };
        let said = run(14, 10, leak);
        assert!(matches!(said[..], [(244..=264, News::First, 8..=12)]), "{said:?}");
    }

    #[test]
    fn filling_up_after_work_is_no_leak_and_is_not_learned() {
        // Three hours, 300 L; a week later twice on one day.
        let work =
            |q: i64| usual(q) + if (960..972).contains(&q) || (1_632..1_640).contains(&q) || (1_664..1_674).contains(&q) { 25 } else { 0 };
        assert_eq!(run(30, 1, work), []);
        let then_leaks = |q: i64| work(q) + i64::from(q >= 1_200);
        let said = run(13, 1, then_leaks);
        assert!(matches!(said[..], [(303..=312, News::First, _)]), "{said:?}");
    }

    #[test]
    fn a_pressure_switch_that_tops_up_thrice_a_day_is_usual() {
        let switch = |q: i64| if matches!(q % 96, 24 | 48 | 76) { 15 + q / 96 % 5 * 4 } else { 0 };
        assert_eq!(run(60, 1, switch), []);
    }

    #[test]
    fn out_of_season_little_is_nothing_and_much_is_told_once_until_it_ends() {
        let mut rule = OutOfSeason::default();
        let mut said = vec![];
        for hour in 0..24 * 20i64 {
            let litres = if (240..260).contains(&hour) { 10 } else { i64::from(hour % 12 == 0) };
            said.extend(rule.passed(Ts(hour * 3_600_000), Amount::litres(litres), true).map(|t| (hour, t)));
        }
        assert!(matches!(said[..], [(240..=250, Turn::Began(_)), (260..=312, Turn::Ended)]), "{said:?}");
        assert!((0..99).all(|h| OutOfSeason::default().passed(Ts(h * 3_600_000), Amount::litres(100), false).is_none()));
    }
}
