//! The daemon on a sick disk: slow, full, failing, and mended again. The disk is the one of the crate faulty-disk, in a process of its own that
//! runs the same daemon; what it is to do comes on its stdin.

use crate::crash::{expected, messages, meters, stored, stored_rows};
use crate::harness::{Broker, Daemon, config, is_root, request, skip};
use crate::publisher::publish;
use faulty_disk::{Disk, Failure};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;

const CHILD: &str = "HEYUN_TEST_SICK_DAEMON";

/// Not a test of its own: the daemon on the faulty disk.
#[test]
fn child_that_is_the_daemon() {
    let Ok(file) = std::env::var(CHILD) else { return };
    let file = PathBuf::from(file);
    let disk = Disk::at(file.parent().unwrap());
    let orders = disk.clone();
    std::thread::spawn(move || {
        for order in std::io::stdin().lines().map_while(Result::ok) {
            match order.as_str() {
                "slow" => orders.slow(Duration::from_millis(500)),
                "full" => orders.fail(Failure::Full),
                "io" => orders.fail(Failure::Io),
                "mend" => orders.mend(),
                other => panic!("{other}"),
            }
        }
    });
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    heyun::daemon::run(&file).unwrap();
}

struct Sick {
    daemon: Daemon,
    orders: ChildStdin,
}

impl Sick {
    fn start(folder: &Path, broker: &Broker) -> Sick {
        let file = folder.join("heyun.toml");
        std::fs::write(&file, config(broker.port, &folder.join("heyun.db"), &meters())).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sick::child_that_is_the_daemon", "--nocapture"])
            .env(CHILD, &file)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        Sick { daemon: Daemon::adopt(folder, child), orders }
    }

    fn order(&mut self, what: &str) {
        writeln!(self.orders, "{what}").unwrap();
    }
}

#[test]
fn a_disk_that_takes_half_a_second_for_each_sync_delays_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let mut sick = Sick::start(folder.path(), &broker);
    sick.order("slow");
    let n = 5_000;
    publish(broker.port, 100_000, messages(n), |_| {});
    sick.daemon.until("everything is stored", |d| stored_rows(d) >= n as i64);
    assert_eq!(stored(&sick.daemon), expected(n));
    let slow = |d: &Daemon| d.get("/healthz")["last_commit_ms"].as_u64().is_some_and(|ms| ms >= 500);
    sick.daemon.until("the API says how long a commit takes", slow);
    sick.daemon.stop();
}

#[test]
fn a_disk_that_fails_and_is_mended_delays_and_loses_nothing() {
    for failure in ["full", "io"] {
        let folder = tempfile::tempdir().unwrap();
        let broker = Broker::start();
        let mut sick = Sick::start(folder.path(), &broker);
        let n = 4_000;
        let (first, rest) = (messages(n / 2), messages(n).split_off(n / 2));
        publish(broker.port, 100_000, first, |_| {});
        sick.daemon.until("the first are stored", |d| stored_rows(d) >= n as i64 / 2);
        sick.order(failure);
        publish(broker.port, 100_000, rest, |_| {});
        sick.daemon.wait_for_line("the store cannot be written");
        sick.daemon.until("the API says so", |d| request(d.http, "GET", "/healthz", None).0 == 503);
        assert_eq!(stored_rows(&sick.daemon), n as i64 / 2, "{failure}: what is stored can be read");
        sick.order("mend");
        sick.daemon.wait_for_line("the store can be written again");
        sick.daemon.until("everything is stored", |d| stored_rows(d) >= n as i64);
        assert_eq!(stored(&sick.daemon), expected(n));
        sick.daemon.until("the API says so", |d| request(d.http, "GET", "/healthz", None).0 == 200);
        sick.daemon.stop();
    }
}

/// What the kernel does with a card whose file system is damaged: it is mounted anew, read-only.
#[test]
fn a_disk_that_is_read_only_is_said_at_the_start_and_can_be_checked() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("card");
    std::fs::create_dir(&at).unwrap();
    let mount = |args: &[&str]| Command::new("mount").args(args).arg(&at).output().is_ok_and(|o| o.status.success());
    if !is_root() || !mount(&["-t", "tmpfs", "-o", "size=16m", "heyun-test"]) {
        skip("a_disk_that_is_read_only_is_said_at_the_start_and_can_be_checked", "a file system can be mounted by root only");
        return;
    }
    let _card = Card(at.clone());
    let broker = Broker::start();
    let text = config(broker.port, &at.join("heyun.db"), &meters());
    let mut d = Daemon::start(folder.path(), &text);
    publish(broker.port, 100_000, messages(100), |_| {});
    let db = at.join("heyun.db");
    d.until("everything is stored", |_| {
        crate::harness::open(&db).query_row("SELECT coalesce(sum(rows), 0) FROM commits", [], |r| r.get::<_, i64>(0)).unwrap() >= 100
    });
    d.stop();
    assert!(mount(&["-o", "remount,ro"]));
    let (status, log) = Daemon::spawn(folder.path(), &text, &[]).wait();
    assert_eq!(status.code(), Some(77), "{log}");
    assert!(log.contains("cannot be written") && log.contains("on a writable disk"), "{log}");
    let check = Command::new(env!("CARGO_BIN_EXE_heyun")).args(["store", "check", "--lang", "en", "--store"]).arg(&db).output().unwrap();
    let said = String::from_utf8_lossy(&check.stdout).into_owned() + &String::from_utf8_lossy(&check.stderr);
    assert!(check.status.success() && said.contains("sound. 100 readings"), "{said}");
}

struct Card(PathBuf);

impl Drop for Card {
    fn drop(&mut self) {
        if !Command::new("umount").arg("-l").arg(&self.0).status().is_ok_and(|s| s.success()) {
            skip("unmounting", &format!("{} stays mounted", self.0.display()));
        }
    }
}
