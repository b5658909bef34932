//! Whatever is killed, what was acknowledged is there, once.

use crate::harness::{Broker, Daemon, config, is_root, open, request, skip, until};
use crate::publisher::{Message, publish};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

const SOURCES: usize = 20;
/// 2026-11-01T00:00:00Z
const START_S: i64 = 1_793_491_200;

/// `n` messages over [`SOURCES`] sources, a minute apart for each, each with a value of its own.
pub fn messages(n: usize) -> Vec<Message> {
    let message = |i: usize| {
        let (source, k) = (i % SOURCES, i / SOURCES);
        Message {
            topic: format!("meters/w{source}/state"),
            payload: format!(r#"{{"ts":{},"total_l":{}}}"#, START_S + 60 * k as i64, 1_000 * source + k),
        }
    };
    (0..n).map(message).collect()
}

/// What the store must hold: (topic, ts in ms) → millilitres.
pub fn expected(n: usize) -> BTreeMap<(String, i64), i64> {
    let row = |i: usize| {
        let (source, k) = (i % SOURCES, i / SOURCES);
        ((format!("meters/w{source}/state"), (START_S + 60 * k as i64) * 1_000), (1_000 * source + k) as i64 * 1_000)
    };
    (0..n).map(row).collect()
}

pub fn stored(d: &Daemon) -> BTreeMap<(String, i64), i64> {
    let db = d.database();
    let mut q = db.prepare("SELECT s.topic, r.ts, r.v0 FROM readings r JOIN sources s USING (source)").unwrap();
    let rows = q.query_map([], |r| Ok(((r.get(0)?, r.get(1)?), r.get(2)?))).unwrap();
    let rows: Vec<((String, i64), i64)> = rows.map(Result::unwrap).collect();
    let n = rows.len();
    let map: BTreeMap<_, _> = rows.into_iter().collect();
    assert_eq!(map.len(), n, "a (source, ts) stands twice");
    map
}

pub fn stored_rows(d: &Daemon) -> i64 {
    d.database().query_row("SELECT coalesce(sum(rows), 0) FROM commits", [], |r| r.get(0)).unwrap()
}

pub fn meters() -> String {
    (0..SOURCES)
        .map(|i| {
            format!(
                "[[meters]]\nid = \"w{i}\"\nname = \"w{i}\"\nkind = \"bulk\"\nat = \"b15\"\nsubscription = \"meters\"\ndevice = \"w{i}\"\n"
            )
        })
        .collect()
}

/// The daemon dies and comes again while the messages go on coming. HEYUN_KILLS=20 for the long form.
#[test]
fn killed_under_load_it_loses_nothing_and_stores_nothing_twice() {
    let kills: usize = std::env::var("HEYUN_KILLS").ok().and_then(|k| k.parse().ok()).unwrap_or(4);
    let n = kills * 3_000 + 3_000;
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let text = config(broker.port, &folder.path().join("heyun.db"), &meters());
    let mut d = Daemon::start(folder.path(), &text);
    let port = broker.port;
    let sent = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| publish(port, 2_000, messages(n), |k| sent.store(k, Ordering::Relaxed)));
        // Random moments, the same in every run: steps of a linear congruence (Knuth, MMIX).
        let mut state = 42u64;
        let mut next = 500;
        for _ in 0..kills {
            until("the next moment", || sent.load(Ordering::Relaxed) >= next);
            d.kill9();
            d = Daemon::start_alone(folder.path(), &text);
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            next += 1_500 + (state >> 33) as usize % 3_000;
        }
    });
    d.until("everything is stored", |d| stored_rows(d) >= n as i64);
    assert_eq!(stored(&d), expected(n));
    d.stop();
}

