//! Copies of the database: made beside a writer, verified, put back, also into a newer version.
#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it is surprised")]

use heyun::domain::reading::{Flags, Row, SourceId, Values};
use heyun::domain::time::Ts;
use heyun::store::{
    BackupError, Batch, Copy, Kept, Newer, OpenError, Reader, Restored, Settings, Step, VERSION, Writer, backup, open, open_reader, restore,
};
use rusqlite::Connection;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// 2026-11-24T03:04:05Z
const T0: i64 = 1_795_489_445_000;
const KEPT: &str = "heyun.db.before-restore-20261124T030405Z";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }
    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn db(&self) -> Settings {
        Settings { path: self.file("heyun.db") }
    }
    /// Names in the folder, without the lock.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|n| !n.ends_with(".lock"));
        names.sort();
        names
    }
    fn copy(&self) -> Result<Copy, BackupError> {
        backup(&self.db(), &self.file("copy.db"), false, &mut |_| ControlFlow::Continue(()))
    }
    fn restore(&self) -> Result<Restored, BackupError> {
        restore(&self.file("copy.db"), &self.db(), Ts(T0), &mut |_| ControlFlow::Continue(()))
    }
}

fn batch(id: i64) -> Arc<Batch> {
    let row = |i: i64| Row { ts: Ts(T0 + id * 10_000 + i), source: SourceId(0), values: Values::single(id * 100 + i), flags: Flags::NONE };
    Arc::new(Batch { id: id.unsigned_abs(), received: Ts(T0 + id * 1_000), rows: (0..25).map(row).collect(), ..Batch::default() })
}

fn commit(writer: &Writer, ids: std::ops::RangeInclusive<i64>) {
    for id in ids {
        writer.commit(batch(id)).unwrap();
    }
}

fn rows(reader: &Reader) -> Vec<Row> {
    let mut out = vec![];
    reader
        .scan(Ts::EARLIEST, Ts::LATEST, &mut |row| {
            out.push(row);
            ControlFlow::Continue(())
        })
        .unwrap();
    out
}

fn rows_until(last: i64) -> Vec<Row> {
    (1..=last).flat_map(|id| batch(id).rows.clone()).collect()
}

#[test]
fn a_copy_beside_a_busy_writer_is_one_state_of_it() {
    let folder = Folder::new();
    let (writer, _) = open(&folder.db()).unwrap();
    commit(&writer, 1..=400);
    let over = AtomicBool::new(false);
    let copies = std::thread::scope(|s| {
        s.spawn(|| {
            let mut id = 401;
            while !over.load(Ordering::Relaxed) {
                commit(&writer, id..=id);
                id += 1;
            }
        });
        let mut copies = vec![];
        for n in 0..5 {
            let (mut copying, mut verifying) = (0, 0);
            let to = folder.file(&format!("{n}.db"));
            let copy = backup(&folder.db(), &to, false, &mut |step| {
                match step {
                    Step::Copying { done, of } => copying += i32::from(done <= of),
                    Step::Verifying => verifying += 1,
                }
                ControlFlow::Continue(())
            });
            copies.push(copy.unwrap());
            assert!(copying >= 1 && verifying == 1, "{copying} {verifying}");
        }
        over.store(true, Ordering::Relaxed);
        copies
    });
    for copy in copies {
        let last = i64::try_from(copy.contents.head.batch).unwrap();
        assert!(last >= 400);
        let expected = rows_until(last);
        assert_eq!(
            (copy.contents.newest, ["hot_0", "hot_1", "hot_2", "hot_3"].map(|t| copy.contents.tables[t]).iter().sum::<u64>()),
            (expected.last().map(|r| r.ts), expected.len() as u64)
        );
        assert_eq!(copy.bytes, fs::metadata(&copy.path).unwrap().len());
        // Any tool reads it, also where nothing can be written beside it.
        let plain = Connection::open(format!("file:{}?immutable=1", copy.path.display())).unwrap();
        assert_eq!(plain.query_row("PRAGMA journal_mode", [], |r| r.get::<_, String>(0)).unwrap(), "delete");
        drop(plain);
        assert_eq!(rows(&open_reader(&Settings { path: copy.path.clone() }).unwrap()), expected);
        assert_eq!(
            fs::read_to_string(format!("{}.sha256", copy.path.display())).unwrap(),
            format!("{}  {}\n", copy.sha256, copy.path.file_name().unwrap().display())
        );
    }
    assert!(!folder.names().iter().any(|n| n.ends_with(".part")), "{:?}", folder.names());
}

