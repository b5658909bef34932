//! The file that people work on: findings of one cause on one path, joined, with everything done about them.
//!
//! Event-sourced: the list of [`Event`]s is the truth, an [`Incident`] is what they add up to.

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
    /// 已签收: a person has taken it on.
    Accepted {
        by: String,
        note: Option<String>,
    },
    Closed {
        by: Closer,
        reason: String,
    },
}

impl Change {
    /// The stable name of the change.
    pub fn code(&self) -> &'static str {
        match self {
            Change::Opened { .. } => "opened",
            Change::Found { .. } => "found",
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
    /// In order of joining. The newest of each rule and point stands for it.
    pub findings: Vec<Finding>,
    /// When the cause began, as well as its findings can tell.
    pub start: StartRange,
    /// It was over for more than a day when it was found.
    pub historic: bool,
    /// Sequence number of its newest event.
    pub last_event: u64,
}
