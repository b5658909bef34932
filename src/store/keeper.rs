//! Keeps what is told of days true while rows come in, and lets one thread beside the engine's write it.
//!
//! Whoever tells days reads for a while and then writes. What was committed in between may contradict it: so it says beforehand how far it is
//! going to read, and the store's thread notes which sources got rows before that. Of these it takes nothing.

use super::error::CommitError;
use super::retention;
use super::volumes::{self, Series, Told};
use super::writer::Job;
use crate::domain::reading::{Row, SourceId};
use crate::domain::time::Ts;
use rusqlite::{Connection, TransactionBehavior};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// What the store's thread shall look out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Sources that get rows before this are noted.
    pub before: Ts,
    /// When the readings have gone on to here, or already had when it was said, [`Volumes::wait`] ends.
    pub until: Ts,
}

/// What came meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Sources that got rows before [`Watch::before`] since it was last said which.
    pub disturbed: BTreeSet<SourceId>,
    /// Sources about which somebody has stated something since then: he waits for their days.
    pub moved: BTreeSet<SourceId>,
    /// How far the readings have gone on, by no clock that runs ahead; None before the first commit of this process.
    pub reached: Option<Ts>,
}

/// Why [`Volumes::wait`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The readings have gone on far enough, or a source got rows that are late.
    Seen,
    Timeout,
    /// The store is closed.
    Closed,
}

/// A question to the keeper, with the way back.
pub(super) enum Ask {
    Attach(SyncSender<()>),
    Watch(Watch, SyncSender<Seen>),
    Tell(Vec<Told>, Watch, SyncSender<Result<Seen, CommitError>>),
    Forget(Option<Vec<Series>>, SyncSender<Result<(), CommitError>>),
}

/// The way to tell days, for one thread. Blocks the caller; keeps nothing open.
#[derive(Debug)]
pub struct Volumes {
    jobs: SyncSender<Job>,
    woken: Receiver<()>,
}

impl Volumes {
    /// None if the store is closed. An earlier one is woken no more.
    pub(super) fn attach(jobs: SyncSender<Job>) -> Option<Volumes> {
        // One mark is enough: who is woken asks what there is.
        let (wake, woken) = sync_channel(1);
        jobs.send(Job::Volumes(Ask::Attach(wake))).ok()?;
        Some(Volumes { jobs, woken })
    }

    /// Waits for something to do, at most `limit`.
    pub fn wait(&self, limit: Duration) -> Woken {
        match self.woken.recv_timeout(limit) {
            Ok(()) => Woken::Seen,
            Err(RecvTimeoutError::Timeout) => Woken::Timeout,
            Err(RecvTimeoutError::Disconnected) => Woken::Closed,
        }
    }

    /// Says what to look out for, and asks what came since it was last asked. Whatever was committed before, every later question sees.
    pub fn watch(&self, watch: Watch) -> Result<Seen, CommitError> {
        self.ask(|reply| Ask::Watch(watch, reply))
    }

    /// Stores days in one transaction, but for those of sources that were disturbed; these are named, and `watch` holds from then on.
    pub fn tell(&self, told: Vec<Told>, watch: Watch) -> Result<Seen, CommitError> {
        self.ask(|reply| Ask::Tell(told, watch, reply))?
    }

    /// Removes what was told of some series, or of all.
    pub fn forget(&self, which: Option<Vec<Series>>) -> Result<(), CommitError> {
        self.ask(|reply| Ask::Forget(which, reply))?
    }

    fn ask<T>(&self, ask: impl FnOnce(SyncSender<T>) -> Ask) -> Result<T, CommitError> {
        let (reply, answer) = sync_channel(1);
        self.jobs.send(Job::Volumes(ask(reply))).map_err(|_| CommitError::Gone)?;
        answer.recv().map_err(|_| CommitError::Gone)
    }
}

/// The store's thread's part.
#[derive(Default)]
pub(super) struct Keeper {
    /// How far the told days of each source reach. None when it must be read again: at the beginning, and after an error.
    reach: Option<Reach>,
    observer: Option<Observer>,
    reached: Option<Ts>,
}

struct Observer {
    watch: Watch,
    /// At most one entry per source.
    disturbed: BTreeSet<SourceId>,
    moved: BTreeSet<SourceId>,
    wake: SyncSender<()>,
}

#[derive(Default)]
struct Reach {
    of: HashMap<SourceId, Ts>,
    /// Up to here rows are gone: one that comes now moves no told day.
    gone: HashMap<SourceId, Ts>,
    farthest: Option<Ts>,
}

impl Reach {
    fn read(conn: &Connection) -> rusqlite::Result<Reach> {
        let gone = retention::all(conn)?.into_iter().map(|(source, e)| (source, e.until)).collect();
        let mut out = Reach { gone, ..Reach::default() };
        for t in volumes::all(conn)? {
            out.raise(t.series.source, t.reach);
        }
        Ok(out)
    }

    fn raise(&mut self, source: SourceId, ts: Ts) {
        let of = self.of.entry(source).or_insert(ts);
        *of = ts.max(*of);
        self.farthest = self.farthest.max(Some(ts));
    }
}

