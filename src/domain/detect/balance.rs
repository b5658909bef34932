//! What a bulk meter passed and its sub-meters did not: water that is lost between them, or used by nobody's meter.
//!
//! Registers are exact over a long time: over a day the rounding of the pulses adds up to a pulse per meter, however many passed. What is left
//! is common use, the slips of meters that run slow, and what leaks from the risers. The first two are learned.

use super::sight::{Learning, Sight, by_pulse};
use super::steps::{HOUR, hour_of_day};
use super::{News, Passage, Said, grown_by_half};
use crate::domain::finding::{FindingKind, Mark, StartRange};
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::{Point, PointIx, PointKind, Topology};
use crate::domain::units::{Amount, Rate};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Hours that are kept.
const KEPT: i64 = 48;
/// What counts is the least of so many stretches of so many hours, one after the other: stairs are washed in one, a pool is filled in three,
/// a riser leaks in all of them.
const STRETCH: i64 = 3;
const STRETCHES: i64 = 5;
/// They must reach over this hour of the day, when nobody works.
const DEAD_HOUR: usize = 3;
/// Of the sub-meters' hours so much must be known, per cent: to be looked at as soon as the bulk meter's is, or after so many more hours.
const WHOLE: i64 = 97;
const ENOUGH: i64 = 90;
const PATIENCE: i64 = 6;
/// Days that are a measure, and how many it takes for a beginning.
const DAYS: usize = 28;
const FIRST_DAYS: usize = 7;
/// It must be so many halves of a spread above the usual, and last so many hours.
const HALVES: i64 = 9;
const LASTS: u32 = 3;
/// What rests and goes on is the same matter for so long.
const SAME: Ms = Ms::days(7);

/// The balance of one bulk meter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// Hours since 1970 of the first of `hours`.
    first: i64,
    hours: VecDeque<Pair>,
    /// Hours before this one are looked at already.
    next: i64,
    /// What was left over in the least stretch of each calm day.
    days: VecDeque<Amount>,
    /// Hours since a day was learned.
    since_day: u32,
    /// Hours on end that stood out.
    out: u32,
    /// What was reported last, and when.
    told: Option<(Amount, Ts)>,
}

/// An hour on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Pair {
    bulk: Amount,
    bulk_known: Ms,
    subs: Amount,
    /// Of all sub-meters together.
    subs_known: Ms,
}

/// The sub-meters of a bulk meter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subs {
    pub count: u32,
    /// How far the rounding of all pulses, the bulk meter's too, may put out what is left over: a spread.
    pub rounding: Amount,
}

impl Subs {
    /// Those behind a bulk meter of water; none behind another.
    pub fn behind(t: &Topology, p: PointIx) -> Subs {
        let bulk = t.point(p);
        if bulk.kind != PointKind::Bulk || !bulk.measures_water() {
            return Subs::default();
        }
        let is_behind = |c: &&Point| c.parent == Some(p) && Subs::counts(c);
        Subs::of(t.points.iter().filter(is_behind).chain([bulk]).map(|c| c.meter.pulse_weight))
    }

    /// A meter of water whose device is heard. One that somebody reads every other month would be missing in every hour.
    pub fn counts(point: &Point) -> bool {
        point.measures_water() && point.source.as_ref().is_some_and(|b| !b.is_by_hand())
    }

    /// Of these pulses, the bulk meter's among them. Rounding at both ends of a stretch is spread like a triangle: a sixth of the square.
    pub fn of(pulses: impl Iterator<Item = Amount>) -> Subs {
        let (count, squares) = pulses.fold((0, 0i64), |(n, sum), p| (n + 1, sum.saturating_add(p.0.saturating_mul(p.0))));
        Subs { count: u32::saturating_sub(count, 1), rounding: Amount((squares / 6).isqrt()) }
    }
}

impl Balance {
    /// Takes what passed a sub-meter.
    pub fn sub_passed(&mut self, p: Passage) {
        self.spread(p, |pair, volume, known| {
            pair.subs += volume;
            pair.subs_known = pair.subs_known + known;
        });
    }

