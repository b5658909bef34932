//! The back-test: it finds what the live engine found, other limits beside it, and takes nothing from live work.

use crate::gateway::{Core, DAY, Gateway, ts};
use heyun::domain::time::{Ms, Ts};
use heyun::replay;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const QUARTERS: i64 = 96;

/// Sixty days of a building and of a flat in it. The building rests at night; from the 25th day on it loses 320 L/h, from the 40th 1390 L/h. The flat is not
/// heard from the evening of the 10th day to the next morning.
fn lived(core: &mut Core) {
    let (mut bulk, mut flat) = (500_000_000, 7_000_000);
    for quarter in 0..60 * QUARTERS {
        let at = ts(DAY) + Ms::minutes(15 * quarter);
        let (day, hour) = (quarter / QUARTERS, quarter % QUARTERS / 4);
        let used = if (6..23).contains(&hour) { 25_000 + 1_000 * (quarter % 7) } else { 1_000 * (quarter % 3) };
        bulk += used
            + match day {
                ..25 => 0,
                25..40 => 80_000,
                _ => 347_500,
            };
        core.hear("water/b15", 0, at, &[bulk]);
        let is_silent = (day == 10 && hour >= 20) || (day == 11 && hour < 6);
        if !is_silent {
            flat += if (7..22).contains(&hour) { 3_000 } else { 0 };
            core.hear("water/101", 1, at, &[flat, 21_000]);
        }
        core.tick();
        if hour == 23 {
            core.commit();
        }
    }
    core.commit();
}

/// Who, which rule, when, grown.
type Said = BTreeSet<(String, String, String, bool)>;

fn said(findings: &Value) -> Said {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let all = findings.as_array().unwrap().iter();
    all.map(|f| (text(&f["point"]), text(&f["code"]), text(&f["at"]), f["grown"].as_bool().unwrap())).collect()
}

/// What the live engine found, by the incidents' histories.
async fn live(g: &Gateway) -> Said {
    let mut all = Said::new();
    let list = g.get("/api/v1/incidents?limit=500").await.ok();
    for incident in list["incidents"].as_array().unwrap() {
        let file = g.get(&format!("/api/v1/incidents/{}", incident["id"].as_str().unwrap())).await.ok();
        let found: Vec<Value> = file["history"].as_array().unwrap().iter().filter_map(|e| e.get("finding").cloned()).collect();
        all.extend(said(&Value::Array(found)));
    }
    all
}

/// Waits until nothing is being tried.
async fn over(g: &Gateway) -> Value {
    let began = Instant::now();
    loop {
        let now = g.get("/api/v1/backtest").await.ok();
        if now["state"] != "running" {
            return now;
        }
        assert!(began.elapsed() < PATIENCE, "{now}");
        tokio::task::yield_now().await;
    }
}

