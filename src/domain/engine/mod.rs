//! The one owner of all domain state. Messages in, effects out, a snapshot for everybody else.
//!
//! Calling order: [`Engine::new`] (or [`Engine::restore`] from a checkpoint); [`Engine::fold_row`] and [`Engine::fold_event`] for
//! what was committed after it; [`Engine::boot`]; from there on any of [`Engine::handle`], [`Engine::command`] and
//! [`Engine::tick`], and [`Engine::committed`] whenever the effects so far are durable.
//!
//! Only readings, events and configuration change what a checkpoint holds; the counters, the last bad payloads and the state of
//! the connection belong to the process.

mod checkpoint;
mod flags;
mod grants;
mod heat;
mod ledger;
mod message;
mod point;
mod silences;
mod snapshot;
mod source;
mod study;

pub use checkpoint::{CHECKPOINT_FORM, Checkpoint, SourceMemory};
pub use heat::HeatMemory;
pub use ledger::Needed;
pub use message::{
    Amend, Command, CommandError, Effect, Effects, HandReading, IdentityKind, IdentityRecord, Input, Past, PastUnavailable, SourceRecord,
    Statement,
};
use point::Spoken;
pub use point::{Came, Here, PointMemory};
pub use snapshot::{BadPayload, PointState, Snapshot, SourceState};
pub use source::{Raised, Recent};
pub use study::Study;

use crate::domain::amendment::{Amendments, Entries};
use crate::domain::detect::balance::Subs;
use crate::domain::detect::silence;
use crate::domain::finding::{Finding, FindingKind};
use crate::domain::id::global_id;
use crate::domain::incident::{Book, Change, Closer, Event, Incident, IncidentState, Notice};
use crate::domain::meter::Value;
use crate::domain::reading::{Counts, Flags, Outcome, Reading, Refused, Reject, Row, SourceId, Values};
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::{FeedIx, MAX_COLUMNS, PointIx, Topology};
use heat::Heat;
use silences::Silence;
use source::{Known, Source};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A time stamp this far ahead of the clock is a wrong clock somewhere.
pub const AHEAD: Ms = Ms::minutes(10);

/// The most sources one gateway keeps apart: beyond it a topic that the config does not name is somebody's mistake.
pub const MAX_SOURCES: usize = 10_000;

/// The longest name of a person and the longest reason or note, in characters.
const MAX_NAME: usize = 60;
const MAX_TEXT: usize = 2_000;

const SILENT: &str = "meter_silent";

/// See the module's documentation.
pub struct Engine {
    topology: Arc<Topology>,
    identities: BTreeMap<(IdentityKind, Arc<str>), Arc<str>>,
    /// In order of first message.
    sources: Vec<Source>,
    by_topic: HashMap<Arc<str>, usize>,
    by_id: HashMap<SourceId, usize>,
    /// By [`PointIx`].
    points: Vec<PointMemory>,
    /// Points that the config no longer names.
    retired: BTreeMap<String, PointMemory>,
    book: Book,
    ledger: Arc<Entries>,
    /// What is in force of it, by [`PointIx`].
    amended: Vec<Arc<Amendments>>,
    counts: Counts,
    /// Rows of the open batch.
    pending: HashMap<(SourceId, Ts), Values>,
    /// Sources of the open batch's rows, one entry per row.
    uncommitted: Vec<usize>,
    /// Number of the open batch.
    batch: u64,
    /// Since when messages can come; None while the broker is away.
    listening: Option<Ts>,
    /// No silence is due before this; None: to be found.
    silence_due: Option<Ts>,
    /// By [`PointIx`]; empty: to be found.
    silences: Vec<Silence>,
    readers_of_topic: HashMap<String, Vec<PointIx>>,
    point_of_key: HashMap<String, PointIx>,
    /// The meters behind each, by [`PointIx`].
    subs: Vec<Subs>,
    heat: Heat,
    /// Scratch for what comes of one row.
    came: Came,
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(topology: Arc<Topology>) -> Engine {
        let points = topology.points.iter().map(PointMemory::new).collect();
        let mut readers_of_topic: HashMap<String, Vec<PointIx>> = HashMap::new();
        for p in topology.point_ixs() {
            if let Some(b) = &topology.point(p).source {
                readers_of_topic.entry(b.topic.clone()).or_default().push(p);
            }
        }
        let point_of_key = topology.point_ixs().map(|p| (topology.point(p).key.clone(), p)).collect();
        Engine {
            identities: BTreeMap::new(),
            sources: vec![],
            by_topic: HashMap::new(),
            by_id: HashMap::new(),
            points,
            retired: BTreeMap::new(),
            book: Book::default(),
            ledger: Arc::default(),
            amended: vec![Arc::default(); topology.points.len()],
            counts: Counts::default(),
            pending: HashMap::new(),
            uncommitted: vec![],
            batch: 1,
            listening: None,
            silence_due: None,
            silences: vec![],
            readers_of_topic,
            point_of_key,
            subs: topology.point_ixs().map(|p| Subs::behind(&topology, p)).collect(),
            heat: Heat::new(&topology),
            came: Came::default(),
            topology,
        }
    }