    /// Takes what passed the bulk meter; speaks when an hour is known on both sides.
    pub fn bulk_passed(&mut self, p: Passage, subs: Subs, tz: &TimeZone) -> Option<Said> {
        self.spread(p, |pair, volume, known| {
            pair.bulk += volume;
            pair.bulk_known = pair.bulk_known + known;
        });
        let now = p.to.ts.0.div_euclid(HOUR.step.0);
        let mut said = None;
        self.next = self.next.max(self.first);
        while self.next < now {
            let Some(pair) = self.hour(self.next) else { break };
            if pair.share(subs.count) < WHOLE && now - self.next <= PATIENCE {
                break;
            }
            self.next += 1;
            said = self.ended(p.to, subs, tz).or(said);
        }
        said
    }

    /// What it can show now.
    pub fn sees(&self, subs: Subs) -> Result<Vec<Sight>, Learning> {
        let n = self.days.len();
        if n < FIRST_DAYS {
            return Err(Learning::mute("leak_balance", n, FIRST_DAYS));
        }
        let mut sorted: Vec<i64> = self.days.iter().map(|d| d.0).collect();
        sorted.sort_unstable();
        let (usual, high, low) = (sorted[n / 2], sorted[n - 2], sorted[1]);
        let mut deviations: Vec<i64> = sorted.iter().map(|d| (d - usual).abs()).collect();
        deviations.sort_unstable();
        let known = self.hours.iter().filter(|p| p.bulk_known >= HOUR.step);
        let (hours, bulk) = known.fold((0, Amount::ZERO), |(n, sum), p| (n + 1, sum + p.bulk));
        let bulk = bulk.scaled(STRETCH, hours.max(1));
        let sights = |rounding: Amount| {
            let spread = (deviations[n / 2] * 3 / 2).max(rounding.0).max(bulk.0 / 200).max(1);
            let over = (HALVES * spread / 2).max(high - usual + spread).max(bulk.0 / 50);
            // What is left over may be less on that day, by as much as it was on another, or by the rounding.
            let rate = Rate((over + (usual - low).max(rounding.0)) / STRETCH);
            // The stretches must reach over the dead hour: it may just have passed. And who is late is waited for.
            let within = Ms::hours(24 + i64::from(LASTS) + 1 + PATIENCE);
            vec![Sight { rule: "leak_balance", rate, within, by_the_clock: None, by_pulse: false }]
        };
        Ok(by_pulse(sights(subs.rounding), &sights(Amount::ZERO)))
    }

    fn hour(&self, number: i64) -> Option<&Pair> {
        self.hours.get(usize::try_from(number - self.first).ok()?)
    }

    /// Spreads a passage evenly over its hours; what is older than the kept hours is gone.
    fn spread(&mut self, p: Passage, mut add: impl FnMut(&mut Pair, Amount, Ms)) {
        let (step, span) = (HOUR.step.0, (p.to.ts - p.from.ts).0);
        if span <= 0 {
            return;
        }
        let (from, to) = (p.from.ts.0.div_euclid(step), (p.to.ts.0 - 1).div_euclid(step));
        if self.hours.is_empty() || to - self.first >= 2 * KEPT {
            self.hours.clear();
            self.first = to;
        }
        while self.first + self.hours.len() as i64 <= to {
            self.hours.push_back(Pair::default());
        }
        while self.hours.len() as i64 > KEPT {
            self.hours.pop_front();
            self.first += 1;
        }
        for number in from.max(self.first)..=to {
            let part = (Ts((number + 1) * step).min(p.to.ts) - Ts(number * step).max(p.from.ts)).0;
            let pair = usize::try_from(number - self.first).ok().and_then(|i| self.hours.get_mut(i));
            if let Some(pair) = pair {
                add(pair, p.volume.scaled(part, span), Ms(part));
            }
        }
    }

    /// The least that was left over in a stretch, what passed the bulk meter in a mean one, and the least share that was known, per cent. None where
    /// too little is known, or nobody could sleep.
    fn least(&self, subs: Subs, tz: &TimeZone) -> Option<(Amount, Amount, i64)> {
        let start = self.next - STRETCH * STRETCHES;
        let sleeps = (start + 1..self.next).any(|h| hour_of_day(Ts(h * HOUR.step.0), tz) == DEAD_HOUR);
        let (mut least, mut bulk, mut known) = (Amount(i64::MAX), Amount::ZERO, 100);
        for stretch in 0..STRETCHES {
            let mut left = Amount::ZERO;
            for number in start + stretch * STRETCH..start + (stretch + 1) * STRETCH {
                let pair = self.hour(number)?;
                let share = pair.share(subs.count);
                if pair.bulk_known < HOUR.step || share < ENOUGH {
                    return None;
                }
                known = known.min(share);
                bulk += pair.bulk;
                // Who is missing used what the others did.
                left = left + pair.bulk - pair.subs.scaled(i64::from(subs.count) * HOUR.step.0, pair.subs_known.0.max(1));
            }
            least = least.min(left);
        }
        sleeps.then_some((least, bulk.scaled(1, STRETCHES), known))
    }

