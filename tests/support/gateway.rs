//! The real engine over a store that is a list: what the daemon does with both, without a thread, a file or a clock.
#![allow(dead_code, reason = "every test binary uses its own part")]

use heyun::domain::amendment::{Entries, Entry};
use heyun::domain::engine::{Amend, Checkpoint, Command, CommandError, Effect, Effects, Engine, IdentityRecord, Input, SourceRecord};
use heyun::domain::incident::{Event, Incident};
use heyun::domain::reading::{Outcome, Row, SourceId};
use heyun::domain::time::Ts;
use heyun::domain::topology::Topology;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one transaction made durable, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    pub batch: u64,
    pub list: Vec<Effect>,
}

/// All that is durable.
#[derive(Clone, Debug, Default)]
pub struct Store {
    pub commits: Vec<Commit>,
    pub rows: BTreeMap<(SourceId, Ts), Row>,
    pub sources: BTreeMap<SourceId, SourceRecord>,
    pub identities: Vec<IdentityRecord>,
    pub events: Vec<Event>,
    pub ledger: Vec<Entry>,
    /// As text, like the real one: what is not written is not read back.
    pub checkpoints: Vec<String>,
}

impl Store {
    fn commit(&mut self, list: Vec<Effect>) -> u64 {
        let batch = self.commits.len() as u64 + 1;
        for e in &list {
            match e {
                Effect::Source(s) => {
                    self.sources.insert(s.source, s.clone());
                }
                Effect::Identity(i) => self.identities.push(i.clone()),
                Effect::Append(row) => {
                    assert!(self.sources.contains_key(&row.source), "a row of a source that the store does not know: {row:?}");
                    let before = self.rows.insert((row.source, row.ts), *row);
                    assert_eq!(before, None, "two rows for one instant of one source");
                }
                Effect::Event(e) => {
                    assert_eq!(e.seq, self.events.len() as u64 + 1, "event numbers are dense");
                    self.events.push(e.clone());
                }
                Effect::Ledger(e, ..) => {
                    assert_eq!(e.seq, self.ledger.len() as u64 + 1, "entries are dense");
                    self.ledger.push((**e).clone());
                }
                Effect::Notice(n) => assert_eq!(n.event, self.events.len() as u64, "a notice follows its event"),
            }
        }
        self.commits.push(Commit { batch, list });
        batch
    }

    /// The engine that a process starting now would have, before it was booted.
    pub fn fold(&self, topology: &Arc<Topology>, checkpoint: Option<&str>) -> Engine {
        let checkpoint: Option<Checkpoint> = checkpoint.map(|text| serde_json::from_str(text).unwrap());
        let after = checkpoint.as_ref().map_or(0, |c| c.batch);
        let sources: Vec<SourceRecord> = self.sources.values().cloned().collect();
        let mut engine = Engine::restore(topology.clone(), &sources, &self.identities, Entries::new(self.ledger.clone()), checkpoint);
        for c in self.commits.iter().filter(|c| c.batch > after) {
            for e in &c.list {
                match e {
                    Effect::Append(row) => engine.fold_row(c.batch, row),
                    Effect::Event(e) => engine.fold_event(e),
                    Effect::Source(_) | Effect::Identity(_) | Effect::Ledger(..) | Effect::Notice(_) => {}
                }
            }
        }
        engine
    }

    pub fn last_batch(&self) -> u64 {
        self.commits.len() as u64
    }
}

pub struct Gateway {
    pub topology: Arc<Topology>,
    pub engine: Engine,
    pub store: Store,
    /// Effects of the open batch.
    pub out: Effects,
}

impl Gateway {
    /// A first start.
    pub fn new(topology: Topology, now: Ts) -> Gateway {
        let topology = Arc::new(topology);
        let mut g = Gateway { engine: Engine::new(topology.clone()), topology, store: Store::default(), out: Effects::default() };
        g.engine.boot(now, 0, &mut g.out);
        g.commit();
        g
    }

