use crate::gateway::{DAY, Gateway, ts};
use heyun::domain::flag::Flag;
use heyun::domain::reading::Reject;
use heyun::domain::time::Ms;
use serde_json::{Value, json};

#[tokio::test]
async fn the_topology_tells_what_stands_where() {
    let g = Gateway::new();
    let t = g.get("/api/v1/topology").await.ok();
    assert_eq!((t["gateway"].clone(), t["time_zone"].clone()), (json!("g1"), json!("Asia/Shanghai")));
    assert_eq!(t["places"][2]["name"], "15号楼");
    assert_eq!(t["places"][2]["parent"], "heyun");
    assert!(t["places"][0]["id"].as_str().unwrap().starts_with("g1."));
    assert!(t["points"][1]["id"].as_str().unwrap().starts_with("g1."));
    assert_eq!(t["points"][0]["limits"], json!({ "litres_per_hour": 500, "tonnes_per_month": null, "silent_after_seconds": null }));
    assert_eq!(t["points"][0]["yuan_per_tonne"], json!(3.85));
    assert_eq!(t["points"][0]["valve"]["key_holder"], "楼栋长");
    assert_eq!(t["points"][1]["parent"], "b15");
    assert_eq!(t["points"][1]["source"], json!({ "topic": "water/101", "feed": "flats", "column": "register" }));
    assert_eq!(t["points"][2]["meter"]["mean_flow_over_seconds"], 900);
    assert_eq!(t["feeds"][1]["columns"][1], json!({ "name": "temp", "quantity": "temperature", "unit": "°C" }));
}

#[tokio::test]
async fn a_meter_tells_how_it_is() {
    let g = Gateway::new();
    g.core().bulk(&[(0, 1_000), (15, 1_030), (30, 1_061)]);
    let m = g.get("/api/v1/meters/b15").await.ok();
    assert_eq!(m["name"], "15号楼总表");
    let path: Vec<&Value> = m["place"].as_array().unwrap().iter().map(|s| &s["name"]).collect();
    assert_eq!(path, ["官坊街社区", "和韵小区", "15号楼"]);
    assert_eq!(m["last_reading_at"], "2026-11-10T00:30:00+08:00");
    assert_eq!((&m["medium"], &m["register_litres"], &m["register_kilowatt_hours"]), (&json!("water"), &json!(1_061), &Value::Null));
    assert_eq!(m["flow_litres_per_hour"], json!(124));
    assert_eq!(m["month"], json!({ "month": "2026-11", "tonnes": 0.061, "cubic_metres": null, "kilowatt_hours": null, "yuan": 0.23 }));
    assert_eq!(m["steps"]["forward"], 2);
    assert_eq!((m["kind"].clone(), m["boundary"].clone(), m["responsible"].clone()), (json!("bulk"), json!("assessment"), json!("owners")));
    assert!(m["data_age_seconds"].as_i64().unwrap() >= 0);

    let id = m["id"].as_str().unwrap();
    assert_eq!(g.get(&format!("/api/v1/meters/{id}")).await.ok()["key"], "b15", "the global id names it, too");
    let flat = g.get("/api/v1/meters/101").await.ok();
    assert!(flat["last_reading_at"].is_null() && flat["month"].is_null() && flat["data_age_seconds"].is_null());
}

#[tokio::test]
async fn where_no_price_is_known_no_yuan_is_shown_and_a_mean_flow_has_no_register() {
    let g = Gateway::new();
    for quarter in 0..3 {
        g.core().hear("heat/loop", 2, ts(DAY) + Ms::minutes(15 * quarter), &[40_000]);
    }
    g.core().commit();
    let m = g.get("/api/v1/meters/loop").await.ok();
    assert_eq!(m["month"], json!({ "month": "2026-11", "tonnes": 0.03, "cubic_metres": null, "kilowatt_hours": null }));
    assert_eq!((m["register_litres"].clone(), m["flow_litres_per_hour"].clone()), (Value::Null, json!(40)));
    assert_eq!(m["last_reading_at"], "2026-11-10T00:45:00+08:00");
}