#[test]
fn nothing_is_replaced_unasked_and_nothing_half_stays() {
    let folder = Folder::new();
    let (writer, _) = open(&folder.db()).unwrap();
    commit(&writer, 1..=3);
    let first = folder.copy().unwrap();
    let refused = folder.copy().unwrap_err();
    assert!(matches!(refused, BackupError::Exists { .. }) && refused.to_string().contains("copy.db stands already; --force"), "{refused}");
    commit(&writer, 4..=4);
    let before = folder.names();
    for stop_at in [Step::Copying { done: 0, of: 0 }, Step::Verifying] {
        let mut stop = |step| {
            if std::mem::discriminant(&step) == std::mem::discriminant(&stop_at) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let stopped = backup(&folder.db(), &folder.file("copy.db"), true, &mut stop).unwrap_err();
        assert!(matches!(stopped, BackupError::Stopped), "{stopped}");
        assert_eq!(folder.names(), before);
    }
    let second = backup(&folder.db(), &folder.file("copy.db"), true, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((first.contents.head.batch, second.contents.head.batch), (3, 4));
    assert_ne!(first.sha256, second.sha256);

    for (to, wanted) in [("no/such/copy.db", "no such directory"), ("heyun.db", "one file"), ("", "cannot be written")] {
        let refused = backup(&folder.db(), &folder.file(to), true, &mut |_| ControlFlow::Continue(())).unwrap_err().to_string();
        assert!(refused.contains(wanted), "{to}: {refused}");
    }
    let missing = backup(&Settings { path: folder.file("none.db") }, &folder.file("x.db"), false, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(missing, Err(BackupError::Open(OpenError::Missing { .. }))));
    assert!(!folder.file("none.db").exists() && !folder.file("x.db").exists());
}

#[test]
fn what_is_restored_is_what_was_copied_and_what_was_there_is_kept() {
    let folder = Folder::new();
    let (writer, _) = open(&folder.db()).unwrap();
    commit(&writer, 1..=5);
    folder.copy().unwrap();
    commit(&writer, 6..=8);

    let refused = folder.restore().unwrap_err();
    assert!(matches!(refused, BackupError::Open(OpenError::InUse { .. })), "{refused}");
    writer.close().unwrap();
    let export = open_reader(&folder.db()).unwrap();
    rows(&export);
    let refused = folder.restore().unwrap_err();
    assert!(matches!(refused, BackupError::BeingRead { .. }), "{refused}");
    drop(export);

    let done = folder.restore().unwrap();
    let newer = Newer::Readings { readings: 75, events: 0, from: Ts(T0 + 6_000), to: Ts(T0 + 8_000) };
    assert_eq!((done.digest_checked, done.kept), (true, Some(Kept { path: folder.file(KEPT).canonicalize().unwrap(), newer })));
    assert_eq!(folder.names(), ["copy.db", "copy.db.sha256", "heyun.db", KEPT]);
    let (writer, reader) = open(&folder.db()).unwrap();
    assert_eq!(rows(&reader), rows_until(5));
    // Life goes on, on another way than before.
    let other = Batch { received: Ts(T0 + 99_000), ..(*batch(6)).clone() };
    writer.commit(Arc::new(other)).unwrap();
    writer.close().unwrap();
    drop(reader);
    assert_eq!(rows(&open_reader(&Settings { path: folder.file(KEPT) }).unwrap()), rows_until(8));

    fs::rename(folder.file(KEPT), folder.file("copy.db")).unwrap();
    fs::remove_file(folder.file("copy.db.sha256")).unwrap();
    let done = folder.restore().unwrap();
    assert_eq!((done.digest_checked, done.kept.map(|k| k.newer)), (false, Some(Newer::Unrelated { readings: 150 })));
}

#[test]
fn a_second_restore_of_the_same_copy_loses_nothing() {
    let folder = Folder::new();
    let (writer, _) = open(&folder.db()).unwrap();
    commit(&writer, 1..=5);
    folder.copy().unwrap();
    writer.close().unwrap();
    for n in ["", "-2"] {
        let kept = folder.restore().unwrap().kept.unwrap();
        assert_eq!((kept.path.ends_with(format!("{KEPT}{n}")), kept.newer), (true, Newer::Nothing));
    }
    fs::remove_file(folder.file("heyun.db")).unwrap();
    assert_eq!(folder.restore().unwrap().kept, None);
    assert_eq!(rows(&open(&folder.db()).unwrap().1), rows_until(5));
}

#[test]
fn a_copy_that_changed_is_refused_and_the_database_stays() {
    let folder = Folder::new();
    let (writer, _) = open(&folder.db()).unwrap();
    commit(&writer, 1..=200);
    writer.close().unwrap();
    folder.copy().unwrap();
    let good = fs::read(folder.file("copy.db")).unwrap();

    // A value is another: no structure is wrong, the digest alone can tell.
    let altered = Connection::open(folder.file("copy.db")).unwrap();
    altered.execute("UPDATE hot_0 SET v0 = v0 + 1 WHERE pos = 7 AND batch = 100", []).unwrap();
    drop(altered);
    let refused = folder.restore().unwrap_err();
    assert!(matches!(refused, BackupError::Digest { .. }), "{refused}");

    // Without a digest: a page that is no page.
    fs::remove_file(folder.file("copy.db.sha256")).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2 / 4096 * 4096;
    bad[middle..middle + 512].fill(0xAA);
    fs::write(folder.file("copy.db"), &bad).unwrap();
    let refused = folder.restore().unwrap_err();
    assert!(matches!(refused, BackupError::Damaged { .. }), "{refused}");

    fs::write(folder.file("copy.db"), &good[..good.len() / 2]).unwrap();
    let refused = folder.restore().unwrap_err();
    assert!(matches!(refused, BackupError::Damaged { .. } | BackupError::Copy { .. }), "{refused}");
    fs::write(folder.file("copy.db"), "no database").unwrap();
    let refused = folder.restore().unwrap_err();
    assert!(matches!(refused, BackupError::Open(OpenError::NotADatabase { .. })), "{refused}");

    assert!(!folder.names().iter().any(|n| n.contains("before") || n.contains("part")), "{:?}", folder.names());
    assert_eq!(rows(&open(&folder.db()).unwrap().1), rows_until(200));
}

#[test]
fn a_damaged_database_gives_no_copy_and_gives_way_to_one() {
    let folder = Folder::new();
    let (writer, _) = open(&folder.db()).unwrap();
    commit(&writer, 1..=200);
    writer.close().unwrap();
    let good = folder.copy().unwrap();
    let mut bytes = fs::read(folder.file("heyun.db")).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 512].fill(0xAA);
    fs::write(folder.file("heyun.db"), &bytes).unwrap();
    let refused = backup(&folder.db(), &folder.file("second.db"), false, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(refused, BackupError::Damaged { .. }) && refused.to_string().contains("store check"), "{refused}");
    assert!(!folder.file("second.db").exists() && !folder.file("second.db.part").exists());

    // Nothing of it can be read, and a log lies beside it: both go out of the way.
    fs::write(folder.file("heyun.db"), vec![0x55; 20_000]).unwrap();
    fs::write(folder.file("heyun.db-wal"), "a log of what is gone").unwrap();
    let kept = folder.restore().unwrap().kept.unwrap();
    assert!(matches!(kept.newer, Newer::Unreadable(_)), "{kept:?}");
    assert_eq!(fs::read(folder.file(KEPT)).unwrap().len(), 20_000);
    assert!(!folder.file("heyun.db-wal").exists(), "{:?}", folder.names());
    assert_eq!(good.contents.head.batch, 200);
    assert_eq!(rows(&open(&folder.db()).unwrap().1), rows_until(200));
}

/// The log of a killed daemon holds what the file does not.
#[test]
fn the_log_of_a_killed_daemon_is_kept_with_its_file() {
    let folder = Folder::new();
    let (writer, _) = open(&folder.db()).unwrap();
    commit(&writer, 1..=2);
    folder.copy().unwrap();
    commit(&writer, 3..=4);
    let killed = Folder::new();
    for name in ["heyun.db", "heyun.db-wal", "copy.db", "copy.db.sha256"] {
        fs::copy(folder.file(name), killed.file(name)).unwrap();
    }
    let kept = killed.restore().unwrap().kept.unwrap();
    assert!(matches!(kept.newer, Newer::Readings { readings: 50, .. }), "{kept:?}");
    assert_eq!(killed.names(), ["copy.db", "copy.db.sha256", "heyun.db", KEPT]);
    let kept = Connection::open(killed.file(KEPT)).unwrap();
    assert_eq!(kept.query_row("SELECT count(*) FROM readings", [], |r| r.get::<_, i64>(0)).unwrap(), 100);

    // The file was removed, its log was not: it belongs to no copy.
    fs::remove_file(killed.file("heyun.db")).unwrap();
    fs::copy(folder.file("heyun.db-wal"), killed.file("heyun.db-wal")).unwrap();
    assert_eq!(killed.restore().unwrap().kept, None);
    assert_eq!(rows(&open(&killed.db()).unwrap().1), rows_until(2));
}

#[test]
fn somebody_elses_database_is_never_replaced() {
    let folder = Folder::new();
    let (writer, _) = open(&folder.db()).unwrap();
    commit(&writer, 1..=2);
    folder.copy().unwrap();
    let theirs = folder.file("theirs.db");
    Connection::open(&theirs).unwrap().execute_batch("CREATE TABLE theirs (x); PRAGMA application_id = 7;").unwrap();
    let before = fs::read(&theirs).unwrap();
    let refused =
        restore(&folder.file("copy.db"), &Settings { path: theirs.clone() }, Ts(T0), &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(refused, BackupError::Open(OpenError::Foreign { application_id: 7, .. })), "{refused}");
    assert_eq!(fs::read(&theirs).unwrap(), before);
    let refused = restore(&theirs, &folder.db(), Ts(T0), &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(refused, BackupError::Open(OpenError::InUse { .. })), "{refused}");
    writer.close().unwrap();
    let refused = restore(&theirs, &folder.db(), Ts(T0), &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(refused, BackupError::Open(OpenError::Foreign { .. })), "{refused}");
}

/// A database as the version of that number left it, with the rows of [`rows_until`] in it.
fn old(path: &Path, version: usize, batches: i64) {
    const MADE: [&str; 3] =
        [include_str!("data/store/version-1.sql"), include_str!("data/store/version-2.sql"), include_str!("data/store/version-3.sql")];
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;").unwrap();
    MADE[..version].iter().for_each(|sql| conn.execute_batch(sql).unwrap());
    for id in 1..=batches {
        let b = batch(id);
        for (pos, r) in (0i64..).zip(&b.rows) {
            let row = (r.ts.0 << 20 | i64::from(r.source.0), id, pos, r.values.get(0));
            conn.execute("INSERT INTO readings (key, batch, pos, flags, v0) VALUES (?1, ?2, ?3, 0, ?4)", row).unwrap();
        }
        let (first, last) = (b.rows[0].ts.0, b.rows[24].ts.0);
        conn.execute("INSERT INTO commits VALUES (?1, ?2, 25, ?3, ?4, ?5, 0)", (id, b.received.0, first, last, id * 25)).unwrap();
    }
}

#[test]
fn a_copy_of_an_older_version_is_restored_into_this_one() {
    for version in 1..=3 {
        let folder = Folder::new();
        old(&folder.file("heyun.db"), version, 40);
        let copy = folder.copy().unwrap();
        assert_eq!((copy.contents.schema, copy.contents.head.batch), (version as i64, 40));
        let new = Folder::new();
        let (writer, _) = open(&new.db()).unwrap();
        commit(&writer, 1..=41);
        writer.close().unwrap();
        for name in ["copy.db", "copy.db.sha256"] {
            fs::copy(folder.file(name), new.file(name)).unwrap();
        }
        let done = new.restore().unwrap();
        assert!(matches!(done.kept.unwrap().newer, Newer::Readings { readings: 25, .. }));
        assert_eq!(done.copy.contents.schema, version as i64);
        let (writer, reader) = open(&new.db()).unwrap();
        assert_eq!(rows(&reader), rows_until(40), "version {version}");
        commit(&writer, 41..=42);
        assert_eq!(rows(&reader), rows_until(42), "version {version}");
        let now: i64 = Connection::open(new.file("heyun.db")).unwrap().query_row("PRAGMA user_version", [], |r| r.get(0)).unwrap();
        assert_eq!(now, VERSION);
    }
}

#[test]
fn a_copy_of_a_newer_version_is_refused_clearly() {
    let folder = Folder::new();
    let (writer, _) = open(&folder.db()).unwrap();
    commit(&writer, 1..=2);
    writer.close().unwrap();
    folder.copy().unwrap();
    fs::remove_file(folder.file("copy.db.sha256")).unwrap();
    Connection::open(folder.file("copy.db")).unwrap().pragma_update(None, "user_version", VERSION + 1).unwrap();
    let refused = folder.restore().unwrap_err();
    assert!(refused.to_string().contains(&format!("schema version {}, this heyun knows {VERSION}", VERSION + 1)), "{refused}");
    // The other way round: that is how one goes back to before an upgrade.
    fs::rename(folder.file("copy.db"), folder.file("newer.db")).unwrap();
    folder.copy().unwrap();
    fs::rename(folder.file("newer.db"), folder.file("heyun.db")).unwrap();
    assert_eq!(folder.restore().unwrap().kept.map(|k| k.newer), Some(Newer::Nothing));
    assert_eq!(rows(&open(&folder.db()).unwrap().1), rows_until(2));
}
