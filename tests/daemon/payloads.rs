//! What an installer sends by hand on the first afternoon: each message ends as the right counter and a word that a person
//! understands, and nothing stops.

use crate::harness::{Broker, Daemon, config};
use serde_json::{Value, json};

pub const METER: &str = r#"
[[meters]]
id = "b15"
name = "15号楼总表"
kind = "bulk"
at = "b15"
subscription = "meters"
device = "b15"
"#;

/// The source of this topic as the API tells it.
fn source(d: &Daemon, topic: &str) -> Value {
    let sources = d.get("/api/v1/sources");
    let list = sources["sources"].as_array().unwrap_or_else(|| panic!("{sources}"));
    list.iter().find(|s| s["topic"] == topic).cloned().unwrap_or_default()
}

/// Waits until this topic has so many messages behind it, and gives its source.
fn heard(d: &mut Daemon, topic: &str, messages: u64) -> Value {
    d.until(&format!("{messages} messages of {topic}"), |d| {
        let c = &source(d, topic)["counts"];
        c["received"].as_u64() == Some(messages) && c["in_flight"].as_u64() == Some(0)
    });
    source(d, topic)
}

#[test]
fn every_message_by_hand_ends_as_the_right_counter_with_words_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let db = folder.path().join("heyun.db");
    let mut d = Daemon::start(folder.path(), &config(broker.port, &db, METER));
    // Good JSON, at QoS 1 and at QoS 0.
    broker.publish(&["-q", "1", "-t", "meters/b15/state", "-m", r#"{"ts":"2026-11-24T08:00:00+0800","total_l":"1000"}"#]);
    broker.publish(&["-q", "0", "-t", "meters/b15/state", "-m", r#"{"ts":"2026-11-24T00:15:00Z","total_l":1250.5}"#]);
    let s = heard(&mut d, "meters/b15/state", 2);
    assert_eq!((&s["counts"]["stored"], &s["last_bad"]), (&json!(2), &Value::Null), "{s}");
    let meters = d.get("/api/v1/meters");
    assert_eq!(meters["meters"][0]["register_litres"], json!(1250.5), "{meters}");

    // A plain number, a decimal comma, a unit behind it; no meter is configured for these, and they are kept all the same.
    for (topic, payload, ml) in
        [("plain/a", "338.304", 338_304_000i64), ("plain/b", "338,304", 338_304_000), ("plain/c", " 338304 L\n", 338_304_000)]
    {
        broker.publish(&["-q", "1", "-t", topic, "-m", payload]);
        let s = heard(&mut d, topic, 1);
        assert_eq!((&s["counts"]["stored"], &s["points"]), (&json!(1), &json!([])), "{topic}: {s}");
        let stored: i64 =
            d.database().query_row("SELECT v0 FROM readings JOIN sources USING (source) WHERE topic = ?1", [topic], |r| r.get(0)).unwrap();
        assert_eq!(stored, ml, "{topic}");
    }

    // A name that no device has is not remembered whole: ten thousand of them would fill the memory.
    let long = format!("plain/{}", "水".repeat(5_000));
    broker.publish(&["-q", "1", "-t", &long, "-m", "1"]);
    let s = heard(&mut d, &format!("{}…", &long[..510]), 1);
    assert_eq!((&s["counts"]["rejected"]["topic"], &s["counts"]["stored"]), (&json!(1), &json!(0)), "{s}");

    // What is wrong, and the code that it must end as.
    let bad: &[(&str, &[u8], &str)] = &[
        ("meters/type/state", br#"{"ts":"2026-11-24T00:00:00Z","total_l":"many"}"#, "number"),
        ("meters/nothing/state", br#"{"ts":"2026-11-24T00:00:00Z"}"#, "missing"),
        ("meters/cut/state", br#"{"ts":"2026-11-24T00:0"#, "json"),
        ("meters/utf8/state", b"{\"total_l\":\"\xff\xfe\"}", "utf8"),
        ("meters/huge/state", &vec![b'7'; 1 << 20], "size"),
        ("meters/old/state", br#"{"ts":"1970-01-01T00:00:05Z","total_l":5}"#, "time_old"),
        ("meters/ahead/state", br#"{"ts":"2099-01-01T00:00:00Z","total_l":5}"#, "time_ahead"),
        ("meters/stamp/state", br#"{"ts":"yesterday","total_l":5}"#, "time_syntax"),
        ("plain/kelvin", "291 K".as_bytes(), "unit"),
    ];
    for (topic, payload, code) in bad {
        broker.publish_bytes(topic, payload);
        let s = heard(&mut d, topic, 1);
        assert_eq!(s["counts"]["rejected"][code], json!(1), "{topic}: {s}");
        let bad = &s["last_bad"];
        assert_eq!(bad["code"], json!(code), "{s}");
        for language in ["zh", "en"] {
            assert!(bad["text"][language].as_str().is_some_and(|t| t.len() > 10), "{topic}: no words in {language}: {s}");
        }
        assert!(bad["excerpt"].as_str().is_some_and(|e| !e.is_empty() && e.len() < 1_000), "{s}");
    }

    // The same again is a duplicate, another value for the same instant is a conflict, and the first stays.
    broker.publish(&["-q", "1", "-t", "meters/b15/state", "-m", r#"{"ts":"2026-11-24T00:00:00Z","total_l":1000}"#]);
    broker.publish(&["-q", "1", "-t", "meters/b15/state", "-m", r#"{"ts":"2026-11-24T00:00:00Z","total_l":1001}"#]);
    let s = heard(&mut d, "meters/b15/state", 4);
    assert_eq!((&s["counts"]["duplicate"], &s["counts"]["rejected"]["conflict"]), (&json!(1), &json!(1)), "{s}");

    let log = d.stop();
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn prevents_a_retained_message_from_being_counted_as_a_new_reading() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    broker.publish(&["-q", "1", "-r", "-t", "plain/old", "-m", "7.5"]);
    broker.publish(&["-q", "1", "-r", "-t", "meters/b15/state", "-m", r#"{"ts":"2026-11-24T00:00:00Z","total_l":7}"#]);
    let text = config(broker.port, &folder.path().join("heyun.db"), METER);
    let mut d = Daemon::start(folder.path(), &text);
    assert_eq!(heard(&mut d, "plain/old", 1)["counts"]["rejected"]["retained"], json!(1));
    assert_eq!(heard(&mut d, "meters/b15/state", 1)["counts"]["stored"], json!(1));
    d.stop();
    // A new process subscribes again, and the broker tells both again.
    let mut d = Daemon::start(folder.path(), &text);
    assert_eq!(heard(&mut d, "plain/old", 1)["counts"]["rejected"]["retained"], json!(1));
    assert_eq!(heard(&mut d, "meters/b15/state", 1)["counts"]["duplicate"], json!(1));
    d.stop();
}

#[test]
fn a_topic_that_only_an_earlier_config_named_is_counted_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let text = config(broker.port, &folder.path().join("heyun.db"), METER);
    let mut d = Daemon::start(folder.path(), &text);
    broker.publish(&["-q", "1", "-t", "plain/x", "-m", "1"]);
    heard(&mut d, "plain/x", 1);
    d.stop();
    // The session at the broker still has the subscription.
    let mut d = Daemon::start(folder.path(), &text.replace("plain/+", "simple/+"));
    broker.publish(&["-q", "1", "-t", "plain/x", "-m", "2"]);
    assert_eq!(heard(&mut d, "plain/x", 1)["counts"]["rejected"]["topic"], json!(1));
    d.stop();
}

/// Two versions of a decoder's firmware, with two names for one number.
const DECODER: &str = r#"
title = "A decoder whose versions name the register otherwise"
[[messages]]
topic = "decoder/{device}"
format = "json"
time = "/timestamp"
values = [{ name = "total", at = ["/total_m3", "/total_volume_m3"], unit = "m3", required = true }]
[[example]]
says = "up to version 2"
topic = "decoder/1"
payload = '{"total_m3":1.5,"timestamp":"2026-01-19T05:12:44Z"}'
expect = { total = "1.5 m3", time = "2026-01-19T05:12:44Z" }
[[example]]
says = "from version 3 on"
topic = "decoder/1"
payload = '{"total_volume_m3":1.5,"timestamp":"2026-01-19T05:12:44Z"}'
expect = { total = "1.5 m3", time = "2026-01-19T05:12:44Z" }
"#;

#[test]
fn prevents_a_register_that_is_lost_because_an_update_renames_its_field() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    std::fs::create_dir(folder.path().join("devices")).unwrap();
    std::fs::write(folder.path().join("devices/decoder.toml"), DECODER).unwrap();
    let meter = "[[meters]]\nid = \"m\"\nkind = \"bulk\"\nat = \"b15\"\nsubscription = \"decoder\"\ndevice = \"1\"\n[[mqtt.subscriptions]]\nname = \"decoder\"\nprofile = \"decoder\"\n";
    let mut d = Daemon::start(folder.path(), &config(broker.port, &folder.path().join("heyun.db"), meter));
    let send = |hour: u8, field: &str, m3: &str| {
        let payload = format!(r#"{{"{field}":{m3},"timestamp":"2026-11-24T{hour:02}:00:00Z"}}"#);
        broker.publish(&["-q", "1", "-t", "decoder/1", "-m", &payload]);
    };
    send(1, "total_m3", "338.304");
    // The update comes in between: the register goes on, and what passed is told over it.
    send(2, "total_volume_m3", "338.404");
    let s = heard(&mut d, "decoder/1", 2);
    assert_eq!(s["counts"]["stored"], json!(2), "{s}");
    let flow = d.get("/api/v1/meters/m/flow?resolution=raw&from=2026-11-24T00:00:00Z&to=2026-11-25T00:00:00Z");
    assert_eq!((&flow["litres"], &flow["unknown"]), (&json!(100), &json!(0)), "{flow}");
    // A name that nobody knew is said at once, with the places that were looked at; nothing else becomes the register instead.
    send(3, "volume_total_m3", "338.504");
    let s = heard(&mut d, "decoder/1", 3);
    let said = s["last_bad"].to_string();
    assert!(said.contains("/total_m3") && said.contains("volume_total_m3"), "{s}");
    assert_eq!((&s["counts"]["stored"], d.get("/api/v1/meters/m")["register_litres"].clone()), (&json!(2), json!(338_404)), "{s}");
}