    pub fn handle(&mut self, now: Ts, input: &Input) -> Outcome {
        let rows = &self.store.rows;
        let mut past = |source, ts| Ok(rows.get(&(source, ts)).map(|r| r.values));
        self.engine.handle(now, input, &mut past, &mut self.out).unwrap()
    }

    pub fn command(&mut self, now: Ts, command: Command) -> Result<Arc<Incident>, CommandError> {
        self.engine.command(now, command, &mut self.out)
    }

    /// Writes a statement into the ledger, as the daemon does: what is open is committed first, the entry with a checkpoint.
    pub fn amend(&mut self, now: Ts, amend: &Amend) -> Result<Arc<Entry>, CommandError> {
        self.commit();
        let needed = self.engine.needed_for(amend)?;
        let rows: Vec<Row> = self.store.rows.values().filter(|r| r.source == needed.source && r.ts >= needed.from).copied().collect();
        let entry = self.engine.amend(now, amend, &rows, &mut self.out)?;
        self.out.urgent = false;
        self.commit();
        self.write_checkpoint();
        Ok(entry)
    }

    pub fn tick(&mut self, now: Ts) {
        self.engine.tick(now, &mut self.out);
    }

    /// Makes the open batch durable, as the daemon does: nothing to write is no commit.
    pub fn commit(&mut self) -> Option<u64> {
        let list = std::mem::take(&mut self.out).list;
        let batch = (!list.is_empty()).then(|| self.store.commit(list));
        self.engine.committed(batch);
        batch
    }

    /// The checkpoint as text. Only right when nothing is pending.
    pub fn checkpoint(&self) -> String {
        serde_json::to_string(&self.engine.checkpoint(self.store.last_batch())).unwrap()
    }

    pub fn write_checkpoint(&mut self) {
        let text = self.checkpoint();
        self.store.checkpoints.push(text);
    }

    /// The process is gone, with all that was not committed; the next one starts at `now` under `topology`.
    pub fn start_again(&mut self, topology: Arc<Topology>, now: Ts, checkpoint: Option<&str>) {
        self.out = Effects::default();
        self.engine = self.store.fold(&topology, checkpoint);
        self.topology = topology;
        self.engine.boot(now, self.store.last_batch(), &mut self.out);
    }

    /// What must hold at all times, whatever was sent.
    pub fn check(&self) -> Result<(), String> {
        let s = self.engine.snapshot(Ts(0));
        let waiting = self.out.list.iter().filter(|e| matches!(e, Effect::Append(_))).count() as u64;
        if s.counts.in_flight() != waiting {
            return Err(format!("{waiting} rows wait for the commit, the counters say {:?}", s.counts));
        }
        let mut sum = heyun::domain::reading::Counts::default();
        for c in s.sources.iter().map(|s| &s.counts) {
            sum.received += c.received;
            sum.stored += c.stored;
            sum.duplicate += c.duplicate;
            sum.rejected.iter_mut().zip(c.rejected).for_each(|(sum, n)| *sum += n);
        }
        if sum != s.counts {
            return Err(format!("the sources add up to {sum:?}, all is {:?}", s.counts));
        }
        let waiting = self.out.list.iter().filter_map(|e| if let Effect::Event(e) = e { Some(e) } else { None });
        let events: Vec<&Event> = self.store.events.iter().chain(waiting).collect();
        if let Some((i, e)) = events.iter().enumerate().find(|(i, e)| e.seq != *i as u64 + 1) {
            return Err(format!("event {} is the {}th", e.seq, i + 1));
        }
        for i in &s.incidents {
            let own = events.iter().copied().filter(|e| e.incident == i.id);
            let folded = Incident::from_events(own);
            if folded.as_ref() != Some(&**i) {
                return Err(format!("the events of {} add up to {folded:?}, the snapshot says {i:?}", i.id));
            }
        }
        Ok(())
    }
}
