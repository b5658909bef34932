//! The store from outside: real files, what is promised of them.
#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it is surprised")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers of the test's own")]

use heyun::domain::engine::{IdentityKind, IdentityRecord, SourceRecord};
use heyun::domain::reading::{Flags, Row, SourceId, Values};
use heyun::domain::time::Ts;
use heyun::domain::topology::Column;
use heyun::domain::units::Quantity;
use heyun::store::{
    Batch, Before, Checkpoint, CommitError, CommitErrorKind, EventRecord, FoldItem, OpenError, Reader, Settings, VERSION, Watch, Woken,
    Writer, open, open_reader,
};
use rusqlite::Connection;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// 2026-11-24T03:04:05Z
const T0: i64 = 1_795_489_445_000;
const DAY: i64 = 86_400_000;

fn settings(dir: &Path) -> Settings {
    Settings { path: dir.join("heyun.db") }
}

fn fresh() -> (TempDir, Writer, Reader) {
    let dir = tempfile::tempdir().unwrap();
    let (writer, reader) = open(&settings(dir.path())).unwrap();
    (dir, writer, reader)
}

fn row(ts: i64, source: u32, v: i64) -> Row {
    Row { ts: Ts(ts), source: SourceId(source), values: Values::single(v), flags: Flags::NONE }
}

fn rows(id: u64, rows: Vec<Row>) -> Arc<Batch> {
    Arc::new(Batch { id, received: Ts(T0 + id as i64), rows, ..Batch::default() })
}

fn event(seq: u64, incident: &str) -> EventRecord {
    EventRecord { seq, at: Ts(T0 + seq as i64), incident: incident.into(), code: "opened".into(), body: format!("{{\"n\":{seq}}}") }
}

fn source(source: u32, columns: &[(&str, Quantity)]) -> SourceRecord {
    let columns = columns.iter().map(|(name, quantity)| Column { name: (*name).into(), quantity: *quantity }).collect();
    SourceRecord { source: SourceId(source), id: format!("gw.S{source}").into(), topic: format!("meters/{source}/state").into(), columns }
}

fn fold(reader: &Reader, after: u64) -> Vec<FoldItem> {
    let mut out = Vec::new();
    let mut push = |item| {
        out.push(item);
        ControlFlow::Continue(())
    };
    reader.fold_from(after, &mut push).unwrap();
    out
}

