//! A temperature sensor that died: it shows what cannot be, or one value for ever.
//!
//! How long the same value may stand depends on the sensor: one with steps of half a degree repeats itself all day. So each learns how often it
//! does, and is dead when chance would not bring such a run in a lifetime.

use crate::domain::time::{Ms, Ts};
use crate::domain::units::Temperature;
use serde::{Deserialize, Serialize};

/// What the common digital sensor shows after it lost its power, and when nothing answers.
const POWER_ON: i64 = 85_000;
const COLDEST: i64 = -50_000;
const HOTTEST: i64 = 130_000;
/// One wrong value is a bad contact.
const BAD: u16 = 3;

/// The shortest run that says anything.
const STANDS: Ms = Ms::hours(6);
/// What is as cold as a room may stand still for long.
const COLD: i64 = 26_000;
/// So far the main must move meanwhile, or a day must pass.
const MOVED: i64 = 1_500;
const DAY: Ms = Ms::hours(24);

/// How many equal values in a row chance brings once in 10⁸, by how often two are equal: up to 10 %, 20 % … 100 %.
const RUNS: [u32; 10] = [8, 12, 16, 21, 27, 37, 52, 83, 175, 360];
/// Before anything is known: three in ten.
const REPEATS: u16 = 300;
/// Samples that shape it.
const MEMORY: i32 = 64;

/// What is remembered of one sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    value: Temperature,
    /// Since when it shows that.
    since: Ts,
    /// How often it repeated it while there was heat.
    same: u32,
    /// Impossible values in a row.
    bad: u16,
    /// How often two values in a row are equal, in per mille.
    repeats: u16,
    /// The coldest and the warmest main meanwhile.
    low: Temperature,
    high: Temperature,
}

/// How much a value is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    Good,
    /// It may be dead: no other rule should rest on it.
    Doubtful,
    Dead {
        since: Ts,
    },
}

/// False for a value that no pipe has.
pub fn is_possible(t: Temperature) -> bool {
    t.0 != POWER_ON && (COLDEST..=HOTTEST).contains(&t.0)
}

impl Probe {
    pub fn new(ts: Ts, value: Temperature) -> Probe {
        Probe {
            value,
            since: ts,
            same: 0,
            bad: u16::from(!is_possible(value)),
            repeats: REPEATS,
            low: Temperature(i64::MAX),
            high: Temperature(i64::MIN),
        }
    }

    /// Takes the next value. `main`: what the main brings; None while nobody heats.
    pub fn take(&mut self, ts: Ts, value: Temperature, main: Option<Temperature>) -> Worth {
        if !is_possible(value) {
            self.since = if self.bad == 0 { ts } else { self.since };
            self.bad = self.bad.saturating_add(1);
            self.value = value;
            return if self.bad >= BAD { Worth::Dead { since: self.since } } else { Worth::Doubtful };
        }
        let was_bad = std::mem::take(&mut self.bad) > 0;
        let is_same = value == self.value && !was_bad;
        if !is_same {
            self.learn(false, main.is_some());
            *self = Probe { repeats: self.repeats, ..Probe::new(ts, value) };
            return Worth::Good;
        }
        let Some(main) = main else {
            // Without heat everything stands still.
            *self = Probe { repeats: self.repeats, ..Probe::new(ts, value) };
            return Worth::Good;
        };
        self.low = self.low.min(main);
        self.high = self.high.max(main);
        self.same += 1;
        let long = RUNS[usize::from(self.repeats / 100).min(RUNS.len() - 1)];
        if self.same < long / 2 {
            self.learn(true, true);
        }
        let twice = if value.0 < COLD { 2 } else { 1 };
        let has_moved = self.high.0 - self.low.0 >= MOVED || ts - self.since >= DAY;
        if self.same >= long * twice && (ts - self.since).0 >= STANDS.0 * i64::from(twice) && has_moved {
            return Worth::Dead { since: self.since };
        }
        if self.same >= long / 2 && self.same > 3 { Worth::Doubtful } else { Worth::Good }
    }

    pub fn value(&self) -> Temperature {
        self.value
    }

    fn learn(&mut self, is_same: bool, heated: bool) {
        if !heated {
            return;
        }
        let seen = if is_same { 1_000 } else { 0 };
        let next = i32::from(self.repeats) + (seen - i32::from(self.repeats)) / MEMORY;
        self.repeats = u16::try_from(next).unwrap_or(REPEATS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER: Ms = Ms::minutes(15);

    /// Hours until it is called dead, of so many quarters of an hour; the main swings by 4 K in a day.
    fn dead_after(values: impl Fn(i64) -> i64, quarters: i64, heated: bool) -> Option<i64> {
        let mut probe = Probe::new(Ts(0), Temperature(values(0)));
        (1..quarters).find_map(|q| {
            let main = heated.then_some(Temperature(45_000 + (q % 96 - 48).abs() * 80));
            matches!(probe.take(Ts(q * QUARTER.0), Temperature(values(q)), main), Worth::Dead { .. }).then_some(q / 4)
        })
    }

    #[test]
    fn impossible_values_are_told_at_the_third_and_one_is_a_bad_contact() {
        assert_eq!(dead_after(|q| if q < 40 { 40_000 + q * 60 } else { 85_000 }, 100, true), Some(10));
        assert_eq!(dead_after(|q| if q < 40 { 40_000 + q * 60 } else { -127_000 }, 100, true), Some(10));
        assert_eq!(dead_after(|q| if q % 10 == 0 { 85_000 } else { 40_000 + q * 60 }, 1_000, true), None);
    }

    #[test]
    fn one_value_for_hours_is_dead_while_the_main_moves_and_not_while_nobody_heats() {
        let stands = |q: i64| if q < 400 { 40_000 + q % 7 * 62 } else { 40_500 };
        assert_eq!(dead_after(stands, 800, true).map(|h| h - 100), Some(6));
        assert_eq!(dead_after(stands, 8_000, false), None);
    }

    #[test]
    fn a_coarse_sensor_repeats_itself_for_hours_and_is_well() {
        // Half a degree: it changes some times a day.
        assert_eq!(dead_after(|q| 40_000 + q / 20 % 6 * 500, 40_000, true), None);
        assert!(dead_after(|q| if q < 4_000 { 40_000 + q / 20 % 6 * 500 } else { 41_000 }, 40_000, true).is_some());
    }

    #[test]
    fn what_is_as_cold_as_a_room_may_stand_longer() {
        let run = |at: i64| dead_after(move |q| if q < 400 { 30_000 + q % 7 * 62 } else { at }, 4_000, true).unwrap();
        assert!(run(22_000) >= run(40_000) + 6);
    }
}
