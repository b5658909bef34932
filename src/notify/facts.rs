//! Everything that a message about an incident says, gathered before any word is chosen.

use crate::domain::engine::Snapshot;
use crate::domain::finding::{Cause, Finding, FindingKind};
use crate::domain::incident::{Incident, NoticeKind, Urgency};
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::{Point, Topology};
use crate::domain::units::{Amount, Rate};

/// An incident as it is when it is told, and what of it was not told yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Sequence number of the newest event that is told with it.
    pub event: u64,
    /// When that happened.
    pub at: Ts,
    /// What is told with it, oldest first; never empty.
    pub kinds: Vec<NoticeKind>,
    pub incident: Incident,
    /// What the newest statement about it says: of the narrowest place, where several speak.
    pub finding: Finding,
    /// Names from the community down to the metering point, as they are configured.
    pub place: Vec<String>,
    pub flow: Option<Flow>,
    /// What flowed through its first meter since it began, until it was closed or now: what the page shows as well. None until it is asked
    /// for, and where nothing is known.
    pub passed: Option<Amount>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Between the two newest readings.
    Now(Rate),
    /// Over the time that the rule looked at.
    Mean(Rate),
}

impl Flow {
    pub fn value(self) -> Rate {
        match self {
            Flow::Now(f) | Flow::Mean(f) => f,
        }
    }
}

impl Facts {
    /// None for an incident without findings, which none is that was ever told. `kinds` must not be empty.
    pub fn of(
        incident: Incident,
        kinds: Vec<NoticeKind>,
        newest: (u64, Ts),
        topology: &Topology,
        snapshot: &Snapshot,
        now: Ts,
    ) -> Option<Facts> {
        let finding = incident.findings.iter().max_by_key(|f| (f.cleared.is_none(), f.finding.at)).map(|f| f.finding.clone())?;
        let state = topology.point_by_key(&finding.point).and_then(|p| snapshot.points.iter().find(|s| s.point == p));
        // Of what is no water, how fast it goes through the meter says nothing about a leak.
        let water = topology.point_by_key(&finding.point).is_none_or(|p| topology.point(p).medium.is_water());
        let leak = incident.cause == Cause::Leak && water;
        let flow_now = state.and_then(|s| s.flow_now(now)).filter(|f| f.0 > 0).map(Flow::Now);
        let flow = if leak { flow_now.or_else(|| mean_flow(&finding.kind).map(Flow::Mean)) } else { None };
        let place = place(&finding.point, topology);
        Some(Facts { event: newest.0, at: newest.1, kinds, incident, finding, place, flow, passed: None })
    }

    /// The metering point of the newest statement; None where the config no longer names it.
    pub fn point<'t>(&self, topology: &'t Topology) -> Option<&'t Point> {
        topology.point_by_key(&self.finding.point).map(|ix| topology.point(ix))
    }

    /// The newest of what is told: what came before is part of how the incident is now.
    pub fn kind(&self) -> NoticeKind {
        self.kinds.last().copied().unwrap_or(NoticeKind::Opened)
    }

    pub fn urgency(&self) -> Urgency {
        let runs = self.finding.kind.is_pressing() && !matches!(self.kind(), NoticeKind::Accepted | NoticeKind::Closed);
        if runs { Urgency::Urgent } else { Urgency::Ordinary }
    }
}

fn place(point: &str, topology: &Topology) -> Vec<String> {
    let Some(ix) = topology.point_by_key(point) else { return vec![point.to_owned()] };
    let p = topology.point(ix);
    let mut names: Vec<String> = topology.path(p.place).map(|ix| topology.place(ix).name.clone()).collect();
    names.reverse();
    names.push(p.name.clone());
    names
}

/// The names as one path, each without what the names above have said already.
pub fn short_path(names: &[String]) -> String {
    let mut said = String::new();
    let mut parts: Vec<&str> = vec![];
    for name in names {
        // The longest beginning of the name that the path so far ends with.
        let rest = name.char_indices().map(|(i, c)| i + c.len_utf8()).filter(|i| said.ends_with(&name[..*i])).max();
        let rest = match rest {
            // One character may be the same by chance.
            Some(i) if name[..i].chars().count() >= 2 => name[i..].trim_start(),
            _ => name.as_str(),
        };
        if !rest.is_empty() {
            parts.push(rest);
            said.push_str(rest);
        }
    }
    parts.join(" ")
}

fn mean_flow(kind: &FindingKind) -> Option<Rate> {
    match kind {
        FindingKind::LeakHourlyLimit { from, to, seen, .. } => Some(seen.per((*to - *from).0)),
        FindingKind::LeakMonthlyProjection { last_day, .. } => Some(last_day.per(Ms::days(1).0)),
        // The others speak of no span, or of no water.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_nothing_twice() {
        let path = |names: &[&str]| short_path(&names.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        assert_eq!(path(&["朝阳街社区", "北西小区", "北西小区15号楼", "15号楼总表"]), "朝阳街社区 北西小区 15号楼 总表");
        assert_eq!(path(&["和韵小区", "1号楼", "1号楼1单元", "1号楼1单元101", "1号楼1单元101"]), "和韵小区 1号楼 1单元 101");
        assert_eq!(path(&["和韵小区", "和韵小区"]), "和韵小区");
        assert_eq!(path(&["小区", "区域泵房"]), "小区 区域泵房", "one character in common is chance");
        assert_eq!(path(&[]), "");
    }
}
