//! Rooms: 室温不达标, under 18 °C in the season, and 防冻, near freezing while no water moves.

use super::probe::is_possible;
use crate::domain::time::{Ms, Ts};
use crate::domain::units::Temperature;
use serde::{Deserialize, Serialize};

/// What a heated room must have: the duty of whoever heats it.
pub const WARM: Temperature = Temperature::celsius(18);
/// It is over from here on: a room that swings about the limit is one matter.
const WARM_AGAIN: Temperature = Temperature(18_500);
/// Readings that follow closer are one.
const APART: Ms = Ms::minutes(15);
/// Three in a row, of one stretch of time.
const ROW: Ms = Ms::hours(12);

/// Frost: a room at which pipes are about to freeze, and the weather that does it.
const ROOM_FROST: Temperature = Temperature::celsius(3);
const OUTDOOR_FROST: Temperature = Temperature::celsius(0);
const THAW: i64 = 1_000;
/// Water that stood for so long is off.
pub const STILL: Ms = Ms::hours(12);

/// What is remembered of a room's temperature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Cold readings in a row, the newest last.
    cold: [Option<(Ts, Temperature)>; 3],
    /// When it was told last; None: it was not.
    told: Option<Ts>,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn<T> {
    Began(T),
    /// It was told a day ago, and goes on.
    Goes(T),
    Ended,
}

impl Room {
    /// Takes a reading. `in_season`: somebody must keep the room warm.
    pub fn reading(&mut self, ts: Ts, seen: Temperature, in_season: bool) -> Option<Turn<[(Ts, Temperature); 3]>> {
        if !is_possible(seen) {
            return None;
        }
        let last = self.cold.last().copied().flatten();
        if !in_season || seen >= if self.told.is_some() { WARM_AGAIN } else { WARM } {
            self.cold = [None; 3];
            return self.told.take().map(|_| Turn::Ended);
        }
        if last.is_some_and(|(before, _)| ts - before < APART) {
            return None;
        }
        if last.is_some_and(|(before, _)| ts - before > ROW) {
            self.cold = [None; 3];
        }
        self.cold.rotate_left(1);
        if let Some(newest) = self.cold.last_mut() {
            *newest = Some((ts, seen));
        }
        let [Some(a), Some(b), Some(c)] = self.cold else { return None };
        match self.told {
            None => {
                self.told = Some(ts);
                Some(Turn::Began([a, b, c]))
            }
            Some(told) if ts - told >= Ms::days(1) => {
                self.told = Some(ts);
                Some(Turn::Goes([a, b, c]))
            }
            Some(_) => None,
        }
    }
}

/// What is remembered of frost at one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frost {
    told: Option<Ts>,
}

impl Frost {
    /// Takes a temperature. `still`: since when no water has passed there, if it has not for [`STILL`].
    pub fn reading(&mut self, ts: Ts, seen: Temperature, is_outdoor: bool, still: Option<Ts>) -> Option<Turn<(Temperature, Ts)>> {
        if !is_possible(seen) {
            return None;
        }
        let limit = if is_outdoor { OUTDOOR_FROST } else { ROOM_FROST };
        match (self.told, still) {
            (Some(_), None) => self.told.take().map(|_| Turn::Ended),
            (Some(_), Some(_)) if seen.0 > limit.0 + THAW => self.told.take().map(|_| Turn::Ended),
            (Some(told), Some(still)) if ts - told >= Ms::days(1) => {
                self.told = Some(ts);
                Some(Turn::Goes((seen, still)))
            }
            (None, Some(still)) if seen <= limit => {
                self.told = Some(ts);
                Some(Turn::Began((seen, still)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(h: i64) -> Ts {
        Ts(h * 3_600_000)
    }

    #[test]
    fn three_cold_readings_in_a_row_are_told_once_and_end_half_a_degree_higher() {
        let mut room = Room::default();
        let tenths = [180, 179, 182, 179, 178, 177, 176, 181, 184, 185, 179, 178, 177];
        let said: Vec<_> = (0..).zip(tenths).filter_map(|(h, t)| Some((h, room.reading(hour(h), Temperature(t * 100), true)?))).collect();
        let row = [(hour(3), Temperature(17_900)), (hour(4), Temperature(17_800)), (hour(5), Temperature(17_700))];
        assert_eq!(said[..2], [(5, Turn::Began(row)), (9, Turn::Ended)]);
        assert!(matches!(said[2..], [(12, Turn::Began(_))]), "{said:?}");
    }

    #[test]
    fn out_of_season_nobody_owes_warmth_and_its_end_ends_it() {
        let mut room = Room::default();
        assert!((0..9).all(|h| room.reading(hour(h), Temperature(15_000), false).is_none()));
        assert!((10..13).any(|h| room.reading(hour(h), Temperature(15_000), true).is_some()));
        assert_eq!(room.reading(hour(14), Temperature(15_000), false), Some(Turn::Ended));
    }

    #[test]
    fn readings_of_one_moment_are_one_and_those_of_other_days_no_row() {
        let mut room = Room::default();
        assert!((0..9).all(|minute| room.reading(Ts(minute * 60_000), Temperature(15_000), true).is_none()));
        let mut room = Room::default();
        assert!((0..9).all(|day| room.reading(hour(day * 24), Temperature(15_000), true).is_none()));
        assert!((0..9).all(|h| room.reading(hour(300 + h), Temperature(-127_000), true).is_none()), "a broken wire is no cold room");
    }

    #[test]
    fn frost_is_told_while_no_water_moves_and_ends_with_a_thaw_or_with_water() {
        let still = Some(hour(0));
        let mut frost = Frost::default();
        let mut at = |h, t, still| frost.reading(hour(h), Temperature(t), false, still);
        assert_eq!(at(20, 2_500, None), None, "water that moves does not freeze");
        assert_eq!(at(21, 3_500, still), None);
        assert_eq!(at(22, 3_000, still), Some(Turn::Began((Temperature(3_000), hour(0)))));
        assert_eq!(at(23, 3_800, still), None);
        assert_eq!(at(24, 4_100, still), Some(Turn::Ended));
        assert_eq!(at(25, 2_000, still), Some(Turn::Began((Temperature(2_000), hour(0)))));
        assert_eq!(at(26, 2_000, None), Some(Turn::Ended));
        assert_eq!(Frost::default().reading(hour(30), Temperature(1_000), true, still), None, "outside that is no frost yet");
    }
}
