//! Days as people live them: workdays, weekends, festivals.
//!
//! A day is a number (days since 1970-01-01 by the compound's wall clock), so that every part of the model can be asked about any day.

use jiff::civil::{Date, date};

/// The first day of the simulated world: every register is counted from it, so that it is the same whenever the simulator is started.
pub const EPOCH: i64 = 19_723; // 2024-01-01

pub const MINUTES: i64 = 1_440;

/// How a day is lived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayKind {
    Workday,
    Weekend,
    /// 春节, 国庆 and the like: some travel, others have guests.
    Festival,
    /// 邻里节: the third Saturday of a month, a long table in the yard; much cooking before noon.
    Neighbours,
}

/// The festivals that follow the moon: 春节, 端午, 中秋 as (month, day), 2024 to 2035, after the Gregorian-lunar conversion table of the Hong Kong
/// Observatory. Other years have only those of the solar calendar.
const LUNAR: [[(i8, i8); 3]; 12] = [
    [(2, 10), (6, 10), (9, 17)],
    [(1, 29), (5, 31), (10, 6)],
    [(2, 17), (6, 19), (9, 25)],
    [(2, 6), (6, 9), (9, 15)],
    [(1, 26), (5, 28), (10, 3)],
    [(2, 13), (6, 16), (9, 22)],
    [(2, 3), (6, 5), (9, 12)],
    [(1, 23), (6, 24), (10, 1)],
    [(2, 11), (6, 12), (9, 19)],
    [(1, 31), (6, 1), (9, 8)],
    [(2, 19), (6, 20), (9, 27)],
    [(2, 8), (6, 10), (9, 16)],
];

/// The date of a day's number. Days that no calendar here holds are taken for its ends.
pub fn date_of(day: i64) -> Date {
    let days = i32::try_from(day).unwrap_or(i32::MAX).clamp(-700_000, 2_900_000);
    date(1970, 1, 1).saturating_add(jiff::Span::new().days(days))
}

/// The number of the day that `date` is.
pub fn day_of(date_: Date) -> i64 {
    i64::from(date_.since(date(1970, 1, 1)).map_or(0, |span| span.get_days()))
}

pub fn kind(day: i64) -> DayKind {
    let d = date_of(day);
    // 1970-01-01 was a Thursday; Monday is 0.
    let weekday = (day + 3).rem_euclid(7);
    if is_festival(day, d) {
        DayKind::Festival
    } else if weekday == 5 && (15..=21).contains(&d.day()) {
        DayKind::Neighbours
    } else if weekday >= 5 {
        DayKind::Weekend
    } else {
        DayKind::Workday
    }
}

/// The public holidays; 春节 and 国庆 as the week that people make of them. Days that are worked in exchange are not known here.
fn is_festival(day: i64, d: Date) -> bool {
    let (month, of_month) = (d.month(), d.day());
    // Qingming, for this century's first half: the 4th in leap years and the year after, else the 5th.
    let qingming = if d.year().rem_euclid(4) < 2 { 4 } else { 5 };
    if matches!((month, of_month), (1, 1) | (5, 1..=2) | (10, 1..=7)) || (month, of_month) == (4, qingming) {
        return true;
    }
    let Some(lunar) = usize::try_from(i64::from(d.year()) - 2024).ok().and_then(|i| LUNAR.get(i)) else { return false };
    let begins = lunar.map(|(m, n)| day_of(date(d.year(), m, n)));
    // The eve and six days of 春节; one day each of the others.
    (begins[0] - 1..begins[0] + 6).contains(&day) || day == begins[1] || day == begins[2]
}

/// How warm the time of the year is: -1000 in mid January, 1000 in mid July.
pub fn warmth(day: i64) -> i64 {
    super::dice::wave(i64::from(date_of(day).day_of_year()) - 106, 365)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(y: i16, m: i8, d: i8) -> DayKind {
        kind(day_of(date(y, m, d)))
    }

    #[test]
    fn the_epoch_is_the_day_it_says() {
        assert_eq!(date_of(EPOCH), date(2024, 1, 1));
        assert_eq!(day_of(date(2026, 11, 24)) - EPOCH, 1_058);
    }

    #[test]
    fn weeks_and_festivals() {
        assert_eq!(at(2026, 11, 24), DayKind::Workday);
        assert_eq!(at(2026, 11, 22), DayKind::Weekend);
        assert_eq!(at(2026, 11, 21), DayKind::Neighbours);
        assert_eq!(
            [at(2026, 2, 15), at(2026, 2, 16), at(2026, 2, 22), at(2026, 2, 23)].map(|k| k == DayKind::Festival),
            [false, true, true, false]
        );
        assert_eq!((at(2025, 10, 6), at(2031, 10, 1), at(2040, 10, 1), at(2026, 4, 5), at(2028, 4, 4)), {
            let f = DayKind::Festival;
            (f, f, f, f, f)
        });
    }

    #[test]
    fn four_weeks_hold_every_sort_of_day_but_the_rare_one() {
        for start in [day_of(date(2026, 10, 27)), day_of(date(2027, 2, 8)), day_of(date(2030, 6, 30))] {
            let days: Vec<_> = (start..start + 35).map(kind).collect();
            for wanted in [DayKind::Workday, DayKind::Weekend, DayKind::Neighbours] {
                assert!(days.contains(&wanted), "{wanted:?} from {}", date_of(start));
            }
        }
    }

    #[test]
    fn july_is_warm_and_january_cold() {
        assert!(warmth(day_of(date(2026, 7, 16))) > 950 && warmth(day_of(date(2026, 1, 15))) < -950);
        assert!(warmth(day_of(date(2026, 12, 31))) - warmth(day_of(date(2027, 1, 1))) < 20);
    }
}
