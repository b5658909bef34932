//! Instants and spans in milliseconds, and the calendar of a compound.
//!
//! The store and the engine speak UTC milliseconds; a zone appears only where people do: at the edge of a day or a month.

use jiff::{Timestamp, civil, tz::TimeZone};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Range, Sub};

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ts(pub i64);

/// A length of time in milliseconds. May be negative (the distance to an earlier instant).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ms(pub i64);

impl Ts {
    /// 1900-01-01: no time stamp of a meter lies before it, whatever the clocks say.
    pub const EARLIEST: Ts = Ts(-2_208_988_800_000);
    /// 2100-01-01: none lies behind it. Between the two, every part of the gateway can hold every instant.
    pub const LATEST: Ts = Ts(4_102_444_800_000);
}

impl Ms {
    pub const ZERO: Ms = Ms(0);
    pub const fn seconds(n: i64) -> Ms {
        Ms(n * 1_000)
    }
    pub const fn minutes(n: i64) -> Ms {
        Ms(n * 60_000)
    }
    pub const fn hours(n: i64) -> Ms {
        Ms(n * 3_600_000)
    }
    pub const fn days(n: i64) -> Ms {
        Ms(n * 86_400_000)
    }
}

impl Add<Ms> for Ts {
    type Output = Ts;
    fn add(self, d: Ms) -> Ts {
        Ts(self.0.saturating_add(d.0))
    }
}

impl Add for Ms {
    type Output = Ms;
    fn add(self, d: Ms) -> Ms {
        Ms(self.0.saturating_add(d.0))
    }
}

impl Sub for Ms {
    type Output = Ms;
    fn sub(self, d: Ms) -> Ms {
        Ms(self.0.saturating_sub(d.0))
    }
}

impl Sub<Ms> for Ts {
    type Output = Ts;
    fn sub(self, d: Ms) -> Ts {
        Ts(self.0.saturating_sub(d.0))
    }
}

impl Sub for Ts {
    type Output = Ms;
    fn sub(self, earlier: Ts) -> Ms {
        Ms(self.0.saturating_sub(earlier.0))
    }
}

/// RFC 3339 in UTC with milliseconds only where there are any: `2026-11-24T03:04:05Z`.
impl fmt::Display for Ts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// The instant that a person or a program names: RFC 3339 with its offset, Unix milliseconds, or a date, which is its first instant on a wall
/// clock in `tz` (also where the clock jumps over midnight). A span of dates is half-open: November is 2026-11-01 to 2026-12-01.
pub fn instant(text: &str, tz: &TimeZone) -> Option<Ts> {
    if let Ok(ms) = text.parse::<i64>() {
        return Timestamp::from_millisecond(ms).ok().map(|t| Ts(t.as_millisecond()));
    }
    if text.len() == 10 {
        let date: civil::Date = text.parse().ok()?;
        return tz.to_timestamp(date.at(0, 0, 0, 0)).ok().map(|t| Ts(t.as_millisecond()));
    }
    let at: Timestamp = text.parse().ok()?;
    Some(Ts(at.as_millisecond()))
}

/// A calendar month of a compound's zone: the span in which tonnes per month are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Month {
    pub year: i16,
    /// 1..=12
    pub month: i8,
}

impl Month {
    /// The month in which `ts` lies on a wall clock in `tz`.
    pub fn of(ts: Ts, tz: &TimeZone) -> Month {
        // Out of jiff's range (year -9999..9999) there is no calendar; the nearest end stands for it.
        let t = Timestamp::from_millisecond(ts.0).unwrap_or(if ts.0 < 0 { Timestamp::MIN } else { Timestamp::MAX });
        let d = tz.to_datetime(t).date();
        Month { year: d.year(), month: d.month() }
    }

    /// The month after this one.
    pub fn next(self) -> Month {
        if self.month >= 12 {
            Month { year: self.year.saturating_add(1), month: 1 }
        } else {
            Month { year: self.year, month: self.month + 1 }
        }
    }

    /// The first instant of the month in `tz` (inclusive start of the half-open month).
    pub fn start(self, tz: &TimeZone) -> Ts {
        civil::Date::new(self.year, self.month, 1)
            .and_then(|d| tz.to_timestamp(d.at(0, 0, 0, 0)))
            .map(|t| Ts(t.as_millisecond()))
            .unwrap_or(Ts(i64::MAX))
    }

    /// The first instant after the month in `tz`.
    pub fn end(self, tz: &TimeZone) -> Ts {
        self.next().start(tz)
    }

