//! The file that people work on: findings of one cause on one path, joined, with everything done about them.
//!
//! Event-sourced: the list of [`Event`]s is the truth, an [`Incident`] is what they add up to.

mod book;
mod grant;
mod notice;

pub use book::Book;
pub use grant::{Grant, HOLDS, Stands};
pub use notice::{Notice, NoticeKind, Urgency};

use super::finding::{Cause, Finding, StartRange};
use super::time::Ts;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Something that happened to an incident. Sequence numbers are dense and start at 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub seq: u64,
    /// When it happened, by the gateway's clock.
    pub at: Ts,
    /// Global id of the incident: `<gateway>.<ULID>`.
    pub incident: Arc<str>,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    Opened {
        cause: Cause,
    },
    /// A rule spoke: the first such event follows `Opened`, later ones join.
    Found {
        finding: Finding,
    },
    /// A rule's finding is over, by the rule's own proof.
    Cleared {
        point: String,
        code: String,
    },
    /// 已签收: a person has taken it on.
    Accepted {
        by: String,
        note: Option<String>,
    },
    Closed {
        by: Closer,
        reason: String,
        /// 误报: what counts as usual from now on. Empty where it was a leak, and in events of before there was this.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        granted: Vec<Grant>,
    },
}

impl Change {
    /// The stable name of the change.
    pub fn code(&self) -> &'static str {
        match self {
            Change::Opened { .. } => "opened",
            Change::Found { .. } => "found",
            Change::Cleared { .. } => "cleared",
            Change::Accepted { .. } => "accepted",
            Change::Closed { .. } => "closed",
        }
    }
}

/// Who closed an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Closer {
    Person {
        name: String,
    },
    /// The meter itself proved that it is over (a silent meter spoke again).
    Meter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentState {
    /// 已发现
    Detected,
    /// 已签收
    Accepted,
    /// 已结案
    Closed,
}

/// What the events of one incident add up to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    pub id: Arc<str>,
    pub cause: Cause,
    pub state: IncidentState,
    pub opened_at: Ts,
    pub accepted: Option<(Ts, String)>,
    pub closed: Option<(Ts, Closer, String)>,
    /// Keys of the metering points that its findings speak of, in order of joining.
    pub points: Vec<String>,
    /// In order of joining. Of each rule and point only the newest statement is kept; the events have them all.
    pub findings: Vec<Joined>,
    /// When the cause began, as well as its findings can tell.
    pub start: StartRange,
    /// It was over for more than a day when it was found.
    pub historic: bool,
    /// Sequence number of its newest event.
    pub last_event: u64,
}

/// A finding within an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    #[serde(flatten)]
    pub finding: Finding,
    /// When it was over, by its rule's own proof.
    pub cleared: Option<Ts>,
}

impl Incident {
    /// What an `Opened` event makes; the finding that follows it fills in the rest.
    pub fn opened(event: &Event, cause: Cause) -> Incident {
        Incident {
            id: event.incident.clone(),
            cause,
            state: IncidentState::Detected,
            opened_at: event.at,
            accepted: None,
            closed: None,
            points: vec![],
            findings: vec![],
            start: StartRange { earliest: event.at, latest: event.at },
            historic: false,
            last_event: event.seq,
        }
    }

    /// The incident that these events of it, oldest first, add up to; None if they do not begin with `Opened`.
    pub fn from_events<'a>(events: impl IntoIterator<Item = &'a Event>) -> Option<Incident> {
        let mut it = events.into_iter();
        let first = it.next()?;
        let Change::Opened { cause } = first.change else { return None };
        let mut incident = Incident::opened(first, cause);
        it.for_each(|e| incident.apply(e));
        Some(incident)
    }

    /// Folds one later event.
    pub fn apply(&mut self, event: &Event) {
        self.last_event = event.seq;
        match &event.change {
            Change::Opened { .. } => {}
            Change::Found { finding } => {
                self.start = if self.findings.is_empty() { finding.start } else { self.start.hull(finding.start) };
                self.historic = if self.findings.is_empty() { finding.historic } else { self.historic && finding.historic };
                if !self.points.contains(&finding.point) {
                    self.points.push(finding.point.clone());
                }
                let joined = Joined { finding: finding.clone(), cleared: None };
                match self.findings.iter_mut().find(|f| f.finding.point == finding.point && f.finding.kind.code() == finding.kind.code()) {
                    Some(f) => *f = joined,
                    None => self.findings.push(joined),
                }
            }
            Change::Cleared { point, code } => {
                for f in self.findings.iter_mut().filter(|f| f.finding.point == *point && f.finding.kind.code() == *code) {
                    f.cleared = Some(event.at);
                }
            }
            Change::Accepted { by, .. } => {
                self.state = IncidentState::Accepted;
                self.accepted = Some((event.at, by.clone()));
            }
            Change::Closed { by, reason, .. } => {
                self.state = IncidentState::Closed;
                self.closed = Some((event.at, by.clone(), reason.clone()));
            }
        }
    }
}
