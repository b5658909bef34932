//! All incidents: decides what a finding or a command means for them, and folds the events that come of it.
//!
//! Deciding and folding are two steps on purpose: the same fold serves live events and those read back at start.

use super::{Change, Closer, Event, Grant, Incident, IncidentState};
use crate::domain::finding::{Cause, Finding, FindingKind, StartRange};
use crate::domain::id::global_id;
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::{Medium, PlaceIx, Topology};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How many closed incidents stay in memory; the store keeps them all.
const CLOSED_KEPT: usize = 200;

/// Open incidents and the most recently closed, in order of opening.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    incidents: Vec<Arc<Incident>>,
    last_event: u64,
    /// Of each rule and point the newest. Checkpoints of before there were any have none.
    #[serde(default)]
    granted: Vec<Grant>,
}

impl Book {
    /// In order of opening.
    pub fn incidents(&self) -> &[Arc<Incident>] {
        &self.incidents
    }

    /// Sequence number of the newest event; 0 before the first.
    pub fn last_event(&self) -> u64 {
        self.last_event
    }

    pub fn get(&self, id: &str) -> Option<&Arc<Incident>> {
        self.incidents.iter().find(|i| &*i.id == id)
    }

    /// True if an open incident holds an uncleared finding of this rule about this point.
    pub fn is_open(&self, point: &str, code: &str) -> bool {
        self.open_with(point, code).is_some()
    }

    /// True if an open incident holds an uncleared finding of the same rule about this point, whichever of its things it said.
    pub fn is_open_of_rule(&self, point: &str, rule: &str) -> bool {
        let of_rule =
            |i: &Arc<Incident>| i.findings.iter().any(|f| f.cleared.is_none() && f.finding.point == point && f.finding.kind.rule() == rule);
        self.incidents.iter().any(|i| i.state != IncidentState::Closed && of_rule(i))
    }

    /// When an incident was closed in which this rule had spoken of this point; of several the newest.
    pub fn closed_of_rule(&self, point: &str, rule: &str) -> Option<Ts> {
        let of_rule = |i: &&Arc<Incident>| i.findings.iter().any(|f| f.finding.point == point && f.finding.kind.rule() == rule);
        self.incidents.iter().filter(of_rule).filter_map(|i| i.closed.as_ref().map(|(at, ..)| *at)).max()
    }

    /// What is granted to a point, newest last; also what is over.
    pub fn granted<'a>(&'a self, point: &'a str) -> impl Iterator<Item = &'a Grant> {
        self.granted.iter().filter(move |g| g.point == point)
    }

    /// True if a person has said that this is no leak. `stands`: since when the rule has seen it.
    pub fn is_granted(&self, finding: &Finding, stands: Ts) -> bool {
        self.granted.iter().any(|g| g.covers(&finding.point, &finding.kind, finding.at, stands))
    }

    /// True if an incident that is remembered, open or closed, holds this very statement.
    pub fn knows(&self, point: &str, kind: &FindingKind) -> bool {
        self.incidents.iter().any(|i| i.findings.iter().any(|f| f.finding.point == point && f.finding.kind == *kind))
    }

    /// Silences that were said and not cleared, in order of opening: the point, its last reading then, whether the incident is open.
    pub fn silences(&self) -> impl Iterator<Item = (&str, Ts, bool)> {
        self.incidents.iter().flat_map(|i| {
            let open = i.state != IncidentState::Closed;
            i.findings.iter().filter(|f| f.cleared.is_none()).filter_map(move |f| match f.finding.kind {
                FindingKind::MeterSilent { last, .. } => Some((f.finding.point.as_str(), last, open)),
                _ => None,
            })
        })
    }

    fn open_with(&self, point: &str, code: &str) -> Option<&Arc<Incident>> {
        self.incidents.iter().find(|i| {
            i.state != IncidentState::Closed
                && i.findings.iter().any(|f| f.cleared.is_none() && f.finding.point == point && f.finding.kind.code() == code)
        })
    }

    /// The open incident in which this rule has spoken of this point, though that is over: a rope that gets wet again before anybody has looked
    /// is the same matter.
    fn open_about(&self, point: &str, code: &str) -> Option<&Arc<Incident>> {
        let spoke = |i: &&Arc<Incident>| i.findings.iter().any(|f| f.finding.point == point && f.finding.kind.code() == code);
        self.incidents.iter().filter(|i| i.state != IncidentState::Closed).find(spoke)
    }

