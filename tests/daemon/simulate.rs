//! The simulator against a real daemon: what it says it sent is what the gateway has.

use crate::harness::{Broker, Daemon};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The demo's config at this broker, with its store in `folder`.
fn demo(broker: &Broker, folder: &Path) -> String {
    let shipped = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo.toml")).unwrap();
    shipped
        .replace("127.0.0.1:18830", &format!("127.0.0.1:{}", broker.port))
        .replace("127.0.0.1:8480", "127.0.0.1:0")
        .replace("target/demo/heyun.db", &folder.join("heyun.db").display().to_string())
}

/// The simulator with the config that the daemon left in `folder`.
fn simulator(folder: &Path, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heyun"));
    command.args(["simulate", "--seed", "1", "--config"]).arg(folder.join("heyun.toml")).args(args).env("NO_COLOR", "1");
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The number before a word of the simulator's last line.
fn number(said: &str, word: &str) -> u64 {
    let before = said.lines().last().and_then(|l| l.split(word).next()).unwrap_or_default();
    before.split_whitespace().last().and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no number of {word:?} in {said:?}"))
}

fn ended(child: Child) -> (bool, String, String) {
    let out = child.wait_with_output().unwrap();
    (out.status.success(), String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
}

#[test]
fn what_the_simulator_sent_is_what_the_gateway_has() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let mut d = Daemon::start(folder.path(), &demo(&broker, folder.path()));
    let (success, said, log) = ended(simulator(folder.path(), &["--once", "--history", "2"]));
    assert!(success, "{log}");
    let (readings, repeated, bad) = (number(&said, " readings"), number(&said, " repeated"), number(&said, " bad"));
    assert_eq!(readings + repeated + bad, number(&said, " acknowledged"), "{said}");
    assert!(readings > 20_000 && repeated > 20 && bad > 0, "{said}");
    let has = |d: &Daemon| ["stored", "duplicate", "rejected"].map(|counter| total(d, counter));
    d.until("all is counted", |d| has(d).iter().sum::<u64>() == readings + repeated + bad);
    assert_eq!(has(&d), [readings, repeated, bad]);

    let incidents = d.get("/api/v1/incidents");
    // On some days a rope is wet, too.
    let of_a_rope = |i: &serde_json::Value| i["points"][0].as_str().is_some_and(|p| p.ends_with("-rope"));
    let open = incidents["incidents"].as_array().unwrap().iter().filter(|i| i["cause"] == "leak" && i["closed"].is_null());
    let open: Vec<_> = open.filter(|i| !of_a_rope(i)).collect();
    // The pipe that gives, and the toilet that runs; on some days it does not.
    let of: Vec<_> = open.iter().map(|i| i["points"][0].as_str().unwrap_or_default()).collect();
    assert!(of.contains(&"b15-bulk") && of.iter().all(|p| ["b15-bulk", "h1-302"].contains(p)), "{incidents}");
    let sensors = d.get("/api/v1/sensors");
    let heard = |s: &serde_json::Value| s["values"].as_array().is_some_and(|v| !v.is_empty()) && s["silent"] == false;
    assert!(sensors["sensors"].as_array().is_some_and(|all| all.len() == 9 && all.iter().all(heard)), "{sensors}");

    // Told again, by another start with a longer history: not one value differs.
    let word = |key: &str| log.split(key).nth(1).and_then(|r| r.split_whitespace().next()).unwrap().to_owned();
    let (until, leak) = (word("until="), word("since="));
    let (success, again, log) = ended(simulator(folder.path(), &["--until", &until, "--history", "3", "--leak-at", &leak]));
    assert!(success, "{log}");
    let more = number(&again, " readings");
    assert!(more > readings);
    d.until("the longer history is stored", |d| total(d, "stored") == more);
    let all = number(&again, " messages") + readings + repeated + bad;
    d.until("all is counted", |d| has(d).iter().sum::<u64>() == all);
    assert_eq!(total(&d, "rejected"), bad + number(&again, " bad"), "no conflict: {}", d.get("/api/v1/sources"));
    d.stop();
}

#[test]
fn a_broker_that_falls_over_loses_the_simulator_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Broker::start();
    let mut d = Daemon::start(folder.path(), &demo(&broker, folder.path()));
    let child = simulator(folder.path(), &["--once", "--history", "6"]);
    d.until("the first messages are stored", |d| total(d, "stored") > 1_000);
    broker.kill9();
    broker.restart();
    let (success, said, log) = ended(child);
    assert!(success && log.contains("the broker is away"), "{said}\n{log}");
    assert_eq!(number(&said, " messages"), number(&said, " acknowledged"), "{said}");
    d.stop();
}

/// A counter summed over all sources.
fn total(d: &Daemon, counter: &str) -> u64 {
    let sources = d.get("/api/v1/sources");
    let value = |s: &serde_json::Value| match &s["counts"][counter] {
        serde_json::Value::Object(by_reason) => by_reason.values().filter_map(serde_json::Value::as_u64).sum(),
        other => other.as_u64().unwrap_or_default(),
    };
    sources["sources"].as_array().unwrap().iter().map(value).sum()
}

#[test]
fn live_moves_within_a_minute_and_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let mut d = Daemon::start(folder.path(), &demo(&broker, folder.path()));
    let child = simulator(folder.path(), &["--history", "0"]);
    d.until("a live reading is stored", |d| total(d, "stored") > 0);
    crate::harness::signal(&child, "INT");
    let (success, said, log) = ended(child);
    assert!(success && log.contains("stopped"), "{said}\n{log}");
    assert_eq!(number(&said, " messages"), number(&said, " acknowledged"), "{said}");
    d.stop();
}

#[test]
fn a_broker_that_is_away_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Broker::start();
    std::fs::write(folder.path().join("heyun.toml"), demo(&broker, folder.path())).unwrap();
    broker.stop();
    let mut child = simulator(folder.path(), &["--once", "--history", "1"]);
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut log = String::new();
    while !log.contains("the broker is away") {
        assert!(lines.read_line(&mut log).unwrap() > 0, "it ended: {log}");
    }
    broker.restart();
    lines.read_line(&mut log).unwrap();
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    let (success, said, _) = ended(child);
    assert!(success, "{said}");
    assert_eq!(number(&said, " messages"), number(&said, " acknowledged"), "{said}");
}
