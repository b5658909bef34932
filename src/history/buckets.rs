//! Hours and days of the wall clock, and how much passed in each.
//!
//! An interval that reaches over an edge is cut pro rata by time, so the buckets of a span sum to what its intervals sum to, to the
//! millilitre. What is not known is never filled in: the bucket says that it is not complete.

use super::Span;
use super::account::Interval;
use super::register::Register;
use super::share::{overlap, share};
use super::walk::{Grain, walk};
use crate::domain::time::{Day, Ms, Ts};
use crate::domain::topology::{PointIx, Topology};
use crate::domain::units::Millilitres;
use crate::store::{ReadError, Reader};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// How long a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// An hour of the wall clock.
    Hour,
    /// A day of the wall clock: 23 or 25 hours where the clocks change.
    Day,
}

impl Scale {
    /// Where two readings around an edge are further apart, how much of the water passed on which side is a guess.
    const fn sure(self) -> Ms {
        match self {
            Scale::Hour => Ms::minutes(75),
            Scale::Day => Ms::hours(3),
        }
    }

    /// The bucket in which `ts` lies.
    fn around(self, ts: Ts, tz: &TimeZone) -> Span {
        match self {
            Scale::Hour => hour(ts, tz),
            Scale::Day => {
                let day = Day::of(ts, tz);
                Span { from: day.from, to: day.to }
            }
        }
    }
}

fn hour(ts: Ts, tz: &TimeZone) -> Span {
    const HOUR: Ms = Ms::hours(1);
    let offset = Timestamp::from_millisecond(ts.0).map_or(0, |t| tz.to_offset(t).seconds());
    let from = ts - Ms((ts + Ms::seconds(i64::from(offset))).0.rem_euclid(HOUR.0));
    Span { from, to: from + HOUR }
}

/// How much passed in an hour or a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub span: Span,
    /// What is known to have passed; None where nothing is known of any moment of it.
    pub volume: Option<Millilitres>,
    /// For how much of its time that is known.
    pub known: Ms,
    /// All of its time is known, and the readings around its edges are close enough together.
    pub complete: bool,
}

/// The buckets that hold the span, which is widened to whole ones. At most [`Scale::Hour`] costs what the raw rows cost; days are told by
/// the store's closed days wherever these tell it exactly.
pub fn buckets(
    reader: &Reader,
    topology: &Topology,
    point: PointIx,
    register: Option<Register>,
    span: Span,
    scale: Scale,
) -> Result<Vec<Bucket>, ReadError> {
    let mut tally = Tally::new(span, scale, &topology.tz);
    if let Some(register) = register {
        let grain = match scale {
            Scale::Hour => Grain::Readings,
            Scale::Day => Grain::Days,
        };
        walk(reader, topology, point, register, tally.span(), grain, &mut |i| tally.add(&i))?;
    }
    Ok(tally.finish())
}

struct Tally {
    buckets: Vec<Bucket>,
    sure: Ms,
    /// Buckets before this one lie before all intervals that are still to come.
    at: usize,
}

impl Tally {
    fn new(span: Span, scale: Scale, tz: &TimeZone) -> Tally {
        let mut buckets = vec![];
        let mut next = scale.around(span.from, tz);
        loop {
            if next.from < next.to {
                buckets.push(Bucket { span: next, volume: None, known: Ms::ZERO, complete: true });
            }
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
        Tally { buckets, sure: scale.sure(), at: 0 }
    }

    fn span(&self) -> Span {
        let edge = |b: Option<&Bucket>, f: fn(Span) -> Ts| b.map_or(Ts(0), |b| f(b.span));
        Span { from: edge(self.buckets.first(), |s| s.from), to: edge(self.buckets.last(), |s| s.to) }
    }

    fn add(&mut self, i: &Interval) {
        while self.buckets.get(self.at).is_some_and(|b| b.span.to <= i.from) {
            self.at += 1;
        }
        for b in self.buckets[self.at..].iter_mut().take_while(|b| b.span.from < i.to) {
            let crosses = i.from < b.span.from || i.to > b.span.to;
            if crosses && i.to - i.from > self.sure {
                b.complete = false;
            }
            if let Some(volume) = i.volume {
                b.volume = Some(b.volume.unwrap_or_default() + share(i, volume, b.span));
                b.known = Ms(b.known.0 + overlap(i, b.span).0);
            }
        }
    }

    fn finish(mut self) -> Vec<Bucket> {
        for b in &mut self.buckets {
            b.complete &= b.known == b.span.to - b.span.from;
        }
        self.buckets
    }
}

#[cfg(test)]
mod tests {
    use super::super::account::Kind;
    use super::*;

