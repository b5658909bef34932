//! What happened to an incident.

use super::finding::{finding, rule};
use super::{Arg, Stamp, Text, rate, say};
use crate::domain::incident::{Change, Closer, Grant};
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
        Change::Closed { by: Closer::Person { name }, reason, granted } => {
            let said = [("by", name.into()), ("reason", reason.into())];
            let Some(until) = granted.iter().map(|g| g.until).max() else { return say("incident.closed_by_person", &said) };
            let [by, reason] = said;
            let until = Stamp::new(until, &topology.tz).full().to_string();
            say("incident.closed_not_a_leak", &[by, reason, ("usual", usual(granted, topology)), ("until", Text::same(until).into())])
        }
        Change::Closed { by: Closer::Meter, reason, .. } => say("incident.closed_by_meter", &[("rule", rule(reason).into())]),
    }
}

/// What counts as usual: of each meter how much, where the rule can tell.
fn usual(granted: &[Grant], topology: &Topology) -> Arg {
    // Of several rules at one meter the one that saw most.
    let is_most = |g: &&Grant| !granted.iter().any(|o| o.point == g.point && (o.excess, &o.rule) > (g.excess, &g.rule));
    let each = granted.iter().filter(is_most).map(|g| {
        let name = point_name(topology, &g.point);
        match g.excess {
            Some(excess) => say("incident.usual", &[("name", name.into()), ("rate", rate(topology.medium_of(&g.point), excess).into())]),
            None => say("incident.usual_unknown", &[("name", name.into())]),
        }
    });
    let all: Vec<Text> = each.collect();
    let and = say("incident.usual_and", &[]);
    let join = |of: for<'a> fn(&'a Text) -> &'a str| all.iter().map(of).collect::<Vec<_>>().join(of(&and));
    Text::new(join(|t| &t.zh), join(|t| &t.en)).into()
}

/// The point's name; its key where the config no longer names it.
pub fn point_name<'a>(topology: &'a Topology, key: &'a str) -> &'a str {
    topology.point_by_key(key).map_or(key, |ix| &topology.point(ix).name)
}
