//! The one owner of all domain state. Messages in, effects out, a snapshot for everybody else.
//!
//! Calling order: [`Engine::new`] or [`Engine::restore`], then [`Engine::fold_row`] / [`Engine::fold_event`] for what was committed
//! after the checkpoint, then [`Engine::boot`]; from there on any of [`Engine::handle`], [`Engine::command`], [`Engine::tick`],
//! and [`Engine::committed`] whenever the effects so far are durable.

mod snapshot;

pub use snapshot::{BadPayload, PointState, Snapshot, SourceState};

use crate::domain::incident::Event;
use crate::domain::reading::{Reading, Refused, Row, SourceId};
use crate::domain::topology::Column;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the world tells the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Reading(Reading),
    Refused(Refused),
    /// The way to the broker was made anew: what it did not see acknowledged, it will send again.
    Reconnected,
}

/// What a person asks of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take an incident on.
    Accept { incident: String, by: String, note: Option<String> },
    /// Close an incident for a written reason.
    Close { incident: String, by: String, reason: String },
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    UnknownIncident,
    /// Somebody took it on before: who.
    AlreadyAccepted {
        by: String,
    },
    AlreadyClosed,
    /// A name or a reason is missing or too long; the field's name.
    BadField {
        field: &'static str,
        limit: usize,
    },
}

/// What must become durable before anybody hears of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Source(SourceRecord),
    Identity(IdentityRecord),
    Append(Row),
    Event(Event),
}

/// A source that was heard for the first time, or whose columns grew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    pub source: SourceId,
    /// Global id: `<gateway>.<ULID>`.
    pub id: Arc<str>,
    pub topic: Arc<str>,
    pub columns: Vec<Column>,
}

/// A global id given to a place, a metering point or a meter when it is first seen in the config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityRecord {
    /// `place`, `point` or `meter`.
    pub kind: IdentityKind,
    /// The config's key; for a meter its serial number.
    pub key: Arc<str>,
    /// Global id: `<gateway>.<ULID>`.
    pub id: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKind {
    Place,
    Point,
    Meter,
}