    /// The month of a day with this [`Day::number`]; beyond the calendar its nearest end.
    pub fn of_day(number: i32) -> Month {
        let date = date(number).unwrap_or(if number < 0 { civil::Date::MIN } else { civil::Date::MAX });
        Month { year: date.year(), month: date.month() }
    }

    /// The numbers of its days ([`Day::number`]).
    pub fn days(self) -> Range<i32> {
        let first = |m: Month| civil::Date::new(m.year, m.month, 1).map_or(i32::MAX, number);
        first(self)..first(self.next())
    }

    /// Months since January of the year 0: consecutive months have consecutive numbers.
    pub fn number(self) -> i32 {
        i32::from(self.year) * 12 + i32::from(self.month) - 1
    }

    /// The way back of [`Month::number`]; None beyond the calendar.
    pub fn numbered(number: i32) -> Option<Month> {
        let (year, month) = (i16::try_from(number.div_euclid(12)).ok()?, i8::try_from(number.rem_euclid(12)).ok()? + 1);
        civil::Date::new(year, month, 1).ok().map(|_| Month { year, month })
    }
}

/// The date of a day by its number; None beyond the calendar.
fn date(number: i32) -> Option<civil::Date> {
    let days = jiff::Span::new().try_days(i64::from(number)).ok()?;
    civil::Date::new(1970, 1, 1).and_then(|d| d.checked_add(days)).ok()
}

/// Days since 1970-01-01, by the calendar.
fn number(date: civil::Date) -> i32 {
    let number = TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).map_or(0, |t| t.as_second().div_euclid(86_400));
    i32::try_from(number).unwrap_or(0)
}

/// A day of a compound's wall clock. Where the clocks change it has 23 or 25 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day {
    /// Days since 1970-01-01, by the calendar.
    pub number: i32,
    pub from: Ts,
    /// Not part of it: the next day's first instant.
    pub to: Ts,
}

impl Day {
    /// The day in which `ts` lies on a wall clock in `tz`.
    pub fn of(ts: Ts, tz: &TimeZone) -> Day {
        let t = Timestamp::from_millisecond(ts.0).unwrap_or(if ts.0 < 0 { Timestamp::MIN } else { Timestamp::MAX });
        let day = Day::on(tz.to_datetime(t).date(), tz);
        // Where midnight itself comes twice, its first time counts: what the clock repeats before it belongs to the day that has begun.
        if ts >= day.to && day.to > day.from { day.next(tz) } else { day }
    }

    /// The day after this one.
    pub fn next(self, tz: &TimeZone) -> Day {
        let number = self.number.saturating_add(1);
        date(number).map_or(self, |date| Day { number, from: self.to, to: end(date, tz) })
    }

    /// The day with this number; None beyond the calendar.
    pub fn numbered(number: i32, tz: &TimeZone) -> Option<Day> {
        date(number).map(|date| Day::on(date, tz))
    }

    /// `2026-11-24`; empty beyond the calendar.
    pub fn date(self) -> String {
        date(self.number).map_or_else(String::new, |d| d.to_string())
    }

    fn on(date: civil::Date, tz: &TimeZone) -> Day {
        Day { number: number(date), from: start(date, tz), to: end(date, tz) }
    }
}

fn start(date: civil::Date, tz: &TimeZone) -> Ts {
    tz.to_timestamp(date.at(0, 0, 0, 0)).map_or(Ts(i64::MAX), |t| Ts(t.as_millisecond()))
}