    fn ended(&mut self, at: Mark, subs: Subs, tz: &TimeZone) -> Option<Said> {
        self.since_day += 1;
        let (left, bulk, known) = self.least(subs, tz)?;
        let n = self.days.len();
        if n < FIRST_DAYS {
            self.learn(left);
            return None;
        }
        let mut sorted = [0i64; DAYS];
        for (slot, day) in sorted.iter_mut().zip(&self.days) {
            *slot = day.0;
        }
        let sorted = sorted.get_mut(..n)?;
        sorted.sort_unstable();
        let (usual, high) = (sorted[n / 2], sorted[n - 2]);
        for day in sorted.iter_mut() {
            *day = (*day - usual).abs();
        }
        sorted.sort_unstable();
        let spread = (sorted[n / 2] * 3 / 2).max(subs.rounding.0).max(bulk.0 / 200).max(1);
        let over = left.0 - usual;
        let stands_out = 2 * over > HALVES * spread && left.0 > high + spread && over * 50 > bulk.0;
        self.out = if stands_out { self.out + 1 } else { 0 };
        if over < 3 * spread {
            self.told = self.told.filter(|(_, said)| at.ts - *said < SAME);
            self.learn(left);
        }
        let is_news = |(before, said): (Amount, Ts)| at.ts - said >= Ms::days(1) && grown_by_half(before, Amount(over));
        if self.out < LASTS {
            return None;
        }
        let news = News::of(self.told, at.ts, is_news)?;
        if news != News::Still {
            self.told = Some((Amount(over), at.ts));
        }
        let per_hour = |volume: i64| Rate(volume / STRETCH);
        let kind = FindingKind::LeakBalance {
            usual: per_hour(usual),
            seen: per_hour(left.0),
            meters: subs.count,
            known: u32::try_from(known.min(100)).unwrap_or(0),
        };
        let begun = at.ts - Ms(HOUR.step.0 * (STRETCH * STRETCHES + i64::from(LASTS)));
        let start = StartRange { earliest: begun - Ms::hours(PATIENCE + STRETCH), latest: begun + Ms::hours(STRETCH) };
        Some(Said { kind, start, news, evidence: vec![at] })
    }

    /// Takes what was left over as a measure, once a day.
    fn learn(&mut self, left: Amount) {
        if self.since_day < 24 {
            return;
        }
        self.since_day = 0;
        if self.days.len() == DAYS {
            self.days.pop_front();
        }
        self.days.push_back(left);
    }
}

