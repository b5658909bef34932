//! What goes in and what comes out.

use crate::domain::amendment::{Entry, Replaced};
use crate::domain::incident::{Event, Notice};
use crate::domain::reading::{Presence, Reading, Refused, Row, SourceId, Values};
use crate::domain::time::Ts;
use crate::domain::topology::{Column, Medium};
use crate::domain::units::Amount;
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
    /// Close an incident for a written reason. `not_a_leak`: what was seen counts as usual for a while, see [`Grant`].
    ///
    /// [`Grant`]: crate::domain::incident::Grant
    Close { incident: String, by: String, reason: String, not_a_leak: bool },
}

/// What a person states about a meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// A meter was replaced. Where it is not said how the old one counted, the config's word is taken.
    Replaced(Replaced),
    /// The dial shows this at `ts`, which is the time of a reading. `counts`: the difference is water that was missed.
    Dial { ts: Ts, dial: Amount, counts: bool },
    /// The reading at `ts` was this.
    Corrected { ts: Ts, register: Amount },
    /// The jump that ends with the reading at `ts` is water.
    Believed { ts: Ts },
    /// These readings are wrong.
    Refused { from: Ts, to: Option<Ts> },
    /// An entry does not hold.
    Undone { entry: u64 },
}

/// A statement, signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amend {
    /// Key of the metering point; for an undoing it is the entry's.
    pub point: String,
    pub by: String,
    pub why: String,
    pub statement: Statement,
}

/// What somebody read on a dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandReading {
    /// Key of a metering point that is read by hand.
    pub point: String,
    pub ts: Ts,
    pub register: Amount,
    pub by: String,
    /// What there is to say of it.
    pub note: String,
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The point has a device: its dial is compared, not read instead.
    NotByHand {
        point: String,
    },
    /// Another reading is stored for this moment.
    ReadBefore {
        ts: Ts,
    },
    UnknownIncident,
    /// No metering point of this key has a register that readings tell.
    UnknownPoint {
        point: String,
    },
    /// There is no entry of this number in force.
    UnknownEntry {
        entry: u64,
    },
    /// At this moment there is no reading of it.
    NoReading {
        ts: Ts,
    },
    /// The statement lies in the future, or ends before it begins.
    BadTime {
        ts: Ts,
    },
    /// The dial shows less than the device has counted: nothing was missed.
    DialBehind {
        medium: Medium,
        dial: Amount,
        register: Amount,
    },
    /// The readings could not be looked at; it can be asked again.
    Unavailable,
    /// Somebody took it on before: who.
    AlreadyAccepted {
        by: String,
    },
    AlreadyClosed,
    /// No rule that learns has spoken in it: there is nothing that could count as usual.
    NothingLearned,
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
    /// With the state after it: the rows that it changes are not folded again.
    Ledger(Arc<Entry>, Option<SourceId>, Ts),
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
