//! RFC 3339 stamps, fast where they are written as a history usually has them.

use crate::domain::time::Ts;
use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// Reads time stamps; remembers the day of the last one, since the next is nearly always of the same.
#[derive(Debug, Default)]
pub struct Stamps {
    /// `2026-11-24`
    day: [u8; 10],
    /// Its first millisecond.
    start: i64,
}

impl Stamps {
    /// `2026-11-24T03:04:05Z` by hand; every other form that RFC 3339 allows the slow way. None if it is none of them.
    pub fn parse(&mut self, s: &[u8]) -> Option<Ts> {
        self.plain(s).or_else(|| slow(s))
    }

    fn plain(&mut self, s: &[u8]) -> Option<Ts> {
        let s: &[u8; 20] = s.try_into().ok()?;
        let (day, time) = (s.first_chunk::<10>()?, s.last_chunk::<10>()?);
        let [b'T', h1, h0, b':', m1, m0, b':', s1, s0, b'Z'] = *time else { return None };
        let (hour, minute, second) = (two(h1, h0)?, two(m1, m0)?, two(s1, s0)?);
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        if *day != self.day {
            let date: Date = std::str::from_utf8(day).ok()?.parse().ok()?;
            self.start = TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?.as_millisecond();
            self.day = *day;
        }
        Some(Ts(self.start + ((hour * 60 + minute) * 60 + second) * 1_000))
    }
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

fn slow(s: &[u8]) -> Option<Ts> {
    let t: Timestamp = std::str::from_utf8(s).ok()?.parse().ok()?;
    Some(Ts(t.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree_and_nonsense_is_refused() {
        let mut s = Stamps::default();
        for good in ["2026-11-24T03:04:05Z", "1969-12-31T23:59:59Z", "2024-02-29T00:00:00Z", "2024-02-29T23:59:59Z", "2025-03-01T12:00:00Z"]
        {
            assert_eq!(s.plain(good.as_bytes()), slow(good.as_bytes()), "{good}");
            assert!(slow(good.as_bytes()).is_some());
        }
        assert_eq!(s.parse(b"2026-11-24T11:04:05.5+08:00"), Some(Ts(1_795_489_445_500)));
        assert_eq!(s.parse(b"2026-11-24 03:04:05Z"), Some(Ts(1_795_489_445_000)));
        for bad in
            ["2025-02-29T00:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24T03:04:05", "2026-11-24", "", "1700000000", "2026-11-24T03:4:05Z"]
        {
            assert_eq!(s.parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