    /// An engine as it was, for the topology that the config now names. A checkpoint of another form counts as none.
    pub fn restore(
        topology: Arc<Topology>,
        sources: &[SourceRecord],
        identities: &[IdentityRecord],
        ledger: Entries,
        checkpoint: Option<Checkpoint>,
    ) -> Engine {
        let mut e = Engine::new(topology);
        e.amended = e.topology.points.iter().map(|p| Arc::new(ledger.amendments(&p.key))).collect();
        e.ledger = Arc::new(ledger);
        e.identities = identities.iter().map(|r| ((r.kind, r.key.clone()), r.id.clone())).collect();
        for r in sources {
            e.add_source(Source::from_record(r));
        }
        let Some(c) = checkpoint.filter(|c| c.form == CHECKPOINT_FORM) else { return e };
        e.batch = c.batch + 1;
        e.book = c.book;
        for (id, memory) in c.sources {
            if let Some(s) = e.by_id.get(&id).and_then(|i| e.sources.get_mut(*i)) {
                s.last = memory.last;
                s.recent = memory.recent;
                s.raised = memory.raised;
            }
        }
        e.heat.restore(&e.topology, c.heat);
        for (key, memory) in c.points {
            match e.point_of_key.get(&key) {
                Some(ix) => e.points[ix.0 as usize] = memory,
                None => {
                    e.retired.insert(key, memory);
                }
            }
        }
        e
    }

    /// Folds a stored row of batch `batch`. Emits nothing: what the rules said then stands in the events.
    pub fn fold_row(&mut self, batch: u64, row: &Row) {
        self.batch = batch;
        // A row of an unknown source cannot be: its record is in the same transaction.
        let Some(&at) = self.by_id.get(&row.source) else { return };
        self.apply(at, row, row.ts);
        self.came.said.clear();
        self.heat.ended.clear();
        self.take_flags(at, row);
    }

    /// Takes a stored row as though it came at `now`, and says what the rules say of it. For an engine that tries over what is stored how else
    /// the rules would have spoken: the row is not appended once more. Rows come by time; what is later than `now` is not known yet.
    pub fn relive(&mut self, now: Ts, row: &Row, out: &mut Effects) {
        let Some(&at) = self.by_id.get(&row.source) else { return };
        self.speak(now, at, row, out);
    }

    /// Folds a stored event.
    pub fn fold_event(&mut self, event: &Event) {
        self.book.apply(event);
        self.silences.clear();
    }

    /// Ends the fold: gives global ids to what the config names for the first time, and begins a new register where it names
    /// another meter. A replacement stands in checkpoints alone: one should be written now, before new rows come. `last_batch` is
    /// the newest commit's number.
    pub fn boot(&mut self, now: Ts, last_batch: u64, out: &mut Effects) {
        self.batch = last_batch + 1;
        let topology = self.topology.clone();
        for ((memory, point), amended) in self.points.iter_mut().zip(&topology.points).zip(&self.amended) {
            memory.configured(point, amended);
        }
        let places = topology.places.iter().map(|p| (IdentityKind::Place, p.key.as_str()));
        let points = topology.points.iter().map(|p| (IdentityKind::Point, p.key.as_str()));
        let meters = topology.points.iter().filter_map(|p| p.meter.serial.as_deref()).map(|s| (IdentityKind::Meter, s));
        for (kind, key) in places.chain(points).chain(meters) {
            let key: Arc<str> = key.into();
            if self.identities.contains_key(&(kind, key.clone())) {
                continue;
            }
            let id = global_id(&topology.gateway, "identity", self.identities.len() as u64, now);
            self.identities.insert((kind, key.clone()), id.clone());
            out.list.push(Effect::Identity(IdentityRecord { kind, key, id }));
        }
    }