#[tokio::test]
async fn meters_and_sources_come_in_pages() {
    let g = Gateway::new();
    let all = g.get("/api/v1/meters").await.ok();
    assert_eq!((all["meters"].as_array().unwrap().len(), all["next"].clone()), (3, Value::Null));
    let first = g.get("/api/v1/meters?limit=2").await.ok();
    assert_eq!(first["meters"].as_array().unwrap().len(), 2);
    let rest = g.get(first["next"].as_str().unwrap()).await.ok();
    assert_eq!((rest["meters"][0]["key"].clone(), rest["next"].clone()), (json!("loop"), Value::Null));
}

#[tokio::test]
async fn a_source_accounts_for_every_message_and_shows_the_last_bad_one() {
    let g = Gateway::new();
    {
        let mut core = g.core();
        core.bulk(&[(0, 1_000)]);
        core.hear("water/b15", 0, ts(DAY), &[1_000_000]);
        core.hear("water/b15", 0, ts(DAY), &[2_000_000]);
        core.hear("water/b15", 0, ts(DAY) + Ms::minutes(1), &[1_000_000]);
        core.refuse("nobody/knows", Reject::Json { line: 1, column: 7 }, "{\"v\": \\u{1b}<script>");
        core.bulk(&[]);
    }
    let s = g.get("/api/v1/sources").await.ok();
    assert_eq!(
        s["totals"],
        json!({ "received": 5, "stored": 2, "duplicate": 1, "rejected": { "conflict": 1, "json": 1 }, "rejected_total": 2, "in_flight": 0 })
    );
    let bulk = &s["sources"][0];
    assert_eq!((bulk["topic"].clone(), bulk["feed"].clone(), bulk["points"].clone()), (json!("water/b15"), json!("bulk"), json!(["b15"])));
    assert_eq!(bulk["columns"], json!([{ "name": "register", "quantity": "volume", "unit": "L" }]));
    assert_eq!(bulk["last_bad"]["code"], "conflict");
    assert_eq!(bulk["last_bad"]["args"], json!({ "time": "2026-11-10T00:00:00+08:00", "stored": [1_000_000], "got": [2_000_000] }));
    let stranger = &s["sources"][1];
    assert_eq!((stranger["feed"].clone(), stranger["points"].clone()), (Value::Null, json!([])));
    assert_eq!(stranger["last_bad"]["excerpt"], "{\"v\": \\u{1b}<script>");
    assert_eq!(stranger["last_bad"]["text"]["zh"], "报文不是合法的 JSON：第 1 行第 7 列有误");
    let page = g.get("/api/v1/sources?limit=1").await.ok();
    assert_eq!(g.get(page["next"].as_str().unwrap()).await.ok()["sources"][0]["topic"], "nobody/knows");
}

#[tokio::test]
async fn what_is_asked_wrongly_is_told_with_name_value_and_what_would_be_right() {
    let g = Gateway::new();
    for (path, parameter, value) in [
        ("/api/v1/meters?limit=0", "limit", "0"),
        ("/api/v1/meters?after=-1", "after", "-1"),
        ("/api/v1/incidents?state=opened", "state", "opened"),
        ("/api/v1/incidents?cause=water", "cause", "water"),
        ("/api/v1/incidents?limit=501", "limit", "501"),
        ("/api/v1/meters/b15/readings?from=yesterday", "from", "yesterday"),
        ("/api/v1/meters/b15/flow?to=2026-13-01", "to", "2026-13-01"),
        ("/api/v1/meters/b15/flow?from=2026-11-02&to=2026-11-02", "from", "2026-11-02"),
        ("/api/v1/meters/b15/readings?from=2020-01-01&to=2026-01-01", "from", "2020-01-01"),
        ("/api/v1/meters/b15/readings?limit=5001", "limit", "5001"),
        ("/api/v1/live?after=x", "after", "x"),
    ] {
        let p = g.get(path).await.problem(400);
        assert_eq!((&p["code"], &p["parameter"], &p["value"]), (&json!("bad_parameter"), &json!(parameter), &json!(value)), "{path}");
        assert!(p["expected"]["zh"].is_string(), "{path}");
    }
    for path in ["/api/v1/topology?x=1", "/api/v1/meters/b15?limit=1", "/api/v1/meters/b15/readings?form=1", "/metrics?limit=1"] {
        assert_eq!(g.get(path).await.problem(400)["code"], "unknown_parameter", "{path}");
    }
    assert_eq!(g.get("/api/v1/meters/b15/flow?to=2026-11-01&to=2026-11-02").await.problem(400)["code"], "unknown_parameter");
    for path in ["/api/v1/meters/b16", "/api/v1/meters/b16/readings", "/api/v1/meters/g1.0/flow", "/api/v1/meters/%F0%9F%92%A7"] {
        assert_eq!(g.get(path).await.problem(404)["code"], "unknown_meter", "{path}");
    }
    assert_eq!(g.get("/api/v1/meters/%FF").await.problem(400)["code"], "bad_body");
    let long = format!("/api/v1/meters/{}", "x".repeat(1_000));
    assert!(g.get(&long).await.problem(404)["value"].as_str().unwrap().chars().count() <= 121);
}

