//! A radiator valve or a riser: supply, return, and how far it stands open.
//!
//! Of the warmth that comes, a share is left in the return: (return − room) / (supply − room). How large it is depends on the radiator, on the
//! room and on how far the valve stands open, so each valve learns its own, by position. Then
//!
//! * **air lock 气堵**: it stands open and its supply is warm, yet the return is far colder than it usually is then;
//! * **stuck shut 卡关**: it says that it is open, and nothing warm arrives;
//! * **stuck open 卡开**: it says that it is shut, and the return is as warm as if it were open.
//!
//! Each is a sum over time of how far it is from the usual, so a large fault is told within hours, a small one later, and an odd hour is
//! forgotten. What is suspected is not learned.

use super::probe::{Probe, Worth, is_possible};
use super::{HEATED, ROOM};
use crate::domain::time::{Ms, Ts};
use crate::domain::units::Temperature;
use serde::{Deserialize, Serialize};

/// Over a longer pause nothing is summed.
const LONGEST: Ms = Ms::minutes(125);

/// Positions are told apart by tenths of the way.
const STEPS: usize = 10;
/// So many hours of a step are a measure.
const MEASURE: u16 = 6;
/// Before anything is known of an open valve: so much of the warmth is left at least. Per mille.
const PRIOR: i64 = 50;

/// And that much of one that stands wide open.
const PRIOR_OPEN: i64 = 250;

/// Open and shut, in per mille.
const OPEN: i64 = 600;
const HALF: i64 = 500;
const SHUT: i64 = 200;

/// Sums count in thousandths of a kelvin × minutes.
const KELVIN_HOUR: i64 = 60_000;
/// No sample counts for more, so that one odd value is nothing.
const MOST: i64 = 4_000;
/// So far from the usual is nothing.
const SLACK: i64 = 1_000;
/// Sums at which it is told; no sum grows beyond the second.
const TOLD: i64 = 9 * KELVIN_HOUR;
const FULL: i64 = 2 * TOLD;
/// Samples in a row that it takes at least: a device that reports once an hour settles slowly.
const SAMPLES: u16 = 5;
/// The supply of a valve that water goes through is no further under the main than this.
const NEAR: i64 = 6_000;
/// Further under the main than usual: water that hardly moves; and no further: water that runs freely.
const COOLED: i64 = 700;
const WARM: i64 = 1_500;
/// Without that sign it counts for so little.
const FAINT: i64 = 80;
const FAINT_RISER: i64 = 8;
/// What is this far under the main, and has lost half its warmth, does not flow.
const UNDER: i64 = 8_000;

/// One look at a valve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    pub ts: Ts,
    pub supply: Temperature,
    pub back: Temperature,
    /// In per mille of the way; None where nobody tells: it is taken for open.
    pub position: Option<i64>,
    /// What the main brings, where that can be told. Others may not have told theirs of this round yet.
    pub main: Option<Temperature>,
    /// Supply and main of the sample before, when all others of that round had told theirs: small differences are judged by these.
    pub settled: Option<(Temperature, Temperature)>,
}

/// Which of a valve's two sensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    Supply,
    Return,
}

/// What can be wrong with a valve, with what was expected and seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    AirLock { supply: Temperature, back: Temperature, usual: Temperature },
    StuckShut { position: i64, supply: Temperature, main: Temperature },
    StuckOpen { position: i64, back: Temperature, usual: Temperature },
    SensorDead { which: Which, value: Temperature },
}

impl Fault {
    /// The names of the rules, in the order of a valve's suspicions.
    pub const CODES: [&'static str; FAULTS] = ["air_lock", "stuck_shut", "stuck_open", "sensor_dead"];
}

/// What changed with a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Since when, at the earliest.
    Began { fault: Fault, since: Ts },
    /// It was told a day ago, and goes on.
    Goes { fault: Fault, since: Ts },
    /// By its code.
    Ended(&'static str),
}

/// How many kinds of faults there are.
const FAULTS: usize = 4;
const SENSOR_DEAD: &str = Fault::CODES[FAULTS - 1];

/// What is remembered of a valve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Valve {
    supply: Option<Probe>,
    back: Option<Probe>,
    last: Option<Ts>,
    /// By position: the usual share of warmth left in the return, per mille, and hours that it rests on.
    usual: [(i16, u16); STEPS],
    /// How far the supply usually is under the main when it stands open, and hours that it rests on.
    under: (i16, u16),
    /// How much further it is lately: the mean of about two hours, one sample is too noisy.
    cooled: i16,
    /// Minutes since something was learned.
    unlearned: u16,
    suspicions: [Suspicion; FAULTS],
}

