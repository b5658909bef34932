//! A month of seven meters that everything happens to, and what people state about them: every month comes out to the millilitre, and what is taken
//! back leaves it as it was, also after a crash and when all is folded anew.

use crate::harness::{Broker, Daemon, config};
use crate::publisher::{Message, publish};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;

const METERS: &str = r#"
meters = [
  { id = "rollover", kind = "bulk", at = "b15", device = "rollover", subscription = "meters", pulse_weight = "10 L", digits = 5 },
  { id = "replaced", kind = "bulk", at = "b15", device = "replaced", subscription = "meters" },
  { id = "reset", kind = "bulk", at = "b15", device = "reset", subscription = "meters" },
  { id = "flicker", kind = "bulk", at = "b15", device = "flicker", subscription = "meters" },
  { id = "believed", kind = "bulk", at = "b15", device = "believed", subscription = "meters", max_flow = "5 m3/h" },
  { id = "refused", kind = "bulk", at = "b15", device = "refused", subscription = "meters", max_flow = "5 m3/h" },
  { id = "corrected", kind = "bulk", at = "b15", device = "corrected", subscription = "meters", max_flow = "5 m3/h" },
]
"#;

/// Hours of October.
const HOURS: i64 = 31 * 24;

/// The wall clock, so many hours after October begins.
fn clock(hour: i64) -> String {
    let day = hour.div_euclid(24);
    let (month, date) = match day {
        -1 => (9, 30),
        31 => (11, 1),
        d => (10, d + 1),
    };
    format!("2026-{month:02}-{date:02}T{:02}:00:00+08:00", hour.rem_euclid(24))
}

/// What each meter's device sends, in litres.
fn register(meter: &str, h: i64) -> i64 {
    match meter {
        // Five digits of 10 L run full at 1000 m³.
        "rollover" => (980_000 + 40 * h) % 1_000_000,
        // Taken out half an hour after hour 350, the new one begins at 120 L.
        "replaced" if h > 350 => 120 + 15 + 30 * (h - 351),
        "replaced" => 500_000 + 30 * h,
        "reset" if h >= 200 => 20 * (h - 200),
        "reset" => 80_000 + 20 * h,
        // The last digit hangs between two for an hour.
        "flicker" => 1_000 + 10 * h.div_euclid(4) - i64::from(h.rem_euclid(4) == 1),
        "believed" => 5_000 + 10 * h + i64::from(h >= 400) * 70_000,
        "refused" => 5_000 + 10 * h + i64::from((400..410).contains(&h)) * 70_000,
        "corrected" => 5_000 + 10 * h + i64::from(h == 500) * 800,
        other => panic!("{other}"),
    }
}

