//! 误报, "not a leak": what a person has said is the usual of one meter, for one rule, for a while.
//!
//! The rule itself goes on as if nothing had been said: what it knows of the usual changes by readings alone, so that the same readings always give
//! the same state. A grant only keeps what the rule says of the granted excess from becoming an incident again.

use crate::domain::finding::FindingKind;
use crate::domain::time::{Ms, Ts};
use crate::domain::units::Rate;
use serde::{Deserialize, Serialize};

/// A grant holds for so long at most: habits change, and nobody remembers what was granted years ago.
pub const HOLDS: Ms = Ms::days(90);

/// What counts as usual at one meter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Key of the metering point.
    pub point: String,
    /// The rule that spoke: see [`FindingKind::rule`].
    pub rule: String,
    /// So much above the usual; None where the rule cannot tell how much it sees.
    pub excess: Option<Rate>,
    /// When it was granted, by the gateway's clock.
    pub since: Ts,
    /// From then on the rule is heard again.
    pub until: Ts,
}

impl Grant {
    /// True if it is this that was granted. `stands`: since when the rule has seen an excess without a week's rest.
    pub fn covers(&self, point: &str, kind: &FindingKind, at: Ts, stands: Ts) -> bool {
        self.point == point && self.rule == kind.rule() && at < self.until && stands <= self.since && self.is_as_large(kind)
    }

    /// Half as large again is more than was granted. Homes know leaks by sizes that are no further apart than that: there it is the next but one.
    fn is_as_large(&self, kind: &FindingKind) -> bool {
        let Some((_, most)) = kind.loss() else { return true };
        let tenths = if matches!(kind, FindingKind::LeakSteady { .. }) { 19 } else { 15 };
        self.excess.is_some_and(|granted| most.0.saturating_mul(10) < granted.0.saturating_mul(tenths))
    }
}

/// Since when a rule that learns has seen more than the usual, without a rest of a week. Changes by readings alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stands {
    rule: String,
    since: Ts,
    last: Ts,
    excess: Option<Rate>,
}

/// After so long without it an excess has ended.
const ENDED: Ms = Ms::days(7);

impl Stands {
    /// Takes note that the rule speaks at `at`; since when it does.
    pub fn note(all: &mut Vec<Stands>, kind: &FindingKind, at: Ts) -> Ts {
        let excess = kind.loss().map(|(_, most)| most);
        match all.iter_mut().find(|s| s.rule == kind.rule()) {
            Some(s) => {
                if at - s.last > ENDED {
                    s.since = at;
                }
                (s.last, s.excess) = (s.last.max(at), excess);
                s.since
            }
            None => {
                all.push(Stands { rule: kind.rule().to_owned(), since: at, last: at, excess });
                at
            }
        }
    }

    /// What this rule saw above the usual when it spoke last.
    pub fn excess(all: &[Stands], rule: &str) -> Option<Rate> {
        all.iter().find(|s| s.rule == rule)?.excess
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::Change;

    fn least(excess: i64) -> FindingKind {
        FindingKind::LeakLeastFlow { usual: Rate::litres(20), seen: Rate::litres(20 + excess), days: 20 }
    }

    fn steady(most: i64) -> FindingKind {
        FindingKind::LeakSteady { from: Ts(0), least: Rate::litres(most / 2), most: Rate::litres(most) }
    }

    fn grant(kind: &FindingKind) -> Grant {
        let excess = kind.loss().map(|(_, most)| most);
        Grant { point: "bakery".into(), rule: kind.rule().into(), excess, since: Ts(1_000), until: Ts(1_000) + HOLDS }
    }

    #[test]
    fn it_is_of_one_meter_and_one_rule_and_of_that_size() {
        let (g, at) = (grant(&least(100)), Ts(5_000));
        assert!(g.covers("bakery", &least(149), at, Ts(0)));
        assert!(!g.covers("bakery", &least(150), at, Ts(0)), "half as large again");
        assert!(!g.covers("school", &least(100), at, Ts(0)));
        assert!(!g.covers("bakery", &steady(100), at, Ts(0)), "another rule");
        let home = grant(&steady(20));
        assert!(home.covers("bakery", &steady(37), at, Ts(0)) && !home.covers("bakery", &steady(38), at, Ts(0)));
    }

    #[test]
    fn it_ends_with_its_time_and_with_the_excess() {
        let g = grant(&least(100));
        assert!(g.covers("bakery", &least(100), Ts(999) + HOLDS, Ts(0)) && !g.covers("bakery", &least(100), g.until, Ts(0)));
        assert!(!g.covers("bakery", &least(100), Ts(5_000), Ts(2_000)), "it had ended and began anew");
        let (mut all, day) = (vec![], |d: i64| Ts(0) + Ms::days(d));
        assert_eq!(Stands::note(&mut all, &least(100), day(0)), day(0));
        assert_eq!(Stands::note(&mut all, &least(80), day(6)), day(0));
        assert_eq!((Stands::note(&mut all, &steady(5), day(7)), Stands::excess(&all, "leak_least_flow")), (day(7), Some(Rate::litres(80))));
        assert_eq!(Stands::note(&mut all, &least(90), day(14)), day(14), "more than a week of rest");
    }

    #[test]
    fn where_nobody_knows_how_much_only_the_same_is_covered() {
        let cistern = FindingKind::LeakCistern { from: Ts(0), quiet: 50, drawn: 40, usual: 10 };
        let g = grant(&cistern);
        assert!(g.covers("bakery", &cistern, Ts(5_000), Ts(0)) && !g.covers("bakery", &steady(10), Ts(5_000), Ts(0)));
    }

    #[test]
    fn what_an_older_version_closed_was_granted_nothing() {
        let old = r#"{"change":"closed","by":{"kind":"person","name":"王"},"reason":"修好"}"#;
        let change: Change = serde_json::from_str(old).unwrap();
        assert!(matches!(&change, Change::Closed { granted, .. } if granted.is_empty()));
        assert_eq!(serde_json::to_string(&change).unwrap(), old, "an older version reads it as well");
    }
}