#[test]
fn what_goes_in_comes_out() {
    let (_dir, writer, reader) = fresh();
    let mut full = Values::NONE;
    (0..8).for_each(|i| full.set(i, [i64::MIN, -1, 0, 1, 1 << 40, i64::MAX, 7, 8][i]));
    let mut gaps = Values::NONE;
    gaps.set(2, 5);
    let batch = Batch {
        outbox: vec![],
        ledger: vec![],
        id: 1,
        received: Ts(T0),
        rows: vec![
            Row { ts: Ts(T0 + 2), source: SourceId(2), values: full, flags: Flags::CLOCK_UNSURE | Flags::ARRIVAL_TIME },
            Row { ts: Ts(T0 + 1), source: SourceId(1), values: gaps, flags: Flags::NONE },
            Row { ts: Ts(T0 + 2), source: SourceId(1), values: Values::NONE, flags: Flags::NONE },
        ],
        sources: vec![source(1, &[("total", Quantity::Volume)]), source(2, &[])],
        identities: vec![IdentityRecord { kind: IdentityKind::Meter, key: "SN 1".into(), id: "gw.M1".into() }],
        events: vec![event(1, "gw.A"), event(2, "gw.B")],
        checkpoint: Some(Checkpoint { format: 3, body: vec![0, 255, 1] }),
    };
    assert!(!writer.commit(Arc::new(batch.clone())).unwrap().repeated);

    assert_eq!(reader.lookup(SourceId(2), Ts(T0 + 2)).unwrap(), Some(full));
    assert_eq!(reader.lookup(SourceId(2), Ts(T0 + 1)).unwrap(), None);
    assert_eq!(reader.readings(SourceId(1), Ts(T0), Ts(T0 + 3), 10).unwrap(), batch.rows[1..]);
    assert_eq!(reader.readings(SourceId(1), Ts(T0), Ts(T0 + 2), 10).unwrap(), batch.rows[1..2], "the end is excluded");
    assert_eq!(reader.readings(SourceId(1), Ts(T0 + 1), Ts(T0 + 3), 1).unwrap(), batch.rows[1..2], "the limit holds");
    assert_eq!(reader.row_before(SourceId(1), Ts(T0 + 2)).unwrap(), Before::Row(batch.rows[1]));
    assert_eq!(reader.row_before(SourceId(1), Ts(T0 + 1)).unwrap(), Before::Nothing);
    assert_eq!(reader.sources().unwrap(), batch.sources);
    assert_eq!(reader.identities().unwrap(), batch.identities);
    assert_eq!(reader.events_after(0, 10).unwrap(), batch.events);
    assert_eq!(reader.events_after(0, 1).unwrap(), batch.events[..1]);
    assert_eq!(reader.events_of("gw.B").unwrap(), batch.events[1..]);
    assert_eq!(reader.checkpoint().unwrap().unwrap().checkpoint, batch.checkpoint.unwrap());
    let head = reader.last_batch().unwrap().unwrap();
    assert_eq!((head.batch, head.received, head.rows, head.total_rows, head.last_event), (1, Ts(T0), 3, 3, 2));
    let stats = reader.stats().unwrap();
    assert_eq!((stats.rows, stats.batches, stats.events, stats.first, stats.last), (3, 1, 2, Some(Ts(T0 + 1)), Some(Ts(T0 + 2))));
    assert!(stats.file_bytes > 0 && stats.wal_bytes > 0);
}

#[test]
fn an_empty_store_answers_with_nothing() {
    let (_dir, _writer, reader) = fresh();
    assert_eq!(reader.last_batch().unwrap(), None);
    assert_eq!(reader.checkpoint().unwrap(), None);
    assert_eq!(fold(&reader, 0), []);
    assert_eq!((reader.stats().unwrap().first, reader.stats().unwrap().rows), (None, 0));
}

#[test]
fn everything_is_there_after_a_reopening_and_the_log_is_gone() {
    let (dir, writer, reader) = fresh();
    for id in 1..=20 {
        writer.commit(rows(id, vec![row(T0 + id as i64, 1, 7)])).unwrap();
    }
    assert_eq!(reader.dedicated().readings(SourceId(1), Ts(0), Ts(i64::MAX), 100).unwrap().len(), 20);
    drop(reader);
    writer.close().unwrap();
    assert!(!dir.path().join("heyun.db-wal").exists());
    let (writer, reader) = open(&settings(dir.path())).unwrap();
    assert_eq!(reader.readings(SourceId(1), Ts(0), Ts(i64::MAX), 100).unwrap().len(), 20);
    writer.commit(rows(21, vec![row(T0 + 21, 1, 7)])).unwrap();
}

#[test]
fn what_a_killed_process_left_in_the_log_is_in_the_file_once_it_is_opened() {
    let (dir, writer, _reader) = fresh();
    for id in 1..=20 {
        writer.commit(rows(id, vec![row(T0 + id as i64, 1, 7)])).unwrap();
    }
    let copy = |from: &Path, to: &Path, name: &str| std::fs::copy(from.join(name), to.join(name)).unwrap();
    // As a kill leaves it: the log beside the file.
    let killed = tempfile::tempdir().unwrap();
    copy(dir.path(), killed.path(), "heyun.db");
    assert!(copy(dir.path(), killed.path(), "heyun.db-wal") > 0);
    let (_writer, reader) = open(&settings(killed.path())).unwrap();
    assert_eq!(reader.stats().unwrap().wal_bytes, 0);
    // The file alone tells all: nothing hangs on a log that the disk may not have.
    let alone = tempfile::tempdir().unwrap();
    copy(killed.path(), alone.path(), "heyun.db");
    let reader = open_reader(&settings(alone.path())).unwrap();
    assert_eq!(reader.readings(SourceId(1), Ts(0), Ts(i64::MAX), 100).unwrap().len(), 20);
}

