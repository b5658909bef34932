//! A household: who lives there, and the water that a day of theirs takes.
//!
//! First how much a day takes is drawn, then events of use are drawn until it is used up. So a register at the start of any day is a sum
//! of day totals, and only the days that are looked at need their events.

use super::calendar::{self, DayKind, EPOCH, MINUTES};
use super::dice::{Dice, mix};

/// Millilitres of each minute of a day.
pub type Minutes = Vec<i64>;

/// A day without any water.
pub fn dry() -> Minutes {
    vec![0; 1_440]
}

#[derive(Clone, Debug)]
pub struct Household {
    seed: u64,
    pub residents: u32,
    /// On an ordinary workday.
    litres_per_person: i64,
    /// Earlier or later than others.
    shift_minutes: i64,
    /// Somebody is at home on workdays.
    at_home: bool,
    /// They go away over festivals.
    travels: bool,
    /// What drips from their taps, below what their own meter feels.
    pub drip_ml_per_hour: i64,
    /// The toilet's valve does not close well.
    running_toilet: bool,
    /// Millilitres from the epoch to the start of day EPOCH + i.
    sums: Vec<i64>,
}

/// How many weights of an hour: when something is done.
type Hours = [i64; 24];

const TOILET: Hours = [8, 5, 4, 4, 6, 18, 70, 95, 70, 45, 40, 42, 55, 50, 40, 38, 40, 50, 65, 70, 75, 80, 60, 25];
const WASHING: Hours = [2, 0, 0, 0, 1, 15, 80, 110, 60, 25, 20, 25, 40, 35, 20, 20, 25, 35, 45, 45, 55, 70, 45, 10];
const SHOWER: Hours = [3, 0, 0, 0, 0, 8, 40, 45, 15, 8, 6, 5, 6, 8, 8, 8, 10, 18, 36, 64, 82, 84, 60, 15];
const MEALS: Hours = [0, 0, 0, 0, 2, 15, 70, 60, 20, 10, 40, 95, 85, 30, 8, 8, 25, 85, 100, 60, 20, 8, 3, 0];
const MACHINE: Hours = [0, 0, 0, 0, 0, 0, 10, 25, 50, 70, 60, 40, 25, 30, 35, 35, 35, 30, 35, 60, 65, 40, 5, 0];
const CLEANING: Hours = [0, 0, 0, 0, 0, 2, 10, 25, 60, 80, 70, 40, 20, 20, 40, 45, 40, 25, 15, 15, 10, 5, 0, 0];

/// A sort of use: how often among all events, litres, millilitres per minute, when.
struct Use {
    often: i64,
    litres: (i64, i64),
    flow: i64,
    hours: &'static Hours,
    /// No more of them on a day than this many per head, plus one.
    per_head: i64,
}

const FLUSH: usize = 0;
const BATH: usize = 2;
const LAUNDRY: usize = 4;
const USES: [Use; 6] = [
    Use { often: 400, litres: (6, 6), flow: 7_500, hours: &TOILET, per_head: 8 },
    Use { often: 330, litres: (1, 4), flow: 5_000, hours: &WASHING, per_head: 12 },
    Use { often: 40, litres: (40, 80), flow: 8_500, hours: &SHOWER, per_head: 1 },
    Use { often: 150, litres: (3, 14), flow: 6_000, hours: &MEALS, per_head: 5 },
    Use { often: 22, litres: (50, 50), flow: 9_000, hours: &MACHINE, per_head: 0 },
    Use { often: 30, litres: (8, 25), flow: 7_000, hours: &CLEANING, per_head: 1 },
];

impl Household {
    pub fn new(seed: u64, residents: u32, running_toilet: bool) -> Household {
        let mut dice = Dice::of(seed, -1);
        Household {
            seed,
            residents,
            litres_per_person: dice.around(75, 135),
            shift_minutes: dice.around(-55, 55),
            at_home: dice.chance(450),
            travels: dice.chance(280),
            drip_ml_per_hour: if dice.chance(200) { dice.between(800, 2_800) } else { 0 },
            running_toilet,
            sums: vec![0],
        }
    }

    /// What is used on this day, in litres; what runs away unused is not among it.
    pub fn day_total(&self, day: i64) -> i64 {
        let mut dice = Dice::of(mix(self.seed, 1), day);
        let per_mille = match calendar::kind(day) {
            DayKind::Workday => 970,
            DayKind::Weekend => 1_130,
            DayKind::Neighbours => 1_130,
            DayKind::Festival if self.travels => 0,
            DayKind::Festival => 1_160,
        };
        // Ten days out of a thousand nobody is there; a week of holidays now and then.
        let away = dice.chance(10) || Dice::of(mix(self.seed, 2), day.div_euclid(7)).chance(15);
        if away || per_mille == 0 {
            return 0;
        }
        let season = 1_000 + calendar::warmth(day) * 70 / 1_000;
        // One person's days differ more than a family's.
        let spread = if self.residents <= 1 { 450 } else { 300 };
        let mood = dice.around(1_000 - spread, 1_000 + spread);
        let usual = i64::from(self.residents) * self.litres_per_person;
        (usual * per_mille / 1_000 * season / 1_000 * mood / 1_000).max(4)
    }

