//! The thread that owns the engine: takes messages and commands, commits what comes of them, then tells everybody.
//!
//! The engine never runs ahead of the store: while a batch cannot be committed it is kept and tried again unchanged, nothing of it
//! is acknowledged or published, and no further input is taken.

use super::boot::stored_checkpoint;
use super::clock;
use super::commit_rule::CommitRule;
use super::error::Error;
use crate::domain::amendment::Entry;
use crate::domain::engine::{Amend, Command, CommandError, Effect, Effects, Engine, HandReading, Input, Needed, PastUnavailable, Snapshot};
use crate::domain::incident::{Incident, Urgency};
use crate::domain::reading::{Row, Values};
use crate::domain::time::{Ms, Ts};
use crate::ingest::mqtt::{AckSender, AckToken, Arrival, FromBroker};
use crate::store::{Batch, CommitErrorKind, EventRecord, LedgerRecord, OutboxEntry, ReadError, Reader, Writer};
use crate::web::{CommandRequest, Reply};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

/// Pause before a failed commit is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The engine's state is written down after so many rows, or so much time, so that the next start is quick, and so that rows may be sealed:
/// of a history that is loaded at once, so many stay unpacked.
const CHECKPOINT_ROWS: u64 = 50_000;
const CHECKPOINT_EVERY: Duration = Duration::from_secs(3_600);
/// A checkpoint is written as well when nothing came for so long after so many rows: a history that was loaded can then be sealed whole.
const LULL: Ms = Ms::seconds(5);
const LULL_ROWS: u64 = 5_000;

/// A clock that moves by more than this against the running one was set.
const CLOCK_STEP: Ms = Ms::seconds(30);

/// Snapshots are not made more often than this.
const SNAPSHOT_EVERY: Ms = Ms(250);

/// How the store is, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreStatus {
    pub failing: bool,
    pub since: Ts,
    pub last_error: Option<String>,
    /// Commits of this process.
    pub committed: u64,
    /// Attempts of this process that failed and were repeated.
    pub failed: u64,
    pub last_commit: Option<Ts>,
    /// How long the engine waited for it.
    pub last_took_ms: Option<u64>,
    /// Readings that this process removed, as older than they are to be kept.
    pub expired: u64,
}

impl StoreStatus {
    pub fn new(now: Ts) -> StoreStatus {
        StoreStatus {
            failing: false,
            since: now,
            last_error: None,
            committed: 0,
            failed: 0,
            last_commit: None,
            last_took_ms: None,
            expired: 0,
        }
    }
}

/// What the thread hears.
pub struct Inputs {
    pub broker: mpsc::Receiver<FromBroker>,
    pub commands: mpsc::Receiver<CommandRequest>,
    /// Answered when engine and store have both got round to it.
    pub pings: mpsc::Receiver<oneshot::Sender<()>>,
    /// The orderly stop has begun. (It ends when the broker's channel is closed.)
    pub stop: watch::Receiver<bool>,
}

/// Where the thread tells.
pub struct Outputs {
    pub acks: Option<AckSender>,
    pub snapshot: watch::Sender<Arc<Snapshot>>,
    pub store: watch::Sender<StoreStatus>,
    /// Changes with every commit that holds notices.
    pub notices: watch::Sender<u64>,
    /// Names of the channels that notices go to. None: nobody is told of anything.
    pub channels: Vec<Arc<str>>,
}

/// What somebody is told after the commit.
enum Answer {
    Incident(Reply<Incident>, Result<Arc<Incident>, CommandError>),
    Entry(Reply<Entry>, Result<Arc<Entry>, CommandError>),
}

/// Rows that are read together for a statement about a meter.
const PAGE: usize = 5_000;

pub struct EngineThread {
    engine: Engine,
    writer: Writer,
    reader: Reader,
    inputs: Inputs,
    outputs: Outputs,
    runtime: tokio::runtime::Runtime,
    started: Instant,