impl Keeper {
    /// A transaction did not become durable, or perhaps it did; or rows are gone.
    pub(super) fn forget(&mut self) {
        self.reach = None;
    }

    /// Within a batch's transaction, after its rows were written: takes back the days that rows came late for.
    /// `reached`: the newest time that the batch's readings went on to.
    pub(super) fn rows(&mut self, tx: &Connection, rows: &[Row], reached: Option<Ts>, received: Ts) -> rusqlite::Result<()> {
        let reach = match &mut self.reach {
            Some(reach) => reach,
            slot => slot.insert(Reach::read(tx)?),
        };
        if let Some(farthest) = reach.farthest {
            let mut late: BTreeMap<SourceId, Ts> = BTreeMap::new();
            for row in rows.iter().filter(|r| r.ts <= farthest) {
                let alone = || reach.gone.get(&row.source).is_some_and(|until| row.ts <= *until);
                if reach.of.get(&row.source).is_some_and(|reach| row.ts <= *reach) && !alone() {
                    late.entry(row.source).and_modify(|ts| *ts = row.ts.min(*ts)).or_insert(row.ts);
                }
            }
            for (source, ts) in late {
                match volumes::take_back(tx, source, ts)? {
                    Some(left) => reach.of.insert(source, left),
                    None => reach.of.remove(&source),
                };
            }
        }
        // A clock that runs ahead goes nowhere: neither a device's nor ours.
        self.reached = self.reached.max(reached.map(|at| at.min(received)));
        if let Some(o) = &mut self.observer {
            let calm = o.disturbed.is_empty();
            o.disturbed.extend(rows.iter().filter(|r| r.ts < o.watch.before).map(|r| r.source));
            if calm && !o.disturbed.is_empty() || self.reached >= Some(o.watch.until) {
                o.wake();
            }
        }
        Ok(())
    }

    /// Within a batch's transaction: somebody has stated something about a source's readings from `from` on. Its days are told anew, whoever is in
    /// the middle of telling them.
    pub(super) fn moved(&mut self, tx: &Connection, source: SourceId, from: Ts) -> rusqlite::Result<()> {
        let left = volumes::take_back(tx, source, from)?;
        if let Some(reach) = &mut self.reach {
            match left {
                Some(left) => reach.of.insert(source, left),
                None => reach.of.remove(&source),
            };
        }
        if let Some(o) = &mut self.observer {
            o.moved.insert(source);
            o.wake();
        }
        Ok(())
    }

    pub(super) fn answer(&mut self, conn: &mut Connection, ask: Ask) {
        // A caller that no longer waits has no use for the answer.
        match ask {
            Ask::Attach(wake) => {
                let never = Watch { before: Ts(i64::MIN), until: Ts(i64::MIN) };
                let observer = Observer { watch: never, disturbed: BTreeSet::new(), moved: BTreeSet::new(), wake };
                observer.wake();
                self.observer = Some(observer);
            }
            Ask::Watch(watch, reply) => {
                let _ = reply.send(self.seen(watch));
            }
            Ask::Tell(told, watch, reply) => {
                let done = self.tell(conn, &told).map_err(|source| CommitError::Tell { source });
                let _ = reply.send(done.map(|()| self.seen(watch)));
            }
            Ask::Forget(which, reply) => {
                let done = transaction(conn, |tx| volumes::forget(tx, which.as_deref()));
                self.forget();
                let _ = reply.send(done.map_err(|source| CommitError::Tell { source }));
            }
        }
    }

    fn seen(&mut self, watch: Watch) -> Seen {
        let taken = self.observer.as_mut().map(|o| {
            o.watch = watch;
            // What came between the question before and this one woke nobody.
            if self.reached >= Some(watch.until) {
                o.wake();
            }
            (std::mem::take(&mut o.disturbed), std::mem::take(&mut o.moved))
        });
        let (disturbed, moved) = taken.unwrap_or_default();
        Seen { disturbed, moved, reached: self.reached }
    }

    fn tell(&mut self, conn: &mut Connection, told: &[Told]) -> rusqlite::Result<()> {
        let observer = self.observer.as_ref();
        let stale = |source: &SourceId| observer.is_some_and(|o| o.disturbed.contains(source) || o.moved.contains(source));
        let good = || told.iter().filter(|t| !stale(&t.series.series.source));
        if good().next().is_none() {
            return Ok(());
        }
        let done = transaction(conn, |tx| good().try_for_each(|t| volumes::tell(tx, t)));
        match (&done, &mut self.reach) {
            (Ok(()), Some(reach)) => good().for_each(|t| reach.raise(t.series.series.source, t.series.reach)),
            _ => self.reach = None,
        }
        done
    }
}

impl Observer {
    fn wake(&self) {
        // Full: it is awake already. Gone: nobody tells days any more.
        if self.wake.try_send(()).is_err() {
            tracing::trace!("nobody sleeps who tells days");
        }
    }
}

fn transaction(conn: &mut Connection, f: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    f(&tx)?;
    tx.commit()
}