#[test]
fn closing_with_a_reader_open_loses_nothing() {
    let (dir, writer, reader) = fresh();
    writer.commit(rows(1, vec![row(T0, 1, 7)])).unwrap();
    assert!(reader.lookup(SourceId(1), Ts(T0)).unwrap().is_some());
    writer.close().unwrap();
    assert!(reader.lookup(SourceId(1), Ts(T0)).unwrap().is_some());
    let (_writer, again) = open(&settings(dir.path())).unwrap();
    assert!(again.lookup(SourceId(1), Ts(T0)).unwrap().is_some());
}

#[test]
fn a_key_clash_names_both_rows_and_leaves_nothing_of_the_batch() {
    let (_dir, writer, reader) = fresh();
    writer.commit(rows(1, vec![row(T0, 1, 7), row(T0, 2, 8)])).unwrap();
    let bad = Batch {
        sources: vec![source(9, &[])],
        events: vec![event(1, "gw.A")],
        checkpoint: Some(Checkpoint { format: 1, body: vec![1] }),
        ..(*rows(2, vec![row(T0 - 5, 1, 1), row(T0, 2, 9), row(T0 + 5, 1, 2)])).clone()
    };
    let err = writer.commit(Arc::new(bad.clone())).unwrap_err();
    assert_eq!(err.kind(), CommitErrorKind::Fatal);
    let CommitError::Clash { pos: 1, stored_batch: 1, stored_pos: 1, new, stored, .. } = &err else { panic!("{err}") };
    assert_eq!((**new, **stored), (row(T0, 2, 9), row(T0, 2, 8)));

    assert_eq!(reader.last_batch().unwrap().unwrap().batch, 1);
    assert_eq!(reader.stats().unwrap().first, Some(Ts(T0)));
    assert_eq!(reader.sources().unwrap(), []);
    assert_eq!(reader.events_after(0, 9).unwrap(), []);
    assert_eq!(reader.checkpoint().unwrap(), None);

    // The writer is none the worse: the batch, mended, is taken under the same id.
    let mended = Batch { rows: vec![bad.rows[0], bad.rows[2]], ..bad };
    writer.commit(Arc::new(mended)).unwrap();
    assert_eq!(reader.stats().unwrap().rows, 4);
}

#[test]
fn a_batch_that_is_stored_is_recognised_and_not_written_again() {
    let (dir, writer, reader) = fresh();
    let one = Arc::new(Batch { events: vec![event(1, "gw.A")], ..(*rows(1, vec![row(T0 + 9, 1, 7), row(T0, 2, 8)])).clone() });
    assert!(!writer.commit(one.clone()).unwrap().repeated);
    assert!(writer.commit(one.clone()).unwrap().repeated);
    writer.close().unwrap();
    let (writer, _) = open(&settings(dir.path())).unwrap();
    assert!(writer.commit(one.clone()).unwrap().repeated, "also by the next process");
    writer.commit(rows(2, vec![row(T0 + 10, 1, 7)])).unwrap();
    assert_eq!(reader.stats().unwrap().rows, 3);
    assert_eq!(reader.events_after(0, 9).unwrap().len(), 1);

    for other in [
        Batch { received: Ts(1), ..(*one).clone() },
        Batch { rows: vec![one.rows[1], one.rows[0]], ..(*one).clone() },
        Batch { rows: vec![one.rows[0], row(T0, 2, 9)], ..(*one).clone() },
        Batch { events: vec![EventRecord { body: String::new(), ..event(1, "gw.A") }], ..(*one).clone() },
    ] {
        let err = writer.commit(Arc::new(other)).unwrap_err();
        assert!(matches!(err, CommitError::Differs { batch: 1 }), "{err}");
    }
}

