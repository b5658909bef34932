//! Start, stop and everything in between, as systemd and a person at the keyboard see it.

use crate::harness::{Broker, Daemon, config, request};
use serde_json::json;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

const METER: &str = r#"
[[meters]]
id = "b15"
name = "15号楼总表"
kind = "bulk"
at = "b15"
subscription = "meters"
device = "b15"
limits = { litres_per_hour = 1000 }
valve = { place = "15号楼北侧井", key_holder = "自管会" }
"#;

/// A quarter of an hour's reading of b15: quarter `k` of a day, at this register.
fn reading(broker: &Broker, k: u32, litres: u32) {
    let payload = format!(r#"{{"ts":"2026-11-23T{:02}:{:02}:00+08:00","total_l":{litres}}}"#, k / 4, k % 4 * 15);
    broker.publish(&["-q", "1", "-t", "meters/b15/state", "-m", &payload]);
}

/// From the first litre to a closed incident, over a restart.
#[test]
fn a_leak_becomes_an_incident_that_a_person_accepts_and_closes() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let text = config(broker.port, &folder.path().join("heyun.db"), METER);
    let mut d = Daemon::start(folder.path(), &text);
    let mut litres = 0;
    for k in 0..12 {
        reading(&broker, k, litres);
        // 489 L/h, and from 02:00 on 1390 L/h more.
        litres += if k < 8 { 122 } else { 470 };
    }
    d.until("all twelve are stored", |d| d.get("/api/v1/sources")["sources"][0]["counts"]["stored"] == 12);
    let incidents = d.get("/api/v1/incidents?state=open");
    let incident = &incidents["incidents"][0];
    let id = incident["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("test-1."), "{incident}");
    assert_eq!((&incident["cause"], &incident["state"]), (&json!("leak"), &json!("detected")), "{incident}");
    let file = d.get(&format!("/api/v1/incidents/{id}"));
    let finding = &file["findings"][0];
    assert_eq!((&finding["code"], &finding["point"]), (&json!("leak_hourly_limit"), &json!("b15")), "{file}");
    assert!(finding["evidence"].as_array().is_some_and(|e| e.len() >= 3), "{file}");

    let flow = d.get("/api/v1/meters/b15/flow?from=2026-11-23T00:00:00%2B08:00&to=2026-11-24T00:00:00%2B08:00");
    let intervals = flow["intervals"].as_array().unwrap();
    assert_eq!(intervals.len(), 11, "{flow}");
    assert_eq!(intervals[10]["litres"], json!(470), "{flow}");
    assert_eq!(intervals[10]["litres_per_hour"], json!(1880), "{flow}");

    let path = format!("/api/v1/incidents/{id}/accept");
    assert_eq!(d.post(&path, &json!({ "by": "" })).0, 400, "somebody must have a name");
    let (status, body) = d.post(&path, &json!({ "by": "网格员甲", "note": "去现场" }));
    assert_eq!(status, 200, "{body}");
    assert_eq!(d.post(&path, &json!({ "by": "网格员乙" })).0, 409, "it is taken");

    // Accepted means stored: a crash right after the answer changes nothing.
    d.kill9();
    let d = Daemon::start(folder.path(), &text);
    let file = d.get(&format!("/api/v1/incidents/{id}"));
    assert_eq!((&file["state"], &file["accepted"]["by"]), (&json!("accepted"), &json!("网格员甲")), "{file}");
    let (status, body) = d.post(&format!("/api/v1/incidents/{id}/close"), &json!({ "by": "网格员甲", "reason": "阀门已换" }));
    assert_eq!(status, 200, "{body}");
    assert_eq!(d.get("/api/v1/incidents?state=open")["incidents"], json!([]));
    d.stop();
}

#[test]
fn systemd_hears_ready_watchdog_and_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(crate::harness::PATIENCE)).unwrap();
    let heard = |what: &str| {
        let mut buffer = [0; 256];
        loop {
            let n = socket.recv(&mut buffer).unwrap_or_else(|e| panic!("no {what}: {e}"));
            if String::from_utf8_lossy(&buffer[..n]).contains(what) {
                return;
            }
        }
    };
    let text = config(broker.port, &folder.path().join("heyun.db"), METER);
    let env = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "300000")];
    let d = Daemon::spawn(folder.path(), &text, &env);
    heard("READY=1");
    heard("WATCHDOG=1");
    heard("WATCHDOG=1");
    d.signal("TERM");
    heard("STOPPING=1");
    let (status, log) = d.wait();
    assert!(status.success(), "{log}");
}

