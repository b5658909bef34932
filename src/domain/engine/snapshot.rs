//! What others see of the engine: a value, made after a commit, shared by pointer, never changed.

use crate::domain::finding::Mark;
use crate::domain::incident::Incident;
use crate::domain::meter::StepCounts;
use crate::domain::reading::{Counts, Reject, SourceId};
use crate::domain::time::{Month, Ts};
use crate::domain::topology::{Column, PointIx};
use crate::domain::units::{Millilitres, MillilitresPerHour};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The state of everything at one commit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// When it was made.
    pub at: Ts,
    /// One per point of the topology, in its order.
    pub points: Vec<PointState>,
    /// In order of first message.
    pub sources: Vec<SourceState>,
    /// Open ones and the most recently closed, newest first.
    pub incidents: Vec<Arc<Incident>>,
    /// All messages of this process.
    pub counts: Counts,
    /// Sequence number of the last committed event; 0 if there is none.
    pub last_event: u64,
}

/// What is known of one metering point now.
#[derive(Clone, Debug, PartialEq)]
pub struct PointState {
    pub point: PointIx,
    /// Global id: `<gateway>.<ULID>`.
    pub id: Arc<str>,
    /// The newest reading that the ledger accepted.
    pub last: Option<Mark>,
    /// Mean flow between the two newest accepted readings.
    pub flow: Option<MillilitresPerHour>,
    /// The calendar month of the newest reading and what passed in it as far as was read.
    pub month: Option<(Month, Millilitres)>,
    /// How the register moved, since the store began.
    pub steps: StepCounts,
    /// A silent-meter finding is open.
    pub silent: bool,
}

/// What is known of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceState {
    /// None until its first message was stored.
    pub source: Option<SourceId>,
    pub topic: Arc<str>,
    /// Name of the subscription; None for a topic that none matches.
    pub feed: Option<Arc<str>>,
    pub columns: Arc<[Column]>,
    /// Points that read from it; empty: heard, but no meter is configured for it.
    pub points: Vec<PointIx>,
    /// Newest stored time stamp.
    pub last_ts: Option<Ts>,
    /// Since the process started.
    pub counts: Counts,
    /// The newest message that was refused, since the process started.
    pub last_bad: Option<BadPayload>,
}

/// A refused message, bounded, safe to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadPayload {
    pub received: Ts,
    pub reason: Reject,
    pub excerpt: String,
}