#[tokio::test]
async fn the_overview_tells_of_each_compound_and_building() {
    let g = Gateway::new();
    let tiles = |o: &Value| -> Vec<Value> { o["places"].as_array().unwrap().clone() };
    let o = g.get("/api/v1/overview").await.ok();
    let [compound, building] = &tiles(&o)[..] else { panic!("{o}") };
    assert!(compound["id"].as_str().unwrap().starts_with("g1."));
    assert_eq!(
        (building["key"].clone(), building["kind"].clone(), building["parent"].clone(), building["community"].clone()),
        (json!("b15"), json!("building"), json!("heyun"), json!("官坊街社区"))
    );
    assert_eq!((compound["meters"].clone(), building["meters"].clone()), (json!(3), json!(2)));
    // The flat stands behind the building's meter; what a heating loop loses is no use.
    assert_eq!((compound["head_meters"].clone(), building["head_meters"].clone()), (json!(["b15"]), json!(["b15"])));
    for tile in [compound, building] {
        assert_eq!(tile["state"], "no_data");
        for nothing in ["flow_litres_per_hour", "today_tonnes", "usual_tonnes", "newest_reading_at"] {
            assert_eq!(tile[nothing], Value::Null, "{nothing}");
        }
    }

    // Right now 100 litres a quarter, which is under the limit of 500 an hour; the flat has said nothing for longer than its 6 hours, and
    // its rope for longer than a day.
    let now = heyun::domain::time::Ts(jiff::Timestamp::now().as_millisecond());
    {
        let mut core = g.core();
        core.hear("water/101", 1, now - Ms::days(1), &[1_000, 20_000]);
        for quarter in 0..4 {
            core.hear("water/b15", 0, now - Ms::minutes(15 * (3 - quarter)), &[100_000 * (10 + quarter)]);
        }
        core.commit();
        core.pass(Ms::minutes(1));
    }
    let o = g.get("/api/v1/overview").await.ok();
    let building = &tiles(&o)[1];
    assert_eq!((building["state"].clone(), building["silent_meters"].clone()), (json!("fault"), json!(1)), "{o}");
    assert_eq!((building["flow_litres_per_hour"].clone(), building["open_incidents"].clone()), (json!(400), json!(2)));
    assert_eq!(building["silent_sensors"], json!(1));
    // All of it, unless midnight has been in between.
    let today = building["today_tonnes"].as_f64().unwrap();
    assert!((0.0..=0.3).contains(&today), "{today}");
    assert_eq!((building["usual_tonnes"].clone(), building["usual_days"].clone()), (Value::Null, json!(0)));
    assert!(building["newest_reading_at"].is_string());
}

