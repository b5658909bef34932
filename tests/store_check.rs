//! `heyun store check`: real pages of a real file are damaged, found, named, and all that was not on them is brought back.
#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it is surprised")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap, reason = "small numbers of the test's own")]

#[path = "store_faults/older.rs"]
mod older;
#[path = "store_faults/script.rs"]
mod script;
#[path = "support/told.rs"]
mod told;

use heyun::domain::reading::Row;
use heyun::domain::time::{Ms, Ts};
use heyun::history::{Historian, Step};
use heyun::store::{
    Batch, CheckError, Depth, Finding, Lost, OpenError, Reader, Repair, RepairError, Repaired, Report, Settings, VERSION, Whole, check,
    open, open_reader, repair,
};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, RwLock};
use tempfile::TempDir;

const NOW: Ts = Ts(1_798_000_000_000);

/// A lock on a file that is held while a process is begun is held by that process too, for an instant: nobody lets go of one meanwhile.
static FORKS: RwLock<()> = RwLock::new(());

const HOT: [&str; 4] = ["hot_0", "hot_1", "hot_2", "hot_3"];

/// Number, name, and kind of a page.
type Page = (usize, String, String);

/// A file with some batches in it, closed in good order.
struct Filled {
    dir: TempDir,
    batches: Vec<Arc<Batch>>,
    bytes: Vec<u8>,
    page_size: usize,
    /// Number, name, and kind of every page that is in use.
    pages: Vec<Page>,
}

impl Filled {
    fn new(batches: usize) -> Filled {
        let _no_fork = FORKS.read().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let batches = script::batches()[..batches].to_vec();
        let path = dir.path().join("heyun.db");
        let (writer, reader) = open(&Settings { path: path.clone() }).unwrap();
        let topology = told::topology("UTC", script::SOURCES);
        let (mut historian, volumes) = (Historian::new(&topology), writer.volumes().unwrap());
        for b in &batches {
            writer.commit(b.clone()).unwrap();
            historian.step(&reader, &volumes, Ms::minutes(b.id as i64)).unwrap();
        }
        while let Step::More { .. } = historian.step(&reader, &volumes, Ms::minutes(99)).unwrap() {}
        drop((reader, volumes));
        writer.close().unwrap();
        let conn = Connection::open(&path).unwrap();
        let mut s = conn.prepare("SELECT pageno, name, pagetype FROM dbstat ORDER BY pageno").unwrap();
        let page = |r: &rusqlite::Row<'_>| Ok((r.get::<_, u32>(0)? as usize, r.get(1)?, r.get(2)?));
        let pages = s.query_map([], page).unwrap().collect::<Result<_, _>>().unwrap();
        let page_size = conn.pragma_query_value(None, "page_size", |r| r.get::<_, u32>(0)).unwrap() as usize;
        drop(s);
        drop(conn);
        let bytes = fs::read(&path).unwrap();
        Filled { dir, batches, bytes, page_size, pages }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("heyun.db")
    }

    fn settings(&self) -> Settings {
        Settings { path: self.path() }
    }