    /// The way to the broker was made (again): what it did not see acknowledged, it will send once more.
    pub fn connected(&mut self, now: Ts) {
        self.listening = Some(now);
        self.silence_due = None;
        for s in &mut self.sources {
            s.recent.reconnected();
        }
    }

    /// The way to the broker is gone: until it is back, silence says nothing about a meter.
    pub fn disconnected(&mut self) {
        self.listening = None;
    }

    /// The gateway's clock was set: spans that began before, on the old time, say nothing about a meter.
    pub fn clock_set(&mut self, now: Ts) {
        if self.listening.is_some() {
            self.listening = Some(now);
            self.silence_due = None;
        }
    }

    /// Takes one message. `now` is the gateway's clock (in replay the running maximum of time stamps).
    pub fn handle(&mut self, now: Ts, input: &Input, past: &mut Past<'_>, out: &mut Effects) -> Result<Outcome, PastUnavailable> {
        match input {
            Input::Reading(r) => self.reading(now, r, past, out),
            Input::Refused(r) => Ok(self.refused(r)),
            Input::Presence(p) => Ok(self.presence(p)),
        }
    }

    /// Does what a person asks, or says why not.
    pub fn command(&mut self, now: Ts, command: Command, out: &mut Effects) -> Result<Arc<Incident>, CommandError> {
        let is_to_be_granted = matches!(command, Command::Close { not_a_leak: true, .. });
        let (id, change) = match command {
            Command::Accept { incident, by, note } => {
                let by = text("by", &by, MAX_NAME)?;
                let note = note.filter(|n| !n.trim().is_empty()).map(|n| text("note", &n, MAX_TEXT)).transpose()?;
                (incident, Change::Accepted { by, note })
            }
            Command::Close { incident, by, reason, not_a_leak } => {
                let by = Closer::Person { name: text("by", &by, MAX_NAME)? };
                let granted = if not_a_leak { self.granted(now, &incident) } else { vec![] };
                (incident, Change::Closed { by, reason: text("reason", &reason, MAX_TEXT)?, granted })
            }
        };
        let incident = self.book.get(&id).ok_or(CommandError::UnknownIncident)?;
        match (incident.state, &change, &incident.accepted) {
            (IncidentState::Closed, _, _) => return Err(CommandError::AlreadyClosed),
            (_, Change::Accepted { .. }, Some((_, by))) => return Err(CommandError::AlreadyAccepted { by: by.clone() }),
            (_, Change::Closed { granted, .. }, _) if is_to_be_granted && granted.is_empty() => return Err(CommandError::NothingLearned),
            _ => {}
        }
        let event = Event { seq: self.book.last_event() + 1, at: now, incident: incident.id.clone(), change };
        self.emit(vec![event], out);
        out.urgent = true;
        self.book.get(&id).cloned().ok_or(CommandError::UnknownIncident)
    }

    /// The next moment at which [`Engine::tick`] may have something to say. An earlier call does nothing.
    pub fn next_deadline(&mut self) -> Option<Ts> {
        let listening = self.listening?;
        if self.silence_due.is_none() {
            let points = self.topology.point_ixs();
            self.silence_due = points.filter_map(|p| self.silence_deadline(p, listening)).min();
        }
        self.silence_due
    }

    /// Lets time pass: what is due at `now` is said.
    pub fn tick(&mut self, now: Ts, out: &mut Effects) {
        let Some(listening) = self.listening else { return };
        if self.next_deadline().is_none_or(|due| now < due) {
            return;
        }
        let topology = self.topology.clone();
        for p in topology.point_ixs() {
            if self.silence_deadline(p, listening).is_none_or(|due| now < due) {
                continue;
            }
            let point = topology.point(p);
            let Some(limit) = point.limits.silent_after else { continue };
            let (kind, start) = silence::statement(self.last_heard(p), limit);
            let evidence = self.points[p.0 as usize].ledger.last().into_iter().collect();
            let finding = Finding { point: point.key.clone(), kind, at: now, start, grown: false, historic: false, evidence };
            self.found(now, finding, out);
        }
        self.silence_due = None;
    }

