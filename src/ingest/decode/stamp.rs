//! Time stamps as devices write them.
//!
//! * A date and a time of day: `2026-11-24T03:04:05Z`, `2023-10-22T17:01:10+0000`, `20160503T121540Z`, `20160503121540`,
//!   `2026-11-24 03:04:05.123`, `2026/11/24 03:04:05`, with or without a zone. Without one it is a wall clock's in the compound's zone: the earlier of the
//!   two instants where that clock was put back, and where it was put forward, the instant for a clock that nobody has put yet.
//! * Unix time, whole or with a fraction. The magnitude tells the unit, because only one puts it into the years 2001 to 2100:
//!   seconds from 978 307 200 up to 4 133 980 799, milliseconds, microseconds and nanoseconds from 10³, 10⁶ and 10⁹ times the
//!   former. Numbers between (a device's uptime, say) are no stamps, nor are numbers with an exponent: those have lost digits.
//!
//! Less than a millisecond is cut off.

use super::blank;
use crate::domain::time::Ts;
use jiff::civil;
use jiff::tz::TimeZone;

/// A stamp in a string.
pub(super) fn text(s: &str, tz: &TimeZone) -> Option<Ts> {
    utc_second(s.as_bytes()).or_else(|| {
        let s = s.trim_matches(blank);
        unix(s.as_bytes()).or_else(|| written(s.as_bytes(), tz))
    })
}

/// A stamp in a JSON number.
pub(super) fn number(s: &str, tz: &TimeZone) -> Option<Ts> {
    unix(s.as_bytes()).or_else(|| written(s.as_bytes(), tz))
}

/// `YYYY-MM-DDTHH:MM:SSZ` and nothing else: what nearly every message has.
fn utc_second(b: &[u8]) -> Option<Ts> {
    let b: &[u8; 20] = b.try_into().ok()?;
    if !(b[4] == b'-' && b[7] == b'-' && b[10] == b'T' && b[13] == b':' && b[16] == b':' && b[19] == b'Z') {
        return None;
    }
    let two = |i: usize| {
        let (tens, ones) = (b[i].wrapping_sub(b'0'), b[i + 1].wrapping_sub(b'0'));
        (tens < 10 && ones < 10).then_some(i64::from(tens) * 10 + i64::from(ones))
    };
    let year = two(0)? * 100 + two(2)?;
    Civil { year, month: two(5)?, day: two(8)?, hour: two(11)?, minute: two(14)?, second: two(17)?, ms: 0 }.valid()?.at_offset(0)
}

/// Unix time in whichever unit makes it plausible.
fn unix(b: &[u8]) -> Option<Ts> {
    const FIRST: u64 = 978_307_200; // 2001-01-01T00:00:00Z
    const END: u64 = 4_133_980_800; // 2101-01-01T00:00:00Z
    let mut rest = Cursor(b);
    let whole = rest.number()?;
    let fraction = rest.fraction()?;
    if !rest.0.is_empty() {
        return None;
    }
    let per_second = [1, 1_000, 1_000_000, 1_000_000_000].into_iter().find(|n| (FIRST * n..END * n).contains(&whole))?;
    let ms = if per_second == 1 { whole * 1_000 + fraction } else { whole / (per_second / 1_000) };
    i64::try_from(ms).ok().map(Ts)
}

/// A date and a time of day in any of the forms above.
fn written(b: &[u8], tz: &TimeZone) -> Option<Ts> {
    let mut rest = Cursor(b);
    let year = rest.digits(4)?;
    let (dashes, slashes) = (rest.eat(b"-"), rest.eat(b"/"));
    let extended = dashes || slashes;
    let month = rest.digits(2)?;
    if extended && !rest.eat(if dashes { b"-" } else { b"/" }) {
        return None;
    }
    let day = rest.digits(2)?;
    // A run of 14 digits needs no letter between date and time.
    if !rest.eat(b"Tt ") && extended {
        return None;
    }
    let hour = rest.digits(2)?;
    let colons = rest.eat(b":");
    let minute = rest.digits(2)?;
    let seconds = if colons { rest.eat(b":") } else { true };
    let (second, ms) = if seconds { (rest.digits(2)?, rest.fraction()?) } else { (0, 0) };
    let civil = Civil { year, month, day, hour, minute, second, ms: i64::try_from(ms).ok()? }.valid()?;
    rest.eat(b" ");
    match rest.zone()? {
        Some(offset) => civil.at_offset(offset),
        None => civil.on_the_wall(tz),
    }
}

/// A reading of calendar and clock.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    ms: i64,
}