    /// The file with these pages full of something else.
    fn damage(&self, pages: &[usize], with: u8) {
        let mut bytes = self.bytes.clone();
        for n in pages {
            bytes[(n - 1) * self.page_size..n * self.page_size].fill(with);
        }
        for entry in fs::read_dir(self.dir.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        fs::write(self.path(), bytes).unwrap();
        fs::write(self.dir.path().join("heyun.db.lock"), "").unwrap();
    }

    /// The page in the middle of those of this name and kind; of the tables that readings come into, the fullest is meant.
    fn page(&self, name: &str, kind: &str) -> usize {
        let all = |name: &str| self.pages.iter().filter(|(_, n, k)| n == name && k == kind).map(|p| p.0).collect::<Vec<usize>>();
        let hot = || HOT.into_iter().map(all).max_by_key(Vec::len).unwrap();
        let all = if name == "readings" { hot() } else { all(name) };
        *all.get(all.len() / 2).unwrap_or_else(|| panic!("no {kind} page of {name}: {:?}", self.pages))
    }

    /// Some pages of each name and kind; all of them with `HEYUN_MATRIX=all`.
    fn sample(&self) -> Vec<&Page> {
        let most = if std::env::var("HEYUN_MATRIX").is_ok_and(|v| v == "all") { usize::MAX } else { 6 };
        let mut by_kind: BTreeMap<(&str, &str), Vec<&Page>> = BTreeMap::new();
        self.pages.iter().for_each(|p| by_kind.entry((&p.1, &p.2)).or_default().push(p));
        by_kind.into_values().flat_map(|all| all.iter().step_by(all.len().div_ceil(most)).copied().collect::<Vec<_>>()).collect()
    }

    fn check(&self) -> Report {
        check(&self.settings(), Depth::Full, &mut |_| ()).unwrap()
    }

    fn repair(&self) -> Result<Repaired, RepairError> {
        let _no_fork = FORKS.read().unwrap();
        match repair(&self.settings(), NOW, &mut |_| ())? {
            Repair::Done(repaired) => Ok(*repaired),
            Repair::Needless(report) => panic!("nothing was found: {report:?}"),
        }
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.batches.iter().flat_map(|b| b.rows.iter().copied()).collect();
        rows.sort_unstable_by_key(|r| (r.ts, r.source));
        rows
    }

    /// The file goes on: it opens, is folded as at a start, and takes the next batch.
    fn goes_on(&self) {
        let _no_fork = FORKS.read().unwrap();
        let (writer, reader) = open(&self.settings()).unwrap();
        let after = reader.checkpoint().unwrap().map_or(0, |c| c.batch);
        if reader.folds_from(after).unwrap() {
            reader.fold_from(after, &mut |_| ControlFlow::Continue(())).unwrap();
        } else {
            reader.refold(&mut |_| ControlFlow::Continue(())).unwrap();
        }
        let next = reader.last_batch().unwrap().map_or(0, |h| h.batch) + 1;
        writer.commit(Arc::new(Batch { id: next, received: NOW, ..Batch::default() })).unwrap();
        // Days whose lines are gone are told anew.
        let topology = told::topology("UTC", script::SOURCES);
        let (mut historian, volumes) = (Historian::new(&topology), writer.volumes().unwrap());
        while let Step::More { .. } = historian.step(&reader, &volumes, Ms::ZERO).unwrap() {}
        drop(volumes);
        writer.close().unwrap();
        assert_eq!(self.check().findings, []);
    }
}

fn stored(reader: &Reader) -> Vec<Row> {
    let mut rows = vec![];
    let mut take = |row| {
        rows.push(row);
        ControlFlow::Continue(())
    };
    reader.scan(Ts(i64::MIN), Ts(i64::MAX), &mut take).unwrap();
    rows
}

fn count(report: &[Whole], table: &str) -> u64 {
    report.iter().find(|w| w.table == table).map_or(0, |w| w.rows)
}

fn lost(report: &Report) -> Vec<&Lost> {
    report.findings.iter().filter_map(|f| if let Finding::Lost(l) = f { Some(l) } else { None }).collect()
}

#[test]
fn a_sound_file_is_sound_also_while_it_is_written_to() {
    let filled = Filled::new(60);
    let _no_fork = FORKS.read().unwrap();
    let report = filled.check();
    assert_eq!((report.findings.as_slice(), report.batch, report.schema), (&[][..], 60, Some(VERSION)));
    assert_eq!(report.readings, filled.rows().len() as u64);
    assert!(count(&report.whole, "chunks") >= 8 && HOT.iter().map(|hot| count(&report.whole, hot)).sum::<u64>() > 1000, "{report:?}");
    assert_eq!(check(&filled.settings(), Depth::Quick, &mut |_| ()).unwrap().findings, []);

    let (writer, _reader) = open(&filled.settings()).unwrap();
    writer.commit(Arc::new(Batch { id: 61, received: NOW, ..Batch::default() })).unwrap();
    let report = filled.check();
    assert_eq!((report.findings.as_slice(), report.batch), (&[][..], 61), "also what is in the log alone");
    match repair(&filled.settings(), NOW, &mut |_| ()) {
        Err(RepairError::Open(OpenError::InUse { .. })) => {}
        other => panic!("a daemon runs: {other:?}"),
    }
    drop(writer);
    assert!(matches!(repair(&filled.settings(), NOW, &mut |_| ()), Ok(Repair::Needless(_))));
}

#[test]
fn a_damaged_page_of_readings_costs_its_rows_and_is_told_in_time_and_names() {
    let filled = Filled::new(60);
    let page = filled.page("readings", "leaf");
    filled.damage(&[page], 0xA5);
    let damaged = fs::read(filled.path()).unwrap();
    let report = filled.check();
    assert!(
        report.findings.iter().any(|f| matches!(f, Finding::Pages { of: Some(of), index: false, .. } if HOT.contains(&of.as_str()))),
        "{report:?}"
    );
    let [hole] = lost(&report)[..] else { panic!("{report:?}") };
    let (from, to) = (hole.from.unwrap(), hole.to.unwrap());
    let inside: Vec<Row> = filled.rows().into_iter().filter(|r| r.ts > from && r.ts < to).collect();
    assert_eq!(hole.rows, Some(inside.len() as u64), "{hole:?}");
    assert!(!inside.is_empty() && inside.len() < 200 && hole.sources.len() == 8, "{hole:?}");
    assert_eq!(hole.sources[0].topic, "water/0");
    assert_eq!(report.findings.len(), 2, "the hole explains what the commits miss: {report:?}");

    let repaired = filled.repair().unwrap();
    assert_eq!((&repaired.lost[..], repaired.first_page, repaired.garbled), (&[Finding::Lost(hole.clone())][..], false, 0));
    assert_eq!(repaired.after.findings, []);
    assert_eq!(fs::read(&repaired.damaged).unwrap(), damaged, "the damaged file is as it was");
    let kept: Vec<Row> = filled.rows().into_iter().filter(|r| !inside.contains(r)).collect();
    let reader = open_reader(&filled.settings()).unwrap();
    assert!(stored(&reader) == kept);
    assert_eq!(reader.last_batch().unwrap().map(|h| (h.batch, h.total_rows)), Some((60, kept.len() as u64)));
    filled.goes_on();
}

#[test]
fn a_chunk_that_is_not_what_was_written_is_told_with_its_meter_and_left_out() {
    let filled = Filled::new(60);
    let conn = Connection::open(filled.path()).unwrap();
    // Bytes in the middle of a body: no page is damaged by that, as SQLite sees it.
    conn.execute_batch("UPDATE chunks SET body = CAST(substr(body, 1, 99) || x'00ff00ff' || substr(body, 104) AS BLOB) WHERE key = (SELECT max(key) FROM chunks)").unwrap();
    drop(conn);
    let report = filled.check();
    let [Finding::ChunkDamaged { topic, from, to, rows, .. }] = &report.findings[..] else { panic!("{report:?}") };
    assert_eq!(topic, "water/7");
    let inside = |r: &Row| r.source.0 == 7 && r.ts >= *from && r.ts <= *to;
    let repaired = filled.repair().unwrap();
    assert_eq!((&repaired.lost, &repaired.after.findings[..]), (&report.findings, &[][..]));
    let rows_now = stored(&open_reader(&filled.settings()).unwrap());
    assert_eq!(rows_now.len() as u64, filled.rows().len() as u64 - rows);
    assert!(filled.rows().iter().filter(|r| !inside(r)).all(|r| rows_now.contains(r)));
    filled.goes_on();
}

#[test]
fn a_damaged_index_costs_nothing() {
    let filled = Filled::new(60);
    filled.damage(&[filled.page("events_incident", "leaf")], 0);
    let report = filled.check();
    let named = |f: &Finding| matches!(f, Finding::Pages { of: Some(of), index: true, .. } if of == "events_incident");
    assert!(report.findings.iter().all(named) && report.findings.len() == 1, "{report:?}");
    let repaired = filled.repair().unwrap();
    assert!(repaired.lost.is_empty() && repaired.after.findings.is_empty());
    assert!(stored(&open_reader(&filled.settings()).unwrap()) == filled.rows());
    filled.goes_on();
}

#[test]
fn a_lost_first_page_is_made_anew() {
    let filled = Filled::new(60);
    filled.damage(&[1], 0xA5);
    let report = filled.check();
    assert!(matches!(&report.findings[..], [Finding::FirstPage { .. }]), "{report:?}");
    let repaired = filled.repair().unwrap();
    assert!(repaired.first_page && repaired.lost.is_empty() && repaired.after.findings.is_empty(), "{repaired:?}");
    assert!(stored(&open_reader(&filled.settings()).unwrap()) == filled.rows());
    filled.goes_on();
    assert!(!filled.dir.path().join("heyun.db.repair").exists());
}

/// In a file that was migrated with rows in it the tables lie elsewhere: what stands at the usual places is other tables' rows.
#[test]
fn the_first_page_of_a_migrated_file_is_not_guessed() {
    let batches = script::batches();
    // What led from the sixth on moved no table.
    for version in 1..=5 {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { path: dir.path().join("heyun.db") };
        fs::write(&settings.path, older::file(version, &batches[..3])).unwrap();
        let no_fork = FORKS.read().unwrap();
        let (writer, reader) = open(&settings).unwrap();
        writer.commit(batches[3].clone()).unwrap();
        drop(reader);
        writer.close().unwrap();
        drop(no_fork);
        let mut bytes = fs::read(&settings.path).unwrap();
        bytes[..4096].fill(0xA5);
        fs::write(&settings.path, &bytes).unwrap();
        let _no_fork = FORKS.read().unwrap();
        match repair(&settings, NOW, &mut |_| ()) {
            Err(e @ RepairError::Schema { .. }) => assert!(e.to_string().contains("restore a backup"), "{e}"),
            other => panic!("from version {version}: {other:?}"),
        }
        assert!(fs::read(&settings.path).unwrap() == bytes, "a file that cannot be repaired stays as it is");
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["heyun.db", "heyun.db.lock"]);
    }
}

