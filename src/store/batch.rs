//! What is committed in one piece.

use super::outbox::OutboxEntry;
use crate::domain::engine::{IdentityRecord, SourceRecord};
use crate::domain::reading::{Row, SourceId};
use crate::domain::time::Ts;
use std::borrow::Cow;
use std::sync::Arc;

/// One transaction: all of it becomes durable, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Batch {
    /// Dense, from 1: the newest stored id + 1. Sent once more after a failure, it is the same batch, whole.
    pub id: u64,
    /// When its newest input was received, by the gateway's clock.
    pub received: Ts,
    /// In order of arrival: a row's index here is its `pos`. No (ts, source) twice, none that is stored already.
    pub rows: Vec<Row>,
    /// New sources, and known ones whose columns grew. Id and topic of a source never change.
    pub sources: Vec<SourceRecord>,
    /// New identities only.
    pub identities: Vec<IdentityRecord>,
    /// Dense in `seq`, from the newest stored + 1.
    pub events: Vec<EventRecord>,
    /// What these events have people told: durable with them.
    pub outbox: Vec<OutboxEntry>,
    /// What people state about meters. Dense in `seq`, from the newest stored + 1; comes with a checkpoint.
    pub ledger: Vec<LedgerRecord>,
    /// The state after this very batch.
    pub checkpoint: Option<Checkpoint>,
}

/// An event of an incident, as the store sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Dense, from 1, over all incidents.
    pub seq: u64,
    pub at: Ts,
    /// Global id of the incident.
    pub incident: Arc<str>,
    /// The stable name of the change. Borrowed on the way in, owned on the way out.
    pub code: Cow<'static, str>,
    /// The event itself, in the engine's own words (JSON).
    pub body: String,
}

/// An entry of the ledger, as the store sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRecord {
    /// Dense, from 1, over all points.
    pub seq: u64,
    pub at: Ts,
    /// Key of the metering point.
    pub point: Arc<str>,
    /// The entry itself, in the engine's own words (JSON).
    pub body: String,
    /// Days of this source from this moment on are told anew. None where nothing of it is stored.
    pub moves: Option<(SourceId, Ts)>,
}

/// A state that later commits are folded onto.
#[derive(Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Version of the encoding of `body`: whoever reads it decides whether it understands that.
    pub format: u32,
    pub body: Vec<u8>,
}

/// Without the bytes: they may be megabytes.
impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Checkpoint {{ format: {}, body: {} bytes }}", self.format, self.body.len())
    }
}

/// The batch is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    pub batch: u64,
    /// It was stored by an earlier attempt that seemed to fail; this one wrote nothing.
    pub repeated: bool,
}