impl Civil {
    /// None if no calendar or clock shows it. A leap second counts as the second before it: a millisecond of its own it has none.
    fn valid(self) -> Option<Civil> {
        let leap_year = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let days = match self.month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap_year => 29,
            2 => 28,
            _ => return None,
        };
        let good = (1..=days).contains(&self.day) && self.hour < 24 && self.minute < 60 && self.second <= 60;
        good.then_some(Civil { second: self.second.min(59), ..self })
    }

    /// The instant on a clock that runs `offset` seconds ahead of UTC.
    fn at_offset(&self, offset: i64) -> Option<Ts> {
        let seconds = self.days() * 86_400 + self.hour * 3_600 + self.minute * 60 + self.second - offset;
        Some(Ts(seconds * 1_000 + self.ms))
    }

    fn on_the_wall(&self, tz: &TimeZone) -> Option<Ts> {
        let date = civil::Date::new(self.year.try_into().ok()?, self.month.try_into().ok()?, self.day.try_into().ok()?).ok()?;
        let nanosecond = i32::try_from(self.ms * 1_000_000).ok()?;
        let clock =
            civil::Time::new(self.hour.try_into().ok()?, self.minute.try_into().ok()?, self.second.try_into().ok()?, nanosecond).ok()?;
        tz.to_ambiguous_timestamp(date.to_datetime(clock)).compatible().ok().map(|t| Ts(t.as_millisecond()))
    }

    /// Days since 1970-01-01. Years are counted from March, so that the leap day is the last of its year and the months before it
    /// have a fixed pattern of lengths.
    fn days(&self) -> i64 {
        let year = if self.month > 2 { self.year } else { self.year - 1 };
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }
}