#[test]
fn batches_and_events_are_dense() {
    let (_dir, writer, reader) = fresh();
    assert!(matches!(writer.commit(rows(2, vec![])), Err(CommitError::Gap { batch: 2, newest: 0 })));
    assert!(matches!(writer.commit(rows(0, vec![])), Err(CommitError::Gap { batch: 0, newest: 0 })));
    writer.commit(rows(1, vec![])).unwrap();
    let skipped = Batch { events: vec![event(1, "a"), event(3, "a")], ..(*rows(2, vec![])).clone() };
    let err = writer.commit(Arc::new(skipped)).unwrap_err();
    assert!(matches!(err, CommitError::EventGap { batch: 2, seq: 3, expected: 2 }), "{err}");
    assert_eq!(reader.events_after(0, 9).unwrap(), []);
}

#[test]
fn a_row_that_no_key_holds_is_refused_with_its_batch() {
    let (_dir, writer, reader) = fresh();
    for bad in [row(1 << 42, 1, 1), row(i64::MIN, 1, 1), row(T0, 1 << 20, 1)] {
        let err = writer.commit(rows(1, vec![row(T0, 1, 1), bad])).unwrap_err();
        assert!(matches!(err, CommitError::Unholdable { pos: 1, .. }) && err.kind() == CommitErrorKind::Fatal, "{err}");
    }
    assert_eq!(reader.stats().unwrap().rows, 0);
}

#[test]
fn columns_may_grow_but_a_source_stays_who_it_is() {
    let (_dir, writer, reader) = fresh();
    let with = |id, s| Arc::new(Batch { sources: vec![s], ..(*rows(id, vec![])).clone() });
    writer.commit(with(1, source(1, &[("total", Quantity::Volume)]))).unwrap();
    let grown = source(1, &[("total", Quantity::Volume), ("battery", Quantity::Ratio)]);
    writer.commit(with(2, grown.clone())).unwrap();
    assert_eq!(reader.sources().unwrap(), [grown]);
    for wrong in [SourceRecord { id: "gw.X".into(), ..source(1, &[]) }, SourceRecord { source: SourceId(2), ..source(1, &[]) }] {
        let err = writer.commit(with(3, wrong)).unwrap_err();
        assert!(matches!(err, CommitError::SourceDiffers { .. }), "{err}");
    }
}

#[test]
fn two_checkpoints_are_kept() {
    let (dir, writer, reader) = fresh();
    for id in 1..=5 {
        let checkpoint = Some(Checkpoint { format: 1, body: vec![id as u8; 20_000] });
        writer.commit(Arc::new(Batch { checkpoint, ..(*rows(id, vec![])).clone() })).unwrap();
    }
    let newest = reader.checkpoint().unwrap().unwrap();
    assert_eq!((newest.batch, newest.checkpoint.body[0]), (5, 5));
    let older = reader.checkpoint_before(5).unwrap().unwrap();
    assert_eq!((older.batch, older.checkpoint.body.len()), (4, 20_000));
    assert_eq!(reader.checkpoint_before(4).unwrap(), None);
    drop(reader);
    writer.close().unwrap();
    assert!(std::fs::metadata(dir.path().join("heyun.db")).unwrap().len() < 150_000, "replaced, not added");
}

