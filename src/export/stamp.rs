//! RFC 3339 with the offset of the compound's clocks, as the JSON API writes it, quickly: rows come by time, so the day and the offset of the
//! last one nearly always serve the next.

use super::number::two;
use crate::domain::time::{Ms, Ts};
use jiff::Timestamp;
use jiff::tz::TimeZone;

const DAY: i64 = Ms::days(1).0;

/// Writes instants; remembers the last day and the last instant.
pub struct Stamps {
    tz: TimeZone,
    /// `from..until`: where `day` and `offset` hold. Ends with the day, or earlier where the clocks change.
    from: i64,
    until: i64,
    /// Milliseconds since 1970 of the local midnight, on the local clock; add `shift` to an instant to read that clock.
    midnight: i64,
    shift: i64,
    /// `2026-11-24T`
    day: Vec<u8>,
    /// `+08:00`
    offset: [u8; 6],
    last: Option<Ts>,
    text: Vec<u8>,
}

impl Stamps {
    pub fn new(tz: TimeZone) -> Stamps {
        Stamps { tz, from: 0, until: 0, midnight: 0, shift: 0, day: vec![], offset: [0; 6], last: None, text: vec![] }
    }

    /// Appends the instant.
    pub fn write(&mut self, out: &mut Vec<u8>, ts: Ts) {
        if self.last != Some(ts) {
            self.render(ts);
            self.last = Some(ts);
        }
        out.extend_from_slice(&self.text);
    }

    fn render(&mut self, ts: Ts) {
        if !(self.from..self.until).contains(&ts.0) {
            self.enter(ts);
        }
        // Within the day, so never negative.
        let of_day = u64::try_from(ts.0 + self.shift - self.midnight).unwrap_or(0);
        let (seconds, ms) = (of_day / 1_000, of_day % 1_000);
        let text = &mut self.text;
        text.clear();
        text.extend_from_slice(&self.day);
        two(text, seconds / 3_600);
        text.push(b':');
        two(text, seconds / 60 % 60);
        text.push(b':');
        two(text, seconds % 60);
        if ms > 0 {
            text.push(b'.');
            two(text, ms / 10);
            two(text, ms % 10 * 10);
            while text.last() == Some(&b'0') {
                text.pop();
            }
        }
        text.extend_from_slice(&self.offset);
    }

    /// Moves to the day of `ts`.
    fn enter(&mut self, ts: Ts) {
        // The store holds no instant beyond jiff's calendar.
        let at = Timestamp::from_millisecond(ts.0).unwrap_or_default();
        let offset = self.tz.to_offset(at);
        let date = offset.to_datetime(at).date();
        self.shift = i64::from(offset.seconds()) * 1_000;
        self.midnight = (ts.0 + self.shift).div_euclid(DAY) * DAY;
        let change = self.tz.following(at).next().map_or(i64::MAX, |t| t.timestamp().as_millisecond());
        self.from = ts.0;
        self.until = (self.midnight + DAY - self.shift).min(change);
        self.day.clear();
        let part = |n: i8| u64::from(n.unsigned_abs());
        two(&mut self.day, u64::from(date.year().unsigned_abs()) / 100);
        two(&mut self.day, u64::from(date.year().unsigned_abs()) % 100);
        self.day.push(b'-');
        two(&mut self.day, part(date.month()));
        self.day.push(b'-');
        two(&mut self.day, part(date.day()));
        self.day.push(b'T');
        // RFC 3339 knows no seconds of an offset; those of a hundred years ago are rounded.
        let minutes = u64::from((offset.seconds().unsigned_abs() + 30) / 60);
        let mut text = vec![if offset.is_negative() { b'-' } else { b'+' }];
        two(&mut text, minutes / 60);
        text.push(b':');
        two(&mut text, minutes % 60);
        self.offset.copy_from_slice(&text[..6]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(s: &mut Stamps, ms: i64) -> String {
        let mut out = vec![];
        s.write(&mut out, Ts(ms));
        String::from_utf8(out).unwrap()
    }

    fn right(tz: &TimeZone, ms: i64) -> String {
        let at = Timestamp::from_millisecond(ms).unwrap();
        at.display_with_offset(tz.to_offset(at)).to_string()
    }

    #[test]
    fn the_hour_that_comes_twice_tells_its_offset() {
        let tz = TimeZone::get("Europe/Rome").unwrap();
        let mut s = Stamps::new(tz);
        let hour = 3_600_000;
        let first = 1_792_886_400_000; // 2026-10-25T00:00Z, summer time until 01:00Z
        let all: Vec<String> = (0..3).map(|h| written(&mut s, first + h * hour)).collect();
        assert_eq!(all, ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"]);
    }

    proptest! {
        #[test]
        fn it_is_what_the_library_writes(
            start in Ts::EARLIEST.0..Ts::LATEST.0,
            steps in prop::collection::vec(0i64..40_000_000, 1..60),
            zone in prop::sample::select(vec!["Asia/Shanghai", "Europe/Rome", "America/St_Johns", "UTC", "Asia/Kathmandu"]),
        ) {
            let tz = TimeZone::get(zone).unwrap();
            let mut s = Stamps::new(tz.clone());
            let mut at = start;
            for step in steps {
                prop_assert_eq!(written(&mut s, at), right(&tz, at));
                at += step;
            }
            // Backwards as well, only slower.
            prop_assert_eq!(written(&mut s, start), right(&tz, start));
        }
    }
}
