//! Spans side by side, and how much passed in each.

use super::Span;
use super::account::Interval;
use super::share::{overlap, share};
use crate::domain::time::{Ms, Ts};
use crate::domain::units::Amount;

/// How much passed in an hour, a day, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub span: Span,
    /// What is known to have passed; None where nothing is known of any moment of it.
    pub volume: Option<Amount>,
    /// For how much of its time that is known.
    pub known: Ms,
    /// All of its time is known, and the readings around its edges are close enough together.
    pub complete: bool,
}

impl Bucket {
    /// Nothing is known of it.
    pub(super) fn unknown(span: Span) -> Bucket {
        Bucket { span, volume: None, known: Ms::ZERO, complete: false }
    }
}

/// Intervals, by time, into buckets that follow each other.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    buckets: Vec<Bucket>,
    /// Where two readings around an edge are further apart, how much of the water passed on which side is a guess.
    sure: Ms,
    /// Buckets before this one lie before all intervals that are still to come.
    at: usize,
    /// Where the newest interval ended.
    reached: Option<Ts>,
}

impl Tally {
    pub(super) fn new(sure: Ms) -> Tally {
        Tally { buckets: vec![], sure, at: 0, reached: None }
    }

    /// One more span, behind all others; an empty one is left out.
    pub(super) fn push(&mut self, span: Span) {
        if span.from < span.to {
            self.buckets.push(Bucket { complete: true, ..Bucket::unknown(span) });
        }
    }

    /// From the first bucket's beginning to the last one's end.
    pub(super) fn span(&self) -> Span {
        let edge = |b: Option<&Bucket>, f: fn(Span) -> Ts| b.map_or(Ts(0), |b| f(b.span));
        Span { from: edge(self.buckets.first(), |s| s.from), to: edge(self.buckets.last(), |s| s.to) }
    }

    pub(super) fn add(&mut self, i: &Interval) {
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
        self.reached = self.reached.max(Some(i.to));
    }

    /// Where the newest interval ended.
    pub(super) fn reached(&self) -> Option<Ts> {
        self.reached
    }

    /// Hands out the buckets, from the first on, that no later interval can change.
    pub(super) fn take_over(&mut self) -> impl Iterator<Item = Bucket> + '_ {
        let over = self.buckets.iter().take_while(|b| Some(b.span.to) <= self.reached).count();
        self.at = self.at.saturating_sub(over);
        self.buckets.drain(..over).map(finished)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    pub(super) fn finish(self) -> Vec<Bucket> {
        self.buckets.into_iter().map(finished).collect()
    }
}

fn finished(b: Bucket) -> Bucket {
    Bucket { complete: b.complete && b.known == b.span.to - b.span.from, ..b }
}

#[cfg(test)]
mod tests {
    use super::super::account::Kind;
    use super::*;

    #[test]
    fn volumes_are_split_exactly_and_what_is_not_known_is_told() {
        let mut tally = Tally::new(Ms::minutes(75));
        (0..4).for_each(|h| tally.push(Span { from: Ts(h * 3_600_000), to: Ts((h + 1) * 3_600_000) }));
        let minutes = |a: i64, b: i64, ml: Option<i64>| Interval {
            from: Ts(a * 60_000),
            to: Ts(b * 60_000),
            volume: ml.map(Amount),
            kind: Kind::Forward,
            gap: false,
        };
        for i in [minutes(-10, 20, Some(100)), minutes(20, 70, Some(7)), minutes(70, 200, Some(1_000))] {
            tally.add(&i);
        }
        let tell = |b: Bucket| (b.volume.map(|v| v.0), b.known.0 / 60_000, b.complete);
        // 67 of 100 and 5 of 7; 2 of 7 and 384 of 1000; 462; 154 and 30 of 40.
        let mut told: Vec<_> = tally.take_over().map(tell).collect();
        assert_eq!(told.len(), 3);
        tally.add(&minutes(200, 210, None));
        tally.add(&minutes(210, 250, Some(40)));
        told.extend(tally.finish().into_iter().map(tell));
        assert_eq!(told, [(Some(72), 60, true), (Some(386), 60, false), (Some(462), 60, false), (Some(184), 50, false)]);
        assert_eq!(told.iter().filter_map(|t| t.0).sum::<i64>(), 67 + 7 + 1_000 + 30);
    }
}
