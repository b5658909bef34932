//! What a bulk meter sees: the households behind it, what they use in common, a roof tank, a leak.

use super::calendar::{self, EPOCH, MINUTES};
use super::dice::{Dice, mix};
use super::household::{Household, Minutes, dry};

/// A register over one day, in millilitres: where it stood at midnight, and how far it had risen after each minute.
#[derive(Clone, Debug)]
pub struct Curve {
    before: i64,
    risen: Vec<i64>,
}

impl Curve {
    pub fn new(before: i64, minutes: &[i64]) -> Curve {
        let risen = std::iter::once(0)
            .chain(minutes.iter().scan(0, |sum, ml| {
                *sum += ml;
                Some(*sum)
            }))
            .collect();
        Curve { before, risen }
    }

    /// The register at a millisecond of the day: never falling, and where the next day goes on.
    pub fn at(&self, ms: i64) -> i64 {
        let minute = usize::try_from(ms / 60_000).unwrap_or_default().min(1_439);
        let (from, to) = (self.risen[minute], self.risen[minute + 1]);
        self.before + from + (to - from) * (ms % 60_000) / 60_000
    }
}

/// The leak: 1390 L/h, growing to it within an hour.
pub const LEAK_ML_PER_HOUR: i64 = 1_390_000;
const HOUR_MS: i64 = 3_600_000;

/// What has run away `since` milliseconds after the pipe began to give.
pub fn leaked(since: i64) -> i64 {
    let since_wide = i128::from(since.max(0));
    let (flow, hour) = (i128::from(LEAK_ML_PER_HOUR), i128::from(HOUR_MS));
    let ml = if since < HOUR_MS { flow * since_wide * since_wide / (2 * hour * hour) } else { flow * (2 * since_wide - hour) / (2 * hour) };
    i64::try_from(ml).unwrap_or(i64::MAX)
}

#[derive(Clone, Debug)]
pub struct Area {
    seed: u64,
    /// Indices of all who live behind the meter.
    pub households: Vec<usize>,
    /// Stairs that are mopped and beds that are watered.
    buildings: i64,
    /// What drips in all the flats: the meter feels it only while others draw water too.
    drip_ml_per_hour: i64,
    /// They draw from a tank on the roof, which a float valve fills at night.
    tank: bool,
    /// Where the pipe gives.
    pub leaks: bool,
    /// Millilitres of the common use from the epoch to the start of day EPOCH + i.
    common_sums: Vec<i64>,
}

/// The hours in which some tap is always open somewhere in the building.
const AWAKE: std::ops::Range<usize> = 6 * 60..23 * 60;

impl Area {
    pub fn new(seed: u64, households: Vec<usize>, homes: &[Household], buildings: usize, tank: bool, leaks: bool) -> Area {
        let drip_ml_per_hour = households.iter().map(|i| homes[*i].drip_ml_per_hour).sum();
        let buildings = i64::try_from(buildings).unwrap_or_default();
        Area { seed, households, buildings, drip_ml_per_hour, tank, leaks, common_sums: vec![0] }
    }

    /// Litres of the day's cleaning and watering.
    fn common(&self, day: i64) -> i64 {
        let watering = (calendar::warmth(day).max(0) * 150) / 1_000;
        self.buildings * Dice::of(mix(self.seed, 1), day).between(15, 45 + watering)
    }

    fn awake_minutes() -> i64 {
        i64::try_from(AWAKE.len()).unwrap_or_default()
    }

    /// What left the taps from the epoch to the start of `day`, as a meter can feel it.
    fn used_before(&mut self, homes: &mut [Household], day: i64) -> i64 {
        let wanted = usize::try_from(day - EPOCH).unwrap_or_default();
        while self.common_sums.len() <= wanted {
            let day = EPOCH + i64::try_from(self.common_sums.len()).unwrap_or_default() - 1;
            let sum = self.common_sums.last().copied().unwrap_or_default() + self.common(day) * 1_000;
            self.common_sums.push(sum);
        }
        let drips = (day - EPOCH).max(0) * Area::awake_minutes() * (self.drip_ml_per_hour / 60);
        let used: i64 = self.households.iter().map(|i| homes[*i].before(day)).sum();
        used + self.common_sums[wanted] + drips
    }

