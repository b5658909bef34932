//! Heating: the weather, the risers, a vent valve that nobody opened, and what the loop loses.

use super::calendar::{self, EPOCH};
use super::dice::{Dice, mix, wave};
use super::household::{Minutes, dry};

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// In Shanxi the heat is on from November to March.
pub fn season(day: i64) -> bool {
    let d = calendar::date_of(day);
    d.month() >= 11 || d.month() <= 3
}

/// Thousandths of a degree outside, at a millisecond of a day.
pub fn outside(seed: u64, day: i64, ms: i64) -> i64 {
    let climate = 10_000 + calendar::warmth(day) * 14;
    // Coldest before sunrise.
    let sun = wave(ms - 9 * HOUR_MS, DAY_MS) * 5;
    // The weather of a day fades into the next one's.
    let weather = |d| Dice::of(mix(seed, 1), d).around(-5_500, 5_500);
    let (here, next) = (weather(day), weather(day + 1));
    climate + sun + here + (next - here) * (ms / 1_000) / (DAY_MS / 1_000)
}

#[derive(Clone, Debug)]
pub struct Riser {
    seed: u64,
    /// Air gathers in it from the sixth of every month on: the vent valve is opened on the first only.
    pub air_lock: bool,
}

/// Supply and return of a riser, in thousandths of a degree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warmth {
    pub supply: i64,
    pub back: i64,
}

impl Riser {
    pub fn new(seed: u64, air_lock: bool) -> Riser {
        Riser { seed, air_lock }
    }

    /// What its two sensors show. `weather` is the seed of the weather, which is the same for all.
    pub fn at(&self, weather: u64, day: i64, ms: i64) -> Warmth {
        let mut own = Dice::of(self.seed, 0);
        let (length, room) = (own.between(0, 2_500), own.between(20_500, 22_500));
        let noise = Dice::of(mix(self.seed, 2), day * 96 + ms / 900_000).around(-250, 250);
        let cold = outside(weather, day, ms);
        if !season(day) {
            // Lukewarm: as warm as the stairwell.
            let stairs = ((room + cold) / 2).clamp(12_000, 28_000);
            return Warmth { supply: stairs + noise, back: stairs - 200 + noise / 2 };
        }
        let supply = 38_000 + (18_000 - cold).max(0) * 55 / 100 - night_set_back(ms) - length + noise;
        let spread = (supply - room) * 28 / 100;
        let back = if self.air_lock && calendar::date_of(day).day() >= 6 {
            // Nothing flows through it any more: what stands in the pipe has the room's warmth, from that afternoon on.
            let cooling = if calendar::date_of(day).day() == 6 { ((ms - 14 * HOUR_MS) / 1_000).clamp(0, 10_800) } else { 10_800 };
            let warm = supply - spread;
            warm + (room + noise - warm) * cooling / 10_800
        } else {
            supply - spread + noise / 3
        };
        Warmth { supply, back }
    }
}

/// Four degrees less from 22:00 to 05:00, with an hour on either side to come and go.
fn night_set_back(ms: i64) -> i64 {
    let since = (ms - 22 * HOUR_MS).rem_euclid(DAY_MS);
    let (comes, goes) = (since, 8 * HOUR_MS - since);
    (4 * comes.min(goes) / (HOUR_MS / 1_000)).clamp(0, 4_000)
}

