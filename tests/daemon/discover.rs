//! `heyun discover` against a real broker: what it proposes is a config, and the daemon reads by it what was shown.

use crate::harness::{Broker, Daemon, config};
use crate::payloads::METER;
use crate::publisher::{Message, publish};
use heyun::domain::device::{Expect, Profile};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// Shipped profiles whose devices can be told apart on one broker.
const DEVICES: [&str; 13] = [
    "ai-on-the-edge",
    "chirpstack",
    "cjt188",
    "heyun",
    "huawei-iot",
    "senml",
    "shelly-counter",
    "shelly-flood",
    "tasmota",
    "waterius",
    "wmbusmeters",
    "yomtey",
    "zigbee2mqtt",
];

fn shipped(name: &str) -> Profile {
    let (_, text) = heyun::config::SHIPPED.iter().find(|(n, _)| *n == name).unwrap();
    heyun::config::parse_device(name, text).unwrap()
}

/// The first example of a profile that is a reading with a value: topic and payload.
fn example(name: &str) -> (String, Vec<u8>) {
    let profile = shipped(name);
    let told = |e: &&heyun::domain::device::Example| matches!(&e.expect, Expect::Readings(all) if all.iter().any(|r| !r.values.is_empty() || !r.flags.is_empty()));
    let e = profile.examples.iter().find(told).unwrap();
    (e.topic.clone(), e.payload.clone())
}

/// What the command says: stdout, stderr.
fn discover(config: &Path, args: &[&str]) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heyun"));
    command.args(["discover", "--config"]).arg(config).args(args).env("NO_COLOR", "1").env_remove("HEYUN_LOG");
    let out = command.stdin(Stdio::null()).output().unwrap();
    let (told, log) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    assert!(out.status.success(), "{told}\n{log}");
    (told, log)
}

pub fn report(config: &Path, args: &[&str]) -> Value {
    let (told, log) = discover(config, &[args, &["--format", "json"]].concat());
    serde_json::from_str(&told).unwrap_or_else(|e| panic!("{e}: {told}\n{log}"))
}

fn list(v: &Value) -> &[Value] {
    v.as_array().unwrap_or_else(|| panic!("no list: {v}"))
}