    fn at(s: &str) -> Ts {
        Ts(s.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn lengths(from: &str, to: &str, scale: Scale, zone: &str) -> Vec<i64> {
        let t = Tally::new(Span { from: at(from), to: at(to) }, scale, &TimeZone::get(zone).unwrap());
        assert!(t.buckets.windows(2).all(|w| w[0].span.to == w[1].span.from));
        t.buckets.iter().map(|b| (b.span.to - b.span.from).0 / 60_000).collect()
    }

    #[test]
    fn a_span_is_widened_to_whole_buckets_of_the_wall_clock() {
        let tally = |scale| {
            Tally::new(
                Span { from: at("2026-11-24T01:10:00Z"), to: at("2026-11-24T02:00:00Z") },
                scale,
                &TimeZone::get("Asia/Kolkata").unwrap(),
            )
        };
        assert_eq!(tally(Scale::Hour).span(), Span { from: at("2026-11-24T00:30:00Z"), to: at("2026-11-24T02:30:00Z") });
        assert_eq!(tally(Scale::Day).span(), Span { from: at("2026-11-23T18:30:00Z"), to: at("2026-11-24T18:30:00Z") });
    }

    #[test]
    fn buckets_follow_the_clocks_when_these_change() {
        assert_eq!(lengths("2026-10-24T10:00:00Z", "2026-10-27T00:00:00Z", Scale::Day, "Europe/Rome"), [1440, 1500, 1440, 1440]);
        assert_eq!(lengths("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", Scale::Hour, "Europe/Rome"), [60; 25]);
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
                for scale in [Scale::Hour, Scale::Day] {
                    Tally::new(Span { from: Ts(edge) - Ms::days(3), to: Ts(edge) + Ms::days(3) }, scale, &tz);
                }
            }
        }
    }

    #[test]
    fn volumes_are_split_exactly_and_what_is_not_known_is_told() {
        let span = Span { from: Ts(0), to: Ts(4 * 3_600_000) };
        let mut tally = Tally::new(span, Scale::Hour, &TimeZone::UTC);
        let minutes = |a: i64, b: i64, ml: Option<i64>| Interval {
            from: Ts(a * 60_000),
            to: Ts(b * 60_000),
            volume: ml.map(Millilitres),
            kind: Kind::Forward,
            gap: false,
        };
        for i in [
            minutes(-10, 20, Some(100)),
            minutes(20, 70, Some(7)),
            minutes(70, 200, Some(1_000)),
            minutes(200, 210, None),
            minutes(210, 250, Some(40)),
        ] {
            tally.add(&i);
        }
        let told: Vec<_> = tally.finish().iter().map(|b| (b.volume.map(|v| v.0), b.known.0 / 60_000, b.complete)).collect();
        // 67 of 100 and 5 of 7; 2 of 7 and 384 of 1000; 462; 154 and 30 of 40.
        assert_eq!(told, [(Some(72), 60, true), (Some(386), 60, false), (Some(462), 60, false), (Some(184), 50, false)]);
        assert_eq!(told.iter().filter_map(|t| t.0).sum::<i64>(), 67 + 7 + 1_000 + 30);
    }
}