#[test]
fn an_orderly_stop_stores_what_was_received_and_the_next_start_folds_nothing_anew() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    // A long linger: only the stop commits.
    let text = config(broker.port, &folder.path().join("heyun.db"), METER).replace("200ms", "60s");
    let mut d = Daemon::spawn(folder.path(), &text, &[("HEYUN_LOG", "debug")]);
    d.wait_for_line(" subscribed");
    for k in 0..5 {
        reading(&broker, k, 100 * k);
    }
    // The broker keeps the order: when this one is refused, the five before it have arrived.
    broker.publish(&["-q", "1", "-t", "meters/b15/state", "-m", "mark"]);
    d.wait_for_line("message refused");
    let rows: i64 = d.database().query_row("SELECT count(*) FROM readings", [], |r| r.get(0)).unwrap();
    assert_eq!(rows, 0, "nothing is committed before its time");
    let log = d.stop();
    assert!(log.contains("store closed"), "{log}");
    let d = Daemon::start(folder.path(), &text);
    let rows: i64 = d.database().query_row("SELECT count(*) FROM readings", [], |r| r.get(0)).unwrap();
    assert_eq!(rows, 5);
    assert!(d.log().contains("rows=0"), "a checkpoint was written at the stop: {}", d.log());
    let meters = d.get("/api/v1/meters");
    assert_eq!(meters["meters"][0]["register_litres"], json!(400), "{meters}");
    d.stop();
}

#[test]
fn without_a_broker_it_is_ready_and_says_that_the_broker_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Broker::start();
    broker.kill9();
    let text = config(broker.port, &folder.path().join("heyun.db"), METER);
    let mut d = Daemon::start_alone(folder.path(), &text);
    d.wait_for_line("no broker; trying again");
    let health = d.get("/healthz");
    assert_eq!(health["broker"]["state"], json!("connecting"), "{health}");
    broker.restart();
    d.until("the broker was found", |d| d.get("/healthz")["broker"]["state"] == "connected");
    d.stop();
}

#[test]
fn what_cannot_work_is_said_and_exits_with_the_right_code() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let db = folder.path().join("heyun.db");
    let text = config(broker.port, &db, METER);
    let d = Daemon::start(folder.path(), &text);

    // A second daemon on the same database.
    let other = tempfile::tempdir().unwrap();
    let (status, log) = Daemon::spawn(other.path(), &text, &[]).wait();
    assert_eq!(status.code(), Some(74), "{log}");
    assert!(log.contains("in use by another heyun"), "{log}");

    // A second daemon on the same port.
    let taken = config(broker.port, &other.path().join("heyun.db"), METER).replace("127.0.0.1:0", &format!("127.0.0.1:{}", d.http));
    let (status, log) = Daemon::spawn(other.path(), &taken, &[]).wait();
    assert_eq!(status.code(), Some(74), "{log}");
    assert!(log.contains("cannot be bound"), "{log}");

    // A config with a mistake.
    let (status, log) = Daemon::spawn(other.path(), &text.replace("kind = \"bulk\"", "kind = \"bulky\""), &[]).wait();
    assert_eq!(status.code(), Some(78), "{log}");
    assert!(log.contains("bulky"), "{log}");
    d.stop();
}

#[test]
fn a_second_signal_leaves_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let text = config(broker.port, &folder.path().join("heyun.db"), METER);
    let d = Daemon::start(folder.path(), &text);
    // A request whose head never ends keeps the web from ending: it is waited for, for a while.
    let mut slow = std::net::TcpStream::connect(("127.0.0.1", d.http)).unwrap();
    write!(slow, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n").unwrap();
    d.signal("TERM");
    d.signal("INT");
    let (status, log) = d.wait();
    // Two signals at once may be heard as the orderly stop that was already over.
    assert!(status.success() || (status.code() == Some(70) && log.contains("second signal")), "{status}: {log}");
}

#[test]
fn the_live_stream_tells_an_incident_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let d = Daemon::start(folder.path(), &config(broker.port, &folder.path().join("heyun.db"), METER));
    let port = d.http;
    let stream = std::thread::spawn(move || read_stream_until(port, "/api/v1/live", "event: incident"));
    for k in 0..6 {
        reading(&broker, k, k * 500);
    }
    let text = stream.join().unwrap();
    assert!(text.contains("event: hello") && text.contains("opened"), "{text}");
    let again = read_stream_until(port, "/api/v1/live?after=0", "event: incident");
    assert!(again.contains("id: 1\n"), "{again}");
    assert_eq!(request(port, "GET", "/api/v1/nothing", None).0, 404);
    d.stop();
}

/// Reads a stream until a line says `what`, and a little of what follows.
fn read_stream_until(port: u16, path: &str, what: &str) -> String {
    use std::io::{BufRead, BufReader};
    let mut s = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    s.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(s, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n\r\n").unwrap();
    let mut text = String::new();
    let mut reader = BufReader::new(s);
    let mut found = false;
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the stream ended: {text}");
        found |= line.contains(what);
        let blank = line.trim().is_empty();
        text.push_str(&line);
        if found && blank {
            return text;
        }
    }
}