fn reading(meter: &str, h: i64) -> Message {
    let payload = format!(r#"{{"ts":"{}","total_l":{}}}"#, clock(h), register(meter, h));
    Message { topic: format!("meters/{meter}/state"), payload }
}

/// October of each meter, in litres as they are written; meters of which it is not told (yet) are left out.
fn months(d: &Daemon) -> BTreeMap<String, String> {
    let answer = d.get("/api/v1/totals?by=month&from=2026-10-01&to=2026-11-01");
    let of = |m: &Value| Some((m["key"].as_str()?.to_owned(), m["totals"][0]["litres"].to_string()));
    let told = |m: &&Value| m["totals"][0]["days"] == 31;
    answer["meters"].as_array().unwrap().iter().filter(told).filter_map(of).collect()
}

/// The same as the chart of days adds up, which reads the rows of days that are not told.
fn charts(d: &Daemon) -> BTreeMap<String, String> {
    let meters = ["rollover", "replaced", "reset", "flicker", "believed", "refused", "corrected"];
    let sum = |m: &str| {
        let flow = d.get(&format!("/api/v1/meters/{m}/flow?resolution=day&from=2026-10-01&to=2026-11-01"));
        let litres = flow["buckets"].as_array().unwrap().iter().filter_map(|b| b["litres"].as_number().map(ToString::to_string));
        // Whole millilitres: no sum of floats.
        let ml: i64 = litres.map(|l| millilitres(&l)).sum();
        written(ml)
    };
    meters.iter().map(|m| ((*m).to_owned(), sum(m))).collect()
}

fn millilitres(litres: &str) -> i64 {
    let (whole, part) = litres.split_once('.').unwrap_or((litres, ""));
    let part = format!("{part:0<3}");
    whole.parse::<i64>().unwrap() * 1_000 + part[..3].parse::<i64>().unwrap()
}

/// As the API writes litres.
fn written(ml: i64) -> String {
    let text = format!("{}.{:03}", ml / 1_000, ml % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn state(d: &Daemon, meter: &str, mut what: Value) -> u64 {
    what["by"] = json!("测试员");
    what["why"] = json!("故事");
    let (status, body) = d.post(&format!("/api/v1/meters/{meter}/ledger"), &what);
    assert_eq!(status, 200, "{what}: {body}");
    serde_json::from_str::<Value>(&body).unwrap()["entry"].as_u64().unwrap()
}

fn undo(d: &Daemon, entry: u64) {
    let (status, body) = d.post(&format!("/api/v1/ledger/{entry}/undo"), &json!({"by": "测试员", "why": "写错了"}));
    assert_eq!(status, 200, "{body}");
}

/// What people state of them: the true ends and beginnings.
fn state_all(d: &Daemon) -> Vec<u64> {
    vec![
        state(
            d,
            "replaced",
            json!({"deed": "replaced", "time": "2026-10-15T14:30:00+08:00", "end_litres": 510_515, "start_litres": "120", "serial": "A-2", "seal": "铅-7", "verified": "2026-09"}),
        ),
        state(d, "believed", json!({"deed": "believed", "time": clock(400)})),
        state(d, "refused", json!({"deed": "refused", "time": clock(400), "to": clock(409)})),
        state(d, "corrected", json!({"deed": "corrected", "time": clock(500), "register_litres": 10_000})),
    ]
}

#[test]
fn every_month_is_right_to_the_millilitre_and_what_is_undone_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let text = format!("{METERS}{}", config(broker.port, &folder.path().join("heyun.db"), ""));
    let mut d = Daemon::start(folder.path(), &text);
    let meters = ["rollover", "replaced", "reset", "flicker", "believed", "refused", "corrected"];
    let late = |m: &str, h: i64| m == "reset" && (300..310).contains(&h);
    let of = |hours: std::ops::Range<i64>| hours.flat_map(|h| meters.iter().map(move |m| (*m, h)));
    let mut sent = 0;
    let mut send = |d: &mut Daemon, messages: Vec<Message>| {
        sent += messages.len();
        publish(broker.port, 1_000, messages, |_| {});
        d.until("all are stored", |d| d.get("/api/v1/sources")["totals"]["stored"] == sent);
    };
    let mut october: Vec<Message> = of(-2..HOURS).filter(|(m, h)| !late(m, *h)).map(|(m, h)| reading(m, h)).collect();
    // What the network kept for days.
    october.extend((300..310).map(|h| reading("reset", h)));
    send(&mut d, october);
    // November on its own: how far the readings have gone on, a batch of many days says only roughly, and a slow machine makes one of all.
    send(&mut d, of(HOURS..HOURS + 2).map(|(m, h)| reading(m, h)).collect());
    send(&mut d, of(HOURS + 2..HOURS + 5).map(|(m, h)| reading(m, h)).collect());
    // What came late for days that are told is gone through again when it has been quiet for a while; its rows are read until then.
    let at_once = |d: &Daemon| months(d).into_iter().filter(|(m, _)| m != "reset").collect::<BTreeMap<_, _>>();
    d.until("October is told", |d| at_once(d).len() == 6);

    let before = charts(&d);
    let told = |all: &BTreeMap<String, String>| all.clone().into_iter().filter(|(m, _)| m != "reset").collect::<BTreeMap<_, _>>();
    assert_eq!(at_once(&d), told(&before));
    let litres = |m: &str| before[m].clone();
    assert_eq!(litres("rollover"), "29760");
    assert_eq!(litres("reset"), (20 * HOURS - 20).to_string(), "what passed while it was reset is unknown; what came late is there");
    assert_eq!(litres("flicker"), (10 * HOURS / 4).to_string());
    assert_eq!(litres("believed"), (10 * HOURS - 10).to_string(), "the jump is no water until somebody says so");
    assert_eq!(litres("refused"), (10 * HOURS - 20).to_string());

    // Stated, and all is as it was in truth.
    let truth: BTreeMap<String, String> = [
        ("rollover", 40 * HOURS),
        ("replaced", 30 * HOURS),
        ("reset", 20 * HOURS - 20),
        ("flicker", 10 * HOURS / 4),
        ("believed", 10 * HOURS + 70_000),
        ("refused", 10 * HOURS),
        ("corrected", 10 * HOURS),
    ]
    .map(|(m, l)| (m.to_owned(), l.to_string()))
    .into();
    let entries = state_all(&d);
    assert_eq!(charts(&d), truth, "days that are not told again yet are read from their rows");
    d.until("October is told again", |d| at_once(d) == told(&truth));
    let kinds: Vec<Value> = d.get("/api/v1/meters/replaced/flow?resolution=raw&from=2026-10-15&to=2026-10-16")["intervals"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|i| i["kind"] == "replaced")
        .map(|i| i["litres"].clone())
        .collect();
    assert_eq!(kinds, [json!(15)], "the old meter's last half hour");
    let ledger = d.get("/api/v1/meters/replaced/ledger");
    assert_eq!((&ledger["entries"][0]["by"], &ledger["entries"][0]["deed"]), (&json!("测试员"), &json!("replaced")), "{ledger}");

    // A crash, and a start that has to fold everything.
    d.kill9();
    let mut d = Daemon::start(folder.path(), &text);
    assert_eq!(charts(&d), truth);
    d.until("all of October is told", |d| months(d) == truth);
    d.kill9();
    let db = rusqlite::Connection::open(d.path()).unwrap();
    db.execute("DELETE FROM checkpoints", []).unwrap();
    drop(db);
    let registers = |d: &Daemon| {
        let all = d.get("/api/v1/meters");
        let of = |m: &Value| (m["key"].to_string(), m["register_litres"].to_string(), m["month"]["tonnes"].to_string());
        all["meters"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let mut d = Daemon::start(folder.path(), &text);
    assert_eq!((months(&d), charts(&d)), (truth.clone(), truth.clone()));
    let folded = registers(&d);
    assert!(
        folded.iter().any(|(key, register, _)| key == "\"believed\"" && register == &format!("{}", 5_000 + 10 * (HOURS + 4) + 70_000)),
        "{folded:?}"
    );

    // Another card, from a copy that was made meanwhile: what was stated is there as well.
    let card = tempfile::tempdir().unwrap();
    let copy = card.path().join("copy.db").display().to_string();
    let there = format!("{METERS}{}", config(broker.port, &card.path().join("heyun.db"), ""));
    let there = there.replacen("[[mqtt.subscriptions]]", "client_id = \"another-card\"\n[[mqtt.subscriptions]]", 1);
    std::fs::write(card.path().join("heyun.toml"), &there).unwrap();
    for (of, verb) in [(folder.path(), "backup"), (card.path(), "restore")] {
        let mut heyun = Command::new(env!("CARGO_BIN_EXE_heyun"));
        let out = heyun.args(["store", verb, "--config"]).arg(of.join("heyun.toml")).arg(&copy).output().unwrap();
        assert!(out.status.success(), "{verb}: {}", String::from_utf8_lossy(&out.stderr));
    }
    let restored = Daemon::start(card.path(), &there);
    assert_eq!((months(&restored), charts(&restored)), (truth.clone(), truth.clone()));
    assert_eq!(restored.get("/api/v1/meters/replaced/ledger"), d.get("/api/v1/meters/replaced/ledger"));
    assert!(restored.stop().contains("stopped"));

    // All taken back.
    entries.iter().for_each(|e| undo(&d, *e));
    assert_eq!(charts(&d), before);
    d.until("October is as it was", |d| months(d) == before);
    let of_replaced = d.get("/api/v1/meters/replaced/ledger");
    assert_eq!(
        (of_replaced["entries"].as_array().unwrap().len(), &of_replaced["entries"][1]["undone_by"]),
        (2, &of_replaced["entries"][0]["entry"])
    );

    // What cannot be stated is refused in words.
    let wrong = |meter: &str, what: &Value| {
        let (status, body) = d.post(&format!("/api/v1/meters/{meter}/ledger"), what);
        (status, serde_json::from_str::<Value>(&body).unwrap()["code"].as_str().unwrap().to_owned())
    };
    let said = |deed: &str, time: &str| json!({"by": "x", "why": "y", "deed": deed, "time": time, "register_litres": 5});
    assert_eq!(wrong("flicker", &said("corrected", "2026-10-01T00:30:00+08:00")), (409, "no_reading".to_owned()));
    assert_eq!(wrong("flicker", &said("believed", "2099-10-01T00:30:00+08:00")), (400, "bad_time".to_owned()));
    assert_eq!(wrong("flicker", &said("guessed", &clock(1))), (400, "bad_parameter".to_owned()));
    assert_eq!(wrong("nobody", &said("believed", &clock(1))), (404, "unknown_meter".to_owned()));
    let counts = json!({"by": "x", "why": "y", "deed": "dial", "time": clock(5), "register_litres": 1, "counts": true});
    assert_eq!(wrong("flicker", &counts), (409, "dial_behind".to_owned()));
    assert_eq!(wrong("flicker", &json!({"by": " ", "why": "y", "deed": "believed", "time": clock(1)})), (400, "bad_field".to_owned()));
    assert!(d.stop().contains("stopped"));
}

#[test]
fn a_meter_that_is_read_by_hand_has_its_months_and_its_book() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let meter = r#"meters = [{ id = "cellar", name = "地下室表", kind = "bulk", at = "b15", device = false, max_flow = "5 m3/h", serial = "LXS-15" }]"#;
    let text = format!("{meter}\n{}", config(broker.port, &folder.path().join("heyun.db"), ""));
    let mut d = Daemon::start(folder.path(), &text);
    let read = |d: &Daemon, time: &str, litres: Value| {
        let (status, body) = d.post(
            "/api/v1/meters/cellar/hand-readings",
            &json!({"by": "测试员", "time": time, "register_litres": litres, "note": "看得清"}),
        );
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    assert_eq!(d.get("/api/v1/rounds")["meters"][0]["last"], Value::Null, "never read");
    let first = read(&d, "2026-10-01T00:00:00+08:00", json!(100_000));
    assert_eq!((first.0, &first.1["plausible"], &first.1["deed"]), (200, &json!(true), &json!("read")), "{first:?}");
    let second = read(&d, "2026-10-16T09:00:00+08:00", json!("115250.25"));
    assert_eq!((second.0, &second.1["used_litres"]), (200, &json!(15_250.25)), "{second:?}");
    assert_eq!(read(&d, "2026-11-01T00:00:00+08:00", json!(131_500.5)).0, 200);
    // The next round begins the next month.
    assert_eq!(read(&d, "2026-11-03T08:00:00+08:00", json!(133_000)).0, 200);
    d.until("October is told", |d| months(d).contains_key("cellar"));
    assert_eq!(months(&d)["cellar"], "31500.5");

    let book = d.get("/api/v1/rounds");
    let line = &book["meters"][0];
    assert_eq!((&line["serial"], &line["last"]["register_litres"]), (&json!("LXS-15"), &json!(133_000)), "{book}");
    assert_eq!(line["place"], json!(["和韵小区", "15号楼"]));
    assert!(line["expected_litres"].as_f64() > Some(133_000.0) && line["most_litres"].as_f64() > line["expected_litres"].as_f64());

    // What cannot be is kept and not counted; twice the same moment is refused, and so is a meter that has a device.
    let fell = read(&d, "2026-11-04T08:00:00+08:00", json!(13_300));
    assert_eq!((fell.0, &fell.1["plausible"]), (200, &json!(false)), "{fell:?}");
    let again = read(&d, "2026-11-04T08:00:00+08:00", json!(133_100));
    assert_eq!((again.0, &again.1["code"]), (409, &json!("read_before")));
    assert_eq!(read(&d, "2099-11-04T08:00:00+08:00", json!(1)).1["code"], "bad_time");
    // The slip is corrected, by a second signature.
    state(&d, "cellar", json!({"deed": "corrected", "time": "2026-11-04T08:00:00+08:00", "register_litres": 133_300}));
    assert_eq!(d.get("/api/v1/meters/cellar")["register_litres"], json!(133_300));

    d.kill9();
    let d = Daemon::start(folder.path(), &text);
    assert_eq!(d.get("/api/v1/meters/cellar")["register_litres"], json!(133_300));
    let deeds: Vec<Value> =
        d.get("/api/v1/meters/cellar/ledger")["entries"].as_array().unwrap().iter().map(|e| e["deed"].clone()).collect();
    assert_eq!(deeds, ["corrected", "read", "read", "read", "read", "read"]);
    let view: i64 =
        d.database().query_row("SELECT count(*) FROM v_ledger WHERE point = 'cellar' AND by = '测试员'", [], |r| r.get(0)).unwrap();
    assert_eq!(view, 6);
}