    /// Millilitres from the epoch to the start of `day`.
    pub fn before(&mut self, day: i64) -> i64 {
        let wanted = usize::try_from(day - EPOCH).unwrap_or_default();
        while self.sums.len() <= wanted {
            let next = EPOCH + i64::try_from(self.sums.len()).unwrap_or_default();
            let wasted: i64 = (0..24).map(|hour| self.toilet(next - 1, hour)).sum();
            let sum = self.sums.last().copied().unwrap_or_default() + self.day_total(next - 1) * 1_000 + wasted;
            self.sums.push(sum);
        }
        self.sums[wanted]
    }

    /// What runs through the toilet in an hour of a day, in millilitres: 16 days out of 21, most hours, 60 to 90 L/h. The plumber's repair
    /// never holds for long.
    fn toilet(&self, day: i64, hour: i64) -> i64 {
        let since = (day - EPOCH).rem_euclid(21) * 24 + hour;
        if !self.running_toilet || !(4 * 24 + 19..20 * 24 + 10).contains(&since) {
            return 0;
        }
        let mut dice = Dice::of(mix(self.seed, 4), day * 24 + hour);
        if dice.chance(850) { dice.between(60, 90) * 1_000 } else { 0 }
    }

    /// The day's water, minute by minute; together what lies between [`Household::before`] of this day and of the next.
    pub fn minutes(&self, day: i64) -> Minutes {
        let mut out = dry();
        if self.running_toilet {
            for hour in 0..24 {
                // The cistern fills, runs over for three minutes of five, and stands.
                let part = self.toilet(day, hour) / 36;
                let from = usize::try_from(hour * 60).unwrap_or_default();
                out[from..from + 60].iter_mut().enumerate().filter(|(m, _)| m % 5 < 3).for_each(|(_, ml)| *ml += part);
                out[from] += self.toilet(day, hour) - 36 * part;
            }
        }
        let mut left = self.day_total(day);
        let mut dice = Dice::of(mix(self.seed, 3), day);
        let kind = calendar::kind(day);
        let mut done = [0i64; USES.len()];
        while left > 0 {
            let mut which = dice.pick(&[USES[0].often, USES[1].often, USES[2].often, USES[3].often, USES[4].often, USES[5].often]);
            if done[which] > USES[which].per_head * i64::from(self.residents) {
                which = if dice.chance(500) { FLUSH } else { 1 };
            }
            done[which] += 1;
            let sort = &USES[which];
            let litres = dice.between(sort.litres.0, sort.litres.1).min(left);
            left -= litres;
            let start = self.when(&mut dice, which, kind);
            if which == LAUNDRY {
                // Wash, and two rinses.
                let part = litres * 1_000 / 3;
                for (pause, ml) in [(0, litres * 1_000 - 2 * part), (28, part), (40, part)] {
                    pour(&mut out, start + pause, ml, sort.flow);
                }
            } else {
                pour(&mut out, start, litres * 1_000, sort.flow);
            }
        }
        out
    }

    /// The minute of the day at which something is done.
    fn when(&self, dice: &mut Dice, which: usize, kind: DayKind) -> i64 {
        let mut hours = *USES[which].hours;
        match kind {
            DayKind::Workday if !self.at_home => hours[9..17].iter_mut().for_each(|w| *w = *w * 15 / 100),
            DayKind::Workday => {}
            // Nobody has to get up.
            DayKind::Weekend | DayKind::Festival => {
                let (six, seven) = (hours[6], hours[7]);
                hours[6] = six * 40 / 100;
                hours[7] = seven * 65 / 100;
                hours[9] += six * 60 / 100;
                hours[10] += seven * 35 / 100;
                if kind == DayKind::Festival && which != BATH {
                    hours[23] += 20;
                }
            }
            DayKind::Neighbours => hours[9..12].iter_mut().for_each(|w| *w = *w * 3 / 2),
        }
        let hour = i64::try_from(dice.pick(&hours)).unwrap_or_default();
        // Only waking hours are moved: who gets up at night does so at no hour of their own.
        let shift = if (5..23).contains(&hour) { self.shift_minutes } else { 0 };
        (hour * 60 + dice.below(60) + shift).clamp(0, MINUTES - 1)
    }
}