/// What is left to read of a stamp.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    /// Takes one byte if it is one of `any`.
    fn eat(&mut self, any: &[u8]) -> bool {
        match self.0 {
            [b, rest @ ..] if any.contains(b) => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn digit(&mut self) -> Option<u8> {
        match self.0 {
            [b @ b'0'..=b'9', rest @ ..] => {
                self.0 = rest;
                Some(b - b'0')
            }
            _ => None,
        }
    }

    /// Exactly `n` digits.
    fn digits(&mut self, n: usize) -> Option<i64> {
        (0..n).try_fold(0, |v, _| Some(v * 10 + i64::from(self.digit()?)))
    }

    /// All digits there are, at least one.
    fn number(&mut self) -> Option<u64> {
        let mut v = u64::from(self.digit()?);
        while let Some(d) = self.digit() {
            v = v.checked_mul(10)?.checked_add(u64::from(d))?;
        }
        Some(v)
    }

    /// The milliseconds behind a point or comma; 0 if there is none.
    fn fraction(&mut self) -> Option<u64> {
        if !self.eat(b".,") {
            return Some(0);
        }
        let mut ms = u64::from(self.digit()?) * 100;
        for place in [10, 1] {
            ms += self.digit().map_or(0, |d| u64::from(d) * place);
        }
        while self.digit().is_some() {}
        Some(ms)
    }

    /// The zone that ends a stamp, in seconds ahead of UTC: `Z`, `±hh`, `±hhmm`, `±hh:mm`, or none.
    fn zone(&mut self) -> Option<Option<i64>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let offset = if self.eat(b"Zz") {
            0
        } else {
            let west = self.eat(b"-");
            if !west && !self.eat(b"+") {
                return None;
            }
            let hours = self.digits(2)?;
            let minutes = if self.eat(b":") || !self.0.is_empty() { self.digits(2)? } else { 0 };
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 3_600 + minutes * 60) * if west { -1 } else { 1 }
        };
        self.0.is_empty().then_some(Some(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shanghai() -> TimeZone {
        TimeZone::fixed(jiff::tz::offset(8))
    }

    /// 2026-11-24T03:04:05Z
    const T: i64 = 1_795_489_445_000;

    #[test]
    fn stamps_are_read_as_devices_write_them() {
        let cases: &[(&str, i64)] = &[
            ("2026-11-24T03:04:05Z", T),
            ("2026-11-24t03:04:05z", T),
            ("2026/11/24 11:04:05", T),
            ("2026-11-24T11:04:05+08:00", T),
            ("2026-11-24T11:04:05+0800", T),
            ("2026-11-24T11:04:05+08", T),
            ("2026-11-23T21:34:05-05:30", T),
            ("2026-11-23T21:34:05-0530", T),
            ("2026-11-24T03:04:05-00:00", T),
            ("2026-11-24 03:04:05 Z", T),
            ("2026-11-24 11:04:05 +0800", T),
            ("2026-11-24T11:04:05", T),
            ("2026-11-24 11:04:05", T),
            (" 2026-11-24 11:04:05\r\n", T),
            ("\u{feff}2026-11-24T03:04:05Z\0", T),
            ("2026-11-24 11:04", T - 5_000),
            ("2026-11-24T03:04Z", T - 5_000),
            ("20261124T030405Z", T),
            ("20261124T110405", T),
            ("20261124T110405+0800", T),
            ("20261124110405", T),
            ("2026-11-24T03:04:05.1Z", T + 100),
            ("2026-11-24T03:04:05.12Z", T + 120),
            ("2026-11-24T03:04:05,123Z", T + 123),
            ("2026-11-24T03:04:05.123999999999999999999Z", T + 123),
            ("2026-11-24T11:04:05.0009+08:00", T),
            ("2026-11-24 11:04:05.999", T + 999),
            ("1795489445", T),
            ("1795489445.04", T + 40),
            ("1795489445,04", T + 40),
            ("1795489445.0409999999999999999999999", T + 40),
            ("1795489445123", T + 123),
            ("1795489445123.9", T + 123),
            ("1795489445123999", T + 123),
            ("1795489445123999999", T + 123),
            // Those of the field, as their sources show them.
            ("2023-02-12T07:02:39+0100", 1_676_181_759_000),
            ("20160503T121540Z", 1_462_277_740_000),
            ("2023-10-22T17:01:10+0000", 1_697_994_070_000),
            ("2024-07-23T03:15:37.161+00:00", 1_721_704_537_161),
            ("2021-12-31T09:39:59", 1_640_914_799_000),
            ("1631186545.04", 1_631_186_545_040),
            ("1700000000000", 1_700_000_000_000),
            // A leap second counts as the one before it.
            ("2016-12-31T23:59:60Z", 1_483_228_799_000),
            ("2016-12-31T23:59:60.5+00:00", 1_483_228_799_500),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.999Z", -1),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
        ];
        for (s, want) in cases {
            assert_eq!(text(s, &shanghai()), Some(Ts(*want)), "{s:?}");
        }
    }

    #[test]
    fn the_magnitude_of_unix_time_tells_its_unit() {
        let (first, last) = (978_307_200i64, 4_133_980_799i64);
        for per_second in [1, 1_000, 1_000_000, 1_000_000_000] {
            for second in [first, last] {
                let s = (second * per_second).to_string();
                assert_eq!(number(&s, &shanghai()), Some(Ts(second * 1_000)), "{s}");
            }
            for outside in [first * per_second - 1, (last + 1) * per_second] {
                assert_eq!(number(&outside.to_string(), &shanghai()), None, "{outside}");
            }
        }
        assert_eq!(number("20261124110405", &shanghai()), Some(Ts(T)));
    }

    #[test]
    fn what_is_no_stamp_is_refused() {
        let cases = [
            "",
            " ",
            "0",
            "35",
            "-1795489445",
            "+1795489445",
            "1.795489445e9",
            "1795489445.",
            ".5",
            "99999999999999999999999",
            "2026-11-24",
            "20261124",
            "202611241104",
            "11:04:05",
            "now",
            "null",
            "2026-11-24T",
            "2026-11-24T11",
            "2026-11-24T11:",
            "2026-11-24T11:04:",
            "2026-11-24T11:04:5Z",
            "2026-11-24T11:04:05.Z",
            "2026-11-24T11:04:05.",
            "2026-1-24T11:04:05Z",
            "26-11-24T11:04:05Z",
            "2026-1124T11:04:05Z",
            "2026-11-2411:04:05Z",
            "24/11/2026 11:04:05",
            "2026/11-24 11:04:05",
            "24.11.2026 11:04:05",
            "2026-11-24  11:04:05",
            "2026-00-24T11:04:05Z",
            "2026-13-24T11:04:05Z",
            "2026-11-00T11:04:05Z",
            "2026-11-31T11:04:05Z",
            "2026-02-29T11:04:05Z",
            "2100-02-29T00:00:00Z",
            "2026-11-24T24:00:00Z",
            "2026-11-24T11:60:05Z",
            "2026-11-24T11:04:61Z",
            "2026-11-24T11:04:05+",
            "2026-11-24T11:04:05+8",
            "2026-11-24T11:04:05+08:",
            "2026-11-24T11:04:05+08:0",
            "2026-11-24T11:04:05+08:00:00",
            "2026-11-24T11:04:05+24:00",
            "2026-11-24T11:04:05+08:60",
            "2026-11-24T11:04:05ZZ",
            "2026-11-24T11:04:05 CST",
            "2026-11-24T11:04:05Z[UTC]",
            "２026-11-24T11:04:05Z",
            "2026-11-24T1::04:05Z",
            "2026-11-24T11:04:05/",
            "+026-11-24T11:04:05Z",
        ];
        for s in cases {
            assert_eq!(text(s, &shanghai()), None, "{s:?}");
        }
    }

    #[test]
    fn a_wall_clock_that_is_put_has_one_answer() -> Result<(), jiff::Error> {
        let rome = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3")?;
        let cases = [
            ("2026-07-01T12:00:00", "2026-07-01T10:00:00Z"),
            // 02:30 was skipped: for a clock not put yet it is 01:30 UTC.
            ("2026-03-29T02:30:00", "2026-03-29T01:30:00Z"),
            // 02:30 came twice, first in summer time.
            ("2026-10-25T02:30:00", "2026-10-25T00:30:00Z"),
            ("20261025T023000", "2026-10-25T00:30:00Z"),
            ("2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00Z"),
        ];
        for (wall, utc) in cases {
            assert_eq!(text(wall, &rome), text(utc, &rome), "{wall}");
            assert!(text(utc, &rome).is_some());
        }
        Ok(())
    }

    #[test]
    fn the_calendar_agrees_with_jiff() {
        let first = civil::date(0, 1, 1);
        let all = first.series(jiff::Span::new().days(17)).take_while(|d| d.year() < 9999);
        for date in all {
            let s = format!("{date}T00:00:00Z");
            let want = TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).map(|t| Ts(t.as_millisecond())).ok();
            assert_eq!(text(&s, &TimeZone::UTC), want, "{s}");
        }
    }
}
