//! What came of it.

use crate::domain::finding::{Cause, Finding, FindingKind};
use crate::domain::time::{Month, Ms, Ts};
use crate::domain::topology::Topology;
use crate::domain::units::Amount;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::sync::Arc;

/// So many findings of a run are kept, the first ones; all are counted. Half a megabyte for both runs.
pub const MOST: usize = 500;

/// The whole of a back-test.
#[derive(Clone, Debug)]
pub struct Report {
    /// What the findings speak of.
    pub topology: Arc<Topology>,
    /// What was asked for; findings of before are only counted.
    pub from: Ts,
    pub to: Ts,
    /// From here on the rules have learned. Of files the same as `from`: their beginning is all there is.
    pub learned_from: Ts,
    /// Metering points whose findings are told.
    pub points: usize,
    /// Readings taken, each once.
    pub rows: u64,
    pub seconds: f64,
    pub as_now: Run,
    /// None where nothing else was tried.
    pub tried: Option<Run>,
    /// What was odd in the files, in the words of `heyun replay`.
    pub notes: Vec<String>,
}

/// How the rules spoke with one set of limits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// Those within the span, oldest first, at most [`MOST`].
    pub found: Vec<Found>,
    /// All of them: of each calendar month the first words of a rule, and those for having grown by half.
    pub months: BTreeMap<Month, Counted>,
    /// The same by the code of the rule.
    pub rules: BTreeMap<&'static str, Counted>,
    /// Before the span, while the rules learned: what was found then is not told anew within it.
    pub earlier: u64,
}

/// How often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub first: u64,
    /// Again, having grown by half.
    pub grown: u64,
}

/// A finding of a back-test.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// When it would have been told.
    pub at: Ts,
    /// Without the readings behind it.
    pub finding: Finding,
    /// What had passed above the usual, or above the limit, by then: at least. None where the rule does not know.
    pub above: Option<Amount>,
}

impl Run {
    pub(super) fn push(&mut self, at: Ts, mut finding: Finding, tz: &TimeZone) {
        for counted in [self.months.entry(Month::of(at, tz)).or_default(), self.rules.entry(finding.kind.code()).or_default()] {
            *(if finding.grown { &mut counted.grown } else { &mut counted.first }) += 1;
        }
        if self.found.len() < MOST {
            finding.evidence = vec![];
            let above = above(&finding, at);
            self.found.push(Found { at, finding, above });
        }
    }

    /// All of the span.
    pub fn counted(&self) -> Counted {
        self.months.values().fold(Counted::default(), |a, b| Counted { first: a.first + b.first, grown: a.grown + b.grown })
    }

    /// Half of the leaks that are kept were told sooner after they began, by the earliest that they can have begun. None without one.
    pub fn usual_delay(&self) -> Option<Ms> {
        let leaks = self.found.iter().filter(|f| f.finding.kind.cause() == Cause::Leak && !f.finding.grown);
        let mut delays: Vec<Ms> = leaks.map(|f| f.at - f.finding.start.earliest).collect();
        delays.sort_unstable();
        delays.get(delays.len().checked_sub(1)? / 2).copied()
    }
}

fn above(finding: &Finding, at: Ts) -> Option<Amount> {
    match finding.kind {
        FindingKind::LeakHourlyLimit { limit, seen, .. } => Some(seen - limit),
        FindingKind::LeakMonthlyLimit { limit, used, .. } => Some(used - limit),
        ref kind => {
            let (least, most) = kind.loss()?;
            let lasted = (at - finding.start.latest).0;
            Some(Amount(i64::midpoint(least.over(lasted).0, most.over(lasted).0)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::finding::StartRange;
    use crate::domain::units::Rate;

    fn finding(kind: FindingKind, start_h: i64, grown: bool) -> Finding {
        let at = Ts(0) + Ms::hours(start_h);
        let start = StartRange { earliest: at - Ms::hours(1), latest: at };
        Finding { point: "b".into(), kind, at, start, grown, historic: false, evidence: vec![] }
    }

    #[test]
    fn alarms_are_counted_by_month_and_rule_and_only_the_first_are_kept() {
        let mut run = Run::default();
        let kind = FindingKind::LeakLeastFlow { usual: Rate::litres(10), seen: Rate::litres(60), days: 12 };
        for i in 0..600 {
            run.push(Ts(0) + Ms::hours(10 + i), finding(kind.clone(), i, i % 2 == 1), &TimeZone::UTC);
        }
        assert_eq!((run.found.len(), run.counted()), (MOST, Counted { first: 300, grown: 300 }));
        assert_eq!(run.rules["leak_least_flow"], run.counted());
        assert_eq!(run.months.len(), 1);
        // 50 L/h above the usual, for ten hours.
        assert_eq!(run.found[0].above, Some(Amount::litres(500)));
        assert_eq!(run.usual_delay(), Some(Ms::hours(11)));
        assert_eq!(Run::default().usual_delay(), None);
    }
}