/// One fault that may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Suspicion {
    sum: i64,
    /// Samples in a row.
    samples: u16,
    since: Option<Ts>,
    /// When it was told last; None: it was not.
    told: Option<Ts>,
}

/// How one sample speaks of one fault.
enum Speaks {
    /// For it, by so many thousandths of a kelvin beyond what is nothing.
    For(i64),
    Against,
    Nothing,
}

impl Valve {
    /// Takes a sample; `turned` hears what it changes.
    pub fn look(&mut self, s: Sample, mut turned: impl FnMut(Turn)) {
        let elapsed = self.last.map_or(Ms::ZERO, |last| s.ts - last);
        if self.last.is_some() && elapsed <= Ms::ZERO {
            return;
        }
        self.last = Some(s.ts);
        let minutes = if elapsed <= LONGEST { elapsed.0 / 60_000 } else { 0 };
        let heated = s.main.filter(|m| *m > HEATED);
        let supply = take(&mut self.supply, s.ts, s.supply, heated);
        let back = take(&mut self.back, s.ts, s.back, heated);
        let dead = match (supply, back) {
            (Worth::Dead { since }, _) => Some((Which::Supply, s.supply, since)),
            (_, Worth::Dead { since }) => Some((Which::Return, s.back, since)),
            _ => None,
        };
        self.dead(s.ts, dead, &mut turned);
        if supply != Worth::Good || back != Worth::Good {
            return;
        }
        let Some(main) = heated else { return };
        self.cool(s, minutes);
        let speaks = [self.air(s, main), shut(s, main), self.open(s, main)];
        let mut is_quiet = true;
        for ((p, code), (speaks, fault)) in self.suspicions.iter_mut().zip(Fault::CODES).zip(speaks) {
            match speaks {
                Speaks::For(by) => {
                    is_quiet = false;
                    if p.sum == 0 {
                        p.since = Some(s.ts);
                    }
                    p.sum = (p.sum + by.min(MOST) * minutes).min(FULL);
                    p.samples = p.samples.saturating_add(1);
                }
                Speaks::Against => {
                    p.sum = (p.sum - 2 * SLACK * minutes).max(0);
                    p.samples = 0;
                }
                Speaks::Nothing => {
                    p.sum = (p.sum - SLACK / 2 * minutes).max(0);
                    p.samples = 0;
                }
            }
            p.turn(s.ts, code, fault, &mut turned);
            is_quiet &= p.sum < TOLD / 3 && p.told.is_none();
        }
        let is_flowing = main.0 - s.supply.0 < NEAR && s.supply.0 > ROOM.0 + UNDER;
        if is_quiet && is_flowing {
            self.learn(s, minutes);
        }
    }

    fn dead(&mut self, ts: Ts, dead: Option<(Which, Temperature, Ts)>, turned: &mut impl FnMut(Turn)) {
        let Some(p) = self.suspicions.last_mut() else { return };
        match dead {
            Some((which, value, since)) => {
                (p.sum, p.samples, p.since) = (FULL, SAMPLES, Some(since));
                p.turn(ts, SENSOR_DEAD, Some(Fault::SensorDead { which, value }), turned);
            }
            None => {
                p.sum = 0;
                p.turn(ts, SENSOR_DEAD, None, turned);
            }
        }
    }

    /// Air lock: open, warm water arrives, and the return is colder than it ever is then.
    fn air(&self, s: Sample, main: Temperature) -> (Speaks, Option<Fault>) {
        let position = s.position.unwrap_or(1_000);
        if position < OPEN || main.0 - s.supply.0 >= UNDER {
            return (Speaks::Nothing, None);
        }
        let share = match self.usual_below(position) {
            Some(share) => share,
            // Only a valve that tells its position is known to stand open.
            None if s.position.is_some() => PRIOR,
            None => return (Speaks::Nothing, None),
        };
        let usual = at_share(s.supply, share);
        let lacks = usual.0 - s.back.0;
        if lacks <= SLACK || 2 * share_of(s) > share {
            return (Speaks::Against, None);
        }
        // Little water cools on its way. A room that grew cold cools the return as well, and warms up within days: without that sign it takes long.
        let is_slow = i64::from(self.cooled) > COOLED;
        let weight = match (is_slow, s.position) {
            (true, _) => 1,
            (false, Some(_)) => FAINT,
            // A riser serves many rooms: they do not all stand open.
            (false, None) => FAINT_RISER,
        };
        let by = (lacks - SLACK).min(MOST) / weight;
        (Speaks::For(by), Some(Fault::AirLock { supply: s.supply, back: s.back, usual }))
    }

