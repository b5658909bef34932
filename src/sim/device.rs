//! A device: when it reads, when its message comes, and what goes wrong on the way.

use super::dice::{Dice, mix};
use super::payload::Template;
use crate::domain::units::{Amount, Quantity, Unit};
use std::ops::Range;
use std::sync::Arc;

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;
/// The longest that a message waits in a device without signal.
pub const LONGEST_GAP: i64 = 4 * HOUR_MS + 60_000;

#[derive(Clone, Debug)]
pub struct Device {
    pub seed: u64,
    pub topic: Arc<str>,
    pub template: Arc<Template>,
    pub what: What,
    pub register: Option<Register>,
    /// Between two readings, in milliseconds.
    pub every: i64,
    /// The same while somebody looks on: a register that is read once a minute makes its flow visible.
    pub every_live: i64,
    /// Where its readings lie between two ticks of the clock.
    pub offset: i64,
    /// It loses its signal now and then, and sends what it missed afterwards.
    pub loses_signal: bool,
    /// It cannot always read its own counter, and says so in its own way.
    pub stutters: bool,
}

/// What a device measures: an index into the world's list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Household(usize),
    Area(usize),
    MakeUp(usize),
    Garden,
    Riser(usize),
    /// Nothing that flows.
    Sensor(usize),
}

#[derive(Clone, Debug)]
pub struct Register {
    /// Which column of the message it is.
    pub column: usize,
    /// Where it stood at the epoch, in millilitres.
    pub start: i64,
    pub pulse_weight: Amount,
    pub rollover_at: Option<Amount>,
}

impl Register {
    /// What the register shows when this much has passed since the epoch: in millilitres, or in pulses where `unit` counts those.
    pub fn shows(&self, passed: i64, unit: Unit) -> i64 {
        let pulse = self.pulse_weight.0.max(1);
        let full = self.rollover_at.map_or(i64::MAX, |m| m.0.max(1));
        let pulses = (self.start + passed) % full / pulse;
        if unit.quantity() == Quantity::Pulses { pulses } else { pulses * pulse }
    }
}

/// One reading: when it was taken and when its message comes, in milliseconds by the compound's wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub at: i64,
    pub comes: i64,
    /// The same message comes a second time, then.
    pub again: Option<i64>,
    /// Beside it comes a message that means nothing.
    pub stutters: bool,
}

impl Device {
    /// The readings whose messages come within `span`, in any order. A repetition belongs to its first message.
    pub fn readings(&self, span: &Range<i64>, live: bool) -> Vec<Taken> {
        let every = if live { self.every_live } else { self.every };
        let first = (span.start - LONGEST_GAP - self.offset).div_euclid(every);
        let last = (span.end - self.offset).div_euclid(every);
        (first..=last).filter_map(|slot| self.reading(slot, every)).filter(|r| span.contains(&r.comes)).collect()
    }

    /// Reading number `slot`. Its clock is some seconds off; its stamp has whole seconds.
    fn reading(&self, slot: i64, every: i64) -> Option<Taken> {
        let mut dice = Dice::of(mix(self.seed, 1), slot);
        let at = slot * every + self.offset + dice.between(0, 5) * 1_000;
        let mut comes = at + 1_000 + dice.below(1_500);
        if let Some(gap) = self.gap(at.div_euclid(DAY_MS)).filter(|gap| gap.contains(&at)) {
            comes = gap.end + 20_000 + (at - gap.start) / every * 150;
        }
        let again = dice.chance(2).then_some(comes + 4_000);
        Some(Taken { at, comes, again, stutters: self.stutters && dice.chance(15) })
    }

    /// The hours of a day in which nothing reaches it.
    fn gap(&self, day: i64) -> Option<Range<i64>> {
        let mut dice = Dice::of(mix(self.seed, 2), day);
        if !self.loses_signal || !dice.chance(20) {
            return None;
        }
        let start = day * DAY_MS + dice.between(0, 19 * 60) * 60_000;
        Some(start..start + dice.between(60, 240) * 60_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Form;

    fn device() -> Device {
        Device {
            seed: 5,
            topic: "meters/a/state".into(),
            template: Arc::new(Template::new(&Form::Plain { unit: Unit::Litre })),
            what: What::Garden,
            register: None,
            every: 900_000,
            every_live: 60_000,
            offset: 120_000,
            loses_signal: true,
            stutters: true,
        }
    }

    #[test]
    fn every_reading_comes_once_however_the_time_is_cut() {
        let d = device();
        let start = 20_000 * DAY_MS;
        let whole = d.readings(&(start..start + 300 * DAY_MS), false);
        let in_order = |mut all: Vec<Taken>| {
            all.sort_by_key(|r| r.at);
            all
        };
        let whole = in_order(whole);
        let cut: Vec<Taken> =
            (0..300 * 8).flat_map(|h| d.readings(&(start + h * 3 * HOUR_MS..start + (h + 1) * 3 * HOUR_MS), false)).collect();
        // One or two at each end come on the other side of it.
        assert!((300 * 96 - 20..300 * 96 + 20).contains(&whole.len()), "{}", whole.len());
        assert_eq!(whole, in_order(cut));
        assert!(whole.is_sorted_by(|a, b| a.at < b.at));
        assert!(whole.iter().any(|r| r.again.is_some()) && whole.iter().any(|r| r.stutters));
        assert!(whole.iter().any(|r| r.comes - r.at > HOUR_MS), "a signal gap");
        assert_eq!(d.readings(&(start..start + HOUR_MS), true).len(), 60);
    }

    #[test]
    fn a_register_shows_whole_pulses_and_runs_full() {
        let r = Register { column: 0, start: 95_000, pulse_weight: Amount(10_000), rollover_at: Some(Amount(1_000_000)) };
        assert_eq!((r.shows(0, Unit::Litre), r.shows(4_999, Unit::Litre), r.shows(5_000, Unit::Pulse)), (90_000, 90_000, 10));
        assert_eq!(r.shows(905_000, Unit::Litre), 0);
    }
}