/// Where the next day begins.
fn end(date: civil::Date, tz: &TimeZone) -> Ts {
    date.tomorrow().map_or(Ts(i64::MAX), |next| start(next, tz))
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_in_shanghai_begins_eight_hours_before_utc() {
        let tz = TimeZone::get("Asia/Shanghai").unwrap();
        let last = Ts("2026-10-31T15:59:59.999Z".parse::<Timestamp>().unwrap().as_millisecond());
        assert_eq!(Month::of(last, &tz), Month { year: 2026, month: 10 });
        assert_eq!(Month::of(last + Ms(1), &tz), Month { year: 2026, month: 11 });
        assert_eq!(Month { year: 2026, month: 10 }.end(&tz), last + Ms(1));
        assert_eq!(Month { year: 2026, month: 12 }.end(&tz).to_string(), "2026-12-31T16:00:00Z");
    }

    #[test]
    fn a_date_is_its_first_instant_where_the_clock_is() {
        let at = |text, zone| instant(text, &TimeZone::get(zone).unwrap()).map(|t| t.to_string());
        for text in ["2026-11-01", "2026-11-01T00:00:00+08:00", "2026-10-31T16:00:00Z", "1793462400000"] {
            assert_eq!(at(text, "Asia/Shanghai").as_deref(), Some("2026-10-31T16:00:00Z"), "{text}");
        }
        // The clocks of Santiago went from midnight to one o'clock: the day began at one.
        assert_eq!(at("2026-09-06", "America/Santiago").as_deref(), Some("2026-09-06T04:00:00Z"));
        for text in ["yesterday", "2026-13-01", "2026-11-01T00:00:00", "2026-11-1", "1e9", ""] {
            assert_eq!(at(text, "Asia/Shanghai"), None, "{text}");
        }
    }

    #[test]
    fn days_follow_the_wall_clock_and_each_other() {
        let at = |s: &str| Ts(s.parse::<Timestamp>().unwrap().as_millisecond());
        let shanghai = TimeZone::get("Asia/Shanghai").unwrap();
        let day = Day::of(at("2026-11-24T15:59:59.999Z"), &shanghai);
        assert_eq!((day.from, day.to), (at("2026-11-23T16:00:00Z"), at("2026-11-24T16:00:00Z")));
        assert_eq!(Day::of(day.to, &shanghai), day.next(&shanghai));
        assert_eq!(Day::of(Ts(0), &TimeZone::UTC).number, 0);
        assert_eq!(Day::of(Ts(-1), &TimeZone::UTC), Day { number: -1, from: Ts(-86_400_000), to: Ts(0) });
        let rome = TimeZone::get("Europe/Rome").unwrap();
        let hours = |s: &str| {
            let d = Day::of(at(s), &rome);
            (d.to - d.from).0 / 3_600_000
        };
        assert_eq!([hours("2026-03-29T12:00:00Z"), hours("2026-10-25T12:00:00Z"), hours("2026-10-26T12:00:00Z")], [23, 25, 24]);
        // Zones whose clocks change at or around midnight: every instant lies in its day, and the days have no holes.
        for zone in ["America/Sao_Paulo", "Asia/Beirut", "Atlantic/Azores", "Pacific/Apia", "America/Scoresbysund", "Australia/Lord_Howe"] {
            let tz = TimeZone::get(zone).unwrap();
            let mut day = Day::of(at("2010-12-30T00:00:00Z"), &tz);
            while day.from < at("2012-01-05T00:00:00Z") {
                let next = day.next(&tz);
                assert_eq!(next.from, day.to, "{zone}");
                assert_eq!(next.number, day.number + 1, "{zone}");
                if day.from < day.to {
                    for ts in [day.from, day.to - Ms(1), day.from + Ms::minutes(30), day.to - Ms::minutes(30)] {
                        assert_eq!(Day::of(ts, &tz), day, "{zone} {ts}");
                    }
                }
                day = next;
            }
        }
        Day::of(Ts(i64::MIN), &shanghai);
        Day::of(Ts(i64::MAX), &shanghai).next(&shanghai);
    }

    #[test]
    fn months_and_days_have_numbers() {
        let november = Month { year: 2026, month: 11 };
        assert_eq!((november.days().len(), Month { year: 2028, month: 2 }.days().len()), (30, 29));
        for number in november.days() {
            assert_eq!(Month::of_day(number), november);
            assert_eq!(Day::numbered(number, &TimeZone::UTC).unwrap().number, number);
        }
        assert_eq!((Month::of_day(0), Month::of_day(-1)), (Month { year: 1970, month: 1 }, Month { year: 1969, month: 12 }));
        assert_eq!(Month::numbered(november.number()), Some(november));
        assert_eq!(Month { year: 2026, month: 12 }.number() + 1, Month { year: 2027, month: 1 }.number());
        assert_eq!((Month::numbered(i32::MAX), Day::numbered(i32::MIN, &TimeZone::UTC)), (None, None));
    }

    #[test]
    fn the_ends_of_time_are_where_they_say() {
        assert_eq!((Ts::EARLIEST.to_string(), Ts::LATEST.to_string()), ("1900-01-01T00:00:00Z".into(), "2100-01-01T00:00:00Z".into()));
    }

    #[test]
    fn a_month_with_a_clock_change_is_an_hour_shorter() {
        let tz = TimeZone::get("Europe/Rome").unwrap();
        let m = Month { year: 2026, month: 3 };
        assert_eq!(m.end(&tz) - m.start(&tz), Ms::days(31) - Ms::hours(1));
    }
}
