//! One run of the story, and what must be there after it.

use super::OLDER_BATCHES;
use super::script::{CHANNEL, SOURCES};
use super::told;
use faulty_disk::Disk;
use heyun::domain::engine::{IdentityRecord, SourceRecord};
use heyun::domain::reading::{Row, SourceId};
use heyun::domain::time::{Ms, Ts};
use heyun::history::{Historian, Step};
use heyun::store::{self, Batch, CommitError, CommitErrorKind, Depth, Done, FoldItem, Mark, Reader, Settings, Writer};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

/// After these the log is copied while the store is open.
const COPIED_AFTER: [u64; 2] = [17, 45];

pub struct Story<'a> {
    /// The file as an earlier version left it, with the first batches.
    pub older: Option<Vec<u8>>,
    /// Closed and opened again after this batch.
    pub reopen_after: Option<u64>,
    pub batches: &'a [Arc<Batch>],
}

/// How far a run came.
#[derive(Debug, Default)]
pub struct Progress {
    /// Batches whose commit said that they are stored: all up to this one.
    pub acknowledged: u64,
    /// Outbox entries whose mark said that it is stored: all up to this one.
    pub marked: i64,
    /// Marks that were asked for and not confirmed.
    pub marking: i64,
}

/// Tries until it succeeds: a lasting fault is mended after the second attempt. None when the power is gone.
fn insist<T, E: std::fmt::Display>(disk: &Disk, mut what: impl FnMut() -> Result<T, E>) -> Option<T> {
    for attempt in 1.. {
        match what() {
            Ok(done) => return Some(done),
            Err(_) if disk.is_dead() => return None,
            Err(e) => assert!(attempt < 4, "it does not recover: {e}"),
        }
        if attempt == 2 {
            disk.mend();
        }
    }
    None
}

fn open(dir: &Path) -> Result<(Writer, Reader), store::OpenError> {
    store::open(&Settings { path: dir.join("heyun.db") })
}

fn retryable(result: Result<store::Committed, CommitError>) -> Result<store::Committed, CommitError> {
    if let Err(e) = &result {
        assert_eq!(e.kind(), CommitErrorKind::Retry, "{e}");
    }
    result
}

fn mark(writer: &Writer, entries: Vec<i64>, at: Ts) -> Result<(), CommitError> {
    let (tell, told) = channel();
    // The queue is empty: nobody else asks.
    writer.outbox().mark(Mark { entries, at, done: Done::Delivered }, move |r| tell.send(r).unwrap()).unwrap();
    told.recv().unwrap()
}

/// Runs the story until its end or until the power is gone. In the end the power is always gone: what no sync has made durable is at stake.
pub fn play(story: &Story<'_>, dir: &Path, disk: &Disk) -> Progress {
    let mut done = Progress::default();
    if story.older.is_some() {
        done.acknowledged = OLDER_BATCHES as u64;
    }
    let Some(mut store) = insist(disk, || open(dir)) else { return done };
    let topology = told::topology("UTC", SOURCES);
    let (mut historian, mut volumes) = (Historian::new(&topology), store.0.volumes().unwrap());
    for batch in &story.batches[done.acknowledged as usize..] {
        let Some(_) = insist(disk, || retryable(store.0.commit(batch.clone()))) else { return done };
        done.acknowledged = batch.id;
        // As the engine asks, and keeps a connection open by it.
        drop(store.1.lookup(SourceId(1), batch.received));
        // Now and then the days that are over are told; where the disk does not let it, later.
        if batch.id.is_multiple_of(4) && historian.step(&store.1, &volumes, Ms::minutes(batch.id as i64)).is_err() && disk.is_dead() {
            return done;
        }
        if batch.id.is_multiple_of(7) {
            let entries: i64 = story.batches[..batch.id as usize].iter().map(|b| b.outbox.len() as i64).sum();
            done.marking = entries;
            let Some(()) = insist(disk, || mark(&store.0, (done.marked + 1..=entries).collect(), batch.received)) else { return done };
            done.marked = entries;
        }
        // The log is copied into the file in the middle of it all, as when it is full. A fault that strikes then is nobody's to report.
        if COPIED_AFTER.contains(&batch.id) {
            drop(Connection::open(dir.join("heyun.db")).and_then(|c| c.execute_batch("PRAGMA wal_checkpoint(PASSIVE)")));
        }
        if story.reopen_after == Some(batch.id) {
            let (writer, reader) = store;
            drop((reader, volumes));
            let closed = writer.close();
            assert!(closed.is_ok() || disk.struck() > 0, "{closed:?}");
            match insist(disk, || open(dir)) {
                Some(opened) => store = opened,
                None => return done,
            }
            (historian, volumes) = (Historian::new(&topology), store.0.volumes().unwrap());
        }
    }
    // What it still does behind the last commit belongs to the story.
    store.0.ping().unwrap();
    disk.cut();
    done
}