    /// The events that a new finding causes: it joins an open incident or opens one.
    ///
    /// It joins where the same rule already speaks of the same point, or has spoken of it before, or where the cause is of the same class, the starts can be
    /// the same moment, and every place lies on one path with its own: two flats under one bulk meter are two leaks. Nor does a leak of gas join one of water.
    ///
    /// `place_of` finds the place of a point by its key. It is asked for every open incident: when a whole compound falls silent,
    /// that is every point against every other.
    pub fn found(&self, at: Ts, finding: Finding, topology: &Topology, place_of: &dyn Fn(&str) -> Option<PlaceIx>) -> Vec<Event> {
        let cause = finding.kind.cause();
        let joined = self
            .open_with(&finding.point, finding.kind.code())
            .or_else(|| self.open_about(&finding.point, finding.kind.code()))
            .or_else(|| self.incidents.iter().find(|i| joins(i, cause, &finding, topology, place_of)))
            .map(|i| i.id.clone());
        let mut events = vec![];
        let mut seq = self.last_event;
        let incident = joined.unwrap_or_else(|| {
            seq += 1;
            let id = global_id(&topology.gateway, "incident", seq, at);
            events.push(Event { seq, at, incident: id.clone(), change: Change::Opened { cause } });
            id
        });
        events.push(Event { seq: seq + 1, at, incident, change: Change::Found { finding } });
        events
    }

    /// The events caused by a rule's finding being over, by its own proof: the finding is cleared, and the incident closes when
    /// nothing else keeps it open and its cause needs nobody to look.
    pub fn cleared(&self, at: Ts, point: &str, code: &str) -> Vec<Event> {
        let Some(i) = self.open_with(point, code) else { return vec![] };
        let seq = self.last_event + 1;
        let change = Change::Cleared { point: point.to_owned(), code: code.to_owned() };
        let mut events = vec![Event { seq, at, incident: i.id.clone(), change }];
        if i.cause.ends_itself()
            && i.findings.iter().all(|f| f.cleared.is_some() || (f.finding.point == point && f.finding.kind.code() == code))
        {
            let change = Change::Closed { by: Closer::Meter, reason: code.to_owned(), granted: vec![] };
            events.push(Event { seq: seq + 1, at, incident: i.id.clone(), change });
        }
        events
    }

    /// Folds one event. Unknown incidents (dropped from memory long ago) change nothing but the sequence number.
    pub fn apply(&mut self, event: &Event) {
        self.last_event = event.seq;
        if let Change::Opened { cause } = event.change {
            self.incidents.push(Arc::new(Incident::opened(event, cause)));
            return;
        }
        if let Some(i) = self.incidents.iter_mut().rev().find(|i| i.id == event.incident) {
            Arc::make_mut(i).apply(event);
        }
        if let Change::Closed { granted, .. } = &event.change {
            self.granted.retain(|g| event.at < g.until && !granted.iter().any(|new| new.point == g.point && new.rule == g.rule));
            self.granted.extend(granted.iter().cloned());
            self.forget_oldest_closed();
        }
    }

    fn forget_oldest_closed(&mut self) {
        let closed = || self.incidents.iter().enumerate().filter(|(_, i)| i.state == IncidentState::Closed);
        if closed().count() <= CLOSED_KEPT {
            return;
        }
        // Nothing happens to a closed incident: its last event is its closing.
        if let Some((first, _)) = closed().min_by_key(|(_, i)| i.last_event) {
            self.incidents.remove(first);
        }
    }
}

/// Rules that learn say when something began no better than to a day.
const ROUGHLY: Ms = Ms::days(1);

fn joins(i: &Incident, cause: Cause, finding: &Finding, topology: &Topology, place_of: &dyn Fn(&str) -> Option<PlaceIx>) -> bool {
    if i.state == IncidentState::Closed || i.cause != cause || i.historic != finding.historic {
        return false;
    }
    // Whatever else a meter sees of a leak while somebody is at it belongs to that.
    let is_same_meter = cause == Cause::Leak && i.points.contains(&finding.point);
    let is_rough = finding.kind.is_learned() || i.findings.iter().any(|f| f.finding.kind.is_learned());
    let margin = if is_rough { ROUGHLY } else { Ms::ZERO };
    if !is_same_meter && !i.start.overlaps(StartRange { earliest: finding.start.earliest - margin, latest: finding.start.latest + margin })
    {
        return false;
    }
    // Gas that leaks is another matter than water: other people, another valve.
    let what = |point: &str| match topology.medium_of(point) {
        Medium::Water | Medium::HotWater => Medium::Water,
        other => other,
    };
    if cause == Cause::Leak && i.points.iter().any(|p| what(p) != what(&finding.point)) {
        return false;
    }
    let Some(here) = place_of(&finding.point) else { return false };
    // A point that is no longer in the config has no place; it can join nothing.
    i.points.iter().all(|p| place_of(p).is_some_and(|there| topology.on_one_path(here, there)))
}

#[cfg(test)]
mod tests;
