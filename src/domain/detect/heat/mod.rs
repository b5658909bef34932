//! Rules for the heating of a compound: valves against their own past, sensors that died, loops that lose water, rooms that are cold.
//!
//! No two radiators are alike, so nothing here is compared with a number that fits all: how warm the return of a valve usually is, at this
//! supply and this position, is learned from the valve itself. What all valves of a loop do together (the boiler rests, the weather turns)
//! is no fault of one: each is held against the supply of the whole group.

pub mod loss;
pub mod probe;
pub mod room;
pub mod valve;

use crate::domain::units::Temperature;

/// What a return has when all its heat has gone into a room. Only differences to a valve's own past are judged by it.
pub const ROOM: Temperature = Temperature(21_000);

/// Below this supply nobody heats.
pub const HEATED: Temperature = Temperature(32_000);

/// What the main brings: the upper quarter of what arrives at the valves. Closed ones stand cold, so the warm ones tell it. `supplies` is put
/// out of order. None: nobody tells.
pub fn main_supply(supplies: &mut [Temperature]) -> Option<Temperature> {
    if supplies.is_empty() {
        return None;
    }
    let at = supplies.len() * 3 / 4;
    let (_, upper, _) = supplies.select_nth_unstable(at);
    Some(*upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_is_told_by_the_warm_valves() {
        let of = |list: &[i64]| main_supply(&mut list.iter().map(|t| Temperature(t * 1_000)).collect::<Vec<_>>());
        assert_eq!(of(&[22, 45, 21, 44, 46, 22, 23, 45]), Some(Temperature(45_000)));
        assert_eq!((of(&[21, 46]), of(&[45]), of(&[])), (Some(Temperature(46_000)), Some(Temperature(45_000)), None));
    }
}