#[test]
fn a_broker_that_is_stopped_loses_nothing_and_one_that_is_killed_only_what_it_had_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Broker::start();
    let text = config(broker.port, &folder.path().join("heyun.db"), &meters());
    // The daemon makes its session and goes: from now on the broker keeps what comes.
    let d = Daemon::start(folder.path(), &text);
    d.stop();
    let all = messages(3_000);
    let (kept, rest) = all.split_at(2_000);
    let copy = |m: &[Message]| m.iter().map(|m| Message { topic: m.topic.clone(), payload: m.payload.clone() }).collect::<Vec<_>>();
    publish(broker.port, 100_000, copy(&kept[..1_000]), |_| {});
    broker.stop();
    broker.restart();
    publish(broker.port, 100_000, copy(&kept[1_000..]), |_| {});
    broker.save_now();
    publish(broker.port, 100_000, copy(rest), |_| {});
    broker.kill9();
    broker.restart();
    let mut d = Daemon::start(folder.path(), &text);
    d.until("what was saved is stored", |d| stored_rows(d) >= 2_000);
    let got = stored(&d);
    let wanted = expected(3_000);
    assert!(got.iter().all(|(k, v)| wanted.get(k) == Some(v)));
    assert!(expected(2_000).keys().all(|k| got.contains_key(k)), "all that was saved is there");
    // And while the daemon runs, a broker that comes back is found again.
    broker.kill9();
    d.wait_for_line("no broker; trying again");
    broker.restart();
    publish(broker.port, 100_000, messages(3_000), |_| {});
    d.until("the lost ones, sent again, are stored", |d| stored_rows(d) >= 3_000);
    assert_eq!(stored(&d), wanted);
    d.stop();
}

/// On a real ext4 where a loop device can be had, else on tmpfs; both for root only.
#[test]
fn a_full_disk_delays_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::small(folder.path()) else {
        skip("a_full_disk_delays_and_loses_nothing", "a small disk can be mounted by root only");
        return;
    };
    let db = disk.0.join("heyun.db");
    let broker = Broker::start();
    let mut d = Daemon::start(folder.path(), &config(broker.port, &db, &meters()));
    // Room for the first few thousand rows only.
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![0u8; disk.free() - 700_000]).unwrap();
    let n = 20_000;
    publish(broker.port, 100_000, messages(n), |_| {});
    d.wait_for_line("the store cannot be written");
    d.until("the API says so", |d| request(d.http, "GET", "/healthz", None).0 == 503);
    std::fs::remove_file(&ballast).unwrap();
    d.wait_for_line("the store can be written again");
    let count = |sql: &str| -> i64 { open(&db).query_row(sql, [], |r| r.get(0)).unwrap() };
    d.until("everything is stored", |_| count("SELECT coalesce(sum(rows), 0) FROM commits") >= n as i64);
    assert_eq!(count("SELECT count(*) FROM readings"), n as i64);
    d.until("the API says so", |d| request(d.http, "GET", "/healthz", None).0 == 200);
    d.stop();
}

/// A file system of 32 MB of our own.
struct Disk(PathBuf);

impl Disk {
    fn small(folder: &Path) -> Option<Disk> {
        let (at, image) = (folder.join("disk"), folder.join("image"));
        std::fs::create_dir(&at).unwrap();
        if !is_root() {
            return None;
        }
        let run = |program: &str, args: &[&str], paths: &[&Path]| {
            let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
            Command::new(program).args(args).args(paths).env("PATH", path).output().is_ok_and(|o| o.status.success())
        };
        std::fs::File::create(&image).unwrap().set_len(32 << 20).unwrap();
        let ext4 = run("mkfs.ext4", &["-q", "-m", "0"], &[&image]) && run("mount", &["-o", "loop"], &[&image, &at]);
        (ext4 || run("mount", &["-t", "tmpfs", "-o", "size=32m", "tmpfs"], &[&at])).then_some(Disk(at))
    }

    fn free(&self) -> usize {
        let df = Command::new("df").args(["--output=avail", "-B1"]).arg(&self.0).output().unwrap();
        String::from_utf8(df.stdout).unwrap().lines().last().unwrap().trim().parse().unwrap()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: in a failed test the daemon may still hold it.
        if !Command::new("umount").arg("-l").arg(&self.0).status().is_ok_and(|s| s.success()) {
            skip("unmounting", &format!("{} stays mounted", self.0.display()));
        }
    }
}