#[test]
fn a_fold_gives_commits_in_order_with_late_rows_and_events() {
    let (_dir, writer, reader) = fresh();
    let mut expected = Vec::new();
    let mut seq = 0;
    for id in 1..=60u64 {
        let t = T0 + id as i64 * 7_000;
        // Backwards within the batch; every third batch has a row that is half a year late, every seventh one from the future.
        let mut r: Vec<Row> = (0..5).map(|i| row(t - i * 1_000, i as u32, id as i64)).collect();
        if id % 3 == 0 {
            r.insert(2, row(t - 180 * DAY, 9, 1));
        }
        if id % 7 == 0 {
            r.push(row(t + 20 * DAY, 9, 2));
        }
        // The late row of one batch that lies amid the rows of others.
        if id == 50 {
            r.push(row(T0 + 8_500, 8, 3));
        }
        let events: Vec<_> = (0..id % 4).map(|k| event(seq + k + 1, "gw.A")).collect();
        seq += id % 4;
        expected.push(FoldItem::Commit { batch: id, received: Ts(T0 + id as i64), rows: r.len() as u64 });
        expected.extend(r.iter().enumerate().map(|(pos, row)| FoldItem::Row { batch: id, pos: pos as u32, row: *row }));
        expected.extend(events.iter().map(|e| FoldItem::Event { batch: id, event: e.clone() }));
        writer.commit(Arc::new(Batch { events, ..(*rows(id, r)).clone() })).unwrap();
    }
    assert_eq!(fold(&reader, 0), expected);
    let batch_of = |i: &FoldItem| match i {
        FoldItem::Commit { batch, .. } | FoldItem::Row { batch, .. } | FoldItem::Event { batch, .. } => *batch,
    };
    let after_33: Vec<_> = expected.iter().filter(|i| batch_of(i) > 33).cloned().collect();
    assert_eq!(fold(&reader, 33), after_33);
    assert_eq!(fold(&reader, 60), []);

    let mut taken = 0;
    let mut some = |_| {
        taken += 1;
        if taken == 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    reader.fold_from(0, &mut some).unwrap();
    assert_eq!(taken, 10);
}

#[test]
fn a_fold_crosses_its_groups_without_loss() {
    let (_dir, writer, reader) = fresh();
    // More rows than one group holds, a commit that alone is more, and a jump of a year between commits.
    let sizes = [6_000, 6_000, 9_000, 1, 10];
    let mut t = T0;
    for (i, n) in sizes.into_iter().enumerate() {
        t += if i == 4 { 365 * DAY } else { 10_000 };
        let r = (0..n).map(|k| row(t, k, 1)).collect();
        writer.commit(rows(i as u64 + 1, r)).unwrap();
    }
    let mut order = Vec::new();
    let mut push = |item| {
        if let FoldItem::Row { batch, pos, .. } = item {
            order.push((batch, pos));
        }
        ControlFlow::Continue(())
    };
    reader.fold_from(0, &mut push).unwrap();
    let expected: Vec<_> = (1u64..).zip(sizes).flat_map(|(b, n)| (0..n).map(move |p| (b, p))).collect();
    assert_eq!(order, expected);
}

#[test]
fn a_fold_notices_missing_rows() {
    let (dir, writer, reader) = fresh();
    writer.commit(rows(1, vec![row(T0, 1, 1), row(T0, 2, 1)])).unwrap();
    Connection::open(dir.path().join("heyun.db")).unwrap().execute("DELETE FROM hot_0 WHERE source = 2", []).unwrap();
    let err = reader.fold_from(0, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(err.to_string().contains("batch 1 says that it has 2 rows, 1 were found"), "{err}");
}

#[test]
fn a_scan_pages_through_everything_in_key_order() {
    let (_dir, writer, reader) = fresh();
    for id in 1..=10u64 {
        writer.commit(rows(id, (0..1_000).map(|k| row(T0 + id as i64 / 3, k + 1_000 * id as u32, 1)).collect())).unwrap();
    }
    let mut seen = Vec::new();
    let mut push = |r: Row| {
        seen.push((r.ts, r.source));
        // A question from within must not wait for the connection that asks it.
        if seen.len() == 5_000 {
            assert!(reader.lookup(r.source, r.ts).unwrap().is_some());
        }
        ControlFlow::Continue(())
    };
    reader.scan(Ts(T0), Ts(T0 + 3), &mut push).unwrap();
    assert_eq!(seen.len(), 8_000);
    assert!(seen.is_sorted());
}

/// Without it a day that ends between two looks is told with the next reading, an hour later, or never while nothing is read.
#[test]
fn who_waits_for_readings_that_came_while_he_was_asking_does_not_wait() {
    let (_dir, writer, _reader) = fresh();
    let volumes = writer.volumes().unwrap();
    let at_once = || volumes.wait(Duration::ZERO);
    let watch = |until| volumes.watch(Watch { before: Ts(i64::MIN), until }).unwrap().reached;
    assert_eq!((watch(Ts::LATEST), at_once()), (None, Woken::Seen), "who begins looks first");
    assert_eq!((watch(Ts::LATEST), at_once()), (None, Woken::Timeout));
    let (first, second) = (row(T0 - DAY, 1, 1), row(T0, 1, 2));
    writer.commit(rows(1, vec![first])).unwrap();
    assert_eq!((watch(Ts(T0 - DAY + 1)), at_once()), (Some(first.ts), Woken::Timeout), "not reached yet");
    assert_eq!((watch(Ts::LATEST), at_once()), (Some(first.ts), Woken::Timeout));
    writer.commit(rows(2, vec![second])).unwrap();
    assert_eq!((watch(second.ts), at_once()), (Some(second.ts), Woken::Seen), "reached before it was asked for");
}

#[test]
fn readers_see_whole_batches_while_batches_are_written() {
    let (_dir, writer, reader) = fresh();
    let done = AtomicBool::new(false);
    std::thread::scope(|s| {
        let watchers: Vec<_> = (0..3)
            .map(|_| {
                s.spawn(|| {
                    let mut last = 0;
                    loop {
                        // Asked before the look, so that the last look comes after the last commit.
                        let finished = done.load(Ordering::Acquire);
                        let n = reader.readings(SourceId(1), Ts(0), Ts(i64::MAX), usize::MAX).unwrap().len();
                        assert!(n % 10 == 0 && n >= last, "{n} rows after {last}");
                        last = n;
                        if finished {
                            return last;
                        }
                    }
                })
            })
            .collect();
        for id in 1..=200 {
            writer.commit(rows(id, (0..10).map(|k| row(T0 + id as i64 * 10 + k, 1, k)).collect())).unwrap();
        }
        done.store(true, Ordering::Release);
        assert!(watchers.into_iter().all(|w| w.join().unwrap() == 2_000));
    });
}

#[test]
fn a_ping_passes_through_the_thread() {
    let (_dir, writer, _reader) = fresh();
    writer.ping().unwrap();
}

#[test]
fn a_second_writer_is_refused_while_the_first_lives() {
    let (dir, writer, _reader) = fresh();
    let err = open(&settings(dir.path())).unwrap_err();
    assert!(matches!(err, OpenError::InUse { .. }), "{err}");
    assert!(err.to_string().contains(&format!("process {}", std::process::id())), "{err}");
    let link = dir.path().join("other.db");
    std::os::unix::fs::symlink(dir.path().join("heyun.db"), &link).unwrap();
    assert!(matches!(open(&Settings { path: link }), Err(OpenError::InUse { .. })), "by another name it is the same file");
    drop(writer);
    open(&settings(dir.path())).unwrap();
}

#[test]
fn a_reader_opens_beside_the_writer_and_alone() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(open_reader(&settings(dir.path())), Err(OpenError::Missing { .. })));
    let (writer, _) = open(&settings(dir.path())).unwrap();
    writer.commit(rows(1, vec![row(T0, 1, 7)])).unwrap();
    let beside = open_reader(&settings(dir.path())).unwrap();
    assert_eq!(beside.stats().unwrap().rows, 1);
    writer.close().unwrap();
    assert_eq!(open_reader(&settings(dir.path())).unwrap().stats().unwrap().rows, 1);
}

