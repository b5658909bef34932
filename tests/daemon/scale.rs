//! A meter that counts otherwise than the one before it: each part of the past is weighed as it was counted then, whatever the config says now.

use crate::harness::{Broker, Daemon, config};
use crate::publisher::{Message, publish};
use serde_json::{Value, json};
use std::process::Command;

const SUBSCRIPTION: &str = "[[mqtt.subscriptions]]\nname = \"pulses\"\ntopic = \"pulses/+\"\nformat = \"json\"\nvalue = \"/n\"\nunit = \"pulses\"\ntime = \"/ts\"\n";

fn meter(weight: &str, serial: &str) -> String {
    format!(
        "[[meters]]\nid = \"p\"\nkind = \"bulk\"\nat = \"b15\"\nsubscription = \"pulses\"\ndevice = \"p\"\npulse_weight = \"{weight}\"\nserial = \"{serial}\"\n{SUBSCRIPTION}"
    )
}

/// The wall clock, so many hours after October begins.
fn clock(hour: i64) -> String {
    let day = hour.div_euclid(24);
    let (month, date) = if day == 31 { (11, 1) } else { (10, day + 1) };
    format!("2026-{month:02}-{date:02}T{:02}:00:00+08:00", hour.rem_euclid(24))
}

/// 100 L an hour all the time: by the old meter in pulses of 100 L, from half an hour past hour 350 on by the new one in pulses of 10 L.
fn pulses(h: i64) -> i64 {
    if h <= 350 { 7_000 + h } else { 5 + 10 * (h - 351) }
}

fn october(d: &Daemon) -> (Value, Value) {
    let totals = d.get("/api/v1/totals?by=month&from=2026-10-01&to=2026-11-01");
    let month = &totals["meters"][0]["totals"][0];
    let flow = d.get("/api/v1/meters/p/flow?resolution=day&from=2026-10-01&to=2026-11-01");
    (if month["days"] == 31 { month["litres"].clone() } else { Value::Null }, flow["litres"].clone())
}

fn registers(d: &Daemon, at: [i64; 2]) -> Vec<String> {
    let file = d.path().with_file_name("heyun.toml");
    let out = Command::new(env!("CARGO_BIN_EXE_heyun")).args(["export", "--kind", "raw", "--config"]).arg(file).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let line = |h: i64| {
        let stamp = clock(h).replace('T', " ");
        let of_hour = |l: &&str| l.contains(&stamp[..19]) || l.contains(&clock(h));
        text.lines().find(of_hour).unwrap_or_else(|| panic!("{stamp}: {text}")).to_owned()
    };
    at.map(line).to_vec()
}

#[test]
fn a_new_meter_that_counts_otherwise_does_not_change_the_old_ones_past() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let database = folder.path().join("heyun.db");
    let mut d = Daemon::start(folder.path(), &config(broker.port, &database, &meter("100 L", "OLD-1")));
    let all = (0..=756).map(|h| Message { topic: "pulses/p".into(), payload: format!(r#"{{"ts":"{}","n":{}}}"#, clock(h), pulses(h)) });
    publish(broker.port, 2_000, all.collect(), |_| {});
    d.until("all is stored", |d| d.get("/api/v1/sources")["totals"]["stored"] == 757);
    let what = json!({
        "by": "测试员", "why": "换表", "deed": "replaced", "time": clock(350).replace(":00:00+", ":30:00+"),
        "end_litres": 735_050, "start_litres": 0, "serial": "NEW-1",
    });
    let (status, body) = d.post("/api/v1/meters/p/ledger", &what);
    assert_eq!(status, 200, "{body}");
    assert_eq!(d.get("/api/v1/topology")["points"][0]["meter"]["serial"], "NEW-1", "what was written down is newer than the config");
    d.stop();

    // Now the config tells of the new meter. Its number is the one that the ledger knows: nothing begins anew.
    let mut d = Daemon::start(folder.path(), &config(broker.port, &database, &meter("10 L", "NEW-1")));
    d.wait_for_line("its past is told anew");
    d.until("October is told", |d| october(d) == (json!(74_400), json!(74_400)));
    assert_eq!(d.get("/api/v1/meters/p")["register_litres"], json!(40_550));
    let [before, after] = registers(&d, [350, 351]).try_into().unwrap();
    assert!(before.contains(",735,") && after.contains(",0.05,"), "{before}\n{after}");
    let flow = d.get(&format!(
        "/api/v1/meters/p/flow?resolution=raw&from={}&to={}",
        clock(349).replace('+', "%2B"),
        clock(353).replace('+', "%2B")
    ));
    let of = |i: &Value| (i["kind"].as_str().unwrap().to_owned(), i["litres"].clone());
    let told: Vec<_> = flow["intervals"].as_array().unwrap().iter().map(of).collect();
    let each = |kind: &str, litres: i64| (kind.to_owned(), json!(litres));
    assert_eq!(told, [each("forward", 100), each("forward", 100), each("replaced", 50), each("forward", 50), each("forward", 100)]);
    d.stop();

    // A start without a change uses the state that was kept.
    let mut d = Daemon::start(folder.path(), &config(broker.port, &database, &meter("10 L", "NEW-1")));
    assert!(!d.log().contains("its past is told anew"));
    let wrong = json!({ "by": "测试员", "why": "x", "deed": "replaced", "time": clock(100), "old_pulse_weight_kilowatt_hours": 1 });
    let (status, body) = d.post("/api/v1/meters/p/ledger", &wrong);
    assert!(status == 400 && body.contains("old_pulse_weight_kilowatt_hours"), "{status} {body}");
    // One that is written down too late, when the config has told of the new meter already: then it says how the old one counted.
    let late = json!({
        "by": "测试员", "why": "补记", "deed": "replaced", "time": clock(100).replace(":00:00+", ":30:00+"), "end_litres": 7_100_050, "start_litres": 710_050,
        "old_pulse_weight_litres": 1_000,
    });
    assert_eq!(d.post("/api/v1/meters/p/ledger", &late).0, 200);
    let flow = d.get(&format!(
        "/api/v1/meters/p/flow?resolution=raw&from={}&to={}",
        clock(99).replace('+', "%2B"),
        clock(103).replace('+', "%2B")
    ));
    let told: Vec<_> = flow["intervals"].as_array().unwrap().iter().map(of).collect();
    assert_eq!(told[0], each("forward", 1_000), "{flow:#}");
    assert_eq!(told.last().unwrap(), &each("forward", 100), "{flow:#}");
    // And so do the days and months before it: 100 hours of a thousand litres, half an hour of 50 L, and a hundred litres an hour from then on.
    let whole = 100 * 1_000 + 50 + (744 * 100 - 100 * 100 - 50);
    d.until("October is told anew", |d| october(d) == (json!(whole), json!(whole)));
    // Taken back and stated once more, with a slip mended: how the old one counted is not asked again.
    let entry = d.get("/api/v1/meters/p/ledger")["entries"][0]["entry"].as_u64().unwrap();
    let (status, body) = d.post(&format!("/api/v1/ledger/{entry}/undo"), &json!({ "by": "测试员", "why": "写错了" }));
    assert_eq!(status, 200, "{body}");
    d.until("October is as it was", |d| october(d) == (json!(74_400), json!(74_400)));
    let mut again = late;
    again.as_object_mut().unwrap().remove("old_pulse_weight_litres");
    assert_eq!(d.post("/api/v1/meters/p/ledger", &again).0, 200);
    d.until("October is told so again", |d| october(d) == (json!(whole), json!(whole)));
}