    /// The day as the bulk meter shows it, without the leak. `minutes[i]` is household i's day.
    pub fn curve(&mut self, homes: &mut [Household], minutes: &[Minutes], day: i64) -> Curve {
        if self.tank {
            let (before, to_fill) = (self.used_before(homes, day - 1), self.used_before(homes, day));
            return Curve::new(before, &self.filling(day, to_fill - before));
        }
        let mut all = dry();
        for i in &self.households {
            all.iter_mut().zip(&minutes[*i]).for_each(|(sum, ml)| *sum += ml);
        }
        all[AWAKE].iter_mut().for_each(|sum| *sum += self.drip_ml_per_hour / 60);
        let litres = self.common(day);
        let mut dice = Dice::of(mix(self.seed, 2), day);
        for litre in 0..litres {
            // The caretaker's bucket: mornings, and a little after noon.
            let start = if litre % 3 == 0 { 14 * 60 } else { 7 * 60 };
            all[usize::try_from(start + dice.below(100)).unwrap_or_default()] += 1_000;
        }
        Curve::new(self.used_before(homes, day), &all)
    }

    /// How the tank takes in, from about two o'clock on, what was drawn from it the day before.
    fn filling(&self, day: i64, ml: i64) -> Minutes {
        let mut out = dry();
        let mut dice = Dice::of(mix(self.seed, 3), day);
        let from = dice.between(2 * 60 - 4, 2 * 60 + 4);
        let full_flow = dice.between(48_000, 52_000);
        let mut left = ml;
        for minute in from..MINUTES {
            // The float closes the valve slowly.
            let part = full_flow.min((left / 6).max(4_000)).min(left);
            out[usize::try_from(minute).unwrap_or_default()] = part;
            left -= part;
        }
        out[1_439] += left;
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::household::share_out;

    const DAY: i64 = EPOCH + 1_050;

    fn building(seed: u64, n: usize, tank: bool) -> (Vec<Household>, Area) {
        let residents = share_out(seed, n, Some(u32::try_from(n * 9 / 4).unwrap()), &[]);
        let homes: Vec<_> = residents.iter().enumerate().map(|(i, r)| Household::new(mix(seed, i as u64), *r, false)).collect();
        let area = Area::new(seed, (0..n).collect(), &homes, 1, tank, false);
        (homes, area)
    }

    fn curve(homes: &mut [Household], area: &mut Area, day: i64) -> Curve {
        let minutes: Vec<_> = homes.iter().map(|h| h.minutes(day)).collect();
        area.curve(homes, &minutes, day)
    }

    fn litres(c: &Curve, from_hour: i64, to_hour: i64) -> i64 {
        (c.at(to_hour * HOUR_MS - 1) - c.at(from_hour * HOUR_MS)) / 1_000
    }

    #[test]
    fn registers_never_fall_and_one_day_goes_on_where_the_other_ends() {
        for tank in [false, true] {
            let (mut homes, mut area) = building(4, 30, tank);
            let mut last = 0;
            for day in DAY..DAY + 8 {
                let c = curve(&mut homes, &mut area, day);
                assert!((0..86_400_000).step_by(7_919_000).map(|ms| c.at(ms)).is_sorted());
                assert!(c.at(0) >= last);
                last = c.at(86_399_999);
                let next = curve(&mut homes, &mut area, day + 1).at(0);
                assert!((0..2_000).contains(&(next - last)), "{last} {next}");
            }
        }
    }

    #[test]
    fn nights_are_quiet_and_mornings_are_not() {
        let (mut homes, mut area) = building(4, 36, false);
        for day in DAY..DAY + 14 {
            let c = curve(&mut homes, &mut area, day);
            assert!(litres(&c, 2, 4) * 4 < litres(&c, 7, 9), "{} {}", litres(&c, 2, 4), litres(&c, 7, 9));
        }
    }

    #[test]
    fn a_tank_is_filled_at_night_with_what_the_day_took() {
        let (mut homes, mut area) = building(4, 28, true);
        for day in DAY..DAY + 14 {
            let c = curve(&mut homes, &mut area, day);
            let (night, all) = (litres(&c, 1, 5), litres(&c, 0, 24));
            assert!(night * 100 >= all * 95, "day {day}: {night} of {all}");
            assert!((2_400..=3_120).contains(&litres(&c, 2, 3)), "{}", litres(&c, 2, 3));
        }
    }

    #[test]
    fn the_leak_is_1390_litres_an_hour_once_it_is_open() {
        assert_eq!((leaked(-5), leaked(0), leaked(HOUR_MS)), (0, 0, 695_000));
        for h in 1..500 {
            let hour = leaked((h + 1) * HOUR_MS) - leaked(h * HOUR_MS);
            assert!((1_389_000..=1_391_000).contains(&hour), "{hour}");
        }
        assert!((0..HOUR_MS * 3).step_by(10_007).map(leaked).is_sorted());
    }
}
