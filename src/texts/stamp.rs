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
        s.collect_str(&self.at.display_with_offset(self.offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
