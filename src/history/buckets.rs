//! Quarters, hours and days of the wall clock, and how much passed in each.
//!
//! An interval that reaches over an edge is cut pro rata by time, so the buckets of a span sum to what its intervals sum to, to the
//! millilitre. What is not known is never filled in: the bucket says that it is not complete.

use super::Span;
use super::days::daily;
use super::register::Register;
use super::tally::{Bucket, Tally};
use super::walk::walk;
use crate::domain::time::{Day, Ms, Ts};
use crate::domain::topology::{PointIx, Topology};
use crate::store::{ReadError, Reader};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Of a day, [`Scale::sure`].
pub(super) const SURE_OF_A_DAY: Ms = Ms::hours(3);

/// How long a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// A quarter of an hour of the wall clock.
    Quarter,
    /// An hour of the wall clock.
    Hour,
    /// A day of the wall clock: 23 or 25 hours where the clocks change.
    Day,
}

impl Scale {
    /// Where two readings around an edge are further apart, how much of the water passed on which side is a guess.
    const fn sure(self) -> Ms {
        match self {
            Scale::Quarter => Ms::minutes(20),
            Scale::Hour => Ms::minutes(75),
            Scale::Day => SURE_OF_A_DAY,
        }
    }

    /// The bucket in which `ts` lies.
    fn around(self, ts: Ts, tz: &TimeZone) -> Span {
        match self {
            Scale::Quarter => part(ts, Ms::minutes(15), tz),
            Scale::Hour => part(ts, Ms::hours(1), tz),
            Scale::Day => {
                let day = Day::of(ts, tz);
                Span { from: day.from, to: day.to }
            }
        }
    }
}

/// The part of the day, so long, in which `ts` lies.
fn part(ts: Ts, long: Ms, tz: &TimeZone) -> Span {
    let offset = Timestamp::from_millisecond(ts.0).map_or(0, |t| tz.to_offset(t).seconds());
    let from = ts - Ms((ts + Ms::seconds(i64::from(offset))).0.rem_euclid(long.0));
    Span { from, to: from + long }
}

/// The buckets that hold the span, which is widened to whole ones. Hours and quarters cost what the raw rows cost; of days most are told already.
pub fn buckets(
    reader: &Reader,
    topology: &Topology,
    point: PointIx,
    register: Option<&Register>,
    span: Span,
    scale: Scale,
) -> Result<Vec<Bucket>, ReadError> {
    let tz = &topology.tz;
    if let (Some(register), Scale::Day) = (register, scale) {
        let first = Day::of(span.from, tz);
        let whole = Span { from: first.from, to: first.to.max(Day::of(span.to - Ms(1), tz).to) };
        return Ok(daily(reader, topology, point, register, whole)?.0);
    }
    let mut tally = spans(span, scale, tz);
    if let Some(register) = register {
        walk(reader, topology, point, register, tally.span(), &mut |i| tally.add(&i))?;
    }
    Ok(tally.finish())
}

/// Whole hours or days that hold the span.
fn spans(span: Span, scale: Scale, tz: &TimeZone) -> Tally {
    let mut tally = Tally::new(scale.sure());
    let mut next = scale.around(span.from, tz);
    loop {
        tally.push(next);
        if next.to >= span.to {
            break;
        }
        let after = scale.around(next.to, tz);
        if after.to <= next.to {
            // The end of the calendar.
            break;
        }
        next = Span { from: next.to, to: after.to };
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: &str) -> Ts {
        Ts(s.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn lengths(from: &str, to: &str, scale: Scale, zone: &str) -> Vec<i64> {
        let buckets = spans(Span { from: at(from), to: at(to) }, scale, &TimeZone::get(zone).unwrap()).finish();
        assert!(buckets.windows(2).all(|w| w[0].span.to == w[1].span.from));
        buckets.iter().map(|b| (b.span.to - b.span.from).0 / 60_000).collect()
    }

    #[test]
    fn a_span_is_widened_to_whole_buckets_of_the_wall_clock() {
        let tally = |scale| {
            spans(Span { from: at("2026-11-24T01:10:00Z"), to: at("2026-11-24T02:00:00Z") }, scale, &TimeZone::get("Asia/Kolkata").unwrap())
        };
        assert_eq!(tally(Scale::Hour).span(), Span { from: at("2026-11-24T00:30:00Z"), to: at("2026-11-24T02:30:00Z") });
        assert_eq!(tally(Scale::Day).span(), Span { from: at("2026-11-23T18:30:00Z"), to: at("2026-11-24T18:30:00Z") });
    }

    #[test]
    fn buckets_follow_the_clocks_when_these_change() {
        assert_eq!(lengths("2026-10-24T10:00:00Z", "2026-10-27T00:00:00Z", Scale::Day, "Europe/Rome"), [1440, 1500, 1440, 1440]);
        assert_eq!(lengths("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", Scale::Hour, "Europe/Rome"), [60; 25]);
        assert_eq!(lengths("2026-10-25T00:20:00Z", "2026-10-25T01:40:00Z", Scale::Quarter, "Europe/Rome"), [15; 6]);
        // By half an hour, forward and back: each leaves half an hour of the wall clock.
        assert_eq!(lengths("2026-10-03T14:00:00Z", "2026-10-03T18:00:00Z", Scale::Hour, "Australia/Lord_Howe"), [60, 60, 30, 60, 60]);
        assert_eq!(lengths("2026-04-04T13:00:00Z", "2026-04-04T17:30:00Z", Scale::Hour, "Australia/Lord_Howe"), [60, 60, 30, 60, 60]);
        // A day that was skipped.
        assert_eq!(lengths("2011-12-29T12:00:00Z", "2011-12-31T12:00:00Z", Scale::Day, "Pacific/Apia"), [1440, 1440, 1440]);
    }

    #[test]
    fn the_ends_of_time_end() {
        for tz in [TimeZone::UTC, TimeZone::get("Asia/Shanghai").unwrap()] {
            for edge in [Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond()] {
                for scale in [Scale::Quarter, Scale::Hour, Scale::Day] {
                    spans(Span { from: Ts(edge) - Ms::days(3), to: Ts(edge) + Ms::days(3) }, scale, &tz);
                }
            }
        }
    }
}