/// What is published in the test of everything: topics and payloads.
fn everything() -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> = DEVICES.iter().map(|n| example(n)).collect();
    let mut also = |topic: &str, payload: &[u8]| all.push((topic.to_owned(), payload.to_vec()));
    also("meters/b15/state", br#"{"ts":"2026-11-24T08:00:00+08:00","total_l":"338304"}"#);
    also("meters/b16/state", br#"{"ts":"2026-11-24T08:00:00+08:00","total_l":"12"}"#);
    also("meters/b17/state", br#"{"ts":"2026-11-24T08:00:00+08:00","total":"12"}"#);
    // A value that announces itself, devices that announce all they have, and what cannot be followed.
    also(
        "homeassistant/sensor/582D/tem/config",
        r#"{"stat_t":"omg/BTtoMQTT/582D","name":"tem","dev_cla":"temperature","val_tpl":"{{ value_json.tempc | is_defined }}",
            "unit_of_meas":"°C","device":{"name":"MiJia","identifiers":["D8A0"]}}"#
            .as_bytes(),
    );
    also("omg/BTtoMQTT/582D", br#"{"id":"58:2D","tempc":21.4}"#);
    for (n, wet) in [(1, false), (2, true)] {
        let components = json!({
            "wet": {"p": "binary_sensor", "dev_cla": "moisture", "val_tpl": "{{ value_json.wet }}", "pl_on": true, "pl_off": false},
            "bat": {"p": "sensor", "dev_cla": "battery", "unit_of_meas": "%", "val_tpl": "{{ value_json.bat }}"},
        });
        let device = json!({"dev": {"ids": n, "name": format!("Rope {n}"), "mf": "Acme", "mdl": "R1"}, "cmps": components});
        let mut device = device;
        device["state_topic"] = format!("ropes/{n}/state").into();
        also(&format!("homeassistant/device/rope{n}/config"), device.to_string().as_bytes());
        also(&format!("ropes/{n}/state"), json!({"wet": wet, "bat": 90 + n}).to_string().as_bytes());
    }
    also("homeassistant/sensor/computes/config", br#"{"stat_t":"computes","val_tpl":"{{ value_json.v * 2 }}","unit_of_meas":"L"}"#);
    also("homeassistant/sensor/silent/config", br#"{"stat_t":"silent","unit_of_meas":"L","dev_cla":"water"}"#);
    also("garbage/bytes", &(0..=255).collect::<Vec<u8>>());
    also("garbage/json", b"{\"a\":");
    also("garbage/deep", "[".repeat(10_000).as_bytes());
    also("garbage/big", &vec![b'1'; 20_000]);
    also("basement/water_cold", b"123.4");
    all
}

#[test]
fn what_is_proposed_is_a_config_and_the_daemon_reads_what_was_shown() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let written = config(broker.port, &folder.path().join("heyun.db"), METER);
    let file = folder.path().join("heyun.toml");
    std::fs::write(&file, &written).unwrap();
    let all = everything();
    for (topic, payload) in &all {
        let bytes = folder.path().join("payload");
        std::fs::write(&bytes, payload).unwrap();
        broker.publish(&["-r", "-q", "1", "-t", topic, "-f", &bytes.display().to_string()]);
    }
    let told = report(&file, &["--for", "2s"]);
    let proposals = list(&told["proposals"]);
    let by = |key: &str, is: &str| proposals.iter().find(|p| p[key] == is).unwrap_or_else(|| panic!("no {key} {is}: {told:#}"));
    for name in DEVICES {
        let p = by("profile", name);
        assert_eq!(p["certainty"], "known", "{p:#}");
    }
    let existing = by("certainty", "subscribed");
    assert_eq!((&existing["subscription"], &existing["devices"][0]["device"]), (&json!("meters"), &json!("b16")));
    assert_eq!((&existing["subscription_toml"], &existing["devices"][0]["values"]), (&Value::Null, &json!({"value": "12 L"})));
    let mijia = by("subscription", "mijia");
    assert_eq!((&mijia["certainty"], &mijia["devices"][0]["values"]), (&json!("announced"), &json!({"value": "21.4 °C"})));
    let ropes = by("subscription", "acme-r1");
    assert_eq!((&ropes["devices"][1]["flags"], &ropes["devices"][1]["values"]), (&json!(["wet"]), &json!({"battery": "92 %"})));
    assert_eq!(by("certainty", "guess")["devices"][0]["topics"], json!(["basement/water_cold"]));
    assert_eq!(told["failed"], json!([]));

    let why: Vec<&str> = list(&told["announced"]["refused"]).iter().map(|r| r["why"].as_str().unwrap()).collect();
    assert!(why.len() == 1 && why[0].contains("goes on with \"* 2\""), "{why:?}");
    assert_eq!(told["announced"]["unheard"][0]["topic"], "silent");
    let label = |topic: &str| list(&told["topics"]).iter().find(|t| t["topic"] == topic).map(|t| t["label"].clone());
    assert_eq!(label("meters/b15/state"), Some(json!("read")));
    assert_eq!(label("meters/b16/state"), Some(json!("subscribed")));
    assert_eq!(label("ropes/1/state"), Some(json!("proposed")));
    let refused = list(&told["topics"]).iter().find(|t| t["topic"] == "meters/b17/state").map(|t| t["refused"].clone());
    assert_eq!(refused, Some(json!("nothing at \"/total_l\"")));
    for unknown in ["garbage/bytes", "garbage/json", "garbage/deep", "garbage/big"] {
        assert_eq!(label(unknown), Some(json!("unknown")), "{unknown}");
    }
    assert_eq!((&told["dropped"]["long_payload"], &told["dropped"]["table_full"]), (&json!(1), &json!(0)));

    // What a person would do with it.
    std::fs::create_dir(folder.path().join("devices")).unwrap();
    let (mut whole, mut n) = (written, 0);
    for p in proposals {
        if let Some(text) = p["profile_toml"].as_str() {
            std::fs::write(folder.path().join(format!("devices/{}.toml", p["profile"].as_str().unwrap())), text).unwrap();
        }
        whole.push_str(p["subscription_toml"].as_str().unwrap_or_default());
        for entry in list(&p["devices"]).iter().flat_map(|d| list(&d["entries"])) {
            n += 1;
            whole.push_str(&entry["toml"].as_str().unwrap().replace("\"ID\"", &format!("\"found-{n}\"")).replace("\"PLACE\"", "\"c\""));
        }
    }
    let mut d = Daemon::start(folder.path(), &whole);
    for (topic, payload) in all.iter().filter(|(t, _)| !t.starts_with("homeassistant/")) {
        broker.publish_bytes(topic, payload);
    }
    for p in proposals {
        for device in list(&p["devices"]) {
            let key = device["device"].as_str();
            let topics: Vec<&str> = list(&device["topics"]).iter().map(|t| t.as_str().unwrap()).collect();
            let is_its = |s: &Value| {
                let source = s["topic"].as_str().unwrap_or_default();
                s["feed"] == p["subscription"] && (key.is_none_or(|k| topics.contains(&source) || source.split(['/', '#']).any(|l| l == k)))
            };
            let source = |d: &Daemon| list(&d.get("/api/v1/sources")["sources"]).iter().find(|s| is_its(s)).cloned();
            // What the broker had kept comes first, and gives flags alone where it has no time of its own.
            d.until(&format!("{p:#} is stored as it was shown"), |d| {
                source(d).is_some_and(|s| stored(d, s["topic"].as_str().unwrap(), &s) == shown(device))
            });
            let source = source(&d).unwrap();
            assert!(!list(&source["points"]).is_empty(), "{source:#}");
        }
    }
    d.stop();
    // Beside the daemon, whose session and whose readings it leaves alone: now all is read.
    let d = Daemon::start(folder.path(), &whole);
    let told = report(&file, &["--for", "1s"]);
    assert_eq!(told["proposals"], json!([]), "{told:#}");
    assert!(!d.log().contains("no broker"), "{}", d.log());
    d.stop();
}

/// The newest values of a source as the database holds them, by column.
fn stored(d: &Daemon, topic: &str, source: &Value) -> Vec<(String, i64)> {
    let columns: Vec<String> = list(&source["columns"]).iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect();
    if columns.is_empty() {
        // Only that it is there was heard so far.
        return vec![];
    }
    let asked = (0..columns.len()).map(|i| format!("v{i}")).collect::<Vec<_>>().join(", ");
    let sql = format!("SELECT {asked} FROM readings JOIN sources USING (source) WHERE topic = ?1 ORDER BY ts DESC");
    let db = d.database();
    let mut statement = db.prepare(&sql).unwrap();
    let mut rows = statement.query([topic]).unwrap();
    let mut out: Vec<(String, i64)> = vec![];
    while let Some(row) = rows.next().unwrap() {
        for (i, name) in columns.iter().enumerate() {
            if let (Some(v), false) = (row.get::<_, Option<i64>>(i).unwrap(), out.iter().any(|(n, _)| n == name)) {
                out.push((name.clone(), v));
            }
        }
    }
    out.sort();
    out
}

/// The values that stand beside a proposal, in the smallest units.
fn shown(device: &Value) -> Vec<(String, i64)> {
    use heyun::domain::flag::{Flag, FlagSet};
    use heyun::domain::units::{Decimal, Unit};
    let value = |(name, text): (&String, &Value)| {
        let text = text.as_str().unwrap();
        let (number, unit) = text.split_once(' ').unwrap_or((text, "1"));
        (name.clone(), Decimal::parse(number).unwrap().in_smallest(Unit::parse(unit).unwrap()).unwrap())
    };
    let mut out: Vec<(String, i64)> = device["values"].as_object().unwrap().iter().map(value).collect();
    if let Some(flags) = device["flags"].as_array() {
        let set: FlagSet = flags.iter().map(|f| Flag::parse(f.as_str().unwrap()).unwrap()).collect();
        out.push(("flags".into(), set.column()));
    }
    out.sort();
    out
}

#[test]
fn a_flood_of_topics_is_counted_and_the_rest_still_told() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let file = folder.path().join("heyun.toml");
    std::fs::write(&file, config(broker.port, &folder.path().join("heyun.db"), METER)).unwrap();
    let (topic, payload) = example("zigbee2mqtt");
    let bytes = folder.path().join("payload");
    std::fs::write(&bytes, payload).unwrap();
    broker.publish(&["-r", "-q", "1", "-t", &topic, "-f", &bytes.display().to_string()]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_heyun"));
    child.args(["discover", "--for", "1h", "--format", "json", "--config"]).arg(&file).env("NO_COLOR", "1").env("HEYUN_LOG", "heyun=debug");
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut wait_for = |what: &dyn Fn(&str) -> bool| while !what(&log.next().expect("it goes on").unwrap()) {};
    wait_for(&|line| line.contains("listening"));
    let flood = (0..5_000).map(|i| Message { topic: format!("flood/{i}"), payload: i.to_string() });
    publish(broker.port, 100_000, flood.collect(), |_| {});
    // It is full, and has heard of others: Ctrl-C, and all is told.
    let messages = |line: &str| line.split("messages=").nth(1).and_then(|r| r.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    wait_for(&|line| line.contains("topics=2000") && messages(line) > 2_100);
    crate::harness::signal(&child, "INT");
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    let told: Value = serde_json::from_slice(&out.stdout).unwrap();
    let (kept, dropped) = (list(&told["topics"]).len(), told["dropped"]["table_full"].as_u64().unwrap());
    assert!(kept <= 2_000, "{kept}");
    assert_eq!(told["messages"].as_u64(), Some(u64::try_from(kept).unwrap() + dropped));
    assert!(kept == 2_000 && dropped > 0, "{kept} topics and {dropped} messages of others");
    assert_eq!(told["proposals"][0]["profile"], "zigbee2mqtt", "{}", told["proposals"]);
}

#[test]
fn a_broker_that_is_away_or_says_no_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Broker::start_with("allow_anonymous false\n");
    let file = folder.path().join("heyun.toml");
    std::fs::write(&file, config(broker.port, &folder.path().join("heyun.db"), METER)).unwrap();
    let said = || {
        let out = Command::new(env!("CARGO_BIN_EXE_heyun")).args(["discover", "--config"]).arg(&file).output().unwrap();
        assert!(out.stdout.is_empty());
        (out.status.code(), String::from_utf8(out.stderr).unwrap())
    };
    let (code, log) = said();
    assert!(code == Some(78) && log.contains("refuses us: NotAuthorized; check user name and password"), "{code:?} {log}");
    broker.stop();
    let (code, log) = said();
    assert!(code == Some(74) && log.contains("cannot be reached"), "{code:?} {log}");
}

#[test]
fn what_does_not_go_together_is_written_out_and_what_was_clear_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let file = folder.path().join("heyun.toml");
    let both = config(broker.port, &folder.path().join("heyun.db"), "");
    let (written, _) = both.split_once("[[mqtt.subscriptions]]\nname = \"plain\"").unwrap();
    let written = format!("{written}{}", METER.replace("subscription = \"meters\"\n", ""));
    std::fs::write(&file, &written).unwrap();
    // `+/status`, where a node says that it is there, meets `zigbee2mqtt/+` and `water/+`; what brings most devices keeps its +.
    for (topic, payload) in [
        ("n1/sensor/water_total/state", "1.5"),
        ("n2/sensor/water_total/state", "2.5"),
        ("n1/status", "online"),
        ("zigbee2mqtt/rope", r#"{"water_leak":true,"battery":90}"#),
        ("water/b1", "7"),
        ("water/b2", "8"),
    ] {
        broker.publish(&["-r", "-q", "1", "-t", topic, "-m", payload]);
    }
    let told = report(&file, &["--for", "1s"]);
    assert_eq!((&told["failed"], &told["amend"]), (&json!([]), &json!([{"id": "b15", "subscription": "meters"}])), "{told:#}");
    let mut whole = written.replace("device = \"b15\"", "device = \"b15\"\nsubscription = \"meters\"");
    let (mut devices, mut out) = (0, vec![]);
    for p in list(&told["proposals"]) {
        whole.push_str(p["subscription_toml"].as_str().unwrap());
        for d in list(&p["devices"]) {
            devices += 1;
            let toml = d["entries"][0]["toml"].as_str().unwrap();
            whole.push_str(&toml.replace("\"ID\"", &format!("\"f{devices}\"")).replace("\"PLACE\"", "\"c\""));
            out.push((p["subscription"].as_str().unwrap(), d["device"].as_str(), d["topics"][0].as_str().unwrap()));
        }
    }
    assert_eq!(devices, 5, "{out:?}");
    assert!(
        out.contains(&("esphome", Some("n2"), "n2/sensor/water_total/state")) && out.contains(&("zigbee2mqtt", None, "zigbee2mqtt/rope")),
        "{out:?}"
    );
    assert!(out.iter().any(|(name, device, _)| name.ends_with("-device-2") && device.is_none()), "{out:?}");
    let parsed = heyun::config::parse(&whole, heyun::config::Catalogue::default());
    assert!(parsed.is_ok(), "{whole}\n{}", heyun::config::render(&file, &parsed.unwrap_err()));
}

#[test]
fn people_get_lines_that_are_a_config() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let file = folder.path().join("heyun.toml");
    let written = config(broker.port, &folder.path().join("heyun.db"), METER);
    std::fs::write(&file, &written).unwrap();
    for name in ["zigbee2mqtt", "waterius"] {
        let (topic, payload) = example(name);
        broker.publish(&["-r", "-q", "1", "-t", &topic, "-m", std::str::from_utf8(&payload).unwrap()]);
    }
    let (told, log) = discover(&file, &["--for", "1s", "--filter", "zigbee2mqtt/#", "--filter", "waterius/#"]);
    assert!(log.contains("listening") && log.contains("heard"), "{log}");
    assert!(told.contains("# zigbee2mqtt/") && told.contains("(profile waterius)"), "{told}");
    let filled = told.replacen("\"ID\"", "\"f1\"", 1).replacen("\"ID\"", "\"f2\"", 1).replacen("\"ID\"", "\"f3\"", 1);
    let whole = format!("{written}\n{}", filled.replace("\"PLACE\"", "\"c\""));
    let parsed = heyun::config::parse(&whole, heyun::config::Catalogue::default());
    assert!(parsed.is_ok(), "{whole}\n{}", heyun::config::render(&file, &parsed.unwrap_err()));
    let untouched = heyun::config::parse(&format!("{written}\n{told}"), heyun::config::Catalogue::default());
    assert!(untouched.is_err(), "what only a person knows has to be filled in");
}

#[test]
fn the_daemon_hears_for_the_office_and_proposes_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Broker::start();
    let mut d = Daemon::start(folder.path(), &config(broker.port, &folder.path().join("heyun.db"), METER));
    assert_eq!(d.get("/api/v1/discovery")["state"], "idle");
    let (topic, payload) = example("zigbee2mqtt");
    broker.publish(&["-r", "-q", "1", "-t", &topic, "-m", std::str::from_utf8(&payload).unwrap()]);
    broker.publish(&["-r", "-q", "1", "-t", "odd/thing", "-m", "?"]);
    let hear = |d: &Daemon, seconds: u64, filters: Value| d.post("/api/v1/discovery", &json!({ "seconds": seconds, "filters": filters }));
    let (code, body) = hear(&d, 600, json!([]));
    assert!(code == 200 && body.contains("\"hearing\""), "{code} {body}");
    let (code, body) = hear(&d, 600, json!([]));
    assert!(code == 409 && body.contains("\"hearing\""), "{code} {body}");
    d.until("both are heard", |d| d.get("/api/v1/discovery")["topics"] == 2);
    assert_eq!(d.post("/api/v1/discovery/stop", &json!({})).0, 200);
    d.until("it is told", |d| d.get("/api/v1/discovery")["state"] == "done");
    let told = d.get("/api/v1/discovery");
    let report = &told["report"];
    assert_eq!(report["proposals"][0]["profile"], "zigbee2mqtt", "{report:#}");
    let unknown: Vec<_> = list(&report["topics"]).iter().filter(|t| t["label"] == "unknown").map(|t| &t["topic"]).collect();
    assert_eq!(unknown, ["odd/thing"]);
    assert_eq!(
        report["proposals"],
        self::report(&folder.path().join("heyun.toml"), &["--for", "1s"])["proposals"],
        "the command says the same"
    );

    for (seconds, filters, code) in
        [(0, json!([]), "bad_seconds"), (5, json!(["a/#/b"]), "bad_filter"), (604_801, json!([]), "bad_seconds")]
    {
        let (status, body) = hear(&d, seconds, filters);
        assert!(status == 400 && body.contains(code), "{status} {body}");
    }
    // Of a file that was spoilt since, and of a broker that is away.
    let good = std::fs::read_to_string(folder.path().join("heyun.toml")).unwrap();
    std::fs::write(folder.path().join("heyun.toml"), "[gateway").unwrap();
    assert_eq!(hear(&d, 5, json!(["zigbee2mqtt/#"])).0, 200);
    d.until("the file is wrong", |d| d.get("/api/v1/discovery")["code"] == "config");
    std::fs::write(folder.path().join("heyun.toml"), good).unwrap();
    broker.kill9();
    assert_eq!(hear(&d, 5, json!([])).0, 200);
    d.until("there is no broker", |d| d.get("/api/v1/discovery")["code"] == "unreachable");
    assert!(d.get("/api/v1/discovery")["text"]["zh"].as_str().unwrap().contains("127.0.0.1"));
}
