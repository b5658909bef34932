//! Instants as people of the compound write them: RFC 3339 with the offset of its wall clock.

use crate::domain::time::{Ms, Ts};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde::{Serialize, Serializer};
use utoipa::openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// An instant with the offset that the compound's clocks have then: `2026-11-24T11:04:05+08:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    at: Timestamp,
    offset: Offset,
}

impl Stamp {
    pub fn new(ts: Ts, tz: &TimeZone) -> Stamp {
        // Beyond jiff's calendar (a day before the year -9999 or after 9999, so that any offset fits) the nearest end stands for it.
        let edge = Ms::days(1).0;
        let ms = ts.0.clamp(Timestamp::MIN.as_millisecond() + edge, Timestamp::MAX.as_millisecond() - edge);
        let at = Timestamp::from_millisecond(ms).unwrap_or_default();
        Stamp { at, offset: tz.to_offset(at) }
    }

    pub fn maybe(ts: Option<Ts>, tz: &TimeZone) -> Option<Stamp> {
        ts.map(|ts| Stamp::new(ts, tz))
    }

    /// For a sentence about any year: `2026-11-24 11:04:05`.
    pub fn full(self) -> impl std::fmt::Display {
        jiff::fmt::strtime::format("%Y-%m-%d %H:%M:%S", self.offset.to_datetime(self.at)).unwrap_or_default()
    }

    /// For a sentence about these days: `11-24 11:04`.
    pub fn short(self) -> impl std::fmt::Display {
        jiff::fmt::strtime::format("%m-%d %H:%M", self.offset.to_datetime(self.at)).unwrap_or_default()
    }
}

impl PartialSchema for Stamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("RFC 3339, with the offset of the compound's clocks."))
            .examples(["2026-11-24T11:04:05+08:00"])
            .into()
    }
}

impl ToSchema for Stamp {}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.plain() {
            Some(text) => s.serialize_str(str::from_utf8(&text).map_err(serde::ser::Error::custom)?),
            None => s.collect_str(&self.at.display_with_offset(self.offset)),
        }
    }
}

impl Stamp {
    /// `2026-11-24T11:04:05+08:00`, what nearly every stamp is: a chart has a thousand of them, and to take the general way costs a fifth of its
    /// answer. None for any other: with fractions, offsets that are no whole minutes, years that are no four digits.
    fn plain(self) -> Option<[u8; 25]> {
        let (at, offset) = (self.offset.to_datetime(self.at), self.offset.seconds());
        if at.subsec_nanosecond() != 0 || offset % 60 != 0 || at.year() < 0 {
            return None;
        }
        let mut out = *b"0000-00-00T00:00:00+00:00";
        let mut put = |place: usize, n: u32| {
            // Two digits each time: the remainder is below ten.
            out[place] = b'0' + u8::try_from(n / 10 % 10).unwrap_or(0);
            out[place + 1] = b'0' + u8::try_from(n % 10).unwrap_or(0);
        };
        let year = u32::try_from(at.year()).ok()?;
        put(0, year / 100);
        put(2, year % 100);
        for (place, n) in [(5, at.month()), (8, at.day()), (11, at.hour()), (14, at.minute()), (17, at.second())] {
            put(place, n.unsigned_abs().into());
        }
        put(20, offset.unsigned_abs() / 3_600);
        put(23, offset.unsigned_abs() / 60 % 60);
        if offset < 0 {
            out[19] = b'-';
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_short_way_of_writing_says_what_the_general_one_says(
            seconds in -62_200_000_000i64..253_000_000_000,
            fraction in prop::sample::select(vec![0i64, 0, 0, 7, 120]),
            zone in prop::sample::select(vec!["UTC", "Asia/Shanghai", "Asia/Kolkata", "America/St_Johns", "Africa/Monrovia", "Australia/Lord_Howe"]),
        ) {
            let stamp = Stamp::new(Ts(seconds * 1_000 + fraction), &TimeZone::get(zone).unwrap());
            let general = stamp.at.display_with_offset(stamp.offset).to_string();
            prop_assert_eq!(serde_json::to_string(&stamp).unwrap(), format!("\"{general}\""));
            if fraction == 0 && zone == "Asia/Shanghai" && seconds > 0 {
                prop_assert!(stamp.plain().is_some());
            }
        }
    }

    fn json(ms: i64, tz: &TimeZone) -> String {
        serde_json::to_string(&Stamp::new(Ts(ms), tz)).unwrap()
    }

    #[test]
    fn the_offset_is_the_compounds_own_and_fractions_show_only_where_there_are_any() {
        let shanghai = TimeZone::get("Asia/Shanghai").unwrap();
        assert_eq!(json(1_764_000_000_000, &shanghai), "\"2025-11-25T00:00:00+08:00\"");
        assert_eq!(json(1_764_000_000_120, &shanghai), "\"2025-11-25T00:00:00.12+08:00\"");
        assert_eq!(json(1_764_000_000_000, &TimeZone::UTC), "\"2025-11-24T16:00:00+00:00\"");
        let rome = TimeZone::get("Europe/Rome").unwrap();
        assert_eq!(json(1_750_000_000_000, &rome), "\"2025-06-15T17:06:40+02:00\"");
        assert_eq!(Stamp::new(Ts(1_764_000_000_000), &shanghai).short().to_string(), "11-25 00:00");
    }

    #[test]
    fn the_ends_of_time_are_still_times() {
        let tz = TimeZone::get("Asia/Shanghai").unwrap();
        assert!(json(i64::MIN, &tz).starts_with("\"-"));
        assert!(json(i64::MAX, &tz).starts_with("\"9999-12-"));
    }
}