/// The message of a refusal, and proof that the file was left alone.
fn refusal(path: &Path) -> String {
    let before = std::fs::read(path).unwrap();
    let err = open(&Settings { path: path.to_owned() }).unwrap_err();
    assert_eq!(std::fs::read(path).unwrap(), before, "{err}");
    let text = err.to_string();
    assert!(text.contains(path.to_str().unwrap()), "{text}");
    text
}

#[test]
fn a_newer_schema_is_refused() {
    let (dir, writer, reader) = fresh();
    drop(reader);
    writer.close().unwrap();
    let path = dir.path().join("heyun.db");
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", VERSION + 1).unwrap();
    drop(conn);
    let text = refusal(&path);
    assert!(text.contains(&format!("schema version {}, this heyun knows {VERSION}; install a newer heyun", VERSION + 1)), "{text}");
    assert!(matches!(open_reader(&Settings { path }), Err(OpenError::Newer { .. })));
}

#[test]
fn files_of_others_are_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let foreign = dir.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x); PRAGMA application_id = 252006675;").unwrap();
    let text = refusal(&foreign);
    assert!(text.contains("not of heyun (application_id 0xf055113)"), "{text}");

    for (name, content) in [("short", "hello".to_owned()), ("long", "ts,meter,value\n".repeat(5_000))] {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        let text = refusal(&path);
        assert!(text.contains("not an SQLite database"), "{text}");
    }
}

