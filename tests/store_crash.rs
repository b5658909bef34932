//! The store when things go wrong around it: a process killed, a disk full.
#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it is surprised")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers of the test's own")]

#[path = "support/told.rs"]
mod told;

use heyun::domain::reading::{Flags, Row, SourceId, Values};
use heyun::domain::time::{Ms, Ts};
use heyun::history::{Historian, Step, settle};
use heyun::store::{Batch, Checkpoint, CommitErrorKind, EventRecord, FoldItem, Reader, Settings, open};
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

const CHILD: &str = "HEYUN_TEST_STORE_CHILD";
const T0: i64 = 1_795_489_445_000;

/// Batch `id`, always the same: its size, its late row, its event and its checkpoint all follow from the number.
fn batch(id: u64) -> Arc<Batch> {
    let n = 1 + id % 40;
    let mut rows: Vec<Row> = (0..n)
        .map(|k| Row { ts: Ts(T0 + id as i64 * 5_000), source: SourceId(k as u32), values: Values::single(id as i64), flags: Flags::NONE })
        .collect();
    if id.is_multiple_of(5) {
        rows[0].ts = Ts(T0 - id as i64 * 86_400_000);
    }
    let events =
        vec![EventRecord { seq: id, at: Ts(T0), incident: "gw.A".into(), code: "found".into(), body: "x".repeat(id as usize % 700) }];
    let checkpoint = id.is_multiple_of(16).then(|| Checkpoint { format: 1, body: vec![id as u8; 30_000] });
    let sources = if id == 1 { told::sources(40) } else { vec![] };
    Arc::new(Batch { id, received: Ts(T0 + id as i64 * 5_000), rows, events, checkpoint, sources, ..Batch::default() })
}

/// Everything up to the newest batch is there, whole and as it was sent. Returns the newest batch.
fn verify(reader: &Reader) -> u64 {
    let newest = reader.last_batch().unwrap().map_or(0, |h| h.batch);
    let batches: Vec<Arc<Batch>> = (1..=newest).map(batch).collect();
    // Rows, whether sealed by now or not.
    let mut sent: Vec<Row> = batches.iter().flat_map(|b| b.rows.clone()).collect();
    sent.sort_by_key(|r| (r.ts, r.source));
    let mut stored = Vec::new();
    let mut push = |row| {
        stored.push(row);
        ControlFlow::Continue(())
    };
    reader.scan(Ts(i64::MIN), Ts(i64::MAX), &mut push).unwrap();
    assert!(stored == sent, "{} rows stored, {} sent", stored.len(), sent.len());
    assert_eq!(reader.events_after(0, usize::MAX).unwrap(), batches.iter().flat_map(|b| b.events.clone()).collect::<Vec<_>>());
    // Since the newest checkpoint, commit by commit.
    let mut found: Vec<Batch> = Vec::new();
    let mut take = |item| {
        match item {
            FoldItem::Commit { batch, received, .. } => found.push(Batch { id: batch, received, ..Batch::default() }),
            FoldItem::Row { row, .. } => found.last_mut().unwrap().rows.push(row),
            FoldItem::Event { event, .. } => found.last_mut().unwrap().events.push(event),
        }
        ControlFlow::Continue(())
    };
    let after = newest / 16 * 16;
    assert!(reader.folds_from(after).unwrap());
    reader.fold_from(after, &mut take).unwrap();
    assert_eq!(found.len() as u64, newest - after);
    for (id, b) in (after + 1..).zip(found) {
        assert_eq!(b, Batch { checkpoint: None, sources: vec![], ..(*batch(id)).clone() });
    }
    let checkpoint = reader.checkpoint().unwrap();
    assert_eq!(checkpoint.as_ref().map_or(0, |c| c.batch), newest / 16 * 16);
    assert_eq!(checkpoint.map(|c| c.checkpoint), batch(newest / 16 * 16).checkpoint.clone().filter(|_| newest >= 16));
    told::checked(reader, &told::topology("UTC", 40));
    newest
}