    /// The effects so far are durable. `batch` is the number they were committed under, None if there was nothing to commit.
    pub fn committed(&mut self, batch: Option<u64>) {
        for i in self.uncommitted.drain(..) {
            self.counts.stored += 1;
            self.sources[i].counts.stored += 1;
        }
        self.pending.clear();
        if let Some(b) = batch {
            self.batch = b + 1;
        }
    }

    /// Everything that a fold over all commits up to `batch` would give: the state as of now, so `batch` is the one that holds the
    /// newest effects.
    pub fn checkpoint(&self, batch: u64) -> Checkpoint {
        let named = self.topology.points.iter().zip(&self.points).map(|(p, m)| (p.key.clone(), m.clone()));
        let retired = self.retired.iter().map(|(k, m)| (k.clone(), m.clone()));
        let memory =
            |s: &Source| Some((s.known.as_ref()?.source, SourceMemory { last: s.last, recent: s.recent.clone(), raised: s.raised }));
        Checkpoint {
            form: CHECKPOINT_FORM,
            batch,
            points: named.chain(retired).collect(),
            sources: self.sources.iter().filter_map(memory).collect(),
            heat: self.heat.memories(&self.topology),
            book: self.book.clone(),
        }
    }

    fn identity(&self, kind: IdentityKind, key: &str) -> Option<Arc<str>> {
        self.identities.get(&(kind, Arc::from(key))).cloned()
    }

    fn reading(&mut self, now: Ts, r: &Reading, past: &mut Past<'_>, out: &mut Effects) -> Result<Outcome, PastUnavailable> {
        let Some(at) = self.source_of(&r.topic) else {
            self.counts.received += 1;
            return Ok(self.rejected(None, Reject::Sources { limit: MAX_SOURCES }));
        };
        let place = self.placed(at, r, past)?;
        self.counts.received += 1;
        self.sources[at].counts.received += 1;
        match place {
            Place::Free(row) => {
                self.store(now, at, row, out);
                Ok(Outcome::Stored)
            }
            Place::Repeated => {
                self.counts.duplicate += 1;
                self.sources[at].counts.duplicate += 1;
                Ok(Outcome::Duplicate)
            }
            Place::Refused(reason) => {
                self.sources[at].last_bad = Some(BadPayload { received: r.received, reason: reason.clone(), excerpt: String::new() });
                Ok(self.rejected(Some(at), reason))
            }
        }
    }

    /// Where a reading belongs. Changes nothing that counts if the past cannot be read.
    fn placed(&mut self, at: usize, r: &Reading, past: &mut Past<'_>) -> Result<Place, PastUnavailable> {
        if self.sources[at].is_unbound(r.feed) && !self.bind(at, r.feed) {
            return Ok(Place::Refused(Reject::Columns { limit: MAX_COLUMNS }));
        }
        let source = &self.sources[at];
        let values = source.stored_values(&r.values);
        let mut flags = if r.clock_sure { Flags::NONE } else { Flags::CLOCK_UNSURE };
        if let Some(ts) = r.ts {
            if !r.clock_sure && ts - r.received > AHEAD {
                flags = flags | Flags::AHEAD;
            }
            return Ok(match self.stored(source, ts, past)? {
                None => Place::Free(NewRow { ts, values, flags }),
                Some(v) if v == values => Place::Repeated,
                Some(v) => Place::Refused(Reject::Conflict { ts, stored: numbers(&v), got: numbers(&values) }),
            });
        }
        let mut ts = r.received;
        while self.stored(source, ts, past)?.is_some() {
            ts = ts + Ms(1);
        }
        if self.sources[at].recent.is_repetition(&values) {
            return Ok(Place::Repeated);
        }
        Ok(Place::Free(NewRow { ts, values, flags: flags | Flags::ARRIVAL_TIME }))
    }

