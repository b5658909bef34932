use crate::gateway::{DAY, Gateway, ts};
use heyun::domain::time::Ms;
use serde_json::{Value, json};

/// The bulk meter at 100 L/h, every half hour, and the loop at 40 L/h: from 2026-11-28 on, to the second hour of the sixth day. 101 was
/// heard once.
fn gateway() -> Gateway {
    let g = Gateway::new();
    let mut core = g.core();
    core.hear("water/101", 1, ts(DAY), &[1_000, 2]);
    let from = ts(DAY) + Ms::days(18);
    for k in 0..=5 * 48 + 4 {
        core.hear("water/b15", 0, from + Ms::minutes(30 * k), &[50_000 * k]);
        (0..2).for_each(|q| core.hear("heat/loop", 2, from + Ms::minutes(30 * k + 15 * q), &[40_000]));
        core.commit();
    }
    core.tell();
    drop(core);
    g
}

fn totals<'a>(answer: &'a Value, key: &str) -> &'a Value {
    &answer["meters"].as_array().unwrap().iter().find(|m| m["key"] == key).unwrap()["totals"]
}

#[tokio::test]
async fn days_and_months_of_all_meters_come_in_one_answer() {
    let g = gateway();
    let t = g.get("/api/v1/totals?from=2026-10-15&to=2026-12-02").await.ok();
    assert_eq!(
        (&t["by"], &t["from"], &t["to"], &t["meters"][0]["unit"]),
        (&json!("month"), &json!("2026-10-01T00:00:00+08:00"), &json!("2027-01-01T00:00:00+08:00"), &json!("L"))
    );
    let names: Vec<&Value> = t["periods"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
    assert_eq!(names, ["2026-10", "2026-11", "2026-12"]);
    assert_eq!(t["periods"][1]["to"], "2026-12-01T00:00:00+08:00");
    // The first day began with its first reading, at midnight; of the month's others nobody knows.
    assert_eq!(
        totals(&t, "b15"),
        &json!([null, { "litres": 7_200, "kilowatt_hours": null, "days": 3, "complete": false }, { "litres": 4_800, "kilowatt_hours": null, "days": 2, "complete": false }])
    );
    assert_eq!(
        totals(&t, "loop"),
        &json!([null, { "litres": 2_880, "kilowatt_hours": null, "days": 3, "complete": false }, { "litres": 1_920, "kilowatt_hours": null, "days": 2, "complete": false }])
    );
    assert_eq!(totals(&t, "101"), &json!([null, null, null]));
    let of = |key: &str| t["meters"].as_array().unwrap().iter().find(|m| m["key"] == key).unwrap().clone();
    assert_eq!((of("b15")["until"].clone(), of("101")["until"].clone()), (json!("2026-12-03T00:00:00+08:00"), Value::Null));
    assert_eq!((of("b15")["name"].clone(), of("b15")["id"].is_string()), (json!("15号楼总表"), true));

    let t = g.get("/api/v1/totals?by=day&from=2026-11-30T12:00:00%2B08:00&to=2026-12-05&point=b15").await.ok();
    assert_eq!(t["meters"].as_array().unwrap().len(), 1);
    let day = json!({ "litres": 2_400, "kilowatt_hours": null, "days": 1, "complete": true });
    assert_eq!(totals(&t, "b15"), &json!([day, day, day, null, null]));
    let all = g.get("/api/v1/totals?by=day&from=2026-11-30&to=2026-12-05").await.ok();
    assert_eq!(totals(&all, "b15"), totals(&t, "b15"));
    // A day's bucket of the chart is the same.
    let flow = g.get("/api/v1/meters/b15/flow?resolution=day&from=2026-11-30&to=2026-12-03").await.ok();
    assert!(flow["buckets"].as_array().unwrap().iter().all(|b| b["litres"] == 2_400 && b["complete"] == true), "{flow}");
}

#[tokio::test]
async fn a_span_that_is_no_span_or_too_long_is_refused() {
    let g = Gateway::new();
    for query in [
        "by=week",
        "from=yesterday",
        "from=2026-11-02&to=2026-11-01",
        "by=day&from=2026-01-01&to=2026-11-01",
        "from=2010-01-01&to=2026-11-01",
    ] {
        let p = g.get(&format!("/api/v1/totals?{query}")).await.problem(400);
        assert_eq!(p["code"], "bad_parameter", "{p}");
    }
    g.get("/api/v1/totals?point=nobody").await.problem(404);
    g.get("/api/v1/totals?year=2026").await.problem(400);
    assert_eq!(g.get("/api/v1/totals").await.ok()["periods"].as_array().unwrap().len(), 12);
    assert_eq!(
        g.get("/api/v1/totals?by=day&point=b15&from=2020-01-01&to=2026-11-01").await.ok()["periods"].as_array().unwrap().len(),
        2_496
    );
}

#[tokio::test]
async fn who_has_the_answer_is_told_so() {
    let g = gateway();
    // What comes late is of the evening before: it makes a day, another interval, and more water.
    for (path, late, litres) in [
        ("/api/v1/totals?from=2026-11-01&to=2026-12-01", 22 * 60, 0),
        ("/api/v1/meters/b15/flow?from=2026-11-28&to=2026-11-29", 23 * 60, 0),
        ("/api/v1/meters/b15/flow?resolution=day&from=2026-11-27&to=2026-11-30", 21 * 60, -7),
    ] {
        let first = g.get(path).await;
        assert_eq!((first.status.as_u16(), first.headers["cache-control"].to_str().unwrap()), (200, "no-cache"), "{path}");
        let tag = first.headers["etag"].to_str().unwrap().to_owned();
        let again = g.get_again(path, &format!("\"00\", {tag}")).await;
        assert_eq!(
            (again.status.as_u16(), again.text.as_str(), again.headers["etag"].to_str().unwrap()),
            (304, "", tag.as_str()),
            "{path}"
        );
        // A reading that comes late makes another answer.
        g.core().bulk(&[(17 * 1_440 + late, litres)]);
        assert_eq!(g.get_again(path, &tag).await.status.as_u16(), 200, "{path}");
        g.core().tell();
    }
}