#[tokio::test]
async fn a_leak_is_what_a_place_shows_first() {
    let g = Gateway::new();
    g.core().hear("water/101", 1, ts(DAY) - Ms::days(1), &[1_000, 20_000]);
    g.core().bulk(&[(0, 1_000), (30, 1_695), (60, 2_390)]);
    g.core().pass(Ms::hours(7));
    let o = g.get("/api/v1/overview").await.ok();
    assert_eq!(o["places"][0]["state"], "leak");
    assert_eq!(o["places"][0]["open_incidents"], json!(2));
    let id = g.get("/api/v1/incidents?state=open&cause=leak").await.ok()["incidents"][0]["id"].as_str().unwrap().to_owned();
    g.post(&format!("/api/v1/incidents/{id}/close"), r#"{"by":"王","reason":"修好"}"#).await.ok();
    assert_eq!(g.get("/api/v1/overview").await.ok()["places"][0]["state"], "fault");
}

#[tokio::test]
async fn a_sensor_tells_how_it_is_and_is_no_meter() {
    let g = Gateway::new();
    let tile = |o: &Value| o["places"][1].clone();
    assert_eq!(tile(&g.get("/api/v1/overview").await.ok())["sensors"], json!(1));
    g.core().rope(ts(DAY), 18_250, &[Flag::Wet, Flag::BatteryLow]);
    let s = g.get("/api/v1/sensors").await.ok();
    let rope = &s["sensors"][0];
    assert_eq!((&rope["key"], &rope["place"]), (&json!("rope"), &json!(["官坊街社区", "和韵小区", "15号楼", "101"])));
    assert_eq!((&rope["flags"], &rope["last_reading_at"]), (&json!(["wet", "battery_low"]), &json!("2026-11-10T00:00:00+08:00")));
    assert_eq!(rope["values"], json!([{ "name": "room", "value": 18.25, "unit": "°C" }]));
    assert_eq!((&rope["silent"], rope["incidents"].as_array().unwrap().len()), (&json!(false), 2));
    assert_eq!(g.get("/api/v1/meters/rope").await.problem(404)["code"], "unknown_meter");
    assert_eq!(g.get("/api/v1/meters").await.ok()["meters"].as_array().unwrap().len(), 3);

    g.core().rope(ts(DAY) + Ms::minutes(1), 18_250, &[]);
    g.core().pass(Ms::hours(25));
    let o = tile(&g.get("/api/v1/overview").await.ok());
    assert_eq!((&o["silent_meters"], &o["silent_sensors"], &o["meters"]), (&json!(1), &json!(1), &json!(2)), "its flat is silent, too");
    assert_eq!(g.get("/api/v1/sensors").await.ok()["sensors"][0]["silent"], json!(true));
}

#[tokio::test]
async fn a_place_shows_what_is_most_urgent_in_it() {
    let g = Gateway::new();
    let mut at = ts(DAY);
    for (flags, state) in [
        (&[][..], "no_data"),
        (&[Flag::BatteryLow][..], "fault"),
        (&[Flag::BatteryLow, Flag::Open], "access"),
        (&[Flag::Open, Flag::Wet], "leak"),
        (&[Flag::Emergency, Flag::Wet], "emergency"),
        // Nobody has looked yet.
        (&[], "emergency"),
    ] {
        g.core().rope(at, 19_000, flags);
        at = at + Ms::minutes(1);
        assert_eq!(g.get("/api/v1/overview").await.ok()["places"][1]["state"], state, "{flags:?}");
    }
}

#[tokio::test]
async fn a_leak_that_a_rope_felt_first_has_the_water_of_its_meter() {
    let g = Gateway::new();
    g.core().rope(ts(DAY) + Ms::minutes(30), 19_000, &[Flag::Wet]);
    g.core().bulk(&[(0, 1_000), (30, 1_695), (60, 2_390)]);
    let open = g.get("/api/v1/incidents?state=open&cause=leak").await.ok();
    assert_eq!(open["incidents"][0]["points"], json!(["rope", "b15"]), "{open}");
    let file = g.get(&format!("/api/v1/incidents/{}", open["incidents"][0]["id"].as_str().unwrap())).await.ok();
    assert!(file["water"]["tonnes"].is_number(), "{file}");
}
