//! The daily copy of the database: made by the daemon, seen by people, put back by the command.

use crate::harness::{Broker, Daemon, config, request};
use serde_json::json;
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