    rule: CommitRule,
    effects: Effects,
    acks: Vec<AckToken>,
    replies: Vec<Answer>,
    /// Newest committed batch.
    batch: u64,
    /// When the newest message of the open batch was received; None: there is none.
    received: Option<Ts>,
    rows_since_checkpoint: u64,
    /// The next commit holds what no fold of its rows would give: it comes with a checkpoint.
    amended: bool,
    /// None before the first: what the config changed at this start stands in checkpoints alone, so one is written at once.
    last_checkpoint: Option<Instant>,
    last_commit: Ms,
    last_snapshot: Ms,
    snapshot_due: bool,
    /// Wall clock minus running clock, when last looked at.
    clock_offset: i64,
}

enum Woken {
    Broker(FromBroker),
    Command(CommandRequest),
    Ping(oneshot::Sender<()>),
    Deadline,
    Closed,
}

impl EngineThread {
    /// `batch` is the number of the newest commit; `effects` are those of [`Engine::boot`].
    pub fn new(
        engine: Engine,
        batch: u64,
        effects: Effects,
        store: (Writer, Reader),
        inputs: Inputs,
        outputs: Outputs,
        linger: Ms,
    ) -> Result<EngineThread, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(Error::Thread)?;
        Ok(EngineThread {
            engine,
            writer: store.0,
            reader: store.1.dedicated(),
            inputs,
            outputs,
            runtime,
            started: Instant::now(),
            rule: CommitRule::new(linger),
            effects,
            acks: vec![],
            replies: vec![],
            batch,
            received: None,
            rows_since_checkpoint: 0,
            amended: false,
            last_checkpoint: None,
            last_commit: Ms::ZERO,
            last_snapshot: Ms(i64::MIN / 2),
            snapshot_due: true,
            clock_offset: clock::now().0,
        })
    }

    /// Runs until the broker's channel is closed and all is committed, or the store fails for good.
    pub fn run(mut self) -> Result<(), Error> {
        self.commit(false)?;
        loop {
            self.publish_if_due();
            match self.wait() {
                Woken::Broker(from) => self.heard(from)?,
                Woken::Command(CommandRequest::Incident(command, reply)) => self.command(command, reply),
                Woken::Command(CommandRequest::Amend(amend, reply)) => self.amend(&amend, reply)?,
                Woken::Command(CommandRequest::Read(hand, reply)) => self.read_by_hand(&hand, reply)?,
                Woken::Command(CommandRequest::Study(point, reply)) => {
                    let study = self.engine.study(point, clock::now()).map(Arc::new);
                    answer(reply, study.ok_or(CommandError::UnknownPoint { point: String::new() }));
                }
                Woken::Ping(reply) => {
                    self.writer.ping()?;
                    answer(reply, ());
                }
                Woken::Deadline => {}
                Woken::Closed => break,
            }
            self.tick();
            if [self.rule.due(), self.lull()].into_iter().flatten().any(|due| due <= self.now()) {
                self.commit(false)?;
            }
        }
        self.commit(true)?;
        self.publish();
        // Tells the MQTT thread that no more acknowledgements will come.
        self.outputs.acks = None;
        self.writer.close()?;
        info!(batches = self.batch, "store closed");
        Ok(())
    }

    /// Milliseconds since the start, on a clock that only goes forward.
    fn now(&self) -> Ms {
        Ms(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    fn wait(&mut self) -> Woken {
        let deadline = self.deadline();
        let inputs = &mut self.inputs;
        self.runtime.block_on(async {
            let timer = async {
                match deadline {
                    Some(d) => tokio::time::sleep(d).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(ping) = inputs.pings.recv() => Woken::Ping(ping),
                Some(command) = inputs.commands.recv() => Woken::Command(command),
                from = inputs.broker.recv() => from.map_or(Woken::Closed, Woken::Broker),
                () = timer => Woken::Deadline,
            }
        })
    }

    /// How long until something is due without any input.
    fn deadline(&mut self) -> Option<Duration> {
        let now = self.now();
        let commit = self.rule.due().map(|due| due - now);
        // While a batch is open there is nothing to show; its commit will show it.
        let snapshot = (self.snapshot_due && self.effects.list.is_empty())
            .then(|| self.last_snapshot - now)
            .map(|d| Ms(d.0.saturating_add(SNAPSHOT_EVERY.0)));
        let wall = clock::now();
        // The wall clock may be set: look again at least every minute.
        let silence = self.engine.next_deadline().map(|due| (due - wall).min(Ms::minutes(1)));
        let lull = self.lull().map(|due| due - now);
        let next = [commit, snapshot, silence, lull].into_iter().flatten().min()?;
        Some(Duration::from_millis(u64::try_from(next.0).unwrap_or(0)))
    }

    /// When a checkpoint is due because nothing comes any more.
    fn lull(&self) -> Option<Ms> {
        let waits = self.rows_since_checkpoint >= LULL_ROWS && self.effects.list.is_empty();
        waits.then(|| Ms(self.last_commit.0.saturating_add(LULL.0)))
    }

    fn heard(&mut self, from: FromBroker) -> Result<(), Error> {
        match from {
            FromBroker::Connected => self.engine.connected(clock::now()),
            FromBroker::Disconnected => self.engine.disconnected(),
            FromBroker::Messages(arrivals) => {
                for arrival in &arrivals {
                    self.message(arrival)?;
                }
            }
        }
        self.snapshot_due = true;
        Ok(())
    }

    fn message(&mut self, arrival: &Arrival) -> Result<(), Error> {
        self.take(&arrival.input, arrival.received)?;
        self.received = self.received.max(Some(arrival.received));
        let urgent = std::mem::take(&mut self.effects.urgent);
        self.rule.arrived(self.now(), arrival.ack.is_some(), urgent);
        self.acks.extend(arrival.ack);
        if self.rule.due().is_some_and(|due| due <= self.now()) {
            self.commit(false)?;
        }
        Ok(())
    }

    /// Hands one message to the engine. While the past cannot be read, it waits: nothing may be taken for new that is not. An error if
    /// the stop comes meanwhile: then this message and all that follow must come again.
    fn take(&mut self, input: &Input, now: Ts) -> Result<(), Error> {
        loop {
            let reader = &self.reader;
            let mut failure = None;
            let mut past = |source, ts| -> Result<Option<Values>, PastUnavailable> {
                reader.lookup(source, ts).map_err(|e| {
                    failure = Some(e);
                    PastUnavailable
                })
            };
            if self.engine.handle(now, input, &mut past, &mut self.effects).is_ok() {
                return Ok(());
            }
            // The engine gives up only when this closure told it to.
            let Some(failure) = failure else { return Err(Error::Died("the engine")) };
            if !self.outputs.store.borrow().failing {
                error!(error = %failure, "the store cannot be read: readings wait at the broker until it can");
            }
            self.store_fails(failure.to_string());
            if !self.pause() {
                return Err(Error::Unread(failure));
            }
        }
    }

    fn command(&mut self, command: Command, reply: Reply<Incident>) {
        let now = clock::now();
        let result = self.engine.command(now, command, &mut self.effects);
        self.received = self.received.max(Some(now));
        if result.is_ok() {
            let urgent = std::mem::take(&mut self.effects.urgent);
            self.rule.arrived(self.now(), false, urgent);
            self.replies.push(Answer::Incident(reply, result));
        } else {
            answer(reply, result);
        }
    }

    /// Writes a statement about a meter into the ledger: what is open is committed first, so that its readings are all there to be looked at again.
    fn amend(&mut self, amend: &Amend, reply: Reply<Entry>) -> Result<(), Error> {
        self.commit(false)?;
        let now = clock::now();
        let rows = match self.engine.needed_for(amend) {
            Ok(needed) => self.rows_from(needed).map_err(|e| {
                warn!(error = %e, "the readings of a meter cannot be looked at: a statement about it is refused");
                CommandError::Unavailable
            }),
            Err(e) => Err(e),
        };
        match rows.and_then(|rows| self.engine.amend(now, amend, &rows, &mut self.effects)) {
            Ok(entry) => {
                info!(entry = entry.seq, point = %entry.point, deed = entry.deed.code(), by = %entry.by, "stated about a meter");
                self.amended = true;
                self.stated(now, entry, reply)?;
            }
            Err(e) => answer(reply, Err(e)),
        }
        Ok(())
    }

    /// Commits an entry of the ledger at once: whoever stated it waits.
    fn stated(&mut self, now: Ts, entry: Arc<Entry>, reply: Reply<Entry>) -> Result<(), Error> {
        self.received = self.received.max(Some(now));
        self.replies.push(Answer::Entry(reply, Ok(entry)));
        self.effects.urgent = false;
        self.commit(false)
    }

    /// Takes what somebody read on a dial.
    fn read_by_hand(&mut self, hand: &HandReading, reply: Reply<Entry>) -> Result<(), Error> {
        let (now, reader) = (clock::now(), &self.reader);
        let mut past = |source, ts| reader.lookup(source, ts).map_err(|_| PastUnavailable);
        match self.engine.read_by_hand(now, hand, &mut past, &mut self.effects) {
            Ok(entry) => self.stated(now, entry, reply)?,
            Err(e) => answer(reply, Err(e)),
        }
        Ok(())
    }

    fn rows_from(&self, needed: Needed) -> Result<Vec<Row>, ReadError> {
        let (mut rows, mut from) = (vec![], needed.from);
        loop {
            let page = self.reader.readings(needed.source, from, Ts::LATEST, PAGE)?;
            let more = page.last().filter(|_| page.len() == PAGE).map(|last| last.ts + Ms(1));
            rows.extend(page);
            match more {
                Some(next) => from = next,
                None => return Ok(rows),
            }
        }
    }

    fn tick(&mut self) {
        let offset = clock::now().0 - self.now().0;
        if (offset - self.clock_offset).abs() > CLOCK_STEP.0 {
            warn!(by_ms = offset - self.clock_offset, "the clock was set");
            self.engine.clock_set(clock::now());
        }
        self.clock_offset = offset;
        let before = self.effects.list.len();
        self.engine.tick(clock::now(), &mut self.effects);
        if self.effects.list.len() > before {
            let urgent = std::mem::take(&mut self.effects.urgent);
            self.rule.arrived(self.now(), false, urgent);
        }
    }

    /// Makes the open batch durable, then tells of it. With `last`, the engine's state is written as well.
    fn commit(&mut self, last: bool) -> Result<(), Error> {
        let pause = last || self.lull().is_some_and(|due| due <= self.now());
        let rows = self.effects.list.iter().filter(|e| matches!(e, Effect::Append(_))).count() as u64;
        self.rows_since_checkpoint += rows;
        let checkpoint = match self.last_checkpoint {
            None => true,
            Some(_) if self.amended => true,
            Some(at) => {
                self.rows_since_checkpoint > 0
                    && (pause || self.rows_since_checkpoint >= CHECKPOINT_ROWS || at.elapsed() >= CHECKPOINT_EVERY)
            }
        };
        if self.effects.list.is_empty() && !checkpoint {
            self.engine.committed(None);
            self.after_commit(false);
            return Ok(());
        }
        let batch = Arc::new(self.batch(checkpoint)?);
        self.write(&batch)?;
        self.batch = batch.id;
        self.last_commit = self.now();
        if checkpoint {
            (self.rows_since_checkpoint, self.amended) = (0, false);
            self.last_checkpoint = Some(Instant::now());
        }
        self.engine.committed(Some(batch.id));
        self.after_commit(!batch.events.is_empty());
        if !batch.outbox.is_empty() {
            self.outputs.notices.send_replace(batch.id);
        }
        Ok(())
    }

    fn batch(&mut self, checkpoint: bool) -> Result<Batch, Error> {
        let id = self.batch + 1;
        let checkpoint = checkpoint.then(|| stored_checkpoint(&self.engine.checkpoint(id))).transpose()?;
        let received = self.received.take().unwrap_or_else(clock::now);
        let mut batch = Batch { id, received, checkpoint, ..Batch::default() };
        for effect in self.effects.list.drain(..) {
            match effect {
                Effect::Append(row) => batch.rows.push(row),
                Effect::Source(s) => batch.sources.push(s),
                Effect::Identity(i) => batch.identities.push(i),
                Effect::Event(e) => batch.events.push(EventRecord {
                    seq: e.seq,
                    at: e.at,
                    incident: e.incident.clone(),
                    code: Cow::Borrowed(e.change.code()),
                    body: serde_json::to_string(&e)?,
                }),
                Effect::Ledger(entry, source, from) => batch.ledger.push(LedgerRecord {
                    seq: entry.seq,
                    at: entry.at,
                    point: entry.point.as_str().into(),
                    body: serde_json::to_string(&*entry)?,
                    moves: source.map(|s| (s, from)),
                }),
                Effect::Notice(n) => batch.outbox.extend(self.outputs.channels.iter().map(|channel| OutboxEntry {
                    event: n.event,
                    at: n.at,
                    incident: n.incident.clone(),
                    kind: Cow::Borrowed(n.kind.code()),
                    urgent: n.urgency == Urgency::Urgent,
                    channel: channel.clone(),
                })),
            }
        }
        Ok(batch)
    }

    /// Commits until it succeeds. The watchdog is answered meanwhile: the thread and the store live, only the disk does not.
    fn write(&mut self, batch: &Arc<Batch>) -> Result<(), Error> {
        loop {
            let began = Instant::now();
            match self.writer.commit(batch.clone()) {
                Ok(_) => {
                    if self.outputs.store.borrow().failing {
                        warn!(batch = batch.id, "the store can be written again");
                    }
                    // Watchers are woken by a change of state only; the figures they read when they look.
                    self.outputs.store.send_if_modified(|s| {
                        s.committed += 1;
                        s.last_commit = Some(clock::now());
                        s.last_took_ms = u64::try_from(began.elapsed().as_millis()).ok();
                        s.expired = self.writer.expired();
                        let mended = std::mem::take(&mut s.failing);
                        if mended {
                            s.since = clock::now();
                        }
                        mended || s.committed == 1
                    });
                    return Ok(());
                }
                Err(e) if e.kind() == CommitErrorKind::Retry => {
                    if !self.outputs.store.borrow().failing {
                        error!(batch = batch.id, rows = batch.rows.len(), error = %e, "the store cannot be written: readings wait at the broker until it can");
                    }
                    self.store_fails(e.to_string());
                    if !self.pause() {
                        return Err(Error::Uncommitted(e));
                    }
                }
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn store_fails(&self, text: String) {
        self.outputs.store.send_modify(|s| {
            if !s.failing {
                s.failing = true;
                s.since = clock::now();
            }
            s.failed += 1;
            s.last_error = Some(text);
        });
    }

    /// Waits before the next attempt, answering the watchdog. False if the stop has begun: there will be no next attempt.
    fn pause(&mut self) -> bool {
        let inputs = &mut self.inputs;
        self.runtime.block_on(async {
            let over = tokio::time::sleep(RETRY);
            tokio::pin!(over);
            loop {
                tokio::select! {
                    () = &mut over => return true,
                    Some(ping) = inputs.pings.recv() => answer(ping, ()),
                    // Gone without a word is a stop as well.
                    _ = inputs.stop.wait_for(|s| *s) => return false,
                }
            }
        })
    }

    /// `events`: something happened, so the state is shown at once. The next batch may be open for seconds, and nothing is shown meanwhile.
    fn after_commit(&mut self, events: bool) {
        self.rule.committed(self.now());
        let acks = std::mem::take(&mut self.acks);
        if let Some(sender) = &self.outputs.acks
            && !sender.committed(acks)
        {
            warn!("the MQTT thread is gone; committed messages will come again as duplicates");
        }
        self.snapshot_due = true;
        if self.replies.is_empty() && !events {
            self.publish_if_due();
        } else {
            // Who is told "closed" and then looks must see it closed; a message tells the newest figures; who waits for an alarm gets it.
            self.publish();
        }
        for told in self.replies.drain(..) {
            match told {
                Answer::Incident(reply, result) => answer(reply, result),
                Answer::Entry(reply, result) => answer(reply, result),
            }
        }
    }

    fn publish_if_due(&mut self) {
        if self.snapshot_due && self.effects.list.is_empty() && self.now() - self.last_snapshot >= SNAPSHOT_EVERY {
            self.publish();
        }
    }

    /// Only right when nothing is pending: what others see never shows what is not durable.
    fn publish(&mut self) {
        self.last_snapshot = self.now();
        self.snapshot_due = false;
        self.outputs.snapshot.send_replace(Arc::new(self.engine.snapshot(clock::now())));
    }
}

/// Whoever asked may have left in the meantime; then nobody is told.
fn answer<T>(to: oneshot::Sender<T>, what: T) {
    if to.send(what).is_err() {
        tracing::debug!("the asker is gone");
    }
}