/// Whatever page is gone, the others come back, and what is gone is told to the row. `HEYUN_MATRIX=all` tries every page.
#[test]
fn any_page_may_be_lost() {
    let filled = Filled::new(24);
    let all = filled.rows();
    let sound = filled.check();
    let mut told = BTreeSet::new();
    let readings = |name: &str| if HOT.contains(&name) { "readings".to_owned() } else { name.to_owned() };
    for (page, name, kind) in filled.sample() {
        let name = &readings(name);
        let context = format!("page {page}, {kind} of {name}");
        filled.damage(&[*page], [0, 0xA5][page % 2]);
        let report = filled.check();
        if kind == "overflow" && report.findings.is_empty() {
            // The bytes of a checkpoint are nobody's business here, and nothing sums them up.
            continue;
        }
        assert!(!report.findings.is_empty(), "{context}: not found");
        let repaired = filled.repair().unwrap_or_else(|e| panic!("{context}: {e}"));
        assert_eq!(repaired.after.findings, [], "{context}");
        let lost_in = |f: &Finding| match f {
            Finding::Lost(l) => (l.table.clone(), l.rows.unwrap_or(0)),
            Finding::ChunkLost { rows, .. } | Finding::ChunkDamaged { rows, .. } => ("chunks".to_owned(), *rows),
            // Its readings stay, under a name that says so.
            Finding::UnknownSource { .. } => ("sources".to_owned(), 0),
            other => panic!("{context}: {other:?}"),
        };
        let lost: Vec<(String, u64)> = repaired.lost.iter().map(lost_in).collect();
        let mut tables: BTreeSet<&str> = lost.iter().map(|l| l.0.as_str()).collect();
        // A commit is made anew of its rows.
        tables.remove("commits");
        assert!(tables.iter().all(|t| t == name), "{context}: {tables:?} lost too");
        for before in &sound.whole {
            let now = count(&repaired.after.whole, &before.table);
            let derived = ["chunk_columns", "changes", "daily", "monthly", "calendar", "told", "eras", "meta", "commits", "late", "outbox"]
                .contains(&before.table.as_str());
            // Readings that are not sealed come together in one table.
            let derived = derived || HOT.contains(&before.table.as_str());
            assert!(now == before.rows || before.table == *name || derived, "{context}: {now} of {before:?}");
        }
        let rows = stored(&open_reader(&filled.settings()).unwrap());
        let gone = (all.len() - rows.len()) as u64;
        if kind == "internal" && ["readings", "chunks", "commits", "events"].contains(&name.as_str()) {
            assert_eq!((gone, lost.len()), (0, 0), "{context}: it only said where others lie");
        } else if name == "readings" || name == "chunks" {
            // What is sealed by now may still stand on a page of its old table.
            assert!(
                (gone > 0 || name == "readings") && gone == lost.iter().map(|l| l.1).sum::<u64>(),
                "{context}: {gone} gone, {:?}",
                repaired.lost
            );
            assert!(name == "chunks" || kind != "leaf" || gone < 200, "{context}: {gone} rows for one page");
        } else {
            assert_eq!(gone, 0, "{context}");
        }
        filled.goes_on();
        told.insert(name.clone());
    }
    for name in ["readings", "commits", "events", "events_incident", "checkpoints", "sources", "outbox", "sqlite_schema"] {
        assert!(told.contains(name), "{name} has no page");
    }
}

