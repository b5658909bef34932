//! The hours around the start of a finding, from the stored readings.

use super::Span;
use super::buckets::{Scale, buckets};
use super::register::Register;
use super::tally::Bucket;
use crate::domain::detect::picture::{EXPECTED_DAYS, Seen, Shown, Statistic, shown};
use crate::domain::engine::Snapshot;
use crate::domain::finding::{Cause, Finding, FindingKind};
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::{PointIx, Topology};
use crate::store::{ReadError, Reader};

/// How much is shown before the earliest start, and in all. A burst is told within hours, and looked at by quarters of them.
const HOURS: (Ms, Ms) = (Ms::days(4), Ms::days(14));
const QUARTERS: (Ms, Ms) = (Ms::days(1), Ms::days(3));
/// More meters than this behind one are not read for a picture: it would take seconds.
const MOST_BEHIND: usize = 300;
/// Of their time so much must be known, per cent, as the balance wants it.
const ENOUGH: i64 = 90;

/// What a picture of a finding is drawn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub span: Span,
    /// Length of a step.
    pub step: Ms,
    /// By time, without a hole.
    pub steps: Vec<Shown>,
    pub statistic: Option<Statistic>,
    /// It went on after the span.
    pub more: bool,
}

/// The picture of what a rule said about a point, statement by statement, oldest first; `end`: when the matter was closed, or now.
///
/// None where there is none to draw: the statements are no leak's, or nothing of a volume is read at the point.
pub fn picture(
    reader: &Reader,
    topology: &Topology,
    snapshot: &Snapshot,
    statements: &[Finding],
    end: Ts,
) -> Result<Option<Picture>, ReadError> {
    let Some(first) = statements.first().filter(|f| f.kind.cause() == Cause::Leak) else { return Ok(None) };
    let point =
        topology.point_by_key(&first.point).filter(|p| topology.point(*p).kind.is_metered() && !topology.point(*p).medium.is_energy());
    let Some((point, register)) = point.and_then(|p| Some((p, Register::now(topology, snapshot, p)?))) else { return Ok(None) };
    let asked = Asked { reader, topology, snapshot, point, register, first, end };
    if matches!(first.kind, FindingKind::LeakSudden { .. }) {
        let fine = asked.drawn(Scale::Quarter, Ms::minutes(15), QUARTERS)?;
        // A meter that is heard once an hour has no quarters.
        if 2 * fine.steps.iter().filter(|s| s.seen.flow.is_some()).count() > fine.steps.len() {
            return Ok(Some(fine));
        }
    }
    asked.drawn(Scale::Hour, Ms::hours(1), HOURS).map(Some)
}

struct Asked<'a> {
    reader: &'a Reader,
    topology: &'a Topology,
    snapshot: &'a Snapshot,
    point: PointIx,
    register: Register,
    first: &'a Finding,
    end: Ts,
}

impl Asked<'_> {
    fn drawn(&self, scale: Scale, step: Ms, (lead, most): (Ms, Ms)) -> Result<Picture, ReadError> {
        let start = self.first.start.earliest;
        // The moment at which it was said is in the picture, however late it was.
        let wanted = (start - lead + most).max(self.first.at + Ms::days(1));
        let to = wanted.min(self.end).max(start);
        let from = (start - lead).max(to - most);
        let all = self.buckets(self.point, &self.register, Span { from: start.min(from) - Ms::days(EXPECTED_DAYS), to }, scale)?;
        let statistic = Statistic::of(&self.first.kind);
        let behind =
            if statistic == Some(Statistic::LeftOver) { self.behind(Span { from: from - Ms::days(1), to }, scale)? } else { vec![] };
        let mut seen: Vec<Seen> = all.iter().filter(|b| b.span.to <= to).map(seen).collect();
        for s in &mut seen {
            let found = behind.binary_search_by_key(&s.from, |b| b.from).ok();
            s.behind = found.and_then(|i| behind.get(i)).and_then(|b| b.flow);
        }
        let steps = shown(&seen, step, (start, from), statistic, &self.topology.tz);
        let edge = steps.first().map_or(from, |s| s.seen.from);
        let statistic = statistic.filter(|_| steps.iter().any(|s| s.statistic.is_some()));
        Ok(Picture { span: Span { from: edge, to }, step, steps, statistic, more: to < self.end })
    }

    fn buckets(&self, point: PointIx, register: &Register, span: Span, scale: Scale) -> Result<Vec<Bucket>, ReadError> {
        buckets(self.reader, self.topology, point, Some(register), span, scale)
    }

    /// What the meters behind the point passed together. Who was not heard used what the others did.
    fn behind(&self, span: Span, scale: Scale) -> Result<Vec<Seen>, ReadError> {
        let all = self.topology.point_ixs().filter(|ix| {
            let p = self.topology.point(*ix);
            p.parent == Some(self.point) && p.measures_water() && p.source.is_some()
        });
        let all: Vec<PointIx> = all.collect();
        if all.len() > MOST_BEHIND {
            return Ok(vec![]);
        }
        let mut sums: Vec<Bucket> = vec![];
        for (point, register) in all.iter().filter_map(|ix| Some((*ix, Register::now(self.topology, self.snapshot, *ix)?))) {
            let of_one = self.buckets(point, &register, span, scale)?;
            if sums.is_empty() {
                sums = of_one;
                continue;
            }
            for (sum, one) in sums.iter_mut().zip(of_one) {
                sum.volume = sum.volume.into_iter().chain(one.volume).reduce(|a, b| a + b);
                sum.known = Ms(sum.known.0 + one.known.0);
            }
        }
        let together = |sum: &Bucket| {
            let whole = (sum.span.to - sum.span.from).0 * i64::try_from(all.len()).unwrap_or(i64::MAX);
            let is_enough = sum.known.0 * 100 >= whole * ENOUGH;
            let flow = sum.volume.filter(|_| is_enough).map(|v| v.scaled(whole, sum.known.0).per((sum.span.to - sum.span.from).0));
            Seen { from: sum.span.from, flow, behind: None }
        };
        Ok(sums.iter().map(together).collect())
    }
}

fn seen(b: &Bucket) -> Seen {
    Seen { from: b.span.from, flow: b.volume.filter(|_| b.complete).map(|v| v.per(b.known.0)), behind: None }
}
