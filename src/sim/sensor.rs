//! Devices that measure no water: leak ropes, a button, a door, rooms. Nearly always they say that all is well.

use super::calendar::{self, DayKind, EPOCH};
use super::device::{LONGEST_GAP, Taken};
use super::dice::{Dice, mix};
use super::heating;
use crate::domain::flag::Flag;
use crate::domain::units::Quantity;
use std::ops::Range;

const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;
/// What changes does so at this second of a minute, and what is sent in turn comes before it: no two messages have one time.
const CHANGES_AT: i64 = 30_000;

/// Which draws say when something is wrong. By this one nobody in the demo (seed 1) calls for help before June 2027: a call stands above the
/// leak that the demo is about, until somebody closes it.
const TROUBLE: u64 = 6;

/// What a sensor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Rope,
    Button,
    Door,
    Room,
}

impl Role {
    /// By the last word of its id: the config does not say what a sensor is. None: nobody plays it.
    pub fn of(key: &str) -> Option<Role> {
        match key.rsplit('-').next()? {
            "rope" => Some(Role::Rope),
            "button" => Some(Role::Button),
            "door" => Some(Role::Door),
            "room" => Some(Role::Room),
            _ => None,
        }
    }

    /// What it tells in numbers.
    pub fn quantities(self) -> &'static [Quantity] {
        match self {
            Role::Room => &[Quantity::Temperature, Quantity::Ratio],
            _ => &[Quantity::Ratio],
        }
    }

    /// Between two messages in which nothing is new.
    pub fn every(self) -> i64 {
        match self {
            Role::Room => 15 * MINUTE_MS,
            _ => 60 * MINUTE_MS,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Model {
    seed: u64,
    role: Role,
}

impl Model {
    pub fn new(seed: u64, role: Role) -> Model {
        Model { seed, role }
    }

    /// Where its messages in turn lie between two ticks of the clock.
    pub fn offset(&self) -> i64 {
        Dice::of(self.seed, 1).below(self.role.every() / MINUTE_MS) * MINUTE_MS + 5_000
    }

    /// What it raises, and when on that day, if it does.
    fn raised(&self, day: i64) -> Option<(Flag, Range<i64>)> {
        let mut dice = Dice::of(mix(self.seed, TROUBLE), day);
        let workday = calendar::kind(day) == DayKind::Workday;
        let (flag, per_mille, hours, minutes) = match self.role {
            // A sink that runs over, a hose that slips off.
            Role::Rope => (Flag::Wet, 15, 6..22, 20..90),
            Role::Button => (Flag::Emergency, 3, 7..22, 2..10),
            // The one who looks after the pumps.
            Role::Door if workday => (Flag::Open, 200, 8..17, 5..25),
            Role::Door | Role::Room => return None,
        };
        if !dice.chance(per_mille) {
            return None;
        }
        let start = day * DAY_MS + dice.between(hours.start * 60, hours.end * 60) * MINUTE_MS + CHANGES_AT;
        Some((flag, start..start + dice.between(minutes.start, minutes.end) * MINUTE_MS))
    }

    /// What is raised at a moment. No day's trouble lasts into the next day.
    pub fn flag(&self, ms: i64) -> Option<Flag> {
        self.raised(ms.div_euclid(DAY_MS)).filter(|(_, when)| when.contains(&ms)).map(|(flag, _)| flag)
    }

    /// The messages that it sends out of turn within `span`, because something has changed.
    pub fn changes(&self, span: &Range<i64>) -> Vec<Taken> {
        let days = (span.start - LONGEST_GAP).div_euclid(DAY_MS)..=span.end.div_euclid(DAY_MS);
        let moments = days.filter_map(|day| self.raised(day)).flat_map(|(_, when)| [when.start, when.end]);
        let taken =
            moments.map(|at| Taken { at, comes: at + 1_000 + Dice::of(mix(self.seed, 3), at).below(1_500), again: None, stutters: false });
        taken.filter(|t| span.contains(&t.comes)).collect()
    }

    /// A column of its message, in the quantity's smallest unit. `weather` is the seed of the weather.
    pub fn value(&self, quantity: Quantity, weather: u64, ms: i64) -> Option<i64> {
        match quantity {
            // Tenths of a degree are all that such a device tells.
            Quantity::Temperature => Some(heating::room(self.seed, weather, ms) / 100 * 100),
            // From full to nearly half in two and a half years; then somebody puts in a new one.
            Quantity::Ratio => {
                let age = (ms.div_euclid(DAY_MS) - EPOCH + Dice::of(self.seed, 4).below(900)).rem_euclid(900);
                Some((1_000 - age * 550 / 900) / 10 * 10)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = EPOCH + 1_000;

    fn raised(role: Role, days: i64) -> usize {
        let models = (0..20).map(|seed| Model::new(seed, role));
        models.map(|m| (START..START + days).filter(|day| m.raised(*day).is_some()).count()).sum()
    }

    #[test]
    fn nearly_always_all_is_well() {
        // Of twenty of each, over a year.
        let (ropes, buttons, doors) = (raised(Role::Rope, 365), raised(Role::Button, 365), raised(Role::Door, 365));
        assert!((70..160).contains(&ropes), "{ropes}");
        assert!((8..45).contains(&buttons), "{buttons}");
        assert!((700..1_300).contains(&doors), "{doors}");
        assert_eq!(raised(Role::Room, 365), 0);
    }

    #[test]
    fn each_change_is_told_once_and_holds_until_the_next() {
        let door = Model::new(3, Role::Door);
        let all = door.changes(&(START * DAY_MS..(START + 60) * DAY_MS));
        let cut: Vec<Taken> =
            (0..60 * 24).flat_map(|h| door.changes(&((START * 24 + h) * 3_600_000..(START * 24 + h + 1) * 3_600_000))).collect();
        assert!(all.len() >= 8, "{all:?}");
        assert_eq!(all, cut);
        for (i, change) in all.iter().enumerate() {
            assert_eq!(change.at.rem_euclid(MINUTE_MS), CHANGES_AT, "apart from what is sent in turn");
            let open = i % 2 == 0;
            assert_eq!((door.flag(change.at - 1).is_some(), door.flag(change.at).is_some()), (!open, open));
        }
        assert!((5_000..6_000).contains(&door.offset().rem_euclid(MINUTE_MS)));
    }

    #[test]
    fn a_sensor_is_what_its_id_ends_with() {
        assert_eq!(Role::of("h2-101-rope"), Some(Role::Rope));
        assert_eq!((Role::of("rope-h2"), Role::of("door")), (None, Some(Role::Door)));
    }
}