#[test]
fn contradictions_are_found_though_every_page_is_sound() {
    let filled = Filled::new(30);
    let found = |sql: &str| {
        filled.damage(&[], 0);
        Connection::open(filled.path()).unwrap().execute_batch(sql).unwrap();
        filled.check().findings
    };
    let missing = found(
        "DELETE FROM hot_0 WHERE batch = 25 AND pos < 3; DELETE FROM hot_1 WHERE batch = 25 AND pos < 3; DELETE FROM hot_2 WHERE batch = 25 AND pos < 3; DELETE FROM hot_3 WHERE batch = 25 AND pos < 3",
    );
    assert!(matches!(&missing[..], [Finding::RowsMissing { first_batch: 25, last_batch: 25, rows: 3, .. }]), "{missing:?}");
    let gap = found("DELETE FROM commits WHERE batch = 27");
    assert!(matches!(gap[0], Finding::CommitsMissing { first: 27, last: 27 }), "{gap:?}");
    assert!(gap.iter().any(|f| matches!(f, Finding::RowsWithoutCommit { .. })), "{gap:?}");
    let total = found("UPDATE commits SET total = total + 1 WHERE batch = 30");
    assert!(matches!(&total[..], [Finding::CommitTotal { batch: 30, .. }, Finding::Total { .. }]), "{total:?}");
    assert!(matches!(found("UPDATE commits SET total = total + 1")[..], [Finding::Total { .. }]));
    let newest_event = "DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)";
    assert!(found(newest_event).iter().any(|f| matches!(f, Finding::EventsMissing { .. })));
    assert!(found(newest_event).iter().any(|f| matches!(f, Finding::NoticeWithoutEvent { .. })));
    let entries = "INSERT INTO ledger VALUES (1, 25, 0, 'p7', '{}'), (4, 26, 0, 'p7', '{}')";
    assert_eq!(found(entries), [Finding::EntriesMissing { first: 2, last: 3 }]);
    assert_eq!(found("INSERT INTO ledger VALUES (1, 99, 0, 'p7', '{}')"), [Finding::EntryWithoutCommit { entry: 1, batch: 99 }]);
    // What a repair has noted is found no more.
    let repaired = {
        found(entries);
        filled.repair().unwrap()
    };
    assert!(repaired.after.findings.is_empty(), "{:?}", repaired.after.findings);
    let ahead = found("UPDATE checkpoints SET batch = 31 WHERE slot = 0");
    assert!(matches!(&ahead[..], [Finding::CheckpointAhead { batch: 31, newest: 30 }]), "{ahead:?}");
    let unknown = found("DELETE FROM columns WHERE source = 5; DELETE FROM sources WHERE source = 5");
    assert!(matches!(&unknown[..], [Finding::UnknownSource { source: 5, .. }]), "{unknown:?}");
    let first = "(SELECT min(key) FROM chunks)";
    let body = found(&format!("UPDATE chunks SET body = zeroblob(length(body)) WHERE key = {first}"));
    assert!(matches!(&body[..], [Finding::ChunkDamaged { format: None, set_aside: false, topic, .. }] if topic == "water/0"), "{body:?}");
    let format = found(&format!("UPDATE chunks SET format = 7 WHERE key = {first}"));
    assert!(matches!(&format[..], [Finding::ChunkDamaged { format: Some(7), .. }]), "{format:?}");
    let sum = found(&format!("UPDATE chunk_columns SET sum = sum + 1 WHERE chunk = {first} AND ix = 0"));
    assert!(matches!(&sum[..], [Finding::ChunkTold { .. }]), "{sum:?}");
    let gone = found(&format!("DELETE FROM chunks WHERE key = {first}"));
    assert!(matches!(&gone[..], [Finding::ChunkLost { .. }]), "{gone:?}");
    let aside = found(&format!(
        "INSERT INTO damaged_chunks SELECT * FROM chunks WHERE key = {first}; DELETE FROM chunk_columns WHERE chunk = {first}; DELETE FROM chunks WHERE key = {first}"
    ));
    assert!(matches!(&aside[..], [Finding::ChunkDamaged { set_aside: true, .. }]), "{aside:?}");
    let month = found("UPDATE monthly SET volume = volume + 1 WHERE key = (SELECT max(key) FROM monthly)");
    assert!(matches!(&month[..], [Finding::MonthTold { point, month }] if point == "p7" && month == "2026-12"), "{month:?}");
    let day = found("DELETE FROM daily WHERE key = (SELECT max(key) FROM daily)");
    assert!(matches!(&day[..], [Finding::DaysTold { missing: 1, .. }, Finding::MonthTold { .. }]), "{day:?}");
    let astray = found("UPDATE commits SET ts_max = ts_max - 1 WHERE batch = 27");
    assert!(matches!(&astray[..], [Finding::RowsOutOfRange { batch: 27, .. }]), "{astray:?}");
}

