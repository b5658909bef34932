//! The outbox from outside: what is to be told is durable with its event, ends once, and is forgotten in time.
#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it is surprised")]

use heyun::domain::time::{Ms, Ts};
use heyun::store::{Batch, CommitError, Done, EventRecord, LOG_KEPT, Mark, MarkRefused, Outbox, OutboxEntry, Settings, Writer, open};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

const T: Ts = Ts(1_795_489_445_000);

fn settings(dir: &Path) -> Settings {
    Settings { path: dir.join("heyun.db") }
}

/// A batch whose one event is told to these channels.
fn batch(id: u64, urgent: bool, channels: &[&str]) -> Arc<Batch> {
    let entry = |channel: &&str| OutboxEntry {
        event: id,
        at: T,
        incident: format!("g.{id}").into(),
        kind: "opened".into(),
        urgent,
        channel: (*channel).into(),
    };
    let event = EventRecord { seq: id, at: T, incident: format!("g.{id}").into(), code: "opened".into(), body: "{}".into() };
    Arc::new(Batch { id, received: T, events: vec![event], outbox: channels.iter().map(entry).collect(), ..Batch::default() })
}

fn mark(outbox: &Outbox, entries: &[i64], at: Ts, done: Done) -> Result<(), CommitError> {
    let (told, outcome) = sync_channel(1);
    loop {
        let told = told.clone();
        match outbox.mark(Mark { entries: entries.to_vec(), at, done }, move |done| told.send(done).unwrap()) {
            Ok(()) => return outcome.recv().unwrap(),
            Err(MarkRefused::Busy) => std::thread::yield_now(),
            Err(MarkRefused::Gone) => panic!("the store is gone"),
        }
    }
}

fn ids(reader: &heyun::store::Reader, channel: &str) -> Vec<i64> {
    reader.pending(channel, 1_000).unwrap().entries.iter().map(|e| e.id).collect()
}

#[test]
fn what_waits_survives_a_restart_and_ends_once() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, reader) = open(&settings(dir.path())).unwrap();
    writer.commit(batch(1, false, &["a", "b"])).unwrap();
    writer.commit(batch(2, true, &["a"])).unwrap();
    // The same batch again, as after an error that came after the deed, tells nothing twice.
    assert!(writer.commit(batch(2, true, &["a"])).unwrap().repeated);
    writer.commit(batch(3, true, &["a"])).unwrap();
    writer.close().unwrap();
    assert!(reader.pending("a", 9).is_ok());

    let (writer, reader): (Writer, _) = open(&settings(dir.path())).unwrap();
    let waiting = reader.pending("a", 2).unwrap();
    assert_eq!((waiting.entries.iter().map(|e| e.entry.event).collect::<Vec<_>>(), waiting.total), (vec![2, 3], 3), "urgent ones first");
    assert_eq!(reader.pending("nobody", 9).unwrap().total, 0);
    let outbox = writer.outbox();
    let all = ids(&reader, "a");
    mark(&outbox, &all[..2], T, Done::Delivered).unwrap();
    // Marked once more, and otherwise: the first word stands.
    mark(&outbox, &all[..2], T + Ms(5), Done::GivenUp).unwrap();
    mark(&outbox, &all[2..=2], T + Ms(7), Done::Delivered).unwrap();
    assert_eq!((ids(&reader, "a"), ids(&reader, "b").len()), (vec![], 1));
    assert_eq!(reader.taken_since("a", T).unwrap(), [T, T + Ms(7)], "two messages");
    assert_eq!(reader.taken_since("a", T + Ms(1)).unwrap(), [T + Ms(7)]);
    assert_eq!((reader.last_taken("a").unwrap(), reader.last_taken("b").unwrap()), (Some(T + Ms(7)), None));

    writer.close().unwrap();
    let gone = outbox.mark(Mark { entries: vec![1], at: T, done: Done::Delivered }, |_| panic!("nobody is left to mark"));
    assert_eq!(gone, Err(MarkRefused::Gone));
}

#[test]
fn the_log_forgets_after_three_months_and_never_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, reader) = open(&settings(dir.path())).unwrap();
    for id in 1..=300 {
        writer.commit(batch(id, true, if id % 3 == 0 { &["away"] } else { &["a"] })).unwrap();
    }
    let outbox = writer.outbox();
    mark(&outbox, &ids(&reader, "a"), T, Done::Delivered).unwrap();
    let rows = || -> i64 {
        let db = rusqlite::Connection::open(dir.path().join("heyun.db")).unwrap();
        db.query_row("SELECT count(*) FROM outbox", [], |r| r.get(0)).unwrap()
    };
    mark(&outbox, &[], T + LOG_KEPT, Done::Delivered).unwrap();
    assert_eq!(rows(), 300, "not a moment too early");
    // A little with each mark, and what waits between the old ones does not stop it.
    for _ in 0..10 {
        mark(&outbox, &[], T + LOG_KEPT + Ms(1), Done::Delivered).unwrap();
    }
    assert_eq!((rows(), reader.pending("away", 1).unwrap().total), (100, 100));
    writer.close().unwrap();
}
