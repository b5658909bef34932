//! The picture behind a finding: every number of it, from what was stored.

use crate::gateway::{DAY, Gateway, ts};
use heyun::domain::time::Ms;
use serde_json::{Value, json};

/// Days until the leak begins, at midnight.
const CALM: i64 = 20;

/// A flat that sleeps from midnight to five, litres in an hour.
fn flat(hour: i64) -> i64 {
    if hour % 24 < 5 { 0 } else { 30 }
}

/// So many days of a building with one flat, of which 15 L/h more pass than through the flat, and 100 more since the leak. `every`: minutes
/// between two readings of the bulk meter.
fn building(g: &Gateway, days: i64, every: i64, leak: impl Fn(i64) -> i64) {
    let mut core = g.core();
    let (mut bulk, mut sub) = (0, 0);
    for step in 0..days * 1_440 / every {
        let hour = step * every / 60;
        let at = ts(DAY) + Ms::minutes(step * every);
        core.hear("water/b15", 0, at, &[bulk]);
        core.hear("water/101", 1, at, &[sub]);
        sub += flat(hour) * 1_000 * every / 60;
        bulk += (flat(hour) + 15 + leak(step * every)) * 1_000 * every / 60;
    }
    core.commit();
}

/// Closes it at the newest reading's time, so that the picture has an end.
async fn closed(g: &Gateway) -> String {
    let id = g.incident().await;
    g.post(&format!("/api/v1/incidents/{id}/close"), r#"{"by":"王","reason":"修好"}"#).await.ok();
    id
}

fn at<'a>(picture: &'a Value, stamp: &str) -> &'a Value {
    picture["steps"].as_array().unwrap().iter().find(|s| s["from"] == stamp).unwrap_or_else(|| panic!("{stamp}: {picture}"))
}

#[tokio::test]
async fn the_hours_before_say_what_is_expected_and_the_least_of_a_day_rises() {
    let g = Gateway::new();
    building(&g, CALM + 3, 60, |minute| i64::from(minute >= CALM * 1_440) * 100);
    let id = closed(&g).await;
    let file = g.get(&format!("/api/v1/incidents/{id}")).await.ok();
    let picture = g.get(&format!("/api/v1/incidents/{id}/picture?point=b15&code=leak_least_flow")).await.ok();
    let finding = file["findings"].as_array().unwrap().iter().find(|f| f["code"] == "leak_least_flow").unwrap();
    assert_eq!(
        (picture["code"].clone(), picture["point"].clone(), picture["rule"]["zh"].clone()),
        (json!("leak_least_flow"), json!("b15"), json!("每日最小流量"))
    );
    assert_eq!(
        (picture["step_seconds"].clone(), picture["more"].clone(), picture["start"].clone()),
        (json!(3_600), json!(false), finding["start"].clone())
    );

    // 30 November is the leak's first day.
    let night = at(&picture, "2026-12-01T03:00:00+08:00");
    assert_eq!((night["litres_per_hour"].clone(), night["expected_litres_per_hour"].clone()), (json!(115), json!(15)));
    let noon = at(&picture, "2026-11-30T12:00:00+08:00");
    let band = ["expected_low_litres_per_hour", "expected_litres_per_hour", "expected_high_litres_per_hour"].map(|k| noon[k].clone());
    assert_eq!((noon["litres_per_hour"].clone(), band), (json!(145), [json!(45), json!(45), json!(45)]));
    assert_eq!((at(&picture, "2026-11-29T12:00:00+08:00")["statistic"].clone(), night["statistic"].clone()), (json!(15), json!(115)));
    let statistic = json!({ "code": "least_of_day", "name": picture["statistic"]["name"], "unit": "L/h", "usual": 15 });
    assert_eq!(picture["statistic"], statistic);

    // Not the first hour of all, and to the end.
    let steps = picture["steps"].as_array().unwrap();
    assert_eq!(picture["from"], steps[0]["from"]);
    assert_eq!(steps.last().unwrap()["from"], "2026-12-02T22:00:00+08:00");
    assert_eq!(picture["closed_at"], "2026-12-02T23:00:00+08:00");
    assert_eq!(
        picture["alarms"][0],
        json!({ "at": file["history"].as_array().unwrap().iter().find(|e| e["finding"]["code"] == "leak_least_flow").unwrap()["finding"]["at"], "grown": false })
    );

    // What it rests on, in words.
    assert_eq!(finding["loss"], json!({ "least_litres_per_hour": 100, "most_litres_per_hour": 100 }));
    assert!(finding["expected"]["en"].as_str().unwrap().starts_with("in the quietest two hours of a day usually 15 L/h"), "{finding}");
    assert_eq!(finding["seen"]["zh"], "最近 24 小时里，最少的两小时也有 115 升/小时");
    assert!(finding["clears"]["en"].as_str().unwrap().contains("near 15 L/h"), "{finding}");
}