/// Not a test of its own: the process that is killed. Commits without end and says after each that it is stored.
#[test]
fn child_that_commits_until_it_is_killed() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let (writer, reader) = open(&Settings { path: path.into() }).unwrap();
    let (topology, volumes) = (told::topology("UTC", 40), writer.volumes().unwrap());
    settle(&reader, &volumes, &topology).unwrap();
    let mut historian = Historian::new(&topology);
    let mut out = std::io::stdout();
    for id in reader.last_batch().unwrap().map_or(0, |h| h.batch) + 1.. {
        writer.commit(batch(id)).unwrap();
        // A minute of quiet after each: late rows take days back, and they are told again.
        historian.step(&reader, &volumes, Ms::minutes(id as i64)).unwrap();
        writeln!(out, "stored {id}").and_then(|()| out.flush()).unwrap();
    }
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("heyun.db");
    let mut newest = 0;
    // Killed at ever other places: within a commit, between commits, within a checkpoint of the log.
    for round in 0..8u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_commits_until_it_is_killed", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = 0;
        let mut take = |line: String| {
            if let Some(id) = line.rsplit_once("stored ").and_then(|(_, id)| id.parse().ok()) {
                acknowledged = id;
            }
            acknowledged
        };
        let enough = newest + 3 + round * 29;
        for line in lines.by_ref() {
            if take(line.unwrap()) >= enough {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it still said before it died. The last line may be cut off in its middle: that number is not counted.
        let mut rest: Vec<String> = lines.map_while(Result::ok).collect();
        rest.pop();
        rest.into_iter().for_each(|l| {
            take(l);
        });

        let (writer, reader) = open(&Settings { path: path.clone() }).unwrap();
        newest = verify(&reader);
        assert!(newest >= acknowledged && acknowledged >= enough, "round {round}: {newest} stored, {acknowledged} acknowledged");
        // The engine would send again what it did not see acknowledged.
        assert!(writer.commit(batch(newest)).unwrap().repeated);
    }
    // Whatever was taken back when it was killed is told again.
    let (writer, reader) = open(&Settings { path: path.clone() }).unwrap();
    let (topology, volumes) = (told::topology("UTC", 40), writer.volumes().unwrap());
    let mut historian = Historian::new(&topology);
    writer.commit(batch(newest + 1)).unwrap();
    for minutes in 0..2 {
        while let Step::More { .. } = historian.step(&reader, &volumes, Ms::minutes(minutes)).unwrap() {}
    }
    assert!(!told::checked(&reader, &topology)[0].is_empty());
    let check: String = rusqlite::Connection::open(&path).unwrap().query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn a_damaged_file_is_reported_and_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("heyun.db");
    let (writer, _) = open(&Settings { path: path.clone() }).unwrap();
    for id in 1..=100 {
        writer.commit(batch(id)).unwrap();
    }
    writer.close().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    // The first pages hold the schema, so the file still opens.
    bytes[32 * 4096..].fill(0xA5);
    std::fs::write(&path, &bytes).unwrap();

    let (writer, reader) = open(&Settings { path: path.clone() }).unwrap();
    let err = writer.commit(batch(101)).unwrap_err();
    assert_eq!(err.kind(), CommitErrorKind::Fatal, "{err}");
    let err = reader.scan(Ts(i64::MIN), Ts(i64::MAX), &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(err.to_string().contains("malformed"), "{err}");
    writer.close().unwrap();
    assert!(std::fs::read(&path).unwrap() == bytes);
}

/// A file system of 2 MB, gone when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "heyun-test"]).arg(dir.path()).output();
        mounted.is_ok_and(|o| o.status.success()).then_some(SmallDisk(dir))
    }
    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_holds_batches_back_and_loses_none() {
    let Some(disk) = SmallDisk::mount() else {
        // Straight to stderr: the harness hides what a passing test prints.
        let _ =
            writeln!(std::io::stderr(), "SKIPPED a_full_disk_holds_batches_back_and_loses_none: no tmpfs can be mounted here (needs root)");
        return;
    };
    let (writer, reader) = open(&Settings { path: disk.path().join("heyun.db") }).unwrap();
    for id in 1..=20 {
        writer.commit(batch(id)).unwrap();
    }
    // Somebody else fills the disk to the last byte.
    let mut ballast = std::fs::File::create(disk.path().join("ballast")).unwrap();
    while ballast.write(&[1; 1024]).is_ok_and(|n| n > 0) {}

    // What fits into pages that the log has already may still be stored; then it ends.
    let mut next = 21;
    let refused = loop {
        match writer.commit(batch(next)) {
            Ok(_) => next += 1,
            Err(e) => break e,
        }
    };
    assert_eq!(refused.kind(), CommitErrorKind::Retry, "{refused}");
    for _ in 0..5 {
        let again = writer.commit(batch(next)).unwrap_err();
        assert_eq!(again.kind(), CommitErrorKind::Retry, "{again}");
    }
    assert_eq!(verify(&reader), next - 1, "what was acknowledged is there, the refused batch is not");
    writer.ping().unwrap();

    ballast.set_len(0).unwrap();
    for id in next..next + 30 {
        assert!(!writer.commit(batch(id)).unwrap().repeated);
    }
    drop(reader);
    writer.close().unwrap();
    let (_writer, reader) = open(&Settings { path: disk.path().join("heyun.db") }).unwrap();
    assert_eq!(verify(&reader), next + 29);
}
