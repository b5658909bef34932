//! What goes in and what comes out.

use crate::domain::incident::{Event, Notice};
use crate::domain::reading::{Presence, Reading, Refused, Row, SourceId, Values};
use crate::domain::time::Ts;
use crate::domain::topology::Column;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Reads the stored values of (source, ts): what the engine needs to tell a duplicate from a conflict in the past. Asked for late
/// rows only, never for rows of the uncommitted batch.
pub type Past<'a> = dyn FnMut(SourceId, Ts) -> Result<Option<Values>, PastUnavailable> + 'a;

/// The store could not be read. The engine has changed nothing; the same input can be handed in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastUnavailable;

/// Where the engine puts its effects: owned by the caller, emptied after the commit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    pub list: Vec<Effect>,
    /// Something in it must not wait for the linger: a person must hear of it.
    pub urgent: bool,
}

/// One message of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Reading(Reading),
    Refused(Refused),
    Presence(Presence),
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
    /// Follows the event that it is about.
    Notice(Notice),
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