    /// Stuck open: shut, and the return is as warm as it is when it stands open.
    fn open(&self, s: Sample, main: Temperature) -> (Speaks, Option<Fault>) {
        let Some(position) = s.position.filter(|p| *p < HALF) else { return (Speaks::Against, None) };
        let open = self.usual_open().unwrap_or(PRIOR_OPEN);
        if self.below_usual(s.supply, main) > WARM {
            return (Speaks::Against, None);
        }
        let share = match self.usual_below(position) {
            Some(share) => share.max(0),
            None if position < SHUT => 0,
            None => return (Speaks::Nothing, None),
        };
        // Half open it must be far from what it is then.
        if position >= SHUT && 10 * share > 4 * open {
            return (Speaks::Against, None);
        }
        let usual = at_share(s.supply, share);
        let over = s.back.0 - usual.0;
        if over <= SLACK || 10 * share_of(s) < 8 * open {
            return (Speaks::Against, None);
        }
        (Speaks::For(over - SLACK), Some(Fault::StuckOpen { position, back: s.back, usual }))
    }

    /// How much further the supply is under the main than it usually is.
    fn below_usual(&self, supply: Temperature, main: Temperature) -> i64 {
        main.0 - supply.0 - i64::from(self.under.0)
    }

    /// Follows that while it stands open.
    fn cool(&mut self, s: Sample, minutes: i64) {
        let Some((supply, main)) = s.settled else { return };
        if s.position.unwrap_or(1_000) < OPEN || main.0 - supply.0 >= UNDER {
            self.cooled = 0;
            return;
        }
        let below = self.below_usual(supply, main);
        let step = (below.clamp(-2 * COOLED, 3 * COOLED) - i64::from(self.cooled)) * minutes.min(60) / 120;
        self.cooled = self.cooled.saturating_add(i16::try_from(step).unwrap_or(0));
    }

    /// What is left in the return at this position, or at the next smaller one that is known: opened wider, it is never less.
    fn usual_below(&self, position: i64) -> Option<i64> {
        let known = |(share, hours): &(i16, u16)| (*hours >= MEASURE).then_some(i64::from(*share));
        self.usual.iter().take(step_of(position) + 1).rev().find_map(known)
    }

    /// The same of the widest position that is known.
    fn usual_open(&self) -> Option<i64> {
        let open = self.usual.iter().enumerate().skip(4);
        open.filter(|(_, (_, hours))| *hours >= MEASURE).map(|(_, (share, _))| i64::from(*share)).max()
    }

    /// The median of an hour's samples, one an hour, by small steps: it needs no past.
    fn learn(&mut self, s: Sample, minutes: i64) {
        self.unlearned = self.unlearned.saturating_add(u16::try_from(minutes).unwrap_or(u16::MAX));
        if self.unlearned < 55 {
            return;
        }
        self.unlearned = 0;
        let position = s.position.unwrap_or(1_000);
        if let Some(share) = self.usual.get_mut(step_of(position)) {
            approach(share, share_of(s), 1);
        }
        if let Some((supply, main)) = s.settled.filter(|_| position > HALF) {
            approach(&mut self.under, main.0 - supply.0, 10);
        }
    }
}

/// Lets a median and its hours follow one more value. Wide steps first: the first hours are no better than the next.
fn approach((median, hours): &mut (i16, u16), value: i64, unit: i16) {
    let value = i16::try_from(value.clamp(-30_000, 30_000)).unwrap_or(0);
    let widest = i16::try_from((120 / (*hours).max(1)).clamp(2, 40)).unwrap_or(2) * unit;
    let step = i32::from(value) - i32::from(*median);
    let step = if *hours == 0 { step } else { step.clamp(-i32::from(widest), i32::from(widest)) };
    *median = i16::try_from(i32::from(*median) + step).unwrap_or(value);
    *hours = hours.saturating_add(1);
}