#[tokio::test]
async fn the_balance_shows_what_no_flat_passed() {
    let g = Gateway::new();
    building(&g, CALM + 2, 60, |minute| i64::from(minute >= CALM * 1_440) * 100);
    let id = closed(&g).await;
    let picture = g.get(&format!("/api/v1/incidents/{id}/picture?point=b15&code=leak_balance")).await.ok();
    assert_eq!((picture["statistic"]["code"].clone(), picture["statistic"]["usual"].clone()), (json!("left_over"), json!(15)));
    let left = |stamp| at(&picture, stamp)["statistic"].clone();
    assert_eq!((left("2026-11-29T12:00:00+08:00"), left("2026-11-30T12:00:00+08:00")), (json!(15), json!(115)));
}

#[tokio::test]
async fn a_burst_is_drawn_by_quarters_and_its_excess_adds_up() {
    let g = Gateway::new();
    // From ten past three in the afternoon on.
    let start = CALM * 1_440 + 910;
    building(&g, CALM + 1, 5, |minute| i64::from(minute >= start) * 1_380);
    let id = closed(&g).await;
    let picture = g.get(&format!("/api/v1/incidents/{id}/picture?point=b15&code=leak_sudden")).await.ok();
    assert_eq!((picture["step_seconds"].clone(), picture["statistic"]["unit"].clone()), (json!(900), json!("L")));
    let sums = ["15:00", "15:15", "15:30", "16:00"].map(|t| at(&picture, &format!("2026-11-30T{t}:00+08:00"))["statistic"].clone());
    assert_eq!(sums, [json!(115), json!(460), json!(805), json!(1_495)], "345 L in a quarter, a third of it in the first");
    assert_eq!(picture["steps"][0]["litres_per_hour"], json!(45));
}

#[tokio::test]
async fn what_has_no_picture_is_refused_with_a_word() {
    let g = Gateway::new();
    assert_eq!(g.get("/api/v1/incidents/g1.X/picture").await.problem(404)["code"], "unknown_incident");
    g.core().bulk(&[(0, 1_000), (30, 1_695), (60, 2_390)]);
    let id = g.incident().await;
    let of = |query: &str| format!("/api/v1/incidents/{id}/picture{query}");
    let limit = g.get(&of("")).await.ok();
    assert_eq!(
        (limit["code"].clone(), limit["statistic"].clone()),
        (json!("leak_hourly_limit"), Value::Null),
        "the headline's, without a figure of its own"
    );
    for (query, parameter) in [("?point=b15", "code"), ("?code=leak_steady", "point"), ("?point=b15&code=leak_steady", "point")] {
        let problem = g.get(&of(query)).await.problem(400);
        assert_eq!((problem["code"].clone(), problem["parameter"].clone()), (json!("bad_parameter"), json!(parameter)), "{query}");
    }
    assert_eq!(g.get(&of("?what=1")).await.problem(400)["code"], "unknown_parameter");

    let silent = Gateway::new();
    silent.core().hear("water/101", 1, ts(DAY), &[1_000]);
    silent.core().pass(Ms::hours(7));
    let id = silent.incident().await;
    assert_eq!(silent.get(&format!("/api/v1/incidents/{id}/picture")).await.problem(409)["code"], "no_picture");
}