/// Adds water from `start` on at this flow; what would run over midnight runs before it.
fn pour(out: &mut Minutes, start: i64, ml: i64, flow: i64) {
    let takes = ml / flow + i64::from(ml % flow > 0);
    let from = usize::try_from(start.min(MINUTES - takes).max(0)).unwrap_or_default();
    let mut left = ml;
    for minute in out.iter_mut().skip(from) {
        let part = left.min(flow);
        *minute += part;
        left -= part;
        if left == 0 {
            break;
        }
    }
}

/// How many live in each of `n` households, `named` of which are known: exactly `residents` in all where that is said and can be.
pub fn share_out(seed: u64, n: usize, residents: Option<u32>, named: &[Option<u32>]) -> Vec<u32> {
    let mut dice = Dice::of(seed, -2);
    let mut out: Vec<u32> = named.iter().map(|r| r.unwrap_or(0)).collect();
    out.resize(n.max(named.len()), 0);
    let open: Vec<usize> = (0..out.len()).filter(|i| out[*i] == 0).collect();
    let known: u32 = out.iter().sum();
    for i in &open {
        out[*i] = 1;
    }
    let Some(total) = residents else {
        for i in &open {
            out[*i] = [1, 2, 3, 4, 5][dice.pick(&[22, 38, 25, 11, 4])];
        }
        return out;
    };
    let mut left = total.saturating_sub(known + u32::try_from(open.len()).unwrap_or_default());
    while left > 0 && !open.is_empty() {
        let i = open[usize::try_from(dice.below(i64::try_from(open.len()).unwrap_or_default())).unwrap_or_default()];
        // The larger a household is already, the less likely is one more.
        if out[i] < 3 || dice.chance(200) {
            out[i] += 1;
            left -= 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn the_minutes_of_a_day_are_the_day() {
        for seed in 0..40 {
            let mut h = Household::new(seed, 3, seed % 2 == 0);
            let day = EPOCH + 1_058;
            assert_eq!(h.minutes(day).iter().sum::<i64>(), h.before(day + 1) - h.before(day));
            assert!(h.before(day + 1) - h.before(day) >= h.day_total(day) * 1_000);
        }
    }

    #[test]
    fn a_running_toilet_runs_by_night_too_and_for_days() {
        let well = Household::new(1, 3, false);
        let ill = Household::new(1, 3, true);
        let extra = |day: i64, from: usize, to: usize| {
            let sum = |h: &Household| h.minutes(day)[from..to].iter().sum::<i64>();
            (sum(&ill) - sum(&well)) / 1_000
        };
        let running = (EPOCH..EPOCH + 42).filter(|d| extra(*d, 0, 1_440) > 800).count();
        assert!((28..=32).contains(&running), "{running}");
        assert!((100..=360).contains(&extra(EPOCH + 10, 60, 300)), "{} L from 1 to 5 o'clock", extra(EPOCH + 10, 60, 300));
    }

    #[test]
    fn a_person_takes_80_to_150_litres_a_day_and_more_on_sundays() {
        let homes: Vec<_> = (0..300).map(|s| Household::new(mix(5, s), 2, false)).collect();
        let monday = calendar::day_of(date(2026, 11, 2));
        let mean = |days: &[i64]| {
            let all: i64 = homes.iter().flat_map(|h| days.iter().map(|d| h.day_total(*d))).sum();
            all / (600 * i64::try_from(days.len()).unwrap())
        };
        let four_weeks: Vec<i64> = (monday..monday + 28).collect();
        assert!((80..=150).contains(&mean(&four_weeks)), "{}", mean(&four_weeks));
        let (week, end): (Vec<i64>, Vec<i64>) = four_weeks.iter().partition(|d| calendar::kind(**d) == DayKind::Workday);
        assert!(mean(&end) * 100 > mean(&week) * 108, "{} {}", mean(&week), mean(&end));
    }

    #[test]
    fn a_festival_empties_some_homes_and_fills_others() {
        let day = calendar::day_of(date(2026, 2, 17));
        let homes: Vec<_> = (0..200).map(|s| Household::new(mix(9, s), 3, false)).collect();
        let empty = homes.iter().filter(|h| h.day_total(day) == 0).count();
        assert!((35..80).contains(&empty), "{empty}");
    }

    #[test]
    fn residents_are_shared_out_to_the_last() {
        let shares = share_out(3, 60, Some(135), &[Some(3), None, Some(1)]);
        assert_eq!((shares.len(), shares.iter().sum::<u32>(), shares[0], shares[2]), (60, 135, 3, 1));
        assert!(shares.iter().all(|n| (1..=9).contains(n)));
        assert_eq!(share_out(3, 2, Some(1), &[]), [1, 1], "nobody's home is empty");
        assert_eq!(share_out(3, 1, None, &[Some(2), Some(2)]), [2, 2]);
    }
}