impl Suspicion {
    fn turn(&mut self, ts: Ts, code: &'static str, fault: Option<Fault>, turned: &mut impl FnMut(Turn)) {
        match (self.told, fault) {
            (None, Some(fault)) if self.sum >= TOLD && self.samples >= SAMPLES => {
                self.told = Some(ts);
                turned(Turn::Began { fault, since: self.since.unwrap_or(ts) });
            }
            (Some(told), Some(fault)) if self.sum > 0 && ts - told >= Ms::days(1) => {
                self.told = Some(ts);
                turned(Turn::Goes { fault, since: self.since.unwrap_or(ts) });
            }
            (Some(_), None) if self.sum == 0 => {
                self.told = None;
                turned(Turn::Ended(code));
            }
            _ => {}
        }
    }
}

/// Stuck shut: open by its own word, and what stands at its supply has cooled.
fn shut(s: Sample, main: Temperature) -> (Speaks, Option<Fault>) {
    let Some(position) = s.position else { return (Speaks::Nothing, None) };
    let is_cold = main.0 - s.supply.0 >= UNDER && 2 * (s.supply.0 - ROOM.0) < main.0 - ROOM.0;
    match (position > HALF, is_cold) {
        (true, true) => (Speaks::For(MOST), Some(Fault::StuckShut { position, supply: s.supply, main })),
        (true, false) => (Speaks::Against, None),
        (false, _) => (Speaks::Nothing, None),
    }
}

fn take(probe: &mut Option<Probe>, ts: Ts, value: Temperature, main: Option<Temperature>) -> Worth {
    match probe {
        Some(p) => p.take(ts, value, main),
        None => {
            *probe = Some(Probe::new(ts, value));
            if is_possible(value) { Worth::Good } else { Worth::Doubtful }
        }
    }
}

/// The share of the supply's warmth that is left in the return, per mille.
fn share_of(s: Sample) -> i64 {
    (s.back.0 - ROOM.0) * 1_000 / (s.supply.0 - ROOM.0).max(1_000)
}

/// What the return has at this share.
fn at_share(supply: Temperature, share: i64) -> Temperature {
    Temperature(ROOM.0 + share * (supply.0 - ROOM.0).max(0) / 1_000)
}