#[test]
fn a_missing_directory_and_a_directory_for_a_file_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let err = open(&Settings { path: dir.path().join("none/heyun.db") }).unwrap_err();
    assert!(err.to_string().contains("none: the directory does not exist; create it"), "{err}");
    let err = open(&Settings { path: dir.path().to_owned() }).unwrap_err();
    assert!(err.to_string().contains("cannot be written"), "{err}");
}

#[test]
fn a_file_that_vanishes_is_noticed_before_anything_is_acknowledged() {
    let (dir, writer, _reader) = fresh();
    writer.commit(rows(1, vec![row(T0, 1, 7)])).unwrap();
    std::fs::rename(dir.path().join("heyun.db"), dir.path().join("old.db")).unwrap();
    let err = writer.commit(rows(2, vec![row(T0 + 1, 1, 7)])).unwrap_err();
    assert!(matches!(err, CommitError::Replaced { .. }) && err.kind() == CommitErrorKind::Fatal, "{err}");
    std::fs::rename(dir.path().join("old.db"), dir.path().join("heyun.db")).unwrap();
    writer.commit(rows(2, vec![row(T0 + 1, 1, 7)])).unwrap();
}

#[test]
fn any_tool_can_read_the_views() {
    let (dir, writer, _reader) = fresh();
    let mut values = Values::NONE;
    values.set(0, 12_345);
    values.set(2, 21_500);
    let batch = Batch {
        sources: vec![source(1, &[("total", Quantity::Volume), ("flow", Quantity::Flow), ("supply", Quantity::Temperature)])],
        events: vec![event(1, "gw.A")],
        ..(*rows(
            1,
            vec![
                Row { ts: Ts(T0 + 1), source: SourceId(1), values, flags: Flags::CLOCK_UNSURE },
                Row { ts: Ts(T0 + 999), source: SourceId(1), values: Values::single(-3), flags: Flags::NONE },
            ],
        ))
        .clone()
    };
    writer.commit(Arc::new(batch)).unwrap();
    let conn = Connection::open(dir.path().join("heyun.db")).unwrap();
    let lines =
        |sql: &str| -> Vec<String> { conn.prepare(sql).unwrap().query_map([], |r| r.get(0)).unwrap().collect::<Result<_, _>>().unwrap() };
    assert_eq!(
        lines("SELECT concat_ws('|', time, topic, name, value, unit, clock_unsure) FROM v_readings ORDER BY time, name"),
        [
            "2026-11-24T03:04:05.001Z|meters/1/state|supply|21500|m°C|1",
            "2026-11-24T03:04:05.001Z|meters/1/state|total|12345|mL|1",
            "2026-11-24T03:04:05.999Z|meters/1/state|total|-3|mL|0",
        ]
    );
    assert_eq!(lines("SELECT concat_ws('|', seq, time, incident, code) FROM v_events"), ["1|2026-11-24T03:04:05.001Z|gw.A|opened"]);
    assert_eq!(
        lines("SELECT concat_ws('|', batch, received, rows, first, last) FROM v_commits"),
        ["1|2026-11-24T03:04:05.001Z|2|2026-11-24T03:04:05.001Z|2026-11-24T03:04:05.999Z"]
    );
    assert_eq!(lines("PRAGMA integrity_check"), ["ok"]);
}
