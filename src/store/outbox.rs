//! What is still to be told, and for a while what was: one row per notice and channel.
//!
//! A row is written with its event, in one transaction, and marked when its channel has taken it; in between no attempt is written
//! down: a channel that is away for a week costs the card nothing.

use super::error::{CommitError, ReadError};
use super::query::{count, integer};
use crate::domain::time::{Ms, Ts};
use rusqlite::{Connection, TransactionBehavior};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};

use super::writer::Job;

/// How long it can be looked up what was told.
pub const LOG_KEPT: Ms = Ms::days(90);
/// Old rows taken out with each mark: more than come in with it, few enough to stay a small transaction.
const PRUNED_AT_ONCE: u32 = 100;

/// A notice for one channel. Codes only: its words are made when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Sequence number of the event that it is about.
    pub event: u64,
    pub at: Ts,
    /// Global id of the incident.
    pub incident: Arc<str>,
    pub kind: Cow<'static, str>,
    pub urgent: bool,
    /// Name of the channel.
    pub channel: Arc<str>,
}

/// An entry that its channel has not taken yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingEntry {
    pub id: i64,
    pub entry: OutboxEntry,
}

/// What waits for one channel.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Pending {
    /// Urgent ones first, then in order.
    pub entries: Vec<PendingEntry>,
    /// Also of those beyond the limit.
    pub total: u64,
}

/// How an entry ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Delivered,
    /// It could not be delivered for so long that nobody would be helped by it any more.
    GivenUp,
}

/// What became of the entries that one message was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub entries: Vec<i64>,
    /// When the channel took the message; messages of one channel have different times.
    pub at: Ts,
    pub done: Done,
}

/// Why a mark was not even handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkRefused {
    /// The store's queue is full: try again soon.
    Busy,
    /// The store is closed.
    Gone,
}

/// The way to mark entries, beside the engine's. Clone it freely; it keeps nothing open.
#[derive(Clone, Debug)]
pub struct Outbox {
    jobs: SyncSender<Job>,
}

impl Outbox {
    pub(super) fn new(jobs: SyncSender<Job>) -> Outbox {
        Outbox { jobs }
    }

    /// Hands a mark to the store's thread, never waiting; `told` is called there with the outcome, when the mark is durable or was not made.
    /// One small transaction. The same mark again does no harm.
    pub fn mark(&self, mark: Mark, told: impl FnOnce(Result<(), CommitError>) + Send + 'static) -> Result<(), MarkRefused> {
        self.jobs.try_send(Job::Mark(mark, Box::new(told))).map_err(|e| match e {
            TrySendError::Full(_) => MarkRefused::Busy,
            TrySendError::Disconnected(_) => MarkRefused::Gone,
        })
    }
}

pub(super) fn write(tx: &Connection, entries: &[OutboxEntry]) -> rusqlite::Result<()> {
    for e in entries {
        tx.prepare_cached(
            "INSERT INTO outbox (event, at, incident, kind, urgent, channel, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending')",
        )?
        .execute((integer(e.event), e.at.0, &*e.incident, &*e.kind, e.urgent, &*e.channel))?;
    }
    Ok(())
}

/// Marks, and takes old rows out.
pub(super) fn mark(conn: &mut Connection, mark: &Mark) -> rusqlite::Result<()> {
    let state = match mark.done {
        Done::Delivered => "delivered",
        Done::GivenUp => "given_up",
    };
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for id in &mark.entries {
        tx.prepare_cached("UPDATE outbox SET state = ?2, done_at = ?3 WHERE id = ?1 AND state = 'pending'")?
            .execute((id, state, mark.at.0))?;
    }
    tx.prepare_cached(
        "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE done_at < ?2 AND done_at IS NOT NULL ORDER BY done_at LIMIT ?1)",
    )?
    .execute((PRUNED_AT_ONCE, (mark.at - LOG_KEPT).0))?;
    tx.commit()
}

pub(super) fn pending(conn: &Connection, channel: &str, limit: usize) -> Result<Pending, ReadError> {
    let total: i64 =
        conn.prepare_cached("SELECT count(*) FROM outbox WHERE channel = ?1 AND state = 'pending'")?.query_row([channel], |r| r.get(0))?;
    let mut select = conn.prepare_cached(
        "SELECT id, event, at, incident, kind, urgent, channel FROM outbox WHERE channel = ?1 AND state = 'pending'
         ORDER BY urgent DESC, id LIMIT ?2",
    )?;
    let rows = select.query_map((channel, integer(limit as u64)), |r| {
        let entry = OutboxEntry {
            event: count(r.get(1)?),
            at: Ts(r.get(2)?),
            incident: r.get::<_, String>(3)?.into(),
            kind: Cow::Owned(r.get(4)?),
            urgent: r.get(5)?,
            channel: r.get::<_, String>(6)?.into(),
        };
        Ok(PendingEntry { id: r.get(0)?, entry })
    })?;
    Ok(Pending { entries: rows.collect::<Result<_, _>>()?, total: count(total) })
}

/// When the channel took messages, from `since` on, oldest first.
pub(super) fn taken_since(conn: &Connection, channel: &str, since: Ts) -> Result<Vec<Ts>, ReadError> {
    let mut select = conn.prepare_cached(
        "SELECT DISTINCT done_at FROM outbox WHERE channel = ?1 AND state = 'delivered' AND done_at >= ?2 AND done_at IS NOT NULL ORDER BY done_at",
    )?;
    let rows = select.query_map((channel, since.0), |r| r.get(0).map(Ts))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// When the channel last took a message, as far as the log goes back.
pub(super) fn last_taken(conn: &Connection, channel: &str) -> Result<Option<Ts>, ReadError> {
    let mut select = conn.prepare_cached("SELECT max(done_at) FROM outbox WHERE channel = ?1 AND state = 'delivered'")?;
    Ok(select.query_row([channel], |r| r.get::<_, Option<i64>>(0))?.map(Ts))
}
