//! The part of an interval's volume that lies in a span: pro rata by time, in integers.

use super::Span;
use super::account::Interval;
use crate::domain::time::{Ms, Ts};
use crate::domain::units::Amount;

/// What of `volume` had passed by `at`. Rounded, but always alike: the parts of an interval that is cut anywhere sum to it exactly.
fn until(interval: &Interval, volume: Amount, at: Ts) -> Amount {
    let at = at.clamp(interval.from, interval.to);
    if at == interval.to {
        return volume;
    }
    volume.scaled((at - interval.from).0, (interval.to - interval.from).0)
}

/// The part of an interval with this volume that lies in the span.
pub(super) fn share(interval: &Interval, volume: Amount, span: Span) -> Amount {
    until(interval, volume, span.to) - until(interval, volume, span.from)
}

/// How much of the span's time the interval covers.
pub(super) fn overlap(interval: &Interval, span: Span) -> Ms {
    (interval.to.min(span.to) - interval.from.max(span.from)).max(Ms::ZERO)
}

#[cfg(test)]
mod tests {
    use super::super::account::Kind;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_parts_of_an_interval_sum_to_it(from in 0i64..1_000, long in 1i64..100_000, ml in 0i64..1_000_000_007, cuts in prop::collection::vec(-10i64..102_000, 0..9)) {
            let i = Interval { from: Ts(from), to: Ts(from + long), volume: None, kind: Kind::Forward, gap: false };
            let mut edges: Vec<i64> = cuts;
            edges.extend([i64::MIN, i64::MAX]);
            edges.sort_unstable();
            let spans = || edges.windows(2).map(|w| Span { from: Ts(w[0]), to: Ts(w[1]) });
            prop_assert_eq!(spans().map(|s| share(&i, Amount(ml), s).0).sum::<i64>(), ml);
            prop_assert_eq!(spans().map(|s| overlap(&i, s).0).sum::<i64>(), long);
            prop_assert!(spans().all(|s| share(&i, Amount(ml), s).0 >= 0));
        }
    }
}