async fn tried(g: &Gateway, request: Value) -> Value {
    let begun = g.post("/api/v1/backtest", &request.to_string()).await.ok();
    assert!(begun["state"] == "running" || begun["state"] == "done", "{begun}");
    let done = over(g).await;
    assert_eq!(done["state"], "done", "{done}");
    done["result"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn as_configured_it_finds_exactly_what_the_live_engine_found() {
    let g = Gateway::new();
    assert_eq!(g.get("/api/v1/backtest").await.ok()["state"], "idle");
    lived(&mut g.core());
    let live = live(&g).await;
    let rules: BTreeSet<&str> = live.iter().map(|f| f.1.as_str()).collect();
    let expected = ["leak_balance", "leak_hourly_limit", "leak_least_flow", "leak_sudden", "meter_silent"];
    assert_eq!(rules, BTreeSet::from(expected), "{live:#?}");

    let result = tried(&g, json!({"from": "2026-11-10", "to": "2027-01-09"})).await;
    assert_eq!(said(&result["as_now"]["findings"]), live);
    assert_eq!(result["tried"], Value::Null);
    assert_eq!((&result["points"], &result["rows"]), (&json!(4), &json!(2 * 60 * QUARTERS - 40)));
    let months: Vec<&str> = result["months"].as_array().unwrap().iter().map(|m| m["month"].as_str().unwrap()).collect();
    assert_eq!(months, ["2026-11", "2026-12", "2027-01"]);
    let counted: u64 = result["months"].as_array().unwrap().iter().map(|m| m["as_now"].as_u64().unwrap()).sum();
    assert_eq!(counted, live.len() as u64);

    // A span in the middle: what was found before is counted, not told.
    let later = tried(&g, json!({"from": "2026-12-20", "to": "2027-01-09", "place": "b15"})).await;
    let within: Said = live.iter().filter(|f| f.2.as_str() >= "2026-12-20").cloned().collect();
    assert_eq!(said(&later["as_now"]["findings"]), within);
    assert_eq!(later["as_now"]["earlier"], json!(live.len() - within.len()));
    assert_eq!(later["learned_from"], "2026-11-10T00:00:00+08:00", "all that is stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_limit_finds_it_sooner_and_off_is_off() {
    let g = Gateway::new();
    lived(&mut g.core());
    let wish = json!({"from": "2026-11-10", "to": "2027-01-09", "point": "b15", "litres_per_hour": "200", "tonnes_per_month": 900});
    let result = tried(&g, wish).await;
    let first = |run: &str, code: &str| {
        let all = result[run]["findings"].as_array().unwrap().clone();
        all.into_iter().find(|f| f["code"] == code)
    };
    let (now, other) = (first("as_now", "leak_hourly_limit").unwrap(), first("tried", "leak_hourly_limit").unwrap());
    assert_eq!(now["told_at"], "2026-12-20T00:00:00+08:00", "1390 L/h pass 500 L within the hour");
    assert_eq!(other["told_at"], "2026-12-05T00:30:00+08:00", "320 L/h pass 200 L");
    assert_eq!(other["args"]["limit_litres"], json!(200), "{other}");
    assert_eq!(other["rule"]["zh"], "每小时水量超限");
    assert!(other["tonnes_above"].as_f64().unwrap() > 0.0 && other["hours_to_alarm_at_most"].as_f64().unwrap() <= 1.0, "{other}");
    assert!(result["tried"]["alarms"].as_u64() > result["as_now"]["alarms"].as_u64(), "{result}");
    // Of the flat nothing is told, though it was silent.
    assert!(said(&result["tried"]["findings"]).iter().all(|f| f.0 == "b15"));
    let asked = g.get("/api/v1/backtest").await.ok()["asked"].clone();
    assert_eq!((&asked["point"], &asked["litres_per_hour"], &asked["silent_after_hours"]), (&json!("b15"), &json!("200"), &Value::Null));

    let off = tried(&g, json!({"from": "2026-11-10", "to": "2027-01-09", "litres_per_hour": "off", "silent_after_hours": "off"})).await;
    let rules: BTreeSet<String> = said(&off["tried"]["findings"]).into_iter().map(|f| f.1).collect();
    let learned = ["leak_balance", "leak_least_flow", "leak_sudden"].map(str::to_owned);
    assert_eq!(rules, BTreeSet::from(learned), "what is learned has no limit to switch off");
    // The live engine knows nothing of all this.
    assert_eq!(g.get("/api/v1/topology").await.ok()["points"][0]["limits"]["litres_per_hour"], json!(500));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_have_stated_holds_from_the_beginning() {
    let g = Gateway::new();
    // 5 t within a quarter of an hour: a reading that somebody knows to be wrong.
    g.core().bulk(&[(0, 1_000), (15, 1_010), (30, 6_010), (45, 6_020), (60, 6_030), (75, 6_040)]);
    let live = live(&g).await;
    assert_eq!(live.iter().filter(|f| f.1 == "leak_hourly_limit").count(), 1, "{live:?}");
    let span = json!({"from": "2026-11-10", "to": "2026-11-11", "place": "b15", "silent_after_hours": "off"});
    assert_eq!(said(&tried(&g, span.clone()).await["tried"]["findings"]), live);
    let refused = json!({"by": "李网格员", "why": "抄错", "deed": "refused", "time": (ts(DAY) + Ms::minutes(30)).0.to_string()});
    g.post("/api/v1/meters/b15/ledger", &refused.to_string()).await.ok();
    assert_eq!(said(&tried(&g, span).await["tried"]["findings"]), Said::new());
    // Nothing was taken back of what is.
    assert!(!g.incident().await.is_empty());
}

#[tokio::test]
async fn what_is_not_understood_is_refused_with_what_would_be_right() {
    let g = Gateway::new();
    for (body, status, code, parameter) in [
        (json!({"point": "nobody"}), 404, "unknown_meter", "id"),
        (json!({"place": "nowhere"}), 404, "unknown_place", "place"),
        (json!({"point": "b15", "place": "b15"}), 400, "bad_parameter", "place"),
        (json!({"litres_per_hour": "much"}), 400, "bad_parameter", "litres_per_hour"),
        (json!({"litres_per_hour": 0}), 400, "bad_parameter", "litres_per_hour"),
        (json!({"tonnes_per_month": "1000001"}), 400, "bad_parameter", "tonnes_per_month"),
        (json!({"silent_after_hours": "0.001"}), 400, "bad_parameter", "silent_after_hours"),
        (json!({"from": "yesterday"}), 400, "bad_parameter", "from"),
        (json!({"from": "2026-12-01", "to": "2026-11-01"}), 400, "bad_parameter", "from"),
    ] {
        let problem = g.post("/api/v1/backtest", &body.to_string()).await.problem(status);
        assert_eq!((&problem["code"], &problem["parameter"]), (&json!(code), &json!(parameter)), "{body}");
        assert!(status == 404 || problem["expected"]["zh"].is_string(), "{problem}");
    }
    assert_eq!(g.post("/api/v1/backtest", r#"{"limit": 5}"#).await.problem(400)["code"], "bad_body");
    assert_eq!(g.post("/api/v1/backtest", r#"{"files": true}"#).await.problem(409)["code"], "no_files");
    let upload = "/api/v1/backtest/upload";
    assert_eq!(g.upload(upload, "text/csv", vec![]).await.problem(400)["parameter"], "part");
    assert_eq!(
        g.upload(&format!("{upload}?part=meters"), "application/x-www-form-urlencoded", vec![]).await.problem(415)["code"],
        "not_csv"
    );
    assert_eq!(g.upload(&format!("{upload}?part=readings"), "text/csv", vec![]).await.problem(409)["code"], "no_files");
    let long = vec![b'x'; (1 << 20) + 1];
    assert_eq!(g.upload(&format!("{upload}?part=meters"), "text/csv", long).await.problem(413)["code"], "file_too_large");
    // Nothing is stored yet.
    g.post("/api/v1/backtest", "{}").await.ok();
    let failed = over(&g).await;
    assert_eq!((&failed["state"], &failed["code"]), (&json!("failed"), &json!("nothing")), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_give_what_replay_gives_and_are_gone_afterwards() {
    const B15: &str = "tests/data/replay/b15";
    let g = Gateway::new();
    let upload = async |part: &str, name: &str| {
        let path = format!("/api/v1/backtest/upload?part={part}&name={name}");
        g.upload(&path, "text/csv", std::fs::read(format!("{B15}/{name}")).unwrap()).await.ok()
    };
    upload("meters", "meters.csv").await;
    assert!(upload("readings", "readings.csv").await["bytes"].as_u64().unwrap() > 1_000);
    let result = tried(&g, json!({"files": true, "silent_after_hours": "off"})).await;

    let dir = tempfile::tempdir().unwrap();
    let settings = replay::Settings {
        meters: format!("{B15}/meters.csv").into(),
        readings: vec![format!("{B15}/readings.csv").into()],
        alerts_out: dir.path().join("alerts.csv"),
    };
    let report = replay::run(&settings, &ProgressBar::hidden(), &mut |_| {}).unwrap();
    let alerts = std::fs::read_to_string(&settings.alerts_out).unwrap();
    let found = result["as_now"]["findings"].as_array().unwrap();
    let mut lines = "ts,meter,kind\n".to_owned();
    for f in found {
        let at: jiff::Timestamp = f["told_at"].as_str().unwrap().parse().unwrap();
        writeln!(lines, "{},{},{}", Ts(at.as_millisecond()), f["point"].as_str().unwrap(), f["code"].as_str().unwrap()).unwrap();
    }
    assert_eq!(lines, alerts);
    assert_eq!(result["rows"], json!(report.tally.rows));
    let silent = |run: &str| said(&result[run]["findings"]).iter().filter(|f| f.1 == "meter_silent").count();
    assert!(silent("as_now") > 0 && silent("tried") == 0);
    let notes = result["notes"].as_array().unwrap();
    assert!(notes.len() == 2 && notes[0].as_str().unwrap().starts_with("1-readings.csv:"), "{notes:?}");
    assert_eq!(g.post("/api/v1/backtest", r#"{"files": true}"#).await.problem(409)["code"], "no_files", "they are gone");

    // What is wrong in a file is told with its line, and by the name that people know.
    g.upload("/api/v1/backtest/upload?part=meters", "text/csv", b"meter,kind\nm,bulk\nm,bulk\n".to_vec()).await.ok();
    g.upload("/api/v1/backtest/upload?part=readings&name=r.csv", "text/csv", b"ts,meter,value\n".to_vec()).await.ok();
    g.post("/api/v1/backtest", r#"{"files": true}"#).await.ok();
    let failed = over(&g).await;
    let why = failed["text"]["en"].as_str().unwrap();
    assert!(failed["code"] == "files" && why.contains("meters.csv:3: meter \"m\": the meter stands in line 2 already"), "{failed}");
    assert!(!why.contains('/'), "no folder of ours: {why}");
}

/// Readings of a flat every minute, as a file.
fn minutes(n: i64) -> Vec<u8> {
    let mut text = "ts,meter,value,unit\n".to_owned();
    for minute in 0..n {
        writeln!(text, "{},m,{},L", ts(DAY) + Ms::minutes(minute), 5_000 + minute / 3).unwrap();
    }
    text.into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_stopped_at_will_and_live_work_goes_on() {
    let g = Gateway::new();
    g.upload("/api/v1/backtest/upload?part=meters", "text/csv", b"meter,kind\nm,household\n".to_vec()).await.ok();
    g.upload("/api/v1/backtest/upload?part=readings&name=m.csv", "text/csv", minutes(300_000)).await.ok();
    g.post("/api/v1/backtest", r#"{"files": true, "litres_per_hour": 10}"#).await.ok();
    assert_eq!(g.post("/api/v1/backtest", "{}").await.problem(409)["code"], "backtesting");
    let refused = g.upload("/api/v1/backtest/upload?part=meters", "text/csv", b"meter,kind\n".to_vec()).await;
    assert_eq!(refused.problem(409)["code"], "backtesting", "its files are not changed under it");
    // Readings are taken, and a leak is found, while it works.
    g.core().bulk(&[(0, 1_000), (30, 1_695), (60, 2_390)]);
    assert!(!g.incident().await.is_empty());
    let began = Instant::now();
    let rows = loop {
        let now = g.get("/api/v1/backtest").await.ok();
        assert_eq!(now["state"], "running", "it is not over yet: {now}");
        if now["rows"].as_u64() > Some(0) {
            assert!(now["progress_percent"].as_f64().unwrap() < 100.0, "{now}");
            break now["rows"].as_u64().unwrap();
        }
        assert!(began.elapsed() < PATIENCE);
        tokio::task::yield_now().await;
    };
    g.post("/api/v1/backtest/stop", "{}").await.ok();
    let stopped = over(&g).await;
    assert_eq!((&stopped["state"], &stopped["result"]), (&json!("stopped"), &Value::Null), "after {rows} rows");
    assert_eq!(g.post("/api/v1/backtest", r#"{"files": true}"#).await.problem(409)["code"], "no_files");
    // A stop with nothing to stop is no error.
    g.post("/api/v1/backtest/stop", "{}").await.ok();
}