/// On a sound disk: what was acknowledged is there, once and whole; what was not is there whole or not at all, and can be stored.
pub fn verify(story: &Story<'_>, dir: &Path, done: &Progress) {
    let (writer, reader) = open(dir).unwrap();
    let stored = reader.last_batch().unwrap().map_or(0, |h| h.batch);
    assert!(stored == done.acknowledged || stored == done.acknowledged + 1, "{stored} batches stored, {done:?}");
    holds(&reader, story, stored);
    marks_stand(&reader, story, stored, done);
    if let Some(next) = story.batches.get(done.acknowledged as usize) {
        // The one that was not acknowledged comes again, as the broker sends it.
        assert_eq!(writer.commit(next.clone()).unwrap().repeated, stored > done.acknowledged);
        holds(&reader, story, next.id);
    }
    let topology = told::topology("UTC", SOURCES);
    told::checked(&reader, &topology);
    // And whatever was not told is told now.
    let (mut historian, volumes) = (Historian::new(&topology), writer.volumes().unwrap());
    while let Step::More { .. } = historian.step(&reader, &volumes, Ms::ZERO).unwrap() {}
    drop((reader, volumes));
    writer.close().unwrap();
    let report = store::check(&Settings { path: dir.join("heyun.db") }, Depth::Full, &mut |_| ()).unwrap();
    assert_eq!(report.findings, []);
}

fn holds(reader: &Reader, story: &Story<'_>, newest: u64) {
    let batches = &story.batches[..newest as usize];
    let mut expected: Vec<Row> = batches.iter().flat_map(|b| b.rows.iter().copied()).collect();
    expected.sort_unstable_by_key(|r| (r.ts, r.source));
    let mut rows = Vec::with_capacity(expected.len());
    let mut take = |row| {
        rows.push(row);
        ControlFlow::Continue(())
    };
    reader.scan(Ts(i64::MIN), Ts(i64::MAX), &mut take).unwrap();
    assert!(rows == expected, "{} rows of {}", rows.len(), expected.len());

    let mut sources: BTreeMap<SourceId, SourceRecord> = BTreeMap::new();
    batches.iter().flat_map(|b| &b.sources).for_each(|s| drop(sources.insert(s.source, s.clone())));
    assert_eq!(reader.sources().unwrap(), sources.into_values().collect::<Vec<_>>());
    let mut identities: Vec<IdentityRecord> = batches.iter().flat_map(|b| b.identities.iter().cloned()).collect();
    identities.sort_by(|a, b| a.id.cmp(&b.id));
    let mut stored = reader.identities().unwrap();
    stored.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(stored, identities);
    let events: Vec<_> = batches.iter().flat_map(|b| b.events.iter().cloned()).collect();
    assert_eq!(reader.events_after(0, usize::MAX >> 1).unwrap(), events);

    let newest_checkpoint = batches.iter().rev().find(|b| b.checkpoint.is_some());
    let stored = reader.checkpoint().unwrap();
    assert_eq!(stored.as_ref().map(|c| (c.batch, &c.checkpoint)), newest_checkpoint.map(|b| (b.id, b.checkpoint.as_ref().unwrap())));
    // What a start folds onto it.
    let after = stored.map_or(0, |c| c.batch);
    let mut folded: Vec<Batch> = vec![];
    let mut take = |item| {
        match item {
            FoldItem::Commit { batch, received, .. } => folded.push(Batch { id: batch, received, ..Batch::default() }),
            FoldItem::Row { row, .. } => folded.last_mut().unwrap().rows.push(row),
            FoldItem::Event { event, .. } => folded.last_mut().unwrap().events.push(event),
        }
        ControlFlow::Continue(())
    };
    assert!(reader.folds_from(after).unwrap());
    reader.fold_from(after, &mut take).unwrap();
    let same = |(b, f): (&Arc<Batch>, &Batch)| (b.id, b.received, &b.rows, &b.events) == (f.id, f.received, &f.rows, &f.events);
    assert!(folded.len() as u64 == newest - after && batches[after as usize..].iter().zip(&folded).all(same), "the fold differs");
}

fn marks_stand(reader: &Reader, story: &Story<'_>, stored: u64, done: &Progress) {
    let entries: Vec<_> = story.batches[..stored as usize].iter().flat_map(|b| &b.outbox).collect();
    let mut pending = reader.pending(CHANNEL, usize::MAX >> 1).unwrap().entries;
    pending.sort_by_key(|p| p.id);
    let first = pending.first().map_or(entries.len() as i64 + 1, |p| p.id);
    assert!(first == done.marked + 1 || first == done.marking + 1, "first pending {first}, {done:?}");
    let expected: Vec<_> = (first..).zip(&entries[first as usize - 1..]).map(|(id, e)| (id, (*e).clone())).collect();
    assert_eq!(pending.into_iter().map(|p| (p.id, p.entry)).collect::<Vec<_>>(), expected);
}
