//! 供暖: when it is on, and which numbers of which sensors tell of it.

use super::time::{Ms, Ts};
use super::topology::{FeedIx, PointIx};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What a config says of the heating.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heating {
    /// When the compound is heated. None: nobody says; then nothing is demanded of a room, and a valve is judged whenever its supply is warm.
    pub season: Option<Season>,
    pub senses: Vec<Sense>,
}

/// The part of a year in which a compound is heated, both days included. It may cross new year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Season {
    pub first: MonthDay,
    pub last: MonthDay,
}

/// A day of every year: month from 1, day from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonthDay {
    pub month: i8,
    pub day: i8,
}

/// One number of a sensor, and what it tells of the heating.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sense {
    /// The sensor that stands for the valve or the room.
    pub point: PointIx,
    pub topic: String,
    pub feed: FeedIx,
    /// Position in that feed's columns.
    pub column: u8,
    pub measures: Measure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// 供水温度 at a valve or a riser.
    Supply,
    /// 回水温度 at the same.
    Return,
    /// 阀门开度, per mille of the way.
    Position,
    /// 室温
    Room,
    /// 室外温度
    Outdoor,
}

impl MonthDay {
    /// `11-01`; None for what is no day of any year.
    pub fn parse(s: &str) -> Option<MonthDay> {
        let (month, day) = s.split_once('-')?;
        let two = |s: &str| if s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit()) { s.parse::<i8>().ok() } else { None };
        let (month, day) = (two(month)?, two(day)?);
        // A leap year has every day that there is.
        jiff::civil::Date::new(2024, month, day).ok().map(|_| MonthDay { month, day })
    }

    fn of(ts: Ts, tz: &TimeZone) -> MonthDay {
        let date = tz.to_datetime(Timestamp::from_millisecond(ts.0).unwrap_or(Timestamp::UNIX_EPOCH)).date();
        MonthDay { month: date.month(), day: date.day() }
    }
}

impl Season {
    pub fn contains(&self, ts: Ts, tz: &TimeZone) -> bool {
        let day = MonthDay::of(ts, tz);
        if self.first <= self.last { (self.first..=self.last).contains(&day) } else { day >= self.first || day <= self.last }
    }

    /// True within so long before its beginning.
    pub fn begins_within(&self, ts: Ts, span: Ms, tz: &TimeZone) -> bool {
        !self.contains(ts, tz) && self.contains(ts + span, tz)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Ts {
        Ts(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_season_crosses_new_year_and_begins_at_the_compounds_midnight() {
        let shanxi = Season { first: MonthDay { month: 11, day: 1 }, last: MonthDay { month: 3, day: 31 } };
        let tz = TimeZone::fixed(jiff::tz::offset(8));
        let is_on = |text| shanxi.contains(at(text), &tz);
        assert!(!is_on("2026-10-31T15:59:59Z") && is_on("2026-10-31T16:00:00Z"));
        assert!(is_on("2027-03-31T15:59:59Z") && !is_on("2027-03-31T16:00:00Z"));
        assert!(is_on("2027-01-01T00:00:00Z") && !is_on("2027-07-01T00:00:00Z"));
        let begins = |text| shanxi.begins_within(at(text), Ms::days(14), &tz);
        assert!(!begins("2026-10-10T00:00:00Z") && begins("2026-10-20T00:00:00Z") && !begins("2026-11-02T00:00:00Z"));
        let south = Season { first: MonthDay { month: 5, day: 1 }, last: MonthDay { month: 9, day: 15 } };
        assert!(south.contains(at("2026-07-01T00:00:00Z"), &tz) && !south.contains(at("2026-12-01T00:00:00Z"), &tz));
    }

    #[test]
    fn a_day_of_the_year_is_two_numbers_of_two_digits() {
        assert_eq!(MonthDay::parse("11-01"), Some(MonthDay { month: 11, day: 1 }));
        assert_eq!(MonthDay::parse("02-29").map(|d| d.day), Some(29));
        for bad in ["", "11", "11-31", "13-01", "00-10", "1-1", "11/01", "2026-11-01"] {
            assert_eq!(MonthDay::parse(bad), None, "{bad}");
        }
    }
}