#[test]
fn what_is_not_ours_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { path: dir.path().join("heyun.db") };
    let refused = |settings: &Settings| match check(settings, Depth::Full, &mut |_| ()) {
        Err(CheckError::Open(e)) => e.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(refused(&settings).contains("no such database"));
    fs::write(&settings.path, "readings, in words").unwrap();
    assert!(refused(&settings).contains("not an SQLite database"));
    fs::remove_file(&settings.path).unwrap();
    let conn = Connection::open(&settings.path).unwrap();
    conn.execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(refused(&settings).contains("but not of heyun"));
    conn.execute_batch(&format!("PRAGMA application_id = {}; PRAGMA user_version = {}", heyun::store::APPLICATION_ID, VERSION + 1))
        .unwrap();
    assert!(refused(&settings).contains("install a newer heyun"));
}

fn heyun(args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heyun"));
    command.args(args).env_remove("HEYUN_LOG").stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = {
        let _alone = FORKS.write().unwrap();
        command.spawn().unwrap()
    };
    let out = child.wait_with_output().unwrap();
    let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
    (out.status.code(), text(out.stdout), text(out.stderr))
}

fn database(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_command_tells_in_both_languages_and_by_its_exit_code() {
    let filled = Filled::new(30);
    let path = filled.path();
    let (code, out, err) = heyun(&["store", "check", "--store", database(&path)]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("完好") && out.lines().count() == 1, "{out}");

    filled.damage(&[filled.page("readings", "leaf")], 0xA5);
    let (code, out, err) = heyun(&["store", "check", "--lang", "en", "--store", database(&path)]);
    assert_eq!((code, err.as_str()), (Some(1), "heyun: 2 finding(s)\n"), "{out}");
    assert!(out.contains("2 finding(s)") && out.contains("cannot be read; they may be of 8 sources (water/0, "), "{out}");
    assert!(
        out.contains("; checkpoints 2; ")
            && out.contains("; readings not yet sealed (hot_1) ")
            && out.contains("heyun store check --repair"),
        "{out}"
    );
    let (code, out, _) = heyun(&["store", "check", "--format", "json", "--quick", "--store", database(&path)]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["clean"], &json["findings"][1]["finding"]), (Some(1), &false.into(), &"lost".into()), "{out}");
    assert!(json["findings"][1]["text"]["zh"].as_str().unwrap().contains("读不出"), "{out}");

    let (code, out, err) = heyun(&["store", "check", "--repair", "--store", database(&path)]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("已用可读出的数据重建") && out.contains("读不出") && out.contains("heyun.db.damaged-"), "{out}");
    assert_eq!(heyun(&["store", "check", "--store", database(&path)]).0, Some(0));
    assert_eq!(heyun(&["store", "check", "--store", "no/such.db"]).0, Some(66));
}