fn step_of(position: i64) -> usize {
    usize::try_from(position.clamp(0, 999) / 100).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER: i64 = 900_000;
    const MAIN: i64 = 50_000;

    /// What a valve shows in one quarter of an hour, in whole degrees and per mille: supply, return, position, main.
    type Shown = (i64, i64, i64, i64);

    /// Its statements over so many days, with the hour of each. Sensors have the noise of sixteenths of a degree.
    fn run(days: i64, shown: impl Fn(i64) -> Shown) -> Vec<(i64, String)> {
        let (mut valve, mut said) = (Valve::default(), vec![]);
        for q in 0..days * 96 {
            let (supply, back, position, main) = shown(q / 4);
            let noise = (q * 7 % 5 - 2) * 62;
            let warm = |t: i64| Temperature(t * 1_000 + noise);
            // The main swings by a degree and a half in a day.
            let main = Temperature(main * 1_000 + (q % 96 - 48).abs() * 30);
            let settled = Some((warm(supply), main));
            let s =
                Sample { ts: Ts(q * QUARTER), supply: warm(supply), back: warm(back), position: Some(position), main: Some(main), settled };
            valve.look(s, |turn| {
                let word = match turn {
                    Turn::Began { fault, .. } => format!("{fault:?}").split(' ').next().map(str::to_owned).unwrap_or_default(),
                    Turn::Goes { .. } => return,
                    Turn::Ended(code) => format!("{code} over"),
                };
                said.push((q / 4, word));
            });
        }
        said
    }

    /// Open, and as it should be.
    const WELL: Shown = (50, 31, 800, 50);

    fn from(hour: i64, shown: Shown) -> impl Fn(i64) -> Shown {
        move |h| if h >= hour { shown } else { WELL }
    }

    fn only(said: &[(i64, String)], word: &str, within: std::ops::RangeInclusive<i64>) {
        assert!(matches!(said, [(hour, w)] if w == word && within.contains(hour)), "{word}: {said:?}");
    }

    #[test]
    fn a_valve_that_does_as_ever_is_never_told() {
        assert_eq!(run(60, |_| WELL), []);
        // Half open by day, nearly shut by night, and its return follows.
        assert_eq!(run(60, |h| if h % 24 < 6 { (49, 22, 200, 50) } else { (50, 31, 800, 50) }), []);
    }

    #[test]
    fn air_is_told_within_hours_where_the_supply_cools_as_well() {
        only(&run(9, from(96, (48, 22, 900, 50))), "AirLock", 97..=101);
    }

    #[test]
    fn air_without_that_sign_takes_days_because_a_cold_room_looks_the_same_at_first() {
        // After a window stood open: the return is colder for a day, and comes back.
        assert_eq!(run(12, |h| if (96..130).contains(&h) { (50, 25, 1_000, 50) } else { WELL }), []);
        only(&run(30, from(96, (50, 21, 900, 50))), "AirLock", 97 + 72..=96 + 14 * 24);
    }

    #[test]
    fn a_riser_that_tells_no_position_is_told_within_a_day() {
        let mut valve = Valve::default();
        let mut said = vec![];
        for q in 0..9 * 96 {
            let back = if q >= 480 { 22_000 } else { 33_000 };
            let noise = q * 7 % 5 * 62;
            let (supply, back, main) = (Temperature(45_000 + noise), Temperature(back + noise), Some(Temperature(45_500)));
            let settled = main.map(|main| (supply, main));
            valve.look(Sample { ts: Ts(q * QUARTER), supply, back, position: None, main, settled }, |turn| {
                said.extend(matches!(turn, Turn::Began { fault: Fault::AirLock { .. }, .. }).then_some(q / 4));
            });
        }
        assert!(matches!(said[..], [hour] if (121..=144).contains(&hour)), "{said:?}");
    }

    #[test]
    fn a_valve_that_says_open_and_gets_nothing_warm_is_stuck_shut() {
        only(&run(9, from(96, (24, 22, 900, 50))), "StuckShut", 97..=101);
        // The tenant closed it: it says so.
        assert_eq!(run(9, from(96, (24, 22, 0, 50))), []);
    }

    #[test]
    fn a_valve_that_says_shut_and_is_warm_is_stuck_open() {
        only(&run(9, from(96, (50, 33, 0, 50))), "StuckOpen", 97..=102);
        // It was just closed: what stands in it is warm for an hour or two, and its supply cools with it.
        assert_eq!(
            run(9, |h| match h - 96 {
                ..0 => WELL,
                0 => (47, 30, 0, 50),
                1 => (43, 28, 0, 50),
                _ => (30, 25, 0, 50),
            }),
            []
        );
    }

    #[test]
    fn the_boilers_rest_is_no_fault_of_a_valve() {
        assert_eq!(run(9, |h| if (96..130).contains(&h) { (24, 22, 900, 24) } else { WELL }), []);
    }

    #[test]
    fn a_fault_that_was_put_right_is_over_and_told_again_when_it_comes_back() {
        let said = run(16, |h| if (96..144).contains(&h) || h >= 240 { (48, 22, 900, 50) } else { WELL });
        let words: Vec<&str> = said.iter().map(|(_, w)| w.as_str()).collect();
        assert_eq!(words, ["AirLock", "air_lock over", "AirLock"], "{said:?}");
    }

    #[test]
    fn a_dead_sensor_makes_no_other_fault() {
        only(&run(9, from(96, (50, -127, 900, 50))), "SensorDead", 96..=97);
        only(&run(9, from(96, (-127, 31, 900, 50))), "SensorDead", 96..=97);
    }

    #[test]
    fn what_is_suspected_is_not_learned() {
        let mut valve = Valve::default();
        let mut told = 0;
        for q in 0..60 * 96 {
            let fault = q > 5 * 96;
            let (supply, back) = if fault { (47_900, 22_000) } else { (50_000, 31_000) };
            let noise = q * 7 % 5 * 62;
            let s = Sample {
                ts: Ts(q * QUARTER),
                supply: Temperature(supply + noise),
                back: Temperature(back + noise),
                position: Some(800),
                main: Some(Temperature(MAIN)),
                settled: Some((Temperature(supply + noise), Temperature(MAIN))),
            };
            valve.look(s, |turn| told += i32::from(matches!(turn, Turn::Began { .. })));
        }
        assert_eq!(told, 1, "two months later it is still the same fault");
    }
}