    /// What stands at `ts`, committed or pending.
    fn stored(&self, source: &Source, ts: Ts, past: &mut Past<'_>) -> Result<Option<Values>, PastUnavailable> {
        let (Some(known), Some((last, values))) = (&source.known, source.last) else { return Ok(None) };
        if ts > last {
            return Ok(None);
        }
        if ts == last {
            return Ok(Some(values));
        }
        match self.pending.get(&(known.source, ts)) {
            Some(v) => Ok(Some(*v)),
            None => past(known.source, ts),
        }
    }

    fn store(&mut self, now: Ts, at: usize, new: NewRow, out: &mut Effects) {
        let source = self.known_source(now, at, out);
        let row = Row { ts: new.ts, source, values: new.values, flags: new.flags };
        out.list.push(Effect::Append(row));
        self.pending.insert((source, row.ts), row.values);
        self.uncommitted.push(at);
        self.speak(now, at, &row, out);
    }

    /// What a row does to the memory, and what is said for it.
    fn speak(&mut self, now: Ts, at: usize, row: &Row, out: &mut Effects) {
        self.apply(at, row, now);
        self.tell_flags(now, at, row, out);
        for (p, code) in std::mem::take(&mut self.heat.ended) {
            let events = self.book.cleared(now, &self.topology.point(p).key, code);
            self.emit(events, out);
        }
        for spoken in std::mem::take(&mut self.came.said) {
            if self.is_worth_hearing(&spoken, now) {
                self.found(now, spoken.finding, out);
            }
        }
        self.end_silences(now, at, out);
    }

    /// The source's number, given now if this is its first row; its record is written when it is new or has new columns.
    fn known_source(&mut self, now: Ts, at: usize, out: &mut Effects) -> SourceId {
        let next = u32::try_from(self.by_id.len() + 1).unwrap_or(u32::MAX);
        let gateway = &self.topology.gateway;
        let s = &mut self.sources[at];
        let known = s.known.get_or_insert_with(|| {
            s.record_due = true;
            Known { source: SourceId(next), id: global_id(gateway, "source", u64::from(next), now) }
        });
        if s.record_due {
            s.record_due = false;
            self.by_id.insert(known.source, at);
            let record = SourceRecord { source: known.source, id: known.id.clone(), topic: s.topic.clone(), columns: s.columns.to_vec() };
            out.list.push(Effect::Source(record));
        }
        known.source
    }

    /// What a row, new or folded, does to the memory of its source and of the points that read it. Rules speak into `came`.
    fn apply(&mut self, at: usize, row: &Row, now: Ts) {
        let s = &mut self.sources[at];
        if s.last.is_none_or(|(last, _)| row.ts > last) {
            s.last = Some((row.ts, row.values));
        }
        if row.flags.contains(Flags::ARRIVAL_TIME) {
            s.recent.push(self.batch, row.values);
        }
        // Only a clock that is not synchronised lets such times in; an account over the years in between would mean nothing.
        if row.flags.contains(Flags::AHEAD) || row.ts < self.topology.since {
            return;
        }
        for p in &s.points {
            let heard = &mut self.points[p.0 as usize].heard;
            *heard = (*heard).max(Some(row.ts));
        }
        for (column, p) in &s.readers {
            if let Some(value) = row.values.get(*column) {
                let point = self.topology.point(*p);
                let (amended, subs) = (&self.amended[p.0 as usize], self.subs[p.0 as usize]);
                let here = Here { point, amended, subs, now, tz: &self.topology.tz };
                let v = Value { quantity: s.columns[*column].quantity, ts: row.ts, value };
                self.points[p.0 as usize].value(&here, v, &mut self.came);
                for passage in self.came.passed.drain(..) {
                    if let Some(up) = point.parent.filter(|up| self.subs[up.0 as usize].count > 0 && Subs::counts(point)) {
                        self.points[up.0 as usize].learned.sub_passed(passage);
                    }
                }
                self.heat.register(&self.topology, *p, self.points[p.0 as usize].ledger.last(), now, &mut self.came.said);
            }
        }
        self.heat.row(&self.topology, &s.topic, &s.columns, row, now, &mut self.came.said);
        if !self.came.said.is_empty() && Heat::is_filling(&self.topology, row.ts) {
            self.came.said.retain(|s| !matches!(s.finding.kind, FindingKind::LoopLeak { .. }));
        }
    }