/// Thousandths of a degree in a room, at a moment by the compound's clock. In season the heating holds it; else the walls follow the weather.
pub fn room(seed: u64, weather: u64, ms: i64) -> i64 {
    let (day, of_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let noise = Dice::of(mix(seed, 5), ms.div_euclid(900_000)).around(-150, 150);
    // Walls take a day to notice what the weather does.
    let walls =
        (0..4).map(|part| ms - part * 6 * HOUR_MS).map(|at| outside(weather, at.div_euclid(DAY_MS), at.rem_euclid(DAY_MS))).sum::<i64>()
            / 4;
    if !season(day) {
        return ((walls + 25_000) / 2).clamp(16_000, 29_000) + noise;
    }
    // It cools three hours after the risers do, and by a fifth as much.
    let night = night_set_back((of_day - 3 * HOUR_MS).rem_euclid(DAY_MS)) / 5;
    Dice::of(seed, 6).between(19_400, 20_400) - night + (walls / 20).clamp(-400, 400) + noise
}

/// The make-up water of a heating loop.
#[derive(Clone, Debug)]
pub struct MakeUp {
    seed: u64,
    /// Millilitres from the epoch to the start of day EPOCH + i.
    sums: Vec<i64>,
}

impl MakeUp {
    pub fn new(seed: u64) -> MakeUp {
        MakeUp { seed, sums: vec![0] }
    }

    /// Litres that the loop is topped up with on a day: little, and nearly nothing in summer.
    fn litres(&self, day: i64) -> i64 {
        let mut dice = Dice::of(self.seed, day);
        if season(day) { dice.between(35, 110) } else { dice.between(0, 30) / 25 * 8 }
    }

    pub fn before(&mut self, day: i64) -> i64 {
        let wanted = usize::try_from(day - EPOCH).unwrap_or_default();
        while self.sums.len() <= wanted {
            let day = EPOCH + i64::try_from(self.sums.len()).unwrap_or_default() - 1;
            let sum = self.sums.last().copied().unwrap_or_default() + self.litres(day) * 1_000;
            self.sums.push(sum);
        }
        self.sums[wanted]
    }

    pub fn minutes(&self, day: i64) -> Minutes {
        let mut out = dry();
        let mut dice = Dice::of(mix(self.seed, 1), day);
        let hours = [dice.between(4, 8), dice.between(10, 15), dice.between(17, 21)];
        for litre in 0..self.litres(day) {
            // The pressure switch: three times a day, four litres a minute.
            let minute = hours[usize::try_from(litre % 3).unwrap_or_default()] * 60 + litre / 12;
            out[usize::try_from(minute).unwrap_or_default()] += 1_000;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::detect::Passage;
    use crate::domain::detect::heat::loss::LoopLoss;
    use crate::domain::detect::heat::main_supply;
    use crate::domain::detect::heat::valve::{Fault, Sample, Turn, Valve};
    use crate::domain::finding::Mark;
    use crate::domain::time::{Ms, Ts};
    use crate::domain::units::{Amount, Temperature};
    use jiff::civil::date;

    fn day(m: i8, d: i8) -> i64 {
        calendar::day_of(date(2026, m, d))
    }

    #[test]
    fn winter_is_cold_and_summer_is_not() {
        let mean = |d: i64| (d..d + 20).map(|d| outside(7, d, 12 * HOUR_MS)).sum::<i64>() / 20_000;
        assert!((-6..4).contains(&mean(day(1, 5))), "{}", mean(day(1, 5)));
        assert!((20..30).contains(&mean(day(7, 5))), "{}", mean(day(7, 5)));
    }

    #[test]
    fn risers_are_hot_in_season_cooler_at_night_and_lukewarm_in_june() {
        let r = Riser::new(3, false);
        let noon = r.at(7, day(12, 10), 12 * HOUR_MS);
        assert!((42_000..62_000).contains(&noon.supply) && (5_000..14_000).contains(&(noon.supply - noon.back)), "{noon:?}");
        assert_eq!(
            (night_set_back(12 * HOUR_MS), night_set_back(2 * HOUR_MS), night_set_back(22 * HOUR_MS + 1_800_000)),
            (0, 4_000, 2_000)
        );
        let june = r.at(7, day(6, 10), 12 * HOUR_MS);
        assert!((12_000..29_000).contains(&june.supply), "{june:?}");
    }

    #[test]
    fn a_heated_room_is_warm_and_a_little_cooler_at_night() {
        for seed in 0..5 {
            let at = |d: i64, hour: i64| room(seed, 7, d * DAY_MS + hour * HOUR_MS);
            let january: Vec<i64> = (0..20 * 24).map(|hour| at(day(1, 5), hour)).collect();
            assert!(january.iter().all(|t| (18_000..21_000).contains(t)), "{january:?}");
            assert!((0..20).all(|d| at(day(1, 5) + d, 4) < at(day(1, 5) + d, 14)));
            assert!((20_000..28_000).contains(&at(day(7, 10), 12)), "{}", at(day(7, 10), 12));
        }
    }

    #[test]
    fn an_air_lock_leaves_the_return_at_room_temperature() {
        let (well, ill) = (Riser::new(3, false), Riser::new(3, true));
        let at = |r: &Riser, d| r.at(7, day(11, d), 12 * HOUR_MS);
        assert_eq!(at(&well, 3), at(&ill, 3));
        let (w, i) = (at(&well, 20), at(&ill, 20));
        assert!(w.supply == i.supply && w.back > 30_000 && (20_000..23_000).contains(&i.back), "{w:?} {i:?}");
    }

    #[test]
    fn a_loop_loses_little_and_mostly_in_winter() {
        let mut m = MakeUp::new(5);
        let month = |m: &mut MakeUp, from: i64| (m.before(from + 30) - m.before(from)) / 1_000;
        let (winter, summer) = (month(&mut m, day(12, 1)), month(&mut m, day(6, 1)));
        assert!((1_500..3_000).contains(&winter) && summer < 200, "{winter} {summer}");
        assert_eq!(m.minutes(day(12, 3)).iter().sum::<i64>(), m.before(day(12, 4)) - m.before(day(12, 3)));
    }

    #[test]
    fn the_rules_find_the_air_in_a_riser_within_two_days_and_nothing_in_those_that_are_well() {
        let risers = [Riser::new(3, false), Riser::new(4, false), Riser::new(5, true)];
        let mut valves: [Valve; 3] = Default::default();
        let mut said = vec![];
        for q in 0..29 * 96 {
            let (d, ms) = (day(11, 1) + q / 96, q % 96 * 900_000);
            let shown = risers.each_ref().map(|r| r.at(7, d, ms));
            let main = main_supply(&mut shown.map(|w| Temperature(w.supply)));
            for (i, (valve, w)) in valves.iter_mut().zip(shown).enumerate() {
                let (supply, back) = (Temperature(w.supply), Temperature(w.back));
                let settled = main.map(|main| (supply, main));
                let sample = Sample { ts: Ts(q * 900_000), supply, back, position: None, main, settled };
                valve.look(sample, |turn| said.extend((!matches!(turn, Turn::Goes { .. })).then_some((i, q / 96 + 1, turn))));
            }
        }
        assert!(matches!(said[..], [(2, 6..=8, Turn::Began { fault: Fault::AirLock { .. }, .. })]), "{said:?}");
    }

    #[test]
    fn what_a_sound_loop_is_topped_up_with_is_no_leak() {
        for seed in 0..5 {
            let (make_up, mut rule, mut register) = (MakeUp::new(seed), LoopLoss::default(), 0);
            for d in day(11, 1)..day(12, 31) {
                for (q, quarter) in make_up.minutes(d).chunks(15).enumerate() {
                    let at = Ts(d * DAY_MS + i64::try_from(q).unwrap() * 900_000);
                    let volume = Amount(quarter.iter().sum::<i64>());
                    let from = Mark { ts: at, register: Amount(register) };
                    register += volume.0;
                    let to = Mark { ts: at + Ms::minutes(15), register: Amount(register) };
                    assert!(rule.passed(Passage { from, to, volume }, Amount::litres(1)).is_none(), "seed {seed}, day {}", d - day(11, 1));
                }
            }
        }
    }
}
