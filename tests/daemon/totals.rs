//! Another program reads days and months from the file of a running daemon, and finds what the API says.

use crate::harness::{Broker, Daemon, config};
use crate::publisher::{Message, publish};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;

const METERS: &str = r#"
[[meters]]
id = "b15"
name = "15号楼总表"
kind = "bulk"
at = "b15"
subscription = "meters"
device = "b15"
[[meters]]
id = "garden"
name = "绿化表"
kind = "bulk"
at = "b15"
subscription = "meters"
device = "garden"
"#;

/// As it stands in docs/guide/totals.md, but for the path.
const PYTHON: &str = r"
import json, sqlite3, sys
db = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True)
daily = db.execute('SELECT date, point, litres, complete FROM v_daily ORDER BY date, point').fetchall()
monthly = db.execute('SELECT month, point, litres, complete FROM v_monthly ORDER BY month, point').fetchall()
print(json.dumps({'day': daily, 'month': monthly}))
";

/// (meter, period) → litres, complete; told ones only.
type Told = BTreeMap<(String, String), (Option<i64>, bool)>;

/// In thousandths: both sides write litres.
fn millilitres(v: &Value) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation, reason = "small numbers of the test's own")]
    v.as_f64().map(|l| (l * 1_000.0).round() as i64)
}

fn by_python(d: &Daemon, by: &str) -> Told {
    let out = Command::new("python3").args(["-c", PYTHON]).arg(d.path()).output().expect("python3 is needed: apt-get install python3");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let all: Value = serde_json::from_slice(&out.stdout).unwrap();
    let row = |r: &Value| {
        let text = |i: usize| r[i].as_str().unwrap().to_owned();
        ((text(1), text(0)), (millilitres(&r[2]), r[3] == 1))
    };
    all[by].as_array().unwrap().iter().map(row).collect()
}

fn by_api(d: &Daemon, by: &str) -> Told {
    let answer = d.get(&format!("/api/v1/totals?by={by}&from=2026-09-01&to=2026-11-01"));
    let mut out = Told::new();
    for meter in answer["meters"].as_array().unwrap() {
        for (period, total) in answer["periods"].as_array().unwrap().iter().zip(meter["totals"].as_array().unwrap()) {
            if !total.is_null() {
                let key = (meter["key"].as_str().unwrap().to_owned(), period["name"].as_str().unwrap().to_owned());
                out.insert(key, (millilitres(&total["litres"]), total["complete"].as_bool().unwrap()));
            }
        }
    }
    out
}

#[test]
fn another_program_finds_what_the_api_says() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let text = config(broker.port, &folder.path().join("heyun.db"), METERS);
    let mut d = Daemon::start(folder.path(), &text);
    // Twelve days from 2026-09-26 on, hourly at 17 minutes past; one day the garden's meter is silent until evening.
    let reading = |meter: &str, day: u32, hour: u32, litres: u32| {
        let (month, date) = if day < 5 { (9, 26 + day) } else { (10, day - 4) };
        let payload = format!(r#"{{"ts":"2026-{month:02}-{date:02}T{hour:02}:17:00+08:00","total_l":{litres}}}"#);
        Message { topic: format!("meters/{meter}/state"), payload }
    };
    let (mut b15, mut garden) = (0, 70_000);
    let mut messages = vec![];
    for (day, hour) in (0..12).flat_map(|day| (0..24).map(move |hour| (day, hour))) {
        b15 += 100 + 7 * hour;
        garden += u32::from(hour == 19) * 900;
        messages.push(reading("b15", day, hour, b15));
        if day != 7 || hour > 18 {
            messages.push(reading("garden", day, hour, garden));
        }
    }
    let sent = messages.len();
    publish(broker.port, 1_000, messages, |_| {});
    d.until("all are stored", |d| d.get("/api/v1/sources")["totals"]["stored"] == sent);
    // The day after is well under way.
    publish(broker.port, 10, vec![reading("b15", 12, 1, b15 + 200), reading("b15", 12, 3, b15 + 500)], |_| {});
    // Of the garden nobody knows yet what passed over the last midnight.
    d.until("twelve days are told, and eleven", |d| by_api(d, "day").len() == 23);

    for by in ["day", "month"] {
        let told = by_api(&d, by);
        assert_eq!(told, by_python(&d, by), "by {by}");
        assert_eq!(told.len(), if by == "day" { 23 } else { 4 }, "{told:?}");
    }
    let day = |meter: &str, date: &str| by_api(&d, "day")[&(meter.to_owned(), date.to_owned())];
    // 24 times 100 and 7 times the hours before; what passed over midnight is cut by time: 17 of 60 minutes after, 43 of the next before it.
    assert_eq!(day("b15", "2026-10-01"), (Some(4_332_000), true));
    // All its water is known, but not on which side of midnight: it was silent for longer than three hours.
    assert_eq!((day("garden", "2026-10-02").1, day("garden", "2026-10-03").1, day("garden", "2026-10-04").1), (false, false, true));

    // The chart of one meter says the same.
    let flow = d.get("/api/v1/meters/b15/flow?resolution=day&from=2026-09-26&to=2026-10-08");
    let chart: Told = flow["buckets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| (("b15".into(), b["from"].as_str().unwrap()[..10].to_owned()), (millilitres(&b["litres"]), b["complete"] == json!(true))))
        .collect();
    assert_eq!(chart, by_api(&d, "day").into_iter().filter(|((meter, _), _)| meter == "b15").collect());
    assert!(d.stop().contains("stopped"));
}
