//! What happened to an incident.

use super::finding::{finding, rule};
use super::{Text, say};
use crate::domain::incident::{Change, Closer};
use crate::domain::topology::Topology;

/// What happened to an incident.
pub fn change(change: &Change, topology: &Topology) -> Text {
    match change {
        Change::Opened { .. } => say("incident.opened", &[]),
        Change::Found { finding: f } => finding(point_name(topology, &f.point), topology.medium_of(&f.point), &f.kind, &topology.tz),
        Change::Cleared { point, code } => {
            say("incident.cleared", &[("name", point_name(topology, point).into()), ("rule", rule(code).into())])
        }
        Change::Accepted { by, note: None } => say("incident.accepted", &[("by", by.into())]),
        Change::Accepted { by, note: Some(note) } => say("incident.accepted_with_note", &[("by", by.into()), ("note", note.into())]),
        Change::Closed { by: Closer::Person { name }, reason } => {
            say("incident.closed_by_person", &[("by", name.into()), ("reason", reason.into())])
        }
        Change::Closed { by: Closer::Meter, reason } => say("incident.closed_by_meter", &[("rule", rule(reason).into())]),
    }
}

/// The point's name; its key where the config no longer names it.
pub fn point_name<'a>(topology: &'a Topology, key: &'a str) -> &'a str {
    topology.point_by_key(key).map_or(key, |ix| &topology.point(ix).name)
}