impl Pair {
    /// How much of the sub-meters' hour is known, per cent.
    fn share(&self, count: u32) -> i64 {
        self.subs_known.0 * 100 / (i64::from(count.max(1)) * HOUR.step.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hours at which it spoke, with what was left over in litres an hour. `left(hour)` litres pass no flat; `heard(flat, hour)`.
    fn run(days: i64, left: impl Fn(i64) -> i64, heard: impl Fn(i64, i64) -> bool) -> Vec<(i64, i64, News)> {
        let (mut balance, mut said, mut bulk) = (Balance::default(), vec![], 0);
        let subs = Subs::of(std::iter::repeat_n(Amount::litres(10), 13));
        let passage = |hour: i64, litres: i64| {
            let mark = |h: i64, l: i64| Mark { ts: Ts(0) + Ms::hours(h), register: Amount::litres(l) };
            Passage { from: mark(hour, 0), to: mark(hour + 1, litres), volume: Amount::litres(litres) }
        };
        // Registers show whole pulses of 10 L.
        let shown = |exact: i64, more: i64| (exact + more) / 10 * 10 - exact / 10 * 10;
        let mut flats = [0; 12];
        for hour in 0..days * 24 {
            let mut all = left(hour);
            for (flat, register) in (0..).zip(&mut flats) {
                let used = if hour % 24 < 6 { (flat + hour) % 3 } else { 8 + (flat * 7 + hour * 5) % 30 };
                if heard(flat, hour) {
                    balance.sub_passed(passage(hour, shown(*register, used)));
                }
                *register += used;
                all += used;
            }
            let p = passage(hour, shown(bulk, all));
            bulk += all;
            if let Some(Said { kind: FindingKind::LeakBalance { seen, .. }, news, .. }) = balance.bulk_passed(p, subs, &TimeZone::UTC)
                && news != News::Still
            {
                said.push((hour + 1, seen.0 / 1_000, news));
            }
        }
        said
    }

    #[test]
    fn only_meters_that_are_heard_are_in_it() {
        use crate::domain::heating::Heating;
        use crate::domain::topology::{Binding, Boundary, FeedIx, Limits, Medium, Meter, PlaceIx, Responsible};
        let point = |kind, medium, parent: Option<u32>, topic: Option<&str>| Point {
            key: String::new(),
            name: String::new(),
            kind,
            medium,
            place: PlaceIx(0),
            parent: parent.map(PointIx),
            boundary: Boundary::Assessment,
            responsible: Responsible::Owners,
            valve: None,
            meter: Meter {
                serial: None,
                pulse_weight: Amount::litres(10),
                rollover_at: None,
                max_flow: Rate::litres(5_000),
                mean_flow_over: None,
            },
            source: topic.map(|t| Binding { topic: t.into(), feed: FeedIx(0), column: Some(0) }),
            limits: Limits::default(),
            price_milliyuan_per_tonne: None,
        };
        let (bulk, sub) = (PointKind::Bulk, PointKind::Sub);
        let topology = Topology {
            gateway: String::new(),
            tz: TimeZone::UTC,
            since: Ts(0),
            places: vec![],
            points: vec![
                point(bulk, Medium::Water, None, Some("b")),
                point(sub, Medium::Water, Some(0), Some("1")),
                point(sub, Medium::HotWater, Some(0), Some("2")),
                point(bulk, Medium::Water, Some(0), Some("manual/cellar")),
                point(sub, Medium::Water, Some(0), None),
                point(sub, Medium::Heat, Some(0), Some("3")),
                point(sub, Medium::Water, Some(1), Some("4")),
            ],
            heating: Heating::default(),
            feeds: vec![],
        };
        assert_eq!(Subs::behind(&topology, PointIx(0)), Subs { count: 2, rounding: Amount(7_071) });
        assert_eq!(Subs::behind(&topology, PointIx(1)), Subs::default(), "only behind bulk meters");
    }

    fn all(_: i64, _: i64) -> bool {
        true
    }

    #[test]
    fn a_riser_that_leaks_is_seen_within_a_day() {
        for hour in [0, 6, 13, 20] {
            let start = 20 * 24 + hour;
            let said = run(24, |h| i64::from(h >= start) * 80, all);
            assert_eq!(said.len(), 1, "{said:?}");
            assert!((15..=26).contains(&(said[0].0 - start)) && (60..=90).contains(&said[0].1), "from {hour}: {said:?}");
        }
    }

    #[test]
    fn stairs_pools_and_craftsmen_are_no_leak() {
        let stairs = |h: i64| i64::from(h % 72 == 33) * 400;
        let pool = |h: i64| i64::from((489..505).contains(&h)) * 1_200;
        let work = |h: i64| i64::from(h > 480 && (9..17).contains(&(h % 24))) * 200;
        let all_uses: [(&str, &dyn Fn(i64) -> i64); 3] = [("stairs", &stairs), ("pool", &pool), ("work", &work)];
        for (what, left) in all_uses {
            assert_eq!(run(26, left, all), [], "{what}");
        }
    }

    #[test]
    fn what_was_always_left_over_is_the_usual() {
        assert_eq!(run(40, |_| 60, all), []);
        let said = run(40, |h| 60 + i64::from(h >= 480) * 80, all);
        assert!(said.len() == 1 && said[0].1 > 120, "{said:?}");
    }

    #[test]
    fn a_flat_that_is_not_heard_is_no_leak_and_one_in_ten_hides_none() {
        assert_eq!(run(30, |_| 0, |flat, hour| hour < 480 || flat > 3), [], "too many are missing to say anything");
        let said = run(30, |h| i64::from(h >= 480) * 120, |flat, hour| hour < 470 || flat > 0);
        assert_eq!(said.len(), 1, "{said:?}");
    }
}
