//! The store on a disk that fails or loses its power at any moment. What the disk does then, and what not, is told by the crate faulty-disk.
//!
//! The same story each time: a file is begun, or one of an earlier version migrated; batches are committed and notices marked; in the middle
//! the store is closed and opened again. A run without faults counts what is asked of the disk; then the story is run again for each of these
//! deeds, with a fault there. Whatever happens, on a sound disk everything that was acknowledged must be there afterwards, once.
//!
//! `HEYUN_MATRIX=each` tries one fault at every deed (some 9 000 cases, a quarter of an hour with `--profile quick`), `HEYUN_MATRIX=all` two failures
//! and two cuts, not always the same ones; otherwise the long story gets one fault at some of them, the rarer ones more often.
#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it is surprised")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap, reason = "small numbers of the test's own")]

mod older;
mod run;
mod script;
#[path = "../support/told.rs"]
mod told;

use faulty_disk::{Deed, Disk, Failure, Fate, Fault};
use run::{Story, play, verify};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What may go wrong at a deed, and what is left of the unsynced when the power goes, then or at the end.
const FAULTS: [(Fault, Fate); 8] = [
    (Fault::Cut, Fate::Torn(0)),
    (Fault::Fail { failure: Failure::Io, lasting: false }, Fate::Lost),
    (Fault::Cut, Fate::Torn(1)),
    (Fault::Fail { failure: Failure::Full, lasting: true }, Fate::Torn(2)),
    (Fault::Cut, Fate::Lost),
    (Fault::Fail { failure: Failure::Io, lasting: true }, Fate::Torn(3)),
    (Fault::Cut, Fate::Kept),
    (Fault::Fail { failure: Failure::Full, lasting: false }, Fate::Kept),
];

/// In the usual run of the long story, about so many of the deeds that are mere writes are tried, and of the others.
const WRITES: usize = 50;
const OTHERS: usize = 40;

/// As many batches are in the file of an earlier version.
const OLDER_BATCHES: usize = 3;

/// In a story of so few deeds one fault is tried at each.
const FEW: usize = 200;

struct Case {
    at: u64,
    fault: Fault,
    fate: Fate,
}

/// The cases of a story whose faultless run did this.
fn cases(deeds: &[Deed]) -> Vec<Case> {
    let matrix = std::env::var("HEYUN_MATRIX").unwrap_or_default();
    let writes = deeds.iter().filter(|d| **d == Deed::Write).count();
    let mut out = vec![];
    for (i, deed) in deeds.iter().enumerate() {
        let draw = i.wrapping_mul(0x9E37_79B9) >> 7;
        let tried = match deed {
            _ if matrix == "all" => FAULTS.len() / 2,
            _ if matrix == "each" || deeds.len() < FEW => 1,
            Deed::Write => usize::from((draw / FAULTS.len()).is_multiple_of(writes / WRITES)),
            _ => usize::from((draw / FAULTS.len()).is_multiple_of((deeds.len() - writes).div_ceil(OTHERS))),
        };
        for n in 0..tried {
            let (fault, fate) = FAULTS[(draw + n) % FAULTS.len()];
            let fate = if let Fate::Torn(seed) = fate { Fate::Torn(seed << 32 | i as u64) } else { fate };
            out.push(Case { at: i as u64 + 1, fault, fate });
        }
    }
    out
}

/// Runs the story once for each case, and once without.
fn matrix(name: &str, story: &Story<'_>) {
    let dir = tempfile::tempdir().unwrap();
    begin(story, dir.path());
    let disk = Disk::at(dir.path());
    let done = play(story, dir.path(), &disk);
    assert_eq!((done.acknowledged, disk.struck()), (story.batches.len() as u64, 0));
    let deeds = disk.deeds();
    disk.power_on(Fate::Lost);
    verify(story, dir.path(), &done);
    let mut kinds: BTreeMap<Deed, usize> = BTreeMap::new();
    deeds.iter().for_each(|d| *kinds.entry(*d).or_default() += 1);

    let cases = cases(&deeds);
    let (next, struck) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let shown =
                        format!("{name}: {:?} at deed {} ({:?}), then {:?}", case.fault, case.at, deeds[case.at as usize - 1], case.fate);
                    let _told = Told(&shown);
                    struck.fetch_add(usize::from(try_one(story, case)), Ordering::Relaxed);
                }
            });
        }
    });
    let struck = struck.into_inner();
    // Past the harness, which hides what a passing test prints: a matrix of nothing would pass, too.
    let line = format!("{name}: {} deeds {kinds:?}; {} cases tried, the fault struck in {struck}\n", deeds.len(), cases.len());
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    // The shortest story is a migration by one version.
    assert!(cases.len() >= deeds.len().min(61) && deeds.len() > 20 && struck == cases.len());
}

/// Names the case when the thread panics.
struct Told<'a>(&'a str);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            drop(std::io::stderr().write_all(format!("FAILED {}\n", self.0).as_bytes()));
        }
    }
}

/// True if the fault struck.
fn try_one(story: &Story<'_>, case: &Case) -> bool {
    let dir = tempfile::tempdir().unwrap();
    begin(story, dir.path());
    let disk = Disk::at(dir.path());
    disk.strike(case.at, case.fault);
    let done = play(story, dir.path(), &disk);
    let struck = disk.struck() > 0;
    disk.power_on(case.fate);
    verify(story, dir.path(), &done);
    struck
}

#[test]
fn a_new_file_survives_a_fault_at_any_deed() {
    let batches = script::batches();
    matrix("new file", &Story { older: None, reopen_after: Some(28), batches: &batches });
}

#[test]
fn a_migration_survives_a_fault_at_any_deed() {
    let batches = script::batches();
    for version in 1..=older::VERSIONS.len() {
        let older = Some(older::file(version, &batches[..OLDER_BATCHES]));
        matrix(&format!("from version {version}"), &Story { older, reopen_after: None, batches: &batches[..5] });
    }
}

fn begin(story: &Story<'_>, dir: &Path) {
    if let Some(older) = &story.older {
        fs::write(dir.join("heyun.db"), older).unwrap();
    }
}
