//! The daily copy of the database: made by the daemon, seen by people, put back by the command.

use crate::harness::{Broker, Daemon, config, request};
use crate::publisher::{Message, publish};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

const METER: &str = r#"
[[meters]]
id = "b15"
kind = "bulk"
at = "b15"
subscription = "meters"
device = "b15"
"#;

/// Today's copy is always due.
fn with_backup(mqtt: u16, folder: &Path) -> String {
    let copies = folder.join("copies");
    let backup = format!("[store.backup]\npath = \"{}\"\nat = \"00:00\"\nkeep_days = 2\nkeep_months = 1\n{METER}", copies.display());
    config(mqtt, &folder.join("heyun.db"), &backup)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A day that the machine was off is made up for; a card that died is replaced by the copy.
#[test]
fn a_missed_copy_is_made_after_the_start_and_brings_everything_back() {
    let folder = tempfile::tempdir().unwrap();
    let copies = folder.path().join("copies");
    let broker = Broker::start();
    let text = with_backup(broker.port, folder.path());

    // The disk is not mounted.
    let mut d = Daemon::start(folder.path(), &text);
    d.wait_for_line("no copy of the database could be made");
    d.until("health tells of it", |d| d.get("/healthz")["backup"]["state"] == "failing");
    let health = d.get("/healthz");
    assert_eq!((&health["status"], &health["backup"]["last_ok_at"]), (&json!("ok"), &json!(null)), "{health}");
    assert!(health["backup"]["last_error"].as_str().unwrap().contains("copies: no such directory; is the disk mounted?"), "{health}");
    assert!(health["backup"]["next_at"].is_string() && health["backup"]["failing_since"].is_string(), "{health}");
    assert!(request(d.http, "GET", "/metrics", None).1.contains("heyun_backup_failing 1\n"));
    let (free, total) = (health["disk"]["free_bytes"].as_u64().unwrap(), health["disk"]["total_bytes"].as_u64().unwrap());
    let state = if free < (64 << 20).max(total / 50) { "nearly_full" } else { "ok" };
    assert!(free <= total && health["disk"]["state"] == state && health["store"]["expired"] == 0, "{health}");
    assert!(!copies.exists(), "an unmounted disk is not made up");
    broker.publish(&["-q", "1", "-t", "meters/b15/state", "-m", r#"{"ts":"2026-11-23T00:00:00+08:00","total_l":4711}"#]);
    d.until("it is stored", |d| d.get("/api/v1/sources")["totals"]["stored"] == 1);
    d.stop();

    fs::create_dir(&copies).unwrap();
    let strangers = ["heyun-test-10-2020-01-01.db", "heyun-test-1-2020-01-01-notes.db", "heyun-test-1-2020-01-01.txt"];
    for name in
        ["heyun-test-1-2020-01-01.db", "heyun-test-1-2020-01-01.db.sha256", "heyun-test-1-2020-01-02.db", "heyun-test-1-2020-01-03.db.part"]
    {
        fs::write(copies.join(name), "old").unwrap();
    }
    strangers.iter().for_each(|name| fs::write(copies.join(name), "not ours").unwrap());
    let mut d = Daemon::start(folder.path(), &text);
    let line = d.wait_for_line("copy of the database made and verified");
    d.until("health tells of it", |d| d.get("/healthz")["backup"]["last_ok_at"].is_string());
    let health = d.get("/healthz")["backup"].clone();
    assert_eq!((&health["state"], &health["failing_since"], &health["same_disk"]), (&json!("ok"), &json!(null), &json!(true)), "{health}");
    let metrics = request(d.http, "GET", "/metrics", None).1;
    assert!(metrics.contains("heyun_backup_failing 0\n") && metrics.contains("heyun_backup_age_seconds "), "{metrics}");
    let log = d.stop();
    assert!(log.contains("is on the disk of the database"), "{log}");
    let mut left = names(&copies);
    let made = left.iter().find(|n| n.starts_with("heyun-test-1-") && n.ends_with(".db") && !n.contains("2020")).unwrap().clone();
    assert!(line.contains(&made), "{line}");
    left.retain(|n| !strangers.contains(&n.as_str()));
    assert_eq!(left, ["heyun-test-1-2020-01-02.db".to_owned(), made.clone(), format!("{made}.sha256")], "two are kept");

    // Nothing is left of the database but its copy.
    for name in names(folder.path()).iter().filter(|n| n.starts_with("heyun.db")) {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let mut restore = Command::new(env!("CARGO_BIN_EXE_heyun"));
    let out =
        restore.args(["store", "restore", "--config"]).arg(folder.path().join("heyun.toml")).arg(copies.join(&made)).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    let d = Daemon::start(folder.path(), &text);
    let meter = d.get("/api/v1/meters/b15");
    assert_eq!(meter["register_litres"], json!(4711), "{meter}");
    let log = d.stop();
    assert!(!log.contains("copy of the database made"), "today's stands: {log}");
}

/// The wall clock of October, so many hours after it begins.
fn clock(hour: i64) -> String {
    format!("2026-10-{:02}T{:02}:00:00+08:00", hour / 24 + 1, hour % 24)
}

fn readings(hours: std::ops::RangeInclusive<i64>) -> Vec<Message> {
    let of =
        |h: i64| Message { topic: "meters/b15/state".into(), payload: format!(r#"{{"ts":"{}","total_l":{}}}"#, clock(h), 1_000 + 20 * h) };
    hours.map(of).collect()
}

/// What a program and what a person see of October: told days, and the chart.
fn october(d: &Daemon) -> (Value, Value) {
    let totals = d.get("/api/v1/totals?by=day&from=2026-10-01&to=2026-10-10");
    let flow = d.get("/api/v1/meters/b15/flow?resolution=day&from=2026-10-01&to=2026-10-10");
    (totals["meters"][0]["totals"].clone(), flow["litres"].clone())
}

/// home-assistant/core#148340, #85084: after a restored backup the cycles of its meters began anew, or counted twice.
#[test]
fn prevents_days_that_break_when_a_backup_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let text = config(broker.port, &folder.path().join("heyun.db"), METER);
    let mut d = Daemon::start(folder.path(), &text);
    let stored = |d: &mut Daemon, n: u64| d.until("all are stored", |d| d.get("/api/v1/sources")["totals"]["stored"] == n);
    // In the middle of a day.
    publish(broker.port, 1_000, readings(0..=84), |_| {});
    stored(&mut d, 85);
    let copy = folder.path().join("copy.db");
    let heyun = |args: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_heyun"))
            .args(args)
            .arg("--config")
            .arg(folder.path().join("heyun.toml"))
            .arg(&copy)
            .output()
            .unwrap();
        assert!(out.status.success(), "{args:?}: {out:?}");
    };
    heyun(&["store", "backup"]);
    publish(broker.port, 1_000, readings(85..=200), |_| {});
    stored(&mut d, 201);
    d.until("eight days are told", |d| october(d).0.as_array().is_some_and(|t| t.iter().filter(|t| t["complete"] == true).count() == 8));
    let before = october(&d);
    d.stop();
    heyun(&["store", "restore"]);
    let mut d = Daemon::start(folder.path(), &text);
    assert_eq!(d.get("/api/v1/meters/b15")["register_litres"], json!(1_000 + 20 * 84), "as of the copy");
    // What came after the copy comes once more, for whoever has it sends it again; some of it is in the copy.
    publish(broker.port, 1_000, readings(80..=200), |_| {});
    stored(&mut d, 116);
    d.until("all days are as they were", |d| october(d) == before);
    assert_eq!(before.1, json!(200 * 20));
}