    fn refused(&mut self, r: &Refused) -> Outcome {
        self.counts.received += 1;
        let at = self.source_of(&r.topic);
        if let Some(at) = at {
            let s = &mut self.sources[at];
            s.counts.received += 1;
            s.feed = s.feed.or(r.feed);
        }
        if let Some(at) = at.filter(|_| r.reason != Reject::NoReading) {
            let s = &mut self.sources[at];
            s.last_bad = Some(BadPayload { received: r.received, reason: r.reason.clone(), excerpt: r.excerpt.clone() });
        }
        self.rejected(at, r.reason.clone())
    }

    fn rejected(&mut self, at: Option<usize>, reason: Reject) -> Outcome {
        self.counts.rejected[reason.index()] += 1;
        if let Some(at) = at {
            self.sources[at].counts.rejected[reason.index()] += 1;
        }
        Outcome::Rejected(reason)
    }

    /// Position of the source of this topic, made if it is new; None if there are too many. A meter's own always has room: others must not keep
    /// it from being heard.
    fn source_of(&mut self, topic: &Arc<str>) -> Option<usize> {
        match self.by_topic.get(topic) {
            Some(at) => Some(*at),
            None if self.sources.len() >= MAX_SOURCES && !self.readers_of_topic.contains_key(&**topic) => None,
            None => Some(self.add_source(Source::new(topic.clone()))),
        }
    }

    fn add_source(&mut self, mut s: Source) -> usize {
        let at = self.sources.len();
        self.by_topic.insert(s.topic.clone(), at);
        if let Some(k) = &s.known {
            self.by_id.insert(k.source, at);
        }
        s.find_readers(self.readers_of_topic.get(&*s.topic).map_or(&[], Vec::as_slice), &self.topology);
        self.sources.push(s);
        at
    }

    /// False if the feed's columns have no room beside those that the store knows of this source.
    fn bind(&mut self, at: usize, feed: FeedIx) -> bool {
        let s = &mut self.sources[at];
        let Some(added) = s.bind(feed, self.topology.feed(feed)) else { return false };
        s.record_due |= added;
        s.find_readers(self.readers_of_topic.get(&*s.topic).map_or(&[], Vec::as_slice), &self.topology);
        true
    }

    fn found(&mut self, now: Ts, finding: Finding, out: &mut Effects) {
        out.urgent |= finding.kind.cause().is_urgent() && !finding.historic;
        let place_of = |key: &str| self.point_of_key.get(key).map(|p| self.topology.point(*p).place);
        let events = self.book.found(now, finding, &self.topology, &place_of);
        self.emit(events, out);
    }

    fn emit(&mut self, events: Vec<Event>, out: &mut Effects) {
        for event in events {
            let notice = Notice::of(self.book.get(&event.incident).map(|i| &**i), &event);
            self.book.apply(&event);
            match &event.change {
                Change::Found { finding } if finding.kind.code() == SILENT => {
                    let said = self.point_of_key.get(&finding.point).and_then(|p| self.silences.get_mut(p.0 as usize));
                    said.into_iter().for_each(|s| *s = Silence::Open);
                }
                Change::Cleared { .. } | Change::Closed { .. } => self.silences.clear(),
                Change::Opened { .. } | Change::Found { .. } | Change::Accepted { .. } => {}
            }
            out.list.push(Effect::Event(event));
            out.list.extend(notice.map(Effect::Notice));
        }
    }
}

/// Where a reading belongs: at a free instant, on a stored equal, or nowhere.
enum Place {
    Free(NewRow),
    Repeated,
    Refused(Reject),
}

#[derive(Clone, Copy)]
struct NewRow {
    ts: Ts,
    values: Values,
    flags: Flags,
}

fn numbers(v: &Values) -> Vec<i64> {
    v.iter().map(|(_, n)| n).collect()
}

fn text(field: &'static str, s: &str, limit: usize) -> Result<String, CommandError> {
    let trimmed = s.trim();
    if trimmed.is_empty() || trimmed.chars().count() > limit {
        return Err(CommandError::BadField { field, limit });
    }
    Ok(trimmed.to_owned())
}
