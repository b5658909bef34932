//! What others see of the engine: a value, made after a commit, shared by pointer, never changed.

use super::source::Source;
use super::{Engine, IdentityKind, SILENT};
use crate::domain::amendment::{Amendments, Entries};
use crate::domain::finding::Mark;
use crate::domain::flag::FlagSet;
use crate::domain::incident::Incident;
use crate::domain::meter::StepCounts;
use crate::domain::reading::{Counts, Reject, SourceId, Values};
use crate::domain::time::{Month, Ms, Ts};
use crate::domain::topology::{Column, PointIx};
use crate::domain::units::{Amount, Rate};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The state of everything at one commit.
#[derive(Clone, Debug, Default)]
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
    /// What people have stated about meters, in order.
    pub ledger: Arc<Entries>,
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
    pub flow: Option<Rate>,
    /// The calendar month of the newest reading and what passed in it as far as was read.
    pub month: Option<(Month, Amount)>,
    /// How the register moved, since the store began.
    pub steps: StepCounts,
    /// A silent-meter finding is open.
    pub silent: bool,
    /// What people have stated about it.
    pub amended: Arc<Amendments>,
}

/// A flow measured longer ago than this is not "now".
const NOW: Ms = Ms::hours(2);

impl PointState {
    /// The flow between the two newest readings, if the newest is of the last two hours.
    pub fn flow_now(&self, now: Ts) -> Option<Rate> {
        self.flow.filter(|_| self.last.is_some_and(|last| now - last.ts < NOW))
    }
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
    /// The newest row and what stands in it, by column.
    pub last: Option<(Ts, Values)>,
    /// What its device says of itself now.
    pub flags: FlagSet,
    /// The device or its broker says that it is there, or not; since when.
    pub presence: Option<(bool, Ts)>,
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

impl Engine {
    /// What others may see. Make it after a commit: nobody may hear of what is not durable.
    pub fn snapshot(&self, now: Ts) -> Snapshot {
        let mut incidents: Vec<_> = self.book.incidents().to_vec();
        incidents.reverse();
        Snapshot {
            at: now,
            points: self.topology.point_ixs().map(|p| self.point_state(p)).collect(),
            sources: self.sources.iter().map(|s| self.source_state(s)).collect(),
            incidents,
            counts: self.counts.clone(),
            last_event: self.book.last_event(),
            ledger: self.ledger.clone(),
        }
    }

    fn point_state(&self, p: PointIx) -> PointState {
        let memory = &self.points[p.0 as usize];
        let key = &self.topology.point(p).key;
        PointState {
            point: p,
            id: self.identity(IdentityKind::Point, key).unwrap_or_else(|| key.as_str().into()),
            last: memory.ledger.last(),
            flow: memory.ledger.flow(),
            month: memory.monthly.used(),
            steps: memory.ledger.steps,
            silent: self.book.is_open(key, SILENT),
            amended: self.amended[p.0 as usize].clone(),
        }
    }

    fn source_state(&self, s: &Source) -> SourceState {
        SourceState {
            source: s.known.as_ref().map(|k| k.source),
            topic: s.topic.clone(),
            feed: s.feed.map(|f| self.topology.feed(f).name.as_str().into()),
            columns: s.columns.clone(),
            points: s.points.clone(),
            last_ts: s.last.map(|(ts, _)| ts),
            last: s.last,
            flags: s.raised.flags,
            presence: s.presence,
            counts: s.counts.clone(),
            last_bad: s.last_bad.clone(),
        }
    }
}
